//! The pipes of IPC$: which the null session may open, and what they say.

use super::tables::Open;
use crate::wire::dcerpc;
use crate::wire::status::Status;

/// Pipes open to the null session, with the address that a bind is told ([MS-RPCE] secondary address).
const OPEN_PIPES: [(&str, &str); 3] =
    [("lsarpc", r"\pipe\lsass"), ("netlogon", r"\pipe\lsass"), ("samr", r"\pipe\lsass")];
/// Bytes that one pipe may have waiting to be read.
const WAITING_MAX: usize = 4096;

/// Opens a pipe by its bare name in lower case.
pub(crate) fn open(name: &str) -> Result<Open, Status> {
    let known = OPEN_PIPES.iter().any(|(pipe, _)| *pipe == name);
    // Windows refuses the null session whatever is not on its short list, whether or not it exists.
    if known { Ok(Open { pipe: name.to_owned(), waiting: Vec::new() }) } else { Err(Status::ACCESS_DENIED) }
}

/// What the pipe says to a DCE/RPC PDU, at once.
pub(crate) fn transact(open: &Open, pdu: &[u8]) -> Vec<u8> {
    let address = OPEN_PIPES.iter().find(|(pipe, _)| *pipe == open.pipe).map_or("", |(_, address)| address);
    dcerpc::parse(pdu).ok().and_then(|pdu| dcerpc::answer(pdu, address)).unwrap_or_default()
}

/// Takes a PDU; what the pipe says waits to be read.
pub(crate) fn write(open: &mut Open, pdu: &[u8]) {
    let answer = transact(open, pdu);
    if open.waiting.len().saturating_add(answer.len()) <= WAITING_MAX {
        open.waiting.extend_from_slice(&answer);
    }
}

/// Reads up to `count` bytes that wait.
pub(crate) fn read(open: &mut Open, count: usize) -> Vec<u8> {
    let count = count.min(open.waiting.len());
    open.waiting.drain(..count).collect()
}
