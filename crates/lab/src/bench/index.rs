//! (i) the index: how fast it is made from the journal, and how long its questions take.

use super::Args;
use super::place::{cores, pin_self};
use super::table::{Row, median};
use crate::history;
use roridula_desk::incident::{self, Incidents};
use roridula_desk::index::{Filter, Index, IndexError, Kind, Mode, Shapes, SourceOrder, Span, Step};
use roridula_desk::sample::{Catalog, Reports};
use roridula_evidence::SampleId;
use roridula_proto::time::WallClock;
use std::path::Path;
use std::time::Instant;

/// The past that is made where none is given.
const CONNECTIONS: u32 = 100_000;
const INCIDENTS: u32 = 2000;
const SAMPLES: u32 = 500;
/// Microseconds of a day.
const DAY: u64 = 86_400_000_000;
/// Times that a question is asked; the middle one counts.
const ASKED: usize = 5;

/// A question, as a view asks it.
type Question<'a> = (&'static str, Box<dyn Fn(&mut Index) -> Result<(), IndexError> + 'a>);

/// The making of the index, and its questions.
pub fn measure(args: &Args) -> anyhow::Result<Vec<Row>> {
    let folder = tempfile::Builder::new().prefix("roridula-bench-").tempdir()?;
    let made = folder.path().join("data");
    let dir = match &args.history {
        Some(dir) => dir,
        None => {
            let past = history::Args {
                out: made.clone(),
                days: 30,
                connections: CONNECTIONS,
                incidents: INCIDENTS,
                samples: SAMPLES,
                seed: 1,
                triage: false,
            };
            history::write(&past, roridula_evidence::wall_clock())?;
            &made
        }
    };
    // One core: the other one is the visitors'.
    let cores = cores()?;
    pin_self(&cores[..1])?;
    let mut rows = vec![making(args, dir)?];
    rows.extend(asking(dir)?);
    pin_self(&cores)?;
    Ok(rows)
}

fn making(args: &Args, dir: &Path) -> anyhow::Result<Row> {
    let mut rates = Vec::new();
    for turn in 0..args.repeats {
        let begun = Instant::now();
        let mut index = Index::open(dir, Mode::Write)?;
        index.rebuild(&mut |_| ())?;
        let seconds = begun.elapsed().as_secs_f64();
        let events = index.cursor()?;
        eprintln!("i: {} of {}: {events} events in {seconds:.2} s", turn + 1, args.repeats);
        rates.push(events as f64 / seconds);
    }
    let rate = median(&rates);
    Ok(Row::alone(
        "(i) the index made from the journal",
        "one core",
        "events/s",
        rate,
        Some("at least 50000"),
    ))
}

fn milliseconds(ask: &mut dyn FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let mut times = Vec::new();
    for _ in 0..ASKED {
        let begun = Instant::now();
        ask()?;
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    Ok(median(&times))
}

fn asking(dir: &Path) -> anyhow::Result<Vec<Row>> {
    let mut index = Index::open(dir, Mode::Read)?;
    let until = index.status()?.last_event.unwrap_or_default();
    let samples: Vec<SampleId> = index.samples()?.iter().map(|row| row.sha256).collect();
    let halves: Vec<Vec<SampleId>> = samples.chunks(samples.len() / 20 + 1).map(<[_]>::to_vec).collect();
    let mut times: Vec<(f64, String)> = Vec::new();
    let who = questions_of_who_and_what(until, &samples, &halves);
    for (name, question) in questions(until).into_iter().chain(who) {
        let time = milliseconds(&mut || Ok(question(&mut index)?))?;
        times.push((time, name.to_owned()));
    }
    let reports = Reports::open(dir)?;
    let catalog = milliseconds(&mut || Catalog::load(&mut index, &reports).map(drop).map_err(Into::into))?;
    let mut incidents = Incidents::open(dir, None)?;
    let begun = Instant::now();
    incidents.catch_up(&mut |_| ())?;
    eprintln!("i: incidents caught up in {:.1} s", begun.elapsed().as_secs_f64());
    for (name, filter) in incident_filters(until) {
        let time = milliseconds(&mut || incidents.page(&filter, None, 50).map(drop).map_err(Into::into))?;
        times.push((time, name.to_owned()));
    }
    times.sort_by(|one, other| other.0.total_cmp(&one.0));
    for (time, name) in &times {
        eprintln!("i: {time:8.2} ms {name}");
    }
    let home: f64 = times.iter().filter(|(_, name)| name.starts_with("home")).map(|(time, _)| time).sum();
    let (slowest, name) = times.into_iter().next().unwrap_or_default();
    let what = "(i) questions of the index";
    Ok(vec![
        Row::alone(what, "all of Home's", "ms", home, Some("at most 150")),
        Row::alone(what, &format!("the slowest: {name}"), "ms", slowest, Some("at most 300")),
        Row::alone("(i) the catalog of all samples", "", "ms", catalog, Some("at most 1000")),
    ])
}

fn questions<'a>(until: WallClock) -> Vec<Question<'a>> {
    let days = move |days: u64| Span::last(days * DAY, WallClock(until.0 + 1));
    let of = move |step| Filter { step: Some(step), ..Filter::default() };
    let tool = || Filter { tool: Some("wannacry".to_owned()), ..Filter::default() };
    let network = || Filter { source: "0.0.0.0/1".parse().ok(), ..Filter::default() };
    vec![
        ("home: status", Box::new(|index| index.status().map(drop))),
        (
            "home: funnels of 1 h, 24 h, 7 d, 30 d",
            Box::new(move |index| {
                [days(1).since.0 + 23 * DAY / 24, days(1).since.0, days(7).since.0, days(30).since.0]
                    .into_iter()
                    .try_for_each(|since| {
                        index.funnel(&Span { since: WallClock(since), until }.into()).map(drop)
                    })
            }),
        ),
        ("home: health of 24 h", Box::new(move |index| index.health(days(1)).map(drop))),
        ("funnel of all time", Box::new(|index| index.funnel(&Span::ALL.into()).map(drop))),
        ("activity of 30 d", Box::new(move |index| index.activity(days(30), 5).map(drop))),
        ("activity of all time", Box::new(|index| index.activity(Span::ALL, 5).map(drop))),
        ("connections", Box::new(|index| index.connections(&Filter::default(), None, 50).map(drop))),
        (
            "connections that uploaded",
            Box::new(move |index| index.connections(&of(Step::Upload), None, 50).map(drop)),
        ),
        (
            "connections with new samples",
            Box::new(move |index| index.connections(&of(Step::New), None, 50).map(drop)),
        ),
        ("connections of a tool", Box::new(move |index| index.connections(&tool(), None, 50).map(drop))),
        (
            "connections of a tool with new samples",
            Box::new(move |index| {
                index.connections(&Filter { step: Some(Step::New), ..tool() }, None, 50).map(drop)
            }),
        ),
        (
            "connections of half of all networks",
            Box::new(move |index| index.connections(&network(), None, 50).map(drop)),
        ),
        (
            "connections of nobody among all",
            Box::new(move |index| {
                let nobody =
                    Filter { source: "240.0.0.0/4".parse().ok(), step: Some(Step::Negotiate), ..tool() };
                index.connections(&nobody, None, 50).map(drop)
            }),
        ),
    ]
}

fn questions_of_who_and_what<'a>(
    until: WallClock,
    samples: &'a [SampleId],
    sets: &'a [Vec<SampleId>],
) -> Vec<Question<'a>> {
    let days = move |days: u64| Span::last(days * DAY, WallClock(until.0 + 1));
    let within = move |span| Filter { span, ..Filter::default() };
    vec![
        ("visitors of 30 d", Box::new(move |index| index.visitors(&days(30).into()).map(drop))),
        ("spikes of 30 d", Box::new(move |index| index.spikes(&days(30).into(), 100).map(drop))),
        (
            "who sent the most in 30 d",
            Box::new(move |index| index.senders_of_most(&days(30).into(), 10).map(drop)),
        ),
        (
            "sources of 30 d by connections",
            Box::new(move |index| {
                index.sources(&within(days(30)), None, SourceOrder::Connections, None, 100).map(drop)
            }),
        ),
        (
            "new sources of 7 d",
            Box::new(move |index| {
                index.sources(&within(days(7)), Some(true), SourceOrder::Last, None, 100).map(drop)
            }),
        ),
        (
            "sources of all time by captures",
            Box::new(|index| {
                index.sources(&Filter::default(), None, SourceOrder::Uploads, None, 100).map(drop)
            }),
        ),
        ("captures", Box::new(|index| index.captures(&Filter::default(), None, 50).map(drop))),
        (
            "captures of a hundred samples",
            Box::new(move |index| {
                let some = samples.iter().take(100).copied().collect();
                index.captures(&Filter { samples: some, ..Filter::default() }, None, 50).map(drop)
            }),
        ),
        ("senders of all samples", Box::new(move |index| index.senders(samples, None, 50).map(drop))),
        (
            "all samples over 30 d, in twenty sets",
            Box::new(move |index| index.spreads(sets, &days(30).into()).map(drop)),
        ),
        (
            "tools of 30 d",
            Box::new(move |index| index.tools(&Filter { span: days(30), ..Filter::default() }).map(drop)),
        ),
        ("fingerprints", Box::new(|index| index.fingerprints(&Filter::default(), None, 100).map(drop))),
        (
            "unknown",
            Box::new(|index| {
                index
                    .unknown(&Filter::default(), &Shapes { strangers: true, ..Shapes::default() }, None, 100)
                    .map(drop)
            }),
        ),
        ("logons", Box::new(|index| index.logons(&Filter::default(), false, None, 100).map(drop))),
        ("limits of 30 d", Box::new(move |index| index.health_hours(days(30), Kind::Limit).map(drop))),
        ("health of 30 d", Box::new(move |index| index.health(days(30)).map(drop))),
        ("search for an address", Box::new(|index| index.search("198.51", 20).map(drop))),
        ("search for a hash", Box::new(|index| index.search("abc", 20).map(drop))),
    ]
}

fn incident_filters(until: WallClock) -> Vec<(&'static str, incident::Filter)> {
    let all = incident::Filter::default;
    vec![
        ("home: incidents", all()),
        (
            "incidents of 7 d that captured",
            incident::Filter {
                span: Span::last(7 * DAY, until),
                outcome: Some(incident::Outcome::Captured),
                ..all()
            },
        ),
        ("incidents of a technique", incident::Filter { technique: Some("T1210".to_owned()), ..all() }),
        ("incidents with words", incident::Filter { text: Some("no such words".to_owned()), ..all() }),
    ]
}
