//! (f) and (g): what triage and readers cost the capture path. The honeypot's own worker, or its own console, works
//! on the very core on which the honeypot serves its visitors. It is compared with another honeypot on that core and on
//! a copy of the same past, which has neither.

use super::place::{Server, Which, pin_self};
use super::table::Row;
use super::uploads::{self, Script};
use super::{Args, connects};
use anyhow::{Context, ensure};
use nix::sys::signal::{Signal, kill};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Worms that wait for triage, no two with one core: more than there is time for while it is measured.
const BACKLOG: u64 = 96;
/// Pairs that are measured for each repeat that is asked for.
const TURNS: usize = 4;
/// Short connections are made for so long at each in turn, and so often for each figure: the machine's pace changes within
/// seconds.
const SLICE: Duration = Duration::from_millis(750);
const SLICES: usize = 4;
/// Consoles that are open.
const CONSOLES: usize = 10;
/// How often the reader of each opens another view.
const A_VIEW: Duration = Duration::from_secs(5);
/// What the readers look at in turn.
const VIEWS: [&str; 4] = ["/", "/incidents", "/samples", "/sources"];

/// How a honeypot is started that has nothing else to do.
const ALONE: &[&str] = &["--console", "off", "--set", "triage.enabled=false"];

/// What else the honeypot has to do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beside {
    Triage,
    Consoles,
}

impl Beside {
    /// How the honeypot is started for it.
    const fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Triage => &["--console", "off", "--set", "triage.enabled=true"],
            Self::Consoles => &["--console", "127.0.0.1:0", "--set", "triage.enabled=false"],
        }
    }

    /// A word by which its processes are known.
    const fn word(self) -> &'static str {
        match self {
            Self::Triage => "worker",
            Self::Consoles => "console",
        }
    }
}

/// (b) known samples and (c), at the honeypot that has the other process and at the one that has none, in turn: what is
/// measured next to each other is compared, since a machine's pace drifts by more than what is looked for.
pub fn measure(args: &Args, script: &Script, server: &[usize], client: &[usize]) -> anyhow::Result<Vec<Row>> {
    let folder = tempfile::Builder::new().prefix("roridula-bench-").tempdir()?;
    let data = folder.path().join("data");
    backlog(&data, server, client, script)?;
    let mut rows = Vec::new();
    for (name, beside, what) in [
        ("f", Beside::Triage, "(f) while its worker is at worms never seen"),
        ("g", Beside::Consoles, "(g) with ten open consoles"),
    ] {
        if !args.wants(name) {
            continue;
        }
        let copy = folder.path().join(name);
        copied(&data, &copy)?;
        let with = Server::honeypot(server, &data, beside.arguments())?;
        let without = Server::honeypot(server, &copy, ALONE)?;
        pin_self(client)?;
        let deadline = Instant::now() + crate::honeypot::PATIENCE;
        while with.children(beside.word())?.is_empty() {
            ensure!(Instant::now() < deadline, "the honeypot starts no {}", beside.word());
            std::thread::sleep(Duration::from_millis(20));
        }
        let measured = || pairs(args, name, beside, &with, &without, script);
        let (uploads, short) = match beside {
            Beside::Triage => measured()?,
            Beside::Consoles => with_readers(with.console()?, measured)?,
        };
        let limit = Some("at least 0.95");
        rows.push(Row::paired(
            what,
            "32 uploads at a time, against nothing beside",
            "uploads/s",
            &uploads,
            limit,
        ));
        rows.push(Row::paired(what, "connect, negotiate, close; 4 clients", "connections/s", &short, limit));
    }
    if args.wants("f") {
        ensure!(
            untriaged(&data)? > 0,
            "the worker came to its end: what was measured last had nothing beside it"
        );
    }
    Ok(rows)
}

/// Figures with and without.
type Pairs = Vec<(f64, f64)>;

fn pairs(
    args: &Args,
    name: &str,
    beside: Beside,
    with: &Server,
    without: &Server,
    script: &Script,
) -> anyhow::Result<(Pairs, Pairs)> {
    let serves = |works: bool| -> anyhow::Result<&Server> {
        // The whole honeypot: it would make its children go on.
        for process in with.children(beside.word())?.into_iter().chain([with.pid()]) {
            // A worker may have ended in the meantime.
            let _ = kill(process, if works { Signal::SIGCONT } else { Signal::SIGSTOP });
        }
        Ok(if works { with } else { without })
    };
    // With and without; who goes first changes: what the one leaves to be written must not always fall to the other.
    let both =
        |turn: usize, measured: &dyn Fn(&Server) -> anyhow::Result<f64>| -> anyhow::Result<(f64, f64)> {
            let mut figures = [0.0; 2];
            for works in [turn.is_multiple_of(2), !turn.is_multiple_of(2)] {
                figures[usize::from(!works)] = measured(serves(works)?)?;
            }
            Ok(figures.into())
        };
    let (mut uploads, mut short) = (Vec::new(), Vec::new());
    for turn in 0..args.repeats * TURNS {
        let of_uploads = both(turn, &|server| uploads::many(server, script, 32, 1, None))?;
        let mut of_short = (0.0, 0.0);
        for slice in 0..SLICES {
            let one =
                both(turn + slice, &|server| connects::per_second(server, script.negotiate(), 4, SLICE))?;
            of_short = (of_short.0 + one.0 / SLICES as f64, of_short.1 + one.1 / SLICES as f64);
        }
        eprintln!(
            "{name}: {of_uploads:.1?} uploads, {of_short:.0?} connections a second, with it and without"
        );
        uploads.push(of_uploads);
        short.push(of_short);
    }
    serves(true)?;
    Ok((uploads, short))
}

/// A copy of a data directory that nobody uses.
fn copied(data: &Path, to: &Path) -> anyhow::Result<()> {
    let status = Command::new("cp").arg("-a").arg(data).arg(to).status().context("cp")?;
    ensure!(status.success(), "cp: {status}");
    Ok(())
}

fn with_readers<T>(console: SocketAddr, measured: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    wait_for(console)?;
    let ended = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let reader = |number| {
            let ended = &ended;
            scope.spawn(move || read(console, number, ended))
        };
        let readers: Vec<_> = (0..CONSOLES).map(reader).collect();
        let figures = measured();
        ended.store(1, Ordering::Relaxed);
        for reader in readers {
            reader.join().ok().context("a reader died")??;
        }
        figures
    })
}

/// Waits until the console has read its samples: until then its views say no more than that.
fn wait_for(console: SocketAddr) -> anyhow::Result<()> {
    let deadline = Instant::now() + crate::honeypot::PATIENCE;
    loop {
        let mut page = Vec::new();
        ask(console, "/samples")?.read_to_end(&mut page)?;
        if page.starts_with(b"HTTP/1.1 200") {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "the console does not come to its samples");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// One open console: its live feed, and now and then another view, until it is over.
fn read(console: SocketAddr, number: usize, ended: &AtomicU64) -> anyhow::Result<()> {
    let mut feed = ask(console, "/live")?;
    feed.set_read_timeout(Some(Duration::from_millis(200)))?;
    let mut next = A_VIEW.mul_f64(number as f64 / CONSOLES as f64);
    let (begun, mut buffer) = (Instant::now(), vec![0; 1 << 16]);
    for turn in number.. {
        while begun.elapsed() < next {
            if ended.load(Ordering::Relaxed) != 0 {
                return Ok(());
            }
            match feed.read(&mut buffer) {
                Ok(0) => anyhow::bail!("the live feed ended"),
                Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => return Err(error.into()),
                _ => {}
            }
        }
        next += A_VIEW;
        let mut page = Vec::new();
        ask(console, VIEWS[turn % VIEWS.len()])?.read_to_end(&mut page)?;
        ensure!(
            page.starts_with(b"HTTP/1.1 200"),
            "{}",
            String::from_utf8_lossy(&page[..page.len().min(200)])
        );
    }
    Ok(())
}

fn ask(console: SocketAddr, path: &str) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(console)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {console}\r\nConnection: close\r\n\r\n")?;
    Ok(stream)
}

/// Worms that are captured and have no report yet.
fn backlog(data: &Path, server: &[usize], client: &[usize], script: &Script) -> anyhow::Result<()> {
    let roridula = Server::honeypot(server, data, ALONE)?;
    pin_self(client)?;
    eprintln!("f, g: {BACKLOG} worms are sent first");
    for seed in 0..BACKLOG {
        Script::of_worm(1_000 + seed)?.play(roridula.address, None, None)?;
    }
    uploads::make_known(Which::Roridula, &roridula, script)
}

/// How many samples have no report.
fn untriaged(data: &Path) -> anyhow::Result<usize> {
    let output = Command::new(crate::honeypot::binary())
        .args(["samples", "list", "--json", "--data"])
        .arg(data)
        .output()?;
    let samples: Vec<serde_json::Value> =
        serde_json::from_slice(&output.stdout).context("samples list --json")?;
    let left = samples.iter().filter(|sample| sample["triaged"] == false).count();
    eprintln!("f: {left} of {} samples still have no report", samples.len());
    Ok(left)
}
