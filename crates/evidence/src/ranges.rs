//! Which bytes of an upload are here: ordered, disjoint, merged.

use roridula_proto::event::ByteRange;

/// Adds `start..end`. Bytes that arrive in order touch the last range only.
pub(crate) fn add(ranges: &mut Vec<ByteRange>, start: u64, end: u64) {
    if end <= start {
        return;
    }
    // The first range that `start..end` touches or comes before.
    let from = ranges.partition_point(|range| range.end < start);
    let until = from + ranges[from..].partition_point(|range| range.start <= end);
    let merged = ranges[from..until].iter().fold(ByteRange { start, end }, |all, range| ByteRange {
        start: all.start.min(range.start),
        end: all.end.max(range.end),
    });
    ranges.splice(from..until, [merged]);
}

/// Whether all of `start..end` is here.
pub(crate) fn holds(ranges: &[ByteRange], start: u64, end: u64) -> bool {
    let from = ranges.partition_point(|range| range.end <= start);
    end <= start || ranges.get(from).is_some_and(|range| range.start <= start && end <= range.end)
}

/// Whether nothing of `start..end` is here.
pub(crate) fn lacks(ranges: &[ByteRange], start: u64, end: u64) -> bool {
    let from = ranges.partition_point(|range| range.end <= start);
    end <= start || ranges.get(from).is_none_or(|range| range.start >= end)
}

/// How many bytes are here.
pub(crate) fn total(ranges: &[ByteRange]) -> u64 {
    ranges.iter().map(|range| range.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_order_gives_the_same_ranges() {
        let mut seed = 7u64;
        for _ in 0..200 {
            let mut held = [false; 64];
            let mut ranges = Vec::new();
            for _ in 0..12 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let start = (seed >> 33) % 64;
                let end = (start + (seed >> 50) % 9).min(64);
                held[start as usize..end as usize].fill(true);
                add(&mut ranges, start, end);
                for at in 0..64u64 {
                    assert_eq!(holds(&ranges, at, at + 1), held[at as usize]);
                    assert_eq!(lacks(&ranges, at, at + 1), !held[at as usize]);
                }
                assert!(ranges.windows(2).all(|pair| pair[0].end < pair[1].start), "not merged: {ranges:?}");
            }
            assert_eq!(total(&ranges), held.iter().filter(|&&here| here).count() as u64);
        }
    }

    #[test]
    fn a_range_across_a_hole_is_neither_held_nor_lacked() {
        let ranges = [ByteRange { start: 0, end: 4 }, ByteRange { start: 8, end: 12 }];
        assert!(!holds(&ranges, 2, 10) && !lacks(&ranges, 2, 10));
        assert!(lacks(&ranges, 4, 8) && holds(&ranges, 8, 12));
    }
}
