//! Bytes that mean nothing: printable characters by chance, so that nothing of it can ever be code.

use super::MARKER;
use roridula_proto::client::chance::Chance;

const URL_LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A stream of filler.
#[derive(Clone, Debug)]
pub struct Filler(Chance);

impl Filler {
    /// The filler of this seed.
    pub fn new(seed: u64) -> Self {
        Self(Chance::new(seed ^ 0x1e77_1e77))
    }

    /// Fills `bytes`: the marker first, where there is room for it.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        let head = if bytes.len() >= 2 * MARKER.len() { MARKER.len() } else { 0 };
        let (marker, rest) = bytes.split_at_mut(head);
        marker.copy_from_slice(&MARKER[..head]);
        self.by_chance(rest, URL_LETTERS);
    }

    /// Fills `bytes` with base64 letters, without the marker.
    pub fn letters(&mut self, bytes: &mut [u8]) {
        self.by_chance(bytes, BASE64);
    }

    fn by_chance(&mut self, bytes: &mut [u8], letters: &[u8; 64]) {
        for chunk in bytes.chunks_mut(10) {
            let mut word = self.0.next_u64();
            for byte in chunk {
                *byte = letters[(word & 63) as usize];
                word >>= 6;
            }
        }
    }
}
