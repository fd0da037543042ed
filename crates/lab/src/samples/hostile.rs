//! Files that are made to hurt their reader: every count, offset and length in them is a lie.

use super::chain::Chain;
use super::kin::{gzip, plain_dll};
use super::ledger::Specimen;
use super::pe::{Export, Image, PE_AT, Resource, ResourceName, put, put_u16, put_u32};
use super::zip::{Member, archive};
use super::{X86, base64_like};
use roridula_triage::Kind;

/// Bytes that deflate to almost nothing.
const BOMB_LEN: usize = 64 * 1024 * 1024;
/// Where a 32-bit file's table of directories stands.
const DIRECTORIES_AT: usize = PE_AT + 24 + 96;
/// Where its section headers stand.
const SECTIONS_AT: usize = PE_AT + 24 + 224;

fn u32_of(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn pe(file: &str, what: &str, change: impl FnOnce(&mut Vec<u8>)) -> Specimen {
    let mut bytes = plain_dll(0x8000, 0x405);
    change(&mut bytes);
    Specimen::new(file, what, Kind::Data, bytes).hostile()
}

/// A file with one resource; `change` gets it and the place of its resource directory.
fn with_resources(file: &str, what: &str, len: usize, change: impl FnOnce(&mut [u8], usize)) -> Specimen {
    let bytes = base64_like(100, 1);
    let image = Image { resources: vec![Resource::new(ResourceName::Id(10), 1, &bytes)], ..Image::default() };
    let mut bytes = image.build(len);
    let at = u32::from_le_bytes(bytes[DIRECTORIES_AT + 16..DIRECTORIES_AT + 20].try_into().expect("four"));
    change(&mut bytes, at as usize);
    Specimen::new(file, what, Kind::Data, bytes).hostile()
}

fn tables() -> Vec<Specimen> {
    vec![
        pe("pe-65535-sections", "65,535 sections", |file| put_u16(file, PE_AT + 6, u16::MAX)),
        pe("pe-overlapping-sections", "all sections at one place", |file| {
            for number in 0..3 {
                put_u32(file, SECTIONS_AT + 40 * number + 16, 0x7c00);
                put_u32(file, SECTIONS_AT + 40 * number + 20, 0x400);
            }
        }),
        pe("pe-sections-beyond-end", "sections at the end of the address space", |file| {
            for number in 0..3 {
                put_u32(file, SECTIONS_AT + 40 * number + 16, u32::MAX);
                put_u32(file, SECTIONS_AT + 40 * number + 20, u32::MAX - 0x100);
            }
        }),
        pe("pe-4-billion-exports", "counts of the export table", |file| {
            let at = u32::from_le_bytes(file[DIRECTORIES_AT..DIRECTORIES_AT + 4].try_into().expect("four"));
            put_u32(file, at as usize + 20, u32::MAX);
            put_u32(file, at as usize + 24, u32::MAX);
        }),
        pe("pe-imports-without-end", "an import table that is all there is", |file| {
            // Descriptors that point to themselves, up to the end of the file.
            for at in (0x1000..0x7fe0).step_by(20) {
                for place in [0, 12, 16] {
                    put_u32(file, at + place, 0x1000);
                }
            }
            put_u32(file, DIRECTORIES_AT + 8, 0x1000);
            put_u32(file, DIRECTORIES_AT + 12, u32::MAX);
        }),
        pe("pe-directories-4-billion", "a count of directories", |file| {
            put_u32(file, DIRECTORIES_AT - 4, u32::MAX);
        }),
        pe("pe-e-lfanew-beyond-end", "the signature far behind the end", |file| {
            put_u32(file, 0x3c, 0xffff_fff0)
        }),
        pe("pe-e-lfanew-in-itself", "the signature in the DOS header", |file| {
            put(file, 4, b"PE\0\0\x4c\x01\x01\0");
            put_u32(file, 0x3c, 4);
        }),
        pe("pe-alignment-zero", "alignments of zero", |file| {
            put_u32(file, PE_AT + 24 + 32, 0);
            put_u32(file, PE_AT + 24 + 36, 0);
        }),
    ]
}

fn resources() -> Vec<Specimen> {
    const SUBDIRECTORY: u32 = 0x8000_0000;
    vec![
        with_resources("resources-loop", "a resource directory in itself", 0x2000, |file, at| {
            put_u32(file, at + 20, SUBDIRECTORY);
        }),
        with_resources("resources-65535-entries", "counts of a directory", 0x2000, |file, at| {
            put_u16(file, at + 12, u16::MAX);
            put_u16(file, at + 14, u16::MAX);
        }),
        with_resources("resources-10000-nested", "10,000 directories in each other", 0x4_8000, |file, at| {
            for number in 0..10_000 {
                let directory = at + 24 * number;
                put(file, directory, &[0; 24]);
                put_u16(file, directory + 14, 1);
                put_u32(file, directory + 16, u32_of(number));
                put_u32(file, directory + 20, SUBDIRECTORY | u32_of(24 * (number + 1)));
            }
        }),
        with_resources("resources-10000-flat", "10,000 resources of the same bytes", 0x5_8000, |file, at| {
            let leaf = u32_of(16 + 8 * 10_000);
            put_u16(file, at + 14, 10_000);
            for number in 0..10_000 {
                put_u32(file, at + 16 + 8 * number, u32_of(number));
                put_u32(file, at + 20 + 8 * number, leaf);
            }
            put_u32(file, at + leaf as usize, 0x400);
            put_u32(file, at + leaf as usize + 4, 0x5_0000);
        }),
        with_resources(
            "resources-name-64k",
            "a resource's name of 64 KiB with terminal escapes",
            0x3_0000,
            |file, at| {
                let name = 0x1000;
                put_u16(file, at + 12, 1);
                put_u16(file, at + 14, 0);
                put_u32(file, at + 16, SUBDIRECTORY | name);
                put_u16(file, at + name as usize, u16::MAX);
                for (number, unit) in
                    "\u{1b}]0;x\u{7}\u{1b}[2J".encode_utf16().cycle().take(65_535).enumerate()
                {
                    put_u16(file, at + name as usize + 2 + 2 * number, unit);
                }
            },
        ),
    ]
}

fn archives() -> Vec<Specimen> {
    let zeros = vec![0; BOMB_LEN];
    let flat: Vec<String> = (0..200).map(|number| format!("{number}")).collect();
    let small = vec![0; 1 << 20];
    let members: Vec<_> = flat.iter().map(|name| Member::new(name, &small, true)).collect();
    let mut nested = archive(&[Member::new("0", &zeros, true)], None).0;
    for number in 1..40 {
        let name = number.to_string();
        nested = archive(&[Member::new(&name, &nested, true)], None).0;
    }
    let lying = Member {
        told_size: Some(u32::MAX),
        told_stored: Some(0x7fff_ffff),
        ..Member::new("lie", b"INERT LOOK-ALIKE", false)
    };
    let modest = Member { told_size: Some(1), ..Member::new("modest", &small, true) };
    let mut name = "\u{1b}]0;gone\u{7}\u{1b}[31m../../".repeat(4000);
    name.truncate(65_500);
    let named = Member::new(&name, b"INERT LOOK-ALIKE", false);
    let mut cab =
        b"MSCF\0\0\0\0\xff\xff\xff\xff\0\0\0\0\x2c\0\0\0\0\0\0\0\x03\x01\xff\xff\xff\xff\0\0\0\0\0\0"
            .to_vec();
    cab.extend_from_slice(&base64_like(3000, 3));
    let zip = |file: &str, what: &str, bytes: Vec<u8>| Specimen::new(file, what, Kind::Zip, bytes).hostile();
    let mut unending = archive(&[Member::new("a", b"INERT LOOK-ALIKE", false)], None).0;
    let end = unending.len() - 22;
    put(&mut unending, end + 8, &[0xff; 12]);
    vec![
        zip("zip-bomb-flat", "200 MiB of zeros in 200 members", archive(&members, None).0),
        zip("zip-bomb-nested", "64 MiB of zeros in 40 archives in each other", nested),
        zip("zip-lying-sizes", "sizes of 4 GiB", archive(&[lying, modest], None).0),
        zip("zip-name-64k", "a member's name of 64 KiB with terminal escapes", archive(&[named], None).0),
        zip("zip-lying-directory", "counts and place of the directory", unending),
        Specimen::new("gzip-bomb", "64 MiB of zeros", Kind::Gzip, gzip(&zeros)).hostile(),
        Specimen::new("cab-lying-header", "65,535 folders and files", Kind::Data, cab).hostile(),
    ]
}

/// Places that look like the start of a file, and are none; and stubs whose size is a lie.
fn starts() -> Vec<Specimen> {
    let mut candidates = Vec::new();
    while candidates.len() < 1 << 20 {
        let mut header = vec![0; 64];
        put(&mut header, 0, b"MZ");
        put_u32(&mut header, 0x3c, 0x40);
        candidates.extend_from_slice(&header);
        candidates.extend_from_slice(b"PE\0\0\x4c\x01\x60\0");
    }
    let mut stub = Chain::new(X86, 1).payload();
    stub.truncate(100_000);
    let mut lying = stub.clone();
    put_u32(&mut lying, X86.dll_size_at, u32::MAX);
    vec![
        Specimen::new("pe-14563-candidates", "14,563 headers without a file", Kind::Data, candidates)
            .hostile(),
        Specimen::new("stub-cut-upload", "an upload that was cut after 100,000 bytes", Kind::Data, stub)
            .hostile(),
        Specimen::new("stub-lying-size", "a stub that tells 4 GiB", Kind::Data, lying).hostile(),
    ]
}

/// Files in files, and files that share their bytes.
fn matryoshkas() -> Vec<Specimen> {
    const LEVELS: usize = 40;
    let mut nested = plain_dll(0x2000, 0x405);
    for level in 1..LEVELS {
        let image =
            Image { resources: vec![Resource::new(ResourceName::Id(10), 1, &nested)], ..Image::default() };
        nested = image.build(0x2000 + 0x800 * level);
    }
    let mut streams = base64_like(1000, 7);
    for _ in 0..100 {
        streams = gzip(&streams);
    }
    // Ten thousand entries of the directory that are all the same megabyte.
    let (one, _) = archive(&[Member::new("a", &vec![0; 1 << 20], true)], None);
    let directory_at = one.len() - 22 - 47;
    let mut shared = one[..directory_at].to_vec();
    shared.extend_from_slice(&one[directory_at..one.len() - 22].repeat(10_000));
    let mut end = one[one.len() - 22..].to_vec();
    put(&mut end, 8, &[0x10, 0x27, 0x10, 0x27]);
    put_u32(&mut end, 12, 47 * 10_000);
    shared.extend_from_slice(&end);
    let export =
        Export { library: "\x1b]0;gone\x07\u{202e}lld.\x1b[2J", function: "\x1b[31m\r\nforged: line" };
    let escapes = Image {
        dll: true,
        export: Some(export),
        data: b"http://\x1b[2J.example.invalid/\x1b[31m\0",
        ..Image::default()
    };
    vec![
        Specimen::new("pe-40-in-each-other", "40 programs in each other", Kind::Pe, nested).hostile(),
        Specimen::new("gzip-100-in-each-other", "100 gzip streams in each other", Kind::Gzip, streams)
            .hostile(),
        Specimen::new("zip-bomb-shared", "10 GiB of zeros that share their bytes", Kind::Zip, shared)
            .hostile(),
        Specimen::new("pe-escapes", "names with terminal escapes", Kind::Pe, escapes.build(0x1000)).hostile(),
    ]
}

/// One of each.
pub fn specimens() -> Vec<Specimen> {
    [tables(), resources(), archives(), starts(), matryoshkas()].into_iter().flatten().collect()
}
