//! Where a request comes from: by which name it calls us, and which page sent it.

use crate::console::server::Peer;
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, Method, Request};
use std::net::{IpAddr, Ipv6Addr};

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
/// What something that stands in front of us adds: RFC 7239, and what is usual besides.
const FORWARDED: [&str; 6] =
    ["forwarded", "via", "x-real-ip", "x-client-ip", "cf-connecting-ip", "true-client-ip"];
/// What such names begin with.
const FORWARDED_BEGINS: [&str; 2] = ["x-forwarded-", "x-original-"];

/// Whether the request calls us by a name of ours. A name of somebody else's that leads here is how a page in
/// the reader's browser reads what it may not (DNS rebinding); an address in its place cannot be made to lead
/// elsewhere.
pub(crate) fn calls_us<B>(request: &Request<B>, peer: &Peer, hosts: &[String]) -> bool {
    let mut named = request.headers().get_all(HOST).into_iter();
    let (Some(host), None) = (named.next(), named.next()) else { return false };
    let ours = |text: &str| host_of(text).is_some_and(|host| is_ours(host, peer, hosts));
    let target = request.uri().authority().is_none_or(|authority| ours(authority.as_str()));
    target && host.to_str().is_ok_and(ours)
}

/// The host of `host` or `host:port`, without the brackets of an IPv6 address; `None` where it is neither. (What parses URLs
/// for browsers' sake lets much behind an address pass.) Any port may be named: a tunnel has its own.
fn host_of(text: &str) -> Option<&str> {
    let (host, rest) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            host.parse::<Ipv6Addr>().ok()?;
            (host, rest)
        }
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    (!host.is_empty() && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port))).then_some(host)
}

fn is_ours(host: &str, peer: &Peer, hosts: &[String]) -> bool {
    let bare = |text: &str| text.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    let host = host.to_ascii_lowercase();
    let address = host.parse::<IpAddr>().map(|address| address.to_canonical());
    let is_here = |address: IpAddr| address.is_loopback() || address == peer.local.ip().to_canonical();
    host == "localhost" || address.is_ok_and(is_here) || hosts.iter().any(|known| bare(known) == host)
}

/// Whether something stands between the browser and us.
pub(crate) fn is_forwarded(headers: &HeaderMap) -> bool {
    let begins = |name: &HeaderName| FORWARDED_BEGINS.iter().any(|begin| name.as_str().starts_with(begin));
    FORWARDED.iter().any(|name| headers.contains_key(*name)) || headers.keys().any(begins)
}

/// Whether another site's page led the browser here (a link, an address that it opened).
pub(crate) fn is_led_here(headers: &HeaderMap) -> bool {
    matches!(text(headers, &FETCH_SITE), Some("cross-site" | "same-site"))
}

/// Whether a page of ours may have sent this. Another site's page may only lead a reader to a page of ours:
/// it may neither embed, fetch nor change anything. (A browser says which it is; what says nothing is no
/// browser.)
pub(crate) fn may_send(method: &Method, headers: &HeaderMap) -> bool {
    let safe = is_safe(method);
    if is_led_here(headers) && !(safe && text(headers, &FETCH_MODE) == Some("navigate")) {
        return false;
    }
    safe || is_own_origin(headers)
}

/// Whether this method changes nothing.
pub(crate) fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Whether `Origin`, where it is there, names the same host and port as `Host`. Its scheme is not looked at:
/// TLS may end in front of us.
fn is_own_origin(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    let origin = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    match (origin, text(headers, &HOST)) {
        (Some(origin), Some(host)) => origin.eq_ignore_ascii_case(host),
        _ => false,
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// `next` if it is a path here, so that nobody is led elsewhere; else the first page.
pub(crate) fn path_here(next: &str) -> &str {
    let begins = next.starts_with('/') && !next.starts_with("//");
    // Browsers take `\` for `/`, and drop tabs and line breaks wherever they stand.
    let plain = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let loops = ["/login", "/logout"].iter().any(|path| next.starts_with(path));
    if begins && plain && !loops && next.len() <= 2048 { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(host: &[&str], uri: &str, hosts: &[&str]) -> bool {
        let mut request = Request::builder().uri(uri);
        for host in host {
            request = request.header(HOST, *host);
        }
        let peer = Peer { local: "192.0.2.7:8445".parse().unwrap(), ..Peer::default() };
        let hosts: Vec<_> = hosts.iter().map(|&host| host.to_owned()).collect();
        calls_us(&request.body(()).unwrap(), &peer, &hosts)
    }

    #[test]
    fn only_names_of_ours_are_answered() {
        let ours = [
            "localhost",
            "LOCALHOST:9",
            "127.0.0.1:8445",
            "127.1.2.3",
            "[::1]:8445",
            "[::1]",
            "127.0.0.1:65535",
            "192.0.2.7:8445",
            "192.0.2.7",
            "Console.Example.org:443",
            "[::ffff:192.0.2.7]",
        ];
        for host in ours {
            assert!(calls(&[host], "/", &["console.example.org"]), "{host}");
        }
        let theirs = [
            "",
            "evil.example",
            "localhost.evil.example",
            "evil.example:8445",
            "127.0.0.1.evil.example",
            "192.0.2.8",
            "localhost@evil.example",
            "evil.example@localhost",
            "localhost/",
            "localhost:8445:1",
            "[::1",
            "local host",
            "localhost,evil.example",
            "localhost.",
            "127.0.0.1:8951.evil",
            "127.0.0.1:evil.example",
            "localhost:evil",
            "[::1]evil.com",
            "[::1]:",
            "127.0.0.1:",
            "127.0.0.1:99999",
            "127.0.0.1:+80",
            "127.0.0.1:-1",
            "[127.0.0.1]",
            "[localhost]",
            "::1",
            "::1:80",
            ":80",
            "[]:80",
        ];
        for host in theirs {
            assert!(!calls(&[host], "/", &["console.example.org"]), "{host}");
        }
        assert!(!calls(&[], "/", &[]) && !calls(&["localhost", "localhost"], "/", &[]));
        assert!(
            !calls(&["localhost"], "http://evil.example/", &[])
                && calls(&["localhost"], "http://127.0.0.1/", &[])
        );
    }

    #[test]
    fn another_sites_page_may_lead_here_and_no_more() {
        let may = |method: Method, pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            let mut headers: HeaderMap = pairs.collect();
            headers.insert(HOST, "localhost:1".parse().unwrap());
            may_send(&method, &headers)
        };
        let (site, mode) = ("sec-fetch-site", "sec-fetch-mode");
        assert!(may(Method::GET, &[]) && may(Method::POST, &[]));
        assert!(may(Method::GET, &[(site, "cross-site"), (mode, "navigate")]));
        assert!(!may(Method::GET, &[(site, "cross-site"), (mode, "no-cors")]));
        assert!(!may(Method::GET, &[(site, "same-site"), (mode, "cors")]));
        assert!(!may(Method::POST, &[(site, "cross-site"), (mode, "navigate")]));
        assert!(may(Method::POST, &[(site, "same-origin"), ("origin", "http://localhost:1")]));
        assert!(may(Method::POST, &[("origin", "https://LOCALHOST:1")]));
        for origin in
            ["null", "http://localhost", "http://localhost:2", "http://evil.example", "localhost:1", ""]
        {
            assert!(!may(Method::POST, &[("origin", origin)]), "{origin}");
            assert!(!may(Method::DELETE, &[("origin", origin)]), "{origin}");
        }
    }

    #[test]
    fn nobody_is_led_elsewhere() {
        for here in ["/", "/samples?range=24h&cursor=a%2Fb", "/incidents/1#x"] {
            assert_eq!(path_here(here), here);
        }
        let elsewhere = [
            "",
            "//evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "https://evil.example",
            "evil.example",
            "/\t/evil.example",
            "/a\r\nSet-Cookie: x=y",
            "javascript:alert(1)",
            "/login?next=/",
            "/logout",
            "/\u{e9}",
            " /",
            "/a b",
        ];
        for next in elsewhere {
            assert_eq!(path_here(next), "/", "{next:?}");
        }
        assert_eq!(path_here(&format!("/{}", "a".repeat(3000))), "/");
    }
}
