//! YARA rules over every layer: ours, and those of the user.

use serde::{Deserialize, Serialize};

/// A file of rules, read by whoever may read files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleFile {
    /// Its name, for hits and errors.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// A file that does not compile. The others work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleError {
    /// The file's name.
    pub file: String,
    /// The line, from 1; 0 where it is none in particular.
    pub line: u32,
    /// What is wrong.
    pub what: String,
}

/// A rule that fits a layer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hit {
    /// The rule's name.
    pub rule: String,
    /// The file that it stands in; `builtin` for ours.
    pub file: String,
    /// By whom, as its `author` says.
    pub author: String,
    /// Under which licence, as its `license` says.
    pub licence: String,
    /// What it is for, as its `description` says.
    pub description: String,
    /// The family that it stands for, as its `family` says; may be empty.
    pub family: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// Where the first of its strings stand in the layer, in bytes.
    pub at: Vec<u64>,
}

/// Compiled rules.
#[derive(Debug, Default)]
pub struct Rules {
    digest: String,
}

impl Rules {
    /// Our own rules and `files`; what does not compile is told and left out, a file at a time.
    pub fn compile(_files: &[RuleFile]) -> (Self, Vec<RuleError>) {
        (Self::default(), Vec::new())
    }

    /// Names the set: changes when any rule does. 16 hexadecimal digits.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The rules that fit `bytes`.
    pub fn scan(&self, _bytes: &[u8]) -> Vec<Hit> {
        Vec::new()
    }
}
