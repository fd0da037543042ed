//! What a swarm did, attacker by attacker: what the honeypot has to tell of it.
//!
//! The ledger is written as JSON lines, one for each expected incident. It is read off what each attacker
//! sent and was answered, never off what the honeypot told.
//!
//! - `source`: the attacker's address. `shared`: whether another attacker came from it at the same time, with
//!   a line of its own; the two are of tools that can be told apart.
//! - `tool`: `wannacry`, `fuzzbunch`, `metasploit` (any of its modules), `checker` (all public checkers,
//!   Countercept's removal script among them), `smbclient`; empty for who only connects, or sends no message
//!   to its end.
//! - `connections`: TCP connections, those that said nothing among them.
//! - `stages`, in this order: `connect`, `logon` (a session setup was sent whole), `probe` (the check for
//!   MS17-010 was), `ping` (a ping was), `exploit` (begun: its NT_TRANSACT was answered), `upload` (a payload
//!   byte was sent), `capture` (hence a sample, whole or in part), `kill` (a removal was sent).
//! - `exploit_completed`: whether an exploit was answered to the end of its transaction.
//! - `outcome`: `killed` (the last thing done to a present implant was its removal), else `captured` (an
//!   upload is whole), else `uploaded`, else `exploited` (completed), else `probed` (check or ping), else
//!   `connected`.
//! - `uploads`: each upload's bytes as sent, of those that brought any: SHA-256, size, whether that is all of
//!   it.

use crate::attack::report::Report;
use crate::attack::{Attack, Kind};
use roridula_proto::client::sender::Sender;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// One expected incident; see the module's documentation for the fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The attacker's address.
    pub source: IpAddr,
    /// Whether another line has the same.
    pub shared: bool,
    /// The attacker's family of tools, or empty.
    pub tool: String,
    /// TCP connections.
    pub connections: u64,
    /// What was done, in the kill chain's order.
    pub stages: Vec<String>,
    /// Whether an exploit came to the end of its transaction.
    pub exploit_completed: bool,
    /// How far it came.
    pub outcome: String,
    /// What was uploaded.
    pub uploads: Vec<Uploaded>,
}

/// One upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uploaded {
    /// SHA-256 of the bytes sent, hexadecimal.
    pub sha256: String,
    /// How many bytes that are.
    pub size: u64,
    /// Whether that is the whole payload.
    pub whole: bool,
}

/// The stages in order.
const STAGES: [&str; 8] = ["connect", "logon", "probe", "ping", "exploit", "upload", "capture", "kill"];

/// Who connects and says nothing.
pub fn connect_line(source: IpAddr, shared: bool) -> Line {
    Line {
        source,
        shared,
        tool: String::new(),
        connections: 1,
        stages: vec!["connect".into()],
        exploit_completed: false,
        outcome: "connected".into(),
        uploads: Vec::new(),
    }
}

/// What the honeypot has to tell of an attack that went as `report` says.
pub fn line(attack: &Attack, report: &Report, source: IpAddr, shared: bool) -> Line {
    let mut did: BTreeSet<&str> = report.connections.iter().flat_map(|one| one.stages.clone()).collect();
    did.insert("connect");
    if did.contains("upload") {
        did.insert("capture");
    }
    let exploit_completed =
        report.connections.iter().any(|one| one.purpose == "exploit" && one.succeeded && !one.cut);
    let removed = attack.kind == Kind::Kill
        && report.connections.last().is_some_and(|last| last.succeeded && !last.cut);
    let outcome = match () {
        () if removed => "killed",
        () if report.payloads.iter().any(|payload| payload.whole) => "captured",
        () if did.contains("upload") => "uploaded",
        () if exploit_completed => "exploited",
        () if did.contains("probe") || did.contains("ping") => "probed",
        () => "connected",
    };
    // The tools of whom only a part is seen, the public checkers, are known by their first message.
    let spoke = report.connections.iter().any(|one| one.requests > 0);
    let uploads = report.payloads.iter().map(|payload| Uploaded {
        sha256: payload.sha256.clone(),
        size: payload.size,
        whole: payload.whole,
    });
    Line {
        source,
        shared,
        tool: if spoke { family(attack.sender()).into() } else { String::new() },
        connections: report.connections.len() as u64,
        stages: STAGES.iter().filter(|stage| did.contains(**stage)).map(|stage| (*stage).into()).collect(),
        exploit_completed,
        outcome: outcome.into(),
        uploads: uploads.collect(),
    }
}

/// The tools that an onlooker takes for one attacker.
const fn family(sender: Sender) -> &'static str {
    match sender {
        Sender::WannaCry => "wannacry",
        Sender::FuzzBunch => "fuzzbunch",
        Sender::Metasploit => "metasploit",
        Sender::Checker | Sender::Countercept => "checker",
        Sender::Smbclient => "smbclient",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::report::{ConnectionReport, PayloadReport};

    fn connection(purpose: &'static str, stages: &[&'static str]) -> ConnectionReport {
        let requests = stages.len() as u64;
        ConnectionReport { purpose, requests, stages: stages.to_vec(), succeeded: true, ..Default::default() }
    }

    /// The line of an attack that made these connections and sent these payloads (whole or not).
    fn told(kind: Kind, connections: Vec<ConnectionReport>, payloads: &[bool]) -> Line {
        let payload = |whole: &bool| PayloadReport { size: 9, whole: *whole, ..Default::default() };
        let payloads = payloads.iter().map(payload).collect();
        let attack = Attack::new(kind, "127.0.0.1:445".parse().unwrap(), 1);
        let report = Report { connections, payloads, ..Default::default() };
        line(&attack, &report, "127.64.0.1".parse().unwrap(), false)
    }

    #[test]
    fn outcomes_are_the_furthest_thing_done() {
        let check = || connection("check", &["logon", "probe"]);
        let ping = || connection("ping", &["logon", "ping"]);
        let exploit = || connection("exploit", &["logon", "exploit"]);
        let upload = || connection("upload", &["logon", "ping", "upload"]);
        let cut = ConnectionReport { cut: true, ..exploit() };
        let failed = ConnectionReport { succeeded: false, ..connection("kill", &["logon", "ping"]) };
        for (kind, connections, payloads, outcome) in [
            (Kind::Check, vec![check()], &[][..], "probed"),
            (Kind::Logon, vec![connection("logon", &["logon"])], &[], "connected"),
            (Kind::Eternalblue, vec![check(), ping(), cut], &[], "probed"),
            (Kind::Eternalblue, vec![check(), ping(), exploit()], &[], "exploited"),
            (Kind::Wannacry, vec![check(), ping(), upload()], &[false], "uploaded"),
            (Kind::Wannacry, vec![check(), ping(), upload()], &[false, true], "captured"),
            (Kind::Kill, vec![connection("kill", &["logon", "ping", "kill"])], &[], "killed"),
            (Kind::Kill, vec![failed], &[], "probed"),
        ] {
            assert_eq!(told(kind, connections.clone(), payloads).outcome, outcome, "{connections:?}");
        }
        let whole = told(Kind::Wannacry, vec![check(), upload()], &[true]);
        assert_eq!(whole.stages, ["connect", "logon", "probe", "ping", "upload", "capture"]);
        assert_eq!((whole.tool.as_str(), whole.connections), ("wannacry", 2));
    }

    #[test]
    fn who_is_cut_off_at_once_shows_no_tool() {
        let nothing = told(Kind::Check, vec![connection("check", &[])], &[]);
        assert_eq!((nothing.tool.as_str(), nothing.outcome.as_str()), ("", "connected"));
        assert_eq!(nothing, connect_line("127.64.0.1".parse().unwrap(), false));
    }
}
