//! `roridula-lab attack`.

use super::campaign::{play, upload_payload};
use super::report::Report;
use super::{Attack, Body, Kind, Order, Shape};
use crate::samples::cli::Arch;
use crate::samples::world;
use anyhow::ensure;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;

/// Options of `attack`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Which attack.
    #[arg(value_enum)]
    pub kind: Kind,
    /// With `eternalblue`: whose.
    #[arg(long, value_enum, default_value_t = Shape::Fuzzbunch)]
    pub shape: Shape,
    /// The honeypot; loopback only.
    #[arg(long)]
    pub target: SocketAddr,
    /// The payload's machine [default: what the implant's ping says].
    #[arg(long, value_enum)]
    pub arch: Option<Arch>,
    /// Payload variant, and whatever else is by chance.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Stop after this many payload bytes, even inside a frame, and close.
    #[arg(long, value_name = "BYTES")]
    pub drop_at: Option<u64>,
    /// Stop after this many bytes of the exploit's main connection (or of the only one), and close.
    #[arg(long, value_name = "BYTES")]
    pub cut_at: Option<u64>,
    /// Bytes per chunk.
    #[arg(long, default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..=65_000))]
    pub chunk: u32,
    /// Order of the chunks.
    #[arg(long, value_enum, default_value_t = Order::InOrder)]
    pub order: Order,
    /// Send some chunks twice.
    #[arg(long)]
    pub duplicate: bool,
    /// Encode with a key that is not the implant's.
    #[arg(long)]
    pub wrong_key: bool,
    /// Upload this many bytes of filler instead of the kind's own payload.
    #[arg(long, value_name = "BYTES", conflicts_with = "dll")]
    pub size: Option<usize>,
    /// Upload a stub and a DLL of this size instead of the kind's own payload.
    #[arg(long, value_name = "BYTES")]
    pub dll: Option<usize>,
    /// Upload this look-alike of `roridula-lab samples` (its file's name) on one connection.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["size", "dll"])]
    pub look_alike: Option<String>,
    /// Announce this total, whatever the payload's size.
    #[arg(long, value_name = "BYTES")]
    pub announce: Option<u32>,
    /// Announce this total from the second chunk on.
    #[arg(long, value_name = "BYTES")]
    pub announce_later: Option<u32>,
    /// Uploads on one connection, each a variant of its own.
    #[arg(long, default_value_t = 1)]
    pub uploads: usize,
    /// `real` waits as the worm does: 3 s between connections, 10 s before the exploit's are closed.
    #[arg(long, value_enum, default_value_t = Timing::None)]
    pub timing: Timing,
    /// The loopback address to come from.
    #[arg(long)]
    pub source: Option<IpAddr>,
    /// Go on where the tool would give up.
    #[arg(long)]
    pub stubborn: bool,
    /// Play the check of the process's first target: without the stale bytes.
    #[arg(long)]
    pub first_target: bool,
    /// Attack this many times, one after the other.
    #[arg(long, default_value_t = 1)]
    pub repeat: u64,
    /// Attack from this many places at once, each with its own 127.x.y.z.
    #[arg(long, default_value_t = 1)]
    pub parallel: u32,
    /// With --repeat or --parallel: a variant of its own for each attack.
    #[arg(long)]
    pub variants: bool,
    /// Print one JSON object for each attack.
    #[arg(long)]
    pub json: bool,
}

/// Waiting times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Timing {
    /// No waiting.
    None,
    /// The worm's.
    Real,
}

/// A key that no seed of any install is likely to give.
const WRONG_KEY: u32 = 0x5e36_7352;

impl Args {
    fn attack(&self) -> Attack {
        let body = match (self.size, self.dll) {
            (Some(size), _) => Body::Raw(size),
            (None, Some(size)) => Body::Dll(size),
            (None, None) => Body::OfKind,
        };
        Attack {
            shape: self.shape,
            source: self.source,
            arch: self.arch,
            body,
            chunk: self.chunk,
            order: self.order,
            duplicate: self.duplicate,
            key: self.wrong_key.then_some(WRONG_KEY),
            announce: self.announce,
            announce_later: self.announce_later,
            drop_at: self.drop_at,
            cut_at: self.cut_at,
            uploads: self.uploads,
            real_timing: self.timing == Timing::Real,
            stubborn: self.stubborn || self.wrong_key,
            first_target: self.first_target,
            ..Attack::new(self.kind, self.target, self.seed)
        }
    }
}

/// The `number`-th source: 127.64.0.1 and on.
pub fn nth_source(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x7f40_0001 + number))
}

/// Plays what was asked for; fails if an attack did not reach its aim.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    ensure!(args.parallel >= 1 && args.parallel <= 4000, "--parallel must be between 1 and 4000");
    super::socket::check_target(args.target)?;
    let results: Vec<anyhow::Result<bool>> = std::thread::scope(|scope| {
        let workers: Vec<_> =
            (0..args.parallel).map(|place| scope.spawn(move || worker(args, place))).collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|_| anyhow::bail!("a worker died")))
            .collect()
    });
    let mut all = true;
    for result in results {
        all &= result?;
    }
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn worker(args: &Args, place: u32) -> anyhow::Result<bool> {
    let mut all = true;
    for turn in 0..args.repeat {
        let mut attack = args.attack();
        if args.parallel > 1 && attack.source.is_none() && args.target.is_ipv4() {
            attack.source = Some(nth_source(place));
        }
        if args.variants {
            attack.seed += u64::from(place) * args.repeat + turn;
        }
        attack.first_target &= turn == 0;
        let report = match &args.look_alike {
            Some(name) => upload_payload(&attack, &world::file(name, 1)?)?,
            None => play(&attack)?,
        };
        print(&report, args.json)?;
        all &= report.succeeded;
    }
    Ok(all)
}

fn print(report: &Report, json: bool) -> anyhow::Result<()> {
    if json {
        println!("{}", serde_json::to_string(report)?);
    } else {
        print!("{}", report.to_text());
    }
    Ok(())
}
