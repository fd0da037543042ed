//! Exact names of bytes.

use super::md5;
use crate::report::Hashes;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// Puts SHA-256 and SHA-1 into each where they are missing.
pub(super) fn sha<'a>(parts: impl Iterator<Item = (&'a [u8], &'a mut Hashes)>) {
    for (bytes, hashes) in parts {
        if hashes.sha256.is_empty() {
            hashes.sha256 = hex(&Sha256::digest(bytes));
        }
        if hashes.sha1.is_empty() {
            hashes.sha1 = hex(&Sha1::digest(bytes));
        }
    }
}

/// MD5 of each part, hexadecimal.
pub(super) fn md5s(parts: &[&[u8]]) -> Vec<String> {
    md5::digests(parts).iter().map(|digest| hex(digest)).collect()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
