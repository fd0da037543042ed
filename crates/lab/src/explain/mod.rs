//! Many captures of few cores: does the honeypot tell what they are?
//!
//! Issue "Explain": 1,000 look-alike captures of 20 cores and 3 oddities go in over the wire. The groups have to be
//! exactly those cores, the oddities come first, each sentence has the words of the ledger, the disk holds a small
//! part of the raw bytes, and every file comes out as it went in.

pub mod cast;
pub mod checks;

use crate::attack::campaign::upload_payload;
use crate::attack::{Attack, Kind};
use crate::honeypot::Start;
use crate::samples::cli::sha256_hex;
use anyhow::{Context, ensure};
use cast::{Capture, Cast};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Options of `explain`.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Args {
    /// How many captures, oddities included.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(20..=100_000))]
    pub captures: u32,
    /// Of how many cores, oddities not included.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub cores: u32,
    /// Which ones.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How many are sent at the same time.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub threads: u32,
}

/// What went in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Which capture of the cast.
    pub capture: Capture,
    /// SHA-256 of what was sent.
    pub sha256: String,
    /// Its size.
    pub size: u64,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Whatever is not as it has to be.
    pub complaints: Vec<String>,
    /// Bytes that went in.
    pub raw_bytes: u64,
    /// Bytes that the data directory takes.
    pub disk_bytes: u64,
    /// Seconds until all was sent.
    pub sent_secs: f64,
    /// Seconds from there until all was looked into.
    pub explained_secs: f64,
    /// Seconds from there until the disk held little enough.
    pub stored_secs: f64,
    /// Seconds for taking all away.
    pub exported_secs: f64,
}

/// Sends a cast to a honeypot of its own and compares what is told of it.
pub fn play(args: &Args) -> anyhow::Result<Outcome> {
    let cast = Cast::new(args.captures, args.cores, args.seed);
    let honeypot = Start::default().set("implant.policy=present").run()?;
    let mut outcome = Outcome::default();
    let begun = Instant::now();
    let sent = send(honeypot.address, &cast, args.threads)?;
    outcome.raw_bytes = sent.iter().map(|sent| sent.size).sum();
    outcome.sent_secs = begun.elapsed().as_secs_f64();
    eprintln!("sent {} captures, {} bytes, in {:.1} s", sent.len(), outcome.raw_bytes, outcome.sent_secs);
    checks::all(&honeypot, &cast, &sent, &mut outcome)?;
    Ok(outcome)
}

fn send(target: SocketAddr, cast: &Cast, threads: u32) -> anyhow::Result<Vec<Sent>> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, anyhow::Result<Sent>)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(capture) = cast.captures.get(number) else { return };
                    let result = send_one(target, cast, capture);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((number, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(number, sent)| sent.with_context(|| format!("capture {number}"))).collect()
}

fn send_one(target: SocketAddr, cast: &Cast, capture: &Capture) -> anyhow::Result<Sent> {
    let payload = cast.payload(capture);
    let attack = Attack { source: Some(capture.source), ..Attack::new(Kind::Upload, target, capture.seed) };
    let report = upload_payload(&attack, &payload)?;
    ensure!(report.succeeded, "not taken to its end: {}", report.to_text());
    Ok(Sent { capture: capture.clone(), sha256: sha256_hex(&payload), size: payload.len() as u64 })
}

/// Plays it and prints what came of it; fails where anything is not as it has to be.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let outcome = play(args)?;
    let percent = 100.0 * outcome.disk_bytes as f64 / outcome.raw_bytes as f64;
    let each = |secs: f64| format!("{secs:.1} s, {:.1} a second", f64::from(args.captures) / secs);
    println!("| {} captures of {} cores and 3 oddities | |\n|---|---|", args.captures, args.cores);
    println!("| sent over the wire | {}, {} bytes |", each(outcome.sent_secs), outcome.raw_bytes);
    println!("| until all were looked into, after that | {:.1} s |", outcome.explained_secs);
    println!("| until the disk held little enough, after that | {:.1} s |", outcome.stored_secs);
    println!("| data directory | {} bytes, {percent:.2} % of the raw bytes |", outcome.disk_bytes);
    println!("| exported and compared | {} |", each(outcome.exported_secs));
    println!("| not as it has to be | {} |", outcome.complaints.len());
    for complaint in &outcome.complaints {
        eprintln!("{complaint}");
    }
    Ok(if outcome.complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
