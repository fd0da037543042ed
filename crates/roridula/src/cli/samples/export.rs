//! `roridula samples export`

use super::{Room, Shown, kept_as};
use crate::cli::{Failure, out};
use clap::Args;
use roridula_evidence::SampleView;
use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use zip::write::SimpleFileOptions;
use zip::{AesMode, CompressionMethod, ZipWriter};

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    wanted: super::Wanted,
    /// The zip file, or a directory for SHA256.zip [default: this directory]
    #[arg(long, short, value_name = "PATH", default_value = ".", hide_default_value = true)]
    output: PathBuf,
    /// The zip's password
    #[arg(long, default_value = "infected")]
    password: String,
    /// The paths as a JSON array
    #[arg(long)]
    json: bool,
}

pub(super) fn run(room: &Room, args: &ExportArgs) -> Result<(), Failure> {
    let samples: Vec<SampleView> =
        args.wanted.sha256.iter().map(|prefix| room.find(prefix)).collect::<Result<_, _>>()?;
    let catalog = room.catalog()?;
    let told = catalog
        .entries
        .iter()
        .map(|entry| (entry.sha256.0, (entry.novelty, entry.sentence.as_str())))
        .collect();
    let bar = out::progress(samples.len() as u64, "packing samples");
    let mut paths = Vec::new();
    if args.output.is_dir() {
        for sample in &samples {
            let path = args.output.join(format!("{}.zip", sample.sha256));
            pack(room, &told, std::slice::from_ref(sample), &path, &args.password, &bar)?;
            paths.push(path);
        }
    } else {
        pack(room, &told, &samples, &args.output, &args.password, &bar)?;
        paths.push(args.output.clone());
    }
    bar.finish_and_clear();
    super::told_paths(&paths, args.json)
}

/// Novelty and sentence of each sample.
type Told<'a> = HashMap<[u8; 32], (u8, &'a str)>;

/// Writes a new zip file with `samples`; an existing file is never replaced.
fn pack(
    room: &Room,
    told: &Told<'_>,
    samples: &[SampleView],
    path: &Path,
    password: &str,
    bar: &indicatif::ProgressBar,
) -> Result<(), Failure> {
    let at = |what: &str| Failure::new(format!("{}: {what}", path.display()));
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let file = file.map_err(|error| at(&error.to_string()))?;
    let mut zip = ZipWriter::new(file);
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .unix_permissions(0o400)
        .with_aes_encryption(AesMode::Aes256, password);
    let written = samples.iter().try_for_each(|sample| {
        let mut source = room.reader.open_sample(sample.sha256)?;
        let about = about(room, told, sample)?;
        zip.start_file(format!("{}.bin", sample.sha256), options).map_err(|error| at(&error.to_string()))?;
        std::io::copy(&mut source, &mut zip)?;
        zip.start_file(format!("{}.json", sample.sha256), options).map_err(|error| at(&error.to_string()))?;
        zip.write_all(&about)?;
        bar.inc(1);
        Ok(())
    });
    let finished = written.and_then(|()| zip.finish().map_err(|error| at(&error.to_string())));
    finished.map(drop).inspect_err(|_| {
        // Half an archive helps nobody; the failure itself is what is told.
        let _ = fs::remove_file(path);
    })
}

/// What is known of a sample, as JSON.
fn about(room: &Room, told: &Told<'_>, sample: &SampleView) -> Result<Vec<u8>, Failure> {
    let kept = room.reader.kept(sample.sha256)?;
    let report = room.reports.get(sample.sha256)?;
    let (novelty, sentence) = told.get(&sample.sha256.0).copied().unwrap_or_default();
    let shown = Shown {
        novelty,
        sentence,
        sample,
        path: kept.path(),
        kept: kept_as(&kept),
        report: report.as_ref(),
        lookups: room.looked_up(report.as_ref()),
        capture_list: &room.reader.captures(sample.sha256)?,
    };
    serde_json::to_vec_pretty(&shown).map_err(|error| Failure::new(error.to_string()))
}
