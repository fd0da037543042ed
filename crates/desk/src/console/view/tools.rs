//! Which implementations came: fingerprints, the tools that they prove, and on what grounds.

use super::View;
use super::asked;
use crate::console::ask::{Ask, Problem};
use crate::console::page::Page;
use crate::console::shelf::Shelf;
use crate::console::table::{Cell, Table};
use crate::index::{FingerprintRow, ToolRow};
use maud::html;
use schemars::JsonSchema;
use serde::Serialize;

/// `/tools`
pub(crate) struct Tools;

/// What it shows.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Model {
    /// Known tools in the hours that are asked for, the most frequent first.
    tools: Vec<ToolRow>,
    /// One page of the fingerprints that came in them, the most frequent first.
    fingerprints: Vec<FingerprintRow>,
    /// Where the next page of fingerprints begins; null after the last.
    next: Option<String>,
}

impl View for Tools {
    type Model = Model;
    const PATH: &'static str = "/tools";
    const API: &'static str = "/tools";
    const ABOUT: &'static str = "Implementation fingerprints, and the tools that they prove.";
    const GRAIN: &'static str = asked::BY_HOURS;

    fn load(shelf: &mut Shelf, ask: &Ask) -> Result<Model, Problem> {
        let filter = asked::filter(shelf, ask)?;
        let tools = shelf.index.tools(&filter).map_err(asked::problem)?;
        let page = shelf.index.fingerprints(&filter, ask.cursor(), ask.limit()?).map_err(asked::problem)?;
        Ok(Model { tools, fingerprints: page.rows, next: page.next })
    }

    fn page(model: &Model, ask: &Ask) -> Page {
        let body = html! {
            (asked::hours(ask))
            @for table in Self::tables(model, ask) { (table.html(ask)) }
        };
        Page::new("Tools", body)
    }

    fn tables(model: &Model, ask: &Ask) -> Vec<Table> {
        let empty = html! {
            p { "No implementation has shown itself yet, or none that fits the filter." }
            p {
                "A fingerprint is taken when a connection ends: " code { "roridula doctor" }
                " says whether anybody can reach this machine."
            }
        };
        let prints = Table {
            empty: Some(empty),
            next: model.next.clone(),
            ..prints("Implementations, by their fingerprints", &model.fingerprints)
        };
        vec![prints, known(model, ask)]
    }
}

fn known(model: &Model, ask: &Ask) -> Table {
    let cells = |row: &ToolRow| {
        vec![
            Cell::Link(asked::tool(&row.tool).to_owned(), ask.with("tool", &row.tool)),
            Cell::text(&row.tool),
            Cell::Number(row.connections),
            Cell::Number(row.sources),
            Cell::Time(row.first),
            Cell::Last(row.last),
        ]
    };
    Table {
        name: "tools",
        caption: "Known tools".to_owned(),
        columns: vec!["Tool", "Id", "Connections", "Hosts", "First", "Last"],
        rows: model.tools.iter().map(cells).collect(),
        empty: Some(html! {
            p { "None that is known. What nobody knows yet is in " a href="/unknown" { "Unknown" } "." }
        }),
        next: None,
    }
}

/// Fingerprints as a table.
pub(super) fn prints(caption: &str, prints: &[FingerprintRow]) -> Table {
    let cells = |print: &FingerprintRow| {
        let tools = if print.tools.is_empty() { "unknown".to_owned() } else { asked::tools(&print.tools) };
        vec![
            Cell::Link(print.fingerprint.clone(), format!("/tools/{}", print.fingerprint)),
            Cell::text(tools),
            Cell::Cut(print.grounds.join("; ")),
            Cell::text(print.recognised.join(", ")),
            Cell::Number(print.connections),
            Cell::Number(print.sources),
            Cell::Time(print.first),
            Cell::Last(print.last),
            Cell::Cut(print.features.clone()),
        ]
    };
    Table {
        name: "fingerprints",
        caption: caption.to_owned(),
        columns: vec![
            "Fingerprint",
            "Tools",
            "Grounds",
            "Recognised",
            "Connections",
            "Hosts",
            "First",
            "Last",
            "Features",
        ],
        rows: prints.iter().map(cells).collect(),
        empty: None,
        next: None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::asked::tests::ask;
    use super::*;
    use roridula_proto::time::WallClock;

    /// A fingerprint with hostile text in its features.
    pub(in crate::console::view) fn hostile() -> FingerprintRow {
        FingerprintRow {
            fingerprint: "0123456789abcdef".to_owned(),
            tools: vec!["wannacry".to_owned()],
            grounds: vec!["native_os=Windows 5.1".to_owned()],
            features: format!("account=<script>; path=\\\\{}; os=\u{202e}gpj", "x".repeat(65_536)),
            recognised: vec!["eternalblue".to_owned()],
            shape: "negotiate setup".to_owned(),
            connections: 9,
            sources: 2,
            first: WallClock(1_763_632_800_000_000),
            last: WallClock(1_763_636_400_000_000),
        }
    }

    #[test]
    fn features_are_cut_on_the_page_and_whole_in_the_table() {
        let model = Model { tools: Vec::new(), fingerprints: vec![hostile()], next: None };
        let ask = ask("/tools", &[]);
        let page = Tools::page(&model, &ask).html(&ask);
        assert!(page.contains("account=&lt;script&gt;") && !page.contains("<script>") && page.len() < 20_000);
        assert!(page.contains(">WannaCry<") && page.contains("/tools/0123456789abcdef"));
        let csv = Tools::tables(&model, &ask).remove(0).csv();
        assert!(csv.contains("os=\\u{202e}gpj") && csv.len() > 65_536);
    }

    #[test]
    fn empty_lists_say_where_to_go_on() {
        let model = Model { tools: Vec::new(), fingerprints: Vec::new(), next: None };
        let ask = ask("/tools", &[]);
        let page = Tools::page(&model, &ask).html(&ask);
        assert!(page.contains("roridula doctor") && page.contains("/unknown"));
    }
}
