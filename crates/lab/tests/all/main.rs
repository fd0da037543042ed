//! The lab's tests, each file a subject. One binary: linked once, and the long ones run beside the others.

// Tests meet processes, sockets and clocks.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod browser;
mod captures;
mod clients;
mod console;
mod described;
mod differences;
mod dissector;
mod explain;
mod exploits;
mod exploits_in_memory;
mod fidelity;
mod incidents;
mod odd_uploads_in_memory;
mod pcap;
mod peeled;
mod regressions;
mod remembered;
mod rules_peer;
mod sentences;
mod soak;
mod tidy;
mod transcripts;
mod uploads_in_memory;
