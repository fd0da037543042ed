//! What is told, against what was sent.

use super::cast::Cast;
use super::{Outcome, Sent};
use crate::honeypot::{Honeypot, PATIENCE};
use crate::samples::cli::sha256_hex;
use anyhow::{Context, anyhow, bail};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// The disk may take this part of the raw bytes.
const DISK_PERCENT_MAX: u64 = 8;
/// Files that are taken away in one archive.
const EXPORTED_AT_ONCE: usize = 20;
/// What a user sees at once.
const SCREEN_LINES: usize = 30;
const SCREEN_COLUMNS: usize = 100;
/// How often a process is asked that also has other work.
const POLL: Duration = Duration::from_millis(500);

/// What is told of a group of captures.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    captures: u64,
    samples: u64,
    sources: u64,
}

/// Waits until all is looked into and stored, then compares everything.
pub fn all(honeypot: &Honeypot, cast: &Cast, sent: &[Sent], outcome: &mut Outcome) -> anyhow::Result<()> {
    // Workers go last: beside a build or other tests a sample may take seconds.
    let patience = PATIENCE + Duration::from_secs(5 * sent.len() as u64);
    let begun = Instant::now();
    let list = explained(honeypot, sent.len(), patience)?;
    outcome.explained_secs = begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    outcome.disk_bytes = stored(honeypot, outcome.raw_bytes, patience)?;
    outcome.stored_secs = begun.elapsed().as_secs_f64();
    if 100 * outcome.disk_bytes >= DISK_PERCENT_MAX * outcome.raw_bytes {
        let (disk, raw) = (outcome.disk_bytes, outcome.raw_bytes);
        outcome.complaints.push(format!("the data directory takes {disk} bytes of {raw} raw ones"));
    }
    let groups = ask(honeypot, "groups")?;
    outcome.complaints.extend(groups_complaints(cast, sent, &groups));
    outcome.complaints.extend(list_complaints(cast, sent, &list));
    outcome.complaints.extend(screen_complaints(honeypot, cast, sent)?);
    let begun = Instant::now();
    outcome.complaints.extend(export_complaints(honeypot, sent)?);
    outcome.exported_secs = begun.elapsed().as_secs_f64();
    Ok(())
}

fn ask(honeypot: &Honeypot, view: &str) -> anyhow::Result<Vec<Value>> {
    let text = honeypot.ask(&["samples", view, "--json"])?;
    let value: Value = serde_json::from_str(&text).with_context(|| format!("samples {view} --json"))?;
    value.as_array().cloned().ok_or_else(|| anyhow!("samples {view} --json is no array"))
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value[field].as_str().unwrap_or_default()
}

/// The list, once it has every sample with its full report: a first one tells no members of archives.
fn explained(honeypot: &Honeypot, samples: usize, patience: Duration) -> anyhow::Result<Vec<Value>> {
    let begun = Instant::now();
    loop {
        let list = ask(honeypot, "list")?;
        let is_full = |sample: &&Value| sample["triaged"] == true && !text(sample, "core").is_empty();
        let known = list.iter().filter(is_full).count();
        if known == samples && list.len() == samples {
            return Ok(list);
        }
        if begun.elapsed() > patience {
            let first = list.iter().find(|sample| !is_full(sample));
            bail!("{known} full reports and {} samples of {samples}; without one: {first:?}", list.len());
        }
        std::thread::sleep(POLL);
    }
}

/// The bytes that the data directory takes, once they are few enough or no longer become fewer.
fn stored(honeypot: &Honeypot, raw: u64, patience: Duration) -> anyhow::Result<u64> {
    let begun = Instant::now();
    loop {
        let bytes = disk_bytes(&honeypot.data)?;
        if 100 * bytes < DISK_PERCENT_MAX * raw || begun.elapsed() > patience {
            return Ok(bytes);
        }
        std::thread::sleep(POLL);
    }
}

/// Whole blocks, as the disk counts them.
pub fn disk_bytes(folder: &Path) -> anyhow::Result<u64> {
    let mut folders = vec![folder.to_path_buf()];
    let mut bytes = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let entry = entry?;
            // The honeypot works on: a file may be gone by now.
            let Ok(metadata) = entry.metadata() else { continue };
            bytes += metadata.blocks() * 512;
            if metadata.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    Ok(bytes)
}

fn groups_complaints(cast: &Cast, sent: &[Sent], groups: &[Value]) -> Vec<String> {
    let mut expected: BTreeMap<&str, Group> = BTreeMap::new();
    for (number, core) in cast.cores.iter().enumerate() {
        let of_core: Vec<&Sent> = sent.iter().filter(|sent| sent.capture.core == number).collect();
        let distinct: BTreeSet<_> = of_core.iter().map(|sent| sent.capture.source).collect();
        let samples: BTreeSet<_> = of_core.iter().map(|sent| &sent.sha256).collect();
        let group = Group {
            captures: of_core.len() as u64,
            samples: samples.len() as u64,
            sources: distinct.len() as u64,
        };
        expected.insert(&core.sha256, group);
    }
    let count = |group: &Value, field: &str| group[field].as_u64().unwrap_or(0);
    let told: BTreeMap<&str, Group> = groups
        .iter()
        .map(|group| {
            let [captures, samples, sources] =
                ["captures", "samples", "sources"].map(|field| count(group, field));
            (text(group, "core"), Group { captures, samples, sources })
        })
        .collect();
    let mut complaints = Vec::new();
    if groups.len() != told.len() {
        complaints.push(format!("{} groups, but {} cores", groups.len(), told.len()));
    }
    let cores: BTreeSet<_> = expected.keys().chain(told.keys()).collect();
    complaints.extend(
        cores
            .into_iter()
            .filter(|core| expected.get(*core) != told.get(*core))
            .map(|core| format!("core {core}: sent {:?}, told {:?}", expected.get(core), told.get(core))),
    );
    complaints
}

fn list_complaints(cast: &Cast, sent: &[Sent], list: &[Value]) -> Vec<String> {
    let mut complaints = Vec::new();
    let oddities: BTreeSet<&str> = sent
        .iter()
        .filter(|sent| cast.cores[sent.capture.core].oddity)
        .map(|sent| sent.sha256.as_str())
        .collect();
    let first: BTreeSet<&str> =
        list.iter().take(oddities.len()).map(|sample| text(sample, "sha256")).collect();
    if first != oddities {
        complaints.push(format!("first in the list are {first:?}, not the oddities {oddities:?}"));
    }
    let told: BTreeMap<&str, &Value> = list.iter().map(|sample| (text(sample, "sha256"), sample)).collect();
    for one in sent {
        let core = &cast.cores[one.capture.core];
        let Some(sample) = told.get(one.sha256.as_str()) else {
            complaints.push(format!("{} is not in the list", one.sha256));
            continue;
        };
        if text(sample, "core") != core.sha256 {
            complaints.push(format!("{}: core {}, not {}", one.sha256, text(sample, "core"), core.sha256));
        }
        let sentence = text(sample, "sentence");
        let missing: Vec<&String> = core.words.iter().filter(|word| !sentence.contains(*word)).collect();
        if sentence.is_empty() || !missing.is_empty() {
            complaints.push(format!("{}: no {missing:?} in {sentence:?}", one.sha256));
        }
    }
    complaints
}

/// Looks at the first sample of each core: all of it is on one screen.
fn screen_complaints(honeypot: &Honeypot, cast: &Cast, sent: &[Sent]) -> anyhow::Result<Vec<String>> {
    let mut complaints = Vec::new();
    for core in 0..cast.cores.len() {
        let Some(one) = sent.iter().find(|sent| sent.capture.core == core) else { continue };
        let shown = honeypot.ask(&["samples", "show", &one.sha256])?;
        let columns = shown.lines().map(|line| line.chars().count()).max().unwrap_or(0);
        if shown.lines().count() > SCREEN_LINES || columns > SCREEN_COLUMNS {
            complaints.push(format!("{} takes more than a screen:\n{shown}", one.sha256));
        }
    }
    Ok(complaints)
}

/// Takes everything away as a user would, and hashes it.
fn export_complaints(honeypot: &Honeypot, sent: &[Sent]) -> anyhow::Result<Vec<String>> {
    let folder = tempfile::tempdir()?;
    let mut complaints = Vec::new();
    for (number, some) in sent.chunks(EXPORTED_AT_ONCE).enumerate() {
        let path = folder.path().join(format!("{number}.zip"));
        let mut args = vec!["samples", "export"];
        args.extend(some.iter().map(|sent| sent.sha256.as_str()));
        args.extend(["--output", path.to_str().context("a path in UTF-8")?]);
        honeypot.ask(&args)?;
        let mut archive = zip::ZipArchive::new(fs::File::open(&path)?)?;
        for one in some {
            let name = format!("{}.bin", one.sha256);
            let mut bytes = Vec::new();
            let read = archive
                .by_name_decrypt(&name, b"infected")
                .map_err(anyhow::Error::from)
                .and_then(|mut member| Ok(member.read_to_end(&mut bytes)?));
            match read {
                Ok(_) if sha256_hex(&bytes) == one.sha256 => {}
                Ok(_) => complaints.push(format!("{name}: {} other bytes come out", bytes.len())),
                Err(error) => complaints.push(format!("{name}: {error:#}")),
            }
        }
        fs::remove_file(&path)?;
    }
    Ok(complaints)
}
