use super::meaning::EXECUTABLE;
use super::*;
use crate::facts::{Facts, Indicator, IndicatorKind, PeFacts, ResourceFacts, SectionFacts};
use crate::report::{Depth, FORMAT, FoundBy, Kind, State};

/// A payload of 64 bytes in front, a PE of 400 bytes, padding.
fn sample(change: impl Fn(&mut Vec<u8>)) -> (Vec<u8>, Report) {
    let mut bytes: Vec<u8> = (0..600u32).map(|at| if at < 464 { (at % 251) as u8 + 1 } else { 0 }).collect();
    bytes[64 + 200] = 0x75;
    change(&mut bytes);
    let root = layer(None, Kind::Payload, 0, &bytes);
    let mut pe = layer(Some(0), Kind::Pe, 64, &bytes[64..464]);
    let text = SectionFacts {
        name: ".text".to_owned(),
        offset: 100,
        size: 200,
        flags: EXECUTABLE,
        ..SectionFacts::default()
    };
    pe.facts.pe = Some(PeFacts { sections: vec![text], end: 350, ..PeFacts::default() });
    let value = "kill.example".to_owned();
    pe.facts.indicators =
        vec![Indicator { kind: IndicatorKind::KillSwitch, value, at: 300, note: String::new() }];
    let padding = layer(Some(0), Kind::Padding, 464, &bytes[464..]);
    let layers = vec![root, pe, padding];
    let report = Report {
        format: FORMAT,
        depth: Depth::Full,
        rules: String::new(),
        layers,
        core: Some(1),
        verdict: None,
        remarks: vec![],
        is_bounded: false,
    };
    (bytes, report)
}

pub(super) fn layer(parent: Option<u32>, kind: Kind, offset: u64, bytes: &[u8]) -> Layer {
    Layer {
        parent,
        kind,
        name: String::new(),
        state: State::Intact,
        found_by: FoundBy::LengthField,
        offset,
        stored_size: size(bytes.len()),
        size: size(bytes.len()),
        encoding: String::new(),
        remarks: Vec::new(),
        hashes: crate::facts::hashes(bytes),
        facts: Facts::default(),
        hits: Vec::new(),
    }
}

#[test]
fn ranges_are_mapped_to_what_they_mean_and_told_in_one_layer_only() {
    let (a, ra) = sample(|_| ());
    let (b, rb) = sample(|bytes| {
        bytes[64 + 50] ^= 1;
        bytes[64 + 150] ^= 0xff;
        bytes[64 + 200] = 0xeb;
        bytes[64 + 300..64 + 312].fill(0);
        bytes[64 + 340] ^= 1;
        bytes[64 + 360] ^= 1;
    });
    let found = diff(&a, &ra, &b, &rb);
    let (root, pe, padding) = (&found.layers[0], &found.layers[1], &found.layers[2]);
    assert!(root.ranges.is_empty() && !root.equal && padding.equal);
    let told: Vec<_> = pe.ranges.iter().map(|range| (range.a_at, range.meaning.as_str())).collect();
    let expected = [
        (50, "PE header"),
        (150, "code patched, section .text"),
        (200, "1 jump patched: conditional → always taken, section .text"),
        (300, "kill-switch kill.example zeroed"),
        (340, "between sections"),
        (360, "overlay"),
    ];
    assert_eq!(told, expected);
    assert!(found.lines.iter().any(|line| line == "identical: padding (136 bytes)"), "{:?}", found.lines);
}

#[test]
fn a_text_that_is_gone_is_told_beside_another_change() {
    let (a, ra) = sample(|_| ());
    let (b, rb) = sample(|bytes| {
        bytes[64 + 296] ^= 1;
        bytes[64 + 300..64 + 312].fill(0);
        bytes[64 + 315] ^= 1;
    });
    let found = diff(&a, &ra, &b, &rb);
    let told: Vec<_> =
        found.layers[1].ranges.iter().map(|range| (range.a_at, range.meaning.as_str())).collect();
    let expected = [
        (296, "code patched, section .text"),
        (300, "kill-switch kill.example zeroed"),
        (315, "between sections"),
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_length_that_lies_is_told_with_what_it_makes_of_the_file() {
    let (a, la) = executable(&[(".text", &[1; 200]), (".rsrc", &[2; 100])], None, 0);
    let (mut b, mut lb) = (a.clone(), la.clone());
    // The layer inside begins behind its length, 20 bytes from the section's start.
    b[316] ^= 1;
    lb[0].hashes = crate::facts::hashes(&b);
    lb[1].state = State::Truncated;
    let found = diff(&a, &report(la), &b, &report(lb));
    assert_eq!(ranges(&found.layers[0]), [(316, 1, 316, 1, "the length of what it carries")]);
    let told = "resource W/101 has the same bytes in both; the length in front of it differs: intact in A, truncated in B";
    assert!(found.lines.iter().any(|line| line == told), "{:?}", found.lines);
}

#[test]
fn zeros_and_garbage_behind_an_end_are_compared() {
    let tail = |byte: u8, kind: Kind| {
        let (mut bytes, mut report) = sample(|_| ());
        bytes[500..].fill(byte);
        let mut tail = layer(Some(0), kind, 464, &bytes[464..]);
        tail.found_by = FoundBy::BehindTheEnd;
        report.layers[2] = tail;
        report.layers[0] = layer(None, Kind::Payload, 0, &bytes);
        (bytes, report)
    };
    let ((a, ra), (b, rb)) = (tail(0, Kind::Padding), tail(7, Kind::Overlay));
    let found = diff(&a, &ra, &b, &rb);
    assert!(found.lines.contains(&"padding of A, overlay of B, differs in 1 range:".to_owned()));
    assert_eq!(ranges(&found.layers[2]), [(36, 100, 36, 100, "padding")]);
}

#[test]
fn other_lengths_other_layers_and_many_ranges_are_bounded() {
    let found = differing(b"abcdef", b"abXXXef");
    let range = &found[0];
    assert_eq!((range.a_at, range.a_size, range.b_size), (2, 2, 3));
    let (a, b) = (vec![0u8; 20_000], (0..20_000).map(|at| u8::from(at % 40 == 0)).collect::<Vec<_>>());
    let report =
        |bytes: &[u8]| Report { layers: vec![layer(None, Kind::Data, 0, bytes)], ..sample(|_| ()).1 };
    let found = diff(&a, &report(&a), &b, &report(&b));
    assert_eq!((found.layers[0].ranges.len(), found.more), (RANGES_MAX, 300));
    let (c, rc) = sample(|_| ());
    let found = diff(&a, &report(&a), &c, &rc);
    assert!(found.lines.iter().any(|line| line.starts_with("only B has EXE")), "{:?}", found.lines);
    assert!(diff(&c, &rc, &c, &rc).layers.iter().all(|layer| layer.equal));
}

#[test]
fn reports_that_lie_about_the_bytes_do_no_harm() {
    let (a, ra) = sample(|_| ());
    let mut rb = ra.clone();
    for layer in &mut rb.layers {
        (layer.offset, layer.stored_size) = (u64::MAX, u64::MAX);
        layer.hashes.sha256.clear();
    }
    let found = diff(&a, &ra, &[], &rb);
    assert!(found.layers.iter().all(|layer| layer.ranges.is_empty() && !layer.equal));
}

/// A PE with a header of 100 bytes and these sections; a layer of 50 bytes lies in the second, 20 bytes from its start.
fn executable(sections: &[(&str, &[u8])], parent: Option<u32>, at: u64) -> (Vec<u8>, Vec<Layer>) {
    let mut bytes = vec![7u8; 100];
    let mut facts = PeFacts::default();
    for (name, content) in sections {
        let (offset, size) = (bytes.len() as u32, content.len() as u32);
        facts.sections.push(SectionFacts {
            name: (*name).to_owned(),
            offset,
            size,
            ..SectionFacts::default()
        });
        bytes.extend_from_slice(content);
    }
    facts.end = bytes.len() as u64;
    let inner_at = u64::from(facts.sections[1].offset) + 20;
    let mut file = layer(parent, Kind::Pe, at, &bytes);
    file.facts.pe = Some(facts);
    let number = parent.map_or(0, |parent| parent + 1);
    let place = inner_at as usize;
    let mut inner = layer(Some(number), Kind::Resource, inner_at, &bytes[place..place + 50]);
    inner.name = "W/101".to_owned();
    (bytes, vec![file, inner])
}

fn report(layers: Vec<Layer>) -> Report {
    Report { layers, ..sample(|_| ()).1 }
}

fn ranges(pair: &LayerDiff) -> Vec<(u64, u64, u64, u64, &str)> {
    let told = |range: &'_ RangeDiff| (range.a_at, range.a_size, range.b_at, range.b_size);
    pair.ranges
        .iter()
        .map(|range| (told(range), range.meaning.as_str()))
        .map(|((a, b, c, d), e)| (a, b, c, d, e))
        .collect()
}

#[test]
fn a_range_ends_where_what_it_is_about_ends() {
    let (one, other) = (executable(&[(".text", &[1; 200]), (".rsrc", &[2; 100])], None, 0), |byte| {
        let mut rsrc = [2; 100];
        rsrc[..70].fill(byte);
        executable(&[(".text", &[byte; 200]), (".rsrc", &rsrc)], None, 0)
    });
    let (b, layers) = other(9);
    let found = diff(&one.0, &report(one.1), &b, &report(layers));
    // The layer inside is told for itself.
    assert_eq!(
        ranges(&found.layers[0]),
        [(100, 200, 100, 200, "section .text"), (300, 20, 300, 20, "section .rsrc")]
    );
    assert_eq!((found.layers[1].what.as_str(), found.layers[1].ranges.len()), ("resource W/101", 1));
}

#[test]
fn files_of_other_lengths_are_compared_section_by_section() {
    let mut text = [1u8; 200];
    text[10] = 5;
    let (a, la) = executable(&[(".text", &[1; 200]), (".rsrc", &[2; 100]), (".data", &[3; 40])], None, 0);
    // A longer section of resources behind what lies in it, one section gone, another one new.
    let (b, lb) = executable(&[(".text", &text), (".rsrc", &[2; 130]), (".bss", &[4; 7])], None, 0);
    let found = diff(&a, &report(la.clone()), &b, &report(lb));
    let told = ranges(&found.layers[0]);
    assert!(told.contains(&(110, 1, 110, 1, "section .text")), "{told:?}");
    assert!(told.contains(&(400, 0, 400, 30, "section .rsrc")), "{told:?}");
    assert!(
        told.contains(&(400, 40, 0, 0, "section .data")) && told.contains(&(0, 0, 430, 7, "section .bss"))
    );
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(found.layers[1].equal);
    for line in
        ["  at 0x190, 30 bytes in b alone: section .rsrc", "  at 0x190, 40 bytes in a alone: section .data"]
    {
        assert!(found.lines.iter().any(|told| told == line), "{:?}", found.lines);
    }
}

#[test]
fn a_file_is_compared_with_itself_whatever_is_around_it() {
    let (bare, alone) = executable(&[(".text", &[1; 200]), (".rsrc", &[2; 100])], None, 0);
    let mut upload = vec![0x90; 64];
    let (file, inside) = executable(&[(".text", &[1; 200]), (".rsrc", &[2; 100])], Some(1), 64);
    upload.extend_from_slice(&file);
    let mut layers =
        vec![layer(None, Kind::Payload, 0, &upload), layer(Some(0), Kind::Stub, 0, &upload[..64])];
    layers.extend(inside);
    layers[2].parent = Some(0);
    let found = diff(&bare, &report(alone), &upload, &report(layers));
    let pairs: Vec<_> = found.layers.iter().map(|pair| (pair.a, pair.b, pair.equal)).collect();
    assert_eq!(
        pairs,
        [(Some(0), Some(2), true), (Some(1), Some(3), true), (None, Some(0), false), (None, Some(1), false)]
    );
    assert!(
        found.lines.contains(&"only B has upload, 464 bytes, and 1 part in it".to_owned()),
        "{:?}",
        found.lines
    );
}

#[test]
fn members_are_told_up_to_a_few() {
    let archive = |members: u32| {
        let mut zip = layer(None, Kind::Zip, 0, &members.to_le_bytes());
        let member = |number: u32| crate::facts::Member {
            name: number.to_string(),
            state: "intact".to_owned(),
            ..Default::default()
        };
        let facts =
            crate::facts::ZipFacts { members: (0..members).map(member).collect(), ..Default::default() };
        zip.facts.zip = Some(facts);
        (members.to_le_bytes(), report(vec![zip]))
    };
    let ((a, ra), (b, rb)) = (archive(100), archive(0));
    let found = diff(&a, &ra, &b, &rb);
    let told = found.lines.iter().filter(|line| line.starts_with("  ZIP member `")).count();
    assert_eq!(
        (told, found.lines.contains(&"  and 94 more members of the ZIP differ".to_owned())),
        (6, true)
    );
}

#[test]
fn a_text_of_the_data_is_told_with_what_it_became() {
    let mut data = [0u8; 200];
    data[40..60].copy_from_slice(b"Old display name, 1\0");
    data[100..110].copy_from_slice(b"WNcry@2ol7");
    data[140..160].fill(0xee);
    let (a, la) = executable(&[(".data", &data), (".rsrc", &[2; 100])], None, 0);
    data[40..60].copy_from_slice(b"Printer Helper\0\0\0\0\0\0");
    data[105..110].copy_from_slice(b"other");
    data[150] = b'x';
    let (b, lb) = executable(&[(".data", &data), (".rsrc", &[2; 100])], None, 0);
    let found = diff(&a, &report(la), &b, &report(lb));
    let told: Vec<_> = ranges(&found.layers[0]).into_iter().map(|(at, .., what)| (at, what)).collect();
    let wanted = [
        (140, "text `Old display name, 1` changed to `Printer Helper`, section .data"),
        (205, "text `WNcry@2ol7` changed to `WNcryother`, section .data"),
        (250, "section .data"),
    ];
    assert_eq!(told, wanted);
}

#[test]
fn a_member_that_damage_makes_data_of_is_one_member() {
    let archive = |member: Layer| report(vec![layer(None, Kind::Zip, 0, &[1; 300]), member]);
    let member = |kind, bytes: &[u8]| Layer {
        name: "t.wnry".to_owned(),
        found_by: FoundBy::Directory,
        encoding: "deflate".to_owned(),
        ..layer(Some(0), kind, 30, bytes)
    };
    let (a, b) = (archive(member(Kind::Text, b"text")), archive(member(Kind::Data, b"\x01\x02")));
    let found = diff(&[1; 300], &a, &[1; 300], &b);
    assert!(!found.lines.iter().any(|line| line.starts_with("only ")), "{:?}", found.lines);
    assert_eq!(found.layers.len(), 2);
}

#[test]
fn a_part_that_lost_its_mark_is_compared_and_what_stands_in_it_is_found_again() {
    let inner: Vec<u8> = (0..100u8).collect();
    let of = |kind, found_by, name: &str| {
        let mut bytes = vec![7u8; 300];
        bytes[150..250].copy_from_slice(&inner);
        if kind != Kind::Pe {
            bytes[..2].fill(0);
        }
        let mut file = layer(None, Kind::Pe, 0, &bytes);
        file.found_by = FoundBy::WholeSample;
        let mut part = layer(Some(0), kind, 0, &bytes);
        (part.found_by, part.name) = (FoundBy::Resource, "R/1831".to_owned());
        let mut deep = layer(Some(1), Kind::Zip, 150, &inner);
        (deep.found_by, deep.name) = (found_by, name.to_owned());
        let (_, report) = sample(|_| ());
        (bytes, Report { layers: vec![file, part, deep], ..report })
    };
    let (a, ra) = of(Kind::Pe, FoundBy::Resource, "XIA/2058");
    let (b, rb) = of(Kind::Resource, FoundBy::ValidatedSearch, "");
    let found = diff(&a, &ra, &b, &rb);
    let pairs: Vec<_> = found.layers.iter().map(|pair| (pair.a, pair.b, pair.equal)).collect();
    assert_eq!(pairs, [(Some(0), Some(0), false), (Some(1), Some(1), false), (Some(2), Some(2), true)]);
    assert_eq!(found.layers[1].ranges.iter().map(|range| range.a_size).sum::<u64>(), 2);
    let told = found.lines.join("\n");
    assert!(told.contains("pe R/1831 of A, resource R/1831 of B, differs in 1 range"), "{told}");
    assert!(!told.contains("only"), "{told}");
}

#[test]
fn what_is_hidden_in_one_alone_is_said() {
    let (a, ra) = sample(|_| ());
    let (b, mut rb) = sample(|_| ());
    rb.layers[1].encoding = "xor 55".to_owned();
    let told = diff(&a, &ra, &b, &rb).lines.join("\n");
    assert!(told.contains("EXE stands openly in A, is hidden by xor 55 in B"), "{told}");
}

/// What is told of the one range that differs where a kill switch's domain stands, 300 bytes into the file: A has these
/// bytes there, B those, and `there` is what B's report has as the kill switch.
fn domain(here: &[u8], there: &[u8], found: &[(&str, u64)]) -> String {
    let with = |text: &[u8]| {
        sample(|bytes| {
            bytes[64 + 300..64 + 314].fill(0);
            bytes[64 + 300..64 + 300 + text.len()].copy_from_slice(text);
        })
    };
    let ((a, mut ra), (b, mut rb)) = (with(here), with(there));
    let indicator = |value: &str, at: u64| Indicator {
        kind: IndicatorKind::KillSwitch,
        value: value.to_owned(),
        at,
        note: String::new(),
    };
    let value = String::from_utf8_lossy(here).replace('\0', "").to_lowercase();
    ra.layers[1].facts.indicators = vec![indicator(&value, 300)];
    rb.layers[1].facts.indicators = found.iter().map(|(value, at)| indicator(value, *at)).collect();
    let found = diff(&a, &ra, &b, &rb);
    let told: Vec<_> = found.layers[1].ranges.iter().map(|range| range.meaning.clone()).collect();
    told.join("; ")
}

#[test]
fn what_became_of_a_kill_switch_is_what_stands_there() {
    let name = b"kill.example";
    type Case = (&'static [u8], &'static [(&'static str, u64)], &'static str);
    let cases: [Case; 9] = [
        (b"k\0ll.example", &[("k", 300)], "cut short to k"),
        (b"k\0ll.example", &[], "cut short to k"),
        (b"kill.e", &[], "cut short to kill.e"),
        (b"\0ill.example", &[], "begins with a zero in B"),
        (b"", &[], "zeroed"),
        (b"            ", &[], "overwritten with blanks"),
        (b"KILL.EXAMPLE", &[("kill.example", 300)], "written KILL.EXAMPLE in B, which is the same name"),
        (b"kill.exampls", &[], "changed to kill.exampls"),
        (b"\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c", &[], "overwritten"),
    ];
    for (there, found, expected) in cases {
        assert_eq!(domain(name, there, found), format!("kill-switch kill.example {expected}"));
    }
    // In UTF-16.
    assert_eq!(domain(b"a\0.\0b\0c\0", b"a\0.\0b\0d\0", &[]), "kill-switch a.bc changed to a.bd");
}

#[test]
fn a_text_that_only_moved_has_not_changed() {
    let told = domain(b"kill.example", b"\x01\x02kill.example", &[("kill.example", 302)]);
    assert_eq!(told, "kill-switch kill.example stands 2 bytes further on in B");
}

#[test]
fn what_one_side_has_alone_has_not_changed() {
    let with = |text: &str| {
        let mut data = [0xeeu8; 60];
        data[10..10 + text.len()].copy_from_slice(text.as_bytes());
        let (bytes, mut layers) =
            executable(&[(".text", &[1; 200]), (".rsrc", &[2; 100]), (".data", &data)], None, 0);
        let kind = IndicatorKind::File;
        let at = 410;
        layers[0].facts.indicators =
            vec![Indicator { kind, value: "worm.exe".to_owned(), at, note: String::new() }];
        (bytes, layers)
    };
    let (whole, layers) = with("worm.exe");
    let (short, without) = executable(&[(".text", &[1; 200]), (".rsrc", &[2; 100])], None, 0);
    let (a, b) = (report(layers.clone()), report(without));
    let expected = "section .data, with file worm.exe";
    assert_eq!(ranges(&diff(&whole, &a, &short, &b).layers[0]), [(400, 60, 400, 0, expected)]);
    assert_eq!(ranges(&diff(&short, &b, &whole, &a).layers[0]), [(400, 0, 400, 60, expected)]);
    // The other file has other data there, of another size.
    let (other, mut of_other) =
        executable(&[(".text", &[1; 200]), (".rsrc", &[2; 100]), (".data", &[0x99; 70])], None, 0);
    let found = diff(&whole, &a, &other, &report(of_other.clone()));
    assert_eq!(ranges(&found.layers[0]), [(400, 60, 400, 70, "section .data, with file worm.exe in A")]);
    of_other[0].facts.indicators = vec![Indicator {
        kind: IndicatorKind::File,
        value: "else.exe".to_owned(),
        at: 430,
        note: String::new(),
    }];
    let found = diff(&whole, &a, &other, &report(of_other.clone()));
    assert_eq!(ranges(&found.layers[0]), [(400, 60, 400, 70, "file worm.exe in A, else.exe in B")]);
    // What it has elsewhere is not gone.
    of_other[0].facts.indicators = layers[0].facts.indicators.clone();
    of_other[0].facts.indicators[0].at = 10;
    let found = diff(&whole, &a, &other, &report(of_other));
    assert_eq!(ranges(&found.layers[0]), [(400, 60, 400, 70, "section .data")]);
}

#[test]
fn a_domain_that_nothing_asks_for_is_no_kill_switch() {
    let tail = |kind: Kind, text: &[u8]| {
        let mut bytes = vec![7u8; 100];
        bytes.extend_from_slice(text);
        let mut tail = layer(Some(0), kind, 100, text);
        tail.found_by = FoundBy::BehindTheEnd;
        (bytes.clone(), report(vec![layer(None, Kind::Payload, 0, &bytes), tail]))
    };
    let ((a, ra), (b, mut rb)) = (tail(Kind::Padding, &[0; 3]), tail(Kind::Overlay, b"\0\0\0 kill.example"));
    let (kind, value) = (IndicatorKind::KillSwitch, "kill.example".to_owned());
    rb.layers[1].facts.indicators = vec![Indicator { kind, value, at: 4, note: String::new() }];
    let found = diff(&a, &ra, &b, &rb);
    let told = found.lines.join("\n");
    assert!(
        told.contains("13 bytes in b alone: overlay, with the name of a kill switch, kill.example"),
        "{told}"
    );
    assert!(!told.contains("kill switch: "), "{told}");
}

#[test]
fn the_beginning_of_a_sample_has_nothing_alone() {
    let (whole, layers) = executable(&[(".text", &[1; 200]), (".rsrc", &[2; 100])], None, 0);
    // Cut within the layer that lies 320 bytes into it, so that B has no such layer.
    let short = whole[..322].to_vec();
    let mut cut = layers[0].clone();
    (cut.size, cut.stored_size, cut.hashes) = (322, 322, crate::facts::hashes(&short));
    let (a, b) = (report(layers.clone()), report(vec![cut.clone()]));
    let found = diff(&whole, &a, &short, &b);
    assert!(found.layers[0].beginning);
    assert_eq!(ranges(&found.layers[0]), [(370, 30, 322, 0, "section .rsrc")]);
    assert_eq!(found.lines[0], "EXE: B is the first 322 of its 400 bytes:");
    let found = diff(&short, &b, &whole, &a);
    assert_eq!(ranges(&found.layers[0]), [(322, 0, 370, 30, "section .rsrc")]);
    assert_eq!(found.lines[0], "EXE: A is the first 322 of its 400 bytes:");
    // With something else changed in front.
    let mut other = short.clone();
    other[150] ^= 1;
    cut.hashes = crate::facts::hashes(&other);
    let found = diff(&whole, &a, &other, &report(vec![cut]));
    assert!(!found.layers[0].beginning);
    let told = ranges(&found.layers[0]);
    assert_eq!(told, [(150, 1, 150, 1, "section .text"), (370, 30, 0, 0, "section .rsrc")]);
}

#[test]
fn the_beginning_of_an_upload_is_told_as_that() {
    let (a, ra) = sample(|_| ());
    let b = a[..40].to_vec();
    let found = diff(&a, &ra, &b, &report(vec![layer(None, Kind::Text, 0, &b)]));
    assert_eq!(found.lines[0], "upload of A, text of B: B is the first 40 of its 600 bytes:");
    assert!(!found.lines.iter().any(|line| line.contains("in b alone")), "{:?}", found.lines);
}

/// An upload of 64 bytes, an archive of 100 that lies in a resource of 200, and what is behind; and the archive alone.
fn archive_in_an_upload() -> ((Vec<u8>, Report), (Vec<u8>, Report)) {
    let bytes: Vec<u8> = (0..300).map(|at| (at % 249) as u8).collect();
    let archive = bytes[100..200].to_vec();
    let mut zip = layer(Some(1), Kind::Zip, 36, &archive);
    (zip.found_by, zip.name) = (FoundBy::Resource, "XIA/2058".to_owned());
    let member = |parent| {
        let mut member = layer(Some(parent), Kind::Text, 30, &archive[30..60]);
        (member.found_by, member.name) = (FoundBy::Directory, "b.wnry".to_owned());
        member
    };
    let root = layer(None, Kind::Payload, 0, &bytes);
    let upload = report(vec![root, layer(Some(0), Kind::Pe, 64, &bytes[64..264]), zip, member(2)]);
    let alone = report(vec![layer(None, Kind::Zip, 0, &archive), member(0)]);
    ((bytes, upload), (archive, alone))
}

#[test]
fn a_part_of_a_sample_is_compared_with_itself() {
    let ((a, ra), (b, rb)) = archive_in_an_upload();
    let found = diff(&a, &ra, &b, &rb);
    let same = "identical: ZIP XIA/2058 (100 bytes), 1 member of archives";
    assert_eq!(found.lines, ["only A has upload, 300 bytes, and 1 part in it", same]);
    let found = diff(&b, &rb, &a, &ra);
    let same = "identical: ZIP (100 bytes), 1 member of archives";
    assert_eq!(found.lines, ["only B has upload, 300 bytes, and 1 part in it", same]);
    // One that was changed is compared with the archive, not with the upload.
    let (mut c, mut rc) = (b.clone(), rb.clone());
    c[5] ^= 1;
    rc.layers[0].hashes = crate::facts::hashes(&c);
    let found = diff(&a, &ra, &c, &rc);
    assert_eq!(ranges(&found.layers[2]), [(5, 1, 5, 1, "zip")]);
}

#[test]
fn archives_of_other_kinds_are_not_compared_but_what_is_in_them_is() {
    let (dll, _) = executable(&[(".text", &[1; 200]), (".rsrc", &[2; 100])], None, 0);
    let packed = |kind: Kind, found_by: FoundBy, name: &str, bytes: &[u8]| {
        let mut file = layer(Some(0), Kind::Pe, 10, &dll);
        (file.found_by, file.encoding) = (found_by, "deflate".to_owned());
        (file.stored_size, file.name) = (20, name.to_owned());
        report(vec![layer(None, kind, 0, bytes), file])
    };
    let (a, b) = ([1; 40], [2; 50]);
    let ra = packed(Kind::Zip, FoundBy::Directory, "a.dll", &a);
    let rb = packed(Kind::Gzip, FoundBy::Directory, "", &b);
    let found = diff(&a, &ra, &b, &rb);
    let expected = ["only A has ZIP, 40 bytes", "only B has gzip, 50 bytes"];
    assert_eq!(found.lines[..2], expected);
    assert_eq!(found.lines[2..], ["identical: pe a.dll (400 bytes)"]);
}

#[test]
fn a_loader_is_the_same_part_whatever_it_is_called() {
    let upload = |name: &str, front: &[u8]| {
        let bytes = [front, &[7; 50]].concat();
        let mut stub = layer(Some(0), Kind::Stub, 0, front);
        stub.name = name.to_owned();
        (bytes.clone(), report(vec![layer(None, Kind::Payload, 0, &bytes), stub]))
    };
    let size_at = crate::peel::stub::X86.size_at;
    let front: Vec<u8> = (0..crate::peel::stub::X86.file_at).map(|at| (at % 251) as u8).collect();
    let mut lying = front.clone();
    lying[size_at..][..4].copy_from_slice(&5120u32.to_le_bytes());
    let ((a, ra), (b, rb)) = (upload("doublepulsar-x86", &front), upload("unknown", &lying));
    let told = diff(&a, &ra, &b, &rb).lines.join("\n");
    assert!(told.contains("stub doublepulsar-x86 of A, stub unknown of B, differs in 1 range:"), "{told}");
    assert!(told.contains("payload size field ") && told.contains(" → 5,120"), "{told}");
    // Those for two machines are two.
    let (b, rb) = upload("doublepulsar-x64", &lying[..300]);
    let told = diff(&a, &ra, &b, &rb).lines.join("\n");
    assert!(told.contains("only A has stub doublepulsar-x86") && told.contains("only B has stub"), "{told}");
}

/// What `differ` finds in a sample whose file is hidden by XOR in B, and changed at these places.
fn hidden(patched: &[usize], decodes: bool) -> Diff {
    let (a, ra) = sample(|_| ());
    let (open, mut rb) = sample(|bytes| patched.iter().for_each(|&at| bytes[64 + at] ^= 0xff));
    let mut b = open.clone();
    b[64..464].iter_mut().for_each(|byte| *byte ^= 0x55);
    rb.layers[0].hashes = crate::facts::hashes(&b);
    rb.layers[1].encoding = "xor 55".to_owned();
    // A part of the hidden file, which stands in what comes out.
    let part = |bytes: &[u8]| Layer { kind: Kind::Data, ..layer(Some(1), Kind::Data, 370, &bytes[434..454]) };
    let (mut ra, sha256) = (ra, rb.layers[1].hashes.sha256.clone());
    ra.layers.insert(2, part(&a));
    rb.layers.insert(2, part(&open));
    let (mut no, mut yes) =
        (|_: &str| None, |wanted: &str| (decodes && wanted == sha256).then(|| open[64..464].to_vec()));
    diff_decoded(
        Compared { bytes: &a, report: &ra, decode: &mut no },
        Compared { bytes: &b, report: &rb, decode: &mut yes },
    )
}

#[test]
fn what_was_decoded_is_compared_byte_by_byte() {
    let found = hidden(&[150, 380], true);
    assert_eq!(ranges(&found.layers[1]), [(150, 1, 150, 1, "code patched, section .text")]);
    assert!(found.layers[1].compared);
    assert_eq!(ranges(&found.layers[2]), [(10, 1, 10, 1, "data")]);
    assert!(
        found.lines.contains(&"EXE differs in 1 range of the decoded bytes:".to_owned()),
        "{:?}",
        found.lines
    );
}

#[test]
fn what_nobody_decodes_is_said_to_be_not_compared() {
    let found = hidden(&[150], false);
    assert!(!found.layers[1].compared && found.layers[1].ranges.is_empty());
    let told = "EXE differs: it was decoded, and not compared byte by byte".to_owned();
    assert!(found.lines.contains(&told), "{:?}", found.lines);
}

#[test]
fn decoding_for_a_comparison_is_bounded() {
    let bytes = [5u8; 100];
    let members = |of: &str| {
        let member = |number: u64| {
            let mut member = layer(Some(0), Kind::Data, number, of.repeat(10).as_bytes());
            (member.found_by, member.name) = (FoundBy::Directory, number.to_string());
            member.encoding = "deflate".to_owned();
            member
        };
        let mut layers = vec![layer(None, Kind::Zip, 0, &bytes)];
        layers.extend((0..40).map(member));
        report(layers)
    };
    let (ra, rb) = (members("a"), members("b"));
    let (mut asked, mut lied) = (0, 0);
    let mut of_a = |_: &str| {
        asked += 1;
        Some(vec![b'a'; 10])
    };
    // Of another size than it is said to have.
    let mut of_b = |_: &str| {
        lied += 1;
        Some(vec![b'b'; 11])
    };
    let a = Compared { bytes: &bytes, report: &ra, decode: &mut of_a };
    let found = diff_decoded(a, Compared { bytes: &bytes, report: &rb, decode: &mut of_b });
    assert!(found.layers.iter().all(|pair| !pair.compared || pair.equal || pair.a == Some(0)));
    assert_eq!((asked, lied), (16, 16));
}

#[test]
fn a_resource_with_another_id_is_named() {
    let file = |ids: [u32; 2], path: &str| {
        let mut rsrc = [9u8; 100];
        rsrc[0..4].copy_from_slice(&ids[0].to_le_bytes());
        rsrc[72..76].copy_from_slice(&ids[1].to_le_bytes());
        let (bytes, mut layers) = executable(&[(".text", &[1; 200]), (".rsrc", &rsrc)], None, 0);
        let leaf = |path: &str, offset| ResourceFacts { path: path.to_owned(), offset, size: 5 };
        layers[0].facts.pe.as_mut().unwrap().resources = vec![leaf(path, 380), leaf("R/7/1033", 390)];
        (bytes, report(layers))
    };
    let (a, ra) = file([1831, 1], "R/1831/1033");
    let (b, rb) = file([1832, 2], "R/1832/1033");
    let found = diff(&a, &ra, &b, &rb);
    let told: Vec<_> = ranges(&found.layers[0]).into_iter().map(|(at, .., what)| (at, what)).collect();
    assert_eq!(told, [(300, "resource R/1831 is R/1832 in B"), (372, "section .rsrc")]);
    // By a name, which stands elsewhere.
    let (c, rc) = file([1831, 2], "W/1831/1033");
    let found = diff(&a, &ra, &c, &rc);
    let told = "  resource R/1831 is W/1831 in B".to_owned();
    assert!(found.lines.contains(&told), "{:?}", found.lines);
    // What is cut off has no other name.
    let (d, rd) = file([1831, 1], "R/7/1034");
    assert!(!diff(&d, &rd, &a, &ra).lines.iter().any(|line| line.contains("R/7 is")));
}

#[test]
fn a_part_that_only_moved_is_not_what_one_has_alone() {
    let file = |front: usize| {
        let inner: Vec<u8> = (0..50).map(|at| at + 100).collect();
        let rsrc = [vec![2; front], inner.clone(), vec![2; 50 - front]].concat();
        let (bytes, mut layers) = executable(&[(".text", &[1; 200]), (".rsrc", &rsrc)], None, 0);
        let at = 300 + front as u64;
        layers[1] = Layer { name: "W/101".to_owned(), ..layer(Some(0), Kind::Resource, at, &inner) };
        (bytes, report(layers))
    };
    let ((a, ra), (b, rb)) = (file(20), file(22));
    let found = diff(&a, &ra, &b, &rb);
    let told: Vec<_> = ranges(&found.layers[0]).into_iter().map(|(.., what)| what).collect();
    assert!(told.contains(&"resource W/101, which stands 2 bytes further on in B"), "{told:?}");
    assert!(!told.iter().any(|what| what.contains("only")), "{told:?}");
}

#[test]
fn what_the_fuzzer_checks_holds_for_files() {
    let file = crate::pe::tests::look_alike(crate::pe::Machine::X86, 0x1000, 1);
    let hidden: Vec<u8> = file.iter().map(|byte| byte ^ 0x5a).collect();
    let cut = [&file[..file.len() - 300], &[0; 300]].concat();
    for other in [&hidden, &cut, &file] {
        crate::fuzzing::diff(&[&file[..], other].concat());
        crate::fuzzing::diff(&[other, &file[..]].concat());
    }
}
