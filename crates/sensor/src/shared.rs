//! What connections know of each other: the implant's generation, and what their source has done before.

use crate::SensorOptions;
use roridula_evidence::{Changes, SourceState, Store, StoreError};
use roridula_proto::connection::{SharedChange, SharedState};
use roridula_proto::time::WallClock;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The table that all connections share. Each is told its part as an input, so that replay stays exact.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Grows with every change, so that a connection sees by one load that nothing has changed.
    version: AtomicU64,
    generation: AtomicU64,
    sources: Mutex<HashMap<IpAddr, Source>>,
    dormant_us: u64,
    exploited_us: u64,
    sources_max: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Source {
    dormant_until: WallClock,
    exploited_until: WallClock,
}

impl Source {
    fn until(&self) -> WallClock {
        self.dormant_until.max(self.exploited_until)
    }
}

impl Shared {
    /// The table as `store` kept it.
    pub(crate) fn load(store: &Store, options: &SensorOptions) -> Result<Self, StoreError> {
        let source = |state: SourceState| {
            let SourceState { source, dormant_until, exploited_until } = state;
            (source, Source { dormant_until, exploited_until })
        };
        Ok(Self {
            version: AtomicU64::new(1),
            generation: AtomicU64::new(store.generation()),
            sources: Mutex::new(store.sources(options.sources_max)?.into_iter().map(source).collect()),
            dormant_us: options.dormant_secs.saturating_mul(1_000_000),
            exploited_us: options.exploited_secs.saturating_mul(1_000_000),
            sources_max: options.sources_max.max(1),
        })
    }

    /// Which state the table is in: [`Self::state`] gives the same for as long as this does.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// What a connection from `source` may know at `now`.
    pub(crate) fn state(&self, source: IpAddr, now: WallClock) -> SharedState {
        let source = self.lock().get(&source).copied().unwrap_or_default();
        SharedState {
            generation: self.generation.load(Ordering::Acquire),
            dormant: source.dormant_until > now,
            exploited: source.exploited_until > now,
        }
    }

    /// Takes over what a connection from `source` changed; gives what has to outlive a restart.
    pub(crate) fn apply(&self, source: IpAddr, now: WallClock, changes: &[SharedChange]) -> Changes {
        let mut kept = Changes::default();
        for change in changes {
            match change {
                SharedChange::UploadFinished => {
                    kept.generation = Some(self.generation.fetch_add(1, Ordering::AcqRel) + 1);
                }
                SharedChange::Killed => {
                    let until = WallClock(now.0.saturating_add(self.dormant_us));
                    kept.source = Some(self.note(source, now, |state| state.dormant_until = until));
                }
                SharedChange::Exploited => {
                    let exploited_until = WallClock(now.0.saturating_add(self.exploited_us));
                    let implanted = Source { dormant_until: WallClock(0), exploited_until };
                    kept.source = Some(self.note(source, now, |state| *state = implanted));
                }
            }
            self.version.fetch_add(1, Ordering::AcqRel);
        }
        kept
    }

    fn note(&self, source: IpAddr, now: WallClock, change: impl FnOnce(&mut Source)) -> SourceState {
        let mut sources = self.lock();
        if sources.len() >= self.sources_max && !sources.contains_key(&source) {
            sources.retain(|_, state| state.until() > now);
            // Still full of what is not over: the one that is over first makes room.
            let first = sources.iter().min_by_key(|(_, state)| state.until()).map(|(&address, _)| address);
            if let Some(first) = first.filter(|_| sources.len() >= self.sources_max) {
                sources.remove(&first);
            }
        }
        let state = sources.entry(source).or_default();
        change(state);
        let Source { dormant_until, exploited_until } = *state;
        SourceState { source, dormant_until, exploited_until }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Source>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use roridula_evidence::Options;

    fn shared(options: SensorOptions) -> Shared {
        let dir = tempfile::tempdir().unwrap();
        Shared::load(&Store::open(dir.path(), "t", Options::default()).unwrap(), &options).unwrap()
    }

    #[test]
    fn a_kill_silences_the_implant_for_that_source_and_that_time() {
        let shared = shared(SensorOptions { dormant_secs: 10, ..SensorOptions::default() });
        let (killer, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let now = WallClock(5_000_000);
        let before = shared.version();
        let kept = shared.apply(killer, now, &[SharedChange::Killed]);
        assert_eq!(kept.source.unwrap().dormant_until, WallClock(15_000_000));
        assert!(shared.version() > before);
        assert!(shared.state(killer, WallClock(14_999_999)).dormant);
        assert!(!shared.state(killer, WallClock(15_000_000)).dormant);
        assert!(!shared.state(other, now).dormant);
    }

    #[test]
    fn an_exploit_puts_the_implant_in_place_for_that_source_and_that_time_and_undoes_a_kill() {
        let shared = shared(SensorOptions { exploited_secs: 10, ..SensorOptions::default() });
        let (source, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let now = WallClock(5_000_000);
        let kept = shared.apply(source, now, &[SharedChange::Killed, SharedChange::Exploited]);
        assert_eq!(kept.source.unwrap().exploited_until, WallClock(15_000_000));
        let state = shared.state(source, WallClock(14_999_999));
        assert!(state.exploited && !state.dormant);
        assert!(!shared.state(source, WallClock(15_000_000)).exploited);
        assert!(!shared.state(other, now).exploited);
    }

    #[test]
    fn a_finished_upload_gives_everybody_a_new_generation() {
        let shared = shared(SensorOptions::default());
        let source = "192.0.2.1".parse().unwrap();
        let kept =
            shared.apply(source, WallClock(0), &[SharedChange::UploadFinished, SharedChange::UploadFinished]);
        assert_eq!(kept.generation, Some(2));
        assert_eq!(shared.state("192.0.2.9".parse().unwrap(), WallClock(0)).generation, 2);
    }

    #[test]
    fn the_table_is_bounded_and_the_oldest_makes_room() {
        let shared = shared(SensorOptions { sources_max: 3, dormant_secs: 100, ..SensorOptions::default() });
        let source = |n: u8| IpAddr::from([192, 0, 2, n]);
        for n in 0..10 {
            shared.apply(source(n), WallClock(u64::from(n) * 1_000_000), &[SharedChange::Killed]);
        }
        assert_eq!(shared.lock().len(), 3);
        let now = WallClock(10_000_000);
        assert!(shared.state(source(9), now).dormant && !shared.state(source(0), now).dormant);
    }
}
