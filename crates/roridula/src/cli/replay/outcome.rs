//! What a replay gives: events, replies, uploads, and how they differ from what was recorded.

use roridula_proto::connection::{CaptureOp, Output};
use roridula_proto::event::{ByteRange, Event, Origin, UploadState};
use roridula_proto::time::Timestamp;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

use crate::cli::out;

/// What today's build made of a transcript.
#[derive(Serialize)]
pub(super) struct Outcome {
    pub(super) name: String,
    pub(super) connection: String,
    pub(super) complete: bool,
    pub(super) replies: u64,
    pub(super) reply_bytes: u64,
    pub(super) replies_sha256: String,
    /// Whether they are those of the recording; null where that cannot be told.
    pub(super) same_replies: Option<bool>,
    /// Whether today's events are those of the journal; null where that cannot be told.
    pub(super) same_events: Option<bool>,
    /// Where they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) difference: Option<Difference>,
    pub(super) events: Vec<Told>,
    pub(super) uploads: Vec<Upload>,
    /// What kept the replay from its end, or null.
    pub(super) error: Option<String>,
}

/// What only the journal, or only this build, tells of a connection.
#[derive(Serialize)]
pub(super) struct Difference {
    pub(super) only_then: Vec<Event>,
    pub(super) only_now: Vec<Event>,
}

impl Difference {
    /// Compared as sets with repeats: the order follows from the inputs.
    pub(super) fn of(then: &[Event], now: &[Told]) -> Self {
        let mut only_now: Vec<Event> = now.iter().map(|told| told.event.clone()).collect();
        let mut only_then = Vec::new();
        for event in then.iter().filter(|event| is_the_connections(event)) {
            match only_now.iter().position(|now| now == event) {
                Some(at) => drop(only_now.remove(at)),
                None => only_then.push(event.clone()),
            }
        }
        Self { only_then, only_now }
    }

    pub(super) fn is_none(&self) -> bool {
        self.only_then.is_empty() && self.only_now.is_empty()
    }
}

/// Whether the connection itself told it: what became of its payload is told by the capture.
pub(super) fn is_the_connections(event: &Event) -> bool {
    !matches!(event, Event::SampleCaptured { .. } | Event::SampleTriaged { .. } | Event::CaptureFailed { .. })
}

#[derive(Serialize)]
pub(super) struct Told {
    pub(super) time_us: u64,
    #[serde(flatten)]
    pub(super) event: Event,
}

#[derive(Serialize)]
pub(super) struct Upload {
    pub(super) upload: u32,
    pub(super) origin: Origin,
    pub(super) state: UploadState,
    pub(super) size: u64,
    pub(super) total: Option<u64>,
    pub(super) ranges: Vec<ByteRange>,
    pub(super) sha256: String,
}

#[derive(Default)]
pub(super) struct Run {
    pub(super) replies: u64,
    pub(super) reply_bytes: u64,
    pub(super) hash: Sha256,
    pub(super) events: Vec<Told>,
    open: BTreeMap<u32, Holding>,
    pub(super) uploads: Vec<Upload>,
}

/// An upload that arrives again.
struct Holding {
    origin: Origin,
    bytes: Vec<u8>,
    conflict: Vec<u8>,
    conflict_ranges: Vec<ByteRange>,
}

impl Run {
    pub(super) fn step(&mut self, output: &Output) {
        self.replies += output.writes.len() as u64;
        self.reply_bytes += output.send.len() as u64;
        self.hash.update(&output.send);
        let told = |(at, event): &(Timestamp, Event)| Told { time_us: at.0, event: event.clone() };
        self.events.extend(output.events.iter().map(told));
        for op in &output.capture {
            self.capture(op, &output.payload);
        }
    }

    fn capture(&mut self, op: &CaptureOp, payload: &[u8]) {
        match op {
            CaptureOp::Begin { upload, origin } => {
                let holding = Holding {
                    origin: *origin,
                    bytes: Vec::new(),
                    conflict: Vec::new(),
                    conflict_ranges: Vec::new(),
                };
                self.open.insert(*upload, holding);
            }
            CaptureOp::Write { upload, offset, bytes } => {
                if let Some(holding) = self.open.get_mut(upload) {
                    holding.write(*offset, payload.get(bytes.clone()).unwrap_or_default());
                }
            }
            CaptureOp::Again { upload, offset, bytes } => {
                if let Some(holding) = self.open.get_mut(upload) {
                    holding.again(*offset, payload.get(bytes.clone()).unwrap_or_default());
                }
            }
            CaptureOp::Discard { upload } => {
                self.open.remove(upload);
            }
            CaptureOp::End { upload, state, total, ranges } => {
                if let Some(holding) = self.open.remove(upload) {
                    self.end(*upload, *state, *total, ranges, holding);
                }
            }
        }
    }

    fn end(
        &mut self,
        upload: u32,
        state: UploadState,
        total: Option<u64>,
        ranges: &[ByteRange],
        holding: Holding,
    ) {
        let mut hash = Sha256::new();
        for range in ranges {
            let place = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
            hash.update(place.and_then(|(start, end)| holding.bytes.get(start..end)).unwrap_or_default());
        }
        let size = ranges.iter().map(|range| range.len()).sum();
        let origin = holding.origin;
        let sha256 = out::hex(&hash.finalize());
        self.uploads.push(Upload { upload, origin, state, size, total, ranges: ranges.to_vec(), sha256 });
        if !holding.conflict.is_empty() {
            self.uploads.push(Upload {
                upload,
                origin: Origin::DoublePulsarConflict,
                state: UploadState::Partial,
                size: holding.conflict.len() as u64,
                total,
                ranges: holding.conflict_ranges,
                sha256: out::hex(&Sha256::digest(&holding.conflict)),
            });
        }
    }
}

impl Holding {
    fn write(&mut self, offset: u64, bytes: &[u8]) {
        // The connection writes within limits.upload_bytes_max only.
        let Ok(start) = usize::try_from(offset) else { return };
        let end = start.saturating_add(bytes.len());
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[start..end].copy_from_slice(bytes);
    }

    fn again(&mut self, offset: u64, bytes: &[u8]) {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let held = self.bytes.get(start..start.saturating_add(bytes.len()));
        if held != Some(bytes) {
            self.conflict.extend_from_slice(bytes);
            self.conflict_ranges.push(ByteRange { start: offset, end: offset + bytes.len() as u64 });
        }
    }
}
