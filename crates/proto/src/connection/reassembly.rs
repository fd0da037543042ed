//! Transactions that come in several messages ([MS-CIFS] 3.3.5.42 and its kin).
//!
//! As Windows without the patch does, a SECONDARY of any kind continues the transaction that has its TID, PID,
//! UID and MID, and completion counts bytes: this is what the worm's exploit relies on to be answered.

use crate::event::Origin;
use crate::wire::reader::size;
use crate::wire::smb1::NT_TRANSACT;
use crate::wire::smb1::header::Header;
use crate::wire::smb1::trans::{Piece, Primary, Secondary};

/// A transaction that waits for more.
#[derive(Debug)]
pub(crate) struct Pending {
    key: (u16, u16, u16, u16),
    /// The command of its first request.
    pub(crate) command: u8,
    /// Whose its data are; `None` where the implant keeps them itself.
    pub(crate) origin: Option<Origin>,
    /// Its setup words.
    pub(crate) setup: Vec<u8>,
    /// NT_TRANSACT's function.
    pub(crate) function: u16,
    /// TRANSACTION2's Timeout.
    pub(crate) timeout: u32,
    /// Its parameters as far as they came.
    pub(crate) parameters: Vec<u8>,
    /// Its data as far as they came.
    pub(crate) data: Vec<u8>,
    total_parameters: u32,
    total_data: u32,
    counted_parameters: u32,
    counted_data: u32,
}

/// Why a transaction cannot be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A bound was met: its name and value.
    Limit(&'static str, u32),
    /// A SECONDARY without its first request.
    Unmatched,
}

/// The transactions of one connection that wait.
#[derive(Debug, Default)]
pub(crate) struct Reassembly {
    pending: Vec<Pending>,
}

/// What the requests of one transaction have in common: TID, PID, UID, MID.
pub(crate) fn key(header: &Header) -> (u16, u16, u16, u16) {
    (header.tid, header.pid, header.uid, header.mid)
}

fn put(buffer: &mut Vec<u8>, piece: &Piece<'_>) {
    let start = size(piece.displacement);
    let end = start.saturating_add(piece.bytes.len());
    if buffer.len() < end {
        // No more than arrived, so that the bound is on what is owned.
        buffer.reserve_exact(end.saturating_sub(buffer.len()));
        buffer.resize(end, 0);
    }
    if let Some(place) = buffer.get_mut(start..end) {
        place.copy_from_slice(piece.bytes);
    }
}

impl Pending {
    fn is_whole(&self) -> bool {
        self.counted_parameters >= self.total_parameters && self.counted_data >= self.total_data
    }

    /// Counts what is there, whatever a piece declares: a transaction that lies about its pieces is never whole.
    fn add(&mut self, parameters: &Piece<'_>, data: &Piece<'_>) {
        put(&mut self.parameters, parameters);
        if self.holds_data() {
            put(&mut self.data, data);
        }
        let here = |piece: &Piece<'_>| u32::try_from(piece.bytes.len()).unwrap_or(u32::MAX);
        self.counted_parameters = self.counted_parameters.saturating_add(here(parameters));
        self.counted_data = self.counted_data.saturating_add(here(data));
    }

    /// Whether anything here reads its data: no NT_TRANSACT is carried out, and the exploit's 64 KiB are kept as a
    /// sample, not in memory.
    fn holds_data(&self) -> bool {
        self.command != NT_TRANSACT
    }

    fn bytes(&self) -> usize {
        self.parameters.capacity().saturating_add(self.data.capacity()).saturating_add(self.setup.capacity())
    }

    /// The data announced, in bytes.
    pub(crate) fn declared_data(&self) -> u32 {
        self.total_data
    }
}

impl Reassembly {
    /// Holds a first request that is not whole.
    pub(crate) fn begin(
        &mut self,
        header: &Header,
        primary: &Primary<'_>,
        transactions_max: u32,
        bytes_max: u32,
    ) -> Result<(), Refusal> {
        if self.pending.len() >= size(transactions_max) {
            return Err(Refusal::Limit("transactions_max", transactions_max));
        }
        // Also where the data is not held: Windows has no room for such a one either.
        let total = u64::from(primary.total_parameters).saturating_add(u64::from(primary.total_data));
        if total > u64::from(bytes_max) {
            return Err(Refusal::Limit("reassembly_bytes_max", bytes_max));
        }
        let mut pending = Pending {
            key: key(header),
            command: header.command,
            origin: None,
            setup: primary.setup.to_vec(),
            function: primary.function,
            timeout: primary.timeout,
            parameters: Vec::new(),
            data: Vec::new(),
            total_parameters: primary.total_parameters,
            total_data: primary.total_data,
            counted_parameters: 0,
            counted_data: 0,
        };
        pending.add(&primary.parameters, &primary.data);
        self.pending.push(pending);
        Ok(())
    }

    /// Adds a SECONDARY; gives the transaction back when it is whole.
    pub(crate) fn proceed(
        &mut self,
        header: &Header,
        secondary: &Secondary<'_>,
        bytes_max: u32,
    ) -> Result<Option<Pending>, Refusal> {
        let at = self.pending.iter().position(|held| held.key == key(header)).ok_or(Refusal::Unmatched)?;
        let used: usize = self.pending.iter().map(Pending::bytes).fold(0, usize::saturating_add);
        let Some(pending) = self.pending.get_mut(at) else { return Err(Refusal::Unmatched) };
        let reach = |buffer: &Vec<u8>, piece: &Piece<'_>| {
            size(piece.displacement).saturating_add(piece.bytes.len()).saturating_sub(buffer.capacity())
        };
        let data = if pending.holds_data() { reach(&pending.data, &secondary.data) } else { 0 };
        let growth = reach(&pending.parameters, &secondary.parameters).saturating_add(data);
        if used.saturating_add(growth) > size(bytes_max) {
            return Err(Refusal::Limit("reassembly_bytes_max", bytes_max));
        }
        // A SECONDARY of the same kind may lower what was announced ([MS-CIFS] 2.2.4.34.1). One of another kind
        // cannot: the worm's TRANS2_SECONDARYs say 4096 each, and Windows waits for the 66,512 of its NT_TRANSACT.
        if header.command == pending.command.saturating_add(1) {
            pending.total_parameters = pending.total_parameters.min(secondary.total_parameters);
            pending.total_data = pending.total_data.min(secondary.total_data);
        }
        pending.add(&secondary.parameters, &secondary.data);
        Ok(if pending.is_whole() { Some(self.pending.remove(at)) } else { None })
    }

    /// The transaction that a request belongs to, if it is here.
    pub(crate) fn find_mut(&mut self, header: &Header) -> Option<&mut Pending> {
        self.pending.iter_mut().find(|held| held.key == key(header))
    }

    /// Everything that never became whole.
    pub(crate) fn take(&mut self) -> Vec<Pending> {
        std::mem::take(&mut self.pending)
    }

    /// Bytes owned.
    pub(crate) fn memory_used(&self) -> usize {
        let rows = self.pending.capacity().saturating_mul(size_of::<Pending>());
        self.pending.iter().map(Pending::bytes).fold(rows, usize::saturating_add)
    }
}
