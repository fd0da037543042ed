//! Views: one file each.
//!
//! A view is a model and how it looks. Its model is loaded from a shelf and is a plain value; the page, the API's JSON and the
//! CSV are made of it and of nothing else.

mod asked;
mod brought;
pub(crate) mod connection;
mod credentials;
mod diff;
mod export;
mod group;
mod groups;
mod health;
mod home;
pub(crate) mod incident;
mod incidents;
mod report;
pub(crate) mod sample;
mod samples;
mod search;
mod source;
mod sources;
mod tool;
mod tools;
mod unknown;
mod visits;
mod word;

pub(crate) use health::pulse as pulse_part;
pub(crate) use home::{
    funnel_of as funnel_part, funnel_of_all as funnel_part_of_all, has_own_funnel, headline as headline_part,
    incident_row, novel_of as novel_part,
};
pub(crate) use incidents::{filter as incidents_filter, of_family as incidents_of_family};
pub(crate) use word::{Is, Word};

use super::Desk;
use super::ask::{self, Ask, Form, Problem};
use super::guard::{Csrf, Who};
use super::page::{self, Page};
use super::shelf::Shelf;
use super::stage::Reached;
use super::table::Table;
use crate::index::Step;
use crate::json;
use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Path, Query, State};
use axum::http::header::{
    CONTENT_DISPOSITION, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LINK, REFRESH, RETRY_AFTER,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Rows of a table as CSV, about; what is longer goes on where the answer's `Link` says.
const CSV_ROWS_MAX: usize = 50_000;

/// The words of every address that a list heeds; all are understood everywhere, so that a filter stays from view to view.
pub(crate) const LIST: &[&str] =
    &["range", "since", "until", "source", "family", "stage", "tool", "limit", "cursor"];
/// The words for which page of a list is shown.
const PAGES: &[&str] = &["limit", "cursor"];
/// The words for how an answer is written.
const FORM: &[&str] = &["as", "table"];
/// Characters of what a view is of, in the name of a file.
const PLACE_CHARS_MAX: usize = 16;

/// After so many seconds it is worth asking again for samples that are still being read.
const READING_SECS: u64 = 2;

/// One view.
pub(crate) trait View: 'static {
    /// All that it shows.
    type Model: Serialize + JsonSchema + Send + 'static;
    /// Its address as `axum` writes it: `/incidents/{id}`.
    const PATH: &'static str;
    /// Its address in the API, below `/api/v1`.
    const API: &'static str;
    /// What it shows, in one sentence.
    const ABOUT: &'static str;
    /// Which of [`LIST`] change what it shows.
    const HEEDS: &'static [&'static str] = LIST;
    /// Whether it is of incidents, which have stages that are no steps of the funnel.
    const OF_INCIDENTS: bool = false;
    /// What its query may say besides.
    const QUERY: &'static [Word] = &[];
    /// To which grain it counts time, in one sentence; empty where it knows no time.
    const GRAIN: &'static str = "";

    /// Reads what is asked for.
    fn load(shelf: &mut Shelf, ask: &Ask) -> Result<Self::Model, Problem>;

    /// Shows it.
    fn page(model: &Self::Model, ask: &Ask) -> Page;

    /// Its tables, which are on its page and are exported as CSV.
    fn tables(_model: &Self::Model, _ask: &Ask) -> Vec<Table> {
        Vec::new()
    }

    /// Its page as Markdown, where it has one.
    fn markdown(_model: &Self::Model, _ask: &Ask) -> Option<String> {
        None
    }
}

/// What the API's description says of a view.
pub(crate) struct Described {
    pub(crate) path: &'static str,
    pub(crate) about: &'static str,
    pub(crate) heeds: &'static [&'static str],
    pub(crate) query: &'static [Word],
    pub(crate) of_incidents: bool,
    pub(crate) grain: &'static str,
    pub(crate) schema: schemars::Schema,
}

/// Does something for each view.
pub(crate) trait Visit {
    /// With this one.
    fn view<V: View>(&mut self);
}

/// All views, in the order of the API's description.
pub(crate) fn each(visit: &mut impl Visit) {
    visit.view::<home::Home>();
    visit.view::<incidents::Incidents>();
    visit.view::<incident::Incident>();
    visit.view::<connection::Connection>();
    visit.view::<samples::Samples>();
    visit.view::<health::Health>();
    visit.view::<groups::Groups>();
    visit.view::<group::OfCore>();
    visit.view::<sources::Sources>();
    visit.view::<source::OfVisitor>();
    visit.view::<tools::Tools>();
    visit.view::<tool::OfFingerprint>();
    visit.view::<credentials::Credentials>();
    visit.view::<unknown::Unknown>();
    visit.view::<sample::Sample>();
    visit.view::<diff::Diff>();
    visit.view::<export::Export>();
    visit.view::<search::Search>();
    visit.view::<report::Report>();
}

struct Routes(Router<Desk>);

impl Visit for Routes {
    fn view<V: View>(&mut self) {
        let router = std::mem::take(&mut self.0);
        let api = format!("/api/v1{}", V::API);
        self.0 = router.route(V::PATH, get(page::<V>)).route(&api, get(api_answer::<V>));
    }
}

/// The routes of all views.
pub(crate) fn routes() -> Router<Desk> {
    let mut routes = Routes(Router::new());
    each(&mut routes);
    routes.0.route("/report.md", get(markdown::<report::Report>)).fallback(missing)
}

struct Descriptions<'a>(Vec<Described>, &'a mut SchemaGenerator);

impl Visit for Descriptions<'_> {
    fn view<V: View>(&mut self) {
        let schema = self.1.subschema_for::<V::Model>();
        let (path, about, heeds, query) = (V::API, V::ABOUT, V::HEEDS, V::QUERY);
        let (of_incidents, grain) = (V::OF_INCIDENTS, V::GRAIN);
        self.0.push(Described { path, about, heeds, query, of_incidents, grain, schema });
    }
}

/// What the API's description says of all views; their types go to `generator`.
pub(crate) fn described(generator: &mut SchemaGenerator) -> Vec<Described> {
    let mut descriptions = Descriptions(Vec::new(), generator);
    each(&mut descriptions);
    descriptions.0
}

type Places = Path<BTreeMap<String, String>>;
type Pairs = Query<Vec<(String, String)>>;

async fn page<V: View>(
    State(desk): State<Desk>,
    uri: Uri,
    Path(places): Places,
    Query(pairs): Pairs,
    csrf: Option<Extension<Csrf>>,
    who: Option<Extension<Who>>,
    headers: HeaderMap,
) -> Response {
    let asked = Ask::new(ask::now(), uri.path(), places, pairs);
    let csrf = csrf.map_or_else(String::new, |Extension(Csrf(token))| token);
    let logged_in = who.is_some_and(|Extension(who)| who == Who::Person);
    let asked = asked.map(|ask| Ask { csrf, logged_in, ..ask });
    answer::<V>(&desk, uri.path(), asked, &headers).await
}

async fn api_answer<V: View>(
    State(desk): State<Desk>,
    uri: Uri,
    Path(places): Places,
    Query(mut pairs): Pairs,
    headers: HeaderMap,
) -> Response {
    // The API answers in JSON, whatever is asked.
    if let Some((word, _)) = pairs.iter().find(|(word, _)| FORM.contains(&word.as_str())) {
        let known: Vec<&str> =
            V::HEEDS.iter().copied().chain(V::QUERY.iter().map(|word| word.name)).collect();
        return answer::<V>(&desk, uri.path(), Err(ask::unknown_word(word, &known)), &headers).await;
    }
    pairs.push(("as".to_owned(), "json".to_owned()));
    answer::<V>(&desk, uri.path(), Ask::new(ask::now(), uri.path(), places, pairs), &headers).await
}

async fn markdown<V: View>(
    State(desk): State<Desk>,
    Query(mut pairs): Pairs,
    headers: HeaderMap,
) -> Response {
    pairs.push(("as".to_owned(), "markdown".to_owned()));
    answer::<V>(&desk, V::PATH, Ask::new(ask::now(), V::PATH, BTreeMap::new(), pairs), &headers).await
}

async fn answer<V: View>(
    desk: &Desk,
    path: &str,
    asked: Result<Ask, Problem>,
    headers: &HeaderMap,
) -> Response {
    let ask = match asked.and_then(heeded::<V>) {
        Ok(ask) => ask,
        Err(problem) => return failed(&Ask { path: path.to_owned(), ..Ask::default() }, &problem),
    };
    let wanted = ask.clone();
    match desk.shelves.read(move |shelf| written::<V>(shelf, ask)).await {
        Ok(written) => written.respond(headers),
        Err(problem) => failed(&wanted, &problem),
    }
}

/// The question, where it says nothing of which the view knows nothing: who mistypes a filter must not take all for some. To a
/// page the filter comes along from other views: what of it the view has no use for is set aside, and the page says so.
fn heeded<V: View>(mut ask: Ask) -> Result<Ask, Problem> {
    if ask.value("table").is_some() && ask.form != Form::Csv {
        return Err(Problem::Bad("`table` says which table is written as CSV: with as=csv".to_owned()));
    }
    ask.heeds = V::HEEDS;
    V::QUERY.iter().try_for_each(|word| word.check(&ask))?;
    let own = V::QUERY.iter().map(|word| word.name);
    let known: Vec<&str> = own.chain(V::HEEDS.iter().copied()).collect();
    let is_page = ask.form == Form::Page && !ask.path.starts_with("/api/");
    let of_others = |word: &String| !known.iter().chain(FORM).any(|known| known == word);
    let unknown: Vec<String> = ask.query.keys().filter(|word| of_others(word)).cloned().collect();
    if let Some(word) = unknown.iter().find(|word| !(is_page && ask::FILTERS.contains(&word.as_str()))) {
        return Err(ask::unknown_word(word, &known));
    }
    if !unknown.is_empty() {
        unknown.iter().for_each(|word| ask.set_aside(word));
        ask.notes.push(format!("Not filtered by {}: that means nothing here.", unknown.join(" and ")));
    }
    match ask.filter.stage {
        Some(Reached::Stage(stage)) if !V::OF_INCIDENTS => {
            let why = format!("{stage} is a stage of incidents alone");
            if !is_page {
                let steps = Step::ALL.map(Step::as_str).join(", ");
                return Err(Problem::Bad(format!("`stage` is one of {steps} here: {why}")));
            }
            ask.set_aside("stage");
            ask.notes.push(format!("Not filtered by stage: {why}."));
        }
        _ => {}
    }
    Ok(ask)
}

/// An answer, ready to be sent.
struct Written {
    kind: &'static str,
    file: Option<String>,
    body: Vec<u8>,
    /// Where the rest is, of what was too long for one answer.
    next: Option<String>,
}

/// One of the tables as CSV: all its rows, page after page, unless so many are asked for.
fn csv<V: View>(shelf: &mut Shelf, mut ask: Ask) -> Result<Written, Problem> {
    let (mut body, mut rows) = (String::new(), 0);
    loop {
        let mut tables = V::tables(&V::load(shelf, &ask)?, &ask);
        let name = ask.value("table").or(tables.first().map(|table| table.name)).unwrap_or_default();
        let table = tables.iter().position(|table| table.name == name).map(|at| tables.swap_remove(at));
        let table = table.ok_or_else(|| Problem::Missing("this view has no such table".to_owned()))?;
        if body.is_empty() {
            body = table.csv_head();
        }
        table.csv_rows(&mut body);
        rows += table.rows.len();
        let whole = ask.value("limit").is_none() && rows < CSV_ROWS_MAX;
        match table.next {
            Some(next) if whole => drop(ask.query.insert("cursor".to_owned(), next)),
            next => {
                let next = next.map(|next| ask.with("cursor", &next));
                let file = Some(csv_file(V::API, &ask, table.name));
                let kind = "text/csv; charset=utf-8";
                return Ok(Written { kind, file, body: body.into_bytes(), next });
            }
        }
    }
}

/// What a table is called on disk: view, what the view is of, table, so that nothing that was taken away overwrites another.
fn csv_file(view: &str, ask: &Ask, table: &str) -> String {
    let mut name = String::from("roridula");
    let parts = view.split('/').filter(|part| !part.is_empty());
    let parts = parts.map(|part| match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
        Some(place) => ask.place(place),
        None => part,
    });
    // `groups` of the view `groups` is said once.
    let table = (!view.ends_with(table)).then_some(table);
    for part in parts.chain(table) {
        name.push('-');
        let kept = part.chars().take(PLACE_CHARS_MAX);
        name.extend(kept.map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }));
    }
    name + ".csv"
}

fn written<V: View>(shelf: &mut Shelf, ask: Ask) -> Result<Written, Problem> {
    let ask = asked::checked(shelf, ask)?;
    let load = |shelf| V::load(shelf, &ask);
    Ok(match ask.form {
        Form::Page => {
            let body = V::page(&load(shelf)?, &ask).html(&ask).into_bytes();
            Written { kind: "text/html; charset=utf-8", file: None, body, next: None }
        }
        Form::Json => {
            let body = json::pretty(&load(shelf)?).map_err(Problem::failed)?.into_bytes();
            Written { kind: "application/json", file: None, body, next: None }
        }
        Form::Markdown => {
            let text = V::markdown(&load(shelf)?, &ask);
            let text = text.ok_or_else(|| Problem::Bad("this view is not told in Markdown".to_owned()))?;
            let file = Some(format!("roridula{}.md", V::API.replace('/', "-")));
            Written { kind: "text/markdown; charset=utf-8", file, body: text.into_bytes(), next: None }
        }
        Form::Csv => return csv::<V>(shelf, ask),
    })
}

/// JSON that is no view's, with a tag as theirs.
pub(crate) fn tagged(body: String, headers: &HeaderMap) -> Response {
    let body = body.into_bytes();
    Written { kind: "application/json", file: None, body, next: None }.respond(headers)
}

impl Written {
    fn respond(self, headers: &HeaderMap) -> Response {
        let mut tag = String::from("\"");
        for byte in Sha256::digest(&self.body).iter().take(12) {
            // Writing to a String cannot fail.
            let _ = write!(tag, "{byte:02x}");
        }
        tag.push('"');
        // A proxy that compresses marks the tag as weak.
        let known = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
        if known.is_some_and(|known| known.split(',').any(|one| one.trim().trim_start_matches("W/") == tag)) {
            return (StatusCode::NOT_MODIFIED, [(ETAG, tag)]).into_response();
        }
        let mut response = Response::new(Body::from(self.body));
        let map = response.headers_mut();
        map.insert(CONTENT_TYPE, HeaderValue::from_static(self.kind));
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            map.insert(ETAG, tag);
        }
        if let Some(next) = self.next
            && let Ok(value) = HeaderValue::from_str(&format!("<{next}>; rel=\"next\""))
        {
            map.insert(LINK, value);
        }
        if let Some(file) = self.file
            && let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{file}\""))
        {
            map.insert(CONTENT_DISPOSITION, value);
        }
        response
    }
}

/// What was asked for cannot be answered.
pub(crate) fn failed(ask: &Ask, problem: &Problem) -> Response {
    let (status, title) = match problem {
        Problem::Elsewhere(address) => return Redirect::to(address).into_response(),
        Problem::Bad(_) => (StatusCode::BAD_REQUEST, "This cannot be asked"),
        Problem::Missing(_) => (StatusCode::NOT_FOUND, "Not here"),
        Problem::Busy(_) | Problem::Reading => (StatusCode::SERVICE_UNAVAILABLE, "Not just now"),
        Problem::Failed(_) => (StatusCode::INTERNAL_SERVER_ERROR, "Something of ours failed"),
    };
    let is_page = ask.form != Form::Json && !ask.path.starts_with("/api/");
    let (kind, body) = match is_page {
        true => ("text/html; charset=utf-8", page::problem(title, &problem.to_string()).html(ask)),
        false => ("application/json", json::error(&problem.to_string())),
    };
    let mut response = (status, [(CONTENT_TYPE, kind)], body).into_response();
    if matches!(problem, Problem::Reading) {
        // A page asks again by itself, also without scripts.
        let name = if is_page { REFRESH } else { RETRY_AFTER };
        response.headers_mut().insert(name, HeaderValue::from(READING_SECS));
    }
    response
}

async fn missing(uri: Uri) -> Response {
    let ask = Ask { path: uri.path().to_owned(), ..Ask::default() };
    failed(&ask, &Problem::Missing("there is no such page".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::asked::tests::ask;
    use super::*;
    use crate::console::shelf::Shelves;
    use axum::http::Request;
    use roridula_evidence::{Options, Store};
    use std::sync::Arc;
    use tower::ServiceExt;

    #[test]
    fn each_table_has_a_file_of_its_own_and_no_name_leads_elsewhere() {
        let mut asked = ask("/", &[]);
        let hash = "ab".repeat(32);
        for (name, value) in [("sha256", hash.as_str()), ("ip", "../\"x"), ("id", "i1")] {
            asked.places.insert(name.to_owned(), value.to_owned());
        }
        for (view, table, file) in [
            ("/home", "funnel", "roridula-home-funnel.csv"),
            ("/groups", "groups", "roridula-groups.csv"),
            ("/report", "tools", "roridula-report-tools.csv"),
            ("/tools", "tools", "roridula-tools.csv"),
            ("/samples/{sha256}", "captures", "roridula-samples-abababababababab-captures.csv"),
            ("/sources/{ip}", "samples", "roridula-sources-..--x-samples.csv"),
        ] {
            assert_eq!(csv_file(view, &asked, table), file);
        }
    }

    #[tokio::test]
    async fn until_the_samples_are_read_nobody_is_told_that_there_are_none() {
        let dir = tempfile::tempdir().unwrap();
        drop(Store::open(dir.path(), "here", Options::default()).unwrap());
        let desk = Desk { shelves: Arc::new(Shelves::open(dir.path()).unwrap()), live: Arc::default() };
        let router = routes().with_state(desk.clone());
        let ask = async |address: &str| {
            let request = Request::get(address).body(Body::empty()).unwrap();
            let answer = router.clone().oneshot(request).await.unwrap();
            let header = |name| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
            let (status, refresh, retry) = (answer.status(), header(REFRESH), header(RETRY_AFTER));
            let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
            (status, refresh, retry, String::from_utf8(body.to_vec()).unwrap())
        };
        let after = Some("2".to_owned());
        for view in
            ["/samples", "/groups", "/groups/abcdef", "/report", "/sources?family=x", "/tools?family=x"]
        {
            let (status, refresh, retry, body) = ask(view).await;
            assert!(
                body.contains("still being read") && !body.contains("Nothing was caught"),
                "{view}: {body}"
            );
            assert_eq!((status, &refresh, retry), (StatusCode::SERVICE_UNAVAILABLE, &after, None), "{view}");
            let (status, refresh, retry, body) = ask(&format!("/api/v1{view}")).await;
            assert!(body.contains("still being read"), "{view}: {body}");
            assert_eq!((status, refresh, &retry), (StatusCode::SERVICE_UNAVAILABLE, None, &after), "{view}");
        }
        let told = async |address: &str, word: &str| {
            let (status, _, _, body) = ask(address).await;
            assert!(status == StatusCode::OK && body.contains(word), "{address} lacks {word}: {body}");
        };
        told("/", "still being read").await;
        told("/api/v1/home", "\"new_cores\": null").await;
        told("/search?q=wannacry", "still being read").await;
        told("/api/v1/search?q=wannacry", "\"reading\": true").await;
        desk.shelves.put_fault("the reports are damaged".to_owned());
        let (status, _, _, body) = ask("/samples").await;
        assert!(status == StatusCode::INTERNAL_SERVER_ERROR && body.contains("are damaged"), "{body}");
        desk.shelves.put_catalog(&Arc::default(), 0);
        told("/samples", "Nothing was caught yet").await;
        told("/api/v1/home", "\"new_cores\": 0").await;
        told("/api/v1/search?q=wannacry", "\"reading\": false").await;
    }
}
