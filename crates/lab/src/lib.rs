//! The lab: whatever tests and measures the honeypot and is never shipped with it.
//!
//! [`attack`] is the inert attacker. It speaks the protocol with harmless look-alikes ([`samples`]), holds no
//! exploit and no code, and refuses any target but this machine's loopback.

#![forbid(unsafe_code)]
// The lab is a room of its own: it needs sockets, files, clocks and threads to play the other side.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod attack;
pub mod bench;
pub mod browser;
pub mod explain;
pub mod golden;
pub mod history;
pub mod honeypot;
pub mod load;
pub mod pcap;
pub mod samples;
pub mod scenarios;
pub mod seeds;
pub mod serve;
pub mod swarm;
pub mod theatre;
pub mod tidy;
