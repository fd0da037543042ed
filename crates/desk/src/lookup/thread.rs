//! The thread in which look-ups are made: it shares nothing with capture but the disk.

use super::{Inquirer, Outcome, Step};
use roridula_proto::time::WallClock;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long to wait where there is nothing to ask: a few questions a minute are all that there may be.
const NAP: Duration = Duration::from_secs(2);
/// How many times as long as it works it rests.
const REST: u32 = 49;
/// How long to wait where the database or the journal cannot be used.
const TROUBLE: Duration = Duration::from_secs(60);

/// The running thread.
#[derive(Debug)]
pub struct LookupHandle {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// Starts it. What a person should know goes to `complain`: a refused key once, failures once a row.
pub fn spawn(mut inquirer: Inquirer, complain: impl Fn(&str) + Send + 'static) -> LookupHandle {
    let stop = Arc::new(AtomicBool::new(false));
    let stopping = stop.clone();
    let thread = thread::spawn(move || {
        let mut troubled = false;
        while !stopping.load(Ordering::Acquire) {
            let begun = Instant::now();
            let nap = match inquirer.step(clock()) {
                Ok(step) => {
                    troubled = false;
                    if let Some(text) = complaint(&step) {
                        complain(&text);
                    }
                    if step == Step::Idle { NAP } else { begun.elapsed().saturating_mul(REST).min(NAP) }
                }
                Err(error) => {
                    if !troubled {
                        complain(&format!("look-ups: {error}; tried again every minute"));
                    }
                    troubled = true;
                    TROUBLE
                }
            };
            thread::park_timeout(nap);
        }
    });
    LookupHandle { stop, thread }
}

/// What is worth a line in the log.
fn complaint(step: &Step) -> Option<String> {
    let Step::Asked(service, outcome) = step else { return None };
    let (name, section) = (service.name(), service.section());
    match outcome {
        Outcome::Refused(what) => Some(format!(
            "{name} refuses the key ({what}); it is not asked any more until the key changes ({} or {section}.key_file)",
            service.variable()
        )),
        Outcome::Failed(what, 1) => Some(format!("{name}: {what}; tried again later and later")),
        _ => None,
    }
}

/// The time of day.
pub(super) fn clock() -> WallClock {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallClock(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

impl LookupHandle {
    /// Ends it; a question that is out is left behind after `patience`. Says whether it has ended.
    pub fn stop(self, patience: Duration) -> bool {
        self.stop.store(true, Ordering::Release);
        let until = Instant::now() + patience;
        while !self.thread.is_finished() {
            if Instant::now() >= until {
                return false;
            }
            self.thread.thread().unpark();
            thread::park_timeout(Duration::from_millis(5));
        }
        self.thread.join().is_ok()
    }
}
