//! A small past is read back by those who read real ones.

use super::{Args, Tally, write};
use roridula_desk::incident::{Incidents, Stage};
use roridula_evidence::{EventFilter, Reader};
use roridula_proto::event::Event;
use roridula_proto::time::WallClock;
use std::collections::BTreeSet;
use std::path::Path;

const UNTIL: WallClock = WallClock(1_795_000_000_000_000);

fn args(out: &Path) -> Args {
    let out = out.join("data");
    Args { out, days: 3, connections: 1800, incidents: 90, samples: 20, seed: 5, triage: false }
}

#[test]
fn a_past_has_what_was_asked_for_in_the_order_of_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let args = args(dir.path());
    let Tally { connections, captures, samples } = write(&args, UNTIL).unwrap();
    assert_eq!(connections, 1800);
    assert!((20..=40).contains(&samples) && captures > samples, "{samples} of {captures}");
    let reader = Reader::open(&args.out).unwrap();
    let events = reader.events(0, &EventFilter::default(), 1_000_000).unwrap().events;
    assert!(events.is_sorted_by_key(|event| event.seq));
    let from = UNTIL.0 - 3 * super::DAY_US;
    assert!(events.iter().all(|event| (from..UNTIL.0).contains(&event.time.0)));
    // A batch is put on record when its last event has happened, and its first is at most a message older.
    let latest = events.iter().scan(0, |latest, event| {
        *latest = event.time.0.max(*latest);
        Some(*latest - event.time.0)
    });
    assert!(latest.max().unwrap() < 60_000_000);
    let ids: BTreeSet<&str> = events.iter().map(|event| event.event.id()).collect();
    for id in ["sensor.started", "connection.refused", "exploit.completed", "sample.captured", "implant.kill"]
    {
        assert!(ids.contains(id), "no {id} in {ids:?}");
    }
    let opened = events.iter().filter(|event| matches!(event.event, Event::ConnectionOpened { .. })).count();
    let closed = events.iter().filter(|event| matches!(event.event, Event::ConnectionClosed { .. })).count();
    assert_eq!((opened, closed), (1800, 1800));
    // What the honeypot says at its end is what it had served since its start.
    let mut since = 0;
    for event in &events {
        match event.event {
            Event::SensorStarted { .. } => since = 0,
            Event::ConnectionOpened { .. } => since += 1,
            Event::SensorStopped { connections } => assert!(connections == since && since > 0, "{since}"),
            _ => {}
        }
    }
    for sample in reader.samples().unwrap() {
        assert_eq!(reader.sample_bytes(sample.sha256, sample.size).unwrap().len() as u64, sample.size);
    }
    let mut incidents = Incidents::open(&args.out, None).unwrap();
    incidents.catch_up(&mut |_| ()).unwrap();
    let list = incidents.list(&Default::default()).unwrap();
    assert!((85..=100).contains(&list.len()), "{} incidents", list.len());
    let has = |stage| list.iter().filter(|one| one.stages.iter().any(|seen| seen.stage == stage)).count();
    assert!(has(Stage::Capture) >= 15 && has(Stage::Exploit) >= 5 && has(Stage::Kill) >= 1);
}

#[test]
fn a_past_replays_as_it_was() {
    use roridula_proto::transcript::{Transcript, replay};
    let dir = tempfile::tempdir().unwrap();
    let args = Args { connections: 120, incidents: 20, samples: 6, days: 1, ..args(dir.path()) };
    write(&args, UNTIL).unwrap();
    let reader = Reader::open(&args.out).unwrap();
    let install = roridula_evidence::Install::load(&args.out).unwrap();
    assert!(install.installed_at < UNTIL);
    let base = super::decoy_of(
        &install,
        super::Phase { from: WallClock(0), arch: crate::samples::cli::Arch::X86, exploit: false },
    );
    let events = reader.events(0, &EventFilter::default(), 1_000_000).unwrap().events;
    let ids: BTreeSet<_> = events.iter().filter_map(|event| event.connection.map(|id| id.0)).collect();
    let mut same = 0;
    for id in ids {
        let id = roridula_proto::connection::ConnectionId(id);
        let text = reader.transcript(id).unwrap().unwrap();
        let transcript = Transcript::parse(&text).unwrap();
        let payloads = reader.payloads(id).unwrap();
        let replayed = replay(&transcript, &base, &payloads, &mut |_, _, _| ()).unwrap();
        assert_ne!(replayed.same_replies, Some(false), "{id}");
        same += usize::from(replayed.same_replies == Some(true));
    }
    assert!(same >= 120, "{same}");
}
