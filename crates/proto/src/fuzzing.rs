//! Bodies of the fuzz targets, as library functions, so that they always compile and any input that was ever
//! found runs again as a plain test. Each takes bytes and panics where an invariant breaks.

mod cuts;
mod described;
mod exploits;
mod holder;

pub use cuts::connection_cuts;
pub use described::describe;
pub use exploits::exploits;
use holder::Holder;

use crate::client::request::{self, Carrier, Header, Setup, Tree};
use crate::connection::{
    Connection, ConnectionId, Decoy, Ending, Implant, Input, Ms17010, Opening, Output, SharedState,
};
use crate::event::Transport;
use crate::identity::{Identity, Secret};
use crate::limits::Limits;
use crate::persona::Persona;
use crate::time::{Timestamp, WallClock};
use crate::transcript::{Recorder, Transcript, replay};
use crate::wire::doublepulsar::{ExecParameters, Opcode, key_from_seed};
use crate::wire::nbss::{Deframed, Deframer};
use crate::wire::reader::Reader;
use crate::wire::smb1::{
    Block, create, header, negotiate, nt_transact, read_write, session_setup, trans, tree,
};
use crate::wire::{dcerpc, ntlmssp, spnego};
use std::sync::Arc;

/// A target: its name and its body.
pub type Target = (&'static str, fn(&[u8]));

/// All targets, by the names of their files in `fuzz/fuzz_targets`.
pub const TARGETS: &[Target] = &[
    ("connection_bytes", connection_bytes),
    ("connection_cuts", connection_cuts),
    ("connection_operations", connection_operations),
    ("deframer", deframer),
    ("describe", describe),
    ("exploits", exploits),
    ("implant", implant),
    ("security_blob", security_blob),
    ("smb1_messages", smb1_messages),
    ("transcript", transcript),
];

/// Replies may be larger than requests (a negotiate), but no input buys many bytes.
const REPLY_BYTES_MAX: usize = 4096;

/// Cuts `data` into frames, whole and in pieces: both ways give the same frames.
pub fn deframer(data: &[u8]) {
    let Some((&step, stream)) = data.split_first() else { return };
    let frames = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mut deframer = Deframer::new(Transport::DirectTcp, 4096);
        let mut found = Vec::new();
        for mut piece in pieces {
            loop {
                match deframer.next(&mut piece) {
                    Deframed::Frame { kind, body, stream_at } => found.push((kind, body.to_vec(), stream_at)),
                    Deframed::TooLong { .. } => return (found, true),
                    Deframed::Incomplete => break,
                }
            }
            assert!(deframer.memory_used() <= 4200, "a frame costs more than its bound");
        }
        (found, false)
    };
    let whole = frames(&mut std::iter::once(stream));
    let pieces = frames(&mut stream.chunks(usize::from(step).max(1)));
    assert_eq!(whole, pieces, "frames depend on how the bytes came");
}

/// Reads `data` as every kind of SMB1 message.
pub fn smb1_messages(data: &[u8]) {
    let parsed = header::Header::parse(data);
    let Ok(block) = Block::parse(data, header::LEN) else { return };
    let unicode = parsed.is_ok_and(|header| header.is_unicode());
    let _ = negotiate::select(&block);
    let _ = session_setup::Request::parse(&block, unicode, 256);
    let _ = tree::Request::parse(&block, unicode, 256).map(|request| request.share().len());
    let _ = create::Request::parse(&block, unicode, 256).map(|request| request.pipe());
    let _ = read_write::Read::parse(&block);
    let _ = dcerpc::parse(block.bytes).map(|pdu| dcerpc::answer(pdu, r"\pipe\lsass"));
    if let Ok(write) = read_write::Write::parse(data, &block) {
        assert!(write.data.bytes.len() <= data.len(), "more data than message");
    }
    for primary in
        [trans::Primary::parse(data, &block), nt_transact::parse_primary(data, &block)].into_iter().flatten()
    {
        assert!(primary.data.bytes.len() <= data.len() && primary.parameters.bytes.len() <= data.len());
    }
    let _ = trans::Secondary::parse(data, &block);
    let _ = nt_transact::parse_secondary(data, &block);
}

/// Reads `data` as a security blob and as NTLMSSP.
pub fn security_blob(data: &[u8]) {
    if let Ok((_, Some(token))) = spnego::token(data) {
        assert!(token.len() <= data.len(), "a token larger than its blob");
        let _ = ntlmssp::parse(token, 256);
    }
    if let Ok(ntlmssp::Message::Authenticate(message)) = ntlmssp::parse(data, 256) {
        assert!(message.account.0.len() <= 1024, "text over its bound");
        let _ = (message.is_anonymous(), message.auditable([0; 8]).len());
    }
}

/// Reads `data` as a transcript; what is read writes and reads back the same.
pub fn transcript(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(parsed) = Transcript::parse(text) else { return };
    let again = Transcript::parse(&parsed.to_text());
    assert_eq!(again.as_ref(), Ok(&parsed), "the text form loses something");
}

/// The decoy that fuzzing meets: tight limits, so that they are met.
fn decoy() -> Decoy {
    Decoy {
        identity: Identity::derive(Secret([7; 32]), WallClock(1_700_000_000_000_000)),
        persona: Persona::WINDOWS_7_SP1,
        limits: Limits {
            upload_bytes_max: 20_000,
            uploads_max: 6,
            ranges_max: 8,
            transactions_max: 3,
            reassembly_bytes_max: 16_384,
            buffers_max: 6,
            buffer_bytes_max: 20_000,
            transcript_bytes_max: 1 << 20,
            rest_bytes_max: 1 << 20,
            events_max: 100_000,
            ..Limits::default()
        },
        implant: Implant::default(),
        ms17_010: Ms17010::Unpatched,
    }
}

/// One connection that is driven by operations.
struct Drive {
    connection: Connection,
    recorder: Recorder,
    output: Output,
    holder: Holder,
    shared: SharedState,
    now: Timestamp,
    replies: Vec<Vec<u8>>,
    /// Everything that was sent before the connection was over.
    sent: Vec<u8>,
    memory_max: usize,
    over: bool,
}

impl Drive {
    fn new(decoy: &Decoy) -> Self {
        let opening = Opening {
            id: ConnectionId(77),
            at: WallClock(1_700_000_100_000_000),
            transport: Transport::DirectTcp,
        };
        let decoy = Arc::new(decoy.clone());
        let mut drive = Self {
            connection: Connection::new(Arc::clone(&decoy), opening),
            recorder: Recorder::new(Arc::clone(&decoy), opening),
            output: Output::default(),
            holder: Holder::default(),
            shared: SharedState::default(),
            now: Timestamp(0),
            replies: Vec::new(),
            sent: Vec::new(),
            memory_max: usize::try_from(decoy.limits.connection_bytes_max).unwrap_or(usize::MAX),
            over: false,
        };
        drive.input(Input::Shared(SharedState::default()));
        drive
    }

    fn input(&mut self, input: Input<'_>) {
        if self.over {
            return;
        }
        self.now = self.now.plus_micros(100);
        self.output.clear();
        self.connection.handle(self.now, input, &mut self.output);
        self.recorder.record(self.now, input, &self.output);
        if let Input::Bytes(bytes) = input {
            self.sent.extend_from_slice(bytes);
        }
        self.holder.take(&self.output);
        if let Some((offset, bytes)) = self.recorder.take_rest() {
            self.holder.add_rest(offset, &bytes);
        }
        assert!(self.connection.memory_used() <= self.memory_max, "over the memory limit");
        let replies: Vec<Vec<u8>> = self.output.replies().map(<[u8]>::to_vec).collect();
        assert!(replies.iter().all(|reply| reply.len() <= REPLY_BYTES_MAX), "a reply out of proportion");
        self.replies.extend(replies);
        self.over = self.output.close.is_some();
    }

    /// The end: nothing is open, and the transcript gives the same replies and captures again.
    fn finish(mut self, base: &Decoy) {
        self.input(Input::Ended(Ending::Closed));
        assert!(self.holder.all_ended(), "an upload without an end");
        let transcript = self.recorder.transcript();
        if !transcript.is_complete() {
            return;
        }
        let text = transcript.to_text();
        let read = Transcript::parse(&text);
        assert_eq!(read.as_ref(), Ok(&transcript), "the text form loses something");
        let mut kept = Vec::new();
        let gone = transcript.inputs(&self.holder, &mut |_, input| {
            if let Input::Bytes(bytes) = input {
                kept.extend_from_slice(bytes);
            }
        });
        assert!(gone.is_ok() && kept == self.sent, "a byte that was sent is not in the record");
        let mut again = Holder::default();
        let replayed = replay(&transcript, base, &self.holder, &mut |_, _, output| again.take(output));
        // Without their times, what came last may be answered at another one.
        let expected = (!self.holder.has_rest()).then_some(true);
        assert!(
            replayed.is_ok_and(|replayed| replayed.same_replies == expected),
            "other replies in the replay"
        );
        self.holder.assert_same_uploads(&again);
    }
}

/// A connection that gets `data` as it is, in one piece and then in pieces: the same replies.
pub fn connection_bytes(data: &[u8]) {
    let base = decoy();
    let mut whole = Drive::new(&base);
    whole.input(Input::Bytes(data));
    let mut pieces = Drive::new(&base);
    for piece in data.chunks(7) {
        pieces.input(Input::Bytes(piece));
    }
    // The clock in a negotiate reply moves with the pieces' time; all else must not.
    assert_eq!(whole.replies.len(), pieces.replies.len(), "replies depend on how the bytes came");
    whole.finish(&base);
    pieces.finish(&base);
}

/// The visitor's header in the fuzzed connection.
const HEADER: Header = Header { flags: 0x18, flags2: 0xc007, tid: 0x0800, pid: 0xfeff, uid: 0x0800, mid: 65 };

fn log_on(drive: &mut Drive) {
    let mut frame = Vec::new();
    request::negotiate(&mut frame, HEADER, &["NT LM 0.12"]);
    drive.input(Input::Bytes(&frame));
    let setup = Setup {
        andx_offset: 0,
        max_buffer: 4356,
        max_mpx: 10,
        vc: 0,
        password_len: 1,
        capabilities: 0xd4,
        domain: "",
        unicode: true,
    };
    request::session_setup(&mut frame, HEADER, &setup);
    drive.input(Input::Bytes(&frame));
    let path = r"\\127.0.0.1\IPC$";
    let tree = Tree { andx_offset: 0, flags: 8, path, unicode: true, byte_count: None, stale: b"" };
    request::tree_connect(&mut frame, HEADER, &tree);
    drive.input(Input::Bytes(&frame));
}

/// A connection that is driven by operations read from `data`: well-formed knocks and chunks with fuzzed numbers,
/// raw frames of any command, shared state, time.
pub fn connection_operations(data: &[u8]) {
    let base = decoy();
    let mut drive = Drive::new(&base);
    log_on(&mut drive);
    let mut reader = Reader::new(data);
    let mut frame = Vec::new();
    for _ in 0..64 {
        let Ok(operation) = reader.u8("operation") else { break };
        if operation_step(&mut drive, &base, &mut reader, &mut frame, operation).is_none() {
            break;
        }
    }
    drive.finish(&base);
}

/// The implant alone: chunks whose place, size, total and key are fuzzed, one after the other.
pub fn implant(data: &[u8]) {
    let base = decoy();
    let mut drive = Drive::new(&base);
    log_on(&mut drive);
    let mut reader = Reader::new(data);
    let mut frame = Vec::new();
    for _ in 0..64 {
        let Ok(operation) = reader.u8("operation") else { break };
        if exec(&mut drive, &base, &mut reader, &mut frame, operation).is_none() {
            break;
        }
    }
    drive.finish(&base);
}

fn operation_step(
    drive: &mut Drive,
    base: &Decoy,
    reader: &mut Reader<'_>,
    frame: &mut Vec<u8>,
    operation: u8,
) -> Option<()> {
    match operation & 7 {
        0..=2 => exec(drive, base, reader, frame, operation)?,
        3 => {
            let timeout = reader.u32_le("timeout").ok()?;
            // Mostly a ping or a kill: a sum of bytes is rarely hit by chance.
            let timeout = match operation & 0x18 {
                0 => 0x00ee_3401,
                8 => 0x0000_690e,
                _ => timeout,
            };
            request::carrier(frame, Header { mid: u16::from(operation), ..HEADER }, &Carrier::bare(timeout));
            drive.input(Input::Bytes(frame));
        }
        4 => {
            let generation = u64::from(reader.u8("generation").ok()?);
            drive.shared =
                SharedState { generation, dormant: operation & 8 != 0, exploited: operation & 16 != 0 };
            drive.input(Input::Shared(drive.shared));
        }
        5 => {
            drive.now = drive.now.plus_micros(u64::from(reader.u32_le("time").ok()?));
            drive.input(Input::Tick);
        }
        6 => {
            // A frame of any command with a proper header and fuzzed words and bytes.
            let len = usize::from(reader.u8("length").ok()?);
            let body = reader.take_up_to(len);
            frame.clear();
            frame.extend_from_slice(b"\0\0\0\0\xffSMB");
            frame.push(reader.u8("command").ok()?);
            frame.extend_from_slice(&[0, 0, 0, 0, 0x18, 0x07, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            frame.extend_from_slice(&[0x00, 0x08, 0xff, 0xfe, 0x00, 0x08, 64, 0]);
            frame.extend_from_slice(body);
            request::finish(frame);
            drive.input(Input::Bytes(frame));
        }
        _ => {
            let len = usize::from(reader.u8("length").ok()?);
            drive.input(Input::Bytes(reader.take_up_to(len)));
        }
    }
    Some(())
}

/// A chunk whose size, place and total are fuzzed; its key is ours, an earlier one or a foreign one.
fn exec(
    drive: &mut Drive,
    base: &Decoy,
    reader: &mut Reader<'_>,
    frame: &mut Vec<u8>,
    operation: u8,
) -> Option<()> {
    let offset = u32::from(reader.u16_le("offset").ok()?);
    let total = u32::from(reader.u16_le("total").ok()?);
    let len = usize::from(reader.u8("length").ok()?).saturating_mul(4);
    let fill = reader.u8("fill").ok()?;
    let generation = drive.shared.generation.saturating_sub(u64::from(operation & 8));
    let key = match operation & 0x30 {
        0x30 => u32::from(fill).wrapping_mul(0x0101_0107),
        _ => key_from_seed(base.identity.implant_seed(generation)),
    };
    let declared = u32::try_from(len).unwrap_or(0);
    let chunk = if operation & 0x40 == 0 { declared } else { u32::from(fill) };
    let data = vec![fill; len];
    let parameters = ExecParameters { total, chunk, offset };
    let carrier =
        Carrier { timeout: 0x001a_8925, params: parameters.encode(key), data: &data, key, data_count: None };
    assert_eq!(Opcode::from_timeout(carrier.timeout), Opcode::Exec);
    request::carrier(frame, Header { mid: 66, ..HEADER }, &carrier);
    if operation & 0x80 != 0 {
        frame.truncate(frame.len().saturating_sub(usize::from(fill)));
    }
    drive.input(Input::Bytes(frame));
    Some(())
}
