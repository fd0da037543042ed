//! What nobody knew yet, and old traffic with new eyes: `unknown`, `replay --all`, `pcap` of an incident.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod common;

use common::{Honeypot, json, roridula, text, wait_for};
use roridula_evidence::{Batch, Changes, Closing, Options, Store};
use roridula_proto::event::{CloseReason, Event, Transport};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

/// A recorded ping of the implant, small enough to need no sample.
const PING: &str = include_str!("../../../transcripts/wannacry-ping/session.txt");

/// `args` and `data`, owned: closures over both need one lifetime less.
fn with(args: &[&str], data: &[&str]) -> Vec<String> {
    args.iter().chain(data).map(|&arg| arg.to_owned()).collect()
}

fn text_of(args: &[String]) -> String {
    text(&args.iter().map(String::as_str).collect::<Vec<_>>())
}

fn json_of(args: &[String]) -> serde_json::Value {
    json(&args.iter().map(String::as_str).collect::<Vec<_>>())
}

fn roridula_of(args: &[String]) -> std::process::Output {
    roridula(&args.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Puts a connection on record as a version without recognisers would have: with its transcript, and unknown.
fn record_as_unknown(dir: &Path) -> String {
    let store = Store::open(dir, "old", Options::default()).unwrap();
    let whose = store.accept("203.0.113.9:4711".parse().unwrap(), "192.0.2.1:445".parse().unwrap());
    let fingerprint = Event::ClientFingerprint {
        fingerprint: "0123456789abcdef".into(),
        features: "order=72".into(),
        shape: "72 73 75 32".into(),
        tools: Vec::new(),
        grounds: Vec::new(),
        recognised: Vec::new(),
    };
    let closed = Event::ConnectionClosed {
        reason: CloseReason::PeerClosed,
        duration_us: 9000,
        bytes_in: 447,
        bytes_out: 0,
        events_dropped: 0,
    };
    let opened = Event::ConnectionOpened { transport: Transport::DirectTcp };
    let own = PING.lines().find(|line| line.starts_with("connection ")).unwrap();
    let transcript = PING.replace(own, &format!("connection {}", whose.connection));
    store.append_blocking(Batch {
        attribution: whose,
        events: [opened, fingerprint, closed].into_iter().map(|event| (whose.at, event)).collect(),
        changes: Changes::default(),
        closing: Some(Closing { transcript: Some(transcript), whole: true }),
    });
    store.flush();
    whose.connection.to_string()
}

#[test]
fn what_was_unknown_then_is_told_when_a_later_build_knows_it() {
    let dir = tempfile::tempdir().unwrap();
    let connection = record_as_unknown(dir.path());
    let data = ["--data", dir.path().to_str().unwrap()];
    let of = |args: &[&str]| with(args, &data);

    let unknown = json_of(&of(&["unknown", "--json"]));
    assert_eq!((&unknown[0]["shape"], &unknown[0]["connections"]), (&"72 73 75 32".into(), &1.into()));
    assert_eq!(unknown[0]["examples"][0], connection.as_str());

    for args in [&["replay", "--all"][..], &["replay", "--all", "--unknown"]] {
        let told = text_of(&of(args));
        assert!(told.contains("1 connections replayed"), "{told}");
        for news in ["doublepulsar-ping", "tool wannacry"] {
            let line = told.lines().find(|line| line.starts_with(news)).unwrap_or_else(|| panic!("{told}"));
            assert!(line.contains(&connection[7..]), "{line}");
        }
    }
    let outcome = json_of(&of(&["replay", "--all", "--json"]));
    assert_eq!(
        (&outcome["connection"], &outcome["same_events"]),
        (&connection.as_str().into(), &false.into())
    );
}

/// Something that no recogniser knows: a logon that is no logon, large enough to become a sample, and hostile names.
fn stranger(honeypot: &Honeypot) -> Vec<u8> {
    let dialects = b"\x02NT LM 0.12; native_os=Nmap\x1b[2J|x\0";
    let mut message = b"\xffSMB\x72\0\0\0\0\x18\x01\x28".to_vec();
    message.resize(33, 0);
    message.extend_from_slice(&(dialects.len() as u16).to_le_bytes());
    message.extend_from_slice(dialects);
    let mut large = b"\xffSMB\xfe\0\0\0\0\x18\x01\x28".to_vec();
    large.resize(33, 0);
    large.extend_from_slice(&2000u16.to_le_bytes());
    large.extend_from_slice(&[0x5a; 2000]);
    let mut stream = TcpStream::connect(honeypot.address).unwrap();
    for message in [&message, &large] {
        stream.write_all(&(message.len() as u32).to_be_bytes()).unwrap();
        stream.write_all(message).unwrap();
        let mut reply = [0; 512];
        assert!(stream.read(&mut reply).unwrap() > 4);
    }
    large
}

#[test]
fn a_strangers_bytes_are_kept_grouped_and_shown_without_harm() {
    let dir = tempfile::tempdir().unwrap();
    let honeypot = Honeypot::start(dir.path(), &[]);
    let large = stranger(&honeypot);
    stranger(&honeypot);
    let data = ["--data", dir.path().to_str().unwrap()];
    let of = |args: &[&str]| with(args, &data);
    let group = wait_for("the group", || {
        let groups = json_of(&of(&["unknown", "--json"]));
        let group = groups.as_array()?.iter().find(|group| group["connections"] == 2)?.clone();
        Some(group)
    });
    assert_eq!((&group["shape"], &group["sources"]), (&"72 fe".into(), &1.into()));
    let shown = text_of(&of(&["unknown", "--shape", "72 fe"]));
    assert!(
        !shown.contains('\x1b') && shown.contains(r"NT LM 0.12\u{3b} native_os=Nmap\u{1b}[2J\u{7c}x"),
        "{shown}"
    );

    let samples = wait_for("the sample", || {
        let samples = json_of(&of(&["samples", "list", "--json"]));
        samples.as_array().filter(|samples| !samples.is_empty()).cloned()
    });
    assert_eq!(samples.len(), 1, "the same bytes twice are one sample");
    assert_eq!((&samples[0]["origin"], &samples[0]["size"]), (&"unknown-buffer".into(), &large.len().into()));

    // The whole incident as packets, by its own name; both visits are one.
    let incident = wait_for("the incident", || {
        let incidents = json_of(&of(&["incidents", "list", "--json"]));
        let incident = incidents[0].clone();
        (incident["connections"] == 2).then_some(incident)
    });
    let name = incident["id"].as_str().unwrap();
    assert!(name.starts_with('i') && incident["outcome"] == "connected", "{incident}");
    let file = dir.path().join("incident.pcapng");
    text_of(&of(&["pcap", name, "--output", file.to_str().unwrap()]));
    let packets = std::fs::read(&file).unwrap();
    let copies = packets.windows(large.len().min(1000)).filter(|part| part.iter().all(|&byte| byte == 0x5a));
    assert!(copies.count() > 2, "the stranger's bytes are in the packets");
    let wrong = roridula_of(&of(&["pcap", "i0000000000000", "--output", "-"]));
    assert!(
        !wrong.status.success() && String::from_utf8_lossy(&wrong.stderr).contains("no incident"),
        "{wrong:?}"
    );
}

#[test]
fn what_is_no_filler_in_an_exploits_buffer_is_pointed_at() {
    let dir = tempfile::tempdir().unwrap();
    let honeypot = Honeypot::start(dir.path(), &[]);
    // A frame that never ends, zeros, and in them noise that means nothing.
    let noise = common::payload(320, 5);
    let mut groom = b"\0\0\xff\xf7\xfeSMB".to_vec();
    groom.resize(4 + 1024, 0);
    groom.extend_from_slice(&noise);
    groom.resize(4 + 4200, 0);
    let mut stream = TcpStream::connect(honeypot.address).unwrap();
    stream.write_all(&groom).unwrap();
    drop(stream);
    let data = ["--data", dir.path().to_str().unwrap()];
    let layers = wait_for("the report", || {
        let samples = json_of(&with(&["samples", "list", "--json"], &data));
        let sample = samples.as_array()?.iter().find(|sample| sample["origin"] == "exploit-buffer")?.clone();
        (sample["triaged"] == true).then(|| sample["layers"].clone())
    });
    let layer = &layers[0];
    assert_eq!(
        (&layer["kind"], &layer["found_by"]),
        (&"shellcode".into(), &"between-filler".into()),
        "{layers}"
    );
    let (start, size) = (layer["offset"].as_u64().unwrap(), layer["size"].as_u64().unwrap());
    // To the block of 16 bytes.
    assert!(start.abs_diff(1024) <= 16 && (start + size).abs_diff(1344) <= 16, "{layer}");
}
