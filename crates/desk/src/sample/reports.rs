//! The reports' file, `DIR/desk/reports.sqlite`.

use roridula_evidence::SampleId;
use roridula_triage::Report;
use rusqlite::{Connection, OptionalExtension, params};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;

const TABLES: &str = "
-- body: the report as JSON, zstd.
CREATE TABLE IF NOT EXISTS report (sha256 BLOB PRIMARY KEY, format INTEGER NOT NULL, rules TEXT NOT NULL, body BLOB NOT NULL)
  WITHOUT ROWID;
";

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

/// The kept reports of a data directory.
#[derive(Debug)]
pub struct Reports {
    path: PathBuf,
    db: Connection,
}

impl Reports {
    /// Opens those of the data directory `dir`, making the file where there is none.
    pub fn open(dir: &Path) -> Result<Self, ReportError> {
        let desk = dir.join("desk");
        fs::create_dir_all(&desk).map_err(|source| ReportError::Io { path: desk.clone(), source })?;
        let path = desk.join("reports.sqlite");
        let fail = |source| ReportError::Database { path: path.clone(), source };
        let db = Connection::open(&path).map_err(fail)?;
        db.busy_timeout(Duration::from_secs(60)).map_err(fail)?;
        db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;").map_err(fail)?;
        db.execute_batch(TABLES).map_err(fail)?;
        Ok(Self { path: path.clone(), db })
    }

    /// Keeps the report of a sample, in place of an earlier one.
    pub fn put(&self, sample: SampleId, report: &Report) -> Result<(), ReportError> {
        let body = serde_json::to_vec(report).map_err(|error| self.io(error.into()))?;
        let body = zstd::encode_all(&body[..], 3).map_err(|error| self.io(error))?;
        let sql = "INSERT OR REPLACE INTO report VALUES (?, ?, ?, ?)";
        let values = params![sample.0, report.format, report.rules, body];
        self.db.execute(sql, values).map(drop).map_err(|source| self.database(source))
    }

    /// The report of a sample; `None` where there is none, or one of another layout.
    pub fn get(&self, sample: SampleId) -> Result<Option<Report>, ReportError> {
        let sql = "SELECT body FROM report WHERE sha256 = ? AND format = ?";
        let body: Option<Vec<u8>> = self
            .db
            .query_row(sql, params![sample.0, roridula_triage::FORMAT], |row| row.get(0))
            .optional()
            .map_err(|source| self.database(source))?;
        let Some(body) = body else { return Ok(None) };
        let body = zstd::decode_all(&body[..]).map_err(|error| self.io(error))?;
        serde_json::from_slice(&body).map(Some).map_err(|error| self.io(error.into()))
    }

    fn database(&self, source: rusqlite::Error) -> ReportError {
        ReportError::Database { path: self.path.clone(), source }
    }

    fn io(&self, source: std::io::Error) -> ReportError {
        ReportError::Io { path: self.path.clone(), source }
    }
}
