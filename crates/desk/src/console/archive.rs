//! A sample as an archive that nothing opens by accident: AES-256, password `infected`, under a name that nothing runs.

use super::ask::{Ask, Problem};
use super::shelf::Shelf;
use super::view::View;
use super::view::sample::Sample;
use roridula_evidence::SampleView;
use std::io::{Cursor, Write};
use zip::write::SimpleFileOptions;
use zip::{AesMode, CompressionMethod, ZipWriter};

/// What everybody's tools try first.
pub(crate) const PASSWORD: &str = "infected";
/// Bytes of a sample that are packed; an upload's bound (`limits.upload_bytes_max`) is lower by default.
const BYTES_MAX: u64 = 256 * 1024 * 1024;

/// The archive of a sample: its bytes as caught, and the model of its page as JSON. `ask` is the page's.
pub(crate) fn zip(shelf: &mut Shelf, sample: &SampleView, ask: &Ask) -> Result<Vec<u8>, Problem> {
    let id = sample.sha256;
    let bytes = shelf.reader.sample_bytes(id, BYTES_MAX).map_err(Problem::failed)?;
    let about = crate::json::pretty(&Sample::load(shelf, ask)?).map_err(Problem::failed)?;
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .unix_permissions(0o400)
        .with_aes_encryption(AesMode::Aes256, PASSWORD);
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (suffix, content) in [("bin", bytes.as_slice()), ("json", about.as_bytes())] {
        zip.start_file(format!("{id}.{suffix}"), options).map_err(Problem::failed)?;
        zip.write_all(content).map_err(Problem::failed)?;
    }
    Ok(zip.finish().map_err(Problem::failed)?.into_inner())
}
