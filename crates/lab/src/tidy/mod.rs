//! Rules of the house that the compiler does not hold: sizes, layers, walls between crates, paths.
//!
//! Each rule is a pure function from text to complaints, so that it can be tested on bad text;
//! [`check`] applies all of them to the repository.

pub mod layers;
pub mod sizes;
pub mod text;

use std::fs;
use std::path::{Path, PathBuf};

/// Something that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Complaint {
    /// The file, from the repository's root.
    pub path: String,
    /// The line from 1, or 0 for the file as a whole.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

impl std::fmt::Display for Complaint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// A file of the repository.
#[derive(Clone, Debug)]
pub struct Source {
    /// From the repository's root, with slashes.
    pub path: String,
    /// Its text.
    pub text: String,
}

impl Source {
    /// Whether rules for tests apply: no size limits.
    pub fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.ends_with("_tests.rs") || self.path.ends_with("/tests.rs")
    }

    /// The lines before the test module, from 1.
    pub fn product_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate().map(|(number, line)| (number + 1, line));
        lines.take_while(|(_, line)| line.trim() != "#[cfg(test)]")
    }
}

/// The repository's root, seen from this crate.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).map(Path::to_path_buf).unwrap_or_default()
}

/// Everything made by machines or for one machine only.
const SKIPPED: &[&str] = &["target", ".git", ".venv", "data", "corpus", "artifacts", "node_modules"];

/// All text files of the repository, in order of their paths.
pub fn sources(root: &Path) -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            if SKIPPED.iter().any(|skipped| name == *skipped) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                let path = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
                found.push(Source { path, text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Applies all rules to the repository at `root`.
pub fn check(root: &Path) -> Vec<Complaint> {
    let sources = sources(root);
    let mut complaints = Vec::new();
    for source in &sources {
        complaints.extend(text::machine_paths(source));
        if source.path.ends_with(".rs") {
            complaints.extend(sizes::check(source));
            complaints.extend(layers::proto_imports(source));
            complaints.extend(layers::desk_reads_no_wire(source));
            complaints.extend(text::nameless_constants(source));
        }
        if source.path.starts_with("crates/") && source.path.ends_with("/Cargo.toml") {
            complaints.extend(layers::walls(source));
        }
        if source.path == "ARCHITECTURE.md" {
            complaints.extend(text::missing_paths(source, |path| root.join(path).exists()));
        }
        let is_root = source.path.ends_with("/src/lib.rs") || source.path.ends_with("/src/main.rs");
        if is_root && source.path.starts_with("crates/") && !source.text.contains("#![forbid(unsafe_code)]") {
            complaints.push(Complaint {
                path: source.path.clone(),
                line: 1,
                what: "a crate root says #![forbid(unsafe_code)]".into(),
            });
        }
    }
    complaints
}
