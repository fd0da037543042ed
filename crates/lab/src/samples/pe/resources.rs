//! Resources: a tree of type, id and language, as `FindResource` walks it.

use super::{put, put_u16, put_u32, u32_of};

const SUBDIRECTORY: u32 = 0x8000_0000;
const NAMED: u32 = 0x8000_0000;
const US_ENGLISH: u32 = 1033;

/// A resource type's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResourceName {
    /// By text.
    Text(&'static str),
    /// By number: 10 is raw data, 16 is a version.
    Id(u16),
}

/// A resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource<'a> {
    /// Its type.
    pub kind: ResourceName,
    /// Its id.
    pub id: u32,
    /// Its bytes.
    pub bytes: &'a [u8],
    /// The size that the directory tells, where that is a lie.
    pub told_len: Option<u32>,
    /// Where in the file the bytes begin, where that matters.
    pub at: Option<usize>,
}

impl<'a> Resource<'a> {
    /// One whose directory tells the truth.
    pub const fn new(kind: ResourceName, id: u32, bytes: &'a [u8]) -> Self {
        Self { kind, id, bytes, told_len: None, at: None }
    }

    /// The same at this place.
    #[must_use]
    pub const fn at(mut self, at: usize) -> Self {
        self.at = Some(at);
        self
    }
}

/// A tree of one leaf for each resource at `at`, with their bytes.
pub(super) fn write(file: &mut [u8], at: usize, resources: &[Resource<'_>]) {
    let named = resources.iter().filter(|resource| matches!(resource.kind, ResourceName::Text(_))).count();
    put_u16(file, at + 12, u16::try_from(named).unwrap_or(0));
    put_u16(file, at + 14, u16::try_from(resources.len() - named).unwrap_or(0));
    // Of each: the directory of its ids (24), of its languages (24), its leaf (16).
    let first = 16 + 8 * resources.len();
    let mut free = first + 64 * resources.len();
    for (number, resource) in resources.iter().enumerate() {
        let ids = first + 64 * number;
        let (languages, leaf) = (ids + 24, ids + 48);
        let name = match resource.kind {
            ResourceName::Id(id) => u32::from(id),
            ResourceName::Text(text) => {
                let name = free;
                put_u16(file, at + name, u16::try_from(text.len()).unwrap_or(0));
                for (place, unit) in text.encode_utf16().enumerate() {
                    put_u16(file, at + name + 2 + 2 * place, unit);
                }
                free = (name + 2 + 2 * text.len()).next_multiple_of(16);
                NAMED | u32_of(name)
            }
        };
        put_u32(file, at + 16 + 8 * number, name);
        put_u32(file, at + 20 + 8 * number, SUBDIRECTORY | u32_of(ids));
        put_u16(file, at + ids + 14, 1);
        put_u32(file, at + ids + 16, resource.id);
        put_u32(file, at + ids + 20, SUBDIRECTORY | u32_of(languages));
        put_u16(file, at + languages + 14, 1);
        put_u32(file, at + languages + 16, US_ENGLISH);
        put_u32(file, at + languages + 20, u32_of(leaf));
        let data_at = resource.at.unwrap_or(at + free);
        if resource.at.is_none() {
            free = (free + resource.bytes.len()).next_multiple_of(16);
        }
        put_u32(file, at + leaf, u32_of(data_at));
        put_u32(file, at + leaf + 4, resource.told_len.unwrap_or(u32_of(resource.bytes.len())));
        put(file, data_at, resource.bytes);
    }
}

/// A version resource with these texts.
pub fn version(texts: &[(&str, &str)]) -> Vec<u8> {
    let strings: Vec<u8> = texts.iter().fold(Vec::new(), |mut all, (key, value)| {
        let text: Vec<u8> = value.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
        append(&mut all, &block(key, true, u16::try_from(text.len() / 2).unwrap_or(0), &text));
        all
    });
    let table = block("040904B0", true, 0, &strings);
    let mut fixed = [0; 52];
    put_u32(&mut fixed, 0, 0xfeef_04bd);
    put_u32(&mut fixed, 4, 0x0001_0000);
    let mut body = fixed.to_vec();
    append(&mut body, &block("StringFileInfo", true, 0, &table));
    block("VS_VERSION_INFO", false, 52, &body)
}

/// Length, length of the value, kind, key, then (aligned to 4) value and children.
fn block(key: &str, text: bool, value_len: u16, body: &[u8]) -> Vec<u8> {
    let mut block = vec![0; 6];
    block.extend(key.encode_utf16().chain([0]).flat_map(u16::to_le_bytes));
    append(&mut block, body);
    let len = u16::try_from(block.len()).unwrap_or(u16::MAX);
    put_u16(&mut block, 0, len);
    put_u16(&mut block, 2, value_len);
    put_u16(&mut block, 4, u16::from(text));
    block
}

fn append(to: &mut Vec<u8>, bytes: &[u8]) {
    to.resize(to.len().next_multiple_of(4), 0);
    to.extend_from_slice(bytes);
}
