//! Context-triggered piecewise hashes, as `ssdeep` 2.14 writes them (J. Kornblum: "Identifying almost identical
//! files using context triggered piecewise hashing", 2006).
//!
//! A rolling sum over seven bytes ends a piece wherever `sum + 1` is a multiple of the block size; each piece
//! becomes one character. `ssdeep` tries all block sizes at once because it reads a stream. Here the length is
//! known, so that only the few block sizes that can win are followed; pieces that several ranges share are
//! hashed once, and four pieces side by side.

use super::{Seen, is_all, within};
use std::collections::BTreeMap;
use std::ops::Range;

/// Bytes that the rolling sum looks back at, itself included.
const WINDOW: usize = 7;
/// The smallest block size; the others are it times a power of two.
const BLOCK_MIN: u64 = 3;
/// Characters of the first part; the second has half of them.
const LENGTH: usize = 64;
/// Levels that are followed at first: the guess, one above for the second part, two below.
const BELOW: u32 = 2;
/// What `ssdeep` cannot go beyond.
const LEVEL_MAX: u32 = 30;
/// Zeros are skipped in pieces of this length; a multiple of the order of [`PRIME`] modulo 64, which is 16.
const CHUNK: usize = 4096;
/// FNV-1 modulo 64, of which only six bits are used: prime and start.
const PRIME: u8 = 19;
const START: u8 = 0x27;
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Cuts that a trace holds: some hundred where the block size fits the length, far more in what is uniform.
const TRACE_MAX: usize = 2048;

/// Where pieces may end, and the rolling sum there.
type CutList = Vec<(usize, u32)>;

/// Where pieces may end in a layer, and which character each piece is. Places count from the layer's start.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    /// The lowest level of the cuts, and each with its rolling sum; `None` where there are too many.
    cuts: Option<(u32, CutList)>,
    pieces: BTreeMap<(usize, usize), u8>,
}

/// The hash of each range, empty where it is empty; and its trace. What was `seen` before is not walked over again.
pub(crate) fn hashes(base: &[u8], ranges: &[Range<usize>], seen: &[Seen<'_>]) -> Vec<(String, Trace)> {
    let mut plans: Vec<Plan> = ranges.iter().map(|range| Plan::new(base, range)).collect();
    follow_all(base, &mut plans, seen);
    for plan in &mut plans {
        if plan.lowest > 0 && plan.chosen().is_none() {
            plan.restart(0);
            follow(base, plan.range.clone(), &mut [plan], seen);
        }
    }
    let mut pieces = Pieces::default();
    for plan in &plans {
        for piece in plan.parts().iter().flat_map(|part| part.pieces(&plan.range)) {
            pieces.wanted.insert((piece.start, piece.end), 0);
        }
    }
    pieces.hash(base, seen);
    plans.iter().map(|plan| (plan.text(&pieces), plan.trace(&pieces))).collect()
}

/// The hash of `bytes` alone.
#[cfg(test)]
pub(crate) fn hash(bytes: &[u8]) -> String {
    hashes(bytes, std::slice::from_ref(&(0..bytes.len())), &[])
        .pop()
        .map(|(hash, _)| hash)
        .unwrap_or_default()
}

/// Where pieces of one block size end.
#[derive(Clone, Default)]
struct Cuts {
    /// The first ones, behind the byte that ended the piece; all that can become characters.
    first: Vec<usize>,
    count: usize,
    last: usize,
}

/// What has to be known of one range.
struct Plan {
    range: Range<usize>,
    /// The level of the block size that fits the length.
    guess: u32,
    /// The lowest level that is followed.
    lowest: u32,
    /// From `lowest` to the one above the guess.
    levels: Vec<Cuts>,
    /// All of them, with the rolling sum; one more than a trace holds at most.
    all: CutList,
    /// Whether the rolling sum is not zero at the end.
    open: bool,
}

impl Plan {
    fn new(base: &[u8], range: &Range<usize>) -> Self {
        let bytes = within(base, range);
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let fits = |level: &u32| (BLOCK_MIN << level).saturating_mul(64) >= len;
        let guess = (0..=LEVEL_MAX).find(fits).unwrap_or(LEVEL_MAX);
        let range = if bytes.is_empty() { 0..0 } else { range.clone() };
        let open = bytes.len().checked_sub(1).is_some_and(|last| sum_at(bytes, last) != 0);
        let mut plan = Self { range, guess, lowest: 0, levels: Vec::new(), all: Vec::new(), open };
        plan.restart(guess.saturating_sub(BELOW));
        plan
    }

    fn restart(&mut self, lowest: u32) {
        self.lowest = lowest;
        self.levels.clear();
        self.all.clear();
        let levels = usize::try_from(self.guess.saturating_sub(lowest)).unwrap_or(0).saturating_add(2);
        self.levels.resize(levels, Cuts::default());
    }

    /// A piece ends behind the byte at `at`, where the rolling sum is `sum`.
    fn cut(&mut self, at: usize, sum: u32) {
        let end = at.saturating_add(1);
        // One more than the sum as a 32-bit number is a multiple of three in `ssdeep` only without wrapping.
        let next = u64::from(sum).saturating_add(1);
        // Asked in two halves: a remainder of three alone is a multiplication.
        let halved = next.trailing_zeros() >= self.lowest;
        if !halved || (next >> self.lowest).checked_rem(BLOCK_MIN) != Some(0) {
            return;
        }
        if self.all.len() <= TRACE_MAX {
            self.all.push((at, sum));
        }
        let levels = next.trailing_zeros().saturating_sub(self.lowest).saturating_add(1);
        for cuts in self.levels.iter_mut().take(usize::try_from(levels).unwrap_or(0)) {
            if cuts.first.len() < LENGTH - 1 {
                cuts.first.push(end);
            }
            cuts.count = cuts.count.saturating_add(1);
            cuts.last = end;
        }
    }

    fn cuts(&self, level: u32) -> Option<&Cuts> {
        self.levels.get(usize::try_from(level.checked_sub(self.lowest)?).ok()?)
    }

    /// The highest level, from the guess down, that has enough pieces; the lowest of all where none has.
    fn chosen(&self) -> Option<u32> {
        let enough = |level: &u32| self.cuts(*level).is_some_and(|cuts| cuts.count >= LENGTH / 2);
        (self.lowest..=self.guess).rev().find(enough).or((self.lowest == 0).then_some(0))
    }

    /// The two parts of the hash.
    fn parts(&self) -> [Part<'_>; 2] {
        let level = self.chosen().unwrap_or(0);
        let none = &EMPTY;
        let first = self.cuts(level).unwrap_or(none);
        // Where the first has no cut the second has none either, and both are the whole range.
        let second = self.cuts(level.saturating_add(1)).unwrap_or(none);
        [
            Part { cuts: first, max: LENGTH - 1, open: self.open },
            Part { cuts: second, max: LENGTH / 2 - 1, open: self.open },
        ]
    }

    fn trace(&self, pieces: &Pieces) -> Trace {
        let start = self.range.start;
        let inside = |at: usize| at.checked_sub(start);
        // The first sums do not know what stands in front.
        let cuts =
            self.all.iter().filter_map(|(at, sum)| Some((inside(*at).filter(|at| *at >= WINDOW)?, *sum)));
        let within = pieces.wanted.range((start, 0)..(self.range.end, 0));
        let within = within.filter(|((_, end), _)| *end <= self.range.end);
        let mut trace = Trace { cuts: None, pieces: BTreeMap::new() };
        if self.all.len() <= TRACE_MAX {
            trace.cuts = Some((self.lowest, cuts.collect()));
        }
        trace.pieces =
            within.filter_map(|((from, to), value)| Some(((inside(*from)?, inside(*to)?), *value))).collect();
        trace
    }

    fn text(&self, pieces: &Pieces) -> String {
        if self.range.is_empty() {
            return String::new();
        }
        let block = BLOCK_MIN << self.chosen().unwrap_or(0);
        let parts = self.parts().map(|part| {
            let hashed = part.pieces(&self.range);
            hashed.map(|piece| pieces.character(&piece)).collect::<String>()
        });
        let [first, second] = parts;
        format!("{block}:{first}:{second}")
    }
}

static EMPTY: Cuts = Cuts { first: Vec::new(), count: 0, last: 0 };

/// One part of a hash.
struct Part<'a> {
    cuts: &'a Cuts,
    /// Pieces that end at a cut.
    max: usize,
    open: bool,
}

impl Part<'_> {
    /// What its characters stand for: pieces up to a cut, and the rest. The rest ends with the range; if the
    /// rolling sum is zero there, with the last cut, and is none if nothing was cut from it.
    fn pieces(&self, range: &Range<usize>) -> impl Iterator<Item = Range<usize>> + use<> {
        let ends: Vec<usize> = self.cuts.first.iter().take(self.max).copied().collect();
        let rest = ends.last().copied().unwrap_or(range.start);
        let end = match (self.open, self.cuts.count > self.max) {
            (true, _) => Some(range.end),
            (false, true) => Some(self.cuts.last),
            _ => None,
        };
        let starts = std::iter::once(range.start).chain(ends.clone());
        starts.zip(ends).map(|(start, end)| start..end).chain(end.map(|end| rest..end))
    }
}

/// Follows every plan, those of one guess together.
fn follow_all(base: &[u8], plans: &mut [Plan], seen: &[Seen<'_>]) {
    let mut by_guess: BTreeMap<u32, Vec<&mut Plan>> = BTreeMap::new();
    for plan in plans.iter_mut().filter(|plan| !plan.range.is_empty()) {
        by_guess.entry(plan.guess).or_default().push(plan);
    }
    for group in by_guess.values_mut() {
        group.sort_by_key(|plan| plan.range.start);
        // Runs of ranges that touch each other are walked over once.
        let mut from = 0;
        while let Some(rest) = group.get_mut(from..).filter(|rest| !rest.is_empty()) {
            let mut span = rest.first().map_or(0..0, |plan| plan.range.clone());
            let together = rest.iter().take_while(|plan| {
                let fits = plan.range.start < span.end;
                span.end = if fits { span.end.max(plan.range.end) } else { span.end };
                fits
            });
            let together = together.count();
            follow(base, span, rest.get_mut(..together).unwrap_or_default(), seen);
            from = from.saturating_add(together.max(1));
        }
    }
}

/// Walks over `span` and tells each plan where its pieces end. All have the same lowest level.
fn follow(base: &[u8], span: Range<usize>, plans: &mut [&mut Plan], seen: &[Seen<'_>]) {
    // A range's first sums do not know what stands in front of it.
    for plan in &mut *plans {
        let bytes = within(base, &plan.range);
        for at in 0..bytes.len().min(WINDOW) {
            plan.cut(plan.range.start.saturating_add(at), sum_at(bytes, at));
        }
    }
    let lowest = plans.first().map_or(0, |plan| plan.lowest);
    // Of what was seen, the sums that know nothing of what stands in front of it; where it has all cuts of this level.
    let known: Vec<(Range<usize>, usize, &CutList)> = seen
        .iter()
        .filter_map(|seen| {
            let (_, cuts) = seen.trace.ctph.cuts.as_ref().filter(|(level, _)| *level <= lowest)?;
            let from = seen.range.start.checked_add(WINDOW)?;
            Some((from..seen.range.end, seen.range.start, cuts))
        })
        .collect();
    let mask = (1u32 << lowest).wrapping_sub(1);
    let mut from = span.start.saturating_add(WINDOW);
    while from < span.end {
        let mut tell = |at: usize, sum: u32| {
            for plan in &mut *plans {
                if at >= plan.range.start.saturating_add(WINDOW) && at < plan.range.end {
                    plan.cut(at, sum);
                }
            }
        };
        if let Some((there, start, cuts)) = known.iter().find(|(there, ..)| there.contains(&from)) {
            let cuts = cuts.iter().map(|(at, sum)| (start.saturating_add(*at), *sum));
            cuts.filter(|(at, _)| *at >= from).for_each(|(at, sum)| tell(at, sum));
            from = there.end;
            continue;
        }
        let next = known.iter().map(|(there, ..)| there.start).filter(|&start| start > from).min();
        let to = from.saturating_add(CHUNK).min(span.end).min(next.unwrap_or(usize::MAX));
        let bytes = base.get(from.saturating_sub(WINDOW)..to).unwrap_or_default();
        // The sum of zeros is zero, which ends no piece.
        if !is_all(bytes, 0) {
            roll(bytes, mask, |offset, sum| tell(from.saturating_add(offset), sum));
        }
        from = to;
    }
}

/// The rolling sums behind each byte but the first seven that may end a piece, as `mask` tells.
fn roll(bytes: &[u8], mask: u32, mut tell: impl FnMut(usize, u32)) {
    let mut roll = Roll::default();
    let (window, rest) = bytes.split_at_checked(WINDOW).unwrap_or_default();
    window.iter().for_each(|&byte| roll.add(byte, 0));
    for (offset, (&byte, &leaving)) in rest.iter().zip(bytes).enumerate() {
        roll.add(byte, leaving);
        let sum = roll.sum();
        if sum.wrapping_add(1) & mask == 0 {
            tell(offset, sum);
        }
    }
}

/// The three sums that `ssdeep` adds up.
#[derive(Clone, Copy, Default)]
struct Roll {
    plain: u32,
    weighted: u32,
    shifted: u32,
}

impl Roll {
    #[inline(always)]
    fn add(&mut self, byte: u8, leaving: u8) {
        let byte = u32::from(byte);
        self.weighted = self.weighted.wrapping_sub(self.plain).wrapping_add(byte.wrapping_mul(7));
        self.plain = self.plain.wrapping_add(byte).wrapping_sub(u32::from(leaving));
        self.shifted = (self.shifted << 5) ^ byte;
    }

    #[inline(always)]
    fn sum(self) -> u32 {
        self.plain.wrapping_add(self.weighted).wrapping_add(self.shifted)
    }
}

/// The rolling sum behind the byte at `at`, if `bytes` is all that there is.
fn sum_at(bytes: &[u8], at: usize) -> u32 {
    let window = bytes.get(at.saturating_sub(WINDOW - 1)..=at).unwrap_or_default();
    let mut roll = Roll::default();
    window.iter().for_each(|&byte| roll.add(byte, 0));
    roll.sum()
}

/// Six bits for each piece.
#[derive(Default)]
struct Pieces {
    wanted: BTreeMap<(usize, usize), u8>,
}

impl Pieces {
    fn hash(&mut self, base: &[u8], seen: &[Seen<'_>]) {
        let recalled = |start: usize, end: usize| {
            seen.iter().find_map(|seen| {
                let at = |at: usize| at.checked_sub(seen.range.start);
                seen.trace.ctph.pieces.get(&(at(start)?, at(end)?)).filter(|_| end <= seen.range.end).copied()
            })
        };
        let mut by_length: Vec<(&(usize, usize), &mut u8)> = Vec::new();
        for (piece, value) in &mut self.wanted {
            match recalled(piece.0, piece.1) {
                Some(known) => *value = known,
                None => by_length.push((piece, value)),
            }
        }
        by_length.sort_by_key(|((start, end), _)| end.saturating_sub(*start));
        for four in by_length.chunks_mut(4) {
            let bytes =
                |n: usize| four.get(n).and_then(|(piece, _)| base.get(piece.0..piece.1)).unwrap_or_default();
            let hashed = fnv([bytes(0), bytes(1), bytes(2), bytes(3)]);
            for ((_, value), hashed) in four.iter_mut().zip(hashed) {
                **value = hashed;
            }
        }
    }

    fn character(&self, piece: &Range<usize>) -> char {
        let value = self.wanted.get(&(piece.start, piece.end)).copied().unwrap_or(0);
        char::from(BASE64.get(usize::from(value & 63)).copied().unwrap_or(b'A'))
    }
}

/// The lowest bits of FNV-1 over four pieces.
fn fnv(pieces: [&[u8]; 4]) -> [u8; 4] {
    let mut sums = [START; 4];
    let [a, b, c, d] = &mut sums;
    let common = pieces.iter().map(|piece| piece.len()).min().unwrap_or(0);
    let [(p, p_rest), (q, q_rest), (r, r_rest), (s, s_rest)] =
        pieces.map(|piece| piece.split_at_checked(common).unwrap_or_default());
    for (((one, two), three), four) in p.iter().zip(q).zip(r).zip(s) {
        *a = a.wrapping_mul(PRIME) ^ one;
        *b = b.wrapping_mul(PRIME) ^ two;
        *c = c.wrapping_mul(PRIME) ^ three;
        *d = d.wrapping_mul(PRIME) ^ four;
    }
    for (sum, rest) in [(a, p_rest), (b, q_rest), (c, r_rest), (d, s_rest)] {
        for chunk in rest.chunks(CHUNK) {
            // Zeros only multiply, and the prime's powers come round with a whole chunk.
            if chunk.len() == CHUNK && is_all(chunk, 0) {
                continue;
            }
            *sum = chunk.iter().fold(*sum, |sum, byte| sum.wrapping_mul(PRIME) ^ byte);
        }
    }
    sums
}
