//! `/login` and `/logout`. Both work without JavaScript.

use super::cookie::Kind;
use super::credentials::{Known, PASSWORD_BYTES_MAX};
use super::secret::Secret;
use super::session::Sessions;
use super::{CSRF_FIELD, Csrf, Guard, Who, origin, unauthorised};
use crate::console::asset;
use crate::console::server::Peer;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Query, Request, State};
use axum::http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Form};
use maud::{DOCTYPE, Markup, html};
use serde::Deserialize;
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Where to go afterwards.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Next {
    next: String,
}

/// The form, filled in.
#[derive(Deserialize)]
#[serde(default)]
pub(super) struct Filled {
    password: String,
    next: String,
}

impl Default for Filled {
    fn default() -> Self {
        Self { password: String::new(), next: "/".to_owned() }
    }
}

/// GET: the form. Who need not log in, or has, goes on.
pub(super) async fn page(
    State(guard): State<Guard>,
    Extension(who): Extension<Who>,
    Extension(csrf): Extension<Csrf>,
    query: Result<Query<Next>, QueryRejection>,
) -> Response {
    let next = query.map(|Query(query)| query.next).unwrap_or_default();
    let next = origin::path_here(&next);
    if who != Who::Anybody || !guard.asks() {
        return go(next);
    }
    form(StatusCode::OK, &csrf, next, None)
}

/// POST: a password, or a token in its place.
pub(super) async fn log_in(
    State(guard): State<Guard>,
    Extension(peer): Extension<Peer>,
    Extension(csrf): Extension<Csrf>,
    headers: HeaderMap,
    filled: Result<Form<Filled>, FormRejection>,
) -> Response {
    let Form(Filled { password, next }) = filled.unwrap_or_default();
    let next = origin::path_here(&next);
    let (known, _) = guard.0.credentials.now();
    if !guard.asks() {
        return go(next);
    }
    if let Err(wait) = guard.tries(|tries| tries.take(peer.remote.ip(), Instant::now())) {
        return too_often(&csrf, next, wait);
    }
    if !guard.fits(known, password).await {
        return form(StatusCode::FORBIDDEN, &csrf, next, Some("This is neither the password nor a token."));
    }
    guard.tries(|tries| tries.give_back(peer.remote.ip()));
    // Always a new one: an id that somebody planted in this browser stays worth nothing.
    let id = guard.sessions(|sessions| {
        end(sessions, &headers, &peer);
        sessions.begin(Instant::now())
    });
    with_cookie(go(next), Kind::Session.set(&id, &peer, guard.0.settings.session_secs))
}

/// GET: asks whether to log out, since following a link must change nothing.
pub(super) async fn leave(Extension(who): Extension<Who>, Extension(csrf): Extension<Csrf>) -> Response {
    if who != Who::Person {
        return go("/");
    }
    page_of(
        "Log out",
        html! {},
        html! {
            h1 { "Roridula" }
            form method="post" action="/logout" {
                input type="hidden" name=(CSRF_FIELD) value=(csrf.0);
                p { button type="submit" { "Log out" } " or " a href="/" { "stay" } }
            }
        },
    )
}

/// POST: ends the session.
pub(super) async fn log_out(
    State(guard): State<Guard>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Response {
    guard.sessions(|sessions| end(sessions, &headers, &peer));
    with_cookie(go("/login"), Kind::Session.set(&Secret::random(), &peer, 0))
}

fn end(sessions: &mut Sessions, headers: &HeaderMap, peer: &Peer) {
    Kind::Session.of(headers, peer).iter().for_each(|id| sessions.end(id));
}

impl Guard {
    /// Whether this opens the door; outside the threads that answer others, and one at a time.
    async fn fits(&self, known: Arc<Known>, password: String) -> bool {
        if password.is_empty() || password.len() > PASSWORD_BYTES_MAX {
            return false;
        }
        if known.has_token(&password) {
            return true;
        }
        // It is never closed.
        let Ok(_turn) = self.0.checking.acquire().await else { return false };
        tokio::task::spawn_blocking(move || known.has_password(&password)).await.unwrap_or(false)
    }
}

/// The answer for somebody who must log in first: a program is told so, a browser is sent to the form and
/// back here after.
pub(super) fn ask(request: &Request, program: bool) -> Response {
    if program {
        return unauthorised(
            true,
            "a token is needed: Authorization: Bearer …; `roridula console token NAME` makes one",
        );
    }
    let here = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let next = if origin::is_safe(request.method()) { origin::path_here(here) } else { "/" };
    let mut to = "/login?next=".to_owned();
    for byte in next.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'/' => to.push(char::from(byte)),
            // Writing to a String cannot fail.
            _ => drop(write!(to, "%{byte:02X}")),
        }
    }
    if !origin::is_led_here(request.headers()) {
        return go(&to);
    }
    // A link of another site leads here, and the browser holds the session's cookie back. From a page of ours
    // it brings it along, and `/login` leads on.
    let refresh = format!("0;url={to}");
    page_of(
        "Log in",
        html! { meta http-equiv="refresh" content=(refresh); },
        html! {
            p { a href=(to) { "On to the console" } }
        },
    )
}

fn too_often(csrf: &Csrf, next: &str, wait: Duration) -> Response {
    let secs = wait.as_secs().saturating_add(1);
    let text = format!("Too many wrong passwords. Try again in {secs} seconds.");
    let mut response = form(StatusCode::TOO_MANY_REQUESTS, csrf, next, Some(&text));
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(secs));
    response
}

fn form(status: StatusCode, csrf: &Csrf, next: &str, wrong: Option<&str>) -> Response {
    let mut response = page_of(
        "Log in",
        html! {},
        html! {
            h1 { "Roridula" }
            @if let Some(wrong) = wrong { p role="alert" { strong { (wrong) } } }
            form method="post" action="/login" {
                input type="hidden" name=(CSRF_FIELD) value=(csrf.0);
                input type="hidden" name="next" value=(next);
                p {
                    label for="password" { "Password or token" }
                    br;
                    input #password type="password" name="password" maxlength=(PASSWORD_BYTES_MAX) required autofocus
                        autocomplete="current-password";
                }
                p { button type="submit" { "Log in" } }
            }
            p { "Forgotten? " code { "roridula console password" } " on the sensor sets a new one." }
        },
    );
    *response.status_mut() = status;
    response
}

fn page_of(title: &str, head: Markup, body: Markup) -> Response {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                title { (title) " · Roridula" }
                link rel="icon" href=(asset::address(asset::ICON_AT)) type="image/svg+xml";
                link rel="stylesheet" href=(asset::address(asset::STYLE_AT));
                (head)
            }
            body { main.login { (body) } }
        }
    };
    ([(CONTENT_TYPE, "text/html; charset=utf-8")], page.into_string()).into_response()
}

/// On to a path of ours.
fn go(path: &str) -> Response {
    let to = HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(LOCATION, to)]).into_response()
}

fn with_cookie(mut response: Response, cookie: HeaderValue) -> Response {
    response.headers_mut().append(SET_COOKIE, cookie);
    response
}
