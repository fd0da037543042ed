//! The view for everybody else, while the honeypot runs.

use crate::body::Body;
use crate::pack::{take_address, take_ip, take_origin, take_ranges, take_state};
use crate::payloads::{Part, UploadPayloads};
use crate::published::Published;
use crate::samples::SampleId;
use crate::store::SourceState;
use crate::view::{CaptureView, ConnectionView, SampleView};
use crate::{StoreError, schema, transcripts};
use roridula_proto::connection::ConnectionId;
use roridula_proto::event::{Event, TranscriptState, UploadState};
use roridula_proto::time::WallClock;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bodies that are kept parsed; when it is more, all are forgotten and parsed again.
const BODIES_MAX: usize = 4096;

/// Which events are asked for; an empty filter is all of them.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Event ids, any of which fits; one that ends in `.` fits all that begin with it. Empty: all.
    pub ids: Vec<String>,
    /// Only of this connection.
    pub connection: Option<ConnectionId>,
    /// Only of this visitor.
    pub source: Option<IpAddr>,
}

impl EventFilter {
    fn fits(&self, id: &str) -> bool {
        let fits =
            |wanted: &String| wanted == id || (wanted.ends_with('.') && id.starts_with(wanted.as_str()));
        self.ids.is_empty() || self.ids.iter().any(fits)
    }
}

/// Some events, and where to go on.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// In the order of the journal.
    pub events: Vec<Published>,
    /// The `seq` up to which the journal was looked through: the `after` of the next call. Unchanged when there
    /// was nothing new.
    pub next: u64,
}

/// A read-only view of a data directory.
#[derive(Debug)]
pub struct Reader {
    dir: PathBuf,
    db: Connection,
    bodies: RefCell<HashMap<i64, Arc<Body>>>,
}

impl Reader {
    /// Opens the journal in `dir`. Fails with [`StoreError::Missing`] where there is none.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        Ok(Self { dir: dir.to_owned(), db: schema::open_to_read(dir)?, bodies: RefCell::default() })
    }

    /// At most `limit` events with a `seq` above `after` that fit `filter`.
    pub fn events(&self, after: u64, filter: &EventFilter, limit: usize) -> Result<Page, StoreError> {
        let mut page = Page { events: Vec::new(), next: after };
        // One view of the journal for all that is asked, and its locks taken once.
        let _view = self.db.unchecked_transaction().map_err(self.fail())?;
        let last = self.last_seq()?;
        let (mut from, mut until) = (after.saturating_add(1), last);
        if let Some(id) = filter.connection {
            let Some(span) = self.span(id)? else { return Ok(Page { next: last.max(after), ..page }) };
            from = from.max(span.0);
            until = until.min(span.1);
        }
        let sql = "SELECT e.seq, e.time, e.body, e.args, k.id, k.at, ifnull(k.source, d.source), p.address
            FROM event e LEFT JOIN connection k ON k.n = e.conn LEFT JOIN door d ON d.seq = e.seq
            LEFT JOIN endpoint p ON p.n = ifnull(k.endpoint, d.endpoint)
            WHERE e.seq BETWEEN ? AND ? ORDER BY e.seq";
        let mut statement = self.db.prepare_cached(sql).map_err(self.fail())?;
        let mut rows = statement.query(params![to_sql(from), to_sql(until)]).map_err(self.fail())?;
        let eras = self.eras()?;
        while page.events.len() < limit {
            let Some(row) = rows.next().map_err(self.fail())? else {
                page.next = last.max(after);
                break;
            };
            page.next = to_u64(row.get(0).map_err(self.fail())?);
            if let Some(event) = self.event(row, filter, &eras)? {
                page.events.push(event);
            }
        }
        Ok(page)
    }

    /// The `seq` of the latest event, 0 when there is none.
    pub fn last_seq(&self) -> Result<u64, StoreError> {
        let sql = "SELECT ifnull(max(seq), 0) FROM event";
        let mut statement = self.db.prepare_cached(sql).map_err(self.fail())?;
        statement.query_row([], |row| row.get(0)).map(to_u64).map_err(self.fail())
    }

    /// Whether a honeypot has the directory open now.
    pub fn is_running(&self) -> bool {
        crate::store::is_locked(&self.dir)
    }

    /// Bytes of the directory's disk: free for us, and all; `None` where the system does not say.
    pub fn disk_bytes(&self) -> Option<(u64, u64)> {
        let stat = rustix::fs::statvfs(&self.dir).ok()?;
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        Some((bytes(stat.f_bavail), bytes(stat.f_blocks)))
    }

    /// All samples, the first seen first.
    pub fn samples(&self) -> Result<Vec<SampleView>, StoreError> {
        self.samples_where("1", &[])
    }

    /// The sample whose SHA-256 is or begins with `prefix`.
    pub fn sample(&self, prefix: &str) -> Result<Option<SampleView>, StoreError> {
        let is_hex = prefix.bytes().all(|byte| byte.is_ascii_hexdigit()) && prefix.len() <= 64;
        if prefix.is_empty() || !is_hex {
            return Err(StoreError::NotHex(prefix.chars().take(80).collect()));
        }
        let wanted = prefix.to_ascii_lowercase();
        let filled = |with: &str| format!("{wanted}{}", with.repeat(64 - wanted.len())).parse::<SampleId>();
        let sql = "SELECT n FROM sample WHERE sha256 BETWEEN ? AND ?";
        let mut statement = self.db.prepare_cached(sql).map_err(self.fail())?;
        let rows = statement.query_map([filled("0")?.0, filled("f")?.0], |row| row.get::<_, i64>(0));
        let found = rows.and_then(Iterator::collect::<rusqlite::Result<Vec<i64>>>).map_err(self.fail())?;
        match found.as_slice() {
            [] => Ok(None),
            // By its number: a look at its own captures and at no others.
            [n] => Ok(self.samples_where("c.sample = ?", &[n])?.into_iter().next()),
            many => Err(StoreError::Ambiguous { prefix: wanted, count: many.len() }),
        }
    }

    /// At most `limit` samples that triage has not looked at, the first seen first.
    pub fn untriaged(&self, limit: usize) -> Result<Vec<SampleView>, StoreError> {
        let wanted =
            "s.n IN (SELECT n FROM sample WHERE n NOT IN (SELECT sample FROM report) ORDER BY n LIMIT ?)";
        self.samples_where(wanted, &[&to_sql(limit as u64)])
    }

    /// How many samples there are: it costs nothing to ask whether there is a new one.
    pub fn samples_count(&self) -> Result<u64, StoreError> {
        // Rows are never removed.
        let sql = "SELECT coalesce(max(n), 0) FROM sample";
        self.db.query_row(sql, [], |row| row.get(0)).map(to_u64).map_err(self.fail())
    }

    /// Every capture of a sample, in order.
    pub fn captures(&self, sample: SampleId) -> Result<Vec<CaptureView>, StoreError> {
        let rows = self.capture_rows("s.sha256 = ?", &[&sample.0])?;
        Ok(rows.into_iter().map(|row| row.view).collect())
    }

    /// Where a sample's bytes are if they are kept whole. [`Self::sample_bytes`] reads them however they are kept.
    pub fn sample_path(&self, sample: SampleId) -> PathBuf {
        sample.path(&self.dir)
    }

    /// The latest `limit` connections, of `source` only if given, the latest first.
    pub fn connections(
        &self,
        source: Option<IpAddr>,
        limit: usize,
    ) -> Result<Vec<ConnectionView>, StoreError> {
        let source = source.map(crate::pack::put_ip);
        let sql = "SELECT k.n FROM connection k
            WHERE ?1 IS NULL OR (substr(k.source, 1, length(k.source) - 2) = ?1) ORDER BY k.n DESC LIMIT ?2";
        let mut statement = self.db.prepare_cached(sql).map_err(self.fail())?;
        let rows = statement.query_map(params![source, to_sql(limit as u64)], |row| row.get::<_, i64>(0));
        let rows: rusqlite::Result<Vec<i64>> = rows.map_err(self.fail())?.collect();
        let mut views = Vec::new();
        for n in rows.map_err(self.fail())? {
            views.extend(self.connection_row(n)?);
        }
        Ok(views)
    }

    /// How many connections there are.
    pub fn connections_count(&self) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM connection";
        self.db.query_row(sql, [], |row| row.get(0)).map(to_u64).map_err(self.fail())
    }

    /// The names of at most `limit` connections after `after`, the oldest first.
    pub fn connection_ids(
        &self,
        after: Option<ConnectionId>,
        limit: usize,
    ) -> Result<Vec<ConnectionId>, StoreError> {
        let sql = "SELECT id FROM connection WHERE id > ? ORDER BY id LIMIT ?";
        let mut statement = self.db.prepare_cached(sql).map_err(self.fail())?;
        let after = after.map_or(-1, |id| to_sql(id.0));
        let rows = statement.query_map(params![after, to_sql(limit as u64)], |row| {
            row.get(0).map(|id| ConnectionId(to_u64(id)))
        });
        rows.map_err(self.fail())?.collect::<rusqlite::Result<_>>().map_err(self.fail())
    }

    /// One connection.
    pub fn connection(&self, id: ConnectionId) -> Result<Option<ConnectionView>, StoreError> {
        match connection_n(&self.db, id).map_err(self.fail())? {
            Some(n) => self.connection_row(n),
            None => Ok(None),
        }
    }

    /// A connection's transcript, if one was kept.
    pub fn transcript(&self, id: ConnectionId) -> Result<Option<String>, StoreError> {
        let sql = "SELECT dictionary, transcript FROM ending JOIN connection k ON k.n = conn
            WHERE k.id = ? AND transcript IS NOT NULL";
        let row = self
            .db
            .query_row(sql, [to_sql(id.0)], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)))
            .optional()
            .map_err(self.fail())?;
        let Some((dictionary, bytes)) = row else { return Ok(None) };
        match transcripts::unpack(dictionary, &bytes) {
            Some(text) => Ok(Some(text)),
            None => Err(self.damaged(format!("the transcript of {id} does not unpack"))),
        }
    }

    /// The payload bytes of a connection's uploads, as its transcript refers to them.
    pub fn payloads(&self, id: ConnectionId) -> Result<UploadPayloads, StoreError> {
        // Captures lie within the connection's events, which saves an index on their connection.
        let wanted = "k.id = ? AND c.seq BETWEEN k.first
            AND ifnull((SELECT last FROM ending WHERE conn = k.n), 9223372036854775807)";
        let rows = self.capture_rows(wanted, &[&to_sql(id.0)])?;
        let parts = rows.into_iter().map(|row| Part {
            upload: row.view.upload,
            origin: row.view.origin,
            sample: row.view.sha256,
            ranges: row.view.ranges,
        });
        Ok(UploadPayloads::new(self.dir.clone(), parts.collect()))
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn fail(&self) -> impl Fn(rusqlite::Error) -> StoreError + use<> {
        StoreError::journal(&schema::path(&self.dir))
    }

    fn damaged(&self, what: String) -> StoreError {
        StoreError::Damaged { path: schema::path(&self.dir), what }
    }

    /// From which `seq` on the sensor had which name.
    fn eras(&self) -> Result<Vec<(u64, Arc<str>)>, StoreError> {
        let mut statement =
            self.db.prepare_cached("SELECT seq, sensor FROM era ORDER BY seq").map_err(self.fail())?;
        let rows =
            statement.query_map([], |row| Ok((to_u64(row.get(0)?), Arc::from(row.get::<_, String>(1)?))));
        rows.map_err(self.fail())?.collect::<rusqlite::Result<_>>().map_err(self.fail())
    }

    /// The first and the last `seq` of a connection's events; the last of all while it is open.
    fn span(&self, id: ConnectionId) -> Result<Option<(u64, u64)>, StoreError> {
        let sql = "SELECT first, last FROM connection LEFT JOIN ending ON conn = n WHERE id = ?";
        let row =
            self.db.query_row(sql, [to_sql(id.0)], |row| Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?)));
        let row = row.optional().map_err(self.fail())?;
        Ok(row.map(|(first, last)| (to_u64(first), last.map_or(u64::MAX, to_u64))))
    }

    fn event(
        &self,
        row: &Row<'_>,
        filter: &EventFilter,
        eras: &[(u64, Arc<str>)],
    ) -> Result<Option<Published>, StoreError> {
        let raw = EventRow::read(row).map_err(self.fail())?;
        if filter.connection.is_some() && filter.connection != raw.connection
            || filter
                .source
                .is_some_and(|wanted| raw.source.is_none_or(|from| from.ip() != wanted.to_canonical()))
        {
            return Ok(None);
        }
        let body = self.body(raw.body)?;
        if !filter.fits(&body.id) {
            return Ok(None);
        }
        let event = self.whole(&body, raw.seq, raw.args.as_deref())?;
        let era = eras.partition_point(|(from, _)| *from <= raw.seq);
        let sensor =
            era.checked_sub(1).and_then(|at| eras.get(at)).map_or_else(|| Arc::from(""), |era| era.1.clone());
        Ok(Some(Published {
            seq: raw.seq,
            time: raw.time,
            sensor,
            connection: raw.connection,
            source: raw.source,
            destination: raw.destination,
            event,
        }))
    }

    fn whole(&self, body: &Body, seq: u64, args: Option<&[u8]>) -> Result<Event, StoreError> {
        let event = body.event(args.unwrap_or_default());
        event.ok_or_else(|| self.damaged(format!("event {seq}, {}, is none that this build knows", body.id)))
    }

    fn body(&self, n: i64) -> Result<Arc<Body>, StoreError> {
        if let Some(body) = self.bodies.borrow().get(&n) {
            return Ok(Arc::clone(body));
        }
        let mut statement =
            self.db.prepare_cached("SELECT text, numbers FROM body WHERE n = ?").map_err(self.fail())?;
        let (text, numbers): (String, Option<String>) =
            statement.query_row([n], |row| Ok((row.get(0)?, row.get(1)?))).map_err(self.fail())?;
        let body = Body::parse(&text, numbers).map_err(|error| self.damaged(format!("body {n}: {error}")))?;
        let body = Arc::new(body);
        let mut bodies = self.bodies.borrow_mut();
        if bodies.len() >= BODIES_MAX {
            bodies.clear();
        }
        bodies.insert(n, Arc::clone(&body));
        Ok(body)
    }

    /// The event number `seq`, without its envelope.
    fn event_at(&self, seq: u64) -> Result<Option<Event>, StoreError> {
        let sql = "SELECT body, args FROM event WHERE seq = ?";
        let mut statement = self.db.prepare_cached(sql).map_err(self.fail())?;
        let row = statement
            .query_row([to_sql(seq)], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<Vec<u8>>>(1)?)))
            .optional()
            .map_err(self.fail())?;
        let Some((body, args)) = row else { return Ok(None) };
        self.whole(&*self.body(body)?, seq, args.as_deref()).map(Some)
    }

    fn connection_row(&self, n: i64) -> Result<Option<ConnectionView>, StoreError> {
        let sql = "SELECT k.id, k.at, k.source, p.address, g.closed, g.whole,
            ifnull(g.events, (SELECT count(*) FROM event e WHERE e.seq >= k.first AND e.conn = k.n))
            FROM connection k JOIN endpoint p ON p.n = k.endpoint LEFT JOIN ending g ON g.conn = k.n WHERE k.n = ?";
        let mut statement = self.db.prepare_cached(sql).map_err(self.fail())?;
        let row = statement.query_row([n], |row| {
            let view = ConnectionView {
                connection: ConnectionId(to_u64(row.get(0)?)),
                opened: WallClock(to_u64(row.get(1)?)),
                source: address(row, 2)?.ok_or(rusqlite::Error::InvalidQuery)?,
                destination: address(row, 3)?.ok_or(rusqlite::Error::InvalidQuery)?,
                reason: None,
                duration_us: None,
                bytes_in: 0,
                bytes_out: 0,
                transcript: match row.get(5)? {
                    None => TranscriptState::None,
                    Some(false) => TranscriptState::Truncated,
                    Some(true) => TranscriptState::Complete,
                },
                events: to_u64(row.get(6)?),
                samples: Vec::new(),
            };
            Ok((view, row.get::<_, Option<i64>>(4)?))
        });
        let Some((mut view, closed)) = row.optional().map_err(self.fail())? else { return Ok(None) };
        if let Some(closed) = closed
            && let Some(Event::ConnectionClosed { reason, duration_us, bytes_in, bytes_out, .. }) =
                self.event_at(to_u64(closed))?
        {
            view.reason = Some(reason);
            view.duration_us = Some(duration_us);
            (view.bytes_in, view.bytes_out) = (bytes_in, bytes_out);
        }
        // Captures lie within the connection's events, which saves an index on their connection.
        let sql = "SELECT s.sha256 FROM connection k LEFT JOIN ending g ON g.conn = k.n
            JOIN capture c ON c.conn = k.n AND c.seq BETWEEN k.first AND ifnull(g.last, 9223372036854775807)
            JOIN sample s ON s.n = c.sample WHERE k.n = ? ORDER BY c.seq";
        let mut statement = self.db.prepare_cached(sql).map_err(self.fail())?;
        let rows = statement.query_map([n], |row| row.get(0).map(SampleId)).map_err(self.fail())?;
        view.samples = rows.collect::<rusqlite::Result<_>>().map_err(self.fail())?;
        Ok(Some(view))
    }

    fn capture_rows(
        &self,
        wanted: &str,
        params: &[&dyn rusqlite::ToSql],
    ) -> Result<Vec<CaptureRow>, StoreError> {
        let sql = format!(
            "SELECT c.seq, k.at + e.time, s.sha256, k.id, c.upload, k.source, p.address, c.state, c.total, c.ranges,
                c.origin, c.flags, s.size, s.n
            FROM capture c JOIN sample s ON s.n = c.sample JOIN connection k ON k.n = c.conn
            JOIN endpoint p ON p.n = k.endpoint JOIN event e ON e.seq = c.seq WHERE {wanted} ORDER BY c.seq"
        );
        let mut statement = self.db.prepare_cached(&sql).map_err(self.fail())?;
        let rows = statement.query_map(params, CaptureRow::read).map_err(self.fail())?;
        rows.collect::<rusqlite::Result<_>>().map_err(self.fail())
    }

    fn samples_where(
        &self,
        wanted: &str,
        params: &[&dyn rusqlite::ToSql],
    ) -> Result<Vec<SampleView>, StoreError> {
        let mut samples: Vec<(SampleView, HashSet<IpAddr>)> = Vec::new();
        let mut places: HashMap<i64, usize> = HashMap::new();
        for row in self.capture_rows(wanted, params)? {
            let at = *places.entry(row.sample).or_insert(samples.len());
            match samples.get_mut(at) {
                Some((sample, sources)) => {
                    sources.insert(row.view.source.ip());
                    add_capture(sample, row.view);
                }
                None => {
                    let sources = HashSet::from([row.view.source.ip()]);
                    samples.push((self.sample_row(row)?, sources));
                }
            }
        }
        let counted = samples.into_iter().map(|(mut sample, sources)| {
            sample.sources = sources.len() as u64;
            sample
        });
        Ok(counted.collect())
    }

    /// A sample as its first capture and its report show it.
    fn sample_row(&self, first: CaptureRow) -> Result<SampleView, StoreError> {
        let sql = "SELECT md5, sha1, size, seq FROM sample LEFT JOIN report ON sample = n WHERE n = ?";
        let mut statement = self.db.prepare_cached(sql).map_err(self.fail())?;
        let (md5, sha1, size, report) = statement
            .query_row([first.sample], |row| {
                let hex = |at| row.get::<_, Vec<u8>>(at).map(|bytes| crate::samples::hex(&bytes));
                Ok((hex(0)?, hex(1)?, to_u64(row.get(2)?), row.get::<_, Option<i64>>(3)?))
            })
            .map_err(self.fail())?;
        let report = report.map(|seq| self.event_at(to_u64(seq))).transpose()?.flatten();
        let triaged = report.is_some();
        let (layers, core, family, triage_error) = match report {
            Some(Event::SampleTriaged { layers, core, family, error, .. }) => (layers, core, family, error),
            _ => Default::default(),
        };
        let view = first.view;
        Ok(SampleView {
            sha256: view.sha256,
            md5,
            sha1,
            size,
            state: view.state,
            origin: view.origin,
            total: view.total,
            ranges: view.ranges,
            captures: 1,
            sources: 1,
            first_seen: view.time,
            last_seen: view.time,
            triaged,
            layers,
            core,
            family,
            triage_error,
        })
    }
}

fn add_capture(sample: &mut SampleView, capture: CaptureView) {
    sample.captures += 1;
    sample.first_seen = sample.first_seen.min(capture.time);
    sample.last_seen = sample.last_seen.max(capture.time);
    if sample.state != UploadState::Complete && capture.state == UploadState::Complete {
        sample.state = capture.state;
        sample.origin = capture.origin;
        sample.total = capture.total;
        sample.ranges = capture.ranges;
    }
}

struct EventRow {
    seq: u64,
    time: WallClock,
    body: i64,
    args: Option<Vec<u8>>,
    connection: Option<ConnectionId>,
    source: Option<SocketAddr>,
    destination: Option<SocketAddr>,
}

impl EventRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let opened: Option<i64> = row.get(5)?;
        Ok(Self {
            seq: to_u64(row.get(0)?),
            time: WallClock(to_u64(row.get::<_, i64>(1)?.saturating_add(opened.unwrap_or(0)))),
            body: row.get(2)?,
            args: row.get(3)?,
            connection: row.get::<_, Option<i64>>(4)?.map(|id| ConnectionId(to_u64(id))),
            source: address(row, 6)?,
            destination: address(row, 7)?,
        })
    }
}

struct CaptureRow {
    sample: i64,
    view: CaptureView,
}

impl CaptureRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let size = to_u64(row.get(12)?);
        let ranges: Option<Vec<u8>> = row.get(9)?;
        let flags: i64 = row.get(11)?;
        let total = row.get::<_, Option<i64>>(8)?.map(to_u64);
        let view = CaptureView {
            seq: to_u64(row.get(0)?),
            time: WallClock(to_u64(row.get(1)?)),
            sha256: SampleId(row.get(2)?),
            connection: ConnectionId(to_u64(row.get(3)?)),
            upload: row.get(4)?,
            source: address(row, 5)?.ok_or(rusqlite::Error::InvalidQuery)?,
            destination: address(row, 6)?.ok_or(rusqlite::Error::InvalidQuery)?,
            state: take_state(row.get(7)?),
            total: total.or_else(|| (flags & 2 == 0).then_some(size)),
            ranges: take_ranges(ranges.as_deref(), size),
            origin: take_origin(row.get(10)?),
            recovered: flags & 1 != 0,
        };
        Ok(Self { sample: row.get(13)?, view })
    }
}

fn address(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<SocketAddr>> {
    Ok(row.get::<_, Option<Vec<u8>>>(at)?.and_then(|bytes| take_address(&bytes)))
}

// SQLite's integers are signed; ours are all far from the edge.
fn to_u64(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

fn to_sql(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn connection_n(db: &Connection, id: ConnectionId) -> rusqlite::Result<Option<i64>> {
    db.query_row("SELECT n FROM connection WHERE id = ?", [to_sql(id.0)], |row| row.get(0)).optional()
}

/// Whether a capture of this upload with these bytes is on record.
pub(crate) fn has_capture(
    db: &Connection,
    connection: ConnectionId,
    upload: u32,
    id: SampleId,
) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM capture c JOIN connection k ON k.n = c.conn JOIN sample s ON s.n = c.sample
        WHERE k.id = ? AND c.upload = ? AND s.sha256 = ?";
    db.prepare_cached(sql)?.exists(params![to_sql(connection.0), upload, id.0])
}

/// The size that the sender of an upload announced, as `upload.started` tells it.
pub(crate) fn announced(
    db: &Connection,
    connection: ConnectionId,
    upload: u32,
) -> rusqlite::Result<Option<u64>> {
    let sql = "SELECT b.text FROM connection k JOIN event e ON e.seq >= k.first AND e.conn = k.n
        JOIN body b ON b.n = e.body WHERE k.id = ? AND b.text LIKE '{\"eventid\":\"upload.started\"%'";
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query([to_sql(connection.0)])?;
    while let Some(row) = rows.next()? {
        let text: String = row.get(0)?;
        if let Ok(Event::UploadStarted { upload: this, total, .. }) = serde_json::from_str(&text)
            && this == upload
        {
            return Ok(total);
        }
    }
    Ok(None)
}

/// At most `limit` source states that are not over at `now`.
pub(crate) fn sources(db: &Connection, now: WallClock, limit: usize) -> rusqlite::Result<Vec<SourceState>> {
    let sql = "SELECT address, dormant_until, exploited_until FROM source_state
        WHERE max(dormant_until, exploited_until) > ? ORDER BY max(dormant_until, exploited_until) DESC LIMIT ?";
    let mut statement = db.prepare(sql)?;
    let rows = statement.query_map(params![to_sql(now.0), to_sql(limit as u64)], |row| {
        let address: Vec<u8> = row.get(0)?;
        Ok(take_ip(&address).map(|source| SourceState {
            source,
            dormant_until: WallClock(to_u64(row.get(1).unwrap_or(0))),
            exploited_until: WallClock(to_u64(row.get(2).unwrap_or(0))),
        }))
    })?;
    rows.filter_map(Result::transpose).collect()
}
