//! Steady load from many sources: how a honeypot behaves when it is busy.

use crate::attack::campaign::play;
use crate::attack::cli::nth_source;
use crate::attack::socket::check_target;
use crate::attack::{Attack, Kind};
use anyhow::ensure;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// Options of `load`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The honeypot; loopback only.
    #[arg(long)]
    pub target: SocketAddr,
    /// What each source does, over and over.
    #[arg(long, value_enum, default_value_t = Kind::Wannacry)]
    pub kind: Kind,
    /// How many sources, each with its own 127.x.y.z.
    #[arg(long, default_value_t = 16)]
    pub sources: u32,
    /// For how long, in seconds.
    #[arg(long, default_value_t = 10)]
    pub secs: u64,
    /// Payload variants in turn; 1 means that all send the same.
    #[arg(long, default_value_t = 1)]
    pub variants: u64,
}

#[derive(Debug, Default)]
struct Tally {
    attacks: u64,
    failed: u64,
    payload_bytes: u64,
    longest: Duration,
    faults: BTreeMap<String, u64>,
}

/// Attacks until the time is over, then says how much was done.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    check_target(args.target)?;
    ensure!((1..=4000).contains(&args.sources), "--sources must be between 1 and 4000");
    let tally = Mutex::new(Tally::default());
    let begun = Instant::now();
    let time = Duration::from_secs(args.secs);
    std::thread::scope(|scope| {
        for number in 0..args.sources {
            let tally = &tally;
            scope.spawn(move || {
                let mut turn = 0;
                while begun.elapsed() < time {
                    one(args, number, turn, tally);
                    turn += 1;
                }
            });
        }
    });
    let secs = begun.elapsed().as_secs_f64();
    let tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!(
        "{} attacks in {secs:.1} s from {} sources: {:.1} a second, {:.1} MB/s of payload, the longest {} ms, {} failed",
        tally.attacks,
        args.sources,
        tally.attacks as f64 / secs,
        tally.payload_bytes as f64 / secs / 1e6,
        tally.longest.as_millis(),
        tally.failed
    );
    for (fault, count) in &tally.faults {
        println!("  {count} x {fault}");
    }
    Ok(if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn one(args: &Args, number: u32, turn: u64, tally: &Mutex<Tally>) {
    let seed = (u64::from(number) + turn) % args.variants.max(1);
    let mut attack = Attack::new(args.kind, args.target, seed);
    attack.source = args.target.is_ipv4().then(|| nth_source(number));
    let begun = Instant::now();
    let result = play(&attack);
    let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
    tally.attacks += 1;
    tally.longest = tally.longest.max(begun.elapsed());
    let fault = match result {
        Ok(report) => {
            tally.payload_bytes += report.payloads.iter().map(|payload| payload.size).sum::<u64>();
            let last = report.connections.last().map_or(String::new(), |last| last.outcome.clone());
            (!report.succeeded).then_some(last)
        }
        Err(error) => Some(format!("{error:#}")),
    };
    if let Some(fault) = fault {
        tally.failed += 1;
        *tally.faults.entry(fault).or_default() += 1;
    }
}
