//! Ten seconds: is it well, and was something new caught?

use super::View;
use super::{health, incidents};
use crate::console::ask::{Ask, Problem, RANGES};
use crate::console::chart::{self, Bar};
use crate::console::page::Page;
use crate::console::shelf::Shelf;
use crate::console::text;
use crate::incident::{Filter, Incident};
use crate::index::{Counts, Network, Span};
use crate::pulse::Pulse;
use maud::{Markup, html};
use schemars::JsonSchema;
use serde::Serialize;

/// Incidents that are shown at first; the feed adds to them.
const LATEST: usize = 12;
/// Microseconds of a day.
const DAY: u64 = 24 * 3600 * 1_000_000;

/// `/`
pub(crate) struct Home;

/// What it shows.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Model {
    /// How the honeypot is.
    pulse: Pulse,
    /// Cores that came for the first time in the last 24 hours.
    new_cores: u64,
    /// Captures in the last 24 hours.
    captures: u64,
    /// How far connections came, for the last hour, day, week and month, or the one range that was asked for.
    funnels: Vec<Funnel>,
    /// The most novel sample.
    novel: Option<Novel>,
    /// The latest incidents.
    incidents: Vec<Latest>,
}

/// How far the connections of a stretch of time came.
#[derive(Debug, Serialize, JsonSchema)]
struct Funnel {
    /// Its name: `1h`, `24h`, `7d`, `30d`, `all`, or `chosen`.
    range: &'static str,
    /// What was counted.
    counts: Counts,
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
    /// How often it was captured.
    captures: u64,
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
        let day = Span::last(DAY, ask.now);
        let novel = shelf.catalog.most_novel().map(|entry| Novel {
            sha256: entry.sha256.to_string(),
            novelty: entry.novelty,
            sentence: entry.sentence.clone(),
            first_seen: entry.first_seen.clone(),
            captures: entry.captures,
        });
        let filter = Filter { limit: Some(LATEST), ..incidents::filter(ask) };
        let incidents = shelf.incidents.list(&filter).map_err(Problem::failed)?;
        Ok(Model {
            pulse: Pulse::take(&shelf.dir, &shelf.reader, &mut shelf.index).map_err(Problem::failed)?,
            new_cores: shelf.catalog.new_cores(day.since),
            captures: shelf.index.funnel(day, None).map_err(Problem::failed)?.total.captures,
            funnels: funnels(shelf, ask)?,
            novel,
            incidents: incidents.iter().map(latest).collect(),
        })
    }

    fn page(model: &Model, ask: &Ask) -> Page {
        Page::new("Home", body(model, ask))
    }
}

/// Of the range that was asked for, else of all that have a length.
fn funnels(shelf: &mut Shelf, ask: &Ask) -> Result<Vec<Funnel>, Problem> {
    let source = ask.filter.source.map(Network::from);
    let mut funnel = |range, span| {
        let counts = shelf.index.funnel(span, source).map_err(Problem::failed)?.total;
        Ok(Funnel { range, counts })
    };
    if ask.filter.since.is_some() || ask.filter.until.is_some() || !ask.filter.range.is_empty() {
        let range = if ask.filter.range.is_empty() { "chosen" } else { ask.filter.range };
        return Ok(vec![funnel(range, ask.filter.span())?]);
    }
    let ranges = RANGES.iter().filter(|range| range.secs > 0);
    ranges.map(|range| funnel(range.name, Span::last(range.secs * 1_000_000, ask.now))).collect()
}

fn body(model: &Model, ask: &Ask) -> Markup {
    let new = if model.new_cores == 1 { "new core today" } else { "new cores today" };
    html! {
        div.columns {
            div.lead {
                section.headline aria-label="New" {
                    p.new {
                        a href="/groups" { strong { (text::number(model.new_cores)) } " " (new) }
                        ", of " (text::count(model.captures, "capture"))
                    }
                }
                @if let Some(novel) = &model.novel { (card(novel)) }
            }
            (health::pulse(&model.pulse, ask))
        }
        div.columns { @for funnel in &model.funnels { (drawn(funnel)) } }
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

fn card(novel: &Novel) -> Markup {
    html! {
        section.card {
            h2 { "The most novel sample" }
            p.sentence { (text::shown_to(&novel.sentence, 600)) }
            p {
                a href={ "/samples/" (novel.sha256) } { (text::hash(&novel.sha256)) }
                " · novelty " (novel.novelty) " of 100 · " (text::count(novel.captures, "capture")) " · first seen "
                (text::time_text(&novel.first_seen))
            }
        }
    }
}

fn drawn(funnel: &Funnel) -> Markup {
    let counts = &funnel.counts;
    let range = if funnel.range == "chosen" { "" } else { funnel.range };
    let bar = |label: &str, value: u64, stage: &str| Bar {
        label: label.to_owned(),
        value,
        href: match stage {
            "" => format!("/samples?range={range}"),
            stage => format!("/incidents?range={range}&stage={stage}"),
        },
    };
    let bars = [
        bar("connected", counts.connections, "connect"),
        bar("negotiated", counts.negotiates, "connect"),
        bar("MS17-010 checked", counts.probes, "probe"),
        bar("exploited", counts.exploits, "exploit"),
        bar("implant pinged", counts.pings, "ping"),
        bar("upload begun", counts.uploads, "upload"),
        bar("upload complete", counts.completes, "capture"),
        bar("new sample", counts.new_samples, ""),
    ];
    let caption = match funnel.range {
        "all" => "How far connections came, ever".to_owned(),
        "chosen" => "How far connections came".to_owned(),
        range => format!("How far connections came, last {range}"),
    };
    chart::bars(&caption, &bars)
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
            " " span.summary { (text::shown_to(&incident.summary, 300)) }
        }
    }
}
