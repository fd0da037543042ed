//! The API's description ([OpenAPI 3.1]), made of the views.
//!
//! [OpenAPI 3.1]: https://spec.openapis.org/oas/v3.1.0

use super::Desk;
use super::view::{self, Described};
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// What every view's query may say.
const FILTER: &[(&str, &str)] = &[
    ("range", "The latest 1h, 24h, 7d, 30d, or all."),
    ("since", "Nothing before this time, UTC: 2026-11-23 or 2026-11-23T02:50:00Z."),
    ("until", "Nothing at or after this time."),
    ("source", "Only of this address."),
    ("family", "Only of this family."),
    ("stage", "Only what came just so far."),
    ("tool", "Only of this tool."),
    ("limit", "Rows of a list, from 1 to 1000."),
    ("cursor", "Where a list goes on: `next` of an earlier answer."),
];

/// `/api/v1/openapi.json`
pub(crate) fn routes() -> Router<Desk> {
    let serve = || async { ([(CONTENT_TYPE, "application/json")], format!("{:#}\n", description())) };
    Router::new().route("/api/v1/openapi.json", get(serve))
}

/// The whole description.
pub(crate) fn description() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let paths: Map<String, Value> = view::described(&mut generator)
        .into_iter()
        .map(|described| (format!("/api/v1{}", described.path), json!({ "get": operation(&described) })))
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Roridula's console",
            "version": "1",
            "description": "What the console's views show, as JSON. Text that a visitor wrote is raw: escape it before you show it.",
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "paths": paths,
        "components": { "schemas": generator.take_definitions(true) },
    })
}

fn operation(described: &Described) -> Value {
    let places = described.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path = places
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }));
    let queries = FILTER.iter().chain(described.query).map(|(name, about)| {
        json!({ "name": name, "in": "query", "description": about, "schema": { "type": "string" } })
    });
    let failed = json!({
        "description": "Why not.",
        "content": { "application/json": { "schema": {
            "type": "object", "required": ["error"], "properties": { "error": { "type": "string" } },
        } } },
    });
    json!({
        "summary": described.about,
        "parameters": in_path.chain(queries).collect::<Vec<Value>>(),
        "responses": {
            "200": {
                "description": described.about,
                "content": { "application/json": { "schema": described.schema } },
            },
            "400": failed,
            "404": failed,
            "500": failed,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// The published description is that of the code; `UPDATE_EXPECT=1` writes it anew, and the diff is the review.
    #[test]
    fn the_published_description_is_the_codes() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
        let text = format!("{:#}\n", description());
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let published = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            published == text,
            "docs/openapi.json is not the API's: UPDATE_EXPECT=1 cargo test -p roridula-desk --lib api"
        );
    }
}
