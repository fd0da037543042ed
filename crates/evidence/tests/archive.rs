//! Samples kept as differences, restored, forgotten: whatever happens, their bytes come back or an error says why.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use roridula_evidence::{
    Attribution, Batch, Capture, Changes, Kept, Options, Reader, Refusal, SampleId, Store, StoreError,
};
use roridula_proto::event::{Event, Origin, Transport, UploadState};
use roridula_proto::transcript::Payloads;
use sha2::{Digest, Sha256};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

struct World {
    dir: tempfile::TempDir,
    store: Option<Store>,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Some(open(dir.path()));
        Self { dir, store }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn reader(&self) -> Reader {
        Reader::open(self.dir.path()).unwrap()
    }

    /// Stops the store, does something to its directory, starts it again.
    fn restart(&mut self, between: impl FnOnce()) {
        drop(self.store.take());
        between();
        self.store = Some(open(self.dir.path()));
        // The start itself does not look at every sample; the first who wants to change something does.
        self.store().dependants(name(b"")).unwrap();
    }

    /// A visit from `source` that brings `bytes`.
    fn catch(&self, source: &str, bytes: &[u8]) -> Attribution {
        let store = self.store();
        let whose = store.accept(source.parse().unwrap(), "198.51.100.1:445".parse().unwrap());
        let opened = Event::ConnectionOpened { transport: Transport::DirectTcp };
        let events = vec![(whose.at, opened)];
        store.append_blocking(Batch {
            attribution: whose,
            events,
            changes: Changes::default(),
            closing: None,
        });
        self.bring(whose, 1, bytes);
        whose
    }

    fn bring(&self, whose: Attribution, upload: u32, bytes: &[u8]) {
        let store = self.store();
        let mut slot = store.slot(&whose, upload, Origin::DoublePulsar).unwrap();
        slot.write(0, bytes).unwrap();
        let size = bytes.len() as u64;
        let capture = Capture {
            attribution: whose,
            upload,
            origin: Origin::DoublePulsar,
            state: UploadState::Complete,
            total: Some(size),
            ranges: slot.ranges().to_vec(),
            sha256: name(bytes),
            size,
        };
        if store.knows(capture.sha256).unwrap() {
            store.keep_known(capture, slot);
        } else {
            store.keep_new(capture, slot).unwrap();
        }
        store.flush();
    }

    /// A file of the sample `bytes`: "" the whole one.
    fn file(&self, bytes: &[u8], suffix: &str) -> PathBuf {
        PathBuf::from(format!("{}{suffix}", self.reader().sample_path(name(bytes)).display()))
    }

    fn read(&self, bytes: &[u8]) -> Vec<u8> {
        self.reader().sample_bytes(name(bytes), u64::MAX).unwrap()
    }

    fn is_difference(&self, bytes: &[u8]) -> bool {
        matches!(self.reader().kept(name(bytes)).unwrap(), Kept::Difference { .. })
    }
}

fn open(dir: &Path) -> Store {
    Store::open(dir, "porch", Options::default()).unwrap()
}

fn name(bytes: &[u8]) -> SampleId {
    SampleId(Sha256::digest(bytes).into())
}

/// Bytes that do not compress.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..len).map(next).collect()
}

/// `of` with a few other bytes in the middle and some behind.
fn variant(of: &[u8], seed: u64) -> Vec<u8> {
    let mut bytes = of.to_vec();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 40].copy_from_slice(&noise(seed, 40));
    bytes.extend(noise(seed + 1, 3));
    bytes
}

fn refusal<T: std::fmt::Debug>(result: Result<T, StoreError>) -> Refusal {
    match result {
        Err(StoreError::Refused { why, .. }) => why,
        other => panic!("not refused: {other:?}"),
    }
}

/// A base, and a variant of it that is kept as a difference.
fn pair() -> (World, Vec<u8>, Vec<u8>) {
    let world = World::new();
    let base = noise(1, 50_000);
    let sample = variant(&base, 2);
    world.catch("203.0.113.1:1", &base);
    world.catch("203.0.113.2:1", &sample);
    let saved = world.store().keep_as_difference(name(&sample), name(&base)).unwrap();
    assert_eq!(saved.before, 50_003);
    assert!(saved.after < 300, "{saved:?}");
    (world, base, sample)
}

#[test]
fn a_difference_reads_as_the_whole_did_and_can_be_whole_again() {
    let (world, base, sample) = pair();
    let reader = world.reader();
    let path = world.file(&sample, ".difference");
    let kept = Kept::Difference { path: path.clone(), base: name(&base) };
    assert_eq!(reader.kept(name(&sample)).unwrap(), kept);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o400);
    assert!(!world.file(&sample, "").exists());
    assert!(world.read(&sample) == sample && world.read(&base) == base);
    assert!(reader.sample_bytes(name(&sample), 50_003).unwrap() == sample);
    assert!(reader.sample_bytes(name(&sample), 50_002).is_err());
    assert!(reader.restore(name(&sample)).unwrap());
    assert!(!reader.restore(name(&sample)).unwrap());
    assert_eq!(fs::read(world.file(&sample, "")).unwrap(), sample);
    assert_eq!(fs::metadata(world.file(&sample, "")).unwrap().permissions().mode() & 0o777, 0o400);
    assert!(!path.exists());
}

#[test]
fn what_refers_to_an_upload_finds_its_bytes_in_a_difference() {
    let (world, base, sample) = pair();
    let whose = world.catch("203.0.113.3:1", &sample);
    world.bring(whose, 2, &base);
    let payloads = world.reader().payloads(whose.connection).unwrap();
    for (offset, len) in [(0, 16), (24_990, 64), (49_999, 4)] {
        let range = offset as usize..offset as usize + len as usize;
        assert_eq!(payloads.read(1, offset, len).unwrap(), sample[range.clone()]);
        if range.end <= base.len() {
            assert_eq!(payloads.read(2, offset, len).unwrap(), base[range]);
        }
    }
    assert_eq!(payloads.read(1, 50_000, 4), None);
}

#[test]
fn a_sample_that_comes_again_is_counted_however_it_is_kept() {
    let (world, _, sample) = pair();
    world.catch("203.0.113.3:1", &sample);
    assert!(world.is_difference(&sample));
    assert_eq!(world.reader().captures(name(&sample)).unwrap().len(), 2);
    assert!(!world.file(&sample, "").exists());

    assert!(world.store().forget_bytes(name(&sample)).unwrap() < 300);
    assert_eq!(world.store().forget_bytes(name(&sample)).unwrap(), 0);
    assert_eq!(world.reader().kept(name(&sample)).unwrap(), Kept::Forgotten);
    assert!(matches!(
        world.reader().sample_bytes(name(&sample), u64::MAX),
        Err(StoreError::Forgotten { .. })
    ));
    assert!(matches!(world.store().restore(name(&sample)), Err(StoreError::Forgotten { .. })));
    world.catch("203.0.113.4:1", &sample);
    assert_eq!(world.reader().kept(name(&sample)).unwrap(), Kept::Forgotten);
    let view = world.reader().sample(&name(&sample).to_string()).unwrap().unwrap();
    assert_eq!((view.captures, view.sources), (3, 3));

    // Removed by hand, mark and all, is another thing: then it is kept again.
    fs::remove_file(world.file(&sample, ".forgotten")).unwrap();
    assert_eq!(world.reader().kept(name(&sample)).unwrap(), Kept::Missing);
    world.catch("203.0.113.5:1", &sample);
    assert_eq!(world.read(&sample), sample);
}

#[test]
fn what_must_not_be_is_refused_and_changes_nothing() {
    let (mut world, base, sample) = pair();
    let other = variant(&base, 9);
    let alien = noise(77, 40_000);
    world.catch("203.0.113.3:1", &other);
    world.catch("203.0.113.3:2", &alien);
    let (base_id, sample_id) = (name(&base), name(&sample));
    let check = |store: &Store| {
        let keep = |sample, base| refusal(store.keep_as_difference(sample, base));
        assert_eq!(keep(base_id, base_id), Refusal::Itself);
        assert_eq!(keep(sample_id, base_id), Refusal::NotWhole);
        assert_eq!(keep(name(&other), sample_id), Refusal::BaseNotWhole(sample_id));
        assert_eq!(keep(name(&other), name(b"never seen")), Refusal::BaseNotWhole(name(b"never seen")));
        assert_eq!(keep(base_id, name(&other)), Refusal::Needed(1));
        assert_eq!(refusal(store.forget_bytes(base_id)), Refusal::Needed(1));
        assert!(matches!(keep(name(&alien), base_id), Refusal::NoGain { before: 40_000, .. }));
    };
    check(world.store());
    // The next start knows it too: the files themselves say it.
    world.restart(|| ());
    check(world.store());
    assert_eq!(world.store().dependants(base_id).unwrap(), 1);
    for bytes in [&base, &other, &alien] {
        assert_eq!(fs::read(world.file(bytes, "")).unwrap(), *bytes);
    }
    // With its last dependant gone a base is a sample as any other.
    assert!(world.store().restore(sample_id).unwrap());
    assert_eq!(world.store().forget_bytes(base_id).unwrap(), 50_000);
    assert!(!world.file(&base, "").exists());
    assert_eq!(world.read(&sample), sample);
}

#[test]
fn a_kill_at_any_step_leaves_the_bytes_and_no_litter() {
    let (mut world, base, sample) = pair();
    let (whole, difference) = (world.file(&sample, ""), world.file(&sample, ".difference"));
    let (part, restored) = (world.file(&sample, ".difference.part"), world.file(&sample, ".part"));
    // While a difference is written, or a whole file, or a mark.
    let mark = world.file(&sample, ".forgotten.part");
    world.restart(|| [&part, &restored, &mark].iter().for_each(|path| fs::write(path, "half").unwrap()));
    assert!(!part.exists() && !restored.exists() && !mark.exists() && world.is_difference(&sample));
    assert_eq!(world.read(&sample), sample);
    // Between the mark and the end of the difference.
    let mark = world.file(&sample, ".forgotten");
    world.restart(|| fs::write(&mark, "").unwrap());
    assert!(!mark.exists() && world.is_difference(&sample));
    // Between the difference's name and the whole file's end, or the other way round.
    assert_eq!(world.store().dependants(name(&base)).unwrap(), 1);
    world.restart(|| fs::write(&whole, &sample).unwrap());
    assert!(!difference.exists() && fs::read(&whole).unwrap() == sample);
    assert_eq!(world.store().dependants(name(&base)).unwrap(), 0);
    // What a start finds half done can be done again.
    world.restart(|| fs::write(&part, "half").unwrap());
    world.store().keep_as_difference(name(&sample), name(&base)).unwrap();
    assert_eq!(world.read(&sample), sample);
    let kept: Vec<_> =
        fs::read_dir(whole.parent().unwrap()).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(kept, [difference]);
}

#[test]
fn a_damaged_difference_is_an_error_that_names_it() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 4] = [
        ("not a difference", |bytes| bytes[0] = b'X'),
        ("claims 1152921504606846976 bytes", |bytes| {
            bytes[44..52].copy_from_slice(&(1u64 << 60).to_le_bytes())
        }),
        ("", |bytes| bytes.truncate(60)),
        ("", |bytes| bytes.truncate(10)),
    ];
    for (what, damage) in damages {
        let (mut world, base, sample) = pair();
        let path = world.file(&sample, ".difference");
        let mut bytes = fs::read(&path).unwrap();
        damage(&mut bytes);
        world.restart(|| {
            fs::remove_file(&path).unwrap();
            fs::write(&path, &bytes).unwrap();
        });
        let reader = world.reader();
        for error in [
            reader.sample_bytes(name(&sample), u64::MAX).unwrap_err(),
            reader.restore(name(&sample)).unwrap_err(),
        ] {
            let text = error.to_string();
            assert!(matches!(error, StoreError::Damaged { .. }), "{text}");
            assert!(text.contains(path.to_str().unwrap()) && text.contains(what), "{text}");
        }
        assert_eq!(world.read(&base), base);
    }
}

#[test]
fn other_bytes_than_those_of_the_name_never_come_out() {
    let (world, base, sample) = pair();
    let other = variant(&base, 12);
    world.catch("203.0.113.3:1", &other);
    world.store().keep_as_difference(name(&other), name(&base)).unwrap();
    let path = world.file(&sample, ".difference");
    fs::remove_file(&path).unwrap();
    fs::copy(world.file(&other, ".difference"), &path).unwrap();
    let error = world.reader().sample_bytes(name(&sample), u64::MAX).unwrap_err().to_string();
    assert!(
        error.contains(path.to_str().unwrap()) && error.contains("does not hold the sample's bytes"),
        "{error}"
    );
    // What cannot even be a difference is replaced when the bytes come again.
    fs::remove_file(&path).unwrap();
    fs::write(&path, "not one").unwrap();
    world.catch("203.0.113.4:1", &sample);
    assert_eq!(world.read(&sample), sample);
}

#[test]
fn a_difference_without_its_base_says_so_and_is_kept_again_when_it_comes_again() {
    let (world, base, sample) = pair();
    fs::remove_file(world.file(&base, "")).unwrap();
    let error = world.reader().sample_bytes(name(&sample), u64::MAX).unwrap_err().to_string();
    assert!(error.contains(&name(&base).to_string()) && error.contains("not here"), "{error}");
    assert!(!world.store().knows(name(&sample)).unwrap());
    world.catch("203.0.113.8:1", &sample);
    assert_eq!(fs::read(world.file(&sample, "")).unwrap(), sample);
    // The base is recovered by the next visitor who brings it.
    world.catch("203.0.113.8:2", &base);
    assert_eq!(world.read(&base), base);
}

#[test]
fn a_whole_file_that_rotted_is_not_made_a_difference_nor_a_base() {
    let world = World::new();
    let base = noise(1, 50_000);
    let (first, second) = (variant(&base, 2), variant(&base, 4));
    for bytes in [&base, &first, &second] {
        world.catch("203.0.113.1:1", bytes);
    }
    let path = world.file(&first, "");
    fs::remove_file(&path).unwrap();
    fs::write(&path, variant(&first, 5)).unwrap();
    for (sample, base) in [(&first, &base), (&second, &first)] {
        let result = world.store().keep_as_difference(name(sample), name(base));
        assert!(matches!(result, Err(StoreError::Damaged { .. })), "{result:?}");
    }
    assert!(path.exists() && fs::read(world.file(&second, "")).unwrap() == second);
}

#[test]
fn a_sample_can_be_read_at_every_moment_of_its_changes() {
    let (world, base, sample) = pair();
    let (id, dir) = (name(&sample), world.dir.path().to_owned());
    let (tell, told) = std::sync::mpsc::channel::<()>();
    let reading = std::thread::spawn(move || {
        let reader = Reader::open(&dir).unwrap();
        let mut reads = 0;
        while told.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            assert_eq!(SampleId(Sha256::digest(reader.sample_bytes(id, 1 << 20).unwrap()).into()), id);
            reads += 1;
        }
        reads
    });
    for _ in 0..40 {
        assert!(world.reader().restore(id).unwrap() && world.store().knows(id).unwrap());
        world.store().keep_as_difference(id, name(&base)).unwrap();
        assert!(world.store().knows(id).unwrap());
    }
    drop(tell);
    assert!(reading.join().unwrap() > 0);
}

#[test]
fn an_upload_found_after_a_kill_is_counted_for_the_sample_that_is_a_difference() {
    // Its data in the spool still; its data in its place, where it has become a difference, or was forgotten.
    for (has_data, forgotten) in [(true, false), (false, false), (false, true), (true, true)] {
        let (mut world, _, sample) = pair();
        let id = name(&sample);
        let whose = world.catch("203.0.113.3:1", &sample);
        let mut slot = world.store().slot(&whose, 2, Origin::DoublePulsar).unwrap();
        slot.write(0, &sample).unwrap();
        let spool = world.dir.path().join("spool");
        let notes: Vec<String> = fs::read_dir(&spool)
            .unwrap()
            .map(|file| file.unwrap().path())
            .filter(|path| path.extension().is_some_and(|kind| kind == "note"))
            .map(|path| fs::read_to_string(path).unwrap())
            .collect();
        let note = notes.iter().find(|note| note.contains("\"upload\":2")).unwrap();
        let note = note.replace("\"sealed\":null", &format!("\"sealed\":\"{id}\""));
        slot.recycle();
        if forgotten {
            world.store().forget_bytes(id).unwrap();
        }
        world.restart(|| {
            fs::write(spool.join("90.note"), &note).unwrap();
            if has_data {
                fs::write(spool.join("90.data"), &sample).unwrap();
            }
        });
        let recovered = world.store().recovered();
        assert_eq!((recovered.samples, recovered.left), (1, 0), "{has_data} {forgotten}");
        assert_eq!(world.is_difference(&sample), !forgotten);
        assert!(!world.file(&sample, "").exists());
        assert_eq!(world.reader().captures(id).unwrap().len(), 3);
        assert_eq!(fs::read_dir(&spool).unwrap().count(), 0);
    }
}

#[test]
fn a_file_that_was_altered_is_not_given_out() {
    let (world, base, _) = pair();
    let path = world.file(&base, "");
    let mut altered = base.clone();
    altered[1000] ^= 1;
    fs::write(&path, &altered).unwrap();
    let error = world.reader().sample_bytes(name(&base), u64::MAX).unwrap_err().to_string();
    assert!(error.contains(path.to_str().unwrap()) && error.contains("altered"), "{error}");
    fs::write(&path, &base).unwrap();
    assert_eq!(world.read(&base), base);
}
