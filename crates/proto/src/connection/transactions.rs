//! TRANSACTION, TRANSACTION2, NT_TRANSACT and their SECONDARY requests: what each is answered with.

use super::Ms17010;
use super::buffers::Owner;
use super::context::Context;
use super::implant::{self, Implant, Response};
use super::pipe;
use super::reassembly::{Pending, Reassembly, Refusal, key};
use super::tables::{Open, Table};
use crate::event::{Event, Origin};
use crate::exploit::{Sight, ms17_010};
use crate::wire::Malformed;
use crate::wire::smb1::header::Header;
use crate::wire::smb1::trans::{self, Primary, Secondary};
use crate::wire::smb1::{
    Block, NT_TRANSACT, NT_TRANSACT_SECONDARY, TRANSACTION, TRANSACTION_SECONDARY, TRANSACTION2, nt_transact,
};
use crate::wire::status::Status;

/// How a transaction is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Nothing is said.
    Silence,
    /// No words, no bytes: the interim reply (success), a refusal, or the implant's.
    Plain { command: u8, status: Status, response: Response },
    /// Parameters and data.
    Full { command: u8, status: Status, parameters: Vec<u8>, data: Vec<u8> },
}

/// Where a message stands and whether Windows would let its sender in.
#[derive(Clone, Copy)]
pub(crate) struct Frame<'a> {
    /// The whole message.
    pub(crate) message: &'a [u8],
    /// Position of its first byte in the inbound stream.
    pub(crate) stream_at: u64,
    /// Its header.
    pub(crate) header: &'a Header,
    /// What Windows' check of UID and TID gives.
    pub(crate) admitted: Result<(), Status>,
}

impl Frame<'_> {
    /// Where byte `at` of the message stands in the inbound stream.
    pub(crate) fn stream_position(&self, at: usize) -> Option<u64> {
        Some(self.stream_at.saturating_add(u64::try_from(at).ok()?))
    }
}

/// A whole transaction, wherever it was put together.
struct Whole<'a> {
    /// The command of its first request.
    began_as: u8,
    setup: Option<u16>,
    setup_next: Option<u16>,
    function: u16,
    timeout: u32,
    parameters: &'a [u8],
    parameters_at: Option<u64>,
    data: &'a [u8],
    declared: u32,
    data_at: Option<u64>,
    /// Where its (last) message begins in the inbound stream.
    stream_at: u64,
}

/// The transactions of one connection.
#[derive(Debug, Default)]
pub(crate) struct Transactions {
    pending: Reassembly,
    pub(crate) implant: Implant,
}

const fn plain(command: u8, status: Status) -> Answer {
    Answer::Plain { command, status, response: Response { mid_delta: 0, security: [0; 8] } }
}

impl Transactions {
    /// A first request.
    pub(crate) fn primary(
        &mut self,
        ctx: &mut Context<'_>,
        opens: &Table<Open>,
        frame: &Frame<'_>,
        block: &Block<'_>,
    ) -> Result<Answer, Malformed> {
        let primary = parse_primary(frame, block)?;
        let command = frame.header.command;
        if !primary.is_whole() {
            if let Err(status) = frame.admitted {
                return Ok(plain(command, status));
            }
            let limits = &ctx.decoy.limits;
            let held = self.pending.begin(
                frame.header,
                &primary,
                limits.transactions_max,
                limits.reassembly_bytes_max,
            );
            return Ok(match held {
                Ok(()) => {
                    self.begun(ctx, frame, &primary);
                    plain(command, Status::SUCCESS)
                }
                Err(refusal) => refuse(ctx, command, refusal),
            });
        }
        let whole = Whole::of_primary(frame, &primary);
        Ok(self.dispatch(ctx, opens, frame, command, &whole))
    }

    /// A SECONDARY request.
    pub(crate) fn secondary(
        &mut self,
        ctx: &mut Context<'_>,
        opens: &Table<Open>,
        frame: &Frame<'_>,
        block: &Block<'_>,
    ) -> Result<Answer, Malformed> {
        let secondary = parse_secondary(frame, block)?;
        // Windows answers as the command that the SECONDARY belongs to.
        let command = match frame.header.command {
            TRANSACTION_SECONDARY => TRANSACTION,
            NT_TRANSACT_SECONDARY => NT_TRANSACT,
            _ => TRANSACTION2,
        };
        if let Err(status) = frame.admitted {
            return Ok(plain(command, status));
        }
        match self.pending.proceed(frame.header, &secondary, ctx.decoy.limits.reassembly_bytes_max) {
            Ok(None) => {
                self.piece(ctx, frame, &secondary);
                Ok(Answer::Silence)
            }
            Ok(Some(pending)) => {
                keep_piece(ctx, frame, pending.origin, &secondary);
                ctx.end_buffer(Owner::Transaction(key(frame.header)), true);
                self.whole(ctx, frame, command, &pending);
                Ok(self.dispatch(ctx, opens, frame, command, &Whole::of_pending(&pending, frame.stream_at)))
            }
            Err(refusal) => Ok(refuse(ctx, command, refusal)),
        }
    }

    /// A transaction that waits for more: who knows it, and whose its bytes are.
    fn begun(&mut self, ctx: &mut Context<'_>, frame: &Frame<'_>, primary: &Primary<'_>) {
        let command = frame.header.command;
        let setup = primary.setup_word(0);
        let sight = Sight::Begun {
            header: frame.header,
            function: if command == NT_TRANSACT { primary.function } else { setup.unwrap_or(0) },
            total_parameters: primary.total_parameters,
            total_data: primary.total_data,
        };
        let carries = ctx.show(&sight, frame.stream_at);
        // The implant keeps its own.
        let is_implants = command == TRANSACTION2 && setup == Some(trans::TRANS2_SESSION_SETUP);
        let origin = match (is_implants, carries) {
            (true, _) => None,
            (false, true) => Some(Origin::ExploitBuffer),
            (false, false) => Some(Origin::UnknownBuffer),
        };
        if let Some(pending) = self.pending.find_mut(frame.header) {
            pending.origin = origin;
        }
        match origin {
            None => ctx.watch.claimed = true,
            Some(origin) => {
                let owner = Owner::Transaction(key(frame.header));
                ctx.keep(owner, origin, primary.data.bytes, frame.stream_position(primary.data.at));
            }
        }
    }

    /// One more piece of a transaction that waits for more.
    fn piece(&mut self, ctx: &mut Context<'_>, frame: &Frame<'_>, secondary: &Secondary<'_>) {
        if let Some(pending) = self.pending.find_mut(frame.header) {
            keep_piece(ctx, frame, pending.origin, secondary);
        }
    }

    /// A transaction has become whole.
    fn whole(&self, ctx: &mut Context<'_>, frame: &Frame<'_>, command: u8, pending: &Pending) {
        let sight = Sight::Whole {
            began_as: pending.command,
            ended_as: command,
            total_data: pending.declared_data(),
            answered: ctx.decoy.ms17_010 == Ms17010::Unpatched,
        };
        ctx.show(&sight, frame.stream_at);
    }

    fn dispatch(
        &mut self,
        ctx: &mut Context<'_>,
        opens: &Table<Open>,
        frame: &Frame<'_>,
        command: u8,
        whole: &Whole<'_>,
    ) -> Answer {
        // The implant's bytes are kept even where Windows would refuse the sender.
        if command == TRANSACTION2
            && whole.setup == Some(trans::TRANS2_SESSION_SETUP)
            && whole.began_as == command
        {
            let request = whole.for_implant(frame.header.mid);
            let response = self.implant.handle(ctx, &request, frame.admitted.is_ok());
            let status = frame.admitted.err().unwrap_or(Status::NOT_IMPLEMENTED);
            return Answer::Plain { command, status, response };
        }
        if let Err(status) = frame.admitted {
            return plain(command, status);
        }
        if whole.began_as != command {
            // The exploit's mixture: 30 parameters come back as they went in, with this status, in 88 bytes.
            return Answer::Full {
                command,
                status: Status::INVALID_PARAMETER,
                parameters: whole.parameters.to_vec(),
                data: Vec::new(),
            };
        }
        match command {
            TRANSACTION => transaction(ctx, opens, frame, whole),
            TRANSACTION2 => {
                let status = match whole.setup {
                    Some(trans::TRANS2_GET_DFS_REFERRAL) => Status::NOT_FOUND,
                    Some(0..=0x11) => Status::ACCESS_DENIED,
                    _ => Status::INVALID_PARAMETER,
                };
                refused(ctx, command, whole.setup.unwrap_or(0), status)
            }
            _ => {
                let known = (1..=6).contains(&whole.function);
                let status = if known { Status::ACCESS_DENIED } else { Status::INVALID_PARAMETER };
                refused(ctx, command, whole.function, status)
            }
        }
    }

    /// The connection is over: what never became whole is kept as far as it came.
    pub(crate) fn end(&mut self, ctx: &mut Context<'_>) {
        for pending in self.pending.take() {
            let whole = Whole::of_pending(&pending, 0);
            if pending.command == TRANSACTION2 && whole.setup == Some(trans::TRANS2_SESSION_SETUP) {
                self.implant.handle(ctx, &whole.for_implant(0), false);
            }
        }
        self.implant.end(ctx);
    }

    /// The connection ended inside this message: its payload is kept as far as it came.
    pub(crate) fn cut_off(&mut self, ctx: &mut Context<'_>, frame: &Frame<'_>, block: &Block<'_>) {
        match frame.header.command {
            TRANSACTION2 => {
                let Ok(primary) = parse_primary(frame, block) else { return };
                if primary.setup_word(0) == Some(trans::TRANS2_SESSION_SETUP) {
                    let whole = Whole::of_primary(frame, &primary);
                    self.implant.handle(ctx, &whole.for_implant(frame.header.mid), false);
                }
            }
            TRANSACTION_SECONDARY | NT_TRANSACT_SECONDARY | crate::wire::smb1::TRANSACTION2_SECONDARY => {
                if let Ok(secondary) = parse_secondary(frame, block) {
                    // Whole or not, `end` keeps it; a refusal was told before.
                    let max = ctx.decoy.limits.reassembly_bytes_max;
                    self.piece(ctx, frame, &secondary);
                    if let Ok(Some(pending)) = self.pending.proceed(frame.header, &secondary, max) {
                        let whole = Whole::of_pending(&pending, frame.stream_at);
                        if pending.command == TRANSACTION2 && whole.setup == Some(trans::TRANS2_SESSION_SETUP)
                        {
                            self.implant.handle(ctx, &whole.for_implant(frame.header.mid), false);
                        }
                    }
                }
            }
            _ => {}
        }
    }

    /// Bytes owned.
    pub(crate) fn memory_used(&self) -> usize {
        self.pending.memory_used().saturating_add(self.implant.memory_used())
    }
}

fn parse_primary<'a>(frame: &Frame<'a>, block: &Block<'a>) -> Result<Primary<'a>, Malformed> {
    if frame.header.command == NT_TRANSACT {
        nt_transact::parse_primary(frame.message, block)
    } else {
        Primary::parse(frame.message, block)
    }
}

fn parse_secondary<'a>(frame: &Frame<'a>, block: &Block<'a>) -> Result<Secondary<'a>, Malformed> {
    if frame.header.command == NT_TRANSACT_SECONDARY {
        nt_transact::parse_secondary(frame.message, block)
    } else {
        Secondary::parse(frame.message, block)
    }
}

/// Keeps a SECONDARY's data with its transaction's; `origin` is `None` where the implant keeps them.
fn keep_piece(ctx: &mut Context<'_>, frame: &Frame<'_>, origin: Option<Origin>, secondary: &Secondary<'_>) {
    match origin {
        None => ctx.watch.claimed = true,
        Some(origin) => {
            let owner = Owner::Transaction(key(frame.header));
            ctx.keep(owner, origin, secondary.data.bytes, frame.stream_position(secondary.data.at));
        }
    }
}

fn refuse(ctx: &mut Context<'_>, command: u8, refusal: Refusal) -> Answer {
    match refusal {
        Refusal::Limit(name, value) => {
            ctx.limit(name, u64::from(value));
            plain(command, Status::INSUFF_SERVER_RESOURCES)
        }
        Refusal::Unmatched => refused(ctx, command, 0, Status::INVALID_SMB),
    }
}

fn refused(ctx: &mut Context<'_>, command: u8, subcommand: u16, status: Status) -> Answer {
    ctx.tell(Event::Smb1Refused { command, subcommand, status: status.0 });
    plain(command, status)
}

fn transaction(ctx: &mut Context<'_>, opens: &Table<Open>, frame: &Frame<'_>, whole: &Whole<'_>) -> Answer {
    let open = whole.setup_next.and_then(|fid| opens.get(fid));
    match (whole.setup, open) {
        (Some(trans::PEEK_NMPIPE), Some(open)) => {
            // ReadDataAvailable, MessageBytesLength, NamedPipeState: connected ([MS-CIFS] 2.2.5.5.2).
            let waiting = u16::try_from(open.waiting.len()).unwrap_or(u16::MAX).to_le_bytes();
            let parameters = [waiting, waiting, [3, 0]].concat();
            Answer::Full { command: TRANSACTION, status: Status::SUCCESS, parameters, data: Vec::new() }
        }
        (Some(trans::PEEK_NMPIPE), None) => {
            let patched =
                (ctx.decoy.ms17_010 == Ms17010::Patched).then_some(ctx.decoy.persona.patched_peek_status);
            let (event, status) = ms17_010::probe(patched.map(Status), frame.header, frame.stream_at);
            ctx.tell_decision(event);
            plain(TRANSACTION, status)
        }
        (Some(trans::TRANSACT_NMPIPE), Some(open)) => Answer::Full {
            command: TRANSACTION,
            status: Status::SUCCESS,
            parameters: Vec::new(),
            data: pipe::transact(open, whole.data),
        },
        (Some(trans::TRANSACT_NMPIPE), None) => {
            refused(ctx, TRANSACTION, trans::TRANSACT_NMPIPE, Status::INVALID_HANDLE)
        }
        // The remote administration protocol (\PIPE\LANMAN, no setup words) is closed to the null session.
        (None, _) => refused(ctx, TRANSACTION, 0, Status::ACCESS_DENIED),
        (Some(setup), _) => refused(ctx, TRANSACTION, setup, Status::NOT_SUPPORTED),
    }
}

impl<'a> Whole<'a> {
    fn of_primary(frame: &Frame<'a>, primary: &Primary<'a>) -> Self {
        Self {
            began_as: frame.header.command,
            setup: primary.setup_word(0),
            setup_next: primary.setup_word(1),
            function: primary.function,
            timeout: primary.timeout,
            parameters: primary.parameters.bytes,
            parameters_at: frame.stream_position(primary.parameters.at),
            data: primary.data.bytes,
            declared: primary.data.declared,
            data_at: frame.stream_position(primary.data.at),
            stream_at: frame.stream_at,
        }
    }

    fn of_pending(pending: &'a Pending, stream_at: u64) -> Self {
        let setup =
            |at: usize| pending.setup.as_chunks::<2>().0.get(at).map(|&word| u16::from_le_bytes(word));
        Self {
            began_as: pending.command,
            setup: setup(0),
            setup_next: setup(1),
            function: pending.function,
            timeout: pending.timeout,
            parameters: &pending.parameters,
            parameters_at: None,
            data: &pending.data,
            declared: pending.declared_data(),
            data_at: None,
            stream_at,
        }
    }

    fn for_implant(&self, mid: u16) -> implant::Request<'a> {
        implant::Request {
            timeout: self.timeout,
            mid,
            parameters: self.parameters,
            parameters_at: self.parameters_at,
            data: self.data,
            declared: self.declared,
            data_at: self.data_at,
            stream_at: self.stream_at,
        }
    }
}
