//! Two samples compared: in words, and as two pictures on which what differs is marked.

use super::View;
use super::asked;
use super::sample::{Mark, find_named, picture};
use crate::console::ask::{Ask, Problem};
use crate::console::chart;
use crate::console::page::Page;
use crate::console::shelf::Shelf;
use crate::console::table::{Cell, Table, exports};
use crate::console::text;
use maud::{Markup, html};
use roridula_evidence::SampleView;
use roridula_triage::{Diff as Found, LayerDiff, RangeDiff, Report, diff};
use schemars::JsonSchema;
use serde::Serialize;

/// Bytes of one sample that are compared: as many as an upload may have by default.
const BYTES_MAX: u64 = 64 * 1024 * 1024;

/// `/samples/{a}/diff/{b}`
pub(crate) struct Diff;

/// What it shows.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Model {
    /// The one.
    a: SideRow,
    /// The other.
    b: SideRow,
    /// The differences in words.
    lines: Vec<String>,
    /// Pairs of layers, and layers that only one sample has.
    layers: Vec<LayerRow>,
    /// Ranges that were left out, because there are too many.
    more: u64,
}

/// One of the two.
#[derive(Debug, Serialize, JsonSchema)]
struct SideRow {
    /// SHA-256, hexadecimal.
    sha256: String,
    /// Bytes.
    size: u64,
    /// What it is, in one sentence.
    sentence: String,
    /// Triage's report.
    #[schemars(with = "serde_json::Value")]
    report: Report,
}

/// A pair of layers.
#[derive(Debug, Serialize, JsonSchema)]
struct LayerRow {
    /// What it is, in words.
    what: String,
    /// Its number in the first sample's report; null where that has none.
    a: Option<u32>,
    /// Its number in the second sample's report; null where that has none.
    b: Option<u32>,
    /// Its size in the first sample, in bytes.
    a_size: u64,
    /// Its size in the second sample, in bytes.
    b_size: u64,
    /// Whether all of it is equal.
    equal: bool,
    /// Whether its bytes were compared: not where something has to be decoded to come to them.
    compared: bool,
    /// Where its own bytes differ.
    ranges: Vec<RangeRow>,
}

/// Bytes that differ.
#[derive(Debug, Serialize, JsonSchema)]
struct RangeRow {
    /// Where they start in the first layer.
    a_at: u64,
    /// How many the first has.
    a_size: u64,
    /// Where they start in the second layer.
    b_at: u64,
    /// How many the second has.
    b_size: u64,
    /// What stands there.
    meaning: String,
}

impl View for Diff {
    type Model = Model;
    const PATH: &'static str = "/samples/{a}/diff/{b}";
    const API: &'static str = "/samples/{a}/diff/{b}";
    const ABOUT: &'static str = "Where two samples differ, and what that means.";
    const HEEDS: &'static [&'static str] = &[];

    fn load(shelf: &mut Shelf, ask: &Ask) -> Result<Model, Problem> {
        let (a, b) = (find_named(shelf, ask.place("a"))?, find_named(shelf, ask.place("b"))?);
        let (ra, rb) = (report(shelf, &a)?, report(shelf, &b)?);
        let bytes = |sample: &SampleView| {
            shelf.reader.sample_bytes(sample.sha256, BYTES_MAX).map_err(Problem::failed)
        };
        let Found { layers, more, lines } = diff(&bytes(&a)?, &ra, &bytes(&b)?, &rb);
        Ok(Model {
            a: side(shelf, &a, ra),
            b: side(shelf, &b, rb),
            lines,
            layers: layers.into_iter().map(layer).collect(),
            more,
        })
    }

    fn page(model: &Model, ask: &Ask) -> Page {
        Page::of_one("Two samples compared", body(model, ask))
    }

    fn tables(model: &Model, _ask: &Ask) -> Vec<Table> {
        vec![table(model), marks_table(model), words_table(model)]
    }
}

fn report(shelf: &Shelf, sample: &SampleView) -> Result<Report, Problem> {
    let found = shelf.reports.get(sample.sha256).map_err(Problem::failed)?;
    found.ok_or_else(|| Problem::Missing(format!("triage has no report of {} yet", sample.sha256)))
}

fn side(shelf: &Shelf, sample: &SampleView, report: Report) -> SideRow {
    let entry = asked::entry(shelf, sample.sha256);
    SideRow {
        sha256: sample.sha256.to_string(),
        size: sample.size,
        sentence: entry.map(|entry| entry.sentence.clone()).unwrap_or_default(),
        report,
    }
}

fn layer(layer: LayerDiff) -> LayerRow {
    let range = |range: RangeDiff| RangeRow {
        a_at: range.a_at,
        a_size: range.a_size,
        b_at: range.b_at,
        b_size: range.b_size,
        meaning: range.meaning,
    };
    LayerRow {
        what: layer.what,
        a: layer.a,
        b: layer.b,
        a_size: layer.a_size,
        b_size: layer.b_size,
        equal: layer.equal,
        compared: layer.compared,
        ranges: layer.ranges.into_iter().map(range).collect(),
    }
}

/// What of one side's bytes is marked. `number` is a pair's layer on that side, `other` on the other side, `place` a
/// range's bytes there.
fn marks(
    model: &Model,
    report: &Report,
    number: fn(&LayerRow) -> Option<u32>,
    other: fn(&LayerRow) -> Option<u32>,
    place: fn(&RangeRow) -> (u64, u64),
) -> Vec<Mark> {
    let mut marks = Vec::new();
    for layer in &model.layers {
        // What has to be decoded has no place in the file.
        let Some((number, start)) = number(layer).and_then(|at| Some((at, report.place(at)?))) else {
            continue;
        };
        if other(layer).is_none() {
            let size = report.layer(number).map_or(0, |layer| layer.stored_size);
            let what = format!("only here: {}", layer.what);
            marks.push(Mark { start, size, class: "only", what });
        }
        for range in &layer.ranges {
            let (at, size) = place(range);
            let start = start.saturating_add(at);
            marks.push(Mark {
                start,
                size,
                class: "differs",
                what: format!("{}: {}", layer.what, range.meaning),
            });
        }
    }
    marks
}

/// What is marked of A, and of B.
fn both_marks(model: &Model) -> [Vec<Mark>; 2] {
    let a =
        marks(model, &model.a.report, |layer| layer.a, |layer| layer.b, |range| (range.a_at, range.a_size));
    let b =
        marks(model, &model.b.report, |layer| layer.b, |layer| layer.a, |range| (range.b_at, range.b_size));
    [a, b]
}

/// What the pictures show, for spreadsheets.
fn marks_table(model: &Model) -> Table {
    let cells = |side: &'static str| {
        move |mark: Mark| {
            vec![Cell::text(side), Cell::Number(mark.start), Cell::Number(mark.size), Cell::Text(mark.what)]
        }
    };
    let [a, b] = both_marks(model);
    Table {
        name: "marks",
        columns: vec!["In", "At in the file", "Bytes", "What"],
        rows: a.into_iter().map(cells("A")).chain(b.into_iter().map(cells("B"))).collect(),
        ..Table::default()
    }
}

/// The differences in words, for spreadsheets.
fn words_table(model: &Model) -> Table {
    let rows = model.lines.iter().map(|line| vec![Cell::text(line)]).collect();
    Table { name: "words", columns: vec!["Difference"], rows, ..Table::default() }
}

fn body(model: &Model, ask: &Ask) -> Markup {
    let [a, b] = both_marks(model);
    html! {
        @if model.a.sha256 == model.b.sha256 { p.notice { "This is one and the same sample." } }
        section {
            h2 { "In words" }
            ul { @for line in &model.lines { li { (text::shown_to(line, 600)) } } }
            (exports(ask, "words"))
        }
        (of_side("A", &model.a, &a))
        (of_side("B", &model.b, &b))
        (exports(ask, "marks"))
        p.legend {
            @for (class, what) in [("equal", "equal"), ("differs", "differs"), ("only", "only in this one")] {
                span {
                    svg.key viewBox="0 0 24 14" aria-hidden="true" { rect class=(class) x="1" y="1" width="22" height="12" {} }
                    (what)
                }
            }
        }
        (table(model).html(ask))
        @if model.more > 0 { p.notice { "and " (text::number(model.more)) " more ranges" } }
        p { a href={ "/samples/" (model.b.sha256) "/diff/" (model.a.sha256) } { "The other way round" } }
    }
}

fn of_side(name: &str, side: &SideRow, marks: &[Mark]) -> Markup {
    let anchor = format!("/samples/{}#layer-", side.sha256);
    let rows = html! {
        div.scroll tabindex="0" role="region" aria-label={ "What differs in " (name) } {
            table {
                thead { tr { th scope="col" { "At in the file" } th scope="col" { "Bytes" } th scope="col" { "What" } } }
                tbody {
                    @for mark in marks {
                        tr { td.number { (text::number(mark.start)) } td.number { (text::number(mark.size)) } td { (text::shown_to(&mark.what, 200)) } }
                    }
                }
            }
        }
    };
    let drawing = chart::wide(&format!("Bytes of {name}"), &picture(&side.report, marks, &anchor));
    html! {
        section {
            h2 { (name) ": " a href={ "/samples/" (side.sha256) } { (text::hash(&side.sha256)) } ", " (text::number(side.size)) " bytes" }
            @if !side.sentence.is_empty() { p { (text::shown_to(&side.sentence, 600)) } }
            (chart::figure("Its bytes, to scale; below them what differs", &drawing, &rows))
        }
    }
}

fn table(model: &Model) -> Table {
    let mut rows = Vec::new();
    for layer in &model.layers {
        let verdict = match (layer.a, layer.b, layer.equal, layer.compared) {
            (None, ..) => "only B has it",
            (_, None, ..) => "only A has it",
            (_, _, true, _) => "equal",
            (_, _, _, true) if layer.ranges.is_empty() => "differs only in what is inside",
            (_, _, _, true) => "differs",
            _ => "differs; its bytes were not compared",
        };
        let range = |range: Option<&RangeRow>| {
            vec![
                Cell::text(&layer.what),
                Cell::text(verdict),
                Cell::Number(layer.a_size),
                Cell::Number(layer.b_size),
                range.map_or(Cell::None, |range| Cell::Number(range.a_at)),
                range.map_or(Cell::None, |range| Cell::Number(range.a_size)),
                range.map_or(Cell::None, |range| Cell::Number(range.b_at)),
                range.map_or(Cell::None, |range| Cell::Number(range.b_size)),
                range.map_or(Cell::None, |range| Cell::text(&range.meaning)),
            ]
        };
        match layer.ranges.is_empty() {
            true => rows.push(range(None)),
            false => rows.extend(layer.ranges.iter().map(|one| range(Some(one)))),
        }
    }
    Table {
        name: "ranges",
        caption: "Layer by layer".to_owned(),
        columns: vec![
            "Layer",
            "Verdict",
            "Size in A",
            "Size in B",
            "At in A's layer",
            "Bytes",
            "At in B's layer",
            "Bytes",
            "What stands there",
        ],
        rows,
        empty: None,
        next: None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::asked::tests::ask;
    use super::super::sample::tests as made;
    use super::*;
    use roridula_triage::Kind;

    fn side() -> SideRow {
        let layers =
            vec![made::layer(None, Kind::Payload, "", 0, 100), made::layer(Some(0), Kind::Pe, "", 40, 60)];
        let report = made::report(layers);
        SideRow { sha256: "ab".repeat(32), size: 100, sentence: String::new(), report }
    }

    #[test]
    fn differences_are_exported_where_they_are_shown() {
        let range = RangeRow { a_at: 2, a_size: 1, b_at: 3, b_size: 4, meaning: "=cmd()".to_owned() };
        let what = "an EXE".to_owned();
        let (a, b) = (Some(1), Some(1));
        let layer = LayerRow {
            what,
            a,
            b,
            a_size: 60,
            b_size: 60,
            equal: false,
            compared: true,
            ranges: vec![range],
        };
        let lines = vec!["=1+1".to_owned()];
        let model = Model { a: side(), b: side(), lines, layers: vec![layer], more: 0 };
        let asked = ask("/samples/a/diff/b", &[]);
        let page = Diff::page(&model, &asked).html(&asked);
        let csv: Vec<String> = Diff::tables(&model, &asked)
            .iter()
            .map(|table| {
                assert!(page.contains(&format!("?table={}&amp;as=csv", table.name)), "{}", table.name);
                table.csv().replace('"', "")
            })
            .collect();
        assert!(csv[0].contains("an EXE,differs,60,60,2,1,3,4,'=cmd()"), "{csv:?}");
        assert_eq!(
            csv[1],
            "In,At in the file,Bytes,What\r\nA,42,1,an EXE: =cmd()\r\nB,43,4,an EXE: =cmd()\r\n"
        );
        assert_eq!(csv[2], "Difference\r\n'=1+1\r\n");
    }
}
