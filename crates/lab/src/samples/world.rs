//! `roridula-lab samples`: the test world, with its ledger.

use super::ledger::{Entry, Specimen};
use super::{chain, encoded, hostile, kin};
use anyhow::Context;
use std::path::PathBuf;
use std::process::ExitCode;

/// Options of `samples`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The folder to write to; made where it is missing.
    #[arg(long, short)]
    pub out: PathBuf,
    /// Which world.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Hands over every look-alike of the world, one after the other: all at once are some hundred megabytes.
pub fn each(seed: u64, mut visit: impl FnMut(Specimen) -> anyhow::Result<()>) -> anyhow::Result<()> {
    for (file, oddity, chain) in chain::variants(seed) {
        visit(chain.specimen(file, oddity))?;
    }
    let others = [kin::specimens(seed), encoded::specimens(seed), hostile::specimens()];
    others.into_iter().flatten().try_for_each(visit)
}

/// The bytes of one of them, by the name of its file.
pub fn file(name: &str, seed: u64) -> anyhow::Result<Vec<u8>> {
    let mut found = None;
    each(seed, |specimen| {
        if specimen.entry.file == name {
            found = Some(specimen.bytes);
        }
        Ok(())
    })?;
    found.with_context(|| format!("no look-alike is called {name}: `roridula-lab samples` writes them all"))
}

/// Writes the world and `ledger.json`.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    std::fs::create_dir_all(&args.out).with_context(|| format!("cannot make {}", args.out.display()))?;
    let mut ledger: Vec<Entry> = Vec::new();
    each(args.seed, |specimen| {
        let path = args.out.join(&specimen.entry.file);
        std::fs::write(&path, &specimen.bytes).with_context(|| format!("cannot write {}", path.display()))?;
        ledger.push(specimen.entry);
        Ok(())
    })?;
    let path = args.out.join("ledger.json");
    std::fs::write(&path, serde_json::to_vec_pretty(&ledger)?)
        .with_context(|| format!("cannot write {}", path.display()))?;
    let bytes: u64 = ledger.iter().map(|entry| entry.size).sum();
    println!("{} look-alikes, {bytes} bytes, and {}", ledger.len(), path.display());
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_same_seed_makes_the_same_world_and_files_tell_apart() {
        let world = |seed| {
            let mut entries = Vec::new();
            each(seed, |specimen| {
                entries.push(specimen.entry);
                Ok(())
            })
            .unwrap();
            entries
        };
        let one = world(1);
        assert!(one == world(1), "another world for the same seed");
        let names: BTreeSet<_> = one.iter().map(|entry| &entry.file).collect();
        let hashes: BTreeSet<_> = one.iter().map(|entry| &entry.sha256).collect();
        assert_eq!((names.len(), hashes.len()), (one.len(), one.len()));
        assert!(one.iter().zip(world(2)).filter(|(one, other)| one.sha256 != other.sha256).count() > 20);
        assert!(one.iter().filter(|entry| entry.hostile).count() >= 20);
    }
}
