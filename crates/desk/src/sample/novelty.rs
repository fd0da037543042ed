//! How new a sample is: the one new file among ten thousand duplicates first.
//!
//! The formula is in `docs/samples.md`. Everything in it is counted in captures, so that a core that came once among
//! thousands is rare, and one of three cores that share the field is not.

use super::outline::Outline;
use std::collections::HashMap;
use tlsh2::TlshDefault;

/// What each part of the score is worth; together 100.
const CORE: f64 = 35.0;
const TOOL: f64 = 10.0;
const STUB: f64 = 10.0;
const IMPHASH: f64 = 15.0;
const DISTANCE: f64 = 20.0;
const FAMILY: f64 = 10.0;
/// A TLSH distance from which on two files have nothing in common.
const DISTANCE_MAX: u32 = 100;
/// Cores that are compared with each other; beyond, only the most frequent ones.
pub(super) const CORES_MAX: usize = 512;
/// A broken copy of what is known is no news, nor is an upload that was broken off.
const BROKEN: f64 = 0.5;

/// How often each value came.
#[derive(Debug, Default)]
pub(super) struct Counts {
    total: u64,
    by: [HashMap<String, u64>; 5],
}

/// A sample, as far as novelty looks at it.
pub(super) struct Subject<'a> {
    /// What counts for a piece of an upload is what its kin is.
    pub(super) outline: &'a Outline,
    pub(super) tool: &'a str,
    /// Whether it is no more than a piece of an upload.
    pub(super) is_piece: bool,
}

impl Subject<'_> {
    fn values(&self) -> [&str; 5] {
        let outline = self.outline;
        let imphash = &outline.core.imphash;
        [&outline.core.sha256, self.tool, &outline.stub_skeleton, imphash, &outline.family]
    }
}

impl Counts {
    /// Counts the captures of one sample.
    pub(super) fn add(&mut self, subject: &Subject<'_>, captures: u64) {
        self.total = self.total.saturating_add(captures);
        for (value, counts) in subject.values().into_iter().zip(&mut self.by) {
            let count = counts.entry(value.to_owned()).or_insert(0);
            *count = count.saturating_add(captures);
        }
    }

    /// 1 for what came once among many, 0 for what comes always.
    fn rarity(&self, which: usize, value: &str) -> f64 {
        let count = self.by.get(which).and_then(|counts| counts.get(value)).copied().unwrap_or(1).max(1);
        if self.total <= 1 {
            return 1.0;
        }
        1.0 - (count as f64).ln() / (self.total as f64).ln()
    }

    /// From 0 to 100; `distance` is the TLSH distance from the nearest other core, `None` where there is none to compare.
    pub(super) fn score(&self, subject: &Subject<'_>, distance: Option<u32>) -> u8 {
        let [core, tool, stub, imphash, family] = subject.values();
        let far =
            distance.map_or(1.0, |distance| f64::from(distance.min(DISTANCE_MAX)) / f64::from(DISTANCE_MAX));
        let parts = [
            CORE * self.rarity(0, core),
            TOOL * self.rarity(1, tool),
            STUB * self.rarity(2, stub),
            IMPHASH * self.rarity(3, imphash),
            FAMILY * self.rarity(4, family),
            DISTANCE * far,
        ];
        let score: f64 = parts.iter().sum();
        let is_broken = subject.outline.is_damaged && !subject.outline.family.is_empty();
        (if is_broken || subject.is_piece { score * BROKEN } else { score }).round().clamp(0.0, 100.0) as u8
    }
}

/// The TLSH distance of two cores; `None` where one of them has no TLSH.
pub(super) fn distance(one: &str, other: &str) -> Option<u32> {
    let read = |text: &str| text.parse::<TlshDefault>().ok();
    Some(u32::try_from(read(one)?.diff(&read(other)?, true)).unwrap_or(0))
}
