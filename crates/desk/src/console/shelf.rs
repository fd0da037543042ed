//! What views read, opened: each request takes one of a few and puts it back.

use super::ConsoleError;
use super::ask::Problem;
use super::geo::Geo;
use crate::incident::Incidents;
use crate::index::{Index, Mode};
use crate::sample::{Catalog, Reports};
use roridula_evidence::Reader;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio::sync::Semaphore;

/// Requests that read at the same time; more wait.
const READERS_MAX: usize = 4;

/// All samples of the data directory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples {
    /// What they are; `None`: they have not been read since the start.
    pub(crate) catalog: Option<Arc<Catalog>>,
    /// Bytes that they take on disk.
    pub(crate) bytes: u64,
    /// Why they could not be read so far; empty: nothing is wrong.
    fault: String,
}

/// Everything that a view may read.
#[derive(Debug)]
pub(crate) struct Shelf {
    /// The data directory.
    pub(crate) dir: PathBuf,
    /// Ground state.
    pub(crate) reader: Reader,
    /// What triage found.
    pub(crate) reports: Reports,
    /// Attacks.
    pub(crate) incidents: Incidents,
    /// Counts and rows.
    pub(crate) index: Index,
    /// All samples, as of a moment ago.
    pub(crate) samples: Samples,
    /// Where addresses are.
    pub(crate) geo: Arc<Geo>,
}

impl Shelf {
    fn open(dir: &Path) -> Result<Self, Problem> {
        Ok(Self {
            dir: dir.to_owned(),
            reader: Reader::open(dir).map_err(Problem::failed)?,
            reports: Reports::open(dir).map_err(Problem::failed)?,
            incidents: Incidents::open_or_temporary(dir).map_err(Problem::failed)?,
            index: open_index(dir)?,
            samples: Samples::default(),
            geo: Arc::default(),
        })
    }

    /// Whether what it has open still lies in the data directory: derived files may be deleted at any time.
    fn is_in_place(&self) -> bool {
        self.incidents.is_in_place() && self.index.is_in_place() && self.reports.is_in_place()
    }
}

impl Samples {
    /// What the samples are. Until that is known, nobody may take the lack of it for the lack of samples.
    pub(crate) fn catalog(&self) -> Result<Arc<Catalog>, Problem> {
        match &self.catalog {
            Some(catalog) => Ok(Arc::clone(catalog)),
            None if self.fault.is_empty() => Err(Problem::Reading),
            None => Err(Problem::failed(&self.fault)),
        }
    }
}

/// The index that the keeper keeps up; where it can keep none, one of this shelf's own.
fn open_index(dir: &Path) -> Result<Index, Problem> {
    // Made where there is none: views show how it grows, and nobody waits for all of a long journal.
    let index = match Index::open(dir, Mode::Write) {
        Ok(_) => Index::open(dir, Mode::Read),
        Err(_) => Index::open(dir, Mode::Read).or_else(|_| {
            let mut index = Index::open(dir, Mode::Temporary)?;
            index.catch_up(&mut |_| {})?;
            Ok(index)
        }),
    };
    index.map_err(Problem::failed)
}

/// The shelves of one data directory.
#[derive(Debug)]
pub(crate) struct Shelves {
    dir: PathBuf,
    idle: Mutex<Vec<Shelf>>,
    samples: RwLock<Samples>,
    geo: Arc<Geo>,
    readers: Semaphore,
}

impl Shelves {
    /// Of the data directory `dir`. One is opened at once, so that what is wrong is told at the start.
    pub(crate) fn open(dir: &Path) -> Result<Self, ConsoleError> {
        let first = Shelf::open(dir).map_err(|problem| ConsoleError::Closed(problem.to_string()))?;
        Ok(Self {
            dir: dir.to_owned(),
            idle: Mutex::new(vec![first]),
            samples: RwLock::default(),
            geo: Arc::default(),
            readers: Semaphore::new(READERS_MAX),
        })
    }

    /// Replaces the catalog that views see from now on; the samples take `bytes` on disk.
    pub(crate) fn put_catalog(&self, catalog: &Arc<Catalog>, bytes: u64) {
        let samples = Samples { catalog: Some(Arc::clone(catalog)), bytes, fault: String::new() };
        *self.samples.write().unwrap_or_else(PoisonError::into_inner) = samples;
    }

    /// Says why there is no catalog; where there is an earlier one, it stays.
    pub(crate) fn put_fault(&self, fault: String) {
        self.samples.write().unwrap_or_else(PoisonError::into_inner).fault = fault;
    }

    /// Where addresses are.
    pub(crate) fn geo(&self) -> &Geo {
        &self.geo
    }

    /// With the databases of places at `path`: a file, or a directory of them.
    pub(crate) fn with_geo(self, path: Option<PathBuf>) -> Self {
        Self { geo: Arc::new(Geo::new(path)), ..self }
    }

    /// Lets `read` read from a shelf, in a thread where it may block.
    pub(crate) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&mut Shelf) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let _turn = self.readers.acquire().await.map_err(Problem::failed)?;
        let shelves = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            let mut shelf = shelves.take()?;
            let found = read(&mut shelf);
            // A shelf whose reading failed may have been left by its files; the next one is opened anew.
            if !matches!(found, Err(Problem::Failed(_))) {
                shelves.idle.lock().unwrap_or_else(PoisonError::into_inner).push(shelf);
            }
            found
        })
        .await
        .map_err(Problem::failed)?
    }

    fn take(&self) -> Result<Shelf, Problem> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let idle = idle.filter(Shelf::is_in_place);
        let mut shelf = idle.map_or_else(|| Shelf::open(&self.dir), Ok)?;
        shelf.samples = self.samples.read().unwrap_or_else(PoisonError::into_inner).clone();
        shelf.geo = Arc::clone(&self.geo);
        Ok(shelf)
    }
}
