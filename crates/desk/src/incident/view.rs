//! What a reader is shown of an incident: plain values, ready for JSON. `docs/incidents.md` describes them.

use super::attack::{self, ATTACK_VERSION, Technique};
use super::database::MemberRow;
use super::facts::{Caught, is_payload};
use super::id::IncidentId;
use super::record::{Apart, Record};
use super::sentence;
use super::stage::{Role, Stage};
use super::tool;
use crate::index::Step;
use roridula_evidence::rfc3339;
use roridula_proto::connection::ConnectionId;
use roridula_proto::event::{Layer, Origin, Text, UploadState};
use roridula_proto::time::WallClock;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

/// How far an incident came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It connected, and perhaps logged on.
    Connected,
    /// It checked for MS17-010 or asked for the implant.
    Probed,
    /// It took steps of an exploit.
    Exploited,
    /// It uploaded, and not everything arrived.
    Uploaded,
    /// An upload is here to its last byte.
    Captured,
    /// The last thing that it did to a present implant was to remove it.
    Killed,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Connected, Self::Probed, Self::Exploited, Self::Uploaded, Self::Captured, Self::Killed];

    /// Their words.
    pub const WORDS: [&'static str; 6] = {
        let [one, two, three, four, five, six] = Self::ALL;
        [one.as_str(), two.as_str(), three.as_str(), four.as_str(), five.as_str(), six.as_str()]
    };

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Probed => "probed",
            Self::Exploited => "exploited",
            Self::Uploaded => "uploaded",
            Self::Captured => "captured",
            Self::Killed => "killed",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// All connections of one source that belong to one attack.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Incident {
    /// Its name.
    #[schemars(with = "String")]
    pub id: IncidentId,
    /// The visitor.
    pub source: IpAddr,
    /// When its first connection was opened.
    #[serde(serialize_with = "as_time")]
    #[schemars(with = "String")]
    pub first: WallClock,
    /// When the visitor was last at it.
    #[serde(serialize_with = "as_time")]
    #[schemars(with = "String")]
    pub last: WallClock,
    /// How many connections.
    pub connections: u64,
    /// How many of them were for what.
    pub roles: BTreeMap<Role, u64>,
    /// The story in one sentence.
    pub summary: String,
    /// How far it came.
    pub outcome: Outcome,
    /// Which tool it was, as observed.
    pub tool: Tool,
    /// The stages that it went through, in the order of the kill chain.
    pub stages: Vec<StageView>,
    /// The steps of the funnel that it took, in order. Not every step needs the one before it.
    pub steps: Vec<Step>,
    /// Exploits that recognisers saw steps of.
    pub exploits: Vec<String>,
    /// How often one ran to its end.
    pub exploits_completed: u64,
    /// What was uploaded.
    pub samples: Vec<IncidentSample>,
    /// What exploits and unknown traffic carried.
    pub buffers: Vec<IncidentSample>,
    /// Captures of further samples.
    pub samples_more: u64,
    /// In the words of ATT&CK.
    pub attack: Attack,
    /// Where the view had to guess, and what is missing.
    pub notes: Vec<String>,
}

/// The tool of an incident.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Tool {
    /// Its id, null where no connection showed one.
    pub name: Option<String>,
    /// What people call it.
    pub label: Option<String>,
    /// All tools whose proving features were seen, each with those features.
    pub seen: BTreeMap<String, Vec<String>>,
}

/// A stage of an incident.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct StageView {
    /// Which.
    pub stage: Stage,
    /// When it was reached.
    #[serde(serialize_with = "as_time")]
    #[schemars(with = "String")]
    pub first: WallClock,
    /// When it was last seen.
    #[serde(serialize_with = "as_time")]
    #[schemars(with = "String")]
    pub last: WallClock,
    /// How often.
    pub count: u64,
    /// Where that is written; of a stage that was reached very often, the first few.
    pub evidence: Vec<Evidence>,
}

/// Where something is written.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Evidence {
    /// In this connection's transcript.
    #[serde(serialize_with = "as_text")]
    #[schemars(with = "String")]
    pub connection: ConnectionId,
    /// The event that tells it.
    pub seq: u64,
    /// Where the message begins in the bytes received; null where no message shows it.
    pub stream_at: Option<u64>,
}

/// A sample that an incident brought.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct IncidentSample {
    /// SHA-256, hexadecimal.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
    /// The size that its sender announced.
    pub total: Option<u64>,
    /// What there is of it.
    #[schemars(with = "String")]
    pub state: UploadState,
    /// By which road it came.
    #[schemars(with = "String")]
    pub origin: Origin,
    /// How often this incident brought it.
    pub captures: u64,
    /// Whether no earlier capture had these bytes.
    pub first_seen: bool,
    /// Whether it was found only after the honeypot had been killed.
    pub recovered: bool,
    /// Whether triage has looked at it.
    pub triaged: bool,
    /// What triage found inside.
    #[schemars(with = "serde_json::Value")]
    pub layers: Vec<Layer>,
    /// What went wrong in triage, or empty.
    pub triage_error: String,
}

/// An incident in the words of ATT&CK.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Attack {
    /// The version that ids and names are of.
    pub version: &'static str,
    /// What events show.
    pub observed: Vec<Technique>,
    /// What is known to follow on a real host. Nothing of it was observed here.
    pub implied: Vec<Technique>,
}

impl Attack {
    /// Both, what is observed first.
    pub fn all(&self) -> impl Iterator<Item = &Technique> {
        self.observed.iter().chain(&self.implied)
    }
}

/// A connection of an incident.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Member {
    /// Its name.
    #[serde(serialize_with = "as_text")]
    #[schemars(with = "String")]
    pub connection: ConnectionId,
    /// When it was accepted.
    #[serde(serialize_with = "as_time")]
    #[schemars(with = "String")]
    pub opened: WallClock,
    /// When it ended.
    #[serde(serialize_with = "as_time")]
    #[schemars(with = "String")]
    pub closed: WallClock,
    /// What it was for.
    pub role: Role,
    /// Why it ended.
    pub reason: String,
    /// Its implementation fingerprint, or empty.
    pub fingerprint: String,
    /// The tools that the fingerprint names.
    pub tools: Vec<String>,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
}

impl Member {
    pub(super) fn new(connection: u64, row: MemberRow) -> Self {
        Self {
            connection: ConnectionId(connection),
            opened: row.opened,
            closed: row.closed,
            role: row.role.unwrap_or(Role::Unknown),
            reason: row.reason,
            fingerprint: row.fingerprint,
            tools: row.tools,
            bytes_in: row.bytes_in,
            bytes_out: row.bytes_out,
        }
    }
}

impl Incident {
    /// The incident of `record`; `triage` says what was found in a sample.
    pub(super) fn new<E>(
        record: &Record,
        connections_max: u64,
        mut triage: impl FnMut(&str) -> Result<Option<(Vec<Layer>, String)>, E>,
    ) -> Result<Self, E> {
        let facts = &record.facts;
        let mut of_kind = |payload| {
            let wanted = facts.samples.iter().filter(|sample| is_payload(sample.origin) == payload);
            wanted.map(|sample| Ok(shown(sample, triage(&sample.sha256)?))).collect::<Result<Vec<_>, E>>()
        };
        let (samples, buffers) = (of_kind(true)?, of_kind(false)?);
        let name = record.tool();
        let label = name.as_ref().map(|name| tool::label(name).unwrap_or(name).to_owned());
        Ok(Self {
            id: IncidentId(ConnectionId(record.id)),
            source: record.source,
            first: record.first,
            last: record.last,
            connections: record.connections,
            roles: record.roles.clone(),
            summary: sentence::of(record),
            outcome: record.outcome(),
            tool: Tool { name, label, seen: record.tools.clone() },
            stages: stages(record),
            steps: Step::ALL.into_iter().filter(|step| facts.took(*step)).collect(),
            exploits: facts.exploits.iter().cloned().collect(),
            exploits_completed: facts.completed,
            samples,
            buffers,
            samples_more: facts.samples_more,
            attack: Attack {
                version: ATTACK_VERSION,
                observed: attack::observed(record),
                implied: attack::implied(record),
            },
            notes: notes(record, connections_max),
        })
    }
}

fn shown(sample: &Caught, triage: Option<(Vec<Layer>, String)>) -> IncidentSample {
    let triaged = triage.is_some();
    let (layers, triage_error) = triage.unwrap_or_default();
    IncidentSample {
        sha256: sample.sha256.clone(),
        size: sample.size,
        total: sample.total,
        state: sample.state,
        origin: sample.origin,
        captures: sample.captures,
        first_seen: sample.first_seen,
        recovered: sample.recovered,
        triaged,
        layers,
        triage_error,
    }
}

fn stages(record: &Record) -> Vec<StageView> {
    let show = |(stage, tally): (&Stage, &super::stage::Tally)| {
        let mut evidence: Vec<Evidence> = tally
            .evidence
            .iter()
            .map(|at| Evidence {
                connection: ConnectionId(at.connection),
                seq: at.seq,
                stream_at: at.stream_at,
            })
            .collect();
        evidence.sort_by_key(|at| at.seq);
        StageView { stage: *stage, first: tally.first, last: tally.last, count: tally.count, evidence }
    };
    record.facts.stages.iter().map(show).collect()
}

fn notes(record: &Record, connections_max: u64) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some((id, why)) = record.apart {
        let id = IncidentId(ConnectionId(id));
        let path = record.check_path.as_ref().map_or("", |check| &check.path);
        notes.push(match why {
            Apart::Tool => format!("not {id} of the same address: the tools exclude each other"),
            Apart::CheckPath => {
                format!("not {id} of the same address: its check names another host ({})", Text::from(path))
            }
            Apart::Overlap => {
                format!("not {id} of the same address: a tool that goes step by step was at two at once")
            }
        });
    }
    if record.guesses > 0 {
        let count = record.guesses;
        notes.push(format!("guessed: {count} of its connections fit another incident of this address too"));
    }
    if record.crowded > 0 {
        let count = record.crowded;
        notes.push(format!("guessed: {count} of its connections fit none of the many of this address"));
    }
    if record.connections > connections_max {
        notes.push(format!("only the first {connections_max} connections are listed"));
    }
    if record.facts.events_dropped > 0 {
        notes.push(format!("{} events were left out over limits.events_max", record.facts.events_dropped));
    }
    if record.facts.bytes_lost > 0 {
        notes.push(format!("{} bytes that came could not be kept", record.facts.bytes_lost));
    }
    notes
}

fn as_text<S: Serializer>(id: &ConnectionId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

fn as_time<S: Serializer>(at: &WallClock, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*at))
}
