//! Reads what a report tells.

use super::period::{FILTERS, Period};
use super::{Core, Family, Model, Novel, Shape, Tool, Total, sensor};
use crate::console::ask::{Ask, Problem};
use crate::console::shelf::Shelf;
use crate::console::view::groups::members;
use crate::console::view::{asked, incidents, sources};
use crate::incident;
use crate::index::{Caught, Counts, Exact, Filter, Shapes, Span, Visitors};
use crate::moment;
use crate::sample::{Catalog, Entry, Group};
use roridula_evidence::{SampleId, rfc3339};
use std::collections::HashSet;

/// Rows of each list.
const ROWS: usize = 10;
/// New cores that are told one by one.
const CORES_MAX: usize = 25;
/// Names of totals that the headline is made of.
pub(super) const VISITORS: &str = "Visitors";
pub(super) const CORES: &str = "New cores";
pub(super) const CAPTURES: &str = "Captured uploads";

/// The whole model.
pub(super) fn load(shelf: &mut Shelf, ask: &Ask) -> Result<Model, Problem> {
    let period = Period::of(ask)?;
    let catalog = shelf.samples.catalog()?;
    let filter = asked::filter(shelf, ask)?;
    let now = Scope::of(shelf, ask, &catalog, Filter { span: period.span, ..filter.clone() })?;
    let before = Scope::of(shelf, ask, &catalog, Filter { span: period.before, ..filter })?;
    let cores = now.new_cores();
    let (families, (told, novel)) = caught(shelf, &now, &before, &cores)?;
    Ok(Model {
        period: period.unit.as_str(),
        only: only(ask),
        name: period.name.clone(),
        since: rfc3339(period.span.since),
        until: rfc3339(period.span.until.min(ask.now)),
        so_far: period.so_far,
        previous: period.neighbour(ask, false),
        next: period.neighbour(ask, true),
        totals: totals(shelf, ask, &now, &before)?,
        cores_more: cores.len().saturating_sub(CORES_MAX) as u64,
        cores: told,
        hosts: hosts(shelf, &now.filter)?,
        families,
        tools: tools(shelf, &now, &before)?,
        novel,
        unknown: unknown(shelf, &now.filter)?,
        sensor: sensor::load(shelf, period.span, ask.now)?,
    })
}

/// What of a time fits the filter.
struct Scope<'a> {
    ask: &'a Ask,
    catalog: &'a Catalog,
    filter: Filter,
    /// The samples that its visitors brought in it; `None`: all.
    brought: Option<HashSet<SampleId>>,
}

impl<'a> Scope<'a> {
    fn of(shelf: &mut Shelf, ask: &'a Ask, catalog: &'a Catalog, filter: Filter) -> Result<Self, Problem> {
        let brought = asked::brought_in(shelf, ask, filter.span)?;
        Ok(Self { ask, catalog, filter, brought })
    }

    /// The samples that fit, the most novel first, as in the catalog.
    fn entries(&self) -> impl Iterator<Item = &'a Entry> {
        let brought =
            |entry: &Entry| self.brought.as_ref().is_none_or(|brought| brought.contains(&entry.sha256));
        self.catalog.entries.iter().filter(move |entry| asked::fits(self.ask, entry) && brought(entry))
    }

    /// The most novel first, as in the catalog.
    fn new_cores(&self) -> Vec<&'a Group> {
        let cores: HashSet<&str> = self.entries().map(|entry| entry.core.as_str()).collect();
        let Span { since, until } = self.filter.span;
        let groups = self.catalog.new_cores(since, until);
        groups.filter(|group| cores.contains(group.core.as_str())).collect()
    }

    fn novel(&self) -> Vec<&'a Entry> {
        self.entries().filter(|entry| holds(self.filter.span, &entry.first_seen)).take(ROWS).collect()
    }
}

/// Families, and new cores and samples, with what the filter's visitors brought of each in the report's time: all asked at
/// once, since the index goes through that time's captures for each question.
#[allow(clippy::type_complexity)]
fn caught(
    shelf: &mut Shelf,
    scope: &Scope<'_>,
    before: &Scope<'_>,
    cores: &[&Group],
) -> Result<(Vec<Family>, (Vec<Core>, Vec<Novel>)), Problem> {
    let (names, of_families) = families_of(scope);
    let (cores, entries) = (cores.iter().take(CORES_MAX).copied(), scope.novel());
    let mut sets = of_families.clone();
    sets.extend(members(scope.catalog, cores.clone()));
    sets.extend(entries.iter().map(|entry| vec![entry.sha256]));
    let now = shelf.index.caught(&sets, &scope.filter).map_err(asked::problem)?;
    let then = shelf.index.caught(&of_families, &before.filter).map_err(asked::problem)?;
    let mut new = now.iter().skip(names.len());
    let mut next = || new.next().copied().flatten().map_or((0, 0), |caught| (caught.captures, caught.hosts));
    let mut cores: Vec<Core> = cores.map(|group| core(group, scope.catalog, next())).collect();
    let novel = entries.into_iter().map(|entry| novel(entry, next().0)).collect();
    cores.sort_by_key(|core| std::cmp::Reverse(core.novelty));
    Ok((families(&names, &now, &then), (cores, novel)))
}

fn novel(entry: &Entry, captures: u64) -> Novel {
    Novel {
        sha256: entry.sha256.to_string(),
        novelty: entry.novelty,
        captures,
        first_seen: entry.first_seen.clone(),
        sentence: entry.sentence.clone(),
    }
}

/// What the report leaves all else out by.
fn only(ask: &Ask) -> Vec<String> {
    let given = |name: &str| ask.value(name).map(|value| format!("{name} {value}"));
    FILTERS.iter().filter_map(|name| given(name)).collect()
}

fn holds(span: Span, time: &str) -> bool {
    moment::parse_time(time).is_some_and(|at| (span.since..span.until).contains(&at))
}

fn core(group: &Group, catalog: &Catalog, (captures, hosts): (u64, u64)) -> Core {
    let first = catalog.entries.iter().find(|entry| entry.sha256 == group.first);
    Core {
        core: group.core.clone(),
        family: group.family.clone(),
        novelty: group.novelty,
        captures,
        hosts,
        first_seen: group.first_seen.clone(),
        sentence: first.map_or_else(String::new, |entry| entry.sentence.clone()),
    }
}

fn totals(
    shelf: &mut Shelf,
    ask: &Ask,
    scope: &Scope<'_>,
    before: &Scope<'_>,
) -> Result<Vec<Total>, Problem> {
    let mut counted = |filter: &Filter| -> Result<(Counts, Exact, Visitors), Problem> {
        if filter.span.is_empty() {
            return Ok((Counts::default(), Exact::default(), Visitors { new: 0, returning: 0 }));
        }
        let funnel = shelf.index.funnel(filter).map_err(asked::problem)?;
        let visitors = shelf.index.visitors(filter).map_err(asked::problem)?;
        let exact = shelf.index.exact(filter).map_err(asked::problem)?;
        Ok((funnel.total, exact, visitors))
    };
    let (now, exact, came) = counted(&scope.filter)?;
    let (then, exact_then, came_then) = counted(&before.filter)?;
    let (cores_now, cores_then) = (scope.new_cores().len() as u64, before.new_cores().len() as u64);
    let mut incidents = |span: Span| -> Result<u64, Problem> {
        if span.is_empty() {
            return Ok(0);
        }
        let filter = incident::Filter { span, ..incidents::of_family(shelf, ask)? };
        shelf.incidents.count(&filter).map_err(Problem::failed)
    };
    let (incidents_now, incidents_then) = (incidents(scope.filter.span)?, incidents(before.filter.span)?);
    let total = |name, now, before| Total { name, now, before };
    Ok(vec![
        total(VISITORS, came.new + came.returning, came_then.new + came_then.returning),
        total("New visitors", came.new, came_then.new),
        total("Incidents", incidents_now, incidents_then),
        total("Connections", exact.connections, exact_then.connections),
        total("Checks for MS17-010", now.probes, then.probes),
        total("Exploits", now.exploits, then.exploits),
        total("Pings of the implant", now.pings, then.pings),
        total("Uploads begun", now.uploads_begun, then.uploads_begun),
        total("Uploads that are whole", now.completes, then.completes),
        total(CAPTURES, exact.uploads, exact_then.uploads),
        total("New samples", exact.new_samples, exact_then.new_samples),
        total(CORES, cores_now, cores_then),
    ])
}

fn hosts(shelf: &mut Shelf, filter: &Filter) -> Result<Vec<sources::Row>, Problem> {
    let found = shelf.index.senders_of_most(filter, ROWS).map_err(asked::problem)?;
    let books = shelf.geo.books();
    // The rows count in whole hours, and these uploads are the span's.
    let host = |(row, uploads)| sources::Row { uploads, ..sources::row(&row, &books) };
    Ok(found.into_iter().map(host).collect())
}

/// The families in the catalog, and the samples of each.
fn families_of<'a>(scope: &Scope<'a>) -> (Vec<&'a str>, Vec<Vec<SampleId>>) {
    let mut names: Vec<&str> = Vec::new();
    let mut sets: Vec<Vec<SampleId>> = Vec::new();
    // Who brought them the visitors of the filter's are asked for.
    let entries = scope.catalog.entries.iter().filter(|entry| asked::fits(scope.ask, entry));
    for entry in entries.filter(|entry| !entry.family.is_empty()) {
        let known = names.iter().position(|name| *name == entry.family).unwrap_or_else(|| {
            names.push(&entry.family);
            sets.push(Vec::new());
            names.len() - 1
        });
        sets.get_mut(known).into_iter().for_each(|set| set.push(entry.sha256));
    }
    (names, sets)
}

fn families(names: &[&str], now: &[Option<Caught>], then: &[Option<Caught>]) -> Vec<Family> {
    let family = |((name, now), then): ((&&str, &Option<Caught>), &Option<Caught>)| {
        let (captures, hosts) = now.map_or((0, 0), |now| (now.captures, now.hosts));
        let before = then.map_or(0, |then| then.captures);
        Family { family: (*name).to_owned(), captures, before, hosts }
    };
    let mut families: Vec<Family> = names.iter().zip(now).zip(then).map(family).collect();
    families.retain(|family| family.captures > 0 || family.before > 0);
    families.sort_by_key(|family| std::cmp::Reverse((family.captures, family.before)));
    families.truncate(ROWS);
    families
}

fn tools(shelf: &mut Shelf, scope: &Scope<'_>, before: &Scope<'_>) -> Result<Vec<Tool>, Problem> {
    let now = shelf.index.tools(&scope.filter).map_err(asked::problem)?;
    let then = shelf.index.tools_until(&before.filter).map_err(asked::problem)?;
    let tool = |row: &crate::index::ToolRow| Tool {
        tool: row.tool.clone(),
        label: asked::tool(&row.tool).to_owned(),
        connections: row.connections,
        before: then.get(&row.tool).copied().unwrap_or_default(),
        hosts: row.sources,
    };
    Ok(now.iter().take(ROWS).map(tool).collect())
}

fn unknown(shelf: &mut Shelf, filter: &Filter) -> Result<Vec<Shape>, Problem> {
    let found = shelf
        .index
        .unknown(filter, &Shapes { strangers: true, latest: true, only: None }, None, ROWS)
        .map_err(asked::problem)?;
    let shape = |row: &crate::index::ShapeRow| Shape {
        shape: row.shape.clone(),
        connections: row.connections,
        hosts: row.sources,
        new: row.new,
        last: rfc3339(row.last),
    };
    Ok(found.rows.iter().map(shape).collect())
}
