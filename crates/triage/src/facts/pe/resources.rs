//! The resource directory, by its leaves, and the version resource.

use super::ResourceFacts;
use super::image::Image;
use crate::bytes::{le_u16, le_u32, slice};
use std::collections::{BTreeMap, BTreeSet};

/// Entries that are looked at, whatever the tables claim.
const ENTRIES_MAX: usize = 1024;
/// Type, name and language; the format allows more, nobody uses it.
const DEPTH_MAX: usize = 4;
/// UTF-16 units of a name or of a version string that are kept.
const UNITS_MAX: usize = 200;
/// Strings of a version resource.
const VERSION_STRINGS_MAX: usize = 64;
/// RT_VERSION.
const VERSION: &str = "16/";

/// What the tree says.
#[derive(Default)]
pub(super) struct Resources {
    pub(super) leaves: Vec<ResourceFacts>,
    pub(super) oddities: Vec<String>,
}

/// Reads the resource directory: breadth first, each table once.
pub(super) fn resources(image: &Image<'_>) -> Resources {
    let mut found = Resources::default();
    let Some(root) = image.directory(2).and_then(|(address, _)| image.from(address)) else { return found };
    let mut seen = BTreeSet::from([0usize]);
    let mut tables = std::collections::VecDeque::from([(0usize, 0usize, String::new())]);
    let mut entries = 0usize;
    while let Some((at, depth, path)) = tables.pop_front() {
        for row in rows(root, at) {
            if entries >= ENTRIES_MAX {
                found.oddity(format!("more than {ENTRIES_MAX} resource entries"));
                return found;
            }
            entries = entries.saturating_add(1);
            let (Some(name), Some(target)) = (name(root, row), le_u32(row, 4)) else { continue };
            let path = if path.is_empty() { name } else { format!("{path}/{name}") };
            let Ok(to) = usize::try_from(target & 0x7fff_ffff) else { continue };
            if target >> 31 == 0 {
                found.leaf(image, root, to, path);
            } else if depth >= DEPTH_MAX {
                found.oddity(format!("resources nested deeper than {DEPTH_MAX}"));
            } else if seen.insert(to) {
                tables.push_back((to, depth.saturating_add(1), path));
            } else {
                found.oddity("a resource table that is used twice".to_owned());
            }
        }
    }
    found
}

/// The entries of the table at `at`, as many as are there.
fn rows(root: &[u8], at: usize) -> impl Iterator<Item = &[u8]> {
    let count = |field: usize| at.checked_add(field).and_then(|at| le_u16(root, at)).map_or(0, usize::from);
    let entries = count(12).saturating_add(count(14));
    let table = at.checked_add(16).and_then(|start| root.get(start..)).unwrap_or_default();
    table.chunks_exact(8).take(entries)
}

/// An entry's number or name.
fn name(root: &[u8], row: &[u8]) -> Option<String> {
    let id = le_u32(row, 0)?;
    if id >> 31 == 0 {
        return Some(id.to_string());
    }
    let at = usize::try_from(id & 0x7fff_ffff).ok()?;
    let units = usize::from(le_u16(root, at)?);
    Some(utf16(root, at.checked_add(2)?, units.min(UNITS_MAX)))
}

impl Resources {
    fn leaf(&mut self, image: &Image<'_>, root: &[u8], at: usize, path: String) {
        let field = |n: usize| at.checked_add(n).and_then(|at| le_u32(root, at));
        let (Some(address), Some(size)) = (field(0), field(4)) else { return };
        let Some(offset) = image.place(address) else {
            self.oddity(format!("resource {path} lies outside of the file"));
            return;
        };
        let offset = u64::try_from(offset).unwrap_or(u64::MAX);
        let size = u64::from(size);
        if offset.saturating_add(size) > u64::try_from(image.bytes.len()).unwrap_or(u64::MAX) {
            self.oddity(format!("resource {path} is longer than the file"));
        }
        self.leaves.push(ResourceFacts { path, offset, size });
    }

    fn oddity(&mut self, what: String) {
        super::oddity(&mut self.oddities, what);
    }
}

/// StringFileInfo of the first version resource. Layout by Microsoft's "VS_VERSIONINFO": each node is its
/// length, its value's length, its type, a key, the value and more nodes, each on a multiple of four.
pub(super) fn version(image: &Image<'_>, leaves: &[ResourceFacts]) -> BTreeMap<String, String> {
    let mut strings = BTreeMap::new();
    let Some(leaf) = leaves.iter().find(|leaf| leaf.path.starts_with(VERSION)) else { return strings };
    let start = usize::try_from(leaf.offset).unwrap_or(usize::MAX);
    let end = start.saturating_add(usize::try_from(leaf.size).unwrap_or(usize::MAX)).min(image.bytes.len());
    let Some(bytes) = image.bytes.get(start..end) else { return strings };
    let Some(root) = Node::at(bytes, 0) else { return strings };
    for info in root.children(bytes).filter(|node| node.key == "StringFileInfo") {
        for table in info.children(bytes) {
            for string in table.children(bytes) {
                if strings.len() >= VERSION_STRINGS_MAX {
                    return strings;
                }
                let units = string.value_at.abs_diff(string.end).checked_div(2).unwrap_or(0);
                let value = utf16(bytes, string.value_at, units.min(string.value_len).min(UNITS_MAX));
                strings.insert(string.key, value.trim_end_matches('\0').to_owned());
            }
        }
    }
    strings
}

struct Node {
    key: String,
    value_at: usize,
    /// As it claims: bytes, or UTF-16 units where the value is text.
    value_len: usize,
    text: bool,
    end: usize,
}

impl Node {
    fn at(bytes: &[u8], at: usize) -> Option<Self> {
        let len = usize::from(le_u16(bytes, at)?);
        let value_len = usize::from(le_u16(bytes, at.checked_add(2)?)?);
        let text = le_u16(bytes, at.checked_add(4)?)? == 1;
        let key_at = at.checked_add(6)?;
        let end = at.checked_add(len)?.min(bytes.len());
        let units = slice(bytes, key_at..end)?.chunks_exact(2).take(UNITS_MAX);
        let key_len = units.take_while(|unit| unit.iter().any(|&byte| byte != 0)).count();
        let value_at = aligned(key_at.checked_add(key_len.checked_add(1)?.checked_mul(2)?)?)?.min(end);
        Some(Self { key: utf16(bytes, key_at, key_len), value_at, value_len, text, end })
    }

    /// The nodes in it. Each starts behind the one before, so that there are never more than there are bytes.
    fn children<'a>(&self, bytes: &'a [u8]) -> impl Iterator<Item = Node> + use<'a> {
        let value = if self.text { self.value_len.saturating_mul(2) } else { self.value_len };
        let mut next = aligned(self.value_at.saturating_add(value));
        let end = self.end;
        std::iter::from_fn(move || {
            let at = next.filter(|&at| at < end)?;
            let node = Node::at(bytes.get(..end)?, at)?;
            next = aligned(node.end).filter(|&after| after > at);
            Some(node)
        })
        .take(VERSION_STRINGS_MAX)
    }
}

fn aligned(at: usize) -> Option<usize> {
    at.checked_next_multiple_of(4)
}

/// `units` of UTF-16 at `at`, as many as are there.
fn utf16(bytes: &[u8], at: usize, units: usize) -> String {
    let rest = bytes.get(at..).unwrap_or_default();
    let units = rest.chunks_exact(2).take(units).filter_map(|pair| le_u16(pair, 0));
    char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// Kept for hostile tables: a count is a lie until its bytes are there.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_as_many_rows_as_it_has_bytes() {
        let mut table = vec![0u8; 16 + 24];
        table[12..16].fill(0xff);
        assert_eq!(rows(&table, 0).count(), 3);
        assert_eq!(rows(&table, usize::MAX).count(), 0);
        assert_eq!(crate::bytes::le_size(&table, 12), Some(0xffff_ffff));
    }
}
