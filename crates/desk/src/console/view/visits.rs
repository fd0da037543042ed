//! Connections in a list: what several views show of them alike.

use super::asked;
use crate::console::ask::Problem;
use crate::console::shelf::Shelf;
use crate::console::table::{Cell, Table};
use crate::index::ConnectionRow;
use roridula_evidence::rfc3339;
use schemars::JsonSchema;
use serde::Serialize;

/// A connection in a list.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Visit {
    /// Its name.
    pub(super) connection: String,
    /// When it was accepted, UTC.
    opened: String,
    /// The visitor.
    source: String,
    /// The furthest step that it took.
    furthest: String,
    /// The tools that its fingerprint named.
    tools: Vec<String>,
    /// Bytes received; 0 while it is open.
    bytes_in: u64,
    /// Samples that it brought.
    captures: u64,
    /// Why it ended; empty while it is open.
    reason: String,
    /// Where its evidence is shown; empty while it is open.
    evidence: String,
}

/// Connections of the index, with where their evidence is.
pub(super) fn visits(shelf: &mut Shelf, rows: &[ConnectionRow]) -> Result<Vec<Visit>, Problem> {
    rows.iter()
        .map(|row| {
            Ok(Visit {
                connection: row.connection.to_string(),
                opened: rfc3339(row.opened),
                source: row.source.to_string(),
                furthest: row.furthest.as_str().to_owned(),
                tools: row.tools.clone(),
                bytes_in: row.bytes_in,
                captures: row.captures,
                reason: row.reason.clone(),
                evidence: asked::evidence(shelf, row.connection)?,
            })
        })
        .collect()
}

/// As a table.
pub(super) fn table(caption: String, visits: &[Visit]) -> Table {
    let cells = |visit: &Visit| {
        vec![
            asked::link(&visit.connection, &visit.evidence),
            asked::at(&visit.opened),
            Cell::Link(visit.source.clone(), format!("/sources/{}", visit.source)),
            Cell::text(&visit.furthest),
            Cell::text(asked::tools(&visit.tools)),
            Cell::Number(visit.bytes_in),
            Cell::Number(visit.captures),
            Cell::text(if visit.reason.is_empty() { "open" } else { &visit.reason }),
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
