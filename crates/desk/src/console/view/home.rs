//! Ten seconds: is it well, and was something new caught?

use super::View;
use super::asked;
use super::brought::{self, Brought};
use super::{health, incidents};
use crate::console::ask::{Ask, FILTERS, Problem, RANGES, address};
use crate::console::chart;
use crate::console::geo::{Books, Place};
use crate::console::page::Page;
use crate::console::shelf::Shelf;
use crate::console::stage;
use crate::console::table::{Cell, Table, exports};
use crate::console::text;
use crate::incident::{Filter, Incident, Incidents};
use crate::index::{self, Index, Span, Step};
use crate::pulse::{News, Pulse};
use crate::sample::Catalog;
use maud::{Markup, html};
use roridula_proto::time::WallClock;
use schemars::JsonSchema;
use serde::Serialize;

/// Samples of an incident that the feed names.
const BROUGHT: usize = 3;
/// Incidents that are shown at first; the feed adds to them.
const LATEST: usize = 12;

/// `/`
pub(crate) struct Home;

/// What it shows.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Model {
    /// How the honeypot is, whatever is filtered by.
    pulse: Pulse,
    #[serde(flatten)]
    news: News,
    /// How far incidents came, for the last hour, day, week and month, or the one range that was asked for.
    funnels: Vec<Funnel>,
    /// The sample to look at first, of everybody's as `new_cores`; null where nothing was uploaded, or as long as `new_cores` is.
    novel: Option<Novel>,
    /// The latest incidents.
    incidents: Vec<Latest>,
}

/// How far the incidents of a stretch of time came, to the moment. Its stage is none of its filters.
#[derive(Debug, Serialize, JsonSchema)]
struct Funnel {
    /// Its name: `1h`, `24h`, `7d`, `30d`, `all`, or `chosen`.
    range: &'static str,
    /// Connections that were accepted.
    connections: u64,
    /// Captured uploads: what came through the implant, no buffers.
    uploads: u64,
    /// Incidents that lasted into the time or began in it, and took each step: as many as `/incidents` lists for that `stage`.
    incidents: Steps,
}

/// How many took each step; not every step needs the one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
struct Steps {
    /// Connected.
    connect: u64,
    /// Offered dialects.
    negotiate: u64,
    /// Checked for MS17-010.
    probe: u64,
    /// Took a step of an exploit, other than making room for one.
    exploit: u64,
    /// Pinged the implant.
    ping: u64,
    /// Began an upload through the implant.
    upload: u64,
    /// Uploaded something to its last byte.
    complete: u64,
    /// Uploaded something that nobody had brought before.
    new: u64,
}

impl From<[u64; 8]> for Steps {
    fn from([connect, negotiate, probe, exploit, ping, upload, complete, new]: [u64; 8]) -> Self {
        Self { connect, negotiate, probe, exploit, ping, upload, complete, new }
    }
}

impl Steps {
    /// In the order of [`Step::ALL`].
    const fn counts(self) -> [u64; 8] {
        let Self { connect, negotiate, probe, exploit, ping, upload, complete, new } = self;
        [connect, negotiate, probe, exploit, ping, upload, complete, new]
    }
}

/// A sample worth a look.
#[derive(Debug, Serialize, JsonSchema)]
struct Novel {
    /// SHA-256, hexadecimal.
    sha256: String,
    /// From 0 to 100.
    novelty: u8,
    /// What it is, in one sentence.
    sentence: String,
    /// First capture, UTC.
    first_seen: String,
    /// How often it was captured.
    captures: u64,
    /// Which sample it is: the newest one with a new core in the last day or week, or the most novel ever.
    which: &'static str,
}

/// An incident in the feed.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Latest {
    /// Its name.
    id: String,
    /// The visitor.
    source: String,
    /// When the visitor was last at it, UTC.
    last: String,
    /// How far it came.
    outcome: String,
    /// Where the visitor is.
    place: Place,
    /// The tool, null where none is known.
    tool: Option<String>,
    /// Connections.
    connections: u64,
    /// Bytes of what was uploaded, each sample once.
    bytes: u64,
    /// Whether something of that had never been captured before.
    new: bool,
    /// The story in one sentence.
    summary: String,
    /// What it uploaded; the first 3 samples.
    brought: Vec<Brought>,
}

impl View for Home {
    type Model = Model;
    const PATH: &'static str = "/";
    const API: &'static str = "/home";
    const ABOUT: &'static str = "Is the honeypot well, and was something new caught?";
    const HEEDS: &'static [&'static str] = &FILTERS;
    const OF_INCIDENTS: bool = true;
    const GRAIN: &'static str = "The funnel and the incidents are of the time, to the moment; the headline and the card are of the latest 24 hours.";

    fn load(shelf: &mut Shelf, ask: &Ask) -> Result<Model, Problem> {
        let catalog = shelf.samples.catalog.clone();
        let novel = catalog.as_ref().and_then(|catalog| novel(catalog, ask.now));
        let asked = Funneled::of(shelf, ask)?;
        let filter = Filter { limit: Some(LATEST), ..incidents::of_family(shelf, ask)? };
        let incidents = shelf.incidents.list(&filter).map_err(Problem::failed)?;
        let books = shelf.geo.books();
        Ok(Model {
            pulse: Pulse::take(&shelf.dir, &shelf.reader, &mut shelf.index).map_err(Problem::failed)?,
            news: News::of(catalog.as_deref(), &mut shelf.index, ask.now).map_err(Problem::failed)?,
            funnels: funnels(&mut shelf.incidents, &mut shelf.index, &asked, ask)?,
            novel,
            incidents: incidents
                .iter()
                .map(|incident| latest(incident, &books, catalog.as_deref()))
                .collect(),
        })
    }

    fn page(model: &Model, ask: &Ask) -> Page {
        Page::new("Home", body(model, ask)).of_ranges()
    }

    fn tables(model: &Model, _ask: &Ask) -> Vec<Table> {
        vec![funnel_table(model)]
    }
}

/// Whose funnel it is, in the words of the incidents and of the index; the time is each column's.
#[derive(Clone, Debug, Default)]
struct Funneled {
    incidents: Filter,
    visitors: index::Filter,
}

impl Funneled {
    /// Of those that the question asks for, however far they came.
    fn of(shelf: &Shelf, ask: &Ask) -> Result<Self, Problem> {
        let incidents = Filter { step: None, stage: None, ..incidents::of_family(shelf, ask)? };
        Ok(Self { incidents, visitors: index::Filter { step: None, ..asked::filter(shelf, ask)? } })
    }
}

/// Of the range that was asked for, else of all that have a length.
fn funnels(
    incidents: &mut Incidents,
    index: &mut Index,
    asked: &Funneled,
    ask: &Ask,
) -> Result<Vec<Funnel>, Problem> {
    let mut funnel = |range, span| {
        let visitors = index::Filter { span, ..asked.visitors.clone() };
        let exact = index.exact(&visitors).map_err(Problem::failed)?;
        let steps = incidents.funnel(&Filter { span, ..asked.incidents.clone() }).map_err(Problem::failed)?;
        let (connections, uploads) = (exact.connections, exact.uploads);
        Ok(Funnel { range, connections, uploads, incidents: steps.into() })
    };
    if has_own_time(ask) {
        let range = if ask.filter.range.is_empty() { "chosen" } else { ask.filter.range };
        return Ok(vec![funnel(range, asked::span(ask))?]);
    }
    // As `?range=` has it: what happens now is in it.
    let until = WallClock(ask.now.0.saturating_add(1));
    let last = |secs: u64| Span { since: WallClock(ask.now.0.saturating_sub(secs * 1_000_000)), until };
    let ranges = RANGES.iter().filter(|range| range.secs > 0);
    ranges.map(|range| funnel(range.name, last(range.secs))).collect()
}

fn has_own_time(ask: &Ask) -> bool {
    ask.filter.since.is_some() || ask.filter.until.is_some() || !ask.filter.range.is_empty()
}

/// Whether the funnel that is asked for is another than everybody's.
pub(crate) fn has_own_funnel(ask: &Ask) -> bool {
    ask.is_filtered() || has_own_time(ask)
}

/// The funnel as everybody's page shows it.
pub(crate) fn funnel_of_all(
    incidents: &mut Incidents,
    index: &mut Index,
    ask: &Ask,
) -> Result<Markup, Problem> {
    Ok(funnel(&funnels(incidents, index, &Funneled::default(), ask)?, ask))
}

/// The funnel as the page shows it to who filters.
pub(crate) fn funnel_of(shelf: &mut Shelf, ask: &Ask) -> Result<Markup, Problem> {
    let asked = Funneled::of(shelf, ask)?;
    Ok(funnel(&funnels(&mut shelf.incidents, &mut shelf.index, &asked, ask)?, ask))
}

/// The card of the sample to look at first, as the page shows it.
pub(crate) fn novel_of(catalog: &Catalog, now: WallClock) -> Markup {
    card(novel(catalog, now).as_ref())
}

fn novel(catalog: &Catalog, now: WallClock) -> Option<Novel> {
    catalog.novel(now).map(|(entry, which)| Novel {
        sha256: entry.sha256.to_string(),
        novelty: entry.novelty,
        sentence: entry.sentence.clone(),
        first_seen: entry.first_seen.clone(),
        captures: entry.captures,
        which,
    })
}

fn body(model: &Model, ask: &Ask) -> Markup {
    html! {
        @if has_own_funnel(ask) {
            p.notice {
                "The incidents and the funnel are filtered"
                @if ask.filter.stage.is_some() { ", the funnel by all but the stage" }
                "; what was new in 24 hours, the sample and the honeypot's state are of everybody."
            }
        }
        div.columns {
            div.lead {
                (headline(&model.news))
                (card(model.novel.as_ref()))
            }
            (health::pulse(&model.pulse, ask))
        }
        div.columns {
            // First, so that on a phone nobody has to pass the whole feed; its links stay where they are when that grows.
            div { (funnel(&model.funnels, ask)) (exports(ask, "funnel")) }
            section.live {
                h2 { "Incidents, as they happen" }
                ol #live data-live=(live(ask)) aria-live="polite" {
                    @for incident in &model.incidents { (row(incident)) }
                }
                @if model.incidents.is_empty() {
                    p.empty {
                        "Nobody came yet, or nobody who fits the filter. " a href="/health#doctor" { "The doctor" }
                        " says whether anybody can reach this machine."
                    }
                }
                p { a href=(ask.to("/incidents")) { "All incidents" } }
            }
        }
    }
}

/// The feed's address: of what the page shows.
fn live(ask: &Ask) -> String {
    ask.to("/live")
}

/// Was something new caught?
pub(crate) fn headline(news: &News) -> Markup {
    html! {
        section.headline #headline aria-label="New" {
            p.new {
                @if let Some(count) = news.new_cores {
                    a href="/groups?new=yes&order=first&range=24h" { strong { (text::number(count)) } " " (news.noun()) }
                    ", of "
                } @else {
                    "The samples are still being read; 24 hours brought "
                }
                (text::count(news.uploads, "captured upload"))
            }
            @if let Some(trouble) = news.trouble() { p.notice { (trouble) } }
        }
    }
}

fn card(novel: Option<&Novel>) -> Markup {
    // Where there is none yet, this is where the feed puts it.
    let Some(novel) = novel else { return html! { div #novel hidden {} } };
    html! {
        section.card #novel {
            h2 { (novel.which.replacen("the", "The", 1)) }
            p.sentence { (text::shown_to(&novel.sentence, 600)) }
            p {
                a href={ "/samples/" (novel.sha256) } { (text::hash(&novel.sha256)) }
                " · novelty " (novel.novelty) " of 100 · " (text::count(novel.captures, "capture")) " · first seen "
                (text::time_text(&novel.first_seen))
            }
        }
    }
}

/// What is said below the funnel, so that no number is taken for another's.
const COUNTED: &str =
    "Incidents, to the moment; a number leads to the list of them. The bars are logarithmic.";

/// How far incidents came: a row for each step, a column for each stretch of time.
fn funnel(funnels: &[Funnel], ask: &Ask) -> Markup {
    let columns: Vec<chart::FunnelColumn> = funnels
        .iter()
        .map(|funnel| chart::FunnelColumn {
            name: if funnel.range == "chosen" { "in the time chosen" } else { funnel.range },
            counts: funnel.incidents.counts().to_vec(),
            links: Step::ALL.map(|step| step_address(step, funnel.range, ask)).to_vec(),
            besides: vec![funnel.connections, funnel.uploads],
        })
        .collect();
    let names = Step::ALL.map(stage::told);
    chart::funnel("How far incidents came", &names, &BESIDES, &columns, COUNTED)
}

/// What is told below the steps, of other things than incidents.
const BESIDES: [&str; 2] = ["all connections", "captured uploads"];

/// What the chart shows, for spreadsheets.
fn funnel_table(model: &Model) -> Table {
    let columns = std::iter::once("Step").chain(model.funnels.iter().map(|funnel| funnel.range)).collect();
    let names = Step::ALL.map(stage::told).into_iter().chain(BESIDES);
    let all = |funnel: &Funnel| {
        let besides = [funnel.connections, funnel.uploads];
        funnel.incidents.counts().into_iter().chain(besides).collect::<Vec<u64>>()
    };
    let counts: Vec<Vec<u64>> = model.funnels.iter().map(all).collect();
    let row = |(at, name): (usize, &str)| {
        let numbers = counts.iter().filter_map(|counts| Some(Cell::Number(*counts.get(at)?)));
        std::iter::once(Cell::text(name)).chain(numbers).collect()
    };
    Table {
        name: "funnel",
        caption: "How far incidents came".to_owned(),
        columns,
        rows: names.enumerate().map(row).collect(),
        ..Table::default()
    }
}

/// Where the incidents that took a step in a stretch of time are listed.
fn step_address(step: Step, range: &str, ask: &Ask) -> String {
    let mut pairs = vec![("stage", step.as_str())];
    match range {
        "chosen" => {
            pairs.extend(["since", "until"].into_iter().filter_map(|name| Some((name, ask.value(name)?))))
        }
        range => pairs.push(("range", range)),
    }
    pairs.extend(["source", "family", "tool"].into_iter().filter_map(|name| Some((name, ask.value(name)?))));
    address("/incidents", pairs.into_iter())
}

fn latest(incident: &Incident, books: &Books, catalog: Option<&Catalog>) -> Latest {
    Latest {
        id: incident.id.to_string(),
        source: incident.source.to_string(),
        last: roridula_evidence::rfc3339(incident.last),
        outcome: incident.outcome.to_string(),
        place: books.place(incident.source),
        tool: incident.tool.label.clone(),
        connections: incident.connections,
        bytes: incident.samples.iter().map(|sample| sample.size).fold(0, u64::saturating_add),
        new: incident.samples.iter().any(|sample| sample.first_seen),
        summary: incident.summary.clone(),
        brought: brought::of(incident, catalog, BROUGHT),
    }
}

/// The row of an incident in the feed, and what its samples are, as far as that is news.
pub(crate) fn incident_row(incident: &Incident, books: &Books, catalog: &Catalog) -> (String, String) {
    let latest = latest(incident, books, Some(catalog));
    (row(&latest).into_string(), brought::news(&latest.brought))
}

fn row(incident: &Latest) -> Markup {
    let place = incident.place.told();
    html! {
        li id={ "incident-" (incident.id) } {
            p.facts {
                a class={ "badge " (incident.outcome) } href={ "/incidents/" (incident.id) } { (incident.outcome) }
                @if incident.new { " " strong.badge { "new" } }
                " " a href={ "/sources/" (incident.source) } { (incident.source) }
                @if !place.is_empty() { " " span.quiet { (text::shown(&place)) } }
                " · " (incident.tool.as_deref().map_or_else(|| "unknown tool".to_owned(), text::shown))
                @if incident.bytes > 0 { " · " (text::size(incident.bytes)) }
                " · " (text::time_text(&incident.last))
            }
            p.summary { (text::shown_to(&incident.summary, 300)) }
            (brought::lines(&incident.brought))
        }
    }
}
