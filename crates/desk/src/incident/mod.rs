//! Incidents: all connections of one source that belong to one attack, told as one story.
//!
//! A derived view of the journal, kept in `DIR/desk/incidents.sqlite`. It may be deleted, and is made again to exactly
//! the same content. It is a fold over the published events, in batches; the cursor stands in the same transaction as
//! what it stands for, so that any number of processes may catch it up.
//!
//! A connection finds its incident when it ends, by its source address, by the time since the incident's last
//! activity, and by what tells several attackers behind one address apart (`fold::choose`, and the table in
//! `tool`). What was observed is kept apart from what it implies; where the view had to guess, it says so.
//!
//! `visit` one connection → `fold` finds its incident → `record` one incident → `view` what is shown; `facts` is what
//! both a connection and an incident have shown.

pub(crate) mod attack;
mod database;
mod facts;
mod fold;
mod id;
mod record;
mod sentence;
mod stage;
mod tool;
mod view;
mod visit;

pub(crate) use facts::{is_payload, makes_room};

pub use crate::derived::{DerivedError as IncidentError, Progress};
pub use attack::{ATTACK_VERSION, Technique};
pub use id::IncidentId;
pub use stage::{Role, Stage};
pub use tool::{known as known_tools, label as tool_label};
pub use view::{Attack, Evidence, Incident, IncidentSample, Member, Outcome, StageView, Tool};

use crate::derived::{Follows, journal_begins};
use crate::index::{Cursor, Network, Page, Span, Step, bounded, cut};
use crate::sink::{Sink, SinkError};
use database::Database;
use fold::Fold;
use record::Record;
use roridula_evidence::{EventFilter, Published, Reader};
use roridula_proto::connection::ConnectionId;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// Events that are taken in with one transaction: an incident that goes on through many batches is written once in
/// each, so large ones are faster; these are some 16 MB.
const BATCH: usize = 32_768;

/// How connections are put together: `[incidents]` of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IncidentSettings {
    /// A gap of more seconds than this begins a new incident.
    pub window_secs: u64,
    /// Connections of one incident that are listed; more are counted.
    pub connections_max: u64,
}

impl Default for IncidentSettings {
    fn default() -> Self {
        Self { window_secs: 900, connections_max: 4096 }
    }
}

/// Which incidents are asked for; an empty filter is all of them.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only those that lasted into it, or began in it.
    pub span: Span,
    /// Only of this visitor.
    pub source: Option<IpAddr>,
    /// Only of visitors of this network.
    pub network: Option<Network>,
    /// Only those that came just so far.
    pub outcome: Option<Outcome>,
    /// Only those that went through this stage.
    pub stage: Option<Stage>,
    /// Only those that took this step of the funnel.
    pub step: Option<Step>,
    /// Only those in which this tool was seen.
    pub tool: Option<String>,
    /// Only those that show or imply this technique, or a part of it: `T1210`, `T1021`. What has another id where it comes
    /// from elsewhere (T1210, T1190) is found by either.
    pub technique: Option<String>,
    /// Only those that brought one of these samples, SHA-256 in lower-case hexadecimal.
    pub samples: Option<Vec<String>>,
    /// Only those whose sentence, or the name of whose tool, has this in it, in letters of any case.
    pub text: Option<String>,
    /// At most so many.
    pub limit: Option<usize>,
}

impl Filter {
    /// Whether an incident fits; its span and limit do not count.
    pub fn fits(&self, incident: &Incident) -> bool {
        let lower = |text: &str| text.to_lowercase();
        let label = incident.tool.label.as_deref().unwrap_or_default();
        let said = format!("{} {label}", incident.summary).to_lowercase();
        let tool = |tool: &String| {
            incident.tool.name.as_ref() == Some(tool) || incident.tool.seen.contains_key(tool)
        };
        let is_part = |id: &str, wanted: &str| {
            id.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let shows = |wanted: &str| incident.attack.all().any(|technique| is_part(technique.id, wanted));
        let technique = |wanted: &String| attack::names(wanted).into_iter().any(shows);
        self.source.is_none_or(|source| source.to_canonical() == incident.source.to_canonical())
            && self.network.is_none_or(|network| network.holds(incident.source))
            && self.outcome.is_none_or(|outcome| outcome == incident.outcome)
            && self.stage.is_none_or(|stage| incident.stages.iter().any(|view| view.stage == stage))
            && self.step.is_none_or(|step| incident.steps.contains(&step))
            && self.tool.as_ref().is_none_or(tool)
            && self.technique.as_ref().is_none_or(technique)
            && self.text.as_ref().is_none_or(|text| said.contains(&lower(text)))
            && self
                .samples
                .as_ref()
                .is_none_or(|wanted| incident.samples.iter().any(|sample| wanted.contains(&sample.sha256)))
    }
}

/// The incidents of a data directory.
#[derive(Debug)]
pub struct Incidents {
    dir: PathBuf,
    reader: Reader,
    db: Database,
    /// Settings that the view must be made with; `None`: as it is.
    settings: Option<IncidentSettings>,
    fold: Option<Fold>,
}

impl Incidents {
    /// The view of the data directory `dir`, made where there is none. With `settings` other than it was made with it
    /// is made again; without, it stays as it is. Nothing is read of the journal before [`Self::catch_up`].
    pub fn open(dir: &Path, settings: Option<IncidentSettings>) -> Result<Self, IncidentError> {
        let (reader, db) = (Reader::open(dir)?, Database::open(dir)?);
        Ok(Self { dir: dir.to_owned(), reader, db, settings, fold: None })
    }

    /// As [`Self::open`]; where the view may not be written, one that ends with this value.
    pub fn open_or_temporary(dir: &Path) -> Result<Self, IncidentError> {
        match Self::open(dir, None) {
            Err(error) if error.is_forbidden() => {
                let settings = Database::open_to_read(dir).and_then(|there| there.settings());
                Self::temporary(dir, settings.unwrap_or_default())
            }
            opened => opened,
        }
    }

    /// A view that ends with this value and touches no file of `dir` but the journal.
    pub fn temporary(dir: &Path, settings: IncidentSettings) -> Result<Self, IncidentError> {
        let (reader, db) = (Reader::open(dir)?, Database::temporary()?);
        Ok(Self { dir: dir.to_owned(), reader, db, settings: Some(settings), fold: None })
    }

    /// Takes in what the journal has more than the view, and tells `progress` after each batch. Any number of
    /// processes may do so at the same time. A damaged view is made again.
    pub fn catch_up(&mut self, progress: &mut dyn FnMut(Progress)) -> Result<(), IncidentError> {
        self.follow_all(BATCH, progress)
    }

    /// As [`Self::catch_up`] with `batch` events a transaction: the result is the same for any number.
    pub fn catch_up_by(&mut self, batch: usize) -> Result<(), IncidentError> {
        while self.catch_up_once(batch)?.is_some_and(|now| now.done < now.total) {}
        Ok(())
    }

    /// Takes in at most `batch` events; `None` where there was nothing to do.
    pub fn catch_up_once(&mut self, batch: usize) -> Result<Option<Progress>, IncidentError> {
        self.step(None, batch.max(1))
    }

    /// Forgets everything and makes it again from the journal.
    pub fn rebuild(&mut self, progress: &mut dyn FnMut(Progress)) -> Result<(), IncidentError> {
        let settings = self.settings.map_or_else(|| self.db.settings(), Ok)?;
        let begins = journal_begins(&self.reader)?;
        let transaction = self.db.begin()?;
        self.db.reset(settings, begins)?;
        transaction.commit().map_err(IncidentError::database(&self.dir))?;
        self.fold = None;
        self.catch_up(progress)
    }

    /// The `seq` of the last event that is in the view.
    pub fn cursor(&self) -> Result<u64, IncidentError> {
        self.db.cursor()
    }

    /// The names of at most `limit` incidents, those first in which something happened last.
    pub fn ids(&mut self, limit: usize) -> Result<Vec<IncidentId>, IncidentError> {
        self.read(|view| view.db.ids(limit))
    }

    /// The incidents that fit, those first in which something happened last.
    pub fn list(&mut self, filter: &Filter) -> Result<Vec<Incident>, IncidentError> {
        let limit = filter.limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
        self.read(|view| {
            let found = view.db.find(filter, Cursor::START, limit)?;
            found.iter().map(|(_, record)| view.shown(record)).collect()
        })
    }

    /// A page of the incidents that fit, in the order of [`Self::list`]: `cursor` is what the page before was left with. Bounds
    /// `limit` to 1000; what the filter says of it does not count.
    pub fn page(
        &mut self,
        filter: &Filter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<Incident>, IncidentError> {
        let cursor = Cursor::read(cursor)?;
        let (limit, more) = bounded(limit);
        self.read(|view| {
            let found = view.db.find(filter, cursor, more)?;
            let shown = found.iter().map(|(cursor, record)| Ok((*cursor, view.shown(record)?)));
            Ok(cut(shown.collect::<Result<_, IncidentError>>()?, limit))
        })
    }

    /// How many incidents fit, whatever the filter's limit.
    pub fn count(&mut self, filter: &Filter) -> Result<u64, IncidentError> {
        self.read(|view| view.db.count(filter))
    }

    /// How many of those that fit took each step of the funnel, in the order of [`Step::ALL`]; each is what [`Self::count`]
    /// says of the filter with that step.
    pub fn funnel(&mut self, filter: &Filter) -> Result<[u64; Step::ALL.len()], IncidentError> {
        self.read(|view| view.db.funnel(filter))
    }

    /// The incident of this name.
    pub fn get(&mut self, id: IncidentId) -> Result<Option<Incident>, IncidentError> {
        self.read(|view| view.db.record_named(id.0.0)?.map(|record| view.shown(&record)).transpose())
    }

    /// At most `limit` incidents whose names begin like this, the latest first.
    pub fn named(&mut self, prefix: &str, limit: usize) -> Result<Vec<Incident>, IncidentError> {
        let Some((least, most)) = IncidentId::beginning(prefix) else { return Ok(Vec::new()) };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read(|view| {
            let found = view.db.records_named(least.0.0, most.0.0, limit)?;
            found.iter().map(|record| view.shown(record)).collect()
        })
    }

    /// The tools that the fingerprint of a connection named, as far as the view is; empty while it is open.
    pub fn tools_of(&mut self, connection: ConnectionId) -> Result<Vec<String>, IncidentError> {
        self.read(|view| view.db.tools_of(connection.0))
    }

    /// The name of the incident that a connection belongs to; `None` while it is open.
    pub fn of_connection(&mut self, connection: ConnectionId) -> Result<Option<IncidentId>, IncidentError> {
        self.read(|view| {
            let Some(n) = view.db.incident_of(connection.0)? else { return Ok(None) };
            Ok(view.db.record(n)?.map(|record| IncidentId(ConnectionId(record.id))))
        })
    }

    /// The connections of an incident in the order of their opening, as far as they are listed.
    pub fn connections(&mut self, id: IncidentId) -> Result<Vec<Member>, IncidentError> {
        self.read(|view| {
            let Some(record) = view.db.record_named(id.0.0)? else { return Ok(Vec::new()) };
            let rows = view.db.members(record.n)?;
            Ok(rows.into_iter().map(|(connection, row)| Member::new(connection, row)).collect())
        })
    }

    /// Looks something up: where somebody has taken the file away, in the one that is made instead; where it shows that the
    /// view is damaged, after making it again.
    fn read<T>(&mut self, look: impl Fn(&Self) -> Result<T, IncidentError>) -> Result<T, IncidentError> {
        self.follow_file()?;
        match look(self) {
            Err(error) if error.is_damage() => {
                self.begin_anew()?;
                self.catch_up(&mut |_| ())?;
                look(self)
            }
            looked => looked,
        }
    }

    /// Opens the file that has taken the place of the one that is open.
    fn follow_file(&mut self) -> Result<(), IncidentError> {
        if !self.db.is_in_place() {
            (self.fold, self.db) = (None, Database::open(&self.dir)?);
        }
        Ok(())
    }

    /// Whether the view's file is the one that is open.
    pub(crate) fn is_in_place(&self) -> bool {
        self.db.is_in_place()
    }

    fn begin_anew(&mut self) -> Result<(), IncidentError> {
        self.fold = None;
        self.db.begin_anew(&self.dir)
    }

    fn shown(&self, record: &Record) -> Result<Incident, IncidentError> {
        let connections_max = self.db.settings()?.connections_max;
        Incident::new(record, connections_max, |sha256| self.db.triage(sha256))
    }

    /// Takes in one batch: of `at_hand` where that goes on from the view, else from the journal. `None`: there was
    /// nothing to do.
    fn step(
        &mut self,
        at_hand: Option<&[Published]>,
        batch: usize,
    ) -> Result<Option<Progress>, IncidentError> {
        self.follow_file()?;
        let total = self.reader.last_seq()?;
        if self.fold.is_some() && self.db.cursor()? >= total {
            return Ok(None);
        }
        let transaction = self.db.begin()?;
        let known = self.fold.take();
        let fold = match known {
            Some(fold) if fold.cursor == self.db.cursor()? => Some(fold),
            _ => None,
        };
        let mut fold = match fold {
            Some(fold) => fold,
            None => {
                self.check_origin(total)?;
                Fold::load(&self.db)?
            }
        };
        let next = |event: &Published| event.seq == fold.cursor + 1;
        let at_hand = at_hand.and_then(|events| events.get(events.iter().position(next)?..));
        let page = match at_hand {
            Some(_) => None,
            None => Some(self.reader.events(fold.cursor, &EventFilter::default(), batch)?),
        };
        for event in at_hand.unwrap_or_else(|| page.as_ref().map_or(&[], |page| &page.events)) {
            fold.apply(&self.db, event)?;
        }
        fold.cursor = fold.cursor.max(page.map_or(0, |page| page.next));
        fold.write(&self.db)?;
        transaction.commit().map_err(IncidentError::database(&self.dir))?;
        let done = fold.cursor;
        self.fold = Some(fold);
        Ok(Some(Progress { done, total }))
    }

    /// Begins again where the view is of another journal, or was made with other settings than it must be.
    fn check_origin(&self, last: u64) -> Result<(), IncidentError> {
        let begins = journal_begins(&self.reader)?;
        let there = self.db.settings()?;
        let settings = self.settings.unwrap_or(there);
        let same = self.db.journal()? == Some(begins) && self.db.cursor()? <= last && settings == there;
        if same { Ok(()) } else { self.db.reset(settings, begins) }
    }
}

impl Follows for Incidents {
    fn follow(&mut self, batch: usize) -> Result<Option<Progress>, IncidentError> {
        self.step(None, batch)
    }

    fn anew(&mut self) -> Result<(), IncidentError> {
        self.begin_anew()
    }
}

impl Sink for Incidents {
    fn name(&self) -> &str {
        "incidents"
    }

    fn deliver(&mut self, batch: &[Published]) -> Result<(), SinkError> {
        let fail = |error: IncidentError| SinkError::Derived { what: error.to_string() };
        let Some(last) = batch.last() else { return Ok(()) };
        match self.step(Some(batch), BATCH) {
            Ok(Some(now)) if now.done >= last.seq => Ok(()),
            // Behind, or damaged: the journal has all of it.
            Ok(_) | Err(_) => self.catch_up(&mut |_| ()).map_err(fail),
        }
    }
}
