//! Looking into one sample: a first report for whoever waits, then the full one.

use crate::facts::{self, Facts, Place};
use crate::family;
use crate::memory::{Asked, Digests, Memory};
use crate::peel::{self, Peel, Peeled};
use crate::report::{Budget, Depth, FORMAT, Hashes, Kind, Layer, Report, Road};
use crate::rules::{Hit, Rules};
use sha2::{Digest, Sha256};
use std::ops::Range;

/// What is packed is noise to a first scan, but for its header; so much of an upload is scanned whatever lies in it,
/// because rules know loaders by where they stand in front of a file.
const HEAD: usize = 64 * 1024;
/// Smaller layers are scanned whole: that costs little, and rules may ask for the size.
const WHOLE_MAX: usize = 1024 * 1024;
/// Files of rules that a remark names.
const FILES_MAX: usize = 3;

/// Looks into the bytes of one sample, within `budget`: the full report.
pub fn triage(sample: &[u8], road: Road, rules: &Rules, budget: &Budget) -> Report {
    Look::new(sample, road, rules, budget).full(&mut Memory::new(0))
}

/// The bytes of the layer with this SHA-256 (hexadecimal), decoded or unpacked as far as it takes; `None` where peeling
/// finds no such layer within `budget`.
pub fn layer_bytes(sample: &[u8], road: Road, budget: &Budget, sha256: &str) -> Option<Vec<u8>> {
    let layers = peel::peel(sample, road, budget).layers;
    layers.into_iter().find_map(|layer| {
        let own = facts::hex(&Sha256::digest(&layer.bytes));
        own.eq_ignore_ascii_case(sha256).then(|| layer.bytes.into_owned())
    })
}

/// One sample that is looked into. What one report has hashed, the next does not hash again.
#[derive(Debug)]
pub struct Look<'a> {
    sample: &'a [u8],
    road: Road,
    rules: &'a Rules,
    budget: &'a Budget,
    hashes: Hashes,
    digests: Digests,
    without_users_rules: bool,
    was_late: bool,
}

/// Which rules are not asked any more, because they took too long.
#[derive(Clone, Copy, Debug, Default)]
struct Slow {
    own: bool,
    users: bool,
}

impl<'a> Look<'a> {
    /// Of these bytes, which came by `road`.
    pub fn new(sample: &'a [u8], road: Road, rules: &'a Rules, budget: &'a Budget) -> Self {
        Self {
            sample,
            road,
            rules,
            budget,
            hashes: Hashes::default(),
            digests: Digests::default(),
            without_users_rules: false,
            was_late: false,
        }
    }

    /// Without the user's rules, because a first try with them took too long; the report says so.
    pub fn without_users_rules(mut self) -> Self {
        self.without_users_rules = !self.rules.users_files().is_empty();
        self
    }

    /// With hashes of the whole sample that its capture has worked out; what is empty is not known. They are believed.
    pub fn with_hashes(mut self, sha256: &str, sha1: &str, md5: &str) -> Self {
        if !sha256.is_empty() {
            self.digests.take(0..self.sample.len(), sha256.to_owned());
        }
        self.hashes.sha1 = sha1.to_owned();
        self.hashes.md5 = md5.to_owned();
        self
    }

    /// The first report: see [`Depth::First`].
    pub fn first(&mut self) -> Report {
        self.report(Depth::First, &mut Memory::new(0))
    }

    /// Whether the core of the sample is one that `memory` knows: then the full report takes hardly longer than a
    /// first one.
    pub fn is_known(&mut self, memory: &mut Memory) -> bool {
        memory.begin(self.rules.digest(), self.budget);
        let peeled = self.peel(Depth::First, memory);
        let core = peeled.core.and_then(|core| peeled.layers.get(usize::try_from(core).ok()?));
        core.is_some_and(|core| core.known.is_some())
    }

    /// The full report, the same whatever `memory` knows; it learns from the sample.
    pub fn full(&mut self, memory: &mut Memory) -> Report {
        self.report(Depth::Full, memory)
    }

    /// Whether the user's rules ran out of time in a full report.
    pub fn was_late(&self) -> bool {
        self.was_late
    }

    fn peel(&mut self, depth: Depth, memory: &mut Memory) -> Peeled<'a> {
        let mut asked = Asked { memory, digests: &mut self.digests };
        peel::peel_with(self.sample, self.road, self.budget, depth, &mut asked)
    }

    fn report(&mut self, depth: Depth, memory: &mut Memory) -> Report {
        memory.begin(self.rules.digest(), self.budget);
        let mut peeled = self.peel(depth, memory);
        if memory.is_used() && !peeled.remarks.is_empty() {
            peeled = self.peel(depth, &mut Memory::new(0));
        }
        let is_bounded = !peeled.remarks.is_empty();
        let layers = self.describe(&mut peeled, depth);
        memory.learn(&peeled, &layers);
        if depth == Depth::Full && !self.rules.left_out().is_empty() {
            let files = rules_of(self.rules.left_out());
            peeled.remarks.push(format!("{files} not asked: too slow (`roridula rules check` tells how)"));
        }
        Report {
            format: FORMAT,
            depth,
            rules: self.rules.digest().to_owned(),
            core: peeled.core,
            verdict: family::verdict(&layers),
            layers,
            remarks: peeled.remarks,
            is_bounded,
        }
    }

    /// All that the layers' bytes say.
    fn describe(&mut self, peeled: &mut Peeled<'_>, depth: Depth) -> Vec<Layer> {
        for layer in peeled.layers.iter_mut().filter(|layer| layer.known.is_none()) {
            self.digests.of(layer);
        }
        let places = self.places(&peeled.layers);
        let mut described = facts::describe(&places, depth).into_iter().zip(&places);
        let mut layers = Vec::with_capacity(peeled.layers.len());
        let mut slow = Slow { users: self.without_users_rules, own: false };
        if self.without_users_rules {
            let files = rules_of(self.rules.users_files());
            let remark = format!("{files} not asked: a try with them took too long");
            peeled.remarks.push(remark);
        }
        let mut traces = Vec::with_capacity(peeled.layers.len());
        for (number, layer) in peeled.layers.iter().enumerate() {
            let mut trace = None;
            let said = match &layer.known {
                Some(known) => known.said(),
                None => {
                    let Some((found, place)) = described.next() else { break };
                    let (hashes, mut facts) = (found.hashes, found.facts);
                    trace = found.trace;
                    facts.zip = layer.zip.clone().or(facts.zip);
                    let (hits, late) = self.scan(place, &facts, depth, slow);
                    slow = Slow { own: slow.own || late.own, users: slow.users || late.users };
                    self.was_late |= late.users;
                    peeled.remarks.extend(self.late(late, number));
                    (hashes, facts, hits)
                }
            };
            layers.push(told(layer, said));
            traces.push(trace);
        }
        peeled.layers.iter_mut().zip(traces).for_each(|(layer, trace)| layer.trace = trace);
        layers
    }

    /// The layers that nothing is known of, as facts see them. What lies in a known one is known.
    fn places<'p>(&self, layers: &'p [Peel<'_>]) -> Vec<Place<'p>> {
        let mut numbers: Vec<Option<usize>> = vec![None; layers.len()];
        let mut places: Vec<Place<'p>> = Vec::with_capacity(layers.len());
        for (number, layer) in layers.iter().enumerate() {
            let parent = layer.parent.and_then(|at| *numbers.get(usize::try_from(at).ok()?)?);
            let stands = range(layer).filter(|_| layer.encoding.is_empty());
            let inside = parent.zip(stands);
            if let Some((parent, range)) = &inside
                && let Some(parent) = places.get_mut(*parent)
            {
                parent.children.push(range.clone());
                let trace = layer.known.as_ref().and_then(|known| known.trace.as_ref());
                parent.seen.extend(trace.map(|trace| (range.clone(), trace)));
            }
            if layer.known.is_some() {
                continue;
            }
            if let Some(number) = numbers.get_mut(number) {
                *number = Some(places.len());
            }
            let of_sample = if number == 0 { self.hashes.clone() } else { Hashes::default() };
            let hashes = Hashes { sha256: layer.sha256.clone(), ..of_sample };
            places.push(Place { inside, hashes, ..Place::alone(layer.kind, &layer.bytes) });
        }
        places
    }

    /// The rules that fit a layer, and which of them were not all asked in time; `slow` are those that never were.
    fn scan(&self, place: &Place<'_>, facts: &Facts, depth: Depth, slow: Slow) -> (Vec<Hit>, Slow) {
        let (mut hits, in_time) = match depth {
            Depth::Full => self.rules.scan_own(place.bytes),
            // Whoever waits for a first report does not wait for slow rules twice.
            Depth::First if slow.own => (Vec::new(), true),
            Depth::First => self.scan_first(place, facts),
        };
        let mut late = Slow { own: !in_time, users: false };
        // A user's worst rule cannot be interrupted: no first report waits for those, and no full one waits twice.
        if depth == Depth::Full && !slow.users {
            let (users, in_time) = self.rules.scan_users(place.bytes);
            hits.extend(users);
            late.users = !in_time;
        }
        (hits, late)
    }

    /// Which rules were too late for this layer, in words.
    fn late(&self, late: Slow, number: usize) -> impl Iterator<Item = String> {
        let own =
            late.own.then(|| format!("not all rules were asked about layer {number}: they took too long"));
        let users = late.users.then(|| {
            let rules = rules_of(self.rules.users_files());
            format!("{rules} not all asked about layer {number}, and not about those behind it: too slow")
        });
        own.into_iter().chain(users)
    }

    /// Our rules that fit what no inner layer takes of a layer, and whether all were asked in time.
    fn scan_first(&self, place: &Place<'_>, facts: &Facts) -> (Vec<Hit>, bool) {
        let parts = match place.kind {
            Kind::Padding => return (Vec::new(), true),
            Kind::Gzip | Kind::Cab => std::iter::once(0..HEAD.min(place.bytes.len())).collect(),
            _ if place.bytes.len() <= WHOLE_MAX => std::iter::once(0..place.bytes.len()).collect(),
            _ => own_parts(place, facts),
        };
        self.rules.scan_parts(place.bytes, parts)
    }
}

/// The rules of these files, up to the verb.
fn rules_of(files: &[String]) -> String {
    let shown = files.get(..FILES_MAX).unwrap_or(files).join(", ");
    match files.len().saturating_sub(FILES_MAX) {
        0 => format!("the rules of {shown} were"),
        1 => format!("the rules of {shown} and 1 file more were"),
        more => format!("the rules of {shown} and {more} files more were"),
    }
}

/// What no layer in it and no member of an archive takes of a layer's bytes.
fn own_parts(place: &Place<'_>, facts: &Facts) -> Vec<Range<usize>> {
    let members = facts.zip.iter().flat_map(|zip| &zip.members).filter_map(|member| {
        let at = usize::try_from(member.offset).ok().filter(|&at| at > 0)?;
        Some(at..at.checked_add(usize::try_from(member.stored_size).ok()?)?)
    });
    let head = if place.kind == Kind::Payload { HEAD } else { 0 };
    let taken = place.children.iter().cloned().chain(members);
    let mut taken: Vec<Range<usize>> = taken.map(|range| range.start.max(head)..range.end).collect();
    taken.sort_by_key(|range| range.start);
    let mut parts = Vec::new();
    let mut from = 0;
    for range in taken {
        if from < range.start {
            parts.push(from..range.start.min(place.bytes.len()));
        }
        from = from.max(range.end);
    }
    if from < place.bytes.len() {
        parts.push(from..place.bytes.len());
    }
    parts
}

/// Where a layer lies in its parent.
fn range(layer: &Peel<'_>) -> Option<Range<usize>> {
    let start = usize::try_from(layer.offset).ok()?;
    Some(start..start.checked_add(usize::try_from(layer.size).ok()?)?)
}

fn told(layer: &Peel<'_>, (hashes, facts, hits): (Hashes, Facts, Vec<Hit>)) -> Layer {
    Layer {
        parent: layer.parent,
        kind: layer.kind,
        name: layer.name.clone(),
        state: layer.state,
        found_by: layer.found_by,
        offset: layer.offset,
        stored_size: layer.stored_size,
        size: layer.size,
        encoding: layer.encoding.clone(),
        remarks: layer.remarks.clone(),
        hashes,
        facts,
        hits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::RuleFile;

    #[test]
    fn the_users_rules_are_asked_for_a_full_report_alone_and_left_out_on_demand() {
        let file =
            |name: &str| RuleFile { name: name.to_owned(), text: "rule mine { condition: true }".to_owned() };
        let files = ["a.yar", "b.yar", "c.yar", "d.yar"].map(file);
        let (rules, budget) = (Rules::compile(&files).0, Budget::default());
        let sample = crate::pe::tests::look_alike(crate::pe::Machine::X86, 0x1000, 1);
        let look = || Look::new(&sample, Road::Payload, &rules, &budget);
        let count = |report: &Report| report.layers.iter().map(|layer| layer.hits.len()).sum::<usize>();
        let mut learned = Memory::new(crate::MEMORY_BYTES);
        let full = look().full(&mut learned);
        assert_eq!((count(&full), full.remarks.len(), learned.size().0), (4, 0, 1));
        let first = look().first();
        assert_eq!((count(&first), first.remarks.len()), (0, 0));
        let mut learned = Memory::new(crate::MEMORY_BYTES);
        let without = look().without_users_rules().full(&mut learned);
        let told =
            "the rules of a.yar, b.yar, c.yar and 1 file more were not asked: a try with them took too long";
        assert_eq!((count(&without), without.remarks.as_slice()), (0, &[told.to_owned()][..]));
        // Nothing was learned that the next report would be wrong by.
        assert_eq!(learned.size().0, 0);
        let own = Rules::compile(&[]).0;
        assert_eq!(
            Look::new(b"x", Road::Payload, &own, &budget).without_users_rules().first().remarks.len(),
            0
        );
    }
}
