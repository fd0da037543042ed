//! What was kept of uploads, and a check of every capture operation against a plain model.

use crate::connection::{CaptureOp, Output};
use crate::transcript::{Payloads, REST_UPLOAD};
use std::collections::BTreeMap;

/// One upload: its bytes by place, and whether it has ended.
#[derive(Debug, Default, PartialEq, Eq)]
struct Held {
    bytes: Vec<Option<u8>>,
    over: bool,
}

impl Held {
    /// Puts bytes at their place; says whether all of it was free.
    fn put(&mut self, offset: u64, bytes: &[u8]) -> bool {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = start.saturating_add(bytes.len());
        if self.bytes.len() < end {
            self.bytes.resize(end, None);
        }
        let places = self.bytes.get_mut(start..end).unwrap_or_default();
        let free = places.iter().all(Option::is_none);
        for (place, &byte) in places.iter_mut().zip(bytes) {
            *place = Some(byte);
        }
        free
    }

    fn get(&self, offset: u64, len: usize) -> Option<Vec<u8>> {
        let start = usize::try_from(offset).ok()?;
        self.bytes.get(start..start.checked_add(len)?)?.iter().copied().collect()
    }

    fn count(&self) -> usize {
        self.bytes.iter().flatten().count()
    }
}

/// All uploads of a connection.
#[derive(Debug, Default)]
pub(super) struct Holder {
    uploads: BTreeMap<u32, Held>,
}

impl Holder {
    /// Takes one step's output.
    pub(super) fn take(&mut self, output: &Output) {
        for op in &output.capture {
            match op {
                CaptureOp::Begin { upload, .. } => {
                    assert!(
                        self.uploads.insert(*upload, Held::default()).is_none(),
                        "an upload begins twice"
                    );
                }
                CaptureOp::Write { upload, offset, bytes } => {
                    let payload = output.payload.get(bytes.clone());
                    assert!(payload.is_some(), "a write outside the payload");
                    let held = self.uploads.get_mut(upload).filter(|held| !held.over);
                    assert!(held.is_some(), "a write outside an upload");
                    let free = held.is_some_and(|held| held.put(*offset, payload.unwrap_or_default()));
                    assert!(free, "a free place that is taken");
                }
                CaptureOp::Again { upload, offset, bytes } => {
                    let held = self.uploads.get(upload);
                    let taken = held.is_some_and(|held| held.get(*offset, bytes.len()).is_some());
                    assert!(taken, "taken, yet free");
                }
                CaptureOp::Discard { upload } => {
                    // Nothing may need these bytes any more: a replay reads them from the upload before.
                    let held = self.uploads.insert(*upload, Held { bytes: Vec::new(), over: true });
                    assert!(held.is_some_and(|held| !held.over), "a discard without an upload");
                }
                CaptureOp::End { upload, ranges, .. } => {
                    let held = self.uploads.get_mut(upload).filter(|held| !held.over);
                    assert!(held.is_some(), "an end without an upload");
                    let total: u64 = ranges.iter().map(|range| range.len()).sum();
                    if let Some(held) = held {
                        held.over = true;
                        assert_eq!(u64::try_from(held.count()), Ok(total), "ranges are not what was kept");
                    }
                }
            }
        }
    }

    /// Takes what the transcript has no room for.
    pub(super) fn add_rest(&mut self, offset: u64, bytes: &[u8]) {
        let rest = self.uploads.entry(REST_UPLOAD).or_insert(Held { bytes: Vec::new(), over: true });
        assert_eq!(u64::try_from(rest.bytes.len()), Ok(offset), "the rest has a hole");
        rest.put(offset, bytes);
    }

    /// Whether there is any of it.
    pub(super) fn has_rest(&self) -> bool {
        self.uploads.contains_key(&REST_UPLOAD)
    }

    /// Whether every upload has its end.
    pub(super) fn all_ended(&self) -> bool {
        self.uploads.values().all(|held| held.over)
    }

    /// Panics where a replay kept anything else than these; the rest is no connection's output.
    pub(super) fn assert_same_uploads(&self, again: &Self) {
        let own: Vec<_> = self.uploads.iter().filter(|(number, _)| **number != REST_UPLOAD).collect();
        for (number, held) in &own {
            let lengths = (held.count(), again.uploads.get(number).map(Held::count));
            let same = again.uploads.get(number) == Some(held);
            assert!(same, "upload {number} is another in the replay, {lengths:?} bytes");
        }
        assert_eq!(own.len(), again.uploads.len(), "more uploads in the replay");
    }
}

impl Payloads for Holder {
    fn read(&self, upload: u32, offset: u64, len: u32) -> Option<Vec<u8>> {
        self.uploads.get(&upload)?.get(offset, usize::try_from(len).ok()?)
    }
}
