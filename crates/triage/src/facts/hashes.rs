//! Exact names of bytes.

use crate::report::Hashes;
use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::Sha256;
use std::fmt::Write;

/// A piece that stays in the processor's cache while three hashes go over it.
const PIECE: usize = 64 * 1024;

/// SHA-256, SHA-1 and MD5 of a layer.
pub(super) fn exact(bytes: &[u8]) -> Hashes {
    let (mut sha256, mut sha1, mut md5) = (Sha256::new(), Sha1::new(), Md5::new());
    for piece in bytes.chunks(PIECE) {
        sha256.update(piece);
        sha1.update(piece);
        md5.update(piece);
    }
    Hashes {
        sha256: hex(&sha256.finalize()),
        sha1: hex(&sha1.finalize()),
        md5: hex(&md5.finalize()),
        ssdeep: String::new(),
        tlsh: String::new(),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
