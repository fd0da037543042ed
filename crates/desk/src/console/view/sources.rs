//! Visitors, by host and not by packet: who is new, from where, how far they came, and who makes the noise.

use super::View;
use super::asked;
use crate::console::ask::{Ask, Problem};
use crate::console::chart::{self, Apart, Column};
use crate::console::geo::{Books, Place};
use crate::console::page::Page;
use crate::console::shelf::Shelf;
use crate::console::table::{Cell, Table};
use crate::console::text;
use crate::index::{Activity, Filter, SourceOrder, SourceRow};
use maud::{Markup, html};
use roridula_evidence::{SampleId, rfc3339};
use schemars::JsonSchema;
use serde::Serialize;

/// Visitors that are looked at one by one for what stands apart.
const LARGEST: usize = 12;
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
    /// Visitors in the time of `hours` whose first visit lies in it.
    new: u64,
    /// Visitors in the time of `hours` who had been here before it.
    returning: u64,
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
    /// Visitors.
    sources: u64,
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
    /// Captures of uploads in that time.
    pub(super) captures: u64,
    /// The furthest step that it ever took.
    pub(super) furthest: String,
}

impl View for Sources {
    type Model = Model;
    const PATH: &'static str = "/sources";
    const API: &'static str = "/sources";
    const ABOUT: &'static str = "Visitors by host: new and returning, where they are, how far they came.";
    const QUERY: &'static [(&'static str, &'static str)] = &[
        ("order", "By last (the default), first, connections or captures."),
        ("new", "yes: only those whose first visit lies in the time; no: only the others."),
        ("core", "Only those who brought a sample whose core begins like this."),
    ];

    fn load(shelf: &mut Shelf, ask: &Ask) -> Result<Model, Problem> {
        let (order, new) = (order(ask)?, new(ask)?);
        let filter = Filter { samples: samples(shelf, ask)?.unwrap_or_default(), ..asked::filter(ask) };
        let nobody =
            filter.samples.is_empty() && (ask.filter.family.is_some() || ask.value("core").is_some());
        let books = shelf.geo.books();
        let page = match nobody {
            true => None,
            false => {
                let found = shelf.index.sources(&filter, new, order, ask.cursor(), ask.limit()?);
                Some(found.map_err(asked::problem)?)
            }
        };
        let activity =
            shelf.index.activity(asked::span_or_last(ask, CHART), LARGEST).map_err(asked::problem)?;
        let (rows, next) = page.map_or((Vec::new(), None), |page| (page.rows, page.next));
        Ok(Model {
            new: activity.new,
            returning: activity.returning,
            places: books.is_usable(),
            places_broken: shelf.geo.is_configured() && !books.is_usable(),
            hours: hours(&activity),
            sources: rows.iter().map(|found| row(found, &books)).collect(),
            next,
        })
    }

    fn page(model: &Model, ask: &Ask) -> Page {
        Page::new("Sources", body(model, ask))
    }

    fn tables(model: &Model, _ask: &Ask) -> Vec<Table> {
        vec![table(model), hours_table(model)]
    }
}

fn order(ask: &Ask) -> Result<SourceOrder, Problem> {
    match ask.value("order") {
        None | Some("last") => Ok(SourceOrder::Last),
        Some("first") => Ok(SourceOrder::First),
        Some("connections") => Ok(SourceOrder::Connections),
        Some("captures") => Ok(SourceOrder::Captures),
        Some(_) => Err(Problem::Bad("`order` is one of last, first, connections, captures".to_owned())),
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
fn samples(shelf: &Shelf, ask: &Ask) -> Result<Option<Vec<SampleId>>, Problem> {
    let Some(core) = ask.value("core") else { return Ok(asked::of_family(shelf, ask)) };
    if core.len() < CORE_MIN {
        return Err(Problem::Bad(format!("`core` needs at least {CORE_MIN} digits")));
    }
    let core = core.to_ascii_lowercase();
    let family = ask.filter.family.as_deref().unwrap_or_default();
    let entries = shelf.catalog.entries.iter();
    let fits =
        entries.filter(|entry| entry.core.starts_with(&core) && asked::contains(&entry.family, family));
    Ok(Some(fits.map(|entry| entry.sha256).collect()))
}

/// The index's answer as hours: a visitor stands apart in an hour in which it made more connections than all others.
fn hours(activity: &Activity) -> Vec<Hour> {
    let hour = |(at, begins): (usize, &roridula_proto::time::WallClock)| {
        let rest = activity.rest.get(at).copied().unwrap_or(0);
        let own = activity.largest.iter().map(|one| (one, one.connections.get(at).copied().unwrap_or(0)));
        let all: u64 = rest + own.clone().map(|(_, connections)| connections).sum::<u64>();
        let is_apart = |connections: u64| connections >= SPIKE_MIN && connections > all - connections;
        let spikes: Vec<Spike> = own
            .filter(|(_, connections)| is_apart(*connections))
            .map(|(one, connections)| Spike { source: one.source.to_string(), connections })
            .collect();
        Hour {
            begins: rfc3339(*begins),
            connections: all - spikes.iter().map(|spike| spike.connections).sum::<u64>(),
            sources: activity.sources.get(at).copied().unwrap_or(0),
            spikes,
        }
    };
    activity.begins.iter().enumerate().map(hour).collect()
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
        captures: found.counts.captures,
        furthest: found.furthest.as_str().to_owned(),
    }
}

fn body(model: &Model, ask: &Ask) -> Markup {
    let columns: Vec<Column> = model.hours.iter().map(|hour| column(hour, ask)).collect();
    let when =
        if ask.filter.since.is_none() && ask.filter.until.is_none() { "in the last 30 days" } else { "then" };
    html! {
        (asked::ignored(ask, &[]))
        section.headline aria-label="New and returning" {
            p {
                strong { (text::number(model.new)) } " new and " strong { (text::number(model.returning)) }
                " returning visitors " (when) ": "
                a href=(ask.with("new", "yes")) { "only the new" } " · " a href=(ask.with("new", "no")) { "only the returning" }
                @if ask.value("new").is_some() { " · " a href=(ask.with("new", "")) { "all" } }
            }
        }
        (chart::columns("Connections of all visitors over time", "connections", "one visitor with more than all others", &columns))
        nav.ranges aria-label="Order" {
            @for order in ["last", "first", "connections", "captures"] {
                a href=(ask.with("order", order)) aria-current=[(ask.value("order").unwrap_or("last") == order).then_some("true")] { "by " (order) }
            }
        }
        (table(model).html(ask))
        @if model.places_broken {
            p.notice { "The database of places cannot be used: " a href="/health" { "Health" } " says why." }
        } @else if !model.places {
            p.quiet { "No database of places is configured: " code { "[console] geo" } " names one in the MaxMind format, or a directory of them." }
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
        begins: text::parse_time(&hour.begins).unwrap_or_default(),
        value: hour.connections,
        apart: hour.spikes.iter().map(apart).collect(),
    }
}

/// Visitors as a table.
fn table(model: &Model) -> Table {
    let cells = |row: &Row| {
        let system = if row.place.asn > 0 { format!("AS{}", row.place.asn) } else { String::new() };
        vec![
            Cell::Link(row.source.clone(), format!("/sources/{}", row.source)),
            Cell::text(&row.place.country),
            Cell::text(system),
            Cell::text(&row.place.organisation),
            Cell::text(if row.new { "new" } else { "returning" }),
            asked::at(&row.first),
            asked::at(&row.last),
            Cell::Number(row.days),
            Cell::Number(row.connections),
            Cell::Number(row.captures),
            Cell::text(&row.furthest),
        ]
    };
    let empty = html! {
        p { "Nobody came, or nobody who fits the filter." }
        p {
            a href="/sources" { "All visitors" } " · " code { "roridula doctor" } " says whether anybody can reach this machine; "
            a href="/health" { "Health" } " shows who was turned away."
        }
    };
    Table {
        name: "sources",
        caption: "Visitors".to_owned(),
        columns: vec![
            "Source",
            "Country",
            "AS",
            "Organisation",
            "New",
            "First visit",
            "Last heard of",
            "Days",
            "Connections",
            "Captures",
            "Furthest",
        ],
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
        vec![
            asked::at(&hour.begins),
            Cell::Number(hour.connections),
            Cell::Number(hour.sources),
            Cell::text(spikes.join("; ")),
        ]
    };
    Table {
        name: "hours",
        caption: "Connections over time".to_owned(),
        columns: vec!["From", "Connections", "Visitors", "Apart"],
        rows: model.hours.iter().map(cells).collect(),
        empty: None,
        next: None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::asked::tests::ask;
    use super::*;
    use crate::index::SourceActivity;
    use roridula_proto::time::WallClock;

    fn activity(rest: &[u64], largest: &[&[u64]]) -> Activity {
        let one = |(at, connections): (usize, &&[u64])| SourceActivity {
            source: std::net::IpAddr::from([192, 0, 2, at as u8]),
            total: connections.iter().sum(),
            connections: connections.to_vec(),
        };
        Activity {
            width: 1,
            begins: (0..rest.len() as u64).map(|at| WallClock(at * 3_600_000_000)).collect(),
            rest: rest.to_vec(),
            sources: vec![3; rest.len()],
            largest: largest.iter().enumerate().map(one).collect(),
            new: 2,
            returning: 1,
        }
    }

    #[test]
    fn one_visitor_with_more_than_all_others_stands_apart() {
        let hours = hours(&activity(&[10, 100, 0, 5], &[&[500, 50, 29, 20], &[4, 49, 0, 20]]));
        let told: Vec<(u64, usize)> =
            hours.iter().map(|hour| (hour.connections, hour.spikes.len())).collect();
        // 500 of 514; neither of 199; 29 are too few; 20 of 45.
        assert_eq!(told, [(14, 1), (199, 0), (29, 0), (45, 0)]);
        assert_eq!(hours[0].spikes, [Spike { source: "192.0.2.0".to_owned(), connections: 500 }]);
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
            new: 0,
            returning: 0,
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
            captures: 1,
            furthest: "new".to_owned(),
        });
        let page = Sources::page(&model, &ask).html(&ask);
        assert!(
            page.contains("&lt;b&gt;") && page.contains("=cmd\\u{202e}") && page.contains("AS1"),
            "{page}"
        );
        assert!(table(&model).csv().contains("\"'=cmd\\u{202e}\""));
    }
}
