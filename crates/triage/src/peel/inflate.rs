//! Undoing deflate within a bound.

use crate::bytes::slice;
use flate2::{Decompress, FlushDecompress, Status};

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With the stream's own end.
    Whole,
    /// The input ends before the stream does.
    Short,
    /// The stream contradicts itself.
    Broken,
    /// It would grow beyond the bound.
    TooMuch,
}

/// What came out.
#[derive(Clone, Debug)]
pub(crate) struct Inflated {
    pub(crate) bytes: Vec<u8>,
    /// Bytes of the input that were read.
    pub(crate) read: usize,
    pub(crate) ending: Ending,
}

/// Inflates raw deflate data to at most `limit` bytes; memory grows with what comes out, never with a claim.
pub(crate) fn inflate(data: &[u8], limit: usize) -> Inflated {
    let mut state = Decompress::new(false);
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = usize::try_from(state.total_in()).unwrap_or(usize::MAX);
        let input = data.get(read..).unwrap_or_default();
        let before = state.total_out();
        let status = state.decompress(input, &mut buffer, FlushDecompress::None);
        let made = usize::try_from(state.total_out().saturating_sub(before)).unwrap_or(0);
        bytes.extend_from_slice(slice(&buffer, 0..made).unwrap_or_default());
        let read_now = usize::try_from(state.total_in()).unwrap_or(usize::MAX);
        let ending = match status {
            Err(_) => Some(Ending::Broken),
            Ok(Status::StreamEnd) => Some(Ending::Whole),
            Ok(_) if made == 0 && read_now == read => Some(Ending::Short),
            Ok(_) => None,
        };
        let ending = if bytes.len() > limit { Some(Ending::TooMuch) } else { ending };
        if let Some(ending) = ending {
            bytes.truncate(limit);
            return Inflated { bytes, read: read_now, ending };
        }
    }
}
