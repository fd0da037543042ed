//! DoublePulsar's numbers, as its clients compute them.

use super::chance::Chance;

/// What a client asks of the implant: the sum of the Timeout's four bytes, modulo 256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Opcode {
    /// Are you there?
    Ping,
    /// Take this chunk.
    Exec,
    /// Remove yourself.
    Kill,
    /// Any other sum.
    Other(u8),
}

impl Opcode {
    /// The sum that stands for it.
    pub const fn sum(self) -> u8 {
        match self {
            Self::Ping => 0x23,
            Self::Exec => 0xc8,
            Self::Kill => 0x77,
            Self::Other(sum) => sum,
        }
    }

    /// A Timeout with this sum whose other three bytes are by chance, as FuzzBunch makes one for each packet.
    pub fn random_timeout(self, chance: &mut Chance) -> u32 {
        let [a, b, c, _] = chance.next_bytes();
        let d = self.sum().wrapping_sub(a).wrapping_sub(b).wrapping_sub(c);
        u32::from_le_bytes([a, b, c, d])
    }
}

/// What the implant made of a request: the reply's MID minus the request's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// 0x00: there is no implant.
    Absent,
    /// 0x10: done.
    Done,
    /// 0x20: the parameters make no sense.
    InvalidParameters,
    /// 0x30: no memory for so much.
    AllocationFailure,
    /// Anything else.
    Unknown(u16),
}

impl Status {
    /// From the two multiplex ids.
    pub const fn from_mids(request: u16, reply: u16) -> Self {
        match reply.wrapping_sub(request) {
            0x00 => Self::Absent,
            0x10 => Self::Done,
            0x20 => Self::InvalidParameters,
            0x30 => Self::AllocationFailure,
            other => Self::Unknown(other),
        }
    }
}

/// The XOR key of the seed that a ping gave.
pub const fn key_of_seed(seed: u32) -> u32 {
    seed.wrapping_mul(2) ^ seed.swap_bytes()
}

/// `data ^ key` (little-endian, repeating) appended to `out`.
pub fn append_xored(out: &mut Vec<u8>, data: &[u8], key: u32) {
    let [a, b, c, d] = key.to_le_bytes();
    let wide = u64::from_le_bytes([a, b, c, d, a, b, c, d]);
    let (words, tail) = data.as_chunks::<8>();
    out.reserve(data.len());
    for word in words {
        out.extend_from_slice(&(u64::from_le_bytes(*word) ^ wide).to_le_bytes());
    }
    out.extend(tail.iter().zip([a, b, c, d, a, b, c, d]).map(|(byte, key)| byte ^ key));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_public_captures() {
        // (seed, key) of four real hosts.
        for (seed, key) in [
            (0xe536_d014, 0xdebd_96cd),
            (0x36e0_103a, 0x57d0_c042),
            (0x9b58_f121, 0x1740_bad9),
            (0x9cf9_c567, 0x5e36_7352),
        ] {
            assert_eq!(key_of_seed(seed), key, "{seed:08x}");
        }
    }

    #[test]
    fn random_timeouts_sum_to_their_opcode() {
        let mut chance = Chance::new(7);
        for opcode in [Opcode::Ping, Opcode::Exec, Opcode::Kill, Opcode::Other(0xf2)] {
            let timeouts: Vec<u32> = (0..64).map(|_| opcode.random_timeout(&mut chance)).collect();
            for timeout in &timeouts {
                let sum = timeout.to_le_bytes().iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
                assert_eq!(sum, opcode.sum());
            }
            assert!(timeouts.windows(2).any(|pair| pair[0] != pair[1]));
        }
    }

    #[test]
    fn the_key_repeats_every_four_bytes() {
        let mut out = vec![9];
        append_xored(&mut out, &[0; 11], 0x0403_0201);
        assert_eq!(out, [9, 1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3]);
    }
}
