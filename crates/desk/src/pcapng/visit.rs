//! One connection's packets, made from its transcript as they are asked for.

use super::tcp::{Ends, Flow, Note, Packet, Side};
use crate::story;
use roridula_proto::connection::{Decoy, Ending, Input, Output, PayloadSpan};
use roridula_proto::event::Event;
use roridula_proto::time::{Timestamp, WallClock};
use roridula_proto::transcript::{PayloadGone, Payloads, Player, Transcript};
use std::collections::VecDeque;
use std::ops::Range;

/// Length of a chunk's parameters, where [`PayloadSpan::params_at`] says that there are some.
const PARAMETERS: u64 = 12;

/// A recorded connection, and what its packets need besides.
#[derive(Clone, Copy)]
pub struct Recorded<'r> {
    /// What was recorded.
    pub transcript: &'r Transcript,
    /// The payload bytes that it refers to.
    pub payloads: &'r dyn Payloads,
    /// Whose replies are made again.
    pub decoy: &'r Decoy,
    /// Between whom it was.
    pub ends: Ends,
}

/// What happened at one moment: bytes that came, and all that followed from them.
#[derive(Debug)]
struct Step {
    at: WallClock,
    /// Position of `inbound` in all bytes received.
    from: u64,
    inbound: Vec<u8>,
    notes: Vec<Note>,
    replies: Vec<Vec<u8>>,
    close: Option<Close>,
}

/// How the connection ended, and what is told of that.
#[derive(Debug)]
struct Close {
    by: Side,
    is_reset: bool,
    comments: Vec<String>,
}

impl Step {
    fn end(&self) -> u64 {
        self.from + self.inbound.len() as u64
    }

    /// The part of `stream` that came in this step, as places in `inbound`.
    fn part(&self, stream: &Range<u64>) -> Range<usize> {
        let place = |at: u64| (at.clamp(self.from, self.end()) - self.from) as usize;
        place(stream.start)..place(stream.end)
    }
}

/// A connection whose packets are made one by one. Holds the connection's state, and the steps whose bytes end
/// in an unfinished frame: what a chunk's bytes are is known when its frame is whole.
pub(super) struct Visit<'r> {
    recorded: Recorded<'r>,
    player: Player<'r>,
    decode: bool,
    flow: Flow,
    steps: VecDeque<Step>,
    received: u64,
    /// How much of that has been dealt with: steps before it are what they will be.
    consumed: u64,
    last: Timestamp,
    over: bool,
    /// What kept it from its end.
    pub(super) gone: Option<PayloadGone>,
}

impl<'r> Visit<'r> {
    /// The connection from its handshake on. `decode`: chunks are shown decoded.
    pub(super) fn new(recorded: Recorded<'r>, decode: bool) -> Self {
        let opening = recorded.transcript.opening();
        let (id, at) = (opening.id, opening.at);
        let extent = if recorded.transcript.is_complete() {
            "its transcript is complete"
        } else {
            "its transcript is TRUNCATED: what is missing at the end came, but was too much to keep"
        };
        let about = format!("connection {id} ({}): {extent}", opening.transport);
        // Any numbers do; these are the same every time.
        let initial = [id.0 as u32, (id.0 >> 32) as u32];
        Self {
            recorded,
            player: Player::new(recorded.transcript, recorded.decoy),
            decode,
            flow: Flow::open(recorded.ends, initial, at, vec![about]),
            steps: VecDeque::new(),
            received: 0,
            consumed: 0,
            last: Timestamp::default(),
            over: false,
            gone: None,
        }
    }

    /// When its next packet was sent; `None` when there are no more.
    pub(super) fn due(&mut self) -> Option<WallClock> {
        while self.flow.front().is_none() {
            match self.steps.pop_front() {
                Some(step) if self.over || step.end() <= self.consumed => self.send(step),
                Some(step) => {
                    self.steps.push_front(step);
                    self.step();
                }
                None if self.over => return None,
                None => self.step(),
            }
        }
        self.flow.front().map(|packet| packet.at)
    }

    /// The packet that is due.
    pub(super) fn take(&mut self) -> Option<Packet> {
        self.due()?;
        self.flow.take()
    }

    /// Plays one input.
    fn step(&mut self) {
        let Self { player, recorded, decode, steps, received, consumed, last, .. } = self;
        let opened = recorded.transcript.opening().at;
        let mut ended = false;
        let stepped = player.step(recorded.payloads, &mut |now, input, output| {
            // A file from wherever may turn the clock back.
            *last = now.max(*last);
            let inbound = if let Input::Bytes(bytes) = input { bytes.to_vec() } else { Vec::new() };
            let (at, from) = (opened.at(*last), *received);
            *received += inbound.len() as u64;
            *consumed = output.consumed;
            let replies = output.replies().map(<[u8]>::to_vec).collect();
            let close = close_of(input, output);
            ended |= close.is_some();
            steps.push_back(Step { at, from, inbound, notes: Vec::new(), replies, close });
            tell(steps, output, *received);
            output.spans.iter().for_each(|span| show(steps, span, *decode));
        });
        // What a file has after a connection's end, nobody sent.
        self.over = ended || !matches!(stepped, Ok(true));
        self.gone = stepped.err();
    }

    /// Makes a step's packets.
    fn send(&mut self, step: Step) {
        let (at, flow) = (step.at, &mut self.flow);
        flow.send(at, Side::Visitor, &step.inbound, &step.notes);
        for reply in &step.replies {
            flow.send(at, Side::Decoy, reply, &[]);
        }
        flow.acknowledge(at, Side::Decoy);
        let Some(Close { by, is_reset, comments }) = step.close else { return };
        if is_reset {
            flow.reset(at, by, comments);
            return;
        }
        flow.finish(at, by, comments);
        if by == Side::Visitor {
            // The honeypot closes too; whether a visitor did after us, nobody recorded.
            flow.finish(at, Side::Decoy, Vec::new());
        }
        flow.acknowledge(at, by.other());
        flow.acknowledge(at, by);
    }
}

/// How a step ends the connection, if it does.
fn close_of(input: &Input<'_>, output: &Output) -> Option<Close> {
    let close = |by, is_reset| {
        let last = output.events.iter().filter(|(_, event)| is_of_the_end(event));
        let comments = last.map(|(_, event)| story::line(event)).collect();
        Some(Close { by, is_reset, comments })
    };
    match input {
        // It may have asked to be closed before.
        _ if output.close.is_none() => None,
        Input::Ended(Ending::Closed) => close(Side::Visitor, false),
        Input::Ended(Ending::Reset) => close(Side::Visitor, true),
        _ => close(Side::Decoy, false),
    }
}

fn is_of_the_end(event: &Event) -> bool {
    matches!(event, Event::ConnectionClosed { .. } | Event::ClientFingerprint { .. })
}

/// Puts a step's events where their bytes are: at the message that they name, else at the last byte that came.
fn tell(steps: &mut VecDeque<Step>, output: &Output, received: u64) {
    for (_, event) in &output.events {
        if is_of_the_end(event) || matches!(event, Event::ConnectionOpened { .. }) {
            continue;
        }
        let last = received.saturating_sub(1);
        let at = begins_at(event).unwrap_or(last);
        let place = steps.iter().position(|step| (step.from..step.end()).contains(&at));
        match place.and_then(|place| steps.get_mut(place)) {
            Some(step) => {
                let bytes = step.part(&(at..at + 1));
                step.notes.push(Note { bytes, text: story::line(event) });
            }
            // Its bytes are packets already: it stands at the packet that ends the connection.
            None => {
                let close = steps.back_mut().and_then(|step| step.close.as_mut());
                close.into_iter().for_each(|close| close.comments.push(story::line(event)));
            }
        }
    }
}

/// Where in the bytes received the message begins that an event tells of.
fn begins_at(event: &Event) -> Option<u64> {
    match event {
        Event::Ms17010Probe { stream_at, .. }
        | Event::ExploitStep { stream_at, .. }
        | Event::ExploitCompleted { stream_at, .. }
        | Event::ImplantPing { stream_at, .. }
        | Event::ImplantKill { stream_at, .. }
        | Event::ImplantUnknown { stream_at, .. }
        | Event::UploadStarted { stream_at, .. } => Some(*stream_at),
        _ => None,
    }
}

/// Says of a chunk where it goes and, if `decode`, undoes its XOR.
fn show(steps: &mut VecDeque<Step>, span: &PayloadSpan, decode: bool) {
    let PayloadSpan { upload, stream_at, len, offset, key, params_at, total } = *span;
    let end = stream_at + u64::from(len);
    let range = format!("bytes {offset}..{}", offset + u64::from(len));
    // Only an upload through the implant announces a total; other pieces are kept as they came.
    let is_upload = params_at.is_some() || total > 0;
    let mut text = match is_upload {
        true => format!("upload {upload}: {range} of {total}"),
        false => format!("kept as a sample (number {upload} of this connection): {range}"),
    };
    let noted = if decode && is_upload {
        text += &format!(", DECODED: on the wire they were XORed with {key:#010x}");
        if let Some(at) = params_at {
            xor(steps, at..at + PARAMETERS, key);
        }
        xor(steps, stream_at..end, key);
        params_at.unwrap_or(stream_at)..end
    } else {
        // At the byte that makes it whole, where a dissector shows the message.
        end.saturating_sub(1)..end
    };
    for step in steps {
        let bytes = step.part(&noted);
        if !bytes.is_empty() {
            step.notes.push(Note { bytes, text: text.clone() });
        }
    }
}

/// XORs a part of the stream with `key`, from its first byte on.
fn xor(steps: &mut VecDeque<Step>, stream: Range<u64>, key: u32) {
    let key = key.to_le_bytes();
    for step in steps {
        let from = step.from;
        let place = step.part(&stream);
        for (at, byte) in place.clone().zip(&mut step.inbound[place]) {
            *byte ^= key[(from + at as u64 - stream.start) as usize % key.len()];
        }
    }
}
