//! What triage says of bytes, by known answers and against the tools that others use: `ssdeep` and `pefile`.

mod build;
mod indicators;

use build::{Builder, resources, version};
use roridula_triage::facts::{Facts, PeFacts};
use roridula_triage::rules::Rules;
use roridula_triage::{Budget, Hashes, Road, triage};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn look(bytes: &[u8]) -> (Hashes, Facts) {
    let mut report = triage(bytes, Road::Payload, &Rules::default(), &Budget::default());
    let layer = report.layers.swap_remove(0);
    (layer.hashes, layer.facts)
}

fn pe_facts(bytes: &[u8]) -> PeFacts {
    look(bytes).1.pe.expect("a PE file")
}

/// Bytes that differ by `nature`.
fn generated(len: usize, nature: u64) -> Vec<u8> {
    let mut state = nature.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    let mut bytes: Vec<u8> = (0..len).map(|_| next()).collect();
    match nature % 8 {
        1 => bytes.iter_mut().for_each(|byte| *byte &= 7),
        2 => bytes.iter_mut().enumerate().for_each(|(at, byte)| *byte = (at / 9) as u8),
        3 => bytes[len / 3..].fill(0),
        4 => bytes.iter_mut().filter(|byte| **byte > 9).for_each(|byte| *byte = 0),
        5 => bytes[..len / 2].fill(7),
        6 => bytes.fill(0),
        7 => bytes.iter_mut().for_each(|byte| *byte = *byte % 64 + 32),
        _ => {}
    }
    bytes
}

/// A directory that is gone when the test ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn exact_hashes_are_the_published_ones() {
    // FIPS 180-2, RFC 3174 and RFC 1321 of `abc`.
    let (hashes, _) = look(b"abc");
    assert_eq!(hashes.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!(hashes.sha1, "a9993e364706816aba3e25717850c26c9cd0d89d");
    assert_eq!(hashes.md5, "900150983cd24fb0d6963f7d28e17f72");
}

#[test]
fn ssdeep_hashes_are_those_of_the_tool() {
    let scratch = Scratch::new("ssdeep");
    let mut expected = Vec::new();
    for len in [1, 6, 7, 8, 50, 192, 193, 500, 4096, 7000, 12_289, 30_000, 98_304, 200_000, 1_000_000] {
        for nature in 0..8 {
            let name = format!("{len}-{nature}");
            let bytes = generated(len, nature);
            std::fs::write(scratch.0.join(&name), &bytes).unwrap();
            expected.push((name, look(&bytes).0.ssdeep));
        }
    }
    let names = expected.iter().map(|(name, _)| name);
    let out = Command::new("ssdeep").arg("-sb").args(names).current_dir(&scratch.0).output();
    let out = out.expect("ssdeep: run scripts/setup-tests.sh").stdout;
    let out = String::from_utf8(out).unwrap();
    let told: Vec<(String, String)> = out
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(','))
        .map(|(hash, name)| (name.trim_matches('"').to_owned(), hash.to_owned()))
        .collect();
    assert_eq!(told, expected);
}

/// What `pefile` says: import hash and Rich hash.
fn pefile(files: &[Vec<u8>]) -> Vec<(String, String)> {
    let scratch = Scratch::new("pefile");
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv/bin/python");
    let script = "import sys, pefile\nfor path in sys.argv[1:]:\n p = pefile.PE(path)\n \
        print(p.get_imphash() + ',' + p.get_rich_header_hash())";
    let mut command = Command::new(python);
    command.arg("-c").arg(script).stderr(Stdio::inherit());
    for (number, file) in files.iter().enumerate() {
        let path = scratch.0.join(number.to_string());
        std::fs::write(&path, file).unwrap();
        command.arg(path);
    }
    let out = command.output().expect("pefile: run scripts/setup-tests.sh").stdout;
    let out = String::from_utf8(out).unwrap();
    out.lines().filter_map(|line| line.split_once(',')).map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
}

#[test]
fn import_and_rich_hashes_are_those_of_pefile() {
    let imports = [
        ("KERNEL32.dll", vec!["CreateFileA", "WriteFile", "#17"]),
        ("WS2_32.dll", vec!["#1", "#115", "#9999", "send"]),
        ("wsock32.DLL", vec!["#23", "#1141"]),
        ("OLEAUT32.dll", vec!["#2", "#200", "#7"]),
        ("msvbvm60.ocx", vec!["#100", "ThunRTMain"]),
        ("ntoskrnl.sys", vec!["ZwClose"]),
        ("odd.name.exe", vec!["_mangled@8", "?x@@YAHXZ"]),
        ("empty.dll", vec![]),
    ];
    let rich = vec![0x536e_6144, 0, 0, 0, 0x000a_1fe8, 3, 0x0094_7809, 12];
    let mut files = Vec::new();
    for wide in [false, true] {
        for count in 1..=imports.len() {
            let imports = imports[..count].to_vec();
            let rich_key = 0x1357_9bdf ^ count as u32;
            let rich = if count % 3 == 0 { vec![] } else { rich.clone() };
            files.push(Builder { wide, imports, rich, rich_key, ..Builder::default() }.build());
        }
    }
    files.push(Builder::default().build());
    let ours: Vec<(String, String)> =
        files.iter().map(|file| pe_facts(file)).map(|facts| (facts.imphash, facts.rich_hash)).collect();
    assert_eq!(ours, pefile(&files));
    assert!(ours[0].0.len() == 32 && ours[0].1.len() == 32 && ours[16] == Default::default());
}

#[test]
fn a_certificate_table_that_is_not_there_signs_nothing() {
    let mut file = Builder::default().build();
    let table = u32::from_le_bytes(file[0x3c..0x40].try_into().unwrap()) as usize + 24 + 96 + 4 * 8;
    let end = file.len() as u32;
    file[table..table + 4].copy_from_slice(&end.to_le_bytes());
    file[table + 4..table + 8].copy_from_slice(&16u32.to_le_bytes());
    let facts = pe_facts(&file);
    assert_eq!(
        (facts.signed, &facts.oddities[..]),
        (false, &["its certificates are behind the end of the file".to_owned()][..])
    );
    file.extend([0; 16]);
    let facts = pe_facts(&file);
    assert_eq!((facts.signed, facts.oddities), (true, vec![]));
}

#[test]
fn headers_imports_resources_and_version_are_told() {
    let version = version(&[("FileDescription", "a look-alike"), ("OriginalFilename", "lhdfrgui.exe")]);
    let leaves: &[(&str, u32, &[u8])] = &[("W", 101, b"inert"), ("16", 1, &version)];
    let builder = Builder {
        imports: vec![("WS2_32.dll", vec!["#115", "send"])],
        resources: resources(build::ADDRESS, leaves),
        ..Builder::default()
    };
    let file = builder.build();
    let facts = pe_facts(&file);
    assert_eq!((facts.machine.as_str(), facts.dll, facts.subsystem), ("x86", true, 2));
    assert_eq!((facts.timestamp, facts.entry, facts.signed), (0x5911_9b55, 0x1010, false));
    assert_eq!(facts.imports[0].functions, ["#115", "send"]);
    let paths: Vec<&str> = facts.resources.iter().map(|leaf| leaf.path.as_str()).collect();
    assert_eq!(paths, ["W/101/1033", "16/1/1033"]);
    let leaf = &facts.resources[0];
    assert_eq!(&file[leaf.offset as usize..(leaf.offset + leaf.size) as usize], b"inert");
    assert_eq!(facts.version["FileDescription"], "a look-alike");
    assert_eq!(facts.version["OriginalFilename"], "lhdfrgui.exe");
    assert_eq!((facts.sections[0].name.as_str(), facts.sections[0].md5.len()), (".data", 32));
    assert_eq!(facts.oddities, Vec::<String>::new());
}

#[test]
fn files_for_other_machines_have_the_same_tables() {
    for (wide, number, word) in [(false, 0x01c4u16, "ARM"), (true, 0xaa64, "ARM64")] {
        let imports = vec![("WS2_32.dll", vec!["#115", "send"])];
        let mut file = Builder { wide, imports, ..Builder::default() }.build();
        let intel = pe_facts(&file);
        let coff = u32::from_le_bytes(file[0x3c..0x40].try_into().unwrap()) as usize + 4;
        file[coff..coff + 2].copy_from_slice(&number.to_le_bytes());
        let facts = pe_facts(&file);
        assert_eq!((facts.machine.as_str(), facts.imphash.len()), (word, 32));
        assert_eq!(facts, PeFacts { machine: word.to_owned(), ..intel });
    }
}

#[test]
fn upx_is_named_with_its_version() {
    let mut file = Builder::default().build();
    file[0x3e0..0x3e9].copy_from_slice(b"3.96\0UPX!");
    assert_eq!(pe_facts(&file).packer, "upx 3.96");
    file[0x3e0..0x3e4].fill(0);
    assert_eq!(pe_facts(&file).packer, "upx");
}

/// Ten thousand tables in each other, a table that leads to itself, and counts of 65,535.
#[test]
fn hostile_resource_trees_end() {
    let nested: Vec<u8> = (0..10_000u32)
        .flat_map(|number| {
            let mut table = vec![0u8; 24];
            table[14] = 1;
            table[20..24].copy_from_slice(&(((number + 1) * 24) | (1 << 31)).to_le_bytes());
            table
        })
        .collect();
    let facts = pe_facts(&Builder { resources: nested, ..Builder::default() }.build());
    assert!(facts.resources.is_empty());
    assert!(facts.oddities.contains(&"resources nested deeper than 4".to_owned()), "{:?}", facts.oddities);

    let mut looped = vec![0u8; 16 + 8 * 70_000];
    looped[12..16].fill(0xff);
    looped[20..24].copy_from_slice(&(1u32 << 31).to_le_bytes());
    let facts = pe_facts(&Builder { resources: looped, ..Builder::default() }.build());
    assert!(
        facts.oddities.contains(&"a resource table that is used twice".to_owned()),
        "{:?}",
        facts.oddities
    );
    assert!(facts.oddities.contains(&"more than 1024 resource entries".to_owned()));
    assert!(facts.resources.len() <= 1024 && facts.oddities.len() <= 16);
}

#[test]
fn more_imports_than_are_looked_at_have_no_hash() {
    let facts =
        pe_facts(&Builder { imports: vec![("a.dll", vec!["#1"; 8193])], ..Builder::default() }.build());
    assert_eq!(facts.imphash, "");
    assert_eq!(facts.imports[0].functions.len(), 1024);
    assert!(facts.oddities.contains(&"more imports than are looked at".to_owned()));
}

/// Any byte of the headers and tables may be anything.
#[test]
fn no_changed_byte_panics() {
    let builder = Builder {
        imports: vec![("WS2_32.dll", vec!["#115", "send"])],
        resources: resources(build::ADDRESS, &[("W", 101, b"inert"), ("16", 1, &version(&[("a", "b")]))]),
        rich: vec![0x536e_6144, 0, 0, 0, 1, 2],
        ..Builder::default()
    };
    let file = builder.build();
    for at in 0..file.len() {
        for value in [0, 0x7f, 0xff] {
            let mut spoiled = file.clone();
            spoiled[at] = value;
            roridula_triage::facts::fuzzing::pe_facts(&spoiled);
        }
        roridula_triage::facts::fuzzing::pe_facts(&file[..at]);
    }
}
