//! The emulated DoublePulsar: who is answered, with which seed, and what becomes of what they send.

use super::context::Context;
use super::upload::{Chunk, Decoded, Upload, digest, find_key};
use super::{Policy, Progress, SharedChange};
use crate::event::{Answer, Event, KeySource, Reason};
use crate::wire::doublepulsar::{ExecParameters, Opcode, Outcome, key_from_seed};
use crate::wire::reader::size;

/// How many earlier seeds are tried: another source's finished upload may have changed the seed meanwhile.
const EARLIER_SEEDS: u64 = 8;

/// A TRANS2 SESSION_SETUP as the implant sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    /// Its Timeout carries the opcode.
    pub(crate) timeout: u32,
    /// Its multiplex id.
    pub(crate) mid: u16,
    /// Its parameter bytes.
    pub(crate) parameters: &'a [u8],
    /// Where they stood in the inbound stream, if in one piece.
    pub(crate) parameters_at: Option<u64>,
    /// Its data, as far as they came.
    pub(crate) data: &'a [u8],
    /// How many data bytes it declares.
    pub(crate) declared: u32,
    /// Where the data stood in the inbound stream, if in one piece.
    pub(crate) data_at: Option<u64>,
}

/// What goes into the reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Response {
    /// Added to the MID.
    pub(crate) mid_delta: u16,
    /// SecurityFeatures: seed and architecture in a ping's reply, else zeros.
    pub(crate) security: [u8; 8],
}

/// The implant's side of one connection.
#[derive(Debug, Default)]
pub(crate) struct Implant {
    upload: Option<Upload>,
    /// Numbers given so far.
    numbers: u32,
    /// The key that decoded this connection's last upload.
    last_key: Option<u32>,
    /// The last chunk of the upload that was finished last: the same once more is a repeat, no new upload.
    closing: Option<(u64, [u8; 32])>,
    /// Chunks that no upload could take (`limits.uploads_max`).
    refused: bool,
}

/// Whether the implant answers this source, and why.
fn decide(ctx: &Context<'_>) -> (Answer, Reason) {
    match ctx.decoy.implant.policy {
        Policy::Absent => (Answer::Absent, Reason::PolicyAbsent),
        _ if ctx.shared.dormant => (Answer::Absent, Reason::Dormant),
        Policy::Present => (Answer::Present, Reason::PolicyPresent),
        Policy::AfterExploit if ctx.shared.exploited => (Answer::Present, Reason::Exploited),
        Policy::AfterExploit => (Answer::Absent, Reason::NotExploited),
    }
}

impl Implant {
    /// Answers one request. `reachable` is whether Windows' own checks let it through to the implant; bytes are
    /// kept even where they do not.
    pub(crate) fn handle(
        &mut self,
        ctx: &mut Context<'_>,
        request: &Request<'_>,
        reachable: bool,
    ) -> Response {
        let (answer, reason) = decide(ctx);
        let here = reachable && answer == Answer::Present;
        let outcome = match Opcode::from_timeout(request.timeout) {
            Opcode::Ping if reachable => return ping(ctx, request, answer, reason),
            Opcode::Kill if reachable => {
                ctx.tell(Event::ImplantKill { answer, reason, timeout: request.timeout, mid: request.mid });
                if here {
                    ctx.shared.dormant = true;
                    ctx.output.changes.push(SharedChange::Killed);
                }
                Outcome::Ok
            }
            Opcode::Exec => self.exec(ctx, request, (answer, reason)),
            Opcode::Ping | Opcode::Kill | Opcode::Unknown(_) => Outcome::NotThere,
        };
        Response { mid_delta: if here { outcome.mid_delta() } else { 0 }, security: [0; 8] }
    }

    fn exec(&mut self, ctx: &mut Context<'_>, request: &Request<'_>, said: (Answer, Reason)) -> Outcome {
        if request.data.is_empty() {
            return Outcome::InvalidParameters;
        }
        let Some(found) = self.find_key(ctx, request) else {
            self.keep_raw(ctx, request, said);
            return Outcome::Ok;
        };
        let parameters = found.parameters;
        let key_source = found.source;
        let chunk = chunk_of(request, parameters);
        if self.is_closing_repeat(&chunk) {
            return Outcome::Ok;
        }
        if !self.open(ctx, request, said, Some(found), &chunk) {
            return Outcome::AllocationFailure;
        }
        let oversize = u64::from(parameters.total) > ctx.decoy.limits.upload_bytes_max;
        let out_of_range = parameters.total == 0 || parameters.end() > u64::from(parameters.total);
        if let Some(upload) = &mut self.upload {
            upload.announce(ctx, u64::from(parameters.total));
            if out_of_range {
                upload.odd(ctx, "out-of-range", chunk.offset, parameters.end());
            }
            if parameters.chunk != request.declared {
                upload.odd(ctx, "chunk-size-lies", chunk.offset, u64::from(parameters.chunk));
            }
            if key_source == KeySource::Recovered {
                upload.odd(ctx, "wrong-key", chunk.offset, u64::from(upload.key.unwrap_or(0)));
            }
            upload.store(ctx, &chunk);
            if upload.is_complete() {
                self.closing = Some((chunk.offset, digest(chunk.data)));
                self.finish(ctx);
            }
        }
        match (oversize, out_of_range) {
            (true, _) => Outcome::AllocationFailure,
            (false, true) => Outcome::InvalidParameters,
            (false, false) => Outcome::Ok,
        }
    }

    /// The key of a chunk: the present upload's, the seeds of this install, or the sender's own.
    fn find_key(&self, ctx: &Context<'_>, request: &Request<'_>) -> Option<Decoded> {
        let mut ours = Vec::new();
        if let Some(upload) = &self.upload
            && let Some(key) = upload.key
        {
            // The hot path: no seed is derived for a chunk of an upload that is under way.
            ours.push((key, upload.key_source));
            if let Some(found) = certain(ctx, request, &ours) {
                return Some(found);
            }
            // The total that was announced before is as good a proof, where the chunk's size lies.
            if let Ok(parameters) = ExecParameters::parse(request.parameters, key)
                && upload.total == Some(u64::from(parameters.total))
            {
                return Some(Decoded { key, source: upload.key_source, parameters });
            }
        }
        let present = ctx.shared.generation;
        ours.push((key_from_seed(ctx.seed(present)), KeySource::Seed));
        if let Some(found) = certain(ctx, request, &ours) {
            return Some(found);
        }
        ours.extend(self.last_key.map(|key| (key, KeySource::EarlierSeed)));
        for back in 1..=EARLIER_SEEDS {
            if let Some(generation) = present.checked_sub(back) {
                ours.push((key_from_seed(ctx.seed(generation)), KeySource::EarlierSeed));
            }
        }
        find_key(request.parameters, request.declared, &ours, ctx.decoy.limits.upload_bytes_max)
    }

    fn is_closing_repeat(&self, chunk: &Chunk<'_>) -> bool {
        self.upload.is_none()
            && chunk.offset != 0
            && self.closing.is_some_and(|(offset, held)| offset == chunk.offset && held == digest(chunk.data))
    }

    /// Makes sure that there is an upload that `chunk` belongs to; ends the one before where it is another.
    fn open(
        &mut self,
        ctx: &mut Context<'_>,
        request: &Request<'_>,
        (answer, reason): (Answer, Reason),
        found: Option<Decoded>,
        chunk: &Chunk<'_>,
    ) -> bool {
        let key = found.as_ref().map(|found| found.key);
        if let Some(upload) = &self.upload {
            if upload.key != key || upload.is_restart(chunk) || upload.is_full(ctx, chunk) {
                self.finish(ctx);
            } else {
                return true;
            }
        }
        if self.numbers >= ctx.decoy.limits.uploads_max {
            if !std::mem::replace(&mut self.refused, true) {
                ctx.limit("uploads_max", u64::from(ctx.decoy.limits.uploads_max));
            }
            return false;
        }
        let number = self.numbers.saturating_add(1);
        let source = found.as_ref().map_or(KeySource::Unknown, |found| found.source);
        let raw = match source {
            KeySource::Recovered => Some(number.saturating_add(1)),
            KeySource::Unknown => Some(number),
            KeySource::Seed | KeySource::EarlierSeed => None,
        };
        self.numbers = raw.unwrap_or(number);
        ctx.tell(Event::UploadStarted {
            upload: number,
            answer,
            reason,
            total: found.as_ref().map(|found| u64::from(found.parameters.total)),
            key,
            key_source: source,
            timeout: request.timeout,
            mid: request.mid,
        });
        let mut upload = Upload::begin(ctx, number, raw);
        upload.key = key;
        upload.key_source = source;
        upload.answered = answer == Answer::Present;
        self.last_key = key.or(self.last_key);
        self.upload = Some(upload);
        true
    }

    /// Keeps a chunk that no key decodes, behind the ones before it.
    fn keep_raw(&mut self, ctx: &mut Context<'_>, request: &Request<'_>, said: (Answer, Reason)) {
        let raw = self.upload.as_ref().filter(|upload| upload.key.is_none());
        let offset = raw.map_or(0, Upload::end);
        let chunk = Chunk { data: request.data, offset, stream_at: request.data_at, params_at: None };
        if (raw.is_some() || self.open(ctx, request, said, None, &chunk))
            && let Some(upload) = &mut self.upload
        {
            upload.store(ctx, &chunk);
        }
    }

    /// Ends the present upload, if there is one.
    pub(crate) fn finish(&mut self, ctx: &mut Context<'_>) {
        let Some(upload) = self.upload.take() else { return };
        if upload.answered && upload.is_complete() {
            ctx.output.changes.push(SharedChange::UploadFinished);
            // Until the sensor tells the new state: what came in the same read meets the new seed too.
            ctx.shared.generation = ctx.shared.generation.saturating_add(1);
        }
        upload.finish(ctx);
    }

    /// How far the present upload is.
    pub(crate) fn progress(&self) -> Option<Progress> {
        self.upload.as_ref().map(|upload| Progress {
            upload: upload.number,
            received: upload.received(),
            total: upload.total,
            key_source: upload.key_source,
        })
    }

    /// Bytes owned.
    pub(crate) fn memory_used(&self) -> usize {
        self.upload.as_ref().map_or(0, Upload::memory_used)
    }
}

/// The usual case: a key of `ours` under which the chunk size is right.
fn certain(ctx: &Context<'_>, request: &Request<'_>, ours: &[(u32, KeySource)]) -> Option<Decoded> {
    find_key(request.parameters, request.declared, ours, ctx.decoy.limits.upload_bytes_max).filter(|found| {
        found.parameters.chunk == request.declared && ours.iter().any(|&(key, _)| key == found.key)
    })
}

/// The part of a request that is payload: what its parameters call the chunk, clipped to what is there.
fn chunk_of<'a>(request: &Request<'a>, parameters: ExecParameters) -> Chunk<'a> {
    let chunk = size(parameters.chunk);
    let data = match request.data.get(..chunk) {
        Some(data) if chunk != 0 => data,
        _ => request.data,
    };
    // A transcript writes the parameters again from {total, len, offset}: only where that is what they say.
    let regular = usize::try_from(parameters.chunk).is_ok_and(|chunk| chunk == data.len());
    Chunk {
        data,
        offset: u64::from(parameters.offset),
        stream_at: request.data_at,
        params_at: request.parameters_at.filter(|_| regular),
    }
}

fn ping(ctx: &mut Context<'_>, request: &Request<'_>, answer: Answer, reason: Reason) -> Response {
    let here = answer == Answer::Present;
    let seed = if here { ctx.seed(ctx.shared.generation) } else { 0 };
    let arch = if here { ctx.arch() } else { "" };
    ctx.tell(Event::ImplantPing {
        answer,
        reason,
        timeout: request.timeout,
        mid: request.mid,
        seed,
        arch: arch.to_owned(),
    });
    if !here {
        return Response::default();
    }
    // Seed, then architecture: 0 is x86, 1 is x64.
    let [s0, s1, s2, s3] = seed.to_le_bytes();
    let security = [s0, s1, s2, s3, u8::from(arch == "x64"), 0, 0, 0];
    Response { mid_delta: Outcome::Ok.mid_delta(), security }
}
