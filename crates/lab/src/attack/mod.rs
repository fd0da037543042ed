//! The inert attacker: whole attacks, connection by connection, over real sockets on this machine.

pub mod campaign;
pub mod cli;
pub mod exploit;
pub mod report;
pub mod socket;

use crate::samples::cli::Arch;
use std::net::{IpAddr, SocketAddr};

/// Which attack is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// The worm: MS17-010 check, two pings, ping and upload, on four connections; where no implant answers,
    /// up to five rounds of EternalBlue's look-alike before.
    Wannacry,
    /// Check, ping, EternalBlue's look-alike, ping, upload, as the tool of --shape does it.
    Eternalblue,
    /// A ping, then ping and upload with a Timeout by chance in each packet, then a goodbye.
    Fuzzbunch,
    /// One exec packet with MID and Timeout by chance, no PE.
    Metasploit,
    /// The MS17-010 check alone.
    Check,
    /// The implant's ping alone, as the public checkers send it.
    Ping,
    /// A ping, then the implant's removal.
    Kill,
    /// Ping and upload on one connection, WannaCry's framing.
    Upload,
    /// A null session on IPC$, as smbclient opens one.
    Logon,
}

/// Whose EternalBlue is played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Shape {
    /// The original tool.
    #[default]
    Fuzzbunch,
    /// Metasploit's module.
    Metasploit,
}

/// In which order chunks go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Order {
    /// As the tools send them.
    #[default]
    InOrder,
    /// The last one first.
    Reversed,
    /// By chance (see the seed).
    Shuffled,
}

/// What is uploaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Whatever belongs to the kind of attack.
    OfKind,
    /// Stub and a DLL of so many bytes.
    Dll(usize),
    /// So many bytes of filler.
    Raw(usize),
}

/// One attack, settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attack {
    /// Which.
    pub kind: Kind,
    /// Whose EternalBlue, where the kind leaves that open.
    pub shape: Shape,
    /// The honeypot.
    pub target: SocketAddr,
    /// The address to come from.
    pub source: Option<IpAddr>,
    /// The payload's machine; what the implant says where none is given.
    pub arch: Option<Arch>,
    /// For payload variants and everything by chance.
    pub seed: u64,
    /// What is uploaded.
    pub body: Body,
    /// Bytes per chunk.
    pub chunk: u32,
    /// Their order.
    pub order: Order,
    /// Some chunks twice.
    pub duplicate: bool,
    /// Encode with this key, whatever the implant said.
    pub key: Option<u32>,
    /// Announce this total in every chunk.
    pub announce: Option<u32>,
    /// Announce this total from the second chunk on.
    pub announce_later: Option<u32>,
    /// Stop after so many payload bytes, in the middle of a frame if need be, and close.
    pub drop_at: Option<u64>,
    /// Stop after so many bytes of the exploit's main connection, or of the one connection that the kind
    /// makes, in the middle of a frame if need be, and close.
    pub cut_at: Option<u64>,
    /// Uploads on one connection.
    pub uploads: usize,
    /// Wait between connections as long as the worm does.
    pub real_timing: bool,
    /// Go on where the tool would give up.
    pub stubborn: bool,
    /// The check is the process's first: no stale bytes.
    pub first_target: bool,
}

impl Attack {
    /// This attack with nothing special about it.
    pub const fn new(kind: Kind, target: SocketAddr, seed: u64) -> Self {
        Self {
            kind,
            shape: Shape::Fuzzbunch,
            target,
            source: None,
            arch: None,
            seed,
            body: Body::OfKind,
            chunk: 4096,
            order: Order::InOrder,
            duplicate: false,
            key: None,
            announce: None,
            announce_later: None,
            drop_at: None,
            cut_at: None,
            uploads: 1,
            real_timing: false,
            stubborn: false,
            first_target: false,
        }
    }
}
