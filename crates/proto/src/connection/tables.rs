//! Bounded tables of Sessions, TreeConnects and Opens, with the identifiers that Windows gives.

/// Values by a 16-bit identifier. The lowest free identifier from the table's first one is given, as Windows
/// gives it: 0x0800 for a connection's first UID and TID, 0x4000 for its first FID.
#[derive(Debug)]
pub(crate) struct Table<T> {
    first: u16,
    max: usize,
    rows: Vec<(u16, T)>,
}

/// First UID and TID of every connection.
pub(crate) const FIRST_UID_TID: u16 = 0x0800;
/// First FID of every connection.
pub(crate) const FIRST_FID: u16 = 0x4000;

impl<T> Table<T> {
    /// An empty table of at most `max` values.
    pub(crate) fn new(first: u16, max: u32) -> Self {
        Self { first, max: usize::try_from(max).unwrap_or(usize::MAX), rows: Vec::new() }
    }

    /// Adds a value and gives its identifier; `None` where the table is full.
    pub(crate) fn insert(&mut self, value: T) -> Option<u16> {
        if self.rows.len() >= self.max {
            return None;
        }
        let id = (self.first..=u16::MAX).find(|id| self.get(*id).is_none())?;
        self.rows.push((id, value));
        Some(id)
    }

    /// The value of an identifier.
    pub(crate) fn get(&self, id: u16) -> Option<&T> {
        self.rows.iter().find(|(held, _)| *held == id).map(|(_, value)| value)
    }

    /// The value of an identifier, to be changed.
    pub(crate) fn get_mut(&mut self, id: u16) -> Option<&mut T> {
        self.rows.iter_mut().find(|(held, _)| *held == id).map(|(_, value)| value)
    }

    /// Takes a value out.
    pub(crate) fn remove(&mut self, id: u16) -> Option<T> {
        let at = self.rows.iter().position(|(held, _)| *held == id)?;
        Some(self.rows.remove(at).1)
    }

    /// The values.
    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.rows.iter().map(|(_, value)| value)
    }

    /// Bytes owned by the table itself.
    pub(crate) fn memory_used(&self) -> usize {
        self.rows.capacity().saturating_mul(size_of::<(u16, T)>())
    }
}

/// A UID.
#[derive(Debug, Default)]
pub(crate) struct Session {
    /// The client announced CAP_STATUS32.
    pub(crate) knows_nt_status: bool,
    /// The logon is over, and it may connect trees.
    pub(crate) logged_on: bool,
}

/// A FID: a message pipe.
#[derive(Debug, Default)]
pub(crate) struct Open {
    /// The pipe's name.
    pub(crate) pipe: String,
    /// What the pipe will say when it is read.
    pub(crate) waiting: Vec<u8>,
}

impl Open {
    /// Bytes owned besides the value itself.
    pub(crate) fn memory_used(&self) -> usize {
        self.pipe.capacity().saturating_add(self.waiting.capacity())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_start_where_windows_starts_and_are_used_again() {
        let mut table = Table::new(FIRST_UID_TID, 2);
        assert_eq!(table.insert('a'), Some(0x0800));
        assert_eq!(table.insert('b'), Some(0x0801));
        assert_eq!(table.insert('c'), None);
        assert_eq!(table.remove(0x0800), Some('a'));
        assert_eq!(table.insert('d'), Some(0x0800));
        assert_eq!(table.get(0x0801), Some(&'b'));
    }
}
