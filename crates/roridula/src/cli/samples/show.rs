//! `roridula samples show`

use super::explained::{Detail, explained};
use super::screen::{columns, cut, wrapped};
use super::{Room, Shown, escaped, kept_as};
use crate::cli::{Failure, out};
use clap::Args;
use roridula_desk::lookup::Found;
use roridula_desk::sample::{Entry, counted, thousands};
use roridula_desk::story::Weight;
use roridula_evidence::{CaptureView, SampleView};
use roridula_triage::{Depth, Report};
use std::io::{Result as Written, Write};

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
    let detail = if args.all { Detail::All } else { Detail::Short { rest: "--all", columns: columns() } };
    let mut out = out::stdout();
    let paint = out::Paint::detect();
    let sentence = wrapped(&format!("{}.", entry.sentence), columns());
    writeln!(out, "{}\n", paint.weight(Weight::Catch, &sentence))?;
    about(&mut out, &sample, entry, &kept.to_string(), detail)?;
    match &report {
        Some(report) => {
            first_look(&mut out, report, &sample, detail)?;
            explained(&mut out, report, detail)?;
        }
        None => writeln!(out, "\n{}", unexplained(&sample))?,
    }
    looked_up(&mut out, &room.looked_up(report.as_ref()))?;
    who(&mut out, &captures, sample.sources, detail)?;
    Ok(out.flush()?)
}

/// Why there is no report, and what makes one.
fn unexplained(sample: &SampleView) -> String {
    if sample.triaged && !sample.triage_error.is_empty() {
        let why = escaped(&sample.triage_error);
        return format!("Triage gave it up ({why}); `roridula triage --all` tries again");
    }
    format!("Not looked into yet: `roridula triage {}` does it", &sample.sha256.to_string()[..16])
}

fn about(
    out: &mut impl Write,
    sample: &SampleView,
    entry: &Entry,
    kept: &str,
    detail: Detail,
) -> Written<()> {
    writeln!(out, "sha256      {}", sample.sha256)?;
    if detail == Detail::All {
        writeln!(out, "sha1        {}\nmd5         {}\nfile        {kept}", sample.sha1, sample.md5)?;
    }
    let size = thousands(sample.size);
    let size = match sample.total {
        Some(total) if total == sample.size => format!("all {} bytes", size),
        Some(total) => format!("{size} of {} bytes", thousands(total)),
        None => counted(sample.size, "byte"),
    };
    let ranges = sample.ranges.iter().map(|range| format!("{}..{}", range.start, range.end));
    let ranges: Vec<_> = ranges.take(detail.at_most(3)).collect();
    let upload = format!("{size}, {}, by {}, {}", sample.state, sample.origin, ranges.join(", "));
    let novelty = format!("{} of 100{}", entry.novelty, brought(entry));
    let mut lines = vec![("upload", upload), ("novelty", novelty)];
    if !entry.piece_of.is_empty() {
        lines.push(("piece of", format!("probably {}", entry.piece_of)));
    }
    // One screen tells in the report what was left out.
    if !sample.triage_error.is_empty() && detail == Detail::All {
        lines.push(("triage", escaped(&sample.triage_error)));
    }
    lines.iter().try_for_each(|(name, text)| {
        writeln!(out, "{}", cut(&format!("{name:<11} {text}"), detail.columns()))
    })
}

fn brought(entry: &Entry) -> String {
    if entry.tool.is_empty() { String::new() } else { format!(", first brought by {}", entry.tool) }
}

/// Says so where the report is the first one, and whether another one is to come.
fn first_look(out: &mut impl Write, report: &Report, sample: &SampleView, detail: Detail) -> Written<()> {
    let line = match (report.depth, sample.triaged) {
        (Depth::Full, _) => return Ok(()),
        (Depth::First, false) => "report      a first one: the rest is being worked out".to_owned(),
        (Depth::First, true) => format!(
            "report      a first one: the rest could not be worked out, `triage --all` tries again ({})",
            escaped(&sample.triage_error)
        ),
    };
    writeln!(out, "{}", cut(&line, detail.columns()))
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

/// Who brought it; on one screen the last of them.
fn who(out: &mut impl Write, captures: &[CaptureView], sources: u64, detail: Detail) -> Written<()> {
    let count = format!("{} from {}", thousands(captures.len() as u64), counted(sources, "host"));
    if let (Detail::Short { columns, .. }, Some(last)) = (detail, captures.last()) {
        let (ip, at) = (last.source.ip().to_canonical(), out::moment(last.time));
        let last = if captures.len() == 1 { "" } else { "the last " };
        let line = format!("captures    {count}: {last}{at} UTC by {ip}");
        return writeln!(out, "{}", cut(&line, columns));
    }
    writeln!(out, "\nCaptures: {count}")?;
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
    let rows: Vec<_> = captures.iter().rev().map(row).collect();
    out::table(out, &["  TIME (UTC)", "SOURCE", "CONNECTION", "STATE", ">BYTES"], &rows)
}
