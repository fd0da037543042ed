//! Shannon's entropy of ranges that may overlap in any way: one walk, a count at each boundary.

use super::Seen;
use std::collections::BTreeMap;
use std::ops::Range;

/// How often each byte occurs.
pub(crate) type Counts = [u32; 256];

/// Bits a byte of each range, rounded to hundredths, and its counts.
pub(crate) fn entropies(base: &[u8], ranges: &[Range<usize>], seen: &[Seen<'_>]) -> Vec<(f32, Counts)> {
    let mut bounds: BTreeMap<usize, Counts> = BTreeMap::new();
    for range in ranges.iter().chain(seen.iter().map(|seen| &seen.range)) {
        for bound in [range.start, range.end] {
            bounds.insert(bound.min(base.len()), [0; 256]);
        }
    }
    let mut so_far = [0; 256];
    let mut from = bounds.keys().next().copied().unwrap_or(0);
    for (&bound, counts) in &mut bounds {
        match seen.iter().find(|seen| seen.range == (from..bound)) {
            Some(seen) => add(&mut so_far, &seen.trace.entropy),
            None => count(base.get(from..bound).unwrap_or_default(), &mut so_far),
        }
        *counts = so_far;
        from = bound;
    }
    let none = [0; 256];
    let at = |bound: usize| bounds.get(&bound.min(base.len())).unwrap_or(&none);
    let counts = |range: &Range<usize>| {
        let mut counts = *at(range.end);
        let before = at(range.start);
        counts.iter_mut().zip(before).for_each(|(end, start)| *end = end.wrapping_sub(*start));
        (entropy(&counts), counts)
    };
    ranges.iter().map(counts).collect()
}

fn add(counts: &mut Counts, more: &Counts) {
    for (sum, count) in counts.iter_mut().zip(more) {
        *sum = sum.wrapping_add(*count);
    }
}

/// Adds up how often each byte occurs.
fn count(bytes: &[u8], counts: &mut Counts) {
    // Four tables: equal neighbours, as in padding, would wait for each other in one.
    let mut tables = [[0u32; 256]; 4];
    for four in bytes.chunks(4) {
        for (table, &byte) in tables.iter_mut().zip(four) {
            if let Some(count) = table.get_mut(usize::from(byte)) {
                *count = count.wrapping_add(1);
            }
        }
    }
    for table in &tables {
        add(counts, table);
    }
}

fn entropy(counts: &Counts) -> f32 {
    let counts = counts.iter().map(|count| f64::from(*count));
    let total: f64 = counts.clone().sum();
    let bits: f64 = counts.filter(|&n| n > 0.0).map(|n| n * (total / n).log2()).sum();
    let rounded = if total > 0.0 { (bits / total * 100.0).round() } else { 0.0 };
    // At most 800: exact in either type, and there is no checked way from one to the other.
    (0u16..=800).map(f32::from).find(|&hundredths| f64::from(hundredths) >= rounded).unwrap_or(800.0) / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entropy_of_known_bytes_in_ranges_that_overlap() {
        let every: Vec<u8> = (0..=255).collect();
        let base = [&[7u8; 256][..], &every, b"ab"].concat();
        let ranges = [0..256, 256..512, 512..514, 0..512, 600..700, 0..0, 510..9999];
        let expected = [0.0, 8.0, 1.0, 4.98, 0.0, 0.0, 2.0];
        let found: Vec<f32> = entropies(&base, &ranges, &[]).iter().map(|(bits, _)| *bits).collect();
        assert_eq!(found, expected);
    }
}
