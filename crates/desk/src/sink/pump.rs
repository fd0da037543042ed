//! From the journal to a sink.

use super::{Cursor, Sink, SinkError};
use roridula_evidence::{EventFilter, Reader};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

/// Events delivered at once.
const BATCH: usize = 512;
/// How long to wait for a wake-up before looking anyway.
const NAP: Duration = Duration::from_millis(500);
/// How many times as long as it works a pump in the background rests: it takes 2 % of a processor at most.
const REST: u32 = 49;
/// How long to wait after a failure, at first and at most.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

/// Delivers what comes after a sink's cursor.
pub struct Pump {
    reader: Reader,
    sink: Box<dyn Sink>,
    cursor: Cursor,
    background: bool,
}

impl std::fmt::Debug for Pump {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pump").field("sink", &self.sink.name()).field("cursor", &self.cursor).finish()
    }
}

impl Pump {
    /// A pump from `reader` to `sink`, from `cursor` on. Where the sink itself knows that it has a little more
    /// than the cursor says (killed between delivery and cursor), that is not told again.
    pub fn new(reader: Reader, sink: Box<dyn Sink>, mut cursor: Cursor) -> Result<Self, SinkError> {
        if let Some(has) = sink.has_up_to() {
            let ahead = has.saturating_sub(cursor.seq());
            // More than one batch ahead, or of events that do not exist: another journal's file.
            if (1..=BATCH as u64).contains(&ahead) && has <= reader.last_seq()? {
                cursor.advance(has)?;
            }
        }
        Ok(Self { reader, sink, cursor, background: false })
    }

    /// Rests far longer than it works: for a view that may be behind while a flood of visitors comes, and takes next to
    /// nothing from those who answer them. (No lower priority: whoever is put aside in the middle of reading the journal
    /// holds up its clean-up.)
    pub fn in_background(self) -> Self {
        Self { background: true, ..self }
    }

    /// Delivers one batch; says whether there was anything.
    pub fn step(&mut self) -> Result<bool, SinkError> {
        let page = self.reader.events(self.cursor.seq(), &EventFilter::default(), BATCH)?;
        if page.next == self.cursor.seq() {
            return Ok(false);
        }
        if !page.events.is_empty() {
            self.sink.deliver(&page.events)?;
        }
        self.cursor.advance(page.next)?;
        Ok(true)
    }

    /// Runs in a thread of its own until [`PumpHandle::stop`]. Failures go to `complain` (with whether it is the
    /// first of a row) and are tried again, later and later.
    pub fn spawn(self, complain: impl Fn(&str, &SinkError, bool) + Send + 'static) -> PumpHandle {
        let stop = Arc::new(AtomicBool::new(false));
        let gone = Arc::new(AtomicBool::new(false));
        let flags = (stop.clone(), gone.clone());
        let thread = thread::spawn(move || self.run(&flags.0, &flags.1, &complain));
        PumpHandle { stop, gone, thread }
    }

    fn run(mut self, stop: &AtomicBool, gone: &AtomicBool, complain: &dyn Fn(&str, &SinkError, bool)) {
        let mut wait = BACK_OFF.0;
        loop {
            // Read before stepping: what was appended before the stop is then delivered.
            let stopping = stop.load(Ordering::Acquire);
            let begun = Instant::now();
            match self.step() {
                Ok(true) => {
                    wait = BACK_OFF.0;
                    if self.background && !stopping {
                        thread::park_timeout(begun.elapsed() * REST);
                    }
                }
                Ok(false) if stopping => return,
                Ok(false) => thread::park_timeout(NAP),
                Err(SinkError::Gone) => {
                    gone.store(true, Ordering::Release);
                    return;
                }
                Err(error) => {
                    complain(self.sink.name(), &error, wait == BACK_OFF.0);
                    if stopping {
                        return;
                    }
                    thread::park_timeout(wait);
                    wait = (wait * 2).min(BACK_OFF.1);
                }
            }
        }
    }
}

/// A running [`Pump`].
#[derive(Debug)]
pub struct PumpHandle {
    stop: Arc<AtomicBool>,
    gone: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl PumpHandle {
    /// A handle that wakes the pump: there is something new.
    pub fn waker(&self) -> Thread {
        self.thread.thread().clone()
    }

    /// Whether the sink's reader has gone for good.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Delivers what is there, then ends. A sink that takes nothing any more (a pipe that nobody reads) is left
    /// behind after `patience`; says whether everything was delivered.
    pub fn stop(self, patience: Duration) -> bool {
        self.stop.store(true, Ordering::Release);
        let until = Instant::now() + patience;
        while !self.thread.is_finished() {
            if Instant::now() >= until {
                return false;
            }
            self.thread.thread().unpark();
            std::thread::park_timeout(Duration::from_millis(5));
        }
        // A panicked pump has been reported by the panic hook; there is nothing to add.
        self.thread.join().is_ok()
    }
}
