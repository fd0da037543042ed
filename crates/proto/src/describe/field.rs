//! A message's fields as a tree: where each stands, what it says, what that means.

use serde::Serialize;
use std::ops::Range;

/// What bytes are called that no layout claims.
pub const NOT_UNDERSTOOD: &str = "not understood";
/// What zero bytes are called that only move what follows to an even place.
pub const PADDING: &str = "padding";
/// Zero bytes that are taken for padding.
const PADDING_MAX: usize = 3;
/// Bytes of an unknown piece whose value is shown.
pub(super) const SHOWN_MAX: usize = 32;

/// One field of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Field {
    /// Its name, as in [MS-CIFS].
    pub name: &'static str,
    /// Its bytes, counted from the frame's first.
    pub range: Range<usize>,
    /// What it says: a number, escaped text, hexadecimal digits. Empty where its parts say it.
    pub value: String,
    /// What that means: names of flags, of a status, a decoded number. Empty where the value is all.
    pub meaning: String,
    /// Its parts: within its range, in order, without gaps or overlaps. Empty where it is not divided.
    pub fields: Vec<Field>,
}

impl Field {
    /// A field that is not divided.
    pub(super) fn leaf(name: &'static str, range: Range<usize>, value: String) -> Self {
        Self { name, range, value, meaning: String::new(), fields: Vec::new() }
    }

    /// A field that consists of others.
    pub(super) fn group(name: &'static str, range: Range<usize>, fields: Vec<Self>) -> Self {
        Self { name, range, value: String::new(), meaning: String::new(), fields }
    }
}

/// Puts `field` where its bytes are: into the group that holds them, or beside those that do not touch them.
/// `false` where it would overlap one: then it is left out.
pub(super) fn insert(fields: &mut Vec<Field>, field: Field) -> bool {
    let (start, end) = (field.range.start, field.range.end);
    if start >= end {
        return true;
    }
    let touches = |other: &Field| other.range.start < end && start < other.range.end;
    let Some(other) = fields.iter_mut().find(|other| touches(other)) else {
        fields.push(field);
        return true;
    };
    let holds = other.range.start <= start && end <= other.range.end;
    // What nobody has divided yet, only a group may be.
    let divisible = !other.fields.is_empty() || other.value.is_empty();
    holds && divisible && insert(&mut other.fields, field)
}

/// Orders the fields of `range` and names what lies between them.
pub(super) fn complete(fields: &mut Vec<Field>, range: Range<usize>, frame: &[u8]) {
    fields.sort_by_key(|field| field.range.start);
    let mut whole = Vec::with_capacity(fields.len());
    let mut at = range.start;
    for mut field in fields.drain(..) {
        gap(&mut whole, at..field.range.start, frame);
        at = field.range.end;
        if !field.fields.is_empty() {
            complete(&mut field.fields, field.range.clone(), frame);
        }
        whole.push(field);
    }
    gap(&mut whole, at..range.end, frame);
    *fields = whole;
}

fn gap(fields: &mut Vec<Field>, range: Range<usize>, frame: &[u8]) {
    if range.start >= range.end {
        return;
    }
    let bytes = frame.get(range.clone()).unwrap_or_default();
    let is_padding = bytes.len() <= PADDING_MAX && bytes.iter().all(|&byte| byte == 0);
    let name = if is_padding { PADDING } else { NOT_UNDERSTOOD };
    fields.push(Field::leaf(name, range, super::walk::digits(bytes)));
}
