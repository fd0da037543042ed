//! What each service is asked and how its answers read.
//!
//! VirusTotal v3: <https://docs.virustotal.com/reference/file-info>, errors <https://docs.virustotal.com/reference/errors>.
//! MalwareBazaar: <https://bazaar.abuse.ch/api/>.

use super::{LookupSettings, Request, Response, Secret};
use roridula_proto::event::Text;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Bytes of the largest file that VirusTotal takes in a plain upload:
/// <https://docs.virustotal.com/reference/files-scan>.
pub const UPLOAD_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Characters of a name or a label that are kept.
const TEXT_MAX: usize = 120;
/// Tags that are kept.
const TAGS_MAX: usize = 16;

/// Who can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// <https://www.virustotal.com>
    VirusTotal,
    /// <https://bazaar.abuse.ch>
    MalwareBazaar,
}

/// What a service is asked with.
#[derive(Clone, Debug)]
pub struct Access {
    /// Who.
    pub service: Service,
    /// Where it is.
    pub base_url: String,
    /// The key.
    pub key: Secret,
    /// Requests in any 60 seconds.
    pub per_minute: u32,
    /// Requests in any 24 hours.
    pub per_day: u32,
    /// Whether unknown files are handed to it.
    pub upload: bool,
}

/// What a service knows of a hash. Its text is bounded and has no control characters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Engines that call it malicious, where engines were asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub malicious: Option<u64>,
    /// Engines that gave an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engines: Option<u64>,
    /// What it is called: a family, a signature.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// A file name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// When the service saw it first, UTC.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub first_seen: String,
    /// Tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Who brought it to the service.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reporter: String,
}

/// What an answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The hash is known.
    Found(Box<Summary>),
    /// The service does not know it.
    Unknown,
    /// A file was taken.
    Taken,
    /// The key is refused.
    Refused(String),
    /// Too many requests.
    Busy,
    /// Anything else.
    Fault(String),
}

impl Service {
    /// All of them, in the order in which they are asked.
    pub const ALL: [Self; 2] = [Self::VirusTotal, Self::MalwareBazaar];

    /// The word in the database and in the settings.
    pub fn id(self) -> &'static str {
        match self {
            Self::VirusTotal => "virustotal",
            Self::MalwareBazaar => "malwarebazaar",
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::VirusTotal => "VirusTotal",
            Self::MalwareBazaar => "MalwareBazaar",
        }
    }

    /// Its section of the settings.
    pub fn section(self) -> &'static str {
        match self {
            Self::VirusTotal => "lookup.virustotal",
            Self::MalwareBazaar => "lookup.malwarebazaar",
        }
    }

    /// Where its key stands in the environment.
    pub fn variable(self) -> &'static str {
        match self {
            Self::VirusTotal => "RORIDULA_VIRUSTOTAL_KEY",
            Self::MalwareBazaar => "RORIDULA_MALWAREBAZAAR_KEY",
        }
    }

    /// What a person opens to read about a hash.
    pub fn link(self, sha256: &str) -> String {
        match self {
            Self::VirusTotal => format!("https://www.virustotal.com/gui/file/{sha256}"),
            Self::MalwareBazaar => format!("https://bazaar.abuse.ch/sample/{sha256}/"),
        }
    }

    /// How it is asked; `None` where it is not enabled.
    pub fn access(
        self,
        settings: &LookupSettings,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Option<Result<Access, super::LookupError>> {
        let (vt, mb) = (&settings.virustotal, &settings.malwarebazaar);
        let (enabled, base_url, file, per_minute, per_day, upload) = match self {
            Self::VirusTotal => {
                (vt.enabled, &vt.base_url, &vt.key_file, vt.per_minute, vt.per_day, vt.upload)
            }
            Self::MalwareBazaar => (mb.enabled, &mb.base_url, &mb.key_file, mb.per_minute, mb.per_day, false),
        };
        if !enabled {
            return None;
        }
        let key = Secret::find(self.section(), file.as_deref(), self.variable(), environment);
        let base_url = base_url.trim_end_matches('/').to_owned();
        Some(key.map(|key| Access { service: self, base_url, key, per_minute, per_day, upload }))
    }
}

impl Access {
    fn request(&self, path: &str, body: Option<(String, Vec<u8>)>) -> Request {
        let header = match self.service {
            Service::VirusTotal => "x-apikey",
            Service::MalwareBazaar => "Auth-Key",
        };
        Request { url: format!("{}{path}", self.base_url), header, key: self.key.clone(), body }
    }

    /// Asks for a hash.
    pub(super) fn ask(&self, sha256: &str) -> Request {
        match self.service {
            Service::VirusTotal => self.request(&format!("/api/v3/files/{sha256}"), None),
            Service::MalwareBazaar => {
                let form = format!("query=get_info&hash={sha256}").into_bytes();
                self.request("/api/v1/", Some(("application/x-www-form-urlencoded".to_owned(), form)))
            }
        }
    }

    /// Hands over a file under its hash.
    pub(super) fn hand_over(&self, sha256: &str, bytes: &[u8]) -> Request {
        // 64 hexadecimal digits of a hash of the content: the content does not hold it.
        let boundary = format!("roridula-{sha256}");
        let mut body = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{sha256}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        )
        .into_bytes();
        body.extend_from_slice(bytes);
        body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        self.request("/api/v3/files", Some((format!("multipart/form-data; boundary={boundary}"), body)))
    }
}

/// Reads the answer to a hash or to a file.
pub(super) fn read(service: Service, response: &Response) -> Answer {
    let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    let status = response.status;
    let code = |at: &str| body.pointer(at).and_then(Value::as_str).unwrap_or_default();
    match status {
        401 | 403 => {
            let why = [code("/error/code"), code("/query_status"), code("/error")];
            let why = why.into_iter().find(|why| !why.is_empty()).unwrap_or("no reason given");
            Answer::Refused(format!("HTTP {status}, {}", text(why)))
        }
        429 => Answer::Busy,
        200 => match service {
            Service::VirusTotal => virustotal(&body),
            Service::MalwareBazaar => malwarebazaar(&body),
        },
        // Not any 404: a wrong address answers so too.
        404 if service == Service::VirusTotal && code("/error/code") == "NotFoundError" => Answer::Unknown,
        300..=399 => Answer::Fault(format!("HTTP {status}: a redirect, which is not followed")),
        _ => Answer::Fault(format!("HTTP {status} {}", text(code("/error/code"))).trim_end().to_owned()),
    }
}

/// Whether an answer to `sha256` is about that file, as far as it says which one it is about.
pub(super) fn is_about(service: Service, response: &Response, sha256: &str) -> bool {
    let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    let places: &[&str] = match service {
        Service::VirusTotal => &["/data/id", "/data/attributes/sha256"],
        Service::MalwareBazaar => &["/data/0/sha256_hash"],
    };
    let mut told = places.iter().filter_map(|place| body.pointer(place)?.as_str());
    told.all(|told| told.eq_ignore_ascii_case(sha256))
}

fn virustotal(body: &Value) -> Answer {
    let data = &body["data"];
    if data["type"] == "analysis" {
        return Answer::Taken;
    }
    let about = &data["attributes"];
    let Some(stats) = about["last_analysis_stats"].as_object() else {
        return Answer::Fault("an answer that is not VirusTotal's".to_owned());
    };
    let count = |name: &str| stats.get(name).and_then(Value::as_u64).unwrap_or(0);
    let answered = ["malicious", "suspicious", "undetected", "harmless"];
    let engines = answered.iter().fold(0u64, |sum, name| sum.saturating_add(count(name)));
    let label = shown(&about["popular_threat_classification"]["suggested_threat_label"]);
    let name = match shown(&about["meaningful_name"]) {
        name if name.is_empty() => shown(&about["names"][0]),
        name => name,
    };
    Answer::Found(Box::new(Summary {
        malicious: Some(count("malicious")),
        engines: Some(engines),
        label,
        name,
        first_seen: about["first_submission_date"].as_u64().map_or(String::new(), moment),
        tags: tags(&about["tags"]),
        reporter: String::new(),
    }))
}

fn malwarebazaar(body: &Value) -> Answer {
    match body["query_status"].as_str().unwrap_or_default() {
        "ok" if body["data"][0].is_object() => {
            let about = &body["data"][0];
            Answer::Found(Box::new(Summary {
                malicious: None,
                engines: None,
                label: shown(&about["signature"]),
                name: shown(&about["file_name"]),
                first_seen: shown(&about["first_seen"]),
                tags: tags(&about["tags"]),
                reporter: shown(&about["reporter"]),
            }))
        }
        "hash_not_found" | "no_results" => Answer::Unknown,
        status if status.contains("auth_key") || status == "user_blacklisted" => {
            Answer::Refused(text(status))
        }
        "" | "ok" => Answer::Fault("an answer that is not MalwareBazaar's".to_owned()),
        status => Answer::Fault(text(status)),
    }
}

fn moment(secs: u64) -> String {
    // Beyond the year 9999 it is no date.
    if secs > 253_402_300_799 {
        return String::new();
    }
    let at = roridula_evidence::rfc3339(roridula_proto::time::WallClock(secs.saturating_mul(1_000_000)));
    at.get(..19).unwrap_or_default().replace('T', " ")
}

fn tags(value: &Value) -> Vec<String> {
    let all = value.as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().take(TAGS_MAX).map(shown).filter(|tag| !tag.is_empty()).collect()
}

fn shown(value: &Value) -> String {
    value.as_str().map_or(String::new(), text)
}

/// A service's text, which an attacker may have chosen (file names are): short, on one line, no terminal's codes.
fn text(value: &str) -> String {
    value.chars().take(TEXT_MAX).map(|c| if Text::shows(c) { c } else { '?' }).collect()
}
