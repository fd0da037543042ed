//! Explains a captured byte slice.
//!
//! [`triage`] takes the bytes of a sample and answers with a [`Report`]: which layers are inside each other (`peel`),
//! what is known of each (`facts`), which rules fit (`rules`), and which family that makes (`family`). [`Look`] gives a
//! first report besides, and takes a [`Memory`] of earlier samples. It computes and does nothing else: no I/O, no clock,
//! no thread, no network. What it costs is bounded by a [`Budget`], whatever the bytes claim. It is run
//! in a child process all the same, because a hostile file is the whole point of it.

#![forbid(unsafe_code)]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::disallowed_methods,
    clippy::disallowed_types
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::as_conversions
    )
)]

mod bytes;
mod diff;
pub mod facts;
pub mod family;
pub mod fuzzing;
mod look;
mod memory;
pub mod pe;
mod peel;
pub mod reference;
mod report;
pub mod rules;
pub mod text;

pub use diff::{Compared, Decode, Diff, LayerDiff, RangeDiff, diff, diff_decoded};
pub use look::{Look, layer_bytes, triage};
pub use memory::{MEMORY_BYTES, Memory};
pub use peel::stub;
pub use report::{Budget, Depth, FORMAT, FoundBy, Hashes, Kind, Layer, Report, Road, State};
