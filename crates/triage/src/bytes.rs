//! Bounds-checked reads at an offset; the only code here that touches untrusted bytes by position.

use std::ops::Range;

/// `bytes[range]`, or `None` where it leaves the slice.
pub(crate) fn slice(bytes: &[u8], range: Range<usize>) -> Option<&[u8]> {
    bytes.get(range)
}

/// `N` bytes at `at`.
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk::<N>().copied()
}

/// A little-endian 16-bit number at `at`.
pub(crate) fn le_u16(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_le_bytes)
}

/// A little-endian 32-bit number at `at`.
pub(crate) fn le_u32(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_le_bytes)
}

/// A little-endian 32-bit number at `at`, as a size or offset in this machine's memory.
pub(crate) fn le_size(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(le_u32(bytes, at)?).ok()
}
