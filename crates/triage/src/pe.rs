//! Whether bytes are a PE file, and how long it is.
//!
//! Layout by Microsoft's "PE Format" specification. A few bytes `MZ` prove nothing: the 64-bit stub alone has
//! four of them. What counts is the whole way: DOS header → e_lfanew → signature → a machine that we know →
//! the optional header that belongs to it → a section table that can be.

use crate::bytes::{le_size, le_u16, le_u32, slice};

/// For which machine the file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// 32-bit Intel (0x014c).
    X86,
    /// 64-bit AMD and Intel (0x8664).
    X64,
    /// 32-bit ARM (0x01c0, 0x01c2, 0x01c4).
    Arm,
    /// 64-bit ARM (0xaa64, with its Intel-compatible forms 0xa641 and 0xa64e).
    Arm64,
}

impl Machine {
    /// Its word: `x86`, `x64`, `ARM`, `ARM64`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::X86 => "x86",
            Self::X64 => "x64",
            Self::Arm => "ARM",
            Self::Arm64 => "ARM64",
        }
    }

    /// Whether its addresses have 64 bits, and its files the wide optional header (PE32+).
    pub const fn is_wide(self) -> bool {
        matches!(self, Self::X64 | Self::Arm64)
    }

    /// Whether its code is Intel's, which is the one that we read.
    pub const fn is_intel(self) -> bool {
        matches!(self, Self::X86 | Self::X64)
    }

    /// PE Format, "Machine Types"; `None` for those that we do not look into.
    const fn from_number(number: u16) -> Option<Self> {
        match number {
            0x014c => Some(Self::X86),
            0x8664 => Some(Self::X64),
            0x01c0 | 0x01c2 | 0x01c4 => Some(Self::Arm),
            0xaa64 | 0xa641 | 0xa64e => Some(Self::Arm64),
            _ => None,
        }
    }

    /// Magic and fixed part, in bytes, of the optional header: PE32 and PE32+.
    const fn optional(self) -> (u16, usize) {
        if self.is_wide() { (0x020b, 112) } else { (0x010b, 96) }
    }
}

/// A PE file's outline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pe {
    /// Its machine.
    pub machine: Machine,
    /// How many sections.
    pub sections: u16,
    /// Where the file's own bytes end, in bytes from its start: its last section's, or its certificates' where they
    /// stand behind that. The file's size without what may be appended to it. Not bounded by the slice: a
    /// truncated file ends before.
    pub end: u64,
    /// Where the section table starts.
    table_at: usize,
    /// Where the data directories start, and how many there are.
    directories: (usize, u32),
}

const E_LFANEW_AT: usize = 0x3c;
const COFF_SIZE: usize = 20;
const SECTION_SIZE: usize = 40;
/// The loader refuses more (PE Format, "COFF File Header").
const SECTIONS_MAX: u16 = 96;
/// The loader wants the headers within the first page or so; no linker puts them further away.
const E_LFANEW_MAX: usize = 0x1000;

impl Pe {
    /// Reads the headers at the start of `file`; `None` where they are not those of a PE file.
    pub fn parse(file: &[u8]) -> Option<Self> {
        if slice(file, 0..2)? != b"MZ" {
            return None;
        }
        let machine = Machine::from_number(signed_machine(file)?)?;
        let coff_at = le_size(file, E_LFANEW_AT)?.checked_add(4)?;
        let sections = le_u16(file, coff_at.checked_add(2)?).filter(|n| (1..=SECTIONS_MAX).contains(n))?;
        let optional_size = usize::from(le_u16(file, coff_at.checked_add(16)?)?);
        let optional_at = coff_at.checked_add(COFF_SIZE)?;
        let (magic, fixed) = machine.optional();
        if le_u16(file, optional_at)? != magic || optional_size < fixed {
            return None;
        }
        let table_at = optional_at.checked_add(optional_size)?;
        let end = sections_end(file, table_at, sections)?;
        // The data directories follow the fixed part; their number is its last field.
        let directories_at = optional_at.checked_add(fixed)?;
        let room = u32::try_from(optional_size.saturating_sub(fixed).checked_div(8)?).ok()?;
        let directories = le_u32(file, directories_at.checked_sub(4)?)?.min(room);
        let mut pe = Self { machine, sections, end, table_at, directories: (directories_at, directories) };
        pe.end = pe.certificates_end(file).unwrap_or(end).max(end);
        Some(pe)
    }

    /// What a file calls itself whose headers lead to a PE signature, and that is none that we look into; empty where
    /// they lead to none.
    pub(crate) fn foreign(file: &[u8]) -> &'static str {
        let is_foreign = file.starts_with(b"MZ") && Self::parse(file).is_none();
        let Some(machine) = signed_machine(file).filter(|_| is_foreign) else { return "" };
        // PE Format, "Machine Types".
        match machine {
            number if Machine::from_number(number).is_some() => "PE file with broken headers",
            0x0200 => "PE file for Itanium",
            0x0166 | 0x0169 | 0x0266 | 0x0366 | 0x0466 => "PE file for MIPS",
            0x01f0 | 0x01f1 => "PE file for PowerPC",
            0x0ebc => "PE file in EFI byte code",
            0x5032 | 0x5064 | 0x5128 => "PE file for RISC-V",
            _ => "PE file for an unknown machine",
        }
    }

    /// Whether bytes are a PE file but for its first two, which are not `MZ` any more.
    pub(crate) fn is_without_mark(file: &[u8]) -> bool {
        !file.starts_with(b"MZ") && signed_machine(file).is_some()
    }

    /// Address (or, for certificates, file offset) and size of data directory `number`.
    pub(crate) fn directory(&self, file: &[u8], number: u32) -> Option<(u32, u32)> {
        let (at, count) = self.directories;
        let at = at.checked_add(usize::try_from(number).ok()?.checked_mul(8)?)?;
        let entry = (le_u32(file, at)?, le_u32(file, at.checked_add(4)?)?);
        (number < count && entry.0 != 0 && entry.1 != 0).then_some(entry)
    }

    /// How many sections have a name that can be read, filled up with zeros.
    pub(crate) fn plain_names(&self, file: &[u8]) -> usize {
        let table = file.get(self.table_at..).unwrap_or_default();
        let sections = table.chunks_exact(SECTION_SIZE).take(usize::from(self.sections));
        let plain = |section: &&[u8]| {
            let name = slice(section, 0..8).unwrap_or_default();
            let fill = name.iter().skip_while(|byte| byte.is_ascii_graphic());
            name.first().is_some_and(u8::is_ascii_graphic) && fill.into_iter().all(|&byte| byte == 0)
        };
        sections.filter(plain).count()
    }

    /// Where the byte at this address of the image stands in the file.
    pub(crate) fn file_offset(&self, file: &[u8], address: u32) -> Option<usize> {
        let table = file.get(self.table_at..)?;
        for section in table.chunks_exact(SECTION_SIZE).take(usize::from(self.sections)) {
            let within = address.checked_sub(le_u32(section, 12)?);
            if let Some(within) = within.filter(|&n| le_u32(section, 16).is_some_and(|size| n < size)) {
                return usize::try_from(le_u32(section, 20)?.checked_add(within)?).ok();
            }
        }
        None
    }

    /// Where the certificates end that are appended to a signed file (directory 4: an offset in the file). Only
    /// where they are there: a lie about them does not make a file longer.
    fn certificates_end(&self, file: &[u8]) -> Option<u64> {
        let (at, size) = self.directory(file, 4)?;
        let end = u64::from(at).checked_add(u64::from(size))?;
        let length = u64::try_from(file.len()).ok()?;
        // Linkers align them to eight bytes.
        let behind = u64::from(at).checked_sub(self.end)? < 8;
        (behind && end <= length).then_some(end)
    }
}

/// The machine behind a PE signature that the headers lead to.
fn signed_machine(file: &[u8]) -> Option<u16> {
    let at = le_size(file, E_LFANEW_AT).filter(|&at| (4..=E_LFANEW_MAX).contains(&at))?;
    slice(file, at..at.checked_add(4)?).filter(|four| *four == b"PE\0\0")?;
    le_u16(file, at.checked_add(4)?)
}

/// Where the bytes of the last section end; `None` where the table cannot be one.
fn sections_end(file: &[u8], table_at: usize, sections: u16) -> Option<u64> {
    let table_size = usize::from(sections).checked_mul(SECTION_SIZE)?;
    let table_end = table_at.checked_add(table_size)?;
    let table = slice(file, table_at..table_end)?;
    let headers_end = u64::try_from(table_end).ok()?;
    let mut end = headers_end;
    let mut address = 0;
    for section in table.chunks_exact(SECTION_SIZE) {
        let virtual_address = le_u32(section, 12)?;
        let raw_size = u64::from(le_u32(section, 16)?);
        let raw_at = u64::from(le_u32(section, 20)?);
        // The loader demands ascending addresses, and a section cannot lie in the headers.
        if virtual_address <= address || (raw_size > 0 && raw_at < headers_end) {
            return None;
        }
        address = virtual_address;
        end = end.max(raw_at.saturating_add(raw_size));
    }
    Some(end)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A PE file of `size` bytes with one section up to its end, filled from `seed`.
    pub(crate) fn look_alike(machine: Machine, size: usize, seed: u8) -> Vec<u8> {
        let mut file: Vec<u8> = (0..size).map(|i| (i as u8).wrapping_mul(31) ^ seed).collect();
        let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &[0; 0x200]);
        put(0, b"MZ");
        put(0x3c, &0x80u32.to_le_bytes());
        put(0x80, b"PE\0\0");
        let id = match machine {
            Machine::X86 => 0x014cu16,
            Machine::X64 => 0x8664,
            Machine::Arm => 0x01c4,
            Machine::Arm64 => 0xaa64,
        };
        let (magic, optional) = if machine.is_wide() { (0x020bu16, 240u16) } else { (0x010b, 224) };
        put(0x84, &id.to_le_bytes());
        put(0x86, &1u16.to_le_bytes());
        put(0x94, &optional.to_le_bytes());
        put(0x98, &magic.to_le_bytes());
        put(0x98 + usize::from(optional) - 16 * 8 - 4, &16u32.to_le_bytes());
        let table = 0x98 + usize::from(optional);
        put(table, b".text\0\0\0");
        put(table + 8, &(size as u32 - 0x200).to_le_bytes());
        put(table + 12, &0x1000u32.to_le_bytes());
        put(table + 16, &(size as u32 - 0x200).to_le_bytes());
        put(table + 20, &0x200u32.to_le_bytes());
        file
    }

    #[test]
    fn a_pe_says_its_machine_and_its_end() {
        for machine in [Machine::X86, Machine::X64, Machine::Arm, Machine::Arm64] {
            let file = look_alike(machine, 0x1400, 7);
            let pe = Pe::parse(&file).unwrap();
            assert_eq!((pe.machine, pe.sections, pe.end), (machine, 1, 0x1400));
        }
    }

    #[test]
    fn certificates_behind_the_sections_belong_to_the_file_if_they_are_there() {
        let mut file = look_alike(Machine::X64, 0x1400, 7);
        file.extend_from_slice(&[1; 0x100]);
        let entry = 0x98 + 112 + 4 * 8;
        file[entry..entry + 8].copy_from_slice(&[0, 0x14, 0, 0, 0x80, 0, 0, 0]);
        assert_eq!(Pe::parse(&file).unwrap().end, 0x1480);
        file[entry + 6] = 0xff;
        assert_eq!(Pe::parse(&file).unwrap().end, 0x1400);
    }

    #[test]
    fn no_truncation_panics_and_no_header_cut_passes() {
        let file = look_alike(Machine::X64, 0x600, 1);
        let headers = 0x98 + 240 + 40;
        for cut in 0..file.len() {
            let parsed = Pe::parse(&file[..cut]);
            assert_eq!(parsed.is_some(), cut >= headers, "cut at {cut:#x}");
        }
    }

    #[test]
    fn each_header_field_is_checked() {
        let good = look_alike(Machine::X86, 0x600, 1);
        let spoil: &[(usize, &[u8])] = &[
            (0, b"ZM"),
            (0x3c, &[0xff, 0xff, 0xff, 0xff]),
            (0x3c, &[2, 0, 0, 0]),
            (0x80, b"NE\0\0"),
            (0x84, &[0xaa, 0x55]),
            (0x86, &[0, 0]),
            (0x86, &[97, 0]),
            (0x94, &[8, 0]),
            (0x98, &[0x0b, 0x02]),
            (0x98 + 224 + 12, &[0, 0, 0, 0]),
            (0x98 + 224 + 20, &[1, 0, 0, 0]),
        ];
        for (at, bytes) in spoil {
            let mut file = good.clone();
            file[*at..*at + bytes.len()].copy_from_slice(bytes);
            assert_eq!(Pe::parse(&file), None, "{at:#x} = {bytes:?}");
        }
        assert!(Pe::parse(&good).is_some());
    }
}
