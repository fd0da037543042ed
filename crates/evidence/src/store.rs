//! The one writer.

use crate::published::{Attribution, Published};
use crate::{Install, StoreError};
use roridula_proto::event::Event;
use roridula_proto::time::WallClock;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::broadcast;

/// How the store behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Batches that may wait for the journal; a full queue makes the sender wait, nothing is dropped.
    pub queue_max: usize,
    /// Published events that a slow live display may fall behind before it misses some.
    pub live_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { queue_max: 4096, live_max: 4096 }
    }
}

/// What one step of a connection has to put on record.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Whose it is.
    pub attribution: Attribution,
    /// What happened, in order.
    pub events: Vec<(WallClock, Event)>,
    /// Set with the last batch of a connection.
    pub closing: Option<Closing>,
}

/// A connection's end.
#[derive(Clone, Debug, Default)]
pub struct Closing {
    /// Its transcript's text, if one was kept.
    pub transcript: Option<String>,
}

/// The one writer of a data directory. Cheap to clone; the last clone that goes away writes out and unlocks.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    install: Install,
    live: broadcast::Sender<Arc<Published>>,
}

impl Store {
    /// Opens `dir`, making what is not there, taking the lock, and recovering what a killed process left.
    /// `sensor` is the name that every event carries.
    pub fn open(dir: &Path, sensor: &str, options: Options) -> Result<Self, StoreError> {
        let _ = sensor;
        std::fs::create_dir_all(dir).map_err(StoreError::io("create", dir))?;
        let (live, _) = broadcast::channel(options.live_max);
        Ok(Self {
            inner: Arc::new(Inner { dir: dir.to_owned(), install: Install::load_or_make(dir)?, live }),
        })
    }

    /// The data directory.
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }

    /// This install's secret and birthday.
    pub fn install(&self) -> &Install {
        &self.inner.install
    }

    /// Names a connection that was just accepted.
    pub fn accept(&self, source: SocketAddr, destination: SocketAddr) -> Attribution {
        let _ = (source, destination);
        unreachable!("filled with the next step")
    }

    /// Puts a batch in the queue for the journal; waits while the queue is full.
    pub async fn append(&self, batch: Batch) {
        let _ = batch;
    }

    /// As [`Self::append`], for threads.
    pub fn append_blocking(&self, batch: Batch) {
        let _ = batch;
    }

    /// Puts an event on record that belongs to no connection, as `sensor.started` or `sample.triaged`.
    /// Blocks while the queue is full.
    pub fn publish(&self, event: Event) {
        let _ = event;
    }

    /// Events as they are committed, in order, for a live display: one that is too slow misses some. A sink that
    /// may miss nothing reads by cursor with [`Reader::events`](crate::Reader::events).
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Published>> {
        self.inner.live.subscribe()
    }

    /// Returns once everything appended before is durable.
    pub fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
