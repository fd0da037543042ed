//! `roridula replay`

mod all;
mod outcome;

use super::recorded::Source;
use super::{Failure, connections, out};
use clap::Args;
use outcome::{Difference, Outcome, Run, Upload};
use roridula_desk::{json, story};
use roridula_evidence::Reader;
use roridula_proto::transcript::replay;
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
  roridula replay --all --unknown               after an update: what was unknown, with new eyes

The SHA-256 over all reply bytes tells whether two builds answer alike. Values of an install (names,
challenge) come from this data directory where the connection is in its journal, else from a fixed set.")]
pub(crate) struct ReplayArgs {
    /// Transcript files, or names of connections in the journal
    #[arg(required_unless_present = "all", value_name = "FILE|CONNECTION")]
    what: Vec<String>,
    /// Every connection of the journal: what does this build recognise that was not recognised then?
    #[arg(long, conflicts_with = "what")]
    all: bool,
    /// With --all: only what no recogniser of then knew
    #[arg(long, requires = "all")]
    unknown: bool,
    /// One JSON object a transcript, one a line
    #[arg(long)]
    json: bool,
}

/// Replays each.
pub(crate) fn run(args: &ReplayArgs, data: &Path) -> Result<(), Failure> {
    if args.all {
        return all::run(args, data);
    }
    let mut out = out::stdout();
    let journal = Reader::open(data).ok();
    let mut failed = Vec::new();
    for what in &args.what {
        let found = Source::find(what, journal.as_ref(), data);
        let outcome = match found.and_then(|source| source.replay(journal.as_ref())) {
            Ok(outcome) => outcome,
            Err(Failure(error)) => {
                failed.push(error);
                continue;
            }
        };
        if args.json {
            writeln!(out, "{}", json::line(&outcome).map_err(std::io::Error::from)?)?;
        } else {
            print(&mut out, &outcome)?;
        }
        failed.extend(outcome.error.map(|error| format!("{what}: {error}")));
    }
    out.flush()?;
    if failed.is_empty() { Ok(()) } else { Err(Failure(failed.join("\n"))) }
}

impl Source {
    /// Runs it; `journal` is the one that it was looked up in.
    fn replay(&self, journal: Option<&Reader>) -> Result<Outcome, Failure> {
        let then = match (journal, &self.known) {
            (Some(reader), Some(view)) => Some(connections::events(reader, view.connection)?),
            _ => None,
        };
        let then = then.map(|told| told.into_iter().map(|told| told.event).collect::<Vec<_>>());
        let mut run = Run::default();
        let replayed =
            replay(&self.transcript, &self.decoy, &*self.payloads, &mut |_, _, output| run.step(output));
        let (replayed, error) = match replayed {
            Ok(replayed) => (Some(replayed), None),
            Err(gone) => (None, Some(format!("{gone}; replay it where its samples are (--data)"))),
        };
        // Another identity gives other replies and another end other events: compared at home and as a whole.
        let compared = then.as_ref().filter(|_| error.is_none() && self.transcript.is_complete());
        let difference = compared.map(|then| Difference::of(then, &run.events));
        Ok(Outcome {
            name: self.name.clone(),
            connection: self.transcript.opening().id.to_string(),
            complete: self.transcript.is_complete(),
            replies: run.replies,
            reply_bytes: run.reply_bytes,
            replies_sha256: out::hex(&run.hash.finalize()),
            same_replies: replayed.and_then(|replayed| replayed.same_replies).filter(|_| then.is_some()),
            same_events: difference.as_ref().map(Difference::is_none),
            difference: difference.filter(|difference| !difference.is_none()),
            events: run.events,
            uploads: run.uploads,
            error,
        })
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
