//! The fields that tell implementations apart, as `key=value`.

use crate::event::Text;
use crate::wire::doublepulsar::Opcode;
use crate::wire::reader::Reader;
use crate::wire::smb1::header::Header;
use crate::wire::smb1::session_setup::{self, Logon};
use crate::wire::smb1::trans::{PEEK_NMPIPE, TRANS2_SESSION_SETUP};
use crate::wire::smb1::{
    Block, NEGOTIATE, NT_CREATE_ANDX, NT_TRANSACT, SESSION_SETUP_ANDX, TRANSACTION, TRANSACTION2,
    TREE_CONNECT_ANDX, create, negotiate, nt_transact, tree,
};
use crate::wire::{ntlmssp, spnego};
use std::fmt::Write as _;

/// Bytes of all features together.
const TEXT_BYTES_MAX: usize = 2048;
/// Bytes that the features of a negotiate with one dialect take.
const NEGOTIATE_BYTES: usize = 112;
/// Bytes of one text (a dialect, a native OS, a path) among them.
const WORD_BYTES_MAX: usize = 64;
/// Dialects that are listed.
const DIALECTS_MAX: usize = 24;
/// Pipes and files that are listed.
const OPENS_MAX: usize = 8;

/// Process ids that are constants of an implementation, not of the moment.
const KNOWN_PIDS: [u16; 3] = [
    0x4b2f, // a recorded scan that the public checkers and WannaCry send again
    0xfeff, // Windows' own client, and FuzzBunch, which replays one
    0x0000,
];
/// Multiplex ids below are counted up from zero or are constants; higher ones only where they are known.
const COUNTED_MIDS: u16 = 0x60;
const KNOWN_MIDS: [u16; 1] = [0x5ec5];
/// Timeouts that are constants of an implementation: WannaCry's ping and exec, the checkers' ping, Countercept's
/// removal, NotPetya's knock.
const KNOWN_TIMEOUTS: [u32; 5] = [0x00ee_3401, 0x001a_8925, 0x00a4_d9a6, 0x0000_690e, 0x0000_00f2];
/// Hosts that stand in recorded traffic and are sent to everybody.
const TEMPLATE_HOSTS: [&str; 2] = ["192.168.56.20", "172.16.99.5"];

/// What is written down once a connection.
#[derive(Clone, Copy, Debug)]
enum Part {
    Negotiate,
    Setup,
    SecondSetup,
    Tree,
    Peek,
    Ping,
    Exec,
    Kill,
    Unknown,
    NtTransact,
}

/// The features of one connection so far.
#[derive(Debug, Default)]
pub(super) struct Features {
    text: String,
    parts: u16,
    opens: u8,
}

impl Features {
    /// Writes one down.
    pub(super) fn put(&mut self, key: &str, value: &str) {
        if self.begin(key) {
            self.text.push_str(value);
        }
    }

    /// Begins one; `false` where there is no room for more. Every value is bounded.
    fn begin(&mut self, key: &str) -> bool {
        if self.text.len() > TEXT_BYTES_MAX {
            return false;
        }
        if self.text.is_empty() {
            // What a negotiate says: every visitor who speaks comes so far, and many no further.
            self.text.reserve_exact(NEGOTIATE_BYTES);
        } else {
            self.text.push_str("; ");
        }
        self.text.push_str(key);
        self.text.push('=');
        true
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    pub(super) fn memory_used(&self) -> usize {
        self.text.capacity()
    }

    /// Looks at one message; only the first of each kind says something new.
    pub(super) fn message(&mut self, header: &Header, block: &Block<'_>, message: &[u8]) {
        match header.command {
            NEGOTIATE if self.first(Part::Negotiate) => self.negotiate(header, block),
            SESSION_SETUP_ANDX => {
                if self.first(Part::Setup) {
                    self.setup(header, block, message);
                } else if self.first(Part::SecondSetup) {
                    self.put("setup2.words", &block.word_count().to_string());
                }
            }
            TREE_CONNECT_ANDX if self.first(Part::Tree) => self.tree(header, block, message),
            NT_CREATE_ANDX => self.open(header, block),
            TRANSACTION => self.peek(header, block),
            TRANSACTION2 => self.knock(header, block),
            NT_TRANSACT if self.first(Part::NtTransact) => self.nt_transact(block, message),
            _ => {}
        }
    }

    /// Whether this part of a connection comes for the first time.
    fn first(&mut self, part: Part) -> bool {
        let bit = part.bit();
        let is_first = self.parts & bit == 0;
        self.parts |= bit;
        is_first
    }

    fn hex16(&mut self, key: &str, value: u16) {
        self.hex(key, value.into(), 4);
    }

    /// A number in so many hexadecimal digits. Every visitor comes through here: no formatter.
    fn hex(&mut self, key: &str, value: u32, digits: u32) {
        if !self.begin(key) {
            return;
        }
        for place in (0..digits).rev() {
            let digit = value.checked_shr(place.saturating_mul(4)).unwrap_or(0) & 15;
            self.text.push(char::from_digit(digit, 16).unwrap_or('0'));
        }
    }

    /// Text that the visitor wrote; what would end a feature or drive a terminal is escaped.
    fn word(&mut self, key: &str, text: &Text) {
        if self.begin(key) {
            push_word(&mut self.text, text);
        }
    }

    fn pid(&mut self, key: &str, pid: u16) {
        if KNOWN_PIDS.contains(&pid) { self.hex16(key, pid) } else { self.put(key, "own") }
    }

    fn mid(&mut self, key: &str, mid: u16) {
        let known = mid < COUNTED_MIDS || KNOWN_MIDS.contains(&mid);
        if known { self.hex16(key, mid) } else { self.put(key, "own") }
    }

    fn timeout(&mut self, key: &str, timeout: u32) {
        if KNOWN_TIMEOUTS.contains(&timeout) {
            self.hex(key, timeout, 8);
        } else {
            self.put(key, "own");
        }
    }

    fn negotiate(&mut self, header: &Header, block: &Block<'_>) {
        if self.begin("dialects") {
            for (place, name) in (0u32..).zip(negotiate::dialects(block).take(DIALECTS_MAX)) {
                if place > 0 {
                    self.text.push('|');
                }
                push_word(&mut self.text, &Text::from_oem(name, WORD_BYTES_MAX));
            }
        }
        self.hex("flags", header.flags.into(), 2);
        self.hex16("negotiate.flags2", header.flags2);
        self.pid("negotiate.pid", header.pid);
        self.mid("negotiate.mid", header.mid);
    }

    fn setup(&mut self, header: &Header, block: &Block<'_>, message: &[u8]) {
        self.hex16("setup.flags2", header.flags2);
        self.put("setup.words", &block.word_count().to_string());
        let mut words = Reader::new(block.words);
        let mut next = || words.u16_le("").unwrap_or(0);
        let (chained, offset, buffer, mpx, vc) = (next(), next(), next(), next(), next());
        let own = usize::from(offset) == message.len();
        let place = if offset == 0 {
            "0"
        } else if own {
            "own length"
        } else {
            "other"
        };
        self.put("setup.andx", if chained & 0xff == 0xff { place } else { "chained" });
        self.hex16("setup.max_buffer", buffer);
        self.put("setup.max_mpx", &mpx.to_string());
        self.put("setup.vc", if vc < 0x100 { "low" } else { "own" });
        let Ok(request) = session_setup::Request::parse(block, header.is_unicode(), WORD_BYTES_MAX) else {
            return;
        };
        self.hex("setup.caps", request.capabilities, 8);
        match &request.logon {
            Logon::Legacy { oem, unicode, account, domain } => {
                self.put("setup.account", if account.0.is_empty() { "none" } else { "given" });
                self.put("setup.passwords", &format!("{}/{}", oem.len(), unicode.len()));
                if account.0.is_empty() {
                    self.word("setup.domain", domain);
                }
            }
            Logon::Extended { blob } => self.security(blob),
        }
        self.word("native_os", &request.native_os);
        self.word("native_lm", &request.native_lan_manager);
    }

    fn security(&mut self, blob: &[u8]) {
        let token = match spnego::token(blob) {
            Ok((wrapping, token)) => {
                self.put(
                    "setup.security",
                    if wrapping == spnego::Wrapping::Bare { "ntlmssp" } else { "spnego" },
                );
                token
            }
            Err(_) => return self.put("setup.security", if blob.is_empty() { "none" } else { "other" }),
        };
        if let Some(Ok(ntlmssp::Message::Negotiate { flags })) =
            token.map(|token| ntlmssp::parse(token, WORD_BYTES_MAX))
        {
            self.hex("ntlmssp.flags", flags, 8);
        }
    }

    fn tree(&mut self, header: &Header, block: &Block<'_>, message: &[u8]) {
        self.hex16("tree.flags2", header.flags2);
        let flags = Reader::new(Reader::new(block.words).window(4, 2)).u16_le("").unwrap_or(0);
        self.hex16("tree.flags", flags);
        let Ok(request) = tree::Request::parse(block, header.is_unicode(), WORD_BYTES_MAX) else { return };
        let path = request.path.0.trim_start_matches('\\');
        let host = path.split('\\').next().unwrap_or_default();
        let is_address = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        self.put(
            "tree.host",
            match host {
                "" => "none",
                host if TEMPLATE_HOSTS.contains(&host) => host,
                host if host.starts_with("__") => "placeholder",
                _ if is_address => "address",
                _ => "name",
            },
        );
        self.word("tree.share", &Text(request.share().to_owned()));
        // How many of the template's question marks its wrong count covers depends on the path's length.
        let any = !request.service.0.is_empty() && request.service.0.bytes().all(|byte| byte == b'?');
        if any {
            self.put("tree.service", "any")
        } else {
            self.word("tree.service", &request.service)
        }
        let end = block.bytes_at.saturating_add(block.bytes.len());
        let behind = message.len().saturating_sub(end);
        if behind > 0 {
            // A template's count that was not corrected, and what it leaves behind.
            self.put("tree.count", &block.byte_count.to_string());
            let stale = Reader::new(message).window(end, behind);
            let marked = stale.windows(STALE_MARK.len()).any(|part| part == STALE_MARK);
            self.put("tree.behind", if marked { "TH_REPLACE__" } else { "some" });
        }
    }

    fn open(&mut self, header: &Header, block: &Block<'_>) {
        if usize::from(self.opens) >= OPENS_MAX {
            return;
        }
        self.opens = self.opens.saturating_add(1);
        if let Ok(request) = create::Request::parse(block, header.is_unicode(), WORD_BYTES_MAX) {
            self.word("open", &Text(request.pipe()));
        }
    }

    fn peek(&mut self, header: &Header, block: &Block<'_>) {
        let word = |at: usize| Reader::new(Reader::new(block.words).window(at, 2)).u16_le("").ok();
        if word(28) != Some(PEEK_NMPIPE) || !self.first(Part::Peek) {
            return;
        }
        self.hex16("peek.flags2", header.flags2);
        self.put("peek.words", &block.word_count().to_string());
        // MaxParameterCount, MaxDataCount.
        let max = format!("{:04x}/{:04x}", word(4).unwrap_or(0), word(6).unwrap_or(0));
        self.put("peek.max", &max);
        let pid = if header.pid == header.uid { "uid" } else { "own" };
        self.put("peek.pid", if KNOWN_PIDS.contains(&header.pid) { "as before" } else { pid });
    }

    fn knock(&mut self, header: &Header, block: &Block<'_>) {
        let words = Reader::new(block.words);
        let word = |at: usize| Reader::new(words.window(at, 2)).u16_le("").ok();
        if word(28) != Some(TRANS2_SESSION_SETUP) {
            return;
        }
        let timeout = Reader::new(words.window(12, 4)).u32_le("").unwrap_or(0);
        let (part, name) = match Opcode::from_timeout(timeout) {
            Opcode::Ping => (Part::Ping, "ping"),
            Opcode::Exec => (Part::Exec, "exec"),
            Opcode::Kill => (Part::Kill, "kill"),
            Opcode::Unknown(_) => (Part::Unknown, "knock"),
        };
        if !self.first(part) {
            return;
        }
        self.timeout(&format!("{name}.timeout"), timeout);
        self.mid(&format!("{name}.mid"), header.mid);
        if matches!(part, Part::Exec) {
            self.put("exec.data", &word(22).unwrap_or(0).to_string());
        }
    }

    fn nt_transact(&mut self, block: &Block<'_>, message: &[u8]) {
        if let Ok(request) = nt_transact::parse_primary(message, block) {
            let mut text = String::new();
            let _ = write!(text, "{}+{}", request.total_parameters, request.total_data);
            self.put("nt_transact.total", &text);
            self.put("nt_transact.first", &request.data.declared.to_string());
        }
    }
}

/// What is left of WannaCry's template behind its tree connect.
const STALE_MARK: &[u8] = b"TH_REPLACE__";

impl Part {
    const fn bit(self) -> u16 {
        match self {
            Self::Negotiate => 1,
            Self::Setup => 2,
            Self::SecondSetup => 4,
            Self::Tree => 8,
            Self::Peek => 16,
            Self::Ping => 32,
            Self::Exec => 64,
            Self::Kill => 128,
            Self::Unknown => 256,
            Self::NtTransact => 512,
        }
    }
}

/// Appends a visitor's text; what would end a feature or a dialect in a list, or drive a terminal, is escaped.
fn push_word(out: &mut String, text: &Text) {
    if text.0.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b';' && byte != b'|') {
        out.push_str(&text.0);
    } else {
        out.push_str(&text.to_string().replace(';', "\\u{3b}").replace('|', "\\u{7c}"));
    }
}
