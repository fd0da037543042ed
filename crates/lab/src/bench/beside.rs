//! (f) and (g): what triage and readers cost the capture path. The honeypot's own worker, or its own console, works
//! on the very core on which the honeypot serves its visitors.

use super::place::{Server, Which, pin_self};
use super::table::{Row, median};
use super::uploads::{self, Script};
use super::{Args, connects};
use anyhow::{Context, ensure};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Worms that wait for triage, no two with one core: more than there is time for while it is measured.
const BACKLOG: u64 = 96;
/// Consoles that are open.
const CONSOLES: usize = 10;
/// How often the reader of each opens another view.
const A_VIEW: Duration = Duration::from_secs(5);
/// What the readers look at in turn.
const VIEWS: [&str; 4] = ["/", "/incidents", "/samples", "/sources"];

/// What else the honeypot has to do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beside {
    Nothing,
    Triage,
    Consoles,
}

impl Beside {
    /// How the honeypot is started for it.
    const fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Nothing => &["--console", "off", "--set", "triage.enabled=false"],
            Self::Triage => &["--console", "off", "--set", "triage.enabled=true"],
            Self::Consoles => &["--console", "127.0.0.1:0", "--set", "triage.enabled=false"],
        }
    }
}

/// (b) known samples and (c), with nothing else to do and with something, in turn on the same data.
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
        let (mut alone, mut both) = (Vec::new(), Vec::new());
        for turn in 0..args.repeats {
            eprintln!("{name}: {} of {}", turn + 1, args.repeats);
            // Who goes first changes: what the one leaves to be written must not always fall to the other.
            let (first, second) =
                if turn % 2 == 0 { (Beside::Nothing, beside) } else { (beside, Beside::Nothing) };
            for now in [first, second] {
                let figures = once(now, &data, script, server, client)?;
                eprintln!("{name}: {:.2} uploads/s, {:.0} connections/s", figures.0, figures.1);
                if now == Beside::Nothing { alone.push(figures) } else { both.push(figures) }
            }
        }
        let uploads = |figures: &[(f64, f64)]| median(&figures.iter().map(|each| each.0).collect::<Vec<_>>());
        let short = |figures: &[(f64, f64)]| median(&figures.iter().map(|each| each.1).collect::<Vec<_>>());
        let limit = Some("at least 0.95");
        let row = |case: &str, unit, ours, base| Row::ratio(what, case, unit, ours, base, limit);
        rows.push(row(
            "32 uploads at a time, against nothing beside",
            "uploads/s",
            uploads(&both),
            uploads(&alone),
        ));
        rows.push(row("connect, negotiate, close; 4 clients", "connections/s", short(&both), short(&alone)));
    }
    if args.wants("f") {
        ensure!(
            untriaged(&data)? > 0,
            "the worker came to its end: what was measured last had nothing beside it"
        );
    }
    Ok(rows)
}

fn once(
    beside: Beside,
    data: &Path,
    script: &Script,
    server: &[usize],
    client: &[usize],
) -> anyhow::Result<(f64, f64)> {
    let roridula = Server::honeypot(server, data, beside.arguments())?;
    pin_self(client)?;
    let measured = || -> anyhow::Result<(f64, f64)> {
        let uploads = uploads::many(&roridula, script, 32, 4, None)?;
        Ok((uploads, connects::per_second(&roridula, script.negotiate(), 4, Duration::from_secs(4))?))
    };
    if beside != Beside::Consoles {
        return measured();
    }
    let console = roridula.console()?;
    let ended = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..CONSOLES)
            .map(|number| {
                let ended = &ended;
                scope.spawn(move || read(console, number, ended))
            })
            .collect();
        let figures = measured();
        ended.store(1, Ordering::Relaxed);
        for reader in readers {
            reader.join().ok().context("a reader died")??;
        }
        figures
    })
}

/// One open console: its live feed, and now and then another view, until it is over.
fn read(console: SocketAddr, number: usize, ended: &AtomicU64) -> anyhow::Result<()> {
    let mut feed = ask(console, "/live")?;
    feed.set_read_timeout(Some(Duration::from_millis(200)))?;
    let mut next = A_VIEW.mul_f64(number as f64 / CONSOLES as f64);
    let (begun, mut buffer) = (std::time::Instant::now(), vec![0; 1 << 16]);
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
    let roridula = Server::honeypot(server, data, Beside::Nothing.arguments())?;
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
