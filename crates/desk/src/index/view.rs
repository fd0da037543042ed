//! What a reader of the index is shown: plain values, ready for JSON.

use roridula_evidence::{SampleId, rfc3339};
use roridula_proto::connection::ConnectionId;
use roridula_proto::event::{ByteRange, Layer};
use roridula_proto::time::WallClock;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use std::net::{IpAddr, SocketAddr};

/// The columns of a roll-up: the fields of [`Counts`], the first seven in the order of [`Step`].
pub(super) const COUNTED: [&str; 9] = [
    "connections",
    "negotiates",
    "probes",
    "exploits",
    "pings",
    "uploads_begun",
    "completes",
    "uploads",
    "new_samples",
];

/// What a connection may have done, in the order of the funnel. Not every step needs the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// It came.
    Connect,
    /// It offered dialects.
    Negotiate,
    /// It checked for MS17-010.
    Probe,
    /// It took a step of an exploit, other than making room for one.
    Exploit,
    /// It pinged the implant.
    Ping,
    /// It began an upload through the implant.
    Upload,
    /// An upload of it arrived to its last byte.
    Complete,
    /// What it uploaded had never been captured before.
    New,
}

impl Step {
    /// All of them, in order.
    pub const ALL: [Self; 8] = [
        Self::Connect,
        Self::Negotiate,
        Self::Probe,
        Self::Exploit,
        Self::Ping,
        Self::Upload,
        Self::Complete,
        Self::New,
    ];

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Negotiate => "negotiate",
            Self::Probe => "probe",
            Self::Exploit => "exploit",
            Self::Ping => "ping",
            Self::Upload => "upload",
            Self::Complete => "complete",
            Self::New => "new",
        }
    }

    /// What people call it, as something that was done.
    pub const fn told(self) -> &'static str {
        match self {
            Self::Connect => "connected",
            Self::Negotiate => "negotiated",
            Self::Probe => "MS17-010 checked",
            Self::Exploit => "exploited",
            Self::Ping => "implant pinged",
            Self::Upload => "upload begun",
            Self::Complete => "upload complete",
            Self::New => "new sample",
        }
    }

    /// The step of this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.as_str() == word)
    }

    /// Its bit in a row's `reached`.
    pub(crate) const fn bit(self) -> i64 {
        1 << (self as u8)
    }

    /// The furthest of those in `reached`.
    pub(super) fn furthest(reached: i64) -> Self {
        Self::ALL.into_iter().rev().find(|step| reached & step.bit() != 0).unwrap_or(Self::Connect)
    }

    /// All of those in `reached`, in order.
    pub(super) fn all(reached: i64) -> Vec<Self> {
        Self::ALL.into_iter().filter(|step| reached & step.bit() != 0).collect()
    }
}

/// What is counted in an interval. The first seven count connections, each in the interval in which it took that step
/// first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Counts {
    /// Accepted.
    pub connections: u64,
    /// That offered dialects.
    pub negotiates: u64,
    /// That checked for MS17-010.
    pub probes: u64,
    /// That took a step of an exploit, other than making room for one.
    pub exploits: u64,
    /// That pinged the implant.
    pub pings: u64,
    /// That began an upload through the implant.
    pub uploads_begun: u64,
    /// Of which an upload arrived to its last byte.
    pub completes: u64,
    /// Captured uploads: what came through the implant, no buffers.
    pub uploads: u64,
    /// Those of them that nobody had brought before.
    pub new_samples: u64,
}

impl From<[u64; 9]> for Counts {
    fn from(counted: [u64; 9]) -> Self {
        let [
            connections,
            negotiates,
            probes,
            exploits,
            pings,
            uploads_begun,
            completes,
            uploads,
            new_samples,
        ] = counted;
        Self {
            connections,
            negotiates,
            probes,
            exploits,
            pings,
            uploads_begun,
            completes,
            uploads,
            new_samples,
        }
    }
}

impl Counts {
    /// Adds up.
    pub fn add(&mut self, other: &Self) {
        self.connections += other.connections;
        self.negotiates += other.negotiates;
        self.probes += other.probes;
        self.exploits += other.exploits;
        self.pings += other.pings;
        self.uploads_begun += other.uploads_begun;
        self.completes += other.completes;
        self.uploads += other.uploads;
        self.new_samples += other.new_samples;
    }
}

/// What came in a time, to the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Exact {
    /// Connections that were accepted.
    pub connections: u64,
    /// Captured uploads: what came through the implant, no buffers.
    pub uploads: u64,
    /// Those of them that nobody had brought before.
    pub new_samples: u64,
}

/// What is counted in one interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Bucket {
    /// When it begins; it is as long as the answer's `width`.
    #[serde(serialize_with = "as_time")]
    #[schemars(with = "String")]
    pub begins: WallClock,
    /// What was counted.
    pub counts: Counts,
}

/// The funnel of a span.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Funnel {
    /// All of it.
    pub total: Counts,
    /// Microseconds of each bucket.
    pub width: u64,
    /// Those in which something happened, in order; none is wider than an hour unless the span is longer than 31 days.
    pub buckets: Vec<Bucket>,
}

/// One connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ConnectionRow {
    /// Its name.
    #[serde(serialize_with = "as_text")]
    #[schemars(with = "String")]
    pub connection: ConnectionId,
    /// When it was accepted.
    #[serde(serialize_with = "as_time")]
    #[schemars(with = "String")]
    pub opened: WallClock,
    /// When it ended; null while it is open.
    #[serde(serialize_with = "as_time_or_null")]
    #[schemars(with = "Option<String>")]
    pub closed: Option<WallClock>,
    /// The visitor's address.
    pub source: IpAddr,
    /// The visitor's port.
    pub source_port: u16,
    /// The address of ours.
    pub destination: SocketAddr,
    /// The furthest step that it took.
    pub furthest: Step,
    /// All that it took.
    pub steps: Vec<Step>,
    /// Bytes received; 0 while it is open.
    pub bytes_in: u64,
    /// Bytes sent; 0 while it is open.
    pub bytes_out: u64,
    /// Events that it told.
    pub events: u64,
    /// Events that were left out over `limits.events_max`.
    pub events_dropped: u64,
    /// Samples that it brought, buffers of exploits and of unknown messages too.
    pub captures: u64,
    /// Its implementation fingerprint, or empty.
    pub fingerprint: String,
    /// The tools that the fingerprint named.
    pub tools: Vec<String>,
    /// Why it ended, or empty.
    pub reason: String,
}

/// One visitor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SourceRow {
    /// Its address.
    pub source: IpAddr,
    /// Its first visit ever.
    #[serde(serialize_with = "as_time")]
    #[schemars(with = "String")]
    pub first: WallClock,
    /// When it was last heard of.
    #[serde(serialize_with = "as_time")]
    #[schemars(with = "String")]
    pub last: WallClock,
    /// What it did in the span that was asked for, in whole hours.
    pub counts: Counts,
    /// All its connections.
    pub connections: u64,
    /// All captures from it, buffers too.
    pub captures: u64,
    /// Those of uploads among them.
    pub uploads: u64,
    /// The furthest step that it ever took.
    pub furthest: Step,
    /// On how many days, UTC, it came.
    pub days: u64,
    /// Whether its first visit lies in the span.
    pub new: bool,
}

/// Who came in a span, hour by hour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Activity {
    /// Microseconds of each bucket.
    pub width: u64,
    /// When each bucket begins; every one of the span is there.
    #[serde(serialize_with = "as_times")]
    #[schemars(with = "Vec<String>")]
    pub begins: Vec<WallClock>,
    /// Connections of all sources that are not apart, for each bucket.
    pub rest: Vec<u64>,
    /// How many sources came, for each bucket.
    pub sources: Vec<u64>,
    /// The largest single sources, the largest first.
    pub largest: Vec<SourceActivity>,
    /// Sources of the span whose first visit lies in it.
    pub new: u64,
    /// Sources of the span that had been here before it.
    pub returning: u64,
}

/// One source's connections over time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SourceActivity {
    /// Its address.
    pub source: IpAddr,
    /// Its connections in the span.
    pub total: u64,
    /// For each bucket.
    pub connections: Vec<u64>,
}

/// How many visitors came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Visitors {
    /// For the first time.
    pub new: u64,
    /// Who had been here before.
    pub returning: u64,
}

/// An hour in which one visitor made more connections than all others together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Spike {
    /// When it begins.
    #[serde(serialize_with = "as_time")]
    #[schemars(with = "String")]
    pub begins: WallClock,
    /// The visitor.
    pub source: IpAddr,
    /// Its connections.
    pub connections: u64,
}

/// One capture of a sample.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CaptureRow {
    /// The `seq` of its `sample.captured`.
    pub seq: u64,
    /// When.
    #[serde(serialize_with = "as_time")]
    #[schemars(with = "String")]
    pub time: WallClock,
    /// The sample.
    #[schemars(with = "String")]
    pub sha256: SampleId,
    /// Its size in bytes.
    pub size: u64,
    /// Who brought it.
    pub source: IpAddr,
    /// On which connection.
    #[serde(serialize_with = "as_text")]
    #[schemars(with = "String")]
    pub connection: ConnectionId,
    /// The upload's number there.
    pub upload: u32,
    /// What there is of it: `complete`, `partial`, `oversize`.
    pub state: String,
    /// By which road it came.
    pub origin: String,
    /// Whether nobody had brought it before.
    pub first_seen: bool,
}

/// A sample as the journal tells it; what triage found besides is in its report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SampleRow {
    /// Its name.
    #[schemars(with = "String")]
    pub sha256: SampleId,
    /// MD5, hexadecimal.
    pub md5: String,
    /// SHA-1, hexadecimal.
    pub sha1: String,
    /// Bytes.
    pub size: u64,
    /// What there is of it; this and the next three are of its best capture.
    pub state: String,
    /// By which road it came.
    pub origin: String,
    /// The size that its sender announced.
    pub total: Option<u64>,
    /// Which bytes of the upload the sample's bytes are, in order.
    #[schemars(with = "serde_json::Value")]
    pub ranges: Vec<ByteRange>,
    /// How often it was captured.
    pub captures: u64,
    /// From how many addresses.
    pub sources: u64,
    /// First capture.
    #[serde(serialize_with = "as_time")]
    #[schemars(with = "String")]
    pub first: WallClock,
    /// Latest capture.
    #[serde(serialize_with = "as_time")]
    #[schemars(with = "String")]
    pub last: WallClock,
    /// The tools of the first connection that brought it.
    pub tools: Vec<String>,
    /// Whether triage has looked at it.
    pub triaged: bool,
    /// What triage found inside.
    #[schemars(with = "serde_json::Value")]
    pub layers: Vec<Layer>,
    /// SHA-256 of its core, or empty.
    pub core: String,
    /// Its family, or empty.
    pub family: String,
    /// What went wrong in triage, or empty.
    pub triage_error: String,
}

/// How often one visitor brought one of some samples.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Sender {
    /// Its address.
    pub source: IpAddr,
    /// Captures from there.
    pub captures: u64,
    /// The first.
    #[serde(serialize_with = "as_time")]
    #[schemars(with = "String")]
    pub first: WallClock,
    /// The latest.
    #[serde(serialize_with = "as_time")]
    #[schemars(with = "String")]
    pub last: WallClock,
}

/// What of some samples was caught, to the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caught {
    /// Captures.
    pub captures: u64,
    /// Different addresses that they came from.
    pub hosts: u64,
    /// The first of these captures.
    pub first: WallClock,
    /// The latest.
    pub last: WallClock,
}

/// Captures of a set of samples on one day, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SampleDay {
    /// When the day begins.
    #[serde(serialize_with = "as_time")]
    #[schemars(with = "String")]
    pub begins: WallClock,
    /// Captures.
    pub captures: u64,
    /// Different addresses that they came from.
    pub sources: u64,
}

/// A set of samples in a span of whole days, UTC.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Spread {
    /// Captures.
    pub captures: u64,
    /// Different addresses that they came from.
    pub sources: u64,
    /// The days with captures, in order.
    pub days: Vec<SampleDay>,
}

/// A known tool in a span of whole hours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ToolRow {
    /// Its name.
    pub tool: String,
    /// Connections that it was named for.
    pub connections: u64,
    /// Different addresses of them.
    pub sources: u64,
    /// The first end of such a connection.
    #[serde(serialize_with = "as_time")]
    #[schemars(with = "String")]
    pub first: WallClock,
    /// The latest.
    #[serde(serialize_with = "as_time")]
    #[schemars(with = "String")]
    pub last: WallClock,
}

/// An implementation: connections with one fingerprint, of those visitors and that time that were asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FingerprintRow {
    /// 16 hexadecimal digits.
    pub fingerprint: String,
    /// The tools that it proves.
    pub tools: Vec<String>,
    /// The features that prove them.
    pub grounds: Vec<String>,
    /// All features, `key=value` parted by `; `. Holds text of the visitor's.
    pub features: String,
    /// What recognisers found.
    pub recognised: Vec<String>,
    /// The order of its messages.
    pub shape: String,
    /// Connections.
    pub connections: u64,
    /// Different addresses.
    pub sources: u64,
    /// The first end of such a connection.
    #[serde(serialize_with = "as_time")]
    #[schemars(with = "String")]
    pub first: WallClock,
    /// The latest.
    #[serde(serialize_with = "as_time")]
    #[schemars(with = "String")]
    pub last: WallClock,
}

/// Connections in which no recogniser found anything, alike by the order of their messages, of those visitors and that
/// time that were asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ShapeRow {
    /// The order of messages.
    pub shape: String,
    /// Connections.
    pub connections: u64,
    /// Different addresses.
    pub sources: u64,
    /// The first end of such a connection.
    #[serde(serialize_with = "as_time")]
    #[schemars(with = "String")]
    pub first: WallClock,
    /// The latest.
    #[serde(serialize_with = "as_time")]
    #[schemars(with = "String")]
    pub last: WallClock,
    /// Whether nobody had come with it before that time.
    pub new: bool,
    /// Tools that were named for anybody all the same.
    pub tools: Vec<String>,
    /// A few of the connections, as far as they fit what is asked for.
    pub examples: Vec<String>,
    /// The latest of them.
    #[serde(serialize_with = "as_text")]
    #[schemars(with = "String")]
    pub latest: ConnectionId,
}

/// What visitors said of themselves when they logged on, of those visitors and that time that were asked for: one row
/// for all that said the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LogonRow {
    /// How: `anonymous`, `legacy`, `ntlmssp-authenticate` and the like.
    pub method: String,
    /// The account. This and the next four are the visitor's text.
    pub account: String,
    /// Its domain.
    pub domain: String,
    /// The visitor's machine name.
    pub workstation: String,
    /// The visitor's system.
    pub native_os: String,
    /// The visitor's LAN manager.
    pub native_lan_manager: String,
    /// The latest answer to our challenge of one of those visitors, in the form that password auditors read, or empty.
    pub response: String,
    /// The latest connection.
    #[serde(serialize_with = "as_text")]
    #[schemars(with = "String")]
    pub connection: ConnectionId,
    /// How often.
    pub count: u64,
    /// From how many addresses.
    pub sources: u64,
    /// First.
    #[serde(serialize_with = "as_time")]
    #[schemars(with = "String")]
    pub first: WallClock,
    /// Latest.
    #[serde(serialize_with = "as_time")]
    #[schemars(with = "String")]
    pub last: WallClock,
}

/// What kind of thing is counted for Health.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Events, by their id.
    Event,
    /// Limits that were met, by their names.
    Limit,
    /// Visitors who were turned away at the door, by the limit.
    Refused,
    /// Malformed messages, by what was wrong.
    Malformed,
    /// Oddities of uploads, by what.
    Oddity,
    /// Faults: `capture.failed` in bytes lost, `triage`, `events-dropped`, connections that ended by a `fault`.
    Fault,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Event, Self::Limit, Self::Refused, Self::Malformed, Self::Oddity, Self::Fault];

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Limit => "limit",
            Self::Refused => "refused",
            Self::Malformed => "malformed",
            Self::Oddity => "oddity",
            Self::Fault => "fault",
        }
    }
}

/// How often something happened in one hour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct HealthRow {
    /// When the hour begins.
    #[serde(serialize_with = "as_time")]
    #[schemars(with = "String")]
    pub begins: WallClock,
    /// What kind.
    pub kind: Kind,
    /// Which.
    pub name: String,
    /// How often.
    pub count: u64,
}

/// How often something happened in a span.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct HealthTotal {
    /// What kind.
    pub kind: Kind,
    /// Which.
    pub name: String,
    /// How often.
    pub count: u64,
    /// When the last hour with it begins.
    #[serde(serialize_with = "as_time")]
    #[schemars(with = "String")]
    pub last: WallClock,
}

/// A start or a stop of the honeypot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Run {
    /// Its event.
    pub seq: u64,
    /// When.
    #[serde(serialize_with = "as_time")]
    #[schemars(with = "String")]
    pub time: WallClock,
    /// What it started with; null where it stopped.
    pub started: Option<Started>,
    /// Connections served; null where it started.
    pub connections: Option<u64>,
}

/// What the honeypot started with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Started {
    /// Its version.
    pub version: String,
    /// The addresses that it listens on.
    pub listen: Vec<String>,
    /// The Windows that it plays.
    pub persona: String,
    /// `implant.policy`.
    pub policy: String,
}

/// How the index stands, and what was heard last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Status {
    /// The last event that is in the index.
    pub cursor: u64,
    /// The last event of the journal.
    pub journal: u64,
    /// When the latest event of the index happened; null where there is none.
    #[serde(serialize_with = "as_time_or_null")]
    #[schemars(with = "Option<String>")]
    pub last_event: Option<WallClock>,
    /// The connection that was opened last.
    pub last_visitor: Option<ConnectionRow>,
    /// The latest start or stop.
    pub last_run: Option<Run>,
    /// Connections.
    pub connections: u64,
    /// Visitors.
    pub sources: u64,
    /// Samples.
    pub samples: u64,
    /// Captures.
    pub captures: u64,
}

/// Something that was found by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Hit {
    /// A connection, by the beginning of its name.
    Connection {
        /// It.
        connection: ConnectionRow,
    },
    /// A visitor, by the beginning of its address or by a network.
    Source {
        /// It.
        source: SourceRow,
    },
    /// An implementation, by the beginning of its fingerprint.
    Fingerprint {
        /// It.
        fingerprint: FingerprintRow,
    },
    /// A sample, by the beginning of a hash.
    Sample {
        /// It.
        sample: SampleRow,
        /// Which of its hashes fits: `sha256`, `sha1`, `md5`.
        by: &'static str,
    },
}

/// Some rows, and where to go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Page<T> {
    /// In the order that was asked for.
    pub rows: Vec<T>,
    /// What to give for the next page; null where there is none.
    pub next: Option<String>,
}

pub(super) fn as_text<S: Serializer>(id: &ConnectionId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

pub(super) fn as_time<S: Serializer>(at: &WallClock, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*at))
}

pub(crate) fn as_time_or_null<S: Serializer>(
    at: &Option<WallClock>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    at.map(rfc3339).serialize(serializer)
}

fn as_times<S: Serializer>(at: &[WallClock], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(at.iter().map(|at| rfc3339(*at)))
}
