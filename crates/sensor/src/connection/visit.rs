//! A connection's state, and one step of it.

use super::{Desk, scratch};
use crate::capture::{End, Upload};
use crate::gate::Permit;
use crate::running::UploadProgress;
use roridula_evidence::{Attribution, Batch, Changes, Closing, Waiting};
use roridula_proto::connection::{CaptureOp, Connection, Ending, Input, Opening, Output};
use roridula_proto::event::{ByteRange, CloseReason, Event, Origin, Transport, UploadState};
use roridula_proto::time::Timestamp;
use roridula_proto::transcript::{REST_UPLOAD, Recorder};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// How often an upload's progress is told to a live display.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// One connection.
#[derive(Debug)]
pub(super) struct Visit {
    pub(super) desk: Arc<Desk>,
    attribution: Attribution,
    started: Instant,
    connection: Connection,
    recorder: Option<Recorder>,
    permit: Permit,
    /// The version of the shared state that the decoy was told.
    shared_version: u64,
    uploads: Vec<(u32, Arc<Upload>)>,
    bytes: (u64, u64),
    /// Bytes kept besides the transcript, and whether that is all that is kept.
    rest: u64,
    rest_limit: bool,
    told_progress: Option<Instant>,
    /// It takes no replies any more; it is only read.
    deaf: bool,
    over: bool,
}

/// What a step leaves to be waited for.
#[derive(Debug, Default)]
pub(super) struct After {
    /// Replies that the socket did not take at once.
    pub(super) unsent: Vec<u8>,
    /// Where in `unsent` each ends.
    pub(super) unsent_writes: Vec<usize>,
    /// What the journal did not take at once.
    pub(super) waiting: Vec<Waiting>,
    /// Whether the connection is over.
    pub(super) over: bool,
    /// Whether it was the decoy that ended it.
    pub(super) hang_up: bool,
}

impl Visit {
    pub(super) fn new(
        desk: Arc<Desk>,
        attribution: Attribution,
        transport: Transport,
        permit: Permit,
    ) -> Self {
        let opening = Opening { id: attribution.connection, at: attribution.at, transport };
        let connection = Connection::new(Arc::clone(&desk.decoy), opening);
        let recorder = desk.options.transcripts.then(|| Recorder::new(Arc::clone(&desk.decoy), opening));
        Self {
            desk,
            attribution,
            started: Instant::now(),
            connection,
            recorder,
            permit,
            shared_version: 0,
            uploads: Vec::new(),
            bytes: (0, 0),
            rest: 0,
            rest_limit: false,
            told_progress: None,
            deaf: false,
            over: false,
        }
    }

    /// Tells the decoy what it may know of other connections; its first input.
    pub(super) fn begin(&mut self) -> After {
        scratch::with(|scratch| {
            let mut after = After::default();
            self.tell_shared(&mut scratch.output, None, &mut after);
            after
        })
    }

    /// Reads once, and does all that follows.
    pub(super) fn poll_read(&mut self, mut stream: Pin<&mut TcpStream>, cx: &mut Context<'_>) -> Poll<After> {
        scratch::with(|scratch| {
            let mut buffer = ReadBuf::new(&mut scratch.read);
            let read = ready!(stream.as_mut().poll_read(cx, &mut buffer));
            let mut after = After::default();
            let bytes = match &read {
                Ok(()) => buffer.filled(),
                Err(_) => &[],
            };
            let input = match read {
                Err(_) => Input::Ended(Ending::Reset),
                Ok(()) if bytes.is_empty() => Input::Ended(Ending::Closed),
                Ok(()) => Input::Bytes(bytes),
            };
            let output = &mut scratch.output;
            self.tell_shared(output, Some(&stream), &mut after);
            self.step(input, output, Some(&stream), &mut after);
            Poll::Ready(after)
        })
    }

    /// The decoy's deadline has come.
    pub(super) fn tick(&mut self) -> After {
        self.alone(Input::Tick)
    }

    /// It is over, by no act of the visitor or after its last.
    pub(super) fn end(&mut self, ending: Ending) -> After {
        self.alone(Input::Ended(ending))
    }

    /// From now on nothing is sent.
    pub(super) fn set_deaf(&mut self) {
        self.deaf = true;
    }

    /// When the decoy wants to be told that time has passed.
    pub(super) fn deadline(&self) -> Instant {
        self.started + Duration::from_micros(self.connection.deadline().0)
    }

    /// Uploads that must be written before more is read.
    pub(super) fn full_uploads(&self) -> Vec<Arc<Upload>> {
        // Without any, which is nearly always, this allocates nothing.
        self.uploads.iter().map(|(_, upload)| upload).filter(|upload| upload.is_full()).cloned().collect()
    }

    fn alone(&mut self, input: Input<'_>) -> After {
        scratch::with(|scratch| {
            let mut after = After::default();
            self.step(input, &mut scratch.output, None, &mut after);
            after
        })
    }

    fn tell_shared(&mut self, output: &mut Output, stream: Option<&TcpStream>, after: &mut After) {
        let version = self.desk.shared.version();
        if version == self.shared_version {
            return;
        }
        self.shared_version = version;
        let now = self.attribution.at.at(self.now());
        let shared = self.desk.shared.state(self.attribution.source.ip().to_canonical(), now);
        self.step(Input::Shared(shared), output, stream, after);
    }

    fn now(&self) -> Timestamp {
        Timestamp(u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// One input, and everything that follows from it: replies first, then the record.
    fn step(&mut self, input: Input<'_>, output: &mut Output, stream: Option<&TcpStream>, after: &mut After) {
        if self.over {
            after.over = true;
            return;
        }
        output.clear();
        let now = self.now();
        let connection = &mut self.connection;
        let handled = catch_unwind(AssertUnwindSafe(|| {
            #[cfg(test)]
            super::tests::fail_on_purpose(input);
            connection.handle(now, input, output);
        }));
        if handled.is_err() {
            return self.fault(now, input, after);
        }
        // Before the reply: whoever has been answered and comes again finds things changed.
        let changes = self.change(now, output);
        if let Some(stream) = stream.filter(|_| !self.deaf) {
            send_now(stream, output, after);
        }
        self.bytes.1 += output.send.len() as u64;
        if let Input::Bytes(bytes) = input {
            self.bytes.0 += bytes.len() as u64;
        }
        let recorder = &mut self.recorder;
        let recorded = catch_unwind(AssertUnwindSafe(|| {
            recorder.as_mut().and_then(|recorder| {
                recorder.record(now, input, output);
                recorder.take_rest()
            })
        }));
        match recorded {
            Ok(rest) => {
                self.keep_rest(rest);
                self.tell_rest_limit(now, output);
            }
            Err(_) => {
                self.recorder = None;
                self.desk.faults.fetch_add(1, Ordering::Relaxed);
            }
        }
        after.hang_up = output.close.is_some() && !matches!(input, Input::Ended(_));
        self.over = after.hang_up || matches!(input, Input::Ended(_));
        self.capture(output);
        if self.over {
            self.end_rest();
        }
        self.publish(output, changes, after);
        after.over = self.over;
        if !self.over {
            self.tell_progress();
            if self.meter() && matches!(input, Input::Bytes(_)) {
                // Whoever makes it too much goes; those who only wait stay.
                self.tell_limit(after);
                self.step(Input::Ended(Ending::Limit), output, None, after);
            }
        }
    }

    /// Tells other connections what this one changed; gives what has to outlive a restart.
    fn change(&self, now: Timestamp, output: &Output) -> Changes {
        if output.changes.is_empty() {
            return Changes::default();
        }
        let source = self.attribution.source.ip().to_canonical();
        self.desk.shared.apply(source, self.attribution.at.at(now), &output.changes)
    }

    /// Hands payload to the capture.
    fn capture(&mut self, output: &mut Output) {
        for op in output.capture.drain(..) {
            match op {
                CaptureOp::Begin { upload, origin } => {
                    let begun = self.desk.capture.begin(self.attribution, upload, origin);
                    self.uploads.push((upload, begun));
                }
                CaptureOp::Write { upload, offset, bytes } => {
                    push(&self.uploads, upload, offset, output.payload.get(bytes), false);
                }
                CaptureOp::Again { upload, offset, bytes } => {
                    push(&self.uploads, upload, offset, output.payload.get(bytes), true);
                }
                CaptureOp::Discard { upload } => self.end_upload(upload, None),
                CaptureOp::End { upload, state, total, ranges } => {
                    self.end_upload(upload, Some(End { state, total, ranges }));
                }
            }
        }
    }

    /// What the transcript has no room for goes the way of payload.
    fn keep_rest(&mut self, rest: Option<(u64, Vec<u8>)>) {
        let Some((offset, bytes)) = rest else { return };
        if offset == 0 {
            let begun = self.desk.capture.begin(self.attribution, REST_UPLOAD, Origin::StreamRest);
            self.uploads.push((REST_UPLOAD, begun));
        }
        push(&self.uploads, REST_UPLOAD, offset, Some(&bytes), false);
        self.rest = offset + bytes.len() as u64;
    }

    /// Tells, once, that not even the rest is kept any more.
    fn tell_rest_limit(&mut self, now: Timestamp, output: &mut Output) {
        let met = self.recorder.as_ref().is_some_and(Recorder::is_truncated);
        if met && !std::mem::replace(&mut self.rest_limit, true) {
            let value = self.desk.decoy.limits.rest_bytes_max;
            output.events.push((now, Event::LimitReached { limit: "rest_bytes_max".to_owned(), value }));
        }
    }

    fn end_rest(&mut self) {
        let cut = self.recorder.as_ref().is_some_and(Recorder::is_truncated);
        let state = if cut { UploadState::Partial } else { UploadState::Complete };
        let ranges = vec![ByteRange { start: 0, end: self.rest }];
        self.end_upload(REST_UPLOAD, Some(End { state, total: None, ranges }));
    }

    fn end_upload(&mut self, upload: u32, end: Option<End>) {
        if let Some(at) = self.uploads.iter().position(|(number, _)| *number == upload) {
            self.uploads.swap_remove(at).1.end(end);
        }
    }

    /// Puts events on record, and the end.
    fn publish(&mut self, output: &mut Output, changes: Changes, after: &mut After) {
        if output.events.is_empty() && changes == Changes::default() && !self.over {
            return;
        }
        let at = self.attribution.at;
        let events = output.events.drain(..).map(|(when, event)| (at.at(when), event)).collect();
        let closing = self.over.then(|| self.closing());
        let batch = Batch { attribution: self.attribution, events, changes, closing };
        after.waiting.extend(self.desk.store.try_append(batch).err());
    }

    fn closing(&mut self) -> Closing {
        let Some(recorder) = self.recorder.take() else { return Closing::default() };
        let text = catch_unwind(AssertUnwindSafe(|| {
            let transcript = recorder.transcript();
            (transcript.to_text(), transcript.is_complete())
        }));
        match text {
            Ok((text, whole)) => Closing { transcript: Some(text), whole },
            Err(_) => {
                self.desk.faults.fetch_add(1, Ordering::Relaxed);
                Closing::default()
            }
        }
    }

    /// The decoy panicked: this connection is over, what led there is kept, everybody else goes on.
    fn fault(&mut self, now: Timestamp, input: Input<'_>, after: &mut After) {
        self.over = true;
        after.over = true;
        after.hang_up = true;
        self.desk.faults.fetch_add(1, Ordering::Relaxed);
        let id = self.attribution.connection;
        if let Some(recorder) = &mut self.recorder {
            // The input that did it is the one that matters.
            let text = catch_unwind(AssertUnwindSafe(|| {
                let last = Output { close: Some(CloseReason::Fault), ..Output::default() };
                recorder.record(now, input, &last);
                recorder.transcript().to_text()
            }));
            match text.map(|text| self.desk.store.keep_crash(id, &text)) {
                Ok(Ok(path)) => {
                    tracing::error!(%id, path = %path.display(), "a fault of ours closed a connection")
                }
                Ok(Err(error)) => {
                    tracing::error!(%id, %error, "a fault of ours, and its transcript cannot be kept")
                }
                Err(_) => tracing::error!(%id, "a fault of ours, and one in its transcript"),
            }
        }
        for (_, upload) in self.uploads.drain(..) {
            upload.end(Some(End { state: UploadState::Partial, total: None, ranges: Vec::new() }));
        }
        let closed = Event::ConnectionClosed {
            reason: CloseReason::Fault,
            duration_us: now.0,
            bytes_in: self.bytes.0,
            bytes_out: self.bytes.1,
            events_dropped: 0,
        };
        let events = vec![(self.attribution.at.at(now), closed)];
        let closing = Some(self.closing());
        let batch = Batch { attribution: self.attribution, events, changes: Changes::default(), closing };
        after.waiting.extend(self.desk.store.try_append(batch).err());
    }

    fn tell_progress(&mut self) {
        if self.uploads.is_empty() || self.desk.progress.receiver_count() == 0 {
            return;
        }
        let now = Instant::now();
        // Counted from the first chunk: an upload that is over at once needs no progress.
        let told = *self.told_progress.get_or_insert(now);
        if now.duration_since(told) < PROGRESS_EVERY {
            return;
        }
        self.told_progress = Some(now);
        if let Some(progress) = self.connection.progress() {
            let _ = self.desk.progress.send(UploadProgress { attribution: self.attribution, progress });
        }
    }

    fn tell_limit(&self, after: &mut After) {
        let value = self.desk.options.memory_bytes_max as u64;
        let event = Event::LimitReached { limit: "memory_bytes_max".to_owned(), value };
        let events = vec![(self.attribution.at.at(self.now()), event)];
        let batch =
            Batch { attribution: self.attribution, events, changes: Changes::default(), closing: None };
        after.waiting.extend(self.desk.store.try_append(batch).err());
    }

    /// Notes what the connection owns; says whether all together own too much.
    fn meter(&mut self) -> bool {
        let recorded = self.recorder.as_ref().map_or(0, Recorder::memory_used);
        self.permit.set_memory(self.connection.memory_used() + recorded)
    }
}

/// Sends each reply in one write; what the socket does not take is left in `after`.
fn send_now(stream: &TcpStream, output: &Output, after: &mut After) {
    for reply in output.replies() {
        let sent = match after.unsent.is_empty() {
            // The socket's own fault shows at the next read.
            true => stream.try_write(reply).unwrap_or(0),
            false => 0,
        };
        if let Some(rest) = reply.get(sent..).filter(|rest| !rest.is_empty()) {
            after.unsent.extend_from_slice(rest);
            after.unsent_writes.push(after.unsent.len());
        }
    }
}

fn push(uploads: &[(u32, Arc<Upload>)], upload: u32, offset: u64, bytes: Option<&[u8]>, again: bool) {
    let known = uploads.iter().find(|(number, _)| *number == upload);
    if let (Some((_, upload)), Some(bytes)) = (known, bytes) {
        upload.push(offset, bytes, again);
    }
}
