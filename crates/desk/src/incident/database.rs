//! The view's file, `DIR/desk/incidents.sqlite`: rows in and out, nothing decided here.
//!
//! An incident is one row with all that is known of it; its connections are rows that are written once. The cursor
//! stands in the same transaction as what it stands for.

use super::fold::ATTACKERS_MAX;
use super::id::IncidentId;
use super::record::Record;
use super::stage::{Role, Stage};
use super::visit::Visit;
use super::{Filter, IncidentError, IncidentSettings, attack, sentence, tool};
use crate::derived::{Derived, Layout, to_sql, to_u64};
use crate::index::{Cursor, Span, Step, address_bytes};
use roridula_proto::connection::ConnectionId;
use roridula_proto::event::Layer;
use roridula_proto::time::WallClock;
use rusqlite::types::Value;
use rusqlite::{Row, Transaction, params, params_from_iter};
use std::net::IpAddr;
use std::path::Path;

const TABLES: &str = "
-- cursor: the seq of the last event that is in the view. journal: when that journal's first event happened, in
-- microseconds since 1970. window_secs, connections_max: the settings that the view was made with.
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
-- What incidents are found by. id: the connection that names it. ip: 16 bytes, IPv4 as mapped, so that a network is a
-- range. first, last: microseconds since 1970. tools, techniques: ` a b `, for searching. stages: bit n for the stage n;
-- steps: for the step n of the funnel.
-- said: the sentence and the tool's name in lower case.
CREATE TABLE incident (n INTEGER PRIMARY KEY, id INTEGER NOT NULL UNIQUE, source TEXT NOT NULL, ip BLOB NOT NULL,
  first INTEGER NOT NULL, last INTEGER NOT NULL, outcome TEXT NOT NULL, stages INTEGER NOT NULL, steps INTEGER NOT NULL,
  tools TEXT NOT NULL, techniques TEXT NOT NULL, said TEXT NOT NULL);
CREATE INDEX incident_source ON incident (source, last);
CREATE INDEX incident_last ON incident (last);
-- All that is known of it: large, and read for those only that are shown.
CREATE TABLE record (n INTEGER PRIMARY KEY, state TEXT NOT NULL);
CREATE TABLE incident_sample (sha256 TEXT, incident INTEGER, PRIMARY KEY (sha256, incident)) WITHOUT ROWID;
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
    version: 5,
    tables: TABLES,
    names: &["meta", "incident", "record", "incident_sample", "member", "visit", "triage"],
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
        let sql = format!("SELECT n, state FROM incident JOIN record USING (n) {wanted}");
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

    /// At most `limit` incidents whose names lie between these, the latest first.
    pub(super) fn records_named(
        &self,
        least: u64,
        most: u64,
        limit: i64,
    ) -> Result<Vec<Record>, IncidentError> {
        self.records(
            "WHERE id BETWEEN ? AND ? ORDER BY id DESC LIMIT ?",
            [to_sql(least), to_sql(most), limit],
        )
    }

    /// The latest incidents of a source.
    pub(super) fn latest_of(&self, source: IpAddr) -> Result<Vec<Record>, IncidentError> {
        let wanted = "WHERE source = ? ORDER BY last DESC, n DESC LIMIT ?";
        self.records(wanted, params![source.to_string(), ATTACKERS_MAX as i64])
    }

    /// The names of the incidents that something happened in last.
    pub(super) fn ids(&self, limit: usize) -> Result<Vec<IncidentId>, IncidentError> {
        let sql = "SELECT id FROM incident ORDER BY last DESC, n DESC LIMIT ?";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.file.rows(sql, [limit], |row| row.get(0).map(|id| IncidentId(ConnectionId(to_u64(id)))))
    }

    /// At most `limit` of those that fit and come after `cursor`, those first in which something happened last; with where each
    /// stands.
    pub(super) fn find(
        &self,
        filter: &Filter,
        cursor: Cursor,
        limit: i64,
    ) -> Result<Vec<(Cursor, Record)>, IncidentError> {
        let (wanted, mut values) = wanted(filter);
        let sql = format!(
            "SELECT n, last, state FROM incident JOIN record USING (n) WHERE {wanted} AND (last, n) < (?, ?)
            ORDER BY last DESC, n DESC LIMIT ?"
        );
        values.extend([cursor.0, cursor.1, limit].map(Value::from));
        let rows = self.file.rows(&sql, params_from_iter(values), |row| {
            Ok((Cursor(row.get(1)?, row.get(0)?), row.get::<_, String>(2)?))
        })?;
        let read = |(cursor, text): &(Cursor, String)| {
            let mut record: Record = self.file.parsed(text)?;
            record.n = cursor.1;
            Ok((*cursor, record))
        };
        rows.iter().map(read).collect()
    }

    /// How many fit.
    pub(super) fn count(&self, filter: &Filter) -> Result<u64, IncidentError> {
        let (wanted, values) = wanted(filter);
        let sql = format!("SELECT count(*) FROM incident WHERE {wanted}");
        let found = self.file.rows(&sql, params_from_iter(values), |row| row.get(0))?;
        Ok(found.first().copied().map_or(0, to_u64))
    }

    /// How many of those that fit took each step.
    pub(super) fn funnel(&self, filter: &Filter) -> Result<[u64; Step::ALL.len()], IncidentError> {
        let (wanted, values) = wanted(filter);
        let sums = Step::ALL.map(|step| format!("count(nullif(steps & {}, 0))", step.bit())).join(", ");
        let sql = format!("SELECT {sums} FROM incident WHERE {wanted}");
        let read = |row: &Row<'_>| {
            let mut counts = [0; Step::ALL.len()];
            for (at, count) in counts.iter_mut().enumerate() {
                *count = to_u64(row.get(at)?);
            }
            Ok(counts)
        };
        let found = self.file.rows(&sql, params_from_iter(values), read)?;
        Ok(found.first().copied().unwrap_or_default())
    }

    pub(super) fn put_record(&self, record: &Record) -> Result<(), IncidentError> {
        let mut tools: Vec<&str> = record.tools.keys().map(String::as_str).collect();
        let name = record.tool();
        tools.extend(name.as_deref().filter(|name| !record.tools.contains_key(*name)));
        let label = name.as_deref().and_then(tool::label).unwrap_or_default();
        let techniques = [attack::observed(record), attack::implied(record)].concat();
        let techniques: Vec<&str> = techniques.iter().map(|technique| technique.id).collect();
        let sql = "INSERT OR REPLACE INTO incident VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let values = params![
            record.n,
            to_sql(record.id),
            record.source.to_string(),
            address_bytes(record.source),
            to_sql(record.first.0),
            to_sql(record.last.0),
            record.outcome().as_str(),
            record.facts.stages.keys().fold(0, |stages, stage| stages | bit(*stage)),
            Step::ALL
                .into_iter()
                .filter(|step| record.facts.took(*step))
                .fold(0, |steps, step| steps | step.bit()),
            format!(" {} ", tools.join(" ")),
            format!(" {} ", techniques.join(" ")),
            format!("{} {label}", sentence::of(record)).to_lowercase(),
        ];
        self.file.run(sql, values)?;
        let state = self.file.written(record)?;
        self.file.run("INSERT OR REPLACE INTO record VALUES (?, ?)", params![record.n, state])?;
        for sample in &record.facts.samples {
            let sql = "INSERT OR IGNORE INTO incident_sample VALUES (?, ?)";
            self.file.run(sql, params![sample.sha256, record.n])?;
        }
        Ok(())
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

/// The conditions of a filter, and their values in order.
fn wanted(filter: &Filter) -> (String, Vec<Value>) {
    let mut sql = vec!["1"];
    let mut values: Vec<Value> = Vec::new();
    let mut and = |condition, value: Vec<Value>| {
        sql.push(condition);
        values.extend(value);
    };
    let (since, until) = filter.span.moments();
    if filter.span != Span::ALL {
        and("last >= ? AND first <= ?", vec![since.into(), until.into()]);
    }
    if let Some(source) = filter.source {
        and("source = ?", vec![source.to_canonical().to_string().into()]);
    }
    if let Some(network) = filter.network {
        let (least, most) = network.range();
        and("ip BETWEEN ? AND ?", vec![least.to_vec().into(), most.to_vec().into()]);
    }
    if let Some(outcome) = filter.outcome {
        and("outcome = ?", vec![outcome.as_str().to_owned().into()]);
    }
    if let Some(stage) = filter.stage {
        and("stages & ?", vec![bit(stage).into()]);
    }
    if let Some(step) = filter.step {
        and("steps & ?", vec![step.bit().into()]);
    }
    if let Some(tool) = &filter.tool {
        and("instr(tools, ?)", vec![format!(" {tool} ").into()]);
    }
    if let Some(technique) = &filter.technique {
        let sql =
            "(instr(techniques, ?) OR instr(techniques, ?) OR instr(techniques, ?) OR instr(techniques, ?))";
        let ids = attack::names(technique).map(|id| [format!(" {id} "), format!(" {id}.")]);
        and(sql, ids.into_iter().flatten().map(Value::from).collect());
    }
    if let Some(text) = &filter.text {
        and("instr(said, ?)", vec![text.to_lowercase().into()]);
    }
    if let Some(samples) = &filter.samples {
        let list = serde_json::to_string(samples).unwrap_or_default();
        let of =
            "n IN (SELECT incident FROM incident_sample WHERE sha256 IN (SELECT value FROM json_each(?)))";
        and(of, vec![list.into()]);
    }
    (sql.join(" AND "), values)
}

/// A stage's bit.
const fn bit(stage: Stage) -> i64 {
    1 << (stage as u8)
}
