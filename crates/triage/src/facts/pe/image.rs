//! A PE file's headers, and the way from an address to a place in the file.

use crate::bytes::{le_size, le_u16, le_u32, slice};
use crate::pe::Pe;

const SECTION_SIZE: usize = 40;
/// The loader rounds a section's place in the file down to a sector, whatever FileAlignment says.
const SECTOR: usize = 512;

/// Headers that were read, and the bytes that they speak of.
pub(super) struct Image<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) pe: Pe,
    /// Where the COFF header starts.
    pub(super) coff_at: usize,
    /// Where the optional header starts.
    pub(super) optional_at: usize,
    pub(super) sections: Vec<Section>,
}

/// A row of the section table.
#[derive(Clone, Copy)]
pub(super) struct Section {
    pub(super) name: [u8; 8],
    pub(super) address: u32,
    pub(super) virtual_size: u32,
    pub(super) offset: u32,
    pub(super) size: u32,
    pub(super) flags: u32,
}

impl<'a> Image<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let pe = Pe::parse(bytes)?;
        let coff_at = le_size(bytes, 0x3c)?.checked_add(4)?;
        let optional_at = coff_at.checked_add(20)?;
        let optional_size = usize::from(le_u16(bytes, coff_at.checked_add(16)?)?);
        let table_at = optional_at.checked_add(optional_size)?;
        let table_size = usize::from(pe.sections).checked_mul(SECTION_SIZE)?;
        let table = slice(bytes, table_at..table_at.checked_add(table_size)?)?;
        let sections = table.chunks_exact(SECTION_SIZE).filter_map(section).collect();
        Some(Self { bytes, pe, coff_at, optional_at, sections })
    }

    /// A number of the optional header.
    pub(super) fn optional_u32(&self, at: usize) -> u32 {
        self.optional_at.checked_add(at).and_then(|at| le_u32(self.bytes, at)).unwrap_or(0)
    }

    /// ImageBase: where the image wants to lie in memory.
    pub(super) fn base(&self) -> u64 {
        let high = u64::from(self.optional_u32(28));
        if self.pe.machine.is_wide() { u64::from(self.optional_u32(24)) | high << 32 } else { high }
    }

    /// Address and size of data directory `number`; `None` where it is empty or not there.
    pub(super) fn directory(&self, number: usize) -> Option<(u32, u32)> {
        let (count_at, table_at) = if self.pe.machine.is_wide() { (108usize, 112usize) } else { (92, 96) };
        let count = le_size(self.bytes, self.optional_at.checked_add(count_at)?)?;
        if number >= count.min(16) {
            return None;
        }
        let at = self.optional_at.checked_add(table_at)?.checked_add(number.checked_mul(8)?)?;
        let address = le_u32(self.bytes, at)?;
        (address != 0).then_some((address, le_u32(self.bytes, at.checked_add(4)?)?))
    }

    /// Where the byte at `address` (relative to the image) stands in the file; `None` where no byte of the
    /// file is mapped there.
    pub(super) fn place(&self, address: u32) -> Option<usize> {
        let at = self.sections.iter().find_map(|section| section.place(address));
        let at = at.or_else(|| {
            let first = self.sections.first()?.address;
            (address < first).then(|| usize::try_from(address).ok())?
        })?;
        (at < self.bytes.len()).then_some(at)
    }

    /// The bytes from `address` to the end of the file.
    pub(super) fn from(&self, address: u32) -> Option<&'a [u8]> {
        self.bytes.get(self.place(address)?..)
    }

    /// The text up to a zero byte at `address`, at most `max` bytes; `None` where it has no end.
    pub(super) fn text(&self, address: u32, max: usize) -> Option<&'a [u8]> {
        let rest = self.from(address)?;
        let rest = rest.get(..max).unwrap_or(rest);
        let end = rest.iter().position(|&byte| byte == 0)?;
        rest.get(..end)
    }
}

fn section(row: &[u8]) -> Option<Section> {
    Some(Section {
        name: crate::bytes::array(row, 0)?,
        virtual_size: le_u32(row, 8)?,
        address: le_u32(row, 12)?,
        size: le_u32(row, 16)?,
        offset: le_u32(row, 20)?,
        flags: le_u32(row, 36)?,
    })
}

impl Section {
    /// Where its bytes stand in a file of `len` bytes: what it claims, cut where the file ends.
    pub(super) fn range(&self, len: usize) -> std::ops::Range<usize> {
        let start = usize::try_from(self.offset).unwrap_or(usize::MAX).min(len);
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        start..start.saturating_add(size).min(len)
    }

    fn place(&self, address: u32) -> Option<usize> {
        let inside = address.checked_sub(self.address)?;
        if inside >= self.size {
            return None;
        }
        let start = usize::try_from(self.offset).ok()?;
        let start = start.checked_sub(start.checked_rem(SECTOR)?)?;
        start.checked_add(usize::try_from(inside).ok()?)
    }

    /// Its name without the zeros behind it.
    pub(super) fn name(&self) -> String {
        let end = self.name.iter().position(|&byte| byte == 0).unwrap_or(self.name.len());
        String::from_utf8_lossy(self.name.get(..end).unwrap_or_default()).into_owned()
    }
}
