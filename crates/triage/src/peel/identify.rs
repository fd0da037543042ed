//! What bytes are, from their first one on: a file of a kind that can be looked into, text, or just data.

use super::{archive, found, search, zip};
use crate::bytes::slice;
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

/// Readable as ASCII or as UTF-16 that says so; judged by the first few kilobytes.
pub(crate) fn is_text(bytes: &[u8]) -> bool {
    const LOOKED_AT: usize = 4096;
    let head = bytes.get(..LOOKED_AT).unwrap_or(bytes);
    let letters: Vec<u8> = match head {
        [0xff, 0xfe, rest @ ..] => rest.iter().copied().step_by(2).collect(),
        [0xfe, 0xff, rest @ ..] => rest.iter().copied().skip(1).step_by(2).collect(),
        _ => head.to_vec(),
    };
    let readable = |byte: &&u8| byte.is_ascii_graphic() || matches!(**byte, b' ' | b'\t' | b'\r' | b'\n');
    let readable = letters.iter().filter(readable).count();
    !letters.is_empty() && readable.saturating_mul(20) >= letters.len().saturating_mul(19)
}
