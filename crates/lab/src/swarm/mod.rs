//! Many attackers at once, and a ledger of what the honeypot has to tell of them.

pub mod cast;
pub mod ledger;

use crate::attack::campaign::play;
use crate::attack::report::Report;
use crate::attack::socket::{check_target, connect};
use anyhow::{Context, ensure};
use cast::{Act, Attacker, cast};
use ledger::{Line, connect_line, line};
use std::collections::VecDeque;
use std::io::Write as _;
use std::net::{Shutdown, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Options of `swarm`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The honeypot; loopback only.
    #[arg(long)]
    pub target: SocketAddr,
    /// How many addresses attack, from 127.64.0.1 on; some have two attackers.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=4000))]
    pub sources: u32,
    /// Which mix.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How many attack at the same time.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub threads: u32,
    /// Where to write the ledger; stdout where it is left out.
    #[arg(long, value_name = "FILE")]
    pub ledger: Option<PathBuf>,
}

/// What a swarm did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Played {
    /// A line for each attacker that could be played, in the order of the cast.
    pub ledger: Vec<Line>,
    /// What went wrong, an attacker each: it has no line.
    pub failures: Vec<String>,
}

/// Plays a whole swarm. What goes wrong for one attacker stops no other.
pub fn swarm(target: SocketAddr, sources: u32, seed: u64, threads: u32) -> anyhow::Result<Played> {
    check_target(target)?;
    let cast = cast(target, sources, seed);
    let waiting: Mutex<VecDeque<usize>> = Mutex::new((0..cast.len()).collect());
    let done: Mutex<Vec<(usize, anyhow::Result<Line>)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(number) = {
                    let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
                    waiting.pop_front()
                } {
                    let result = act(&cast[number], target);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((number, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(number, _)| *number);
    let mut played = Played::default();
    for (number, result) in done {
        match result {
            Ok(line) => played.ledger.push(line),
            Err(error) => played.failures.push(format!("{}: {error:#}", cast[number].source)),
        }
    }
    Ok(played)
}

/// Plays one attacker.
fn act(attacker: &Attacker, target: SocketAddr) -> anyhow::Result<Line> {
    match &attacker.act {
        Act::Connect => {
            connect(target, Some(attacker.source))?.shutdown(Shutdown::Both)?;
            Ok(connect_line(attacker.source, attacker.shared))
        }
        Act::Attack(attack) => {
            let report = play(attack).with_context(|| format!("{:?}", attack.kind))?;
            check(&report)?;
            Ok(line(attack, &report, attacker.source, attacker.shared))
        }
    }
}

/// A swarm's attackers meet a clean, an implanted or an exploited host alike; but whatever it is, it is a
/// Windows.
fn check(report: &Report) -> anyhow::Result<()> {
    for connection in &report.connections {
        let of = || format!("{} from {}: {}", connection.purpose, connection.from, connection.outcome);
        ensure!(connection.replies_not_in_one_piece == 0, "replies in pieces: {}", of());
        ensure!(!connection.outcome.starts_with("refused"), "{}", of());
        let exploit = matches!(connection.purpose, "exploit" | "hole" | "groom");
        ensure!(connection.succeeded || !exploit, "{}", of());
    }
    Ok(())
}

/// Plays a swarm and writes its ledger; fails if any attacker could not be played.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let begun = Instant::now();
    let played = swarm(args.target, args.sources, args.seed, args.threads)?;
    let mut text = Vec::new();
    for line in &played.ledger {
        serde_json::to_writer(&mut text, line)?;
        text.push(b'\n');
    }
    match &args.ledger {
        Some(path) => {
            std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        None => std::io::stdout().write_all(&text)?,
    }
    let connections: u64 = played.ledger.iter().map(|line| line.connections).sum();
    eprintln!(
        "{} attackers from {} sources, {connections} connections in {:.1} s, {} failed",
        played.ledger.len() + played.failures.len(),
        args.sources,
        begun.elapsed().as_secs_f64(),
        played.failures.len()
    );
    for failure in &played.failures {
        eprintln!("  {failure}");
    }
    Ok(if played.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
