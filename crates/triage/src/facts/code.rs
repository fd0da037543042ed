//! Code without a file around it: where it starts and what it would do.

use serde::{Deserialize, Serialize};

/// What disassembling (and, where it is built in, emulating) says of code.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CodeFacts {
    /// `x86` or `x64`.
    pub machine: String,
    /// Where the code starts in the layer, in bytes.
    pub entry: u64,
    /// Instructions that follow each other from there.
    pub instructions: u32,
    /// Known structures: `find-base getpc`, `peb walk`, `ror13 hashes`, `syscall hook`; sorted.
    pub traits: Vec<String>,
    /// API names that hashes in it stand for, with the algorithm: `ror13 kernel32.dll!WinExec`.
    pub apis: Vec<String>,
    /// The process that it is put into, where it names one. Attacker's text.
    pub process: String,
    /// The first instructions, as text.
    pub listing: Vec<String>,
    /// What the emulator saw it do, in order; empty without the feature `emulate`.
    pub emulated: Vec<String>,
}
