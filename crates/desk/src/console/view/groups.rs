//! Cores over time: what is the same program in many wrappings, one row each.

use super::View;
use super::asked;
use super::samples::EVER;
use super::word::Word;
use crate::console::ask::{Ask, Problem};
use crate::console::chart;
use crate::console::page::Page;
use crate::console::shelf::Shelf;
use crate::console::table::{Cell, Table};
use crate::console::text;
use crate::index::{Caught, Filter, Span, Spread};
use crate::moment;
use crate::sample::{Catalog, Entry, Group};
use maud::html;
use roridula_evidence::{SampleId, rfc3339};
use roridula_proto::time::WallClock;
use schemars::JsonSchema;
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

/// Microseconds of a day.
pub(super) const DAY: u64 = 24 * 3600 * 1_000_000;
/// By what the groups may be ordered.
const ORDERS: &[&str] = &["novelty", "captures", "hosts", "samples", "first", "last"];
/// Columns of a strip: of more days, several are put together.
const STRIP_MAX: u64 = 60;

/// `/groups`
pub(crate) struct Groups;

/// What it shows.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Model {
    /// How many cores fit the filter.
    count: u64,
    /// The first day of the strips, UTC.
    since: String,
    /// Days of each of a strip's columns.
    days_each: u64,
    /// One page of the cores.
    groups: Vec<Row>,
    /// Where the next page begins; null after the last.
    next: Option<String>,
}

/// A core in a list.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct Row {
    /// SHA-256 of the core, hexadecimal.
    pub(super) core: String,
    /// What it is.
    pub(super) kind: String,
    /// Its size in bytes.
    pub(super) size: u64,
    /// Its family; empty where none is known.
    pub(super) family: String,
    /// The highest among its samples, from 0 to 100.
    pub(super) novelty: u8,
    /// Different samples.
    pub(super) samples: u64,
    /// Captures, of all time.
    pub(super) captures: u64,
    /// Addresses that brought it, of all time.
    pub(super) hosts: u64,
    /// Captures in the filter's time, to the moment, from visitors who fit its source and stage.
    pub(super) captures_then: u64,
    /// Addresses of those that brought it then.
    pub(super) hosts_then: u64,
    /// The first of these captures, UTC; empty where there is none.
    pub(super) first_then: String,
    /// The latest of them, UTC; empty where there is none.
    pub(super) last_then: String,
    /// First capture, UTC, of all time and everybody's.
    pub(super) first_seen: String,
    /// Latest capture, UTC.
    pub(super) last_seen: String,
    /// Cores that are alike.
    pub(super) near: Vec<Near>,
    /// Its first sample, in one sentence.
    pub(super) sentence: String,
    /// Captures for each of the strip's columns, in order.
    pub(super) strip: Vec<u64>,
}

/// A core that is alike.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct Near {
    /// SHA-256 of the core, hexadecimal.
    pub(super) core: String,
    /// TLSH distance; 0 where the sections are the same.
    pub(super) distance: u32,
    /// Its first sample: SHA-256, hexadecimal.
    pub(super) first: String,
}

impl View for Groups {
    type Model = Model;
    const PATH: &'static str = "/groups";
    const API: &'static str = "/groups";
    const ABOUT: &'static str = "Cores over time: what is one program in many wrappings.";
    const QUERY: &'static [Word] = &[
        Word::one(
            "order",
            "By novelty (the default), or by the most or the latest of another column.",
            ORDERS,
        ),
        Word::one(
            "new",
            "Only cores that came in the time for the first time, as uploads: what Home counts.",
            &["yes"],
        ),
    ];
    const GRAIN: &'static str = "Cores that were captured in the time, with captures and hosts to the moment; strips are by whole days, UTC; what is called “ever” is of all time.";

    fn load(shelf: &mut Shelf, ask: &Ask) -> Result<Model, Problem> {
        let from = asked::offset(ask)?;
        let limit = ask.limit()?;
        let mut wanted = wanted(shelf, ask)?;
        sort(&mut wanted, ask.value("order").unwrap_or("novelty"))?;
        let count = wanted.len() as u64;
        let (shown, next) = asked::page(wanted, from, limit);
        let days = Days::of(ask, &shown);
        let groups = rows(shelf, ask, &shown, &days)?;
        Ok(Model { count, since: rfc3339(days.span.since), days_each: days.each, groups, next })
    }

    fn page(model: &Model, ask: &Ask) -> Page {
        let body = html! {
            (asked::grain(ask, Self::GRAIN)) (asked::whose(ask))
            @if ask.value("new").is_some() {
                p { "Only cores that came in this time for the first time, as uploads: " a href=(ask.with("new", "")) { "all" } }
            }
            @for table in Self::tables(model, ask) { (table.html(ask)) }
        };
        Page::new("Groups", body)
    }

    fn tables(model: &Model, ask: &Ask) -> Vec<Table> {
        vec![table(model, ask)]
    }
}

/// A core, and what of it came that is asked for.
#[derive(Clone, Debug)]
pub(super) struct Came {
    pub(super) group: Group,
    pub(super) then: Caught,
}

impl Came {
    /// All of it.
    pub(super) fn ever(group: Group) -> Self {
        let time = |text: &str| moment::parse_time(text).unwrap_or_default();
        let (first, last) = (time(&group.first_seen), time(&group.last_seen));
        Self { then: Caught { captures: group.captures, hosts: group.sources, first, last }, group }
    }

    /// None of it.
    pub(super) fn none(group: Group) -> Self {
        let then = Caught { captures: 0, hosts: 0, first: WallClock(0), last: WallClock(0) };
        Self { group, then }
    }

    /// What the filter's visitors brought of each in its time, of those of which they brought any.
    pub(super) fn asked(shelf: &mut Shelf, ask: &Ask, groups: Vec<Group>) -> Result<Vec<Self>, Problem> {
        let Some(filter) = asked::captures(ask) else {
            return Ok(groups.into_iter().map(Self::ever).collect());
        };
        let sets = members(&*shelf.samples.catalog()?, groups.iter());
        let caught = shelf.index.caught(&sets, &filter).map_err(asked::problem)?;
        let came = |(group, then): (Group, Option<Caught>)| Some(Self { group, then: then? });
        Ok(groups.into_iter().zip(caught).filter_map(came).collect())
    }
}

/// The samples of each of these cores.
pub(super) fn members<'a>(catalog: &Catalog, groups: impl Iterator<Item = &'a Group>) -> Vec<Vec<SampleId>> {
    let mut members: HashMap<&str, Vec<SampleId>> = HashMap::new();
    for entry in catalog.entries.iter().filter(|entry| !entry.core.is_empty()) {
        members.entry(&entry.core).or_default().push(entry.sha256);
    }
    groups.map(|group| members.get(group.core.as_str()).cloned().unwrap_or_default()).collect()
}

/// The groups that fit the filter.
fn wanted(shelf: &mut Shelf, ask: &Ask) -> Result<Vec<Came>, Problem> {
    let catalog = shelf.samples.catalog()?;
    let of = |fits: &dyn Fn(&Entry) -> bool| -> HashSet<&str> {
        catalog.entries.iter().filter(|entry| fits(entry)).map(|entry| entry.core.as_str()).collect()
    };
    let mut sets: Vec<HashSet<&str>> = Vec::new();
    if let Some(tool) = &ask.filter.tool {
        sets.push(of(&|entry| asked::contains(&entry.tool, tool)));
    }
    match ask.value("new") {
        None => {}
        Some("yes") => {
            let span = asked::span(ask);
            sets.push(catalog.new_cores(span.since, span.until).map(|group| group.core.as_str()).collect());
        }
        Some(_) => return Err(Problem::Bad("`new` is yes, or not there".to_owned())),
    }
    let fits = |group: &&Group| {
        ask.filter.family.as_ref().is_none_or(|family| asked::contains(&group.family, family))
            && sets.iter().all(|set| set.contains(group.core.as_str()))
    };
    Came::asked(shelf, ask, catalog.groups.iter().filter(fits).cloned().collect())
}

/// They come in the order of their novelty.
fn sort(groups: &mut [Came], order: &str) -> Result<(), Problem> {
    match order {
        "novelty" => {}
        "captures" => groups.sort_by_key(|came| Reverse(came.then.captures)),
        "hosts" => groups.sort_by_key(|came| Reverse(came.then.hosts)),
        "samples" => groups.sort_by_key(|came| Reverse(came.group.samples)),
        "first" => groups.sort_by_key(|came| Reverse(came.then.first)),
        "last" => groups.sort_by_key(|came| Reverse(came.then.last)),
        _ => {
            return Err(Problem::Bad(format!("`order` is one of {}", ORDERS.join(", "))));
        }
    }
    Ok(())
}

/// The days of a strip.
#[derive(Clone, Copy, Debug)]
pub(super) struct Days {
    /// All of them.
    pub(super) span: Span,
    /// Days of each column.
    pub(super) each: u64,
    count: u64,
}

impl Days {
    /// Of the time that is asked for, and no more than that in which one of the groups came.
    pub(super) fn of(ask: &Ask, groups: &[Came]) -> Self {
        let first = groups.iter().map(|came| came.then.first).min().unwrap_or(ask.now);
        let last = groups.iter().map(|came| came.then.last).max().unwrap_or(ask.now);
        let asked = asked::span(ask);
        let since = asked.since.max(first).0 / DAY;
        let until = asked.until.min(WallClock(last.0.saturating_add(1))).0.div_ceil(DAY).max(since + 1);
        let each = (until - since).div_ceil(STRIP_MAX);
        let span = Span { since: WallClock(since * DAY), until: WallClock(until.saturating_mul(DAY)) };
        Self { span, each, count: (until - since).div_ceil(each) }
    }

    /// What came, put into columns.
    pub(super) fn strip(&self, spread: &Spread) -> Vec<u64> {
        let mut strip = vec![0; usize::try_from(self.count).unwrap_or(0)];
        for day in &spread.days {
            let at = day.begins.0.saturating_sub(self.span.since.0) / DAY / self.each;
            if let Some(column) = usize::try_from(at).ok().and_then(|at| strip.get_mut(at)) {
                *column += day.captures;
            }
        }
        strip
    }
}

/// The rows of groups.
pub(super) fn rows(shelf: &mut Shelf, ask: &Ask, groups: &[Came], days: &Days) -> Result<Vec<Row>, Problem> {
    let catalog = shelf.samples.catalog()?;
    let sets = members(&catalog, groups.iter().map(|came| &came.group));
    // Their visitors, day by day: which captures of theirs are complete, or new, is not kept so.
    let filter = Filter { span: days.span, ..asked::captures(ask).unwrap_or_default() };
    let spreads = shelf.index.spreads(&sets, &filter).map_err(asked::problem)?;
    let firsts: HashMap<&str, SampleId> =
        catalog.groups.iter().map(|group| (group.core.as_str(), group.first)).collect();
    let sentence = |id: SampleId| {
        let first = catalog.entries.iter().find(|entry| entry.sha256 == id);
        first.map_or_else(String::new, |entry| entry.sentence.clone())
    };
    let row =
        |(came, spread): (&Came, &Spread)| row(came, &firsts, sentence(came.group.first), days.strip(spread));
    Ok(groups.iter().zip(&spreads).map(row).collect())
}

fn row(came: &Came, firsts: &HashMap<&str, SampleId>, sentence: String, strip: Vec<u64>) -> Row {
    let Came { group, then } = came;
    let time = |at| if then.captures > 0 { rfc3339(at) } else { String::new() };
    let near = |(core, distance): &(String, u32)| {
        let first = firsts.get(core.as_str())?.to_string();
        Some(Near { core: core.clone(), distance: *distance, first })
    };
    Row {
        core: group.core.clone(),
        kind: group.kind.clone(),
        size: group.size,
        family: group.family.clone(),
        novelty: group.novelty,
        samples: group.samples,
        captures: group.captures,
        hosts: group.sources,
        captures_then: then.captures,
        hosts_then: then.hosts,
        first_then: time(then.first),
        last_then: time(then.last),
        first_seen: group.first_seen.clone(),
        last_seen: group.last_seen.clone(),
        near: group.near.iter().filter_map(near).collect(),
        sentence,
        strip,
    }
}

/// As a table. Where a part of what came is asked for, all of it is told as well.
fn table(model: &Model, ask: &Ask) -> Table {
    let is_part = asked::captures(ask).is_some();
    let most = model.groups.iter().flat_map(|row| row.strip.iter().copied()).max().unwrap_or(0);
    let since = model.since.get(..10).unwrap_or_default();
    let each =
        if model.days_each == 1 { "a day".to_owned() } else { format!("in {} days each", model.days_each) };
    let cells = |row: &Row| {
        let numbers: Vec<String> = row.strip.iter().map(u64::to_string).collect();
        let told = format!("captures {each} since {since}: {}", numbers.join(" "));
        let mut cells = vec![
            Cell::Number(u64::from(row.novelty)),
            Cell::sentence(&row.sentence),
            asked::core(&row.core),
            Cell::text(&row.family),
            Cell::Drawing(chart::strip(&row.strip, most, &told), numbers.join(" ")),
            Cell::Number(row.captures_then),
            Cell::Number(row.hosts_then),
            Cell::Number(row.samples),
            Cell::Number(row.size),
            asked::at(&row.first_then),
            asked::last(&row.last_then),
            near_cell(&row.near),
        ];
        if is_part {
            cells.extend([Cell::Number(row.captures), Cell::Number(row.hosts)]);
            cells.extend([asked::at(&row.first_seen), asked::last(&row.last_seen)]);
        }
        cells
    };
    let mut columns = vec![
        "Novelty",
        "What it is",
        "Core",
        "Family",
        "Over time",
        "Captures",
        "Hosts",
        "Samples",
        "Bytes",
        "First seen",
        "Last seen",
        "Nearest core",
    ];
    if is_part {
        columns.extend(EVER);
    }
    let empty = html! {
        p { "No core is known yet, or none that fits the filter." }
        p {
            "A core is the innermost stable layer of a sample: " code { "roridula triage --all" }
            " looks into what was caught, " a href="/samples" { "Samples" }
            " says whether anything was, and " code { "roridula doctor" } " what is in the way."
        }
    };
    Table {
        name: "groups",
        caption: format!(
            "{}; the strips are captures {each}, whole days UTC, since {since}",
            text::count(model.count, "core")
        ),
        columns,
        rows: model.groups.iter().map(cells).collect(),
        empty: Some(empty),
        next: model.next.clone(),
    }
}

/// The nearest core, and how many more are near.
fn near_cell(near: &[Near]) -> Cell {
    let Some(nearest) = near.first() else { return Cell::None };
    let more = near.len() as u64 - 1;
    let drawing = html! {
        a href={ "/groups/" (nearest.core) } { (text::hash(&nearest.core)) } " at " (nearest.distance)
        @if more > 0 { ", and " (text::number(more)) " more" }
    };
    let told: Vec<String> = near.iter().map(|one| format!("{} {}", one.core, one.distance)).collect();
    Cell::Drawing(drawing, told.join(" "))
}

#[cfg(test)]
mod tests {
    use super::super::asked::tests::ask;
    use super::*;
    use crate::index::SampleDay;

    fn group(core: &str, captures: u64, first: &str, last: &str) -> Came {
        Came::ever(Group {
            core: core.to_owned(),
            family: "<script>=1\u{202e}".to_owned(),
            kind: "pe".to_owned(),
            size: 1,
            samples: 1,
            captures,
            sources: 1,
            first_seen: first.to_owned(),
            last_seen: last.to_owned(),
            novelty: 7,
            near: vec![("ab".repeat(32), 3)],
            first: SampleId([1; 32]),
        })
    }

    fn spread(days: &[(u64, u64)]) -> Spread {
        let day =
            |&(at, captures): &(u64, u64)| SampleDay { begins: WallClock(at * DAY), captures, sources: 1 };
        Spread { captures: 0, sources: 1, days: days.iter().map(day).collect() }
    }

    #[test]
    fn a_strip_covers_the_time_in_which_something_came() {
        let group = group("aa", 1, "2025-11-20T10:00:00Z", "2025-11-22T10:00:00Z");
        let days = Days::of(&ask("/groups", &[]), std::slice::from_ref(&group));
        assert_eq!((days.each, days.count), (1, 3));
        let first = days.span.since.0 / DAY;
        assert_eq!(days.strip(&spread(&[(first, 2), (first + 2, 5), (first + 9, 1)])), [2, 0, 5]);
        let later = Days::of(&ask("/groups", &[("since", "2025-11-22")]), std::slice::from_ref(&group));
        assert_eq!((later.count, later.span.since.0 / DAY), (1, first + 2));
    }

    #[test]
    fn years_are_put_into_few_columns() {
        let group = group("aa", 1, "2015-01-01T10:00:00Z", "2025-11-22T10:00:00Z");
        let days = Days::of(&ask("/groups", &[]), std::slice::from_ref(&group));
        assert!(days.count <= STRIP_MAX && days.each * days.count * DAY >= days.span.len());
    }

    #[test]
    fn the_order_is_what_was_asked_for() {
        let mut groups = vec![
            group("a", 1, "2025-01-02T00:00:00Z", "2025-01-02T00:00:00Z"),
            group("b", 9, "2025-01-01T00:00:00Z", "2025-01-03T00:00:00Z"),
        ];
        for (order, first) in [("novelty", "a"), ("captures", "b"), ("first", "a"), ("last", "b")] {
            sort(&mut groups, order).unwrap();
            assert_eq!(groups[0].group.core, first, "{order}");
        }
        assert!(sort(&mut groups, "shoe size").is_err());
    }

    #[test]
    fn hostile_names_reach_neither_page_nor_spreadsheet() {
        let core = "ab".repeat(32);
        let firsts = HashMap::from([(core.as_str(), SampleId([2; 32]))]);
        let group = group("aa", 1, "", "");
        let row = row(&group, &firsts, String::new(), vec![0, 3]);
        let model = Model { count: 1, since: String::new(), days_each: 1, groups: vec![row], next: None };
        let ask = ask("/groups", &[]);
        let page = Groups::page(&model, &ask).html(&ask);
        assert!(page.contains("&lt;script&gt;=1\\u{202e}") && !page.contains("<script>"), "{page}");
        let csv = table(&model, &ask).csv();
        assert!(csv.contains("\"0 3\"") && !csv.contains('\u{202e}'), "{csv}");
    }
}
