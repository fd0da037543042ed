//! SMB_COM_ECHO ([MS-CIFS] 2.2.4.39).

use super::Block;
use crate::wire::Malformed;
use crate::wire::reader::Reader;
use crate::wire::writer::{Writer, len16};

/// EchoCount: how many replies are wanted.
pub fn count(block: &Block<'_>) -> Result<u16, Malformed> {
    Reader::new(block.words).u16_le("EchoCount")
}

/// Writes WordCount, words and bytes of reply number `sequence` (from 1).
pub fn write_reply(writer: &mut Writer<'_>, sequence: u16, data: &[u8]) {
    writer.u8(1).u16(sequence).u16(len16(data.len())).bytes(data);
}
