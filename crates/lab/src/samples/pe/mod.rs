//! Small valid PE files with filler where code would stand.
//!
//! File offsets and addresses are kept equal (both alignments 0x200), so that a resource's place in the file
//! can be chosen freely: the real DLL's is known by its file offset. Layouts are those of Microsoft's "PE Format".

mod question;
mod resources;
mod tables;

use super::filler::Filler;
pub use question::Branch;
pub use resources::{Resource, ResourceName, version};

/// Both alignments.
pub const ALIGN: usize = 0x200;
/// Where the first section starts.
pub const HEADERS_LEN: usize = 0x400;
/// Where the signature stands.
pub const PE_AT: usize = 0x100;
/// Room for a resource directory and a version resource in front of a resource with a place of its own.
const DIRECTORY_ROOM: usize = 0x500;

/// For which processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Machine {
    /// 32 bit.
    I386,
    /// 64 bit.
    Amd64,
}

/// The one export, ordinal 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Export {
    /// The library's own name.
    pub library: &'static str,
    /// The function's.
    pub function: &'static str,
}

/// What is imported: libraries with their functions.
pub type Imports = &'static [(&'static str, &'static [&'static str])];

/// What a file is to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image<'a> {
    /// For which processor.
    pub machine: Machine,
    /// Library or program.
    pub dll: bool,
    /// When it says that it was linked, in seconds since 1970.
    pub timestamp: u32,
    /// Names of the sections of code, of tables and of data.
    pub sections: [&'static str; 3],
    /// Bytes of filler in the first section.
    pub code_len: usize,
    /// Which filler.
    pub code_seed: u64,
    /// The imports.
    pub imports: Imports,
    /// The export of a library.
    pub export: Option<Export>,
    /// Bytes of the data section: strings.
    pub data: &'a [u8],
    /// A function that asks for the URL at this place of the data, through the import `InternetOpenUrlA`; only in
    /// 32-bit files with that import.
    pub question: Option<(usize, Branch)>,
    /// The resources, each with a type of its own, the named one first.
    pub resources: Vec<Resource<'a>>,
}

impl Default for Image<'_> {
    fn default() -> Self {
        Self {
            machine: Machine::I386,
            dll: false,
            timestamp: 0x5000_0000,
            sections: [".text", ".rdata", ".data"],
            code_len: ALIGN,
            code_seed: 0,
            imports: &[],
            export: None,
            data: &[],
            question: None,
            resources: Vec::new(),
        }
    }
}

struct Section {
    name: &'static str,
    at: usize,
    len: usize,
    flags: u32,
}

/// Address and size.
type Directory = (usize, usize);

fn u32_of(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

pub(super) fn put(file: &mut [u8], at: usize, bytes: &[u8]) {
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

pub(super) fn put_u16(file: &mut [u8], at: usize, value: u16) {
    put(file, at, &value.to_le_bytes());
}

pub(super) fn put_u32(file: &mut [u8], at: usize, value: u32) {
    put(file, at, &value.to_le_bytes());
}

impl Image<'_> {
    /// Where its sections end if there is no code and no resource.
    pub fn end_without_code(&self) -> usize {
        let tables = tables::len(self.imports, self.export);
        HEADERS_LEN + tables.next_multiple_of(ALIGN) + self.data.len().next_multiple_of(ALIGN)
    }

    /// The file, `len` bytes long; what is left over after the last section's content is zero.
    ///
    /// # Panics
    /// If `len` is too small for what the file is to hold: sizes are the lab's own, never an outsider's.
    pub fn build(&self, len: usize) -> Vec<u8> {
        let mut file = vec![0; len];
        let (sections, resources_at) = self.sections(len);
        for section in &sections {
            assert!(section.at + section.len <= len, "the file is too small for its sections");
        }
        let text = &sections[0];
        Filler::new(self.code_seed).fill(&mut file[text.at..text.at + self.code_len]);
        let mut directories = [(0, 0); 3];
        let mut slot = None;
        if let Some(tables) = sections.iter().find(|section| section.name == self.sections[1]) {
            let wide = self.machine == Machine::Amd64;
            let mut at = tables.at;
            if let Some(export) = self.export {
                directories[0] = (at, tables::write_export(&mut file, at, export, self.timestamp));
                at = (at + directories[0].1).next_multiple_of(16);
            }
            if !self.imports.is_empty() {
                let (len, slots) = tables::write_imports(&mut file, at, self.imports, wide);
                directories[1] = (at, len);
                slot = slots.into_iter().find(|(name, _)| *name == "InternetOpenUrlA").map(|(_, at)| at);
            }
        }
        if let Some(data) = sections.iter().find(|section| section.name == self.sections[2]) {
            put(&mut file, data.at, self.data);
            if let (Some((url, branch)), Some(slot)) = (self.question, slot) {
                let (url, slot) = (self.base() + data.at + url, self.base() + slot);
                question::write(&mut file, text.at, url, slot, branch);
            }
        }
        if let Some(at) = resources_at {
            resources::write(&mut file, at, &self.resources);
            directories[2] = (at, len / ALIGN * ALIGN - at);
        }
        self.write_headers(&mut file, &sections, directories);
        file
    }

    /// Where a 32-bit file wants to lie.
    const fn base(&self) -> usize {
        if self.dll { 0x1000_0000 } else { 0x0040_0000 }
    }

    /// The sections, and where that of the resources starts.
    fn sections(&self, len: usize) -> (Vec<Section>, Option<usize>) {
        let code_len = self.code_len.next_multiple_of(ALIGN);
        let mut sections =
            vec![Section { name: self.sections[0], at: HEADERS_LEN, len: code_len, flags: 0x6000_0020 }];
        let mut at = HEADERS_LEN + code_len;
        let tables = tables::len(self.imports, self.export);
        for (name, bytes, flags) in
            [(self.sections[1], tables, 0x4000_0040), (self.sections[2], self.data.len(), 0xc000_0040)]
        {
            if bytes > 0 {
                let len = bytes.next_multiple_of(ALIGN);
                sections.push(Section { name, at, len, flags });
                at += len;
            }
        }
        if self.resources.is_empty() {
            return (sections, None);
        }
        let placed = self.resources.iter().find_map(|resource| resource.at);
        let start = placed.map_or(at, |place| (place - DIRECTORY_ROOM) / ALIGN * ALIGN);
        assert!(start >= at, "the resource overlaps the code");
        let len = len / ALIGN * ALIGN - start;
        sections.push(Section { name: ".rsrc", at: start, len, flags: 0x4000_0040 });
        (sections, Some(start))
    }

    fn write_headers(&self, file: &mut [u8], sections: &[Section], directories: [Directory; 3]) {
        let wide = self.machine == Machine::Amd64;
        put(file, 0, b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0\xb8");
        put_u32(file, 0x18, 0x40);
        // The text of the DOS program, without the program.
        put(file, 0x4e, b"This program cannot be run in DOS mode.\r\r\n$");
        tables::write_rich(file);
        put_u32(file, 0x3c, u32_of(PE_AT));
        put(file, PE_AT, b"PE\0\0");
        let coff = PE_AT + 4;
        put_u16(file, coff, if wide { 0x8664 } else { 0x014c });
        put_u16(file, coff + 2, u16::try_from(sections.len()).unwrap_or(0));
        put_u32(file, coff + 4, self.timestamp);
        let optional_len: u16 = if wide { 240 } else { 224 };
        put_u16(file, coff + 16, optional_len);
        let kind = if self.dll { 0x2000 } else { 0 } | if wide { 0x0022 } else { 0x0102 };
        put_u16(file, coff + 18, kind);
        let optional = coff + 20;
        put_u16(file, optional, if wide { 0x020b } else { 0x010b });
        put_u32(file, optional + 4, u32_of(sections[0].len));
        put_u32(file, optional + 16, u32_of(HEADERS_LEN));
        put_u32(file, optional + 20, u32_of(HEADERS_LEN));
        if wide {
            put(file, optional + 24, &0x1_8000_0000_u64.to_le_bytes());
        } else {
            put_u32(file, optional + 28, u32_of(self.base()));
        }
        put_u32(file, optional + 32, u32_of(ALIGN));
        put_u32(file, optional + 36, u32_of(ALIGN));
        put_u16(file, optional + 40, 5);
        put_u16(file, optional + 48, 5);
        let end = sections.last().map_or(HEADERS_LEN, |section| section.at + section.len);
        put_u32(file, optional + 56, u32_of(end));
        put_u32(file, optional + 60, u32_of(HEADERS_LEN));
        put_u16(file, optional + 68, 2);
        let table = optional + if wide { 112 } else { 96 };
        put_u32(file, table - 4, 16);
        for (number, (at, len)) in directories.into_iter().enumerate() {
            put_u32(file, table + 8 * number, u32_of(at));
            put_u32(file, table + 8 * number + 4, u32_of(len));
        }
        for (number, section) in sections.iter().enumerate() {
            let at = optional + usize::from(optional_len) + 40 * number;
            put(file, at, section.name.as_bytes());
            for (place, value) in [(8, section.len), (12, section.at), (16, section.len), (20, section.at)] {
                put_u32(file, at + place, u32_of(value));
            }
            put_u32(file, at + 36, section.flags);
        }
    }
}
