//! SMB_COM_NT_TRANSACT and its SECONDARY ([MS-CIFS] 2.2.4.62, .63): the views of `trans` with 32-bit counts.

use super::Block;
use super::trans::{Piece, Primary, Secondary};
use crate::wire::Malformed;
use crate::wire::reader::Reader;

/// Reads NT_TRANSACT.
pub fn parse_primary<'a>(message: &'a [u8], block: &Block<'a>) -> Result<Primary<'a>, Malformed> {
    let mut words = Reader::new(block.words);
    words.take(3, "MaxSetupCount")?;
    let total_parameters = words.u32_le("TotalParameterCount")?;
    let total_data = words.u32_le("TotalDataCount")?;
    words.take(8, "MaxCounts")?;
    let parameter_count = words.u32_le("ParameterCount")?;
    let parameter_offset = words.u32_le("ParameterOffset")?;
    let data_count = words.u32_le("DataCount")?;
    let data_offset = words.u32_le("DataOffset")?;
    let setup_count = words.u8("SetupCount")?;
    let function = words.u16_le("Function")?;
    let setup = words.take(usize::from(setup_count).saturating_mul(2), "Setup")?;
    Ok(Primary {
        setup,
        function,
        timeout: 0,
        total_parameters,
        total_data,
        parameters: Piece::cut(message, parameter_count, parameter_offset, 0),
        data: Piece::cut(message, data_count, data_offset, 0),
    })
}

/// Reads NT_TRANSACT_SECONDARY.
pub fn parse_secondary<'a>(message: &'a [u8], block: &Block<'a>) -> Result<Secondary<'a>, Malformed> {
    let mut words = Reader::new(block.words);
    words.take(3, "Reserved")?;
    let mut word = |what| words.u32_le(what);
    let (total_parameters, total_data) = (word("TotalParameterCount")?, word("TotalDataCount")?);
    let (count, offset, displacement) =
        (word("ParameterCount")?, word("ParameterOffset")?, word("ParameterDisplacement")?);
    let parameters = Piece::cut(message, count, offset, displacement);
    let (count, offset, displacement) = (word("DataCount")?, word("DataOffset")?, word("DataDisplacement")?);
    Ok(Secondary {
        total_parameters,
        total_data,
        parameters,
        data: Piece::cut(message, count, offset, displacement),
    })
}
