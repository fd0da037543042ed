//! `roridula replay`

use super::{Failure, connections, out, reader};
use clap::Args;
use roridula_desk::story;
use roridula_evidence::{Install, Reader};
use roridula_proto::connection::{CaptureOp, Decoy, Implant, Ms17010, Output};
use roridula_proto::event::{ByteRange, Event, Origin, UploadState};
use roridula_proto::identity::{Identity, Secret};
use roridula_proto::limits::Limits;
use roridula_proto::persona::Persona;
use roridula_proto::time::{Timestamp, WallClock};
use roridula_proto::transcript::{Payloads, Transcript, replay};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

/// Run recorded connections through this build
#[derive(Debug, Args)]
#[command(after_help = "\
A connection is a pure function of what came in, so a recorded one can be run again: through a newer
build with better eyes, or on another machine. Nothing is sent anywhere and the journal is not changed.

Examples:
  roridula replay 0fz3k2m9q7t1c                 one of this journal's connections
  roridula connections show 7t1c --transcript > visit.txt
  roridula replay visit.txt --json              a file, from wherever

The SHA-256 over all reply bytes tells whether two builds answer alike. Values of an install (names,
challenge) come from this data directory where the connection is in its journal, else from a fixed set.")]
pub(crate) struct ReplayArgs {
    /// Transcript files, or names of connections in the journal
    #[arg(required = true, value_name = "FILE|CONNECTION")]
    what: Vec<String>,
    /// One JSON object a transcript, one a line
    #[arg(long)]
    json: bool,
}

/// Replays each.
pub(crate) fn run(args: &ReplayArgs, data: &Path) -> Result<(), Failure> {
    let mut out = out::stdout();
    let journal = Reader::open(data).ok();
    let mut failed = Vec::new();
    for what in &args.what {
        let outcome = match Source::find(what, journal.as_ref(), data) {
            Ok(source) => source.replay(),
            Err(Failure(error)) => {
                failed.push(error);
                continue;
            }
        };
        if args.json {
            serde_json::to_writer(&mut out, &outcome).map_err(std::io::Error::from)?;
            writeln!(out)?;
        } else {
            print(&mut out, &outcome)?;
        }
        failed.extend(outcome.error.map(|error| format!("{what}: {error}")));
    }
    out.flush()?;
    if failed.is_empty() { Ok(()) } else { Err(Failure(failed.join("\n"))) }
}

/// A transcript, with what its replay needs besides.
struct Source {
    name: String,
    transcript: Transcript,
    payloads: Box<dyn Payloads>,
    decoy: Decoy,
    /// What the journal has of it; `None` where it is not in this journal.
    then: Option<Vec<Event>>,
}

impl Source {
    fn find(what: &str, journal: Option<&Reader>, data: &Path) -> Result<Self, Failure> {
        let text = if Path::new(what).is_file() {
            std::fs::read_to_string(what).map_err(|error| Failure::new(format!("{what}: {error}")))?
        } else {
            let reader = reader(data)?;
            let id = connections::find(&reader, what).map_err(|_| {
                Failure::new(format!("`{what}` is neither a file nor a connection in {}", data.display()))
            })?;
            reader.transcript(id)?.ok_or_else(|| Failure::new(format!("no transcript of {id} was kept")))?
        };
        let transcript =
            Transcript::parse(&text).map_err(|error| Failure::new(format!("{what}: {error}")))?;
        let id = transcript.opening().id;
        let known = journal.filter(|reader| matches!(reader.connection(id), Ok(Some(_))));
        let (install, payloads): (_, Box<dyn Payloads>) = match known {
            Some(reader) => (Install::load(data)?, Box::new(reader.payloads(id)?)),
            None => (Install { secret: Secret([0; 32]), installed_at: WallClock(0) }, Box::new(())),
        };
        let decoy = Decoy {
            identity: Identity::derive(install.secret, install.installed_at),
            persona: Persona::WINDOWS_7_SP1,
            limits: Limits::default(),
            implant: Implant::default(),
            ms17_010: Ms17010::default(),
        };
        let then = match known {
            Some(reader) => {
                Some(connections::events(reader, id)?.into_iter().map(|told| told.event).collect())
            }
            None => None,
        };
        Ok(Self { name: what.to_owned(), transcript, payloads, decoy, then })
    }

    fn replay(&self) -> Outcome {
        let mut run = Run::default();
        let replayed =
            replay(&self.transcript, &self.decoy, &*self.payloads, &mut |_, _, output| run.step(output));
        let (replayed, error) = match replayed {
            Ok(replayed) => (Some(replayed), None),
            Err(gone) => (None, Some(format!("{gone}; replay it where its samples are (--data)"))),
        };
        // Another identity gives other replies and another end other events: compared at home and as a whole.
        let compared = self.then.as_ref().filter(|_| error.is_none() && self.transcript.is_complete());
        let difference = compared.map(|then| Difference::of(then, &run.events));
        Outcome {
            name: self.name.clone(),
            connection: self.transcript.opening().id.to_string(),
            complete: self.transcript.is_complete(),
            replies: run.replies,
            reply_bytes: run.reply_bytes,
            replies_sha256: out::hex(&run.hash.finalize()),
            same_replies: replayed.and_then(|replayed| replayed.same_replies).filter(|_| self.then.is_some()),
            same_events: difference.as_ref().map(Difference::is_none),
            difference: difference.filter(|difference| !difference.is_none()),
            events: run.events,
            uploads: run.uploads,
            error,
        }
    }
}

/// What today's build made of a transcript.
#[derive(Serialize)]
struct Outcome {
    name: String,
    connection: String,
    complete: bool,
    replies: u64,
    reply_bytes: u64,
    replies_sha256: String,
    /// Whether they are those of the recording; null where that cannot be told.
    same_replies: Option<bool>,
    /// Whether today's events are those of the journal; null where that cannot be told.
    same_events: Option<bool>,
    /// Where they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    difference: Option<Difference>,
    events: Vec<Told>,
    uploads: Vec<Upload>,
    /// What kept the replay from its end, or null.
    error: Option<String>,
}

/// What only the journal, or only this build, tells of a connection.
#[derive(Serialize)]
struct Difference {
    only_then: Vec<Event>,
    only_now: Vec<Event>,
}

impl Difference {
    /// Compared as sets with repeats: the order follows from the inputs.
    fn of(then: &[Event], now: &[Told]) -> Self {
        let mut only_now: Vec<Event> = now.iter().map(|told| told.event.clone()).collect();
        let mut only_then = Vec::new();
        for event in then.iter().filter(|event| is_connections_own(event)) {
            match only_now.iter().position(|now| now == event) {
                Some(at) => drop(only_now.remove(at)),
                None => only_then.push(event.clone()),
            }
        }
        Self { only_then, only_now }
    }

    fn is_none(&self) -> bool {
        self.only_then.is_empty() && self.only_now.is_empty()
    }
}

/// Whether the connection itself told it: what became of its payload is told by the capture.
fn is_connections_own(event: &Event) -> bool {
    !matches!(event, Event::SampleCaptured { .. } | Event::SampleTriaged { .. } | Event::CaptureFailed { .. })
}

#[derive(Serialize)]
struct Told {
    time_us: u64,
    #[serde(flatten)]
    event: Event,
}

#[derive(Serialize)]
struct Upload {
    upload: u32,
    origin: Origin,
    state: UploadState,
    size: u64,
    total: Option<u64>,
    ranges: Vec<ByteRange>,
    sha256: String,
}

#[derive(Default)]
struct Run {
    replies: u64,
    reply_bytes: u64,
    hash: Sha256,
    events: Vec<Told>,
    open: BTreeMap<u32, Holding>,
    uploads: Vec<Upload>,
}

/// An upload that arrives again.
struct Holding {
    origin: Origin,
    bytes: Vec<u8>,
    conflict: Vec<u8>,
    conflict_ranges: Vec<ByteRange>,
}

impl Run {
    fn step(&mut self, output: &Output) {
        self.replies += output.writes.len() as u64;
        self.reply_bytes += output.send.len() as u64;
        self.hash.update(&output.send);
        let told = |(at, event): &(Timestamp, Event)| Told { time_us: at.0, event: event.clone() };
        self.events.extend(output.events.iter().map(told));
        for op in &output.capture {
            self.capture(op, &output.payload);
        }
    }

    fn capture(&mut self, op: &CaptureOp, payload: &[u8]) {
        match op {
            CaptureOp::Begin { upload, origin } => {
                let holding = Holding {
                    origin: *origin,
                    bytes: Vec::new(),
                    conflict: Vec::new(),
                    conflict_ranges: Vec::new(),
                };
                self.open.insert(*upload, holding);
            }
            CaptureOp::Write { upload, offset, bytes } => {
                if let Some(holding) = self.open.get_mut(upload) {
                    holding.write(*offset, payload.get(bytes.clone()).unwrap_or_default());
                }
            }
            CaptureOp::Again { upload, offset, bytes } => {
                if let Some(holding) = self.open.get_mut(upload) {
                    holding.again(*offset, payload.get(bytes.clone()).unwrap_or_default());
                }
            }
            CaptureOp::End { upload, state, total, ranges } => {
                if let Some(holding) = self.open.remove(upload) {
                    self.end(*upload, *state, *total, ranges, holding);
                }
            }
        }
    }

    fn end(
        &mut self,
        upload: u32,
        state: UploadState,
        total: Option<u64>,
        ranges: &[ByteRange],
        holding: Holding,
    ) {
        let mut hash = Sha256::new();
        for range in ranges {
            let place = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
            hash.update(place.and_then(|(start, end)| holding.bytes.get(start..end)).unwrap_or_default());
        }
        let size = ranges.iter().map(|range| range.len()).sum();
        let origin = holding.origin;
        let sha256 = out::hex(&hash.finalize());
        self.uploads.push(Upload { upload, origin, state, size, total, ranges: ranges.to_vec(), sha256 });
        if !holding.conflict.is_empty() {
            self.uploads.push(Upload {
                upload,
                origin: Origin::DoublePulsarConflict,
                state: UploadState::Partial,
                size: holding.conflict.len() as u64,
                total,
                ranges: holding.conflict_ranges,
                sha256: out::hex(&Sha256::digest(&holding.conflict)),
            });
        }
    }
}

impl Holding {
    fn write(&mut self, offset: u64, bytes: &[u8]) {
        // The connection writes within limits.upload_bytes_max only.
        let Ok(start) = usize::try_from(offset) else { return };
        let end = start.saturating_add(bytes.len());
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[start..end].copy_from_slice(bytes);
    }

    fn again(&mut self, offset: u64, bytes: &[u8]) {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let held = self.bytes.get(start..start.saturating_add(bytes.len()));
        if held != Some(bytes) {
            self.conflict.extend_from_slice(bytes);
            self.conflict_ranges.push(ByteRange { start: offset, end: offset + bytes.len() as u64 });
        }
    }
}

fn print(out: &mut impl Write, replayed: &Outcome) -> std::io::Result<()> {
    let paint = out::Paint::detect();
    let whole = if replayed.complete { "" } else { " (its transcript is truncated)" };
    writeln!(out, "{}: connection {}{whole}", replayed.name, replayed.connection)?;
    for told in &replayed.events {
        let head = paint.dim(&format!("{:>10}", format!("+{}", story::span(told.time_us))));
        writeln!(out, "{head}  {}", paint.weight(story::weight(&told.event), &story::line(&told.event)))?;
    }
    for upload in &replayed.uploads {
        let Upload { upload: number, origin, state, size, sha256, .. } = upload;
        writeln!(out, "upload {number}    {sha256} {size} bytes, {state}, {origin}")?;
    }
    let same = match replayed.same_replies {
        Some(true) => ", as recorded",
        Some(false) => ", NOT as recorded: this build answers otherwise",
        None => "",
    };
    let Outcome { replies, reply_bytes, replies_sha256, .. } = replayed;
    writeln!(out, "replies     {replies}, {reply_bytes} bytes, SHA-256 {replies_sha256}{same}")?;
    match (replayed.same_events, &replayed.difference) {
        (Some(true), _) => writeln!(out, "events      {}, as recorded", replayed.events.len())?,
        (_, Some(Difference { only_then, only_now })) => {
            let all =
                only_then.iter().map(|event| ('-', event)).chain(only_now.iter().map(|event| ('+', event)));
            writeln!(out, "events      NOT as recorded (- then, + now):")?;
            for (sign, event) in all {
                writeln!(out, "  {sign} {}", story::line(event))?;
            }
        }
        _ => {}
    }
    if let Some(error) = &replayed.error {
        writeln!(out, "ended early {error}")?;
    }
    writeln!(out)
}
