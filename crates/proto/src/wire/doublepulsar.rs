//! DoublePulsar's protocol inside TRANS2 SESSION_SETUP.
//!
//! Sources: the published analyses of the implant's shellcode and the public packet captures that they rest
//! on; Metasploit's scanner for the status codes.

use super::Malformed;
use super::reader::Reader;

/// What a request asks the implant for: the byte sum of the TRANS2 Timeout, modulo 256.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// Are you there?
    Ping,
    /// Here is a chunk; run it when it is whole.
    Exec,
    /// Remove yourself.
    Kill,
    /// Something else: the implant passes it on to Windows.
    Unknown(u8),
}

impl Opcode {
    /// The opcode that a Timeout carries.
    pub fn from_timeout(timeout: u32) -> Self {
        match timeout.to_le_bytes().into_iter().fold(0u8, u8::wrapping_add) {
            0x23 => Self::Ping,
            0xc8 => Self::Exec,
            0x77 => Self::Kill,
            other => Self::Unknown(other),
        }
    }
}

/// What the implant adds to the reply's MID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Ok,
    /// The parameters make no sense.
    InvalidParameters,
    /// No memory for so much.
    AllocationFailure,
    /// No implant.
    NotThere,
}

impl Outcome {
    /// The number added to the request's MID.
    pub const fn mid_delta(self) -> u16 {
        match self {
            Self::Ok => 0x10,
            Self::InvalidParameters => 0x20,
            Self::AllocationFailure => 0x30,
            Self::NotThere => 0,
        }
    }
}

/// The XOR key that follows from a seed: (2 × seed) XOR byteswap(seed).
pub const fn key_from_seed(seed: u32) -> u32 {
    seed.wrapping_mul(2) ^ seed.swap_bytes()
}

/// Bytes of the parameter block.
pub const PARAMETERS: usize = 12;

/// An exec request's parameter block: three little-endian words, each XORed with the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExecParameters {
    /// Size of the whole payload.
    pub total: u32,
    /// Size of this chunk.
    pub chunk: u32,
    /// Where this chunk goes.
    pub offset: u32,
}

impl ExecParameters {
    /// Reads the block and decodes it with `key` (0: as it stands on the wire).
    pub fn parse(bytes: &[u8], key: u32) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        Ok(Self {
            total: reader.u32_le("total")? ^ key,
            chunk: reader.u32_le("chunk")? ^ key,
            offset: reader.u32_le("offset")? ^ key,
        })
    }

    /// The block on the wire.
    pub fn encode(self, key: u32) -> [u8; PARAMETERS] {
        let mut bytes = [0; PARAMETERS];
        for (place, word) in bytes.chunks_exact_mut(4).zip([self.total, self.chunk, self.offset]) {
            place.copy_from_slice(&(word ^ key).to_le_bytes());
        }
        bytes
    }

    /// One past this chunk's last byte.
    pub fn end(self) -> u64 {
        u64::from(self.offset).saturating_add(u64::from(self.chunk))
    }
}

/// Appends `chunk` XORed with `key` (its cycle begins with the chunk) to `out`; eight bytes at a time.
pub fn xor_into(out: &mut Vec<u8>, chunk: &[u8], key: u32) {
    let start = out.len();
    out.extend_from_slice(chunk);
    let wide = u64::from(key) | u64::from(key).wrapping_shl(32);
    let Some(copied) = out.get_mut(start..) else { return };
    let (words, tail) = copied.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_le_bytes(*word) ^ wide).to_le_bytes();
    }
    for (byte, key_byte) in tail.iter_mut().zip(wide.to_le_bytes()) {
        *byte ^= key_byte;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_follow_from_seeds_as_recorded() {
        for (seed, key) in [
            (0xe536_d014, 0xdebd_96cd),
            (0x36e0_103a, 0x57d0_c042),
            (0x9b58_f121, 0x1740_bad9),
            (0x9cf9_c567, 0x5e36_7352),
        ] {
            assert_eq!(key_from_seed(seed), key, "{seed:08x}");
        }
    }

    #[test]
    fn opcodes_are_byte_sums() {
        for (timeout, opcode) in [
            (0x00ee_3401, Opcode::Ping),
            (0x00a4_d9a6, Opcode::Ping),
            (0x001a_8925, Opcode::Exec),
            (0x0000_690e, Opcode::Kill),
            (0x0000_00f2, Opcode::Unknown(0xf2)),
        ] {
            assert_eq!(Opcode::from_timeout(timeout), opcode, "{timeout:08x}");
        }
    }

    #[test]
    fn decoding_restarts_with_each_chunk() {
        let mut out = b"x".to_vec();
        xor_into(&mut out, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], 0x0403_0201);
        assert_eq!(out, [b'x', 0, 0, 0, 0, 4, 4, 4, 12, 8, 8, 8]);
    }
}
