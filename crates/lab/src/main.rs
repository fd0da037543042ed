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
    /// Write a look-alike payload to a file.
    Sample(roridula_lab::samples::cli::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Attack(args) => roridula_lab::attack::cli::run(&args),
        Command::Seeds(args) => roridula_lab::seeds::run(&args),
        Command::Serve(args) => roridula_lab::serve::run(&args),
        Command::Sample(args) => roridula_lab::samples::cli::run(&args),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("roridula-lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}
