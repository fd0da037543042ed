//! Bodies of the fuzz targets, as library functions, so that they always compile and any input that was ever
//! found runs again as a plain test. Each takes bytes and panics where an invariant breaks.

use crate::facts;
use crate::look::Look;
use crate::memory::Memory;
use crate::pe::Pe;
use crate::peel::{self, Peel, Peeled};
use crate::report::{Budget, Road};
use crate::rules::Rules;
use std::borrow::Cow;

/// A target: its name and its body.
pub type Target = (&'static str, fn(&[u8]));

/// All targets, by the names of their files in `fuzz/fuzz_targets`.
pub const TARGETS: &[Target] = &[
    ("answers", facts::fuzzing::answers),
    ("code", facts::fuzzing::code),
    ("diff", diff),
    ("pe", pe),
    ("pe_facts", facts::fuzzing::pe_facts),
    ("peel", peel),
    ("remembered", remembered),
    ("resources", resources),
    ("strings", facts::fuzzing::strings),
    ("stubs", stubs),
    ("zip", zip),
];

/// Small, so that every bound is met often.
const BUDGET: Budget = Budget {
    candidates_max: 64,
    layers_max: 24,
    depth_max: 5,
    layer_bytes_max: 256 * 1024,
    decoded_bytes_max: 128 * 1024,
    ratio_max: 50,
    entries_max: 64,
};

/// Peels `data` as a payload and as an exploit's buffer.
pub fn peel(data: &[u8]) {
    for road in [Road::Payload, Road::ExploitBuffer] {
        let peeled = peel::peel(data, road, &BUDGET);
        check(data, &peeled, &BUDGET);
    }
}

/// Looks into `data` as it is and behind other bytes, with a memory and without: the same reports.
pub fn remembered(data: &[u8]) {
    let rules = Rules::default();
    let mut memory = Memory::new(64 * 1024);
    let behind = [b"in front", data].concat();
    for sample in [data, &behind, data] {
        let look = || Look::new(sample, Road::Payload, &rules, &BUDGET);
        let known = look().full(&mut memory);
        assert!(known == look().full(&mut Memory::new(0)), "another report with a memory");
        assert!(memory.size().1 <= 64 * 1024, "a memory without a bound");
    }
}

/// Compares two samples: the halves of `data`, and the first with one byte changed.
pub fn diff(data: &[u8]) {
    let (one, other) = data.split_at(data.len() / 2);
    let mut changed = one.to_vec();
    if let Some(byte) = changed.get_mut(one.len() / 2) {
        *byte ^= 0x20;
    }
    let rules = Rules::default();
    let report = |bytes: &[u8]| crate::triage(bytes, Road::Payload, &rules, &BUDGET);
    let (ra, rb, rc) = (report(one), report(other), report(&changed));
    for (b, rb) in [(other, &rb), (&changed, &rc), (one, &ra)] {
        let mut of_one = |sha256: &str| crate::layer_bytes(one, Road::Payload, &BUDGET, sha256);
        let mut of_b = |sha256: &str| crate::layer_bytes(b, Road::Payload, &BUDGET, sha256);
        let a = crate::Compared { bytes: one, report: &ra, decode: &mut of_one };
        let found = crate::diff_decoded(a, crate::Compared { bytes: b, report: rb, decode: &mut of_b });
        // Lines and ranges have bounds of their own, with some for what is equal and for what is more.
        assert!(found.lines.len() <= 64, "lines without a bound");
        let ranges = found.layers.iter().flat_map(|pair| pair.ranges.iter().map(move |range| (pair, range)));
        let mut count = 0usize;
        for (pair, range) in ranges {
            count = count.saturating_add(1);
            let is_in = |at: u64, size: u64, all: u64| at.checked_add(size).is_some_and(|end| end <= all);
            assert!(is_in(range.a_at, range.a_size, pair.a_size), "a range outside of its layer");
            assert!(is_in(range.b_at, range.b_size, pair.b_size), "a range outside of its layer");
        }
        assert!(count <= 200, "ranges without a bound");
        let is_equal = found.layers.iter().all(|pair| pair.equal && pair.ranges.is_empty());
        assert!(one != b || is_equal, "a sample differs from itself");
    }
}

/// Reads `data` as a PE file.
pub fn pe(data: &[u8]) {
    let Some(pe) = Pe::parse(data) else { return };
    assert!((1..=96).contains(&pe.sections), "a section table that no loader takes");
    for address in [0, 0x1000, 0x7fff_ffff, u32::MAX] {
        let _ = pe.file_offset(data, address);
    }
    for number in 0..20 {
        let _ = pe.directory(data, number);
    }
}

/// Lists the resources of `data`.
pub fn resources(data: &[u8]) {
    let Some(pe) = Pe::parse(data) else { return };
    let (resources, _) = peel::resources(data, &pe, BUDGET.entries_max);
    assert!(resources.len() <= BUDGET.entries_max, "more resources than entries");
    for (name, at, size) in resources {
        assert!(at < data.len(), "{name} ({size} bytes) starts behind the file");
    }
}

/// Reads `data` as a stub and what it carries, and as a stub alone.
pub fn stubs(data: &[u8]) {
    for end in [780, 0x1305, 0x1800, data.len()] {
        let _ = data.get(..end).and_then(facts::stub);
    }
    // A stub's size field at its true place is rare among mutations: put the input where it matters.
    let (head, file) = data.split_at(data.len().min(16));
    for layout in crate::stub::ALL {
        let mut upload = vec![0xcc; layout.file_at];
        let field = upload.get_mut(layout.size_at..).unwrap_or_default();
        field.iter_mut().zip(head).for_each(|(place, byte)| *place = *byte);
        upload.extend_from_slice(file);
        peel(&upload);
    }
    let mut packet = vec![0xcc; 780];
    packet.extend_from_slice(data);
    packet.resize(4096, 0xdd);
    peel(&packet);
}

/// Lists and unpacks `data` as an archive.
pub fn zip(data: &[u8]) {
    let Some(facts) = facts::zip(data, BUDGET.entries_max) else { return };
    assert!(facts.members.len() <= BUDGET.entries_max, "more members than entries");
    for member in facts.members {
        let end = member.offset.saturating_add(member.stored_size);
        let inside = end <= size(data.len());
        assert!(inside || member.state != "intact", "a member that is not there is intact: {member:?}");
    }
}

/// The invariants of layers: disjoint children inside their parent, which children and gaps rebuild; borrowed bytes
/// are the parent's; no bound is exceeded.
pub(crate) fn check(sample: &[u8], peeled: &Peeled<'_>, budget: &Budget) {
    let layers = &peeled.layers;
    assert!(!layers.is_empty() && layers.len() <= budget.layers_max.max(1), "too many layers");
    let bytes: u64 = layers.iter().map(|layer| size(layer.bytes.len())).sum();
    let bound = budget.layer_bytes_max.max(size(sample.len()));
    assert!(bytes <= bound, "{bytes} bytes of layers");
    let core = peeled.core.and_then(|core| layers.get(usize::try_from(core).ok()?));
    assert!(core.is_some(), "the core is no layer");
    for (number, layer) in layers.iter().enumerate() {
        let Some(parent) = layer.parent else {
            assert!(number == 0 && layer.bytes.as_ref() == sample, "layer {number} has no parent");
            continue;
        };
        assert!(size(number) > u64::from(parent), "layer {number} stands before its parent");
        let damaged = layer.state != crate::State::Intact;
        assert!(!damaged || !layer.remarks.is_empty(), "layer {number} does not say what is wrong");
    }
    for (number, layer) in layers.iter().enumerate() {
        let children =
            layers.iter().filter(|child| child.parent.is_some_and(|at| u64::from(at) == size(number)));
        rebuild(layer, children);
    }
}

fn rebuild<'l>(parent: &Peel<'_>, children: impl Iterator<Item = &'l Peel<'l>>) {
    let whole = parent.bytes.as_ref();
    let mut rebuilt: Vec<u8> = Vec::with_capacity(whole.len());
    for child in children {
        let offset = usize::try_from(child.offset).unwrap_or(usize::MAX);
        let end = offset.saturating_add(usize::try_from(child.stored_size).unwrap_or(usize::MAX));
        let gap = whole.get(rebuilt.len()..offset);
        assert!(gap.is_some(), "children overlap or are out of order: {:?} at {offset}", child.kind);
        rebuilt.extend_from_slice(gap.unwrap_or_default());
        let stored = whole.get(offset..end);
        assert!(stored.is_some(), "a child leaves its parent");
        if child.encoding.is_empty() {
            assert_eq!(stored, Some(child.bytes.as_ref()), "a child's bytes are not its parent's");
            rebuilt.extend_from_slice(&child.bytes);
        } else {
            assert!(matches!(child.bytes, Cow::Owned(_)), "a decoded child has bytes of its own");
            rebuilt.extend_from_slice(stored.unwrap_or_default());
        }
    }
    rebuilt.extend_from_slice(whole.get(rebuilt.len()..).unwrap_or_default());
    assert!(rebuilt == whole, "children and gaps do not rebuild {:?}", parent.kind);
}

fn size(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
