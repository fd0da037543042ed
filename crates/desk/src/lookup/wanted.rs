//! Which hashes stand for a sample.

use roridula_triage::{Kind, Report};
use serde::{Deserialize, Serialize};

/// Which part of a sample a hash is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// The innermost layer that stays the same.
    Core,
    /// The PE file that the payload carries.
    Dll,
    /// The bytes as they were delivered.
    Raw,
}

impl Part {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Dll => "DLL",
            Self::Raw => "raw bytes",
        }
    }
}

/// A hash to ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// SHA-256, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// What it is of.
    pub part: Part,
}

/// The hashes of a sample in the order in which they are asked for: the core, which other people have seen too;
/// the PE file around it; and the raw bytes, which with a tail of padding nobody else has.
pub fn wanted(report: &Report) -> Vec<Wanted> {
    let dll = report.layers.iter().find(|layer| layer.kind == Kind::Pe);
    let parts = [(Part::Core, report.core_layer()), (Part::Dll, dll), (Part::Raw, report.layer(0))];
    let mut found: Vec<Wanted> = Vec::new();
    for (part, layer) in parts {
        let Some(sha256) = layer.and_then(|layer| sha256(&layer.hashes.sha256)) else { continue };
        if found.iter().all(|known| known.sha256 != sha256) {
            found.push(Wanted { sha256, part });
        }
    }
    found
}

/// `text` as a SHA-256: a request's address is made of it.
pub(super) fn sha256(text: &str) -> Option<String> {
    let is_one = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_one.then(|| text.to_ascii_lowercase())
}
