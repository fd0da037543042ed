//! Where uploads lie while they arrive.
//!
//! A slot is a pair of files: `N.data`, the bytes at their true offsets, and `N.note`, one line of JSON that says
//! whose they are and which ranges of the data are real. Slots are used again: writing over a file that has its
//! blocks and pages costs a sixth of writing a new one. The note is what makes that safe: stale bytes of an
//! earlier upload are never inside its ranges, so whatever moment the process is killed at, the next start knows
//! exactly what arrived. Nothing is synced while bytes arrive: what was written survives the death of the process
//! in the kernel's cache; what a power cut takes is what the kernel had not written back yet.

use crate::published::Attribution;
use crate::samples::SampleId;
use crate::{StoreError, ranges};
use roridula_proto::connection::ConnectionId;
use roridula_proto::event::{ByteRange, Origin};
use roridula_proto::time::WallClock;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Free slots that are kept warm; more are given back to the file system at once.
const WARM_MAX: usize = 64;

/// The directory of slots.
#[derive(Debug)]
pub(crate) struct Spool {
    dir: PathBuf,
    next: AtomicU64,
    free: Mutex<Vec<Files>>,
}

#[derive(Debug)]
struct Files {
    number: u64,
    data: File,
    note: File,
    /// Since when nobody has used them.
    idle_since: Instant,
}

/// What a note says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    /// The connection's id, as text.
    pub connection: String,
    /// When it was accepted, microseconds since 1970.
    pub at: u64,
    /// The visitor.
    pub source: SocketAddr,
    /// The address of ours.
    pub destination: SocketAddr,
    /// The upload's number.
    pub upload: u32,
    /// By which road.
    pub origin: Origin,
    /// Which bytes of the data are real.
    pub ranges: Vec<ByteRange>,
    /// Set once the data is on its way to, or at, its final place.
    pub sealed: Option<String>,
}

impl Note {
    /// Whose bytes these are.
    pub(crate) fn attribution(&self) -> Option<Attribution> {
        let connection: ConnectionId = self.connection.parse().ok()?;
        Some(Attribution {
            connection,
            at: WallClock(self.at),
            source: self.source,
            destination: self.destination,
        })
    }
}

impl Spool {
    /// A spool in `dir` whose slots are numbered from `first` (after those that recovery had to leave).
    pub(crate) fn new(dir: PathBuf, first: u64) -> Arc<Self> {
        Arc::new(Self { dir, next: AtomicU64::new(first), free: Mutex::default() })
    }

    /// A slot for one upload.
    pub(crate) fn take(
        self: &Arc<Self>,
        attribution: &Attribution,
        upload: u32,
        origin: Origin,
    ) -> Result<Slot, StoreError> {
        let warm = self.lock().pop();
        let files = match warm {
            Some(files) => files,
            None => self.make()?,
        };
        let note = Note {
            connection: attribution.connection.to_string(),
            at: attribution.at.0,
            source: attribution.source,
            destination: attribution.destination,
            upload,
            origin,
            ranges: Vec::new(),
            sealed: None,
        };
        let mut slot = Slot { spool: Arc::clone(self), files: Some(files), note };
        slot.write_note().map_err(StoreError::io("write", &slot.path("note")))?;
        Ok(slot)
    }

    fn make(&self) -> Result<Files, StoreError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let create = |kind: &str| {
            let path = self.dir.join(format!("{number}.{kind}"));
            let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path);
            file.map_err(StoreError::io("create", &path))
        };
        let note = create("note")?;
        let data = create("data").inspect_err(|_| {
            let _ = fs::remove_file(self.dir.join(format!("{number}.note")));
        })?;
        Ok(Files { number, data, note, idle_since: Instant::now() })
    }

    /// Gives the space of slots that were free for `age` back to the file system: under steady traffic there is no
    /// idle moment in which all could go.
    pub(crate) fn trim_older(&self, age: Duration) {
        let old = {
            let mut free = self.lock();
            // Used as a stack, so that the oldest stand first.
            let fresh = free.partition_point(|files| files.idle_since.elapsed() >= age);
            free.drain(..fresh).collect::<Vec<_>>()
        };
        for files in old {
            self.discard(files);
        }
    }

    /// Gives the space of all free slots back to the file system.
    pub(crate) fn trim(&self) {
        let free = std::mem::take(&mut *self.lock());
        for files in free {
            self.discard(files);
        }
    }

    fn discard(&self, files: Files) {
        for kind in ["note", "data"] {
            let _ = fs::remove_file(self.dir.join(format!("{}.{kind}", files.number)));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Files>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One upload's place in the spool. Dropping it leaves the files for the next start to recover;
/// [`Slot::recycle`] gives them up.
#[derive(Debug)]
pub struct Slot {
    spool: Arc<Spool>,
    // None once recycled or moved away.
    files: Option<Files>,
    note: Note,
}

impl Slot {
    /// Writes `bytes` at their place in the upload. On an error nothing is claimed: the range stays missing.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let files = self.files.as_ref().ok_or_else(gone)?;
        files.data.write_all_at(bytes, offset)?;
        // Data first, then the note that claims it.
        let before = self.note.ranges.clone();
        ranges::add(&mut self.note.ranges, offset, offset.saturating_add(bytes.len() as u64));
        self.write_note().inspect_err(|_| self.note.ranges = before)
    }

    /// Reads back bytes that were written.
    pub fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.files.as_ref().ok_or_else(gone)?.data.read_exact_at(buffer, offset)
    }

    /// Which bytes of the upload are here.
    pub fn ranges(&self) -> &[ByteRange] {
        &self.note.ranges
    }

    /// How many bytes of the upload are here.
    pub fn len(&self) -> u64 {
        ranges::total(&self.note.ranges)
    }

    /// Whether nothing is here.
    pub fn is_empty(&self) -> bool {
        self.note.ranges.is_empty()
    }

    /// Whether all of `start..end` is here.
    pub fn holds(&self, start: u64, end: u64) -> bool {
        ranges::holds(&self.note.ranges, start, end)
    }

    /// Whether nothing of `start..end` is here.
    pub fn lacks(&self, start: u64, end: u64) -> bool {
        ranges::lacks(&self.note.ranges, start, end)
    }

    /// Calls `visit` with the present bytes in order, from the one number `skip` among them.
    pub fn each_piece(&self, skip: u64, visit: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let files = self.files.as_ref().ok_or_else(gone)?;
        each_piece(&files.data, &self.note.ranges, skip, visit)
    }

    /// Gives the files up for the next upload: what is in them is kept elsewhere, or was nothing.
    pub fn recycle(mut self) {
        let Some(mut files) = self.files.take() else { return };
        let mut free = self.spool.lock();
        if free.len() < WARM_MAX && files.note.write_all_at(b"free\n", 0).is_ok() {
            files.idle_since = Instant::now();
            free.push(files);
        } else {
            drop(free);
            self.spool.discard(files);
        }
    }

    /// Moves the data, cut to exactly the present bytes, to the sample's place, durably. The note stays, sealed,
    /// until [`Slot::forget`]: a kill in between is made good at the next start.
    pub(crate) fn place(&mut self, dir: &Path, id: SampleId) -> Result<(), StoreError> {
        self.note.sealed = Some(id.to_string());
        self.write_note().map_err(StoreError::io("write", &self.path("note")))?;
        let files = self.files.as_ref().ok_or_else(gone).map_err(StoreError::io("use", &self.spool.dir))?;
        let path = self.path("data");
        place(&files.data, &path, &self.note.ranges, dir, id)
    }

    /// Removes what is left in the spool after [`Slot::place`] and the journal's commit.
    pub(crate) fn forget(mut self) {
        if let Some(files) = self.files.take() {
            self.spool.discard(files);
        }
    }

    fn path(&self, kind: &str) -> PathBuf {
        let number = self.files.as_ref().map_or(0, |files| files.number);
        self.spool.dir.join(format!("{number}.{kind}"))
    }

    fn write_note(&mut self) -> io::Result<()> {
        let files = self.files.as_ref().ok_or_else(gone)?;
        let mut line = serde_json::to_vec(&self.note)?;
        // Only the first line counts: a longer earlier note may stick out behind it.
        line.push(b'\n');
        files.note.write_all_at(&line, 0)
    }
}

fn gone() -> io::Error {
    io::Error::other("this spool slot was given up")
}

/// Calls `visit` with the bytes of `ranges` in order, leaving out the first `skip` of them.
pub(crate) fn each_piece(
    data: &File,
    ranges: &[ByteRange],
    mut skip: u64,
    visit: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    for range in ranges {
        let left_out = skip.min(range.len());
        skip -= left_out;
        let mut at = range.start + left_out;
        while at < range.end {
            let len = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(buffer.len());
            data.read_exact_at(&mut buffer[..len], at)?;
            visit(&buffer[..len])?;
            at += len as u64;
        }
    }
    Ok(())
}

/// Makes the sample `id` of the present bytes of `data`, which lies at `path`: exact length, mode 0400, synced,
/// in its place, the place synced.
pub(crate) fn place(
    data: &File,
    path: &Path,
    present: &[ByteRange],
    dir: &Path,
    id: SampleId,
) -> Result<(), StoreError> {
    let to = id.path(dir);
    let folder = to.parent().unwrap_or(dir);
    make_folder(dir, folder)?;
    let plain = matches!(present, [only] if only.start == 0);
    if plain {
        data.set_len(ranges::total(present)).map_err(StoreError::io("cut", path))?;
        finish(data, path, &to)?;
    } else {
        // Holes: the present ranges are copied together, so that the file holds no byte that did not come.
        let copy = path.with_extension("joined");
        let _ = fs::remove_file(&copy);
        let joined = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&copy)
            .map_err(StoreError::io("create", &copy))?;
        let mut at = 0;
        each_piece(data, present, 0, &mut |piece| {
            joined.write_all_at(piece, at)?;
            at += piece.len() as u64;
            Ok(())
        })
        .map_err(StoreError::io("join", &copy))?;
        finish(&joined, &copy, &to)?;
    }
    sync_folder(folder)
}

pub(crate) fn finish(file: &File, path: &Path, to: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::Permissions::from_mode(0o400);
    file.set_permissions(mode).map_err(StoreError::io("protect", path))?;
    // The bytes must be on the disk before the name is, and the name before anybody is told.
    file.sync_all().map_err(StoreError::io("sync", path))?;
    fs::rename(path, to).map_err(StoreError::io("rename to", to))
}

pub(crate) fn make_folder(dir: &Path, folder: &Path) -> Result<(), StoreError> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(folder).map_err(StoreError::io("create", folder))?;
    // New names above the sample must survive too.
    for above in folder.ancestors().skip(1).take_while(|above| above.starts_with(dir)) {
        sync_folder(above)?;
    }
    Ok(())
}

pub(crate) fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    File::open(folder).and_then(|file| file.sync_all()).map_err(StoreError::io("sync", folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whose() -> Attribution {
        Attribution {
            connection: ConnectionId(9),
            at: WallClock(5),
            source: "192.0.2.1:1".parse().unwrap(),
            destination: "192.0.2.2:445".parse().unwrap(),
        }
    }

    #[test]
    fn a_recycled_slot_never_gives_out_stale_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::new(dir.path().to_owned(), 0);
        let mut slot = spool.take(&whose(), 1, Origin::DoublePulsar).unwrap();
        slot.write(0, &[b'a'; 100]).unwrap();
        slot.recycle();
        let mut slot = spool.take(&whose(), 2, Origin::DoublePulsar).unwrap();
        assert!(slot.is_empty() && slot.lacks(0, 100));
        slot.write(20, b"new").unwrap();
        slot.write(0, b"old").unwrap();
        let id = SampleId([3; 32]);
        slot.place(dir.path(), id).unwrap();
        assert_eq!(fs::read(id.path(dir.path())).unwrap(), b"oldnew");
        slot.forget();
        assert!(!dir.path().join("0.data").exists() && !dir.path().join("0.note").exists());
    }

    #[test]
    fn the_note_follows_every_write_and_trim_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::new(dir.path().to_owned(), 7);
        let mut slot = spool.take(&whose(), 1, Origin::DoublePulsarRaw).unwrap();
        slot.write(4096, &[1; 10]).unwrap();
        slot.write(0, &[2; 10]).unwrap();
        let text = fs::read_to_string(dir.path().join("7.note")).unwrap();
        let note: Note = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(note.ranges, [ByteRange::from([0, 10]), ByteRange::from([4096, 4106])]);
        assert_eq!(note.attribution(), Some(whose()));
        slot.recycle();
        assert!(fs::read_to_string(dir.path().join("7.note")).unwrap().starts_with("free\n"));
        spool.trim();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
