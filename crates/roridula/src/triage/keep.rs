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
    use roridula_proto::event::{ByteRange, Origin, UploadState};
    use roridula_triage::rules::Rules;
    use roridula_triage::{Budget, Road, triage};
    use sha2::{Digest, Sha256};

    struct World {
        _dir: tempfile::TempDir,
        store: Store,
        reader: Reader,
        reports: Reports,
    }

    impl World {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::open(dir.path(), "test", Options::default()).unwrap();
            let reader = Reader::open(dir.path()).unwrap();
            let reports = Reports::open(dir.path()).unwrap();
            Self { _dir: dir, store, reader, reports }
        }

        /// Catches these bytes.
        fn catch(&self, bytes: &[u8]) -> SampleId {
            let sha256 = SampleId(Sha256::digest(bytes).into());
            let visitor = "203.0.113.7:4711".parse().unwrap();
            let attribution = self.store.accept(visitor, "192.0.2.1:445".parse().unwrap());
            let mut slot = self.store.slot(&attribution, 1, Origin::DoublePulsar).unwrap();
            slot.write(0, bytes).unwrap();
            let size = bytes.len() as u64;
            let capture = Capture {
                attribution,
                upload: 1,
                origin: Origin::DoublePulsar,
                state: UploadState::Complete,
                total: Some(size),
                ranges: vec![ByteRange { start: 0, end: size }],
                sha256,
                size,
            };
            self.store.keep_new(capture, slot).unwrap();
            sha256
        }

        /// Keeps the sample as `how` says, with `base` as its kin.
        fn keep(&self, how: Duplicates, sample: SampleId, base: Option<SampleId>) -> Kept {
            let keeper = Keeper { store: &self.store, reader: &self.reader, reports: &self.reports, how };
            let report = self.reports.get(sample).unwrap().unwrap();
            keeper.keep(sample, &report, || base);
            self.reader.kept(sample).unwrap()
        }

        /// Catches a variant of the same core and keeps its report.
        fn variant(&self, end: &[u8]) -> SampleId {
            let mut bytes: Vec<u8> = (0..6000u32).flat_map(|n| Sha256::digest(n.to_le_bytes())).collect();
            bytes.extend_from_slice(end);
            let mut report = triage(&bytes, Road::Payload, &Rules::default(), &Budget::default());
            report.core = Some(0);
            report.layers[0].hashes.sha256 = "c0".repeat(32);
            let sample = self.catch(&bytes);
            self.reports.put(sample, &report).unwrap();
            sample
        }
    }

    #[test]
    fn kin_become_differences_from_a_base_that_stays_whole() {
        let world = World::new();
        let (first, second, third) = (world.variant(b"1"), world.variant(b"2"), world.variant(b"3"));
        let difference = |kept: Kept| matches!(kept, Kept::Difference { base, .. } if base == first);
        assert!(matches!(world.keep(Duplicates::Whole, second, Some(first)), Kept::Whole { .. }));
        assert!(matches!(world.keep(Duplicates::Difference, second, None), Kept::Whole { .. }));
        assert!(difference(world.keep(Duplicates::Difference, second, Some(first))));
        // Its kin is a difference itself: what that is a difference from is the base of both.
        assert!(difference(world.keep(Duplicates::Difference, third, Some(second))));
        // Others need it.
        assert!(matches!(world.keep(Duplicates::Difference, first, Some(second)), Kept::Whole { .. }));
        let bytes = world.reader.sample_bytes(third, 1 << 20).unwrap();
        assert_eq!(Sha256::digest(&bytes)[..], third.0);
        // Strangers do not pay.
        let other: Vec<u8> = (9000..9999u32).flat_map(|n| Sha256::digest(n.to_le_bytes())).collect();
        let other = world.catch(&other);
        let report = triage(b"x", Road::Payload, &Rules::default(), &Budget::default());
        world.reports.put(other, &report).unwrap();
        assert!(matches!(world.keep(Duplicates::Difference, other, Some(first)), Kept::Whole { .. }));
    }

    #[test]
    fn only_what_shows_nothing_new_is_counted_alone() {
        let world = World::new();
        let samples: Vec<SampleId> = (0..6u8).map(|end| world.variant(&[end])).collect();
        let change = |sample: SampleId, change: &dyn Fn(&mut Report)| {
            let mut report = world.reports.get(sample).unwrap().unwrap();
            change(&mut report);
            world.reports.put(sample, &report).unwrap();
        };
        change(samples[1], &|report| report.layers[0].state = State::Truncated);
        change(samples[2], &|report| report.layers[0].hashes.sha256 = "c1".repeat(32));
        change(samples[3], &|report| report.layers[0].encoding = "xor 5a".to_owned());
        for odd in &samples[1..4] {
            assert!(matches!(world.keep(Duplicates::Count, *odd, Some(samples[0])), Kept::Whole { .. }));
        }
        assert!(matches!(world.keep(Duplicates::Count, samples[4], None), Kept::Whole { .. }));
        assert_eq!(world.keep(Duplicates::Count, samples[4], Some(samples[0])), Kept::Forgotten);
        // The last one whose bytes are there is never given up.
        assert!(matches!(world.keep(Duplicates::Count, samples[0], Some(samples[4])), Kept::Whole { .. }));
    }
}
