//! The same answers by going through all events.

use crate::past::{DAY, HOUR};
use roridula_desk::index::{Counts, Filter, Span, Step};
use roridula_evidence::{EventFilter, Published, Reader, SampleId};
use roridula_proto::event::{Event, Origin, UploadState};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

/// One connection, as its events tell it.
#[derive(Clone, Debug)]
pub(crate) struct Visit {
    pub(crate) id: u64,
    pub(crate) opened: u64,
    pub(crate) source: IpAddr,
    pub(crate) closed: Option<u64>,
    /// When it first took each step.
    pub(crate) steps: BTreeMap<Step, u64>,
    pub(crate) bytes: (u64, u64),
    pub(crate) events: u64,
    pub(crate) captures: u64,
    pub(crate) last: u64,
    pub(crate) fingerprint: String,
    pub(crate) tools: Vec<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Caught {
    pub(crate) seq: u64,
    pub(crate) at: u64,
    pub(crate) sample: SampleId,
    pub(crate) source: IpAddr,
    pub(crate) connection: u64,
    pub(crate) payload: bool,
    pub(crate) first_seen: bool,
}

pub(crate) struct Naive {
    pub(crate) events: Vec<Published>,
    pub(crate) visits: BTreeMap<u64, Visit>,
    pub(crate) caught: Vec<Caught>,
}

impl Naive {
    pub(crate) fn of(dir: &Path) -> Self {
        let reader = Reader::open(dir).unwrap();
        let events = reader.events(0, &EventFilter::default(), usize::MAX).unwrap().events;
        let (mut visits, mut caught) = (BTreeMap::new(), Vec::new());
        for event in &events {
            let (Some(id), Some(source)) = (event.connection, event.source) else { continue };
            let visit = visits.entry(id.0).or_insert_with(|| Visit {
                id: id.0,
                opened: event.time.0,
                source: source.ip().to_canonical(),
                closed: None,
                steps: BTreeMap::new(),
                bytes: (0, 0),
                events: 0,
                captures: 0,
                last: 0,
                fingerprint: String::new(),
                tools: Vec::new(),
            });
            visit.see(event);
            if let Event::SampleCaptured { sha256, origin, first_seen, .. } = &event.event {
                caught.push(Caught {
                    seq: event.seq,
                    at: event.time.0,
                    sample: sha256.parse().unwrap(),
                    source: visit.source,
                    connection: id.0,
                    payload: *origin != Origin::ExploitBuffer,
                    first_seen: *first_seen,
                });
            }
        }
        Self { events, visits, caught }
    }

    /// What is counted in whole intervals of `unit` that a span touches, of the visitors that fit.
    pub(crate) fn counts(&self, span: Span, unit: u64, fits: impl Fn(IpAddr) -> bool) -> Counts {
        let inside = |at: u64| touches(span, unit, at);
        let steps = |step| {
            let visits = self.visits.values().filter(|visit| fits(visit.source));
            visits.filter(|visit| visit.steps.get(&step).is_some_and(|at| inside(*at))).count() as u64
        };
        let caught = self.caught.iter().filter(|one| one.payload && inside(one.at) && fits(one.source));
        Counts {
            connections: steps(Step::Connect),
            negotiates: steps(Step::Negotiate),
            probes: steps(Step::Probe),
            exploits: steps(Step::Exploit),
            pings: steps(Step::Ping),
            uploads_begun: steps(Step::Upload),
            completes: steps(Step::Complete),
            uploads: caught.clone().count() as u64,
            new_samples: caught.filter(|one| one.first_seen).count() as u64,
        }
    }

    /// The connections that fit, the latest first.
    pub(crate) fn connections(&self, filter: &Filter, fits: impl Fn(IpAddr) -> bool) -> Vec<u64> {
        let mut found: Vec<&Visit> = self
            .visits
            .values()
            .filter(|visit| (filter.span.since.0..filter.span.until.0).contains(&visit.opened))
            .filter(|visit| fits(visit.source))
            .filter(|visit| filter.step.is_none_or(|step| visit.steps.contains_key(&step)))
            .filter(|visit| filter.tool.as_ref().is_none_or(|tool| visit.tools.contains(tool)))
            .filter(|visit| filter.fingerprint.as_ref().is_none_or(|print| visit.fingerprint == *print))
            .collect();
        found.sort_by_key(|visit| std::cmp::Reverse((visit.opened, visit.id)));
        found.iter().map(|visit| visit.id).collect()
    }

    /// Sources with a connection in the hours that a span touches.
    pub(crate) fn sources(&self, span: Span) -> BTreeSet<IpAddr> {
        let came = |visit: &&Visit| touches(span, HOUR, visit.opened);
        self.visits.values().filter(came).map(|visit| visit.source).collect()
    }

    pub(crate) fn of_source(&self, source: IpAddr) -> Vec<&Visit> {
        self.visits.values().filter(|visit| visit.source == source).collect()
    }

    /// Days, captures and sources of a set of samples in the days that a span touches.
    pub(crate) fn days(&self, samples: &[SampleId], span: Span) -> BTreeMap<u64, (u64, BTreeSet<IpAddr>)> {
        let mut days: BTreeMap<u64, (u64, BTreeSet<IpAddr>)> = BTreeMap::new();
        let fits = |one: &&Caught| samples.contains(&one.sample) && touches(span, DAY, one.at);
        for one in self.caught.iter().filter(fits) {
            let day = days.entry(one.at / DAY * DAY).or_default();
            day.0 += 1;
            day.1.insert(one.source);
        }
        days
    }
}

impl Visit {
    fn see(&mut self, event: &Published) {
        let step = match &event.event {
            Event::ConnectionOpened { .. } => Some(Step::Connect),
            Event::Smb1Negotiate { .. } => Some(Step::Negotiate),
            Event::Ms17010Probe { .. } => Some(Step::Probe),
            Event::ExploitStep { step, .. } if step != "groom" && step != "hole" => Some(Step::Exploit),
            Event::ExploitCompleted { .. } => Some(Step::Exploit),
            Event::ImplantPing { .. } => Some(Step::Ping),
            Event::UploadStarted { .. } => Some(Step::Upload),
            Event::UploadFinished { state: UploadState::Complete, .. } => Some(Step::Complete),
            Event::SampleCaptured { first_seen: true, origin: Origin::DoublePulsar, .. } => Some(Step::New),
            _ => None,
        };
        if let Some(step) = step {
            self.steps.entry(step).or_insert(event.time.0);
        }
        self.events += 1;
        self.last = self.last.max(event.time.0);
        match &event.event {
            Event::SampleCaptured { .. } => self.captures += 1,
            Event::ClientFingerprint { fingerprint, tools, .. } => {
                (self.fingerprint, self.tools) = (fingerprint.clone(), tools.clone());
            }
            Event::ConnectionClosed { bytes_in, bytes_out, .. } => {
                (self.closed, self.bytes) = (Some(event.time.0), (*bytes_in, *bytes_out));
            }
            _ => {}
        }
    }
}

/// Whether a moment lies in one of the intervals that a span touches.
pub(crate) fn touches(span: Span, unit: u64, at: u64) -> bool {
    !span.is_empty() && span.since.0 / unit <= at / unit && at / unit <= (span.until.0 - 1) / unit
}
