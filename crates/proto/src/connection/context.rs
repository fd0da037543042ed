//! What every handler is given: who we are, what time it is, where output goes.

use super::buffers::Buffers;
use super::watch::Watch;
use super::{Arch, Decoy, Opening, Output, SharedState};
use crate::event::{CloseReason, Event};
use crate::time::{Timestamp, WallClock};

/// What a connection counts.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Bytes received.
    pub(crate) bytes_in: u64,
    /// Bytes sent.
    pub(crate) bytes_out: u64,
    /// Events told.
    pub(crate) events: u32,
    /// Decisions told.
    pub(crate) decisions: u32,
    /// Events left out.
    pub(crate) events_dropped: u64,
    /// Numbers given to uploads and buffers.
    pub(crate) uploads: u32,
}

impl Tally {
    /// The next number for an upload or a buffer, from 1.
    pub(crate) fn next_upload(&mut self) -> u32 {
        self.uploads = self.uploads.saturating_add(1);
        self.uploads
    }
}

/// One step of a connection.
pub(crate) struct Context<'a> {
    pub(crate) decoy: &'a Decoy,
    pub(crate) opening: Opening,
    pub(crate) now: Timestamp,
    pub(crate) shared: &'a mut SharedState,
    pub(crate) tally: &'a mut Tally,
    pub(crate) watch: &'a mut Watch,
    pub(crate) buffers: &'a mut Buffers,
    pub(crate) output: &'a mut Output,
}

impl Context<'_> {
    /// Tells an event, within `limits.events_max`.
    pub(crate) fn tell(&mut self, event: Event) {
        self.watch.note(&event);
        if self.tally.events >= self.decoy.limits.events_max {
            self.tally.events_dropped = self.tally.events_dropped.saturating_add(1);
            return;
        }
        self.tally.events = self.tally.events.saturating_add(1);
        self.output.events.push((self.now, event));
    }

    /// Tells what was recognised or decided, within a bound of its own that is as large: noise does not hide an attack.
    pub(crate) fn tell_decision(&mut self, event: Event) {
        self.watch.note(&event);
        if self.tally.decisions >= self.decoy.limits.events_max {
            self.tally.events_dropped = self.tally.events_dropped.saturating_add(1);
            return;
        }
        self.tally.decisions = self.tally.decisions.saturating_add(1);
        self.output.events.push((self.now, event));
    }

    /// Tells an event that must not be left out: what was captured, and that the connection is over.
    pub(crate) fn tell_always(&mut self, event: Event) {
        self.watch.note(&event);
        self.output.events.push((self.now, event));
    }

    /// Tells that a bound was met.
    pub(crate) fn limit(&mut self, name: &str, value: u64) {
        self.tell(Event::LimitReached { limit: name.to_owned(), value });
    }

    /// Asks for the connection to be closed.
    pub(crate) fn close(&mut self, reason: CloseReason) {
        self.output.close.get_or_insert(reason);
    }

    /// The time of day.
    pub(crate) fn wall_clock(&self) -> WallClock {
        self.opening.at.at(self.now)
    }

    /// The longest text that an event shows, in bytes.
    pub(crate) fn text_max(&self) -> usize {
        usize::try_from(self.decoy.limits.text_bytes_max).unwrap_or(usize::MAX)
    }

    /// The implant's key seed in its present life.
    pub(crate) fn seed(&self, generation: u64) -> u32 {
        self.decoy.implant.key_seed.unwrap_or_else(|| self.decoy.identity.implant_seed(generation))
    }

    /// What marks of chunks are keyed with: unknown outside, the same in a replay on this install.
    pub(crate) fn mark_secret(&self) -> u64 {
        u64::from_le_bytes(self.decoy.identity.challenge(self.opening.id.0)) ^ u64::from(self.seed(0))
    }

    /// How the implant names its machine.
    pub(crate) fn arch(&self) -> &'static str {
        match self.decoy.implant.arch {
            Arch::X86 => "x86",
            Arch::X64 => "x64",
        }
    }
}
