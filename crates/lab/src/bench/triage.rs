//! (t) triage: against SHA-256 and one scan by the rules engine over the same bytes, and the world's slowest files.

use super::Args;
use super::place::{cores, pin_self};
use super::table::{Row, median};
use crate::samples::chain::{Chain, Dirt};
use crate::samples::{Layout, X64, X86, world};
use roridula_triage::rules::Rules;
use roridula_triage::{Budget, Look, MEMORY_BYTES, Memory, Report, Road, triage};
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
        rows.extend(Chains::new(layout).measure(args, case, &rules, &budget)?);
    }
    rows.push(slowest(&rules, &budget)?);
    pin_self(&cores)?;
    Ok(rows)
}

/// One 5.27 MB chain, and its core in other wrappings.
struct Chains {
    new: Vec<u8>,
    /// The same library behind the same stub; other bytes behind it.
    other_end: Vec<u8>,
    /// The same EXE in another library.
    other_library: Vec<u8>,
}

impl Chains {
    fn new(layout: Layout) -> Self {
        let chain = Chain::new(layout, 1);
        let end = Chain { tail: 64, ..chain.clone() };
        let library = Chain { dirt: Some(Dirt { at: 70_000, len: 500, seed: 7 }), ..chain.clone() };
        Self { new: chain.payload(), other_end: end.payload(), other_library: library.payload() }
    }

    /// All of it in turn. Hashes of the whole file are worked out here as well, where a capture would have them.
    fn measure(&self, args: &Args, case: &str, rules: &Rules, budget: &Budget) -> anyhow::Result<Vec<Row>> {
        let look = |bytes| Look::new(bytes, Road::Payload, rules, budget);
        let again = |bytes: &[u8], memory: &mut Memory, hashes: &[String; 3]| {
            let [sha256, sha1, md5] = hashes;
            let mut look = Look::new(bytes, Road::Payload, rules, budget).with_hashes(sha256, sha1, md5);
            assert!(look.is_known(memory), "a core that is known");
            look.full(memory)
        };
        let none = [String::new(), String::new(), String::new()];
        let captured = |bytes| hashes(&triage(bytes, Road::Payload, rules, budget));
        let (library, end) = (captured(&self.other_library), captured(&self.other_end));
        let mut times = vec![Vec::new(); 7];
        for turn in 0..args.repeats {
            eprintln!("t, {case}: {} of {}", turn + 1, args.repeats);
            let bytes = black_box(self.new.as_slice());
            // Each with a memory that has seen one chain: what a second one costs.
            let memory = || {
                let mut memory = Memory::new(MEMORY_BYTES);
                black_box(look(bytes).full(&mut memory));
                memory
            };
            let mut memories = [memory(), memory(), memory(), memory()];
            let [one, two, three, four] = &mut memories;
            let each = [
                milliseconds(|| (Sha256::digest(bytes), rules.scan(bytes))),
                milliseconds(|| look(bytes).first()),
                milliseconds(|| look(bytes).full(&mut Memory::new(MEMORY_BYTES))),
                milliseconds(|| again(&self.other_library, one, &none)),
                milliseconds(|| again(&self.other_library, two, &library)),
                milliseconds(|| again(&self.other_end, three, &none)),
                milliseconds(|| again(&self.other_end, four, &end)),
            ];
            times.iter_mut().zip(each).for_each(|(times, time)| times.push(time));
        }
        let base = median(&times[0]);
        let what = "(t) triage of one 5.27 MB chain";
        let row = |number: usize, which: &str, limit| {
            let case = format!("{case}, {which}, against SHA-256 and one scan of its bytes");
            Row::ratio(what, &case, "ms", median(&times[number]), base, limit)
        };
        Ok(vec![
            row(1, "first report, never seen", Some("at most 4")),
            row(2, "full report, never seen", None),
            row(3, "full report, a known core in another library", None),
            row(4, "the same, with the hashes that its capture has", None),
            row(5, "full report, a known library in another upload", None),
            row(6, "the same, with the hashes that its capture has", None),
            Row::alone(
                what,
                &format!("{case}, full reports of what was never seen, on one core"),
                "files/h",
                3.6e6 / median(&times[2]),
                Some("at least 1000"),
            ),
        ])
    }
}

/// Those of the whole sample.
fn hashes(report: &Report) -> [String; 3] {
    let root = report.layers.first().map(|root| root.hashes.clone()).unwrap_or_default();
    [root.sha256, root.sha1, root.md5]
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
