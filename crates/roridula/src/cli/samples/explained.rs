//! A report for people: family, layers, rules, indicators. For captured samples and for files at hand.

use super::screen::{cut, width};
use super::{escaped, facts, tree};
use roridula_triage::Report;
use roridula_triage::family::Verdict;
use roridula_triage::rules::Hit;
use std::collections::BTreeMap;
use std::io::{Result as Written, Write};

/// Rules that are shown where not all are asked for.
const RULES_MAX: usize = 4;
/// Indicators that are shown then.
const INDICATORS_MAX: usize = 3;
/// Grounds of a verdict that are shown then.
const GROUNDS_MAX: usize = 2;
/// Who wrote the rules that come with the program.
const OURS: &str = "builtin";

/// How much is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Everything, whatever room it takes.
    All,
    /// What fits a screen.
    Short {
        /// The option that gives the rest.
        rest: &'static str,
        /// Columns of the screen.
        columns: usize,
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

    /// Columns of a line at most.
    pub(crate) const fn columns(self) -> usize {
        match self {
            Self::All => usize::MAX,
            Self::Short { columns, .. } => columns,
        }
    }
}

/// All that is said of a report, its sentence apart.
pub(crate) fn explained(out: &mut impl Write, report: &Report, detail: Detail) -> Written<()> {
    if let Some(core) = report.core_layer() {
        writeln!(out, "core        {}", core.hashes.sha256)?;
    }
    if let Some(verdict) = &report.verdict {
        writeln!(out, "{}", family(verdict, detail))?;
    }
    for remark in report.remarks.iter().take(detail.at_most(1)) {
        writeln!(out, "{}", cut(&format!("left out    {}", escaped(remark)), detail.columns()))?;
    }
    writeln!(out)?;
    tree::write(out, report, detail)?;
    let (rules, indicators) = (rules(report), indicators(report));
    if !rules.is_empty() || !indicators.is_empty() {
        writeln!(out)?;
    }
    listed(out, "rules", &rules, RULES_MAX, detail)?;
    listed(out, "indicators", &indicators, INDICATORS_MAX, detail)?;
    if detail == Detail::All {
        for (number, layer) in report.layers.iter().enumerate() {
            facts::write(out, number, layer)?;
        }
    }
    Ok(())
}

/// The family with its grounds.
fn family(verdict: &Verdict, detail: Detail) -> String {
    let max = detail.at_most(GROUNDS_MAX);
    let grounds: Vec<_> = verdict.grounds.iter().take(max).map(|ground| escaped(&ground.what)).collect();
    let more = verdict.grounds.len().saturating_sub(max);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let also: String = verdict
        .also
        .iter()
        .map(|also| format!(", also {} ({})", escaped(&also.family), also.confidence))
        .collect();
    let line = format!(
        "family      {} ({}){also}: {}",
        escaped(&verdict.family),
        verdict.confidence,
        grounds.join("; ")
    );
    cut(&line, detail.columns().saturating_sub(width(&more))) + &more
}

/// Lines beside one heading: the first `max`, and of how many.
fn listed(out: &mut impl Write, head: &str, lines: &[String], max: usize, detail: Detail) -> Written<()> {
    let max = detail.at_most(max);
    // Below the heading, where it takes no line of its own.
    let of = match detail {
        Detail::Short { rest, .. } if lines.len() > max => {
            [head.to_owned(), format!("  {max} of {}", lines.len()), format!("  ({rest})")]
        }
        _ => [head.to_owned(), String::new(), String::new()],
    };
    let mut beside = of.iter().map(String::as_str).chain(std::iter::repeat(""));
    lines.iter().take(max).try_for_each(|line| {
        let line = format!("{:<11} {line}", beside.next().unwrap_or_default());
        writeln!(out, "{}", cut(&line, detail.columns()))
    })
}

/// Which rules fit, each once; whose they are where they are not ours.
fn rules(report: &Report) -> Vec<String> {
    let mut hits: BTreeMap<(&str, &str), &Hit> = BTreeMap::new();
    for hit in report.layers.iter().flat_map(|layer| &layer.hits) {
        hits.entry((&hit.rule, &hit.file)).or_insert(hit);
    }
    let line = |hit: &&Hit| {
        let whose = match hit.file == OURS {
            true => Vec::new(),
            false => vec![hit.author.as_str(), &hit.licence, &hit.file],
        };
        let whose: Vec<&str> = whose.into_iter().filter(|text| !text.is_empty()).collect();
        let whose = if whose.is_empty() { String::new() } else { format!(" ({})", whose.join(", ")) };
        format!("{}{}  {}", escaped(&hit.rule), escaped(&whose), escaped(&hit.description))
            .trim_end()
            .to_owned()
    };
    // The user's own first: ours are known.
    let (ours, users): (Vec<&Hit>, Vec<&Hit>) = hits.into_values().partition(|hit| hit.file == OURS);
    users.iter().chain(&ours).map(line).collect()
}

/// What stands in the bytes and would be talked to, made or asked for, the most telling first; nothing of it was ever
/// looked up.
fn indicators(report: &Report) -> Vec<String> {
    let mut told = std::collections::BTreeSet::new();
    let found = report.layers.iter().flat_map(|layer| &layer.facts.indicators);
    let found = found.filter(|found| told.insert((found.kind, found.value.as_str())));
    let mut found: Vec<_> = found.collect();
    found.sort_by_key(|found| found.kind.rank());
    let line = |found: &&roridula_triage::facts::Indicator| {
        let note = if found.note.is_empty() { String::new() } else { format!(" ({})", found.note) };
        format!("{:<11} {}{}", found.kind, cut(&escaped(&found.value), 80), escaped(&note))
    };
    found.iter().map(line).collect()
}
