//! Rows of the journal: the only code that writes them.

use crate::body::take_numbers;
use crate::pack::{put_address, put_ip, put_origin, put_ranges, put_state, take_address};
use crate::published::{Attribution, Published};
use crate::samples::{SampleId, hex};
use crate::spool::Slot;
use crate::store::{Batch, Capture, Changes};
use crate::transcripts::Packed;
use roridula_proto::connection::ConnectionId;
use roridula_proto::event::Event;
use roridula_proto::time::WallClock;
use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

/// Bodies whose row is remembered; when it is more, all are forgotten and looked up again.
const BODIES_MAX: usize = 8192;
/// Samples whose row is remembered.
const SAMPLES_MAX: usize = 1024;

/// One thing to put on record.
#[derive(Debug)]
pub(crate) enum Item {
    /// A step of a connection.
    Batch { batch: Batch, transcript: Option<Packed> },
    /// An event without a connection, with the visitor's and our address if there is a visitor.
    Event { at: WallClock, event: Event, door: Option<(SocketAddr, SocketAddr)> },
    /// A payload that is in its place.
    Capture(Box<CaptureItem>),
    /// Answered when all before is durable.
    Flush(SyncSender<()>),
    /// The last one.
    Stop,
}

/// A capture on its way into the journal.
#[derive(Debug)]
pub(crate) struct CaptureItem {
    pub(crate) capture: Capture,
    pub(crate) at: WallClock,
    /// MD5 and SHA-1 of a sample that the journal may not have yet.
    pub(crate) hashes: Option<Hashes>,
    pub(crate) recovered: bool,
    /// Given up after the commit.
    pub(crate) slot: Option<Slot>,
    /// Answered after the commit.
    pub(crate) done: Option<SyncSender<()>>,
}

/// The hashes that only a first-seen sample is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hashes {
    pub(crate) md5: [u8; 16],
    pub(crate) sha1: [u8; 20],
}

#[derive(Clone, Copy, Debug)]
struct Open {
    n: i64,
    last: u64,
    events: u64,
}

/// The journal's one writer.
#[derive(Debug)]
pub(crate) struct Writer {
    db: Connection,
    rows: Rows,
}

/// What the writer remembers of what it wrote, so that the usual event needs no look-up.
#[derive(Debug)]
struct Rows {
    sensor: Arc<str>,
    /// The latest of each.
    seq: u64,
    connection: i64,
    body: i64,
    open: HashMap<ConnectionId, Open>,
    /// What `open` held before this transaction's changes, the earliest first.
    undo: Vec<(ConnectionId, Option<Open>)>,
    bodies: HashMap<Event, i64>,
    endpoints: HashMap<SocketAddr, i64>,
    samples: HashMap<SampleId, (i64, Hashes)>,
    /// What to tell after the commit, if anybody listens.
    tell: Option<Vec<Arc<Published>>>,
}

impl Writer {
    pub(crate) fn new(db: Connection, sensor: &str) -> rusqlite::Result<Self> {
        let rows = Rows::load(&db, sensor.into())?;
        let latest: Option<String> = db
            .query_row("SELECT sensor FROM era ORDER BY seq DESC LIMIT 1", [], |row| row.get(0))
            .optional()?;
        if latest.as_deref() != Some(sensor) {
            let from = rows.seq as i64 + 1;
            db.execute("INSERT OR REPLACE INTO era VALUES (?, ?)", params![from, sensor])?;
        }
        Ok(Self { db, rows })
    }

    /// The seq of the latest event.
    pub(crate) fn seq(&self) -> u64 {
        self.rows.seq
    }

    pub(crate) fn db(&self) -> &Connection {
        &self.db
    }

    /// Commits `items` as one transaction; gives what is to be told, empty unless `tell`. A transaction that
    /// holds a capture is on the disk when this returns; one of plain events may be lost by a power cut (never
    /// by the death of the process). On an error nothing of it is in the journal.
    pub(crate) fn commit(&mut self, items: &[Item], tell: bool) -> rusqlite::Result<Vec<Arc<Published>>> {
        let durable = items.iter().any(|item| matches!(item, Item::Capture(_)));
        if durable {
            self.db.execute_batch("PRAGMA synchronous = FULL")?;
        }
        let result = self.transact(items, tell);
        if durable {
            self.db.execute_batch("PRAGMA synchronous = NORMAL")?;
        }
        result
    }

    fn transact(&mut self, items: &[Item], tell: bool) -> rusqlite::Result<Vec<Arc<Published>>> {
        self.rows.tell = tell.then(Vec::new);
        self.rows.undo.clear();
        let before = (self.rows.seq, self.rows.connection, self.rows.body);
        let transaction = self.db.unchecked_transaction()?;
        let mut result = items.iter().try_for_each(|item| self.rows.write(&transaction, item));
        if result.is_ok() {
            result = transaction.commit();
        } else {
            drop(transaction);
        }
        if let Err(error) = result {
            self.rows.forget_since(before);
            return Err(error);
        }
        Ok(self.rows.tell.take().unwrap_or_default())
    }
}

impl Rows {
    fn load(db: &Connection, sensor: Arc<str>) -> rusqlite::Result<Self> {
        let latest = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0));
        let mut rows = Self {
            sensor,
            seq: latest("SELECT ifnull(max(seq), 0) FROM event")? as u64,
            connection: latest("SELECT ifnull(max(n), 0) FROM connection")?,
            body: latest("SELECT ifnull(max(n), 0) FROM body")?,
            open: HashMap::new(),
            undo: Vec::new(),
            bodies: HashMap::new(),
            endpoints: HashMap::new(),
            samples: HashMap::new(),
            tell: None,
        };
        for unended in unended(db)? {
            rows.open.insert(unended.attribution.connection, unended.open);
        }
        Ok(rows)
    }

    /// What was remembered since the beginning of a transaction that failed is not so.
    fn forget_since(&mut self, (seq, connection, body): (u64, i64, i64)) {
        (self.seq, self.connection, self.body) = (seq, connection, body);
        while let Some((id, open)) = self.undo.pop() {
            match open {
                Some(open) => self.open.insert(id, open),
                None => self.open.remove(&id),
            };
        }
        self.bodies.clear();
        self.endpoints.clear();
        self.samples.clear();
    }

    /// Remembers how far a connection is, or forgets it.
    fn set_open(&mut self, id: ConnectionId, open: Option<Open>) {
        let before = match open {
            Some(open) => self.open.insert(id, open),
            None => self.open.remove(&id),
        };
        self.undo.push((id, before));
    }

    fn write(&mut self, db: &Connection, item: &Item) -> rusqlite::Result<()> {
        match item {
            Item::Batch { batch, transcript } => self.batch(db, batch, transcript.as_ref()),
            Item::Event { at, event, door } => self.sensor_event(db, *at, event, *door),
            Item::Capture(item) => self.capture(db, item),
            Item::Flush(_) | Item::Stop => Ok(()),
        }
    }

    fn batch(&mut self, db: &Connection, batch: &Batch, transcript: Option<&Packed>) -> rusqlite::Result<()> {
        changes(db, &batch.changes)?;
        let whose = &batch.attribution;
        let is_new = matches!(batch.events.first(), Some((_, Event::ConnectionOpened { .. })));
        let mut open = self.connection(db, whose, is_new)?;
        let mut closed = None;
        for (at, event) in &batch.events {
            open.last = self.event(db, Some((whose, open.n)), *at, event)?;
            open.events += 1;
            if matches!(event, Event::ConnectionClosed { .. }) {
                closed = Some(open.last);
            }
        }
        let Some(closing) = &batch.closing else { return self.remember(db, whose.connection, open) };
        self.set_open(whose.connection, None);
        let sql = "INSERT OR REPLACE INTO ending VALUES (?, ?, ?, ?, ?, ?, ?)";
        db.prepare_cached(sql)?
            .execute(params![
                open.n,
                closed.unwrap_or(open.last) as i64,
                open.last as i64,
                open.events as i64,
                transcript.map(|_| closing.whole),
                transcript.map(|packed| packed.dictionary),
                transcript.map(|packed| packed.bytes.as_slice()),
            ])
            .map(drop)
    }

    /// Notes how far an open connection is, or that one which has ended told something more.
    fn remember(&mut self, db: &Connection, id: ConnectionId, open: Open) -> rusqlite::Result<()> {
        if self.open.contains_key(&id) {
            self.set_open(id, Some(open));
            return Ok(());
        }
        let sql = "UPDATE ending SET last = ?, events = events + ? WHERE conn = ?";
        db.prepare_cached(sql)?.execute(params![open.last as i64, open.events as i64, open.n]).map(drop)
    }

    /// The row of a connection, made if there is none. One that has ended comes with no events counted and is
    /// not in `self.open`.
    fn connection(&mut self, db: &Connection, whose: &Attribution, is_new: bool) -> rusqlite::Result<Open> {
        if let Some(open) = self.open.get(&whose.connection) {
            return Ok(*open);
        }
        if !is_new {
            let sql = "SELECT n FROM connection WHERE id = ?";
            let id = whose.connection.0 as i64;
            let n = db.prepare_cached(sql)?.query_row([id], |row| row.get(0)).optional()?;
            if let Some(n) = n {
                return Ok(Open { n, last: 0, events: 0 });
            }
        }
        self.connection += 1;
        let endpoint = self.endpoint(db, whose.destination)?;
        db.prepare_cached("INSERT INTO connection VALUES (?, ?, ?, ?, ?, ?)")?.execute(params![
            self.connection,
            whose.connection.0 as i64,
            whose.at.0 as i64,
            put_address(whose.source),
            endpoint,
            self.seq as i64 + 1,
        ])?;
        let open = Open { n: self.connection, last: self.seq, events: 0 };
        self.set_open(whose.connection, Some(open));
        Ok(open)
    }

    fn endpoint(&mut self, db: &Connection, address: SocketAddr) -> rusqlite::Result<i64> {
        if let Some(&n) = self.endpoints.get(&address) {
            return Ok(n);
        }
        let bytes = put_address(address);
        db.execute("INSERT OR IGNORE INTO endpoint (address) VALUES (?)", [&bytes])?;
        let n = db.query_row("SELECT n FROM endpoint WHERE address = ?", [&bytes], |row| row.get(0))?;
        if self.endpoints.len() < SAMPLES_MAX {
            self.endpoints.insert(address, n);
        }
        Ok(n)
    }

    /// Writes one event; gives its seq.
    fn event(
        &mut self,
        db: &Connection,
        whose: Option<(&Attribution, i64)>,
        at: WallClock,
        event: &Event,
    ) -> rusqlite::Result<u64> {
        let mut args = Vec::new();
        // A fingerprint is all text, the same for every visit of a kind, and no number is taken out of it.
        let known = self.bodies.get(event).filter(|_| matches!(event, Event::ClientFingerprint { .. }));
        let body = match known {
            Some(&body) => body,
            None => {
                let mut rest = event.clone();
                let numbers = take_numbers(&mut rest, &mut args);
                self.body(db, rest, numbers)?
            }
        };
        self.seq += 1;
        let since = whose.map_or(0, |(whose, _)| whose.at.0);
        db.prepare_cached("INSERT INTO event VALUES (?, ?, ?, ?, ?)")?.execute(params![
            self.seq as i64,
            whose.map(|(_, n)| n),
            (at.0 as i64).saturating_sub(since as i64),
            body,
            (!args.is_empty()).then_some(args),
        ])?;
        if let Some(tell) = &mut self.tell {
            tell.push(Arc::new(Published {
                seq: self.seq,
                time: at,
                sensor: Arc::clone(&self.sensor),
                connection: whose.map(|(whose, _)| whose.connection),
                source: whose.map(|(whose, _)| whose.source),
                destination: whose.map(|(whose, _)| whose.destination),
                event: event.clone(),
            }));
        }
        Ok(self.seq)
    }

    fn body(&mut self, db: &Connection, event: Event, numbers: &str) -> rusqlite::Result<i64> {
        if let Some(&n) = self.bodies.get(&event) {
            return Ok(n);
        }
        let text = serde_json::to_string(&event)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        let numbers = (!numbers.is_empty()).then_some(numbers);
        let digest = Sha256::digest(text.as_bytes());
        let hash = digest.first_chunk::<8>().map_or(0, |head| i64::from_le_bytes(*head));
        let sql = "SELECT n FROM body WHERE hash = ? AND text = ? AND numbers IS ?";
        let known =
            db.prepare_cached(sql)?.query_row(params![hash, text, numbers], |row| row.get(0)).optional()?;
        let n = match known {
            Some(n) => n,
            None => {
                self.body += 1;
                let sql = "INSERT INTO body VALUES (?, ?, ?, ?)";
                db.prepare_cached(sql)?.execute(params![self.body, hash, text, numbers])?;
                self.body
            }
        };
        if self.bodies.len() >= BODIES_MAX {
            self.bodies.clear();
        }
        self.bodies.insert(event, n);
        Ok(n)
    }

    fn sensor_event(
        &mut self,
        db: &Connection,
        at: WallClock,
        event: &Event,
        door: Option<(SocketAddr, SocketAddr)>,
    ) -> rusqlite::Result<()> {
        let seq = self.event(db, None, at, event)?;
        if let Some((source, destination)) = door {
            let endpoint = self.endpoint(db, destination)?;
            let sql = "INSERT INTO door VALUES (?, ?, ?)";
            db.prepare_cached(sql)?.execute(params![seq as i64, put_address(source), endpoint])?;
            if let Some(told) = self.tell.as_mut().and_then(|tell| tell.last_mut()).and_then(Arc::get_mut) {
                told.source = Some(source);
                told.destination = Some(destination);
            }
        }
        if let Event::SampleTriaged { sha256, .. } = event
            && let Ok(id) = sha256.parse::<SampleId>()
        {
            let sql = "INSERT OR REPLACE INTO report SELECT n, ? FROM sample WHERE sha256 = ?";
            db.prepare_cached(sql)?.execute(params![seq as i64, id.0])?;
        }
        Ok(())
    }

    fn capture(&mut self, db: &Connection, item: &CaptureItem) -> rusqlite::Result<()> {
        let capture = &item.capture;
        let (sample, hashes, first_seen) = self.sample(db, capture, item.hashes)?;
        let event = Event::SampleCaptured {
            upload: capture.upload,
            sha256: capture.sha256.to_string(),
            md5: hex(&hashes.md5),
            sha1: hex(&hashes.sha1),
            size: capture.size,
            state: capture.state,
            total: capture.total,
            ranges: capture.ranges.clone(),
            origin: capture.origin,
            first_seen,
            recovered: item.recovered,
        };
        let whose = &capture.attribution;
        let mut open = self.connection(db, whose, false)?;
        open.last = self.event(db, Some((whose, open.n)), item.at, &event)?;
        open.events += 1;
        self.remember(db, whose.connection, open)?;
        let sql = "INSERT INTO capture VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
        db.prepare_cached(sql)?
            .execute(params![
                open.last as i64,
                sample,
                open.n,
                capture.upload,
                put_origin(capture.origin),
                put_state(capture.state),
                // The usual total is the size itself.
                capture
                    .total
                    .filter(|&total| total != capture.size || !is_plain(capture))
                    .map(|total| total as i64),
                put_ranges(&capture.ranges),
                i64::from(item.recovered) | i64::from(capture.total.is_none()) << 1,
            ])
            .map(drop)
    }

    /// The sample's row, its hashes, and whether it is new.
    fn sample(
        &mut self,
        db: &Connection,
        capture: &Capture,
        hashes: Option<Hashes>,
    ) -> rusqlite::Result<(i64, Hashes, bool)> {
        if let Some(&(n, hashes)) = self.samples.get(&capture.sha256) {
            return Ok((n, hashes, false));
        }
        let sql = "SELECT n, md5, sha1 FROM sample WHERE sha256 = ?";
        let known = db
            .prepare_cached(sql)?
            .query_row([capture.sha256.0], |row| {
                Ok((row.get(0)?, Hashes { md5: row.get(1)?, sha1: row.get(2)? }))
            })
            .optional()?;
        let (n, hashes, is_new) = match (known, hashes) {
            (Some((n, hashes)), _) => (n, hashes, false),
            (None, Some(hashes)) => {
                let sql = "INSERT INTO sample (sha256, md5, sha1, size) VALUES (?, ?, ?, ?)";
                let size = capture.size as i64;
                db.prepare_cached(sql)?.execute(params![capture.sha256.0, hashes.md5, hashes.sha1, size])?;
                (db.last_insert_rowid(), hashes, true)
            }
            (None, None) => return Err(rusqlite::Error::QueryReturnedNoRows),
        };
        if self.samples.len() >= SAMPLES_MAX {
            self.samples.clear();
        }
        self.samples.insert(capture.sha256, (n, hashes));
        Ok((n, hashes, is_new))
    }
}

/// Writes what must outlive a restart. Two uploads may finish side by side: the later generation counts.
fn changes(db: &Connection, changes: &Changes) -> rusqlite::Result<()> {
    if let Some(generation) = changes.generation {
        let sql = "INSERT INTO meta VALUES ('generation', ?)
            ON CONFLICT DO UPDATE SET value = max(value, excluded.value)";
        db.prepare_cached(sql)?.execute([generation as i64])?;
    }
    if let Some(state) = changes.source {
        let sql = "INSERT OR REPLACE INTO source_state VALUES (?, ?, ?)";
        let (dormant, exploited) = (state.dormant_until.0 as i64, state.exploited_until.0 as i64);
        db.prepare_cached(sql)?.execute(params![put_ip(state.source), dormant, exploited])?;
    }
    Ok(())
}

/// Whether a capture is all of its upload, from the first byte to the last.
fn is_plain(capture: &Capture) -> bool {
    matches!(capture.ranges.as_slice(), [only] if only.start == 0)
}

/// A connection without an end: open, or open when the process was killed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unended {
    pub(crate) attribution: Attribution,
    /// When it was last heard of.
    pub(crate) latest: WallClock,
    open: Open,
}

/// Notes that every connection so far has its end, so that the next start need not look through all of them.
pub(crate) fn all_ended(db: &Connection) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO meta SELECT 'ended', ifnull(max(n), 0) FROM connection";
    db.execute(sql, []).map(drop)
}

/// All connections without an end.
pub(crate) fn unended(db: &Connection) -> rusqlite::Result<Vec<Unended>> {
    let sql = "SELECT k.n, k.id, k.at, k.source, p.address, max(e.seq), count(e.seq), max(e.time)
        FROM connection k JOIN endpoint p ON p.n = k.endpoint
        LEFT JOIN event e ON e.seq >= k.first AND e.conn = k.n
        WHERE k.n > ifnull((SELECT value FROM meta WHERE key = 'ended'), 0) AND NOT EXISTS (SELECT 1 FROM ending WHERE conn = k.n) GROUP BY k.n";
    let mut statement = db.prepare(sql)?;
    let rows = statement.query_map([], |row| {
        let address = |at| {
            let bytes: Vec<u8> = row.get(at)?;
            take_address(&bytes).ok_or(rusqlite::Error::IntegralValueOutOfRange(at, 0))
        };
        let at = WallClock(row.get::<_, i64>(2)? as u64);
        let since = row.get::<_, Option<i64>>(7)?.unwrap_or(0);
        Ok(Unended {
            attribution: Attribution {
                connection: ConnectionId(row.get::<_, i64>(1)? as u64),
                at,
                source: address(3)?,
                destination: address(4)?,
            },
            latest: WallClock(at.0.saturating_add_signed(since)),
            open: Open {
                n: row.get(0)?,
                last: row.get::<_, Option<i64>>(5)?.unwrap_or(0) as u64,
                events: row.get::<_, i64>(6)? as u64,
            },
        })
    })?;
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Closing;
    use crate::{EventFilter, Reader, schema};
    use roridula_proto::event::{CloseReason, Transport};

    fn batch(id: u64, event: Event, closing: bool) -> Item {
        let attribution = Attribution {
            connection: ConnectionId(id),
            at: WallClock(id),
            source: "192.0.2.1:1".parse().unwrap(),
            destination: "192.0.2.2:445".parse().unwrap(),
        };
        let closing = closing.then(Closing::default);
        let batch =
            Batch { attribution, events: vec![(WallClock(id), event)], changes: Changes::default(), closing };
        Item::Batch { batch, transcript: None }
    }

    fn opened(id: u64) -> Item {
        batch(id, Event::ConnectionOpened { transport: Transport::DirectTcp }, false)
    }

    fn closed(id: u64) -> Item {
        let closed = Event::ConnectionClosed {
            reason: CloseReason::PeerClosed,
            duration_us: 1,
            bytes_in: 0,
            bytes_out: 0,
            events_dropped: 0,
        };
        batch(id, closed, true)
    }

    #[test]
    fn a_transaction_that_failed_can_be_tried_again_as_if_it_had_never_been() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::new(schema::open_to_write(dir.path()).unwrap(), "t").unwrap();
        writer.commit(&[opened(1), opened(2)], false).unwrap();
        // Everything of it succeeds but the end: the disk is full.
        let group = [closed(1), opened(3), closed(3), opened(4)];
        let pages: i64 = writer.db.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
        writer.db.execute_batch(&format!("PRAGMA max_page_count = {pages}")).unwrap();
        let huge = Event::LimitReached { limit: "x".repeat(100_000), value: 0 };
        let too_much = [closed(1), opened(3), closed(3), opened(4), batch(2, huge, false)];
        for _ in 0..3 {
            let error = writer.commit(&too_much, true).unwrap_err();
            assert_eq!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::DiskFull));
        }
        writer.db.execute_batch("PRAGMA max_page_count = 1000000").unwrap();
        let told = writer.commit(&group, true).unwrap();
        assert_eq!(told.iter().map(|event| event.seq).collect::<Vec<_>>(), [3, 4, 5, 6]);
        let left: Vec<u64> =
            unended(writer.db()).unwrap().iter().map(|left| left.attribution.connection.0).collect();
        assert_eq!(left, [2, 4]);
        let events =
            Reader::open(dir.path()).unwrap().events(0, &EventFilter::default(), 100).unwrap().events;
        assert_eq!(events.len(), 6);
    }
}
