//! What we do not understand yet: connections in which no recogniser found anything, put together by the
//! order of their messages.

use super::View;
use super::asked;
use super::word::Word;
use crate::console::ask::{Ask, Problem};
use crate::console::page::Page;
use crate::console::shelf::Shelf;
use crate::console::table::{Cell, Table};
use crate::console::text;
use crate::index::{ShapeRow, Shapes};
use maud::{Markup, html};
use schemars::JsonSchema;
use serde::Serialize;

/// Connections that are named for a shape on the page.
const EXAMPLES: usize = 2;

/// `/unknown`
pub(crate) struct Unknown;

/// What it shows.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Model {
    /// One page of the shapes, in the hours that are asked for, those that came last first.
    shapes: Vec<Shape>,
    /// Where the next page begins; null after the last.
    next: Option<String>,
}

/// Connections that are alike by the order of their messages.
#[derive(Debug, Serialize, JsonSchema)]
struct Shape {
    #[serde(flatten)]
    row: ShapeRow,
    /// Where the evidence of those examples is shown that have ended.
    evidence: Vec<Example>,
}

/// A connection to look at.
#[derive(Debug, Serialize, JsonSchema)]
struct Example {
    /// Its name.
    connection: String,
    /// Where it is shown.
    address: String,
}

impl View for Unknown {
    type Model = Model;
    const PATH: &'static str = "/unknown";
    const API: &'static str = "/unknown";
    const ABOUT: &'static str =
        "What is not understood yet, put together by the order of messages, the latest first.";
    const QUERY: &'static [Word] = &[
        Word::one("known", "yes: also connections that a known tool was named for.", &["yes", "no"]),
        Word::text("shape", "Only this order of messages."),
    ];
    const GRAIN: &'static str = asked::BY_HOURS;

    fn load(shelf: &mut Shelf, ask: &Ask) -> Result<Model, Problem> {
        let strangers = match ask.value("known") {
            None | Some("no") => true,
            Some("yes") => false,
            Some(_) => return Err(Problem::Bad("`known` is yes or no".to_owned())),
        };
        let shapes = Shapes { strangers, only: ask.value("shape"), latest: true };
        let found = shelf.index.unknown(&asked::filter(shelf, ask)?, &shapes, ask.cursor(), ask.limit()?);
        let page = found.map_err(asked::problem)?;
        let shapes = page.rows.into_iter().map(|row| shape(shelf, row)).collect::<Result<_, _>>()?;
        Ok(Model { shapes, next: page.next })
    }

    fn page(model: &Model, ask: &Ask) -> Page {
        let body = html! {
            (asked::hours(ask))
            p.quiet {
                "Connections in which no recogniser found anything. "
                @if ask.value("known") == Some("yes") {
                    a href=(ask.with("known", "")) { "Only of no known tool" }
                } @else {
                    a href=(ask.with("known", "yes")) { "Those of known tools too" }
                }
            }
            @for table in Self::tables(model, ask) { (table.html(ask)) }
        };
        Page::new("Unknown traffic", body)
    }

    fn tables(model: &Model, _ask: &Ask) -> Vec<Table> {
        vec![table(model)]
    }
}

fn shape(shelf: &mut Shelf, row: ShapeRow) -> Result<Shape, Problem> {
    let mut evidence = Vec::new();
    for connection in &row.examples {
        let Ok(id) = connection.parse() else { continue };
        let address = asked::evidence(shelf, id)?;
        if !address.is_empty() {
            evidence.push(Example { connection: connection.clone(), address });
        }
    }
    Ok(Shape { row, evidence })
}

fn table(model: &Model) -> Table {
    let cells = |Shape { row, evidence }: &Shape| {
        vec![
            Cell::text(if row.shape.is_empty() { "nothing was said" } else { &row.shape }),
            Cell::Number(row.connections),
            Cell::Number(row.sources),
            Cell::Time(row.first),
            Cell::Last(row.last),
            Cell::text(asked::tools(&row.tools)),
            Cell::Drawing(examples(evidence), row.examples.join(" ")),
        ]
    };
    let empty = html! {
        p { "Everything that came is understood, or nothing came that fits the filter." }
        p {
            code { "roridula doctor" } " says whether anybody can reach this machine; "
            a href="/tools" { "Tools" } " shows what is known."
        }
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

fn examples(evidence: &[Example]) -> Markup {
    html! {
        @for example in evidence.iter().take(EXAMPLES) {
            a href=(example.address) { (text::shown(&example.connection)) } " "
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::asked::tests::ask;
    use super::*;
    use roridula_proto::time::WallClock;

    #[test]
    fn a_shape_links_to_the_evidence_of_an_example() {
        let row = ShapeRow {
            shape: "<script> \u{202e}".to_owned(),
            connections: 5,
            sources: 2,
            first: WallClock(1_763_632_800_000_000),
            last: WallClock(1_763_636_400_000_000),
            new: true,
            tools: vec!["nmap".to_owned()],
            examples: vec!["06d6x".to_owned(), "06d6y".to_owned()],
            latest: roridula_proto::connection::ConnectionId(7),
        };
        let address = "/incidents/i1/connections/06d6x".to_owned();
        let shape = Shape { row, evidence: vec![Example { connection: "06d6x".to_owned(), address }] };
        let model = Model { shapes: vec![shape], next: None };
        let ask = ask("/unknown", &[]);
        let page = Unknown::page(&model, &ask).html(&ask);
        assert!(page.contains("href=\"/incidents/i1/connections/06d6x\""), "{page}");
        assert!(page.contains("&lt;script&gt; \\u{202e}") && !page.contains("<script>"));
        assert!(table(&model).csv().contains("\"nmap\",\"06d6x 06d6y\""));
    }

    #[test]
    fn an_empty_list_says_what_to_do() {
        let ask = ask("/unknown", &[]);
        let page = Unknown::page(&Model { shapes: Vec::new(), next: None }, &ask).html(&ask);
        assert!(page.contains("roridula doctor"));
    }
}
