//! Which key decodes a chunk.

use crate::event::KeySource;
use crate::wire::doublepulsar::ExecParameters;

/// Which key decodes a chunk, and what its parameters then say.
pub(crate) struct Decoded {
    pub(crate) key: u32,
    pub(crate) source: KeySource,
    pub(crate) parameters: ExecParameters,
}

/// Finds the key of a chunk of `declared` bytes whose parameters are `params`. `ours` are the keys that this
/// install gives or gave, the likeliest first. A key of ours that fits in any certain way wins; else the
/// sender's own is worked out, from the offset that is 0 in a first chunk or from the chunk size that the
/// message itself tells.
pub(crate) fn find_key(
    params: &[u8],
    declared: u32,
    ours: &[(u32, KeySource)],
    total_max: u64,
) -> Option<Decoded> {
    let wire = ExecParameters::parse(params, 0).ok()?;
    let try_key = |key: u32, source| Decoded {
        key,
        source,
        parameters: ExecParameters {
            total: wire.total ^ key,
            chunk: wire.chunk ^ key,
            offset: wire.offset ^ key,
        },
    };
    let fits = |found: &Decoded| found.parameters.end() <= u64::from(found.parameters.total);
    let mut decoded: Vec<Decoded> = ours.iter().map(|&(key, source)| try_key(key, source)).collect();
    let from_offset = try_key(wire.offset, KeySource::Recovered);
    let from_chunk = try_key(wire.chunk ^ declared, KeySource::Recovered);
    // Each rule is 32 bits of evidence but the last two, which only bound what is said.
    let strict = |found: &Decoded| found.parameters.chunk == declared;
    let first = |found: &Decoded| found.parameters.offset == 0;
    let sane = |found: &Decoded| fits(found) && u64::from(found.parameters.total) <= total_max;
    if let Some(at) = decoded.iter().position(strict).or_else(|| decoded.iter().position(first)) {
        return Some(decoded.swap_remove(at));
    }
    if from_offset.parameters.chunk == declared && from_offset.parameters.total != 0 {
        return Some(from_offset);
    }
    if let Some(at) = decoded.iter().position(sane) {
        return Some(decoded.swap_remove(at));
    }
    sane(&from_chunk).then_some(from_chunk)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: [(u32, KeySource); 1] = [(0x1111_2222, KeySource::Seed)];
    const MAX: u64 = 32 << 20;

    fn found(parameters: ExecParameters, key: u32, declared: u32) -> Option<(u32, ExecParameters)> {
        find_key(&parameters.encode(key), declared, &OURS, MAX).map(|found| (found.key, found.parameters))
    }

    #[test]
    fn our_key_is_known_whatever_else_lies() {
        for parameters in [
            ExecParameters { total: 8192, chunk: 4096, offset: 4096 },
            ExecParameters { total: 0, chunk: 4096, offset: 77 },
            ExecParameters { total: 0xffff_ffff, chunk: 9, offset: 0 },
            ExecParameters { total: 8192, chunk: 9, offset: 100 },
        ] {
            assert_eq!(found(parameters, 0x1111_2222, 4096), Some((0x1111_2222, parameters)));
        }
    }

    #[test]
    fn a_foreign_key_is_recovered() {
        let first = ExecParameters { total: 5_272_328, chunk: 4096, offset: 0 };
        assert_eq!(found(first, 0xdebd_96cd, 4096), Some((0xdebd_96cd, first)));
        let later = ExecParameters { total: 5_272_328, chunk: 4096, offset: 8192 };
        assert_eq!(found(later, 0xdebd_96cd, 4096), Some((0xdebd_96cd, later)));
        assert!(find_key(&[1, 2, 3], 4096, &OURS, MAX).is_none());
        assert!(find_key(b"nothing sane", 4096, &OURS, MAX).is_none());
    }
}
