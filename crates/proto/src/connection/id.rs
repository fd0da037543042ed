//! Names of connections.

use std::fmt;
use std::str::FromStr;

/// A connection's name: sortable by time, unique within a sensor. Its text is 13 characters of Crockford's
/// base 32, so that it can be typed and used as a file name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// Never on the wire: only our own names are written with it.
const BASE32: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Every line about a connection comes through here: one write.
        let mut letters = [b'0'; 13];
        for (place, letter) in (0..13u32).rev().zip(&mut letters) {
            let digit = self.0.checked_shr(place.saturating_mul(5)).unwrap_or(0) & 31;
            *letter = usize::try_from(digit).ok().and_then(|at| BASE32.get(at)).copied().unwrap_or(b'0');
        }
        f.pad(std::str::from_utf8(&letters).unwrap_or_default())
    }
}

/// The text is no connection id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no connection id: 13 characters of 0-9 and a-z without i, l, o, u")]
pub struct BadConnectionId(pub String);

impl FromStr for ConnectionId {
    type Err = BadConnectionId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || BadConnectionId(text.chars().take(40).collect());
        if text.len() != 13 {
            return Err(bad());
        }
        let mut id = 0u64;
        for byte in text.bytes() {
            let digit = BASE32.iter().position(|&letter| letter == byte).ok_or_else(bad)?;
            id = id.checked_mul(32).ok_or_else(bad)? | u64::try_from(digit).unwrap_or(0);
        }
        Ok(Self(id))
    }
}
