//! The store as the other rooms use it: what is appended is read again, by another process and after a death.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use roridula_evidence::{
    Attribution, Batch, Capture, Changes, Closing, EventFilter, Options, Reader, SampleId, SourceState,
    Store, StoreError,
};
use roridula_proto::event::{
    ByteRange, CloseReason, Event, Layer, Origin, Text, TranscriptState, Transport, UploadState,
};
use roridula_proto::time::WallClock;
use roridula_proto::transcript::Payloads;
use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use std::path::Path;

fn open(dir: &Path) -> Store {
    Store::open(dir, "porch", Options::default()).unwrap()
}

fn accept(store: &Store, source: &str) -> Attribution {
    store.accept(source.parse().unwrap(), "198.51.100.1:445".parse().unwrap())
}

fn opened(store: &Store, whose: Attribution) {
    let events = vec![(whose.at, Event::ConnectionOpened { transport: Transport::DirectTcp })];
    store.append_blocking(Batch { attribution: whose, events, changes: Changes::default(), closing: None });
}

fn closed(store: &Store, whose: Attribution, transcript: Option<&str>) {
    let event = Event::ConnectionClosed {
        reason: CloseReason::PeerClosed,
        duration_us: 1500,
        bytes_in: 10,
        bytes_out: 20,
        events_dropped: 0,
    };
    let closing = Some(Closing { transcript: transcript.map(str::to_owned), whole: true });
    let at = WallClock(whose.at.0 + 1500);
    store.append_blocking(Batch {
        attribution: whose,
        events: vec![(at, event)],
        changes: Changes::default(),
        closing,
    });
}

fn name(bytes: &[u8]) -> SampleId {
    SampleId(Sha256::digest(bytes).into())
}

fn capture(whose: Attribution, upload: u32, bytes: &[u8], ranges: Vec<ByteRange>) -> Capture {
    Capture {
        attribution: whose,
        upload,
        origin: Origin::DoublePulsar,
        state: UploadState::Complete,
        total: Some(bytes.len() as u64),
        ranges,
        sha256: name(bytes),
        size: bytes.len() as u64,
    }
}

fn keep(store: &Store, whose: Attribution, upload: u32, bytes: &[u8]) {
    let mut slot = store.slot(&whose, upload, Origin::DoublePulsar).unwrap();
    slot.write(0, bytes).unwrap();
    let capture = capture(whose, upload, bytes, slot.ranges().to_vec());
    if store.knows(capture.sha256).unwrap() {
        store.keep_known(capture, slot);
    } else {
        store.keep_new(capture, slot).unwrap();
    }
}

#[test]
fn a_visit_is_read_back_whole_while_the_store_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let whose = accept(&store, "203.0.113.9:50000");
    opened(&store, whose);
    keep(&store, whose, 1, b"payload");
    closed(&store, whose, Some("roridula-transcript 1\nconnection x\n"));
    store.flush();

    let reader = Reader::open(dir.path()).unwrap();
    let page = reader.events(0, &EventFilter::default(), 10).unwrap();
    let ids: Vec<_> = page.events.iter().map(|event| event.event.id()).collect();
    assert_eq!(ids, ["connection.opened", "sample.captured", "connection.closed"]);
    assert_eq!(page.next, 3);
    for (event, seq) in page.events.iter().zip(1..) {
        assert_eq!((event.seq, event.connection, &*event.sensor), (seq, Some(whose.connection), "porch"));
        assert_eq!((event.source, event.destination), (Some(whose.source), Some(whose.destination)));
    }
    assert_eq!(page.events[2].time, WallClock(whose.at.0 + 1500));
    let json: serde_json::Value = serde_json::from_str(&page.events[1].to_json()).unwrap();
    assert_eq!(json["sha256"], name(b"payload").to_string());
    assert_eq!(json["md5"], "321c3cf486ed509164edec1e1981fec8");
    assert_eq!(json["sha1"], "f07e5a815613c5abeddc4b682247a4c42d8a95df");
    assert_eq!((&json["src_ip"], &json["first_seen"]), (&"203.0.113.9".into(), &true.into()));

    let view = reader.connection(whose.connection).unwrap().unwrap();
    assert_eq!(view.reason, Some(CloseReason::PeerClosed));
    assert_eq!((view.duration_us, view.bytes_in, view.events), (Some(1500), 10, 3));
    assert_eq!((view.samples, view.transcript), (vec![name(b"payload")], TranscriptState::Complete));
    assert_eq!(
        reader.transcript(whose.connection).unwrap().unwrap(),
        "roridula-transcript 1\nconnection x\n"
    );
    assert_eq!(reader.payloads(whose.connection).unwrap().read(1, 3, 4).unwrap(), b"load");
    assert_eq!(reader.payloads(whose.connection).unwrap().read(1, 3, 5), None);
}

#[test]
fn a_sample_is_one_file_however_often_it_comes() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for source in ["203.0.113.1:1", "203.0.113.2:1", "203.0.113.1:2"] {
        let whose = accept(&store, source);
        opened(&store, whose);
        keep(&store, whose, 1, b"same");
        closed(&store, whose, None);
    }
    store.flush();
    let reader = Reader::open(dir.path()).unwrap();
    let samples = reader.samples().unwrap();
    assert_eq!(samples.len(), 1);
    assert_eq!((samples[0].captures, samples[0].sources, samples[0].size), (3, 2, 4));
    assert_eq!(samples[0].state, UploadState::Complete);
    let path = reader.sample_path(name(b"same"));
    assert_eq!(std::fs::read(&path).unwrap(), b"same");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o400);
    let first: Vec<_> = reader.events(0, &ids(&["sample.captured"]), 10).unwrap().events;
    let seen: Vec<_> = first
        .iter()
        .map(|event| matches!(event.event, Event::SampleCaptured { first_seen: true, .. }))
        .collect();
    assert_eq!(seen, [true, false, false]);
    assert_eq!(reader.captures(name(b"same")).unwrap().len(), 3);

    // By any beginning of its name, if only one fits.
    let text = name(b"same").to_string();
    assert!(reader.sample(&text[..6]).unwrap().is_some() && reader.sample(&text).unwrap().is_some());
    assert!(reader.sample("00000000").unwrap().is_none());
    assert!(matches!(reader.sample("x'--"), Err(StoreError::NotHex(_))));
}

fn ids(ids: &[&str]) -> EventFilter {
    EventFilter { ids: ids.iter().map(|&id| id.to_owned()).collect(), ..EventFilter::default() }
}

#[test]
fn filters_and_pages_find_everything_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.publish(Event::SensorStopped { connections: 0 });
    let visits: Vec<_> = (0..20).map(|at| accept(&store, &format!("203.0.113.{}:9", at % 4))).collect();
    for &whose in &visits {
        opened(&store, whose);
    }
    for &whose in &visits {
        closed(&store, whose, None);
    }
    let refused = Event::ConnectionRefused { limit: "connections_max".to_owned(), count: 9 };
    assert!(store.try_publish_at_door("203.0.113.77:1".parse().unwrap(), visits[0].destination, refused));
    store.flush();
    let reader = Reader::open(dir.path()).unwrap();
    let mut after = 0;
    let mut seqs = Vec::new();
    loop {
        let page = reader.events(after, &EventFilter::default(), 7).unwrap();
        if page.events.is_empty() {
            break;
        }
        seqs.extend(page.events.iter().map(|event| event.seq));
        after = page.next;
    }
    assert_eq!(seqs, (1..=42).collect::<Vec<_>>());
    let count = |filter: &EventFilter| reader.events(0, filter, 1000).unwrap().events.len();
    assert_eq!(count(&ids(&["connection."])), 41);
    assert_eq!(count(&ids(&["connection.closed", "sensor.stopped"])), 21);
    let one = EventFilter { connection: Some(visits[3].connection), ..EventFilter::default() };
    assert_eq!(count(&one), 2);
    let source = |text: &str| EventFilter { source: text.parse().ok(), ..EventFilter::default() };
    assert_eq!(count(&source("203.0.113.1")), 10);
    assert_eq!(count(&source("203.0.113.77")), 1);
    assert_eq!(reader.connections(Some("203.0.113.1".parse().unwrap()), 3).unwrap().len(), 3);
    let all = reader.connections(None, 100).unwrap();
    assert!(all.is_sorted_by_key(|view| std::cmp::Reverse(view.connection)) && all.len() == 20);
    // A filter that nothing fits has still looked to the end.
    assert_eq!(reader.events(0, &ids(&["nothing"]), 5).unwrap().next, 42);
}

#[test]
fn two_writers_cannot_share_a_directory_and_a_reader_needs_one() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(Reader::open(dir.path()), Err(StoreError::Missing { .. })));
    let store = open(dir.path());
    assert!(matches!(Store::open(dir.path(), "other", Options::default()), Err(StoreError::Locked { .. })));
    drop(store);
    open(dir.path());
}

#[test]
fn ids_grow_and_are_never_given_twice_even_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut latest = 0;
    for _ in 0..3 {
        let store = open(dir.path());
        for _ in 0..100 {
            let whose = accept(&store, "203.0.113.1:1");
            assert!(whose.connection.0 > latest);
            latest = whose.connection.0;
            opened(&store, whose);
            closed(&store, whose, None);
        }
    }
    let reader = Reader::open(dir.path()).unwrap();
    assert_eq!(reader.connections(None, 1000).unwrap().len(), 300);
}

#[test]
fn what_sources_did_and_the_generation_outlive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    assert_eq!(store.generation(), 0);
    let whose = accept(&store, "203.0.113.1:1");
    opened(&store, whose);
    let change = |changes| {
        store.append_blocking(Batch { attribution: whose, events: Vec::new(), changes, closing: None });
    };
    let state = |dormant_until, exploited_until| SourceState {
        source: whose.source.ip(),
        dormant_until: WallClock(dormant_until),
        exploited_until: WallClock(exploited_until),
    };
    let far = state(4_000_000_000_000_000, 0);
    let over = SourceState { source: "::7".parse().unwrap(), ..state(5, 9) };
    change(Changes { generation: Some(41), source: Some(far) });
    // Finished side by side, put on record the other way round.
    change(Changes { generation: Some(40), source: Some(over) });
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.generation(), 41);
    assert_eq!(store.sources(10).unwrap(), [far]);
}

#[test]
fn triage_is_found_by_what_has_no_report() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let whose = accept(&store, "203.0.113.1:1");
    opened(&store, whose);
    for (upload, bytes) in [(1, b"one"), (2, b"two")] {
        keep(&store, whose, upload, bytes);
    }
    store.flush();
    let reader = Reader::open(dir.path()).unwrap();
    assert_eq!((reader.untriaged(10).unwrap().len(), reader.samples_count().unwrap()), (2, 2));
    assert_eq!(reader.untriaged(1).unwrap()[0].sha256, name(b"one"));
    let layer = Layer {
        depth: 1,
        name: Text::default(),
        state: "intact".to_owned(),
        kind: "pe".to_owned(),
        found_by: "stub-size-field".to_owned(),
        offset: 1,
        size: 2,
        sha256: name(b"n").to_string(),
    };
    let sha256 = name(b"one").to_string();
    store.publish(Event::SampleTriaged {
        sha256,
        layers: vec![layer.clone()],
        core: String::new(),
        family: String::new(),
        confidence: String::new(),
        rules: String::new(),
        error: String::new(),
    });
    store.flush();
    assert_eq!(reader.untriaged(10).unwrap()[0].sha256, name(b"two"));
    let sample = reader.sample(&name(b"one").to_string()).unwrap().unwrap();
    assert!(sample.triaged && sample.layers == [layer]);
}

#[test]
fn a_live_display_sees_events_in_order_after_they_are_committed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut live = store.subscribe();
    let reader = Reader::open(dir.path()).unwrap();
    for _ in 0..50 {
        opened(&store, accept(&store, "203.0.113.1:1"));
    }
    for seq in 1..=50 {
        let event = live.blocking_recv().unwrap();
        assert_eq!(event.seq, seq);
        assert_eq!(reader.events(seq - 1, &EventFilter::default(), 1).unwrap().events[0], *event);
    }
}

/// The data directory as a `kill -9` leaves it: nothing is closed, nothing dropped.
fn kill(store: Store, dir: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_folder(dir, copy.path());
    drop(store);
    copy
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Returns once the journal has committed what was appended, without making it durable.
fn committed(dir: &Path, seq: u64) {
    let reader = Reader::open(dir).unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while reader.last_seq().unwrap() < seq {
        assert!(std::time::Instant::now() < deadline, "the journal never committed");
        std::thread::yield_now();
    }
}

#[test]
fn what_had_arrived_when_the_process_was_killed_becomes_partial_samples() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (a, b) = (accept(&store, "203.0.113.1:1"), accept(&store, "203.0.113.2:1"));
    opened(&store, a);
    // Stale bytes of an earlier upload must not show through.
    keep(&store, a, 1, &[b'x'; 10_000]);
    keep(&store, a, 2, &[b'x'; 10_000]);
    store.flush();
    let mut holes = store.slot(&a, 3, Origin::DoublePulsar).unwrap();
    holes.write(0, b"head").unwrap();
    holes.write(100, b"tail").unwrap();
    // This one's connection never reached the journal.
    let mut plain = store.slot(&b, 1, Origin::DoublePulsarRaw).unwrap();
    plain.write(0, b"plain").unwrap();
    let empty = store.slot(&b, 2, Origin::DoublePulsar).unwrap();
    committed(dir.path(), 3);
    let copy = kill(store, dir.path());
    drop((holes, plain, empty));

    let store = open(copy.path());
    let recovered = store.recovered();
    assert_eq!((recovered.connections, recovered.samples, recovered.left), (2, 2, 0));
    let reader = Reader::open(copy.path()).unwrap();
    for (bytes, whose, upload, ranges) in
        [(&b"headtail"[..], a, 3, vec![[0, 4], [100, 104]]), (b"plain", b, 1, vec![[0, 5]])]
    {
        let sample = reader.sample(&name(bytes).to_string()).unwrap().unwrap();
        assert_eq!((sample.state, sample.size), (UploadState::Partial, bytes.len() as u64));
        assert_eq!(sample.ranges, ranges.into_iter().map(ByteRange::from).collect::<Vec<_>>());
        assert_eq!(std::fs::read(reader.sample_path(name(bytes))).unwrap(), bytes);
        let capture = &reader.captures(name(bytes)).unwrap()[0];
        assert_eq!((capture.connection, capture.upload, capture.recovered), (whose.connection, upload, true));
        let view = reader.connection(whose.connection).unwrap().unwrap();
        assert_eq!((view.reason, view.source), (Some(CloseReason::Killed), whose.source));
    }
    assert_eq!(reader.payloads(a.connection).unwrap().read(3, 101, 2).unwrap(), b"ai");
    assert_eq!(std::fs::read_dir(copy.path().join("spool")).unwrap().count(), 0);
    // And that was that: the next start has nothing to do.
    drop(store);
    assert_eq!(open(copy.path()).recovered(), Default::default());
}

#[test]
fn a_sample_killed_on_its_way_to_its_place_is_found_wherever_it_was() {
    use std::os::unix::fs::PermissionsExt;
    // Protected but not renamed; renamed but not on record.
    for renamed in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let whose = accept(&store, "203.0.113.1:1");
        opened(&store, whose);
        let mut slot = store.slot(&whose, 1, Origin::DoublePulsar).unwrap();
        slot.write(0, b"on its way").unwrap();
        committed(dir.path(), 1);
        let copy = kill(store, dir.path());
        drop(slot);
        let (spool, id) = (copy.path().join("spool"), name(b"on its way"));
        let note = std::fs::read_to_string(spool.join("0.note")).unwrap();
        let sealed = note.replace("\"sealed\":null", &format!("\"sealed\":\"{id}\""));
        assert_ne!(sealed, note);
        std::fs::write(spool.join("0.note"), sealed).unwrap();
        let data = spool.join("0.data");
        std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o400)).unwrap();
        std::fs::write(spool.join("0.joined"), "half").unwrap();
        if renamed {
            let place = id.path(copy.path());
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            std::fs::rename(data, place).unwrap();
        }
        assert_eq!(open(copy.path()).recovered().samples, 1);
        let reader = Reader::open(copy.path()).unwrap();
        assert_eq!(std::fs::read(reader.sample_path(id)).unwrap(), b"on its way");
        assert_eq!(reader.captures(id).unwrap().len(), 1);
        assert_eq!(std::fs::read_dir(spool).unwrap().count(), 0);
    }
}

#[test]
fn an_upload_killed_after_its_last_byte_is_complete() {
    use roridula_proto::event::{Answer, KeySource, Reason};
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let whose = accept(&store, "203.0.113.1:1");
    opened(&store, whose);
    let started = Event::UploadStarted {
        upload: 1,
        answer: Answer::Present,
        reason: Reason::PolicyPresent,
        total: Some(5),
        key: Some(9),
        key_source: KeySource::Seed,
        timeout: 1,
        mid: 66,
        stream_at: 0,
    };
    store.append_blocking(Batch {
        attribution: whose,
        events: vec![(whose.at, started)],
        changes: Changes::default(),
        closing: None,
    });
    let mut slot = store.slot(&whose, 1, Origin::DoublePulsar).unwrap();
    slot.write(0, b"whole").unwrap();
    committed(dir.path(), 2);
    let copy = kill(store, dir.path());
    drop(slot);
    drop(open(copy.path()));
    let sample = Reader::open(copy.path()).unwrap().sample(&name(b"whole").to_string()).unwrap().unwrap();
    assert_eq!((sample.state, sample.total), (UploadState::Complete, Some(5)));
}

#[test]
fn an_idle_store_gives_back_the_wal_and_the_spool() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let whose = accept(&store, "203.0.113.1:1");
    opened(&store, whose);
    keep(&store, whose, 1, b"one");
    keep(&store, whose, 2, b"one");
    let wal = dir.path().join("journal.sqlite-wal");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let idle = || {
        std::fs::metadata(&wal).unwrap().len() == 0
            && std::fs::read_dir(dir.path().join("spool")).unwrap().count() == 0
    };
    while !idle() {
        assert!(std::time::Instant::now() < deadline, "never came to rest");
        std::thread::yield_now();
    }
    drop(store);
}

#[test]
fn attribution_cannot_be_forged_by_what_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let whose = accept(&store, "[::ffff:203.0.113.5]:7");
    opened(&store, whose);
    let text = r#"","src_ip":"1.1.1.1","sensor":"x"#;
    let event = Event::Smb1Tree {
        path: text.into(),
        service: "?????".into(),
        trailing: "".into(),
        tid: 1,
        status: 0,
    };
    store.append_blocking(Batch {
        attribution: whose,
        events: vec![(whose.at, event)],
        changes: Changes::default(),
        closing: None,
    });
    store.flush();
    let page = Reader::open(dir.path()).unwrap().events(1, &EventFilter::default(), 1).unwrap();
    let json: serde_json::Value = serde_json::from_str(&page.events[0].to_json()).unwrap();
    assert_eq!(
        (&json["src_ip"], &json["sensor"], &json["path"]),
        (&"203.0.113.5".into(), &"porch".into(), &text.into())
    );
    assert_eq!(page.events[0].source, "203.0.113.5:7".parse::<SocketAddr>().ok());
}
