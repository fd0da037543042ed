//! Visitors together: how many are new, who makes the noise, who brings the most.

use super::super::filter::Span;
use super::super::fold::HOUR;
use super::super::view::{SourceRow, Spike, Visitors};
use super::super::{Index, IndexError};
use super::captures::PAYLOADS;
use super::{Wanted, address, bounded, count};
use crate::derived::to_sql;
use roridula_proto::time::WallClock;
use rusqlite::params;
use rusqlite::types::Value;

impl Index {
    /// How many visitors were heard of in a span of whole hours, and how many of them came in it first.
    pub fn visitors(&mut self, span: Span) -> Result<Visitors, IndexError> {
        let (first, last) = span.intervals(HOUR);
        let hour = to_sql(HOUR);
        let (begins, ends) = (first.saturating_mul(hour), last.saturating_mul(hour).saturating_add(hour - 1));
        // Only of those who came before it and after it, the hours have to be looked up.
        let sql = "SELECT ifnull(sum(first >= ?1), 0), count(*) FROM source
            WHERE connections > 0 AND last >= ?1 AND first <= ?2 AND (first >= ?1 OR last <= ?2 OR EXISTS (
                SELECT 1 FROM source_hour h
                WHERE h.source = source.n AND h.at BETWEEN ?3 AND ?4 AND h.connections > 0))";
        self.look(|index| {
            let values = params![begins, ends, first, last];
            let found = index.file.rows(sql, values, |row| Ok((count(row, 0)?, count(row, 1)?)))?;
            let (new, all) = found.first().copied().unwrap_or_default();
            Ok(Visitors { new, returning: all.saturating_sub(new) })
        })
    }

    /// The hours of a span in which one visitor made at least `least` connections, and more than all others
    /// together; in order.
    pub fn spikes(&mut self, span: Span, least: u64) -> Result<Vec<Spike>, IndexError> {
        let (first, last) = span.intervals(HOUR);
        let sql = "SELECT o.at, s.ip, o.connections FROM source_hour o JOIN hour h ON h.at = o.at
            JOIN source s ON s.n = o.source
            WHERE o.at BETWEEN ? AND ? AND o.connections >= ? AND o.connections * 2 > h.connections
            ORDER BY o.at";
        self.look(|index| {
            index.file.rows(sql, params![first, last, to_sql(least)], |row| {
                let begins = WallClock(count(row, 0)?.saturating_mul(HOUR));
                Ok(Spike { begins, source: address(row, 1)?, connections: count(row, 2)? })
            })
        })
    }

    /// Who brought the most uploads in a span, the most first, with how many each.
    pub fn senders_of_most(&mut self, span: Span, limit: usize) -> Result<Vec<(SourceRow, u64)>, IndexError> {
        let (since, until) = span.moments();
        let sql = format!(
            "SELECT source, count(*) FROM capture r WHERE at BETWEEN ? AND ? AND {PAYLOADS}
            GROUP BY source ORDER BY count(*) DESC, source LIMIT ?"
        );
        let limit = bounded(limit).1 - 1;
        self.look(|index| {
            let most = index.file.rows(&sql, params![since, until, limit], |row| {
                Ok((row.get::<_, i64>(0)?, count(row, 1)?))
            })?;
            let mut rows = Vec::with_capacity(most.len());
            for (n, captures) in most {
                let mut wanted = Wanted::default();
                wanted.and("s.n = ?", [Value::from(n)]);
                let found = index.sources_where(&wanted, "", [], span)?;
                rows.extend(found.into_iter().map(|(_, row)| (row, captures)));
            }
            Ok(rows)
        })
    }
}
