//! Time as data: plain integers that can be written in a transcript.

use serde::{Deserialize, Serialize};

/// Microseconds since the connection was opened. Monotonic within one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// This moment plus `micros`, saturating.
    pub const fn plus_micros(self, micros: u64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// This moment plus `secs` seconds, saturating.
    pub const fn plus_secs(self, secs: u64) -> Self {
        Self(self.0.saturating_add(secs.saturating_mul(1_000_000)))
    }
}

/// Microseconds since 1970-01-01T00:00:00 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WallClock(pub u64);

impl WallClock {
    /// The wall clock at `at`, for a connection that was opened at `self`.
    pub const fn at(self, at: Timestamp) -> Self {
        Self(self.0.saturating_add(at.0))
    }
}
