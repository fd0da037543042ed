//! One connection's evidence: its messages field by field beside the same bytes.

mod hex;
mod message;

use super::View;
use super::word::Word;
use crate::console::ask::{Ask, Problem, address};
use crate::console::page::Page;
use crate::console::recorded::{self, Recording};
use crate::console::shelf::Shelf;
use crate::console::text;
use crate::incident::IncidentId;
use crate::story;
use maud::{Markup, html};
use message::Message;
use roridula_evidence::{EventFilter, rfc3339};
use roridula_proto::connection::ConnectionId;
use roridula_proto::describe::{self, Heading};
use roridula_proto::time::WallClock;
use schemars::JsonSchema;
use serde::Serialize;
use std::str::FromStr;

/// Messages of a page where no number is asked for: a request and its reply, a few times.
const MESSAGES: usize = 8;
/// Events that are told; `limits.events_max` is not much more.
const EVENTS_MAX: usize = 1024;

/// `/incidents/{id}/connections/{connection}`
pub(crate) struct Connection;

/// What it shows.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Model {
    /// The incident that it belongs to.
    incident: String,
    /// Its name.
    connection: String,
    /// The visitor.
    source: String,
    /// The address of ours.
    destination: String,
    /// When it was accepted, UTC.
    opened: String,
    /// How long it stayed, in microseconds; null while it is open.
    duration_us: Option<u64>,
    /// Why it ended; null while it is open.
    reason: Option<String>,
    /// Bytes received.
    bytes_in: u64,
    /// Bytes sent.
    bytes_out: u64,
    /// Whether its transcript is whole: `complete`, `truncated`, `none`.
    transcript: String,
    /// Samples that it brought, SHA-256.
    samples: Vec<String>,
    /// What it told, in order.
    events: Vec<Told>,
    /// Why there are no messages, or not all of them; null where nothing is missing.
    missing: Option<String>,
    /// Messages of both sides, all together.
    total: u64,
    /// All that the visitor sent, messages of one name together.
    outline: Vec<Line>,
    /// One page of messages.
    messages: Vec<Message>,
    /// `at` of the page before this one; null on the first.
    earlier: Option<u64>,
    /// `at` of the page after this one; null on the last.
    later: Option<u64>,
}

/// An event.
#[derive(Debug, Serialize, JsonSchema)]
struct Told {
    /// When, UTC.
    time: String,
    /// Its id.
    eventid: String,
    /// In one line.
    what: String,
    /// Where the message begins in the bytes received; null where it names none.
    stream_at: Option<u64>,
}

/// Messages of one name that follow each other.
#[derive(Debug, Serialize, JsonSchema)]
struct Line {
    /// When the first was whole, UTC.
    time: String,
    /// Where it begins in the bytes received.
    stream_at: u64,
    /// What they are called.
    title: String,
    /// How many.
    count: u64,
}

impl View for Connection {
    type Model = Model;
    const PATH: &'static str = "/incidents/{id}/connections/{connection}";
    const API: &'static str = "/incidents/{id}/connections/{connection}";
    const ABOUT: &'static str = "One connection: its messages field by field beside their bytes.";
    const HEEDS: &'static [&'static str] = &[];
    const QUERY: &'static [Word] = &[
        Word::whole(
            "at",
            "The page begins with the message that holds this byte of all that was received.",
            0,
            u64::MAX,
        ),
        Word::whole(
            "event",
            "In place of `at`: leads to the visitor's last message before this event (its `seq`), by time.",
            0,
            u64::MAX,
        ),
        Word::whole("messages", "Messages of a page.", 1, 64),
    ];

    fn load(shelf: &mut Shelf, ask: &Ask) -> Result<Model, Problem> {
        let (incident, id) = names(ask)?;
        let belongs = shelf.incidents.of_connection(id).map_err(Problem::failed)?;
        if belongs != Some(incident) {
            return Err(Problem::Missing(format!("{incident} has no connection {id}")));
        }
        let page = describe::Page {
            at: whole(ask, "at", 0)?,
            messages: usize::try_from(whole(ask, "messages", MESSAGES as u64)?).unwrap_or(usize::MAX),
        };
        let view = shelf.reader.connection(id).map_err(Problem::failed)?;
        let view = view.ok_or_else(|| Problem::Missing(format!("there is no connection {id}")))?;
        let filter = EventFilter { connection: Some(id), ..EventFilter::default() };
        let events = shelf.reader.events(0, &filter, EVENTS_MAX).map_err(Problem::failed)?.events;
        let (described, missing) = match Recording::load(&shelf.reader, id) {
            Ok(recording) => {
                let decoy = recorded::decoy(&shelf.dir)?;
                if let Some(time) = event_time(shelf, id, ask)? {
                    let place =
                        describe::place_at(recording.transcript(), &decoy, recording.payloads(), time);
                    return Err(Problem::Elsewhere(at(ask, place)));
                }
                let found = describe::describe(recording.transcript(), &decoy, recording.payloads(), page);
                let missing = found.gone.clone().or_else(|| {
                    let cut = !recording.transcript().is_complete();
                    cut.then(|| "more came than the transcript could keep".to_owned())
                });
                (found, missing)
            }
            Err(Problem::Missing(why)) => (describe::Described::default(), Some(why)),
            Err(other) => return Err(other),
        };
        Ok(Model {
            incident: incident.to_string(),
            connection: id.to_string(),
            source: view.source.to_string(),
            destination: view.destination.to_string(),
            opened: rfc3339(view.opened),
            duration_us: view.duration_us,
            reason: view.reason.map(|reason| reason.to_string()),
            bytes_in: view.bytes_in,
            bytes_out: view.bytes_out,
            transcript: view.transcript.to_string(),
            samples: view.samples.iter().map(ToString::to_string).collect(),
            events: events.iter().map(told).collect(),
            missing,
            total: described.total,
            outline: described.outline.iter().map(line).collect(),
            messages: described.messages.into_iter().map(Message::new).collect(),
            earlier: described.earlier,
            later: described.later,
        })
    }

    fn page(model: &Model, ask: &Ask) -> Page {
        Page::of_one(format!("Connection {}", model.connection), body(model, ask))
    }
}

/// When the event that is asked for happened; `None` where none is, or another place.
fn event_time(shelf: &Shelf, id: ConnectionId, ask: &Ask) -> Result<Option<WallClock>, Problem> {
    if ask.value("at").is_some() || ask.value("event").is_none() {
        return Ok(None);
    }
    let seq = whole(ask, "event", 0)?;
    // No event has it: what was told of none.
    if seq == 0 {
        return Ok(None);
    }
    let filter = EventFilter { connection: Some(id), ..EventFilter::default() };
    // It may stand behind those that the page lists.
    let found = shelf.reader.events(seq.saturating_sub(1), &filter, 1).map_err(Problem::failed)?.events;
    let event = found.first().filter(|event| event.seq == seq);
    let none =
        || Problem::Bad(format!("`event` is the `seq` of an event of this connection, which has no {seq}"));
    event.map(|event| Some(event.time)).ok_or_else(none)
}

/// The incident and the connection that the path names.
pub(crate) fn names(ask: &Ask) -> Result<(IncidentId, ConnectionId), Problem> {
    let connection = ConnectionId::from_str(ask.place("connection"));
    let connection = connection.map_err(|_| Problem::Missing("this is no connection's name".to_owned()))?;
    Ok((ask.incident("id")?, connection))
}

/// A whole number of the query.
fn whole(ask: &Ask, name: &str, default: u64) -> Result<u64, Problem> {
    let number = ask.value(name).map_or(Ok(default), str::parse);
    number.map_err(|_| Problem::Bad(format!("`{name}` is a whole number")))
}

fn told(event: &roridula_evidence::Published) -> Told {
    let fields = serde_json::to_value(&event.event).unwrap_or_default();
    Told {
        time: rfc3339(event.time),
        eventid: event.event.id().to_owned(),
        what: story::line(&event.event),
        stream_at: fields.get("stream_at").and_then(serde_json::Value::as_u64),
    }
}

fn line(heading: &Heading) -> Line {
    Line {
        time: rfc3339(heading.at),
        stream_at: heading.stream_at,
        title: heading.title.clone(),
        count: heading.count,
    }
}

/// The address of the page that begins at `at`; the number of messages stays.
fn at(ask: &Ask, at: u64) -> String {
    let at = at.to_string();
    let messages = ask.value("messages").map(|count| ("messages", count));
    address(&ask.path, [("at", at.as_str())].into_iter().chain(messages)) + "#at"
}

fn body(model: &Model, ask: &Ask) -> Markup {
    let here = format!("/incidents/{}/connections/{}", model.incident, model.connection);
    html! {
        p { "of incident " a href={ "/incidents/" (model.incident) } { (model.incident) } }
        (facts(model))
        nav.exports aria-label="Downloads" {
            a href={ (here) "/visit.pcapng" } download { "Packets (pcapng)" }
            a href={ (here) "/transcript.txt" } download { "Transcript" }
            a href={ (here) "/connection.json" } download { "JSON" }
        }
        @if let Some(missing) = &model.missing { p.notice { (text::shown_to(missing, 400)) } }
        div.columns { (events(model, ask)) (outline(model, ask)) }
        (pager(model, ask))
        @for message in &model.messages { (message.html(whole(ask, "at", 0).ok())) }
        @if model.messages.is_empty() && model.missing.is_none() {
            p.empty { "No message begins here. " a href=(here) { "The first ones" } }
        }
        (pager(model, ask))
    }
}

fn facts(model: &Model) -> Markup {
    html! {
        dl {
            dt { "From" } dd { (model.source) }
            dt { "To" } dd { (model.destination) }
            dt { "Opened" } dd { (text::time_text(&model.opened)) }
            dt { "Ended" }
            dd {
                @match (&model.reason, model.duration_us) {
                    (Some(reason), Some(micros)) => { (reason) ", after " (text::number(micros / 1000)) " ms" }
                    _ => { "still open" }
                }
            }
            dt { "Bytes" } dd { (text::number(model.bytes_in)) " in, " (text::number(model.bytes_out)) " out" }
            dt { "Messages" } dd { (text::number(model.total)) ", transcript " (model.transcript) }
            @if !model.samples.is_empty() {
                dt { "Brought" }
                dd { @for sample in &model.samples { a href={ "/samples/" (sample) } { (text::hash(sample)) } " " } }
            }
        }
    }
}

fn events(model: &Model, ask: &Ask) -> Markup {
    html! {
        section {
            h2 { "What it told" }
            ol.events {
                @for event in &model.events {
                    li {
                        code { (event.eventid) } " "
                        @match event.stream_at {
                            Some(stream_at) => { a href=(at(ask, stream_at)) { (text::shown_to(&event.what, 300)) } }
                            None => { (text::shown_to(&event.what, 300)) }
                        }
                    }
                }
            }
        }
    }
}

fn outline(model: &Model, ask: &Ask) -> Markup {
    html! {
        section {
            h2 { "What the visitor sent" }
            @if model.outline.is_empty() { p.quiet { "No message." } }
            ol.events {
                @for line in &model.outline {
                    li {
                        a href=(at(ask, line.stream_at)) { (text::shown(&line.title)) }
                        @if line.count > 1 { " × " (text::number(line.count)) }
                    }
                }
            }
        }
    }
}

fn pager(model: &Model, ask: &Ask) -> Markup {
    html! {
        @if model.earlier.is_some() || model.later.is_some() {
            nav.exports aria-label="Messages" {
                @if let Some(earlier) = model.earlier { a rel="prev" href=(at(ask, earlier)) { "Earlier messages" } }
                @if let Some(later) = model.later { a rel="next" href=(at(ask, later)) { "Later messages" } }
            }
        }
    }
}
