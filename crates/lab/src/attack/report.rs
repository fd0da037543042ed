//! What an attack did, for people and (as JSON) for tests.

use roridula_proto::client::implant::Status;
use roridula_proto::client::visit::{Checked, ExecCounts, Outcome, Pinged, Stage};
use serde::Serialize;
use std::fmt::Write as _;

/// One TCP connection.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ConnectionReport {
    /// What it was for.
    pub purpose: &'static str,
    /// Our end.
    pub from: String,
    /// Requests sent whole.
    pub requests: u64,
    /// Replies read.
    pub replies: u64,
    /// Replies that did not come as one whole frame in one read: a lock-step client would be lost.
    pub replies_not_in_one_piece: u64,
    /// What was done on it that an onlooker can tell: `logon`, `probe`, `ping`, `exploit` (begun), `upload`
    /// (begun), `kill`. A request counts once it was sent whole, a chunk from its first payload byte.
    pub stages: Vec<&'static str>,
    /// How it ended.
    pub outcome: String,
    /// Whether the attacker got what this connection was for.
    pub succeeded: bool,
    /// Whether it was given up in the middle, as the attack asks for.
    pub cut: bool,
    /// The implant's key seed, from a ping.
    pub implant_seed: Option<u32>,
    /// The implant's architecture, from a ping.
    pub implant_arch: Option<&'static str>,
    /// Chunks answered as done.
    pub chunks_done: u64,
    /// Chunks answered otherwise.
    pub chunks_refused: u64,
    /// Replies to chunks with something in the signature.
    pub chunks_signed: u64,
    /// Microseconds from connect to close.
    pub elapsed_us: u64,
}

/// One payload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PayloadReport {
    /// SHA-256 of the bytes sent (each place once, by place).
    pub sha256: String,
    /// How many bytes that are.
    pub size: u64,
    /// The payload's size had all of it been sent.
    pub whole_size: u64,
    /// Whether all of it was sent.
    pub whole: bool,
}

/// One attack.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Which.
    pub attack: String,
    /// The honeypot.
    pub target: String,
    /// In order.
    pub connections: Vec<ConnectionReport>,
    /// In order.
    pub payloads: Vec<PayloadReport>,
    /// Things that a reader should know.
    pub notes: Vec<String>,
    /// Whether the attack reached its aim.
    pub succeeded: bool,
}

impl Report {
    /// A readable text, a line per connection and payload.
    pub fn to_text(&self) -> String {
        let mut text = format!("{} against {}\n", self.attack, self.target);
        // Dozens of groom connections say the same.
        let alike = |one: &ConnectionReport, next: &ConnectionReport| {
            one.purpose == "groom" && (one.purpose, &one.outcome) == (next.purpose, &next.outcome)
        };
        for connections in self.connections.chunk_by(alike) {
            let Some(connection) = connections.first() else { continue };
            let ms = connection.elapsed_us / 1000;
            let times =
                if connections.len() > 1 { format!(" x{}", connections.len()) } else { String::new() };
            let _ = writeln!(
                text,
                "  {:<8} from {:<21} {} requests, {} replies, {ms} ms: {}{times}",
                connection.purpose,
                connection.from,
                connection.requests,
                connection.replies,
                connection.outcome
            );
            let count: u64 = connections.iter().map(|one| one.replies_not_in_one_piece).sum();
            if count > 0 {
                let _ = writeln!(text, "           {count} replies did not come in one piece");
            }
        }
        for note in &self.notes {
            let _ = writeln!(text, "  note: {note}");
        }
        for payload in &self.payloads {
            let whole = if payload.whole { String::new() } else { format!(" of {}", payload.whole_size) };
            let _ = writeln!(text, "  payload  sha256 {}  {}{whole} bytes", payload.sha256, payload.size);
        }
        text
    }
}

/// The implant's architecture in words.
pub const fn arch_name(arch: u8) -> &'static str {
    match arch {
        0 => "x86",
        1 => "x64",
        _ => "unknown",
    }
}

/// An outcome in words.
pub fn outcome_text(outcome: Outcome, counts: &ExecCounts) -> String {
    match outcome {
        Outcome::LoggedOn => "logged on".into(),
        Outcome::Checked(Checked::Vulnerable) => "vulnerable to MS17-010".into(),
        Outcome::Checked(Checked::Patched) => "patched against MS17-010".into(),
        Outcome::Checked(Checked::Undetermined(status)) => format!("undetermined, status {status:#010x}"),
        Outcome::Pinged(Pinged { status: Status::Done, seed, arch }) => {
            format!("implanted, seed {seed:#010x}, {}", arch_name(arch))
        }
        Outcome::Pinged(Pinged { status: Status::Absent, .. }) | Outcome::NotImplanted => {
            "not implanted".into()
        }
        Outcome::Pinged(Pinged { status, .. }) => format!("ping answered {status:?}"),
        Outcome::Killed(Status::Done) => "implant removed".into(),
        Outcome::Killed(status) => format!("removal answered {status:?}"),
        Outcome::Uploaded => format!("uploaded, {} chunks taken", counts.done),
        Outcome::UploadStopped(status) => format!("upload stopped after {} chunks: {status:?}", counts.done),
        Outcome::Refused(stage, status) => format!("refused at {}: {status:#010x}", stage_name(stage)),
    }
}

/// Whether the attacker got what the connection was for.
pub const fn is_success(outcome: Outcome) -> bool {
    matches!(
        outcome,
        Outcome::LoggedOn
            | Outcome::Checked(_)
            | Outcome::Pinged(Pinged { status: Status::Done, .. })
            | Outcome::Killed(Status::Done)
            | Outcome::Uploaded
    )
}

/// A stage in words.
pub fn stage_name(stage: Stage) -> String {
    match stage {
        Stage::Negotiate => "negotiate".into(),
        Stage::Setup => "session setup".into(),
        Stage::Authenticate => "authentication".into(),
        Stage::Tree => "tree connect".into(),
        Stage::Peek => "pipe check".into(),
        Stage::Ping => "ping".into(),
        Stage::Exec(_, chunk) => format!("chunk {chunk}"),
        Stage::Kill => "kill".into(),
        Stage::TreeDisconnect => "tree disconnect".into(),
        Stage::Logoff => "logoff".into(),
    }
}
