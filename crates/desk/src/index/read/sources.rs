//! Visitors.

use super::super::filter::{Cursor, Filter, SourceOrder, Span};
use super::super::fold::HOUR;
use super::super::view::{COUNTED, Counts, Page, SourceRow, Step};
use super::super::{Index, IndexError};
use super::traffic::counts;
use super::{Wanted, address, bounded, count, cut, time};
use crate::derived::to_sql;
use rusqlite::types::Value;
use rusqlite::{Row, params, params_from_iter};
use std::net::IpAddr;

const COLUMNS: &str = "s.n, s.ip, s.first, s.last, s.connections, s.captures, s.reached, s.days, s.uploads";

impl Index {
    /// Visitors who came in the filter's span, from its network, ever took its step, used its tool in an hour of the
    /// span, ever had its fingerprint, and ever brought one of its samples. `new`: only those who came first
    /// in the span, or only those who had been here before.
    pub fn sources(
        &mut self,
        filter: &Filter,
        new: Option<bool>,
        order: SourceOrder,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<SourceRow>, IndexError> {
        let cursor = Cursor::read(cursor)?;
        self.look(|index| index.read_sources(filter, new, order, cursor, limit))
    }

    /// One visitor, with what it did in a span.
    pub fn source(&mut self, source: IpAddr, span: Span) -> Result<Option<SourceRow>, IndexError> {
        self.look(|index| {
            let mut wanted = Wanted::default();
            let ip = super::super::fold::address_bytes(source.to_canonical());
            wanted.and("s.ip = ?", [Value::from(ip.to_vec())]);
            Ok(index.sources_where(&wanted, "ORDER BY s.n LIMIT 1", [], span)?.pop().map(|(_, row)| row))
        })
    }

    fn read_sources(
        &self,
        filter: &Filter,
        new: Option<bool>,
        order: SourceOrder,
        cursor: Cursor,
        limit: usize,
    ) -> Result<Page<SourceRow>, IndexError> {
        let (limit, more) = bounded(limit);
        let mut wanted = Wanted::default();
        // Who was only turned away, or is told of later than it was here, is no visitor.
        wanted.and("s.connections > 0", []);
        wanted.of_source(self, filter)?;
        if let Some(fingerprint) = &filter.fingerprint {
            let sql = "s.n IN (SELECT h.source FROM fingerprint f JOIN fingerprint_hour h ON h.n = f.n
                WHERE f.name = ?)";
            wanted.and(sql, [Value::from(fingerprint.clone())]);
        }
        let begins = to_sql(filter.span.since.0 / HOUR * HOUR);
        if let Some(new) = new {
            wanted.and(format!("s.first {} ?", if new { ">=" } else { "<" }), [Value::from(begins)]);
        }
        let by_count = matches!(order, SourceOrder::Connections | SourceOrder::Uploads);
        let pages = match (filter.span == Span::ALL, by_count) {
            (false, true) => self.by_activity(&wanted, filter.span, order, cursor, more)?,
            (all, _) => {
                if !all {
                    active(&mut wanted, filter.span);
                }
                self.by_column(wanted, filter.span, order, cursor, more)?
            }
        };
        Ok(cut(pages, limit))
    }

    /// In the order of a column of the table, which has an index.
    fn by_column(
        &self,
        mut wanted: Wanted,
        span: Span,
        order: SourceOrder,
        cursor: Cursor,
        limit: i64,
    ) -> Result<Vec<(Cursor, SourceRow)>, IndexError> {
        let key = match order {
            SourceOrder::Last => "last",
            SourceOrder::First => "first",
            SourceOrder::Connections => "connections",
            SourceOrder::Uploads => "uploads",
        };
        wanted.and(format!("(s.{key}, s.n) < (?, ?)"), [cursor.0, cursor.1].map(Value::from));
        let tail = format!("ORDER BY s.{key} DESC, s.n DESC LIMIT ?");
        let rows = self.sources_where(&wanted, &tail, [Value::from(limit)], span)?;
        let cursor = |n, row: &SourceRow| {
            let key = match order {
                SourceOrder::Last => row.last.0,
                SourceOrder::First => row.first.0,
                SourceOrder::Connections => row.connections,
                SourceOrder::Uploads => row.uploads,
            };
            Cursor(to_sql(key), n)
        };
        Ok(rows.into_iter().map(|(n, row)| (cursor(n, &row), row)).collect())
    }

    /// In the order of what they did in the span.
    fn by_activity(
        &self,
        wanted: &Wanted,
        span: Span,
        order: SourceOrder,
        cursor: Cursor,
        limit: i64,
    ) -> Result<Vec<(Cursor, SourceRow)>, IndexError> {
        let column = if order == SourceOrder::Uploads { "uploads" } else { "connections" };
        let (first, last) = span.intervals(HOUR);
        let sql = format!(
            "SELECT s.n, a.key FROM (SELECT source, sum({column}) AS key FROM source_hour WHERE at BETWEEN ? AND ?
                GROUP BY source) a JOIN source s ON s.n = a.source
            WHERE (a.key, s.n) < (?, ?) AND {} ORDER BY a.key DESC, s.n DESC LIMIT ?",
            wanted.text()
        );
        let before = [first, last, cursor.0, cursor.1].map(Value::from);
        let limit = Value::from(limit);
        let values = before.iter().chain(&wanted.values).chain([&limit]);
        let keys: Vec<(i64, i64)> =
            self.file.rows(&sql, params_from_iter(values), |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut rows = Vec::with_capacity(keys.len());
        for (n, key) in keys {
            let mut one = Wanted::default();
            one.and("s.n = ?", [Value::from(n)]);
            let found = self.sources_where(&one, "", [], span)?;
            rows.extend(found.into_iter().map(|(_, row)| (Cursor(key, n), row)));
        }
        Ok(rows)
    }

    /// Rows with what they did in the span.
    pub(super) fn sources_where(
        &self,
        wanted: &Wanted,
        tail: &str,
        tail_values: impl IntoIterator<Item = Value>,
        span: Span,
    ) -> Result<Vec<(i64, SourceRow)>, IndexError> {
        let sql = format!("SELECT {COLUMNS} FROM source s WHERE {} {tail}", wanted.text());
        let values = wanted.values.iter().cloned().chain(tail_values);
        let begins = span.since.0 / HOUR * HOUR;
        let ends = span.until.0.div_ceil(HOUR).saturating_mul(HOUR);
        let mut rows = self.file.rows(&sql, params_from_iter(values), |row| {
            let mut row = source(row)?;
            row.1.new = (begins..ends).contains(&row.1.first.0);
            Ok(row)
        })?;
        for (n, row) in &mut rows {
            row.counts = self.counts_of(*n, span)?;
        }
        Ok(rows)
    }

    fn counts_of(&self, source: i64, span: Span) -> Result<Counts, IndexError> {
        let (first, last) = span.intervals(HOUR);
        let columns = COUNTED.map(|name| format!("sum({name})")).join(", ");
        let sql = format!("SELECT {columns} FROM source_hour WHERE source = ? AND at BETWEEN ? AND ?");
        let found = self.file.rows(&sql, params![source, first, last], |row| counts(row, 0))?;
        Ok(found.first().copied().unwrap_or_default())
    }
}

/// Only who came in the span.
fn active(wanted: &mut Wanted, span: Span) {
    let (first, last) = span.intervals(HOUR);
    let hour = HOUR as i64;
    // The cheap test first.
    let ends = last.saturating_mul(hour).saturating_add(hour - 1);
    wanted.and("s.last >= ? AND s.first <= ?", [first.saturating_mul(hour), ends].map(Value::from));
    let sql = "EXISTS (SELECT 1 FROM source_hour h WHERE h.source = s.n AND h.at BETWEEN ? AND ? AND h.connections > 0)";
    wanted.and(sql, [first, last].map(Value::from));
}

fn source(row: &Row<'_>) -> rusqlite::Result<(i64, SourceRow)> {
    let found = SourceRow {
        source: address(row, 1)?,
        first: time(row, 2)?,
        last: time(row, 3)?,
        counts: Counts::default(),
        connections: count(row, 4)?,
        captures: count(row, 5)?,
        uploads: count(row, 8)?,
        furthest: Step::furthest(row.get(6)?),
        days: count(row, 7)?,
        new: false,
    };
    Ok((row.get(0)?, found))
}
