//! Recorded connections as packet captures, read back by Wireshark's dissectors.

use roridula_desk::pcapng::tcp::Ends;
use roridula_desk::pcapng::{self, Recorded};
use roridula_lab::attack::campaign::play;
use roridula_lab::attack::{Attack, Kind};
use roridula_lab::golden::{Golden, OwnedInput};
use roridula_lab::honeypot::{Honeypot, binary};
use roridula_lab::pcap::{Side, tshark};
use roridula_lab::theatre::decoy;
use roridula_lab::tidy::root;
use roridula_proto::client::chance::Chance;
use roridula_proto::transcript::{Transcript, replay};
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Parts several values of one field; no comment has it.
const PART: char = '\u{1f}';

/// The visitor's port in the first conversation.
const FIRST_PORT: u16 = 49_152;

/// A packet as tshark sees it.
#[derive(Debug)]
struct Frame {
    /// Number of the conversation, by the visitor's port.
    number: usize,
    from: Side,
    data: Vec<u8>,
    commands: Vec<u8>,
    comments: Vec<String>,
    is_malformed: bool,
    /// Analysis flags of TCP and checksums that are not good.
    faults: String,
    source: String,
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).expect("hexadecimal") as u8;
    text.as_bytes().as_chunks::<2>().0.iter().map(|&[high, low]| digit(high) << 4 | digit(low)).collect()
}

/// A decimal or hexadecimal number.
fn number(text: &str) -> u32 {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    }
    .unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Reads a file with checksums validated; `more` are further arguments.
fn frames(file: &Path, more: &[&str]) -> Vec<Frame> {
    let part = format!("aggregator={PART}");
    let mut args = vec!["-n", "-r", file.to_str().expect("UTF-8"), "-T", "fields", "-E", &part];
    args.extend(["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"]);
    for field in [
        "tcp.srcport",
        "tcp.dstport",
        "frame.packet_flags_direction",
        "tcp.payload",
        "smb.cmd",
        "frame.comment",
        "_ws.malformed",
        "tcp.analysis.flags",
        "tcp.checksum.status",
        "ip.checksum.status",
        "ip.src",
        "ipv6.src",
    ] {
        args.extend(["-e", field]);
    }
    args.extend(more);
    tshark(&args).lines().map(frame).collect()
}

fn frame(line: &str) -> Frame {
    let fields: Vec<&str> = line.split('\t').collect();
    let [source, destination, direction, data, commands, comments, malformed, flags, tcp, ip, v4, v6] =
        fields[..]
    else {
        panic!("{line}")
    };
    let parts = |text: &str| -> Vec<String> {
        text.split(PART).filter(|part| !part.is_empty()).map(str::to_owned).collect()
    };
    // 1: good. IPv6 has no checksum of its own.
    let bad = [("tcp", tcp == "1"), ("ip", ip == "1" || !v6.is_empty())];
    let bad = bad.iter().filter(|(_, good)| !good).map(|(name, _)| format!(" bad {name} checksum"));
    let from = if number(direction) == 1 { Side::Visitor } else { Side::Decoy };
    let visitor = if from == Side::Visitor { source } else { destination };
    Frame {
        number: usize::from(visitor.parse::<u16>().expect("a port").wrapping_sub(FIRST_PORT)),
        from,
        data: unhex(data),
        commands: parts(commands).iter().map(|command| number(command) as u8).collect(),
        comments: parts(comments),
        is_malformed: !malformed.is_empty(),
        faults: flags.to_owned() + &bad.collect::<String>(),
        source: format!("{v4}{v6}"),
    }
}

/// All bytes that one side sent in a conversation.
fn said(frames: &[Frame], number: usize, by: Side) -> Vec<u8> {
    let of = frames.iter().filter(|frame| (frame.number, frame.from) == (number, by));
    of.flat_map(|frame| frame.data.iter().copied()).collect()
}

/// The SMB messages in a stream of NBSS frames.
fn messages(stream: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    let mut rest = stream;
    while let [kind, high, middle, low, body @ ..] = rest {
        let len = u32::from_be_bytes([0, *high, *middle, *low]) as usize;
        let Some(body) = body.get(..len) else { break };
        if *kind == 0 && body.starts_with(b"\xffSMB") && len > 32 {
            found.push(body);
        }
        rest = &rest[4 + len..];
    }
    found
}

/// The commands of a message, and what each of those that can be followed by another says of that.
fn commands(message: &[u8]) -> Vec<u8> {
    const ANDX: [u8; 8] = [0x24, 0x2d, 0x2e, 0x2f, 0x73, 0x74, 0x75, 0xa2];
    let mut found = vec![message[4]];
    let mut words = 32;
    while let Some(&[count, next, _, low, high]) = message.get(words..words + 5)
        && ANDX.contains(&found[found.len() - 1])
        && count >= 2
    {
        found.push(next);
        words = usize::from(u16::from_le_bytes([low, high]));
        if next == 0xff || words < 33 {
            break;
        }
    }
    found
}

fn goldens() -> Vec<Golden> {
    let mut folders: Vec<_> = fs::read_dir(root().join("transcripts"))
        .expect("transcripts/")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders.iter().map(|folder| Golden::load(folder).unwrap_or_else(|error| panic!("{error:#}"))).collect()
}

/// Every other conversation over IPv6.
fn ends(number: usize) -> Ends {
    let address = |text: String| text.parse().expect("an address");
    let port = usize::from(FIRST_PORT) + number;
    if number.is_multiple_of(2) {
        Ends::new(address(format!("192.0.2.1:{port}")), address("192.0.2.2:445".into()))
    } else {
        Ends::new(address(format!("[2001:db8::1]:{port}")), address("[2001:db8::2]:445".into()))
    }
}

/// What an uninterrupted replay receives and sends: both streams.
fn both(golden: &Golden) -> (Vec<u8>, Vec<u8>) {
    let mut sent = Vec::new();
    let replayed = replay(&golden.transcript, &decoy(), &golden.payloads, &mut |_, _, output| {
        sent.extend_from_slice(&output.send);
    });
    replayed.expect("payload of a golden");
    let received = golden.inputs.iter().filter_map(|(_, input)| match input {
        OwnedInput::Bytes(bytes) => Some(bytes.as_slice()),
        _ => None,
    });
    (received.collect::<Vec<_>>().concat(), sent)
}

/// A file of these transcripts, and tshark's view of it.
fn written(goldens: &[Golden], decode: bool) -> Vec<Frame> {
    let decoy = decoy();
    let recorded: Vec<Recorded<'_>> = (0..)
        .zip(goldens)
        .map(|(number, golden)| Recorded {
            transcript: &golden.transcript,
            payloads: &golden.payloads,
            decoy: &decoy,
            ends: ends(number),
        })
        .collect();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("all.pcapng");
    let file = fs::File::create(&path).expect("a file");
    let result = pcapng::write(std::io::BufWriter::new(file), &recorded, decode).expect("a capture file");
    assert_eq!(result.gone, []);
    let frames = frames(&path, &[]);
    assert_eq!(frames.len() as u64, result.packets, "tshark sees every packet");
    frames
}

fn expect_valid(frames: &[Frame]) {
    for (number, frame) in (1..).zip(frames) {
        assert_eq!(frame.faults, "", "frame {number}: {frame:?}");
    }
}

#[test]
fn every_transcript_is_one_valid_conversation() {
    let goldens = goldens();
    let frames = written(&goldens, false);
    expect_valid(&frames);
    for (number, golden) in goldens.iter().enumerate() {
        let name = golden.name();
        let (received, sent) = both(golden);
        assert!(said(&frames, number, Side::Visitor) == received, "{name}: not what the visitor sent");
        assert!(said(&frames, number, Side::Decoy) == sent, "{name}: not what it was answered");
        let own: Vec<&Frame> = frames.iter().filter(|frame| frame.number == number).collect();
        let last = own.iter().rev().flat_map(|frame| &frame.comments).next().expect("a last comment");
        assert!(last.starts_with("closed (") || last.contains("fingerprint"), "{name}: {last}");
        let first = &own[0].comments[0];
        assert!(first.contains(&golden.transcript.opening().id.to_string()), "{name}: {first}");
        let (family, v6) = (&own[0].source, "2001:db8::1");
        assert_eq!(number % 2 == 1, family == v6, "{name}");
    }
}

/// The dissector reads the messages that were sent, one for one.
#[test]
fn the_dissector_agrees_on_every_message() {
    let goldens = goldens();
    let frames = written(&goldens, false);
    for (number, golden) in goldens.iter().enumerate() {
        let (received, sent) = both(golden);
        for (by, bytes) in [(Side::Visitor, received), (Side::Decoy, sent)] {
            let mut expected: Vec<u8> = messages(&bytes).into_iter().flat_map(commands).collect();
            if golden.name() == "pipelined" && by == Side::Visitor {
                // Its last message comes byte by byte; a dissector wants a NetBIOS header in one segment.
                expected.pop();
            }
            let own: Vec<&Frame> =
                frames.iter().filter(|frame| (frame.number, frame.from) == (number, by)).collect();
            let seen: Vec<u8> = own.iter().flat_map(|frame| frame.commands.iter().copied()).collect();
            assert_eq!(seen, expected, "{} by {by:?}", golden.name());
            let malformed = own.iter().find(|frame| frame.is_malformed);
            assert!(malformed.is_none(), "{}: {malformed:?}", golden.name());
        }
    }
}

/// What the exec messages of a decoded conversation upload, put together by their plain parameters.
fn uploaded(visitor: &[u8]) -> Vec<u8> {
    let mut upload = Vec::new();
    for message in messages(visitor).into_iter().filter(|message| message[4] == 0x32 && message.len() > 78) {
        let word = |at: usize| u32::from_le_bytes(message[at..at + 4].try_into().expect("4 bytes")) as usize;
        let (total, len, offset) = (word(66), word(70), word(74));
        upload.resize(total, 0);
        upload[offset..offset + len].copy_from_slice(&message[78..78 + len]);
    }
    upload
}

#[test]
fn decoded_chunks_are_the_sample_and_say_so() {
    let goldens = goldens();
    let frames = written(&goldens, true);
    expect_valid(&frames);
    let whole = [
        "fuzzbunch-upload",
        "upload-reversed",
        "upload-shuffled",
        "upload-under-a-chunk",
        "upload-wrong-key",
        "wannacry-upload-x64",
        "wannacry-upload-x86",
    ];
    for (number, golden) in goldens.iter().enumerate() {
        let own: Vec<&Frame> = frames.iter().filter(|frame| frame.number == number).collect();
        let marked =
            |frame: &Frame| frame.comments.iter().any(|comment| comment.contains(", DECODED: on the wire"));
        // Whatever differs from the wire says so.
        let (received, sent) = both(golden);
        assert!(said(&frames, number, Side::Decoy) == sent, "{}: another reply", golden.name());
        let mut at = 0;
        for frame in own.iter().filter(|frame| frame.from == Side::Visitor) {
            let wire = &received[at..at + frame.data.len()];
            at += frame.data.len();
            assert!(frame.data == wire || marked(frame), "{}: {frame:?}", golden.name());
        }
        assert_eq!(at, received.len(), "{}", golden.name());
        if whole.contains(&golden.name().as_str()) {
            let upload = uploaded(&said(&frames, number, Side::Visitor));
            assert!(Some(upload.as_slice()) == golden.payloads.get(1), "{}: another upload", golden.name());
        }
        // A chunk that the connection's end cut off is known for one when its bytes had long come.
        if golden.name() == "upload-cut" {
            let last = own.iter().rev().find(|frame| !frame.data.is_empty() && frame.from == Side::Visitor);
            assert!(last.is_some_and(|frame| marked(frame)), "{last:?}");
        }
    }
}

/// Golden visits with bytes changed and cut anywhere, and times that turn back.
fn mangled(golden: &Golden, chance: &mut Chance) -> Golden {
    let text = golden.transcript.to_text();
    let is_entry = |line: &str| ["> ", "x ", "! ", "t ", "= ", "~"].iter().any(|mark| line.starts_with(mark));
    let head = text.lines().take_while(|line| !is_entry(line));
    let mut text: String = head.map(|line| format!("{line}\n")).collect();
    for (at, input) in golden.inputs.iter().take(40) {
        let OwnedInput::Bytes(bytes) = input else { continue };
        let mut bytes = bytes.clone();
        for _ in 0..chance.below(4) {
            let place = chance.below(bytes.len());
            bytes[place] = chance.next_bytes()[0];
        }
        bytes.truncate(chance.below(bytes.len() * 4) + 1);
        let at = if chance.below(9) == 0 { u64::MAX >> chance.below(64) } else { at.0 };
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        text += &format!("> {at}\n  {hex}\n");
    }
    text += ["= 5 reset\n> 6\n  00\n", "= 5 closed\n", "~\n", ""][chance.below(4)];
    let transcript = Transcript::parse(&text).expect("a transcript");
    let mut inputs = Vec::new();
    transcript
        .inputs(&(), &mut |now, input| inputs.push((now, OwnedInput::from(input))))
        .expect("no payload");
    Golden { transcript, inputs, payloads: golden.payloads.clone(), folder: golden.folder.clone() }
}

#[test]
fn whatever_a_transcript_holds_becomes_a_valid_file() {
    let goldens = goldens();
    for seed in 0..4 {
        let mut chance = Chance::new(seed);
        let odd: Vec<Golden> = goldens.iter().map(|golden| mangled(golden, &mut chance)).collect();
        let frames = written(&odd, seed % 2 == 1);
        expect_valid(&frames);
        assert!(
            frames.iter().filter(|frame| !frame.data.is_empty()).count() > 100,
            "hardly anything was sent"
        );
        for (number, golden) in odd.iter().enumerate() {
            let first = frames.iter().find(|frame| frame.number == number).expect("a first packet");
            let is_cut = first.comments.iter().any(|comment| comment.contains("TRUNCATED"));
            assert_eq!(is_cut, !golden.transcript.is_complete(), "{}", golden.name());
            let received = both(golden).0;
            let sent = said(&frames, number, Side::Visitor);
            // Nothing is invented; what a transcript has behind a connection's end is left out.
            assert!(sent.len() <= received.len(), "{}", golden.name());
            assert!(seed % 2 == 1 || received.starts_with(&sent), "{}", golden.name());
        }
    }
}

fn pcap(data: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.arg("pcap").args(args).arg("--data").arg(data).stdin(Stdio::null());
    command.output().expect("roridula runs")
}

fn refusal(output: &Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_real_visit_reads_as_it_went() {
    let mut honeypot = Honeypot::start().expect("a honeypot");
    let report = play(&Attack::new(Kind::Wannacry, honeypot.address, 7)).expect("the attack");
    let closed = honeypot.wait_for_count(4, |event| event["eventid"] == "connection.closed").expect("four");
    let payload = &report.payloads[0];
    honeypot.wait_for_sample(|sample| sample["sha256"] == payload.sha256.as_str()).expect("the sample");
    let text = |event: &serde_json::Value, name: &str| event[name].as_str().expect("a text").to_owned();
    let ids: Vec<String> = closed.iter().map(|event| text(event, "connection")).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("visit.pcapng");
    let file = path.to_str().expect("UTF-8");
    let args: Vec<&str> = ids.iter().rev().map(String::as_str).chain(["-o", file, "--decoded"]).collect();
    let output = pcap(&honeypot.data, &args);
    let said_so = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said_so}");
    let port = honeypot.address.port();
    assert!(said_so.contains(&format!("tcp.port=={port},nbss")), "{said_so}");
    let frames = frames(&path, &["-d", &format!("tcp.port=={port},nbss")]);
    expect_valid(&frames);
    assert!(frames.iter().all(|frame| frame.source == "127.0.0.1" && !frame.is_malformed));
    let comments: Vec<&String> = frames.iter().flat_map(|frame| &frame.comments).collect();
    for expected in [
        "MS17-010 probe: answered vulnerable",
        "DoublePulsar ping: answered present (policy-present), x64",
        "upload 1 begins: 5304320 bytes announced",
        "upload 1: bytes 4096..8192 of 5304320, DECODED",
        "closed (peer-closed)",
    ] {
        assert!(comments.iter().any(|comment| comment.starts_with(expected)), "no {expected}");
    }
    let upload_port = closed[3]["src_port"].as_u64().expect("a port") as u16;
    let upload = uploaded(&said(&frames, usize::from(upload_port.wrapping_sub(FIRST_PORT)), Side::Visitor));
    assert!(upload == honeypot.sample_bytes(&payload.sha256).expect("its file"), "not what was caught");

    let again = refusal(&pcap(&honeypot.data, &[&ids[0], "-o", file]));
    assert!(again.contains("exists"), "{again}");
    let piped = pcap(&honeypot.data, &[&ids[0]]);
    assert!(piped.status.success() && piped.stdout.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]));
    let unknown = refusal(&pcap(&honeypot.data, &["0000000000001"]));
    assert!(unknown.contains("no connection") && unknown.contains("connections list"), "{unknown}");
    let neither = refusal(&pcap(folder.path(), &["nosuch.txt"]));
    assert!(neither.contains("`nosuch.txt` is no file, and no journal in"), "{neither}");
    // The same transcript where its samples are not: as far as it goes, and it says so.
    let transcript = folder.path().join("visit.txt");
    fs::write(&transcript, honeypot.ask(&["connections", "show", &ids[3], "--transcript"]).expect("a text"))
        .expect("a file");
    let part = folder.path().join("part.pcapng");
    let (from, to) = (transcript.to_str().expect("UTF-8"), part.to_str().expect("UTF-8"));
    let gone = refusal(&pcap(folder.path(), &[from, "-o", to]));
    assert!(gone.contains("not among the samples") && gone.contains("end there"), "{gone}");
    assert!(self::frames(&part, &[]).len() > 10);
    let shown = format!("'{}' pcap {} --data '{}'", binary().display(), ids[0], honeypot.data.display());
    let terminal = Command::new("script").args(["-qec", &shown, "/dev/null"]).output().expect("script");
    let screen = String::from_utf8_lossy(&terminal.stdout).into_owned();
    assert!(!terminal.status.success() && screen.contains("--output"), "{screen}");
}
