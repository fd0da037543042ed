//! `[lookup]`: what may be asked, whom, how often.

use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::path::PathBuf;

/// `[lookup]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LookupSettings {
    /// Time for one request, from the name's resolution to the answer's last byte.
    pub timeout_secs: u64,
    /// How long what a service knows is taken as it was told.
    pub found_days: u64,
    /// When a service that did not know a hash is asked again; then after twice as long, and so on.
    pub unknown_days: u64,
    /// `[lookup.virustotal]`
    pub virustotal: VirusTotalSettings,
    /// `[lookup.malwarebazaar]`
    pub malwarebazaar: MalwareBazaarSettings,
}

impl Default for LookupSettings {
    fn default() -> Self {
        Self {
            timeout_secs: 30,
            found_days: 30,
            unknown_days: 7,
            virustotal: VirusTotalSettings::default(),
            malwarebazaar: MalwareBazaarSettings::default(),
        }
    }
}

/// `[lookup.virustotal]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VirusTotalSettings {
    /// Whether it is asked at all.
    pub enabled: bool,
    /// Where it is.
    pub base_url: String,
    /// A file with the key, in place of the environment's.
    pub key_file: Option<PathBuf>,
    /// Requests in any 60 seconds. 4 is what a free key may: <https://docs.virustotal.com/reference/public-vs-premium-api>.
    pub per_minute: u32,
    /// Requests in any 24 hours. 500 is what a free key may.
    pub per_day: u32,
    /// Whether files that it knows by no hash are handed to it, which publishes them.
    pub upload: bool,
}

impl Default for VirusTotalSettings {
    fn default() -> Self {
        Self {
            enabled: false,
            base_url: "https://www.virustotal.com".to_owned(),
            key_file: None,
            per_minute: 4,
            per_day: 500,
            upload: false,
        }
    }
}

/// `[lookup.malwarebazaar]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MalwareBazaarSettings {
    /// Whether it is asked at all.
    pub enabled: bool,
    /// Where it is.
    pub base_url: String,
    /// A file with the key, in place of the environment's.
    pub key_file: Option<PathBuf>,
    /// Requests in any 60 seconds.
    pub per_minute: u32,
    /// Requests in any 24 hours.
    pub per_day: u32,
}

impl Default for MalwareBazaarSettings {
    fn default() -> Self {
        Self {
            enabled: false,
            base_url: "https://mb-api.abuse.ch".to_owned(),
            key_file: None,
            per_minute: 4,
            per_day: 500,
        }
    }
}

impl LookupSettings {
    /// Whether anybody is asked.
    pub fn enabled(&self) -> bool {
        self.virustotal.enabled || self.malwarebazaar.enabled
    }

    /// What is wrong with the addresses: the setting, and what would be right.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let urls = [
            ("lookup.virustotal.base_url", &self.virustotal.base_url),
            ("lookup.malwarebazaar.base_url", &self.malwarebazaar.base_url),
        ];
        urls.into_iter().filter_map(|(key, url)| Some((key, base_url_problem(url)?))).collect()
    }
}

/// A key is never sent in the clear, but to this machine.
fn base_url_problem(url: &str) -> Option<String> {
    const WANTED: &str = "an address as https://HOST; http only for this machine, as http://127.0.0.1:8080";
    let (secure, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) => return Some(WANTED.to_owned()),
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let plain = url.chars().all(|c| c.is_ascii_graphic()) && !url.contains(['?', '#', '\\']);
    if authority.is_empty() || authority.contains('@') || !plain {
        return Some(WANTED.to_owned());
    }
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let here = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    (!secure && !here).then(|| WANTED.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_goes_in_the_clear_only_to_this_machine() {
        let right =
            ["https://www.virustotal.com", "http://127.0.0.1:81", "http://[::1]:81", "http://localhost"];
        for url in right {
            assert_eq!(base_url_problem(url), None, "{url}");
        }
        let wrong = [
            "http://www.virustotal.com",
            "http://127.0.0.1@evil.example",
            "http://127.0.0.1.evil.example",
            "www.virustotal.com",
            "https://",
            "https://a b",
            "ftp://127.0.0.1",
        ];
        for url in wrong {
            assert!(base_url_problem(url).is_some(), "{url}");
        }
    }
}
