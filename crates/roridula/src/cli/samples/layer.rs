//! A layer, cut out of its sample.

use super::Room;
use crate::cli::Failure;
use crate::settings::TriageSettings;
use crate::triage::{Question, Reins, Seat, question};
use roridula_desk::json;
use roridula_evidence::SampleView;
use roridula_triage::{Layer, Report};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Bytes of a sample out of which a layer is cut.
const BYTES_MAX: u64 = 256 * 1024 * 1024;
/// A number of more digits is the beginning of a SHA-256.
const DIGITS_MAX: usize = 3;

/// A layer with its bytes.
pub(super) struct Cut {
    /// As they stand in the sample, or decoded.
    pub(super) bytes: Vec<u8>,
    sample: String,
    number: u32,
    offset: Option<u64>,
    layer: Layer,
}

/// What is said of it beside its bytes.
#[derive(Serialize)]
struct About<'a> {
    /// SHA-256 of the sample.
    sample: &'a str,
    /// Its number in the sample's report.
    number: u32,
    /// Where it starts in the sample; nothing where it had to be decoded.
    offset: Option<u64>,
    layer: &'a Layer,
}

impl Cut {
    /// The layer that is named by its number or by (the beginning of) its SHA-256.
    pub(super) fn of(room: &Room, sample: &SampleView, wanted: &str) -> Result<Self, Failure> {
        let report = room.report(sample.sha256)?;
        let number = find(&report, wanted).ok_or_else(|| {
            let last = report.layers.len().saturating_sub(1);
            Failure::new(format!(
                "{} has no layer `{wanted}`: `roridula samples show {}` shows layers 0 to {last}",
                sample.sha256,
                &sample.sha256.to_string()[..16]
            ))
        })?;
        let layer = report.layer(number).ok_or_else(|| Failure::new("no such layer"))?.clone();
        let all = room.reader.sample_bytes(sample.sha256, BYTES_MAX)?;
        let offset = report.place(number);
        let bytes = match offset {
            Some(offset) => {
                let range = usize::try_from(offset).ok().zip(usize::try_from(layer.size).ok());
                range.and_then(|(start, size)| all.get(start..start.checked_add(size)?)).map(<[u8]>::to_vec)
            }
            // Peeled once more, where captured bytes are looked into: reports do not hold what had to be decoded.
            None => Some(unpacked(sample, &all, &layer.hashes.sha256)?),
        };
        let bytes = bytes.unwrap_or_default();
        let sha256: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        if sha256 != layer.hashes.sha256 {
            let what = "its bytes are not those that the report names; `roridula triage --all --force` makes a new one";
            return Err(Failure::new(format!("layer {number} of {}: {what}", sample.sha256)));
        }
        Ok(Self { bytes, sample: sample.sha256.to_string(), number, offset, layer })
    }

    /// Of its bytes.
    pub(super) fn sha256(&self) -> &str {
        &self.layer.hashes.sha256
    }

    /// What is known of it, as JSON.
    pub(super) fn about(&self) -> Result<Vec<u8>, Failure> {
        let Self { sample, number, offset, layer, .. } = self;
        let about = About { sample, number: *number, offset: *offset, layer };
        let text = json::pretty(&about);
        text.map(String::into_bytes).map_err(|error| Failure::new(error.to_string()))
    }
}

/// The layer's number.
fn find(report: &Report, wanted: &str) -> Option<u32> {
    let wanted = wanted.trim().to_ascii_lowercase();
    if wanted.len() <= DIGITS_MAX {
        return wanted.parse().ok().filter(|number| report.layer(*number).is_some());
    }
    let at = report.layers.iter().position(|layer| layer.hashes.sha256.starts_with(&wanted))?;
    u32::try_from(at).ok()
}

/// The bytes of a layer that does not stand in the sample as it is.
fn unpacked(sample: &SampleView, bytes: &[u8], layer: &str) -> Result<Vec<u8>, Failure> {
    let mut seat = Seat::new(TriageSettings::default(), Arc::default(), Arc::new(Reins::default()));
    let question = Question { layer: layer.to_owned(), ..question(sample) };
    seat.unpack(&question, bytes).map_err(|trouble| Failure::new(format!("{}: {trouble}", sample.sha256)))
}
