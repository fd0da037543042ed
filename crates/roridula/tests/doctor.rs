//! `roridula doctor` from outside: what it finds, whom it visits, and whom it leaves alone.

// Tests own sockets, processes and a clock for their deadlines.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod common;

use common::{Honeypot, json, roridula, text, wait_for};
use roridula_proto::client::sender::Sender;
use roridula_proto::client::visit::{Goal, Next, Plan, Visit};
use serde_json::Value;
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;

/// What the doctor found, and whether it was content.
struct Diagnosis {
    is_well: bool,
    findings: Vec<Value>,
}

impl Diagnosis {
    fn of(data: &Path, args: &[&str]) -> Self {
        let data = data.to_str().unwrap();
        let output = roridula(&[&["doctor", "--json", "--data", data][..], args].concat());
        let found: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{args:?}: {}", String::from_utf8_lossy(&output.stderr)));
        Self { is_well: output.status.success(), findings: found.as_array().unwrap().clone() }
    }

    /// The findings of one check, as (verdict, what).
    fn about(&self, check: &str) -> Vec<(&str, &str)> {
        let of_check = self.findings.iter().filter(|finding| finding["check"] == check);
        of_check
            .map(|finding| (finding["verdict"].as_str().unwrap(), finding["what"].as_str().unwrap()))
            .collect()
    }

    /// The one finding of a check.
    fn only(&self, check: &str) -> (&str, &str) {
        let found = self.about(check);
        assert_eq!(found.len(), 1, "{check}: {:#?}", self.findings);
        found[0]
    }

    /// The names of the checks that found a problem, each of which names a way out.
    fn problems(&self) -> Vec<&str> {
        let bad = self.findings.iter().filter(|finding| finding["verdict"] == "problem");
        let names: Vec<_> = bad
            .map(|finding| {
                assert!(finding["fix"].as_str().is_some_and(|fix| !fix.is_empty()), "{finding}");
                finding["check"].as_str().unwrap()
            })
            .collect();
        assert_eq!(names.is_empty(), self.is_well, "{:#?}", self.findings);
        names
    }
}

fn at(address: SocketAddr) -> String {
    address.to_string()
}

/// The events of the journal with this id.
fn events(data: &Path, id: &str) -> Vec<Value> {
    let lines = text(&["events", "--json", "--id", id, "--data", data.to_str().unwrap()]);
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A listener that treats every visitor so, in a thread of its own.
fn listener(mut treat: impl FnMut(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || listener.incoming().flatten().for_each(&mut treat));
    address
}

#[test]
fn a_healthy_honeypot_is_visited_to_the_end_and_keeps_the_upload() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let honeypot = Honeypot::start(&data, &[]);
    // Without a word about addresses, the running honeypot's own are looked at.
    for args in [&["--listen", &at(honeypot.address)][..], &[]] {
        let found = Diagnosis::of(&data, args);
        assert_eq!(found.problems(), [""; 0]);
        let (verdict, who) = found.only("listening");
        assert_eq!(verdict, "ok");
        assert!(who.contains(&format!("pid {}", honeypot.pid())), "{who}");
        let stages = ["negotiate", "session-setup", "tree-connect", "ms17-010", "ping", "upload", "journal"];
        for stage in stages {
            assert_eq!(found.only(&format!("visit.{stage}")).0, "ok", "{stage}");
        }
        for check in ["configuration", "rights", "user", "reach", "firewall", "disk", "journal", "clock"] {
            assert!(!found.about(check).is_empty(), "{check}");
        }
    }
    let captured = events(&data, "sample.captured");
    assert_eq!(captured.len(), 2, "each visit's text is another");
    assert_eq!((&captured[0]["state"], &captured[0]["src_ip"]), (&"complete".into(), &"127.0.0.1".into()));
    let sample = captured[0]["sha256"].as_str().unwrap();
    let path = data.join("samples").join(&sample[..2]).join(&sample[2..4]).join(sample);
    assert!(fs::read_to_string(path).unwrap().contains("roridula doctor"));
    let trees = events(&data, "smb1.tree");
    assert!(trees.iter().all(|tree| tree["path"].as_str().unwrap().contains("roridula-doctor")), "{trees:?}");
    honeypot.stop();
}

#[test]
fn for_people_it_is_a_list_with_the_way_out_under_a_problem() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = roridula(&["doctor", "--listen", &at(free), "--data", data.to_str().unwrap()]);
    let list = String::from_utf8(output.stdout).unwrap();
    assert!(!output.status.success());
    let mut lines = list.lines().skip_while(|line| !line.starts_with("PROBLEM  listening"));
    assert!(lines.next().unwrap().contains("nothing listens"), "{list}");
    let fix = lines.next().unwrap();
    assert!(fix.contains(&format!("roridula run --data {} --listen {free}", data.display())), "{list}");
    assert!(list.lines().any(|line| line.starts_with("note     visit")), "{list}");
    assert!(!data.exists(), "the doctor makes nothing");
}

#[test]
fn another_program_on_the_port_is_named_and_each_way_of_dying_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut kept = Vec::new();
    let silent = listener(move |stream| kept.push(stream));
    let closing = listener(drop);
    let web = listener(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let me = fs::read_to_string("/proc/self/comm").unwrap();
    for (address, death) in [(silent, "no answer within"), (closing, "closed"), (web, "no SMB1")] {
        let found = Diagnosis::of(&data, &["--listen", &at(address)]);
        assert_eq!(found.problems(), ["listening", "visit.negotiate"]);
        let (_, who) = found.only("listening");
        assert!(who.contains(me.trim()) && who.contains(&format!("pid {}", std::process::id())), "{who}");
        let (_, what) = found.only("visit.negotiate");
        assert!(what.contains("dies here") && what.contains(death), "{what}");
        let unvisited = Diagnosis::of(&data, &["--listen", &at(address), "--no-visit"]);
        assert_eq!(unvisited.problems(), ["listening"]);
    }
}

#[test]
fn a_policy_that_catches_nothing_is_explained() {
    for policy in ["absent", "after-exploit"] {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let set = format!("implant.policy={policy}");
        let honeypot = Honeypot::start(&data, &["--set", &set, "--set", "ms17_010=patched"]);
        let listen = at(honeypot.address);
        let found = Diagnosis::of(&data, &["--listen", &listen, "--set", &set, "--set", "ms17_010=patched"]);
        assert_eq!(found.problems(), [""; 0]);
        let notes = found.about("configuration");
        assert!(notes.iter().any(|(verdict, what)| *verdict == "note" && what.contains(policy)), "{notes:?}");
        assert!(found.only("visit.ms17-010").1.contains("patched, as"), "{:?}", found.only("visit.ms17-010"));
        let (verdict, what) = found.only("visit.ping");
        assert!(verdict == "ok" && what.contains(policy), "{what}");
        assert_eq!(found.only("visit.upload").0, "note");
        // Asked without these settings, the doctor goes by what the running honeypot said at its start.
        let unasked = Diagnosis::of(&data, &[]);
        assert_eq!(unasked.problems(), [""; 0]);
        assert!(unasked.about("configuration").iter().any(|(_, what)| what.contains("running")));
        assert_eq!(unasked.only("visit.ms17-010").0, "note");
        honeypot.stop();
    }
}

#[test]
fn an_implant_that_was_told_to_go_explains_its_silence() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut honeypot = Honeypot::start(&data, &[]);
    let plan = Plan {
        sender: Sender::Countercept,
        goal: Goal::Kill,
        path_host: "127.0.0.1".to_owned(),
        later_target: false,
        stubborn: false,
        seed: 1,
    };
    let mut stream = TcpStream::connect(honeypot.address).unwrap();
    let (mut visit, mut frame, mut reply) = (Visit::new(plan), Vec::new(), Vec::new());
    while let Next::Send(_) = visit.next(&reply, &mut frame) {
        stream.write_all(&frame).unwrap();
        reply.resize(1024, 0);
        let len = stream.read(&mut reply).unwrap();
        reply.truncate(len);
    }
    honeypot.event("implant.kill");
    let found = Diagnosis::of(&data, &[]);
    assert_eq!(found.problems(), [""; 0]);
    let (verdict, what) = found.only("visit.ping");
    assert!(verdict == "note" && what.contains("dormant"), "{what}");
    honeypot.stop();
}

#[test]
fn a_sensor_is_known_by_its_proof_and_a_stranger_is_left_alone() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (data, elsewhere) = (dir.path().join("data"), other.path().join("data"));
    let mut honeypot = Honeypot::start(&data, &[]);
    let proof = text(&["doctor", "--proof", "--data", data.to_str().unwrap()]);
    let target = at(honeypot.address);
    // As on another machine: nothing is known but the proof.
    let found = Diagnosis::of(&elsewhere, &["--from", proof.trim(), "--target", &target]);
    assert_eq!(found.problems(), [""; 0]);
    assert_eq!((found.only("visit.upload").0, found.only("visit.journal").0), ("ok", "note"));
    assert!(found.about("disk").is_empty(), "only the visit is made");
    assert_eq!(honeypot.event("sample.captured")["state"], "complete");

    let before = json(&["connections", "list", "--json", "--data", data.to_str().unwrap()]);
    let wrong = "00112233445566778899aabbccddeeff";
    let found = Diagnosis::of(&elsewhere, &["--from", wrong, "--target", &target]);
    assert_eq!(found.problems(), ["visit.negotiate"]);
    assert!(found.only("visit.negotiate").1.contains(proof.trim()), "{:?}", found.findings);
    // Another honeypot's directory is another proof.
    Honeypot::start(&elsewhere, &[]).stop();
    let found = Diagnosis::of(&elsewhere, &["--target", &target, "--listen", &target]);
    assert!(found.problems().contains(&"visit.negotiate"), "{:#?}", found.findings);
    let after = wait_for("two more visits that have ended", || {
        let list = json(&["connections", "list", "--json", "--data", data.to_str().unwrap()]);
        let ended = list.as_array().unwrap().iter().all(|visit| !visit["reason"].is_null());
        (ended && list.as_array().unwrap().len() == before.as_array().unwrap().len() + 2).then_some(list)
    });
    for visit in &after.as_array().unwrap()[..2] {
        let id = visit["connection"].as_str().unwrap();
        let told = text(&[
            "events",
            "--json",
            "--connection",
            id,
            "--id",
            "smb1.",
            "--data",
            data.to_str().unwrap(),
        ]);
        assert_eq!(told.lines().count(), 1, "one NEGOTIATE and nothing else: {told}");
        assert!(told.contains("smb1.negotiate"), "{told}");
    }
    honeypot.stop();
}

#[test]
fn without_a_proof_nobody_else_is_visited() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    for target in ["198.51.100.1:445", "[2001:db8::1]:445", "sensor.example:445", "198.51.100.1"] {
        let output = roridula(&["doctor", "--data", data, "--target", target]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && output.stdout.is_empty(), "{target}");
        assert!(error.contains("--from PROOF"), "{target}: {error}");
    }
    let output = roridula(&["doctor", "--data", data, "--target", "127.0.0.1:1", "--from", "nonsense"]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("doctor --proof"));
    // Without the install's secret nobody here is trusted either: one NEGOTIATE, no more.
    let other = tempfile::tempdir().unwrap();
    let honeypot = Honeypot::start(&other.path().join("data"), &[]);
    let found = Diagnosis::of(dir.path(), &["--listen", &at(honeypot.address)]);
    assert_eq!(found.only("visit.negotiate").0, "note");
    assert!(found.about("visit.session-setup").is_empty());
    honeypot.stop();
}

#[test]
fn a_directory_that_cannot_be_written_is_a_problem() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let honeypot = Honeypot::start(&data, &[]);
    let mode = |mode| fs::set_permissions(&data, Permissions::from_mode(mode)).unwrap();
    mode(0o555);
    let found = Diagnosis::of(&data, &["--no-visit"]);
    mode(0o755);
    assert_eq!(found.problems(), ["disk"]);
    assert!(found.about("disk")[0].1.contains("may not write"), "{:?}", found.about("disk"));
    let full = Diagnosis::of(&data, &["--no-visit", "--set", "capture.reserve_bytes=0x3FFFFFFFFFFFF"]);
    assert!(full.only("disk").1.contains("reserve_bytes"), "{:?}", full.only("disk"));
    honeypot.stop();
}

#[test]
fn every_wrong_setting_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("wrong.toml");
    fs::write(&file, "sensor = \"a\"\n[implant]\npolcy = \"absent\"\n[limit]\nidle_secs = 3\n").unwrap();
    let found = Diagnosis::of(dir.path(), &["--config", file.to_str().unwrap()]);
    assert_eq!(found.problems(), ["configuration", "configuration"]);
    let lines = found.about("configuration");
    assert!(lines[0].1.contains("wrong.toml:3") && lines[0].1.contains("implant.policy"), "{lines:?}");
    assert!(lines[1].1.contains("limits.idle_secs"), "{lines:?}");
    assert!(found.about("visit").is_empty());
}

#[test]
fn a_journal_that_cannot_be_used_is_a_problem() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    Honeypot::start(&data, &[]).stop();
    let well = Diagnosis::of(&data, &["--no-visit", "--listen", "127.0.0.1:0"]);
    assert_eq!(well.problems(), [""; 0]);
    assert!(well.only("journal").1.contains("nobody has come from elsewhere"), "{:?}", well.only("journal"));
    for name in ["journal.sqlite-wal", "journal.sqlite-shm"] {
        let _ = fs::remove_file(data.join(name));
    }
    fs::write(data.join("journal.sqlite"), "this is no database, whatever its name says\n".repeat(100))
        .unwrap();
    let found = Diagnosis::of(&data, &["--no-visit", "--listen", "127.0.0.1:0"]);
    assert_eq!(found.problems(), ["journal"]);
}

#[test]
fn a_door_that_is_shut_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut honeypot = Honeypot::start(&data, &["--set", "gate.connections_per_minute_max=1"]);
    // The first connection of the visit is let in, the second one turned away.
    let found = Diagnosis::of(&data, &[]);
    assert_eq!(found.problems(), ["visit.negotiate"]);
    let died = found.about("visit.negotiate");
    assert!(died[0].0 == "ok" && died[1].1.contains("second connection dies here"), "{died:?}");
    honeypot.event("connection.refused");
    let again = Diagnosis::of(&data, &["--no-visit"]);
    let (_, met) = again.about("journal")[1];
    assert!(met.contains("connections_per_minute_max"), "{met}");
    honeypot.stop();
}
