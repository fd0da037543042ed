//! The golden walker: four invariants for every transcript. `UPDATE_EXPECT=1` (`make bless`) writes what comes
//! out today; the diff is the review.

use roridula_lab::golden::{Golden, OwnedInput, events_text, record, replies_text};
use roridula_lab::scenarios;
use roridula_lab::theatre::Seen;
use roridula_lab::tidy::root;
use roridula_proto::client::chance::Chance;
use roridula_proto::event::Event;
use roridula_proto::time::Timestamp;
use std::fs;
use std::path::PathBuf;

fn blessing() -> bool {
    std::env::var_os("UPDATE_EXPECT").is_some_and(|value| value != "0")
}

fn folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = fs::read_dir(root().join("transcripts"))
        .expect("transcripts/")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders
}

fn goldens() -> Vec<Golden> {
    if blessing() {
        for scenario in scenarios::all() {
            record(&scenario, &root().join("transcripts").join(scenario.name)).expect("a recording");
        }
    }
    folders().iter().map(|folder| Golden::load(folder).unwrap_or_else(|error| panic!("{error:#}"))).collect()
}

fn compare(golden: &Golden, file: &str, actual: &str) -> Option<String> {
    let path = golden.folder.join(file);
    if blessing() {
        fs::write(&path, actual).expect("a golden can be written");
        return None;
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    if expected == actual {
        return None;
    }
    let line = expected.lines().zip(actual.lines()).position(|(a, b)| a != b);
    let line = line.unwrap_or_else(|| expected.lines().count().min(actual.lines().count()));
    Some(format!(
        "transcripts/{}/{file}, line {}:\n  expected {}\n  is       {}",
        golden.name(),
        line + 1,
        expected.lines().nth(line).unwrap_or("(no more lines)"),
        actual.lines().nth(line).unwrap_or("(no more lines)")
    ))
}

#[test]
fn every_transcript_gives_its_golden_twice_and_records_itself() {
    let mut complaints = Vec::new();
    for golden in goldens() {
        assert!(golden.folder.join("NOTES.md").exists(), "{}: NOTES.md says what it shows", golden.name());
        let seen = golden.run(&golden.inputs);
        assert!(seen == golden.run(&golden.inputs), "{}: another output the second time", golden.name());
        complaints.extend(compare(&golden, "events.jsonl", &events_text(&seen)));
        complaints.extend(compare(&golden, "replies.txt", &replies_text(&seen)));
        complaints.extend(compare(&golden, "session.txt", &golden.record_again().to_text()));
    }
    let hint = "if this is meant: make bless, and read the diff";
    assert!(complaints.is_empty(), "{}\n{hint}", complaints.join("\n"));
}

#[test]
fn every_scenario_has_its_transcript() {
    let names: Vec<String> = goldens().iter().map(Golden::name).collect();
    for scenario in scenarios::all() {
        assert!(names.iter().any(|name| name == scenario.name), "transcripts/{} is missing", scenario.name);
    }
}

fn stream_len(golden: &Golden) -> usize {
    let len = |input: &OwnedInput| if let OwnedInput::Bytes(bytes) = input { bytes.len() } else { 0 };
    golden.inputs.iter().map(|(_, input)| len(input)).sum()
}

/// Each input's bytes in pieces, at the same moment.
fn in_pieces(golden: &Golden, mut piece_len: impl FnMut() -> usize) -> Vec<(Timestamp, OwnedInput)> {
    let mut inputs = Vec::new();
    for (now, input) in &golden.inputs {
        let OwnedInput::Bytes(bytes) = input else {
            inputs.push((*now, input.clone()));
            continue;
        };
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(piece_len().clamp(1, rest.len()));
            inputs.push((*now, OwnedInput::Bytes(piece.to_vec())));
            rest = later;
        }
    }
    inputs
}

/// What must not depend on how the stream is cut. Bytes that arrive in one read with those that end the
/// connection are counted as received.
fn uncut(seen: &Seen) -> (String, &[Vec<u8>], Vec<Vec<u8>>) {
    let mut told = seen.clone();
    for (_, event) in &mut told.events {
        if let Event::ConnectionClosed { bytes_in, .. } = event {
            *bytes_in = 0;
        }
    }
    (
        events_text(&told),
        &seen.replies,
        seen.uploads.values().map(roridula_lab::theatre::Kept::sample).collect(),
    )
}

#[test]
fn no_cut_of_the_stream_changes_anything() {
    for golden in goldens() {
        let whole = golden.run(&golden.inputs);
        let is_short = stream_len(&golden) < 64 * 1024;
        let mut cuts: Vec<Vec<(Timestamp, OwnedInput)>> = vec![in_pieces(&golden, || 1361)];
        if is_short {
            cuts.push(in_pieces(&golden, || 1));
            for seed in 0..20 {
                let mut chance = Chance::new(seed);
                cuts.push(in_pieces(&golden, || chance.below(90) + 1));
            }
        }
        for inputs in cuts {
            let pieces = golden.run(&inputs);
            assert!(uncut(&pieces) == uncut(&whole), "{}: depends on how the stream is cut", golden.name());
        }
    }
}

#[test]
fn a_transcript_may_end_at_any_byte() {
    for golden in goldens() {
        let len = stream_len(&golden);
        // Short ones at every byte; long ones at a few places by chance.
        let mut chance = Chance::new(len as u64);
        let places: Vec<usize> =
            if len <= 6_000 { (0..len).collect() } else { (0..12).map(|_| chance.below(len)).collect() };
        for place in places {
            let seen = golden.run(&cut_at(&golden, place));
            assert!(
                seen.uploads.values().all(|kept| kept.end.is_some()),
                "{}: cut at {place}",
                golden.name()
            );
            let closed =
                seen.events.iter().filter(|(_, event)| matches!(event, Event::ConnectionClosed { .. }));
            assert_eq!(closed.count(), 1, "{}: cut at {place}", golden.name());
            let last = seen.events.last().map(|(_, event)| event.id());
            assert_eq!(last, Some("connection.closed"), "{}: cut at {place}", golden.name());
        }
    }
}

/// The first `place` bytes, then the end.
fn cut_at(golden: &Golden, place: usize) -> Vec<(Timestamp, OwnedInput)> {
    let mut left = place;
    let mut inputs = Vec::new();
    let mut last = Timestamp(0);
    for (now, input) in &golden.inputs {
        last = *now;
        match input {
            OwnedInput::Bytes(bytes) if bytes.len() > left => {
                inputs.push((*now, OwnedInput::Bytes(bytes[..left].to_vec())));
                break;
            }
            OwnedInput::Bytes(bytes) => left -= bytes.len(),
            OwnedInput::Ended(_) => break,
            OwnedInput::Shared(_) | OwnedInput::Tick => {}
        }
        inputs.push((*now, input.clone()));
    }
    inputs.push((last, OwnedInput::Ended(roridula_proto::connection::Ending::Reset)));
    inputs
}
