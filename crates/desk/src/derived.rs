//! The file of a view that is made from the journal: how it is opened, owned, replaced and found to be damaged.
//!
//! A view (`incident`, `index`) says which tables it has and of which version; everything else that such a file
//! needs is here. It may be deleted at any time, also under those who have it open.

use roridula_evidence::{EventFilter, Reader, StoreError};
use roridula_proto::time::WallClock;
use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension, Params, Row, Transaction, TransactionBehavior,
    params,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long one process waits for another that writes.
pub(crate) const BUSY: Duration = Duration::from_secs(60);

/// How far catching up is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Events that are in the view.
    pub done: u64,
    /// Events that are in the journal.
    pub total: u64,
}

/// A view cannot be read or brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum DerivedError {
    /// The journal could not be read.
    #[error(transparent)]
    Journal(#[from] StoreError),
    /// A directory could not be made.
    #[error("cannot create {path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The view's database refused.
    #[error("{path}: {source}")]
    Database {
        /// Its file.
        path: PathBuf,
        /// What it said.
        source: rusqlite::Error,
    },
    /// A row of the view is none that this build writes.
    #[error("{path}: {what}")]
    Damaged {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The view's file is there and may not be written.
    #[error("{path}: not yours to write")]
    ReadOnly {
        /// Its file.
        path: PathBuf,
    },
    /// Whoever only reads the view found none of this build's.
    #[error("{path}: not made yet")]
    Missing {
        /// Its file.
        path: PathBuf,
    },
    /// What was given as a cursor is none that a page was left with.
    #[error("no such cursor")]
    Cursor,
}

impl DerivedError {
    /// What the database at `path` said.
    pub(crate) fn database(path: &Path) -> impl Fn(rusqlite::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Database { path: path.clone(), source }
    }

    /// Whether the file is no view of this build's: it is made again then.
    pub(crate) fn is_damage(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase, Unknown};
        match self {
            Self::Damaged { .. } => true,
            // Unknown: no such table or column.
            Self::Database { source, .. } => {
                matches!(source.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase | Unknown))
                    || matches!(source, rusqlite::Error::InvalidColumnType(..))
            }
            Self::Journal(_)
            | Self::Io { .. }
            | Self::ReadOnly { .. }
            | Self::Missing { .. }
            | Self::Cursor => false,
        }
    }

    /// Whether somebody else could write the view.
    pub(crate) fn is_forbidden(&self) -> bool {
        use rusqlite::ErrorCode::{CannotOpen, PermissionDenied, ReadOnly};
        match self {
            Self::ReadOnly { .. } => true,
            Self::Io { source, .. } => matches!(
                source.kind(),
                std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem
            ),
            Self::Database { source, .. } => {
                matches!(source.sqlite_error_code(), Some(CannotOpen | PermissionDenied | ReadOnly))
            }
            Self::Journal(_) | Self::Damaged { .. } | Self::Missing { .. } | Self::Cursor => false,
        }
    }
}

/// What a view's file is made of.
#[derive(Debug)]
pub(crate) struct Layout {
    /// The file's name in `DIR/desk`.
    pub(crate) file: &'static str,
    /// Which layout, and which meaning of what is in it, this build writes; any other is made again.
    pub(crate) version: i64,
    /// `CREATE TABLE …`; one of them is `meta (key, value)`.
    pub(crate) tables: &'static str,
    /// The names of the tables, `meta` too.
    pub(crate) names: &'static [&'static str],
    /// Kibibytes of the file that are kept in memory.
    pub(crate) cache_kib: u32,
}

/// The open file.
#[derive(Debug)]
pub(crate) struct Derived {
    layout: &'static Layout,
    /// Empty for one that ends with the process.
    path: PathBuf,
    /// Which file it has open.
    identity: Option<Identity>,
    pub(crate) db: Connection,
}

impl Derived {
    /// Opens the view of the data directory `dir`, making it where there is none, or where what is there is damaged.
    pub(crate) fn open(dir: &Path, layout: &'static Layout) -> Result<Self, DerivedError> {
        let desk = dir.join("desk");
        fs::create_dir_all(&desk).map_err(|source| DerivedError::Io { path: desk.clone(), source })?;
        let path = desk.join(layout.file);
        let opened = Self::open_file(&path, layout).or_else(|error| match error.is_damage() {
            true => {
                remove(&path);
                Self::open_file(&path, layout)
            }
            false => Err(error),
        })?;
        opened.belong_to_owner_of(dir, &desk);
        Ok(opened)
    }

    /// One that is not kept; SQLite gives it a file without a name when it grows.
    pub(crate) fn temporary(layout: &'static Layout) -> Result<Self, DerivedError> {
        let db = Connection::open("").map_err(DerivedError::database(Path::new("")))?;
        Self { layout, path: PathBuf::new(), identity: None, db }.ready()
    }

    /// The view of `dir` as it is, to look at; [`DerivedError::Missing`] where there is none of this build's.
    pub(crate) fn open_to_read(dir: &Path, layout: &'static Layout) -> Result<Self, DerivedError> {
        let path = dir.join("desk").join(layout.file);
        let missing = || DerivedError::Missing { path: path.clone() };
        identity(&path).ok_or_else(missing)?;
        let fail = DerivedError::database(&path);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let (db, identity) = open_as(&path, flags).map_err(&fail)?;
        db.busy_timeout(Duration::from_secs(5)).map_err(&fail)?;
        let opened = Self { layout, path: path.clone(), identity, db };
        opened.size_cache()?;
        match opened.version() {
            Ok(version) if version == layout.version => Ok(opened),
            Ok(_) => Err(missing()),
            Err(error) if error.is_damage() => Err(missing()),
            Err(error) => Err(error),
        }
    }

    fn open_file(path: &Path, layout: &'static Layout) -> Result<Self, DerivedError> {
        let fail = DerivedError::database(path);
        make_room(path);
        let (db, identity) = open_as(path, OpenFlags::default()).map_err(&fail)?;
        db.busy_timeout(BUSY).map_err(&fail)?;
        if db.is_readonly("main").map_err(&fail)? {
            return Err(DerivedError::ReadOnly { path: path.to_owned() });
        }
        write_ahead(&db).and_then(|()| db.execute_batch("PRAGMA temp_store = MEMORY;")).map_err(&fail)?;
        Self { layout, path: path.to_owned(), identity, db }.ready()
    }

    /// With this build's tables in it.
    fn ready(self) -> Result<Self, DerivedError> {
        self.size_cache()?;
        if self.version()? != self.layout.version {
            let transaction = self.begin()?;
            // Another process may have been faster.
            if self.version()? != self.layout.version {
                self.make_tables()?;
            }
            transaction.commit().map_err(self.fail())?;
        }
        Ok(self)
    }

    fn size_cache(&self) -> Result<(), DerivedError> {
        self.db.set_prepared_statement_cache_capacity(64);
        self.db.pragma_update(None, "cache_size", -i64::from(self.layout.cache_kib)).map_err(self.fail())
    }

    fn version(&self) -> Result<i64, DerivedError> {
        self.db.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(self.fail())
    }

    /// Empties it; in a transaction of the caller's.
    pub(crate) fn make_tables(&self) -> Result<(), DerivedError> {
        let Layout { names, tables, version, .. } = self.layout;
        let drop: String = names.iter().map(|name| format!("DROP TABLE IF EXISTS {name};")).collect();
        let sql = format!("{drop} {tables} PRAGMA user_version = {version};");
        self.db.execute_batch(&sql).map_err(self.fail())
    }

    /// Takes the damaged file away and begins a new one.
    pub(crate) fn begin_anew(&mut self, dir: &Path) -> Result<(), DerivedError> {
        if self.path.as_os_str().is_empty() {
            *self = Self::temporary(self.layout)?;
        } else {
            remove(&self.path);
            *self = Self::open(dir, self.layout)?;
        }
        Ok(())
    }

    /// Whether the file at its path is still this one.
    pub(crate) fn is_in_place(&self) -> bool {
        self.path.as_os_str().is_empty() || identity(&self.path) == self.identity
    }

    /// A file made by root belongs to whoever runs the honeypot, who could not go on with it otherwise.
    fn belong_to_owner_of(&self, dir: &Path, desk: &Path) {
        let Ok(owner) = fs::metadata(dir) else { return };
        for path in [desk, &self.path] {
            if fs::metadata(path).is_ok_and(|meta| meta.uid() != owner.uid()) {
                let _ = chown(path, Some(owner.uid()), Some(owner.gid()));
            }
        }
    }

    /// A transaction that no other process can come into.
    pub(crate) fn begin(&self) -> Result<Transaction<'_>, DerivedError> {
        Transaction::new_unchecked(&self.db, TransactionBehavior::Immediate).map_err(self.fail())
    }

    /// What it said when it refused.
    pub(crate) fn fail(&self) -> impl Fn(rusqlite::Error) -> DerivedError + use<> {
        DerivedError::database(&self.path)
    }

    /// A number that is kept under `key`.
    pub(crate) fn meta(&self, key: &str) -> Result<Option<u64>, DerivedError> {
        let sql = "SELECT value FROM meta WHERE key = ?";
        let mut statement = self.db.prepare_cached(sql).map_err(self.fail())?;
        statement.query_row([key], |row| row.get(0).map(to_u64)).optional().map_err(self.fail())
    }

    pub(crate) fn put_meta(&self, key: &str, value: u64) -> Result<(), DerivedError> {
        self.run("INSERT OR REPLACE INTO meta VALUES (?, ?)", params![key, to_sql(value)])
    }

    pub(crate) fn run(&self, sql: &str, params: impl Params) -> Result<(), DerivedError> {
        let mut statement = self.db.prepare_cached(sql).map_err(self.fail())?;
        statement.execute(params).map(drop).map_err(self.fail())
    }

    pub(crate) fn rows<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, DerivedError> {
        let mut statement = self.db.prepare_cached(sql).map_err(self.fail())?;
        let rows = statement.query_map(params, read).map_err(self.fail())?;
        rows.collect::<rusqlite::Result<_>>().map_err(self.fail())
    }

    pub(crate) fn written(&self, value: &impl Serialize) -> Result<String, DerivedError> {
        serde_json::to_string(value).map_err(|error| self.damaged(error.to_string()))
    }

    pub(crate) fn parsed<T: DeserializeOwned>(&self, text: &str) -> Result<T, DerivedError> {
        serde_json::from_str(text).map_err(|error| self.damaged(error.to_string()))
    }

    pub(crate) fn damaged(&self, what: String) -> DerivedError {
        DerivedError::Damaged { path: self.path.clone(), what }
    }
}

/// Makes a connection write ahead. Losing the latest of it in a power cut is little: it is made again.
pub(crate) fn write_ahead(db: &Connection) -> rusqlite::Result<()> {
    let until = Instant::now() + BUSY;
    // Of several who switch a new file at the same time, SQLite refuses some at once, however patient they are.
    while let Err(error) = db.execute_batch("PRAGMA journal_mode = WAL;") {
        if error.sqlite_error_code() != Some(ErrorCode::DatabaseBusy) || Instant::now() >= until {
            return Err(error);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    db.execute_batch("PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 1048576;")
}

/// Device and inode of a file: another one at the same path has others.
pub(crate) type Identity = (u64, u64);

/// Opens the file at `path`, and says which one that is, so that it is noticed when another one takes its place.
pub(crate) fn open_as(path: &Path, flags: OpenFlags) -> rusqlite::Result<(Connection, Option<Identity>)> {
    loop {
        let before = identity(path);
        let db = Connection::open_with_flags(path, flags)?;
        // Whoever replaces it in between: nobody knows which of the two was opened.
        if before.is_none() || before == identity(path) {
            return Ok((db, before.or_else(|| identity(path))));
        }
    }
}

/// Makes an empty file where there is none, without the log of one that somebody took away: whoever has that open still
/// has its log's index mapped, and would lead all who open the new file astray.
pub(crate) fn make_room(path: &Path) {
    if path.exists() {
        return;
    }
    let _held = held(path);
    if !path.exists() {
        remove_beside(path);
        // What cannot be made is found when it is opened.
        let _ = fs::OpenOptions::new().append(true).create_new(true).open(path);
    }
}

fn remove(path: &Path) {
    let _held = held(path);
    // What cannot be removed is found when it is opened again.
    let _ = fs::remove_file(path);
    remove_beside(path);
}

fn remove_beside(path: &Path) {
    for end in ["-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        let _ = fs::remove_file(name);
    }
}

/// The folder of a file, which nobody else begins or removes files in while this is held; not everywhere can it be.
fn held(path: &Path) -> Option<fs::File> {
    let folder = fs::File::open(path.parent()?).ok()?;
    folder.lock().ok().map(|()| folder)
}

/// Which file is at `path`.
pub(crate) fn identity(path: &Path) -> Option<Identity> {
    fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

// SQLite's integers are signed; ours are all far from the edge.
/// A view that goes through the journal a batch at a time.
pub(crate) trait Follows {
    /// Takes in at most `batch` events; `None` where there was nothing to do.
    fn follow(&mut self, batch: usize) -> Result<Option<Progress>, DerivedError>;

    /// Takes a damaged file away and begins a new one.
    fn anew(&mut self) -> Result<(), DerivedError>;

    /// Takes in all that the journal has more, and tells `progress` after each batch. What is damaged is made again, once.
    fn follow_all(&mut self, batch: usize, progress: &mut dyn FnMut(Progress)) -> Result<(), DerivedError> {
        let mut repaired = false;
        loop {
            match self.follow(batch) {
                Ok(Some(now)) if now.done < now.total => progress(now),
                Ok(now) => {
                    now.into_iter().for_each(progress);
                    return Ok(());
                }
                Err(error) if error.is_damage() && !repaired => {
                    repaired = true;
                    self.anew()?;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// When the first event of a journal happened: another journal in the same place begins at another time.
pub(crate) fn journal_begins(reader: &Reader) -> Result<WallClock, DerivedError> {
    let page = reader.events(0, &EventFilter::default(), 1)?;
    Ok(page.events.first().map_or(WallClock(0), |event| event.time))
}

pub(crate) fn to_u64(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

pub(crate) fn to_sql(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
