//! One worker process, as its parent holds it.

use super::frame::{self, ANSWER_BYTES_MAX, LAYER_BYTES_MAX, Opened, Opening, Question, Wanted};
use crate::courtesy::Children;
use crate::settings::TriageSettings;
use nix::sys::signal::Signal;
use roridula_triage::rules::RuleFile;
use roridula_triage::{Depth, Report};
use std::io::BufReader;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// This binary, also when its file was replaced meanwhile.
const PROGRAM: &str = "/proc/self/exe";
/// Time that a worker has to compile its rules.
const OPENING_SECS: u64 = 120;
/// How many times its processor time a worker may take by the clock.
const PATIENCE: u32 = 6;

/// All workers that run, and whether they are to end.
#[derive(Debug, Default)]
pub(crate) struct Reins {
    stop: AtomicBool,
    running: Arc<Children>,
}

impl Reins {
    /// The workers' processes.
    pub(crate) fn children(&self) -> Arc<Children> {
        Arc::clone(&self.running)
    }

    /// Whether everything is to end.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Kills all workers, now and those to come.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.running.kill_all();
    }
}

/// How a worker died.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Death {
    /// In words.
    pub(crate) how: String,
    /// Whether it had used up its time.
    pub(crate) over_time: bool,
}

impl Death {
    fn of(how: String) -> Self {
        Self { how, over_time: false }
    }
}

/// A running worker.
#[derive(Debug)]
pub(crate) struct Worker {
    child: Child,
    pid: i32,
    /// Taken when it is to end.
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    reins: Arc<Reins>,
    watchdog: Option<(Sender<Option<Duration>>, JoinHandle<bool>)>,
    /// What it said when it had compiled its rules.
    pub(crate) opened: Opened,
    timeout: Duration,
    /// Samples that it was asked about.
    pub(crate) asked: u32,
}

impl Worker {
    /// Starts one with these rules; an error says why there is none.
    pub(crate) fn start(
        settings: &TriageSettings,
        rules: &[RuleFile],
        reins: &Arc<Reins>,
    ) -> Result<Self, String> {
        let mut child = Command::new(Path::new(PROGRAM))
            .args(["worker", "--memory-bytes", &settings.memory_bytes_max.to_string()])
            .args(["--cpu-secs", &settings.timeout_secs.to_string()])
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("cannot start the worker: {error}"))?;
        let pid = i32::try_from(child.id()).unwrap_or(i32::MAX);
        reins.running.hold(pid);
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let (Some(stdin), Some(stdout)) = (stdin, stdout) else {
            return Err("no pipe to the worker".to_owned());
        };
        let mut worker = Self {
            child,
            pid,
            stdin: Some(stdin),
            stdout: BufReader::new(stdout),
            watchdog: Some(watchdog(pid, reins.children())),
            reins: Arc::clone(reins),
            opened: Opened { digest: String::new(), errors: Vec::new() },
            timeout: Duration::from_secs(settings.timeout_secs),
            asked: 0,
        };
        if reins.is_stopping() {
            reins.running.kill(pid);
        }
        let opening = serde_json::to_vec(&Opening::of(rules)).map_err(|error| error.to_string())?;
        let opened = worker.exchange(Duration::from_secs(OPENING_SECS), &[&opening]);
        worker.opened = opened.map_err(|death| format!("{} while it compiled the rules", death.how))?;
        Ok(worker)
    }

    /// Asks about one sample; `first` is handed the first report, if there is one before the report that is given. An
    /// error says how the worker died, and it is of no more use.
    pub(crate) fn ask(
        &mut self,
        question: &Question,
        sample: &[u8],
        mut first: impl FnMut(&Report),
    ) -> Result<Report, Death> {
        self.asked = self.asked.saturating_add(1);
        let text = serde_json::to_vec(question).map_err(|error| Death::of(error.to_string()))?;
        let report: Report = self.exchange(self.timeout, &[&text, sample])?;
        if report.depth.is_full() || question.wanted == Wanted::First {
            return Ok(report);
        }
        first(&report);
        let report: Report = self.exchange(self.timeout, &[])?;
        match report.depth {
            Depth::Full => Ok(report),
            Depth::First => Err(self.how_it_died(self.timeout, None)),
        }
    }

    /// The bytes of the layer that the question names; empty where there is no such layer.
    pub(crate) fn unpack(&mut self, question: &Question, sample: &[u8]) -> Result<Vec<u8>, Death> {
        self.asked = self.asked.saturating_add(1);
        let text = serde_json::to_vec(question).map_err(|error| Death::of(error.to_string()))?;
        self.send(self.timeout, &[&text, sample], LAYER_BYTES_MAX)
    }

    /// Sends frames, if there are any, and reads an answer, in `time`.
    fn exchange<T: serde::de::DeserializeOwned>(
        &mut self,
        time: Duration,
        frames: &[&[u8]],
    ) -> Result<T, Death> {
        let answer = self.send(time, frames, ANSWER_BYTES_MAX)?;
        serde_json::from_slice(&answer).map_err(|error| self.how_it_died(time, Some(error.into())))
    }

    /// Sends frames, if there are any, and reads an answer of at most `max` bytes, in `time`.
    fn send(&mut self, time: Duration, frames: &[&[u8]], max: u32) -> Result<Vec<u8>, Death> {
        // Its own limit is processor time. This one is for a worker that waits for what never comes, and not for one that
        // the visitors leave no time.
        self.watch(Some(time.saturating_mul(PATIENCE)));
        let (stdin, stdout) = (&mut self.stdin, &mut self.stdout);
        let sent = stdin
            .as_mut()
            .map_or(Ok(()), |stdin| frames.iter().try_for_each(|bytes| frame::write(stdin, bytes)));
        let answer = sent.and_then(|()| frame::read(stdout, max));
        self.watch(None);
        match answer {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(self.how_it_died(time, None)),
            Err(error) => Err(self.how_it_died(time, Some(error))),
        }
    }

    fn watch(&self, time: Option<Duration>) {
        if let Some((watchdog, _)) = &self.watchdog {
            // It ends only when it has killed; then the pipes say so.
            let _ = watchdog.send(time);
        }
    }

    fn how_it_died(&mut self, time: Duration, error: Option<std::io::Error>) -> Death {
        let killed = self.end();
        let status = self.child.wait();
        // A first report resets the watchdog: then the limit of CPU time is met before it.
        let over_time =
            killed || status.as_ref().is_ok_and(|status| status.signal() == Some(Signal::SIGXCPU as i32));
        let how = match (status, error) {
            _ if over_time => match time.as_secs() {
                1 => "killed after 1 second".to_owned(),
                secs => format!("killed after {secs} seconds"),
            },
            (Ok(status), _) if !status.success() => format!("the worker died: {status}"),
            (_, Some(error)) => format!("no report: {error}"),
            (Ok(status), None) => format!("the worker ended without a report: {status}"),
            (Err(error), None) => format!("cannot wait for the worker: {error}"),
        };
        Death { how, over_time }
    }

    /// Ends it; says whether its time was over.
    fn end(&mut self) -> bool {
        self.stdin = None;
        self.reins.running.kill(self.pid);
        let killed = self.watchdog.take().is_some_and(|(orders, thread)| {
            drop(orders);
            thread.join().unwrap_or(false)
        });
        self.reins.running.release(self.pid);
        killed
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.end();
        // It was killed: it is waited for so that no zombie is left.
        let _ = self.child.wait();
    }
}

/// Kills the worker when it takes longer than it was given, rests not counted; says at its end whether it did.
fn watchdog(pid: i32, children: Arc<Children>) -> (Sender<Option<Duration>>, JoinHandle<bool>) {
    let (orders, taken) = mpsc::channel::<Option<Duration>>();
    let thread = thread::spawn(move || {
        // When the time began that it has, how long all had rested by then, and the time.
        let mut order: Option<(Instant, Duration, Duration)> = None;
        loop {
            let left = order.map(|(begun, rested, time)| {
                let rest = children.rested().saturating_sub(rested);
                time.saturating_add(rest).saturating_sub(begun.elapsed())
            });
            let next = match left {
                Some(left) if left.is_zero() => {
                    children.kill(pid);
                    return true;
                }
                Some(left) => taken.recv_timeout(left),
                None => taken.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match next {
                Ok(time) => order = time.map(|time| (Instant::now(), children.rested(), time)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
    });
    (orders, thread)
}
