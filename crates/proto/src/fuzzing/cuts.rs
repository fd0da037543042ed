//! Operations by chance, with the stream cut in two ways: replies and events must not depend on it.

use super::decoy;
use crate::client::request::{self, Carrier, Header};
use crate::connection::{CaptureOp, Connection, ConnectionId, Ending, Input, Opening, Output, SharedState};
use crate::event::{Event, Transport};
use crate::time::{Timestamp, WallClock};
use std::sync::Arc;

const OPENED_AT: WallClock = WallClock(1_700_000_100_000_000);

/// A front of `data` of at most `len` bytes; the rest stays.
fn take<'d>(data: &mut &'d [u8], len: usize) -> &'d [u8] {
    let (front, rest) = data.split_at_checked(len).unwrap_or((data, &[]));
    *data = rest;
    front
}

fn byte(data: &mut &[u8]) -> u8 {
    take(data, 1).first().copied().unwrap_or(0)
}

fn word(data: &mut &[u8]) -> u16 {
    u16::from_le_bytes([byte(data), byte(data)])
}

fn dword(data: &mut &[u8]) -> u32 {
    u32::from_le_bytes([byte(data), byte(data), byte(data), byte(data)])
}

/// A whole connection: operations by chance. With the first byte odd, the same bytes in small pieces must give
/// the same events and replies.
pub fn connection_cuts(mut data: &[u8]) {
    let head = byte(&mut data);
    let transport = if head & 2 == 0 { Transport::DirectTcp } else { Transport::NetBios };
    let mut probe = Probe::new(transport);
    probe.pieces = if head & 1 == 0 { usize::MAX } else { usize::from(head >> 2).max(1) };
    run_operations(&mut probe, data);
    if head & 1 == 1 {
        let mut whole = Probe::new(transport);
        run_operations(&mut whole, data);
        assert_eq!(whole.sent, probe.sent, "replies depend on how the stream is cut");
        assert_eq!(whole.events, probe.events, "events depend on how the stream is cut");
    }
}

fn run_operations(probe: &mut Probe, mut data: &[u8]) {
    while !data.is_empty() {
        match byte(&mut data) & 15 {
            0 => probe.preliminaries(),
            1 => probe.exec(&mut data),
            2 => {
                let len = usize::from(word(&mut data));
                let bytes = take(&mut data, len);
                probe.bytes(bytes);
            }
            3 => probe.message(&mut data),
            4 => {
                let header = header(&mut data);
                request::peek(&mut probe.frame, header);
                probe.send_frame();
            }
            5 => {
                let header = header(&mut data);
                request::carrier(&mut probe.frame, header, &Carrier::bare(dword(&mut data)));
                probe.send_frame();
            }
            6 => probe.transaction(&mut data),
            7 => {
                probe.now = probe.now.plus_micros(u64::from(dword(&mut data)));
                probe.input(Input::Tick);
            }
            8 => {
                let flags = byte(&mut data);
                let generation = u64::from(byte(&mut data));
                let shared = SharedState { generation, dormant: flags & 1 == 1, exploited: flags & 2 == 2 };
                probe.input(Input::Shared(shared));
            }
            9 => {
                let header = header(&mut data);
                request::tree_disconnect(&mut probe.frame, header);
                probe.send_frame();
            }
            10 => {
                let header = header(&mut data);
                request::logoff(&mut probe.frame, header);
                probe.send_frame();
            }
            _ => {
                let len = usize::from(byte(&mut data));
                let bytes = take(&mut data, len);
                probe.bytes(bytes);
            }
        }
    }
    probe.input(Input::Ended(Ending::Closed));
    probe.check_end();
}

/// A header whose ids are mostly those that the connection gave out.
fn header(data: &mut &[u8]) -> Header {
    let kind = byte(data);
    let id = |bit: u8| if kind & bit == 0 { 0x0800 } else { u16::from(kind) };
    let flags2 = if kind & 1 == 0 { 0xc007 } else { 0x2801 };
    Header { flags: 0x18, flags2, tid: id(2), pid: 0xfeff, uid: id(4), mid: u16::from(kind) }
}

/// The event without what depends on how the stream was cut: bytes that came in the same read as those after
/// which the connection was closed count as received.
fn uncounted(mut event: Event) -> Event {
    if let Event::ConnectionClosed { bytes_in, .. } = &mut event {
        *bytes_in = 0;
    }
    event
}

/// A connection under test.
struct Probe {
    connection: Connection,
    output: Output,
    now: Timestamp,
    limit: usize,
    frame: Vec<u8>,
    pieces: usize,
    sent: Vec<u8>,
    events: Vec<Event>,
    begun: u32,
    ended: u32,
}

impl Probe {
    fn new(transport: Transport) -> Self {
        let decoy = Arc::new(decoy());
        let limit = usize::try_from(decoy.limits.connection_bytes_max).unwrap_or(usize::MAX);
        let opening = Opening { id: ConnectionId(7), at: OPENED_AT, transport };
        let mut probe = Self {
            connection: Connection::new(decoy, opening),
            output: Output::default(),
            now: Timestamp(0),
            limit,
            frame: Vec::new(),
            pieces: usize::MAX,
            sent: Vec::new(),
            events: Vec::new(),
            begun: 0,
            ended: 0,
        };
        probe.input(Input::Shared(SharedState::default()));
        probe
    }

    fn input(&mut self, input: Input<'_>) {
        self.output.clear();
        self.connection.handle(self.now, input, &mut self.output);
        assert!(self.connection.memory_used() <= self.limit, "{} bytes owned", self.connection.memory_used());
        assert_eq!(self.output.writes.last().copied().unwrap_or(0), self.output.send.len());
        assert!(self.output.writes.is_sorted());
        for op in &self.output.capture {
            match op {
                CaptureOp::Begin { upload, .. } => {
                    self.begun = self.begun.saturating_add(1);
                    assert_eq!(*upload, self.begun, "uploads are numbered in a row");
                }
                CaptureOp::Write { upload, bytes, .. } | CaptureOp::Again { upload, bytes, .. } => {
                    assert!(*upload <= self.begun);
                    assert!(self.output.payload.get(bytes.clone()).is_some(), "payload that is not there");
                }
                CaptureOp::Discard { .. } => self.ended = self.ended.saturating_add(1),
                CaptureOp::End { ranges, .. } => {
                    self.ended = self.ended.saturating_add(1);
                    let apart = ranges.is_sorted_by(|a, b| a.end < b.start);
                    assert!(apart && ranges.iter().all(|range| !range.is_empty()), "{ranges:?}");
                }
            }
        }
        self.sent.extend_from_slice(&self.output.send);
        self.events.extend(self.output.events.drain(..).map(|(_, event)| uncounted(event)));
    }

    fn check_end(&self) {
        assert_eq!(self.begun, self.ended, "an upload without an end");
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.now = self.now.plus_micros(1000);
        for piece in bytes.chunks(self.pieces) {
            self.input(Input::Bytes(piece));
        }
    }

    fn send_frame(&mut self) {
        let frame = std::mem::take(&mut self.frame);
        self.bytes(&frame);
        self.frame = frame;
    }

    /// Negotiate, session setup, tree connect as FuzzBunch sends them.
    fn preliminaries(&mut self) {
        use crate::client::sender::Sender;
        let manner = Sender::FuzzBunch.implant_manner();
        request::negotiate(&mut self.frame, manner.header(0, 0, 0), manner.dialects);
        self.send_frame();
        request::session_setup(&mut self.frame, manner.header(1, 0, 0), &manner.setup);
        self.send_frame();
        let tree = request::Tree {
            andx_offset: 0,
            flags: 8,
            path: "\\\\h\\IPC$",
            unicode: true,
            byte_count: None,
            stale: &[],
        };
        request::tree_connect(&mut self.frame, manner.header(2, 0, 0x0800), &tree);
        self.send_frame();
    }

    /// One exec: the right key mostly, small numbers mostly, so that chunks meet each other.
    fn exec(&mut self, data: &mut &[u8]) {
        let kind = byte(data);
        let key = if kind & 0xe0 == 0xe0 { dword(data) } else { 0xdebd_96cd };
        let number = |data: &mut &[u8], bit: u8| {
            if kind & bit == 0 { u32::from(byte(data)) } else { dword(data) }
        };
        let (total, offset) = (number(data, 1), number(data, 2));
        let len = usize::from(byte(data));
        let chunk = take(data, len);
        let len = u32::try_from(chunk.len()).unwrap_or(0);
        let claimed = if kind & 4 == 0 { len } else { number(data, 8) };
        let carrier = Carrier {
            timeout: 0x001a_8925,
            params: request::exec_params(total, claimed, offset, key),
            data: chunk,
            key,
            data_count: (kind & 0x10 != 0).then(|| word(data)),
        };
        let header = Header { flags: 0x18, flags2: 0xc007, tid: 0x0800, pid: 0xfeff, uid: 0x0800, mid: 66 };
        request::carrier(&mut self.frame, header, &carrier);
        self.send_frame();
    }

    /// Any command with words and bytes by chance, well framed.
    fn message(&mut self, data: &mut &[u8]) {
        let header = header(data);
        let command = byte(data);
        let words = usize::from(byte(data) & 31);
        let words = take(data, words.saturating_mul(2));
        let len = usize::from(byte(data));
        let bytes = take(data, len);
        request::tree_disconnect(&mut self.frame, header);
        self.frame.truncate(36);
        if let Some(slot) = self.frame.get_mut(8) {
            *slot = command;
        }
        self.frame.push(u8::try_from(words.len() >> 1).unwrap_or(0));
        self.frame.extend_from_slice(words);
        self.frame.extend_from_slice(&u16::try_from(bytes.len()).unwrap_or(0).to_le_bytes());
        self.frame.extend_from_slice(bytes);
        request::finish(&mut self.frame);
        self.send_frame();
    }

    /// A transaction in pieces: primary or secondary, its counts by chance.
    fn transaction(&mut self, data: &mut &[u8]) {
        let header = header(data);
        let command = [0x25, 0x26, 0x32, 0x33, 0xa0, 0xa1].get(usize::from(byte(data) % 6)).copied();
        let mut words = Vec::new();
        let count = usize::from(byte(data) & 31);
        for _ in 0..count {
            words.extend_from_slice(&u16::from(byte(data)).to_le_bytes());
        }
        let len = usize::from(byte(data));
        let bytes = take(data, len);
        request::tree_disconnect(&mut self.frame, header);
        self.frame.truncate(36);
        if let (Some(slot), Some(command)) = (self.frame.get_mut(8), command) {
            *slot = command;
        }
        self.frame.push(u8::try_from(count).unwrap_or(0));
        self.frame.extend_from_slice(&words);
        self.frame.extend_from_slice(&u16::try_from(bytes.len()).unwrap_or(0).to_le_bytes());
        self.frame.extend_from_slice(bytes);
        request::finish(&mut self.frame);
        self.send_frame();
    }
}
