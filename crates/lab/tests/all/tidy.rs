//! The repository keeps the rules of the house.

use roridula_lab::tidy;

#[test]
fn the_house_is_tidy() {
    let root = tidy::root();
    assert!(tidy::sources(&root).iter().any(|source| source.path == "crates/proto/src/lib.rs"));
    let complaints = tidy::check(&root);
    let list: Vec<String> = complaints.iter().map(ToString::to_string).collect();
    assert!(list.is_empty(), "{} complaints:\n{}", list.len(), list.join("\n"));
}
