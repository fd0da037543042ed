//! `DIR/desk/lookup.sqlite`: answers, requests spent, back-off, and what is still to be asked.

use super::service::{Service, Summary};
use super::wanted::{Part, Wanted};
use super::{LookupError, wanted};
use crate::derived::{BUSY, write_ahead};
use roridula_evidence::rfc3339;
use roridula_proto::time::WallClock;
use roridula_triage::Report;
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};
use serde::{Serialize, Serializer};
use std::fs;
use std::path::{Path, PathBuf};

const TABLES: &str = "
-- Times are microseconds since 1970, UTC.
-- again: when the answer is too old. misses: how often in a row the service did not know it. raw: JSON, zstd.
CREATE TABLE IF NOT EXISTS answer (service TEXT NOT NULL, sha256 TEXT NOT NULL, part TEXT NOT NULL, asked INTEGER NOT NULL,
  again INTEGER NOT NULL, misses INTEGER NOT NULL, known INTEGER NOT NULL, summary TEXT NOT NULL, raw BLOB NOT NULL,
  PRIMARY KEY (service, sha256));
-- One row a request of the last day: a token comes back a minute and a day after it was spent.
CREATE TABLE IF NOT EXISTS spent (service TEXT NOT NULL, at INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS spent_at ON spent (service, at);
CREATE TABLE IF NOT EXISTS service (name TEXT PRIMARY KEY, wait_until INTEGER NOT NULL, failures INTEGER NOT NULL,
  refused_key TEXT NOT NULL, error TEXT NOT NULL, error_at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS subject (sample TEXT PRIMARY KEY, wanted TEXT NOT NULL, priority INTEGER NOT NULL, noted INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS due (service TEXT NOT NULL, sample TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (service, sample));
CREATE INDEX IF NOT EXISTS due_at ON due (service, at);
CREATE TABLE IF NOT EXISTS upload (sample TEXT PRIMARY KEY, tries INTEGER NOT NULL, at INTEGER NOT NULL, done INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS cursor (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL);
";

/// Microseconds of a minute.
pub(super) const MINUTE: i64 = 60_000_000;
/// Microseconds of a day.
pub(super) const DAY: i64 = 86_400_000_000;

/// What a service said of a hash, and when.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    /// Who.
    pub service: Service,
    /// Which hash was asked for.
    pub sha256: String,
    /// Which part of a sample it is of.
    pub part: Part,
    /// When.
    #[serde(serialize_with = "time")]
    pub asked: WallClock,
    /// Whether the service knows it.
    pub known: bool,
    /// The parts of the sample that it was asked for and does not know.
    pub unknown: Vec<Part>,
    /// What it knows.
    pub summary: Summary,
    /// Where to read more; there is a page only where it is known.
    pub link: String,
}

fn time<S: Serializer>(at: &WallClock, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&rfc3339(*at))
}

impl Found {
    /// In one line, without link and time.
    pub fn sentence(&self) -> String {
        let (name, part) = (self.service.name(), self.part.as_str());
        if !self.known {
            return format!("{name} does not know the {}", joined(&self.unknown));
        }
        let summary = &self.summary;
        let mut text = format!("{name} knows the {part}");
        if !self.unknown.is_empty() {
            text += &format!(", not the {}", joined(&self.unknown));
        }
        match (summary.malicious, summary.engines) {
            (Some(_), Some(0)) => text += ": no engine has looked at it yet",
            (Some(malicious), Some(engines)) => {
                text += &format!(": {malicious} of {engines} engines call it malicious")
            }
            _ => {}
        }
        for (what, value) in
            [("as", &summary.label), ("named", &summary.name), ("since", &summary.first_seen)]
        {
            if !value.is_empty() {
                text += &format!(", {what} {value}");
            }
        }
        text
    }
}

/// `core, DLL and raw bytes`.
fn joined(parts: &[Part]) -> String {
    let parts: Vec<_> = parts.iter().map(|part| part.as_str()).collect();
    match parts.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => parts.concat(),
    }
}

/// How it stands with a service.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ServiceStatus {
    /// Requests that may be sent now.
    pub left_minute: u32,
    /// Requests that may be sent within the 24 hours that end now.
    pub left_day: u32,
    /// Samples with a hash to be asked for now.
    pub queue: u64,
    /// Hashes that it knows, and that it does not.
    pub known: u64,
    /// Hashes that it does not know.
    pub unknown: u64,
    /// Nothing is asked before; `None` where nothing is in the way.
    #[serde(serialize_with = "maybe_time")]
    pub wait_until: Option<WallClock>,
    /// Whether the key that is in use was refused.
    pub key_refused: bool,
    /// What went wrong last, or empty.
    pub error: String,
    /// When that was.
    #[serde(serialize_with = "maybe_time")]
    pub error_at: Option<WallClock>,
}

fn maybe_time<S: Serializer>(at: &Option<WallClock>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => time(at, serializer),
        None => serializer.serialize_none(),
    }
}

/// A row of `service`.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    pub(super) wait_until: i64,
    pub(super) failures: u32,
    pub(super) refused_key: String,
    pub(super) error: String,
    pub(super) error_at: i64,
}

/// What is known of a hash.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cached {
    pub(super) known: bool,
    pub(super) again: i64,
    pub(super) misses: u32,
}

/// The kept look-ups of a data directory.
#[derive(Debug)]
pub struct Lookups {
    path: PathBuf,
    pub(super) db: Connection,
}

/// A moment as the database has it.
pub(super) fn micros(at: WallClock) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

fn clock(micros: i64) -> WallClock {
    WallClock(u64::try_from(micros).unwrap_or(0))
}

impl Lookups {
    /// Opens those of the data directory `dir`, making the file where there is none.
    pub fn open(dir: &Path) -> Result<Self, LookupError> {
        let desk = dir.join("desk");
        fs::create_dir_all(&desk).map_err(|source| LookupError::Io { path: desk.clone(), source })?;
        let path = desk.join("lookup.sqlite");
        let fail = |source| LookupError::Database { path: path.clone(), source };
        let db = Connection::open(&path).map_err(fail)?;
        db.busy_timeout(BUSY).and_then(|()| write_ahead(&db)).map_err(fail)?;
        db.execute_batch(TABLES).map_err(fail)?;
        Ok(Self { path: path.clone(), db })
    }

    pub(super) fn fail(&self) -> impl Fn(rusqlite::Error) -> LookupError + '_ {
        |source| LookupError::Database { path: self.path.clone(), source }
    }

    /// What the services said of a hash (SHA-256 in hexadecimal); empty where none was asked.
    pub fn results(&self, sha256: &str) -> Result<Vec<Found>, LookupError> {
        let Some(sha256) = wanted::sha256(sha256) else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for service in Service::ALL {
            let sql = "SELECT part, asked, known, summary FROM answer WHERE service = ? AND sha256 = ?";
            let read = |row: &Row<'_>| {
                let (part, asked, known, summary): (String, _, _, String) =
                    (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
                let part = serde_json::from_str(&part).unwrap_or(Part::Raw);
                Ok(Found {
                    service,
                    sha256: sha256.clone(),
                    part,
                    asked: clock(asked),
                    known,
                    unknown: if known { Vec::new() } else { vec![part] },
                    summary: serde_json::from_str(&summary).unwrap_or_default(),
                    link: service.link(&sha256),
                })
            };
            let row = self.db.query_row(sql, params![service.id(), sha256], read).optional();
            found.extend(row.map_err(self.fail())?);
        }
        Ok(found)
    }

    /// What the services said of a sample, one answer a service: of the first of its hashes that is known, else of the
    /// last that was asked for.
    pub fn of_report(&self, report: &Report) -> Result<Vec<Found>, LookupError> {
        self.best(&wanted::wanted(report))
    }

    /// As [`Self::of_report`], for hashes at hand.
    pub fn best(&self, hashes: &[Wanted]) -> Result<Vec<Found>, LookupError> {
        let mut best: Vec<Found> = Vec::new();
        for hash in hashes {
            // The same bytes may be one sample's core and another's all.
            let answers = self.results(&hash.sha256)?.into_iter();
            for mut answer in answers {
                answer.part = hash.part;
                answer.unknown = if answer.known { Vec::new() } else { vec![hash.part] };
                match best.iter_mut().find(|earlier| earlier.service == answer.service) {
                    Some(earlier) if earlier.known => earlier.unknown.append(&mut answer.unknown),
                    Some(earlier) => {
                        answer.unknown.splice(0..0, std::mem::take(&mut earlier.unknown));
                        *earlier = answer;
                    }
                    None => best.push(answer),
                }
            }
        }
        Ok(best)
    }

    /// The answer itself as the service gave it, where there is one.
    pub fn raw(&self, service: Service, sha256: &str) -> Result<Option<Vec<u8>>, LookupError> {
        let sql = "SELECT raw FROM answer WHERE service = ? AND sha256 = ?";
        let row: Option<Vec<u8>> = self
            .db
            .query_row(sql, params![service.id(), sha256], |row| row.get(0))
            .optional()
            .map_err(self.fail())?;
        Ok(row.and_then(|raw| zstd::decode_all(&raw[..]).ok()))
    }

    /// How it stands with a service that may be asked `per_minute` and `per_day`; `key` is [`super::Secret::mark`]'s.
    pub(super) fn status(
        &self,
        service: Service,
        (per_minute, per_day): (u32, u32),
        key: &str,
        now: i64,
    ) -> Result<ServiceStatus, LookupError> {
        let standing = self.standing(service)?;
        let count = |sql: &str, at: i64| {
            self.db.query_row(sql, params![service.id(), at], |row| row.get::<_, i64>(0)).map_err(self.fail())
        };
        let spent = |window: i64| {
            count("SELECT count(*) FROM spent WHERE service = ? AND at > ?", now.saturating_sub(window))
        };
        let left = |most: u32, spent: i64| most.saturating_sub(u32::try_from(spent).unwrap_or(u32::MAX));
        let number = |count: i64| u64::try_from(count).unwrap_or(0);
        Ok(ServiceStatus {
            left_minute: left(per_minute, spent(MINUTE)?).min(left(per_day, spent(DAY)?)),
            left_day: left(per_day, spent(DAY)?),
            queue: number(count("SELECT count(*) FROM due WHERE service = ? AND at <= ?", now)?),
            known: number(count("SELECT count(*) FROM answer WHERE service = ? AND known AND ? > 0", now)?),
            unknown: number(count(
                "SELECT count(*) FROM answer WHERE service = ? AND NOT known AND ? > 0",
                now,
            )?),
            wait_until: (standing.wait_until > now).then(|| clock(standing.wait_until)),
            key_refused: !key.is_empty() && standing.refused_key == key,
            error_at: (!standing.error.is_empty()).then(|| clock(standing.error_at)),
            error: standing.error,
        })
    }

    pub(super) fn standing(&self, service: Service) -> Result<Standing, LookupError> {
        let sql = "SELECT wait_until, failures, refused_key, error, error_at FROM service WHERE name = ?";
        let read = |row: &Row<'_>| {
            Ok(Standing {
                wait_until: row.get(0)?,
                failures: row.get(1)?,
                refused_key: row.get(2)?,
                error: row.get(3)?,
                error_at: row.get(4)?,
            })
        };
        let row = self.db.query_row(sql, params![service.id()], read).optional().map_err(self.fail())?;
        Ok(row.unwrap_or_default())
    }

    pub(super) fn set_standing(&self, service: Service, standing: &Standing) -> Result<(), LookupError> {
        let Standing { wait_until, failures, refused_key, error, error_at } = standing;
        let values = params![service.id(), wait_until, failures, refused_key, error, error_at];
        let sql = "INSERT OR REPLACE INTO service VALUES (?, ?, ?, ?, ?, ?)";
        self.db.execute(sql, values).map(drop).map_err(self.fail())
    }

    /// Takes a token; `Err` of the moment when there is one again. Safe against another process that does the same.
    pub(super) fn spend(
        &mut self,
        service: Service,
        (per_minute, per_day): (u32, u32),
        now: i64,
    ) -> Result<Result<i64, i64>, LookupError> {
        let path = self.path.clone();
        let fail = |source| LookupError::Database { path: path.clone(), source };
        let change = self.db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)?;
        // What a clock that once stood wrong has left in the far future must not block for ever.
        let sql = "DELETE FROM spent WHERE service = ? AND (at <= ? OR at > ?)";
        let (old, odd) = (now.saturating_sub(DAY), now.saturating_add(DAY));
        change.execute(sql, params![service.id(), old, odd]).map_err(fail)?;
        for (window, most) in [(MINUTE, per_minute), (DAY, per_day)] {
            // The request that must be older than the window before another may follow.
            let sql = "SELECT at FROM spent WHERE service = ? AND at > ? ORDER BY at DESC LIMIT 1 OFFSET ?";
            let values = params![service.id(), now.saturating_sub(window), most.saturating_sub(1)];
            let blocking: Option<i64> =
                change.query_row(sql, values, |row| row.get(0)).optional().map_err(fail)?;
            if let Some(at) = blocking {
                change.commit().map_err(fail)?;
                return Ok(Err(at.saturating_add(window)));
            }
        }
        change.execute("INSERT INTO spent VALUES (?, ?)", params![service.id(), now]).map_err(fail)?;
        let token = change.last_insert_rowid();
        change.commit().map_err(fail)?;
        Ok(Ok(token))
    }

    /// Gives a token back: the service never saw the request.
    pub(super) fn refund(&self, token: i64) -> Result<(), LookupError> {
        self.db.execute("DELETE FROM spent WHERE rowid = ?", params![token]).map(drop).map_err(self.fail())
    }

    pub(super) fn cached(&self, service: Service, sha256: &str) -> Result<Option<Cached>, LookupError> {
        let sql = "SELECT known, again, misses FROM answer WHERE service = ? AND sha256 = ?";
        let read = |row: &Row<'_>| Ok(Cached { known: row.get(0)?, again: row.get(1)?, misses: row.get(2)? });
        self.db.query_row(sql, params![service.id(), sha256], read).optional().map_err(self.fail())
    }

    /// Keeps an answer, in place of an earlier one.
    pub(super) fn put(
        &self,
        service: Service,
        hash: &Wanted,
        now: i64,
        cached: Cached,
        (summary, raw): (&Summary, &[u8]),
    ) -> Result<(), LookupError> {
        // JSON of our own plain types cannot fail; of nothing, nothing is lost.
        let part = serde_json::to_string(&hash.part).unwrap_or_default();
        let summary = serde_json::to_string(summary).unwrap_or_default();
        let raw = zstd::encode_all(raw, 3).unwrap_or_default();
        let Cached { known, again, misses } = cached;
        let values = params![service.id(), hash.sha256, part, now, again, misses, known, summary, raw];
        let sql = "INSERT OR REPLACE INTO answer VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
        self.db.execute(sql, values).map(drop).map_err(self.fail())
    }
}
