//! Connections in a list: what several views show of them alike.

use super::asked;
use crate::console::ask::Problem;
use crate::console::shelf::Shelf;
use crate::console::stage;
use crate::console::table::{Cell, Table};
use crate::index::ConnectionRow;
use schemars::JsonSchema;
use serde::Serialize;

/// A connection in a list.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Visit {
    #[serde(flatten)]
    row: ConnectionRow,
    /// Where its evidence is shown; empty while it is open.
    evidence: String,
}

/// Connections of the index, with where their evidence is.
pub(super) fn visits(shelf: &mut Shelf, rows: Vec<ConnectionRow>) -> Result<Vec<Visit>, Problem> {
    let visit = |row: ConnectionRow| {
        let evidence = asked::evidence(shelf, row.connection)?;
        Ok(Visit { row, evidence })
    };
    rows.into_iter().map(visit).collect()
}

/// As a table.
pub(super) fn table(caption: String, visits: &[Visit]) -> Table {
    let cells = |Visit { row, evidence }: &Visit| {
        vec![
            asked::link(&row.connection.to_string(), evidence),
            Cell::Time(row.opened),
            Cell::Link(row.source.to_string(), format!("/sources/{}", row.source)),
            Cell::text(stage::told(row.furthest)),
            Cell::text(asked::tools(&row.tools)),
            Cell::Number(row.bytes_in),
            Cell::Number(row.captures),
            Cell::text(if row.reason.is_empty() { "open" } else { &row.reason }),
        ]
    };
    Table {
        name: "connections",
        caption,
        columns: vec!["Connection", "Opened", "Source", "Furthest", "Tools", "Bytes in", "Captures", "Ended"],
        rows: visits.iter().map(cells).collect(),
        empty: None,
        next: None,
    }
}
