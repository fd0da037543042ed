//! Negotiate, logons, trees: what Windows 7 answers, field by field.

use crate::support::{Client, decoy, legacy_bytes, legacy_words, tree_bytes, words};
use roridula_proto::connection::{ConnectionId, Input};
use roridula_proto::event::{CloseReason, Event, Transport};

#[test]
fn a_negotiate_without_extended_security_names_the_machine() {
    let mut client = Client::new(decoy());
    let reply = client.negotiate(&["PC NETWORK PROGRAM 1.0", "LANMAN1.0", "NT LM 0.12"]);
    assert_eq!((reply.words.len(), reply.words[0], reply.words[2]), (34, 2, 3));
    assert_eq!(reply.words[3..5], [50, 0], "MaxMpxCount");
    assert_eq!(reply.words[7..11], 4356u32.to_le_bytes(), "MaxBufferSize");
    assert_eq!(reply.words[19..23], 0x0001_e3fc_u32.to_le_bytes(), "Capabilities");
    assert_eq!(reply.words[33], 8);
    let names = crate::support::utf16(&decoy().identity.workgroup);
    assert_eq!(reply.bytes[8..8 + names.len()], names);
    assert!(reply.bytes.ends_with(&crate::support::utf16(&decoy().identity.computer)));
    assert_eq!(reply.bytes[..8], decoy().identity.challenge(ConnectionId(5).0));
}

#[test]
fn a_negotiate_with_extended_security_is_a_workgroup_machines() {
    let mut client = Client::new(decoy());
    client.flags2 = 0xc853;
    let reply = client.negotiate(&["NT LM 0.12", "SMB 2.002"]);
    assert_eq!((reply.message.len(), reply.bytes.len(), reply.flags2), (127, 58, 0xc853));
    assert_eq!(reply.words[19..23], 0x8001_e3fc_u32.to_le_bytes());
    assert_eq!(reply.bytes[..16], decoy().identity.guid);
    assert_eq!(reply.bytes[16..18], [0x60, 0x28]);
}

#[test]
fn no_common_dialect_and_old_ones() {
    assert_eq!(Client::new(decoy()).negotiate(&["SMB 2.???"]).message.len(), 37);
    assert_eq!(Client::new(decoy()).negotiate(&["SMB 2.???"]).words, [0xff, 0xff]);
    assert_eq!(Client::new(decoy()).negotiate(&[]).words, [0xff, 0xff]);
    assert_eq!(Client::new(decoy()).negotiate(&["LANMAN2.1"]).words.len(), 26);
    assert_eq!(Client::new(decoy()).negotiate(&["PC NETWORK PROGRAM 1.0"]).words, [0, 0]);
}

#[test]
fn a_second_negotiate_costs_the_connection() {
    let mut client = Client::new(decoy());
    client.negotiate(&["NT LM 0.12"]);
    assert_eq!(client.negotiate(&["NT LM 0.12"]).status, 0x0001_0002);
    assert!(client.is_closing());
    assert!(
        client.has(|event| matches!(event, Event::ConnectionClosed { reason: CloseReason::Refused, .. }))
    );
}

#[test]
fn what_is_no_smb_is_dropped_and_told() {
    let mut client = Client::new(decoy());
    assert_eq!(client.give(Input::Bytes(b"\0\0\0\x04\xfeSMB")).len(), 0);
    assert!(client.is_closing() && client.has(|event| matches!(event, Event::MessageMalformed { .. })));
    let mut client = Client::new(decoy());
    client.give(Input::Bytes(b"GET / HTTP/1.0\r\n\r\n"));
    assert!(client.is_closing());
}

#[test]
fn legacy_logons_by_account() {
    for (account, status) in [("", 0), ("Guest", 0xc000_0072), ("admin", 0xc000_006d)] {
        let mut client = Client::new(decoy());
        client.negotiate(&["NT LM 0.12"]);
        let reply = client.ask(0x73, &legacy_words(1, 0), &legacy_bytes(account));
        assert_eq!(reply.status, status, "{account}");
        if status == 0 {
            assert_eq!(
                (reply.uid, reply.words.clone()),
                (0x0800, {
                    let length = u16::try_from(reply.message.len()).unwrap();
                    words(&[0xff, length, 0])
                })
            );
        }
        assert!(
            client
                .has(|event| matches!(event, Event::Smb1Session { account: told, .. } if told.0 == account))
        );
    }
}

#[test]
fn the_reply_to_a_unicode_logon_lacks_its_last_byte_as_recorded() {
    let mut client = Client::new(decoy());
    client.negotiate(&["NT LM 0.12"]);
    let reply = client.ask(0x73, &legacy_words(1, 0), &legacy_bytes(""));
    let strings: usize =
        ["Windows 7 Professional 7601 Service Pack 1", "Windows 7 Professional 6.1", "WORKGROUP"]
            .iter()
            .map(|text| crate::support::utf16(text).len())
            .sum();
    assert_eq!(reply.message.len(), 32 + 1 + 6 + 2 + 1 + strings - 1);
}

/// NTLMSSP in SPNEGO, as impacket and smbclient send it.
fn spnego_init(token: &[u8]) -> Vec<u8> {
    let wrap = |tag: u8, body: &[u8]| [&[tag, u8::try_from(body.len()).unwrap()][..], body].concat();
    let mech = wrap(0x06, &[0x2b, 6, 1, 4, 1, 0x82, 0x37, 2, 2, 10]);
    let fields = [wrap(0xa0, &wrap(0x30, &mech)), wrap(0xa2, &wrap(0x04, token))].concat();
    let spnego = wrap(0x06, &[0x2b, 6, 1, 5, 5, 2]);
    wrap(0x60, &[spnego, wrap(0xa0, &wrap(0x30, &fields))].concat())
}

fn spnego_response(token: &[u8]) -> Vec<u8> {
    let wrap = |tag: u8, body: &[u8]| [&[tag, 0x81, u8::try_from(body.len()).unwrap()][..], body].concat();
    wrap(0xa1, &wrap(0x30, &wrap(0xa2, &wrap(0x04, token))))
}

fn extended(client: &mut Client, blob: &[u8]) -> crate::support::Reply {
    let len = u16::try_from(blob.len()).unwrap();
    let setup = words(&[0xff, 0, 4356, 10, 0, 0, 0, len, 0, 0, 0xd4, 0x8000]);
    client.ask(
        0x73,
        &setup,
        &[blob, &[0], &crate::support::utf16("Unix"), &crate::support::utf16("Samba")].concat(),
    )
}

fn authenticate(user: &str, nt: &[u8]) -> Vec<u8> {
    let user: Vec<u8> = user.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut message = b"NTLMSSP\0\x03\0\0\0".to_vec();
    let mut payload: Vec<u8> = Vec::new();
    for field in [&[][..], nt, &[], &user, &[], &[]] {
        let (len, at) = (u16::try_from(field.len()).unwrap(), u32::try_from(64 + payload.len()).unwrap());
        message.extend([len.to_le_bytes(), len.to_le_bytes()].concat());
        message.extend(at.to_le_bytes());
        payload.extend(field);
    }
    message.extend(0x0000_0201_u32.to_le_bytes());
    message.extend(payload);
    message
}

#[test]
fn an_ntlmssp_logon_takes_two_rounds_wrapped_or_bare() {
    let negotiate = b"NTLMSSP\0\x01\0\0\0\x97\x82\x08\xe2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    type Wrap = fn(&[u8]) -> Vec<u8>;
    for (first, second) in [(spnego_init as Wrap, spnego_response as Wrap), (<[u8]>::to_vec, <[u8]>::to_vec)]
    {
        for (user, nt, status) in [("", &[][..], 0), ("joe", &[9; 40][..], 0xc000_006d)] {
            let mut client = Client::new(decoy());
            client.flags2 = 0xc807;
            client.negotiate(&["NT LM 0.12"]);
            let challenge = extended(&mut client, &first(negotiate));
            assert_eq!((challenge.status, challenge.uid, challenge.words.len()), (0xc000_0016, 0x0800, 8));
            let at = challenge.bytes.windows(8).position(|window| window == b"NTLMSSP\0").unwrap();
            assert_eq!(challenge.bytes[at + 24..at + 32], decoy().identity.challenge(5));
            client.uid = challenge.uid;
            let done = extended(&mut client, &second(&authenticate(user, nt)));
            assert_eq!((done.status, done.words.is_empty()), (status, status != 0), "{user}");
            if !nt.is_empty() {
                let told = |event: &Event| matches!(event, Event::Smb1Session { response, .. } if response.starts_with("joe::"));
                assert!(client.has(told), "the response is kept for auditors");
            }
        }
    }
}

#[test]
fn a_refused_logon_leaves_no_session() {
    let mut client = Client::new(decoy());
    client.flags2 = 0xc807;
    client.negotiate(&["NT LM 0.12"]);
    let negotiate = b"NTLMSSP\0\x01\0\0\0\x97\x82\x08\xe2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    client.uid = extended(&mut client, negotiate).uid;
    let tree = words(&[0xff, 0, 8, 1]);
    assert_eq!(
        client.ask(0x75, &tree, &tree_bytes(r"\\h\IPC$", "IPC")).status,
        0x005b_0002,
        "not logged on yet"
    );
    extended(&mut client, &authenticate("joe", &[9; 40]));
    assert_eq!(client.ask(0x75, &tree, &tree_bytes(r"\\h\IPC$", "IPC")).status, 0x005b_0002);
}

#[test]
fn shares_are_those_of_a_workstation_to_the_null_session() {
    let mut client = Client::new(decoy());
    client.log_on();
    for (path, service, status) in [
        (r"\\SOMEONE-ELSE\ipc$", "IPC", 0),
        (r"\\10.0.0.1\IPC$", "A:", 0xc000_00cb),
        (r"\\h\C$", "?????", 0xc000_0022),
        (r"\\h\ADMIN$", "A:", 0xc000_0022),
        (r"\\h\C$", "IPC", 0xc000_00cb),
        (r"\\h\nothing", "?????", 0xc000_00cc),
        ("", "?????", 0xc000_00cc),
    ] {
        let reply = client.ask(0x75, &words(&[0xff, 0, 0, 1]), &tree_bytes(path, service));
        assert_eq!(reply.status, status, "{path} {service}");
    }
}

#[test]
fn the_short_tree_reply_and_identifiers_that_run_on() {
    let mut client = Client::new(decoy());
    client.log_on();
    client.flags2 = 0x4001;
    let short = client.ask(0x75, &words(&[0xff, 0, 0, 1]), b"\0\\\\h\\IPC$\0?????\0");
    assert_eq!(
        (short.words, short.bytes.as_slice(), short.tid),
        (words(&[0xff, 46, 1]), &b"IPC\0\0"[..], 0x0801)
    );
    let gone = client.ask(0x71, &[], &[]);
    assert_eq!((gone.status, gone.message.len()), (0, 35));
    assert_eq!(client.ask(0x71, &[], &[]).status, 0x0005_0002, "that TID is gone");
    let off = client.ask(0x74, &words(&[0xff, 0]), &[]);
    assert_eq!((off.message.len(), off.words), (39, words(&[0xff, 39])));
    assert_eq!(client.ask(0x74, &words(&[0xff, 0]), &[]).status, 0x005b_0002, "that UID is gone");
}

#[test]
fn status_codes_are_in_the_form_that_the_client_reads() {
    let mut client = Client::new(decoy());
    client.flags2 = 0x0001;
    client.negotiate(&["NT LM 0.12"]);
    // Without the bit and without CAP_STATUS32: a DOS error.
    let mut old = legacy_words(1, 0);
    old[22] = 0;
    let reply = client.ask(0x73, &old, b"\0admin\0DOM\0Unix\0x\0");
    assert_eq!((reply.status.to_le_bytes(), reply.flags2), ([2, 0, 2, 0], 0x0001));
}

#[test]
fn port_139_wants_a_session_first_and_445_wants_none() {
    let mut name = vec![0x20];
    name.extend(b"CKFDENECFDEFFCFGEFFCCACACACACACA\0");
    let request = [&[0x81, 0, 0, 68][..], &name, &name].concat();
    let mut client = Client::on(decoy(), Transport::NetBios);
    assert_eq!(client.give(Input::Bytes(&request)), [[0x82, 0, 0, 0]]);
    assert!(
        client.has(|event| matches!(event, Event::NetBiosSession { called, .. } if called.0 == "*SMBSERVER"))
    );
    assert_eq!(client.negotiate(&["NT LM 0.12"]).status, 0);
    assert!(client.give(Input::Bytes(&[0x85, 0, 0, 0])).is_empty() && !client.is_closing());
    let mut client = Client::new(decoy());
    client.give(Input::Bytes(&request));
    assert!(client.is_closing());
}
