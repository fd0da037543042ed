//! Keeps triage going: one child process a sample, killed at its limits, never in capture's way.
//!
//! There is no queue. What is to be done is what the journal says: samples without a report. So nothing overflows,
//! a restart goes on where it stopped, and a sample is told about once.

use crate::settings::TriageSettings;
use roridula_evidence::{Reader, SampleId, SampleView, Store, StoreError};
use roridula_proto::event::{Event, Layer, Origin, Text};
use roridula_triage::{Kind, Report};
use std::collections::HashMap;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

/// Tries for one sample; a file that kills its worker so often is marked and left alone.
const TRIES: u32 = 2;
/// Samples asked for at once.
const BATCH: usize = 64;
/// How long to wait for a wake-up before looking anyway.
const NAP: Duration = Duration::from_secs(2);
/// How often a running worker is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// Bytes of an answer that are read; a report is far smaller.
const ANSWER_MAX: u64 = 256 * 1024;

/// The running supervisor of triage.
#[derive(Debug)]
pub(crate) struct TriageHandle {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl TriageHandle {
    /// Wakes it: there may be a new sample.
    pub(crate) fn waker(&self) -> Thread {
        self.thread.thread().clone()
    }

    /// Ends it; a worker that runs is killed and its sample tried again after the next start.
    pub(crate) fn stop(self) {
        self.stop.store(true, Ordering::Release);
        self.thread.thread().unpark();
        // A panic there has been reported by the panic hook; capture goes on without triage.
        let _ = self.thread.join();
    }
}

/// Starts triage in a thread of its own.
pub(crate) fn start(store: Store, reader: Reader, settings: TriageSettings) -> TriageHandle {
    let stop = Arc::new(AtomicBool::new(false));
    let mut triage = Triage {
        store,
        reader,
        settings,
        program: PathBuf::from("/proc/self/exe"),
        tries: HashMap::new(),
        stop: stop.clone(),
    };
    let thread = thread::spawn(move || triage.run());
    TriageHandle { stop, thread }
}

struct Triage {
    store: Store,
    reader: Reader,
    settings: TriageSettings,
    /// This binary, also when its file was replaced meanwhile.
    program: PathBuf,
    tries: HashMap<SampleId, u32>,
    stop: Arc<AtomicBool>,
}

impl Triage {
    fn run(&mut self) {
        while !self.stopping() {
            let worked = match self.round() {
                Ok(worked) => worked,
                Err(error) => {
                    tracing::warn!("triage cannot read the journal: {error}");
                    false
                }
            };
            if !worked {
                thread::park_timeout(NAP);
            }
        }
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Looks into what has no report; says whether there was anything.
    fn round(&mut self) -> Result<bool, StoreError> {
        let todo = self.reader.untriaged(BATCH)?;
        for sample in &todo {
            if self.stopping() {
                return Ok(false);
            }
            self.sample(sample);
        }
        if !todo.is_empty() {
            // The reports must be in the journal before it is asked again.
            self.store.flush();
        }
        Ok(!todo.is_empty())
    }

    fn sample(&mut self, sample: &SampleView) {
        let id = sample.sha256;
        let told = loop {
            match self.work(sample) {
                Ok(report) => break Some((Some(report), String::new())),
                Err(Trouble::Stopping) => break None,
                Err(Trouble::Died(how)) => {
                    let tries = self.tries.entry(id).or_insert(0);
                    *tries += 1;
                    tracing::warn!("triage of {id}: {how} (try {tries} of {TRIES})");
                    if *tries >= TRIES {
                        break Some((None, format!("left alone after {TRIES} tries: {how}")));
                    }
                }
            }
        };
        if let Some((report, error)) = told {
            self.tries.remove(&id);
            self.store.publish(told_as(id, report.as_ref(), error));
        }
    }

    /// One worker for one sample.
    fn work(&self, sample: &SampleView) -> Result<Report, Trouble> {
        let file = self
            .reader
            .open_sample(sample.sha256)
            .map_err(|error| Trouble::Died(format!("cannot open the sample: {error}")))?;
        let mut child = Command::new(&self.program)
            .args(["worker", "--memory-bytes", &self.settings.memory_bytes_max.to_string()])
            .args(["--cpu-secs", &self.settings.timeout_secs.to_string()])
            .args((sample.origin == Origin::ExploitBuffer).then_some("--exploit-buffer"))
            .env_clear()
            .current_dir("/")
            .stdin(file)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| Trouble::Died(format!("cannot start the worker: {error}")))?;
        let answer = child.stdout.take().map(|stdout| thread::spawn(move || read_answer(stdout)));
        let status = self.wait(&mut child);
        let answer = answer.and_then(|thread| thread.join().ok()).unwrap_or_default();
        match status? {
            status if status.success() => {}
            status => return Err(Trouble::Died(format!("the worker died: {status}"))),
        }
        serde_json::from_slice(&answer).map_err(|error| Trouble::Died(format!("no report: {error}")))
    }

    /// Waits for the worker, and kills it when its time is over or the honeypot stops.
    fn wait(&self, child: &mut Child) -> Result<std::process::ExitStatus, Trouble> {
        let deadline = Instant::now() + Duration::from_secs(self.settings.timeout_secs);
        let failed = |error: std::io::Error| Trouble::Died(format!("cannot wait for the worker: {error}"));
        loop {
            if let Some(status) = child.try_wait().map_err(failed)? {
                return Ok(status);
            }
            let late = Instant::now() >= deadline;
            if late || self.stopping() {
                // It may have ended just now; then there is nothing to kill.
                let _ = child.kill();
                child.wait().map_err(failed)?;
                let how = format!("killed after {} seconds", self.settings.timeout_secs);
                return Err(if late { Trouble::Died(how) } else { Trouble::Stopping });
            }
            thread::park_timeout(LOOK);
        }
    }
}

enum Trouble {
    /// The worker gave no report; how.
    Died(String),
    /// The honeypot stops.
    Stopping,
}

fn read_answer(stdout: ChildStdout) -> Vec<u8> {
    let mut answer = Vec::new();
    // A worker that dies in the middle of its answer is noticed by its exit status.
    let _ = stdout.take(ANSWER_MAX).read_to_end(&mut answer);
    answer
}

/// A report as the journal tells it: the outline. `error` is what went wrong where there is none.
fn told_as(id: SampleId, report: Option<&Report>, mut error: String) -> Event {
    let mut layers = Vec::new();
    let mut depths = Vec::new();
    for layer in report.map_or(&[][..], |report| &report.layers) {
        let depth = layer.parent.map_or(0, |parent| depths.get(parent as usize).map_or(0, |depth| depth + 1));
        depths.push(depth);
        if depth > 0 || !matches!(layer.kind, Kind::Payload | Kind::Data) {
            layers.push(outline(depth, layer));
        }
    }
    if let Some(report) = report {
        error = report.remarks.join("; ");
    }
    let verdict = report.and_then(|report| report.verdict.as_ref());
    Event::SampleTriaged {
        sha256: id.to_string(),
        layers,
        core: report.and_then(Report::core_layer).map_or(String::new(), |core| core.hashes.sha256.clone()),
        family: verdict.map_or(String::new(), |verdict| verdict.family.clone()),
        confidence: verdict.map_or(String::new(), |verdict| verdict.confidence.to_string()),
        rules: report.map_or(String::new(), |report| report.rules.clone()),
        error,
    }
}

fn outline(depth: u32, layer: &roridula_triage::Layer) -> Layer {
    Layer {
        depth,
        kind: layer.kind.to_string(),
        name: Text(layer.name.clone()),
        state: layer.state.to_string(),
        found_by: layer.found_by.to_string(),
        offset: layer.offset,
        size: layer.size,
        sha256: layer.hashes.sha256.clone(),
    }
}
