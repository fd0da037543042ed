//! One box: whatever has a name. One clear hit leads there, several are listed.

mod find;

use super::View;
use super::asked;
use super::word::Word;
use crate::console::ask::{Ask, Form, Problem, ROWS_MAX, address};
use crate::console::page::Page;
use crate::console::shelf::Shelf;
use crate::console::table::{Cell, Table};
use crate::console::text;
use crate::incident;
use maud::{Markup, html};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// What can be searched: what it is, and an example.
const KINDS: &[(&str, &str)] = &[
    ("a hash or its beginning (MD5, SHA-1, SHA-256; of a sample, a core, a layer)", "24d004a1"),
    ("an IP address, its beginning, or a network", "192.0.2.0/24"),
    ("a domain, URL or another indicator in a sample", "example.com"),
    ("an incident, a connection, or the end of a connection's name", "i06d6xk2a"),
    ("an implementation's fingerprint", "0123456789abcdef"),
    ("a family or a tool", "wannacry"),
    ("an ATT&CK id, as an incident's page names it", "T1595"),
];

/// Hits of one kind that a page lists.
const EACH_MAX: usize = 20;

/// `/search`
pub(crate) struct Search;

/// What it shows.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Model {
    /// What was searched.
    query: String,
    /// Whether the samples are still being read since the console's start: until then no core and no family is found.
    reading: bool,
    /// What was found, those of one kind together.
    hits: Vec<Hit>,
    /// Kinds of which there are more than are listed.
    more: Vec<More>,
}

/// More hits than are listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
struct More {
    /// Of this kind.
    kind: &'static str,
    /// How many there are; not there where nobody counts them.
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    /// Where all of them are listed; not there where they are listed nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    href: Option<String>,
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Hit {
    /// `sample`, `core`, `layer`, `indicator`, `source`, `incident`, `connection`, `fingerprint`, `family`,
    /// `tool`, `technique`.
    kind: &'static str,
    /// Its name. May be a visitor's text.
    name: String,
    /// What it is. May hold a visitor's text.
    about: String,
    /// When it was last heard of, UTC; null where that is not known.
    last: Option<String>,
    /// Where it is shown.
    href: String,
    /// Whether its name is what was searched, to the last letter.
    exact: bool,
}

impl View for Search {
    type Model = Model;
    const PATH: &'static str = "/search";
    const API: &'static str = "/search";
    const ABOUT: &'static str = "Whatever has this name, or a name that begins like this.";
    const HEEDS: &'static [&'static str] = &[];
    const QUERY: &'static [Word] = &[Word::text("q", "What to look for.")];

    fn load(shelf: &mut Shelf, ask: &Ask) -> Result<Model, Problem> {
        let query = ask.value("q").unwrap_or_default().trim().to_owned();
        let is_page = ask.form == Form::Page;
        let most = if is_page { EACH_MAX } else { ROWS_MAX };
        let hits = find::find(shelf, &query, most)?;
        match clear(&hits) {
            Some(hit) if is_page => Err(Problem::Elsewhere(hit.href.clone())),
            _ => {
                let reading = shelf.samples.catalog.is_none();
                let full = more(&hits, &query, most).into_iter();
                let more: Result<Vec<More>, _> = full.map(|more| counted(shelf, &query, more)).collect();
                let mut more = more?;
                more.retain(|more| more.count != Some(most as u64));
                Ok(Model { more, reading, query, hits })
            }
        }
    }

    fn page(model: &Model, ask: &Ask) -> Page {
        Page::of_one("Search", body(model, ask))
    }

    fn tables(model: &Model, _ask: &Ask) -> Vec<Table> {
        let cells = |hit: &Hit| {
            vec![
                Cell::text(hit.kind),
                Cell::Link(hit.name.clone(), hit.href.clone()),
                Cell::sentence(&hit.about),
                hit.last.as_deref().map_or(Cell::None, asked::at),
            ]
        };
        vec![Table {
            name: "hits",
            caption: caption(model),
            columns: vec!["Kind", "Name", "What it is", "Last heard of"],
            rows: model.hits.iter().map(cells).collect(),
            empty: None,
            next: None,
        }]
    }
}

/// How many were found, of how many.
fn caption(model: &Model) -> String {
    let of = |kind: &str| model.hits.iter().filter(|hit| hit.kind == kind).count() as u64;
    let listed = model.hits.len() as u64;
    let unlisted = |more: &More| Some(more.count?.saturating_sub(of(more.kind)));
    match model.more.iter().map(unlisted).sum::<Option<u64>>() {
        Some(0) => text::count(listed, "hit"),
        Some(unlisted) => format!("{} of {}", text::number(listed), text::count(listed + unlisted, "hit")),
        None => format!("The first {}, of more", text::count(listed, "hit")),
    }
}

/// With how many there are, where that is counted.
fn counted(shelf: &mut Shelf, query: &str, more: More) -> Result<More, Problem> {
    if more.kind != "technique" {
        return Ok(more);
    }
    let filter = incident::Filter { technique: Some(query.to_ascii_uppercase()), ..Default::default() };
    let count = shelf.incidents.count(&filter).map_err(Problem::failed)?;
    Ok(More { count: Some(count), ..more })
}

/// The kinds of which as many were found as are looked for.
fn more(hits: &[Hit], query: &str, most: usize) -> Vec<More> {
    let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
    for hit in hits {
        *counts.entry(hit.kind).or_default() += 1;
    }
    let full = counts.into_iter().filter(|(_, count)| *count >= most);
    let all = |path, name| Some(address(path, [(name, query)].into_iter()));
    full.map(|(kind, _)| {
        let href = match kind {
            "technique" => all("/incidents", "technique"),
            "source" if query.contains('/') => all("/sources", "source"),
            _ => None,
        };
        More { kind, count: None, href }
    })
    .collect()
}

/// The one that is meant: the only one, or the only one with just this name.
fn clear(hits: &[Hit]) -> Option<&Hit> {
    let mut exact = hits.iter().filter(|hit| hit.exact);
    match (hits, exact.next(), exact.next()) {
        ([only], ..) => Some(only),
        (_, Some(only), None) => Some(only),
        _ => None,
    }
}

fn body(model: &Model, ask: &Ask) -> Markup {
    html! {
        @if model.reading {
            p.notice { "The samples are still being read: no core and no family is found yet. Ask again in a few seconds." }
        }
        @if model.hits.is_empty() {
            section {
                @if !model.query.is_empty() {
                    p role="status" {
                        "Nothing is called " strong { (text::shown(&model.query)) } ", or begins like it."
                    }
                }
                h2 { "What can be searched" }
                dl {
                    @for (what, example) in KINDS {
                        dt { (what) }
                        dd { a href=(address("/search", [("q", *example)].into_iter())) { (example) } }
                    }
                }
                p {
                    "Beginnings need three characters, those of hashes four. Nothing was caught yet? "
                    code { "roridula doctor" } " says what is in the way."
                }
            }
        } @else {
            @for more in &model.more {
                p.notice {
                    "Of the kind " strong { (more.kind) } " only the first " (EACH_MAX) " are listed; CSV and JSON have up to " (text::number(ROWS_MAX as u64)) ". "
                    @match &more.href {
                        Some(href) => { a href=(href) { "All of them" } }
                        None => { "Type more of the name." }
                    }
                }
            }
            @for table in Search::tables(model, ask) { (table.html(ask)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::asked::tests::ask;
    use super::*;

    fn hit(name: &str, exact: bool) -> Hit {
        Hit {
            kind: "sample",
            name: name.to_owned(),
            about: String::new(),
            last: None,
            href: format!("/samples/{name}"),
            exact,
        }
    }

    #[test]
    fn one_hit_or_one_that_is_just_it_is_clear() {
        let href = |hits: &[Hit]| clear(hits).map(|hit| hit.href.clone());
        assert_eq!(href(&[]), None);
        assert_eq!(href(&[hit("a", false)]).as_deref(), Some("/samples/a"));
        assert_eq!(href(&[hit("a", false), hit("b", false)]), None);
        assert_eq!(href(&[hit("a", false), hit("b", true)]).as_deref(), Some("/samples/b"));
        assert_eq!(href(&[hit("a", true), hit("b", true)]), None);
    }

    #[test]
    fn nothing_found_says_what_can_be_searched_and_escapes_what_was() {
        let query = format!("<script>\u{202e}{}", "A".repeat(65_536));
        let model = Model { query, reading: false, hits: Vec::new(), more: Vec::new() };
        let ask = ask("/search", &[]);
        let page = Search::page(&model, &ask).html(&ask);
        assert!(
            page.contains("&lt;script&gt;\\u{202e}AAA") && !page.contains("<script>") && page.len() < 12_000
        );
        assert!(
            page.contains("T1595")
                && page.contains("roridula doctor")
                && page.contains("/search?q=192.0.2.0%2F24")
        );
    }

    #[test]
    fn hits_are_listed_with_their_kind() {
        let hits = vec![hit("=1+1\"><b>", false), hit("b", false)];
        let model = Model { query: "x".to_owned(), reading: true, hits, more: Vec::new() };
        let ask = ask("/search", &[("q", "x")]);
        let page = Search::page(&model, &ask).html(&ask);
        assert!(page.contains("2 hits") && !page.contains("<b>"), "{page}");
        assert!(page.contains("still being read"), "{page}");
        assert!(Search::tables(&model, &ask).remove(0).csv().contains("\"'=1+1\"\"><b>\""));
    }
}
