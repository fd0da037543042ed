//! What two samples have in common and where they differ, mapped to meaning.
//!
//! Layers are paired by their road (kind and name of each layer on the way in from the first file, or from one that both
//! have in other places). Each pair's own bytes, without those of the layers inside, are compared once, so that the cost
//! is a few passes over both samples.

mod parts;
mod stub;
mod words;

use crate::facts::Indicator;
use crate::report::{FoundBy, Kind, Layer, Report};
use crate::text::number;
use parts::Side;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Differences that lie nearer to each other than this are one, in bytes.
const GAP_MAX: u64 = 16;
/// Bytes of a difference that may be about one string in it.
const SMALL: u64 = 1024;
/// Ranges that are told one by one, in all layers together.
const RANGES_MAX: usize = 200;

/// What a comparison found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diff {
    /// Pairs of layers, and layers that only one sample has, in the order of the first sample.
    pub layers: Vec<LayerDiff>,
    /// Ranges that were left out, because there are too many.
    pub more: u64,
    /// The same in plain words. Holds attacker's text.
    pub lines: Vec<String>,
}

/// One pair of layers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerDiff {
    /// What it is, in words.
    pub what: String,
    /// Its number in the first sample's report.
    pub a: Option<u32>,
    /// Its number in the second sample's report.
    pub b: Option<u32>,
    /// Its size in the first sample, in bytes.
    pub a_size: u64,
    /// Its size in the second sample, in bytes.
    pub b_size: u64,
    /// Whether all of it, with what is inside, is equal.
    pub equal: bool,
    /// Whether its bytes were compared: not where something has to be decoded to come to them.
    pub compared: bool,
    /// Where its own bytes differ: what lies in a layer inside is told there.
    pub ranges: Vec<RangeDiff>,
}

/// Bytes that differ.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeDiff {
    /// Where they start in the first layer.
    pub a_at: u64,
    /// How many the first has.
    pub a_size: u64,
    /// Where they start in the second layer.
    pub b_at: u64,
    /// How many the second has.
    pub b_size: u64,
    /// What stands there.
    pub meaning: String,
}

/// Compares two samples by their bytes and reports.
pub fn diff(a: &[u8], ra: &Report, b: &[u8], rb: &Report) -> Diff {
    let (at_a, at_b) = elsewhere(ra, rb).unzip();
    let mut others: BTreeMap<String, u32> = roads(rb, at_b).into_iter().map(|(n, road)| (road, n)).collect();
    let of_a = roads(ra, at_a);
    let mut moved = moved(ra, &of_a, rb, &mut others);
    let mut found = Diff::default();
    for (na, road) in of_a {
        let Some(la) = ra.layer(na) else { continue };
        let other =
            others.remove(&road).or_else(|| moved.remove(&na)).and_then(|nb| Some((nb, rb.layer(nb)?)));
        let Some((nb, lb)) = other else {
            found.layers.push(alone(la, Some(na), None));
            continue;
        };
        let equal = la.hashes.sha256 == lb.hashes.sha256;
        let mut pair = alone(la, Some(na), Some(nb));
        (pair.b_size, pair.equal) = (lb.size, equal);
        if let (false, Some(own_a), Some(own_b)) = (equal, bytes(a, ra, na), bytes(b, rb, nb)) {
            let side = |report, number, layer, bytes| Side { report, number, layer, bytes };
            let mut ranges = compared(&side(ra, na, la, own_a), &side(rb, nb, lb, own_b));
            let used: usize = found.layers.iter().map(|layer| layer.ranges.len()).sum();
            let room = RANGES_MAX.saturating_sub(used);
            found.more = found.more.saturating_add(size(ranges.len().saturating_sub(room)));
            ranges.truncate(room);
            pair.compared = true;
            pair.ranges = ranges;
        }
        found.layers.push(pair);
    }
    let mut only_b: Vec<u32> = others.into_values().collect();
    only_b.sort_unstable();
    for nb in only_b {
        if let Some(lb) = rb.layer(nb) {
            let mut only = alone(lb, None, Some(nb));
            (only.a_size, only.b_size) = (0, lb.size);
            found.layers.push(only);
        }
    }
    found.lines = words::lines(&found, ra, rb);
    found
}

/// Where a pair's own bytes differ, and what stands there.
fn compared(a: &Side<'_>, b: &Side<'_>) -> Vec<RangeDiff> {
    if let Some(ranges) = stub::ranges(a.layer, b.layer, a.bytes, b.bytes) {
        return ranges;
    }
    let mut ranges = parts::ranges(a, b);
    for range in &mut ranges {
        let holder = |side: &Side<'_>, at, size| side.holder(at, size).map(words::title);
        let (in_a, in_b) = (holder(a, range.a_at, range.a_size), holder(b, range.b_at, range.b_size));
        range.meaning = match (in_a, in_b) {
            (Some(name), None) if range.a_size > 0 => format!("what only A has as {name}"),
            (None, Some(name)) if range.b_size > 0 => format!("what only B has as {name}"),
            _ if a.is_length(range.a_at, range.a_size) => "the length of what it carries".to_owned(),
            _ if range.a_size == 0 => meaning(b.layer, a.layer, &flipped(range), (b.bytes, a.bytes)),
            _ => meaning(a.layer, b.layer, range, (a.bytes, b.bytes)),
        };
    }
    headers_once(ranges)
}

/// Headers differ in one field here and one there, which says no more than that they differ.
fn headers_once(ranges: Vec<RangeDiff>) -> Vec<RangeDiff> {
    let mut told: Vec<RangeDiff> = Vec::new();
    for range in ranges {
        match told.last_mut().filter(|last| last.meaning == HEADER && range.meaning == HEADER) {
            Some(last) => {
                last.a_size = range.a_at.saturating_add(range.a_size).saturating_sub(last.a_at);
                last.b_size = range.b_at.saturating_add(range.b_size).saturating_sub(last.b_at);
            }
            None => told.push(range),
        }
    }
    told
}

fn flipped(range: &RangeDiff) -> RangeDiff {
    let RangeDiff { a_at, a_size, b_at, b_size, .. } = *range;
    RangeDiff { a_at: b_at, a_size: b_size, b_at: a_at, b_size: a_size, meaning: String::new() }
}

fn alone(layer: &Layer, a: Option<u32>, b: Option<u32>) -> LayerDiff {
    LayerDiff { what: words::title(layer), a, b, a_size: layer.size, ..LayerDiff::default() }
}

/// The outermost file of both that lies in something else here than there: the same bytes, or else the cores.
fn elsewhere(ra: &Report, rb: &Report) -> Option<(u32, u32)> {
    let (of_a, of_b) = (files(ra), files(rb));
    let by_hash: BTreeMap<&str, _> = of_b.iter().rev().map(|file| (file.sha256, file)).collect();
    let same = of_a.iter().find_map(|file| Some((file, *by_hash.get(file.sha256)?)));
    let core_of_a = of_a.iter().find(|file| Some(file.number) == ra.core);
    let core_of_b = of_b.iter().find(|file| Some(file.number) == rb.core);
    let cores = core_of_a.zip(core_of_b).filter(|(one, other)| one.is_dll == other.is_dll);
    // What is equal in two cores lies where it does because of them.
    let is_core =
        |(one, other): &(&File<'_>, &File<'_>)| Some(one.number) == ra.core || Some(other.number) == rb.core;
    let (one, other) = same.filter(is_core).or(cores).or(same)?;
    (one.road != other.road).then_some((one.number, other.number))
}

/// A file of a report, and its road.
struct File<'a> {
    number: u32,
    road: String,
    sha256: &'a str,
    is_dll: bool,
}

fn files(report: &Report) -> Vec<File<'_>> {
    let file = |(number, road): (u32, String)| {
        let layer = report.layer(number).filter(|layer| layer.kind == Kind::Pe)?;
        let is_dll = layer.facts.pe.as_ref().is_some_and(|pe| pe.dll);
        Some(File { number, road, sha256: &layer.hashes.sha256, is_dll })
    };
    roads(report, None).into_iter().filter_map(file).collect()
}

/// Each layer's road; layers with the same road are counted. A file is the same file whatever is around it: roads start
/// at the first PE, by its name only where an archive gave it one, and again at the one that lies elsewhere.
fn roads(report: &Report, elsewhere: Option<u32>) -> Vec<(u32, String)> {
    let mut roads: Vec<(u32, String)> = Vec::new();
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let mut in_pe: Vec<bool> = Vec::new();
    for (number, layer) in (0u32..).zip(&report.layers) {
        let at = layer.parent.and_then(|at| usize::try_from(at).ok());
        let parent = at.and_then(|at| roads.get(at));
        let around = at.and_then(|at| in_pe.get(at)).copied().unwrap_or(false);
        // A file that has lost its mark is data, and still the one that the stub carries.
        let is_carried = layer.found_by == FoundBy::StubSizeField && layer.kind == Kind::Data;
        let is_first = (layer.kind == Kind::Pe || is_carried) && !around;
        in_pe.push(around || is_first);
        let mut road = match parent {
            _ if elsewhere == Some(number) => "the same".to_owned(),
            _ if is_first && layer.found_by != FoundBy::Directory => "file".to_owned(),
            // What stands behind an end is that, whatever its bytes are.
            Some((_, road)) if is_tail(layer) => format!("{road}\ntail"),
            // Damage makes data of a text: an archive's member is the same by its name.
            Some((_, road)) if layer.found_by == FoundBy::Directory => {
                format!("{road}\nmember {}", layer.name)
            }
            // So is a resource, whatever its bytes have become.
            Some((_, road)) if is_resource(layer) => format!("{road}\nresource {}", layer.name),
            // A depth instead of the parent's whole road would be shorter, but members of two archives would mix.
            // What a file says of itself may change: its kind and the name that its container gives stay.
            Some((_, road)) => format!("{road}\n{} {}", layer.kind, layer.name),
            None => String::new(),
        };
        let count = seen.entry(road.clone()).or_default();
        *count = count.saturating_add(1);
        if *count > 1 {
            road = format!("{road}\t{count}");
        }
        roads.push((number, road));
    }
    roads
}

/// Layers of A that have no counterpart on their road, with the one of B that has the same bytes and none either: what
/// is around it has changed. Taken from `others`.
fn moved(
    ra: &Report,
    of_a: &[(u32, String)],
    rb: &Report,
    others: &mut BTreeMap<String, u32>,
) -> BTreeMap<u32, u32> {
    let roads_of_a: BTreeSet<&str> = of_a.iter().map(|(_, road)| road.as_str()).collect();
    let mut free: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let roads_of_b: Vec<(String, u32)> =
        others.iter().map(|(road, number)| (road.clone(), *number)).collect();
    for (road, number) in roads_of_b.iter().rev().filter(|(road, _)| !roads_of_a.contains(road.as_str())) {
        if let Some(layer) = rb.layer(*number).filter(|layer| !layer.hashes.sha256.is_empty()) {
            free.entry(&layer.hashes.sha256).or_default().push(road);
        }
    }
    let mut moved = BTreeMap::new();
    for (number, road) in of_a {
        let same = || ra.layer(*number).and_then(|layer| free.get_mut(layer.hashes.sha256.as_str())?.pop());
        let Some(there) = (!others.contains_key(road)).then(same).flatten() else { continue };
        moved.extend(others.remove(there).map(|other| (*number, other)));
    }
    moved
}

/// Whether a layer is a resource that has a name, or what stands in it behind its length.
fn is_resource(layer: &Layer) -> bool {
    matches!(layer.found_by, FoundBy::Resource | FoundBy::LengthField) && !layer.name.is_empty()
}

/// Whether a layer is what stands behind a file's end, and no file itself.
fn is_tail(layer: &Layer) -> bool {
    layer.found_by == FoundBy::BehindTheEnd && matches!(layer.kind, Kind::Padding | Kind::Overlay)
}

/// A layer's bytes, where nothing has to be decoded to come to them.
fn bytes<'a>(sample: &'a [u8], report: &Report, number: u32) -> Option<&'a [u8]> {
    let layer = report.layer(number)?;
    if !layer.encoding.is_empty() {
        return None;
    }
    let start = usize::try_from(report.place(number)?).ok()?;
    let end = start.checked_add(usize::try_from(layer.stored_size).ok()?)?;
    sample.get(start..end)
}

fn size(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

/// Where two slices differ. Of different length: all between what they begin and end with alike.
fn differing(a: &[u8], b: &[u8]) -> Vec<RangeDiff> {
    if a.len() != b.len() {
        let start = a.iter().zip(b).take_while(|(x, y)| x == y).count();
        let (ra, rb) = (a.get(start..).unwrap_or_default(), b.get(start..).unwrap_or_default());
        let tail = ra.iter().rev().zip(rb.iter().rev()).take_while(|(x, y)| x == y).count();
        let (a_size, b_size) = (size(ra.len().saturating_sub(tail)), size(rb.len().saturating_sub(tail)));
        let (a_at, b_at) = (size(start), size(start));
        return vec![RangeDiff { a_at, a_size, b_at, b_size, meaning: String::new() }];
    }
    let mut ranges: Vec<RangeDiff> = Vec::new();
    for (at, _) in (0u64..).zip(a.iter().zip(b)).filter(|(_, (x, y))| x != y) {
        match ranges
            .last_mut()
            .filter(|last| at.saturating_sub(last.a_at.saturating_add(last.a_size)) < GAP_MAX)
        {
            Some(last) => last.a_size = at.saturating_sub(last.a_at).saturating_add(1),
            None => ranges.push(RangeDiff { a_at: at, a_size: 1, b_at: at, ..RangeDiff::default() }),
        }
    }
    for range in &mut ranges {
        range.b_size = range.a_size;
    }
    ranges
}

/// What stands where two layers differ.
fn meaning(a: &Layer, b: &Layer, range: &RangeDiff, (a_bytes, b_bytes): (&[u8], &[u8])) -> String {
    let (at, end) = (range.a_at, range.a_at.saturating_add(range.a_size));
    // In a range as large as a section, one string is not what the difference is about.
    let is_small = (1..=SMALL).contains(&range.a_size);
    if let Some(found) = a.facts.indicators.iter().filter(|_| is_small).find(|found| {
        let found_end = found.at.saturating_add(size(found.value.len()));
        found.at < end && at < found_end
    }) {
        let there = |other: &&Indicator| other.kind == found.kind && other.at == found.at;
        let change = match b.facts.indicators.iter().find(there) {
            _ if zeroed(range, b_bytes) => "zeroed".to_owned(),
            Some(other) => format!("changed to {}", other.value),
            None => text(b_bytes, range.b_at, range.b_size)
                .map_or("changed".to_owned(), |text| format!("changed to {text}")),
        };
        return format!("{} {} {change}", found.kind, found.value);
    }
    let members = a.facts.zip.iter().chain(&b.facts.zip).flat_map(|zip| &zip.members);
    for member in members {
        let member_end = member.offset.saturating_add(member.stored_size);
        if member.offset < end && at < member_end {
            let from = number(at.saturating_sub(member.offset));
            return format!("ZIP member {} from its byte {from}", member.name);
        }
    }
    let Some(pe) = &a.facts.pe else { return a.kind.to_string() };
    let resource =
        pe.resources.iter().find(|one| one.offset <= at && at < one.offset.saturating_add(one.size));
    if let Some(resource) = resource {
        return format!("resource {}", resource.path);
    }
    let section = pe.sections.iter().find(|one| {
        let start = u64::from(one.offset);
        start <= at && at < start.saturating_add(u64::from(one.size))
    });
    match section {
        Some(section) if range.a_size <= 2 && section.flags & EXECUTABLE != 0 => {
            let what = jump(range, a_bytes, b_bytes).unwrap_or("code patched");
            format!("{what}, section {}", section.name)
        }
        Some(section) => {
            let is_data = is_small && section.flags & EXECUTABLE == 0;
            let here = text(a_bytes, range.a_at, range.a_size).filter(|_| is_data);
            match here.zip(text(b_bytes, range.b_at, range.b_size)) {
                Some((here, there)) => {
                    format!("text `{here}` changed to `{there}`, section {}", section.name)
                }
                None => format!("section {}", section.name),
            }
        }
        None if pe.end > 0 && at >= pe.end => "overlay".to_owned(),
        None if pe.sections.iter().any(|one| one.size > 0 && u64::from(one.offset) <= at) => GAP.to_owned(),
        None => HEADER.to_owned(),
    }
}

/// The readable text that these bytes stand in, with zeros behind it; `None` where they are no text.
fn text(bytes: &[u8], at: u64, size: u64) -> Option<String> {
    let is_letter = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
    let (at, size) = usize::try_from(at).ok().zip(usize::try_from(size).ok())?;
    let (before, from) = (bytes.get(..at)?, bytes.get(at..)?);
    let front = before.iter().rev().take(TEXT_MAX).take_while(|byte| is_letter(byte)).count();
    let letters = from.iter().take(TEXT_MAX).take_while(|byte| is_letter(byte)).count();
    let rest = from.get(letters..size).unwrap_or_default();
    let text = bytes.get(at.checked_sub(front)?..at.checked_add(letters)?)?;
    let is_text = text.len() >= TEXT_MIN && rest.iter().all(|&byte| byte == 0);
    is_text.then(|| String::from_utf8_lossy(text).trim().to_owned())
}

/// Letters on each side of a difference that are told, and that make a text.
const TEXT_MAX: usize = 64;
const TEXT_MIN: usize = 6;

/// What stands in a PE between its sections.
const GAP: &str = "between sections";
/// What stands in a PE in front of its sections.
const HEADER: &str = "PE header";
/// IMAGE_SCN_MEM_EXECUTE (Microsoft's PE format, section flags).
const EXECUTABLE: u32 = 0x2000_0000;

/// What became of a conditional jump, by the first byte of its instruction (Intel SDM volume 2: Jcc, JMP, NOP).
fn jump(range: &RangeDiff, a: &[u8], b: &[u8]) -> Option<&'static str> {
    let byte = |bytes: &[u8], at: u64| bytes.get(usize::try_from(at).ok()?).copied();
    match (byte(a, range.a_at)?, byte(b, range.b_at)?) {
        (one @ 0x70..=0x7f, other) if one ^ 1 == other => Some("1 jump patched: turned round"),
        (0x70..=0x7f, 0xeb) => Some("1 jump patched: conditional → always taken"),
        (0xeb, 0x70..=0x7f) => Some("1 jump patched: always taken → conditional"),
        (0x70..=0x7f, 0x90) => Some("1 jump patched: conditional → nothing"),
        (0x90, 0x70..=0x7f) => Some("1 jump patched: nothing → conditional"),
        _ => None,
    }
}

fn zeroed(range: &RangeDiff, bytes: &[u8]) -> bool {
    let place = usize::try_from(range.b_at).ok().zip(usize::try_from(range.b_size).ok());
    let part = place.and_then(|(at, len)| bytes.get(at..at.checked_add(len)?));
    part.is_some_and(|part| !part.is_empty() && part.iter().all(|&byte| byte == 0))
}

#[cfg(test)]
mod tests;
