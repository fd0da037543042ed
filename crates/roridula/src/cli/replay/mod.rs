//! `roridula replay`

mod outcome;

use super::{Failure, connections, out, reader};
use clap::Args;
use outcome::{Difference, Outcome, Run, Upload};
use roridula_desk::story;
use roridula_evidence::{Install, Reader};
use roridula_proto::connection::{Decoy, Implant, Ms17010};
use roridula_proto::event::Event;
use roridula_proto::identity::{Identity, Secret};
use roridula_proto::limits::Limits;
use roridula_proto::persona::Persona;
use roridula_proto::time::WallClock;
use roridula_proto::transcript::{Payloads, Transcript, replay};
use sha2::Digest;
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
