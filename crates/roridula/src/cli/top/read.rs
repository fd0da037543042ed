//! What there is to know at a glance, read from what is derived of the journal.

use super::Time;
use roridula_desk::incident::{Filter as Incidental, Incident, Incidents};
use roridula_desk::index::{Index, Span, Step};
use roridula_desk::pulse::{News, Pulse};
use roridula_desk::sample::{Catalog, Edition, Entry, Reports};
use roridula_evidence::{Reader, wall_clock};
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
    pub(super) pulse: Pulse,
    /// Bytes of the journal.
    pub(super) journal: u64,
    /// What was counted in each of [`Time::ALL`].
    pub(super) funnels: [Funnel; 4],
    /// Whether something new was caught.
    pub(super) news: News,
    /// The sample to look at first.
    pub(super) novel: Option<Novel>,
    /// Samples of any kind.
    pub(super) samples: usize,
    /// The latest incidents, the newest first.
    pub(super) incidents: Vec<Row>,
}

/// How many incidents came how far, in the order of [`Step::ALL`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Funnel(pub(super) [u64; Step::ALL.len()]);

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
    reports: Reports,
    /// The event that the catalog knew of last, the reports that it was made of, and when to make the next one.
    catalog_of: Option<(u64, Edition)>,
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
            journal: size(&self.dir.join("journal.sqlite")) + size(&self.dir.join("journal.sqlite-wal")),
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
        snapshot.pulse = Pulse::take(&dir, &open.reader, &mut open.index)?;
        for (funnel, time) in snapshot.funnels.iter_mut().zip(Time::ALL) {
            let span = Span::last(time.micros(), snapshot.now);
            *funnel = Funnel(open.incidents.funnel(&Incidental { span, ..Incidental::default() })?);
        }
        open.keep_catalog()?;
        snapshot.news = News::of(Some(&open.catalog), &mut open.index, snapshot.now)?;
        snapshot.novel = open.catalog.novel(snapshot.now).map(|(entry, _)| novel(entry));
        snapshot.samples = open.catalog.entries.len();
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
            reports: Reports::open(dir)?,
            catalog_of: None,
            catalog_next: Instant::now(),
        })
    }

    fn keep_catalog(&mut self) -> Result<(), Failed> {
        let of = Some((self.reader.last_seq()?, self.reports.edition()?));
        if self.catalog_of == of || Instant::now() < self.catalog_next {
            return Ok(());
        }
        let begun = Instant::now();
        self.catalog = Catalog::load(&mut self.index, &self.reports)?;
        self.catalog_of = of;
        self.catalog_next = Instant::now() + (begun.elapsed() * CATALOG_REST).max(CATALOG_EVERY);
        Ok(())
    }
}

fn novel(entry: &Entry) -> Novel {
    Novel {
        sha256: entry.sha256.to_string(),
        sentence: entry.sentence.clone(),
        novelty: entry.novelty,
        first_seen: entry.first_seen.clone(),
    }
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

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |meta| meta.len())
}
