//! Style, script and icon, as they are in the binary.

use super::Desk;
use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::get;

/// Pages name them by [`address`], which is another one when the bytes are.
const CACHED: &str = "public, max-age=86400";

const STYLE: &str = include_str!("assets/console.css");
const SCRIPT: &str = include_str!("assets/console.js");
const ICON: &str = include_str!("assets/icon.svg");

/// Addresses of the style, the script and the icon.
pub(crate) const STYLE_AT: (&str, u64) = ("/assets/console.css", mark(STYLE));
pub(crate) const SCRIPT_AT: (&str, u64) = ("/assets/console.js", mark(SCRIPT));
pub(crate) const ICON_AT: (&str, u64) = ("/assets/icon.svg", mark(ICON));

/// How a page names an asset: a browser that has these bytes does not ask again.
pub(crate) fn address((path, mark): (&str, u64)) -> String {
    format!("{path}?{mark:016x}")
}

/// FNV-1a: tells one build's bytes from another's, and no more.
const fn mark(text: &str) -> u64 {
    let bytes = text.as_bytes();
    let (mut sum, mut at) = (0xcbf2_9ce4_8422_2325_u64, 0);
    while at < bytes.len() {
        sum = (sum ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    sum
}

/// `/assets/…`
pub(crate) fn routes() -> Router<Desk> {
    let serve = |kind: &'static str, body: &'static str| {
        get(move || async move { ([(CONTENT_TYPE, kind), (CACHE_CONTROL, CACHED)], body).into_response() })
    };
    Router::new()
        .route(STYLE_AT.0, serve("text/css; charset=utf-8", STYLE))
        .route(SCRIPT_AT.0, serve("text/javascript; charset=utf-8", SCRIPT))
        .route(ICON_AT.0, serve("image/svg+xml", ICON))
}
