//! Over time: the funnel, who came, how the honeypot stands.

use super::super::filter::{Filter, Span};
use super::super::fold::{DAY, HOUR, MINUTE};
use super::super::view::{
    Activity, Bucket, COUNTED, Counts, Funnel, HealthRow, HealthTotal, Kind, Run, SourceActivity, Started,
    Status,
};
use super::super::{Index, IndexError};
use super::{Wanted, address, count, time};
use crate::derived::to_u64;
use roridula_proto::time::WallClock;
use rusqlite::types::Value;
use rusqlite::{Row, params, params_from_iter};
use std::collections::{HashMap, HashSet};

/// A span up to which minutes are shown, and one up to which hours are.
const MINUTES_SPAN: u64 = DAY + MINUTE;
const HOURS_SPAN: u64 = 32 * DAY;
/// Sources that are told apart at most.
const LARGEST_MAX: usize = 100;
/// Starts and stops that are shown.
const RUNS_MAX: i64 = 100;

impl Index {
    /// The funnel of the filter's span and visitors: by minutes for up to a day (of all visitors), by hours for up to
    /// 32 days, else by days.
    pub fn funnel(&mut self, filter: &Filter) -> Result<Funnel, IndexError> {
        self.look(|index| index.read_funnel(filter))
    }

    fn read_funnel(&self, filter: &Filter) -> Result<Funnel, IndexError> {
        let (span, mut wanted) = (filter.span, Wanted::default());
        wanted.visitors(self, filter)?;
        let is_of_all = wanted.sql.is_empty();
        let width = match span.len() {
            ..=MINUTES_SPAN if is_of_all => MINUTE,
            ..=HOURS_SPAN => HOUR,
            _ => DAY,
        };
        let unit = width.min(HOUR);
        let columns = COUNTED.map(|name| format!("sum({name})")).join(", ");
        let (first, last) = span.intervals(unit);
        let table = match unit {
            _ if !is_of_all => "source_hour",
            MINUTE => "minute",
            _ => "hour",
        };
        wanted.and("at BETWEEN ? AND ?", [first, last].map(Value::from));
        let sql =
            format!("SELECT at, {columns} FROM {table} WHERE {} GROUP BY at ORDER BY at", wanted.text());
        let read = |row: &Row<'_>| Ok((row.get(0).map(to_u64)?, counts(row, 1)?));
        let rows = self.file.rows(&sql, params_from_iter(&wanted.values), read)?;
        let mut funnel = Funnel { total: Counts::default(), width, buckets: Vec::new() };
        for (at, counts) in rows {
            funnel.total.add(&counts);
            let begins = WallClock(at * unit / width * width);
            match funnel.buckets.last_mut() {
                Some(bucket) if bucket.begins == begins => bucket.counts.add(&counts),
                _ => funnel.buckets.push(Bucket { begins, counts }),
            }
        }
        Ok(funnel)
    }

    /// Connections of a span by hours (for more than 32 days, by days), with the `largest` single sources apart.
    /// Clipped to the time in which somebody came.
    pub fn activity(&mut self, span: Span, largest: usize) -> Result<Activity, IndexError> {
        self.look(|index| index.read_activity(span, largest.min(LARGEST_MAX)))
    }

    fn read_activity(&self, span: Span, largest: usize) -> Result<Activity, IndexError> {
        let ends = self.file.rows("SELECT min(at), max(at) FROM hour", [], |row| {
            Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?))
        })?;
        let (first, last) = span.intervals(HOUR);
        let ends = ends.first().and_then(|(least, most)| Some((first.max((*least)?), last.min((*most)?))));
        let (first, last) = ends.unwrap_or((1, 0));
        let hours = u64::try_from(last.saturating_sub(first).saturating_add(1)).unwrap_or(0);
        let width = if hours * HOUR <= HOURS_SPAN { HOUR } else { DAY };
        let bucket = |at: i64| to_u64(at) * HOUR / width;
        let length =
            if hours == 0 { 0 } else { usize::try_from(bucket(last) - bucket(first) + 1).unwrap_or(0) };
        let mut sums = Sums { first: bucket(first), rest: vec![0; length], ..Sums::default() };
        let sql =
            "SELECT at, source, connections FROM source_hour WHERE at BETWEEN ? AND ? AND connections > 0";
        let mut statement = self.file.db.prepare_cached(sql).map_err(self.file.fail())?;
        let mut rows = statement.query([first, last]).map_err(self.file.fail())?;
        while let Some(row) = rows.next().map_err(self.file.fail())? {
            let read = || Ok::<_, rusqlite::Error>((row.get(0)?, row.get(1)?, count(row, 2)?));
            let (at, source, connections) = read().map_err(self.file.fail())?;
            sums.add(bucket(at), source, connections);
        }
        let (new, all) = (self.new_sources(first, last)?, sums.totals.len() as u64);
        let begins = |at: usize| WallClock((sums.first + at as u64) * width);
        let mut activity = Activity {
            width,
            begins: (0..length).map(begins).collect(),
            sources: sums.sources.iter().map(|sources| sources.len() as u64).collect(),
            rest: sums.rest.clone(),
            largest: Vec::new(),
            new,
            returning: all.saturating_sub(new),
        };
        activity.sources.resize(length, 0);
        for (source, total) in sums.largest(largest) {
            let apart = self.apart(source, total, (first, last), &bucket, &mut activity.rest)?;
            activity.largest.extend(apart);
        }
        Ok(activity)
    }

    /// Visitors whose first hour is one of these.
    fn new_sources(&self, first: i64, last: i64) -> Result<u64, IndexError> {
        if first > last {
            return Ok(0);
        }
        let hour = HOUR as i64;
        let sql = "SELECT count(*) FROM source WHERE first BETWEEN ? AND ? AND connections > 0";
        self.number(sql, [first * hour, last * hour + hour - 1])
    }

    /// Takes one source out of the rest.
    fn apart(
        &self,
        source: i64,
        total: u64,
        hours: (i64, i64),
        bucket: &impl Fn(i64) -> u64,
        rest: &mut [u64],
    ) -> Result<Option<SourceActivity>, IndexError> {
        let begins = bucket(hours.0);
        let mut connections = vec![0; rest.len()];
        let sql = "SELECT at, connections FROM source_hour WHERE source = ? AND at BETWEEN ? AND ?";
        for (at, more) in
            self.file.rows(sql, [source, hours.0, hours.1], |row| Ok((row.get(0)?, count(row, 1)?)))?
        {
            let at = usize::try_from(bucket(at).saturating_sub(begins)).unwrap_or(usize::MAX);
            if let (Some(own), Some(rest)) = (connections.get_mut(at), rest.get_mut(at)) {
                *own += more;
                *rest = rest.saturating_sub(more);
            }
        }
        let ips = self.file.rows("SELECT ip FROM source WHERE n = ?", [source], |row| address(row, 0))?;
        Ok(ips.first().map(|ip| SourceActivity { source: *ip, total, connections }))
    }

    /// How often what happened in a span of whole hours: each kind's names, the most frequent first.
    pub fn health(&mut self, span: Span) -> Result<Vec<HealthTotal>, IndexError> {
        let (first, last) = span.intervals(HOUR);
        let sql = "SELECT kind, name, sum(count), max(at) FROM health WHERE at BETWEEN ? AND ?
            GROUP BY kind, name ORDER BY kind, sum(count) DESC, name";
        self.look(|index| {
            let rows = index.file.rows(sql, [first, last], |row| {
                let last = WallClock(count(row, 3)? * HOUR);
                Ok(HealthTotal { kind: kind(row, 0)?, name: row.get(1)?, count: count(row, 2)?, last })
            })?;
            Ok(rows)
        })
    }

    /// The same of one kind, hour by hour.
    pub fn health_hours(&mut self, span: Span, of: Kind) -> Result<Vec<HealthRow>, IndexError> {
        let (first, last) = span.intervals(HOUR);
        let sql = "SELECT at, kind, name, count FROM health WHERE at BETWEEN ? AND ? AND kind = ? ORDER BY at, name";
        self.look(|index| {
            index.file.rows(sql, params![first, last, of.as_str()], |row| {
                let begins = WallClock(count(row, 0)? * HOUR);
                Ok(HealthRow { begins, kind: kind(row, 1)?, name: row.get(2)?, count: count(row, 3)? })
            })
        })
    }

    /// The latest starts and stops of the honeypot, the latest first.
    pub fn runs(&mut self) -> Result<Vec<Run>, IndexError> {
        self.look(|index| index.read_runs(RUNS_MAX))
    }

    fn read_runs(&self, limit: i64) -> Result<Vec<Run>, IndexError> {
        let sql = "SELECT seq, at, version, listen, persona, policy, connections FROM run ORDER BY seq DESC LIMIT ?";
        let rows = self.file.rows(sql, [limit], |row| {
            let started = match row.get::<_, Option<String>>(2)? {
                None => None,
                Some(version) => Some((version, row.get::<_, String>(3)?, row.get(4)?, row.get(5)?)),
            };
            let connections = row.get::<_, Option<i64>>(6)?.map(to_u64);
            Ok((Run { seq: count(row, 0)?, time: time(row, 1)?, started: None, connections }, started))
        })?;
        let whole = |(run, started): (Run, Option<(String, String, String, String)>)| {
            let started = match started {
                None => None,
                Some((version, listen, persona, policy)) => {
                    Some(Started { version, listen: self.file.parsed(&listen)?, persona, policy })
                }
            };
            Ok(Run { started, ..run })
        };
        rows.into_iter().map(whole).collect()
    }

    /// How the index stands, and what was heard last.
    pub fn status(&mut self) -> Result<Status, IndexError> {
        self.look(|index| {
            let latest = index.file.rows(
                "SELECT id FROM connection ORDER BY opened DESC, id DESC LIMIT 1",
                [],
                |row| row.get(0),
            )?;
            let last_visitor = match latest.first() {
                Some(id) => index.read_connection(*id)?,
                None => None,
            };
            Ok(Status {
                cursor: index.cursor()?,
                journal: index.reader.last_seq()?,
                last_event: index.file.meta("last_event")?.filter(|at| *at > 0).map(WallClock),
                last_visitor,
                last_run: index.read_runs(1)?.pop(),
                connections: index.number("SELECT sum(connections) FROM hour", [])?,
                sources: index.number("SELECT max(n) FROM source", [])?,
                samples: index.number("SELECT max(n) FROM sample", [])?,
                captures: index.file.meta("captures")?.unwrap_or(0),
            })
        })
    }
}

/// What is added up for [`Activity`].
#[derive(Default)]
struct Sums {
    /// The first bucket.
    first: u64,
    rest: Vec<u64>,
    sources: Vec<HashSet<i64>>,
    totals: HashMap<i64, u64>,
}

impl Sums {
    fn add(&mut self, bucket: u64, source: i64, connections: u64) {
        let at = usize::try_from(bucket.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let Some(rest) = self.rest.get_mut(at) else { return };
        *rest += connections;
        if self.sources.len() < at + 1 {
            self.sources.resize(at + 1, HashSet::new());
        }
        self.sources[at].insert(source);
        *self.totals.entry(source).or_default() += connections;
    }

    fn largest(&self, count: usize) -> Vec<(i64, u64)> {
        let mut all: Vec<(i64, u64)> = self.totals.iter().map(|(source, total)| (*source, *total)).collect();
        all.sort_by_key(|(source, total)| (std::cmp::Reverse(*total), *source));
        all.truncate(count);
        all
    }
}

/// The columns of a roll-up from column `at` on.
pub(super) fn counts(row: &Row<'_>, at: usize) -> rusqlite::Result<Counts> {
    let mut counted = [0; COUNTED.len()];
    for (place, value) in counted.iter_mut().enumerate() {
        *value = to_u64(row.get::<_, Option<i64>>(at + place)?.unwrap_or(0));
    }
    Ok(counted.into())
}

fn kind(row: &Row<'_>, at: usize) -> rusqlite::Result<Kind> {
    let word: String = row.get(at)?;
    let found = Kind::ALL.into_iter().find(|kind| kind.as_str() == word);
    found
        .ok_or_else(|| rusqlite::Error::InvalidColumnType(at, "kind".to_owned(), rusqlite::types::Type::Text))
}
