//! Samples, explained: what triage found, kept and put together with who brought it.
//!
//! Reports are derived: they may be deleted, and `roridula triage --all` makes them again. `reports` keeps them,
//! `outline` is what is needed of each, `catalog` groups and ranks all samples, `novelty` says by what, `sentence` how
//! a sample reads.

mod catalog;
mod novelty;
mod outline;
mod reports;
mod sentence;

pub use catalog::{Catalog, CatalogError, Entry, Group};
pub use outline::{Core, Outline};
pub use reports::{Edition, ReportError, Reports};
pub use sentence::{Sightings, counted, thousands};
