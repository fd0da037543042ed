//! The layers of a report, as a tree.

use super::explained::Detail;
use super::screen::{cut, width};
use super::{escaped, short};
use crate::triage::in_order;
use roridula_desk::sample::{counted, thousands};
use roridula_triage::{FoundBy, Kind, Layer, Report, State};
use std::io::{Result, Write};

/// Lines of a tree that are shown where not all are asked for.
const LINES_MAX: usize = 14;
/// Members that an archive may have and show one by one.
const MEMBERS_MAX: usize = 6;
/// Columns of a layer's name.
const NAME_MAX: usize = 36;
/// Columns that numbers and hash take, the widest numbers apart.
const HEAD: usize = 5;

/// Writes the layers, each below what it lies in.
pub(crate) fn write(out: &mut impl Write, report: &Report, detail: Detail) -> Result<()> {
    let order: Vec<(u32, u32)> = in_order(report)
        .into_iter()
        .filter(|(number, _)| detail == Detail::All || is_shown(report, *number))
        .collect();
    let widest = |number: &dyn Fn(&Layer) -> u64| {
        let layers = report.layers.iter().map(|layer| width(&thousands(number(layer))));
        layers.max().unwrap_or(0)
    };
    let (size, at) = (widest(&|layer| layer.size).max(4), widest(&|layer| layer.offset).max(2));
    writeln!(out, "   #  {:>size$}  {:>at$}  SHA-256       LAYER", "SIZE", "AT")?;
    let mut lines = 0;
    for (told, &(number, depth)) in order.iter().enumerate() {
        let Some(layer) = report.layer(number) else { continue };
        let remarks = remarks(report, layer, detail);
        if lines + 1 + remarks.len() > detail.at_most(LINES_MAX) {
            let more = counted((order.len() - told) as u64, "more layer");
            return match detail {
                Detail::All => Ok(()),
                Detail::Short { rest, .. } => writeln!(out, "      … and {more} ({rest})"),
            };
        }
        let indent = "  ".repeat(depth as usize);
        let mark = if report.core == Some(number) { "  ← core" } else { "" };
        let head = format!(
            "{number:>4}  {:>size$}  {:>at$}  {:<12}  ",
            thousands(layer.size),
            thousands(layer.offset),
            short(&layer.hashes.sha256)
        );
        let line = format!("{head}{indent}{}{mark}", named(report, number, layer));
        writeln!(out, "{}", cut(line.trim_end(), detail.columns()))?;
        let before = " ".repeat(HEAD + 1 + size + 2 + at + 2 + 12 + 2);
        for remark in &remarks {
            writeln!(out, "{}", cut(&format!("{before}{indent}! {remark}"), detail.columns()))?;
        }
        lines += 1 + remarks.len();
    }
    Ok(())
}

/// Whether a layer is worth a line of one screen: of an archive with many members, only those that tell something.
fn is_shown(report: &Report, number: u32) -> bool {
    let Some(layer) = report.layer(number).filter(|layer| layer.found_by == FoundBy::Directory) else {
        return true;
    };
    let Some(archive) = layer.parent else { return true };
    let members = report.children(archive).filter(|(_, layer)| layer.found_by == FoundBy::Directory).count();
    let is_ground =
        report.verdict.iter().flat_map(|verdict| &verdict.grounds).any(|ground| ground.layer == number);
    members <= MEMBERS_MAX
        || is_ground
        || report.core == Some(number)
        || !layer.hits.is_empty()
        || report.children(number).next().is_some()
}

/// What is wrong with a layer; on one screen the first of it, and nothing where what is around it says so already.
fn remarks(report: &Report, layer: &Layer, detail: Detail) -> Vec<String> {
    let around = layer.parent.and_then(|parent| report.layer(parent));
    let is_told = around.is_some_and(|around| {
        around.state == State::Truncated && around.kind == Kind::Pe && layer.state == State::Truncated
    });
    let max = if is_told { detail.at_most(0) } else { detail.at_most(1) };
    layer.remarks.iter().take(max).map(|remark| escaped(remark)).collect()
}

/// `zip XIA/2058, 12 members, all intact`.
fn named(report: &Report, number: u32, layer: &Layer) -> String {
    let mut text = layer.kind.to_string();
    if !layer.name.is_empty() {
        text = format!("{text} {}", cut(&escaped(&layer.name), NAME_MAX));
    }
    if !layer.facts.looks_like.is_empty() {
        text = format!("{text}  {}", escaped(&layer.facts.looks_like));
    }
    if layer.state != State::Intact {
        text = format!("{text}  {}", layer.state);
    }
    if !layer.encoding.is_empty() {
        text = format!("{text}  {}", escaped(&layer.encoding));
    }
    let members = layer.facts.zip.as_ref().map(|zip| {
        let whole = zip.members.iter().filter(|member| member.state == "intact").count();
        let unread = zip.members.iter().filter(|member| member.state == "unknown").count();
        let whole = match (whole, unread) {
            (whole, _) if whole == zip.members.len() => "all intact".to_owned(),
            (0, unread) if unread == zip.members.len() => "none was opened".to_owned(),
            (whole, 0) => format!("{} intact", thousands(whole as u64)),
            (whole, _) => {
                format!("{} intact, {} not opened", thousands(whole as u64), thousands(unread as u64))
            }
        };
        (zip.members.len() as u64, zip.count, format!(", {whole}"))
    });
    let listed = report.children(number).filter(|(_, layer)| layer.found_by == FoundBy::Directory).count();
    match members {
        Some((listed @ 1.., count, state)) if count > listed => {
            format!("{text}  {} of {}{state}", thousands(listed), counted(count, "member"))
        }
        Some((listed @ 1.., _, state)) => format!("{text}  {}{state}", counted(listed, "member")),
        _ if layer.kind == Kind::Cab && listed > 0 => format!("{text}  {}", counted(listed as u64, "member")),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use roridula_triage::rules::Rules;
    use roridula_triage::{Budget, Road, triage};

    /// A report of layers with these parents; all but the first are members of archives.
    fn report(parents: &[Option<u32>]) -> Report {
        let mut report = triage(b"text", Road::Payload, &Rules::default(), &Budget::default());
        let layer = report.layers[0].clone();
        let member = |parent: &Option<u32>| match parent {
            None => layer.clone(),
            Some(_) => Layer { parent: *parent, found_by: FoundBy::Directory, ..layer.clone() },
        };
        report.layers = parents.iter().map(member).collect();
        report
    }

    fn told(report: &Report, detail: Detail) -> Vec<String> {
        let mut out = Vec::new();
        write(&mut out, report, detail).unwrap();
        String::from_utf8(out).unwrap().lines().skip(1).map(str::to_owned).collect()
    }

    const SHORT: Detail = Detail::Short { rest: "--all", columns: 60 };

    #[test]
    fn members_are_shown_unless_they_are_many_and_tell_nothing() {
        // An archive in an archive: nobody's child is an orphan.
        assert_eq!(told(&report(&[None, Some(0), Some(1)]), SHORT).len(), 3);
        let mut many = report(&[[None].as_slice(), &[Some(0); 8], &[Some(5)]].concat());
        many.core = Some(2);
        many.layers[3].hits = vec![roridula_triage::rules::Hit::default()];
        let shown = told(&many, SHORT);
        let numbers: Vec<&str> = shown.iter().map(|line| line[..4].trim()).collect();
        assert_eq!(numbers, ["0", "2", "3", "5", "9"], "the core, a hit, what something lies in");
        assert_eq!(told(&many, Detail::All).len(), 10);
    }

    #[test]
    fn a_tree_is_bounded_in_both_directions() {
        let mut deep = report(&(0..60u32).map(|at| at.checked_sub(1)).collect::<Vec<_>>());
        deep.layers.iter_mut().for_each(|layer| {
            layer.name = "\u{1b}[2J\u{65e5}".repeat(500);
            layer.remarks = vec!["what is wrong with it ".repeat(50); 3];
        });
        let shown = told(&deep, SHORT);
        assert_eq!(shown.len(), LINES_MAX + 1, "{shown:#?}");
        assert!(shown.iter().all(|line| width(line) <= 60 && !line.contains('\u{1b}')), "{shown:#?}");
        assert_eq!(shown.last().map(|line| line.trim()), Some("\u{2026} and 53 more layers (--all)"));
    }
}
