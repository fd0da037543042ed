//! The peeler on look-alikes.

mod archives;
pub(crate) mod build;
mod chain;
mod hidden;
mod property;

use super::*;
use crate::rules::Rules;
use crate::{Layer, Report};

fn look(sample: &[u8], budget: &Budget) -> Report {
    crate::triage(sample, Road::Payload, &Rules::default(), budget)
}
use crate::pe::Machine;
use crate::pe::tests::look_alike;
use crate::stub::Layout;

/// A decoded upload: a stub with its size field, a file, padding.
fn blob(layout: Layout, file: &[u8], claimed: usize, padding: usize) -> Vec<u8> {
    let mut blob = vec![0x90; layout.file_at];
    // The naive hits of the real 64-bit stub.
    for at in [0x6f4, 0xcc8, 0x1584, 0x1703] {
        if let Some(place) = blob.get_mut(at..at + 2) {
            place.copy_from_slice(b"MZ");
        }
    }
    let claimed = claimed as u32;
    blob[layout.size_at..][..4].copy_from_slice(&claimed.to_le_bytes());
    blob[layout.copied_at..][..4].copy_from_slice(&(claimed + layout.loader).to_le_bytes());
    blob.extend_from_slice(file);
    blob.extend(std::iter::repeat_n(0, padding));
    blob
}

/// Metasploit's one packet: a stub, a length, code, filling.
fn packet(length: u16) -> Vec<u8> {
    let mut packet = build::noise(4096, 9);
    packet[780..782].copy_from_slice(&length.to_le_bytes());
    packet
}

#[test]
fn the_stubs_size_field_gives_the_exact_file() {
    for layout in stub::ALL {
        let file = look_alike(layout.machine, 0x3000, 5);
        let report = look(&blob(layout, &file, file.len(), 3), &Budget::default());
        let [root, stub, pe, padding] = report.layers.as_slice() else { panic!("{report:?}") };
        assert_eq!(root.kind, Kind::Payload);
        assert_eq!((stub.name.as_str(), stub.state), (layout.name(), State::Intact));
        assert_eq!((padding.kind, padding.size), (Kind::Padding, 3));
        assert_eq!(report.core, Some(2));
        assert_eq!((stub.kind, stub.offset, stub.size), (Kind::Stub, 0, layout.file_at as u64));
        assert_eq!((pe.kind, pe.found_by), (Kind::Pe, FoundBy::StubSizeField));
        assert_eq!((pe.offset, pe.size), (layout.file_at as u64, 0x3000));
        assert_eq!(pe.hashes, crate::facts::hashes(&file));
    }
}

#[test]
fn the_size_field_wins_over_the_sections_zero_fill_and_all() {
    let mut file = look_alike(Machine::X86, 0x1000, 5);
    file.resize(0x5000, 0);
    let report = look(&blob(stub::X86, &file, file.len(), 3), &Budget::default());
    assert_eq!(report.layers[2].size, 0x5000);
}

#[test]
fn a_lying_size_field_falls_back_to_the_search() {
    let file = look_alike(Machine::X64, 0x2000, 9);
    for claimed in [0, 12] {
        let report = look(&blob(stub::X64, &file, claimed, 100), &Budget::default());
        let [_, stub, pe, _] = report.layers.as_slice() else { panic!("{report:?}") };
        assert_eq!((stub.name.as_str(), stub.state), ("doublepulsar-x64", State::Damaged));
        assert_eq!(stub.remarks, [format!("its size field says {claimed} bytes, and its file has 8,192")]);
        assert_eq!((pe.found_by, pe.offset, pe.size), (FoundBy::ValidatedSearch, 0x1800, 0x2000));
        assert_eq!(pe.hashes, crate::facts::hashes(&file));
    }
}

#[test]
fn naive_marks_are_no_files_and_shellcode_has_no_layer() {
    let mut marks = blob(stub::X64, &[], 5_298_176, 4096);
    marks[stub::X64.copied_at] ^= 1;
    assert_eq!(look(&marks, &Budget::default()).layers.len(), 1);
    assert_eq!(look(&[], &Budget::default()).layers.len(), 1);
}

#[test]
fn a_stub_is_one_by_its_fields_where_its_file_is_cut_hidden_or_missing() {
    for layout in stub::ALL {
        let file = look_alike(layout.machine, 0x4000, 9);
        let whole = blob(layout, &file, file.len(), 3);
        let look_at = |end: usize| look(&whole[..end], &Budget::default());
        // Not all of the stub; all of it and nothing more; less than the file's headers.
        assert_eq!(look_at(layout.file_at - 1).layers.len(), 1);
        for (end, parts) in [(layout.file_at, 1), (layout.file_at + 1, 2), (layout.file_at + 0x60, 2)] {
            let report = look_at(end);
            let stub = &report.layers[1];
            assert_eq!(
                (stub.kind, stub.found_by, stub.state),
                (Kind::Stub, FoundBy::StubSizeField, State::Intact)
            );
            assert_eq!((stub.name.as_str(), report.layers.len()), (layout.name(), 1 + parts));
            if parts == 2 {
                let rest = &report.layers[2];
                let gone = crate::text::number(0x4000 - rest.size);
                assert_eq!((rest.offset, rest.state), (layout.file_at as u64, State::Truncated));
                assert_eq!(
                    rest.remarks,
                    [format!("the stub in front says 16,384 bytes: {gone} bytes are missing")]
                );
            }
            assert_eq!(report.core, Some(0));
        }
        // What it carries is hidden in a way that nobody knows.
        let noise = build::noise(0x4000, 1);
        let report = look(&blob(layout, &noise, noise.len(), 2), &Budget::default());
        let kinds: Vec<_> = report.layers.iter().map(|layer| (layer.kind, layer.state)).collect();
        let expected =
            [Kind::Payload, Kind::Stub, Kind::Data, Kind::Padding].map(|kind| (kind, State::Intact));
        assert_eq!(kinds, expected);
    }
}

#[test]
fn an_encoded_file_leaves_the_stub_in_front_of_it_what_it_is() {
    let layout = stub::X86;
    let mut file = look_alike(layout.machine, 0x3000, 5);
    file.extend_from_slice(b"something that was appended");
    let hidden: Vec<u8> = file.iter().map(|byte| byte ^ 77).collect();
    for (claimed, state) in [(file.len(), State::Intact), (0x3000, State::Intact), (0x300, State::Damaged)] {
        let report = look(&blob(layout, &hidden, claimed, 0), &Budget::default());
        let (stub, pe) = (&report.layers[1], &report.layers[2]);
        assert_eq!(
            (stub.kind, stub.name.as_str(), stub.state),
            (Kind::Stub, layout.name(), state),
            "{claimed}"
        );
        assert_eq!((pe.kind, pe.encoding.as_str(), pe.offset), (Kind::Pe, "xor 4d", layout.file_at as u64));
        assert_eq!(report.core, Some(2));
    }
    // Nobody knows what stands in front of that one.
    let report = look(&[build::noise(300, 1), hidden].concat(), &Budget::default());
    assert_eq!((report.layers[1].kind, report.layers[1].name.as_str()), (Kind::Stub, "unknown"));
}

#[test]
fn a_file_of_the_wrong_machine_is_not_taken_for_the_stubs() {
    let file = look_alike(Machine::X64, 0x2000, 9);
    let report = look(&blob(stub::X86, &file, file.len(), 0), &Budget::default());
    assert_eq!((report.layers[1].kind, report.layers[1].name.as_str()), (Kind::Stub, "unknown"));
    assert_eq!(report.layers[2].found_by, FoundBy::ValidatedSearch);
}

#[test]
fn an_upload_cut_off_has_a_truncated_file() {
    let file = look_alike(Machine::X64, 0x4000, 9);
    let whole = blob(stub::X64, &file, file.len(), 0);
    let report = look(&whole[..0x3000], &Budget::default());
    let pe: &Layer = &report.layers[2];
    assert_eq!((pe.kind, pe.state, pe.size), (Kind::Pe, State::Truncated, 0x1800));
}

#[test]
fn a_pe_alone_is_the_whole_sample() {
    let file = look_alike(Machine::X86, 0x1000, 2);
    let report = look(&file, &Budget::default());
    assert_eq!(report.layers[0].found_by, FoundBy::WholeSample);
    assert_eq!(report.layers[0].size, 0x1000);
}

#[test]
fn truncation_at_any_byte_is_answered() {
    let file = look_alike(Machine::X86, 0x600, 3);
    let whole = blob(stub::X86, &file, file.len(), 3);
    for cut in 0..=whole.len() {
        let report = look(&whole[..cut], &Budget::default());
        let inside = report.layers.iter().all(|layer| layer.offset + layer.size <= cut as u64);
        assert!(inside, "cut at {cut}: {report:?}");
    }
}

#[test]
fn a_file_is_found_wherever_it_starts() {
    let file = look_alike(Machine::X86, 0x400, 2);
    for front in 1..70 {
        let report = look(&[build::noise(front, 3), file.clone()].concat(), &Budget::default());
        let [_, stub, pe] = report.layers.as_slice() else { panic!("{front}: {report:?}") };
        assert_eq!((pe.kind, pe.offset, stub.size), (Kind::Pe, front as u64, front as u64));
        assert_eq!(pe.found_by, FoundBy::ValidatedSearch);
    }
}

#[test]
fn the_budget_ends_every_search() {
    let marks = b"MZ".repeat(10_000);
    let report = look(&marks, &Budget { candidates_max: 100, ..Budget::default() });
    assert_eq!((report.remarks.len(), report.layers.len()), (1, 1));
    let mut many = vec![0x90; 8];
    for seed in 0..5 {
        many.extend(look_alike(Machine::X86, 0x400, seed));
    }
    let report = look(&many, &Budget { layers_max: 3, ..Budget::default() });
    assert_eq!((report.remarks.len(), report.layers.len()), (1, 3));
}

#[test]
fn filling_and_garbage_behind_a_file_make_no_other_core() {
    let file = look_alike(Machine::X86, 0x3000, 5);
    let with = |tail: &[u8]| look(&[&file, tail].concat(), &Budget::default());
    let own = crate::facts::hashes(&file).sha256;
    let one_more = build::noise(4096, 3);
    for (tail, kind) in [
        (&[0; 3][..], Kind::Padding),
        (&[0; 100_000], Kind::Padding),
        (&one_more[..100], Kind::Overlay),
        (&one_more, Kind::Overlay),
    ] {
        let report = with(tail);
        assert_eq!(report.layers.last().map(|last| (last.kind, last.size)), Some((kind, tail.len() as u64)));
        assert_eq!(
            (report.layers[0].kind, &report.core_layer().unwrap().hashes.sha256),
            (Kind::Payload, &own)
        );
    }
    // What an installer carries is its own.
    let archive = build::zip(&[("a", b"plain text", build::How::Stored)]);
    for tail in [build::noise(4097, 3), archive] {
        let report = with(&tail);
        assert_eq!((report.layers[0].kind, report.core), (Kind::Pe, Some(0)));
    }
    assert_eq!((look(&file, &Budget::default()).layers[0].kind, with(&[]).core), (Kind::Pe, Some(0)));
}

#[test]
fn only_an_exploits_buffer_is_searched_for_code_between_filler() {
    let code: Vec<u8> = (0..300u32).map(|n| (n.wrapping_mul(97) >> 1).to_le_bytes()[0]).collect();
    let sample = [&b"A1b2C3d4".repeat(64)[..], &code, &b"A1b2C3d4".repeat(64)].concat();
    let report = crate::triage(&sample, Road::ExploitBuffer, &Rules::default(), &Budget::default());
    let [_, layer] = report.layers.as_slice() else { panic!("{report:?}") };
    assert_eq!((layer.kind, layer.found_by), (Kind::Shellcode, FoundBy::BetweenFiller));
    assert!(layer.offset.abs_diff(512) < 16 && layer.size.abs_diff(300) < 32, "{layer:?}");
    assert_eq!(look(&sample, &Budget::default()).layers.len(), 1);
}
