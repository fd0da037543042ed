//! Whole attacks: which connections, in which order, with which payload.

use super::exploit::{self, Went};
use super::report::{PayloadReport, Report};
use super::socket::{self, GiveUp, Sent};
use super::{Attack, Body, Kind, Order, Shape};
use crate::samples::cli::{Arch, Kind as SampleKind, payload, sha256_hex};
use roridula_proto::client::chance::Chance;
use roridula_proto::client::sender::Sender;
use roridula_proto::client::upload::{self, Chunk, KeyChoice, Upload};
use roridula_proto::client::visit::{Goal, Plan};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The worm's pause between connections.
const WORM_PAUSE: Duration = Duration::from_secs(3);

/// How often the worm exploits a host before it gives up.
const WORM_ATTEMPTS: usize = 5;

/// The network of the worm's authors, which its replayed traffic still names.
const WORM_PATH_HOST: &str = "192.168.56.20";

/// The same in its exploit.
const WORM_EXPLOIT_PATH_HOST: &str = "172.16.99.5";

/// A first target as long as the one that the public capture was measured with.
const CHECK_PATH_HOST: &str = "192.168.116.149";

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Wannacry => "wannacry",
            Self::Eternalblue => "eternalblue",
            Self::Fuzzbunch => "fuzzbunch",
            Self::Metasploit => "metasploit",
            Self::Check => "check",
            Self::Ping => "ping",
            Self::Kill => "kill",
            Self::Upload => "upload",
            Self::Logon => "logon",
        }
    }
}

impl Attack {
    /// Whose traffic it has the shape of.
    pub const fn sender(&self) -> Sender {
        match (self.kind, self.shape) {
            (Kind::Wannacry | Kind::Upload, _) => Sender::WannaCry,
            (Kind::Fuzzbunch, _) | (Kind::Eternalblue, Shape::Fuzzbunch) => Sender::FuzzBunch,
            (Kind::Metasploit, _) | (Kind::Eternalblue, Shape::Metasploit) => Sender::Metasploit,
            (Kind::Check | Kind::Ping, _) => Sender::Checker,
            (Kind::Kill, _) => Sender::Countercept,
            (Kind::Logon, _) => Sender::Smbclient,
        }
    }

    fn pause(&self) {
        if self.real_timing {
            std::thread::sleep(WORM_PAUSE);
        }
    }
}

/// The host that the exploit's tree connect names.
pub(super) fn exploit_path_host(attack: &Attack) -> String {
    match attack.kind {
        Kind::Wannacry => WORM_EXPLOIT_PATH_HOST.to_owned(),
        _ => attack.target.ip().to_string(),
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
        Kind::Logon => single(attack, &mut report, "logon", Goal::Logon)?,
        Kind::Wannacry => wannacry(attack, &mut report)?,
        Kind::Eternalblue => eternalblue(attack, &mut report)?,
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
        sender: attack.sender(),
        goal,
        path_host,
        later_target: !attack.first_target,
        stubborn: attack.stubborn,
        seed: attack.seed,
    }
}

fn single(attack: &Attack, report: &mut Report, purpose: &'static str, goal: Goal<'_>) -> anyhow::Result<()> {
    let only = matches!(attack.kind, Kind::Check | Kind::Ping | Kind::Kill | Kind::Logon);
    let give_up = GiveUp { payload: None, stream: attack.cut_at.filter(|_| only) };
    let (connection, _) = socket::run(plan(attack, goal), purpose, attack.target, attack.source, give_up)?;
    report.succeeded = connection.succeeded;
    report.connections.push(connection);
    Ok(())
}

/// A: check. B1: ping. B2: ping again. B3: ping and upload. A patched or refusing host still gets the ping.
/// Where B1 finds no implant, the exploit follows, and a ping again, up to five times.
fn wannacry(attack: &Attack, report: &mut Report) -> anyhow::Result<()> {
    single(attack, report, "check", Goal::Check)?;
    if is_vulnerable(report) {
        for attempt in 0..WORM_ATTEMPTS {
            attack.pause();
            single(attack, report, "ping", Goal::Ping)?;
            if report.succeeded || attack.stubborn {
                break;
            }
            attack.pause();
            if exploit::play(attack, attempt, report)? == Went::Cut {
                report.succeeded = true;
                return Ok(());
            }
        }
    }
    attack.pause();
    single(attack, report, "ping", Goal::Ping)?;
    if report.succeeded || attack.stubborn {
        deliver(attack, report)?;
    }
    Ok(())
}

fn is_vulnerable(report: &Report) -> bool {
    report.connections.last().is_some_and(|last| last.outcome.starts_with("vulnerable"))
}

/// Check, ping, exploit, ping, ping and upload. It reaches its aim where each is answered by a host that has
/// no implant before the exploit and one afterwards; the notes say where it was not.
fn eternalblue(attack: &Attack, report: &mut Report) -> anyhow::Result<()> {
    let mut failed = Vec::new();
    single(attack, report, "check", Goal::Check)?;
    if !is_vulnerable(report) {
        failed.push("check: the host is not vulnerable");
    }
    single(attack, report, "ping", Goal::Ping)?;
    if report.connections.last().is_none_or(|last| last.outcome != "not implanted") {
        failed.push("ping before the exploit: not answered as by a clean host");
    }
    match exploit::play(attack, 0, report)? {
        Went::Well => {}
        Went::InVain => failed.push("ping on the exploit's own connection: no implant answers"),
        Went::Badly => failed.push("exploit: not answered as by an unpatched host"),
        Went::Cut => {
            report.succeeded = failed.is_empty();
            return Ok(());
        }
    }
    single(attack, report, "ping", Goal::Ping)?;
    if report.succeeded || attack.stubborn {
        deliver(attack, report)?;
        if !report.succeeded {
            failed.push("upload: not taken to its end");
        }
    } else {
        failed.push("ping after the exploit: no implant answers");
    }
    report.succeeded = failed.is_empty();
    report.notes.extend(failed.into_iter().map(|stage| format!("failed at {stage}")));
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
    let give_up = GiveUp { payload: attack.drop_at, stream: None };
    let (connection, sent) =
        socket::run(plan(attack, goal), "upload", attack.target, attack.source, give_up)?;
    report.succeeded = connection.succeeded;
    report.connections.push(connection);
    report_payloads(&uploads, sent, report);
    Ok(())
}

/// Ping and upload of this very payload on one connection, framed as the attack's sender does and given up where the
/// attack says.
pub fn upload_payload(attack: &Attack, payload: &[u8]) -> anyhow::Result<Report> {
    let mut report =
        Report { attack: attack.kind.name().into(), target: attack.target.to_string(), ..Default::default() };
    let uploads = vec![prepare(attack, payload)];
    let goal = Goal::Uploads(uploads.clone());
    let give_up = GiveUp { payload: attack.drop_at, stream: attack.cut_at };
    let (connection, sent) =
        socket::run(plan(attack, goal), "upload", attack.target, attack.source, give_up)?;
    report.succeeded = connection.succeeded;
    report.connections.push(connection);
    report_payloads(&uploads, sent, &mut report);
    Ok(report)
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
        (Body::OfKind, Kind::Fuzzbunch | Kind::Eternalblue) => (SampleKind::Dll, 70_000),
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
