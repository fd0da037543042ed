//! Strings of SMB1: OEM or UTF-16LE by SMB_FLAGS2_UNICODE, the latter aligned to the message's even bytes.

use super::reader::Reader;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Write};

/// Text that an attacker wrote, decoded without loss of anything printable and bounded in length.
///
/// It stays raw in memory; [`fmt::Display`] is the one place that escapes it for a terminal, [`Text::in_json`] for those
/// who read JSON there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Text(pub String);

impl Text {
    /// The text of single-byte (OEM) characters: each byte becomes the character of the same number.
    pub fn from_oem(bytes: &[u8], bytes_max: usize) -> Self {
        Self(bytes.iter().take(bytes_max).map(|&b| char::from(b)).collect())
    }

    /// The text of UTF-16LE units; an unpaired surrogate becomes U+FFFD, an odd last byte is left out.
    pub fn from_utf16(bytes: &[u8], bytes_max: usize) -> Self {
        let units = bytes.as_chunks::<2>().0.iter().take(bytes_max).map(|&pair| u16::from_le_bytes(pair));
        Self(char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
    }

    /// Whether a reader sees this character as what it is. Control characters drive terminals, marks that turn the
    /// direction of writing lie to readers, and what has no width hides (Unicode, general categories Cc, Cf, Zl, Zp).
    pub const fn shows(c: char) -> bool {
        !matches!(c,
            '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}'
            | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
    }

    /// The same JSON, with each character in its strings escaped that a reader does not see ([`Self::shows`]). What the
    /// encoder leaves of ASCII stays, for that is its layout.
    pub fn in_json(json: String) -> String {
        let is_hidden = |c: char| c >= '\u{7f}' && !Self::shows(c);
        if !json.contains(is_hidden) {
            return json;
        }
        let mut text = String::with_capacity(json.len().saturating_add(64));
        for c in json.chars() {
            if !is_hidden(c) {
                text.push(c);
                continue;
            }
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a String cannot fail.
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
        text
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if Self::shows(c) {
                write!(f, "{c}")?;
            } else {
                write!(f, "{}", c.escape_unicode())?;
            }
        }
        Ok(())
    }
}

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

    #[test]
    fn attacker_text_cannot_drive_a_terminal() {
        let text = Text::from_oem(b"a\x1b[2J\r\n\\\\h\\IPC$", 64);
        assert_eq!(text.to_string(), r"a\u{1b}[2J\u{d}\u{a}\\h\IPC$");
        assert_eq!(Text::from_utf16(b"a\0\x00\xd8b\0x", 64).0, "a\u{fffd}b");
    }
}
