//! All incidents, those first in which something happened last.

use super::View;
use super::asked;
use super::word::Word;
use crate::console::ask::{Ask, Problem};
use crate::console::page::Page;
use crate::console::shelf::Shelf;
use crate::console::stage::Reached;
use crate::console::table::{Cell, Table};
use crate::console::text;
use crate::incident::{Filter, Incident, Outcome, Stage, attack};
use crate::moment;
use maud::{Markup, html};
use roridula_evidence::{SampleId, rfc3339};
use schemars::JsonSchema;
use serde::Serialize;

/// The words of all outcomes.
const OUTCOMES: &[&str] = &Outcome::WORDS;

/// `/incidents`
pub(crate) struct Incidents;

/// What it shows.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Model {
    /// How many fit the filter.
    count: u64,
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
    const ABOUT: &'static str = "All incidents, those first in which something happened last.";
    const QUERY: &'static [Word] = &[
        Word::text(
            "technique",
            "Only those that show or imply this technique of ATT&CK, or a part of it; T1190 and T1210, T1105 and T1570 are found by either.",
        ),
        Word::one("outcome", "Only those that came just so far, and no further.", OUTCOMES),
    ];
    const OF_INCIDENTS: bool = true;
    const GRAIN: &'static str = "Incidents that lasted into the time, or began in it, to the moment.";

    fn load(shelf: &mut Shelf, ask: &Ask) -> Result<Model, Problem> {
        if let Some(technique) =
            ask.value("technique").filter(|text| !attack::is_id(&text.to_ascii_uppercase()))
        {
            let technique = text::shown_to(technique, 40);
            return Err(Problem::Bad(format!(
                "`technique` is an id of ATT&CK, as T1190 or S0366, and not {technique}"
            )));
        }
        let filter = Filter { outcome: outcome(ask), ..of_family(shelf, ask)? };
        let count = shelf.incidents.count(&filter).map_err(Problem::failed)?;
        let page = shelf.incidents.page(&filter, ask.cursor(), ask.limit()?).map_err(asked::problem)?;
        Ok(Model { count, incidents: page.rows.iter().map(row).collect(), next: page.next })
    }

    fn page(model: &Model, ask: &Ask) -> Page {
        Page::new(
            "Incidents",
            html! { (asked::grain(ask, Self::GRAIN)) (either(ask)) @for table in Self::tables(model, ask) { (table.html(ask)) } },
        )
    }

    fn tables(model: &Model, ask: &Ask) -> Vec<Table> {
        let cells = |row: &Row| {
            let stages: Vec<&str> = row.stages.iter().map(|stage| stage.as_str()).collect();
            let address = format!("/incidents/{}", row.id);
            vec![
                moment::parse_time(&row.last).map_or(Cell::None, Cell::Time),
                Cell::Link(row.outcome.as_str().to_owned(), address.clone()),
                Cell::sentence(&row.summary),
                Cell::Link(row.source.clone(), format!("/sources/{}", row.source)),
                row.tool.as_ref().map_or(Cell::None, Cell::text),
                Cell::Number(row.connections),
                Cell::Number(row.samples),
                Cell::text(stages.join(" → ")),
                Cell::Link(row.id.clone(), address),
            ]
        };
        let columns = vec![
            "Last",
            "Outcome",
            "What happened",
            "Source",
            "Tool",
            "Connections",
            "Samples",
            "Stages",
            "Incident",
        ];
        let technique = ask.value("technique").map(str::to_ascii_uppercase);
        let empty = html! {
            @if let Some(id) = &technique {
                @if !attack::is_told(id) { p { "No incident is ever told to show or imply " (text::shown(id)) "." } }
            }
            p { "Nobody came, or nobody who fits the filter." }
            p { a href="/health#doctor" { "The doctor" } " (" code { "roridula doctor" } ")" " says whether anybody can reach this machine." }
        };
        vec![Table {
            name: "incidents",
            caption: format!("{}, the latest first", text::count(model.count, "incident")),
            columns,
            rows: model.incidents.iter().map(cells).collect(),
            empty: Some(empty),
            next: model.next.clone(),
        }]
    }
}

/// Says which other name of a technique is looked for as well.
fn either(ask: &Ask) -> Markup {
    let id = ask.value("technique").map(str::to_ascii_uppercase);
    let other = id.as_deref().and_then(attack::elsewhere);
    html! { @if let Some((_, why)) = other { p.quiet { (why) ". Both are listed." } } }
}

/// The filter in the incidents' words. Of a family are those that brought a sample of it.
pub(crate) fn of_family(shelf: &Shelf, ask: &Ask) -> Result<Filter, Problem> {
    let samples = asked::of_family(shelf, ask)?;
    let samples = samples.map(|samples| samples.iter().map(SampleId::to_string).collect());
    Ok(Filter { samples, ..filter(ask) })
}

/// The same, whatever family it asks for.
pub(crate) fn filter(ask: &Ask) -> Filter {
    let wanted = &ask.filter;
    let (step, stage) = match wanted.stage {
        None => (None, None),
        Some(Reached::Step(step)) => (Some(step), None),
        Some(Reached::Stage(stage)) => (None, Some(stage)),
    };
    Filter {
        span: asked::span(ask),
        network: wanted.source,
        step,
        stage,
        tool: wanted.tool.clone(),
        technique: ask.value("technique").map(str::to_ascii_uppercase),
        ..Filter::default()
    }
}

/// The outcome that is asked for.
fn outcome(ask: &Ask) -> Option<Outcome> {
    let word = ask.value("outcome")?;
    Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == word)
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
