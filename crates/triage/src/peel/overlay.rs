//! What stands behind a file's end.

use super::found::Found;
use super::identify::{self, Identity};
use crate::bytes::slice;
use crate::pe::Pe;
use crate::report::{FoundBy, Kind};
use std::ops::Range;

/// Uploads are filled up to a multiple of four bytes: so few bytes are that, whatever their value.
const ALIGNMENT_MAX: usize = 3;
/// Garbage that worms append so that no two hashes are alike is shorter; what an installer carries behind its end is
/// longer, and makes it what it is.
const GARBAGE_MAX: usize = 4096;

/// The file that bytes are, where nothing stands behind its end that is no part of it.
pub(crate) fn whole_file(bytes: &[u8]) -> Option<Identity> {
    identify::file(bytes).filter(|_| !is_tailed(bytes))
}

/// Whether bytes are an executable with something behind its end that is no part of it: filling, or garbage.
fn is_tailed(bytes: &[u8]) -> bool {
    let end = Pe::parse(bytes).and_then(|pe| usize::try_from(pe.end).ok());
    let tail = end.and_then(|end| bytes.get(end..)).unwrap_or_default();
    let is_garbage = || tail.len() <= GARBAGE_MAX && identify::file(tail).is_none();
    !tail.is_empty() && (identify::is_uniform(tail) || is_garbage())
}

/// The child that bytes behind an end are: an archive (then the file unpacks itself), padding, or an overlay.
pub(crate) fn tail(parent: &[u8], range: Range<usize>) -> Option<Found> {
    let bytes = slice(parent, range.clone()).filter(|bytes| !bytes.is_empty())?;
    if let Some(file) = identify::file(bytes) {
        let mut found = Found::new(file.kind, FoundBy::BehindTheEnd, range);
        (found.state, found.remarks) = (file.state, file.remarks);
        return Some(found);
    }
    let kind = if bytes.len() <= ALIGNMENT_MAX || identify::is_uniform(bytes) {
        Kind::Padding
    } else {
        Kind::Overlay
    };
    Some(Found::new(kind, FoundBy::BehindTheEnd, range))
}
