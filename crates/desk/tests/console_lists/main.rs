//! The console's views over a small past with hostile names in it: what they show, filter, page, search and
//! export.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods)]

mod asked;
#[path = "../common/mod.rs"]
mod common;
mod deleted;
mod feed;
mod funnel;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use futures_util::StreamExt;
use roridula_desk::console::server::Peer;
use roridula_desk::console::{self, ConsoleSettings};
use roridula_desk::sample::Reports;
use roridula_evidence::{Attribution, Batch, Capture, Changes, Closing, Options, SampleId, Store};
use roridula_proto::connection::ConnectionId;
use roridula_proto::event::{CloseReason, Event, Origin, Text, Transport, UploadState, Verdict};
use roridula_proto::time::WallClock;
use roridula_triage::rules::Rules;
use roridula_triage::{Budget, Road, triage};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};
use tower::ServiceExt;

/// Much longer than a test waits.
const PATIENCE: Duration = Duration::from_secs(60);
const HOSTILE: &str = "<script>alert(1)</script>\u{202e}gpj";
/// Every view, with what its page must have on it where something happened.
const VIEWS: [(&str, &str); 8] = [
    ("/groups", "2 hosts"),
    ("/sources", "192.0.2.1"),
    ("/tools", "WannaCry"),
    ("/credentials", "=HYPERLINK(1)"),
    ("/unknown", "ff 00"),
    ("/report", "1 new core of 3 captured uploads from 3 visitors"),
    ("/search", "T1595"),
    ("/health", "connection.opened"),
];

/// A PE look-alike that names a host, behind a stub and with `dirt` behind it.
fn upload(dirt: &[u8]) -> Vec<u8> {
    const HOST: &[u8] = b"\0\0http://www.look-alike-host.com/nothing\0\0";
    let mut file = common::pe(0x3000, 0);
    file[0x1000..0x1000 + HOST.len()].copy_from_slice(HOST);
    common::upload(&file, dirt)
}

struct World {
    store: Store,
    reports: Reports,
    rules: Rules,
}

/// What a world has in it.
struct Past {
    samples: Vec<SampleId>,
    uploader: ConnectionId,
    stranger: ConnectionId,
}

impl World {
    fn open(dir: &Path) -> Self {
        Self {
            store: Store::open(dir, "here", Options::default()).unwrap(),
            reports: Reports::open(dir).unwrap(),
            rules: Rules::compile(&[]).0,
        }
    }

    fn accept(&self, source: &str) -> Attribution {
        let source = SocketAddr::new(source.parse().unwrap(), 4000);
        let whose = self.store.accept(source, "198.51.100.1:445".parse().unwrap());
        self.tell(&whose, Event::ConnectionOpened { transport: Transport::DirectTcp });
        whose
    }

    fn tell(&self, whose: &Attribution, event: Event) {
        let closing = matches!(event, Event::ConnectionClosed { .. }).then(Closing::default);
        let events = vec![(WallClock(whose.at.0 + 1), event)];
        self.store.append_blocking(Batch {
            attribution: *whose,
            events,
            changes: Changes::default(),
            closing,
        });
    }

    fn capture(&self, whose: &Attribution, upload: u32, bytes: &[u8]) -> SampleId {
        self.capture_by(whose, upload, bytes, Origin::DoublePulsar)
    }

    fn capture_by(&self, whose: &Attribution, upload: u32, bytes: &[u8], origin: Origin) -> SampleId {
        let mut slot = self.store.slot(whose, upload, origin).unwrap();
        slot.write(0, bytes).unwrap();
        let sha256 = SampleId(Sha256::digest(bytes).into());
        let size = bytes.len() as u64;
        let capture = Capture {
            attribution: *whose,
            upload,
            origin,
            state: UploadState::Complete,
            total: Some(size),
            ranges: slot.ranges().to_vec(),
            sha256,
            size,
        };
        match self.store.knows(sha256).unwrap() {
            true => self.store.keep_known(capture, slot),
            false => self.store.keep_new(capture, slot).unwrap(),
        }
        let report = triage(bytes, Road::Payload, &self.rules, &Budget::default());
        self.reports.put(sha256, &report).unwrap();
        sha256
    }

    fn close(&self, whose: &Attribution, fingerprint: &str, shape: &str, tools: &[&str]) -> ConnectionId {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let recognised = if tools.is_empty() { Vec::new() } else { owned(&["doublepulsar"]) };
        self.tell(
            whose,
            Event::ClientFingerprint {
                fingerprint: fingerprint.to_owned(),
                features: format!("os={HOSTILE}; pid=65279"),
                shape: shape.to_owned(),
                tools: owned(tools),
                grounds: owned(if tools.is_empty() { &[] } else { &["pid=65279"] }),
                recognised,
            },
        );
        let reason = CloseReason::PeerClosed;
        self.tell(
            whose,
            Event::ConnectionClosed {
                reason,
                duration_us: 9,
                bytes_in: 400,
                bytes_out: 300,
                events_dropped: 0,
            },
        );
        whose.connection
    }

    fn logon(&self, whose: &Attribution, account: &str) {
        self.tell(
            whose,
            Event::Smb1Session {
                method: "legacy".to_owned(),
                account: Text::from(account),
                domain: Text::from(HOSTILE),
                workstation: Text::from("x".repeat(65_536).as_str()),
                native_os: Text::default(),
                native_lan_manager: Text::default(),
                response: String::new(),
                uid: 0x800,
                status: 0xc000_006d,
            },
        );
    }

    /// Two infected hosts with one core in two wrappings, and a stranger.
    fn play(&self) -> Past {
        let one = self.accept("192.0.2.1");
        self.logon(&one, "=HYPERLINK(1)");
        let (verdict, status) = (Verdict::Vulnerable, 0xc000_0205);
        self.tell(&one, Event::Ms17010Probe { verdict, pid: 0x800, mid: 24_261, status, stream_at: 272 });
        let first = self.capture(&one, 1, &upload(b"abc"));
        let uploader = self.close(&one, "0011223344556677", "72 73 75", &["wannacry"]);
        let two = self.accept("192.0.2.2");
        self.tell(
            &two,
            Event::ExploitStep {
                exploit: "eternalblue".to_owned(),
                step: "shellcode".to_owned(),
                grounds: "as the test says".to_owned(),
                stream_at: 300,
                size: 9,
            },
        );
        let second = self.capture(&two, 1, &upload(b"xyz"));
        self.capture(&two, 2, &upload(b"abc"));
        self.close(&two, "0011223344556677", "72 73 75", &["wannacry"]);
        let three = self.accept("2001:db8::3");
        let stranger = self.close(&three, "8899aabbccddeeff", &format!("ff 00 {HOSTILE}"), &[]);
        self.store.flush();
        Past { samples: vec![first, second], uploader, stranger }
    }
}

/// The console over the past, when its keeper has read all of it.
async fn console(dir: &Path) -> (Router, Past) {
    let world = World::open(dir);
    let past = world.play();
    drop(world);
    let router = console::router(dir, &ConsoleSettings::default()).unwrap();
    let begun = Instant::now();
    while json(&router, "/groups").await["count"] != 1
        || json(&router, "/unknown").await["shapes"][0].is_null()
    {
        assert!(begun.elapsed() < PATIENCE, "the keeper reads nothing");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    (router, past)
}

struct Answer {
    status: StatusCode,
    location: String,
    file: String,
    body: String,
}

async fn get(router: &Router, address: &str) -> Answer {
    let begun = Instant::now();
    let response = loop {
        let request = Request::get(address).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        if response.status() != StatusCode::SERVICE_UNAVAILABLE || begun.elapsed() > PATIENCE {
            break response;
        }
        // The samples are still being read.
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let header = |name: &str| response.headers().get(name).map_or("", |it| it.to_str().unwrap()).to_owned();
    let (status, location, file) = (response.status(), header("Location"), header("Content-Disposition"));
    let body = to_bytes(response.into_body(), 64 << 20).await.unwrap();
    Answer { status, location, file, body: String::from_utf8(body.to_vec()).unwrap() }
}

async fn json(router: &Router, path: &str) -> Value {
    let answer = get(router, &format!("/api/v1{path}")).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

/// The values of a key in a list of the answer.
async fn values(router: &Router, path: &str, list: &str, key: &str) -> Vec<String> {
    let answer = json(router, path).await;
    let rows = answer[list].as_array().unwrap_or_else(|| panic!("{path} has no {list}"));
    rows.iter().map(|row| row[key].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn every_view_shows_what_came_and_nothing_hostile_is_raw() {
    let dir = tempfile::tempdir().unwrap();
    let (router, past) = console(dir.path()).await;
    let group = &values(&router, "/groups", "groups", "core").await[0];
    let of_one = [
        format!("/groups/{group}"),
        "/sources/192.0.2.1".to_owned(),
        "/sources/2001:db8::3".to_owned(),
        "/tools/0011223344556677".to_owned(),
        "/search?q=192.0.2".to_owned(),
    ];
    for address in VIEWS.iter().map(|(address, _)| (*address).to_owned()).chain(of_one) {
        let page = get(&router, &address).await;
        assert_eq!(page.status, StatusCode::OK, "{address}: {}", page.body);
        assert!(!page.body.contains("<script>") && !page.body.contains('\u{202e}'), "{address}");
        assert!(page.body.len() < 100_000, "{address}: {} bytes", page.body.len());
    }
    for address in ["/tools", "/credentials", "/unknown", "/tools/0011223344556677"] {
        let told = get(&router, &format!("/api/v1{address}")).await.body;
        assert!(told.contains("\\u202e") && !told.contains('\u{202e}'), "{address}: {told}");
    }
    for (address, expected) in VIEWS.iter().skip(1) {
        let page = get(&router, address).await.body;
        assert!(page.contains(expected), "{address} lacks {expected}: {page}");
    }
    let page = get(&router, &format!("/groups/{group}")).await.body;
    let (first, second) = (past.samples[0], past.samples[1]);
    assert!(page.contains(&format!("/samples/{first}/diff/{second}")), "{page}");
    assert!(page.contains("/sources/192.0.2.2") && page.contains("2 hosts") || page.contains("of 2 hosts"));
    let unknown = get(&router, "/unknown").await.body;
    let evidence = format!("/incidents/i{0}/connections/{0}", past.stranger);
    assert!(unknown.contains(&evidence), "{unknown}");
    let source = json(&router, "/sources/192.0.2.2").await;
    assert_eq!(source["samples"].as_array().unwrap().len(), 2);
    assert_eq!(source["fingerprints"][0]["fingerprint"], "0011223344556677");
    assert_eq!(source["incidents"].as_array().unwrap().len(), 1);
}

/// An incident is of the family of what it brought, whatever its sentence and its tool are called.
#[tokio::test]
async fn incidents_are_of_the_families_of_their_samples() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    for (source, text) in [
        ("192.0.2.1", "Pay to 12t9YDPgwueZ9NyMgw519p7AA8isjr6SMw to have your files back."),
        ("192.0.2.2", "A text of nobody's."),
    ] {
        let visitor = world.accept(source);
        world.capture(&visitor, 1, text.as_bytes());
        world.close(&visitor, "0011223344556677", "72 73 75", &["wannacry"]);
    }
    world.store.flush();
    let router = console::router(dir.path(), &Default::default()).unwrap();
    let of = async |query: &str| values(&router, &format!("/incidents?{query}"), "incidents", "source").await;
    assert_eq!(of("family=wannacry").await, ["192.0.2.1"]);
    assert_eq!(of("family=notpetya").await.len(), 0);
    assert_eq!(of("tool=wannacry").await.len(), 2);
    let report = json(&router, "/report?range=all&family=wannacry").await;
    let incidents = report["totals"].as_array().unwrap().iter().find(|total| total["name"] == "Incidents");
    assert_eq!(incidents.unwrap()["now"], 1);
}

#[tokio::test]
async fn the_address_filters_and_pages() {
    let dir = tempfile::tempdir().unwrap();
    let (router, past) = console(dir.path()).await;
    let core = values(&router, "/groups", "groups", "core").await[0].clone();
    let sources =
        async |query: &str| values(&router, &format!("/sources?{query}"), "sources", "source").await;
    assert_eq!(sources("").await.len(), 3);
    for query in ["tool=wannacry", "stage=new", "order=first&tool=wannacry", &format!("core={}", &core[..8])]
    {
        let mut found = sources(query).await;
        found.sort();
        assert_eq!(found, ["192.0.2.1", "192.0.2.2"], "{query}");
    }
    assert_eq!(sources("source=192.0.2.2").await, ["192.0.2.2"]);
    assert_eq!(sources("family=notpetya").await.len(), 0);
    assert_eq!(sources("until=2020-01-01").await.len(), 0);
    assert_eq!(sources("range=1h&new=no").await.len(), 0);
    assert_eq!(sources("stage=probe").await, ["192.0.2.1"]);

    let first = json(&router, "/sources?limit=2&order=uploads").await;
    assert_eq!(first["sources"][0]["source"], "192.0.2.2");
    let next = format!("/sources?limit=2&order=uploads&cursor={}", first["next"].as_str().unwrap());
    assert_eq!(values(&router, &next, "sources", "source").await, ["2001:db8::3"]);
    let bad = get(&router, "/api/v1/sources?cursor=x").await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST, "{}", bad.body);

    let prints =
        async |query: &str| values(&router, &format!("/tools?{query}"), "fingerprints", "fingerprint").await;
    assert_eq!(prints("source=2001:db8::3").await, ["8899aabbccddeeff"]);
    assert_eq!(prints("tool=wannacry").await, ["0011223344556677"]);
    assert_eq!(values(&router, "/groups?source=192.0.2.1", "groups", "core").await, [core.as_str()]);
    for query in ["source=2001:db8::3", "tool=nmap", "until=2020-01-01", "family=petya&stage=captured"] {
        assert_eq!(json(&router, &format!("/groups?{query}")).await["count"], 0, "{query}");
    }
    assert_eq!(
        values(&router, "/credentials?source=192.0.2.1", "credentials", "account").await,
        ["=HYPERLINK(1)"]
    );
    assert_eq!(json(&router, "/credentials?source=192.0.2.2").await["credentials"], Value::Array(Vec::new()));
    let samples =
        async |query: &str| values(&router, &format!("/samples?{query}"), "samples", "sha256").await;
    assert_eq!(samples("source=192.0.2.1").await, [past.samples[0].to_string()]);
    assert_eq!(samples("stage=probe").await, [past.samples[0].to_string()], "its visitor checked before");
    assert_eq!((samples("stage=captured").await.len(), samples("source=2001:db8::/32").await.len()), (2, 0));
    assert_eq!(sources("source=192.0.2.0/24").await.len(), 2);
    for (query, shapes) in [("source=2001:db8::3", 1), ("stage=upload", 0), ("source=192.0.2.1", 0)] {
        let unknown = json(&router, &format!("/unknown?{query}")).await;
        assert_eq!(unknown["shapes"].as_array().unwrap().len(), shapes, "{query}");
    }
    for query in ["family=notpetya", "stage=exploit", "tool=nmap"] {
        assert_eq!(
            json(&router, &format!("/credentials?{query}")).await["credentials"],
            Value::Array(Vec::new())
        );
    }
    let page = get(&router, "/credentials?family=notpetya").await.body;
    assert!(page.contains("whose family is called like notpetya"), "{page}");
    for address in [
        "/tools?tool=nobody",
        "/samples?family=nothing-of-the-kind",
        "/api/v1/samples?tool=wanna",
        "/live?family=x&tol=y",
        "/report?since=9999-01-01",
    ] {
        assert_eq!(get(&router, address).await.status, StatusCode::BAD_REQUEST, "{address}");
    }
    for address in
        ["/api/v1/tools?as=csv", "/api/v1/tools?table=tools", "/tools?table=tools", "/incidents?technique=x"]
    {
        let bad = get(&router, address).await;
        assert_eq!(bad.status, StatusCode::BAD_REQUEST, "{address}");
    }
    for query in ["stage=bogus", "source=x", "range=2y", "technique=T12", "tool=nobody", "family=nothing"] {
        let bad = get(&router, &format!("/api/v1/incidents?{query}")).await;
        assert_eq!(bad.status, StatusCode::BAD_REQUEST, "{query}");
        let told: Value = serde_json::from_str(&bad.body).expect("the API answers JSON");
        assert!(told["error"].as_str().unwrap().contains("` is "), "{told}");
    }
    let home = get(&router, "/?source=192.0.2.1&range=1h").await.body;
    assert!(
        home.contains("data-live=\"/live?range=1h&amp;source=192.0.2.1\""),
        "the feed heeds the filter: {home}"
    );
    assert!(home.contains("/incidents?stage=probe&amp;range=1h&amp;source=192.0.2.1"), "{home}");
    let members = json(&router, &format!("/groups/{}?limit=1", &core[..6])).await;
    assert_eq!((members["members"].as_array().unwrap().len(), members["next"].as_str()), (1, Some("1")));
    assert!(past.samples.len() == 2);
}

#[tokio::test]
async fn one_box_finds_whatever_has_a_name() {
    let dir = tempfile::tempdir().unwrap();
    let (router, past) = console(dir.path()).await;
    let core = values(&router, "/groups", "groups", "core").await[0].clone();
    let incident = values(&router, "/sources/192.0.2.1", "incidents", "id").await[0].clone();
    let sample = past.samples[1].to_string();
    let connection = past.uploader.to_string();
    for (query, expected) in [
        (sample.clone(), format!("/samples/{sample}")),
        (sample[..20].to_uppercase(), format!("/samples/{sample}")),
        ("192.0.2.1".to_owned(), "/sources/192.0.2.1".to_owned()),
        ("2001:DB8::3".to_owned(), "/sources/2001:db8::3".to_owned()),
        ("0011223344".to_owned(), "/tools/0011223344556677".to_owned()),
        (incident.clone(), format!("/incidents/{incident}")),
        (connection.clone(), format!("/incidents/{incident}/connections/{connection}")),
        (connection[5..].to_owned(), format!("/incidents/{incident}/connections/{connection}")),
        (core.clone(), format!("/groups/{core}")),
    ] {
        let answer = get(&router, &format!("/search?q={query}")).await;
        assert_eq!(
            (answer.status, &answer.location),
            (StatusCode::SEE_OTHER, &expected),
            "{query}: {}",
            answer.body
        );
    }
    let kinds = async |query: &str| values(&router, &format!("/search?q={query}"), "hits", "kind").await;
    assert_eq!(kinds("192.0.2.0%2F24").await, ["source", "source"]);
    assert_eq!(kinds("look-alike-HOST").await, ["indicator"], "once, in however many samples it is");
    let listed = values(&router, "/search?q=look-alike-HOST", "hits", "href").await;
    assert!(listed[0].starts_with("/samples?indicator="), "{listed:?}");
    assert_eq!(json(&router, &listed[0]).await["count"], 2, "it is in both");
    assert_eq!(kinds("wanna").await, ["tool"]);
    // Whatever an incident's page names leads to all incidents of it, also what is only implied.
    let story = get(&router, &format!("/incidents/{incident}")).await.body;
    for (id, incidents) in [("T1595.002", 1), ("T1014", 2), ("S0366", 2)] {
        assert!(story.contains(&format!("<a href=\"/search?q={id}\">{id}</a>")), "{id}: {story}");
        assert_eq!(kinds(id).await, vec!["technique"; incidents], "{id}");
        assert_eq!(
            values(&router, &format!("/incidents?technique={id}"), "incidents", "id").await.len(),
            incidents
        );
    }
    assert_eq!(kinds("T1595").await, ["technique"]);
    assert!(
        values(&router, &format!("/search?q={}", &incident[..9]), "hits", "name").await.contains(&incident)
    );
    // An exploit from a private address would be T1210: who looks for that one finds this one, and why.
    let about = values(&router, "/search?q=T1210", "hits", "about").await;
    assert_eq!((about.len(), kinds("T1190").await), (1, vec!["technique".to_owned()]));
    assert!(about[0].contains("from the internet it is T1190"), "{about:?}");
    let either = get(&router, "/incidents?technique=T1210").await.body;
    assert!(either.contains("1 incident,") && either.contains("Both are listed"), "{either}");
    for query in ["192.0.2.1:445", "http://192.0.2.1/", "hxxp://192.0.2[.]1/x", "192[.]0[.]2[.]1"] {
        let answer = get(&router, &format!("/search?q={query}")).await;
        assert_eq!(answer.location, "/sources/192.0.2.1", "{query}: {}", answer.body);
    }
    assert!(get(&router, "/incidents?technique=T9999").await.body.contains("imply T9999"));
    assert_eq!(kinds("nothing-of-the-kind").await.len(), 0);
    let nothing = get(&router, "/search?q=%3Cscript%3E").await;
    assert!(
        nothing.status == StatusCode::OK
            && nothing.body.contains("Nothing is called")
            && !nothing.body.contains("<script>")
    );
}

/// A page lists few of each kind and says of how many; what is taken away has them all.
#[tokio::test]
async fn a_search_that_finds_many_says_how_many_and_exports_all() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    for host in 1..=25 {
        let whose = world.accept(&format!("192.0.2.{host}"));
        let (verdict, status) = (Verdict::Vulnerable, 0xc000_0205);
        world.tell(&whose, Event::Ms17010Probe { verdict, pid: 0x800, mid: 24_261, status, stream_at: 272 });
        world.close(&whose, "0011223344556677", "72 73 75", &[]);
    }
    world.store.flush();
    let router = console::router(dir.path(), &ConsoleSettings::default()).unwrap();
    let begun = Instant::now();
    while json(&router, "/incidents").await["count"] != 25
        || json(&router, "/sources").await["sources"].as_array().unwrap().len() != 25
    {
        assert!(begun.elapsed() < PATIENCE, "the keeper reads nothing");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let page = get(&router, "/search?q=T1595").await.body;
    assert!(page.contains("<h2>20 of 25 hits</h2>") && page.contains("/incidents?technique=T1595"), "{page}");
    assert!(
        !page.contains("Z, 192.0.2.") && page.contains("Last heard of (UTC)"),
        "a time is told as one: {page}"
    );
    let page = get(&router, "/search?q=192.0.2.0%2F24").await.body;
    assert!(page.contains("The first 20 hits, of more"), "{page}");
    for query in ["T1595", "192.0.2.0%2F24"] {
        let csv = get(&router, &format!("/search?q={query}&as=csv")).await.body;
        assert_eq!(csv.lines().count(), 26, "{query}: {csv}");
        let all = json(&router, &format!("/search?q={query}")).await;
        assert_eq!((all["hits"].as_array().unwrap().len(), &all["more"]), (25, &serde_json::json!([])));
    }
    assert_eq!(json(&router, "/incidents?technique=T1595").await["count"], 25);
}

#[tokio::test]
async fn a_report_is_a_page_a_table_and_markdown() {
    let dir = tempfile::tempdir().unwrap();
    let (router, _) = console(dir.path()).await;
    let report = json(&router, "/report?range=24h").await;
    let total = |name: &str| {
        let found = report["totals"].as_array().unwrap().iter().find(|total| total["name"] == name);
        found.map(|total| (total["now"].as_u64().unwrap(), total["before"].as_u64().unwrap()))
    };
    assert_eq!(total("Captured uploads"), Some((3, 0)));
    assert_eq!(total("New cores"), Some((1, 0)));
    assert_eq!(total("Visitors"), Some((3, 0)));
    assert_eq!(report["hosts"][0]["source"], "192.0.2.2");
    assert_eq!(report["unknown"][0]["new"], true);
    for (filter, visitors, captures, incidents) in [
        ("source=192.0.2.1", 1, 1, 1),
        ("source=192.0.2.0/24", 2, 3, 2),
        ("stage=probe", 1, 1, 1),
        ("tool=wannacry", 2, 3, 2),
        ("family=notpetya", 0, 0, 0),
    ] {
        let report = json(&router, &format!("/report?range=24h&{filter}")).await;
        let total = |name: &str| {
            report["totals"].as_array().unwrap().iter().find(|total| total["name"] == name).unwrap()["now"]
                .as_u64()
        };
        assert_eq!(total("Visitors"), Some(visitors), "{filter}");
        assert_eq!(total("Captured uploads"), Some(captures), "{filter}");
        assert_eq!(total("Incidents"), Some(incidents), "{filter}");
        assert_eq!(total("New cores"), Some(u64::from(captures > 0)), "{filter}");
        assert_eq!(report["only"][0], filter.replace('=', " "));
        assert_eq!(report["unknown"], Value::Array(Vec::new()), "{filter}");
        let home = json(&router, &format!("/home?range=24h&{filter}")).await;
        // The funnel is of all stages.
        let uploads = if filter.starts_with("stage") { 3 } else { captures };
        assert_eq!(home["funnels"][0]["uploads"], uploads, "{filter}");
    }
    assert!(get(&router, "/report.md?range=24h").await.body.contains(" UTC, counted by whole hours."));
    assert!(get(&router, "/report?range=24h").await.body.contains("Counted by whole hours: from "));
    let page = get(&router, "/report?period=week&source=192.0.2.1").await.body;
    assert!(!page.contains("by whole hours"));
    assert!(
        page.contains("who fit the filter (source 192.0.2.1)")
            && page.contains("period=day&amp;source=192.0.2.1")
    );
    for address in ["/report.md", "/report?as=markdown"] {
        let text = get(&router, address).await;
        assert_eq!(text.file, "attachment; filename=\"roridula-report.md\"", "{}", text.body);
        assert!(
            text.body.starts_with("# Roridula: ")
                && !text.body.contains("by whole hours")
                && text.body.contains("`ff 00 <script>"),
            "{}",
            text.body
        );
        assert!(!text.body.contains('\u{202e}'));
    }
    assert_eq!(get(&router, "/groups?as=markdown").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn every_table_is_exported_and_no_cell_is_a_formula() {
    let dir = tempfile::tempdir().unwrap();
    let (router, _) = console(dir.path()).await;
    for (view, tables) in [
        ("/groups", &["groups"][..]),
        ("/sources", &["sources", "hours"]),
        ("/sources/192.0.2.1", &["incidents", "samples", "fingerprints", "credentials", "connections"]),
        ("/tools", &["fingerprints", "tools"]),
        ("/tools/0011223344556677", &["connections", "sources"]),
        ("/credentials", &["credentials"]),
        ("/unknown", &["unknown"]),
        ("/report", &["totals", "hosts", "families", "tools", "novel", "unknown", "losses"]),
    ] {
        for table in tables {
            let answer = get(&router, &format!("{view}?as=csv&table={table}")).await;
            assert_eq!(answer.status, StatusCode::OK, "{view} {table}");
            let of = view.trim_start_matches('/').replace('/', "-");
            let whose =
                if view.ends_with(table) { of } else { format!("{}-{table}", of.get(..22).unwrap_or(&of)) };
            assert_eq!(
                answer.file,
                format!("attachment; filename=\"roridula-{whose}.csv\""),
                "{view} {table}"
            );
            assert!(
                !answer.body.contains(",\"=")
                    && !answer.body.contains("\n\"=")
                    && !answer.body.contains('\u{202e}')
            );
        }
    }
    let credentials = get(&router, "/credentials?as=csv").await.body;
    assert!(
        credentials.contains("\"'=HYPERLINK(1)\"") && credentials.len() > 65_536,
        "all of the long name is there"
    );
}

#[tokio::test]
async fn csv_holds_all_rows_and_a_limit_holds() {
    const VISITORS: usize = 1203;
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    for number in 0..VISITORS {
        let whose = world.accept(&format!("10.0.{}.{}", number / 250, number % 250));
        world.close(&whose, "8899aabbccddeeff", "ff", &[]);
    }
    world.store.flush();
    drop(world);
    let router = console::router(dir.path(), &ConsoleSettings::default()).unwrap();
    let begun = Instant::now();
    while json(&router, "/health").await["pulse"]["lag"] != 0 {
        assert!(begun.elapsed() < PATIENCE, "the keeper reads nothing");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for view in ["/sources", "/incidents"] {
        let lines =
            async |query: &str| get(&router, &format!("{view}?as=csv{query}")).await.body.lines().count();
        assert_eq!(lines("").await, VISITORS + 1, "{view}");
        assert_eq!(lines("&limit=7").await, 8, "{view}");
    }
}

#[tokio::test]
async fn without_a_past_every_view_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    drop(Store::open(dir.path(), "here", Options::default()).unwrap());
    let router = console::router(dir.path(), &ConsoleSettings::default()).unwrap();
    for address in
        ["/groups", "/sources", "/tools", "/credentials", "/unknown", "/search", "/groups?range=7d"]
    {
        let page = get(&router, address).await;
        assert_eq!(page.status, StatusCode::OK, "{address}: {}", page.body);
        assert!(page.body.contains("roridula doctor"), "{address}: {}", page.body);
    }
    assert_eq!(get(&router, "/report").await.status, StatusCode::OK);
    for missing in ["/groups/abcdef", "/sources/192.0.2.1", "/sources/x", "/tools/0011223344556677"] {
        assert_eq!(get(&router, missing).await.status, StatusCode::NOT_FOUND, "{missing}");
    }
}

#[tokio::test]
async fn an_open_home_is_told_its_funnel_its_headline_and_its_card() {
    for (query, link) in [
        ("", "/incidents?stage=connect&amp;range=24h\""),
        ("?range=7d&source=192.0.2.1", "/incidents?stage=connect&amp;range=7d&amp;source=192.0.2.1\""),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let (router, _) = console(dir.path()).await;
        let request = Request::get(format!("/live{query}")).body(Body::empty()).unwrap();
        let mut stream = router.clone().oneshot(request).await.unwrap().into_body().into_data_stream();
        let mut told = String::new();
        let all = ["id=\"headline\"", "id=\"novel\"", "id=\"funnel\"", link];
        while !all.iter().all(|part| told.contains(part)) {
            let news = tokio::time::timeout(Duration::from_secs(20), stream.next()).await;
            let news = news.unwrap_or_else(|_| panic!("{query} is told no more: {told}"));
            told.push_str(&String::from_utf8_lossy(&news.unwrap().unwrap()));
        }
        assert!(told.contains("event: part"), "{told}");
        let home = get(&router, "/").await.body;
        for part in ["headline", "novel", "funnel"] {
            assert_eq!(home.matches(&format!("id=\"{part}\"")).count(), 1, "{part} is put in its place");
        }
    }
}

#[tokio::test]
async fn nobody_takes_all_his_places_by_reading_along() {
    let dir = tempfile::tempdir().unwrap();
    let (router, _) = console(dir.path()).await;
    let feed = async |from: &str| {
        let remote = format!("{from}:4000").parse().unwrap();
        let peer = Peer { remote, ..Peer::default() };
        let request = Request::get("/live").extension(peer).body(Body::empty()).unwrap();
        router.clone().oneshot(request).await.unwrap()
    };
    let mut held = Vec::new();
    for _ in 0..16 {
        held.push(feed("192.0.2.1").await);
    }
    assert!(held.iter().all(|answer| answer.status() == StatusCode::OK));
    assert_eq!(feed("192.0.2.1").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(feed("192.0.2.2").await.status(), StatusCode::OK);
    held.pop();
    assert_eq!(feed("192.0.2.1").await.status(), StatusCode::OK, "who closes one may open another");
}

#[tokio::test]
async fn what_the_headline_counts_is_what_its_link_lists() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    world.play();
    let other = world.accept("192.0.2.4");
    world.capture_by(
        &other,
        1,
        &[b"a buffer of an exploit, and no upload ".repeat(9)].concat(),
        Origin::ExploitBuffer,
    );
    world.close(&other, "0011223344556677", "72 73 75", &[]);
    world.store.flush();
    drop(world);
    let router = console::router(dir.path(), &ConsoleSettings::default()).unwrap();
    let begun = Instant::now();
    while json(&router, "/groups").await["count"] != 2 {
        assert!(begun.elapsed() < PATIENCE, "the keeper reads nothing");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let home = get(&router, "/").await.body;
    let link = "/groups?new=yes&order=first&range=24h";
    assert!(
        home.contains(&link.replace('&', "&amp;"))
            && home.contains("<strong>1</strong> new core in 24 hours"),
        "{home}"
    );
    assert_eq!(json(&router, link).await["count"], 1);
    assert_eq!(json(&router, "/groups?order=first&range=24h").await["count"], 2);
    assert_eq!(json(&router, "/groups?new=yes&until=2020-01-01").await["count"], 0);
    assert_eq!(get(&router, "/groups?new=no").await.status, StatusCode::BAD_REQUEST);
}
