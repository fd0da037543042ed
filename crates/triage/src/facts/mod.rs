//! What is known of a layer besides its place: one file a kind of fact.

mod alike;
mod code;
pub mod fuzzing;
mod hashes;
mod indicators;
mod magic;
mod md5;
mod pe;
mod strings;
mod stub;
mod zip;

pub(crate) use alike::Trace;
pub use code::CodeFacts;
pub(crate) use code::is_code;
pub(crate) use hashes::hex;
pub use indicators::{Indicator, IndicatorKind};
pub(crate) use magic::looks_like;
pub use pe::{Import, PeFacts, ResourceFacts, SectionFacts};
pub use strings::INDICATORS_MAX;
pub use stub::StubFacts;
pub(crate) use stub::stub;
pub(crate) use zip::zip;
pub use zip::{Member, ZipFacts};

use crate::pe::Machine;
use crate::report::{Depth, Hashes, Kind};
use alike::Seen;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// What is known of one layer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// Shannon entropy in bits a byte, rounded to hundredths.
    pub entropy: f32,
    /// What it looks like by its first bytes, as `PDF document`, where it is nothing that is looked into; may be empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub looks_like: String,
    /// Of a PE file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pe: Option<PeFacts>,
    /// Of a ZIP archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zip: Option<ZipFacts>,
    /// Of a stub.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stub: Option<StubFacts>,
    /// Of code: a stub, shellcode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<CodeFacts>,
    /// What it would talk to, make or ask for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub indicators: Vec<Indicator>,
    /// Strings that tell something, the most telling first. Attacker's text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub strings: Vec<String>,
}

/// A layer, as far as facts need it.
#[derive(Clone)]
pub(crate) struct Place<'a> {
    pub(crate) kind: Kind,
    pub(crate) bytes: &'a [u8],
    /// In which of the places before it, and where, its bytes stand as they are; `None` for the sample and for
    /// what had to be decoded.
    pub(crate) inside: Option<(usize, Range<usize>)>,
    /// Where layers stand in it as they are: they speak for themselves.
    pub(crate) children: Vec<Range<usize>>,
    /// Hashes that are known already.
    pub(crate) hashes: Hashes,
    /// Layers in it that were walked over before, and where they stand.
    pub(crate) seen: Vec<(Range<usize>, &'a Trace)>,
}

/// All that is said of a place.
#[derive(Default)]
pub(crate) struct Described {
    pub(crate) hashes: Hashes,
    pub(crate) facts: Facts,
    /// `None` at the first depth.
    pub(crate) trace: Option<Trace>,
}

impl<'a> Place<'a> {
    /// Bytes that stand alone.
    pub(crate) fn alone(kind: Kind, bytes: &'a [u8]) -> Self {
        Self { kind, bytes, inside: None, children: Vec::new(), hashes: Hashes::default(), seen: Vec::new() }
    }
}

/// Bytes of sections that are hashed, all together, as a multiple of the file's size: sections may overlap, and
/// a table of 96 of them would otherwise buy 96 walks over the file.
const SECTION_BYTES_RATIO: usize = 2;

/// Hashes and facts of all layers of a sample, in their order. Layers inside each other share what goes over
/// all bytes. At the first depth: no hashes, and nothing that goes over all bytes.
pub(crate) fn describe(places: &[Place<'_>], depth: Depth) -> Vec<Described> {
    let said = |place: &Place<'_>| Described {
        hashes: place.hashes.clone(),
        facts: read(place, depth),
        trace: None,
    };
    let mut found: Vec<Described> = places.iter().map(said).collect();
    if depth == Depth::First {
        return found;
    }
    hashes::sha(places.iter().zip(&mut found).map(|(place, found)| (place.bytes, &mut found.hashes)));
    md5s(places, &mut found);
    let homes = homes(places);
    for (base, place) in places.iter().enumerate() {
        let members: Vec<usize> =
            homes.iter().enumerate().filter(|(_, home)| home.0 == base).map(|(at, _)| at).collect();
        if !members.is_empty() {
            walk(place.bytes, &members, places, &homes, &mut found);
        }
    }
    found
}

/// MD5 of each layer and of each section that holds no layer: what does is named by the layer's hashes.
fn md5s(places: &[Place<'_>], found: &mut [Described]) {
    let mut parts: Vec<&[u8]> = Vec::new();
    let mut wanted: Vec<&mut String> = Vec::new();
    for (place, Described { hashes, facts, .. }) in places.iter().zip(found) {
        if hashes.md5.is_empty() {
            parts.push(place.bytes);
            wanted.push(&mut hashes.md5);
        }
        for (section, range) in facts.pe.iter_mut().flat_map(|pe| sections(pe, place)) {
            parts.push(place.bytes.get(range).unwrap_or_default());
            wanted.push(&mut section.md5);
        }
    }
    let all = hashes::md5s(&parts);
    wanted.into_iter().zip(all).for_each(|(place, md5)| *place = md5);
}

/// The sections that are hashed, and where they stand.
fn sections<'p>(
    pe: &'p mut PeFacts,
    place: &Place<'_>,
) -> impl Iterator<Item = (&'p mut SectionFacts, Range<usize>)> {
    let mut left = place.bytes.len().saturating_mul(SECTION_BYTES_RATIO);
    let ranges: Vec<Range<usize>> = pe::section_ranges(pe, place.bytes.len()).collect();
    pe.sections.iter_mut().zip(ranges).filter(move |(_, range)| {
        let holds_layer =
            place.children.iter().any(|child| range.start <= child.start && child.start < range.end);
        let Some(rest) = left.checked_sub(range.len()) else { return false };
        let wanted = !holds_layer && !range.is_empty();
        left = if wanted { rest } else { left };
        wanted
    })
}

/// All hashes of bytes that stand alone.
#[cfg(test)]
pub(crate) fn hashes(bytes: &[u8]) -> Hashes {
    let described = describe(&[Place::alone(Kind::Data, bytes)], Depth::Full).pop();
    described.map(|described| described.hashes).unwrap_or_default()
}

/// For each place, the outermost place that its bytes stand in as they are, and where.
fn homes(places: &[Place<'_>]) -> Vec<(usize, Range<usize>)> {
    let mut homes: Vec<(usize, Range<usize>)> = Vec::with_capacity(places.len());
    for (number, place) in places.iter().enumerate() {
        let home = place.inside.as_ref().and_then(|(parent, range)| {
            let (base, outer) = homes.get(*parent)?;
            let start = outer.start.checked_add(range.start)?;
            let end = start.checked_add(place.bytes.len())?;
            // What does not stand there as it claims stands alone.
            (range.len() == place.bytes.len() && end <= outer.end).then_some((*base, start..end))
        });
        homes.push(home.unwrap_or((number, 0..place.bytes.len())));
    }
    homes
}

/// What goes over all bytes, for the members of one home.
fn walk(
    base: &[u8],
    members: &[usize],
    places: &[Place<'_>],
    homes: &[(usize, Range<usize>)],
    found: &mut [Described],
) {
    let ranges: Vec<Range<usize>> =
        members.iter().filter_map(|&at| homes.get(at)).map(|home| home.1.clone()).collect();
    let shifted =
        |range: &Range<usize>, by: usize| range.start.saturating_add(by)..range.end.saturating_add(by);
    let mut seen = Vec::new();
    // Layers first, then the sections of each, in that order again below.
    let mut wanted = ranges.clone();
    for (&member, range) in members.iter().zip(&ranges) {
        let known = places.get(member).into_iter().flat_map(|place| &place.seen);
        seen.extend(known.map(|(at, trace)| Seen { range: shifted(at, range.start), trace }));
        let Some(pe) = found.get(member).and_then(|found| found.facts.pe.as_ref()) else { continue };
        wanted.extend(pe::section_ranges(pe, range.len()).map(|inner| shifted(&inner, range.start)));
    }
    let piecewise = alike::ctph::hashes(base, &ranges, &seen);
    let local = alike::tlsh::hashes(base, &ranges, &seen);
    let mut entropies = alike::entropy::entropies(base, &wanted, &seen).into_iter();
    for ((&member, (ssdeep, ctph)), (text, tlsh)) in members.iter().zip(piecewise).zip(local) {
        let (Some(found), Some((bits, entropy))) = (found.get_mut(member), entropies.next()) else {
            continue;
        };
        found.hashes.ssdeep = ssdeep;
        found.hashes.tlsh = text;
        found.facts.entropy = bits;
        found.trace = Some(Trace { entropy, tlsh, ctph });
    }
    for &member in members {
        let pe = found.get_mut(member).and_then(|found| found.facts.pe.as_mut());
        for section in pe.into_iter().flat_map(|pe| &mut pe.sections) {
            section.entropy = entropies.next().map_or(0.0, |(bits, _)| bits);
        }
    }
}

/// What a layer's own bytes say. The first depth leaves out the code.
fn read(place: &Place<'_>, depth: Depth) -> Facts {
    let Place { kind, bytes, .. } = *place;
    let mut facts = Facts::default();
    if matches!(kind, Kind::Payload | Kind::Data | Kind::Text | Kind::Overlay | Kind::Resource) {
        facts.looks_like = magic::looks_like(bytes).to_owned();
    }
    if kind == Kind::Pe {
        facts.pe = pe::read(bytes);
    }
    if kind == Kind::Stub {
        facts.stub = stub(bytes);
    }
    if matches!(kind, Kind::Stub | Kind::Shellcode) && depth == Depth::Full {
        let named =
            |machine: &Machine| facts.stub.as_ref().is_some_and(|stub| stub.machine == machine.as_str());
        facts.code = code::code([Machine::X86, Machine::X64].into_iter().find(named), bytes);
    }
    // What is packed is noise to a reader of strings; its members speak for themselves.
    if !matches!(kind, Kind::Padding | Kind::Zip | Kind::Cab | Kind::Gzip) {
        let found = strings::read(bytes, &place.children);
        facts.indicators = found.indicators;
        facts.strings = found.strings;
    }
    if kind == Kind::Pe {
        let is_worm = strings::names_worm(&facts.indicators);
        pe::note_kill_switch(bytes, is_worm, &mut facts.indicators);
    }
    // What emulation brought to light stands in no string.
    for indicator in facts.code.iter().flat_map(|code| &code.indicators) {
        let same = |held: &Indicator| held.kind == indicator.kind && held.value == indicator.value;
        if !facts.indicators.iter().any(same) {
            facts.indicators.push(indicator.clone());
        }
    }
    facts
}
