//! Resources that have another id in one of two files.

use super::RangeDiff;
use super::parts::Side;
use crate::bytes::le_u32;
use crate::report::Layer;
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of an id.
const ID: usize = 4;

/// Leaves that are at the same place in both files and are called otherwise, in words; each once.
pub(super) fn renamed(a: &Layer, b: &Layer) -> Vec<String> {
    let mut told: Vec<String> = Vec::new();
    for (here, there) in pairs(a, b) {
        let line = words(here, there);
        if !told.contains(&line) {
            told.push(line);
        }
    }
    told
}

/// The one whose id these bytes are, in words.
pub(super) fn at(a: &Side<'_>, b: &Side<'_>, range: &RangeDiff) -> Option<String> {
    if range.a_size != range.b_size || !(1..=ID).contains(&usize::try_from(range.a_size).ok()?) {
        return None;
    }
    let (at_a, at_b) = (usize::try_from(range.a_at).ok()?, usize::try_from(range.b_at).ok()?);
    let is_id = |old: u32, new: u32| {
        // The bytes that differ may be any of the four.
        (0..ID).any(|back| {
            let id = |bytes: &[u8], at: usize| le_u32(bytes, at.checked_sub(back)?);
            id(a.bytes, at_a) == Some(old) && id(b.bytes, at_b) == Some(new)
        })
    };
    let mut all = pairs(a.layer, b.layer);
    let (here, there) = all.find(|(here, there)| {
        let mut ids = here.split('/').zip(there.split('/')).filter(|(one, other)| one != other);
        ids.any(|(old, new)| old.parse().ok().zip(new.parse().ok()).is_some_and(|(old, new)| is_id(old, new)))
    })?;
    Some(words(here, there))
}

/// Paths that one of the two has alone, of leaves that are at the same place in both.
fn pairs<'a>(a: &'a Layer, b: &'a Layer) -> impl Iterator<Item = (&'a str, &'a str)> {
    let leaves = |layer: &'a Layer| layer.facts.pe.iter().flat_map(|pe| &pe.resources);
    let paths = |layer: &'a Layer| leaves(layer).map(|leaf| leaf.path.as_str()).collect::<BTreeSet<_>>();
    let (of_a, of_b) = (paths(a), paths(b));
    let alone = leaves(b).filter(move |leaf| !of_a.contains(leaf.path.as_str()));
    let there: BTreeMap<_, _> = alone.map(|leaf| ((leaf.offset, leaf.size), leaf.path.as_str())).collect();
    let here = leaves(a).filter(move |leaf| !of_b.contains(leaf.path.as_str()));
    here.filter_map(move |leaf| Some((leaf.path.as_str(), *there.get(&(leaf.offset, leaf.size))?)))
}

/// Without the language where that is the same.
fn words(here: &str, there: &str) -> String {
    let (here, there) = match here.rsplit_once('/').zip(there.rsplit_once('/')) {
        Some(((one, language), (other, same))) if language == same => (one, other),
        _ => (here, there),
    };
    format!("resource {here} is {there} in B")
}
