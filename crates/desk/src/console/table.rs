//! A table of a view: for people with a caption and links, for programs as CSV.

use super::ask::Ask;
use super::text;
use maud::{Markup, html};
use roridula_proto::time::WallClock;
use std::fmt::Write;

/// Bytes of a text that gets a wide column.
const LONG: usize = 40;
/// Bytes of a text that may be cut within a word.
const WORD: usize = 12;
/// Characters of a sentence of ours that a page shows.
const SENTENCE_MAX: usize = 600;
/// Characters of a text of which a page shows no more than the beginning.
const CUT_MAX: usize = 60;

/// Columns of a table that needs not all of a wide page, and of one that stays a table on a phone: on others of those, each row
/// is a list.
const NARROW: usize = 6;
const SMALL: usize = 4;

/// A cell.
#[derive(Clone, Debug)]
pub(crate) enum Cell {
    /// Text, perhaps an attacker's.
    Text(String),
    /// Text of which the beginning is enough here, perhaps an attacker's; exports have all of it.
    Cut(String),
    /// A sentence of ours, as a rule what the whole row is about.
    Sentence(String),
    /// A number.
    Number(u64),
    /// A point in time.
    Time(WallClock),
    /// The end of what the cell before begins: on a page it stands below it, in one column.
    Last(WallClock),
    /// A text with an address of ours behind it.
    Link(String, String),
    /// A hash or name with an address of ours behind it.
    HashLink(String, String),
    /// A small drawing, and the same as text.
    Drawing(Markup, String),
    /// Nothing is known.
    None,
}

impl Cell {
    /// A text.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A sentence of ours.
    pub(crate) fn sentence(text: impl Into<String>) -> Self {
        Self::Sentence(text.into())
    }
}

/// A table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    /// Its name in an address: letters and `-`.
    pub(crate) name: &'static str,
    /// What it shows.
    pub(crate) caption: String,
    /// Its columns.
    pub(crate) columns: Vec<&'static str>,
    /// Its rows, each with a cell for each column.
    pub(crate) rows: Vec<Vec<Cell>>,
    /// What to do where there is no row.
    pub(crate) empty: Option<Markup>,
    /// Where the next page begins.
    pub(crate) next: Option<String>,
}

/// Links to the table of a view with this name as CSV, and to all of the view as JSON.
pub(crate) fn exports(ask: &Ask, name: &str) -> Markup {
    let address = ask.with("table", name);
    let join = if address.contains('?') { '&' } else { '?' };
    html! {
        p.exports {
            a href=(format!("{address}{join}as=csv")) download { "CSV" } " "
            a href=(ask.with("as", "json")) { "JSON" }
        }
    }
}

impl Table {
    /// As HTML, with links to its CSV and to its next page.
    pub(crate) fn html(&self, ask: &Ask) -> Markup {
        html! {
            section.table id=(self.name) {
                header {
                    h2 { (self.caption) }
                    (exports(ask, self.name))
                }
                @if self.rows.is_empty() {
                    @match &self.empty {
                        Some(empty) => { div.empty { (empty) } }
                        None => { p.empty { "Nothing here." } }
                    }
                    @if ask.is_filtered() { p { a href=(ask.path) { "Without the filter" } } }
                } @else {
                    div.scroll tabindex="0" role="region" aria-label=(self.caption) { (self.grid()) }
                }
                @if let Some(next) = &self.next {
                    p.more { a rel="next" href=(next_page(ask, next)) { "Next page" } }
                }
            }
        }
    }

    fn grid(&self) -> Markup {
        let heads = self.heads();
        let says = self.rows.iter().flatten().any(|cell| matches!(cell, Cell::Sentence(_)));
        let is_small = !says && heads.len() <= SMALL && !heads.iter().any(|head| head.is_time);
        html! {
            table.rows[!is_small].narrow[!says && heads.len() <= NARROW] {
                thead { tr { @for head in &heads { (head.html()) } } }
                tbody {
                    @for row in &self.rows {
                        tr {
                            @for head in &heads {
                                @let last = head.last.and_then(|_| row.get(head.at + 1));
                                (cell_html(row.get(head.at).unwrap_or(&Cell::None), last, &head.label()))
                            }
                        }
                    }
                }
            }
        }
    }

    /// The columns of a page: a column of ends stands below the beginnings.
    fn heads(&self) -> Vec<Head> {
        let has = |at: usize, is: fn(&Cell) -> bool| self.rows.iter().any(|row| row.get(at).is_some_and(is));
        let is_last = |at: usize| has(at, |cell| matches!(cell, Cell::Last(_)));
        let columns = self.columns.iter().enumerate().filter(|(at, _)| *at == 0 || !is_last(*at));
        let head = |(at, name): (usize, &&'static str)| Head {
            at,
            name,
            last: self.columns.get(at + 1).copied().filter(|_| is_last(at + 1)),
            is_number: has(at, |cell| matches!(cell, Cell::Number(_))),
            is_time: has(at, |cell| matches!(cell, Cell::Time(_))),
        };
        columns.map(head).collect()
    }

    /// As CSV, the names of the columns first.
    #[cfg(test)]
    pub(crate) fn csv(&self) -> String {
        let mut out = self.csv_head();
        self.csv_rows(&mut out);
        out
    }

    /// The names of the columns as CSV.
    pub(crate) fn csv_head(&self) -> String {
        let mut out = String::new();
        line(&mut out, self.columns.iter().map(|name| (*name).to_owned()));
        out
    }

    /// Its rows as CSV ([RFC 4180]). A cell that a spreadsheet would take for a formula gets an apostrophe in front.
    pub(crate) fn csv_rows(&self, out: &mut String) {
        for row in &self.rows {
            line(out, row.iter().map(cell_text));
        }
    }
}

/// The head of a column on a page.
struct Head {
    /// Which of a row's cells it is of.
    at: usize,
    name: &'static str,
    /// The name of the next one, whose cells stand below its own.
    last: Option<&'static str>,
    is_number: bool,
    is_time: bool,
}

impl Head {
    /// In one line. That times are UTC is said here, once.
    fn label(&self) -> String {
        let name = self.last.map_or_else(
            || self.name.to_owned(),
            |last| format!("{}, {}", self.name, last.to_ascii_lowercase()),
        );
        if self.is_time { format!("{name} (UTC)") } else { name }
    }

    fn html(&self) -> Markup {
        html! {
            th scope="col" class=[self.is_number.then_some("number")] {
                (self.name)
                @if let Some(last) = self.last { "," br; (last.to_ascii_lowercase()) }
                @if self.is_time { " (UTC)" }
            }
        }
    }
}

/// The address of the page that begins at `next`.
fn next_page(ask: &Ask, next: &str) -> String {
    let address = ask.with("cursor", "");
    let join = if address.contains('?') { '&' } else { '?' };
    // The cursor is ours: digits, letters and dots.
    format!("{address}{join}cursor={next}")
}

/// A cell; `last` stands below it. `label` says on a phone what it is, where the heads are not shown.
fn cell_html(cell: &Cell, last: Option<&Cell>, label: &str) -> Markup {
    match cell {
        Cell::Text(text) if text.is_empty() => html! { td.none { "–" } },
        Cell::Text(text) => html! { td.long[text.len() > LONG] data-label=(label) { (text::shown(text)) } },
        Cell::Cut(text) if text.is_empty() => html! { td.none { "–" } },
        Cell::Cut(text) => {
            html! { td.cut[text.len() > WORD] data-label=(label) { (text::shown_to(text, CUT_MAX)) } }
        }
        Cell::Sentence(text) => html! { td.says { (text::shown_to(text, SENTENCE_MAX)) } },
        Cell::Number(n) => html! { td.number data-label=(label) { (text::number(*n)) } },
        Cell::Time(at) | Cell::Last(at) => html! {
            td.time data-label=(label) {
                (text::bare_time(*at))
                @if let Some(Cell::Last(last)) = last && last.0 / 1_000_000 != at.0 / 1_000_000 {
                    " " (text::bare_time(*last))
                }
            }
        },
        Cell::Link(text, href) => html! { td data-label=(label) { a href=(href) { (text::shown(text)) } } },
        Cell::HashLink(name, href) => {
            html! { td.name data-label=(label) { a href=(href) { (text::hash(name)) } } }
        }
        Cell::Drawing(drawing, _) => html! { td.drawing data-label=(label) { (drawing) } },
        Cell::None => html! { td.none { "–" } },
    }
}

fn cell_text(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) | Cell::Link(text, _) | Cell::HashLink(text, _) => text.clone(),
        Cell::Drawing(_, text) | Cell::Cut(text) | Cell::Sentence(text) => text.clone(),
        Cell::Number(n) => n.to_string(),
        Cell::Time(at) | Cell::Last(at) => roridula_evidence::rfc3339(*at),
        Cell::None => String::new(),
    }
}

fn line(out: &mut String, cells: impl Iterator<Item = String>) {
    for (at, cell) in cells.enumerate() {
        if at > 0 {
            out.push(',');
        }
        // Also where a tab or a line end hides the sign from us but not from the spreadsheet.
        let hides = |c: char| c.is_whitespace() || !roridula_proto::event::Text::shows(c);
        let first = cell.trim_start_matches(hides).chars().next();
        let signs = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];
        let formula =
            first.is_some_and(|first| signs.contains(&first)) || cell.starts_with(['\t', '\r', '\n']);
        let sign = if formula { "'" } else { "" };
        let visible = roridula_proto::event::Text(cell).to_string();
        // Writing to a String cannot fail.
        let _ = write!(out, "\"{sign}{}\"", visible.replace('"', "\"\""));
    }
    out.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_holds_no_formula_and_no_broken_line() {
        let rows = vec![
            vec![Cell::text("=HYPERLINK(1)"), Cell::Number(7)],
            vec![Cell::text(" @x"), Cell::None],
            vec![Cell::text("a\"b,\nc\u{202e}"), Cell::text("-1")],
            vec![Cell::text("\u{feff}=1"), Cell::text("＝1")],
        ];
        let table = Table { columns: vec!["a", "b"], rows, ..Table::default() };
        let expected = "\"a\",\"b\"\r\n\"'=HYPERLINK(1)\",\"7\"\r\n\"' @x\",\"\"\r\n\"a\"\"b,\\u{a}c\\u{202e}\",\"'-1\"\r\n\"'\\u{feff}=1\",\"'＝1\"\r\n";
        assert_eq!(table.csv(), expected);
    }
    #[test]
    fn a_sentence_is_whole_and_ends_stand_below_beginnings_on_a_page_only() {
        let row = |last| {
            let sentence = format!("{} the verdict", "x".repeat(300));
            vec![
                Cell::Time(WallClock(60_000_000)),
                Cell::Last(WallClock(last)),
                Cell::Sentence(sentence),
                Cell::Number(1),
            ]
        };
        let rows = vec![row(60_000_001), row(120_000_000)];
        let columns = vec!["First", "Last", "What", "Count"];
        let table = Table { name: "t", columns, rows, ..Table::default() };
        let page = table.html(&Ask::default()).into_string();
        assert_eq!(page.matches("the verdict").count(), 2, "{page}");
        assert_eq!(page.matches("<th ").count(), 3);
        assert_eq!((page.matches(" UTC").count(), page.matches("(UTC)").count()), (0, 3), "{page}");
        assert_eq!(page.matches("<time ").count(), 3, "an end that is the beginning is not told twice");
        assert!(page.contains("<th scope=\"col\" class=\"number\">Count"));
        assert!(table.csv().starts_with("\"First\",\"Last\",\"What\",\"Count\"\r\n"));
        assert!(table.csv().contains("\"1970-01-01T00:01:00.000000Z\",\"1970-01-01T00:02:00.000000Z\""));
    }
}
