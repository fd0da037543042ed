//! What a finder hands to the worklist, and the budget that it spends.

use crate::bytes::slice;
use crate::facts::ZipFacts;
use crate::memory::Node;
use crate::pe::Pe;
use crate::report::{Budget, Depth, FoundBy, Kind, State};
use crate::text;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

/// Bytes that anything may grow to.
const SMALL: u64 = 64 * 1024;

/// A child that a finder proposes. Its bytes are the parent's at `range`, or `decoded`.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) state: State,
    pub(crate) found_by: FoundBy,
    pub(crate) range: Range<usize>,
    pub(crate) encoding: String,
    pub(crate) remarks: Vec<String>,
    pub(crate) decoded: Option<Vec<u8>>,
    /// What is known of it already; there are no decoded bytes then.
    pub(crate) known: Option<Arc<Node>>,
}

impl Found {
    /// An intact child without a name.
    pub(crate) fn new(kind: Kind, found_by: FoundBy, range: Range<usize>) -> Self {
        Self {
            kind,
            name: String::new(),
            state: State::Intact,
            found_by,
            range,
            encoding: String::new(),
            remarks: Vec::new(),
            decoded: None,
            known: None,
        }
    }

    /// Its own size in bytes.
    pub(crate) fn size(&self) -> u64 {
        let there = self.decoded.as_ref().map_or(self.range.len(), Vec::len);
        let there = u64::try_from(there).unwrap_or(u64::MAX);
        self.known.as_ref().map_or(there, |known| known.layer.size)
    }

    /// Whether it is told before plain data where there is no room for all: a file, or code.
    fn is_file(&self) -> bool {
        matches!(self.kind, Kind::Pe | Kind::Zip | Kind::Cab | Kind::Gzip | Kind::Stub | Kind::Shellcode)
    }

    /// With a name.
    pub(crate) fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// With something wrong. Damage outweighs a missing end.
    pub(crate) fn wrong(mut self, state: State, remark: String) -> Self {
        self.state = self.state.max(state);
        self.remarks.push(remark);
        self
    }

    /// A PE file at `range` of `parent`: truncated where its sections go on behind its bytes.
    pub(crate) fn pe(parent: &[u8], pe: &Pe, found_by: FoundBy, range: Range<usize>) -> Self {
        let there = slice(parent, range.clone()).unwrap_or_default().len();
        let found = Self::new(Kind::Pe, found_by, range);
        match missing(pe, there) {
            Some(remark) => found.wrong(State::Truncated, remark),
            None => found,
        }
    }
}

/// What is missing of a PE file of which `there` bytes are there, in words.
pub(crate) fn missing(pe: &Pe, there: usize) -> Option<String> {
    let there = u64::try_from(there).ok()?;
    let gone = pe.end.checked_sub(there).filter(|&gone| gone > 0)?;
    let gone = text::missing(usize::try_from(gone).unwrap_or(usize::MAX));
    Some(format!("the sections end at byte {}: {gone}", text::number(pe.end)))
}

/// What is inside a layer, and what looking into it says of the layer itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inside {
    /// The most trusted finder's first.
    pub(crate) found: Vec<Found>,
    /// What is wrong with the layer itself.
    pub(crate) wrong: Vec<(State, String)>,
    /// An archive's table of members.
    pub(crate) zip: Option<ZipFacts>,
}

/// Keeps those children that lie in a parent of `length` bytes and in nothing that was found before them, in the
/// order of their offsets.
pub(crate) fn disjoint(found: Vec<Found>, length: usize) -> Vec<Found> {
    let mut taken: BTreeMap<usize, usize> = BTreeMap::new();
    let mut kept: Vec<Found> = Vec::new();
    for child in found {
        let Range { start, end } = child.range;
        let before = taken.range(..end).next_back().is_none_or(|(_, &before_end)| before_end <= start);
        if start <= end && end <= length && before {
            if start < end {
                taken.insert(start, end);
            }
            kept.push(child);
        }
    }
    kept.sort_by_key(|child| (child.range.start, child.range.end));
    kept
}

/// As many of these children as there is room for, files before others and large ones before small ones; where any is a
/// file, a quarter of the room stays free for what is in the files. Whether some that are no files were left out for that.
pub(crate) fn worthiest(found: Vec<Found>, room: usize) -> (Vec<Found>, bool) {
    let files = found.iter().filter(|child| child.is_file()).count();
    // Data may be an upload, with a file in it.
    let is_plain = |child: &Found| !matches!(child.kind, Kind::Data | Kind::Payload);
    let is_hopeful = files > 0 || !found.iter().all(is_plain);
    let kept_free = if is_hopeful { room / 4 } else { 0 };
    if found.len() <= room.saturating_sub(kept_free) || !is_hopeful {
        return (found, false);
    }
    let mut others: Vec<usize> = (0..found.len()).collect();
    others.retain(|&at| found.get(at).is_some_and(|child| !child.is_file()));
    others.sort_by_key(|&at| found.get(at).map(|child| (is_plain(child), Reverse(child.size()), at)));
    let left_out = others.split_off(others.len().min(room.saturating_sub(kept_free).saturating_sub(files)));
    let left_out: BTreeSet<usize> = left_out.into_iter().collect();
    let is_cut = !left_out.is_empty();
    let kept = found.into_iter().enumerate().filter(|(at, _)| !left_out.contains(at));
    (kept.map(|(_, child)| child).collect(), is_cut)
}

/// The parts of `0..length` that no child takes, in order.
pub(crate) fn gaps(found: &[Found], length: usize) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = found.iter().map(|child| child.range.clone()).collect();
    ranges.sort_by_key(|range| range.start);
    let mut gaps = Vec::new();
    let mut at = 0;
    for range in ranges {
        if at < range.start {
            gaps.push(at..range.start.min(length));
        }
        at = at.max(range.end);
    }
    if at < length {
        gaps.push(at..length);
    }
    gaps
}

/// What was spent of a budget on looking into layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spent {
    pub(crate) candidates: u32,
    pub(crate) decoded: u64,
}

impl Spent {
    /// What was spent since `before`.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            candidates: self.candidates.saturating_sub(before.candidates),
            decoded: self.decoded.saturating_sub(before.decoded),
        }
    }
}

/// What is left of a budget.
#[derive(Debug)]
pub(crate) struct Purse<'b> {
    pub(crate) budget: &'b Budget,
    /// How far archives are looked into.
    pub(crate) depth: Depth,
    pub(crate) spent: Spent,
    /// Bounds that were met, each once.
    pub(crate) remarks: Vec<String>,
}

impl<'b> Purse<'b> {
    pub(crate) fn new(budget: &'b Budget, depth: Depth) -> Self {
        Self { budget, depth, spent: Spent::default(), remarks: Vec::new() }
    }

    /// Pays what looking into a layer has cost before; a bound that is met then is told.
    pub(crate) fn charge(&mut self, again: Spent) {
        self.spent.candidates = self.spent.candidates.saturating_add(again.candidates);
        self.spent.decoded = self.spent.decoded.saturating_add(again.decoded);
        let Budget { candidates_max, decoded_bytes_max, .. } = *self.budget;
        if self.spent.candidates > candidates_max || self.spent.decoded > decoded_bytes_max {
            self.remark("a bound was met".to_owned());
        }
    }

    /// Tells once which bound was met.
    pub(crate) fn remark(&mut self, remark: String) {
        if !self.remarks.contains(&remark) {
            self.remarks.push(remark);
        }
    }

    /// Whether one more place may be looked into.
    pub(crate) fn candidate(&mut self) -> bool {
        if self.spent.candidates >= self.budget.candidates_max {
            let looked = text::number(self.spent.candidates.into());
            self.remark(format!("only the first {looked} places that look like a file were looked into"));
            return false;
        }
        self.spent.candidates = self.spent.candidates.saturating_add(1);
        true
    }

    /// How many bytes decoding `stored` bytes may produce.
    pub(crate) fn decodable(&self, stored: usize) -> usize {
        let left = self.budget.decoded_bytes_max.saturating_sub(self.spent.decoded);
        let stored = u64::try_from(stored).unwrap_or(u64::MAX);
        // A few bytes may grow by more than the ratio: what they make is small.
        let grown = stored.saturating_mul(self.budget.ratio_max).max(SMALL);
        usize::try_from(left.min(grown)).unwrap_or(usize::MAX)
    }

    /// Pays for decoded bytes.
    pub(crate) fn pay(&mut self, decoded: usize) {
        self.spent.decoded = self.spent.decoded.saturating_add(u64::try_from(decoded).unwrap_or(u64::MAX));
    }

    /// Tells that something was not decoded because it would have cost too much.
    pub(crate) fn too_much(&mut self, what: &str) {
        self.remark(format!("{what} grows beyond the bounds for decoding and was not unpacked"));
    }
}
