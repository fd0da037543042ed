//! The stages of the kill chain, in order.

use roridula_proto::time::WallClock;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Pieces of evidence that are kept for a stage; the first ones, the rest is counted.
pub(super) const EVIDENCE_MAX: usize = 32;

/// A stage of an attack. Their order is the order in which the 2017 worm goes through them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// A TCP connection.
    Connect,
    /// A logon, anonymous as a rule.
    Logon,
    /// The check for MS17-010.
    Probe,
    /// A ping of the implant.
    Ping,
    /// A step of an exploit.
    Exploit,
    /// The visitor was told, or shown, that the implant is there.
    Implant,
    /// An upload through the implant.
    Upload,
    /// What was uploaded is a sample.
    Capture,
    /// The implant was told to remove itself.
    Kill,
}

impl Stage {
    /// All of them, in order.
    pub const ALL: [Self; 9] = [
        Self::Connect,
        Self::Logon,
        Self::Probe,
        Self::Ping,
        Self::Exploit,
        Self::Implant,
        Self::Upload,
        Self::Capture,
        Self::Kill,
    ];

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Logon => "logon",
            Self::Probe => "probe",
            Self::Ping => "ping",
            Self::Exploit => "exploit",
            Self::Implant => "implant",
            Self::Upload => "upload",
            Self::Capture => "capture",
            Self::Kill => "kill",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a connection was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It said nothing.
    Connect,
    /// It negotiated, logged on or connected a share, and no more.
    Logon,
    /// It checked for MS17-010.
    Check,
    /// It pinged the implant.
    Ping,
    /// It carried an exploit's own messages.
    Exploit,
    /// It held memory for an exploit: a frame that never ends.
    Groom,
    /// It made a hole for an exploit: a logon in a form that no client uses.
    Hole,
    /// It uploaded through the implant.
    Upload,
    /// It told the implant to remove itself.
    Kill,
    /// It said something that no recogniser knows.
    Unknown,
}

impl Role {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Logon => "logon",
            Self::Check => "check",
            Self::Ping => "ping",
            Self::Exploit => "exploit",
            Self::Groom => "groom",
            Self::Hole => "hole",
            Self::Upload => "upload",
            Self::Kill => "kill",
            Self::Unknown => "unknown",
        }
    }

    /// The role of this word.
    pub(super) fn from_word(word: &str) -> Option<Self> {
        let all = [
            Self::Connect,
            Self::Logon,
            Self::Check,
            Self::Ping,
            Self::Exploit,
            Self::Groom,
            Self::Hole,
            Self::Upload,
            Self::Kill,
            Self::Unknown,
        ];
        all.into_iter().find(|role| role.as_str() == word)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Where it is written that something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema, Deserialize)]
pub(super) struct Evidence {
    pub(super) connection: u64,
    pub(super) seq: u64,
    /// Offset in the bytes received.
    pub(super) stream_at: Option<u64>,
}

/// How often a stage was reached, and when.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Tally {
    pub(super) first: WallClock,
    pub(super) last: WallClock,
    pub(super) count: u64,
    pub(super) evidence: Vec<Evidence>,
}

impl Tally {
    /// Counts once more.
    pub(super) fn see(&mut self, time: WallClock, evidence: Evidence) {
        self.add(Self { first: time, last: time, count: 1, evidence: vec![evidence] });
    }

    /// Adds up.
    pub(super) fn add(&mut self, other: Self) {
        if self.count == 0 {
            *self = other;
            return;
        }
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.count += other.count;
        let room = EVIDENCE_MAX.saturating_sub(self.evidence.len());
        self.evidence.extend(other.evidence.into_iter().take(room));
    }
}
