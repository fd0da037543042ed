//! A comparison in plain words. Holds attacker's text.

use super::pairs::is_tail;
use super::parts::LENGTH_SIZE;
use super::{Diff, LENGTH, LayerDiff, RangeDiff};
use super::{resources, texts};
use crate::facts::{Indicator, IndicatorKind, Member};
use crate::report::{FoundBy, Kind, Layer, Report};
use crate::text::{counted, number};
use std::collections::{BTreeMap, BTreeSet};

/// Lines of the summary.
const LINES_MAX: usize = 60;
/// Names in a row.
const NAMES_MAX: usize = 6;

/// The lines: what differs, from the outside in, then what is equal.
pub(super) fn lines(diff: &Diff, ra: &Report, rb: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    let mut equal: Vec<String> = Vec::new();
    let mut members = 0u64;
    let only_a = Alone::new(ra, diff.layers.iter().filter(|pair| pair.b.is_none()).filter_map(|pair| pair.a));
    let only_b = Alone::new(rb, diff.layers.iter().filter(|pair| pair.a.is_none()).filter_map(|pair| pair.b));
    for pair in &diff.layers {
        let (a, b) = (pair.a.and_then(|at| ra.layer(at)), pair.b.and_then(|at| rb.layer(at)));
        let Some(layer) = a.or(b) else { continue };
        lines.extend(a.zip(b).and_then(|(one, other)| encoding(one, other)));
        match (a, b) {
            (Some(_), None) => lines.extend(only_a.line("A", pair.a, layer, pair.a_size)),
            (None, Some(_)) => lines.extend(only_b.line("B", pair.b, layer, pair.b_size)),
            (Some(one), Some(other)) if pair.equal && are_members(diff, one, other) => {
                members = members.saturating_add(1);
            }
            (Some(one), Some(other)) if pair.equal && one.state != other.state => {
                lines.push(called_otherwise(diff, one, other));
            }
            _ if pair.equal => equal.push(format!("{} ({} bytes)", title(layer), number(pair.a_size))),
            (Some(one), Some(other)) => {
                let is_decoded =
                    |report: &Report, at: Option<u32>| at.is_some_and(|at| report.place(at).is_none());
                let decoded = is_decoded(ra, pair.a) || is_decoded(rb, pair.b);
                differs(diff, pair, one, other, decoded, &mut lines);
            }
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
        equal.push(format!("{} of archives", counted(members, "member")));
    }
    if !equal.is_empty() {
        lines.push(format!("identical: {}", row(&equal)));
    }
    lines
}

/// Whether these are members of one archive, which are told by their number; of two archives, each is told.
fn are_members(diff: &Diff, a: &Layer, b: &Layer) -> bool {
    let is_member = |layer: &Layer| layer.found_by == FoundBy::Directory;
    let mut around = diff.layers.iter().filter(|pair| pair.a == a.parent && pair.b == b.parent);
    is_member(a) && is_member(b) && around.next().is_some()
}

/// A layer whose bytes are equal, and which what is around it makes another thing of.
fn called_otherwise(diff: &Diff, a: &Layer, b: &Layer) -> String {
    let mut around = diff.layers.iter().filter(|pair| pair.a == a.parent && pair.b == b.parent);
    let is_in_front = |range: &RangeDiff| {
        range.meaning == LENGTH && (1..=LENGTH_SIZE).contains(&a.offset.saturating_sub(range.a_at))
    };
    let reason = match around.any(|pair| pair.ranges.iter().any(is_in_front)) {
        true => "the length in front of it differs",
        false => "what is around it differs",
    };
    format!("{} has the same bytes in both; {reason}: {} in A, {} in B", title(a), a.state, b.state)
}

/// Layers that only one of the two has.
struct Alone {
    /// Of each that lies in none of the others: how many lie in it.
    tops: BTreeMap<u32, u64>,
}

impl Alone {
    fn new(report: &Report, numbers: impl Iterator<Item = u32>) -> Self {
        // Ascending, so that what is around a layer comes before it.
        let mut tops: BTreeMap<u32, u64> = BTreeMap::new();
        let mut top_of: BTreeMap<u32, u32> = BTreeMap::new();
        for number in numbers {
            let parent = report.layer(number).and_then(|layer| layer.parent);
            let top = parent.and_then(|parent| top_of.get(&parent)).copied().unwrap_or(number);
            top_of.insert(number, top);
            let inside = tops.entry(top).or_default();
            *inside = inside.saturating_add(u64::from(top != number));
        }
        Self { tops }
    }

    /// What is told of this layer; nothing where it lies in another of these.
    fn line(&self, who: &str, at: Option<u32>, layer: &Layer, size: u64) -> Option<String> {
        let inside = match self.tops.get(&at?)? {
            0 => String::new(),
            parts => format!(", and {} in it", counted(*parts, "part")),
        };
        Some(format!("only {who} has {}, {}{inside}", title(layer), counted(size, "byte")))
    }
}

/// How a layer is hidden in one of the two, or in each in another way; how archives pack is no hiding.
fn encoding(a: &Layer, b: &Layer) -> Option<String> {
    let is_packed = |layer: &Layer| layer.found_by == FoundBy::Directory;
    if a.encoding == b.encoding || is_packed(a) || is_packed(b) {
        return None;
    }
    let told = |layer: &Layer, who: &str| match layer.encoding.as_str() {
        "" => format!("stands openly in {who}"),
        encoding => format!("is hidden by {encoding} in {who}"),
    };
    Some(format!("{} {}, {}", title(a), told(a, "A"), told(b, "B")))
}

/// One pair that is not equal; `decoded` says that one of the two had to be.
fn differs(diff: &Diff, pair: &LayerDiff, a: &Layer, b: &Layer, decoded: bool, lines: &mut Vec<String>) {
    let (what, comma) = match (title(a), title(b)) {
        // What is damaged may be called something else than what it was.
        (one, other) if one != other && (is_tail(a) || a.kind != b.kind || a.kind == Kind::Stub) => {
            (format!("{one} of A, {other} of B"), ",")
        }
        (one, _) => (one, ""),
    };
    let states = match (a.state, b.state) {
        (one, other) if one == other => String::new(),
        (one, other) => format!(", {one} against {other}"),
    };
    if pair.beginning {
        let told = beginning(pair);
        let colon = if pair.ranges.is_empty() { "" } else { ":" };
        lines.push(format!("{what}: {told}{states}{colon}"));
    } else {
        let sizes = match pair.a_size == pair.b_size {
            true => String::new(),
            false => format!(" ({} bytes against {})", number(pair.a_size), number(pair.b_size)),
        };
        let of = if decoded { " of the decoded bytes" } else { "" };
        lines.push(match pair.ranges.len() {
            0 if !pair.compared && decoded => {
                let why = "it was decoded, and not compared byte by byte";
                format!("{what}{comma} differs{sizes}{states}: {why}")
            }
            0 if !pair.compared || diff.more > 0 => format!("{what}{comma} differs{sizes}{states}"),
            0 => format!("{what}{comma} is identical outside of what it carries{sizes}{states}"),
            1 => format!("{what}{comma} differs in 1 range{of}{sizes}{states}:"),
            count => format!("{what}{comma} differs in {count} ranges{of}{sizes}{states}:"),
        });
    }
    ranges(pair, lines);
    // Where no range is the id itself: the table has moved, or names are texts.
    let is_told = |line: &String| pair.ranges.iter().any(|range| range.meaning == *line);
    let renamed = resources::renamed(a, b).into_iter().filter(|line| !is_told(line));
    lines.extend(renamed.take(NAMES_MAX).map(|line| format!("  {line}")));
    code(a, b, lines);
    kill_switch(a, b, lines);
    members(a, b, lines);
}

/// That one of the two is how the other begins.
fn beginning(pair: &LayerDiff) -> String {
    let (who, first, all) = match pair.a_size > pair.b_size {
        true => ("B", pair.b_size, pair.a_size),
        false => ("A", pair.a_size, pair.b_size),
    };
    let first = if first == 1 { "byte".to_owned() } else { number(first) };
    format!("{who} is the first {first} of its {}", counted(all, "byte"))
}

/// Where a pair differs.
fn ranges(pair: &LayerDiff, lines: &mut Vec<String>) {
    for range in &pair.ranges {
        let (at, bytes) = match (range.a_size, range.b_size) {
            (0, there) => (range.b_at, format!("{} in b alone", counted(there, "byte"))),
            (here, 0) => (range.a_at, format!("{} in a alone", counted(here, "byte"))),
            (here, there) if here != there => {
                (range.a_at, format!("{} against {}", counted(here, "byte"), number(there)))
            }
            (here, _) => (range.a_at, counted(here, "byte")),
        };
        lines.push(format!("  at {at:#x}, {bytes}: {}", range.meaning));
    }
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

/// What became of the domain that stops the worm. A name that stands in what is no code is asked for by nothing there.
fn kill_switch(a: &Layer, b: &Layer, lines: &mut Vec<String>) {
    if texts::is_inert(a) && texts::is_inert(b) {
        return;
    }
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
    let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let told =
        |names: &BTreeMap<String, String>, name| names.get(name).map_or("missing", String::as_str).to_owned();
    let all = names.into_iter().map(|name| (name, told(&one, name), told(&other, name)));
    let differ: Vec<_> = all.filter(|(_, here, there)| here != there).collect();
    for (name, here, there) in differ.iter().take(NAMES_MAX) {
        lines.push(format!("  ZIP member `{name}`: {here} against {there}"));
    }
    if let Some(more @ 1..) = differ.len().checked_sub(NAMES_MAX) {
        let more = u64::try_from(more).unwrap_or(u64::MAX);
        let (members, differ) = if more == 1 { ("member", "differs") } else { ("members", "differ") };
        lines.push(format!("  and {} more {members} of the ZIP {differ}", number(more)));
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
