//! One TCP connection: bytes and time in, bytes and events out. State, no layouts.

mod buffers;
mod context;
mod id;
mod implant;
mod interface;
mod keys;
mod logon;
mod pipe;
mod ranges;
mod reassembly;
mod share;
mod smb1;
mod tables;
mod transactions;
mod upload;
mod uploads;
mod watch;

pub use id::{BadConnectionId, ConnectionId};
pub use interface::*;

use crate::event::{CloseReason, Event, Origin, Text, Transport};
use crate::exploit::Sight;
use crate::time::Timestamp;
use crate::wire::nbss::{self, Deframed, Deframer};
use crate::wire::ntlmssp::hex;
use buffers::{Buffers, Owner};
use context::{Context, Tally};
use smb1::Smb1;
use std::sync::Arc;
use watch::Watch;

/// Bytes of an unknown frame that its event shows.
const HEAD_MAX: usize = 32;

/// One TCP connection's state.
#[derive(Debug)]
pub struct Connection {
    decoy: Arc<Decoy>,
    opening: Opening,
    shared: SharedState,
    deframer: Deframer,
    /// Made at the first message: most connections of a scan bring none.
    smb1: Option<Box<Smb1>>,
    tally: Tally,
    watch: Watch,
    buffers: Buffers,
    last_byte_at: Timestamp,
    opened: bool,
    over: bool,
}

impl Connection {
    /// A connection that was just accepted. Tells `connection.opened` at its first input.
    pub fn new(decoy: Arc<Decoy>, opening: Opening) -> Self {
        let deframer = Deframer::new(opening.transport, decoy.limits.frame_bytes_max);
        Self {
            decoy,
            opening,
            shared: SharedState::default(),
            deframer,
            smb1: None,
            tally: Tally::default(),
            watch: Watch::default(),
            buffers: Buffers::default(),
            last_byte_at: Timestamp::default(),
            opened: false,
            over: false,
        }
    }

    /// Takes one input at `now` (never earlier than the one before) and adds what follows to `output`.
    /// After [`Input::Ended`], or once `output.close` was set, further inputs do nothing; a connection that
    /// asked to be closed has told its end.
    pub fn handle(&mut self, now: Timestamp, input: Input<'_>, output: &mut Output) {
        if self.over {
            return;
        }
        if !self.opened {
            self.opened = true;
            let transport = self.opening.transport;
            self.step(now, output).0.tell_always(Event::ConnectionOpened { transport });
        }
        let sent_before = output.send.len();
        match input {
            Input::Bytes(bytes) => self.bytes(now, bytes, output),
            Input::Shared(shared) => self.shared = shared,
            Input::Tick if now >= self.deadline() => {
                let idle = now < Timestamp::default().plus_secs(self.decoy.limits.lifetime_secs);
                output.close.get_or_insert(if idle { CloseReason::Idle } else { CloseReason::Lifetime });
            }
            Input::Tick => {}
            Input::Ended(ending) => {
                output.close.get_or_insert(match ending {
                    Ending::Closed => CloseReason::PeerClosed,
                    Ending::Reset => CloseReason::PeerReset,
                    Ending::Shutdown => CloseReason::Shutdown,
                    Ending::Limit => CloseReason::Limit,
                });
            }
        }
        let sent = output.send.len().saturating_sub(sent_before);
        self.tally.bytes_out = self.tally.bytes_out.saturating_add(u64::try_from(sent).unwrap_or(0));
        if output.close.is_none()
            && self.memory_used()
                > usize::try_from(self.decoy.limits.connection_bytes_max).unwrap_or(usize::MAX)
        {
            let max = u64::from(self.decoy.limits.connection_bytes_max);
            self.step(now, output).0.limit("connection_bytes_max", max);
            output.close = Some(CloseReason::Limit);
        }
        if let Some(reason) = output.close {
            self.end(now, reason, output);
        }
    }

    /// When [`Input::Tick`] is due if nothing comes before.
    pub fn deadline(&self) -> Timestamp {
        let limits = &self.decoy.limits;
        self.last_byte_at
            .plus_secs(limits.idle_secs)
            .min(Timestamp::default().plus_secs(limits.lifetime_secs))
    }

    /// Bytes that this connection owns; never more than `limits.connection_bytes_max`.
    pub fn memory_used(&self) -> usize {
        let smb1 = self.smb1.as_ref().map_or(0, |smb1| size_of::<Smb1>().saturating_add(smb1.memory_used()));
        [self.deframer.memory_used(), smb1, self.watch.memory_used(), self.buffers.memory_used()]
            .into_iter()
            .fold(size_of::<Self>(), usize::saturating_add)
    }

    /// How far the present upload is, if there is one.
    pub fn progress(&self) -> Option<Progress> {
        self.smb1.as_ref().and_then(|smb1| smb1.transactions.implant.progress())
    }

    /// What a handler is given, and the two parts of the state that it works on.
    fn step<'a>(
        &'a mut self,
        now: Timestamp,
        output: &'a mut Output,
    ) -> (Context<'a>, &'a mut Deframer, &'a mut Option<Box<Smb1>>) {
        let Self { decoy, opening, shared, deframer, smb1, tally, watch, buffers, .. } = self;
        (Context { decoy, opening: *opening, now, shared, tally, watch, buffers, output }, deframer, smb1)
    }

    fn bytes(&mut self, now: Timestamp, mut bytes: &[u8], output: &mut Output) {
        self.last_byte_at = now;
        self.tally.bytes_in =
            self.tally.bytes_in.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        let (mut ctx, deframer, smb1) = self.step(now, output);
        if ctx.tally.bytes_in > ctx.decoy.limits.stream_bytes_max {
            ctx.limit("stream_bytes_max", ctx.decoy.limits.stream_bytes_max);
            ctx.close(CloseReason::Limit);
        }
        while ctx.output.close.is_none() {
            ctx.output.consumed = deframer.consumed();
            match deframer.next(&mut bytes) {
                Deframed::Incomplete => break,
                Deframed::TooLong { claimed } => {
                    // What Windows does with a frame that it cannot hold; the bytes are in the transcript.
                    ctx.limit("frame_bytes_max", u64::from(claimed));
                    ctx.watch.observer().too_long(claimed);
                    ctx.close(CloseReason::Refused);
                }
                Deframed::Frame { kind: nbss::SESSION_MESSAGE, body, stream_at } => {
                    let smb1 = smb1.get_or_insert_with(|| Box::new(Smb1::new(&ctx.decoy.limits)));
                    smb1.message(&mut ctx, body, stream_at.saturating_add(4));
                }
                Deframed::Frame { kind, body, .. } => session_service(&mut ctx, kind, body),
            }
        }
    }

    /// Keeps what is still open, tells what is still untold.
    fn end(&mut self, now: Timestamp, reason: CloseReason, output: &mut Output) {
        self.over = true;
        let (mut ctx, deframer, smb1) = self.step(now, output);
        if let Some((kind, claimed, body, stream_at)) = deframer.unfinished() {
            let arrived = u32::try_from(body.len()).unwrap_or(u32::MAX);
            ctx.tell(Event::FrameUnfinished { claimed, arrived });
            ctx.watch.observer().unfinished(claimed, body);
            let body_at = stream_at.saturating_add(4);
            let carries = ctx.show(&Sight::Unfinished { claimed, body }, stream_at);
            if let (nbss::SESSION_MESSAGE, Some(smb1)) = (kind, smb1.as_mut()) {
                smb1.cut_off(&mut ctx, body, body_at);
            }
            let claimed = ctx.watch.claimed || ctx.output.spans.iter().any(|span| span.stream_at >= body_at);
            if !claimed {
                let origin = if carries { Origin::ExploitBuffer } else { Origin::UnknownBuffer };
                ctx.keep(Owner::CutOff, origin, body, Some(body_at));
            }
        }
        if let Some(smb1) = smb1 {
            smb1.transactions.end(&mut ctx);
        }
        ctx.end_buffers();
        if let Some(fingerprint) = ctx.watch.fingerprint() {
            ctx.tell_always(fingerprint);
        }
        let (bytes_in, bytes_out) = (ctx.tally.bytes_in, ctx.tally.bytes_out);
        let events_dropped = ctx.tally.events_dropped;
        ctx.tell_always(Event::ConnectionClosed {
            reason,
            duration_us: now.0,
            bytes_in,
            bytes_out,
            events_dropped,
        });
        self.smb1 = None;
    }
}

/// NetBIOS frames that carry no SMB.
fn session_service(ctx: &mut Context<'_>, kind: u8, body: &[u8]) {
    ctx.watch.observer().frame(kind);
    match kind {
        nbss::KEEP_ALIVE => {}
        nbss::SESSION_REQUEST if ctx.opening.transport == Transport::NetBios => {
            let name = |at: usize| {
                let encoded = body.get(at..).unwrap_or_default();
                Text(nbss::decode_name(encoded).unwrap_or_default())
            };
            // Each name is a length byte, 32 bytes and the empty scope's zero.
            ctx.tell(Event::NetBiosSession { called: name(0), calling: name(34) });
            ctx.output.send.extend_from_slice(&[nbss::POSITIVE_RESPONSE, 0, 0, 0]);
            ctx.output.writes.push(ctx.output.send.len());
        }
        _ => {
            let head = body.get(..HEAD_MAX).unwrap_or(body);
            ctx.tell(Event::FrameUnknown { kind, head: hex(head) });
            ctx.close(CloseReason::Refused);
        }
    }
}
