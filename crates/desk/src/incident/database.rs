//! The view's file, `DIR/desk/incidents.sqlite`: rows in and out, nothing decided here.
//!
//! An incident is one row with all that is known of it; its connections are rows that are written once. The cursor
//! stands in the same transaction as what it stands for.

use super::fold::ATTACKERS_MAX;
use super::id::IncidentId;
use super::record::Record;
use super::stage::Role;
use super::visit::Visit;
use super::{Filter, IncidentError, IncidentSettings};
use roridula_proto::connection::ConnectionId;
use roridula_proto::event::Layer;
use roridula_proto::time::WallClock;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Which layout, and which meaning of what is in it, this build writes; any other is made again.
const VERSION: i64 = 1;

const TABLES: &str = "
-- cursor: the seq of the last event that is in the view. journal: when that journal's first event happened, in
-- microseconds since 1970. window_secs, connections_max: the settings that the view was made with.
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
-- id: the connection that names it. first, last: microseconds since 1970. tools: ` a b `, for searching.
CREATE TABLE incident (n INTEGER PRIMARY KEY, id INTEGER NOT NULL UNIQUE, source TEXT NOT NULL,
  first INTEGER NOT NULL, last INTEGER NOT NULL, outcome TEXT NOT NULL, tools TEXT NOT NULL, state TEXT NOT NULL);
CREATE INDEX incident_source ON incident (source, last);
CREATE INDEX incident_first ON incident (first);
-- role is null where the incident has more connections than are listed.
CREATE TABLE member (connection INTEGER PRIMARY KEY, incident INTEGER NOT NULL, opened INTEGER, closed INTEGER,
  role TEXT, reason TEXT, fingerprint TEXT, tools TEXT, bytes_in INTEGER, bytes_out INTEGER);
CREATE INDEX member_incident ON member (incident, connection) WHERE role IS NOT NULL;
-- Connections that have no incident yet.
CREATE TABLE visit (connection INTEGER PRIMARY KEY, state TEXT NOT NULL);
CREATE TABLE triage (sha256 TEXT PRIMARY KEY, layers TEXT NOT NULL, error TEXT NOT NULL) WITHOUT ROWID;
";
const NAMES: &[&str] = &["meta", "incident", "member", "visit", "triage"];

/// The open file.
#[derive(Debug)]
pub(super) struct Database {
    /// Empty for one that ends with the process.
    path: PathBuf,
    identity: Option<(u64, u64)>,
    db: Connection,
}

/// A connection of an incident.
#[derive(Clone, Debug)]
pub(super) struct MemberRow {
    pub(super) incident: i64,
    pub(super) opened: WallClock,
    pub(super) closed: WallClock,
    /// `None`: not listed.
    pub(super) role: Option<Role>,
    pub(super) reason: String,
    pub(super) fingerprint: String,
    pub(super) tools: Vec<String>,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
}

impl MemberRow {
    pub(super) fn new(incident: i64, visit: &Visit, listed: bool) -> Self {
        let ending = visit.ending.as_ref();
        Self {
            incident,
            opened: visit.opened,
            closed: ending.map_or(visit.until(), |ending| ending.time),
            role: listed.then(|| visit.role()),
            reason: ending.map_or(String::new(), |ending| ending.reason.to_string()),
            fingerprint: visit.fingerprint.clone(),
            tools: visit.tools.clone(),
            bytes_in: ending.map_or(0, |ending| ending.bytes_in),
            bytes_out: ending.map_or(0, |ending| ending.bytes_out),
        }
    }
}

impl Database {
    /// Opens the view of the data directory `dir`, making it where there is none, or where what is there is damaged.
    pub(super) fn open(dir: &Path) -> Result<Self, IncidentError> {
        let desk = dir.join("desk");
        fs::create_dir_all(&desk).map_err(|source| IncidentError::Io { path: desk.clone(), source })?;
        let path = desk.join("incidents.sqlite");
        let opened = Self::open_file(&path).or_else(|error| match error.is_damage() {
            true => {
                Self::remove(&path);
                Self::open_file(&path)
            }
            false => Err(error),
        })?;
        opened.belong_to_owner_of(dir, &desk);
        Ok(opened)
    }

    /// One that is not kept; SQLite gives it a file without a name when it grows.
    pub(super) fn temporary() -> Result<Self, IncidentError> {
        let db = Connection::open("").map_err(IncidentError::database(Path::new("")))?;
        Self { path: PathBuf::new(), identity: None, db }.ready()
    }

    /// The settings that the view of `dir` was made with, if there is one that may be read.
    pub(super) fn settings_of(dir: &Path) -> Option<IncidentSettings> {
        let path = dir.join("desk").join("incidents.sqlite");
        let db = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
        Self { path, identity: None, db }.settings().ok()
    }

    fn open_file(path: &Path) -> Result<Self, IncidentError> {
        let fail = IncidentError::database(path);
        let db = Connection::open(path).map_err(&fail)?;
        db.busy_timeout(Duration::from_secs(60)).map_err(&fail)?;
        if db.is_readonly("main").map_err(&fail)? {
            return Err(IncidentError::ReadOnly { path: path.to_owned() });
        }
        // Losing the latest of it in a power cut is nothing: it is made again.
        db.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 1048576;
             PRAGMA cache_size = -8192;",
        )
        .map_err(&fail)?;
        let meta = fs::metadata(path).ok();
        let identity = meta.map(|meta| (meta.dev(), meta.ino()));
        Self { path: path.to_owned(), identity, db }.ready()
    }

    /// With this build's tables in it.
    fn ready(self) -> Result<Self, IncidentError> {
        self.db.set_prepared_statement_cache_capacity(32);
        let version = || self.db.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0));
        if version().map_err(self.fail())? != VERSION {
            let transaction = self.begin()?;
            // Another process may have been faster.
            if version().map_err(self.fail())? != VERSION {
                self.make_tables()?;
            }
            transaction.commit().map_err(self.fail())?;
        }
        Ok(self)
    }

    fn make_tables(&self) -> Result<(), IncidentError> {
        let drop: String = NAMES.iter().map(|name| format!("DROP TABLE IF EXISTS {name};")).collect();
        let sql = format!("{drop} {TABLES} PRAGMA user_version = {VERSION};");
        self.db.execute_batch(&sql).map_err(self.fail())
    }

    /// Empties it: from here on it is made with `settings`, of the journal whose first event happened at `journal`.
    pub(super) fn reset(&self, settings: IncidentSettings, journal: WallClock) -> Result<(), IncidentError> {
        self.make_tables()?;
        self.put_meta("cursor", 0)?;
        self.put_meta("journal", journal.0)?;
        self.put_meta("window_secs", settings.window_secs)?;
        self.put_meta("connections_max", settings.connections_max)
    }

    fn remove(path: &Path) {
        for end in ["", "-wal", "-shm"] {
            let mut name = path.as_os_str().to_owned();
            name.push(end);
            // What cannot be removed is found when it is opened again.
            let _ = fs::remove_file(name);
        }
    }

    /// Takes the damaged file away and begins a new one.
    pub(super) fn begin_anew(&mut self, dir: &Path) -> Result<(), IncidentError> {
        if self.path.as_os_str().is_empty() {
            *self = Self::temporary()?;
        } else {
            Self::remove(&self.path);
            *self = Self::open(dir)?;
        }
        Ok(())
    }

    /// Whether the file at its path is still this one.
    pub(super) fn is_in_place(&self) -> bool {
        let there = fs::metadata(&self.path).ok().map(|meta| (meta.dev(), meta.ino()));
        self.path.as_os_str().is_empty() || there == self.identity
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
    pub(super) fn begin(&self) -> Result<Transaction<'_>, IncidentError> {
        Transaction::new_unchecked(&self.db, TransactionBehavior::Immediate).map_err(self.fail())
    }

    fn fail(&self) -> impl Fn(rusqlite::Error) -> IncidentError + use<> {
        IncidentError::database(&self.path)
    }

    fn meta(&self, key: &str) -> Result<Option<u64>, IncidentError> {
        let sql = "SELECT value FROM meta WHERE key = ?";
        let mut statement = self.db.prepare_cached(sql).map_err(self.fail())?;
        statement.query_row([key], |row| row.get(0).map(to_u64)).optional().map_err(self.fail())
    }

    fn put_meta(&self, key: &str, value: u64) -> Result<(), IncidentError> {
        self.run("INSERT OR REPLACE INTO meta VALUES (?, ?)", params![key, to_sql(value)])
    }

    /// The `seq` of the last event that is in the view.
    pub(super) fn cursor(&self) -> Result<u64, IncidentError> {
        Ok(self.meta("cursor")?.unwrap_or(0))
    }

    pub(super) fn set_cursor(&self, seq: u64) -> Result<(), IncidentError> {
        self.put_meta("cursor", seq)
    }

    /// When the first event of the view's journal happened; `None` in a view that was never filled.
    pub(super) fn journal(&self) -> Result<Option<WallClock>, IncidentError> {
        Ok(self.meta("journal")?.map(WallClock))
    }

    /// The settings that the view was made with.
    pub(super) fn settings(&self) -> Result<IncidentSettings, IncidentError> {
        let default = IncidentSettings::default();
        Ok(IncidentSettings {
            window_secs: self.meta("window_secs")?.unwrap_or(default.window_secs),
            connections_max: self.meta("connections_max")?.unwrap_or(default.connections_max),
        })
    }

    fn run(&self, sql: &str, params: impl rusqlite::Params) -> Result<(), IncidentError> {
        let mut statement = self.db.prepare_cached(sql).map_err(self.fail())?;
        statement.execute(params).map(drop).map_err(self.fail())
    }

    fn rows<T>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, IncidentError> {
        let mut statement = self.db.prepare_cached(sql).map_err(self.fail())?;
        let rows = statement.query_map(params, read).map_err(self.fail())?;
        rows.collect::<rusqlite::Result<_>>().map_err(self.fail())
    }

    fn written(&self, value: &impl Serialize) -> Result<String, IncidentError> {
        serde_json::to_string(value).map_err(|error| self.damaged(error.to_string()))
    }

    fn parsed<T: DeserializeOwned>(&self, text: &str) -> Result<T, IncidentError> {
        serde_json::from_str(text).map_err(|error| self.damaged(error.to_string()))
    }

    fn damaged(&self, what: String) -> IncidentError {
        IncidentError::Damaged { path: self.path.clone(), what }
    }

    pub(super) fn visits(&self) -> Result<Vec<Visit>, IncidentError> {
        let rows = self.rows("SELECT state FROM visit", [], |row| row.get::<_, String>(0))?;
        let read = |text: &String| {
            let mut visit: Visit = self.parsed(text)?;
            visit.stored = true;
            Ok(visit)
        };
        rows.iter().map(read).collect()
    }

    pub(super) fn put_visit(&self, visit: &Visit) -> Result<(), IncidentError> {
        let sql = "INSERT OR REPLACE INTO visit VALUES (?, ?)";
        self.run(sql, params![to_sql(visit.connection), self.written(visit)?])
    }

    pub(super) fn forget_visit(&self, connection: u64) -> Result<(), IncidentError> {
        self.run("DELETE FROM visit WHERE connection = ?", [to_sql(connection)])
    }

    /// The number of the latest incident, 0 where there is none.
    pub(super) fn last_incident(&self) -> Result<i64, IncidentError> {
        let found = self.rows("SELECT ifnull(max(n), 0) FROM incident", [], |row| row.get(0))?;
        Ok(found.first().copied().unwrap_or(0))
    }

    fn records(&self, wanted: &str, params: impl rusqlite::Params) -> Result<Vec<Record>, IncidentError> {
        let sql = format!("SELECT n, state FROM incident {wanted}");
        let rows = self.rows(&sql, params, |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))?;
        let read = |(n, text): &(i64, String)| {
            let mut record: Record = self.parsed(text)?;
            record.n = *n;
            Ok(record)
        };
        rows.iter().map(read).collect()
    }

    pub(super) fn record(&self, n: i64) -> Result<Option<Record>, IncidentError> {
        Ok(self.records("WHERE n = ?", [n])?.pop())
    }

    pub(super) fn record_named(&self, id: u64) -> Result<Option<Record>, IncidentError> {
        Ok(self.records("WHERE id = ?", [to_sql(id)])?.pop())
    }

    /// The latest incidents of a source.
    pub(super) fn latest_of(&self, source: IpAddr) -> Result<Vec<Record>, IncidentError> {
        let wanted = "WHERE source = ? ORDER BY last DESC, n DESC LIMIT ?";
        self.records(wanted, params![source.to_string(), ATTACKERS_MAX as i64])
    }

    /// The names of the newest incidents.
    pub(super) fn ids(&self, limit: usize) -> Result<Vec<IncidentId>, IncidentError> {
        let sql = "SELECT id FROM incident ORDER BY first DESC, n DESC LIMIT ?";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.rows(sql, [limit], |row| row.get(0).map(|id| IncidentId(ConnectionId(to_u64(id)))))
    }

    /// Those that fit, the newest first.
    pub(super) fn find(&self, filter: &Filter) -> Result<Vec<Record>, IncidentError> {
        let wanted = "WHERE (?1 IS NULL OR source = ?1) AND (?2 IS NULL OR outcome = ?2)
            AND (?3 IS NULL OR instr(tools, ?3)) ORDER BY first DESC, n DESC LIMIT ?4";
        let source = filter.source.map(|source| source.to_canonical().to_string());
        let outcome = filter.outcome.map(|outcome| outcome.as_str());
        let tool = filter.tool.as_ref().map(|tool| format!(" {tool} "));
        let limit = filter.limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
        self.records(wanted, params![source, outcome, tool, limit])
    }

    pub(super) fn put_record(&self, record: &Record) -> Result<(), IncidentError> {
        let mut tools: Vec<&str> = record.tools.keys().map(String::as_str).collect();
        let name = record.tool();
        tools.extend(name.as_deref().filter(|name| !record.tools.contains_key(*name)));
        let sql = "INSERT OR REPLACE INTO incident VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
        let values = params![
            record.n,
            to_sql(record.id),
            record.source.to_string(),
            to_sql(record.first.0),
            to_sql(record.last.0),
            record.outcome().as_str(),
            format!(" {} ", tools.join(" ")),
            self.written(record)?,
        ];
        self.run(sql, values)
    }

    pub(super) fn incident_of(&self, connection: u64) -> Result<Option<i64>, IncidentError> {
        let sql = "SELECT incident FROM member WHERE connection = ?";
        Ok(self.rows(sql, [to_sql(connection)], |row| row.get(0))?.pop())
    }

    pub(super) fn put_member(&self, connection: u64, row: &MemberRow) -> Result<(), IncidentError> {
        let sql = "INSERT OR REPLACE INTO member VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let listed = row.role.is_some();
        let values = params![
            to_sql(connection),
            row.incident,
            listed.then(|| to_sql(row.opened.0)),
            listed.then(|| to_sql(row.closed.0)),
            row.role.map(Role::as_str),
            listed.then_some(&row.reason),
            listed.then_some(&row.fingerprint),
            listed.then(|| row.tools.join(" ")),
            listed.then(|| to_sql(row.bytes_in)),
            listed.then(|| to_sql(row.bytes_out)),
        ];
        self.run(sql, values)
    }

    /// The tools that a connection's fingerprint named.
    pub(super) fn tools_of(&self, connection: u64) -> Result<Vec<String>, IncidentError> {
        let sql = "SELECT tools FROM member WHERE connection = ? AND tools IS NOT NULL";
        let found = self.rows(sql, [to_sql(connection)], |row| row.get::<_, String>(0))?.pop();
        Ok(found.unwrap_or_default().split_whitespace().map(str::to_owned).collect())
    }

    /// The listed connections of an incident, in the order of their opening.
    pub(super) fn members(&self, incident: i64) -> Result<Vec<(u64, MemberRow)>, IncidentError> {
        let sql = "SELECT connection, incident, opened, closed, role, reason, fingerprint, tools, bytes_in, bytes_out
            FROM member WHERE incident = ? AND role IS NOT NULL ORDER BY connection";
        self.rows(sql, [incident], |row| {
            let tools: String = row.get(7)?;
            let member = MemberRow {
                incident: row.get(1)?,
                opened: WallClock(to_u64(row.get(2)?)),
                closed: WallClock(to_u64(row.get(3)?)),
                role: Role::from_word(&row.get::<_, String>(4)?),
                reason: row.get(5)?,
                fingerprint: row.get(6)?,
                tools: tools.split_whitespace().map(str::to_owned).collect(),
                bytes_in: to_u64(row.get(8)?),
                bytes_out: to_u64(row.get(9)?),
            };
            Ok((to_u64(row.get(0)?), member))
        })
    }

    pub(super) fn put_triage(
        &self,
        sha256: &str,
        layers: &[Layer],
        error: &str,
    ) -> Result<(), IncidentError> {
        let sql = "INSERT OR REPLACE INTO triage VALUES (?, ?, ?)";
        self.run(sql, params![sha256, self.written(&layers)?, error])
    }

    /// What triage found in a sample, and what went wrong; `None` while it has not looked.
    pub(super) fn triage(&self, sha256: &str) -> Result<Option<(Vec<Layer>, String)>, IncidentError> {
        let sql = "SELECT layers, error FROM triage WHERE sha256 = ?";
        let read = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get(1)?));
        let found = self.rows(sql, [sha256], read)?.pop();
        found.map(|(layers, error)| Ok((self.parsed(&layers)?, error))).transpose()
    }
}

// SQLite's integers are signed; ours are all far from the edge.
fn to_u64(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

fn to_sql(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
