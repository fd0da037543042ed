//! Style, script and icon, as they are in the binary.

use super::Desk;
use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::get;

/// Pages name them with the version, so that a new version is fetched anew.
const CACHED: &str = "public, max-age=86400";

const STYLE: &str = include_str!("assets/console.css");
const SCRIPT: &str = include_str!("assets/console.js");
const ICON: &str = include_str!("assets/icon.svg");

/// `/assets/…`
pub(crate) fn routes() -> Router<Desk> {
    let serve = |kind: &'static str, body: &'static str| {
        get(move || async move { ([(CONTENT_TYPE, kind), (CACHE_CONTROL, CACHED)], body).into_response() })
    };
    Router::new()
        .route("/assets/console.css", serve("text/css; charset=utf-8", STYLE))
        .route("/assets/console.js", serve("text/javascript; charset=utf-8", SCRIPT))
        .route("/assets/icon.svg", serve("image/svg+xml", ICON))
}
