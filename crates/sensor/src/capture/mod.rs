//! Payloads on their way to the disk, while they arrive.
//!
//! The connection's task only copies decoded bytes into an upload's buffer; a few threads hash and write them.
//! An upload is worked on by one thread at a time and stands in the queue at most once, so what arrives while it
//! is being written goes with the next write: an idle thread takes bytes at once, a busy one in larger pieces.
//! A full buffer makes the task wait before it reads more ([`Upload::room`]); nothing is ever dropped.
//!
//! The first thread that runs out of work lingers for a millisecond at a time before it sleeps for good: waking
//! it for each chunk of a fast upload would cost more than the chunk. So what a visitor has been answered for is
//! in the kernel's hands, safe from a `kill -9`, about a millisecond later.

mod seal;
#[cfg(test)]
mod tests;
mod work;

use roridula_evidence::{Attribution, Store};
use roridula_proto::event::{ByteRange, Origin, UploadState};
use seal::Sealer;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use work::{Space, Work};

/// Bytes of one upload that wait at most before its connection reads on. With what one read may add and a
/// thread has in its hands this stays under 64 KiB for an upload.
const HELD_MAX: usize = 24 * 1024;
/// Bytes for which a thread is woken though another one will look soon.
const HURRY: usize = 12 * 1024;
/// Uploads waiting for which another thread is woken.
const QUEUE_HURRY: usize = 4;
/// How long the lingering thread waits before it looks again.
const LINGER: Duration = Duration::from_millis(1);
/// Without work for this long it sleeps until woken.
const LINGER_MAX: Duration = Duration::from_millis(20);

/// The threads that hash, write and seal.
#[derive(Debug)]
pub(crate) struct Capture {
    crew: Arc<Crew>,
    /// Taken when they are to finish.
    running: Mutex<Option<(Vec<JoinHandle<()>>, Sealer)>>,
}

/// What tasks and threads share.
#[derive(Debug)]
struct Crew {
    queue: Mutex<Queue>,
    woken: Condvar,
    threads: usize,
}

#[derive(Debug, Default)]
struct Queue {
    ready: VecDeque<Arc<Upload>>,
    asleep: usize,
    lingering: bool,
    stop: bool,
}

/// One upload.
#[derive(Debug)]
pub(crate) struct Upload {
    crew: Arc<Crew>,
    pending: Mutex<Pending>,
    room: Notify,
    /// Locked by the one thread that works on it.
    work: Mutex<Work>,
}

#[derive(Debug, Default)]
struct Pending {
    bytes: Vec<u8>,
    pieces: Vec<Piece>,
    /// Over: how it ended, or that nothing of it is to be kept.
    end: Option<Option<End>>,
    /// Bytes here and in the hands of a thread.
    held: usize,
    /// In the queue, or being worked on.
    busy: bool,
}

/// Bytes for one place in the upload.
#[derive(Clone, Copy, Debug)]
struct Piece {
    offset: u64,
    len: usize,
    /// For a place that is taken: compare.
    again: bool,
}

/// How an upload ended.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub(crate) state: UploadState,
    pub(crate) total: Option<u64>,
    /// The bytes that were handed over.
    pub(crate) ranges: Vec<ByteRange>,
}

impl Capture {
    /// Starts `threads` threads that hash and write, and one that seals.
    pub(crate) fn start(store: &Store, threads: usize, reserve_bytes: u64) -> std::io::Result<Self> {
        let threads = threads.max(1);
        let crew = Arc::new(Crew { queue: Mutex::default(), woken: Condvar::new(), threads });
        let sealer = Sealer::start(store.clone())?;
        let space = Arc::new(Space::new(reserve_bytes));
        let spawn = |number: usize| {
            let (crew, store, sealing, space) =
                (Arc::clone(&crew), store.clone(), sealer.entrance(), Arc::clone(&space));
            let run = move || crew.run(&store, &sealing, &space);
            std::thread::Builder::new().name(format!("capture-{number}")).spawn(run)
        };
        let threads = (0..threads).map(spawn).collect::<std::io::Result<_>>()?;
        Ok(Self { crew, running: Mutex::new(Some((threads, sealer))) })
    }

    /// Whether every thread lives. A dead one means uploads that nobody writes.
    pub(crate) fn is_working(&self) -> bool {
        let running = lock(&self.running);
        running.as_ref().is_some_and(|(threads, sealer)| {
            sealer.is_working() && threads.iter().all(|thread| !thread.is_finished())
        })
    }

    /// An upload begins.
    pub(crate) fn begin(&self, attribution: Attribution, upload: u32, origin: Origin) -> Arc<Upload> {
        Arc::new(Upload {
            crew: Arc::clone(&self.crew),
            pending: Mutex::default(),
            room: Notify::new(),
            work: Mutex::new(Work::new(attribution, upload, origin)),
        })
    }

    /// Waits until every upload that has ended is sealed and on record. Blocks.
    pub(crate) fn finish(&self) {
        let Some((threads, sealer)) = lock(&self.running).take() else { return };
        lock(&self.crew.queue).stop = true;
        self.crew.woken.notify_all();
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!(
                    "a capture thread ended by a fault; what it held is recovered at the next start"
                );
            }
        }
        sealer.finish();
    }
}

impl Upload {
    /// Hands bytes over; gives how many are waiting now.
    pub(crate) fn push(self: &Arc<Self>, offset: u64, bytes: &[u8], again: bool) -> usize {
        let mut pending = lock(&self.pending);
        pending.bytes.extend_from_slice(bytes);
        pending.pieces.push(Piece { offset, len: bytes.len(), again });
        let before = pending.held;
        pending.held += bytes.len();
        let held = pending.held;
        let was_busy = std::mem::replace(&mut pending.busy, true);
        drop(pending);
        self.announce(was_busy, before < HURRY && held >= HURRY);
        held
    }

    /// No more will come: seal what is here, or forget it where there is no `end`.
    pub(crate) fn end(self: &Arc<Self>, end: Option<End>) {
        let mut pending = lock(&self.pending);
        pending.end = Some(end);
        let was_busy = std::mem::replace(&mut pending.busy, true);
        drop(pending);
        self.announce(was_busy, true);
    }

    /// Waits until the buffer has room for what one more read may bring.
    pub(crate) async fn room(&self) {
        loop {
            let room = self.room.notified();
            if !self.is_full() {
                return;
            }
            room.await;
        }
    }

    /// Whether the task should wait for [`Self::room`] before it reads on.
    pub(crate) fn is_full(&self) -> bool {
        lock(&self.pending).held >= HELD_MAX
    }

    fn announce(self: &Arc<Self>, was_busy: bool, hurry: bool) {
        if was_busy && !hurry {
            return;
        }
        let mut queue = lock(&self.crew.queue);
        if !was_busy {
            queue.ready.push_back(Arc::clone(self));
        }
        // Somebody awake will look without being woken, unless it is much or everybody sleeps.
        let asleep = queue.asleep == self.crew.threads;
        let many = queue.ready.len() >= QUEUE_HURRY;
        drop(queue);
        if asleep || hurry || many {
            self.crew.woken.notify_one();
        }
    }
}

impl Crew {
    fn run(&self, store: &Store, sealing: &seal::Entrance, space: &Space) {
        let mut worked_at = Instant::now();
        let mut queue = lock(&self.queue);
        loop {
            if let Some(upload) = queue.ready.pop_front() {
                drop(queue);
                self.work(&upload, store, sealing, space);
                worked_at = Instant::now();
                queue = lock(&self.queue);
            } else if queue.stop {
                return;
            } else if !queue.lingering && worked_at.elapsed() < LINGER_MAX {
                queue.lingering = true;
                queue = self.woken.wait_timeout(queue, LINGER).unwrap_or_else(PoisonError::into_inner).0;
                queue.lingering = false;
            } else {
                queue.asleep += 1;
                queue = self.woken.wait(queue).unwrap_or_else(PoisonError::into_inner);
                queue.asleep -= 1;
            }
        }
    }

    fn work(&self, upload: &Arc<Upload>, store: &Store, sealing: &seal::Entrance, space: &Space) {
        let mut pending = lock(&upload.pending);
        let mut bytes = std::mem::take(&mut pending.bytes);
        let mut pieces = std::mem::take(&mut pending.pieces);
        let end = pending.end.take();
        drop(pending);

        let mut work = lock(&upload.work);
        work.write(store, space, &bytes, &pieces);
        match end {
            Some(Some(end)) => work.finish(store, sealing, end),
            Some(None) => work.forget(),
            None => {}
        }
        drop(work);

        let taken = bytes.len();
        let mut pending = lock(&upload.pending);
        let was_full = pending.held >= HELD_MAX;
        pending.held -= taken;
        if pending.bytes.is_empty() && pending.end.is_none() {
            // Nothing came meanwhile: the buffers go back to be filled again.
            bytes.clear();
            pieces.clear();
            pending.bytes = bytes;
            pending.pieces = pieces;
            pending.busy = false;
        } else {
            lock(&self.queue).ready.push_back(Arc::clone(upload));
        }
        let has_room = was_full && pending.held < HELD_MAX;
        drop(pending);
        if has_room {
            upload.room.notify_one();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
