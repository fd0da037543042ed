//! What a message is called in a list: its command and, where one tells more, its subcommand or DoublePulsar opcode.

use super::{Side, names};
use crate::wire::doublepulsar::{Opcode, Outcome};
use crate::wire::nbss;
use crate::wire::smb1::header::{self, Header};
use crate::wire::smb1::trans::{self, Primary};
use crate::wire::smb1::{self, Block, nt_transact};

/// Commands of one chain that are named and divided.
pub(super) const CHAIN_MAX: usize = 16;
/// Requests to the implant that still may be answered.
const ASKED_MAX: usize = 16;

/// Requests to the implant: their replies do not say what they answer.
#[derive(Debug, Default)]
pub(super) struct Asked(Vec<(u16, Opcode)>);

impl Asked {
    /// Remembers what `frame` asks the implant, if it does.
    pub(super) fn remember(&mut self, frame: &[u8]) {
        let Some((header, opcode)) = request_to_implant(frame) else { return };
        if self.0.len() >= ASKED_MAX {
            self.0.remove(0);
        }
        self.0.push((header.mid, opcode));
    }

    /// What a reply with this header answers, and how: the implant adds to the MID.
    pub(super) fn answer(&self, header: &Header) -> Option<(Opcode, u16, Outcome)> {
        if header.command != smb1::TRANSACTION2 {
            return None;
        }
        let outcomes =
            [Outcome::Ok, Outcome::InvalidParameters, Outcome::AllocationFailure, Outcome::NotThere];
        self.0.iter().rev().find_map(|&(mid, opcode)| {
            let outcome =
                outcomes.into_iter().find(|outcome| mid.wrapping_add(outcome.mid_delta()) == header.mid)?;
            Some((opcode, mid, outcome))
        })
    }
}

/// The header and opcode of a TRANS2 SESSION_SETUP.
fn request_to_implant(frame: &[u8]) -> Option<(Header, Opcode)> {
    let message = frame.get(nbss::HEADER..)?;
    let header = Header::parse(message).ok().filter(|header| header.command == smb1::TRANSACTION2)?;
    let primary = Primary::parse(message, &Block::parse(message, header::LEN).ok()?).ok()?;
    let is_door = primary.setup_word(0) == Some(trans::TRANS2_SESSION_SETUP);
    is_door.then(|| (header, Opcode::from_timeout(primary.timeout)))
}

/// An opcode in words.
pub(super) const fn opcode(opcode: Opcode) -> &'static str {
    match opcode {
        Opcode::Ping => "DoublePulsar ping",
        Opcode::Exec => "DoublePulsar exec",
        Opcode::Kill => "DoublePulsar kill",
        Opcode::Unknown(_) => "no known DoublePulsar opcode",
    }
}

/// What the implant says, in words.
pub(super) const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "done",
        Outcome::InvalidParameters => "invalid parameters",
        Outcome::AllocationFailure => "allocation failure",
        Outcome::NotThere => "no implant",
    }
}

/// The title of a frame from `from`.
pub(super) fn of(frame: &[u8], from: Side, asked: &Asked) -> String {
    let message = frame.get(nbss::HEADER..).unwrap_or_default();
    match frame.first() {
        None => "nothing".into(),
        Some(&nbss::SESSION_REQUEST) => "NetBIOS session request".into(),
        Some(&nbss::POSITIVE_RESPONSE) => "NetBIOS positive session response".into(),
        Some(&nbss::KEEP_ALIVE) => "NetBIOS keep-alive".into(),
        Some(&nbss::SESSION_MESSAGE) => match Header::parse(message) {
            Ok(header) if from == Side::Decoy => reply(&header, asked),
            Ok(header) => request(message, &header),
            Err(_) if message.starts_with(b"\xfeSMB") => "SMB2 message".into(),
            Err(_) => "not SMB".into(),
        },
        Some(_) => "not NetBIOS".into(),
    }
}

fn reply(header: &Header, asked: &Asked) -> String {
    let command = names::command(header.command);
    if let Some((code, _, outcome)) = asked.answer(header) {
        return format!("{command} reply to {}: {}", opcode(code), self::outcome(outcome));
    }
    match (header.status, names::status(header.status)) {
        (0, _) => format!("{command} reply"),
        (status, "") => format!("{command} reply: {status:#010x}"),
        (_, name) => format!("{command} reply: {name}"),
    }
}

fn request(message: &[u8], header: &Header) -> String {
    let mut title = named(header.command);
    let block = Block::parse(message, header::LEN);
    match (header.command, block) {
        (smb1::TRANSACTION | smb1::TRANSACTION2 | smb1::NT_TRANSACT, Ok(block)) => {
            if let Some(more) = transaction(message, header.command, &block) {
                title.push(' ');
                title.push_str(&more);
            }
        }
        (mut command, Ok(mut block)) => {
            let mut at = header::LEN;
            for _ in 1..CHAIN_MAX {
                let Some((next, offset)) = next(command, at, &block) else { break };
                title.push_str(" + ");
                title.push_str(&named(next));
                let Ok(following) = Block::parse(message, offset) else { break };
                (command, at, block) = (next, offset, following);
            }
        }
        _ => {}
    }
    title
}

/// The next command of a chain and where its block begins in the message: strictly forward.
pub(super) fn next(command: u8, at: usize, block: &Block<'_>) -> Option<(u8, usize)> {
    let (next, offset) = smb1::is_andx(command).then(|| block.andx().ok()).flatten()?;
    let offset = usize::from(offset);
    (next != smb1::NO_ANDX && offset > at).then_some((next, offset))
}

fn named(command: u8) -> String {
    match names::command(command) {
        name @ "unknown command" => format!("{name} {command:#04x}"),
        name => name.into(),
    }
}

fn transaction(message: &[u8], command: u8, block: &Block<'_>) -> Option<String> {
    if command == smb1::NT_TRANSACT {
        let primary = nt_transact::parse_primary(message, block).ok()?;
        return Some(names::nt_transact(primary.function).into());
    }
    let primary = Primary::parse(message, block).ok()?;
    let function = primary.setup_word(0)?;
    Some(match (command, function) {
        (smb1::TRANSACTION, trans::PEEK_NMPIPE) if primary.setup_word(1) == Some(0) => {
            "PEEK_NMPIPE on FID 0: check for MS17-010".into()
        }
        (smb1::TRANSACTION, function) => names::trans(function).into(),
        (_, trans::TRANS2_SESSION_SETUP) => {
            format!("SESSION_SETUP: {}", opcode(Opcode::from_timeout(primary.timeout)))
        }
        (_, function) => names::trans2(function).into(),
    })
}
