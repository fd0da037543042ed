//! PE files that are hidden by XOR, addition or rotation: of bytes, of four bytes over and over, of 32-bit words.
//!
//! Keys are never tried: they are read off. The DOS header has at least twenty zeros in front of its last field
//! (`e_res2`, 0x28 to 0x3c), and that field is not zero. Encoded with four bytes over and over, those zeros *are* the
//! key; rotation leaves them, and so does a XOR that spares zeros, whose key the first letter tells. So each run of
//! bytes that repeat after four gives a few candidates, where the run ends; what is decoded with one has to be a PE
//! file in all that [`Pe::parse`] checks. One pass, however long the bytes.

use super::found::{Found, Purse};
use crate::bytes::{array, slice};
use crate::pe::Pe;
use crate::report::FoundBy;
use std::ops::Range;

/// Where `e_lfanew` stands: its first byte that is not zero ends the run of zeros. That is its lowest one, or the next
/// where it is 0x100; of a word that was rotated it may be any.
const RUN_ENDS: Range<usize> = 0x3c..0x40;
/// `e_res2` has twenty bytes: sixteen that are equal to those four later, so that eight of them lie in one block.
const BLOCK: usize = 8;
/// Headers are decoded so far to be checked.
const WINDOW: usize = 16 * 1024;

/// How a file was hidden. Four bytes and words count from the file's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    /// With four bytes over and over.
    Xor([u8; 4]),
    /// With one byte, but for zeros and that byte itself, which stay: so that no key shows where zeros were.
    XorSparing(u8),
    /// Four bytes over and over, each added to one.
    Add([u8; 4]),
    /// One number added to each little-endian word of 32 bits.
    AddWord(u32),
    /// Each byte rotated left.
    Rol(u32),
    /// Each little-endian word of 32 bits rotated left.
    RolWord(u32),
}

/// One byte where all four are the same.
fn key([a, b, c, d]: [u8; 4]) -> String {
    match a == b && b == c && c == d {
        true => format!("{a:02x}"),
        false => format!("{a:02x} {b:02x} {c:02x} {d:02x}"),
    }
}

impl Encoding {
    fn name(self) -> String {
        match self {
            Self::Xor(bytes) => format!("xor {}", key(bytes)),
            Self::XorSparing(byte) => format!("xor {byte:02x} sparing zeros"),
            Self::Add(bytes) => format!("add {}", key(bytes)),
            Self::AddWord(number) => format!("add32 {number:08x}"),
            Self::Rol(bits) => format!("rol {bits}"),
            Self::RolWord(bits) => format!("rol32 {bits}"),
        }
    }

    fn undo_word(self, mut word: [u8; 4]) -> [u8; 4] {
        let as_number = u32::from_le_bytes(word);
        match self {
            Self::Xor(key) => word.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key),
            Self::XorSparing(key) => {
                let changed = word.iter_mut().filter(|byte| **byte != 0 && **byte != key);
                changed.for_each(|byte| *byte ^= key);
            }
            Self::Add(key) => word.iter_mut().zip(key).for_each(|(byte, key)| *byte = byte.wrapping_sub(key)),
            Self::AddWord(number) => return as_number.wrapping_sub(number).to_le_bytes(),
            Self::Rol(bits) => word.iter_mut().for_each(|byte| *byte = byte.rotate_right(bits)),
            Self::RolWord(bits) => return as_number.rotate_right(bits).to_le_bytes(),
        }
        word
    }

    fn undo(self, bytes: &[u8]) -> Vec<u8> {
        let mut plain = Vec::with_capacity(bytes.len().next_multiple_of(4));
        let (words, rest) = bytes.as_chunks::<4>();
        plain.extend(words.iter().flat_map(|&word| self.undo_word(word)));
        let mut last = [0; 4];
        last.iter_mut().zip(rest).for_each(|(place, byte)| *place = *byte);
        plain.extend(self.undo_word(last).into_iter().take(rest.len()));
        plain
    }

    /// The encodings that make `MZ` of a file's first bytes, given what its zeros became.
    fn fitting(first: [u8; 4], zeros: [u8; 4]) -> Vec<Self> {
        let is_mz = |encoding: &Self| encoding.undo_word(first).starts_with(b"MZ");
        if zeros == [0; 4] {
            // A key that is the letter itself has spared it.
            let [letter, ..] = first;
            let sparing = Self::XorSparing(if letter == b'M' { letter } else { letter ^ b'M' });
            let turned = (1..8).map(Self::Rol).chain((1..32).map(Self::RolWord));
            return turned.chain(std::iter::once(sparing)).filter(is_mz).collect();
        }
        let candidates = [Self::Xor(zeros), Self::Add(zeros), Self::AddWord(u32::from_le_bytes(zeros))];
        candidates.into_iter().filter(is_mz).collect()
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
        let mut best: Option<(Likeness, Found)> = None;
        for run_end in RUN_ENDS {
            let Some(start) = end.checked_sub(run_end).filter(|&start| start >= free_from) else { continue };
            at_place(bytes, (start, end), run_end, &mut best, purse);
        }
        if let Some((_, mut child)) = best {
            free_from = child.range.end;
            let shift = |at: usize| at.saturating_add(range.start);
            child.range = shift(child.range.start)..shift(child.range.end);
            found.push(child);
        }
    }
    found
}

/// How much of what was decoded looks as files do: section names, then words.
type Likeness = (usize, usize);

/// Offers the file that starts at `start`, if its zeros end at `end`: headers that fit in two ways are decoded in the
/// one that makes more sense. The same key added to bytes and to words differs where something is carried, words that
/// are rotated by a byte more are those one byte later.
fn at_place(
    bytes: &[u8],
    (start, end): (usize, usize),
    run_end: usize,
    best: &mut Option<(Likeness, Found)>,
    purse: &mut Purse<'_>,
) -> Option<()> {
    let first = array::<4>(bytes, start)?;
    let last_four = array::<4>(bytes, end.checked_sub(4)?)?;
    // The key in the file's own phase.
    let mut zeros = last_four;
    zeros.rotate_right(run_end & 3);
    let window_end = start.checked_add(WINDOW)?.min(bytes.len());
    for encoding in Encoding::fitting(first, zeros) {
        if !purse.candidate() {
            break;
        }
        let window = encoding.undo(slice(bytes, start..window_end)?);
        let Some(pe) = Pe::parse(&window) else { continue };
        let there = bytes.len().saturating_sub(start);
        let length = usize::try_from(pe.end).unwrap_or(usize::MAX).min(there);
        if length > purse.decodable(length) {
            purse.too_much("an encoded file");
            break;
        }
        purse.pay(length);
        let range = start..start.checked_add(length)?;
        let decoded = encoding.undo(slice(bytes, range.clone())?);
        let likeness = (pe.plain_names(&decoded), plain_words(&decoded));
        if best.as_ref().is_some_and(|(other, _)| *other >= likeness) {
            continue;
        }
        let mut child = Found::pe(bytes, &pe, FoundBy::Decoded, range);
        child.encoding = encoding.name();
        child.decoded = Some(decoded);
        *best = Some((likeness, child));
    }
    Some(())
}

/// How many words are 0 or -1: the most frequent ones of a file, and of no file that was decoded in a wrong way.
fn plain_words(bytes: &[u8]) -> usize {
    let (words, _) = bytes.as_chunks::<4>();
    words.iter().filter(|word| matches!(word, [0, 0, 0, 0] | [0xff, 0xff, 0xff, 0xff])).count()
}
