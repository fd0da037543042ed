//! What fuzzers once found stays found: their bytes run through the same bodies in every test run.

use roridula_lab::tidy::root;
use roridula_proto::fuzzing::{TARGETS, Target};
use std::collections::BTreeSet;
use std::fs;

/// The bodies of all crates that have some.
fn targets() -> impl Iterator<Item = &'static Target> {
    TARGETS.iter().chain(roridula_triage::fuzzing::TARGETS).chain(roridula_evidence::fuzzing::TARGETS)
}

#[test]
fn old_findings_hold() {
    for (name, body) in targets() {
        let folder = root().join("fuzz/regressions").join(name);
        let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        for file in files.flatten() {
            let bytes = fs::read(file.path()).expect("a regression can be read");
            println!("{name}: {}", file.path().display());
            body(&bytes);
        }
    }
}

#[test]
fn every_body_has_its_fuzz_target() {
    let bodies: BTreeSet<String> = targets().map(|(name, _)| format!("{name}.rs")).collect();
    let files: BTreeSet<String> = fs::read_dir(root().join("fuzz/fuzz_targets"))
        .expect("fuzz targets")
        .flatten()
        .map(|file| file.file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(bodies, files);
}
