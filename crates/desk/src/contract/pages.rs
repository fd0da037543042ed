//! The contract as pages: for people and for programs.

use super::ENVELOPE;
use roridula_proto::event::CATALOGUE;
use serde_json::{Value, json};
use std::fmt::Write;

const INTRO: &str = "\
# Events

<!-- Written from the catalogue in crates/proto/src/event.rs; a test compares. Renew with
     UPDATE_EXPECT=1 cargo test -p roridula-desk --test contract -->

Everything that Roridula sees is an event: in the journal, in `roridula events --json`, in `run --json` and in the
JSON lines file. One event is one JSON object on one line.

- Every field of an event is always there; what is unknown is `null`, never left out.
- Fields are only added. A removed or changed field is a new major version.
- The envelope is bound when the connection is accepted. No byte that a visitor sends can change it.
- Text that a visitor wrote is raw in JSON (control characters are escaped as JSON does). Escape it before you
  show it.
- Statuses are NTSTATUS values as numbers: 3221225989 is 0xC0000205.

The same as a JSON Schema: [events.schema.json](events.schema.json).
";

/// `docs/events.md`.
pub fn markdown() -> String {
    let mut page = INTRO.to_owned();
    // Writing to a String cannot fail.
    let _ =
        write!(page, "\n## The envelope\n\nIn every event.\n\n| field | type | meaning |\n|---|---|---|\n");
    for field in ENVELOPE {
        let _ = writeln!(page, "| `{}` | {} | {} |", field.name, field.kind, field.about);
    }
    page.push_str("\n## All events\n");
    for spec in CATALOGUE {
        let _ = write!(page, "\n### `{}`\n\n{}\n", spec.id, spec.about.trim());
        if spec.fields.is_empty() {
            continue;
        }
        page.push_str("\n| field | type | meaning |\n|---|---|---|\n");
        for field in spec.fields {
            let kind = words(field.kind).map_or(field.kind.to_owned(), |words| {
                words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
            });
            let _ = writeln!(page, "| `{}` | {kind} | {} |", field.name, field.about.trim());
        }
    }
    page.push_str(
        "\n## Layers\n\nA layer is an object: `kind` (`stub`, `pe`, `pe-truncated`, `shellcode`), `found_by` \
         (`stub-size-field`,\n`whole-sample`, `validated-search`, `between-filler`), `offset` and `size` in bytes of the sample, `sha256` of those bytes.\n",
    );
    page
}

/// `docs/events.schema.json`: a JSON Schema (2020-12) of one line.
pub fn schema() -> String {
    let events: Vec<Value> = CATALOGUE
        .iter()
        .map(|spec| {
            let mut properties = serde_json::Map::new();
            let mut required = Vec::new();
            for field in ENVELOPE {
                properties.insert(field.name.to_owned(), property(field.kind, field.about));
                required.push(field.name);
            }
            properties.insert("eventid".to_owned(), json!({ "const": spec.id }));
            for field in spec.fields {
                properties.insert(field.name.to_owned(), property(field.kind, field.about.trim()));
                required.push(field.name);
            }
            json!({
                "title": spec.id,
                "description": spec.about.trim(),
                "type": "object",
                "properties": properties,
                "required": required,
                "additionalProperties": false,
            })
        })
        .collect();
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A published event of Roridula",
        "oneOf": events,
    });
    // Plain data into a string: nothing here can fail.
    serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
}

/// The words of a kind that is a list of words.
fn words(kind: &str) -> Option<Vec<&str>> {
    kind.starts_with('`').then(|| kind.split_whitespace().map(|word| word.trim_matches('`')).collect())
}

fn property(kind: &str, about: &str) -> Value {
    let mut property = match kind {
        "integer" => json!({ "type": "integer", "minimum": 0 }),
        "integer or null" => json!({ "type": ["integer", "null"], "minimum": 0 }),
        "string or null" => json!({ "type": ["string", "null"] }),
        "array of strings" => json!({ "type": "array", "items": { "type": "string" } }),
        "array of [start, end]" => {
            let number = json!({ "type": "integer", "minimum": 0 });
            json!({ "type": "array", "items": { "type": "array", "items": number, "minItems": 2, "maxItems": 2 } })
        }
        "array of layers" => json!({ "type": "array", "items": {
            "type": "object",
            "properties": {
                "kind": { "type": "string" }, "found_by": { "type": "string" }, "sha256": { "type": "string" },
                "offset": { "type": "integer", "minimum": 0 }, "size": { "type": "integer", "minimum": 0 },
            },
            "required": ["kind", "found_by", "offset", "size", "sha256"],
            "additionalProperties": false,
        } }),
        _ => match words(kind) {
            Some(words) => json!({ "enum": words }),
            None => json!({ "type": kind }),
        },
    };
    if let Some(object) = property.as_object_mut() {
        object.insert("description".to_owned(), json!(about));
    }
    property
}
