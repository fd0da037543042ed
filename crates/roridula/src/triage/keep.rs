//! How a sample's bytes are kept once its report is there: whole, as a difference from its kin, or not at all.

use crate::settings::Duplicates;
use roridula_desk::sample::Reports;
use roridula_evidence::{Kept, Reader, SampleId, Store, StoreError};
use roridula_triage::{FoundBy, Kind, Report, State};

/// Saves the disk what the bytes of kin cost.
pub(super) struct Keeper<'a> {
    pub(super) store: &'a Store,
    pub(super) reader: &'a Reader,
    pub(super) reports: &'a Reports,
    pub(super) how: Duplicates,
}

impl Keeper<'_> {
    /// Keeps `sample` as the setting says; `base` is an earlier sample with the same core, or else the same carrier.
    pub(super) fn keep(&self, sample: SampleId, report: &Report, base: impl Fn() -> Option<SampleId>) {
        if self.how == Duplicates::Whole {
            return;
        }
        let Some(base) = base() else { return };
        let done = match self.how {
            Duplicates::Whole => return,
            Duplicates::Difference => self.difference(sample, base),
            Duplicates::Count => self.count(sample, report, base),
        };
        match done {
            // It stays as it is, and that costs only disk.
            Ok(()) | Err(StoreError::Refused { .. }) => {}
            Err(error) => tracing::warn!("{sample} stays as it is kept: {error}"),
        }
    }

    fn difference(&self, sample: SampleId, base: SampleId) -> Result<(), StoreError> {
        // Bases stay whole: what is a difference itself leads to the sample that it is a difference from.
        let base = match self.reader.kept(base)? {
            Kept::Difference { base, .. } => base,
            Kept::Whole { .. } => base,
            Kept::Forgotten | Kept::Missing => return Ok(()),
        };
        let saved = self.store.keep_as_difference(sample, base)?;
        tracing::debug!(
            "{sample} is kept as a difference: {} bytes instead of {}",
            saved.after,
            saved.before
        );
        Ok(())
    }

    fn count(&self, sample: SampleId, report: &Report, base: SampleId) -> Result<(), StoreError> {
        // The bytes of its kin must be there: the last of a core is never given up.
        if matches!(self.reader.kept(base)?, Kept::Forgotten | Kept::Missing) {
            return Ok(());
        }
        match self.reports.get(base) {
            Ok(Some(known)) if is_duplicate(report, &known) => self.store.forget_bytes(sample).map(drop),
            _ => Ok(()),
        }
    }
}

/// Whether a sample shows nothing that `known` does not: the same core, in layers of the same shape, all of them
/// intact. Filler may differ.
fn is_duplicate(report: &Report, known: &Report) -> bool {
    let core = |report: &Report| report.core_layer().map(|core| core.hashes.sha256.clone());
    let intact = report.layers.iter().all(|layer| layer.state == State::Intact && layer.remarks.is_empty());
    core(report).is_some()
        && core(report) == core(known)
        && intact
        && report.remarks.is_empty()
        && shape(report) == shape(known)
}

/// What lies in what, without filler.
fn shape(report: &Report) -> Vec<(Kind, FoundBy, &str, &str)> {
    let layers = report.layers.iter().filter(|layer| layer.kind != Kind::Padding);
    layers.map(|layer| (layer.kind, layer.found_by, layer.encoding.as_str(), layer.name.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use roridula_evidence::{Capture, Options};
    use roridula_triage::{Budget, Road, rules::Rules, triage};

    #[test]
    fn todo() {}
}
