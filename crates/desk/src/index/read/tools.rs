//! Implementations: known tools, fingerprints, and what nobody knows.

use super::super::filter::{Cursor, Filter, Shapes, Span};
use super::super::fold::{DAY, EXAMPLES_MAX, HOUR};
use super::super::view::{FingerprintRow, Page, ShapeRow, ToolRow};
use super::super::{Index, IndexError};
use super::{Wanted, bounded, count, cut, time, words};
use crate::derived::to_sql;
use roridula_proto::connection::ConnectionId;
use roridula_proto::time::WallClock;
use rusqlite::types::Value;
use rusqlite::{Row, params, params_from_iter};
use std::collections::{BTreeSet, HashMap};

/// With `s`, what is summed up of it.
const FINGERPRINT: &str =
    "SELECT t.n, t.name, t.features, t.tools, t.grounds, t.recognised, t.shape, s.count, s.sources, s.first,
    s.last FROM fingerprint t";

impl Index {
    /// The known tools of the filter's visitors in a span of whole hours, the most frequent first. The filter's tool:
    /// only this one.
    pub fn tools(&mut self, filter: &Filter) -> Result<Vec<ToolRow>, IndexError> {
        self.look(|index| {
            let mut hours = Wanted::hours(index, filter)?;
            if let Some(tool) = &filter.tool {
                hours.and("n = ?", [Value::from(tool.clone())]);
            }
            let sql = format!(
                "SELECT n, sum(count), count(DISTINCT source), min(first), max(last) FROM tool_hour
                WHERE {} GROUP BY n ORDER BY sum(count) DESC, n",
                hours.text()
            );
            index.file.rows(&sql, params_from_iter(&hours.values), |row| {
                Ok(ToolRow {
                    tool: row.get(0)?,
                    connections: count(row, 1)?,
                    sources: count(row, 2)?,
                    first: time(row, 3)?,
                    last: time(row, 4)?,
                })
            })
        })
    }

    /// Connections of the known tools of the filter's visitors, from the whole hour in which its span begins to the
    /// moment at which it ends: the part of a time that is as long as another one that is not over.
    pub fn tools_until(&mut self, filter: &Filter) -> Result<HashMap<String, u64>, IndexError> {
        let until = filter.span.until.0;
        let hour = until / HOUR * HOUR;
        let whole = Span { until: WallClock(hour), ..filter.span };
        let rows = self.tools(&Filter { span: whole, ..filter.clone() })?;
        let mut counts: HashMap<String, u64> =
            rows.into_iter().map(|row| (row.tool, row.connections)).collect();
        let rest: Vec<(Vec<String>, u64)> = self.look(|index| {
            let mut wanted = Wanted::default();
            // A tool is named when a connection ends, and nobody stays for a day.
            let times = [hour.saturating_sub(DAY), until, hour, until].map(to_sql);
            wanted.and("opened BETWEEN ? AND ? AND closed >= ? AND closed < ?", times.map(Value::from));
            wanted.visitors(index, filter)?;
            let sql = format!(
                "SELECT t.names, count(*) FROM connection JOIN toolset t ON t.n = toolset WHERE {} GROUP BY t.n",
                wanted.text()
            );
            let read = |row: &Row<'_>| Ok((words(&row.get::<_, String>(0)?), count(row, 1)?));
            index.file.rows(&sql, params_from_iter(&wanted.values), read)
        })?;
        for (tools, connections) in rest {
            let asked = |tool: &String| filter.tool.as_ref().is_none_or(|only| only == tool);
            tools.into_iter().filter(asked).for_each(|tool| *counts.entry(tool).or_default() += connections);
        }
        Ok(counts)
    }

    /// The names of all known tools that were ever seen.
    pub fn tool_names(&mut self) -> Result<Vec<String>, IndexError> {
        self.look(|index| {
            let sets = index.file.rows("SELECT names FROM toolset", [], |row| row.get::<_, String>(0))?;
            let names: BTreeSet<String> = sets.iter().flat_map(|set| words(set)).collect();
            Ok(names.into_iter().collect())
        })
    }

    /// Fingerprints of the filter's visitors in a span of whole hours, and that prove its tool: the most frequent of
    /// theirs in that time first.
    pub fn fingerprints(
        &mut self,
        filter: &Filter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<FingerprintRow>, IndexError> {
        let cursor = Cursor::read(cursor)?;
        let (limit, more) = bounded(limit);
        self.look(|index| {
            let hours = Wanted::hours(index, &Filter { tool: None, ..filter.clone() })?;
            let mut wanted = Wanted { sql: Vec::new(), values: hours.values.clone() };
            wanted.and("(s.count, s.n) < (?, ?)", [cursor.0, cursor.1].map(Value::from));
            if let Some(tool) = &filter.tool {
                // Quoted as it stands in the JSON array.
                let quoted = serde_json::Value::from(tool.as_str()).to_string();
                wanted.and("instr(t.tools, ?)", [Value::from(quoted)]);
            }
            wanted.values.push(Value::from(more));
            let sql = format!(
                "{FINGERPRINT} JOIN ({}) s ON s.n = t.n WHERE {} ORDER BY s.count DESC, s.n DESC LIMIT ?",
                hours.sums("fingerprint"),
                wanted.text()
            );
            let rows = index.fingerprint_rows(&sql, params_from_iter(&wanted.values))?;
            let key =
                |(n, row): (i64, FingerprintRow)| (Cursor(crate::derived::to_sql(row.connections), n), row);
            Ok(cut(rows.into_iter().map(key).collect(), limit))
        })
    }

    /// One fingerprint.
    pub fn fingerprint(&mut self, fingerprint: &str) -> Result<Option<FingerprintRow>, IndexError> {
        let sql = format!("{FINGERPRINT} JOIN fingerprint s USING (n) WHERE t.name = ?");
        self.look(|index| Ok(index.fingerprint_rows(&sql, [fingerprint])?.pop().map(|(_, row)| row)))
    }

    pub(super) fn fingerprints_named(
        &self,
        prefix: &str,
        limit: i64,
    ) -> Result<Vec<FingerprintRow>, IndexError> {
        let sql = format!(
            "{FINGERPRINT} JOIN fingerprint s USING (n) WHERE t.name >= ?1 AND t.name < ?1 || 'g'
            ORDER BY t.name LIMIT ?2"
        );
        let rows = self.fingerprint_rows(&sql, params![prefix, limit])?;
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }

    /// The fingerprints behind a shape, the most frequent first.
    pub fn fingerprints_of_shape(
        &mut self,
        shape: &str,
        limit: usize,
    ) -> Result<Vec<FingerprintRow>, IndexError> {
        let sql = format!(
            "{FINGERPRINT} JOIN fingerprint s USING (n) WHERE t.shape = ? ORDER BY t.count DESC, t.n LIMIT ?"
        );
        let limit = bounded(limit).1 - 1;
        self.look(|index| {
            let rows = index.fingerprint_rows(&sql, params![shape, limit])?;
            Ok(rows.into_iter().map(|(_, row)| row).collect())
        })
    }

    fn fingerprint_rows(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
    ) -> Result<Vec<(i64, FingerprintRow)>, IndexError> {
        let rows = self.file.rows(sql, values, |row| {
            let lists: [String; 3] = [row.get(3)?, row.get(4)?, row.get(5)?];
            Ok((row.get(0)?, fingerprint(row)?, lists))
        })?;
        let whole = |(n, row, [tools, grounds, recognised]): (i64, FingerprintRow, [String; 3])| {
            let (tools, grounds) = (self.file.parsed(&tools)?, self.file.parsed(&grounds)?);
            Ok((n, FingerprintRow { tools, grounds, recognised: self.file.parsed(&recognised)?, ..row }))
        };
        rows.into_iter().map(whole).collect()
    }

    /// Connections of the filter's visitors, in a span of whole hours, in which no recogniser found anything, put
    /// together by shape.
    pub fn unknown(
        &mut self,
        filter: &Filter,
        shapes: &Shapes<'_>,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<ShapeRow>, IndexError> {
        let cursor = Cursor::read(cursor)?;
        let (limit, more) = bounded(limit);
        let begins = crate::derived::to_sql(filter.span.since.0 / HOUR * HOUR);
        // The columns of both orders stand at these places.
        let (order, key) = if shapes.latest { ("latest", 4) } else { ("total", 2) };
        self.look(|index| {
            let hours = Wanted::hours(index, filter)?;
            let mut wanted = Wanted { sql: Vec::new(), values: hours.values.clone() };
            if shapes.strangers {
                wanted.and("NOT t.known", []);
            }
            if let Some(shape) = shapes.only {
                wanted.and("t.shape = ?", [Value::from(shape.to_owned())]);
            }
            let sql = format!(
                "SELECT max(t.n) AS key, t.shape, sum(s.count) AS total, min(s.first), max(s.last) AS latest,
                    group_concat(t.tools, ' '), group_concat(t.examples, ' ' ORDER BY t.known), sum(s.sources),
                    max(s.connection), min(t.first) >= {begins}
                FROM shape t JOIN ({}) s ON s.n = t.n WHERE {} GROUP BY t.shape HAVING ({order}, key) < (?, ?)
                ORDER BY {order} DESC, key DESC LIMIT ?",
                hours.sums("shape"),
                wanted.text()
            );
            wanted.values.extend([cursor.0, cursor.1, more].map(Value::from));
            let read = |row: &Row<'_>| Ok((Cursor(row.get(key)?, row.get(0)?), shape_row(row)?));
            let mut page = cut(index.file.rows(&sql, params_from_iter(&wanted.values), read)?, limit);
            if !hours.sql.is_empty() {
                index.tell_examples(&hours, shapes.strangers, &mut page.rows)?;
            }
            if !shapes.strangers {
                index.tell_hosts(&hours, &mut page.rows)?;
            }
            Ok(page)
        })
    }

    /// Puts connections of the filter's in the place of the examples, which are of anybody: the latest ones of its hours and
    /// visitors, and what of the examples fits.
    fn tell_examples(
        &self,
        hours: &Wanted,
        strangers: bool,
        rows: &mut [ShapeRow],
    ) -> Result<(), IndexError> {
        let mut wanted = hours.clone();
        let shapes: Vec<&str> = rows.iter().map(|row| row.shape.as_str()).collect();
        wanted.and("t.shape IN (SELECT value FROM json_each(?))", [json(&shapes)]);
        if strangers {
            wanted.and("NOT t.known", []);
        }
        let sql = format!(
            "SELECT shape, id FROM (SELECT t.shape AS shape, h.connection AS id,
                row_number() OVER (PARTITION BY t.shape ORDER BY h.connection DESC) AS place
            FROM shape_hour h JOIN shape t USING (n) WHERE {}) WHERE place <= {EXAMPLES_MAX}",
            wanted.text()
        );
        let latest = self.file.rows(&sql, params_from_iter(&wanted.values), |row| {
            Ok((row.get::<_, String>(0)?, count(row, 1)?))
        })?;
        let ids = |row: &ShapeRow| -> Vec<u64> {
            row.examples.iter().filter_map(|name| name.parse::<ConnectionId>().ok()).map(|id| id.0).collect()
        };
        let kept: Vec<u64> = rows.iter().flat_map(ids).collect();
        // A connection's shape is told when it ends.
        let sql = format!(
            "SELECT id FROM (SELECT id, source, closed / {HOUR} AS at FROM connection
                WHERE id IN (SELECT value FROM json_each(?))) WHERE {}",
            hours.text()
        );
        let values = std::iter::once(json(&kept)).chain(hours.values.iter().cloned());
        let fits = self.file.rows(&sql, params_from_iter(values), |row| count(row, 0))?;
        for row in rows {
            let mut found: BTreeSet<u64> = ids(row).into_iter().filter(|id| fits.contains(id)).collect();
            found.extend(latest.iter().filter(|(shape, _)| *shape == row.shape).map(|(_, id)| *id));
            let found = found.into_iter().rev().take(EXAMPLES_MAX);
            row.examples = found.map(|id| ConnectionId(id).to_string()).collect();
        }
        Ok(())
    }

    /// Counts the hosts of shapes, some of whom a tool was named for and some not.
    fn tell_hosts(&self, hours: &Wanted, rows: &mut [ShapeRow]) -> Result<(), IndexError> {
        let shapes: Vec<&str> = rows.iter().map(|row| row.shape.as_str()).collect();
        let mut wanted = hours.clone();
        wanted.and("t.shape IN (SELECT value FROM json_each(?))", [json(&shapes)]);
        let sql = format!(
            "SELECT t.shape, count(DISTINCT source) FROM shape_hour JOIN shape t USING (n) WHERE {} GROUP BY t.shape",
            wanted.text()
        );
        let told = self.file.rows(&sql, params_from_iter(&wanted.values), |row| {
            Ok((row.get::<_, String>(0)?, count(row, 1)?))
        })?;
        let told: HashMap<String, u64> = told.into_iter().collect();
        for row in rows {
            row.sources = told.get(&row.shape).copied().unwrap_or(row.sources);
        }
        Ok(())
    }
}

/// A list, as `json_each` reads it.
fn json<T: serde::Serialize>(list: &[T]) -> Value {
    Value::from(serde_json::to_string(list).unwrap_or_default())
}

fn fingerprint(row: &Row<'_>) -> rusqlite::Result<FingerprintRow> {
    Ok(FingerprintRow {
        fingerprint: row.get(1)?,
        tools: Vec::new(),
        grounds: Vec::new(),
        features: row.get(2)?,
        recognised: Vec::new(),
        shape: row.get(6)?,
        connections: count(row, 7)?,
        sources: count(row, 8)?,
        first: time(row, 9)?,
        last: time(row, 10)?,
    })
}

fn shape_row(row: &Row<'_>) -> rusqlite::Result<ShapeRow> {
    let mut tools = words(&row.get::<_, String>(5)?);
    tools.sort();
    tools.dedup();
    let mut examples = words(&row.get::<_, String>(6)?);
    examples.truncate(EXAMPLES_MAX);
    Ok(ShapeRow {
        shape: row.get(1)?,
        connections: count(row, 2)?,
        sources: count(row, 7)?,
        first: time(row, 3)?,
        last: time(row, 4)?,
        new: row.get(9)?,
        tools,
        examples,
        latest: ConnectionId(count(row, 8)?),
    })
}
