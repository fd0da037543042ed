//! The live view: one readable line a stage, for each visitor.

use crate::cli::out::{self, Paint};
use roridula_desk::story::{self, Weight};
use roridula_evidence::Published;
use roridula_proto::connection::ConnectionId;
use roridula_proto::event::Event;
use roridula_proto::time::WallClock;
use roridula_sensor::UploadProgress;
use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

/// A line of progress for one upload after this time…
const PROGRESS_EVERY: Duration = Duration::from_secs(1);
/// …or when so much more of it is here.
const PROGRESS_PERCENT: u128 = 25;
/// Lines that are there at once are written at once, up to about this much.
const BATCH_BYTES_MAX: usize = 16 * 1024;
/// Uploads whose last line is remembered.
const UPLOADS_MAX: usize = 4096;

/// Prints events and progress until both have ended or standard output is gone.
pub(crate) async fn show(
    mut events: Receiver<Arc<Published>>,
    mut progress: Receiver<UploadProgress>,
    verbose: bool,
) {
    let mut view = View { paint: Paint::detect(), verbose, shown: HashMap::new() };
    let mut uploading = true;
    loop {
        let line = tokio::select! {
            event = events.recv() => match event {
                Ok(event) => view.event(&event),
                Err(RecvError::Lagged(missed)) => Some(format!("… {missed} events not shown; all are in the journal")),
                Err(RecvError::Closed) => return,
            },
            step = progress.recv(), if uploading => match step {
                Ok(step) => view.progress(&step),
                Err(RecvError::Lagged(_)) => None,
                Err(RecvError::Closed) => { uploading = false; None }
            },
        };
        let Some(mut text) = line else { continue };
        text.push('\n');
        // A flood is written in large pieces: a system call and a wake-up for each line would cost more than
        // the visitors themselves.
        while text.len() < BATCH_BYTES_MAX
            && let Ok(event) = events.try_recv()
        {
            if let Some(line) = view.event(&event) {
                text.push_str(&line);
                text.push('\n');
            }
        }
        if std::io::stdout().lock().write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

struct View {
    paint: Paint,
    verbose: bool,
    shown: HashMap<(ConnectionId, u32), Shown>,
}

/// What was last shown of an upload.
struct Shown {
    at: Instant,
    percent: u128,
}

impl View {
    fn event(&mut self, event: &Published) -> Option<String> {
        match (&event.event, event.connection) {
            (Event::UploadStarted { upload, .. }, Some(connection)) => {
                if self.shown.len() >= UPLOADS_MAX {
                    self.shown.clear();
                }
                self.shown.insert((connection, *upload), Shown { at: Instant::now(), percent: 0 });
            }
            (Event::UploadFinished { upload, .. }, Some(connection)) => {
                self.shown.remove(&(connection, *upload));
            }
            _ => {}
        }
        // The binary prints its own words at start and stop.
        let own = matches!(event.event, Event::SensorStarted { .. } | Event::SensorStopped { .. });
        let wanted = self.verbose || story::weight(&event.event) > Weight::Detail;
        (wanted && !own).then(|| out::event_line(self.paint, event))
    }

    /// A line of progress, if it is time for one: not before the upload's first line, which comes by the journal.
    fn progress(&mut self, step: &UploadProgress) -> Option<String> {
        let (connection, upload) = (step.attribution.connection, step.progress.upload);
        let shown = self.shown.get_mut(&(connection, upload))?;
        let got = step.progress.received;
        let percent = match step.progress.total {
            Some(total) if total > 0 => u128::from(got.min(total)) * 100 / u128::from(total),
            _ => 0,
        };
        let now = Instant::now();
        if now.duration_since(shown.at) < PROGRESS_EVERY && percent < shown.percent + PROGRESS_PERCENT {
            return None;
        }
        *shown = Shown { at: now, percent };
        let text = match step.progress.total {
            Some(total) => {
                format!("upload {upload} {percent} % ({} of {})", story::size(got), story::size(total))
            }
            None => format!("upload {upload} {}", story::size(got)),
        };
        let source = step.attribution.source;
        let source = std::net::SocketAddr::new(source.ip().to_canonical(), source.port()).to_string();
        Some(out::told(self.paint, wall_clock(), &source, &out::short(connection), Weight::Attack, &text))
    }
}

fn wall_clock() -> WallClock {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallClock(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
