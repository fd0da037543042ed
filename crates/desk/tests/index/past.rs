//! A past to count in: visitors who do anything in any order, some of it at the same time.

use roridula_evidence::{Attribution, Batch, Changes, Closing, Options, SampleId, Store};
use roridula_proto::connection::ConnectionId;
use roridula_proto::event::{
    Answer, ByteRange, CloseReason, Event, KeySource, Layer, Origin, Reason, Text, Transport, UploadState,
    Verdict,
};
use roridula_proto::time::WallClock;
use std::path::Path;

pub(crate) const SECOND: u64 = 1_000_000;
pub(crate) const HOUR: u64 = 3600 * SECOND;
pub(crate) const DAY: u64 = 24 * HOUR;
/// When every past begins: 2023-11-14 22:13:20 UTC.
pub(crate) const BEGIN: u64 = 1_700_000_000 * SECOND;

/// SplitMix64.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Once in so many times.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len() as u64) as usize]
    }
}

pub(crate) fn open(dir: &Path) -> Store {
    Store::open(dir, "porch", Options::default()).unwrap()
}

/// The name of sample number `n`.
pub(crate) fn sample(n: u64) -> SampleId {
    let mut bytes = [0xa0; 32];
    bytes[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    SampleId(bytes)
}

const TOOLS: [&[&str]; 5] =
    [&[], &["nmap"], &["wannacry"], &["checker", "wannacry"], &["metasploit-eternalblue"]];

/// One visit, event by event.
fn visit(chance: &mut Chance, number: u64, known: &mut [bool]) -> (Attribution, Vec<(u64, Event)>) {
    // A few come very often, and the others now and then.
    let host = if chance.once_in(3) { chance.below(3) } else { chance.below(60) };
    let source = match host % 7 {
        0 => format!("[2001:db8::{host:x}]:{}", 1024 + number),
        _ => format!("198.51.{}.{host}:{}", 100 + host / 20, 1024 + number),
    };
    let at = BEGIN + chance.below(40) * DAY / (1 + chance.below(3)) + chance.below(6 * HOUR);
    let whose = Attribution {
        connection: ConnectionId((at << 11) + number % 2048),
        at: WallClock(at),
        source: source.parse().unwrap(),
        destination: format!("192.0.2.{}:445", 1 + chance.below(2)).parse().unwrap(),
    };
    let mut events = vec![(at, Event::ConnectionOpened { transport: Transport::DirectTcp })];
    let mut now = at;
    for _ in 0..chance.below(9) {
        now += if chance.once_in(6) { chance.below(2 * HOUR) } else { chance.below(SECOND) };
        let event = step(chance, known);
        events.push((now, event));
    }
    // Some are open when the past ends.
    if !chance.once_in(12) {
        if !chance.once_in(4) {
            events.push((now, fingerprint(chance)));
        }
        let reason = *chance.pick(&[CloseReason::PeerClosed, CloseReason::Idle, CloseReason::Fault]);
        let (bytes_in, bytes_out, events_dropped) =
            (chance.below(10_000), chance.below(10_000), chance.below(2));
        let duration_us = now - at;
        events.push((
            now,
            Event::ConnectionClosed { reason, duration_us, bytes_in, bytes_out, events_dropped },
        ));
    }
    (whose, events)
}

fn step(chance: &mut Chance, known: &mut [bool]) -> Event {
    match chance.below(14) {
        0 | 1 => negotiate(),
        2 => logon(chance),
        3 => {
            let (verdict, status) = (Verdict::Vulnerable, 0xc000_0205);
            Event::Ms17010Probe { verdict, pid: 1, mid: 2, status, stream_at: 272 }
        }
        4 => exploit_step(chance.pick::<&str>(&["groom", "hole", "overflow-begun", "overflow-ended"])),
        5 => {
            let (exploit, reason) = ("eternalblue".to_owned(), Reason::Exploited);
            Event::ExploitCompleted { exploit, answer: Answer::Present, reason, stream_at: 67_000 }
        }
        6 => Event::ImplantPing {
            answer: Answer::Present,
            reason: Reason::Exploited,
            timeout: 0x00ee_3401,
            mid: 65,
            seed: 1,
            arch: "x64".to_owned(),
            stream_at: 377,
        },
        7 => upload_started(),
        8 => upload_finished(*chance.pick(&[UploadState::Complete, UploadState::Partial])),
        9 | 10 => captured(chance, known),
        11 => {
            let what = format!("what {}", chance.below(3));
            Event::MessageMalformed { command: 0x72, what, at: 4, status: 1 }
        }
        12 => Event::LimitReached { limit: format!("limits.{}", chance.below(2)), value: chance.below(9) },
        _ => match chance.below(3) {
            0 => Event::CaptureFailed { upload: 1, error: "full".to_owned(), bytes_lost: chance.below(99) },
            1 => Event::UploadOddity { upload: 1, what: "wrong-key".to_owned(), offset: 0, value: 1 },
            _ => Event::Smb1Refused { command: 1, subcommand: 0, status: 2 },
        },
    }
}

pub(crate) fn negotiate() -> Event {
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

fn logon(chance: &mut Chance) -> Event {
    let account =
        chance.pick(&["", "", "Administrator", "<script>alert(1)</script>", "\u{202e}nimda\u{1b}[31m"]);
    Event::Smb1Session {
        method: chance.pick(&["anonymous", "ntlmssp-authenticate"]).to_string(),
        account: Text::from(*account),
        domain: Text::from(if account.is_empty() { "" } else { "WORKGROUP" }),
        workstation: Text::from(*chance.pick(&["", "PC-1"])),
        native_os: Text::from("Windows 2000 2195"),
        native_lan_manager: Text::default(),
        response: if chance.once_in(3) { format!("{account}::{}", chance.below(5)) } else { String::new() },
        uid: 0x800,
        status: 0,
    }
}

fn exploit_step(step: &str) -> Event {
    Event::ExploitStep {
        exploit: "eternalblue".to_owned(),
        step: step.to_owned(),
        grounds: "as the test says".to_owned(),
        stream_at: 401,
        size: 66_512,
    }
}

fn upload_started() -> Event {
    Event::UploadStarted {
        upload: 1,
        answer: Answer::Present,
        reason: Reason::Exploited,
        total: Some(1000),
        key: Some(7),
        key_source: KeySource::Seed,
        timeout: 0x001a_8925,
        mid: 66,
        stream_at: 459,
    }
}

fn upload_finished(state: UploadState) -> Event {
    let ranges = vec![ByteRange { start: 0, end: 1000 }];
    Event::UploadFinished {
        upload: 1,
        state,
        total: Some(1000),
        received: 1000,
        ranges,
        chunks: 1,
        repeats: 0,
    }
}

fn captured(chance: &mut Chance, known: &mut [bool]) -> Event {
    let n = chance.below(known.len() as u64);
    let first_seen = !std::mem::replace(&mut known[n as usize], true);
    let state = *chance.pick(&[UploadState::Complete, UploadState::Partial]);
    let size = 100 + n;
    Event::SampleCaptured {
        upload: 1 + chance.below(2) as u32,
        sha256: sample(n).to_string(),
        md5: format!("{:032x}", n + 1),
        sha1: format!("{:040x}", n + 2),
        size,
        state,
        total: chance.once_in(2).then_some(size),
        ranges: vec![ByteRange { start: 0, end: size }],
        origin: *chance.pick(&[Origin::DoublePulsar, Origin::DoublePulsar, Origin::ExploitBuffer]),
        first_seen,
        recovered: false,
    }
}

fn fingerprint(chance: &mut Chance) -> Event {
    let n = chance.below(8);
    let tools = TOOLS[n as usize % TOOLS.len()];
    let recognised: &[&str] = if n < 4 { &[] } else { &["ms17-010"] };
    let owned = |all: &[&str]| all.iter().map(|&one| one.to_owned()).collect::<Vec<_>>();
    Event::ClientFingerprint {
        fingerprint: format!("{:016x}", (n + 1).wrapping_mul(0xf123_4567_89ab_cdef)),
        features: format!("dialects={n}; text=<b>"),
        shape: format!("72 73 {:02x}", n % 3),
        tools: owned(tools),
        grounds: tools.iter().map(|tool| format!("what proves {tool}")).collect(),
        recognised: owned(recognised),
    }
}

pub(crate) fn triaged(sample: SampleId, family: &str, error: &str) -> Event {
    let layer = Layer {
        depth: 0,
        kind: "pe".to_owned(),
        name: Text::default(),
        state: "intact".to_owned(),
        found_by: "x".to_owned(),
        offset: 0,
        size: 5,
        sha256: sample.to_string(),
    };
    Event::SampleTriaged {
        sha256: sample.to_string(),
        layers: vec![layer],
        core: format!("{:064x}", 7),
        family: family.to_owned(),
        confidence: String::new(),
        rules: String::new(),
        error: error.to_owned(),
    }
}

/// Puts `visits` visits on record, mixed as they may come, with what the sensor tells of itself.
pub(crate) fn perform(store: &Store, seed: u64, visits: u64) {
    let mut chance = Chance(seed);
    let mut known = vec![false; 12];
    let mut all: Vec<(u64, Attribution, Event)> = Vec::new();
    for number in 0..visits {
        let (whose, events) = visit(&mut chance, number, &mut known);
        // The journal is in the order of time but for a little: connections are written side by side.
        let late = chance.below(3 * SECOND);
        all.extend(events.into_iter().map(|(at, event)| (at + late, whose, event)));
    }
    all.sort_by_key(|(at, ..)| *at);
    store.publish(Event::SensorStarted {
        version: "0.1.0".to_owned(),
        listen: vec!["192.0.2.1:445".to_owned()],
        persona: "windows-7-sp1".to_owned(),
        policy: "present".to_owned(),
    });
    for (n, (at, whose, event)) in all.into_iter().enumerate() {
        let closing = matches!(event, Event::ConnectionClosed { .. }).then(Closing::default);
        let events = vec![(WallClock(at), event)];
        store.append_blocking(Batch { attribution: whose, events, changes: Changes::default(), closing });
        if n % 97 == 5 {
            let refused = Event::ConnectionRefused { limit: "gate.connections_max".to_owned(), count: 3 };
            store.try_publish_at_door("203.0.113.99:5".parse().unwrap(), whose.destination, refused);
        }
        if n % 50 == 49 {
            let error = if chance.once_in(3) { "too slow" } else { "" };
            let family = *chance.pick(&["wannacry", ""]);
            store.publish(triaged(sample(chance.below(14)), family, error));
        }
    }
    store.publish(Event::SensorStopped { connections: visits });
    store.flush();
}
