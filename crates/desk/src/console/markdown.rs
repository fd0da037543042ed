//! Text in Markdown that stays text, whoever reads it: no link, no picture, no HTML, no heading comes of it.

use super::text;
use std::fmt::Write;

/// Characters of an attacker's text in a report.
const TEXT_MAX: usize = 300;

/// Text in a sentence: what Markdown gives a meaning to is escaped, and what readers make a link of by
/// themselves is broken up.
pub(crate) fn plain(text: &str) -> String {
    let shown = text::shown_to(text, TEXT_MAX);
    let mut out = String::with_capacity(shown.len());
    for (at, c) in shown.char_indices() {
        match c {
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '<' | '>' | '#' | '|' | '~' | '!' | '&'
            | '$' => {
                out.push('\\');
                out.push(c);
            }
            // `http://x`, `mailto:x`, `www.x`: readers of GitHub's kind make links of them without being
            // asked.
            ':' if shown.get(at..).is_some_and(|rest| rest.starts_with("://")) => out.push_str("\\:"),
            '.' if ends_with_www(shown.get(..at).unwrap_or_default()) => out.push_str("\\."),
            // No escape keeps an address of mail from becoming a link.
            '@' => out.push_str("(at)"),
            _ => out.push(c),
        }
    }
    out
}

/// Text as code, also in a table: nothing in it means anything.
pub(crate) fn code(text: &str) -> String {
    let shown = text::shown_to(text, TEXT_MAX);
    if shown.trim().is_empty() {
        return "–".to_owned();
    }
    let mut out = String::from("`");
    for c in shown.chars() {
        match c {
            // A grave accent would end it, a bar the table's cell.
            '`' | '|' => drop(write!(out, "\\u{{{:x}}}", u32::from(c))),
            _ => out.push(c),
        }
    }
    out.push('`');
    out
}

/// A table: its head, and its rows, whose cells are Markdown already.
pub(crate) fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut out = line(head.iter().map(|name| (*name).to_owned()));
    out.push_str(&line(head.iter().map(|_| "---".to_owned())));
    for row in rows {
        out.push_str(&line(row.into_iter()));
    }
    out
}

fn line(cells: impl Iterator<Item = String>) -> String {
    let mut out = String::from("|");
    for cell in cells {
        // Writing to a String cannot fail.
        let _ = write!(out, " {cell} |");
    }
    out.push('\n');
    out
}

fn ends_with_www(text: &str) -> bool {
    text.len().checked_sub(3).and_then(|at| text.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case("www"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_sentence_means_anything() {
        assert_eq!(plain("<script>[x](http://a)"), "\\<script\\>\\[x\\](http\\://a)");
        assert_eq!(plain("a|b\n# c\u{202e}"), "a\\|b\\\\u\\{a\\}\\# c\\\\u\\{202e\\}");
        assert_eq!(plain("Www.evil.example me@evil.example"), "Www\\.evil.example me(at)evil.example");
        assert_eq!(plain("&lt;![x]"), "\\&lt;\\!\\[x\\]");
    }

    #[test]
    fn code_ends_where_it_should() {
        assert_eq!(code("a`|b"), "`a\\u{60}\\u{7c}b`");
        assert_eq!(code("a\r\nb"), "`a\\u{d}\\u{a}b`");
        assert_eq!(code(" "), "–");
        assert!(code(&"`".repeat(65_536)).len() < 3000);
    }

    #[test]
    fn a_table_has_its_rows_on_lines() {
        let rows = vec![vec![code("a|b"), "2".to_owned()]];
        assert_eq!(table(&["x", "y"], rows), "| x | y |\n| --- | --- |\n| `a\\u{7c}b` | 2 |\n");
    }
}
