//! The past as it goes on record: what connections told, in the order of its time, through the store's own door.

use anyhow::Context;
use roridula_evidence::{
    Attribution, Batch, Capture, Changes, Clock, Options, SampleId, SourceState, Store, StoreError,
};
use roridula_proto::connection::{ConnectionId, SharedChange, SharedState};
use roridula_proto::event::{ByteRange, Event, Origin, UploadState};
use roridula_proto::time::WallClock;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Records on their way to the store at most.
const WAITING_MAX: usize = 4096;
/// As the sensor's defaults: seconds for which a source that killed the implant is not answered, and for which
/// one whose exploit ran to its end is.
const DORMANT_SECS: u64 = 6 * 3600;
const EXPLOITED_SECS: u64 = 24 * 3600;
/// Bytes of an id that tell connections of one microsecond apart.
const ID_BITS: u32 = 11;

/// One thing to put on record.
#[derive(Debug)]
pub(super) enum Record {
    /// A step of a connection.
    Batch(Batch),
    /// An upload that is over.
    Upload(Upload),
    /// An event of the sensor's own.
    Sensor(Event),
    /// An event about a visitor who was not let in.
    Door(SocketAddr, SocketAddr, Event),
}

/// An upload that is over: how it ended, and the pieces of it by their place.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) attribution: Attribution,
    pub(super) number: u32,
    pub(super) origin: Origin,
    pub(super) state: UploadState,
    pub(super) total: Option<u64>,
    pub(super) pieces: BTreeMap<u64, Vec<u8>>,
}

/// What is on record at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Connections.
    pub connections: u64,
    /// Captures.
    pub captures: u64,
    /// Different samples among them.
    pub samples: u64,
}

/// Everything that connections of the past share.
#[derive(Debug)]
pub(super) struct Past {
    door: Option<SyncSender<(WallClock, Record)>>,
    keeper: Option<JoinHandle<Result<Tally, StoreError>>>,
    /// What is not due yet, by its time and by the order in which it was said.
    pending: BTreeMap<(WallClock, u64), Record>,
    said: u64,
    opened: u64,
    /// Connections on record since the honeypot was started last.
    served: u64,
    generation: u64,
    sources: HashMap<IpAddr, SourceState>,
}

impl Past {
    /// Opens the data directory `dir` with its clock at `from`.
    pub(super) fn open(dir: &Path, from: WallClock) -> anyhow::Result<(Self, Store)> {
        let hands = Arc::new(AtomicU64::new(from.0));
        let options = Options { clock: Clock::Hands(Arc::clone(&hands)), ..Options::default() };
        let store = Store::open(dir, "demo", options)?;
        let (door, records) = sync_channel(WAITING_MAX);
        let (keeping, generation) = (store.clone(), store.generation());
        let keeper = std::thread::Builder::new()
            .name("past".into())
            .spawn(move || keep_all(&keeping, &hands, &records))
            .context("cannot start a thread")?;
        let past = Self {
            door: Some(door),
            keeper: Some(keeper),
            pending: BTreeMap::new(),
            said: 0,
            opened: 0,
            served: 0,
            generation,
            sources: HashMap::new(),
        };
        Ok((past, store))
    }

    /// Names a connection that is accepted at `at`.
    pub(super) fn accept(
        &mut self,
        at: WallClock,
        source: SocketAddr,
        destination: SocketAddr,
    ) -> Attribution {
        self.opened += 1;
        let apart = self.opened & ((1 << ID_BITS) - 1);
        Attribution { connection: ConnectionId(at.0 << ID_BITS | apart), at, source, destination }
    }

    /// Puts something on record at `at`, not before all that happens earlier.
    pub(super) fn put(&mut self, at: WallClock, record: Record) {
        self.said += 1;
        self.pending.insert((at, self.said), record);
    }

    /// Time goes on to `now`: what was said before is on its way to the disk. Fails where that takes no more.
    pub(super) fn go_on(&mut self, now: WallClock) -> anyhow::Result<()> {
        while let Some(first) = self.pending.first_entry()
            && first.key().0 <= now
        {
            let ((at, _), mut record) = first.remove_entry();
            self.count(&mut record);
            let sent = self.door.as_ref().is_some_and(|door| door.send((at, record)).is_ok());
            anyhow::ensure!(sent, "the past cannot be kept");
        }
        Ok(())
    }

    /// Counts what comes in, and lets the honeypot say at its end how much that was.
    fn count(&mut self, record: &mut Record) {
        let opens = |batch: &Batch| {
            batch.events.iter().any(|(_, event)| matches!(event, Event::ConnectionOpened { .. }))
        };
        match record {
            Record::Batch(batch) => self.served += u64::from(opens(batch)),
            Record::Sensor(Event::SensorStarted { .. }) => self.served = 0,
            Record::Sensor(Event::SensorStopped { connections }) => *connections = self.served,
            Record::Sensor(_) | Record::Upload(_) | Record::Door(..) => {}
        }
    }

    /// Writes out all that is left.
    pub(super) fn end(&mut self) -> anyhow::Result<Tally> {
        // Where the keeper has failed, its own error says more.
        let sent = self.go_on(WallClock(u64::MAX));
        self.door = None;
        let keeper = self.keeper.take().context("ended twice")?;
        let tally = keeper.join().map_err(|_| anyhow::anyhow!("a thread died"))??;
        sent.map(|()| tally)
    }

    /// What a connection from `source` may know at `now`.
    pub(super) fn state(&self, source: IpAddr, now: WallClock) -> SharedState {
        let known = self.sources.get(&source);
        SharedState {
            generation: self.generation,
            dormant: known.is_some_and(|known| known.dormant_until > now),
            exploited: known.is_some_and(|known| known.exploited_until > now),
        }
    }

    /// Takes over what a connection changed; what has to outlive a restart.
    pub(super) fn apply(&mut self, source: IpAddr, now: WallClock, changes: &[SharedChange]) -> Changes {
        let mut kept = Changes::default();
        let until = |secs: u64| WallClock(now.0 + secs * 1_000_000);
        for change in changes {
            let nothing = SourceState { source, dormant_until: WallClock(0), exploited_until: WallClock(0) };
            match change {
                SharedChange::UploadFinished => {
                    self.generation += 1;
                    kept.generation = Some(self.generation);
                }
                SharedChange::Killed => {
                    let known = self.sources.entry(source).or_insert(nothing);
                    known.dormant_until = until(DORMANT_SECS);
                    kept.source = Some(*known);
                }
                SharedChange::Exploited => {
                    let known = SourceState { exploited_until: until(EXPLOITED_SECS), ..nothing };
                    self.sources.insert(source, known);
                    kept.source = Some(known);
                }
            }
        }
        kept
    }
}

fn keep_all(
    store: &Store,
    hands: &AtomicU64,
    records: &Receiver<(WallClock, Record)>,
) -> Result<Tally, StoreError> {
    let mut tally = Tally::default();
    for (at, record) in records {
        hands.store(at.0, Ordering::Relaxed);
        match record {
            Record::Batch(batch) => {
                tally.connections += u64::from(batch.closing.is_some());
                store.append_blocking(batch);
            }
            Record::Upload(upload) => {
                tally.captures += 1;
                tally.samples += u64::from(keep(store, upload)?);
            }
            Record::Sensor(event) => store.publish(event),
            Record::Door(source, destination, event) => {
                // The queue is full now and then; then this one waits for all that is in it.
                if !store.try_publish_at_door(source, destination, event.clone()) {
                    store.flush();
                    store.try_publish_at_door(source, destination, event);
                }
            }
        }
    }
    store.flush();
    Ok(tally)
}

/// Makes a sample of an upload, as the sensor's capture does; says whether it is a new one.
fn keep(store: &Store, upload: Upload) -> Result<bool, StoreError> {
    let mut slot = store.slot(&upload.attribution, upload.number, upload.origin)?;
    let mut sha256 = Sha256::new();
    let mut ranges: Vec<ByteRange> = Vec::new();
    let write = |at: u64, bytes: &[u8]| slot.write(at, bytes);
    let mut run = Run { start: 0, bytes: Vec::new(), write };
    for (at, piece) in upload.pieces {
        sha256.update(&piece);
        let end = at + piece.len() as u64;
        match ranges.last_mut().filter(|last| last.end == at) {
            Some(last) => last.end = end,
            None => ranges.push(ByteRange { start: at, end }),
        }
        run.add(at, &piece).map_err(|source| failed(store, source))?;
    }
    run.flush().map_err(|source| failed(store, source))?;
    if slot.is_empty() {
        slot.recycle();
        return Ok(false);
    }
    let capture = Capture {
        attribution: upload.attribution,
        upload: upload.number,
        origin: upload.origin,
        state: upload.state,
        total: upload.total,
        ranges,
        sha256: SampleId(sha256.finalize().into()),
        size: slot.len(),
    };
    if store.knows(capture.sha256)? {
        store.keep_known(capture, slot);
        return Ok(false);
    }
    store.keep_new(capture, slot)?;
    Ok(true)
}

fn failed(store: &Store, source: std::io::Error) -> StoreError {
    StoreError::Io { doing: "write", path: store.dir().join("spool"), source }
}

/// Pieces that follow each other, written at once.
struct Run<W> {
    start: u64,
    bytes: Vec<u8>,
    write: W,
}

impl<W: FnMut(u64, &[u8]) -> std::io::Result<()>> Run<W> {
    fn add(&mut self, at: u64, piece: &[u8]) -> std::io::Result<()> {
        if self.start + self.bytes.len() as u64 != at {
            self.flush()?;
            self.start = at;
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let bytes = std::mem::take(&mut self.bytes);
        if bytes.is_empty() { Ok(()) } else { (self.write)(self.start, &bytes) }
    }
}
