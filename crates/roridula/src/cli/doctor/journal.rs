//! The journal: does it open, who came lately, what went wrong, and has the doctor's own visit arrived?

use super::finding::Finding;
use roridula_desk::story;
use roridula_evidence::{ConnectionView, EventFilter, Published, Reader, StoreError, rfc3339, wall_clock};
use roridula_proto::connection::Policy;
use roridula_proto::event::Event;
use roridula_proto::time::WallClock;
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// How long an event of the doctor's own visit may take to be in the journal.
pub(super) const JOURNAL_WAIT: Duration = Duration::from_secs(10);
/// How often it is looked at meanwhile: another process writes it, and tells nobody.
const LOOK: Duration = Duration::from_millis(20);
/// Events read at once.
const PAGE: usize = 1000;
/// Latest events that are looked through, first few, then more.
const WINDOWS: [u64; 3] = [1000, 30_000, 1_000_000];
/// Latest connections that are looked through.
const CONNECTIONS_MAX: usize = 2000;
/// What "lately" means, in microseconds.
const DAY_US: u64 = 86_400_000_000;

/// What the latest start of the honeypot said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Started {
    /// Where it listens.
    pub(super) listen: Vec<SocketAddr>,
    /// Its `implant.policy`.
    pub(super) policy: Option<Policy>,
}

/// The open journal.
#[derive(Debug)]
pub(super) struct Journal(Reader);

/// Why there is no open journal.
#[derive(Debug)]
pub(super) enum Shut {
    /// There is none yet.
    Missing,
    /// This user may not read it.
    NotYours,
    /// It cannot be used.
    Broken(String),
}

impl Journal {
    /// The journal in `data`, or why it cannot be read.
    pub(super) fn open(data: &Path) -> Result<Self, Shut> {
        // A directory that may not be entered looks like one without a journal.
        match fs::metadata(data.join("journal.sqlite")) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return Err(Shut::NotYours),
            _ => {}
        }
        Reader::open(data).map(Self).map_err(|error| match error {
            StoreError::Missing { .. } => Shut::Missing,
            other => Shut::Broken(other.to_string()),
        })
    }

    /// The `seq` of the latest event; 0 where there is none or it cannot be read, which [`check`] tells.
    pub(super) fn last_seq(&self) -> u64 {
        self.0.last_seq().unwrap_or(0)
    }

    /// What the latest start told of itself, as far back as is looked.
    pub(super) fn started(&self) -> Option<Started> {
        let found = self.latest(&["sensor.started"]).ok()??;
        let Event::SensorStarted { listen, policy, .. } = found.event else { return None };
        let listen = listen.iter().filter_map(|address| address.parse().ok()).collect();
        Some(Started { listen, policy: serde_json::from_value(policy.into()).ok() })
    }

    /// When the latest event happened.
    pub(super) fn latest_time(&self) -> Option<WallClock> {
        let all = EventFilter::default();
        let page = self.0.events(self.last_seq().saturating_sub(1), &all, 1).ok()?;
        page.events.first().map(|event| event.time)
    }

    /// The first thing that `pick` finds in events with these ids after `after`; waits for it if need be.
    pub(super) fn wait<T>(
        &self,
        after: u64,
        ids: &[&str],
        pick: impl Fn(&Published) -> Option<T>,
    ) -> Option<T> {
        let filter = only(ids);
        let deadline = Instant::now() + JOURNAL_WAIT;
        let mut after = after;
        while Instant::now() < deadline {
            let page = self.0.events(after, &filter, PAGE).ok()?;
            if let Some(found) = page.events.iter().find_map(&pick) {
                return Some(found);
            }
            if page.next == after {
                thread::park_timeout(LOOK);
            }
            after = page.next;
        }
        None
    }

    /// The latest event with one of these ids.
    fn latest(&self, ids: &[&str]) -> Result<Option<Published>, StoreError> {
        let last = self.0.last_seq()?;
        for window in WINDOWS {
            let found = self.since(last.saturating_sub(window), ids)?.pop();
            if found.is_some() || window >= last {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// All events with these ids after `after`.
    fn since(&self, after: u64, ids: &[&str]) -> Result<Vec<Published>, StoreError> {
        let (filter, mut after, mut all) = (only(ids), after, Vec::new());
        loop {
            let page = self.0.events(after, &filter, PAGE)?;
            if page.next == after {
                return Ok(all);
            }
            after = page.next;
            all.extend(page.events);
        }
    }
}

fn only(ids: &[&str]) -> EventFilter {
    EventFilter { ids: ids.iter().map(|id| (*id).to_owned()).collect(), ..EventFilter::default() }
}

/// What the journal says of the last day.
pub(super) fn check(journal: &Result<Journal, Shut>, own: &[IpAddr]) -> Vec<Finding> {
    const CHECK: &str = "journal";
    let journal = match journal {
        Ok(journal) => journal,
        Err(Shut::Missing) => {
            let what = "none yet: no honeypot has run with this --data";
            return vec![Finding::note(CHECK, what)];
        }
        Err(Shut::NotYours) => {
            let what = "not yours to read: what came and what was kept is not looked at";
            return vec![Finding::note(CHECK, what).with_fix("run as its owner, or with sudo")];
        }
        Err(Shut::Broken(what)) => return vec![broken(what)],
    };
    let visitors =
        journal.0.connections(None, CONNECTIONS_MAX).map(|all| visitors(&all, own, journal.latest_time()));
    let trouble = journal.trouble();
    match (visitors, trouble) {
        (Ok(visitors), Ok(trouble)) => [vec![visitors], trouble].concat(),
        (Err(error), _) | (_, Err(error)) => vec![broken(&error.to_string())],
    }
}

fn broken(what: &str) -> Finding {
    Finding::problem(
        "journal",
        what,
        "give --data the honeypot's directory; a copy of it helps to look further",
    )
}

/// How many came, and who was the last one from outside.
fn visitors(connections: &[ConnectionView], own: &[IpAddr], newest: Option<WallClock>) -> Finding {
    let now = wall_clock().0;
    let lately = |view: &&ConnectionView| now.saturating_sub(view.opened.0) < DAY_US;
    let outside = |view: &&ConnectionView| {
        let ip = view.source.ip().to_canonical();
        !ip.is_loopback() && !own.contains(&ip)
    };
    let of_today = connections.iter().filter(lately);
    let (all, guests) = (of_today.clone().count(), of_today.filter(outside).count());
    let more = if all == CONNECTIONS_MAX { " or more" } else { "" };
    let newest = newest.map_or("no event yet".to_owned(), |at| format!("newest event {}", age(at)));
    let what =
        format!("{newest}; {all}{more} connections in the last 24 hours, {guests} of them from elsewhere");
    match connections.iter().find(outside) {
        Some(latest) if guests > 0 => {
            let (ip, ago) = (latest.source.ip().to_canonical(), age(latest.opened));
            Finding::ok("journal", format!("{what}; the latest, {ip}, {ago}"))
        }
        Some(latest) => {
            let (ip, at) = (latest.source.ip().to_canonical(), age(latest.opened));
            Finding::note("journal", format!("{what}; the last one was {ip}, {at}"))
        }
        None => Finding::note("journal", format!("{what}: nobody has come from elsewhere yet")),
    }
}

impl Journal {
    /// Limits that were met and captures that failed in the last day, as far back as is looked.
    fn trouble(&self) -> Result<Vec<Finding>, StoreError> {
        let after = self.0.last_seq()?.saturating_sub(WINDOWS[1]);
        let now = wall_clock().0;
        let mut met: BTreeMap<String, u64> = BTreeMap::new();
        let mut failed = Vec::new();
        for event in self.since(after, &["limit.reached", "connection.refused", "capture.failed"])? {
            if now.saturating_sub(event.time.0) >= DAY_US {
                continue;
            }
            match event.event {
                Event::LimitReached { limit, .. } => *met.entry(limit).or_default() += 1,
                Event::ConnectionRefused { limit, count } => *met.entry(limit).or_default() += count,
                Event::CaptureFailed { error, .. } => failed.push((event.time, error)),
                _ => {}
            }
        }
        let mut findings = Vec::new();
        if let Some((at, error)) = failed.last() {
            let what = format!(
                "{} uploads could not be kept, the last one {}: {}",
                failed.len(),
                age(*at),
                error.escape_debug()
            );
            findings.push(Finding::problem("journal", what, "free some disk space, or move --data"));
        }
        if !met.is_empty() {
            let met: Vec<_> = met.iter().map(|(limit, count)| format!("{limit} {count}×")).collect();
            let what = format!("limits met in the last 24 hours: {}", met.join(", ").escape_debug());
            let fix = "in a flood that is as it should be; otherwise raise the setting of that name";
            findings.push(Finding::note("journal", what).with_fix(fix));
        }
        Ok(findings)
    }
}

/// How long ago, for people.
pub(super) fn age(at: WallClock) -> String {
    let span = wall_clock().0.saturating_sub(at.0);
    match span / 1_000_000 {
        0..60 => format!("{} ago", story::span(span)),
        60..7200 => format!("{} minutes ago", span / 60_000_000),
        7200..172_800 => format!("{} hours ago", span / 3_600_000_000),
        _ => format!("on {}", &rfc3339(at)[..10]),
    }
}
