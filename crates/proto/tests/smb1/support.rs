//! A connection and the requests of an ordinary client, written byte by byte from the specification.

use roridula_proto::connection::{
    Connection, ConnectionId, Decoy, Ending, Implant, Input, Ms17010, Opening, Output, SharedState,
};
use roridula_proto::event::{Event, Transport};
use roridula_proto::identity::{Identity, Secret};
use roridula_proto::limits::Limits;
use roridula_proto::persona::Persona;
use roridula_proto::time::{Timestamp, WallClock};
use std::sync::Arc;

/// A client's side of one connection.
pub(crate) struct Client {
    connection: Connection,
    now: Timestamp,
    pub(crate) flags2: u16,
    pub(crate) tid: u16,
    pub(crate) uid: u16,
    pub(crate) mid: u16,
    pub(crate) events: Vec<Event>,
    pub(crate) output: Output,
}

/// A reply, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) command: u8,
    pub(crate) status: u32,
    pub(crate) flags2: u16,
    pub(crate) tid: u16,
    pub(crate) uid: u16,
    pub(crate) mid: u16,
    pub(crate) words: Vec<u8>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) message: Vec<u8>,
}

fn le16(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap())
}

pub(crate) fn decoy() -> Decoy {
    Decoy {
        identity: Identity::derive(Secret([3; 32]), WallClock(1_700_000_000_000_000)),
        persona: Persona::WINDOWS_7_SP1,
        limits: Limits::default(),
        implant: Implant::default(),
        ms17_010: Ms17010::Unpatched,
    }
}

/// A message: header, words, bytes; without the frame.
pub(crate) fn message(command: u8, flags2: u16, ids: [u16; 4], words: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut message = b"\xffSMB".to_vec();
    message.push(command);
    message.extend([0, 0, 0, 0, 0x18]);
    message.extend(flags2.to_le_bytes());
    message.extend([0; 12]);
    message.extend(ids.iter().flat_map(|id| id.to_le_bytes()));
    message.push(u8::try_from(words.len() / 2).unwrap());
    message.extend(words);
    message.extend(u16::try_from(bytes.len()).unwrap().to_le_bytes());
    message.extend(bytes);
    message
}

pub(crate) fn frame(message: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(message.len()).unwrap().to_be_bytes().to_vec();
    frame.extend(message);
    frame
}

pub(crate) fn words(words: &[u16]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

pub(crate) fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

impl Reply {
    pub(crate) fn parse(frame: &[u8]) -> Self {
        let message = frame[4..].to_vec();
        assert_eq!(u32::from_be_bytes(frame[..4].try_into().unwrap()) as usize, message.len(), "one frame");
        let words_end = 33 + 2 * usize::from(message[32]);
        let count = usize::from(le16(&message, words_end));
        assert_eq!(words_end + 2 + count, message.len(), "ByteCount is exact");
        Self {
            command: message[4],
            status: u32::from_le_bytes(message[5..9].try_into().unwrap()),
            flags2: le16(&message, 10),
            tid: le16(&message, 24),
            uid: le16(&message, 28),
            mid: le16(&message, 30),
            words: message[33..words_end].to_vec(),
            bytes: message[words_end + 2..].to_vec(),
            message,
        }
    }
}

impl Client {
    pub(crate) fn new(decoy: Decoy) -> Self {
        Self::on(decoy, Transport::DirectTcp)
    }

    pub(crate) fn on(decoy: Decoy, transport: Transport) -> Self {
        let opening = Opening { id: ConnectionId(5), at: WallClock(1_700_000_000_000_000), transport };
        let mut client = Self {
            connection: Connection::new(Arc::new(decoy), opening),
            now: Timestamp(0),
            flags2: 0xc007,
            tid: 0,
            uid: 0,
            mid: 1,
            events: Vec::new(),
            output: Output::default(),
        };
        client.give(Input::Shared(SharedState::default()));
        client
    }

    /// One input, and the frames that answer it.
    pub(crate) fn give(&mut self, input: Input<'_>) -> Vec<Vec<u8>> {
        self.now = self.now.plus_micros(1000);
        self.output.clear();
        self.connection.handle(self.now, input, &mut self.output);
        self.events.extend(self.output.events.iter().map(|(_, event)| event.clone()));
        self.output.replies().map(<[u8]>::to_vec).collect()
    }

    pub(crate) fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    pub(crate) fn end(&mut self) {
        self.give(Input::Ended(Ending::Closed));
    }

    /// Sends a message, expects replies.
    pub(crate) fn replies(&mut self, message: &[u8]) -> Vec<Reply> {
        self.give(Input::Bytes(&frame(message))).iter().map(|frame| Reply::parse(frame)).collect()
    }

    /// Sends a message, expects one reply.
    pub(crate) fn message(&mut self, message: &[u8]) -> Reply {
        let mut replies = self.replies(message);
        assert_eq!(replies.len(), 1, "one reply");
        replies.remove(0)
    }

    /// Sends one command with the client's own ids, expects one reply.
    pub(crate) fn ask(&mut self, command: u8, words: &[u8], bytes: &[u8]) -> Reply {
        let message = self.build(command, words, bytes);
        self.message(&message)
    }

    pub(crate) fn build(&self, command: u8, words: &[u8], bytes: &[u8]) -> Vec<u8> {
        message(command, self.flags2, [self.tid, 0xfeff, self.uid, self.mid], words, bytes)
    }

    pub(crate) fn negotiate(&mut self, dialects: &[&str]) -> Reply {
        let bytes: Vec<u8> =
            dialects.iter().flat_map(|name| [&[2], name.as_bytes(), &[0]].concat()).collect();
        self.ask(0x72, &[], &bytes)
    }

    /// The short anonymous logon and IPC$.
    pub(crate) fn log_on(&mut self) {
        self.negotiate(&["NT LM 0.12"]);
        let setup = self.ask(0x73, &legacy_words(1, 0), &legacy_bytes(""));
        assert_eq!(setup.status, 0);
        self.uid = setup.uid;
        let tree = self.ask(0x75, &words(&[0xff, 0, 8, 1]), &tree_bytes(r"\\host\IPC$", "?????"));
        assert_eq!(tree.status, 0);
        self.tid = tree.tid;
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.output.close.is_some()
    }

    pub(crate) fn has(&self, wanted: impl Fn(&Event) -> bool) -> bool {
        self.events.iter().any(wanted)
    }
}

/// Words of a legacy SESSION_SETUP_ANDX.
pub(crate) fn legacy_words(oem_len: u16, unicode_len: u16) -> Vec<u8> {
    words(&[0xff, 0, 4356, 10, 0, 0, 0, oem_len, unicode_len, 0, 0, 0xd4, 0])
}

/// Bytes of one, in UTF-16: a one-byte password, account, domain, systems.
pub(crate) fn legacy_bytes(account: &str) -> Vec<u8> {
    // Words end at an odd place of the message, so one password byte makes the strings even.
    [vec![0], utf16(account), utf16("DOM"), utf16("Unix"), utf16("test")].concat()
}

/// Bytes of a TREE_CONNECT_ANDX in UTF-16 with a one-byte password.
pub(crate) fn tree_bytes(path: &str, service: &str) -> Vec<u8> {
    [vec![0], utf16(path), service.as_bytes().to_vec(), vec![0]].concat()
}
