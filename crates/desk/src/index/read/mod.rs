//! The questions. Each is a few ranges of the file's rows.

mod captures;
mod connections;
mod exact;
mod logons;
mod search;
mod sources;
mod tools;
mod traffic;
mod visitors;

pub(crate) use search::beginning;

use super::filter::{Cursor, Filter, LIMIT_MAX, Network, Span};
use super::fold::HOUR;
use super::view::{Page, Step};
use super::{Index, IndexError};
use captures::PAYLOADS;
use roridula_proto::time::WallClock;
use rusqlite::types::Value;
use rusqlite::{Row, params_from_iter};
use std::net::{IpAddr, Ipv6Addr};

/// Rows that are looked through for one page.
const SCAN_MAX: i64 = 50_000;

/// Conditions of a statement, and their values in order.
#[derive(Clone, Debug, Default)]
struct Wanted {
    sql: Vec<String>,
    values: Vec<Value>,
}

impl Wanted {
    fn and(&mut self, sql: impl Into<String>, values: impl IntoIterator<Item = Value>) {
        self.sql.push(sql.into());
        self.values.extend(values);
    }

    /// Rows of `source` (named `s` there) fit the filter: they come from its network, took its step once, its tool was
    /// named for them, and they brought what it says.
    fn of_source(&mut self, index: &Index, filter: &Filter) -> Result<(), IndexError> {
        if let Some(network) = filter.source {
            let (least, most) = network.range();
            self.and("s.ip BETWEEN ? AND ?", [least, most].map(|ip| Value::from(ip.to_vec())));
        }
        if let Some(step) = filter.step {
            self.and(format!("s.reached & {}", step.bit()), []);
        }
        if let Some(tool) = &filter.tool {
            let (first, last) = filter.span.intervals(HOUR);
            let values = [Value::from(tool.clone()), Value::from(first), Value::from(last)];
            self.and("s.n IN (SELECT source FROM tool_hour WHERE n = ? AND at BETWEEN ? AND ?)", values);
        }
        if let Some(brought) = &filter.brought {
            let samples = serde_json::to_string(&index.sample_numbers(brought)?).unwrap_or_default();
            let sql =
                "s.n IN (SELECT source FROM sample_source WHERE sample IN (SELECT value FROM json_each(?)))";
            self.and(sql, [Value::from(samples)]);
        }
        Ok(())
    }

    /// The visitors in the column `source` fit the filter.
    fn visitors(&mut self, index: &Index, filter: &Filter) -> Result<(), IndexError> {
        self.visitors_in("source", index, filter)
    }

    /// As [`Self::visitors`], in another column: `+source` is the same one without its index.
    fn visitors_in(&mut self, column: &str, index: &Index, filter: &Filter) -> Result<(), IndexError> {
        let mut fits = Self::default();
        fits.of_source(index, filter)?;
        if !fits.sql.is_empty() {
            let sql = format!("{column} IN (SELECT n FROM source s WHERE {})", fits.text());
            self.and(sql, fits.values);
        }
        Ok(())
    }

    /// Rows of `capture` (named `r` there) fit the filter, to the moment: what `complete` and `new` mean is theirs, any other
    /// step is their visitors'.
    fn captures(index: &Index, filter: &Filter) -> Result<Self, IndexError> {
        let mut captures = Self::default();
        if filter.span != Span::ALL {
            let (since, until) = filter.span.moments();
            captures.and("at BETWEEN ? AND ?", [since, until].map(Value::from));
        }
        let own = match filter.step {
            Some(Step::Complete) => Some("r.state = 'complete'"),
            Some(Step::New) => Some("r.first_seen = 1"),
            _ => None,
        };
        if filter.payloads || own.is_some() {
            captures.and(PAYLOADS, []);
        }
        if let Some(own) = own {
            captures.and(own, []);
        }
        let step = filter.step.filter(|_| own.is_none());
        // Of many visitors, all captures of the time are gone through sooner than those of each.
        let column = if index.is_few(filter.source)? { "source" } else { "+source" };
        captures.visitors_in(column, index, &Filter { step, ..filter.clone() })?;
        Ok(captures)
    }

    /// Rows of a table of hours are of the filter's visitors and touch its span.
    fn hours(index: &Index, filter: &Filter) -> Result<Self, IndexError> {
        let mut hours = Self::default();
        hours.visitors(index, filter)?;
        if filter.span != Span::ALL {
            let (first, last) = filter.span.intervals(HOUR);
            hours.and("at BETWEEN ? AND ?", [first, last].map(Value::from));
        }
        Ok(hours)
    }

    /// A statement that sums up such rows of `table_hour` as `n, count, sources, first, last, connection`.
    fn sums(&self, table: &str) -> String {
        if self.sql.is_empty() {
            // Of everybody and all time, they are kept.
            return format!("SELECT n, count, sources, first, last, connection FROM {table}");
        }
        format!(
            "SELECT n, sum(count) AS count, count(DISTINCT source) AS sources, min(first) AS first,
                max(last) AS last, max(connection) AS connection
            FROM {table}_hour WHERE {} GROUP BY n",
            self.text()
        )
    }

    /// `a AND b`, or what is always true.
    fn text(&self) -> String {
        if self.sql.is_empty() { "1".to_owned() } else { self.sql.join(" AND ") }
    }
}

/// Rows of one index that come in the order of the page.
#[derive(Clone, Debug)]
struct Lane {
    /// The index, whose last columns are the moment and the row's number.
    index: String,
    /// What is equal for all of its rows.
    of: Wanted,
}

/// A table whose rows are paged by a moment and their number, the latest first.
struct Paged<'a> {
    /// `connection`, `capture`.
    table: &'a str,
    /// Its moment and its number.
    key: (&'a str, &'a str),
    /// What is selected of a row `r`, with the joins that this needs.
    columns: &'a str,
    joins: &'a str,
}

/// Which of those rows, and from where on.
struct Asked<'a> {
    lanes: &'a [Lane],
    /// The first and the last moment.
    span: (i64, i64),
    wanted: &'a Wanted,
    cursor: Cursor,
    limit: usize,
}

impl Index {
    /// Whether a network has so few visitors that their rows are found sooner one by one.
    fn is_few(&self, network: Option<Network>) -> Result<bool, IndexError> {
        const FEW: i64 = 200;
        let Some(network) = network else { return Ok(false) };
        let (least, most) = network.range();
        let sql = "SELECT count(*) FROM (SELECT 1 FROM source WHERE ip BETWEEN ?1 AND ?2 LIMIT ?3)";
        let values = rusqlite::params![least.to_vec(), most.to_vec(), FEW + 1];
        let counted = self.file.db.query_row(sql, values, |row| row.get::<_, i64>(0));
        Ok(counted.map_err(self.file.fail())? <= FEW)
    }

    /// A page of `paged`: of the lanes put together, those in the moments `span` that are `wanted`.
    fn page<T>(
        &self,
        paged: &Paged<'_>,
        asked: &Asked<'_>,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Page<T>, IndexError> {
        let Asked { lanes, span, cursor, .. } = *asked;
        let limit = asked.limit.clamp(1, LIMIT_MAX);
        let mut found: Vec<(i64, i64, T)> = Vec::new();
        // A lane that has not been looked through to its end: what lies beyond this is not known.
        let mut edge: Option<(i64, i64)> = None;
        let scan = (SCAN_MAX / i64::try_from(lanes.len().max(1)).unwrap_or(1)).max(1000);
        for lane in lanes {
            let rows = self.lane(paged, lane, asked, (limit, scan), &read)?;
            if rows.len() <= limit {
                edge = edge.max(self.lane_edge(paged, lane, span, cursor, scan)?);
            }
            found.extend(rows);
        }
        found.sort_by_key(|(at, n, _)| std::cmp::Reverse((*at, *n)));
        if let Some(edge) = edge {
            found.retain(|(at, n, _)| (*at, *n) >= edge);
        }
        let more = found.len() > limit;
        found.truncate(limit);
        let last = found.last().map(|(at, n, _)| (*at, *n));
        let next = if more { last } else { edge };
        let next = next.map(|(at, n)| Cursor(at, n).to_string());
        Ok(Page { rows: found.into_iter().map(|(.., row)| row).collect(), next })
    }

    /// At most `limit` + 1 rows of a lane, out of the next `scan`.
    fn lane<T>(
        &self,
        paged: &Paged<'_>,
        lane: &Lane,
        asked: &Asked<'_>,
        (limit, scan): (usize, i64),
        read: &impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<(i64, i64, T)>, IndexError> {
        let Paged { table, key: (at, n), columns, joins } = paged;
        let Lane { index, of } = lane;
        let Asked { span, wanted, cursor, .. } = *asked;
        let sql = format!(
            "SELECT r.{at}, r.{n}, {columns} FROM (SELECT * FROM {table} INDEXED BY {index} WHERE {}
                AND {at} BETWEEN ? AND ? AND ({at}, {n}) < (?, ?) ORDER BY {at} DESC, {n} DESC LIMIT ?) r {joins}
            WHERE {} ORDER BY r.{at} DESC, r.{n} DESC LIMIT ?",
            of.text(),
            wanted.text()
        );
        let between = [span.0, span.1.min(cursor.0), cursor.0, cursor.1, scan].map(Value::from);
        let limit = Value::from(i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1));
        let values = of.values.iter().chain(&between).chain(&wanted.values).chain([&limit]);
        self.file.rows(&sql, params_from_iter(values), |row| {
            // The columns of the row itself come behind its key.
            Ok((row.get(0)?, row.get(1)?, read(row)?))
        })
    }

    /// The last of the next `scan` rows of a lane, where it has more than these.
    fn lane_edge(
        &self,
        paged: &Paged<'_>,
        lane: &Lane,
        span: (i64, i64),
        cursor: Cursor,
        scan: i64,
    ) -> Result<Option<(i64, i64)>, IndexError> {
        let Paged { table, key: (at, n), .. } = paged;
        let Lane { index, of } = lane;
        let sql = format!(
            "SELECT {at}, {n} FROM {table} INDEXED BY {index} WHERE {} AND {at} BETWEEN ? AND ?
                AND ({at}, {n}) < (?, ?) ORDER BY {at} DESC, {n} DESC LIMIT 2 OFFSET ?",
            of.text()
        );
        let between = [span.0, span.1.min(cursor.0), cursor.0, cursor.1, scan - 1].map(Value::from);
        let values = of.values.iter().chain(&between);
        let rows = self.file.rows(&sql, params_from_iter(values), |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(if rows.len() == 2 { rows.first().copied() } else { None })
    }

    /// The number in the first column of the first row.
    fn number(&self, sql: &str, values: impl rusqlite::Params) -> Result<u64, IndexError> {
        let rows = self.file.rows(sql, values, |row| row.get::<_, Option<i64>>(0))?;
        Ok(crate::derived::to_u64(rows.first().copied().flatten().unwrap_or(0)))
    }
}

/// Cuts `rows`, of which one more than `limit` was read, to a page.
pub(crate) fn cut<T>(mut rows: Vec<(Cursor, T)>, limit: usize) -> Page<T> {
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|(cursor, _)| cursor.to_string());
    Page { rows: rows.into_iter().map(|(_, row)| row).collect(), next }
}

/// A page's limit within bounds, and one more for a statement.
pub(crate) fn bounded(limit: usize) -> (usize, i64) {
    let limit = limit.clamp(1, LIMIT_MAX);
    (limit, i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1))
}

fn time(row: &Row<'_>, at: usize) -> rusqlite::Result<WallClock> {
    row.get(at).map(|value| WallClock(crate::derived::to_u64(value)))
}

fn count(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    row.get(at).map(crate::derived::to_u64)
}

fn address(row: &Row<'_>, at: usize) -> rusqlite::Result<IpAddr> {
    let bytes: [u8; 16] = row.get(at)?;
    Ok(IpAddr::from(Ipv6Addr::from(bytes)).to_canonical())
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}
