//! What we do not understand yet: connections in which no recogniser found anything, put together by the order of their
//! messages.

use super::View;
use super::asked::{self, Word};
use crate::console::ask::{Ask, Problem};
use crate::console::page::Page;
use crate::console::shelf::Shelf;
use crate::console::table::{Cell, Table};
use crate::console::text;
use crate::index::ShapeRow;
use maud::{Markup, html};
use roridula_evidence::rfc3339;
use schemars::JsonSchema;
use serde::Serialize;

/// Connections that are named for a shape on the page.
const EXAMPLES: usize = 2;

/// `/unknown`
pub(crate) struct Unknown;

/// What it shows.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Model {
    /// One page of the shapes, those that came last first.
    shapes: Vec<Shape>,
    /// Where the next page begins; null after the last.
    next: Option<String>,
}

/// Connections that are alike by the order of their messages.
#[derive(Debug, Serialize, JsonSchema)]
struct Shape {
    /// The order of messages.
    shape: String,
    /// Connections, of all time.
    connections: u64,
    /// Addresses of them.
    hosts: u64,
    /// The first, UTC.
    first: String,
    /// The latest, UTC.
    last: String,
    /// Tools that were named all the same.
    tools: Vec<String>,
    /// A few of the connections.
    examples: Vec<Example>,
}

/// A connection to look at.
#[derive(Debug, Serialize, JsonSchema)]
struct Example {
    /// Its name.
    connection: String,
    /// Where its evidence is shown; empty while it is open.
    evidence: String,
}

impl View for Unknown {
    type Model = Model;
    const PATH: &'static str = "/unknown";
    const API: &'static str = "/unknown";
    const ABOUT: &'static str =
        "What is not understood yet, put together by the order of messages, the latest first.";
    const QUERY: &'static [(&'static str, &'static str)] = &[
        ("known", "yes: also connections that a known tool was named for."),
        ("shape", "Only this order of messages."),
    ];

    fn load(shelf: &mut Shelf, ask: &Ask) -> Result<Model, Problem> {
        let strangers = match ask.value("known") {
            None | Some("no") => true,
            Some("yes") => false,
            Some(_) => return Err(Problem::Bad("`known` is yes or no".to_owned())),
        };
        let span = asked::span(ask);
        let found = shelf.index.unknown(span, strangers, ask.value("shape"), ask.cursor(), ask.limit()?);
        let page = found.map_err(asked::problem)?;
        let shapes = page.rows.iter().map(|row| shape(shelf, row)).collect::<Result<_, _>>()?;
        Ok(Model { shapes, next: page.next })
    }

    fn page(model: &Model, ask: &Ask) -> Page {
        let body = html! {
            (asked::ignored(ask, &[Word::Source, Word::Family, Word::Stage, Word::Tool]))
            p.quiet {
                "Connections in which no recogniser found anything. "
                @if ask.value("known") == Some("yes") { a href=(ask.with("known", "")) { "Only of no known tool" } }
                @else { a href=(ask.with("known", "yes")) { "Those of known tools too" } }
            }
            @for table in Self::tables(model, ask) { (table.html(ask)) }
        };
        Page::new("Unknown traffic", body)
    }

    fn tables(model: &Model, _ask: &Ask) -> Vec<Table> {
        vec![table(model)]
    }
}

fn shape(shelf: &mut Shelf, row: &ShapeRow) -> Result<Shape, Problem> {
    let mut examples = Vec::new();
    for connection in &row.examples {
        let id = connection.parse().ok();
        let evidence = id.map_or(Ok(String::new()), |id| asked::evidence(shelf, id))?;
        examples.push(Example { connection: connection.clone(), evidence });
    }
    Ok(Shape {
        shape: row.shape.clone(),
        connections: row.connections,
        hosts: row.sources,
        first: rfc3339(row.first),
        last: rfc3339(row.last),
        tools: row.tools.clone(),
        examples,
    })
}

fn table(model: &Model) -> Table {
    let cells = |shape: &Shape| {
        let names: Vec<&str> = shape.examples.iter().map(|example| example.connection.as_str()).collect();
        vec![
            Cell::text(if shape.shape.is_empty() { "nothing was said" } else { &shape.shape }),
            Cell::Number(shape.connections),
            Cell::Number(shape.hosts),
            asked::at(&shape.first),
            asked::at(&shape.last),
            Cell::text(asked::tools(&shape.tools)),
            Cell::Drawing(examples(shape), names.join(" ")),
        ]
    };
    let empty = html! {
        p { "Everything that came is understood, or nothing came that fits the filter." }
        p { code { "roridula doctor" } " says whether anybody can reach this machine; " a href="/tools" { "Tools" } " shows what is known." }
    };
    Table {
        name: "unknown",
        caption: "By the order of messages, the latest first".to_owned(),
        columns: vec!["Order of messages", "Connections", "Hosts", "First", "Last", "Tools", "Look at"],
        rows: model.shapes.iter().map(cells).collect(),
        empty: Some(empty),
        next: model.next.clone(),
    }
}

fn examples(shape: &Shape) -> Markup {
    html! {
        @for example in shape.examples.iter().take(EXAMPLES) {
            @if example.evidence.is_empty() { (text::hash(&example.connection)) " " }
            @else { a href=(example.evidence) { (text::shown(&example.connection)) } " " }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::asked::tests::ask;
    use super::*;

    #[test]
    fn a_shape_links_to_the_evidence_of_an_example() {
        let example =
            |evidence: &str| Example { connection: "06d6x".to_owned(), evidence: evidence.to_owned() };
        let shape = Shape {
            shape: "<script> \u{202e}".to_owned(),
            connections: 5,
            hosts: 2,
            first: "2025-11-20T10:00:00Z".to_owned(),
            last: "2025-11-20T11:00:00Z".to_owned(),
            tools: vec!["nmap".to_owned()],
            examples: vec![example("/incidents/i1/connections/06d6x"), example("")],
        };
        let model = Model { shapes: vec![shape], next: None };
        let ask = ask("/unknown", &[]);
        let page = Unknown::page(&model, &ask).html(&ask);
        assert!(page.contains("href=\"/incidents/i1/connections/06d6x\""), "{page}");
        assert!(page.contains("&lt;script&gt; \\u{202e}") && !page.contains("<script>"));
        assert!(table(&model).csv().contains("\"nmap\",\"06d6x 06d6x\""));
    }

    #[test]
    fn an_empty_list_says_what_to_do() {
        let ask = ask("/unknown", &[("source", "192.0.2.1")]);
        let page = Unknown::page(&Model { shapes: Vec::new(), next: None }, &ask).html(&ask);
        assert!(page.contains("roridula doctor") && page.contains("Not filtered by source"));
    }
}
