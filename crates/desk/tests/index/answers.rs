//! Every answer of the index against going through all events.

use crate::naive::{Naive, touches};
use crate::past::{BEGIN, Chance, DAY, HOUR, SECOND, open, perform, sample};
use roridula_desk::index::{
    Filter, Hit, Index, Kind, LogonRow, Mode, Network, Page, Shapes, SourceOrder, Span, Step,
};
use roridula_evidence::SampleId;
use roridula_proto::connection::ConnectionId;
use roridula_proto::event::{Event, UploadState};
use roridula_proto::time::WallClock;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// A past of 600 visits, its index, and the events themselves.
pub(crate) fn world(seed: u64) -> (tempfile::TempDir, Index, Naive) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    perform(&store, seed, 600);
    let mut index = Index::open(dir.path(), Mode::Write).unwrap();
    index.catch_up(&mut |_| ()).unwrap();
    let naive = Naive::of(dir.path());
    (dir, index, naive)
}

pub(crate) fn spans(seed: u64) -> Vec<Span> {
    let mut chance = Chance(seed);
    let mut spans =
        vec![Span::ALL, Span::last(0, WallClock(BEGIN)), Span::last(HOUR, WallClock(BEGIN + HOUR))];
    for length in [2 * HOUR, DAY, 7 * DAY, 20 * DAY, 50 * DAY] {
        let since = BEGIN - DAY + chance.below(30 * DAY);
        spans.push(Span { since: WallClock(since), until: WallClock(since + chance.below(length) + SECOND) });
    }
    spans
}

/// All rows, page by page.
fn all<T>(limit: usize, mut page: impl FnMut(Option<&str>, usize) -> Page<T>) -> Vec<T> {
    let (mut rows, mut cursor) = (Vec::new(), None);
    loop {
        let next = page(cursor.as_deref(), limit);
        assert!(next.rows.len() <= limit);
        rows.extend(next.rows);
        cursor = next.next;
        if cursor.is_none() {
            return rows;
        }
    }
}

#[test]
fn the_funnel_is_what_happened_in_the_intervals_that_a_span_touches() {
    let (_dir, mut index, naive) = world(1);
    let network: Network = "198.51.100.0/24".parse().unwrap();
    let in_network = |ip: IpAddr| ip.to_string().starts_with("198.51.100.");
    let mut widths = BTreeSet::new();
    for span in spans(1) {
        for of in [None, Some(network)] {
            let funnel = index.funnel(&Filter { span, source: of, ..Filter::default() }).unwrap();
            widths.insert(funnel.width);
            let unit = funnel.width.min(HOUR);
            let fits = |ip| of.is_none() || in_network(ip);
            assert_eq!(funnel.total, naive.counts(span, unit, fits), "{span:?} {of:?}");
            assert!(funnel.buckets.is_sorted_by(|one, next| one.begins < next.begins));
            for bucket in &funnel.buckets {
                let (begins, ends) = (bucket.begins.0, bucket.begins.0 + funnel.width);
                let part = |at| touches(span, unit, at) && (begins..ends).contains(&at);
                let connections =
                    naive.visits.values().filter(|visit| part(visit.opened) && fits(visit.source));
                assert_eq!(bucket.counts.connections, connections.count() as u64);
            }
        }
    }
    assert_eq!(widths, BTreeSet::from([60 * SECOND, HOUR, DAY]), "every width is tried");
    let total = index.funnel(&Span::ALL.into()).unwrap().total;
    assert!(total.completes > 0 && total.new_samples > 0 && total.new_samples < total.uploads, "{total:?}");
}

#[test]
fn connections_are_found_by_any_filter_and_paged_without_a_gap() {
    let (_dir, mut index, naive) = world(2);
    let networks =
        [None, Some("198.51.100.1"), Some("198.51.0.0/16"), Some("2001:db8::/32"), Some("10.0.0.0/8")];
    let mut found = BTreeSet::new();
    for (n, span) in spans(2).into_iter().enumerate() {
        for (m, network) in networks.into_iter().enumerate() {
            for step in [None, Some(Step::Negotiate), Some(Step::Upload), Some(Step::New)] {
                for tool in [None, Some("wannacry"), Some("nobody")] {
                    let print = naive.visits.values().map(|visit| &visit.fingerprint).nth(n * 7 + m);
                    let filter = Filter {
                        span,
                        source: network.map(|network| network.parse().unwrap()),
                        step,
                        tool: tool.map(str::to_owned),
                        fingerprint: print.filter(|print| !print.is_empty() && m % 2 == 1).cloned(),
                        ..Filter::default()
                    };
                    let fits = |ip: IpAddr| match network {
                        Some("198.51.0.0/16") => ip.is_ipv4(),
                        Some("2001:db8::/32") => ip.is_ipv6(),
                        Some(one) => ip.to_string() == one,
                        None => true,
                    };
                    let rows =
                        all(1 + n * 9, |cursor, limit| index.connections(&filter, cursor, limit).unwrap());
                    let ids: Vec<u64> = rows.iter().map(|row| row.connection.0).collect();
                    assert_eq!(ids, naive.connections(&filter, fits), "{filter:?}");
                    found.insert(ids.len().min(3));
                }
            }
        }
    }
    assert_eq!(found, BTreeSet::from([0, 1, 2, 3]), "filters find none, some and many");
}

#[test]
fn a_connections_row_says_what_its_events_said() {
    let (_dir, mut index, naive) = world(3);
    for visit in naive.visits.values() {
        let row = index.connection(ConnectionId(visit.id)).unwrap().unwrap();
        assert_eq!((row.opened.0, row.closed.map(|at| at.0)), (visit.opened, visit.closed));
        assert_eq!((row.source, row.bytes_in, row.bytes_out), (visit.source, visit.bytes.0, visit.bytes.1));
        assert_eq!(row.steps, visit.steps.keys().copied().collect::<Vec<_>>());
        assert_eq!(Some(&row.furthest), visit.steps.keys().next_back());
        assert_eq!((row.events, row.captures), (visit.events, visit.captures));
        assert_eq!((&row.fingerprint, &row.tools), (&visit.fingerprint, &visit.tools));
        assert_eq!(row.reason.is_empty(), visit.closed.is_none());
        assert_eq!((row.destination.port(), row.source_port > 1023), (445, true));
    }
    assert_eq!(index.connection(ConnectionId(1)).unwrap(), None);
}

#[test]
fn visitors_are_new_or_return_in_any_order() {
    let (_dir, mut index, naive) = world(4);
    for span in spans(4) {
        let filter = Filter { span, ..Filter::default() };
        for order in [SourceOrder::Last, SourceOrder::First, SourceOrder::Connections, SourceOrder::Uploads] {
            let rows = all(7, |cursor, limit| index.sources(&filter, None, order, cursor, limit).unwrap());
            let ips: BTreeSet<IpAddr> = rows.iter().map(|row| row.source).collect();
            assert_eq!((ips.len(), &ips), (rows.len(), &naive.sources(span)), "{span:?} {order:?}");
            let is_all = span == Span::ALL;
            let key = |row: &roridula_desk::index::SourceRow| match order {
                SourceOrder::Last => row.last.0,
                SourceOrder::First => row.first.0,
                SourceOrder::Connections if is_all => row.connections,
                SourceOrder::Connections => row.counts.connections,
                SourceOrder::Uploads if is_all => row.uploads,
                SourceOrder::Uploads => row.counts.uploads,
            };
            assert!(rows.is_sorted_by(|one, next| key(one) >= key(next)), "{order:?}");
        }
        let rows =
            all(50, |cursor, limit| index.sources(&filter, None, SourceOrder::Last, cursor, limit).unwrap());
        for row in &rows {
            let visits = naive.of_source(row.source);
            let days: BTreeSet<u64> = visits.iter().map(|visit| visit.opened / DAY).collect();
            let first = visits.iter().map(|visit| visit.opened).min().unwrap();
            assert_eq!((row.first.0, row.days), (first, days.len() as u64));
            assert_eq!(row.last.0, visits.iter().map(|visit| visit.last).max().unwrap());
            assert_eq!(row.connections, visits.len() as u64);
            assert_eq!(row.captures, visits.iter().map(|visit| visit.captures).sum::<u64>());
            assert_eq!(row.counts, naive.counts(span, HOUR, |ip| ip == row.source));
            assert_eq!(row.new, touches(span, HOUR, first));
            assert_eq!(index.source(row.source, span).unwrap().as_ref(), Some(row));
        }
        for new in [true, false] {
            let some = all(9, |cursor, limit| {
                index.sources(&filter, Some(new), SourceOrder::First, cursor, limit).unwrap()
            });
            let expected = rows.iter().filter(|row| row.new == new).count();
            assert_eq!(some.len(), expected, "{new} {span:?}");
        }
    }
}

#[test]
fn activity_tells_the_largest_visitors_apart() {
    let (_dir, mut index, naive) = world(5);
    for span in spans(5) {
        let activity = index.activity(span, 2).unwrap();
        let buckets = activity.begins.len();
        assert_eq!((activity.rest.len(), activity.sources.len()), (buckets, buckets));
        let came = naive.sources(span);
        assert_eq!(activity.new + activity.returning, came.len() as u64, "{span:?}");
        let total = |ip: IpAddr| naive.counts(span, HOUR, |one| one == ip).connections;
        let mut totals: Vec<u64> = came.iter().map(|ip| total(*ip)).collect();
        totals.sort_unstable_by_key(|total| std::cmp::Reverse(*total));
        let largest: Vec<u64> = activity.largest.iter().map(|one| one.total).collect();
        assert_eq!(largest, totals.iter().copied().take(2).collect::<Vec<_>>());
        for one in &activity.largest {
            assert_eq!((one.total, one.connections.iter().sum()), (total(one.source), one.total));
        }
        let all: u64 = activity.rest.iter().sum::<u64>() + largest.iter().sum::<u64>();
        assert_eq!(all, totals.iter().sum::<u64>());
        for (at, begins) in activity.begins.iter().enumerate() {
            let ends = begins.0 + activity.width;
            let here = naive.visits.values().filter(|visit| {
                touches(span, HOUR, visit.opened) && (begins.0..ends).contains(&visit.opened)
            });
            let sources: BTreeSet<IpAddr> = here.map(|visit| visit.source).collect();
            assert_eq!(activity.sources[at], sources.len() as u64);
        }
    }
}

#[test]
fn captures_samples_and_their_senders_are_counted_once() {
    let (_dir, mut index, naive) = world(6);
    for span in spans(6) {
        for (source, of) in [(None, vec![]), (None, vec![1, 2, 99]), (Some("198.51.0.0/16"), vec![3, 4])] {
            for payloads in [false, true] {
                let samples: Vec<SampleId> = of.iter().map(|n| sample(*n)).collect();
                let filter = Filter {
                    span,
                    source: source.map(|source: &str| source.parse().unwrap()),
                    samples: samples.clone(),
                    payloads,
                    ..Filter::default()
                };
                let rows = all(11, |cursor, limit| index.captures(&filter, cursor, limit).unwrap());
                let mut expected: Vec<(u64, u64, SampleId, IpAddr, u64, bool)> = naive
                    .caught
                    .iter()
                    .filter(|one| (span.since.0..span.until.0).contains(&one.at))
                    .filter(|one| source.is_none() || one.source.is_ipv4())
                    .filter(|one| samples.is_empty() || samples.contains(&one.sample))
                    .filter(|one| one.payload || !payloads)
                    .map(|one| (one.at, one.seq, one.sample, one.source, one.connection, one.first_seen))
                    .collect();
                expected.sort_unstable();
                expected.reverse();
                let found: Vec<_> = rows
                    .iter()
                    .map(|row| {
                        (row.time.0, row.seq, row.sha256, row.source, row.connection.0, row.first_seen)
                    })
                    .collect();
                assert_eq!(found, expected, "{filter:?}");
            }
        }
        let set = [sample(1), sample(2), sample(5)];
        let spread = index.spreads(&[set.to_vec()], &span.into()).unwrap().remove(0);
        let days = naive.days(&set, span);
        let found: Vec<_> = spread.days.iter().map(|day| (day.begins.0, day.captures, day.sources)).collect();
        let expected: Vec<_> =
            days.iter().map(|(at, (captures, sources))| (*at, *captures, sources.len() as u64)).collect();
        assert_eq!(found, expected);
        let sources: BTreeSet<&IpAddr> = days.values().flat_map(|(_, sources)| sources).collect();
        assert_eq!(spread.sources, sources.len() as u64);
        assert_eq!(index.spreads(&[set.to_vec(), vec![]], &span.into()).unwrap()[0], spread);
    }
    let set = [sample(1), sample(2), sample(1)];
    let senders = all(3, |cursor, limit| index.senders(&set, cursor, limit).unwrap());
    assert!(senders.is_sorted_by(|one, next| one.last >= next.last));
    let mut expected: BTreeMap<IpAddr, u64> = BTreeMap::new();
    for one in naive.caught.iter().filter(|one| set.contains(&one.sample)) {
        *expected.entry(one.source).or_default() += 1;
    }
    let found: BTreeMap<IpAddr, u64> = senders.iter().map(|one| (one.source, one.captures)).collect();
    assert_eq!((found.len(), &found), (senders.len(), &expected));
}

#[test]
fn a_sample_shows_its_best_capture_and_what_triage_said_last() {
    let (_dir, mut index, naive) = world(7);
    let rows = index.samples().unwrap();
    let names: BTreeSet<SampleId> = naive.caught.iter().map(|one| one.sample).collect();
    assert_eq!(rows.iter().map(|row| row.sha256).collect::<BTreeSet<_>>(), names);
    let mut triaged = 0;
    for row in &rows {
        let caught: Vec<_> = naive.caught.iter().filter(|one| one.sample == row.sha256).collect();
        let sources: BTreeSet<IpAddr> = caught.iter().map(|one| one.source).collect();
        assert_eq!((row.captures, row.sources), (caught.len() as u64, sources.len() as u64));
        assert_eq!(row.first.0, caught.iter().map(|one| one.at).min().unwrap());
        assert_eq!(row.last.0, caught.iter().map(|one| one.at).max().unwrap());
        let connection = caught.iter().map(|one| one.connection).min().unwrap();
        assert_eq!(row.tools, naive.visits[&connection].tools);
        let of_it = |event: &&Event| match event {
            Event::SampleCaptured { sha256, .. } => *sha256 == row.sha256.to_string(),
            _ => false,
        };
        let captured: Vec<&Event> = naive.events.iter().map(|event| &event.event).filter(of_it).collect();
        let complete =
            |event: &&&Event| matches!(event, Event::SampleCaptured { state: UploadState::Complete, .. });
        let best = captured.iter().find(complete).or(captured.first()).unwrap();
        let Event::SampleCaptured { md5, sha1, size, state, origin, total, ranges, .. } = best else {
            panic!()
        };
        assert_eq!((&row.md5, &row.sha1, row.size), (md5, sha1, *size));
        assert_eq!((row.state.as_str(), row.origin.as_str()), (state.as_str(), origin.as_str()));
        assert_eq!((row.total, &row.ranges), (*total, ranges));
        // What was said before the first capture is of nobody's sample.
        let from = caught.iter().map(|one| one.seq).min().unwrap();
        let said = naive.events.iter().rev().find_map(|event| match &event.event {
            Event::SampleTriaged { sha256, family, error, layers, .. }
                if *sha256 == row.sha256.to_string() =>
            {
                Some((event.seq, family, error, layers))
            }
            _ => None,
        });
        let said = said.filter(|(seq, ..)| *seq > from);
        assert_eq!(row.triaged, said.is_some());
        if let Some((_, family, error, layers)) = said {
            triaged += 1;
            assert_eq!((&row.family, &row.triage_error, &row.layers), (family, error, layers));
        }
        assert_eq!(index.sample(row.sha256).unwrap().as_ref(), Some(row));
    }
    assert!(triaged > 3, "{triaged}");
    let sets = names.iter().map(|id| (*id, usize::from(id.0[0] % 2))).collect();
    let hosts = index.hosts(&sets).unwrap();
    for set in [0, 1] {
        let sources: BTreeSet<IpAddr> =
            naive.caught.iter().filter(|one| sets[&one.sample] == set).map(|one| one.source).collect();
        assert_eq!(hosts.get(&set).copied().unwrap_or(0), sources.len() as u64);
    }
}

/// What all fingerprints said, in order: connection, time, source, event.
fn prints(naive: &Naive) -> Vec<(u64, IpAddr, &Event)> {
    let print =
        |event: &&roridula_evidence::Published| matches!(event.event, Event::ClientFingerprint { .. });
    let told =
        |event: &'_ roridula_evidence::Published| (event.time.0, event.source.unwrap().ip().to_canonical());
    naive.events.iter().filter(print).map(|event| (told(event).0, told(event).1, &event.event)).collect()
}

#[test]
fn tools_and_fingerprints_are_counted_with_their_hosts() {
    let (_dir, mut index, naive) = world(8);
    for span in spans(8) {
        let mut expected: BTreeMap<String, (u64, BTreeSet<IpAddr>)> = BTreeMap::new();
        for (at, source, event) in prints(&naive) {
            let Event::ClientFingerprint { tools, .. } = event else { panic!() };
            for tool in tools.iter().filter(|_| touches(span, HOUR, at)) {
                let sum = expected.entry(tool.clone()).or_default();
                sum.0 += 1;
                sum.1.insert(source);
            }
        }
        let found = index.tools(&Filter { span, ..Filter::default() }).unwrap();
        assert!(found.is_sorted_by(|one, next| one.connections >= next.connections));
        assert_eq!(found.len(), expected.len());
        for row in found {
            let (connections, sources) = &expected[&row.tool];
            assert_eq!((row.connections, row.sources), (*connections, sources.len() as u64));
        }
    }
    let rows = all(3, |cursor, limit| index.fingerprints(&Filter::default(), cursor, limit).unwrap());
    assert_eq!(rows.len(), 8);
    for row in &rows {
        let of_it = prints(&naive).into_iter().filter(
            |(.., event)| matches!(event, Event::ClientFingerprint { fingerprint, .. } if *fingerprint == row.fingerprint),
        );
        let of_it: Vec<_> = of_it.collect();
        let sources: BTreeSet<IpAddr> = of_it.iter().map(|(_, source, _)| *source).collect();
        assert_eq!((row.connections, row.sources), (of_it.len() as u64, sources.len() as u64));
        let Event::ClientFingerprint { features, tools, grounds, shape, recognised, .. } = of_it[0].2 else {
            panic!()
        };
        assert_eq!((&row.features, &row.tools, &row.grounds), (features, tools, grounds));
        assert_eq!((&row.shape, &row.recognised), (shape, recognised));
        assert_eq!(index.fingerprint(&row.fingerprint).unwrap().as_ref(), Some(row));
        assert!(index.fingerprints_of_shape(shape, 9).unwrap().contains(row));
    }
    let filter = Filter { tool: Some("wannacry".to_owned()), ..Filter::default() };
    let named = index.fingerprints(&filter, None, 50).unwrap().rows;
    let expected = rows.iter().filter(|row| row.tools.contains(&"wannacry".to_owned())).count();
    assert!(expected > 0 && named.len() == expected);
}

#[test]
fn what_nobody_knows_is_put_together_by_shape() {
    let (_dir, mut index, naive) = world(9);
    for strangers in [false, true] {
        let mut expected: BTreeMap<String, (u64, BTreeSet<IpAddr>, BTreeSet<String>)> = BTreeMap::new();
        for (_, source, event) in prints(&naive) {
            let Event::ClientFingerprint { shape, tools, recognised, .. } = event else { panic!() };
            if recognised.is_empty() && (!strangers || tools.is_empty()) {
                let sum = expected.entry(shape.clone()).or_default();
                sum.0 += 1;
                sum.1.insert(source);
                sum.2.extend(tools.iter().cloned());
            }
        }
        let (all_time, shapes) = (Filter::default(), Shapes { strangers, ..Shapes::default() });
        let rows = all(1, |cursor, limit| index.unknown(&all_time, &shapes, cursor, limit).unwrap());
        assert!(rows.is_sorted_by(|one, next| one.connections >= next.connections));
        assert_eq!(rows.len(), expected.len());
        for row in &rows {
            let (connections, sources, tools) = &expected[&row.shape];
            assert_eq!((row.connections, row.sources), (*connections, sources.len() as u64), "{strangers}");
            assert_eq!(row.tools.iter().cloned().collect::<BTreeSet<_>>(), *tools);
            assert_eq!(row.examples.len(), 5);
            let one =
                index.unknown(&all_time, &Shapes { only: Some(&row.shape), ..shapes }, None, 9).unwrap();
            assert_eq!(one.rows, std::slice::from_ref(row));
        }
        let latest = all(1, |cursor, limit| {
            index.unknown(&all_time, &Shapes { latest: true, ..shapes }, cursor, limit).unwrap()
        });
        assert!(latest.len() == rows.len() && latest.is_sorted_by(|one, next| one.last >= next.last));
        assert!(latest.iter().all(|row| rows.contains(row)));
    }
}

#[test]
fn logons_that_said_the_same_are_one_row() {
    let (_dir, mut index, naive) = world(10);
    // Method, account, workstation: how often, from where, the latest answer.
    type Sum = (u64, BTreeSet<IpAddr>, String);
    let mut expected: BTreeMap<(String, String, String), Sum> = BTreeMap::new();
    for event in &naive.events {
        if let Event::Smb1Session { method, account, workstation, response, .. } = &event.event {
            let key = (method.clone(), account.0.clone(), workstation.0.clone());
            let sum = expected.entry(key).or_default();
            sum.0 += 1;
            sum.1.insert(event.source.unwrap().ip().to_canonical());
            if !response.is_empty() {
                sum.2.clone_from(response);
            }
        }
    }
    let rows = all(2, |cursor, limit| index.logons(&Filter::default(), false, cursor, limit).unwrap());
    assert!(rows.is_sorted_by(|one, next| one.count >= next.count));
    assert_eq!(rows.len(), expected.len());
    for row in &rows {
        let key = (row.method.clone(), row.account.clone(), row.workstation.clone());
        let (count, sources, response) = &expected[&key];
        assert_eq!((row.count, row.sources, &row.response), (*count, sources.len() as u64, response));
    }
    let accounts = index.logons(&Filter::default(), true, None, 100).unwrap().rows;
    assert_eq!(accounts.len(), rows.iter().filter(|row| !row.account.is_empty()).count());
    let one = Filter { source: Some("198.51.100.1".parse().unwrap()), ..Filter::default() };
    let of_one = index.logons(&one, false, None, 100).unwrap().rows;
    let ip: IpAddr = "198.51.100.1".parse().unwrap();
    assert_eq!(of_one.len(), expected.values().filter(|(_, sources, _)| sources.contains(&ip)).count());
    let mut others = 0;
    for row in &of_one {
        let mut own = String::new();
        for event in naive.events.iter().filter(|event| event.source.is_some_and(|from| from.ip() == ip)) {
            if let Event::Smb1Session { method, account, workstation, response, .. } = &event.event
                && (method, &account.0, &workstation.0) == (&row.method, &row.account, &row.workstation)
                && !response.is_empty()
            {
                own.clone_from(response);
            }
        }
        assert_eq!(row.response, own, "a hash is the one of who is asked for");
        let key = (row.method.clone(), row.account.clone(), row.workstation.clone());
        others += usize::from(expected[&key].2 != own);
    }
    assert!(others > 0, "another visitor offered another one later");
}

#[test]
fn a_hash_is_one_that_was_offered_in_the_hours_that_are_asked_for() {
    let (_dir, mut index, naive) = world(12);
    let latest = index.logons(&Filter::default(), false, None, 100).unwrap().rows;
    let mut others = 0;
    for span in spans(12) {
        for row in index.logons(&span.into(), false, None, 100).unwrap().rows {
            let mut offered = String::new();
            for event in naive.events.iter().filter(|event| touches(span, HOUR, event.time.0)) {
                if let Event::Smb1Session { method, account, workstation, response, .. } = &event.event
                    && (method, &account.0, &workstation.0) == (&row.method, &row.account, &row.workstation)
                    && !response.is_empty()
                {
                    offered.clone_from(response);
                }
            }
            assert_eq!(row.response, offered, "{span:?}");
            let same = |of: &&LogonRow| {
                (&of.method, &of.account, &of.workstation) == (&row.method, &row.account, &row.workstation)
            };
            others += usize::from(latest.iter().find(same).unwrap().response != row.response);
        }
    }
    assert!(others > 0, "some offered another one later");
}

#[test]
fn health_counts_limits_refusals_and_faults_by_name() {
    let (_dir, mut index, naive) = world(11);
    for span in spans(11) {
        let mut expected: BTreeMap<(Kind, String), u64> = BTreeMap::new();
        for event in naive.events.iter().filter(|event| touches(span, HOUR, event.time.0)) {
            let mut add =
                |kind, name: &str, count| *expected.entry((kind, name.to_owned())).or_default() += count;
            add(Kind::Event, event.event.id(), 1);
            match &event.event {
                Event::ConnectionRefused { limit, count } => add(Kind::Refused, limit, *count),
                Event::LimitReached { limit, .. } => add(Kind::Limit, limit, 1),
                Event::MessageMalformed { what, .. } => add(Kind::Malformed, what, 1),
                Event::UploadOddity { what, .. } => add(Kind::Oddity, what, 1),
                Event::CaptureFailed { bytes_lost, .. } => add(Kind::Fault, "capture.failed", *bytes_lost),
                Event::SampleTriaged { error, .. } if !error.is_empty() => add(Kind::Fault, "triage", 1),
                Event::ConnectionClosed { reason, events_dropped, .. } => {
                    if reason.as_str() == "fault" {
                        add(Kind::Fault, "connection", 1);
                    }
                    if *events_dropped > 0 {
                        add(Kind::Fault, "events-dropped", *events_dropped);
                    }
                }
                _ => {}
            }
        }
        let totals = index.health(span).unwrap();
        let found: BTreeMap<_, _> =
            totals.iter().map(|total| ((total.kind, total.name.clone()), total.count)).collect();
        assert_eq!(found, expected);
        let mut hours: BTreeMap<(Kind, String), u64> = BTreeMap::new();
        for row in Kind::ALL.iter().flat_map(|kind| index.health_hours(span, *kind).unwrap()) {
            *hours.entry((row.kind, row.name)).or_default() += row.count;
        }
        assert_eq!(hours, expected);
    }
}

#[test]
fn status_says_what_was_heard_last() {
    let (_dir, mut index, naive) = world(12);
    let status = index.status().unwrap();
    let last = naive.events.last().unwrap();
    assert_eq!((status.cursor, status.journal), (last.seq, last.seq));
    assert_eq!(status.last_event, naive.events.iter().map(|event| event.time).max());
    let latest = naive.visits.values().max_by_key(|visit| (visit.opened, visit.id)).unwrap();
    assert_eq!(status.last_visitor.unwrap().connection.0, latest.id);
    assert_eq!((status.connections, status.captures), (naive.visits.len() as u64, naive.caught.len() as u64));
    let runs = index.runs().unwrap();
    assert_eq!(status.last_run.as_ref(), runs.first());
    assert_eq!(runs.iter().map(|run| run.connections).collect::<Vec<_>>(), [Some(600), None]);
    let started = runs[1].started.as_ref().unwrap();
    assert_eq!(
        (started.listen.as_slice(), started.policy.as_str()),
        (&["192.0.2.1:445".to_owned()][..], "present")
    );
}

#[test]
fn what_begins_with_some_characters_is_found() {
    let (_dir, mut index, naive) = world(13);
    let visit = naive.visits.values().find(|visit| !visit.fingerprint.is_empty()).unwrap();
    let name = ConnectionId(visit.id).to_string();
    let hits = index.search(&name[..12], 1000).unwrap();
    assert!(hits.iter().all(|hit| matches!(hit, Hit::Connection { connection } if connection.connection.to_string().starts_with(&name[..12]))));
    assert!(
        hits.iter()
            .any(|hit| matches!(hit, Hit::Connection { connection } if connection.connection.0 == visit.id))
    );
    let sources = |index: &mut Index, text: &str| {
        let source = |hit: Hit| if let Hit::Source { source } = hit { Some(source.source) } else { None };
        index.search(text, 1000).unwrap().into_iter().filter_map(source).collect::<BTreeSet<_>>()
    };
    let seen = naive.sources(Span::ALL);
    let begin = |text: &str| seen.iter().copied().filter(|ip| ip.to_string().starts_with(text)).collect();
    for text in ["198.51.10", "198.51.100.1", "2001:DB8:"] {
        let expected: BTreeSet<IpAddr> = match text.parse::<Network>() {
            Ok(_) => BTreeSet::from([text.parse().unwrap()]),
            Err(_) => begin(&text.to_lowercase()),
        };
        assert_eq!(sources(&mut index, text), expected, "{text}");
        assert!(!expected.is_empty());
    }
    assert_eq!(
        sources(&mut index, "198.51.100.0/30").len(),
        begin("198.51.100.")
            .iter()
            .filter(|ip: &&IpAddr| ["0", "1", "2", "3"].contains(&ip.to_string().rsplit('.').next().unwrap()))
            .count()
    );
    let hits = index.search(&visit.fingerprint[..5], 10).unwrap();
    assert!(hits.iter().any(
        |hit| matches!(hit, Hit::Fingerprint { fingerprint } if fingerprint.fingerprint == visit.fingerprint)
    ));
    let row = index.samples().unwrap().remove(0);
    for (text, wanted) in [(&row.sha256.to_string()[..9], "sha256"), (&row.md5, "md5"), (&row.sha1, "sha1")] {
        let found = index.search(text, 10).unwrap();
        let fits = |hit: &Hit| matches!(hit, Hit::Sample { sample, by } if *sample == row && *by == wanted);
        assert!(found.iter().any(fits), "{wanted}");
    }
    for nothing in ["", "1", "zz", "no such thing", "%", "'; DROP TABLE source", &"f".repeat(65)] {
        assert_eq!(index.search(nothing, 10).unwrap(), [], "{nothing}");
    }
}

#[test]
fn a_cursor_of_nobodys_is_refused_and_a_limit_is_bounded() {
    let (_dir, mut index, _) = world(14);
    for bad in ["", "x", "1", "1-", "ffffffffffffffff1-0"] {
        assert!(index.connections(&Filter::default(), Some(bad), 5).is_err(), "{bad}");
    }
    assert_eq!(index.connections(&Filter::default(), None, 0).unwrap().rows.len(), 1);
    assert_eq!(index.connections(&Filter::default(), None, usize::MAX).unwrap().rows.len(), 600);
}
