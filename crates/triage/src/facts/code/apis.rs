//! Which API functions the numbers in code stand for.
//!
//! Code without a file has no imports: it walks the loaded modules and compares hashes of names. The names are
//! Windows' own; the algorithms are published ones.

use super::sweep::Sweep;
use super::traits::immediate;
use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

/// A library and its functions, a line.
pub(super) const NAMES: &str = include_str!("apis.txt");

/// What a hash stands for: the algorithm, the library, the function.
type Meaning = (&'static str, &'static str, &'static str);

static TABLE: LazyLock<HashMap<u32, Meaning>> = LazyLock::new(|| {
    let mut table = HashMap::new();
    for line in NAMES.lines() {
        let Some((library, functions)) = line.split_once(' ') else { continue };
        for function in functions.split(' ') {
            for (algorithm, hash) in hashes(library, function) {
                // The first of two names with one hash: none are known among these.
                table.entry(hash).or_insert((algorithm, library, function));
            }
        }
    }
    table
});

/// Names that constants of the swept code stand for, in the order of their places, each once, at most `max`.
pub(super) fn named(sweep: &Sweep, max: usize) -> Vec<String> {
    let mut told = BTreeSet::new();
    let constants = sweep.instructions.iter().filter_map(immediate);
    let meanings = constants.filter_map(|constant| TABLE.get(&low(constant)?));
    let names = meanings.map(|(algorithm, library, function)| format!("{algorithm} {library}!{function}"));
    names.filter(|name| told.insert(name.clone())).take(max).collect()
}

/// The constant as 32 bits, whether it was extended with its sign or not.
fn low(constant: u64) -> Option<u32> {
    let top = constant.checked_shr(32)?;
    (top == 0 || top == 0xffff_ffff).then_some(constant & 0xffff_ffff).and_then(|low| u32::try_from(low).ok())
}

/// The hashes of one function by each algorithm.
fn hashes(library: &str, function: &str) -> [(&'static str, u32); 5] {
    [
        ("block_api", block_api(library, function)),
        ("ror13", ror13(function.bytes())),
        (
            "djb2",
            function.bytes().fold(5381, |hash: u32, byte| hash.wrapping_mul(33).wrapping_add(byte.into())),
        ),
        (
            "fnv1a",
            function
                .bytes()
                .fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)),
        ),
        ("crc32", crc32(function.as_bytes())),
    ]
}

fn ror13(bytes: impl Iterator<Item = u8>) -> u32 {
    bytes.fold(0, |hash: u32, byte| hash.rotate_right(13).wrapping_add(byte.into()))
}

/// Metasploit's block_api: the library's name as UTF-16 in capitals and the function's, each with its zero.
fn block_api(library: &str, function: &str) -> u32 {
    let library = library.bytes().map(|byte| byte.to_ascii_uppercase()).chain([0]).flat_map(|byte| [byte, 0]);
    ror13(library).wrapping_add(ror13(function.bytes().chain([0])))
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_hashes_are_what_they_stand_for() {
        let known = [
            (0x0726_774c, "block_api", "kernel32.dll", "LoadLibraryA"),
            (0x876f_8b31, "block_api", "kernel32.dll", "WinExec"),
            (0xe553_a458, "block_api", "kernel32.dll", "VirtualAlloc"),
            (0x006b_8029, "block_api", "ws2_32.dll", "WSAStartup"),
            (0xe0df_0fea, "block_api", "ws2_32.dll", "WSASocketA"),
            (0x6737_dbc2, "block_api", "ws2_32.dll", "bind"),
            (0x5fc8_d902, "block_api", "ws2_32.dll", "recv"),
            (0xec0e_4e8e, "ror13", "kernel32.dll", "LoadLibraryA"),
            (0x7c0d_fcaa, "ror13", "kernel32.dll", "GetProcAddress"),
            (0x0e8a_fe98, "ror13", "kernel32.dll", "WinExec"),
            (0x73e2_d87e, "ror13", "kernel32.dll", "ExitProcess"),
        ];
        for (hash, algorithm, library, function) in known {
            assert_eq!(TABLE.get(&hash), Some(&(algorithm, library, function)), "{hash:#x}");
        }
    }

    #[test]
    fn no_two_names_share_a_hash() {
        let functions = NAMES.lines().map(|line| line.split(' ').count() - 1).sum::<usize>();
        // CRC-32 and FNV are the same for whatever carries them: a function that two libraries export.
        assert_eq!(TABLE.len(), functions * 5);
    }
}
