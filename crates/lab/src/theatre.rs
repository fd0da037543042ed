//! A visitor and a connection face to face in memory, in virtual time: no socket, no clock.

use crate::pcap::Side;
use roridula_proto::client::exploit::{Exploit, Turn, Wrong};
use roridula_proto::client::visit::{Next, Outcome, Plan, Visit};
use roridula_proto::connection::{
    CaptureOp, Connection, ConnectionId, Decoy, Ending, Implant, Input, Ms17010, Opening, Output,
    SharedChange, SharedState,
};
use roridula_proto::event::{ByteRange, Event, Transport, UploadState};
use roridula_proto::identity::{Identity, Secret};
use roridula_proto::limits::Limits;
use roridula_proto::persona::Persona;
use roridula_proto::time::{Timestamp, WallClock};
use roridula_proto::transcript::{Recorder, Transcript};
use std::collections::BTreeMap;
use std::sync::Arc;

/// When the theatre's connections open: 12 May 2017, 07:44:00 UTC.
pub const OPENED_AT: WallClock = WallClock(1_494_575_040_000_000);

/// Between two inputs.
const STEP_US: u64 = 1_000;

/// The decoy of tests and goldens: always the same install.
pub fn decoy() -> Decoy {
    Decoy {
        identity: Identity::derive(Secret([0x5a; 32]), WallClock(OPENED_AT.0 - 1_000_000_000_000)),
        persona: Persona::WINDOWS_7_SP1,
        limits: Limits::default(),
        implant: Implant::default(),
        ms17_010: Ms17010::Unpatched,
    }
}

/// What of an upload was kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// By their place.
    pub bytes: BTreeMap<u64, Vec<u8>>,
    /// Bytes sent again for a place.
    pub again: u64,
    /// How it ended, once it has: state, total, ranges.
    pub end: Option<(UploadState, Option<u64>, Vec<ByteRange>)>,
}

impl Kept {
    /// All bytes in the order of their places, as the sample holds them.
    pub fn sample(&self) -> Vec<u8> {
        self.bytes.values().flatten().copied().collect()
    }
}

/// Everything that came out of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Each reply as one write.
    pub replies: Vec<Vec<u8>>,
    /// What was told, and when.
    pub events: Vec<(Timestamp, Event)>,
    /// Uploads by number.
    pub uploads: BTreeMap<u32, Kept>,
    /// What changed for others.
    pub changes: Vec<SharedChange>,
    /// The most memory that the connection owned after a step, in bytes.
    pub memory_max: usize,
    /// Whether it wanted to be closed.
    pub closed: bool,
}

impl Seen {
    /// Takes one step's output.
    ///
    /// # Panics
    /// If the output contradicts itself: writes outside `send`, payload outside `payload`.
    pub fn take(&mut self, connection: &Connection, output: &Output) {
        self.replies.extend(output.replies().map(<[u8]>::to_vec));
        assert_eq!(
            output.writes.last().copied().unwrap_or(0),
            output.send.len(),
            "bytes that are in no reply"
        );
        self.events.extend(output.events.iter().cloned());
        self.changes.extend(output.changes.iter().copied());
        self.closed |= output.close.is_some();
        self.memory_max = self.memory_max.max(connection.memory_used());
        for op in &output.capture {
            match op {
                CaptureOp::Begin { upload, .. } => {
                    assert!(self.uploads.insert(*upload, Kept::default()).is_none(), "upload {upload} twice");
                }
                CaptureOp::Write { upload, offset, bytes } => {
                    let kept = self.uploads.get_mut(upload).expect("a write after its begin");
                    kept.bytes.insert(*offset, output.payload[bytes.clone()].to_vec());
                }
                CaptureOp::Again { upload, bytes, .. } => {
                    let kept = self.uploads.get_mut(upload).expect("a write after its begin");
                    kept.again += bytes.len() as u64;
                }
                CaptureOp::Discard { upload } => {
                    let kept = self.uploads.remove(upload).expect("a discard after its begin");
                    assert!(kept.end.is_none(), "two ends");
                }
                CaptureOp::End { upload, state, total, ranges } => {
                    let kept = self.uploads.get_mut(upload).expect("an end after its begin");
                    assert!(kept.end.replace((*state, *total, ranges.clone())).is_none(), "two ends");
                }
            }
        }
    }
}

/// One connection on the stage.
#[derive(Debug)]
pub struct Theatre {
    connection: Connection,
    recorder: Recorder,
    now: Timestamp,
    shared: SharedState,
    output: Output,
    /// What came out so far.
    pub seen: Seen,
    /// Both sides' bytes in order.
    pub conversation: Vec<(Side, Vec<u8>)>,
}

impl Theatre {
    /// A connection that was just accepted.
    pub fn open(decoy: Decoy, transport: Transport, shared: SharedState) -> Self {
        let opening = Opening { id: ConnectionId(0x0123_4567_89ab_cdef), at: OPENED_AT, transport };
        let decoy = Arc::new(decoy);
        let mut theatre = Self {
            recorder: Recorder::new(Arc::clone(&decoy), opening),
            connection: Connection::new(decoy, opening),
            now: Timestamp(0),
            shared,
            output: Output::default(),
            seen: Seen::default(),
            conversation: Vec::new(),
        };
        theatre.input(Input::Shared(shared));
        theatre
    }

    /// One input, now. What it changes for others comes back as the shared state, as in the sensor.
    pub fn input(&mut self, input: Input<'_>) {
        self.output.clear();
        self.connection.handle(self.now, input, &mut self.output);
        self.recorder.record(self.now, input, &self.output);
        self.seen.take(&self.connection, &self.output);
        if let Input::Bytes(bytes) = input {
            self.conversation.push((Side::Visitor, bytes.to_vec()));
        }
        self.conversation.extend(self.output.replies().map(|reply| (Side::Decoy, reply.to_vec())));
        let before = self.shared;
        for change in self.output.changes.drain(..) {
            match change {
                SharedChange::UploadFinished => self.shared.generation += 1,
                SharedChange::Killed => self.shared.dormant = true,
                SharedChange::Exploited => {
                    (self.shared.dormant, self.shared.exploited) = (false, true);
                }
            }
        }
        if self.shared != before {
            let shared = self.shared;
            self.input(Input::Shared(shared));
        }
    }

    /// Bytes a moment later; returns the replies to them, put together.
    pub fn bytes(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.now = self.now.plus_micros(STEP_US);
        let before = self.seen.replies.len();
        self.input(Input::Bytes(bytes));
        self.seen.replies[before..].concat()
    }

    /// Waits until the connection's own deadline.
    pub fn wait(&mut self) {
        self.now = self.connection.deadline().max(self.now);
        self.input(Input::Tick);
    }

    /// The peer closes.
    pub fn end(&mut self, ending: Ending) {
        self.now = self.now.plus_micros(STEP_US);
        self.input(Input::Ended(ending));
    }

    /// Plays a visit to its outcome, without closing. Nothing else may have been sent before.
    pub fn visit(&mut self, plan: Plan<'_>) -> Outcome {
        self.visit_until(plan, usize::MAX).unwrap_or(Outcome::NotImplanted)
    }

    /// Plays a visit until it has sent `bytes_max` bytes; the outcome, if it came that far.
    pub fn visit_until(&mut self, plan: Plan<'_>, bytes_max: usize) -> Option<Outcome> {
        let mut visit = Visit::new(plan);
        let (mut frame, mut reply, mut left) = (Vec::new(), Vec::new(), bytes_max);
        loop {
            match visit.next(&reply, &mut frame) {
                Next::Send(_) if frame.len() > left => {
                    self.bytes(&frame[..left]);
                    return None;
                }
                Next::Send(_) => {
                    left -= frame.len();
                    reply = self.bytes(&frame);
                }
                Next::Done(outcome) => return Some(outcome),
            }
        }
    }

    /// Plays one of an exploit's connections to its end, without closing; the others' turns take no time.
    ///
    /// # Panics
    /// If the decoy says something where an unpatched host is silent.
    pub fn exploit(&mut self, exploit: &mut Exploit<'_>) -> Result<(), Wrong> {
        self.exploit_until(exploit, usize::MAX).unwrap_or(Ok(()))
    }

    /// Plays it until `bytes_max` bytes were sent; how it ended, if it came that far.
    pub fn exploit_until(
        &mut self,
        exploit: &mut Exploit<'_>,
        bytes_max: usize,
    ) -> Option<Result<(), Wrong>> {
        let (mut frames, mut reply, mut left) = (Vec::new(), Vec::new(), bytes_max);
        loop {
            let turn = exploit.next(&reply, &mut frames);
            reply.clear();
            match turn {
                Turn::Wait => {}
                Turn::Done(ended) => return Some(ended),
                _ if frames.len() > left => {
                    self.bytes(&frames[..left]);
                    return None;
                }
                Turn::Ask(_) | Turn::Tell(_) => {
                    left -= frames.len();
                    let said = self.bytes(&frames);
                    assert!(matches!(turn, Turn::Ask(_)) || said.is_empty(), "{turn:?} was answered");
                    reply = said;
                }
            }
        }
    }

    /// The recording so far.
    pub fn transcript(&self) -> Transcript {
        self.recorder.transcript()
    }
}
