//! How a sample's bytes are kept, and how they are read however that is.

use crate::difference::{self, Header};
use crate::samples::SampleId;
use crate::{Reader, StoreError};
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// How often a reader looks again when a sample changed the way it is kept under its hands.
const LOOKS: usize = 3;

/// How a sample's bytes are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// All of them in a file of their own.
    Whole {
        /// The file.
        path: PathBuf,
    },
    /// What differs from another sample.
    Difference {
        /// The file with the difference.
        path: PathBuf,
        /// The other sample; it is kept whole.
        base: SampleId,
    },
    /// Not any more, on purpose: when they come again they are counted, not kept.
    Forgotten,
    /// Not here, and nobody said why (removed by hand?): when they come again they are kept again.
    Missing,
}

impl Kept {
    /// The file that holds the bytes or the difference.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Whole { path } | Self::Difference { path, .. } => Some(path),
            Self::Forgotten | Self::Missing => None,
        }
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole { path } => write!(f, "{}", path.display()),
            Self::Difference { path, base } => write!(f, "{} (from {base})", path.display()),
            Self::Forgotten => f.write_str("none: its bytes were forgotten to save space"),
            Self::Missing => f.write_str("none: its bytes are missing"),
        }
    }
}

impl SampleId {
    /// Where its difference from another sample lies.
    pub(crate) fn difference_path(&self, dir: &Path) -> PathBuf {
        self.path(dir).with_extension("difference")
    }

    /// What says that its bytes were forgotten on purpose: an empty file.
    pub(crate) fn forgotten_path(&self, dir: &Path) -> PathBuf {
        self.path(dir).with_extension("forgotten")
    }
}

/// How `id` is kept. Whoever changes that makes the new file before he removes the old one, so that a second look
/// finds what the first one missed.
pub(crate) fn kept(dir: &Path, id: SampleId) -> Result<Kept, StoreError> {
    for _ in 0..LOOKS {
        let whole = id.path(dir);
        if whole.exists() {
            return Ok(Kept::Whole { path: whole });
        }
        let path = id.difference_path(dir);
        match header(&path) {
            Ok(header) => return Ok(Kept::Difference { path, base: header.base }),
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        if id.forgotten_path(dir).exists() {
            return Ok(Kept::Forgotten);
        }
    }
    Ok(Kept::Missing)
}

/// Whether `id` need not be kept when it comes again: its bytes can be had, or are not wanted.
pub(crate) fn is_settled(dir: &Path, id: SampleId) -> bool {
    match kept(dir, id) {
        Ok(Kept::Whole { .. } | Kept::Forgotten) => true,
        Ok(Kept::Difference { base, .. }) => base.path(dir).exists(),
        // A damaged difference: better bytes are welcome.
        Ok(Kept::Missing) | Err(_) => false,
    }
}

/// The header of the difference at `path`.
pub(crate) fn header(path: &Path) -> Result<Header, StoreError> {
    let mut file = File::open(path).map_err(StoreError::io("open", path))?;
    Header::read(&mut file).map_err(damaged(path))
}

/// A sample's bytes as a file that stands at its beginning: its own, or one in memory.
pub(crate) fn open(dir: &Path, id: SampleId) -> Result<File, StoreError> {
    for look in 1.. {
        let result = match kept(dir, id)? {
            Kept::Whole { path } => File::open(&path).map_err(StoreError::io("open", &path)),
            Kept::Difference { path, .. } => rebuild(dir, id, &path)
                .and_then(|bytes| in_memory(&bytes).map_err(StoreError::io("unpack", &path))),
            Kept::Forgotten => return Err(StoreError::Forgotten { sample: id }),
            Kept::Missing => return Err(missing(&id.path(dir))),
        };
        match result {
            // It has just come to be kept otherwise.
            Err(StoreError::Io { source, .. })
                if source.kind() == io::ErrorKind::NotFound && look < LOOKS => {}
            result => return result,
        }
    }
    Err(missing(&id.path(dir)))
}

/// A sample's bytes, at most `max`; never others than those that its name says.
pub(crate) fn bytes(dir: &Path, id: SampleId, max: u64) -> Result<Vec<u8>, StoreError> {
    let path = id.path(dir);
    let bytes = read_up_to(open(dir, id)?, max).map_err(StoreError::io("read", &path))?;
    if SampleId(Sha256::digest(&bytes).into()) != id {
        let what = "it does not hold the sample's bytes: somebody or something has altered it".to_owned();
        return Err(StoreError::Damaged { path, what });
    }
    Ok(bytes)
}

/// The bytes of `id` out of its difference at `path`; never other bytes than those that its name says.
pub(crate) fn rebuild(dir: &Path, id: SampleId, path: &Path) -> Result<Vec<u8>, StoreError> {
    let mut file = File::open(path).map_err(StoreError::io("open", path))?;
    let header = Header::read(&mut file).map_err(damaged(path))?;
    let base = read_whole(&header.base.path(dir)).map_err(|error| match error {
        StoreError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => StoreError::Damaged {
            path: path.to_owned(),
            what: format!("it is a difference from {}, which is not here", header.base),
        },
        error => error,
    })?;
    let bytes = difference::apply(&header, file, &base).map_err(damaged(path))?;
    if SampleId(Sha256::digest(&bytes).into()) != id {
        return Err(StoreError::Damaged {
            path: path.to_owned(),
            what: format!("it or its base {} does not hold the sample's bytes", header.base),
        });
    }
    Ok(bytes)
}

/// The bytes of a whole file that is not larger than a difference allows.
pub(crate) fn read_whole(path: &Path) -> Result<Vec<u8>, StoreError> {
    let file = File::open(path).map_err(StoreError::io("open", path))?;
    read_up_to(file, difference::BYTES_MAX).map_err(StoreError::io("read", path))
}

fn read_up_to(file: File, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {max} bytes")));
    }
    Ok(bytes)
}

/// A file without a name: malware that is looked at leaves nothing on a disk.
fn in_memory(bytes: &[u8]) -> io::Result<File> {
    let mut file = File::from(rustix::fs::memfd_create("sample", rustix::fs::MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}

fn damaged(path: &Path) -> impl Fn(io::Error) -> StoreError + use<> {
    let path = path.to_owned();
    move |error| StoreError::Damaged { path: path.clone(), what: error.to_string() }
}

fn missing(path: &Path) -> StoreError {
    StoreError::io("open", path)(io::ErrorKind::NotFound.into())
}

impl Reader {
    /// How a sample's bytes are kept.
    pub fn kept(&self, sample: SampleId) -> Result<Kept, StoreError> {
        kept(self.dir(), sample)
    }

    /// A sample's bytes, however they are kept; an error where there are more than `max`, and where the file holds others
    /// than its name says.
    pub fn sample_bytes(&self, sample: SampleId, max: u64) -> Result<Vec<u8>, StoreError> {
        bytes(self.dir(), sample, max)
    }
}
