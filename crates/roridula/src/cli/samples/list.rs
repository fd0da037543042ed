//! `roridula samples list`

use super::screen::{self, Column};
use super::{Room, escaped, minute, short};
use crate::cli::{Failure, out};
use clap::Args;
use roridula_desk::moment;
use roridula_desk::sample::{Entry, counted, thousands};
use roridula_evidence::rfc3339;
use std::collections::BTreeSet;
use std::io::Write;

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only of this family (`none`: of no known one)
    #[arg(long, value_name = "NAME")]
    family: Option<String>,
    /// Only with this core: its SHA-256, or the beginning of it
    #[arg(long, value_name = "SHA256", value_parser = core)]
    core: Option<String>,
    /// Only captured since (UTC), as `2026-11-20` or `2026-11-20T12:00`
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// As a JSON array
    #[arg(long)]
    json: bool,
}

impl ListArgs {
    fn wants(&self, entry: &Entry) -> bool {
        let family = self.family.as_ref().is_none_or(|family| match entry.family.as_str() {
            "" => family.eq_ignore_ascii_case("none"),
            known => family.eq_ignore_ascii_case(known),
        });
        let core = self.core.as_ref().is_none_or(|core| entry.core.starts_with(core));
        // Both are written from the year down.
        family && core && self.since.as_ref().is_none_or(|since| entry.last_seen.as_str() >= since.as_str())
    }
}

/// The beginning of a SHA-256.
fn core(text: &str) -> Result<String, String> {
    match !text.is_empty() && text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err("a SHA-256 has up to 64 digits from 0 to 9 and a to f".to_owned()),
    }
}

/// A moment, as the catalog writes it.
fn since(text: &str) -> Result<String, String> {
    let moment = moment::parse_time(text);
    moment
        .map(rfc3339)
        .ok_or_else(|| "no such moment; write one as 2026-11-20 or 2026-11-20T12:00".to_owned())
}

pub(super) fn run(room: &Room, args: &ListArgs) -> Result<(), Failure> {
    let all = room.catalog()?.entries;
    let mut entries: Vec<&Entry> = all.iter().filter(|entry| args.wants(entry)).collect();
    entries.truncate(args.limit.map_or(usize::MAX, |limit| limit as usize));
    if args.json {
        return Ok(out::json(&entries)?);
    }
    let mut out = out::stdout();
    match (entries.is_empty(), all.is_empty()) {
        (true, true) => {
            writeln!(out, "No samples yet. `roridula events` shows who came and what they did.")?;
        }
        (true, false) => {
            let families: BTreeSet<String> = all.iter().map(family).collect();
            let families = families.into_iter().collect::<Vec<_>>().join(", ");
            let text =
                format!("None of {} fits. Families here: {families}.", counted(all.len() as u64, "sample"));
            writeln!(out, "{}", screen::wrapped(&text, screen::columns()))?;
        }
        (false, _) => table(&mut out, &entries, screen::columns())?,
    }
    Ok(out.flush()?)
}

fn table(out: &mut impl Write, entries: &[&Entry], columns: usize) -> std::io::Result<()> {
    let piece = |entry: &&Entry| if entry.state == "complete" { String::new() } else { entry.state.clone() };
    let mut wanted: Vec<Column<'_, &Entry>> = vec![
        Column { head: ">NOVELTY", spare: 0, cell: &|entry| entry.novelty.to_string() },
        Column { head: "SHA-256", spare: 0, cell: &|entry| short(&entry.sha256.to_string()).to_owned() },
        Column { head: "FAMILY", spare: 0, cell: &|entry| screen::cut(&family(entry), 16) },
        Column { head: ">SIZE", spare: 0, cell: &|entry| thousands(entry.size) },
        Column { head: "STATE", spare: 0, cell: &piece },
        Column { head: "CORE", spare: 4, cell: &|entry| short(&entry.core).to_owned() },
        Column { head: ">CAPTURES", spare: 0, cell: &|entry| entry.captures.to_string() },
        Column { head: ">HOSTS", spare: 3, cell: &|entry| entry.sources.to_string() },
        Column { head: "FIRST SEEN (UTC)", spare: 5, cell: &|entry| minute(&entry.first_seen) },
        Column { head: "LAST SEEN (UTC)", spare: 2, cell: &|entry| minute(&entry.last_seen) },
    ];
    if entries.iter().all(|entry| entry.state == "complete") {
        wanted.retain(|column| column.head != "STATE");
    }
    screen::table(out, columns, wanted, entries)
}

/// Its family, or why none is known.
fn family(entry: &Entry) -> String {
    match (entry.family.as_str(), entry.triaged) {
        ("", false) if entry.core.is_empty() => "not looked into".to_owned(),
        // What was left out in a report is said of it too: only where there is none, nothing is explained.
        ("", true) if entry.core.is_empty() && !entry.triage_error.is_empty() => "not explained".to_owned(),
        ("", _) => "unknown".to_owned(),
        (family, _) => escaped(family),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_means_nothing_is_refused() {
        assert_eq!(since("2026-11-20"), Ok("2026-11-20T00:00:00.000000Z".to_owned()));
        assert_eq!(since("2026-11-20 12:00"), since("2026-11-20T12:00:00Z"));
        for wrong in [
            "20261120",
            "2026-13-45",
            "2026-02-30",
            "2023-02-29",
            "2026-11-20T24:00",
            "2026",
            "x",
            "é026-11-20",
        ] {
            assert!(since(wrong).is_err_and(|error| error.contains("2026-11-20T12:00")), "{wrong}");
        }
        assert_eq!(core("AB12"), Ok("ab12".to_owned()));
        assert!(core("zzzz").is_err() && core("").is_err() && core(&"a".repeat(65)).is_err());
    }
}
