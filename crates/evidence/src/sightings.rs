//! Who brought which sample, for all samples at once.

use crate::pack::take_ip;
use crate::samples::SampleId;
use crate::{Reader, StoreError};
use roridula_proto::connection::ConnectionId;
use roridula_proto::time::WallClock;
use std::net::IpAddr;

/// How often a source brought a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceCount {
    /// The visitor.
    pub source: IpAddr,
    /// Captures of the sample from there.
    pub captures: u64,
    /// The first.
    pub first: WallClock,
    /// The latest.
    pub last: WallClock,
}

impl Reader {
    /// Which sources brought each sample, how often and when; the first seen first. One query, which the database
    /// groups: as much as there are pairs, not captures.
    pub fn sample_sources(&self) -> Result<Vec<(SampleId, Vec<SourceCount>)>, StoreError> {
        let sql = "SELECT s.sha256, substr(k.source, 1, length(k.source) - 2) AS address, count(*),
                min(k.at + e.time), max(k.at + e.time)
            FROM capture c JOIN sample s ON s.n = c.sample JOIN connection k ON k.n = c.conn
            JOIN event e ON e.seq = c.seq GROUP BY c.sample, address ORDER BY c.sample, address";
        self.grouped(sql, |row| {
            let address: Vec<u8> = row.get(1)?;
            Ok(SourceCount {
                source: take_ip(&address).ok_or(rusqlite::Error::IntegralValueOutOfRange(1, 0))?,
                captures: number(row, 2)?,
                first: WallClock(number(row, 3)?),
                last: WallClock(number(row, 4)?),
            })
        })
    }

    /// On which connections each sample came, each named once, the oldest first.
    pub fn sample_connections(&self) -> Result<Vec<(SampleId, Vec<ConnectionId>)>, StoreError> {
        let sql = "SELECT s.sha256, k.id FROM capture c JOIN sample s ON s.n = c.sample
            JOIN connection k ON k.n = c.conn GROUP BY c.sample, k.id ORDER BY c.sample, k.id";
        self.grouped(sql, |row| Ok(ConnectionId(number(row, 1)?)))
    }

    /// The rows of `sql`, whose first column is a sample and which come sample by sample.
    fn grouped<T>(
        &self,
        sql: &str,
        mut read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<(SampleId, Vec<T>)>, StoreError> {
        let mut statement = self.db().prepare_cached(sql).map_err(self.fail())?;
        let rows = statement.query_map([], |row| Ok((SampleId(row.get(0)?), read(row)?)));
        let mut groups: Vec<(SampleId, Vec<T>)> = Vec::new();
        for row in rows.map_err(self.fail())? {
            let (sample, item) = row.map_err(self.fail())?;
            match groups.last_mut() {
                Some((last, items)) if *last == sample => items.push(item),
                _ => groups.push((sample, vec![item])),
            }
        }
        Ok(groups)
    }
}

fn number(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(at).map(|value| u64::try_from(value).unwrap_or(0))
}
