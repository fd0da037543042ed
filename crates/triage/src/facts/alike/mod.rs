//! Hashes that are alike where bytes are alike, and numbers that go over all bytes.
//!
//! Layers lie in each other, and walking over a sample once for each of them would cost five times its size. So
//! everything here takes the outermost bytes and the ranges of the layers in them, walks once, and shares what
//! the ranges have in common. The results are those of hashing each range alone; tests hold that.

pub(super) mod ctph;
pub(super) mod entropy;
pub(super) mod tlsh;

use std::ops::Range;

/// The bytes of a range that may be a lie.
fn within<'a>(base: &'a [u8], range: &Range<usize>) -> &'a [u8] {
    base.get(range.clone()).unwrap_or_default()
}

/// Whether all bytes are `byte`; ends at the first that is not.
fn is_all(bytes: &[u8], byte: u8) -> bool {
    bytes.chunks(64).all(|chunk| chunk.iter().fold(0, |mix, one| mix | (one ^ byte)) == 0)
}
