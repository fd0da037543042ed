//! Hashes that are alike where bytes are alike, and numbers that go over all bytes.
//!
//! Layers lie in each other, and walking over a sample once for each of them would cost five times its size. So
//! everything here takes the outermost bytes and the ranges of the layers in them, walks once, and shares what
//! the ranges have in common. The results are those of hashing each range alone; tests hold that.

pub(super) mod ctph;
pub(super) mod entropy;
pub(super) mod tlsh;

use std::ops::Range;

/// What walking over a layer has told: who meets the same layer in another sample need not walk over it again.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    pub(super) entropy: entropy::Counts,
    pub(super) tlsh: tlsh::Trace,
    pub(super) ctph: ctph::Trace,
}

/// Where in the bytes that are walked over such a layer stands.
#[derive(Clone, Debug)]
pub(crate) struct Seen<'a> {
    pub(super) range: Range<usize>,
    pub(super) trace: &'a Trace,
}

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
    use super::{Seen, Trace, ctph, entropy, is_all, tlsh};
    use std::ops::Range;
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
            let (piecewise, local) = (ctph::hashes(&bytes, &ranges, &[]), tlsh::hashes(&bytes, &ranges, &[]));
            for ((range, (piecewise, _)), (local, _)) in ranges.iter().zip(piecewise).zip(local) {
                let alone = &bytes[range.clone()];
                assert_eq!(piecewise, ctph::hash(alone), "ssdeep of {range:?} in {len} bytes of {nature}");
                assert_eq!(local, tlsh::hash(alone), "tlsh of {range:?} in {len} bytes of {nature}");
            }
        }
    }

    #[test]
    fn a_range_that_is_a_lie_has_no_hash() {
        let ranges = [0..9999, 5000..5001];
        assert!(ctph::hashes(&[7; 100], &ranges, &[]).iter().all(|(hash, _)| hash.is_empty()));
        assert!(tlsh::hashes(&[7; 100], &ranges, &[]).iter().all(|(hash, _)| hash.is_empty()));
    }

    /// The trace of bytes in the middle of others.
    fn trace(bytes: &[u8], range: &Range<usize>) -> Trace {
        let ranges = [0..bytes.len(), range.clone()];
        Trace {
            entropy: entropy::entropies(bytes, &ranges, &[]).pop().unwrap().1,
            tlsh: tlsh::hashes(bytes, &ranges, &[]).pop().unwrap().1,
            ctph: ctph::hashes(bytes, &ranges, &[]).pop().unwrap().1,
        }
    }

    #[test]
    fn what_was_walked_over_before_does_not_change_hashes() {
        for (len, nature) in [20_000, 150_000].into_iter().flat_map(|len| (0..6).map(move |n| (len, n))) {
            let inner = generated(len, nature);
            // The same bytes in front, so that checksums come in alike; others in front; nothing in front.
            for (first, second) in [(700, 700), (700, 3), (0, 0), (9, 5000)] {
                let around = |front: usize, seed: u64| {
                    let bytes = [&generated(front, 6)[..], &inner, &generated(5000, seed)].concat();
                    (bytes, front..front + len)
                };
                let (before, place) = around(first, 12);
                let trace = trace(&before, &place);
                let (bytes, range) = around(second, 18);
                let seen = [Seen { range: range.clone(), trace: &trace }];
                let ranges = [0..bytes.len(), 0..range.end + 7, range.start + 100..bytes.len(), 5..600];
                let same = |what: &str, is: bool| assert!(is, "{what}: {len} of {nature}, {first}, {second}");
                let text =
                    |all: Vec<(String, tlsh::Trace)>| all.into_iter().map(|one| one.0).collect::<Vec<_>>();
                let local = text(tlsh::hashes(&bytes, &ranges, &seen));
                same("tlsh", local == text(tlsh::hashes(&bytes, &ranges, &[])));
                let text =
                    |all: Vec<(String, ctph::Trace)>| all.into_iter().map(|one| one.0).collect::<Vec<_>>();
                let piecewise = text(ctph::hashes(&bytes, &ranges, &seen));
                same("ssdeep", piecewise == text(ctph::hashes(&bytes, &ranges, &[])));
                let bits = entropy::entropies(&bytes, &ranges, &seen);
                same("entropy", bits == entropy::entropies(&bytes, &ranges, &[]));
            }
        }
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
