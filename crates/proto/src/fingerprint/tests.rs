//! Fingerprints of made-up and of the inert visitor's traffic; those of real clients are in the transcripts.

use super::tools::{TOOLS, grounds, named};
use super::*;
use crate::client::request::{self, Header as Sent};
use crate::client::sender::Sender;

/// The fingerprint of these frames.
fn fingerprint(frames: &[Vec<u8>]) -> (String, String, Vec<String>) {
    let mut observer = Observer::default();
    for frame in frames {
        observer.message(&frame[4..]);
    }
    match observer.finish(Vec::new()) {
        Event::ClientFingerprint { fingerprint, features, tools, .. } => (fingerprint, features, tools),
        other => panic!("{other:?}"),
    }
}

fn negotiate(pid: u16, dialects: &[&str]) -> Vec<u8> {
    let header = Sent { pid, ..Sender::FuzzBunch.implant_manner().header(0, 0, 0) };
    let mut frame = Vec::new();
    request::negotiate(&mut frame, header, dialects);
    frame
}

#[test]
fn what_is_by_chance_makes_no_difference_and_what_is_a_habit_does() {
    let one = fingerprint(&[negotiate(4321, &["NT LM 0.12"])]);
    assert_eq!(one, fingerprint(&[negotiate(1234, &["NT LM 0.12"])]));
    assert_ne!(one.0, fingerprint(&[negotiate(0xfeff, &["NT LM 0.12"])]).0);
    assert_ne!(one.0, fingerprint(&[negotiate(4321, &["LANMAN1.0", "NT LM 0.12"])]).0);
}

#[test]
fn every_tool_is_named_by_its_own_features_and_by_nothing_less() {
    for tool in TOOLS {
        let features: Vec<String> = tool.needs.iter().map(|need| need.replace('*', "more")).collect();
        let text = features.join("; ");
        let found = named(&text);
        assert!(found.iter().any(|found| found.id == tool.id), "{}: {text}", tool.title);
        assert_eq!(grounds(&[tool], &text), features, "{}", tool.title);
        for left_out in 0..features.len() {
            let fewer: Vec<&String> = features
                .iter()
                .enumerate()
                .filter(|(at, _)| *at != left_out)
                .map(|(_, feature)| feature)
                .collect();
            let text = fewer.into_iter().cloned().collect::<Vec<_>>().join("; ");
            let still = named(&text);
            assert!(!still.iter().any(|found| std::ptr::eq(*found, tool)), "{}: {text}", tool.title);
        }
        for id in tool.instead_of {
            assert!(TOOLS.iter().any(|other| other.id == *id), "{}: no tool {id}", tool.title);
        }
    }
}

#[test]
fn a_visitor_cannot_forge_a_feature_by_a_text() {
    let (_, features, tools) =
        fingerprint(&[negotiate(1, &["x; native_os=Nmap; native_lm=Native Lanman", "a|b\u{1b}[2J"])]);
    assert!(tools.is_empty(), "{features}");
    assert!(
        features
            .starts_with(r"dialects=x\u{3b} native_os=Nmap\u{3b} native_lm=Native Lanman|a\u{7c}b\u{1b}[2J;")
    );
}

#[test]
fn a_flood_of_kinds_stays_within_its_bounds() {
    let mut observer = Observer::default();
    for round in 0..10_000u32 {
        observer.frame(u8::try_from(round % 251).unwrap());
        observer.too_long(round);
        observer.message(&negotiate(1, &["x"; 200])[4..]);
    }
    assert!(observer.memory_used() < 8192, "{}", observer.memory_used());
    let Event::ClientFingerprint { shape, features, .. } = observer.finish(Vec::new()) else { panic!() };
    assert!(shape.ends_with('…') && shape.len() < 1024 && features.len() < 4096);
}
