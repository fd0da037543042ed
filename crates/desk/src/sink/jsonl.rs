//! The events as a file of JSON lines, rotated without a restart.

use super::{Sink, SinkError};
use roridula_evidence::Published;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// When a new file is begun, and how many old ones stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Size in bytes that a file does not exceed (one line may); 0: never rotated from here.
    pub bytes_max: u64,
    /// Old files kept as `PATH.1` (the latest) to `PATH.N`.
    pub keep: u32,
}

/// The sink. It looks before every batch whether its file is still at its path: one that was renamed or removed
/// (logrotate) is left alone and a new one begun.
#[derive(Debug)]
pub struct JsonLines {
    path: PathBuf,
    rotation: Rotation,
    reopen: Arc<AtomicBool>,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    identity: (u64, u64),
    size: u64,
}

/// A last line longer than this is not looked at to find where the file ends.
const TAIL: u64 = 256 * 1024;

impl JsonLines {
    /// The sink for `path`. The file is opened, or made (mode 0640), at the first delivery. Setting `reopen` makes
    /// the next delivery open it anew.
    pub fn new(path: &Path, rotation: Rotation, reopen: Arc<AtomicBool>) -> Self {
        Self { path: path.to_owned(), rotation, reopen, open: None }
    }

    fn error(&self, doing: &'static str) -> impl FnOnce(std::io::Error) -> SinkError {
        let path = self.path.clone();
        move |source| SinkError::Io { doing, path, source }
    }

    /// The file, if it is still the one at the path; else a new one.
    fn ready(&mut self) -> Result<&mut Open, SinkError> {
        let reopen = self.reopen.swap(false, Ordering::Relaxed);
        let there = fs::metadata(&self.path).ok().map(|meta| (meta.dev(), meta.ino()));
        if reopen || there.is_none() || self.open.as_ref().map(|open| open.identity) != there {
            self.open = None;
        }
        match self.open {
            Some(ref mut open) => Ok(open),
            None => {
                let open = open(&self.path).map_err(self.error("open"))?;
                Ok(self.open.insert(open))
            }
        }
    }

    /// `PATH` becomes `PATH.1`, that becomes `PATH.2`, …; the last one goes.
    fn rotate(&mut self) -> Result<(), SinkError> {
        self.open = None;
        let numbered = |n: u32| PathBuf::from(format!("{}.{n}", self.path.display()));
        if self.rotation.keep == 0 {
            return fs::remove_file(&self.path).map_err(self.error("remove"));
        }
        for n in (1..self.rotation.keep).rev() {
            match fs::rename(numbered(n), numbered(n + 1)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(self.error("rotate")(error)),
                _ => {}
            }
        }
        fs::rename(&self.path, numbered(1)).map_err(self.error("rotate"))
    }

    fn append(&mut self, text: &str) -> Result<(), SinkError> {
        let open = self.ready()?;
        match open.file.write_all(text.as_bytes()) {
            Ok(()) => {
                open.size += text.len() as u64;
                Ok(())
            }
            Err(error) => {
                // A full disk may have taken half a line: the batch comes again, so take it back.
                let _ = open.file.set_len(open.size);
                self.open = None;
                Err(self.error("write")(error))
            }
        }
    }
}

impl Sink for JsonLines {
    fn name(&self) -> &str {
        "jsonl"
    }

    fn deliver(&mut self, batch: &[Published]) -> Result<(), SinkError> {
        let mut text = String::new();
        let max = self.rotation.bytes_max;
        for event in batch {
            let line = event.to_json() + "\n";
            let size = self.ready()?.size;
            let after = size + (text.len() + line.len()) as u64;
            if max > 0 && after > max && size + text.len() as u64 > 0 {
                self.append(&text)?;
                text.clear();
                self.rotate()?;
            }
            text.push_str(&line);
        }
        self.append(&text)
    }

    fn has_up_to(&self) -> Option<u64> {
        let mut file = File::open(&self.path).ok()?;
        let size = file.metadata().ok()?.len();
        file.seek(SeekFrom::Start(size.saturating_sub(TAIL))).ok()?;
        let mut tail = Vec::new();
        file.read_to_end(&mut tail).ok()?;
        // Only a line that has its end is whole.
        let whole = tail
            .strip_suffix(b"\n")
            .or_else(|| tail.iter().rposition(|&byte| byte == b'\n').map(|at| &tail[..at]))?;
        let last = whole.rsplit(|&byte| byte == b'\n').next()?;
        serde_json::from_slice::<serde_json::Value>(last).ok()?.get("seq")?.as_u64()
    }
}

/// Opens for appending; a half line that a kill left gets its end, so that the next line stands alone.
fn open(path: &Path) -> std::io::Result<Open> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o640).open(path)?;
    let meta = file.metadata()?;
    let mut size = meta.len();
    if size > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
            size += 1;
        }
    }
    Ok(Open { file, identity: (meta.dev(), meta.ino()), size })
}

#[cfg(test)]
mod tests {
    use super::*;
    use roridula_proto::event::Event;
    use roridula_proto::time::WallClock;

    fn events(seqs: std::ops::Range<u64>) -> Vec<Published> {
        let event = |seq| Published {
            seq,
            time: WallClock(seq),
            sensor: "s".into(),
            connection: None,
            source: None,
            destination: None,
            event: Event::SensorStopped { connections: seq },
        };
        seqs.map(event).collect()
    }

    fn seqs(path: &Path) -> Vec<u64> {
        let text = fs::read_to_string(path).unwrap();
        let seq = |line| serde_json::from_str::<serde_json::Value>(line).unwrap()["seq"].as_u64().unwrap();
        text.lines().map(seq).collect()
    }

    fn sink(path: &Path, bytes_max: u64, keep: u32) -> JsonLines {
        JsonLines::new(path, Rotation { bytes_max, keep }, Arc::default())
    }

    #[test]
    fn a_file_renamed_away_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let (path, away) = (dir.path().join("e.jsonl"), dir.path().join("away"));
        let mut sink = sink(&path, 0, 0);
        sink.deliver(&events(1..3)).unwrap();
        fs::rename(&path, &away).unwrap();
        sink.deliver(&events(3..4)).unwrap();
        fs::remove_file(&path).unwrap();
        sink.deliver(&events(4..6)).unwrap();
        assert_eq!((seqs(&away), seqs(&path)), (vec![1, 2], vec![4, 5]));
    }

    #[test]
    fn it_rotates_by_size_and_keeps_so_many() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("e.jsonl");
        let line = events(1..2)[0].to_json().len() as u64 + 1;
        let mut sink = sink(&path, 2 * line, 2);
        sink.deliver(&events(1..8)).unwrap();
        let old = |n| seqs(&dir.path().join(format!("e.jsonl.{n}")));
        assert_eq!((seqs(&path), old(1), old(2)), (vec![7], vec![5, 6], vec![3, 4]));
        assert!(!dir.path().join("e.jsonl.3").exists());
    }

    #[test]
    fn half_a_line_is_ended_and_the_last_whole_one_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("e.jsonl");
        let mut first = sink(&path, 0, 0);
        assert_eq!(first.has_up_to(), None);
        first.deliver(&events(1..4)).unwrap();
        assert_eq!(first.has_up_to(), Some(3));
        let mut text = fs::read_to_string(&path).unwrap();
        text.push_str("{\"seq\":4,\"half");
        fs::write(&path, &text).unwrap();
        let mut again = sink(&path, 0, 0);
        assert_eq!(again.has_up_to(), Some(3));
        again.deliver(&events(4..5)).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().last().unwrap(), events(4..5)[0].to_json());
    }
}
