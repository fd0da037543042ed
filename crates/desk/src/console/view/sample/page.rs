//! The page of a sample.

use super::{Model, alike_table, bytes, captures, layer, senders};
use crate::console::ask::{Ask, address};
use crate::console::chart;
use crate::console::table::exports;
use crate::console::text;
use crate::console::view::asked;
use maud::{Markup, html};
use roridula_triage::Report;
use roridula_triage::family::Ground;

/// Grounds of a verdict that are shown at once, and how many more are behind them.
const GROUNDS_FIRST: usize = 6;
const GROUNDS_MAX: usize = 64;

pub(super) fn body(model: &Model, ask: &Ask) -> Markup {
    let address = format!("/samples/{}", model.sha256);
    html! {
        p.sentence { (text::shown_to(&model.sentence, 1500)) }
        nav.exports aria-label="Take away" {
            a href={ (address) "/sample.json" } download { "JSON" }
            a href={ (address) "/export" } { "Export the sample…" }
        }
        @if let Some(report) = &model.report { (picture(report)) }
        div.columns { (facts(model)) (verdict(model)) }
        @match &model.report {
            Some(report) => { (layers(report, ask)) (exports(ask, "layers")) (layer::rules(model).html(ask)) (layer::indicators(model).html(ask)) }
            None => {
                section {
                    h2 { "Inside" }
                    p.empty {
                        "Triage has no report of it"
                        @if !model.triage_error.is_empty() { " (" (text::shown(&model.triage_error)) ")" }
                        ". " code { "roridula triage " (model.sha256.get(..16).unwrap_or_default()) } " makes one."
                    }
                }
            }
        }
        (lookups(model))
        (group(model))
        (alike_table(model).html(ask))
        (compare(model))
        (senders(model).html(ask))
        (captures(model).html(ask))
    }
}

fn facts(model: &Model) -> Markup {
    let ranges: Vec<String> =
        model.ranges.iter().take(8).map(|(start, end)| format!("{start}..{end}")).collect();
    let more = if model.ranges.len() > 8 { " …" } else { "" };
    let total = model.total.map_or("unknown".to_owned(), text::number);
    html! {
        section {
            h2 { "The file" }
            dl {
                dt { "SHA-256" } dd { (layer::whole_hash(&model.sha256)) }
                dt { "SHA-1" } dd { (layer::whole_hash(&model.sha1)) }
                dt { "MD5" } dd { (layer::whole_hash(&model.md5)) }
                @if !model.core.is_empty() { dt { "Core" } dd { a href={ "/groups/" (model.core) } { (layer::whole_hash(&model.core)) } } }
                dt { "Upload" } dd { (text::number(model.size)) " of " (total) " bytes, " (model.state) ", " (model.origin) " (" (ranges.join(", ")) (more) ")" }
                dt { "Kept" } dd { (model.kept) }
                dt { "This very file" }
                dd {
                    (text::count(model.captures, "capture")) " from " (text::count(model.sources, "host"))
                    ", first " (text::time_text(&model.first_seen)) ", latest " (text::time_text(&model.last_seen))
                }
                @if let Some(group) = model.group.as_ref().filter(|group| group.samples > 1) {
                    dt { "All with its core" }
                    dd {
                        (text::count(group.captures, "capture")) " of " (text::count(group.samples, "file")) " from "
                        (text::count(group.sources, "host")) ": " a href="#group" { "its group" }
                    }
                }
            }
        }
    }
}

fn verdict(model: &Model) -> Markup {
    let grounds = model.report.as_ref().and_then(|report| report.verdict.as_ref());
    html! {
        section {
            h2 { "What it is" }
            dl {
                @if let Some(novelty) = model.novelty { dt { "Novelty" } dd { (novelty) " of 100" } }
                dt { "Family" }
                dd {
                    @if model.family.is_empty() { "unknown" } @else { (text::shown(&model.family)) " (" (model.confidence) ")" }
                    @for also in grounds.iter().flat_map(|verdict| &verdict.also) {
                        ", also " (text::shown(&also.family)) " (" (also.confidence) ")"
                    }
                }
                dt { "First brought by" } dd { @if model.tool.is_empty() { "no known tool" } @else { a href=(address("/tools", [("tool", model.tool.as_str())].into_iter())) { (asked::tool(&model.tool)) } } }
            }
            @if let Some(verdict) = grounds {
                h3 { "Because of" }
                @let (first, rest) = verdict.grounds.split_at(verdict.grounds.len().min(GROUNDS_FIRST));
                ul { @for ground in first { (named(ground)) } }
                @if !rest.is_empty() {
                    details {
                        summary { "and " (text::number(rest.len() as u64)) " more" }
                        ul { @for ground in rest.iter().take(GROUNDS_MAX) { (named(ground)) } }
                    }
                }
            }
        }
    }
}

fn named(ground: &Ground) -> Markup {
    html! { li { a href={ "#layer-" (ground.layer) } { (text::shown_to(&ground.what, 240)) } } }
}

fn picture(report: &Report) -> Markup {
    let rows = html! {
        table {
            thead { tr { th scope="col" { "Layer" } th scope="col" { "In" } th scope="col" { "Where" } th scope="col" { "Bytes" } th scope="col" { "State" } } }
            tbody {
                @for (number, layer) in (0u32..).zip(&report.layers) {
                    tr {
                        td { a href={ "#layer-" (number) } { (number) ": " (bytes::called(layer)) } }
                        td { @match layer.parent { Some(parent) => (parent), None => "–" } }
                        td { (bytes::place_of(report, number)) }
                        td.number { (text::number(layer.size)) }
                        td { (layer.state) }
                    }
                }
            }
        }
    };
    let drawing = bytes::picture(report, &[], "#layer-");
    chart::figure("What is inside, to scale", &chart::wide("What is inside", &drawing), &rows)
}

fn layers(report: &Report, ask: &Ask) -> Markup {
    html! {
        section {
            h2 { "Layers" }
            @for remark in &report.remarks { p.notice { (text::shown_to(remark, 240)) } }
            (layer::tree(report, ask))
        }
    }
}

fn lookups(model: &Model) -> Markup {
    html! {
        section {
            h2 { "Look-ups" }
            @if model.lookups.is_empty() { p.quiet { "Nobody was asked: look-ups are off unless the configuration says otherwise." } }
            ul {
                @for row in &model.lookups {
                    li {
                        (text::shown_to(&row.sentence, 400)) " (asked " (text::time_text(&row.asked)) ")"
                        // The service's address was built by us; it leaves this machine only when somebody follows it.
                        @if row.link.starts_with("https://") { " " a href=(row.link) rel="noreferrer noopener external" { "more" } }
                    }
                }
            }
        }
    }
}

fn group(model: &Model) -> Markup {
    html! {
        @if let Some(group) = &model.group {
            section #group {
                h2 { "Its group" }
                p {
                    "Core " a href={ "/groups/" (group.core) } { (text::hash(&group.core)) } ", "
                    (text::kind(&group.kind)) " of " (text::number(group.size)) " bytes: "
                    (text::count(group.samples, "different sample")) ", " (text::count(group.captures, "capture"))
                    " from " (text::count(group.sources, "host")) ", " (text::time_text(&group.first_seen)) " to " (text::time_text(&group.last_seen))
                }
                @if !group.near.is_empty() {
                    h3 { "Cores that are alike" }
                    ul {
                        @for near in &group.near {
                            li {
                                a href={ "/groups/" (near.core) } { (text::hash(&near.core)) }
                                @if near.distance == 0 { ", the same sections" } @else { ", TLSH distance " (near.distance) }
                                @if let Some(sample) = &near.sample {
                                    ": " a href={ "/samples/" (model.sha256) "/diff/" (sample) } { "compare" }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn compare(model: &Model) -> Markup {
    html! {
        section {
            h2 { "Compare with any other" }
            form method="get" action={ "/samples/" (model.sha256) "/diff" } {
                label { "SHA-256, or its beginning " input type="text" name="with" required pattern="[0-9A-Fa-f]{4,64}" maxlength="64" size="20"; }
                " " button type="submit" { "Compare" }
            }
        }
    }
}
