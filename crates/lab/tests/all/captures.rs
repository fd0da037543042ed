//! Whole attacks against the real binary: what is on disk is what was sent.

use roridula_lab::attack::campaign::{play, upload_payload};
use roridula_lab::attack::cli::nth_source;
use roridula_lab::attack::report::Report;
use roridula_lab::attack::{Attack, Body, Kind, Order};
use roridula_lab::honeypot::{Honeypot, Start};
use roridula_lab::samples::cli::{Arch, sha256_hex};
use roridula_lab::samples::{X86, small_dll};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::thread;

fn attack(honeypot: &Honeypot, kind: Kind, seed: u64) -> Attack {
    Attack::new(kind, honeypot.address, seed)
}

fn play_well(attack: &Attack) -> Report {
    let report = play(attack).expect("the attack");
    assert!(report.succeeded, "{}", report.to_text());
    for connection in &report.connections {
        assert_eq!(connection.replies_not_in_one_piece, 0, "{}", report.to_text());
        assert_eq!(connection.chunks_signed, 0, "{}", report.to_text());
    }
    report
}

/// The sample of a payload is listed, and holds exactly its bytes.
fn expect_sample(honeypot: &Honeypot, sha256: &str, size: u64, state: &str) -> Value {
    let sample = honeypot.wait_for_sample(|sample| sample["sha256"] == sha256).expect("the sample");
    assert_eq!((&sample["size"], &sample["state"]), (&json!(size), &json!(state)), "{sample:#}");
    let bytes = honeypot.sample_bytes(sha256).expect("the sample's file");
    assert_eq!((sha256_hex(&bytes), bytes.len() as u64), (sha256.to_owned(), size));
    sample
}

#[test]
fn wannacry_is_caught_whole_for_both_architectures() {
    for (arch, size) in [(Arch::X86, 5_272_328), (Arch::X64, 5_304_320)] {
        let name = format!("implant.arch={arch:?}").to_lowercase();
        let mut honeypot = Start::default().set(&name).run().expect("a honeypot");
        let report = play_well(&attack(&honeypot, Kind::Wannacry, 7));
        let purposes: Vec<&str> = report.connections.iter().map(|connection| connection.purpose).collect();
        assert_eq!(purposes, ["check", "ping", "ping", "upload"]);
        assert_eq!(report.payloads[0].size, size);
        let sample = expect_sample(&honeypot, &report.payloads[0].sha256, size, "complete");
        assert_eq!((&sample["captures"], &sample["origin"]), (&json!(1), &json!("doublepulsar")));
        for field in ["md5", "sources", "first_seen", "last_seen"] {
            assert!(!sample[field].is_null(), "{field} in {sample:#}");
        }
        let captured = honeypot.wait_for(|event| event["eventid"] == "sample.captured").expect("its event");
        assert_eq!((&captured["sha256"], &captured["src_ip"]), (&sample["sha256"], &json!("127.0.0.1")));
        let stored = honeypot.events().expect("events from another process");
        assert!(stored.iter().any(|event| event == &captured), "the event is in the journal as it was told");
        assert!(stored.iter().any(|event| event["eventid"] == "ms17_010.probe"));
        assert_eq!(arch == Arch::X64, report.connections[1].implant_arch == Some("x64"));
    }
}

#[test]
fn a_dropped_upload_is_kept_to_its_last_byte() {
    let honeypot = Honeypot::start().expect("a honeypot");
    for (seed, drop_at) in [(1, 3_000_000), (2, 1), (3, 4096), (4, 4097), (5, 5_304_319)] {
        let drop_at = Some(drop_at);
        let report = play_well(&Attack { drop_at, ..attack(&honeypot, Kind::Wannacry, seed) });
        assert_eq!(Some(report.payloads[0].size), drop_at);
        expect_sample(&honeypot, &report.payloads[0].sha256, report.payloads[0].size, "partial");
    }
    // A look-alike of the lab's world is given up as well.
    let dropped = Attack { drop_at: Some(5600), ..attack(&honeypot, Kind::Upload, 6) };
    let report = upload_payload(&dropped, &small_dll(&X86, 70_000, 6)).expect("an upload");
    assert_eq!(report.payloads[0].size, 5600);
    expect_sample(&honeypot, &report.payloads[0].sha256, 5600, "partial");
}

#[test]
fn every_shape_becomes_a_sample() {
    let honeypot = Honeypot::start().expect("a honeypot");
    let shape = |kind, seed| attack(&honeypot, kind, seed);
    let raw = |size, seed| Attack { body: Body::Raw(size), ..shape(Kind::Upload, seed) };
    let attacks = [
        shape(Kind::Fuzzbunch, 1),
        shape(Kind::Metasploit, 2),
        raw(1, 3),
        raw(100, 4),
        raw(4096, 5),
        raw(40_960, 6),
        raw(123_457, 7),
        Attack { chunk: 1000, ..raw(50_000, 8) },
        Attack { chunk: 60_000, ..raw(250_000, 9) },
        Attack { order: Order::Reversed, ..raw(200_000, 10) },
        Attack { order: Order::Shuffled, ..raw(300_000, 11) },
        Attack { duplicate: true, ..raw(300_000, 12) },
        Attack { order: Order::Shuffled, chunk: 777, ..raw(60_000, 13) },
        Attack { uploads: 4, ..raw(30_000, 14) },
        Attack { body: Body::Dll(80_000), arch: Some(Arch::X86), ..shape(Kind::Fuzzbunch, 18) },
    ];
    for attack in attacks {
        let report = play_well(&attack);
        assert_eq!(report.payloads.len(), attack.uploads, "{attack:?}");
        for payload in &report.payloads {
            expect_sample(&honeypot, &payload.sha256, payload.size, "complete");
        }
    }
}

#[test]
fn a_wrong_key_is_recovered_and_its_raw_bytes_are_kept() {
    let honeypot = Honeypot::start().expect("a honeypot");
    let body = Body::Raw(100_000);
    let attack =
        Attack { key: Some(0x5e36_7352), stubborn: true, body, ..attack(&honeypot, Kind::Upload, 1) };
    let report = play(&attack).expect("the attack");
    let sample = expect_sample(&honeypot, &report.payloads[0].sha256, 100_000, "complete");
    assert_eq!(sample["origin"], "doublepulsar");
    let raw =
        honeypot.wait_for_sample(|sample| sample["origin"] == "doublepulsar-raw").expect("the raw bytes");
    let bytes = honeypot.sample_bytes(raw["sha256"].as_str().expect("a name")).expect("its file");
    let key = 0x5e36_7352_u32.to_le_bytes();
    let decoded: Vec<u8> = bytes.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
    assert_eq!(sha256_hex(&decoded), report.payloads[0].sha256);
}

#[test]
fn a_total_above_the_limit_is_kept_as_oversize() {
    let honeypot = Start::default().set("limits.upload_bytes_max=1000000").run().expect("a honeypot");
    let big = Attack { body: Body::Raw(1_500_000), stubborn: true, ..attack(&honeypot, Kind::Upload, 1) };
    play(&big).expect("the attack");
    let sample =
        honeypot.wait_for_sample(|sample| sample["state"] == "oversize").expect("what was kept of it");
    let bytes = honeypot.sample_bytes(sample["sha256"].as_str().expect("a name")).expect("its file");
    let sent = roridula_lab::samples::raw(1_500_000, 1);
    assert!(bytes.len() >= 999_000 && sent.starts_with(&bytes), "{} bytes", bytes.len());
    let lie = Attack { announce: Some(u32::MAX), stubborn: true, ..attack(&honeypot, Kind::Upload, 2) };
    let report = play(&lie).expect("the attack");
    let payload = &report.payloads[0];
    let kept =
        honeypot.wait_for_sample(|sample| sample["sha256"] == payload.sha256.as_str()).expect("all of it");
    assert_ne!(kept["state"], "complete");
}

#[test]
fn many_sources_at_once_are_each_caught() {
    const SOURCES: u32 = 24;
    let honeypot = Honeypot::start().expect("a honeypot");
    let reports: Vec<Report> = thread::scope(|scope| {
        let start = |number: u32| {
            let size = 50_000 + 1000 * number as usize;
            let source = Some(nth_source(number));
            let honest = attack(&honeypot, Kind::Upload, u64::from(number));
            let attack = Attack { source, body: Body::Raw(size), arch: Some(Arch::X64), ..honest };
            scope.spawn(move || play(&attack).expect("the attack"))
        };
        let workers: Vec<_> = (0..SOURCES).map(start).collect();
        workers.into_iter().map(|worker| worker.join().expect("a worker")).collect()
    });
    for (number, report) in (0..).zip(&reports) {
        // Somebody else's finished upload changes the key for everybody; a sender who pinged before that
        // encodes with the old one, as in life, and is still caught.
        let payload = &report.payloads[0];
        let sample = expect_sample(&honeypot, &payload.sha256, payload.size, "complete");
        assert_eq!(sample["sources"], 1, "{sample:#}");
        let captured = honeypot.events().expect("events");
        let source = nth_source(number).to_string();
        let own =
            |event: &&Value| event["eventid"] == "sample.captured" && event["sha256"] == sample["sha256"];
        let found = captured.iter().find(own).expect("its event");
        assert_eq!(found["src_ip"], source.as_str());
    }
    let names: BTreeSet<&str> = reports.iter().map(|report| report.payloads[0].sha256.as_str()).collect();
    assert_eq!(names.len(), SOURCES as usize);
}

#[test]
fn the_same_payload_again_is_one_sample() {
    let honeypot = Honeypot::start().expect("a honeypot");
    let mut last = String::new();
    for turn in 0..3 {
        let source = Some(nth_source(turn));
        let report = play_well(&Attack { source, ..attack(&honeypot, Kind::Fuzzbunch, 5) });
        last = report.payloads[0].sha256.clone();
    }
    let sample =
        honeypot.wait_for_sample(|sample| sample["sha256"] == last.as_str() && sample["captures"] == 3);
    assert_eq!(sample.expect("three captures")["sources"], 3);
    assert_eq!(honeypot.samples().expect("samples").len(), 1);
}

#[test]
fn a_killed_honeypot_finds_what_had_arrived() {
    use std::io::{Read, Write};
    let mut honeypot = Honeypot::start().expect("a honeypot");
    // An upload that stands still with 1,000,000 bytes sent while the honeypot is killed.
    let payload = roridula_lab::samples::raw(5_000_000, 77);
    let mut stream = roridula_lab::attack::socket::connect(honeypot.address, None).expect("a connection");
    let mut visit = upload_visit(&payload);
    let (mut frame, mut reply, mut sent) = (Vec::new(), Vec::new(), 0);
    while sent < 1_000_000 {
        let roridula_proto::client::visit::Next::Send(stage) = visit.next(&reply, &mut frame) else {
            panic!("the upload ended early")
        };
        stream.write_all(&frame).expect("a request");
        let mut buffer = [0; 1024];
        let len = stream.read(&mut buffer).expect("a reply");
        reply = buffer[..len].to_vec();
        sent += visit.payload_in_frame(stage).map_or(0, |(_, len)| len as usize);
    }
    honeypot.wait_for(|event| event["eventid"] == "upload.started").expect("the upload has begun");
    // What the honeypot acknowledged is on its way to disk; once most of it is there, the lights go out.
    wait_for_spool(&honeypot, 900_000);
    let (_, left) = honeypot.kill().expect("the kill");
    drop(stream);
    let honeypot = Start::default().data(&left.data).run().expect("a second start");
    let sample = honeypot.wait_for_sample(|sample| sample["state"] == "partial").expect("what had arrived");
    let bytes = honeypot.sample_bytes(sample["sha256"].as_str().expect("a name")).expect("its file");
    assert!(bytes.len() >= 900_000 && bytes.len() <= sent, "{} of {sent} bytes", bytes.len());
    assert!(payload.starts_with(&bytes), "recovered bytes are not those that were sent");
    let events = honeypot.events().expect("events");
    let recovered = |event: &&Value| event["eventid"] == "sample.captured" && event["recovered"] == true;
    assert!(events.iter().any(|event| recovered(&event)), "no event says that it was recovered");
    let (status, _) = honeypot.stop().expect("a clean stop");
    assert!(status.success(), "{status}");
}

fn upload_visit(payload: &[u8]) -> roridula_proto::client::visit::Visit<'_> {
    use roridula_proto::client::sender::Sender;
    use roridula_proto::client::upload::{KeyChoice, Upload, in_order};
    use roridula_proto::client::visit::{Goal, Plan, Visit};
    let upload = Upload { payload, chunks: in_order(payload.len(), 4096), key: KeyChoice::FromPing };
    Visit::new(Plan {
        sender: Sender::WannaCry,
        goal: Goal::Uploads(vec![upload]),
        path_host: "192.168.56.20".into(),
        later_target: true,
        stubborn: false,
        seed: 1,
    })
}

/// Waits until the data directory's spool holds so many bytes that are not zero.
fn wait_for_spool(honeypot: &Honeypot, bytes: usize) {
    let deadline = std::time::Instant::now() + roridula_lab::honeypot::PATIENCE;
    let held = || -> usize {
        let files = std::fs::read_dir(honeypot.data.join("spool")).into_iter().flatten().flatten();
        let read = files.filter_map(|file| std::fs::read(file.path()).ok());
        read.map(|bytes| bytes.iter().filter(|byte| **byte != 0).count()).max().unwrap_or(0)
    };
    while held() < bytes {
        assert!(std::time::Instant::now() < deadline, "{} bytes in the spool", held());
        thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// Nothing more can be written than 2 MB a file: what fits is kept, the rest is lost loudly, the honeypot stays.
#[test]
fn a_full_disk_is_loud_and_loses_no_more_than_it_must() {
    let mut honeypot = Start::default().file_bytes_max(2 << 20).run().expect("a honeypot");
    let report = play_well(&Attack { body: Body::Raw(5_000_000), ..attack(&honeypot, Kind::Upload, 1) });
    let failed = honeypot.wait_for(|event| event["eventid"] == "capture.failed").expect("a loud event");
    assert!(failed["bytes_lost"].as_u64().is_some_and(|lost| lost > 2_000_000), "{failed:#}");
    let kept = honeypot.wait_for_sample(|sample| sample["state"] == "partial").expect("what fitted");
    let bytes = honeypot.sample_bytes(kept["sha256"].as_str().expect("a name")).expect("its file");
    let sent = roridula_lab::samples::raw(5_000_000, 1);
    assert_eq!(sha256_hex(&sent), report.payloads[0].sha256);
    assert!(bytes.len() > 1_000_000 && sent.starts_with(&bytes), "{} bytes", bytes.len());
    assert!(honeypot.diagnostics().contains("ERROR"), "nothing on stderr: {}", honeypot.diagnostics());
    // It is still there, and what fits is still caught.
    let small = play_well(&Attack { body: Body::Raw(100_000), ..attack(&honeypot, Kind::Upload, 2) });
    expect_sample(&honeypot, &small.payloads[0].sha256, 100_000, "complete");
}

#[test]
fn a_reserve_of_disk_space_refuses_uploads_loudly() {
    let reserve = format!("capture.reserve_bytes={}", 1_u64 << 50);
    let mut honeypot = Start::default().set(&reserve).run().expect("a honeypot");
    // The attacker notices nothing.
    play_well(&attack(&honeypot, Kind::Upload, 1));
    let failed = honeypot.wait_for(|event| event["eventid"] == "capture.failed").expect("a loud event");
    assert_eq!(failed["bytes_lost"], 10_000);
    assert!(failed["error"].as_str().is_some_and(|error| error.contains("reserve")), "{failed:#}");
    assert_eq!(honeypot.samples().expect("samples").len(), 0);
}

#[test]
fn two_installs_answer_differently_and_one_stays_itself() {
    let report =
        |honeypot: &Honeypot| play_well(&attack(honeypot, Kind::Ping, 1)).connections[0].implant_seed;
    let one = Honeypot::start().expect("a honeypot");
    let other = Honeypot::start().expect("another");
    let (first, second) = (report(&one), report(&other));
    assert_ne!(first, second, "two installs have one implant seed");
    assert_eq!(report(&one), first, "the seed changed without an upload");
    let (status, left) = one.stop().expect("a clean stop");
    assert!(status.success(), "{status}");
    let again = Start::default().data(&left.data).run().expect("a second start");
    assert_eq!(report(&again), first, "the seed changed with a restart");
    play_well(&attack(&again, Kind::Upload, 1));
    again.wait_for_sample(|_| true).expect("the upload");
    assert_ne!(report(&again), first, "the seed did not change after an upload");
}

#[test]
fn a_kill_is_remembered_for_its_source_only() {
    let honeypot = Honeypot::start().expect("a honeypot");
    let from = |kind, number| Attack { source: Some(nth_source(number)), ..attack(&honeypot, kind, 1) };
    play_well(&from(Kind::Kill, 1));
    assert!(!play(&from(Kind::Ping, 1)).expect("a ping").succeeded, "the implant answers its killer");
    play_well(&from(Kind::Ping, 2));
}
