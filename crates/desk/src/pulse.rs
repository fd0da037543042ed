//! Is it alive, and was something new caught? What a console and a terminal say first.

use crate::index::{Index, IndexError, Span, Started, as_time_or_null};
use crate::sample::{Catalog, thousands};
use roridula_evidence::{Reader, rfc3339, wall_clock};
use roridula_proto::time::WallClock;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::Path;

/// What the doctor's file may hold; a larger one is none of ours.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// How the honeypot is.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Pulse {
    /// Whether it has its data directory open now.
    pub running: bool,
    /// What it was started with last; null where it never was.
    pub started: Option<Started>,
    /// Since when it runs, or does not; null where nobody knows.
    #[serde(serialize_with = "as_time_or_null")]
    #[schemars(with = "Option<String>")]
    pub since: Option<WallClock>,
    /// The latest visitor's address.
    pub last_visitor: Option<String>,
    /// When the latest visitor came.
    #[serde(serialize_with = "as_time_or_null")]
    #[schemars(with = "Option<String>")]
    pub last_visit: Option<WallClock>,
    /// When the latest event happened.
    #[serde(serialize_with = "as_time_or_null")]
    #[schemars(with = "Option<String>")]
    pub last_event: Option<WallClock>,
    /// Events of the journal that are not in the index yet.
    pub lag: u64,
    /// Bytes of disk that are free.
    pub disk_free: Option<u64>,
    /// Bytes of the disk.
    pub disk_all: Option<u64>,
    /// What the doctor said last; null where nobody asked.
    pub doctor: Option<Verdict>,
}

/// What the doctor said.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// When, UTC.
    pub time: String,
    /// What it looked at.
    pub findings: Vec<Finding>,
}

/// One thing that the doctor looked at.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// The check's name.
    pub check: String,
    /// `ok`, `note` or `problem`.
    pub verdict: String,
    /// What was seen.
    pub what: String,
    /// What to do about it.
    pub fix: Option<String>,
}

impl Verdict {
    /// How many problems were found.
    pub fn problems(&self) -> usize {
        self.findings.iter().filter(|finding| finding.verdict == "problem").count()
    }
}

impl Pulse {
    /// Of the honeypot whose evidence `reader` reads in `dir`.
    pub fn take(dir: &Path, reader: &Reader, index: &mut Index) -> Result<Self, IndexError> {
        let status = index.status()?;
        let (running, disk) = (reader.is_running(), reader.disk_bytes());
        let start = index.runs()?.into_iter().find_map(|run| run.started);
        // One that does not run and never said that it stopped: nobody knows since when.
        let run = status.last_run.filter(|run| run.started.is_some() == running);
        let visit = status.last_visitor;
        Ok(Self {
            running,
            started: start,
            since: run.map(|run| run.time),
            last_visit: visit.as_ref().map(|visit| visit.opened),
            last_visitor: visit.map(|visit| visit.source.to_string()),
            last_event: status.last_event,
            lag: status.journal.saturating_sub(status.cursor),
            disk_free: disk.map(|(free, _)| free),
            disk_all: disk.map(|(_, all)| all),
            doctor: read_verdict(dir),
        })
    }

    /// The one line that matters most.
    pub fn line(&self) -> String {
        let problems = self.doctor.as_ref().map_or(0, Verdict::problems);
        match (self.running, problems) {
            (false, _) => "not running: start it with `roridula run`".to_owned(),
            (true, 0) => "running".to_owned(),
            (true, 1) => "running, and the doctor found one problem".to_owned(),
            (true, count) => format!("running, and the doctor found {count} problems"),
        }
    }
}

/// Was something new caught?
#[derive(Clone, Copy, Debug, Default, Serialize, JsonSchema)]
pub struct News {
    /// Cores that came for the first time in the last 24 hours, of everybody's samples: no filter and no time of the question
    /// changes that. Null while the samples are still being read.
    pub new_cores: Option<u64>,
    /// Captured uploads, without buffers, in the last 24 hours, to the moment; of everybody, as `new_cores`.
    pub uploads: u64,
    /// Samples that were looked into and whose reports are gone, so that their cores are not counted:
    /// `roridula triage --all` makes those again whose bytes are kept.
    pub reports_gone: u64,
}

impl News {
    /// As of `now`; without a catalog the samples are not known yet.
    pub fn of(catalog: Option<&Catalog>, index: &mut Index, now: WallClock) -> Result<Self, IndexError> {
        /// Microseconds of a day.
        const DAY: u64 = 24 * 3600 * 1_000_000;
        let day = Span::last(DAY, now);
        let uploads = index.exact(&day.into())?.uploads;
        let new_cores = catalog.map(|catalog| catalog.new_cores(day.since, day.until).count() as u64);
        Ok(Self { new_cores, uploads, reports_gone: catalog.map_or(0, |catalog| catalog.gone) })
    }

    /// What is wrong with the number of new cores, and the way out; `None` where nothing is.
    pub fn trouble(self) -> Option<String> {
        let of = match self.reports_gone {
            0 => return None,
            1 => "The report of 1 sample is gone".to_owned(),
            count => format!("The reports of {} samples are gone", thousands(count)),
        };
        Some(format!("{of}, and no core is counted without one: `roridula triage --all` makes them again."))
    }

    /// What the number of new cores is a number of.
    pub const fn noun(self) -> &'static str {
        if matches!(self.new_cores, Some(1)) { "new core in 24 hours" } else { "new cores in 24 hours" }
    }
}

/// Keeps what the doctor found just now in the data directory `dir`.
pub fn keep_verdict(dir: &Path, findings: Vec<Finding>) -> io::Result<()> {
    let verdict = Verdict { time: rfc3339(wall_clock()), findings };
    let text = serde_json::to_vec_pretty(&verdict)?;
    let desk = dir.join("desk");
    let (new, path) = (desk.join("doctor.json.new"), desk.join("doctor.json"));
    fs::write(&new, text).and_then(|()| fs::rename(&new, path))
}

fn read_verdict(dir: &Path) -> Option<Verdict> {
    let path = dir.join("desk").join("doctor.json");
    let small = fs::metadata(&path).is_ok_and(|meta| meta.len() <= FILE_BYTES_MAX);
    let text = small.then(|| fs::read(&path).ok()).flatten()?;
    serde_json::from_slice(&text).ok()
}
