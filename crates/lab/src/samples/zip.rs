//! ZIP archives by PKWARE's APPNOTE, with its traditional encryption: the worm's archive has that, and hostile
//! archives have fields that no honest writer would write.

use flate2::Compression;
use flate2::write::DeflateEncoder;
use std::io::Write as _;

/// Bytes in front of each encrypted member.
const ENCRYPTION_HEADER_LEN: usize = 12;

/// A member to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its bytes.
    pub bytes: &'a [u8],
    /// Whether to deflate them.
    pub deflate: bool,
    /// The unpacked size that is told, where that is a lie.
    pub told_size: Option<u32>,
    /// The stored size that is told, where that is a lie.
    pub told_stored: Option<u32>,
}

impl<'a> Member<'a> {
    /// An honest member.
    pub const fn new(name: &'a str, bytes: &'a [u8], deflate: bool) -> Self {
        Self { name, bytes, deflate, told_size: None, told_stored: None }
    }
}

/// Where a member's stored bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its name.
    pub name: String,
    /// Where its stored bytes start.
    pub at: usize,
    /// How many there are.
    pub len: usize,
}

/// The archive, and where its members are.
pub fn archive(members: &[Member<'_>], password: Option<&[u8]>) -> (Vec<u8>, Vec<Place>) {
    let (mut file, mut directory, mut places) = (Vec::new(), Vec::new(), Vec::new());
    for member in members {
        let crc = crc32(member.bytes);
        let mut stored = if member.deflate { deflate(member.bytes) } else { member.bytes.to_vec() };
        if let Some(password) = password {
            stored = encrypt(&stored, crc, password);
        }
        let header_at = file.len();
        let mut common = Vec::new();
        for field in [20, u16::from(password.is_some()), if member.deflate { 8 } else { 0 }, 0, 0x4aab] {
            common.extend_from_slice(&field.to_le_bytes());
        }
        let told_stored = member.told_stored.unwrap_or(u32_of(stored.len()));
        let told_size = member.told_size.unwrap_or(u32_of(member.bytes.len()));
        for field in [crc, told_stored, told_size] {
            common.extend_from_slice(&field.to_le_bytes());
        }
        common.extend_from_slice(&u16_of(member.name.len()).to_le_bytes());
        common.extend_from_slice(&0u16.to_le_bytes());
        file.extend_from_slice(b"PK\x03\x04");
        file.extend_from_slice(&common);
        file.extend_from_slice(member.name.as_bytes());
        places.push(Place { name: member.name.to_owned(), at: file.len(), len: stored.len() });
        file.extend_from_slice(&stored);
        directory.extend_from_slice(b"PK\x01\x02\x14\0");
        directory.extend_from_slice(&common);
        directory.extend_from_slice(&[0; 10]);
        directory.extend_from_slice(&u32_of(header_at).to_le_bytes());
        directory.extend_from_slice(member.name.as_bytes());
    }
    let (directory_at, count) = (u32_of(file.len()), u16_of(members.len()));
    file.extend_from_slice(&directory);
    file.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    file.extend_from_slice(&count.to_le_bytes());
    file.extend_from_slice(&count.to_le_bytes());
    file.extend_from_slice(&u32_of(directory.len()).to_le_bytes());
    file.extend_from_slice(&directory_at.to_le_bytes());
    file.extend_from_slice(&[0; 2]);
    (file, places)
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("writing to memory cannot fail")
}

/// APPNOTE 6.1: twelve bytes first, whose last one is the checksum's highest.
fn encrypt(bytes: &[u8], crc: u32, password: &[u8]) -> Vec<u8> {
    let mut keys = Keys([0x1234_5678, 0x2345_6789, 0x3456_7890]);
    for byte in password {
        keys.update(*byte);
    }
    let mut header = [b'i'; ENCRYPTION_HEADER_LEN];
    header[ENCRYPTION_HEADER_LEN - 1] = crc.to_be_bytes()[0];
    header.iter().chain(bytes).map(|byte| keys.encrypt(*byte)).collect()
}

struct Keys([u32; 3]);

impl Keys {
    fn update(&mut self, byte: u8) {
        let [a, b, c] = &mut self.0;
        *a = crc_step(*a, byte);
        *b = b.wrapping_add(*a & 0xff).wrapping_mul(134_775_813).wrapping_add(1);
        *c = crc_step(*c, b.to_be_bytes()[0]);
    }

    fn encrypt(&mut self, byte: u8) -> u8 {
        let word = (self.0[2] | 2) & 0xffff;
        let mask = (word.wrapping_mul(word ^ 1) >> 8).to_le_bytes()[0];
        self.update(byte);
        byte ^ mask
    }
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut number = 0;
    while number < 256 {
        let mut word = number as u32;
        let mut bit = 0;
        while bit < 8 {
            word = if word & 1 == 1 { (word >> 1) ^ 0xedb8_8320 } else { word >> 1 };
            bit += 1;
        }
        table[number] = word;
        number += 1;
    }
    table
};

fn crc_step(crc: u32, byte: u8) -> u32 {
    TABLE[usize::from(crc.to_le_bytes()[0] ^ byte)] ^ (crc >> 8)
}

/// CRC-32 as ZIP and gzip use it.
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

fn u32_of(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

fn u16_of(len: usize) -> u16 {
    u16::try_from(len).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Cursor, Read as _};

    #[test]
    fn another_reader_opens_what_this_writes_with_the_password_only() {
        let text = b"meaningless, meaningless, meaningless ".repeat(40);
        let members = [Member::new("a/stored", b"twelve bytes", false), Member::new("deflated", &text, true)];
        let (file, places) = archive(&members, Some(b"secret"));
        assert_eq!(places[0].len, 24, "twelve bytes and the encryption's twelve");
        let mut archive = zip::ZipArchive::new(Cursor::new(file)).unwrap();
        for (number, member) in members.iter().enumerate() {
            let mut bytes = Vec::new();
            let mut opened = archive.by_index_decrypt(number, b"secret").unwrap();
            assert_eq!(opened.name().unwrap(), member.name);
            opened.read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes, member.bytes);
        }
        assert!(archive.by_index_decrypt(0, b"another").is_err());
        assert!(archive.by_index(0).is_err());
    }
}
