//! `roridula samples`: one file a command.

mod diff;
pub(super) mod explained;
mod export;
mod facts;
mod groups;
mod layer;
mod list;
mod restore;
pub(crate) mod screen;
mod show;
mod tree;

use super::{Failure, index, out, reader};
use clap::{Args, Subcommand};
use roridula_desk::lookup::{Found, Lookups};
use roridula_desk::sample::{Catalog, CatalogError, Reports};
use roridula_evidence::{CaptureView, Kept, Reader, SampleId, SampleView};
use roridula_triage::Report;
use serde::Serialize;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Samples that a layer's hash may stand for before they are only counted.
const ALIKE_MAX: usize = 8;

/// The files that were caught
#[derive(Debug, Subcommand)]
pub(crate) enum SamplesCommand {
    /// All samples, the most novel first
    List(list::ListArgs),
    /// One sample: what it is in one sentence, what is inside, who brought it
    Show(show::ShowArgs),
    /// Where two samples differ, and what that means
    Diff(diff::DiffArgs),
    /// Samples with the same core, the most novel first
    Groups(groups::GroupsArgs),
    /// Take samples away as encrypted zip files (AES-256, password `infected`)
    #[command(after_help = "\
The zip holds the bytes exactly as caught, under a name that nothing runs (SHA-256 and .bin),
and what is known of them (SHA-256 and .json). Most tools open it: 7z x -pinfected FILE.zip

Examples:
  roridula samples export 4902              4902….zip in this directory
  roridula samples export 4902 514f -o DIR  a zip for each, in a directory that is made
  roridula samples export 4902 514f -o a.zip  both in one zip
  roridula samples export 4902 --layer 4    the layer alone that `samples show` gives this number")]
    Export(export::ExportArgs),
    /// Make samples that are kept as differences whole files again
    Restore(restore::RestoreArgs),
}

/// Which samples are meant.
#[derive(Debug, Args)]
pub(crate) struct Wanted {
    /// SHA-256s of samples or of layers in them, or as much of their beginnings as is unique
    #[arg(required = true)]
    sha256: Vec<String>,
}

/// All that a command may read.
pub(crate) struct Room {
    pub(crate) reader: Reader,
    pub(crate) reports: Reports,
    data: PathBuf,
}

impl From<CatalogError> for Failure {
    fn from(error: CatalogError) -> Self {
        Self(error.to_string())
    }
}

impl From<roridula_desk::sample::ReportError> for Failure {
    fn from(error: roridula_desk::sample::ReportError) -> Self {
        Self(error.to_string())
    }
}

impl Room {
    pub(crate) fn open(data: &Path) -> Result<Self, Failure> {
        let reader = reader(data)?;
        // Who may not write there sees samples without their reports.
        let reports = Reports::open(data).or_else(|error| {
            eprintln!(
                "roridula: {error}; what triage found is left out: run this as the user whom the directory belongs to"
            );
            Reports::temporary()
        })?;
        Ok(Self { reader, reports, data: data.to_owned() })
    }

    /// What services have said of the layers of a report; nothing where none was ever asked.
    fn looked_up(&self, report: Option<&Report>) -> Vec<Found> {
        let asked = self.data.join("desk").join("lookup.sqlite").exists();
        let Some(report) = report.filter(|_| asked) else { return Vec::new() };
        // Who may not read them sees the sample without them.
        Lookups::open(&self.data).and_then(|lookups| lookups.of_report(report)).unwrap_or_default()
    }

    fn catalog(&self) -> Result<Catalog, Failure> {
        Ok(Catalog::load(&mut index::caught_up(&self.data)?, &self.reports)?)
    }

    /// The sample whose hash begins like this, or in which such a layer lies.
    pub(crate) fn find(&self, prefix: &str) -> Result<SampleView, Failure> {
        let prefix = prefix.trim().to_ascii_lowercase();
        if let Some(found) = self.reader.sample(&prefix)? {
            return Ok(found);
        }
        let nothing = || {
            let what = format!("no sample's SHA-256 begins with `{prefix}`, nor that of a layer in one");
            Failure::new(format!("{what}; `roridula samples list` shows them"))
        };
        if prefix.len() < 4 || !prefix.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(nothing());
        }
        let with = self.reports.with_layer(&prefix, ALIKE_MAX)?;
        // The first of those that carry it; `show` names the others by their group.
        let first = with.first().ok_or_else(nothing)?;
        self.reader.sample(&first.to_string())?.ok_or_else(nothing)
    }

    /// The report of a sample, or what to do where there is none.
    fn report(&self, sample: SampleId) -> Result<Report, Failure> {
        self.reports.get(sample)?.ok_or_else(|| {
            let what = "has no report";
            Failure::new(format!("{sample} {what}: `roridula triage {}` makes it", &sample.to_string()[..16]))
        })
    }
}

impl From<roridula_desk::sink::SinkError> for Failure {
    fn from(error: roridula_desk::sink::SinkError) -> Self {
        Self(error.to_string())
    }
}

/// A sample with all that is known of it.
#[derive(Serialize)]
struct Shown<'a> {
    /// From 0 to 100.
    novelty: u8,
    /// What it is.
    sentence: &'a str,
    #[serde(flatten)]
    sample: &'a SampleView,
    /// Null where its bytes are gone, or kept as a difference.
    path: Option<&'a Path>,
    /// `whole`, `difference`, `forgotten`, `missing`.
    kept: &'static str,
    /// Null where it was not looked into.
    report: Option<&'a Report>,
    /// What services know of it, as far as they were asked.
    lookups: Vec<Found>,
    capture_list: &'a [CaptureView],
}

fn kept_as(kept: &Kept) -> &'static str {
    match kept {
        Kept::Whole { .. } => "whole",
        Kept::Difference { .. } => "difference",
        Kept::Forgotten => "forgotten",
        Kept::Missing => "missing",
    }
}

/// Carries out one of them.
pub(crate) fn run(command: &SamplesCommand, data: &Path) -> Result<(), Failure> {
    let room = Room::open(data)?;
    match command {
        SamplesCommand::List(args) => list::run(&room, args),
        SamplesCommand::Show(args) => show::run(&room, args),
        SamplesCommand::Diff(args) => diff::run(&room, args),
        SamplesCommand::Groups(args) => groups::run(&room, args),
        SamplesCommand::Export(args) => export::run(&room, args),
        SamplesCommand::Restore(args) => restore::run(&room, args),
    }
}

/// Prints paths of files, a line each or as JSON.
fn told_paths(paths: &[PathBuf], json: bool) -> Result<(), Failure> {
    if json {
        return Ok(out::json(&paths)?);
    }
    let mut out = out::stdout();
    paths.iter().try_for_each(|path| writeln!(out, "{}", path.display()))?;
    Ok(out.flush()?)
}

/// Attacker's text, fit for a terminal.
fn escaped(text: &str) -> String {
    roridula_proto::event::Text(text.to_owned()).to_string()
}

/// The beginning of a hash.
fn short(sha256: &str) -> &str {
    sha256.get(..12).unwrap_or(sha256)
}

/// A moment of the catalog as people read it, to the minute.
fn minute(rfc3339: &str) -> String {
    rfc3339.get(..16).unwrap_or(rfc3339).replace('T', " ")
}
