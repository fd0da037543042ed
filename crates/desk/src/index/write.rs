//! A batch into the file. Every row is added to, so that it does not matter in how many batches its events came.

use super::fold::{Batch, Counted, DAY, EXAMPLES_MAX, HOUR, Hours, Sample, Sum};
use super::view::COUNTED;
use crate::derived::{Derived, DerivedError, to_sql};
use roridula_proto::event::{Event, UploadState};
use rusqlite::{OptionalExtension, ToSql, params, params_from_iter};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

/// Hours of a day.
const HOURS: i64 = (DAY / HOUR) as i64;

impl Batch {
    /// Writes everything, in a transaction of the caller's.
    pub(super) fn write(mut self, file: &Derived) -> Result<(), DerivedError> {
        self.close_ids();
        let captured = self.captures.len() as u64;
        self.roll_ups(file)?;
        self.sources(file)?;
        self.visits(file)?;
        self.prints(file)?;
        self.shapes(file)?;
        self.samples(file)?;
        self.captures(file)?;
        self.logons(file)?;
        self.rest(file)?;
        let captures = file.meta("captures")?.unwrap_or(0);
        file.put_meta("captures", captures + captured)?;
        let last = file.meta("last_event")?.unwrap_or(0);
        file.put_meta("last_event", last.max(self.last_event))
    }

    fn roll_ups(&self, file: &Derived) -> Result<(), DerivedError> {
        for (table, rows) in [("minute", &self.minutes), ("hour", &self.hours)] {
            let sql = add_counted(table, &["at"]);
            for (at, counted) in rows {
                file.run(&sql, params_from_iter(std::iter::once(to_sql(*at)).chain(columns(counted))))?;
            }
        }
        // In the order of the table: neighbours are written to one page.
        let rows: BTreeMap<_, _> = self.source_hours.iter().collect();
        let sql = add_counted("source_hour", &["at", "source"]);
        let day = format!(
            "SELECT 1 FROM source_hour WHERE source = ? AND at BETWEEN ? AND ? AND {} > 0",
            COUNTED[0]
        );
        for (&(at, source), counted) in rows {
            let at = to_sql(at);
            if counted[0] > 0 {
                let begins = at - at % HOURS;
                let mut seen = file.db.prepare_cached(&day).map_err(file.fail())?;
                if !seen.exists(params![source, begins, begins + HOURS - 1]).map_err(file.fail())? {
                    file.run("UPDATE source SET days = days + 1 WHERE n = ?", [source])?;
                }
            }
            file.run(&sql, params_from_iter([at, source].into_iter().chain(columns(counted))))?;
        }
        Ok(())
    }

    fn sources(&self, file: &Derived) -> Result<(), DerivedError> {
        let sql =
            "UPDATE source SET first = min(first, ?2), last = max(last, ?3), connections = connections + ?4,
            captures = captures + ?5, reached = reached | ?6, uploads = uploads + ?7 WHERE n = ?1";
        let rows: BTreeMap<_, _> = self.sources.iter().collect();
        for (n, source) in rows {
            let (first, last) = (to_sql(source.seen.first), to_sql(source.seen.last));
            let counts = (to_sql(source.connections), to_sql(source.captures));
            let uploads = to_sql(source.uploads);
            file.run(sql, params![n, first, last, counts.0, counts.1, source.reached, uploads])?;
        }
        Ok(())
    }

    fn visits(&self, file: &Derived) -> Result<(), DerivedError> {
        let sql = "INSERT INTO connection VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
            ON CONFLICT (id) DO UPDATE SET closed = ifnull(?3, closed), reached = ?7, bytes_in = bytes_in + ?8,
            bytes_out = bytes_out + ?9, events = events + ?10, dropped = dropped + ?11, captures = captures + ?12,
            fingerprint = ifnull(?13, fingerprint), toolset = ifnull(?14, toolset), reason = ifnull(?15, reason)";
        let rows: BTreeMap<_, _> = self.visits.iter().collect();
        for (id, visit) in rows {
            let values = params![
                to_sql(*id),
                to_sql(visit.opened),
                visit.closed.map(|(at, _)| to_sql(at)),
                visit.source,
                visit.port,
                visit.endpoint,
                visit.reached,
                to_sql(visit.bytes.0),
                to_sql(visit.bytes.1),
                to_sql(visit.events),
                to_sql(visit.dropped),
                to_sql(visit.captures),
                visit.fingerprint,
                visit.toolset,
                visit.closed.map(|(_, reason)| reason.as_str()),
            ];
            file.run(sql, values)?;
        }
        put_hours(file, "tool", &self.tool_hours)
    }

    fn prints(&self, file: &Derived) -> Result<(), DerivedError> {
        let sql =
            "UPDATE fingerprint SET features = ?2, tools = ?3, grounds = ?4, recognised = ?5, shape = ?6
            WHERE n = ?1";
        for (n, latest) in &self.prints {
            let Event::ClientFingerprint { features, shape, tools, grounds, recognised, .. } = latest else {
                continue;
            };
            let (tools, grounds, recognised) =
                (file.written(tools)?, file.written(grounds)?, file.written(recognised)?);
            file.run(sql, params![n, features, tools, grounds, recognised, shape])?;
        }
        put_sums(file, "fingerprint", &self.print_hours)
    }

    fn shapes(&self, file: &Derived) -> Result<(), DerivedError> {
        for (n, shape) in &self.shapes {
            let read = "SELECT tools, examples FROM shape WHERE n = ?";
            let known =
                file.rows(read, [n], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
            let (tools, examples) = known.into_iter().next().unwrap_or_default();
            let mut tools: Vec<String> = tools.split_whitespace().map(str::to_owned).collect();
            tools.extend(shape.tools.iter().cloned());
            tools.sort();
            tools.dedup();
            let mut examples: Vec<String> = examples.split_whitespace().map(str::to_owned).collect();
            let room = EXAMPLES_MAX.saturating_sub(examples.len());
            let named = |id: &u64| roridula_proto::connection::ConnectionId(*id).to_string();
            examples.extend(shape.examples.iter().take(room).map(named));
            let sql = "UPDATE shape SET tools = ?2, examples = ?3 WHERE n = ?1";
            file.run(sql, params![n, tools.join(" "), examples.join(" ")])?;
        }
        put_sums(file, "shape", &self.shape_hours)
    }

    fn samples(&self, file: &Derived) -> Result<(), DerivedError> {
        for (n, sample) in &self.samples {
            put_sample(file, *n, sample)?;
        }
        // Whether a row is new is what the number of different sources is counted by.
        let sql = "INSERT INTO sample_source VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET
            captures = captures + ?3, first = min(first, ?4), last = max(last, ?5) RETURNING captures";
        let rows: BTreeMap<_, _> = self.sample_sources.iter().collect();
        for (&(n, source), (captures, seen)) in rows {
            let captures = to_sql(*captures);
            let values = params![n, source, captures, to_sql(seen.first), to_sql(seen.last)];
            let mut statement = file.db.prepare_cached(sql).map_err(file.fail())?;
            let now: Option<i64> =
                statement.query_row(values, |row| row.get(0)).optional().map_err(file.fail())?;
            if now == Some(captures) {
                file.run("UPDATE sample SET sources = sources + 1 WHERE n = ?", [n])?;
            }
        }
        let sql = "INSERT INTO sample_day VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET captures = captures + ?4";
        let rows: BTreeMap<_, _> = self.sample_days.iter().collect();
        for (&(n, at, source), captures) in rows {
            file.run(sql, params![n, to_sql(at), source, to_sql(*captures)])?;
        }
        Ok(())
    }

    fn captures(&self, file: &Derived) -> Result<(), DerivedError> {
        let sql = "INSERT INTO capture VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
        for capture in &self.captures {
            let values = params![
                to_sql(capture.seq),
                to_sql(capture.at),
                capture.sample,
                capture.source,
                to_sql(capture.connection),
                capture.upload,
                capture.state.as_str(),
                capture.origin,
                capture.first_seen,
            ];
            file.run(sql, values)?;
        }
        Ok(())
    }

    fn logons(&self, file: &Derived) -> Result<(), DerivedError> {
        let mut responses: Vec<_> = self.responses.iter().collect();
        responses.sort_by_key(|(_, (seq, _))| *seq);
        let sql = "INSERT OR REPLACE INTO offered VALUES (?, ?, ?, ?, ?)";
        for ((n, at, source), (seq, response)) in responses {
            file.run(sql, params![n, to_sql(*at), source, to_sql(*seq), response])?;
            file.run("UPDATE logon SET response = ?2 WHERE n = ?1", params![n, response])?;
        }
        put_sums(file, "logon", &self.logon_hours)
    }

    fn rest(&self, file: &Derived) -> Result<(), DerivedError> {
        let sql = "INSERT INTO health VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET count = count + ?4";
        for ((at, kind, name), count) in &self.health {
            file.run(sql, params![to_sql(*at), kind.as_str(), name, to_sql(*count)])?;
        }
        let sql = "INSERT INTO run VALUES (?, ?, ?, ?, ?, ?, ?)";
        for (seq, at, event) in &self.runs {
            let (seq, at) = (to_sql(*seq), to_sql(*at));
            match event {
                Event::SensorStarted { version, listen, persona, policy } => {
                    let listen = file.written(listen)?;
                    file.run(sql, params![seq, at, version, listen, persona, policy, None::<i64>])?;
                }
                Event::SensorStopped { connections } => {
                    let none = None::<String>;
                    file.run(sql, params![seq, at, none, none, none, none, to_sql(*connections)])?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn put_sample(file: &Derived, n: i64, sample: &Sample) -> Result<(), DerivedError> {
    let sql = "UPDATE sample SET captures = captures + ?2, first = min(first, ?3), last = max(last, ?4),
        connection = min(connection, ?5) WHERE n = ?1";
    let (first, last) = (to_sql(sample.seen.first), to_sql(sample.seen.last));
    file.run(sql, params![n, to_sql(sample.captures), first, last, to_sql(sample.connection)])?;
    if let Some(Event::SampleCaptured { md5, sha1, size, state, total, ranges, origin, .. }) = &sample.best {
        let sql = "UPDATE sample SET md5 = ?2, sha1 = ?3, size = ?4, state = ?5, origin = ?6, total = ?7, ranges = ?8
            WHERE n = ?1 AND state <> ?9";
        let total = total.map(to_sql);
        let ranges = file.written(ranges)?;
        let best = UploadState::Complete.as_str();
        let (state, origin) = (state.as_str(), origin.as_str());
        file.run(sql, params![n, md5, sha1, to_sql(*size), state, origin, total, ranges, best])?;
    }
    if let Some(Event::SampleTriaged { layers, core, family, error, .. }) = &sample.triaged {
        let sql = "UPDATE sample SET layers = ?2, core = ?3, family = ?4, error = ?5 WHERE n = ?1";
        file.run(sql, params![n, file.written(layers)?, core, family, error])?;
    }
    Ok(())
}

/// What visitors did, hour by hour and in all.
fn put_sums(file: &Derived, table: &str, rows: &Hours<i64>) -> Result<(), DerivedError> {
    let seen = format!("SELECT 1 FROM {table}_hour WHERE source = ? AND n = ?");
    let add = format!("UPDATE {table} SET sources = sources + 1 WHERE n = ?");
    let pairs: BTreeSet<_> = rows.keys().map(|(_, n, source)| (*source, *n)).collect();
    for (source, n) in pairs {
        let mut seen = file.db.prepare_cached(&seen).map_err(file.fail())?;
        if !seen.exists([source, n]).map_err(file.fail())? {
            file.run(&add, [n])?;
        }
    }
    let add = format!(
        "UPDATE {table} SET count = count + ?2, first = min(first, ?3), last = max(last, ?4),
        connection = max(connection, ?5) WHERE n = ?1"
    );
    let mut all: BTreeMap<i64, Sum> = BTreeMap::new();
    for ((_, n, _), sum) in rows {
        all.entry(*n).and_modify(|all| all.add(sum)).or_insert(*sum);
    }
    for (n, sum) in all {
        let [count, first, last, connection] = sum.columns();
        file.run(&add, params![n, count, first, last, connection])?;
    }
    put_hours(file, table, rows)
}

/// What visitors did, hour by hour.
fn put_hours<K: Ord + ToSql>(file: &Derived, table: &str, rows: &Hours<K>) -> Result<(), DerivedError> {
    let sql = format!(
        "INSERT INTO {table}_hour VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO UPDATE SET
        count = count + ?4, first = min(first, ?5), last = max(last, ?6), connection = max(connection, ?7)"
    );
    // In the order of the table, as above.
    let rows: BTreeMap<_, _> = rows.iter().collect();
    for ((at, n, source), sum) in rows {
        let [count, first, last, connection] = sum.columns();
        file.run(&sql, params![n, to_sql(*at), source, count, first, last, connection])?;
    }
    Ok(())
}

fn columns(counted: &Counted) -> impl Iterator<Item = i64> {
    counted.iter().map(|count| to_sql(*count))
}

/// The statement that adds to a roll-up's row with these keys.
fn add_counted(table: &str, keys: &[&str]) -> String {
    static ADD: LazyLock<String> = LazyLock::new(|| {
        let add = COUNTED.iter().map(|name| format!("{name} = {name} + excluded.{name}"));
        add.collect::<Vec<_>>().join(", ")
    });
    let places = vec!["?"; keys.len() + COUNTED.len()].join(", ");
    format!("INSERT INTO {table} VALUES ({places}) ON CONFLICT DO UPDATE SET {}", *ADD)
}
