//! A comparison in plain words. Holds attacker's text.

use super::{Diff, LayerDiff};
use crate::facts::{Indicator, IndicatorKind, Member};
use crate::report::{FoundBy, Kind, Layer, Report};
use crate::text::number;
use std::collections::BTreeMap;

/// Lines of the summary.
const LINES_MAX: usize = 60;
/// Names in a row.
const NAMES_MAX: usize = 6;

/// The lines: what differs, from the outside in, then what is equal.
pub(super) fn lines(diff: &Diff, ra: &Report, rb: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    let mut equal: Vec<String> = Vec::new();
    let mut members = 0usize;
    for pair in &diff.layers {
        let (a, b) = (pair.a.and_then(|at| ra.layer(at)), pair.b.and_then(|at| rb.layer(at)));
        let Some(layer) = a.or(b) else { continue };
        match (a, b) {
            (Some(_), None) => {
                lines.push(format!("only A has {}, {} bytes", title(layer), number(pair.a_size)))
            }
            (None, Some(_)) => {
                lines.push(format!("only B has {}, {} bytes", title(layer), number(pair.b_size)))
            }
            _ if pair.equal && layer.found_by == FoundBy::Directory => members = members.saturating_add(1),
            _ if pair.equal => equal.push(format!("{} ({} bytes)", title(layer), number(pair.a_size))),
            (Some(a), Some(b)) => differs(diff, pair, a, b, &mut lines),
            (None, None) => {}
        }
    }
    if lines.len() > LINES_MAX {
        let more = lines.len().saturating_sub(LINES_MAX);
        lines.truncate(LINES_MAX);
        lines.push(format!("and {more} lines more (--json has all)"));
    }
    if diff.more > 0 {
        lines.push(format!("and {} ranges more", number(diff.more)));
    }
    if members > 0 {
        equal.push(format!("{members} members of archives"));
    }
    if !equal.is_empty() {
        lines.push(format!("identical: {}", row(&equal)));
    }
    lines
}

/// One pair that is not equal.
fn differs(diff: &Diff, pair: &LayerDiff, a: &Layer, b: &Layer, lines: &mut Vec<String>) {
    let sizes = match pair.a_size == pair.b_size {
        true => String::new(),
        false => format!(" ({} bytes against {})", number(pair.a_size), number(pair.b_size)),
    };
    let what = title(a);
    let states = match (a.state, b.state) {
        (one, other) if one == other => String::new(),
        (one, other) => format!(", {one} against {other}"),
    };
    lines.push(match pair.ranges.len() {
        0 if !pair.compared => format!("{what} differs{sizes}{states}"),
        0 if diff.more > 0 => format!("{what} differs{sizes}{states}"),
        0 => format!("{what} is identical outside of what it carries{sizes}{states}"),
        1 => format!("{what} differs in 1 range{sizes}{states}:"),
        count => format!("{what} differs in {count} ranges{sizes}{states}:"),
    });
    for range in &pair.ranges {
        let len = range.a_size.max(range.b_size);
        let bytes = if len == 1 { "1 byte".to_owned() } else { format!("{} bytes", number(len)) };
        lines.push(format!("  at {:#x}, {bytes}: {}", range.a_at, range.meaning));
    }
    code(a, b, lines);
    kill_switch(a, b, lines);
    members(a, b, lines);
}

/// What code would do elsewise.
fn code(a: &Layer, b: &Layer, lines: &mut Vec<String>) {
    let (Some(one), Some(other)) = (&a.facts.code, &b.facts.code) else { return };
    let told = |text: &str| if text.is_empty() { "none" } else { text }.to_owned();
    if one.process != other.process {
        let (one, other) = (told(&one.process), told(&other.process));
        lines.push(format!("  process it goes into: {one} against {other}"));
    }
    if one.apis != other.apis {
        lines.push(format!("  functions: {} against {}", told(&row(&one.apis)), told(&row(&other.apis))));
    }
}

/// What became of the domain that stops the worm.
fn kill_switch(a: &Layer, b: &Layer, lines: &mut Vec<String>) {
    let of = |layer: &Layer| -> Vec<String> {
        let switches = layer.facts.indicators.iter().filter(|found| found.kind == IndicatorKind::KillSwitch);
        let told = |found: &Indicator| match found.note.as_str() {
            "" => found.value.clone(),
            note if found.value.is_empty() => note.to_owned(),
            note => format!("{} ({note})", found.value),
        };
        switches.map(told).collect()
    };
    let (one, other) = (of(a), of(b));
    if one != other {
        let told = |switches: &[String]| if switches.is_empty() { "none".to_owned() } else { row(switches) };
        lines.push(format!("  kill switch: {} against {}", told(&one), told(&other)));
    }
}

/// Members of an archive whose state differs.
fn members(a: &Layer, b: &Layer, lines: &mut Vec<String>) {
    let of = |layer: &Layer| -> BTreeMap<String, String> {
        let members = layer.facts.zip.iter().flat_map(|zip| &zip.members);
        members.map(|member| (member.name.clone(), state(member))).collect()
    };
    let (one, other) = (of(a), of(b));
    for (name, here) in &one {
        let there = other.get(name).map_or("missing", String::as_str);
        if here != there {
            lines.push(format!("  ZIP member `{name}`: {here} against {there}"));
        }
    }
    for name in other.keys().filter(|name| !one.contains_key(*name)) {
        lines.push(format!(
            "  ZIP member `{name}`: missing against {}",
            other.get(name).map_or("", String::as_str)
        ));
    }
}

fn state(member: &Member) -> String {
    match member.damaged_at {
        Some(at) if member.state != "intact" => format!("{} from its byte {}", member.state, number(at)),
        _ => member.state.clone(),
    }
}

/// What people call it.
pub(super) fn title(layer: &Layer) -> String {
    let what = match (&layer.facts.pe, layer.kind) {
        (Some(pe), _) if pe.dll => "DLL".to_owned(),
        (Some(_), _) => "EXE".to_owned(),
        (None, Kind::Payload) => "upload".to_owned(),
        (None, Kind::Zip) => "ZIP".to_owned(),
        (None, kind) => kind.to_string(),
    };
    let export = layer.facts.pe.as_ref().map_or("", |pe| pe.export_name.as_str());
    match (layer.name.as_str(), export) {
        ("", "") => what,
        ("", name) | (name, _) => format!("{what} {name}"),
    }
}

fn row(names: &[String]) -> String {
    let shown = names.get(..NAMES_MAX).unwrap_or(names).join(", ");
    match names.len().saturating_sub(NAMES_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
