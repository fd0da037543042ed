//! The command line: one file a subcommand.

mod check;
mod config;
mod connections;
mod console;
mod doctor;
mod events;
mod incidents;
mod index;
mod lookup;
pub(crate) mod out;
mod pcap;
mod recorded;
mod replay;
mod rules;
mod run;
mod samples;
mod top;
mod triage;
mod unknown;

use crate::settings::{Settings, SettingsError, Sources};
use crate::worker;
use clap::{Args, Parser, Subcommand};
use roridula_evidence::{Reader, StoreError};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Catches what SMB worms upload, byte for byte, and never runs a byte of it.
#[derive(Debug, Parser)]
#[command(
    name = "roridula",
    version,
    propagate_version = true,
    after_help = "\
First steps:
  roridula run --listen 127.0.0.1:4445     try it without root
  sudo roridula run                        listen on ports 445 and 139, then drop all rights
  roridula events --follow                 watch from another terminal
  roridula samples list                    what was caught
  roridula incidents list                  who attacked, and how far it came
  roridula samples export 3f2a --output .  take one away (zip, AES, password `infected`)

Nothing needs to be configured. `roridula config` prints every setting with its meaning."
)]
struct Cli {
    /// Where evidence is kept [default: /var/lib/roridula as root, else ./data]
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Listen for visitors and catch what they bring
    Run(run::RunArgs),
    /// Check the configuration and say what `run` would do, without doing it
    Check(SettingsArgs),
    /// Why am I catching nothing? A list of what is in the way, and a visit as an inert worm
    Doctor(doctor::DoctorArgs),
    /// Print the default configuration, every setting explained
    Config,
    /// The web console alone, on any data directory; and its password and tokens
    Console(console::ConsoleArgs),
    /// The files that were caught
    #[command(subcommand)]
    Samples(samples::SamplesCommand),
    /// The honeypot at a glance, in a terminal
    Top(top::TopArgs),
    /// What happened, in the order of the journal
    Events(events::EventsArgs),
    /// Who came, and each visit's story
    #[command(subcommand)]
    Connections(connections::ConnectionsCommand),
    /// Attacks: all connections of one source that belong together
    #[command(subcommand)]
    Incidents(incidents::IncidentsCommand),
    /// The index that the console and the lists read
    #[command(subcommand)]
    Index(index::IndexCommand),
    /// What nobody understands yet, grouped by shape
    Unknown(unknown::UnknownArgs),
    /// The rules that samples are compared with: ours, and those of your folders
    #[command(subcommand)]
    Rules(rules::RulesCommand),
    /// Explain files at hand or samples again: what they are, what is inside, which rules fit
    Triage(triage::TriageArgs),
    /// What VirusTotal and MalwareBazaar know of a sample (off by default, docs/lookups.md)
    Lookup(lookup::LookupArgs),
    /// Run recorded connections through this build
    Replay(replay::ReplayArgs),
    /// Write recorded connections as a packet capture (pcapng) for Wireshark
    Pcap(pcap::PcapArgs),
    /// Look into one sample (started by `run` in a process of its own)
    #[command(hide = true)]
    Worker(worker::WorkerArgs),
}

/// Where settings come from: shared by `run` and `check`.
#[derive(Debug, Args)]
pub(crate) struct SettingsArgs {
    /// Listen here instead of on the configured addresses; repeat for more
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) listen: Vec<SocketAddr>,
    /// A configuration file (see `roridula config`)
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// One setting, over the file: `--set implant.arch=x86`; repeat for more
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
}

impl SettingsArgs {
    /// The settings, or everything that is wrong with them.
    pub(crate) fn load(&self) -> Result<Settings, SettingsError> {
        let mut sources = Sources::default();
        if let Some(path) = &self.config {
            sources.file(path)?;
        }
        for assignment in &self.set {
            sources.set(assignment)?;
        }
        if !self.listen.is_empty() {
            let list: Vec<_> = self.listen.iter().map(SocketAddr::to_string).collect();
            sources.set(&format!("listen={}", list.join(",")))?;
        }
        sources.load()
    }
}

/// A command that could not do its work: what to tell the user. Empty: nobody is left to be told.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) String);

impl Failure {
    /// A failure told in these words.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        // `roridula events | head`: the reader has what it wanted.
        let gone = error.kind() == ErrorKind::BrokenPipe;
        Self(if gone { String::new() } else { error.to_string() })
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self(error.to_string())
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self(error.to_string())
    }
}

/// Parses the command line and carries it out.
pub(crate) fn main() -> ExitCode {
    let Cli { data, command } = Cli::parse();
    let data = data.unwrap_or_else(default_data);
    let done = match command {
        Command::Run(args) => run::run(&args, &data),
        Command::Check(args) => check::check(&args, &data),
        Command::Doctor(args) => doctor::run(&args, &data),
        Command::Config => config::print(),
        Command::Console(args) if console::is_child(&args) => return console::child(&data),
        Command::Console(args) => console::run(&args, &data),
        Command::Samples(command) => samples::run(&command, &data),
        Command::Top(args) => top::run(&args, &data),
        Command::Events(args) => events::run(&args, &data),
        Command::Connections(command) => connections::run(&command, &data),
        Command::Incidents(command) => incidents::run(&command, &data),
        Command::Index(command) => index::run(&command, &data),
        Command::Unknown(args) => unknown::run(&args, &data),
        Command::Rules(command) => rules::run(&command, &data),
        Command::Triage(args) => triage::run(&args, &data),
        Command::Lookup(args) => lookup::run(&args, &data),
        Command::Replay(args) => replay::run(&args, &data),
        Command::Pcap(args) => pcap::run(&args, &data),
        Command::Worker(args) => return worker::main(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(text)) if text.is_empty() => ExitCode::SUCCESS,
        Err(Failure(text)) => {
            for line in text.lines() {
                eprintln!("roridula: {line}");
            }
            ExitCode::FAILURE
        }
    }
}

fn default_data() -> PathBuf {
    PathBuf::from(if nix::unistd::geteuid().is_root() { "/var/lib/roridula" } else { "data" })
}

/// The journal in `data`, for reading.
fn reader(data: &Path) -> Result<Reader, Failure> {
    // A directory that may not be entered looks like one without a journal; say which it is.
    match std::fs::metadata(data.join("journal.sqlite")) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            let what = "is not yours to read: use sudo, or become its owner or a member of its group";
            Err(Failure::new(format!("{} {what}", data.display())))
        }
        _ => Ok(Reader::open(data)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn data_may_stand_anywhere() {
        let before = Cli::parse_from(["roridula", "--data", "/d", "samples", "list", "--json"]);
        let after = Cli::parse_from(["roridula", "samples", "list", "--json", "--data", "/d"]);
        assert_eq!(before.data, after.data);
    }
}
