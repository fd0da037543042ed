//! What a reader is shown: plain values, ready for JSON.

use crate::published::serialize_time;
use crate::samples::SampleId;
use roridula_proto::connection::ConnectionId;
use roridula_proto::event::{ByteRange, CloseReason, Layer, Origin, TranscriptState, UploadState};
use roridula_proto::time::WallClock;
use serde::{Serialize, Serializer};
use std::net::SocketAddr;

/// A sample and everything that is known of it. `state`, `total`, `ranges` and `origin` are those of its best
/// capture: a complete one before a partial one, then the first.
#[derive(Clone, Debug, Serialize)]
pub struct SampleView {
    /// Its name.
    pub sha256: SampleId,
    /// MD5, hexadecimal.
    pub md5: String,
    /// SHA-1, hexadecimal.
    pub sha1: String,
    /// Bytes.
    pub size: u64,
    /// What there is of it.
    pub state: UploadState,
    /// By which road it came.
    pub origin: Origin,
    /// The size that its sender announced.
    pub total: Option<u64>,
    /// Which bytes of the upload the sample's bytes are, in order.
    pub ranges: Vec<ByteRange>,
    /// How often it was captured.
    pub captures: u64,
    /// From how many different addresses.
    pub sources: u64,
    /// First capture.
    #[serde(serialize_with = "serialize_time")]
    pub first_seen: WallClock,
    /// Latest capture.
    #[serde(serialize_with = "serialize_time")]
    pub last_seen: WallClock,
    /// Whether triage has looked at it.
    pub triaged: bool,
    /// What triage found inside.
    pub layers: Vec<Layer>,
    /// SHA-256 of the core, or empty.
    pub core: String,
    /// Its family, or empty.
    pub family: String,
    /// What went wrong in triage, or empty.
    pub triage_error: String,
}

/// One capture of a sample.
#[derive(Clone, Debug, Serialize)]
pub struct CaptureView {
    /// The `seq` of its `sample.captured`.
    pub seq: u64,
    /// When.
    #[serde(serialize_with = "serialize_time")]
    pub time: WallClock,
    /// The sample.
    pub sha256: SampleId,
    /// On which connection.
    #[serde(serialize_with = "as_text")]
    pub connection: ConnectionId,
    /// The upload's number there.
    pub upload: u32,
    /// The visitor.
    pub source: SocketAddr,
    /// The address of ours.
    pub destination: SocketAddr,
    /// What there is of it.
    pub state: UploadState,
    /// The size announced.
    pub total: Option<u64>,
    /// Which bytes of the upload the sample's bytes are, in order.
    pub ranges: Vec<ByteRange>,
    /// By which road it came.
    pub origin: Origin,
    /// Whether it was found after the honeypot had been killed.
    pub recovered: bool,
}

/// One connection.
#[derive(Clone, Debug, Serialize)]
pub struct ConnectionView {
    /// Its name.
    #[serde(serialize_with = "as_text")]
    pub connection: ConnectionId,
    /// When it was accepted.
    #[serde(serialize_with = "serialize_time")]
    pub opened: WallClock,
    /// The visitor.
    pub source: SocketAddr,
    /// The address of ours.
    pub destination: SocketAddr,
    /// Why it ended; null while it is open.
    pub reason: Option<CloseReason>,
    /// How long it stayed, in microseconds; null while it is open.
    pub duration_us: Option<u64>,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Whether its transcript is whole.
    pub transcript: TranscriptState,
    /// How many events it told.
    pub events: u64,
    /// The samples that it brought.
    pub samples: Vec<SampleId>,
}

fn as_text<S: Serializer>(id: &ConnectionId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}
