//! Where layers stand to each other, and which of them the sentence is about.

use crate::sample::outline::carrier;
use roridula_triage::{FoundBy, Layer, Report};

/// The file that the sentence is about: what carries the core, or the core.
pub(super) fn subject(report: &Report) -> Option<u32> {
    let core = report.core?;
    if carrier(report).is_some() { report.layer(core)?.parent } else { Some(core) }
}

/// The layers that the sentence is about: the file, and what lies in it; not what stands behind its end.
pub(super) fn own(report: &Report) -> impl Iterator<Item = (u32, &Layer)> {
    let subject = subject(report);
    let is_behind = |layer: &Layer| layer.found_by == FoundBy::BehindTheEnd;
    let behind: Vec<u32> = (0u32..)
        .zip(&report.layers)
        .filter(|(_, layer)| is_behind(layer))
        .map(|(number, _)| number)
        .collect();
    (0u32..).zip(&report.layers).filter(move |(number, _)| {
        let is_in = |outer: u32| *number == outer || is_inside(report, *number, outer);
        // The subject itself and what it lies in are none of that.
        let holds = |outer: u32| subject.is_some_and(|at| at == outer || is_inside(report, at, outer));
        let is_apart = |outer: &u32| is_in(*outer) && !holds(*outer);
        subject.is_none_or(is_in) && !behind.iter().any(is_apart)
    })
}

/// Whether layer `inner` lies in layer `outer`, at whatever depth.
pub(super) fn is_inside(report: &Report, inner: u32, outer: u32) -> bool {
    let mut at = report.layer(inner).and_then(|layer| layer.parent);
    // A parent stands in front of what lies in it.
    for _ in 0..report.layers.len() {
        match at {
            Some(number) if number == outer => return true,
            Some(number) => at = report.layer(number).and_then(|layer| layer.parent),
            None => return false,
        }
    }
    false
}
