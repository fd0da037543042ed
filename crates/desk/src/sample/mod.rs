//! Samples, explained: what triage found, kept and put together with who brought it.
//!
//! Reports are derived: they may be deleted, and `roridula triage --all` makes them again.

mod reports;

pub use reports::{ReportError, Reports};
