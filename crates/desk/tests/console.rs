//! The console's pages and API over a data directory, without a network.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods)]

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use roridula_desk::console::{self, ConsoleSettings};
use roridula_evidence::{Options, Store};
use std::path::Path;
use tower::ServiceExt;

/// A data directory in which nothing happened yet.
fn empty(dir: &Path) -> Router {
    drop(Store::open(dir, "here", Options::default()).unwrap());
    console::router(dir, &ConsoleSettings::default()).unwrap()
}

async fn get(router: &Router, address: &str, known: &str) -> (StatusCode, String, String) {
    let response = loop {
        let request = Request::get(address).header("If-None-Match", known).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        if response.status() != StatusCode::SERVICE_UNAVAILABLE {
            break response;
        }
        // The samples are still being read.
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    };
    let tag = response.headers().get("ETag").map_or("", |tag| tag.to_str().unwrap()).to_owned();
    let status = response.status();
    let body = to_bytes(response.into_body(), 16 << 20).await.unwrap();
    (status, tag, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn an_empty_directory_says_what_to_do_next() {
    let dir = tempfile::tempdir().unwrap();
    let router = empty(dir.path());
    for address in ["/", "/samples"] {
        let (status, _, page) = get(&router, address, "").await;
        assert_eq!(status, StatusCode::OK, "{page}");
        assert!(page.contains("roridula doctor"), "{address}: {page}");
        assert!(!page.contains("<script>") && !page.contains("style="), "CSP forbids both");
    }
}

#[tokio::test]
async fn the_apis_description_has_a_tag() {
    let dir = tempfile::tempdir().unwrap();
    let router = empty(dir.path());
    let (status, tag, body) = get(&router, "/api/v1/openapi.json", "").await;
    assert!(status == StatusCode::OK && tag.len() > 2 && body.contains("\"openapi\""), "{tag}");
    let (status, _, body) = get(&router, "/api/v1/openapi.json", &tag).await;
    assert_eq!((status, body.as_str()), (StatusCode::NOT_MODIFIED, ""));
}

#[tokio::test]
async fn what_makes_no_sense_is_told_and_not_echoed_raw() {
    let dir = tempfile::tempdir().unwrap();
    let router = empty(dir.path());
    let (status, _, page) = get(&router, "/samples?range=%3Cscript%3E", "").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(page.contains("one of 1h, 24h") && !page.contains("<script>"), "{page}");
    let (status, _, page) = get(&router, "/api/v1/samples?limit=0", "").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(page.starts_with("{\"error\":"), "{page}");
    // A mistyped filter is no filter, and whoever asks must not take all for some.
    let (status, _, page) = get(&router, "/samples?sorce=192.0.2.7&%3Cb%3E=1", "").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(page.contains("`&lt;b&gt;` means nothing here") && page.contains("source, family"), "{page}");
    let (status, _, told) = get(&router, "/api/v1/health?limit=9", "").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(told.contains("`limit` means nothing here; what may be said is range, since, until"), "{told}");
    // To a page it comes along from another view: it says that it has no use for it, and who exports asks himself.
    let (status, _, page) = get(&router, "/health?tool=nmap&source=192.0.2.7", "").await;
    assert_eq!(status, StatusCode::OK, "{page}");
    assert!(page.contains("Not filtered by source and tool") && page.contains("/groups?source=192.0.2.7"));
    assert!(!page.contains("name=\"tool\""), "a filter that does nothing is not offered: {page}");
    for address in
        ["/health?tool=nmap&as=json", "/health?limit=9", "/samples?as=csv&range=1h&since=2026-01-01"]
    {
        assert_eq!(get(&router, address, "").await.0, StatusCode::BAD_REQUEST, "{address}");
    }
    assert_eq!(get(&router, "/nothing", "").await.0, StatusCode::NOT_FOUND);
    assert_eq!(get(&router, "/samples?as=csv&table=nothing", "").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_is_known_already_is_not_sent_again() {
    let dir = tempfile::tempdir().unwrap();
    let router = empty(dir.path());
    let (_, tag, body) = get(&router, "/api/v1/samples", "").await;
    let value: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(value["count"], 0);
    let (status, _, body) = get(&router, "/api/v1/samples", &format!("W/{tag}")).await;
    assert_eq!((status, body.as_str()), (StatusCode::NOT_MODIFIED, ""));
}

#[tokio::test]
async fn the_api_is_compressed_and_pages_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let router = empty(dir.path());
    for (address, encoding) in
        [("/api/v1/openapi.json", Some("br")), ("/assets/console.css", Some("br")), ("/", None)]
    {
        let request =
            Request::get(address).header("Accept-Encoding", "br, gzip").body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let found = response.headers().get("Content-Encoding").map(|value| value.to_str().unwrap());
        assert_eq!(found, encoding, "{address}");
    }
}
