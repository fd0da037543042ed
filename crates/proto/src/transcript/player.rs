//! Running a transcript again, one input at a time.

use super::{Entry, PayloadGone, Payloads, REST_UPLOAD, ReplyTally, Transcript};
use crate::connection::{Connection, Decoy, Input, Output};
use crate::time::Timestamp;
use std::sync::Arc;

/// Bytes of what a transcript had no room for that are one input: how they are cut makes no difference.
const REST_PIECE: u32 = 32 * 1024;

/// Place and length of piece number `index` of a rest; `None` behind its end.
fn piece_of_rest(index: u32, offset: u64, len: u64) -> Option<(u64, u32)> {
    let before = u64::from(index).saturating_mul(u64::from(REST_PIECE));
    let left = len.checked_sub(before).filter(|&left| left > 0)?;
    let piece = u32::try_from(left).unwrap_or(REST_PIECE).min(REST_PIECE);
    Some((offset.saturating_add(before), piece))
}

/// Which input comes next.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    entry: usize,
    /// Within a run, or which piece of a rest.
    message: u32,
}

impl Transcript {
    /// Hands out the input at `place` and moves on; `false` where there is none left.
    pub(super) fn input_at(
        &self,
        place: &mut Place,
        payloads: &dyn Payloads,
        visit: &mut dyn FnMut(Timestamp, Input<'_>),
    ) -> Result<bool, PayloadGone> {
        while let Some(entry) = self.entries.get(place.entry) {
            if let Entry::Run(run) = entry
                && place.message < run.count
            {
                let offset = u64::from(run.offset_of(place.message));
                let gone = PayloadGone { upload: run.upload, offset, len: run.len };
                let payload = payloads.read(run.upload, offset, run.len).ok_or(gone)?;
                let message = run.message(place.message, &payload);
                visit(run.time_of(place.message), Input::Bytes(&message));
                place.message = place.message.saturating_add(1);
                return Ok(true);
            }
            if let Entry::Rest { at, offset, len } = *entry
                && let Some((offset, len)) = piece_of_rest(place.message, offset, len)
            {
                let gone = PayloadGone { upload: REST_UPLOAD, offset, len };
                visit(at, Input::Bytes(&payloads.read(REST_UPLOAD, offset, len).ok_or(gone)?));
                place.message = place.message.saturating_add(1);
                return Ok(true);
            }
            let next = Place { entry: place.entry.saturating_add(1), message: 0 };
            match entry {
                Entry::Bytes { at, bytes } => visit(*at, Input::Bytes(bytes)),
                Entry::Shared { at, state } => visit(*at, Input::Shared(*state)),
                Entry::Tick { at } => visit(*at, Input::Tick),
                Entry::Ended { at, ending } => visit(*at, Input::Ended(*ending)),
                Entry::Truncated => return Ok(false),
                Entry::Run(_) | Entry::Rest { .. } => {
                    *place = next;
                    continue;
                }
            }
            *place = next;
            return Ok(true);
        }
        Ok(false)
    }
}

/// Runs a transcript through today's code at its caller's pace: several can be run side by side, and each holds
/// no more than its connection and one step.
#[derive(Debug)]
pub struct Player<'t> {
    transcript: &'t Transcript,
    place: Place,
    connection: Connection,
    output: Output,
    tally: ReplyTally,
}

impl<'t> Player<'t> {
    /// `transcript` from its beginning, under the settings that it records and `base`'s identity.
    pub fn new(transcript: &'t Transcript, base: &Decoy) -> Self {
        let connection = Connection::new(Arc::new(transcript.decoy(base)), transcript.opening());
        let (place, output, tally) = (Place::default(), Output::default(), ReplyTally::default());
        Self { transcript, place, connection, output, tally }
    }

    /// The next input: `visit` sees it and its output. `false` where there is none left.
    pub fn step(
        &mut self,
        payloads: &dyn Payloads,
        visit: &mut dyn FnMut(Timestamp, &Input<'_>, &Output),
    ) -> Result<bool, PayloadGone> {
        let Self { transcript, place, connection, output, tally } = self;
        transcript.input_at(place, payloads, &mut |now, input| {
            output.clear();
            connection.handle(now, input, output);
            tally.add(output);
            visit(now, &input, output);
        })
    }

    /// The connection after its last input, and how many replies with which digest it gave.
    pub(super) fn finish(self) -> (Connection, ReplyTally) {
        (self.connection, self.tally)
    }
}
