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
fn every_documented_id_exists_and_every_id_is_documented() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/events.md")).unwrap();
    let documented: Vec<_> =
        page.lines().filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`')).collect();
    let ids: Vec<_> = CATALOGUE.iter().map(|spec| spec.id).collect();
    assert_eq!(documented, ids);
}
