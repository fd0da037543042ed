//! PE files that are hidden by XOR with one or four bytes, by addition or by rotation.
//!
//! Keys are never tried: they are read off. The DOS header has at least twenty zeros in front of its last field
//! (`e_res2`, 0x28 to 0x3c), and that field is not zero. Encoded with four bytes over and over, those zeros *are* the
//! key; rotation leaves them. So each run of bytes that repeat after four gives one candidate, where the run ends;
//! what is decoded with it has to be a PE file in all that [`Pe::parse`] checks. One pass, however long the bytes.

use super::found::{Found, Purse};
use crate::bytes::{array, slice};
use crate::pe::Pe;
use crate::report::FoundBy;
use std::ops::Range;

/// Where `e_lfanew` stands: its lowest byte, or where that is zero (0x100) its next one, ends the run of zeros.
const RUN_ENDS: [usize; 2] = [0x3c, 0x3d];
/// `e_res2` has twenty bytes: sixteen that are equal to those four later, so that eight of them lie in one block.
const BLOCK: usize = 8;
/// Headers are decoded so far to be checked.
const WINDOW: usize = 16 * 1024;

/// How a file was hidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    /// With four bytes over and over, from the file's start.
    Xor([u8; 4]),
    /// One number added to each byte.
    Add(u8),
    /// Each byte rotated left.
    Rol(u32),
}

impl Encoding {
    fn name(self) -> String {
        match self {
            Self::Xor([a, b, c, d]) if a == b && b == c && c == d => format!("xor {a:02x}"),
            Self::Xor([a, b, c, d]) => format!("xor {a:02x} {b:02x} {c:02x} {d:02x}"),
            Self::Add(number) => format!("add {number:02x}"),
            Self::Rol(bits) => format!("rol {bits}"),
        }
    }

    fn undo(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Xor(key) => bytes.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect(),
            Self::Add(number) => bytes.iter().map(|byte| byte.wrapping_sub(number)).collect(),
            Self::Rol(bits) => bytes.iter().map(|byte| byte.rotate_right(bits)).collect(),
        }
    }

    /// The encodings that make `MZ` of a file's first two bytes, given what its zeros became.
    fn fitting(first: [u8; 2], zeros: [u8; 4]) -> Vec<Self> {
        let is_mz = |encoding: &Self| encoding.undo(&first) == b"MZ";
        let [number, ..] = zeros;
        if zeros == [0; 4] {
            return (1..8).map(Self::Rol).filter(is_mz).collect();
        }
        let mut candidates = vec![Self::Xor(zeros)];
        if zeros == [number; 4] {
            candidates.push(Self::Add(number));
        }
        candidates.retain(is_mz);
        candidates
    }
}

/// Hidden PE files in `range` of `parent`, in order.
pub(crate) fn find(parent: &[u8], range: Range<usize>, purse: &mut Purse<'_>) -> Vec<Found> {
    let Some(bytes) = slice(parent, range.clone()) else { return Vec::new() };
    let mut found = Vec::new();
    let mut in_run = false;
    let mut free_from = 0;
    // Eight bytes at once are compared with those four later. A run that is long enough holds such a block whole.
    for (number, block) in bytes.chunks_exact(BLOCK).enumerate() {
        let at = number.saturating_mul(BLOCK);
        let later = at.checked_add(4).and_then(|at| array::<BLOCK>(bytes, at));
        let later = later.as_ref().map_or(&[][..], |later| later.as_slice());
        if block == later {
            in_run = true;
            continue;
        }
        if !std::mem::take(&mut in_run) {
            continue;
        }
        let same = block.iter().zip(later).take_while(|(byte, other)| byte == other).count();
        let end = at.saturating_add(same).saturating_add(4);
        for run_end in RUN_ENDS {
            let Some(start) = end.checked_sub(run_end).filter(|&start| start >= free_from) else { continue };
            let Some(mut child) = at_place(bytes, start, end, run_end, purse) else { continue };
            free_from = child.range.end;
            let shift = |at: usize| at.saturating_add(range.start);
            child.range = shift(child.range.start)..shift(child.range.end);
            found.push(child);
            break;
        }
    }
    found
}

/// The file that starts at `start`, if its zeros end at `end`.
fn at_place(bytes: &[u8], start: usize, end: usize, run_end: usize, purse: &mut Purse<'_>) -> Option<Found> {
    let first = array::<2>(bytes, start)?;
    let last_four = array::<4>(bytes, end.checked_sub(4)?)?;
    // The key in the file's own phase.
    let mut zeros = last_four;
    zeros.rotate_right(run_end & 3);
    let window_end = start.checked_add(WINDOW)?.min(bytes.len());
    for encoding in Encoding::fitting(first, zeros) {
        if !purse.candidate() {
            return None;
        }
        let window = encoding.undo(slice(bytes, start..window_end)?);
        let Some(pe) = Pe::parse(&window) else { continue };
        let there = bytes.len().saturating_sub(start);
        let length = usize::try_from(pe.end).unwrap_or(usize::MAX).min(there);
        if length > purse.decodable(length) {
            purse.too_much("an encoded file");
            return None;
        }
        purse.pay(length);
        let range = start..start.checked_add(length)?;
        let decoded = encoding.undo(slice(bytes, range.clone())?);
        let mut child = Found::pe(bytes, &pe, FoundBy::Decoded, range);
        child.encoding = encoding.name();
        child.decoded = Some(decoded);
        return Some(child);
    }
    None
}
