//! The only code that walks over untrusted bytes.

use super::Malformed;

/// A cursor that cannot leave its bytes: every read is checked, so none can panic.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    all: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// A cursor at the start of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { all: bytes, at: 0 }
    }

    /// How far it has come, in bytes.
    pub const fn position(&self) -> usize {
        self.at
    }

    /// Everything from here to the end.
    pub fn rest(&self) -> &'a [u8] {
        self.all.get(self.at..).unwrap_or_default()
    }

    /// The next `len` bytes; `what` names them if they are missing.
    pub fn take(&mut self, len: usize, what: &'static str) -> Result<&'a [u8], Malformed> {
        let short = Malformed { what, at: self.at };
        let end = self.at.checked_add(len).ok_or(short)?;
        let taken = self.all.get(self.at..end).ok_or(short)?;
        self.at = end;
        Ok(taken)
    }

    /// The next `len` bytes, or what there is of them.
    pub fn take_up_to(&mut self, len: usize) -> &'a [u8] {
        let rest = self.rest();
        let taken = rest.get(..len).unwrap_or(rest);
        self.at = self.at.saturating_add(taken.len());
        taken
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Malformed> {
        let (head, _) = self.rest().split_first_chunk::<N>().ok_or(Malformed { what, at: self.at })?;
        self.at = self.at.saturating_add(N);
        Ok(*head)
    }

    /// One byte.
    pub fn u8(&mut self, what: &'static str) -> Result<u8, Malformed> {
        self.array::<1>(what).map(|[byte]| byte)
    }

    /// Two bytes, least significant first.
    pub fn u16_le(&mut self, what: &'static str) -> Result<u16, Malformed> {
        self.array(what).map(u16::from_le_bytes)
    }

    /// Two bytes, most significant first.
    pub fn u16_be(&mut self, what: &'static str) -> Result<u16, Malformed> {
        self.array(what).map(u16::from_be_bytes)
    }

    /// Four bytes, least significant first.
    pub fn u32_le(&mut self, what: &'static str) -> Result<u32, Malformed> {
        self.array(what).map(u32::from_le_bytes)
    }

    /// Eight bytes, least significant first.
    pub fn u64_le(&mut self, what: &'static str) -> Result<u64, Malformed> {
        self.array(what).map(u64::from_le_bytes)
    }

    /// Bytes `offset..offset + len` from the start, clipped to what is there. Does not move.
    pub fn window(&self, offset: usize, len: usize) -> &'a [u8] {
        let from = self.all.get(offset..).unwrap_or_default();
        from.get(..len).unwrap_or(from)
    }

    /// Bytes up to the next `delimiter`, which is skipped; the rest where there is none.
    pub fn until(&mut self, delimiter: u8) -> &'a [u8] {
        let rest = self.rest();
        let len = rest.iter().position(|&byte| byte == delimiter).unwrap_or(rest.len());
        let taken = self.take_up_to(len);
        self.take_up_to(1);
        taken
    }

    /// UTF-16 units up to the next zero unit, which is skipped; the rest where there is none.
    pub fn until_utf16_nul(&mut self) -> &'a [u8] {
        let rest = self.rest();
        let units = rest.as_chunks::<2>().0;
        let len = units.iter().position(|unit| unit == &[0, 0]).map_or(rest.len(), |at| at.saturating_mul(2));
        let taken = self.take_up_to(len);
        self.take_up_to(2);
        taken
    }
}

/// A length or offset of the wire as a size; what does not fit is larger than any buffer.
pub(crate) fn size(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_reads_past_the_end() {
        let mut reader = Reader::new(&[1, 2, 3]);
        assert_eq!(reader.u16_le("a"), Ok(0x0201));
        assert_eq!(reader.u16_le("b"), Err(Malformed { what: "b", at: 2 }));
        assert_eq!(reader.take(usize::MAX, "c"), Err(Malformed { what: "c", at: 2 }));
        assert_eq!(reader.take_up_to(9), [3]);
        assert_eq!(reader.window(1, usize::MAX), [2, 3]);
        assert_eq!(reader.window(usize::MAX, 1), []);
        assert_eq!(Reader::new(b"ab\0c").until(0), b"ab");
        assert_eq!(Reader::new(b"a\0\0\0c").until_utf16_nul(), b"a\0");
    }
}
