//! `roridula incidents`

use super::{Failure, connections, out, reader};
use clap::{Args, Subcommand, ValueEnum};
use roridula_desk::incident::{
    Filter, Incident, IncidentId, IncidentSample, Incidents, Member, Outcome, StageView,
};
use roridula_desk::story::{self, Weight};
use roridula_proto::connection::ConnectionId;
use roridula_proto::event::{Text, UploadState};
use roridula_proto::time::WallClock;
use serde::Serialize;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::Path;

/// Incidents that are searched for an abbreviated name.
const SEARCHED: usize = 10_000;
/// Runs of connections that are shown for people, and connections of a run that are not put together; JSON has all
/// that are listed.
const CONNECTIONS_SHOWN: usize = 40;
const ALIKE_SHOWN: usize = 3;
/// Samples and buffers that are shown for people.
const SAMPLES_SHOWN: usize = 12;

/// Attacks: all connections of one source that belong together
#[derive(Debug, Subcommand)]
pub(crate) enum IncidentsCommand {
    /// The incidents, those first in which something happened last
    List(ListArgs),
    /// One incident's story
    Show(ShowArgs),
    /// Forget all of them and put them together again from the journal
    Rebuild,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only of this visitor
    #[arg(long, value_name = "IP")]
    source: Option<IpAddr>,
    /// Only those that came just so far
    #[arg(long, value_enum, value_name = "OUTCOME")]
    outcome: Option<OutcomeArg>,
    /// Only those in which this tool was seen: `wannacry`, `metasploit-eternalblue`, `nmap`, …
    #[arg(long, value_name = "TOOL")]
    tool: Option<String>,
    /// How many
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// As a JSON array
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The incident's name, that of any of its connections, or the last characters of either
    id: String,
    /// As a JSON object with its connections
    #[arg(long)]
    json: bool,
}

/// An outcome on the command line.
#[derive(Clone, Copy, Debug)]
struct OutcomeArg(Outcome);

impl ValueEnum for OutcomeArg {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [OutcomeArg; Outcome::ALL.len()] = {
            let mut all = [OutcomeArg(Outcome::Connected); Outcome::ALL.len()];
            let mut at = 0;
            while at < all.len() {
                all[at] = OutcomeArg(Outcome::ALL[at]);
                at += 1;
            }
            all
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.0.as_str()))
    }
}

/// Carries out one of them.
pub(crate) fn run(command: &IncidentsCommand, data: &Path) -> Result<(), Failure> {
    // A missing journal, or one that may not be read, is told in the same words everywhere.
    drop(reader(data)?);
    match command {
        IncidentsCommand::List(args) => list(&mut caught_up(data)?, args),
        IncidentsCommand::Show(args) => show(&mut caught_up(data)?, args, data),
        IncidentsCommand::Rebuild => rebuild(data),
    }
}

/// The view of `data`, up to date.
fn caught_up(data: &Path) -> Result<Incidents, Failure> {
    let mut incidents = Incidents::open_or_temporary(data)?;
    let mut bar = out::CatchingUp::new("putting incidents together");
    incidents.catch_up(&mut |now| bar.show(now))?;
    bar.clear();
    Ok(incidents)
}

fn rebuild(data: &Path) -> Result<(), Failure> {
    let mut incidents = Incidents::open(data, None)?;
    let mut bar = out::CatchingUp::new("putting incidents together");
    incidents.rebuild(&mut |now| bar.show(now))?;
    bar.clear();
    let mut out = out::stdout();
    writeln!(
        out,
        "{} incidents, put together from {} events",
        incidents.ids(usize::MAX)?.len(),
        incidents.cursor()?
    )?;
    Ok(out.flush()?)
}

fn list(incidents: &mut Incidents, args: &ListArgs) -> Result<(), Failure> {
    let filter = Filter {
        source: args.source,
        outcome: args.outcome.map(|outcome| outcome.0),
        tool: args.tool.clone(),
        limit: Some(args.limit),
        ..Filter::default()
    };
    let found = incidents.list(&filter)?;
    if args.json {
        return Ok(out::json(&found)?);
    }
    let mut out = out::stdout();
    if found.is_empty() {
        writeln!(out, "No such incident yet: a connection belongs to one when it has ended.")?;
        return Ok(out.flush()?);
    }
    let head =
        ["INCIDENT", "FIRST SEEN (UTC)", "SOURCE", "TOOL", "OUTCOME", ">CONNECTIONS", "STAGES", "SAMPLES"];
    let row = |incident: &Incident| {
        let stages: Vec<_> = incident.stages.iter().map(|stage| stage.stage.as_str()).collect();
        let samples: Vec<_> = incident.samples.iter().take(3).map(|sample| short(&sample.sha256)).collect();
        let more = incident.samples.len().saturating_sub(samples.len());
        let more = if more > 0 { format!(" +{more}") } else { String::new() };
        vec![
            incident.id.to_string(),
            out::moment(incident.first),
            incident.source.to_string(),
            escaped(incident.tool.name.as_deref().unwrap_or("-")),
            incident.outcome.to_string(),
            incident.connections.to_string(),
            stages.join(" → "),
            samples.join(" ") + &more,
        ]
    };
    out::table(&mut out, &head, &found.iter().map(row).collect::<Vec<_>>())?;
    Ok(out.flush()?)
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    incident: &'a Incident,
    connection_list: &'a [Member],
}

fn show(incidents: &mut Incidents, args: &ShowArgs, data: &Path) -> Result<(), Failure> {
    let id = find(incidents, &args.id, data)?;
    let incident = incidents.get(id)?.ok_or_else(|| Failure::new(format!("no incident {id}")))?;
    let members = incidents.connections(id)?;
    if args.json {
        return Ok(out::json(&Shown { incident: &incident, connection_list: &members })?);
    }
    let mut out = out::stdout();
    let paint = out::Paint::detect();
    let weight = if incident.samples.is_empty() { Weight::Attack } else { Weight::Catch };
    writeln!(out, "{}\n", paint.weight(weight, &incident.summary))?;
    about(&mut out, &incident)?;
    stages(&mut out, &incident)?;
    connection_list(&mut out, &incident, &members)?;
    samples(&mut out, "Samples", &incident.samples)?;
    samples(&mut out, "Buffers of exploits and unknown traffic", &incident.buffers)?;
    attack(&mut out, &incident)?;
    if !incident.notes.is_empty() {
        writeln!(out, "\nNotes")?;
        incident.notes.iter().try_for_each(|note| writeln!(out, "  {}", escaped(note)))?;
    }
    next(&mut out, &incident)?;
    Ok(out.flush()?)
}

fn about(out: &mut impl Write, incident: &Incident) -> io::Result<()> {
    let lasted = incident.last.0.saturating_sub(incident.first.0);
    let first = out::moment(incident.first);
    writeln!(out, "  incident  {}, {first} UTC, lasted {}", incident.id, story::span(lasted))?;
    let roles: Vec<_> = incident.roles.iter().map(|(role, count)| format!("{count} {role}")).collect();
    writeln!(
        out,
        "  outcome   {}, {} connections: {}",
        incident.outcome,
        incident.connections,
        roles.join(", ")
    )?;
    match &incident.tool.label {
        Some(label) => writeln!(out, "  tool      {}, observed:", escaped(label))?,
        None => writeln!(out, "  tool      none that is known")?,
    }
    for (tool, grounds) in &incident.tool.seen {
        let grounds: Vec<_> = grounds.iter().map(|ground| escaped(ground)).collect();
        let by = if grounds.is_empty() { String::new() } else { format!(" by {}", grounds.join("; ")) };
        writeln!(out, "            {}{by}", escaped(tool))?;
    }
    Ok(())
}

fn stages(out: &mut impl Write, incident: &Incident) -> io::Result<()> {
    writeln!(out)?;
    let row = |stage: &StageView| {
        let place = |evidence: &roridula_desk::incident::Evidence| {
            let at = evidence.stream_at.map_or(String::new(), |at| format!("@{at}"));
            format!("{}{at}", out::short(evidence.connection))
        };
        let mut places: Vec<_> = stage.evidence.iter().take(3).map(place).collect();
        if stage.count > places.len() as u64 {
            places.push("…".to_owned());
        }
        vec![
            stage.stage.to_string(),
            after(incident, stage.first),
            if stage.last > stage.first { after(incident, stage.last) } else { String::new() },
            stage.count.to_string(),
            places.join(" "),
        ]
    };
    let rows: Vec<_> = incident.stages.iter().map(row).collect();
    out::table(out, &["STAGE", ">FIRST", ">LAST", ">TIMES", "CONNECTION@BYTE"], &rows)
}

fn connection_list(out: &mut impl Write, incident: &Incident, members: &[Member]) -> io::Result<()> {
    writeln!(out)?;
    let row = |member: &Member| {
        let lasted = member.closed.0.saturating_sub(member.opened.0);
        vec![
            out::short(member.connection),
            after(incident, member.opened),
            story::span(lasted),
            member.role.to_string(),
            story::size(member.bytes_in),
            member.reason.clone(),
            member.fingerprint.clone(),
            escaped(&member.tools.join(" ")),
        ]
    };
    // Twenty grooms are one thing to a reader.
    let alike = |a: &Member, b: &Member| (a.role, &a.tools, &a.reason) == (b.role, &b.tools, &b.reason);
    let mut rows = Vec::new();
    let mut shown = 0;
    for run in members.chunk_by(alike).take(CONNECTIONS_SHOWN) {
        let few = if run.len() > ALIKE_SHOWN { 1 } else { run.len() };
        rows.extend(run.iter().take(few).map(row));
        if let Some(last) = run.last().filter(|_| few < run.len()) {
            let more = format!("… {} more until {}", run.len() - few, after(incident, last.closed));
            rows.push(vec![String::new(), String::new(), String::new(), more]);
        }
        shown += run.len() as u64;
    }
    let head = ["CONNECTION", ">OPENED", ">LASTED", "FOR", ">IN", "ENDED", "FINGERPRINT", "TOOL"];
    out::table(out, &head, &rows)?;
    let more = incident.connections.saturating_sub(shown);
    if more > 0 { writeln!(out, "… and {more} more: see --json") } else { Ok(()) }
}

fn samples(out: &mut impl Write, title: &str, samples: &[IncidentSample]) -> io::Result<()> {
    if samples.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{title}")?;
    for sample in samples.iter().take(SAMPLES_SHOWN) {
        let of = sample.total.filter(|total| sample.state != UploadState::Complete && *total != sample.size);
        let of = of.map_or(String::new(), |total| format!(" of {total}"));
        let seen = if sample.first_seen { "first seen" } else { "seen before" };
        let times = if sample.captures > 1 { format!(", {} times", sample.captures) } else { String::new() };
        writeln!(
            out,
            "  {}  {}{of} bytes, {}, {}, {seen}{times}",
            short(&sample.sha256),
            sample.size,
            sample.state,
            sample.origin
        )?;
        for layer in &sample.layers {
            writeln!(out, "                inside: {}", escaped(&story::layer(layer)))?;
        }
        if !sample.triage_error.is_empty() {
            writeln!(out, "                triage: {}", escaped(&sample.triage_error))?;
        }
    }
    let more = samples.len().saturating_sub(SAMPLES_SHOWN);
    if more > 0 { writeln!(out, "  … and {more} more") } else { Ok(()) }
}

fn attack(out: &mut impl Write, incident: &Incident) -> io::Result<()> {
    let attack = &incident.attack;
    if !attack.observed.is_empty() {
        writeln!(out, "\nATT&CK {}, observed", attack.version)?;
    }
    for technique in &attack.observed {
        writeln!(out, "  {:<9}  {} ({})", technique.id, technique.name, technique.grounds)?;
    }
    if !attack.implied.is_empty() {
        writeln!(out, "\nATT&CK {}, only implied: nothing of it happened here", attack.version)?;
    }
    for alike in attack.implied.chunk_by(|a, b| a.grounds == b.grounds) {
        let ids: Vec<_> = alike.iter().map(|technique| technique.id).collect();
        writeln!(out, "  {}: {}", alike.first().map_or("", |first| &first.grounds), ids.join(" "))?;
    }
    Ok(())
}

fn next(out: &mut impl Write, incident: &Incident) -> io::Result<()> {
    writeln!(out)?;
    if let Some(sample) = incident.samples.first() {
        writeln!(out, "Next: roridula samples show {}", short(&sample.sha256))?;
    }
    let latest = incident.stages.last().and_then(|stage| stage.evidence.last());
    match latest {
        Some(latest) => writeln!(out, "Next: roridula connections show {}", latest.connection),
        None => writeln!(out, "Next: roridula connections show {}", incident.id),
    }
}

/// How long after the incident's beginning.
fn after(incident: &Incident, at: WallClock) -> String {
    format!("+{}", story::span(at.0.saturating_sub(incident.first.0)))
}

/// Text that may have come from an attacker, so that it cannot drive a terminal.
fn escaped(text: &str) -> String {
    Text::from(text).to_string()
}

/// The beginning of a SHA-256.
fn short(sha256: &str) -> String {
    sha256.chars().take(12).collect()
}

/// The incident that is meant: its name, that of one of its connections, or the end of either.
fn find(incidents: &mut Incidents, text: &str, data: &Path) -> Result<IncidentId, Failure> {
    let wanted = text.trim().to_ascii_lowercase();
    if let Ok(id) = wanted.parse() {
        return Ok(id);
    }
    let recent = incidents.ids(SEARCHED)?;
    let fits: Vec<_> = recent.iter().filter(|id| out::is_short_for(&wanted, id.0)).collect();
    match fits.as_slice() {
        [id] => return Ok(**id),
        [first, second, ..] => {
            let several = format!("`{wanted}` fits several incidents, {first} and {second} among them");
            return Err(Failure::new(several));
        }
        [] => {}
    }
    let none = || format!("no incident `{wanted}`; `roridula incidents list` shows them");
    let connection = connections::find(&reader(data)?, text).map_err(|_| Failure::new(none()))?;
    incidents.of_connection(connection)?.ok_or_else(|| {
        Failure::new(format!(
            "connection {connection} belongs to no incident yet, or is none of this journal"
        ))
    })
}

/// The connections of the incident that `name` names, `None` where it names none: for commands that take either.
pub(super) fn members(name: &str, data: &Path) -> Result<Option<Vec<ConnectionId>>, Failure> {
    let Ok(id) = name.trim().to_ascii_lowercase().parse::<IncidentId>() else { return Ok(None) };
    let mut incidents = caught_up(data)?;
    if incidents.get(id)?.is_none() {
        return Err(Failure::new(format!("no incident {id}; `roridula incidents list` shows them")));
    }
    Ok(Some(incidents.connections(id)?.iter().map(|member| member.connection).collect()))
}
