//! A picture of a file's bytes: each layer as wide as its part of the file, below what it lies in.

use crate::console::text;
use maud::{Markup, html};
use roridula_triage::{Kind, Layer, Report};

/// The picture's width in its own units.
const WIDTH: f64 = 960.0;
/// Height of a row.
const ROW: u32 = 34;
/// Width of a letter, about.
const LETTER: f64 = 6.6;
/// The narrowest that can be seen.
const NARROWEST: f64 = 1.5;
/// Rows; deeper layers are in the list.
const DEPTH_MAX: u32 = 12;

/// Some bytes of the whole file that are marked.
#[derive(Clone, Debug)]
pub(in crate::console::view) struct Mark {
    /// The first, in bytes from the file's start.
    pub(in crate::console::view) start: u64,
    /// How many.
    pub(in crate::console::view) size: u64,
    /// `differs`, `only`.
    pub(in crate::console::view) class: &'static str,
    /// What they are.
    pub(in crate::console::view) what: String,
}

/// A layer's place in the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Place {
    x: f64,
    width: f64,
    depth: u32,
}

/// Places of all layers, to scale: each in the place of what it lies in.
fn places(report: &Report) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::with_capacity(report.layers.len());
    for layer in &report.layers {
        let parent = layer.parent.and_then(|at| {
            let at = usize::try_from(at).ok()?;
            Some((places.get(at).copied()?, report.layers.get(at)?.size))
        });
        places.push(match parent {
            None => Place { x: 0.0, width: WIDTH, depth: 0 },
            Some((parent, size)) => {
                let share = |bytes: u64| (bytes.min(size) as f64) / (size.max(1) as f64) * parent.width;
                let (x, end) = (share(layer.offset), share(layer.offset.saturating_add(layer.stored_size)));
                Place { x: parent.x + x, width: end - x, depth: parent.depth + 1 }
            }
        });
    }
    places
}

/// How a kind is drawn.
const fn class(kind: Kind) -> &'static str {
    match kind {
        Kind::Payload => "c4",
        Kind::Stub | Kind::Shellcode => "c1",
        Kind::Pe => "c0",
        Kind::Resource => "c3",
        Kind::Zip | Kind::Cab | Kind::Gzip => "c2",
        Kind::Overlay | Kind::Data => "c5",
        Kind::Padding => "padding",
        Kind::Text => "c6",
    }
}

/// What a layer is called, as a comparison's words call it: `DLL`, `EXE`, `ZIP`, else its kind, with its name.
pub(super) fn called(layer: &Layer) -> String {
    let kind = match (&layer.facts.pe, layer.kind) {
        (Some(pe), _) if pe.dll => "DLL",
        (Some(_), _) => "EXE",
        (None, Kind::Payload) => "upload",
        (None, Kind::Zip) => "ZIP",
        (None, kind) => kind.as_str(),
    };
    if layer.name.is_empty() {
        kind.to_owned()
    } else {
        format!("{kind} {}", text::shown_to(&layer.name, 60))
    }
}

/// Where a layer begins: in the file where its bytes lie there as they are; else in what it had to be unpacked from.
pub(super) fn place_of(report: &Report, number: u32) -> String {
    let Some(layer) = report.layer(number) else { return String::new() };
    match (report.place(number), layer.parent.and_then(|parent| report.layer(parent))) {
        (Some(place), _) => format!("at {} in the file", text::number(place)),
        (None, Some(parent)) => {
            format!("at {} in the {}", text::number(layer.offset), called(parent))
        }
        (None, None) => String::new(),
    }
}

/// The picture; `marks` get a row of their own. Every layer leads to `anchor` and its number.
pub(in crate::console::view) fn picture(report: &Report, marks: &[Mark], anchor: &str) -> Markup {
    let places = places(report);
    let depth = places.iter().map(|place| place.depth).max().unwrap_or(0).min(DEPTH_MAX);
    let marks_at = (depth + 1) * ROW;
    let height = marks_at + if marks.is_empty() { 0 } else { ROW };
    let size = report.layers.first().map_or(1, |layer| layer.size.max(1));
    html! {
        svg.chart.bytes.wide viewBox=(format!("0 0 960 {height}")) role="group" aria-label="The file's bytes, each layer as wide as its part" {
            @for (number, place) in (0u32..).zip(&places) {
                @if place.depth <= DEPTH_MAX { (drawn(report, number, *place, &format!("{anchor}{number}"))) }
            }
            @if !marks.is_empty() {
                rect.equal x="0" y=(marks_at + 4) width="960" height=(ROW - 8) { title { "equal" } }
                @for mark in marks {
                    @let at = |byte: u64| (byte.min(size) as f64) / (size as f64) * WIDTH;
                    @let x = at(mark.start);
                    rect class=(mark.class) x=(round(x)) y=(marks_at + 4)
                        width=(round((at(mark.start.saturating_add(mark.size)) - x).max(NARROWEST))) height=(ROW - 8) {
                        title { (text::shown_to(&mark.what, 200)) }
                    }
                }
            }
        }
    }
}

fn round(units: f64) -> String {
    format!("{units:.2}")
}

fn drawn(report: &Report, number: u32, place: Place, href: &str) -> Markup {
    let Some(layer) = report.layer(number) else { return html! {} };
    let (name, is_core) = (called(layer), report.core == Some(number));
    let what = format!(
        "{name}: {} bytes {}{}",
        text::number(layer.size),
        place_of(report, number),
        if is_core { " (core)" } else { "" }
    );
    let top = place.depth * ROW;
    let letters = ((place.width - 8.0) / LETTER).max(0.0) as usize;
    html! {
        a href=(href) aria-label=(what) {
            title { (what) }
            rect class={ "box " (class(layer.kind)) @if is_core { " core" } } x=(round(place.x)) y=(top + 2)
                width=(round(place.width.max(NARROWEST))) height=(ROW - 4) {}
            @if letters >= 3 {
                text x=(round(place.x + 4.0)) y=(top + 21) {
                    @match name.char_indices().nth(letters) {
                        Some((at, _)) => { (name.get(..at).unwrap_or_default()) }
                        None => { (name) }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
pub(in crate::console::view) mod tests {
    use super::*;
    use roridula_triage::facts::Facts;
    use roridula_triage::{Depth, FORMAT, FoundBy, Hashes, State};

    pub(in crate::console::view) fn layer(
        parent: Option<u32>,
        kind: Kind,
        name: &str,
        offset: u64,
        size: u64,
    ) -> Layer {
        Layer {
            parent,
            kind,
            name: name.to_owned(),
            state: State::Intact,
            found_by: FoundBy::LengthField,
            offset,
            stored_size: size,
            size,
            encoding: String::new(),
            remarks: Vec::new(),
            hashes: Hashes { sha256: format!("{offset:064x}"), ..Hashes::default() },
            facts: Facts::default(),
            hits: Vec::new(),
        }
    }

    pub(in crate::console::view) fn report(layers: Vec<Layer>) -> Report {
        Report {
            format: FORMAT,
            depth: Depth::Full,
            rules: String::new(),
            layers,
            core: Some(1),
            verdict: None,
            remarks: vec![],
            is_bounded: false,
        }
    }

    #[test]
    fn layers_are_to_scale_within_each_other() {
        let report = report(vec![
            layer(None, Kind::Payload, "", 0, 1000),
            layer(Some(0), Kind::Stub, "", 0, 250),
            layer(Some(0), Kind::Pe, "", 250, 500),
            layer(Some(2), Kind::Zip, "", 250, 250),
            layer(Some(2), Kind::Data, "", 400, u64::MAX),
        ]);
        let at: Vec<(f64, f64, u32)> =
            places(&report).iter().map(|place| (place.x, place.width, place.depth)).collect();
        assert_eq!(
            at,
            [(0.0, 960.0, 0), (0.0, 240.0, 1), (240.0, 480.0, 1), (480.0, 240.0, 2), (624.0, 96.0, 2)]
        );
    }

    #[test]
    fn names_of_attackers_are_escaped_and_cut_and_empty_files_are_drawn() {
        let name = format!("<script>\u{202e}{}", "x".repeat(65_536));
        let report = report(vec![layer(None, Kind::Data, &name, 0, 0), layer(Some(0), Kind::Data, "", 9, 9)]);
        let page = picture(&report, &[], "#layer-").into_string();
        assert!(!page.contains("<script") && page.contains("&lt;script") && page.contains("\\u{202e}"));
        assert!(page.len() < 4_000 && !page.contains("NaN") && page.contains("href=\"#layer-1\""), "{page}");
    }
}
