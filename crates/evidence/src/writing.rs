//! The journal's thread: takes what waits, commits it together, tells it.

use crate::published::Published;
use crate::spool::Spool;
use crate::store::Committed;
use crate::writer::{Item, Writer};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, watch};

/// Items that become one transaction. What waits while one is committed becomes the next: an idle journal
/// commits at once, a busy one in groups.
const GROUP_MAX: usize = 1024;
/// Shortest time from one commit to the next. A commit costs the same for one event as for fifty, so under a
/// flood of visitors those of a few milliseconds go together; after a pause the first one goes at once.
const BETWEEN: Duration = Duration::from_millis(5);
/// Without work for this long, the WAL is written back and the spool's free slots are given up.
const IDLE: Duration = Duration::from_millis(1500);
/// How long a journal that cannot be written is left alone before the next try.
const RETRY: Duration = Duration::from_millis(200);
/// Tries after which a group of events that cannot be written holds up the end of the process no longer.
const LAST_TRIES: u32 = 10;

/// Who learns of a commit.
pub(crate) struct Told {
    pub(crate) live: broadcast::Sender<Arc<Published>>,
    pub(crate) committed: watch::Sender<Committed>,
    /// Set while the journal cannot be written.
    pub(crate) stalled: Arc<AtomicBool>,
    /// Set when the process is about to end.
    pub(crate) ending: Arc<AtomicBool>,
}

/// Starts the thread. It ends after [`Item::Stop`], or when every sender is gone.
pub(crate) fn start(
    writer: Writer,
    items: Receiver<Item>,
    told: Told,
    spool: Arc<Spool>,
) -> std::io::Result<JoinHandle<()>> {
    let writing = Writing { writer, told, spool, dirty: true };
    std::thread::Builder::new().name("journal".to_owned()).spawn(move || writing.run(&items))
}

struct Writing {
    writer: Writer,
    told: Told,
    spool: Arc<Spool>,
    /// Whether anything was written since the WAL was last written back.
    dirty: bool,
}

impl Writing {
    fn run(mut self, items: &Receiver<Item>) {
        let mut group = Vec::new();
        let mut committed_at: Option<Instant> = None;
        loop {
            let first = if self.dirty {
                match items.recv_timeout(IDLE) {
                    Ok(item) => item,
                    Err(RecvTimeoutError::Timeout) => {
                        self.rest();
                        continue;
                    }
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            } else {
                let Ok(item) = items.recv() else { break };
                item
            };
            group.push(first);
            let since = committed_at.map_or(BETWEEN, |at| at.elapsed());
            if let Some(rest) = BETWEEN.checked_sub(since) {
                std::thread::sleep(rest);
            }
            group.extend(items.try_iter().take(GROUP_MAX - 1));
            let stop = group.iter().any(|item| matches!(item, Item::Stop));
            self.commit(&mut group);
            committed_at = Some(Instant::now());
            self.spool.trim_older(IDLE);
            if stop {
                break;
            }
        }
        self.rest();
    }

    /// Commits a group, trying again until it is in; one item that the journal refuses for good is left out.
    fn commit(&mut self, group: &mut Vec<Item>) {
        self.dirty = true;
        let mut told_at: Option<Instant> = None;
        for tries in 1u32.. {
            let tell = self.told.live.receiver_count() > 0;
            match self.writer.commit(group, tell) {
                Ok(published) => {
                    self.told.stalled.store(false, Ordering::Relaxed);
                    for event in published {
                        let _ = self.told.live.send(event);
                    }
                    return self.settle(group);
                }
                Err(error) if !passes(&error) => return self.commit_one_by_one(group),
                Err(error) => {
                    if told_at.is_none_or(|at| at.elapsed() > Duration::from_secs(10)) {
                        tracing::error!(%error, waiting = group.len(), "the journal cannot be written; visitors wait");
                        told_at = Some(Instant::now());
                    }
                    self.told.stalled.store(true, Ordering::Relaxed);
                }
            }
            if self.told.ending.load(Ordering::Relaxed) && tries >= LAST_TRIES {
                tracing::error!(lost = group.len(), "the journal could not be written before the end");
                return group.clear();
            }
            std::thread::sleep(RETRY);
        }
    }

    /// Only a defect of ours gets here: better one item lost, loudly, than all behind it.
    fn commit_one_by_one(&mut self, group: &mut Vec<Item>) {
        for item in group.drain(..) {
            let mut one = vec![item];
            match self.writer.commit(&one, self.told.live.receiver_count() > 0) {
                Ok(published) => {
                    for event in published {
                        let _ = self.told.live.send(event);
                    }
                    self.settle(&mut one);
                }
                Err(error) => {
                    tracing::error!(%error, item = ?one, "the journal refuses an item; it is left out")
                }
            }
        }
    }

    /// What waited for the commit.
    fn settle(&mut self, group: &mut Vec<Item>) {
        let captures = group.iter().filter(|item| matches!(item, Item::Capture(_))).count() as u64;
        let seq = self.writer.seq();
        self.told.committed.send_if_modified(|committed| {
            let grown = committed.seq != seq;
            *committed = Committed { seq, captures: committed.captures + captures };
            grown
        });
        for item in group.drain(..) {
            match item {
                Item::Capture(mut capture) => {
                    if let Some(slot) = capture.slot.take() {
                        slot.recycle();
                    }
                    if let Some(done) = capture.done.take() {
                        let _ = done.send(());
                    }
                }
                Item::Flush(done) => {
                    // A checkpoint syncs the WAL: all commits before it, also those that were not synced.
                    self.checkpoint("PASSIVE");
                    let _ = done.send(());
                }
                _ => {}
            }
        }
    }

    fn rest(&mut self) {
        // So that an idle honeypot holds on the disk what it knows, and nothing more.
        self.checkpoint("TRUNCATE");
        self.spool.trim();
        self.dirty = false;
    }

    fn checkpoint(&self, kind: &str) {
        let sql = format!("PRAGMA wal_checkpoint({kind})");
        if let Err(error) = self.writer.db().query_row(&sql, [], |_| Ok(())) {
            tracing::warn!(%error, "the journal's WAL could not be written back; tried again later");
        }
    }
}

/// Whether the same transaction may succeed later: nothing is wrong with it, but with the disk.
fn passes(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode as Code;
    matches!(
        error.sqlite_error_code(),
        Some(
            Code::DiskFull
                | Code::SystemIoFailure
                | Code::DatabaseBusy
                | Code::DatabaseLocked
                | Code::ReadOnly
                | Code::CannotOpen
                | Code::OutOfMemory
                | Code::PermissionDenied
                | Code::OperationInterrupted
        )
    )
}
