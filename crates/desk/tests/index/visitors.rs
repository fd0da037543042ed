//! What is asked of visitors together, and of those who used a tool or brought a sample, against going
//! through all events.

use crate::answers::{spans, world};
use crate::naive::{self, Naive, touches};
use crate::past::HOUR;
use roridula_desk::index::{
    Caught, Exact, Filter, FingerprintRow, Index, LogonRow, Network, ShapeRow, Shapes, SourceOrder, Span,
    Step, ToolRow,
};
use roridula_evidence::SampleId;
use roridula_proto::connection::ConnectionId;
use roridula_proto::event::Event;
use roridula_proto::time::WallClock;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

const MOST: usize = 1000;

#[test]
fn the_new_and_the_returning_are_all_who_were_heard_of() {
    let (_dir, mut index, naive) = world(21);
    for span in spans(21) {
        let visitors = index.visitors(&span.into()).unwrap();
        let activity = index.activity(span, 0).unwrap();
        assert_eq!(visitors.new, activity.new, "{span:?}");
        let came = naive.sources(span);
        // Who was still heard of in the first hour belongs to it as well.
        let heard = naive.visits.values().filter(|visit| touches(span, HOUR, visit.last));
        let heard: BTreeSet<IpAddr> = heard.map(|visit| visit.source).chain(came.iter().copied()).collect();
        let all = (visitors.new + visitors.returning) as usize;
        assert!((came.len()..=heard.len()).contains(&all), "{all} of {}..={}", came.len(), heard.len());
    }
}

#[test]
fn a_spike_is_one_visitor_with_more_than_all_others_in_an_hour() {
    let (_dir, mut index, naive) = world(22);
    let mut seen = 0;
    for span in spans(22) {
        let mut hours: BTreeMap<u64, BTreeMap<IpAddr, u64>> = BTreeMap::new();
        for visit in naive.visits.values().filter(|visit| touches(span, HOUR, visit.opened)) {
            *hours.entry(visit.opened / HOUR).or_default().entry(visit.source).or_default() += 1;
        }
        for least in [1, 3] {
            let mut expected = Vec::new();
            for (hour, sources) in &hours {
                let all: u64 = sources.values().sum();
                let apart = sources.iter().filter(|(_, count)| **count >= least && **count * 2 > all);
                expected.extend(apart.map(|(source, count)| (hour * HOUR, *source, *count)));
            }
            let found = index.spikes(&span.into(), least).unwrap();
            let found: Vec<_> =
                found.iter().map(|spike| (spike.begins.0, spike.source, spike.connections)).collect();
            assert_eq!(found, expected, "{least} {span:?}");
            seen += found.len();
        }
    }
    assert!(seen > 0);
}

#[test]
fn who_brought_the_most_uploads_comes_first() {
    let (_dir, mut index, naive) = world(23);
    for span in spans(23) {
        let mut counts: BTreeMap<IpAddr, u64> = BTreeMap::new();
        let inside = |at: u64| (span.since.0..span.until.0).contains(&at);
        for one in naive.caught.iter().filter(|one| one.payload && inside(one.at)) {
            *counts.entry(one.source).or_default() += 1;
        }
        let found = index.senders_of_most(&span.into(), MOST).unwrap();
        assert!(found.is_sorted_by(|one, next| one.1 >= next.1));
        let found: BTreeMap<IpAddr, u64> =
            found.iter().map(|(row, captures)| (row.source, *captures)).collect();
        assert_eq!(found, counts, "{span:?}");
    }
    assert_eq!(index.senders_of_most(&Span::ALL.into(), 2).unwrap().len(), 2);
}

#[test]
fn what_is_compared_is_counted_to_the_moment() {
    let (_dir, mut index, naive) = world(27);
    let samples: BTreeSet<SampleId> = naive.caught.iter().map(|one| one.sample).collect();
    let every = |nth: usize| samples.iter().step_by(nth).copied().collect();
    // A sample may be in several sets, or in none.
    let sets: [Vec<SampleId>; 4] = [every(2), every(3), Vec::new(), vec![SampleId([7; 32])]];
    let source = naive.caught[0].source;
    for span in spans(27) {
        for only in [None, Some(source)] {
            let filter = Filter { span, source: only.map(Network::from), ..Filter::default() };
            let is_of = |ip: IpAddr| only.is_none_or(|only| only == ip);
            let inside = |at: u64| (span.since.0..span.until.0).contains(&at);
            let fits = |one: &&naive::Caught| inside(one.at) && is_of(one.source);
            let caught = sets.each_ref().map(|set| {
                let of = || naive.caught.iter().filter(fits).filter(|one| set.contains(&one.sample));
                let hosts: BTreeSet<IpAddr> = of().map(|one| one.source).collect();
                let (first, last) = (of().map(|one| one.at).min()?, of().map(|one| one.at).max()?);
                let (first, last) = (WallClock(first), WallClock(last));
                Some(Caught { captures: of().count() as u64, hosts: hosts.len() as u64, first, last })
            });
            assert_eq!(index.caught(&sets, &filter).unwrap(), caught, "{span:?}");
            let mut used: HashMap<String, u64> = HashMap::new();
            let begins = span.since.0 / HOUR * HOUR;
            for visit in naive.visits.values().filter(|visit| is_of(visit.source)) {
                let Some(closed) = visit.closed else { continue };
                for tool in visit.tools.iter().filter(|_| (begins..span.until.0).contains(&closed)) {
                    *used.entry(tool.clone()).or_default() += 1;
                }
            }
            assert_eq!(index.tools_until(&filter).unwrap(), used, "{span:?}");
        }
    }
}

fn sources(index: &mut Index, filter: &Filter) -> BTreeSet<IpAddr> {
    let page = index.sources(filter, None, SourceOrder::Last, None, MOST).unwrap();
    page.rows.iter().map(|row| row.source).collect()
}

#[test]
fn visitors_are_found_by_what_they_used_and_brought() {
    let (_dir, mut index, naive) = world(24);
    let tools = index.tool_names().unwrap();
    let told: BTreeSet<&String> = naive.visits.values().flat_map(|visit| &visit.tools).collect();
    assert_eq!(tools.iter().collect::<BTreeSet<_>>(), told);
    for span in spans(24) {
        let came = naive.sources(span);
        for tool in &tools {
            // A tool is named when a connection ends.
            let used = naive.visits.values().filter(|visit| visit.tools.contains(tool));
            let ended = used.filter(|visit| visit.closed.is_some_and(|at| touches(span, HOUR, at)));
            let expected: BTreeSet<IpAddr> =
                ended.map(|visit| visit.source).filter(|source| came.contains(source)).collect();
            let filter = Filter { span, tool: Some(tool.clone()), ..Filter::default() };
            assert_eq!(sources(&mut index, &filter), expected, "{tool} {span:?}");
        }
    }
    let prints: BTreeSet<&String> = naive.visits.values().map(|visit| &visit.fingerprint).collect();
    for print in prints.into_iter().filter(|print| !print.is_empty()) {
        let had = naive.visits.values().filter(|visit| visit.fingerprint == *print);
        let filter = Filter { fingerprint: Some(print.clone()), ..Filter::default() };
        assert_eq!(sources(&mut index, &filter), had.map(|visit| visit.source).collect());
    }
    let sample = naive.caught[0].sample;
    let brought = naive.caught.iter().filter(|one| one.sample == sample);
    let filter = Filter { brought: Some(vec![sample]), ..Filter::default() };
    assert_eq!(sources(&mut index, &filter), brought.map(|one| one.source).collect());
}

#[test]
fn fingerprints_are_found_by_who_had_them() {
    let (_dir, mut index, naive) = world(25);
    let source = naive.visits.values().find(|visit| !visit.fingerprint.is_empty()).unwrap().source;
    let filter = Filter { source: Some(Network::from(source)), ..Filter::default() };
    let found = index.fingerprints(&filter, None, MOST).unwrap();
    let found: BTreeSet<&String> = found.rows.iter().map(|row| &row.fingerprint).collect();
    let had = naive.of_source(source);
    assert_eq!(found, had.iter().map(|visit| &visit.fingerprint).filter(|print| !print.is_empty()).collect());
}

#[test]
fn what_came_in_a_time_is_told_to_the_moment() {
    let (_dir, mut index, naive) = world(31);
    let one: IpAddr = "198.51.100.1".parse().unwrap();
    let mut odd = 0;
    for span in spans(31).into_iter().chain(spans(32)) {
        let inside = |at: u64| (span.since.0..span.until.0).contains(&at);
        for source in [None, Some(Network::from(one))] {
            let fits = |ip: IpAddr| source.is_none() || ip == one;
            let filter = Filter { source, span, ..Filter::default() };
            let came = naive.visits.values().filter(|visit| visit.steps.contains_key(&Step::Connect));
            let came = came.filter(|visit| inside(visit.opened) && fits(visit.source)).count() as u64;
            let caught: Vec<_> =
                naive.caught.iter().filter(|caught| inside(caught.at) && fits(caught.source)).collect();
            let uploads = caught.iter().filter(|caught| caught.payload);
            let new = uploads.clone().filter(|caught| caught.first_seen);
            let exact = index.exact(&filter).unwrap();
            let expected = Exact {
                connections: came,
                uploads: uploads.count() as u64,
                new_samples: new.clone().count() as u64,
            };
            assert_eq!(exact, expected, "{filter:?}");
            odd += u64::from(index.funnel(&filter).unwrap().total.connections != came);
            let samples: HashSet<SampleId> = caught.iter().map(|caught| caught.sample).collect();
            assert_eq!(index.samples_of(&filter).unwrap(), samples, "{filter:?}");
            let of_new = Filter { step: Some(Step::New), ..filter };
            let told = index.exact(&of_new).unwrap();
            assert_eq!((told.uploads, told.new_samples), (expected.new_samples, expected.new_samples));
            assert_eq!(index.samples_of(&of_new).unwrap(), new.map(|caught| caught.sample).collect());
        }
    }
    assert!(odd > 0, "whole hours count others");
}

#[test]
fn what_was_said_used_and_not_understood_is_found_by_who_did_it() {
    let (_dir, mut index, naive) = world(26);
    let sample = naive.caught[0].sample;
    let brought = naive.caught.iter().filter(|one| one.sample == sample).map(|one| one.source).collect();
    let exploited = naive.visits.values().filter(|visit| visit.steps.contains_key(&Step::Exploit));
    let tool = index.tool_names().unwrap().remove(0);
    let used = naive.visits.values().filter(|visit| visit.tools.contains(&tool));
    let all = |filter: Filter, sources: BTreeSet<IpAddr>| (filter, sources);
    for (filter, sources) in [
        all(Filter { brought: Some(vec![sample]), ..Filter::default() }, brought),
        all(Filter { brought: Some(Vec::new()), ..Filter::default() }, BTreeSet::new()),
        all(
            Filter { step: Some(Step::Exploit), ..Filter::default() },
            exploited.map(|visit| visit.source).collect(),
        ),
        all(
            Filter { tool: Some(tool.clone()), ..Filter::default() },
            used.map(|visit| visit.source).collect(),
        ),
    ] {
        let total = index.funnel(&filter).unwrap().total;
        assert_eq!(total, naive.counts(Span::ALL, HOUR, |ip| sources.contains(&ip)), "{filter:?}");
        let visitors = index.visitors(&filter).unwrap();
        let came = naive.sources(Span::ALL).intersection(&sources).count() as u64;
        assert_eq!(visitors.new + visitors.returning, came, "{filter:?}");
        let caught = naive.caught.iter().filter(|one| sources.contains(&one.source));
        let spread = index.spreads(&[vec![sample]], &filter).unwrap().remove(0);
        assert_eq!(spread.captures, caught.clone().filter(|one| one.sample == sample).count() as u64);
        let senders = index.senders_of_most(&filter, MOST).unwrap();
        let sent: u64 = senders.iter().map(|(_, captures)| captures).sum();
        assert_eq!(sent, caught.filter(|one| one.payload).count() as u64, "{filter:?}");
        let spikes = index.spikes(&filter, 1).unwrap();
        assert!(spikes.iter().all(|spike| sources.contains(&spike.source)));
        let logons = index.logons(&filter, false, None, MOST).unwrap().rows.len();
        assert_eq!(logons, of(&naive, &sources, logon).len(), "{filter:?}");
        let shapes = index.unknown(&filter, &Shapes::default(), None, MOST).unwrap().rows;
        for row in &shapes {
            let fits = |name: &String| {
                let connection: ConnectionId = name.parse().unwrap();
                sources.contains(&naive.visits[&connection.0].source)
            };
            assert!(row.examples.iter().all(fits) && row.examples.contains(&row.latest.to_string()));
            let few = row.connections.min(row.sources).min(5) as usize;
            assert!(row.examples.len() >= few && row.examples.len() <= 5, "{row:?}");
        }
        let shapes: BTreeSet<String> = shapes.into_iter().map(|row| row.shape).collect();
        assert_eq!(shapes, of(&naive, &sources, shape), "{filter:?}");
        if filter.tool.is_none() {
            let prints = index.fingerprints(&filter, None, MOST).unwrap().rows;
            let prints: BTreeSet<String> = prints.into_iter().map(|row| row.fingerprint).collect();
            assert_eq!(prints, of(&naive, &sources, print), "{filter:?}");
            let tools = index.tools(&filter).unwrap();
            let named = naive.visits.values().filter(|visit| sources.contains(&visit.source));
            let told: BTreeSet<&String> = named.flat_map(|visit| &visit.tools).collect();
            assert_eq!(tools.iter().map(|row| &row.tool).collect::<BTreeSet<_>>(), told, "{filter:?}");
        }
    }
}

/// How often, first, last, hosts.
type Sum = (u64, u64, u64, BTreeSet<IpAddr>);

/// What the visitors of `of` said of a kind of thing in the hours of a span, summed up.
fn sums(
    naive: &Naive,
    span: Span,
    of: Option<IpAddr>,
    told: fn(&Event) -> Vec<String>,
) -> BTreeMap<String, Sum> {
    let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
    for event in naive.events.iter().filter(|event| touches(span, HOUR, event.time.0)) {
        let Some(source) = event.source.map(|source| source.ip().to_canonical()) else { continue };
        for name in told(&event.event).into_iter().filter(|_| of.is_none_or(|of| of == source)) {
            let sum = sums.entry(name).or_insert((0, u64::MAX, 0, BTreeSet::new()));
            sum.0 += 1;
            sum.1 = sum.1.min(event.time.0);
            sum.2 = sum.2.max(event.time.0);
            sum.3.insert(source);
        }
    }
    sums
}

#[test]
fn every_number_is_of_the_time_and_the_visitors_that_are_asked_for() {
    let (_dir, mut index, naive) = world(27);
    let one = naive.visits.values().find(|visit| !visit.tools.is_empty()).unwrap().source;
    let mut seen = 0;
    for (span, of) in spans(27).into_iter().flat_map(|span| [(span, None), (span, Some(one))]) {
        let filter = Filter { span, source: of.map(Network::from), ..Filter::default() };
        let mut check = |told: fn(&Event) -> Vec<String>, rows: Vec<(String, u64, [WallClock; 2], u64)>| {
            let found: BTreeMap<String, _> = rows
                .into_iter()
                .map(|(name, count, [first, last], hosts)| (name, (count, first.0, last.0, hosts)))
                .collect();
            let expected = sums(&naive, span, of, told);
            seen += expected.len();
            let expected =
                expected.into_iter().map(|(name, sum)| (name, (sum.0, sum.1, sum.2, sum.3.len() as u64)));
            assert_eq!(found, expected.collect(), "{filter:?}");
        };
        let rows = index.fingerprints(&filter, None, MOST).unwrap().rows;
        assert!(rows.is_sorted_by(|one, next| one.connections >= next.connections));
        let row =
            |row: FingerprintRow| (row.fingerprint, row.connections, [row.first, row.last], row.sources);
        check(|event| print(event).into_iter().collect(), rows.into_iter().map(row).collect());
        let rows = index.tools(&filter).unwrap();
        let row = |row: ToolRow| (row.tool, row.connections, [row.first, row.last], row.sources);
        check(tools, rows.into_iter().map(row).collect());
        let rows = index.logons(&filter, false, None, MOST).unwrap().rows;
        let row = |row: LogonRow| {
            let name = format!("{} {} {}", row.method, row.account, row.workstation);
            (name, row.count, [row.first, row.last], row.sources)
        };
        check(|event| logon(event).into_iter().collect(), rows.into_iter().map(row).collect());
        let rows = index.unknown(&filter, &Shapes::default(), None, MOST).unwrap().rows;
        for row in &rows {
            let latest = naive.visits.get(&row.latest.0).unwrap();
            assert!(of.is_none_or(|of| of == latest.source) && latest.closed.is_some(), "{row:?}");
            let ever = sums(&naive, Span::ALL, None, |event| shape(event).into_iter().collect());
            assert_eq!(row.new, ever[&row.shape].1 >= span.since.0 / HOUR * HOUR);
        }
        let row = |row: ShapeRow| (row.shape, row.connections, [row.first, row.last], row.sources);
        check(|event| shape(event).into_iter().collect(), rows.into_iter().map(row).collect());
    }
    assert!(seen > 50, "{seen}");
}

/// What `told` reads from the events of some visitors.
fn of(
    naive: &Naive,
    sources: &BTreeSet<IpAddr>,
    told: impl Fn(&Event) -> Option<String>,
) -> BTreeSet<String> {
    let theirs = naive
        .events
        .iter()
        .filter(|event| event.source.is_some_and(|source| sources.contains(&source.ip().to_canonical())));
    theirs.filter_map(|event| told(&event.event)).collect()
}

fn logon(event: &Event) -> Option<String> {
    let Event::Smb1Session { method, account, workstation, .. } = event else { return None };
    Some(format!("{method} {} {}", account.0, workstation.0))
}

fn shape(event: &Event) -> Option<String> {
    let Event::ClientFingerprint { shape, recognised, .. } = event else { return None };
    recognised.is_empty().then(|| shape.clone())
}

fn tools(event: &Event) -> Vec<String> {
    let Event::ClientFingerprint { tools, .. } = event else { return Vec::new() };
    tools.clone()
}

fn print(event: &Event) -> Option<String> {
    let Event::ClientFingerprint { fingerprint, .. } = event else { return None };
    Some(fingerprint.clone())
}
