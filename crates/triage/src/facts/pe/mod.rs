//! What a PE file's own tables say. Layouts by Microsoft's "PE Format".
//!
//! Own walk over the tables instead of a library's: every count is bounded here and every place is checked.

mod answer;
mod image;
mod imports;
mod resources;
mod rich;
mod switch;

use crate::bytes::{le_u16, le_u32};
use crate::text;
pub(super) use answer::read_answers;
use image::{Image, Section};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;
pub(super) use switch::note as note_kill_switch;

/// Of a PE file. Everything named in it is attacker's text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PeFacts {
    /// `x86`, `x64`, `ARM` or `ARM64`.
    pub machine: String,
    /// Whether it is a library.
    pub dll: bool,
    /// Subsystem by its number in the optional header.
    pub subsystem: u16,
    /// TimeDateStamp: seconds since 1970, as its linker wrote it.
    pub timestamp: u32,
    /// Address of the entry point, relative to the image.
    pub entry: u32,
    /// The import hash, MD5 in hexadecimal; empty where it imports nothing.
    pub imphash: String,
    /// MD5 of the decoded Rich header; empty where it has none.
    pub rich_hash: String,
    /// Its sections.
    pub sections: Vec<SectionFacts>,
    /// What the export directory calls the file.
    pub export_name: String,
    /// Exported names.
    pub exports: Vec<String>,
    /// Imported libraries.
    pub imports: Vec<Import>,
    /// Resources, by the leaf.
    pub resources: Vec<ResourceFacts>,
    /// StringFileInfo of the version resource.
    pub version: BTreeMap<String, String>,
    /// Whether a certificate table is there; nothing is verified.
    pub signed: bool,
    /// `upx 3.91` and the like; empty where no packer is known.
    pub packer: String,
    /// Where the file's own bytes end, in bytes.
    pub end: u64,
    /// What contradicts itself, in words.
    pub oddities: Vec<String>,
}

/// A section.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SectionFacts {
    /// Its name.
    pub name: String,
    /// Address relative to the image.
    pub address: u32,
    /// Bytes in memory.
    pub virtual_size: u32,
    /// Where its bytes stand in the file.
    pub offset: u32,
    /// Bytes in the file.
    pub size: u32,
    /// Characteristics.
    pub flags: u32,
    /// Bits a byte, rounded to hundredths.
    pub entropy: f32,
    /// MD5 of its bytes; empty where a layer lies in it (the layer has hashes of its own) and where it has none.
    pub md5: String,
}

/// An imported library.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// Its name.
    pub library: String,
    /// Functions, `#7` by ordinal.
    pub functions: Vec<String>,
}

/// A leaf of the resource tree.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceFacts {
    /// Type, name and language, as `W/101/1033`.
    pub path: String,
    /// Where its bytes stand in the file.
    pub offset: u64,
    /// Bytes that its entry claims.
    pub size: u64,
}

/// Contradictions that are told.
const ODDITIES_MAX: usize = 16;
/// IMAGE_FILE_DLL.
const IS_DLL: u16 = 0x2000;
/// IMAGE_SCN_MEM_EXECUTE.
const EXECUTABLE: u32 = 0x2000_0000;
/// IMAGE_SCN_MEM_EXECUTE and IMAGE_SCN_MEM_WRITE.
const EXECUTE_AND_WRITE: u32 = 0xa000_0000;
/// UPX writes its marker behind the section table, within the first page.
const UPX_MARKER_MAX: usize = 4096;

/// Reads the tables of a file that is one; all but the sections' entropy and hashes, which are found by walking
/// over the bytes that [`section_ranges`] names.
pub(super) fn read(bytes: &[u8]) -> Option<PeFacts> {
    let image = Image::read(bytes)?;
    let imports = imports::imports(&image);
    let (export_name, exports) = imports::exports(&image);
    let resources = resources::resources(&image);
    let mut facts = PeFacts {
        machine: image.pe.machine.as_str().to_owned(),
        dll: image.coff_at.checked_add(18).and_then(|at| le_u16(bytes, at)).is_some_and(|n| n & IS_DLL != 0),
        subsystem: image.optional_at.checked_add(68).and_then(|at| le_u16(bytes, at)).unwrap_or(0),
        timestamp: image.coff_at.checked_add(4).and_then(|at| le_u32(bytes, at)).unwrap_or(0),
        entry: image.optional_u32(16),
        imphash: imports.imphash,
        rich_hash: rich::rich_hash(&image),
        sections: image.sections.iter().map(described).collect(),
        export_name,
        exports,
        imports: imports.libraries,
        version: resources::version(&image, &resources.leaves),
        resources: resources.leaves,
        signed: certificates(&image).is_some_and(|table| table.end <= size(image.bytes.len())),
        packer: packer(&image),
        end: image.pe.end,
        oddities: resources.oddities,
    };
    if imports.too_many {
        oddity(&mut facts.oddities, "more imports than are looked at".to_owned());
    }
    contradictions(&image, &mut facts);
    Some(facts)
}

/// Where the sections' bytes stand, in the order of the table.
pub(super) fn section_ranges(facts: &PeFacts, len: usize) -> impl Iterator<Item = Range<usize>> {
    facts.sections.iter().map(move |section| {
        let row = Section {
            name: [0; 8],
            address: section.address,
            virtual_size: section.virtual_size,
            offset: section.offset,
            size: section.size,
            flags: section.flags,
        };
        row.range(len)
    })
}

fn described(section: &Section) -> SectionFacts {
    SectionFacts {
        name: section.name(),
        address: section.address,
        virtual_size: section.virtual_size,
        offset: section.offset,
        size: section.size,
        flags: section.flags,
        entropy: 0.0,
        md5: String::new(),
    }
}

/// Where the certificates of a signed file stand: the one data directory that counts in the file, not in the image.
fn certificates(image: &Image<'_>) -> Option<Range<u64>> {
    let (at, size) = image.directory(4).filter(|&(_, size)| size > 0)?;
    Some(at.into()..u64::from(at).saturating_add(size.into()))
}

fn size(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// What the section table says against itself.
fn contradictions(image: &Image<'_>, facts: &mut PeFacts) {
    let len = size(image.bytes.len());
    let mut by_place: Vec<&Section> = image.sections.iter().filter(|section| section.size > 0).collect();
    by_place.sort_by_key(|section| section.offset);
    for pair in by_place.windows(2) {
        let [first, second] = pair else { continue };
        if first.offset.saturating_add(first.size) > second.offset {
            let what = format!("sections {} and {} overlap in the file", first.name(), second.name());
            oddity(&mut facts.oddities, what);
        }
    }
    for section in &image.sections {
        if u64::from(section.offset).saturating_add(u64::from(section.size)) > len && section.size > 0 {
            oddity(&mut facts.oddities, format!("section {} ends behind the file", section.name()));
        }
        if section.flags & EXECUTE_AND_WRITE == EXECUTE_AND_WRITE {
            oddity(&mut facts.oddities, format!("section {} can be written and run", section.name()));
        }
    }
    if certificates(image).is_some_and(|table| table.end > len) {
        oddity(&mut facts.oddities, "its certificates are behind the end of the file".to_owned());
    }
    if let Some(claimed) = imports::impossible_exports(image) {
        let claimed = text::counted(claimed.into(), "exported name");
        oddity(&mut facts.oddities, format!("it claims {claimed}, and has no room for them"));
    }
    let entered = image.sections.iter().any(|section| {
        let size = section.virtual_size.max(section.size);
        facts.entry.checked_sub(section.address).is_some_and(|inside| inside < size)
    });
    // A library needs no entry point.
    let none = facts.dll && facts.entry == 0;
    if !entered && !none {
        oddity(&mut facts.oddities, format!("entry point {:#x} lies in no section", facts.entry));
    }
}

/// UPX by its section names or its marker, in front of which stands its version as text and a zero byte.
/// Source: UPX, `src/packhead.cpp`, and the files that it writes.
fn packer(image: &Image<'_>) -> String {
    let head = image.bytes.get(..UPX_MARKER_MAX).unwrap_or(image.bytes);
    let marker = head.windows(4).position(|window| window == b"UPX!");
    let named = ["UPX0", "UPX1"].iter().all(|name| image.sections.iter().any(|one| one.name() == *name));
    let Some(marker) = marker else { return if named { "upx".to_owned() } else { String::new() } };
    let before =
        marker.checked_sub(1).and_then(|end| head.get(end.saturating_sub(5)..end)).unwrap_or_default();
    let digits = before.iter().rev().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
    let version = before.get(before.len().saturating_sub(digits)..).unwrap_or_default();
    match version.contains(&b'.') {
        true => format!("upx {}", String::from_utf8_lossy(version)),
        false => "upx".to_owned(),
    }
}

fn oddity(list: &mut Vec<String>, what: String) {
    if list.len() < ODDITIES_MAX && !list.contains(&what) {
        list.push(what);
    }
}
