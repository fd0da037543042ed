//! One upload through the implant: where its bytes go and when it is whole.

use super::context::Context;
use super::ranges::Ranges;
use super::{CaptureOp, PayloadSpan};
use crate::event::{ByteRange, Event, KeySource, Origin, UploadState};
use crate::wire::doublepulsar::{ExecParameters, xor_into};
use crate::wire::reader::size;
use sha2::{Digest, Sha256};

/// A chunk as it lies in the inbound stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunk<'a> {
    /// The bytes as they came, XORed.
    pub(crate) data: &'a [u8],
    /// Where they go in the upload.
    pub(crate) offset: u64,
    /// Where they stood in the inbound stream, if in one piece.
    pub(crate) stream_at: Option<u64>,
    /// Where their parameters stood, if these are exactly {total, len, offset} under the upload's key.
    pub(crate) params_at: Option<u64>,
}

/// An upload that is under way.
#[derive(Debug)]
pub(crate) struct Upload {
    /// Its number.
    pub(crate) number: u32,
    /// The number under which its raw bytes are kept besides, where its key is not ours.
    pub(crate) raw: Option<u32>,
    /// Its key; `None` where no key gives sense.
    pub(crate) key: Option<u32>,
    /// Where that came from.
    pub(crate) key_source: KeySource,
    /// The total announced last.
    pub(crate) total: Option<u64>,
    /// Whether the implant answered this source: only then does its end change the seed.
    pub(crate) answered: bool,
    ranges: Ranges,
    chunks: u64,
    repeats: u64,
    oversize: bool,
    /// Digest of the chunk at offset 0, to tell a repeat from a new beginning.
    first: Option<[u8; 32]>,
    oddities: Vec<&'static str>,
}

impl Upload {
    /// A new upload; tells the holder that it begins.
    pub(crate) fn begin(ctx: &mut Context<'_>, number: u32, raw: Option<u32>) -> Self {
        let origin = if raw == Some(number) { Origin::DoublePulsarRaw } else { Origin::DoublePulsar };
        ctx.output.capture.push(CaptureOp::Begin { upload: number, origin });
        if let Some(raw) = raw.filter(|&raw| raw != number) {
            ctx.output.capture.push(CaptureOp::Begin { upload: raw, origin: Origin::DoublePulsarRaw });
        }
        Self {
            number,
            raw: raw.filter(|&raw| raw != number),
            key: None,
            key_source: KeySource::Unknown,
            total: None,
            answered: false,
            ranges: Ranges::default(),
            chunks: 0,
            repeats: 0,
            oversize: false,
            first: None,
            oddities: Vec::new(),
        }
    }

    /// Bytes that are kept.
    pub(crate) fn received(&self) -> u64 {
        self.ranges.total()
    }

    /// One past the last byte that is kept.
    pub(crate) fn end(&self) -> u64 {
        self.ranges.as_slice().last().map_or(0, |range| range.end)
    }

    /// Takes the total that a chunk announces.
    pub(crate) fn announce(&mut self, ctx: &mut Context<'_>, total: u64) {
        if self.total.is_some_and(|before| before != total) {
            self.odd(ctx, "total-changed", self.end(), total);
        }
        self.total = Some(total);
        if total > ctx.decoy.limits.upload_bytes_max {
            self.oversize = true;
            self.limit(ctx);
        }
    }

    /// Whether a chunk at offset 0 begins something else: other bytes than those that stand there.
    pub(crate) fn is_restart(&self, chunk: &Chunk<'_>) -> bool {
        chunk.offset == 0 && self.first.is_some_and(|first| first != digest(chunk.data))
    }

    /// Whether one more chunk there would exceed `limits.ranges_max`.
    pub(crate) fn is_full(&self, ctx: &Context<'_>, chunk: &Chunk<'_>) -> bool {
        let ranges = self.ranges.as_slice();
        u64::try_from(ranges.len()).unwrap_or(u64::MAX) >= u64::from(ctx.decoy.limits.ranges_max)
            && chunk.offset > self.end()
    }

    /// Keeps a chunk.
    pub(crate) fn store(&mut self, ctx: &mut Context<'_>, chunk: &Chunk<'_>) {
        self.chunks = self.chunks.saturating_add(1);
        if chunk.offset == 0 && self.first.is_none() {
            self.first = Some(digest(chunk.data));
        }
        let room = ctx.decoy.limits.upload_bytes_max.saturating_sub(chunk.offset);
        let kept = usize::try_from(room).ok().and_then(|room| chunk.data.get(..room)).unwrap_or(chunk.data);
        if kept.len() < chunk.data.len() {
            self.oversize = true;
            self.limit(ctx);
        }
        let key = self.key.unwrap_or(0);
        let base = ctx.output.payload.len();
        xor_into(&mut ctx.output.payload, kept, key);
        let len = u64::try_from(kept.len()).unwrap_or(0);
        let range = ByteRange { start: chunk.offset, end: chunk.offset.saturating_add(len) };
        let parts = self.ranges.parts(range);
        let all_free = matches!(parts.as_slice(), [(_, true)]);
        for (part, free) in parts {
            push(ctx, self.number, chunk.offset, base, part, free);
        }
        if let (Some(raw), false) = (self.raw, kept.is_empty()) {
            let raw_base = ctx.output.payload.len();
            ctx.output.payload.extend_from_slice(kept);
            for (part, free) in self.ranges.parts(range) {
                push(ctx, raw, chunk.offset, raw_base, part, free);
            }
        }
        if all_free {
            self.span(ctx, chunk, kept.len(), key);
        } else if !kept.is_empty() {
            self.repeats = self.repeats.saturating_add(1);
        }
        self.ranges.insert(range);
    }

    fn span(&self, ctx: &mut Context<'_>, chunk: &Chunk<'_>, len: usize, key: u32) {
        let (Some(stream_at), Ok(len)) = (chunk.stream_at, u32::try_from(len)) else { return };
        ctx.output.spans.push(PayloadSpan {
            upload: self.number,
            stream_at,
            len,
            offset: chunk.offset,
            key,
            // Clipped at a bound, the chunk is no longer what its parameters say.
            params_at: chunk.params_at.filter(|_| size(len) == chunk.data.len()),
            total: self.total.and_then(|total| u32::try_from(total).ok()).unwrap_or(0),
        });
    }

    fn limit(&mut self, ctx: &mut Context<'_>) {
        if !self.oddities.contains(&"oversize") {
            self.oddities.push("oversize");
            ctx.limit("upload_bytes_max", ctx.decoy.limits.upload_bytes_max);
        }
    }

    /// Tells an oddity, once of each kind.
    pub(crate) fn odd(&mut self, ctx: &mut Context<'_>, what: &'static str, offset: u64, value: u64) {
        if self.oddities.contains(&what) {
            return;
        }
        self.oddities.push(what);
        ctx.tell(Event::UploadOddity { upload: self.number, what: what.to_owned(), offset, value });
    }

    /// Whether every byte up to the total is here.
    pub(crate) fn is_complete(&self) -> bool {
        !self.oversize && self.total.is_some_and(|total| total > 0 && self.ranges.covers(total))
    }

    /// Ends it.
    pub(crate) fn finish(self, ctx: &mut Context<'_>) {
        let state = match (self.oversize, self.is_complete()) {
            (true, _) => UploadState::Oversize,
            (false, true) => UploadState::Complete,
            (false, false) => UploadState::Partial,
        };
        let ranges = self.ranges.as_slice().to_vec();
        ctx.tell_always(Event::UploadFinished {
            upload: self.number,
            state,
            total: self.total,
            received: self.ranges.total(),
            ranges: ranges.clone(),
            chunks: self.chunks,
            repeats: self.repeats,
        });
        for upload in std::iter::once(self.number).chain(self.raw) {
            ctx.output.capture.push(CaptureOp::End {
                upload,
                state,
                total: self.total,
                ranges: ranges.clone(),
            });
        }
    }

    /// Bytes owned.
    pub(crate) fn memory_used(&self) -> usize {
        self.ranges.memory_used().saturating_add(self.oddities.capacity().saturating_mul(size_of::<&str>()))
    }
}

fn push(ctx: &mut Context<'_>, upload: u32, chunk_offset: u64, base: usize, part: ByteRange, free: bool) {
    let skip = usize::try_from(part.start.saturating_sub(chunk_offset)).unwrap_or(usize::MAX);
    let start = base.saturating_add(skip);
    let bytes = start..start.saturating_add(usize::try_from(part.len()).unwrap_or(0));
    ctx.output.capture.push(if free {
        CaptureOp::Write { upload, offset: part.start, bytes }
    } else {
        CaptureOp::Again { upload, offset: part.start, bytes }
    });
}

/// SHA-256 of a chunk as it came.
pub(crate) fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

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
