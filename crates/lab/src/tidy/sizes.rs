//! Files and functions stay small enough to be read.

use super::{Complaint, Source};

/// Lines of a file, tests apart.
pub const FILE_LINES_MAX: usize = 800;

/// Lines of a function, from its `fn` to its closing brace.
pub const FUNCTION_LINES_MAX: usize = 70;

/// Complains about long files and functions outside tests.
pub fn check(source: &Source) -> Vec<Complaint> {
    if source.is_test() {
        return Vec::new();
    }
    let lines: Vec<(usize, &str)> = source.product_lines().collect();
    let mut complaints = Vec::new();
    let mut complain = |line, what| complaints.push(Complaint { path: source.path.clone(), line, what });
    if lines.len() > FILE_LINES_MAX {
        complain(0, format!("{} lines; at most {FILE_LINES_MAX}", lines.len()));
    }
    for (at, (number, line)) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let indent = line.len() - line.trim_start().len();
        // rustfmt puts the closing brace under the function's first column.
        let is_end =
            |text: &str| text.len() - text.trim_start().len() == indent && text.trim_start().starts_with('}');
        let one_line = line.trim_end().ends_with('}') || line.trim_end().ends_with(';');
        if one_line {
            continue;
        }
        let len = lines[at + 1..].iter().position(|(_, text)| is_end(text)).map_or(1, |end| end + 2);
        if len > FUNCTION_LINES_MAX {
            complain(*number, format!("function `{name}` has {len} lines; at most {FUNCTION_LINES_MAX}"));
        }
    }
    complaints
}

fn function_name(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace().peekable();
    while let Some(word) = words.next() {
        match word {
            "fn" => return words.next()?.split(['(', '<']).next(),
            "pub" | "const" | "async" | "extern" => {}
            _ if word.starts_with("pub(") => {}
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: String) -> Source {
        Source { path: path.into(), text }
    }

    #[test]
    fn a_long_function_is_found_and_a_short_one_is_not() {
        let body = "        let x = 1;\n".repeat(68);
        let fits = format!("impl A {{\n    pub(crate) const fn f<T>(\n{body}    }}\n}}\n");
        assert_eq!(check(&source("a.rs", fits.clone())), []);
        let long = fits.replace("    }\n}", "        f();\n    }\n}");
        let found = check(&source("a.rs", long.clone()));
        assert_eq!(found.len(), 1);
        assert!(found[0].what.contains("`f` has 71 lines"), "{found:?}");
        assert_eq!(check(&source("crates/x/tests/a.rs", long)), []);
    }

    #[test]
    fn a_long_file_is_found_without_its_tests() {
        assert_eq!(check(&source("a.rs", "\n".repeat(801))).len(), 1);
        let tested = format!("{}#[cfg(test)]\n{}", "\n".repeat(700), "\n".repeat(700));
        assert_eq!(check(&source("a.rs", tested)), []);
    }
}
