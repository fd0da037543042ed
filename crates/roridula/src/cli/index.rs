//! `roridula index`

use super::{Failure, out, reader};
use clap::Subcommand;
use roridula_desk::index::{Index, IndexError, Mode};
use std::io::Write;
use std::path::Path;
use std::time::Instant;

/// Counts and rows that the console and the lists read: made from the journal
#[derive(Debug, Subcommand)]
pub(crate) enum IndexCommand {
    /// Forget all of it and make it again from the journal
    Rebuild,
}

impl From<IndexError> for Failure {
    fn from(error: IndexError) -> Self {
        Self(error.to_string())
    }
}

/// Carries it out.
pub(crate) fn run(command: &IndexCommand, data: &Path) -> Result<(), Failure> {
    drop(reader(data)?);
    match command {
        IndexCommand::Rebuild => rebuild(data),
    }
}

/// The index of `data`, up to date.
pub(super) fn caught_up(data: &Path) -> Result<Index, Failure> {
    let mut index = Index::open_or_temporary(data)?;
    let mut bar = out::CatchingUp::new("reading the journal");
    index.catch_up(&mut |now| bar.show(now))?;
    bar.clear();
    Ok(index)
}

fn rebuild(data: &Path) -> Result<(), Failure> {
    let begun = Instant::now();
    let mut index = Index::open(data, Mode::Write)?;
    let mut bar = out::CatchingUp::new("making the index");
    index.rebuild(&mut |now| bar.show(now))?;
    bar.clear();
    let status = index.status()?;
    let mut out = out::stdout();
    writeln!(
        out,
        "{} connections of {} visitors, {} captures (uploads and buffers) of {} samples: {} events in {:.1} s",
        status.connections,
        status.sources,
        status.captures,
        status.samples,
        status.cursor,
        begun.elapsed().as_secs_f64()
    )?;
    Ok(out.flush()?)
}
