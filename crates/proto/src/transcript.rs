//! Record and replay: a connection as text.
//!
//! What is recorded are inputs; the code makes the outputs again. Payload bytes that became a sample are
//! referred to, and a run of equally shaped chunks is one line, so that a 5 MB upload is a few hundred bytes.

use crate::connection::{Connection, ConnectionId, Decoy, Input, Opening, Output};
use crate::time::Timestamp;

/// Records one connection while it runs.
#[derive(Debug)]
pub struct Recorder {
    opening: Opening,
}

impl Recorder {
    /// A recorder for a connection that was just accepted; `decoy` is written into the head as far as a
    /// replay needs it (identity and secret apart: values of this install stay in this install).
    pub fn new(decoy: &Decoy, opening: Opening) -> Self {
        let _ = decoy;
        Self { opening }
    }

    /// Takes what [`Connection::handle`] was given and what it put out.
    pub fn record(&mut self, now: Timestamp, input: Input<'_>, output: &Output) {
        let _ = (now, input, output, self.opening);
    }

    /// Bytes owned.
    pub fn memory_used(&self) -> usize {
        0
    }

    /// The transcript as it stands.
    pub fn transcript(&self) -> Transcript {
        Transcript { connection: self.opening.id }
    }
}

/// A recorded connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript {
    connection: ConnectionId,
}

/// A transcript that cannot be read: which line, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct TranscriptError {
    /// From 1.
    pub line: usize,
    /// What is wrong there.
    pub what: String,
}

/// Gives back the payload bytes that a transcript refers to.
pub trait Payloads {
    /// Bytes `offset..offset + len` of upload number `upload`, or `None` where they are gone.
    fn read(&self, upload: u32, offset: u64, len: u32) -> Option<Vec<u8>>;
}

impl Transcript {
    /// Reads the text form.
    pub fn parse(text: &str) -> Result<Self, TranscriptError> {
        Err(TranscriptError { line: 1, what: format!("not written yet ({} bytes)", text.len()) })
    }

    /// The text form.
    pub fn to_text(&self) -> String {
        format!("roridula-transcript 1\nconnection {}\n", self.connection)
    }

    /// Which connection it is.
    pub fn connection(&self) -> ConnectionId {
        self.connection
    }

    /// Whether everything is in it (see `limits.transcript_bytes_max`).
    pub fn is_complete(&self) -> bool {
        true
    }
}

/// Runs `transcript` through today's code: `visit` sees each input's output. Fails where payload is gone.
pub fn replay(
    transcript: &Transcript,
    decoy: &std::sync::Arc<Decoy>,
    payloads: &dyn Payloads,
    visit: &mut dyn FnMut(Timestamp, &Input<'_>, &Output),
) -> Result<Connection, TranscriptError> {
    let _ = (transcript, decoy, payloads, visit);
    Err(TranscriptError { line: 0, what: "not written yet".to_owned() })
}
