//! What looks on while a connection runs, and never changes what is answered.

use super::context::Context;
use super::{SharedChange, implant};
use crate::event::Event;
use crate::exploit::{self, Recognisers, Sight};
use crate::fingerprint::Observer;

/// The lookers-on of one connection.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    recognisers: Recognisers,
    /// Made at the first frame: most connections of a scan bring none.
    notes: Option<Box<Notes>>,
    /// Whether an upload has taken the present message's bytes, kept or known already.
    pub(crate) claimed: bool,
}

/// What was seen so far.
#[derive(Debug, Default)]
struct Notes {
    observer: Observer,
    /// What was recognised, each once.
    recognised: Vec<String>,
}

impl Watch {
    /// Who takes the fingerprint.
    pub(crate) fn observer(&mut self) -> &mut Observer {
        &mut self.notes.get_or_insert_default().observer
    }

    /// Notes what an event says was recognised.
    pub(crate) fn note(&mut self, event: &Event) {
        if let Some(name) = exploit::recognised(event) {
            let recognised = &mut self.notes.get_or_insert_default().recognised;
            if !recognised.iter().any(|held| held == name) {
                recognised.push(name.to_owned());
            }
        }
    }

    /// The fingerprint of what was seen; `None` where nothing came.
    pub(crate) fn fingerprint(&mut self) -> Option<Event> {
        self.notes.take().map(|notes| notes.observer.finish(notes.recognised))
    }

    /// Bytes owned.
    pub(crate) fn memory_used(&self) -> usize {
        let Some(notes) = &self.notes else { return 0 };
        let rows = notes.recognised.capacity().saturating_mul(size_of::<String>());
        let own = size_of::<Notes>().saturating_add(rows).saturating_add(notes.observer.memory_used());
        notes.recognised.iter().map(String::capacity).fold(own, usize::saturating_add)
    }
}

impl Context<'_> {
    /// Shows the recognisers a message, transaction or frame that stands at `stream_at`, and carries out what follows.
    /// Says whether its bytes are an exploit's own.
    pub(crate) fn show(&mut self, sight: &Sight<'_>, stream_at: u64) -> bool {
        let mut carries = false;
        for finding in self.watch.recognisers.see(sight) {
            carries |= finding.carries;
            let exploit = finding.exploit.to_owned();
            self.tell_decision(Event::ExploitStep {
                exploit: exploit.clone(),
                step: finding.step.to_owned(),
                grounds: finding.grounds,
                stream_at,
                size: finding.size,
            });
            if finding.completes {
                // A fresh implant is in memory, whatever removed an earlier one.
                (self.shared.exploited, self.shared.dormant) = (true, false);
                self.output.changes.push(SharedChange::Exploited);
                let (answer, reason) = implant::decide(self);
                self.tell_decision(Event::ExploitCompleted { exploit, answer, reason, stream_at });
            }
        }
        carries
    }
}
