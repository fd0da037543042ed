//! Settings from a file and from the command line, with complaints that say where and what to do.

use super::Settings;
use serde::Deserialize;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// Where settings come from; later ones win.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    texts: Vec<(Origin, String)>,
}

#[derive(Clone, Debug)]
enum Origin {
    File(PathBuf),
    Set(String),
}

/// Everything that is wrong with the settings, one line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SettingsError(pub(crate) Vec<String>);

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for SettingsError {}

impl Sources {
    /// Adds a file's text.
    pub(crate) fn file(&mut self, path: &Path) -> Result<(), SettingsError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| SettingsError(vec![format!("{}: cannot be read: {error}", path.display())]))?;
        self.texts.push((Origin::File(path.to_owned()), text));
        Ok(())
    }

    /// Adds one `KEY=VALUE`. The value is TOML; what is no TOML is a string, and a list where one is wanted.
    pub(crate) fn set(&mut self, assignment: &str) -> Result<(), SettingsError> {
        let wrong = |what: &str| Err(SettingsError(vec![format!("--set {assignment}: {what}")]));
        let Some((key, value)) = assignment.split_once('=') else {
            return wrong("write it as KEY=VALUE, as in --set implant.arch=x86");
        };
        let (key, value) = (key.trim(), value.trim());
        if key.is_empty() || !key.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c)) {
            return wrong("the key is a setting's name with its section, as in --set implant.arch=x86");
        }
        let quoted = toml::Value::from(value).to_string();
        let list: Vec<_> = value.split(',').map(|item| toml::Value::from(item.trim())).collect();
        let forms = [
            format!("{key} = {value}"),
            format!("{key} = {quoted}"),
            format!("{key} = {}", toml::Value::from(list)),
        ];
        // A line break would let a value bring further settings along.
        let single_line = forms.iter().filter(|form| !form.contains('\n'));
        let fits = single_line.clone().find(|form| toml::from_str::<Settings>(form).is_ok());
        // Where nothing fits, the first form that is TOML gives the best complaint.
        let chosen = fits.or_else(|| single_line.clone().find(|form| DeTable::parse(form).is_ok()));
        let Some(text) = chosen else { return wrong("the value cannot be read") };
        self.texts.push((Origin::Set(assignment.to_owned()), text.clone()));
        Ok(())
    }

    /// All of them together, over the defaults.
    pub(crate) fn load(&self) -> Result<Settings, SettingsError> {
        let mut wrong = Vec::new();
        let mut merged = toml::Table::new();
        for (origin, text) in &self.texts {
            let found = complaints(origin, text);
            if found.is_empty()
                && let Ok(table) = text.parse::<toml::Table>()
            {
                merge(&mut merged, table);
            }
            wrong.extend(found);
        }
        if !wrong.is_empty() {
            return Err(SettingsError(wrong));
        }
        let settings = Settings::deserialize(merged)
            .map_err(|error| SettingsError(vec![format!("settings: {}", error.message())]))?;
        let problems = settings.problems();
        if problems.is_empty() {
            return Ok(settings);
        }
        let lines = problems
            .iter()
            .map(|problem| format!("{}{}: {}", self.place(problem.key), problem.key, problem.what));
        Err(SettingsError(lines.collect()))
    }

    /// Where a setting got its value: the last source that has it.
    fn place(&self, key: &str) -> String {
        let mut sources = self.texts.iter().rev();
        sources
            .find_map(|(origin, text)| {
                let table = DeTable::parse(text).ok()?;
                let (_, span) = leaves(table.get_ref()).into_iter().find(|(path, _)| path == key)?;
                Some(at(origin, text, span.start))
            })
            .unwrap_or_else(|| "default: ".to_owned())
    }
}

/// `FILE:LINE: ` or `--set …: `.
fn at(origin: &Origin, text: &str, offset: usize) -> String {
    match origin {
        Origin::File(path) => {
            let line = text.bytes().take(offset).filter(|&byte| byte == b'\n').count() + 1;
            format!("{}:{line}: ", path.display())
        }
        Origin::Set(assignment) => format!("--set {assignment}: "),
    }
}

/// What is wrong with one source's text.
fn complaints(origin: &Origin, text: &str) -> Vec<String> {
    let table = match DeTable::parse(text) {
        Ok(table) => table,
        Err(error) => {
            let place = at(origin, text, error.span().map_or(0, |span| span.start));
            return vec![format!("{place}not TOML: {}", error.message())];
        }
    };
    let known = known();
    let leaves = leaves(table.get_ref());
    let unknown: Vec<_> = leaves
        .iter()
        .filter(|(path, _)| !known.iter().any(|(key, _)| key == path))
        .map(|(path, span)| {
            format!("{}`{path}` is no setting{}", at(origin, text, span.start), nearest(path, &known))
        })
        .collect();
    if !unknown.is_empty() {
        return unknown;
    }
    let Err(error) = toml::from_str::<Settings>(text) else { return Vec::new() };
    let start = error.span().map_or(0, |span| span.start);
    let leaf = leaves.iter().find(|(_, span)| span.contains(&start));
    let name = leaf.map_or(String::new(), |(path, _)| format!("{path}: "));
    let example = leaf
        .and_then(|(path, _)| known.iter().find(|(key, _)| key == path))
        .map_or(String::new(), |(_, default)| format!("; for example {default}"));
    vec![format!("{}{name}{}{example}", at(origin, text, start), error.message())]
}

/// Every value of a document: its path and where it stands, from its key to its end.
fn leaves(table: &DeTable<'_>) -> Vec<(String, Range<usize>)> {
    let mut found = Vec::new();
    for (key, value) in table {
        match value.get_ref() {
            DeValue::Table(inner) if !inner.is_empty() => {
                let below = leaves(inner).into_iter();
                found.extend(below.map(|(path, span)| (format!("{}.{path}", key.get_ref()), span)));
            }
            // An empty section of a right name says nothing; of a wrong name it is a leaf and refused.
            DeValue::Table(_)
                if known().iter().any(|(path, _)| path.starts_with(&format!("{}.", key.get_ref()))) => {}
            _ => found.push((key.get_ref().to_string(), key.span().start..value.span().end)),
        }
    }
    found
}

/// Every setting: its path and a right value for it.
fn known() -> Vec<(String, String)> {
    let mut full = Settings { run_as: Some("roridula".to_owned()), ..Settings::default() };
    full.implant.key_seed = Some(0xe536_d014);
    full.json_log.path = Some(PathBuf::from("/var/log/roridula/events.jsonl"));
    full.lookup.virustotal.key_file = Some(PathBuf::from("/etc/roridula/virustotal.key"));
    full.lookup.malwarebazaar.key_file = Some(PathBuf::from("/etc/roridula/malwarebazaar.key"));
    full.console.certificate = Some(PathBuf::from("/etc/roridula/console.pem"));
    full.console.key = Some(PathBuf::from("/etc/roridula/console.key"));
    full.console.geo = Some(PathBuf::from("/usr/share/GeoIP"));
    let mut all = Vec::new();
    if let Ok(table) = toml::Table::try_from(full) {
        walk(&table, "", &mut all);
    }
    all
}

fn walk(table: &toml::Table, prefix: &str, all: &mut Vec<(String, String)>) {
    for (name, value) in table {
        match value {
            toml::Value::Table(inner) => walk(inner, &format!("{prefix}{name}."), all),
            _ => all.push((format!("{prefix}{name}"), value.to_string())),
        }
    }
}

fn merge(into: &mut toml::Table, from: toml::Table) {
    for (name, value) in from {
        match (into.get_mut(&name), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(value)) => merge(below, value),
            (_, value) => {
                into.insert(name, value);
            }
        }
    }
}

/// The setting that was probably meant.
fn nearest(path: &str, known: &[(String, String)]) -> String {
    let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
    let near = |key: &str| distance(path, key).min(distance(&last(path), &last(key)) + 1);
    // Of equals, the one in whose section it was looked for.
    match known.iter().map(|(key, _)| (near(key), distance(path, key), key)).min() {
        Some((steps, _, key)) if steps <= 1 + path.len() / 4 => format!("; did you mean `{key}`?"),
        _ => "; `roridula config` shows them all".to_owned(),
    }
}

/// Levenshtein's distance: single-character edits between two names.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let change = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use roridula_proto::connection::Arch;

    fn load(file: &str, sets: &[&str]) -> Result<Settings, String> {
        let mut sources = Sources::default();
        sources.texts.push((Origin::File("r.toml".into()), file.to_owned()));
        for set in sets {
            sources.set(set).map_err(|error| error.to_string())?;
        }
        sources.load().map_err(|error| error.to_string())
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        let sets =
            ["implant.arch=x86", "implant.key_seed=0xE536D014", "listen=127.0.0.1:1,[::1]:2", "sensor=123"];
        let settings = load("[implant]\narch = \"x64\"\ndormant_secs = 5\n", &sets).unwrap();
        assert_eq!(settings.implant.arch, Arch::X86);
        assert_eq!(settings.implant.key_seed, Some(0xe536_d014));
        assert_eq!(settings.implant.dormant_secs, 5);
        assert_eq!(settings.listen.len(), 2);
        assert_eq!(settings.sensor, "123");
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_the_nearest_one() {
        let error = load("sensor = \"a\"\n\n[implant]\npolcy = \"absent\"\n[limit]\nidle_secs = 3\n", &[])
            .unwrap_err();
        assert_eq!(
            error,
            "r.toml:4: `implant.polcy` is no setting; did you mean `implant.policy`?\n\
             r.toml:6: `limit.idle_secs` is no setting; did you mean `limits.idle_secs`?"
        );
        let error = load("key_seed = 7\n", &[]).unwrap_err();
        assert_eq!(error, "r.toml:1: `key_seed` is no setting; did you mean `implant.key_seed`?");
        let error = load("[zzzzzzzz]\n", &[]).unwrap_err();
        assert_eq!(error, "r.toml:1: `zzzzzzzz` is no setting; `roridula config` shows them all");
    }

    #[test]
    fn a_bad_value_is_named_with_its_line_and_what_is_accepted() {
        let error = load("[implant]\narch = \"x64\"\npolicy = \"presnt\"\n", &[]).unwrap_err();
        assert!(error.starts_with("r.toml:3: implant.policy: unknown variant `presnt`"), "{error}");
        assert!(error.contains("`after-exploit`"), "{error}");
        let error = load("[limits]\nidle_secs = \"long\"\n", &[]).unwrap_err();
        assert!(error.starts_with("r.toml:2: limits.idle_secs: invalid type"), "{error}");
        assert!(error.ends_with("for example 120"), "{error}");
        let error = load("\n[limits]\nidle_secs = 0\n", &[]).unwrap_err();
        assert_eq!(error, "r.toml:3: limits.idle_secs: 0 is out of range: 1 to 31622400");
        let error = load("", &["implant.arch=arm"]).unwrap_err();
        assert!(error.starts_with("--set implant.arch=arm: implant.arch: unknown variant `arm`"), "{error}");
        let error = load("", &["implant.key_seed=0x1FFFFFFFF"]).unwrap_err();
        assert!(
            error.starts_with("--set implant.key_seed=0x1FFFFFFFF: implant.key_seed: invalid value"),
            "{error}"
        );
        assert!(load("", &["implant.arch"]).unwrap_err().contains("KEY=VALUE"));
        assert!(load("x = [\n", &[]).unwrap_err().starts_with("r.toml:"));
    }

    #[test]
    fn a_value_brings_no_second_setting_along() {
        let error = load("", &["sensor=\"a\"\npersona = \"x\""]);
        assert!(error.is_err(), "{error:?}");
    }
}
