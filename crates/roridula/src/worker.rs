//! The triage worker: reads one sample on standard input, shuts itself in, answers on standard output.
//!
//! It is a process of its own because a hostile file is its whole business: it may die, hang or eat memory, and
//! the honeypot does not notice more than an exit status.

use crate::sandbox;
use clap::Args;
use roridula_triage::rules::Rules;
use roridula_triage::{Budget, Road, triage};
use std::io::{Read, Write};
use std::process::ExitCode;

/// Look into one sample, given on standard input
#[derive(Debug, Args)]
pub(crate) struct WorkerArgs {
    /// Bytes of memory that the process may have
    #[arg(long)]
    memory_bytes: u64,
    /// Seconds of CPU time that the process may use
    #[arg(long)]
    cpu_secs: u64,
    /// The sample is the buffer of an exploit
    #[arg(long)]
    exploit_buffer: bool,
}

/// Answers with the report as JSON, or fails with a line on standard error.
pub(crate) fn main(args: &WorkerArgs) -> ExitCode {
    match answer(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            eprintln!("{what}");
            ExitCode::FAILURE
        }
    }
}

fn answer(args: &WorkerArgs) -> Result<(), String> {
    sandbox::confine_worker(args.memory_bytes, args.cpu_secs)
        .map_err(|error| format!("cannot confine: {error}"))?;
    let mut sample = Vec::new();
    // Asking for the memory first turns "too large" into an error instead of an abort.
    let max = args.memory_bytes / 4;
    std::io::stdin()
        .lock()
        .take(max + 1)
        .read_to_end(&mut sample)
        .map_err(|error| format!("cannot read: {error}"))?;
    if sample.len() as u64 > max {
        return Err(format!("larger than {max} bytes"));
    }
    let road = if args.exploit_buffer { Road::ExploitBuffer } else { Road::Payload };
    let report = triage(&sample, road, &Rules::compile(&[]).0, &Budget::default());
    let text = serde_json::to_string(&report).map_err(|error| error.to_string())?;
    std::io::stdout().lock().write_all(text.as_bytes()).map_err(|error| format!("cannot answer: {error}"))
}
