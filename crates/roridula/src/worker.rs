//! The triage worker: shuts itself in, then reads samples on standard input and answers on standard output.
//!
//! It is a process of its own because hostile files are its whole business: it may die, hang or eat memory, and
//! the honeypot does not notice more than an exit status.

use crate::sandbox;
use crate::triage::{
    ANSWER_BYTES_MAX, Opened, Opening, Question, RULES_BYTES_MAX, read, read_json, write_json,
};
use clap::Args;
use roridula_triage::rules::Rules;
use roridula_triage::{Budget, Look, MEMORY_BYTES, Memory, Report, layer_bytes};
use std::io::{Read, Write};
use std::process::ExitCode;

/// Look into samples, given on standard input
#[derive(Debug, Args)]
pub(crate) struct WorkerArgs {
    /// Bytes of memory that the process may have
    #[arg(long)]
    memory_bytes: u64,
    /// Seconds of CPU time that one sample may use
    #[arg(long)]
    cpu_secs: u64,
}

/// Answers until its input ends, or fails with a line on standard error.
pub(crate) fn main(args: &WorkerArgs) -> ExitCode {
    sandbox::close_inherited();
    match answer(args, &mut std::io::stdin().lock(), &mut std::io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            eprintln!("{what}");
            ExitCode::FAILURE
        }
    }
}

fn answer(args: &WorkerArgs, from: &mut impl Read, to: &mut impl Write) -> Result<(), String> {
    sandbox::confine_worker(args.memory_bytes).map_err(|error| format!("cannot confine: {error}"))?;
    let failed = |error: std::io::Error| error.to_string();
    sandbox::allow_cpu(args.cpu_secs.saturating_mul(4))
        .map_err(|error| format!("cannot confine: {error}"))?;
    let Some(opening) = read_json::<Opening>(from, RULES_BYTES_MAX).map_err(failed)? else { return Ok(()) };
    let (rules, errors) = Rules::compile(&opening.files());
    write_json(to, &Opened { digest: rules.digest().to_owned(), errors }).map_err(failed)?;
    let (budget, mut memory) = (Budget::default(), Memory::new(MEMORY_BYTES));
    // Asking for the memory first turns "too large" into an error instead of an abort.
    let max = u32::try_from(args.memory_bytes / 4).unwrap_or(u32::MAX);
    while let Some(question) = read_json::<Question>(from, max).map_err(failed)? {
        let Some(sample) = read(from, max).map_err(failed)? else { return Ok(()) };
        sandbox::allow_cpu(args.cpu_secs).map_err(|error| format!("cannot confine: {error}"))?;
        if !question.layer.is_empty() {
            let bytes = layer_bytes(&sample, question.road(), &budget, &question.layer).unwrap_or_default();
            crate::triage::write(to, &bytes).map_err(failed)?;
            continue;
        }
        let [sha256, sha1, md5] = &question.hashes;
        let mut look = Look::new(&sample, question.road(), &rules, &budget).with_hashes(sha256, sha1, md5);
        if question.without_users_rules {
            look = look.without_users_rules();
        }
        if question.first && !look.is_known(&mut memory) {
            tell(to, &look.first())?;
        }
        tell(to, &look.full(&mut memory))?;
    }
    Ok(())
}

fn tell(to: &mut impl Write, report: &Report) -> Result<(), String> {
    let text = serde_json::to_vec(report).map_err(|error| error.to_string())?;
    if text.len() > ANSWER_BYTES_MAX as usize {
        return Err(format!("a report of {} bytes", text.len()));
    }
    crate::triage::write(to, &text).map_err(|error| error.to_string())
}
