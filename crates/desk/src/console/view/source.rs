//! One visitor: everything about it.

use super::View;
use super::asked;
use super::credentials;
use super::tools;
use super::visits::{self, Visit};
use crate::console::ask::{Ask, Problem};
use crate::console::chart::{self, Column};
use crate::console::geo::Place;
use crate::console::page::Page;
use crate::console::shelf::Shelf;
use crate::console::stage;
use crate::console::table::{Cell, Table, exports};
use crate::console::text;
use crate::incident;
use crate::index::{Filter, FingerprintRow, Funnel, Network, Span};
use crate::moment;
use maud::{Markup, html};
use roridula_evidence::{SampleId, rfc3339};
use roridula_proto::time::WallClock;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::HashMap;
use std::net::IpAddr;

/// Rows of each of its lists but the connections.
const ROWS: usize = 50;
/// Captures that are looked through for its samples.
const CAPTURES_MAX: usize = 1000;
/// Columns that a chart is filled up to; what came in more is drawn without the gaps.
const COLUMNS_MAX: u64 = 1500;

/// `/sources/{ip}`
pub(crate) struct OfVisitor;

/// What it shows.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Model {
    /// Its address.
    source: String,
    /// Where that is.
    place: Place,
    /// Its first visit ever, UTC.
    first: String,
    /// When it was last heard of, UTC.
    last: String,
    /// On how many days, UTC, it came.
    days: u64,
    /// All its connections.
    connections_ever: u64,
    /// All captures from it, buffers of exploits too.
    captures_ever: u64,
    /// Those of uploads among them.
    uploads_ever: u64,
    /// The furthest step that it ever took.
    furthest: String,
    /// Connections over time, by hours, or by days of more than 32.
    hours: Vec<Hour>,
    /// Its latest incidents.
    incidents: Vec<Attack>,
    /// What it brought.
    samples: Vec<Sample>,
    /// Its implementations.
    fingerprints: Vec<FingerprintRow>,
    /// What it said of itself in logons; the counts are of all who said the same.
    credentials: Vec<credentials::Row>,
    /// Its connections in the time that is asked for, the latest first; one page of them.
    connections: Vec<Visit>,
    /// Where their next page begins; null after the last.
    next: Option<String>,
}

/// A stretch of time.
#[derive(Debug, Serialize, JsonSchema)]
struct Hour {
    /// When it begins, UTC.
    begins: String,
    /// Connections.
    connections: u64,
}

/// An incident.
#[derive(Debug, Serialize, JsonSchema)]
struct Attack {
    /// Its name.
    id: String,
    /// When its first connection was opened, UTC.
    first: String,
    /// When the visitor was last at it, UTC.
    last: String,
    /// How far it came.
    outcome: String,
    /// The tool; empty where none is known.
    tool: String,
    /// Connections.
    connections: u64,
    /// The story in one sentence.
    summary: String,
}

/// A sample that it brought.
#[derive(Debug, Serialize, JsonSchema)]
struct Sample {
    /// SHA-256, hexadecimal.
    sha256: String,
    /// Bytes.
    size: u64,
    /// Its family; empty where none is known.
    family: String,
    /// SHA-256 of its core; empty where it was not looked into.
    core: String,
    /// Captures from this visitor, of the latest 1000.
    captures: u64,
    /// The first of them, UTC.
    first: String,
    /// The latest, UTC.
    last: String,
    /// What it is, in one sentence.
    sentence: String,
}

impl View for OfVisitor {
    type Model = Model;
    const PATH: &'static str = "/sources/{ip}";
    const API: &'static str = "/sources/{ip}";
    const ABOUT: &'static str =
        "One visitor: its incidents, samples, implementations, credentials and hours.";
    const HEEDS: &'static [&'static str] = &["range", "since", "until", "stage", "tool", "limit", "cursor"];
    const GRAIN: &'static str = "Incidents, samples and connections are those of the time, to the moment; the chart, implementations and credentials are counted by whole hours, UTC.";

    fn load(shelf: &mut Shelf, ask: &Ask) -> Result<Model, Problem> {
        let address: IpAddr =
            ask.place("ip").parse().map_err(|_| Problem::Missing("this is no IP address".to_owned()))?;
        let source = shelf.index.source(address, Span::ALL).map_err(asked::problem)?;
        let source = source.filter(|source| source.connections > 0);
        let source = source.ok_or_else(|| Problem::Missing("nobody came from this address".to_owned()))?;
        let network = Some(Network::from(address));
        let filter = Filter { source: network, ..asked::filter(shelf, ask)? };
        let page = shelf.index.connections(&filter, ask.cursor(), ask.limit()?).map_err(asked::problem)?;
        // What it is does not depend on the step and the tool of the filter.
        let of_it = Filter { span: filter.span, source: network, ..Filter::default() };
        // By hours, as long as it was here for no longer than 32 days.
        let here = Span { since: source.first, until: WallClock(source.last.0.saturating_add(1)) };
        let span =
            Span { since: filter.span.since.max(here.since), until: filter.span.until.min(here.until) };
        let funnel = shelf
            .index
            .funnel(&Filter { span, source: network, ..Filter::default() })
            .map_err(asked::problem)?;
        let prints = shelf.index.fingerprints(&of_it, None, ROWS).map_err(asked::problem)?;
        let logons = shelf.index.logons(&of_it, false, None, ROWS).map_err(asked::problem)?;
        Ok(Model {
            source: source.source.to_string(),
            place: shelf.geo.books().place(source.source),
            first: rfc3339(source.first),
            last: rfc3339(source.last),
            days: source.days,
            connections_ever: source.connections,
            captures_ever: source.captures,
            uploads_ever: source.uploads,
            furthest: source.furthest.as_str().to_owned(),
            hours: hours(&funnel),
            incidents: incidents(shelf, filter.span, address)?,
            samples: samples(shelf, &of_it)?,
            fingerprints: prints.rows,
            credentials: credentials::rows(shelf, logons.rows)?,
            connections: visits::visits(shelf, page.rows)?,
            next: page.next,
        })
    }

    fn page(model: &Model, ask: &Ask) -> Page {
        Page::new(model.source.clone(), body(model, ask))
    }

    fn tables(model: &Model, _ask: &Ask) -> Vec<Table> {
        let mut tables = tables(model);
        tables.push(hours_table(model));
        tables
    }
}

/// Those that are shown as tables.
fn tables(model: &Model) -> Vec<Table> {
    let of_it = format!("Its connections, {} in all", text::number(model.connections_ever));
    vec![
        incidents_table(model),
        samples_table(model),
        tools::prints("Its implementations", &model.fingerprints),
        credentials::table("What it said of itself", &model.credentials),
        Table { next: model.next.clone(), ..visits::table(of_it, &model.connections) },
    ]
}

/// What the chart shows, for spreadsheets.
fn hours_table(model: &Model) -> Table {
    let cells = |hour: &Hour| vec![asked::at(&hour.begins), Cell::Number(hour.connections)];
    Table {
        name: "hours",
        caption: "Its connections over time".to_owned(),
        columns: vec!["From", "Connections"],
        rows: model.hours.iter().map(cells).collect(),
        ..Table::default()
    }
}

/// Hours in order, those between in which nothing came too.
fn hours(funnel: &Funnel) -> Vec<Hour> {
    let mut hours = Vec::new();
    let mut expected = None;
    for bucket in &funnel.buckets {
        let begins = bucket.begins.0;
        while let Some(at) = expected.filter(|at| *at < begins && (hours.len() as u64) < COLUMNS_MAX) {
            hours.push(Hour { begins: rfc3339(WallClock(at)), connections: 0 });
            expected = Some(at + funnel.width);
        }
        hours.push(Hour { begins: rfc3339(bucket.begins), connections: bucket.counts.connections });
        expected = begins.checked_add(funnel.width.max(1));
    }
    hours
}

fn incidents(shelf: &mut Shelf, span: Span, address: IpAddr) -> Result<Vec<Attack>, Problem> {
    let filter = incident::Filter { span, source: Some(address), limit: Some(ROWS), ..Default::default() };
    let found = shelf.incidents.list(&filter).map_err(Problem::failed)?;
    let attack = |incident: &incident::Incident| Attack {
        id: incident.id.to_string(),
        first: rfc3339(incident.first),
        last: rfc3339(incident.last),
        outcome: incident.outcome.to_string(),
        tool: incident.tool.label.clone().unwrap_or_default(),
        connections: incident.connections,
        summary: incident.summary.clone(),
    };
    Ok(found.iter().map(attack).collect())
}

/// What it brought, the latest first.
fn samples(shelf: &mut Shelf, filter: &Filter) -> Result<Vec<Sample>, Problem> {
    let captures = shelf.index.captures(filter, None, CAPTURES_MAX).map_err(asked::problem)?;
    if !captures.rows.is_empty() {
        // What they are must be known.
        shelf.samples.catalog()?;
    }
    let mut order: Vec<SampleId> = Vec::new();
    let mut seen: HashMap<SampleId, Sample> = HashMap::new();
    // The latest come first.
    for capture in &captures.rows {
        let sample = seen.entry(capture.sha256).or_insert_with(|| {
            order.push(capture.sha256);
            Sample {
                sha256: capture.sha256.to_string(),
                size: capture.size,
                family: String::new(),
                core: String::new(),
                captures: 0,
                first: String::new(),
                last: rfc3339(capture.time),
                sentence: String::new(),
            }
        });
        sample.captures += 1;
        sample.first = rfc3339(capture.time);
    }
    let whole = |id: SampleId| {
        let mut sample = seen.remove(&id)?;
        if let Some(entry) = asked::entry(shelf, id) {
            sample.family = entry.family.clone();
            sample.core = entry.core.clone();
            sample.sentence = entry.sentence.clone();
        }
        Some(sample)
    };
    Ok(order.into_iter().take(ROWS).filter_map(whole).collect())
}

fn body(model: &Model, ask: &Ask) -> Markup {
    let column = |hour: &Hour| Column {
        begins: moment::parse_time(&hour.begins).unwrap_or_default(),
        value: hour.connections,
        apart: Vec::new(),
    };
    let columns: Vec<Column> = model.hours.iter().map(column).collect();
    let place = model.place.told();
    html! {
        (asked::grain(ask, OfVisitor::GRAIN))
        section {
            dl {
                dt { "Address" } dd { code data-copy=(model.source) { (model.source) } }
                @if !place.is_empty() { dt { "Where" } dd { (text::shown(&place)) } }
                dt { "Here" } dd {
                    "from " (text::time_text(&model.first)) " to " (text::time_text(&model.last)) ", on "
                    (text::count(model.days, "day"))
                }
                dt { "Connections" } dd { (text::number(model.connections_ever)) }
                dt { "Files kept" } dd {
                    (text::count(model.uploads_ever, "upload")) " and "
                    (text::count(model.captures_ever.saturating_sub(model.uploads_ever), "buffer"))
                    " that its exploits and unknown messages carried"
                }
                dt { "Furthest" } dd { (stage::told_word(&model.furthest)) }
            }
        }
        (chart::columns("Its connections over time", "connections", "", &columns))
        (exports(ask, "hours"))
        @for table in tables(model) { (table.html(ask)) }
    }
}

fn incidents_table(model: &Model) -> Table {
    let cells = |attack: &Attack| {
        vec![
            Cell::Link(attack.id.clone(), format!("/incidents/{}", attack.id)),
            Cell::sentence(&attack.summary),
            Cell::text(&attack.outcome),
            Cell::text(&attack.tool),
            Cell::Number(attack.connections),
            asked::at(&attack.first),
            asked::last(&attack.last),
        ]
    };
    Table {
        name: "incidents",
        caption: "Its incidents, the latest first".to_owned(),
        columns: vec!["Incident", "What happened", "Outcome", "Tool", "Connections", "First", "Last"],
        rows: model.incidents.iter().map(cells).collect(),
        empty: Some(
            html! { p { "None in this time: a connection becomes part of an incident when it ends." } },
        ),
        next: None,
    }
}

fn samples_table(model: &Model) -> Table {
    let cells = |sample: &Sample| {
        vec![
            Cell::HashLink(sample.sha256.clone(), format!("/samples/{}", sample.sha256)),
            Cell::sentence(&sample.sentence),
            Cell::text(&sample.family),
            Cell::Number(sample.size),
            asked::core(&sample.core),
            Cell::Number(sample.captures),
            asked::at(&sample.first),
            asked::last(&sample.last),
        ]
    };
    Table {
        name: "samples",
        caption: "What it brought, the latest first".to_owned(),
        columns: vec!["SHA-256", "What it is", "Family", "Bytes", "Core", "Captures", "First", "Last"],
        rows: model.samples.iter().map(cells).collect(),
        empty: Some(html! { p { "It brought nothing in this time." } }),
        next: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::{Bucket, Counts};

    fn bucket(at: u64) -> Bucket {
        let counts = Counts { connections: 1, ..Counts::default() };
        Bucket { begins: WallClock(at * 3_600_000_000), counts }
    }

    #[test]
    fn gaps_are_filled_and_no_gap_is_too_long() {
        let funnel = |buckets| Funnel { total: Counts::default(), width: 3_600_000_000, buckets };
        let told: Vec<u64> =
            hours(&funnel(vec![bucket(5), bucket(8)])).iter().map(|hour| hour.connections).collect();
        assert_eq!(told, [1, 0, 0, 1]);
        assert_eq!(hours(&funnel(vec![bucket(0), bucket(1_000_000)])).len() as u64, COLUMNS_MAX + 1);
        assert!(hours(&funnel(Vec::new())).is_empty());
    }
}
