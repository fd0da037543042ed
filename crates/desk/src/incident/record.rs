//! One incident, as the view keeps it.

use super::facts::Facts;
use super::stage::{Role, Stage};
use super::tool::{self, Attackers};
use super::view::Outcome;
use super::visit::{CheckPath, Visit};
use roridula_proto::time::WallClock;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Exploits whose times are remembered: a groom finds the one that it stood beside.
const EXPLOITS_MAX: usize = 8;
/// Tools that are listed.
const TOOLS_MAX: usize = 16;
/// Connections of one tool that overlap by less may be one that is just being closed.
const OVERLAP_MICROS: u64 = 1_000_000;

/// Everything that is known of an incident besides the list of its connections.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    /// Its place among the view's incidents.
    #[serde(skip)]
    pub(super) n: i64,
    /// Its name: the connection that was the first of it to end.
    pub(super) id: u64,
    pub(super) source: IpAddr,
    pub(super) first: WallClock,
    pub(super) last: WallClock,
    pub(super) connections: u64,
    pub(super) roles: BTreeMap<Role, u64>,
    /// Who fits all connections so far.
    pub(super) attackers: Attackers,
    /// The tools seen, each with what first showed it.
    pub(super) tools: BTreeMap<String, Vec<String>>,
    pub(super) check_path: Option<CheckPath>,
    pub(super) facts: Facts,
    /// When the latest exploits began and ended.
    pub(super) exploits: Vec<(WallClock, WallClock)>,
    /// The latest end of a connection of a row that lasted long enough to be overlapped.
    busy_until: WallClock,
    /// Connections that would have fitted another incident as well.
    pub(super) guesses: u64,
    /// Connections that fitted no incident and came here because there were too many of this address already.
    pub(super) crowded: u64,
    /// The incident of the same address that this one was told from, and by what.
    pub(super) apart: Option<(u64, Apart)>,
}

/// What tells two attackers behind one address apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Apart {
    /// Their tools exclude each other.
    Tool,
    /// Their checks name different first targets.
    CheckPath,
    /// Two connections of one row at the same time.
    Overlap,
}

impl Record {
    /// An incident that begins with `visit`.
    pub(super) fn begin(n: i64, visit: &Visit, apart: Option<(u64, Apart)>) -> Self {
        Self {
            n,
            id: visit.connection,
            source: visit.source,
            first: visit.opened,
            last: visit.until(),
            connections: 0,
            roles: BTreeMap::new(),
            attackers: Attackers::ANYBODY,
            tools: BTreeMap::new(),
            check_path: None,
            facts: Facts::default(),
            exploits: Vec::new(),
            busy_until: WallClock(0),
            guesses: 0,
            crowded: 0,
            apart,
        }
    }

    /// Takes a connection in that has ended.
    pub(super) fn join(&mut self, visit: Visit) {
        let (role, until) = (visit.role(), visit.until());
        self.first = self.first.min(visit.opened);
        self.last = self.last.max(until);
        self.connections += 1;
        *self.roles.entry(role).or_default() += 1;
        let left = self.attackers.and(visit.attackers);
        // Nobody: it came here against the rules, and says nothing of who the others are.
        if !left.is_nobody() {
            self.attackers = left;
        }
        for tool in &visit.tools {
            if self.tools.len() < TOOLS_MAX && !self.tools.contains_key(tool) {
                self.tools.insert(tool.clone(), visit.grounds.clone());
            }
        }
        if role == Role::Exploit {
            if self.exploits.len() >= EXPLOITS_MAX {
                self.exploits.remove(0);
            }
            self.exploits.push((visit.opened, until));
        }
        if visit.is_lock_step() && until.0.saturating_sub(visit.opened.0) > OVERLAP_MICROS {
            self.busy_until = self.busy_until.max(until);
        }
        if self.check_path.is_none() {
            self.check_path = visit.check_path;
        }
        self.facts.add(visit.facts);
    }

    /// Why `visit` cannot be of this incident, if it cannot.
    pub(super) fn excludes(&self, visit: &Visit) -> Option<Apart> {
        let common = self.attackers.and(visit.attackers);
        if common.is_nobody() {
            return Some(Apart::Tool);
        }
        if let (Some(ours), Some(theirs)) = (&self.check_path, &visit.check_path)
            && common.may_be_wannacry()
            && ours.excludes(theirs)
        {
            return Some(Apart::CheckPath);
        }
        let (from, until) = (visit.opened, visit.until());
        // Both lasted longer than that, and ended later than that after the other's beginning.
        let at_once =
            |other_until: WallClock| other_until.0.min(until.0).saturating_sub(from.0) > OVERLAP_MICROS;
        let overlaps = visit.is_lock_step() && at_once(self.busy_until)
            || visit.role() == Role::Exploit
                && self.exploits.iter().any(|&(other_from, other_until)| {
                    at_once(other_until)
                        && other_until.0.min(until.0).saturating_sub(other_from.0) > OVERLAP_MICROS
                });
        overlaps.then_some(Apart::Overlap)
    }

    /// Microseconds between this incident and a connection; 0 where they overlap.
    pub(super) fn gap(&self, visit: &Visit) -> u64 {
        let after = visit.opened.0.saturating_sub(self.last.0);
        let before = self.first.0.saturating_sub(visit.until().0);
        after.max(before)
    }

    /// When the exploit began beside which a connection was opened at `opened`.
    pub(super) fn exploit_at(&self, opened: WallClock) -> Option<WallClock> {
        let beside = |&&(from, until): &&(WallClock, WallClock)| from <= opened && opened <= until;
        self.exploits.iter().filter(beside).map(|&(from, _)| from).max()
    }

    /// How many connections were for this.
    pub(super) fn role(&self, role: Role) -> u64 {
        self.roles.get(&role).copied().unwrap_or(0)
    }

    /// How far it came.
    pub(super) fn outcome(&self) -> Outcome {
        let facts = &self.facts;
        let reached = |stage| facts.count(stage) > 0;
        match () {
            () if facts.last_act.is_some_and(|(_, removal)| removal) => Outcome::Killed,
            () if facts.has_whole_upload() => Outcome::Captured,
            () if reached(Stage::Upload) || reached(Stage::Capture) => Outcome::Uploaded,
            () if facts.completed > 0 => Outcome::Exploited,
            // An exploit that was cut off, or that a patched host refused, has tried and not done it.
            () if [Stage::Probe, Stage::Ping, Stage::Exploit, Stage::Kill].into_iter().any(reached) => {
                Outcome::Probed
            }
            () => Outcome::Connected,
        }
    }

    /// What its tool is called.
    pub(super) fn tool(&self) -> Option<String> {
        tool::name(self.attackers, &self.tools)
    }
}
