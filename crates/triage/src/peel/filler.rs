//! Code inside an exploit's buffer: what is neither filler nor emptiness.
//!
//! EternalBlue's overflow is 66,512 bytes of base64-looking filler, its grooms are zeros, and somewhere in them lie a
//! few hundred bytes that mean something. Which bytes those are can be told without knowing them: filler keeps to 64
//! characters, emptiness to one.

use std::ops::Range;

/// Bytes that are judged together.
const BLOCK: usize = 16;
/// Blocks of filler that one region may have inside: an import's name, an immediate.
const GAP_BLOCKS: usize = 4;
/// Shorter regions are headers and counts, not code.
const REGION_BYTES_MIN: usize = 64;
/// Code uses many values; a table of counts or a text uses few.
const VALUES_MIN: usize = 24;

/// Regions of `sample` that may be code, in order, disjoint, at most `max`.
pub(crate) fn regions(sample: &[u8], max: usize) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut open: Option<Range<usize>> = None;
    let mut at = 0usize;
    for block in sample.chunks(BLOCK) {
        let end = at.saturating_add(block.len());
        let means = !is_filler(block);
        open = match open {
            Some(region) if means => Some(region.start..end),
            Some(region) if at.saturating_sub(region.end) >= GAP_BLOCKS.saturating_mul(BLOCK) => {
                found.push(region);
                None
            }
            Some(region) => Some(region),
            None => means.then_some(at..end),
        };
        at = end;
    }
    found.extend(open);
    found.retain(|region| sample.get(region.clone()).is_some_and(is_code_like));
    found.truncate(max);
    found
}

/// One value over and over, or nothing but base64's characters.
fn is_filler(block: &[u8]) -> bool {
    let first = block.first().copied().unwrap_or(0);
    block.iter().all(|&byte| byte == first)
        || block.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='))
}

fn is_code_like(region: &[u8]) -> bool {
    let mut seen = [false; 256];
    for &byte in region {
        if let Some(place) = seen.get_mut(usize::from(byte)) {
            *place = true;
        }
    }
    let values = seen.iter().filter(|&&seen| seen).count();
    let printable = region.iter().filter(|byte| byte.is_ascii_graphic() || **byte == b' ').count();
    // Text is printable in nine bytes of ten; code is in four.
    region.len() >= REGION_BYTES_MIN
        && values >= VALUES_MIN
        && printable.saturating_mul(10) < region.len().saturating_mul(9)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(len: usize) -> Vec<u8> {
        let mut state = 0x1234_5678u32;
        (0..len)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state.to_le_bytes()[3]
            })
            .collect()
    }

    #[test]
    fn what_stands_between_filler_is_found_where_it_is() {
        let filler = b"h6agLCqPqVyXi2VSQ8O6Yb9ijBX54jYVdm+2g9N4/0xbG2c1".repeat(100);
        let code = noise(800);
        let mut buffer = filler.clone();
        buffer.truncate(4096);
        buffer.extend_from_slice(&code);
        buffer.extend_from_slice(&[0; 512]);
        buffer.extend_from_slice(&filler);
        let found = regions(&buffer, 8);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].start.abs_diff(4096) <= BLOCK && found[0].end.abs_diff(4896) <= BLOCK, "{found:?}");
    }

    #[test]
    fn filler_emptiness_counts_and_text_are_no_code() {
        let filler = b"JlJmIhClBsrJlJmIhClBsr".repeat(3000);
        let text = b"This is a sentence, and not a program. ".repeat(20);
        let counts: Vec<u8> = (0..400u32).flat_map(|n| [(n % 5) as u8, 0, 0, 0]).collect();
        for sample in [filler, text, counts, vec![0; 66_512], vec![0x90; 5000], Vec::new(), noise(40)] {
            assert!(regions(&sample, 8).is_empty(), "{:?}", sample.get(..16));
        }
    }

    #[test]
    fn many_regions_are_bounded_and_in_order() {
        let mut buffer = Vec::new();
        for _ in 0..100 {
            buffer.extend_from_slice(&noise(160));
            buffer.extend_from_slice(&[0; 160]);
        }
        let found = regions(&buffer, 10);
        assert_eq!(found.len(), 10);
        assert!(found.windows(2).all(|pair| pair[0].end < pair[1].start));
    }
}
