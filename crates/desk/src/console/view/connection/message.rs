//! One message: a tree of fields and a hex view, each field linked to its bytes and back.

use super::hex;
use crate::console::text;
use maud::{Markup, html};
use roridula_evidence::rfc3339;
use roridula_proto::describe::{self, DescribedMessage, Side};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use std::fmt::Write;

/// Characters of a value and of a meaning that a page shows; all of it is in the JSON.
const VALUE_MAX: usize = 400;

/// A message as it is shown.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Message {
    /// Its number in the conversation, both sides counted together from 0.
    number: u64,
    /// When it was whole, UTC.
    time: String,
    /// Who sent it: `visitor` or `decoy`.
    from: &'static str,
    /// Where its frame begins in all bytes of that side.
    stream_at: u64,
    /// Bytes of its frame.
    len: u64,
    /// What it is called.
    title: String,
    /// Its frame, hexadecimal.
    #[serde(serialize_with = "digits")]
    #[schemars(with = "String")]
    bytes: Vec<u8>,
    /// Its fields; every byte is in one.
    fields: Vec<Field>,
    /// What is odd about it.
    notes: Vec<String>,
}

/// A field of a message.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Field {
    /// Its name, as in [MS-CIFS].
    pub(super) name: &'static str,
    /// Its first byte, counted from the frame's first.
    pub(super) start: usize,
    /// One past its last byte.
    pub(super) end: usize,
    /// What it says.
    pub(super) value: String,
    /// What that means; may be empty.
    pub(super) meaning: String,
    /// Its parts.
    pub(super) fields: Vec<Field>,
}

fn digits<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    serializer.serialize_str(&text)
}

fn field(field: describe::Field) -> Field {
    Field {
        name: field.name,
        start: field.range.start,
        end: field.range.end,
        value: field.value,
        meaning: field.meaning,
        fields: field.fields.into_iter().map(self::field).collect(),
    }
}

impl Message {
    pub(super) fn new(message: DescribedMessage) -> Self {
        Self {
            number: message.number,
            time: rfc3339(message.at),
            from: if message.from == Side::Visitor { "visitor" } else { "decoy" },
            stream_at: message.stream_at,
            len: message.len as u64,
            title: message.title,
            bytes: message.bytes,
            fields: message.fields.into_iter().map(field).collect(),
            notes: message.notes,
        }
    }

    /// Whether byte `at` of the visitor's stream is in it.
    fn holds(&self, at: u64) -> bool {
        self.from == "visitor" && (self.stream_at..self.stream_at + self.len).contains(&at)
    }

    /// As HTML; `at` is the byte that was asked for.
    pub(super) fn html(&self, at: Option<u64>) -> Markup {
        let arrow = if self.from == "visitor" { "→" } else { "←" };
        let id =
            if at.is_some_and(|at| self.holds(at)) { "at".to_owned() } else { format!("m{}", self.number) };
        html! {
            section class={ "message " (self.from) } id=(id) {
                h2 { (arrow) " " (text::shown(&self.title)) }
                p.quiet {
                    "Message " (self.number) " from the " (self.from) ", " (text::time_text(&self.time))
                    ", byte " (text::number(self.stream_at)) " of its stream, " (text::number(self.len)) " bytes"
                }
                @for note in &self.notes { p.notice { (text::shown_to(note, VALUE_MAX)) } }
                div.evidence {
                    div.fields tabindex="0" role="region" aria-label={ "Fields of message " (self.number) } {
                        (tree(&self.fields, &format!("{}", self.number)))
                    }
                    (hex::view(self.number, &self.bytes, &self.fields))
                }
            }
        }
    }
}

/// The list of fields below `path`.
fn tree(fields: &[Field], path: &str) -> Markup {
    html! {
        ul {
            @for (at, field) in fields.iter().enumerate() {
                @let path = format!("{path}-{at}");
                li {
                    span id={ "f" (path) } data-field=(path) {
                        a href={ "#b" (path) } { (field.name) }
                        @if !field.value.is_empty() { " " code { (text::shown_to(&field.value, VALUE_MAX)) } }
                        @if !field.meaning.is_empty() { " " span.meaning { (text::shown_to(&field.meaning, VALUE_MAX)) } }
                    }
                    @if !field.fields.is_empty() { (tree(&field.fields, &path)) }
                }
            }
        }
    }
}

#[cfg(test)]
pub(super) fn leaf(name: &'static str, start: usize, end: usize) -> Field {
    Field { name, start, end, value: "v".to_owned(), meaning: String::new(), fields: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_attackers_is_escaped_and_cut() {
        let mut field = leaf("Path", 0, 2);
        field.value = format!("\"<script>\u{202e}{}\"", "x".repeat(65_536));
        let message = Message {
            number: 3,
            time: "2026-11-24T10:00:00.000000Z".to_owned(),
            from: "visitor",
            stream_at: 9,
            len: 2,
            title: "<b>\u{1b}[2J".to_owned(),
            bytes: vec![0x3c, 0x26],
            fields: vec![field],
            notes: vec!["<img src=x>".to_owned()],
        };
        let page = message.html(Some(10)).into_string();
        assert!(!page.contains("<script") && !page.contains("<b>") && !page.contains("<img"), "{page}");
        assert!(page.contains("\\u{202e}") && page.contains("\\u{1b}[2J") && page.len() < 8_000);
        assert!(
            page.contains("id=\"at\"") && page.contains("href=\"#b3-0\"") && page.contains("href=\"#f3-0\"")
        );
        assert!(serde_json::to_string(&message).unwrap().contains("\"bytes\":\"3c26\""));
        assert!(message.html(Some(11)).into_string().contains("id=\"m3\""));
    }
}
