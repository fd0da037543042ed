//! What there is to know at a glance, read from what is derived of the journal.

use super::Time;
use crate::cli::doctor::system;
use roridula_desk::incident::{Filter as Incidental, Incident, Incidents};
use roridula_desk::index::{Counts, Index, Span, Status};
use roridula_desk::sample::{Catalog, Reports};
use roridula_evidence::{Reader, rfc3339, wall_clock};
use roridula_proto::time::WallClock;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Incidents that can be scrolled through.
const FEED: usize = 200;
/// The catalog is made anew after this, and after so many times as long as making it took.
const CATALOG_EVERY: Duration = Duration::from_secs(3);
const CATALOG_REST: u32 = 9;

/// Everything that the screen shows.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshot {
    /// The data directory.
    pub(super) dir: PathBuf,
    /// When it was read.
    pub(super) now: WallClock,
    /// What is in the way of reading more, or how far reading is.
    pub(super) trouble: Option<String>,
    /// Whether the honeypot is well.
    pub(super) health: Health,
    /// What was counted in each of [`Time::ALL`].
    pub(super) funnels: [Funnel; 4],
    /// Cores that came for the first time in the last 24 hours.
    pub(super) new_cores: u64,
    /// Captures in the last 24 hours.
    pub(super) captures: u64,
    /// The newest of the novel samples.
    pub(super) novel: Option<Novel>,
    /// The latest incidents, the newest first.
    pub(super) incidents: Vec<Row>,
}

/// Whether the honeypot is well.
#[derive(Clone, Debug, Default)]
pub(super) struct Health {
    /// The process that holds the data directory.
    pub(super) running: Option<u32>,
    /// Where it listens, as it said.
    pub(super) listen: Vec<String>,
    /// Since when; or when it stopped, where it does not run.
    pub(super) since: Option<WallClock>,
    /// Who was accepted last, and when.
    pub(super) visitor: Option<(String, WallClock)>,
    /// Bytes of disk that are free, and how many there are.
    pub(super) disk: Option<(u64, u64)>,
    /// Bytes of the journal.
    pub(super) journal: u64,
    /// Events that the views do not know of yet.
    pub(super) behind: u64,
}

/// How many connections came how far: connect, negotiate, probe, exploit, ping, upload, complete, new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Funnel(pub(super) [u64; 8]);

impl Funnel {
    /// The words of its steps.
    pub(super) const STEPS: [&str; 8] =
        ["connect", "negotiate", "MS17-010 probe", "exploit", "ping", "upload", "complete", "new"];
}

impl From<&Counts> for Funnel {
    fn from(counts: &Counts) -> Self {
        Self([
            counts.connections,
            counts.negotiates,
            counts.probes,
            counts.exploits,
            counts.pings,
            counts.uploads,
            counts.completes,
            counts.new_samples,
        ])
    }
}

/// A sample worth a look.
#[derive(Clone, Debug)]
pub(super) struct Novel {
    pub(super) sha256: String,
    pub(super) sentence: String,
    pub(super) novelty: u8,
    pub(super) first_seen: String,
}

/// An incident in the feed.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) last: WallClock,
    pub(super) source: String,
    pub(super) outcome: &'static str,
    pub(super) tool: String,
    pub(super) size: Option<u64>,
    pub(super) summary: String,
}

/// Where it is read from.
#[derive(Debug)]
pub(super) struct Source {
    dir: PathBuf,
    open: Option<Open>,
}

/// What is open of a data directory.
#[derive(Debug)]
struct Open {
    reader: Reader,
    index: Index,
    incidents: Incidents,
    catalog: Catalog,
    /// The event that the catalog knew of last, and when to make the next one.
    catalog_of: Option<u64>,
    catalog_next: Instant,
}

type Failed = Box<dyn std::error::Error>;

impl Source {
    pub(super) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), open: None }
    }

    /// Reads everything. `progress` is given what there is to show while that takes long; it says whether to go on.
    pub(super) fn read(&mut self, progress: &mut dyn FnMut(Snapshot) -> bool) -> Snapshot {
        let mut snapshot = Snapshot {
            dir: self.dir.clone(),
            now: wall_clock(),
            health: Health {
                running: system::lock_holder(&self.dir).map(|process| process.pid),
                disk: disk(&self.dir),
                journal: size(&self.dir.join("journal.sqlite")) + size(&self.dir.join("journal.sqlite-wal")),
                ..Health::default()
            },
            ..Snapshot::default()
        };
        if let Err(error) = self.fill(&mut snapshot, progress) {
            // What was open may be gone, or another one lies in its place: opened anew the next time.
            self.open = None;
            snapshot.trouble = Some(error.to_string());
        }
        snapshot
    }

    fn fill(
        &mut self,
        snapshot: &mut Snapshot,
        progress: &mut dyn FnMut(Snapshot) -> bool,
    ) -> Result<(), Failed> {
        let dir = self.dir.clone();
        if !dir.join("journal.sqlite").exists() {
            return Err(format!("no journal in {}: `roridula run` makes one", dir.display()).into());
        }
        let open = match &mut self.open {
            Some(open) => open,
            none => none.insert(Open::new(&dir)?),
        };
        let draft = snapshot.clone();
        let mut wanted = true;
        let mut told = Instant::now();
        open.index.catch_up(&mut |now| {
            if wanted && told.elapsed() > Duration::from_millis(500) {
                told = Instant::now();
                let percent = now.done * 100 / now.total.max(1);
                let trouble = Some(format!("reading the journal: {percent} % of {} events", now.total));
                wanted = progress(Snapshot { trouble, ..draft.clone() });
            }
        })?;
        open.incidents.catch_up(&mut |_| ())?;
        health(&mut snapshot.health, open.index.status()?);
        for (funnel, time) in snapshot.funnels.iter_mut().zip(Time::ALL) {
            *funnel = Funnel::from(&open.index.funnel(Span::last(time.micros(), snapshot.now), None)?.total);
        }
        let day = Span::last(Time::Day.micros(), snapshot.now);
        snapshot.captures = open.index.funnel(day, None)?.total.captures;
        open.keep_catalog(&dir)?;
        let since = rfc3339(day.since);
        let groups = open.catalog.groups.iter();
        // RFC 3339 in UTC sorts as time does.
        snapshot.new_cores = groups.filter(|group| group.first_seen >= since).count() as u64;
        snapshot.novel = novel(&open.catalog);
        let latest = Incidental { limit: Some(FEED), ..Incidental::default() };
        snapshot.incidents = open.incidents.list(&latest)?.iter().map(row).collect();
        Ok(())
    }
}

impl Open {
    fn new(dir: &Path) -> Result<Self, Failed> {
        Ok(Self {
            reader: Reader::open(dir)?,
            index: Index::open_or_temporary(dir)?,
            incidents: Incidents::open_or_temporary(dir)?,
            catalog: Catalog::default(),
            catalog_of: None,
            catalog_next: Instant::now(),
        })
    }

    fn keep_catalog(&mut self, dir: &Path) -> Result<(), Failed> {
        let last = self.reader.last_seq()?;
        if self.catalog_of == Some(last) || Instant::now() < self.catalog_next {
            return Ok(());
        }
        let begun = Instant::now();
        let reports = Reports::open(dir)?;
        self.catalog = Catalog::load(&mut self.index, &reports)?;
        self.catalog_of = Some(last);
        self.catalog_next = Instant::now() + (begun.elapsed() * CATALOG_REST).max(CATALOG_EVERY);
        Ok(())
    }
}

fn health(health: &mut Health, status: Status) {
    health.behind = status.journal.saturating_sub(status.cursor);
    health.visitor = status.last_visitor.map(|row| (row.source.to_string(), row.opened));
    if let Some(run) = status.last_run {
        // One that does not run and never said that it stopped: nobody knows since when.
        let known = health.running.is_some() == run.started.is_some();
        health.since = known.then_some(run.time);
        health.listen = run.started.map(|started| started.listen).unwrap_or_default();
    }
}

/// The most novel of the cores: of equals, the latest stands first.
fn novel(catalog: &Catalog) -> Option<Novel> {
    catalog.entries.iter().find(|entry| !entry.core.is_empty()).map(|entry| Novel {
        sha256: entry.sha256.to_string(),
        sentence: entry.sentence.clone(),
        novelty: entry.novelty,
        first_seen: entry.first_seen.clone(),
    })
}

fn row(incident: &Incident) -> Row {
    Row {
        id: incident.id.to_string(),
        last: incident.last,
        source: incident.source.to_string(),
        outcome: incident.outcome.as_str(),
        tool: incident.tool.label.clone().unwrap_or_default(),
        size: incident.samples.iter().map(|sample| sample.size).max(),
        summary: incident.summary.clone(),
    }
}

fn disk(dir: &Path) -> Option<(u64, u64)> {
    let stat = rustix::fs::statvfs(dir).ok()?;
    Some((stat.f_bavail.saturating_mul(stat.f_frsize), stat.f_blocks.saturating_mul(stat.f_frsize)))
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |meta| meta.len())
}
