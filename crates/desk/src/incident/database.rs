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
use crate::derived::{Derived, Layout, to_sql, to_u64};
use roridula_proto::connection::ConnectionId;
use roridula_proto::event::Layer;
use roridula_proto::time::WallClock;
use rusqlite::{Row, Transaction, params};
use std::net::IpAddr;
use std::path::Path;

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
static LAYOUT: Layout = Layout {
    file: "incidents.sqlite",
    version: 1,
    tables: TABLES,
    names: &["meta", "incident", "member", "visit", "triage"],
    cache_kib: 8192,
};

/// The open file.
#[derive(Debug)]
pub(super) struct Database {
    file: Derived,
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
        Ok(Self { file: Derived::open(dir, &LAYOUT)? })
    }

    /// One that is not kept.
    pub(super) fn temporary() -> Result<Self, IncidentError> {
        Ok(Self { file: Derived::temporary(&LAYOUT)? })
    }

    /// The view of `dir` as others keep it up.
    pub(super) fn open_to_read(dir: &Path) -> Result<Self, IncidentError> {
        Ok(Self { file: Derived::open_to_read(dir, &LAYOUT)? })
    }

    /// Empties it: from here on it is made with `settings`, of the journal whose first event happened at `journal`.
    pub(super) fn reset(&self, settings: IncidentSettings, journal: WallClock) -> Result<(), IncidentError> {
        self.file.make_tables()?;
        self.file.put_meta("cursor", 0)?;
        self.file.put_meta("journal", journal.0)?;
        self.file.put_meta("window_secs", settings.window_secs)?;
        self.file.put_meta("connections_max", settings.connections_max)
    }

    /// Takes the damaged file away and begins a new one.
    pub(super) fn begin_anew(&mut self, dir: &Path) -> Result<(), IncidentError> {
        self.file.begin_anew(dir)
    }

    /// Whether the file at its path is still this one.
    pub(super) fn is_in_place(&self) -> bool {
        self.file.is_in_place()
    }

    /// A transaction that no other process can come into.
    pub(super) fn begin(&self) -> Result<Transaction<'_>, IncidentError> {
        self.file.begin()
    }

    /// The `seq` of the last event that is in the view.
    pub(super) fn cursor(&self) -> Result<u64, IncidentError> {
        Ok(self.file.meta("cursor")?.unwrap_or(0))
    }

    pub(super) fn set_cursor(&self, seq: u64) -> Result<(), IncidentError> {
        self.file.put_meta("cursor", seq)
    }

    /// When the first event of the view's journal happened; `None` in a view that was never filled.
    pub(super) fn journal(&self) -> Result<Option<WallClock>, IncidentError> {
        Ok(self.file.meta("journal")?.map(WallClock))
    }

    /// The settings that the view was made with.
    pub(super) fn settings(&self) -> Result<IncidentSettings, IncidentError> {
        let default = IncidentSettings::default();
        Ok(IncidentSettings {
            window_secs: self.file.meta("window_secs")?.unwrap_or(default.window_secs),
            connections_max: self.file.meta("connections_max")?.unwrap_or(default.connections_max),
        })
    }

    pub(super) fn visits(&self) -> Result<Vec<Visit>, IncidentError> {
        let rows = self.file.rows("SELECT state FROM visit", [], |row| row.get::<_, String>(0))?;
        let read = |text: &String| {
            let mut visit: Visit = self.file.parsed(text)?;
            visit.stored = true;
            Ok(visit)
        };
        rows.iter().map(read).collect()
    }

    pub(super) fn put_visit(&self, visit: &Visit) -> Result<(), IncidentError> {
        let sql = "INSERT OR REPLACE INTO visit VALUES (?, ?)";
        self.file.run(sql, params![to_sql(visit.connection), self.file.written(visit)?])
    }

    pub(super) fn forget_visit(&self, connection: u64) -> Result<(), IncidentError> {
        self.file.run("DELETE FROM visit WHERE connection = ?", [to_sql(connection)])
    }

    /// The number of the latest incident, 0 where there is none.
    pub(super) fn last_incident(&self) -> Result<i64, IncidentError> {
        let found = self.file.rows("SELECT ifnull(max(n), 0) FROM incident", [], |row| row.get(0))?;
        Ok(found.first().copied().unwrap_or(0))
    }

    fn records(&self, wanted: &str, params: impl rusqlite::Params) -> Result<Vec<Record>, IncidentError> {
        let sql = format!("SELECT n, state FROM incident {wanted}");
        let rows = self.file.rows(&sql, params, |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))?;
        let read = |(n, text): &(i64, String)| {
            let mut record: Record = self.file.parsed(text)?;
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
        self.file.rows(sql, [limit], |row| row.get(0).map(|id| IncidentId(ConnectionId(to_u64(id)))))
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
            self.file.written(record)?,
        ];
        self.file.run(sql, values)
    }

    pub(super) fn incident_of(&self, connection: u64) -> Result<Option<i64>, IncidentError> {
        let sql = "SELECT incident FROM member WHERE connection = ?";
        Ok(self.file.rows(sql, [to_sql(connection)], |row| row.get(0))?.pop())
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
        self.file.run(sql, values)
    }

    /// The tools that a connection's fingerprint named.
    pub(super) fn tools_of(&self, connection: u64) -> Result<Vec<String>, IncidentError> {
        let sql = "SELECT tools FROM member WHERE connection = ? AND tools IS NOT NULL";
        let found = self.file.rows(sql, [to_sql(connection)], |row| row.get::<_, String>(0))?.pop();
        Ok(found.unwrap_or_default().split_whitespace().map(str::to_owned).collect())
    }

    /// The listed connections of an incident, in the order of their opening.
    pub(super) fn members(&self, incident: i64) -> Result<Vec<(u64, MemberRow)>, IncidentError> {
        let sql = "SELECT connection, incident, opened, closed, role, reason, fingerprint, tools, bytes_in, bytes_out
            FROM member WHERE incident = ? AND role IS NOT NULL ORDER BY connection";
        self.file.rows(sql, [incident], |row| {
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
        self.file.run(sql, params![sha256, self.file.written(&layers)?, error])
    }

    /// What triage found in a sample, and what went wrong; `None` while it has not looked.
    pub(super) fn triage(&self, sha256: &str) -> Result<Option<(Vec<Layer>, String)>, IncidentError> {
        let sql = "SELECT layers, error FROM triage WHERE sha256 = ?";
        let read = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get(1)?));
        let found = self.file.rows(sql, [sha256], read)?.pop();
        found.map(|(layers, error)| Ok((self.file.parsed(&layers)?, error))).transpose()
    }
}
