//! `roridula samples groups`

use super::{Room, escaped, minute, short};
use crate::cli::{Failure, out};
use clap::Args;
use roridula_desk::sample::Group;
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
    let head = [
        ">NOVELTY",
        "CORE",
        "KIND",
        ">SIZE",
        "FAMILY",
        ">SAMPLES",
        ">CAPTURES",
        ">HOSTS",
        "FIRST SEEN (UTC)",
        "LAST SEEN (UTC)",
        "NEAR",
    ];
    let row = |group: &Group| {
        let near: Vec<_> = group
            .near
            .iter()
            .take(2)
            .map(|(core, distance)| format!("{} ({distance})", short(core)))
            .collect();
        let more = group.near.len().saturating_sub(near.len());
        let more = if more > 0 { format!(" +{more}") } else { String::new() };
        vec![
            group.novelty.to_string(),
            short(&group.core).to_owned(),
            group.kind.clone(),
            group.size.to_string(),
            if group.family.is_empty() { "unknown".to_owned() } else { escaped(&group.family) },
            group.samples.to_string(),
            group.captures.to_string(),
            group.sources.to_string(),
            minute(&group.first_seen),
            minute(&group.last_seen),
            near.join(" ") + &more,
        ]
    };
    out::table(&mut out, &head, &groups.iter().map(row).collect::<Vec<_>>())?;
    Ok(out.flush()?)
}
