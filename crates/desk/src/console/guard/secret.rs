//! 256 random bits, as hexadecimal digits in a cookie, a form or a header.

use sha2::{Digest, Sha256};
use std::fmt;

/// Hexadecimal digits of a secret.
const DIGITS: usize = 64;

/// A random value that is worth as much as a password. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret([u8; 32]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// A new one. A kernel that has no random numbers is no place to guard anything: then this panics.
    pub(crate) fn random() -> Self {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).expect("the kernel has random numbers");
        Self(bytes)
    }

    /// What [`Self::text`] wrote; `None` for anything else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() != DIGITS {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digit = |at: usize| match pair.get(at) {
                Some(c @ b'0'..=b'9') => Some(c - b'0'),
                Some(c @ b'a'..=b'f') => Some(c - b'a' + 10),
                _ => None,
            };
            *byte = digit(0)? << 4 | digit(1)?;
        }
        Some(Self(bytes))
    }

    /// 64 hexadecimal digits.
    pub(crate) fn text(&self) -> String {
        hex(&self.0)
    }

    /// By which a table knows it: who reads the table cannot use it, and finding it there takes no time that
    /// tells it.
    pub(crate) fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0).into()
    }

    /// A value that only who knows `self` can make for `other`. Both have a fixed length, so that a plain
    /// hash is enough.
    pub(crate) fn bind(&self, other: &Self) -> Self {
        Self(Sha256::new().chain_update(self.0).chain_update(other.0).finalize().into())
    }

    /// Whether both are the same, in a time that does not tell where they differ.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.hash() == other.hash()
    }
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_as_it_was_written_and_nothing_else_is() {
        let secret = Secret::random();
        let text = secret.text();
        assert_eq!(Secret::parse(&text), Some(secret.clone()));
        assert!(!Secret::random().is(&secret) && Secret::parse(&text).unwrap().is(&secret));
        let wrong = [
            "",
            &text[..63],
            &format!("{text}0"),
            &text.replace(&text[..1], "é"),
            &"A".repeat(64),
            &"g".repeat(64),
        ];
        for wrong in wrong {
            assert_eq!(Secret::parse(wrong), None, "{wrong}");
        }
        assert!(!format!("{secret:?}").contains(&text));
    }
}
