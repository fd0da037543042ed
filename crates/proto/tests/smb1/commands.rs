//! Chains, pipes, transactions in pieces, refusals, bounds.

use crate::support::{Client, Reply, decoy, frame, legacy_bytes, legacy_words, message, utf16, words};
use roridula_proto::connection::{CaptureOp, Input};
use roridula_proto::event::{CloseReason, Event, UploadState};
use roridula_proto::limits::Limits;
use roridula_proto::time::Timestamp;
use roridula_proto::wire::doublepulsar::{ExecParameters, key_from_seed};

#[test]
fn an_andx_chain_is_one_reply() {
    let mut client = Client::new(decoy());
    client.negotiate(&["NT LM 0.12"]);
    let mut setup_words = legacy_words(1, 0);
    let setup = client.build(0x73, &setup_words, &legacy_bytes(""));
    setup_words[0] = 0x75;
    setup_words[2..4].copy_from_slice(&u16::try_from(setup.len()).unwrap().to_le_bytes());
    let mut chain = client.build(0x73, &setup_words, &legacy_bytes(""));
    let tree = words(&[0xff, 0, 0, 1]);
    chain.push(4);
    chain.extend(&tree);
    let bytes = b"\0\\\0\\\0h\0\\\0I\0P\0C\0$\0\0\0IPC\0";
    // The path must stand at an even place.
    let pad = usize::from(chain.len().is_multiple_of(2));
    let bytes = [&bytes[..1], &vec![0; pad], &bytes[1..]].concat();
    chain.extend(u16::try_from(bytes.len()).unwrap().to_le_bytes());
    chain.extend(&bytes);
    let replies = client.give(Input::Bytes(&frame(&chain)));
    assert_eq!(replies.len(), 1);
    let reply = &replies[0][4..];
    assert_eq!((reply[4], &reply[5..9]), (0x73, &[0; 4][..]));
    assert_eq!(
        (&reply[24..26], &reply[28..30]),
        (&[0, 8][..], &[0, 8][..]),
        "TID and UID of the whole chain"
    );
    assert_eq!(reply[33], 0x75);
    let second = usize::from(u16::from_le_bytes([reply[35], reply[36]]));
    assert_eq!((reply[second], reply[second + 1]), (3, 0xff));
    assert!(reply.ends_with(b"IPC\0\0\0\0"));
}

#[test]
fn a_chain_that_fails_or_goes_back_ends() {
    let mut client = Client::new(decoy());
    client.negotiate(&["NT LM 0.12"]);
    for offset in [0u16, 32, 33, 0xffff] {
        let mut setup = legacy_words(1, 0);
        setup[0] = 0x73;
        setup[2..4].copy_from_slice(&offset.to_le_bytes());
        let message = client.build(0x73, &setup, &legacy_bytes(""));
        assert_eq!(client.give(Input::Bytes(&frame(&message))).len(), 1, "{offset}");
    }
}

#[test]
fn pipes_open_as_on_windows_and_talk_rpc() {
    let mut client = Client::new(decoy());
    client.log_on();
    let create = |client: &mut Client, name: &str, flags: u8| {
        let mut create = vec![0xff, 0, 0, 0, 0, u8::try_from(name.len()).unwrap(), 0, flags];
        create.resize(48, 0);
        let request = client.build(0xa2, &create, &[&[0][..], &utf16(name)].concat());
        client.give(Input::Bytes(&frame(&request))).remove(0).split_off(4)
    };
    for refused in ["\\spoolss", "\\browser", "\\svcctl", "\\nothing"] {
        assert_eq!(create(&mut client, refused, 0)[5..9], 0xc000_0022_u32.to_le_bytes(), "{refused}");
    }
    // The long reply says 42 words and has 50, as on Windows.
    let long = create(&mut client, "\\lsarpc", 0x10);
    assert_eq!((&long[5..9], long.len(), long[32]), (&[0; 4][..], 135, 42));
    assert_eq!(long[38..40], [0x00, 0x40], "the first FID");
    let short = create(&mut client, "\\LSARPC", 0);
    assert_eq!((short.len(), short[32], &short[38..40]), (103, 34, &[0x01, 0x40][..]));
    rpc(&mut client);
    assert_eq!(client.ask(0x04, &words(&[0x4000, 0, 0]), &[]).status, 0);
    assert_eq!(client.ask(0x04, &words(&[0x4000, 0, 0]), &[]).status, 0xc000_0008);
}

/// A bind by WRITE_ANDX and READ_ANDX, a request by TRANSACT_NMPIPE, on FID 0x4000.
fn rpc(client: &mut Client) {
    let mut bind =
        vec![5, 0, 11, 3, 0x10, 0, 0, 0, 72, 0, 0, 0, 1, 0, 0, 0, 0xb8, 0x10, 0xb8, 0x10, 0, 0, 0, 0, 1];
    bind.resize(72, 0);
    let read = words(&[0xff, 0, 0x4000, 0, 0, 1024, 0, 0, 0, 0]);
    assert_eq!(client.ask(0x2e, &read, &[]).status, 0xc000_00d9, "nothing to read yet");
    let data_at = 32 + 1 + 28 + 2 + 1;
    let mut write = words(&[0xff, 0, 0x4000, 0, 0, 0, 0, 8, 0, 0, 72, data_at, 0, 0]);
    let written = client.ask(0x2f, &write, &[&[0][..], &bind].concat());
    assert_eq!((written.status, &written.words[4..6]), (0, &[72, 0][..]));
    let answer = client.ask(0x2e, &read, &[]);
    let at = usize::from(u16::from_le_bytes([answer.words[12], answer.words[13]]));
    assert_eq!((answer.status, &answer.message[at..at + 3]), (0, &[5, 0, 12][..]), "bind_ack");
    let request = [5, 0, 0, 3, 0x10, 0, 0, 0, 24, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 44, 0];
    let transact =
        [words(&[0, 24, 0, 1024, 0, 0, 0, 0, 0, 0, 0, 24]), words(&[84, 2, 0x26, 0x4000])].concat();
    let fault = client.ask(0x25, &transact, &[&utf16("\\PIPE\\")[..3], &[0; 14], &request].concat());
    assert_eq!(fault.status, 0);
    let at = usize::from(u16::from_le_bytes([fault.words[14], fault.words[15]]));
    assert_eq!(fault.message[at + 2], 3, "a fault");
    write[4] = 9;
    assert_eq!(client.ask(0x2f, &write, &[0]).status, 0xc000_0008, "another FID");
}

#[test]
fn unknown_and_refused_commands_get_windows_status() {
    let mut client = Client::new(decoy());
    client.log_on();
    assert_eq!(client.ask(0xfe, &[], &[]).status, 0x0016_0002);
    assert_eq!(client.ask(0x06, &words(&[0]), b"\x04x\0").status, 0xc000_0022);
    let trans2 = |function| words(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, function]);
    for (function, status) in
        [(0x0e, 0xc000_0002), (0x10, 0xc000_0225), (0x05, 0xc000_0022), (0x77, 0xc000_000d)]
    {
        assert_eq!(client.ask(0x32, &trans2(function), &[0]).status, status, "{function:#x}");
    }
    assert!(client.has(|event| matches!(event, Event::Smb1Refused { command: 0x32, subcommand: 0x77, .. })));
    client.uid = 0x0999;
    assert_eq!(client.ask(0x32, &trans2(5), &[0]).status, 0x005b_0002);
    client.uid = 0x0800;
    client.tid = 0x0999;
    assert_eq!(client.ask(0x25, &trans2(0x23), &[0]).status, 0x0005_0002);
    assert_eq!(client.ask(0x32, &[], &[]).status, 0x0001_0002, "no words");
    assert!(client.has(|event| matches!(event, Event::MessageMalformed { command: 0x32, .. })));
}

#[test]
fn an_echo_comes_back_and_does_not_amplify() {
    let mut client = Client::new(decoy());
    client.negotiate(&["NT LM 0.12"]);
    let echo = client.build(0x2b, &words(&[1]), b"JlJmIhClBsr\0");
    let reply = client.message(&echo);
    assert_eq!(
        (reply.message.len(), reply.words.as_slice(), reply.bytes.as_slice()),
        (49, &[1, 0][..], &echo[37..])
    );
    let many = client.build(0x2b, &words(&[0xffff]), b"x");
    assert!(client.replies(&many).len() <= 4);
}

fn exec_secondaries(client: &mut Client, payload: &[u8], mid: u16) -> Vec<Reply> {
    let key = key_from_seed(decoy().identity.implant_seed(0));
    let total = u32::try_from(payload.len()).unwrap();
    let params = ExecParameters { total, chunk: total, offset: 0 }.encode(key);
    let wire: Vec<u8> =
        payload.iter().zip(key.to_le_bytes().into_iter().cycle()).map(|(a, b)| a ^ b).collect();
    let len = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap();
    let (first, rest) = wire.split_at(1000);
    let head = [12, len(&wire), 1, 0, 0, 0, 0x8925, 0x001a, 0, 12, 66, len(first), 78, 1, 14];
    client.mid = mid;
    let mut replies = vec![client.ask(0x32, &words(&head), &[&[0][..], &params, first].concat())];
    for (at, piece) in (0u16..).step_by(1500).zip(rest.chunks(1500)) {
        // WordCount 9: totals, no parameters, data count, offset, displacement, FID.
        let secondary = words(&[12, len(&wire), 0, 0, 0, len(piece), 53, 1000 + at, 0]);
        let secondary = client.build(0x33, &secondary, piece);
        replies.extend(client.replies(&secondary));
    }
    replies
}

#[test]
fn an_exec_in_secondary_requests_is_one_chunk() {
    let mut client = Client::new(decoy());
    client.log_on();
    let payload: Vec<u8> = (0..4000u32).map(|at| at.to_le_bytes()[0] ^ 0x5a).collect();
    let replies = exec_secondaries(&mut client, &payload, 66);
    let said: Vec<_> = replies.iter().map(|reply| (reply.status, reply.mid, reply.message.len())).collect();
    assert_eq!(said, [(0, 66, 35), (0xc000_0002, 82, 35)], "interim, silence, then the implant");
    assert_eq!(client.output.payload, payload);
    assert!(client.has(|event| matches!(
        event,
        Event::UploadFinished { state: UploadState::Complete, received: 4000, .. }
    )));
}

#[test]
fn an_exec_that_never_becomes_whole_is_kept_at_the_end() {
    let mut client = Client::new(decoy());
    client.log_on();
    let payload = vec![0x77; 4000];
    let key = key_from_seed(decoy().identity.implant_seed(0));
    let params = ExecParameters { total: 4000, chunk: 4000, offset: 0 }.encode(key);
    let wire: Vec<u8> =
        payload.iter().zip(key.to_le_bytes().into_iter().cycle()).map(|(a, b)| a ^ b).collect();
    let head = words(&[12, 4000, 1, 0, 0, 0, 0x8925, 0x001a, 0, 12, 66, 1000, 78, 1, 14]);
    client.ask(0x32, &head, &[&[0][..], &params, &wire[..1000]].concat());
    client.end();
    assert_eq!(client.output.payload, payload[..1000]);
    let partial =
        |op: &CaptureOp| matches!(op, CaptureOp::End { state: UploadState::Partial, total: Some(4000), .. });
    assert!(client.output.capture.iter().any(partial));
}

#[test]
fn the_exploits_mixture_of_transactions_is_answered_as_recorded() {
    let mut client = Client::new(decoy());
    client.log_on();
    client.mid = 64;
    // NT_TRANSACT: 30 parameters, 66,512 bytes of data in all, 976 here; then TRANS2_SECONDARYs.
    let mut nt = vec![1, 0, 0];
    for value in [30u32, 66_512, 30, 0, 30, 75, 976, 104] {
        nt.extend(value.to_le_bytes());
    }
    nt.extend([1, 0, 0, 0, 0]);
    let interim = client.ask(0xa0, &nt, &vec![0; 3 + 30 - 1 + 976]);
    assert_eq!((interim.command, interim.status, interim.message.len()), (0xa0, 0, 35));
    for piece in 0..16u32 {
        let displacement = u16::try_from((976 + piece * 4096) % 65_536).unwrap();
        let secondary = words(&[0, 4096, 0, 0, 0, 4096, 53, displacement, 0]);
        let secondary = client.build(0x33, &secondary, &[0x41; 4096]);
        let replies = client.replies(&secondary);
        assert_eq!(replies.len(), usize::from(piece == 15), "silence until the last");
        if let Some(last) = replies.first() {
            assert_eq!((last.command, last.status, last.message.len()), (0x32, 0xc000_000d, 88));
            assert_eq!((last.words.len(), last.bytes.len()), (20, 33));
        }
    }
}

#[test]
fn secondaries_without_a_beginning_and_too_many_beginnings() {
    let mut client = Client::new(decoy());
    client.log_on();
    let secondary = words(&[0, 10, 0, 0, 0, 10, 53, 0, 0]);
    assert_eq!(client.ask(0x33, &secondary, &[0; 10]).status, 0x0001_0002);
    let head = words(&[0, 4000, 1, 0, 0, 0, 0, 0, 0, 0, 66, 1, 66, 1, 14]);
    for mid in 0..9u16 {
        client.mid = 1000 + mid;
        let status = if mid < 8 { 0 } else { 0xc000_0205 };
        assert_eq!(client.ask(0x32, &head, &[0, 0]).status, status, "{mid}");
    }
    assert!(
        client.has(|event| matches!(event, Event::LimitReached { limit, .. } if limit == "transactions_max"))
    );
}

#[test]
fn many_messages_in_one_read_get_one_reply_each() {
    let mut client = Client::new(decoy());
    client.log_on();
    let echo = frame(&client.build(0x2b, &words(&[1]), b"a"));
    let mut stream = [echo.clone(), echo.clone(), vec![0x85, 0, 0, 0], echo].concat();
    // Longer than the SMB inside: the rest of the frame is nobody's.
    let mut padded = client.build(0x2b, &words(&[1]), b"b");
    padded.extend([0xee; 18]);
    stream.extend(frame(&padded));
    assert_eq!(client.give(Input::Bytes(&stream)).len(), 4);
    assert_eq!(client.output.writes.len(), 4);
}

#[test]
fn a_frame_over_the_bound_and_a_frame_without_an_end() {
    let mut client = Client::new(decoy());
    client.give(Input::Bytes(&[0, 0x10, 0, 0]));
    assert!(client.is_closing());
    assert!(client.has(|event| matches!(event, Event::LimitReached { limit, value: 0x0010_0000 } if limit == "frame_bytes_max")));
    let mut client = Client::new(decoy());
    client.give(Input::Bytes(b"\0\0\xff\xf7\xfeSMB"));
    client.end();
    assert!(client.has(|event| *event == Event::FrameUnfinished { claimed: 0xfff7, arrived: 4 }));
}

#[test]
fn time_closes_what_is_idle_and_what_stays_too_long() {
    let limits = Limits { idle_secs: 10, lifetime_secs: 15, ..Limits::default() };
    for (bytes_at, reason) in [(0u64, CloseReason::Idle), (9, CloseReason::Lifetime)] {
        let mut decoy = decoy();
        decoy.limits = limits.clone();
        let mut client = Client::new(decoy);
        let mut output = roridula_proto::connection::Output::default();
        let connection = client.connection();
        connection.handle(Timestamp(bytes_at * 1_000_000), Input::Bytes(&[0x85, 0, 0, 0]), &mut output);
        let due = connection.deadline();
        assert_eq!(due, Timestamp((bytes_at + 10).min(15) * 1_000_000));
        connection.handle(Timestamp(due.0 - 1), Input::Tick, &mut output);
        assert_eq!(output.close, None, "too early");
        connection.handle(due, Input::Tick, &mut output);
        assert_eq!(output.close, Some(reason));
    }
}

#[test]
fn events_are_bounded_and_the_rest_is_counted() {
    let mut decoy = decoy();
    decoy.limits.events_max = 5;
    let mut client = Client::new(decoy);
    for _ in 0..9 {
        client.give(Input::Bytes(&frame(&message(0xfe, 0xc007, [0; 4], &[], &[]))));
    }
    client.end();
    let closed = |event: &Event| matches!(event, Event::ConnectionClosed { events_dropped: 4, .. });
    // Beyond the five: the fingerprint and the end, which are always told.
    assert!(client.events.len() <= 8 && client.has(closed), "{:?}", client.events);
}

#[test]
fn a_connection_may_send_only_so_much() {
    let mut decoy = decoy();
    decoy.limits.stream_bytes_max = 1000;
    let mut client = Client::new(decoy);
    for _ in 0..250 {
        client.give(Input::Bytes(&[0x85, 0, 0, 0]));
    }
    assert!(!client.is_closing(), "1000 bytes are allowed");
    client.give(Input::Bytes(&[0x85]));
    assert!(
        client.has(|event| matches!(event, Event::LimitReached { limit, .. } if limit == "stream_bytes_max"))
    );
    assert!(client.has(|event| matches!(event, Event::ConnectionClosed { reason: CloseReason::Limit, .. })));
}
