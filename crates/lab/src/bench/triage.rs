//! (t) triage: against SHA-256 and one scan by the rules engine over the same bytes, and the world's slowest files.

use super::Args;
use super::place::{cores, pin_self};
use super::table::{Row, median};
use crate::samples::chain::Chain;
use crate::samples::{X64, X86, world};
use roridula_triage::rules::Rules;
use roridula_triage::{Budget, Road, triage};
use sha2::{Digest, Sha256};
use std::hint::black_box;
use std::time::Instant;

/// Milliseconds that `work` takes.
fn milliseconds<T>(work: impl FnOnce() -> T) -> f64 {
    let start = Instant::now();
    black_box(work());
    start.elapsed().as_secs_f64() * 1e3
}

/// The two chains, and each file of the world once.
pub fn measure(args: &Args) -> anyhow::Result<Vec<Row>> {
    // One core: what is measured is one worker's work.
    let cores = cores()?;
    pin_self(&cores[..1])?;
    let (rules, budget) = (Rules::compile(&[]).0, Budget::default());
    let mut rows = Vec::new();
    for (case, layout) in [("x86", X86), ("x64", X64)] {
        rows.extend(chain(args, case, &Chain::new(layout, 1).payload(), &rules, &budget));
    }
    rows.push(slowest(&rules, &budget)?);
    pin_self(&cores)?;
    Ok(rows)
}

/// (t) one 5.27 MB chain.
fn chain(args: &Args, case: &str, bytes: &[u8], rules: &Rules, budget: &Budget) -> Vec<Row> {
    let (mut ours, mut base) = (Vec::new(), Vec::new());
    for turn in 0..args.repeats {
        eprintln!("t, {case}: {} of {}", turn + 1, args.repeats);
        base.push(milliseconds(|| (Sha256::digest(black_box(bytes)), rules.scan(bytes))));
        ours.push(milliseconds(|| triage(black_box(bytes), Road::Payload, rules, budget)));
    }
    let (ours, base) = (median(&ours), median(&base));
    let what = "(t) triage of one 5.27 MB chain";
    let against = format!("{case}, against SHA-256 and one scan of its bytes");
    vec![
        Row::ratio(what, &against, "ms", ours, base, Some("at most 4")),
        Row::alone(what, &format!("{case}, on one core"), "files/h", 3.6e6 / ours, Some("at least 1000")),
    ]
}

/// (t) the file of the look-alike world that takes longest; the ten that do are told besides.
fn slowest(rules: &Rules, budget: &Budget) -> anyhow::Result<Row> {
    let mut times: Vec<(f64, String)> = Vec::new();
    world::each(1, |specimen| {
        let time = milliseconds(|| triage(&specimen.bytes, Road::Payload, rules, budget));
        times.push((time, specimen.entry.file));
        Ok(())
    })?;
    times.sort_by(|one, other| other.0.total_cmp(&one.0));
    for (time, file) in times.iter().take(10) {
        eprintln!("t, slowest of {}: {time:.1} ms {file}", times.len());
    }
    let (time, file) = times.into_iter().next().unwrap_or_default();
    Ok(Row::alone("(t) the slowest file of the look-alike world", &file, "ms", time, Some("at most 2000")))
}
