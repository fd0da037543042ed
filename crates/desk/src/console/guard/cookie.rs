//! Two cookies: one for who has logged in, one that a form's token is bound to before that.

use super::secret::Secret;
use crate::console::server::Peer;
use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};

/// Cookies of one name that are looked at; a browser may send what others have set beside ours.
const SAME_MAX: usize = 8;

/// Which cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Who has logged in. It does not come along when another site leads here.
    Session,
    /// A browser, for the tokens of forms. It comes along then, so that it is not replaced, but never with a
    /// form of another site.
    Form,
}

impl Kind {
    /// A browser keeps one set of cookies for all ports of a machine, hence the port in the name.
    fn name(self, peer: &Peer) -> String {
        // RFC 6265bis, 4.1.3.2: a browser takes `__Host-` only over TLS, for this host alone and for every
        // path.
        let prefix = if peer.tls { "__Host-" } else { "" };
        let kind = if self == Self::Session { "session" } else { "form" };
        format!("{prefix}roridula-{kind}-{}", peer.local.port())
    }

    /// What the request brings under this name.
    pub(crate) fn of(self, headers: &HeaderMap, peer: &Peer) -> Vec<Secret> {
        let name = self.name(peer);
        let lines = headers.get_all(COOKIE).into_iter().filter_map(|line| line.to_str().ok());
        let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs
            .filter(|(found, _)| *found == name)
            .take(SAME_MAX)
            .filter_map(|(_, value)| Secret::parse(value))
            .collect()
    }

    /// Tells the browser to keep it for so many seconds; 0 takes it away.
    pub(crate) fn set(self, secret: &Secret, peer: &Peer, secs: u64) -> HeaderValue {
        let same_site = if self == Self::Session { "Strict" } else { "Lax" };
        let secure = if peer.tls { "; Secure" } else { "" };
        let name = self.name(peer);
        let value = secret.text();
        let text = format!("{name}={value}; Path=/; HttpOnly; SameSite={same_site}; Max-Age={secs}{secure}");
        // Letters, digits and punctuation of ours: it always is a header.
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_is_found_among_others() {
        let peer = Peer { tls: true, ..Peer::default() };
        let (one, two) = (Secret::random(), Secret::random());
        let mut headers = HeaderMap::new();
        let line = format!("a=b; __Host-roridula-session-0={};x;__Host-roridula-session-0=zz", one.text());
        headers.append(COOKIE, line.parse().unwrap());
        headers.append(COOKIE, format!("__Host-roridula-session-0={}", two.text()).parse().unwrap());
        assert_eq!(Kind::Session.of(&headers, &peer), [one, two]);
        assert_eq!(Kind::Form.of(&headers, &peer), []);
        assert_eq!(Kind::Session.of(&headers, &Peer::default()), [], "without TLS it has another name");
        let many = format!("roridula-form-0={}; ", Secret::random().text()).repeat(1000);
        headers.append(COOKIE, many.parse().unwrap());
        assert_eq!(Kind::Form.of(&headers, &Peer::default()).len(), SAME_MAX);
    }
}
