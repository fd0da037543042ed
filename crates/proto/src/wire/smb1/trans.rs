//! SMB_COM_TRANSACTION, SMB_COM_TRANSACTION2 and their SECONDARY requests ([MS-CIFS] 2.2.4.33, .34, .46, .47).
//! NT_TRANSACT gives the same two views (see `nt_transact`).

use super::Block;
use crate::wire::Malformed;
use crate::wire::reader::{Reader, size};
use crate::wire::writer::{Writer, len16};

/// TRANS_PEEK_NMPIPE.
pub const PEEK_NMPIPE: u16 = 0x0023;
/// TRANS_TRANSACT_NMPIPE.
pub const TRANSACT_NMPIPE: u16 = 0x0026;
/// TRANS2_SESSION_SETUP: never implemented by Windows, DoublePulsar's door.
pub const TRANS2_SESSION_SETUP: u16 = 0x000e;
/// TRANS2_GET_DFS_REFERRAL.
pub const TRANS2_GET_DFS_REFERRAL: u16 = 0x0010;

/// A piece of a transaction's parameters or data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Piece<'a> {
    /// The bytes that are there: never more than declared, fewer where the message is short.
    pub bytes: &'a [u8],
    /// How many the message declares.
    pub declared: u32,
    /// Where they begin in the message.
    pub at: usize,
    /// Where they go in the whole.
    pub displacement: u32,
}

impl<'a> Piece<'a> {
    /// Cuts it out of its message.
    pub fn cut(message: &'a [u8], declared: u32, offset: u32, displacement: u32) -> Self {
        let bytes = Reader::new(message).window(size(offset), size(declared));
        Self { bytes, declared, at: size(offset), displacement }
    }
}

/// A first request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Primary<'a> {
    /// Setup words (NT_TRANSACT: bytes).
    pub setup: &'a [u8],
    /// NT_TRANSACT's Function.
    pub function: u16,
    /// Timeout.
    pub timeout: u32,
    /// Parameters of the whole, in bytes.
    pub total_parameters: u32,
    /// Data of the whole, in bytes.
    pub total_data: u32,
    /// Parameters here.
    pub parameters: Piece<'a>,
    /// Data here.
    pub data: Piece<'a>,
}

impl<'a> Primary<'a> {
    /// Reads TRANSACTION or TRANSACTION2; `message` is the whole message, from which offsets count.
    /// WordCount may be larger than 14 + SetupCount: nmap's check packs its bytes into words.
    pub fn parse(message: &'a [u8], block: &Block<'a>) -> Result<Self, Malformed> {
        let mut words = Reader::new(block.words);
        let total_parameters = u32::from(words.u16_le("TotalParameterCount")?);
        let total_data = u32::from(words.u16_le("TotalDataCount")?);
        words.take(8, "MaxCounts")?; // MaxParameterCount, MaxDataCount, MaxSetupCount, Reserved, Flags
        let timeout = words.u32_le("Timeout")?;
        words.u16_le("Reserved2")?;
        let parameter_count = u32::from(words.u16_le("ParameterCount")?);
        let parameter_offset = u32::from(words.u16_le("ParameterOffset")?);
        let data_count = u32::from(words.u16_le("DataCount")?);
        let data_offset = u32::from(words.u16_le("DataOffset")?);
        let setup_count = words.u8("SetupCount")?;
        words.u8("Reserved3")?;
        let setup = words.take(usize::from(setup_count).saturating_mul(2), "Setup")?;
        Ok(Self {
            setup,
            function: 0,
            timeout,
            total_parameters,
            total_data,
            parameters: Piece::cut(message, parameter_count, parameter_offset, 0),
            data: Piece::cut(message, data_count, data_offset, 0),
        })
    }

    /// Setup word number `at`.
    pub fn setup_word(&self, at: usize) -> Option<u16> {
        self.setup.as_chunks::<2>().0.get(at).map(|&word| u16::from_le_bytes(word))
    }

    /// Whether all of it is here.
    pub fn is_whole(&self) -> bool {
        self.parameters.declared >= self.total_parameters && self.data.declared >= self.total_data
    }
}

/// A SECONDARY request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Secondary<'a> {
    /// Parameters of the whole: may be smaller than announced first.
    pub total_parameters: u32,
    /// Data of the whole: may be smaller than announced first.
    pub total_data: u32,
    /// Parameters here.
    pub parameters: Piece<'a>,
    /// Data here.
    pub data: Piece<'a>,
}

impl<'a> Secondary<'a> {
    /// Reads TRANSACTION_SECONDARY or TRANSACTION2_SECONDARY (whose FID is of no use).
    pub fn parse(message: &'a [u8], block: &Block<'a>) -> Result<Self, Malformed> {
        let mut words = Reader::new(block.words);
        let mut word = |what| words.u16_le(what).map(u32::from);
        let (total_parameters, total_data) = (word("TotalParameterCount")?, word("TotalDataCount")?);
        let (count, offset, displacement) =
            (word("ParameterCount")?, word("ParameterOffset")?, word("ParameterDisplacement")?);
        let parameters = Piece::cut(message, count, offset, displacement);
        let (count, offset, displacement) =
            (word("DataCount")?, word("DataOffset")?, word("DataDisplacement")?);
        Ok(Self {
            total_parameters,
            total_data,
            parameters,
            data: Piece::cut(message, count, offset, displacement),
        })
    }
}

/// Writes WordCount, words and bytes of a transaction's reply (10 words, no setup), with the alignment of
/// Windows: parameters, then data, each at a multiple of four from the message's start.
pub fn write_reply(writer: &mut Writer<'_>, parameters: &[u8], data: &[u8]) {
    let words_at = writer.len();
    writer.u8(10).zeros(20);
    let count_at = writer.len();
    writer.u16(0).align(4);
    let parameters_at = writer.len();
    writer.bytes(parameters).align(4);
    let data_at = writer.len();
    writer.bytes(data);
    let count = writer.len().saturating_sub(count_at).saturating_sub(2);
    writer.patch(count_at, &len16(count).to_le_bytes());
    let fields =
        [parameters.len(), data.len(), 0, parameters.len(), parameters_at, 0, data.len(), data_at, 0, 0]
            .map(len16);
    for (field, place) in fields.iter().zip(0usize..) {
        let at = words_at.saturating_add(1).saturating_add(place.saturating_mul(2));
        writer.patch(at, &field.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_with_thirty_parameters_is_88_bytes_as_recorded() {
        let mut out = vec![0; 32];
        let mut writer = Writer::continuing(&mut out, 0);
        write_reply(&mut writer, &[7; 30], &[]);
        assert_eq!(out.len(), 88);
        assert_eq!(
            &out[32..55],
            &[10, 30, 0, 0, 0, 0, 0, 30, 0, 56, 0, 0, 0, 0, 0, 88, 0, 0, 0, 0, 0, 33, 0]
        );
    }
}
