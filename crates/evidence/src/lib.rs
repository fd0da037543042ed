//! Ground state at rest: the journal, the samples, the transcripts.
//!
//! One [`Store`] writes, any number of [`Reader`]s (in this process or in others) look on. What is here is the
//! only thing that must not be lost; an index, a report, an export can be made again from it.
//!
//! ```text
//! DIR/journal.sqlite            events, connections, captures, transcripts (WAL: readers never wait)
//! DIR/samples/ab/cd/<sha256>    one file a sample, mode 0400, exactly its bytes
//!     …/<sha256>.difference     or, instead, what differs from another sample that is whole
//!     …/<sha256>.forgotten      or, instead, a mark that its bytes are not wanted
//! DIR/spool/                    uploads that are still arriving; empty of meaning after a clean stop
//! DIR/crashes/                  transcripts of connections that hit a fault of ours
//! DIR/secret                    this install's secret and birthday, mode 0600
//! DIR/lock                      held by the one writer
//! ```
//!
//! This crate touches files and never a socket, and it does not know what an SMB byte means.

#![forbid(unsafe_code)]
// This room owns files, the wall clock of its own rows, and one writer thread: the bans of clippy.toml are
// for the pure crates.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod archive;
mod body;
mod difference;
mod error;
pub mod fuzzing;
mod install;
mod kept;
mod pack;
mod payloads;
mod published;
mod ranges;
mod reader;
mod recover;
mod samples;
mod schema;
mod spool;
mod store;
mod transcripts;
mod view;
mod writer;
mod writing;

pub use archive::Saved;
pub use error::{Refusal, StoreError};
pub use install::{Clock, Install, wall_clock};
pub use kept::Kept;
pub use payloads::UploadPayloads;
pub use published::{Attribution, Published, rfc3339};
pub use reader::{EventFilter, Page, Reader};
pub use samples::SampleId;
pub use spool::Slot;
pub use store::{
    Batch, Capture, Changes, Closing, Committed, Options, Recovered, SourceState, Store, Waiting,
};
pub use view::{CaptureView, ConnectionView, SampleView};
