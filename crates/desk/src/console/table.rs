//! A table of a view: for people with a caption and links, for programs as CSV.

use super::ask::Ask;
use super::text;
use maud::{Markup, html};
use roridula_proto::time::WallClock;
use std::fmt::Write;

/// Bytes of a text that gets a wide column.
const LONG: usize = 60;

/// A cell.
#[derive(Clone, Debug)]
pub(crate) enum Cell {
    /// Text, perhaps an attacker's.
    Text(String),
    /// A number.
    Number(u64),
    /// A point in time.
    Time(WallClock),
    /// A hash or name that is shown short and copied whole.
    Hash(String),
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

impl Table {
    /// As HTML, with links to its CSV and to its next page.
    pub(crate) fn html(&self, ask: &Ask) -> Markup {
        let address = ask.with("table", self.name);
        let join = if address.contains('?') { '&' } else { '?' };
        html! {
            section.table id=(self.name) {
                header {
                    h2 { (self.caption) }
                    p.exports {
                        a href=(format!("{address}{join}as=csv")) download { "CSV" } " "
                        a href=(ask.with("as", "json")) { "JSON" }
                    }
                }
                @if self.rows.is_empty() {
                    @match &self.empty {
                        Some(empty) => { div.empty { (empty) } }
                        None => { p.empty { "Nothing here." } }
                    }
                } @else {
                    div.scroll tabindex="0" role="region" aria-label=(self.caption) {
                        table {
                            thead { tr { @for column in &self.columns { th scope="col" { (column) } } } }
                            tbody { @for row in &self.rows { tr { @for cell in row { (cell_html(cell)) } } } }
                        }
                    }
                }
                @if let Some(next) = &self.next {
                    p.more { a rel="next" href=(next_page(ask, next)) { "Next page" } }
                }
            }
        }
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

/// The address of the page that begins at `next`.
fn next_page(ask: &Ask, next: &str) -> String {
    let address = ask.with("cursor", "");
    let join = if address.contains('?') { '&' } else { '?' };
    // The cursor is ours: digits, letters and dots.
    format!("{address}{join}cursor={next}")
}

fn cell_html(cell: &Cell) -> Markup {
    match cell {
        Cell::Text(text) => html! { td.long[text.len() > LONG] { (text::shown(text)) } },
        Cell::Number(n) => html! { td.number { (text::number(*n)) } },
        Cell::Time(at) => html! { td.time { (text::time(*at)) } },
        Cell::Hash(name) => html! { td { (text::hash(name)) } },
        Cell::Link(text, href) => html! { td { a href=(href) { (text::shown(text)) } } },
        Cell::HashLink(name, href) => html! { td { a href=(href) { (text::hash(name)) } } },
        Cell::Drawing(drawing, _) => html! { td.drawing { (drawing) } },
        Cell::None => html! { td.none { "–" } },
    }
}

fn cell_text(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) | Cell::Hash(text) | Cell::Link(text, _) | Cell::HashLink(text, _) => text.clone(),
        Cell::Drawing(_, text) => text.clone(),
        Cell::Number(n) => n.to_string(),
        Cell::Time(at) => roridula_evidence::rfc3339(*at),
        Cell::None => String::new(),
    }
}

fn line(out: &mut String, cells: impl Iterator<Item = String>) {
    for (at, cell) in cells.enumerate() {
        if at > 0 {
            out.push(',');
        }
        // Also where a tab or a line end hides the sign from us but not from the spreadsheet.
        let first = cell.trim_start().chars().next();
        let formula = matches!(first, Some('=' | '+' | '-' | '@')) || cell.starts_with(['\t', '\r', '\n']);
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
        ];
        let table = Table { columns: vec!["a", "b"], rows, ..Table::default() };
        let expected = "\"a\",\"b\"\r\n\"'=HYPERLINK(1)\",\"7\"\r\n\"' @x\",\"\"\r\n\"a\"\"b,\\u{a}c\\u{202e}\",\"'-1\"\r\n";
        assert_eq!(table.csv(), expected);
    }
}
