//! How the honeypot itself was in a time: how long it ran, what it lost, whom it turned away.

use crate::console::ask::Problem;
use crate::console::shelf::Shelf;
use crate::console::view::asked;
use crate::index::{Kind, Run, Span};
use roridula_proto::time::WallClock;
use schemars::JsonSchema;
use serde::Serialize;

/// Losses and limits that are told.
const LOSSES_MAX: usize = 20;

/// How the honeypot was.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Sensor {
    /// Seconds of the time that lie in the past.
    pub(super) seconds: u64,
    /// Seconds that it ran; at most so many where it ended without a word.
    pub(super) up: u64,
    /// How often it was started.
    pub(super) starts: u64,
    /// How often it ended without a word: it was killed, or the machine was.
    pub(super) crashes: u64,
    /// Faults, visitors turned away and limits that were met.
    pub(super) losses: Vec<Loss>,
}

/// Something that was lost, refused or cut.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Loss {
    /// `fault`, `refused`, `limit`.
    pub(super) kind: &'static str,
    /// Which.
    pub(super) name: String,
    /// How often.
    pub(super) count: u64,
}

/// Reads it.
pub(super) fn load(shelf: &mut Shelf, span: Span, now: WallClock) -> Result<Sensor, Problem> {
    let past = Span { since: span.since, until: span.until.min(now) };
    let runs = shelf.index.runs().map_err(asked::problem)?;
    let end = match shelf.reader.is_running() {
        true => now,
        false => shelf.index.status().map_err(asked::problem)?.last_event.unwrap_or_default(),
    };
    let first = runs.last().map_or(now, |run| run.time);
    // Of all of time, only what came after the first start counts.
    let past = if past.since.0 == 0 { Span { since: first.min(past.until), ..past } } else { past };
    let (up, starts, crashes) = up(&runs, past, end);
    let totals = shelf.index.health(span).map_err(asked::problem)?;
    let kinds = [Kind::Fault, Kind::Refused, Kind::Limit];
    let losses = totals.into_iter().filter(|total| kinds.contains(&total.kind));
    let loss = |total: crate::index::HealthTotal| Loss {
        kind: total.kind.as_str(),
        name: total.name,
        count: total.count,
    };
    let losses = losses.map(loss).take(LOSSES_MAX).collect();
    Ok(Sensor { seconds: past.len() / 1_000_000, up: up / 1_000_000, starts, crashes, losses })
}

/// Microseconds of `span` in which it ran, starts in it, and runs that ended in it without a word. `runs`
/// come the latest first; a run that has not stopped lasts until the next start, or until `end`.
fn up(runs: &[Run], span: Span, end: WallClock) -> (u64, u64, u64) {
    let overlap = |from: u64, to: u64| to.min(span.until.0).saturating_sub(from.max(span.since.0));
    let holds = |at: WallClock| (span.since..span.until).contains(&at);
    let (mut up, mut starts, mut crashes) = (0, 0, 0);
    let mut later: Option<&Run> = None;
    for run in runs {
        if run.started.is_some() {
            starts += u64::from(holds(run.time));
            let to = later.map_or(end, |later| later.time);
            crashes += u64::from(later.is_some_and(|later| later.started.is_some() && holds(later.time)));
            up += overlap(run.time.0, to.0);
        }
        later = Some(run);
    }
    // What is told no more began with a start.
    if let Some(first) = runs.last().filter(|run| run.started.is_none()) {
        up += overlap(0, first.time.0);
    }
    (up, starts, crashes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::Started;

    fn run(time: u64, start: bool) -> Run {
        let started = start.then(|| Started {
            version: String::new(),
            listen: Vec::new(),
            persona: String::new(),
            policy: String::new(),
        });
        Run { seq: time, time: WallClock(time), started, connections: None }
    }

    #[test]
    fn time_up_is_from_starts_to_stops_within_the_span() {
        let span = Span { since: WallClock(100), until: WallClock(200) };
        let runs = [run(190, true), run(150, false), run(120, true), run(110, false), run(50, true)];
        assert_eq!(up(&runs, span, WallClock(500)), (10 + 30 + 10, 2, 0));
    }

    #[test]
    fn a_run_without_a_stop_lasts_until_the_next_start_and_is_counted() {
        let span = Span { since: WallClock(0), until: WallClock(200) };
        assert_eq!(up(&[run(120, true), run(50, true)], span, WallClock(130)), (70 + 10, 2, 1));
        assert_eq!(up(&[run(60, false)], span, WallClock(0)), (60, 0, 0), "its start is not told any more");
        assert_eq!(up(&[], span, WallClock(99)), (0, 0, 0));
    }
}
