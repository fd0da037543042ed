//! One core: what it is, in which wrappings it came, and who brought them.

use super::View;
use super::asked;
use super::groups::{self, Came, DAY, Days};
use crate::console::ask::{Ask, Problem};
use crate::console::chart::{self, Column};
use crate::console::page::Page;
use crate::console::shelf::Shelf;
use crate::console::table::{Cell, Table, exports};
use crate::console::text;
use crate::index::{SampleDay, Sender, Spread};
use crate::sample::{Entry, Group};
use maud::{Markup, html};
use roridula_evidence::SampleId;
use roridula_proto::time::WallClock;
use schemars::JsonSchema;
use serde::Serialize;

/// Characters that a core's name needs at least.
const PREFIX_MIN: usize = 4;
/// Senders that are shown; all of them are behind a link.
const SENDERS: usize = 50;
/// Days that are drawn one by one: the latest.
const DAYS_MAX: u64 = 400;

/// `/groups/{core}`
pub(crate) struct OfCore;

/// What it shows.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Model {
    /// The core.
    group: groups::Row,
    /// Captures of each day that is asked for.
    days: Vec<SampleDay>,
    /// Its first sample: SHA-256, hexadecimal.
    first: String,
    /// Its samples, the most novel first; one page of them.
    members: Vec<Member>,
    /// Who brought them last.
    senders: Vec<Sender>,
    /// Where the members' next page begins; null after the last.
    next: Option<String>,
}

/// A sample with this core.
#[derive(Debug, Serialize, JsonSchema)]
struct Member {
    /// SHA-256, hexadecimal.
    sha256: String,
    /// Bytes.
    size: u64,
    /// What there is of the upload.
    state: String,
    /// The tool that brought it first; empty where none is known.
    tool: String,
    /// How often it was captured.
    captures: u64,
    /// From how many addresses.
    hosts: u64,
    /// First capture, UTC.
    first_seen: String,
    /// Latest capture, UTC.
    last_seen: String,
    /// What it is, in one sentence.
    sentence: String,
}

impl View for OfCore {
    type Model = Model;
    const PATH: &'static str = "/groups/{core}";
    const API: &'static str = "/groups/{core}";
    const ABOUT: &'static str =
        "One core, by the beginning of its SHA-256: its samples, and who brought them.";
    const HEEDS: &'static [&'static str] = &["range", "since", "until", "limit", "cursor"];
    const GRAIN: &'static str = "Captures and hosts of the time are counted to the moment, those of a day by whole days, UTC; all else is of all time.";

    fn load(shelf: &mut Shelf, ask: &Ask) -> Result<Model, Problem> {
        let from = asked::offset(ask)?;
        let catalog = shelf.samples.catalog()?;
        let group = find(&catalog.groups, ask.place("core"))?.clone();
        let came = Came::asked(shelf, ask, vec![group.clone()])?.pop();
        let came = came.unwrap_or_else(|| Came::none(group.clone()));
        let days = Days::of(ask, &[Came::ever(group.clone())]);
        let entries: Vec<Entry> =
            catalog.entries.iter().filter(|entry| entry.core == group.core).cloned().collect();
        let ids: Vec<SampleId> = entries.iter().map(|entry| entry.sha256).collect();
        let spreads = shelf.index.spreads(std::slice::from_ref(&ids), &days.span.into());
        let spread = spreads.map_err(asked::problem)?.pop();
        let senders = shelf.index.senders(&ids, None, SENDERS).map_err(asked::problem)?;
        let row = groups::rows(shelf, ask, std::slice::from_ref(&came), &days)?.pop();
        let row = row.ok_or_else(|| Problem::failed("the core's row is gone"))?;
        let (members, next) = asked::page(entries, from, ask.limit()?);
        Ok(Model {
            group: row,
            days: spread.map_or_else(Vec::new, |spread| by_day(&days, &spread)),
            first: group.first.to_string(),
            members: members.iter().map(member).collect(),
            senders: senders.rows,
            next,
        })
    }

    fn page(model: &Model, ask: &Ask) -> Page {
        let short = model.group.core.get(..12).unwrap_or(&model.group.core);
        Page::new(format!("Core {short}"), body(model, ask))
    }

    fn tables(model: &Model, _ask: &Ask) -> Vec<Table> {
        vec![members(model), senders(model), days_table(model)]
    }
}

/// The one group whose core begins like this.
fn find<'a>(groups: &'a [Group], prefix: &str) -> Result<&'a Group, Problem> {
    let prefix = prefix.to_ascii_lowercase();
    let mut found =
        groups.iter().filter(|group| prefix.len() >= PREFIX_MIN && group.core.starts_with(&prefix));
    match (found.next(), found.next()) {
        (Some(group), None) => Ok(group),
        (Some(_), Some(_)) => Err(Problem::Missing("more than one core begins like this".to_owned())),
        _ => Err(Problem::Missing("no core of a sample begins like this".to_owned())),
    }
}

fn by_day(days: &Days, spread: &Spread) -> Vec<SampleDay> {
    let last = days.span.until.0 / DAY;
    let first = (days.span.since.0 / DAY).max(last.saturating_sub(DAYS_MAX));
    let day = |at: u64| {
        let begins = WallClock(at * DAY);
        let found = spread.days.iter().find(|day| day.begins == begins).copied();
        found.unwrap_or(SampleDay { begins, captures: 0, sources: 0 })
    };
    (first..last).map(day).collect()
}

fn member(entry: &Entry) -> Member {
    Member {
        sha256: entry.sha256.to_string(),
        size: entry.size,
        state: entry.state.clone(),
        tool: entry.tool.clone(),
        captures: entry.captures,
        hosts: entry.sources,
        first_seen: entry.first_seen.clone(),
        last_seen: entry.last_seen.clone(),
        sentence: entry.sentence.clone(),
    }
}

fn body(model: &Model, ask: &Ask) -> Markup {
    let group = &model.group;
    let column = |day: &SampleDay| Column { begins: day.begins, value: day.captures, apart: Vec::new() };
    let columns: Vec<Column> = model.days.iter().map(column).collect();
    html! {
        (asked::grain(ask, OfCore::GRAIN))
        section {
            p.sentence { (text::shown_to(&group.sentence, 600)) }
            dl {
                dt { "Core" } dd { code data-copy=(group.core) { (group.core) } }
                dt { "What it is" } dd { (text::kind(&group.kind)) ", " (text::number(group.size)) " bytes" }
                @if !group.family.is_empty() {
                    dt { "Family" } dd { (text::shown(&group.family)) }
                }
                dt { "Novelty" } dd { (group.novelty) " of 100" }
                dt { "Seen" } dd {
                    (text::count(group.captures, "capture")) " of " (text::count(group.samples, "sample"))
                    " from " (text::count(group.hosts, "host")) ", from " (text::time_text(&group.first_seen)) " to "
                    (text::time_text(&group.last_seen))
                }
                dt { "First sample" }
                dd { a href={ "/samples/" (model.first) } { (text::hash(&model.first)) } }
                @if !group.near.is_empty() {
                    dt { "Near cores" } dd {
                        @for near in group.near.iter().take(20) {
                            div {
                                a href={ "/groups/" (near.core) } { (text::hash(&near.core)) }
                                " TLSH distance " (near.distance) ", "
                                a href={ "/samples/" (model.first) "/diff/" (near.first) } { "compare" }
                            }
                        }
                    }
                }
            }
        }
        (chart::columns("Captures a day", "captures", "", &columns))
        (exports(ask, "days"))
        (members(model).html(ask))
        (senders(model).html(ask))
        p { a href=(format!("/sources?core={}", group.core)) { "All who brought it" } }
    }
}

/// What the chart shows, for spreadsheets.
fn days_table(model: &Model) -> Table {
    let cells =
        |day: &SampleDay| vec![Cell::Time(day.begins), Cell::Number(day.captures), Cell::Number(day.sources)];
    Table {
        name: "days",
        caption: "Captures a day".to_owned(),
        columns: vec!["From", "Captures", "Hosts"],
        rows: model.days.iter().map(cells).collect(),
        ..Table::default()
    }
}

fn members(model: &Model) -> Table {
    let cells = |member: &Member| {
        let is_first = member.sha256 == model.first;
        let diff = format!("/samples/{}/diff/{}", model.first, member.sha256);
        vec![
            Cell::HashLink(member.sha256.clone(), format!("/samples/{}", member.sha256)),
            Cell::sentence(&member.sentence),
            if is_first { Cell::text("the first") } else { Cell::Link("compare".to_owned(), diff) },
            Cell::Number(member.size),
            Cell::text(&member.state),
            Cell::text(asked::tool(&member.tool)),
            Cell::Number(member.captures),
            Cell::Number(member.hosts),
            asked::at(&member.first_seen),
            asked::last(&member.last_seen),
        ]
    };
    Table {
        name: "members",
        caption: format!("{} with this core", text::count(model.group.samples, "sample")),
        columns: vec![
            "SHA-256",
            "What it is",
            "With the first",
            "Bytes",
            "State",
            "Tool",
            "Captures",
            "Hosts",
            "First seen",
            "Last seen",
        ],
        rows: model.members.iter().map(cells).collect(),
        empty: None,
        next: model.next.clone(),
    }
}

fn senders(model: &Model) -> Table {
    let cells = |sender: &Sender| {
        vec![
            Cell::Link(sender.source.to_string(), format!("/sources/{}", sender.source)),
            Cell::Number(sender.captures),
            Cell::Time(sender.first),
            Cell::Last(sender.last),
        ]
    };
    Table {
        name: "senders",
        caption: format!("Who brought it last, of {}", text::count(model.group.hosts, "host")),
        columns: vec!["Source", "Captures", "First", "Last"],
        rows: model.senders.iter().map(cells).collect(),
        empty: None,
        next: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(core: &str) -> Group {
        Group {
            core: core.to_owned(),
            family: String::new(),
            kind: "pe".to_owned(),
            size: 1,
            samples: 1,
            captures: 1,
            sources: 1,
            first_seen: "2025-11-20T10:00:00Z".to_owned(),
            last_seen: "2025-11-22T10:00:00Z".to_owned(),
            novelty: 7,
            near: Vec::new(),
            first: SampleId([1; 32]),
        }
    }

    #[test]
    fn a_core_is_found_by_its_beginning_where_that_is_clear() {
        let groups = [group("abcdef"), group("abcd99")];
        assert_eq!(find(&groups, "ABCDE").unwrap().core, "abcdef");
        for unclear in ["abcd", "abc", "", "ffff", "../.."] {
            assert!(matches!(find(&groups, unclear), Err(Problem::Missing(_))), "{unclear}");
        }
    }
}
