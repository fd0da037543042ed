//! Transcripts with their expected outputs: `transcripts/<behaviour>/`.
//!
//! `session.txt` is the transcript, `payloads.txt` says which generated payload each upload was (so that
//! megabytes need not be in git), `events.jsonl` and `replies.txt` are what must come out, `NOTES.md` says what
//! it shows and where it came from.

use crate::scenarios::{PayloadSpec, Scenario};
use crate::theatre::{Kept, Seen, decoy};
use anyhow::{Context, anyhow};
use roridula_proto::connection::{Connection, Ending, Input, SharedState};
use roridula_proto::time::Timestamp;
use roridula_proto::transcript::{Payloads, Recorder, Transcript};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An input that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnedInput {
    /// See [`Input::Bytes`].
    Bytes(Vec<u8>),
    /// See [`Input::Shared`].
    Shared(SharedState),
    /// See [`Input::Tick`].
    Tick,
    /// See [`Input::Ended`].
    Ended(Ending),
}

impl From<Input<'_>> for OwnedInput {
    fn from(input: Input<'_>) -> Self {
        match input {
            Input::Bytes(bytes) => Self::Bytes(bytes.to_vec()),
            Input::Shared(state) => Self::Shared(state),
            Input::Tick => Self::Tick,
            Input::Ended(ending) => Self::Ended(ending),
        }
    }
}

impl OwnedInput {
    /// The input that a connection takes.
    pub fn as_input(&self) -> Input<'_> {
        match self {
            Self::Bytes(bytes) => Input::Bytes(bytes),
            Self::Shared(state) => Input::Shared(*state),
            Self::Tick => Input::Tick,
            Self::Ended(ending) => Input::Ended(*ending),
        }
    }
}

/// Payloads of a transcript's uploads by number.
#[derive(Clone, Debug, Default)]
pub struct Generated(BTreeMap<u32, Vec<u8>>);

impl Generated {
    /// All bytes of an upload.
    pub fn get(&self, upload: u32) -> Option<&[u8]> {
        self.0.get(&upload).map(Vec::as_slice)
    }
}

impl Payloads for Generated {
    fn read(&self, upload: u32, offset: u64, len: u32) -> Option<Vec<u8>> {
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(usize::try_from(len).ok()?)?;
        self.0.get(&upload)?.get(start..end).map(<[u8]>::to_vec)
    }
}

/// A transcript that is ready to run.
#[derive(Clone, Debug)]
pub struct Golden {
    /// Its folder.
    pub folder: PathBuf,
    /// What was recorded.
    pub transcript: Transcript,
    /// What its uploads were.
    pub payloads: Generated,
    /// The recorded inputs, payload bytes put back.
    pub inputs: Vec<(Timestamp, OwnedInput)>,
}

impl Golden {
    /// Reads a folder.
    pub fn load(folder: &Path) -> anyhow::Result<Self> {
        let text = read(&folder.join("session.txt"))?;
        let transcript = Transcript::parse(&text)
            .map_err(|error| anyhow!("{}: session.txt: {error}", folder.display()))?;
        let mut payloads = Generated::default();
        let listed = folder.join("payloads.txt");
        if listed.exists() {
            for line in read(&listed)?.lines().filter(|line| !line.starts_with('#')) {
                let (upload, spec) =
                    line.split_once(' ').context("payloads.txt: `upload kind arch size seed`")?;
                let upload = upload.parse().context("payloads.txt: the upload's number")?;
                payloads.0.insert(upload, payload_of(spec)?);
            }
        }
        let mut inputs = Vec::new();
        transcript
            .inputs(&payloads, &mut |now, input| inputs.push((now, OwnedInput::from(input))))
            .with_context(|| format!("{}", folder.display()))?;
        Ok(Self { folder: folder.to_path_buf(), transcript, payloads, inputs })
    }

    /// The folder's name.
    pub fn name(&self) -> String {
        self.folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Runs inputs (these or a variation of them) from accept on, under the recorded settings.
    ///
    /// # Panics
    /// If the connection owns more memory than its limit after any step.
    pub fn run(&self, inputs: &[(Timestamp, OwnedInput)]) -> Seen {
        let decoy = self.transcript.decoy(&decoy());
        let limit = decoy.limits.connection_bytes_max as usize;
        let mut connection = Connection::new(Arc::new(decoy), self.transcript.opening());
        let mut seen = Seen::default();
        let mut output = Default::default();
        for (now, input) in inputs {
            roridula_proto::connection::Output::clear(&mut output);
            connection.handle(*now, input.as_input(), &mut output);
            seen.take(&connection, &output);
            assert!(seen.memory_max <= limit, "{}: {} bytes owned", self.name(), seen.memory_max);
        }
        seen
    }

    /// The transcript that is recorded while the inputs run again.
    pub fn record_again(&self) -> Transcript {
        let decoy = Arc::new(self.transcript.decoy(&decoy()));
        let mut recorder = Recorder::new(Arc::clone(&decoy), self.transcript.opening());
        let mut connection = Connection::new(decoy, self.transcript.opening());
        let mut output = Default::default();
        for (now, input) in &self.inputs {
            roridula_proto::connection::Output::clear(&mut output);
            connection.handle(*now, input.as_input(), &mut output);
            recorder.record(*now, input.as_input(), &output);
        }
        recorder.transcript()
    }
}

/// `events.jsonl`: an event a line, with the microsecond of its telling.
pub fn events_text(seen: &Seen) -> String {
    let mut text = String::new();
    for (at, event) in &seen.events {
        let mut value = serde_json::to_value(event).unwrap_or_default();
        value["at"] = at.0.into();
        let _ = writeln!(text, "{value}");
    }
    text
}

/// `replies.txt`: a reply a line in hexadecimal; equal ones in a row once, with their number.
pub fn replies_text(seen: &Seen) -> String {
    let mut text = String::new();
    for equal in seen.replies.chunk_by(|one, next| one == next) {
        let hex = hex(&equal[0]);
        let _ = match equal.len() {
            1 => writeln!(text, "{hex}"),
            count => writeln!(text, "{hex} x{count}"),
        };
    }
    text
}

/// Records a scenario into its folder: `session.txt`, `payloads.txt`, `NOTES.md`. What must come out is
/// blessed by the walker.
pub fn record(scenario: &Scenario, folder: &Path) -> anyhow::Result<()> {
    let theatre = scenario.play();
    let transcript = theatre.transcript();
    let mut payloads = String::new();
    for upload in transcript.uploads() {
        let kept =
            theatre.seen.uploads.get(&upload).context("a transcript names an upload that never began")?;
        let is_source = |spec: &&PayloadSpec| {
            let bytes = spec.bytes();
            kept.bytes
                .iter()
                .all(|(at, piece)| bytes.get(*at as usize..).is_some_and(|rest| rest.starts_with(piece)))
        };
        // What arrived under no key at all is none of them: it stands here itself.
        let source = scenario.payloads.iter().find(is_source).map(PayloadSpec::to_line);
        let _ = writeln!(
            payloads,
            "{upload} {}",
            source.unwrap_or_else(|| format!("hex {}", hex(&placed(kept))))
        );
    }
    fs::create_dir_all(folder)?;
    fs::write(folder.join("session.txt"), transcript.to_text())?;
    if payloads.is_empty() {
        let _ = fs::remove_file(folder.join("payloads.txt"));
    } else {
        fs::write(folder.join("payloads.txt"), payloads)?;
    }
    let notes = format!(
        "# {}\n{}\n\nPlayed by the inert visitor in the lab's theatre (`crates/lab/src/scenarios.rs`): nothing in \
         it comes from a real host, its payloads are generated filler.\n",
        scenario.name, scenario.about
    );
    fs::write(folder.join("NOTES.md"), notes)?;
    Ok(())
}

fn payload_of(spec: &str) -> anyhow::Result<Vec<u8>> {
    if let Some(digits) = spec.strip_prefix("hex ") {
        let pairs = digits.as_bytes().as_chunks::<2>().0.iter();
        let byte =
            |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair)?, 16).context("payloads.txt: hex");
        return pairs.map(byte).collect();
    }
    let spec: PayloadSpec = spec.parse().map_err(|error: String| anyhow!("payloads.txt: {error}"))?;
    Ok(spec.bytes())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The kept bytes at their places, zeros where nothing came.
fn placed(kept: &Kept) -> Vec<u8> {
    let mut all = Vec::new();
    for (at, piece) in &kept.bytes {
        all.resize(*at as usize, 0);
        all.extend_from_slice(piece);
    }
    all
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
