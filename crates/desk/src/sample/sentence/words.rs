//! Names of layers, numbers and lists, as the sentence writes them.

use super::place::is_inside;
use crate::sample::outline::carrier;
use roridula_proto::event::Text;
use roridula_triage::facts::PeFacts;
use roridula_triage::family::{Confidence, ROADS};
pub use roridula_triage::text::{counted, number as thousands};
use roridula_triage::{FoundBy, Kind, Layer, Report, State, reference};

/// Letters of an attacker's name.
const NAME_MAX: usize = 40;

/// The family of a report, as far as it says what the file is, and not only by which road it came.
pub(crate) fn family(report: &Report) -> Option<&str> {
    let family = report.verdict.as_ref().map(|verdict| verdict.family.as_str());
    family.filter(|family| !ROADS.contains(family))
}

/// The family as a sentence names it, escaped: a user's rule may be anybody's text. What others have too is no more
/// than possible.
pub(super) fn named_family(report: &Report) -> Option<String> {
    let is_sure = report.verdict.as_ref().is_some_and(|verdict| verdict.confidence != Confidence::Low);
    family(report).map(|family| format!("{}{}", if is_sure { "" } else { "possible " }, escaped(family)))
}

/// The other families of a report that say what the file is.
pub(super) fn also(report: &Report) -> impl Iterator<Item = &str> {
    let also = report.verdict.iter().flat_map(|verdict| &verdict.also);
    also.map(|also| also.family.as_str()).filter(|family| !ROADS.contains(family))
}

/// Whether the file is laid out like a published worm's launcher, and is of that worm's family.
pub(super) fn is_launcher(report: &Report) -> bool {
    report.core_layer().is_some_and(|core| {
        let known =
            |path: &&reference::Carrier| path.path == core.name && Some(&*path.family) == family(report);
        reference::carriers().iter().any(|carrier| known(&carrier)) && core.found_by == FoundBy::LengthField
    })
}

/// Whether the worm is in it, too: as far as what it carries is whole, something in that is of the family.
pub(super) fn is_known_launcher(report: &Report) -> bool {
    is_launcher(report) && !is_launcher_of_another(report)
}

/// Whether a launcher carries a whole file in which nothing is of its family.
pub(super) fn is_launcher_of_another(report: &Report) -> bool {
    let (Some(number), Some(core)) = (report.core.filter(|_| is_launcher(report)), report.core_layer())
    else {
        return false;
    };
    let is_in_core = |at: u32| at == number || is_inside(report, at, number);
    let is_of_family = |layer: &Layer| {
        let is_known = reference::published(&layer.hashes.sha256).is_some();
        is_known || layer.hits.iter().any(|hit| Some(&*hit.family) == family(report))
    };
    let mut inside = (0u32..).zip(&report.layers).filter(|(at, _)| is_in_core(*at));
    core.state == State::Intact && !inside.any(|(_, layer)| is_of_family(layer))
}

/// What a layer is, as in `its …`: `launcher DLL`, `ransomware EXE`, `EXE 10/7`.
pub(super) fn title(report: &Report, layer: &Layer) -> String {
    if let Some(known) = known_part(report, layer) {
        return known;
    }
    let what = what(layer);
    if layer.name.is_empty() { what.to_owned() } else { format!("{what} {}", name(&layer.name)) }
}

/// The published part that a layer is, by what its family's part carries at this place: `worm EXE`.
pub(super) fn part(report: &Report, number: u32) -> Option<&'static str> {
    let carries = |carrier: &&reference::Carrier| {
        let is_here = |(_, inner): (u32, &Layer)| inner.name == carrier.path && is_carried(inner);
        Some(&*carrier.family) == family(report) && report.children(number).any(is_here)
    };
    reference::carriers().iter().find(carries).map(|carrier| carrier.part.as_str())
}

/// Whether a layer's name is that of a resource.
fn is_carried(layer: &Layer) -> bool {
    matches!(layer.found_by, FoundBy::Resource | FoundBy::LengthField)
}

/// What was published about a layer at this place of a known worm.
fn known_part(report: &Report, layer: &Layer) -> Option<String> {
    let is_core = report.core_layer().is_some_and(|core| std::ptr::eq(core, layer));
    if is_launcher(report) && carrier(report).is_some_and(|carrier| std::ptr::eq(carrier, layer)) {
        return Some("launcher DLL".to_owned());
    }
    let at_its_place = |known: &&reference::Carrier| {
        let is_another = is_core && is_launcher_of_another(report);
        let is_here = known.path == layer.name && is_carried(layer) && !is_another;
        is_here && Some(&*known.family) == family(report)
    };
    if let Some(resource) = reference::carriers().iter().find(at_its_place) {
        return Some(resource.carries.trim_start_matches("the ").to_owned());
    }
    report.core.filter(|_| is_core).and_then(|core| part(report, core)).map(str::to_owned)
}

/// What a layer is, without its name.
pub(super) fn what(layer: &Layer) -> &str {
    match (layer.kind, &layer.facts.pe) {
        // Of a piece that lies in something, and of nothing that could be told better.
        _ if layer.parent.is_some() && !layer.facts.looks_like.is_empty() => &layer.facts.looks_like,
        (Kind::Pe, Some(PeFacts { dll: true, .. })) => "DLL",
        (Kind::Pe, Some(_)) => "EXE",
        (Kind::Pe, None) => "PE file",
        (Kind::Zip, _) => "ZIP archive",
        (Kind::Cab, _) => "cabinet",
        (Kind::Gzip, _) => "gzip stream",
        (Kind::Data, _) if layer.found_by == FoundBy::StubSizeField => "carried file",
        (Kind::Overlay | Kind::Data, _) => "unknown data",
        (Kind::Payload, _) => "upload",
        (kind, _) => kind.as_str(),
    }
}

/// An attacker's name, escaped and short.
pub(super) fn name(text: &str) -> String {
    let shown = escaped(text);
    let more = if shown.chars().count() > NAME_MAX { "…" } else { "" };
    shown.chars().take(NAME_MAX).collect::<String>() + more
}

pub(super) fn escaped(text: &str) -> String {
    Text(text.to_owned()).to_string()
}

/// `a, b and c`; beyond `max` they are counted.
pub(super) fn joined(mut parts: Vec<String>, max: usize) -> String {
    let more = parts.len().saturating_sub(max);
    parts.truncate(max);
    if more > 0 {
        parts.push(format!("{} more", thousands(more as u64)));
    }
    match parts.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => parts.concat(),
    }
}
