//! Exports, imports and the Rich header.

use super::{Export, Imports, PE_AT, put, put_u16, put_u32, u32_of};

const RICH_AT: usize = 0x80;
/// Tools and how many objects each made: numbers that no linker would be ashamed of.
const TOOLS: [(u32, u32); 3] = [(0x000a_1f6f, 11), (0x000b_1f6f, 25), (0x0006_1f6f, 2)];

/// Bytes that both tables take at most.
pub(super) fn len(imports: Imports, export: Option<Export>) -> usize {
    let of_export = export.map_or(0, |export| 80 + export.library.len() + export.function.len());
    let of_imports: usize = imports
        .iter()
        .map(|(library, functions)| {
            60 + library.len() + functions.iter().map(|function| 20 + function.len()).sum::<usize>()
        })
        .sum();
    of_export + if imports.is_empty() { 0 } else { 40 + of_imports }
}

/// The export directory at `at`; returns its size.
pub(super) fn write_export(file: &mut [u8], at: usize, export: Export, timestamp: u32) -> usize {
    let (functions, names, ordinals) = (at + 40, at + 44, at + 48);
    let library = at + 52;
    let function = library + export.library.len() + 1;
    let end = function + export.function.len() + 1;
    put_u32(file, at + 4, timestamp);
    for (place, value) in [
        (12, library),
        (16, 1),
        (20, 1),
        (24, 1),
        (28, functions),
        (32, names),
        (36, ordinals),
        (40, super::HEADERS_LEN),
        (44, function),
    ] {
        put_u32(file, at + place, u32_of(value));
    }
    put(file, library, export.library.as_bytes());
    put(file, function, export.function.as_bytes());
    end - at
}

/// The import directory at `at` with all that it points to; returns the directory's size, and where the
/// loader puts each function's address.
pub(super) fn write_imports(
    file: &mut [u8],
    at: usize,
    imports: Imports,
    wide: bool,
) -> (usize, Vec<(&'static str, usize)>) {
    let mut slots = Vec::new();
    let step = if wide { 8 } else { 4 };
    let directory_len = 20 * (imports.len() + 1);
    let mut free = (at + directory_len).next_multiple_of(8);
    for (number, (library, functions)) in imports.iter().enumerate() {
        let (lookup, addresses) = (free, free + step * (functions.len() + 1));
        free = addresses + step * (functions.len() + 1);
        for (place, function) in functions.iter().enumerate() {
            put_u32(file, lookup + step * place, u32_of(free));
            put_u32(file, addresses + step * place, u32_of(free));
            slots.push((*function, addresses + step * place));
            put(file, free + 2, function.as_bytes());
            free = (free + 3 + function.len()).next_multiple_of(2);
        }
        let descriptor = at + 20 * number;
        put_u32(file, descriptor, u32_of(lookup));
        put_u32(file, descriptor + 12, u32_of(free));
        put_u32(file, descriptor + 16, u32_of(addresses));
        put(file, free, library.as_bytes());
        free = (free + library.len() + 1).next_multiple_of(8);
    }
    (directory_len, slots)
}

/// The linker's list of tools: each word XORed with a checksum of the DOS header and the list.
pub(super) fn write_rich(file: &mut [u8]) {
    let mut key = u32_of(RICH_AT);
    for (number, byte) in file[..RICH_AT].iter().enumerate() {
        // e_lfanew counts as zero.
        if !(0x3c..0x40).contains(&number) {
            key = key.wrapping_add(u32::from(*byte).rotate_left(u32_of(number) % 32));
        }
    }
    for (tool, count) in TOOLS {
        key = key.wrapping_add(tool.rotate_left(count % 32));
    }
    let mut words = vec![u32::from_le_bytes(*b"DanS") ^ key, key, key, key];
    words.extend(TOOLS.iter().flat_map(|(tool, count)| [tool ^ key, count ^ key]));
    words.extend([u32::from_le_bytes(*b"Rich"), key]);
    assert!(RICH_AT + 4 * words.len() <= PE_AT);
    for (number, word) in words.into_iter().enumerate() {
        put_u32(file, RICH_AT + 4 * number, word);
    }
    put_u16(file, 0x0e, 0);
}
