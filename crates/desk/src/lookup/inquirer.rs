//! Who is asked what, and when: time and transport are arguments.

use super::book::{Cached, DAY, Lookups, MINUTE, ServiceStatus, Standing, micros};
use super::queue::{Subject, Upload};
use super::service::{self, Access, Answer, Summary};
use super::wanted::{Wanted, wanted};
use super::{LookupError, LookupSettings, Response, Service, Transport, UPLOAD_BYTES_MAX};
use crate::index::Index;
use crate::sample::{Catalog, CatalogError, Reports};
use roridula_evidence::{EventFilter, Reader, SampleId};
use roridula_proto::event::Event;
use roridula_proto::time::WallClock;
use std::collections::HashMap;
use std::path::Path;

/// Events of the journal that are looked at in one step.
const PAGE: usize = 512;
/// Samples that are looked at in one step for one with something to ask.
const LOOKED_AT: u32 = 64;
const HOUR: i64 = 60 * MINUTE;
/// The first wait after a failure; it doubles up to an hour.
const BACK_OFF: i64 = MINUTE / 2;
/// How often the wait for an unknown hash doubles.
const DOUBLINGS: u32 = 3;
/// How often a file is handed over, the first time and one more.
const UPLOAD_TRIES: u32 = 2;

/// What came of one request, or of none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A service knows a hash.
    Known,
    /// A service does not know a hash.
    Unknown,
    /// A file was handed over.
    Uploaded,
    /// Nothing is asked before this moment; and why.
    Waiting(WallClock, String),
    /// The key was refused: nothing more is asked with it.
    Refused(String),
    /// It went wrong and is tried again later. The number is the failures in a row.
    Failed(String, u32),
}

/// What a step did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A service was asked.
    Asked(Service, Outcome),
    /// There is more to do at once, but nobody was asked.
    Working,
    /// Nothing is to be asked now.
    Idle,
}

enum Todo {
    Ask(Wanted),
    Upload,
    /// Nothing before this moment.
    Done(i64),
}

/// Asks the services about the samples of a data directory.
pub struct Inquirer {
    book: Lookups,
    reports: Reports,
    reader: Reader,
    index: Index,
    transport: Box<dyn Transport + Send>,
    accesses: Vec<Access>,
    found: i64,
    unknown: i64,
    /// Whose turn it is.
    turn: usize,
}

impl std::fmt::Debug for Inquirer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inquirer").field("accesses", &self.accesses).finish_non_exhaustive()
    }
}

impl Inquirer {
    /// One for the data directory `dir`. The keys come from files or through `environment`; a service that is enabled
    /// and has none is an error.
    pub fn open(
        dir: &Path,
        settings: &LookupSettings,
        environment: &dyn Fn(&str) -> Option<String>,
        transport: Box<dyn Transport + Send>,
    ) -> Result<Self, LookupError> {
        let accesses = Service::ALL.into_iter().filter_map(|service| service.access(settings, environment));
        let days = |days: u64| i64::try_from(days).unwrap_or(i64::MAX).saturating_mul(DAY);
        Ok(Self {
            accesses: accesses.collect::<Result<_, _>>()?,
            book: Lookups::open(dir)?,
            reports: Reports::open(dir)?,
            reader: Reader::open(dir)?,
            index: Index::open_or_temporary(dir).map_err(CatalogError::from)?,
            transport,
            found: days(settings.found_days),
            unknown: days(settings.unknown_days),
            turn: 0,
        })
    }

    /// The services that are asked.
    pub fn services(&self) -> Vec<Service> {
        self.accesses.iter().map(|access| access.service).collect()
    }

    /// What was answered.
    pub fn book(&self) -> &Lookups {
        &self.book
    }

    /// How it stands with a service.
    pub fn status(&self, service: Service, now: WallClock) -> Result<ServiceStatus, LookupError> {
        let access = self.accesses.iter().find(|access| access.service == service);
        let rates = access.map_or((0, 0), |access| (access.per_minute, access.per_day));
        let key = access.map_or(String::new(), |access| access.key.mark());
        self.book.status(service, rates, &key, micros(now))
    }

    /// Notes new samples, and asks at most one question.
    pub fn step(&mut self, now: WallClock) -> Result<Step, LookupError> {
        let noted = self.note(now)?;
        let mut more = noted;
        for _ in 0..self.accesses.len() {
            let access = self.accesses[self.turn % self.accesses.len()].clone();
            self.turn = self.turn.wrapping_add(1);
            if self.in_the_way(&access, micros(now))?.is_some() {
                continue;
            }
            let due = self.book.due(access.service, micros(now), LOOKED_AT)?;
            more |= !due.is_empty();
            for subject in due {
                let outcome = match self.todo(&access, &subject, micros(now))? {
                    Todo::Done(at) => {
                        self.book.set_due(access.service, &subject.sample, at)?;
                        continue;
                    }
                    Todo::Ask(hash) => self.ask(&access, &hash, micros(now))?,
                    Todo::Upload => self.upload(&access, &subject, micros(now))?,
                };
                match outcome {
                    // No token: as if it had not been its turn.
                    Outcome::Waiting(..) => break,
                    // Others first: it may be this sample that the service stumbles over.
                    Outcome::Failed(..) => {
                        let later = micros(now).saturating_add(HOUR);
                        self.book.set_due(access.service, &subject.sample, later)?;
                    }
                    _ => {}
                }
                return Ok(Step::Asked(access.service, outcome));
            }
            more &= noted || self.may_ask(&access, micros(now))?;
        }
        Ok(if more { Step::Working } else { Step::Idle })
    }

    /// Asks a service about these hashes until it knows one or has been asked for all. What is fresh is not asked again.
    /// The last outcome; `None` where nothing had to be asked.
    pub fn ask_now(
        &mut self,
        service: Service,
        hashes: &[Wanted],
        now: WallClock,
    ) -> Result<Option<Outcome>, LookupError> {
        let Some(access) = self.accesses.iter().find(|access| access.service == service).cloned() else {
            return Ok(None);
        };
        let subject = Subject { sample: String::new(), wanted: hashes.to_vec() };
        let access = Access { upload: false, ..access };
        let mut last = None;
        for _ in hashes {
            let Todo::Ask(hash) = self.todo(&access, &subject, micros(now))? else { break };
            let outcome = match self.in_the_way(&access, micros(now))? {
                Some(waiting) => waiting,
                None => self.ask(&access, &hash, micros(now))?,
            };
            let go_on = outcome == Outcome::Unknown;
            last = Some(outcome);
            if !go_on {
                break;
            }
        }
        Ok(last)
    }

    /// Notes the samples that triage has looked into since; says whether there may be more.
    fn note(&mut self, now: WallClock) -> Result<bool, LookupError> {
        let from = self.book.cursor()?;
        // No filter: with one, a page would be as long as it takes to find so many, and hold the journal open meanwhile.
        let page = self.reader.events(from, &EventFilter::default(), PAGE)?;
        let mut subjects = Vec::new();
        for event in &page.events {
            let Event::SampleTriaged { sha256, .. } = &event.event else { continue };
            let Ok(id) = sha256.parse::<SampleId>() else { continue };
            let Some(report) = self.reports.get(id)? else { continue };
            let subject = Subject { sample: id.to_string(), wanted: wanted(&report) };
            if !subject.wanted.is_empty() {
                subjects.push((id, subject));
            }
        }
        if !subjects.is_empty() {
            let novelty = self.novelty()?;
            for (id, subject) in &subjects {
                self.book.note(subject, novelty.get(id).copied().unwrap_or(0), micros(now))?;
            }
        }
        if page.next != from {
            self.book.set_cursor(page.next)?;
        }
        Ok(page.events.len() == PAGE)
    }

    /// How new each sample is: what is asked for first.
    fn novelty(&mut self) -> Result<HashMap<SampleId, i64>, LookupError> {
        self.index.catch_up(&mut |_| ()).map_err(CatalogError::from)?;
        let catalog = Catalog::load(&mut self.index, &self.reports)?;
        Ok(catalog.entries.iter().map(|entry| (entry.sha256, entry.novelty.into())).collect())
    }

    /// Why a service is not to be asked now.
    fn in_the_way(&self, access: &Access, now: i64) -> Result<Option<Outcome>, LookupError> {
        let standing = self.book.standing(access.service)?;
        if !standing.refused_key.is_empty() && standing.refused_key == access.key.mark() {
            let why = format!("the key was refused ({}); set another", standing.error);
            return Ok(Some(Outcome::Refused(why)));
        }
        // No wait is longer than a day: one that is was noted under a clock that stood wrong.
        let waits = standing.wait_until > now && standing.wait_until <= now.saturating_add(DAY);
        Ok(waits.then(|| waiting(standing.wait_until, &standing.error)))
    }

    fn may_ask(&self, access: &Access, now: i64) -> Result<bool, LookupError> {
        let rates = (access.per_minute, access.per_day);
        Ok(self.book.status(access.service, rates, "", now)?.left_minute > 0)
    }

    fn todo(&self, access: &Access, subject: &Subject, now: i64) -> Result<Todo, LookupError> {
        let mut next = i64::MAX;
        for hash in &subject.wanted {
            match self.book.cached(access.service, &hash.sha256)? {
                Some(cached) if cached.known && cached.again > now => return Ok(Todo::Done(cached.again)),
                Some(cached) if cached.again > now => next = next.min(cached.again),
                _ => return Ok(Todo::Ask(hash.clone())),
            }
        }
        if access.upload {
            let upload = self.book.upload(&subject.sample)?;
            let again = upload.at.saturating_add(HOUR);
            if !upload.done && upload.tries < UPLOAD_TRIES {
                if upload.tries == 0 || again <= now {
                    return Ok(Todo::Upload);
                }
                next = next.min(again);
            }
        }
        Ok(Todo::Done(next))
    }

    fn ask(&mut self, access: &Access, hash: &Wanted, now: i64) -> Result<Outcome, LookupError> {
        let sent = self.send(access, access.ask(&hash.sha256), now)?;
        let (response, answer) = match sent {
            Ok(sent) => sent,
            Err(outcome) => return Ok(outcome),
        };
        let service = access.service;
        match answer {
            Answer::Found(_) if !service::is_about(service, &response, &hash.sha256) => {
                self.failed(service, "an answer about another file".to_owned(), None, now)
            }
            Answer::Found(summary) => {
                // Handed over a moment ago: no engine has looked yet.
                let fresh = if summary.engines == Some(0) { HOUR } else { self.found };
                let cached = Cached { known: true, again: now.saturating_add(fresh), misses: 0 };
                self.book.put(service, hash, now, cached, (&summary, &response.body))?;
                Ok(Outcome::Known)
            }
            Answer::Unknown => {
                let earlier = self.book.cached(service, &hash.sha256)?;
                let misses = earlier.map_or(0, |cached| cached.misses).saturating_add(1);
                let wait = self.unknown.saturating_mul(1 << misses.saturating_sub(1).min(DOUBLINGS));
                let cached = Cached { known: false, again: now.saturating_add(wait), misses };
                self.book.put(service, hash, now, cached, (&Summary::default(), &response.body))?;
                Ok(Outcome::Unknown)
            }
            _ => self.failed(service, "an answer to another question".to_owned(), None, now),
        }
    }

    fn upload(&mut self, access: &Access, subject: &Subject, now: i64) -> Result<Outcome, LookupError> {
        let earlier = self.book.upload(&subject.sample)?;
        let give_up =
            |what: &str| Outcome::Failed(format!("{} is not handed over: {what}", subject.sample), 0);
        let bytes = match subject.sample.parse::<SampleId>() {
            Ok(id) => self.reader.sample_bytes(id, UPLOAD_BYTES_MAX).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(error) => {
                self.book.set_upload(&subject.sample, Upload { done: true, at: now, ..earlier })?;
                return Ok(give_up(&error));
            }
        };
        // On record before it goes out: killed in between, it was tried.
        let tried = Upload { tries: earlier.tries.saturating_add(1), at: now, done: false };
        self.book.set_upload(&subject.sample, tried)?;
        let sent = self.send(access, access.hand_over(&subject.sample, &bytes), now)?;
        let (_, answer) = match sent {
            Ok(sent) => sent,
            Err(waiting @ Outcome::Waiting(..)) => {
                self.book.set_upload(&subject.sample, earlier)?;
                return Ok(waiting);
            }
            Err(outcome) => return Ok(outcome),
        };
        if answer != Answer::Taken {
            return self.failed(access.service, "an answer that is none to a file".to_owned(), None, now);
        }
        self.book.set_upload(&subject.sample, Upload { done: true, ..tried })?;
        // It takes its time to look at a file.
        let soon = now.saturating_add(HOUR);
        if let Some(raw) = subject.wanted.last() {
            let cached = Cached { known: false, again: soon, misses: 0 };
            self.book.put(access.service, raw, now, cached, (&Summary::default(), b""))?;
        }
        self.book.set_due(access.service, &subject.sample, soon)?;
        Ok(Outcome::Uploaded)
    }

    /// Sends a request where there is a token for it. `Err` of what came of it where that is no useful answer.
    #[allow(clippy::type_complexity)]
    fn send(
        &mut self,
        access: &Access,
        request: super::Request,
        now: i64,
    ) -> Result<Result<(Response, Answer), Outcome>, LookupError> {
        let service = access.service;
        let token = match self.book.spend(service, (access.per_minute, access.per_day), now)? {
            Ok(token) => token,
            Err(at) => return Ok(Err(waiting(at, "the quota is used up"))),
        };
        let response = match self.transport.send(&request) {
            Ok(response) => response,
            Err(error) => {
                if !error.reached {
                    self.book.refund(token)?;
                }
                return self.failed(service, error.what, None, now).map(Err);
            }
        };
        match service::read(service, &response) {
            Answer::Refused(what) => {
                let standing = Standing {
                    refused_key: access.key.mark(),
                    error: what.clone(),
                    error_at: now,
                    ..Standing::default()
                };
                self.book.set_standing(service, &standing)?;
                Ok(Err(Outcome::Refused(what)))
            }
            Answer::Busy => {
                let what = "HTTP 429: too many requests".to_owned();
                self.failed(service, what, response.retry_after_secs, now).map(Err)
            }
            Answer::Fault(what) => self.failed(service, what, response.retry_after_secs, now).map(Err),
            answer => {
                let standing = self.book.standing(service)?;
                if standing.failures > 0 || !standing.refused_key.is_empty() {
                    self.book.set_standing(service, &Standing::default())?;
                }
                Ok(Ok((response, answer)))
            }
        }
    }

    /// Waits longer after each failure, and as long as the service says.
    fn failed(
        &self,
        service: Service,
        what: String,
        retry_after_secs: Option<u64>,
        now: i64,
    ) -> Result<Outcome, LookupError> {
        let earlier = self.book.standing(service)?;
        let failures = earlier.failures.saturating_add(1);
        let own = BACK_OFF.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(HOUR);
        let told = retry_after_secs.and_then(|secs| i64::try_from(secs).ok());
        let told = told.map_or(0, |secs| secs.saturating_mul(1_000_000).min(DAY));
        let wait_until = now.saturating_add(own.max(told));
        let standing = Standing { wait_until, failures, error: what.clone(), error_at: now, ..earlier };
        self.book.set_standing(service, &standing)?;
        Ok(Outcome::Failed(what, failures))
    }
}

fn waiting(until: i64, why: &str) -> Outcome {
    Outcome::Waiting(WallClock(u64::try_from(until).unwrap_or(0)), why.to_owned())
}
