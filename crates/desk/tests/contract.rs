//! The catalogue and its published pages say the same, both ways.

use roridula_desk::contract;
use roridula_proto::event::CATALOGUE;
use std::path::PathBuf;

/// Compares a file of `docs/` with what it must be; `UPDATE_EXPECT=1` writes it.
fn expect(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == text,
        "docs/{name} is not what the catalogue says: run with UPDATE_EXPECT=1 and read the diff"
    );
}

#[test]
fn the_page_is_the_catalogue() {
    expect("events.md", &contract::markdown());
}

#[test]
fn the_schema_is_the_catalogue() {
    expect("events.schema.json", &contract::schema());
}

#[test]
fn the_tools_page_is_the_table() {
    expect("tools.md", &contract::tools_markdown());
}

#[test]
fn every_documented_id_exists_and_every_id_is_documented() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/events.md")).unwrap();
    let documented: Vec<_> =
        page.lines().filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`')).collect();
    let ids: Vec<_> = CATALOGUE.iter().map(|spec| spec.id).collect();
    assert_eq!(documented, ids);
}

/// The golden events are what connections really tell; published, they get the envelope.
#[test]
fn every_golden_event_keeps_to_the_contract() {
    let goldens = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../transcripts");
    let mut checked = 0;
    for golden in std::fs::read_dir(&goldens).unwrap() {
        let path = golden.unwrap().path().join("events.jsonl");
        let text =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for line in text.lines() {
            let mut event: serde_json::Value = serde_json::from_str(line).unwrap();
            let fields = event.as_object_mut().unwrap();
            assert!(fields.remove("at").is_some(), "{line}");
            let envelope = serde_json::json!({
                "seq": 1, "time": "2026-11-23T02:50:00.123456Z", "sensor": "s", "connection": "0000000000011",
                "src_ip": "192.0.2.1", "src_port": 1, "dst_ip": "192.0.2.2", "dst_port": 445,
            });
            fields.extend(envelope.as_object().unwrap().clone());
            contract::check(&event).unwrap_or_else(|wrong| panic!("{}: {wrong}", path.display()));
            checked += 1;
        }
    }
    assert!(checked > 100, "only {checked} golden events in {}", goldens.display());
}
