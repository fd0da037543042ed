//! PKWARE's traditional encryption (APPNOTE.TXT, 6.1): broken long ago, and what WannaCry's archive uses.

/// In front of a member's data stand so many bytes of salt; the last one checks the password.
pub(crate) const HEADER: usize = 12;

/// CRC-32 of each byte alone (polynomial 0xEDB88320).
const TABLE: [u32; 256] = table();

#[expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "computed when compiled")]
#[expect(clippy::as_conversions, reason = "computed when compiled, from numbers below 256")]
const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut number = 0;
    while number < 256 {
        let mut value = number as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 0 { value >> 1 } else { (value >> 1) ^ 0xedb8_8320 };
            bit += 1;
        }
        table[number] = value;
        number += 1;
    }
    table
}

fn crc(value: u32, byte: u8) -> u32 {
    let [low, ..] = value.to_le_bytes();
    let entry = TABLE.get(usize::from(low ^ byte)).copied().unwrap_or(0);
    entry ^ (value >> 8)
}

/// The cipher's state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keys(u32, u32, u32);

impl Keys {
    /// For a password.
    pub(crate) fn new(password: &[u8]) -> Self {
        let mut keys = Self(0x1234_5678, 0x2345_6789, 0x3456_7890);
        for &byte in password {
            keys.update(byte);
        }
        keys
    }

    fn update(&mut self, plain: u8) {
        self.0 = crc(self.0, plain);
        self.1 = self.1.wrapping_add(self.0 & 0xff).wrapping_mul(134_775_813).wrapping_add(1);
        self.2 = crc(self.2, self.1.to_be_bytes()[0]);
    }

    fn stream(self) -> u8 {
        let mixed = (self.2 | 2) & 0xffff;
        mixed.wrapping_mul(mixed ^ 1).to_le_bytes()[1]
    }

    /// One byte in clear.
    pub(crate) fn decrypt(&mut self, cipher: u8) -> u8 {
        let plain = cipher ^ self.stream();
        self.update(plain);
        plain
    }

    #[cfg(test)]
    pub(crate) fn encrypt(&mut self, plain: u8) -> u8 {
        let cipher = plain ^ self.stream();
        self.update(plain);
        cipher
    }
}
