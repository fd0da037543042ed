//! Changing how samples are kept: as differences, whole again, not at all.
//!
//! Each change makes the new file durable under its name before it removes the old one. A kill in between leaves
//! both, and the first change after the next start keeps the one that holds more: whole before difference before mark;
//! until then readers see that one.

use crate::kept::{Kept, kept, read_whole, rebuild};
use crate::samples::SampleId;
use crate::spool::{finish, make_folder, sync_folder};
use crate::{Reader, Refusal, Store, StoreError, difference, kept as keeping};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Bytes of disk before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Bytes that the sample's file had.
    pub before: u64,
    /// Bytes that its difference has.
    pub after: u64,
}

/// The samples of a data directory, as their one writer knows them.
#[derive(Debug)]
pub(crate) struct Archive {
    dir: PathBuf,
    /// How many samples are kept as differences from each base. Another process may have restored some of them
    /// meanwhile: never too few, which is what the bases need. `None` until somebody wants to change something: a
    /// look at every sample's folder must not hold up the start of the honeypot.
    dependants: Mutex<Option<HashMap<SampleId, u32>>>,
}

impl Archive {
    pub(crate) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), dependants: Mutex::new(None) }
    }

    /// For whoever changes how samples are kept. The first one removes what a kill left half done, and learns which
    /// samples others depend on.
    fn lock(&self) -> Result<File, StoreError> {
        let lock = lock(&self.dir)?;
        let mut dependants = self.dependants.lock().unwrap_or_else(PoisonError::into_inner);
        if dependants.is_none() {
            *dependants = Some(settle_all(&self.dir)?);
        }
        Ok(lock)
    }

    fn dependants(&self, base: SampleId) -> u32 {
        let dependants = self.dependants.lock().unwrap_or_else(PoisonError::into_inner);
        dependants.as_ref().and_then(|counts| counts.get(&base)).copied().unwrap_or(0)
    }

    fn count(&self, base: SampleId, change: i32) {
        let mut dependants = self.dependants.lock().unwrap_or_else(PoisonError::into_inner);
        // What nobody has counted yet will be counted as it is then.
        let Some(counts) = dependants.as_mut() else { return };
        let count = counts.entry(base).or_insert(0);
        *count = count.saturating_add_signed(change);
        if *count == 0 {
            counts.remove(&base);
        }
    }

    fn keep_as_difference(&self, id: SampleId, base: SampleId) -> Result<Saved, StoreError> {
        let refuse = |why| Err(StoreError::Refused { sample: id, why });
        let _lock = self.lock()?;
        if id == base {
            return refuse(Refusal::Itself);
        }
        let Kept::Whole { path } = kept(&self.dir, id)? else { return refuse(Refusal::NotWhole) };
        let Kept::Whole { path: base_path } = kept(&self.dir, base)? else {
            return refuse(Refusal::BaseNotWhole(base));
        };
        let needed = self.dependants(id);
        if needed > 0 {
            return refuse(Refusal::Needed(needed));
        }
        if size(&path)?.max(size(&base_path)?) > difference::BYTES_MAX {
            return refuse(Refusal::TooLarge(difference::BYTES_MAX));
        }
        let base_bytes = named(&base_path, base)?;
        let bytes = named(&path, id)?;
        let packed = difference::make(&bytes, base, &base_bytes).map_err(StoreError::io("pack", &path))?;
        let saved = Saved { before: bytes.len() as u64, after: packed.len() as u64 };
        if saved.after.saturating_mul(2) > saved.before {
            return refuse(Refusal::NoGain { before: saved.before, after: saved.after });
        }
        drop((bytes, base_bytes));
        let to = id.difference_path(&self.dir);
        put(&packed, &to, &path, |part| rebuild(&self.dir, id, part).map(drop))?;
        self.count(base, 1);
        remove(&path)?;
        Ok(saved)
    }

    fn forget_bytes(&self, id: SampleId) -> Result<u64, StoreError> {
        let _lock = self.lock()?;
        let needed = self.dependants(id);
        if needed > 0 {
            return Err(StoreError::Refused { sample: id, why: Refusal::Needed(needed) });
        }
        let (path, base) = match kept(&self.dir, id)? {
            Kept::Whole { path } => (Some(path), None),
            Kept::Difference { path, base } => (Some(path), Some(base)),
            Kept::Missing => (None, None),
            Kept::Forgotten => return Ok(0),
        };
        let mark = id.forgotten_path(&self.dir);
        make_folder(&self.dir, mark.parent().unwrap_or(&self.dir))?;
        put(&[], &mark, path.as_deref().unwrap_or(&self.dir), |_| Ok(()))?;
        let Some(path) = path else { return Ok(0) };
        let freed = size(&path)?;
        remove(&path)?;
        if let Some(base) = base {
            self.count(base, -1);
        }
        Ok(freed)
    }
}

impl Store {
    /// Keeps `sample` as its difference from `base`, a similar one that stays whole, and gives its own file up once
    /// the difference was read back from the disk and gave the same bytes. Works on the caller's thread, for some
    /// tenths of a second for 5 MB; captures and readers go on meanwhile. [`StoreError::Refused`] where it cannot
    /// be or does not pay.
    pub fn keep_as_difference(&self, sample: SampleId, base: SampleId) -> Result<Saved, StoreError> {
        self.archive().keep_as_difference(sample, base)
    }

    /// Gives up a sample's bytes and tells how many that were on the disk. Its record stays, and when the same bytes
    /// come again they are counted, not kept. [`StoreError::Refused`] where others are differences from it.
    pub fn forget_bytes(&self, sample: SampleId) -> Result<u64, StoreError> {
        self.archive().forget_bytes(sample)
    }

    /// How many samples are kept as differences from `base`.
    pub fn dependants(&self, base: SampleId) -> Result<u32, StoreError> {
        let _lock = self.archive().lock()?;
        Ok(self.archive().dependants(base))
    }

    /// Makes a sample that is kept as a difference whole again, bit-exact; says whether it was one.
    pub fn restore(&self, sample: SampleId) -> Result<bool, StoreError> {
        let _lock = self.archive().lock()?;
        let base = restore(self.dir(), sample)?;
        if let Some(base) = base {
            self.archive().count(base, -1);
        }
        Ok(base.is_some())
    }
}

impl Reader {
    /// As [`Store::restore`], also while a honeypot runs in the same directory; needs the right to write there.
    pub fn restore(&self, sample: SampleId) -> Result<bool, StoreError> {
        let _lock = lock(self.dir())?;
        restore(self.dir(), sample).map(|base| base.is_some())
    }
}

/// Makes `id` whole, under the lock; gives the base of the difference that it was.
fn restore(dir: &Path, id: SampleId) -> Result<Option<SampleId>, StoreError> {
    match kept(dir, id)? {
        Kept::Whole { .. } => Ok(None),
        Kept::Difference { path, base } => {
            let bytes = rebuild(dir, id, &path)?;
            put(&bytes, &id.path(dir), &path, |_| Ok(()))?;
            remove(&path)?;
            Ok(Some(base))
        }
        Kept::Forgotten | Kept::Missing => keeping::open(dir, id).map(|_| None),
    }
}

/// Who changes how samples are kept, in whatever process, does it alone.
fn lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join("samples");
    let folder = File::open(&path).map_err(StoreError::io("open", &path))?;
    folder.lock().map_err(StoreError::io("lock", &path))?;
    Ok(folder)
}

/// The bytes of the whole sample `id`, if they are those that its name says.
fn named(path: &Path, id: SampleId) -> Result<Vec<u8>, StoreError> {
    let bytes = read_whole(path)?;
    if SampleId(Sha256::digest(&bytes).into()) != id {
        return Err(StoreError::Damaged {
            path: path.to_owned(),
            what: "not the bytes of its name".to_owned(),
        });
    }
    Ok(bytes)
}

/// Puts a file with `bytes` at `to`, durably, or nothing at all: as `like` belongs to, and only if `check` finds
/// on the disk what it must.
fn put(
    bytes: &[u8],
    to: &Path,
    like: &Path,
    check: impl FnOnce(&Path) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut part = to.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let written = write(bytes, &part, like).and_then(|file| {
        check(&part)?;
        finish(&file, &part, to)
    });
    if written.is_err() {
        let _ = fs::remove_file(&part);
    }
    written?;
    sync_folder(to.parent().unwrap_or(to))
}

fn write(bytes: &[u8], part: &Path, like: &Path) -> Result<File, StoreError> {
    let _ = fs::remove_file(part);
    let mut file = File::create_new(part).map_err(StoreError::io("create", part))?;
    file.write_all(bytes).map_err(StoreError::io("write", part))?;
    // The administrator restores, the honeypot has to read.
    let owner = |of: fs::Metadata| (of.uid(), of.gid());
    let wanted = fs::metadata(like).map(owner).map_err(StoreError::io("look at", like))?;
    if file.metadata().map(owner).map_err(StoreError::io("look at", part))? != wanted {
        fchown(&file, Some(wanted.0), Some(wanted.1)).map_err(StoreError::io("give away", part))?;
    }
    Ok(file)
}

fn remove(path: &Path) -> Result<(), StoreError> {
    fs::remove_file(path).map_err(StoreError::io("remove", path))
}

fn size(path: &Path) -> Result<u64, StoreError> {
    fs::metadata(path).map(|file| file.len()).map_err(StoreError::io("look at", path))
}

fn entries(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect()
}

/// Looks at every file below `samples/` once; gives how many samples are differences from each base.
fn settle_all(dir: &Path) -> Result<HashMap<SampleId, u32>, StoreError> {
    let mut dependants = HashMap::new();
    let top = dir.join("samples");
    for outer in entries(&top).map_err(StoreError::io("list", &top))? {
        for folder in entries(&outer).unwrap_or_default() {
            // A folder that is not ours must not keep the rest from its order.
            for path in entries(&folder).unwrap_or_default() {
                if let Some(base) = settle(dir, &path) {
                    *dependants.entry(base).or_insert(0) += 1;
                }
            }
        }
    }
    Ok(dependants)
}

/// Looks at one file below `samples/` after a start; gives the base, if it is a difference that counts.
fn settle(dir: &Path, path: &Path) -> Option<SampleId> {
    let kind = path.extension()?.to_str()?;
    let id: SampleId = path.file_stem()?.to_str()?.split('.').next()?.parse().ok()?;
    let outdone = match kind {
        "part" => true,
        "difference" => id.path(dir).exists(),
        "forgotten" => id.path(dir).exists() || id.difference_path(dir).exists(),
        _ => false,
    };
    if outdone {
        let _ = fs::remove_file(path);
        return None;
    }
    if kind != "difference" {
        return None;
    }
    match keeping::header(path) {
        Ok(header) => Some(header.base),
        Err(error) => {
            tracing::error!(%error, "a sample cannot be read");
            None
        }
    }
}
