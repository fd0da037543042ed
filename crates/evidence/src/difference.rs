//! A sample's bytes as their difference from another sample's.
//!
//! ```text
//!  0  8  "RORIDIFF"
//!  8  4  version, little-endian: 1
//! 12 32  SHA-256 of the base
//! 44  8  bytes of the sample, little-endian
//! 52  …  one zstd frame (RFC 8878), its prefix the base's bytes
//! ```
//!
//! `tail -c +53 FILE | zstd -d --patch-from BASE` makes the sample of it without us.

use crate::samples::SampleId;
use std::io::{self, Read, Write};

/// Bytes that a sample and a base may have: both are held in memory.
pub(crate) const BYTES_MAX: u64 = 32 << 20;
/// Bytes of the header.
pub(crate) const HEADER_LEN: usize = 52;

const MAGIC: &[u8; 8] = b"RORIDIFF";
const VERSION: u32 = 1;
/// What differs is mostly compressed already (a ZIP inside), so that more effort gains nothing.
const LEVEL: i32 = 3;
/// 64 MiB: the largest base and the largest sample together.
const WINDOW_LOG_MAX: u32 = 26;

/// What a difference says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) base: SampleId,
    /// Of the sample; at most [`BYTES_MAX`].
    pub(crate) size: u64,
}

impl Header {
    /// Reads the header, and believes nothing that is beyond our limits.
    pub(crate) fn read(source: &mut impl Read) -> io::Result<Self> {
        let (mut magic, mut version, mut base, mut size) = ([0; 8], [0; 4], [0; 32], [0; 8]);
        for field in [&mut magic[..], &mut version, &mut base, &mut size] {
            source.read_exact(field)?;
        }
        if magic != *MAGIC {
            return Err(lie("not a difference"));
        }
        let version = u32::from_le_bytes(version);
        if version != VERSION {
            return Err(lie(format!("version {version} of a difference; this build knows {VERSION}")));
        }
        let size = u64::from_le_bytes(size);
        if size > BYTES_MAX {
            return Err(lie(format!("claims {size} bytes; no difference has more than {BYTES_MAX}")));
        }
        Ok(Self { base: SampleId(base), size })
    }

    fn bytes(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..44].copy_from_slice(&self.base.0);
        bytes[44..].copy_from_slice(&self.size.to_le_bytes());
        bytes
    }
}

/// The difference of `sample` from the bytes `base` of the sample `id`, header and all.
pub(crate) fn make(sample: &[u8], id: SampleId, base: &[u8]) -> io::Result<Vec<u8>> {
    let size = sample.len() as u64;
    let header = Header { base: id, size };
    let mut encoder = zstd::Encoder::with_ref_prefix(header.bytes().to_vec(), LEVEL, base)?;
    encoder.window_log(window_log(size + base.len() as u64))?;
    // Bytes that moved (padding before a large file) are found however far away they are.
    encoder.long_distance_matching(true)?;
    encoder.set_pledged_src_size(Some(size))?;
    encoder.write_all(sample)?;
    encoder.finish()
}

/// The sample of the zstd frame in `source`, that follows `header`.
pub(crate) fn apply(header: &Header, source: impl Read, base: &[u8]) -> io::Result<Vec<u8>> {
    let mut decoder = zstd::Decoder::with_ref_prefix(io::BufReader::new(source), base)?.single_frame();
    decoder.window_log_max(WINDOW_LOG_MAX)?;
    let mut bytes = Vec::new();
    decoder.take(header.size + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != header.size {
        return Err(lie(format!("holds other than the {} bytes it claims", header.size)));
    }
    Ok(bytes)
}

/// The window that reaches over `bytes` bytes.
fn window_log(bytes: u64) -> u32 {
    // zstd's least window is 1 KiB.
    bytes.next_power_of_two().ilog2().clamp(10, WINDOW_LOG_MAX)
}

fn lie(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: SampleId = SampleId([7; 32]);

    struct Random(u64);

    impl Random {
        fn next(&mut self, below: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 >> 11) as usize % below
        }

        fn bytes(&mut self, len: usize) -> Vec<u8> {
            (0..len).map(|_| self.next(256) as u8).collect()
        }

        /// A few edits: bytes changed, taken out, put in.
        fn variant(&mut self, of: &[u8]) -> Vec<u8> {
            let mut bytes = of.to_vec();
            for _ in 0..self.next(6) {
                let at = self.next(bytes.len() + 1);
                let end = (at + self.next(300)).min(bytes.len());
                let len = self.next(300);
                let put = self.bytes(len);
                bytes.splice(at..end, put);
            }
            bytes
        }
    }

    fn back(difference: &[u8], base: &[u8]) -> io::Result<Vec<u8>> {
        let mut rest = difference;
        let header = Header::read(&mut rest)?;
        apply(&header, rest, base)
    }

    #[test]
    fn every_variant_comes_back_bit_exact_and_small() {
        let mut random = Random(0x9E37_79B9_7F4A_7C15);
        for round in 0..300 {
            let len = random.next(20_000);
            let base = random.bytes(len);
            let sample = random.variant(&base);
            let difference = make(&sample, BASE, &base).unwrap();
            assert!(back(&difference, &base).unwrap() == sample, "round {round}");
            // At most five insertions of 300 random bytes, and a little to say where.
            assert!(difference.len() < HEADER_LEN + 5 * 340 + 200, "{} in round {round}", difference.len());
        }
    }

    #[test]
    fn bytes_are_found_however_far_they_moved() {
        let mut random = Random(3);
        let base = random.bytes(6 << 20);
        let sample = [&base[5 << 20..], b"between", &base[..5 << 20]].concat();
        let difference = make(&sample, BASE, &base).unwrap();
        assert!(difference.len() < 4096, "{}", difference.len());
        assert!(back(&difference, &base).unwrap() == sample);
    }

    #[test]
    fn a_header_that_lies_costs_nothing() {
        let whole = make(b"some bytes", BASE, b"some bytes").unwrap();
        let with = |at: usize, bytes: &[u8]| {
            let mut changed = whole.clone();
            changed[at..at + bytes.len()].copy_from_slice(bytes);
            back(&changed, b"some bytes").unwrap_err().to_string()
        };
        assert!(with(0, b"MZ").contains("not a difference"));
        assert!(with(8, &[9]).contains("version 9"));
        assert!(with(44, &(1u64 << 60).to_le_bytes()).contains("claims 1152921504606846976 bytes"));
        // Smaller and larger than it is.
        assert!(with(44, &[9]).contains("other than the 9 bytes"));
        assert!(with(44, &[11]).contains("other than the 11 bytes"));
    }

    #[test]
    fn no_damage_and_no_cut_does_more_than_fail() {
        let mut random = Random(99);
        let base = random.bytes(3000);
        let sample = random.variant(&base);
        let whole = make(&sample, BASE, &base).unwrap();
        for end in 0..whole.len() {
            assert!(back(&whole[..end], &base).is_err(), "cut at {end}");
        }
        for _ in 0..3000 {
            let mut damaged = whole.clone();
            for _ in 0..=random.next(3) {
                let at = random.next(damaged.len());
                damaged[at] = random.next(256) as u8;
            }
            // Other bytes may come out: the sample's name tells. More than it claims may not.
            if let Ok(bytes) = back(&damaged, &base) {
                assert!(bytes.len() as u64 <= BYTES_MAX);
            }
        }
    }
}
