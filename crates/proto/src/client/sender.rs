//! Who sends what: the constants by which the tools of 2017 are told apart.

use super::chance::Chance;
use super::implant::Opcode;
use super::request::{Header, Setup, Tree, WINDOWS_2000};

/// A tool whose traffic the visitor has the shape of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sender {
    /// The worm: replayed FuzzBunch traffic, constant Timeouts, a path of somebody else's network.
    WannaCry,
    /// The original tool: a Timeout by chance for each packet, the target's own address in the path.
    FuzzBunch,
    /// Metasploit's DoublePulsar module: MID and Timeouts by chance, one chunk, no PE.
    Metasploit,
    /// The public checkers (nmap, NetExec, goMS17): a constant Timeout of their own.
    Checker,
    /// Countercept's removal script.
    Countercept,
    /// Samba's client, logging on as nobody through NTLMSSP.
    Smbclient,
}

/// A conversation's preliminaries: negotiate, session setup, tree connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// Dialects offered.
    pub dialects: &'static [&'static str],
    /// Flags2 of negotiate, session setup, tree connect and what follows.
    pub flags2: [u16; 4],
    /// Process id.
    pub pid: u16,
    /// Multiplex id of the preliminaries.
    pub mid: u16,
    /// The session setup.
    pub setup: Setup,
    /// NativeOS and NativeLanMan.
    pub native: [&'static str; 2],
    /// Whether the logon is NTLMSSP's two messages.
    pub extended: bool,
    /// Whether the tree connect asks for the extended response, in Unicode.
    pub extended_tree: bool,
    /// A byte count of the tree connect that never changes.
    pub tree_byte_count: Option<u16>,
}

/// The public checkers' preliminaries, which WannaCry's MS17-010 check shares byte for byte.
const CHECK: Manner = Manner {
    dialects: &["LANMAN1.0", "LM1.2X002", "NT LANMAN 1.0", "NT LM 0.12"],
    flags2: [0x2801, 0x2001, 0x2001, 0x2801],
    pid: 0x4b2f,
    mid: 0x5ec5,
    setup: Setup {
        andx_offset: 0,
        max_buffer: 0xffdf,
        max_mpx: 2,
        vc: 1,
        password_len: 0,
        capabilities: 0x40,
        domain: ".",
        unicode: false,
    },
    native: WINDOWS_2000,
    extended: false,
    extended_tree: false,
    tree_byte_count: None,
};

/// FuzzBunch's preliminaries.
const FUZZBUNCH: Manner = Manner {
    dialects: &[
        "PC NETWORK PROGRAM 1.0",
        "LANMAN1.0",
        "Windows for Workgroups 3.1a",
        "LM1.2X002",
        "LANMAN2.1",
        "NT LM 0.12",
    ],
    flags2: [0xc053, 0xc007, 0xc007, 0xc007],
    pid: 0xfeff,
    mid: 64,
    setup: Setup {
        andx_offset: 0x88,
        max_buffer: 4356,
        max_mpx: 10,
        vc: 0,
        password_len: 1,
        capabilities: 0xd4,
        domain: "",
        unicode: true,
    },
    native: WINDOWS_2000,
    extended: false,
    extended_tree: true,
    tree_byte_count: None,
};

/// The preliminaries of Metasploit's EternalBlue module: one dialect, all texts ASCII. What follows them is
/// everybody's template.
const METASPLOIT_EXPLOIT: Manner = Manner {
    dialects: &["NT LM 0.12"],
    flags2: [0x6801, 0x6001, 0x6001, 0xc007],
    pid: 0xfeff,
    mid: 64,
    ..CHECK
};

/// smbclient's.
const SMBCLIENT: Manner = Manner {
    dialects: &["NT LANMAN 1.0", "NT LM 0.12"],
    flags2: [0xc843, 0xc843, 0xc843, 0xc843],
    pid: 0x3b2c,
    mid: 1,
    setup: Setup { andx_offset: 0, max_buffer: 65_535, ..FUZZBUNCH.setup },
    native: ["Unix", "Samba"],
    extended: true,
    extended_tree: false,
    tree_byte_count: None,
};

impl Sender {
    /// How it opens a connection that checks for MS17-010.
    pub const fn check_manner(self) -> Manner {
        match self {
            // The worm's template counted 28 bytes and was never corrected.
            Self::WannaCry => Manner { tree_byte_count: Some(28), ..CHECK },
            // The pipe's name in the check is ASCII.
            Self::FuzzBunch => Manner { flags2: [0xc053, 0xc007, 0xc007, 0x4007], ..FUZZBUNCH },
            _ => CHECK,
        }
    }

    /// How it opens the connection that carries EternalBlue.
    pub const fn exploit_manner(self) -> Manner {
        match self {
            Self::Metasploit => METASPLOIT_EXPLOIT,
            _ => FUZZBUNCH,
        }
    }

    /// How it opens a connection to the implant.
    pub const fn implant_manner(self) -> Manner {
        match self {
            Self::WannaCry | Self::FuzzBunch | Self::Countercept => FUZZBUNCH,
            Self::Metasploit | Self::Checker => CHECK,
            Self::Smbclient => SMBCLIENT,
        }
    }

    /// Timeout and MID of one request to the implant.
    pub fn knock(self, opcode: Opcode, chance: &mut Chance) -> (u32, u16) {
        let timeout = match (self, opcode) {
            (Self::WannaCry, Opcode::Ping) => 0x00ee_3401,
            (Self::WannaCry, Opcode::Exec) => 0x001a_8925,
            (Self::Checker | Self::Countercept, Opcode::Ping) => 0x00a4_d9a6,
            (_, Opcode::Kill) => 0x0000_690e,
            _ => opcode.random_timeout(chance),
        };
        let mid = match (self, opcode) {
            (Self::Metasploit, _) => chance.next_u16(),
            (_, Opcode::Exec | Opcode::Kill) => 66,
            _ => 65,
        };
        (timeout, mid)
    }
}

impl Manner {
    /// The header of a request, `step` counting from negotiate.
    pub fn header(&self, step: usize, tid: u16, uid: u16) -> Header {
        let flags2 = self.flags2.get(step).or(self.flags2.last()).copied().unwrap_or(0);
        Header { flags: 0x18, flags2, tid, pid: self.pid, uid, mid: self.mid }
    }

    /// The tree connect to `path`.
    pub fn tree<'a>(&self, path: &'a str, stale: &'a [u8]) -> Tree<'a> {
        let path_len = u16::try_from(path.len()).unwrap_or(u16::MAX);
        Tree {
            andx_offset: if self.extended_tree { path_len.saturating_mul(2).saturating_add(52) } else { 0 },
            flags: if self.extended_tree { 0x0008 } else { 0 },
            path,
            unicode: self.setup.unicode,
            byte_count: self.tree_byte_count,
            stale,
        }
    }
}
