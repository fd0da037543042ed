//! `roridula connections`

use super::{Failure, out, reader};
use clap::{Args, Subcommand};
use roridula_desk::story;
use roridula_evidence::{ConnectionView, EventFilter, Published, Reader};
use roridula_proto::connection::ConnectionId;
use serde::Serialize;
use std::io::Write;
use std::net::IpAddr;
use std::path::Path;

/// Connections that are searched for an abbreviated name.
const SEARCHED: usize = 10_000;
/// Events of one connection read at once.
const PAGE: usize = 1000;

/// Who came, and each visit's story
#[derive(Debug, Subcommand)]
pub(crate) enum ConnectionsCommand {
    /// The latest connections, the latest first
    List(ListArgs),
    /// One connection's story, or its transcript
    Show(ShowArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only of this visitor
    #[arg(long, value_name = "IP")]
    source: Option<IpAddr>,
    /// How many
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// As a JSON array
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The connection's name, or its last characters as `run` shows them
    id: String,
    /// Print the transcript instead, for `roridula replay`
    #[arg(long)]
    transcript: bool,
    /// As a JSON object with its events
    #[arg(long, conflicts_with = "transcript")]
    json: bool,
}

/// Carries out one of them.
pub(crate) fn run(command: &ConnectionsCommand, data: &Path) -> Result<(), Failure> {
    let reader = reader(data)?;
    match command {
        ConnectionsCommand::List(args) => list(&reader, args),
        ConnectionsCommand::Show(args) => show(&reader, args),
    }
}

fn list(reader: &Reader, args: &ListArgs) -> Result<(), Failure> {
    let connections = reader.connections(args.source, args.limit)?;
    if args.json {
        return Ok(out::json(&connections)?);
    }
    let mut out = out::stdout();
    if connections.is_empty() {
        writeln!(out, "No connections yet.")?;
        return Ok(out.flush()?);
    }
    let row = |connection: &ConnectionView| {
        let port = connection.destination.port();
        let caught: Vec<_> = connection.samples.iter().map(|id| id.to_string()[..12].to_owned()).collect();
        vec![
            connection.connection.to_string(),
            out::moment(connection.opened),
            connection.source.ip().to_canonical().to_string(),
            port.to_string(),
            connection.reason.map_or("open".to_owned(), |reason| reason.to_string()),
            connection.duration_us.map_or(String::new(), story::span),
            story::size(connection.bytes_in),
            connection.events.to_string(),
            caught.join(" "),
        ]
    };
    let head =
        ["CONNECTION", "OPENED (UTC)", "SOURCE", ">PORT", "ENDED", ">AFTER", ">IN", ">EVENTS", "SAMPLES"];
    out::table(&mut out, &head, &connections.iter().map(row).collect::<Vec<_>>())?;
    Ok(out.flush()?)
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    connection: &'a ConnectionView,
    event_list: &'a [Published],
}

fn show(reader: &Reader, args: &ShowArgs) -> Result<(), Failure> {
    let id = find(reader, &args.id)?;
    let missing = || Failure::new(format!("no connection {id} in this journal"));
    let mut out = out::stdout();
    if args.transcript {
        let text = reader.transcript(id)?;
        let text = text.ok_or_else(|| Failure::new(format!("no transcript of {id} was kept")))?;
        out.write_all(text.as_bytes())?;
        return Ok(out.flush()?);
    }
    let connection = reader.connection(id)?.ok_or_else(missing)?;
    let events = events(reader, id)?;
    if args.json {
        return Ok(out::json(&Shown { connection: &connection, event_list: &events })?);
    }
    let paint = out::Paint::detect();
    writeln!(
        out,
        "{id}: {} to {}, {} UTC",
        connection.source,
        connection.destination,
        out::moment(connection.opened)
    )?;
    for event in &events {
        let after = event.time.0.saturating_sub(connection.opened.0);
        let head = paint.dim(&format!("{:>10}", format!("+{}", story::span(after))));
        writeln!(out, "{head}  {}", paint.weight(story::weight(&event.event), &story::line(&event.event)))?;
    }
    if connection.reason.is_none() {
        writeln!(out, "{:>10}  still open", "")?;
    }
    if let Some(sample) = connection.samples.first() {
        writeln!(out, "\nNext: roridula samples show {}", &sample.to_string()[..16])?;
    }
    Ok(out.flush()?)
}

/// All events of one connection.
pub(super) fn events(reader: &Reader, id: ConnectionId) -> Result<Vec<Published>, Failure> {
    let filter = EventFilter { connection: Some(id), ..EventFilter::default() };
    let mut all = Vec::new();
    let mut after = 0;
    loop {
        let page = reader.events(after, &filter, PAGE)?;
        if page.next == after {
            return Ok(all);
        }
        after = page.next;
        all.extend(page.events);
    }
}

/// The connection that is meant: a whole name, or the end of a recent one's.
pub(super) fn find(reader: &Reader, text: &str) -> Result<ConnectionId, Failure> {
    let text = text.trim().to_ascii_lowercase();
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let recent = reader.connections(None, SEARCHED)?;
    let fits: Vec<_> =
        recent.iter().map(|view| view.connection).filter(|id| out::is_short_for(&text, *id)).collect();
    match fits.as_slice() {
        [id] => Ok(*id),
        [] => Err(Failure::new(format!("no connection `{text}`; `roridula connections list` shows them"))),
        [first, second, ..] => {
            Err(Failure::new(format!("`{text}` fits several connections, {first} and {second} among them")))
        }
    }
}
