//! Look-ups, off by default: what VirusTotal and MalwareBazaar know of a hash.
//!
//! Only hashes go out; a file only where `lookup.virustotal.upload` says so. Who is asked, when and how often is decided
//! by [`Inquirer::step`], which takes the time and the [`Transport`] as arguments; [`spawn`] runs it in a thread of its
//! own, which shares nothing with capture. All that must survive a restart (answers, requests spent, back-off) is in
//! `DIR/desk/lookup.sqlite`.

mod book;
mod inquirer;
mod queue;
mod secret;
mod service;
mod settings;
mod thread;
mod transport;
mod wanted;

pub use book::{Found, Lookups, ServiceStatus};
pub use inquirer::{Inquirer, Outcome, Step};
pub use secret::Secret;
pub use service::{Access, Answer, Service, Summary, UPLOAD_BYTES_MAX};
pub use settings::{LookupSettings, MalwareBazaarSettings, VirusTotalSettings};
pub use thread::{LookupHandle, spawn};
pub use transport::{ANSWER_BYTES_MAX, Http, Request, Response, Transport, TransportError};
pub use wanted::{Part, Wanted, wanted};

use crate::sample::{CatalogError, ReportError};
use roridula_evidence::StoreError;
use std::path::PathBuf;
use thiserror::Error;

/// Why look-ups cannot be made or read. No key is in any of them.
#[derive(Debug, Error)]
pub enum LookupError {
    /// The database cannot be used.
    #[error("{path}: {source}")]
    Database {
        /// Which.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// The directory cannot be made.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A key is missing or may not be used.
    #[error("{setting}: {what}")]
    Key {
        /// The setting.
        setting: String,
        /// What is wrong and what would be right.
        what: String,
    },
    /// The environment names a proxy that is none.
    #[error("the environment's {0} is no proxy; write it as http://HOST:PORT")]
    Proxy(&'static str),
    /// The journal or a sample cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A report cannot be read.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// How new the samples are cannot be told.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}
