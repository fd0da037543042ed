//! Whole attacks: which connections, in which order, with which payload.

use super::report::{PayloadReport, Report};
use super::socket::{self, Sent};
use super::{Attack, Body, Kind, Order};
use crate::samples::cli::{Arch, Kind as SampleKind, payload, sha256_hex};
use roridula_proto::client::chance::Chance;
use roridula_proto::client::sender::Sender;
use roridula_proto::client::upload::{self, Chunk, KeyChoice, Upload};
use roridula_proto::client::visit::{Goal, Plan};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The worm's pause between connections.
const WORM_PAUSE: Duration = Duration::from_secs(3);

/// The network of the worm's authors, which its replayed traffic still names.
const WORM_PATH_HOST: &str = "192.168.56.20";

/// A first target as long as the one that the public capture was measured with.
const CHECK_PATH_HOST: &str = "192.168.116.149";

impl Kind {
    const fn sender(self) -> Sender {
        match self {
            Self::Wannacry | Self::Upload => Sender::WannaCry,
            Self::Fuzzbunch => Sender::FuzzBunch,
            Self::Metasploit => Sender::Metasploit,
            Self::Check | Self::Ping => Sender::Checker,
            Self::Kill => Sender::Countercept,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Wannacry => "wannacry",
            Self::Fuzzbunch => "fuzzbunch",
            Self::Metasploit => "metasploit",
            Self::Check => "check",
            Self::Ping => "ping",
            Self::Kill => "kill",
            Self::Upload => "upload",
        }
    }
}

/// Plays the attack to its end. An error is a connection that broke; a refusal is in the report.
pub fn play(attack: &Attack) -> anyhow::Result<Report> {
    socket::check_target(attack.target)?;
    let mut report =
        Report { attack: attack.kind.name().into(), target: attack.target.to_string(), ..Default::default() };
    match attack.kind {
        Kind::Check => single(attack, &mut report, "check", Goal::Check)?,
        Kind::Ping => single(attack, &mut report, "ping", Goal::Ping)?,
        Kind::Kill => single(attack, &mut report, "kill", Goal::Kill)?,
        Kind::Wannacry => wannacry(attack, &mut report)?,
        Kind::Fuzzbunch | Kind::Upload | Kind::Metasploit => {
            let ask = attack.kind == Kind::Fuzzbunch || attack.arch.is_none();
            if ask {
                single(attack, &mut report, "ping", Goal::Ping)?;
            }
            if !ask || report.succeeded || attack.stubborn {
                deliver(attack, &mut report)?;
            }
        }
    }
    Ok(report)
}

fn plan<'p>(attack: &Attack, goal: Goal<'p>) -> Plan<'p> {
    let path_host = match (attack.kind, &goal) {
        (Kind::Wannacry, Goal::Check) => CHECK_PATH_HOST.to_owned(),
        (Kind::Wannacry | Kind::Upload | Kind::Kill, _) => WORM_PATH_HOST.to_owned(),
        _ => attack.target.ip().to_string(),
    };
    Plan {
        sender: attack.kind.sender(),
        goal,
        path_host,
        later_target: !attack.first_target,
        stubborn: attack.stubborn,
        seed: attack.seed,
    }
}

fn single(attack: &Attack, report: &mut Report, purpose: &'static str, goal: Goal<'_>) -> anyhow::Result<()> {
    let (connection, _) = socket::run(plan(attack, goal), purpose, attack.target, attack.source, None)?;
    report.succeeded = connection.succeeded;
    report.connections.push(connection);
    Ok(())
}

/// A: check. B1: ping. B2: ping again. B3: ping and upload. A patched or refusing host still gets the ping.
fn wannacry(attack: &Attack, report: &mut Report) -> anyhow::Result<()> {
    let pause = || {
        if attack.real_timing {
            std::thread::sleep(WORM_PAUSE);
        }
    };
    single(attack, report, "check", Goal::Check)?;
    let vulnerable = report.connections.last().is_some_and(|last| last.outcome.starts_with("vulnerable"));
    pause();
    single(attack, report, "ping", Goal::Ping)?;
    if vulnerable && report.succeeded {
        pause();
        single(attack, report, "ping", Goal::Ping)?;
    } else if vulnerable && !attack.stubborn {
        report.notes.push("the worm would now exploit; the lab has no exploit and stops".into());
    }
    if report.succeeded || attack.stubborn {
        deliver(attack, report)?;
    }
    Ok(())
}

/// Ping and upload on one connection.
fn deliver(attack: &Attack, report: &mut Report) -> anyhow::Result<()> {
    let said = report.connections.iter().rev().find_map(|connection| connection.implant_arch);
    let implant = if said == Some("x64") { Arch::X64 } else { Arch::X86 };
    let arch = attack.arch.unwrap_or(implant);
    if said.is_some() && arch != implant {
        report
            .notes
            .push(format!("the implant says {}, {arch:?} is sent as asked", said.unwrap_or_default()));
    }
    let payloads: Vec<Arc<[u8]>> =
        (0..attack.uploads).map(|number| shared_payload(attack, arch, attack.seed + number as u64)).collect();
    let uploads: Vec<Upload<'_>> = payloads.iter().map(|payload| prepare(attack, payload)).collect();
    let goal = Goal::Uploads(uploads.clone());
    let (connection, sent) =
        socket::run(plan(attack, goal), "upload", attack.target, attack.source, attack.drop_at)?;
    report.succeeded = connection.succeeded;
    report.connections.push(connection);
    report_payloads(&uploads, sent, report);
    Ok(())
}

fn report_payloads(uploads: &[Upload<'_>], sent: Sent, report: &mut Report) {
    let mut left = sent.chunks;
    for upload in uploads {
        let count = left.min(upload.chunks.len());
        left -= count;
        let cut = sent.cut.filter(|_| left == 0);
        let bytes = upload::received(upload.payload, &upload.chunks[..count], cut);
        if !bytes.is_empty() {
            report.payloads.push(PayloadReport {
                sha256: sha256_hex(&bytes),
                size: bytes.len() as u64,
                whole_size: upload.payload.len() as u64,
                whole: bytes.len() == upload.payload.len(),
            });
        }
    }
}

/// The chunks of one upload, with whatever the attack does to them.
pub fn prepare<'p>(attack: &Attack, payload: &'p [u8]) -> Upload<'p> {
    let mut chunks: Vec<Chunk> = upload::in_order(payload.len(), attack.chunk);
    match attack.order {
        Order::InOrder => {}
        Order::Reversed => chunks.reverse(),
        Order::Shuffled => upload::shuffle(&mut chunks, &mut Chance::new(attack.seed)),
    }
    if attack.duplicate {
        chunks = upload::with_repeats(&chunks);
    }
    for (number, chunk) in chunks.iter_mut().enumerate() {
        chunk.total = attack.announce.unwrap_or(chunk.total);
        if number > 0 {
            chunk.total = attack.announce_later.unwrap_or(chunk.total);
        }
    }
    Upload { payload, chunks, key: attack.key.map_or(KeyChoice::FromPing, KeyChoice::Fixed) }
}

/// The payload of one upload. Made once for many attackers: 5 MB of filler each would be their main work.
fn shared_payload(attack: &Attack, arch: Arch, seed: u64) -> Arc<[u8]> {
    type Key = (SampleKind, Arch, u64, usize);
    static MADE: Mutex<Vec<(Key, Arc<[u8]>)>> = Mutex::new(Vec::new());
    let (kind, size) = match (attack.body, attack.kind) {
        (Body::Raw(size), _) => (SampleKind::Raw, size),
        (Body::Dll(size), _) => (SampleKind::Dll, size),
        (Body::OfKind, Kind::Metasploit) => (SampleKind::Metasploit, 0),
        (Body::OfKind, Kind::Fuzzbunch) => (SampleKind::Dll, 70_000),
        (Body::OfKind, Kind::Upload) => (SampleKind::Raw, 10_000),
        (Body::OfKind, _) => (SampleKind::Worm, 0),
    };
    let key = (kind, arch, seed, size);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, payload)) = made.iter().find(|(present, _)| *present == key) {
        return payload.clone();
    }
    let bytes: Arc<[u8]> = payload(kind, arch, seed, size).into();
    // A few are enough: many attackers share one, many seeds come one after the other.
    if made.len() >= 8 {
        made.remove(0);
    }
    made.push((key, bytes.clone()));
    bytes
}
