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

#[cfg(test)]
mod tests {
    use super::{ctph, is_all, tlsh};
    use tlsh2::TlshDefaultBuilder;

    /// Bytes of several natures: noise, few values, slow change, zeros inside, zeros mostly, one byte for long.
    pub(crate) fn generated(len: usize, nature: u64) -> Vec<u8> {
        let mut state = nature.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut bytes: Vec<u8> = (0..len)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state as u8
            })
            .collect();
        match nature % 6 {
            1 => bytes.iter_mut().for_each(|byte| *byte &= 7),
            2 => bytes.iter_mut().enumerate().for_each(|(at, byte)| *byte = (at / 9) as u8),
            3 => bytes[len / 3..len - len / 4].fill(0),
            4 => bytes.iter_mut().filter(|byte| **byte > 9).for_each(|byte| *byte = 0),
            5 => bytes[..len / 2].fill(7),
            _ => {}
        }
        bytes
    }

    const LENGTHS: [usize; 12] = [0, 1, 3, 7, 49, 50, 256, 1000, 4096, 5000, 20_000, 150_000];

    #[test]
    fn tlsh_is_the_crates() {
        let mut with_hash = 0;
        for (len, nature) in LENGTHS.iter().flat_map(|&len| (0..6).map(move |nature| (len, nature))) {
            let bytes = generated(len, nature);
            let hash = TlshDefaultBuilder::build_from(&bytes).map(|hash| hash.hash().to_vec());
            let expected = String::from_utf8(hash.unwrap_or_default()).unwrap();
            assert_eq!(tlsh::hash(&bytes), expected, "{len} bytes of nature {nature}");
            with_hash += usize::from(!expected.is_empty());
        }
        assert!(with_hash > 30, "{with_hash}");
    }

    #[test]
    fn what_ranges_share_does_not_change_their_hashes() {
        for (len, nature) in [5000, 20_000, 150_000].into_iter().flat_map(|len| (0..6).map(move |n| (len, n)))
        {
            let bytes = generated(len, nature);
            let ranges =
                [0..len, 17..len - 5, 100..4000, 300..1200, 4000..4900, 2000..2000, 0..1, len - 3..len];
            let (piecewise, local) = (ctph::hashes(&bytes, &ranges), tlsh::hashes(&bytes, &ranges));
            for ((range, piecewise), local) in ranges.iter().zip(piecewise).zip(local) {
                let alone = &bytes[range.clone()];
                assert_eq!(piecewise, ctph::hash(alone), "ssdeep of {range:?} in {len} bytes of {nature}");
                assert_eq!(local, tlsh::hash(alone), "tlsh of {range:?} in {len} bytes of {nature}");
            }
        }
    }

    #[test]
    fn a_range_that_is_a_lie_has_no_hash() {
        let ranges = [0..9999, 5000..5001];
        assert_eq!(ctph::hashes(&[7; 100], &ranges), ["", ""]);
        assert_eq!(tlsh::hashes(&[7; 100], &ranges), ["", ""]);
    }

    #[test]
    fn all_alike_means_all() {
        assert!(is_all(&[5; 1000], 5) && is_all(&[], 1));
        for at in [0, 63, 64, 999] {
            let mut bytes = [5; 1000];
            bytes[at] = 4;
            assert!(!is_all(&bytes, 5), "{at}");
        }
    }
}
