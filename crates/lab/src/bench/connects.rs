//! Many short connections, many idle ones, and the start.

use super::place::Server;
use super::uploads::exchange;
use crate::attack::cli::nth_source;
use crate::attack::socket::connect;
use crate::honeypot::binary;
use anyhow::{Context, ensure};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Connect, negotiate, close: how many a second, with so many clients at a time.
pub fn per_second(server: &Server, negotiate: &[u8], clients: u32, time: Duration) -> anyhow::Result<f64> {
    // Each source has its own ports, so that those that wait out their time do not run short.
    static NEXT_SOURCE: AtomicU64 = AtomicU64::new(0);
    const SOURCES: u64 = 2000;
    let begun = Instant::now();
    let count = std::thread::scope(|scope| -> anyhow::Result<u64> {
        let client = || {
            scope.spawn(|| -> anyhow::Result<u64> {
                let mut count = 0;
                while begun.elapsed() < time {
                    let source = nth_source((NEXT_SOURCE.fetch_add(1, Ordering::Relaxed) % SOURCES) as u32);
                    let mut stream = connect(server.address, Some(source))?;
                    exchange(&mut stream, negotiate)?;
                    count += 1;
                }
                Ok(count)
            })
        };
        let workers: Vec<_> = (0..clients).map(|_| client()).collect();
        let mut count = 0;
        for worker in workers {
            count += worker.join().ok().context("a worker died")??;
        }
        Ok(count)
    })?;
    Ok(count as f64 / begun.elapsed().as_secs_f64())
}

/// Lets this process, and those that it starts, have as many files open as the system allows.
pub fn raise_file_limit(wanted: u64) -> anyhow::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    ensure!(hard >= wanted, "{wanted} open files are needed, the hard limit is {hard}");
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?)
}

/// Bytes of the server's memory for each of `count` open connections: resident, and without file pages.
/// `greeting` is sent on each first, and its reply read.
pub fn memory_each(server: &Server, count: u32, greeting: Option<&[u8]>) -> anyhow::Result<(f64, f64)> {
    // What any server allocates for its first connections is not counted against each.
    let mut open = connections(server.address, 200, 0, greeting)?;
    std::thread::sleep(Duration::from_secs(1));
    let before = server.memory()?;
    open.extend(connections(server.address, count, 200, greeting)?);
    std::thread::sleep(Duration::from_secs(3));
    let after = server.memory()?;
    for stream in open.iter().step_by(997) {
        ensure!(stream.peer_addr().is_ok(), "a connection is gone");
    }
    let each = |before: u64, after: u64| (after as f64 - before as f64) / f64::from(count);
    Ok((each(before.0, after.0), each(before.1, after.1)))
}

fn connections(
    target: SocketAddr,
    count: u32,
    from: u32,
    greeting: Option<&[u8]>,
) -> anyhow::Result<Vec<TcpStream>> {
    let mut open = Vec::new();
    for number in from..from + count {
        let mut stream = connect(target, Some(nth_source(number % 50)))?;
        if let Some(greeting) = greeting {
            exchange(&mut stream, greeting)?;
        }
        open.push(stream);
    }
    Ok(open)
}

/// Milliseconds from starting the process until it has answered a negotiate.
pub fn start_ms(data: &Path, negotiate: &[u8]) -> anyhow::Result<f64> {
    let free = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let mut command = Command::new(binary());
    let console = ["--console", "127.0.0.1:0"];
    command.args(["run", "--json", "--listen", &free.to_string()]).args(console).arg("--data").arg(data);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let begun = Instant::now();
    let mut child = command.spawn()?;
    let deadline = begun + Duration::from_secs(20);
    let mut stream = loop {
        if let Ok(stream) = TcpStream::connect(free) {
            break stream;
        }
        ensure!(Instant::now() < deadline, "it does not listen");
        std::thread::sleep(Duration::from_micros(500));
    };
    exchange(&mut stream, negotiate)?;
    let ms = begun.elapsed().as_secs_f64() * 1e3;
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(i32::try_from(child.id())?),
        nix::sys::signal::Signal::SIGTERM,
    )?;
    child.wait()?;
    Ok(ms)
}
