//! `[console]`: where it listens, by which names, who may come in, and how much anybody may use.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// The port that the console has by default.
pub const PORT: u16 = 8445;

/// `[console]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConsoleSettings {
    /// Where it listens.
    pub listen: Listen,
    /// Names besides this machine's own by which a browser may call it.
    pub hosts: Vec<String>,
    /// Whether it speaks TLS.
    pub tls: Tls,
    /// A certificate with its chain (PEM), in place of a self-made one.
    pub certificate: Option<PathBuf>,
    /// The certificate's private key (PEM).
    pub key: Option<PathBuf>,
    /// A country or AS database (mmdb), or a directory of them.
    pub geo: Option<PathBuf>,
    /// Connections open at once; others wait. One address may have a quarter of them.
    pub connections_max: u32,
    /// Bytes of a request's body.
    pub request_bytes_max: u32,
    /// A connection that neither sends nor takes anything for so long is closed; a request's body has as long, its
    /// head ten seconds of it.
    pub idle_secs: u64,
    /// Sessions open at once; one more ends the one that was not used for the longest time.
    pub sessions_max: u32,
    /// A session that is not used for so long ends.
    pub session_idle_secs: u64,
    /// A session ends after so long.
    pub session_secs: u64,
    /// Log-ins that one address may try in a minute; all addresses together may try [`LOGINS_FACTOR`] times
    /// as many.
    pub logins_per_minute: u32,
}

/// How many addresses may use up their log-ins before nobody may try any more.
pub const LOGINS_FACTOR: u32 = 6;

impl Default for ConsoleSettings {
    fn default() -> Self {
        Self {
            listen: Listen::default(),
            hosts: Vec::new(),
            tls: Tls::default(),
            certificate: None,
            key: None,
            geo: None,
            connections_max: 256,
            request_bytes_max: 64 * 1024,
            idle_secs: 20,
            sessions_max: 64,
            session_idle_secs: 8 * 3600,
            session_secs: 7 * 24 * 3600,
            logins_per_minute: 10,
        }
    }
}

impl ConsoleSettings {
    /// Whether only this machine reaches it: a loopback address, and no name that others call it by.
    pub fn is_private(&self) -> bool {
        let loopback = |address: SocketAddr| address.ip().to_canonical().is_loopback();
        self.listen.address().is_none_or(loopback) && self.hosts.is_empty()
    }

    /// Numbers with bounds: the setting, its value, the least and the most.
    pub fn ranges(&self) -> [(&'static str, u64, u64, u64); 7] {
        const YEAR: u64 = 366 * 86_400;
        [
            ("console.connections_max", self.connections_max.into(), 4, 100_000),
            ("console.request_bytes_max", self.request_bytes_max.into(), 4096, 1 << 24),
            ("console.idle_secs", self.idle_secs, 1, 3600),
            ("console.sessions_max", self.sessions_max.into(), 1, 10_000),
            ("console.session_idle_secs", self.session_idle_secs, 10, YEAR),
            ("console.session_secs", self.session_secs, 10, YEAR),
            ("console.logins_per_minute", self.logins_per_minute.into(), 1, 10_000),
        ]
    }

    /// What is wrong with the rest: the setting, and what would be right.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        if let Some(host) = self.hosts.iter().find(|host| !is_host(host)) {
            found.push((
                "console.hosts",
                format!("`{host}` is no name of a host; write it as console.example.org"),
            ));
        }
        if self.certificate.is_some() != self.key.is_some() {
            found.push((
                "console.certificate",
                "belongs together with console.key: set both or none".to_owned(),
            ));
        }
        if self.tls != Tls::Auto && self.certificate.is_some() {
            found.push(("console.tls", "is `auto` where a certificate is given".to_owned()));
        }
        found
    }
}

/// A name or an address as a `Host` header has it, without a port.
fn is_host(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let address = text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    (1..=253).contains(&text.len()) && (text.bytes().all(fits) || address.is_ok())
}

/// An address, or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Listen {
    /// There is no console.
    Off,
    /// Here.
    At(SocketAddr),
}

impl Listen {
    /// Where, if anywhere.
    pub fn address(self) -> Option<SocketAddr> {
        match self {
            Self::Off => None,
            Self::At(address) => Some(address),
        }
    }
}

impl Default for Listen {
    fn default() -> Self {
        Self::At(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), PORT))
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::At(address) => address.fmt(f),
        }
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let address = text.parse().map_err(|_| format!("`{text}` is neither ADDR:PORT nor `off`"))?;
        Ok(Self::At(address))
    }
}

impl TryFrom<String> for Listen {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Listen> for String {
    fn from(listen: Listen) -> Self {
        listen.to_string()
    }
}

/// Whether the console speaks TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tls {
    /// With a given certificate; else with a self-made one, but on a loopback address not at all.
    #[default]
    Auto,
    /// Never: something in front of it does.
    Off,
    /// With a certificate of its own making, on a loopback address too.
    SelfMade,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_reach_is_not_private() {
        let at = |listen: &str, hosts: &[&str]| ConsoleSettings {
            listen: listen.parse().unwrap(),
            hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
            ..ConsoleSettings::default()
        };
        for private in ["127.0.0.1:8445", "[::1]:1", "127.9.9.9:1", "[::ffff:127.0.0.1]:1", "off"] {
            assert!(at(private, &[]).is_private(), "{private}");
        }
        for open in ["0.0.0.0:8445", "[::]:8445", "192.0.2.1:8445", "[::ffff:192.0.2.1]:8445"] {
            assert!(!at(open, &[]).is_private(), "{open}");
        }
        assert!(!at("127.0.0.1:8445", &["console.example.org"]).is_private());
    }

    #[test]
    fn wrong_values_are_named() {
        let settings = ConsoleSettings {
            hosts: vec!["a b\r\nX: y".to_owned()],
            certificate: Some("c.pem".into()),
            tls: Tls::Off,
            ..ConsoleSettings::default()
        };
        let keys: Vec<_> = settings.problems().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["console.hosts", "console.certificate", "console.tls"]);
        for right in ["console.example.org", "192.0.2.1", "2001:db8::1", "[2001:db8::1]"] {
            assert!(is_host(right), "{right}");
        }
        assert!("localhost:1".parse::<Listen>().is_err() && "OFF".parse::<Listen>().is_err());
    }
}
