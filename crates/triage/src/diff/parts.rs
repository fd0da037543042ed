//! The parts of a layer that are its own: what no layer inside of it takes, cut where sections and the like begin.

use super::{RangeDiff, differing};
use crate::facts::Indicator;
use crate::report::{FoundBy, Layer, Report};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Bytes of a length that stands in front of a file.
pub(super) const LENGTH_SIZE: u64 = 4;

/// One of the two layers that are compared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Side<'a> {
    pub(super) report: &'a Report,
    pub(super) number: u32,
    pub(super) layer: &'a Layer,
    /// All of the layer.
    pub(super) bytes: &'a [u8],
}

impl Side<'_> {
    /// Where the layers inside of it lie, in order.
    fn inside(&self) -> Vec<Range<u64>> {
        let children = self.report.children(self.number);
        let mut places: Vec<_> = children.map(|(_, inner)| place(inner.offset, inner.stored_size)).collect();
        places.sort_by_key(|place| (place.start, place.end));
        places
    }

    /// The layer inside of it that holds all of these bytes, with its number.
    pub(super) fn holder(&self, at: u64, size: u64) -> Option<(u32, &Layer)> {
        let end = at.saturating_add(size);
        let mut children = self.report.children(self.number);
        children.find(|(_, inner)| inner.offset <= at && end <= place(inner.offset, inner.stored_size).end)
    }

    /// Whether layers inside of it take all of these bytes.
    fn is_taken(&self, range: &Range<u64>) -> bool {
        let mut at = range.start;
        for inner in self.inside().iter().filter(|inner| inner.end > range.start) {
            if inner.start > at {
                break;
            }
            at = at.max(inner.end);
        }
        at >= range.end
    }

    /// Whether it has these bytes of the other one at the same place, in layers of its own: the other one, which may be
    /// cut there, has none.
    fn has_there(&self, other: &[u8], range: &Range<u64>) -> bool {
        bytes(other, range).is_some_and(|there| bytes(self.bytes, range) == Some(there))
            && self.is_taken(range)
    }

    /// Whether something of this kind and value stands anywhere in the sample.
    pub(super) fn has(&self, wanted: &Indicator) -> bool {
        let mut all = self.report.layers.iter().flat_map(|layer| &layer.facts.indicators);
        all.any(|found| found.kind == wanted.kind && found.value == wanted.value)
    }

    /// Where something begins or ends that a difference may be about.
    fn borders(&self) -> BTreeSet<u64> {
        let facts = &self.layer.facts;
        let pe = facts.pe.iter();
        let sections =
            pe.clone().flat_map(|pe| &pe.sections).map(|one| place(one.offset.into(), one.size.into()));
        let resources = pe.clone().flat_map(|pe| &pe.resources).map(|one| place(one.offset, one.size));
        let members =
            facts.zip.iter().flat_map(|zip| &zip.members).map(|one| place(one.offset, one.stored_size));
        let all = sections.chain(resources).chain(members).chain(self.inside());
        all.flat_map(|place| [place.start, place.end]).chain(pe.map(|pe| pe.end)).collect()
    }

    /// Where a text begins or ends that a small difference may be about.
    fn texts(&self) -> BTreeSet<u64> {
        let texts = self.layer.facts.indicators.iter().filter(|found| !found.value.is_empty());
        let places = texts.map(|found| place(found.at, super::size(found.value.len())));
        places.flat_map(|place| [place.start, place.end]).collect()
    }

    /// Whether a range is the length in front of a file that this one carries.
    pub(super) fn is_length(&self, at: u64, size: u64) -> bool {
        let end = at.saturating_add(size);
        let mut carried = self.report.children(self.number).map(|(_, inner)| inner);
        let field = |inner: &Layer| inner.offset.saturating_sub(LENGTH_SIZE) <= at && end <= inner.offset;
        size > 0 && carried.any(|inner| inner.found_by == FoundBy::LengthField && field(inner))
    }

    /// The parts by their names; those of one name are numbered.
    fn parts(&self) -> BTreeMap<(String, usize), Range<u64>> {
        let mut parts = BTreeMap::new();
        let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
        let inside = self.inside();
        for (name, zone) in self.zones() {
            let mut at = zone.start;
            let ends = std::iter::once(zone.end..zone.end);
            for inner in inside.iter().cloned().chain(ends).filter(|inner| inner.end > zone.start) {
                let end = inner.start.min(zone.end);
                let number = numbers.entry(name.clone()).or_default();
                // Also an empty one: what stands behind a layer is paired with what stands behind it there.
                parts.insert((name.clone(), *number), at.min(end)..end);
                *number = number.saturating_add(1);
                at = at.max(inner.end);
                if inner.end >= zone.end {
                    break;
                }
            }
        }
        parts
    }

    /// The layer from its first byte to its last, in zones that have a name where they are sections.
    fn zones(&self) -> Vec<(String, Range<u64>)> {
        let size = super::size(self.bytes.len());
        let mut sections: Vec<_> = self.layer.facts.pe.iter().flat_map(|pe| &pe.sections).collect();
        sections.sort_by_key(|section| section.offset);
        let (mut zones, mut at) = (Vec::new(), 0);
        for section in sections {
            let found = place(section.offset.into(), section.size.into());
            let (start, end) = (found.start.clamp(at, size), found.end.clamp(at, size));
            zones.push((String::new(), at..start));
            zones.push((format!("section {}", section.name), start..end));
            at = end;
        }
        zones.push((String::new(), at..size));
        zones.retain(|(_, zone)| !zone.is_empty());
        zones
    }
}

fn place(at: u64, size: u64) -> Range<u64> {
    at..at.saturating_add(size)
}

fn bytes<'a>(all: &'a [u8], range: &Range<u64>) -> Option<&'a [u8]> {
    all.get(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?)
}

/// Where the own bytes of two layers differ. Of the same length: byte by byte, no range longer than what it is about.
/// Otherwise part by part.
pub(super) fn ranges(a: &Side<'_>, b: &Side<'_>) -> Vec<RangeDiff> {
    if is_beginning(a.bytes, b.bytes) {
        return behind(a, b);
    }
    if a.bytes.len() != b.bytes.len() {
        return by_parts(a, b);
    }
    let mut borders = a.borders();
    borders.append(&mut b.borders());
    // A text that changed from within a longer one, as a domain in its URL, is no change of its own.
    let same = |at: u64| bytes(a.bytes, &place(at, 1)) == bytes(b.bytes, &place(at, 1));
    let stands_alone = |at: &u64| same(*at) || at.checked_sub(1).is_some_and(same);
    let texts = a.texts().into_iter().chain(b.texts()).filter(stands_alone);
    let fine: BTreeSet<u64> = borders.iter().copied().chain(texts).collect();
    let cut = |range: RangeDiff| {
        let borders = if range.a_size <= super::SMALL { &fine } else { &borders };
        pieces(range, borders, a.bytes, b.bytes)
    };
    let mut ranges: Vec<RangeDiff> = differing(a.bytes, b.bytes).into_iter().flat_map(cut).collect();
    // What lies in a layer inside of both is told there; but members as they are stored are seen here alone.
    let told = |holder: Option<(u32, &Layer)>| {
        holder.is_some_and(|(_, inner)| inner.encoding.is_empty() || inner.found_by != FoundBy::Directory)
    };
    let of_both = |range: &RangeDiff| {
        told(a.holder(range.a_at, range.a_size)) && told(b.holder(range.b_at, range.b_size))
    };
    ranges.retain(|range| !of_both(range));
    ranges
}

/// Whether the shorter of the two is how the longer begins.
pub(super) fn is_beginning(a: &[u8], b: &[u8]) -> bool {
    let len = a.len().min(b.len());
    len > 0 && a.len() != b.len() && a.get(..len) == b.get(..len)
}

/// What the longer one has of its own behind what both have.
fn behind(a: &Side<'_>, b: &Side<'_>) -> Vec<RangeDiff> {
    let (end_a, end_b) = (super::size(a.bytes.len()), super::size(b.bytes.len()));
    let longer = if end_a > end_b { a } else { b };
    let parts = longer.parts().into_values().map(|part| part.start.max(end_a.min(end_b))..part.end);
    let mut parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
    parts.sort_by_key(|part| part.start);
    let told = |part: Range<u64>| {
        let (at, size) = (part.start, part.end.saturating_sub(part.start));
        match end_a > end_b {
            true => RangeDiff { a_at: at, a_size: size, b_at: end_b, ..RangeDiff::default() },
            false => RangeDiff { b_at: at, b_size: size, a_at: end_a, ..RangeDiff::default() },
        }
    };
    parts.into_iter().map(told).collect()
}

fn by_parts(a: &Side<'_>, b: &Side<'_>) -> Vec<RangeDiff> {
    let (of_a, mut of_b) = (a.parts(), b.parts());
    let mut ranges = Vec::new();
    for (name, x) in of_a {
        let y = of_b.remove(&name).unwrap_or_default();
        let (Some(one), Some(other)) = (bytes(a.bytes, &x), bytes(b.bytes, &y)) else { continue };
        if one == other {
            continue;
        }
        ranges.extend(differing(one, other).into_iter().map(|range| RangeDiff {
            a_at: range.a_at.saturating_add(x.start),
            b_at: range.b_at.saturating_add(y.start),
            ..range
        }));
    }
    let only_b = of_b.into_values().filter(|y| !y.is_empty());
    ranges.extend(only_b.map(|y| RangeDiff {
        b_at: y.start,
        b_size: y.end.saturating_sub(y.start),
        ..RangeDiff::default()
    }));
    ranges.retain(|range| match (range.a_size, range.b_size) {
        (0, size) => !a.has_there(b.bytes, &place(range.b_at, size)),
        (size, 0) => !b.has_there(a.bytes, &place(range.a_at, size)),
        _ => true,
    });
    ranges.sort_by_key(|range| (range.a_at, range.b_at));
    ranges
}

/// A range between the borders that it crosses, each piece from its first byte that differs to its last.
fn pieces(range: RangeDiff, borders: &BTreeSet<u64>, a: &[u8], b: &[u8]) -> Vec<RangeDiff> {
    let whole = place(range.a_at, range.a_size);
    let crossed = borders.range(whole.clone()).copied().filter(|&border| border > whole.start);
    let mut pieces = Vec::new();
    let mut start = whole.start;
    for end in crossed.chain([whole.end]) {
        let piece = start..end;
        start = end;
        let (Some(x), Some(y)) = (bytes(a, &piece), bytes(b, &piece)) else { continue };
        let differs = || x.iter().zip(y).map(|(x, y)| x != y);
        let (Some(first), Some(last)) = (differs().position(|is| is), differs().rposition(|is| is)) else {
            continue;
        };
        let at = piece.start.saturating_add(super::size(first));
        let size = super::size(last.saturating_sub(first).saturating_add(1));
        pieces.push(RangeDiff { a_at: at, a_size: size, b_at: at, b_size: size, meaning: String::new() });
    }
    pieces
}
