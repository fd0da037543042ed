//! SMB_COM_TREE_CONNECT_ANDX ([MS-CIFS] 2.2.4.55, [MS-SMB] 2.2.4.7).

use super::Block;
use crate::wire::Malformed;
use crate::wire::reader::Reader;
use crate::wire::unicode::{Strings, Text};
use crate::wire::writer::{Writer, len16};

/// TREE_CONNECT_ANDX_EXTENDED_RESPONSE.
const EXTENDED_RESPONSE: u16 = 0x0008;
/// FILE_ALL_ACCESS, what Windows says of IPC$ ([MS-SMB] 2.2.4.7.2).
const ALL_ACCESS: u32 = 0x001f_ffff;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `\\server\share`; any server name will do.
    pub path: Text,
    /// `IPC`, `A:`, `?????` …
    pub service: Text,
    /// Whether the longer reply is wanted.
    pub extended: bool,
}

impl Request {
    /// Reads it.
    pub fn parse(block: &Block<'_>, unicode: bool, text_max: usize) -> Result<Self, Malformed> {
        let mut words = Reader::new(block.words);
        words.take(4, "AndX")?;
        let flags = words.u16_le("Flags")?;
        let password_len = words.u16_le("PasswordLength")?;
        let mut strings = Strings::new(block.bytes, block.bytes_at, unicode, text_max);
        strings.raw(usize::from(password_len));
        let path = strings.text();
        let service = strings.oem();
        Ok(Self { path, service, extended: flags & EXTENDED_RESPONSE != 0 })
    }

    /// The share: what follows the last backslash.
    pub fn share(&self) -> &str {
        self.path.0.rsplit('\\').next().unwrap_or_default()
    }
}

/// Writes WordCount, words and bytes of the reply for IPC$; returns where AndXCommand stands.
pub fn write_ipc_reply(writer: &mut Writer<'_>, unicode: bool, extended: bool) -> usize {
    writer.u8(if extended { 7 } else { 3 });
    let andx_at = writer.len();
    writer.u8(super::NO_ANDX).u8(0).u16(0).u16(1);
    if extended {
        writer.u32(ALL_ACCESS).u32(ALL_ACCESS);
    }
    // NativeFileSystem is empty; in UTF-16 it is aligned first.
    let bytes: &[u8] = if unicode { b"IPC\0\0\0\0" } else { b"IPC\0\0" };
    writer.u16(len16(bytes.len())).bytes(bytes);
    andx_at
}
