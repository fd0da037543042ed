//! Names of bytes: exact hashes, and hashes that are alike where bytes are alike.

use crate::report::Hashes;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// All hashes of a layer.
pub(crate) fn hashes(bytes: &[u8]) -> Hashes {
    Hashes { sha256: hex(&Sha256::digest(bytes)), ..Hashes::default() }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
