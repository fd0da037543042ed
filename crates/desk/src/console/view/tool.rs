//! One implementation: all that its fingerprint is made of, and who came with it.

use super::View;
use super::asked;
use super::visits::{self, Visit};
use crate::console::ask::{Ask, Problem};
use crate::console::page::Page;
use crate::console::shelf::Shelf;
use crate::console::stage;
use crate::console::table::{Cell, Table};
use crate::console::text;
use crate::index::{Filter, FingerprintRow, SourceOrder, SourceRow};
use maud::{Markup, html};
use schemars::JsonSchema;
use serde::Serialize;

/// Visitors that are shown.
const SOURCES: usize = 50;
/// Features that are shown one by one.
const FEATURES_MAX: usize = 200;
/// Characters of one feature that are shown.
const FEATURE_CHARS: usize = 400;

/// `/tools/{fingerprint}`
pub(crate) struct OfFingerprint;

/// What it shows.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Model {
    /// The implementation.
    print: FingerprintRow,
    /// Visitors with it who came last.
    sources: Vec<SourceRow>,
    /// Its connections in the time that is asked for, the latest first; one page of them.
    connections: Vec<Visit>,
    /// Where their next page begins; null after the last.
    next: Option<String>,
}

impl View for OfFingerprint {
    type Model = Model;
    const PATH: &'static str = "/tools/{fingerprint}";
    const API: &'static str = "/tools/{fingerprint}";
    const ABOUT: &'static str = "One implementation: its features, its connections and its visitors.";
    const HEEDS: &'static [&'static str] =
        &["range", "since", "until", "source", "stage", "tool", "limit", "cursor"];
    const GRAIN: &'static str = "Connections are those of the time, to the moment; all else is of all time.";

    fn load(shelf: &mut Shelf, ask: &Ask) -> Result<Model, Problem> {
        let name = ask.place("fingerprint").to_ascii_lowercase();
        let row = shelf.index.fingerprint(&name).map_err(asked::problem)?;
        let row = row.ok_or_else(|| Problem::Missing("no connection had this fingerprint".to_owned()))?;
        let filter = Filter { fingerprint: Some(name.clone()), ..asked::filter(shelf, ask)? };
        let page = shelf.index.connections(&filter, ask.cursor(), ask.limit()?).map_err(asked::problem)?;
        let of_all = Filter { fingerprint: Some(name), ..Filter::default() };
        let sources = shelf.index.sources(&of_all, None, SourceOrder::Last, None, SOURCES);
        let sources = sources.map_err(asked::problem)?.rows;
        let connections = visits::visits(shelf, page.rows)?;
        Ok(Model { print: row, sources, connections, next: page.next })
    }

    fn page(model: &Model, ask: &Ask) -> Page {
        Page::new(format!("Implementation {}", model.print.fingerprint), body(model, ask))
    }

    fn tables(model: &Model, _ask: &Ask) -> Vec<Table> {
        let caption = format!("Its connections, {} in all", text::number(model.print.connections));
        let connections = Table { next: model.next.clone(), ..visits::table(caption, &model.connections) };
        vec![connections, sources(model)]
    }
}

fn body(model: &Model, ask: &Ask) -> Markup {
    let print = &model.print;
    let features: Vec<&str> = print.features.split("; ").collect();
    let more = features.len().saturating_sub(FEATURES_MAX);
    html! {
        (asked::grain(ask, OfFingerprint::GRAIN))
        section {
            dl {
                dt { "Tools" }
                dd {
                    @if print.tools.is_empty() { "none that is known" }
                    @for tool in &print.tools { a href={ "/tools?tool=" (tool) } { (asked::tool(tool)) } " " }
                }
                dt { "Recognised" }
                dd {
                    @if print.recognised.is_empty() { "nothing" }
                    @else { (text::shown(&print.recognised.join(", "))) }
                }
                dt { "Order of messages" } dd { code { (text::shown_to(&print.shape, FEATURE_CHARS)) } }
                dt { "Seen" } dd {
                    (text::count(print.connections, "connection")) " from "
                    (text::count(print.sources, "host")) ", from "
                    (text::time(print.first)) " to " (text::time(print.last))
                }
            }
        }
        section {
            h2 { "Features" }
            p.quiet { "Marked ones prove the tool." }
            dl {
                @for feature in features.iter().take(FEATURES_MAX) {
                    @let (key, value) = feature.split_once('=').unwrap_or((feature, ""));
                    dt { code { (text::shown_to(key, FEATURE_CHARS)) } }
                    dd {
                        @if print.grounds.iter().any(|ground| ground == feature) {
                            strong title="proves the tool" { "● " }
                        }
                        code { (text::shown_to(value, FEATURE_CHARS)) }
                    }
                }
            }
            @if more > 0 { p { "and " (text::number(more as u64)) " more, which are in the JSON" } }
        }
        @for table in OfFingerprint::tables(model, ask) { (table.html(ask)) }
    }
}

fn sources(model: &Model) -> Table {
    let cells = |who: &SourceRow| {
        vec![
            Cell::Link(who.source.to_string(), format!("/sources/{}", who.source)),
            Cell::Time(who.first),
            Cell::Last(who.last),
            Cell::Number(who.connections),
            Cell::text(stage::told(who.furthest)),
        ]
    };
    Table {
        name: "sources",
        caption: format!("Who came with it last, of {}", text::count(model.print.sources, "host")),
        columns: vec!["Source", "First visit", "Last heard of", "Connections", "Furthest"],
        rows: model.sources.iter().map(cells).collect(),
        empty: None,
        next: None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::asked::tests::ask;
    use super::*;

    #[test]
    fn features_stand_one_by_one_and_what_proves_the_tool_is_marked() {
        let mut print = super::super::tools::tests::hostile();
        print.features.push_str("; native_os=Windows 5.1");
        let model = Model { print, sources: Vec::new(), connections: Vec::new(), next: None };
        let ask = ask("/tools/0123456789abcdef", &[]);
        let page = OfFingerprint::page(&model, &ask).html(&ask);
        assert_eq!(page.matches("proves the tool\">").count(), 1, "{page}");
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script>") && page.len() < 20_000);
    }
}
