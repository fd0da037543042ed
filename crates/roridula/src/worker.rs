//! The triage worker: shuts itself in, then reads samples on standard input and answers on standard output.
//!
//! It is a process of its own because hostile files are its whole business: it may die, hang or eat memory, and
//! the honeypot does not notice more than an exit status.

use crate::rules::thread_time;
use crate::sandbox;
use crate::triage::{
    ANSWER_BYTES_MAX, Opened, Opening, Question, RULES_BYTES_MAX, Wanted, read, read_json, write_json,
};
use clap::Args;
use roridula_triage::rules::{RuleFile, Rules};
use roridula_triage::{Budget, Look, MEMORY_BYTES, Memory, Report, layer_bytes};
use std::io::{Read, Write};
use std::process::ExitCode;
use std::time::Duration;

/// A full report that takes no longer is quick, whatever the user's rules are.
const QUICK: Duration = Duration::from_secs(1);

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
    let files = opening.files();
    let (rules, errors) = Rules::compile(&files);
    write_json(to, &Opened { digest: rules.digest().to_owned(), errors }).map_err(failed)?;
    let memory = Memory::new(MEMORY_BYTES);
    let budget = Budget::default();
    let mut bench = Bench { cpu_secs: args.cpu_secs, files, rules, memory, budget, was_quick: true };
    // Asking for the memory first turns "too large" into an error instead of an abort.
    let max = u32::try_from(args.memory_bytes / 4).unwrap_or(u32::MAX);
    while let Some(question) = read_json::<Question>(from, max).map_err(failed)? {
        let Some(sample) = read(from, max).map_err(failed)? else { return Ok(()) };
        bench.allow(1)?;
        if !question.layer.is_empty() {
            let layer = layer_bytes(&sample, question.road(), &bench.budget, &question.layer);
            crate::triage::write(to, &layer.unwrap_or_default()).map_err(failed)?;
            continue;
        }
        if question.find_slow_rules {
            bench.leave_out_slow(&sample)?;
        }
        bench.look(&question, &sample, to)?;
    }
    Ok(())
}

/// What samples are looked into with.
struct Bench {
    cpu_secs: u64,
    files: Vec<RuleFile>,
    rules: Rules,
    memory: Memory,
    budget: Budget,
    /// Whether the last full report was.
    was_quick: bool,
}

impl Bench {
    /// So many times a sample's processor time, from now on.
    fn allow(&self, times: u64) -> Result<(), String> {
        sandbox::allow_cpu(self.cpu_secs.saturating_mul(times))
            .map_err(|error| format!("cannot confine: {error}"))
    }

    /// Tells the reports that are wanted. The full one once more where rule files ran out of time and it can be told which.
    fn look(&mut self, question: &Question, sample: &[u8], to: &mut impl Write) -> Result<(), String> {
        let looked = self.look_once(question, sample, |first| tell(to, first))?;
        let Some((mut report, was_late)) = looked else { return Ok(()) };
        if was_late && self.leave_out_slow(sample)? {
            let again = Question { wanted: Wanted::Full, ..question.clone() };
            if let Some((without, _)) = self.look_once(&again, sample, |_| Ok(()))? {
                report = without;
            }
        }
        tell(to, &report)
    }

    /// The full report, and whether the user's rules ran out of time; `None` where the first one is enough.
    fn look_once(
        &mut self,
        question: &Question,
        sample: &[u8],
        first: impl FnOnce(&Report) -> Result<(), String>,
    ) -> Result<Option<(Report, bool)>, String> {
        let [sha256, sha1, md5] = &question.hashes;
        let look = Look::new(sample, question.road(), &self.rules, &self.budget);
        let mut look = look.with_hashes(sha256, sha1, md5);
        if question.without_users_rules {
            look = look.without_users_rules();
        }
        // A known core makes a full report as quick as a first one, unless the user's rules are slow in what is around it.
        let may_be_slow = !self.was_quick && !self.rules.users_files().is_empty();
        if question.wanted != Wanted::Full && (may_be_slow || !look.is_known(&mut self.memory)) {
            first(&look.first())?;
            if question.wanted == Wanted::First {
                return Ok(None);
            }
        }
        let before = thread_time();
        let report = look.full(&mut self.memory);
        self.was_quick = thread_time().saturating_sub(before) <= QUICK;
        Ok(Some((report, look.was_late())))
    }

    /// Leaves out the user's files that are too slow for this sample, from now on; whether there are some.
    fn leave_out_slow(&mut self, sample: &[u8]) -> Result<bool, String> {
        self.allow(4)?;
        let asked = self.files.iter().filter(|file| self.rules.users_files().contains(&file.name));
        let slow =
            asked.filter(|file| crate::rules::slow(file, sample).is_some()).map(|file| file.name.clone());
        let left_out: Vec<String> = self.rules.left_out().iter().cloned().chain(slow).collect();
        let found = left_out.len() > self.rules.left_out().len();
        if found {
            self.rules = Rules::compile_but(&self.files, left_out).0;
        }
        self.allow(1)?;
        Ok(found)
    }
}

fn tell(to: &mut impl Write, report: &Report) -> Result<(), String> {
    let text = serde_json::to_vec(report).map_err(|error| error.to_string())?;
    if text.len() > ANSWER_BYTES_MAX as usize {
        return Err(format!("a report of {} bytes", text.len()));
    }
    crate::triage::write(to, &text).map_err(|error| error.to_string())
}
