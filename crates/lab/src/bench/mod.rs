//! The benchmarks of `BENCHMARKS.md`: ratios to a bare server, in one run, interleaved, pinned.

pub mod bare;
pub mod beside;
pub mod connects;
pub mod index;
pub mod place;
pub mod table;
pub mod triage;
pub mod uploads;

use anyhow::ensure;
use place::{Server, Which, cores, pin_self};
use std::process::ExitCode;
use std::time::Duration;
use table::{Row, median};
use uploads::Script;

/// Options of `bench`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Only these: a, b, c, d, e, f, g, i, t.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// Interleaved repeats of each measurement.
    #[arg(long, default_value_t = 7)]
    pub repeats: usize,
    /// The data directory that (i) reads, instead of a past that is made for it.
    #[arg(long, value_name = "DIR")]
    pub history: Option<std::path::PathBuf>,
    /// Put the table into BENCHMARKS.md.
    #[arg(long)]
    pub write: bool,
    /// Measure a debug build all the same: the figures mean nothing.
    #[arg(long)]
    pub debug: bool,
}

impl Args {
    /// Whether this measurement is asked for.
    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }
}

/// Runs the measurements and prints the table.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    ensure!(args.debug || !cfg!(debug_assertions), "a debug build measures nothing: make bench, or --debug");
    let cores = cores()?;
    let mut rows = Vec::new();
    if args.only.iter().any(|only| !["i", "t"].contains(&only.as_str())) || args.only.is_empty() {
        rows.extend(network(args, &cores)?);
    }
    if args.wants("i") {
        rows.extend(index::measure(args)?);
    }
    if args.wants("t") {
        rows.extend(triage::measure(args)?);
    }
    let text = table::markdown(&rows, args.repeats);
    print!("{text}");
    if args.write {
        table::write(&text)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// (a) to (g): against a bare server.
fn network(args: &Args, cores: &[usize]) -> anyhow::Result<Vec<Row>> {
    ensure!(cores.len() >= 2, "two cores are needed: one for the server, one for the client");
    connects::raise_file_limit(12_000)?;
    crate::honeypot::binary();
    let script = Script::new()?;
    let mut rows = Vec::new();
    let (server, client) = (vec![cores[0]], vec![cores[1]]);
    if args.wants("a") {
        rows.extend(single(args, &script, &server, &client, "apart")?);
        rows.extend(single(args, &script, &server, &server, "together")?);
    }
    if args.wants("b") {
        rows.extend(parallel(args, &script, &server, &client)?);
    }
    if args.wants("c") {
        rows.push(short_connections(args, &script, &server, &client)?);
    }
    if args.wants("d") {
        rows.extend(idle(&script, &server, &client)?);
    }
    if args.wants("f") || args.wants("g") {
        rows.extend(beside::measure(args, &script, &server, &client)?);
    }
    if args.wants("e") {
        pin_self(cores)?;
        rows.extend(start(args, &script)?);
    }
    Ok(rows)
}

fn both(cores: &[usize]) -> anyhow::Result<[Server; 2]> {
    Ok([Server::start(Which::Bare, cores)?, Server::start(Which::Roridula, cores)?])
}

/// (a) one upload.
fn single(
    args: &Args,
    script: &Script,
    server: &[usize],
    client: &[usize],
    placement: &str,
) -> anyhow::Result<Vec<Row>> {
    let [bare, roridula] = both(server)?;
    pin_self(client)?;
    uploads::make_known(Which::Roridula, &roridula, script)?;
    uploads::make_known(Which::Bare, &bare, script)?;
    let (mut base, mut known, mut first) = (Vec::new(), Vec::new(), Vec::new());
    for turn in 0..args.repeats {
        eprintln!("a, {placement}: {} of {}", turn + 1, args.repeats);
        base.push(uploads::one(&bare, script, None)?);
        known.push(uploads::one(&roridula, script, None)?);
        first.push(uploads::one(&roridula, script, Some(1000 + turn as u64))?);
    }
    let what =
        format!("(a) one upload of 5,272,328 bytes, {} round trips, cores {placement}", script.chunks());
    let limit = (placement == "apart").then_some("at most 1.35");
    let ms = |us: f64| us / 1e3;
    Ok(vec![
        Row::ratio(&what, "first seen", "ms", ms(median(&first)), ms(median(&base)), limit),
        Row::ratio(&what, "known", "ms", ms(median(&known)), ms(median(&base)), limit),
    ])
}

/// (b) 32 uploads at a time.
fn parallel(args: &Args, script: &Script, server: &[usize], client: &[usize]) -> anyhow::Result<Vec<Row>> {
    const PARALLEL: u32 = 32;
    const EACH: u64 = 4;
    let [bare, roridula] = both(server)?;
    pin_self(client)?;
    uploads::make_known(Which::Roridula, &roridula, script)?;
    let (mut base, mut known, mut first) = (Vec::new(), Vec::new(), Vec::new());
    for turn in 0..args.repeats {
        eprintln!("b: {} of {}", turn + 1, args.repeats);
        base.push(uploads::many(&bare, script, PARALLEL, EACH, None)?);
        known.push(uploads::many(&roridula, script, PARALLEL, EACH, None)?);
        let variants = 1_000_000 + 1000 * turn as u64;
        first.push(uploads::many(&roridula, script, PARALLEL, 1, Some(variants))?);
    }
    let what = "(b) 32 uploads at a time";
    Ok(vec![
        Row::ratio(what, "known sample", "uploads/s", median(&known), median(&base), Some("at least 0.6")),
        Row::ratio(what, "first seen", "uploads/s", median(&first), median(&base), None),
    ])
}

/// (c) connect, negotiate, close.
fn short_connections(
    args: &Args,
    script: &Script,
    server: &[usize],
    client: &[usize],
) -> anyhow::Result<Row> {
    let [bare, roridula] = both(server)?;
    pin_self(client)?;
    let (mut base, mut ours) = (Vec::new(), Vec::new());
    for turn in 0..args.repeats {
        eprintln!("c: {} of {}", turn + 1, args.repeats);
        let time = Duration::from_secs(2);
        base.push(connects::per_second(&bare, script.negotiate(), 4, time)?);
        ours.push(connects::per_second(&roridula, script.negotiate(), 4, time)?);
    }
    let what = "(c) connect, negotiate, close; 4 clients";
    Ok(Row::ratio(what, "", "connections/s", median(&ours), median(&base), Some("at least 0.7")))
}

/// (d) memory of idle connections.
fn idle(script: &Script, server: &[usize], client: &[usize]) -> anyhow::Result<Vec<Row>> {
    const COUNT: u32 = 10_000;
    let mut rows = Vec::new();
    for (name, greeting) in [("silent", None), ("after a negotiate", Some(script.negotiate()))] {
        eprintln!("d: {name}");
        let mut each = Vec::new();
        for which in [Which::Bare, Which::Roridula] {
            let server = Server::start(which, server)?;
            pin_self(client)?;
            each.push(connects::memory_each(&server, COUNT, greeting)?.0);
        }
        let what = "(d) memory for each of 10,000 idle connections";
        rows.push(Row::difference(what, name, "bytes", each[1], each[0], Some("at most 4096 above")));
    }
    Ok(rows)
}

/// (e) the start.
fn start(args: &Args, script: &Script) -> anyhow::Result<Vec<Row>> {
    let folder = tempfile::Builder::new().prefix("roridula-bench-").tempdir()?;
    let (mut fresh, mut again) = (Vec::new(), Vec::new());
    for turn in 0..args.repeats {
        eprintln!("e: {} of {}", turn + 1, args.repeats);
        let data = folder.path().join(turn.to_string());
        fresh.push(connects::start_ms(&data, script.negotiate())?);
        again.push(connects::start_ms(&data, script.negotiate())?);
    }
    let what = "(e) from start to the first answer";
    Ok(vec![
        Row::alone(what, "new data directory", "ms", median(&fresh), Some("under 100")),
        Row::alone(what, "existing data directory", "ms", median(&again), Some("under 100")),
    ])
}
