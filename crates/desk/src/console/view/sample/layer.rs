//! What is known of each layer: hashes, facts, rules, indicators.

use super::Model;
use super::bytes::{called, place_of};
use crate::console::ask::Ask;
use crate::console::table::{Cell, Table, exports};
use crate::console::text;
use maud::{Markup, html};
use roridula_triage::facts::{CodeFacts, PeFacts, ResourceFacts, StubFacts, ZipFacts};
use roridula_triage::rules::Hit;
use roridula_triage::{Layer, Report, State};
use std::collections::BTreeMap;

/// Lines of one list of facts (sections, imports, members, strings) that a page shows; all are in the exports.
const LIST_MAX: usize = 64;
/// Characters of one line.
const LINE_MAX: usize = 240;

/// The numbers of the layers, each followed by what lies in it, with how deep it lies.
fn in_order(report: &Report) -> Vec<(u32, usize)> {
    let mut within: BTreeMap<Option<u32>, Vec<u32>> = BTreeMap::new();
    for (number, layer) in (0u32..).zip(&report.layers) {
        // A layer comes after what it lies in; whatever says otherwise lies in nothing.
        within.entry(layer.parent.filter(|parent| *parent < number)).or_default().push(number);
    }
    let mut order = Vec::with_capacity(report.layers.len());
    let mut next: Vec<(u32, usize)> =
        within.remove(&None).unwrap_or_default().iter().rev().map(|n| (*n, 0)).collect();
    while let Some((number, depth)) = next.pop() {
        order.push((number, depth));
        let inner = within.remove(&Some(number)).unwrap_or_default();
        next.extend(inner.iter().rev().map(|number| (*number, depth + 1)));
    }
    order
}

/// All layers as a tree, each with what is known of it.
pub(super) fn tree(report: &Report, ask: &Ask) -> Markup {
    let order = in_order(report);
    let layers = order.iter().filter_map(|(number, depth)| Some((*number, *depth, report.layer(*number)?)));
    html! {
        @for (number, depth, layer) in layers {
            @let depth = depth.min(8);
            details id={ "layer-" (number) } class={ "layer depth-" (depth) } open[report.core == Some(number)] {
                summary {
                    strong { (called(layer)) }
                    " " (text::number(layer.size)) " bytes"
                    @if layer.parent.is_some() { " " (place_of(report, number)) }
                    @if !layer.encoding.is_empty() { ", " (text::shown(&layer.encoding)) }
                    @if layer.state != State::Intact { " " span.badge.warn { (layer.state) } }
                    @if report.core == Some(number) { " " span.badge { "core" } }
                }
                @for remark in &layer.remarks { p.notice { (text::shown_to(remark, LINE_MAX)) } }
                (hashes(layer))
                @if let Some(pe) = &layer.facts.pe { (of_pe(pe, &called(layer), ask)) }
                @if let Some(stub) = &layer.facts.stub { (of_stub(stub)) }
                @if let Some(code) = &layer.facts.code { (of_code(code, ask)) }
                @if let Some(zip) = &layer.facts.zip { (of_zip(zip, ask)) }
                (list("Strings of interest", &layer.facts.strings, &exports(ask, "strings")))
            }
        }
    }
}

fn hashes(layer: &Layer) -> Markup {
    let hashes = &layer.hashes;
    let all = [
        ("SHA-256", &hashes.sha256),
        ("SHA-1", &hashes.sha1),
        ("MD5", &hashes.md5),
        ("ssdeep", &hashes.ssdeep),
        ("TLSH", &hashes.tlsh),
    ];
    html! {
        dl {
            dt { "Found" } dd { (layer.found_by) }
            @for (name, hash) in all {
                @if !hash.is_empty() { dt { (name) } dd { (whole_hash(hash)) } }
            }
            @if !layer.facts.looks_like.is_empty() { dt { "Looks like" } dd { (text::shown(&layer.facts.looks_like)) } }
            dt { "Entropy" } dd { (format!("{:.2} bits a byte", layer.facts.entropy)) }
        }
    }
}

/// A hash in full, copied by a click.
pub(super) fn whole_hash(hash: &str) -> Markup {
    html! { code.hash data-copy=(hash) { (text::shown(hash)) } }
}

/// A list of attacker's texts, folded; `exports` leads to all of it, with those of other layers.
fn list(title: &str, lines: &[String], exports: &Markup) -> Markup {
    titled(&format!("{title} ({})", lines.len()), lines, exports)
}

/// As [`list`], with a title that says how many there are.
fn titled(title: &str, lines: &[String], exports: &Markup) -> Markup {
    html! {
        @if !lines.is_empty() {
            details {
                summary { (title) }
                ul { @for line in lines.iter().take(LIST_MAX) { li { code { (text::shown_to(line, LINE_MAX)) } } } }
                @if lines.len() > LIST_MAX { p.quiet { "and " (lines.len() - LIST_MAX) " more in the exports" } }
                (exports)
            }
        }
    }
}

fn of_pe(pe: &PeFacts, name: &str, ask: &Ask) -> Markup {
    let linked = roridula_proto::time::WallClock(u64::from(pe.timestamp) * 1_000_000);
    html! {
        dl {
            dt { "File" } dd { (if pe.dll { "DLL" } else { "EXE" }) ", " (pe.machine) ", subsystem " (pe.subsystem) @if pe.signed { ", has a certificate table" } }
            dt { "Linked" } dd { (text::time(linked)) " by its own word" }
            dt { "Entry" } dd { code { (format!("{:#x}", pe.entry)) } }
            @if !pe.imphash.is_empty() { dt { "Import hash" } dd { (whole_hash(&pe.imphash)) } }
            @if !pe.rich_hash.is_empty() { dt { "Rich hash" } dd { (whole_hash(&pe.rich_hash)) } }
            @if !pe.packer.is_empty() { dt { "Packed" } dd { (text::shown(&pe.packer)) } }
            @if !pe.export_name.is_empty() { dt { "Calls itself" } dd { code { (text::shown(&pe.export_name)) } } }
            @for (name, value) in pe.version.iter().take(LIST_MAX) { dt { (text::shown_to(name, 40)) } dd { (text::shown(value)) } }
        }
        @for oddity in &pe.oddities { p.notice { (text::shown_to(oddity, LINE_MAX)) } }
        (sections(pe, name, ask))
        (list("Exports", &pe.exports, &exports(ask, "exports")))
        (list("Imports", &imports(pe), &exports(ask, "imports")))
        (list("Resources", &resources(pe, name), &exports(ask, "resources")))
    }
}

/// `name` is what they lie in.
fn resources(pe: &PeFacts, name: &str) -> Vec<String> {
    let line = |one: &ResourceFacts| {
        format!(
            "{}: {} bytes at {} in the {name}",
            one.path,
            text::number(one.size),
            text::number(one.offset)
        )
    };
    pe.resources.iter().map(line).collect()
}

fn imports(pe: &PeFacts) -> Vec<String> {
    let line = |import: &roridula_triage::facts::Import| {
        let functions: Vec<&str> = import.functions.iter().take(LIST_MAX).map(String::as_str).collect();
        format!("{}: {}", import.library, functions.join(", "))
    };
    pe.imports.iter().map(line).collect()
}

fn sections(pe: &PeFacts, name: &str, ask: &Ask) -> Markup {
    let at = format!("At in the {name}");
    html! {
        @if !pe.sections.is_empty() {
            details {
                summary { "Sections (" (pe.sections.len()) ")" }
                div.scroll tabindex="0" role="region" aria-label="Sections" {
                    table {
                        thead { tr { @for name in ["Name", at.as_str(), "Bytes", "Address", "In memory", "Flags", "Entropy", "MD5"] { th scope="col" { (name) } } } }
                        tbody {
                            @for section in pe.sections.iter().take(LIST_MAX) {
                                tr {
                                    td { code { (text::shown_to(&section.name, 40)) } }
                                    td.number { (text::number(section.offset.into())) }
                                    td.number { (text::number(section.size.into())) }
                                    td.number { (format!("{:#x}", section.address)) }
                                    td.number { (text::number(section.virtual_size.into())) }
                                    td.number { (format!("{:#010x}", section.flags)) }
                                    td.number { (format!("{:.2}", section.entropy)) }
                                    td { @if section.md5.is_empty() { "–" } @else { (text::hash(&section.md5)) } }
                                }
                            }
                        }
                    }
                }
                (exports(ask, "sections"))
            }
        }
    }
}

fn of_stub(stub: &StubFacts) -> Markup {
    html! {
        dl {
            dt { "Stub" } dd { (text::shown(&stub.name)) ", " (text::shown(&stub.machine)) }
            dt { "Carries" } dd { (text::number(stub.file_size.into())) " bytes, calls export " (stub.ordinal) }
            dt { "Copies" } dd { (text::number(stub.copied.into())) " bytes to user mode" }
            dt { "Without its fields" } dd { (whole_hash(&stub.skeleton)) }
        }
    }
}

fn of_code(code: &CodeFacts, ask: &Ask) -> Markup {
    html! {
        dl {
            dt { "Code" } dd { (text::shown(&code.machine)) ", from byte " (text::number(code.entry)) ", " (text::count(code.instructions.into(), "instruction")) }
            @if !code.traits.is_empty() { dt { "Does" } dd { (text::shown_to(&code.traits.join(", "), LINE_MAX)) } }
            @if !code.process.is_empty() { dt { "Goes into" } dd { (text::shown(&code.process)) } }
            @if !code.unwrapped.is_empty() { dt { "Unwraps" } dd { (text::shown_to(&code.unwrapped, LINE_MAX)) } }
        }
        (list("Functions that it asks for", &code.apis, &exports(ask, "code")))
        (list("What it did in the emulator", &code.emulated, &exports(ask, "code")))
        (titled(&listed(code), &code.listing, &exports(ask, "code")))
    }
}

/// How much of the code is listed.
fn listed(code: &CodeFacts) -> String {
    let (some, all) = (code.listing.len() as u64, u64::from(code.instructions));
    match some < all {
        true => format!("First {} of {} instructions", text::number(some), text::number(all)),
        false => format!("All {}", text::count(some, "instruction")),
    }
}

fn of_zip(zip: &ZipFacts, ask: &Ask) -> Markup {
    let member = |member: &roridula_triage::facts::Member| {
        let at = member.damaged_at.map_or(String::new(), |at| format!(" from byte {}", text::number(at)));
        format!("{}: {} bytes, {}{at}", member.name, text::number(member.size), member.state)
    };
    html! {
        dl {
            dt { "Archive" }
            dd {
                (text::count(zip.members.len() as u64, "member"))
                @if !zip.password.is_empty() { ", opened by the published password " code { (text::shown(&zip.password)) } }
                @if zip.without_directory { ", its directory is missing" }
            }
        }
        (list("Members", &zip.members.iter().map(member).collect::<Vec<_>>(), &exports(ask, "members")))
    }
}

/// What the picture shows, for spreadsheets.
pub(super) fn table(model: &Model) -> Table {
    let layers = model.report.iter().flat_map(|report| report.layers.iter().enumerate());
    let place = |number: usize| {
        let place = |report: &Report| report.place(u32::try_from(number).ok()?);
        model.report.as_ref().and_then(place).map_or(Cell::None, Cell::Number)
    };
    let cells = |(number, layer): (usize, &Layer)| {
        vec![
            Cell::Number(number as u64),
            layer.parent.map_or(Cell::None, |parent| Cell::Number(parent.into())),
            Cell::text(layer.kind.to_string()),
            Cell::text(&layer.name),
            place(number),
            Cell::Number(layer.offset),
            Cell::Number(layer.size),
            Cell::text(layer.state.to_string()),
            Cell::text(&layer.hashes.sha256),
        ]
    };
    Table {
        name: "layers",
        caption: "What is inside".to_owned(),
        columns: vec![
            "Layer",
            "In",
            "Kind",
            "Name",
            "At in the file",
            "At in what it lies in",
            "Bytes",
            "State",
            "SHA-256",
        ],
        rows: layers.map(cells).collect(),
        ..Table::default()
    }
}

/// Which rules fit, with whose they are.
pub(super) fn rules(model: &Model) -> Table {
    let layers = model.report.iter().flat_map(|report| report.layers.iter().enumerate());
    let cells = |(number, layer, hit): (usize, &Layer, &Hit)| {
        vec![
            Cell::text(&hit.rule),
            Cell::text(&hit.author),
            Cell::text(&hit.licence),
            Cell::text(&hit.description),
            Cell::text(&hit.family),
            Cell::text(&hit.confidence),
            Cell::Link(called(layer), format!("#layer-{number}")),
            Cell::text(&hit.file),
        ]
    };
    let hits = layers.flat_map(|(number, layer)| layer.hits.iter().map(move |hit| (number, layer, hit)));
    Table {
        name: "rules",
        caption: "Rules that fit".to_owned(),
        columns: vec!["Rule", "Author", "Licence", "For", "Family", "Confidence", "Layer", "File"],
        rows: hits.map(cells).collect(),
        empty: Some(html! { p { "None." } }),
        next: None,
    }
}

/// What it would talk to, make or ask for; each once, with the first layer that has it.
pub(super) fn indicators(model: &Model) -> Table {
    let mut told = std::collections::BTreeSet::new();
    let layers = model.report.iter().flat_map(|report| report.layers.iter().enumerate());
    let mut rows = Vec::new();
    for (number, layer) in layers {
        let code = layer.facts.code.iter().flat_map(|code| &code.indicators);
        for found in layer.facts.indicators.iter().chain(code) {
            if told.insert((found.kind, found.value.as_str())) {
                rows.push(vec![
                    Cell::text(found.kind.as_str()),
                    Cell::text(&found.value),
                    Cell::text(&found.note),
                    Cell::Link(called(layer), format!("#layer-{number}")),
                    Cell::Number(found.at),
                ]);
            }
        }
    }
    Table {
        name: "indicators",
        caption: "Indicators, read from its bytes and never looked up".to_owned(),
        columns: vec!["What", "Value", "Known of it", "Layer", "At in the layer"],
        rows,
        empty: Some(html! { p { "None." } }),
        next: None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::bytes::tests;
    use super::*;
    use roridula_triage::Kind;

    #[test]
    fn a_layer_is_followed_by_what_lies_in_it() {
        let parents = [None, Some(0), Some(0), Some(1), Some(9), Some(3)];
        let layers = parents.map(|parent| tests::layer(parent, Kind::Data, "", 0, 1));
        let report = tests::report(layers.to_vec());
        assert_eq!(in_order(&report), [(0, 0), (1, 1), (3, 2), (5, 3), (2, 1), (4, 0)]);
    }
}
