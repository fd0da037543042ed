//! Archives: whole, damaged, without an end, too large.

use super::build::{self, How, behind_length, noise};
use super::chain::named;
use super::{Rules, look};
use crate::pe::Machine;
use crate::pe::tests::look_alike;
use crate::report::{Budget, FoundBy, Kind, State};
use std::io::Write;

pub(crate) fn cabinet() -> Vec<u8> {
    let mut builder = cab::CabinetBuilder::new();
    let folder = builder.add_folder(cab::CompressionType::MsZip);
    folder.add_file("one.exe");
    folder.add_file("two.txt");
    let mut writer = builder.build(std::io::Cursor::new(Vec::new())).unwrap();
    let contents = [build::pe(&[]), b"some text in a cabinet".to_vec()];
    let mut contents = contents.iter();
    while let Some(mut file) = writer.next_file().unwrap() {
        file.write_all(contents.next().unwrap()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn members_are_layers_of_what_they_are() {
    let exe = build::pe(&[]);
    let zip = build::zip(&[
        ("a.exe", &exe, How::Deflated),
        ("b.txt", b"plain text", How::Stored),
        ("c", &noise(500, 1), How::Locked("another")),
    ]);
    let report = look(&zip, &Budget::default());
    assert_eq!((report.layers[0].kind, report.layers[0].state), (Kind::Zip, State::Intact));
    let layer = named(&report, "a.exe").1;
    assert_eq!((layer.kind, layer.encoding.as_str(), layer.size), (Kind::Pe, "deflate", exe.len() as u64));
    assert!(layer.stored_size < layer.size);
    assert_eq!(
        (named(&report, "b.txt").1.kind, named(&report, "b.txt").1.encoding.as_str()),
        (Kind::Text, "")
    );
    let facts = report.layers[0].facts.zip.as_ref().unwrap();
    let states: Vec<_> =
        facts.members.iter().map(|member| (member.encrypted, member.state.as_str())).collect();
    assert_eq!(states, [(false, "intact"), (false, "intact"), (true, "unknown")]);
    assert_eq!((facts.password.as_str(), report.layers.len(), report.core), ("", 3, Some(1)));
    assert_eq!(crate::facts::zip(&zip, 10).as_ref(), Some(facts));
}

#[test]
fn what_stands_behind_a_file_in_an_archive_makes_no_other_core() {
    let file = look_alike(Machine::X86, 0x3000, 5);
    for tail in [vec![0; 5000], noise(100, 3)] {
        let tailed = [&file[..], &tail].concat();
        let deflated = build::zip(&[("a.dll", &tailed, How::Deflated), ("b.txt", b"text", How::Stored)]);
        for sample in [build::gzip(&tailed), deflated] {
            let report = look(&sample, &Budget::default());
            assert_eq!(report.core_layer().unwrap().hashes, crate::facts::hashes(&file));
            assert_eq!(report.layers.iter().filter(|layer| layer.size == tail.len() as u64).count(), 1);
        }
        // Which of two matters, nothing tells, whatever stands behind them.
        let two = build::zip(&[("a.dll", &tailed, How::Stored), ("b.dll", &tailed, How::Stored)]);
        assert_eq!(look(&two, &Budget::default()).core, Some(0));
    }
}

#[test]
fn an_upload_in_an_archive_is_one_even_with_a_stub_that_reads_as_text() {
    let file = look_alike(Machine::X86, 0x3000, 5);
    let mut upload = super::blob(crate::stub::X86, &file, file.len(), 0);
    for byte in upload[..0x1000].iter_mut().filter(|byte| **byte == 0x90) {
        *byte = b'a';
    }
    for how in [How::Stored, How::Deflated] {
        let report = look(&build::zip(&[("upload.bin", &upload, how)]), &Budget::default());
        let core = report.core_layer().unwrap();
        assert_eq!((core.found_by, core.size), (FoundBy::StubSizeField, file.len() as u64), "{how:?}");
        assert_eq!(report.layers[2].kind, Kind::Stub);
    }
}

#[test]
fn the_file_in_an_archive_is_the_core_however_it_is_packed_and_in_a_first_report_too() {
    let (exe, rules, budget) = (build::pe(&[]), Rules::default(), Budget::default());
    let stored = build::zip(&[("a.exe", &exe, How::Stored)]);
    let deflated = build::zip(&[("readme.txt", b"plain text", How::Stored), ("a.exe", &exe, How::Deflated)]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&deflated).unwrap();
    for sample in [stored, deflated, gzip.finish().unwrap(), cabinet()] {
        let mut look = crate::Look::new(&sample, crate::Road::Payload, &rules, &budget);
        for report in [look.first(), look.full(&mut crate::Memory::new(0))] {
            assert_eq!(report.core_layer().unwrap().hashes.sha256, crate::facts::hashes(&exe).sha256);
        }
    }
}

#[test]
fn of_several_files_in_an_archive_none_is_the_core() {
    let dropper = build::pe(&[("R", 1, build::pe(&[]))]);
    let zip = build::zip(&[("a.exe", &dropper, How::Stored), ("b.exe", &build::pe(&[]), How::Deflated)]);
    assert_eq!(look(&zip, &Budget::default()).core, Some(0));
}

#[test]
fn worthless_members_hide_no_file() {
    let exe = build::pe(&[]);
    let inner = build::zip(&[("a.exe", &exe, How::Deflated)]);
    let names: Vec<String> = (0..200).map(|number| format!("{number}.txt")).collect();
    let mut members: Vec<(&str, &[u8], How)> =
        names.iter().map(|name| (name.as_str(), &b"plain text"[..], How::Stored)).collect();
    members.push(("z.zip", &inner, How::Stored));
    let report = look(&build::zip(&members), &Budget::default());
    assert_eq!(named(&report, "a.exe").1.hashes, crate::facts::hashes(&exe));
    assert_eq!(report.remarks, ["only the first 64 layers were looked into"]);
}

#[test]
fn small_members_leave_room_for_an_upload_and_what_is_in_it() {
    let worm = build::pe(&[("R", 1831, build::pe(&[]))]);
    let dll = build::pe(&[("W", 101, behind_length(&worm, worm.len(), 100))]);
    let upload = super::blob(crate::stub::X86, &dll, dll.len(), 3);
    for count in [50, 61, 62, 63, 70, 300] {
        let names: Vec<String> = (0..count).map(|number| format!("{number}.txt")).collect();
        let mut members: Vec<(&str, &[u8], How)> =
            names.iter().map(|name| (name.as_str(), &b"plain text"[..], How::Stored)).collect();
        for (file, core) in [(&upload, &worm), (&dll, &worm)] {
            members.push(("z.bin", file, How::Deflated));
            let report = look(&build::zip(&members), &Budget::default());
            assert_eq!(report.core_layer().unwrap().hashes, crate::facts::hashes(core), "{count}");
            members.pop();
        }
    }
}

#[test]
fn an_archive_without_its_end_is_read_by_its_members() {
    let (one, two) = (noise(900, 1), noise(900, 2));
    let zip = build::zip(&[("one", &one, How::Deflated), ("two", &two, How::Stored)]);
    let second = zip.windows(4).rposition(|four| four == b"PK\x03\x04").unwrap();
    let report = look(&zip[..second + 30 + 3 + 400], &Budget::default());
    let facts = report.layers[0].facts.zip.as_ref().unwrap();
    assert!(facts.without_directory);
    assert_eq!(report.layers[0].state, State::Truncated);
    assert_eq!(named(&report, "one").1.hashes, crate::facts::hashes(&one));
    let cut = named(&report, "two").1;
    assert_eq!((cut.state, cut.size), (State::Truncated, 400));
    assert_eq!(cut.remarks, ["its end is not there: 500 bytes are missing as stored"]);
}

#[test]
fn a_name_of_any_length_hides_no_archive() {
    let text = noise(900, 1);
    for length in [0, 1, 512, 513, 1000, 60_000, 65_535] {
        let name = "n".repeat(length);
        let zip = build::zip(&[(&name, &text, How::Deflated), ("two", &text, How::Stored)]);
        let report = look(&zip, &Budget::default());
        let facts = report.layers[0].facts.zip.as_ref().unwrap_or_else(|| panic!("{length}: no archive"));
        let told: Vec<_> =
            facts.members.iter().map(|member| (member.name.len(), member.state.as_str())).collect();
        assert_eq!(told, [(length.min(512), "intact"), (3, "intact")]);
        assert_eq!((report.layers[0].kind, report.layers.len()), (Kind::Zip, 3));
    }
    // Where no directory leads to it such a header is none.
    let zip = build::zip(&[(&"n".repeat(513), &text, How::Stored)]);
    assert_ne!(look(&zip[..zip.len() - 30], &Budget::default()).layers[0].kind, Kind::Zip);
}

#[test]
fn an_archive_of_many_members_says_how_many() {
    let names: Vec<String> = (0..1500).map(|number| number.to_string()).collect();
    let members: Vec<_> = names.iter().map(|name| (name.as_str(), &b"x"[..], How::Stored)).collect();
    let report = look(&build::zip(&members), &Budget::default());
    let facts = report.layers[0].facts.zip.as_ref().unwrap();
    assert_eq!((facts.members.len(), facts.count), (1024, 1500));
    let told = "only the first 1,024 of 1,500 members of an archive were read";
    assert!(report.remarks.iter().any(|remark| remark == told), "{:?}", report.remarks);
}

#[test]
fn a_member_that_lies_about_its_size_has_not_the_others_in_it() {
    let (one, two) = (noise(900, 1), noise(300, 2));
    let mut zip = build::zip(&[("one", &one, How::Stored), ("two", &two, How::Stored)]);
    // Both of its headers claim more than all that there is.
    let central = zip.windows(4).position(|four| four == b"PK\x01\x02").unwrap();
    for at in [18, central + 20] {
        zip[at..at + 4].copy_from_slice(&0x7fff_ffffu32.to_le_bytes());
    }
    let report = look(&zip, &Budget::default());
    let (lies, two) = (named(&report, "one").1, named(&report, "two").1);
    assert_eq!((lies.stored_size, lies.state, two.state), (900, State::Truncated, State::Intact));
    assert_eq!(lies.remarks, ["its end is not there: 2,147,482,747 bytes are missing as stored"]);
    assert_eq!(report.layers.iter().filter(|layer| layer.kind == Kind::Zip).count(), 1);
}

#[test]
fn a_wrong_checksum_is_damage_of_that_member_alone() {
    let text = noise(2000, 1);
    let mut zip = build::zip(&[("one", &text, How::Stored), ("two", &text, How::Deflated)]);
    zip[30 + 3 + 700] ^= 1;
    let report = look(&zip, &Budget::default());
    assert_eq!(
        (named(&report, "one").1.state, named(&report, "two").1.state),
        (State::Damaged, State::Intact)
    );
    assert!(report.layers[0].remarks[0].starts_with("member `one`: its CRC-32 is "), "{report:?}");
}

#[test]
fn archives_stand_behind_programs_and_in_data() {
    let (zip, exe) = (build::zip(&[("inner.txt", b"inner text", How::Stored)]), build::pe(&[]));
    let report = look(&[exe.clone(), zip.clone()].concat(), &Budget::default());
    let sfx = report.children(0).next().unwrap().1;
    assert_eq!((sfx.kind, sfx.found_by, sfx.offset), (Kind::Zip, FoundBy::BehindTheEnd, exe.len() as u64));
    named(&report, "inner.txt");
    let data = [noise(777, 5), zip.clone(), noise(50, 6), cabinet(), noise(50, 7)].concat();
    let report = look(&data, &Budget::default());
    let found: Vec<_> =
        report.children(0).map(|(_, layer)| (layer.kind, layer.found_by, layer.offset)).collect();
    let cab_at = (777 + zip.len() + 50) as u64;
    assert_eq!(found[0], (Kind::Zip, FoundBy::ValidatedSearch, 777));
    assert_eq!(found[1], (Kind::Cab, FoundBy::ValidatedSearch, cab_at));
    assert_eq!(named(&report, "one.exe").1.kind, Kind::Pe);
    assert_eq!(named(&report, "two.txt").1.size, 22);
}

#[test]
fn a_gzip_stream_is_checked() {
    let inner = build::pe(&[]);
    let gzip = build::gzip(&inner);
    let report = look(&gzip, &Budget::default());
    let layer = named(&report, "inner.bin").1;
    assert_eq!((report.layers[0].kind, layer.kind, layer.state), (Kind::Gzip, Kind::Pe, State::Intact));
    let cut = look(&gzip[..gzip.len() - 20], &Budget::default());
    assert_eq!((cut.layers[0].state, cut.layers[1].state), (State::Truncated, State::Truncated));
    let mut wrong = gzip.clone();
    let at = wrong.len() - 6;
    wrong[at] ^= 1;
    assert_eq!(look(&wrong, &Budget::default()).layers[0].state, State::Damaged);
}

#[test]
fn gzip_members_that_follow_each_other_are_one_file() {
    let inner = build::pe(&[]);
    let (front, back) = inner.split_at(inner.len() / 3);
    let joined = [build::gzip(front), build::gzip(back)].concat();
    let report = look(&joined, &Budget::default());
    assert_eq!((report.layers.len(), report.layers[0].state), (2, State::Intact));
    assert_eq!(report.layers[1].hashes, crate::facts::hashes(&inner));
    assert_eq!(report.layers[1].remarks, ["joined from 2 gzip members"]);
    // What stands behind and is no member is no part of the file.
    let tail = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xff, 0xff, 0xff, 0xff];
    let report = look(&[&joined[..], &tail].concat(), &Budget::default());
    assert_eq!((report.layers.len(), report.layers[0].state), (3, State::Intact));
    assert_eq!((report.layers[1].size, report.layers[2].size), (inner.len() as u64, tail.len() as u64));
}

#[test]
fn a_gzip_stream_behind_other_bytes_is_found_where_its_checksum_fits() {
    let inner = build::pe(&[]);
    let (front, behind) = (noise(3000, 7), noise(900, 8));
    let bytes = [&front[..], &build::gzip(&inner), &behind].concat();
    let report = look(&bytes, &Budget::default());
    let found = report.layers.iter().find(|layer| layer.kind == Kind::Gzip).unwrap();
    assert_eq!((found.offset, found.found_by), (front.len() as u64, FoundBy::ValidatedSearch));
    assert_eq!(report.core_layer().unwrap().hashes, crate::facts::hashes(&inner));
    let mut wrong = bytes.clone();
    wrong[bytes.len() - behind.len() - 6] ^= 1;
    assert!(look(&wrong, &Budget::default()).layers.iter().all(|layer| layer.kind != Kind::Gzip));
    // A header is no stream, however often it stands there.
    let headers = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3].repeat(20_000);
    assert!(look(&headers, &Budget::default()).layers.iter().all(|layer| layer.kind != Kind::Gzip));
}

#[test]
fn bombs_cost_no_more_than_the_budget() {
    let zeros = vec![0; 3_000_000];
    let budget = Budget { ratio_max: 100, ..Budget::default() };
    for bomb in [build::zip(&[("bomb", &zeros, How::Deflated)]), build::gzip(&zeros)] {
        let report = look(&bomb, &budget);
        assert_eq!((report.layers.len(), report.remarks.len()), (1, 1), "{:?}", report.remarks);
        if let Some(zip) = &report.layers[0].facts.zip {
            assert_eq!((zip.count, report.layers[0].state), (1, State::Intact));
            assert_eq!(report.layers[0].remarks, ["1 member not unpacked: it grows beyond the bounds"]);
        }
    }
    let members: Vec<_> = (0..20).map(|n| noise(1000, n)).collect();
    let members: Vec<_> = members.iter().map(|bytes| ("m", bytes.as_slice(), How::Deflated)).collect();
    let few = Budget { decoded_bytes_max: 5500, ..Budget::default() };
    assert_eq!(look(&build::zip(&members), &few).layers.len(), 6);
    // Forty archives in each other: the depth ends it.
    let mut nested = b"the innermost text".to_vec();
    for _ in 0..40 {
        nested = build::zip(&[("in", &nested, How::Stored)]);
    }
    assert_eq!(look(&nested, &Budget::default()).layers.len(), 13);
    let in_resource = build::pe(&[("B", 1, behind_length(&build::gzip(&zeros), 5000, 0))]);
    assert_eq!(look(&in_resource, &budget).remarks.len(), 1);
}

#[test]
fn members_and_files_that_share_their_bytes_are_not_read_again_and_again() {
    // A thousand entries for one member, as the densest bombs have them.
    let text = noise(20_000, 1);
    let zip = build::zip(&[("m", &text, How::Stored)]);
    let (member, rest) = zip.split_at(30 + 1 + text.len());
    let (entry, end) = rest.split_at(46 + 1);
    let mut end = end.to_vec();
    end[8..12].copy_from_slice(&[0xe8, 3, 0xe8, 3]);
    end[12..16].copy_from_slice(&(47_000u32).to_le_bytes());
    let bomb = [member, &entry.repeat(1000), &end].concat();
    let report = look(&bomb, &Budget::default());
    let facts = report.layers[0].facts.zip.as_ref().unwrap();
    let read = facts.members.iter().filter(|member| member.state == "intact").count();
    assert_eq!((facts.members.len(), read, report.layers.len()), (1000, 3, 2));
    // One folder, every file all of it.
    let mut cab = cabinet();
    let files_at = u32::from_le_bytes(cab[16..20].try_into().unwrap()) as usize;
    let second = files_at + 16 + 8;
    cab[second + 4..second + 8].fill(0);
    let budget = Budget { decoded_bytes_max: 2100, ..Budget::default() };
    assert_eq!(look(&cab, &budget).layers.len(), 3);
    assert_eq!(look(&cab, &Budget { decoded_bytes_max: 2000, ..budget }).layers.len(), 2);
}

#[test]
fn the_published_password_opens_aes_too() {
    let options = ::zip::write::SimpleFileOptions::default();
    let mut writer = ::zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, password) in [("one", "WNcry@2ol7"), ("two", "another")] {
        let options = options.with_aes_encryption(::zip::AesMode::Aes256, password);
        writer.start_file(name, options).unwrap();
        writer.write_all(&noise(700, 3)).unwrap();
    }
    let mut zip = writer.finish().unwrap().into_inner();
    let report = look(&zip, &Budget::default());
    let layer = named(&report, "one").1;
    assert_eq!((layer.encoding.as_str(), &layer.hashes), ("aes", &crate::facts::hashes(&noise(700, 3))));
    assert_eq!(report.layers.len(), 2);
    let facts = report.layers[0].facts.zip.as_ref().unwrap();
    let states: Vec<_> = facts.members.iter().map(|member| member.state.as_str()).collect();
    assert_eq!((states, facts.password.as_str()), (vec!["intact", "unknown"], "WNcry@2ol7"));
    let at = facts.members[0].offset as usize + 300;
    zip[at] ^= 1;
    assert_eq!(look(&zip, &Budget::default()).layers[0].state, State::Damaged);
}

#[test]
fn members_keep_their_names_where_the_first_one_has_lost_its_header() {
    let files = [build::pe(&[]), build::pe(&[("9", 9, noise(500, 1))])];
    let mut zip = build::zip(&[("a.exe", &files[0], How::Deflated), ("b.exe", &files[1], How::Deflated)]);
    zip[..4].fill(0);
    let report = look(&zip, &Budget::default());
    let (number, second) = named(&report, "b.exe");
    assert_eq!((&second.hashes, report.core), (&crate::facts::hashes(&files[1]), Some(number)));
    let archive = report.layer(second.parent.unwrap()).unwrap();
    let states = archive.facts.zip.iter().flat_map(|zip| &zip.members);
    let states: Vec<_> = states.map(|member| (member.name.as_str(), member.state.as_str())).collect();
    assert_eq!(states, [("a.exe", "damaged"), ("b.exe", "intact")]);
}

#[test]
fn members_that_have_moved_are_whole() {
    let files: Vec<_> = (0..4).map(|seed| noise(3000, seed)).collect();
    let names = ["a", "b", "c", "d"];
    let members: Vec<_> =
        names.iter().zip(&files).map(|(name, file)| (*name, file.as_slice(), How::Stored)).collect();
    let zip = build::zip(&members);
    let at = |zip: &[u8], number: usize| {
        let report = look(zip, &Budget::default());
        report.layers[0].facts.zip.as_ref().unwrap().members[number].offset as usize
    };
    let second = at(&zip, 1);
    let states = |zip: &[u8]| {
        let report = look(zip, &Budget::default());
        let facts = report.layers[0].facts.zip.clone().unwrap();
        let states: Vec<_> = facts.members.into_iter().map(|member| member.state).collect();
        (states, report.layers[0].state, report.layers[0].remarks.clone())
    };
    // A piece of the second member is gone, or something came in between.
    let gone = [&zip[..second + 100], &zip[second + 612..]].concat();
    let more = [&zip[..second + 100], &noise(512, 9), &zip[second + 100..]].concat();
    for (damaged, second) in [(gone, "truncated"), (more, "damaged")] {
        let (states, state, remarks) = states(&damaged);
        assert_eq!(states, ["intact", second, "intact", "intact"]);
        assert_eq!(state, State::Damaged);
        assert!(
            remarks.iter().any(|remark| remark.contains("elsewhere than its directory says")),
            "{remarks:?}"
        );
    }
}
