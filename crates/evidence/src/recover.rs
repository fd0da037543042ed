//! After a kill: what the spool and the journal say was under way becomes evidence.

use crate::install::wall_clock;
use crate::samples::SampleId;
use crate::spool::{Note, each_piece, place};
use crate::store::{Batch, Capture, Changes, Closing, Recovered, hash_rest};
use crate::writer::{CaptureItem, Item, Writer, all_ended, unended};
use crate::{StoreError, kept, ranges, reader, schema};
use roridula_proto::event::{CloseReason, Event, UploadState};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Makes partial samples of the uploads in `dir/spool` and ends the connections that were open. Gives the first
/// slot number that is free, too.
pub(crate) fn recover(dir: &Path, writer: &mut Writer) -> Result<(Recovered, u64), StoreError> {
    let spool = dir.join("spool");
    let mut recovered = Recovered { connections: end_connections(dir, writer)?, ..Recovered::default() };
    let mut next = 0;
    for (number, path) in notes(&spool)? {
        next = next.max(number + 1);
        match recover_slot(dir, &path, writer) {
            Ok(found) => {
                recovered.samples += u64::from(found);
                for kind in ["note", "data", "joined"] {
                    let _ = fs::remove_file(path.with_extension(kind));
                }
            }
            Err(error) => {
                recovered.left += 1;
                tracing::error!(%error, "an upload from before the last start stays in {}", path.display());
            }
        }
    }
    // A connection may be known by its upload only, its first events killed on their way to the journal.
    recovered.connections += end_connections(dir, writer)?;
    Ok((recovered, next))
}

/// The notes of the spool, and their numbers.
fn notes(spool: &Path) -> Result<Vec<(u64, PathBuf)>, StoreError> {
    let mut notes = Vec::new();
    for entry in fs::read_dir(spool).map_err(StoreError::io("list", spool))? {
        let path = entry.map_err(StoreError::io("list", spool))?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
        match (number, path.extension().and_then(|kind| kind.to_str())) {
            (Some(number), Some("note")) => notes.push((number, path)),
            // Data without a note was never claimed by one.
            (Some(_), Some("data")) if !path.with_extension("note").exists() => drop(fs::remove_file(&path)),
            // Half of a sample that is made again from its data.
            (Some(_), Some("joined")) => drop(fs::remove_file(&path)),
            _ => {}
        }
    }
    notes.sort_unstable();
    Ok(notes)
}

/// Whether there was anything in the slot.
fn recover_slot(dir: &Path, path: &Path, writer: &mut Writer) -> Result<bool, StoreError> {
    let text = fs::read_to_string(path).map_err(StoreError::io("read", path))?;
    let Some(line) = text.split_inclusive('\n').next().and_then(|line| line.strip_suffix('\n')) else {
        // Killed before the first note was whole: no data was written.
        return Ok(false);
    };
    if line == "free" {
        return Ok(false);
    }
    let note: Note = serde_json::from_str(line).map_err(|error| StoreError::Damaged {
        path: path.to_owned(),
        what: format!("not a note of the spool: {error}"),
    })?;
    if note.ranges.is_empty() {
        return Ok(false);
    }
    let data_path = path.with_extension("data");
    if let Some(id) = note.sealed.as_deref().and_then(|id| id.parse::<SampleId>().ok())
        && !data_path.exists()
    {
        // It had reached its place; what may be missing is its entry in the journal.
        let sample = match kept::open(dir, id) {
            // Given up since, so it is on record.
            Err(StoreError::Forgotten { .. }) => return record(&note, id, None, writer, path),
            sample => sample?,
        };
        let size = ranges::total(&note.ranges);
        let whole = [[0, size].into()];
        let hashes = hash_rest(|visit| each_piece(&sample, &whole, 0, visit))
            .map_err(StoreError::io("read", &id.path(dir)))?;
        return record(&note, id, Some(hashes), writer, path);
    }
    // It may have been killed between its protection and its renaming.
    fs::set_permissions(&data_path, fs::Permissions::from_mode(0o600))
        .map_err(StoreError::io("open", &data_path))?;
    let data = File::options()
        .read(true)
        .write(true)
        .open(&data_path)
        .map_err(StoreError::io("open", &data_path))?;
    let mut sha256 = Sha256::new();
    let hashes = hash_rest(|visit| {
        each_piece(&data, &note.ranges, 0, &mut |piece| {
            sha256.update(piece);
            visit(piece)
        })
    })
    .map_err(StoreError::io("read", &data_path))?;
    let id = SampleId(sha256.finalize().into());
    if !kept::is_settled(dir, id) {
        place(&data, &data_path, &note.ranges, dir, id)?;
    }
    record(&note, id, Some(hashes), writer, path)
}

fn record(
    note: &Note,
    id: SampleId,
    hashes: Option<crate::writer::Hashes>,
    writer: &mut Writer,
    path: &Path,
) -> Result<bool, StoreError> {
    let attribution = note.attribution().ok_or_else(|| StoreError::Damaged {
        path: path.to_owned(),
        what: "its connection's id is none".to_owned(),
    })?;
    let fail = StoreError::journal(path);
    if reader::has_capture(writer.db(), attribution.connection, note.upload, id).map_err(&fail)? {
        return Ok(false);
    }
    let size = ranges::total(&note.ranges);
    let total = reader::announced(writer.db(), attribution.connection, note.upload).map_err(&fail)?;
    let whole = total.is_some_and(|total| ranges::holds(&note.ranges, 0, total)) && note.ranges.len() == 1;
    let capture = Capture {
        attribution,
        upload: note.upload,
        origin: note.origin,
        state: if whole && total == Some(size) { UploadState::Complete } else { UploadState::Partial },
        total,
        ranges: note.ranges.clone(),
        sha256: id,
        size,
    };
    let item = CaptureItem { capture, at: wall_clock(), hashes, recovered: true, slot: None, done: None };
    writer.commit(&[Item::Capture(Box::new(item))], false).map_err(&fail)?;
    Ok(true)
}

/// Ends the connections that have no end. What they had sent and received is not known any more.
fn end_connections(dir: &Path, writer: &mut Writer) -> Result<u64, StoreError> {
    let fail = StoreError::journal(&schema::path(dir));
    let mut ended = 0;
    let items: Vec<Item> = unended(writer.db())
        .map_err(&fail)?
        .into_iter()
        .map(|left| {
            ended += 1;
            let closed = Event::ConnectionClosed {
                reason: CloseReason::Killed,
                duration_us: left.latest.0.saturating_sub(left.attribution.at.0),
                bytes_in: 0,
                bytes_out: 0,
                events_dropped: 0,
            };
            let batch = Batch {
                attribution: left.attribution,
                events: vec![(left.latest, closed)],
                changes: Changes::default(),
                closing: Some(Closing::default()),
            };
            Item::Batch { batch, transcript: None }
        })
        .collect();
    for group in items.chunks(1024) {
        writer.commit(group, false).map_err(&fail)?;
    }
    all_ended(writer.db()).map_err(&fail)?;
    Ok(ended)
}
