//! One connection, from its opening until it has found its incident.

use super::facts::{Facts, Moment};
use super::stage::{Role, Stage};
use super::tool::Attackers;
use roridula_evidence::Published;
use roridula_proto::event::{CloseReason, Event};
use roridula_proto::time::WallClock;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Characters of a check's path that are compared and shown.
const PATH_CHARS_MAX: usize = 200;
/// Grounds of a fingerprint that are kept, and characters of each.
const GROUNDS_MAX: usize = 8;
const GROUND_CHARS_MAX: usize = 200;
/// Tools that are kept of one fingerprint.
const TOOLS_MAX: usize = 8;

/// How the features of a visitor begin who has negotiated a dialect.
const NEGOTIATED: &str = "dialects=";

/// What is known of a connection.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Visit {
    pub(super) connection: u64,
    pub(super) source: IpAddr,
    pub(super) destination: Option<IpAddr>,
    pub(super) opened: WallClock,
    /// The last thing that the visitor did itself: a silence until a limit of ours is none.
    active: WallClock,
    /// Set when it has ended and waits for the exploit that it belongs to.
    pub(super) ending: Option<Ending>,
    pub(super) facts: Facts,
    pub(super) fingerprint: String,
    pub(super) tools: Vec<String>,
    pub(super) grounds: Vec<String>,
    pub(super) attackers: Attackers,
    /// The path of the share connected last, and that of the share on which MS17-010 was checked.
    path: String,
    pub(super) check_path: Option<CheckPath>,
    /// Connections that have ended and belong to this one's exploit.
    pub(super) companions: Vec<u64>,
    /// How many of those may as well belong to another one's.
    #[serde(default)]
    pub(super) guessed: u64,
    spoke: bool,
    logged_on: bool,
    /// Whether it carries an exploit's own messages.
    pub(super) exploits: bool,
    grooms: bool,
    makes_hole: bool,
    /// Whether the view's file has a row of it.
    #[serde(skip)]
    pub(super) stored: bool,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Ending {
    pub(super) time: WallClock,
    pub(super) reason: CloseReason,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
}

/// Which host a check for MS17-010 named in its path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CheckPath {
    pub(super) path: String,
    /// Whether that is the address of ours which the connection came to: every honest client names its target.
    pub(super) own: bool,
}

impl CheckPath {
    /// Whether one process cannot have sent both. WannaCry names its first target for ever.
    pub(super) fn excludes(&self, other: &Self) -> bool {
        !(self.own && other.own) && self.path != other.path
    }
}

impl Visit {
    /// A connection whose first event is `event`.
    pub(super) fn begin(connection: u64, source: IpAddr, event: &Published) -> Self {
        Self {
            connection,
            source,
            destination: event.destination.map(|address| address.ip().to_canonical()),
            opened: event.time,
            active: event.time,
            ending: None,
            facts: Facts::default(),
            fingerprint: String::new(),
            tools: Vec::new(),
            grounds: Vec::new(),
            attackers: Attackers::ANYBODY,
            path: String::new(),
            check_path: None,
            companions: Vec::new(),
            guessed: 0,
            spoke: false,
            logged_on: false,
            exploits: false,
            grooms: false,
            makes_hole: false,
            stored: false,
        }
    }

    /// Takes in one of its events.
    pub(super) fn see(&mut self, seq: u64, time: WallClock, event: &Event) {
        self.facts.see(Moment { connection: self.connection, seq, time }, event);
        self.spoke |= !matches!(event, Event::ConnectionOpened { .. } | Event::ConnectionClosed { .. });
        match event {
            Event::Smb1Session { .. } => self.logged_on = true,
            Event::Smb1Tree { path, .. } => self.path = path.0.chars().take(PATH_CHARS_MAX).collect(),
            Event::Ms17010Probe { .. } => {
                let own = self.destination.is_some_and(|ours| host(&self.path) == ours.to_string());
                self.check_path = Some(CheckPath { path: self.path.clone(), own });
            }
            // The words of EternalBlue's recogniser: these two stand on connections beside the exploit's own.
            Event::ExploitStep { step, .. } if step == "groom" => self.grooms = true,
            Event::ExploitStep { step, .. } if step == "hole" => self.makes_hole = true,
            Event::ExploitStep { .. } | Event::ExploitCompleted { .. } => self.exploits = true,
            Event::ClientFingerprint { fingerprint, features, tools, grounds, .. } => {
                // That it negotiated is no event that begins a visit: there would be one for each that does no more.
                self.facts.negotiated |= features.starts_with(NEGOTIATED);
                self.logged_on |= features.starts_with(NEGOTIATED);
                self.fingerprint = fingerprint.chars().take(64).collect();
                self.tools = tools.iter().take(TOOLS_MAX).cloned().collect();
                let short = |ground: &String| ground.chars().take(GROUND_CHARS_MAX).collect();
                self.grounds = grounds.iter().take(GROUNDS_MAX).map(short).collect();
                self.attackers = Attackers::of_tools(&self.tools);
            }
            Event::ConnectionClosed { reason, bytes_in, bytes_out, duration_us, .. } => {
                // That it was opened is no event of ours: it would be one for each that does nothing.
                self.opened = self.opened.min(WallClock(time.0.saturating_sub(*duration_us)));
                let at = Moment { connection: self.connection, seq, time: self.opened };
                self.facts.connected(at);
                let (bytes_in, bytes_out) = (*bytes_in, *bytes_out);
                self.ending = Some(Ending { time, reason: *reason, bytes_in, bytes_out });
            }
            _ => {}
        }
        if !is_told_at_the_end(event) {
            self.active = self.active.max(time);
        }
    }

    /// What it was for.
    pub(super) fn role(&self) -> Role {
        let did = |stage| self.facts.count(stage) > 0;
        match () {
            () if did(Stage::Upload) => Role::Upload,
            () if did(Stage::Kill) => Role::Kill,
            () if self.exploits => Role::Exploit,
            () if did(Stage::Probe) => Role::Check,
            () if did(Stage::Ping) => Role::Ping,
            () if self.grooms => Role::Groom,
            () if self.makes_hole => Role::Hole,
            () if self.logged_on => Role::Logon,
            () if self.spoke => Role::Unknown,
            () => Role::Connect,
        }
    }

    /// Whether it stands beside others and tells nothing of its own about who made it.
    pub(super) fn is_companion(&self) -> bool {
        match self.role() {
            Role::Groom | Role::Hole => true,
            Role::Connect | Role::Logon | Role::Unknown => self.attackers.is_anybody(),
            Role::Check | Role::Ping | Role::Exploit | Role::Upload | Role::Kill => false,
        }
    }

    /// Whether it is one of a row that its tool makes one after the other.
    pub(super) fn is_lock_step(&self) -> bool {
        let role = matches!(self.role(), Role::Check | Role::Ping | Role::Upload | Role::Kill);
        role && self.attackers.is_lock_step()
    }

    /// Until when the visitor was at it: its own close, or the last that it did before a limit of ours.
    pub(super) fn until(&self) -> WallClock {
        use CloseReason::{PeerClosed, PeerReset, Refused};
        match self.ending {
            Some(Ending { time, reason: PeerClosed | PeerReset | Refused, .. }) => time,
            _ => self.active,
        }
    }
}

/// Whether an event says nothing of when the visitor did something.
fn is_told_at_the_end(event: &Event) -> bool {
    matches!(
        event,
        Event::ConnectionClosed { .. }
            | Event::ClientFingerprint { .. }
            | Event::FrameUnfinished { .. }
            | Event::UploadFinished { .. }
            | Event::SampleCaptured { .. }
            | Event::CaptureFailed { .. }
    )
}

/// The host in `\\host\share`.
fn host(path: &str) -> &str {
    path.trim_start_matches('\\').split('\\').next().unwrap_or_default()
}
