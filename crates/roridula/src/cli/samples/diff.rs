//! `roridula samples diff`

use super::{Room, escaped};
use crate::cli::{Failure, out, triage};
use clap::Args;
use roridula_triage::{Diff, Report, diff};
use serde::Serialize;
use std::io::Write;
use std::path::Path;

/// Bytes of one sample that are compared.
const BYTES_MAX: u64 = 256 * 1024 * 1024;

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The one: the SHA-256 of a sample or of a layer in it, or the beginning of it; or a file at hand
    a: String,
    /// The other
    b: String,
    /// As a JSON object, with every range
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Compared {
    a: String,
    b: String,
    #[serde(flatten)]
    diff: Diff,
}

/// One of the two.
struct Side {
    sha256: String,
    bytes: Vec<u8>,
    report: Report,
}

impl Side {
    /// The sample that is meant; else the file at hand.
    fn find(room: &Room, what: &str) -> Result<Self, Failure> {
        let (bytes, report) = match room.find(what) {
            Ok(sample) => (room.reader.sample_bytes(sample.sha256, BYTES_MAX)?, room.report(sample.sha256)?),
            Err(_) if Path::new(what).is_file() => triage::at_hand(Path::new(what), &room.data)?,
            Err(Failure(why)) => return Err(Failure::new(format!("{why}; nor is it a file"))),
        };
        let sha256 = report.layers.first().map_or(String::new(), |root| root.hashes.sha256.clone());
        Ok(Self { sha256, bytes, report })
    }
}

pub(super) fn run(room: &Room, args: &DiffArgs) -> Result<(), Failure> {
    let (a, b) = (Side::find(room, &args.a)?, Side::find(room, &args.b)?);
    let diff = diff(&a.bytes, &a.report, &b.bytes, &b.report);
    let (a, b) = (a.sha256, b.sha256);
    if args.json {
        return Ok(out::json(&Compared { a, b, diff })?);
    }
    let mut out = out::stdout();
    writeln!(out, "a  {a}\nb  {b}\n")?;
    if a == b {
        writeln!(out, "They are the same sample.")?;
        return Ok(out.flush()?);
    }
    diff.lines.iter().try_for_each(|line| writeln!(out, "{}", escaped(line)))?;
    Ok(out.flush()?)
}
