//! One upload through the implant: where its bytes go and when it is whole.

use super::context::Context;
use super::ranges::Ranges;
use super::{CaptureOp, PayloadSpan};
use crate::event::{ByteRange, Event, KeySource, Origin, UploadState};
use crate::wire::doublepulsar::{ExecParameters, xor_into};
use crate::wire::reader::size;
use sha2::{Digest, Sha256};

/// Chunks of which an upload remembers a mark (12 bytes each), to know them again when they come once more.
const MARKS_MAX: usize = 2048;

/// A chunk as it lies in the inbound stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunk<'a> {
    /// The bytes as they came, XORed.
    pub(crate) data: &'a [u8],
    /// With what; 0 where no key gives sense.
    pub(crate) key: u32,
    /// Where they go in the upload.
    pub(crate) offset: u64,
    /// The total that their own parameters announce.
    pub(crate) total: u32,
    /// Where they stood in the inbound stream, if in one piece.
    pub(crate) stream_at: Option<u64>,
    /// Where their parameters stood, if these are exactly {total, len, offset} under the key.
    pub(crate) params_at: Option<u64>,
}

/// Marks of an upload's chunks.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    offsets: Vec<u64>,
    hashes: Vec<u64>,
}

impl Marks {
    fn contains(&self, offset: u64, hash: u64) -> bool {
        self.offsets.iter().zip(&self.hashes).any(|held| held == (&offset, &hash))
    }

    fn add(&mut self, offset: u64, hash: u64) {
        if self.offsets.len() < MARKS_MAX {
            self.offsets.push(offset);
            self.hashes.push(hash);
        }
    }

    fn memory_used(&self) -> usize {
        self.offsets.capacity().saturating_add(self.hashes.capacity()).saturating_mul(size_of::<u64>())
    }
}

/// An upload that was whole, as far as it is remembered.
#[derive(Debug)]
pub(crate) struct Finished {
    number: u32,
    marks: Marks,
}

impl Finished {
    /// Bytes owned.
    pub(crate) fn memory_used(&self) -> usize {
        self.marks.memory_used()
    }
}

/// An upload that is under way.
#[derive(Debug)]
pub(crate) struct Upload {
    /// Its number.
    pub(crate) number: u32,
    /// The number under which its raw bytes are kept besides, where its key is not ours.
    raw: Option<u32>,
    /// The key of its last chunk; `None` where no key gives sense.
    pub(crate) key: Option<u32>,
    /// Where that came from.
    pub(crate) key_source: KeySource,
    /// The total announced.
    pub(crate) total: Option<u64>,
    /// Whether the implant answered this source: only then does its end change the seed.
    pub(crate) answered: bool,
    ranges: Ranges,
    chunks: u64,
    repeats: u64,
    /// Bytes were left out over `limits.upload_bytes_max`.
    clipped: bool,
    /// Length and digest of the chunk at offset 0, to tell a repeat from a new beginning.
    first: Option<(usize, [u8; 32])>,
    marks: Marks,
    /// Chunks that the upload before had too, byte for byte.
    known: u64,
    oddities: Vec<&'static str>,
}

impl Upload {
    /// A new upload; tells the holder that it begins. `raw`: also keep the bytes as they come, under this number.
    pub(crate) fn begin(ctx: &mut Context<'_>, number: u32, source: KeySource, raw: Option<u32>) -> Self {
        let origin =
            if source == KeySource::Unknown { Origin::DoublePulsarRaw } else { Origin::DoublePulsar };
        ctx.output.capture.push(CaptureOp::Begin { upload: number, origin });
        if let Some(raw) = raw {
            ctx.output.capture.push(CaptureOp::Begin { upload: raw, origin: Origin::DoublePulsarRaw });
        }
        Self {
            number,
            raw,
            key: None,
            key_source: source,
            total: None,
            answered: false,
            ranges: Ranges::default(),
            chunks: 0,
            repeats: 0,
            clipped: false,
            first: None,
            marks: Marks::default(),
            known: 0,
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

    /// Takes the total that a chunk announces. One that would lie below what is here or what comes is a lie:
    /// the total before stays. Says whether the chunk's parameters hold together.
    pub(crate) fn announce(&mut self, ctx: &mut Context<'_>, parameters: ExecParameters) -> bool {
        let total = u64::from(parameters.total);
        let fits = total != 0 && parameters.end() <= total && self.end() <= total;
        if self.total.is_some_and(|before| before != total) {
            self.odd(ctx, "total-changed", self.end(), total);
        }
        if fits || self.total.is_none() {
            self.total = Some(total);
        }
        if !fits {
            self.odd(ctx, "out-of-range", u64::from(parameters.offset), parameters.end());
        }
        if self.is_oversize(ctx) {
            self.limit(ctx);
        }
        fits
    }

    /// Whether a chunk at offset 0 begins something else: other bytes than those that stand there.
    pub(crate) fn is_restart(&self, chunk: &Chunk<'_>) -> bool {
        let same =
            |(len, held): (usize, [u8; 32])| chunk.data.get(..len).is_none_or(|head| digest(head) == held);
        chunk.offset == 0 && self.first.is_some_and(|first| !same(first))
    }

    /// Whether one more chunk there would exceed `limits.ranges_max`.
    pub(crate) fn is_full(&self, ctx: &Context<'_>, chunk: &Chunk<'_>) -> bool {
        self.ranges.as_slice().len() >= size(ctx.decoy.limits.ranges_max) && chunk.offset > self.end()
    }

    /// Keeps a chunk. `before` is the connection's last whole upload.
    pub(crate) fn store(&mut self, ctx: &mut Context<'_>, chunk: &Chunk<'_>, before: Option<&Finished>) {
        self.chunks = self.chunks.saturating_add(1);
        if chunk.offset == 0 && self.first.is_none() {
            self.first = Some((chunk.data.len(), digest(chunk.data)));
        }
        let room = ctx.decoy.limits.upload_bytes_max.saturating_sub(chunk.offset);
        let kept = usize::try_from(room).ok().and_then(|room| chunk.data.get(..room)).unwrap_or(chunk.data);
        if kept.len() < chunk.data.len() {
            self.clipped = true;
            self.limit(ctx);
        }
        let base = ctx.output.payload.len();
        xor_into(&mut ctx.output.payload, kept, chunk.key);
        let hash = ctx.output.payload.get(base..).map_or(0, |decoded| mark(ctx.mark_secret(), decoded));
        let same_as =
            before.filter(|before| before.marks.contains(chunk.offset, hash)).map(|before| before.number);
        self.known = self.known.saturating_add(u64::from(same_as.is_some()));
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
            // Only what stands in the sample as it came is known again.
            self.marks.add(chunk.offset, hash);
            // What the upload before had too is in its sample, whatever becomes of this one.
            self.span(ctx, chunk, kept.len(), same_as.unwrap_or(self.number));
        } else if !kept.is_empty() {
            self.repeats = self.repeats.saturating_add(1);
        }
        self.ranges.insert(range);
    }

    fn span(&self, ctx: &mut Context<'_>, chunk: &Chunk<'_>, len: usize, upload: u32) {
        let (Some(stream_at), Ok(len)) = (chunk.stream_at, u32::try_from(len)) else { return };
        ctx.output.spans.push(PayloadSpan {
            upload,
            stream_at,
            len,
            offset: chunk.offset,
            key: chunk.key,
            // Clipped at a bound, the chunk is no longer what its parameters say.
            params_at: chunk.params_at.filter(|_| size(len) == chunk.data.len()),
            total: chunk.total,
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

    /// Whether it is longer than what is kept of an upload.
    pub(crate) fn is_oversize(&self, ctx: &Context<'_>) -> bool {
        self.clipped || self.total.is_some_and(|total| total > ctx.decoy.limits.upload_bytes_max)
    }

    /// Whether every byte up to the total is here.
    pub(crate) fn is_complete(&self, ctx: &Context<'_>) -> bool {
        !self.is_oversize(ctx) && self.total.is_some_and(|total| total > 0 && self.ranges.covers(total))
    }

    /// Ends it. An upload that was not whole and of which the one before had every chunk is that one's late
    /// repeats: it becomes no sample of its own.
    pub(crate) fn finish(mut self, ctx: &mut Context<'_>) -> Finished {
        let state = match (self.is_oversize(ctx), self.is_complete(ctx)) {
            (true, _) => UploadState::Oversize,
            (false, true) => UploadState::Complete,
            (false, false) => UploadState::Partial,
        };
        let repeats_only = state == UploadState::Partial && self.known == self.chunks;
        if repeats_only {
            self.odd(ctx, "late-repeats", 0, self.chunks);
        }
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
            ctx.output.capture.push(if repeats_only {
                CaptureOp::Discard { upload }
            } else {
                CaptureOp::End { upload, state, total: self.total, ranges: ranges.clone() }
            });
        }
        Finished { number: self.number, marks: self.marks }
    }

    /// Bytes owned.
    pub(crate) fn memory_used(&self) -> usize {
        let oddities = self.oddities.capacity().saturating_mul(size_of::<&str>());
        self.ranges.memory_used().saturating_add(self.marks.memory_used()).saturating_add(oddities)
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
fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// A keyed 64-bit mark of a chunk's decoded bytes: four independent lanes, so that it costs a fraction of a hash.
/// It tells repeats apart from news among one sender's chunks; it is no evidence.
fn mark(secret: u64, bytes: &[u8]) -> u64 {
    const PRIMES: [u64; 4] =
        [0x9e37_79b9_7f4a_7c15, 0xc2b2_ae3d_27d4_eb4f, 0x1656_67b1_9e37_79f9, 0x27d4_eb2f_1656_67c5];
    let mut lanes = PRIMES.map(|prime| prime ^ secret);
    let (blocks, tail) = bytes.as_chunks::<32>();
    let mut last = [0; 32];
    for (place, &byte) in last.iter_mut().zip(tail) {
        *place = byte;
    }
    for block in blocks.iter().chain(std::iter::once(&last)) {
        for ((lane, word), prime) in lanes.iter_mut().zip(block.as_chunks::<8>().0).zip(PRIMES) {
            *lane = (*lane ^ u64::from_le_bytes(*word)).wrapping_mul(prime).rotate_left(29);
        }
    }
    let length = u64::try_from(bytes.len()).unwrap_or(0);
    lanes.into_iter().fold(length, |sum, lane| (sum ^ lane).wrapping_mul(PRIMES[0]).rotate_left(31))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_tell_chunks_apart() {
        let chunk: Vec<u8> = (0..=255).collect();
        let same = mark(1, &chunk);
        assert_eq!(same, mark(1, &chunk));
        assert_ne!(same, mark(2, &chunk));
        for at in 0..chunk.len() {
            let mut other = chunk.clone();
            other[at] ^= 1;
            assert_ne!(same, mark(1, &other), "{at}");
            assert_ne!(same, mark(1, &chunk[..at]), "{at}");
        }
    }
}
