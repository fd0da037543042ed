//! `roridula samples groups`

use super::screen::{self, Column};
use super::{Room, escaped, minute, short};
use crate::cli::{Failure, out};
use clap::Args;
use roridula_desk::sample::{Group, thousands};
use std::io::Write;

#[derive(Debug, Args)]
pub(crate) struct GroupsArgs {
    /// As a JSON array
    #[arg(long)]
    json: bool,
}

pub(super) fn run(room: &Room, args: &GroupsArgs) -> Result<(), Failure> {
    let groups = room.catalog()?.groups;
    if args.json {
        return Ok(out::json(&groups)?);
    }
    let mut out = out::stdout();
    if groups.is_empty() {
        writeln!(out, "No groups yet: a sample is in one when triage has looked into it.")?;
        return Ok(out.flush()?);
    }
    table(&mut out, &groups, screen::columns())?;
    Ok(out.flush()?)
}

fn table(out: &mut impl Write, groups: &[Group], columns: usize) -> std::io::Result<()> {
    let family = |group: &Group| match group.family.as_str() {
        "" => "unknown".to_owned(),
        family => screen::cut(&escaped(family), 16),
    };
    let wanted = vec![
        Column { head: ">NOVELTY", spare: 0, cell: &|group: &Group| group.novelty.to_string() },
        Column { head: "CORE", spare: 0, cell: &|group| short(&group.core).to_owned() },
        Column { head: "KIND", spare: 0, cell: &|group| group.kind.clone() },
        Column { head: ">SIZE", spare: 0, cell: &|group| thousands(group.size) },
        Column { head: "FAMILY", spare: 0, cell: &family },
        Column { head: ">SAMPLES", spare: 1, cell: &|group| group.samples.to_string() },
        Column { head: ">CAPTURES", spare: 0, cell: &|group| group.captures.to_string() },
        Column { head: ">HOSTS", spare: 0, cell: &|group| group.sources.to_string() },
        Column { head: "FIRST SEEN (UTC)", spare: 4, cell: &|group| minute(&group.first_seen) },
        Column { head: "LAST SEEN (UTC)", spare: 2, cell: &|group| minute(&group.last_seen) },
        Column { head: "NEAR", spare: 3, cell: &near },
    ];
    screen::table(out, columns, wanted, groups)
}

/// The nearest other cores, with their distances.
fn near(group: &Group) -> String {
    let near = group.near.iter().take(2).map(|(core, distance)| format!("{} ({distance})", short(core)));
    let near: Vec<_> = near.collect();
    let more = group.near.len().saturating_sub(near.len());
    let more = if more > 0 { format!(" +{more}") } else { String::new() };
    near.join(" ") + &more
}
