//! Look-alikes that tests of the desk store: the right structure, and nothing that means anything.

#![allow(clippy::indexing_slicing)]

/// A PE file of one section, filled from `seed`.
pub(crate) fn pe(size: usize, seed: u8) -> Vec<u8> {
    let mut file: Vec<u8> = (0..size).map(|i| (i as u8).wrapping_mul(31) ^ seed).collect();
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &[0; 0x200]);
    put(0, b"MZ");
    put(0x3c, &0x80u32.to_le_bytes());
    put(0x80, b"PE\0\0");
    put(0x84, &0x014cu16.to_le_bytes());
    put(0x86, &1u16.to_le_bytes());
    put(0x94, &224u16.to_le_bytes());
    put(0x98, &0x010bu16.to_le_bytes());
    put(0x178, b".text\0\0\0");
    put(0x178 + 12, &0x1000u32.to_le_bytes());
    put(0x178 + 16, &(size as u32 - 0x200).to_le_bytes());
    put(0x178 + 20, &0x200u32.to_le_bytes());
    file
}

/// A stub of filler with its size fields, a file, and `dirt` behind it.
pub(crate) fn upload(file: &[u8], dirt: &[u8]) -> Vec<u8> {
    let mut bytes = b"INERT LOOK-ALIKE: filler, no code. ".repeat(200);
    bytes.truncate(4869);
    bytes[0x591..0x595].copy_from_slice(&(file.len() as u32 + 3440).to_le_bytes());
    bytes[0x12fd..0x1301].copy_from_slice(&(file.len() as u32).to_le_bytes());
    bytes[0x1301..0x1305].copy_from_slice(&1u32.to_le_bytes());
    bytes.extend_from_slice(file);
    bytes.extend_from_slice(dirt);
    bytes
}
