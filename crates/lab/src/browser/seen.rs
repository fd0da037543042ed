//! What a page did and complained about, from the protocol's events.

use serde_json::Value;
use std::fmt;

/// The binding through which a page tells of violations of its policy.
pub(super) const TELL: &str = "__roridulaTell";

/// Something that a page should not have done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Complaint {
    /// `console.error` or `console.warn`, or what the browser logged of that kind.
    Console(String),
    /// An exception that nobody caught.
    Exception(String),
    /// A violation of its content security policy.
    Policy(String),
    /// `alert` and its kin: somebody's script ran.
    Dialog(String),
    /// The page died.
    Crash,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Console(text) => write!(f, "console: {text}"),
            Self::Exception(text) => write!(f, "exception: {text}"),
            Self::Policy(text) => write!(f, "policy: {text}"),
            Self::Dialog(text) => write!(f, "dialog: {text}"),
            Self::Crash => f.write_str("the page crashed"),
        }
    }
}

/// Everything that one session saw.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) complaints: Vec<Complaint>,
    /// Addresses asked for, in order.
    pub(super) requests: Vec<String>,
    /// Loaders whose document is loaded.
    pub(super) loaded: Vec<String>,
    /// Downloads that ended: their id, and whether they are whole.
    pub(super) downloads: Vec<(String, bool)>,
    /// The names under which downloads were offered, by their id.
    pub(super) offered: Vec<(String, String)>,
}

impl Seen {
    /// Takes an event in.
    pub(super) fn see(&mut self, method: &str, params: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        match method {
            "Network.requestWillBeSent" => self.requests.push(text(&params["request"]["url"])),
            "Network.webSocketCreated" => self.requests.push(text(&params["url"])),
            "Page.lifecycleEvent" if params["name"] == "load" => self.loaded.push(text(&params["loaderId"])),
            "Browser.downloadWillBegin" => {
                self.offered.push((text(&params["guid"]), text(&params["suggestedFilename"])));
            }
            "Browser.downloadProgress" if params["state"] != "inProgress" => {
                self.downloads.push((text(&params["guid"]), params["state"] == "completed"));
            }
            _ => self.complaints.extend(complaint(method, params)),
        }
    }
}

fn complaint(method: &str, params: &Value) -> Option<Complaint> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Some(match method {
        "Runtime.consoleAPICalled"
            if matches!(params["type"].as_str(), Some("error" | "assert" | "warning")) =>
        {
            let args = params["args"].as_array().into_iter().flatten();
            let words = args.map(|arg| match &arg["value"] {
                Value::Null => text(&arg["description"]),
                Value::String(word) => word.clone(),
                other => other.to_string(),
            });
            Complaint::Console(words.collect::<Vec<_>>().join(" "))
        }
        "Log.entryAdded" if matches!(params["entry"]["level"].as_str(), Some("error" | "warning")) => {
            let entry = &params["entry"];
            Complaint::Console(format!("{} ({})", text(&entry["text"]), text(&entry["url"])))
        }
        "Runtime.exceptionThrown" => {
            let details = &params["exceptionDetails"];
            let what = text(&details["exception"]["description"]);
            Complaint::Exception(if what.is_empty() { text(&details["text"]) } else { what })
        }
        "Runtime.bindingCalled" if params["name"] == TELL => Complaint::Policy(text(&params["payload"])),
        "Page.javascriptDialogOpening" => Complaint::Dialog(text(&params["message"])),
        "Inspector.targetCrashed" => Complaint::Crash,
        _ => return None,
    })
}
