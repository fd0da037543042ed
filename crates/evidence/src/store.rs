//! The one writer of a data directory, as the other rooms see it.

use crate::archive::Archive;
use crate::install::Clock;
use crate::published::{Attribution, Published};
use crate::samples::SampleId;
use crate::spool::{Slot, Spool};
use crate::writer::{CaptureItem, Hashes, Item, Writer};
use crate::{Install, StoreError, kept, recover, schema, transcripts, writing};
use md5::Md5;
use roridula_proto::connection::ConnectionId;
use roridula_proto::event::{ByteRange, Event, Origin, UploadState};
use roridula_proto::time::WallClock;
use rusqlite::{Connection, OptionalExtension};
use sha1::Sha1;
use sha2::Digest;
use std::fs::{self, File, TryLockError};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::sync::{broadcast, watch};

/// How the store behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Batches that may wait for the journal; a full queue makes the sender wait, nothing is dropped.
    pub queue_max: usize,
    /// Published events that a slow live display may fall behind before it misses some.
    pub live_max: usize,
    /// What time it is.
    pub clock: Clock,
}

impl Default for Options {
    fn default() -> Self {
        Self { queue_max: 4096, live_max: 4096, clock: Clock::System }
    }
}

/// What one step of a connection has to put on record.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Whose it is.
    pub attribution: Attribution,
    /// What happened, in order. A connection's first event is `connection.opened`.
    pub events: Vec<(WallClock, Event)>,
    /// What the connection changed for others, on record together with the events that say so.
    pub changes: Changes,
    /// Set with the last batch of a connection, the one with `connection.closed`.
    pub closing: Option<Closing>,
}

/// What must outlive a restart besides events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The implant's generation, if it grew.
    pub generation: Option<u64>,
    /// What the visitor has done, if it did something that later connections must know.
    pub source: Option<SourceState>,
}

/// A connection's end.
#[derive(Clone, Debug, Default)]
pub struct Closing {
    /// Its transcript's text, if one was kept.
    pub transcript: Option<String>,
    /// Whether all of the connection is in it.
    pub whole: bool,
}

/// A batch that has to wait for the journal.
#[derive(Debug)]
pub struct Waiting(Box<Item>);

/// A payload that is all here, with the name of its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// Who brought it.
    pub attribution: Attribution,
    /// The upload's number within the connection.
    pub upload: u32,
    /// By which road.
    pub origin: Origin,
    /// What there is of it.
    pub state: UploadState,
    /// The size announced.
    pub total: Option<u64>,
    /// Which bytes of the upload are here, in order.
    pub ranges: Vec<ByteRange>,
    /// SHA-256 of these bytes, one range after the other.
    pub sha256: SampleId,
    /// How many they are.
    pub size: u64,
}

/// What a source has done to us that later connections must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceState {
    /// The visitor.
    pub source: IpAddr,
    /// It killed the implant: silent for it until then; 0 for never.
    pub dormant_until: WallClock,
    /// It exploited us; forgotten then; 0 for never.
    pub exploited_until: WallClock,
}

/// What was found at the start that a killed process had left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Connections that had been open.
    pub connections: u64,
    /// Uploads that had been arriving and now are samples.
    pub samples: u64,
    /// Uploads whose bytes are still in `spool/`, because they could not be put in their place (the disk is
    /// full?); the next start tries again.
    pub left: u64,
}

/// How far the journal is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// The seq of the latest event.
    pub seq: u64,
    /// Captures put on record since the store was opened.
    pub captures: u64,
}

/// The one writer of a data directory. Cheap to clone; when the last clone goes away, all that was appended is
/// written out and the directory unlocked.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    clock: Clock,
    install: Install,
    archive: Archive,
    recovered: Recovered,
    generation: u64,
    queue: SyncSender<Item>,
    thread: Mutex<Option<JoinHandle<()>>>,
    stalled: Arc<AtomicBool>,
    ending: Arc<AtomicBool>,
    live: broadcast::Sender<Arc<Published>>,
    committed: watch::Receiver<Committed>,
    latest_id: AtomicU64,
    lookup: Mutex<Connection>,
    spool: Arc<Spool>,
    // Unlocked when closed.
    _lock: File,
}

impl Store {
    /// Opens `dir`, making what is not there, taking the lock, and recovering what a killed process left.
    /// `sensor` is the name that every event carries.
    pub fn open(dir: &Path, sensor: &str, options: Options) -> Result<Self, StoreError> {
        for folder in [dir.to_owned(), dir.join("samples"), dir.join("spool"), dir.join("crashes")] {
            fs::create_dir_all(&folder).map_err(StoreError::io("create", &folder))?;
        }
        let lock = take_lock(dir)?;
        let install = Install::load_or_make(dir, &options.clock)?;
        let fail = StoreError::journal(&schema::path(dir));
        let mut writer = Writer::new(schema::open_to_write(dir)?, sensor).map_err(&fail)?;
        let archive = Archive::new(dir);
        let (recovered, first_slot) = recover::recover(dir, &mut writer)?;
        let number = |sql: &str| writer.db().query_row(sql, [], |row| row.get::<_, i64>(0)).optional();
        let latest_id =
            number("SELECT ifnull(max(id), 0) FROM connection").map_err(&fail)?.unwrap_or(0) as u64;
        let generation =
            number("SELECT value FROM meta WHERE key = 'generation'").map_err(&fail)?.unwrap_or(0) as u64;
        let lookup = Mutex::new(schema::open_to_read(dir)?);
        let spool = Spool::new(dir.join("spool"), first_slot);
        let (live, _) = broadcast::channel(options.live_max.max(1));
        let (progress, committed) = watch::channel(Committed { seq: writer.seq(), captures: 0 });
        let stalled = Arc::new(AtomicBool::new(false));
        let (queue, items) = mpsc::sync_channel(options.queue_max.max(1));
        let ending = Arc::new(AtomicBool::new(false));
        let told = writing::Told {
            live: live.clone(),
            committed: progress,
            stalled: Arc::clone(&stalled),
            ending: Arc::clone(&ending),
        };
        let thread = writing::start(writer, items, told, Arc::clone(&spool))
            .map_err(StoreError::io("start the journal's thread for", dir))?;
        Ok(Self {
            inner: Arc::new(Inner {
                dir: dir.to_owned(),
                clock: options.clock,
                install,
                archive,
                recovered,
                generation,
                queue,
                thread: Mutex::new(Some(thread)),
                stalled,
                ending,
                live,
                committed,
                latest_id: AtomicU64::new(latest_id),
                lookup,
                spool,
                _lock: lock,
            }),
        })
    }

    /// Whether the journal's thread lives. Without it nothing is kept any more.
    pub fn is_working(&self) -> bool {
        let thread = self.inner.thread.lock().unwrap_or_else(PoisonError::into_inner);
        thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// The data directory.
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }

    pub(crate) fn archive(&self) -> &Archive {
        &self.inner.archive
    }

    /// This install's secret and birthday.
    pub fn install(&self) -> &Install {
        &self.inner.install
    }

    /// What had to be recovered when this store was opened.
    pub fn recovered(&self) -> Recovered {
        self.inner.recovered
    }

    /// The implant's generation as it was when this store was opened.
    pub fn generation(&self) -> u64 {
        self.inner.generation
    }

    /// What sources have done to us, as far as it is not over; at most `limit`, those first that are remembered
    /// longest.
    pub fn sources(&self, limit: usize) -> Result<Vec<SourceState>, StoreError> {
        self.look_up(|db| crate::reader::sources(db, self.inner.clock.now(), limit))
    }

    /// Names a connection that was just accepted. Ids grow with time and are never given twice.
    pub fn accept(&self, source: SocketAddr, destination: SocketAddr) -> Attribution {
        let at = self.inner.clock.now();
        // 53 bits of microseconds and 11 to spare: positive as SQLite's integer until the year 2112.
        let wanted = at.0 << 11;
        let next = |latest: u64| Some(wanted.max(latest + 1));
        let before = self.inner.latest_id.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        let before = before.unwrap_or_else(|latest| latest);
        Attribution { connection: ConnectionId(wanted.max(before + 1)), at, source, destination }
    }

    /// Puts a batch in the queue for the journal; waits while the queue is full, and drops nothing.
    pub async fn append(&self, batch: Batch) {
        if let Err(waiting) = self.try_append(batch) {
            self.append_waiting(waiting).await;
        }
    }

    /// As [`Self::append`], but gives the batch back, to be appended later, instead of waiting.
    pub fn try_append(&self, batch: Batch) -> Result<(), Waiting> {
        self.try_packed(pack(batch))
    }

    /// Appends what [`Self::try_append`] gave back; waits while the queue is full.
    pub async fn append_waiting(&self, waiting: Waiting) {
        let mut next = self.try_packed(*waiting.0);
        while let Err(back) = next {
            tokio::time::sleep(Duration::from_millis(2)).await;
            next = self.try_packed(*back.0);
        }
    }

    fn try_packed(&self, item: Item) -> Result<(), Waiting> {
        match self.inner.queue.try_send(item) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(item)) => Err(Waiting(Box::new(item))),
            Err(TrySendError::Disconnected(_)) => {
                lost();
                Ok(())
            }
        }
    }

    /// As [`Self::append`], for threads: blocks while the queue is full.
    pub fn append_blocking(&self, batch: Batch) {
        self.send(pack(batch));
    }

    /// Puts an event on record that belongs to no connection, as `sensor.started` or `sample.triaged`.
    /// Blocks while the queue is full.
    pub fn publish(&self, event: Event) {
        self.send(Item::Event { at: self.inner.clock.now(), event, door: None });
    }

    /// Puts an event on record about a visitor who was not let in, unless the queue is full; says whether it did.
    pub fn try_publish_at_door(&self, source: SocketAddr, destination: SocketAddr, event: Event) -> bool {
        self.try_packed(Item::Event { at: self.inner.clock.now(), event, door: Some((source, destination)) })
            .is_ok()
    }

    /// Events as they are committed, in order, for a live display: one that is too slow misses some. A sink that
    /// may miss nothing reads by cursor with [`Reader::events`](crate::Reader::events).
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Published>> {
        self.inner.live.subscribe()
    }

    /// How far the journal is: changes once a commit, however many events it holds. What wakes a sink.
    pub fn committed(&self) -> watch::Receiver<Committed> {
        self.inner.committed.clone()
    }

    /// The process is about to end: from now on a journal that cannot be written is tried for two seconds a group
    /// of events, then given up, loudly. Until then it is tried for ever.
    pub fn ending(&self) {
        self.inner.ending.store(true, Ordering::Relaxed);
    }

    /// Whether the journal cannot be written at present (the disk is full?). Nothing is lost meanwhile: the queue
    /// fills and senders wait. Whoever accepts should turn visitors away until it is over.
    pub fn is_stalled(&self) -> bool {
        self.inner.stalled.load(Ordering::Relaxed)
    }

    /// Blocks until everything appended before is on the disk.
    pub fn flush(&self) {
        let (done, wait) = mpsc::sync_channel(1);
        self.send(Item::Flush(done));
        let _ = wait.recv();
    }

    /// A place in the spool for one upload.
    pub fn slot(&self, attribution: &Attribution, upload: u32, origin: Origin) -> Result<Slot, StoreError> {
        self.inner.spool.take(attribution, upload, origin)
    }

    /// Whether the sample is on record and need not be kept again: its bytes are here, whole or as a difference whose
    /// base is here, or were given up on purpose.
    pub fn knows(&self, id: SampleId) -> Result<bool, StoreError> {
        let row = self.look_up(|db| {
            let mut statement = db.prepare_cached("SELECT 1 FROM sample WHERE sha256 = ?")?;
            statement.exists([id.0])
        })?;
        Ok(row && kept::is_settled(&self.inner.dir, id))
    }

    /// Puts a capture of a sample that is already here on record. `slot` is used again once that is on the disk.
    pub fn keep_known(&self, capture: Capture, slot: Slot) {
        self.send_capture(capture, None, Some(slot), None);
    }

    /// Makes a sample of the bytes in `slot`: hashes it, puts it in its place, then on record; returns when all
    /// of that is on the disk. On an error the bytes stay in the spool, and the next start tries again.
    pub fn keep_new(&self, capture: Capture, mut slot: Slot) -> Result<(), StoreError> {
        let spool = self.inner.dir.join("spool");
        let hashes = hash_rest(|visit| slot.each_piece(0, visit)).map_err(StoreError::io("read", &spool))?;
        slot.place(&self.inner.dir, capture.sha256)?;
        let (done, wait) = mpsc::sync_channel(1);
        self.send_capture(capture, Some(hashes), None, Some(done));
        if wait.recv().is_ok() {
            slot.forget();
        }
        Ok(())
    }

    /// Bytes of disk that are free for us, or `None` where the system does not say.
    pub fn free_bytes(&self) -> Option<u64> {
        let stat = rustix::fs::statvfs(&self.inner.dir).ok()?;
        Some(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Keeps the transcript of a connection that hit a fault of ours, in `crashes/`; gives its path.
    pub fn keep_crash(&self, id: ConnectionId, transcript: &str) -> Result<PathBuf, StoreError> {
        let path = self.inner.dir.join("crashes").join(format!("{id}.txt"));
        fs::write(&path, transcript).map_err(StoreError::io("write", &path))?;
        Ok(path)
    }

    fn send_capture(
        &self,
        capture: Capture,
        hashes: Option<Hashes>,
        slot: Option<Slot>,
        done: Option<SyncSender<()>>,
    ) {
        let item = CaptureItem { capture, at: self.inner.clock.now(), hashes, recovered: false, slot, done };
        self.send(Item::Capture(Box::new(item)));
    }

    fn send(&self, item: Item) {
        if self.inner.queue.send(item).is_err() {
            lost();
        }
    }

    fn look_up<T>(&self, question: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let db = self.inner.lookup.lock().unwrap_or_else(PoisonError::into_inner);
        question(&db).map_err(StoreError::journal(&schema::path(&self.inner.dir)))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
        let _ = self.queue.send(Item::Stop);
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the journal's thread ended by a fault; what it had not written is lost");
        }
        self.spool.trim();
    }
}

fn pack(batch: Batch) -> Item {
    // Compressed here, on the sender's core, so that the one journal thread has less to do.
    let text = batch.closing.as_ref().and_then(|closing| closing.transcript.as_deref());
    let transcript = text.map(transcripts::pack);
    Item::Batch { batch, transcript }
}

fn lost() {
    tracing::error!("the journal's thread is gone: an event is lost");
}

/// MD5 and SHA-1 of what `pieces` gives.
pub(crate) fn hash_rest<E>(
    pieces: impl FnOnce(&mut dyn FnMut(&[u8]) -> Result<(), E>) -> Result<(), E>,
) -> Result<Hashes, E> {
    let (mut md5, mut sha1) = (Md5::new(), Sha1::new());
    pieces(&mut |piece| {
        md5.update(piece);
        sha1.update(piece);
        Ok(())
    })?;
    Ok(Hashes { md5: md5.finalize().into(), sha1: sha1.finalize().into() })
}

/// Longer than somebody who looks has the lock.
const LOOK: Duration = Duration::from_millis(20);

/// Whether somebody holds the lock of `dir`.
pub(crate) fn is_locked(dir: &Path) -> bool {
    // Shared, and given back at once: two that look at the same time do not see each other.
    let file = File::open(dir.join("lock"));
    file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

fn take_lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join("lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(StoreError::io("create", &path))?;
    for last in [false, false, true] {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            // It may be only somebody who looks whether it is held ([`is_locked`]).
            Err(TryLockError::WouldBlock) if !last => thread::sleep(LOOK),
            Err(TryLockError::WouldBlock) => break,
            Err(TryLockError::Error(error)) => return Err(StoreError::io("lock", &path)(error)),
        }
    }
    Err(StoreError::Locked { path: dir.to_owned() })
}
