//! Recorded connections as a packet capture (pcapng) that everybody's tools read.
//!
//! The packets are synthesised: a transcript keeps the bytes that came and when, not how TCP carried them, and
//! replies are made again by today's code. What is known is true in them, and every file says what is not.
//!
//! - [`file`]: blocks and options
//! - [`tcp`]: segments, sequence numbers, checksums
//! - `visit`: one connection, step by step

pub mod file;
pub mod tcp;
mod visit;

pub use visit::Recorded;

use file::File;
use roridula_proto::connection::ConnectionId;
use roridula_proto::time::WallClock;
use roridula_proto::transcript::PayloadGone;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io::{self, Write};
use visit::Visit;

/// What every file says of itself.
const ABOUT: &str = "\
Synthesised by Roridula from transcripts of connections to a honeypot; this is no recording of packets.
As recorded: both addresses (192.0.2.1 and 192.0.2.2 stand for unknown ones), the visitor's bytes, the moment of \
each read and how the connection ended.
Made here: the TCP handshake, segments, acknowledgements and sequence numbers. Replies are made again by this \
build and stand at the moment of the request. Within a run of an upload's chunks, times are spread evenly between \
the first and the last. Comments tell what the honeypot recognised.";

/// Added where payloads are shown decoded.
const ABOUT_DECODED: &str = "\
DECODED: chunks of uploads, and the 12 parameter bytes before them, are shown without the XOR that was on the \
wire; each such packet says so. Captured malware may thus stand in clear in this file.";

/// What became of the connections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Packets in the file.
    pub packets: u64,
    /// Connections that are cut short in it, because payload that they refer to is gone.
    pub gone: Vec<(ConnectionId, PayloadGone)>,
}

/// Writes connections into one file, all packets in order of time. `decode`: chunks of uploads are written as
/// they are after decoding.
///
/// Holds the state of those connections that are open at the same moment, one step of each and its unfinished frame
/// (each bounded by the limits that its transcript records); payload is read chunk by chunk.
pub fn write<W: Write>(out: W, connections: &[Recorded<'_>], decode: bool) -> io::Result<Written> {
    let about = if decode { format!("{ABOUT}\n{ABOUT_DECODED}") } else { ABOUT.to_owned() };
    let mut file = File::begin(out, &about)?;
    let mut written = Written::default();
    let opening = |(at, recorded): (usize, &Recorded<'_>)| Reverse((recorded.transcript.opening().at, at));
    let mut due: BinaryHeap<Reverse<(WallClock, usize)>> =
        connections.iter().enumerate().map(opening).collect();
    let mut open: BTreeMap<usize, Visit<'_>> = BTreeMap::new();
    while let Some(Reverse((_, at))) = due.pop() {
        let visit = open.entry(at).or_insert_with(|| Visit::new(connections[at], decode));
        if let Some(packet) = visit.take() {
            file.packet(&packet)?;
            written.packets += 1;
        }
        match visit.due() {
            Some(next) => due.push(Reverse((next, at))),
            None => {
                let gone = open.remove(&at).and_then(|visit| visit.gone);
                written.gone.extend(gone.map(|gone| (connections[at].transcript.opening().id, gone)));
            }
        }
    }
    file.finish()?;
    Ok(written)
}
