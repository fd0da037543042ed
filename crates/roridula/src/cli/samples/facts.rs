//! Everything about one layer, as names and values.

use super::escaped;
use super::screen::{cut, width};
use roridula_triage::Layer;
use serde_json::Value;
use std::io::{Result, Write};

/// Columns of a line that lists several values.
const COLUMNS: usize = 110;
/// Columns of one value.
const VALUE_MAX: usize = 400;
/// Values of one list; `--json` has all.
const VALUES_MAX: usize = 200;

/// Writes hashes and facts of a layer.
pub(super) fn write(out: &mut impl Write, number: usize, layer: &Layer) -> Result<()> {
    let name = cut(&escaped(&layer.name), 80);
    writeln!(out, "\nLayer {number}: {} {name} (found by {})", layer.kind, layer.found_by)?;
    let hashes = &layer.hashes;
    let all = [
        ("sha256", &hashes.sha256),
        ("sha1", &hashes.sha1),
        ("md5", &hashes.md5),
        ("ssdeep", &hashes.ssdeep),
        ("tlsh", &hashes.tlsh),
    ];
    for (name, value) in all.into_iter().filter(|(_, value)| !value.is_empty()) {
        writeln!(out, "  {name:<14} {value}")?;
    }
    let facts = serde_json::to_value(&layer.facts).unwrap_or_default();
    for (name, value) in facts.as_object().into_iter().flatten() {
        put(out, 1, name, value)?;
    }
    Ok(())
}

/// Writes a name and what it stands for. The facts are ours: they do not go deeper than a few levels.
fn put(out: &mut impl Write, depth: usize, name: &str, value: &Value) -> Result<()> {
    let indent = "  ".repeat(depth);
    let name = cut(&escaped(name), VALUE_MAX);
    match value {
        Value::Object(fields) if !is_flat(value) => {
            writeln!(out, "{indent}{name}")?;
            fields
                .iter()
                .filter(|(_, value)| says(value))
                .try_for_each(|(name, value)| put(out, depth + 1, name, value))
        }
        Value::Array(values) if !is_flat(value) => {
            writeln!(out, "{indent}{name}")?;
            for value in values.iter().take(VALUES_MAX) {
                writeln!(out, "{indent}  {}", cut(&flat(value), VALUE_MAX))?;
            }
            match values.len().checked_sub(VALUES_MAX) {
                Some(left @ 1..) => writeln!(out, "{indent}  and {left} more: --json"),
                _ => Ok(()),
            }
        }
        _ if !says(value) => Ok(()),
        _ => writeln!(out, "{indent}{name:<14} {}", cut(&flat(value), VALUE_MAX)),
    }
}

/// Whether it fits one line.
fn is_flat(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.values().all(|value| !value.is_object() && !value.is_array()),
        Value::Array(values) => {
            values.iter().all(|value| !value.is_object() && !value.is_array())
                && width(&flat(value)) <= COLUMNS
        }
        _ => true,
    }
}

/// Whether there is anything in it.
fn says(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(values) => !values.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        _ => true,
    }
}

/// On one line.
fn flat(value: &Value) -> String {
    match value {
        // Kept with fewer digits than it takes to write them down.
        Value::Number(number) if number.is_f64() => format!("{:.2}", number.as_f64().unwrap_or_default()),
        Value::String(text) => escaped(text),
        Value::Array(values) => values.iter().map(flat).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            let fields = fields.iter().filter(|(_, value)| says(value));
            fields
                .map(|(name, value)| format!("{} {}", escaped(name), flat(value)))
                .collect::<Vec<_>>()
                .join(", ")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(value: &Value) -> String {
        let mut out = Vec::new();
        put(&mut out, 1, "fact", value).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn facts_are_names_and_values_and_lists_are_bounded() {
        let pe = serde_json::json!({ "machine": "x86", "dll": true, "empty": "", "exports": ["a", "b\u{1b}[2J"],
            "sections": [{ "name": ".text", "size": 7 }, { "name": ".data", "size": 8 }], "entropy": 6.37f32 });
        let text = told(&pe);
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        assert_eq!(lines[0], "  fact");
        assert!(lines.contains(&"    entropy        6.37"), "{text}");
        assert!(
            lines.contains(&"    machine        x86") && lines.contains(&"      name .text, size 7"),
            "{text}"
        );
        assert!(
            text.contains("exports        a, b") && !text.contains('\u{1b}') && !text.contains("empty"),
            "{text}"
        );
        let many = told(&Value::from((0..1000).collect::<Vec<u32>>()));
        assert_eq!(many.lines().count(), 2 + VALUES_MAX);
        assert!(many.ends_with("and 800 more: --json\n"), "{many}");
        assert!(told(&Value::from("x".repeat(100_000))).len() < 500);
    }
}
