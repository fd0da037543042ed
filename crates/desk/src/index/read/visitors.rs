//! Visitors together: how many are new, who makes the noise, who brings the most.

use super::super::filter::Filter;
use super::super::fold::HOUR;
use super::super::view::{SourceRow, Spike, Visitors};
use super::super::{Index, IndexError};
use super::{Wanted, address, bounded, count};
use crate::derived::to_sql;
use roridula_proto::time::WallClock;
use rusqlite::types::Value;
use rusqlite::{Row, params_from_iter};

impl Index {
    /// How many of the filter's visitors were heard of in its span of whole hours, and how many of them came in it first.
    pub fn visitors(&mut self, filter: &Filter) -> Result<Visitors, IndexError> {
        let (first, last) = filter.span.intervals(HOUR);
        let hour = to_sql(HOUR);
        let (begins, ends) = (first.saturating_mul(hour), last.saturating_mul(hour).saturating_add(hour - 1));
        // Only of those who came before it and after it, the hours have to be looked up.
        let came = "s.connections > 0 AND s.last >= ?1 AND s.first <= ?2 AND (s.first >= ?1 OR s.last <= ?2 OR EXISTS (
                SELECT 1 FROM source_hour h WHERE h.source = s.n AND h.at BETWEEN ?3 AND ?4 AND h.connections > 0))";
        self.look(|index| {
            let mut wanted = Wanted::default();
            wanted.and(came, [begins, ends, first, last].map(Value::from));
            wanted.of_source(index, filter)?;
            let sql = format!(
                "SELECT ifnull(sum(s.first >= ?1), 0), count(*) FROM source s WHERE {}",
                wanted.text()
            );
            let read = |row: &Row<'_>| Ok((count(row, 0)?, count(row, 1)?));
            let found = index.file.rows(&sql, params_from_iter(&wanted.values), read)?;
            let (new, all) = found.first().copied().unwrap_or_default();
            Ok(Visitors { new, returning: all.saturating_sub(new) })
        })
    }

    /// The hours of the filter's span in which one of its visitors made at least `least` connections, and more than
    /// all others together; in order.
    pub fn spikes(&mut self, filter: &Filter, least: u64) -> Result<Vec<Spike>, IndexError> {
        let (first, last) = filter.span.intervals(HOUR);
        self.look(|index| {
            let mut wanted = Wanted::default();
            let apart = "o.at BETWEEN ? AND ? AND o.connections >= ? AND o.connections * 2 > h.connections";
            wanted.and(apart, [first, last, to_sql(least)].map(Value::from));
            wanted.of_source(index, filter)?;
            let sql = format!(
                "SELECT o.at, s.ip, o.connections FROM source_hour o JOIN hour h ON h.at = o.at
                JOIN source s ON s.n = o.source WHERE {} ORDER BY o.at",
                wanted.text()
            );
            index.file.rows(&sql, params_from_iter(&wanted.values), |row| {
                let begins = WallClock(count(row, 0)?.saturating_mul(HOUR));
                Ok(Spike { begins, source: address(row, 1)?, connections: count(row, 2)? })
            })
        })
    }

    /// Which of the filter's visitors brought the most uploads in its span, the most first, with how many each.
    pub fn senders_of_most(
        &mut self,
        filter: &Filter,
        limit: usize,
    ) -> Result<Vec<(SourceRow, u64)>, IndexError> {
        let limit = bounded(limit).1 - 1;
        self.look(|index| {
            let mut wanted = Wanted::captures(index, &Filter { payloads: true, ..filter.clone() })?;
            let sql = format!(
                "SELECT source, count(*) FROM capture r WHERE {}
                GROUP BY source ORDER BY count(*) DESC, source LIMIT ?",
                wanted.text()
            );
            wanted.values.push(Value::from(limit));
            let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, count(row, 1)?));
            let most = index.file.rows(&sql, params_from_iter(&wanted.values), read)?;
            let mut rows = Vec::with_capacity(most.len());
            for (n, captures) in most {
                let mut wanted = Wanted::default();
                wanted.and("s.n = ?", [Value::from(n)]);
                let found = index.sources_where(&wanted, "", [], filter.span)?;
                rows.extend(found.into_iter().map(|(_, row)| (row, captures)));
            }
            Ok(rows)
        })
    }
}
