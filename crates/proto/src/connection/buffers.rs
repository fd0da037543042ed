//! Bytes that no upload claims: what exploits carry, and large pieces of what nobody understands yet.
//!
//! Small messages are in the transcript. A larger piece becomes a sample, deduplicated like any other, and the
//! transcript refers to it: so every byte that a visitor brought is kept, and a recogniser that is written later
//! can be run over it.

use super::context::Context;
use super::{CaptureOp, PayloadSpan};
use crate::event::{ByteRange, Origin, UploadState};

/// Pieces smaller than this stay in the transcript, unless an exploit carries them.
pub(crate) const PIECE_BYTES_MIN: usize = 512;

/// What the pieces of one buffer have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A transaction that waits for its SECONDARY requests: TID, PID, UID, MID.
    Transaction((u16, u16, u16, u16)),
    /// What is written to a FID.
    Open(u16),
    /// One whole message or transaction; ends at once.
    Message,
    /// A frame or message that the connection ended in; ends at once.
    CutOff,
}

/// A buffer that may grow.
#[derive(Clone, Copy, Debug)]
struct Buffer {
    owner: Owner,
    upload: u32,
    len: u64,
}

/// The buffers of one connection; most have none.
#[derive(Debug, Default)]
pub(crate) struct Buffers(Option<Box<Held>>);

#[derive(Debug, Default)]
struct Held {
    open: Vec<Buffer>,
    begun: u32,
    bytes: u64,
    refused: bool,
}

impl Buffers {
    /// Bytes owned.
    pub(crate) fn memory_used(&self) -> usize {
        let Some(held) = &self.0 else { return 0 };
        size_of::<Held>().saturating_add(held.open.capacity().saturating_mul(size_of::<Buffer>()))
    }

    fn position(&self, owner: Owner) -> Option<usize> {
        self.0.as_ref()?.open.iter().position(|buffer| buffer.owner == owner)
    }

    fn held(&mut self) -> &mut Held {
        self.0.get_or_insert_default()
    }
}

impl Context<'_> {
    /// Keeps `piece`, which stands at `stream_at` of the inbound stream, behind what `owner` has already: the pieces
    /// stand in the sample in the order in which they came.
    pub(crate) fn keep(&mut self, owner: Owner, origin: Origin, piece: &[u8], stream_at: Option<u64>) {
        let is_small = piece.len() < PIECE_BYTES_MIN && origin != Origin::ExploitBuffer;
        if piece.is_empty() || (is_small && self.buffers.position(owner).is_none()) {
            return;
        }
        let len = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        let Some((upload, offset)) = self.place(owner, origin, len) else { return };
        let from = self.output.payload.len();
        self.output.payload.extend_from_slice(piece);
        let bytes = from..self.output.payload.len();
        self.output.capture.push(CaptureOp::Write { upload, offset, bytes });
        if let (Some(stream_at), Ok(len)) = (stream_at, u32::try_from(piece.len())) {
            let span = PayloadSpan { upload, stream_at, len, offset, key: 0, params_at: None, total: 0 };
            self.output.spans.push(span);
        }
        if matches!(owner, Owner::Message | Owner::CutOff) {
            self.end_buffer(owner, owner == Owner::Message);
        }
    }

    /// Nothing more comes for `owner`; `whole` is whether all came that was announced.
    pub(crate) fn end_buffer(&mut self, owner: Owner, whole: bool) {
        if let Some(at) = self.buffers.position(owner) {
            let buffer = self.buffers.held().open.remove(at);
            self.finish(buffer, whole);
        }
    }

    /// The connection is over: transactions are cut off, pipes were written as far as they were.
    pub(crate) fn end_buffers(&mut self) {
        for buffer in self.buffers.0.take().map(|held| held.open).unwrap_or_default() {
            self.finish(buffer, matches!(buffer.owner, Owner::Open(_)));
        }
    }

    /// Number and offset for `len` more bytes of `owner`; `None` where a bound is met.
    fn place(&mut self, owner: Owner, origin: Origin, len: u64) -> Option<(u32, u64)> {
        let limits = &self.decoy.limits;
        let place = self.buffers.position(owner);
        let held = self.buffers.held();
        let bytes = held.bytes.saturating_add(len);
        let met = if place.is_none() && held.begun >= limits.buffers_max {
            Some(("buffers_max", u64::from(limits.buffers_max)))
        } else if bytes > limits.buffer_bytes_max {
            Some(("buffer_bytes_max", limits.buffer_bytes_max))
        } else {
            None
        };
        if let Some((name, value)) = met {
            if !std::mem::replace(&mut held.refused, true) {
                self.limit(name, value);
            }
            return None;
        }
        held.bytes = bytes;
        if place.is_none() {
            let upload = self.tally.next_upload();
            held.begun = held.begun.saturating_add(1);
            self.output.capture.push(CaptureOp::Begin { upload, origin });
            held.open.push(Buffer { owner, upload, len: 0 });
        }
        let buffer = held.open.iter_mut().rev().find(|buffer| buffer.owner == owner)?;
        let offset = buffer.len;
        buffer.len = buffer.len.saturating_add(len);
        Some((buffer.upload, offset))
    }

    fn finish(&mut self, buffer: Buffer, whole: bool) {
        self.output.capture.push(CaptureOp::End {
            upload: buffer.upload,
            state: if whole { UploadState::Complete } else { UploadState::Partial },
            total: None,
            ranges: vec![ByteRange { start: 0, end: buffer.len }],
        });
    }
}
