//! Visitors, by host and not by packet: who is new, from where, how far they came, and who makes the noise.

use super::View;
use super::asked;
use super::word::Word;
use crate::console::ask::{Ask, Problem};
use crate::console::chart::{self, Apart, Column};
use crate::console::geo::{Books, Place};
use crate::console::page::Page;
use crate::console::shelf::Shelf;
use crate::console::stage;
use crate::console::table::{Cell, Table, exports};
use crate::console::text;
use crate::index::{self, Filter, Funnel, SourceOrder, SourceRow, Visitors};
use crate::moment;
use maud::{Markup, html};
use roridula_evidence::{SampleId, rfc3339};
use roridula_proto::time::WallClock;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// What stands apart in the chart.
const APART: &str = "one visitor with more than all others";
/// Columns of the chart.
const HOURS_MAX: usize = 4000;
/// Microseconds of an hour.
const HOUR: u64 = 3600 * 1_000_000;
/// Connections of one visitor in an hour from which on it may stand apart.
const SPIKE_MIN: u64 = 30;
/// What the chart shows where no time is asked for, in microseconds.
const CHART: u64 = 30 * 24 * 3600 * 1_000_000;
/// Characters that a core's name needs at least.
const CORE_MIN: usize = 4;

/// `/sources`
pub(crate) struct Sources;

/// What it shows.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Model {
    /// Visitors in the time of `hours`.
    visitors: Visitors,
    /// Whether a database of places is used.
    places: bool,
    /// Whether one is configured that cannot be used.
    places_broken: bool,
    /// Connections of all visitors over time; of the latest 30 days where no time is asked for.
    hours: Vec<Hour>,
    /// One page of the visitors.
    sources: Vec<Row>,
    /// Where the next page begins; null after the last.
    next: Option<String>,
}

/// An hour, or of more than 32 days a day.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
struct Hour {
    /// When it begins, UTC.
    begins: String,
    /// Connections, without those that stand apart.
    connections: u64,
    /// Single visitors that made more connections than all others together.
    spikes: Vec<Spike>,
}

/// A visitor that stands apart in an hour.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
struct Spike {
    /// The visitor.
    source: String,
    /// Its connections.
    connections: u64,
}

/// A visitor in a list.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Row {
    /// Its address.
    pub(super) source: String,
    /// Where that is.
    pub(super) place: Place,
    /// Its first visit ever, UTC.
    pub(super) first: String,
    /// When it was last heard of, UTC.
    pub(super) last: String,
    /// Whether its first visit lies in the time that is asked for.
    pub(super) new: bool,
    /// On how many days, UTC, it came.
    pub(super) days: u64,
    /// Connections in the time that is asked for, in whole hours.
    pub(super) connections: u64,
    /// Captured uploads in that time, no buffers.
    pub(super) uploads: u64,
    /// The furthest step that it ever took.
    pub(super) furthest: String,
}

impl View for Sources {
    type Model = Model;
    const PATH: &'static str = "/sources";
    const API: &'static str = "/sources";
    const ABOUT: &'static str = "Visitors by host: new and returning, where they are, how far they came.";
    const QUERY: &'static [Word] = &[
        Word::one(
            "order",
            "By last (the default), first, connections or uploads, from the most to the least; captures is an old name of uploads.",
            &["last", "first", "connections", "uploads", "captures"],
        ),
        Word::one(
            "new",
            "yes: only those whose first visit lies in the time; no: only the others.",
            &["yes", "no"],
        ),
        Word::text("core", "Only those who brought a sample whose core begins like this."),
    ];
    const GRAIN: &'static str = asked::BY_HOURS;

    fn load(shelf: &mut Shelf, ask: &Ask) -> Result<Model, Problem> {
        let (order, new) = (order(ask)?, new(ask)?);
        let filter = Filter { brought: brought(shelf, ask)?, ..asked::filter(shelf, ask)? };
        let books = shelf.geo.books();
        let page = shelf.index.sources(&filter, new, order, ask.cursor(), ask.limit()?);
        let page = page.map_err(asked::problem)?;
        let time = asked::span_or_last(ask, CHART);
        let in_time = Filter { span: time, ..filter };
        let funnel = shelf.index.funnel(&in_time).map_err(asked::problem)?;
        let spikes = shelf.index.spikes(&in_time, SPIKE_MIN).map_err(asked::problem)?;
        Ok(Model {
            visitors: shelf.index.visitors(&in_time).map_err(asked::problem)?,
            places: books.is_usable(),
            places_broken: shelf.geo.is_configured() && !books.is_usable(),
            hours: hours(&funnel, &spikes),
            sources: page.rows.iter().map(|found| row(found, &books)).collect(),
            next: page.next,
        })
    }

    fn page(model: &Model, ask: &Ask) -> Page {
        Page::new("Sources", body(model, ask)).of_ranges()
    }

    fn tables(model: &Model, ask: &Ask) -> Vec<Table> {
        vec![table(model, ask), hours_table(model)]
    }
}

fn order(ask: &Ask) -> Result<SourceOrder, Problem> {
    match ask.value("order") {
        None | Some("last") => Ok(SourceOrder::Last),
        Some("first") => Ok(SourceOrder::First),
        Some("connections") => Ok(SourceOrder::Connections),
        Some("uploads" | "captures") => Ok(SourceOrder::Uploads),
        Some(_) => Err(Problem::Bad("`order` is one of last, first, connections, uploads".to_owned())),
    }
}

fn new(ask: &Ask) -> Result<Option<bool>, Problem> {
    match ask.value("new") {
        None => Ok(None),
        Some("yes") => Ok(Some(true)),
        Some("no") => Ok(Some(false)),
        Some(_) => Err(Problem::Bad("`new` is yes or no".to_owned())),
    }
}

/// The samples that a visitor must have brought one of; `None` where nothing is asked of that kind.
fn brought(shelf: &Shelf, ask: &Ask) -> Result<Option<Vec<SampleId>>, Problem> {
    let Some(core) = ask.value("core") else { return asked::of_family(shelf, ask) };
    if core.len() < CORE_MIN {
        return Err(Problem::Bad(format!("`core` needs at least {CORE_MIN} digits")));
    }
    let core = core.to_ascii_lowercase();
    let family = ask.filter.family.as_deref().unwrap_or_default();
    let catalog = shelf.samples.catalog()?;
    let entries = catalog.entries.iter();
    let fits =
        entries.filter(|entry| entry.core.starts_with(&core) && asked::contains(&entry.family, family));
    Ok(Some(fits.map(|entry| entry.sha256).collect()))
}

/// The hours (of more than 32 days, the days) in which somebody came and those between, what stands apart
/// taken out.
fn hours(funnel: &Funnel, spikes: &[index::Spike]) -> Vec<Hour> {
    let width = funnel.width.max(HOUR);
    let mut hours: BTreeMap<u64, Hour> = BTreeMap::new();
    let ends = [funnel.buckets.first(), funnel.buckets.last()];
    if let [Some(first), Some(last)] = ends.map(|bucket| bucket.map(|bucket| bucket.begins.0 / width)) {
        let hour = |at: u64| {
            let begins = rfc3339(WallClock(at * width));
            (at, Hour { begins, connections: 0, spikes: Vec::new() })
        };
        hours.extend((first..=last).take(HOURS_MAX).map(hour));
    }
    for bucket in &funnel.buckets {
        if let Some(hour) = hours.get_mut(&(bucket.begins.0 / width)) {
            hour.connections += bucket.counts.connections;
        }
    }
    for spike in spikes {
        let Some(hour) = hours.get_mut(&(spike.begins.0 / width)) else { continue };
        hour.connections = hour.connections.saturating_sub(spike.connections);
        let source = spike.source.to_string();
        match hour.spikes.iter_mut().find(|known| known.source == source) {
            Some(known) => known.connections += spike.connections,
            None => hour.spikes.push(Spike { source, connections: spike.connections }),
        }
    }
    hours.into_values().collect()
}

/// A visitor as a row.
pub(super) fn row(found: &SourceRow, books: &Books) -> Row {
    Row {
        source: found.source.to_string(),
        place: books.place(found.source),
        first: rfc3339(found.first),
        last: rfc3339(found.last),
        new: found.new,
        days: found.days,
        connections: found.counts.connections,
        uploads: found.counts.uploads,
        furthest: found.furthest.as_str().to_owned(),
    }
}

/// Whether a time is asked for, be it all.
fn has_time(ask: &Ask) -> bool {
    !ask.filter.range.is_empty() || ask.filter.since.is_some() || ask.filter.until.is_some()
}

fn body(model: &Model, ask: &Ask) -> Markup {
    let columns: Vec<Column> = model.hours.iter().map(|hour| column(hour, ask)).collect();
    let is_told = has_time(ask);
    let when = if is_told { "in this time" } else { "in the last 30 days" };
    let by = ask.value("order").map_or("last", |by| if by == "captures" { "uploads" } else { by });
    html! {
        (asked::hours(ask))
        section.headline aria-label="New and returning" {
            p {
                strong { (text::number(model.visitors.new)) } " new and "
                strong { (text::number(model.visitors.returning)) } " returning visitor" @if model.visitors.returning != 1 { "s" } " " (when) ": "
                a href=(ask.with("new", "yes")) { "only the new" } " · "
                a href=(ask.with("new", "no")) { "only the returning" }
                @if ask.value("new").is_some() { " · " a href=(ask.with("new", "")) { "all" } }
            }
        }
        (chart::columns("Connections of all visitors over time", "connections", APART, &columns))
        (exports(ask, "hours"))
        nav.ranges aria-label="Order" {
            @for order in ["last", "first", "connections", "uploads"] {
                a href=(ask.with("order", order)) aria-current=[(by == order).then_some("true")] { "by " (order) }
            }
        }
        @if !is_told {
            p.quiet { "No time is chosen: the numbers and the chart above are of the last 30 days, the table is of all time." }
        }
        (table(model, ask).html(ask))
        @if model.places_broken {
            p.notice { "The database of places cannot be used: " a href="/health" { "Health" } " says why." }
        } @else if !model.places {
            p.quiet {
                "No database of places is configured: " code { "[console] geo" }
                " names one in the MaxMind format, or a directory of them."
            }
        }
    }
}

fn column(hour: &Hour, ask: &Ask) -> Column {
    let apart = |spike: &Spike| Apart {
        label: spike.source.clone(),
        value: spike.connections,
        href: ask.to(&format!("/sources/{}", spike.source)),
    };
    Column {
        begins: moment::parse_time(&hour.begins).unwrap_or_default(),
        value: hour.connections,
        apart: hour.spikes.iter().map(apart).collect(),
    }
}

/// Visitors as a table.
fn table(model: &Model, ask: &Ask) -> Table {
    let cells = |row: &Row| {
        let place = &row.place;
        let system = if place.asn > 0 { format!("AS{}", place.asn) } else { String::new() };
        let places = [place.country.clone(), system, place.organisation.clone()].map(Cell::Text);
        let mut cells = vec![Cell::Link(row.source.clone(), format!("/sources/{}", row.source))];
        cells.extend(places.into_iter().filter(|_| model.places));
        cells.extend([
            Cell::text(if row.new { "new" } else { "returning" }),
            asked::at(&row.first),
            asked::last(&row.last),
            Cell::Number(row.days),
            Cell::Number(row.connections),
            Cell::Number(row.uploads),
            Cell::text(stage::told_word(&row.furthest)),
        ]);
        cells
    };
    let mut columns = vec!["Source"];
    columns.extend(["Country", "AS", "Organisation"].into_iter().filter(|_| model.places));
    columns.extend([
        "New",
        "First visit",
        "Last heard of",
        "Days",
        "Connections",
        "Captured uploads",
        "Furthest",
    ]);
    let empty = html! {
        p { "Nobody came, or nobody who fits the filter." }
        p {
            a href="/sources" { "All visitors" } " · " code { "roridula doctor" }
            " says whether anybody can reach this machine; " a href="/health" { "Health" } " shows who was turned away."
        }
    };
    Table {
        name: "sources",
        caption: if has_time(ask) { "Visitors" } else { "Visitors of all time" }.to_owned(),
        columns,
        rows: model.sources.iter().map(cells).collect(),
        empty: Some(empty),
        next: model.next.clone(),
    }
}

/// What the chart shows, for spreadsheets.
fn hours_table(model: &Model) -> Table {
    let cells = |hour: &Hour| {
        let spikes: Vec<String> =
            hour.spikes.iter().map(|spike| format!("{} {}", spike.source, spike.connections)).collect();
        vec![asked::at(&hour.begins), Cell::Number(hour.connections), Cell::text(spikes.join("; "))]
    };
    Table {
        name: "hours",
        caption: "Connections over time".to_owned(),
        columns: vec!["From", "Connections", "Apart"],
        rows: model.hours.iter().map(cells).collect(),
        empty: None,
        next: None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::asked::tests::ask;
    use super::*;
    use crate::index::{Bucket, Counts};

    fn bucket(hour: u64, connections: u64) -> Bucket {
        let counts = Counts { connections, ..Counts::default() };
        Bucket { begins: WallClock(hour * HOUR), counts }
    }

    fn spike(hour: u64, connections: u64) -> index::Spike {
        let source = std::net::IpAddr::from([192, 0, 2, 7]);
        index::Spike { begins: WallClock(hour * HOUR), source, connections }
    }

    fn told(width: u64, buckets: Vec<Bucket>, spikes: &[index::Spike]) -> Vec<(u64, Vec<u64>)> {
        let funnel = Funnel { total: Counts::default(), width, buckets };
        let all = |hour: &Hour| hour.spikes.iter().map(|spike| spike.connections).collect();
        hours(&funnel, spikes).iter().map(|hour| (hour.connections, all(hour))).collect()
    }

    #[test]
    fn what_stands_apart_is_taken_out_and_gaps_are_hours_too() {
        let hours = told(HOUR, vec![bucket(5, 514), bucket(7, 3)], &[spike(5, 500)]);
        assert_eq!(hours, [(14, vec![500]), (0, vec![]), (3, vec![])]);
        let days = told(24 * HOUR, vec![bucket(24, 1000)], &[spike(25, 500), spike(30, 40)]);
        assert_eq!(days, [(460, vec![540])], "one visitor is one mark a day");
        let minutes = told(HOUR / 60, vec![bucket(5, 1), bucket(5, 2)], &[]);
        assert_eq!(minutes, [(3, vec![])]);
        assert!(told(HOUR, Vec::new(), &[]).is_empty());
        assert_eq!(told(HOUR, vec![bucket(0, 1), bucket(u64::MAX / HOUR, 1)], &[]).len(), HOURS_MAX);
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        for wrong in [("order", "size"), ("new", "perhaps")] {
            let ask = ask("/sources", &[wrong]);
            assert!(matches!(order(&ask).and(new(&ask)), Err(Problem::Bad(_))), "{wrong:?}");
        }
    }

    #[test]
    fn an_empty_list_says_what_to_do_and_places_are_text() {
        let mut model = Model {
            visitors: Visitors { new: 0, returning: 0 },
            places: true,
            places_broken: false,
            hours: Vec::new(),
            sources: Vec::new(),
            next: None,
        };
        let ask = ask("/sources", &[("range", "24h")]);
        assert!(Sources::page(&model, &ask).html(&ask).contains("roridula doctor"));
        model.sources.push(Row {
            source: "192.0.2.1".to_owned(),
            place: Place { country: "<b>".to_owned(), asn: 1, organisation: "=cmd\u{202e}".to_owned() },
            first: String::new(),
            last: String::new(),
            new: true,
            days: 1,
            connections: 1,
            uploads: 1,
            furthest: "new".to_owned(),
        });
        let page = Sources::page(&model, &ask).html(&ask);
        assert!(
            page.contains("&lt;b&gt;") && page.contains("=cmd\\u{202e}") && page.contains("AS1"),
            "{page}"
        );
        assert!(table(&model, &ask).csv().contains("\"'=cmd\\u{202e}\""));
    }
}
