//! YARA rules over every layer: ours, and those of the user.

mod builtin;
mod compile;

pub(crate) use builtin::families;

use boreal::memory::{FragmentedMemory, MemoryParams, Region, RegionDescription};
use boreal::scanner::{EvaluatedRule, ScanError, ScanParams, ScanResult};
use boreal::{Metadata, MetadataValue, Scanner};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::time::Duration;

/// Offsets that a hit names.
const PLACES_MAX: usize = 8;
/// Matches of one string that the engine looks for; more tell nothing new and cost memory.
const MATCHES_MAX: u32 = 1000;
/// Bytes of a match that the engine copies; nobody reads them.
const MATCH_BYTES_MAX: usize = 16;
/// How long one layer is scanned. Own rules need milliseconds; a user's worst rule on a hostile file must not use
/// up the time of the whole sample. The engine does not look at the clock inside of a regular expression: a user's
/// worst one ends when the worker is killed.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long for the rules of one file, where only their speed is asked.
const ALONE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long for a first report, which somebody waits for.
const FIRST_TIMEOUT: Duration = Duration::from_millis(500);
/// Tries for a scan that others left too little of the processor: the engine's clock runs on meanwhile. Each has this many
/// times the time of the one before.
const TRIES: u32 = 3;
const LONGER: u32 = 4;

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

/// Compiled rules: ours, and the user's apart, so that slow ones of the user cost nothing but themselves.
#[derive(Debug, Default)]
pub struct Rules {
    digest: String,
    own: Option<Set>,
    users: Option<Set>,
    left_out: Vec<String>,
    /// How long the user's have for one layer.
    time: Duration,
}

/// A scanner, its bounds, and the file of each of its namespaces by its number.
#[derive(Debug)]
struct Set {
    scanner: Scanner,
    params: ScanParams,
    files: Vec<String>,
}

/// What a scan brings.
type Found<'s> = Result<ScanResult<'s>, (ScanError, ScanResult<'s>)>;

impl Rules {
    /// Our own rules and `files`; what does not compile is told and left out, a file at a time.
    pub fn compile(files: &[RuleFile]) -> (Self, Vec<RuleError>) {
        Self::compile_but(files, Vec::new())
    }

    /// The same without the files of these names, which are too slow: a full report says so. It is the same set of rules.
    pub fn compile_but(files: &[RuleFile], left_out: Vec<String>) -> (Self, Vec<RuleError>) {
        let (scanner, names, mut errors) = compile::own();
        let own = Some(Set { scanner, params: params(), files: names });
        let kept: Vec<RuleFile> =
            files.iter().filter(|file| !left_out.contains(&file.name)).cloned().collect();
        let (users, wrong) = Self::users(&kept);
        errors.extend(wrong);
        (Self { digest: compile::digest(files), own, users, left_out, time: TIMEOUT }, errors)
    }

    /// The rules of `files` without ours, which have a second for one layer: how fast they are is asked so.
    pub fn compile_alone(files: &[RuleFile]) -> (Self, Vec<RuleError>) {
        let (users, errors) = Self::users(files);
        let digest = compile::digest(files);
        (Self { digest, own: None, users, left_out: Vec::new(), time: ALONE_TIMEOUT }, errors)
    }

    fn users(files: &[RuleFile]) -> (Option<Set>, Vec<RuleError>) {
        if files.is_empty() {
            return (None, Vec::new());
        }
        let (scanner, names, errors) = compile::of(files);
        // Otherwise the engine evaluates conditions before it looks for strings, also those that a string guards.
        let params = params().compute_full_matches(true);
        (Some(Set { scanner, params, files: names }), errors)
    }

    /// Names the set: changes when any rule or the reference data do. 16 hexadecimal digits.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The names of the user's files that are asked; empty where there are none.
    pub fn users_files(&self) -> &[String] {
        self.users.as_ref().map_or(&[], |set| &set.files)
    }

    /// The names of the user's files that are not asked, because they are too slow.
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// The rules that fit `bytes`, ours first. What takes too long is left out.
    pub fn scan(&self, bytes: &[u8]) -> Vec<Hit> {
        let (mut hits, _) = self.scan_own(bytes);
        hits.extend(self.scan_users(bytes).0);
        hits
    }

    /// Our own rules that fit `bytes`, and whether all of them were asked before the time was over.
    pub(crate) fn scan_own(&self, bytes: &[u8]) -> (Vec<Hit>, bool) {
        let scan = |set: &Set| set.scan(TIMEOUT, |scanner| scanner.scan_mem(bytes));
        self.own.as_ref().map_or((Vec::new(), true), scan)
    }

    /// The user's rules that fit `bytes`, and whether all of them were asked before the time was over.
    pub(crate) fn scan_users(&self, bytes: &[u8]) -> (Vec<Hit>, bool) {
        let scan = |set: &Set| set.scan(self.time, |scanner| scanner.scan_mem(bytes));
        self.users.as_ref().map_or((Vec::new(), true), scan)
    }

    /// Our own rules that fit these parts of `bytes` (in order, disjoint), in a first report's time, and whether all were
    /// asked. Places are those in `bytes`; its size is unknown to the rules, unless the parts are one.
    pub(crate) fn scan_parts(&self, bytes: &[u8], parts: Vec<Range<usize>>) -> (Vec<Hit>, bool) {
        let Some(set) = self.own.as_ref().filter(|_| !parts.is_empty()) else { return (Vec::new(), true) };
        set.scan(FIRST_TIMEOUT, |scanner| match parts.as_slice() {
            [whole] if whole.len() == bytes.len() => scanner.scan_mem(bytes),
            _ => scanner.scan_fragmented(Parts { bytes, parts: &parts, at: None }),
        })
    }

    /// Every rule that can fit, ours first, as a hit that is nowhere.
    pub fn list(&self) -> Vec<Hit> {
        self.own.iter().chain(&self.users).flat_map(Set::list).collect()
    }
}

fn params() -> ScanParams {
    ScanParams::default().string_max_nb_matches(MATCHES_MAX).match_max_length(MATCH_BYTES_MAX)
}

/// What `attempt` brings in `time`, and whether it came to its end; once more with a longer time for as long as it was
/// given less than half of its time to run. `used` is how long this thread has run.
fn patiently<T>(
    time: Duration,
    used: impl Fn() -> Duration,
    attempt: impl Fn(Duration) -> (T, bool),
) -> (T, bool) {
    let mut longer = time;
    for _ in 1..TRIES {
        let before = used();
        let (found, in_time) = attempt(longer);
        if in_time || used().saturating_sub(before).saturating_mul(2) >= time {
            return (found, in_time);
        }
        longer = longer.saturating_mul(LONGER);
    }
    attempt(longer)
}

/// How long this thread has run.
fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

impl Set {
    /// The rules that fit, and whether all of them were asked in this time of the processor.
    fn scan(&self, time: Duration, scan: impl Fn(&Scanner) -> Found<'_>) -> (Vec<Hit>, bool) {
        patiently(time, thread_time, |time| {
            let mut scanner = self.scanner.clone();
            scanner.set_scan_params(self.params.clone().timeout_duration(Some(time)));
            self.hits(scan(&scanner))
        })
    }

    fn list(&self) -> Vec<Hit> {
        let public = self.scanner.rules().filter(|rule| !rule.is_private);
        public.map(|rule| self.hit(rule.name, rule.namespace, rule.metadatas, rule.tags)).collect()
    }

    fn hits(&self, found: Found<'_>) -> (Vec<Hit>, bool) {
        let (found, in_time) = match found {
            Ok(found) => (found, true),
            Err((_, partial)) => (partial, false),
        };
        let hit = |rule: &EvaluatedRule<'_>| Hit {
            at: places(rule),
            ..self.hit(rule.name, rule.namespace, rule.metadatas, rule.tags)
        };
        (found.rules.iter().map(hit).collect(), in_time)
    }

    fn hit(&self, name: &str, namespace: &str, metadata: &[Metadata], tags: &[boreal::StringSymbol]) -> Hit {
        let scanner = &self.scanner;
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

/// Parts of bytes, as the engine reads memory with holes.
#[derive(Debug)]
struct Parts<'a> {
    bytes: &'a [u8],
    parts: &'a [Range<usize>],
    /// The part that is being read.
    at: Option<usize>,
}

impl FragmentedMemory for Parts<'_> {
    fn reset(&mut self) {
        self.at = None;
    }

    fn next(&mut self, _: &MemoryParams) -> Option<RegionDescription> {
        let at = self.at.map_or(0, |at| at.saturating_add(1));
        self.at = Some(at);
        let part = self.parts.get(at)?;
        Some(RegionDescription { start: part.start, length: part.len() })
    }

    fn fetch(&mut self, _: &MemoryParams) -> Option<Region<'_>> {
        let part = self.parts.get(self.at?)?;
        Some(Region { start: part.start, mem: self.bytes.get(part.clone())? })
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
