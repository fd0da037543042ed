//! Implementations: known tools, fingerprints, and what nobody knows.

use super::super::filter::{Cursor, Filter, Span};
use super::super::fold::DAY;
use super::super::view::{FingerprintRow, Page, ShapeRow, ToolRow};
use super::super::{Index, IndexError};
use super::{bounded, count, cut, time, words};
use roridula_proto::time::WallClock;
use rusqlite::{Row, params};
use std::collections::BTreeSet;

const FINGERPRINT: &str =
    "SELECT n, name, features, tools, grounds, recognised, shape, connections, sources, first, last
    FROM fingerprint";

impl Index {
    /// The known tools of a span of whole days, the most frequent first.
    pub fn tools(&mut self, span: Span) -> Result<Vec<ToolRow>, IndexError> {
        let (first, last) = span.intervals(DAY);
        let sql = "SELECT tool, sum(connections), count(DISTINCT source), min(at), max(at) FROM tool_day
            WHERE at BETWEEN ? AND ? GROUP BY tool ORDER BY sum(connections) DESC, tool";
        self.look(|index| {
            index.file.rows(sql, [first, last], |row| {
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

    /// Fingerprints that were seen in the filter's span, with its tool, ever from its network: the most frequent of
    /// all time first.
    pub fn fingerprints(
        &mut self,
        filter: &Filter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<FingerprintRow>, IndexError> {
        let cursor = Cursor::read(cursor)?;
        let (limit, more) = bounded(limit);
        let (since, until) = filter.span.moments();
        // Quoted as it stands in the JSON array.
        let tool = filter.tool.as_ref().map(|tool| serde_json::Value::from(tool.as_str()).to_string());
        let sql = format!(
            "{FINGERPRINT} WHERE (connections, n) < (?1, ?2) AND last >= ?3 AND first <= ?4
                AND (?5 IS NULL OR instr(tools, ?5))
                AND (?7 IS NULL OR EXISTS (SELECT 1 FROM fingerprint_source l WHERE l.fingerprint = fingerprint.n
                    AND l.source IN (SELECT s.n FROM source s WHERE s.ip BETWEEN ?7 AND ?8)))
            ORDER BY connections DESC, n DESC LIMIT ?6"
        );
        let (least, most) = filter.source.map(|network| network.range()).unzip();
        self.look(|index| {
            let values = params![cursor.0, cursor.1, since, until, tool, more, least, most];
            let rows = index.fingerprint_rows(&sql, values)?;
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

    /// Connections in which no recogniser found anything and that ended in a span, put together by shape, the most
    /// frequent of all time first. `strangers`: without those that a known tool was named for. `shape`: only this one.
    pub fn unknown(
        &mut self,
        span: Span,
        strangers: bool,
        shape: Option<&str>,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<ShapeRow>, IndexError> {
        self.shapes(span, (strangers, shape), "total", cursor, limit)
    }

    /// The same, those that came last first.
    pub fn unknown_latest(
        &mut self,
        span: Span,
        strangers: bool,
        shape: Option<&str>,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<ShapeRow>, IndexError> {
        self.shapes(span, (strangers, shape), "latest", cursor, limit)
    }

    /// In the order of a column, `total` or `latest`.
    fn shapes(
        &mut self,
        span: Span,
        (strangers, shape): (bool, Option<&str>),
        order: &str,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<ShapeRow>, IndexError> {
        let cursor = Cursor::read(cursor)?;
        let (limit, more) = bounded(limit);
        let (since, until) = span.moments();
        let sql = format!(
            "SELECT max(n) AS key, shape, sum(connections) AS total, min(first), max(last) AS latest,
                group_concat(tools, ' '), group_concat(examples, ' ' ORDER BY known)
            FROM shape WHERE last >= ?3 AND first <= ?4 AND (NOT ?5 OR NOT known) AND (?6 IS NULL OR shape = ?6)
            GROUP BY shape HAVING ({order}, key) < (?1, ?2) ORDER BY {order} DESC, key DESC LIMIT ?7"
        );
        self.look(|index| {
            let values = params![cursor.0, cursor.1, since, until, strangers, shape, more];
            // The columns of both orders stand there.
            let key = if order == "total" { 2 } else { 4 };
            let read = |row: &Row<'_>| Ok((Cursor(row.get(key)?, row.get(0)?), shape_row(row)?));
            let mut rows = index.file.rows(&sql, values, read)?;
            for (_, row) in &mut rows {
                let sql =
                    "SELECT count(DISTINCT source) FROM shape_source JOIN shape ON n = shape_source.shape
                    WHERE shape.shape = ? AND (NOT ? OR NOT known)";
                row.sources = index.number(sql, params![row.shape, strangers])?;
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
