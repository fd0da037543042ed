//! `roridula samples restore`

use super::Room;
use crate::cli::{Failure, out};
use clap::Args;
use roridula_evidence::{Kept, SampleId};
use std::io::Write;

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// SHA-256s of samples, or as much of their beginnings as is unique
    #[arg(required_unless_present = "all")]
    sha256: Vec<String>,
    /// All that are kept as differences
    #[arg(long, conflicts_with = "sha256")]
    all: bool,
    /// The paths of those that are whole now, as a JSON array
    #[arg(long)]
    json: bool,
}

pub(super) fn run(room: &Room, args: &RestoreArgs) -> Result<(), Failure> {
    let samples: Vec<SampleId> = match args.all {
        true => room.reader.samples()?.iter().map(|sample| sample.sha256).collect(),
        false => {
            args.sha256.iter().map(|prefix| Ok(room.find(prefix)?.sha256)).collect::<Result<_, Failure>>()?
        }
    };
    let bar = out::progress(samples.len() as u64, "making samples whole");
    let (mut restored, mut paths) = (0u64, Vec::new());
    for sample in samples {
        let changed = room.reader.restore(sample)?;
        restored += u64::from(changed);
        if !args.all {
            // Whoever asks for one takes it away: it is what its name says, or an error.
            room.reader.sample_bytes(sample, u64::MAX)?;
        }
        if let Kept::Whole { path } = room.reader.kept(sample)?
            && (changed || !args.all)
        {
            paths.push(path);
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if args.all && !args.json {
        let mut out = out::stdout();
        writeln!(out, "{restored} samples are whole files again")?;
        return Ok(out.flush()?);
    }
    super::told_paths(&paths, args.json)
}
