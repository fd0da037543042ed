//! `roridula unknown`

use super::{Failure, index, out, reader};
use clap::Args;
use roridula_desk::index::{Filter, Index, ShapeRow, Shapes};
use roridula_proto::event::Text;
use roridula_proto::time::WallClock;
use serde::{Serialize, Serializer};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;

/// Shapes that are read at once.
const PAGE: usize = 1000;
/// Fingerprints that are named for one shape.
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
}

fn as_time<S: Serializer>(at: &WallClock, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&roridula_evidence::rfc3339(*at))
}

/// Prints them.
pub(crate) fn run(args: &UnknownArgs, data: &Path) -> Result<(), Failure> {
    drop(reader(data)?);
    let groups = collect(&mut index::caught_up(data)?, args)?;
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

fn collect(index: &mut Index, args: &UnknownArgs) -> Result<Vec<Group>, Failure> {
    let shapes = Shapes { strangers: args.strangers, only: args.shape.as_deref(), latest: false };
    let mut groups = Vec::new();
    let mut cursor: Option<String> = None;
    while groups.len() < args.limit {
        let limit = PAGE.min(args.limit - groups.len());
        let page = index.unknown(&Filter::default(), &shapes, cursor.as_deref(), limit)?;
        for row in page.rows {
            let features = features(index, &row.shape, args.strangers)?;
            groups.push(Group::new(row, features));
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    Ok(groups)
}

/// A few fingerprints of a shape in which nothing was recognised, with the features behind them.
fn features(index: &mut Index, shape: &str, strangers: bool) -> Result<BTreeMap<String, String>, Failure> {
    let all = index.fingerprints_of_shape(shape, PAGE)?;
    let unknown =
        all.into_iter().filter(|row| row.recognised.is_empty() && (!strangers || row.tools.is_empty()));
    Ok(unknown.take(NAMED_MAX).map(|row| (row.fingerprint, row.features)).collect())
}

impl Group {
    fn new(row: ShapeRow, features: BTreeMap<String, String>) -> Self {
        Self {
            shape: row.shape,
            connections: row.connections,
            sources: row.sources,
            first_seen: row.first,
            last_seen: row.last,
            tools: row.tools.into_iter().collect(),
            features,
            examples: row.examples,
        }
    }
}
