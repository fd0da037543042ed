//! Medians and the table.

use crate::tidy::root;
use anyhow::Context;
use std::fmt::Write as _;

/// One line of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    what: String,
    case: String,
    unit: &'static str,
    ours: f64,
    bare: Option<f64>,
    /// The figure that the limit is about.
    figure: f64,
    limit: Option<&'static str>,
}

impl Row {
    /// Ours divided by the bare server's.
    pub fn ratio(
        what: &str,
        case: &str,
        unit: &'static str,
        ours: f64,
        bare: f64,
        limit: Option<&'static str>,
    ) -> Self {
        Self {
            what: what.into(),
            case: case.into(),
            unit,
            ours,
            bare: Some(bare),
            figure: ours / bare,
            limit,
        }
    }

    /// Ours and the other's as medians, and the median of the ratios of those that were measured next to each other.
    pub fn paired(
        what: &str,
        case: &str,
        unit: &'static str,
        pairs: &[(f64, f64)],
        limit: Option<&'static str>,
    ) -> Self {
        let of = |each: fn(&(f64, f64)) -> f64| median(&pairs.iter().map(each).collect::<Vec<_>>());
        let (ours, other) = (of(|(ours, _)| *ours), of(|(_, other)| *other));
        Self { figure: of(|(ours, other)| ours / other), ..Self::ratio(what, case, unit, ours, other, limit) }
    }

    /// Ours minus the bare server's.
    pub fn difference(
        what: &str,
        case: &str,
        unit: &'static str,
        ours: f64,
        bare: f64,
        limit: Option<&'static str>,
    ) -> Self {
        Self {
            what: what.into(),
            case: case.into(),
            unit,
            ours,
            bare: Some(bare),
            figure: ours - bare,
            limit,
        }
    }

    /// Ours alone.
    pub fn alone(what: &str, case: &str, unit: &'static str, ours: f64, limit: Option<&'static str>) -> Self {
        Self { what: what.into(), case: case.into(), unit, ours, bare: None, figure: ours, limit }
    }

    /// Whether the figure keeps its limit, read from the limit's words.
    fn keeps(&self) -> Option<bool> {
        let limit = self.limit?;
        let number: f64 = limit.split_whitespace().find_map(|word| word.parse().ok())?;
        Some(if limit.starts_with("at least") { self.figure >= number } else { self.figure <= number })
    }
}

/// The middle one of some figures.
pub fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => sorted[len / 2],
        len => f64::midpoint(sorted[len / 2 - 1], sorted[len / 2]),
    }
}

fn number(value: f64) -> String {
    if value.abs() >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

/// The table with what a reader must know to judge it.
pub fn markdown(rows: &[Row], repeats: usize) -> String {
    let mut text = format!("{}; medians of {repeats} interleaved repeats.\n\n", machine());
    text.push_str("| what | case | roridula | bare server | figure | limit | kept |\n|---|---|---:|---:|---:|---|---|\n");
    for row in rows {
        let bare = row.bare.map_or("–".into(), |bare| format!("{} {}", number(bare), row.unit));
        let kept = row.keeps().map_or("–", |kept| if kept { "yes" } else { "**no**" });
        let _ = writeln!(
            text,
            "| {} | {} | {} {} | {bare} | {} | {} | {kept} |",
            row.what,
            row.case,
            number(row.ours),
            row.unit,
            number(row.figure),
            row.limit.unwrap_or("–")
        );
    }
    text
}

fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let model = model.trim_start_matches([' ', '\t', ':']);
    let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{cores} cores ({model}), Linux {}", kernel.trim())
}

const BEGIN: &str = "<!-- bench: begin -->\n";
const END: &str = "<!-- bench: end -->\n";

/// Puts the table between the marks in BENCHMARKS.md.
pub fn write(table: &str) -> anyhow::Result<()> {
    let path = root().join("BENCHMARKS.md");
    let text = std::fs::read_to_string(&path).context("BENCHMARKS.md")?;
    let (before, rest) = text.split_once(BEGIN).context("BENCHMARKS.md has no begin mark")?;
    let (_, after) = rest.split_once(END).context("BENCHMARKS.md has no end mark")?;
    Ok(std::fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn limits_are_read_from_their_words() {
        let kept = |figure: f64, limit| Row::alone("", "", "", figure, Some(limit)).keeps();
        assert_eq!(kept(1.3, "at most 1.35"), Some(true));
        assert_eq!(kept(1.4, "at most 1.35"), Some(false));
        assert_eq!(kept(0.59, "at least 0.6"), Some(false));
        assert_eq!(kept(4097.0, "at most 4096 above"), Some(false));
        assert_eq!(kept(60.0, "under 100"), Some(true));
    }
}
