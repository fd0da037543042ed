//! `roridula samples export`

use super::{Room, Shown, kept_as, layer};
use crate::cli::{Failure, out};
use clap::Args;
use roridula_desk::json;
use roridula_evidence::SampleView;
use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zip::write::{FileOptions, SimpleFileOptions};
use zip::{AesMode, CompressionMethod, ZipWriter};

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    wanted: super::Wanted,
    /// A zip file, or a directory for SHA256.zip of each [default: this directory]
    #[arg(long, short, value_name = "PATH", default_value = ".", hide_default_value = true)]
    output: PathBuf,
    /// Only this layer of it: its SHA-256, the beginning of it, or its number in `samples show`
    #[arg(long, value_name = "SHA256|N")]
    layer: Option<String>,
    /// The zip's password
    #[arg(long, default_value = "infected", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    password: String,
    /// The paths that were written as a JSON array
    #[arg(long)]
    json: bool,
}

pub(super) fn run(room: &Room, args: &ExportArgs) -> Result<(), Failure> {
    let catalog = room.catalog()?;
    let packer = Packer {
        room,
        told: catalog
            .entries
            .iter()
            .map(|entry| (entry.sha256.0, (entry.novelty, entry.sentence.as_str())))
            .collect(),
        args,
    };
    let mut failed = Vec::new();
    let mut items = Vec::new();
    for prefix in &args.wanted.sha256 {
        match packer.item(prefix) {
            // Two beginnings may be one sample's, or its own and a layer's.
            Ok(item) if items.iter().any(|known: &Item| known.name() == item.name()) => {}
            Ok(item) => items.push(item),
            Err(Failure(why)) => failed.push(why),
        }
    }
    let mut paths = Vec::new();
    let bar = out::progress(items.len() as u64, "packing samples");
    let mut pack = |path: PathBuf, items: &[Item]| match packer.pack(&path, items, &bar) {
        Ok(()) => paths.push(path),
        Err(Failure(why)) => failed.push(why),
    };
    if packer.is_directory(items.len())? {
        items.iter().for_each(|item| {
            pack(args.output.join(format!("{}.zip", item.name())), std::slice::from_ref(item));
        });
    } else if !items.is_empty() {
        pack(args.output.clone(), &items);
    }
    bar.finish_and_clear();
    super::told_paths(&paths, args.json)?;
    if failed.is_empty() { Ok(()) } else { Err(Failure(failed.join("\n"))) }
}

/// What goes into a zip.
struct Item {
    sample: SampleView,
    /// The layer, where not the whole sample is wanted.
    layer: Option<layer::Cut>,
}

impl Item {
    /// Without its ending.
    fn name(&self) -> String {
        self.layer.as_ref().map_or_else(|| self.sample.sha256.to_string(), |layer| layer.sha256().to_owned())
    }
}

struct Packer<'a> {
    room: &'a Room,
    /// Novelty and sentence of each sample.
    told: HashMap<[u8; 32], (u8, &'a str)>,
    args: &'a ExportArgs,
}

impl Packer<'_> {
    /// What is meant by the beginning of a SHA-256; says so where it is a layer's and the sample around it is taken.
    fn item(&self, prefix: &str) -> Result<Item, Failure> {
        let sample = self.room.find(prefix)?;
        let layer = match &self.args.layer {
            Some(wanted) => Some(layer::Cut::of(self.room, &sample, wanted)?),
            None => None,
        };
        let is_sample = sample.sha256.to_string().starts_with(&prefix.trim().to_ascii_lowercase());
        if layer.is_none() && !is_sample {
            eprintln!(
                "roridula: {prefix} is no sample but a layer in {}, which is exported whole; \
                 `--layer {prefix}` takes the layer alone",
                sample.sha256
            );
        }
        Ok(Item { sample, layer })
    }

    /// Whether each zip gets its own file in a directory, which is made where nothing is there yet: for several samples, and
    /// for a path that ends in a slash.
    fn is_directory(&self, items: usize) -> Result<bool, Failure> {
        let path = &self.args.output;
        if path.is_dir() {
            return Ok(true);
        }
        let is_zip = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("zip"));
        let is_meant = path.as_os_str().as_bytes().ends_with(b"/") || (items > 1 && !is_zip);
        if !is_meant || path.exists() {
            return Ok(false);
        }
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map(|()| true).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
    }

    /// Writes a new zip file; an existing file is never replaced.
    fn pack(&self, path: &Path, items: &[Item], bar: &indicatif::ProgressBar) -> Result<(), Failure> {
        let at = |what: &str| Failure::new(format!("{}: {what}", path.display()));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let file = file.map_err(|error| at(&error.to_string()))?;
        let mut zip = ZipWriter::new(file);
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .unix_permissions(0o400)
            .with_aes_encryption(AesMode::Aes256, &self.args.password);
        let written = items.iter().try_for_each(|item| {
            self.put(&mut zip, item, options).map_err(|Failure(why)| at(&why))?;
            bar.inc(1);
            Ok(())
        });
        let finished = written.and_then(|()| zip.finish().map_err(|error| at(&error.to_string())));
        finished.map(drop).inspect_err(|_| {
            // Half an archive helps nobody; the failure itself is what is told.
            let _ = fs::remove_file(path);
        })
    }

    fn put(
        &self,
        zip: &mut ZipWriter<fs::File>,
        item: &Item,
        options: FileOptions<'_, '_, ()>,
    ) -> Result<(), Failure> {
        let failed = |error: zip::result::ZipError| Failure::new(error.to_string());
        let name = item.name();
        let about = match &item.layer {
            None => self.about(&item.sample)?,
            Some(layer) => layer.about()?,
        };
        zip.start_file(format!("{name}.bin"), options).map_err(failed)?;
        match &item.layer {
            None => zip.write_all(&self.room.reader.sample_bytes(item.sample.sha256, item.sample.size)?)?,
            Some(layer) => zip.write_all(&layer.bytes)?,
        }
        zip.start_file(format!("{name}.json"), options).map_err(failed)?;
        Ok(zip.write_all(&about)?)
    }

    /// What is known of a sample, as JSON.
    fn about(&self, sample: &SampleView) -> Result<Vec<u8>, Failure> {
        let room = self.room;
        let kept = room.reader.kept(sample.sha256)?;
        let report = room.reports.get(sample.sha256)?;
        let (novelty, sentence) = self.told.get(&sample.sha256.0).copied().unwrap_or_default();
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
        let text = json::pretty(&shown);
        text.map(String::into_bytes).map_err(|error| Failure::new(error.to_string()))
    }
}
