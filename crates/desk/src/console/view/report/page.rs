//! The report as a page.

use super::period::{Period, Unit};
use super::{EXACT, Model, Total, headline};
use crate::console::ask::{Ask, address};
use crate::console::stage;
use crate::console::table::{Cell, Table};
use crate::console::text;
use crate::console::view::asked;
use maud::{Markup, html};

/// New cores that the page names, so that what comes after stands on the first printed page.
const CORES_MAX: usize = 5;

/// From here on a change is told as a factor.
const TENFOLD: u64 = 10;

/// The whole page.
pub(super) fn body(model: &Model, ask: &Ask) -> Markup {
    let all = tables(model);
    let empty: Vec<&str> =
        all.iter().filter(|table| table.rows.is_empty()).map(|table| table.caption.as_str()).collect();
    html! {
        nav.ranges aria-label="Period" {
            @for unit in Unit::NAMED {
                @let word = unit.as_str();
                a href=(Period::address(ask, unit, None)) aria-current=[(model.period == word).then_some("true")] { (word) }
            }
            @if let Some(previous) = &model.previous { a rel="prev" href=(previous) { "← the one before" } }
            @if let Some(next) = &model.next { a rel="next" href=(next) { "the one after →" } }
            a href=(ask.with("as", "markdown")) download { "Markdown" }
            a href=(ask.with("as", "json")) { "JSON" }
        }
        @if let Some(only) = only(model) { p.notice { (text::shown(&only)) } }
        p {
            "From " (text::time_text(&model.since)) " to " (text::time_text(&model.until))
            @if model.so_far { ", so far; before is the same part of the period before" }
            "."
        }
        @if model.period == Unit::Chosen.as_str() { (asked::hours(ask)) (asked::grain(ask, EXACT)) }
        section.headline aria-label="New" { p.told { (headline(model)) } }
        (totals(model).html(ask))
        (cores(model))
        @for table in all.iter().skip(1).filter(|table| !table.rows.is_empty()) { (table.html(ask)) }
        @if !empty.is_empty() { p.quiet { "Nothing in this time: " (empty.join(", ")) "." } }
        @if model.totals.iter().all(|total| total.now == 0) {
            p.empty {
                "Nobody came, or nobody who fits the filter. " a href="/health#doctor" { "The doctor" }
                " says whether anybody can reach this machine."
            }
        }
        (sensor(model))
        p.quiet {
            "Made by Roridula " (env!("CARGO_PKG_VERSION")) ". Text of visitors is escaped; times are UTC."
        }
    }
}

/// Says what the report leaves out; `None` where it is of everybody.
pub(super) fn only(model: &Model) -> Option<String> {
    let by = model.only.join(", ");
    let only = "and of what they brought; the honeypot itself is told whole.";
    (!by.is_empty()).then(|| format!("Only of visitors who fit the filter ({by}), {only}"))
}

/// What is new, the most novel first; all of it is behind a link.
fn cores(model: &Model) -> Markup {
    let more = model.cores_more + model.cores.len().saturating_sub(CORES_MAX) as u64;
    html! {
        @if !model.cores.is_empty() {
            section {
                h2 { "New cores" }
                ul {
                    @for core in model.cores.iter().take(CORES_MAX) {
                        li {
                            a href={ "/groups/" (core.core) } { (text::hash(&core.core)) }
                            " (novelty " (core.novelty) "): " (text::shown_to(&core.sentence, 600))
                        }
                    }
                }
                @if more > 0 {
                    p { "and " (text::number(more)) " more: " a href=(all_new(model)) { "all of them" } }
                }
            }
        }
    }
}

/// Where all cores that are new in the report's time are listed.
fn all_new(model: &Model) -> String {
    let (since, until) = (model.since.as_str(), model.until.as_str());
    address("/groups", [("new", "yes"), ("order", "first"), ("since", since), ("until", until)].into_iter())
}

fn sensor(model: &Model) -> Markup {
    let sensor = &model.sensor;
    html! {
        section {
            h2 { "The honeypot itself" }
            p {
                (up(model)) ". " (text::count(sensor.starts, "start")) ", "
                (text::count(sensor.crashes, "end")) " without a word. " a href="/health" { "Health" }
            }
        }
    }
}

/// How long it ran.
pub(super) fn up(model: &Model) -> String {
    let sensor = &model.sensor;
    let most = if sensor.crashes > 0 { "at most " } else { "" };
    let percent = sensor.up.saturating_mul(1000).checked_div(sensor.seconds).unwrap_or(0);
    let hours = |secs: u64| format!("{}.{} h", secs / 3600, secs % 3600 / 360);
    let (up, all) = (hours(sensor.up), hours(sensor.seconds));
    match sensor.seconds.saturating_sub(sensor.up) {
        0 => format!("It ran {most}all of {all}"),
        // `152.8 h of 152.8 h` would deny it.
        short if up == all => format!("It ran {most}all of {all} but {short} s"),
        _ => format!("It ran {most}{up} of {all} ({}.{} %)", percent / 10, percent % 10),
    }
}

/// How something changed: `+12 %`, `-3 %`, `×1,539` where it grew tenfold or more, `new`, or nothing.
pub(super) fn change(now: u64, before: u64) -> String {
    match (now, before) {
        (0, 0) => String::new(),
        (_, 0) => "new".to_owned(),
        _ if now / before >= TENFOLD => format!("×{}", text::number(now.saturating_add(before / 2) / before)),
        _ => {
            let (now, before) = (u128::from(now), u128::from(before));
            let (sign, difference) = if now >= before { ("+", now - before) } else { ("-", before - now) };
            // Rounded to the nearest.
            format!("{sign}{} %", (difference * 100 + before / 2) / before)
        }
    }
}

/// All of its tables.
pub(super) fn tables(model: &Model) -> Vec<Table> {
    vec![
        totals(model),
        hosts(model),
        families(model),
        tools(model),
        novel(model),
        unknown(model),
        losses(model),
    ]
}

fn table(name: &'static str, caption: &str, columns: Vec<&'static str>, rows: Vec<Vec<Cell>>) -> Table {
    let empty = Some(html! { p { "None in this time." } });
    Table { name, caption: caption.to_owned(), columns, rows, empty, next: None }
}

fn totals(model: &Model) -> Table {
    let row = |total: &Total| {
        vec![
            Cell::text(total.name),
            Cell::Number(total.now),
            Cell::Number(total.before),
            Cell::text(change(total.now, total.before)),
        ]
    };
    let rows = model.totals.iter().map(row).collect();
    table("totals", "Against the period before", vec!["What", "Now", "Before", "Change"], rows)
}

fn hosts(model: &Model) -> Table {
    let rows = model.hosts.iter().map(|host| {
        vec![
            Cell::Link(host.source.clone(), format!("/sources/{}", host.source)),
            Cell::text(host.place.told()),
            Cell::text(if host.new { "new" } else { "returning" }),
            Cell::Number(host.uploads),
            Cell::Number(host.connections),
            Cell::text(stage::told_word(&host.furthest)),
        ]
    });
    let columns = vec!["Source", "Where", "New", "Captured uploads", "Connections", "Furthest"];
    table("hosts", "Infected hosts with the most captured uploads", columns, rows.collect())
}

fn families(model: &Model) -> Table {
    let rows = model.families.iter().map(|family| {
        let address =
            crate::console::ask::address("/samples", [("family", family.family.as_str())].into_iter());
        vec![
            Cell::Link(family.family.clone(), address),
            Cell::Number(family.captures),
            Cell::Number(family.before),
            Cell::text(change(family.captures, family.before)),
            Cell::Number(family.hosts),
        ]
    });
    table("families", "Families", vec!["Family", "Captures", "Before", "Change", "Hosts"], rows.collect())
}

fn tools(model: &Model) -> Table {
    let rows = model.tools.iter().map(|tool| {
        let address = crate::console::ask::address("/tools", [("tool", tool.tool.as_str())].into_iter());
        vec![
            Cell::Link(tool.label.clone(), address),
            Cell::Number(tool.connections),
            Cell::Number(tool.before),
            Cell::text(change(tool.connections, tool.before)),
            Cell::Number(tool.hosts),
        ]
    });
    table("tools", "Tools", vec!["Tool", "Connections", "Before", "Change", "Hosts"], rows.collect())
}

fn novel(model: &Model) -> Table {
    let rows = model.novel.iter().map(|novel| {
        vec![
            Cell::Number(u64::from(novel.novelty)),
            Cell::HashLink(novel.sha256.clone(), format!("/samples/{}", novel.sha256)),
            Cell::Number(novel.captures),
            asked::at(&novel.first_seen),
            Cell::sentence(&novel.sentence),
        ]
    });
    let columns = vec!["Novelty", "SHA-256", "Captures", "First seen", "What it is"];
    table("novel", "Novel samples", columns, rows.collect())
}

fn unknown(model: &Model) -> Table {
    let rows = model.unknown.iter().map(|shape| {
        vec![
            Cell::text(&shape.shape),
            Cell::text(if shape.new { "new" } else { "known shape" }),
            Cell::Number(shape.connections),
            Cell::Number(shape.hosts),
            asked::at(&shape.last),
        ]
    });
    let columns = vec!["Order of messages", "New", "Connections", "Hosts", "Last"];
    table("unknown", "What was not understood", columns, rows.collect())
}

fn losses(model: &Model) -> Table {
    let rows = model
        .sensor
        .losses
        .iter()
        .map(|loss| vec![Cell::text(loss.kind), Cell::text(&loss.name), Cell::Number(loss.count)]);
    let caption = "Faults, visitors turned away, limits met";
    table("losses", caption, vec!["Kind", "Which", "Count"], rows.collect())
}
