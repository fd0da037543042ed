//! Keeps what views read up to date, in a thread of its own.

use super::live::Feed;
use super::shelf::Shelves;
use crate::incident::Incidents;
use crate::sample::{Catalog, Reports};
use roridula_evidence::Reader;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// How often it looks for news.
const EVERY: Duration = Duration::from_secs(1);
/// The catalog is made anew at most at this part of the time that making it takes: a tenth.
const CATALOG_REST: u32 = 9;

/// Keeps up what `shelves` give out and tells `live` what is new, until the shelves are gone.
pub(crate) fn spawn(dir: &Path, shelves: Weak<Shelves>, live: Arc<Feed>) {
    let dir = dir.to_owned();
    thread::spawn(move || {
        let mut keeper = Keeper { dir, live, seen: None, next_catalog: Instant::now() };
        while let Some(shelves) = shelves.upgrade() {
            // What cannot be read now is tried again; a view that reads it says why.
            let _ = keeper.step(&shelves);
            drop(shelves);
            thread::sleep(EVERY);
        }
    });
}

struct Keeper {
    dir: PathBuf,
    live: Arc<Feed>,
    /// The last event that the catalog knows of.
    seen: Option<u64>,
    next_catalog: Instant,
}

impl Keeper {
    fn step(&mut self, shelves: &Shelves) -> Result<(), Box<dyn std::error::Error>> {
        let reader = Reader::open(&self.dir)?;
        let mut incidents = Incidents::open_or_temporary(&self.dir)?;
        incidents.catch_up(&mut |_| {})?;
        self.live.look(&mut incidents)?;
        let last = reader.last_seq()?;
        if self.seen != Some(last) && Instant::now() >= self.next_catalog {
            let begun = Instant::now();
            let reports = Reports::open(&self.dir)?;
            shelves.put_catalog(Catalog::load(&reader, &reports, Some(&incidents))?);
            self.seen = Some(last);
            self.next_catalog = Instant::now() + begun.elapsed() * CATALOG_REST;
        }
        Ok(())
    }
}
