//! Every maximum that a hostile peer can run into, by name and unit.

use serde::{Deserialize, Serialize};

/// The bounds of one connection. Reaching one is an event (`limit.reached`), never a surprise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Largest NBSS frame that is read, in bytes after its 4-byte header. The largest message that the
    /// protocol can mean is a TRANS2 whose 16-bit DataCount is full, or a large WRITE_ANDX of 64 KiB.
    pub frame_bytes_max: u32,
    /// Bytes of transactions that wait for their SECONDARY requests, all together.
    pub reassembly_bytes_max: u32,
    /// Transactions that may wait for their SECONDARY requests at once.
    pub transactions_max: u32,
    /// Bytes of this connection's transcript that are kept, payloads apart (they become samples).
    pub transcript_bytes_max: u32,
    /// Everything that one connection may own, in bytes.
    pub connection_bytes_max: u32,
    /// Bytes that one connection may send in all.
    pub stream_bytes_max: u64,
    /// Bytes kept of one upload; a longer one ends as `oversize`, and its sender is told what the implant tells
    /// when it has no memory for so much.
    pub upload_bytes_max: u64,
    /// Uploads that one connection may begin.
    pub uploads_max: u32,
    /// Pieces of messages (an exploit's buffers, large unknown messages) that one connection may have kept as samples.
    pub buffers_max: u32,
    /// Bytes of all of them together.
    pub buffer_bytes_max: u64,
    /// Bytes kept as they came, without their times, once the transcript has met `transcript_bytes_max`.
    pub rest_bytes_max: u64,
    /// Disjoint ranges that one upload may consist of while it is out of order.
    pub ranges_max: u32,
    /// Sessions (UIDs) of one connection.
    pub sessions_max: u32,
    /// Tree connects (TIDs) of one connection.
    pub trees_max: u32,
    /// Opens (FIDs) of one connection.
    pub opens_max: u32,
    /// Commands in one AndX chain.
    pub chain_max: u32,
    /// Events that one connection may tell; the rest are counted in its last one.
    pub events_max: u32,
    /// Bytes of one text (a path, a name, a native OS) that an event shows.
    pub text_bytes_max: u32,
    /// Seconds without a byte after which the connection is closed.
    pub idle_secs: u64,
    /// Seconds after which a connection is closed whatever it does.
    pub lifetime_secs: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes_max: 68 * 1024,
            reassembly_bytes_max: 68 * 1024,
            transactions_max: 8,
            transcript_bytes_max: 32 * 1024,
            connection_bytes_max: 192 * 1024,
            stream_bytes_max: 1024 * 1024 * 1024,
            upload_bytes_max: 32 * 1024 * 1024,
            uploads_max: 64,
            buffers_max: 64,
            buffer_bytes_max: 4 * 1024 * 1024,
            rest_bytes_max: 8 * 1024 * 1024,
            ranges_max: 2048,
            sessions_max: 64,
            trees_max: 64,
            opens_max: 64,
            chain_max: 16,
            events_max: 512,
            text_bytes_max: 256,
            idle_secs: 120,
            lifetime_secs: 3600,
        }
    }
}
