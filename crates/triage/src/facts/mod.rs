//! What is known of a layer besides its place: one file a kind of fact.

mod code;
mod hashes;
mod indicators;
mod pe;
mod stub;
mod zip;

pub use code::CodeFacts;
pub(crate) use hashes::hashes;
pub use indicators::{Indicator, IndicatorKind};
pub use pe::{Import, PeFacts, ResourceFacts, SectionFacts};
pub use stub::StubFacts;
pub(crate) use stub::stub;
pub(crate) use zip::zip;
pub use zip::{Member, ZipFacts};

use crate::report::Kind;
use serde::{Deserialize, Serialize};

/// What is known of one layer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// Shannon entropy in bits a byte, rounded to hundredths.
    pub entropy: f32,
    /// Of a PE file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pe: Option<PeFacts>,
    /// Of a ZIP archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zip: Option<ZipFacts>,
    /// Of a stub.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stub: Option<StubFacts>,
    /// Of code: a stub, shellcode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<CodeFacts>,
    /// What it would talk to, make or ask for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub indicators: Vec<Indicator>,
    /// Strings that tell something, the most telling first. Attacker's text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub strings: Vec<String>,
}

/// What can be said about a layer of this kind without looking into other layers.
pub(crate) fn facts(kind: Kind, bytes: &[u8]) -> Facts {
    let stub = if kind == Kind::Stub { stub(bytes) } else { None };
    Facts { stub, ..Facts::default() }
}
