//! What goes into a connection and what comes out of it.

use super::ConnectionId;
use crate::event::{ByteRange, CloseReason, Event, KeySource, Origin, Transport, UploadState};
use crate::identity::Identity;
use crate::limits::Limits;
use crate::persona::Persona;
use crate::time::{Timestamp, WallClock};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// `implant.policy`: who is answered as if DoublePulsar were here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// Everybody.
    #[default]
    Present,
    /// Nobody.
    Absent,
    /// A source whose exploit has run to its end.
    AfterExploit,
}

/// `implant.arch`: the machine that the implant says it runs on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arch {
    /// 32 bit.
    X86,
    /// 64 bit.
    #[default]
    X64,
}

/// `ms17_010`: how the check for MS17-010 is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ms17010 {
    /// As a machine without the patch.
    #[default]
    Unpatched,
    /// As a machine with it.
    Patched,
}

/// The emulated DoublePulsar's settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Implant {
    /// Who is answered.
    pub policy: Policy,
    /// Which machine it says it runs on.
    pub arch: Arch,
    /// A fixed key seed, to reproduce a recorded attack; else the install's own, new after each upload.
    pub key_seed: Option<u32>,
}

/// Everything that all connections of one sensor have in common and that never changes while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoy {
    /// This install's own values.
    pub identity: Identity,
    /// The Windows that we play.
    pub persona: Persona,
    /// The bounds.
    pub limits: Limits,
    /// The emulated implant.
    pub implant: Implant,
    /// Patched or not.
    pub ms17_010: Ms17010,
}

/// What connections share, as far as one of them may know it. An input, so that replay stays exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedState {
    /// How many uploads have been finished on this install: the implant's seed derives from it.
    pub generation: u64,
    /// Whether this connection's source has killed the implant and the time is not over.
    pub dormant: bool,
    /// Whether this connection's source has exploited us and the time is not over.
    pub exploited: bool,
}

/// What a connection changes for others. An output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedChange {
    /// An upload was finished: the implant re-rolls its seed (`generation` + 1).
    UploadFinished,
    /// This source killed the implant: dormant for it from now on.
    Killed,
    /// This source's exploit ran to its end: the implant is in memory again, whatever killed it before.
    Exploited,
}

/// How the peer ended the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It closed its side.
    Closed,
    /// It reset the connection.
    Reset,
    /// The honeypot is stopping.
    Shutdown,
    /// All connections together own as much as they may.
    Limit,
}

/// One thing that happens to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input<'a> {
    /// Bytes came.
    Bytes(&'a [u8]),
    /// The shared state is now this; given before the first bytes and whenever it has changed.
    Shared(SharedState),
    /// Time has passed: given at [`Connection::deadline`].
    Tick,
    /// The connection is over; nothing follows.
    Ended(Ending),
}

/// A stream of payload bytes, or its end. Uploads are numbered from 1 within their connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CaptureOp {
    /// An upload begins.
    Begin {
        /// Its number.
        upload: u32,
        /// By which road it comes.
        origin: Origin,
    },
    /// Bytes for a place that is still free. `bytes` points into [`Output::payload`].
    Write {
        /// The upload's number.
        upload: u32,
        /// Where in the upload.
        offset: u64,
        /// Which bytes of [`Output::payload`].
        bytes: Range<usize>,
    },
    /// Bytes for a place that is taken. The holder compares: equal ones are a repeat, others are kept as a
    /// sample of their own ([`Origin::DoublePulsarConflict`]).
    Again {
        /// The upload's number.
        upload: u32,
        /// Where in the upload.
        offset: u64,
        /// Which bytes of [`Output::payload`].
        bytes: Range<usize>,
    },
    /// The upload is over and brought nothing but what the connection's last whole upload had: keep none of it.
    Discard {
        /// The upload's number.
        upload: u32,
    },
    /// The upload is over.
    End {
        /// The upload's number.
        upload: u32,
        /// What there is of it.
        state: UploadState,
        /// The size announced last.
        total: Option<u64>,
        /// The bytes present, in order, disjoint, merged.
        ranges: Vec<ByteRange>,
    },
}

/// Where in the inbound stream an upload's chunk stood, so that a transcript can refer to the sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayloadSpan {
    /// The upload's number.
    pub upload: u32,
    /// Position of the chunk's first byte in all bytes received, from 0.
    pub stream_at: u64,
    /// Its length.
    pub len: u32,
    /// Where it goes in the upload.
    pub offset: u64,
    /// The key that it was XORed with.
    pub key: u32,
    /// Position of the 12 parameter bytes, where they are exactly {total, len, offset} under that key.
    pub params_at: Option<u64>,
    /// The total that they announce.
    pub total: u32,
}

/// What a connection wants done, in this order: send, then everything else. Owned by the caller and reused;
/// [`Output::clear`] keeps the buffers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Bytes for the peer.
    pub send: Vec<u8>,
    /// Where in `send` each reply ends: one write each, never split, never two in one.
    pub writes: Vec<usize>,
    /// Facts to publish.
    pub events: Vec<(Timestamp, Event)>,
    /// Payload to keep.
    pub capture: Vec<CaptureOp>,
    /// The decoded bytes that `capture` points into.
    pub payload: Vec<u8>,
    /// Where those bytes stood in the inbound stream.
    pub spans: Vec<PayloadSpan>,
    /// How far the inbound stream has been dealt with: what is behind this position is an unfinished frame.
    pub consumed: u64,
    /// What changes for other connections.
    pub changes: Vec<SharedChange>,
    /// Set when the connection is to be closed after sending.
    pub close: Option<CloseReason>,
}

impl Output {
    /// Empties all, keeping the memory; `consumed` stays, it counts the whole stream.
    pub fn clear(&mut self) {
        self.send.clear();
        self.writes.clear();
        self.events.clear();
        self.capture.clear();
        self.payload.clear();
        self.spans.clear();
        self.changes.clear();
        self.close = None;
    }

    /// The replies, each to be sent in one write.
    pub fn replies(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.writes.iter().copied());
        starts.zip(self.writes.iter().copied()).filter_map(|(start, end)| self.send.get(start..end))
    }
}

/// What is known of a connection when it is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Its name.
    pub id: ConnectionId,
    /// When.
    pub at: WallClock,
    /// How SMB is carried on the port.
    pub transport: Transport,
}

/// How far an upload is, for a live display.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The upload's number.
    pub upload: u32,
    /// Bytes here.
    pub received: u64,
    /// Bytes announced.
    pub total: Option<u64>,
    /// Where its key came from.
    pub key_source: KeySource,
}
