//! Which loader stands in front of the file.

use serde::{Deserialize, Serialize};

/// Of a stub.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StubFacts {
    /// Its name in the reference data: `doublepulsar-x86`, `metasploit-x64`, `unknown`.
    pub name: String,
    /// `x86` or `x64`.
    pub machine: String,
    /// SHA-256 of the stub with the fields that vary set to zero: the same for all copies of one build.
    pub skeleton: String,
    /// Bytes that it copies to user mode.
    pub copied: u32,
    /// Bytes of the file that it carries.
    pub file_size: u32,
    /// Which export of the file it calls.
    pub ordinal: u32,
}
