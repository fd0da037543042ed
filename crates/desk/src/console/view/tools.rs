//! Which implementations came: fingerprints, the tools that they prove, and on what grounds.

use super::View;
use super::asked::{self, Word};
use crate::console::ask::{Ask, Problem};
use crate::console::page::Page;
use crate::console::shelf::Shelf;
use crate::console::table::{Cell, Table};
use crate::index::FingerprintRow;
use maud::html;
use roridula_evidence::rfc3339;
use schemars::JsonSchema;
use serde::Serialize;

/// `/tools`
pub(crate) struct Tools;

/// What it shows.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Model {
    /// Known tools in the days that are asked for, the most frequent first.
    tools: Vec<Tool>,
    /// One page of the fingerprints that came in that time, the most frequent of all time first.
    fingerprints: Vec<Print>,
    /// Where the next page of fingerprints begins; null after the last.
    next: Option<String>,
}

/// A known tool.
#[derive(Debug, Serialize, JsonSchema)]
struct Tool {
    /// Its id.
    tool: String,
    /// How people write it.
    label: String,
    /// Connections that it was named for.
    connections: u64,
    /// Addresses of them.
    hosts: u64,
    /// The first day, UTC.
    first: String,
    /// The last day, UTC.
    last: String,
}

/// An implementation.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Print {
    /// 16 hexadecimal digits.
    pub(super) fingerprint: String,
    /// The tools that it proves.
    pub(super) tools: Vec<String>,
    /// The features that prove them.
    pub(super) grounds: Vec<String>,
    /// All features, `key=value` parted by `; `. Holds text of the visitor's.
    pub(super) features: String,
    /// What recognisers found.
    pub(super) recognised: Vec<String>,
    /// The order of its messages.
    pub(super) shape: String,
    /// Connections, of all time.
    pub(super) connections: u64,
    /// Addresses of them.
    pub(super) hosts: u64,
    /// The first, UTC.
    pub(super) first: String,
    /// The latest, UTC.
    pub(super) last: String,
}

impl View for Tools {
    type Model = Model;
    const PATH: &'static str = "/tools";
    const API: &'static str = "/tools";
    const ABOUT: &'static str = "Implementation fingerprints, and the tools that they prove.";

    fn load(shelf: &mut Shelf, ask: &Ask) -> Result<Model, Problem> {
        let filter = asked::filter(ask);
        let tools = shelf.index.tools(filter.span).map_err(asked::problem)?;
        let named =
            |tool: &&crate::index::ToolRow| filter.tool.as_ref().is_none_or(|name| *name == tool.tool);
        let tools = tools.iter().filter(named).map(|row| Tool {
            tool: row.tool.clone(),
            label: asked::tool(&row.tool).to_owned(),
            connections: row.connections,
            hosts: row.sources,
            first: rfc3339(row.first),
            last: rfc3339(row.last),
        });
        let tools = tools.collect();
        let page = shelf.index.fingerprints(&filter, ask.cursor(), ask.limit()?).map_err(asked::problem)?;
        Ok(Model { tools, fingerprints: page.rows.iter().map(print).collect(), next: page.next })
    }

    fn page(model: &Model, ask: &Ask) -> Page {
        let body = html! {
            (asked::ignored(ask, &[Word::Family, Word::Stage]))
            @for table in Self::tables(model, ask) { (table.html(ask)) }
        };
        Page::new("Tools", body)
    }

    fn tables(model: &Model, ask: &Ask) -> Vec<Table> {
        let empty = html! {
            p { "No implementation has shown itself yet, or none that fits the filter." }
            p { "A fingerprint is taken when a connection ends: " code { "roridula doctor" } " says whether anybody can reach this machine." }
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
    let cells = |tool: &Tool| {
        vec![
            Cell::Link(tool.label.clone(), ask.with("tool", &tool.tool)),
            Cell::text(&tool.tool),
            Cell::Number(tool.connections),
            Cell::Number(tool.hosts),
            asked::at(&tool.first),
            asked::at(&tool.last),
        ]
    };
    Table {
        name: "tools",
        caption: "Known tools".to_owned(),
        columns: vec!["Tool", "Id", "Connections", "Hosts", "First day", "Last day"],
        rows: model.tools.iter().map(cells).collect(),
        empty: Some(html! {
            p { "None that is known. What nobody knows yet is in " a href="/unknown" { "Unknown" } "." }
        }),
        next: None,
    }
}

/// A fingerprint of the index.
pub(super) fn print(row: &FingerprintRow) -> Print {
    Print {
        fingerprint: row.fingerprint.clone(),
        tools: row.tools.clone(),
        grounds: row.grounds.clone(),
        features: row.features.clone(),
        recognised: row.recognised.clone(),
        shape: row.shape.clone(),
        connections: row.connections,
        hosts: row.sources,
        first: rfc3339(row.first),
        last: rfc3339(row.last),
    }
}

/// Fingerprints as a table.
pub(super) fn prints(caption: &str, prints: &[Print]) -> Table {
    let cells = |print: &Print| {
        let tools = if print.tools.is_empty() { "unknown".to_owned() } else { asked::tools(&print.tools) };
        vec![
            Cell::Link(print.fingerprint.clone(), format!("/tools/{}", print.fingerprint)),
            Cell::text(tools),
            Cell::text(print.grounds.join("; ")),
            Cell::text(print.recognised.join(", ")),
            Cell::text(&print.features),
            Cell::Number(print.connections),
            Cell::Number(print.hosts),
            asked::at(&print.first),
            asked::at(&print.last),
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
            "Features",
            "Connections",
            "Hosts",
            "First",
            "Last",
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

    /// A fingerprint with hostile text in its features.
    pub(in crate::console::view) fn hostile() -> Print {
        Print {
            fingerprint: "0123456789abcdef".to_owned(),
            tools: vec!["wannacry".to_owned()],
            grounds: vec!["native_os=Windows 5.1".to_owned()],
            features: format!("account=<script>; path=\\\\{}; os=\u{202e}gpj", "x".repeat(65_536)),
            recognised: vec!["eternalblue".to_owned()],
            shape: "negotiate setup".to_owned(),
            connections: 9,
            hosts: 2,
            first: "2025-11-20T10:00:00Z".to_owned(),
            last: "2025-11-20T11:00:00Z".to_owned(),
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
        let ask = ask("/tools", &[("stage", "probe")]);
        let page = Tools::page(&model, &ask).html(&ask);
        assert!(
            page.contains("roridula doctor")
                && page.contains("/unknown")
                && page.contains("Not filtered by stage")
        );
    }
}
