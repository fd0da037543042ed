//! NetBIOS session service framing (RFC 1002 4.3) and its short form on port 445 ([MS-SMB] 2.1).
//!
//! "Incomplete" exists only here. What is parsed later is whole, so that a short field there is a lie.

use super::reader::size;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How SMB is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// Port 445: a 24-bit length and the message.
    DirectTcp,
    /// Port 139: NetBIOS session service, a session request first.
    #[serde(rename = "netbios")]
    NetBios,
}

impl Transport {
    /// The word as it is published.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DirectTcp => "direct-tcp",
            Self::NetBios => "netbios",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The header's four bytes.
pub const HEADER: usize = 4;
/// A message of the session's protocol: SMB.
pub const SESSION_MESSAGE: u8 = 0x00;
/// The caller names whom it wants (port 139).
pub const SESSION_REQUEST: u8 = 0x81;
/// We agree.
pub const POSITIVE_RESPONSE: u8 = 0x82;
/// Nothing, to keep the connection open.
pub const KEEP_ALIVE: u8 = 0x85;

/// What the bytes gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deframed<'a> {
    /// A whole frame.
    Frame {
        /// The type byte.
        kind: u8,
        /// The bytes after the header.
        body: &'a [u8],
        /// Position of the header in the inbound stream.
        stream_at: u64,
    },
    /// A header that promises more than the bound.
    TooLong {
        /// The bytes promised.
        claimed: u32,
    },
    /// More bytes are needed.
    Incomplete,
}

/// Cuts a stream into frames. A frame that lies whole in the input is handed out without a copy; only an
/// unfinished one is kept, and only as many bytes as have arrived.
#[derive(Debug)]
pub struct Deframer {
    held: Vec<u8>,
    /// Bytes of `held` that the last frame used up.
    spent: bool,
    consumed: u64,
    length_mask: u32,
    body_max: u32,
}

impl Deframer {
    /// For a stream of `transport` with frames of at most `body_max` bytes.
    pub fn new(transport: Transport, body_max: u32) -> Self {
        // RFC 1002: 17 bits on port 139 (the lowest flag bit extends the length); 24 bits on port 445.
        let length_mask = if transport == Transport::NetBios { 0x0001_ffff } else { 0x00ff_ffff };
        Self { held: Vec::new(), spent: false, consumed: 0, length_mask, body_max }
    }

    /// Takes the next frame from what is held and from the front of `input`, which it shortens.
    pub fn next<'s, 'i: 's>(&'s mut self, input: &mut &'i [u8]) -> Deframed<'s> {
        if self.spent {
            // Give back a large buffer: an idle connection holds none.
            self.held = Vec::new();
            self.spent = false;
        }
        if !self.held.is_empty() || input.len() < HEADER {
            self.fill(input, HEADER);
        }
        let source: &[u8] = if self.held.is_empty() { input } else { &self.held };
        let Some((&[kind, high, mid, low], _)) = source.split_first_chunk::<HEADER>() else {
            return Deframed::Incomplete;
        };
        let claimed = u32::from_be_bytes([0, high, mid, low]) & self.length_mask;
        if claimed > self.body_max {
            return Deframed::TooLong { claimed };
        }
        let whole = size(claimed).saturating_add(HEADER);
        let stream_at = self.consumed;
        if self.held.is_empty()
            && let Some((frame, rest)) = input.split_at_checked(whole)
        {
            *input = rest;
            self.advance(whole);
            return Deframed::Frame { kind, body: frame.get(HEADER..).unwrap_or_default(), stream_at };
        }
        self.fill(input, whole);
        if self.held.len() < whole {
            return Deframed::Incomplete;
        }
        self.advance(whole);
        self.spent = true;
        Deframed::Frame { kind, body: self.held.get(HEADER..).unwrap_or_default(), stream_at }
    }

    /// The unfinished frame that the stream ended in: its type, the bytes promised, the bytes that came and
    /// where its header stood. `None` between frames.
    pub fn unfinished(&self) -> Option<(u8, u32, &[u8], u64)> {
        if self.spent || self.held.is_empty() {
            return None;
        }
        let body = self.held.get(HEADER..).unwrap_or_default();
        let head = self.held.first_chunk::<HEADER>().copied().unwrap_or_default();
        let [kind, high, mid, low] = head;
        let claimed = u32::from_be_bytes([0, high, mid, low]) & self.length_mask;
        // One that was refused as too long is told as that, however its header was cut.
        (claimed <= self.body_max).then_some((kind, claimed, body, self.consumed))
    }

    /// The bytes of an unfinished frame, or of the header of a refused one, that are kept: header included.
    pub fn held(&self) -> &[u8] {
        if self.spent { &[] } else { &self.held }
    }

    /// Bytes of the stream that whole frames have used up.
    pub fn consumed(&self) -> u64 {
        self.consumed
    }

    /// Bytes owned.
    pub fn memory_used(&self) -> usize {
        self.held.capacity()
    }

    fn advance(&mut self, whole: usize) {
        self.consumed = self.consumed.saturating_add(u64::try_from(whole).unwrap_or(u64::MAX));
    }

    fn fill(&mut self, input: &mut &[u8], until: usize) {
        let missing = until.saturating_sub(self.held.len());
        let (taken, rest) = input.split_at_checked(missing).unwrap_or((input, &[]));
        if self.held.capacity().saturating_sub(self.held.len()) < taken.len() {
            // Exactly what arrived, never what a header claims; doubling keeps many tiny pieces linear, and
            // the bound of the frame bounds the doubling.
            let doubled = self.held.capacity().saturating_mul(2).min(until);
            let wanted = self.held.len().saturating_add(taken.len()).max(doubled);
            self.held.reserve_exact(wanted.saturating_sub(self.held.len()));
        }
        self.held.extend_from_slice(taken);
        *input = rest;
    }
}

/// A NetBIOS name as it is called: 32 bytes of half-octet encoding (RFC 1001 14.1) after a length byte.
pub fn decode_name(encoded: &[u8]) -> Option<String> {
    let name = encoded.get(1..33)?;
    let half = |byte: u8| byte.checked_sub(b'A').filter(|&nibble| nibble < 16);
    let mut text = String::new();
    for &[high, low] in name.as_chunks::<2>().0.iter().take(15) {
        text.push(char::from(half(high)?.wrapping_shl(4) | half(low)?));
    }
    Some(text.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(deframer: &mut Deframer, mut input: &[u8]) -> Vec<(u8, Vec<u8>, u64)> {
        let mut found = Vec::new();
        while let Deframed::Frame { kind, body, stream_at } = deframer.next(&mut input) {
            found.push((kind, body.to_vec(), stream_at));
        }
        found
    }

    #[test]
    fn any_chunking_gives_the_same_frames() {
        let stream = b"\0\0\0\x03abc\x85\0\0\0\0\0\0\x01z";
        let whole = frames(&mut Deframer::new(Transport::DirectTcp, 100), stream);
        assert_eq!(whole, [(0, b"abc".to_vec(), 0), (0x85, vec![], 7), (0, b"z".to_vec(), 11)]);
        for cut in 1..stream.len() {
            let mut deframer = Deframer::new(Transport::DirectTcp, 100);
            let mut found = Vec::new();
            for chunk in stream.chunks(cut) {
                found.extend(frames(&mut deframer, chunk));
            }
            assert_eq!(found, whole, "chunks of {cut}");
        }
    }

    #[test]
    fn an_unfinished_frame_is_evidence_and_costs_what_arrived() {
        let mut deframer = Deframer::new(Transport::DirectTcp, 70_000);
        assert_eq!(frames(&mut deframer, b"\0\0\xff\xf7\xfeSMB"), []);
        assert_eq!(deframer.unfinished(), Some((0, 0xfff7, &b"\xfeSMB"[..], 0)));
        assert!(deframer.memory_used() <= 16);
    }

    #[test]
    fn lengths_are_24_bits_on_445_and_17_on_139() {
        let long = [0, 0x02, 0, 1, b'x'];
        let mut direct = Deframer::new(Transport::DirectTcp, 1000);
        assert_eq!(direct.next(&mut &long[..]), Deframed::TooLong { claimed: 0x0002_0001 });
        let mut netbios = Deframer::new(Transport::NetBios, 1000);
        assert_eq!(netbios.next(&mut &long[..]), Deframed::Frame { kind: 0, body: b"x", stream_at: 0 });
    }

    #[test]
    fn a_called_name_is_decoded() {
        let mut encoded = vec![32];
        encoded.extend_from_slice(b"CKFDENECFDEFFCFGEFFCCACACACACACA");
        assert_eq!(decode_name(&encoded).as_deref(), Some("*SMBSERVER"));
        assert_eq!(decode_name(b"\x20AB"), None);
    }
}
