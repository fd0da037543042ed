//! Bytes in rows of sixteen, each field a link to its name.
//!
//! Places, digits and letters stand in columns of their own, so that the digits of a field are one piece of text that one
//! link holds, however many rows it goes through.

use super::message::Field;
use maud::{Markup, PreEscaped, html};
use std::fmt::Write;
use std::ops::Range;

/// Bytes of a row.
const ROW: usize = 16;
/// Bytes of a field that is shown whole; of longer ones the middle is left out.
const WHOLE_MAX: usize = 512;
/// Bytes at the beginning and at the end of such a field that are shown.
const HEAD: usize = 128;
const TAIL: usize = 32;
/// What stands for rows that are left out.
const LEFT_OUT: &str = "⋮";

/// How a column writes a byte.
type Write1 = fn(&mut String, u8);

/// The view of `bytes`, whose fields are those of message `number`.
pub(super) fn view(number: u64, bytes: &[u8], fields: &[Field]) -> Markup {
    let mut out = Vec::new();
    left_out(fields, &mut out);
    let path = number.to_string();
    let column = |mark: &'static str, write: Write1| {
        let mut column =
            Column { bytes, left_out: &out, mark, write, is_wide: mark == "b", text: String::new() };
        column.fields(fields, &path);
        PreEscaped(column.text)
    };
    html! {
        div.hex role="region" tabindex="0" aria-label={ "Bytes of message " (number) } {
            pre.places aria-hidden="true" { (places(bytes.len(), &out)) }
            pre.digits { (column("b", digits)) }
            pre.letters aria-hidden="true" { (column("c", letter)) }
        }
    }
}

fn digits(text: &mut String, byte: u8) {
    // Writing to a String cannot fail.
    let _ = write!(text, "{byte:02x}");
}

/// A byte as a letter, fit for HTML.
fn letter(text: &mut String, byte: u8) {
    match byte {
        b'<' => text.push_str("&lt;"),
        b'>' => text.push_str("&gt;"),
        b'&' => text.push_str("&amp;"),
        b' '..=b'~' => text.push(char::from(byte)),
        _ => text.push('·'),
    }
}

/// Whole rows in the middle of long fields.
fn left_out(fields: &[Field], out: &mut Vec<Range<usize>>) {
    for field in fields {
        if !field.fields.is_empty() {
            left_out(&field.fields, out);
        } else if field.end.saturating_sub(field.start) > WHOLE_MAX {
            let start = (field.start + HEAD).next_multiple_of(ROW);
            let end = field.end.saturating_sub(TAIL) / ROW * ROW;
            out.push(start..end);
        }
    }
}

/// The column of places.
fn places(len: usize, out: &[Range<usize>]) -> String {
    let mut text = String::new();
    for row in (0..len).step_by(ROW) {
        if let Some(range) = out.iter().find(|range| range.contains(&row)) {
            if range.start == row {
                let _ = writeln!(text, "{LEFT_OUT}");
            }
            continue;
        }
        let _ = writeln!(text, "{row:04x}");
    }
    text
}

/// A column while it is written.
struct Column<'a> {
    bytes: &'a [u8],
    left_out: &'a [Range<usize>],
    /// The first letter of the ids.
    mark: &'static str,
    write: Write1,
    /// Whether bytes are parted by blanks.
    is_wide: bool,
    text: String,
}

impl Column<'_> {
    fn fields(&mut self, fields: &[Field], path: &str) {
        for (at, field) in fields.iter().enumerate() {
            let path = format!("{path}-{at}");
            if field.fields.is_empty() {
                self.leaf(field, &path);
            } else {
                let _ = write!(self.text, "<span id=\"{}{path}\" data-field=\"{path}\">", self.mark);
                self.fields(&field.fields, &path);
                self.text.push_str("</span>");
            }
        }
    }

    fn leaf(&mut self, field: &Field, path: &str) {
        self.part(field.start);
        // One column of links is enough for those who go from link to link.
        let focus = if self.is_wide { "" } else { " tabindex=\"-1\"" };
        let _ = write!(
            self.text,
            "<a id=\"{}{path}\" href=\"#f{path}\" data-field=\"{path}\"{focus}>",
            self.mark
        );
        for at in field.start..field.end {
            if at > field.start {
                self.part(at);
            }
            if let (Some(&byte), None) = (self.bytes.get(at), self.hidden(at)) {
                (self.write)(&mut self.text, byte);
            }
        }
        self.text.push_str("</a>");
    }

    fn hidden(&self, at: usize) -> Option<&Range<usize>> {
        self.left_out.iter().find(|range| range.contains(&at))
    }

    /// What stands between the byte before `at` and the one there.
    fn part(&mut self, at: usize) {
        let range = self.hidden(at).map(|range| range.start);
        if range.is_some_and(|start| start != at) || at == 0 {
            return;
        }
        if at.is_multiple_of(ROW) {
            self.text.push('\n');
        } else if self.is_wide {
            self.text.push_str(if at.is_multiple_of(ROW / 2) { "  " } else { " " });
        }
        if range.is_some() {
            self.text.push_str(LEFT_OUT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::leaf;
    use super::*;

    #[test]
    fn each_field_is_one_link_through_all_its_rows() {
        let bytes: Vec<u8> = (0x20..0x40).collect();
        let group = Field { fields: vec![leaf("b", 4, 10), leaf("c", 10, 32)], ..leaf("g", 4, 32) };
        let page = view(7, &bytes, &[leaf("a", 0, 4), group]).into_string();
        assert!(page.contains("<a id=\"b7-0\" href=\"#f7-0\" data-field=\"7-0\">20 21 22 23</a>"), "{page}");
        assert!(page.contains("<span id=\"b7-1\" data-field=\"7-1\">"), "{page}");
        assert!(page.contains(">2a 2b 2c 2d 2e 2f\n30 31"), "{page}");
        assert!(page.contains("0000\n0010\n") && page.contains("&lt;") && page.contains("&amp;"), "{page}");
    }

    #[test]
    fn the_middle_of_a_long_field_is_left_out_in_all_columns() {
        let bytes = vec![b'<'; 4200];
        let page = view(1, &bytes, &[leaf("head", 0, 70), leaf("Data", 70, 4200)]).into_string();
        assert!(page.len() < 8_000, "{}", page.len());
        let columns: Vec<&str> = page.split("</pre>").collect();
        let rows = |column: &str| column.trim_end().matches('\n').count();
        assert_eq!(rows(columns[0]), rows(columns[1]));
        assert_eq!(rows(columns[1]), rows(columns[2]));
        assert_eq!(page.matches(LEFT_OUT).count(), 3);
        assert!(columns[0].ends_with("1060\n"), "{}", columns[0]);
    }
}
