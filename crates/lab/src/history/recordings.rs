//! What strangers say: recorded visits of real clients and the lab's oddities, played again word for word.

use crate::golden::OwnedInput;
use crate::pcap::Side;
use crate::scenarios;
use anyhow::{Context, anyhow};
use roridula_proto::event::Transport;
use roridula_proto::transcript::{Payloads, Transcript};

/// Visits of real clients: what was recorded of nmap's scripts, impacket and smbclient.
const CLIENTS: &[(&str, &str)] = &[
    ("nmap-version", include_str!("../../../../transcripts/nmap-version/session.txt")),
    ("nmap-os-discovery", include_str!("../../../../transcripts/nmap-os-discovery-1/session.txt")),
    ("nmap-ms17-010", include_str!("../../../../transcripts/nmap-ms17-010/session.txt")),
    ("nmap-double-pulsar", include_str!("../../../../transcripts/nmap-double-pulsar/session.txt")),
    ("impacket-anonymous", include_str!("../../../../transcripts/impacket-anonymous/session.txt")),
    ("impacket-logon", include_str!("../../../../transcripts/impacket-logon/session.txt")),
    ("impacket-rpc-bind", include_str!("../../../../transcripts/impacket-rpc-bind/session.txt")),
    ("smbclient-logon", include_str!("../../../../transcripts/smbclient-logon/session.txt")),
    ("smbclient-shares", include_str!("../../../../transcripts/smbclient-shares/session.txt")),
];

/// Scenarios whose traffic nobody understands, or that is no SMB at all.
const STRANGERS: &[&str] = &[
    "romance-like",
    "champion-like",
    "sambacry-like",
    "ms08-067-like",
    "notpetya-knock",
    "http-request",
    "no-common-dialect",
    "unknown-command",
    "before-negotiate",
    "netbios-session",
    "unfinished-frame",
];

/// What one visitor sends, and on which of our ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Recording {
    pub(super) name: &'static str,
    pub(super) port: u16,
    pub(super) sent: Vec<Vec<u8>>,
}

/// All of them: the scanners and clients, then the strangers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Recordings {
    pub(super) clients: Vec<Recording>,
    pub(super) strangers: Vec<Recording>,
}

struct NoPayloads;

impl Payloads for NoPayloads {
    fn read(&self, _: u32, _: u64, _: u32) -> Option<Vec<u8>> {
        None
    }
}

impl Recordings {
    /// Reads them all.
    pub(super) fn load() -> anyhow::Result<Self> {
        let clients = CLIENTS.iter().map(|&(name, text)| client(name, text)).collect::<Result<_, _>>()?;
        let scenarios = scenarios::all();
        let strangers = STRANGERS.iter().map(|&name| {
            let scenario = scenarios.iter().find(|scenario| scenario.name == name).context(name)?;
            let conversation = scenario.play().conversation.into_iter();
            let sent = conversation.filter(|(side, _)| *side == Side::Visitor).map(|(_, bytes)| bytes);
            let port = if scenario.transport == Transport::NetBios { 139 } else { 445 };
            Ok(Recording { name, port, sent: sent.collect() })
        });
        Ok(Self { clients, strangers: strangers.collect::<anyhow::Result<_>>()? })
    }
}

fn client(name: &'static str, text: &str) -> anyhow::Result<Recording> {
    let transcript = Transcript::parse(text).map_err(|error| anyhow!("{name}: {error}"))?;
    let mut sent = Vec::new();
    transcript.inputs(&NoPayloads, &mut |_, input| {
        if let OwnedInput::Bytes(bytes) = OwnedInput::from(input) {
            sent.push(bytes);
        }
    })?;
    Ok(Recording { name, port: 445, sent })
}
