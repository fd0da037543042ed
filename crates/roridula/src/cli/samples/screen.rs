//! What fits a screen: its width, and text and tables cut to it.

use std::io::{IsTerminal, Result, Write};
use unicode_width::UnicodeWidthChar;

/// Columns where there is no terminal that says how many it has.
const COLUMNS: usize = 100;
/// Longer lines are hard to read, shorter ones say nothing.
const COLUMNS_MAX: usize = 120;
const COLUMNS_MIN: usize = 40;

/// Columns of a line: the terminal's; else the variable `COLUMNS`, or 100.
pub(crate) fn columns() -> usize {
    let terminal = std::io::stdout().is_terminal().then(ratatui::crossterm::terminal::size);
    let terminal = terminal.and_then(std::result::Result::ok).map(|(columns, _)| usize::from(columns));
    let told = || std::env::var("COLUMNS").ok()?.parse().ok();
    terminal.or_else(told).unwrap_or(COLUMNS).clamp(COLUMNS_MIN, COLUMNS_MAX)
}

/// Columns that a text takes; it is escaped, and has no control characters.
pub(crate) fn width(text: &str) -> usize {
    text.chars().map(|letter| letter.width().unwrap_or(0)).sum()
}

/// As much of a text as fits, with `…` where something is left out.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut left = columns.saturating_sub(1);
    let mut short = String::new();
    for letter in text.chars() {
        let Some(rest) = left.checked_sub(letter.width().unwrap_or(0)) else { break };
        left = rest;
        short.push(letter);
    }
    short.truncate(short.trim_end().len());
    short + "…"
}

/// A text over several lines, broken between words; a word that is longer than a line is cut.
pub(crate) fn wrapped(text: &str, columns: usize) -> String {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let word = cut(word, columns);
        let last = lines.last().map_or(0, |line| width(line));
        if last > 0 && last + 1 + width(&word) > columns {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(&word);
        }
    }
    lines.join("\n")
}

/// A column of a table.
pub(super) struct Column<'a, T> {
    /// Its head; `>` in front aligns it to the right.
    pub(super) head: &'static str,
    /// What is left out first where not all fits has the highest number; 0 stays.
    pub(super) spare: u8,
    /// What it says of a row.
    pub(super) cell: &'a dyn Fn(&T) -> String,
}

/// Writes a table of `columns` at most: spare columns are left out, then lines are cut.
pub(super) fn table<T>(
    out: &mut impl Write,
    columns: usize,
    mut wanted: Vec<Column<'_, T>>,
    rows: &[T],
) -> Result<()> {
    let mut cells: Vec<Vec<String>> =
        wanted.iter().map(|column| rows.iter().map(|row| (column.cell)(row)).collect()).collect();
    loop {
        let widest = |(column, cells): (&Column<'_, T>, &Vec<String>)| {
            let head = width(column.head.trim_start_matches('>'));
            cells.iter().map(|cell| width(cell)).max().unwrap_or(0).max(head) + 2
        };
        let all: usize = wanted.iter().zip(&cells).map(widest).sum();
        let spare = wanted.iter().enumerate().max_by_key(|(_, column)| column.spare);
        let Some((at, column)) = spare else { break };
        if all.saturating_sub(2) <= columns || column.spare == 0 {
            break;
        }
        wanted.remove(at);
        cells.remove(at);
    }
    let head: Vec<&str> = wanted.iter().map(|column| column.head).collect();
    let row = |at: usize| cells.iter().filter_map(|column| column.get(at).cloned()).collect();
    let mut text = Vec::new();
    crate::cli::out::table(&mut text, &head, &(0..rows.len()).map(row).collect::<Vec<Vec<String>>>())?;
    String::from_utf8_lossy(&text).lines().try_for_each(|line| writeln!(out, "{}", cut(line, columns)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_and_wrapped_by_what_they_take_on_a_screen() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("a longer text", 9), "a longer…");
        assert_eq!(cut("日本語日本語", 7), "日本語…");
        assert_eq!(wrapped("one two three", 8), "one two\nthree");
        assert_eq!(wrapped(&"x".repeat(50), 10), "xxxxxxxxx…");
        assert!(wrapped("日本 語日 本語", 9).lines().all(|line| width(line) <= 9));
    }

    #[test]
    fn a_table_leaves_its_spare_columns_out_before_it_cuts() {
        let told = |columns: usize| {
            let wanted = vec![
                Column { head: ">N", spare: 0, cell: &|row: &&str| row.len().to_string() },
                Column { head: "NAME", spare: 0, cell: &|row: &&str| (*row).to_owned() },
                Column { head: "AGAIN", spare: 1, cell: &|row: &&str| (*row).to_owned() },
                Column { head: "FIRST", spare: 2, cell: &|row: &&str| row[..1].to_owned() },
            ];
            let mut out = Vec::new();
            table(&mut out, columns, wanted, &["abcdef"]).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(told(80), "N  NAME    AGAIN   FIRST\n6  abcdef  abcdef  a\n");
        assert_eq!(told(17), "N  NAME    AGAIN\n6  abcdef  abcdef\n");
        assert_eq!(told(12), "N  NAME\n6  abcdef\n");
        assert_eq!(told(6), "N  NA…\n6  ab…\n");
    }
}
