//! The published contract: which events there are and what they hold.
//!
//! The catalogue in `roridula_proto::event` is the truth. [`markdown`] and [`schema`] are written from it
//! (`docs/events.md`, `docs/events.schema.json`), and [`check`] tells whether a published line keeps to it.
//! [`tools_markdown`] is `docs/tools.md`: the tools that a fingerprint can name.

mod check;
mod pages;
mod tools;

pub use check::check;
pub use pages::{markdown, schema};
pub use tools::markdown as tools_markdown;

/// An envelope field of a published event.
pub(crate) struct EnvelopeField {
    pub(crate) name: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) about: &'static str,
}

/// The envelope, in the order in which it is published.
pub(crate) const ENVELOPE: &[EnvelopeField] = &[
    EnvelopeField { name: "eventid", kind: "string", about: "Which event: one of the ids below." },
    EnvelopeField {
        name: "seq",
        kind: "integer",
        about: "Its place in this sensor's journal, from 1. A reader that has seen `seq` N goes on with `--since N`.",
    },
    EnvelopeField {
        name: "time",
        kind: "string",
        about: "When it happened: RFC 3339, UTC, microseconds, as in `2026-11-23T02:50:00.123456Z`.",
    },
    EnvelopeField { name: "sensor", kind: "string", about: "The sensor's name (setting `sensor`)." },
    EnvelopeField {
        name: "connection",
        kind: "string or null",
        about: "The TCP connection: 13 characters, sortable by time. Null where the event is about none.",
    },
    EnvelopeField { name: "src_ip", kind: "string or null", about: "The visitor's address." },
    EnvelopeField { name: "src_port", kind: "integer or null", about: "The visitor's port." },
    EnvelopeField { name: "dst_ip", kind: "string or null", about: "The address of ours that was visited." },
    EnvelopeField { name: "dst_port", kind: "integer or null", about: "The port of ours." },
];
