//! The console as a process: started, started again and ended by `run`, alone on any data, and who may open
//! it.

// Tests meet processes, sockets and clocks.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod common;

use common::{PATIENCE, payload, roridula, sha256, text, upload, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const PASSWORD: &str = "correct horse battery staple";

/// A program whose lines go to a file.
struct Running {
    child: Child,
    lines: PathBuf,
}

impl Running {
    fn start(lines: &Path, args: &[&str]) -> Self {
        let file = std::fs::File::create(lines).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_roridula"))
            .args(args)
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        Self { child, lines: lines.to_owned() }
    }

    /// A honeypot on `data` with a console at `console`.
    fn honeypot(data: &Path, console: &str, more: &[&str]) -> Self {
        let data = data.to_str().unwrap();
        let args = ["run", "--listen", "127.0.0.1:0", "--data", data, "--console", console];
        let lines = Path::new(data).parent().unwrap().join("lines");
        Self::start(&lines, &[&args[..], more].concat())
    }

    fn lines(&self) -> String {
        std::fs::read_to_string(&self.lines).unwrap()
    }

    /// What stands after `mark` for the `nth` time, up to a blank.
    fn after(&self, mark: &str, nth: usize) -> String {
        wait_for(mark, || {
            let lines = self.lines();
            let (at, _) = lines.match_indices(mark).nth(nth)?;
            let (word, _) = lines.get(at + mark.len()..)?.split_once(char::is_whitespace)?;
            Some(word.trim_end_matches(',').to_owned())
        })
    }

    /// Where visitors go.
    fn address(&self) -> SocketAddr {
        self.after("listens on ", 0).parse().unwrap()
    }

    /// The console that came up as the `nth`, from 0.
    fn console(&self, nth: usize) -> SocketAddr {
        self.after("http://", nth).trim_end_matches('/').parse().unwrap()
    }

    /// The console's process.
    fn child(&self) -> i32 {
        let parent = self.child.id();
        wait_for("the console's process", || {
            let all = std::fs::read_dir("/proc").unwrap().flatten();
            let mut pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
            pids.find(|pid| {
                let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                is_running(*pid) == Some(parent) && command.windows(7).any(|word| word == b"console")
            })
        })
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// Ends it well; all that it said.
    fn stop(mut self) -> String {
        self.signal(Signal::SIGTERM);
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.lines());
        self.lines()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The parent of a process that runs; a dead one that nobody has waited for does not.
fn is_running(pid: i32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    if state == "Z" { None } else { fields.next()?.parse().ok() }
}

/// The status and the whole answer to a GET.
fn get(console: SocketAddr, path: &str, header: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(console).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {console}\r\n{header}Connection: close\r\n\r\n").ok()?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let status = text.split(' ').nth(1)?.parse().ok()?;
    Some((status, text))
}

/// Sends a file, and waits until the honeypot on `data` has it.
fn caught(honeypot: SocketAddr, data: &Path, seed: u32) {
    let bytes = payload(9000, seed);
    upload(honeypot, &bytes, usize::MAX);
    let name = sha256(&bytes);
    wait_for("the capture", || {
        let list = text(&["samples", "list", "--json", "--data", data.to_str().unwrap()]);
        list.contains(&name).then_some(())
    });
}

#[test]
fn run_serves_it_starts_it_again_and_takes_it_along() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let honeypot = Running::honeypot(&data, "127.0.0.1:0", &[]);
    let console = honeypot.console(0);
    let (status, page) = get(console, "/", "").unwrap();
    assert!(status == 200 && page.contains("content-security-policy: default-src 'none'"), "{page}");
    assert_eq!(get(console, "/api/v1/openapi.json", "").unwrap().0, 200);
    let child = honeypot.child();
    let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap();
    let nice = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(16).unwrap().to_owned();
    assert_eq!(nice, "19", "it stands back: {stat}");
    let status = std::fs::read_to_string(format!("/proc/{child}/status")).unwrap();
    assert!(status.contains("NoNewPrivs:\t1") && status.contains("CapEff:\t0000000000000000"), "{status}");

    kill(Pid::from_raw(child), Signal::SIGKILL).unwrap();
    caught(honeypot.address(), &data, 1);
    let again = honeypot.console(1);
    assert_eq!(get(again, "/", "").unwrap().0, 200);
    let second = honeypot.child();
    assert_ne!(second, child);
    let said = honeypot.stop();
    assert!(said.contains("console: it died: signal: 9"), "{said}");
    assert!(is_running(second).is_none() && TcpStream::connect(again).is_err(), "it ends with the honeypot");
}

#[test]
fn a_console_does_not_outlive_a_honeypot_that_was_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut honeypot = Running::honeypot(&dir.path().join("data"), "127.0.0.1:0", &[]);
    honeypot.console(0);
    let child = honeypot.child();
    honeypot.child.kill().unwrap();
    honeypot.child.wait().unwrap();
    wait_for("its end", || is_running(child).is_none().then_some(()));
}

#[test]
fn a_taken_port_costs_no_capture_and_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap();
    let honeypot = Running::honeypot(&data, &at.to_string(), &[]);
    caught(honeypot.address(), &data, 2);
    assert!(
        honeypot.lines().contains(&format!("console  not there: {at} is in use")),
        "{}",
        honeypot.lines()
    );
    drop(taken);
    wait_for("the console", || get(at, "/", "").filter(|(status, _)| *status == 200));
    let said = honeypot.stop();
    assert_eq!(said.matches("is in use").count(), 1, "{said}");
}

#[test]
fn it_does_not_open_to_others_before_there_is_a_password() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let at = data.to_str().unwrap();
    let hosts = ["--set", "console.hosts=console.example.org"];
    let honeypot = Running::honeypot(&data, "127.0.0.1:0", &hosts);
    caught(honeypot.address(), &data, 3);
    let said = honeypot.lines();
    assert!(said.contains("console  not there: ") && said.contains("roridula console password"), "{said}");
    for command in [&["console", "--listen", "127.0.0.1:0"][..], &["check", "--listen", "127.0.0.1:0"]] {
        let output = roridula(&[command, &hosts, &["--data", at]].concat());
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && error.contains("roridula console password"),
            "{command:?}: {error}"
        );
    }
    set_password(at, PASSWORD);
    // No restart is needed.
    let console = honeypot.console(0);
    let (status, page) = get(console, "/", "").unwrap();
    assert!(status == 303 && page.contains("location: /login?next=/"), "{page}");
    honeypot.stop();
}

fn set_password(data: &str, password: &str) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_roridula"))
        .args(["console", "password", "--stdin", "--data", data])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{password}").unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn alone_it_shows_a_copy_and_tokens_open_it() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let honeypot = Running::honeypot(&data, "off", &[]);
    caught(honeypot.address(), &data, 4);
    assert!(honeypot.stop().contains("console  off"));
    let copy = dir.path().join("copy");
    assert!(Command::new("cp").arg("-r").args([&data, &copy]).status().unwrap().success());
    // What is derived may be left out of a copy.
    std::fs::remove_dir_all(copy.join("desk")).unwrap();
    let at = copy.to_str().unwrap();
    assert!(text(&["console", "access", "--data", at]).contains("nobody else"));
    let token = text(&["console", "token", "grafana", "--data", at]);
    let again = roridula(&["console", "token", "grafana", "--data", at]);
    assert!(!again.status.success(), "a token is shown once");
    assert!(text(&["console", "access", "--data", at]).contains("tokens     grafana"));

    let console =
        Running::start(&dir.path().join("alone"), &["console", "--listen", "127.0.0.1:0", "--data", at]);
    let address = console.console(0);
    let bearer = format!("Authorization: Bearer {}\r\n", token.trim());
    assert_eq!(get(address, "/", "").unwrap().0, 303);
    assert_eq!(get(address, "/", &bearer).unwrap().0, 200);
    assert_eq!(get(address, "/api/v1/openapi.json", "").unwrap().0, 401);
    text(&["console", "token", "grafana", "--remove", "--data", at]);
    // Nobody is left who could be asked, and only this machine's users come.
    assert_eq!(get(address, "/", "").unwrap().0, 200);
    console.stop();
    // Where it cannot be made, it is told what to do.
    std::fs::remove_dir_all(copy.join("desk")).unwrap();
    std::fs::write(copy.join("desk"), "no directory").unwrap();
    let shut = roridula(&["console", "--listen", "127.0.0.1:0", "--data", at]);
    let told = String::from_utf8_lossy(&shut.stderr);
    assert!(
        !shut.status.success() && told.contains("desk cannot be made") && told.contains("cp -r"),
        "{told}"
    );
    let nothing = roridula(&[
        "console",
        "--listen",
        "127.0.0.1:0",
        "--data",
        dir.path().join("none").to_str().unwrap(),
    ]);
    assert!(!nothing.status.success());
}
