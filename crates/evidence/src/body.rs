//! An event taken apart: what is the same every time, and the numbers that never are.
//!
//! A worm's events differ from visit to visit in a few numbers only (durations, seeds, multiplex ids). Taken
//! out, the rest is one row for ever. The row names the fields that its numbers go back into, so a later
//! version may choose others without touching what is written.

use crate::pack::{put_number, take_number};
use roridula_proto::event::Event;
use serde_json::Value;

/// A number that may be taken out of an event.
trait Number {
    /// Takes it, leaving zero.
    fn take(&mut self) -> u64;
}

impl Number for u16 {
    fn take(&mut self) -> u64 {
        std::mem::take(self).into()
    }
}

impl Number for u32 {
    fn take(&mut self) -> u64 {
        std::mem::take(self).into()
    }
}

impl Number for u64 {
    fn take(&mut self) -> u64 {
        std::mem::take(self)
    }
}

/// Takes from `event` the numbers that differ from visit to visit; gives their names, and appends their values.
///
/// A field that may be null is never taken: a body's shape must tell whether it is there.
pub(crate) fn take_numbers(event: &mut Event, out: &mut Vec<u8>) -> &'static str {
    macro_rules! take {
        ($($field:ident),+) => {{
            $( put_number(out, Number::take($field)); )+
            const NAMES: &str = concat!($(" ", stringify!($field)),+);
            NAMES.trim_ascii_start()
        }};
    }
    match event {
        Event::SensorStopped { connections } => take!(connections),
        Event::ConnectionRefused { count, .. } => take!(count),
        Event::ConnectionClosed { duration_us, bytes_in, bytes_out, .. } => {
            take!(duration_us, bytes_in, bytes_out)
        }
        Event::FrameUnfinished { claimed, arrived } => take!(claimed, arrived),
        Event::Smb1Negotiate { pid, mid, .. } => take!(pid, mid),
        Event::Smb1Write { offset, size, .. } => take!(offset, size),
        Event::Ms17010Probe { pid, mid, .. } => take!(pid, mid),
        Event::ImplantPing { timeout, mid, seed, .. } => take!(timeout, mid, seed),
        Event::ImplantKill { timeout, mid, .. } => take!(timeout, mid),
        Event::UploadStarted { timeout, mid, key: Some(key), .. } => take!(timeout, mid, key),
        Event::UploadStarted { timeout, mid, .. } => take!(timeout, mid),
        Event::UploadOddity { offset, value, .. } => take!(offset, value),
        _ => "",
    }
}

/// Puts numbers back into the event that `body` (its JSON) is without them.
pub(crate) fn put_numbers(body: &Value, names: &str, mut args: &[u8]) -> Option<Event> {
    let mut body = body.clone();
    let object = body.as_object_mut()?;
    for name in names.split_ascii_whitespace() {
        object.insert(name.to_owned(), Value::from(take_number(&mut args)?));
    }
    serde_json::from_value(body).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use roridula_proto::event::{Answer, CloseReason, KeySource, Reason};

    fn there_and_back(event: &Event) -> String {
        let mut rest = event.clone();
        let mut args = Vec::new();
        let names = take_numbers(&mut rest, &mut args);
        let text = serde_json::to_string(&rest).unwrap();
        assert_eq!(put_numbers(&serde_json::from_str(&text).unwrap(), names, &args).as_ref(), Some(event));
        text
    }

    #[test]
    fn an_event_comes_back_and_two_visits_share_a_body() {
        let closed = |duration_us, bytes_in| Event::ConnectionClosed {
            reason: CloseReason::PeerClosed,
            duration_us,
            bytes_in,
            bytes_out: 93,
            events_dropped: 0,
        };
        assert_eq!(there_and_back(&closed(123_456_789, 5_376_144)), there_and_back(&closed(1, 0)));
        let started = |key| Event::UploadStarted {
            upload: 1,
            answer: Answer::Present,
            reason: Reason::PolicyPresent,
            total: Some(5_272_328),
            key,
            key_source: KeySource::Seed,
            timeout: u32::MAX,
            mid: 66,
        };
        assert_eq!(there_and_back(&started(Some(0))), there_and_back(&started(Some(u32::MAX))));
        assert_ne!(there_and_back(&started(None)), there_and_back(&started(Some(7))));
        there_and_back(&Event::SensorStopped { connections: u64::MAX });
        there_and_back(&Event::LimitReached { limit: "uploads_max".to_owned(), value: 64 });
    }
}
