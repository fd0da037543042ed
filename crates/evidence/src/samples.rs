//! A sample's name, and where it lies.

use crate::StoreError;
use serde::{Serialize, Serializer};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The name of a sample: the SHA-256 of its bytes. Shown as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SampleId(pub [u8; 32]);

impl SampleId {
    /// Where it lies below the data directory: `samples/ab/cd/<sha256>`. Nothing that a visitor wrote is in a path.
    pub fn path(&self, dir: &Path) -> PathBuf {
        let name = self.to_string();
        dir.join("samples").join(&name[..2]).join(&name[2..4]).join(&name)
    }
}

impl fmt::Display for SampleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for SampleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl FromStr for SampleId {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let not_hex = || StoreError::NotHex(text.chars().take(80).collect());
        let bytes = unhex(text).ok_or_else(not_hex)?;
        bytes.try_into().map(Self).map_err(|_| not_hex())
    }
}

impl Serialize for SampleId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// The bytes of an even number of hexadecimal digits.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
    text.as_bytes()
        .as_chunks::<2>()
        .0
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_hexadecimal_both_ways() {
        let id = SampleId(std::array::from_fn(|at| at as u8 * 8));
        let text = id.to_string();
        assert_eq!(text.parse::<SampleId>().unwrap(), id);
        assert_eq!(id.path(Path::new("/d")), Path::new("/d/samples/00/08").join(&text));
        assert!("../../etc/passwd".parse::<SampleId>().is_err());
        assert!(text[..62].parse::<SampleId>().is_err());
    }
}
