//! Reports, groups, novelty and sentences, over a real journal and reports made by triage from small look-alikes.

mod common;

use common::{pe, upload};
use roridula_desk::index::{Index, Mode};
use roridula_desk::sample::{Catalog, Outline, Reports};
use roridula_evidence::{Capture, Options, SampleId, Store};
use roridula_proto::event::{Event, Origin, UploadState};
use roridula_proto::time::WallClock;
use roridula_triage::rules::Rules;
use roridula_triage::{Budget, Depth, Look, Report, Road, triage};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// The catalog of a data directory.
fn catalog(dir: &Path, reports: &Reports) -> Catalog {
    let mut index = Index::open(dir, Mode::Write).unwrap();
    index.catch_up(&mut |_| ()).unwrap();
    Catalog::load(&mut index, reports).unwrap()
}

struct World {
    dir: PathBuf,
    store: Store,
    reports: Reports,
    rules: Rules,
}

impl World {
    fn new(dir: &Path) -> Self {
        Self {
            store: Store::open(dir, "test", Options::default()).unwrap(),
            dir: dir.to_owned(),
            reports: Reports::open(dir).unwrap(),
            rules: Rules::compile(&[]).0,
        }
    }

    /// A capture from a source, looked into.
    fn capture(&self, source: &str, bytes: &[u8]) -> SampleId {
        self.capture_by(Origin::DoublePulsar, source, bytes)
    }

    fn capture_by(&self, origin: Origin, source: &str, bytes: &[u8]) -> SampleId {
        let whose =
            self.store.accept(format!("{source}:4000").parse().unwrap(), "127.0.0.1:445".parse().unwrap());
        let mut slot = self.store.slot(&whose, 1, origin).unwrap();
        slot.write(0, bytes).unwrap();
        let sample = SampleId(Sha256::digest(bytes).into());
        let capture = Capture {
            attribution: whose,
            upload: 1,
            origin,
            state: UploadState::Complete,
            total: Some(bytes.len() as u64),
            ranges: slot.ranges().to_vec(),
            sha256: sample,
            size: bytes.len() as u64,
        };
        if self.store.knows(sample).unwrap() {
            self.store.keep_known(capture, slot);
        } else {
            self.store.keep_new(capture, slot).unwrap();
        }
        let report = self.report(bytes);
        self.reports.put(sample, &report).unwrap();
        self.store.publish(Event::SampleTriaged {
            sha256: sample.to_string(),
            layers: Vec::new(),
            core: String::new(),
            family: String::new(),
            confidence: String::new(),
            rules: String::new(),
            error: String::new(),
        });
        self.store.flush();
        sample
    }

    fn report(&self, bytes: &[u8]) -> Report {
        triage(bytes, Road::Payload, &self.rules, &Budget::default())
    }

    fn catalog(&self) -> Catalog {
        catalog(&self.dir, &self.reports)
    }
}

#[test]
fn a_report_comes_back_as_it_was_and_duplicates_share_what_is_inside() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(dir.path());
    let file = pe(0x3000, 7);
    let (one, other) = (upload(&file, b"abc"), upload(&file, b"xyz"));
    let (first, second) = (world.capture("192.0.2.1", &one), world.capture("192.0.2.2", &other));
    assert_eq!(world.reports.get(first).unwrap().as_ref(), Some(&world.report(&one)));
    assert_eq!(world.reports.get(second).unwrap().as_ref(), Some(&world.report(&other)));

    let outline = world.reports.outline(second).unwrap().unwrap();
    assert_eq!(outline, Outline::of(&world.report(&other)));
    assert_eq!(world.reports.similar(second, &outline, other.len() as u64).unwrap(), Some(first));
    assert_eq!(world.reports.similar(first, &outline, one.len() as u64).unwrap(), None);
    let core = &outline.core.sha256;
    assert_eq!(*core, format!("{:x}", HexOf(&Sha256::digest(&file))));
    assert_eq!(world.reports.with_layer(&core[..12], 8).unwrap(), [first, second]);
    assert!(world.reports.with_layer("0000000000", 8).unwrap().is_empty());
}

/// Also under those who have it open: what they keep from then on is where everybody looks.
#[test]
fn the_reports_may_be_deleted_under_who_keeps_them() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(dir.path());
    let bytes = upload(&pe(0x3000, 7), b"abc");
    let first = world.capture("192.0.2.1", &bytes);
    let edition = world.reports.edition().unwrap();
    assert_eq!(edition, world.reports.edition().unwrap());
    std::fs::remove_file(dir.path().join("desk/reports.sqlite")).unwrap();
    assert_eq!(world.reports.get(first).unwrap(), None);
    assert_ne!(edition, world.reports.edition().unwrap());
    assert_eq!(world.catalog().gone, 1);
    std::fs::remove_file(dir.path().join("desk/reports.sqlite")).unwrap();
    let report = world.report(&bytes);
    world.reports.put(first, &report).unwrap();
    assert_eq!(Reports::open(dir.path()).unwrap().get(first).unwrap(), Some(report));
    assert_eq!(world.catalog().gone, 0);
}

#[test]
fn a_first_report_stands_until_the_full_one_and_takes_nothing_from_others() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(dir.path());
    let file = pe(0x3000, 7);
    let (one, other) = (upload(&file, b"abc"), upload(&file, b"xyz"));
    let (of_one, of_other) = (SampleId([1; 32]), SampleId([2; 32]));
    let budget = Budget::default();
    let first = |bytes: &[u8]| Look::new(bytes, Road::Payload, &world.rules, &budget).first();
    world.reports.put(of_one, &first(&one)).unwrap();
    assert_eq!(world.reports.get(of_one).unwrap(), Some(first(&one)));
    assert_eq!(
        world.reports.outline(of_one).unwrap().unwrap().core.sha256,
        Outline::of(&world.report(&one)).core.sha256
    );
    world.reports.put(of_one, &world.report(&one)).unwrap();
    assert_eq!(world.reports.get(of_one).unwrap(), Some(world.report(&one)));

    // The file in it is known in full: the other's first report shows that, and does not make it less.
    world.reports.put(of_other, &first(&other)).unwrap();
    let told = world.reports.get(of_other).unwrap().unwrap();
    assert_eq!((told.depth, &told.layers[0].hashes.md5), (Depth::First, &String::new()));
    assert_eq!(told.layers[2], world.report(&other).layers[2]);
    assert_eq!(world.reports.get(of_one).unwrap(), Some(world.report(&one)));
}

struct HexOf<'a>(&'a [u8]);

impl std::fmt::LowerHex for HexOf<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[test]
fn groups_are_by_core_and_count_captures_and_hosts_once() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(dir.path());
    let (common, rare) = (pe(0x3000, 7), pe(0x2000, 99));
    for number in 0..20u8 {
        // Ten hosts, each with two outer files of one core.
        world.capture(&format!("192.0.2.{}", number % 10 + 1), &upload(&common, &[b'd', number, 1]));
    }
    let new = world.capture("198.51.100.9", &upload(&rare, b"r"));
    world.capture("198.51.100.9", &upload(&rare, b"r"));

    let catalog = world.catalog();
    assert_eq!((catalog.entries.len(), catalog.groups.len()), (21, 2));
    let counts: Vec<_> =
        catalog.groups.iter().map(|group| (group.samples, group.captures, group.sources)).collect();
    assert_eq!(counts, [(1, 2, 1), (20, 20, 10)], "the rare one first");
    let first = &catalog.entries[0];
    assert_eq!(first.sha256, new);
    assert!(first.novelty > catalog.entries[1].novelty, "{} {}", first.novelty, catalog.entries[1].novelty);
    assert!(
        catalog.entries[1].sentence.contains("seen in 20 captures from 10 hosts since 20"),
        "{}",
        catalog.entries[1].sentence
    );
    assert!(
        first.sentence.starts_with("Unknown EXE (x86, 8,192 bytes) behind the stub doublepulsar-x86"),
        "{}",
        first.sentence
    );
}

#[test]
fn the_newest_sample_of_a_new_core_is_looked_at_first() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(dir.path());
    // Alone of its kind, and so the most novel; then of one kind a first and a variant.
    let rare = world.capture("192.0.2.9", &upload(&pe(0x2000, 99), b"r"));
    for number in 1..5 {
        world.capture(&format!("192.0.2.{number}"), &upload(&pe(0x3000, 7), &[number]));
    }
    let newest = world.capture("192.0.2.1", &upload(&pe(0x3000, 7), b"variant"));
    world.capture_by(Origin::ExploitBuffer, "192.0.2.2", b"whatever a logon may hold");
    let catalog = world.catalog();
    let now = WallClock(roridula_evidence::wall_clock().0 + 1);
    let looked_at = |days: u64| {
        let (entry, which) = catalog.novel(WallClock(now.0 + days * 24 * 3600 * 1_000_000)).unwrap();
        (entry.sha256, which)
    };
    let novelty = |id| catalog.entries.iter().find(|entry| entry.sha256 == id).unwrap().novelty;
    assert!(novelty(rare) > novelty(newest));
    assert_eq!(looked_at(0), (newest, "the newest novel sample of the last 24 hours"));
    assert_eq!(looked_at(2), (newest, "the newest novel sample of the last 7 days"));
    assert_eq!(looked_at(9), (rare, "the most novel sample ever"));
}

#[test]
fn the_buffer_of_an_exploit_is_told_as_that_and_is_no_new_core() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(dir.path());
    let worm = world.capture("192.0.2.1", &upload(&pe(0x3000, 7), b"abc"));
    // What the doctor sends is nobody's either.
    let doctor =
        b"This is a test upload of `roridula doctor`: readable text and nothing else.\nSent today.\n";
    let doctor = world.capture("127.0.0.1", doctor);
    let buffer = world.capture_by(Origin::ExploitBuffer, "192.0.2.2", b"whatever a logon may hold");
    let catalog = world.catalog();
    let day = WallClock(24 * 3600 * 1_000_000);
    let now = roridula_evidence::wall_clock();
    let (since, until) = (WallClock(now.0 - day.0), WallClock(now.0 + day.0));
    assert_eq!(catalog.groups.len(), 3);
    let new: Vec<_> = catalog.new_cores(since, until).map(|group| group.core.clone()).collect();
    let entry = |sample| catalog.entries.iter().find(|entry| entry.sha256 == sample).unwrap();
    assert_eq!(new, [entry(worm).core.clone()]);
    assert_eq!(catalog.new_cores(until, until).count(), 0);
    assert_eq!(catalog.novel(now).unwrap().0.sha256, worm);
    assert!(entry(doctor).sentence.starts_with("Roridula self-test text ("), "{}", entry(doctor).sentence);
    assert!(entry(buffer).sentence.contains(", the buffer of an exploit, seen in 1 capture"));
}

#[test]
fn indicators_are_found_by_any_part_of_them_also_in_reports_of_before() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(dir.path());
    let mut file = pe(0x3000, 7);
    let text = b"\0http://Update.Example.com/inert.bin\0";
    file[0x1000..0x1000 + text.len()].copy_from_slice(text);
    let ids = [b"a", b"b"].map(|dirt| world.capture("192.0.2.1", &upload(&file, dirt)));
    world.capture("192.0.2.1", &upload(&pe(0x3000, 8), b"c"));
    let find = |reports: &Reports, part: &str| reports.with_indicator(part, 10).unwrap();
    let url = "http://update.example.com/inert.bin";
    let expected = ids.map(|id| (url.to_owned(), "url".to_owned(), id));
    for part in ["HTTP://upd", "Example.COM", "pdate"] {
        assert_eq!(find(&world.reports, part), expected, "{part}");
    }
    for nothing in ["http://updated", "%", "_ttp"] {
        assert!(find(&world.reports, nothing).is_empty(), "{nothing}");
    }
    assert_eq!(world.reports.with_indicator("http", 1).unwrap().len(), 1);
    // A wallet in lower case is another one, or none.
    let wallet = "12t9YDPgwueZ9NyMgw519p7AA8isjr6SMw";
    let mut paid = pe(0x3000, 9);
    paid[0x1000..0x1000 + wallet.len()].copy_from_slice(wallet.as_bytes());
    paid[0x1000 + wallet.len()] = 0;
    let id = world.capture("192.0.2.1", &upload(&paid, b"d"));
    for part in [wallet, "12T9ydpg", "isjr6smw"] {
        let expected = [(wallet.to_owned(), "wallet".to_owned(), id)];
        assert_eq!(find(&world.reports, part), expected, "{part}");
    }
    // A file of before they were kept.
    let path = dir.path().join("desk/reports.sqlite");
    rusqlite::Connection::open(path).unwrap().execute_batch("DROP TABLE named").unwrap();
    assert_eq!(find(&Reports::open(dir.path()).unwrap(), "http://upd"), expected);
    assert!(world.reports.get(ids[0]).unwrap().is_some());
}

#[test]
fn what_another_build_said_of_a_sample_is_said_anew() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(dir.path());
    let sample = world.capture("192.0.2.1", &upload(&pe(0x3000, 7), b""));
    let today = world.catalog().entries[0].sentence.clone();
    let db = rusqlite::Connection::open(dir.path().join("desk/reports.sqlite")).unwrap();
    let age = "UPDATE report SET outline = json_set(outline, '$.maker', 'another', '$.lead', 'Old words')";
    assert_eq!(db.execute(age, []).unwrap(), 1);
    assert_eq!(world.reports.outline(sample).unwrap().unwrap().lead, "Old words");
    assert_eq!(world.catalog().entries[0].sentence, today);
    assert_ne!(world.reports.outline(sample).unwrap().unwrap().lead, "Old words", "kept as it is said now");
}

#[test]
fn reports_of_another_layout_or_none_are_told_as_such() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(dir.path());
    world.capture("192.0.2.1", b"nothing that anybody knows, but long enough to be kept");
    drop(std::fs::remove_file(dir.path().join("desk/reports.sqlite")));
    let empty = Reports::temporary().unwrap();
    let catalog = catalog(dir.path(), &empty);
    assert!(catalog.groups.is_empty());
    assert!(catalog.entries[0].sentence.contains("roridula triage --all"), "{}", catalog.entries[0].sentence);
}
