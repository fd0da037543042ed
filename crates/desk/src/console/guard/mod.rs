//! Who may talk to the console, and how: nothing behind it sees a request that it has not let in.
//!
//! In this order: the name by which we are called ([`origin`]: DNS rebinding), which page sent it, who sends
//! it (a session's cookie or a token), the body (bounded in size and time), and for everything that changes
//! something a token of the form. Where anybody has a password or a token, all must log in. Where nobody has,
//! only this machine's users may come, and the console refuses to listen for others.

mod certificate;
mod cookie;
mod credentials;
mod headers;
mod login;
mod origin;
mod secret;
mod session;
mod tries;

pub use certificate::{Transport, transport};
pub use credentials::{PASSWORD_BYTES_MAX, add_token, remove_password, remove_token, set_password, who};
pub(super) use tries::visitor;

use super::server::Peer;
use super::{ConsoleError, ConsoleSettings};
use axum::Router;
use axum::body::HttpBody;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequest, Request, State};
use axum::http::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, SET_COOKIE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use cookie::Kind;
use credentials::{Credentials, Known};
use futures_util::StreamExt;
use secret::Secret;
use session::Sessions;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tries::Tries;

/// The name of the form's field that a token goes in.
pub const CSRF_FIELD: &str = "csrf";
/// The header that a token goes in where there is no form.
pub const CSRF_HEADER: HeaderName = HeaderName::from_static("x-csrf-token");
/// How long a browser keeps the cookie that forms are bound to.
const FORM_SECS: u64 = 7 * 24 * 3600;

/// The token that every form of a page must send back, in the field [`CSRF_FIELD`]: a request's extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Csrf(pub String);

/// Who sends a request: its extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Somebody on this machine, who need not log in; or somebody who has not, on a page for such.
    Anybody,
    /// Somebody who has logged in, and may log out.
    Person,
    /// A program with a token.
    Program,
}

/// The guard of one console. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Guard(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: ConsoleSettings,
    credentials: Credentials,
    sessions: Mutex<Sessions>,
    tries: Mutex<Tries>,
    /// Passwords are checked one at a time: each takes 19 MiB and tens of milliseconds.
    checking: Semaphore,
    /// Makes the tokens of forms; a new one at each start.
    forms: Secret,
}

impl Guard {
    /// The guard of the console over the data directory `dir`. Refuses where others could come in and nobody
    /// would be asked who he is.
    pub fn open(settings: &ConsoleSettings, dir: &Path) -> Result<Self, ConsoleError> {
        let credentials = Credentials::open(dir)?;
        if !settings.is_private() && credentials.now().0.is_empty() {
            return Err(ConsoleError::Closed(without_password(settings, dir)));
        }
        Ok(Self(Arc::new(Inner {
            credentials,
            sessions: Mutex::new(Sessions::new(settings)),
            tries: Mutex::new(Tries::new(settings.logins_per_minute, Instant::now())),
            checking: Semaphore::new(1),
            forms: Secret::random(),
            settings: settings.clone(),
        })))
    }

    /// Whether anybody is asked to log in.
    pub fn asks(&self) -> bool {
        !self.0.settings.is_private() || !self.0.credentials.now().0.is_empty()
    }

    /// `router` with this guard before it, and with `/login` and `/logout`. Whoever serves it says in an
    /// extension where a request comes from ([`Peer`]).
    pub fn protect(&self, router: Router) -> Router {
        Router::new()
            .route("/login", get(login::page).post(login::log_in))
            .route("/logout", get(login::leave).post(login::log_out))
            .with_state(self.clone())
            .merge(router)
            .layer(from_fn_with_state(self.clone(), admit))
    }

    fn sessions<T>(&self, with: impl FnOnce(&mut Sessions) -> T) -> T {
        with(&mut self.0.sessions.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn tries<T>(&self, with: impl FnOnce(&mut Tries) -> T) -> T {
        with(&mut self.0.tries.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lets the request in, or gives the answer that refuses it.
    async fn examine(&self, request: Request, peer: &Peer, next: &Next) -> Result<Admitted, Box<Response>> {
        let path = request.uri().path();
        let program = is_for_programs(path);
        let say = |status, text| Err(Box::new(answer(status, program, text)));
        if !origin::calls_us(&request, peer, &self.0.settings.hosts) {
            return say(StatusCode::MISDIRECTED_REQUEST, UNKNOWN_NAME);
        }
        let (known, asks) = self.known();
        let (headers, method) = (request.headers(), request.method());
        if !asks && origin::is_forwarded(headers) {
            return say(StatusCode::FORBIDDEN, FORWARDED);
        }
        if !origin::may_send(method, headers) {
            return say(StatusCode::FORBIDDEN, ELSEWHERE);
        }
        let (who, session) =
            self.who(headers, peer, &known).map_err(|text| Box::new(unauthorised(program, text)))?;
        let pass = Pass { session: session.clone(), token: bearer(headers).map(str::to_owned) };
        if asks && who == Who::Anybody && !is_for_anybody(path) {
            return Err(Box::new(login::ask(&request, program)));
        }
        if let Some(refused) = is_misplaced(method.clone(), request.uri().clone(), next.clone()).await {
            return Err(Box::new(refused));
        }
        // Who is logged in has a token of that session; before that, of a cookie that says only which browser
        // it is.
        let (id, cookie) = match session {
            Some(session) => (session, None),
            None => match Kind::Form.of(headers, peer).into_iter().next() {
                Some(form) => (form, None),
                None => {
                    let form = Secret::random();
                    let cookie = Kind::Form.set(&form, peer, FORM_SECS);
                    // What caches may keep for everybody sets nobody's cookie.
                    let is_page = !program && !is_asset(path);
                    (form, (is_page && who == Who::Anybody).then_some(cookie))
                }
            },
        };
        let token = self.0.forms.bind(&id);
        let (mut parts, body) = request.into_parts();
        let mut bytes = Bytes::new();
        if !origin::is_safe(&parts.method) {
            bytes =
                self.read(body).await.map_err(|(status, text)| Box::new(answer(status, program, text)))?;
            if who != Who::Program && !has_token(&parts.headers, &bytes, &token).await {
                return say(StatusCode::FORBIDDEN, NO_TOKEN);
            }
        }
        parts.extensions.insert(*peer);
        parts.extensions.insert(who);
        parts.extensions.insert(Csrf(token.text()));
        Ok(Admitted { request: Request::from_parts(parts, Body::from(bytes)), cookie, pass })
    }

    /// Whom we know now, and whether anybody is asked to log in. Who is known no more has no session.
    fn known(&self) -> (Arc<Known>, bool) {
        let (known, changed) = self.0.credentials.now();
        if changed {
            self.sessions(Sessions::end_all);
        }
        let asks = !known.is_empty() || !self.0.settings.is_private();
        (known, asks)
    }

    /// Whether who was let in with this would be now.
    fn still_admits(&self, pass: &Pass) -> bool {
        let (known, asks) = self.known();
        let holds = |id: &Secret| self.sessions(|sessions| sessions.holds(id, Instant::now()));
        !asks
            || pass.session.as_ref().is_some_and(holds)
            || pass.token.as_ref().is_some_and(|token| known.has_token(token))
    }

    /// Who brings this, and the session's id if that is a person.
    fn who(
        &self,
        headers: &HeaderMap,
        peer: &Peer,
        known: &Known,
    ) -> Result<(Who, Option<Secret>), &'static str> {
        if !known.is_empty() && headers.contains_key(AUTHORIZATION) {
            return match bearer(headers) {
                Some(token) if known.has_token(token) => Ok((Who::Program, None)),
                _ => Err("this token is none of the console's; `roridula console token NAME` makes one"),
            };
        }
        let brought = Kind::Session.of(headers, peer);
        let now = Instant::now();
        let open = self.sessions(|sessions| brought.into_iter().find(|id| sessions.uses(id, now)));
        Ok(open.map_or((Who::Anybody, None), |id| (Who::Person, Some(id))))
    }

    /// The whole body, so that nothing behind us waits for a slow sender.
    async fn read(&self, body: Body) -> Result<Bytes, (StatusCode, &'static str)> {
        let settings = &self.0.settings;
        let max = usize::try_from(settings.request_bytes_max).unwrap_or(usize::MAX);
        // Nobody waits for what will be too much, or may never come.
        if body.size_hint().lower() > u64::from(settings.request_bytes_max) {
            return Err((StatusCode::PAYLOAD_TOO_LARGE, "the request is too large"));
        }
        match tokio::time::timeout(Duration::from_secs(settings.idle_secs), to_bytes(body, max)).await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(_)) => Err((StatusCode::PAYLOAD_TOO_LARGE, "the request is too large, or ended early")),
            Err(_) => Err((StatusCode::REQUEST_TIMEOUT, "the request took too long to arrive")),
        }
    }
}

/// A request that is let in, and a cookie for its answer.
struct Admitted {
    request: Request,
    cookie: Option<HeaderValue>,
    pass: Pass,
}

/// By what somebody was let in.
struct Pass {
    session: Option<Secret>,
    token: Option<String>,
}

/// The token that a program brings.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

async fn admit(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().copied().unwrap_or_default();
    let mut response = match guard.examine(request, &peer, &next).await {
        Ok(Admitted { request, cookie, pass }) => {
            let mut response = next.run(request).await;
            // What goes on and on ends with the right to it.
            if response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream") {
                let guard = guard.clone();
                response = response.map(|body| {
                    let still = move |_: &_| std::future::ready(guard.still_admits(&pass));
                    Body::from_stream(body.into_data_stream().take_while(still))
                });
            }
            if let Some(cookie) = cookie {
                response.headers_mut().append(SET_COOKIE, cookie);
            }
            response
        }
        Err(refused) => *refused,
    };
    headers::set(response.headers_mut(), peer.tls);
    response
}

/// The answer to a request that would change something where nothing can be changed so: the page says itself, before
/// anybody looks for a token, by which methods it may be asked.
async fn is_misplaced(method: Method, uri: Uri, next: Next) -> Option<Response> {
    if origin::is_safe(&method) {
        return None;
    }
    let mut asked = Request::new(Body::empty());
    *asked.method_mut() = Method::OPTIONS;
    *asked.uri_mut() = uri;
    let told = next.run(asked).await;
    let methods = told.headers().get(ALLOW).and_then(|methods| methods.to_str().ok());
    let allows = |methods: &str| methods.split(',').any(|allowed| allowed.trim() == method.as_str());
    let is_refused = match told.status() {
        StatusCode::NOT_FOUND => true,
        StatusCode::METHOD_NOT_ALLOWED => !methods.is_some_and(allows),
        _ => false,
    };
    is_refused.then_some(told)
}

/// Whether the token came along, in a header or in a form's field.
async fn has_token(headers: &HeaderMap, body: &Bytes, token: &Secret) -> bool {
    let is_right = |text: &str| Secret::parse(text).is_some_and(|brought| brought.is(token));
    if let Some(value) = headers.get(CSRF_HEADER) {
        return value.to_str().is_ok_and(is_right);
    }
    let Some(kind) = headers.get(CONTENT_TYPE) else { return false };
    let form = Request::post("/").header(CONTENT_TYPE, kind).body(Body::from(body.clone()));
    let Ok(form) = form else { return false };
    match axum::Form::<Vec<(String, String)>>::from_request(form, &()).await {
        Ok(axum::Form(pairs)) => {
            pairs.iter().find(|(name, _)| name == CSRF_FIELD).is_some_and(|(_, value)| is_right(value))
        }
        Err(_) => false,
    }
}

/// Programs are told in JSON what people are told in words.
fn is_for_programs(path: &str) -> bool {
    path == "/api" || path.starts_with("/api/")
}

/// What somebody may see who has not logged in: how to, and what that page looks like.
fn is_for_anybody(path: &str) -> bool {
    path == "/login" || path == "/logout" || is_asset(path)
}

/// Style, script and icon: the same for everybody.
fn is_asset(path: &str) -> bool {
    path.starts_with("/assets/")
}

const UNKNOWN_NAME: &str = "This is a Roridula console, but it does not go by the name that your browser calls it. Use its \
                            address, or add the name to console.hosts (docs/console.md).";
const FORWARDED: &str = "This came through a proxy, so that others than this machine's users could come in, and nobody \
                         needs to log in here. Set a password first: roridula console password (docs/console.md).";
const ELSEWHERE: &str = "Another site's page sent this, and only the console's own pages may.";
const NO_TOKEN: &str = "The form is too old, or did not come from a page of the console. Go back, load that page again, \
                        and send it once more.";

/// An answer of a few words.
fn answer(status: StatusCode, program: bool, text: &str) -> Response {
    let (kind, body) = match program {
        true => ("application/json", crate::json::error(text)),
        false => ("text/plain; charset=utf-8", format!("{text}\n")),
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// 401, by which scheme a program may come in.
fn unauthorised(program: bool, text: &str) -> Response {
    let mut response = answer(StatusCode::UNAUTHORIZED, program, text);
    let scheme = HeaderValue::from_static("Bearer realm=\"roridula\"");
    response.headers_mut().insert(axum::http::header::WWW_AUTHENTICATE, scheme);
    response
}

/// Why the console does not listen for others, and what to do.
fn without_password(settings: &ConsoleSettings, dir: &Path) -> String {
    let what = match settings.listen.address() {
        Some(address) if !address.ip().to_canonical().is_loopback() => {
            format!("{address} can be reached from other machines")
        }
        _ => format!("console.hosts names {}, by which others can reach it", settings.hosts.join(", ")),
    };
    let dir = dir.display();
    format!(
        "the console does not start: {what}, and nobody would be asked to log in. Any of these helps:\n  \
         a password                  roridula console password --data {dir}\n  \
         a token, for programs       roridula console token NAME --data {dir}\n  \
         this machine only           --console 127.0.0.1:{port}, and from elsewhere ssh -L {port}:127.0.0.1:{port} HOST",
        port = super::settings::PORT
    )
}
