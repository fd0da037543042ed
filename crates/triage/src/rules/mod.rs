//! YARA rules over every layer: ours, and those of the user.

mod builtin;
mod compile;

use boreal::scanner::{EvaluatedRule, ScanParams};
use boreal::{Metadata, MetadataValue, Scanner};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Offsets that a hit names.
const PLACES_MAX: usize = 8;
/// Matches of one string that the engine looks for; more tell nothing new and cost memory.
const MATCHES_MAX: u32 = 1000;
/// Bytes of a match that the engine copies; nobody reads them.
const MATCH_BYTES_MAX: usize = 16;
/// How long one layer is scanned. Own rules need milliseconds; a user's worst rule on a hostile file must not use
/// up the time of the whole sample.
const TIMEOUT: Duration = Duration::from_secs(5);

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
    /// How sure its author is that the family is right: `high`, `medium`, or `low` for a shape that others have
    /// too; empty where it does not say.
    pub confidence: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// Where the first of its strings stand in the layer, in bytes.
    pub at: Vec<u64>,
}

/// Compiled rules.
#[derive(Debug, Default)]
pub struct Rules {
    digest: String,
    /// The file of each namespace, by its number.
    files: Vec<String>,
    scanner: Option<Scanner>,
}

impl Rules {
    /// Our own rules and `files`; what does not compile is told and left out, a file at a time.
    pub fn compile(files: &[RuleFile]) -> (Self, Vec<RuleError>) {
        let digest = compile::digest(files);
        let (mut scanner, files, errors) = compile::compile(files);
        scanner.set_scan_params(
            ScanParams::default()
                .timeout_duration(Some(TIMEOUT))
                .string_max_nb_matches(MATCHES_MAX)
                .match_max_length(MATCH_BYTES_MAX),
        );
        (Self { digest, files, scanner: Some(scanner) }, errors)
    }

    /// Names the set: changes when any rule or the reference data do. 16 hexadecimal digits.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The rules that fit `bytes`. What takes too long is left out.
    pub fn scan(&self, bytes: &[u8]) -> Vec<Hit> {
        let Some(scanner) = &self.scanner else { return Vec::new() };
        let found = match scanner.scan_mem(bytes) {
            Ok(found) => found,
            Err((_, partial)) => partial,
        };
        found
            .rules
            .iter()
            .map(|rule| Hit {
                at: places(rule),
                ..self.hit(scanner, rule.name, rule.namespace, rule.metadatas, rule.tags)
            })
            .collect()
    }

    /// Every rule that can fit, as a hit that is nowhere.
    pub fn list(&self) -> Vec<Hit> {
        let Some(scanner) = &self.scanner else { return Vec::new() };
        let public = scanner.rules().filter(|rule| !rule.is_private);
        public.map(|rule| self.hit(scanner, rule.name, rule.namespace, rule.metadatas, rule.tags)).collect()
    }

    fn hit(
        &self,
        scanner: &Scanner,
        name: &str,
        namespace: &str,
        metadata: &[Metadata],
        tags: &[boreal::StringSymbol],
    ) -> Hit {
        let file = namespace.parse().ok().and_then(|number: usize| self.files.get(number));
        let mut hit = Hit {
            rule: name.to_owned(),
            file: file.cloned().unwrap_or_default(),
            tags: tags.iter().map(|tag| scanner.get_string_symbol(*tag).to_owned()).collect(),
            ..Hit::default()
        };
        for entry in metadata {
            let MetadataValue::Bytes(value) = entry.value else { continue };
            let field = match scanner.get_string_symbol(entry.name).to_ascii_lowercase().as_str() {
                "author" => &mut hit.author,
                "license" | "licence" => &mut hit.licence,
                "description" | "desc" => &mut hit.description,
                "family" | "malware_family" => &mut hit.family,
                "confidence" => &mut hit.confidence,
                _ => continue,
            };
            *field = String::from_utf8_lossy(scanner.get_bytes_symbol(value)).into_owned();
        }
        hit
    }
}

/// Where the first matches of the rule's strings stand, in order.
fn places(rule: &EvaluatedRule<'_>) -> Vec<u64> {
    let matches = rule.matches.iter().flat_map(|string| string.matches.iter().take(PLACES_MAX));
    let mut at: Vec<u64> = matches.filter_map(|found| u64::try_from(found.offset).ok()).collect();
    at.sort_unstable();
    at.dedup();
    at.truncate(PLACES_MAX);
    at
}

#[cfg(test)]
mod tests;
