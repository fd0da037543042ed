//! What is still to be asked: derived from the journal's `sample.triaged`, and kept so that memory stays small.

use super::LookupError;
use super::book::Lookups;
use super::service::Service;
use super::wanted::Wanted;
use rusqlite::{OptionalExtension, params};

/// A sample that may have a hash to ask for.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    /// Its SHA-256.
    pub(super) sample: String,
    /// Its hashes, in order.
    pub(super) wanted: Vec<Wanted>,
}

/// How often a file was handed over.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Upload {
    pub(super) tries: u32,
    pub(super) at: i64,
    pub(super) done: bool,
}

impl Lookups {
    /// The journal's `seq` up to which samples were noted.
    pub(super) fn cursor(&self) -> Result<u64, LookupError> {
        let row: Option<i64> = self
            .db
            .query_row("SELECT seq FROM cursor", [], |row| row.get(0))
            .optional()
            .map_err(self.fail())?;
        Ok(row.and_then(|seq| u64::try_from(seq).ok()).unwrap_or(0))
    }

    pub(super) fn set_cursor(&self, seq: u64) -> Result<(), LookupError> {
        let seq = i64::try_from(seq).unwrap_or(i64::MAX);
        let sql = "INSERT OR REPLACE INTO cursor VALUES (1, ?)";
        self.db.execute(sql, params![seq]).map(drop).map_err(self.fail())
    }

    /// Notes a sample; one noted earlier gets these hashes and is looked at again.
    pub(super) fn note(&self, subject: &Subject, priority: i64, noted: i64) -> Result<(), LookupError> {
        let wanted = serde_json::to_string(&subject.wanted).unwrap_or_default();
        let sql = "INSERT OR REPLACE INTO subject VALUES (?, ?, ?, ?)";
        self.db.execute(sql, params![subject.sample, wanted, priority, noted]).map_err(self.fail())?;
        for service in Service::ALL {
            self.set_due(service, &subject.sample, 0)?;
        }
        Ok(())
    }

    /// When a sample is to be looked at again.
    pub(super) fn set_due(&self, service: Service, sample: &str, at: i64) -> Result<(), LookupError> {
        let sql = "INSERT OR REPLACE INTO due VALUES (?, ?, ?)";
        self.db.execute(sql, params![service.id(), sample, at]).map(drop).map_err(self.fail())
    }

    /// At most `limit` samples to be looked at now, the most wanted and then the newest first.
    pub(super) fn due(&self, service: Service, now: i64, limit: u32) -> Result<Vec<Subject>, LookupError> {
        let sql = "SELECT s.sample, s.wanted FROM due d JOIN subject s ON s.sample = d.sample
            WHERE d.service = ? AND d.at <= ? ORDER BY s.priority DESC, s.noted DESC LIMIT ?";
        let mut statement = self.db.prepare_cached(sql).map_err(self.fail())?;
        let rows = statement.query_map(params![service.id(), now, limit], |row| {
            let wanted: String = row.get(1)?;
            Ok(Subject { sample: row.get(0)?, wanted: serde_json::from_str(&wanted).unwrap_or_default() })
        });
        rows.and_then(Iterator::collect).map_err(self.fail())
    }

    pub(super) fn upload(&self, sample: &str) -> Result<Upload, LookupError> {
        let sql = "SELECT tries, at, done FROM upload WHERE sample = ?";
        let read =
            |row: &rusqlite::Row<'_>| Ok(Upload { tries: row.get(0)?, at: row.get(1)?, done: row.get(2)? });
        let row = self.db.query_row(sql, params![sample], read).optional().map_err(self.fail())?;
        Ok(row.unwrap_or_default())
    }

    pub(super) fn set_upload(&self, sample: &str, upload: Upload) -> Result<(), LookupError> {
        let sql = "INSERT OR REPLACE INTO upload VALUES (?, ?, ?, ?)";
        let values = params![sample, upload.tries, upload.at, upload.done];
        self.db.execute(sql, values).map(drop).map_err(self.fail())
    }
}
