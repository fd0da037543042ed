//! The uploads of one connection: which of them a chunk belongs to.
//!
//! Usually there is one. A chunk at offset 0 with other bytes may begin a new one, or be a stray: the old one is
//! set aside, and what comes next decides. Chunks that no key decodes are kept apart, in the order they came.

use super::Progress;
use super::context::Context;
use super::keys::Decoded;
use super::upload::{Chunk, Finished, Upload};
use crate::connection::SharedChange;
use crate::event::{Answer, Event, KeySource, Reason};

/// What the sender said and was told with the chunk that begins an upload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said {
    /// What the implant says to it.
    pub(crate) answer: Answer,
    /// Why.
    pub(crate) reason: Reason,
    /// The request's Timeout.
    pub(crate) timeout: u32,
    /// The request's multiplex id.
    pub(crate) mid: u16,
    /// Where the request begins in the inbound stream.
    pub(crate) stream_at: u64,
}

/// The uploads of one connection.
#[derive(Debug, Default)]
pub(crate) struct Uploads {
    current: Option<Box<Upload>>,
    /// What `current` interrupted by a chunk at offset 0.
    aside: Option<Box<Upload>>,
    /// Bytes that no key decodes.
    raw: Option<Box<Upload>>,
    /// The last one that was whole.
    finished: Option<Finished>,
    /// Begun so far; raw copies count.
    begun: u32,
    /// `limits.uploads_max` was told.
    refused: bool,
}

impl Uploads {
    /// The upload that is under way.
    pub(crate) fn current(&self) -> Option<&Upload> {
        self.current.as_deref()
    }

    /// Keeps a chunk that `found` decodes. Says whether it was kept, and whether its parameters hold together.
    pub(crate) fn keep(
        &mut self,
        ctx: &mut Context<'_>,
        said: Said,
        found: &Decoded,
        chunk: &Chunk<'_>,
    ) -> (bool, bool) {
        self.turn_to(ctx, chunk);
        if self.current.is_none() {
            let total = Some(u64::from(found.parameters.total));
            self.current = self.begin(ctx, said, total, Some(found.key), found.source);
        }
        let Some(upload) = &mut self.current else { return (false, false) };
        upload.key = Some(found.key);
        let fits = upload.announce(ctx, found.parameters);
        if found.source == KeySource::Recovered {
            upload.odd(ctx, "wrong-key", chunk.offset, u64::from(found.key));
        }
        upload.store(ctx, chunk, self.finished.as_ref());
        if upload.is_complete(ctx) {
            self.finish_current(ctx);
        }
        (true, fits)
    }

    /// Keeps bytes that no key decodes, behind the ones before them.
    pub(crate) fn keep_raw(
        &mut self,
        ctx: &mut Context<'_>,
        said: Said,
        data: &[u8],
        stream_at: Option<u64>,
    ) {
        if self.raw.is_none() {
            self.raw = self.begin(ctx, said, None, None, KeySource::Unknown);
        }
        if let Some(upload) = &mut self.raw {
            let chunk = Chunk { data, key: 0, offset: upload.end(), total: 0, stream_at, params_at: None };
            upload.store(ctx, &chunk, None);
        }
    }

    /// Tells an oddity of the upload that is under way.
    pub(crate) fn odd(&mut self, ctx: &mut Context<'_>, what: &'static str, offset: u64, value: u64) {
        if let Some(upload) = &mut self.current {
            upload.odd(ctx, what, offset, value);
        }
    }

    /// The connection is over.
    pub(crate) fn end(&mut self, ctx: &mut Context<'_>) {
        self.finish_current(ctx);
        for upload in [self.aside.take(), self.raw.take()].into_iter().flatten() {
            upload.finish(ctx);
        }
    }

    /// How far the present upload is.
    pub(crate) fn progress(&self) -> Option<Progress> {
        self.current.as_ref().or(self.raw.as_ref()).map(|upload| Progress {
            upload: upload.number,
            received: upload.received(),
            total: upload.total,
            key_source: upload.key_source,
        })
    }

    /// Bytes owned.
    pub(crate) fn memory_used(&self) -> usize {
        let uploads = [&self.current, &self.aside, &self.raw]
            .into_iter()
            .flatten()
            .map(|upload| size_of::<Upload>().saturating_add(upload.memory_used()));
        uploads.fold(self.finished.as_ref().map_or(0, Finished::memory_used), usize::saturating_add)
    }

    /// Makes the upload that `chunk` belongs to the current one, if it is here.
    fn turn_to(&mut self, ctx: &mut Context<'_>, chunk: &Chunk<'_>) {
        let Some(current) = &self.current else { return };
        let goes_on = chunk.offset == current.end();
        if !goes_on && self.aside.as_ref().is_some_and(|aside| chunk.offset == aside.end()) {
            // The chunk at offset 0 was a stray: it stays as what it is, and the upload before goes on.
            self.finish_current(ctx);
            self.current = self.aside.take();
        } else if current.is_restart(chunk) {
            if let Some(aside) = self.aside.take() {
                aside.finish(ctx);
            }
            self.aside = self.current.take();
        } else if current.is_full(ctx, chunk) {
            self.odd(ctx, "too-many-ranges", chunk.offset, u64::from(ctx.decoy.limits.ranges_max));
            ctx.limit("ranges_max", u64::from(ctx.decoy.limits.ranges_max));
            self.finish_current(ctx);
        }
    }

    fn begin(
        &mut self,
        ctx: &mut Context<'_>,
        said: Said,
        total: Option<u64>,
        key: Option<u32>,
        source: KeySource,
    ) -> Option<Box<Upload>> {
        if self.begun >= ctx.decoy.limits.uploads_max {
            if !std::mem::replace(&mut self.refused, true) {
                ctx.limit("uploads_max", u64::from(ctx.decoy.limits.uploads_max));
            }
            return None;
        }
        let number = ctx.tally.next_upload();
        let raw = (source == KeySource::Recovered).then(|| ctx.tally.next_upload());
        self.begun = self.begun.saturating_add(if raw.is_some() { 2 } else { 1 });
        // Who got the answer and why is told of every upload; `limits.uploads_max` bounds them.
        ctx.tell_always(Event::UploadStarted {
            upload: number,
            answer: said.answer,
            reason: said.reason,
            total,
            key,
            key_source: source,
            timeout: said.timeout,
            mid: said.mid,
            stream_at: said.stream_at,
        });
        let mut upload = Upload::begin(ctx, number, source, raw);
        upload.answered = said.answer == Answer::Present;
        Some(Box::new(upload))
    }

    fn finish_current(&mut self, ctx: &mut Context<'_>) {
        let Some(upload) = self.current.take() else { return };
        let whole = upload.is_complete(ctx);
        if whole && upload.answered {
            ctx.output.changes.push(SharedChange::UploadFinished);
            // Until the sensor tells the new state: what came in the same read meets the new seed too.
            ctx.shared.generation = ctx.shared.generation.saturating_add(1);
        }
        let finished = upload.finish(ctx);
        if whole {
            self.finished = Some(finished);
        }
    }
}
