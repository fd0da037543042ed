//! What a PE file's own tables say.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Of a PE file. Everything named in it is attacker's text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PeFacts {
    /// `x86` or `x64`.
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
    /// MD5 of its bytes.
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
