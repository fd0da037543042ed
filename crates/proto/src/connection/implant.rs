//! The emulated DoublePulsar: who is answered, with which seed, and what becomes of what they send.

use super::buffers::Owner;
use super::context::Context;
use super::keys::{Decoded, find_key};
use super::upload::Chunk;
use super::uploads::{Said, Uploads};
use super::{Policy, Progress, SharedChange};
use crate::event::{Answer, Event, KeySource, Origin, Reason};
use crate::wire::doublepulsar::{ExecParameters, Opcode, Outcome, key_from_seed};
use crate::wire::reader::size;

/// How many earlier seeds are tried: another source's finished upload may have changed the seed meanwhile.
const EARLIER_SEEDS: u64 = 32;

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
    /// Where the message begins in the inbound stream; of one in several pieces, the last.
    pub(crate) stream_at: u64,
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
    uploads: Uploads,
    /// The key whose seed a ping of this connection was told: other sources' uploads may change the seed since.
    pinged_key: Option<u32>,
    /// The key that decoded this connection's last chunk.
    last_key: Option<u32>,
}

/// Whether the implant answers this source, and why.
pub(crate) fn decide(ctx: &Context<'_>) -> (Answer, Reason) {
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
            Opcode::Ping if reachable => {
                if here {
                    self.pinged_key = Some(key_from_seed(ctx.seed(ctx.shared.generation)));
                }
                return ping(ctx, request, answer, reason);
            }
            Opcode::Kill if reachable => {
                let (timeout, mid, stream_at) = (request.timeout, request.mid, request.stream_at);
                ctx.tell_decision(Event::ImplantKill { answer, reason, timeout, mid, stream_at });
                if here {
                    ctx.shared.dormant = true;
                    ctx.output.changes.push(SharedChange::Killed);
                }
                Outcome::Ok
            }
            Opcode::Exec => {
                let answer = if here { answer } else { Answer::Absent };
                let (timeout, mid, stream_at) = (request.timeout, request.mid, request.stream_at);
                self.exec(ctx, request, Said { answer, reason, timeout, mid, stream_at })
            }
            Opcode::Unknown(opcode) => {
                let (timeout, mid, stream_at) = (request.timeout, request.mid, request.stream_at);
                let size = u64::try_from(request.data.len()).unwrap_or(u64::MAX);
                ctx.tell_decision(Event::ImplantUnknown { opcode, timeout, mid, size, stream_at });
                ctx.keep(Owner::Message, Origin::UnknownBuffer, request.data, request.data_at);
                Outcome::NotThere
            }
            Opcode::Ping | Opcode::Kill => Outcome::NotThere,
        };
        Response { mid_delta: if here { outcome.mid_delta() } else { 0 }, security: [0; 8] }
    }

    fn exec(&mut self, ctx: &mut Context<'_>, request: &Request<'_>, said: Said) -> Outcome {
        ctx.watch.claimed = true;
        if request.data.is_empty() {
            return Outcome::InvalidParameters;
        }
        let Some(found) = self.find_key(ctx, request) else {
            self.uploads.keep_raw(ctx, said, request.data, request.data_at);
            return Outcome::Ok;
        };
        self.last_key = Some(found.key);
        let (chunk, excess) = chunk_of(request, &found);
        let (kept, fits) = self.uploads.keep(ctx, said, &found, &chunk);
        if found.parameters.chunk != request.declared {
            self.uploads.odd(ctx, "chunk-size-lies", chunk.offset, u64::from(found.parameters.chunk));
        }
        if !excess.is_empty() {
            // The implant would take no more than the parameters say; the rest is no payload, but it came.
            let at = request.data_at.and_then(|at| at.checked_add(u64::try_from(chunk.data.len()).ok()?));
            self.uploads.keep_raw(ctx, said, excess, at);
        }
        let oversize = u64::from(found.parameters.total) > ctx.decoy.limits.upload_bytes_max;
        match (kept && !oversize, fits) {
            (false, _) => Outcome::AllocationFailure,
            (true, false) => Outcome::InvalidParameters,
            (true, true) => Outcome::Ok,
        }
    }

    /// The key of a chunk: the present upload's, the seeds of this install, or the sender's own.
    fn find_key(&self, ctx: &Context<'_>, request: &Request<'_>) -> Option<Decoded> {
        let mut ours = Vec::new();
        if let Some(upload) = self.uploads.current()
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
        let known = [self.pinged_key, self.last_key].into_iter().flatten();
        ours.extend(known.map(|key| (key, KeySource::EarlierSeed)));
        for back in 1..=EARLIER_SEEDS {
            if let Some(generation) = present.checked_sub(back) {
                ours.push((key_from_seed(ctx.seed(generation)), KeySource::EarlierSeed));
            }
        }
        find_key(request.parameters, request.declared, &ours, ctx.decoy.limits.upload_bytes_max)
    }

    /// The connection is over.
    pub(crate) fn end(&mut self, ctx: &mut Context<'_>) {
        self.uploads.end(ctx);
    }

    /// How far the present upload is.
    pub(crate) fn progress(&self) -> Option<Progress> {
        self.uploads.progress()
    }

    /// Bytes owned.
    pub(crate) fn memory_used(&self) -> usize {
        self.uploads.memory_used()
    }
}

/// The usual case: a key of `ours` under which the chunk size is right.
fn certain(ctx: &Context<'_>, request: &Request<'_>, ours: &[(u32, KeySource)]) -> Option<Decoded> {
    find_key(request.parameters, request.declared, ours, ctx.decoy.limits.upload_bytes_max).filter(|found| {
        found.parameters.chunk == request.declared && ours.iter().any(|&(key, _)| key == found.key)
    })
}

/// The part of a request that is payload (what its parameters call the chunk, clipped to what is there), and
/// what stands behind it.
fn chunk_of<'a>(request: &Request<'a>, found: &Decoded) -> (Chunk<'a>, &'a [u8]) {
    let named = size(found.parameters.chunk);
    let (data, excess) = match request.data.split_at_checked(named) {
        Some(parts) if named != 0 => parts,
        _ => (request.data, &[][..]),
    };
    // A transcript writes the parameters again from {total, len, offset}: only where that is what they say.
    let regular = named == data.len();
    let chunk = Chunk {
        data,
        key: found.key,
        offset: u64::from(found.parameters.offset),
        total: found.parameters.total,
        stream_at: request.data_at,
        params_at: request.parameters_at.filter(|_| regular),
    };
    (chunk, excess)
}

fn ping(ctx: &mut Context<'_>, request: &Request<'_>, answer: Answer, reason: Reason) -> Response {
    let here = answer == Answer::Present;
    let seed = if here { ctx.seed(ctx.shared.generation) } else { 0 };
    let arch = if here { ctx.arch() } else { "" };
    ctx.tell_decision(Event::ImplantPing {
        answer,
        reason,
        timeout: request.timeout,
        mid: request.mid,
        seed,
        arch: arch.to_owned(),
        stream_at: request.stream_at,
    });
    if !here {
        return Response::default();
    }
    // Seed, then architecture: 0 is x86, 1 is x64.
    let [s0, s1, s2, s3] = seed.to_le_bytes();
    let security = [s0, s1, s2, s3, u8::from(arch == "x64"), 0, 0, 0];
    Response { mid_delta: Outcome::Ok.mid_delta(), security }
}
