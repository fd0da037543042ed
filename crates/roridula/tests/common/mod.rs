//! A running honeypot and an inert visitor, for the tests of the binary.

#![allow(dead_code, reason = "each test file uses its part")]

use roridula_proto::client::sender::Sender;
use roridula_proto::client::upload::{KeyChoice, Upload, in_order};
use roridula_proto::client::visit::{Goal, Next, Outcome, Plan, Stage, Visit};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Generous: a loaded machine is slow, a broken program is slower.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// `roridula` with these arguments, run to its end.
pub(crate) fn roridula(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_roridula")).args(args).output().unwrap()
}

/// Its standard output, which must be a success.
pub(crate) fn text(args: &[&str]) -> String {
    let output = roridula(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Its standard output as JSON.
pub(crate) fn json(args: &[&str]) -> Value {
    serde_json::from_str(&text(args)).unwrap()
}

/// Calls `look` until it gives something.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::park_timeout(Duration::from_millis(20));
    }
}

/// A honeypot on a loopback port of its own, told by `--json`.
pub(crate) struct Honeypot {
    child: Child,
    lines: Receiver<String>,
    pub(crate) data: PathBuf,
    pub(crate) address: SocketAddr,
}

impl Honeypot {
    /// Started with `data` and further arguments; returns once it listens.
    pub(crate) fn start(data: &Path, args: &[&str]) -> Self {
        Self::launch(Command::new(env!("CARGO_BIN_EXE_roridula")), data, args)
    }

    /// The same by a command that ends in the program.
    pub(crate) fn launch(mut program: Command, data: &Path, args: &[&str]) -> Self {
        let mut child = program
            // A console only where a test wants one: it would be the same port for all.
            .args(["run", "--listen", "127.0.0.1:0", "--console", "off", "--json", "--data"])
            .arg(data)
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (to, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| to.send(line)));
        let mut honeypot =
            Self { child, lines, data: data.to_owned(), address: "127.0.0.1:0".parse().unwrap() };
        let started = honeypot.event("sensor.started");
        honeypot.address = started["listen"][0].as_str().unwrap().parse().unwrap();
        honeypot
    }

    /// The next event with this id; others before it are passed over.
    pub(crate) fn event(&mut self, id: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).unwrap_or_else(|_| panic!("waited in vain for {id}"));
            let event: Value = serde_json::from_str(&line).unwrap();
            roridula_desk::contract::check(&event).unwrap();
            if event["eventid"] == id {
                return event;
            }
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }

    /// Ctrl-C; returns once it has ended well, with all events that were left.
    pub(crate) fn stop(mut self) -> Vec<Value> {
        self.signal(nix::sys::signal::Signal::SIGINT);
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
        self.lines.iter().map(|line| serde_json::from_str(&line).unwrap()).collect()
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Honeypot {
    fn drop(&mut self) {
        // A test that failed must not leave it behind; one that ended has nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Uploads `payload` as WannaCry does, at most `chunks_max` chunks of it; returns the open socket and how it ended.
pub(crate) fn upload(to: SocketAddr, payload: &[u8], chunks_max: usize) -> (TcpStream, Option<Outcome>) {
    upload_while(to, payload, &mut |chunk| chunk < chunks_max)
}

/// Uploads `payload`; asks before each chunk whether to go on.
pub(crate) fn upload_while(
    to: SocketAddr,
    payload: &[u8],
    go_on: &mut dyn FnMut(usize) -> bool,
) -> (TcpStream, Option<Outcome>) {
    let chunks = in_order(payload.len(), 4096);
    let mut visit = Visit::new(Plan {
        sender: Sender::WannaCry,
        goal: Goal::Uploads(vec![Upload { payload, chunks, key: KeyChoice::FromPing }]),
        path_host: "127.0.0.1".to_owned(),
        later_target: false,
        stubborn: false,
        seed: 1,
    });
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut reply, mut frame) = (Vec::new(), Vec::new());
    loop {
        match visit.next(&reply, &mut frame) {
            Next::Done(outcome) => return (stream, Some(outcome)),
            Next::Send(Stage::Exec(_, chunk)) if !go_on(chunk) => return (stream, None),
            Next::Send(_) => {}
        }
        stream.write_all(&frame).unwrap();
        let mut head = [0; 4];
        stream.read_exact(&mut head).unwrap();
        let len = u32::from_be_bytes([0, head[1], head[2], head[3]]);
        reply = head.to_vec();
        reply.resize(4 + len as usize, 0);
        stream.read_exact(&mut reply[4..]).unwrap();
    }
}

/// Bytes that mean nothing, never the same block twice.
pub(crate) fn payload(size: usize, seed: u32) -> Vec<u8> {
    let mut state = seed | 1;
    let next = |state: &mut u32| {
        *state ^= *state << 13;
        *state ^= *state >> 17;
        *state ^= *state << 5;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = (0..size.div_ceil(4)).flat_map(|_| next(&mut state)).collect();
    bytes.truncate(size);
    bytes
}

/// SHA-256, hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
