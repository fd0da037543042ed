//! Rules about what may stand in a file.

use super::{Complaint, Source};

/// Folders of somebody's machine. Put together here, so that this file does not complain about itself.
const MACHINE_PATHS: &[&str] =
    &[concat!("/", "root/"), concat!("/", "home/"), concat!("/", "work/"), concat!("/", "tmp/")];

/// Complains about paths that exist on one machine only.
pub fn machine_paths(source: &Source) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (number, line) in source.text.lines().enumerate() {
        for path in MACHINE_PATHS {
            // A path begins a word; `a/tmp/b` is a folder of ours.
            let begins = line.match_indices(path).any(|(at, _)| {
                let before = line[..at].chars().next_back();
                !before.is_some_and(|c| {
                    c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '}' | ')' | '*' | '/')
                })
            });
            if begins {
                let what = format!("names a path of one machine: {path}");
                complaints.push(Complaint { path: source.path.clone(), line: number + 1, what });
            }
        }
    }
    complaints
}

/// How long a byte literal on the wire may be before it must say whose constant it is.
const NAMELESS_BYTES_MAX: usize = 7;

/// How many lines above the literal its explanation may stand.
const EXPLAINED_WITHIN: usize = 6;

/// Complains about long byte literals in what we send that are not marked as Windows' own. Nothing else may be
/// the same in two installs.
pub fn nameless_constants(source: &Source) -> Vec<Complaint> {
    let applies = source.path.starts_with("crates/proto/src/connection/")
        || source.path == "crates/proto/src/persona.rs";
    if !applies || source.is_test() {
        return Vec::new();
    }
    let lines: Vec<(usize, &str)> = source.product_lines().collect();
    let mut complaints = Vec::new();
    for (at, (number, line)) in lines.iter().enumerate() {
        let longest = byte_literals(line).max().unwrap_or(0);
        let from = at.saturating_sub(EXPLAINED_WITHIN);
        let explains = |line: &str| line.contains("Windows constant") || line.contains("Never on the wire");
        let explained = lines[from..=at].iter().any(|(_, line)| explains(line));
        if longest > NAMELESS_BYTES_MAX && !explained {
            let what = format!(
                "{longest} literal bytes need `Windows constant, …` or `Never on the wire` above them"
            );
            complaints.push(Complaint { path: source.path.clone(), line: *number, what });
        }
    }
    complaints
}

/// Lengths of the byte strings and of the arrays of hexadecimal numbers in a line of code.
fn byte_literals(line: &str) -> impl Iterator<Item = usize> {
    let code = line.split("//").next().unwrap_or_default();
    let strings = code.split("b\"").skip(1).map(|rest| {
        let text = rest.split('"').next().unwrap_or_default();
        // `\x00` and `\0` are one byte each.
        let hex = text.matches("\\x").count();
        text.len() - 3 * hex - (text.matches('\\').count() - hex)
    });
    let arrays = code.split('[').skip(1).map(|rest| {
        let items = rest.split(']').next().unwrap_or_default().split(',').map(str::trim);
        let is_number = |item: &&str| item.starts_with("0x") || item.parse::<u8>().is_ok();
        items.filter(is_number).count()
    });
    strings.chain(arrays).collect::<Vec<_>>().into_iter()
}

/// Folders that a map of the repository may point into.
const MAPPED: &[&str] =
    &["crates/", "docs/", "scripts/", "transcripts/", "fuzz/", "deploy/", ".ci/", ".cargo/"];

/// Complains about paths in a map that do not exist.
pub fn missing_paths(source: &Source, exists: impl Fn(&str) -> bool) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (number, line) in source.text.lines().enumerate() {
        for path in line.split('`').skip(1).step_by(2) {
            let is_path = MAPPED.iter().any(|folder| path.starts_with(folder));
            let is_pattern = path.contains(['*', '<', '{', ' ']);
            if is_path && !is_pattern && !exists(path) {
                let what = format!("{path} does not exist");
                complaints.push(Complaint { path: source.path.clone(), line: number + 1, what });
            }
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.into(), text: text.into() }
    }

    #[test]
    fn machine_paths_are_found() {
        let bad = format!("cd {}me/x\nlet a = \"{}y\";\n", MACHINE_PATHS[1], MACHINE_PATHS[3]);
        assert_eq!(machine_paths(&source("a.md", &bad)).len(), 2);
        assert_eq!(machine_paths(&source("a.md", "data/tmp/x and {dir}/tmp/y")), []);
    }

    #[test]
    fn long_literals_need_an_explanation() {
        let path = "crates/proto/src/connection/smb1.rs";
        let bad = "let a = b\"\\x01\\x02345678\";\nlet b = [0x01, 2, 3, 4, 5, 6, 7, 8];\nlet c = b\"\\0\\0\\0IPC\\0\";\n";
        assert_eq!(nameless_constants(&source(path, bad)).len(), 2);
        let good = format!("// Windows constant, MS-CIFS 2.2.4.52\n{bad}");
        assert_eq!(nameless_constants(&source(path, &good)), []);
        assert_eq!(nameless_constants(&source("crates/proto/src/wire/a.rs", bad)), []);
    }

    #[test]
    fn a_map_points_at_what_exists() {
        let map = source("ARCHITECTURE.md", "`crates/a.rs` and `crates/b.rs`, `Connection`, `crates/*/src`");
        let found = missing_paths(&map, |path| path == "crates/a.rs");
        assert_eq!(found.len(), 1);
        assert!(found[0].what.starts_with("crates/b.rs"));
    }
}
