//! What is needed of a report to list, group and rank its sample without reading the report.

use super::sentence;
use roridula_triage::facts::PeFacts;
use roridula_triage::{Depth, FoundBy, Kind, Layer, Report, reference};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::sync::LazyLock;

/// To be raised with every change of what `sentence` says of a report.
const WORDING: u32 = 8;

/// A report's outline. Hashes are hexadecimal; what is not there is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Outline {
    /// [`maker`] of the build that made it: what another one made is made again from the report.
    pub maker: String,
    /// Which family; empty where it only says by which road the file came.
    pub family: String,
    /// How sure that is.
    pub confidence: String,
    /// `x86`, `x64`.
    pub machine: String,
    /// What it is and what it carries: the first part of the sentence.
    pub lead: String,
    /// Which part of it is cut off: the second part of the sentence.
    pub cut: String,
    /// What is known to differ from the published original: the last part of the sentence.
    pub differs: String,
    /// The core.
    pub core: Core,
    /// SHA-256 of the file that carries the core, where there is one around it.
    pub carrier: String,
    /// Names what the carrier is besides what it carries: equal for all copies of one template.
    pub carrier_skeleton: String,
    /// The stub's name.
    pub stub: String,
    /// The stub without what varies in it.
    pub stub_skeleton: String,
    /// Whether any layer is truncated or damaged.
    pub is_damaged: bool,
    /// Whether the report is a first one.
    pub is_first: bool,
    /// Whether a bound kept triage from looking into all of it.
    pub is_bounded: bool,
}

/// Of the core.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Core {
    /// Its SHA-256.
    pub sha256: String,
    /// What it is.
    pub kind: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its TLSH.
    pub tlsh: String,
    /// Its import hash.
    pub imphash: String,
    /// Names its sections' bytes, as far as no other layer lies in them.
    pub skeleton: String,
}

impl Outline {
    /// The outline of a report.
    pub fn of(report: &Report) -> Self {
        let verdict = report.verdict.as_ref().filter(|_| sentence::family(report).is_some());
        let stub = report.layers.iter().find_map(|layer| layer.facts.stub.as_ref());
        let carrier = carrier(report);
        let pe = carrier.or_else(|| report.core_layer()).and_then(|layer| layer.facts.pe.as_ref());
        let code = report.layers.iter().find_map(|layer| layer.facts.code.as_ref());
        let machine =
            pe.map(|pe| &pe.machine).or(stub.map(|stub| &stub.machine)).or(code.map(|code| &code.machine));
        Self {
            maker: maker().to_owned(),
            family: sentence::family(report).unwrap_or_default().to_owned(),
            confidence: verdict.map_or(String::new(), |verdict| verdict.confidence.to_string()),
            machine: machine.cloned().unwrap_or_default(),
            lead: sentence::lead(report),
            cut: sentence::cut(report),
            differs: sentence::differs(report),
            core: report.core_layer().map(core).unwrap_or_default(),
            carrier: carrier.map_or(String::new(), |layer| layer.hashes.sha256.clone()),
            carrier_skeleton: carrier.map_or(String::new(), skeleton),
            stub: stub.map_or(String::new(), |stub| stub.name.clone()),
            stub_skeleton: stub.map_or(String::new(), |stub| stub.skeleton.clone()),
            is_first: report.depth == Depth::First,
            is_bounded: report.is_bounded,
            is_damaged: report.layers.iter().any(|layer| layer.state != roridula_triage::State::Intact),
        }
    }
}

/// Names the words and the published facts that outlines are made with.
pub(super) fn maker() -> &'static str {
    static MAKER: LazyLock<String> =
        LazyLock::new(|| format!("{}-{WORDING}-{}", env!("CARGO_PKG_VERSION"), reference::digest()));
    &MAKER
}

/// The file around the core, where the core's place in it is known.
pub(super) fn carrier(report: &Report) -> Option<&Layer> {
    let core = report.core_layer()?;
    let around = report.layer(core.parent?)?;
    (around.kind == Kind::Pe && core.found_by == FoundBy::LengthField).then_some(around)
}

fn core(layer: &Layer) -> Core {
    let pe = layer.facts.pe.as_ref();
    Core {
        sha256: layer.hashes.sha256.clone(),
        kind: layer.kind.to_string(),
        size: layer.size,
        tlsh: layer.hashes.tlsh.clone(),
        imphash: pe.map_or(String::new(), |pe| pe.imphash.clone()),
        skeleton: if pe.is_some() { skeleton(layer) } else { String::new() },
    }
}

/// Hash of what a PE file is besides its layers: 16 hexadecimal digits.
fn skeleton(layer: &Layer) -> String {
    let Some(pe) = &layer.facts.pe else { return String::new() };
    let mut text = format!("{} {} {}", pe.machine, layer.size, pe.exports.join(" "));
    for section in &pe.sections {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n{} {} {} {}", section.name, section.offset, section.size, section.md5);
    }
    if is_told(pe) { hex(&Sha256::digest(text.as_bytes()))[..16].to_owned() } else { String::new() }
}

/// Whether any section's bytes are named at all.
fn is_told(pe: &PeFacts) -> bool {
    pe.sections.iter().any(|section| !section.md5.is_empty())
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
