//! Tells what was caught.
//!
//! Everything here is derived from evidence and may be thrown away: how an event reads ([`story`]), what the
//! published contract is ([`contract`]), which connections are one attack ([`incident`]), counts and rows for whoever
//! asks ([`index`]), what a visit looks like as packets ([`pcapng`]), and who is told ([`sink`]: `deliver(batch)` plus a cursor in the journal, so that a slow or
//! dead sink stalls nobody and loses nothing).
//!
//! The desk reads evidence and never sees an attacker's socket or an SMB byte.

#![forbid(unsafe_code)]
// This room owns files of its own (cursors, logs): the bans of clippy.toml are for the pure crates.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod console;
pub mod contract;
mod derived;
pub mod incident;
pub mod index;
pub mod json;
pub mod lookup;
pub mod moment;
pub mod pcapng;
pub mod pulse;
pub mod sample;
pub mod sink;
pub mod story;
