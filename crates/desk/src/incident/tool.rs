//! Which tools may be one and the same attacker.
//!
//! A fingerprint names the tool that made a connection. One attacker makes connections of several shapes: WannaCry's
//! first check is what every public checker sends, and its exploit and pings are recorded FuzzBunch. So each tool
//! stands for the set of attackers that make such connections, and an incident for the attackers that fit all its
//! connections so far. Two tools are compatible where a common attacker is left.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A set of attackers, one bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Attackers(u16);

const WANNACRY: Attackers = Attackers(1);
const FUZZBUNCH: Attackers = Attackers(1 << 1);
const METASPLOIT: Attackers = Attackers(1 << 2);
const CHECKER: Attackers = Attackers(1 << 3);
const NMAP: Attackers = Attackers(1 << 4);
const IMPACKET: Attackers = Attackers(1 << 5);
const SMBCLIENT: Attackers = Attackers(1 << 6);
const WINDOWS: Attackers = Attackers(1 << 7);
const NOTPETYA: Attackers = Attackers(1 << 9);
/// Tools that this build has not heard of are taken for one.
const UNHEARD: Attackers = Attackers(1 << 8);

/// An attacker, what it is called, how it is shown.
const ATTACKERS: &[(Attackers, &str)] = &[
    (WANNACRY, "wannacry"),
    (FUZZBUNCH, "fuzzbunch"),
    (METASPLOIT, "metasploit"),
    (CHECKER, "checker"),
    (NMAP, "nmap"),
    (IMPACKET, "impacket"),
    (SMBCLIENT, "smbclient"),
    (WINDOWS, "windows"),
    (NOTPETYA, "notpetya"),
];

/// The table: a tool's id, how people write it, who makes connections that look so.
const TOOLS: &[(&str, &str, Attackers)] = &[
    // Its stale template tail, constant Timeouts and template paths are its own.
    ("wannacry", "WannaCry", WANNACRY),
    // The worm replays it; where only the shape is seen, it may be either.
    ("fuzzbunch", "FuzzBunch", FUZZBUNCH.or(WANNACRY)),
    ("metasploit", "Metasploit", METASPLOIT),
    ("metasploit-scanner", "Metasploit's scanner", METASPLOIT),
    ("metasploit-doublepulsar-rce", "Metasploit's doublepulsar_rce", METASPLOIT),
    ("metasploit-eternalblue", "Metasploit's EternalBlue", METASPLOIT),
    // The bytes of the public checkers are in many tools, the worm among them, and go ahead of any exploit.
    ("checker", "a public checker", CHECKER.or(WANNACRY).or(FUZZBUNCH).or(METASPLOIT).or(IMPACKET)),
    ("eternalromance", "FuzzBunch's EternalRomance", FUZZBUNCH),
    ("notpetya", "NotPetya", NOTPETYA),
    ("nmap", "nmap", NMAP),
    ("impacket", "impacket", IMPACKET),
    ("worawit", "worawit's scripts", IMPACKET),
    ("smbclient", "smbclient", SMBCLIENT),
    ("windows", "Windows' own client", WINDOWS),
];

impl Attackers {
    /// Everybody: of a connection that shows no tool.
    pub(super) const ANYBODY: Self = Self(u16::MAX);

    const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those who are in both.
    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether nobody is left.
    pub(super) const fn is_nobody(self) -> bool {
        self.0 == 0
    }

    /// Whether nothing is known.
    pub(super) const fn is_anybody(self) -> bool {
        self.0 == Self::ANYBODY.0
    }

    /// Whether it may be the worm.
    pub(super) const fn may_be_wannacry(self) -> bool {
        !self.and(WANNACRY).is_nobody()
    }

    /// Whether these attackers do one thing after the other, a connection at a time, towards one target. Only where
    /// something is known of them.
    pub(super) const fn is_lock_step(self) -> bool {
        !self.is_anybody() && !self.and(WANNACRY.or(FUZZBUNCH)).is_nobody()
    }

    /// Who makes connections that look like all of `tools`; of tools that exclude each other, like any.
    pub(super) fn of_tools(tools: &[String]) -> Self {
        let sets = || tools.iter().map(|tool| find(tool).map_or(UNHEARD, |(_, _, attackers)| *attackers));
        let all = sets().fold(Self::ANYBODY, Self::and);
        if all.is_nobody() { sets().fold(Self(0), Self::or) } else { all }
    }
}

fn find(tool: &str) -> Option<&'static (&'static str, &'static str, Attackers)> {
    TOOLS.iter().find(|(id, ..)| *id == tool)
}

/// What an attacker is called whose connections looked like `seen`: the one tool that tells most, or the attacker
/// whom several such tools leave.
pub(super) fn name(attackers: Attackers, seen: &BTreeMap<String, Vec<String>>) -> Option<String> {
    let width = |tool: &str| find(tool).map_or(1, |(_, _, attackers)| attackers.0.count_ones());
    let narrowest = seen.keys().map(|tool| width(tool)).min()?;
    let mut telling = seen.keys().filter(|tool| width(tool) == narrowest);
    match (telling.next(), telling.next()) {
        (Some(only), None) => Some(only.clone()),
        (first, _) => {
            let whole = ATTACKERS.iter().find(|(attacker, _)| *attacker == attackers);
            whole.map(|(_, name)| (*name).to_owned()).or_else(|| first.cloned())
        }
    }
}

/// All tools that have a name: their ids, and how people write them.
pub fn known() -> impl Iterator<Item = (&'static str, &'static str)> {
    TOOLS.iter().map(|(id, label, _)| (*id, *label))
}

/// How people write a tool's name; `None` where it has no known one.
pub fn label(tool: &str) -> Option<&'static str> {
    find(tool).map(|(_, label, _)| *label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attackers(tools: &[&str]) -> Attackers {
        Attackers::of_tools(&tools.iter().map(|&tool| tool.to_owned()).collect::<Vec<_>>())
    }

    fn compatible(a: &str, b: &str) -> bool {
        !attackers(&[a]).and(attackers(&[b])).is_nobody()
    }

    #[test]
    fn the_worm_looks_like_three_tools_and_no_other() {
        for other in ["wannacry", "fuzzbunch", "checker"] {
            assert!(compatible("wannacry", other), "{other}");
        }
        for other in ["metasploit-eternalblue", "nmap", "impacket", "worawit", "smbclient", "windows", "new"]
        {
            assert!(!compatible("wannacry", other), "{other}");
        }
        assert!(
            compatible("metasploit-scanner", "metasploit-eternalblue") && compatible("checker", "worawit")
        );
        assert!(!compatible("fuzzbunch", "metasploit-scanner"));
        assert_eq!(attackers(&[]), Attackers::ANYBODY);
        assert_eq!(attackers(&["fuzzbunch", "wannacry"]), WANNACRY);
        assert_eq!(attackers(&["nmap", "windows"]), NMAP.or(WINDOWS));
    }

    #[test]
    fn an_attacker_is_called_by_what_tells_most() {
        let name = |tools: &[&str]| {
            let seen = tools.iter().map(|&tool| (tool.to_owned(), Vec::new())).collect();
            let left = tools.iter().map(|&tool| attackers(&[tool])).fold(Attackers::ANYBODY, Attackers::and);
            name(left, &seen)
        };
        assert_eq!(name(&["checker", "fuzzbunch", "wannacry"]).as_deref(), Some("wannacry"));
        assert_eq!(name(&["checker"]).as_deref(), Some("checker"));
        assert_eq!(name(&["checker", "fuzzbunch"]).as_deref(), Some("fuzzbunch"));
        let both = ["metasploit-scanner", "metasploit-eternalblue"];
        assert_eq!(name(&both).as_deref(), Some("metasploit"));
        assert_eq!(name(&["unheard-of"]).as_deref(), Some("unheard-of"));
        assert_eq!(name(&[]), None);
    }
}
