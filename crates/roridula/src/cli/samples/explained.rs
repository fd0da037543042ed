//! A report for people: family, layers, rules, indicators. For captured samples and for files at hand.

use super::{escaped, tree};
use roridula_triage::rules::Hit;
use roridula_triage::{Layer, Report};
use std::collections::BTreeMap;
use std::io::{Result as Written, Write};

/// Indicators, and rules, that are shown where not all are asked for.
const SHORT_MAX: usize = 5;
/// Grounds of a verdict that are shown then.
const GROUNDS_MAX: usize = 2;
/// Columns of a line.
const COLUMNS: usize = 118;

/// How much is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Everything.
    All,
    /// What fits a screen.
    Short {
        /// The option that gives the rest.
        rest: &'static str,
    },
}

impl Detail {
    /// How many are shown of what is a few at most on one screen.
    pub(crate) const fn at_most(self, few: usize) -> usize {
        match self {
            Self::All => usize::MAX,
            Self::Short { .. } => few,
        }
    }
}

/// All that is said of a report, its sentence apart.
pub(crate) fn explained(out: &mut impl Write, report: &Report, detail: Detail) -> Written<()> {
    if let Some(core) = report.core_layer() {
        writeln!(out, "core        {}", core.hashes.sha256)?;
    }
    if let Some(verdict) = &report.verdict {
        writeln!(out, "family      {} ({})", escaped(&verdict.family), verdict.confidence)?;
        let max = detail.at_most(GROUNDS_MAX);
        let grounds: Vec<_> = verdict.grounds.iter().take(max).map(|ground| escaped(&ground.what)).collect();
        let more = verdict.grounds.len().saturating_sub(max);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        writeln!(out, "            because of {}{more}", grounds.join("; "))?;
    }
    writeln!(out, "\nLayers")?;
    tree::write(out, report, detail)?;
    for remark in &report.remarks {
        writeln!(out, "  ! {}", escaped(remark))?;
    }
    rules(out, report, detail)?;
    indicators(out, report, detail)?;
    if detail == Detail::All {
        for (number, layer) in report.layers.iter().enumerate() {
            facts(out, number, layer)?;
        }
    }
    Ok(())
}

/// Which rules fit, each once, with whose they are.
fn rules(out: &mut impl Write, report: &Report, detail: Detail) -> Written<()> {
    let mut hits: BTreeMap<(&str, &str), &Hit> = BTreeMap::new();
    for hit in report.layers.iter().flat_map(|layer| &layer.hits) {
        hits.entry((&hit.rule, &hit.file)).or_insert(hit);
    }
    if hits.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nRules")?;
    let max = detail.at_most(SHORT_MAX);
    for hit in hits.values().take(max) {
        let file = if hit.file == "builtin" { "" } else { &hit.file };
        let whose = [hit.author.as_str(), hit.licence.as_str(), file];
        let whose: Vec<&str> = whose.into_iter().filter(|text| !text.is_empty()).collect();
        let whose = if whose.is_empty() { String::new() } else { format!(" ({})", whose.join(", ")) };
        let line = format!("  {}{}  {}", escaped(&hit.rule), escaped(&whose), escaped(&hit.description));
        let columns = detail.at_most(COLUMNS);
        let cut = if line.chars().count() > columns { "…" } else { "" };
        let line: String = line.chars().take(columns).collect();
        writeln!(out, "{line}{cut}")?;
    }
    more(out, hits.len(), max, detail)
}

fn indicators(out: &mut impl Write, report: &Report, detail: Detail) -> Written<()> {
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
    let max = detail.at_most(SHORT_MAX);
    for found in indicators.iter().take(max) {
        let note = if found.note.is_empty() { String::new() } else { format!(" ({})", found.note) };
        let value: String = escaped(&found.value).chars().take(80).collect();
        writeln!(out, "  {:<11} {value}{}", found.kind, escaped(&note))?;
    }
    more(out, indicators.len(), max, detail)
}

/// The sentence over several lines of a screen.
pub(crate) fn wrapped(text: &str) -> String {
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

/// Says how many are not shown, and what shows them.
pub(crate) fn more(out: &mut impl Write, count: usize, max: usize, detail: Detail) -> Written<()> {
    match (count.checked_sub(max), detail) {
        (Some(left @ 1..), Detail::Short { rest }) => writeln!(out, "  … and {left} more ({rest})"),
        _ => Ok(()),
    }
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
