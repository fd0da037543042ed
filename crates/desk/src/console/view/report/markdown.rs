//! The report as Markdown.

use super::page::{change, only, up};
use super::{EXACT, Model, headline};
use crate::console::markdown::{code, plain, table};
use crate::console::text::number;
use std::fmt::Write;

/// Digits of a hash in a sentence.
const SHORT: usize = 12;

/// The whole text.
pub(super) fn text(model: &Model) -> String {
    let mut out = format!("# Roridula: {}\n\n", plain(&model.name));
    let so_far = match model.period {
        "chosen" => ", counted by whole hours",
        _ if model.so_far => ", so far; before is the same part of the period before",
        _ => "",
    };
    let (since, until) = (minutes(&model.since), minutes(&model.until));
    // Writing to a String cannot fail.
    let _ = writeln!(out, "From {since} to {until} UTC{so_far}.\n\n**{}**", headline(model));
    if model.period == "chosen" {
        let _ = writeln!(out, "\n{EXACT}");
    }
    if let Some(only) = only(model) {
        let _ = writeln!(out, "\n{}", plain(&only));
    }
    let mut empty = Vec::new();
    cores(model, &mut out, &mut empty);
    section(&mut out, "Against the period before");
    let totals = model.totals.iter().map(|total| {
        vec![total.name.to_owned(), number(total.now), number(total.before), change(total.now, total.before)]
    });
    out.push_str(&table(&["What", "Now", "Before", "Change"], totals));
    who(model, &mut out, &mut empty);
    what(model, &mut out, &mut empty);
    if !empty.is_empty() {
        let _ = writeln!(out, "\nNone in this time: {}.", empty.join("; "));
    }
    section(&mut out, "The honeypot itself");
    let sensor = &model.sensor;
    let _ =
        writeln!(out, "{}. Starts: {}. Ends without a word: {}.", up(model), sensor.starts, sensor.crashes);
    if !sensor.losses.is_empty() {
        let losses =
            sensor.losses.iter().map(|loss| vec![loss.kind.to_owned(), code(&loss.name), number(loss.count)]);
        out.push('\n');
        out.push_str(&table(&["Kind", "Which", "Count"], losses));
    }
    let _ = write!(out, "\nMade by Roridula {}. Text of visitors is escaped.\n", env!("CARGO_PKG_VERSION"));
    out
}

fn section(out: &mut String, title: &str) {
    let _ = write!(out, "\n## {title}\n\n");
}

fn minutes(time: &str) -> String {
    time.get(..16).unwrap_or(time).replace('T', " ")
}

fn short(hash: &str) -> String {
    code(hash.get(..SHORT).unwrap_or(hash))
}

/// What there is none of is named in `empty`, and needs no section of its own.
fn cores(model: &Model, out: &mut String, empty: &mut Vec<&'static str>) {
    if model.cores.is_empty() {
        empty.push("New cores");
        return;
    }
    section(out, "New cores");
    for core in &model.cores {
        let _ =
            writeln!(out, "- {} (novelty {}): {}", short(&core.core), core.novelty, plain(&core.sentence));
    }
    if model.cores_more > 0 {
        let _ = writeln!(out, "- and {} more", number(model.cores_more));
    }
}

fn who(model: &Model, out: &mut String, empty: &mut Vec<&'static str>) {
    let hosts = model.hosts.iter().map(|host| {
        let new = if host.new { "new" } else { "returning" };
        vec![
            code(&host.source),
            code(&host.place.told()),
            new.to_owned(),
            number(host.uploads),
            number(host.connections),
        ]
    });
    let head = ["Source", "Where", "New", "Captured uploads", "Connections"];
    rows(out, empty, "Infected hosts with the most captured uploads", &head, hosts.collect());
}

fn what(model: &Model, out: &mut String, empty: &mut Vec<&'static str>) {
    let families = model.families.iter().map(|family| {
        let [now, before, changed] = compared(family.captures, family.before);
        vec![plain(&family.family), now, before, changed, number(family.hosts)]
    });
    rows(out, empty, "Families", &["Family", "Captures", "Before", "Change", "Hosts"], families.collect());
    let tools = model.tools.iter().map(|tool| {
        let [now, before, changed] = compared(tool.connections, tool.before);
        vec![plain(&tool.label), now, before, changed, number(tool.hosts)]
    });
    rows(out, empty, "Tools", &["Tool", "Connections", "Before", "Change", "Hosts"], tools.collect());
    let novel = model.novel.iter().map(|novel| {
        vec![novel.novelty.to_string(), code(&novel.sha256), number(novel.captures), plain(&novel.sentence)]
    });
    rows(out, empty, "Novel samples", &["Novelty", "SHA-256", "Captures", "What it is"], novel.collect());
    let unknown = model.unknown.iter().map(|shape| {
        let new = if shape.new { "new" } else { "known shape" };
        vec![code(&shape.shape), new.to_owned(), number(shape.connections), number(shape.hosts)]
    });
    let head = ["Order of messages", "New", "Connections", "Hosts"];
    rows(out, empty, "What was not understood", &head, unknown.collect());
}

fn rows(
    out: &mut String,
    empty: &mut Vec<&'static str>,
    title: &'static str,
    head: &[&str],
    rows: Vec<Vec<String>>,
) {
    if rows.is_empty() {
        empty.push(title);
        return;
    }
    section(out, title);
    out.push_str(&table(head, rows));
}

/// A number against the one before.
fn compared(now: u64, before: u64) -> [String; 3] {
    [number(now), number(before), change(now, before)]
}
