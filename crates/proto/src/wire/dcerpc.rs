//! DCE/RPC over a pipe ([C706] 12.6, [MS-RPCE] 2.2.2): enough to let a client bind and be refused politely.

use super::Malformed;
use super::reader::Reader;
use super::writer::{Writer, len16};

/// A PDU from the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pdu {
    /// bind or alter_context.
    Bind {
        /// alter_context.
        alter: bool,
        /// call_id.
        call: u32,
        /// Presentation contexts offered.
        contexts: u8,
    },
    /// request.
    Request {
        /// call_id.
        call: u32,
        /// p_cont_id.
        context: u16,
        /// opnum.
        opnum: u16,
    },
    /// Another type.
    Unknown(u8),
}

/// Fragment size that Windows agrees to.
const FRAGMENT: u16 = 4280;
/// Presentation contexts that one bind may offer here.
const CONTEXTS_MAX: u8 = 16;
/// NDR 2.0, 8a885d04-1ceb-11c9-9fe8-08002b104860: DCE constant, [C706] appendix I.
const NDR: [u8; 20] = [
    0x04, 0x5d, 0x88, 0x8a, 0xeb, 0x1c, 0xc9, 0x11, 0x9f, 0xe8, 0x08, 0x00, 0x2b, 0x10, 0x48, 0x60, 2, 0, 0,
    0,
];
/// nca_s_fault_access_denied.
const ACCESS_DENIED: u32 = 0x0000_0005;

/// Reads a PDU's head.
pub fn parse(bytes: &[u8]) -> Result<Pdu, Malformed> {
    let mut reader = Reader::new(bytes);
    if reader.u8("rpc_vers")? != 5 {
        return Err(Malformed { what: "rpc_vers", at: 0 });
    }
    reader.u8("rpc_vers_minor")?;
    let kind = reader.u8("PTYPE")?;
    reader.take(9, "common header")?; // pfc_flags, packed_drep, frag_length, auth_length
    let call = reader.u32_le("call_id")?;
    match kind {
        11 | 14 => {
            reader.take(8, "max_frag")?;
            Ok(Pdu::Bind { alter: kind == 14, call, contexts: reader.u8("n_context_elem")? })
        }
        0 => {
            reader.u32_le("alloc_hint")?;
            Ok(Pdu::Request { call, context: reader.u16_le("p_cont_id")?, opnum: reader.u16_le("opnum")? })
        }
        other => Ok(Pdu::Unknown(other)),
    }
}

/// The answer to `pdu` on the pipe whose secondary address is `address`: a bind is accepted, a request is
/// refused as Windows refuses the null session. `None` where Windows says nothing.
pub fn answer(pdu: Pdu, address: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes);
    let head = |writer: &mut Writer<'_>, kind: u8, call: u32| {
        writer.u8(5).u8(0).u8(kind).u8(3).u32(0x10).u16(0).u16(0).u32(call);
    };
    match pdu {
        Pdu::Bind { alter, call, contexts } => {
            head(&mut writer, if alter { 15 } else { 12 }, call);
            writer.u16(FRAGMENT).u16(FRAGMENT).u32(0x0000_5cd4);
            writer.u16(len16(address.len().saturating_add(1))).bytes(address.as_bytes()).u8(0).align(4);
            let contexts = contexts.min(CONTEXTS_MAX);
            writer.u8(contexts).zeros(3);
            for context in 0..contexts {
                if context == 0 {
                    writer.u16(0).u16(0).bytes(&NDR);
                } else {
                    // Windows 7 takes one transfer syntax and rejects what else is proposed.
                    writer.u16(2).u16(2).zeros(20);
                }
            }
        }
        Pdu::Request { call, context, .. } => {
            head(&mut writer, 3, call);
            writer.u32(32).u16(context).u16(0).u32(ACCESS_DENIED).u32(0);
        }
        Pdu::Unknown(_) => return None,
    }
    let len = len16(writer.len());
    writer.patch(8, &len.to_le_bytes());
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bind_is_accepted_and_a_request_refused() {
        let mut bind =
            vec![5, 0, 11, 3, 0x10, 0, 0, 0, 72, 0, 0, 0, 9, 0, 0, 0, 0xb8, 0x10, 0xb8, 0x10, 0, 0, 0, 0];
        bind.push(1);
        let pdu = parse(&bind).unwrap();
        assert_eq!(pdu, Pdu::Bind { alter: false, call: 9, contexts: 1 });
        let ack = answer(pdu, r"\pipe\lsass").unwrap();
        assert_eq!((ack[2], ack[8], ack.len()), (12, 68, 68));
        let fault = answer(Pdu::Request { call: 1, context: 0, opnum: 44 }, "").unwrap();
        assert_eq!((fault[2], fault.len()), (3, 32));
    }
}
