use super::*;
use std::cell::Cell;

fn file(name: &str, text: &str) -> RuleFile {
    RuleFile { name: name.to_owned(), text: text.to_owned() }
}

/// A header of a PE with these Characteristics and `body` behind it; nothing in it could run.
fn pe(characteristics: u16, body: &[&str]) -> Vec<u8> {
    let mut bytes = vec![0u8; 0x200];
    bytes[..2].copy_from_slice(b"MZ");
    bytes[0x3c] = 0x80;
    bytes[0x80..0x84].copy_from_slice(b"PE\0\0");
    bytes[0x96..0x98].copy_from_slice(&characteristics.to_le_bytes());
    for text in body {
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(0);
    }
    bytes
}

fn names(rules: &Rules, bytes: &[u8]) -> Vec<String> {
    rules.scan(bytes).into_iter().map(|hit| hit.rule).collect()
}

#[test]
fn own_rules_compile_and_say_by_whom_and_for_what_they_are() {
    let (rules, errors) = Rules::compile(&[]);
    assert_eq!(errors, []);
    let all = rules.list();
    assert_eq!(all.len(), 20);
    for hit in all {
        assert_eq!((hit.author.as_str(), hit.licence.as_str()), ("Roridula", "MIT OR Apache-2.0"), "{hit:?}");
        assert_eq!(hit.file, "builtin");
        assert!(!hit.description.is_empty(), "{hit:?}");
        assert!(["high", "medium", "low"].contains(&hit.confidence.as_str()), "{hit:?}");
        assert!(!hit.family.is_empty() || hit.rule.starts_with("Packed_"), "{hit:?}");
    }
}

#[test]
fn each_part_of_wannacry_has_its_rule_and_only_its_own() {
    let rules = Rules::compile(&[]).0;
    let worm = ["mssecsvc2.0", "%s -m security", "tasksche.exe"];
    let ransomware = ["WNcry@2ol7", "Global\\MsWinZonesCacheCounterMutexA", "tasksche.exe"];
    // The worm carries the ransomware and the launcher the worm, so each shows the inner ones' strings too.
    let launcher = [&["PlayGame", "mssecsvc.exe"][..], &worm, &ransomware].concat();
    assert_eq!(names(&rules, &pe(0x2102, &launcher)), ["WannaCry_Launcher_DLL"]);
    assert_eq!(names(&rules, &pe(0x0102, &worm)), ["WannaCry_Worm_EXE"]);
    assert_eq!(names(&rules, &pe(0x0102, &ransomware)), ["WannaCry_Ransomware_EXE"]);
    let zip = b"PK\x03\x04 b.wnry PK\x03\x04 c.wnry PK\x03\x04 msg/m_english.wnry";
    assert_eq!(names(&rules, zip), ["WannaCry_Tools_ZIP"]);
    assert_eq!(names(&rules, &pe(0x2102, &["PlayGame"])), [""; 0]);
}

#[test]
fn an_upload_is_known_by_its_sizes_and_its_file() {
    let rules = Rules::compile(&[]).0;
    let dll = pe(0x2102, &[]);
    for (size_at, file_at, rule) in
        [(0x12fd, 0x1305, "DoublePulsar_Upload_x86"), (0x17f8, 0x1800, "DoublePulsar_Upload_x64")]
    {
        let mut upload = vec![0u8; file_at];
        upload[size_at..size_at + 4].copy_from_slice(&70_000u32.to_le_bytes());
        upload.extend_from_slice(&dll);
        upload.resize(file_at + 70_000, 0);
        assert_eq!(names(&rules, &upload), [rule, "DoublePulsar_Small_DLL"]);
        upload[file_at + 0x80] = b'N';
        assert_eq!(names(&rules, &upload), [""; 0], "no PE where the loader ends");
    }
}

#[test]
fn other_families_are_known_by_published_markers() {
    let rules = Rules::compile(&[]).0;
    for (text, rule) in [
        ("wowsmith123456@posteo.net", "NotPetya_DLL"),
        ("trafficconverter.biz/4vir/antispyware/loadadv.exe", "Conficker_Markers"),
        ("xmrig 6 --donate-level=1", "Miner_XMRig"),
        ("-o stratum+tcp://203.0.113.5:3333 hashrate", "Miner_Stratum"),
        ("certutil -f -urlcache -split", "Dropper_Download_Command"),
        ("h6agLCqPqVyXi2VSQ8O6Yb9ijBX54j", "EternalBlue_Filler"),
        ("URLDownloadToFileA\0cmd.exe /c", "Dropper_Download_And_Run"),
    ] {
        assert_eq!(names(&rules, &pe(0x102, &[text])), [rule]);
    }
    assert_eq!(names(&rules, b"a quiet text about certutil and xmrig"), [""; 0]);
    // A block list has many pools, a monitor the protocol: one trait each.
    let list = b"0.0.0.0 minexmr.com\n0.0.0.0 supportxmr.com\n0.0.0.0 nanopool.org";
    assert_eq!(names(&rules, list), [""; 0]);
    assert_eq!(names(&rules, b"alert on stratum+tcp:// and mining.subscribe"), [""; 0]);
    assert_eq!(names(&rules, b"mining.subscribe pool.supportxmr.com"), ["Miner_Stratum"]);
}

#[test]
fn a_broken_file_is_named_with_its_line_and_the_others_work() {
    let files = [
        file("a.yar", "rule a { strings: $a = \"abc\" condition: $a }"),
        file("b.yar", "rule b { condition: true }\n\nrule c {\n  condition:\n    $missing\n}\n"),
        file("c.yar", "rule d {"),
        file("d.yar", "rule e { condition: filename == \"\" and extension == \"\" and filepath == \"\" }"),
        file("e.yar", "include \"/etc/hostname\""),
    ];
    let (rules, errors) = Rules::compile(&files);
    let told: Vec<_> = errors.iter().map(|error| (error.file.as_str(), error.line)).collect();
    assert_eq!(told, [("b.yar", 5), ("c.yar", 1), ("e.yar", 1)], "{errors:?}");
    assert!(errors.iter().all(|error| !error.what.is_empty()), "{errors:?}");
    // `b` compiles, but its file does not.
    assert_eq!(names(&rules, b"abc"), ["a", "e"]);
}

#[test]
fn two_files_may_use_one_name_and_a_global_rule_rules_its_own_file_only() {
    let files = [
        file("x/a.yar", "global rule never { condition: false } rule same { condition: true }"),
        file(
            "y/a.yar",
            "rule same : one two { meta: Author = \"A\" licence = \"CC0\" family = \"F\" condition: true }",
        ),
        file("y/a.yar", "rule same { condition: true }"),
    ];
    let (rules, errors) = Rules::compile(&files);
    assert_eq!(errors, []);
    let hits = rules.scan(b"x");
    assert_eq!(hits.len(), 2);
    let hit = &hits[0];
    assert_eq!((hit.file.as_str(), hit.author.as_str(), hit.licence.as_str()), ("y/a.yar", "A", "CC0"));
    assert_eq!((hit.family.as_str(), hit.tags.as_slice()), ("F", &["one".to_owned(), "two".to_owned()][..]));
}

#[test]
fn a_hit_names_its_first_places() {
    let rules = Rules::compile(&[file("a", "rule a { strings: $a = \"needle\" condition: #a > 20 }")]).0;
    let hay = b"needle..".repeat(10_000);
    assert_eq!(rules.scan(&hay)[0].at, [0, 8, 16, 24, 32, 40, 48, 56]);
}

#[test]
fn the_digest_changes_with_any_rule() {
    let digest = |files: &[RuleFile]| Rules::compile(files).0.digest().to_owned();
    let one = digest(&[file("a", "rule a { condition: true }")]);
    assert_eq!(one.len(), 16);
    assert_eq!(one, digest(&[file("a", "rule a { condition: true }")]));
    assert_ne!(one, digest(&[file("a", "rule a { condition: false }")]));
    assert_ne!(one, digest(&[file("b", "rule a { condition: true }")]));
    assert_ne!(one, digest(&[]));
}

#[test]
fn hostile_layers_are_scanned_to_the_end() {
    let text = "rule a { strings: $a = /a.{0,400}b/ $b = /(x+x+)+y/ $c = \"aa\" condition: any of them }
        import \"pe\" rule b { condition: pe.number_of_sections > 60000 or pe.imphash() == \"x\" }";
    let (rules, errors) = Rules::compile(&[file("hard.yar", text)]);
    assert_eq!(errors, []);
    assert_eq!(names(&rules, &vec![b'a'; 1 << 20]), ["a"]);
    // Counts that lie: every number of the header is as large as it can be.
    let mut lies = pe(0xffff, &[]);
    lies[0x86] = 0xff;
    lies[0x87] = 0xff;
    lies[0x98..0x200].fill(0xff);
    rules.scan(&lies);
    for at in [0x3c, 0x3d, 0x3e, 0x3f] {
        lies[at] = 0xff;
        rules.scan(&lies);
    }
    assert_eq!(Rules::default().scan(b"MZ"), []);
}

#[test]
fn a_scan_that_was_left_no_processor_gets_more_time_and_a_slow_one_does_not() {
    let second = Duration::from_secs(1);
    // What a scan needs, and which part of each second it runs.
    let scanned = |needs: f64, share: f64| {
        let (ran, tries) = (Cell::new(Duration::ZERO), Cell::new(0));
        let attempt = |time: Duration| {
            tries.set(tries.get() + 1);
            let given = time.mul_f64(share).min(Duration::from_secs_f64(needs));
            ran.set(ran.get() + given);
            ((), given.as_secs_f64() >= needs)
        };
        let ((), in_time) = patiently(second, || ran.get(), attempt);
        (in_time, tries.get())
    };
    assert_eq!(scanned(0.2, 1.0), (true, 1));
    assert_eq!(scanned(0.2, 0.1), (true, 2));
    assert_eq!(scanned(0.2, 0.02), (true, 3));
    assert_eq!(scanned(100.0, 1.0), (false, 1));
    assert_eq!(scanned(100.0, 0.2), (false, 2));
    assert_eq!(scanned(100.0, 0.001), (false, 3));
}
