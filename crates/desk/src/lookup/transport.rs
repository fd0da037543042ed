//! How a request goes out: a trait, and HTTP by `ureq`.

use super::{LookupError, Secret};
use std::time::Duration;
use ureq::{Agent, Proxy};

/// Bytes of an answer that are read.
pub const ANSWER_BYTES_MAX: u64 = 1024 * 1024;

/// Where a proxy may stand in the environment; the first that is set is taken. (`ureq` on its own would take
/// `ALL_PROXY` before `HTTPS_PROXY`, and `HTTP_PROXY` for https: what curl does is what people expect.)
const PROXY_VARIABLES: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];

/// What to send.
#[derive(Clone, Debug)]
pub struct Request {
    /// Where to.
    pub url: String,
    /// The key's header.
    pub header: &'static str,
    /// The key.
    pub key: Secret,
    /// Media type and content of a POST; `None` for a GET.
    pub body: Option<(String, Vec<u8>)>,
}

/// What came back, whatever its status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// `Retry-After`, where it is a number of seconds.
    pub retry_after_secs: Option<u64>,
    /// The content.
    pub body: Vec<u8>,
}

/// Why nothing useful came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportError {
    /// In words; without the key.
    pub what: String,
    /// Whether the service may have seen the request, and counts it.
    pub reached: bool,
}

/// Carries requests.
pub trait Transport {
    /// Sends one and waits for its answer.
    fn send(&mut self, request: &Request) -> Result<Response, TransportError>;
}

/// HTTP with TLS (rustls, ring), the environment's proxy, no redirects, bounded time and size.
#[derive(Debug)]
pub struct Http {
    agent: Agent,
}

impl Http {
    /// One that gives up after `timeout` and takes its proxy from `environment`.
    pub fn new(timeout: Duration, environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, LookupError> {
        let config = Agent::config_builder()
            .proxy(proxy(environment)?)
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            // A redirect would take the key elsewhere. It comes back as a status and is told.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_response_header_size(64 * 1024)
            .max_idle_connections(0)
            .user_agent(concat!("roridula/", env!("CARGO_PKG_VERSION")));
        Ok(Self { agent: config.build().into() })
    }
}

fn proxy(environment: &dyn Fn(&str) -> Option<String>) -> Result<Option<Proxy>, LookupError> {
    let is_set = |name: &&str| environment(name).is_some_and(|value| !value.trim().is_empty());
    let Some(name) = PROXY_VARIABLES.into_iter().find(|name| is_set(name)) else { return Ok(None) };
    // Its value may hold a password: it is in no error.
    let wrong = || LookupError::Proxy(name);
    let value = environment(name).unwrap_or_default();
    let given = Proxy::new(value.trim()).map_err(|_| wrong())?;
    let mut proxy = Proxy::builder(given.protocol()).host(given.host()).port(given.port());
    if let Some(user) = given.username() {
        proxy = proxy.username(user);
    }
    if let Some(password) = given.password() {
        proxy = proxy.password(password);
    }
    let direct = environment("no_proxy").or_else(|| environment("NO_PROXY")).unwrap_or_default();
    for entry in direct.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        // `example.com` means what is below it too, as curl reads it.
        proxy = proxy.no_proxy(entry);
        if !entry.starts_with(['.', '*']) {
            proxy = proxy.no_proxy(&format!(".{entry}"));
        }
    }
    proxy.build().map(Some).map_err(|_| wrong())
}

impl Transport for Http {
    fn send(&mut self, request: &Request) -> Result<Response, TransportError> {
        let key = request.key.expose();
        let sent = match &request.body {
            None => self.agent.get(&request.url).header(request.header, key).call(),
            Some((media_type, body)) => {
                let post = self.agent.post(&request.url).header(request.header, key);
                post.content_type(media_type.as_str()).send(&body[..])
            }
        };
        let mut response = sent.map_err(|error| told(&error))?;
        let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
        let retry_after_secs = retry_after.and_then(|value| value.trim().parse().ok());
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
        let body = body.map_err(|error| TransportError { reached: true, ..told(&error) })?;
        Ok(Response { status, retry_after_secs, body })
    }
}

/// An error in our words: those of the library may quote what was sent.
fn told(error: &ureq::Error) -> TransportError {
    use std::io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
    let (what, reached) = match error {
        ureq::Error::HostNotFound => ("its name cannot be resolved".to_owned(), false),
        ureq::Error::ConnectionFailed => ("no connection can be had".to_owned(), false),
        ureq::Error::ConnectProxyFailed(_) => ("the proxy made no connection".to_owned(), false),
        ureq::Error::Timeout(at) => (format!("nothing within the time (lookup.timeout_secs): {at}"), true),
        ureq::Error::BodyExceedsLimit(max) => (format!("an answer of more than {max} bytes"), true),
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) => ("no TLS connection can be had".to_owned(), false),
        ureq::Error::Io(error) => {
            let unreached = [ConnectionRefused, HostUnreachable, NetworkUnreachable];
            (error.kind().to_string(), !unreached.contains(&error.kind()))
        }
        ureq::Error::Protocol(_) => ("an answer that is no HTTP".to_owned(), true),
        _ => ("the request failed".to_owned(), true),
    };
    TransportError { what, reached }
}
