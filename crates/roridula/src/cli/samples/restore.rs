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
}

pub(super) fn run(room: &Room, args: &RestoreArgs) -> Result<(), Failure> {
    let samples: Vec<SampleId> = match args.all {
        true => room.reader.samples()?.iter().map(|sample| sample.sha256).collect(),
        false => {
            args.sha256.iter().map(|prefix| Ok(room.find(prefix)?.sha256)).collect::<Result<_, Failure>>()?
        }
    };
    let mut out = out::stdout();
    let bar = out::progress(samples.len() as u64, "making samples whole");
    let mut restored = 0u64;
    for sample in samples {
        restored += u64::from(room.reader.restore(sample)?);
        if !args.all
            && let Kept::Whole { path } = room.reader.kept(sample)?
        {
            writeln!(out, "{}", path.display())?;
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if args.all {
        writeln!(out, "{restored} samples are whole files again")?;
    }
    Ok(out.flush()?)
}
