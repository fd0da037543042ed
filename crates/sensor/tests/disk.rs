//! What visits cost on the disk, and what happens when there is none left.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod rig;

use rig::{Rig, events, payload, sample, sha256, upload, visit, wait_for};
use roridula_proto::client::visit::{Goal, Outcome};
use roridula_proto::event::Event;
use roridula_sensor::SensorOptions;
use std::path::Path;

fn size_of(dir: &Path) -> u64 {
    std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                size_of(&entry.path())
            } else {
                entry.metadata().unwrap().len()
            }
        })
        .sum()
}

#[test]
fn a_worm_that_comes_again_costs_under_two_kilobytes() {
    const ATTACKS: u64 = 200;
    let dir = tempfile::tempdir().unwrap();
    let bytes = payload(3, 9 * 4096 + 776);
    let attack = |rig: &Rig, source: &str| {
        visit(rig.address, source, Goal::Check);
        visit(rig.address, source, Goal::Ping);
        visit(rig.address, source, Goal::Ping);
        visit(rig.address, source, upload(&bytes));
    };
    let rig = Rig::start(dir.path(), SensorOptions::default());
    attack(&rig, "127.0.0.2");
    rig.stop();
    let before = size_of(dir.path());
    let rig = Rig::start(dir.path(), SensorOptions::default());
    for number in 0..ATTACKS {
        attack(&rig, &format!("127.0.2.{}", number + 1));
    }
    rig.stop();
    let each = (size_of(dir.path()) - before) / ATTACKS;
    println!("{each} bytes an attack");
    assert!(each < 2048, "{each} bytes for each time the worm came again");
    assert_eq!(sample(dir.path(), &sha256(&bytes)).unwrap().captures, ATTACKS + 1);
    assert_eq!(events(dir.path(), "connection.closed").len() as u64, 4 * (ATTACKS + 1));
}

#[test]
fn below_the_reserve_payloads_are_refused_loudly_and_visitors_still_answered() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::start(dir.path(), SensorOptions { reserve_bytes: u64::MAX, ..SensorOptions::default() });
    let bytes = payload(4, 3 * 4096);
    assert_eq!(visit(rig.address, "127.0.0.2", upload(&bytes)).0, Outcome::Uploaded);
    let failed = wait_for("the failure", || events(dir.path(), "capture.failed").pop());
    let Event::CaptureFailed { upload, error, bytes_lost } = failed.event else { unreachable!() };
    assert_eq!((upload, bytes_lost), (1, bytes.len() as u64));
    assert!(error.contains("reserve_bytes"), "{error}");
    assert!(sample(dir.path(), &sha256(&bytes)).is_none());
    rig.stop();
}

#[test]
fn a_spool_that_fails_half_way_keeps_the_half_and_the_honeypot() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::start(dir.path(), SensorOptions::default());
    let first = payload(5, 4096);
    visit(rig.address, "127.0.0.2", upload(&first));
    wait_for("the sample", || sample(dir.path(), &sha256(&first)));
    std::fs::remove_dir_all(dir.path().join("spool")).unwrap();
    let second = payload(6, 2 * 4096);
    assert_eq!(visit(rig.address, "127.0.0.2", upload(&second)).0, Outcome::Uploaded);
    let failed = wait_for("the failure", || events(dir.path(), "capture.failed").pop());
    assert!(matches!(failed.event, Event::CaptureFailed { bytes_lost: 8192, .. }), "{failed:?}");
    // Once there is a spool again, all is well.
    std::fs::create_dir(dir.path().join("spool")).unwrap();
    let third = payload(7, 2 * 4096);
    visit(rig.address, "127.0.0.2", upload(&third));
    wait_for("the sample", || sample(dir.path(), &sha256(&third)));
    rig.stop();
}
