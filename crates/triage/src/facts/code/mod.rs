//! Code without a file around it: where it starts and what it would do.
//!
//! It is read, never run: disassembled from the likeliest start, along its branches, within a number of instructions.

mod apis;
#[cfg(any(feature = "emulate", test))]
mod emulate;
mod sockets;
mod sweep;
mod traits;

use super::indicators::Indicator;
use crate::pe::Machine;
use iced_x86::{Instruction, Mnemonic};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use sweep::Sweep;

/// Bytes that are looked at: shellcode is far shorter, and so are the loaders that are known.
const BYTES_MAX: usize = 64 * 1024;
/// Instructions of the listing.
const LISTING_MAX: usize = 24;
/// API names that are told.
const APIS_MAX: usize = 64;

/// Processes that published implants and loaders put code into.
const HOSTS: [&str; 7] = [
    "lsass.exe",
    "spoolsv.exe",
    "svchost.exe",
    "services.exe",
    "winlogon.exe",
    "explorer.exe",
    "rundll32.exe",
];

/// What disassembling says of code.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CodeFacts {
    /// `x86` or `x64`.
    pub machine: String,
    /// Where the code starts in the layer, in bytes.
    pub entry: u64,
    /// Instructions that are reached from there.
    pub instructions: u32,
    /// Known structures, as `getpc`, `peb walk`, `ror13 hashes`, `decoder loop`, `self-decoding`, `module list`; sorted.
    pub traits: Vec<String>,
    /// API names that numbers in it stand for, with the algorithm: `block_api kernel32.dll!WinExec`.
    pub apis: Vec<String>,
    /// The process that it is put into, where it names one that is known for that.
    pub process: String,
    /// The first instructions, as text.
    pub listing: Vec<String>,
    /// What the emulator saw it do, in order; empty without the feature `emulate`.
    pub emulated: Vec<String>,
    /// What a decoder in it wrote: size, place and SHA-256; empty without the feature `emulate`.
    pub unwrapped: String,
    /// What it would talk to or start, by its calls and by what its decoder wrote. Attacker's text.
    pub indicators: Vec<Indicator>,
}

/// Whether bytes of which nothing says what they are are code. That they decode is not enough: something in it has to
/// be what code without a file does, and neither a loop nor an instruction that chance makes out of anything.
pub(crate) fn is_code(bytes: &[u8]) -> bool {
    // A file of another system has code, too; it is no shellcode.
    if bytes.starts_with(b"\x7fELF") || bytes.starts_with(b"!<arch>") {
        return false;
    }
    let bytes = bytes.get(..BYTES_MAX).unwrap_or(bytes);
    let tells = |told: &String| traits::tells(told);
    believed(None, bytes).is_some_and(|(_, traits, apis)| !apis.is_empty() || traits.iter().any(tells))
}

/// What can be said of `bytes` as code; `None` where they are none. `hint` is the machine that the stub around them is for.
pub(crate) fn code(hint: Option<Machine>, bytes: &[u8]) -> Option<CodeFacts> {
    let bytes = bytes.get(..BYTES_MAX).unwrap_or(bytes);
    let (sweep, traits, apis) = believed(hint, bytes)?;
    let facts = CodeFacts {
        machine: sweep.machine.as_str().to_owned(),
        entry: sweep.entry,
        instructions: u32::try_from(sweep.instructions.len()).unwrap_or(u32::MAX),
        listing: sweep.listing(LISTING_MAX),
        process: process(bytes),
        traits,
        apis,
        emulated: Vec::new(),
        unwrapped: String::new(),
        indicators: sockets::told(&sweep),
    };
    #[cfg(any(feature = "emulate", test))]
    let facts = {
        let mut facts = facts;
        emulate::run(&sweep, bytes, &mut facts);
        facts
    };
    Some(facts)
}

/// The likeliest code, its traits and the functions that it asks for; `None` where chance could have made it.
fn believed(hint: Option<Machine>, bytes: &[u8]) -> Option<(Sweep, Vec<String>, Vec<String>)> {
    let sweep = Sweep::likeliest(hint, bytes)?;
    let (traits, apis) = (traits::of(&sweep), apis::named(&sweep, APIS_MAX));
    is_believable(&sweep, &traits, &apis).then_some((sweep, traits, apis))
}

/// Chance makes a dozen instructions in a row out of anything, but no long road without a wrong turn.
fn is_believable(sweep: &Sweep, traits: &[String], apis: &[String]) -> bool {
    let (good, bad) = (sweep.instructions.len(), usize::try_from(sweep.bad).unwrap_or(usize::MAX));
    let told = traits.len().saturating_add(apis.len());
    // What follows is encoded: wrong turns in it say nothing.
    if traits.iter().any(|told| told == traits::SELF_DECODING || told == traits::MODULE_LIST) {
        return good >= 5;
    }
    // One instruction over and over is what fills a place.
    let kinds: HashSet<Mnemonic> = sweep.instructions.iter().map(Instruction::mnemonic).collect();
    if kinds.len() < 4 {
        return false;
    }
    match told {
        0 => good >= 64 && good >= bad.saturating_mul(64),
        1 => good >= 40 && good >= bad.saturating_mul(32),
        // Nobody names two functions by chance: what follows the code may be anything.
        _ if apis.len() >= 2 => good >= 8,
        _ => good >= 8 && good >= bad.saturating_mul(8),
    }
}

fn process(bytes: &[u8]) -> String {
    let lower: Vec<u8> = bytes.iter().filter(|byte| **byte != 0).map(u8::to_ascii_lowercase).collect();
    let named = HOSTS.iter().find(|name| lower.windows(name.len()).any(|part| part == name.as_bytes()));
    named.map_or(String::new(), |name| (*name).to_owned())
}

#[cfg(test)]
mod tests;
