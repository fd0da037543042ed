//! The index: counts and rows that a console, a report or a command line asks for, without reading the journal.
//!
//! A derived view of the journal, kept in `DIR/desk/index.sqlite`, made like the incidents: by cursor, by whoever
//! asks or by a sink in the background, deleted and made again at will. It is a sum over the published events, so
//! that it is the same however the journal was cut.
//!
//! # How to read it
//!
//! ```no_run
//! # fn main() -> Result<(), roridula_desk::index::IndexError> {
//! use roridula_desk::index::{Filter, Index, Mode, Span, Step};
//! let dir = std::path::Path::new("data");
//! // Whoever keeps it up: one at a time works, others wait for it.
//! let mut writer = Index::open(dir, Mode::Write)?;
//! writer.catch_up(&mut |_| ())?;
//! // Whoever only shows it, beside the writer: as many as there are threads.
//! let mut index = Index::open(dir, Mode::Read)?;
//! let status = index.status()?;
//! let week = Span::last(7 * 24 * 3_600_000_000, status.last_event.unwrap_or_default());
//! let funnel = index.funnel(&week.into())?;
//! let filter = Filter { span: week, step: Some(Step::Upload), ..Filter::default() };
//! let first = index.connections(&filter, None, 50)?;
//! let second = index.connections(&filter, first.next.as_deref(), 50)?;
//! # Ok(())
//! # }
//! ```
//!
//! | question | answer |
//! |---|---|
//! | how it stands, who came last | [`Index::status`], [`Index::runs`] |
//! | the funnel, over time, of one source or network | [`Index::funnel`] |
//! | connections and captured uploads of a time, to the moment | [`Index::exact`] |
//! | connections | [`Index::connections`], [`Index::connection`] |
//! | visitors | [`Index::sources`], [`Index::source`], [`Index::activity`], [`Index::spikes`] |
//! | captures, senders, groups of samples over time | [`Index::captures`], [`Index::senders`], [`Index::spreads`] |
//! | samples, as far as the journal tells | [`Index::samples`], [`Index::sample`] |
//! | tools, implementations, what nobody knows | [`Index::tools`], [`Index::fingerprints`], [`Index::unknown`] |
//! | credentials and names of visitors' machines | [`Index::logons`] |
//! | limits, refusals, malformed messages, faults | [`Index::health`], [`Index::health_hours`] |
//! | what begins with these characters | [`Index::search`] |
//!
//! Incidents are in [`crate::incident`]; what is in a sample, and which one holds an indicator, in [`crate::sample`].
//!
//! Pages come newest or most frequent first, of at most 1000 rows, and are left with a cursor: an opaque text that is
//! good for the same question. A page may have fewer rows than were asked for and yet a next one, where it had looked
//! through very many rows that do not fit. Roll-ups are of whole minutes, hours or days, UTC: a span is widened to
//! them. Text of visitors stands in the rows as it came: escape it where it is shown.
//!
//! `fold` what a batch of events adds → `names` numbers for what has long names → `write` into the file (`tables`);
//! `filter` what is asked for, `read` the questions, `view` what they are answered with.

mod filter;
mod fold;
mod names;
mod read;
mod tables;
mod view;
mod write;

pub use crate::derived::{DerivedError as IndexError, Progress};
pub(crate) use filter::Cursor;
pub use filter::{BadNetwork, Filter, Network, Shapes, SourceOrder, Span};
pub(crate) use fold::address_bytes;
pub(crate) use read::{beginning, bounded, cut};
pub use view::{
    Activity, Bucket, CaptureRow, Caught, ConnectionRow, Counts, Exact, FingerprintRow, Funnel, HealthRow,
    HealthTotal, Hit, Kind, LogonRow, Page, Run, SampleDay, SampleRow, Sender, ShapeRow, SourceActivity,
    SourceRow, Spike, Spread, Started, Status, Step, ToolRow, Visitors,
};

pub(crate) use view::as_time_or_null;

use crate::derived::{Derived, Follows, journal_begins};
use crate::sink::{Sink, SinkError};
use fold::Batch;
use names::Names;
use roridula_evidence::{EventFilter, Published, Reader};
use roridula_proto::time::WallClock;
use std::path::{Path, PathBuf};

/// Events that are taken in with one transaction: rows that many of them add to are written once; these are some 16 MB.
const BATCH: usize = 32_768;

/// What an [`Index`] is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// To keep it up and to read it; made where there is none.
    Write,
    /// Only to read what others keep up; [`IndexError::Missing`] as long as they have made none.
    Read,
    /// One that ends with this value and touches no file of the data directory but the journal.
    Temporary,
}

/// The index of a data directory.
#[derive(Debug)]
pub struct Index {
    dir: PathBuf,
    mode: Mode,
    reader: Reader,
    file: Derived,
    /// With the cursor that they stand at.
    names: Option<(u64, Names)>,
}

impl Index {
    /// The index of the data directory `dir`. Nothing is read of the journal before [`Self::catch_up`].
    pub fn open(dir: &Path, mode: Mode) -> Result<Self, IndexError> {
        let reader = Reader::open(dir)?;
        let file = Self::open_file(dir, mode)?;
        Ok(Self { dir: dir.to_owned(), mode, reader, file, names: None })
    }

    /// As [`Self::open`] to write; where it may not be written, one that ends with this value.
    pub fn open_or_temporary(dir: &Path) -> Result<Self, IndexError> {
        match Self::open(dir, Mode::Write) {
            Err(error) if error.is_forbidden() => Self::open(dir, Mode::Temporary),
            opened => opened,
        }
    }

    fn open_file(dir: &Path, mode: Mode) -> Result<Derived, IndexError> {
        match mode {
            Mode::Write => Derived::open(dir, &tables::LAYOUT),
            Mode::Read => Derived::open_to_read(dir, &tables::LAYOUT),
            Mode::Temporary => Derived::temporary(&tables::LAYOUT),
        }
    }

    /// Takes in what the journal has more than the index, and tells `progress` after each batch. Any number of
    /// processes may do so at the same time. A damaged index is made again.
    pub fn catch_up(&mut self, progress: &mut dyn FnMut(Progress)) -> Result<(), IndexError> {
        self.follow_all(BATCH, progress)
    }

    /// As [`Self::catch_up`] with `batch` events a transaction: the result is the same for any number.
    pub fn catch_up_by(&mut self, batch: usize) -> Result<(), IndexError> {
        while self.catch_up_once(batch)?.is_some_and(|now| now.done < now.total) {}
        Ok(())
    }

    /// Takes in at most `batch` events; `None` where there was nothing to do.
    pub fn catch_up_once(&mut self, batch: usize) -> Result<Option<Progress>, IndexError> {
        self.step(None, batch.max(1))
    }

    /// Forgets everything and makes it again from the journal. Readers see it grow.
    pub fn rebuild(&mut self, progress: &mut dyn FnMut(Progress)) -> Result<(), IndexError> {
        self.may_write()?;
        let begins = journal_begins(&self.reader)?;
        let transaction = self.file.begin()?;
        self.reset(begins)?;
        transaction.commit().map_err(self.file.fail())?;
        self.names = None;
        self.catch_up(progress)
    }

    /// The `seq` of the last event that is in the index.
    pub fn cursor(&self) -> Result<u64, IndexError> {
        Ok(self.file.meta("cursor")?.unwrap_or(0))
    }

    /// How far the index is behind the journal.
    pub fn progress(&mut self) -> Result<Progress, IndexError> {
        let done = self.look(|index| index.cursor())?;
        Ok(Progress { done, total: self.reader.last_seq()? })
    }

    /// Whether the index's file is the one that is open.
    pub(crate) fn is_in_place(&self) -> bool {
        self.file.is_in_place()
    }

    fn may_write(&self) -> Result<(), IndexError> {
        match self.mode {
            Mode::Read => Err(IndexError::ReadOnly { path: self.dir.join("desk") }),
            Mode::Write | Mode::Temporary => Ok(()),
        }
    }

    fn reset(&self, begins: WallClock) -> Result<(), IndexError> {
        self.file.make_tables()?;
        self.file.put_meta("cursor", 0)?;
        self.file.put_meta("journal", begins.0)
    }

    /// Looks something up in one state of the file. Where others have replaced it, in the new one; where it is damaged,
    /// after making it again.
    fn look<T>(&mut self, look: impl Fn(&Self) -> Result<T, IndexError>) -> Result<T, IndexError> {
        if !self.file.is_in_place() {
            self.file = Self::open_file(&self.dir, self.mode)?;
            self.names = None;
        }
        let looked = self.looked(&look);
        match looked {
            Err(error) if error.is_damage() && self.mode != Mode::Read => {
                self.begin_anew()?;
                self.catch_up(&mut |_| ())?;
                self.looked(&look)
            }
            looked => looked,
        }
    }

    fn looked<T>(&self, look: &impl Fn(&Self) -> Result<T, IndexError>) -> Result<T, IndexError> {
        let _view = self.file.db.unchecked_transaction().map_err(self.file.fail())?;
        look(self)
    }

    fn begin_anew(&mut self) -> Result<(), IndexError> {
        self.names = None;
        self.file.begin_anew(&self.dir)
    }

    /// Takes in one batch: of `at_hand` where that goes on from the index, else from the journal. `None`: there was
    /// nothing to do.
    fn step(&mut self, at_hand: Option<&[Published]>, batch: usize) -> Result<Option<Progress>, IndexError> {
        self.may_write()?;
        if !self.file.is_in_place() {
            self.file = Self::open_file(&self.dir, self.mode)?;
            self.names = None;
        }
        let total = self.reader.last_seq()?;
        if self.names.is_some() && self.cursor()? >= total {
            return Ok(None);
        }
        let transaction = self.file.begin()?;
        // After a failure they may say more than the file.
        let known = self.names.take();
        let (mut cursor, mut names) = match known {
            Some(known) if known.0 == self.cursor()? => known,
            _ => {
                self.check_origin(total)?;
                (self.cursor()?, Names::load(&self.file)?)
            }
        };
        let next = |event: &Published| event.seq == cursor + 1;
        let at_hand = at_hand.and_then(|events| events.get(events.iter().position(next)?..));
        let page = match at_hand {
            Some(_) => None,
            None => Some(self.reader.events(cursor, &EventFilter::default(), batch)?),
        };
        let mut sum = Batch::default();
        for event in at_hand.unwrap_or_else(|| page.as_ref().map_or(&[], |page| &page.events)) {
            sum.see(&mut names, &self.file, event)?;
            cursor = event.seq;
        }
        sum.write(&self.file)?;
        cursor = cursor.max(page.map_or(0, |page| page.next));
        self.file.put_meta("cursor", cursor)?;
        transaction.commit().map_err(self.file.fail())?;
        self.names = Some((cursor, names));
        Ok(Some(Progress { done: cursor, total }))
    }

    /// Begins again where the index is of another journal.
    fn check_origin(&self, last: u64) -> Result<(), IndexError> {
        let begins = journal_begins(&self.reader)?;
        let same = self.file.meta("journal")? == Some(begins.0) && self.cursor()? <= last;
        if same { Ok(()) } else { self.reset(begins) }
    }
}

impl Follows for Index {
    fn follow(&mut self, batch: usize) -> Result<Option<Progress>, IndexError> {
        self.step(None, batch)
    }

    fn anew(&mut self) -> Result<(), IndexError> {
        self.begin_anew()
    }
}

impl Sink for Index {
    fn name(&self) -> &str {
        "index"
    }

    fn deliver(&mut self, batch: &[Published]) -> Result<(), SinkError> {
        let fail = |error: IndexError| SinkError::Derived { what: error.to_string() };
        let Some(last) = batch.last() else { return Ok(()) };
        match self.step(Some(batch), BATCH) {
            Ok(Some(now)) if now.done >= last.seq => Ok(()),
            // Behind, or damaged: the journal has all of it.
            Ok(_) | Err(_) => self.catch_up(&mut |_| ()).map_err(fail),
        }
    }
}
