//! Catches: accepts visitors, lets the decoy answer them, keeps what they bring.
//!
//! The way in: [`bind`] (may need a privilege that is dropped afterwards), then [`Sensor::start`], then
//! [`Sensor::shutdown`]. The sensor never connects out and knows no SMB byte: it moves bytes between sockets,
//! [`Connection`](roridula_proto::connection::Connection) and the [`Store`](roridula_evidence::Store).

#![forbid(unsafe_code)]
// This room owns sockets, the clock and the capture's threads: the bans of clippy.toml are for the pure crates.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod capture;
mod connection;
mod gate;
mod listener;
mod options;
mod running;
mod shared;

pub use listener::{BindError, Bound, bind};
pub use options::SensorOptions;
pub use running::{Sensor, Served, UploadProgress};
