//! The view as a fold: (state, event) → state, in the order of the journal.
//!
//! What is in memory is what is in the file plus what changed since; so it does not matter how the journal is cut into
//! batches, nor which process does which of them. Nothing here looks at a clock.

use super::IncidentError;
use super::database::{Database, MemberRow};
use super::facts::Moment;
use super::record::{Apart, Record};
use super::stage::Role;
use super::visit::Visit;
use roridula_evidence::Published;
use roridula_proto::event::{Event, Layer};
use roridula_proto::time::WallClock;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

/// Connections that are open, or wait for their exploit, at once; the oldest is taken as it is when there are more.
const VISITS_MAX: usize = 65_536;
/// Connections that may wait for one exploit.
const COMPANIONS_MAX: usize = 4096;
/// Incidents of one address that are told apart at once; a visitor who is nobody's goes to the latest then.
pub(super) const ATTACKERS_MAX: usize = 16;
/// Incidents that are kept in memory from one batch to the next.
const RECORDS_MAX: usize = 4096;

/// The state.
#[derive(Debug)]
pub(super) struct Fold {
    window_micros: u64,
    connections_max: u64,
    /// The `seq` of the last event that is in it.
    pub(super) cursor: u64,
    next: i64,
    visits: BTreeMap<u64, Visit>,
    /// Open connections that exploit, by their source.
    exploiting: HashMap<IpAddr, BTreeSet<u64>>,
    records: BTreeMap<i64, Record>,
    /// The latest incidents of a source, in no order; at least all of the latest [`ATTACKERS_MAX`].
    latest: HashMap<IpAddr, Vec<i64>>,
    changed: Changed,
}

/// What the file does not have yet.
#[derive(Debug, Default)]
struct Changed {
    visits: BTreeSet<u64>,
    records: BTreeSet<i64>,
    members: BTreeMap<u64, MemberRow>,
    triaged: BTreeMap<String, (Vec<Layer>, String)>,
}

impl Fold {
    /// The state that `db` holds.
    pub(super) fn load(db: &Database) -> Result<Self, IncidentError> {
        let settings = db.settings()?;
        let mut fold = Self {
            window_micros: settings.window_secs.saturating_mul(1_000_000),
            connections_max: settings.connections_max,
            cursor: db.cursor()?,
            next: db.last_incident()? + 1,
            visits: BTreeMap::new(),
            exploiting: HashMap::new(),
            records: BTreeMap::new(),
            latest: HashMap::new(),
            changed: Changed::default(),
        };
        for visit in db.visits()? {
            if visit.exploits && visit.ending.is_none() {
                fold.exploiting.entry(visit.source).or_default().insert(visit.connection);
            }
            fold.visits.insert(visit.connection, visit);
        }
        Ok(fold)
    }

    /// Takes in the next event.
    pub(super) fn apply(&mut self, db: &Database, event: &Published) -> Result<(), IncidentError> {
        self.cursor = event.seq;
        let Some(connection) = event.connection.map(|id| id.0) else {
            if let Event::SampleTriaged { sha256, layers, error, .. } = &event.event {
                self.changed.triaged.insert(sha256.clone(), (layers.clone(), error.clone()));
            }
            return Ok(());
        };
        if !self.visits.contains_key(&connection) {
            // Thousands may be open and have done no more than this: they cost nothing until they do, or end.
            if matches!(event.event, Event::ConnectionOpened { .. } | Event::Smb1Negotiate { .. }) {
                return Ok(());
            }
            if let Some(n) = self.incident_of(db, connection)? {
                return self.late(db, n, connection, event);
            }
            let Some(source) = event.source.map(|source| source.ip().to_canonical()) else { return Ok(()) };
            self.make_room(db)?;
            self.visits.insert(connection, Visit::begin(connection, source, event));
        }
        let Some(visit) = self.visits.get_mut(&connection) else { return Ok(()) };
        let exploited = visit.exploits;
        visit.see(event.seq, event.time, &event.event);
        self.changed.visits.insert(connection);
        if visit.exploits && !exploited {
            self.exploiting.entry(visit.source).or_default().insert(connection);
        }
        match event.event {
            Event::ConnectionClosed { .. } => self.close(db, connection),
            _ => Ok(()),
        }
    }

    /// Something that is told of a connection after its end.
    fn late(
        &mut self,
        db: &Database,
        n: i64,
        connection: u64,
        event: &Published,
    ) -> Result<(), IncidentError> {
        if matches!(event.event, Event::SampleCaptured { .. } | Event::CaptureFailed { .. }) {
            let at = Moment { connection, seq: event.seq, time: event.time };
            if let Some(record) = self.record(db, n)? {
                record.facts.see(at, &event.event);
                self.changed.records.insert(n);
            }
        }
        Ok(())
    }

    /// A connection has ended: it joins an incident, or waits for the exploit that it stands beside.
    fn close(&mut self, db: &Database, connection: u64) -> Result<(), IncidentError> {
        let Some(visit) = self.visits.get(&connection) else { return Ok(()) };
        if visit.is_companion() {
            // Of the exploits that had begun before it, the one with the fewest beside it; of those, the latest.
            let beside = self.exploiting.get(&visit.source);
            let hosts: Vec<u64> =
                beside.map(|open| open.range(..connection).copied().collect()).unwrap_or_default();
            let has = |host: &u64| self.visits.get(host).map_or(usize::MAX, |host| host.companions.len());
            let host = hosts.iter().rev().copied().min_by_key(has);
            if let Some(host) = host.and_then(|host| self.visits.get_mut(&host))
                && host.companions.len() < COMPANIONS_MAX
            {
                host.companions.push(connection);
                host.guessed += u64::from(hosts.len() > 1);
                self.changed.visits.insert(host.connection);
                return Ok(());
            }
        }
        let Some(visit) = self.take(connection) else { return Ok(()) };
        self.settle(db, visit)
    }

    /// The connection joins an incident, and those that waited for it do with it.
    fn settle(&mut self, db: &Database, mut visit: Visit) -> Result<(), IncidentError> {
        let companions = std::mem::take(&mut visit.companions);
        let guessed = visit.guessed;
        let n = self.choose(db, &visit)?;
        self.join(db, n, visit)?;
        if let Some(record) = self.record(db, n)? {
            record.guesses += guessed;
        }
        for companion in companions {
            if let Some(visit) = self.take(companion) {
                self.join(db, n, visit)?;
            }
        }
        Ok(())
    }

    /// The incident that the connection belongs to; a new one where there is none.
    fn choose(&mut self, db: &Database, visit: &Visit) -> Result<i64, IncidentError> {
        let latest = self.latest(db, visit.source)?;
        let near: Vec<&Record> = latest
            .iter()
            .filter_map(|n| self.records.get(n))
            .filter(|record| record.gap(visit) <= self.window_micros)
            .collect();
        let choice = choose(visit, &near);
        let n = match choice {
            Choice::Join { n, .. } => n,
            Choice::Begin { apart } => {
                let n = self.next;
                self.next += 1;
                self.records.insert(n, Record::begin(n, visit, apart));
                self.latest.entry(visit.source).or_default().push(n);
                n
            }
        };
        if let (Choice::Join { guessed, crowded, .. }, Some(record)) = (choice, self.records.get_mut(&n)) {
            record.guesses += u64::from(guessed);
            record.crowded += u64::from(crowded);
        }
        Ok(n)
    }

    fn join(&mut self, db: &Database, n: i64, visit: Visit) -> Result<(), IncidentError> {
        let connections_max = self.connections_max;
        let connection = visit.connection;
        let Some(record) = self.record(db, n)? else { return Ok(()) };
        let listed = record.connections < connections_max;
        let row = MemberRow::new(n, &visit, listed);
        record.join(visit);
        self.changed.records.insert(n);
        self.changed.members.insert(connection, row);
        Ok(())
    }

    /// The latest incidents of a source, the latest first.
    fn latest(&mut self, db: &Database, source: IpAddr) -> Result<Vec<i64>, IncidentError> {
        if !self.latest.contains_key(&source) {
            let mut known = Vec::new();
            for record in db.latest_of(source)? {
                known.push(record.n);
                // One that is here already may be ahead of the file.
                self.records.entry(record.n).or_insert(record);
            }
            self.latest.insert(source, known);
        }
        let known = self.latest.get(&source).into_iter().flatten();
        let mut latest: Vec<(Reverse<WallClock>, Reverse<i64>)> = known
            .filter_map(|n| self.records.get(n).map(|record| (Reverse(record.last), Reverse(*n))))
            .collect();
        latest.sort_unstable();
        Ok(latest.into_iter().take(ATTACKERS_MAX).map(|(_, Reverse(n))| n).collect())
    }

    /// The incident number `n`.
    fn record(&mut self, db: &Database, n: i64) -> Result<Option<&mut Record>, IncidentError> {
        if !self.records.contains_key(&n)
            && let Some(record) = db.record(n)?
        {
            self.records.insert(n, record);
        }
        Ok(self.records.get_mut(&n))
    }

    fn incident_of(&self, db: &Database, connection: u64) -> Result<Option<i64>, IncidentError> {
        match self.changed.members.get(&connection) {
            Some(row) => Ok(Some(row.incident)),
            None => db.incident_of(connection),
        }
    }

    /// Takes a connection out of those that are open.
    fn take(&mut self, connection: u64) -> Option<Visit> {
        let visit = self.visits.remove(&connection)?;
        match visit.stored {
            true => self.changed.visits.insert(connection),
            false => self.changed.visits.remove(&connection),
        };
        if let Some(open) = self.exploiting.get_mut(&visit.source) {
            open.remove(&connection);
            if open.is_empty() {
                self.exploiting.remove(&visit.source);
            }
        }
        Some(visit)
    }

    /// The oldest connections are taken as they are while there are too many.
    fn make_room(&mut self, db: &Database) -> Result<(), IncidentError> {
        while self.visits.len() >= VISITS_MAX {
            let Some(oldest) = self.visits.keys().next().copied() else { return Ok(()) };
            let Some(visit) = self.take(oldest) else { return Ok(()) };
            self.settle(db, visit)?;
        }
        Ok(())
    }

    /// Writes what has changed, within the caller's transaction.
    pub(super) fn write(&mut self, db: &Database) -> Result<(), IncidentError> {
        let changed = std::mem::take(&mut self.changed);
        for connection in changed.visits {
            match self.visits.get_mut(&connection) {
                Some(visit) => {
                    db.put_visit(visit)?;
                    visit.stored = true;
                }
                None => db.forget_visit(connection)?,
            }
        }
        for record in changed.records.iter().filter_map(|n| self.records.get(n)) {
            db.put_record(record)?;
        }
        for (connection, row) in &changed.members {
            db.put_member(*connection, row)?;
        }
        for (sha256, (layers, error)) in &changed.triaged {
            db.put_triage(sha256, layers, error)?;
        }
        db.set_cursor(self.cursor)?;
        if self.records.len() > RECORDS_MAX {
            self.records.clear();
            self.latest.clear();
        }
        Ok(())
    }
}

/// Where a connection goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    /// To the incident `n`; whether another would have fitted as well, and whether it does not even fit this one.
    Join { n: i64, guessed: bool, crowded: bool },
    /// It is the first of a new one; what tells it from the latest of the same address.
    Begin { apart: Option<(u64, Apart)> },
}

/// Chooses among the incidents of the same address that are near in time, the latest first.
///
/// - Beside an exploit: to that exploit's.
/// - Nothing to tell it by: to the latest that fits.
/// - Else, of those that fit, to the one that has had the fewest connections of this kind, then to the one that has
///   waited longest: so two worms that do the same at the same time both end as whole stories.
/// - None fits: to a new one.
fn choose(visit: &Visit, near: &[&Record]) -> Choice {
    let fitting: Vec<&&Record> = near.iter().filter(|record| record.excludes(visit).is_none()).collect();
    let role = visit.role();
    let join = |record: &Record, guessed| Choice::Join { n: record.n, guessed, crowded: false };
    if visit.is_companion() {
        let beside = |record: &&&Record| record.exploit_at(visit.opened).map(|from| (from, record.n));
        let hosts: Vec<&&Record> = near.iter().filter(|record| beside(record).is_some()).collect();
        if let Some(host) = hosts.iter().max_by_key(|record| beside(record)) {
            return join(host, hosts.len() > 1);
        }
        if let Some(latest) = fitting.first() {
            return join(latest, fitting.len() > 1 && role != Role::Connect);
        }
    }
    let in_turn = |record: &&&Record| (record.role(role), record.last, record.n);
    match (fitting.iter().min_by_key(|record| in_turn(record)), near.first()) {
        (Some(record), _) => join(record, fitting.len() > 1),
        (None, Some(latest)) if near.len() >= ATTACKERS_MAX => {
            Choice::Join { n: latest.n, guessed: true, crowded: true }
        }
        (None, latest) => {
            let apart = |record: &&Record| record.excludes(visit).map(|why| (record.id, why));
            Choice::Begin { apart: latest.and_then(apart) }
        }
    }
}
