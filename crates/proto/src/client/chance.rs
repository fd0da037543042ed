//! Numbers from a seed: the same visit again, for the same seed.

/// A small generator (SplitMix64). Good enough for Timeouts and orders, for nothing secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chance(u64);

impl Chance {
    /// The numbers that `seed` gives.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// The next four bytes.
    pub fn next_bytes(&mut self) -> [u8; 4] {
        self.next_u64().to_le_bytes().first_chunk::<4>().copied().unwrap_or_default()
    }

    /// The next 16 bits.
    pub fn next_u16(&mut self) -> u16 {
        self.next_u64().to_le_bytes().first_chunk::<2>().map_or(0, |pair| u16::from_le_bytes(*pair))
    }

    /// A number below `bound`, or 0 for a bound of 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX);
        let number = self.next_u64().checked_rem(bound).unwrap_or(0);
        usize::try_from(number).unwrap_or(0)
    }
}
