//! What parent and worker say to each other over the worker's standard input and output.
//!
//! A frame is a 32-bit little-endian length and so many bytes. First the parent sends the rules, as JSON; then, for
//! each sample, how it came, as JSON, and its bytes. It is answered with the report that is wanted as JSON, perhaps with a
//! first one before; or, where a layer is wanted, with that layer's bytes.

use roridula_triage::Road;
use roridula_triage::rules::{RuleError, RuleFile};
use serde::{Deserialize, Serialize};
use std::io::{Error, ErrorKind, Read, Result, Write};

/// Bytes of an answer; a report is far smaller, and a worker that says more is not believed.
pub(crate) const ANSWER_BYTES_MAX: u32 = 16 * 1024 * 1024;
/// Bytes of a layer that is wanted: no budget lets one be larger.
pub(crate) const LAYER_BYTES_MAX: u32 = 256 * 1024 * 1024;
/// Bytes of all rules together.
pub(crate) const RULES_BYTES_MAX: u32 = 256 * 1024 * 1024;

/// The rules that the worker is to compile; an answer is an [`Opened`].
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Opening {
    /// Name and text of each file.
    pub(crate) rules: Vec<(String, String)>,
}

impl Opening {
    /// The files, sent as they are.
    pub(crate) fn of(files: &[RuleFile]) -> Self {
        Self { rules: files.iter().map(|file| (file.name.clone(), file.text.clone())).collect() }
    }

    /// The files again.
    pub(crate) fn files(self) -> Vec<RuleFile> {
        self.rules.into_iter().map(|(name, text)| RuleFile { name, text }).collect()
    }
}

/// The worker has compiled its rules.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Opened {
    /// Names the set of rules.
    pub(crate) digest: String,
    /// Files that do not compile.
    pub(crate) errors: Vec<RuleError>,
}

/// Which reports of a sample are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Wanted {
    /// The full one.
    #[default]
    Full,
    /// A first one before it, where the full one takes much longer.
    Both,
    /// A first one alone, or the full one in its place, where that takes hardly longer.
    First,
}

/// What stands in front of a sample; the last answer is the report that is wanted, or the bytes of a layer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Question {
    /// Whether it is the buffer of an exploit.
    pub(crate) exploit_buffer: bool,
    /// Which reports are wanted.
    pub(crate) wanted: Wanted,
    /// Whether the user's rules are left out, because a try with them took too long.
    pub(crate) without_users_rules: bool,
    /// Whether files of the user's rules that are too slow for this sample are looked for first, and left out then.
    pub(crate) find_slow_rules: bool,
    /// Hashes of the sample, hexadecimal, that its capture has worked out: SHA-256, SHA-1, MD5; empty if it has not.
    pub(crate) hashes: [String; 3],
    /// SHA-256 of the layer whose bytes are wanted in place of a report; empty where none is. No bytes where it is not found.
    pub(crate) layer: String,
}

impl Question {
    /// By which road it came.
    pub(crate) fn road(&self) -> Road {
        if self.exploit_buffer { Road::ExploitBuffer } else { Road::Payload }
    }
}

/// Writes one frame.
pub(crate) fn write(out: &mut impl Write, bytes: &[u8]) -> Result<()> {
    let too_large = |_| Error::new(ErrorKind::InvalidInput, "larger than a frame can be");
    let len = u32::try_from(bytes.len()).map_err(too_large)?;
    out.write_all(&len.to_le_bytes())?;
    out.write_all(bytes)?;
    out.flush()
}

/// Reads one frame of at most `max` bytes; `None` where the other side has ended before it.
pub(crate) fn read(from: &mut impl Read, max: u32) -> Result<Option<Vec<u8>>> {
    let mut len = [0; 4];
    match from.read_exact(&mut len) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        done => done?,
    }
    let len = u32::from_le_bytes(len);
    if len > max {
        return Err(Error::new(ErrorKind::InvalidData, format!("a frame of {len} bytes, {max} are allowed")));
    }
    // Filled as it comes: nothing is allocated for a length alone.
    let mut bytes = Vec::new();
    from.take(len.into()).read_to_end(&mut bytes)?;
    if bytes.len() < len as usize {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(bytes))
}

/// Reads one frame as JSON.
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(from: &mut impl Read, max: u32) -> Result<Option<T>> {
    let Some(bytes) = read(from, max)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(Error::from)
}

/// Writes one frame as JSON.
pub(crate) fn write_json(out: &mut impl Write, value: &impl Serialize) -> Result<()> {
    write(out, &serde_json::to_vec(value)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_and_lies_are_refused() {
        let mut bytes = Vec::new();
        write(&mut bytes, b"abc").unwrap();
        assert_eq!(read(&mut &bytes[..], 3).unwrap().as_deref(), Some(&b"abc"[..]));
        assert_eq!(read(&mut &bytes[..], 2).unwrap_err().kind(), ErrorKind::InvalidData);
        assert_eq!(read(&mut &bytes[..6], 3).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert!(read(&mut &bytes[..0], 3).unwrap().is_none());
        assert_eq!(read(&mut &u32::MAX.to_le_bytes()[..], 9).unwrap_err().kind(), ErrorKind::InvalidData);
    }
}
