//! The console's views of incidents, connections and samples, over a real journal.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods)]

mod world;

use axum::http::StatusCode;
use std::io::Read;
use world::{World, ask, get};

const UPLOAD: &str = include_str!("../../../../transcripts/upload-whole-chunks/session.txt");
const LOGON: &str = include_str!("../../../../transcripts/wannacry-ping/session.txt");
const UNIVERSAL: &str = include_str!("../../../../transcripts/impacket-logon/session.txt");

fn same(bytes: &[u8]) -> Vec<u8> {
    bytes.to_vec()
}

/// Two chunks that mean nothing, and differ by `seed` in their last few bytes.
fn payload(seed: u8) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..8192u32).map(|at| (at * 7 % 251) as u8).collect();
    bytes[8000..8010].fill(seed);
    bytes
}

/// What a page must not have, whatever was sent.
fn assert_inert(page: &str) {
    for bad in
        ["<script>", "<img", "<svg onload", "javascript:", " style=", " onclick=", "\u{202e}", "\u{1b}", "\0"]
    {
        assert!(!page.contains(bad), "{bad:?} in a page");
    }
    let mut ids: Vec<&str> = page.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "an id stands twice");
}

#[tokio::test]
async fn an_incident_leads_to_the_bytes_that_show_it() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(dir.path());
    let connection = world.visit("192.0.2.7:4000", UPLOAD, &payload(1), &same);
    let (router, incidents) = world.open();
    let list = get(&router, "/incidents").await;
    assert!(list.text().contains(&format!("/incidents/{}", incidents[0])), "{}", list.text());
    let address = format!("/incidents/{}", incidents[0]);
    let page = get(&router, &address).await;
    assert_inert(page.text());
    let model = get(&router, &format!("/api/v1{address}")).await.json();
    let marks = model["lanes"][0]["marks"].as_array().unwrap();
    let mut stages: Vec<&str> = marks.iter().map(|mark| mark["stage"].as_str().unwrap()).collect();
    assert_eq!(stages[0], "connect");
    // The recorded times run ahead of the clock by which the sample was kept.
    stages.sort_unstable();
    assert_eq!(stages, ["capture", "connect", "implant", "logon", "ping", "upload"]);
    let chunk = marks.iter().find(|mark| mark["stage"] == "upload").unwrap();
    // The drawing, the list and the model name the same place of the upload's first chunk.
    let upload = chunk["stream_at"].as_u64().unwrap();
    let evidence = format!("{address}/connections/{connection}?at={upload}#at");
    assert!(page.text().matches(&evidence).count() >= 2, "{evidence}");
    assert!(page.text().contains("class=\"stage s7\""));
    let evidence = get(&router, evidence.trim_end_matches("#at")).await;
    assert_inert(evidence.text());
    let page = evidence.text();
    assert!(page.contains("id=\"at\"><h2>→ TRANSACTION2 SESSION_SETUP: DoublePulsar exec"), "{page}");
    assert!(page.contains("= 8192: bytes in the whole upload"), "{page}");
    // The first field of the message, there and back.
    let field = page.split("data-field=\"").nth(1).unwrap().split('"').next().unwrap();
    for link in [format!("href=\"#b{field}\""), format!("id=\"b{field}\""), format!("id=\"f{field}\"")] {
        assert!(page.contains(&link), "{link}");
    }
}

#[tokio::test]
async fn what_the_server_says_of_itself_is_told_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(dir.path());
    let connection = world.visit("192.0.2.7:4000", UPLOAD, &payload(1), &same);
    let (router, incidents) = world.open();
    let page = get(&router, &format!("/incidents/{}/connections/{connection}", incidents[0])).await;
    let page = page.text();
    let after = |name: &str| {
        let rest = page.split(&format!(">{name}</a>")).nth(1).unwrap_or_else(|| panic!("no {name}"));
        rest.split("</li>").next().unwrap().to_owned()
    };
    let capabilities = after("Capabilities");
    assert!(capabilities.contains("LARGE_WRITEX, LWIO"), "{capabilities}");
    assert!(!capabilities.contains(", 0x"), "{capabilities}");
    let time = after("SystemTime");
    assert!(time.contains("FILETIME, 20") && time.contains(" UTC"), "{time}");
    let zone = after("ServerTimeZone");
    assert!(zone.contains("UTC"), "{zone}");
}

#[tokio::test]
async fn incidents_are_filtered_and_paged_by_all_that_a_view_filters_by() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(dir.path());
    for host in 1..=5 {
        world.visit(&format!("192.0.2.{host}:4000"), LOGON, &[], &same);
    }
    world.visit("192.0.2.7:4000", UPLOAD, &payload(1), &same);
    let (router, _) = world.open();
    let count = async |query: &str| {
        let model = get(&router, &format!("/api/v1/incidents?{query}")).await.json();
        (model["incidents"].as_array().unwrap().len(), model["next"].as_str().map(str::to_owned))
    };
    assert_eq!(count("").await, (6, None));
    for (query, expected) in [
        ("stage=captured", 1),
        ("stage=upload", 1),
        ("stage=ping", 6),
        ("stage=kill", 0),
        ("source=192.0.2.3", 1),
        // Their sentences name it; nobody has looked into what they brought.
        ("family=wannacry", 0),
        ("family=conficker", 0),
        ("since=2020-01-01", 6),
        ("until=2020-01-01", 0),
        ("since=2990-01-01", 0),
    ] {
        assert_eq!(count(query).await, (expected, None), "{query}");
    }
    let (rows, next) = count("limit=4&stage=ping").await;
    let next = next.unwrap();
    assert_eq!(rows, 4);
    assert_eq!(count(&format!("limit=4&stage=ping&cursor={next}")).await, (2, None));
    assert_eq!(count("limit=6").await, (6, None));
}

#[tokio::test]
async fn a_connection_is_told_in_pages_and_taken_away() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(dir.path());
    let connection = world.visit("192.0.2.7:4000", UPLOAD, &payload(1), &same);
    let (router, incidents) = world.open();
    let home = format!("/incidents/{}/connections/{connection}", incidents[0]);
    let first = get(&router, &format!("/api/v1{home}?messages=4")).await.json();
    assert_eq!(first["messages"].as_array().unwrap().len(), 4);
    assert_eq!((&first["total"], &first["earlier"]), (&12.into(), &serde_json::Value::Null));
    assert_eq!(
        first["messages"][0]["bytes"].as_str().unwrap().len() as u64,
        first["messages"][0]["len"].as_u64().unwrap() * 2
    );
    let later = first["later"].as_u64().unwrap();
    let second = get(&router, &format!("/api/v1{home}?messages=4&at={later}")).await.json();
    assert_eq!(second["messages"][0]["number"], 4);
    assert_eq!(second["earlier"], 0);
    // Evidence that names no byte leads to the visitor's last message before it.
    let story = get(&router, &format!("/api/v1/incidents/{}", incidents[0])).await.json();
    let stages = story["incident"]["stages"].as_array().unwrap();
    let of = |name: &str| &stages.iter().find(|stage| stage["stage"] == name).unwrap()["evidence"][0];
    let by_event = |name: &str| format!("{home}?event={}", of(name)["seq"]);
    assert!(of("capture")["stream_at"].is_null(), "{}", of("capture"));
    let page = get(&router, &format!("/incidents/{}", incidents[0])).await;
    assert!(page.text().contains(&by_event("capture")), "{}", page.text());
    // Of one that names a byte, it is the message that holds this byte.
    let byte = of("upload")["stream_at"].as_u64().unwrap();
    let found = ask(&router, "GET", &by_event("upload")).await;
    let place = found.header("location").split(['=', '#']).nth(1).unwrap().parse::<u64>().unwrap();
    let holds = get(&router, &format!("/api/v1{home}?messages=1&at={byte}")).await.json();
    assert_eq!((found.status, &holds["messages"][0]["stream_at"]), (StatusCode::SEE_OTHER, &place.into()));
    get(&router, &format!("{home}?event=0")).await;
    for wrong in ["event=999999999", "event=x", "messages=65", "messages=0", "at=-1"] {
        let refused = ask(&router, "GET", &format!("/api/v1{home}?{wrong}")).await;
        let word = wrong.split('=').next().unwrap();
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{wrong}");
        assert!(refused.text().contains(&format!("`{word}` is ")), "{}", refused.text());
    }
    let found = ask(&router, "GET", &format!("/connections/{connection}")).await;
    assert_eq!((found.status, found.header("location")), (StatusCode::SEE_OTHER, home.as_str()));
    for (file, kind, begins) in [
        ("visit.pcapng", "application/x-pcapng", &[0x0a, 0x0d, 0x0d, 0x0a][..]),
        ("transcript.txt", "text/plain; charset=utf-8", b"roridula-transcript 1\n"),
        ("connection.json", "application/json", b"{\n"),
    ] {
        let answer = get(&router, &format!("{home}/{file}")).await;
        assert_eq!(answer.header("content-type"), kind);
        assert!(answer.header("content-disposition").starts_with("attachment; filename=\"roridula-"));
        assert!(answer.body.starts_with(begins), "{file}");
    }
    let whole = get(&router, &format!("/incidents/{}/attack.pcapng", incidents[0])).await;
    assert!(whole.body.len() > 8192, "the upload's bytes are packets");
    let texts = get(&router, &format!("/incidents/{}/transcripts.txt", incidents[0])).await;
    assert_eq!(texts.body, get(&router, &format!("{home}/transcript.txt")).await.body);
    // What a chart shows is there for spreadsheets too.
    for (table, begins) in [
        ("/?range=24h&as=csv", "\"Step\",\"24h\"\r\n\"connected\",\""),
        ("/sources?table=hours&as=csv", "\"From\",\"Connections\",\"Apart\"\r\n"),
        ("/sources/192.0.2.7?table=hours&as=csv", "\"From\",\"Connections\"\r\n\"20"),
    ] {
        let answer = get(&router, table).await;
        assert_eq!(answer.header("content-type"), "text/csv; charset=utf-8");
        assert!(answer.text().starts_with(begins), "{table}: {}", answer.text());
    }
    for nothing in [
        "/incidents/i0/connections/0",
        "/incidents/nothing",
        &format!("/incidents/{}/connections/nothing", incidents[0]),
        &format!("/incidents/{}/connections/0000000000000", incidents[0]),
        "/connections/0000000000000",
    ] {
        assert_eq!(ask(&router, "GET", nothing).await.status, StatusCode::NOT_FOUND, "{nothing}");
    }
    let wrong = ask(&router, "GET", &format!("{home}?at=-1")).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_sample_is_explained_compared_and_exported() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(dir.path());
    world.visit("192.0.2.7:4000", UPLOAD, &payload(1), &same);
    world.visit("192.0.2.8:4000", UPLOAD, &payload(2), &same);
    let (router, _) = world.open();
    let names: Vec<String> = [1, 2].map(|seed| sha256(&payload(seed))).into();
    let page = get(&router, &format!("/samples/{}", names[0])).await;
    assert_inert(page.text());
    for part in [
        "data-copy=\"",
        "What is inside, to scale",
        "id=\"layer-0\"",
        "192.0.2.7",
        "Rules that fit",
        "Compare",
    ] {
        assert!(page.text().contains(part), "{part}");
    }
    let model = get(&router, &format!("/api/v1/samples/{}", &names[0][..12])).await.json();
    assert_eq!(model["sha256"], names[0].as_str());
    assert_eq!(model["capture_list"][0]["source"], "192.0.2.7");
    let diff = get(&router, &format!("/samples/{}/diff/{}", names[0], names[1])).await;
    assert_inert(diff.text());
    assert!(diff.text().contains("class=\"differs\"") && diff.text().contains("8,000"), "{}", diff.text());
    let ranges = get(&router, &format!("/api/v1/samples/{}/diff/{}", names[0], names[1])).await.json();
    let range = &ranges["layers"][0]["ranges"][0];
    assert_eq!((&range["a_at"], &range["a_size"]), (&8000.into(), &10.into()), "{ranges}");
    let chosen = format!("/samples/{}/diff?with={}", names[0], &names[1][..8]);
    let found = ask(&router, "GET", &chosen).await;
    assert_eq!(found.header("location"), format!("/samples/{}/diff/{}", names[0], &names[1][..8]));
    for nothing in ["/samples/zz", "/samples/0123456789", "/samples/zz/export"] {
        assert_eq!(ask(&router, "GET", nothing).await.status, StatusCode::NOT_FOUND, "{nothing}");
    }
}

#[tokio::test]
async fn a_sample_leaves_only_encrypted_and_as_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(dir.path());
    world.visit("192.0.2.7:4000", UPLOAD, &payload(1), &same);
    let (router, _) = world.open();
    // Its page is there once all samples are read; until then nothing leaves.
    get(&router, &format!("/samples/{}", sha256(&payload(1)))).await;
    let address = format!("/samples/{}/export", sha256(&payload(1)));
    let first = get(&router, &address).await;
    assert!(first.text().contains("method=\"post\"") && first.text().contains("name=\"csrf\""));
    let zip = ask(&router, "POST", &address).await;
    assert_eq!((zip.status, zip.header("content-type")), (StatusCode::OK, "application/zip"));
    assert!(zip.header("content-disposition").starts_with("attachment; "));
    let marker = &payload(1)[..64];
    assert!(!zip.body.windows(64).any(|part| part == marker), "the sample is there in clear");
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(&zip.body[..])).unwrap();
    let name = format!("{}.bin", sha256(&payload(1)));
    assert!(archive.by_name(&name).is_err(), "no password was needed");
    let mut bytes = Vec::new();
    archive.by_name_decrypt(&name, b"infected").unwrap().read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, payload(1));
    // No address answers with the bytes themselves.
    for page in ["", "/sample.json", "/export"] {
        let answer = get(&router, &format!("/samples/{}{page}", sha256(&payload(1)))).await;
        assert!(!answer.body.windows(64).any(|part| part == marker), "{page}");
    }
}

#[tokio::test]
async fn what_attackers_type_is_shown_escaped_and_cut() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(dir.path());
    // The native OS of a worm's logon becomes a script, a terminal's escape, a bidirectional mark and a zero.
    let hostile = |bytes: &[u8]| {
        let from: Vec<u8> = "Windows 2000 2195".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let to: Vec<u8> =
            "<script>\u{1b}[2J\u{202e}=1+".chars().map(|c| c as u16).flat_map(u16::to_le_bytes).collect();
        let mut bytes = bytes.to_vec();
        if let Some(at) = bytes.windows(from.len()).position(|part| part == from) {
            bytes[at..at + to.len()].copy_from_slice(&to);
        }
        bytes
    };
    let connection = world.visit("192.0.2.9:4000", LOGON, &[], &hostile);
    let user = world.visit("192.0.2.10:4000", UNIVERSAL, &[], &same);
    let (router, incidents) = world.open();
    for incident in &incidents {
        assert_inert(get(&router, &format!("/incidents/{incident}")).await.text());
    }
    let home = |connection: &str| {
        let of = |id: &&String| id.ends_with(connection.get(connection.len() - 4..).unwrap());
        let incident = incidents.iter().find(of).unwrap();
        format!("/incidents/{incident}/connections/{connection}")
    };
    let page = get(&router, &home(&connection)).await;
    assert_inert(page.text());
    assert!(page.text().contains("&lt;script&gt;\\u{1b}[2J\\u{202e}=1+"), "{}", page.text());
    let logon = get(&router, &home(&user)).await;
    assert_inert(logon.text());
    assert!(logon.text().contains("AUTHENTICATE"));
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
