//! Who is told: sinks, each with a cursor in the journal.
//!
//! A sink takes batches of published events in the order of the journal and either has them or fails. A
//! [`Pump`] reads from where the sink's [`Cursor`] stands, delivers, and moves the cursor. So there is no
//! queue per sink: a slow or dead sink stalls nobody and loses nothing, and a new sink starts at the beginning
//! of history. Delivery is at least once; `seq` tells a repeat.

mod cursor;
mod jsonl;
mod lines;
mod pump;

pub use cursor::Cursor;
pub use jsonl::{JsonLines, Rotation};
pub use lines::Lines;
pub use pump::{Pump, PumpHandle};

use roridula_evidence::{Published, StoreError};
use std::path::PathBuf;

/// Somebody who is told events.
pub trait Sink: Send {
    /// Its name: letters, digits, `-`. Its cursor is kept under it.
    fn name(&self) -> &str;

    /// Takes `batch`, which follows what was delivered before. On `Err` none of it counts as delivered and the
    /// same batch comes again later.
    fn deliver(&mut self, batch: &[Published]) -> Result<(), SinkError>;

    /// The `seq` of the last event that this sink is known to have, where the sink itself can tell.
    fn has_up_to(&self) -> Option<u64> {
        None
    }
}

/// A sink, or reading for it, failed.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// A file could not be used.
    #[error("cannot {doing} {path}: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The reader at the other end of a pipe has gone: nobody listens any more.
    #[error("the reader has gone")]
    Gone,
    /// A derived view could not take the events in.
    #[error("{what}")]
    Derived {
        /// Why.
        what: String,
    },
    /// The journal could not be read.
    #[error(transparent)]
    Journal(#[from] StoreError),
}
