//! Differences between look-alikes of the lab's world, in words: what was changed is what is told.

use roridula_lab::samples::world;
use roridula_triage::rules::Rules;
use roridula_triage::{Budget, Compared, Diff, Road, diff_decoded, layer_bytes, triage};

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
    let (ra, rb) = (report(a), report(b));
    let mut of_a = |layer: &str| layer_bytes(a, Road::Payload, &budget, layer);
    let mut of_b = |layer: &str| layer_bytes(b, Road::Payload, &budget, layer);
    let a = Compared { bytes: a, report: &ra, decode: &mut of_a };
    diff_decoded(a, Compared { bytes: b, report: &rb, decode: &mut of_b })
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
        &[
            patched,
            "ZIP member t.wnry from its stored byte 20,000",
            "ZIP member `t.wnry`: intact against damaged",
        ],
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

/// Where these bytes stand.
fn find(bytes: &[u8], wanted: &[u8]) -> usize {
    bytes.windows(wanted.len()).position(|window| window == wanted).expect("what is looked for")
}

#[test]
fn what_became_of_a_domain_is_what_stands_there() {
    let worm = look_alike("wannacry-x86");
    let domain = b"http://www.iuqerfsodp9ifjaposdfjhgosurijfaewrwergwea.com";
    let at = find(&worm, domain);
    let with = |place: usize, text: &[u8]| {
        let mut other = worm.clone();
        other[at + place..at + place + text.len()].copy_from_slice(text);
        between(&worm, &other)
    };
    tells(
        &with(8, &[0]),
        6,
        &["1 byte: kill-switch www.iuqerfsodp9ifjaposdfjhgosurijfaewrwergwea.com cut short to w"],
    );
    tells(&with(20, &[0; 36]), 6, &["36 bytes: kill-switch", "cut short to www.iuqerfsod"]);
    tells(&with(0, &[b' '; 56]), 6, &["overwritten with blanks"]);
    let found = with(0, &domain.to_ascii_uppercase());
    tells(
        &found,
        6,
        &["written WWW.IUQERFSODP9IFJAPOSDFJHGOSURIJFAEWRWERGWEA.COM in B, which is the same name"],
    );
    // In the garbage behind the file, nothing asks for one.
    let tail = [&worm[..], &[0; 64], b"http://www.ifferfsodp9ifjaposdfjhgosurijfaewrwergwea.com\0", &[0; 64]]
        .concat();
    let found = between(&worm, &tail);
    tells(&found, 4, &["overlay, with the name of a kill switch, www.ifferf"]);
    assert!(!found.lines.iter().any(|line| line.contains("kill switch: ")), "{:#?}", found.lines);
    // What the beginning lacks has not changed.
    let found = between(&worm, &worm[..4869 + 1024]);
    tells(
        &found,
        12,
        &[
            "512 bytes in a alone: section .data, with file mssecsvc.exe",
            "upload: B is the first 5,893 of its",
        ],
    );
}

#[test]
fn the_beginning_of_a_sample_has_nothing_alone() {
    let worm = look_alike("wannacry-x86");
    for len in [1, 100, 4868, 4869 + 16_484 + 2, 4869 + 16_484 + 204_928 + 10] {
        let found = between(&worm, &worm[..len]);
        tells(&found, 9, &[": B is the first "]);
        assert!(!found.lines.iter().any(|line| line.contains("in b alone")), "{len}: {:#?}", found.lines);
    }
}

#[test]
fn an_archive_is_compared_with_itself_wherever_it_lies() {
    let worm = look_alike("wannacry-x86");
    let (rules, budget) = (Rules::compile(&[]).0, Budget::default());
    let report = triage(&worm, Road::Payload, &rules, &budget);
    let number = report.layers.iter().position(|layer| layer.name == "XIA/2058").expect("the archive");
    let start = usize::try_from(report.place(u32::try_from(number).unwrap()).unwrap()).unwrap();
    let archive = &worm[start..start + usize::try_from(report.layers[number].size).unwrap()];
    let identical = "XIA/2058 (3,446,325 bytes), 12 members of archives";
    tells(&between(&worm, archive), 2, &["only A has upload, 5,272,328 bytes", identical]);
    tells(
        &between(archive, &worm),
        2,
        &["only B has upload, 5,272,328 bytes", "identical: ZIP (3,446,325 bytes)"],
    );
}

#[test]
fn what_is_hidden_or_packed_is_compared_decoded() {
    let library = look_alike("conficker-x86");
    let mut patched = library.clone();
    patched[5000] ^= 0xff;
    let hidden: Vec<u8> =
        patched.iter().zip([0x9c, 0x21, 0x4f, 0x80].iter().cycle()).map(|(a, b)| a ^ b).collect();
    let found = between(&library, &hidden);
    let differs = "DLL inert-c.dll differs in 1 range of the decoded bytes:";
    tells(&found, 4, &["is hidden by xor 9c 21 4f 80 in B", differs, "at 0x1388, 1 byte: code patched"]);
    // A member of an archive that is found in an upload.
    let worm = look_alike("wannacry-x86");
    let mut damaged = worm.clone();
    damaged[find(&worm, b"PK\x03\x04") + 100_000] ^= 1;
    let found = between(&worm, &damaged);
    tells(&found, 12, &["of the decoded bytes"]);
}

#[test]
fn a_changed_id_and_a_lying_length_are_named() {
    let worm = look_alike("wannacry-x86");
    let mut other = worm.clone();
    let exe = 4869 + 16_484;
    let at = exe + find(&worm[exe..], &1831u32.to_le_bytes());
    other[at..at + 4].copy_from_slice(&1832u32.to_le_bytes());
    tells(&between(&worm, &other), 6, &["1 byte: resource R/1831 is R/1832 in B"]);
    let mut other = worm.clone();
    other[exe - 4..exe].copy_from_slice(&(3_723_264u32 / 2).to_le_bytes());
    let told =
        "EXE W/101 has the same bytes in both; the length in front of it differs: intact in A, damaged in B";
    tells(&between(&worm, &other), 6, &[told, "the length of what it carries"]);
    tells(
        &differ("stub-lying-size", "stub-cut-upload"),
        4,
        &["payload size field 4,294,967,295 → 5,267,456"],
    );
}
