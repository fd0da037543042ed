//! Differences between look-alikes of the lab's world, in words: what was changed is what is told.

use roridula_lab::samples::world;
use roridula_triage::rules::Rules;
use roridula_triage::{Budget, Diff, Road, diff, triage};

/// The difference of two look-alikes, by their names.
fn differ(a: &str, b: &str) -> Diff {
    between(&look_alike(a), &look_alike(b))
}

fn look_alike(name: &str) -> Vec<u8> {
    world::file(name, 1).expect("a look-alike")
}

fn between(a: &[u8], b: &[u8]) -> Diff {
    let (rules, budget) = (Rules::compile(&[]).0, Budget::default());
    let report = |bytes: &[u8]| triage(bytes, Road::Payload, &rules, &budget);
    diff(a, &report(a), b, &report(b))
}

/// Asserts that a line with each of these words is there, and that there are no more than so many lines.
fn tells(found: &Diff, lines: usize, words: &[&str]) {
    for words in words {
        assert!(found.lines.iter().any(|line| line.contains(words)), "no {words:?} in {:#?}", found.lines);
    }
    assert!(found.lines.len() <= lines, "{} lines: {:#?}", found.lines.len(), found.lines);
}

#[test]
fn a_patched_check_is_one_jump() {
    let found = differ("wannacry-x86", "wannacry-x86-check-patched-out");
    let expected =
        ["EXE W/101 differs in 1 range", "1 byte: 1 jump patched: conditional → always taken, section .text"];
    tells(&found, 6, &expected);
    tells(&found, 6, &["identical: "]);
}

#[test]
fn a_zeroed_domain_and_a_damaged_member_are_named() {
    let found = differ("wannacry-x64", "wannacry-x64-domain-zeroed");
    tells(&found, 7, &["EXE W/101 differs in 1 range", "kill-switch", "zeroed"]);
    let found = differ("wannacry-x86", "wannacry-x86-aftershock");
    let patched = "jump patched: conditional → nothing, section .text";
    tells(
        &found,
        14,
        &[patched, "ZIP member t.wnry from its byte 20,000", "ZIP member `t.wnry`: intact against damaged"],
    );
}

#[test]
fn files_of_other_lengths_differ_by_sections() {
    let found = differ("wannacry-x86", "wannacry-x64");
    assert!(found.lines.iter().any(|line| line.contains("identical: ") && line.contains("EXE W/101")));
    let header = |line: &&String| line.contains("PE header");
    let longest = found.layers.iter().flat_map(|pair| &pair.ranges).map(|range| range.a_size).max();
    assert!(found.lines.iter().filter(header).count() >= 1 && longest < Some(0x4000), "{:#?}", found.lines);
    let found = differ("wannacry-x86", "wannacry-x86-exe-cut");
    assert!(!found.lines.iter().any(|line| line.contains("section .text")), "{:#?}", found.lines);
    // A library by itself is not compared with an upload.
    let found = differ("conficker-x86", "notpetya-x86");
    tells(
        &found,
        40,
        &["DLL inert-c.dll differs in ", "only B has upload, 366,856 bytes, and ", "section .text"],
    );
    assert!(!found.lines.iter().any(|line| line.starts_with("upload")), "{:#?}", found.lines);
}

#[test]
fn what_one_side_has_alone_is_told_once() {
    let found = differ("wannacry-x86", "miner-x64");
    tells(&found, 40, &["only A has EXE W/101, 3,723,264 bytes, and "]);
    assert!(!found.lines.iter().any(|line| line.contains("R/1831")), "{:#?}", found.lines);
    let found = differ("zip-bomb-flat", "zip-bomb-shared");
    tells(&found, 12, &["more members of the ZIP differ"]);
}

#[test]
fn a_file_is_compared_with_itself_wherever_it_lies() {
    let (rules, budget) = (Rules::compile(&[]).0, Budget::default());
    let part = |name: &str, wanted: &str| {
        let upload = look_alike(name);
        let report = triage(&upload, Road::Payload, &rules, &budget);
        let number = report.layers.iter().position(|layer| layer.name == wanted).expect("a part");
        let start = usize::try_from(report.place(u32::try_from(number).unwrap()).unwrap()).unwrap();
        upload[start..start + usize::try_from(report.layers[number].stored_size).unwrap()].to_vec()
    };
    let upload = look_alike("wannacry-x86");
    for wanted in ["W/101", "R/1831"] {
        let alone = part("wannacry-x86", wanted);
        for found in [between(&upload, &alone), between(&alone, &upload)] {
            assert!(found.lines.iter().any(|line| line.starts_with("identical: EXE")), "{:#?}", found.lines);
            let differs = found.lines.iter().any(|line| line.contains(" differs in "));
            let only = found.lines.iter().any(|line| line.starts_with("only ") && line.contains("ZIP"));
            assert!(!differs && !only, "{wanted}: {:#?}", found.lines);
        }
    }
    // A worm by itself with one jump patched, against the one in an upload.
    let found = between(&upload, &part("wannacry-x86-check-patched-out", "W/101"));
    tells(&found, 6, &["EXE W/101 differs in 1 range", "1 jump patched: conditional → always taken"]);
}
