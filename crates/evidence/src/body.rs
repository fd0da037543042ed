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
    /// Puts it back.
    fn put(&mut self, value: u64);
}

macro_rules! numbers {
    ($($ty:ty),+) => { $(impl Number for $ty {
        fn take(&mut self) -> u64 {
            std::mem::take(self).into()
        }

        fn put(&mut self, value: u64) {
            *self = Self::try_from(value).unwrap_or(Self::MAX);
        }
    })+ };
}

numbers!(u16, u32, u64);

/// Shows `visit` the numbers of `event` that differ from visit to visit, and gives their names.
///
/// A field that may be null is shown only where it is there: a body's shape must tell whether it is.
fn each_number(event: &mut Event, visit: &mut dyn FnMut(&mut dyn Number)) -> &'static str {
    macro_rules! show {
        ($($field:ident),+) => {{
            $( visit($field); )+
            const NAMES: &str = concat!($(" ", stringify!($field)),+);
            NAMES.trim_ascii_start()
        }};
    }
    match event {
        Event::SensorStopped { connections } => show!(connections),
        Event::ConnectionRefused { count, .. } => show!(count),
        Event::ConnectionClosed { duration_us, bytes_in, bytes_out, .. } => {
            show!(duration_us, bytes_in, bytes_out)
        }
        Event::FrameUnfinished { claimed, arrived } => show!(claimed, arrived),
        Event::Smb1Negotiate { pid, mid, .. } => show!(pid, mid),
        Event::Smb1Write { offset, size, .. } => show!(offset, size),
        Event::Ms17010Probe { pid, mid, stream_at, .. } => show!(pid, mid, stream_at),
        Event::ExploitStep { stream_at, size, .. } => show!(stream_at, size),
        Event::ExploitCompleted { stream_at, .. } => show!(stream_at),
        Event::ImplantPing { timeout, mid, seed, stream_at, .. } => show!(timeout, mid, seed, stream_at),
        Event::ImplantKill { timeout, mid, stream_at, .. } => show!(timeout, mid, stream_at),
        Event::ImplantUnknown { timeout, mid, size, stream_at, .. } => show!(timeout, mid, size, stream_at),
        Event::UploadStarted { timeout, mid, key: Some(key), stream_at, .. } => {
            show!(timeout, mid, key, stream_at)
        }
        Event::UploadStarted { timeout, mid, stream_at, .. } => show!(timeout, mid, stream_at),
        Event::UploadOddity { offset, value, .. } => show!(offset, value),
        _ => "",
    }
}

/// Takes from `event` the numbers that differ from visit to visit; gives their names, and appends their values.
pub(crate) fn take_numbers(event: &mut Event, out: &mut Vec<u8>) -> &'static str {
    each_number(event, &mut |number| put_number(out, number.take()))
}

/// An event's body as it is stored.
#[derive(Debug)]
pub(crate) struct Body {
    /// The event's id.
    pub(crate) id: String,
    value: Value,
    /// The names of the fields that the numbers go into.
    numbers: String,
    /// The event with zeros in their place, if it is one that this build knows and takes the same numbers from.
    event: Option<Event>,
}

impl Body {
    /// A body as it stands in its row.
    pub(crate) fn parse(text: &str, numbers: Option<String>) -> Result<Self, serde_json::Error> {
        let value: Value = serde_json::from_str(text)?;
        let numbers = numbers.unwrap_or_default();
        let id = value.get("eventid").and_then(Value::as_str).unwrap_or_default().to_owned();
        let event = serde_json::from_value(value.clone()).ok();
        let event = event.filter(|event: &Event| each_number(&mut event.clone(), &mut |_| {}) == numbers);
        Ok(Self { id, value, numbers, event })
    }

    /// The event with its numbers; `None` where it is none that this build knows.
    pub(crate) fn event(&self, mut args: &[u8]) -> Option<Event> {
        if let Some(mut event) = self.event.clone() {
            let mut whole = true;
            each_number(&mut event, &mut |number| match take_number(&mut args) {
                Some(value) => number.put(value),
                None => whole = false,
            });
            return whole.then_some(event);
        }
        // Written by a build that took other numbers out.
        let mut body = self.value.clone();
        let object = body.as_object_mut()?;
        for name in self.numbers.split_ascii_whitespace() {
            object.insert(name.to_owned(), Value::from(take_number(&mut args)?));
        }
        serde_json::from_value(body).ok()
    }
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
        let body = Body::parse(&text, Some(names.to_owned())).unwrap();
        assert_eq!(body.event(&args).as_ref(), Some(event));
        // As a build reads it that would take other numbers out.
        let foreign = Body { event: None, ..body };
        assert_eq!(foreign.event(&args).as_ref(), Some(event));
        assert!(names.is_empty() || foreign.event(&[]).is_none());
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
            stream_at: 400,
        };
        assert_eq!(there_and_back(&started(Some(0))), there_and_back(&started(Some(u32::MAX))));
        assert_ne!(there_and_back(&started(None)), there_and_back(&started(Some(7))));
        there_and_back(&Event::SensorStopped { connections: u64::MAX });
        there_and_back(&Event::LimitReached { limit: "uploads_max".to_owned(), value: 64 });
    }
}
