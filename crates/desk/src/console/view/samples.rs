//! All samples, the most novel first.

use super::View;
use super::asked;
use super::word::Word;
use crate::console::ask::{Ask, Problem};
use crate::console::page::Page;
use crate::console::shelf::Shelf;
use crate::console::table::{Cell, Table};
use crate::console::text;
use crate::index::Caught;
use crate::moment;
use crate::sample::Entry;
use maud::html;
use roridula_evidence::{SampleId, rfc3339};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::HashSet;

/// What everybody ever brought, where a row tells a part of it.
pub(super) const EVER: [&str; 4] = ["Captures ever", "Hosts ever", "First seen ever", "Last seen ever"];

/// `/samples`
pub(crate) struct Samples;

/// What it shows.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Model {
    /// How many fit the filter.
    count: u64,
    /// One page of them.
    samples: Vec<Row>,
    /// Where the next page begins; null after the last.
    next: Option<String>,
}

/// A sample in a list.
#[derive(Debug, Serialize, JsonSchema)]
struct Row {
    /// SHA-256, hexadecimal.
    sha256: String,
    /// From 0 to 100.
    novelty: u8,
    /// Its family; empty where none is known.
    family: String,
    /// Bytes.
    size: u64,
    /// SHA-256 of its core; empty where it was not looked into.
    core: String,
    /// How often it was captured, of all time and by everybody.
    captures: u64,
    /// From how many addresses.
    sources: u64,
    /// First capture, UTC.
    first_seen: String,
    /// Latest capture, UTC.
    last_seen: String,
    /// How often it was captured in the filter's time, from visitors who fit its source and stage.
    captures_then: u64,
    /// From how many addresses of those.
    hosts_then: u64,
    /// The first of these captures, UTC.
    first_then: String,
    /// The latest of them, UTC.
    last_then: String,
    /// What it is, in one sentence.
    sentence: String,
}

impl View for Samples {
    type Model = Model;
    const PATH: &'static str = "/samples";
    const API: &'static str = "/samples";
    const ABOUT: &'static str = "All samples, the most novel first.";
    const QUERY: &'static [Word] = &[
        Word::one("state", "Only what is so.", &["complete", "partial", "oversize"]),
        Word::text("indicator", "Only those that hold just this domain, URL, address, wallet …"),
    ];
    const GRAIN: &'static str =
        "What was captured in the time, and how often, to the moment; what is called “ever” is of all time.";

    fn load(shelf: &mut Shelf, ask: &Ask) -> Result<Model, Problem> {
        let from: usize = ask.cursor().map_or(Ok(0), |text| {
            text.parse().map_err(|_| Problem::Bad("`cursor` is none that an answer gave".to_owned()))
        })?;
        let limit = ask.limit()?;
        let holding = holding(shelf, ask)?;
        let fits = |entry: &&Entry| {
            fits(entry, ask) && holding.as_ref().is_none_or(|holding| holding.contains(&entry.sha256))
        };
        let catalog = shelf.samples.catalog()?;
        let wanted: Vec<&Entry> = catalog.entries.iter().filter(fits).collect();
        let wanted = caught(shelf, ask, wanted)?;
        let samples = wanted.iter().skip(from).take(limit).map(|(entry, then)| row(entry, *then)).collect();
        let next = (wanted.len() > from.saturating_add(limit)).then(|| (from + limit).to_string());
        Ok(Model { count: wanted.len() as u64, samples, next })
    }

    fn page(model: &Model, ask: &Ask) -> Page {
        let body = html! {
            (asked::grain(ask, Self::GRAIN)) (asked::whose(ask))
            @if let Some(indicator) = ask.value("indicator") {
                p { "Only those that hold " code { (text::shown(indicator)) } ": " a href=(ask.with("indicator", "")) { "all" } }
            }
            p.quiet { "A capture is a file that was kept: an upload, or a buffer that an exploit or an unknown message carried." }
            @for table in Self::tables(model, ask) { (table.html(ask)) }
        };
        Page::new("Samples", body)
    }

    fn tables(model: &Model, ask: &Ask) -> Vec<Table> {
        let is_part = asked::captures(ask).is_some();
        let cells = |row: &Row| {
            let link = format!("/samples/{}", row.sha256);
            let mut cells = vec![
                Cell::Number(u64::from(row.novelty)),
                Cell::sentence(&row.sentence),
                Cell::HashLink(row.sha256.clone(), link),
                Cell::text(&row.family),
                Cell::Number(row.size),
                asked::core(&row.core),
                Cell::Number(row.captures_then),
                Cell::Number(row.hosts_then),
                asked::at(&row.first_then),
                asked::last(&row.last_then),
            ];
            if is_part {
                cells.extend([Cell::Number(row.captures), Cell::Number(row.sources)]);
                cells.extend([asked::at(&row.first_seen), asked::last(&row.last_seen)]);
            }
            cells
        };
        let mut columns = vec![
            "Novelty",
            "What it is",
            "SHA-256",
            "Family",
            "Bytes",
            "Core",
            "Captures",
            "Hosts",
            "First seen",
            "Last seen",
        ];
        if is_part {
            columns.extend(EVER);
        }
        let empty = html! {
            p { "Nothing was caught yet, or nothing that fits the filter." }
            p { "Catching nothing at all? " a href="/health#doctor" { "The doctor" } " (" code { "roridula doctor" } ")" " says what is in the way; " a href="/health" { "Health" } " shows who comes." }
        };
        vec![Table {
            name: "samples",
            caption: format!("{}, the most novel first", text::count(model.count, "sample")),
            columns,
            rows: model.samples.iter().map(cells).collect(),
            empty: Some(empty),
            next: model.next.clone(),
        }]
    }
}

/// The samples with the indicator that is asked for; `None` where none is.
fn holding(shelf: &Shelf, ask: &Ask) -> Result<Option<HashSet<SampleId>>, Problem> {
    let Some(wanted) = ask.value("indicator") else { return Ok(None) };
    let found = shelf.reports.with_indicator(wanted, usize::MAX).map_err(Problem::failed)?;
    let just = found.into_iter().filter(|(value, ..)| value.eq_ignore_ascii_case(wanted));
    Ok(Some(just.map(|(.., sample)| sample).collect()))
}

fn fits(entry: &Entry, ask: &Ask) -> bool {
    asked::fits(ask, entry) && ask.value("state").is_none_or(|state| state == entry.state)
}

/// Those samples of which something was caught that is asked for, with what it was.
fn caught<'a>(
    shelf: &mut Shelf,
    ask: &Ask,
    wanted: Vec<&'a Entry>,
) -> Result<Vec<(&'a Entry, Caught)>, Problem> {
    let Some(filter) = asked::captures(ask) else {
        return Ok(wanted.into_iter().map(|entry| (entry, ever(entry))).collect());
    };
    let sets: Vec<Vec<SampleId>> = wanted.iter().map(|entry| vec![entry.sha256]).collect();
    let caught = shelf.index.caught(&sets, &filter).map_err(asked::problem)?;
    Ok(wanted.into_iter().zip(caught).filter_map(|(entry, caught)| Some((entry, caught?))).collect())
}

fn ever(entry: &Entry) -> Caught {
    let time = |text: &str| moment::parse_time(text).unwrap_or_default();
    let (first, last) = (time(&entry.first_seen), time(&entry.last_seen));
    Caught { captures: entry.captures, hosts: entry.sources, first, last }
}

fn row(entry: &Entry, then: Caught) -> Row {
    Row {
        sha256: entry.sha256.to_string(),
        novelty: entry.novelty,
        family: entry.family.clone(),
        size: entry.size,
        core: entry.core.clone(),
        captures: entry.captures,
        sources: entry.sources,
        first_seen: entry.first_seen.clone(),
        last_seen: entry.last_seen.clone(),
        captures_then: then.captures,
        hosts_then: then.hosts,
        first_then: rfc3339(then.first),
        last_then: rfc3339(then.last),
        sentence: entry.sentence.clone(),
    }
}
