//! On which core a process runs, and the processes that are measured.

use crate::honeypot::binary;
use anyhow::{Context, bail};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, PoisonError};
use tempfile::TempDir;

/// The cores that this process may use.
pub fn cores() -> anyhow::Result<Vec<usize>> {
    let set = sched_getaffinity(Pid::from_raw(0))?;
    Ok((0..CpuSet::count()).filter(|core| set.is_set(*core).unwrap_or(false)).collect())
}

/// Binds this process (threads that start later too) to these cores.
pub fn pin_self(cores: &[usize]) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core)?;
    }
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The bare server.
    Bare,
    /// The honeypot.
    Roridula,
}

/// A server process; killed when dropped.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// The honeypot's data directory.
    pub data: Option<PathBuf>,
    console: Mutex<Receiver<SocketAddr>>,
    folder: Option<TempDir>,
}

impl Server {
    /// Starts one on these cores and waits until it listens.
    pub fn start(which: Which, cores: &[usize]) -> anyhow::Result<Self> {
        if which == Which::Bare {
            let mut command = pinned(cores);
            command.arg(std::env::current_exe()?).arg("bare");
            return Self::spawn(command);
        }
        let kept = tempfile::Builder::new().prefix("roridula-bench-").tempdir()?;
        let console = &["--console", "127.0.0.1:0", "--set", "triage.enabled=false"];
        let mut server = Self::honeypot(cores, &kept.path().join("data"), console)?;
        server.folder = Some(kept);
        Ok(server)
    }

    /// A honeypot on these cores and this data directory, with further arguments: as `make run` starts it with the
    /// live view, whose lines go to a pipe.
    pub fn honeypot(cores: &[usize], data: &Path, arguments: &[&str]) -> anyhow::Result<Self> {
        let mut command = pinned(cores);
        command.arg(binary()).args(["run", "--listen", "127.0.0.1:0", "--data"]).arg(data);
        command.args(arguments);
        for setting in SETTINGS {
            command.args(["--set", setting]);
        }
        let mut server = Self::spawn(command)?;
        server.data = Some(data.into());
        Ok(server)
    }

    fn spawn(mut command: Command) -> anyhow::Result<Self> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("taskset")?;
        let mut lines = BufReader::new(child.stdout.take().context("stdout")?).lines();
        let address = loop {
            let Some(line) = lines.next() else { bail!("the server ended before it listened") };
            if let Some(address) = address_in(&line?) {
                break address;
            }
        };
        let (tell, console) = channel();
        // Nobody reads the other lines, but the pipe must not fill up.
        std::thread::spawn(move || {
            let lines = lines.map_while(Result::ok);
            lines
                .filter_map(|line| console_in(&line))
                .for_each(|address| tell.send(address).unwrap_or_default());
        });
        Ok(Self { child, address, data: None, console: Mutex::new(console), folder: None })
    }

    /// Its process.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(i32::MAX))
    }

    /// Where its console serves; waits until it does.
    pub fn console(&self) -> anyhow::Result<SocketAddr> {
        let console = self.console.lock().unwrap_or_else(PoisonError::into_inner);
        console.recv_timeout(crate::honeypot::PATIENCE).context("the console does not come up")
    }

    /// The processes that it has started with this word among their arguments.
    pub fn children(&self, word: &str) -> anyhow::Result<Vec<Pid>> {
        let own = self.child.id().to_string();
        let is_ours = |pid: &str| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1));
            let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            parent == Some(own.as_str())
                && arguments.split(|byte| *byte == 0).any(|one| one == word.as_bytes())
        };
        let names =
            std::fs::read_dir("/proc")?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        Ok(names.filter(|pid| is_ours(pid)).filter_map(|pid| pid.parse().ok()).map(Pid::from_raw).collect())
    }

    /// Its memory in bytes: resident pages, and those of them that no file backs.
    pub fn memory(&self) -> anyhow::Result<(u64, u64)> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let field = |name: &str| -> anyhow::Result<u64> {
            let line =
                status.lines().find_map(|line| line.strip_prefix(name)).context("a field of /proc status")?;
            Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? * 1024)
        };
        Ok((field("VmRSS:")?, field("RssAnon:")?))
    }
}

/// What the measurements need: a key that is known, and doors that let everybody in.
const SETTINGS: &[&str] = &[
    "implant.key_seed=0xE536D014",
    "implant.arch=x86",
    "gate.connections_per_source_max=20000",
    "gate.connections_per_network_max=20000",
    "gate.connections_per_minute_max=10000000",
];

/// A command whose process, and those that it starts, stay on these cores.
fn pinned(cores: &[usize]) -> Command {
    let list: Vec<String> = cores.iter().map(ToString::to_string).collect();
    let mut command = Command::new("taskset");
    command.args(["-c", &list.join(",")]);
    command
}

fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, address) = line.split_once(" on ")?;
    address.split_whitespace().next()?.parse().ok()
}

fn console_in(line: &str) -> Option<SocketAddr> {
    line.trim().strip_prefix("console  http://")?.strip_suffix('/')?.parse().ok()
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
