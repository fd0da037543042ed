//! `roridula samples show`

use super::explained::{Detail, explained, more, wrapped};
use super::{Room, Shown, escaped, kept_as};
use crate::cli::{Failure, out};
use clap::Args;
use roridula_desk::lookup::Found;
use roridula_desk::sample::Entry;
use roridula_desk::story::Weight;
use roridula_evidence::{CaptureView, SampleView};
use roridula_triage::{Depth, Report};
use std::io::{Result as Written, Write};

/// Captures that are listed where not all are asked for.
const CAPTURES_MAX: usize = 5;

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The SHA-256 of a sample or of a layer in it, or as much of its beginning as is unique
    sha256: String,
    /// Everything: each layer's hashes and facts, all strings, all captures
    #[arg(long)]
    all: bool,
    /// As a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(room: &Room, args: &ShowArgs) -> Result<(), Failure> {
    let sample = room.find(&args.sha256)?;
    let captures = room.reader.captures(sample.sha256)?;
    let kept = room.reader.kept(sample.sha256)?;
    let report = room.reports.get(sample.sha256)?;
    let catalog = room.catalog()?;
    let entry = catalog.entries.iter().find(|entry| entry.sha256 == sample.sha256);
    let entry =
        entry.ok_or_else(|| Failure::new(format!("{} was captured just now: ask again", sample.sha256)))?;
    if args.json {
        let shown = Shown {
            novelty: entry.novelty,
            sentence: &entry.sentence,
            sample: &sample,
            path: kept.path(),
            kept: kept_as(&kept),
            report: report.as_ref(),
            lookups: room.looked_up(report.as_ref()),
            capture_list: &captures,
        };
        return Ok(out::json(&shown)?);
    }
    let detail = if args.all { Detail::All } else { Detail::Short { rest: "--all" } };
    let mut out = out::stdout();
    let paint = out::Paint::detect();
    writeln!(out, "{}.\n", wrapped(&paint.weight(Weight::Catch, &entry.sentence)))?;
    about(&mut out, &sample, entry, &kept.to_string())?;
    match &report {
        Some(report) => {
            first_look(&mut out, report, sample.triaged)?;
            explained(&mut out, report, detail)?;
        }
        None => writeln!(
            out,
            "\nNot looked into yet: `roridula triage {}` does it",
            &sample.sha256.to_string()[..16]
        )?,
    }
    looked_up(&mut out, &room.looked_up(report.as_ref()))?;
    who(&mut out, &captures, sample.sources, detail)?;
    Ok(out.flush()?)
}

fn about(out: &mut impl Write, sample: &SampleView, entry: &Entry, kept: &str) -> Written<()> {
    let total = sample.total.map_or("unknown".to_owned(), |total| total.to_string());
    let ranges: Vec<_> =
        sample.ranges.iter().map(|range| format!("{}..{}", range.start, range.end)).collect();
    writeln!(out, "sha256      {}", sample.sha256)?;
    writeln!(out, "sha1, md5   {}  {}", sample.sha1, sample.md5)?;
    writeln!(
        out,
        "upload      {} of {total} bytes, {}, {} ({})",
        sample.size,
        sample.state,
        sample.origin,
        ranges.join(", ")
    )?;
    writeln!(out, "novelty     {} of 100{}", entry.novelty, brought(entry))?;
    writeln!(out, "file        {kept}")?;
    if !sample.triage_error.is_empty() {
        writeln!(out, "triage      {}", escaped(&sample.triage_error))?;
    }
    Ok(())
}

fn brought(entry: &Entry) -> String {
    if entry.tool.is_empty() { String::new() } else { format!(", first brought by {}", entry.tool) }
}

/// Says so where the report is the first one; `triaged`: no other is to come.
fn first_look(out: &mut impl Write, report: &Report, triaged: bool) -> Written<()> {
    match (report.depth, triaged) {
        (Depth::Full, _) => Ok(()),
        (Depth::First, false) => writeln!(out, "report      a first one: the rest is being worked out"),
        (Depth::First, true) => writeln!(out, "report      a first one: the rest could not be worked out"),
    }
}

/// What services said, when, and where to read more.
fn looked_up(out: &mut impl Write, found: &[Found]) -> Written<()> {
    if !found.is_empty() {
        writeln!(out, "\nLook-ups")?;
    }
    for answer in found {
        writeln!(out, "  {} (asked {} UTC)", escaped(&answer.sentence()), out::moment(answer.asked))?;
        if answer.known {
            writeln!(out, "    {}", answer.link)?;
        }
    }
    Ok(())
}

fn who(out: &mut impl Write, captures: &[CaptureView], sources: u64, detail: Detail) -> Written<()> {
    writeln!(
        out,
        "\nCaptures: {} from {sources} host{}",
        captures.len(),
        if sources == 1 { "" } else { "s" }
    )?;
    let max = detail.at_most(CAPTURES_MAX);
    let row = |capture: &CaptureView| {
        let size: u64 = capture.ranges.iter().map(|range| range.len()).sum();
        vec![
            format!("  {}", out::moment(capture.time)),
            capture.source.ip().to_canonical().to_string(),
            capture.connection.to_string(),
            capture.state.to_string(),
            size.to_string(),
        ]
    };
    let rows: Vec<_> = captures.iter().rev().take(max).map(row).collect();
    out::table(out, &["  TIME (UTC)", "SOURCE", "CONNECTION", "STATE", ">BYTES"], &rows)?;
    more(out, captures.len(), max, detail)
}
