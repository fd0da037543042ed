//! Explains a captured byte slice.
//!
//! [`triage`] takes the bytes of a sample and answers with a [`Report`]: which layers are inside each other (`peel`),
//! what is known of each (`facts`), which rules fit (`rules`), and which family that makes (`family`). It computes and does nothing else: no I/O, no clock, no thread, no network. What it costs
//! is bounded by a [`Budget`], whatever the bytes claim. It is run in a child process all the same, because a
//! hostile file is the whole point of it.

#![forbid(unsafe_code)]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::disallowed_methods,
    clippy::disallowed_types
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::as_conversions
    )
)]

mod bytes;
mod diff;
pub mod facts;
pub mod family;
pub mod fuzzing;
pub mod pe;
mod peel;
pub mod reference;
mod report;
pub mod rules;

pub use diff::{Diff, LayerDiff, RangeDiff, diff};
pub use peel::stub;
pub use report::{Budget, FORMAT, FoundBy, Hashes, Kind, Layer, Report, Road, State};

/// Looks into the bytes of one sample, within `budget`.
pub fn triage(sample: &[u8], road: Road, rules: &rules::Rules, budget: &Budget) -> Report {
    let peeled = peel::peel(sample, road, budget);
    let described = facts::describe(&places(&peeled.layers));
    let layers: Vec<Layer> =
        peeled.layers.into_iter().zip(described).map(|(peel, facts)| describe(peel, facts, rules)).collect();
    let verdict = family::verdict(&layers);
    Report {
        format: FORMAT,
        rules: rules.digest().to_owned(),
        layers,
        core: peeled.core,
        verdict,
        remarks: peeled.remarks,
    }
}

/// The layers as facts see them.
fn places<'a>(layers: &'a [peel::Peel<'_>]) -> Vec<facts::Place<'a>> {
    let place = |peel: &'a peel::Peel<'_>| {
        let parent = peel.parent.and_then(|parent| usize::try_from(parent).ok());
        let start = usize::try_from(peel.offset).ok();
        let end = start.and_then(|start| start.checked_add(peel.bytes.len()));
        let inside = parent.filter(|_| peel.encoding.is_empty()).zip(start.zip(end));
        facts::Place {
            kind: peel.kind,
            bytes: peel.bytes.as_ref(),
            inside: inside.map(|(parent, (start, end))| (parent, start..end)),
        }
    };
    layers.iter().map(place).collect()
}

/// All that one layer's bytes say.
fn describe(
    peel: peel::Peel<'_>,
    (hashes, mut facts): (Hashes, facts::Facts),
    rules: &rules::Rules,
) -> Layer {
    let bytes = peel.bytes.as_ref();
    facts.zip = peel.zip.or(facts.zip);
    Layer {
        parent: peel.parent,
        kind: peel.kind,
        name: peel.name,
        state: peel.state,
        found_by: peel.found_by,
        offset: peel.offset,
        stored_size: peel.stored_size,
        size: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
        encoding: peel.encoding,
        remarks: peel.remarks,
        hashes,
        facts,
        hits: rules.scan(bytes),
    }
}
