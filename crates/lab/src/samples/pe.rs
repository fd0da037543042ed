//! Small valid PE files with filler where code would stand.
//!
//! File offsets and addresses are kept equal (both alignments 0x200), so that a resource's place in the file
//! can be chosen freely: the real DLL's is known by its file offset.

use super::filler::Filler;

const ALIGN: usize = 0x200;
const HEADERS_LEN: usize = 0x400;
const PE_AT: usize = 0x80;

/// For which processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Machine {
    /// 32 bit.
    I386,
    /// 64 bit.
    Amd64,
}

/// A resource type's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResourceName {
    /// By text.
    Text(&'static str),
}

/// The one export, ordinal 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Export {
    /// The library's own name.
    pub library: &'static str,
    /// The function's.
    pub function: &'static str,
}

/// What a file is to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// For which processor.
    pub machine: Machine,
    /// Library or program.
    pub dll: bool,
    /// Bytes of filler in `.text`.
    pub code_len: usize,
    /// Which filler.
    pub code_seed: u64,
    /// The export of a library.
    pub export: Option<Export>,
    /// Type, id and bytes of the one resource.
    pub resource: Option<(ResourceName, u32, Vec<u8>)>,
    /// Where in the file the resource's bytes begin.
    pub resource_data_at: usize,
}

struct Section {
    name: &'static [u8; 8],
    at: usize,
    len: usize,
    flags: u32,
}

fn u32_of(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn put(file: &mut [u8], at: usize, bytes: &[u8]) {
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

fn put_u16(file: &mut [u8], at: usize, value: u16) {
    put(file, at, &value.to_le_bytes());
}

fn put_u32(file: &mut [u8], at: usize, value: u32) {
    put(file, at, &value.to_le_bytes());
}

impl Image {
    /// The file, `len` bytes long; what is left over after the last section's content is zero.
    ///
    /// # Panics
    /// If `len` is too small for what the file is to hold: sizes are the lab's own, never an outsider's.
    pub fn build(&self, len: usize) -> Vec<u8> {
        let mut file = vec![0; len];
        let sections = self.sections(len);
        for section in &sections {
            assert!(section.at + section.len <= len, "the file is too small for its sections");
        }
        let text = &sections[0];
        Filler::new(self.code_seed).fill(&mut file[text.at..text.at + self.code_len]);
        let mut export_dir = (0, 0);
        if let Some(export) = self.export {
            export_dir = (sections[1].at, write_export(&mut file, sections[1].at, export));
        }
        let mut resource_dir = (0, 0);
        if let (Some(section), Some((ResourceName::Text(kind), id, bytes))) =
            (sections.iter().find(|section| section.name == b".rsrc\0\0\0"), &self.resource)
        {
            write_resource(&mut file, section.at, self.resource_data_at, kind, *id, bytes);
            resource_dir = (section.at, section.len);
        }
        self.write_headers(&mut file, &sections, export_dir, resource_dir);
        file
    }

    fn sections(&self, len: usize) -> Vec<Section> {
        let mut sections = Vec::new();
        let code_len = self.code_len.next_multiple_of(ALIGN);
        sections.push(Section { name: b".text\0\0\0", at: HEADERS_LEN, len: code_len, flags: 0x6000_0020 });
        let mut at = HEADERS_LEN + code_len;
        if self.export.is_some() {
            sections.push(Section { name: b".rdata\0\0", at, len: ALIGN, flags: 0x4000_0040 });
            at += ALIGN;
        }
        if self.resource.is_some() {
            // The directory needs 0x60 bytes before the data.
            let start = (self.resource_data_at - 0x60) / ALIGN * ALIGN;
            assert!(start >= at, "the resource overlaps the code");
            sections.push(Section { name: b".rsrc\0\0\0", at: start, len: len - start, flags: 0x4000_0040 });
        }
        sections
    }

    fn write_headers(
        &self,
        file: &mut [u8],
        sections: &[Section],
        export_dir: (usize, usize),
        resource_dir: (usize, usize),
    ) {
        let wide = self.machine == Machine::Amd64;
        put(file, 0, b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0");
        put_u32(file, 0x3c, u32_of(PE_AT));
        put(file, PE_AT, b"PE\0\0");
        let coff = PE_AT + 4;
        put_u16(file, coff, if wide { 0x8664 } else { 0x014c });
        put_u16(file, coff + 2, u16::try_from(sections.len()).unwrap_or(0));
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
            put_u32(file, optional + 28, if self.dll { 0x1000_0000 } else { 0x0040_0000 });
        }
        put_u32(file, optional + 32, u32_of(ALIGN));
        put_u32(file, optional + 36, u32_of(ALIGN));
        put_u16(file, optional + 40, 5);
        put_u16(file, optional + 48, 5);
        let end = sections.last().map_or(HEADERS_LEN, |section| section.at + section.len);
        put_u32(file, optional + 56, u32_of(end));
        put_u32(file, optional + 60, u32_of(HEADERS_LEN));
        put_u16(file, optional + 68, 2);
        let directories = optional + if wide { 112 } else { 96 };
        put_u32(file, directories - 4, 16);
        put_u32(file, directories, u32_of(export_dir.0));
        put_u32(file, directories + 4, u32_of(export_dir.1));
        put_u32(file, directories + 16, u32_of(resource_dir.0));
        put_u32(file, directories + 20, u32_of(resource_dir.1));
        for (number, section) in sections.iter().enumerate() {
            let at = optional + usize::from(optional_len) + 40 * number;
            put(file, at, section.name);
            for (place, value) in [(8, section.len), (12, section.at), (16, section.len), (20, section.at)] {
                put_u32(file, at + place, u32_of(value));
            }
            put_u32(file, at + 36, section.flags);
        }
    }
}

/// The export directory at `at`; returns its size.
fn write_export(file: &mut [u8], at: usize, export: Export) -> usize {
    let (functions, names, ordinals) = (at + 40, at + 44, at + 48);
    let library = at + 52;
    let function = library + export.library.len() + 1;
    let end = function + export.function.len() + 1;
    for (place, value) in [
        (12, library),
        (16, 1),
        (20, 1),
        (24, 1),
        (28, functions),
        (32, names),
        (36, ordinals),
        (40, HEADERS_LEN),
        (44, function),
    ] {
        put_u32(file, at + place, u32_of(value));
    }
    put(file, library, export.library.as_bytes());
    put(file, function, export.function.as_bytes());
    end - at
}

/// A resource tree of one leaf at `at`, its bytes at `data_at`.
fn write_resource(file: &mut [u8], at: usize, data_at: usize, kind: &str, id: u32, bytes: &[u8]) {
    const SUBDIRECTORY: u32 = 0x8000_0000;
    const NAMED: u32 = 0x8000_0000;
    let (ids, languages, leaf, name) = (24, 48, 72, 88);
    put_u16(file, at + 12, 1);
    put_u32(file, at + 16, NAMED | name);
    put_u32(file, at + 20, SUBDIRECTORY | ids);
    put_u16(file, at + 24 + 14, 1);
    put_u32(file, at + 24 + 16, id);
    put_u32(file, at + 24 + 20, SUBDIRECTORY | languages);
    put_u16(file, at + 48 + 14, 1);
    put_u32(file, at + 48 + 16, 1033);
    put_u32(file, at + 48 + 20, leaf);
    put_u32(file, at + 72, u32_of(data_at));
    put_u32(file, at + 76, u32_of(bytes.len()));
    put_u16(file, at + 88, u16::try_from(kind.len()).unwrap_or(0));
    for (number, unit) in kind.encode_utf16().enumerate() {
        put_u16(file, at + 90 + 2 * number, unit);
    }
    put(file, data_at, bytes);
}
