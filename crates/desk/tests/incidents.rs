//! From a real journal to incidents: one attack is one story, however it is interleaved, cut off, or read.

// Tests own files, threads and a clock for what they measure.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use roridula_desk::incident::{Filter, Incident, IncidentSettings, Incidents, Outcome, Role, Stage};
use roridula_desk::index::Span;
use roridula_desk::sink::{Cursor, Pump};
use roridula_evidence::{Attribution, Batch, Capture, Changes, Closing, Options, Reader, SampleId, Store};
use roridula_proto::connection::ConnectionId;
use roridula_proto::event::{
    Answer, ByteRange, CloseReason, Event, KeySource, Layer, Origin, Reason, Text, Transport, UploadState,
    Verdict,
};
use roridula_proto::time::WallClock;
use std::fmt::Write;
use std::path::Path;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

const MS: u64 = 1000;
const SECOND: u64 = 1000 * MS;
/// When every play begins: 2023-11-14 22:13:20 UTC.
const BEGIN: u64 = 1_700_000_000 * SECOND;
/// A path of the worm's exploit and ping templates.
const TEMPLATE: &str = r"\\192.168.56.20\IPC$";
/// What the worm uploads to an x64 host.
const WORM_SIZE: u64 = 5_304_320;

/// Events that will happen, of any number of visitors at the same time.
#[derive(Default)]
struct Play {
    events: Vec<(u64, Attribution, Event)>,
    connections: u64,
}

/// One connection of a play.
#[derive(Clone, Copy)]
struct Cast {
    whose: Attribution,
}

impl Play {
    fn open(&mut self, source: &str, at: u64) -> Cast {
        self.connections += 1;
        let at = WallClock(BEGIN + at);
        let port = 1024 + self.connections % 60_000;
        let whose = Attribution {
            connection: ConnectionId((at.0 << 11) + self.connections % 2048),
            at,
            source: format!("{source}:{port}").parse().unwrap(),
            destination: "198.51.100.1:445".parse().unwrap(),
        };
        let cast = Cast { whose };
        self.tell(cast, 0, Event::ConnectionOpened { transport: Transport::DirectTcp });
        cast
    }

    /// `after` microseconds since the connection was opened.
    fn tell(&mut self, cast: Cast, after: u64, event: Event) {
        self.events.push((cast.whose.at.0 + after, cast.whose, event));
    }

    fn fingerprint(&mut self, cast: Cast, after: u64, tools: &[&str]) {
        let event = Event::ClientFingerprint {
            fingerprint: "00112233aabbccdd".to_owned(),
            features: String::new(),
            shape: "72 73 75".to_owned(),
            tools: tools.iter().map(|&tool| tool.to_owned()).collect(),
            grounds: tools.iter().map(|tool| format!("what proves {tool}")).collect(),
            recognised: Vec::new(),
        };
        self.tell(cast, after, event);
    }

    fn close(&mut self, cast: Cast, after: u64, reason: CloseReason) {
        let (bytes_in, bytes_out) = (400, 300);
        let closed =
            Event::ConnectionClosed { reason, duration_us: after, bytes_in, bytes_out, events_dropped: 0 };
        self.tell(cast, after, closed);
    }

    fn end(&mut self, cast: Cast, after: u64, tools: &[&str]) -> ConnectionId {
        self.fingerprint(cast, after, tools);
        self.close(cast, after, CloseReason::PeerClosed);
        cast.whose.connection
    }

    fn begin(&mut self, source: &str, at: u64, path: &str) -> Cast {
        let cast = self.open(source, at);
        self.tell(cast, MS, negotiate());
        self.tell(cast, 2 * MS, session("", 0));
        self.tell(cast, 3 * MS, tree(path));
        cast
    }

    fn check(&mut self, source: &str, at: u64, path: &str, tools: &[&str]) -> ConnectionId {
        let cast = self.begin(source, at, path);
        self.tell(cast, 4 * MS, probe());
        self.end(cast, 5 * MS, tools)
    }

    fn ping(&mut self, source: &str, at: u64, answer: Answer, tools: &[&str]) -> ConnectionId {
        let cast = self.begin(source, at, TEMPLATE);
        self.tell(cast, 4 * MS, ping(answer));
        self.end(cast, 5 * MS, tools)
    }

    fn upload(&mut self, source: &str, at: u64, tools: &[&str]) -> ConnectionId {
        let cast = self.begin(source, at, TEMPLATE);
        self.tell(cast, 4 * MS, ping(Answer::Present));
        self.tell(cast, 5 * MS, upload_started());
        self.tell(cast, 900 * MS, upload_finished(UploadState::Complete, WORM_SIZE));
        self.tell(cast, 910 * MS, captured("ab", Origin::DoublePulsar, UploadState::Complete, WORM_SIZE));
        self.end(cast, 920 * MS, tools)
    }

    /// The worm's exploit: the main connection, two holes, twenty grooms; 23 connections in 12 s.
    fn exploit(&mut self, source: &str, at: u64, answer: Answer, tools: &[&str]) -> Vec<ConnectionId> {
        let main = self.begin(source, at, r"\\172.16.99.5\IPC$");
        self.tell(main, 10 * MS, step("overflow-begun"));
        let mut all = vec![main.whose.connection];
        for number in 0..22 {
            let beside = self.open(source, at + (50 + number) * MS);
            if number < 2 {
                self.tell(beside, MS, negotiate());
                self.tell(beside, 2 * MS, step("hole"));
                all.push(self.end(beside, SECOND + number * MS, &[]));
            } else {
                self.tell(beside, 10 * SECOND, step("groom"));
                let buffer = captured("cd", Origin::ExploitBuffer, UploadState::Complete, 4204);
                self.tell(beside, 10 * SECOND + MS, buffer);
                // Some end before the exploit's own connection, some after it.
                all.push(self.end(beside, (2 + number) * SECOND / 2 + 2 * SECOND, &[]));
            }
        }
        self.tell(main, 2 * SECOND, step("overflow-ended"));
        self.tell(main, 2 * SECOND + MS, completed(answer));
        self.end(main, 12 * SECOND, tools);
        all
    }

    /// What the worm does where the implant is present: four connections in 6 s.
    fn worm_present(&mut self, source: &str, at: u64, path: &str) {
        self.check(source, at, path, &["checker"]);
        self.ping(source, at + 3 * SECOND, Answer::Present, &["wannacry"]);
        self.ping(source, at + 6 * SECOND, Answer::Present, &["wannacry"]);
        self.upload(source, at + 6 * SECOND + 30 * MS, &["wannacry"]);
    }

    /// What the worm does where only its exploit makes the implant present: 28 connections.
    fn worm_exploits(&mut self, source: &str, at: u64, path: &str) {
        self.check(source, at, path, &["checker", "wannacry"]);
        self.ping(source, at + 3 * SECOND, Answer::Absent, &["wannacry"]);
        self.exploit(source, at + 6 * SECOND, Answer::Present, &["fuzzbunch"]);
        for number in 0..3 {
            self.ping(source, at + (24 + 3 * number) * SECOND, Answer::Present, &["wannacry"]);
        }
        self.upload(source, at + 30 * SECOND + 30 * MS, &["wannacry"]);
    }

    /// Puts it on record in the order of time.
    fn perform(&mut self, store: &Store) {
        let mut events = std::mem::take(&mut self.events);
        events.sort_by_key(|(time, ..)| *time);
        for (time, whose, event) in events {
            let closing = matches!(event, Event::ConnectionClosed { .. }).then(Closing::default);
            let events = vec![(WallClock(time), event)];
            let batch = Batch { attribution: whose, events, changes: Changes::default(), closing };
            store.append_blocking(batch);
        }
        store.flush();
    }
}

fn negotiate() -> Event {
    Event::Smb1Negotiate {
        dialects: vec![Text::from("NT LM 0.12")],
        selected: Some(0),
        extended_security: false,
        flags: 0x18,
        flags2: 0xc053,
        pid: 0xfeff,
        mid: 64,
    }
}

fn session(account: &str, status: u32) -> Event {
    Event::Smb1Session {
        method: "legacy".to_owned(),
        account: Text::from(account),
        domain: Text::default(),
        workstation: Text::default(),
        native_os: Text::default(),
        native_lan_manager: Text::default(),
        response: String::new(),
        uid: 0x800,
        status,
    }
}

fn tree(path: &str) -> Event {
    Event::Smb1Tree {
        path: Text::from(path),
        service: Text::from("?????"),
        trailing: Text::default(),
        tid: 0x800,
        status: 0,
    }
}

fn probe() -> Event {
    let (verdict, status) = (Verdict::Vulnerable, 0xc000_0205);
    Event::Ms17010Probe { verdict, pid: 0x800, mid: 24_261, status, stream_at: 272 }
}

fn ping(answer: Answer) -> Event {
    Event::ImplantPing {
        answer,
        reason: Reason::Exploited,
        timeout: 0x00ee_3401,
        mid: 65,
        seed: 1,
        arch: "x64".to_owned(),
        stream_at: 377,
    }
}

fn kill(answer: Answer) -> Event {
    let reason = Reason::PolicyPresent;
    Event::ImplantKill { answer, reason, timeout: 0x690e, mid: 0x42, stream_at: 377 }
}

fn step(step: &str) -> Event {
    Event::ExploitStep {
        exploit: "eternalblue".to_owned(),
        step: step.to_owned(),
        grounds: "as the test says".to_owned(),
        stream_at: 401,
        size: 66_512,
    }
}

fn completed(answer: Answer) -> Event {
    let (exploit, reason) = ("eternalblue".to_owned(), Reason::Exploited);
    Event::ExploitCompleted { exploit, answer, reason, stream_at: 67_000 }
}

fn upload_started() -> Event {
    Event::UploadStarted {
        upload: 1,
        answer: Answer::Present,
        reason: Reason::Exploited,
        total: Some(WORM_SIZE),
        key: Some(7),
        key_source: KeySource::Seed,
        timeout: 0x001a_8925,
        mid: 66,
        stream_at: 459,
    }
}

fn upload_finished(state: UploadState, received: u64) -> Event {
    Event::UploadFinished {
        upload: 1,
        state,
        total: Some(WORM_SIZE),
        received,
        ranges: vec![ByteRange { start: 0, end: received }],
        chunks: received / 4096,
        repeats: 0,
    }
}

fn captured(sha256: &str, origin: Origin, state: UploadState, size: u64) -> Event {
    Event::SampleCaptured {
        upload: 1,
        sha256: sha256.repeat(32),
        md5: String::new(),
        sha1: String::new(),
        size,
        state,
        total: Some(WORM_SIZE),
        ranges: vec![ByteRange { start: 0, end: size }],
        origin,
        first_seen: true,
        recovered: false,
    }
}

fn open(dir: &Path) -> Store {
    Store::open(dir, "porch", Options::default()).unwrap()
}

/// The incidents of `dir`, the oldest first.
fn incidents(dir: &Path) -> Vec<Incident> {
    let mut view = Incidents::open(dir, None).unwrap();
    view.catch_up(&mut |_| ()).unwrap();
    let mut all = view.list(&Filter::default()).unwrap();
    all.reverse();
    all
}

/// What happens in a play, put together.
fn performed(fill: impl FnOnce(&mut Play)) -> Vec<Incident> {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut play = Play::default();
    fill(&mut play);
    play.perform(&store);
    incidents(dir.path())
}

/// Every row of the view but the cursor.
fn content(dir: &Path) -> String {
    let db = rusqlite::Connection::open(dir.join("desk/incidents.sqlite")).unwrap();
    let mut text = String::new();
    for (table, order) in [
        ("incident", "n"),
        ("record", "n"),
        ("incident_sample", "sha256, incident"),
        ("member", "connection"),
        ("visit", "connection"),
        ("triage", "sha256"),
    ] {
        let mut statement = db.prepare(&format!("SELECT * FROM {table} ORDER BY {order}")).unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let values: Vec<_> =
                (0..columns).map(|at| row.get::<_, rusqlite::types::Value>(at).unwrap()).collect();
            writeln!(text, "{table} {values:?}").unwrap();
        }
    }
    text
}

fn stages(incident: &Incident) -> Vec<Stage> {
    incident.stages.iter().map(|stage| stage.stage).collect()
}

fn count(incident: &Incident, stage: Stage) -> u64 {
    incident.stages.iter().find(|found| found.stage == stage).map_or(0, |found| found.count)
}

fn ids(techniques: &[roridula_desk::incident::Technique]) -> Vec<&str> {
    techniques.iter().map(|technique| technique.id).collect()
}

#[test]
fn the_worm_and_a_present_implant_are_one_story_of_four_connections() {
    let found = performed(|play| play.worm_present("192.0.2.7", 0, r"\\10.0.0.9\IPC$"));
    let [incident] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((incident.connections, incident.outcome), (4, Outcome::Captured));
    assert_eq!(
        incident.summary,
        "WannaCry from 192.0.2.7 checked for MS17-010, found the implant, uploaded 5,304,320 bytes, captured whole; \
         first seen"
    );
    use Stage::{Capture, Connect, Implant, Logon, Ping, Probe, Upload};
    assert_eq!(stages(incident), [Connect, Logon, Probe, Ping, Implant, Upload, Capture]);
    assert_eq!(incident.tool.name.as_deref(), Some("wannacry"));
    assert_eq!(incident.tool.seen.keys().collect::<Vec<_>>(), ["checker", "wannacry"]);
    assert_eq!((incident.first.0, incident.last.0), (BEGIN, BEGIN + 6 * SECOND + 950 * MS));
    let probe = &incident.stages[2];
    assert_eq!((probe.count, probe.first.0), (1, BEGIN + 4 * MS));
    assert_eq!((probe.evidence[0].connection, probe.evidence[0].stream_at), (incident.id.0, Some(272)));
    assert_eq!((incident.samples.len(), incident.buffers.len(), incident.notes.len()), (1, 0, 0));
    // What was seen, and apart from it what is known of the worm and its implant elsewhere.
    assert_eq!(ids(&incident.attack.observed), ["T1595.002", "T1205", "T1105", "T1027.013"]);
    let implied = ids(&incident.attack.implied);
    assert!(["T1620", "S0366", "T1486"].iter().all(|id| implied.contains(id)), "{implied:?}");
}

#[test]
fn the_worm_that_has_to_exploit_first_is_one_story_of_all_its_connections() {
    let found = performed(|play| play.worm_exploits("10.1.2.3", 0, r"\\10.0.0.9\IPC$"));
    let [incident] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((incident.connections, incident.outcome), (29, Outcome::Captured));
    assert_eq!(
        incident.summary,
        "WannaCry from 10.1.2.3 checked for MS17-010, found no implant, ran EternalBlue over 23 connections, was \
         answered as implanted, uploaded 5,304,320 bytes, captured whole; first seen"
    );
    let stages = stages(incident);
    assert!(stages.is_sorted() && stages.len() == 8, "{stages:?}");
    let role = |role| incident.roles.get(&role).copied().unwrap_or(0);
    assert_eq!([role(Role::Exploit), role(Role::Groom), role(Role::Hole), role(Role::Ping)], [1, 20, 2, 4]);
    assert_eq!(
        (incident.exploits_completed, incident.buffers.len(), incident.buffers[0].captures),
        (1, 1, 20)
    );
    // A private address: it moves within a network.
    assert_eq!(ids(&incident.attack.observed), ["T1595.002", "T1205", "T1210", "T1570", "T1027.013"]);
}

#[test]
fn five_attempts_on_a_clean_host_stay_one_incident() {
    let found = performed(|play| {
        play.check("192.0.2.7", 0, r"\\10.0.0.9\IPC$", &["checker"]);
        for attempt in 0..5 {
            let at = (3 + 21 * attempt) * SECOND;
            play.ping("192.0.2.7", at, Answer::Absent, &["wannacry"]);
            play.exploit("192.0.2.7", at + 3 * SECOND, Answer::Absent, &["fuzzbunch"]);
        }
        play.ping("192.0.2.7", 108 * SECOND, Answer::Absent, &["wannacry"]);
    });
    let [incident] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((incident.connections, incident.outcome), (1 + 5 * 24 + 1, Outcome::Exploited));
    assert!(
        incident.summary.ends_with(
            "found no implant, ran EternalBlue 5 times over 115 connections, was answered as not implanted"
        ),
        "{}",
        incident.summary
    );
    assert_eq!((count(incident, Stage::Ping), count(incident, Stage::Implant)), (6, 0));
    assert_eq!(incident.notes, [""; 0]);
}

#[test]
fn a_long_silence_begins_another_incident() {
    let visits = |gap: u64| {
        performed(|play| {
            let first = play.open("192.0.2.7", 0);
            play.end(first, SECOND, &[]);
            let second = play.open("192.0.2.7", SECOND + gap);
            play.end(second, SECOND, &[]);
            // Another address is another attacker at any time.
            let other = play.open("192.0.2.8", SECOND);
            play.end(other, SECOND, &[]);
        })
    };
    assert_eq!(visits(900 * SECOND).len(), 2);
    assert_eq!(visits(900 * SECOND + 1).len(), 3);
}

#[test]
fn two_tools_behind_one_address_are_two_incidents() {
    let found = performed(|play| {
        play.worm_present("192.0.2.7", 0, r"\\10.0.0.9\IPC$");
        play.check("192.0.2.7", SECOND, r"\\198.51.100.1\IPC$", &["nmap"]);
        play.ping("192.0.2.7", 2 * SECOND, Answer::Present, &["nmap"]);
        play.check("192.0.2.7", 4 * SECOND, r"\\198.51.100.1\IPC$", &["metasploit-scanner"]);
        play.exploit("192.0.2.7", 20 * SECOND, Answer::Present, &["metasploit-eternalblue"]);
    });
    let told: Vec<_> = found.iter().map(|one| (one.tool.name.as_deref().unwrap(), one.connections)).collect();
    assert_eq!(told, [("nmap", 2), ("wannacry", 4), ("metasploit", 24)]);
    assert!(found[0].notes[0].contains("the tools exclude each other"), "{:?}", found[0].notes);
}

#[test]
fn two_worms_behind_one_address_both_end_as_whole_stories() {
    for shift in [200 * MS, 1500 * MS, 3 * SECOND] {
        let found = performed(|play| {
            play.worm_present("192.0.2.7", 0, r"\\10.0.0.9\IPC$");
            play.worm_present("192.0.2.7", shift, r"\\10.0.0.77\IPC$");
        });
        assert_eq!(found.len(), 2, "{found:?}");
        for incident in &found {
            assert_eq!((incident.connections, incident.outcome), (4, Outcome::Captured), "{shift}");
            let pings = (count(incident, Stage::Probe), count(incident, Stage::Upload));
            assert_eq!(pings, (1, 1), "{shift}");
            // Which ping was whose cannot be known, and that is said.
            assert!(incident.notes.iter().any(|note| note.starts_with("guessed")), "{:?}", incident.notes);
        }
        let first = found.iter().min_by_key(|incident| incident.first).unwrap();
        let other = found.iter().find(|incident| incident.id != first.id).unwrap();
        assert!(other.notes[0].contains(r"its check names another host (\\10.0.0.77\IPC$)"));
    }
}

#[test]
fn two_exploiting_worms_behind_one_address_keep_their_grooms_apart() {
    let found = performed(|play| {
        play.worm_exploits("192.0.2.7", 0, r"\\10.0.0.9\IPC$");
        play.worm_exploits("192.0.2.7", 4 * SECOND, r"\\10.0.0.77\IPC$");
    });
    assert_eq!(found.len(), 2);
    for incident in &found {
        let role = |role| incident.roles.get(&role).copied().unwrap_or(0);
        let roles = [Role::Check, Role::Ping, Role::Exploit, Role::Groom, Role::Hole, Role::Upload].map(role);
        assert_eq!(roles, [1, 4, 1, 20, 2, 1], "{incident:?}");
        assert_eq!(incident.outcome, Outcome::Captured);
    }
}

#[test]
fn one_step_after_the_other_is_never_two_at_once() {
    let found = performed(|play| {
        for at in [0, 2 * SECOND] {
            let cast = play.begin("192.0.2.7", at, TEMPLATE);
            play.tell(cast, 4 * MS, ping(Answer::Present));
            play.tell(cast, 5 * MS, upload_started());
            play.end(cast, 5 * SECOND, &["wannacry"]);
        }
    });
    assert_eq!(found.len(), 2);
    assert!(found[1].notes[0].contains("at two at once"), "{:?}", found[1].notes);
    // One that fell silent was not at it any more, even if we kept it open.
    let found = performed(|play| {
        let silent = play.begin("192.0.2.7", 0, TEMPLATE);
        play.tell(silent, 4 * MS, ping(Answer::Present));
        play.fingerprint(silent, 120 * SECOND, &["wannacry"]);
        play.close(silent, 120 * SECOND, CloseReason::Idle);
        play.upload("192.0.2.7", 3 * SECOND, &["wannacry"]);
    });
    assert_eq!((found.len(), found[0].connections), (1, 2));
}

#[test]
fn an_empty_connect_in_front_takes_the_tool_of_what_follows() {
    let found = performed(|play| {
        let sweep = play.open("192.0.2.7", 0);
        play.close(sweep, MS, CloseReason::PeerClosed);
        play.worm_present("192.0.2.7", SECOND, r"\\10.0.0.9\IPC$");
    });
    let [incident] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((incident.connections, incident.roles[&Role::Connect]), (5, 1));
    assert_eq!(incident.tool.name.as_deref(), Some("wannacry"));
}

#[test]
fn a_kill_is_the_outcome_while_it_is_the_last_thing_done() {
    let removed = |then_pinged: bool, answer| {
        let found = performed(|play| {
            play.upload("192.0.2.7", 0, &["fuzzbunch"]);
            let cast = play.begin("192.0.2.7", 5 * SECOND, TEMPLATE);
            play.tell(cast, 4 * MS, kill(answer));
            play.end(cast, 5 * MS, &["fuzzbunch"]);
            if then_pinged {
                play.ping("192.0.2.7", 9 * SECOND, Answer::Present, &["fuzzbunch"]);
            }
        });
        found[0].outcome
    };
    assert_eq!(removed(false, Answer::Present), Outcome::Killed);
    assert_eq!(removed(true, Answer::Present), Outcome::Captured);
    assert_eq!(removed(false, Answer::Absent), Outcome::Captured);
}

#[test]
fn guessed_passwords_and_shares_of_files_are_observed() {
    let found = performed(|play| {
        let cast = play.open("203.0.113.5", 0);
        for (after, account) in [(1, "admin"), (2, "root"), (3, "guest")] {
            play.tell(cast, after * MS, session(account, 0xc000_006d));
        }
        play.tell(cast, 9 * MS, tree(r"\\h\ADMIN$"));
        play.end(cast, SECOND, &["impacket"]);
    });
    assert_eq!(ids(&found[0].attack.observed), ["T1021.002", "T1110"]);
    assert_eq!((found[0].attack.implied.len(), found[0].outcome), (0, Outcome::Connected));
    assert_eq!(found[0].summary, "Impacket from 203.0.113.5 tried 3 logons with an account, in vain");
}

#[test]
fn a_dropped_upload_is_uploaded_and_not_captured() {
    let found = performed(|play| {
        let cast = play.begin("192.0.2.7", 0, TEMPLATE);
        play.tell(cast, 5 * MS, upload_started());
        play.tell(cast, SECOND, upload_finished(UploadState::Partial, 40_960));
        play.tell(cast, SECOND, captured("ef", Origin::DoublePulsar, UploadState::Partial, 40_960));
        play.fingerprint(cast, SECOND, &["wannacry"]);
        play.close(cast, SECOND, CloseReason::PeerReset);
    });
    assert_eq!(found[0].outcome, Outcome::Uploaded);
    assert!(!ids(&found[0].attack.implied).contains(&"T1620"), "nothing whole, nothing to load");
    assert!(found[0].summary.contains("uploaded 40,960 of 5,304,320 bytes"), "{}", found[0].summary);
}

#[test]
fn a_restart_in_the_middle_of_an_attack_leaves_one_incident() {
    let dir = tempfile::tempdir().unwrap();
    let mut play = Play::default();
    let source = "192.0.2.7";
    let store = open(dir.path());
    play.check(source, 0, r"\\10.0.0.9\IPC$", &["checker"]);
    play.ping(source, 3 * SECOND, Answer::Absent, &["wannacry"]);
    // The exploit and its grooms are open when the honeypot is killed.
    let main = play.begin(source, 6 * SECOND, r"\\172.16.99.5\IPC$");
    play.tell(main, 10 * MS, step("overflow-begun"));
    let grooms: Vec<_> = (1..6).map(|number| play.open(source, 6 * SECOND + number * 20 * MS)).collect();
    play.end(grooms[0], SECOND, &[]);
    play.perform(&store);
    assert_eq!(incidents(dir.path())[0].connections, 2, "what is open belongs to nobody yet");
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.recovered().connections, 5);
    play.ping(source, 40 * SECOND, Answer::Present, &["wannacry"]);
    play.upload(source, 41 * SECOND, &["wannacry"]);
    play.perform(&store);
    let found = incidents(dir.path());
    let [incident] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((incident.connections, incident.outcome), (2 + 6 + 2, Outcome::Captured));
    let mut view = Incidents::open(dir.path(), None).unwrap();
    let members = view.connections(incident.id).unwrap();
    assert_eq!(members.iter().filter(|member| member.reason == "killed").count(), 5);
    for member in members {
        assert_eq!(view.of_connection(member.connection).unwrap(), Some(incident.id));
    }
}

#[test]
fn what_is_told_after_a_connections_end_finds_its_incident() {
    use sha2::{Digest, Sha256};
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut play = Play::default();
    let cast = play.begin("192.0.2.7", 0, TEMPLATE);
    play.tell(cast, 5 * MS, upload_started());
    play.end(cast, SECOND, &["wannacry"]);
    play.perform(&store);
    assert_eq!(incidents(dir.path())[0].outcome, Outcome::Uploaded);

    let bytes = b"inert";
    let mut slot = store.slot(&cast.whose, 1, Origin::DoublePulsar).unwrap();
    slot.write(0, bytes).unwrap();
    let capture = Capture {
        attribution: cast.whose,
        upload: 1,
        origin: Origin::DoublePulsar,
        state: UploadState::Complete,
        total: Some(5),
        ranges: slot.ranges().to_vec(),
        sha256: SampleId(Sha256::digest(bytes).into()),
        size: 5,
    };
    store.keep_new(capture.clone(), slot).unwrap();
    let sha256 = capture.sha256.to_string();
    let layer = Layer {
        depth: 0,
        kind: "pe".to_owned(),
        name: Text::default(),
        state: "intact".to_owned(),
        found_by: "x".to_owned(),
        offset: 0,
        size: 5,
        sha256: sha256.clone(),
    };
    store.publish(triaged(sha256, vec![layer]));
    store.flush();
    let incident = &incidents(dir.path())[0];
    assert_eq!((incident.outcome, incident.samples.len()), (Outcome::Captured, 1));
    assert!(incident.samples[0].triaged && incident.samples[0].layers.len() == 1);
    assert_eq!(incident.stages.last().unwrap().stage, Stage::Capture);
}

fn triaged(sha256: String, layers: Vec<Layer>) -> Event {
    Event::SampleTriaged {
        sha256,
        layers,
        core: String::new(),
        family: String::new(),
        confidence: String::new(),
        rules: String::new(),
        error: String::new(),
    }
}

/// A play with everything in it: sixty sources at once, one address with two worms, late and unended things.
fn mixed(dir: &Path) -> Store {
    let store = open(dir);
    let mut play = Play::default();
    for number in 0..60 {
        let (source, at) = (format!("10.0.{}.{}", number / 50, number), number * 731 * MS);
        match number % 5 {
            0 => play.worm_exploits(&source, at, r"\\10.0.0.9\IPC$"),
            1 => play.worm_present(&source, at, r"\\10.0.0.9\IPC$"),
            2 => drop(play.check(&source, at, r"\\198.51.100.1\IPC$", &["nmap"])),
            3 => drop(play.exploit(&source, at, Answer::Absent, &["metasploit-eternalblue"])),
            _ => {
                let cast = play.open(&source, at);
                play.close(cast, 120 * SECOND, CloseReason::Idle);
            }
        }
    }
    play.worm_exploits("10.9.9.9", 0, r"\\10.0.0.1\IPC$");
    play.worm_exploits("10.9.9.9", 2 * SECOND, r"\\10.0.0.2\IPC$");
    let open_still = play.begin("10.9.9.9", 50 * SECOND, TEMPLATE);
    play.tell(open_still, 10 * MS, step("overflow-begun"));
    let waits = play.open("10.9.9.9", 51 * SECOND);
    play.end(waits, SECOND, &[]);
    play.perform(&store);
    store.publish(triaged("ab".repeat(32), Vec::new()));
    store.flush();
    store
}

#[test]
fn deleted_rebuilt_or_cut_into_any_batches_it_is_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let _store = mixed(dir.path());
    let found = incidents(dir.path());
    assert_eq!(found.len(), 60 + 2);
    let expected = content(dir.path());
    Incidents::open(dir.path(), None).unwrap().rebuild(&mut |_| ()).unwrap();
    assert_eq!(content(dir.path()), expected, "rebuilt");
    for batch in [1, 2, 7, 100, 100_000] {
        std::fs::remove_dir_all(dir.path().join("desk")).unwrap();
        Incidents::open(dir.path(), None).unwrap().catch_up_by(batch).unwrap();
        assert_eq!(content(dir.path()), expected, "batches of {batch}");
    }
    // Each batch by a process of its own, which knows nothing but the file.
    std::fs::remove_dir_all(dir.path().join("desk")).unwrap();
    let last = Reader::open(dir.path()).unwrap().last_seq().unwrap();
    while Incidents::open(dir.path(), None).unwrap().cursor().unwrap() < last {
        Incidents::open(dir.path(), None).unwrap().catch_up_once(50).unwrap();
    }
    assert_eq!(content(dir.path()), expected, "by many processes");
    // One that may not be written is the same, too.
    let mut temporary = Incidents::temporary(dir.path(), IncidentSettings::default()).unwrap();
    temporary.catch_up(&mut |_| ()).unwrap();
    let told = |incidents: &[Incident]| serde_json::to_string(incidents).unwrap();
    let mut all = temporary.list(&Filter::default()).unwrap();
    all.reverse();
    assert_eq!(told(&all), told(&found));
}

#[test]
fn many_may_catch_it_up_at_the_same_time() {
    let dir = tempfile::tempdir().unwrap();
    let _store = mixed(dir.path());
    let barrier = Barrier::new(4);
    thread::scope(|scope| {
        for batch in [3, 10, 64, 500] {
            let (dir, barrier) = (dir.path(), &barrier);
            scope.spawn(move || {
                let view = Incidents::open(dir, None);
                // Whoever could not open it keeps nobody waiting.
                barrier.wait();
                view.unwrap().catch_up_by(batch).unwrap();
            });
        }
    });
    let together = content(dir.path());
    Incidents::open(dir.path(), None).unwrap().rebuild(&mut |_| ()).unwrap();
    assert_eq!(content(dir.path()), together);
}

#[test]
fn as_a_sink_it_keeps_up_and_reads_what_it_lacks() {
    let dir = tempfile::tempdir().unwrap();
    let store = mixed(dir.path());
    let view = || Box::new(Incidents::open(dir.path(), None).unwrap());
    // The pump stands at the journal's end while the view knows nothing.
    let end = Reader::open(dir.path()).unwrap().last_seq().unwrap();
    let reader = Reader::open(dir.path()).unwrap();
    let mut pump = Pump::new(reader, view(), Cursor::in_memory(end)).unwrap();
    let mut play = Play::default();
    for number in 0..30 {
        play.worm_present(&format!("10.3.0.{number}"), (100 + number) * SECOND, r"\\10.0.0.9\IPC$");
    }
    play.perform(&store);
    while pump.step().unwrap() {}
    let kept_up = content(dir.path());
    assert!(kept_up.contains("10.3.0.29"));
    view().rebuild(&mut |_| ()).unwrap();
    assert_eq!(content(dir.path()), kept_up);
    // Somebody deletes it under the running honeypot.
    std::fs::remove_dir_all(dir.path().join("desk")).unwrap();
    store.publish(Event::SensorStopped { connections: 1 });
    store.flush();
    while pump.step().unwrap() {}
    assert_eq!(content(dir.path()), kept_up);
}

/// Whoever only reads has nothing to catch up: he must see by himself that his file is no longer the one.
#[test]
fn who_reads_follows_others_to_the_file_that_they_make_anew() {
    let dir = tempfile::tempdir().unwrap();
    let store = mixed(dir.path());
    let before = incidents(dir.path()).len();
    let mut reader = Incidents::open(dir.path(), None).unwrap();
    assert_eq!(reader.list(&Filter::default()).unwrap().len(), before);
    // Its log and that log's index stay, as they do when somebody deletes what has the name that he knows.
    std::fs::remove_file(dir.path().join("desk/incidents.sqlite")).unwrap();
    let mut play = Play::default();
    play.worm_present("10.4.0.1", 5000 * SECOND, r"\\10.0.0.9\IPC$");
    play.perform(&store);
    let mut keeper = Incidents::open(dir.path(), None).unwrap();
    keeper.catch_up(&mut |_| ()).unwrap();
    assert_eq!(keeper.list(&Filter::default()).unwrap().len(), before + 1);
    assert_eq!(reader.list(&Filter::default()).unwrap().len(), before + 1);
}

#[test]
fn a_damaged_or_foreign_view_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = mixed(dir.path());
    let expected = incidents(dir.path()).len();
    let path = dir.path().join("desk/incidents.sqlite");
    let fresh = content(dir.path());
    std::fs::write(&path, b"no database").unwrap();
    assert_eq!(incidents(dir.path()).len(), expected);
    assert_eq!(content(dir.path()), fresh);
    for sql in ["PRAGMA user_version = 999", "DROP TABLE member", "UPDATE record SET state = '{'"] {
        // The last of them is found only when the row is read.
        rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        store.publish(Event::SensorStopped { connections: 1 });
        let mut play = Play::default();
        let cast = play.open("10.9.9.9", 60 * SECOND);
        play.close(cast, SECOND, CloseReason::PeerClosed);
        play.perform(&store);
        assert_eq!(incidents(dir.path()).len(), expected, "{sql}");
    }
    // Another journal in the same place.
    drop(store);
    std::fs::remove_file(dir.path().join("journal.sqlite")).unwrap();
    let store = open(dir.path());
    let mut play = Play::default();
    play.worm_present("192.0.2.7", 7 * SECOND, r"\\10.0.0.9\IPC$");
    play.perform(&store);
    assert_eq!(incidents(dir.path()).len(), 1);
}

#[test]
fn other_settings_make_it_again_and_none_leave_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut play = Play::default();
    for at in [0, 100, 200, 1000] {
        let cast = play.open("192.0.2.7", at * SECOND);
        play.end(cast, SECOND, &[]);
    }
    play.perform(&store);
    assert_eq!(incidents(dir.path()).len(), 1);
    let settings = IncidentSettings { window_secs: 120, connections_max: 2 };
    Incidents::open(dir.path(), Some(settings)).unwrap().catch_up(&mut |_| ()).unwrap();
    let found = incidents(dir.path());
    assert_eq!(found.iter().map(|incident| incident.connections).collect::<Vec<_>>(), [3, 1]);
    assert_eq!(found[0].notes, ["only the first 2 connections are listed"]);
    let mut view = Incidents::open(dir.path(), None).unwrap();
    assert_eq!(view.connections(found[0].id).unwrap().len(), 2);
}

#[test]
fn a_filter_finds_by_source_outcome_and_tool() {
    let dir = tempfile::tempdir().unwrap();
    let _store = mixed(dir.path());
    let mut view = Incidents::open(dir.path(), None).unwrap();
    view.catch_up(&mut |_| ()).unwrap();
    let all = view.list(&Filter::default()).unwrap();
    let order: Vec<_> = all.iter().map(|incident| incident.last).collect();
    assert!(order.is_sorted_by(|one, next| one >= next), "something happened in the first last");
    let mut count = |filter: Filter| {
        let found = view.list(&filter).unwrap().len();
        // What the feed shows to those who filter is what the list shows.
        if filter.samples.is_none() {
            assert_eq!(all.iter().filter(|incident| filter.fits(incident)).count(), found, "{filter:?}");
        }
        found
    };
    let mut of_tool = |tool: &str| count(Filter { tool: Some(tool.to_owned()), ..Filter::default() });
    assert_eq!([of_tool("wannacry"), of_tool("nmap"), of_tool("metasploit-eternalblue")], [26, 12, 12]);
    assert_eq!([of_tool("wanna"), of_tool("fuzzbunch")], [0, 14]);
    let of_source = Filter { source: Some("10.9.9.9".parse().unwrap()), ..Filter::default() };
    assert_eq!(count(of_source), 2);
    let mut of_outcome = |outcome| count(Filter { outcome: Some(outcome), ..Filter::default() });
    assert_eq!([of_outcome(Outcome::Captured), of_outcome(Outcome::Connected)], [26, 12]);
    let mut of_stage = |stage| count(Filter { stage: Some(stage), ..Filter::default() });
    assert_eq!([of_stage(Stage::Connect), of_stage(Stage::Upload), of_stage(Stage::Kill)], [62, 26, 0]);
    let mut of_network =
        |network: &str| count(Filter { network: Some(network.parse().unwrap()), ..Filter::default() });
    assert_eq!([of_network("10.0.0.0/24"), of_network("10.9.0.0/16"), of_network("0.0.0.0/0")], [50, 2, 62]);
    let mut of_sample = |byte: &str| {
        count(Filter { samples: Some(vec!["ff".to_owned(), byte.repeat(32)]), ..Filter::default() })
    };
    assert_eq!([of_sample("ab"), of_sample("ff")], [26, 0]);
    let of_text = count(Filter { text: Some("WANNAcry FROM".to_owned()), ..Filter::default() });
    assert!((24..=26).contains(&of_text), "{of_text}");
    let known = view.list(&Filter::default()).unwrap();
    let shows = |incident: &&Incident| {
        incident.attack.observed.iter().any(|one| ["T1190", "T1210"].contains(&one.id))
    };
    let technique = Filter { technique: Some("T1210".to_owned()), ..Filter::default() };
    assert!(known.iter().any(|one| shows(&one)));
    assert!(known.iter().all(|one| technique.fits(one) == shows(&one)), "either name finds it");
    assert_eq!(view.count(&technique).unwrap(), known.iter().filter(shows).count() as u64);
    // A quarter of a minute in the middle: what goes on in it belongs to it.
    let span = Span { since: WallClock(BEGIN + 20 * SECOND), until: WallClock(BEGIN + 35 * SECOND) };
    let inside = known.iter().filter(|one| one.last >= span.since && one.first < span.until).count();
    assert_eq!(view.count(&Filter { span, ..Filter::default() }).unwrap(), inside as u64);
    assert!((1..62).contains(&inside));
    let (mut paged, mut cursor) = (Vec::new(), None);
    loop {
        let page = view.page(&Filter::default(), cursor.as_deref(), 7).unwrap();
        paged.extend(page.rows.iter().map(|incident| incident.id));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(paged, known.iter().map(|incident| incident.id).collect::<Vec<_>>());
    let newest = view.list(&Filter { limit: Some(3), ..Filter::default() }).unwrap();
    assert!(newest.len() == 3 && newest.is_sorted_by(|a, b| a.first >= b.first));
    assert_eq!(view.ids(3).unwrap(), newest.iter().map(|incident| incident.id).collect::<Vec<_>>());
}

#[test]
fn one_address_with_a_new_face_each_time_is_bounded() {
    let found = performed(|play| {
        for number in 0..40 {
            let path = format!(r"\\10.0.0.{number}\IPC$");
            play.check("192.0.2.7", number * SECOND, &path, &["wannacry"]);
        }
    });
    assert_eq!(found.len(), 16);
    assert_eq!(found.iter().map(|incident| incident.connections).sum::<u64>(), 40);
    assert!(found.iter().any(|one| one.notes.iter().any(|note| note.contains("fit none of the many"))));
}

/// Also measures: `cargo test -p roridula-desk --test incidents flood -- --nocapture`.
#[test]
fn a_flood_from_one_source_is_one_bounded_incident() {
    const CONNECTIONS: u64 = 100_000;
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut play = Play::default();
    for number in 0..CONNECTIONS {
        let cast = play.open("192.0.2.7", number * MS);
        play.close(cast, 100, CloseReason::PeerClosed);
    }
    play.perform(&store);
    let mut view = Incidents::open(dir.path(), None).unwrap();
    let began = Instant::now();
    view.catch_up(&mut |_| ()).unwrap();
    let rate = (2.0 * CONNECTIONS as f64 / began.elapsed().as_secs_f64()).round();
    println!("{rate} events a second in this profile");
    let found = view.list(&Filter::default()).unwrap();
    let [incident] = found.as_slice() else { panic!("{} incidents", found.len()) };
    assert_eq!(incident.connections, CONNECTIONS);
    assert_eq!(incident.stages[0].evidence.len(), 32);
    assert_eq!(view.connections(incident.id).unwrap().len(), 4096);
    assert!(serde_json::to_string(incident).unwrap().len() < 16 * 1024);
    let last = ConnectionId(((BEGIN + (CONNECTIONS - 1) * MS) << 11) + CONNECTIONS % 2048);
    assert_eq!(view.of_connection(last).unwrap(), Some(incident.id));
}

#[test]
fn a_sentence_follows_the_order_in_which_it_happened() {
    // An exploit out of the blue, a ping afterwards, the removal; another only makes room; another only begins.
    let mut found = performed(|story| {
        story.exploit("203.0.113.1", 0, Answer::Present, &["fuzzbunch"]);
        story.ping("203.0.113.1", 20 * SECOND, Answer::Present, &["fuzzbunch"]);
        let removal = story.begin("203.0.113.1", 30 * SECOND, TEMPLATE);
        story.tell(removal, 4 * MS, kill(Answer::Present));
        story.end(removal, 5 * MS, &["fuzzbunch"]);
        let groom = story.open("203.0.113.2", 0);
        story.tell(groom, MS, step("groom"));
        story.end(groom, 2 * MS, &[]);
        let begun = story.begin("203.0.113.3", 0, TEMPLATE);
        story.tell(begun, 5 * MS, step("overflow-begun"));
        story.end(begun, 6 * MS, &["fuzzbunch"]);
    });
    found.sort_by_key(|incident| incident.source);
    let summaries: Vec<&str> = found.iter().map(|incident| incident.summary.as_str()).collect();
    assert_eq!(
        summaries,
        [
            "FuzzBunch from 203.0.113.1 ran EternalBlue over 23 connections, was answered as implanted, removed the implant",
            "A visitor from 203.0.113.2 made room for EternalBlue over 1 connection",
            "FuzzBunch from 203.0.113.3 began EternalBlue over 1 connection and did not finish it",
        ]
    );
    // Frames that only hold memory are no exploitation that was observed.
    let exploits =
        |at: usize| found[at].attack.observed.iter().any(|one| ["T1190", "T1210"].contains(&one.id));
    assert_eq!([0, 1, 2].map(exploits), [true, false, true]);
}
