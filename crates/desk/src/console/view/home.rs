//! Ten seconds: is it well, and was something new caught?

use super::View;
use crate::console::ask::{Ask, Problem};
use crate::console::page::Page;
use crate::console::shelf::Shelf;
use crate::console::text;
use crate::incident::{Filter, Incident};
use maud::{Markup, html};
use schemars::JsonSchema;
use serde::Serialize;

/// Incidents that are shown at first; the feed adds to them.
const LATEST: usize = 12;

/// `/`
pub(crate) struct Home;

/// What it shows.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Model {
    /// Cores that came for the first time in the last 24 hours.
    new_cores: u64,
    /// Captures in the last 24 hours.
    captures: u64,
    /// The sample that is newest among the novel ones.
    novel: Option<Novel>,
    /// The latest incidents.
    incidents: Vec<Latest>,
}

/// A sample worth a look.
#[derive(Debug, Serialize, JsonSchema)]
struct Novel {
    /// SHA-256, hexadecimal.
    sha256: String,
    /// From 0 to 100.
    novelty: u8,
    /// What it is, in one sentence.
    sentence: String,
    /// First capture, UTC.
    first_seen: String,
}

/// An incident in the feed.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Latest {
    /// Its name.
    id: String,
    /// The visitor.
    source: String,
    /// When the visitor was last at it, UTC.
    last: String,
    /// How far it came.
    outcome: String,
    /// The tool, null where none is known.
    tool: Option<String>,
    /// Connections.
    connections: u64,
    /// The story in one sentence.
    summary: String,
}

impl View for Home {
    type Model = Model;
    const PATH: &'static str = "/";
    const API: &'static str = "/home";
    const ABOUT: &'static str = "Is the honeypot well, and was something new caught?";

    fn load(shelf: &mut Shelf, ask: &Ask) -> Result<Model, Problem> {
        let day = ask.now.0.saturating_sub(24 * 3600 * 1_000_000);
        let seen = |time: &str| text::parse_time(time).is_some_and(|at| at.0 >= day);
        let catalog = &shelf.catalog;
        let new_cores = catalog.groups.iter().filter(|group| seen(&group.first_seen)).count() as u64;
        let captures =
            catalog.entries.iter().filter(|entry| seen(&entry.last_seen)).map(|entry| entry.captures).sum();
        let novel = catalog.entries.iter().find(|entry| !entry.core.is_empty()).map(|entry| Novel {
            sha256: entry.sha256.to_string(),
            novelty: entry.novelty,
            sentence: entry.sentence.clone(),
            first_seen: entry.first_seen.clone(),
        });
        let filter = Filter { limit: Some(LATEST), ..Filter::default() };
        let incidents = shelf.incidents.list(&filter).map_err(Problem::failed)?;
        Ok(Model { new_cores, captures, novel, incidents: incidents.iter().map(latest).collect() })
    }

    fn page(model: &Model, _ask: &Ask) -> Page {
        Page::new("Home", body(model))
    }
}

fn body(model: &Model) -> Markup {
    html! {
        section.headline aria-label="New" {
            p.new { strong { (text::number(model.new_cores)) } " new cores today, of " (text::number(model.captures)) " captures" }
        }
        @if let Some(novel) = &model.novel {
            section.card {
                h2 { "The most novel sample" }
                p.sentence { (text::shown_to(&novel.sentence, 600)) }
                p {
                    a href={ "/samples/" (novel.sha256) } { (text::hash(&novel.sha256)) }
                    " · novelty " (novel.novelty) " · first seen " (text::time_text(&novel.first_seen))
                }
            }
        }
        section.live {
            h2 { "Incidents, as they happen" }
            ol #live data-live="/live" aria-live="polite" {
                @for incident in &model.incidents { (row(incident)) }
            }
            @if model.incidents.is_empty() {
                p.empty { "Nobody came yet. " code { "roridula doctor" } " says whether anybody can reach this machine." }
            }
            p { a href="/incidents" { "All incidents" } }
        }
    }
}

fn latest(incident: &Incident) -> Latest {
    Latest {
        id: incident.id.to_string(),
        source: incident.source.to_string(),
        last: roridula_evidence::rfc3339(incident.last),
        outcome: incident.outcome.to_string(),
        tool: incident.tool.label.clone(),
        connections: incident.connections,
        summary: incident.summary.clone(),
    }
}

/// The row of an incident in the feed.
pub(crate) fn incident_row(incident: &Incident) -> Markup {
    row(&latest(incident))
}

fn row(incident: &Latest) -> Markup {
    html! {
        li id={ "incident-" (incident.id) } {
            a href={ "/incidents/" (incident.id) } {
                span class={ "badge " (incident.outcome) } { (incident.outcome) }
                " " span.source { (incident.source) }
            }
            " " (text::time_text(&incident.last))
            @if let Some(tool) = &incident.tool { " · " (text::shown(tool)) }
            " " span.summary { (text::shown_to(&incident.summary, 300)) }
        }
    }
}
