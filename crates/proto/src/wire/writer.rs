//! Writing: little-endian fields appended to a buffer that the caller owns, with back-patching.

/// Appends to a buffer; offsets are counted from where it began.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
    base: usize,
}

impl<'a> Writer<'a> {
    /// Begins at the present end of `out`.
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        let base = out.len();
        Self { out, base }
    }

    /// Goes on with what begins at `base` of `out`.
    pub fn continuing(out: &'a mut Vec<u8>, base: usize) -> Self {
        Self { out, base }
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.out.len().saturating_sub(self.base)
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.out.push(value);
        self
    }

    /// Two bytes, least significant first.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    /// Four bytes, least significant first.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    /// Eight bytes, least significant first.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    /// These bytes.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.out.extend_from_slice(bytes);
        self
    }

    /// `count` zero bytes.
    pub fn zeros(&mut self, count: usize) -> &mut Self {
        self.out.resize(self.out.len().saturating_add(count), 0);
        self
    }

    /// Zero bytes up to a multiple of `boundary`, counted from the beginning.
    pub fn align(&mut self, boundary: usize) -> &mut Self {
        let over = self.len().checked_rem(boundary).unwrap_or(0);
        if over != 0 {
            self.zeros(boundary.saturating_sub(over));
        }
        self
    }

    /// Text in UTF-16LE without a terminator.
    pub fn utf16(&mut self, text: &str) -> &mut Self {
        for unit in text.encode_utf16() {
            self.u16(unit);
        }
        self
    }

    /// Takes the last byte back.
    pub fn drop_last(&mut self) {
        if !self.is_empty() {
            self.out.pop();
        }
    }

    /// Writes over bytes that were written before; what lies outside is left alone.
    pub fn patch(&mut self, at: usize, bytes: &[u8]) {
        let start = self.base.saturating_add(at);
        let end = start.saturating_add(bytes.len());
        if let Some(place) = self.out.get_mut(start..end) {
            place.copy_from_slice(bytes);
        }
    }
}

/// A size as a 16-bit field. Our own replies are far smaller than what would saturate.
pub(crate) fn len16(len: usize) -> u16 {
    u16::try_from(len).unwrap_or(u16::MAX)
}

/// A size as a 32-bit field.
pub(crate) fn len32(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
