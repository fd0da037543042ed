//! SMB_COM_NT_CREATE_ANDX and SMB_COM_CLOSE ([MS-CIFS] 2.2.4.64, .5; [MS-SMB] 2.2.4.9).

use super::Block;
use crate::wire::Malformed;
use crate::wire::reader::Reader;
use crate::wire::unicode::{Strings, Text};
use crate::wire::writer::Writer;

/// NT_CREATE_REQUEST_EXTENDED_RESPONSE.
const EXTENDED_RESPONSE: u32 = 0x0000_0010;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The name, as `\lsarpc`.
    pub name: Text,
    /// Whether the longer reply is wanted.
    pub extended: bool,
}

impl Request {
    /// Reads it.
    pub fn parse(block: &Block<'_>, unicode: bool, text_max: usize) -> Result<Self, Malformed> {
        let mut words = Reader::new(block.words);
        words.take(7, "AndX")?; // AndX, Reserved, NameLength
        let flags = words.u32_le("Flags")?;
        let name = Strings::new(block.bytes, block.bytes_at, unicode, text_max).text();
        Ok(Self { name, extended: flags & EXTENDED_RESPONSE != 0 })
    }

    /// The pipe's bare name in lower case.
    pub fn pipe(&self) -> String {
        self.name.0.trim_start_matches('\\').to_ascii_lowercase()
    }
}

/// The FID of a CLOSE.
pub fn close_fid(block: &Block<'_>) -> Result<u16, Malformed> {
    Reader::new(block.words).u16_le("FID")
}

/// Writes WordCount, words and bytes of the reply for a message pipe; returns where AndXCommand stands.
pub fn write_pipe_reply(writer: &mut Writer<'_>, fid: u16, extended: bool) -> usize {
    // Windows says 42 words in the extended form, although it sends 50 ([MS-SMB] 2.2.4.9.2, note).
    writer.u8(if extended { 42 } else { 34 });
    let andx_at = writer.len();
    writer.u8(super::NO_ANDX).u8(0).u16(0);
    // No oplock, the FID, FILE_OPENED, four times without a value, FILE_ATTRIBUTE_NORMAL.
    writer.u8(0).u16(fid).u32(1).zeros(32).u32(0x80);
    // AllocationSize, EndOfFile, a message-mode pipe, its state, no directory.
    writer.u64(4096).u64(0).u16(2).u16(0x05ff).u8(0);
    if extended {
        // VolumeGUID, FileId; MaximalAccessRights and the guest's ([MS-SMB] 2.2.4.9.2).
        writer.zeros(24).u32(0x0012_019f).u32(0x0012_019f);
    }
    writer.u16(0);
    andx_at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_have_the_recorded_lengths() {
        let mut out = Vec::new();
        write_pipe_reply(&mut Writer::new(&mut out), 0x4000, true);
        assert_eq!(32 + out.len(), 135);
        out.clear();
        write_pipe_reply(&mut Writer::new(&mut out), 0x4000, false);
        assert_eq!(out.len(), 1 + 68 + 2);
    }
}
