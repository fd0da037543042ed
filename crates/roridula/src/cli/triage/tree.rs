//! A report for people: what it is, the tree of its layers, what fits and what is odd.

use crate::triage::in_order;
use roridula_desk::sample::Outline;
use roridula_proto::event::Text;
use roridula_triage::rules::Hit;
use roridula_triage::{Layer, Report};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Result, Write};

/// Characters of a SHA-256 that are shown in the tree.
const SHORT: usize = 16;
/// Grounds of a verdict that are shown; `--json` has all.
const GROUNDS: usize = 5;
/// Indicators that are shown; `--json` has all.
const INDICATORS: usize = 16;

/// Writes all of it.
pub(super) fn write(out: &mut impl Write, what: &str, report: &Report) -> Result<()> {
    writeln!(out, "{}", shown(what))?;
    let outline = Outline::of(report);
    let differs = if outline.differs.is_empty() { String::new() } else { format!("; {}", outline.differs) };
    // Both are escaped where they are put together.
    writeln!(out, "  {}{differs}.", outline.lead)?;
    if let Some(sample) = report.layers.first() {
        writeln!(out, "  sha256    {}", sample.hashes.sha256)?;
    }
    match &report.verdict {
        None => writeln!(out, "  family    none that is known")?,
        Some(verdict) => {
            writeln!(out, "  family    {} ({})", shown(&verdict.family), verdict.confidence)?;
            for ground in verdict.grounds.iter().take(GROUNDS) {
                writeln!(out, "            {}", shown(&ground.what))?;
            }
            if let Some(more @ 1..) = verdict.grounds.len().checked_sub(GROUNDS) {
                writeln!(out, "            and {more} more grounds")?;
            }
        }
    }
    match report.core.zip(report.core_layer()) {
        None => writeln!(out, "  core      none")?,
        Some((number, core)) => writeln!(out, "  core      layer {number}, sha256 {}", core.hashes.sha256)?,
    }
    writeln!(out, "  layers")?;
    for (number, depth) in in_order(report) {
        if let Some(layer) = report.layer(number) {
            writeln!(out, "  {number:>4}  {}{}", "  ".repeat(depth as usize), line(layer))?;
        }
    }
    for (hit, layers) in hits(report) {
        let word = if layers.len() == 1 { "layer" } else { "layers" };
        writeln!(out, "  rule      {} in {word} {}{}", shown(&hit.rule), layers.join(", "), about(hit))?;
    }
    let mut told = BTreeSet::new();
    for indicator in report.layers.iter().flat_map(|layer| &layer.facts.indicators) {
        if told.len() < INDICATORS && told.insert((indicator.kind, &indicator.value)) {
            let note =
                if indicator.note.is_empty() { String::new() } else { format!(" ({})", indicator.note) };
            writeln!(out, "  {:<9} {}{}", indicator.kind, shown(&indicator.value), shown(&note))?;
        }
    }
    for (number, layer) in report.layers.iter().enumerate() {
        for remark in &layer.remarks {
            writeln!(out, "  remark    layer {number}: {}", shown(remark))?;
        }
    }
    for remark in &report.remarks {
        writeln!(out, "  remark    {}", shown(remark))?;
    }
    Ok(())
}

/// Each rule that fits, and in which layers: what stands in a layer stands in those around it too.
fn hits(report: &Report) -> Vec<(&Hit, Vec<String>)> {
    let mut places: BTreeMap<(&str, &str), (&Hit, Vec<String>)> = BTreeMap::new();
    for (number, layer) in report.layers.iter().enumerate() {
        for hit in &layer.hits {
            let place = places.entry((&hit.file, &hit.rule)).or_insert((hit, Vec::new()));
            place.1.push(number.to_string());
        }
    }
    places.into_values().collect()
}

/// `pe W/101, 3723264 bytes at 0x1305 (resource), truncated, xor 5a, 24d004a104d4d543`
fn line(layer: &Layer) -> String {
    let mut text = layer.kind.to_string();
    if !layer.name.is_empty() {
        text += &format!(" {}", shown(&layer.name));
    }
    text += &format!(", {} bytes", layer.size);
    if layer.parent.is_some() {
        text += &format!(" at {:#x} ({})", layer.offset, layer.found_by);
    }
    text += &format!(", {}", layer.state);
    if !layer.encoding.is_empty() {
        text += &format!(", {}", shown(&layer.encoding));
    }
    text + &format!(", {}", layer.hashes.sha256.get(..SHORT).unwrap_or_default())
}

/// By whom and under which licence: ` (by A, CC0, rules/a.yar)`.
fn about(hit: &Hit) -> String {
    let by = if hit.author.is_empty() { "author not named" } else { &format!("by {}", hit.author) };
    let licence = if hit.licence.is_empty() { "licence not named" } else { &hit.licence };
    format!(" ({}, {}, {})", shown(by), shown(licence), shown(&hit.file))
}

/// Attackers' and strangers' text, without what would move the cursor.
fn shown(text: &str) -> Text {
    Text(text.to_owned())
}
