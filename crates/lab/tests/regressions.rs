//! What fuzzers once found stays found: their bytes run through the same bodies in every test run.

use roridula_lab::tidy::root;
use roridula_proto::fuzzing::TARGETS;
use std::collections::BTreeSet;
use std::fs;

#[test]
fn old_findings_hold() {
    for (name, body) in TARGETS {
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
    let bodies: BTreeSet<String> = TARGETS.iter().map(|(name, _)| format!("{name}.rs")).collect();
    let files: BTreeSet<String> = fs::read_dir(root().join("fuzz/fuzz_targets"))
        .expect("fuzz targets")
        .flatten()
        .map(|file| file.file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(bodies, files);
}
