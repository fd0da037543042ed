//! The console's process from inside.

use super::serve::{self, Serving};
use super::{LINE_BYTES_MAX, Told};
use crate::sandbox;
use roridula_desk::console::ConsoleSettings;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::ExitCode;

/// The first line on its standard input.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Opening {
    settings: ConsoleSettings,
}

impl Opening {
    /// As the line that it is.
    pub(super) fn line(settings: &ConsoleSettings) -> String {
        let opening = Self { settings: settings.clone() };
        // Numbers, texts and paths; a path that is no text is refused by the child.
        serde_json::to_string(&opening).unwrap_or_default()
    }
}

/// Serves until its standard input is closed.
pub(crate) fn child(data: &Path) -> ExitCode {
    let told = match begin(data) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(what) => Told::Failed(what),
    };
    // Who is not heard ends all the same.
    let _ = tell(&told);
    ExitCode::FAILURE
}

fn begin(data: &Path) -> Result<(), String> {
    sandbox::stand_back().map_err(|error| error.to_string())?;
    let mut line = String::new();
    let stdin = std::io::stdin();
    let read = BufReader::new(stdin.take(LINE_BYTES_MAX)).read_line(&mut line);
    read.map_err(|error| format!("its settings cannot be read: {error}"))?;
    let opening: Opening = serde_json::from_str(&line).map_err(|error| format!("its settings: {error}"))?;
    let (ended, end) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        // Nothing more comes but the end.
        let _ = std::io::stdin().lock().read(&mut [0; 1]);
        let _ = ended.send(());
    });
    let serving = |serving: &Serving| tell(&Told::Serving(serving.clone()));
    serve::serve(&opening.settings, data, end, serving)
}

fn tell(told: &Told) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(told)?)?;
    out.flush()
}
