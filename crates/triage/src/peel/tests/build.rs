//! Tiny builders of look-alikes: files with the right structure and meaningless content.

use crate::peel::zipcrypto::{HEADER, Keys};
use flate2::{Compression, Crc, write::DeflateEncoder};
use std::io::Write;

/// Bytes that repeat nowhere and mean nothing.
pub(crate) fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) ^ 0x1234_5678;
    let step = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_le_bytes()[3]
    };
    (0..length).map(step).collect()
}

/// A 32-bit PE file: headers to 0x200, then one section with a resource directory, the resources' bytes behind it,
/// and zeros up to a multiple of 0x200. Addresses are offsets plus 0x1000. A type that is no number is a name.
pub(crate) fn pe(resources: &[(&str, u32, Vec<u8>)]) -> Vec<u8> {
    const START: usize = 0x200;
    let count = resources.len();
    // Directories: the root, one of names and one of languages for each resource.
    let leaves = 16 + 8 * count + count * 48;
    let names = leaves + 16 * count;
    let name_size = |kind: &str| 2 + 2 * kind.len();
    let mut data_at =
        (names + resources.iter().map(|(kind, ..)| name_size(kind)).sum::<usize>()).next_multiple_of(8);
    let mut tree = vec![0; data_at];
    let put =
        |tree: &mut Vec<u8>, at: usize, value: u32| tree[at..at + 4].copy_from_slice(&value.to_le_bytes());
    tree[12..14].copy_from_slice(&(count as u16).to_le_bytes());
    let mut name_at = names;
    for (number, (kind, id, bytes)) in resources.iter().enumerate() {
        let level = 16 + 8 * count + number * 48;
        let type_id = match kind.parse::<u32>() {
            Ok(id) => id,
            Err(_) => {
                tree[name_at..name_at + 2].copy_from_slice(&(kind.len() as u16).to_le_bytes());
                for (at, letter) in kind.bytes().enumerate() {
                    tree[name_at + 2 + 2 * at] = letter;
                }
                0x8000_0000 | name_at as u32
            }
        };
        name_at += name_size(kind);
        put(&mut tree, 16 + 8 * number, type_id);
        put(&mut tree, 20 + 8 * number, 0x8000_0000 | level as u32);
        for (at, id, target) in [(level, *id, 0x8000_0000 | (level + 24) as u32), (level + 24, 1033, 0)] {
            tree[at + 14] = 1;
            put(&mut tree, at + 16, id);
            put(&mut tree, at + 20, if target == 0 { (leaves + 16 * number) as u32 } else { target });
        }
        put(&mut tree, leaves + 16 * number, 0x1000 + data_at as u32);
        put(&mut tree, leaves + 16 * number + 4, bytes.len() as u32);
        tree.extend_from_slice(bytes);
        data_at += bytes.len();
    }
    tree.resize(tree.len().next_multiple_of(0x200), 0);
    let mut file = crate::pe::tests::look_alike(crate::pe::Machine::X86, START + tree.len(), 0);
    file[START..].copy_from_slice(&tree);
    let directory = 0x98 + 96 + 2 * 8;
    file[directory..directory + 4].copy_from_slice(&0x1000u32.to_le_bytes());
    file[directory + 4..directory + 8].copy_from_slice(&(tree.len() as u32).to_le_bytes());
    file
}

/// 32-bit length, then the file, then zeros.
pub(crate) fn behind_length(file: &[u8], claimed: usize, zeros: usize) -> Vec<u8> {
    [&(claimed as u32).to_le_bytes()[..], file, &vec![0; zeros]].concat()
}

pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

pub(crate) fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// How a member is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Stored,
    Deflated,
    /// Deflated, then encrypted in the traditional way.
    Locked(&'static str),
}

/// A ZIP archive of these members.
pub(crate) fn zip(members: &[(&str, &[u8], How)]) -> Vec<u8> {
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes, how) in members {
        let crc = crc32(bytes);
        let mut data = if *how == How::Stored { bytes.to_vec() } else { deflate(bytes) };
        if let How::Locked(password) = how {
            let mut keys = Keys::new(password.as_bytes());
            let mut salt = [7; HEADER];
            salt[HEADER - 1] = crc.to_le_bytes()[3];
            data = salt.iter().chain(&data).map(|&byte| keys.encrypt(byte)).collect();
        }
        let flags = u16::from(matches!(how, How::Locked(_)));
        let method = if *how == How::Stored { 0u16 } else { 8 };
        let mut common = Vec::new();
        common.extend([20, 0]);
        common.extend(flags.to_le_bytes());
        common.extend(method.to_le_bytes());
        common.extend([0; 4]);
        common.extend(crc.to_le_bytes());
        common.extend((data.len() as u32).to_le_bytes());
        common.extend((bytes.len() as u32).to_le_bytes());
        common.extend((name.len() as u16).to_le_bytes());
        common.extend([0; 2]);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&common);
        directory.extend([0; 10]);
        directory.extend((archive.len() as u32).to_le_bytes());
        directory.extend(name.bytes());
        archive.extend(b"PK\x03\x04");
        archive.extend(&common);
        archive.extend(name.bytes());
        archive.extend(data);
    }
    let at = archive.len() as u32;
    let count = (members.len() as u16).to_le_bytes();
    archive.extend(&directory);
    archive.extend(b"PK\x05\x06\x00\x00\x00\x00");
    archive.extend([count, count].concat());
    archive.extend((directory.len() as u32).to_le_bytes());
    archive.extend(at.to_le_bytes());
    archive.extend([0; 2]);
    archive
}

/// A gzip stream with a name.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let header = b"\x1f\x8b\x08\x08\x00\x00\x00\x00\x00\x03inner.bin\x00";
    let size = bytes.len() as u32;
    [&header[..], &deflate(bytes), &crc32(bytes).to_le_bytes(), &size.to_le_bytes()].concat()
}
