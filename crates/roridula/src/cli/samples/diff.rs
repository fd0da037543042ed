//! `roridula samples diff`

use super::{Room, escaped};
use crate::cli::{Failure, out, triage};
use crate::settings::TriageSettings;
use crate::triage::{Question, Reins, Seat, question};
use clap::Args;
use roridula_triage::{Compared, Diff, Report, diff_decoded};
use serde::Serialize;
use std::cell::RefCell;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

/// Bytes of one sample that are compared.
const BYTES_MAX: u64 = 256 * 1024 * 1024;

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The one: the SHA-256 of a sample or of a layer in it, or the beginning of it; or a file at hand
    a: String,
    /// The other
    b: String,
    /// As a JSON object, with every range
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Found {
    a: String,
    b: String,
    #[serde(flatten)]
    diff: Diff,
}

/// One of the two.
struct Side {
    sha256: String,
    bytes: Vec<u8>,
    report: Report,
    /// How its layers are asked for.
    question: Question,
}

impl Side {
    /// The sample that is meant; else the file at hand.
    fn find(room: &Room, what: &str) -> Result<Self, Failure> {
        let (bytes, report, question) = match room.find(what) {
            Ok(sample) => {
                let bytes = room.reader.sample_bytes(sample.sha256, BYTES_MAX)?;
                (bytes, room.report(sample.sha256)?, question(&sample))
            }
            Err(_) if Path::new(what).is_file() => {
                let (bytes, report) = triage::at_hand(Path::new(what), &room.data)?;
                (bytes, report, Question::default())
            }
            Err(Failure(why)) => return Err(Failure::new(format!("{why}; nor is it a file"))),
        };
        let sha256 = report.layers.first().map_or(String::new(), |root| root.hashes.sha256.clone());
        Ok(Self { sha256, bytes, report, question })
    }

    /// A layer that had to be decoded: once more, where captured bytes are looked into. A file that this kills is compared
    /// without it.
    fn decoded(&self, seat: &RefCell<Seat>, layer: &str) -> Option<Vec<u8>> {
        let question = Question { layer: layer.to_owned(), ..self.question.clone() };
        match seat.borrow_mut().unpack(&question, &self.bytes) {
            Ok(bytes) => Some(bytes),
            Err(trouble) => {
                eprintln!("roridula: {}: not decoded: {trouble}", self.sha256);
                None
            }
        }
    }
}

/// What differs, also in what has to be decoded.
fn compared(a: &Side, b: &Side) -> Diff {
    let seat = RefCell::new(Seat::new(TriageSettings::default(), Arc::default(), Arc::new(Reins::default())));
    let mut of_a = |layer: &str| a.decoded(&seat, layer);
    let mut of_b = |layer: &str| b.decoded(&seat, layer);
    let one = Compared { bytes: &a.bytes, report: &a.report, decode: &mut of_a };
    diff_decoded(one, Compared { bytes: &b.bytes, report: &b.report, decode: &mut of_b })
}

pub(super) fn run(room: &Room, args: &DiffArgs) -> Result<(), Failure> {
    let (a, b) = (Side::find(room, &args.a)?, Side::find(room, &args.b)?);
    let diff = compared(&a, &b);
    let (a, b) = (a.sha256, b.sha256);
    if args.json {
        return Ok(out::json(&Found { a, b, diff })?);
    }
    let mut out = out::stdout();
    writeln!(out, "a  {a}\nb  {b}\n")?;
    if a == b {
        writeln!(out, "They are the same sample.")?;
        return Ok(out.flush()?);
    }
    diff.lines.iter().try_for_each(|line| writeln!(out, "{}", escaped(line)))?;
    Ok(out.flush()?)
}
