//! A guarded console on a loopback port of its own, and a visitor who writes every byte himself.

use axum::Extension;
use axum::Router;
use axum::body::Body;
use axum::response::sse::{self, Sse};
use axum::routing::{get, post};
use roridula_desk::console::ConsoleSettings;
use roridula_desk::console::guard::{Csrf, Guard, Who, set_password, transport};
use roridula_desk::console::server::{Bounds, serve};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Generous: a loaded machine is slow, a broken program is slower.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) const PASSWORD: &str = "correct horse battery staple";
/// What `/big` sends: more than the kernel's buffers take.
pub(crate) const BIG_BYTES: usize = 64 << 20;

pub(crate) struct House {
    pub(crate) address: SocketAddr,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) fingerprint: Option<String>,
    stop: Option<oneshot::Sender<()>>,
    served: Option<JoinHandle<()>>,
    runtime: Option<Runtime>,
}

/// Pages that say whom they see.
fn rooms() -> Router {
    let seen = |Extension(who): Extension<Who>, Extension(csrf): Extension<Csrf>| async move {
        format!("{who:?} {}", csrf.0)
    };
    Router::new()
        .route("/", get(seen))
        .route("/change", post(|body: String| async move { format!("changed {body}") }))
        .route("/api/v1/seen", get(seen))
        .route("/assets/console.css", get(|| async { ([("cache-control", "public, max-age=9")], "body{}") }))
        .route("/big", get(|| async { Body::from(vec![b'x'; BIG_BYTES]) }))
        .route("/feed", get(|| async { Sse::new(ticks()) }))
        .route("/endless", get(|| async { std::future::pending::<String>().await }))
}

/// An event whenever somebody can take one.
fn ticks() -> impl futures_util::Stream<Item = Result<sse::Event, std::convert::Infallible>> {
    futures_util::stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        Some((Ok(sse::Event::default().data("tick")), ()))
    })
}

impl House {
    /// With these settings, and a password where `locked`.
    pub(crate) fn open(locked: bool, change: impl FnOnce(&mut ConsoleSettings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        if locked {
            set_password(dir.path(), PASSWORD).unwrap();
        }
        let mut settings =
            ConsoleSettings { listen: "127.0.0.1:0".parse().unwrap(), ..ConsoleSettings::default() };
        change(&mut settings);
        let guard = Guard::open(&settings, dir.path()).unwrap();
        let transport = transport(&settings, dir.path()).unwrap();
        let fingerprint = transport.as_ref().map(|transport| transport.fingerprint.clone());
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listener =
            runtime.block_on(tokio::net::TcpListener::bind(settings.listen.address().unwrap())).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let config = transport.map(|transport| transport.config);
        let served =
            runtime.spawn(serve(guard.protect(rooms()), listener, config, Bounds::from(&settings), async {
                let _ = stopped.await;
            }));
        Self { address, dir, fingerprint, stop: Some(stop), served: Some(served), runtime: Some(runtime) }
    }

    pub(crate) fn data(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends a request as it stands, but for `{host}`, and reads the answer to the connection's end.
    pub(crate) fn raw(&self, request: &str) -> Answer {
        let mut stream = self.connect();
        // It may be answered, and the connection closed, before all of it is sent.
        let _ = stream.write_all(request.replace("{host}", &self.address.to_string()).as_bytes());
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        Answer::of(&String::from_utf8_lossy(&bytes))
    }

    /// A GET with further header lines.
    pub(crate) fn get(&self, path: &str, headers: &[&str]) -> Answer {
        self.raw(&format!(
            "GET {path} HTTP/1.1\r\nHost: {{host}}\r\n{}Connection: close\r\n\r\n",
            lines(headers)
        ))
    }

    /// A form, with further header lines.
    pub(crate) fn post(&self, path: &str, headers: &[&str], body: &str) -> Answer {
        let kind = "Content-Type: application/x-www-form-urlencoded";
        self.raw(&format!(
            "POST {path} HTTP/1.1\r\nHost: {{host}}\r\n{kind}\r\nContent-Length: {}\r\n{}Connection: close\r\n\r\n{body}",
            body.len(),
            lines(headers),
        ))
    }

    /// A browser's first look at the log-in: its cookie line and the form's token.
    pub(crate) fn form(&self) -> (String, String) {
        let page = self.get("/login", &[]);
        (format!("Cookie: {}", page.cookie()), page.token())
    }

    /// Logs in and gives the cookie line.
    pub(crate) fn log_in(&self) -> String {
        let (cookie, token) = self.form();
        let answer = self.post("/login", &[&cookie], &filled(PASSWORD, &token, "/"));
        assert_eq!((answer.status, answer.header("location")), (303, "/"), "{}", answer.text);
        format!("Cookie: {}", answer.cookie())
    }

    /// Ends it, and waits until it has.
    pub(crate) fn close(mut self) {
        drop(self.stop.take());
        let (runtime, served) = (self.runtime.take().unwrap(), self.served.take().unwrap());
        runtime.block_on(served).unwrap();
        runtime.shutdown_background();
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn lines(headers: &[&str]) -> String {
    headers.iter().map(|line| format!("{line}\r\n")).collect()
}

/// The log-in's form, filled in.
pub(crate) fn filled(password: &str, token: &str, next: &str) -> String {
    format!("csrf={token}&password={}&next={next}", password.replace(' ', "+"))
}

#[derive(Debug)]
pub(crate) struct Answer {
    /// 0 where there was none.
    pub(crate) status: u16,
    pub(crate) text: String,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn of(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Self { status, text: text.to_owned(), head: head.to_owned(), body: body.to_owned() }
    }

    pub(crate) fn headers(&self, name: &str) -> Vec<&str> {
        let pairs = self.head.lines().filter_map(|line| line.split_once(": "));
        pairs.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers(name).first().copied().unwrap_or_default()
    }

    /// `name=value` of the cookie that it sets.
    pub(crate) fn cookie(&self) -> String {
        let cookie = self.header("set-cookie").split(';').next().unwrap_or_default();
        assert!(!cookie.is_empty(), "no cookie: {}", self.head);
        cookie.to_owned()
    }

    /// The token in a page's form.
    pub(crate) fn token(&self) -> String {
        let (_, rest) =
            self.body.split_once("name=\"csrf\" value=\"").unwrap_or_else(|| panic!("{}", self.text));
        rest.split('"').next().unwrap().to_owned()
    }
}
