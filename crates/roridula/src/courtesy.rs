//! Courtesy: triage's workers and the console step aside while visitors keep the network loops busy.
//!
//! A low priority alone is not out of the way: whoever wakes up waits for the end of the slice of whoever runs, and a
//! visit is made of wake-ups. Priorities that never run beside others (`SCHED_IDLE`) would leave nothing to the children
//! for as long as a flood lasts. So they are stopped for most of the time of a flood, and go on for the rest of it.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio::runtime::RuntimeMetrics;

/// How often it is looked at how busy the network loops are.
const LOOK: Duration = Duration::from_millis(20);
/// In a flood, the children stand still for so long...
const REST: Duration = Duration::from_millis(180);
/// ... and then run for so long: a tenth of the time, so that triage and the console go on in a flood without end.
const TURN: Duration = Duration::from_millis(20);
/// The share of the processors' time that the network loops take from which on it is a flood.
const FLOOD: f64 = 0.2;

/// Processes of one owner that are started and not waited for yet: only those may be signalled, for afterwards the number
/// may be another's.
#[derive(Debug, Default)]
pub(crate) struct Children {
    running: Mutex<HashSet<i32>>,
    rested_ms: AtomicU64,
}

impl Children {
    /// One was started.
    pub(crate) fn hold(&self, pid: i32) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(pid);
    }

    /// One will be waited for.
    pub(crate) fn release(&self, pid: i32) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&pid);
    }

    /// Kills one, if it is held.
    pub(crate) fn kill(&self, pid: i32) {
        self.signal(Signal::SIGKILL, |held| held == pid);
    }

    /// Kills all.
    pub(crate) fn kill_all(&self) {
        self.signal(Signal::SIGKILL, |_| true);
    }

    /// How long they have stood still, all rests together: no time that was theirs.
    pub(crate) fn rested(&self) -> Duration {
        Duration::from_millis(self.rested_ms.load(Ordering::Relaxed))
    }

    fn signal(&self, signal: Signal, which: impl Fn(i32) -> bool) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        for pid in running.iter().copied().filter(|pid| which(*pid)) {
            // It may have ended just now.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }
}

/// Sees to it, until it is dropped; then all go on.
#[derive(Debug)]
pub(crate) struct Courtesy {
    over: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Courtesy {
    /// Starts it for these children, beside the network loops of this runtime.
    pub(crate) fn start(loops: RuntimeMetrics, children: Vec<Arc<Children>>) -> Self {
        let (over, until) = mpsc::channel();
        let thread = thread::spawn(move || {
            let mut load = Load::new(loops);
            let wait = |time| matches!(until.recv_timeout(time), Err(RecvTimeoutError::Timeout));
            let all = |signal| children.iter().for_each(|children| children.signal(signal, |_| true));
            let mut go_on = wait(LOOK);
            while go_on {
                if load.share() < FLOOD {
                    go_on = wait(LOOK);
                    continue;
                }
                let begun = Instant::now();
                all(Signal::SIGSTOP);
                go_on = wait(REST);
                all(Signal::SIGCONT);
                let rest = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
                for children in &children {
                    children.rested_ms.fetch_add(rest, Ordering::Relaxed);
                }
                go_on = go_on && wait(TURN);
            }
        });
        Self { over: Some(over), thread: Some(thread) }
    }
}

impl Drop for Courtesy {
    fn drop(&mut self) {
        self.over = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

/// How busy the threads of a runtime are.
struct Load {
    loops: RuntimeMetrics,
    busy: Duration,
    at: Instant,
}

impl Load {
    fn new(loops: RuntimeMetrics) -> Self {
        let busy = busy(&loops);
        Self { loops, busy, at: Instant::now() }
    }

    /// The share of all their time, since it was asked last, in which they had something to do: 0 to 1.
    fn share(&mut self) -> f64 {
        let (now, busy) = (Instant::now(), busy(&self.loops));
        let time = now.duration_since(self.at).as_secs_f64() * self.loops.num_workers() as f64;
        let share = busy.saturating_sub(self.busy).as_secs_f64() / time.max(f64::MIN_POSITIVE);
        (self.busy, self.at) = (busy, now);
        share
    }
}

fn busy(loops: &RuntimeMetrics) -> Duration {
    (0..loops.num_workers()).map(|number| loops.worker_total_busy_duration(number)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};
    use std::sync::atomic::AtomicBool;

    /// What the kernel says a process does: `T` is stopped.
    fn state(pid: i32) -> Option<char> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.chars().next()
    }

    fn until(what: &str, holds: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !holds() {
            assert!(Instant::now() < deadline, "{what}");
            thread::yield_now();
        }
    }

    #[test]
    fn children_rest_while_the_loops_are_busy_and_go_on_afterwards() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let children = Arc::new(Children::default());
        children.hold(pid);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let busy = Arc::new(AtomicBool::new(false));
        let courtesy = Courtesy::start(runtime.handle().metrics(), vec![Arc::clone(&children)]);

        let flood = Arc::clone(&busy);
        busy.store(true, Ordering::Relaxed);
        let visits = runtime.spawn(async move {
            while flood.load(Ordering::Relaxed) {
                tokio::task::yield_now().await;
            }
        });
        until("it never stops", || state(pid) == Some('T'));
        until("it never goes on in a flood", || state(pid) == Some('S'));
        until("it rests once only", || state(pid) == Some('T'));
        assert!(children.rested() >= REST);

        busy.store(false, Ordering::Relaxed);
        runtime.block_on(visits).unwrap();
        // From here on nothing is due but the end of the rest that was under way.
        until("it does not go on after the flood", || state(pid) == Some('S'));
        drop(courtesy);
        assert_eq!(state(pid), Some('S'));

        children.release(pid);
        children.kill_all();
        assert_eq!(state(pid), Some('S'), "one that is not held was killed");
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
    }
}
