//! The layers of a report, as a tree.

use super::explained::{Detail, more};
use super::{escaped, short};
use crate::triage::in_order;
use roridula_desk::sample::thousands;
use roridula_triage::{FoundBy, Layer, Report, State};
use std::io::{Result, Write};

/// Layers that are shown where not all are asked for.
const LAYERS_MAX: usize = 12;
/// Letters of a layer's name in a line.
const NAME_MAX: usize = 36;

/// Writes the layers, each below what it lies in.
pub(crate) fn write(out: &mut impl Write, report: &Report, detail: Detail) -> Result<()> {
    let mut order = in_order(report);
    if let Detail::Short { .. } = detail {
        // An archive tells of its members in one line.
        order.retain(|(number, _)| {
            report.layer(*number).is_none_or(|layer| layer.found_by != FoundBy::Directory)
        });
    }
    let max = detail.at_most(LAYERS_MAX);
    for &(number, depth) in order.iter().take(max) {
        let Some(layer) = report.layer(number) else { continue };
        let depth = depth as usize;
        let mark = if report.core == Some(number) { "  ← core" } else { "" };
        writeln!(out, "{number:>4}{}{mark}", line(depth, layer).trim_end())?;
        if let (Some(zip), Detail::Short { rest }) = (&layer.facts.zip, detail)
            && !zip.members.is_empty()
        {
            let whole = zip.members.iter().filter(|member| member.state == "intact").count();
            let opened = if zip.password.is_empty() { "" } else { ", opened by the published password" };
            let of = zip.members.len();
            writeln!(
                out,
                "      {}{of} members, {whole} of them intact{opened} ({rest})",
                "  ".repeat(depth + 1)
            )?;
        }
        for remark in &layer.remarks {
            writeln!(out, "      {}! {}", "  ".repeat(depth), escaped(remark))?;
        }
    }
    more(out, order.len(), max, detail)
}

fn line(depth: usize, layer: &Layer) -> String {
    let mut name: String = escaped(&layer.name).chars().take(NAME_MAX).collect();
    if layer.name.chars().count() > NAME_MAX {
        name.push('…');
    }
    let what = format!("{}{} {name}", "  ".repeat(depth), layer.kind);
    let state = if layer.state == State::Intact { String::new() } else { format!("  {}", layer.state) };
    let encoding = if layer.encoding.is_empty() { String::new() } else { format!("  {}", layer.encoding) };
    format!(
        "  {what:<38} {:>10} bytes at {:<10} {}{state}{encoding}",
        thousands(layer.size),
        thousands(layer.offset),
        short(&layer.hashes.sha256)
    )
}
