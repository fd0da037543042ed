//! What an incident is in the words of MITRE ATT&CK.
//!
//! A technique is *observed* where an event on the wire shows it, with the stage that has the evidence. What a whole
//! upload, or the tool's family, is known to do on a real host is *implied*, and never shown as observed.

use super::record::Record;
use super::stage::Stage;
use schemars::JsonSchema;
use serde::Serialize;
use std::net::IpAddr;

/// The version of ATT&CK (Enterprise) that ids and names are of.
pub const ATTACK_VERSION: &str = "16.1";

/// Refused logons with an account from which on somebody is guessing.
const GUESSES_MIN: u64 = 3;

/// A technique or a piece of software of ATT&CK.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Technique {
    /// Its id: `T1210`, `S0366`.
    pub id: &'static str,
    /// Its name there.
    pub name: &'static str,
    /// What shows or implies it, in a few words.
    pub grounds: String,
    /// The stage that has the evidence; null where it is implied, or a fact of no stage.
    pub stage: Option<Stage>,
}

/// The table.
const NAMES: &[(&str, &str)] = &[
    ("S0366", "WannaCry"),
    ("T1014", "Rootkit"),
    ("T1016", "System Network Configuration Discovery"),
    ("T1018", "Remote System Discovery"),
    ("T1021.002", "Remote Services: SMB/Windows Admin Shares"),
    ("T1027.013", "Obfuscated Files or Information: Encrypted/Encoded File"),
    ("T1047", "Windows Management Instrumentation"),
    ("T1055.004", "Process Injection: Asynchronous Procedure Call"),
    ("T1083", "File and Directory Discovery"),
    ("T1090.003", "Proxy: Multi-hop Proxy"),
    ("T1105", "Ingress Tool Transfer"),
    ("T1110", "Brute Force"),
    ("T1120", "Peripheral Device Discovery"),
    ("T1190", "Exploit Public-Facing Application"),
    ("T1205", "Traffic Signaling"),
    ("T1210", "Exploitation of Remote Services"),
    ("T1222.001", "File and Directory Permissions Modification: Windows"),
    ("T1486", "Data Encrypted for Impact"),
    ("T1489", "Service Stop"),
    ("T1490", "Inhibit System Recovery"),
    ("T1543.003", "Create or Modify System Process: Windows Service"),
    ("T1563.002", "Remote Service Session Hijacking: RDP Hijacking"),
    ("T1564.001", "Hide Artifacts: Hidden Files and Directories"),
    ("T1570", "Lateral Tool Transfer"),
    ("T1573.002", "Encrypted Channel: Asymmetric Cryptography"),
    ("T1595.002", "Active Scanning: Vulnerability Scanning"),
    ("T1620", "Reflective Code Loading"),
];

/// What DoublePulsar does with an upload that is whole, on a host that it really sits in.
const OF_AN_UPLOAD: &[&str] = &["T1014", "T1055.004", "T1620"];

/// What ATT&CK's page of S0366 says of the worm beyond what is seen here.
const OF_WANNACRY: &[&str] = &[
    "S0366",
    "T1016",
    "T1018",
    "T1047",
    "T1083",
    "T1090.003",
    "T1120",
    "T1222.001",
    "T1486",
    "T1489",
    "T1490",
    "T1543.003",
    "T1563.002",
    "T1564.001",
    "T1573.002",
];

/// Whether a text has the form of an id: `T1210`, `T1021.002`, `S0366`.
pub(crate) fn is_id(text: &str) -> bool {
    let (id, sub) = text.split_once('.').map_or((text, None), |(id, sub)| (id, Some(sub)));
    let digits =
        |text: &str, count: usize| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    id.strip_prefix(['T', 'S']).is_some_and(|id| digits(id, 4)) && sub.is_none_or(|sub| digits(sub, 3))
}

/// What an act is called that comes from the internet, where `id` is what it is called from a private address, or the
/// other way round; and why.
pub(crate) fn elsewhere(id: &str) -> Option<(&'static str, &'static str)> {
    Some(match id {
        "T1210" => ("T1190", "T1210 is an exploit from a private address, from the internet it is T1190"),
        "T1190" => ("T1210", "T1190 is an exploit from the internet, from a private address it is T1210"),
        "T1570" => ("T1105", "T1570 is an upload from a private address, from the internet it is T1105"),
        "T1105" => ("T1570", "T1105 is an upload from the internet, from a private address it is T1570"),
        _ => return None,
    })
}

/// The names of an act: who knows one of them shall find it, wherever it came from.
pub(super) fn names(id: &str) -> [&str; 2] {
    [id, elsewhere(id).map_or(id, |(other, _)| other)]
}

/// Whether an id, or a part of it, is one that incidents are told to show or imply.
pub(crate) fn is_told(id: &str) -> bool {
    NAMES.iter().any(|(known, _)| known.split('.').next() == Some(id) || *known == id)
}

fn technique(id: &'static str, grounds: impl Into<String>, stage: Option<Stage>) -> Technique {
    let name = NAMES.iter().find(|(known, _)| *known == id).map_or(id, |(_, name)| name);
    Technique { id, name, grounds: grounds.into(), stage }
}

/// What events show.
pub(super) fn observed(record: &Record) -> Vec<Technique> {
    let facts = &record.facts;
    let near = is_near(record.source);
    let reached = |stage| facts.count(stage) > 0;
    let mut found = Vec::new();
    let mut add = |id, grounds: String, stage| found.push(technique(id, grounds, stage));
    if reached(Stage::Probe) {
        add("T1595.002", "checked for MS17-010".to_owned(), Some(Stage::Probe));
    }
    if reached(Stage::Ping) || reached(Stage::Kill) {
        let stage = if reached(Stage::Ping) { Stage::Ping } else { Stage::Kill };
        add("T1205", "signalled to the implant in a field that Windows ignores".to_owned(), Some(stage));
    }
    // Frames that hold memory are no exploit yet, and anybody may send one.
    if facts.begun > 0 || facts.completed > 0 {
        let grounds = if near { "exploited from a private address" } else { "exploited from the internet" };
        add(if near { "T1210" } else { "T1190" }, grounds.to_owned(), Some(Stage::Exploit));
    }
    if reached(Stage::Upload) {
        let grounds = if near { "uploaded from a private address" } else { "uploaded from the internet" };
        add(if near { "T1570" } else { "T1105" }, grounds.to_owned(), Some(Stage::Upload));
    }
    if facts.encoded {
        add("T1027.013", "the upload was XORed with the implant's key".to_owned(), Some(Stage::Upload));
    }
    if facts.disk_shares > 0 {
        add("T1021.002", format!("connected a share of files ({})", facts.disk_shares), None);
    }
    if facts.refused_logons >= GUESSES_MIN {
        let grounds = format!("{} logons with an account refused", facts.refused_logons);
        add("T1110", grounds, Some(Stage::Logon));
    }
    found
}

/// What is known to follow elsewhere.
pub(super) fn implied(record: &Record) -> Vec<Technique> {
    let mut found = Vec::new();
    if record.facts.has_whole_upload() {
        let grounds = "what DoublePulsar does with a whole upload";
        found.extend(OF_AN_UPLOAD.iter().map(|id| technique(id, grounds, None)));
    }
    if record.tool().as_deref() == Some("wannacry") {
        let grounds = "what WannaCry is known to do";
        found.extend(OF_WANNACRY.iter().map(|id| technique(id, grounds, None)));
    }
    found
}

/// Whether an address is of this network rather than of the internet: private, loopback, link-local, or IPv6's
/// unique local ones (RFC 1918, RFC 3927, RFC 4193, RFC 4291).
fn is_near(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private() || v4.is_loopback() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn techniques_are_known_by_their_form() {
        for id in ["T1210", "T1021.002", "S0366"] {
            assert!(is_id(id) && is_told(id), "{id}");
        }
        for other in ["T121", "T12100", "T1210.", "T1210.02", "X1210", "", "TT210", "T1210.0022"] {
            assert!(!is_id(other) && !is_told(other), "{other}");
        }
        for id in ["T1210", "T1190", "T1570", "T1105"] {
            let (other, _) = elsewhere(id).unwrap();
            assert!(is_told(other) && elsewhere(other).unwrap().0 == id);
            assert_eq!(names(id), [id, other]);
        }
        assert!(is_told("T1021") && !is_told("T9999"));
    }

    #[test]
    fn the_table_is_whole_and_in_order() {
        assert!(NAMES.is_sorted_by_key(|(id, _)| id));
        for id in OF_AN_UPLOAD.iter().chain(OF_WANNACRY) {
            assert!(NAMES.iter().any(|(known, _)| known == id), "{id} has no name");
        }
    }

    #[test]
    fn near_is_what_no_router_of_the_internet_carries() {
        for near in
            ["10.1.2.3", "172.31.0.1", "192.168.1.1", "127.0.0.9", "169.254.1.1", "fd00::1", "fe80::1", "::1"]
        {
            assert!(is_near(near.parse().unwrap()), "{near}");
        }
        for far in ["192.0.2.7", "172.32.0.1", "2001:db8::1"] {
            assert!(!is_near(far.parse().unwrap()), "{far}");
        }
    }
}
