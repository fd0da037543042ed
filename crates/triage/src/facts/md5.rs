//! MD5 (RFC 1321) of several parts side by side. Each step of the hash waits for the one before; steps of other
//! parts fit in between, so that several parts cost hardly more than the longest of them alone.

use std::cmp::Reverse;

/// Parts that are walked over together.
const LANES: usize = 4;
const BLOCK: usize = 64;

/// A number of each lane.
type Wide<const N: usize> = [u32; N];
type Block = [u8; BLOCK];

const START: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

/// A part that is being hashed.
struct Lane<'a> {
    /// Which part it is.
    number: usize,
    state: [u32; 4],
    /// Whole blocks that are left.
    blocks: &'a [Block],
    /// What is left behind them, filled up.
    end: Vec<Block>,
}

impl<'a> Lane<'a> {
    fn new(number: usize, part: &'a [u8]) -> Self {
        let (blocks, rest) = part.as_chunks::<BLOCK>();
        let mut end = rest.to_vec();
        end.push(0x80);
        let zeros = end.len().saturating_add(8).next_multiple_of(BLOCK).saturating_sub(8);
        end.resize(zeros, 0);
        // The length in bits, modulo 2^64 as the RFC wants it.
        let bits = u64::try_from(part.len()).unwrap_or(u64::MAX).wrapping_mul(8);
        end.extend_from_slice(&bits.to_le_bytes());
        Self { number, state: START, blocks, end: end.as_chunks::<BLOCK>().0.to_vec() }
    }

    /// Its first `count` blocks, which it has no more then.
    fn take(&mut self, count: usize) -> &'a [Block] {
        let (taken, left) = self.blocks.split_at_checked(count).unwrap_or((self.blocks, &[]));
        self.blocks = left;
        taken
    }

    fn digest(mut self) -> [u8; 16] {
        let end = std::mem::take(&mut self.end);
        walk([&mut self.state], [&end]);
        let mut digest = [0; 16];
        for (bytes, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(self.state) {
            *bytes = word.to_le_bytes();
        }
        digest
    }
}

/// The digest of each part.
pub(super) fn digests(parts: &[&[u8]]) -> Vec<[u8; 16]> {
    let mut digests = vec![[0; 16]; parts.len()];
    let mut waiting: Vec<Lane<'_>> =
        parts.iter().enumerate().map(|(number, part)| Lane::new(number, part)).collect();
    // The longest are taken first, so that none is left over for itself at the end.
    waiting.sort_by_key(|lane| lane.blocks.len());
    let mut lanes: Vec<Lane<'_>> = Vec::with_capacity(LANES);
    loop {
        lanes.extend(waiting.split_off(waiting.len().saturating_sub(LANES.saturating_sub(lanes.len()))));
        lanes.sort_by_key(|lane| Reverse(lane.blocks.len()));
        let count = lanes.last().map_or(0, |lane| lane.blocks.len());
        match lanes.as_mut_slice() {
            [] => return digests,
            [a] => walk_all([a], count),
            [a, b] => walk_all([a, b], count),
            [a, b, c] => walk_all([a, b, c], count),
            [a, b, c, d, ..] => walk_all([a, b, c, d], count),
        }
        if let Some(done) = lanes.pop()
            && let Some(place) = digests.get_mut(done.number)
        {
            *place = done.digest();
        }
    }
}

fn walk_all<const N: usize>(lanes: [&mut Lane<'_>; N], count: usize) {
    let mut pairs = lanes.map(|lane| (lane.take(count), &mut lane.state));
    let blocks = pairs.each_ref().map(|(blocks, _)| *blocks);
    walk(pairs.each_mut().map(|(_, state)| &mut **state), blocks);
}

/// Hashes as many blocks of each lane as the shortest one has.
fn walk<const N: usize>(mut states: [&mut [u32; 4]; N], blocks: [&[Block]; N]) {
    let mut all: [Wide<N>; 4] = [[0; N]; 4];
    for (lane, state) in states.iter().enumerate() {
        for (wide, word) in all.iter_mut().zip(state.iter()) {
            wide.get_mut(lane).into_iter().for_each(|place| *place = *word);
        }
    }
    let mut each = blocks.map(<[Block]>::iter);
    loop {
        let next = each.each_mut().map(Iterator::next);
        if next.iter().any(Option::is_none) {
            break;
        }
        all = block(all, next.map(|block| block.unwrap_or(&[0; BLOCK])));
    }
    for (lane, state) in states.iter_mut().enumerate() {
        for (wide, word) in all.iter().zip(state.iter_mut()) {
            *word = wide.get(lane).copied().unwrap_or(0);
        }
    }
}

#[inline(always)]
fn each<const N: usize>(mut a: Wide<N>, b: Wide<N>, of: impl Fn(u32, u32) -> u32) -> Wide<N> {
    a.iter_mut().zip(b).for_each(|(a, b)| *a = of(*a, b));
    a
}

#[inline(always)]
fn add<const N: usize>(a: Wide<N>, b: Wide<N>) -> Wide<N> {
    each(a, b, u32::wrapping_add)
}

/// One block of each lane.
#[inline(always)]
fn block<const N: usize>(state: [Wide<N>; 4], blocks: [&Block; N]) -> [Wide<N>; 4] {
    let mut m: [Wide<N>; 16] = [[0; N]; 16];
    for (lane, block) in blocks.iter().enumerate() {
        for (wide, bytes) in m.iter_mut().zip(block.as_chunks::<4>().0) {
            wide.get_mut(lane).into_iter().for_each(|place| *place = u32::from_le_bytes(*bytes));
        }
    }
    let [mut a, mut b, mut c, mut d] = state;
    // One step: a = b + rotate(a + mix(b, c, d) + m + k).
    macro_rules! step {
        ($mix:ident, $a:ident, $b:ident, $c:ident, $d:ident, $m:literal, $by:literal, $k:literal) => {
            let sum = add(add($a, $mix($b, $c, $d)), m[$m].map(|word| word.wrapping_add($k)));
            $a = add(sum.map(|word| word.rotate_left($by)), $b);
        };
    }
    macro_rules! four {
        ($mix:ident, [$s1:literal $s2:literal $s3:literal $s4:literal], $($m:literal $k:literal),+) => {
            four!(@ $mix, [$s1 $s2 $s3 $s4], $($m $k),+)
        };
        (@ $mix:ident, [$s1:literal $s2:literal $s3:literal $s4:literal],
         $m1:literal $k1:literal, $m2:literal $k2:literal, $m3:literal $k3:literal, $m4:literal $k4:literal) => {
            step!($mix, a, b, c, d, $m1, $s1, $k1);
            step!($mix, d, a, b, c, $m2, $s2, $k2);
            step!($mix, c, d, a, b, $m3, $s3, $k3);
            step!($mix, b, c, d, a, $m4, $s4, $k4);
        };
    }
    four!(f, [7 12 17 22], 0 0xd76a_a478, 1 0xe8c7_b756, 2 0x2420_70db, 3 0xc1bd_ceee);
    four!(f, [7 12 17 22], 4 0xf57c_0faf, 5 0x4787_c62a, 6 0xa830_4613, 7 0xfd46_9501);
    four!(f, [7 12 17 22], 8 0x6980_98d8, 9 0x8b44_f7af, 10 0xffff_5bb1, 11 0x895c_d7be);
    four!(f, [7 12 17 22], 12 0x6b90_1122, 13 0xfd98_7193, 14 0xa679_438e, 15 0x49b4_0821);
    four!(g, [5 9 14 20], 1 0xf61e_2562, 6 0xc040_b340, 11 0x265e_5a51, 0 0xe9b6_c7aa);
    four!(g, [5 9 14 20], 5 0xd62f_105d, 10 0x0244_1453, 15 0xd8a1_e681, 4 0xe7d3_fbc8);
    four!(g, [5 9 14 20], 9 0x21e1_cde6, 14 0xc337_07d6, 3 0xf4d5_0d87, 8 0x455a_14ed);
    four!(g, [5 9 14 20], 13 0xa9e3_e905, 2 0xfcef_a3f8, 7 0x676f_02d9, 12 0x8d2a_4c8a);
    four!(h, [4 11 16 23], 5 0xfffa_3942, 8 0x8771_f681, 11 0x6d9d_6122, 14 0xfde5_380c);
    four!(h, [4 11 16 23], 1 0xa4be_ea44, 4 0x4bde_cfa9, 7 0xf6bb_4b60, 10 0xbebf_bc70);
    four!(h, [4 11 16 23], 13 0x289b_7ec6, 0 0xeaa1_27fa, 3 0xd4ef_3085, 6 0x0488_1d05);
    four!(h, [4 11 16 23], 9 0xd9d4_d039, 12 0xe6db_99e5, 15 0x1fa2_7cf8, 2 0xc4ac_5665);
    four!(i, [6 10 15 21], 0 0xf429_2244, 7 0x432a_ff97, 14 0xab94_23a7, 5 0xfc93_a039);
    four!(i, [6 10 15 21], 12 0x655b_59c3, 3 0x8f0c_cc92, 10 0xffef_f47d, 1 0x8584_5dd1);
    four!(i, [6 10 15 21], 8 0x6fa8_7e4f, 15 0xfe2c_e6e0, 6 0xa301_4314, 13 0x4e08_11a1);
    four!(i, [6 10 15 21], 4 0xf753_7e82, 11 0xbd3a_f235, 2 0x2ad7_d2bb, 9 0xeb86_d391);
    let [a0, b0, c0, d0] = state;
    [add(a, a0), add(b, b0), add(c, c0), add(d, d0)]
}

#[inline(always)]
fn f<const N: usize>(x: Wide<N>, y: Wide<N>, z: Wide<N>) -> Wide<N> {
    each(each(each(y, z, |y, z| y ^ z), x, |yz, x| yz & x), z, |mixed, z| mixed ^ z)
}

#[inline(always)]
fn g<const N: usize>(x: Wide<N>, y: Wide<N>, z: Wide<N>) -> Wide<N> {
    f(z, x, y)
}

#[inline(always)]
fn h<const N: usize>(x: Wide<N>, y: Wide<N>, z: Wide<N>) -> Wide<N> {
    each(each(x, y, |x, y| x ^ y), z, |xy, z| xy ^ z)
}

#[inline(always)]
fn i<const N: usize>(x: Wide<N>, y: Wide<N>, z: Wide<N>) -> Wide<N> {
    each(each(x, z, |x, z| x | !z), y, |xz, y| xz ^ y)
}

#[cfg(test)]
mod tests {
    use super::digests;
    use crate::facts::hashes::hex;
    use md5::{Digest, Md5};

    #[test]
    fn digests_are_those_of_the_rfc() {
        let texts: [&[u8]; 3] = [b"", b"abc", b"message digest"];
        let told: Vec<String> = digests(&texts).iter().map(|digest| hex(digest)).collect();
        let expected = [
            "d41d8cd98f00b204e9800998ecf8427e",
            "900150983cd24fb0d6963f7d28e17f72",
            "f96b697d7cb7938d525a2f31aaf161d0",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn parts_of_any_lengths_side_by_side_have_the_digests_that_they_have_alone() {
        let bytes: Vec<u8> =
            (0..70_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        let lengths = [0, 1, 55, 56, 57, 63, 64, 65, 119, 120, 128, 1000, 4096, 9999, 70_001, 200_000];
        for count in 0..lengths.len() {
            let parts: Vec<&[u8]> = lengths[count..].iter().map(|&len| &bytes[count..count + len]).collect();
            let expected: Vec<[u8; 16]> = parts.iter().map(|part| Md5::digest(part).into()).collect();
            assert_eq!(digests(&parts), expected, "{:?}", &lengths[count..]);
        }
    }
}
