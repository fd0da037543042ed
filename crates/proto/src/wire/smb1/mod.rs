//! SMB1 messages ([MS-CIFS] 2.2, [MS-SMB] 2.2).

pub mod create;
pub mod echo;
pub mod header;
pub mod negotiate;
pub mod nt_transact;
pub mod read_write;
pub mod session_setup;
pub mod trans;
pub mod tree;

use super::Malformed;
use super::reader::Reader;

/// SMB_COM_CLOSE.
pub const CLOSE: u8 = 0x04;
/// SMB_COM_TRANSACTION.
pub const TRANSACTION: u8 = 0x25;
/// SMB_COM_TRANSACTION_SECONDARY.
pub const TRANSACTION_SECONDARY: u8 = 0x26;
/// SMB_COM_ECHO.
pub const ECHO: u8 = 0x2b;
/// SMB_COM_READ_ANDX.
pub const READ_ANDX: u8 = 0x2e;
/// SMB_COM_WRITE_ANDX.
pub const WRITE_ANDX: u8 = 0x2f;
/// SMB_COM_TRANSACTION2.
pub const TRANSACTION2: u8 = 0x32;
/// SMB_COM_TRANSACTION2_SECONDARY.
pub const TRANSACTION2_SECONDARY: u8 = 0x33;
/// SMB_COM_TREE_DISCONNECT.
pub const TREE_DISCONNECT: u8 = 0x71;
/// SMB_COM_NEGOTIATE.
pub const NEGOTIATE: u8 = 0x72;
/// SMB_COM_SESSION_SETUP_ANDX.
pub const SESSION_SETUP_ANDX: u8 = 0x73;
/// SMB_COM_LOGOFF_ANDX.
pub const LOGOFF_ANDX: u8 = 0x74;
/// SMB_COM_TREE_CONNECT_ANDX.
pub const TREE_CONNECT_ANDX: u8 = 0x75;
/// SMB_COM_NT_TRANSACT.
pub const NT_TRANSACT: u8 = 0xa0;
/// SMB_COM_NT_TRANSACT_SECONDARY.
pub const NT_TRANSACT_SECONDARY: u8 = 0xa1;
/// SMB_COM_NT_CREATE_ANDX.
pub const NT_CREATE_ANDX: u8 = 0xa2;
/// SMB_COM_NT_CANCEL.
pub const NT_CANCEL: u8 = 0xa4;
/// No further command in an AndX chain.
pub const NO_ANDX: u8 = 0xff;

/// Whether a command's words begin with AndXCommand and AndXOffset.
pub const fn is_andx(command: u8) -> bool {
    matches!(
        command,
        0x24 | 0x2d
            | READ_ANDX
            | WRITE_ANDX
            | SESSION_SETUP_ANDX
            | LOGOFF_ANDX
            | TREE_CONNECT_ANDX
            | NT_CREATE_ANDX
    )
}

/// Whether Windows has a handler for a command: one without gets STATUS_SMB_BAD_COMMAND ([MS-CIFS] 2.2.2.1).
pub const fn is_known(command: u8) -> bool {
    matches!(command, 0x00..=0x14 | 0x1a..=0x26 | 0x29..=0x2f | 0x31..=0x34 | 0x70..=0x75 | 0x80..=0x84 | 0xa0..=0xa2 | 0xa4 | 0xa5 | 0xc0..=0xc3)
}

/// One command of a message: its words and its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    /// The parameter words, 2 × WordCount bytes.
    pub words: &'a [u8],
    /// The data bytes: ByteCount of them, or as many as there are.
    pub bytes: &'a [u8],
    /// Where `bytes` begins in the message.
    pub bytes_at: usize,
    /// ByteCount as it says.
    pub byte_count: u16,
}

impl<'a> Block<'a> {
    /// Reads the block at `at` of `message`. A ByteCount that promises more than there is gets what there is,
    /// as Windows does where the command allows it.
    pub fn parse(message: &'a [u8], at: usize) -> Result<Self, Malformed> {
        let mut reader = Reader::new(message);
        reader.take(at, "AndXOffset")?;
        let word_count = reader.u8("WordCount")?;
        let words = reader.take(usize::from(word_count).saturating_mul(2), "Words")?;
        let byte_count = reader.u16_le("ByteCount")?;
        let bytes_at = reader.position();
        let bytes = reader.take_up_to(usize::from(byte_count));
        Ok(Self { words, bytes, bytes_at, byte_count })
    }

    /// WordCount.
    pub fn word_count(&self) -> usize {
        self.words.len().wrapping_shr(1)
    }

    /// The chain's next command and where its block is: the first two words of an AndX command.
    pub fn andx(&self) -> Result<(u8, u16), Malformed> {
        let mut reader = Reader::new(self.words);
        let command = reader.u8("AndXCommand")?;
        reader.u8("AndXReserved")?;
        Ok((command, reader.u16_le("AndXOffset")?))
    }
}
