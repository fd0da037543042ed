//! What stands behind a file's end.

use super::found::Found;
use super::identify;
use crate::bytes::slice;
use crate::report::{FoundBy, Kind};
use std::ops::Range;

/// Uploads are filled up to a multiple of four bytes: so few bytes are that, whatever their value.
const ALIGNMENT_MAX: usize = 3;

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
