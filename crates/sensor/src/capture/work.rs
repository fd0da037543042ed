//! What a capture thread does with one upload.

use super::seal::Entrance;
use super::{End, Piece};
use roridula_evidence::{Attribution, Batch, Capture, Changes, SampleId, Slot, Store, wall_clock};
use roridula_proto::event::{Event, Origin, UploadState};
use sha2::{Digest, Sha256};
use std::io;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Versions of the same place that are kept besides the first; more are told as lost.
const CONFLICTS_MAX: usize = 8;
/// How often the system is asked for the free space.
const SPACE_EVERY: Duration = Duration::from_millis(250);

/// One upload's place on the disk, and how far it is.
#[derive(Debug)]
pub(super) struct Work {
    attribution: Attribution,
    upload: u32,
    origin: Origin,
    slot: Option<Slot>,
    /// SHA-256 of the first `hashed` bytes, as long as they come in order.
    sha256: Sha256,
    hashed: u64,
    /// Other bytes for places that were taken.
    conflicts: Vec<Slot>,
    lost: u64,
    error: Option<String>,
}

impl Work {
    pub(super) fn new(attribution: Attribution, upload: u32, origin: Origin) -> Self {
        Self {
            attribution,
            upload,
            origin,
            slot: None,
            sha256: Sha256::new(),
            hashed: 0,
            conflicts: Vec::new(),
            lost: 0,
            error: None,
        }
    }

    /// Writes what has arrived: `pieces` lie in `bytes` one after the other.
    pub(super) fn write(&mut self, store: &Store, space: &Space, bytes: &[u8], pieces: &[Piece]) {
        let mut rest = bytes;
        let mut pieces = pieces.iter().peekable();
        while let Some(&first) = pieces.next() {
            // Pieces that follow each other are one write.
            let mut len = first.len;
            while let Some(next) = pieces.next_if(|next| !first.again && follows(&first, len, next)) {
                len += next.len;
            }
            let (run, after) = rest.split_at_checked(len).unwrap_or((rest, &[]));
            rest = after;
            let result = match first.again {
                false => self.write_first(store, space, first.offset, run),
                true => self.write_again(store, space, first.offset, run),
            };
            if let Err(error) = result {
                self.fail(&error, run.len());
            }
        }
    }

    fn write_first(&mut self, store: &Store, space: &Space, offset: u64, bytes: &[u8]) -> io::Result<()> {
        space.claim(store, bytes.len())?;
        let slot = match &mut self.slot {
            Some(slot) => slot,
            none => none
                .insert(store.slot(&self.attribution, self.upload, self.origin).map_err(io::Error::other)?),
        };
        slot.write(offset, bytes)?;
        if offset == self.hashed {
            self.sha256.update(bytes);
            self.hashed += bytes.len() as u64;
        }
        Ok(())
    }

    /// Bytes for a place that is taken: the same ones are a repeat, others are kept besides.
    fn write_again(&mut self, store: &Store, space: &Space, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let end = offset + bytes.len() as u64;
        let Some(slot) = self.slot.as_ref().filter(|slot| slot.holds(offset, end)) else {
            // The first ones could not be written: these take their place.
            return self.write_first(store, space, offset, bytes);
        };
        if same(slot, offset, bytes)? {
            return Ok(());
        }
        for other in &mut self.conflicts {
            if other.lacks(offset, end) {
                space.claim(store, bytes.len())?;
                return other.write(offset, bytes);
            }
            if other.holds(offset, end) && same(other, offset, bytes)? {
                return Ok(());
            }
        }
        if self.conflicts.len() >= CONFLICTS_MAX {
            return Err(io::Error::other("too many versions of the same bytes"));
        }
        space.claim(store, bytes.len())?;
        let origin = Origin::DoublePulsarConflict;
        let mut other = store.slot(&self.attribution, self.upload, origin).map_err(io::Error::other)?;
        other.write(offset, bytes)?;
        self.conflicts.push(other);
        Ok(())
    }

    fn fail(&mut self, error: &dyn std::fmt::Display, bytes_lost: usize) {
        self.lost += bytes_lost as u64;
        if self.error.is_none() {
            let (connection, upload) = (self.attribution.connection, self.upload);
            tracing::error!(%connection, upload, %error, "PAYLOAD BYTES CANNOT BE KEPT");
            self.error = Some(error.to_string());
        }
    }

    /// The upload is over: what is here becomes a sample.
    pub(super) fn finish(&mut self, store: &Store, sealing: &Entrance, end: End) {
        if let Some(slot) = self.slot.take() {
            let sha256 = std::mem::take(&mut self.sha256);
            self.finish_slot(store, sealing, slot, &end, (sha256, self.hashed));
            self.hashed = 0;
        }
        for other in std::mem::take(&mut self.conflicts) {
            let end = End { state: UploadState::Partial, total: end.total, ranges: other.ranges().to_vec() };
            self.origin = Origin::DoublePulsarConflict;
            self.finish_slot(store, sealing, other, &end, (Sha256::new(), 0));
        }
        if let Some(error) = self.error.take() {
            tell_failure(store, self.attribution, self.upload, error, self.lost);
        }
    }

    /// What came was a repeat of what is kept already.
    pub(super) fn forget(&mut self) {
        for slot in self.slot.take().into_iter().chain(std::mem::take(&mut self.conflicts)) {
            slot.recycle();
        }
    }

    fn finish_slot(
        &mut self,
        store: &Store,
        sealing: &Entrance,
        slot: Slot,
        end: &End,
        (mut sha256, hashed): (Sha256, u64),
    ) {
        if slot.is_empty() {
            return slot.recycle();
        }
        let rest = slot.each_piece(hashed, &mut |piece| {
            sha256.update(piece);
            Ok(())
        });
        if let Err(error) = rest {
            // The bytes stay in the spool, and the next start tries again.
            return self.fail(&error, 0);
        }
        let all_here = slot.ranges() == end.ranges;
        let state =
            if all_here || end.state != UploadState::Complete { end.state } else { UploadState::Partial };
        let capture = Capture {
            attribution: self.attribution,
            upload: self.upload,
            origin: self.origin,
            state,
            total: end.total,
            ranges: slot.ranges().to_vec(),
            sha256: SampleId(sha256.finalize().into()),
            size: slot.len(),
        };
        match store.knows(capture.sha256) {
            Ok(true) => store.keep_known(capture, slot),
            Ok(false) => sealing.send(capture, slot),
            Err(error) => self.fail(&error, 0),
        }
    }
}

fn follows(first: &Piece, len: usize, next: &Piece) -> bool {
    !next.again && next.offset == first.offset + len as u64
}

fn same(slot: &Slot, offset: u64, bytes: &[u8]) -> io::Result<bool> {
    let mut held = vec![0; bytes.len()];
    slot.read(offset, &mut held)?;
    Ok(held == bytes)
}

/// Puts on record that payload could not be kept.
pub(super) fn tell_failure(store: &Store, whose: Attribution, upload: u32, error: String, bytes_lost: u64) {
    let event = Event::CaptureFailed { upload, error, bytes_lost };
    let changes = Changes::default();
    store.append_blocking(Batch {
        attribution: whose,
        events: vec![(wall_clock(), event)],
        changes,
        closing: None,
    });
}

/// Watches that payloads leave the journal room on the disk.
#[derive(Debug)]
pub(super) struct Space {
    reserve: u64,
    known: Mutex<Option<Known>>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    free: u64,
    at: Instant,
}

impl Space {
    pub(super) fn new(reserve: u64) -> Self {
        Self { reserve, known: Mutex::default() }
    }

    /// Takes `len` bytes of what is free above the reserve.
    fn claim(&self, store: &Store, len: usize) -> io::Result<()> {
        if self.reserve == 0 {
            return Ok(());
        }
        let mut known = super::lock(&self.known);
        let fresh = known.filter(|known| known.at.elapsed() < SPACE_EVERY);
        // A system that does not say how much is free is not held to it.
        let mut now = match fresh {
            Some(known) => known,
            None => Known { free: store.free_bytes().unwrap_or(u64::MAX), at: Instant::now() },
        };
        let enough = now.free.saturating_sub(len as u64) >= self.reserve;
        if enough {
            now.free -= len as u64;
        }
        *known = Some(now);
        if enough {
            return Ok(());
        }
        let what = format!("less than {} bytes of disk are free (capture.reserve_bytes)", self.reserve);
        Err(io::Error::new(io::ErrorKind::StorageFull, what))
    }
}
