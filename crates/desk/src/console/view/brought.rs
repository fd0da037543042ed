//! What an incident uploaded, as triage explains it: the same on its page and in the feed.

use crate::console::text;
use crate::incident::Incident;
use crate::sample::{Catalog, Entry};
use maud::{Markup, html};
use roridula_evidence::SampleId;
use schemars::JsonSchema;
use serde::Serialize;

/// Characters of a sentence in the feed.
const SHORT: usize = 200;

/// A sample that an incident uploaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Brought {
    /// SHA-256, hexadecimal.
    pub(super) sha256: String,
    /// Its family; empty where none is known, or as long as nobody has looked into it.
    pub(super) family: String,
    /// What it is, in one sentence; empty as long as nobody knows. Holds a visitor's text, escaped.
    pub(super) sentence: String,
}

/// At most `max` of the samples that an incident uploaded; without a catalog the samples are not known yet.
pub(super) fn of(incident: &Incident, catalog: Option<&Catalog>, max: usize) -> Vec<Brought> {
    let entry = |name: &str| -> Option<&Entry> {
        let id = name.parse::<SampleId>().ok()?;
        catalog?.entries.iter().find(|entry| entry.sha256 == id)
    };
    let brought = |name: &String| {
        let entry = entry(name);
        Brought {
            sha256: name.clone(),
            family: entry.map_or_else(String::new, |entry| entry.family.clone()),
            sentence: entry.map_or_else(String::new, |entry| entry.sentence.clone()),
        }
    };
    incident.samples.iter().take(max).map(|sample| brought(&sample.sha256)).collect()
}

/// What of it is news: not the sentence, which changes whenever somebody else brings the same.
pub(super) fn news(brought: &[Brought]) -> String {
    let told = |one: &Brought| format!("{} {}", one.family, one.sentence.is_empty());
    brought.iter().map(told).collect::<Vec<_>>().join(", ")
}

/// In the feed: a line for each of which something is known.
pub(super) fn lines(brought: &[Brought]) -> Markup {
    html! {
        @for one in brought.iter().filter(|one| !one.sentence.is_empty()) {
            p.brought {
                @if !one.family.is_empty() { strong { (text::shown(&one.family)) } " · " }
                a href={ "/samples/" (one.sha256) } { (text::shown_to(&one.sentence, SHORT)) }
            }
        }
    }
}
