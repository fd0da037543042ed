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
        self.look(|index| match filter.step {
            // What roll-ups do not tell of an upload.
            Some(Step::Complete | Step::New) => {
                let all = index.exact_of(filter)?;
                let (uploads, new_samples) = index.uploads_in(filter)?;
                Ok(Exact { uploads, new_samples, ..all })
            }
            _ => index.exact_of(filter),
        })
    }

    fn exact_of(&self, filter: &Filter) -> Result<Exact, IndexError> {
        let Span { since, until } = filter.span;
        let (first, end) = (since.0.div_ceil(HOUR), until.0 / HOUR);
        if first >= end {
            return self.part(filter, since, until);
        }
        let [begins, ends] = [first, end].map(|hour| WallClock(hour * HOUR));
        let whole = Filter { span: Span { since: begins, until: ends }, ..filter.clone() };
        let parts =
            [self.part(filter, since, begins)?, self.whole_hours(&whole)?, self.part(filter, ends, until)?];
        let sum = |of: fn(&Exact) -> u64| parts.iter().map(of).sum();
        Ok(Exact {
            connections: sum(|part| part.connections),
            uploads: sum(|part| part.uploads),
            new_samples: sum(|part| part.new_samples),
        })
    }

    /// Of a span that begins and ends with an hour.
    fn whole_hours(&self, filter: &Filter) -> Result<Exact, IndexError> {
        let mut wanted = Wanted::default();
        wanted.visitors(self, filter)?;
        let table = if wanted.sql.is_empty() { "hour" } else { "source_hour" };
        let (first, last) = filter.span.intervals(HOUR);
        wanted.and("at BETWEEN ? AND ?", [first, last].map(Value::from));
        let columns = ["connections", "uploads", "new_samples"].map(|name| format!("ifnull(sum({name}), 0)"));
        let sql = format!("SELECT {} FROM {table} WHERE {}", columns.join(", "), wanted.text());
        let read = |row: &Row<'_>| {
            let (connections, uploads, new_samples) = (count(row, 0)?, count(row, 1)?, count(row, 2)?);
            Ok(Exact { connections, uploads, new_samples })
        };
        let found = self.file.rows(&sql, params_from_iter(&wanted.values), read)?;
        Ok(found.first().copied().unwrap_or_default())
    }

    /// Of a part of an hour, row by row.
    fn part(&self, filter: &Filter, since: WallClock, until: WallClock) -> Result<Exact, IndexError> {
        if since >= until {
            return Ok(Exact::default());
        }
        let mut wanted = Wanted::default();
        let between = [to_sql(since.0), to_sql(until.0)].map(Value::from);
        wanted.and(format!("opened >= ? AND opened < ? AND reached & {}", Step::Connect.bit()), between);
        wanted.visitors(self, filter)?;
        let sql =
            format!("SELECT count(*) FROM connection INDEXED BY connection_opened WHERE {}", wanted.text());
        let connections = self.number(&sql, params_from_iter(&wanted.values))?;
        let part = Filter { span: Span { since, until }, ..filter.clone() };
        let (uploads, new_samples) = self.uploads_in(&part)?;
        Ok(Exact { connections, uploads, new_samples })
    }

    /// Captured uploads that fit, row by row, and those of them that are new.
    fn uploads_in(&self, filter: &Filter) -> Result<(u64, u64), IndexError> {
        let wanted = Wanted::captures(self, &Filter { payloads: true, ..filter.clone() })?;
        let sql =
            format!("SELECT count(*), ifnull(sum(r.first_seen), 0) FROM capture r WHERE {}", wanted.text());
        let read = |row: &Row<'_>| Ok((count(row, 0)?, count(row, 1)?));
        let found = self.file.rows(&sql, params_from_iter(&wanted.values), read)?;
        Ok(found.first().copied().unwrap_or_default())
    }
}
