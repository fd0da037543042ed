//! Layouts of bytes, no state. Everything here reads what an attacker sent, or writes what Windows writes.

pub mod dcerpc;
pub mod doublepulsar;
pub mod filetime;
pub mod nbss;
pub mod ntlmssp;
pub mod reader;
pub mod smb1;
pub mod spnego;
pub mod status;
pub mod unicode;
pub mod writer;

/// Bytes that cannot be what they say they are. Evidence, not an error of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The field that is missing or impossible.
    pub what: &'static str,
    /// Where, in bytes from the start of what was read.
    pub at: usize,
}
