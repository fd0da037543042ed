//! Described messages: every byte is in exactly one field of each depth, whatever came.

use super::{Drive, decoy, log_on};
use crate::connection::{Ending, Input};
use crate::describe::{self, Described, Field, Page, Side};
use crate::transcript::{Payloads, Transcript};
use std::ops::Range;

/// Fields of one message: a chain's commands, each with its list.
const FIELDS_MAX: usize = 4096;
/// Characters of one value: text is cut, then escaped.
const TEXT_MAX: usize = 4096;

/// Describes `data` as a frame of either side, as a stream, and as a transcript.
pub fn describe(data: &[u8]) {
    for from in [Side::Visitor, Side::Decoy] {
        let (fields, _) = describe::describe_frame(data, from);
        check(&fields, 0..data.len());
    }
    let base = decoy();
    let mut drive = Drive::new(&base);
    if data.first().is_some_and(|first| first & 1 == 1) {
        log_on(&mut drive);
    }
    drive.input(Input::Bytes(data));
    drive.input(Input::Ended(Ending::Closed));
    let transcript = drive.recorder.transcript();
    if transcript.is_complete() {
        let shown = pages(&transcript, &base, &drive.holder);
        for message in shown.iter().flat_map(|page| &page.messages) {
            let start = usize::try_from(message.stream_at).unwrap_or(usize::MAX);
            let sent = drive.sent.get(start..).unwrap_or_default();
            let is_there = sent.starts_with(&message.bytes);
            assert!(message.from == Side::Decoy || is_there, "bytes that nobody sent");
        }
    }
    if let Some(transcript) = std::str::from_utf8(data).ok().and_then(|text| Transcript::parse(text).ok()) {
        pages(&transcript, &base, &());
    }
}

/// All pages of a transcript; what they say of each other holds.
fn pages(
    transcript: &Transcript,
    base: &crate::connection::Decoy,
    payloads: &dyn Payloads,
) -> Vec<Described> {
    let mut pages: Vec<Described> = Vec::new();
    let mut next = Some(0);
    while let Some(at) = next {
        let page = describe::describe(transcript, base, payloads, Page { at, messages: 8 });
        for message in &page.messages {
            check(&message.fields, 0..message.bytes.len());
        }
        assert!(page.messages.len() <= describe::MESSAGES_MAX.saturating_mul(2), "a page without bound");
        assert!(page.outline.len() <= describe::OUTLINE_MAX, "an outline without bound");
        assert!(page.later.is_none_or(|later| later > at), "a page that does not go on");
        next = page.later;
        pages.push(page);
        if pages.len() > 64 {
            return pages;
        }
    }
    for (message, number) in pages.iter().flat_map(|page| &page.messages).zip(0..) {
        assert_eq!(message.number, number, "a message is left out or told twice");
    }
    pages
}

/// Fields stand in order and fill `range`, and so do their parts.
fn check(fields: &[Field], range: Range<usize>) {
    let mut at = range.start;
    let mut count = 0usize;
    check_level(fields, range.clone(), &mut count);
    for field in fields {
        assert_eq!(field.range.start, at, "a gap or an overlap before {}", field.name);
        at = field.range.end;
    }
    assert!(at == range.end, "bytes without a field");
    assert!(count <= FIELDS_MAX, "{count} fields");
}

fn check_level(fields: &[Field], range: Range<usize>, count: &mut usize) {
    let mut at = range.start;
    for field in fields {
        *count = count.saturating_add(1);
        assert!(field.range.start == at && field.range.start < field.range.end, "{} stands ill", field.name);
        at = field.range.end;
        assert!(field.value.len().max(field.meaning.len()) <= TEXT_MAX, "{} says too much", field.name);
        if !field.fields.is_empty() {
            check_level(&field.fields, field.range.clone(), count);
        }
    }
    assert!(fields.is_empty() || at == range.end, "bytes without a field");
}
