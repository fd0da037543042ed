//! `roridula incidents`, against a real honeypot's journal.

// Tests own processes, threads and a clock.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod common;

use common::{Honeypot, json, payload, roridula, sha256, text, upload, wait_for};
use rusqlite::Connection;

#[test]
fn an_upload_is_an_incident_while_it_runs_and_after_a_rebuild() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let mut honeypot = Honeypot::start(dir.path(), &[]);
    let bytes = payload(20_000, 3);
    drop(upload(honeypot.address, &bytes, usize::MAX));
    honeypot.event("sample.captured");
    // The honeypot itself keeps the view up to date: nobody has asked for it yet.
    let path = dir.path().join("desk/incidents.sqlite");
    wait_for("the honeypot's own incident", || {
        let db = Connection::open_with_flags(&path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
        let captured = "SELECT 1 FROM incident WHERE outcome = 'captured'";
        db.query_row(captured, [], |_| Ok(())).ok()
    });
    let list = json(&["incidents", "list", "--json", "--data", data]);
    assert_eq!((list.as_array().unwrap().len(), &list[0]["outcome"]), (1, &"captured".into()));
    let id = list[0]["id"].as_str().unwrap();
    let table = text(&["incidents", "list", "--outcome", "captured", "--data", data]);
    assert!(table.contains(id) && table.contains("upload → capture"), "{table}");
    assert!(text(&["incidents", "list", "--tool", "nmap", "--data", data]).contains("No such incident"));

    let story = text(&["incidents", "show", &id[7..], "--data", data]);
    assert!(story.lines().next().unwrap().contains("uploaded 20,000 bytes, captured whole"), "{story}");
    assert!(story.contains("only implied") && story.contains("T1620"), "{story}");
    assert!(story.contains(&format!("Next: roridula samples show {}", &sha256(&bytes)[..12])), "{story}");
    let shown = json(&["incidents", "show", id, "--json", "--data", data]);
    assert_eq!(shown["connection_list"][0]["role"], "upload");

    honeypot.stop();
    let rebuilt = text(&["incidents", "rebuild", "--data", data]);
    assert!(rebuilt.starts_with("1 incidents, put together from "), "{rebuilt}");
    assert_eq!(json(&["incidents", "show", id, "--json", "--data", data]), shown);
    let made = text(&["index", "rebuild", "--data", data]);
    assert!(
        made.starts_with("1 connections of 1 visitors, 1 captures (uploads and buffers) of 1 samples: "),
        "{made}"
    );
    let missing = roridula(&["incidents", "show", "zzzzzz", "--data", data]);
    assert!(!missing.status.success());
    assert!(String::from_utf8_lossy(&missing.stderr).contains("no incident `zzzzzz`"));
}
