//! The view for everybody else, while the honeypot runs.

use crate::StoreError;
use crate::published::Published;
use crate::samples::SampleId;
use crate::view::{CaptureView, ConnectionView, SampleView};
use roridula_proto::connection::ConnectionId;
use roridula_proto::transcript::Payloads;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// Which events are asked for; an empty filter is all of them.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Event ids, any of which fits; one that ends in `.` fits all that begin with it. Empty: all.
    pub ids: Vec<String>,
    /// Only of this connection.
    pub connection: Option<ConnectionId>,
    /// Only of this visitor.
    pub source: Option<IpAddr>,
}

/// Some events, and where to go on.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// In the order of the journal.
    pub events: Vec<Published>,
    /// The `seq` up to which the journal was looked through: the `after` of the next call. Unchanged when there
    /// was nothing new.
    pub next: u64,
}

/// A read-only view of a data directory.
#[derive(Debug)]
pub struct Reader {
    dir: PathBuf,
}

impl Reader {
    /// Opens the journal in `dir`. Fails with [`StoreError::Missing`] where there is none.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        Ok(Self { dir: dir.to_owned() })
    }

    /// At most `limit` events with a `seq` above `after` that fit `filter`.
    pub fn events(&self, after: u64, filter: &EventFilter, limit: usize) -> Result<Page, StoreError> {
        let _ = (filter, limit);
        Ok(Page { events: Vec::new(), next: after })
    }

    /// The `seq` of the latest event, 0 when there is none.
    pub fn last_seq(&self) -> Result<u64, StoreError> {
        Ok(0)
    }

    /// All samples, the first seen first.
    pub fn samples(&self) -> Result<Vec<SampleView>, StoreError> {
        Ok(Vec::new())
    }

    /// The sample whose SHA-256 is or begins with `prefix`.
    pub fn sample(&self, prefix: &str) -> Result<Option<SampleView>, StoreError> {
        let _ = prefix;
        Ok(None)
    }

    /// At most `limit` samples that triage has not looked at, the first seen first.
    pub fn untriaged(&self, limit: usize) -> Result<Vec<SampleView>, StoreError> {
        let _ = limit;
        Ok(Vec::new())
    }

    /// Every capture of a sample, in order.
    pub fn captures(&self, sample: SampleId) -> Result<Vec<CaptureView>, StoreError> {
        let _ = sample;
        Ok(Vec::new())
    }

    /// Where a sample's bytes are.
    pub fn sample_path(&self, sample: SampleId) -> PathBuf {
        sample.path(&self.dir)
    }

    /// The latest `limit` connections, of `source` only if given, the latest first.
    pub fn connections(
        &self,
        source: Option<IpAddr>,
        limit: usize,
    ) -> Result<Vec<ConnectionView>, StoreError> {
        let _ = (source, limit);
        Ok(Vec::new())
    }

    /// One connection.
    pub fn connection(&self, id: ConnectionId) -> Result<Option<ConnectionView>, StoreError> {
        let _ = id;
        Ok(None)
    }

    /// A connection's transcript, if one was kept.
    pub fn transcript(&self, id: ConnectionId) -> Result<Option<String>, StoreError> {
        let _ = id;
        Ok(None)
    }

    /// The payload bytes of a connection's uploads, as its transcript refers to them.
    pub fn payloads(&self, id: ConnectionId) -> Result<UploadPayloads, StoreError> {
        let _ = id;
        Ok(UploadPayloads {})
    }
}

/// The payload bytes of one connection's uploads, read from its samples.
#[derive(Debug)]
pub struct UploadPayloads {}

impl Payloads for UploadPayloads {
    fn read(&self, upload: u32, offset: u64, len: u32) -> Option<Vec<u8>> {
        let _ = (upload, offset, len);
        None
    }
}
