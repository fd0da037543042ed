//! A honeypot process of our own, on a port of the system's choice, in a folder that goes away with it.

use anyhow::{Context, anyhow, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything may take on a machine that has much else to do.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The honeypot's binary, built like this one. Built once for each process that asks.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| build().unwrap_or_else(|error| panic!("cannot build roridula: {error:#}")))
}

fn build() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("RORIDULA_BIN") {
        return Ok(PathBuf::from(path));
    }
    let here = std::env::current_exe()?;
    // target/<profile>/roridula-lab, or target/<profile>/deps/<test>.
    let profile = here
        .ancestors()
        .find(|folder| matches!(folder.file_name().and_then(|name| name.to_str()), Some("debug" | "release")))
        .context("this is not below target/debug or target/release; set RORIDULA_BIN")?;
    // Who starts this program itself, and not by cargo, has built what he wants to try.
    let beside = profile.join("roridula");
    if std::env::var_os("CARGO").is_none() && beside.is_file() {
        return Ok(beside);
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "-q", "-p", "roridula"]).current_dir(crate::tidy::root());
    if profile.ends_with("release") {
        command.arg("--release");
    }
    let target = profile.parent().context("the profile's folder has a parent")?;
    command.arg("--target-dir").arg(target);
    let status = command.stdin(Stdio::null()).status().context("cannot run cargo")?;
    ensure!(status.success(), "cargo build: {status}");
    Ok(beside)
}

/// How a honeypot is started.
#[derive(Clone, Debug)]
pub struct Start {
    listen: Vec<String>,
    settings: Vec<String>,
    data: Option<PathBuf>,
    file_bytes_max: Option<u64>,
    console: bool,
}

impl Default for Start {
    fn default() -> Self {
        Self {
            listen: vec!["127.0.0.1:0".into()],
            settings: Vec::new(),
            data: None,
            file_bytes_max: None,
            console: false,
        }
    }
}

impl Start {
    /// With `--set`.
    #[must_use]
    pub fn set(mut self, setting: &str) -> Self {
        self.settings.push(setting.into());
        self
    }

    /// On this address instead of a free port of 127.0.0.1.
    #[must_use]
    pub fn listen(mut self, address: &str) -> Self {
        self.listen = vec![address.into()];
        self
    }

    /// On data that an earlier one left.
    #[must_use]
    pub fn data(mut self, data: &Path) -> Self {
        self.data = Some(data.into());
        self
    }

    /// With the console, on a free port of 127.0.0.1; without this there is none.
    #[must_use]
    pub fn console(mut self) -> Self {
        self.console = true;
        self
    }

    /// Lets no file of it grow above this size, as a full disk would: the write fails.
    #[must_use]
    pub fn file_bytes_max(mut self, bytes: u64) -> Self {
        self.file_bytes_max = Some(bytes);
        self
    }

    /// Starts it and waits until it listens.
    pub fn run(self) -> anyhow::Result<Honeypot> {
        let (folder, data) = match self.data {
            Some(data) => (None, data),
            None => {
                let folder = tempfile::Builder::new().prefix("roridula-lab-").tempdir()?;
                let data = folder.path().join("data");
                (Some(folder), data)
            }
        };
        let mut command = match self.file_bytes_max {
            None => Command::new(binary()),
            Some(bytes) => limited(bytes),
        };
        command.arg("run").arg("--json").arg("--data").arg(&data);
        command.args(["--console", if self.console { "127.0.0.1:0" } else { "off" }]);
        for address in &self.listen {
            command.args(["--listen", address]);
        }
        for setting in &self.settings {
            command.args(["--set", setting]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("cannot start roridula")?;
        let lines = reader(child.stdout.take().context("stdout")?);
        let diagnostics = Arc::new(Mutex::new(String::new()));
        collect(child.stderr.take().context("stderr")?, diagnostics.clone());
        let mut honeypot = Honeypot {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            data,
            folder,
            lines,
            told: Vec::new(),
            diagnostics,
        };
        let started = honeypot.wait_for(|event| event["eventid"] == "sensor.started")?;
        let address = started["listen"][0].as_str().context("sensor.started says where it listens")?;
        honeypot.address = address.parse().with_context(|| format!("listen address {address}"))?;
        Ok(honeypot)
    }
}

/// The binary under a file size limit, the signal that would kill it ignored: then the write fails instead.
fn limited(bytes: u64) -> Command {
    let mut command = Command::new("sh");
    // POSIX counts this limit in blocks of 512 bytes.
    let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", bytes / 512);
    command.arg("-c").arg(script).arg(binary());
    command
}

fn reader(stdout: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

fn collect(stderr: impl Read + Send + 'static, into: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let mut text = into.lock().unwrap_or_else(PoisonError::into_inner);
            text.push_str(&line);
            text.push('\n');
        }
    });
}

/// A running honeypot; killed when dropped.
#[derive(Debug)]
pub struct Honeypot {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its data directory.
    pub data: PathBuf,
    folder: Option<TempDir>,
    lines: Receiver<String>,
    told: Vec<Value>,
    diagnostics: Arc<Mutex<String>>,
}

impl Honeypot {
    /// One with nothing set.
    pub fn start() -> anyhow::Result<Self> {
        Start::default().run()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to stderr so far.
    pub fn diagnostics(&self) -> String {
        self.diagnostics.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until its console serves; where: `http://127.0.0.1:40001`.
    pub fn console(&self) -> anyhow::Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let said = self.diagnostics();
            let address = said.split_once("console: http://").map(|(_, rest)| rest);
            if let Some(address) = address.and_then(|rest| rest.split_once('/')) {
                return Ok(format!("http://{}", address.0));
            }
            ensure!(Instant::now() < deadline, "the console does not come up\n{said}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until an event is told on stdout that fits; earlier ones count too.
    pub fn wait_for(&mut self, fits: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        self.wait_for_count(1, fits)?.pop().context("one event")
    }

    /// Waits until so many events fit.
    pub fn wait_for_count(
        &mut self,
        count: usize,
        fits: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Vec<Value>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found: Vec<&Value> = self.told.iter().filter(|event| fits(event)).collect();
            if found.len() >= count {
                return Ok(found.into_iter().cloned().collect());
            }
            let have = found.len();
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.told.push(serde_json::from_str(&line).with_context(|| format!("not JSON: {line}"))?);
                }
                Err(RecvTimeoutError::Timeout) => {
                    bail!("{have} of {count} events in {PATIENCE:?}\n{}", self.diagnostics());
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let status = self.child.wait()?;
                    bail!("roridula ended ({status}), {have} of {count} events\n{}", self.diagnostics());
                }
            }
        }
    }

    /// Runs the binary on the same data, as another process; its stdout.
    pub fn ask(&self, args: &[&str]) -> anyhow::Result<String> {
        let output = Command::new(binary())
            .args(args)
            .arg("--data")
            .arg(&self.data)
            .env_remove("COLUMNS")
            .stdin(Stdio::null())
            .output()?;
        let (out, err) =
            (String::from_utf8(output.stdout)?, String::from_utf8_lossy(&output.stderr).into_owned());
        ensure!(output.status.success(), "roridula {args:?}: {}\n{out}{err}", output.status);
        Ok(out)
    }

    /// `samples list --json`.
    pub fn samples(&self) -> anyhow::Result<Vec<Value>> {
        let text = self.ask(&["samples", "list", "--json"])?;
        let list: Value =
            serde_json::from_str(&text).with_context(|| format!("samples list --json: {text}"))?;
        list.as_array().cloned().ok_or_else(|| anyhow!("samples list --json is no array"))
    }

    /// Waits until `samples list --json` as a whole fits.
    pub fn wait_for_samples(&self, fits: impl Fn(&[Value]) -> bool) -> anyhow::Result<Vec<Value>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let samples = self.samples()?;
            if fits(&samples) {
                return Ok(samples);
            }
            if Instant::now() > deadline {
                bail!("no such samples in {PATIENCE:?}; there are {samples:#?}\n{}", self.diagnostics());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until `samples list --json` has one that fits.
    pub fn wait_for_sample(&self, fits: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        let samples = self.wait_for_samples(|samples| samples.iter().any(&fits))?;
        samples.into_iter().find(|sample| fits(sample)).context("one sample")
    }

    /// `events --json`.
    pub fn events(&self) -> anyhow::Result<Vec<Value>> {
        let text = self.ask(&["events", "--json"])?;
        text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }

    /// The bytes of a sample, read from where the data directory keeps it.
    pub fn sample_bytes(&self, sha256: &str) -> anyhow::Result<Vec<u8>> {
        let path = self.data.join("samples").join(&sha256[..2]).join(&sha256[2..4]).join(sha256);
        std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// Asks it to stop and waits.
    pub fn stop(mut self) -> anyhow::Result<(ExitStatus, Stopped)> {
        kill(Pid::from_raw(i32::try_from(self.child.id())?), Signal::SIGTERM)?;
        self.finish()
    }

    /// Kills it at once, as a power cut would.
    pub fn kill(mut self) -> anyhow::Result<(ExitStatus, Stopped)> {
        self.child.kill()?;
        self.finish()
    }

    fn finish(&mut self) -> anyhow::Result<(ExitStatus, Stopped)> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok((status, Stopped { data: self.data.clone(), _folder: self.folder.take() }));
            }
            ensure!(Instant::now() < deadline, "roridula does not stop\n{}", self.diagnostics());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Honeypot {
    fn drop(&mut self) {
        // Already gone is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a honeypot left behind; goes away when dropped.
#[derive(Debug)]
pub struct Stopped {
    /// Its data directory.
    pub data: PathBuf,
    _folder: Option<TempDir>,
}
