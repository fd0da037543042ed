//! SPNEGO (RFC 4178): three nested lengths around NTLMSSP. Reads definite lengths only, without recursion.

use super::Malformed;
use super::ntlmssp;
use super::reader::Reader;

/// NTLMSSP's object identifier 1.3.6.1.4.1.311.2.2.10, tag and length first. Windows constant.
const NTLMSSP_OID: [u8; 12] = [0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x02, 0x0a];

/// What a workgroup machine running Windows 7 offers first: NEGOEX and NTLMSSP, no hints. Windows constant,
/// [MS-SPNG] 2.2.1 with the identifiers of [MS-NEGOEX] and [MS-NLMP].
pub const WORKGROUP_INIT: [u8; 42] = [
    0x60, 0x28, 0x06, 0x06, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x02, 0xa0, 0x1e, 0x30, 0x1c, 0xa0, 0x1a, 0x30,
    0x18, //
    0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x02, 0x1e, //
    0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x02, 0x0a,
];

/// NegTokenResp: accept-completed. Windows constant.
pub const ACCEPT_COMPLETED: [u8; 9] = [0xa1, 0x07, 0x30, 0x05, 0xa0, 0x03, 0x0a, 0x01, 0x00];

/// How the client wrapped its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrapping {
    /// NTLMSSP as it is.
    Bare,
    /// In SPNEGO.
    Spnego,
}

/// The mechanism token in a security blob: `None` where the client only lists mechanisms.
pub fn token(blob: &[u8]) -> Result<(Wrapping, Option<&[u8]>), Malformed> {
    if blob.starts_with(ntlmssp::SIGNATURE) {
        return Ok((Wrapping::Bare, Some(blob)));
    }
    let mut outer = Reader::new(blob);
    let (tag, body) = element(&mut outer)?;
    let fields = match tag {
        0x60 => {
            let mut init = Reader::new(body);
            element(&mut init)?; // thisMech
            element(&mut init)?.1
        }
        0xa1 => body,
        _ => return Err(Malformed { what: "SPNEGO", at: 0 }),
    };
    let (_, sequence) = element(&mut Reader::new(fields))?;
    let mut members = Reader::new(sequence);
    // mechTypes, reqFlags, mechToken, mechListMIC: at most four, and each moves forward.
    for _ in 0..4 {
        if members.rest().is_empty() {
            break;
        }
        let (tag, member) = element(&mut members)?;
        if tag == 0xa2 {
            return Ok((Wrapping::Spnego, Some(element(&mut Reader::new(member))?.1)));
        }
    }
    Ok((Wrapping::Spnego, None))
}

/// Tag and contents of the next element; contents are clipped to what is there.
fn element<'a>(reader: &mut Reader<'a>) -> Result<(u8, &'a [u8]), Malformed> {
    let at = reader.position();
    let tag = reader.u8("tag")?;
    let len = match reader.u8("length")? {
        short @ 0..=0x7f => usize::from(short),
        0x81 => usize::from(reader.u8("length")?),
        0x82 => usize::from(reader.u16_be("length")?),
        _ => return Err(Malformed { what: "length", at }),
    };
    Ok((tag, reader.take_up_to(len)))
}

/// NegTokenResp: accept-incomplete, NTLMSSP, and its `token` where there is one.
pub fn accept_incomplete(token: Option<&[u8]>) -> Vec<u8> {
    let mut members = vec![0xa0, 0x03, 0x0a, 0x01, 0x01];
    members.extend_from_slice(&wrap(0xa1, &NTLMSSP_OID));
    if let Some(token) = token {
        members.extend_from_slice(&wrap(0xa2, &wrap(0x04, token)));
    }
    wrap(0xa1, &wrap(0x30, &members))
}

fn wrap(tag: u8, contents: &[u8]) -> Vec<u8> {
    let mut element = vec![tag];
    let len = u16::try_from(contents.len()).unwrap_or(u16::MAX);
    match (u8::try_from(len), len.to_be_bytes()) {
        (Ok(short @ 0..=0x7f), _) => element.push(short),
        (Ok(long), _) => element.extend_from_slice(&[0x81, long]),
        (Err(_), [high, low]) => element.extend_from_slice(&[0x82, high, low]),
    }
    element.extend_from_slice(contents);
    element
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_wrap_we_find_again() {
        for len in [1usize, 100, 200, 400] {
            let token_bytes = vec![7; len];
            let blob = accept_incomplete(Some(&token_bytes));
            assert_eq!(token(&blob), Ok((Wrapping::Spnego, Some(&token_bytes[..]))), "{len}");
        }
        assert_eq!(token(&WORKGROUP_INIT), Ok((Wrapping::Spnego, None)));
        assert_eq!(token(b"NTLMSSP\0x"), Ok((Wrapping::Bare, Some(&b"NTLMSSP\0x"[..]))));
    }

    #[test]
    fn lies_are_malformed() {
        assert!(token(b"").is_err());
        assert!(token(b"\x60\x84\xff\xff\xff\xff").is_err());
        assert_eq!(token(b"\xa1\x7f\x30\x7f\xa2\x7f\x04\x7fab"), Ok((Wrapping::Spnego, Some(&b"ab"[..]))));
    }
}
