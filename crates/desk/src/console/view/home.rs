//! Ten seconds: is it well, and was something new caught?

use super::View;
use super::asked;
use super::{health, incidents};
use crate::console::ask::{Ask, FILTERS, Problem, RANGES, address};
use crate::console::chart;
use crate::console::geo::{Books, Place};
use crate::console::page::Page;
use crate::console::shelf::Shelf;
use crate::console::table::{Cell, Table, exports};
use crate::console::text;
use crate::incident::{Filter, Incident};
use crate::index::{self, Counts, Index, Span, Step};
use crate::pulse::{News, Pulse};
use crate::sample::Catalog;
use maud::{Markup, html};
use roridula_proto::time::WallClock;
use schemars::JsonSchema;
use serde::Serialize;

/// Incidents that are shown at first; the feed adds to them.
const LATEST: usize = 12;

/// `/`
pub(crate) struct Home;

/// What it shows.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Model {
    /// How the honeypot is.
    pulse: Pulse,
    #[serde(flatten)]
    news: News,
    /// How far connections came, for the last hour, day, week and month, or the one range that was asked for.
    funnels: Vec<Funnel>,
    /// The sample to look at first; null where nothing was uploaded, or as long as `new_cores` is.
    novel: Option<Novel>,
    /// The latest incidents.
    incidents: Vec<Latest>,
}

/// How far the connections of a stretch of time came.
#[derive(Debug, Serialize, JsonSchema)]
struct Funnel {
    /// Its name: `1h`, `24h`, `7d`, `30d`, `all`, or `chosen`.
    range: &'static str,
    /// What was counted.
    counts: Counts,
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
}

impl View for Home {
    type Model = Model;
    const PATH: &'static str = "/";
    const API: &'static str = "/home";
    const ABOUT: &'static str = "Is the honeypot well, and was something new caught?";
    const HEEDS: &'static [&'static str] = &FILTERS;

    fn load(shelf: &mut Shelf, ask: &Ask) -> Result<Model, Problem> {
        let catalog = shelf.samples.catalog.clone();
        let novel = catalog.as_ref().and_then(|catalog| novel(catalog, ask.now));
        let visitors = asked::filter(shelf, ask)?;
        let filter = Filter { limit: Some(LATEST), ..incidents::of_family(shelf, ask)? };
        let incidents = shelf.incidents.list(&filter).map_err(Problem::failed)?;
        let books = shelf.geo.books();
        Ok(Model {
            pulse: Pulse::take(&shelf.dir, &shelf.reader, &mut shelf.index).map_err(Problem::failed)?,
            news: News::of(catalog.as_deref(), &mut shelf.index, ask.now).map_err(Problem::failed)?,
            funnels: funnels(&mut shelf.index, &visitors, ask)?,
            novel,
            incidents: incidents.iter().map(|incident| latest(incident, &books)).collect(),
        })
    }

    fn page(model: &Model, ask: &Ask) -> Page {
        Page::new("Home", body(model, ask)).of_ranges()
    }

    fn tables(model: &Model, _ask: &Ask) -> Vec<Table> {
        vec![funnel_table(model)]
    }
}

/// Of the range that was asked for, else of all that have a length.
fn funnels(index: &mut Index, filter: &index::Filter, ask: &Ask) -> Result<Vec<Funnel>, Problem> {
    let mut funnel = |range, span| {
        let filter = index::Filter { span, ..filter.clone() };
        let counts = index.funnel(&filter).map_err(Problem::failed)?.total;
        Ok(Funnel { range, counts })
    };
    if has_own_time(ask) {
        let range = if ask.filter.range.is_empty() { "chosen" } else { ask.filter.range };
        return Ok(vec![funnel(range, ask.filter.span())?]);
    }
    let ranges = RANGES.iter().filter(|range| range.secs > 0);
    ranges.map(|range| funnel(range.name, Span::last(range.secs * 1_000_000, ask.now))).collect()
}

fn has_own_time(ask: &Ask) -> bool {
    ask.filter.since.is_some() || ask.filter.until.is_some() || !ask.filter.range.is_empty()
}

/// Whether the funnel that is asked for is another than everybody's.
pub(crate) fn has_own_funnel(ask: &Ask) -> bool {
    ask.is_filtered() || has_own_time(ask)
}

/// The funnel as everybody's page shows it.
pub(crate) fn funnel_of_all(index: &mut Index, ask: &Ask) -> Result<Markup, Problem> {
    Ok(funnel(&funnels(index, &index::Filter::default(), ask)?, ask))
}

/// The funnel as the page shows it to who filters.
pub(crate) fn funnel_of(shelf: &mut Shelf, ask: &Ask) -> Result<Markup, Problem> {
    let filter = asked::filter(shelf, ask)?;
    Ok(funnel(&funnels(&mut shelf.index, &filter, ask)?, ask))
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
    let unheard = asked::unheard(ask, &[]);
    html! {
        @if has_own_funnel(ask) {
            p.notice {
                "The incidents and the funnel are filtered"
                @if ask.is_filtered() { ", the funnel by whole hours" }
                @if !unheard.is_empty() { " and not by " (unheard) }
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
            // The links stay below it when the feed puts a new one in its place.
            div { (funnel(&model.funnels, ask)) (exports(ask, "funnel")) }
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
                (text::count(news.captures, "captured upload"))
            }
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

/// The steps of a funnel: what people call each, its word in an address, and its count.
fn steps(counts: &Counts) -> [(&'static str, Step, u64); 8] {
    [
        ("connected", Step::Connect, counts.connections),
        ("negotiated", Step::Negotiate, counts.negotiates),
        ("MS17-010 checked", Step::Probe, counts.probes),
        ("exploited", Step::Exploit, counts.exploits),
        ("implant pinged", Step::Ping, counts.pings),
        ("upload begun", Step::Upload, counts.uploads),
        ("upload complete", Step::Complete, counts.completes),
        ("new sample", Step::New, counts.new_samples),
    ]
}

/// How far connections came: a row for each step, a column for each stretch of time.
fn funnel(funnels: &[Funnel], ask: &Ask) -> Markup {
    let columns: Vec<chart::FunnelColumn> = funnels
        .iter()
        .map(|funnel| chart::FunnelColumn {
            name: if funnel.range == "chosen" { "in the time chosen" } else { funnel.range },
            counts: steps(&funnel.counts).map(|(_, _, count)| count).to_vec(),
            links: steps(&funnel.counts).map(|(_, step, _)| step_address(step, funnel.range, ask)).to_vec(),
        })
        .collect();
    let names = steps(&Counts::default()).map(|(name, ..)| name);
    chart::funnel("How far connections came", &names, &columns)
}

/// What the chart shows, for spreadsheets.
fn funnel_table(model: &Model) -> Table {
    let columns = std::iter::once("Step").chain(model.funnels.iter().map(|funnel| funnel.range)).collect();
    let counts: Vec<_> = model.funnels.iter().map(|funnel| steps(&funnel.counts)).collect();
    let row = |(at, (name, ..)): (usize, (&str, Step, u64))| {
        let numbers = counts.iter().filter_map(|counts| Some(Cell::Number(counts.get(at)?.2)));
        std::iter::once(Cell::text(name)).chain(numbers).collect()
    };
    let rows = steps(&Counts::default()).into_iter().enumerate().map(row).collect();
    Table {
        name: "funnel",
        caption: "How far connections came".to_owned(),
        columns,
        rows,
        ..Table::default()
    }
}

/// Where what took a step in a stretch of time is listed.
fn step_address(step: Step, range: &str, ask: &Ask) -> String {
    let path = if step == Step::New { "/samples" } else { "/incidents" };
    let mut pairs = vec![("stage", step.as_str())];
    match range {
        "chosen" => {
            pairs.extend(["since", "until"].into_iter().filter_map(|name| Some((name, ask.value(name)?))))
        }
        range => pairs.push(("range", range)),
    }
    pairs.extend(["source", "family", "tool"].into_iter().filter_map(|name| Some((name, ask.value(name)?))));
    address(path, pairs.into_iter())
}

fn latest(incident: &Incident, books: &Books) -> Latest {
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
    }
}

/// The row of an incident in the feed.
pub(crate) fn incident_row(incident: &Incident, books: &Books) -> Markup {
    row(&latest(incident, books))
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
        }
    }
}
