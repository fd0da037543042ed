//! SMB_COM_SESSION_SETUP_ANDX ([MS-CIFS] 2.2.4.53, [MS-SMB] 2.2.4.6).

use super::Block;
use crate::wire::Malformed;
use crate::wire::reader::Reader;
use crate::wire::unicode::{Strings, Text};
use crate::wire::writer::{Writer, len16};

/// CAP_STATUS32: the client reads NTSTATUS.
pub const CAP_STATUS32: u32 = 0x0000_0040;

/// How the client logs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Logon<'a> {
    /// Names and responses in the open (WordCount 10 or 13).
    Legacy {
        /// LM response, or plain password.
        oem: &'a [u8],
        /// NT response.
        unicode: &'a [u8],
        /// AccountName.
        account: Text,
        /// PrimaryDomain.
        domain: Text,
    },
    /// A security blob (WordCount 12).
    Extended {
        /// NTLMSSP, bare or in SPNEGO.
        blob: &'a [u8],
    },
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// How.
    pub logon: Logon<'a>,
    /// Capabilities; 0 where the form has none.
    pub capabilities: u32,
    /// NativeOS.
    pub native_os: Text,
    /// NativeLanMan.
    pub native_lan_manager: Text,
}

impl<'a> Request<'a> {
    /// Reads the three forms, told apart by WordCount.
    pub fn parse(block: &Block<'a>, unicode: bool, text_max: usize) -> Result<Self, Malformed> {
        let mut words = Reader::new(block.words);
        words.take(14, "SessionSetupWords")?; // AndX, MaxBufferSize, MaxMpxCount, VcNumber, SessionKey
        let mut strings = Strings::new(block.bytes, block.bytes_at, unicode, text_max);
        match block.word_count() {
            12 => {
                let blob_len = words.u16_le("SecurityBlobLength")?;
                words.u32_le("Reserved")?;
                let capabilities = words.u32_le("Capabilities")?;
                let blob = strings.raw(usize::from(blob_len));
                let (native_os, native_lan_manager) = (strings.text(), strings.text());
                Ok(Self { logon: Logon::Extended { blob }, capabilities, native_os, native_lan_manager })
            }
            13 => {
                let oem_len = words.u16_le("OEMPasswordLen")?;
                let unicode_len = words.u16_le("UnicodePasswordLen")?;
                words.u32_le("Reserved")?;
                let capabilities = words.u32_le("Capabilities")?;
                Ok(Self::legacy(strings, oem_len, unicode_len, capabilities))
            }
            10 => {
                let password_len = words.u16_le("PasswordLength")?;
                Ok(Self::legacy(strings, password_len, 0, 0))
            }
            _ => Err(Malformed { what: "WordCount", at: 0 }),
        }
    }

    fn legacy(mut strings: Strings<'a>, oem_len: u16, unicode_len: u16, capabilities: u32) -> Self {
        let oem = strings.raw(usize::from(oem_len));
        let unicode = strings.raw(usize::from(unicode_len));
        let (account, domain) = (strings.text(), strings.text());
        let (native_os, native_lan_manager) = (strings.text(), strings.text());
        Self {
            logon: Logon::Legacy { oem, unicode, account, domain },
            capabilities,
            native_os,
            native_lan_manager,
        }
    }
}

/// What the server says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Server<'a> {
    /// NativeOS.
    pub native_os: &'a str,
    /// NativeLanMan.
    pub native_lan_manager: &'a str,
    /// PrimaryDomain.
    pub domain: &'a str,
}

/// Where a reply's bytes begin: header, WordCount, words, ByteCount.
fn put_strings(writer: &mut Writer<'_>, unicode: bool, strings: &[&str]) {
    if !unicode {
        for text in strings {
            writer.bytes(text.as_bytes()).u8(0);
        }
        return;
    }
    if writer.len() & 1 == 1 {
        writer.u8(0);
    }
    for text in strings {
        writer.utf16(text).u16(0);
    }
}

/// Writes WordCount, words and bytes of a reply. `block_at` is how many bytes of the message precede it;
/// the writer must have begun at the message's start, so that UTF-16 aligns as in Windows' replies.
/// `blob`: the security blob of extended security (4 words), else the legacy form (3 words).
/// Returns where AndXCommand stands, to be patched when a chain goes on.
pub fn write_reply(
    writer: &mut Writer<'_>,
    unicode: bool,
    blob: Option<&[u8]>,
    server: &Server<'_>,
) -> usize {
    writer.u8(if blob.is_some() { 4 } else { 3 });
    let andx_at = writer.len();
    writer.u8(super::NO_ANDX).u8(0).u16(0).u16(0);
    if let Some(blob) = blob {
        writer.u16(len16(blob.len()));
    }
    let count_at = writer.len();
    writer.u16(0);
    match blob {
        Some(blob) => {
            writer.bytes(blob);
            put_strings(writer, unicode, &[server.native_os, server.native_lan_manager]);
        }
        None => put_strings(writer, unicode, &[server.native_os, server.native_lan_manager, server.domain]),
    }
    // Windows leaves the last byte of the last UTF-16 terminator out of this form: its replies to the worm's
    // and FuzzBunch's logon are 195 and 193 bytes long, one less than the strings need.
    if unicode && blob.is_none() {
        writer.drop_last();
    }
    let count = writer.len().saturating_sub(count_at).saturating_sub(2);
    writer.patch(count_at, &len16(count).to_le_bytes());
    andx_at
}
