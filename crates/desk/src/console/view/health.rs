//! Is it well: what it meets its bounds at, what it lost, what it keeps.

use super::View;
use super::asked;
use crate::console::ask::{Ask, Problem};
use crate::console::geo::BookState;
use crate::console::page::Page;
use crate::console::shelf::Shelf;
use crate::console::table::{Cell, Table};
use crate::console::text;
use crate::index::{Counts, HealthTotal, Kind, Run};
use crate::moment;
use crate::pulse::{Pulse, Verdict};
use maud::{Markup, html};
use roridula_proto::time::WallClock;
use schemars::JsonSchema;
use serde::Serialize;
use std::fs;

/// Starts and stops that are shown.
const RUNS: usize = 20;
/// Part of the disk below which it is nearly full.
const DISK_PERCENT_MIN: u64 = 5;

/// `/health`
pub(crate) struct Health;

/// What it shows.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Model {
    /// How the honeypot is.
    pulse: Pulse,
    /// The console's own version.
    version: &'static str,
    /// What was counted in the time that was asked for.
    counts: Counts,
    /// Seconds of that time in which something may have been counted.
    seconds: u64,
    /// What went wrong or met a bound, and all events, in that time.
    totals: Vec<HealthTotal>,
    /// The latest starts and stops.
    runs: Vec<Run>,
    /// Files and their bytes.
    storage: Vec<Stored>,
    /// Samples that triage has not looked at yet; no more than 1,000 are counted.
    untriaged: u64,
    /// Databases of places, and why one cannot be used.
    places: Vec<BookState>,
}

/// What takes room.
#[derive(Debug, Serialize, JsonSchema)]
struct Stored {
    /// Which file or folder of the data directory.
    what: &'static str,
    /// Whether it is ground state; all else may be deleted and is made again.
    ground: bool,
    /// Bytes on disk; null as long as they are still being counted.
    bytes: Option<u64>,
}

impl View for Health {
    type Model = Model;
    const PATH: &'static str = "/health";
    const API: &'static str = "/health";
    const ABOUT: &'static str = "Rates, limits that were met, faults, storage, versions.";
    const HEEDS: &'static [&'static str] = &["range", "since", "until"];
    const GRAIN: &'static str = asked::BY_HOURS;

    fn load(shelf: &mut Shelf, ask: &Ask) -> Result<Model, Problem> {
        let span = asked::whole_hours(asked::span(ask));
        let pulse = Pulse::take(&shelf.dir, &shelf.reader, &mut shelf.index).map_err(Problem::failed)?;
        let mut runs = shelf.index.runs().map_err(Problem::failed)?;
        runs.truncate(RUNS);
        let funnel = shelf.index.funnel(&span.into()).map_err(Problem::failed)?;
        let begins = funnel.buckets.first().map_or(span.since, |bucket| bucket.begins);
        Ok(Model {
            pulse,
            version: env!("CARGO_PKG_VERSION"),
            seconds: ask.now.min(span.until).0.saturating_sub(begins.max(span.since).0) / 1_000_000,
            counts: funnel.total,
            totals: shelf.index.health(span).map_err(Problem::failed)?,
            runs,
            storage: storage(shelf),
            untriaged: shelf.reader.untriaged(1000).map_err(Problem::failed)?.len() as u64,
            places: shelf.geo.books().states().to_vec(),
        })
    }

    fn page(model: &Model, ask: &Ask) -> Page {
        Page::new("Health", body(model, ask))
    }

    fn tables(model: &Model, _ask: &Ask) -> Vec<Table> {
        let places = (!model.places.is_empty()).then(|| places(model));
        [troubles(model), events(model), runs(model), stored(model)].into_iter().chain(places).collect()
    }
}

fn storage(shelf: &Shelf) -> Vec<Stored> {
    let size = |name: &str| fs::metadata(shelf.dir.join(name)).map_or(0, |meta| meta.len());
    let database = |name: &str| size(name).saturating_add(size(&format!("{name}-wal")));
    let stored = |what, ground, bytes| Stored { what, ground, bytes: Some(bytes) };
    vec![
        stored("journal.sqlite", true, database("journal.sqlite")),
        // They are counted together with the catalog.
        Stored {
            bytes: shelf.samples.catalog.as_ref().map(|_| shelf.samples.bytes),
            ..stored("samples", true, 0)
        },
        stored("desk/incidents.sqlite", false, database("desk/incidents.sqlite")),
        stored("desk/index.sqlite", false, database("desk/index.sqlite")),
        stored("desk/reports.sqlite", false, database("desk/reports.sqlite")),
    ]
}

/// How the honeypot is, in a few lines.
pub(crate) fn pulse(pulse: &Pulse, ask: &Ask) -> Markup {
    let problems = pulse.doctor.as_ref().map_or(0, Verdict::problems);
    let state = if pulse.running && problems == 0 { "good" } else { "bad" };
    let ago = |at: Option<WallClock>| at.map_or("never".to_owned(), |at| text::ago(at, ask.now));
    html! {
        section.pulse #pulse aria-label="How it is" {
            p { strong class=(state) { (if state == "good" { "✓ " } else { "✗ " }) (pulse.line()) } }
            dl {
                @if let Some(started) = &pulse.started {
                    dt { "Listens on" } dd { (started.listen.join(", ")) }
                }
                dt { "Last visitor" }
                dd {
                    (ago(pulse.last_visit))
                    @if let Some(source) = &pulse.last_visitor { ", " a href={ "/sources/" (source) } { (source) } }
                }
                dt { "Doctor" }
                dd {
                    @match &pulse.doctor {
                        Some(verdict) => {
                            (problems) " problems, " (ago(moment::parse_time(&verdict.time)))
                            " · " a href="/health#doctor" { "what it found" }
                        }
                        None => { "nobody asked yet: " code { "roridula doctor" } " visits it as a worm would" }
                    }
                }
                @if let (Some(free), Some(all)) = (pulse.disk_free, pulse.disk_all) {
                    dt { "Disk" }
                    dd class=[(free < all / 100 * DISK_PERCENT_MIN).then_some("bad")] {
                        (text::size(free)) " free of " (text::size(all))
                    }
                }
                dt { "Journal lag" } dd { (text::count(pulse.lag, "event")) }
            }
        }
    }
}

fn body(model: &Model, ask: &Ask) -> Markup {
    let rate = |count: u64| match model.seconds {
        0 => "–".to_owned(),
        seconds => format!("{:.1} an hour", count as f64 * 3600.0 / seconds as f64),
    };
    html! {
        (asked::hours(ask))
        div.columns {
            (pulse(&model.pulse, ask))
            section aria-label="Rates" {
                h2 { "Rates" }
                dl {
                    dt { "Connections" } dd { (text::number(model.counts.connections)) ", " (rate(model.counts.connections)) }
                    dt { "Uploads begun" } dd { (text::number(model.counts.uploads_begun)) ", " (rate(model.counts.uploads_begun)) }
                    dt { "Captured uploads" } dd { (text::number(model.counts.uploads)) ", " (rate(model.counts.uploads)) }
                    dt { "Waiting for triage" } dd { (text::number(model.untriaged)) }
                    dt { "Version" }
                    dd {
                        "console " (model.version)
                        @if let Some(started) = &model.pulse.started {
                            ", honeypot " (text::shown(&started.version)) ", plays " (text::shown(&started.persona))
                            ", implant " (text::shown(&started.policy))
                        }
                    }
                }
            }
        }
        section #doctor {
            h2 { "What the doctor found" }
            @match &model.pulse.doctor {
                Some(verdict) => {
                    p.quiet { (text::time_text(&verdict.time)) }
                    dl {
                        @for finding in &verdict.findings {
                            dt { (text::shown(&finding.check)) }
                            dd {
                                span class=(if finding.verdict == "problem" { "bad" } else { "" }) {
                                    (finding.verdict) ": " (text::shown_to(&finding.what, 600))
                                }
                                @if let Some(fix) = &finding.fix { br; (text::shown_to(fix, 600)) }
                            }
                        }
                    }
                }
                None => { p.empty { "Nobody asked it yet. Run " code { "roridula doctor" } " on this machine; the answer appears here." } }
            }
        }
        @for table in Health::tables(model, ask) { (table.html(ask)) }
    }
}

fn troubles(model: &Model) -> Table {
    let wanted = model.totals.iter().filter(|total| total.kind != Kind::Event);
    Table {
        name: "troubles",
        caption: "Limits met, visitors turned away, malformed messages, faults".to_owned(),
        columns: vec!["Kind", "Which", "Count", "Last, hour of"],
        rows: wanted.map(total).collect(),
        empty: Some(html! { p { "Nothing of that kind in this time." } }),
        next: None,
    }
}

fn total(total: &HealthTotal) -> Vec<Cell> {
    vec![
        Cell::text(total.kind.as_str()),
        Cell::text(&total.name),
        Cell::Number(total.count),
        Cell::Time(total.last),
    ]
}

fn events(model: &Model) -> Table {
    let wanted = model.totals.iter().filter(|total| total.kind == Kind::Event);
    Table {
        name: "events",
        caption: "All events".to_owned(),
        columns: vec!["Kind", "Event", "Count", "Last, hour of"],
        rows: wanted.map(total).collect(),
        empty: Some(html! { p { "No event in this time. Choose a longer one above." } }),
        next: None,
    }
}

fn runs(model: &Model) -> Table {
    let row = |run: &Run| {
        let (what, more) = match (&run.started, run.connections) {
            (Some(started), _) => {
                ("started", format!("{} on {}", started.version, started.listen.join(", ")))
            }
            (None, Some(connections)) => {
                ("stopped", format!("{} served", text::count(connections, "connection")))
            }
            (None, None) => ("stopped", String::new()),
        };
        vec![Cell::Time(run.time), Cell::text(what), Cell::text(more)]
    };
    Table {
        name: "runs",
        caption: "Starts and stops".to_owned(),
        columns: vec!["When", "What", "How"],
        rows: model.runs.iter().map(row).collect(),
        empty: Some(html! { p { "It was never started: " code { "roridula run" } } }),
        next: None,
    }
}

fn stored(model: &Model) -> Table {
    let row = |stored: &Stored| {
        let kind = if stored.ground { "ground state: keep it" } else { "derived: may be deleted" };
        let bytes = stored.bytes.map_or_else(|| Cell::text("still being read"), Cell::Number);
        vec![Cell::text(stored.what), bytes, Cell::text(kind)]
    };
    Table {
        name: "storage",
        caption: "Storage".to_owned(),
        columns: vec!["What", "Bytes", "Kind"],
        rows: model.storage.iter().map(row).collect(),
        empty: None,
        next: None,
    }
}

fn places(model: &Model) -> Table {
    let row = |book: &BookState| {
        let made = if book.made == 0 {
            Cell::None
        } else {
            Cell::Time(WallClock(book.made.saturating_mul(1_000_000)))
        };
        let state = book.error.as_deref().unwrap_or("in use");
        vec![Cell::text(&book.file), Cell::text(&book.kind), made, Cell::text(state)]
    };
    Table {
        name: "places",
        caption: "Databases of places".to_owned(),
        columns: vec!["File", "Kind", "Made", "State"],
        rows: model.places.iter().map(row).collect(),
        empty: None,
        next: None,
    }
}
