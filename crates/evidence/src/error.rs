//! What can go wrong at rest, in words that name the path and the way out.

use crate::samples::SampleId;
use std::path::{Path, PathBuf};

/// The store cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or directory could not be used.
    #[error("cannot {doing} {path}: {source}{}", hint(.source))]
    Io {
        /// What was tried: `create`, `open`, `write`, …
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The journal's database refused.
    #[error("journal {path}: {source}")]
    Journal {
        /// The database file.
        path: PathBuf,
        /// What it said.
        source: rusqlite::Error,
    },
    /// Another process writes here.
    #[error("{path} is in use by another honeypot; stop it, or choose another directory with --data")]
    Locked {
        /// The data directory.
        path: PathBuf,
    },
    /// There is no journal here.
    #[error("no journal in {path}: has the honeypot run with this --data directory?")]
    Missing {
        /// The data directory.
        path: PathBuf,
    },
    /// The journal was written by a later version.
    #[error(
        "{path} was written by a newer version (schema {found}, this build knows {known}): upgrade this build"
    )]
    Newer {
        /// The database file.
        path: PathBuf,
        /// Its schema version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// A file of ours does not hold what it must.
    #[error("{path} is damaged: {what}")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The beginning of a SHA-256 fits several samples.
    #[error("`{prefix}` fits {count} samples; give more of the SHA-256")]
    Ambiguous {
        /// What was asked for.
        prefix: String,
        /// How many it fits.
        count: usize,
    },
    /// The sample's bytes were given up.
    #[error("the bytes of {sample} were forgotten to save space; its record is in the journal")]
    Forgotten {
        /// Which sample.
        sample: SampleId,
    },
    /// The sample stays as it is kept.
    #[error("{sample} stays as it is: {why}")]
    Refused {
        /// Which sample.
        sample: SampleId,
        /// For what reason.
        why: Refusal,
    },
    /// Not the beginning of a SHA-256.
    #[error("`{0}` is not the beginning of a SHA-256 (hexadecimal)")]
    NotHex(String),
}

/// Why a sample stays as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It was to become a difference from itself.
    #[error("it cannot be a difference from itself")]
    Itself,
    /// It is not kept whole.
    #[error("it is not kept whole")]
    NotWhole,
    /// The base is not kept whole.
    #[error("its base {0} is not kept whole")]
    BaseNotWhole(SampleId),
    /// Other samples are differences from it.
    #[error("{0} others are kept as differences from it")]
    Needed(u32),
    /// It or its base has more bytes than are held in memory.
    #[error("it or its base is larger than {0} bytes")]
    TooLarge(u64),
    /// It would need more than half of its size.
    #[error("its difference has {after} bytes, it has {before}")]
    NoGain {
        /// Bytes it has.
        before: u64,
        /// Bytes its difference would have.
        after: u64,
    },
}

impl StoreError {
    /// For `map_err`: an I/O error while `doing` something with `path`.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }

    /// For `map_err`: an error of the database at `path`.
    pub(crate) fn journal(path: &Path) -> impl Fn(rusqlite::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Journal { path: path.clone(), source }
    }
}

fn hint(source: &std::io::Error) -> &'static str {
    match source.kind() {
        std::io::ErrorKind::PermissionDenied => {
            " (run as the user who owns it, or choose another directory with --data)"
        }
        std::io::ErrorKind::StorageFull => " (free some space, or choose another directory with --data)",
        _ => "",
    }
}
