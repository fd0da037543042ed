//! Strings of SMB1: OEM or UTF-16LE by SMB_FLAGS2_UNICODE, the latter aligned to the message's even bytes.

use super::reader::Reader;
use crate::event::Text;

/// Reads SMB strings from the byte block of a message.
#[derive(Debug)]
pub struct Strings<'a> {
    reader: Reader<'a>,
    /// Position of the block in the message: alignment counts from the message's start.
    block_at: usize,
    unicode: bool,
    text_max: usize,
}

impl<'a> Strings<'a> {
    /// Strings of `bytes`, which stand at `block_at` in their message.
    pub fn new(bytes: &'a [u8], block_at: usize, unicode: bool, text_max: usize) -> Self {
        Self { reader: Reader::new(bytes), block_at, unicode, text_max }
    }

    /// Skips or takes raw bytes (a password, a blob), as far as they are there.
    pub fn raw(&mut self, len: usize) -> &'a [u8] {
        self.reader.take_up_to(len)
    }

    /// The next string in the message's encoding, without its terminator; empty where there is none.
    pub fn text(&mut self) -> Text {
        if self.unicode {
            if self.block_at.wrapping_add(self.reader.position()) & 1 == 1 {
                self.reader.take_up_to(1);
            }
            Text::from_utf16(self.reader.until_utf16_nul(), self.text_max)
        } else {
            self.oem()
        }
    }

    /// The next string in OEM characters whatever the message's encoding (as Service in a tree connect).
    pub fn oem(&mut self) -> Text {
        Text::from_oem(self.reader.until(0), self.text_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unicode_aligns_to_the_message() {
        let mut strings = Strings::new(b"\0a\0\0\0IPC\0", 41, true, 64);
        assert_eq!(strings.text().0, "a");
        assert_eq!(strings.oem().0, "IPC");
        assert_eq!(strings.text().0, "");
    }
}
