//! The honeypot's binary: wires the rooms together and contains the logic of none.

#![forbid(unsafe_code)]
// The binary owns the process: files, signals, threads, the clock. The bans of clippy.toml are for the pure crates.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod cli;
mod console;
mod courtesy;
mod decoy;
mod live;
mod rules;
mod sandbox;
mod settings;
mod terminal;
mod triage;
mod worker;

fn main() -> std::process::ExitCode {
    cli::main()
}
