//! Explains a captured byte slice.
//!
//! [`triage`] takes the bytes of a sample and says which layers are inside: the DoublePulsar stub, the PE file
//! that it carries, the code between an exploit's filler. It computes and does nothing else: no I/O, no clock, no thread, no network. What it costs
//! is bounded by a [`Budget`], whatever the bytes claim. It is run in a child process all the same, because a
//! hostile file is the whole point of it.

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
mod layers;
pub mod pe;
mod report;
mod shellcode;
pub mod stub;

pub use layers::triage;
pub use report::{Budget, FoundBy, Kind, Layer, Report, Road};
