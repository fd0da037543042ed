//! Recorded attacks, described: what a console shows of them.

use roridula_proto::connection::{Decoy, Implant, Ms17010};
use roridula_proto::describe::{
    Described, DescribedMessage, Field, NOT_UNDERSTOOD, Page, Side, describe, place_at,
};
use roridula_proto::identity::{Identity, Secret};
use roridula_proto::limits::Limits;
use roridula_proto::persona::Persona;
use roridula_proto::time::WallClock;
use roridula_proto::transcript::{Payloads, Transcript};

/// Payload of one byte over and over.
struct Filler;

impl Payloads for Filler {
    fn read(&self, _upload: u32, _offset: u64, len: u32) -> Option<Vec<u8>> {
        Some(vec![0x5a; usize::try_from(len).ok()?])
    }
}

macro_rules! golden {
    ($name:literal) => {
        Transcript::parse(include_str!(concat!("../../../transcripts/", $name, "/session.txt"))).unwrap()
    };
}

fn decoy() -> Decoy {
    Decoy {
        identity: Identity::derive(Secret([3; 32]), WallClock(1_700_000_000_000_000)),
        persona: Persona::WINDOWS_7_SP1,
        limits: Limits::default(),
        implant: Implant::default(),
        ms17_010: Ms17010::Unpatched,
    }
}

fn page(transcript: &Transcript, at: u64, messages: usize) -> Described {
    describe(transcript, &decoy(), &Filler, Page { at, messages })
}

/// The first field with this name, at any depth.
fn find<'f>(fields: &'f [Field], name: &str) -> Option<&'f Field> {
    fields.iter().find_map(|field| if field.name == name { Some(field) } else { find(&field.fields, name) })
}

fn says<'m>(message: &'m DescribedMessage, name: &str) -> (&'m str, &'m str) {
    let field = find(&message.fields, name).unwrap_or_else(|| panic!("{}: no {name}", message.title));
    (&field.value, &field.meaning)
}

#[test]
fn a_moment_leads_to_the_message_before_it() {
    let transcript = golden!("wannacry-upload-x64");
    let place = |time| place_at(&transcript, &decoy(), &Filler, WallClock(time));
    let described = page(&transcript, 0, 64);
    let sent: Vec<_> = described.messages.iter().filter(|message| message.from == Side::Visitor).collect();
    for message in &sent {
        let by_then = sent.iter().filter(|other| other.at <= message.at);
        assert_eq!(place(message.at.0), by_then.max_by_key(|other| other.stream_at).unwrap().stream_at);
    }
    assert_eq!((place(0), place(u64::MAX) > 0), (0, true));
}

#[test]
fn a_worms_visit_is_told_message_by_message() {
    let transcript = golden!("wannacry-upload-x64");
    let described = page(&transcript, 0, 10);
    let titles: Vec<&str> = described.messages.iter().map(|message| message.title.as_str()).collect();
    assert_eq!(
        titles,
        [
            "NEGOTIATE",
            "NEGOTIATE reply",
            "SESSION_SETUP_ANDX",
            "SESSION_SETUP_ANDX reply",
            "TREE_CONNECT_ANDX",
            "TREE_CONNECT_ANDX reply",
            "TRANSACTION2 SESSION_SETUP: DoublePulsar ping",
            "TRANSACTION2 reply to DoublePulsar ping: done",
            "TRANSACTION2 SESSION_SETUP: DoublePulsar exec",
            "TRANSACTION2 reply to DoublePulsar exec: done",
        ]
    );
    let [negotiate, negotiated, setup, set_up, tree, _, ping, pong, exec, _] = &described.messages[..] else {
        panic!("ten messages")
    };
    assert_eq!(says(negotiate, "DialectName"), ("\"PC NETWORK PROGRAM 1.0\"", "dialect 0"));
    assert!(says(negotiate, "Flags2").1.contains("NT_STATUS, UNICODE"));
    assert_eq!(says(negotiated, "DialectIndex").0, "5");
    assert!(find(&negotiated.fields, "Challenge").is_some());
    assert_eq!(says(setup, "AccountName").1, "nobody: the null session");
    assert_eq!(says(setup, "NativeOS").0, "\"Windows 2000 2195\"");
    assert_eq!(says(set_up, "NativeOS").0, "\"Windows 7 Professional 7601 Service Pack 1\"");
    assert_eq!(says(tree, "Path").0, r#""\\192.168.56.20\IPC$""#);
    assert_eq!(says(tree, "Service").0, "\"?????\"");
    assert_eq!(says(ping, "Setup"), ("0x000e", "TRANS2_SESSION_SETUP"));
    assert_eq!(says(ping, "Timeout"), ("0x00ee3401", "sum of its bytes 0x23: DoublePulsar ping"));
    assert_eq!(says(pong, "Status").1, "STATUS_NOT_IMPLEMENTED");
    assert!(says(pong, "SecurityFeatures").1.ends_with(", x64"), "{:?}", says(pong, "SecurityFeatures"));
    assert_eq!(says(pong, "MID"), ("81", "65 of the request + 0x10: to DoublePulsar ping, done"));
    assert_eq!(says(exec, "Timeout").1, "sum of its bytes 0xc8: DoublePulsar exec");
    assert!(says(exec, "total").1.contains(" = 5304320: "), "{:?}", says(exec, "total"));
    assert!(says(exec, "length").1.contains(" = 4096: "));
    assert!(says(exec, "offset").1.contains(" = 0: "));
    let (_, data) = says(exec, "Data");
    assert!(data.starts_with("upload 1: bytes 0..4096 of 5304320; XOR 0xee3b3990 = 5a5a"), "{data}");
}

#[test]
fn an_outline_counts_chunks_and_pages_go_on() {
    let transcript = golden!("wannacry-upload-x64");
    let first = page(&transcript, 0, 10);
    let outline: Vec<(&str, u64)> =
        first.outline.iter().map(|heading| (heading.title.as_str(), heading.count)).collect();
    assert_eq!(
        outline[3..],
        [
            ("TRANSACTION2 SESSION_SETUP: DoublePulsar ping", 1),
            ("TRANSACTION2 SESSION_SETUP: DoublePulsar exec", 1295)
        ]
    );
    assert_eq!((first.total, first.earlier), (2 * 1299, None));
    let second = page(&transcript, first.later.unwrap(), 10);
    assert_eq!(second.messages[0].number, 10);
    assert!(says(&second.messages[0], "offset").1.contains(" = 4096: "));
    assert_eq!(second.earlier, Some(first.messages[0].stream_at));
    // A place inside a message shows that message.
    let within = page(&transcript, second.messages[0].stream_at + 100, 1);
    assert_eq!(within.messages[0], second.messages[0]);
    // Behind the end there is nothing, and what is there leads back.
    let behind = page(&transcript, u64::MAX, 10);
    assert!(behind.messages.is_empty() && behind.later.is_none() && behind.earlier.is_some());
}

#[test]
fn ranges_point_at_the_bytes() {
    let transcript = golden!("wannacry-upload-x64");
    let exec = page(&transcript, 459, 1).messages.remove(0);
    // Events name the message, which stands behind its frame's header.
    assert_eq!((exec.stream_at, exec.len, exec.from), (455, exec.bytes.len(), Side::Visitor));
    let timeout = find(&exec.fields, "Timeout").unwrap();
    assert_eq!(exec.bytes[timeout.range.clone()], [0x25, 0x89, 0x1a, 0]);
    let data = find(&exec.fields, "Data").unwrap();
    assert_eq!((data.range.len(), data.range.end), (4096, exec.len));
    assert!(find(&exec.fields, NOT_UNDERSTOOD).is_none(), "{:#?}", exec.fields);
}

#[test]
fn a_logon_is_taken_apart() {
    let described = page(&golden!("impacket-logon"), 0, 64);
    let message =
        |title: &str| described.messages.iter().filter(|message| message.title == title).collect::<Vec<_>>();
    let setups = message("SESSION_SETUP_ANDX");
    assert_eq!(says(setups[0], "MessageType"), ("1", "NEGOTIATE"));
    let challenge = message("SESSION_SETUP_ANDX reply: STATUS_MORE_PROCESSING_REQUIRED");
    assert_eq!(says(challenge[0], "MessageType").1, "CHALLENGE");
    assert!(find(&challenge[0].fields, "ServerChallenge").is_some());
    assert_eq!(says(setups[1], "MessageType").1, "AUTHENTICATE");
    assert!(says(setups[1], "UserName").0.len() > 2);
}

#[test]
fn what_nobody_knows_is_told_as_that() {
    let http = page(&golden!("http-request"), 0, 8);
    let only = &http.messages[0];
    assert_eq!(only.title, "not NetBIOS");
    assert!(find(&only.fields, NOT_UNDERSTOOD).is_some());
    let cut = page(&golden!("unfinished-frame"), 0, 64);
    let last = cut.messages.last().unwrap();
    assert!(last.notes.iter().any(|note| note.starts_with("unfinished: ")), "{:?}", last.notes);
    let check = page(&golden!("nmap-ms17-010"), 0, 64);
    let titles: Vec<_> = check.messages.iter().map(|message| message.title.as_str()).collect();
    assert!(titles.contains(&"TRANSACTION PEEK_NMPIPE on FID 0: check for MS17-010"), "{titles:?}");
    assert!(titles.contains(&"TRANSACTION reply: STATUS_INSUFF_SERVER_RESOURCES"), "{titles:?}");
}

#[test]
fn payload_that_is_gone_ends_the_description() {
    let transcript = golden!("wannacry-upload-x64");
    let described = describe(&transcript, &decoy(), &(), Page { at: 0, messages: 64 });
    assert_eq!(described.messages.len(), 8);
    assert!(described.gone.unwrap().contains("upload 1"));
}
