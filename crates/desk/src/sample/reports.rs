//! The reports' file, `DIR/desk/reports.sqlite`.
//!
//! A worm comes back with the same inner files in another wrapping: what a layer's bytes are is kept once, under
//! their hash, and a report says where they lie.

use super::outline::Outline;
use crate::derived::{BUSY, Identity, identity, make_room, open_as, write_ahead};
use roridula_evidence::SampleId;
use roridula_triage::facts::{Facts, IndicatorKind};
use roridula_triage::family::Verdict;
use roridula_triage::rules::Hit;
use roridula_triage::{Depth, FORMAT, FoundBy, Hashes, Kind, Layer, Report, State};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::cell::{Ref, RefCell};
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Pages of its log (of 4 KiB) after which that is folded in: reports are written twice, first and full, and a log of
/// SQLite's thousand would be larger than what it is about.
const LOG_PAGES: u32 = 256;
/// Which layout of the file this build writes; any other is made anew.
const VERSION: i64 = 3;
/// zstd's level for what is written once and kept.
const LEVEL: i32 = 7;

const TABLES: &str = "
-- outline: JSON. body: where the layers lie, JSON, zstd. n: the order in which samples were first looked into.
CREATE TABLE report (n INTEGER PRIMARY KEY, sha256 BLOB NOT NULL UNIQUE, format INTEGER NOT NULL, rules TEXT NOT NULL,
  core TEXT NOT NULL, carrier TEXT NOT NULL, size INTEGER NOT NULL, outline TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX report_core ON report (core);
CREATE INDEX report_carrier ON report (carrier);
-- name: SHA-256 and kind of a layer. body: its hashes, facts and hits, JSON, zstd. rules: by which hits were found.
-- full: whether it is all of that, or what a first report has.
CREATE TABLE content (name TEXT PRIMARY KEY, rules TEXT NOT NULL, full INTEGER NOT NULL, body BLOB NOT NULL)
  WITHOUT ROWID;
-- In which reports a layer lies.
CREATE TABLE place (layer TEXT NOT NULL, report INTEGER NOT NULL, PRIMARY KEY (layer, report)) WITHOUT ROWID;
";
/// What came later, so that reports of before are kept: the text of indicators, in lower case but for wallets, which are
/// others then, and the layers (SHA-256) in which they stand. `indicator` is what was before it.
const INDICATORS: &str = "
DROP TABLE IF EXISTS indicator;
CREATE TABLE IF NOT EXISTS named (value TEXT, kind TEXT, layer TEXT, PRIMARY KEY (value, kind, layer)) WITHOUT ROWID;
";
const NAMES: &[&str] = &["report", "content", "place", "indicator", "named"];

/// Why a report cannot be had.
#[derive(Debug, Error)]
pub enum ReportError {
    /// The file cannot be used.
    #[error("{path}: {source}")]
    Database {
        /// Which.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// The directory or a report in it cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// The kept reports of a data directory. Their file may be deleted at any time, also under those who have it open: the
/// next question is to the one that is made instead.
#[derive(Debug)]
pub struct Reports {
    dir: PathBuf,
    /// Empty for those that end with the process.
    path: PathBuf,
    open: RefCell<Open>,
}

/// The open file.
#[derive(Debug)]
struct Open {
    db: Connection,
    identity: Option<Identity>,
}

/// What others have written so far: another one after each of their writes, and in another file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edition {
    file: Option<Identity>,
    version: i64,
}

impl Open {
    fn file(dir: &Path, path: &Path) -> Result<Self, ReportError> {
        let io = |at: &Path| {
            let path = at.to_owned();
            move |source| ReportError::Io { path, source }
        };
        let desk = dir.join("desk");
        fs::create_dir_all(&desk).map_err(io(&desk))?;
        // Before SQLite makes files beside it, which get its owner.
        make_room(path);
        fs::OpenOptions::new().create(true).append(true).open(path).map_err(io(path))?;
        belong_to_owner_of(dir, &[&desk, path]);
        let fail = |source| ReportError::Database { path: path.to_owned(), source };
        let (db, identity) = open_as(path, OpenFlags::default()).map_err(fail)?;
        db.busy_timeout(BUSY).and_then(|()| write_ahead(&db)).map_err(fail)?;
        db.pragma_update(None, "wal_autocheckpoint", LOG_PAGES).map_err(fail)?;
        make_ready(&db).map_err(fail)?;
        Ok(Self { db, identity })
    }
}

/// With this build's tables in it.
fn make_ready(db: &Connection) -> rusqlite::Result<()> {
    let version = || db.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0));
    if version()? == VERSION && has_indicators(db)? {
        return Ok(());
    }
    let transaction = Transaction::new_unchecked(db, TransactionBehavior::Immediate)?;
    // Another process may have been faster.
    if version()? != VERSION {
        let drop: String = NAMES.iter().map(|name| format!("DROP TABLE IF EXISTS {name};")).collect();
        transaction.execute_batch(&format!("{drop} {TABLES} PRAGMA user_version = {VERSION};"))?;
    }
    if !has_indicators(db)? {
        transaction.execute_batch(INDICATORS)?;
        gather_indicators(&transaction)?;
    }
    transaction.commit()
}

fn has_indicators(db: &Connection) -> rusqlite::Result<bool> {
    db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'named'")?.exists([])
}

/// Those of all layers; what cannot be read has none.
fn gather_indicators(db: &Connection) -> rusqlite::Result<()> {
    let mut statement = db.prepare("SELECT body FROM content")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if let Ok(content) = unpacked::<Content>(&row.get::<_, Vec<u8>>(0)?) {
            put_indicators(db, &content.hashes.sha256, &content.facts)?;
        }
    }
    Ok(())
}

fn unpacked<T: DeserializeOwned>(body: &[u8]) -> std::io::Result<T> {
    let text = zstd::decode_all(body)?;
    Ok(serde_json::from_slice(&text)?)
}

/// A report without what its layers' bytes are.
#[derive(Serialize, Deserialize)]
struct Body {
    #[serde(default)]
    depth: Depth,
    places: Vec<Place>,
    core: Option<u32>,
    verdict: Option<Verdict>,
    remarks: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_bounded: bool,
}

#[derive(Serialize, Deserialize)]
struct Place {
    parent: Option<u32>,
    kind: Kind,
    name: String,
    state: State,
    found_by: FoundBy,
    offset: u64,
    stored_size: u64,
    size: u64,
    encoding: String,
    remarks: Vec<String>,
    sha256: String,
}

/// What a layer's bytes are, wherever they lie.
#[derive(Serialize, Deserialize)]
struct Content {
    hashes: Hashes,
    facts: Facts,
    hits: Vec<Hit>,
}

impl Reports {
    /// Opens those of the data directory `dir`, making the file where there is none.
    pub fn open(dir: &Path) -> Result<Self, ReportError> {
        let path = dir.join("desk").join("reports.sqlite");
        let open = RefCell::new(Open::file(dir, &path)?);
        Ok(Self { dir: dir.to_owned(), path, open })
    }

    /// An empty one that ends with the process.
    pub fn temporary() -> Result<Self, ReportError> {
        let path = PathBuf::new();
        let fail = |source| ReportError::Database { path: PathBuf::new(), source };
        let db = Connection::open("").map_err(fail)?;
        make_ready(&db).map_err(fail)?;
        Ok(Self { dir: PathBuf::new(), path, open: RefCell::new(Open { db, identity: None }) })
    }

    /// Whether the file at its path is the one that is open.
    pub(crate) fn is_in_place(&self) -> bool {
        self.path.as_os_str().is_empty() || identity(&self.path) == self.open.borrow().identity
    }

    /// Which edition of the reports this is.
    pub fn edition(&self) -> Result<Edition, ReportError> {
        let version = self.db()?.query_row("PRAGMA data_version", [], |row| row.get(0));
        let version = version.map_err(|source| self.database(source))?;
        Ok(Edition { file: self.open.borrow().identity, version })
    }

    /// The file that is there now.
    fn db(&self) -> Result<Ref<'_, Connection>, ReportError> {
        if !self.is_in_place()
            && let Ok(mut open) = self.open.try_borrow_mut()
        {
            *open = Open::file(&self.dir, &self.path)?;
        }
        Ok(Ref::map(self.open.borrow(), |open| &open.db))
    }

    /// Indicators (domains, addresses, mutexes, wallets) that have this in them, in any case, and the samples in
    /// which they stand, at most `max` pairs: those that are just this first.
    pub fn with_indicator(
        &self,
        part: &str,
        max: usize,
    ) -> Result<Vec<(String, String, SampleId)>, ReportError> {
        let sql = "SELECT DISTINCT value, kind, sha256,
              CASE kind WHEN 'wallet' THEN lower(value) ELSE value END AS sought
            FROM named JOIN place USING (layer) JOIN report ON n = report
            WHERE instr(sought, ?1) ORDER BY sought <> ?1, value, kind, n LIMIT ?2";
        let db = self.db()?;
        let mut statement = db.prepare_cached(sql).map_err(|source| self.database(source))?;
        let values = params![part.to_lowercase(), i64::try_from(max).unwrap_or(i64::MAX)];
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, SampleId(row.get(2)?)));
        let rows = statement.query_map(values, read);
        rows.and_then(Iterator::collect).map_err(|source| self.database(source))
    }

    /// Keeps the report of a sample, in place of an earlier one. What a full report said of a layer stays where a first
    /// one says less.
    pub fn put(&self, sample: SampleId, report: &Report) -> Result<(), ReportError> {
        let outline = Outline::of(report);
        let body = Body {
            depth: report.depth,
            places: report.layers.iter().map(place).collect(),
            core: report.core,
            verdict: report.verdict.clone(),
            remarks: report.remarks.clone(),
            is_bounded: report.is_bounded,
        };
        let (outline_text, body) = (self.text(&outline)?, self.packed(&body)?);
        let db = self.db()?;
        let write = || {
            let transaction = Transaction::new_unchecked(&db, TransactionBehavior::Immediate)?;
            let sql = "INSERT INTO report (sha256, format, rules, core, carrier, size, outline, body)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (sha256) DO UPDATE SET format = ?2, rules = ?3,
                core = ?4, carrier = ?5, size = ?6, outline = ?7, body = ?8 RETURNING n";
            let size = report.layers.first().map_or(0, |root| i64::try_from(root.size).unwrap_or(i64::MAX));
            let core = &outline.core.sha256;
            let values = params![
                sample.0,
                FORMAT,
                report.rules,
                core,
                outline.carrier_skeleton,
                size,
                outline_text,
                body
            ];
            let n: i64 = transaction.prepare_cached(sql)?.query_row(values, |row| row.get(0))?;
            transaction.prepare_cached("DELETE FROM place WHERE report = ?")?.execute([n])?;
            for layer in &report.layers {
                self.put_layer(&transaction, n, report, layer)?;
            }
            transaction.commit()
        };
        write().map_err(|source| self.database(source))
    }

    fn put_layer(&self, db: &Connection, n: i64, report: &Report, layer: &Layer) -> rusqlite::Result<()> {
        let sql = "INSERT OR IGNORE INTO place VALUES (?, ?)";
        db.prepare_cached(sql)?.execute(params![layer.hashes.sha256, n])?;
        let name = content_name(&layer.hashes.sha256, layer.kind);
        let known = db
            .prepare_cached("SELECT 1 FROM content WHERE name = ?1 AND (NOT ?3 OR (rules = ?2 AND full))")?
            .exists(params![name, report.rules, report.depth.is_full()])?;
        if !known {
            let content = Content {
                hashes: layer.hashes.clone(),
                facts: layer.facts.clone(),
                hits: layer.hits.clone(),
            };
            let body = self
                .packed(&content)
                .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
            db.prepare_cached("INSERT OR REPLACE INTO content VALUES (?, ?, ?, ?)")?.execute(params![
                name,
                report.rules,
                report.depth.is_full(),
                body
            ])?;
            put_indicators(db, &layer.hashes.sha256, &layer.facts)?;
        }
        Ok(())
    }

    /// The report of a sample; `None` where there is none, or one of another layout.
    pub fn get(&self, sample: SampleId) -> Result<Option<Report>, ReportError> {
        let sql = "SELECT rules, body FROM report WHERE sha256 = ? AND format = ?";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?));
        let db = self.db()?;
        let found = db.query_row(sql, params![sample.0, FORMAT], read).optional();
        let Some((rules, body)) = found.map_err(|source| self.database(source))? else { return Ok(None) };
        let body: Body = self.unpacked(&body)?;
        let mut layers = Vec::with_capacity(body.places.len());
        for place in body.places {
            let Some(content) = self.content(&db, &place)? else { return Ok(None) };
            layers.push(layer(place, content));
        }
        Ok(Some(Report {
            format: FORMAT,
            depth: body.depth,
            rules,
            layers,
            core: body.core,
            verdict: body.verdict,
            remarks: body.remarks,
            is_bounded: body.is_bounded,
        }))
    }

    fn content(&self, db: &Connection, place: &Place) -> Result<Option<Content>, ReportError> {
        let mut statement = db
            .prepare_cached("SELECT body FROM content WHERE name = ?")
            .map_err(|source| self.database(source))?;
        let name = content_name(&place.sha256, place.kind);
        let body: Option<Vec<u8>> = statement
            .query_row([name], |row| row.get(0))
            .optional()
            .map_err(|source| self.database(source))?;
        body.map(|body| self.unpacked(&body)).transpose()
    }

    /// The outlines of all samples that have a report of this build's layout, by their hash.
    pub fn outlines(&self) -> Result<HashMap<SampleId, Outline>, ReportError> {
        let db = self.db()?;
        let mut statement = db
            .prepare_cached("SELECT sha256, outline FROM report WHERE format = ?")
            .map_err(|source| self.database(source))?;
        let rows = statement
            .query_map([FORMAT], |row| Ok((SampleId(row.get(0)?), row.get::<_, String>(1)?)))
            .map_err(|source| self.database(source))?;
        let mut outlines = HashMap::new();
        for row in rows {
            let (sample, text) = row.map_err(|source| self.database(source))?;
            outlines.insert(sample, serde_json::from_str(&text).map_err(|error| self.io(error.into()))?);
        }
        Ok(outlines)
    }

    /// The outline of one sample.
    pub fn outline(&self, sample: SampleId) -> Result<Option<Outline>, ReportError> {
        let sql = "SELECT outline FROM report WHERE sha256 = ? AND format = ?";
        let found: Option<String> = self
            .db()?
            .query_row(sql, params![sample.0, FORMAT], |row| row.get(0))
            .optional()
            .map_err(|source| self.database(source))?;
        found.map(|text| serde_json::from_str(&text).map_err(|error| self.io(error.into()))).transpose()
    }

    /// The samples in which a layer lies whose SHA-256 begins like this (hexadecimal), at most `max`.
    pub fn with_layer(&self, prefix: &str, max: usize) -> Result<Vec<SampleId>, ReportError> {
        let sql = "SELECT DISTINCT sha256 FROM place JOIN report ON n = report
            WHERE layer >= ?1 AND layer < ?1 || 'g' ORDER BY n LIMIT ?2";
        self.samples(sql, params![prefix, i64::try_from(max).unwrap_or(i64::MAX)])
    }

    /// The sample that another one with this outline may be kept as a difference from: the first that was looked into
    /// with the same core, else with the same carrier around another core, else of the same size; never `sample`
    /// itself.
    pub fn similar(
        &self,
        sample: SampleId,
        outline: &Outline,
        size: u64,
    ) -> Result<Option<SampleId>, ReportError> {
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        for (column, value) in [("core", &outline.core.sha256), ("carrier", &outline.carrier_skeleton)] {
            if value.is_empty() {
                continue;
            }
            let sql = format!(
                "SELECT sha256 FROM report WHERE {column} = ?1 AND size >= ?2 / 2 ORDER BY n LIMIT 1"
            );
            if let Some(found) = self.samples(&sql, params![value, size])?.pop()
                && found != sample
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn samples(&self, sql: &str, params: impl rusqlite::Params) -> Result<Vec<SampleId>, ReportError> {
        let db = self.db()?;
        let mut statement = db.prepare_cached(sql).map_err(|source| self.database(source))?;
        let rows = statement.query_map(params, |row| row.get(0).map(SampleId));
        rows.and_then(Iterator::collect).map_err(|source| self.database(source))
    }

    fn text(&self, value: &impl Serialize) -> Result<String, ReportError> {
        serde_json::to_string(value).map_err(|error| self.io(error.into()))
    }

    fn packed(&self, value: &impl Serialize) -> Result<Vec<u8>, ReportError> {
        let text = serde_json::to_vec(value).map_err(|error| self.io(error.into()))?;
        zstd::bulk::compress(&text, LEVEL).map_err(|error| self.io(error))
    }

    fn unpacked<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, ReportError> {
        unpacked(body).map_err(|error| self.io(error))
    }

    fn database(&self, source: rusqlite::Error) -> ReportError {
        ReportError::Database { path: self.path.clone(), source }
    }

    fn io(&self, source: std::io::Error) -> ReportError {
        ReportError::Io { path: self.path.clone(), source }
    }
}

fn put_indicators(db: &Connection, layer: &str, facts: &Facts) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached("INSERT OR IGNORE INTO named VALUES (?, ?, ?)")?;
    for indicator in &facts.indicators {
        let value = match indicator.kind {
            IndicatorKind::Wallet => indicator.value.clone(),
            _ => indicator.value.to_lowercase(),
        };
        statement.execute(params![value, indicator.kind.as_str(), layer])?;
    }
    Ok(())
}

fn content_name(sha256: &str, kind: Kind) -> String {
    format!("{sha256} {kind}")
}

fn place(layer: &Layer) -> Place {
    Place {
        parent: layer.parent,
        kind: layer.kind,
        name: layer.name.clone(),
        state: layer.state,
        found_by: layer.found_by,
        offset: layer.offset,
        stored_size: layer.stored_size,
        size: layer.size,
        encoding: layer.encoding.clone(),
        remarks: layer.remarks.clone(),
        sha256: layer.hashes.sha256.clone(),
    }
}

fn layer(place: Place, content: Content) -> Layer {
    Layer {
        parent: place.parent,
        kind: place.kind,
        name: place.name,
        state: place.state,
        found_by: place.found_by,
        offset: place.offset,
        stored_size: place.stored_size,
        size: place.size,
        encoding: place.encoding,
        remarks: place.remarks,
        hashes: content.hashes,
        facts: content.facts,
        hits: content.hits,
    }
}

/// A file made by root belongs to whoever runs the honeypot, who could not go on with it otherwise.
fn belong_to_owner_of(dir: &Path, paths: &[&Path]) {
    let Ok(owner) = fs::metadata(dir) else { return };
    for path in paths {
        if fs::metadata(path).is_ok_and(|meta| meta.uid() != owner.uid()) {
            let _ = chown(path, Some(owner.uid()), Some(owner.gid()));
        }
    }
}
