//! The file: blocks and options of pcapng (draft-ietf-opsawg-pcapng).

use super::tcp::{Packet, Side};
use roridula_proto::time::WallClock;
use std::io::{self, Write};

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;

/// Tells readers in which order this file's bytes are.
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
/// Raw IP, version 4 or 6 by its first four bits (LINKTYPE_RAW).
const LINK_TYPE_RAW: u16 = 101;
/// Largest packet that is written: an MSS of data under the largest headers.
const SNAP_LEN: u32 = 2048;

const END_OF_OPTIONS: u16 = 0;
const COMMENT: u16 = 1;
const SECTION_APPLICATION: u16 = 4;
const INTERFACE_NAME: u16 = 2;
const INTERFACE_DESCRIPTION_TEXT: u16 = 3;
const INTERFACE_TIME_RESOLUTION: u16 = 9;
const PACKET_FLAGS: u16 = 2;

/// Time stamps count units of 10⁻⁶ s.
const MICROSECONDS: u8 = 6;
/// `epb_flags`: towards the honeypot, or from it.
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;

/// Bytes of one comment; what is longer is cut.
const COMMENT_BYTES_MAX: usize = 1_000;
/// Comments of one packet; the last one says how many more there were.
const COMMENTS_MAX: usize = 20;

/// Writes a file with one section and one interface, packet by packet; holds one block.
#[derive(Debug)]
pub struct File<W> {
    out: W,
    block: Vec<u8>,
}

impl<W: Write> File<W> {
    /// Begins a file; `about` becomes the comment of its section.
    pub fn begin(out: W, about: &str) -> io::Result<Self> {
        let mut file = Self { out, block: Vec::new() };
        file.start(SECTION_HEADER);
        file.u32(BYTE_ORDER_MAGIC);
        // Version 1.0, and a section whose length is not known yet.
        file.block.extend([1, 0, 0, 0]);
        file.block.extend([0xff; 8]);
        file.option(COMMENT, about.as_bytes());
        file.option(SECTION_APPLICATION, concat!("roridula ", env!("CARGO_PKG_VERSION")).as_bytes());
        file.end()?;
        file.start(INTERFACE_DESCRIPTION);
        file.block.extend(LINK_TYPE_RAW.to_le_bytes());
        file.block.extend([0, 0]);
        file.u32(SNAP_LEN);
        file.option(INTERFACE_NAME, b"roridula");
        file.option(INTERFACE_DESCRIPTION_TEXT, b"no interface: packets made from transcripts");
        file.option(INTERFACE_TIME_RESOLUTION, &[MICROSECONDS]);
        file.end()?;
        Ok(file)
    }

    /// Adds a packet.
    pub fn packet(&mut self, packet: &Packet) -> io::Result<()> {
        let WallClock(at) = packet.at;
        let len = u32::try_from(packet.bytes.len()).map_err(io::Error::other)?;
        self.start(ENHANCED_PACKET);
        for word in [0, (at >> 32) as u32, at as u32, len, len] {
            self.u32(word);
        }
        self.padded(&packet.bytes);
        for comment in packet.comments.iter().take(COMMENTS_MAX) {
            self.option(COMMENT, bounded(comment).as_bytes());
        }
        if let Some(more) = packet.comments.len().checked_sub(COMMENTS_MAX).filter(|&more| more > 0) {
            self.option(COMMENT, format!("and {more} more").as_bytes());
        }
        let direction = if packet.from == Side::Visitor { INBOUND } else { OUTBOUND };
        self.option(PACKET_FLAGS, &direction.to_le_bytes());
        self.end()
    }

    /// Ends the file; everything is handed on.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }

    /// Begins a block; its length is filled in at its end.
    fn start(&mut self, kind: u32) {
        self.block.clear();
        self.u32(kind);
        self.u32(0);
    }

    fn end(&mut self) -> io::Result<()> {
        self.option(END_OF_OPTIONS, &[]);
        // The length stands at both ends, to read files backwards.
        let len = u32::try_from(self.block.len() + 4).map_err(io::Error::other)?;
        self.block[4..8].copy_from_slice(&len.to_le_bytes());
        self.u32(len);
        self.out.write_all(&self.block)
    }

    fn u32(&mut self, word: u32) {
        self.block.extend(word.to_le_bytes());
    }

    fn padded(&mut self, bytes: &[u8]) {
        self.block.extend(bytes);
        self.block.resize(self.block.len().next_multiple_of(4), 0);
    }

    /// An option; its value is bounded by whoever gives it.
    fn option(&mut self, code: u16, value: &[u8]) {
        let value = value.get(..usize::from(u16::MAX)).unwrap_or(value);
        self.block.extend(code.to_le_bytes());
        self.block.extend((value.len() as u16).to_le_bytes());
        self.padded(value);
    }
}

/// A comment of at most [`COMMENT_BYTES_MAX`], cut between two characters.
fn bounded(text: &str) -> String {
    if text.len() <= COMMENT_BYTES_MAX {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(COMMENT_BYTES_MAX - "…".len());
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_bounded_in_length_and_number() {
        let long = "ä".repeat(5_000);
        assert!(bounded(&long).len() <= COMMENT_BYTES_MAX && bounded(&long).ends_with("ä…"));
        let packet = |count| Packet {
            at: WallClock(u64::MAX),
            from: Side::Decoy,
            bytes: vec![1, 2, 3],
            comments: vec!["b".repeat(30); count],
        };
        let size = |count| {
            let mut file = File::begin(Vec::new(), "about").expect("memory takes everything");
            file.packet(&packet(count)).expect("memory takes everything");
            file.finish().expect("memory takes everything")
        };
        assert!(size(1_000).windows(12).any(|text| text == b"and 980 more"));
        assert!(size(1_000).len() < size(20).len() + 40);
        assert_eq!(size(3).len() % 4, 0);
    }
}
