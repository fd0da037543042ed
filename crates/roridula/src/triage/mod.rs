//! Keeps triage going: child processes that look into samples, killed at their limits, never in capture's way.
//!
//! There is no queue. What is to be done is what the journal says: samples without a report. So nothing overflows,
//! a restart goes on where it stopped, and a sample is told about once.
//!
//! Where several samples wait, all get a first report before the full report of one is worked out: however long that
//! takes, of the others is known what they are.

mod frame;
mod keep;
mod process;
mod seat;
mod told;

pub(crate) use frame::{
    ANSWER_BYTES_MAX, Opened, Opening, Question, RULES_BYTES_MAX, Wanted, read, read_json, write, write_json,
};
pub(crate) use process::Reins;
pub(crate) use seat::{Seat, Trouble};
pub(crate) use told::{in_order, left_alone, triaged};

use crate::courtesy::Children;
use crate::settings::{Duplicates, TriageSettings};
use keep::Keeper;
use roridula_desk::sample::{Outline, ReportError, Reports};
use roridula_evidence::{Kept, Reader, SampleId, SampleView, Store, StoreError};
use roridula_proto::event::Origin;
use roridula_triage::Report;
use roridula_triage::rules::RuleFile;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

/// Tries for one sample; a file that kills its worker so often is marked and left alone.
pub(crate) const TRIES: u32 = 2;
/// Samples that a worker takes at once.
const BATCH: usize = 16;
/// Samples asked for at once: more than the most workers that may be set hold together.
const ASKED: usize = 1024 + 2 * BATCH;
/// How long to wait for a wake-up before looking anyway.
const NAP: Duration = Duration::from_secs(2);
/// The first wait after workers have died one after another; doubled with each, up to the longest.
const BACK_OFF: Duration = Duration::from_millis(100);
const BACK_OFF_MAX: Duration = Duration::from_secs(30);

/// The running supervisor of triage.
#[derive(Debug)]
pub(crate) struct TriageHandle {
    reins: Arc<Reins>,
    threads: Vec<JoinHandle<()>>,
}

impl TriageHandle {
    /// Wakes them: there may be a new sample.
    pub(crate) fn wakers(&self) -> Vec<Thread> {
        self.threads.iter().map(|thread| thread.thread().clone()).collect()
    }

    /// The workers' processes.
    pub(crate) fn children(&self) -> Arc<Children> {
        self.reins.children()
    }

    /// Ends it; workers that run are killed and their samples tried again after the next start.
    pub(crate) fn stop(self) {
        self.reins.stop();
        for thread in self.threads {
            thread.thread().unpark();
            // A panic there has been reported by the panic hook; capture goes on without triage.
            let _ = thread.join();
        }
    }
}

/// Starts triage: a thread and a process for each of `settings.workers`.
pub(crate) fn start(
    store: &Store,
    data: &Path,
    settings: &TriageSettings,
    rules: Vec<RuleFile>,
    duplicates: Duplicates,
) -> Result<TriageHandle, StoreError> {
    let reins = Arc::new(Reins::default());
    let (claims, rules) = (Arc::new(Mutex::new(Claims::default())), Arc::new(rules));
    let mut threads = Vec::new();
    for _ in 0..settings.workers {
        let mut triage = Triage {
            store: store.clone(),
            reader: Reader::open(data)?,
            reports: None,
            workers: settings.workers as usize,
            duplicates,
            claims: Arc::clone(&claims),
            seat: Seat::new(settings.clone(), Arc::clone(&rules), Arc::clone(&reins)),
            reins: Arc::clone(&reins),
            deaths: 0,
            seen: 0,
        };
        threads.push(thread::spawn(move || triage.run()));
    }
    Ok(TriageHandle { reins, threads })
}

/// Who does what.
#[derive(Debug, Default)]
struct Claims {
    held: HashSet<SampleId>,
    /// Samples that wait for their full report alone.
    begun: HashSet<SampleId>,
    tries: HashMap<SampleId, u32>,
}

/// What became of a sample that a thread has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Became {
    /// The journal tells of it.
    Told,
    /// It has a first report.
    Begun,
    /// Nothing: everything is to end.
    Stopped,
}

struct Triage {
    store: Store,
    reader: Reader,
    /// Opened when they are first asked for.
    reports: Option<Reports>,
    workers: usize,
    duplicates: Duplicates,
    claims: Arc<Mutex<Claims>>,
    reins: Arc<Reins>,
    seat: Seat,
    /// Workers that died in a row.
    deaths: u32,
    /// Samples that there were when work was last taken.
    seen: u64,
}

impl Triage {
    fn run(&mut self) {
        while !self.reins.is_stopping() {
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

    fn claims(&self) -> std::sync::MutexGuard<'_, Claims> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks into what has no report; says whether there was anything.
    fn round(&mut self) -> Result<bool, StoreError> {
        let (wanted, todo) = self.claim()?;
        let mut begun = Vec::new();
        for sample in &todo {
            if self.reins.is_stopping() {
                break;
            }
            if self.sample(sample, wanted) == Became::Begun {
                begun.push(sample.sha256);
            }
            // What has come meanwhile gets its first report before the rest is gone on with.
            if wanted != Wanted::First && self.reader.samples_count()? > self.seen {
                break;
            }
        }
        if !todo.is_empty() {
            // The reports must be in the journal before it is asked again.
            self.store.flush();
            let mut claims = self.claims();
            for sample in &todo {
                claims.held.remove(&sample.sha256);
            }
            claims.begun.extend(begun);
        }
        Ok(!todo.is_empty())
    }

    /// Samples without a full report that no other thread has, and what is wanted of them.
    fn claim(&mut self) -> Result<(Wanted, Vec<SampleView>), StoreError> {
        // Asked under the lock: what another thread gives back is in the journal by then.
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        self.seen = self.reader.samples_count()?;
        let mut todo = self.reader.untriaged(ASKED)?;
        if todo.is_empty() {
            claims.begun.clear();
        }
        // A fair share: two workers divide a dozen samples instead of one taking all.
        let share = todo.len().div_ceil(self.workers).clamp(1, BATCH);
        todo.retain(|sample| !claims.held.contains(&sample.sha256));
        let is_new = |sample: &SampleView| !claims.begun.contains(&sample.sha256);
        let wanted = match (todo.iter().any(is_new), todo.len()) {
            (false, _) => Wanted::Full,
            // Nothing else waits: it is looked into once, for both.
            (true, 1) => Wanted::Both,
            (true, _) => Wanted::First,
        };
        if wanted == Wanted::First {
            todo.retain(is_new);
        }
        todo.truncate(share);
        claims.held.extend(todo.iter().map(|sample| sample.sha256));
        Ok((wanted, todo))
    }

    /// One sample, tried again where its worker dies.
    fn sample(&mut self, sample: &SampleView, wanted: Wanted) -> Became {
        let id = sample.sha256;
        if wanted == Wanted::First && self.is_begun(id) {
            return Became::Begun;
        }
        while !self.reins.is_stopping() {
            let trouble = match self.look(sample, wanted) {
                Ok(report) => {
                    self.deaths = 0;
                    return self.looked(id, &report);
                }
                Err(trouble) => trouble,
            };
            if self.reins.is_stopping() {
                break;
            }
            match trouble {
                Trouble::Sample(what) => return self.leave_alone(id, what),
                Trouble::Start(how) => {
                    self.deaths = self.deaths.saturating_add(1);
                    tracing::warn!("triage waits: {how}");
                }
                Trouble::Died(how) => {
                    self.deaths = self.deaths.saturating_add(1);
                    if self.is_given_up(id, &how) {
                        return self.leave_alone(id, given_up(&how));
                    }
                }
            }
        }
        Became::Stopped
    }

    /// Whether an earlier run has left a report of it.
    fn is_begun(&mut self, id: SampleId) -> bool {
        opened(&mut self.reports, self.store.dir())
            .and_then(|reports| reports.outline(id))
            .is_ok_and(|outline| outline.is_some())
    }

    /// A first report is kept; a full one is told too.
    fn looked(&mut self, id: SampleId, report: &Report) -> Became {
        if report.depth.is_full() {
            self.forget(id);
            self.tell(id, report);
            return Became::Told;
        }
        if let Err(error) = keep(&mut self.reports, self.store.dir(), id, report) {
            tracing::warn!("the first report of {id} is not kept: {error}");
        }
        Became::Begun
    }

    fn leave_alone(&self, id: SampleId, why: String) -> Became {
        self.forget(id);
        self.store.publish(left_alone(id, why));
        Became::Told
    }

    /// It has been told, or is about to be: it is held until that is in the journal.
    fn forget(&self, id: SampleId) {
        let mut claims = self.claims();
        claims.begun.remove(&id);
        claims.tries.remove(&id);
    }

    /// Counts a death; says whether the sample has had its tries.
    fn is_given_up(&self, id: SampleId, how: &str) -> bool {
        let mut claims = self.claims();
        let tries = claims.tries.entry(id).or_insert(0);
        *tries += 1;
        tracing::warn!("triage of {id}: {how} (try {tries} of {TRIES})");
        *tries >= TRIES
    }

    /// The report that is wanted, or why there is none.
    fn look(&mut self, sample: &SampleView, wanted: Wanted) -> Result<Report, Trouble> {
        self.seat.fits(sample.size)?;
        let bytes = bytes(&self.reader, sample)?;
        if self.seat.is_empty() {
            self.back_off();
            for error in self.seat.fill()?.1 {
                tracing::warn!("rules left out: {}:{}: {}", error.file, error.line, error.what);
            }
        }
        let asked = Question { wanted, ..question(sample) };
        let (reports, dir) = (&mut self.reports, self.store.dir());
        self.seat.ask(&asked, &bytes, |first| {
            if let Err(error) = keep(reports, dir, sample.sha256, first) {
                tracing::warn!("the first report of {} is not kept: {error}", sample.sha256);
            }
        })
    }

    /// Waits after workers have died one after another; one death alone may be its sample's fault.
    fn back_off(&self) {
        let Some(doubled) = self.deaths.checked_sub(TRIES) else { return };
        let wait = BACK_OFF.saturating_mul(1 << doubled.min(16)).min(BACK_OFF_MAX);
        let until = std::time::Instant::now() + wait;
        while !self.reins.is_stopping() {
            let left = until.saturating_duration_since(std::time::Instant::now());
            if left.is_zero() {
                return;
            }
            thread::park_timeout(left);
        }
    }

    /// Keeps the report, tells its outline, and keeps the sample as the settings say.
    fn tell(&mut self, id: SampleId, report: &Report) {
        if let Err(error) = keep(&mut self.reports, self.store.dir(), id, report) {
            // It is made again when somebody asks for it; what the journal tells is enough to go on.
            tracing::warn!("the report of {id} is not kept: {error}");
        }
        self.store.publish(triaged(id, report));
        if let Some(reports) = &self.reports {
            let keeper = Keeper { store: &self.store, reader: &self.reader, reports, how: self.duplicates };
            keeper.keep(id, report, || base_for(reports, id, report));
        }
    }
}

/// Keeps a report.
fn keep(reports: &mut Option<Reports>, dir: &Path, id: SampleId, report: &Report) -> Result<(), ReportError> {
    opened(reports, dir)?.put(id, report)
}

/// The reports; the file is opened when they are first asked for.
fn opened<'a>(reports: &'a mut Option<Reports>, dir: &Path) -> Result<&'a Reports, ReportError> {
    let open = match reports.take() {
        Some(open) => open,
        None => Reports::open(dir)?,
    };
    Ok(reports.insert(open))
}

/// Why a sample that killed its workers has no report; how the last one died.
pub(crate) fn given_up(how: &str) -> String {
    format!("left alone after {TRIES} tries: {how}")
}

/// What the worker is told of a sample.
pub(crate) fn question(sample: &SampleView) -> Question {
    Question {
        exploit_buffer: sample.origin == Origin::ExploitBuffer,
        wanted: Wanted::Full,
        without_users_rules: false,
        find_slow_rules: false,
        hashes: [sample.sha256.to_string(), sample.sha1.clone(), sample.md5.clone()],
        layer: String::new(),
    }
}

/// A sample's bytes. Where they are not kept, no second try finds them.
pub(crate) fn bytes(reader: &Reader, sample: &SampleView) -> Result<Vec<u8>, Trouble> {
    let id = sample.sha256;
    reader.sample_bytes(id, sample.size).map_err(|error| {
        Trouble::Sample(match reader.kept(id) {
            Ok(Kept::Forgotten | Kept::Missing) => "its bytes are not kept".to_owned(),
            _ => format!("its bytes cannot be read: {error}"),
        })
    })
}

/// The sample that this one may be kept as a difference from: the first of its kin.
fn base_for(reports: &Reports, sample: SampleId, report: &Report) -> Option<SampleId> {
    let size = report.layers.first().map_or(0, |root| root.size);
    reports.similar(sample, &Outline::of(report), size).unwrap_or_else(|error| {
        tracing::warn!("the kin of {sample} is not known: {error}");
        None
    })
}
