//! Import and export directories, and the import hash.
//!
//! The hash is Mandiant's ("Tracking Malware with Import Hashing", 2014) as `pefile` computes it: MD5 of
//! `library.function` in the order of the tables, lower case, joined by commas; `.dll`, `.ocx` and `.sys` are
//! taken off, and ordinals of three libraries are named.

use super::Import;
use super::image::Image;
use crate::bytes::{le_size, le_u16, le_u32};
use md5::{Digest, Md5};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Libraries that are looked at.
const LIBRARIES_MAX: usize = 1024;
/// Functions of all libraries together that are looked at; `pefile`'s own bound for one library.
const FUNCTIONS_MAX: usize = 8192;
/// Functions and exports that a report lists.
const LISTED_MAX: usize = 1024;
/// Bytes of a name: `pefile` takes no longer ones.
const NAME_MAX: usize = 512;
/// Bytes of a library's name.
const LIBRARY_NAME_MAX: usize = 260;

/// `library number name`, a line each: what stands behind ordinals of the three libraries that are often
/// linked without names. Export tables of Microsoft's wsock32, ws2_32 and oleaut32.
const ORDINALS: &str = include_str!("ordinals.txt");

/// What the import directory says.
#[derive(Default)]
pub(super) struct Imports {
    pub(super) libraries: Vec<Import>,
    pub(super) imphash: String,
    /// Whether there are more than are looked at; there is no hash then.
    pub(super) too_many: bool,
}

/// Reads the import directory.
pub(super) fn imports(image: &Image<'_>) -> Imports {
    let mut found = Imports::default();
    let Some(table) = image.directory(1).and_then(|(address, _)| image.from(address)) else { return found };
    let mut hash = Md5::new();
    let mut seen = 0usize;
    let mut listed = 0usize;
    for (number, row) in table.chunks_exact(20).enumerate() {
        let field = |at| le_u32(row, at).unwrap_or(0);
        if row.iter().all(|&byte| byte == 0) {
            break;
        }
        // A table whose names lead nowhere has ended without a row of zeros.
        let Some(library) = image.text(field(12), LIBRARY_NAME_MAX) else { break };
        if number >= LIBRARIES_MAX {
            found.too_many = true;
            break;
        }
        let library = String::from_utf8_lossy(library).into_owned();
        let thunks = image.from(field(0)).filter(|_| field(0) != 0).or_else(|| image.from(field(16)));
        let mut import = Import { library, functions: Vec::new() };
        for name in functions(image, thunks.unwrap_or_default()) {
            if seen >= FUNCTIONS_MAX {
                found.too_many = true;
                break;
            }
            add(&mut hash, &import.library, &name, seen == 0);
            seen = seen.saturating_add(1);
            if listed < LISTED_MAX {
                listed = listed.saturating_add(1);
                import.functions.push(name);
            }
        }
        found.libraries.push(import);
    }
    if seen > 0 && !found.too_many {
        found.imphash = super::super::hashes::hex(&hash.finalize());
    }
    found
}

/// Addresses (relative to the image) of the places where the loader puts the address of this function.
pub(super) fn slots(image: &Image<'_>, wanted: &str) -> Vec<u32> {
    let table = image.directory(1).and_then(|(address, _)| image.from(address)).unwrap_or_default();
    let size = if image.pe.machine.is_wide() { 8u32 } else { 4 };
    let mut found = Vec::new();
    let mut left = FUNCTIONS_MAX;
    for row in table.chunks_exact(20).take(LIBRARIES_MAX) {
        let field = |at| le_u32(row, at).unwrap_or(0);
        if row.iter().all(|&byte| byte == 0) {
            break;
        }
        let thunks = image.from(field(0)).filter(|_| field(0) != 0).or_else(|| image.from(field(16)));
        for (number, name) in (0u32..).zip(functions(image, thunks.unwrap_or_default())).take(left) {
            left = left.saturating_sub(1);
            if name == wanted {
                found.push(field(16).wrapping_add(number.wrapping_mul(size)));
            }
        }
    }
    found
}

/// The functions of one library, by name or as `#7`.
fn functions<'a>(image: &'a Image<'_>, thunks: &'a [u8]) -> impl Iterator<Item = String> + 'a {
    let (size, high) = if image.pe.machine.is_wide() { (8usize, 7usize) } else { (4, 3) };
    let used = thunks.chunks_exact(size).take_while(|thunk| thunk.iter().any(|&byte| byte != 0));
    used.map_while(move |thunk| {
        if thunk.get(high).is_some_and(|byte| byte & 0x80 != 0) {
            return Some(format!("#{}", le_u16(thunk, 0)?));
        }
        // In front of the name stands a 16-bit hint.
        let name = image.text(le_u32(thunk, 0)?.checked_add(2)?, NAME_MAX)?;
        Some(String::from_utf8_lossy(name).into_owned())
    })
}

fn add(hash: &mut Md5, library: &str, function: &str, first: bool) {
    let library = library.to_ascii_lowercase();
    let bare = match library.rsplit_once('.') {
        Some((bare, "dll" | "ocx" | "sys")) => bare,
        _ => library.as_str(),
    };
    let function = match function.strip_prefix('#').and_then(|number| number.parse().ok()) {
        Some(number) => by_ordinal(&library, number).map_or_else(|| format!("ord{number}"), str::to_owned),
        None => function.to_owned(),
    };
    if !first {
        hash.update(b",");
    }
    hash.update(format!("{bare}.{}", function.to_lowercase()));
}

/// What stands behind an ordinal of a library that is in the table.
fn by_ordinal(library: &str, number: u16) -> Option<&'static str> {
    static NAMES: LazyLock<BTreeMap<(&str, u16), &str>> = LazyLock::new(|| {
        let rows = ORDINALS.lines().map(|line| line.split(' '));
        rows.filter_map(|mut row| Some(((row.next()?, row.next()?.parse().ok()?), row.next()?))).collect()
    });
    NAMES.get(&(library.strip_suffix(".dll")?, number)).copied()
}

/// The export directory's own name and the exported names.
pub(super) fn exports(image: &Image<'_>) -> (String, Vec<String>) {
    let read = || {
        let table = image.from(image.directory(0)?.0)?;
        let text =
            |address, max| image.text(address, max).map(|name| String::from_utf8_lossy(name).into_owned());
        let name = text(le_u32(table, 12)?, LIBRARY_NAME_MAX).unwrap_or_default();
        let count = le_size(table, 24)?.min(LISTED_MAX);
        let names = image.from(le_u32(table, 32)?).unwrap_or_default().chunks_exact(4).take(count);
        Some((name, names.filter_map(|row| text(le_u32(row, 0)?, NAME_MAX)).collect()))
    };
    read().unwrap_or_default()
}

/// How many names its export directory claims, where the file has no room for so many addresses of names.
pub(super) fn impossible_exports(image: &Image<'_>) -> Option<u32> {
    let table = image.from(image.directory(0)?.0)?;
    let claimed = le_u32(table, 24)?;
    let room = image.from(le_u32(table, 32)?).map_or(0, |rows| rows.len() / 4);
    usize::try_from(claimed).map_or(true, |claimed| claimed > room).then_some(claimed)
}
