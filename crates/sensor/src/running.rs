//! The sensor as a whole: start, watch, stop.

use crate::capture::Capture;
use crate::connection::Desk;
use crate::gate::Gate;
use crate::listener::accept_all;
use crate::shared::Shared;
use crate::{Bound, SensorOptions};
use roridula_evidence::{Attribution, Store, StoreError};
use roridula_proto::connection::{Decoy, Policy, Progress};
use roridula_proto::event::Event;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, watch};

/// Steps of progress that a slow display may fall behind before it misses some.
const PROGRESS_MAX: usize = 256;
/// How often refusals that were only counted are looked through.
const REFUSALS_EVERY: Duration = Duration::from_secs(10);

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
    /// Faults of ours that cost a connection or its transcript.
    pub faults: u64,
}

/// A sensor that runs. Dropping it does not stop it cleanly; [`Sensor::shutdown`] does.
#[derive(Debug)]
pub struct Sensor {
    addresses: Vec<SocketAddr>,
    desk: Arc<Desk>,
}

impl Sensor {
    /// Starts to accept on `bound`, within the tokio runtime that calls it. Tells `sensor.started`. Fails where a
    /// thread cannot be started, or what sources did before cannot be read.
    pub fn start(
        bound: Vec<Bound>,
        decoy: Arc<Decoy>,
        store: Store,
        options: SensorOptions,
    ) -> Result<Self, StoreError> {
        let addresses: Vec<SocketAddr> = bound.iter().map(Bound::address).collect();
        let path = store.dir().to_owned();
        let no_threads = |source| StoreError::Io { doing: "start the capture's threads for", path, source };
        let desk = Arc::new(Desk {
            gate: Gate::new(&options),
            shared: Shared::load(&store, &options)?,
            capture: Capture::start(&store, options.capture_threads, options.reserve_bytes)
                .map_err(no_threads)?,
            progress: broadcast::channel(PROGRESS_MAX).0,
            faults: AtomicU64::new(0),
            closing: watch::channel(false).0,
            decoy,
            store,
            options,
        });
        desk.store.publish(started(&addresses, &desk.decoy));
        for bound in bound {
            let (address, desk) = (bound.address(), Arc::clone(&desk));
            tokio::spawn(async move {
                if let Err(error) = accept_all(bound, desk).await {
                    tracing::error!(%address, %error, "stopped listening");
                }
            });
        }
        tokio::spawn(tell_refusals(Arc::clone(&desk)));
        Ok(Self { addresses, desk })
    }

    /// Where it listens.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Whether the threads that keep what is caught all live. A honeypot that catches and keeps nothing is worse
    /// than one that is down: whoever runs it stops it, and the next start recovers what was under way.
    pub fn is_working(&self) -> bool {
        self.desk.store.is_working() && self.desk.capture.is_working()
    }

    /// Progress of uploads. Published events come from [`Store::subscribe`].
    pub fn subscribe_progress(&self) -> broadcast::Receiver<UploadProgress> {
        self.desk.progress.subscribe()
    }

    /// Stops to accept, ends every connection (`shutdown`), and returns when every payload is sealed and every
    /// event is on the disk. Tells `sensor.stopped`.
    pub async fn shutdown(self) -> Served {
        let desk = self.desk;
        desk.store.ending();
        let _ = desk.closing.send(true);
        // Each task holds a receiver until it has told its end.
        desk.closing.closed().await;
        for refused in desk.gate.due(Instant::now(), true) {
            desk.tell_refused(&refused);
        }
        let (connections, refused) = desk.gate.counts();
        let faults = desk.faults.load(Ordering::Relaxed);
        let finish = move || {
            desk.capture.finish();
            desk.store.publish(Event::SensorStopped { connections });
            desk.store.flush();
        };
        if tokio::task::spawn_blocking(finish).await.is_err() {
            tracing::error!("a fault while stopping; the next start recovers what was under way");
        }
        Served { connections, refused, faults }
    }
}

fn started(addresses: &[SocketAddr], decoy: &Decoy) -> Event {
    let policy = match decoy.implant.policy {
        Policy::Present => "present",
        Policy::Absent => "absent",
        Policy::AfterExploit => "after-exploit",
    };
    Event::SensorStarted {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        listen: addresses.iter().map(SocketAddr::to_string).collect(),
        persona: decoy.persona.name.to_owned(),
        policy: policy.to_owned(),
    }
}

async fn tell_refusals(desk: Arc<Desk>) {
    let mut closing = desk.closing();
    loop {
        tokio::select! {
            () = tokio::time::sleep(REFUSALS_EVERY) => {}
            _ = closing.wait_for(|&closing| closing) => return,
        }
        for refused in desk.gate.due(Instant::now(), false) {
            desk.tell_refused(&refused);
        }
    }
}
