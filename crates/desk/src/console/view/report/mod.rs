//! What happened in a day, a week or a month: as a page that prints well, and as Markdown.

mod load;
mod markdown;
mod page;
mod period;
mod sensor;

use super::View;
use super::sources;
use super::word::Word;
use crate::console::ask::{Ask, FILTERS, Problem};
use crate::console::page::Page;
use crate::console::shelf::Shelf;
use crate::console::table::Table;
use crate::console::text;
use schemars::JsonSchema;
use sensor::Sensor;
use serde::Serialize;

/// How exactly it counts time.
const EXACT: &str = "To the moment are incidents, connections, captured uploads, samples, cores, families and who brought the most; the other numbers are counted by whole hours, UTC.";

/// `/report`
pub(crate) struct Report;

/// What it shows.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Model {
    /// `day`, `week`, `month` or `chosen`.
    period: &'static str,
    /// What it is of, in words.
    name: String,
    /// What it is filtered by, as `source 192.0.2.7`; nothing: by nothing. The honeypot itself is told whole.
    only: Vec<String>,
    /// From when on, UTC.
    since: String,
    /// Up to when, UTC.
    until: String,
    /// Whether that lies in the future.
    so_far: bool,
    /// The address of the report before; null where there is none.
    previous: Option<String>,
    /// The address of the report after; null where there is none.
    next: Option<String>,
    /// What was counted, against the period before.
    totals: Vec<Total>,
    /// Cores that were never seen before, the most novel first.
    cores: Vec<Core>,
    /// How many more there are.
    cores_more: u64,
    /// Visitors with the most captured uploads.
    hosts: Vec<sources::Row>,
    /// Families, the most frequent first.
    families: Vec<Family>,
    /// Tools, the most frequent first.
    tools: Vec<Tool>,
    /// Samples that came for the first time, the most novel first.
    novel: Vec<Novel>,
    /// What was not understood, the latest first.
    unknown: Vec<Shape>,
    /// How the honeypot itself was.
    sensor: Sensor,
}

/// Something that was counted.
#[derive(Debug, Serialize, JsonSchema)]
struct Total {
    /// What.
    name: &'static str,
    /// In the report's time.
    now: u64,
    /// In the period before.
    before: u64,
}

/// A core that was never seen before.
#[derive(Debug, Serialize, JsonSchema)]
struct Core {
    /// SHA-256, hexadecimal.
    core: String,
    /// Its family; empty where none is known.
    family: String,
    /// From 0 to 100.
    novelty: u8,
    /// Captures in the report's time, from visitors who fit its filter.
    captures: u64,
    /// Addresses of those that brought it.
    hosts: u64,
    /// First capture, UTC.
    first_seen: String,
    /// What it is, in one sentence. Holds a visitor's text, escaped.
    sentence: String,
}

/// A family.
#[derive(Debug, Serialize, JsonSchema)]
struct Family {
    /// Its name.
    family: String,
    /// Captures.
    captures: u64,
    /// Captures in the period before, or in the same part of it.
    before: u64,
    /// Addresses that brought one.
    hosts: u64,
}

/// A known tool.
#[derive(Debug, Serialize, JsonSchema)]
struct Tool {
    /// Its id.
    tool: String,
    /// How people write it.
    label: String,
    /// Connections.
    connections: u64,
    /// Connections in the period before, or in the same part of it.
    before: u64,
    /// Addresses of them.
    hosts: u64,
}

/// A sample that came for the first time.
#[derive(Debug, Serialize, JsonSchema)]
struct Novel {
    /// SHA-256, hexadecimal.
    sha256: String,
    /// From 0 to 100.
    novelty: u8,
    /// Captures in the report's time, from visitors who fit its filter.
    captures: u64,
    /// First capture, UTC.
    first_seen: String,
    /// What it is, in one sentence. Holds a visitor's text, escaped.
    sentence: String,
}

/// Connections that are alike and not understood.
#[derive(Debug, Serialize, JsonSchema)]
struct Shape {
    /// The order of their messages.
    shape: String,
    /// Connections in the report's time; this and the next are by whole hours.
    connections: u64,
    /// Addresses of them.
    hosts: u64,
    /// Whether nobody had come with it before.
    new: bool,
    /// The latest, UTC.
    last: String,
}

impl View for Report {
    type Model = Model;
    const PATH: &'static str = "/report";
    const API: &'static str = "/report";
    const ABOUT: &'static str =
        "A day, a week or a month against the one before; `/report.md` is the same as Markdown.";
    const HEEDS: &'static [&'static str] = &FILTERS;
    const QUERY: &'static [Word] = &[
        Word::one(
            "period",
            "Of which calendar's stretch, UTC: a week where no time is given; not together with one.",
            &["day", "week", "month"],
        ),
        Word::text("on", "A day that the period has in it: 2026-11-23; today where nothing is said."),
    ];
    const GRAIN: &'static str = EXACT;

    fn load(shelf: &mut Shelf, ask: &Ask) -> Result<Model, Problem> {
        load::load(shelf, ask)
    }

    fn page(model: &Model, ask: &Ask) -> Page {
        Page::of_one(format!("Report: {}", model.name), page::body(model, ask))
    }

    fn tables(model: &Model, _ask: &Ask) -> Vec<Table> {
        page::tables(model)
    }

    fn markdown(model: &Model, _ask: &Ask) -> Option<String> {
        Some(markdown::text(model))
    }
}

/// What comes first: what is new.
fn headline(model: &Model) -> String {
    let total = |name: &str| model.totals.iter().find(|total| total.name == name);
    let now = |name: &str, thing: &str| text::count(total(name).map_or(0, |total| total.now), thing);
    let before = |name: &str| text::number(total(name).map_or(0, |total| total.before));
    format!(
        "{} of {} from {} (before: {} of {} from {})",
        now(load::CORES, "new core"),
        now(load::CAPTURES, "captured upload"),
        now(load::VISITORS, "visitor"),
        before(load::CORES),
        before(load::CAPTURES),
        before(load::VISITORS)
    )
}

#[cfg(test)]
mod tests;
