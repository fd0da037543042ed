//! What is said of look-alikes: each sentence answers why the file's hash differs, from the layers alone.

use roridula_desk::sample::Outline;
use roridula_lab::samples::chain::{Chain, Cut, Dirt, KillSwitch};
use roridula_lab::samples::encoded::Encoding;
use roridula_lab::samples::pe::{Image, Resource, ResourceName};
use roridula_lab::samples::zip::{self, Member};
use roridula_lab::samples::{self, X64, X86, hostile, kin};
use roridula_triage::rules::{RuleFile, Rules};
use roridula_triage::text::counted;
use roridula_triage::{Budget, Road, triage};

/// The outline of these bytes, by our own rules or by none.
fn outline(bytes: &[u8], with_rules: bool) -> Outline {
    let rules = if with_rules { Rules::compile(&[]).0 } else { Rules::default() };
    Outline::of(&triage(bytes, Road::Payload, &rules, &Budget::default()))
}

#[track_caller]
fn says(bytes: &[u8], wanted: &[&str], unwanted: &[&str]) {
    let sentence = outline(bytes, true).sentence();
    wanted.iter().for_each(|words| assert!(sentence.contains(words), "no {words:?} in {sentence:?}"));
    unwanted.iter().for_each(|words| assert!(!sentence.contains(words), "{words:?} in {sentence:?}"));
}

#[test]
fn what_surrounds_the_worm_is_said() {
    let chain = Chain::new(X86, 1);
    let parts = "differs from the 2017 original in the bytes of its ";
    says(
        &chain.payload(),
        &["with 3 bytes of upload padding; carries worm EXE sha256", parts],
        &["filling", "nothing"],
    );
    let tail = Chain { tail: 4096, ..chain.clone() };
    says(&tail.payload(), &["with 4,099 bytes of unknown data behind its end; carries", parts], &["filling"]);
    let dirt = Dirt { at: 0, len: 20_000, seed: 3 };
    let dirty = Chain { dirt: Some(dirt), ..chain.clone() };
    says(&dirty.payload(), &[parts, "and its filling (1,527,708 bytes, which are not all zero)"], &[]);
    let dirty = Chain { dirt: Some(Dirt { at: 70_000, len: 500, ..dirt }), ..Chain::new(X64, 1) };
    says(&dirty.payload(), &["its filling (1,523,544 bytes, which are not all zero)"], &[]);
    let zeroed = Chain { kill_switch: KillSwitch::Zeroed, ..chain };
    says(
        &zeroed.payload(),
        &["differs from the 2017 original in its kill switch (zeroed", ") and the bytes of 8 of its parts"],
        &["worm EXE and"],
    );
}

#[test]
fn another_service_or_mutex_is_said() {
    let chain = Chain::new(X86, 1);
    let mut payload = chain.payload();
    let count = put_for(&mut payload, b"mssecsvc2.0", b"netsvcupd.0");
    assert!(count > 0);
    says(&payload, &["differs from the 2017 original in the name of its service"], &["mutex"]);
    let mut payload = chain.payload();
    assert!(put_for(&mut payload, b"MsWinZonesCacheCounterMutexA", b"SomethingElseAltogetherMutex") > 0);
    says(&payload, &["the name of its mutex (Global", "SomethingElseAltogetherMutex"], &["service"]);
    says(&chain.payload(), &[], &["mutex", "service"]);
    // Its service is not what a worm is known by: another one hides no other kill switch.
    let kill_switch = KillSwitch::Url("http://www.a-domain-that-nobody-has-ever-published.example");
    let mut payload = Chain { kill_switch, ..chain }.payload();
    assert!(put_for(&mut payload, b"mssecsvc2.0", b"netsvcupd.0") > 0);
    says(&payload, &["its kill switch (www.a-domain-that-nobody-has", "the name of its service"], &[]);
}

#[test]
fn what_was_done_to_a_part_is_said_in_words() {
    let payload = Chain::new(X86, 1).payload();
    let with = |old: &[u8], new: &[u8], wanted: &str| {
        let mut other = payload.clone();
        assert!(put_for(&mut other, old, new) > 0, "{wanted}");
        says(&other, &[&format!("differs from the 2017 original in {wanted}")], &[]);
    };
    with(b"http://www.iuqer", b"\0ttp://www.iuqer", "its kill switch (what is asked for is no URL any more)");
    with(
        b"InternetOpenUrlA\0",
        b"InternetOpenUrlX\0",
        "its kill switch (its check was patched out: Internet",
    );
    with(b"PlayGame", b"StayGame", "the name of its export (StayGame)");
    let wallet = b"13AM4VW2dhxYgXeQepoHkHSQuy6NgaEb94";
    with(wallet, &[0; 34], "its wallets (1 of the 3 published ones not there)");
    // Where the parts begin in the payload: the archive has a mark of its own.
    let archive = payload.windows(4).position(|bytes| bytes == b"PK\x03\x04").unwrap();
    let (ransomware, worm) = (archive - 65_776, archive - 65_776 - 204_928);
    let changed = |at: usize, bytes: &[u8]| {
        let mut other = payload.clone();
        other[at..at + bytes.len()].copy_from_slice(bytes);
        other
    };
    // Where more stands there than the facts tell of, what they lack may be among it.
    let names: String = (0..100).map(|number| format!("http://w{number:02}.example.net/\0")).collect();
    let code = ransomware + 0x1000;
    says(&changed(code, names.as_bytes()), &["carries worm EXE"], &["wallets", "mutex", "service"]);
    says(&changed(ransomware, &[0; 64]), &["in its ransomware EXE (destroyed)"], &[]);
    says(
        &changed(archive, &vec![0; 3_446_325]),
        &["differs from the 2017 original in its ZIP archive of tools (destroyed)"],
        &["bytes of its"],
    );
    let end = archive + payload[archive..].windows(4).rposition(|bytes| bytes == b"PK\x05\x06").unwrap();
    says(&changed(end, &[0; 4]), &["in its ZIP archive of tools (damaged)"], &[]);
    says(&changed(worm - 4, &[0; 4]), &["in the length in front of its worm EXE"], &["damaged"]);
    let hidden: Vec<u8> = payload[worm..worm + 3_723_264].iter().map(|byte| byte ^ 0x55).collect();
    says(&changed(worm, &hidden), &["carries worm EXE sha256", "…, hidden by xor 55"], &[]);
    let hidden = outline(&changed(worm, &hidden), true);
    assert_eq!(hidden.core, outline(&payload, true).core);
}

#[test]
fn what_stands_in_front_of_a_file_is_said() {
    let file = kin::plain_dll(0x3000, 7);
    let noise: Vec<u8> = (0..900u32).map(|at| (at.wrapping_mul(0x9e37_79b1) >> 13) as u8).collect();
    let front = |bytes: &[u8]| [bytes, &file].concat();
    says(&front(&b"some text in front\n".repeat(60)), &["behind 1,140 bytes of text"], &["stub"]);
    let picture = [&b"\xff\xd8\xff\xe0"[..], &noise].concat();
    says(&front(&picture), &["behind 904 bytes of JPEG image"], &["stub"]);
    says(&front(&noise), &["behind an unknown stub"], &[]);
    let payload = Chain::new(X86, 1).payload();
    let launcher = &payload[X86.stub_len..payload.len() - 3];
    says(
        &[&file[..], launcher].concat(),
        &["(x86, 5,267,456 bytes)", ", behind the end of a DLL of 12,288 bytes", "differs from the 2017"],
        &["with a DLL"],
    );
}

#[test]
fn what_only_has_the_words_of_a_family_is_possible() {
    let words =
        b"www.getmyip.org www.whatsmyipaddress.com checkip.dyndns.org trafficconverter.biz loadadv.exe\0";
    let noise = samples::raw(500, 4);
    says(&[b"GIF89a\0\x01", &words[..], &noise].concat(), &["Possible Conficker GIF image"], &[]);
    says(&[&b"\x7fELF\x02\x01\x01\0"[..], words, &noise].concat(), &["Possible Conficker ELF program"], &[]);
}

#[test]
fn a_file_that_is_not_looked_into_is_called_what_it_is() {
    let filled = |start: &[u8]| [start, &[0x80, 3, 0x91, 0xfe].repeat(100)].concat();
    says(&filled(b"\x7fELF\x01\x01\x01\0"), &["Unknown ELF program (408 bytes"], &["data"]);
    says(&filled(b"%PDF-1.7\n"), &["Unknown PDF document ("], &["data"]);
    says(b"#!/bin/sh\necho hello\n", &["Unknown script (21 bytes)"], &["text"]);
    let payload = Chain::new(X86, 1).payload();
    let dll = &payload[X86.stub_len..payload.len() - 3];
    let behind = [dll, &filled(b"7z\xbc\xaf\x27\x1c")].concat();
    says(&behind, &["bytes of 7z archive behind its end"], &[]);
}

#[test]
fn a_worm_or_ransomware_by_itself_is_called_that_and_compared() {
    let kill_switch = KillSwitch::Zeroed;
    let worm = Chain { kill_switch, ..Chain::new(X86, 1) }.exe();
    let told = [
        "WannaCry worm EXE (x86, 3,723,264 bytes); carries ransomware EXE (x86, 3,514,368 bytes); differs",
        "in its kill switch (zeroed",
    ];
    says(&worm, &told, &["upload"]);
    let at = worm[1..].windows(64).position(|part| part == &worm[..64]).unwrap() + 1;
    let ransomware = &worm[at..][..3_514_368];
    let told = "WannaCry ransomware EXE (x86, 3,514,368 bytes); carries ZIP archive of tools (";
    says(
        ransomware,
        &[told, "differs from the 2017 original in the bytes of its wallpaper"],
        &["kill switch"],
    );
    // A library by itself has no upload around it.
    let payload = Chain::new(X86, 1).payload();
    says(&payload[X86.stub_len..payload.len() - 3], &["bytes); carries worm EXE"], &["padding"]);
}

#[test]
fn damage_at_the_head_of_a_part_is_told_of_that_part() {
    let chain = Chain::new(X86, 1);
    let mut payload = chain.payload();
    let exe = chain.exe();
    let at = payload.windows(512).position(|part| part == &exe[..512]).unwrap();
    payload[at..at + 2].fill(0);
    says(&payload, &["WannaCry launcher DLL", "carries worm EXE sha256", "in its worm EXE (damaged)"], &[]);
    let mut payload = chain.payload();
    payload[X86.stub_len..X86.stub_len + 2].fill(0);
    says(
        &payload,
        &[
            "WannaCry worm EXE",
            "in what the stub doublepulsar-x86 carries (5,267,456 bytes, no file) with 3 bytes of",
        ],
        &["unknown"],
    );
}

#[test]
fn a_family_is_of_the_file_beside_another_one_and_a_tail_of_its_archive() {
    let plain = kin::plain_dll(0x3000, 7);
    let miner = kin::specimens(1).into_iter().find(|one| one.entry.file.contains("miner")).unwrap().bytes;
    let miner = &miner[X64.stub_len..];
    let two = [Encoding::Xor(0x5a).encode(&plain), Encoding::Xor(0x77).encode(miner)].concat();
    says(&two, &["Unknown DLL (x86, 12,288 bytes), hidden by xor 5a", "; beside it a Miner DLL of "], &[]);
    let (archive, _) = zip::archive(&[Member::new("a.dll", &plain, true)], None);
    let tailed = [&archive[..], &[0x91, 7, 0x80].repeat(200)].concat();
    says(
        &tailed,
        &["in a ZIP archive of 1 member with 600 bytes of unknown data behind its end"],
        &["), with"],
    );
}

#[test]
fn what_is_not_the_worms_is_not_called_that() {
    // Somebody else's file in the launcher.
    let chain = Chain::new(X86, 1);
    let other = chain.around(&kin::plain_dll(0x3000, 7));
    says(
        &other,
        &["WannaCry launcher DLL", "carries DLL sha256", "in the file that it carries"],
        &["worm EXE"],
    );
    // A name that stands elsewhere has not changed.
    let mut moved = chain.payload();
    assert!(put_for(&mut moved, b"mssecsvc2.0", b"netsvcupd.0") > 0);
    // In what fills the launcher up.
    let place = moved.len() - 5000;
    moved[place..place + 11].copy_from_slice(b"mssecsvc2.0");
    says(&moved, &["WannaCry launcher DLL"], &["name of its service"]);
}

#[test]
fn archives_behind_a_stub_are_told_from_the_inside_out() {
    let plain = kin::plain_dll(0x3000, 7);
    let (archive, _) = zip::archive(&[Member::new("a.dll", &plain, true)], None);
    let behind = samples::behind_stub(&X86, &archive);
    says(
        &behind,
        &["DLL (x86, 12,288 bytes) in a ZIP archive of 1 member behind the stub doublepulsar-x86"],
        &[],
    );
    let (archive, _) = zip::archive(&[Member::new("a.txt", b"some text", false)], None);
    let behind = samples::behind_stub(&X86, &archive);
    says(&behind, &["The stub doublepulsar-x86 and the ZIP archive of ", " that it carries"], &["no file"]);
    let beside = [&plain[..], b"#!/somewhere/else\n", &archive].concat();
    says(&beside, &["DLL (x86, 12,288 bytes)", "; beside it a ZIP archive of "], &[]);
    // A launcher in an archive, too.
    let payload = Chain::new(X86, 1).payload();
    let (archive, _) = zip::archive(&[Member::new("upload", &payload, true)], None);
    says(&archive, &["WannaCry launcher DLL", "in a ZIP archive of 1 member; carries worm EXE"], &[]);
}

/// Puts `new` wherever `old` stands; how often that was.
fn put_for(bytes: &mut [u8], old: &[u8], new: &[u8]) -> usize {
    assert_eq!(old.len(), new.len());
    let places: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(old)).collect();
    places.iter().for_each(|&at| bytes[at..at + new.len()].copy_from_slice(new));
    places.len()
}

#[test]
fn what_nobody_has_published_is_said() {
    let url = "http://www.a-domain-that-nobody-has-ever-published.example";
    let kill_switch = KillSwitch::Url(url);
    let chain = Chain { kill_switch, ..Chain::new(X86, 1) };
    let told =
        "its kill switch (www.a-domain-that-nobody-has-ever-published.example: none that was published)";
    says(&chain.payload(), &[told, " and the bytes of 8 of its parts"], &["wallets", "password"]);
    // Another wallet of the same length: its checksum has to be right to be one.
    let mut payload = Chain::new(X86, 1).payload();
    let (known, other) = (b"12t9YDPgwueZ9NyMgw519p7AA8isjr6SMw", b"1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa");
    assert!(put_for(&mut payload, known, other) > 0);
    says(&payload, &["its wallets (1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa)"], &["password"]);
}

#[test]
fn what_is_cut_off_is_named() {
    let chain = Chain::new(X86, 1);
    let ransomware = Chain { cut: Cut::Ransomware(50_000), ..chain.clone() }.payload();
    says(
        &ransomware,
        &["; its ransomware EXE is cut off: 50,000 bytes are missing"],
        &["worm EXE is", "50000"],
    );
    let exe = Chain { cut: Cut::Exe(100_000), ..chain.clone() }.payload();
    says(&exe, &["; its worm EXE is cut off: 100,000 bytes are missing"], &["ransomware", "the size of"]);
    let upload = &chain.payload()[..60_000];
    says(upload, &["the DLL is cut off: 5,212,325 bytes are missing"], &["truncated"]);
}

#[test]
fn what_hides_it_is_said_of_a_launcher_too() {
    let chain = Chain::new(X86, 1).payload();
    let (stub, file) = chain.split_at(X86.stub_len);
    let hidden = [stub, &Encoding::Xor(0x77).encode(&file[..200_000])].concat();
    says(&hidden, &["WannaCry launcher DLL (x86, 200,000 bytes), hidden by xor 77"], &[]);
}

#[test]
fn only_a_known_family_is_called_a_worm() {
    let piece = &Chain::new(X86, 1).payload()[..60_000];
    let sentence = outline(piece, false).sentence();
    assert!(sentence.starts_with("Unknown DLL (x86, 55,131 bytes) behind the stub"), "{sentence}");
    assert!(sentence.contains("; carries EXE sha256 ") && !sentence.contains("worm"), "{sentence}");
}

#[test]
fn kin_are_told_as_what_they_are_and_a_road_is_no_family() {
    for specimen in kin::specimens(1) {
        let outline = outline(&specimen.bytes, true);
        let road = ["DoublePulsar", "EternalBlue"].contains(&outline.family.as_str());
        assert!(!road, "{}: {}", specimen.entry.file, outline.family);
        assert_eq!(outline.family.is_empty(), outline.confidence.is_empty(), "{}", specimen.entry.file);
        let sentence = outline.sentence();
        assert!(!sentence.contains(" 1 members") && !sentence.contains(" 0 "), "{sentence}");
        let missing: Vec<_> = specimen.entry.words.iter().filter(|word| !sentence.contains(*word)).collect();
        assert!(missing.is_empty(), "{missing:?} in {sentence}");
    }
}

#[test]
fn a_file_in_an_archive_is_told_with_its_archive() {
    let dll = kin::plain_dll(0x3000, 7);
    let members =
        |deflate| [Member::new("readme.txt", b"read me", false), Member::new("a.dll", &dll, deflate)];
    let archives = [false, true].map(|deflate| zip::archive(&members(deflate), None).0);
    for archive in &archives {
        says(
            archive,
            &["Unknown DLL (x86, 12,288 bytes) in a ZIP archive of 2 members"],
            &["hidden", "carries"],
        );
    }
    let cores = archives.map(|archive| outline(&archive, true).core.sha256);
    assert_eq!(cores[0], cores[1]);
    says(&kin::gzip(&dll), &["Unknown DLL (x86, 12,288 bytes) in a gzip stream"], &["hidden", "member"]);
    let many: Vec<String> = (0..1101).map(|number| format!("{number}.txt")).collect();
    let many: Vec<_> = many.iter().map(|name| Member::new(name, b"read me", false)).collect();
    says(&zip::archive(&many, None).0, &["with at least 1,024 members"], &["1,101"]);
}

#[test]
fn no_archive_is_said_to_have_no_members() {
    let bomb = hostile::specimens().into_iter().find(|specimen| specimen.entry.file == "gzip-bomb").unwrap();
    says(&bomb.bytes, &["GZIP archive (", ") with members that were not unpacked"], &["0 members"]);
}

#[test]
fn what_a_file_carries_is_said() {
    let dll = kin::plain_dll(0x3000, 7);
    let resources = vec![Resource::new(ResourceName::Id(10), 7, &dll).at(0x1000)];
    let image = Image { resources, ..Image::default() };
    says(&image.build(0x8000), &["; carries DLL 10/7 (x86, 12,288 bytes)"], &["behind its end"]);
}

#[test]
fn a_second_family_in_a_file_is_told() {
    let (conficker, notpetya) = (kin::conficker(1).bytes, kin::notpetya(1).bytes);
    let files = [(10, &conficker[..]), (11, &notpetya[X86.stub_len..])];
    let mut at = 0x1000;
    let resources = files.map(|(id, file)| {
        let resource = Resource::new(ResourceName::Id(id), 7, file).at(at);
        at += file.len().next_multiple_of(0x1000);
        resource
    });
    let image = Image { resources: resources.to_vec(), ..Image::default() };
    let sentence = outline(&image.build(at + 0x8000), true).sentence();
    let (first, second) = sentence.split_once("; there is ").unwrap_or((&sentence, ""));
    let told = [first, second]
        .map(|part| ["Conficker", "NotPetya"].iter().filter(|name| part.contains(*name)).count());
    assert_eq!(told, [1, 1], "{sentence}");
    assert!(second.ends_with("in it too"), "{sentence}");
}

#[test]
fn an_archive_that_is_not_whole_or_not_unpacked_says_so() {
    let gzip = kin::gzip(&b"some text, and nothing else. ".repeat(400));
    says(&gzip[..gzip.len() - 20], &["GZIP archive (", " bytes, cut off) with 1 member"], &[]);
}

/// The bytes with each place of `from` made `to`, which is as long.
fn replaced(mut bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let starts = bytes.windows(from.len()).enumerate();
    let places: Vec<usize> = starts.filter(|(_, part)| *part == from).map(|(at, _)| at).collect();
    assert!(!places.is_empty(), "{from:?} is not there");
    places.into_iter().for_each(|at| bytes[at..at + to.len()].copy_from_slice(to));
    bytes
}

#[test]
fn a_size_that_lies_in_the_stub_cuts_nothing_off() {
    for layout in [X86, X64] {
        let mut payload = Chain::new(layout, 1).payload();
        let at = layout.stub_len - 8;
        payload[at..at + 4].copy_from_slice(&5120u32.to_le_bytes());
        says(
            &payload,
            &["WannaCry launcher DLL", "carries worm EXE", "its stub doublepulsar"],
            &["cut off", "missing"],
        );
    }
}

#[test]
fn a_worm_that_ends_early_where_something_follows_is_cut_off_by_its_length() {
    let dirt = Some(Dirt { at: 0, len: 20_000, seed: 3 });
    let cut = Chain { cut: Cut::Exe(100_000), dirt, ..Chain::new(X86, 1) };
    says(
        &cut.payload(),
        &["cut off 100,000 bytes before its end, by the length in front of it"],
        &["missing"],
    );
    let cut = Chain { dirt: None, ..cut };
    says(&cut.payload(), &["cut off: 100,000 bytes are missing"], &["by the length"]);
}

#[test]
fn what_is_gone_from_an_archive_or_lies_elsewhere_is_told() {
    let payload = || Chain::new(X86, 1).payload();
    says(&replaced(payload(), b"t.wnry", b"q.wnry"), &["its archive (without t.wnry)"], &[]);
    says(&payload(), &[], &["its archive", "resource of"]);
    let moved = replaced(payload(), &1831u32.to_le_bytes(), &1832u32.to_le_bytes());
    says(&moved, &["the resource of its ransomware EXE (R/1832 instead of R/1831)"], &[]);
}

#[test]
fn what_no_function_opens_is_no_url_and_what_nothing_asks_for_no_kill_switch() {
    let payload = || Chain::new(X86, 1).payload();
    says(
        &replaced(payload(), b"http://www.iuqer", b"xxxx://www.iuqer"),
        &["its kill switch (what is asked for is no URL"],
        &[],
    );
    let mut both = payload();
    let at = both.windows(16).position(|part| part == b"http://www.iuqer").unwrap() + 64;
    let other = b"http://www.ifferfsodp9ifjaposdfjhgosurijfaewrwergwea.com";
    both[at..at + other.len()].copy_from_slice(other);
    says(&both, &["WannaCry launcher DLL"], &["kill switch"]);
}

#[test]
fn what_stands_around_a_file_is_none_of_its_size_and_told_at_its_place() {
    let dll = kin::plain_dll(0x3000, 7);
    let size = counted(dll.len() as u64, "byte");
    let overlay: Vec<u8> = (0..4097u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let behind = [&dll[..], &overlay].concat();
    says(&behind, &[&format!("DLL (x86, {size}), with 4,097 bytes of")], &[]);
    says(&[&[b'A'; 3333][..], &dll].concat(), &["behind 3,333 bytes of filling"], &["upload padding"]);
    let noise: Vec<u8> = overlay.iter().map(|byte| byte ^ 0x5a).collect();
    says(
        &[noise, Chain::new(X86, 1).payload()].concat(),
        &["bytes) behind an unknown stub with 3 bytes of"],
        &[],
    );
}

#[test]
fn what_a_bound_left_out_is_told() {
    let bomb = kin::gzip(&vec![0; 8 << 20]);
    let told = "a bound was met before all of it was looked into";
    says(&bomb, &[told], &[]);
    says(&kin::gzip(&b"some text, and nothing else. ".repeat(400)), &[], &[told]);
}

#[test]
fn a_file_behind_another_ones_end_gives_it_no_family_and_a_member_fills_nothing() {
    let conficker = kin::conficker(1).bytes;
    let both = [kin::plain_dll(0x3000, 7), conficker].concat();
    says(&both, &["Unknown DLL (x86, ", ", with a Conficker DLL of "], &["Conficker DLL (x86"]);
    let dll = kin::plain_dll(0x3000, 7);
    let members = [Member::new("a.dll", &dll, false), Member::new("zeros", &[0; 100], false)];
    says(&zip::archive(&members, None).0, &["in a ZIP archive of 2 members"], &["padding"]);
}

#[test]
fn a_stub_without_its_file_is_told_by_its_fields() {
    let payload = Chain::new(X86, 1).payload();
    let (stub, file) = (X86.stub_len, payload.len() - X86.stub_len - 3);
    let file = counted(file as u64, "byte");
    says(
        &payload[..stub],
        &[&format!("The stub doublepulsar-x86 and nothing of the {file} that it carries")],
        &[],
    );
    says(
        &payload[..stub + 31],
        &[&format!("and the first 31 of the {file} that it carries")],
        &["layers inside"],
    );
}

#[test]
fn families_of_others_rules_are_escaped_and_several_are_told() {
    let rule = |name: &str, family: &str| {
        format!("rule {name} {{ meta: family = \"{family}\" confidence = \"high\" condition: true }}")
    };
    let text = rule("one", "A\\x1b[31m\u{202e}<b>") + &rule("two", "Zeta");
    let (rules, wrong) = Rules::compile(&[RuleFile { name: "mine.yar".to_owned(), text }]);
    assert!(wrong.is_empty(), "{wrong:?}");
    let report = triage(b"some text, and nothing else", Road::Payload, &rules, &Budget::default());
    let sentence = Outline::of(&report).sentence();
    assert!(sentence.starts_with("A\\u{1b}[31m") && !sentence.contains('\u{202e}'), "{sentence:?}");
    assert!(sentence.contains("; there is Zeta in it too") && !sentence.contains('\u{1b}'), "{sentence:?}");
}
