//! Where two stubs of one layout differ, part by part.

use super::{RangeDiff, differing};
use crate::bytes::le_u32;
use crate::peel::stub::{ALL, Layout, metasploit};
use crate::report::{Kind, Layer};
use crate::text::number;
use std::ops::Range;

/// A part of a stub: a field with a number in it, or code.
struct Part {
    place: Range<usize>,
    what: &'static str,
    kind: PartKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum PartKind {
    /// A number of 32 bits.
    Field,
    /// Code that is entered at its first byte.
    Entry,
    Code,
}

/// Where the two differ, each range in one part and named by it; `None` unless both are stubs of one size.
pub(super) fn ranges(a: &Layer, b: &Layer, a_bytes: &[u8], b_bytes: &[u8]) -> Option<Vec<RangeDiff>> {
    if a.kind != Kind::Stub || b.kind != Kind::Stub || a_bytes.len() != b_bytes.len() {
        return None;
    }
    let mut ranges = Vec::new();
    for part in parts(a_bytes.len()) {
        let (Some(one), Some(other)) = (a_bytes.get(part.place.clone()), b_bytes.get(part.place.clone()))
        else {
            continue;
        };
        if one == other {
            continue;
        }
        let start = u64::try_from(part.place.start).unwrap_or(u64::MAX);
        if let (true, Some(x), Some(y)) = (part.kind == PartKind::Field, le_u32(one, 0), le_u32(other, 0)) {
            let meaning = format!("{} {} → {}", part.what, number(x.into()), number(y.into()));
            ranges.push(RangeDiff { a_at: start, a_size: 4, b_at: start, b_size: 4, meaning });
            continue;
        }
        ranges.extend(differing(one, other).into_iter().map(|range| {
            let at_entry =
                if range.a_at == 0 && part.kind == PartKind::Entry { ", from its entry" } else { "" };
            let at = start.saturating_add(range.a_at);
            RangeDiff { a_at: at, b_at: at, meaning: format!("{}{at_entry}", part.what), ..range }
        }));
    }
    Some(ranges)
}

/// The parts of a stub of this length, in order: they leave nothing out.
fn parts(len: usize) -> Vec<Part> {
    let one = |what, kind| vec![Part { place: 0..len, what, kind }];
    match ALL.iter().find(|layout| layout.file_at == len) {
        Some(layout) => of_double_pulsar(layout),
        None if len == metasploit::STUB => one("kernel part", PartKind::Entry),
        None => one("code of an unknown stub", PartKind::Code),
    }
}

/// Kernel part, how much it copies, user part, and the user part's own two numbers behind it.
fn of_double_pulsar(layout: &Layout) -> Vec<Part> {
    let loader = usize::try_from(layout.loader).unwrap_or(0);
    let user_at = layout.file_at.saturating_sub(loader);
    let field = |at: usize, what| Part { place: at..at.saturating_add(4), what, kind: PartKind::Field };
    let copied = field(layout.copied_at, "size copied to user mode");
    let size = field(layout.size_at, "payload size field");
    let ordinal = field(size.place.end, "export ordinal field");
    let entry = |place, what| Part { place, what, kind: PartKind::Entry };
    let copied_end = copied.place.end;
    vec![
        entry(0..layout.copied_at, "kernel part"),
        copied,
        // Nothing on x86.
        Part { place: copied_end..user_at, what: "kernel part", kind: PartKind::Code },
        entry(user_at..layout.size_at, "user part"),
        size,
        ordinal,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peel::stub::{X64, X86};

    #[test]
    fn the_parts_are_the_whole_stub() {
        for len in [X86.file_at, X64.file_at, metasploit::STUB, 333] {
            let mut places: Vec<_> = parts(len).into_iter().map(|part| part.place).collect();
            places.sort_by_key(|place| place.start);
            let mut end = 0;
            for place in places {
                assert_eq!(place.start, end, "{len}");
                end = place.end;
            }
            assert_eq!(end, len);
        }
    }

    #[test]
    fn a_difference_in_a_stub_is_named() {
        let a: Vec<u8> = (0..X64.file_at).map(|at| (at % 251) as u8).collect();
        let mut b = a.clone();
        b[3] ^= 1;
        b[X64.file_at - 3978] ^= 1;
        b[0x1000..0x1004].fill(0);
        let mut a = a;
        // The payload's size and the ordinal behind it are neighbours, and told apart.
        for (stub, size, ordinal) in [(&mut a, 5_298_176u32, 1u32), (&mut b, 5120, 2)] {
            stub[X64.size_at..][..4].copy_from_slice(&size.to_le_bytes());
            stub[X64.size_at + 4..][..4].copy_from_slice(&ordinal.to_le_bytes());
        }
        let layer = |bytes| super::super::tests::layer(None, Kind::Stub, 0, bytes);
        let found = ranges(&layer(&a), &layer(&b), &a, &b).unwrap();
        let told: Vec<_> = found.iter().map(|range| (range.a_at, range.meaning.as_str())).collect();
        let expected = [
            (3, "kernel part"),
            (0x876, "user part, from its entry"),
            (0x1000, "user part"),
            (0x17f8, "payload size field 5,298,176 → 5,120"),
            (0x17fc, "export ordinal field 1 → 2"),
        ];
        assert_eq!(told, expected);
        assert_eq!(ranges(&layer(&a), &layer(&b[1..]), &a, &b[1..]), None);
    }
}
