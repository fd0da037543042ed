//! What two samples have in common and where they differ, mapped to meaning.
//!
//! Layers are paired by their road (kind and name of each layer on the way in from the first file, or from one that both
//! have in other places). Each pair's own bytes, without those of the layers inside, are compared once, so that the cost
//! is a few passes over both samples.

mod decoded;
mod meaning;
mod pairs;
mod parts;
mod resources;
mod stub;
mod texts;
mod words;

use crate::report::{Layer, Report};
use decoded::Opened;
pub use decoded::{Compared, Decode};
use meaning::{HEADER, meaning};
use pairs::Pair;
use parts::Side;
use serde::{Deserialize, Serialize};

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
    /// Whether its bytes were compared: not where something has to be decoded to come to them, and nobody did.
    pub compared: bool,
    /// Whether the shorter of the two is how the longer begins: nothing differs but what the longer has behind that.
    #[serde(default)]
    pub beginning: bool,
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

/// Compares two samples by their bytes and reports. What had to be decoded is compared by its hashes alone.
pub fn diff(a: &[u8], ra: &Report, b: &[u8], rb: &Report) -> Diff {
    let (mut no, mut neither) = (|_: &str| None, |_: &str| None);
    let a = Compared { bytes: a, report: ra, decode: &mut no };
    diff_decoded(a, Compared { bytes: b, report: rb, decode: &mut neither })
}

/// Compares two samples, also what has to be decoded, a few layers of it: byte by byte within what comes out.
///
/// Decoding hostile bytes is for a process that may do that; the caller's `decode` knows who does it.
pub fn diff_decoded<'a>(a: Compared<'a>, b: Compared<'a>) -> Diff {
    let (ra, rb) = (a.report, b.report);
    let (mut a, mut b) = (Opened::new(a), Opened::new(b));
    let mut found = Diff::default();
    let pairs = pairs::all(ra, rb);
    for &Pair { a: na, b: nb } in &pairs {
        let (la, lb) = (na.and_then(|at| ra.layer(at)), nb.and_then(|at| rb.layer(at)));
        let (Some(na), Some(la), Some(nb), Some(lb)) = (na, la, nb, lb) else {
            found.layers.extend(la.map(|layer| alone(layer, na, None)));
            found.layers.extend(lb.map(|layer| LayerDiff {
                a_size: 0,
                b_size: layer.size,
                ..alone(layer, None, nb)
            }));
            continue;
        };
        let equal = la.hashes.sha256 == lb.hashes.sha256;
        let mut pair = LayerDiff { b_size: lb.size, equal, ..alone(la, Some(na), Some(nb)) };
        if let (false, Some(own_a), Some(own_b)) = (equal, a.layer(na), b.layer(nb)) {
            let side = |report, number, layer, bytes| Side { report, number, layer, bytes };
            let (side_a, side_b) = (side(ra, na, la, own_a), side(rb, nb, lb, own_b));
            let mut ranges = compared(&side_a, &side_b, &pairs);
            pair.beginning = parts::is_beginning(own_a, own_b);
            let used: usize = found.layers.iter().map(|layer| layer.ranges.len()).sum();
            let room = RANGES_MAX.saturating_sub(used);
            found.more = found.more.saturating_add(size(ranges.len().saturating_sub(room)));
            ranges.truncate(room);
            pair.compared = true;
            pair.ranges = ranges;
        }
        found.layers.push(pair);
    }
    found.lines = words::lines(&found, ra, rb);
    found
}

/// Where a pair's own bytes differ, and what stands there.
fn compared(a: &Side<'_>, b: &Side<'_>, pairs: &[Pair]) -> Vec<RangeDiff> {
    if let Some(ranges) = stub::ranges(a.layer, b.layer, a.bytes, b.bytes) {
        return ranges;
    }
    let mut ranges = parts::ranges(a, b);
    for range in &mut ranges {
        let (in_a, in_b) = (a.holder(range.a_at, range.a_size), b.holder(range.b_at, range.b_size));
        range.meaning = match (in_a, in_b) {
            (Some(held), None) if range.a_size > 0 => only(held, "A", pairs::of_a(pairs, held.0), b),
            (None, Some(held)) if range.b_size > 0 => only(held, "B", pairs::of_b(pairs, held.0), a),
            _ if a.is_length(range.a_at, range.a_size) => LENGTH.to_owned(),
            _ if range.a_size == 0 => meaning(b, a, &flipped(range)),
            _ => meaning(a, b, range),
        };
    }
    headers_once(ranges)
}

/// What stands in front of a file that another one carries.
const LENGTH: &str = "the length of what it carries";

/// A range that lies in a layer of one side and in none there of the other, which may have that layer elsewhere.
fn only((_, held): (u32, &Layer), who: &str, there: Option<u32>, other: &Side<'_>) -> String {
    let name = words::title(held);
    let one = if who == "A" { "B" } else { "A" };
    match there.and_then(|at| other.report.layer(at)) {
        None => format!("what only {who} has as {name}"),
        Some(there) if there.parent != Some(other.number) => {
            format!("{name}, which lies in something else in {one}")
        }
        Some(there) => match meaning::shift(held.offset, there.offset) {
            Some(shift) => format!("{name}, which {shift} in {one}"),
            None => format!("{name}, which has another size in {one}"),
        },
    }
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

#[cfg(test)]
mod tests;
