//! `roridula events`

use super::{Failure, out, reader};
use clap::Args;
use roridula_evidence::{EventFilter, Published};
use roridula_proto::connection::ConnectionId;
use roridula_proto::event::CATALOGUE;
use std::io::Write;
use std::net::IpAddr;
use std::path::Path;
use std::thread;
use std::time::Duration;

/// Events read at once.
const PAGE: usize = 1000;
/// How often a followed journal is looked at: another process writes it, and tells nobody.
const LOOK: Duration = Duration::from_millis(200);

/// What happened, in the order of the journal
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roridula events --follow                       watch, as `run` shows it
  roridula events --json --since 1200            go on where a program stopped: JSON lines
  roridula events --id sample.captured           only these
  roridula events --id smb1. --source 192.0.2.7  all that begin so, from one visitor

Every event id and field is described in docs/events.md.")]
pub(crate) struct EventsArgs {
    /// As JSON lines
    #[arg(long)]
    json: bool,
    /// Go on as events come, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// Only events after this `seq`
    #[arg(long, value_name = "SEQ")]
    since: Option<u64>,
    /// Only the latest N events of the journal (before other filters)
    #[arg(long, value_name = "N", conflicts_with = "since")]
    last: Option<u64>,
    /// Only this event id, or all that begin with it if it ends in `.`; repeat for more
    #[arg(long = "id", value_name = "EVENTID")]
    ids: Vec<String>,
    /// Only of this connection
    #[arg(long, value_name = "ID")]
    connection: Option<ConnectionId>,
    /// Only of this visitor
    #[arg(long, value_name = "IP")]
    source: Option<IpAddr>,
}

/// Prints them.
pub(crate) fn run(args: &EventsArgs, data: &Path) -> Result<(), Failure> {
    for id in &args.ids {
        let known = |known: &str| known == id || (id.ends_with('.') && known.starts_with(id.as_str()));
        if !CATALOGUE.iter().any(|spec| known(spec.id)) {
            let ids: Vec<_> = CATALOGUE.iter().map(|spec| spec.id).collect();
            return Err(Failure(format!("--id {id}: no event has this id; there are {}", ids.join(", "))));
        }
    }
    let reader = reader(data)?;
    let filter = EventFilter { ids: args.ids.clone(), connection: args.connection, source: args.source };
    let mut after = match (args.since, args.last) {
        (Some(seq), _) => seq,
        (None, Some(last)) => reader.last_seq()?.saturating_sub(last),
        (None, None) => 0,
    };
    let paint = out::Paint::detect();
    let mut out = out::stdout();
    let mut day = String::new();
    loop {
        let page = reader.events(after, &filter, PAGE)?;
        let more = page.next != after;
        after = page.next;
        for event in &page.events {
            if args.json {
                writeln!(out, "{}", event.to_json())?;
            } else {
                head(&mut out, &mut day, event)?;
                writeln!(out, "{}", out::event_line(paint, event))?;
            }
        }
        if more {
            continue;
        }
        out.flush()?;
        if !args.follow {
            return Ok(());
        }
        thread::sleep(LOOK);
    }
}

/// A line with the date where a new day begins: the lines themselves show the clock only.
fn head(out: &mut impl Write, day: &mut String, event: &Published) -> std::io::Result<()> {
    let today = out::moment(event.time)[..10].to_owned();
    if *day != today {
        writeln!(out, "── {today} (UTC) ──")?;
        *day = today;
    }
    Ok(())
}
