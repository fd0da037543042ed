//! A frame, its SMB1 header and the commands of its chain.

use super::field::{Field, complete, insert};
use super::title::{Asked, CHAIN_MAX};
use super::walk::Walk;
use super::{Side, names, replies, requests, title, transactions};
use crate::connection::PayloadSpan;
use crate::wire::Malformed;
use crate::wire::doublepulsar::{Opcode, key_from_seed};
use crate::wire::nbss;
use crate::wire::smb1::header::{FLAGS2_NT_STATUS, Header, LEN};
use crate::wire::smb1::{self, Block};

/// What has to be known of a message besides its bytes.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    pub(super) from: Side,
    /// What the implant was asked before.
    pub(super) asked: &'a Asked,
    /// Where in the message's upload its payload went, and under which key it came.
    pub(super) chunk: Option<&'a PayloadSpan>,
}

/// A command's block while it is divided.
pub(super) struct Parts<'m> {
    /// Its words.
    pub(super) words: Walk<'m>,
    /// Its bytes.
    pub(super) bytes: Walk<'m>,
    /// Parts of the message that words point to: they go where their bytes are.
    pub(super) pieces: Vec<Field>,
    /// What is odd, in words.
    pub(super) notes: Vec<String>,
    /// The whole message.
    pub(super) message: &'m [u8],
    pub(super) unicode: bool,
    pub(super) word_count: usize,
}

/// The fields of a frame, and what is odd about it.
pub(super) fn frame(frame: &[u8], around: Around<'_>) -> (Vec<Field>, Vec<String>) {
    let mut walk = Walk::new(frame, 0);
    let mut notes = Vec::new();
    walk.group("NetBIOS session header", nbss::HEADER, |inner| {
        if inner.u8("Type").is_ok_and(|kind| kind == nbss::SESSION_MESSAGE) {
            inner.mean("session message");
        }
        let [high, mid, low] = inner.bytes("Length", 3).ok().and_then(|len| len.first_chunk()).copied()?;
        inner.mean(format!("{} bytes follow", u32::from_be_bytes([0, high, mid, low])));
        Some(())
    });
    match frame.first() {
        Some(&nbss::SESSION_MESSAGE) => message(&mut walk, around, &mut notes),
        Some(&nbss::SESSION_REQUEST) => {
            for name in ["CalledName", "CallingName"] {
                let encoded = walk.bytes_up_to(name, 34);
                if let Some(called) = nbss::decode_name(encoded) {
                    walk.mean(format!("\"{}\"", crate::wire::unicode::Text(called)));
                }
            }
        }
        _ => {}
    }
    let mut fields = walk.fields;
    complete(&mut fields, 0..frame.len(), frame);
    (fields, notes)
}

/// Divides the message that `walk` has come to.
fn message(walk: &mut Walk<'_>, around: Around<'_>, notes: &mut Vec<String>) {
    let message = walk.rest();
    let Ok(header) = Header::parse(message) else { return };
    let read = walk.group("SMB_Header", LEN, |inner| header_fields(inner, &header, around));
    if let Err(malformed) = read {
        notes.push(odd(malformed));
    }
    let (mut command, mut at) = (header.command, LEN);
    for _ in 0..CHAIN_MAX {
        let block = match Block::parse(message, at) {
            Ok(block) => block,
            Err(malformed) => return notes.push(odd(malformed)),
        };
        let (field, pieces) = command_fields(message, at, command, &block, &header, around, notes);
        if !insert(&mut walk.fields, field) {
            notes.push(format!("the block of {} overlaps the one before", names::command(command)));
        }
        for piece in pieces {
            let name = piece.name;
            if !insert(&mut walk.fields, piece) {
                notes.push(format!("{name} overlaps other fields"));
            }
        }
        let Some((next, offset)) = title::next(command, at, &block) else { return };
        (command, at) = (next, offset);
    }
}

pub(super) fn odd(malformed: Malformed) -> String {
    format!("{} is missing or impossible", malformed.what)
}

fn header_fields(walk: &mut Walk<'_>, header: &Header, around: Around<'_>) -> Result<(), Malformed> {
    let answer = if around.from == Side::Decoy { around.asked.answer(header) } else { None };
    walk.bytes("Protocol", 4)?;
    walk.mean("SMB1");
    walk.bits8("Command", &[])?;
    walk.mean(format!("SMB_COM_{}", names::command(header.command)));
    walk.bits32("Status", &[])?;
    walk.mean(status(header));
    walk.bits8("Flags", names::FLAGS)?;
    walk.bits16("Flags2", names::FLAGS2)?;
    walk.u16("PIDHigh")?;
    walk.bytes("SecurityFeatures", 8)?;
    if let Some((Opcode::Ping, _, outcome)) = answer
        && outcome.mid_delta() != 0
    {
        let [s0, s1, s2, s3, arch, ..] = header.security;
        let seed = u32::from_le_bytes([s0, s1, s2, s3]);
        let arch = if arch == 0 { "x86" } else { "x64" };
        let key = key_from_seed(seed);
        walk.mean(format!("DoublePulsar's seed {seed:#010x} (XOR key {key:#010x}), {arch}"));
    }
    walk.u16("Reserved")?;
    walk.bits16("TID", &[])?;
    walk.bits16("PIDLow", &[])?;
    walk.bits16("UID", &[])?;
    walk.u16("MID")?;
    if let Some((opcode, mid, outcome)) = answer {
        let (asked, said) = (title::opcode(opcode), title::outcome(outcome));
        walk.mean(format!("{mid} of the request + {:#x}: to {asked}, {said}", outcome.mid_delta()));
    }
    Ok(())
}

/// What a header's status means, in the form that its Flags2 say.
fn status(header: &Header) -> String {
    match names::status(header.status) {
        "" if header.flags2 & FLAGS2_NT_STATUS == 0 => {
            let [class, _, low, high] = header.status.to_le_bytes();
            format!("DOS error class {class}, code {}", u16::from_le_bytes([low, high]))
        }
        name => name.into(),
    }
}

/// One command's field, and the pieces of the message that its words point to.
fn command_fields(
    message: &[u8],
    at: usize,
    command: u8,
    block: &Block<'_>,
    header: &Header,
    around: Around<'_>,
    notes: &mut Vec<String>,
) -> (Field, Vec<Field>) {
    let start = at.saturating_add(nbss::HEADER);
    let bytes_at = block.bytes_at.saturating_add(nbss::HEADER);
    let words_at = start.saturating_add(1);
    let mut parts = Parts {
        words: Walk::new(block.words, words_at),
        bytes: Walk::new(block.bytes, bytes_at),
        pieces: Vec::new(),
        notes: Vec::new(),
        message,
        unicode: header.is_unicode(),
        word_count: block.word_count(),
    };
    let read = match around.from {
        Side::Visitor => match command {
            smb1::TRANSACTION | smb1::TRANSACTION2 | smb1::NT_TRANSACT => {
                transactions::primary(&mut parts, command, around.chunk)
            }
            smb1::TRANSACTION_SECONDARY | smb1::TRANSACTION2_SECONDARY | smb1::NT_TRANSACT_SECONDARY => {
                transactions::secondary(&mut parts, command)
            }
            _ => requests::command(&mut parts, command),
        },
        Side::Decoy => replies::command(&mut parts, command),
    };
    notes.append(&mut parts.notes);
    if let Err(malformed) = read {
        notes.push(odd(malformed));
    }
    let there = block.bytes.len();
    if usize::from(block.byte_count) > there {
        notes.push(format!("ByteCount says {}, {there} bytes are there", block.byte_count));
    }
    let end = bytes_at.saturating_add(there);
    let mut head = Walk::new(message.get(at..).unwrap_or_default(), start);
    // All three are there: the block was read.
    let _ = head.u8("WordCount");
    head.skip(block.words.len());
    let _ = head.u16("ByteCount");
    let mut fields = head.fields;
    for group in [
        Field::group("Words", words_at..words_at.saturating_add(block.words.len()), parts.words.fields),
        Field::group("Bytes", bytes_at..end, parts.bytes.fields),
    ] {
        insert(&mut fields, group);
    }
    (Field::group(names::command(command), start..end, fields), parts.pieces)
}
