//! What several views ask alike: the filter in the words of the index, and what of it means nothing to a
//! view.

use crate::console::ask::{Ask, Problem};
use crate::console::shelf::Shelf;
use crate::console::stage::Reached;
use crate::console::table::Cell;
use crate::console::text;
use crate::incident::{known_tools, tool_label};
use crate::index::{Filter, IndexError, Span, Step};
use crate::moment;
use crate::sample::Entry;
use maud::{Markup, html};
use roridula_evidence::SampleId;
use roridula_proto::connection::ConnectionId;
use roridula_proto::time::WallClock;
use roridula_triage::family::known as known_families;
use std::collections::{BTreeSet, HashSet};

/// Microseconds of an hour.
const HOUR: u64 = 3_600_000_000;

/// How exactly a view counts time that counts by hours.
pub(super) const BY_HOURS: &str = "Counted by whole hours, UTC: all of each hour that the time touches.";

/// The time that is asked for; it ends now where nothing else is said.
pub(super) fn span(ask: &Ask) -> Span {
    if ask.filter.since.is_none() && ask.filter.until.is_none() {
        return Span::ALL;
    }
    let until = ask.filter.until.unwrap_or(WallClock(ask.now.0.saturating_add(1)));
    Span { since: ask.filter.since.unwrap_or_default(), until }
}

/// As [`span`]; where nothing is said, not even `all`, the last `micros` microseconds.
pub(super) fn span_or_last(ask: &Ask, micros: u64) -> Span {
    match span(ask) {
        Span::ALL if ask.filter.range.is_empty() => {
            Span::last(micros, WallClock(ask.now.0.saturating_add(1)))
        }
        span => span,
    }
}

/// The step of the funnel that must have been taken.
pub(super) fn step(ask: &Ask) -> Option<Step> {
    ask.filter.stage.and_then(Reached::step)
}

/// The filter in the index's words.
pub(super) fn filter(shelf: &Shelf, ask: &Ask) -> Result<Filter, Problem> {
    Ok(Filter {
        span: span(ask),
        source: ask.filter.source,
        step: step(ask),
        tool: ask.filter.tool.clone(),
        brought: of_family(shelf, ask)?,
        ..Filter::default()
    })
}

/// The question, where it names a tool and a family that there are; with a note, where nothing came of that family.
pub(super) fn checked(shelf: &mut Shelf, mut ask: Ask) -> Result<Ask, Problem> {
    if let Some(tool) = ask.filter.tool.as_ref().filter(|tool| tool_label(tool).is_none()) {
        // Old visitors may have been named by another build.
        let seen = shelf.index.tool_names().map_err(problem)?;
        if !seen.contains(tool) {
            let known: Vec<&str> = known_tools().map(|(id, _)| id).collect();
            return Err(Problem::Bad(format!("`tool` is one of {}", known.join(", "))));
        }
    }
    if let Some(family) = &ask.filter.family {
        let catalog = shelf.samples.catalog()?;
        let caught: BTreeSet<&str> = catalog.entries.iter().map(|entry| entry.family.as_str()).collect();
        let is_of = |families: &BTreeSet<&str>| families.iter().any(|name| contains(name, family));
        let known = known_families();
        if !is_of(&caught) && !is_of(&known) {
            // The user's rules may name others.
            let all: Vec<&str> = known.union(&caught).copied().filter(|name| !name.is_empty()).collect();
            return Err(Problem::Bad(format!("`family` is one of {}, or a part of it", all.join(", "))));
        }
        if !is_of(&caught) {
            ask.notes.push(format!("No sample was caught whose family is called like {family}."));
        }
    }
    Ok(ask)
}

/// The samples of the filter's family; `None` where it asks for none.
pub(super) fn of_family(shelf: &Shelf, ask: &Ask) -> Result<Option<Vec<SampleId>>, Problem> {
    let Some(family) = &ask.filter.family else { return Ok(None) };
    let catalog = shelf.samples.catalog()?;
    let entries = catalog.entries.iter().filter(|entry| contains(&entry.family, family));
    Ok(Some(entries.map(|entry| entry.sha256).collect()))
}

/// Which captures are asked for: of the filter's time, source and stage; `None`: all that there ever were.
pub(super) fn captures(ask: &Ask) -> Option<Filter> {
    captures_in(ask, span(ask))
}

fn captures_in(ask: &Ask, span: Span) -> Option<Filter> {
    let filter = Filter { source: ask.filter.source, step: step(ask), span, ..Filter::default() };
    let is_part = filter.source.is_some() || filter.step.is_some() || span != Span::ALL;
    is_part.then_some(filter)
}

/// The samples that visitors brought in a time who fit the filter's source and stage; `None` where nothing of this is asked
/// for.
pub(super) fn brought_in(
    shelf: &mut Shelf,
    ask: &Ask,
    span: Span,
) -> Result<Option<HashSet<SampleId>>, Problem> {
    let Some(filter) = captures_in(ask, span) else { return Ok(None) };
    Ok(Some(shelf.index.samples_of(&filter).map_err(problem)?))
}

/// Says whose captures the rows count, where only some are asked for.
pub(super) fn whose(ask: &Ask) -> Markup {
    let of = |name: &str| ask.value(name).map(|value| format!("{name} {}", text::shown(value)));
    let by: Vec<String> = ["source", "stage"].into_iter().filter_map(of).collect();
    html! {
        @if !by.is_empty() {
            p.quiet {
                "Captures, hosts and times are of visitors who fit (" (by.join(", ")) "); those of everybody are called “ever”."
            }
        }
    }
}

/// Whether a sample fits the filter's family and tool.
pub(super) fn fits(ask: &Ask, entry: &Entry) -> bool {
    let filter = &ask.filter;
    let alike =
        |wanted: &Option<String>, have: &str| wanted.as_ref().is_none_or(|wanted| contains(have, wanted));
    alike(&filter.family, &entry.family) && alike(&filter.tool, &entry.tool)
}

/// Whether `text` has `part` in it, letters large or small.
pub(super) fn contains(text: &str, part: &str) -> bool {
    text.to_ascii_lowercase().contains(&part.to_ascii_lowercase())
}

/// The sample of the catalog with this hash, as far as that is read.
pub(super) fn entry(shelf: &Shelf, id: SampleId) -> Option<&Entry> {
    shelf.samples.catalog.as_ref()?.entries.iter().find(|entry| entry.sha256 == id)
}

/// An answer of the index: a cursor that it does not know is the asker's mistake.
pub(super) fn problem(error: IndexError) -> Problem {
    match error {
        IndexError::Cursor => Problem::Bad("`cursor` is none that an answer gave".to_owned()),
        error => Problem::failed(error),
    }
}

/// A cursor that is a number of rows to leave out.
pub(super) fn offset(ask: &Ask) -> Result<usize, Problem> {
    let number = |text: &str| text.parse().map_err(|_| problem(IndexError::Cursor));
    ask.cursor().map_or(Ok(0), number)
}

/// A page of `limit` of all `items`, and where the next begins.
pub(super) fn page<T>(items: Vec<T>, from: usize, limit: usize) -> (Vec<T>, Option<String>) {
    let to = from.saturating_add(limit);
    let next = (items.len() > to).then(|| to.to_string());
    (items.into_iter().skip(from).take(limit).collect(), next)
}

/// Where a connection's evidence is shown; empty while it is open, for it has no incident then.
pub(super) fn evidence(shelf: &mut Shelf, connection: ConnectionId) -> Result<String, Problem> {
    let incident = shelf.incidents.of_connection(connection).map_err(Problem::failed)?;
    Ok(incident
        .map_or_else(String::new, |incident| format!("/incidents/{incident}/connections/{connection}")))
}

/// How people write a tool's name.
pub(super) fn tool(id: &str) -> &str {
    tool_label(id).unwrap_or(id)
}

/// Tools as people write them.
pub(super) fn tools(ids: &[String]) -> String {
    ids.iter().map(|id| tool(id)).collect::<Vec<_>>().join(", ")
}

/// A cell with a time that was written for the model.
pub(super) fn at(time: &str) -> Cell {
    moment::parse_time(time).map_or(Cell::None, Cell::Time)
}

/// As [`at`], the end of what the cell before begins.
pub(super) fn last(time: &str) -> Cell {
    moment::parse_time(time).map_or(Cell::None, Cell::Last)
}

/// A cell with a core that leads to its group.
pub(super) fn core(core: &str) -> Cell {
    if core.is_empty() { Cell::None } else { Cell::HashLink(core.to_owned(), format!("/groups/{core}")) }
}

/// A cell with a link, or without one where there is no address.
pub(super) fn link(text: &str, href: &str) -> Cell {
    if href.is_empty() { Cell::text(text) } else { Cell::Link(text.to_owned(), href.to_owned()) }
}

/// A time, widened to whole hours.
pub(super) fn whole_hours(span: Span) -> Span {
    if span == Span::ALL {
        return span;
    }
    let until = WallClock(span.until.0.div_ceil(HOUR).saturating_mul(HOUR));
    Span { since: WallClock(span.since.0 / HOUR * HOUR), until }
}

/// Says how exactly a view counts time, where a time is asked for.
pub(super) fn grain(ask: &Ask, told: &str) -> Markup {
    html! { @if span(ask) != Span::ALL { p.quiet { (told) } } }
}

/// Says from when on a view counts that counts by whole hours, where a time is asked for.
pub(super) fn hours(ask: &Ask) -> Markup {
    let span = span(ask);
    let whole = whole_hours(span);
    html! {
        @if span != Span::ALL {
            p.quiet {
                "Counted by whole hours: from " (text::time(whole.since))
                @if ask.filter.until.is_some() { " to " (text::time(whole.until)) }
                "."
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// What somebody asks at `path` with this query, at a fixed time.
    pub(in crate::console::view) fn ask(path: &str, query: &[(&str, &str)]) -> Ask {
        let pairs = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Ask::new(WallClock(1_763_866_200_000_000), path, BTreeMap::new(), pairs).unwrap()
    }

    #[test]
    fn a_time_ends_now_and_no_time_is_all_of_it() {
        assert_eq!(span(&ask("/", &[])), Span::ALL);
        let hour = span(&ask("/", &[("range", "1h")]));
        assert_eq!((hour.len(), hour.until.0), (3_600_000_001, 1_763_866_200_000_001));
        assert_eq!(span_or_last(&ask("/", &[]), 60).len(), 60);
        assert_eq!(span_or_last(&ask("/", &[("range", "all")]), 60), Span::ALL);
    }

    #[test]
    fn whole_hours_are_told_where_a_time_is_asked_for() {
        let told = |query: &[(&str, &str)]| hours(&ask("/tools", query)).into_string();
        let since = ("since", "2025-11-21T03:59");
        assert_eq!(told(&[("source", "192.0.2.7"), ("range", "all")]), "");
        assert!(told(&[since]).contains("2025-11-21T03:00:00") && !told(&[since]).contains(" to "));
        assert!(told(&[since, ("until", "2025-11-21T04:01")]).contains("2025-11-21T05:00:00"));
        assert!(told(&[since, ("until", "2025-11-21T05:00")]).contains("2025-11-21T05:00:00"));
    }

    #[test]
    fn pages_follow_each_other() {
        assert_eq!(page(vec![1, 2, 3], 0, 2), (vec![1, 2], Some("2".to_owned())));
        assert_eq!(page(vec![1, 2, 3], 2, 2), (vec![3], None));
        assert_eq!(page(vec![1], usize::MAX, 9), (vec![], None));
        assert!(offset(&ask("/", &[("cursor", "x")])).is_err());
    }
}
