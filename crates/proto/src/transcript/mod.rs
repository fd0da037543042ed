//! Record and replay: a connection as text.
//!
//! What is recorded are inputs; the code makes the outputs again. Payload bytes that became a sample are
//! referred to, and a run of equally shaped chunks is one entry, so that a 5 MB upload is a few hundred bytes.
//! Inside a run the borders of messages are kept, those of TCP segments are not, and the times between the
//! first and the last message are spread evenly.

mod player;
mod recorder;
mod text;

pub use player::Player;
pub use recorder::Recorder;
pub use text::TranscriptError;

use crate::connection::{Connection, Decoy, Ending, Implant, Input, Ms17010, Opening, Output, SharedState};
use crate::limits::Limits;
use crate::persona::Persona;
use crate::time::Timestamp;
use crate::wire::doublepulsar::{ExecParameters, PARAMETERS, xor_into};
use player::Place;
use sha2::{Digest, Sha256};

/// The number of the upload that holds what did not fit into a transcript (`limits.transcript_bytes_max`); uploads
/// and buffers are numbered from 1.
pub const REST_UPLOAD: u32 = 0;

/// A recorded connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript {
    pub(crate) head: Head,
    pub(crate) entries: Vec<Entry>,
    pub(crate) replies: Option<Replies>,
}

/// What a replay needs besides the inputs. Identity is not in it: the values of an install stay there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) opening: Opening,
    pub(crate) persona: Persona,
    pub(crate) ms17_010: Ms17010,
    pub(crate) implant: Implant,
    pub(crate) limits: Limits,
}

/// The replies that were given while it was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replies {
    /// How many.
    pub count: u64,
    /// SHA-256 of all their bytes.
    pub sha256: [u8; 32],
}

/// One recorded input, or a run of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// Bytes came.
    Bytes { at: Timestamp, bytes: Vec<u8> },
    /// Messages that each end in a chunk of an upload.
    Run(Run),
    /// The shared state was this.
    Shared { at: Timestamp, state: SharedState },
    /// Time passed.
    Tick { at: Timestamp },
    /// The connection was over.
    Ended { at: Timestamp, ending: Ending },
    /// What followed, as it came but without its times: bytes `offset..offset + len` of upload [`REST_UPLOAD`].
    Rest { at: Timestamp, offset: u64, len: u64 },
    /// What followed was too much to keep.
    Truncated,
}

/// A run of messages that differ only in where their chunk goes and in a few bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) at: Timestamp,
    pub(crate) until: Timestamp,
    pub(crate) upload: u32,
    pub(crate) key: u32,
    pub(crate) total: u32,
    /// Length of each chunk.
    pub(crate) len: u32,
    pub(crate) count: u32,
    /// What precedes the first chunk; zeros where the parameters go.
    pub(crate) template: Vec<u8>,
    /// Where in the template the parameters are, if they are {total, len, offset} under the key.
    pub(crate) params: Option<u32>,
    /// Where chunks go: from the first on in steps of `len`, or one by one.
    pub(crate) offset: u32,
    pub(crate) offsets: Vec<u32>,
    /// Places in the template that differ from message to message, and their bytes, message by message.
    pub(crate) varying: Vec<u32>,
    pub(crate) values: Vec<u8>,
}

impl Run {
    /// Where chunk number `index` goes.
    pub(crate) fn offset_of(&self, index: u32) -> u32 {
        let listed = usize::try_from(index).ok().and_then(|at| self.offsets.get(at)).copied();
        listed.unwrap_or_else(|| self.offset.wrapping_add(index.wrapping_mul(self.len)))
    }

    /// The message number `index` as it came, with `payload` as its decoded chunk.
    fn message(&self, index: u32, payload: &[u8]) -> Vec<u8> {
        let mut message = self.template.clone();
        let per_message = self.varying.len();
        let from = usize::try_from(index).unwrap_or(usize::MAX).saturating_mul(per_message);
        let values = self.values.get(from..).unwrap_or_default();
        for (&place, &value) in self.varying.iter().zip(values) {
            if let Some(byte) = usize::try_from(place).ok().and_then(|at| message.get_mut(at)) {
                *byte = value;
            }
        }
        if let Some(at) = self.params.and_then(|at| usize::try_from(at).ok()) {
            let parameters =
                ExecParameters { total: self.total, chunk: self.len, offset: self.offset_of(index) };
            if let Some(place) = message.get_mut(at..at.saturating_add(PARAMETERS)) {
                place.copy_from_slice(&parameters.encode(self.key));
            }
        }
        xor_into(&mut message, payload, self.key);
        message
    }

    fn time_of(&self, index: u32) -> Timestamp {
        let steps = u64::from(self.count.saturating_sub(1));
        let span = self.until.0.saturating_sub(self.at.0).saturating_mul(u64::from(index));
        Timestamp(self.at.0.saturating_add(span.checked_div(steps).unwrap_or(0)))
    }
}

/// Gives back the payload bytes that a transcript refers to.
pub trait Payloads {
    /// Bytes `offset..offset + len` of upload number `upload`, or `None` where they are gone.
    fn read(&self, upload: u32, offset: u64, len: u32) -> Option<Vec<u8>>;
}

/// For a transcript that refers to nothing.
impl Payloads for () {
    fn read(&self, _upload: u32, _offset: u64, _len: u32) -> Option<Vec<u8>> {
        None
    }
}

/// Payload that a transcript refers to and that nobody has any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bytes {offset}..+{len} of upload {upload} are not among the samples")]
pub struct PayloadGone {
    /// The upload's number.
    pub upload: u32,
    /// Where in it.
    pub offset: u64,
    /// How many bytes.
    pub len: u32,
}

/// What a replay made of a transcript.
#[derive(Debug)]
pub struct Replayed {
    /// The connection after its last input.
    pub connection: Connection,
    /// The replies that today's code gives.
    pub replies: Replies,
    /// Whether they are those that were given then; `None` where that was not recorded or the transcript is cut.
    pub same_replies: Option<bool>,
}

impl Transcript {
    /// Which connection it is, when it was opened and how.
    pub fn opening(&self) -> Opening {
        self.head.opening
    }

    /// Bytes of the largest frame that was read while it was recorded.
    pub(crate) fn frame_bytes_max(&self) -> u32 {
        self.head.limits.frame_bytes_max
    }

    /// Whether everything is in it (see `limits.transcript_bytes_max`).
    pub fn is_complete(&self) -> bool {
        !self.entries.contains(&Entry::Truncated)
    }

    /// The uploads that it refers to, each once.
    pub fn uploads(&self) -> Vec<u32> {
        let run = |entry: &Entry| match entry {
            Entry::Run(run) => Some(run.upload),
            Entry::Rest { .. } => Some(REST_UPLOAD),
            _ => None,
        };
        let mut uploads: Vec<u32> = self.entries.iter().filter_map(run).collect();
        uploads.sort_unstable();
        uploads.dedup();
        uploads
    }

    /// `base` with the settings under which this connection was recorded; identity is `base`'s own.
    pub fn decoy(&self, base: &Decoy) -> Decoy {
        Decoy {
            identity: base.identity.clone(),
            persona: self.head.persona.clone(),
            limits: self.head.limits.clone(),
            implant: self.head.implant.clone(),
            ms17_010: self.head.ms17_010,
        }
    }

    /// Hands out the recorded inputs in order.
    pub fn inputs(
        &self,
        payloads: &dyn Payloads,
        visit: &mut dyn FnMut(Timestamp, Input<'_>),
    ) -> Result<(), PayloadGone> {
        let mut place = Place::default();
        while self.input_at(&mut place, payloads, visit)? {}
        Ok(())
    }
}

/// Runs `transcript` through today's code under the settings that it records and `base`'s identity: `visit`
/// sees each input and its output.
pub fn replay(
    transcript: &Transcript,
    base: &Decoy,
    payloads: &dyn Payloads,
    visit: &mut dyn FnMut(Timestamp, &Input<'_>, &Output),
) -> Result<Replayed, PayloadGone> {
    let mut player = Player::new(transcript, base);
    while player.step(payloads, visit)? {}
    let (connection, tally) = player.finish();
    let replies = tally.replies();
    // What was cut short was answered longer than it can be replayed; without their times some replies differ.
    let timed = transcript.is_complete() && !transcript.uploads().contains(&REST_UPLOAD);
    let then = transcript.replies.as_ref().filter(|_| timed);
    let same_replies = then.map(|then| *then == replies);
    Ok(Replayed { connection, replies, same_replies })
}

/// Counts and hashes replies.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReplyTally {
    count: u64,
    hash: Sha256,
}

impl ReplyTally {
    pub(crate) fn add(&mut self, output: &Output) {
        if !output.send.is_empty() {
            self.count = self.count.saturating_add(u64::try_from(output.writes.len()).unwrap_or(0));
            self.hash.update(&output.send);
        }
    }

    pub(crate) fn replies(&self) -> Replies {
        Replies { count: self.count, sha256: self.hash.clone().finalize().into() }
    }
}
