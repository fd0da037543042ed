//! `roridula samples`

use super::{Failure, out, reader};
use clap::{Args, Subcommand};
use roridula_evidence::{CaptureView, Reader, SampleView};
use serde::Serialize;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use zip::write::SimpleFileOptions;
use zip::{AesMode, CompressionMethod, ZipWriter};

/// The files that were caught
#[derive(Debug, Subcommand)]
pub(crate) enum SamplesCommand {
    /// All samples, the first caught first
    List(ListArgs),
    /// One sample: its hashes, what is inside, who brought it
    Show(ShowArgs),
    /// Take samples away as encrypted zip files (AES-256, password `infected`)
    #[command(after_help = "\
The zip holds the bytes exactly as caught, under a name that nothing runs (SHA-256 and .bin),
and what is known of them (SHA-256 and .json). Most tools open it: 7z x -pinfected FILE.zip")]
    Export(ExportArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// As a JSON array
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The SHA-256, or as much of its beginning as is unique
    sha256: String,
    /// As a JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// SHA-256s, or as much of their beginnings as is unique
    #[arg(required = true)]
    sha256: Vec<String>,
    /// The zip file, or a directory for SHA256.zip [default: this directory]
    #[arg(long, short, value_name = "PATH", default_value = ".", hide_default_value = true)]
    output: PathBuf,
    /// The zip's password
    #[arg(long, default_value = "infected")]
    password: String,
}

/// Carries out one of them.
pub(crate) fn run(command: &SamplesCommand, data: &Path) -> Result<(), Failure> {
    let reader = reader(data)?;
    match command {
        SamplesCommand::List(args) => list(&reader, args),
        SamplesCommand::Show(args) => show(&reader, args),
        SamplesCommand::Export(args) => export(&reader, args),
    }
}

fn list(reader: &Reader, args: &ListArgs) -> Result<(), Failure> {
    let samples = reader.samples()?;
    if args.json {
        return Ok(out::json(&samples)?);
    }
    let mut out = out::stdout();
    if samples.is_empty() {
        writeln!(out, "No samples yet. `roridula events` shows who came and what they did.")?;
        return Ok(out.flush()?);
    }
    let head = [
        "SHA-256",
        ">SIZE",
        "STATE",
        "ORIGIN",
        ">CAPTURES",
        ">SOURCES",
        "FIRST SEEN (UTC)",
        "LAST SEEN (UTC)",
        "INSIDE",
    ];
    let row = |sample: &SampleView| {
        vec![
            sample.sha256.to_string()[..16].to_owned(),
            sample.size.to_string(),
            sample.state.to_string(),
            sample.origin.to_string(),
            sample.captures.to_string(),
            sample.sources.to_string(),
            out::moment(sample.first_seen),
            out::moment(sample.last_seen),
            inside(sample),
        ]
    };
    out::table(&mut out, &head, &samples.iter().map(row).collect::<Vec<_>>())?;
    Ok(out.flush()?)
}

/// What triage found, in a few words.
fn inside(sample: &SampleView) -> String {
    if !sample.triaged {
        return "not looked into yet".to_owned();
    }
    let mut layers: Vec<_> =
        sample.layers.iter().map(|layer| format!("{} {}", layer.kind, layer.size)).collect();
    if !sample.triage_error.is_empty() {
        layers.push("(triage has a remark)".to_owned());
    }
    if layers.is_empty() { "no layer".to_owned() } else { layers.join(", ") }
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    sample: &'a SampleView,
    /// Null where its bytes are gone.
    path: Option<&'a Path>,
    capture_list: &'a [CaptureView],
}

fn show(reader: &Reader, args: &ShowArgs) -> Result<(), Failure> {
    let sample = find(reader, &args.sha256)?;
    let captures = reader.captures(sample.sha256)?;
    let kept = reader.kept(sample.sha256)?;
    if args.json {
        return Ok(out::json(&Shown { sample: &sample, path: kept.path(), capture_list: &captures })?);
    }
    let mut out = out::stdout();
    let total = sample.total.map_or("unknown".to_owned(), |total| total.to_string());
    let ranges: Vec<_> =
        sample.ranges.iter().map(|range| format!("{}..{}", range.start, range.end)).collect();
    writeln!(out, "sha256      {}", sample.sha256)?;
    writeln!(out, "sha1        {}", sample.sha1)?;
    writeln!(out, "md5         {}", sample.md5)?;
    writeln!(out, "size        {} bytes of {total} announced", sample.size)?;
    writeln!(out, "state       {} (bytes {} of the upload)", sample.state, ranges.join(", "))?;
    writeln!(out, "origin      {}", sample.origin)?;
    writeln!(out, "seen        {} to {} UTC", out::moment(sample.first_seen), out::moment(sample.last_seen))?;
    writeln!(out, "file        {kept}")?;
    if sample.layers.is_empty() {
        writeln!(out, "inside      {}", inside(&sample))?;
    }
    for layer in &sample.layers {
        writeln!(
            out,
            "inside      {} {} at {}, {} bytes ({})",
            layer.kind, layer.sha256, layer.offset, layer.size, layer.found_by
        )?;
    }
    if !sample.triage_error.is_empty() {
        writeln!(out, "triage      {}", sample.triage_error)?;
    }
    writeln!(out, "\ncaptures    {}, sources {}", sample.captures, sample.sources)?;
    let row = |capture: &CaptureView| {
        let source = capture.source.ip().to_canonical().to_string();
        let size: u64 = capture.ranges.iter().map(|range| range.len()).sum();
        vec![
            out::moment(capture.time),
            source,
            capture.connection.to_string(),
            capture.upload.to_string(),
            capture.state.to_string(),
            size.to_string(),
        ]
    };
    let rows: Vec<_> = captures.iter().map(row).collect();
    out::table(&mut out, &["TIME (UTC)", "SOURCE", "CONNECTION", ">UPLOAD", "STATE", ">BYTES"], &rows)?;
    Ok(out.flush()?)
}

fn find(reader: &Reader, prefix: &str) -> Result<SampleView, Failure> {
    let prefix = prefix.trim().to_ascii_lowercase();
    let found = reader.sample(&prefix)?;
    found.ok_or_else(|| {
        Failure::new(format!(
            "no sample's SHA-256 begins with `{prefix}`; `roridula samples list` shows them"
        ))
    })
}

fn export(reader: &Reader, args: &ExportArgs) -> Result<(), Failure> {
    let samples: Vec<SampleView> =
        args.sha256.iter().map(|prefix| find(reader, prefix)).collect::<Result<_, _>>()?;
    let mut out = out::stdout();
    if args.output.is_dir() {
        for sample in &samples {
            let path = args.output.join(format!("{}.zip", sample.sha256));
            pack(reader, std::slice::from_ref(sample), &path, &args.password)?;
            writeln!(out, "{}", path.display())?;
        }
    } else {
        pack(reader, &samples, &args.output, &args.password)?;
        writeln!(out, "{}", args.output.display())?;
    }
    Ok(out.flush()?)
}

/// Writes a new zip file with `samples`; an existing file is never replaced.
fn pack(reader: &Reader, samples: &[SampleView], path: &Path, password: &str) -> Result<(), Failure> {
    let at = |what: &str| Failure::new(format!("{}: {what}", path.display()));
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let file = file.map_err(|error| at(&error.to_string()))?;
    let mut zip = ZipWriter::new(file);
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .unix_permissions(0o400)
        .with_aes_encryption(AesMode::Aes256, password);
    let written = samples.iter().try_for_each(|sample| {
        let kept = reader.kept(sample.sha256)?;
        let mut source = reader.open_sample(sample.sha256)?;
        let captures = reader.captures(sample.sha256)?;
        let about = Shown { sample, path: kept.path(), capture_list: &captures };
        let about = serde_json::to_vec_pretty(&about).map_err(|error| at(&error.to_string()))?;
        zip.start_file(format!("{}.bin", sample.sha256), options).map_err(|error| at(&error.to_string()))?;
        std::io::copy(&mut source, &mut zip)?;
        zip.start_file(format!("{}.json", sample.sha256), options).map_err(|error| at(&error.to_string()))?;
        zip.write_all(&about)?;
        Ok(())
    });
    let finished = written.and_then(|()| zip.finish().map_err(|error| at(&error.to_string())));
    finished.map(drop).inspect_err(|_| {
        // Half an archive helps nobody; the failure itself is what is told.
        let _ = fs::remove_file(path);
    })
}
