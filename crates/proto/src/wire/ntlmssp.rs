//! NTLMSSP ([MS-NLMP] 2.2.1): read what the client says of itself, write the challenge.

use super::Malformed;
use super::reader::{Reader, size};
use super::unicode::Text;
use super::writer::{Writer, len16, len32};

/// The mark of every NTLMSSP message.
pub const SIGNATURE: &[u8; 8] = b"NTLMSSP\0";
const NEGOTIATE_UNICODE: u32 = 0x0000_0001;
const NEGOTIATE_VERSION: u32 = 0x0200_0000;
/// Bytes of a response that are shown in the form of password auditors.
const RESPONSE_MAX: usize = 1024;

/// A message from the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// NEGOTIATE: what it can do.
    Negotiate {
        /// NegotiateFlags.
        flags: u32,
    },
    /// AUTHENTICATE: who it says it is.
    Authenticate(Authenticate<'a>),
    /// Another type.
    Unknown(u32),
}

/// An AUTHENTICATE message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authenticate<'a> {
    /// LmChallengeResponse.
    pub lm_response: &'a [u8],
    /// NtChallengeResponse.
    pub nt_response: &'a [u8],
    /// UserName.
    pub account: Text,
    /// DomainName.
    pub domain: Text,
    /// Workstation.
    pub workstation: Text,
}

/// Reads a message. Payload fields that point outside are empty.
pub fn parse(bytes: &[u8], text_max: usize) -> Result<Message<'_>, Malformed> {
    let mut reader = Reader::new(bytes);
    if &reader.array::<8>("Signature")? != SIGNATURE {
        return Err(Malformed { what: "Signature", at: 0 });
    }
    match reader.u32_le("MessageType")? {
        1 => Ok(Message::Negotiate { flags: reader.u32_le("NegotiateFlags")? }),
        3 => {
            let mut field = |what| -> Result<&[u8], Malformed> {
                let len = reader.u16_le(what)?;
                reader.u16_le(what)?;
                let offset = reader.u32_le(what)?;
                Ok(reader.window(size(offset), usize::from(len)))
            };
            let (lm_response, nt_response) = (field("LmChallengeResponse")?, field("NtChallengeResponse")?);
            let (domain, account, workstation) =
                (field("DomainName")?, field("UserName")?, field("Workstation")?);
            // The session key and the flags may be cut off; old clients leave them out and speak OEM.
            let _ = field("EncryptedRandomSessionKey");
            let unicode = reader.u32_le("NegotiateFlags").is_ok_and(|flags| flags & NEGOTIATE_UNICODE != 0);
            let text = |bytes| {
                if unicode { Text::from_utf16(bytes, text_max) } else { Text::from_oem(bytes, text_max) }
            };
            Ok(Message::Authenticate(Authenticate {
                lm_response,
                nt_response,
                account: text(account),
                domain: text(domain),
                workstation: text(workstation),
            }))
        }
        other => Ok(Message::Unknown(other)),
    }
}

impl Authenticate<'_> {
    /// Whether it is the null session: no name and no response ([MS-NLMP] 3.2.5.1.2).
    pub fn is_anonymous(&self) -> bool {
        self.account.0.is_empty() && self.nt_response.is_empty() && self.lm_response.len() <= 1
    }

    /// The response as password auditors read it (NetNTLMv2 or NetNTLMv1 by length), or empty.
    pub fn auditable(&self, challenge: [u8; 8]) -> String {
        let (user, domain) = (&self.account.0, &self.domain.0);
        let response = self.nt_response.get(..RESPONSE_MAX).unwrap_or(self.nt_response);
        match response.split_at_checked(16) {
            Some((proof, blob)) if response.len() > 24 => {
                format!("{user}::{domain}:{}:{}:{}", hex(&challenge), hex(proof), hex(blob))
            }
            Some(_) if response.len() == 24 => {
                let lm = self.lm_response.get(..24).unwrap_or_default();
                format!("{user}::{domain}:{}:{}:{}", hex(lm), hex(response), hex(&challenge))
            }
            _ => String::new(),
        }
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    for digit in bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]) {
        text.push(char::from_digit(digit.into(), 16).unwrap_or('0'));
    }
    text
}

/// What a CHALLENGE says of the server, a workgroup machine.
#[derive(Clone, Copy, Debug)]
pub struct Challenge<'a> {
    /// The client's NegotiateFlags.
    pub client_flags: u32,
    /// ServerChallenge.
    pub challenge: [u8; 8],
    /// Computer name: target, NetBIOS and DNS names alike.
    pub computer: &'a str,
    /// The VERSION structure.
    pub version: [u8; 8],
    /// Now, as FILETIME.
    pub now: u64,
}

impl Challenge<'_> {
    /// The message. AV pairs stand in Windows' order: NetBIOS domain, NetBIOS computer, DNS domain, DNS
    /// computer, time, end.
    pub fn to_bytes(self) -> Vec<u8> {
        // What Windows 7 echoes of the client's wishes, and what it always adds: NTLM, TARGET_INFO and
        // TARGET_TYPE_SERVER.
        const ECHOED: u32 = 0xe208_8237;
        const ADDED: u32 = 0x0082_0200;
        let unicode = self.client_flags & NEGOTIATE_UNICODE != 0;
        let oem = if unicode { 0x0000_0002 } else { 0 };
        let flags = (self.client_flags & ECHOED & !oem) | ADDED;
        let utf16: Vec<u8> = self.computer.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let target: &[u8] = if unicode { &utf16 } else { self.computer.as_bytes() };
        let mut info = Vec::new();
        let mut pairs = Writer::new(&mut info);
        for id in [2u16, 1, 4, 3] {
            pairs.u16(id).u16(len16(utf16.len())).bytes(&utf16);
        }
        pairs.u16(7).u16(8).u64(self.now).u16(0).u16(0);
        let target_at = 56usize;
        let info_at = target_at.saturating_add(target.len());
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes);
        writer.bytes(SIGNATURE).u32(2);
        writer.u16(len16(target.len())).u16(len16(target.len())).u32(len32(target_at));
        writer.u32(flags).bytes(&self.challenge).u64(0);
        writer.u16(len16(info.len())).u16(len16(info.len())).u32(len32(info_at));
        writer.bytes(if flags & NEGOTIATE_VERSION != 0 { &self.version } else { &[0; 8] });
        writer.bytes(target).bytes(&info);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_has_windows_order() {
        let challenge = Challenge {
            client_flags: 0xe208_8297,
            challenge: *b"12345678",
            computer: "AB",
            version: [6, 1, 0xb1, 0x1d, 0, 0, 0, 15],
            now: 9,
        };
        let bytes = challenge.to_bytes();
        assert_eq!(&bytes[..12], b"NTLMSSP\0\x02\0\0\0");
        assert_eq!(u32::from_le_bytes(bytes[20..24].try_into().unwrap()), 0xe28a_8215);
        assert_eq!(&bytes[48..56], [6, 1, 0xb1, 0x1d, 0, 0, 0, 15]);
        assert_eq!(&bytes[56..60], b"A\0B\0");
        let ids: Vec<u8> = bytes[60..].chunks(8).take(4).map(|pair| pair[0]).collect();
        assert_eq!(ids, [2, 1, 4, 3]);
        assert_eq!(&bytes[92..], [7, 0, 8, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn fields_that_point_outside_are_empty() {
        let mut bytes = b"NTLMSSP\0\x03\0\0\0".to_vec();
        bytes.extend_from_slice(&[0xff; 52]);
        let Ok(Message::Authenticate(message)) = parse(&bytes, 64) else { panic!("no message") };
        assert!(message.is_anonymous());
        assert_eq!(message.auditable([0; 8]), "");
    }
}
