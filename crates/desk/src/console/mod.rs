//! The console: a web page that turns the journal into answers.
//!
//! It runs in a process of its own, reads what is kept and what is derived from it, and changes nothing. A request goes
//! one way: the guard lets it in (`guard`), its address becomes an [`ask::Ask`], a view (`view`, one file each) loads a
//! model from a [`shelf::Shelf`] and shows it: as a page, as the API's JSON, as CSV. The model is all that a view knows, so the
//! API says exactly what the pages show.
//!
//! Every page works without JavaScript; `assets/console.js` adds the live feed, copying, local times and keys.

mod api;
mod archive;
mod ask;
mod asset;
mod chart;
#[cfg(test)]
mod contrast;
mod download;
mod geo;
pub mod guard;
mod keeper;
mod live;
mod markdown;
mod page;
mod recorded;
pub mod server;
mod settings;
mod share;
mod shelf;
mod stage;
mod table;
mod text;
mod view;

pub use settings::{ConsoleSettings, LOGINS_FACTOR, Listen, PORT, Tls};

use axum::Router;
use shelf::Shelves;
use std::path::Path;
use std::sync::Arc;
use thiserror::Error;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate};

/// The console cannot be started.
#[derive(Debug, Error)]
pub enum ConsoleError {
    /// What it reads or needs cannot be had: what, and what to do.
    #[error("{0}")]
    Closed(String),
}

/// What all requests share.
#[derive(Clone, Debug)]
struct Desk {
    shelves: Arc<Shelves>,
    live: Arc<live::Feed>,
}

/// The console's pages and API over the data directory `dir`, without anything that guards them; a thread keeps what they
/// read up to date until the router and all its clones are gone.
pub fn router(dir: &Path, settings: &ConsoleSettings) -> Result<Router, ConsoleError> {
    let shelves = Arc::new(Shelves::open(dir)?.with_geo(settings.geo.clone()));
    let live = Arc::new(live::Feed::default());
    keeper::spawn(dir, Arc::downgrade(&shelves), Arc::clone(&live));
    let desk = Desk { shelves, live };
    let files = download::routes(&desk);
    let parts = [live::routes(), asset::routes(), api::routes(), files];
    let routes = parts.into_iter().fold(view::routes(), Router::merge);
    // No pages: their length must not tell a listener what is both in them and in a request (BREACH).
    let compressed = DefaultPredicate::new().and(NotForContentType::const_new("text/html"));
    Ok(routes.layer(CompressionLayer::new().compress_when(compressed)).with_state(desk))
}
