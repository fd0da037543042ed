//! `roridula-lab history`: a data directory full of a believable past, in seconds.
//!
//! The decoy's own code meets inert visitors in virtual time, without a socket, and what it tells goes through the
//! store's own door with the store's clock set to that time. Journal, samples and transcripts are written; all that is
//! derived from them (reports, incidents, the index) is left to whoever derives it, as after a real week.
//!
//! `cast` who comes when → `acts` what one visitor does → `line` one connection → `past` the store.

mod acts;
mod cast;
mod line;
mod past;
mod payloads;
mod recordings;
pub mod spray;
#[cfg(test)]
mod tests;
pub mod trickle;

pub use past::Tally;

use crate::honeypot;
use crate::samples::cli::Arch;
use acts::Stage;
use anyhow::{Context, ensure};
use cast::Cast;
use past::{Past, Record};
use payloads::Kitchen;
use recordings::Recordings;
use roridula_evidence::Install;
use roridula_proto::connection::{self, Decoy, Implant, Ms17010, Policy};
use roridula_proto::event::Event;
use roridula_proto::identity::Identity;
use roridula_proto::limits::Limits;
use roridula_proto::persona::Persona;
use roridula_proto::time::WallClock;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Instant;

const DAY_US: u64 = 86_400_000_000;
/// The address of ours that everybody came to.
const HOME: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)), 445);
/// Of a hundred parts of the time, so many before the operator lets the implant in only by the exploit.
const FIRST_PHASE: u64 = 40;
/// Between two events about visitors turned away.
const REFUSED_EVERY_US: u64 = 600_000_000;

/// Options of `history`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The data directory to make.
    #[arg(long, short)]
    pub out: PathBuf,
    /// How long the past is.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub days: u32,
    /// Connections, exactly, where the incidents do not need more.
    #[arg(long, default_value_t = 3000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    pub connections: u32,
    /// Incidents, nearly.
    #[arg(long, default_value_t = 150, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub incidents: u32,
    /// Different whole payloads; uploads that were cut off are samples besides.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub samples: u32,
    /// Which past.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Explain the samples when all is there, as `roridula triage --all` does.
    #[arg(long)]
    pub triage: bool,
}

/// A time in which the honeypot was set up in one way.
#[derive(Clone, Copy, Debug)]
struct Phase {
    from: WallClock,
    arch: Arch,
    /// Whether the implant answers only those whose exploit ran to its end.
    exploit: bool,
}

/// Writes the past that ends at `until`.
///
/// # Errors
/// Where `args.out` holds a journal already, or cannot be written.
pub fn write(args: &Args, until: WallClock) -> anyhow::Result<Tally> {
    ensure!(
        !args.out.join("journal.sqlite").exists(),
        "{} holds a journal; a past is written into a new directory",
        args.out.display()
    );
    let from = WallClock(until.0.saturating_sub(u64::from(args.days) * DAY_US));
    let later = WallClock(from.0 + (until.0 - from.0) / 100 * FIRST_PHASE);
    let phases = [
        Phase { from, arch: Arch::X86, exploit: false },
        Phase { from: later, arch: Arch::X64, exploit: true },
    ];
    let recordings = Recordings::load()?;
    let cast = cast::cast(args, &phases, until, (recordings.clients.len(), recordings.strangers.len()));
    let (mut past, store) = Past::open(&args.out, from)?;
    announce(&mut past, &phases, &cast, until);
    let decoys = phases.map(|phase| Arc::new(decoy_of(store.install(), phase)));
    let mut kitchen = Kitchen::new(args.seed);
    for entry in &cast.entries {
        past.go_on(entry.at)?;
        let phase = phases.partition_point(|phase| phase.from <= entry.at).saturating_sub(1);
        let decoy = Arc::clone(&decoys[phase]);
        let mut stage = Stage { past: &mut past, kitchen: &mut kitchen, recordings: &recordings, decoy };
        stage.play(entry.act, entry.at, entry.source, HOME, entry.seed);
    }
    past.end()
}

/// What the honeypot told of itself: its starts, and whom it turned away.
fn announce(past: &mut Past, phases: &[Phase], cast: &Cast, until: WallClock) {
    // How many there were is known when they are on record.
    let stopped = || Record::Sensor(Event::SensorStopped { connections: 0 });
    for phase in phases {
        if phase.exploit {
            let before = WallClock(phase.from.0.saturating_sub(2_000_000));
            past.put(before, stopped());
        }
        past.put(
            phase.from,
            Record::Sensor(Event::SensorStarted {
                version: env!("CARGO_PKG_VERSION").into(),
                listen: vec![HOME.to_string(), SocketAddr::new(HOME.ip(), 139).to_string()],
                persona: Persona::WINDOWS_7_SP1.name.into(),
                policy: if phase.exploit { "after-exploit" } else { "present" }.into(),
            }),
        );
    }
    past.put(WallClock(until.0.saturating_sub(1)), stopped());
    let (source, begin, end) = cast.spike;
    let mut at = begin.0 + REFUSED_EVERY_US;
    while at < end.0 {
        let limit = "gate.connections_per_source_max".to_owned();
        let refused = Event::ConnectionRefused { limit, count: 1 + at / REFUSED_EVERY_US % 97 };
        past.put(WallClock(at), Record::Door(source, HOME, refused));
        at += REFUSED_EVERY_US;
    }
}

fn decoy_of(install: &Install, phase: Phase) -> Decoy {
    Decoy {
        identity: Identity::derive(install.secret.clone(), install.installed_at),
        persona: Persona::WINDOWS_7_SP1,
        limits: Limits::default(),
        implant: Implant {
            policy: if phase.exploit { Policy::AfterExploit } else { Policy::Present },
            arch: if phase.arch == Arch::X86 { connection::Arch::X86 } else { connection::Arch::X64 },
            key_seed: None,
        },
        ms17_010: Ms17010::Unpatched,
    }
}

/// Writes the past up to now, and says what is in it.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let begun = Instant::now();
    let tally = write(args, roridula_evidence::wall_clock())?;
    println!(
        "{}: {} connections, {} captures of {} samples in {:.1} s",
        args.out.display(),
        tally.connections,
        tally.captures,
        tally.samples,
        begun.elapsed().as_secs_f64()
    );
    if args.triage {
        let status = Command::new(honeypot::binary())
            .args(["triage", "--all", "--data"])
            .arg(&args.out)
            .status()
            .context("cannot start roridula")?;
        ensure!(status.success(), "roridula triage --all: {status}");
    }
    Ok(ExitCode::SUCCESS)
}
