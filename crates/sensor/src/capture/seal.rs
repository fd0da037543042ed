//! First-seen samples: their other hashes, their place, their entry in the journal.
//!
//! That takes tens of milliseconds a sample (a new file must really be on the disk before it is told), so one
//! thread of its own does it; the threads that keep up with the network never wait for the disk's flush.

use super::work::tell_failure;
use roridula_evidence::{Capture, Slot, Store};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::JoinHandle;

/// Samples that may wait; then the capture threads wait too, and so, in the end, do the visitors.
const WAITING_MAX: usize = 256;

type Waiting = (Capture, Slot);

/// The thread that seals.
#[derive(Debug)]
pub(super) struct Sealer {
    entrance: Entrance,
    thread: JoinHandle<()>,
}

/// Where samples to be sealed are handed in.
#[derive(Clone, Debug)]
pub(super) struct Entrance(SyncSender<Waiting>);

impl Sealer {
    pub(super) fn start(store: Store) -> std::io::Result<Self> {
        let (entrance, waiting) = mpsc::sync_channel(WAITING_MAX);
        let run = move || seal_all(&store, &waiting);
        let thread = std::thread::Builder::new().name("seal".to_owned()).spawn(run)?;
        Ok(Self { entrance: Entrance(entrance), thread })
    }

    pub(super) fn is_working(&self) -> bool {
        !self.thread.is_finished()
    }

    pub(super) fn entrance(&self) -> Entrance {
        self.entrance.clone()
    }

    /// Waits until all that was handed in is sealed. Blocks.
    pub(super) fn finish(self) {
        drop(self.entrance);
        if self.thread.join().is_err() {
            tracing::error!(
                "the sealing thread ended by a fault; what it held is recovered at the next start"
            );
        }
    }
}

impl Entrance {
    /// Hands a sample in; waits while too many are waiting.
    pub(super) fn send(&self, capture: Capture, slot: Slot) {
        if self.0.send((capture, slot)).is_err() {
            tracing::error!("the sealing thread is gone; the sample stays in the spool for the next start");
        }
    }
}

fn seal_all(store: &Store, waiting: &Receiver<Waiting>) {
    for (capture, slot) in waiting {
        let (whose, upload) = (capture.attribution, capture.upload);
        // The same bytes may have been ahead of these in the queue.
        let result = match store.knows(capture.sha256) {
            Ok(true) => {
                store.keep_known(capture, slot);
                Ok(())
            }
            Ok(false) => store.keep_new(capture, slot),
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            tracing::error!(connection = %whose.connection, upload, %error, "A SAMPLE CANNOT BE SEALED; it stays in the spool");
            tell_failure(store, whose, upload, error.to_string(), 0);
        }
    }
}
