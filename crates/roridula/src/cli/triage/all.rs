//! `roridula triage --all`: samples again, with today's rules.

use super::TriageArgs;
use crate::cli::{Failure, out, reader};
use crate::settings::Settings;
use crate::triage::{Reins, Seat, TRIES, Trouble, bytes, given_up, left_alone, question, triaged};
use roridula_desk::sample::{ReportError, Reports, counted};
use roridula_evidence::{Kept, Options, Reader, SampleView, Store, StoreError};
use roridula_proto::event::Event;
use roridula_triage::rules::RuleFile;
use roridula_triage::{FORMAT, Report};
use serde::Serialize;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// What became of the samples.
#[derive(Debug, Default, Serialize)]
struct Tally {
    /// Looked into.
    done: u64,
    /// Had a report of today's rules and version.
    current: u64,
    /// Have no bytes any more.
    forgotten: u64,
    /// SHA-256 and why.
    failed: Vec<String>,
}

/// Looks again into every sample whose report is not of today's rules and version, or into all with `--force`.
pub(super) fn run(
    args: &TriageArgs,
    data: &Path,
    settings: &Settings,
    rules: &Arc<Vec<RuleFile>>,
) -> Result<(), Failure> {
    let reader = reader(data)?;
    let store = match Store::open(data, &settings.sensor, Options::default()) {
        Ok(store) => Some(store),
        Err(StoreError::Locked { .. }) => {
            eprintln!(
                "roridula: the honeypot runs here: reports are made again, and no event `sample.triaged` tells of them"
            );
            None
        }
        Err(error) => return Err(error.into()),
    };
    let samples = reader.samples()?;
    let bar = out::progress(samples.len() as u64, "looking into samples");
    let todo = Mutex::new(samples.iter());
    let tally = Mutex::new(Tally::default());
    let work = |first: bool| -> Result<(), Failure> {
        let reins = Arc::new(Reins::default());
        let mut again = Again {
            force: args.force,
            reader: Reader::open(data)?,
            reports: Reports::open(data).map_err(told)?,
            store: store.as_ref(),
            seat: Seat::new(settings.triage.clone(), Arc::clone(rules), reins),
            digest: String::new(),
        };
        again.begin(first)?;
        loop {
            let next = todo.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(sample) = next else { return Ok(()) };
            let became = again.sample(sample)?;
            bar.inc(1);
            let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
            match became {
                Became::Done => tally.done += 1,
                Became::Current => tally.current += 1,
                Became::Forgotten => tally.forgotten += 1,
                Became::Failed(why) => tally.failed.push(format!("{}: {why}", sample.sha256)),
            }
        }
    };
    let worked: Vec<Result<(), Failure>> = thread::scope(|scope| {
        let others: Vec<_> = (1..settings.triage.workers).map(|_| scope.spawn(|| work(false))).collect();
        let mut worked = vec![work(true)];
        let panicked = |_| Err(Failure::new("a thread died of a fault of ours"));
        worked.extend(others.into_iter().map(|other| other.join().unwrap_or_else(panicked)));
        worked
    });
    bar.finish_and_clear();
    if let Some(store) = &store {
        store.flush();
    }
    worked.into_iter().collect::<Result<Vec<()>, _>>()?;
    end(&tally.into_inner().unwrap_or_else(PoisonError::into_inner), args.json)
}

fn told(error: ReportError) -> Failure {
    Failure::new(error.to_string())
}

fn end(tally: &Tally, json: bool) -> Result<(), Failure> {
    if json {
        out::json(tally)?;
    } else {
        let mut out = out::stdout();
        writeln!(
            out,
            "{} looked into, {} of today's rules, {} without bytes, {} failed",
            counted(tally.done, "sample"),
            counted(tally.current, "report"),
            counted(tally.forgotten, "sample"),
            tally.failed.len()
        )?;
        out.flush()?;
    }
    if tally.failed.is_empty() { Ok(()) } else { Err(Failure(tally.failed.join("\n"))) }
}

enum Became {
    Done,
    Current,
    Forgotten,
    Failed(String),
}

struct Again<'a> {
    force: bool,
    reader: Reader,
    reports: Reports,
    store: Option<&'a Store>,
    seat: Seat,
    /// Of the rules that the worker compiled.
    digest: String,
}

impl Again<'_> {
    fn begin(&mut self, tell: bool) -> Result<(), Failure> {
        let (digest, errors) = self.seat.fill().map_err(|trouble| Failure::new(trouble.to_string()))?;
        if tell {
            errors.iter().for_each(super::left_out);
        }
        self.digest = digest.to_owned();
        Ok(())
    }

    fn sample(&mut self, sample: &SampleView) -> Result<Became, Failure> {
        let id = sample.sha256;
        // A report that cannot be read is made again.
        let current =
            |report: Report| report.format == FORMAT && report.rules == self.digest && report.depth.is_full();
        if !self.force && self.reports.get(id).ok().flatten().is_some_and(current) {
            return Ok(Became::Current);
        }
        if matches!(self.reader.kept(id)?, Kept::Forgotten | Kept::Missing) {
            return Ok(Became::Forgotten);
        }
        let mut looked = self.look(sample);
        for _ in 1..TRIES {
            if matches!(looked, Err(Trouble::Died(_))) {
                looked = self.look(sample);
            }
        }
        let why = match looked {
            Ok(report) => {
                self.reports.put(id, &report).map_err(told)?;
                self.tell(triaged(id, &report));
                return Ok(Became::Done);
            }
            Err(Trouble::Start(why)) => return Err(Failure::new(why)),
            Err(Trouble::Sample(why)) => why,
            Err(Trouble::Died(how)) => given_up(&how),
        };
        self.tell(left_alone(id, why.clone()));
        Ok(Became::Failed(why))
    }

    fn look(&mut self, sample: &SampleView) -> Result<Report, Trouble> {
        self.seat.fits(sample.size)?;
        let bytes = bytes(&self.reader, sample)?;
        self.seat.ask(&question(sample), &bytes, |_| ())
    }

    /// Puts it into the journal, where that is ours.
    fn tell(&self, event: Event) {
        if let Some(store) = self.store {
            store.publish(event);
        }
    }
}
