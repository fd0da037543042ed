//! SMB_COM_READ_ANDX and SMB_COM_WRITE_ANDX ([MS-CIFS] 2.2.4.42, .43; [MS-SMB] 2.2.4.2, .3).

use super::Block;
use super::trans::Piece;
use crate::wire::Malformed;
use crate::wire::reader::Reader;
use crate::wire::writer::{Writer, len16};

/// A READ_ANDX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// FID.
    pub fid: u16,
    /// MaxCountOfBytesToReturn.
    pub count: u16,
}

impl Read {
    /// Reads it.
    pub fn parse(block: &Block<'_>) -> Result<Self, Malformed> {
        let mut words = Reader::new(block.words);
        words.take(4, "AndX")?;
        let fid = words.u16_le("FID")?;
        words.u32_le("Offset")?;
        Ok(Self { fid, count: words.u16_le("MaxCount")? })
    }
}

/// A WRITE_ANDX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Write<'a> {
    /// FID.
    pub fid: u16,
    /// Where in the file.
    pub offset: u64,
    /// What.
    pub data: Piece<'a>,
}

impl<'a> Write<'a> {
    /// Reads it; with 14 words the offset is 64 bits wide, and large writes carry 17 bits of length.
    pub fn parse(message: &'a [u8], block: &Block<'a>) -> Result<Self, Malformed> {
        let mut words = Reader::new(block.words);
        words.take(4, "AndX")?;
        let fid = words.u16_le("FID")?;
        let low = words.u32_le("Offset")?;
        words.take(8, "Timeout")?; // Timeout, WriteMode, Remaining
        let length_high = words.u16_le("DataLengthHigh")?;
        let length = words.u16_le("DataLength")?;
        let data_offset = words.u16_le("DataOffset")?;
        let high = words.u32_le("OffsetHigh").unwrap_or(0);
        let declared = u32::from(length) | u32::from(length_high & 1).wrapping_shl(16);
        Ok(Self {
            fid,
            offset: u64::from(low) | u64::from(high).wrapping_shl(32),
            data: Piece::cut(message, declared, u32::from(data_offset), 0),
        })
    }
}

/// Writes WordCount, words and bytes of a READ_ANDX reply; the data begins at offset 60 of the message, as
/// Windows pads it. Returns where AndXCommand stands.
pub fn write_read_reply(writer: &mut Writer<'_>, data: &[u8]) -> usize {
    writer.u8(12);
    let andx_at = writer.len();
    writer.u8(super::NO_ANDX).u8(0).u16(0);
    // Available, DataCompactionMode, Reserved, DataLength, DataOffset, DataLengthHigh, Reserved.
    let data_at = writer.len().saturating_add(23);
    writer.u16(0xffff).u16(0).u16(0).u16(len16(data.len())).u16(len16(data_at)).zeros(10);
    writer.u16(len16(data.len().saturating_add(1))).u8(0).bytes(data);
    andx_at
}

/// Writes WordCount, words and bytes of a WRITE_ANDX reply; returns where AndXCommand stands.
pub fn write_write_reply(writer: &mut Writer<'_>, count: u32) -> usize {
    writer.u8(6);
    let andx_at = writer.len();
    let [low0, low1, high0, high1] = count.to_le_bytes();
    writer.u8(super::NO_ANDX).u8(0).u16(0);
    writer
        .u16(u16::from_le_bytes([low0, low1]))
        .u16(0xffff)
        .u16(u16::from_le_bytes([high0, high1]))
        .u16(0)
        .u16(0);
    andx_at
}
