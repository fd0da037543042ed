//! Captures and samples.

use super::super::filter::{Cursor, Filter, Span};
use super::super::fold::DAY;
use super::super::view::{CaptureRow, Caught, Page, SampleDay, SampleRow, Sender, Spread};
use super::super::{Index, IndexError};
use super::{Asked, Lane, Paged, Wanted, address, bounded, count, cut, time, words};
use crate::derived::{to_sql, to_u64};
use roridula_evidence::SampleId;
use roridula_proto::connection::ConnectionId;
use roridula_proto::event::{ByteRange, Layer};
use roridula_proto::time::WallClock;
use rusqlite::types::Value;
use rusqlite::{Row, params, params_from_iter};
use std::collections::{BTreeMap, HashMap, HashSet};

const CAPTURE: &str = "m.sha256, m.size, s.ip, r.connection, r.upload, r.state, r.origin, r.first_seen";
const CAPTURE_JOINS: &str = "JOIN sample m ON m.n = r.sample JOIN source s ON s.n = r.source";
const SAMPLE: &str =
    "SELECT m.sha256, m.md5, m.sha1, m.size, m.state, m.origin, m.total, m.ranges, m.captures,
    m.sources, m.first, m.last, t.names, m.layers, m.core, m.family, m.error, m.n
    FROM sample m LEFT JOIN connection k ON k.id = m.connection LEFT JOIN toolset t ON t.n = k.toolset";
/// Captures that came through the implant: `incident::is_payload`, in SQL.
pub(super) const PAYLOADS: &str = "r.origin IN ('doublepulsar', 'doublepulsar-raw', 'doublepulsar-conflict')";

impl Index {
    /// Captures that fit, the latest first. Of the filter, the span, the source, the samples and `payloads` count.
    pub fn captures(
        &mut self,
        filter: &Filter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<CaptureRow>, IndexError> {
        let cursor = Cursor::read(cursor)?;
        self.look(|index| index.read_captures(filter, cursor, limit))
    }

    fn read_captures(
        &self,
        filter: &Filter,
        cursor: Cursor,
        limit: usize,
    ) -> Result<Page<CaptureRow>, IndexError> {
        let mut wanted = Wanted::default();
        if filter.payloads {
            wanted.and(PAYLOADS, []);
        }
        let sources = filter.source.map(|network| self.sources_of(network)).transpose()?;
        let mut lanes: Vec<Lane> = Vec::new();
        let mut is_led = false;
        if let Some(Some(sources)) = &sources {
            let lane = |(n, _): &(i64, u64)| Lane::of("capture_source", "source = ?", [Value::from(*n)]);
            lanes.extend(sources.iter().map(lane));
            is_led = true;
        } else if let Some(network) = filter.source {
            let (least, most) = network.range();
            let range = [least, most].map(|ip| Value::from(ip.to_vec()));
            wanted.and("r.source IN (SELECT n FROM source WHERE ip BETWEEN ? AND ?)", range);
        }
        if !filter.samples.is_empty() {
            let samples = self.sample_numbers(&filter.samples)?;
            if is_led {
                let list = serde_json::to_string(&samples).unwrap_or_default();
                wanted.and("r.sample IN (SELECT value FROM json_each(?))", [Value::from(list)]);
            } else {
                let lane = |n: &i64| Lane::of("capture_sample", "sample = ?", [Value::from(*n)]);
                lanes.extend(samples.iter().map(lane));
                is_led = true;
            }
        }
        if !is_led {
            lanes.push(Lane { index: "capture_at".to_owned(), of: Wanted::default() });
        }
        let paged = Paged { table: "capture", key: ("at", "seq"), columns: CAPTURE, joins: CAPTURE_JOINS };
        let span = filter.span.moments();
        let asked = Asked { lanes: &lanes, span, wanted: &wanted, cursor, limit };
        self.page(&paged, &asked, capture)
    }

    /// Who brought these samples, the latest first.
    pub fn senders(
        &mut self,
        samples: &[SampleId],
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<Sender>, IndexError> {
        let cursor = Cursor::read(cursor)?;
        self.look(|index| index.read_senders(samples, cursor, limit))
    }

    fn read_senders(
        &self,
        samples: &[SampleId],
        cursor: Cursor,
        limit: usize,
    ) -> Result<Page<Sender>, IndexError> {
        let (limit, _) = bounded(limit);
        let sql = "SELECT source, captures, first, last FROM sample_source WHERE sample = ?";
        let mut all: HashMap<i64, (u64, WallClock, WallClock)> = HashMap::new();
        for n in self.sample_numbers(samples)? {
            let rows = self
                .file
                .rows(sql, [n], |row| Ok((row.get(0)?, (count(row, 1)?, time(row, 2)?, time(row, 3)?))))?;
            for (source, (captures, first, last)) in rows {
                let sum = all.entry(source).or_insert((0, first, last));
                *sum = (sum.0 + captures, sum.1.min(first), sum.2.max(last));
            }
        }
        let mut keys: Vec<(i64, i64)> =
            all.iter().map(|(source, (.., last))| (to_sql(last.0), *source)).collect();
        keys.sort_unstable_by_key(|key| std::cmp::Reverse(*key));
        let from = keys.partition_point(|key| *key >= (cursor.0, cursor.1));
        let mut rows = Vec::new();
        for (last, source) in keys.into_iter().skip(from).take(limit + 1) {
            let ips = self.file.rows("SELECT ip FROM source WHERE n = ?", [source], |row| address(row, 0))?;
            if let (Some(ip), Some((captures, first, seen))) = (ips.first(), all.get(&source)) {
                let sender = Sender { source: *ip, captures: *captures, first: *first, last: *seen };
                rows.push((Cursor(last, source), sender));
            }
        }
        Ok(cut(rows, limit))
    }

    /// Captures of several sets of samples from the filter's visitors in its span, and hosts, day by day.
    pub fn spreads(&mut self, sets: &[Vec<SampleId>], filter: &Filter) -> Result<Vec<Spread>, IndexError> {
        self.look(|index| {
            let mut wanted = Wanted::default();
            wanted.of_source(index, filter)?;
            let sql = format!("SELECT n FROM source s WHERE {}", wanted.text());
            let numbers = || index.file.rows(&sql, params_from_iter(&wanted.values), |row| row.get(0));
            let of = if wanted.sql.is_empty() { None } else { Some(numbers()?.into_iter().collect()) };
            sets.iter().map(|samples| index.read_spread(samples, filter.span, of.as_ref())).collect()
        })
    }

    /// `of`: only from these visitors.
    fn read_spread(
        &self,
        samples: &[SampleId],
        span: Span,
        of: Option<&HashSet<i64>>,
    ) -> Result<Spread, IndexError> {
        let (first, last) = span.intervals(DAY);
        let sql = "SELECT at, source, captures FROM sample_day WHERE sample = ? AND at BETWEEN ? AND ?";
        let mut days: BTreeMap<u64, (u64, HashSet<i64>)> = BTreeMap::new();
        let mut sources: HashSet<i64> = HashSet::new();
        for n in self.sample_numbers(samples)? {
            let mut statement = self.file.db.prepare_cached(sql).map_err(self.file.fail())?;
            let mut rows = statement.query([n, first, last]).map_err(self.file.fail())?;
            while let Some(row) = rows.next().map_err(self.file.fail())? {
                let read = || Ok::<_, rusqlite::Error>((count(row, 0)?, row.get(1)?, count(row, 2)?));
                let (at, source, captures) = read().map_err(self.file.fail())?;
                if of.is_some_and(|of| !of.contains(&source)) {
                    continue;
                }
                let day = days.entry(at).or_default();
                day.0 += captures;
                day.1.insert(source);
                sources.insert(source);
            }
        }
        let day = |(at, (captures, sources)): (u64, (u64, HashSet<i64>))| SampleDay {
            begins: WallClock(at * DAY),
            captures,
            sources: sources.len() as u64,
        };
        let days: Vec<SampleDay> = days.into_iter().map(day).collect();
        let captures = days.iter().map(|day| day.captures).sum();
        Ok(Spread { captures, sources: sources.len() as u64, days })
    }

    /// All samples, in the order in which they were first captured.
    pub fn samples(&mut self) -> Result<Vec<SampleRow>, IndexError> {
        self.look(|index| index.samples_where("1 ORDER BY m.n", []))
    }

    /// One sample.
    pub fn sample(&mut self, id: SampleId) -> Result<Option<SampleRow>, IndexError> {
        self.look(|index| Ok(index.samples_where("m.sha256 = ?", params![id.0])?.pop()))
    }

    /// The samples of which a capture fits: from the filter's visitors, in its span, and, of a step that is a capture's own
    /// (complete, new), one that took it.
    pub fn samples_of(&mut self, filter: &Filter) -> Result<HashSet<SampleId>, IndexError> {
        self.look(|index| {
            let is_of_all = filter.source.is_none()
                && filter.step.is_none()
                && filter.tool.is_none()
                && filter.brought.is_none()
                && !filter.payloads;
            let (sql, values) = if is_of_all { seen_in(filter.span) } else { brought_by(index, filter)? };
            let rows = index.file.rows(&sql, params_from_iter(&values), |row| row.get(0).map(SampleId))?;
            Ok(rows.into_iter().collect())
        })
    }

    /// The numbers of all samples.
    fn numbers(&self) -> Result<Vec<(i64, SampleId)>, IndexError> {
        let read = |row: &Row<'_>| Ok((row.get(0)?, SampleId(row.get(1)?)));
        self.file.rows("SELECT n, sha256 FROM sample", [], read)
    }

    /// What of the samples of each set was caught that fits as in [`Self::samples_of`]; `None` for a set of which nothing was.
    pub fn caught(
        &mut self,
        sets: &[Vec<SampleId>],
        filter: &Filter,
    ) -> Result<Vec<Option<Caught>>, IndexError> {
        let mut sets_of: HashMap<SampleId, Vec<usize>> = HashMap::new();
        for (at, set) in sets.iter().enumerate() {
            set.iter().for_each(|id| sets_of.entry(*id).or_default().push(at));
        }
        self.look(|index| {
            let mut sums: HashMap<i64, Sum> = HashMap::new();
            let wanted = Wanted::captures(index, filter)?;
            // Added up here: sorting them would take longer than reading them.
            let sql = format!("SELECT sample, source, at FROM capture r WHERE {}", wanted.text());
            let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, time(row, 2)?));
            for (sample, source, at) in index.file.rows(&sql, params_from_iter(&wanted.values), read)? {
                sums.entry(sample).or_insert_with(|| Sum::of(at)).add(source, at);
            }
            let mut caught: Vec<Option<Sum>> = vec![None; sets.len()];
            for (n, id) in index.numbers()? {
                let Some(sum) = sums.get(&n) else { continue };
                for at in sets_of.get(&id).into_iter().flatten() {
                    if let Some(all) = caught.get_mut(*at) {
                        all.get_or_insert_with(|| Sum::of(sum.first)).join(sum);
                    }
                }
            }
            Ok(caught.into_iter().map(|sum| sum.map(Caught::from)).collect())
        })
    }

    /// Different visitors who brought one of the samples of each set; a sample that is in no set is left out.
    pub fn hosts(&mut self, set_of: &HashMap<SampleId, usize>) -> Result<HashMap<usize, u64>, IndexError> {
        self.look(|index| {
            let sets: HashMap<i64, usize> =
                index.numbers()?.iter().filter_map(|(n, id)| Some((*n, *set_of.get(id)?))).collect();
            let mut hosts: HashMap<usize, HashSet<i64>> = HashMap::new();
            let sql = "SELECT sample, source FROM sample_source";
            let mut statement = index.file.db.prepare_cached(sql).map_err(index.file.fail())?;
            let mut rows = statement.query([]).map_err(index.file.fail())?;
            while let Some(row) = rows.next().map_err(index.file.fail())? {
                let read = || Ok::<_, rusqlite::Error>((row.get(0)?, row.get(1)?));
                let (sample, source): (i64, i64) = read().map_err(index.file.fail())?;
                if let Some(set) = sets.get(&sample) {
                    hosts.entry(*set).or_default().insert(source);
                }
            }
            Ok(hosts.into_iter().map(|(set, hosts)| (set, hosts.len() as u64)).collect())
        })
    }

    pub(super) fn samples_where(
        &self,
        wanted: &str,
        values: impl rusqlite::Params,
    ) -> Result<Vec<SampleRow>, IndexError> {
        let sql = format!("{SAMPLE} WHERE {wanted}");
        let rows = self.file.rows(&sql, values, |row| Ok((sample(row)?, row.get(7)?, row.get(13)?)))?;
        let whole = |(row, ranges, layers): (SampleRow, String, Option<String>)| {
            let ranges: Vec<ByteRange> = self.file.parsed(&ranges)?;
            let layers: Option<Vec<Layer>> = layers.map(|layers| self.file.parsed(&layers)).transpose()?;
            Ok(SampleRow { ranges, triaged: layers.is_some(), layers: layers.unwrap_or_default(), ..row })
        };
        rows.into_iter().map(whole).collect()
    }

    /// The numbers of those samples that are in the index.
    pub(super) fn sample_numbers(&self, samples: &[SampleId]) -> Result<Vec<i64>, IndexError> {
        let mut numbers = Vec::with_capacity(samples.len());
        for id in samples {
            let found: Vec<i64> =
                self.file.rows("SELECT n FROM sample WHERE sha256 = ?", params![id.0], |row| row.get(0))?;
            numbers.extend(found);
        }
        numbers.sort_unstable();
        numbers.dedup();
        Ok(numbers)
    }

    /// At most `limit` samples one of whose hashes begins like this.
    pub(super) fn samples_hashed(
        &self,
        prefix: &str,
        limit: i64,
    ) -> Result<Vec<(SampleRow, &'static str)>, IndexError> {
        let mut found = Vec::new();
        if let Some((least, most)) = hash_range(prefix) {
            let values: [Value; 3] =
                [Value::from(least.to_vec()), Value::from(most.to_vec()), Value::from(limit)];
            let wanted = "m.sha256 BETWEEN ? AND ? ORDER BY m.sha256 LIMIT ?";
            let rows = self.samples_where(wanted, params_from_iter(values))?;
            found.extend(rows.into_iter().map(|row| (row, "sha256")));
        }
        for by in ["sha1", "md5"] {
            let wanted = format!("m.{by} >= ?1 AND m.{by} < ?1 || 'g' ORDER BY m.{by} LIMIT ?2");
            let rows = self.samples_where(&wanted, params![prefix, limit])?;
            found.extend(rows.into_iter().map(|row| (row, by)));
        }
        Ok(found)
    }
}

/// Captures that are being added up.
#[derive(Clone, Debug)]
struct Sum {
    captures: u64,
    sources: HashSet<i64>,
    first: WallClock,
    last: WallClock,
}

impl Sum {
    /// None yet, of which one is at this time.
    fn of(at: WallClock) -> Self {
        Self { captures: 0, sources: HashSet::new(), first: at, last: at }
    }

    fn add(&mut self, source: i64, at: WallClock) {
        self.captures += 1;
        self.sources.insert(source);
        (self.first, self.last) = (self.first.min(at), self.last.max(at));
    }

    fn join(&mut self, other: &Self) {
        self.captures += other.captures;
        self.sources.extend(&other.sources);
        (self.first, self.last) = (self.first.min(other.first), self.last.max(other.last));
    }
}

impl From<Sum> for Caught {
    fn from(sum: Sum) -> Self {
        Self { captures: sum.captures, hosts: sum.sources.len() as u64, first: sum.first, last: sum.last }
    }
}

/// A statement for the samples that anybody brought in a time, and its values: only of one that came before it and after it,
/// the captures have to be looked up.
fn seen_in(span: Span) -> (String, Vec<Value>) {
    let (since, until) = span.moments();
    let sql = "SELECT sha256 FROM sample m WHERE last >= ?1 AND first <= ?2 AND (first >= ?1 OR last <= ?2 OR EXISTS (
        SELECT 1 FROM capture r WHERE r.sample = m.n AND r.at BETWEEN ?1 AND ?2))";
    (sql.to_owned(), [since, until].map(Value::from).to_vec())
}

/// A statement for the samples of captures that fit, and its values.
fn brought_by(index: &Index, filter: &Filter) -> Result<(String, Vec<Value>), IndexError> {
    let wanted = Wanted::captures(index, filter)?;
    let captures = wanted.text();
    let sql = format!("SELECT sha256 FROM sample WHERE n IN (SELECT sample FROM capture r WHERE {captures})");
    Ok((sql, wanted.values))
}

/// The lowest and the highest SHA-256 that begin with these hexadecimal digits.
fn hash_range(prefix: &str) -> Option<([u8; 32], [u8; 32])> {
    let fits = prefix.len() <= 64 && prefix.bytes().all(|byte| byte.is_ascii_hexdigit());
    let filled = |with: &str| format!("{prefix}{}", with.repeat(64 - prefix.len())).parse::<SampleId>().ok();
    fits.then(|| Some((filled("0")?.0, filled("f")?.0))).flatten()
}

fn capture(row: &Row<'_>) -> rusqlite::Result<CaptureRow> {
    Ok(CaptureRow {
        time: time(row, 0)?,
        seq: count(row, 1)?,
        sha256: SampleId(row.get(2)?),
        size: count(row, 3)?,
        source: address(row, 4)?,
        connection: ConnectionId(count(row, 5)?),
        upload: row.get(6)?,
        state: row.get(7)?,
        origin: row.get(8)?,
        first_seen: row.get(9)?,
    })
}

fn sample(row: &Row<'_>) -> rusqlite::Result<SampleRow> {
    Ok(SampleRow {
        sha256: SampleId(row.get(0)?),
        md5: row.get(1)?,
        sha1: row.get(2)?,
        size: count(row, 3)?,
        state: row.get(4)?,
        origin: row.get(5)?,
        total: row.get::<_, Option<i64>>(6)?.map(to_u64),
        ranges: Vec::new(),
        captures: count(row, 8)?,
        sources: count(row, 9)?,
        first: time(row, 10)?,
        last: time(row, 11)?,
        tools: words(&row.get::<_, Option<String>>(12)?.unwrap_or_default()),
        triaged: false,
        layers: Vec::new(),
        core: row.get(14)?,
        family: row.get(15)?,
        triage_error: row.get(16)?,
    })
}
