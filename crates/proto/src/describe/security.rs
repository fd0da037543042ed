//! Security blobs (SPNEGO, NTLMSSP) and DCE/RPC PDUs.

use super::field::{Field, insert};
use super::names;
use super::requests::LIST_MAX;
use super::walk::{TEXT_MAX, Walk, clipped, digits};
use crate::wire::Malformed;
use crate::wire::ntlmssp;
use crate::wire::reader::{Reader, size};
use crate::wire::spnego::{self, Wrapping};
use crate::wire::unicode::Text;

/// Divides a security blob.
pub(super) fn blob(walk: &mut Walk<'_>) -> Result<(), Malformed> {
    let blob = walk.rest();
    if blob.is_empty() {
        return Ok(());
    }
    let (wrapping, token) = spnego::token(blob)?;
    if wrapping == Wrapping::Spnego {
        let len = token
            .and_then(|_| blob.windows(ntlmssp::SIGNATURE.len()).position(|part| part == ntlmssp::SIGNATURE))
            .unwrap_or(blob.len());
        walk.bytes_up_to("SPNEGO", len);
        walk.mean(match blob.first() {
            Some(0x60) => "NegTokenInit",
            _ => "NegTokenResp",
        });
    }
    if token.is_some() {
        walk.group("NTLMSSP", usize::MAX, message)?;
    }
    Ok(())
}

/// Divides an NTLMSSP message.
fn message(walk: &mut Walk<'_>) -> Result<(), Malformed> {
    let (message, base) = (walk.rest(), walk.at());
    walk.bytes("Signature", 8)?;
    let kind = walk.u32("MessageType")?;
    walk.mean(match kind {
        1 => "NEGOTIATE",
        2 => "CHALLENGE",
        3 => "AUTHENTICATE",
        _ => "unknown",
    });
    let mut pieces = Vec::new();
    match kind {
        1 => {
            walk.bits32("NegotiateFlags", names::NTLM_FLAGS)?;
            // Old clients end here.
            for name in ["DomainName", "Workstation"] {
                let Ok(place) = pointer(walk, name) else { break };
                pieces.push((name, place, Some(false)));
            }
        }
        2 => {
            let place = pointer(walk, "TargetName")?;
            let flags = walk.bits32("NegotiateFlags", names::NTLM_FLAGS)?;
            pieces.push(("TargetName", place, Some(flags & 1 != 0)));
            walk.bytes("ServerChallenge", 8)?;
            walk.bytes("Reserved", 8)?;
            pieces.push(("TargetInfo", pointer(walk, "TargetInfo")?, None));
            walk.bytes_up_to("Version", 8);
        }
        3 => {
            let responses = ["LmChallengeResponse", "NtChallengeResponse"];
            for name in responses {
                pieces.push((name, pointer(walk, name)?, None));
            }
            let texts = pieces.len();
            for name in ["DomainName", "UserName", "Workstation"] {
                pieces.push((name, pointer(walk, name)?, Some(true)));
            }
            if let Ok(place) = pointer(walk, "EncryptedRandomSessionKey") {
                pieces.push(("EncryptedRandomSessionKey", place, None));
            }
            let unicode = walk.bits32("NegotiateFlags", names::NTLM_FLAGS).is_ok_and(|flags| flags & 1 != 0);
            for (_, _, is_unicode) in pieces.iter_mut().skip(texts) {
                *is_unicode = is_unicode.map(|_| unicode);
            }
        }
        _ => {}
    }
    for (name, (offset, len), text) in pieces {
        let range = clipped(offset..offset.saturating_add(len), message.len());
        let bytes = message.get(range.clone()).unwrap_or_default();
        let value = match text {
            Some(true) => format!("\"{}\"", Text::from_utf16(bytes, TEXT_MAX)),
            Some(false) => format!("\"{}\"", Text::from_oem(bytes, TEXT_MAX)),
            None => digits(bytes),
        };
        let range = base.saturating_add(range.start)..base.saturating_add(range.end);
        let fields = if name == "TargetInfo" { target_info(bytes, range.start) } else { Vec::new() };
        let value = if fields.is_empty() { value } else { String::new() };
        // What overlaps stays what it was told as first.
        insert(&mut walk.fields, Field { fields, ..Field::leaf(name, range, value) });
    }
    Ok(())
}

/// A length, a room and an offset: where a piece is.
fn pointer(walk: &mut Walk<'_>, name: &'static str) -> Result<(usize, usize), Malformed> {
    let field = match name {
        "DomainName" => "DomainNameFields",
        "Workstation" => "WorkstationFields",
        "UserName" => "UserNameFields",
        "TargetName" => "TargetNameFields",
        "TargetInfo" => "TargetInfoFields",
        "LmChallengeResponse" => "LmChallengeResponseFields",
        "NtChallengeResponse" => "NtChallengeResponseFields",
        _ => "EncryptedRandomSessionKeyFields",
    };
    if walk.rest().len() < 8 {
        return Err(Malformed { what: field, at: walk.at() });
    }
    let mut reader = Reader::new(walk.rest());
    let len = reader.u16_le(field)?;
    reader.u16_le(field)?;
    let offset = reader.u32_le(field)?;
    walk.bytes(field, 8)?;
    walk.mean(format!("{len} bytes at {offset}"));
    Ok((size(offset), usize::from(len)))
}

/// The AV pairs of a challenge.
fn target_info(bytes: &[u8], base: usize) -> Vec<Field> {
    let mut walk = Walk::new(bytes, base);
    for _ in 0..LIST_MAX {
        let Ok(id) = walk.u16("AvId") else { break };
        walk.mean(match id {
            0 => "end",
            1 => "NetBIOS computer name",
            2 => "NetBIOS domain name",
            3 => "DNS computer name",
            4 => "DNS domain name",
            7 => "time",
            _ => "",
        });
        let Ok(len) = walk.u16("AvLen") else { break };
        let value = walk.bytes_up_to("Value", len.into());
        if (1..=4).contains(&id) && len > 0 {
            walk.mean(format!("\"{}\"", Text::from_utf16(value, TEXT_MAX)));
        }
        if id == 0 {
            break;
        }
    }
    walk.fields
}

/// Divides the head of a DCE/RPC PDU; other bytes stay whole.
pub(super) fn rpc(walk: &mut Walk<'_>) {
    let is_rpc = walk.rest().get(..2) == Some(&[5, 0]) && walk.rest().len() >= 16;
    if !is_rpc || pdu(walk).is_err() {
        return;
    }
    walk.bytes_up_to("stub", usize::MAX);
}

fn pdu(walk: &mut Walk<'_>) -> Result<(), Malformed> {
    walk.u8("rpc_vers")?;
    walk.u8("rpc_vers_minor")?;
    let kind = walk.u8("PTYPE")?;
    walk.mean(match kind {
        0 => "request",
        2 => "response",
        3 => "fault",
        11 => "bind",
        12 => "bind_ack",
        13 => "bind_nak",
        14 => "alter_context",
        15 => "alter_context_resp",
        _ => "",
    });
    walk.bits8("pfc_flags", &[(1, "first fragment"), (2, "last fragment")])?;
    walk.bits32("packed_drep", &[])?;
    walk.u16("frag_length")?;
    walk.u16("auth_length")?;
    walk.u32("call_id")?;
    match kind {
        0 => {
            walk.u32("alloc_hint")?;
            walk.u16("p_cont_id")?;
            walk.u16("opnum").map(drop)
        }
        3 => {
            walk.u32("alloc_hint")?;
            walk.u16("p_cont_id")?;
            walk.u8("cancel_count")?;
            walk.u8("reserved")?;
            walk.bits32("status", &[]).map(drop)
        }
        11 | 14 => {
            walk.u16("max_xmit_frag")?;
            walk.u16("max_recv_frag")?;
            walk.bits32("assoc_group_id", &[])?;
            walk.u8("n_context_elem").map(drop)
        }
        _ => Ok(()),
    }
}
