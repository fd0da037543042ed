//! The API's description ([OpenAPI 3.1]), made of the views.
//!
//! [OpenAPI 3.1]: https://spec.openapis.org/oas/v3.1.0

use super::Desk;
use super::ask::{RANGE_NAMES, ROWS_MAX};
use super::stage::Reached;
use super::view::{self, Described, Is, Word};
use axum::Router;
use axum::http::HeaderMap;
use axum::routing::get;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// What a view's query may say, if it heeds it.
const FILTER: &[Word] = &[
    Word::one(
        "range",
        "The time that ends now: the latest hour, day, …; not together with `since` or `until`.",
        RANGE_NAMES,
    ),
    Word::text("since", "Nothing before this time, UTC: 2026-11-23 or 2026-11-23T02:50:00Z."),
    Word::text("until", "Nothing at or after this time."),
    Word::text(
        "source",
        "Only of this address, or of the addresses of this network (CIDR): 192.0.2.7, 192.0.2.0/24, 2001:db8::/32.",
    ),
    Word::text("family", "Only of families with this in their name; of such as were caught or are known."),
    Word::text(
        "stage",
        "Only what came at least so far: took this step once or more, whatever else it did. An outcome's word (connected … captured) means its step.",
    ),
    Word::text("tool", "Only of this tool: its id."),
    Word::whole("limit", "Rows of a list.", 1, ROWS_MAX as u64),
    Word::text("cursor", "Where a list goes on: `next` of an earlier answer."),
];

/// What a word may be, as a schema. `of_incidents`: of a view that has stages which are no steps.
fn schema(word: &Word, of_incidents: bool) -> Value {
    match word.is {
        Is::Text if word.name == "stage" => {
            let fits =
                |word: &&str| of_incidents || Reached::from_word(word).and_then(Reached::step).is_some();
            json!({ "type": "string", "enum": Reached::words().into_iter().filter(fits).collect::<Vec<_>>() })
        }
        Is::Text => json!({ "type": "string" }),
        Is::One(of) => json!({ "type": "string", "enum": of }),
        Is::Whole(least, u64::MAX) => json!({ "type": "integer", "minimum": least }),
        Is::Whole(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
    }
}

/// `/api/v1/openapi.json`
pub(crate) fn routes() -> Router<Desk> {
    let serve = async |headers: HeaderMap| view::tagged(format!("{:#}\n", description()), &headers);
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
        // Nobody is asked on a loopback address until there is a password or a token.
        "security": [{}, { "token": [] }, { "session": [] }],
        "components": { "schemas": generator.take_definitions(true), "responses": failures(), "securitySchemes": {
            "token": {
                "type": "http",
                "scheme": "bearer",
                "description": "A program's: `roridula console token NAME` makes one.",
            },
            "session": {
                "type": "apiKey",
                "in": "cookie",
                "name": "roridula-session-8445",
                "description": "A person's who logged in. The name ends with the console's port, and begins with __Host- over TLS.",
            },
        } },
    })
}

/// Why there may be no answer, by status.
const FAILURES: &[(&str, &str)] = &[
    ("400", "The address says something that makes no sense: which word, and what may be said."),
    ("401", "A token or a log-in is needed, or the token is none of the console's."),
    ("403", "It comes from another site's page, or through a proxy to a console without a password."),
    ("404", "There is no such thing."),
    ("421", "The console is not called by this name (`console.hosts`)."),
    ("500", "Something of the console's failed."),
    (
        "503",
        "Too many ask for it at the same time, or the samples are still being read since the console's start: `Retry-After` says when to ask again.",
    ),
];

/// An answer for each of [`FAILURES`].
fn failures() -> Map<String, Value> {
    let schema = json!({
        "type": "object", "required": ["error"], "properties": { "error": { "type": "string" } },
    });
    let answer = |(status, why): &(&str, &str)| {
        let content = json!({ "application/json": { "schema": schema } });
        ((*status).to_owned(), json!({ "description": why, "content": content }))
    };
    FAILURES.iter().map(answer).collect()
}

fn operation(described: &Described) -> Value {
    let places = described.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path = places
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }));
    let heeded = FILTER.iter().filter(|word| described.heeds.contains(&word.name));
    let queries = heeded.chain(described.query).map(|word| {
        let schema = schema(word, described.of_incidents);
        json!({ "name": word.name, "in": "query", "description": word.about, "schema": schema })
    });
    let failures = FAILURES.iter().map(|(status, _)| {
        ((*status).to_owned(), json!({ "$ref": format!("#/components/responses/{status}") }))
    });
    let found = json!({
        "description": described.about,
        "content": { "application/json": { "schema": described.schema } },
    });
    let responses: Map<String, Value> = std::iter::once(("200".to_owned(), found)).chain(failures).collect();
    let mut operation = json!({
        "summary": described.about,
        "parameters": in_path.chain(queries).collect::<Vec<Value>>(),
        "responses": responses,
    });
    if !described.grain.is_empty() {
        operation["description"] = described.grain.into();
    }
    operation
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn only_what_does_something_is_named_and_every_word_of_a_list_is_explained() {
        assert!(view::LIST.iter().eq(FILTER.iter().map(|word| &word.name)));
        let description = description();
        let names = |path: &str| -> Vec<String> {
            let parameters = description["paths"][path]["get"]["parameters"].as_array().unwrap();
            parameters.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(names("/api/v1/health"), ["range", "since", "until"]);
        assert_eq!(names("/api/v1/samples/{sha256}"), ["sha256", "limit", "cursor"]);
        assert_eq!(names("/api/v1/search"), ["q"]);
        let parameter = |path: &str, name: &str| {
            let parameters = description["paths"][path]["get"]["parameters"].as_array().unwrap();
            parameters.iter().find(|one| one["name"] == name).unwrap()["schema"].clone()
        };
        let limit = json!({ "type": "integer", "minimum": 1, "maximum": 1000 });
        assert_eq!(parameter("/api/v1/incidents", "limit"), limit);
        let connection = "/api/v1/incidents/{id}/connections/{connection}";
        assert_eq!(parameter(connection, "messages")["maximum"], 64);
        let stages = |path: &str| parameter(path, "stage")["enum"].as_array().unwrap().len();
        assert_eq!(stages("/api/v1/incidents") - stages("/api/v1/sources"), 5, "four stages, and killed");
        // Whoever heeds a time says how exactly.
        for (path, operation) in description["paths"].as_object().unwrap() {
            let heeds = names(path).contains(&"range".to_owned());
            assert_eq!(heeds, operation["get"]["description"].is_string(), "{path}");
        }
        let answers = &description["paths"]["/api/v1/home"]["get"]["responses"];
        assert!(["401", "403", "421"].iter().all(|status| answers[status].is_object()), "{answers}");
        assert!(description["components"]["securitySchemes"]["token"].is_object());
    }

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
