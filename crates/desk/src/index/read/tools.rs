//! Implementations: known tools, fingerprints, and what nobody knows.

use super::super::filter::{Cursor, Filter, Shapes};
use super::super::fold::DAY;
use super::super::view::{FingerprintRow, Page, ShapeRow, ToolRow};
use super::super::{Index, IndexError};
use super::{Wanted, bounded, count, cut, time, words};
use roridula_proto::time::WallClock;
use rusqlite::types::Value;
use rusqlite::{Row, params, params_from_iter};
use std::collections::BTreeSet;

const FINGERPRINT: &str =
    "SELECT n, name, features, tools, grounds, recognised, shape, connections, sources, first, last
    FROM fingerprint";

impl Index {
    /// The known tools of the filter's visitors in a span of whole days, the most frequent first. The filter's tool:
    /// only this one.
    pub fn tools(&mut self, filter: &Filter) -> Result<Vec<ToolRow>, IndexError> {
        let (first, last) = filter.span.intervals(DAY);
        self.look(|index| {
            let mut wanted = Wanted::default();
            wanted.and("at BETWEEN ? AND ?", [first, last].map(Value::from));
            if let Some(tool) = &filter.tool {
                wanted.and("tool = ?", [Value::from(tool.clone())]);
            }
            wanted.visitors(index, filter)?;
            let sql = format!(
                "SELECT tool, sum(connections), count(DISTINCT source), min(at), max(at) FROM tool_day
                WHERE {} GROUP BY tool ORDER BY sum(connections) DESC, tool",
                wanted.text()
            );
            index.file.rows(&sql, params_from_iter(&wanted.values), |row| {
                let day = |at| count(row, at).map(|day| WallClock(day * DAY));
                Ok(ToolRow {
                    tool: row.get(0)?,
                    connections: count(row, 1)?,
                    sources: count(row, 2)?,
                    first: day(3)?,
                    last: day(4)?,
                })
            })
        })
    }

    /// The names of all known tools that were ever seen.
    pub fn tool_names(&mut self) -> Result<Vec<String>, IndexError> {
        self.look(|index| {
            let sets = index.file.rows("SELECT names FROM toolset", [], |row| row.get::<_, String>(0))?;
            let names: BTreeSet<String> = sets.iter().flat_map(|set| words(set)).collect();
            Ok(names.into_iter().collect())
        })
    }

    /// Fingerprints that were seen in the filter's span and ever from its visitors, and that prove its tool: the most
    /// frequent of all time first.
    pub fn fingerprints(
        &mut self,
        filter: &Filter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<FingerprintRow>, IndexError> {
        let cursor = Cursor::read(cursor)?;
        let (limit, more) = bounded(limit);
        let (since, until) = filter.span.moments();
        self.look(|index| {
            let mut wanted = Wanted::default();
            wanted.and("(connections, n) < (?, ?)", [cursor.0, cursor.1].map(Value::from));
            wanted.and("last >= ? AND first <= ?", [since, until].map(Value::from));
            if let Some(tool) = &filter.tool {
                // Quoted as it stands in the JSON array.
                let quoted = serde_json::Value::from(tool.as_str()).to_string();
                wanted.and("instr(tools, ?)", [Value::from(quoted)]);
            }
            wanted.link(index, "fingerprint", &Filter { tool: None, ..filter.clone() })?;
            wanted.values.push(Value::from(more));
            let sql =
                format!("{FINGERPRINT} WHERE {} ORDER BY connections DESC, n DESC LIMIT ?", wanted.text());
            let rows = index.fingerprint_rows(&sql, params_from_iter(&wanted.values))?;
            let key =
                |(n, row): (i64, FingerprintRow)| (Cursor(crate::derived::to_sql(row.connections), n), row);
            Ok(cut(rows.into_iter().map(key).collect(), limit))
        })
    }

    /// One fingerprint.
    pub fn fingerprint(&mut self, fingerprint: &str) -> Result<Option<FingerprintRow>, IndexError> {
        let sql = format!("{FINGERPRINT} WHERE name = ?");
        self.look(|index| Ok(index.fingerprint_rows(&sql, [fingerprint])?.pop().map(|(_, row)| row)))
    }

    pub(super) fn fingerprints_named(
        &self,
        prefix: &str,
        limit: i64,
    ) -> Result<Vec<FingerprintRow>, IndexError> {
        let sql = format!("{FINGERPRINT} WHERE name >= ?1 AND name < ?1 || 'g' ORDER BY name LIMIT ?2");
        let rows = self.fingerprint_rows(&sql, params![prefix, limit])?;
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }

    /// The fingerprints behind a shape, the most frequent first.
    pub fn fingerprints_of_shape(
        &mut self,
        shape: &str,
        limit: usize,
    ) -> Result<Vec<FingerprintRow>, IndexError> {
        let sql = format!("{FINGERPRINT} WHERE shape = ? ORDER BY connections DESC, n LIMIT ?");
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

    /// Connections in which no recogniser found anything, put together by shape, that came in the filter's span and ever
    /// from its visitors.
    pub fn unknown(
        &mut self,
        filter: &Filter,
        shapes: &Shapes<'_>,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<ShapeRow>, IndexError> {
        let cursor = Cursor::read(cursor)?;
        let (limit, more) = bounded(limit);
        let (since, until) = filter.span.moments();
        // The columns of both orders stand at these places.
        let (order, key) = if shapes.latest { ("latest", 4) } else { ("total", 2) };
        self.look(|index| {
            let mut wanted = Wanted::default();
            wanted.and("last >= ? AND first <= ?", [since, until].map(Value::from));
            if shapes.strangers {
                wanted.and("NOT known", []);
            }
            if let Some(shape) = shapes.only {
                wanted.and("shape = ?", [Value::from(shape.to_owned())]);
            }
            wanted.link(index, "shape", filter)?;
            let sql = format!(
                "SELECT max(n) AS key, shape, sum(connections) AS total, min(first), max(last) AS latest,
                    group_concat(tools, ' '), group_concat(examples, ' ' ORDER BY known)
                FROM shape WHERE {} GROUP BY shape HAVING ({order}, key) < (?, ?)
                ORDER BY {order} DESC, key DESC LIMIT ?",
                wanted.text()
            );
            wanted.values.extend([cursor.0, cursor.1, more].map(Value::from));
            let read = |row: &Row<'_>| Ok((Cursor(row.get(key)?, row.get(0)?), shape_row(row)?));
            let mut rows = index.file.rows(&sql, params_from_iter(&wanted.values), read)?;
            for (_, row) in &mut rows {
                let sql =
                    "SELECT count(DISTINCT source) FROM shape_source JOIN shape ON n = shape_source.shape
                    WHERE shape.shape = ? AND (NOT ? OR NOT known)";
                row.sources = index.number(sql, params![row.shape, shapes.strangers])?;
            }
            Ok(cut(rows, limit))
        })
    }
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
    examples.truncate(super::super::fold::EXAMPLES_MAX);
    Ok(ShapeRow {
        shape: row.get(1)?,
        connections: count(row, 2)?,
        sources: 0,
        first: time(row, 3)?,
        last: time(row, 4)?,
        tools,
        examples,
    })
}
