//! What a batch of events adds to the index, gathered in memory: nothing here depends on how the journal was cut.

use super::names::Names;
use super::view::{Kind, Step};
use crate::derived::{Derived, DerivedError, to_sql};
use crate::incident::{is_payload, makes_room};
use roridula_evidence::{Published, SampleId};
use roridula_proto::event::{CloseReason, Event, UploadState};
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::net::{IpAddr, SocketAddr};

/// Microseconds of a minute, an hour and a day.
pub(super) const MINUTE: u64 = 60_000_000;
pub(super) const HOUR: u64 = 60 * MINUTE;
pub(super) const DAY: u64 = 24 * HOUR;

/// Captured uploads and new samples in [`Counted`]: what comes before counts steps.
const UPLOADS: usize = 7;
const NEW_SAMPLES: usize = 8;
/// Characters of a name in Health.
const NAME_MAX: usize = 64;
/// Connections that are named for a shape.
pub(super) const EXAMPLES_MAX: usize = 5;

/// The columns of a roll-up, in the order of `COUNTED`.
pub(super) type Counted = [u64; 9];

/// First and last time of something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) first: u64,
    pub(super) last: u64,
}

impl Seen {
    fn at(time: u64) -> Self {
        Self { first: time, last: time }
    }

    fn again(&mut self, time: u64) {
        self.first = self.first.min(time);
        self.last = self.last.max(time);
    }
}

/// What one connection told.
#[derive(Debug)]
pub(super) struct Visit {
    pub(super) source: i64,
    pub(super) port: u16,
    pub(super) endpoint: i64,
    /// As it stands in the file already.
    pub(super) reached: i64,
    pub(super) opened: u64,
    pub(super) closed: Option<(u64, CloseReason)>,
    pub(super) bytes: (u64, u64),
    pub(super) events: u64,
    pub(super) dropped: u64,
    pub(super) captures: u64,
    pub(super) fingerprint: Option<i64>,
    pub(super) toolset: Option<i64>,
}

#[derive(Debug)]
pub(super) struct Source {
    pub(super) seen: Seen,
    pub(super) connections: u64,
    pub(super) captures: u64,
    pub(super) uploads: u64,
    pub(super) reached: i64,
}

/// What is told besides of connections of one shape.
#[derive(Debug, Default)]
pub(super) struct Shape {
    pub(super) tools: Vec<String>,
    pub(super) examples: Vec<u64>,
}

#[derive(Debug)]
pub(super) struct Sample {
    pub(super) seen: Seen,
    pub(super) captures: u64,
    /// The lowest name of a connection that brought it.
    pub(super) connection: u64,
    /// The first, and a complete one that comes after a partial one.
    pub(super) best: Option<Event>,
    pub(super) triaged: Option<Event>,
}

/// How often something happened, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sum {
    count: u64,
    seen: Seen,
    /// The highest name: of the latest connection.
    connection: u64,
}

impl Sum {
    pub(super) fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.seen.again(other.seen.first);
        self.seen.again(other.seen.last);
        self.connection = self.connection.max(other.connection);
    }

    /// How often, first, last, the latest connection.
    pub(super) fn columns(&self) -> [i64; 4] {
        [self.count, self.seen.first, self.seen.last, self.connection].map(to_sql)
    }
}

/// What one visitor did in one hour: by the hour, what it is, and the visitor.
pub(super) type Hours<K> = HashMap<(u64, K, i64), Sum>;

#[derive(Debug)]
pub(super) struct Capture {
    pub(super) seq: u64,
    pub(super) at: u64,
    pub(super) sample: i64,
    pub(super) source: i64,
    pub(super) connection: u64,
    pub(super) upload: u32,
    pub(super) state: UploadState,
    pub(super) origin: &'static str,
    pub(super) first_seen: bool,
}

/// What some events add.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) minutes: BTreeMap<u64, Counted>,
    pub(super) hours: BTreeMap<u64, Counted>,
    pub(super) source_hours: HashMap<(u64, i64), Counted>,
    pub(super) sources: HashMap<i64, Source>,
    pub(super) visits: HashMap<u64, Visit>,
    pub(super) tool_hours: Hours<String>,
    /// The latest events of fingerprints.
    pub(super) prints: HashMap<i64, Event>,
    pub(super) print_hours: Hours<i64>,
    pub(super) shapes: HashMap<i64, Shape>,
    pub(super) shape_hours: Hours<i64>,
    pub(super) samples: HashMap<i64, Sample>,
    pub(super) captures: Vec<Capture>,
    pub(super) sample_sources: HashMap<(i64, i64), (u64, Seen)>,
    pub(super) sample_days: HashMap<(i64, u64, i64), u64>,
    /// The latest answers to our challenge: by what was said, the hour, and the visitor.
    pub(super) responses: HashMap<(i64, u64, i64), (u64, String)>,
    pub(super) logon_hours: Hours<i64>,
    pub(super) health: HashMap<(u64, Kind, String), u64>,
    pub(super) runs: Vec<(u64, u64, Event)>,
    /// When the latest event happened.
    pub(super) last_event: u64,
    /// Events by their ids, for the hour that is being counted.
    ids: (u64, HashMap<&'static str, u64>),
}

/// Whose an event is.
#[derive(Clone, Copy)]
struct Whose {
    connection: u64,
    source: i64,
    time: u64,
}

impl Whose {
    /// Counts something that happened.
    fn count_in<K: Eq + Hash>(self, hours: &mut Hours<K>, what: K) {
        let key = (self.time / HOUR, what, self.source);
        let once = Sum { count: 1, seen: Seen::at(self.time), connection: self.connection };
        hours.entry(key).and_modify(|sum| sum.add(&once)).or_insert(once);
    }
}

impl Batch {
    /// Takes in one event; the next in the order of the journal.
    pub(super) fn see(
        &mut self,
        names: &mut Names,
        file: &Derived,
        event: &Published,
    ) -> Result<(), DerivedError> {
        let time = event.time.0;
        self.last_event = self.last_event.max(time);
        self.count_id(time, event.event.id());
        match &event.event {
            Event::SensorStarted { .. } | Event::SensorStopped { .. } => {
                self.runs.push((event.seq, time, event.event.clone()));
            }
            Event::ConnectionRefused { limit, count } => self.health(time, Kind::Refused, limit, *count),
            Event::SampleTriaged { sha256, error, .. } => {
                if !error.is_empty() {
                    self.health(time, Kind::Fault, "triage", 1);
                }
                self.triaged(names, file, sha256, &event.event)?;
            }
            _ => {}
        }
        let (Some(connection), Some(source), Some(destination)) =
            (event.connection, event.source, event.destination)
        else {
            return Ok(());
        };
        let whose = self.visit(names, file, connection.0, source, destination, event)?;
        self.see_of(names, file, whose, event)
    }

    /// All events are counted, so this one is by pointer until the hour is over.
    fn count_id(&mut self, time: u64, id: &'static str) {
        let hour = time / HOUR;
        if self.ids.0 != hour {
            self.close_ids();
            self.ids.0 = hour;
        }
        *self.ids.1.entry(id).or_default() += 1;
    }

    /// No more events come.
    pub(super) fn close_ids(&mut self) {
        let (hour, ids) = (self.ids.0, std::mem::take(&mut self.ids.1));
        for (id, count) in ids {
            *self.health.entry((hour, Kind::Event, id.to_owned())).or_default() += count;
        }
    }

    /// The visit that an event belongs to.
    fn visit(
        &mut self,
        names: &mut Names,
        file: &Derived,
        connection: u64,
        source: SocketAddr,
        destination: SocketAddr,
        event: &Published,
    ) -> Result<Whose, DerivedError> {
        let time = event.time.0;
        let opens = matches!(event.event, Event::ConnectionOpened { .. });
        if let Entry::Vacant(place) = self.visits.entry(connection) {
            let known = if opens { None } else { reached(file, connection)? };
            let ip = source.ip().to_canonical();
            let visit = Visit {
                source: names.source(file, ip)?,
                port: source.port(),
                endpoint: names
                    .endpoint(file, SocketAddr::new(destination.ip().to_canonical(), destination.port()))?,
                reached: known.unwrap_or(0),
                opened: time,
                closed: None,
                bytes: (0, 0),
                events: 0,
                dropped: 0,
                captures: 0,
                fingerprint: None,
                toolset: None,
            };
            place.insert(visit);
        }
        let visit = self.visits.get_mut(&connection).ok_or(DerivedError::Cursor)?;
        visit.events += 1;
        let whose = Whose { connection, source: visit.source, time };
        let source = self.sources.entry(whose.source).or_insert_with(|| Source {
            seen: Seen::at(time),
            connections: 0,
            captures: 0,
            uploads: 0,
            reached: 0,
        });
        source.seen.again(time);
        Ok(whose)
    }

    fn see_of(
        &mut self,
        names: &mut Names,
        file: &Derived,
        whose: Whose,
        event: &Published,
    ) -> Result<(), DerivedError> {
        let time = whose.time;
        match &event.event {
            Event::ConnectionOpened { .. } => self.reach(whose, Step::Connect),
            Event::Smb1Negotiate { .. } => self.reach(whose, Step::Negotiate),
            Event::Ms17010Probe { .. } => self.reach(whose, Step::Probe),
            Event::ExploitStep { step, .. } if !makes_room(step) => self.reach(whose, Step::Exploit),
            Event::ExploitCompleted { .. } => self.reach(whose, Step::Exploit),
            Event::ImplantPing { .. } => self.reach(whose, Step::Ping),
            Event::UploadStarted { .. } => self.reach(whose, Step::Upload),
            Event::UploadFinished { state: UploadState::Complete, .. } => self.reach(whose, Step::Complete),
            Event::UploadOddity { what, .. } => self.health(time, Kind::Oddity, what, 1),
            Event::MessageMalformed { what, .. } => self.health(time, Kind::Malformed, what, 1),
            Event::LimitReached { limit, .. } => self.health(time, Kind::Limit, limit, 1),
            Event::CaptureFailed { bytes_lost, .. } => {
                self.health(time, Kind::Fault, "capture.failed", *bytes_lost);
            }
            Event::ConnectionClosed { .. } => self.closed(whose, &event.event),
            Event::ClientFingerprint { .. } => self.print(names, file, whose, &event.event)?,
            Event::SampleCaptured { .. } => self.captured(names, file, whose, event)?,
            Event::Smb1Session { .. } => self.logon(names, file, whose, event)?,
            _ => {}
        }
        Ok(())
    }

    /// A connection took a step; only the first time counts.
    fn reach(&mut self, whose: Whose, step: Step) {
        let Some(visit) = self.visits.get_mut(&whose.connection) else { return };
        if visit.reached & step.bit() != 0 {
            return;
        }
        visit.reached |= step.bit();
        if let Some(source) = self.sources.get_mut(&whose.source) {
            source.reached |= step.bit();
            source.connections += u64::from(step == Step::Connect);
        }
        if step != Step::New {
            self.count(whose, step as usize);
        }
    }

    fn count(&mut self, whose: Whose, column: usize) {
        let hour = whose.time / HOUR;
        let rows = [
            self.minutes.entry(whose.time / MINUTE).or_default(),
            self.hours.entry(hour).or_default(),
            self.source_hours.entry((hour, whose.source)).or_default(),
        ];
        for row in rows {
            row[column] += 1;
        }
    }

    fn health(&mut self, time: u64, kind: Kind, name: &str, count: u64) {
        let name: String = name.chars().take(NAME_MAX).collect();
        let total = self.health.entry((time / HOUR, kind, name)).or_default();
        *total = total.saturating_add(count);
    }

    fn closed(&mut self, whose: Whose, event: &Event) {
        let Event::ConnectionClosed { reason, bytes_in, bytes_out, events_dropped, .. } = event else {
            return;
        };
        if *events_dropped > 0 {
            self.health(whose.time, Kind::Fault, "events-dropped", *events_dropped);
        }
        if *reason == CloseReason::Fault {
            self.health(whose.time, Kind::Fault, "connection", 1);
        }
        let Some(visit) = self.visits.get_mut(&whose.connection) else { return };
        visit.closed = Some((whose.time, *reason));
        visit.bytes = (*bytes_in, *bytes_out);
        visit.dropped = *events_dropped;
    }

    fn print(
        &mut self,
        names: &mut Names,
        file: &Derived,
        whose: Whose,
        event: &Event,
    ) -> Result<(), DerivedError> {
        let Event::ClientFingerprint { fingerprint, shape, tools, recognised, .. } = event else {
            return Ok(());
        };
        if let Some(visit) = self.visits.get_mut(&whose.connection) {
            visit.fingerprint = bits(fingerprint);
            visit.toolset = names.toolset(file, tools)?;
        }
        for tool in tools {
            whose.count_in(&mut self.tool_hours, tool.clone());
        }
        if let Some(n) = names.print(file, fingerprint)? {
            let latest = self.prints.entry(n).or_insert_with(|| event.clone());
            if latest != event {
                latest.clone_from(event);
            }
            whose.count_in(&mut self.print_hours, n);
        }
        if recognised.is_empty() {
            let n = names.shape(file, shape, !tools.is_empty())?;
            let shape = self.shapes.entry(n).or_default();
            for tool in tools.iter().filter(|tool| !shape.tools.contains(tool)).collect::<Vec<_>>() {
                shape.tools.push(tool.clone());
            }
            if shape.examples.len() < EXAMPLES_MAX {
                shape.examples.push(whose.connection);
            }
            whose.count_in(&mut self.shape_hours, n);
        }
        Ok(())
    }

    fn captured(
        &mut self,
        names: &mut Names,
        file: &Derived,
        whose: Whose,
        event: &Published,
    ) -> Result<(), DerivedError> {
        let Event::SampleCaptured { sha256, upload, state, origin, first_seen, .. } = &event.event else {
            return Ok(());
        };
        let Ok(id) = sha256.parse::<SampleId>() else { return Ok(()) };
        let (n, known) = names.sample(file, id)?;
        let sample = self.samples.entry(n).or_insert_with(|| Sample::new(whose.time));
        sample.seen.again(whose.time);
        sample.captures += 1;
        sample.connection = sample.connection.min(whose.connection);
        let better = match &sample.best {
            // A row that is in the file already is better than a partial one.
            None => !known || *state == UploadState::Complete,
            Some(Event::SampleCaptured { state: best, .. }) => {
                *best != UploadState::Complete && *state == UploadState::Complete
            }
            Some(_) => true,
        };
        if better {
            sample.best = Some(event.event.clone());
        }
        self.captures.push(Capture {
            seq: event.seq,
            at: whose.time,
            sample: n,
            source: whose.source,
            connection: whose.connection,
            upload: *upload,
            state: *state,
            origin: origin.as_str(),
            first_seen: *first_seen,
        });
        let seen = self.sample_sources.entry((n, whose.source)).or_insert((0, Seen::at(whose.time)));
        seen.0 += 1;
        seen.1.again(whose.time);
        *self.sample_days.entry((n, whose.time / DAY, whose.source)).or_default() += 1;
        if let Some(source) = self.sources.get_mut(&whose.source) {
            source.captures += 1;
            source.uploads += u64::from(is_payload(*origin));
        }
        if let Some(visit) = self.visits.get_mut(&whose.connection) {
            visit.captures += 1;
        }
        if is_payload(*origin) {
            self.count(whose, UPLOADS);
            if *first_seen {
                self.count(whose, NEW_SAMPLES);
                self.reach(whose, Step::New);
            }
        }
        Ok(())
    }

    fn triaged(
        &mut self,
        names: &mut Names,
        file: &Derived,
        sha256: &str,
        event: &Event,
    ) -> Result<(), DerivedError> {
        let Ok(id) = sha256.parse::<SampleId>() else { return Ok(()) };
        // One that nobody brought has no row.
        let Some(n) = names.known_sample(file, id)? else { return Ok(()) };
        let sample = self.samples.entry(n).or_insert_with(|| Sample::new(u64::MAX));
        sample.triaged = Some(event.clone());
        Ok(())
    }

    fn logon(
        &mut self,
        names: &mut Names,
        file: &Derived,
        whose: Whose,
        event: &Published,
    ) -> Result<(), DerivedError> {
        let n = names.logon(file, &event.event)?;
        let Event::Smb1Session { response, .. } = &event.event else { return Ok(()) };
        if !response.is_empty() {
            let key = (n, whose.time / HOUR, whose.source);
            self.responses.insert(key, (event.seq, response.clone()));
        }
        whose.count_in(&mut self.logon_hours, n);
        Ok(())
    }
}

impl Sample {
    /// Not captured in this batch yet.
    fn new(time: u64) -> Self {
        Self {
            seen: Seen { first: time, last: 0 },
            captures: 0,
            connection: u64::MAX,
            best: None,
            triaged: None,
        }
    }
}

/// The steps that a connection took in earlier batches; `None` where it is new.
fn reached(file: &Derived, connection: u64) -> Result<Option<i64>, DerivedError> {
    let sql = "SELECT reached FROM connection WHERE id = ?";
    Ok(file.rows(sql, [crate::derived::to_sql(connection)], |row| row.get(0))?.pop())
}

/// A fingerprint's 64 bits; `None` where it is none.
pub(super) fn bits(fingerprint: &str) -> Option<i64> {
    let fits = fingerprint.len() == 16;
    u64::from_str_radix(fingerprint, 16).ok().filter(|_| fits).map(u64::cast_signed)
}

/// An address as 16 bytes, so that those of a network follow each other.
pub(crate) fn address_bytes(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}
