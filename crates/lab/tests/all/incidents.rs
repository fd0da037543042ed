//! Incidents against the ledger of a swarm: hundreds of attackers at once, interleaved, dropped, two behind one
//! address; the real binary must tell exactly the stories that were played, and the same after a rebuild.

use roridula_lab::honeypot::{Honeypot, Start};
use roridula_lab::swarm::ledger::Line;
use roridula_lab::swarm::swarm;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Far more than it takes, on any machine.
const DEADLINE: Duration = Duration::from_secs(180);

/// What a story comes to, as both the ledger and the view tell it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Story {
    source: String,
    tool: String,
    outcome: String,
    connections: u64,
    stages: Vec<String>,
    /// SHA-256 and size of what was uploaded, each once.
    uploads: Vec<(String, u64)>,
}

fn expected(line: &Line) -> Story {
    let mut uploads: Vec<_> =
        line.uploads.iter().map(|upload| (upload.sha256.clone(), upload.size)).collect();
    uploads.sort();
    uploads.dedup();
    Story {
        source: line.source.to_string(),
        tool: line.tool.clone(),
        outcome: line.outcome.clone(),
        connections: line.connections,
        stages: line.stages.clone(),
        uploads,
    }
}

fn told(incident: &Value) -> Story {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let stages = list(&incident["stages"]).iter().map(|stage| text(&stage["stage"])).collect::<Vec<_>>();
    let mut uploads: Vec<_> = list(&incident["samples"])
        .iter()
        .map(|sample| (text(&sample["sha256"]), sample["size"].as_u64().unwrap_or(0)))
        .collect();
    uploads.sort();
    Story {
        source: text(&incident["source"]),
        // Where only one module was seen, the view names that one.
        tool: text(&incident["tool"]["name"]).split('-').next().unwrap_or_default().to_owned(),
        outcome: text(&incident["outcome"]),
        connections: incident["connections"].as_u64().unwrap_or(0),
        // That the implant was there is the honeypot's doing, and not in the ledger.
        stages: stages.into_iter().filter(|stage| stage != "implant").collect(),
        uploads,
    }
}

fn incidents(honeypot: &Honeypot) -> Vec<Value> {
    let text = honeypot.ask(&["incidents", "list", "--json", "--limit", "1000000"]).expect("incidents");
    serde_json::from_str(&text).expect("JSON")
}

/// The incidents, once every connection has ended and every upload is sealed and looked into.
fn settled(honeypot: &Honeypot, ledger: &[Line]) -> Vec<Value> {
    let connections: u64 = ledger.iter().map(|line| line.connections).sum();
    let uploads: usize = ledger.iter().map(|line| line.uploads.len()).sum();
    let begun = Instant::now();
    loop {
        let found = incidents(honeypot);
        let counted: u64 = found.iter().filter_map(|incident| incident["connections"].as_u64()).sum();
        let captures: u64 = found
            .iter()
            .flat_map(|incident| incident["samples"].as_array().cloned().unwrap_or_default())
            .filter_map(|sample| sample["captures"].as_u64())
            .sum();
        // Triage comes after the capture, and is part of the story.
        let triaged = found.iter().all(|incident| {
            ["samples", "buffers"].iter().all(|kind| {
                incident[kind].as_array().is_some_and(|list| list.iter().all(|one| one["triaged"] == true))
            })
        });
        if counted == connections && captures >= uploads as u64 && triaged {
            return found;
        }
        let far = format!("{counted} of {connections} connections, {captures} of {uploads} uploads");
        assert!(begun.elapsed() < DEADLINE, "{far}");
    }
}

fn complaints(ledger: &[Line], found: &[Value]) -> Vec<String> {
    let mut by_source: BTreeMap<String, (Vec<Story>, Vec<Story>)> = BTreeMap::new();
    for story in ledger.iter().map(expected) {
        by_source.entry(story.source.clone()).or_default().0.push(story);
    }
    for story in found.iter().map(told) {
        by_source.entry(story.source.clone()).or_default().1.push(story);
    }
    let mut complaints = Vec::new();
    for (source, (mut expected, mut told)) in by_source {
        expected.sort();
        told.sort();
        if expected != told {
            complaints.push(format!("{source}\n  ledger {expected:#?}\n  told   {told:#?}"));
        }
    }
    complaints
}

fn swarm_is_told_as_it_was(policy: &str, seed: u64) {
    let honeypot = Start::default().set(&format!("implant.policy={policy}")).run().expect("a honeypot");
    let played = swarm(honeypot.address, 300, seed, 24).expect("a swarm");
    assert_eq!(played.failures, Vec::<String>::new());
    let found = settled(&honeypot, &played.ledger);
    let wrong = complaints(&played.ledger, &found);
    assert!(wrong.is_empty(), "{policy}, {} of 300 sources:\n{}", wrong.len(), wrong.join("\n"));
    // The view is derived: made again from the journal it is the same to the letter.
    honeypot.ask(&["incidents", "rebuild"]).expect("a rebuild");
    assert!(incidents(&honeypot) == found, "{policy}: another view after a rebuild");
}

#[test]
fn three_hundred_sources_meet_a_host_that_can_be_exploited() {
    swarm_is_told_as_it_was("after-exploit", 3);
}

#[test]
fn three_hundred_sources_meet_an_implanted_host() {
    swarm_is_told_as_it_was("present", 4);
}

#[test]
fn three_hundred_sources_meet_a_clean_host() {
    swarm_is_told_as_it_was("absent", 5);
}
