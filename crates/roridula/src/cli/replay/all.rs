//! `roridula replay --all`: the whole journal, with new eyes.

use super::outcome::{Outcome, is_the_connections};
use super::{ReplayArgs, Source};
use crate::cli::{Failure, connections, out, reader};
use roridula_desk::json;
use roridula_evidence::{Published, Reader};
use roridula_proto::connection::ConnectionId;
use roridula_proto::event::Event;
use roridula_proto::exploit::recognised;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;

/// Connections asked for at once.
const PAGE: usize = 500;
/// Connections that are named for each thing that is newly recognised.
const NAMED_MAX: usize = 5;

/// What all of them came to.
#[derive(Default)]
struct Tally {
    replayed: u64,
    same: u64,
    other_events: u64,
    other_replies: u64,
    /// Without a transcript, with a part of one, or without their payload.
    left_out: u64,
    /// What is recognised now and was not: how often, and the first few connections.
    news: BTreeMap<String, (u64, Vec<ConnectionId>)>,
}

/// Replays every connection that has a transcript; prints what is new, or with `--json` each outcome.
pub(super) fn run(args: &ReplayArgs, data: &Path) -> Result<(), Failure> {
    let reader = reader(data)?;
    let mut out = out::stdout();
    let mut tally = Tally::default();
    let bar = out::progress(reader.connections_count()?, "replaying");
    let mut after = None;
    loop {
        let page = reader.connection_ids(after, PAGE)?;
        for &id in &page {
            bar.inc(1);
            let Some(outcome) = one(&reader, data, id, args.unknown, &mut tally)? else { continue };
            if args.json {
                writeln!(out, "{}", json::line(&outcome).map_err(std::io::Error::from)?)?;
            }
        }
        match page.last() {
            Some(&last) => after = Some(last),
            None => break,
        }
    }
    bar.finish_and_clear();
    if !args.json {
        print(&mut out, &tally)?;
    }
    Ok(out.flush()?)
}

/// Replays one; `None` where it is left out.
fn one(
    reader: &Reader,
    data: &Path,
    id: ConnectionId,
    only_unknown: bool,
    tally: &mut Tally,
) -> Result<Option<Outcome>, Failure> {
    let Some(text) = reader.transcript(id)? else {
        tally.left_out += 1;
        return Ok(None);
    };
    let then = names(connections::events(reader, id)?.iter().map(|told: &Published| &told.event));
    if only_unknown && !then.is_empty() {
        return Ok(None);
    }
    let name = id.to_string();
    // One damaged transcript keeps nobody from the rest.
    let replayed =
        Source::of_text(&name, &text, Some(reader), data).and_then(|source| source.replay(Some(reader)));
    let outcome = match replayed {
        Ok(outcome) if outcome.error.is_none() => outcome,
        _ => {
            tally.left_out += 1;
            return Ok(None);
        }
    };
    tally.replayed += 1;
    let now = names(outcome.events.iter().map(|told| &told.event));
    for news in now.difference(&then) {
        let (count, named) = tally.news.entry(news.clone()).or_default();
        *count += 1;
        if named.len() < NAMED_MAX {
            named.push(id);
        }
    }
    match (outcome.same_events.map(|same| same || only_the_end(&outcome)), outcome.same_replies) {
        (Some(true), Some(true) | None) => tally.same += 1,
        (Some(false), _) => tally.other_events += 1,
        (_, Some(false)) => tally.other_replies += 1,
        (None, _) => tally.left_out += 1,
    }
    Ok(Some(outcome))
}

/// Whether nothing differs but what is counted at the end: bytes that came with the end's cause, a time.
fn only_the_end(outcome: &Outcome) -> bool {
    let is_end = |event: &Event| matches!(event, Event::ConnectionClosed { .. });
    outcome
        .difference
        .as_ref()
        .is_none_or(|difference| difference.only_then.iter().chain(&difference.only_now).all(is_end))
}

/// What these events say was recognised, and as which tool.
fn names<'e>(events: impl Iterator<Item = &'e Event>) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for event in events.filter(|event| is_the_connections(event)) {
        names.extend(recognised(event).map(str::to_owned));
        if let Event::ClientFingerprint { tools, .. } = event {
            names.extend(tools.iter().map(|tool| format!("tool {tool}")));
        }
    }
    names
}

fn print(out: &mut impl Write, tally: &Tally) -> std::io::Result<()> {
    let Tally { replayed, same, other_events, other_replies, left_out, news } = tally;
    writeln!(out, "{replayed} connections replayed: {same} as recorded, {other_events} with other events")?;
    if *other_replies > 0 {
        writeln!(out, "{other_replies} are answered otherwise by this build")?;
    }
    if *left_out > 0 {
        writeln!(out, "{left_out} could not be compared: no whole transcript, or their payload is gone")?;
    }
    if news.is_empty() {
        return writeln!(out, "Nothing is recognised that was not recognised then.");
    }
    writeln!(out, "\nRecognised now, and not then:")?;
    let row = |(name, (count, named)): (&String, &(u64, Vec<ConnectionId>))| {
        let ids: Vec<String> = named.iter().map(|id| out::short(*id)).collect();
        vec![name.clone(), count.to_string(), ids.join(" ")]
    };
    out::table(out, &["WHAT", ">CONNECTIONS", "FOR EXAMPLE"], &news.iter().map(row).collect::<Vec<_>>())?;
    if let Some(id) = news.values().flat_map(|(_, named)| named).next() {
        writeln!(out, "\nNext: roridula replay {}", out::short(*id))?;
    }
    Ok(())
}
