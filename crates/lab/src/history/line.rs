//! One connection of the past: the decoy's real code in virtual time, told as the sensor tells it.

use super::past::{Past, Record, Upload};
use roridula_evidence::{Attribution, Batch, Changes, Closing};
use roridula_proto::client::chance::Chance;
use roridula_proto::client::exploit::{Exploit, Turn};
use roridula_proto::client::visit::{Next, Outcome, Plan, Visit};
use roridula_proto::connection::{CaptureOp, Connection, Decoy, Ending, Input, Opening, Output, SharedState};
use roridula_proto::event::{Event, Origin, Transport, UploadState};
use roridula_proto::time::{Timestamp, WallClock};
use roridula_proto::transcript::{REST_UPLOAD, Recorder};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// Until a sample is on the disk, in microseconds.
const SEALED_US: u64 = 3_000;

/// Who comes, when, and how far away it is.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// When.
    pub(super) at: WallClock,
    /// From where.
    pub(super) source: SocketAddr,
    /// To which of our ports.
    pub(super) destination: SocketAddr,
    /// Microseconds from one of its messages to the next, at least; at most twice that.
    pub(super) pace_us: u64,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Line {
    attribution: Attribution,
    connection: Connection,
    recorder: Recorder,
    pace_us: u64,
    chance: Chance,
    now: Timestamp,
    shared: SharedState,
    output: Output,
    uploads: BTreeMap<u32, (Origin, BTreeMap<u64, Vec<u8>>)>,
    rest: BTreeMap<u64, Vec<u8>>,
    over: bool,
}

impl Line {
    /// A connection that is accepted when its caller says.
    pub(super) fn open(past: &mut Past, decoy: &Arc<Decoy>, caller: &Caller) -> Self {
        let attribution = past.accept(caller.at, caller.source, caller.destination);
        let transport =
            if caller.destination.port() == 139 { Transport::NetBios } else { Transport::DirectTcp };
        let opening = Opening { id: attribution.connection, at: caller.at, transport };
        let mut line = Self {
            attribution,
            connection: Connection::new(Arc::clone(decoy), opening),
            recorder: Recorder::new(Arc::clone(decoy), opening),
            pace_us: caller.pace_us.max(1),
            chance: Chance::new(attribution.connection.0),
            now: Timestamp(0),
            shared: SharedState::default(),
            output: Output::default(),
            uploads: BTreeMap::new(),
            rest: BTreeMap::new(),
            over: false,
        };
        line.shared = past.state(caller.source.ip(), caller.at);
        line.input(past, Input::Shared(line.shared));
        line
    }

    /// What time it is for its caller.
    pub(super) fn now(&self) -> WallClock {
        self.attribution.at.at(self.now)
    }

    /// Time goes by until `at`, if that is not past.
    pub(super) fn wait_until(&mut self, at: WallClock) {
        self.now = self.now.max(Timestamp(at.0.saturating_sub(self.attribution.at.0)));
    }

    /// Bytes a moment later; the replies to them, put together.
    pub(super) fn bytes(&mut self, past: &mut Past, bytes: &[u8]) -> Vec<u8> {
        self.pause();
        self.input(past, Input::Bytes(bytes));
        self.output.send.clone()
    }

    /// The caller closes.
    pub(super) fn end(mut self, past: &mut Past, ending: Ending) -> WallClock {
        self.pause();
        self.input(past, Input::Ended(ending));
        self.now()
    }

    /// The caller says nothing until it is closed.
    pub(super) fn fall_silent(mut self, past: &mut Past) -> WallClock {
        self.now = self.connection.deadline().max(self.now);
        self.input(past, Input::Tick);
        self.end(past, Ending::Closed)
    }

    /// Plays a visit until it is over or has sent `bytes_max` bytes; its outcome, if it came that far.
    pub(super) fn visit(&mut self, past: &mut Past, plan: Plan<'_>, bytes_max: usize) -> Option<Outcome> {
        let mut visit = Visit::new(plan);
        let (mut frame, mut reply, mut left) = (Vec::new(), Vec::new(), bytes_max);
        loop {
            match visit.next(&reply, &mut frame) {
                Next::Send(_) if frame.len() > left => {
                    self.bytes(past, &frame[..left]);
                    return None;
                }
                Next::Send(_) => {
                    left -= frame.len();
                    reply = self.bytes(past, &frame);
                }
                Next::Done(outcome) => return Some(outcome),
            }
        }
    }

    /// Plays one of an exploit's connections until it is the others' turn, or over.
    pub(super) fn exploit(&mut self, past: &mut Past, exploit: &mut Exploit<'_>) {
        let (mut frames, mut reply) = (Vec::new(), Vec::new());
        loop {
            match exploit.next(&reply, &mut frames) {
                Turn::Wait | Turn::Done(_) => return,
                Turn::Ask(_) | Turn::Tell(_) => reply = self.bytes(past, &frames),
            }
        }
    }

    fn pause(&mut self) {
        let more = self.chance.next_u64() % self.pace_us;
        self.now = self.now.plus_micros(self.pace_us + more);
    }

    fn input(&mut self, past: &mut Past, input: Input<'_>) {
        self.output.clear();
        if self.over {
            return;
        }
        self.connection.handle(self.now, input, &mut self.output);
        self.recorder.record(self.now, input, &self.output);
        if let Some((at, bytes)) = self.recorder.take_rest() {
            self.rest.insert(at, bytes);
        }
        self.over = self.output.close.is_some() || matches!(input, Input::Ended(_));
        let source = self.attribution.source.ip();
        let changed = past.apply(source, self.now(), &self.output.changes);
        self.capture(past);
        self.publish(past, changed);
        let shared = past.state(source, self.now());
        if !self.over && shared != self.shared {
            self.shared = shared;
            let replies = std::mem::take(&mut self.output.send);
            self.input(past, Input::Shared(shared));
            self.output.send = replies;
        }
    }

    fn capture(&mut self, past: &mut Past) {
        for op in std::mem::take(&mut self.output.capture) {
            match op {
                CaptureOp::Begin { upload, origin } => {
                    drop(self.uploads.insert(upload, (origin, BTreeMap::new())))
                }
                CaptureOp::Write { upload, offset, bytes } => {
                    if let Some((_, pieces)) = self.uploads.get_mut(&upload) {
                        pieces.insert(offset, self.output.payload[bytes].to_vec());
                    }
                }
                // A visitor of the past sends nothing twice but what is the same.
                CaptureOp::Again { .. } => {}
                CaptureOp::Discard { upload } => drop(self.uploads.remove(&upload)),
                CaptureOp::End { upload, state, total, .. } => self.seal(past, upload, state, total),
            }
        }
        if self.over && !self.rest.is_empty() {
            self.uploads.insert(REST_UPLOAD, (Origin::StreamRest, std::mem::take(&mut self.rest)));
            self.seal(past, REST_UPLOAD, UploadState::Complete, None);
        }
    }

    fn seal(&mut self, past: &mut Past, number: u32, state: UploadState, total: Option<u64>) {
        let Some((origin, pieces)) = self.uploads.remove(&number) else { return };
        let upload = Upload { attribution: self.attribution, number, origin, state, total, pieces };
        past.put(WallClock(self.now().0 + SEALED_US), Record::Upload(upload));
    }

    fn publish(&mut self, past: &mut Past, changes: Changes) {
        if self.output.events.is_empty() && changes == Changes::default() && !self.over {
            return;
        }
        let at = |(when, event): (Timestamp, Event)| (self.attribution.at.at(when), event);
        let events = self.output.events.drain(..).map(at).collect();
        let closing = self.over.then(|| {
            let transcript = self.recorder.transcript();
            Closing { whole: transcript.is_complete(), transcript: Some(transcript.to_text()) }
        });
        past.put(
            self.now(),
            Record::Batch(Batch { attribution: self.attribution, events, changes, closing }),
        );
    }
}
