//! Other traffic of port 445, as shapes: what the exploits' kin say, in their order and sizes, filled with
//! text that means nothing. No recogniser knows most of it; what it brought is kept all the same.

use super::{PayloadSpec, Scenario};
use crate::samples::base64_like;
use crate::theatre::Theatre;
use roridula_proto::client::request::{self, Carrier, Header, Setup, Tree};
use roridula_proto::client::sender::Sender;
use roridula_proto::connection::Ending;

/// The first UID and TID of a connection, and its first FID.
const FIRST: u16 = 0x0800;
const FIRST_FID: u16 = 0x4000;

/// What the transactions carry, each made again from its line.
const ROMANCE: PayloadSpec = PayloadSpec::filler(2048, 9);
const CHAMPION: PayloadSpec = PayloadSpec::filler(6000, 10);
const NOTPETYA: PayloadSpec = PayloadSpec::filler(1024, 11);

/// Commands ([MS-CIFS] 2.2.4).
mod command {
    pub(super) const TRANSACTION: u8 = 0x25;
    pub(super) const TRANSACTION_SECONDARY: u8 = 0x26;
    pub(super) const WRITE_ANDX: u8 = 0x2f;
    pub(super) const NT_TRANSACT_SECONDARY: u8 = 0xa1;
    pub(super) const NT_CREATE_ANDX: u8 = 0xa2;
}

/// A stranger on the stage: says one message after the other, whatever it is told.
struct Stranger<'t> {
    theatre: &'t mut Theatre,
    header: Header,
    frame: Vec<u8>,
}

impl<'t> Stranger<'t> {
    /// Logs on as nobody through NTLMSSP and connects IPC$.
    fn enter(theatre: &'t mut Theatre, pid: u16, native: [&str; 2]) -> Self {
        let manner = Sender::Smbclient.implant_manner();
        let header = Header { flags: 0x18, flags2: 0xc807, tid: 0, pid, uid: 0, mid: 64 };
        let mut stranger = Self { theatre, header, frame: Vec::new() };
        let setup = Setup { max_buffer: 4356, ..manner.setup };
        request::negotiate(&mut stranger.frame, header, Sender::FuzzBunch.implant_manner().dialects);
        stranger.send();
        for token in [request::ntlmssp_negotiate(), request::ntlmssp_anonymous()] {
            request::extended_setup(&mut stranger.frame, stranger.header, &setup, native, &token);
            stranger.send();
            stranger.header.uid = FIRST;
        }
        stranger.connect(r"\\10.20.30.40\IPC$");
        stranger
    }

    fn connect(&mut self, path: &str) {
        let tree = Tree { andx_offset: 0, flags: 0x0008, path, unicode: true, byte_count: None, stale: b"" };
        request::tree_connect(&mut self.frame, self.header, &tree);
        self.send();
        self.header.tid = FIRST;
    }

    fn send(&mut self) {
        let frame = std::mem::take(&mut self.frame);
        self.theatre.bytes(&frame);
    }

    fn say(&mut self, command: u8, words: &[u8], bytes: &[u8]) {
        request::message(&mut self.frame, self.header, command, words, bytes);
        self.send();
    }

    /// NT_CREATE_ANDX ([MS-CIFS] 2.2.4.64): open, or fail.
    fn open(&mut self, name: &str) {
        let mut words = vec![0xff, 0, 0, 0, 0];
        words.extend_from_slice(&u16_of(2 * name.len()).to_le_bytes());
        // Flags, RootDirectoryFID, DesiredAccess, AllocationSize in two halves, ExtFileAttributes,
        // ShareAccess, CreateDisposition, CreateOptions, ImpersonationLevel.
        for value in [0x16_u32, 0, 0x0002_019f, 0, 0, 0, 3, 1, 0x40, 2] {
            words.extend_from_slice(&value.to_le_bytes());
        }
        words.push(3);
        // A pad byte: UTF-16 stands at an even place.
        let mut bytes = vec![0];
        bytes.extend(name.encode_utf16().chain([0]).flat_map(u16::to_le_bytes));
        self.say(command::NT_CREATE_ANDX, &words, &bytes);
    }

    /// WRITE_ANDX ([MS-CIFS] 2.2.4.43) of `data` at 64.
    fn write(&mut self, fid: u16, data: &[u8]) {
        let mut words = Words(vec![0xff, 0, 0, 0]);
        words.u16(fid).u32(0).u32(0).u16(8).u16(0).u16(0).u16(u16_of(data.len())).u16(64).u32(0);
        let bytes = [&[0], data].concat();
        self.say(command::WRITE_ANDX, &words.0, &bytes);
    }

    /// TRANSACTION ([MS-CIFS] 2.2.4.33) of these setup words that announces `total` bytes of data and brings
    /// these.
    fn transaction(&mut self, setup: [u16; 2], total: u16, data: &[u8]) {
        // Header, word count, 16 words, byte count, the name in ASCII with its end.
        const DATA_AT: u16 = 32 + 1 + 32 + 2 + 7;
        let mut words = Words(Vec::new());
        words.u16(0).u16(total).u16(0).u16(1024).u16(0).u16(0).u32(0).u16(0).u16(0).u16(DATA_AT);
        words.u16(u16_of(data.len())).u16(DATA_AT).u16(2).u16(setup[0]).u16(setup[1]);
        let bytes = [b"\\PIPE\\\0", data].concat();
        self.say(command::TRANSACTION, &words.0, &bytes);
    }

    /// TRANSACTION_SECONDARY ([MS-CIFS] 2.2.4.34): a later piece.
    fn transaction_secondary(&mut self, total: u16, at: u16, data: &[u8]) {
        const DATA_AT: u16 = 32 + 1 + 16 + 2;
        let mut words = Words(Vec::new());
        words.u16(0).u16(total).u16(0).u16(0).u16(0).u16(u16_of(data.len())).u16(DATA_AT).u16(at);
        self.say(command::TRANSACTION_SECONDARY, &words.0, data);
    }

    /// NT_TRANSACT_SECONDARY ([MS-CIFS] 2.2.4.63): a later piece.
    fn nt_transact_secondary(&mut self, total: u32, at: u32, data: &[u8]) {
        const DATA_AT: u32 = 32 + 1 + 36 + 2;
        let mut words = Words(vec![0; 3]);
        words.u32(30).u32(total).u32(0).u32(0).u32(0).u32(u32::from(u16_of(data.len()))).u32(DATA_AT).u32(at);
        words.0.push(0);
        self.say(command::NT_TRANSACT_SECONDARY, &words.0, data);
    }
}

/// A message's words, as they are written.
struct Words(Vec<u8>);

impl Words {
    fn u16(&mut self, value: u16) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    fn u32(&mut self, value: u32) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }
}

fn u16_of(len: usize) -> u16 {
    u16::try_from(len).unwrap_or(u16::MAX)
}

/// A DCE/RPC PDU ([C706] 12.6) of this type.
fn pdu(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut pdu = vec![5, 0, kind, 3, 0x10, 0, 0, 0];
    pdu.extend_from_slice(&u16_of(16 + body.len()).to_le_bytes());
    pdu.extend_from_slice(&[0, 0, 1, 0, 0, 0]);
    pdu.extend_from_slice(body);
    pdu
}

/// A bind to srvsvc, 4b324fc8-1670-01d3-1278-5a47bf6ee188 version 3.0.
fn srvsvc_bind() -> Vec<u8> {
    let mut body = vec![0xb8, 0x10, 0xb8, 0x10, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0];
    body.extend_from_slice(b"\xc8\x4f\x32\x4b\x70\x16\xd3\x01\x12\x78\x5a\x47\xbf\x6e\xe1\x88\x03\0\0\0");
    // NDR 2.0.
    body.extend_from_slice(b"\x04\x5d\x88\x8a\xeb\x1c\xc9\x11\x9f\xe8\x08\0\x2b\x10\x48\x60\x02\0\0\0");
    pdu(11, &body)
}

/// NetprPathCanonicalize, opnum 31: where a path would stand, the letter A and nothing else.
fn long_path_request() -> Vec<u8> {
    let stub = vec![b'A'; 1200];
    let mut body = u32::from(u16_of(stub.len())).to_le_bytes().to_vec();
    body.extend_from_slice(&[0, 0, 31, 0]);
    body.extend_from_slice(&stub);
    pdu(0, &body)
}

/// All of them.
pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "romance-like",
            "In EternalRomance's order: three pipes, writes with an odd process id, a spray of transactions.",
            romance_like,
        )
        .with(ROMANCE),
        Scenario::new(
            "champion-like",
            "In EternalChampion's order: an NT_TRANSACT with more than 4300 bytes, at once continued.",
            champion_like,
        )
        .with(CHAMPION),
        Scenario::new(
            "sambacry-like",
            "In SambaCry's order: a file with a path is opened on IPC$.",
            |theatre, _| {
                let mut stranger = Stranger::enter(theatre, 0x2f1c, ["Unix", "Samba"]);
                stranger.open("/var/lib/share/look-alike.so");
                stranger.open(r"\\PIPE\/var/lib/share/look-alike.so");
                stranger.theatre.end(Ending::Closed);
            },
        ),
        Scenario::new(
            "ms08-067-like",
            "In the order of MS08-067's worms: a bind to srvsvc, a call of opnum 31 with a long path.",
            |theatre, _| {
                let mut stranger =
                    Stranger::enter(theatre, 0x0bad, ["Windows 2000 2195", "Windows 2000 5.0"]);
                // The null session may not open it; what follows is sent as if it might.
                stranger.open(r"\BROWSER");
                stranger.write(FIRST_FID, &srvsvc_bind());
                stranger.transaction([0x26, FIRST_FID], 0, &[]);
                let call = long_path_request();
                stranger.transaction([0x26, FIRST_FID], u16_of(call.len()), &call);
                stranger.theatre.end(Ending::Closed);
            },
        ),
        Scenario::new(
            "notpetya-knock",
            "A knock at the implant's door with a Timeout of 0x000000F2.",
            notpetya_knock,
        )
        .with(NOTPETYA),
    ]
}

fn romance_like(theatre: &mut Theatre, payloads: &[Vec<u8>]) {
    let mut stranger =
        Stranger::enter(theatre, 0xfeff, ["Windows 2002 Service Pack 2 2600", "Windows 2002 5.1"]);
    for pipe in [r"\spoolss", r"\browser", r"\lsarpc"] {
        stranger.open(pipe);
    }
    stranger.header.pid = 0x5a17;
    for turn in 0..4 {
        stranger.write(FIRST_FID, &base64_like(512, turn));
    }
    // Transactions that wait for more, and the more.
    let (begin, rest) = payloads[0].split_at(1024);
    for mid in 65..71 {
        stranger.header.mid = mid;
        stranger.transaction([0x26, FIRST_FID], 2048, begin);
    }
    for mid in 65..71 {
        stranger.header.mid = mid;
        stranger.transaction_secondary(2048, 1024, rest);
    }
    stranger.theatre.end(Ending::Closed);
}

fn champion_like(theatre: &mut Theatre, payloads: &[Vec<u8>]) {
    const FIRST_PIECE: u32 = 4400;
    let total = u32::from(u16_of(payloads[0].len()));
    let mut stranger = Stranger::enter(theatre, 0x5001, ["Unix", "Samba"]);
    let (first, rest) = payloads[0].split_at(FIRST_PIECE as usize);
    request::nt_transact(&mut stranger.frame, stranger.header, total, first);
    stranger.send();
    stranger.nt_transact_secondary(total, FIRST_PIECE, rest);
    stranger.theatre.end(Ending::Closed);
}

fn notpetya_knock(theatre: &mut Theatre, payloads: &[Vec<u8>]) {
    let manner = Sender::FuzzBunch.implant_manner();
    let mut frame = Vec::new();
    request::negotiate(&mut frame, manner.header(0, 0, 0), manner.dialects);
    theatre.bytes(&frame);
    request::session_setup(&mut frame, manner.header(1, 0, 0), &manner.setup);
    theatre.bytes(&frame);
    request::tree_connect(&mut frame, manner.header(2, 0, FIRST), &manner.tree(r"\\10.20.30.40\IPC$", b""));
    theatre.bytes(&frame);
    let header = Header { mid: 66, ..manner.header(3, FIRST, FIRST) };
    let knock = Carrier { data: &payloads[0], ..Carrier::bare(0x0000_00f2) };
    request::carrier(&mut frame, header, &knock);
    theatre.bytes(&frame);
    theatre.end(Ending::Closed);
}
