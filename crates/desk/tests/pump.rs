//! From a real journal to a sink: nothing lost, nothing told twice that need not be.

// Tests own threads and a clock for their deadlines.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use roridula_desk::sink::{Cursor, JsonLines, Pump, Rotation, Sink, SinkError};
use roridula_evidence::{Options, Published, Reader, Store};
use roridula_proto::event::Event;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Remembers what it was told; fails as often as it is told to.
#[derive(Clone, Default)]
struct Memory {
    told: Arc<Mutex<Vec<u64>>>,
    failures: Arc<Mutex<u32>>,
}

impl Sink for Memory {
    fn name(&self) -> &str {
        "memory"
    }

    fn deliver(&mut self, batch: &[Published]) -> Result<(), SinkError> {
        let mut failures = self.failures.lock().unwrap();
        if *failures > 0 {
            *failures -= 1;
            let source = std::io::Error::other("as asked");
            return Err(SinkError::Io { doing: "write", path: PathBuf::from("memory"), source });
        }
        self.told.lock().unwrap().extend(batch.iter().map(|event| event.seq));
        Ok(())
    }
}

fn publish(store: &Store, count: u64) {
    for connections in 0..count {
        store.publish(Event::SensorStopped { connections });
    }
    store.flush();
}

fn pump(dir: &Path, sink: impl Sink + 'static) -> Pump {
    let cursor = Cursor::open(dir, sink.name()).unwrap();
    Pump::new(Reader::open(dir).unwrap(), Box::new(sink), cursor).unwrap()
}

#[test]
fn it_goes_on_where_it_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), "s", Options::default()).unwrap();
    let sink = Memory::default();
    publish(&store, 1200);
    let mut first = pump(dir.path(), sink.clone());
    while first.step().unwrap() {}
    publish(&store, 3);
    let mut second = pump(dir.path(), sink.clone());
    while second.step().unwrap() {}
    assert_eq!(*sink.told.lock().unwrap(), (1..=1203).collect::<Vec<_>>());
}

#[test]
fn a_failure_is_tried_again_and_stopping_delivers_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), "s", Options::default()).unwrap();
    let sink = Memory::default();
    *sink.failures.lock().unwrap() = 2;
    publish(&store, 10);
    let complaints = Arc::new(Mutex::new(Vec::new()));
    let heard = complaints.clone();
    let complain = move |name: &str, error: &SinkError, first: bool| {
        heard.lock().unwrap().push((name.to_owned(), error.to_string(), first));
    };
    let handle = pump(dir.path(), sink.clone()).spawn(complain);
    let deadline = Instant::now() + Duration::from_secs(60);
    while sink.told.lock().unwrap().len() < 10 {
        assert!(Instant::now() < deadline, "the pump gave up");
        thread::park_timeout(Duration::from_millis(10));
    }
    publish(&store, 5);
    assert!(handle.stop(std::time::Duration::from_secs(60)), "everything was delivered");
    assert_eq!(*sink.told.lock().unwrap(), (1..=15).collect::<Vec<_>>());
    let firsts: Vec<bool> = complaints.lock().unwrap().iter().map(|(_, _, first)| *first).collect();
    assert_eq!(firsts, [true, false]);
}

#[test]
fn killed_between_the_file_and_the_cursor_nothing_is_written_twice() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), "s", Options::default()).unwrap();
    let log = dir.path().join("e.jsonl");
    let sink = || JsonLines::new(&log, Rotation { bytes_max: 0, keep: 0 }, Arc::default());
    publish(&store, 20);
    let mut first = pump(dir.path(), sink());
    while first.step().unwrap() {}
    // As if the kill had come before the cursor moved.
    Cursor::open(dir.path(), "jsonl").unwrap().advance(12).unwrap();
    publish(&store, 2);
    let mut second = pump(dir.path(), sink());
    while second.step().unwrap() {}
    assert_eq!(std::fs::read_to_string(&log).unwrap().lines().count(), 22);
}

#[test]
fn a_file_of_another_journal_does_not_hide_events() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), "s", Options::default()).unwrap();
    let log = dir.path().join("e.jsonl");
    std::fs::write(&log, "{\"seq\":300}\n").unwrap();
    publish(&store, 4);
    let sink = JsonLines::new(&log, Rotation { bytes_max: 0, keep: 0 }, Arc::default());
    let mut pump = pump(dir.path(), sink);
    while pump.step().unwrap() {}
    assert_eq!(std::fs::read_to_string(&log).unwrap().lines().count(), 5);
}
