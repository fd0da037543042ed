//! `roridula samples show`

use super::{Room, Shown, escaped, kept_as, tree};
use crate::cli::{Failure, out};
use clap::Args;
use roridula_desk::lookup::Found;
use roridula_desk::sample::Entry;
use roridula_desk::story::Weight;
use roridula_evidence::{CaptureView, SampleView};
use roridula_triage::rules::Hit;
use roridula_triage::{Layer, Report};
use std::collections::BTreeMap;
use std::io::{Result as Written, Write};

/// Captures that are listed where not all are asked for.
const CAPTURES_MAX: usize = 5;
/// Indicators, and rules, that are shown then.
const SHORT_MAX: usize = 5;
/// Grounds of a verdict.
const GROUNDS_MAX: usize = 2;
/// Columns of a line.
const COLUMNS: usize = 118;

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
    let mut out = out::stdout();
    let paint = out::Paint::detect();
    writeln!(out, "{}.\n", wrapped(&paint.weight(Weight::Catch, &entry.sentence)))?;
    about(&mut out, &sample, entry, &kept.to_string())?;
    match &report {
        Some(report) => explained(&mut out, report, args.all)?,
        None => writeln!(
            out,
            "\nNot looked into yet: `roridula triage {}` does it",
            &sample.sha256.to_string()[..16]
        )?,
    }
    looked_up(&mut out, &room.looked_up(report.as_ref()))?;
    who(&mut out, &captures, sample.sources, args.all)?;
    Ok(out.flush()?)
}

/// The sentence over several lines of a screen.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.last().map_or(0, |line| line.chars().count());
        if last > 0 && last + word.chars().count() >= 110 {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.join("\n")
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

fn explained(out: &mut impl Write, report: &Report, all: bool) -> Written<()> {
    if let Some(core) = report.core_layer() {
        writeln!(out, "core        {}", core.hashes.sha256)?;
    }
    if let Some(verdict) = &report.verdict {
        writeln!(out, "family      {} ({})", escaped(&verdict.family), verdict.confidence)?;
        let max = if all { usize::MAX } else { GROUNDS_MAX };
        let grounds: Vec<_> = verdict.grounds.iter().take(max).map(|ground| escaped(&ground.what)).collect();
        let more = verdict.grounds.len().saturating_sub(max);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        writeln!(out, "            because of {}{more}", grounds.join("; "))?;
    }
    writeln!(out, "\nLayers")?;
    tree::write(out, report, all)?;
    rules(out, report, all)?;
    indicators(out, report, all)?;
    if all {
        for (number, layer) in report.layers.iter().enumerate() {
            facts(out, number, layer)?;
        }
    }
    Ok(())
}

/// Which rules fit, each once, with whose they are.
fn rules(out: &mut impl Write, report: &Report, all: bool) -> Written<()> {
    let mut hits: BTreeMap<(&str, &str), &Hit> = BTreeMap::new();
    for hit in report.layers.iter().flat_map(|layer| &layer.hits) {
        hits.entry((&hit.rule, &hit.file)).or_insert(hit);
    }
    if hits.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nRules")?;
    let max = if all { usize::MAX } else { SHORT_MAX };
    for hit in hits.values().take(max) {
        let whose: Vec<&str> =
            [hit.author.as_str(), hit.licence.as_str()].into_iter().filter(|text| !text.is_empty()).collect();
        let whose = if whose.is_empty() { String::new() } else { format!(" ({})", whose.join(", ")) };
        let line = format!("  {}{}  {}", escaped(&hit.rule), escaped(&whose), escaped(&hit.description));
        let cut = if !all && line.chars().count() > COLUMNS { "…" } else { "" };
        let line: String = line.chars().take(if all { usize::MAX } else { COLUMNS }).collect();
        writeln!(out, "{line}{cut}")?;
    }
    more(out, hits.len(), max)
}

fn indicators(out: &mut impl Write, report: &Report, all: bool) -> Written<()> {
    let mut told = std::collections::BTreeSet::new();
    let indicators: Vec<_> = report
        .layers
        .iter()
        .flat_map(|layer| &layer.facts.indicators)
        .filter(|found| told.insert((found.kind, found.value.as_str())))
        .collect();
    if indicators.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nIndicators (read from its bytes, never looked up)")?;
    let max = if all { usize::MAX } else { SHORT_MAX };
    for found in indicators.iter().take(max) {
        let note = if found.note.is_empty() { String::new() } else { format!(" ({})", found.note) };
        let value: String = escaped(&found.value).chars().take(80).collect();
        writeln!(out, "  {:<11} {value}{}", found.kind, escaped(&note))?;
    }
    more(out, indicators.len(), max)
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

fn more(out: &mut impl Write, count: usize, max: usize) -> Written<()> {
    if count > max { writeln!(out, "  … and {} more (--all)", count - max) } else { Ok(()) }
}

/// Everything about one layer.
fn facts(out: &mut impl Write, number: usize, layer: &Layer) -> Written<()> {
    writeln!(out, "\nLayer {number}: {} {} (found by {})", layer.kind, escaped(&layer.name), layer.found_by)?;
    let hashes = &layer.hashes;
    writeln!(out, "  sha256 {}\n  sha1   {}\n  md5    {}", hashes.sha256, hashes.sha1, hashes.md5)?;
    for (name, value) in [("ssdeep", &hashes.ssdeep), ("tlsh", &hashes.tlsh)] {
        if !value.is_empty() {
            writeln!(out, "  {name:<6} {value}")?;
        }
    }
    // As JSON reads: each fact has its name, and strings are escaped.
    let text = serde_json::to_string_pretty(&layer.facts).unwrap_or_default();
    text.lines().try_for_each(|line| writeln!(out, "  {}", escaped(line)))
}

fn who(out: &mut impl Write, captures: &[CaptureView], sources: u64, all: bool) -> Written<()> {
    writeln!(
        out,
        "\nCaptures: {} from {sources} host{}",
        captures.len(),
        if sources == 1 { "" } else { "s" }
    )?;
    let max = if all { usize::MAX } else { CAPTURES_MAX };
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
    more(out, captures.len(), max)
}
