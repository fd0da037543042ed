//! TLSH (Oliver, Cheng, Chen: "TLSH – A Locality Sensitive Hash", 2013) with 128 buckets and one byte of checksum,
//! as version 4 writes it: prefix `T1`.
//!
//! Each window of five bytes counts in six buckets. Counts add up, so that nested ranges share them; only the
//! checksum is a chain of its own for each range, and chains that do not wait for each other run side by side.

use super::{Seen, is_all, within};
use std::fmt::Write;
use std::ops::Range;

/// Smaller ones have no hash.
const SIZE_MIN: usize = 50;
/// Buckets that the hash is made of.
const BUCKETS: usize = 128;
/// Bytes that are walked over in one go.
const CHUNK: usize = 4096;
/// Chains of checksums that run side by side.
const CHAINS: usize = 4;

type Table = [u8; 256];
type Counts = [u32; 256];

/// What the windows of a layer count, and what they made of checksums that came in.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    counts: Box<Counts>,
    sums: Vec<(u8, u8)>,
}

struct Walk {
    /// Where windows end that belong to the range.
    ends: Range<usize>,
    size: usize,
    counts: Box<Counts>,
    checksum: u8,
    /// Checksums of walks around it, and of itself, that have come to it.
    entered: Vec<(usize, u8)>,
    /// What it made of them.
    sums: Vec<(u8, u8)>,
}

/// The hash of each range, empty where it is too small or too uniform; and its trace. What was `seen` before is not
/// walked over, if the checksums come in as they did then.
pub(crate) fn hashes(base: &[u8], ranges: &[Range<usize>], seen: &[Seen<'_>]) -> Vec<(String, Trace)> {
    let mut walks: Vec<Walk> =
        ranges.iter().map(|range| Walk::new(within(base, range).len(), range)).collect();
    let known: Vec<(Range<usize>, &Trace)> = seen
        .iter()
        .map(|seen| (Walk::new(within(base, &seen.range).len(), &seen.range).ends, &seen.trace.tlsh))
        .filter(|(ends, _)| !ends.is_empty())
        .collect();
    let ends = walks.iter().map(|walk| &walk.ends).chain(known.iter().map(|(ends, _)| ends));
    let mut bounds: Vec<usize> = ends.flat_map(|ends| [ends.start, ends.end]).collect();
    bounds.sort_unstable();
    bounds.dedup();
    let mut counter = Counter::new();
    for pair in bounds.windows(2) {
        let &[from, to] = pair else { continue };
        enter(&mut walks, from);
        let mut active: Vec<&mut Walk> =
            walks.iter_mut().filter(|walk| walk.ends.start <= from && to <= walk.ends.end).collect();
        if active.is_empty() {
            continue;
        }
        let recalled = known.iter().find(|(ends, _)| *ends == (from..to));
        let counts = recalled.and_then(|(_, trace)| trace.recall(&mut active));
        let counts = counts.unwrap_or_else(|| counter.count(base, from..to, &mut active));
        for walk in active {
            for (sum, count) in walk.counts.iter_mut().zip(&counts) {
                *sum = sum.wrapping_add(*count);
            }
        }
        leave(&mut walks, to);
    }
    let told = |walk: Walk| (walk.text().unwrap_or_default(), Trace { counts: walk.counts, sums: walk.sums });
    walks.into_iter().map(told).collect()
}

/// Notes the checksums with which other walks come to those that begin here.
fn enter(walks: &mut [Walk], at: usize) {
    let sums: Vec<(usize, u8, Range<usize>)> =
        walks.iter().enumerate().map(|(number, walk)| (number, walk.checksum, walk.ends.clone())).collect();
    for walk in walks.iter_mut().filter(|walk| walk.ends.start == at) {
        let around = sums.iter().filter(|(_, _, ends)| ends.start <= at && walk.ends.end <= ends.end);
        walk.entered = around.map(|(number, sum, _)| (*number, *sum)).collect();
    }
}

/// Notes what became of them where walks end.
fn leave(walks: &mut [Walk], at: usize) {
    let sums: Vec<u8> = walks.iter().map(|walk| walk.checksum).collect();
    for walk in walks.iter_mut().filter(|walk| walk.ends.end == at) {
        let entered = std::mem::take(&mut walk.entered);
        walk.sums =
            entered.into_iter().filter_map(|(number, before)| Some((before, *sums.get(number)?))).collect();
        walk.sums.sort_unstable();
        walk.sums.dedup();
    }
}

impl Trace {
    /// The counts, with the checksums carried on; `None` if one of them was not seen.
    fn recall(&self, walks: &mut [&mut Walk]) -> Option<Counts> {
        let made = |sum: u8| self.sums.iter().find(|(before, _)| *before == sum).map(|(_, after)| *after);
        let sums: Vec<u8> = walks.iter().map(|walk| made(walk.checksum)).collect::<Option<_>>()?;
        walks.iter_mut().zip(sums).for_each(|(walk, sum)| walk.checksum = sum);
        Some(*self.counts)
    }
}

/// The hash of `bytes` alone.
#[cfg(test)]
pub(crate) fn hash(bytes: &[u8]) -> String {
    hashes(bytes, std::slice::from_ref(&(0..bytes.len())), &[])
        .pop()
        .map(|(hash, _)| hash)
        .unwrap_or_default()
}

struct Counter {
    /// For each byte what the first of three mixing steps makes of it, for each of [`SALTS`].
    first: [[u8; 8]; 256],
    /// Of the last uniform chunk: its byte, its length, and what it does to a checksum.
    uniform: Option<(u8, usize, Table)>,
}

/// Of the checksum, then of the six pairs of a window's newest byte with two older ones; the last one fills up.
const SALTS: [u8; 8] = [1, 49, 12, 84, 178, 166, 230, 0];

impl Counter {
    fn new() -> Self {
        let mut first = [[0; 8]; 256];
        for (byte, firsts) in (0u8..=255).zip(&mut first) {
            *firsts = SALTS.map(|salt| look(&PEARSON, usize::from(salt ^ byte)));
        }
        Self { first, uniform: None }
    }

    /// What the windows count that end in `ends`; carries the checksums on.
    fn count(&mut self, base: &[u8], ends: Range<usize>, walks: &mut [&mut Walk]) -> Counts {
        let mut counts = [0u32; 256];
        let mut chain = [0u8; CHUNK];
        let mut from = ends.start;
        while from < ends.end {
            let to = from.saturating_add(CHUNK).min(ends.end);
            let bytes = base.get(from.saturating_sub(4)..to).unwrap_or_default();
            let len = to.saturating_sub(from);
            from = to;
            let byte = bytes.first().copied().unwrap_or(0);
            if is_all(bytes, byte) {
                self.uniform_chunk(byte, len, &mut counts, walks);
                continue;
            }
            let together = walks.len().min(CHAINS);
            let (first, more) = walks.split_at_mut_checked(together).unwrap_or_default();
            // Checksums wait for themselves at each byte; the windows are counted meanwhile.
            match first {
                [walk] => self.windows(bytes, &mut counts, &mut chain, [&mut walk.checksum]),
                first => {
                    let mut sums = sums(first);
                    self.windows(bytes, &mut counts, &mut chain, sums.each_mut());
                    for (sum, walk) in sums.iter().zip(first) {
                        walk.checksum = *sum;
                    }
                }
            }
            let chain = chain.get(..len).unwrap_or_default();
            for group in more.chunks_mut(CHAINS) {
                follow(chain, group);
            }
        }
        counts
    }

    /// Counts the windows of `bytes`; each has a link of the checksum, on which `sums` are carried.
    fn windows<const N: usize>(
        &self,
        bytes: &[u8],
        counts: &mut Counts,
        chain: &mut [u8],
        sums: [&mut u8; N],
    ) {
        let (before, ends) = bytes.split_at_checked(4).unwrap_or_default();
        let [mut e, mut d, mut c, mut b] = before.first_chunk().copied().unwrap_or([0; 4]);
        let mut running = sums.each_ref().map(|sum| **sum);
        // Two tables: neighbours that count in one bucket would wait for each other in one. The third mixing step moves
        // all that was counted under one number to another: it is made once, below.
        let mut tables = [[0u32; 256]; 2];
        for (&a, link) in ends.iter().zip(chain) {
            let [sum, ab_c, ab_d, ab_e, ac_d, ac_e, ad_e, _] =
                self.first.get(usize::from(a)).copied().unwrap_or_default();
            let [one, other] = &mut tables;
            let count = |counts: &mut Counts, first: u8, second: u8, third: u8| {
                let mixed = look(&PEARSON, usize::from(first ^ second)) ^ third;
                if let Some(count) = counts.get_mut(usize::from(mixed)) {
                    *count = count.wrapping_add(1);
                }
            };
            count(one, ab_c, b, c);
            count(other, ab_d, b, d);
            count(one, ab_e, b, e);
            count(other, ac_d, c, d);
            count(one, ac_e, c, e);
            count(other, ad_e, d, e);
            *link = look(&PEARSON, usize::from(sum ^ b));
            for running in &mut running {
                *running = look(&PEARSON, usize::from(*link ^ *running));
            }
            (b, c, d, e) = (a, b, c, d);
        }
        for table in &tables {
            for (&bucket, count) in PEARSON.iter().zip(table) {
                let sum = counts.get_mut(usize::from(bucket));
                sum.into_iter().for_each(|sum| *sum = sum.wrapping_add(*count));
            }
        }
        sums.into_iter().zip(running).for_each(|(sum, running)| *sum = running);
    }

    /// `len` windows of nothing but `byte`, as in padding: one counts for all.
    fn uniform_chunk(&mut self, byte: u8, len: usize, counts: &mut Counts, walks: &mut [&mut Walk]) {
        let mut one = [0u32; 256];
        let mut link = [0];
        self.windows(&[byte; 5], &mut one, &mut link, []);
        let times = u32::try_from(len).unwrap_or(u32::MAX);
        for (sum, count) in counts.iter_mut().zip(&one) {
            *sum = sum.wrapping_add(count.wrapping_mul(times));
        }
        let known = self.uniform.filter(|(of, size, _)| (*of, *size) == (byte, len));
        let (_, _, moved) = known.unwrap_or_else(|| (byte, len, repeated(link, len)));
        self.uniform = Some((byte, len, moved));
        for walk in walks {
            walk.checksum = look(&moved, usize::from(walk.checksum));
        }
    }
}

fn sums(walks: &[&mut Walk]) -> [u8; CHAINS] {
    let mut sums = [0; CHAINS];
    sums.iter_mut().zip(walks).for_each(|(sum, walk)| *sum = walk.checksum);
    sums
}

/// Carries up to [`CHAINS`] checksums over the same links.
fn follow(chain: &[u8], walks: &mut [&mut Walk]) {
    let mut sums = sums(walks);
    for link in chain {
        for sum in &mut sums {
            *sum = look(&PEARSON, usize::from(link ^ *sum));
        }
    }
    for (sum, walk) in sums.iter().zip(walks) {
        walk.checksum = *sum;
    }
}

/// What `times` equal links do to each checksum, by squaring.
fn repeated([link]: [u8; 1], mut times: usize) -> Table {
    let mut step = PEARSON;
    for (sum, to) in (0u8..=255).zip(&mut step) {
        *to = look(&PEARSON, usize::from(link ^ sum));
    }
    let mut all = PEARSON;
    for (sum, to) in (0u8..=255).zip(&mut all) {
        *to = sum;
    }
    while times > 0 {
        if times & 1 == 1 {
            all = all.map(|sum| look(&step, usize::from(sum)));
        }
        step = step.map(|sum| look(&step, usize::from(sum)));
        times >>= 1;
    }
    all
}

#[inline(always)]
fn look(table: &Table, at: usize) -> u8 {
    table.get(at).copied().unwrap_or(0)
}

impl Walk {
    fn new(size: usize, range: &Range<usize>) -> Self {
        // The first window ends with the fifth byte.
        let start = range.start.saturating_add(4);
        let ends = if size < SIZE_MIN { 0..0 } else { start..range.end };
        Self { ends, size, counts: Box::new([0; 256]), checksum: 0, entered: Vec::new(), sums: Vec::new() }
    }

    fn text(&self) -> Option<String> {
        let counts = self.counts.get(..BUCKETS)?;
        let mut sorted = counts.to_vec();
        sorted.sort_unstable();
        let quartile = |n: usize| sorted.get(n.checked_mul(BUCKETS / 4)?.checked_sub(1)?).copied();
        let (q1, q2, q3) = (quartile(1)?, quartile(2)?, quartile(3)?);
        let used = counts.iter().filter(|&&count| count > 0).count();
        if self.size < SIZE_MIN || q3 == 0 || used <= BUCKETS / 2 {
            return None;
        }
        let mut text = String::with_capacity(72);
        // Writing to a String cannot fail. Checksum and length stand there with their halves swapped.
        let _ = write!(text, "T1{:02X}", self.checksum.rotate_left(4));
        let _ = write!(text, "{:02X}", length_class(self.size).rotate_left(4));
        let _ = write!(text, "{:X}{:X}", ratio(q1, q3), ratio(q2, q3));
        for four in counts.rchunks(4) {
            let code = four.iter().rev().fold(0u8, |code, &count| {
                (code << 2)
                    | u8::from(count > q1)
                        .saturating_add(u8::from(count > q2))
                        .saturating_add(u8::from(count > q3))
            });
            let _ = write!(text, "{code:02X}");
        }
        Some(text)
    }
}

/// Percent, its lowest four bits; divided in single precision, as the original does, which may round up.
fn ratio(part: u32, whole: u32) -> u16 {
    let percent = single(part.wrapping_mul(100)) / single(whole);
    // Counted, because a float has no checked way to an integer.
    (0u16..=100).rev().find(|&n| f32::from(n) <= percent).unwrap_or(0) & 15
}

/// The nearest float: both halves are exact, their sum is rounded once.
fn single(number: u32) -> f32 {
    let half = |number: u32| f32::from(u16::try_from(number & 0xffff).unwrap_or(0));
    half(number >> 16) * 65536.0 + half(number)
}

/// The class of a length: logarithms whose base falls from 1.5 to 1.3 to 1.1.
fn length_class(size: usize) -> u8 {
    let class = LENGTHS.iter().position(|&bound| size <= usize::try_from(bound).unwrap_or(usize::MAX));
    class.and_then(|class| u8::try_from(class).ok()).unwrap_or(u8::MAX)
}

/// The table of P. Pearson's hash (CACM 33/6, 1990) as TLSH has it.
#[rustfmt::skip]
const PEARSON: Table = [
    1, 87, 49, 12, 176, 178, 102, 166, 121, 193, 6, 84, 249, 230, 44, 163, 14, 197, 213, 181, 161, 85,
    218, 80, 64, 239, 24, 226, 236, 142, 38, 200, 110, 177, 104, 103, 141, 253, 255, 50, 77, 101, 81, 18,
    45, 96, 31, 222, 25, 107, 190, 70, 86, 237, 240, 34, 72, 242, 20, 214, 244, 227, 149, 235, 97, 234,
    57, 22, 60, 250, 82, 175, 208, 5, 127, 199, 111, 62, 135, 248, 174, 169, 211, 58, 66, 154, 106, 195,
    245, 171, 17, 187, 182, 179, 0, 243, 132, 56, 148, 75, 128, 133, 158, 100, 130, 126, 91, 13, 153,
    246, 216, 219, 119, 68, 223, 78, 83, 88, 201, 99, 122, 11, 92, 32, 136, 114, 52, 10, 138, 30, 48,
    183, 156, 35, 61, 26, 143, 74, 251, 94, 129, 162, 63, 152, 170, 7, 115, 167, 241, 206, 3, 150, 55,
    59, 151, 220, 90, 53, 23, 131, 125, 173, 15, 238, 79, 95, 89, 16, 105, 137, 225, 224, 217, 160, 37,
    123, 118, 73, 2, 157, 46, 116, 9, 145, 134, 228, 207, 212, 202, 215, 69, 229, 27, 188, 67, 124, 168,
    252, 42, 4, 29, 108, 21, 247, 19, 205, 39, 203, 233, 40, 186, 147, 198, 192, 155, 33, 164, 191, 98,
    204, 165, 180, 117, 76, 140, 36, 210, 172, 41, 54, 159, 8, 185, 232, 113, 196, 231, 47, 146, 120, 51,
    65, 28, 144, 254, 221, 93, 189, 194, 139, 112, 43, 71, 109, 184, 209,
];

/// The longest length of each class, as in the reference implementation.
#[rustfmt::skip]
const LENGTHS: [u32; 170] = [
    1, 2, 3, 5, 7, 11, 17, 25, 38, 57, 86, 129, 194, 291, 437, 656, 854, 1110, 1443, 1876, 2439, 3171,
    3475, 3823, 4205, 4626, 5088, 5597, 6157, 6772, 7450, 8195, 9014, 9916, 10907, 11998, 13198, 14518,
    15970, 17567, 19323, 21256, 23382, 25720, 28292, 31121, 34233, 37656, 41422, 45564, 50121, 55133,
    60646, 66711, 73382, 80721, 88793, 97672, 107439, 118183, 130002, 143002, 157302, 173032, 190335,
    209369, 230306, 253337, 278670, 306538, 337191, 370911, 408002, 448802, 493682, 543050, 597356,
    657091, 722800, 795081, 874589, 962048, 1058252, 1164078, 1280486, 1408534, 1549388, 1704327,
    1874759, 2062236, 2268459, 2495305, 2744836, 3019320, 3321252, 3653374, 4018711, 4420582, 4862641,
    5348905, 5883796, 6472176, 7119394, 7831333, 8614467, 9475909, 10423501, 11465851, 12612437,
    13873681, 15261050, 16787154, 18465870, 20312458, 22343706, 24578077, 27035886, 29739474, 32713425,
    35984770, 39583245, 43541573, 47895730, 52685306, 57953837, 63749221, 70124148, 77136564, 84850228,
    93335252, 102668779, 112935659, 124229227, 136652151, 150317384, 165349128, 181884040, 200072456,
    220079703, 242087671, 266296456, 292926096, 322218735, 354440623, 389884688, 428873168, 471760495,
    518936559, 570830240, 627913311, 690704607, 759775136, 835752671, 919327967, 1011260767, 1112386880,
    1223623232, 1345985727, 1480584256, 1628642751, 1791507135, 1970657856, 2167723648, 2384496256,
    2622945920, 2885240448, 3173764736, 3491141248, 3840255616, 4224281216,
];
