//! What bytes are, from their first one on: a file of a kind that can be looked into, text, or just data.

use super::{archive, found, search, zip};
use crate::bytes::slice;
use crate::facts;
use crate::pe::Pe;
use crate::report::{Kind, State};
use crate::text;

/// What a whole slice is.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) kind: Kind,
    pub(crate) state: State,
    pub(crate) remarks: Vec<String>,
}

impl Identity {
    fn of(kind: Kind, wrong: Option<String>) -> Self {
        let state = if wrong.is_some() { State::Truncated } else { State::Intact };
        Self { kind, state, remarks: wrong.into_iter().collect() }
    }
}

/// The file that `bytes` are; `None` where they are none that we look into.
pub(crate) fn file(bytes: &[u8]) -> Option<Identity> {
    match slice(bytes, 0..2)? {
        b"MZ" => Pe::parse(bytes).map(|pe| Identity::of(Kind::Pe, found::missing(&pe, bytes.len()))),
        b"PK" => zip::is_whole(bytes).then(|| Identity::of(Kind::Zip, None)),
        b"MS" => search::cabinet_size(bytes).map(|size| {
            let gone = size.saturating_sub(bytes.len());
            Identity::of(
                Kind::Cab,
                (gone > 0).then(|| format!("the end of the cabinet is not there: {}", text::missing(gone))),
            )
        }),
        [0x1f, 0x8b] => archive::gzip_starts(bytes).then(|| Identity::of(Kind::Gzip, None)),
        _ => None,
    }
}

/// What bytes are that stand where code is expected, and are no file: `file` first.
pub(crate) fn code_or_plain(bytes: &[u8]) -> Kind {
    // A long slide of one letter makes no text of the code behind it.
    let first = bytes.first().copied().unwrap_or(0);
    let behind = bytes.iter().position(|&byte| byte != first).and_then(|front| bytes.get(front..));
    match behind.map(plain) {
        Some(Kind::Data) if facts::is_code(bytes) => Kind::Shellcode,
        _ => plain(bytes),
    }
}

/// What bytes are that are no file: `file` first.
pub(crate) fn plain(bytes: &[u8]) -> Kind {
    if is_uniform(bytes) {
        Kind::Padding
    } else if is_text(bytes) {
        Kind::Text
    } else {
        Kind::Data
    }
}

/// One value over and over.
pub(crate) fn is_uniform(bytes: &[u8]) -> bool {
    let Some((first, rest)) = bytes.split_first() else { return false };
    rest.iter().all(|byte| byte == first)
}

/// One value over and over, where something else may have got into it: of no file's inside is half one value.
pub(crate) fn is_filling(bytes: &[u8]) -> bool {
    let mut counts = [0usize; 256];
    for byte in bytes {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count = count.saturating_add(1);
        }
    }
    counts.iter().max().is_some_and(|most| *most > bytes.len() / 2)
}

/// Readable as ASCII or as UTF-16 that says so: nineteen characters of twenty, of the first few kilobytes and of all.
pub(crate) fn is_text(bytes: &[u8]) -> bool {
    const HEAD: usize = 4096;
    let (skip, step) = match bytes {
        [0xff, 0xfe, ..] => (2, 2),
        [0xfe, 0xff, ..] => (3, 2),
        _ => (0, 1),
    };
    let is_readable = |bytes: &[u8]| {
        let (mut all, mut readable) = (0usize, 0usize);
        for byte in bytes.iter().skip(skip).step_by(step) {
            let is_letter = byte.is_ascii_graphic() || matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
            (all, readable) = (all.saturating_add(1), readable.saturating_add(usize::from(is_letter)));
        }
        all > 0 && readable.saturating_mul(20) >= all.saturating_mul(19)
    };
    // Most of what is no text shows it at once.
    is_readable(bytes.get(..HEAD).unwrap_or(bytes)) && is_readable(bytes)
}
