//! `roridula unknown`

use super::{Failure, out, reader};
use clap::Args;
use roridula_evidence::{EventFilter, Reader};
use roridula_proto::connection::ConnectionId;
use roridula_proto::event::{Event, Text};
use roridula_proto::time::WallClock;
use serde::{Serialize, Serializer};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::IpAddr;
use std::path::Path;

/// Events read at once.
const PAGE: usize = 4096;
/// Shapes that are told apart; what comes beyond is counted as one.
const SHAPES_MAX: usize = 10_000;
/// Sources that are counted of one shape.
const SOURCES_MAX: usize = 10_000;
/// Connections that are named for one shape.
const NAMED_MAX: usize = 5;

/// What nobody understands yet, grouped by the shape of its messages
#[derive(Debug, Args)]
#[command(after_help = "\
A connection is unknown where no recogniser found anything in it. Its bytes are kept all the same: small messages in its
transcript, large ones as samples of origin `unknown-buffer`. A shape is the order of its messages, as docs/tools.md
explains.

Examples:
  roridula unknown                              the shapes, the most frequent first
  roridula unknown --strangers                  without known clients that did nothing known
  roridula unknown --shape '72 73 75 a2 2f'     the connections of one
  roridula replay --all --unknown               after an update: is any of it known now?")]
pub(crate) struct UnknownArgs {
    /// Only this shape, with its features and connections
    #[arg(long, value_name = "SHAPE")]
    shape: Option<String>,
    /// Leave out what a known tool sent
    #[arg(long)]
    strangers: bool,
    /// How many shapes
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// As a JSON array
    #[arg(long)]
    json: bool,
}

/// Unknown connections that look alike.
#[derive(Debug, Serialize)]
struct Group {
    shape: String,
    connections: u64,
    sources: u64,
    #[serde(serialize_with = "as_time")]
    first_seen: WallClock,
    #[serde(serialize_with = "as_time")]
    last_seen: WallClock,
    /// Tools that were named all the same: a known client that did nothing known.
    tools: BTreeSet<String>,
    /// Fingerprints and the features behind them, a few.
    features: BTreeMap<String, String>,
    /// A few of them.
    examples: Vec<String>,
    #[serde(skip)]
    seen: BTreeSet<IpAddr>,
}

fn as_time<S: Serializer>(at: &WallClock, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&roridula_evidence::rfc3339(*at))
}

/// Prints them.
pub(crate) fn run(args: &UnknownArgs, data: &Path) -> Result<(), Failure> {
    let reader = reader(data)?;
    let mut groups: Vec<Group> = collect(&reader, args)?.into_values().collect();
    groups.sort_by(|a, b| b.connections.cmp(&a.connections).then_with(|| a.shape.cmp(&b.shape)));
    groups.truncate(args.limit);
    if args.json {
        return Ok(out::json(&groups)?);
    }
    let mut out = out::stdout();
    if groups.is_empty() {
        writeln!(out, "Nothing like that: every such connection was recognised, or brought no byte.")?;
        return Ok(out.flush()?);
    }
    match &args.shape {
        Some(_) => groups.iter().try_for_each(|group| show(&mut out, group))?,
        None => {
            let row = |group: &Group| {
                let tools: Vec<&str> = group.tools.iter().map(String::as_str).collect();
                vec![
                    group.connections.to_string(),
                    group.sources.to_string(),
                    out::moment(group.last_seen),
                    if tools.is_empty() { "-".to_owned() } else { tools.join(", ") },
                    group.examples.first().cloned().unwrap_or_default(),
                    group.shape.clone(),
                ]
            };
            let head = [">CONNECTIONS", ">SOURCES", "LAST SEEN (UTC)", "TOOL", "FOR EXAMPLE", "SHAPE"];
            out::table(&mut out, &head, &groups.iter().map(row).collect::<Vec<_>>())?;
        }
    }
    Ok(out.flush()?)
}

fn show(out: &mut impl Write, group: &Group) -> std::io::Result<()> {
    writeln!(out, "{}", group.shape)?;
    writeln!(
        out,
        "  {} connections from {} sources, {} to {} UTC",
        group.connections,
        group.sources,
        out::moment(group.first_seen),
        out::moment(group.last_seen)
    )?;
    for (fingerprint, features) in &group.features {
        writeln!(out, "  fingerprint {fingerprint}")?;
        for feature in features.split("; ") {
            writeln!(out, "    {}", Text(feature.to_owned()))?;
        }
    }
    writeln!(out, "  connections {}", group.examples.join(" "))?;
    if let Some(example) = group.examples.first() {
        writeln!(out, "\nNext: roridula connections show {example}")?;
    }
    Ok(())
}

fn collect(reader: &Reader, args: &UnknownArgs) -> Result<BTreeMap<String, Group>, Failure> {
    let filter = EventFilter { ids: vec!["client.fingerprint".to_owned()], ..EventFilter::default() };
    let bar = out::progress(reader.last_seq()?, "reading");
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    let mut after = 0;
    loop {
        let page = reader.events(after, &filter, PAGE)?;
        for told in &page.events {
            let Event::ClientFingerprint { fingerprint, features, shape, tools, recognised, .. } =
                &told.event
            else {
                continue;
            };
            let wanted = recognised.is_empty()
                && (!args.strangers || tools.is_empty())
                && args.shape.as_ref().is_none_or(|wanted| wanted == shape);
            if !wanted {
                continue;
            }
            let known = groups.contains_key(shape) || groups.len() < SHAPES_MAX;
            let shape = if known { shape.clone() } else { "(other shapes)".to_owned() };
            let group = groups.entry(shape).or_insert_with_key(|shape| Group::new(shape, told.time));
            group.add(told.time, told.source.map(|source| source.ip().to_canonical()), told.connection);
            group.tools.extend(tools.iter().cloned());
            if group.features.len() < NAMED_MAX {
                group.features.insert(fingerprint.clone(), features.clone());
            }
        }
        bar.set_position(page.next);
        if page.next == after {
            bar.finish_and_clear();
            return Ok(groups);
        }
        after = page.next;
    }
}

impl Group {
    fn new(shape: &str, at: WallClock) -> Self {
        Self {
            shape: shape.to_owned(),
            connections: 0,
            sources: 0,
            first_seen: at,
            last_seen: at,
            tools: BTreeSet::new(),
            features: BTreeMap::new(),
            examples: Vec::new(),
            seen: BTreeSet::new(),
        }
    }

    fn add(&mut self, at: WallClock, source: Option<IpAddr>, connection: Option<ConnectionId>) {
        self.connections += 1;
        self.first_seen = self.first_seen.min(at);
        self.last_seen = self.last_seen.max(at);
        if self.seen.len() < SOURCES_MAX {
            self.seen.extend(source);
        }
        self.sources = self.seen.len() as u64;
        if self.examples.len() < NAMED_MAX {
            self.examples.extend(connection.map(|id| id.to_string()));
        }
    }
}
