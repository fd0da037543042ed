//! The journal's tables, and how they are opened.
//!
//! Made small on purpose: a worm comes back thousands of times with the same bytes, and all that is new then is
//! who, when, and a few numbers. So an event row is (place, connection, time since accept, body, numbers);
//! bodies are kept once; attribution is kept once a connection; there is next to no secondary index.

use crate::StoreError;
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Which layout this build writes and reads.
const VERSION: i64 = 1;

const TABLES: &str = "
-- What outlives a restart: the implant's generation; the connection up to which all have ended.
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
-- From which event on the sensor had which name.
CREATE TABLE era (seq INTEGER PRIMARY KEY, sensor TEXT NOT NULL);
-- Addresses of ours: 4 or 16 bytes and a big-endian port.
CREATE TABLE endpoint (n INTEGER PRIMARY KEY, address BLOB NOT NULL UNIQUE);
-- at: microseconds since 1970. source: as endpoint.address. first: its first event.
CREATE TABLE connection (n INTEGER PRIMARY KEY, id INTEGER NOT NULL UNIQUE, at INTEGER NOT NULL,
  source BLOB NOT NULL, endpoint INTEGER NOT NULL, first INTEGER NOT NULL);
-- closed: its connection.closed. last: its last event. transcript: zstd, with dictionary `dictionary` (0: none);
-- whole: whether all of the connection is in it.
CREATE TABLE ending (conn INTEGER PRIMARY KEY, closed INTEGER NOT NULL, last INTEGER NOT NULL,
  events INTEGER NOT NULL, whole INTEGER, dictionary INTEGER, transcript BLOB);
-- text: the event as JSON; numbers: the names of the fields whose values are in event.args, in order.
CREATE TABLE body (n INTEGER PRIMARY KEY, hash INTEGER NOT NULL, text TEXT NOT NULL, numbers TEXT);
CREATE INDEX body_hash ON body (hash);
-- time: microseconds since connection.at, or since 1970 where conn is null. args: LEB128.
CREATE TABLE event (seq INTEGER PRIMARY KEY, conn INTEGER, time INTEGER NOT NULL, body INTEGER NOT NULL, args BLOB);
-- Events about a visitor who never became a connection.
CREATE TABLE door (seq INTEGER PRIMARY KEY, source BLOB NOT NULL, endpoint INTEGER NOT NULL);
CREATE TABLE sample (n INTEGER PRIMARY KEY, sha256 BLOB NOT NULL UNIQUE, md5 BLOB NOT NULL, sha1 BLOB NOT NULL,
  size INTEGER NOT NULL);
-- seq: its sample.captured. ranges: LEB128 pairs (gap, length), null for one from 0. total: null where it is
-- the sample's size, or none was announced (flag 2). flags: 1 recovered.
CREATE TABLE capture (seq INTEGER PRIMARY KEY, sample INTEGER NOT NULL, conn INTEGER NOT NULL,
  upload INTEGER NOT NULL, origin INTEGER NOT NULL, state INTEGER NOT NULL, total INTEGER, ranges BLOB,
  flags INTEGER NOT NULL);
CREATE INDEX capture_sample ON capture (sample);
-- seq: the latest sample.triaged of the sample.
CREATE TABLE report (sample INTEGER PRIMARY KEY, seq INTEGER NOT NULL);
-- What a source has done to us; times in microseconds since 1970, 0 for never.
CREATE TABLE source_state (address BLOB PRIMARY KEY, dormant_until INTEGER NOT NULL, exploited_until INTEGER NOT NULL)
  WITHOUT ROWID;
";

/// Where the journal of `dir` is.
pub(crate) fn path(dir: &Path) -> PathBuf {
    dir.join("journal.sqlite")
}

/// Opens the journal for writing, making it where there is none.
pub(crate) fn open_to_write(dir: &Path) -> Result<Connection, StoreError> {
    let path = path(dir);
    let fail = StoreError::journal(&path);
    let db = Connection::open(&path).map_err(&fail)?;
    // WAL: readers see the last commit and never wait for the writer, nor it for them. NORMAL: a commit of
    // plain events survives a kill -9 but not a power cut; the writer asks for more where a sample is told.
    // The WAL is cut back after a checkpoint, so that it does not keep the size of the worst minute.
    db.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 1000;
         PRAGMA journal_size_limit = 1048576; PRAGMA cache_size = -8192; PRAGMA temp_store = MEMORY;",
    )
    .map_err(&fail)?;
    db.busy_timeout(Duration::from_secs(5)).map_err(&fail)?;
    let found = version(&db).map_err(&fail)?;
    match found {
        0 => db
            .execute_batch(&format!("BEGIN; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;"))
            .map_err(&fail)?,
        VERSION => {}
        found => return Err(StoreError::Newer { path, found, known: VERSION }),
    }
    db.set_prepared_statement_cache_capacity(64);
    Ok(db)
}

/// Opens the journal to look at it.
pub(crate) fn open_to_read(dir: &Path) -> Result<Connection, StoreError> {
    let path = path(dir);
    if !path.exists() {
        return Err(StoreError::Missing { path: dir.to_owned() });
    }
    let fail = StoreError::journal(&path);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(&path, flags).map_err(&fail)?;
    db.busy_timeout(Duration::from_secs(5)).map_err(&fail)?;
    match version(&db).map_err(&fail)? {
        VERSION => {}
        // A honeypot that is just making it.
        0 => return Err(StoreError::Missing { path: dir.to_owned() }),
        found => return Err(StoreError::Newer { path, found, known: VERSION }),
    }
    db.set_prepared_statement_cache_capacity(32);
    Ok(db)
}

fn version(db: &Connection) -> rusqlite::Result<i64> {
    db.query_row("PRAGMA user_version", [], |row| row.get(0))
}
