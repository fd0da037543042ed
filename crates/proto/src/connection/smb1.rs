//! SMB1: one message in, at most one reply out (an ECHO may want more).

use super::buffers::Owner;
use super::context::Context;
use super::tables::{FIRST_FID, FIRST_UID_TID, Open, Session, Table};
use super::transactions::{Answer, Frame, Transactions};
use super::{logon, pipe, share};
use crate::event::{CloseReason, Event, Origin, Text};
use crate::exploit::Sight;
use crate::limits::Limits;
use crate::wire::smb1::header::{FLAGS2_EXTENDED_SECURITY, Header, LEN};
use crate::wire::smb1::{self, Block, create, echo, negotiate, read_write, session_setup, trans, tree};
use crate::wire::status::Status;
use crate::wire::writer::{Writer, len16};
use crate::wire::{Malformed, filetime, nbss, spnego};

/// Replies to one ECHO: Windows sends as many as are asked for; a honeypot is no amplifier.
const ECHO_REPLIES_MAX: u16 = 4;
/// Messages of this size that nobody understands are kept as samples; smaller ones are in the transcript.
const MESSAGE_BYTES_MIN: usize = 1024;
/// Bytes past a tree connect that its event shows: WannaCry's template shows through there.
const TRAILING_MAX: usize = 64;

/// SMB1's state on one connection.
#[derive(Debug)]
pub(crate) struct Smb1 {
    negotiated: bool,
    extended: bool,
    sessions: Table<Session>,
    trees: Table<()>,
    opens: Table<Open>,
    pub(crate) transactions: Transactions,
}

/// A command's reply block.
struct Done {
    /// Where AndXCommand stands in the reply, if the command chains.
    andx_at: Option<usize>,
    status: Status,
}

/// Why a command has no reply block.
enum Refused {
    With(Status),
    Malformed(Malformed),
}

impl From<Malformed> for Refused {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl From<Status> for Refused {
    fn from(status: Status) -> Self {
        Self::With(status)
    }
}

impl Smb1 {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            negotiated: false,
            extended: false,
            sessions: Table::new(FIRST_UID_TID, limits.sessions_max),
            trees: Table::new(FIRST_UID_TID, limits.trees_max),
            opens: Table::new(FIRST_FID, limits.opens_max),
            transactions: Transactions::default(),
        }
    }

    /// Takes one whole message that stands at `stream_at` of the inbound stream.
    pub(crate) fn message(&mut self, ctx: &mut Context<'_>, message: &[u8], stream_at: u64) {
        ctx.watch.observer().message(message);
        let header = match Header::parse(message) {
            Ok(header) => header,
            Err(malformed) => {
                // Windows drops a connection whose message is no SMB.
                tell_malformed(ctx, 0, malformed, Status::SUCCESS);
                return ctx.close(CloseReason::Refused);
            }
        };
        let admitted = self.admit(&header);
        let frame = Frame { message, stream_at, header: &header, admitted };
        if let Ok(block) = Block::parse(message, LEN) {
            ctx.show(&Sight::Message { header: &header, block: &block }, stream_at);
        }
        ctx.watch.claimed = false;
        match header.command {
            smb1::NT_CANCEL => {}
            smb1::ECHO => self.echo(ctx, &frame),
            smb1::TRANSACTION | smb1::TRANSACTION2 | smb1::NT_TRANSACT => self.transaction(ctx, &frame, true),
            smb1::TRANSACTION_SECONDARY | smb1::TRANSACTION2_SECONDARY | smb1::NT_TRANSACT_SECONDARY => {
                self.transaction(ctx, &frame, false);
            }
            _ => self.chain(ctx, &frame),
        }
        // What nobody took is kept whole, unless it is small enough for the transcript.
        let claimed =
            ctx.watch.claimed || ctx.output.spans.iter().rev().any(|span| span.stream_at >= stream_at);
        if message.len() >= MESSAGE_BYTES_MIN && !claimed {
            ctx.keep(Owner::Message, Origin::UnknownBuffer, message, Some(stream_at));
        }
    }

    /// The connection ended inside this message.
    pub(crate) fn cut_off(&mut self, ctx: &mut Context<'_>, message: &[u8], stream_at: u64) {
        let Ok(header) = Header::parse(message) else { return };
        let Ok(block) = Block::parse(message, LEN) else { return };
        let frame = Frame { message, stream_at, header: &header, admitted: self.admit(&header) };
        self.transactions.cut_off(ctx, &frame, &block);
    }

    /// Bytes owned.
    pub(crate) fn memory_used(&self) -> usize {
        let tables = [self.sessions.memory_used(), self.trees.memory_used(), self.opens.memory_used()];
        let opens = self.opens.values().map(Open::memory_used);
        tables.into_iter().chain(opens).fold(self.transactions.memory_used(), usize::saturating_add)
    }

    /// Windows' check of UID and TID, for commands that need both.
    fn admit(&self, header: &Header) -> Result<(), Status> {
        if self.sessions.get(header.uid).is_none_or(|session| !session.logged_on) {
            return Err(Status::SMB_BAD_UID);
        }
        if self.trees.get(header.tid).is_none() {
            return Err(Status::SMB_BAD_TID);
        }
        Ok(())
    }

    fn knows_nt_status(&self, header: &Header) -> bool {
        self.sessions.get(header.uid).is_some_and(|session| session.knows_nt_status)
    }

    fn echo(&mut self, ctx: &mut Context<'_>, frame: &Frame<'_>) {
        let echoed = Block::parse(frame.message, LEN).and_then(|block| Ok((echo::count(&block)?, block)));
        let (count, block) = match echoed {
            Ok(echoed) => echoed,
            Err(malformed) => return self.refuse_malformed(ctx, frame.header, malformed),
        };
        for sequence in 1..=count.min(ECHO_REPLIES_MAX) {
            reply(ctx, frame.header, |writer| echo::write_reply(writer, sequence, block.bytes));
        }
    }

    fn transaction(&mut self, ctx: &mut Context<'_>, frame: &Frame<'_>, primary: bool) {
        let answered = Block::parse(frame.message, LEN).and_then(|block| {
            if primary {
                self.transactions.primary(ctx, &self.opens, frame, &block)
            } else {
                self.transactions.secondary(ctx, &self.opens, frame, &block)
            }
        });
        let knows = self.knows_nt_status(frame.header);
        match answered {
            Err(malformed) => self.refuse_malformed(ctx, frame.header, malformed),
            Ok(Answer::Silence) => {}
            Ok(Answer::Plain { command, status, response }) => {
                let mut header = Header { command, ..*frame.header }.reply(status, knows);
                header.mid = header.mid.wrapping_add(response.mid_delta);
                header.security = response.security;
                write(ctx, &header, |writer| {
                    writer.u8(0).u16(0);
                });
            }
            Ok(Answer::Full { command, status, parameters, data }) => {
                let header = Header { command, ..*frame.header }.reply(status, knows);
                write(ctx, &header, |writer| trans::write_reply(writer, &parameters, &data));
            }
        }
    }

    /// Carries out the commands of an AndX chain: strictly forward, counted, stopping at the first refusal.
    fn chain(&mut self, ctx: &mut Context<'_>, frame: &Frame<'_>) {
        let mut send = std::mem::take(&mut ctx.output.send);
        let base = send.len();
        let mut writer = Writer::new(&mut send);
        writer.zeros(nbss::HEADER.saturating_add(LEN));
        let mut writer = Writer::continuing(&mut send, base.saturating_add(nbss::HEADER));
        let mut header = *frame.header;
        let (mut command, mut at, mut status) = (header.command, LEN, Status::SUCCESS);
        let mut link: Option<usize> = None;
        for step in 0..ctx.decoy.limits.chain_max {
            link_to(&mut writer, link, Some(command));
            let mut next = None;
            match self.step(ctx, &mut writer, &mut header, command, frame, at) {
                Ok((done, andx)) => {
                    status = done.status;
                    link = done.andx_at;
                    next = andx;
                }
                Err(refused) => {
                    status = tell_refused(ctx, command, &refused);
                    writer.u8(0).u16(0);
                    link = None;
                }
            }
            match next {
                Some((andx, offset)) if status == Status::SUCCESS && usize::from(offset) > at => {
                    if step.saturating_add(1) == ctx.decoy.limits.chain_max {
                        ctx.limit("chain_max", u64::from(ctx.decoy.limits.chain_max));
                    }
                    (command, at) = (andx, usize::from(offset));
                }
                _ => break,
            }
        }
        link_to(&mut writer, link, None);
        let mut reply =
            Header { command: frame.header.command, ..header }.reply(status, self.knows_nt_status(&header));
        reply.mid = frame.header.mid;
        finish(ctx, send, base, &reply);
    }

    /// One command of a chain: its reply block, and the next command with its offset.
    fn step(
        &mut self,
        ctx: &mut Context<'_>,
        writer: &mut Writer<'_>,
        header: &mut Header,
        command: u8,
        frame: &Frame<'_>,
        at: usize,
    ) -> Result<(Done, Option<(u8, u16)>), Refused> {
        let block = Block::parse(frame.message, at)?;
        let next = if smb1::is_andx(command) {
            block.andx().ok().filter(|&(andx, _)| andx != smb1::NO_ANDX)
        } else {
            None
        };
        let done = match command {
            smb1::NEGOTIATE => self.negotiate(ctx, writer, header, &block),
            smb1::SESSION_SETUP_ANDX => self.session_setup(ctx, writer, header, &block),
            smb1::LOGOFF_ANDX => self.logoff(writer, header),
            smb1::TREE_CONNECT_ANDX => self.tree_connect(ctx, writer, header, &block, frame),
            smb1::TREE_DISCONNECT => {
                self.admit(header)?;
                self.trees.remove(header.tid);
                Ok(empty(writer))
            }
            smb1::NT_CREATE_ANDX => self.create(ctx, writer, header, &block),
            smb1::CLOSE => {
                self.admit(header)?;
                self.opens.remove(create::close_fid(&block)?).ok_or(Status::INVALID_HANDLE)?;
                Ok(empty(writer))
            }
            smb1::READ_ANDX => self.read(writer, header, &block),
            smb1::WRITE_ANDX => self.write(ctx, writer, header, &block, frame),
            _ if !smb1::is_known(command) => Err(Status::SMB_BAD_COMMAND.into()),
            // Windows has these, but IPC$ and the null session give no access to what they work on.
            _ => Err(self.admit(header).err().unwrap_or(Status::ACCESS_DENIED).into()),
        }?;
        Ok((done, next))
    }

    fn negotiate(
        &mut self,
        ctx: &mut Context<'_>,
        writer: &mut Writer<'_>,
        header: &Header,
        block: &Block<'_>,
    ) -> Result<Done, Refused> {
        if self.negotiated {
            // [MS-CIFS] 3.3.5.42: a second negotiate costs the connection.
            ctx.close(CloseReason::Refused);
            return Err(Status::INVALID_SMB.into());
        }
        let selected = negotiate::select(block);
        let extended = header.flags2 & FLAGS2_EXTENDED_SECURITY != 0
            && selected.is_some_and(|(_, dialect)| dialect == negotiate::Dialect::NtLm012);
        let text_max = ctx.text_max();
        let dialects = negotiate::dialects(block).take(text_max).map(|name| Text::from_oem(name, text_max));
        ctx.tell(Event::Smb1Negotiate {
            dialects: dialects.collect(),
            selected: selected.map(|(index, _)| index),
            extended_security: extended,
            flags: header.flags,
            flags2: header.flags2,
            pid: header.pid,
            mid: header.mid,
        });
        let Some((index, dialect)) = selected else {
            negotiate::write_none(writer);
            return Ok(Done { andx_at: None, status: Status::SUCCESS });
        };
        (self.negotiated, self.extended) = (true, extended);
        let identity = &ctx.decoy.identity;
        let server = negotiate::Server {
            security_mode: ctx.decoy.persona.security_mode,
            max_buffer: ctx.decoy.persona.max_buffer,
            capabilities: ctx.decoy.persona.capabilities,
            system_time: filetime::from_unix_micros(ctx.wall_clock().0),
            time_zone: identity.time_zone,
            challenge: identity.challenge(ctx.opening.id.0),
            guid: identity.guid,
            security_blob: &spnego::WORKGROUP_INIT,
            domain: &identity.workgroup,
            computer: &identity.computer,
        };
        negotiate::write_reply(writer, index, dialect, extended, &server);
        Ok(Done { andx_at: None, status: Status::SUCCESS })
    }

    fn session_setup(
        &mut self,
        ctx: &mut Context<'_>,
        writer: &mut Writer<'_>,
        header: &mut Header,
        block: &Block<'_>,
    ) -> Result<Done, Refused> {
        if !self.negotiated {
            return Err(Status::INVALID_SMB.into());
        }
        let answered = logon::session_setup(ctx, &mut self.sessions, header, block)?;
        if !matches!(answered.status, Status::SUCCESS | Status::MORE_PROCESSING_REQUIRED) {
            return Err(answered.status.into());
        }
        header.uid = answered.uid;
        let server = session_setup::Server {
            native_os: ctx.decoy.persona.native_os,
            native_lan_manager: ctx.decoy.persona.native_lan_manager,
            domain: &ctx.decoy.identity.workgroup,
        };
        let andx_at =
            session_setup::write_reply(writer, header.is_unicode(), answered.blob.as_deref(), &server);
        Ok(Done { andx_at: Some(andx_at), status: answered.status })
    }

    fn logoff(&mut self, writer: &mut Writer<'_>, header: &Header) -> Result<Done, Refused> {
        self.sessions.remove(header.uid).ok_or(Status::SMB_BAD_UID)?;
        writer.u8(2);
        let andx_at = writer.len();
        writer.u8(smb1::NO_ANDX).u8(0).u16(0).u16(0);
        Ok(Done { andx_at: Some(andx_at), status: Status::SUCCESS })
    }

    fn tree_connect(
        &mut self,
        ctx: &mut Context<'_>,
        writer: &mut Writer<'_>,
        header: &mut Header,
        block: &Block<'_>,
        frame: &Frame<'_>,
    ) -> Result<Done, Refused> {
        let request = tree::Request::parse(block, header.is_unicode(), ctx.text_max())?;
        let session = self.sessions.get(header.uid).filter(|session| session.logged_on);
        let mut status = if session.is_some() { share::connect(&request) } else { Status::SMB_BAD_UID };
        let mut tid = 0;
        if status == Status::SUCCESS {
            match self.trees.insert(()) {
                Some(given) => tid = given,
                None => {
                    ctx.limit("trees_max", u64::from(ctx.decoy.limits.trees_max));
                    status = Status::INSUFF_SERVER_RESOURCES;
                }
            }
        }
        let end = block.bytes_at.saturating_add(block.bytes.len());
        let trailing = frame.message.get(end..).unwrap_or_default();
        ctx.tell(Event::Smb1Tree {
            path: request.path.clone(),
            service: request.service.clone(),
            trailing: Text::from_oem(trailing, TRAILING_MAX),
            tid,
            status: status.0,
        });
        if status != Status::SUCCESS {
            return Err(status.into());
        }
        header.tid = tid;
        let andx_at = tree::write_ipc_reply(writer, header.is_unicode(), request.extended);
        Ok(Done { andx_at: Some(andx_at), status })
    }

    fn create(
        &mut self,
        ctx: &mut Context<'_>,
        writer: &mut Writer<'_>,
        header: &Header,
        block: &Block<'_>,
    ) -> Result<Done, Refused> {
        let request = create::Request::parse(block, header.is_unicode(), ctx.text_max())?;
        let opened = self.admit(header).and_then(|()| pipe::open(&request.pipe()));
        let opened = opened.and_then(|open| self.opens.insert(open).ok_or(Status::INSUFF_SERVER_RESOURCES));
        let (fid, status) = opened.map_or_else(|status| (0, status), |fid| (fid, Status::SUCCESS));
        ctx.tell(Event::Smb1Open { name: request.name.clone(), fid, status: status.0 });
        if status != Status::SUCCESS {
            return Err(status.into());
        }
        Ok(Done { andx_at: Some(create::write_pipe_reply(writer, fid, request.extended)), status })
    }

    fn read(&mut self, writer: &mut Writer<'_>, header: &Header, block: &Block<'_>) -> Result<Done, Refused> {
        self.admit(header)?;
        let request = read_write::Read::parse(block)?;
        let open = self.opens.get_mut(request.fid).ok_or(Status::INVALID_HANDLE)?;
        if open.waiting.is_empty() {
            return Err(Status::PIPE_EMPTY.into());
        }
        let data = pipe::read(open, usize::from(request.count));
        Ok(Done { andx_at: Some(read_write::write_read_reply(writer, &data)), status: Status::SUCCESS })
    }

    fn write(
        &mut self,
        ctx: &mut Context<'_>,
        writer: &mut Writer<'_>,
        header: &Header,
        block: &Block<'_>,
        frame: &Frame<'_>,
    ) -> Result<Done, Refused> {
        let request = read_write::Write::parse(frame.message, block)?;
        let admitted = self.admit(header);
        let open = admitted.and_then(|()| self.opens.get_mut(request.fid).ok_or(Status::INVALID_HANDLE));
        let status = open.as_ref().err().copied().unwrap_or(Status::SUCCESS);
        let written = u32::try_from(request.data.bytes.len()).unwrap_or(u32::MAX);
        ctx.tell(Event::Smb1Write {
            fid: request.fid,
            offset: request.offset,
            size: written,
            status: status.0,
        });
        let data_at = frame.stream_position(request.data.at);
        ctx.keep(Owner::Open(request.fid), Origin::UnknownBuffer, request.data.bytes, data_at);
        pipe::write(open?, request.data.bytes);
        Ok(Done { andx_at: Some(read_write::write_write_reply(writer, written)), status })
    }

    fn refuse_malformed(&self, ctx: &mut Context<'_>, header: &Header, malformed: Malformed) {
        tell_malformed(ctx, header.command, malformed, Status::INVALID_SMB);
        let header = header.reply(Status::INVALID_SMB, self.knows_nt_status(header));
        write(ctx, &header, |writer| {
            writer.u8(0).u16(0);
        });
    }
}

fn empty(writer: &mut Writer<'_>) -> Done {
    writer.u8(0).u16(0);
    Done { andx_at: None, status: Status::SUCCESS }
}

/// Fills in what the block before left open: the command that follows at this place, or none and its own end.
fn link_to(writer: &mut Writer<'_>, link: Option<usize>, command: Option<u8>) {
    if let Some(at) = link {
        let offset = len16(writer.len()).to_le_bytes();
        writer.patch(at, &[command.unwrap_or(smb1::NO_ANDX)]);
        writer.patch(at.saturating_add(2), &offset);
    }
}

fn tell_malformed(ctx: &mut Context<'_>, command: u8, malformed: Malformed, status: Status) {
    let at = u32::try_from(malformed.at).unwrap_or(u32::MAX);
    ctx.tell(Event::MessageMalformed { command, what: malformed.what.to_owned(), at, status: status.0 });
}

fn tell_refused(ctx: &mut Context<'_>, command: u8, refused: &Refused) -> Status {
    match refused {
        Refused::Malformed(malformed) => {
            tell_malformed(ctx, command, *malformed, Status::INVALID_SMB);
            Status::INVALID_SMB
        }
        Refused::With(status) => {
            let told = matches!(
                command,
                smb1::SESSION_SETUP_ANDX | smb1::TREE_CONNECT_ANDX | smb1::NT_CREATE_ANDX | smb1::WRITE_ANDX
            );
            if !told {
                ctx.tell(Event::Smb1Refused { command, subcommand: 0, status: status.0 });
            }
            *status
        }
    }
}

/// A successful reply to `request` with this body.
fn reply(ctx: &mut Context<'_>, request: &Header, body: impl FnOnce(&mut Writer<'_>)) {
    write(ctx, &request.reply(Status::SUCCESS, false), body);
}

/// One reply: frame, header, body; to be sent in one write.
fn write(ctx: &mut Context<'_>, header: &Header, body: impl FnOnce(&mut Writer<'_>)) {
    let mut send = std::mem::take(&mut ctx.output.send);
    let base = send.len();
    send.resize(base.saturating_add(nbss::HEADER).saturating_add(LEN), 0);
    body(&mut Writer::continuing(&mut send, base.saturating_add(nbss::HEADER)));
    finish(ctx, send, base, header);
}

/// Writes frame length and header over the place left for them, and gives the buffer back.
fn finish(ctx: &mut Context<'_>, mut send: Vec<u8>, base: usize, header: &Header) {
    let len = send.len().saturating_sub(base).saturating_sub(nbss::HEADER);
    let mut head = Vec::with_capacity(LEN);
    header.write(&mut Writer::new(&mut head));
    let mut writer = Writer::continuing(&mut send, base);
    writer.patch(0, &u32::try_from(len).unwrap_or(0).to_be_bytes());
    writer.patch(nbss::HEADER, &head);
    ctx.output.writes.push(send.len());
    ctx.output.send = send;
}
