//! Wireshark's dissector on our replies: nothing malformed, nothing that it warns of.

use roridula_lab::pcap::{self, Conversation, Side, tshark};
use roridula_lab::scenarios;
use roridula_proto::event::Transport;
use std::fs;

/// Whole worm uploads are 1300 equal replies; the small ones say the same.
const TOO_LONG: usize = 200_000;

/// Frames of the decoy that the dissector finds fault with: stream, command, what it says.
fn complaints(conversations: &[Conversation]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("decoy.pcap");
    fs::write(&file, pcap::file(conversations)).expect("a capture file");
    // 0x600000 is the severity `warning`. Only the decoy's packets: visitors may be as odd as they like.
    let odd =
        "ip.src == 192.0.2.20 && (_ws.malformed || _ws.expert.severity >= 0x600000 || tcp.analysis.flags)";
    let fields = ["-T", "fields", "-e", "tcp.stream", "-e", "smb.cmd", "-e", "_ws.expert.message"];
    tshark(&[&["-n", "-r", &file.to_string_lossy(), "-Y", odd][..], &fields].concat())
}

#[test]
fn our_replies_dissect_cleanly() {
    let mut names = Vec::new();
    let mut conversations = Vec::new();
    for scenario in scenarios::all() {
        let theatre = scenario.play();
        let len: usize = theatre.conversation.iter().map(|(_, bytes)| bytes.len()).sum();
        if len <= TOO_LONG && theatre.conversation.iter().any(|(from, _)| *from == Side::Decoy) {
            let port = if scenario.transport == Transport::NetBios { 139 } else { 445 };
            names.push((names.len(), scenario.name));
            conversations.push(Conversation { port, said: theatre.conversation });
        }
    }
    assert!(names.len() >= 25, "only {} scenarios were judged", names.len());
    assert_eq!(complaints(&conversations), "", "streams: {names:?}");
}

/// The judge is not blind: it sees a reply that ends inside its words.
#[test]
fn a_broken_reply_is_complained_of() {
    let scenario =
        scenarios::all().into_iter().find(|scenario| scenario.name == "wannacry-ping").expect("a ping");
    let mut said = scenario.play().conversation;
    let reply = said.iter_mut().find(|(from, _)| *from == Side::Decoy).expect("a reply");
    reply.1.truncate(50);
    reply.1[3] = 46;
    assert_ne!(complaints(&[Conversation { port: 445, said }]), "");
}
