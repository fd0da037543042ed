//! Seeds for the fuzzers, made from the transcripts: `fuzz/corpus/<target>/auto`.

use crate::golden::{Golden, OwnedInput};
use crate::tidy::root;
use anyhow::Context;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

/// What libFuzzer is told to make at most (see `scripts/fuzz.sh`).
const SEED_MAX: usize = 8192;

/// Options of `seeds`: none.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {}

/// Writes a seed for each transcript and target; files of the same name are replaced.
pub fn run(_: &Args) -> anyhow::Result<ExitCode> {
    let root = root();
    let mut count = 0;
    for folder in fs::read_dir(root.join("transcripts")).context("transcripts/")?.flatten() {
        if !folder.path().is_dir() {
            continue;
        }
        let golden = Golden::load(&folder.path())?;
        let text = fs::read(folder.path().join("session.txt"))?;
        for (target, seed) in seeds(&golden, text) {
            let corpus = root.join("fuzz/corpus").join(target).join("auto");
            fs::create_dir_all(&corpus)?;
            write(&corpus, &golden.name(), &seed)?;
            count += 1;
        }
    }
    println!("{count} seeds in fuzz/corpus");
    Ok(ExitCode::SUCCESS)
}

fn write(corpus: &Path, name: &str, seed: &[u8]) -> anyhow::Result<()> {
    let path = corpus.join(name);
    fs::write(&path, seed).with_context(|| format!("cannot write {}", path.display()))
}

fn seeds(golden: &Golden, text: Vec<u8>) -> Vec<(&'static str, Vec<u8>)> {
    let pieces: Vec<&[u8]> = golden
        .inputs
        .iter()
        .filter_map(
            |(_, input)| if let OwnedInput::Bytes(bytes) = input { Some(bytes.as_slice()) } else { None },
        )
        .collect();
    let mut stream: Vec<u8> = pieces.concat();
    stream.truncate(SEED_MAX);
    let mut cuts = vec![0x15];
    let mut operations = Vec::new();
    for piece in &pieces {
        cuts.push(2);
        cuts.extend(u16::try_from(piece.len()).unwrap_or(u16::MAX).to_le_bytes());
        cuts.extend_from_slice(piece);
        for part in piece.chunks(255) {
            operations.extend([7, part.len() as u8]);
            operations.extend_from_slice(part);
        }
    }
    cuts.truncate(SEED_MAX);
    operations.truncate(SEED_MAX);
    // The message with the most in it; a blob where a session setup carries one.
    let message =
        pieces.iter().filter(|piece| piece.len() > 36).max_by_key(|piece| piece.len().min(SEED_MAX));
    let mut found = vec![
        ("connection_bytes", stream.clone()),
        ("connection_cuts", cuts),
        ("connection_operations", operations),
        ("deframer", [&[13], stream.as_slice()].concat()),
        ("transcript", text),
    ];
    if let Some(message) = message {
        found.push(("smb1_messages", message[4..message.len().min(SEED_MAX)].to_vec()));
    }
    let blob = |piece: &&&[u8]| piece.get(8) == Some(&0x73) && piece.get(36) == Some(&12);
    if let Some(setup) = pieces.iter().rev().find(blob) {
        found.push(("security_blob", setup[4 + 32 + 1 + 24 + 2..].to_vec()));
    }
    found
}
