//! Reading a piece of a message field by field: every read leaves a [`Field`] with its range.

use super::field::{Field, SHOWN_MAX};
use crate::wire::Malformed;
use crate::wire::ntlmssp::hex;
use crate::wire::reader::Reader;
use crate::wire::unicode::Text;
use std::fmt::Write as _;
use std::ops::Range;

/// Bytes of a text that are shown.
pub(super) const TEXT_MAX: usize = 256;

/// The first bytes as digits, and how many there are where not all are shown.
pub(super) fn digits(bytes: &[u8]) -> String {
    match bytes.get(..SHOWN_MAX) {
        Some(head) if bytes.len() > SHOWN_MAX => format!("{}… ({} bytes)", hex(head), bytes.len()),
        _ => hex(bytes),
    }
}

/// Names of the bits that are set; those without a name as a number.
pub(super) fn bits(value: u32, names: &[(u32, &str)]) -> String {
    let mut text = String::new();
    let mut left = value;
    for &(mask, name) in names {
        if value & mask == mask {
            left &= !mask;
            let _ = write!(text, "{}{name}", if text.is_empty() { "" } else { ", " });
        }
    }
    if left != 0 {
        let _ = write!(text, "{}{left:#x}", if text.is_empty() { "" } else { ", " });
    }
    text
}

/// A walk over a piece of a frame.
pub(super) struct Walk<'m> {
    reader: Reader<'m>,
    /// Where the piece begins in the frame.
    base: usize,
    /// What was read.
    pub(super) fields: Vec<Field>,
}

impl<'m> Walk<'m> {
    /// Over `bytes`, which begin at `base` of the frame.
    pub(super) fn new(bytes: &'m [u8], base: usize) -> Self {
        Self { reader: Reader::new(bytes), base, fields: Vec::new() }
    }

    /// Where the walk has come to, in the frame.
    pub(super) fn at(&self) -> usize {
        self.base.saturating_add(self.reader.position())
    }

    /// Everything from here to the piece's end.
    pub(super) fn rest(&self) -> &'m [u8] {
        self.reader.rest()
    }

    /// Says what the last field means.
    pub(super) fn mean(&mut self, meaning: impl Into<String>) {
        if let Some(field) = self.fields.last_mut() {
            field.meaning = meaning.into();
        }
    }

    fn leaf<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Reader<'m>) -> Result<T, Malformed>,
        show: impl FnOnce(&T) -> String,
    ) -> Result<T, Malformed> {
        let start = self.at();
        let value = read(&mut self.reader)?;
        self.fields.push(Field::leaf(name, start..self.at(), show(&value)));
        Ok(value)
    }

    /// One byte, a number.
    pub(super) fn u8(&mut self, name: &'static str) -> Result<u8, Malformed> {
        self.leaf(name, |reader| reader.u8(name), u8::to_string)
    }

    /// Two bytes, a number.
    pub(super) fn u16(&mut self, name: &'static str) -> Result<u16, Malformed> {
        self.leaf(name, |reader| reader.u16_le(name), u16::to_string)
    }

    /// Four bytes, a number.
    pub(super) fn u32(&mut self, name: &'static str) -> Result<u32, Malformed> {
        self.leaf(name, |reader| reader.u32_le(name), u32::to_string)
    }

    /// Eight bytes, a number.
    pub(super) fn u64(&mut self, name: &'static str) -> Result<u64, Malformed> {
        self.leaf(name, |reader| reader.u64_le(name), |value| format!("{value:#x}"))
    }

    /// One byte whose bits have names.
    pub(super) fn bits8(&mut self, name: &'static str, names: &[(u32, &str)]) -> Result<u8, Malformed> {
        let value = self.leaf(name, |reader| reader.u8(name), |value| format!("{value:#04x}"))?;
        self.mean(bits(value.into(), names));
        Ok(value)
    }

    /// Two bytes whose bits have names (or an identifier, where `names` is empty).
    pub(super) fn bits16(&mut self, name: &'static str, names: &[(u32, &str)]) -> Result<u16, Malformed> {
        let value = self.leaf(name, |reader| reader.u16_le(name), |value| format!("{value:#06x}"))?;
        if !names.is_empty() {
            self.mean(bits(value.into(), names));
        }
        Ok(value)
    }

    /// Four bytes whose bits have names (or an identifier, where `names` is empty).
    pub(super) fn bits32(&mut self, name: &'static str, names: &[(u32, &str)]) -> Result<u32, Malformed> {
        let value = self.leaf(name, |reader| reader.u32_le(name), |value| format!("{value:#010x}"))?;
        if !names.is_empty() {
            self.mean(bits(value, names));
        }
        Ok(value)
    }

    /// `len` bytes, as digits.
    pub(super) fn bytes(&mut self, name: &'static str, len: usize) -> Result<&'m [u8], Malformed> {
        self.leaf(name, |reader| reader.take(len, name), |bytes| digits(bytes))
    }

    /// `len` bytes or what there is of them, as digits; no field where there is none.
    pub(super) fn bytes_up_to(&mut self, name: &'static str, len: usize) -> &'m [u8] {
        let start = self.at();
        let bytes = self.reader.take_up_to(len);
        if !bytes.is_empty() {
            self.fields.push(Field::leaf(name, start..self.at(), digits(bytes)));
        }
        bytes
    }

    /// `len` bytes that have no meaning.
    pub(super) fn skip(&mut self, len: usize) {
        self.reader.take_up_to(len);
    }

    /// A string in the message's encoding with its terminator. UTF-16 is aligned to even bytes of the message,
    /// which begins 4 bytes into the frame.
    pub(super) fn text(&mut self, name: &'static str, unicode: bool) -> Text {
        if !unicode {
            return self.oem(name);
        }
        if self.at() & 1 == 1 {
            self.skip(1);
        }
        self.string(name, |reader| Text::from_utf16(reader.until_utf16_nul(), TEXT_MAX))
    }

    /// A UTF-16 string that is not aligned.
    pub(super) fn utf16(&mut self, name: &'static str) -> Text {
        self.string(name, |reader| Text::from_utf16(reader.until_utf16_nul(), TEXT_MAX))
    }

    /// A string in OEM characters with its terminator.
    pub(super) fn oem(&mut self, name: &'static str) -> Text {
        self.string(name, |reader| Text::from_oem(reader.until(0), TEXT_MAX))
    }

    fn string(&mut self, name: &'static str, read: impl FnOnce(&mut Reader<'m>) -> Text) -> Text {
        let start = self.at();
        let text = read(&mut self.reader);
        if start < self.at() {
            self.fields.push(Field::leaf(name, start..self.at(), format!("\"{text}\"")));
        }
        text
    }

    /// The next `len` bytes (or what there is of them) as a group that `read` divides. What it gives back is told,
    /// with the group already in its place.
    pub(super) fn group<T>(
        &mut self,
        name: &'static str,
        len: usize,
        read: impl FnOnce(&mut Walk<'m>) -> T,
    ) -> T {
        let start = self.at();
        let mut inner = Walk::new(self.reader.take_up_to(len), start);
        let value = read(&mut inner);
        let range = start..self.at();
        if !range.is_empty() {
            self.fields.push(Field::group(name, range, inner.fields));
        }
        value
    }
}

/// The part of `range` that is in a frame of `len` bytes.
pub(super) fn clipped(range: Range<usize>, len: usize) -> Range<usize> {
    range.start.min(len)..range.end.min(len)
}
