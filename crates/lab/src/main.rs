//! `roridula-lab`, or `cargo lab`.

#![forbid(unsafe_code)]

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Tests and measures Roridula. Everything it sends is inert, and it sends to loopback only.
#[derive(Debug, Parser)]
#[command(name = "roridula-lab", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Play an attacker against a honeypot on this machine.
    Attack(roridula_lab::attack::cli::Args),
    /// Make seeds for the fuzzers from the transcripts.
    Seeds(roridula_lab::seeds::Args),
    /// Serve proto alone on a loopback port, events on stdout.
    Serve(roridula_lab::serve::Args),
    /// Measure the honeypot against a bare server.
    Bench(roridula_lab::bench::Args),
    /// The bare server of the benchmarks.
    #[command(hide = true)]
    Bare(roridula_lab::bench::bare::Args),
    /// Attack from many sources for a while, and say how much was done.
    Load(roridula_lab::load::Args),
    /// Attack with many different attackers at once, and write what the honeypot has to tell of them.
    Swarm(roridula_lab::swarm::Args),
    /// Write a look-alike payload to a file.
    Sample(roridula_lab::samples::cli::Args),
    /// Write all look-alikes to a folder, with a ledger of what is in them.
    Samples(roridula_lab::samples::world::Args),
    /// Write a data directory full of a believable past.
    History(roridula_lab::history::Args),
    /// Visit a running honeypot every few seconds, each time in another way.
    Trickle(roridula_lab::history::trickle::Args),
    /// Catch many look-alikes of few cores, and compare what is told of them with what they are.
    Explain(roridula_lab::explain::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Attack(args) => roridula_lab::attack::cli::run(&args),
        Command::Seeds(args) => roridula_lab::seeds::run(&args),
        Command::Serve(args) => roridula_lab::serve::run(&args),
        Command::Bench(args) => roridula_lab::bench::run(&args),
        Command::Bare(args) => roridula_lab::bench::bare::run(&args),
        Command::Load(args) => roridula_lab::load::run(&args),
        Command::Swarm(args) => roridula_lab::swarm::run(&args),
        Command::Sample(args) => roridula_lab::samples::cli::run(&args),
        Command::Samples(args) => roridula_lab::samples::world::run(&args),
        Command::History(args) => roridula_lab::history::run(&args),
        Command::Trickle(args) => roridula_lab::history::trickle::run(&args),
        Command::Explain(args) => roridula_lab::explain::run(&args),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("roridula-lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}
