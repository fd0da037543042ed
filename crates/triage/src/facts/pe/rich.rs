//! The Rich header: which compilers and linkers made the parts of a file.

use super::image::Image;
use crate::bytes::le_u32;
use md5::{Digest, Md5};

/// The DOS stub that Microsoft's linker writes is that long; the header stands behind it.
const START: usize = 0x80;
/// `Rich`, little-endian.
const RICH: u32 = 0x6863_6952;

/// MD5 of the decoded header, as `pefile` and VirusTotal write it; empty where there is none.
pub(super) fn rich_hash(image: &Image<'_>) -> String {
    decoded(image).map_or_else(String::new, |bytes| super::super::hashes::hex(&Md5::digest(bytes)))
}

fn decoded(image: &Image<'_>) -> Option<Vec<u8>> {
    // Bounded by where the optional header may start, one page.
    let header = image.bytes.get(START..image.optional_at)?;
    let words = header.chunks_exact(4).map(|word| le_u32(word, 0).unwrap_or(0));
    let end = words.clone().position(|word| word == RICH)?;
    let key = words.clone().nth(end.checked_add(1)?)?;
    Some(words.take(end).flat_map(|word| (word ^ key).to_le_bytes()).collect())
}
