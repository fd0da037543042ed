//! One sample: what it is in a sentence, what is inside, who brought it, what it is like.

mod bytes;
mod inside;
mod layer;
mod page;

#[cfg(test)]
pub(super) use bytes::tests;
pub(super) use bytes::{Mark, picture};

use super::View;
use crate::console::ask::{Ask, Problem};
use crate::console::page::Page;
use crate::console::shelf::Shelf;
use crate::console::table::{Cell, Table};
use crate::console::text;
use crate::index::{CaptureRow, Filter, Sender};
use crate::lookup::{Found, Lookups};
use crate::moment;
use crate::sample::{Entry, Group};
use maud::html;
use roridula_evidence::{Kept, SampleView, StoreError, rfc3339};
use roridula_triage::Report;
use schemars::JsonSchema;
use serde::Serialize;

/// Others of its group, and senders, that are listed.
const ALIKE_MAX: usize = 50;

/// `/samples/{sha256}`
pub(crate) struct Sample;

/// What it shows.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Model {
    /// SHA-256, hexadecimal.
    sha256: String,
    /// SHA-1, hexadecimal.
    sha1: String,
    /// MD5, hexadecimal.
    md5: String,
    /// Bytes.
    size: u64,
    /// The size that its sender announced.
    total: Option<u64>,
    /// Which bytes of the upload the sample's bytes are: start and end of each range.
    ranges: Vec<(u64, u64)>,
    /// What there is of the upload.
    state: String,
    /// By which road it came.
    origin: String,
    /// How it is kept: `whole`, `difference`, `forgotten`, `missing`.
    kept: &'static str,
    /// From 0 to 100; null while the catalog has not seen it.
    novelty: Option<u8>,
    /// What it is, in one sentence.
    sentence: String,
    /// Its family; empty where none is known.
    family: String,
    /// How sure that is.
    confidence: String,
    /// SHA-256 of its core; empty where it was not looked into.
    core: String,
    /// The tool that brought it first; empty where none is known.
    tool: String,
    /// How often it was captured.
    captures: u64,
    /// From how many addresses.
    sources: u64,
    /// First capture, UTC.
    first_seen: String,
    /// Latest capture, UTC.
    last_seen: String,
    /// Whether triage has looked at it.
    triaged: bool,
    /// What went wrong in triage, or empty.
    triage_error: String,
    /// Triage's report, as `roridula triage --json` prints it; null where there is none.
    #[schemars(with = "Option<serde_json::Value>")]
    report: Option<Report>,
    /// What services know of it, as far as they were asked.
    lookups: Vec<LookupRow>,
    /// Its group; null where it has no core.
    group: Option<GroupRow>,
    /// Others with the same core.
    alike: Vec<AlikeRow>,
    /// Who brought it, the latest first.
    senders: Vec<Sender>,
    /// One page of its captures, the latest first.
    capture_list: Vec<CaptureRow>,
    /// Where the next page of captures begins; null after the last.
    next: Option<String>,
}

/// What a service said.
#[derive(Debug, Serialize, JsonSchema)]
struct LookupRow {
    /// In one sentence.
    sentence: String,
    /// When it was asked, UTC.
    asked: String,
    /// Whether it knows the hash.
    known: bool,
    /// Where to read more; empty where it is not known.
    link: String,
}

/// Samples with its core.
#[derive(Debug, Serialize, JsonSchema)]
struct GroupRow {
    /// The core's SHA-256.
    core: String,
    /// What the core is.
    kind: String,
    /// The core's size in bytes.
    size: u64,
    /// How many different samples.
    samples: u64,
    /// Captures of all of them.
    captures: u64,
    /// Different addresses.
    sources: u64,
    /// First capture, UTC.
    first_seen: String,
    /// Latest capture, UTC.
    last_seen: String,
    /// Cores that are alike, with the TLSH distance (0: the same sections), and the first sample of each.
    near: Vec<NearRow>,
}

/// A core that is alike.
#[derive(Debug, Serialize, JsonSchema)]
struct NearRow {
    /// The core's SHA-256.
    core: String,
    /// TLSH distance; 0: the same sections.
    distance: u32,
    /// A sample with it, to be compared with.
    sample: Option<String>,
}

/// Another sample of the group.
#[derive(Debug, Serialize, JsonSchema)]
struct AlikeRow {
    /// SHA-256, hexadecimal.
    sha256: String,
    /// Bytes.
    size: u64,
    /// What there is of the upload.
    state: String,
    /// How often it was captured.
    captures: u64,
    /// First capture, UTC.
    first_seen: String,
}

/// The sample that the path names: its SHA-256, or as much of its beginning as is unique.
pub(crate) fn find(shelf: &Shelf, ask: &Ask) -> Result<SampleView, Problem> {
    find_named(shelf, ask.place("sha256"))
}

/// As [`find`], by its name.
pub(super) fn find_named(shelf: &Shelf, name: &str) -> Result<SampleView, Problem> {
    match shelf.reader.sample(name) {
        Ok(Some(sample)) => Ok(sample),
        Ok(None) => Err(Problem::Missing("no sample has this SHA-256".to_owned())),
        Err(StoreError::NotHex(_)) => Err(Problem::Missing("this is no SHA-256".to_owned())),
        Err(ambiguous @ StoreError::Ambiguous { .. }) => Err(Problem::Bad(ambiguous.to_string())),
        Err(error) => Err(Problem::failed(error)),
    }
}

impl View for Sample {
    type Model = Model;
    const PATH: &'static str = "/samples/{sha256}";
    const API: &'static str = "/samples/{sha256}";
    const ABOUT: &'static str = "One sample: what it is, what is inside, who brought it, what it is like.";
    const HEEDS: &'static [&'static str] = super::PAGES;

    fn load(shelf: &mut Shelf, ask: &Ask) -> Result<Model, Problem> {
        let sample = find(shelf, ask)?;
        let id = sample.sha256;
        let filter = Filter { samples: vec![id], ..Filter::default() };
        let captures = shelf.index.captures(&filter, ask.cursor(), ask.limit()?).map_err(Problem::failed)?;
        let senders = shelf.index.senders(&[id], None, ALIKE_MAX).map_err(Problem::failed)?;
        let report = shelf.reports.get(id).map_err(Problem::failed)?;
        let kept = shelf.reader.kept(id).map_err(Problem::failed)?;
        let lookups = looked_up(shelf, report.as_ref());
        let catalog = shelf.samples.catalog()?;
        let entry = catalog.entries.iter().find(|entry| entry.sha256 == id);
        let core = entry.map_or_else(|| sample.core.clone(), |entry| entry.core.clone());
        let is_alike = |other: &&Entry| !core.is_empty() && other.core == core && other.sha256 != id;
        let alike = catalog.entries.iter().filter(is_alike).take(ALIKE_MAX).map(alike).collect();
        let group = catalog.groups.iter().find(|group| !core.is_empty() && group.core == core);
        let group = group.map(|group| grouped(group, &catalog.groups));
        let sentence = entry.map_or_else(
            || "Captured just now: its sentence follows in a moment".to_owned(),
            |entry| entry.sentence.clone(),
        );
        let entry_text = |text: fn(&Entry) -> &String| entry.map(text).cloned().unwrap_or_default();
        Ok(Model {
            sha256: id.to_string(),
            sha1: sample.sha1,
            md5: sample.md5,
            size: sample.size,
            total: sample.total,
            ranges: sample.ranges.iter().map(|range| (range.start, range.end)).collect(),
            state: sample.state.to_string(),
            origin: sample.origin.to_string(),
            kept: kept_as(&kept),
            novelty: entry.map(|entry| entry.novelty),
            sentence,
            family: entry_text(|entry| &entry.family),
            confidence: entry_text(|entry| &entry.confidence),
            core,
            tool: entry_text(|entry| &entry.tool),
            captures: sample.captures,
            sources: sample.sources,
            first_seen: rfc3339(sample.first_seen),
            last_seen: rfc3339(sample.last_seen),
            triaged: sample.triaged,
            triage_error: sample.triage_error,
            report,
            lookups,
            group,
            alike,
            senders: senders.rows,
            capture_list: captures.rows,
            next: captures.next,
        })
    }

    fn page(model: &Model, ask: &Ask) -> Page {
        let short = model.sha256.get(..16).unwrap_or(&model.sha256);
        Page::of_one(format!("Sample {short}…"), page::body(model, ask))
    }

    fn tables(model: &Model, _ask: &Ask) -> Vec<Table> {
        let mut tables = vec![
            captures(model),
            senders(model),
            alike_table(model),
            layer::rules(model),
            layer::indicators(model),
            layer::table(model),
        ];
        tables.extend(model.report.iter().flat_map(inside::tables));
        tables
    }
}

fn kept_as(kept: &Kept) -> &'static str {
    match kept {
        Kept::Whole { .. } => "whole",
        Kept::Difference { .. } => "difference",
        Kept::Forgotten => "forgotten",
        Kept::Missing => "missing",
    }
}

/// What services have said of the layers of a report; nothing where none was ever asked.
fn looked_up(shelf: &Shelf, report: Option<&Report>) -> Vec<LookupRow> {
    let asked = shelf.dir.join("desk").join("lookup.sqlite").exists();
    let Some(report) = report.filter(|_| asked) else { return Vec::new() };
    // Who may not read them sees the sample without them.
    let found = Lookups::open(&shelf.dir).and_then(|lookups| lookups.of_report(report)).unwrap_or_default();
    let row = |found: &Found| LookupRow {
        sentence: found.sentence(),
        asked: rfc3339(found.asked),
        known: found.known,
        link: if found.known { found.link.clone() } else { String::new() },
    };
    found.iter().map(row).collect()
}

fn alike(entry: &Entry) -> AlikeRow {
    AlikeRow {
        sha256: entry.sha256.to_string(),
        size: entry.size,
        state: entry.state.clone(),
        captures: entry.captures,
        first_seen: entry.first_seen.clone(),
    }
}

fn grouped(group: &Group, groups: &[Group]) -> GroupRow {
    let near = group.near.iter().take(ALIKE_MAX).map(|(core, distance)| NearRow {
        core: core.clone(),
        distance: *distance,
        sample: groups.iter().find(|other| other.core == *core).map(|other| other.first.to_string()),
    });
    GroupRow {
        core: group.core.clone(),
        kind: group.kind.clone(),
        size: group.size,
        samples: group.samples,
        captures: group.captures,
        sources: group.sources,
        first_seen: group.first_seen.clone(),
        last_seen: group.last_seen.clone(),
        near: near.collect(),
    }
}

fn captures(model: &Model) -> Table {
    let cells = |row: &CaptureRow| {
        let connection = row.connection.to_string();
        let address = format!("/connections/{connection}");
        vec![
            Cell::Time(row.time),
            Cell::Link(row.source.to_string(), format!("/sources/{}", row.source)),
            Cell::Link(connection, address),
            Cell::Number(row.upload.into()),
            Cell::text(&row.state),
            Cell::text(&row.origin),
        ]
    };
    Table {
        name: "captures",
        caption: format!("{} of this very file, the latest first", text::count(model.captures, "capture")),
        columns: vec!["When", "Source", "Connection", "Upload", "State", "Road"],
        rows: model.capture_list.iter().map(cells).collect(),
        empty: Some(html! { p { "The index has none yet: it follows the journal in a moment." } }),
        next: model.next.clone(),
    }
}

fn senders(model: &Model) -> Table {
    let cells = |row: &Sender| {
        let source = row.source.to_string();
        vec![
            Cell::Link(source.clone(), format!("/sources/{source}")),
            Cell::Number(row.captures),
            Cell::Time(row.first),
            Cell::Last(row.last),
        ]
    };
    let more = model.sources.saturating_sub(model.senders.len() as u64);
    let shown = if more > 0 { format!(", {} more are not shown", text::number(more)) } else { String::new() };
    Table {
        name: "senders",
        caption: format!("Brought by {}, the latest first{shown}", text::count(model.sources, "host")),
        columns: vec!["Source", "Captures", "First", "Latest"],
        rows: model.senders.iter().map(cells).collect(),
        empty: Some(html! { p { "The index has none yet: it follows the journal in a moment." } }),
        next: None,
    }
}

fn alike_table(model: &Model) -> Table {
    let cells = |row: &AlikeRow| {
        vec![
            Cell::HashLink(row.sha256.clone(), format!("/samples/{}", row.sha256)),
            Cell::Number(row.size),
            Cell::text(&row.state),
            Cell::Number(row.captures),
            moment::parse_time(&row.first_seen).map_or(Cell::None, Cell::Time),
            Cell::Link("compare".to_owned(), format!("/samples/{}/diff/{}", model.sha256, row.sha256)),
        ]
    };
    Table {
        name: "alike",
        caption: "Others with the same core".to_owned(),
        columns: vec!["SHA-256", "Bytes", "State", "Captures", "First seen", "Difference"],
        rows: model.alike.iter().map(cells).collect(),
        empty: Some(html! { p { "None." } }),
        next: None,
    }
}
