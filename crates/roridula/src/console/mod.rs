//! The console's process, as `run` keeps it: started, started again, ended; whatever happens to it, capture
//! goes on.
//!
//! It is this binary again. It gets its settings on standard input and ends when that is closed, so that it
//! never outlives the honeypot; on standard output it says once where it serves, or why it does not.

mod child;
mod serve;

pub(crate) use child::child;
pub(crate) use serve::{Serving, alone, bind_help};

use crate::courtesy::Children;
use child::Opening;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use roridula_desk::console::{ConsoleSettings, Listen};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// This binary, also when its file was replaced meanwhile.
const PROGRAM: &str = "/proc/self/exe";
/// After the first death; twice as long after each further one.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// A console that lived so long did not die of its start.
const SETTLED: Duration = Duration::from_secs(120);
/// Bytes of the one line that it says.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// What the console says once it is up, or why it is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Told {
    /// It serves.
    Serving(Serving),
    /// It does not, and why.
    Failed(String),
}

/// The console of a running honeypot.
#[derive(Debug)]
pub(crate) struct ConsoleHandle {
    shared: Arc<Shared>,
    done: Receiver<()>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    children: Arc<Children>,
}

#[derive(Debug, Default)]
struct State {
    stopping: bool,
    /// Closing it ends the child.
    stdin: Option<ChildStdin>,
    first: Option<Told>,
    /// Somebody shows what was told first.
    shown: bool,
}

impl Shared {
    fn with<T>(&self, with: impl FnOnce(&mut State) -> T) -> T {
        let done = with(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
        done
    }

    /// Waits for at most `time` until `over` says so.
    fn wait(&self, time: Duration, over: impl Fn(&State) -> bool) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.changed.wait_timeout_while(state, time, |state| !over(state)));
    }
}

/// Starts the console of the data directory `data`; nothing where the settings have none. Where `quiet`, the
/// caller asks with [`ConsoleHandle::first`] and shows that; else it is logged, as is everything later.
pub(crate) fn start(settings: &ConsoleSettings, data: &Path, quiet: bool) -> Option<ConsoleHandle> {
    if settings.listen == Listen::Off {
        return None;
    }
    let shared = Arc::new(Shared::default());
    shared.with(|state| state.shown = quiet);
    let (finished, done) = mpsc::channel();
    // The child stands elsewhere.
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut settings = settings.clone();
    for path in [&mut settings.certificate, &mut settings.key, &mut settings.geo].into_iter().flatten() {
        *path = absolute(path);
    }
    let keeper = Keeper { settings, data: absolute(data), shared: Arc::clone(&shared), said: String::new() };
    thread::spawn(move || {
        keeper.keep();
        // Nobody may be waiting.
        let _ = finished.send(());
    });
    Some(ConsoleHandle { shared, done })
}

impl ConsoleHandle {
    /// What it said first, if it does within `time`; else that is logged when it comes.
    pub(crate) fn first(&self, time: Duration) -> Option<Told> {
        self.shared.wait(time, |state| state.first.is_some());
        self.shared.with(|state| {
            state.shown = state.first.is_some();
            state.first.clone()
        })
    }

    /// Its process.
    pub(crate) fn children(&self) -> Arc<Children> {
        Arc::clone(&self.shared.children)
    }

    /// Begins to end it.
    pub(crate) fn end(&self) {
        self.shared.with(|state| {
            state.stopping = true;
            state.stdin = None;
        });
    }

    /// Ends it: gently at first, and after `patience` not.
    pub(crate) fn stop(self, patience: Duration) {
        self.end();
        if matches!(self.done.recv_timeout(patience), Err(RecvTimeoutError::Timeout)) {
            self.shared.children.kill_all();
            let _ = self.done.recv_timeout(patience);
        }
    }
}

/// Starts it again whenever it ends.
struct Keeper {
    settings: ConsoleSettings,
    data: PathBuf,
    shared: Arc<Shared>,
    /// The last complaint: the same one is not made again and again.
    said: String,
}

impl Keeper {
    fn keep(mut self) {
        let mut pause = PAUSE_MIN;
        while !self.shared.with(|state| state.stopping) {
            let begun = Instant::now();
            let how = self.once();
            if self.shared.with(|state| state.stopping) {
                return;
            }
            if begun.elapsed() >= SETTLED {
                pause = PAUSE_MIN;
            }
            self.complain(&how);
            self.shared.wait(pause, |state| state.stopping);
            pause = pause.saturating_mul(2).min(PAUSE_MAX);
        }
    }

    /// Runs it to its end and says how that came.
    fn once(&mut self) -> String {
        let started = Command::new(PROGRAM)
            .args(["console", "--child", "--data"])
            .arg(&self.data)
            .env_clear()
            // SQLite's temporary files: the one place where it may write.
            .env("SQLITE_TMPDIR", self.data.join("desk"))
            .current_dir("/")
            // A Ctrl-C is for the honeypot, which ends it in its turn.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = match started {
            Ok(child) => child,
            Err(error) => return format!("it cannot be started: {error}"),
        };
        let pid = i32::try_from(child.id()).unwrap_or(i32::MAX);
        self.shared.children.hold(pid);
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        if let Some(mut stdin) = stdin {
            // A child that does not read has died, and its status says how.
            let _ = writeln!(stdin, "{}", Opening::line(&self.settings));
            let stopping = self.shared.with(|state| {
                let stopping = state.stopping;
                if !stopping {
                    state.stdin = Some(stdin);
                }
                stopping
            });
            if stopping {
                self.shared.children.kill(pid);
            }
        }
        let mut line = String::new();
        let mut failed = None;
        if let Some(stdout) = stdout
            && BufReader::new(stdout.take(LINE_BYTES_MAX)).read_line(&mut line).is_ok()
        {
            match serde_json::from_str(&line) {
                Ok(Told::Failed(what)) => failed = Some(what),
                Ok(told) => self.told(told),
                Err(_) => {}
            }
        }
        // It has ended, but its number is its own until it is collected.
        let _ = waitid(Id::Pid(Pid::from_raw(pid)), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
        self.shared.children.release(pid);
        let ended = child.wait();
        self.shared.with(|state| state.stdin = None);
        match (failed, ended) {
            (Some(what), _) => what,
            (None, Ok(status)) => format!("it died: {status}"),
            (None, Err(error)) => format!("it cannot be waited for: {error}"),
        }
    }

    fn told(&mut self, told: Told) {
        if let Told::Serving(serving) = &told
            && !self.is_shown(&told)
        {
            tracing::info!("console: {serving}");
        }
        self.said.clear();
    }

    fn complain(&mut self, what: &str) {
        if *what != self.said {
            self.said = what.to_owned();
            if !self.is_shown(&Told::Failed(what.to_owned())) {
                for line in what.lines() {
                    tracing::warn!("console: {line}");
                }
                tracing::warn!("console: it is tried again until it works; capture goes on without it");
            }
        }
    }

    /// Whether the first thing that was told is this, and somebody else shows it.
    fn is_shown(&self, told: &Told) -> bool {
        self.shared.with(|state| {
            if state.first.is_some() {
                return false;
            }
            state.first = Some(told.clone());
            state.shown
        })
    }
}
