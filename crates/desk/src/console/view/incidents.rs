//! All incidents, the latest first.

use super::View;
use crate::console::ask::{Ask, Problem};
use crate::console::page::Page;
use crate::console::shelf::Shelf;
use crate::console::table::{Cell, Table};
use crate::console::text;
use crate::incident::{Filter, Incident, Outcome, Stage};
use maud::html;
use roridula_evidence::rfc3339;
use schemars::JsonSchema;
use serde::Serialize;

/// `/incidents`
pub(crate) struct Incidents;

/// What it shows.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Model {
    /// One page of them.
    incidents: Vec<Row>,
    /// Where the next page begins; null after the last.
    next: Option<String>,
}

/// An incident in a list.
#[derive(Debug, Serialize, JsonSchema)]
struct Row {
    /// Its name.
    id: String,
    /// When its first connection was opened, UTC.
    first: String,
    /// When the visitor was last at it, UTC.
    last: String,
    /// The visitor.
    source: String,
    /// How far it came.
    outcome: Outcome,
    /// The stages that it went through.
    stages: Vec<Stage>,
    /// The tool, null where none is known.
    tool: Option<String>,
    /// Connections.
    connections: u64,
    /// Different samples that it brought.
    samples: u64,
    /// The story in one sentence.
    summary: String,
}

impl View for Incidents {
    type Model = Model;
    const PATH: &'static str = "/incidents";
    const API: &'static str = "/incidents";
    const ABOUT: &'static str = "All incidents, the latest first.";

    fn load(shelf: &mut Shelf, ask: &Ask) -> Result<Model, Problem> {
        let from: usize = ask.cursor().map_or(Ok(0), |text| {
            text.parse().map_err(|_| Problem::Bad("`cursor` is none that an answer gave".to_owned()))
        })?;
        let limit = ask.limit()?;
        let outcome = |word: &String| Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == word);
        let mut filter = Filter {
            source: ask.filter.source,
            outcome: ask.filter.stage.as_ref().and_then(outcome),
            tool: ask.filter.tool.clone(),
            limit: None,
        };
        // Time, family and stage are not in the view's own index: then all of the others are looked at.
        let wanted = &ask.filter;
        let is_narrow = wanted.since.is_some() || wanted.until.is_some() || wanted.family.is_some();
        if !is_narrow && (wanted.stage.is_none() || filter.outcome.is_some()) {
            filter.limit = Some(from.saturating_add(limit).saturating_add(1));
        }
        let list = shelf.incidents.list(&filter).map_err(Problem::failed)?;
        let mut fitting = list.iter().filter(|incident| fits(incident, ask)).skip(from);
        let incidents: Vec<Row> = fitting.by_ref().take(limit).map(row).collect();
        let next = fitting.next().map(|_| from.saturating_add(limit).to_string());
        Ok(Model { incidents, next })
    }

    fn page(model: &Model, ask: &Ask) -> Page {
        Page::new("Incidents", html! { @for table in Self::tables(model, ask) { (table.html(ask)) } })
    }

    fn tables(model: &Model, _ask: &Ask) -> Vec<Table> {
        let cells = |row: &Row| {
            let stages: Vec<&str> = row.stages.iter().map(|stage| stage.as_str()).collect();
            vec![
                text::parse_time(&row.first).map_or(Cell::None, Cell::Time),
                Cell::Link(row.id.clone(), format!("/incidents/{}", row.id)),
                Cell::text(&row.source),
                Cell::text(row.outcome.as_str()),
                row.tool.as_ref().map_or(Cell::None, Cell::text),
                Cell::text(stages.join(" → ")),
                Cell::Number(row.connections),
                Cell::Number(row.samples),
                Cell::text(&row.summary),
            ]
        };
        let columns = vec![
            "First",
            "Incident",
            "Source",
            "Outcome",
            "Tool",
            "Stages",
            "Connections",
            "Samples",
            "What happened",
        ];
        let empty = html! {
            p { "Nobody came, or nobody who fits the filter." }
            p { code { "roridula doctor" } " says whether anybody can reach this machine." }
        };
        vec![Table {
            name: "incidents",
            caption: "Incidents, the latest first".to_owned(),
            columns,
            rows: model.incidents.iter().map(cells).collect(),
            empty: Some(empty),
            next: model.next.clone(),
        }]
    }
}

fn fits(incident: &Incident, ask: &Ask) -> bool {
    let filter = &ask.filter;
    // What began before the time and went on in it belongs to it.
    let time = filter.since.is_none_or(|since| incident.last >= since)
        && filter.until.is_none_or(|until| incident.first < until);
    let family = filter.family.as_ref().is_none_or(|family| {
        let family = family.to_ascii_lowercase();
        let tool = incident.tool.label.as_deref().unwrap_or_default().to_ascii_lowercase();
        tool.contains(&family) || incident.summary.to_ascii_lowercase().contains(&family)
    });
    let stage = filter.stage.as_ref().is_none_or(|word| {
        incident.outcome.as_str() == word || incident.stages.iter().any(|stage| stage.stage.as_str() == word)
    });
    time && family && stage
}

fn row(incident: &Incident) -> Row {
    Row {
        id: incident.id.to_string(),
        first: rfc3339(incident.first),
        last: rfc3339(incident.last),
        source: incident.source.to_string(),
        outcome: incident.outcome,
        stages: incident.stages.iter().map(|stage| stage.stage).collect(),
        tool: incident.tool.label.clone(),
        connections: incident.connections,
        samples: incident.samples.len() as u64,
        summary: incident.summary.clone(),
    }
}
