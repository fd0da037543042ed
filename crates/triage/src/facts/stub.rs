//! Which loader stands in front of the file.

use super::hashes::hex;
use crate::bytes::le_u32;
use crate::pe::Machine;
use crate::peel::stub::{self, metasploit};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

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

/// What a stub's bytes say. Stubs are told apart by their length and their fields: which length a stub has, the
/// peeler knows by the file behind it.
pub(crate) fn stub(bytes: &[u8]) -> Option<StubFacts> {
    if bytes.is_empty() {
        return None;
    }
    let mut facts = StubFacts { name: "unknown".to_owned(), ..StubFacts::default() };
    let mut skeleton = bytes.to_vec();
    if let Some(layout) = stub::ALL.iter().find(|layout| layout.file_at == bytes.len()) {
        let field = |at: usize| le_u32(bytes, at).unwrap_or(0);
        // The export's ordinal stands behind the size, as the stub's last field.
        let ordinal_at = layout.size_at.saturating_add(4);
        facts.name = layout.name().to_owned();
        facts.machine = layout.machine.as_str().to_owned();
        facts.copied = field(layout.copied_at);
        facts.file_size = field(layout.size_at);
        facts.ordinal = field(ordinal_at);
        for at in [layout.copied_at, layout.size_at, ordinal_at] {
            if let Some(field) = skeleton.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<4>()) {
                *field = [0; 4];
            }
        }
    } else if bytes.len() == metasploit::STUB {
        facts.name = metasploit::NAME.to_owned();
        facts.machine = Machine::X64.as_str().to_owned();
    }
    facts.skeleton = hex(&Sha256::digest(&skeleton));
    Some(facts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_skeleton_is_the_same_for_all_copies_of_a_stub_and_no_other() {
        let layout = stub::X64;
        let copy = |size: u32, seed: u8| {
            let mut bytes: Vec<u8> = (0..layout.file_at).map(|n| (n as u8).wrapping_mul(7) ^ seed).collect();
            bytes[layout.size_at..][..4].copy_from_slice(&size.to_le_bytes());
            bytes[layout.size_at + 4..][..4].copy_from_slice(&1u32.to_le_bytes());
            bytes[layout.copied_at..][..4].copy_from_slice(&(size + 3978).to_le_bytes());
            stub(&bytes).unwrap()
        };
        let (one, two, other) = (copy(5_298_176, 1), copy(5120, 1), copy(5120, 2));
        assert_eq!((one.name.as_str(), one.machine.as_str()), ("doublepulsar-x64", "x64"));
        assert_eq!((one.file_size, one.copied, one.ordinal), (5_298_176, 5_302_154, 1));
        assert_eq!(one.skeleton, two.skeleton);
        assert_ne!(two.skeleton, other.skeleton);
        assert_eq!(stub(&[0x90; 100]).unwrap().name, "unknown");
        assert_eq!(stub(&[]), None);
    }
}
