//! `roridula samples list`

use super::{Room, escaped, minute, short};
use crate::cli::{Failure, out};
use clap::Args;
use roridula_desk::sample::Entry;
use std::io::Write;

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only of this family (`none`: of no known one)
    #[arg(long, value_name = "NAME")]
    family: Option<String>,
    /// Only with this core: its SHA-256, or the beginning of it
    #[arg(long, value_name = "SHA256")]
    core: Option<String>,
    /// Only captured since (UTC), as `2026-11-20` or `2026-11-20T12:00`
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
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
        let core = self.core.as_ref().is_none_or(|core| entry.core.starts_with(&core.to_ascii_lowercase()));
        // Both are written from the year down.
        family && core && self.since.as_ref().is_none_or(|since| entry.last_seen.as_str() >= since.as_str())
    }
}

pub(super) fn run(room: &Room, args: &ListArgs) -> Result<(), Failure> {
    if let Some(since) = &args.since
        && !(since.len() >= 4 && since.bytes().all(|byte| byte.is_ascii_digit() || b"-T:.Z".contains(&byte)))
    {
        return Err(Failure::new(format!("--since `{since}`: write it as 2026-11-20 or 2026-11-20T12:00")));
    }
    let mut entries = room.catalog()?.entries;
    entries.retain(|entry| args.wants(entry));
    entries.truncate(args.limit.unwrap_or(usize::MAX));
    if args.json {
        return Ok(out::json(&entries)?);
    }
    let mut out = out::stdout();
    if entries.is_empty() {
        writeln!(out, "No such samples yet. `roridula events` shows who came and what they did.")?;
        return Ok(out.flush()?);
    }
    let head = [
        ">NOVELTY",
        "SHA-256",
        "FAMILY",
        ">SIZE",
        "CORE",
        ">CAPTURES",
        ">HOSTS",
        "FIRST SEEN (UTC)",
        "LAST SEEN (UTC)",
    ];
    let row = |entry: &Entry| {
        let family = match (entry.family.as_str(), entry.triaged) {
            ("", false) => "not looked into yet".to_owned(),
            ("", true) if !entry.triage_error.is_empty() => "not explained".to_owned(),
            ("", true) => "unknown".to_owned(),
            (family, _) => escaped(family),
        };
        vec![
            entry.novelty.to_string(),
            short(&entry.sha256.to_string()).to_owned(),
            family,
            entry.size.to_string(),
            short(&entry.core).to_owned(),
            entry.captures.to_string(),
            entry.sources.to_string(),
            minute(&entry.first_seen),
            minute(&entry.last_seen),
        ]
    };
    out::table(&mut out, &head, &entries.iter().map(row).collect::<Vec<_>>())?;
    Ok(out.flush()?)
}
