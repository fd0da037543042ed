//! What came in a time, to the moment: whole hours from the roll-ups, and what is left of it from the rows.

use super::super::filter::{Filter, Span};
use super::super::fold::HOUR;
use super::super::view::{Exact, Step};
use super::super::{Index, IndexError};
use super::{Wanted, count};
use crate::derived::to_sql;
use roridula_proto::time::WallClock;
use rusqlite::types::Value;
use rusqlite::{Row, params_from_iter};

impl Index {
    /// How many connections the filter's visitors made in its span, and how many uploads of theirs were captured in it.
    pub fn exact(&mut self, filter: &Filter) -> Result<Exact, IndexError> {
        self.look(|index| {
            let wanted = Wanted::captures(index, &Filter { payloads: true, ..filter.clone() })?;
            let sql = format!(
                "SELECT count(*), ifnull(sum(r.first_seen), 0) FROM capture r WHERE {}",
                wanted.text()
            );
            let read = |row: &Row<'_>| Ok((count(row, 0)?, count(row, 1)?));
            let found = index.file.rows(&sql, params_from_iter(&wanted.values), read)?;
            let (uploads, new_samples) = found.first().copied().unwrap_or_default();
            Ok(Exact { connections: index.connections_in(filter)?, uploads, new_samples })
        })
    }

    fn connections_in(&self, filter: &Filter) -> Result<u64, IndexError> {
        let Span { since, until } = filter.span;
        let (first, end) = (since.0.div_ceil(HOUR), until.0 / HOUR);
        if first >= end {
            return self.connections_between(filter, since, until);
        }
        let [begins, ends] = [first, end].map(|hour| WallClock(hour * HOUR));
        let before = self.connections_between(filter, since, begins)?;
        let after = self.connections_between(filter, ends, until)?;
        let whole = Filter { span: Span { since: begins, until: ends }, ..filter.clone() };
        Ok(before + self.connections_of_hours(&whole)? + after)
    }

    /// Of a span that begins and ends with an hour.
    fn connections_of_hours(&self, filter: &Filter) -> Result<u64, IndexError> {
        let mut wanted = Wanted::default();
        wanted.visitors(self, filter)?;
        let table = if wanted.sql.is_empty() { "hour" } else { "source_hour" };
        let (first, last) = filter.span.intervals(HOUR);
        wanted.and("at BETWEEN ? AND ?", [first, last].map(Value::from));
        let sql = format!("SELECT sum(connections) FROM {table} WHERE {}", wanted.text());
        self.number(&sql, params_from_iter(&wanted.values))
    }

    /// Of a part of an hour, row by row.
    fn connections_between(
        &self,
        filter: &Filter,
        since: WallClock,
        until: WallClock,
    ) -> Result<u64, IndexError> {
        if since >= until {
            return Ok(0);
        }
        let mut wanted = Wanted::default();
        let between = [to_sql(since.0), to_sql(until.0)].map(Value::from);
        wanted.and(format!("opened >= ? AND opened < ? AND reached & {}", Step::Connect.bit()), between);
        wanted.visitors(self, filter)?;
        let sql =
            format!("SELECT count(*) FROM connection INDEXED BY connection_opened WHERE {}", wanted.text());
        self.number(&sql, params_from_iter(&wanted.values))
    }
}
