//! JSON lines into any writer: standard output, a pipe.

use super::{Sink, SinkError};
use roridula_evidence::Published;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

/// Writes each event as one line and flushes after each batch.
#[derive(Debug)]
pub struct Lines<W> {
    name: String,
    to: W,
}

impl<W: Write + Send> Lines<W> {
    /// A sink called `name` that writes to `to`.
    pub fn new(name: &str, to: W) -> Self {
        Self { name: name.to_owned(), to }
    }
}

impl<W: Write + Send> Sink for Lines<W> {
    fn name(&self) -> &str {
        &self.name
    }

    fn deliver(&mut self, batch: &[Published]) -> Result<(), SinkError> {
        let mut text = String::new();
        for event in batch {
            text.push_str(&event.to_json());
            text.push('\n');
        }
        let written = self.to.write_all(text.as_bytes()).and_then(|()| self.to.flush());
        written.map_err(|source| match source.kind() {
            ErrorKind::BrokenPipe => SinkError::Gone,
            _ => SinkError::Io { doing: "write", path: PathBuf::from(&self.name), source },
        })
    }
}
