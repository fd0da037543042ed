//! What a connection tells: every published event, by id, with typed fields.
//!
//! This file is the catalogue. `docs/events.md` is written from it and a test compares the two.
//! An event carries no attribution of its own: sensor, connection and addresses are bound at accept,
//! outside, and no field here may have the name of one of those ([`ENVELOPE`]).

pub use crate::wire::nbss::Transport;
pub use crate::wire::unicode::Text;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Names that belong to the envelope of a published event; no event field may use one.
pub const ENVELOPE: &[&str] = &[
    "eventid",
    "seq",
    "time",
    "sensor",
    "connection",
    "src_ip",
    "src_port",
    "dst_ip",
    "dst_port",
    "message",
];

/// A type that may stand in an event's field: its name in `docs/events.md`.
pub trait FieldKind {
    /// How the documentation names the JSON value.
    const KIND: &'static str;
}

macro_rules! field_kinds {
    ($($ty:ty => $kind:literal),* $(,)?) => { $(impl FieldKind for $ty { const KIND: &'static str = $kind; })* };
}

field_kinds! {
    bool => "boolean", u8 => "integer", u16 => "integer", u32 => "integer", u64 => "integer",
    String => "string", Text => "string", Option<u16> => "integer or null", Option<u32> => "integer or null",
    Option<u64> => "integer or null", Option<String> => "string or null", Vec<Text> => "array of strings",
    Transport => "`direct-tcp` `netbios`", Vec<String> => "array of strings", Vec<ByteRange> => "array of [start, end]", Vec<Layer> => "array of layers",
}

/// A field or an event's value that has a fixed list of words.
macro_rules! words {
    ($(#[doc = $about:literal])+ $name:ident { $($(#[doc = $wabout:literal])+ $word:ident = $text:literal),* $(,)? }) => {
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[doc = $wabout])+ #[serde(rename = $text)] $word),* }
        impl FieldKind for $name { const KIND: &'static str = concat!($("`", $text, "` "),*); }
        impl $name {
            /// The word as it is published.
            pub const fn as_str(self) -> &'static str { match self { $(Self::$word => $text),* } }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(self.as_str()) }
        }
    };
}

words! {
    /// Why a connection ended.
    CloseReason {
        /// The peer closed its side.
        PeerClosed = "peer-closed",
        /// The peer reset the connection, or the network failed.
        PeerReset = "peer-reset",
        /// No byte for `limits.idle_secs`.
        Idle = "idle",
        /// Open for `limits.lifetime_secs`.
        Lifetime = "lifetime",
        /// We closed it, as Windows does after what the peer sent.
        Refused = "refused",
        /// A limit of ours was reached.
        Limit = "limit",
        /// The honeypot stopped.
        Shutdown = "shutdown",
        /// The honeypot had been killed; found at the next start.
        Killed = "killed",
        /// A fault of ours; the transcript is in `crashes/`.
        Fault = "fault",
    }
}

words! {
    /// Whether the whole connection is in its transcript.
    TranscriptState {
        /// Every byte.
        Complete = "complete",
        /// Up to `limits.transcript_bytes_max`.
        Truncated = "truncated",
        /// None was kept.
        None = "none",
    }
}

words! {
    /// What the implant said.
    Answer {
        /// As an implanted host.
        Present = "present",
        /// As a clean host.
        Absent = "absent",
    }
}

words! {
    /// Why the implant answered, or did not.
    Reason {
        /// `implant.policy = "present"`.
        PolicyPresent = "policy-present",
        /// `implant.policy = "absent"`.
        PolicyAbsent = "policy-absent",
        /// `implant.policy = "after-exploit"` and this source has exploited us.
        Exploited = "exploited",
        /// `implant.policy = "after-exploit"` and this source has not exploited us.
        NotExploited = "not-exploited",
        /// This source killed the implant a while ago.
        Dormant = "dormant",
    }
}

words! {
    /// How a probe was answered.
    Verdict {
        /// As a host without the patch of MS17-010.
        Vulnerable = "vulnerable",
        /// As a patched host.
        Patched = "patched",
    }
}

words! {
    /// Where the key of an upload came from.
    KeySource {
        /// The key that the implant's present seed gives.
        Seed = "seed",
        /// The key of an earlier seed of this install.
        EarlierSeed = "earlier-seed",
        /// Not ours: worked out from the upload's own parameters.
        Recovered = "recovered",
        /// No key gives sense; only the raw bytes are kept.
        Unknown = "unknown",
    }
}

words! {
    /// What there is of a sample.
    UploadState {
        /// Every byte up to the total that the sender announced. Whoever announced too little and goes on begins
        /// another upload.
        Complete = "complete",
        /// Less than the total; `ranges` says which bytes are here.
        Partial = "partial",
        /// The sender announced more than `limits.upload_bytes_max`.
        Oversize = "oversize",
    }
}

words! {
    /// By which road a payload came.
    Origin {
        /// An upload through the implant, decoded.
        DoublePulsar = "doublepulsar",
        /// The same upload as it was on the wire, where the sender's key was not ours.
        DoublePulsarRaw = "doublepulsar-raw",
        /// Bytes sent a second time for a place that already held others.
        DoublePulsarConflict = "doublepulsar-conflict",
        /// What an exploit's overflow or groom carried.
        ExploitBuffer = "exploit-buffer",
        /// A large piece of a message that no recogniser claims, as it came.
        UnknownBuffer = "unknown-buffer",
        /// What a visitor sent after its transcript had met `limits.transcript_bytes_max`, as it came.
        StreamRest = "stream-rest",
    }
}

/// Bytes `start..end` of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "[u64; 2]", into = "[u64; 2]")]
pub struct ByteRange {
    /// First byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
}

impl From<[u64; 2]> for ByteRange {
    fn from([start, end]: [u64; 2]) -> Self {
        Self { start, end }
    }
}

impl From<ByteRange> for [u64; 2] {
    fn from(range: ByteRange) -> Self {
        [range.start, range.end]
    }
}

impl ByteRange {
    /// How many bytes.
    pub const fn len(self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.end <= self.start
    }
}

/// A file inside a sample.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Layer {
    /// How many layers it lies in; what it lies in is the nearest one before it that is one less deep.
    #[serde(default)]
    pub depth: u32,
    /// What it is: `stub`, `pe`, `zip`, `shellcode` and the like.
    pub kind: String,
    /// What its container calls it, as `W/101`; may be empty.
    #[serde(default)]
    pub name: Text,
    /// `intact`, `truncated` or `damaged`.
    #[serde(default)]
    pub state: String,
    /// How it was found: `stub-size-field`, `resource`, `validated-search` and the like.
    pub found_by: String,
    /// Where it starts in what it lies in, in bytes.
    pub offset: u64,
    /// Its size in bytes.
    pub size: u64,
    /// SHA-256 of those bytes, hexadecimal.
    pub sha256: String,
}

/// One field of an event.
#[derive(Clone, Copy, Debug)]
pub struct FieldSpec {
    /// Its JSON key.
    pub name: &'static str,
    /// Its JSON type, or its words.
    pub kind: &'static str,
    /// What it says.
    pub about: &'static str,
}

/// One kind of event.
#[derive(Clone, Copy, Debug)]
pub struct EventSpec {
    /// Its id.
    pub id: &'static str,
    /// When it is told.
    pub about: &'static str,
    /// Its fields, always all present.
    pub fields: &'static [FieldSpec],
}

macro_rules! events {
    ($( $(#[doc = $about:literal])+ $id:literal $name:ident { $( $(#[doc = $fabout:literal])+ $(#[serde($serde:ident)])? $field:ident : $ty:ty ),* $(,)? } )*) => {
        /// A published fact about a connection, a sample or the sensor.
        #[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(tag = "eventid")]
        pub enum Event {
            $( $(#[doc = $about])+ #[serde(rename = $id)] $name { $( $(#[doc = $fabout])+ $(#[serde($serde)])? $field: $ty ),* } ),*
        }

        /// Every event that exists, in the order of a connection's life.
        pub const CATALOGUE: &[EventSpec] = &[ $( EventSpec {
            id: $id,
            about: concat!($($about),+),
            fields: &[ $( FieldSpec { name: stringify!($field), kind: <$ty as FieldKind>::KIND, about: concat!($($fabout),+) } ),* ],
        } ),* ];

        impl Event {
            /// The event's id.
            pub const fn id(&self) -> &'static str {
                match self { $( Self::$name { .. } => $id ),* }
            }
        }
    };
}

events! {
    /// The honeypot listens.
    "sensor.started" SensorStarted {
        /// Its version.
        version: String,
        /// The addresses that it listens on.
        listen: Vec<String>,
        /// The Windows that it plays.
        persona: String,
        /// `implant.policy`.
        policy: String,
    }
    /// The honeypot stops, everything on disk.
    "sensor.stopped" SensorStopped {
        /// Connections served since it started.
        connections: u64,
    }
    /// A visitor was accepted.
    "connection.opened" ConnectionOpened {
        /// How SMB is carried on this port.
        transport: Transport,
    }
    /// Visitors were turned away at the door; told once a minute and source prefix at most.
    "connection.refused" ConnectionRefused {
        /// Which bound was met: a name from the configuration.
        limit: String,
        /// How many since the last such event.
        count: u64,
    }
    /// What the visitor's implementation looks like; told at the end of every connection that brought an SMB
    /// message or anything else.
    "client.fingerprint" ClientFingerprint {
        /// 16 hexadecimal digits of a SHA-256 over `features`: the same for every visit of the same kind by the same
        /// implementation.
        fingerprint: String,
        /// What was observed, as `key=value` parted by `; `: dialects, flags, ids, sizes, texts, paths, Timeouts, order.
        features: String,
        /// The order of messages, runs put together; unknown traffic is grouped by it.
        shape: String,
        /// Tools whose every proving feature was observed, as in `docs/tools.md`; empty where none is known.
        tools: Vec<String>,
        /// The features that prove them, as they stand in `features`.
        grounds: Vec<String>,
        /// What recognisers found, each once; empty: nobody knows this traffic yet.
        recognised: Vec<String>,
    }
    /// A visitor is gone.
    "connection.closed" ConnectionClosed {
        /// Why.
        reason: CloseReason,
        /// How long it stayed, in microseconds.
        duration_us: u64,
        /// Bytes received.
        bytes_in: u64,
        /// Bytes sent.
        bytes_out: u64,
        /// Events left out over `limits.events_max`.
        events_dropped: u64,
    }
    /// A NetBIOS session was requested (port 139).
    "netbios.session" NetBiosSession {
        /// The name called.
        called: Text,
        /// The caller's name.
        calling: Text,
    }
    /// The connection ended inside a frame: what had arrived is in the transcript.
    "frame.unfinished" FrameUnfinished {
        /// Bytes that the header promised.
        claimed: u32,
        /// Bytes that came.
        arrived: u32,
    }
    /// A frame that is no SMB message.
    "frame.unknown" FrameUnknown {
        /// The NBSS type byte.
        kind: u8,
        /// The first bytes, hexadecimal.
        head: String,
    }
    /// A message that cannot be what it says it is.
    "message.malformed" MessageMalformed {
        /// The command byte.
        command: u8,
        /// What is wrong.
        what: String,
        /// Where, in bytes from the start of the message.
        at: u32,
        /// The status that it was answered with.
        status: u32,
    }
    /// A command that this Windows does not carry out, answered as Windows does.
    "smb1.refused" Smb1Refused {
        /// The command byte.
        command: u8,
        /// Its subcommand (transactions) or 0.
        subcommand: u16,
        /// The status that it was answered with.
        status: u32,
    }
    /// Dialects were offered.
    "smb1.negotiate" Smb1Negotiate {
        /// What the visitor offered.
        dialects: Vec<Text>,
        /// The index that we chose, or null for none.
        selected: Option<u16>,
        /// Whether extended security was agreed.
        extended_security: bool,
        /// The header's Flags.
        flags: u8,
        /// The header's Flags2.
        flags2: u16,
        /// The header's process id (low word).
        pid: u16,
        /// The header's multiplex id.
        mid: u16,
    }
    /// A logon.
    "smb1.session" Smb1Session {
        /// `anonymous`, `legacy`, `ntlmssp-negotiate`, `ntlmssp-authenticate`, `spnego`, `unknown`.
        method: String,
        /// The account.
        account: Text,
        /// Its domain.
        domain: Text,
        /// The visitor's machine name, where it said one.
        workstation: Text,
        /// The visitor's system, as it says.
        native_os: Text,
        /// The visitor's LAN manager, as it says.
        native_lan_manager: Text,
        /// Its answer to our challenge in the form that password auditors read, or empty.
        response: String,
        /// The UID given.
        uid: u16,
        /// The status that it was answered with.
        status: u32,
    }
    /// A share was connected.
    "smb1.tree" Smb1Tree {
        /// The path asked for.
        path: Text,
        /// The service asked for.
        service: Text,
        /// What stood in the frame behind the message's declared end: WannaCry leaves a piece of its template.
        trailing: Text,
        /// The TID given.
        tid: u16,
        /// The status that it was answered with.
        status: u32,
    }
    /// A pipe or file was opened.
    "smb1.open" Smb1Open {
        /// Its name.
        name: Text,
        /// The FID given.
        fid: u16,
        /// The status that it was answered with.
        status: u32,
    }
    /// Bytes were written to a pipe or file.
    "smb1.write" Smb1Write {
        /// The FID.
        fid: u16,
        /// Where.
        offset: u64,
        /// How many bytes.
        size: u32,
        /// The status that it was answered with.
        status: u32,
    }
    /// The check for MS17-010: PeekNamedPipe on FID 0.
    "ms17_010.probe" Ms17010Probe {
        /// How we answered.
        verdict: Verdict,
        /// The header's process id (low word).
        pid: u16,
        /// The header's multiplex id.
        mid: u16,
        /// The status that it was answered with.
        status: u32,
        /// Where the request begins in the bytes received; 0 in events of versions before 0.2.
        #[serde(default)]
        stream_at: u64,
    }
    /// A recogniser saw a step of an exploit.
    "exploit.step" ExploitStep {
        /// Which: `eternalblue`.
        exploit: String,
        /// Which step of it: a word of the recogniser's file in `crates/proto/src/exploit`.
        step: String,
        /// What shows it, in words.
        grounds: String,
        /// Where the message begins in the bytes received.
        stream_at: u64,
        /// Bytes that it announces or brings.
        size: u64,
    }
    /// An exploit ran to its end, and was answered as a host that it works on.
    "exploit.completed" ExploitCompleted {
        /// Which.
        exploit: String,
        /// What the implant says to this source from now on.
        answer: Answer,
        /// Why.
        reason: Reason,
        /// Where its last message begins in the bytes received.
        stream_at: u64,
    }
    /// The implant was pinged.
    "implant.ping" ImplantPing {
        /// What it said.
        answer: Answer,
        /// Why.
        reason: Reason,
        /// The Timeout whose byte sum is the opcode.
        timeout: u32,
        /// The request's multiplex id.
        mid: u16,
        /// The key seed given, 0 where absent.
        seed: u32,
        /// The architecture given: `x86`, `x64`, or empty where absent.
        arch: String,
        /// Where the request begins in the bytes received; 0 in events of versions before 0.2.
        #[serde(default)]
        stream_at: u64,
    }
    /// The implant was told to remove itself.
    "implant.kill" ImplantKill {
        /// What it said.
        answer: Answer,
        /// Why.
        reason: Reason,
        /// The Timeout whose byte sum is the opcode.
        timeout: u32,
        /// The request's multiplex id.
        mid: u16,
        /// Where the request begins in the bytes received; 0 in events of versions before 0.2.
        #[serde(default)]
        stream_at: u64,
    }
    /// The implant was asked for something that it does not know; passed on to Windows, which refuses it.
    "implant.unknown" ImplantUnknown {
        /// The byte sum of the Timeout.
        opcode: u8,
        /// The Timeout.
        timeout: u32,
        /// The request's multiplex id.
        mid: u16,
        /// Bytes of data that it brings.
        size: u64,
        /// Where the request begins in the bytes received.
        stream_at: u64,
    }
    /// A first chunk for the implant came.
    "upload.started" UploadStarted {
        /// The upload's number within its connection, from 1.
        upload: u32,
        /// What the implant said.
        answer: Answer,
        /// Why.
        reason: Reason,
        /// The size announced, null where no key gives sense.
        total: Option<u64>,
        /// The key that decodes it.
        key: Option<u32>,
        /// Where that key came from.
        key_source: KeySource,
        /// The first chunk's Timeout.
        timeout: u32,
        /// The first chunk's multiplex id.
        mid: u16,
        /// Where the request begins in the bytes received; 0 in events of versions before 0.2.
        #[serde(default)]
        stream_at: u64,
    }
    /// Something about an upload that an honest sender does not do.
    "upload.oddity" UploadOddity {
        /// The upload's number within its connection.
        upload: u32,
        /// What: `total-changed`, `out-of-range`, `chunk-size-lies`, `wrong-key`, `too-many-ranges`, `late-repeats`.
        what: String,
        /// Where in the upload.
        offset: u64,
        /// The value that is odd.
        value: u64,
    }
    /// An upload ended; its sample follows.
    "upload.finished" UploadFinished {
        /// The upload's number within its connection.
        upload: u32,
        /// What there is of it.
        state: UploadState,
        /// The size announced last.
        total: Option<u64>,
        /// Bytes that arrived and are kept.
        received: u64,
        /// Which.
        ranges: Vec<ByteRange>,
        /// Chunks that brought them.
        chunks: u64,
        /// Chunks whose place was already taken.
        repeats: u64,
    }
    /// A sample is on disk, with its hashes and its source.
    "sample.captured" SampleCaptured {
        /// The upload's number within its connection; uploads and kept pieces of messages are numbered together from 1,
        /// and 0 is what the transcript had no room for.
        upload: u32,
        /// SHA-256, hexadecimal; the sample's name.
        sha256: String,
        /// MD5, hexadecimal.
        md5: String,
        /// SHA-1, hexadecimal.
        sha1: String,
        /// Bytes of the sample.
        size: u64,
        /// What there is of it.
        state: UploadState,
        /// The size announced.
        total: Option<u64>,
        /// Which bytes of the upload these are, in order.
        ranges: Vec<ByteRange>,
        /// By which road it came.
        origin: Origin,
        /// Whether no earlier capture has this SHA-256.
        first_seen: bool,
        /// Whether it was found after the honeypot had been killed.
        recovered: bool,
    }
    /// Triage looked into a sample.
    "sample.triaged" SampleTriaged {
        /// The sample.
        sha256: String,
        /// What is inside, at most 64 layers; the sample itself is the first where it is a file of its own.
        layers: Vec<Layer>,
        /// SHA-256 of the core: the innermost layer that stays the same while what is around it changes. Or empty.
        #[serde(default)]
        core: String,
        /// Which family it is of, or empty.
        #[serde(default)]
        family: String,
        /// How sure that is: `certain`, `high`, `medium`, `low`; or empty.
        #[serde(default)]
        confidence: String,
        /// Names the set of rules that was used.
        #[serde(default)]
        rules: String,
        /// What went wrong, or empty.
        error: String,
    }
    /// Bytes could not be kept. Loud, because it is the one thing that must not happen.
    "capture.failed" CaptureFailed {
        /// The upload's number within its connection.
        upload: u32,
        /// The system's error.
        error: String,
        /// Bytes of the upload that are not on disk.
        bytes_lost: u64,
    }
    /// A bound was met.
    "limit.reached" LimitReached {
        /// Its name in the configuration.
        limit: String,
        /// Its value.
        value: u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_field_forges_the_envelope() {
        for spec in CATALOGUE {
            for field in spec.fields {
                assert!(!ENVELOPE.contains(&field.name), "{}.{} is an envelope name", spec.id, field.name);
            }
        }
    }

    #[test]
    fn ids_are_unique() {
        let mut ids: Vec<_> = CATALOGUE.iter().map(|spec| spec.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), CATALOGUE.len());
    }
}
