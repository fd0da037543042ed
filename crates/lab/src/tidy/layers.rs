//! Who may import what: layers inside `proto`, walls between crates.

use super::{Complaint, Source};

/// Layers of `proto` and what each may name besides itself.
const PROTO: &[(&str, &[&str])] = &[
    ("client", &[]),
    ("connection", &["event", "exploit", "fingerprint", "identity", "limits", "persona", "time", "wire"]),
    ("describe", &["connection", "time", "transcript", "wire"]),
    ("event", &["wire"]),
    ("exploit", &["event", "time", "wire"]),
    ("fingerprint", &["event", "wire"]),
    (
        "fuzzing",
        &[
            "client",
            "connection",
            "describe",
            "event",
            "identity",
            "limits",
            "persona",
            "time",
            "transcript",
            "wire",
        ],
    ),
    ("identity", &["time", "wire"]),
    ("limits", &[]),
    ("persona", &["time", "wire"]),
    ("time", &[]),
    ("transcript", &["connection", "event", "identity", "limits", "persona", "time", "wire"]),
    ("wire", &[]),
];

/// Crates of ours and what each may depend on; the lab may use all and nobody may use the lab.
const WALLS: &[(&str, &[&str])] = &[
    ("desk", &["evidence", "proto", "triage"]),
    ("evidence", &["proto"]),
    ("lab", &["desk", "evidence", "proto", "sensor", "triage"]),
    ("proto", &[]),
    ("roridula", &["desk", "evidence", "proto", "sensor", "triage"]),
    ("sensor", &["evidence", "proto"]),
    ("triage", &[]),
];

/// Libraries that would let a pure crate do what it may not.
const IMPURE: &[&str] = &["tokio", "socket2", "rusqlite", "tracing", "reqwest", "axum", "rand"];

/// Complains about a layer of `proto` that names a layer it may not know.
pub fn proto_imports(source: &Source) -> Vec<Complaint> {
    let Some(inside) = source.path.strip_prefix("crates/proto/src/") else { return Vec::new() };
    let layer = inside.split(['/', '.']).next().unwrap_or_default();
    let Some((_, allowed)) = PROTO.iter().find(|(name, _)| *name == layer) else { return Vec::new() };
    if source.is_test() {
        return Vec::new();
    }
    let mut complaints = Vec::new();
    for (line, text) in source.product_lines() {
        // Documentation may point anywhere.
        if text.trim_start().starts_with("//") {
            continue;
        }
        for named in text.split("crate::").skip(1) {
            let named: Vec<&str> = match named.strip_prefix('{') {
                Some(list) => list.split([',', '}']).map(first_name).collect(),
                None => vec![first_name(named)],
            };
            for name in named {
                let is_layer = PROTO.iter().any(|(layer, _)| *layer == name);
                if is_layer && name != layer && !allowed.contains(&name) {
                    let what = format!("`{layer}` may not import `{name}`");
                    complaints.push(Complaint { path: source.path.clone(), line, what });
                }
            }
        }
    }
    complaints
}

fn first_name(text: &str) -> &str {
    text.trim().split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
}

/// Complains about a manifest that reaches through a wall.
pub fn walls(source: &Source) -> Vec<Complaint> {
    let name = source.path.trim_start_matches("crates/").split('/').next().unwrap_or_default();
    let Some((_, allowed)) = WALLS.iter().find(|(crate_name, _)| *crate_name == name) else {
        let what = "a new crate needs its place in crates/lab/src/tidy/layers.rs".into();
        return vec![Complaint { path: source.path.clone(), line: 1, what }];
    };
    let mut complaints = Vec::new();
    let mut shipped = false;
    for (number, line) in source.text.lines().enumerate() {
        if line.starts_with('[') {
            shipped = line.contains("dependencies") && !line.contains("dev-dependencies");
        }
        let key = line.split(['=', '.', ' ']).next().unwrap_or_default();
        let ours = key.strip_prefix("roridula-");
        let forbidden = match ours {
            // Tests may look over a wall, but never depend on the lab, which depends on them.
            Some(ours) => ours == "lab" || (shipped && !allowed.contains(&ours)),
            None => shipped && matches!(name, "proto" | "triage") && IMPURE.contains(&key),
        };
        if forbidden {
            let what = format!("`{name}` may not depend on `{key}`");
            complaints.push(Complaint { path: source.path.clone(), line: number + 1, what });
        }
    }
    complaints
}

/// What the desk shows decoded, `proto` hands out as described values.
pub fn desk_reads_no_wire(source: &Source) -> Vec<Complaint> {
    if !source.path.starts_with("crates/desk/") {
        return Vec::new();
    }
    let named = source.text.lines().enumerate().filter(|(_, line)| line.contains("roridula_proto::wire"));
    let complain = |(number, _): (usize, &str)| Complaint {
        path: source.path.clone(),
        line: number + 1,
        what: "the desk never imports `roridula_proto::wire`".into(),
    };
    named.map(complain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.into(), text: text.into() }
    }

    #[test]
    fn forbidden_imports_are_found() {
        let bad = "use crate::connection::Connection;\nuse crate::{wire::nbss, event::Event};\n";
        let found = proto_imports(&source("crates/proto/src/wire/nbss.rs", bad));
        assert_eq!(found.len(), 2, "{found:?}");
        let good = "//! [`crate::connection`]\nuse crate::{wire::nbss, event::Event};\n";
        assert_eq!(proto_imports(&source("crates/proto/src/connection/mod.rs", good)), []);
        assert_eq!(proto_imports(&source("crates/evidence/src/lib.rs", bad)), []);
    }

    #[test]
    fn forbidden_dependencies_are_found() {
        let manifest = "[dependencies]\nroridula-evidence.workspace = true\ntokio.workspace = true\n";
        assert_eq!(walls(&source("crates/proto/Cargo.toml", manifest)).len(), 2);
        assert_eq!(walls(&source("crates/sensor/Cargo.toml", manifest)), []);
        let lab = "[dev-dependencies]\nroridula-lab = { path = \"../lab\" }\n";
        assert_eq!(walls(&source("crates/sensor/Cargo.toml", lab)).len(), 1);
        assert_eq!(walls(&source("crates/unheard/Cargo.toml", "")).len(), 1);
        let wire = "use roridula_proto::wire::nbss;";
        assert_eq!(desk_reads_no_wire(&source("crates/desk/src/a.rs", wire)).len(), 1);
    }
}
