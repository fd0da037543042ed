//! What triage may spend and what it answers.

use serde::{Deserialize, Serialize};

/// What one sample may cost, whatever is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Places that look like a PE and are looked into. Finding the next such place is one pass of `memchr`
    /// speed over the sample and is not counted.
    pub candidates_max: u32,
    /// Layers that are reported.
    pub layers_max: usize,
    /// Bytes that are hashed, all layers together.
    pub hashed_bytes_max: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { candidates_max: 4096, layers_max: 16, hashed_bytes_max: 128 * 1024 * 1024 }
    }
}

/// By which road a sample came: what it may be expected to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Road {
    /// A payload, or a file at hand.
    #[default]
    Payload,
    /// The buffer of an exploit: filler, and code somewhere in it.
    ExploitBuffer,
}

/// What a layer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// DoublePulsar's loader in front of the file that it carries.
    Stub,
    /// A PE file, whole.
    Pe,
    /// A PE file whose end is not in the sample.
    PeTruncated,
    /// Bytes of an exploit's buffer that may be code: neither filler nor emptiness.
    Shellcode,
}

impl Kind {
    /// The word in the report.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stub => "stub",
            Self::Pe => "pe",
            Self::PeTruncated => "pe-truncated",
            Self::Shellcode => "shellcode",
        }
    }
}

/// How a layer was found; in this order of trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FoundBy {
    /// By the size that the stub itself carries.
    StubSizeField,
    /// The sample is the file.
    WholeSample,
    /// By looking for a PE header and checking all of it.
    ValidatedSearch,
    /// By leaving out what is filler.
    BetweenFiller,
}

impl FoundBy {
    /// The word in the report.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StubSizeField => "stub-size-field",
            Self::WholeSample => "whole-sample",
            Self::ValidatedSearch => "validated-search",
            Self::BetweenFiller => "between-filler",
        }
    }
}

/// A file inside a sample.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// What it is.
    pub kind: Kind,
    /// How it was found.
    pub found_by: FoundBy,
    /// Where it starts, in bytes from the start of the sample.
    pub offset: u64,
    /// Its size in bytes, as far as it is in the sample.
    pub size: u64,
    /// SHA-256 of those bytes, hexadecimal.
    pub sha256: String,
}

/// What triage found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The layers, in the order of their offsets. Empty: shellcode only, or nothing that we know.
    pub layers: Vec<Layer>,
    /// Whether the [`Budget`] ended the search before its end.
    pub budget_exhausted: bool,
}
