//! Visitors over real sockets: what they bring is kept, whatever they do.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod rig;

use rig::{Rig, connect, events, payload, plan, play, sample, sha256, upload, visit, wait_for};
use roridula_evidence::Reader;
use roridula_proto::client::visit::{Goal, Outcome, Visit};
use roridula_proto::connection::Input;
use roridula_proto::event::{ByteRange, CloseReason, Event, Origin, TranscriptState, UploadState};
use roridula_proto::limits::Limits;
use roridula_proto::transcript::Transcript;
use roridula_sensor::SensorOptions;
use std::io::{Read, Write};
use std::net::Shutdown;

#[test]
fn an_upload_is_kept_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::start(dir.path(), SensorOptions::default());
    let bytes = payload(1, 5 * 4096 + 777);
    let (outcome, _) = visit(rig.address, "127.0.0.2", upload(&bytes));
    assert_eq!(outcome, Outcome::Uploaded);
    let found = wait_for("the sample", || sample(dir.path(), &sha256(&bytes)));
    assert_eq!((found.size, found.state, found.captures), (bytes.len() as u64, UploadState::Complete, 1));
    let reader = Reader::open(dir.path()).unwrap();
    assert_eq!(std::fs::read(reader.sample_path(found.sha256)).unwrap(), bytes);
    let captured = &events(dir.path(), "sample.captured")[0];
    assert_eq!(captured.source.unwrap().ip().to_string(), "127.0.0.2");
    assert_eq!(captured.destination, Some(rig.address));
    let served = rig.stop();
    assert_eq!((served.connections, served.refused, served.faults), (1, 0, 0));

    let view = reader.connection(captured.connection.unwrap()).unwrap().unwrap();
    assert_eq!((view.reason, view.transcript), (Some(CloseReason::PeerClosed), TranscriptState::Complete));
    assert!(reader.transcript(view.connection).unwrap().unwrap().starts_with("roridula-transcript"));
    let first_and_last = [&events(dir.path(), "sensor.started"), &events(dir.path(), "sensor.stopped")];
    assert_eq!(first_and_last.map(Vec::len), [1, 1]);
}

#[test]
fn a_dropped_upload_is_kept_as_far_as_it_came() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::start(dir.path(), SensorOptions::default());
    let bytes = payload(2, 100 * 4096);
    let mut stream = connect(rig.address, "127.0.0.2");
    // Four requests come before the first chunk.
    play(&mut stream, &mut Visit::new(plan(upload(&bytes))), 4 + 37);
    drop(stream);
    let held = &bytes[..37 * 4096];
    let found = wait_for("the sample", || sample(dir.path(), &sha256(held)));
    assert_eq!((found.state, found.total), (UploadState::Partial, Some(bytes.len() as u64)));
    assert_eq!(found.ranges, [ByteRange { start: 0, end: held.len() as u64 }]);
    rig.stop();
}

#[test]
fn stopping_keeps_everything_that_is_under_way() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::start(dir.path(), SensorOptions::default());
    let idle: Vec<_> = (0..50).map(|_| connect(rig.address, "127.0.0.3")).collect();
    let bytes: Vec<_> = (0..8).map(|seed| payload(seed, 100 * 4096)).collect();
    let uploads: Vec<_> = bytes
        .iter()
        .map(|bytes| {
            let mut stream = connect(rig.address, "127.0.0.2");
            play(&mut stream, &mut Visit::new(plan(upload(bytes))), 4 + 9);
            stream
        })
        .collect();
    wait_for("all of them", || (events(dir.path(), "connection.opened").len() == 58).then_some(()));
    rig.stop();
    // No waiting here: everything is there when the stop returns.
    for bytes in &bytes {
        let found = sample(dir.path(), &sha256(&bytes[..9 * 4096])).unwrap();
        assert_eq!((found.state, found.captures), (UploadState::Partial, 1));
    }
    let closed = events(dir.path(), "connection.closed");
    let reasons = closed.iter().map(|event| match event.event {
        Event::ConnectionClosed { reason, .. } => reason,
        _ => unreachable!(),
    });
    assert_eq!(reasons.collect::<Vec<_>>(), [CloseReason::Shutdown; 58]);
    drop((idle, uploads));
}

#[test]
fn many_at_once_are_all_kept_and_the_same_bytes_once() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::start(dir.path(), SensorOptions::default());
    let variants: Vec<_> = (0..4).map(|seed| payload(seed, 60 * 4096 + 13)).collect();
    std::thread::scope(|scope| {
        for number in 0..24usize {
            let (bytes, address) = (&variants[number % 4], rig.address);
            scope.spawn(move || {
                let (outcome, _) = visit(address, &format!("127.0.1.{}", number + 1), upload(bytes));
                assert_eq!(outcome, Outcome::Uploaded);
            });
        }
    });
    rig.stop();
    let samples = Reader::open(dir.path()).unwrap().samples().unwrap();
    assert_eq!(samples.len(), 4);
    for bytes in &variants {
        let found = sample(dir.path(), &sha256(bytes)).unwrap();
        assert_eq!((found.captures, found.sources, found.state), (6, 6, UploadState::Complete));
    }
    assert_eq!(std::fs::read_dir(dir.path().join("spool")).unwrap().count(), 0);
}

#[test]
fn the_implants_seed_changes_after_an_upload_for_everybody_and_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::start(dir.path(), SensorOptions::default());
    let seed = |rig: &Rig, source: &str| visit(rig.address, source, Goal::Ping).1.pinged.unwrap().seed;
    let first = seed(&rig, "127.0.0.2");
    assert_eq!(seed(&rig, "127.0.0.3"), first);
    let bytes = payload(1, 4096);
    visit(rig.address, "127.0.0.2", upload(&bytes));
    let second = seed(&rig, "127.0.0.3");
    assert_ne!(second, first);
    rig.stop();
    let rig = Rig::start(dir.path(), SensorOptions::default());
    assert_eq!(seed(&rig, "127.0.0.4"), second);
    rig.stop();
}

#[test]
fn a_kill_silences_the_implant_for_that_source_only_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::start(dir.path(), SensorOptions::default());
    let is_present =
        |rig: &Rig, source: &str| visit(rig.address, source, Goal::Ping).1.pinged.unwrap().seed != 0;
    assert!(is_present(&rig, "127.0.0.2"));
    visit(rig.address, "127.0.0.2", Goal::Kill);
    assert!(!is_present(&rig, "127.0.0.2") && is_present(&rig, "127.0.0.3"));
    rig.stop();
    let rig = Rig::start(dir.path(), SensorOptions::default());
    assert!(!is_present(&rig, "127.0.0.2") && is_present(&rig, "127.0.0.3"));
    rig.stop();
}

#[test]
fn visitors_over_the_bound_are_turned_away_and_told_together() {
    let dir = tempfile::tempdir().unwrap();
    let options = SensorOptions { connections_per_source_max: 3, ..SensorOptions::default() };
    let rig = Rig::start(dir.path(), options);
    let held: Vec<_> = (0..3).map(|_| connect(rig.address, "127.0.0.2")).collect();
    wait_for("them", || (events(dir.path(), "connection.opened").len() == 3).then_some(()));
    for _ in 0..5 {
        let mut refused = connect(rig.address, "127.0.0.2");
        assert_eq!(refused.read(&mut [0; 8]).unwrap_or(0), 0);
    }
    assert_eq!(visit(rig.address, "127.0.0.3", Goal::Check).1.pinged, None);
    drop(held);
    let served = rig.stop();
    assert_eq!((served.connections, served.refused), (4, 5));
    let told = events(dir.path(), "connection.refused");
    let counts: Vec<_> = told
        .iter()
        .map(|event| match &event.event {
            Event::ConnectionRefused { limit, count } => (limit.as_str(), *count),
            _ => unreachable!(),
        })
        .collect();
    assert_eq!(counts, [("connections_per_source_max", 1), ("connections_per_source_max", 4)]);
    assert!(told.iter().all(|event| event.source.unwrap().ip().to_string() == "127.0.0.2"));
    assert!(told.iter().all(|event| event.connection.is_none()));
}

#[test]
fn a_visitor_who_never_reads_is_read_to_the_bound_and_let_go() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { stream_bytes_max: 32 * 1024 * 1024, ..Limits::default() };
    let options = SensorOptions { write_secs_max: 1, ..SensorOptions::default() };
    let rig = Rig::start_with(dir.path(), options, limits);
    let mut stream = connect(rig.address, "127.0.0.2");
    play(&mut stream, &mut Visit::new(plan(Goal::Check)), 2);
    // ECHO of 4000 bytes, again and again, the replies never taken.
    let mut echo = vec![0xff, b'S', b'M', b'B', 0x2b];
    echo.extend([0; 27]);
    echo[28..30].copy_from_slice(&0x800u16.to_le_bytes());
    echo.extend([1, 1, 0]);
    echo.extend(4000u16.to_le_bytes());
    echo.extend([b'e'; 4000]);
    let len = echo.len() as u32;
    echo.splice(..0, len.to_be_bytes());
    stream.set_write_timeout(Some(rig::DEADLINE)).unwrap();
    while stream.write_all(&echo).is_ok() {}
    let closed = wait_for("its end", || events(dir.path(), "connection.closed").pop());
    // Far more than the sockets' buffers hold: nobody waited for the replies to be taken.
    let Event::ConnectionClosed { reason, bytes_in, .. } = closed.event else { unreachable!() };
    assert_eq!(reason, CloseReason::Limit);
    assert!(bytes_in >= 32 * 1024 * 1024, "{bytes_in} bytes were read");
    rig.stop();
}

#[test]
fn silence_and_age_end_a_connection() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { idle_secs: 1, lifetime_secs: 2, ..Limits::default() };
    let rig = Rig::start_with(dir.path(), SensorOptions::default(), limits);
    let mut silent = connect(rig.address, "127.0.0.2");
    let busy = connect(rig.address, "127.0.0.3");
    let mut writer = busy.try_clone().unwrap();
    let talking = std::thread::spawn(move || {
        while writer.write_all(&[0x85, 0, 0, 0]).is_ok() {
            std::thread::yield_now();
        }
    });
    assert_eq!(silent.read(&mut [0; 8]).unwrap_or(0), 0);
    let closed = wait_for("both ends", || {
        let closed = events(dir.path(), "connection.closed");
        (closed.len() == 2).then_some(closed)
    });
    let mut reasons: Vec<_> = closed
        .iter()
        .map(|event| match event.event {
            Event::ConnectionClosed { reason, .. } => reason,
            _ => unreachable!(),
        })
        .collect();
    reasons.sort_unstable();
    assert_eq!(reasons, [CloseReason::Idle, CloseReason::Lifetime]);
    let _ = busy.shutdown(Shutdown::Both);
    talking.join().unwrap();
    rig.stop();
}

/// A frame of NBSS keep-alive and an ECHO before any negotiate: small messages that nobody claims.
fn small_frames(count: usize) -> Vec<u8> {
    let mut stream = Vec::new();
    for number in 0..count {
        let mut message = b"\xffSMB\x2b\0\0\0\0\x18\x07\xc0".to_vec();
        message.resize(32, 0);
        message.extend_from_slice(&[1, 1, 0, 8, 0]);
        message.extend_from_slice(&(number as u64).to_le_bytes());
        stream.extend_from_slice(&[0, 0, 0, message.len() as u8]);
        stream.extend_from_slice(&message);
    }
    stream
}

#[test]
fn what_a_transcript_has_no_room_for_is_kept_besides_and_replays() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { transcript_bytes_max: 4096, ..Limits::default() };
    let rig = Rig::start_with(dir.path(), SensorOptions::default(), limits);
    // Also a large message that nobody understands: a session setup with a blob of 3000 bytes.
    let mut large = b"\0\0\0\0\xffSMB\x73\0\0\0\0\x18\x07\xc0".to_vec();
    large.resize(4 + 32, 0);
    large.extend_from_slice(&[0, 0xb8, 0x0b]);
    large.extend_from_slice(&payload(9, 3000));
    large[2..4].copy_from_slice(&(35u16 + 3000).to_be_bytes());
    let sent = [large.clone(), small_frames(2000)].concat();
    let mut stream = connect(rig.address, "127.0.0.2");
    std::thread::scope(|scope| {
        let mut reading = stream.try_clone().unwrap();
        scope.spawn(move || std::io::copy(&mut reading, &mut std::io::sink()).unwrap());
        stream.write_all(&sent).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
    });
    rig.stop();

    let reader = Reader::open(dir.path()).unwrap();
    let origins: Vec<_> = reader.samples().unwrap().iter().map(|sample| sample.origin).collect();
    assert!(origins.contains(&Origin::UnknownBuffer) && origins.contains(&Origin::StreamRest), "{origins:?}");
    assert!(sample(dir.path(), &sha256(&large[4..])).is_some(), "the large message is a sample of its own");
    let view = reader.connections(None, 9).unwrap().remove(0);
    assert_eq!(view.transcript, TranscriptState::Complete);
    let transcript = Transcript::parse(&reader.transcript(view.connection).unwrap().unwrap()).unwrap();
    let mut again = Vec::new();
    let payloads = reader.payloads(view.connection).unwrap();
    transcript
        .inputs(&payloads, &mut |_, input| {
            if let Input::Bytes(bytes) = input {
                again.extend_from_slice(bytes);
            }
        })
        .unwrap();
    assert!(again == sent, "{} bytes of {}", again.len(), sent.len());
}
