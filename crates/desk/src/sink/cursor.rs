//! How far a sink has been told.

use super::SinkError;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A place in the journal, kept in `DIR/desk/NAME.cursor` as a decimal number, or only in memory.
#[derive(Debug)]
pub struct Cursor {
    path: Option<PathBuf>,
    seq: u64,
}

impl Cursor {
    /// The cursor of the sink `name` below the data directory `dir`; 0, the beginning, where there is none yet.
    /// What cannot be read as a number counts as none: the sink is then told again.
    pub fn open(dir: &Path, name: &str) -> Result<Self, SinkError> {
        let desk = dir.join("desk");
        let io = |doing, path: &Path| {
            let path = path.to_owned();
            move |source| SinkError::Io { doing, path, source }
        };
        fs::create_dir_all(&desk).map_err(io("create", &desk))?;
        let path = desk.join(format!("{name}.cursor"));
        let seq = match fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().unwrap_or(0),
            Err(error) if error.kind() == ErrorKind::NotFound => 0,
            Err(error) => return Err(io("read", &path)(error)),
        };
        Ok(Self { path: Some(path), seq })
    }

    /// A cursor that is forgotten with the process, behind the event `seq`.
    pub fn in_memory(seq: u64) -> Self {
        Self { path: None, seq }
    }

    /// The `seq` of the last event delivered.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Everything up to `seq` was delivered. Renamed into place, so that a kill leaves the old or the new value;
    /// not synced, because losing the last steps only repeats them.
    pub fn advance(&mut self, seq: u64) -> Result<(), SinkError> {
        self.seq = seq;
        let Some(path) = &self.path else { return Ok(()) };
        let fresh = path.with_extension("cursor.new");
        let written = fs::write(&fresh, format!("{seq}\n")).and_then(|()| fs::rename(&fresh, path));
        written.map_err(|source| SinkError::Io { doing: "write", path: path.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_found_again_and_damage_means_the_beginning() {
        let dir = tempfile::tempdir().unwrap();
        let mut cursor = Cursor::open(dir.path(), "a").unwrap();
        assert_eq!(cursor.seq(), 0);
        cursor.advance(42).unwrap();
        assert_eq!(Cursor::open(dir.path(), "a").unwrap().seq(), 42);
        assert_eq!(Cursor::open(dir.path(), "b").unwrap().seq(), 0);
        fs::write(dir.path().join("desk/a.cursor"), "x").unwrap();
        assert_eq!(Cursor::open(dir.path(), "a").unwrap().seq(), 0);
    }
}
