//! A report on a file at hand, for people.

use crate::cli::samples::explained::{Detail, explained};
use crate::cli::samples::screen::{columns, wrapped};
use roridula_desk::sample::Outline;
use roridula_proto::event::Text;
use roridula_triage::Report;
use std::io::{Result, Write};

/// Writes all of it; `what` is what was asked for.
pub(super) fn write(out: &mut impl Write, what: &str, report: &Report) -> Result<()> {
    writeln!(out, "{}\n", Text(what.to_owned()))?;
    let outline = Outline::of(report);
    // Escaped where it is put together.
    writeln!(out, "{}\n", wrapped(&format!("{}.", outline.sentence()), columns()))?;
    if let Some(sample) = report.layers.first() {
        writeln!(out, "sha256      {}", sample.hashes.sha256)?;
    }
    explained(out, report, Detail::Short { rest: "--json", columns: columns() })
}
