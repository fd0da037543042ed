//! Strings that tell something, and the configuration that stands in them.
//!
//! Readable runs, one byte or two (UTF-16LE) a character, are looked through; bytes of inner layers are left to
//! those. Everything is bounded: the length of a run's piece, the number of strings and of indicators.

mod find;
mod glance;
pub(super) mod known;
mod wallet;
mod words;

use super::{Indicator, IndicatorKind};
use glance::Glance;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Strings that a layer's facts hold.
pub(super) const STRINGS_MAX: usize = 40;
/// Bytes of one of them.
const STRING_LEN_MAX: usize = 200;
/// Indicators that a layer's facts hold.
pub const INDICATORS_MAX: usize = 64;
/// Shorter runs are chance.
const RUN_MIN: usize = 6;
/// Longer runs are looked at in pieces.
const PIECE_MAX: usize = 1536;
/// Of what starts within so many characters of a piece that goes on from another, only that one knows the beginning.
const LEAD: usize = 64;
/// What starts within so many characters of the end of a piece that goes on is left to the next: more than of anything is
/// told.
const TRAIL: usize = 256;

/// What was found.
#[derive(Default)]
pub(super) struct Found {
    pub(super) indicators: Vec<Indicator>,
    pub(super) strings: Vec<String>,
}

/// Looks through `bytes` without what `children` take of them.
pub(super) fn read(bytes: &[u8], children: &[Range<usize>]) -> Found {
    let mut reader = Reader::default();
    for gap in gaps(bytes.len(), children) {
        let part = bytes.get(gap.clone()).unwrap_or_default();
        runs::<1>(part, |at, piece| reader.look(gap.start.saturating_add(at), 1, &piece));
        for odd in [0, 1] {
            let shifted = part.get(odd..).unwrap_or_default();
            let start = gap.start.saturating_add(odd);
            runs::<2>(shifted, |at, piece| reader.look(start.saturating_add(at), 2, &piece));
        }
    }
    reader.finish()
}

/// What no child takes.
fn gaps(len: usize, children: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut sorted = children.to_vec();
    sorted.sort_by_key(|child| child.start);
    let mut gaps = Vec::new();
    let mut from = 0;
    for child in sorted {
        if child.start > from {
            gaps.push(from..child.start.min(len));
        }
        from = from.max(child.end);
    }
    gaps.push(from.min(len)..len);
    gaps
}

/// A piece of a readable run.
struct Piece<'a> {
    text: &'a str,
    /// What starts at these characters is this piece's: elsewhere it may be cut.
    own: Range<usize>,
}

/// Tells each readable run of characters of `WIDTH` bytes, in pieces.
fn runs<const WIDTH: usize>(bytes: &[u8], mut tell: impl FnMut(usize, Piece<'_>)) {
    let units = bytes.as_chunks::<WIDTH>().0;
    let readable = |unit: &&[u8; WIDTH]| is_readable(unit);
    // Of any RUN_MIN units one behind the other a run that long has one: only every sixth is looked at, and what is
    // around those that are readable. No run goes on from before `from`.
    let (mut from, mut at) = (0usize, RUN_MIN - 1);
    while let Some(unit) = units.get(at) {
        let mut end = at;
        if is_readable(unit) {
            let before = units.get(from..at).unwrap_or_default().iter().rev().take_while(readable).count();
            let after = units.get(at..).unwrap_or_default().iter().take_while(readable).count();
            end = at.saturating_add(after);
            if before.saturating_add(after) >= RUN_MIN {
                pieces(units, at.saturating_sub(before)..end, &mut tell);
            }
        }
        from = end.saturating_add(1);
        at = from.saturating_add(RUN_MIN - 1);
    }
}

#[inline(always)]
fn is_readable<const WIDTH: usize>(unit: &[u8; WIDTH]) -> bool {
    matches!(unit.as_slice(), [b' '..=b'~', rest @ ..] if rest.iter().all(|&zero| zero == 0))
}

/// Tells one run in pieces that overlap.
fn pieces<const WIDTH: usize>(
    units: &[[u8; WIDTH]],
    run: Range<usize>,
    tell: &mut impl FnMut(usize, Piece<'_>),
) {
    let mut start = run.start;
    let mut wide = Vec::new();
    loop {
        let end = start.saturating_add(PIECE_MAX).min(run.end);
        let piece = units.get(start..end).unwrap_or_default();
        let text = if WIDTH == 1 {
            piece.as_flattened()
        } else {
            wide.clear();
            wide.extend(piece.iter().filter_map(|unit| unit.first()));
            &wide
        };
        let first = if start == run.start { 0 } else { LEAD };
        let last = if end == run.end { text.len() } else { text.len().saturating_sub(TRAIL) };
        // Readable is ASCII.
        let text = std::str::from_utf8(text).unwrap_or_default();
        tell(start.saturating_mul(WIDTH), Piece { text, own: first..last });
        if end == run.end {
            return;
        }
        start = end.saturating_sub(TRAIL.saturating_add(LEAD));
    }
}

/// Whether these are WannaCry's worm's: its service, or the programs that it writes, whatever its service is called.
pub(super) fn names_worm(indicators: &[Indicator]) -> bool {
    let is_of_worm = |one: &Indicator| matches!(one.kind, IndicatorKind::Service | IndicatorKind::File);
    indicators.iter().any(|one| is_of_worm(one) && one.note.starts_with(known::WORM))
}

#[derive(Default)]
struct Reader {
    indicators: Vec<Indicator>,
    /// Kinds and values that are there.
    seen: BTreeSet<(IndicatorKind, String)>,
    /// The best strings, by rank and place.
    strings: BTreeMap<(Reverse<u32>, usize), String>,
}

impl Reader {
    /// One piece of readable text that starts at `at`, with `width` bytes a character.
    fn look(&mut self, at: usize, width: usize, Piece { text, own }: &Piece<'_>) {
        let glance = Glance::at(text);
        if glance.is_nothing() {
            return;
        }
        let before = self.seen.len();
        find::all(text, &glance, |kind, offset, value, note| {
            if own.contains(&offset) {
                self.add(kind, at.saturating_add(offset.saturating_mul(width)), value, note);
            }
        });
        let told = self.seen.len() > before;
        let rank = if told { 100 } else { find::rank(text, &glance) };
        if rank > 0 {
            self.keep(rank, at, text);
        }
    }

    fn add(&mut self, kind: IndicatorKind, at: usize, value: &str, note: String) {
        if self.indicators.len() >= INDICATORS_MAX {
            return;
        }
        let value: String = value.chars().take(STRING_LEN_MAX).collect();
        if !self.seen.insert((kind, value.clone())) {
            return;
        }
        let at = u64::try_from(at).unwrap_or(u64::MAX);
        self.indicators.push(Indicator { kind, value, at, note });
    }

    fn keep(&mut self, rank: u32, at: usize, text: &str) {
        let key = (Reverse(rank), at);
        let full = self.strings.len() >= STRINGS_MAX;
        if full && self.strings.last_key_value().is_some_and(|(worst, _)| *worst <= key) {
            return;
        }
        let text: String = text.trim().chars().take(STRING_LEN_MAX).collect();
        if self.strings.values().any(|known| *known == text) {
            return;
        }
        self.strings.insert(key, text);
        if self.strings.len() > STRINGS_MAX {
            self.strings.pop_last();
        }
    }

    fn finish(mut self) -> Found {
        self.indicators.sort_by_key(|indicator| (indicator.kind, indicator.at));
        Found { indicators: self.indicators, strings: self.strings.into_values().collect() }
    }
}
