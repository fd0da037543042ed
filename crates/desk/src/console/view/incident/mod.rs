//! One incident: its kill chain on a time axis, with the evidence behind each stage.

mod chain;

use super::View;
use super::brought::{self, Brought};
use crate::console::ask::{Ask, Problem, address};
use crate::console::download::CONNECTIONS_MAX;
use crate::console::page::Page;
use crate::console::shelf::Shelf;
use crate::console::table::{Cell, Table};
use crate::console::text;
use crate::incident::{Evidence, Incident as Story, IncidentSample, Member, Stage, Technique};
use crate::story;
use maud::{Markup, html};
use roridula_evidence::{EventFilter, Reader, rfc3339};
use roridula_proto::connection::ConnectionId;
use schemars::JsonSchema;
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

/// Connections that are drawn.
const LANES_MAX: usize = 40;

/// `/incidents/{id}`
pub(crate) struct Incident;

/// What it shows.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Model {
    /// The incident as `roridula incidents show --json` tells it.
    incident: Story,
    /// The connections that show most of it, in the order of their opening: the drawing's lanes.
    chain: Vec<Lane>,
    /// How many of those that are listed are not drawn.
    chain_more: u64,
    /// What the samples that it uploaded are, in the order of `incident.samples`.
    brought: Vec<Brought>,
    /// One page of its connections in the order of their opening.
    lanes: Vec<Lane>,
    /// Where the next page of lanes begins; null after the last.
    next: Option<String>,
}

/// One connection on the time axis.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Lane {
    /// The connection.
    #[serde(flatten)]
    member: Member,
    /// The stages that it has the evidence for, in order.
    marks: Vec<Mark>,
}

/// A stage on a lane.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Mark {
    /// Which.
    stage: Stage,
    /// When, UTC.
    at: String,
    /// The event that says so: its `seq` in the journal.
    seq: u64,
    /// Where the message begins in the bytes received; null where the event names none.
    stream_at: Option<u64>,
    /// What happened, in one line.
    what: String,
}

/// All stages, in the order of the kill chain.
pub(super) const STAGES: [Stage; 9] = [
    Stage::Connect,
    Stage::Logon,
    Stage::Probe,
    Stage::Ping,
    Stage::Exploit,
    Stage::Implant,
    Stage::Upload,
    Stage::Capture,
    Stage::Kill,
];

/// A stage's number in the chain, from 1.
pub(super) fn number(stage: Stage) -> usize {
    STAGES.iter().position(|known| *known == stage).map_or(0, |at| at + 1)
}

/// Where the evidence of a message is shown.
pub(super) fn evidence_address(incident: &str, connection: ConnectionId, at: At) -> String {
    let here = format!("/incidents/{incident}/connections/{connection}");
    match at {
        At::Byte(at) => format!("{here}?at={at}#at"),
        At::Event(seq) => format!("{here}?event={seq}"),
        At::Beginning => here,
    }
}

/// Which of a connection's messages is evidence.
#[derive(Clone, Copy, Debug)]
pub(super) enum At {
    /// The one that holds this byte of all that was received.
    Byte(u64),
    /// The one before this event, which names no byte.
    Event(u64),
    /// The first.
    Beginning,
}

impl At {
    /// Where an event points to, else it by itself.
    pub(super) fn of(stream_at: Option<u64>, seq: u64) -> Self {
        stream_at.map_or(Self::Event(seq), Self::Byte)
    }
}

impl View for Incident {
    type Model = Model;
    const PATH: &'static str = "/incidents/{id}";
    const API: &'static str = "/incidents/{id}";
    const ABOUT: &'static str = "One incident: its stages and connections with their evidence.";
    const HEEDS: &'static [&'static str] = super::PAGES;

    fn load(shelf: &mut Shelf, ask: &Ask) -> Result<Model, Problem> {
        let id = ask.incident("id")?;
        let incident = shelf.incidents.get(id).map_err(Problem::failed)?;
        let incident = incident.ok_or_else(|| Problem::Missing(format!("there is no incident {id}")))?;
        let from: usize = ask.cursor().map_or(Ok(0), |text| {
            text.parse().map_err(|_| Problem::Bad("`cursor` is none that an answer gave".to_owned()))
        })?;
        let limit = ask.limit()?;
        let members = shelf.incidents.connections(id).map_err(Problem::failed)?;
        let next = (members.len() > from.saturating_add(limit)).then(|| (from + limit).to_string());
        let told = most_telling(&incident, &members);
        let chain_more = (members.len() - told.len()) as u64;
        let lanes = |members: &mut dyn Iterator<Item = Member>| {
            members.map(|member| lane(&shelf.reader, &incident, member)).collect::<Result<_, _>>()
        };
        let chain = lanes(&mut told.into_iter())?;
        let lanes = lanes(&mut members.into_iter().skip(from).take(limit))?;
        let brought = brought::of(&incident, shelf.samples.catalog.as_deref(), usize::MAX);
        Ok(Model { incident, chain, chain_more, brought, lanes, next })
    }

    fn page(model: &Model, ask: &Ask) -> Page {
        Page::of_one(format!("Incident {}", model.incident.id), body(model, ask))
    }

    fn tables(model: &Model, _ask: &Ask) -> Vec<Table> {
        vec![connections(model), techniques(model)]
    }
}

/// The connections to be drawn: those with the evidence for the furthest stages, of equals the first. In the order of
/// their opening.
fn most_telling(incident: &Story, members: &[Member]) -> Vec<Member> {
    let mut furthest: HashMap<ConnectionId, usize> = HashMap::new();
    for view in &incident.stages {
        for evidence in &view.evidence {
            let known = furthest.entry(evidence.connection).or_default();
            *known = (*known).max(number(view.stage));
        }
    }
    let mut told: Vec<&Member> = members.iter().collect();
    told.sort_by_key(|member| Reverse(furthest.get(&member.connection).copied().unwrap_or(0)));
    told.truncate(LANES_MAX);
    told.sort_by_key(|member| (member.opened, member.connection.0));
    told.into_iter().cloned().collect()
}

fn lane(reader: &Reader, incident: &Story, member: Member) -> Result<Lane, Problem> {
    let mut marks = Vec::new();
    for stage in &incident.stages {
        for evidence in stage.evidence.iter().filter(|at| at.connection == member.connection) {
            let mark = mark(reader, stage.stage, evidence)?;
            // That it connected is written where it ended: one event for both.
            let at = if stage.stage == Stage::Connect { Some(rfc3339(member.opened)) } else { None };
            marks.extend(mark.map(|mark| Mark { at: at.unwrap_or_else(|| mark.at.clone()), ..mark }));
        }
    }
    marks.sort_by(|a, b| a.at.cmp(&b.at).then(a.stage.cmp(&b.stage)));
    Ok(Lane { member, marks })
}

fn mark(reader: &Reader, stage: Stage, evidence: &Evidence) -> Result<Option<Mark>, Problem> {
    let page = reader.events(evidence.seq.saturating_sub(1), &EventFilter::default(), 1);
    let event = page.map_err(Problem::failed)?.events.into_iter().find(|event| event.seq == evidence.seq);
    Ok(event.map(|event| Mark {
        stage,
        at: rfc3339(event.time),
        seq: evidence.seq,
        stream_at: evidence.stream_at,
        what: story::line(&event.event),
    }))
}

fn body(model: &Model, ask: &Ask) -> Markup {
    let incident = &model.incident;
    let id = incident.id.to_string();
    html! {
        p.sentence { (text::shown_to(&incident.summary, 1000)) }
        p {
            span class={ "badge " (incident.outcome) } { (incident.outcome) }
            " from " a href={ "/sources/" (incident.source) } { (incident.source) }
            ", " (text::time(incident.first)) ", for "
            (chain::length(incident.last.0.saturating_sub(incident.first.0)))
        }
        nav.exports aria-label="Downloads" {
            a href={ "/incidents/" (id) "/attack.pcapng" } download {
                "Packets (pcapng)"
                @if incident.connections > CONNECTIONS_MAX as u64 { ", of the first " (CONNECTIONS_MAX) " connections" }
            }
            a href={ "/incidents/" (id) "/transcripts.txt" } download { "Transcripts" }
            a href={ "/incidents/" (id) "/incident.json" } download { "JSON" }
        }
        (chain::figure(&id, &model.chain, model.chain_more))
        (stages(&id, incident))
        div.columns { (tool(model)) (samples(model)) }
        (techniques(model).html(ask))
        @if !incident.notes.is_empty() {
            section {
                h2 { "What is guessed, and what is missing" }
                ul { @for note in &incident.notes { li { (text::shown_to(note, 400)) } } }
            }
        }
        (connections(model).html(ask))
    }
}

/// The kill chain in words: each stage with its evidence.
fn stages(id: &str, incident: &Story) -> Markup {
    html! {
        section {
            h2 { "Kill chain" }
            ol.chain {
                @for stage in STAGES {
                    @let reached = incident.stages.iter().find(|view| view.stage == stage);
                    li id={ "stage-" (stage) } class=(if reached.is_some() { "reached" } else { "quiet" }) {
                        strong { (stage) }
                        @match reached {
                            None => { " – not reached" }
                            Some(view) => {
                                " " (text::time(view.first))
                                @if view.count > 1 { ", " (text::number(view.count)) " times, last " (text::time(view.last)) }
                                @if !view.evidence.is_empty() { ": evidence" }
                                @for (at, evidence) in view.evidence.iter().enumerate() {
                                    " " a href=(evidence_address(id, evidence.connection, At::of(evidence.stream_at, evidence.seq)))
                                        aria-label={ (stage) ", evidence " (at + 1) } { (at + 1) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn tool(model: &Model) -> Markup {
    let incident = &model.incident;
    let prints: BTreeSet<&str> = model.chain.iter().map(|lane| lane.member.fingerprint.as_str()).collect();
    html! {
        section {
            h2 { "Tool" }
            @match &incident.tool.label {
                None => { p.quiet { "No connection showed a known one." } }
                Some(label) => { p { "It looks like " strong { (text::shown(label)) } "." } }
            }
            @for (name, grounds) in &incident.tool.seen {
                h3 { (text::shown(name)) }
                ul { @for ground in grounds { li { code { (text::shown(ground)) } } } }
            }
            @if prints.iter().any(|print| !print.is_empty()) {
                p {
                    "Fingerprints:"
                    @for print in prints.iter().filter(|print| !print.is_empty()) {
                        " " a href={ "/tools/" (print) } { code { (print) } }
                    }
                }
            }
            @if !incident.exploits.is_empty() {
                p { "Exploits: " (text::shown(&incident.exploits.join(", ")))
                    ", ran to the end " (text::count(incident.exploits_completed, "time")) "." }
            }
        }
    }
}

fn samples(model: &Model) -> Markup {
    let incident = &model.incident;
    let list = |title: &str, samples: &[IncidentSample]| {
        html! {
            @if !samples.is_empty() {
                h3 { (title) }
                ul {
                    @for sample in samples {
                        li {
                            a href={ "/samples/" (sample.sha256) } { (text::hash(&sample.sha256)) }
                            " " (text::number(sample.size)) " bytes, " (sample.state) ", " (sample.origin)
                            @if sample.captures > 1 { ", " (text::number(sample.captures)) " times" }
                            @if sample.first_seen { " " strong.badge { "new" } }
                            @let is_it = |one: &&Brought| one.sha256 == sample.sha256 && !one.sentence.is_empty();
                            @if let Some(one) = model.brought.iter().find(is_it) {
                                br;
                                @if !one.family.is_empty() { strong { (text::shown(&one.family)) } ": " }
                                (text::shown_to(&one.sentence, 600))
                            }
                        }
                    }
                }
            }
        }
    };
    html! {
        section {
            h2 { "Samples" }
            @if incident.samples.is_empty() && incident.buffers.is_empty() {
                p.quiet { "It brought none." }
            }
            (list("Uploaded", &incident.samples))
            (list("Carried by exploits and unknown messages", &incident.buffers))
            @if incident.samples_more > 0 { p { "and " (text::number(incident.samples_more)) " captures of others" } }
        }
    }
}

fn connections(model: &Model) -> Table {
    let id = model.incident.id.to_string();
    let cells = |lane: &Lane| {
        let member = &lane.member;
        let connection = member.connection.to_string();
        let marks: Vec<&str> = lane.marks.iter().map(|mark| mark.stage.as_str()).collect();
        vec![
            Cell::Time(member.opened),
            Cell::Link(connection, evidence_address(&id, member.connection, At::Beginning)),
            Cell::text(member.role.as_str()),
            Cell::Text(chain::length(member.closed.0.saturating_sub(member.opened.0))),
            Cell::text(&member.reason),
            Cell::Number(member.bytes_in),
            Cell::Number(member.bytes_out),
            Cell::text(marks.join(" → ")),
            Cell::text(member.tools.join(", ")),
            match member.fingerprint.as_str() {
                "" => Cell::None,
                print => Cell::HashLink(print.to_owned(), format!("/tools/{print}")),
            },
        ]
    };
    Table {
        name: "connections",
        caption: format!("{} connections", text::number(model.incident.connections)),
        columns: vec![
            "Opened",
            "Connection",
            "For",
            "Lasted",
            "Ended",
            "Bytes in",
            "Bytes out",
            "Stages",
            "Tools",
            "Fingerprint",
        ],
        rows: model.lanes.iter().map(cells).collect(),
        empty: None,
        next: model.next.clone(),
    }
}

fn techniques(model: &Model) -> Table {
    let attack = &model.incident.attack;
    let cells = |how: &'static str| {
        move |technique: &Technique| {
            let stage = technique.stage.map(|stage| stage.as_str());
            vec![
                Cell::text(how),
                Cell::Link(technique.id.to_owned(), address("/search", [("q", technique.id)].into_iter())),
                Cell::text(technique.name),
                Cell::text(&technique.grounds),
                stage.map_or(Cell::None, |stage| Cell::Link(stage.to_owned(), format!("#stage-{stage}"))),
            ]
        }
    };
    let observed = attack.observed.iter().map(cells("observed"));
    Table {
        name: "attack",
        caption: format!("In the words of MITRE ATT&CK {}", attack.version),
        columns: vec!["How known", "Id", "Name", "Grounds", "Stage"],
        rows: observed.chain(attack.implied.iter().map(cells("implied, not seen here"))).collect(),
        empty: Some(html! { p { "Nothing that ATT&CK has a word for." } }),
        next: None,
    }
}
