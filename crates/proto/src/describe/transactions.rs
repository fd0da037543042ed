//! TRANSACTION, TRANSACTION2, NT_TRANSACT and their SECONDARY requests; DoublePulsar inside TRANS2 SESSION_SETUP.

use super::field::Field;
use super::smb1::Parts;
use super::walk::{Walk, clipped, digits};
use super::{names, security, title};
use crate::connection::PayloadSpan;
use crate::wire::Malformed;
use crate::wire::doublepulsar::{ExecParameters, Opcode, PARAMETERS, xor_into};
use crate::wire::nbss;
use crate::wire::smb1::{NT_TRANSACT, NT_TRANSACT_SECONDARY, TRANSACTION, TRANSACTION2_SECONDARY, trans};

/// Decoded bytes of a chunk that are shown.
const DECODED_MAX: usize = 16;

/// Puts `len` bytes at `offset` of the message in their place, divided by `read`; says what is not there.
pub(super) fn piece<'m>(
    parts: &mut Parts<'m>,
    name: &'static str,
    len: usize,
    offset: usize,
    read: impl FnOnce(&mut Walk<'m>),
) {
    if len == 0 {
        return;
    }
    let range = clipped(offset..offset.saturating_add(len), parts.message.len());
    let bytes = parts.message.get(range.clone()).unwrap_or_default();
    if bytes.len() < len {
        parts.notes.push(format!("{name}: {len} bytes are announced, {} are there", bytes.len()));
    }
    let start = range.start.saturating_add(nbss::HEADER);
    let mut walk = Walk::new(bytes, start);
    read(&mut walk);
    let range = start..range.end.saturating_add(nbss::HEADER);
    parts.pieces.push(match walk.fields.as_slice() {
        [] => Field::leaf(name, range, digits(bytes)),
        // One field for all of it is that field itself.
        [alone] if alone.range == range => Field { name, ..alone.clone() },
        _ => Field::group(name, range, walk.fields),
    });
}

/// A first request. `chunk`: which part of an upload it brings, where it does.
pub(super) fn primary(
    parts: &mut Parts<'_>,
    command: u8,
    chunk: Option<&PayloadSpan>,
) -> Result<(), Malformed> {
    let is_nt = command == NT_TRANSACT;
    let (head, opcode) = if is_nt { (nt_words(parts)?, None) } else { words(parts, command)? };
    if command == TRANSACTION {
        parts.bytes.text("Name", parts.unicode);
    }
    let [parameters, parameters_at, data, data_at] = head;
    let span = chunk.filter(|span| span.params_at.is_some() || span.total > 0);
    match (opcode, span) {
        (Some(Opcode::Exec), Some(span)) => {
            let span = *span;
            piece(parts, "Parameters", parameters, parameters_at, |walk| exec_parameters(walk, &span));
            piece(parts, "Data", data, data_at, |walk| exec_data(walk, &span));
        }
        _ => {
            piece(parts, "Parameters", parameters, parameters_at, |_| ());
            piece(parts, "Data", data, data_at, security::rpc);
        }
    }
    Ok(())
}

/// The words of TRANSACTION and TRANSACTION2: counts and places of parameters and data, and DoublePulsar's opcode.
fn words(parts: &mut Parts<'_>, command: u8) -> Result<([usize; 4], Option<Opcode>), Malformed> {
    let words = &mut parts.words;
    words.u16("TotalParameterCount")?;
    words.u16("TotalDataCount")?;
    words.u16("MaxParameterCount")?;
    words.u16("MaxDataCount")?;
    words.u8("MaxSetupCount")?;
    words.u8("Reserved1")?;
    words.bits16("Flags", names::TRANS_FLAGS)?;
    let timeout = words.bits32("Timeout", &[])?;
    let timeout_field = words.fields.len().saturating_sub(1);
    words.u16("Reserved2")?;
    let parameters = words.u16("ParameterCount")?;
    let parameters_at = words.u16("ParameterOffset")?;
    let data = words.u16("DataCount")?;
    let data_at = words.u16("DataOffset")?;
    let count = words.u8("SetupCount")?;
    words.u8("Reserved3")?;
    let mut opcode = None;
    if count > 0 {
        let function = words.bits16("Setup", &[])?;
        if command == TRANSACTION {
            words.mean(format!("TRANS_{}", names::trans(function)));
        } else {
            words.mean(format!("TRANS2_{}", names::trans2(function)));
            let is_door = function == trans::TRANS2_SESSION_SETUP;
            opcode = is_door.then(|| Opcode::from_timeout(timeout));
        }
        if command == TRANSACTION && count > 1 {
            let fid = words.bits16("FID", &[])?;
            if fid == 0 && function == trans::PEEK_NMPIPE {
                words.mean("no such pipe: an unpatched Windows answers STATUS_INSUFF_SERVER_RESOURCES");
            }
        }
    }
    if let (Some(opcode), Some(field)) = (opcode, words.fields.get_mut(timeout_field)) {
        let sum = timeout.to_le_bytes().into_iter().fold(0u8, u8::wrapping_add);
        field.meaning = format!("sum of its bytes {sum:#04x}: {}", title::opcode(opcode));
    }
    Ok(([parameters, parameters_at, data, data_at].map(usize::from), opcode))
}

/// The words of NT_TRANSACT: counts and places of parameters and data.
fn nt_words(parts: &mut Parts<'_>) -> Result<[usize; 4], Malformed> {
    let words = &mut parts.words;
    words.u8("MaxSetupCount")?;
    words.u16("Reserved1")?;
    words.u32("TotalParameterCount")?;
    words.u32("TotalDataCount")?;
    words.u32("MaxParameterCount")?;
    words.u32("MaxDataCount")?;
    let parameters = words.u32("ParameterCount")?;
    let parameters_at = words.u32("ParameterOffset")?;
    let data = words.u32("DataCount")?;
    let data_at = words.u32("DataOffset")?;
    let count = words.u8("SetupCount")?;
    let function = words.u16("Function")?;
    words.mean(format!("NT_TRANSACT_{}", names::nt_transact(function)));
    words.bytes_up_to("Setup", usize::from(count).saturating_mul(2));
    Ok([parameters, parameters_at, data, data_at].map(crate::wire::reader::size))
}

/// A SECONDARY request.
pub(super) fn secondary(parts: &mut Parts<'_>, command: u8) -> Result<(), Malformed> {
    let is_nt = command == NT_TRANSACT_SECONDARY;
    if is_nt {
        parts.words.bytes("Reserved1", 3)?;
    }
    let words = &mut parts.words;
    let mut number = |name| if is_nt { words.u32(name) } else { words.u16(name).map(u32::from) };
    number("TotalParameterCount")?;
    number("TotalDataCount")?;
    let (parameters, parameters_at) = (number("ParameterCount")?, number("ParameterOffset")?);
    number("ParameterDisplacement")?;
    let (data, data_at) = (number("DataCount")?, number("DataOffset")?);
    number("DataDisplacement")?;
    if command == TRANSACTION2_SECONDARY {
        // Left out by some; of no use.
        let _ = words.bits16("FID", &[]);
    }
    let size = crate::wire::reader::size;
    piece(parts, "Parameters", size(parameters), size(parameters_at), |_| ());
    piece(parts, "Data", size(data), size(data_at), |_| ());
    Ok(())
}

/// DoublePulsar's three numbers, decoded.
fn exec_parameters(walk: &mut Walk<'_>, span: &PayloadSpan) {
    let Ok(decoded) = ExecParameters::parse(walk.rest().get(..PARAMETERS).unwrap_or_default(), span.key)
    else {
        return;
    };
    let numbers = [
        ("total", decoded.total, "bytes in the whole upload"),
        ("length", decoded.chunk, "bytes in this chunk"),
        ("offset", decoded.offset, "where this chunk goes"),
    ];
    for (name, number, about) in numbers {
        if walk.bits32(name, &[]).is_err() {
            return;
        }
        walk.mean(format!("XOR {:#010x} = {number}: {about}", span.key));
    }
}

/// A chunk: which part of which upload it is, and how it begins when decoded.
fn exec_data(walk: &mut Walk<'_>, span: &PayloadSpan) {
    let bytes = walk.bytes_up_to("Data", usize::MAX);
    let mut decoded = Vec::new();
    xor_into(&mut decoded, bytes.get(..DECODED_MAX).unwrap_or(bytes), span.key);
    let end = span.offset.saturating_add(span.len.into());
    walk.mean(format!(
        "upload {}: bytes {}..{end} of {}; XOR {:#010x} = {}{}",
        span.upload,
        span.offset,
        span.total,
        span.key,
        crate::wire::ntlmssp::hex(&decoded),
        if bytes.len() > DECODED_MAX { "…" } else { "" },
    ));
}
