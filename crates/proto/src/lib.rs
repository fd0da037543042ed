//! The decoy's mind.
//!
//! A [`Connection`](connection::Connection) is a pure function of (decoy, opening, list of (time, input)):
//! it does no I/O, reads no clock, draws no random number, never panics and never allocates what a header
//! merely claims. Everything that happens on the wire is therefore replayable from a
//! [`Transcript`](transcript::Transcript), byte for byte.
//!
//! Layers, each importing only those above it: [`wire`] (layouts, no state), [`limits`] and [`time`],
//! [`event`] (what is told), [`identity`] and [`persona`] (who we play), `exploit` (recognisers),
//! [`connection`] (state, no layouts), [`transcript`] (record and replay), [`describe`] (what was recorded, field by
//! field). [`client`] stands apart: the inert visitor.

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

pub mod client;
pub mod connection;
pub mod describe;
pub mod event;
pub mod exploit;
pub mod fingerprint;
pub mod fuzzing;
pub mod identity;
pub mod limits;
pub mod persona;
pub mod time;
pub mod transcript;
pub mod wire;
