//! A function of ours in the shape of a question for a domain: it means nothing and is never run.

use super::{put, put_u32, u32_of};

/// What stands behind the comparison of the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Branch {
    /// A jump that is taken where there is an answer.
    #[default]
    Conditional,
    /// A jump that is always taken.
    Always,
    /// Two instructions that do nothing.
    Nothing,
}

/// Where in the section of code the function stands.
const AT: usize = 0x100;

/// The function that asks for the URL at address `url` through the import table's place `slot` (32-bit addresses).
pub(super) fn write(file: &mut [u8], code_at: usize, url: usize, slot: usize, branch: Branch) {
    let at = code_at + AT;
    // push url; call [slot]; test eax, eax; the branch over one instruction; xor eax, eax; ret; ret
    put(file, at, &[0x68, 0, 0, 0, 0, 0xff, 0x15, 0, 0, 0, 0, 0x85, 0xc0]);
    put_u32(file, at + 1, u32_of(url));
    put_u32(file, at + 7, u32_of(slot));
    let branch = match branch {
        Branch::Conditional => [0x75, 3],
        Branch::Always => [0xeb, 3],
        Branch::Nothing => [0x90, 0x90],
    };
    put(file, at + 13, &branch);
    put(file, at + 15, &[0x33, 0xc0, 0xc3, 0xc3]);
}
