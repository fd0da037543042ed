//! Which bytes of an upload are here.

use crate::event::ByteRange;

/// Disjoint, merged, ascending ranges.
#[derive(Debug, Default)]
pub(crate) struct Ranges(Vec<ByteRange>);

impl Ranges {
    /// The ranges.
    pub(crate) fn as_slice(&self) -> &[ByteRange] {
        &self.0
    }

    /// Bytes in all of them.
    pub(crate) fn total(&self) -> u64 {
        self.0.iter().fold(0, |sum, range| sum.saturating_add(range.len()))
    }

    /// Whether `0..end` is all here.
    pub(crate) fn covers(&self, end: u64) -> bool {
        self.0.first().is_some_and(|first| first.start == 0 && first.end >= end)
    }

    /// The parts of `range` in order, each with whether its place is still free.
    pub(crate) fn parts(&self, range: ByteRange) -> Vec<(ByteRange, bool)> {
        let mut parts = Vec::new();
        let mut at = range.start;
        let from = self.0.partition_point(|held| held.end <= range.start);
        for held in self.0.get(from..).unwrap_or_default() {
            if held.start >= range.end {
                break;
            }
            if at < held.start {
                parts.push((ByteRange { start: at, end: held.start }, true));
            }
            let end = held.end.min(range.end);
            parts.push((ByteRange { start: held.start.max(at), end }, false));
            at = end;
        }
        if at < range.end {
            parts.push((ByteRange { start: at, end: range.end }, true));
        }
        parts
    }

    /// Adds `range`, merging it with its neighbours.
    pub(crate) fn insert(&mut self, range: ByteRange) {
        if range.is_empty() {
            return;
        }
        // In order, the usual case: the last range grows.
        if let Some(last) = self.0.last_mut()
            && range.start == last.end
        {
            last.end = range.end;
            return;
        }
        let from = self.0.partition_point(|held| held.end < range.start);
        let to = self.0.partition_point(|held| held.start <= range.end);
        let touched = self.0.get(from..to).unwrap_or_default();
        let start = touched.first().map_or(range.start, |held| held.start.min(range.start));
        let end = touched.last().map_or(range.end, |held| held.end.max(range.end));
        self.0.splice(from..to, [ByteRange { start, end }]);
    }

    /// Bytes owned.
    pub(crate) fn memory_used(&self) -> usize {
        self.0.capacity().saturating_mul(size_of::<ByteRange>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: u64, end: u64) -> ByteRange {
        ByteRange { start, end }
    }

    #[test]
    fn ranges_equal_a_set_of_bytes() {
        // Against the plainest model: a bit per byte, for every sequence of three insertions.
        let all: Vec<ByteRange> = (0..6).flat_map(|a| (a + 1..=6).map(move |b| range(a, b))).collect();
        for &a in &all {
            for &b in &all {
                for &c in &all {
                    let mut ranges = Ranges::default();
                    let mut bits = [false; 6];
                    for part in [a, b, c] {
                        for (piece, free) in ranges.parts(part) {
                            assert!((piece.start..piece.end).all(|at| bits[at as usize] != free));
                        }
                        ranges.insert(part);
                        (part.start..part.end).for_each(|at| bits[at as usize] = true);
                    }
                    let held: u64 = bits.iter().map(|&bit| u64::from(bit)).sum();
                    assert_eq!(ranges.total(), held, "{a:?} {b:?} {c:?}");
                    assert!(ranges.as_slice().windows(2).all(|pair| pair[0].end < pair[1].start));
                    assert_eq!(ranges.covers(6), held == 6);
                }
            }
        }
    }
}
