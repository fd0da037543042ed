//! Captures of few cores with three oddities among them, over the wire into the real binary: groups, ranks,
//! sentences, disk and export against the lab's ledger. `roridula-lab explain` does the same with a thousand.

use roridula_lab::explain::{Args, play};

#[test]
fn captures_of_few_cores_are_told_as_what_they_are() {
    let outcome = play(&Args { captures: 48, cores: 2, seed: 1, threads: 4 }).expect("an outcome");
    assert!(outcome.complaints.is_empty(), "{}\n{outcome:?}", outcome.complaints.join("\n"));
}
