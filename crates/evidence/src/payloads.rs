//! The bytes that a transcript refers to, out of the samples that they became.

use crate::kept;
use crate::samples::SampleId;
use roridula_proto::event::{ByteRange, Origin};
use roridula_proto::transcript::Payloads;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Samples that stay open between two reads: rebuilding one of its difference takes far longer than a read.
const OPEN_MAX: usize = 4;

/// The payload bytes of one connection's uploads, read from its samples.
#[derive(Debug)]
pub struct UploadPayloads {
    dir: PathBuf,
    parts: Vec<Part>,
    /// The samples read last, the latest at the end.
    open: Mutex<Vec<(SampleId, Arc<File>)>>,
}

/// One sample of an upload.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) upload: u32,
    pub(crate) origin: Origin,
    pub(crate) sample: SampleId,
    pub(crate) ranges: Vec<ByteRange>,
}

impl Part {
    /// Where bytes `offset..offset + len` of the upload are in the sample, which is its present ranges, one after
    /// the other.
    fn place(&self, offset: u64, len: u32) -> Option<u64> {
        let end = offset.checked_add(len.into())?;
        let mut at = 0;
        for range in &self.ranges {
            if range.start <= offset && end <= range.end {
                return Some(at + (offset - range.start));
            }
            at += range.len();
        }
        None
    }
}

impl UploadPayloads {
    pub(crate) fn new(dir: PathBuf, mut parts: Vec<Part>) -> Self {
        // What was kept besides comes last: the transcript means the bytes as they arrived first.
        parts.sort_by_key(|part| part.origin == Origin::DoublePulsarConflict);
        Self { dir, parts, open: Mutex::default() }
    }

    fn file(&self, sample: SampleId) -> Option<Arc<File>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = open.iter().position(|(id, _)| *id == sample) {
            let found = open.remove(at);
            let file = Arc::clone(&found.1);
            open.push(found);
            return Some(file);
        }
        let file = kept::open(&self.dir, sample)
            .inspect_err(|error| tracing::warn!(%error, "a payload cannot be read"))
            .ok()?;
        let file = Arc::new(file);
        if open.len() >= OPEN_MAX {
            open.remove(0);
        }
        open.push((sample, Arc::clone(&file)));
        Some(file)
    }
}

impl Payloads for UploadPayloads {
    fn read(&self, upload: u32, offset: u64, len: u32) -> Option<Vec<u8>> {
        self.parts.iter().filter(|part| part.upload == upload).find_map(|part| {
            let at = part.place(offset, len)?;
            let mut bytes = vec![0; usize::try_from(len).ok()?];
            self.file(part.sample)?.read_exact_at(&mut bytes, at).ok()?;
            Some(bytes)
        })
    }
}
