//! `roridula samples diff`

use super::{Room, escaped};
use crate::cli::{Failure, out};
use clap::Args;
use roridula_triage::{Diff, diff};
use serde::Serialize;
use std::io::Write;

/// Bytes of one sample that are compared.
const BYTES_MAX: u64 = 256 * 1024 * 1024;

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The one: the SHA-256 of a sample or of a layer in it, or the beginning of it
    a: String,
    /// The other
    b: String,
    /// As a JSON object, with every range
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Compared {
    a: String,
    b: String,
    #[serde(flatten)]
    diff: Diff,
}

pub(super) fn run(room: &Room, args: &DiffArgs) -> Result<(), Failure> {
    let (a, b) = (room.find(&args.a)?.sha256, room.find(&args.b)?.sha256);
    let (ra, rb) = (room.report(a)?, room.report(b)?);
    let (bytes_a, bytes_b) =
        (room.reader.sample_bytes(a, BYTES_MAX)?, room.reader.sample_bytes(b, BYTES_MAX)?);
    let diff = diff(&bytes_a, &ra, &bytes_b, &rb);
    if args.json {
        return Ok(out::json(&Compared { a: a.to_string(), b: b.to_string(), diff })?);
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
