//! Files anywhere in bytes, found by their headers and checked.
//!
//! A mark proves nothing: the 64-bit DoublePulsar stub alone has four false `MZ`. A found file is skipped over: what
//! is inside it is its own affair.

use super::found::{Found, Purse};
use super::{archive, zip};
use crate::bytes::{le_size, le_u16, slice};
use crate::pe::Pe;
use crate::report::{FoundBy, Kind, State};
use crate::text;
use std::ops::Range;

/// Files in `range` of `parent`, in order.
pub(crate) fn find(parent: &[u8], range: Range<usize>, purse: &mut Purse<'_>) -> Vec<Found> {
    let mut found = Vec::new();
    let mut at = range.start;
    let mut ends = zip::Ends::default();
    while let Some(rest) = slice(parent, at..range.end) {
        let Some(next) = next_mark(rest) else { break };
        let Some(start) = at.checked_add(next) else { break };
        let file = slice(parent, start..range.end).unwrap_or_default();
        let child = match file {
            [b'P', b'K', 3, 4, ..] => zip_archive(file, start, &mut ends, purse),
            [b'M', b'S', b'C', b'F', ..] => cabinet(file, start),
            [0x1f, 0x8b, 8, ..] => gzip(file, start, purse),
            [b'M', b'Z', ..] if !purse.candidate() => break,
            [b'M', b'Z', ..] => executable(parent, file, start),
            _ => None,
        };
        at = match child {
            Some(child) => {
                let end = child.range.end.max(start.saturating_add(2));
                found.push(child);
                end
            }
            None => start.saturating_add(1),
        };
    }
    found
}

/// The next place where a mark may start.
fn next_mark(bytes: &[u8]) -> Option<usize> {
    // Asked of many bytes at once, without leaving early, so that it becomes a few wide instructions.
    const AT_ONCE: usize = 32;
    let mut at = 0usize;
    for block in bytes.chunks(AT_ONCE) {
        if block.iter().fold(false, |any, &byte| any | (byte == b'M') | (byte == b'P') | (byte == 0x1f)) {
            let end = at.saturating_add(block.len()).saturating_add(1).min(bytes.len());
            let mut pairs = slice(bytes, at..end)?.windows(2);
            let found = pairs.position(|pair| matches!(pair, b"MZ" | b"PK" | b"MS" | [0x1f, 0x8b]));
            if let Some(found) = found {
                return at.checked_add(found);
            }
        }
        at = at.saturating_add(block.len());
    }
    None
}

fn executable(parent: &[u8], file: &[u8], start: usize) -> Option<Found> {
    let pe = Pe::parse(file)?;
    let length = usize::try_from(pe.end).unwrap_or(usize::MAX).min(file.len());
    Some(Found::pe(parent, &pe, FoundBy::ValidatedSearch, start..start.checked_add(length)?))
}

fn zip_archive(file: &[u8], start: usize, ends: &mut zip::Ends, purse: &mut Purse<'_>) -> Option<Found> {
    if !zip::starts(file) || !purse.candidate() {
        return None;
    }
    let length = zip::extent(file, start, purse.budget.entries_max, ends);
    Some(Found::new(Kind::Zip, FoundBy::ValidatedSearch, start..start.checked_add(length)?))
}

fn gzip(file: &[u8], start: usize, purse: &mut Purse<'_>) -> Option<Found> {
    let length = archive::gzip_extent(file, purse)?;
    Some(Found::new(Kind::Gzip, FoundBy::ValidatedSearch, start..start.checked_add(length)?))
}

fn cabinet(file: &[u8], start: usize) -> Option<Found> {
    let claimed = cabinet_size(file)?;
    let length = claimed.min(file.len());
    let found = Found::new(Kind::Cab, FoundBy::ValidatedSearch, start..start.checked_add(length)?);
    let gone = claimed.saturating_sub(length);
    Some(if gone > 0 {
        found.wrong(State::Truncated, format!("the end of the cabinet is not there: {}", text::missing(gone)))
    } else {
        found
    })
}

/// The size that a cabinet's header claims, where it is such a header (CFHEADER in Microsoft's "Cabinet File Format":
/// three reserved fields that are zero, version 1.3, at least one folder and one file).
pub(crate) fn cabinet_size(bytes: &[u8]) -> Option<usize> {
    const HEADER: usize = 36;
    let reserved = [4usize, 12, 20].iter().all(|&at| le_size(bytes, at) == Some(0));
    let version = slice(bytes, 24..26)? == [3, 1];
    let counts = le_u16(bytes, 26)? > 0 && le_u16(bytes, 28)? > 0;
    let size = le_size(bytes, 8).filter(|&size| size >= HEADER)?;
    let files_at = le_size(bytes, 16)?;
    let sane = (HEADER..size).contains(&files_at);
    (slice(bytes, 0..4)? == b"MSCF" && reserved && version && counts && sane).then_some(size)
}
