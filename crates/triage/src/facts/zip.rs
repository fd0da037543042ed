//! What an archive's directory says, and whether its members are whole.

use crate::peel;
use crate::report::Budget;
use serde::{Deserialize, Serialize};

/// Of a ZIP archive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ZipFacts {
    /// Members, as the directory lists them.
    pub members: Vec<Member>,
    /// How many the archive has: more than `members` where a bound was met; then as its end record says.
    pub count: u64,
    /// The published password that opened it; empty where none was needed or none fits.
    pub password: String,
    /// Whether the end of the directory is missing, so that members were found by their own headers.
    pub without_directory: bool,
}

/// A member.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Member {
    /// Its name. Attacker's text.
    pub name: String,
    /// Where its stored bytes start in the archive.
    pub offset: u64,
    /// Stored bytes.
    pub stored_size: u64,
    /// Bytes when unpacked, as claimed.
    pub size: u64,
    /// CRC-32, as claimed.
    pub crc32: u32,
    /// Whether it wants a password.
    pub encrypted: bool,
    /// `intact`, `truncated`, `damaged`; `unknown` where it could not be read.
    pub state: String,
    /// From which of its own bytes on, unpacked, it is damaged, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damaged_at: Option<u64>,
}

/// What an archive's bytes say; unpacks all of it, within the default bounds. A layer that came out of
/// [`peel`](mod@crate::peel) has this already: it was made when its members were.
pub(crate) fn zip(bytes: &[u8], entries_max: usize) -> Option<ZipFacts> {
    peel::zip_facts(bytes, &Budget { entries_max, ..Budget::default() })
}
