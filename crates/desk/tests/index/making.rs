//! However the index was made, it is the same.

use crate::past::{BEGIN, Chance, negotiate, open, perform, sample, triaged};
use roridula_desk::index::{Filter, Index, IndexError, Mode, Span};
use roridula_desk::sink::{Cursor, Pump};
use roridula_evidence::{Batch, Changes, Closing, Reader, Store};
use roridula_proto::event::{CloseReason, Event, Transport};
use roridula_proto::time::WallClock;
use std::fmt::Write;
use std::path::Path;
use std::sync::Barrier;
use std::thread;

fn index(dir: &Path) -> Index {
    let mut index = Index::open(dir, Mode::Write).unwrap();
    index.catch_up(&mut |_| ()).unwrap();
    index
}

/// Every row of every table.
fn content(dir: &Path) -> String {
    let db = rusqlite::Connection::open(dir.join("desk/index.sqlite")).unwrap();
    let tables: Vec<String> = db
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert!(tables.len() > 15);
    let mut text = String::new();
    for table in tables {
        let mut statement = db.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = statement.column_count();
        let mut rows: Vec<String> = Vec::new();
        let mut found = statement.query([]).unwrap();
        while let Some(row) = found.next().unwrap() {
            let value = |at| row.get::<_, rusqlite::types::Value>(at).unwrap();
            rows.push(format!("{:?}", (0..columns).map(value).collect::<Vec<_>>()));
        }
        rows.sort();
        rows.iter().for_each(|row| writeln!(text, "{table} {row}").unwrap());
    }
    text
}

fn forget(dir: &Path) {
    std::fs::remove_dir_all(dir.join("desk")).unwrap();
}

/// One more visit, which is over.
fn visit(store: &Store, source: &str) {
    let whose = store.accept(source.parse().unwrap(), "192.0.2.1:445".parse().unwrap());
    let closed = Event::ConnectionClosed {
        reason: CloseReason::PeerClosed,
        duration_us: 5,
        bytes_in: 1,
        bytes_out: 2,
        events_dropped: 0,
    };
    let events = [Event::ConnectionOpened { transport: Transport::DirectTcp }, negotiate(), closed];
    let events = events.into_iter().map(|event| (whose.at, event)).collect();
    let closing = Some(Closing::default());
    store.append_blocking(Batch { attribution: whose, events, changes: Changes::default(), closing });
    store.flush();
}

#[test]
fn deleted_rebuilt_or_cut_at_any_event_it_is_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    perform(&store, 21, 120);
    drop(index(dir.path()));
    let expected = content(dir.path());
    Index::open(dir.path(), Mode::Write).unwrap().rebuild(&mut |_| ()).unwrap();
    assert_eq!(content(dir.path()), expected, "rebuilt");
    for batch in [1, 2, 7, 100] {
        forget(dir.path());
        Index::open(dir.path(), Mode::Write).unwrap().catch_up_by(batch).unwrap();
        assert_eq!(content(dir.path()), expected, "batches of {batch}");
    }
    // Each batch by a process of its own, which knows nothing but the file.
    forget(dir.path());
    let last = Reader::open(dir.path()).unwrap().last_seq().unwrap();
    while Index::open(dir.path(), Mode::Write).unwrap().cursor().unwrap() < last {
        Index::open(dir.path(), Mode::Write).unwrap().catch_up_once(31).unwrap();
    }
    assert_eq!(content(dir.path()), expected, "by many processes");
}

#[test]
fn batches_of_any_sizes_make_the_same_of_any_past() {
    for seed in 31..35 {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        perform(&store, seed, 150);
        drop(index(dir.path()));
        let expected = content(dir.path());
        forget(dir.path());
        let mut chance = Chance(seed);
        let mut view = Index::open(dir.path(), Mode::Write).unwrap();
        loop {
            let batch = 1 + chance.below(200) as usize;
            let Some(now) = view.catch_up_once(batch).unwrap() else { break };
            assert!(now.done <= now.total);
            if chance.once_in(5) {
                view = Index::open(dir.path(), Mode::Write).unwrap();
            }
        }
        assert_eq!(content(dir.path()), expected, "seed {seed}");
    }
}

#[test]
fn many_may_open_it_first_at_the_same_time() {
    // Of four who make a new file, SQLite refused one in every tenth round.
    for _ in 0..60 {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path()));
        let barrier = Barrier::new(4);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    barrier.wait();
                    Index::open(dir.path(), Mode::Write).map(drop).unwrap();
                });
            }
        });
    }
}

#[test]
fn many_may_catch_it_up_at_the_same_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    perform(&store, 22, 300);
    let barrier = Barrier::new(4);
    thread::scope(|scope| {
        for batch in [3, 10, 64, 500] {
            let (dir, barrier) = (dir.path(), &barrier);
            scope.spawn(move || {
                let view = Index::open(dir, Mode::Write);
                // Whoever could not open it keeps nobody waiting.
                barrier.wait();
                view.unwrap().catch_up_by(batch).unwrap();
            });
        }
    });
    let together = content(dir.path());
    Index::open(dir.path(), Mode::Write).unwrap().rebuild(&mut |_| ()).unwrap();
    assert_eq!(content(dir.path()), together);
}

#[test]
fn as_a_sink_it_keeps_up_and_reads_what_it_lacks() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    perform(&store, 23, 60);
    let sink = Box::new(Index::open(dir.path(), Mode::Write).unwrap());
    // The pump stands at the journal's end while the index knows nothing.
    let reader = Reader::open(dir.path()).unwrap();
    let end = reader.last_seq().unwrap();
    let mut pump = Pump::new(reader, sink, Cursor::in_memory(end)).unwrap();
    visit(&store, "203.0.113.5:1");
    while pump.step().unwrap() {}
    let kept_up = content(dir.path());
    assert!(kept_up.contains("203.0.113.5"));
    Index::open(dir.path(), Mode::Write).unwrap().rebuild(&mut |_| ()).unwrap();
    assert_eq!(content(dir.path()), kept_up);
    // Somebody deletes it under the running honeypot.
    forget(dir.path());
    visit(&store, "203.0.113.6:1");
    while pump.step().unwrap() {}
    assert!(content(dir.path()).contains("203.0.113.6"));
}

#[test]
fn a_damaged_or_foreign_index_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    perform(&store, 24, 60);
    drop(index(dir.path()));
    let path = dir.path().join("desk/index.sqlite");
    let fresh = content(dir.path());
    std::fs::write(&path, b"no database").unwrap();
    drop(index(dir.path()));
    assert_eq!(content(dir.path()), fresh);
    for (number, sql) in ["PRAGMA user_version = 999", "DROP TABLE connection", "DROP TABLE sample_day"]
        .into_iter()
        .enumerate()
    {
        rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        visit(&store, &format!("203.0.113.7:{}", number + 1));
        let mut view = index(dir.path());
        let spread = view.spreads(&[vec![sample(1)]], &Span::ALL.into()).unwrap().remove(0);
        assert!(spread.captures > 0, "{sql}");
        let visits = view.source("203.0.113.7".parse().unwrap(), Span::ALL).unwrap().unwrap().connections;
        assert_eq!(visits, number as u64 + 1, "{sql}");
    }
    // What only reading finds is mended by reading.
    rusqlite::Connection::open(&path).unwrap().execute_batch("UPDATE sample SET ranges = '{'").unwrap();
    let mut view = Index::open(dir.path(), Mode::Write).unwrap();
    assert!(view.samples().unwrap().iter().all(|row| !row.ranges.is_empty()));
    // Another journal in the same place.
    drop(store);
    std::fs::remove_file(dir.path().join("journal.sqlite")).unwrap();
    let store = open(dir.path());
    visit(&store, "203.0.113.8:1");
    let mut view = index(dir.path());
    assert_eq!(view.status().unwrap().connections, 1);
}

#[test]
fn a_reader_sees_what_a_writer_keeps_up_and_follows_it_to_a_new_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let missing = Index::open(dir.path(), Mode::Read).map(drop);
    assert!(matches!(missing, Err(IndexError::Missing { .. })), "{missing:?}");
    visit(&store, "203.0.113.1:1");
    let mut writer = index(dir.path());
    let mut reader = Index::open(dir.path(), Mode::Read).unwrap();
    assert!(matches!(reader.catch_up(&mut |_| ()), Err(IndexError::ReadOnly { .. })));
    assert_eq!(reader.status().unwrap().connections, 1);
    visit(&store, "203.0.113.1:2");
    let behind = reader.progress().unwrap();
    assert!(behind.done < behind.total);
    writer.catch_up(&mut |_| ()).unwrap();
    assert_eq!(reader.status().unwrap().connections, 2);
    let behind = reader.progress().unwrap();
    assert_eq!(behind.done, behind.total);
    // Deleted, it is missing until somebody makes it again.
    forget(dir.path());
    assert!(matches!(reader.status(), Err(IndexError::Missing { .. })));
    visit(&store, "203.0.113.1:3");
    writer.catch_up(&mut |_| ()).unwrap();
    assert_eq!(reader.status().unwrap().connections, 3);
    let page = reader.connections(&Filter::default(), None, 10).unwrap();
    assert_eq!((page.rows.len(), page.next), (3, None));
}

#[test]
fn one_that_is_not_kept_is_the_same_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    perform(&store, 25, 60);
    let mut temporary = Index::open(dir.path(), Mode::Temporary).unwrap();
    temporary.catch_up(&mut |_| ()).unwrap();
    assert!(!dir.path().join("desk").exists());
    let mut kept = index(dir.path());
    assert_eq!(temporary.samples().unwrap(), kept.samples().unwrap());
    assert_eq!(temporary.funnel(&Span::ALL.into()).unwrap(), kept.funnel(&Span::ALL.into()).unwrap());
}

#[test]
fn progress_is_told_up_to_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    perform(&store, 26, 60);
    let mut told = Vec::new();
    Index::open(dir.path(), Mode::Write).unwrap().rebuild(&mut |now| told.push(now)).unwrap();
    let last = told.last().unwrap();
    assert_eq!((last.done, last.total), (last.total, Reader::open(dir.path()).unwrap().last_seq().unwrap()));
}

#[test]
fn what_is_told_of_a_sample_before_anybody_brought_it_is_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.publish(triaged(sample(1), "wannacry", ""));
    store.publish(Event::SensorStopped { connections: 0 });
    store.flush();
    let mut view = index(dir.path());
    assert_eq!(view.samples().unwrap(), []);
    assert!(view.status().unwrap().last_event.unwrap() > WallClock(BEGIN));
    assert_eq!(view.funnel(&Span::ALL.into()).unwrap().buckets, []);
    assert_eq!(view.activity(Span::ALL, 5).unwrap().begins, []);
}
