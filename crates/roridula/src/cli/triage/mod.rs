//! `roridula triage`

mod all;
mod told;

use super::{Failure, out, reader};
use crate::rules;
use crate::settings::{Settings, Sources};
use crate::triage::{Question, Reins, Seat, bytes, question};
use clap::Args;
use roridula_desk::sample::Outline;
use roridula_proto::event::Text;
use roridula_triage::Report;
use roridula_triage::rules::{RuleError, RuleFile};
use serde::Serialize;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Explain files: what they are, what is inside, which rules fit
#[derive(Debug, Args)]
#[command(after_help = "\
Files are looked into by a process without rights, as captured samples are; nothing is run and nothing is stored.
Exit status 1 if a file could not be looked into.

Examples:
  roridula triage suspicious.bin            a file at hand
  roridula triage 3f2a                      a captured sample, by the beginning of its SHA-256
  xz -dc file.xz | roridula triage -        standard input
  roridula triage --rules new.yar 3f2a      with a rule file of your own besides
  sudo roridula triage --all                after a change of rules: every sample that was compared with others")]
pub(crate) struct TriageArgs {
    /// Files, `-` for standard input, or beginnings of samples' SHA-256
    #[arg(value_name = "FILE|SHA256", required_unless_present = "all")]
    what: Vec<PathBuf>,
    /// Every captured sample whose report was made with other rules or by another version
    #[arg(long, conflicts_with_all = ["what", "rules"])]
    all: bool,
    /// With --all: those of today's rules and version too
    #[arg(long, requires = "all")]
    force: bool,
    /// Rule files or folders with YARA rules, besides the configured ones; repeat for more
    #[arg(long, value_name = "PATH")]
    rules: Vec<PathBuf>,
    /// As JSON: an array with sentence and report for each; with --all, what became of the samples
    #[arg(long)]
    json: bool,
    /// A configuration file (see `roridula config`)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// One setting, over the file: `--set triage.timeout_secs=60`; repeat for more
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// What `--json` gives for each.
#[derive(Serialize)]
struct Answer {
    /// As it was asked for.
    input: String,
    /// What it is; not there where it could not be looked into.
    #[serde(skip_serializing_if = "Option::is_none")]
    sentence: Option<String>,
    /// `None` where it could not be looked into.
    report: Option<Report>,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Carries it out.
pub(crate) fn run(args: &TriageArgs, data: &Path) -> Result<(), Failure> {
    let settings = settings(args)?;
    // What the user names must be there; a configured folder that is gone only leaves its rules out.
    if let Some(missing) = args.rules.iter().find(|path| !path.exists()) {
        return Err(Failure::new(format!("--rules {}: no such file or folder", missing.display())));
    }
    let mut folders = rules::folders(&settings.triage.rules, data);
    folders.extend(args.rules.iter().cloned());
    let (files, broken) = rules::read(&folders);
    broken.iter().for_each(left_out);
    let files = Arc::new(files);
    if args.all {
        return all::run(args, data, &settings, &files);
    }
    each(args, data, &settings, &files)
}

/// The bytes of a file at hand and its full report, by the settings' defaults and the rules in the data directory.
pub(super) fn at_hand(path: &Path, data: &Path) -> Result<(Vec<u8>, Report), Failure> {
    let settings = Settings::default();
    let (files, broken) = rules::read(&rules::folders(&settings.triage.rules, data));
    broken.iter().for_each(left_out);
    let max = settings.triage.sample_bytes_max();
    let told = |why: String| Failure::new(Text(format!("{}: {why}", path.display())).to_string());
    let bytes =
        open(path).map_err(|error| error.to_string()).and_then(|file| read(file, max)).map_err(told)?;
    let mut seat = Seat::new(settings.triage, Arc::new(files), Arc::new(Reins::default()));
    let report =
        seat.ask(&Question::default(), &bytes, |_| ()).map_err(|trouble| told(trouble.to_string()))?;
    Ok((bytes, report))
}

fn settings(args: &TriageArgs) -> Result<Settings, Failure> {
    let mut sources = Sources::default();
    if let Some(path) = &args.config {
        sources.file(path)?;
    }
    for assignment in &args.set {
        sources.set(assignment)?;
    }
    Ok(sources.load()?)
}

fn left_out(error: &RuleError) {
    let place = if error.line == 0 { String::new() } else { format!(":{}", error.line) };
    eprintln!("roridula: rules left out: {}", Text(format!("{}{place}: {}", error.file, error.what)));
}

/// What was asked for, one after the other.
fn each(
    args: &TriageArgs,
    data: &Path,
    settings: &Settings,
    files: &Arc<Vec<RuleFile>>,
) -> Result<(), Failure> {
    let mut seat = Seat::new(settings.triage.clone(), Arc::clone(files), Arc::new(Reins::default()));
    seat.fill().map_err(|trouble| Failure::new(trouble.to_string()))?.1.iter().for_each(left_out);
    let mut results = Vec::new();
    for (number, what) in args.what.iter().enumerate() {
        let max = settings.triage.sample_bytes_max();
        let result = input(what, data, max)
            .and_then(|(question, bytes)| seat.ask(&question, &bytes, |_| ()).map_err(|how| how.to_string()));
        if args.json {
            results.push(result);
            continue;
        }
        if let Ok(report) = &result {
            let mut out = out::stdout();
            if number > 0 {
                writeln!(out)?;
            }
            told::write(&mut out, &what.to_string_lossy(), report)?;
            out.flush()?;
        }
        results.push(result);
    }
    if args.json {
        let answer = |(what, result): (&'_ PathBuf, &'_ Result<Report, String>)| Answer {
            input: what.to_string_lossy().into_owned(),
            sentence: result.as_ref().ok().map(|report| Outline::of(report).sentence()),
            report: result.as_ref().ok().cloned(),
            error: result.as_ref().err().cloned(),
        };
        out::json(&args.what.iter().zip(&results).map(answer).collect::<Vec<_>>())?;
    }
    let failed = args.what.iter().zip(&results).filter_map(|(what, result)| {
        let error = result.as_ref().err()?;
        Some(Text(format!("{}: {error}", what.to_string_lossy())).to_string())
    });
    let failed: Vec<String> = failed.collect();
    if failed.is_empty() { Ok(()) } else { Err(Failure(failed.join("\n"))) }
}

/// The bytes that were asked for, and by which road they came.
fn input(what: &Path, data: &Path, max: u64) -> Result<(Question, Vec<u8>), String> {
    let at_hand = Question::default();
    if what == Path::new("-") {
        return Ok((at_hand, read(std::io::stdin().lock(), max)?));
    }
    // Of a sample's name all letters can be read.
    let name = what.to_str().unwrap_or_default();
    match open(what) {
        Ok(file) => return Ok((at_hand, read(file, max)?)),
        // A word that may be a sample's name, and names no file.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && is_hex(name) => {}
        Err(error) => return Err(error.to_string()),
    }
    let reader = reader(data).map_err(|Failure(why)| format!("no such file, and no sample: {why}"))?;
    match reader.sample(name) {
        Ok(Some(sample)) if sample.size > max => Err(too_large(max)),
        Ok(Some(sample)) => {
            Ok((question(&sample), bytes(&reader, &sample).map_err(|trouble| trouble.to_string())?))
        }
        Ok(None) => Err("neither a file nor the beginning of a sample's SHA-256".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Opens a file, and nothing that would be waited for: a pipe without a writer never opens.
fn open(path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::FileTypeExt;
    let kind = std::fs::metadata(path)?.file_type();
    if kind.is_fifo() || kind.is_socket() {
        let what = "a pipe or socket, not a file: `roridula triage - < PATH` reads one";
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, what));
    }
    File::open(path)
}

fn is_hex(what: &str) -> bool {
    !what.is_empty() && what.len() <= 64 && what.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn read(from: impl Read, max: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    from.take(max.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > max { Err(too_large(max)) } else { Ok(bytes) }
}

fn too_large(max: u64) -> String {
    format!("more than {max} bytes; `--set triage.memory_bytes_max=` four times its size allows it")
}
