//! Look-ups against a fake transport with a clock of the test's own, and against a real server on loopback that
//! answers in the services' shapes.

// Tests own threads, sockets and a clock for their deadlines.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use roridula_desk::lookup::{
    Http, Inquirer, LookupSettings, Lookups, Outcome, Part, Request, Response, Service, Step, Transport,
    TransportError, Wanted, spawn, wanted,
};
use roridula_desk::sample::Reports;
use roridula_evidence::{Capture, Options, SampleId, Store};
use roridula_proto::event::{Event, Origin, UploadState};
use roridula_proto::time::WallClock;
use roridula_triage::{Depth, FORMAT, FoundBy, Hashes, Kind, Layer, Report, State};
use std::collections::{HashMap, VecDeque};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

const KEY: &str = "k3y-of-nobody";
const FOUND: &str = r#"{"data":{"type":"file","attributes":{
  "last_analysis_stats":{"malicious":65,"suspicious":0,"undetected":7,"harmless":0,"timeout":1,"failure":0,"type-unsupported":4},
  "popular_threat_classification":{"suggested_threat_label":"trojan.wannacry/wannacryptor"},
  "meaningful_name":"lhdfrgui.exe","names":["a.exe"],"first_submission_date":1494574270,"tags":["peexe"]}}}"#;
const UNKNOWN: &str = r#"{"error":{"code":"NotFoundError","message":"File not found"}}"#;
const WRONG_KEY: &str = r#"{"error":{"code":"WrongCredentialsError","message":"Wrong API key"}}"#;
const QUOTA: &str = r#"{"error":{"code":"QuotaExceededError","message":"Quota exceeded"}}"#;
const TAKEN: &str = r#"{"data":{"type":"analysis","id":"eA=="}}"#;
const BAZAAR_FOUND: &str = r#"{"query_status":"ok","data":[{"signature":"WannaCry","tags":["exe","WannaCry"],
  "first_seen":"2020-05-18 07:29:43","file_name":"bad\u001b[31m.exe","reporter":"somebody"}]}"#;
const BAZAAR_UNKNOWN: &str = r#"{"query_status":"hash_not_found"}"#;

const SECOND: u64 = 1_000_000;
const DAY: u64 = 86_400 * SECOND;
const START: WallClock = WallClock(1_700_000_000 * SECOND);

fn later(micros: u64) -> WallClock {
    WallClock(START.0 + micros)
}

fn answer(status: u16, body: &str) -> Result<Response, TransportError> {
    Ok(Response { status, retry_after_secs: None, body: body.as_bytes().to_vec() })
}

/// Answers in order; then that it knows nothing. Remembers what it was asked.
#[derive(Clone, Default)]
struct Fake {
    answers: Arc<Mutex<VecDeque<Result<Response, TransportError>>>>,
    asked: Arc<Mutex<Vec<Request>>>,
}

impl Fake {
    fn new(answers: Vec<Result<Response, TransportError>>) -> Self {
        Self { answers: Arc::new(Mutex::new(answers.into())), ..Self::default() }
    }

    fn urls(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|request| request.url.clone()).collect()
    }
}

impl Transport for Fake {
    fn send(&mut self, request: &Request) -> Result<Response, TransportError> {
        self.asked.lock().unwrap().push(request.clone());
        self.answers.lock().unwrap().pop_front().unwrap_or_else(|| answer(404, UNKNOWN))
    }
}

fn hash(digit: u8) -> String {
    format!("{digit:02x}").repeat(32)
}

fn layer(parent: Option<u32>, kind: Kind, sha256: String) -> Layer {
    Layer {
        parent,
        kind,
        name: String::new(),
        state: State::Intact,
        found_by: FoundBy::WholeSample,
        offset: 0,
        stored_size: 1,
        size: 1,
        encoding: String::new(),
        remarks: Vec::new(),
        hashes: Hashes { sha256, ..Hashes::default() },
        facts: Default::default(),
        hits: Vec::new(),
    }
}

/// An upload of stub and DLL with an EXE inside: three hashes of interest.
fn report(raw: u8, dll: u8, core: u8) -> Report {
    let layers = vec![
        layer(None, Kind::Payload, hash(raw)),
        layer(Some(0), Kind::Stub, hash(0xee)),
        layer(Some(0), Kind::Pe, hash(dll)),
        layer(Some(2), Kind::Resource, hash(0xef)),
        layer(Some(3), Kind::Pe, hash(core)),
    ];
    Report {
        format: FORMAT,
        depth: Depth::Full,
        rules: String::new(),
        layers,
        core: Some(4),
        verdict: None,
        remarks: Vec::new(),
        is_bounded: false,
    }
}

struct World {
    dir: tempfile::TempDir,
    store: Store,
    settings: LookupSettings,
    environment: HashMap<String, String>,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), "s", Options::default()).unwrap();
        let mut settings = LookupSettings::default();
        settings.virustotal.enabled = true;
        let environment = [("RORIDULA_VIRUSTOTAL_KEY", KEY), ("RORIDULA_MALWAREBAZAAR_KEY", KEY)];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Self { dir, store, settings, environment }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Puts a sample on record as triage does.
    fn triaged(&self, raw: u8, dll: u8, core: u8) {
        self.triaged_as(hash(raw).parse().unwrap(), &report(raw, dll, core));
    }

    fn triaged_as(&self, id: SampleId, report: &Report) {
        Reports::open(self.path()).unwrap().put(id, report).unwrap();
        self.store.publish(Event::SampleTriaged {
            sha256: id.to_string(),
            layers: Vec::new(),
            core: String::new(),
            family: String::new(),
            confidence: String::new(),
            rules: String::new(),
            error: String::new(),
        });
        self.store.flush();
    }

    /// Catches these bytes as a visitor's upload.
    fn captured(&self, visitor: usize, bytes: &[u8]) -> SampleId {
        let source = format!("198.51.100.{}:4000", visitor + 1).parse().unwrap();
        let attribution = self.store.accept(source, "192.0.2.1:445".parse().unwrap());
        let sha256 = SampleId(<sha2::Sha256 as sha2::Digest>::digest(bytes).into());
        let mut slot = self.store.slot(&attribution, 1, Origin::DoublePulsar).unwrap();
        slot.write(0, bytes).unwrap();
        let (size, ranges) = (bytes.len() as u64, slot.ranges().to_vec());
        let capture = Capture {
            attribution,
            upload: 1,
            origin: Origin::DoublePulsar,
            state: UploadState::Complete,
            total: Some(size),
            ranges,
            sha256,
            size,
        };
        if self.store.knows(sha256).unwrap() {
            self.store.keep_known(capture, slot);
        } else {
            self.store.keep_new(capture, slot).unwrap();
        }
        sha256
    }

    fn inquirer(&self, transport: impl Transport + Send + 'static) -> Inquirer {
        let environment = |name: &str| self.environment.get(name).cloned();
        Inquirer::open(self.path(), &self.settings, &environment, Box::new(transport)).unwrap()
    }

    fn http(&self) -> Http {
        let environment = |name: &str| self.environment.get(name).cloned();
        Http::new(Duration::from_secs(self.settings.timeout_secs), &environment).unwrap()
    }
}

/// Steps until nothing is left to do at this moment; what was asked.
fn settle(inquirer: &mut Inquirer, now: WallClock) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for _ in 0..1000 {
        match inquirer.step(now).unwrap() {
            Step::Asked(_, outcome) => outcomes.push(outcome),
            Step::Working => {}
            Step::Idle => return outcomes,
        }
    }
    panic!("it never comes to rest");
}

fn url(digit: u8) -> String {
    format!("https://www.virustotal.com/api/v3/files/{}", hash(digit))
}

#[test]
fn core_first_then_dll_then_raw_and_no_further_than_a_hit() {
    let world = World::new();
    world.triaged(1, 2, 3);
    let fake = Fake::new(vec![answer(404, UNKNOWN), answer(200, FOUND)]);
    let mut inquirer = world.inquirer(fake.clone());
    assert_eq!(settle(&mut inquirer, START), [Outcome::Unknown, Outcome::Known]);
    assert_eq!(fake.urls(), [url(3), url(2)]);
    let asked = fake.asked.lock().unwrap();
    assert_eq!((asked[0].header, asked[0].body.is_none()), ("x-apikey", true));
    let found = inquirer.book().of_report(&report(1, 2, 3)).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].sha256.as_str(), found[0].part, found[0].asked),
        (hash(2).as_str(), Part::Dll, START)
    );
    assert_eq!(found[0].link, format!("https://www.virustotal.com/gui/file/{}", hash(2)));
    assert_eq!(
        found[0].sentence(),
        "VirusTotal knows the DLL, not the core: 65 of 72 engines call it malicious, as trojan.wannacry/wannacryptor, \
         named lhdfrgui.exe, since 2017-05-12 07:31:10"
    );
    assert_eq!(inquirer.book().raw(Service::VirusTotal, &hash(2)).unwrap().unwrap(), FOUND.as_bytes());
    assert!(!inquirer.book().results(&hash(3)).unwrap()[0].known);
}

#[test]
fn what_a_service_does_not_know_is_named() {
    let world = World::new();
    world.triaged(1, 2, 3);
    let mut inquirer = world.inquirer(Fake::default());
    assert_eq!(settle(&mut inquirer, START), vec![Outcome::Unknown; 3]);
    let found = inquirer.book().of_report(&report(1, 2, 3)).unwrap();
    assert_eq!(found[0].sentence(), "VirusTotal does not know the core, DLL and raw bytes");
    assert_eq!(inquirer.book().results(&hash(2)).unwrap()[0].sentence(), "VirusTotal does not know the DLL");
}

#[test]
fn an_answer_about_another_file_is_none() {
    let world = World::new();
    world.triaged(1, 2, 3);
    let about = |digit| FOUND.replacen("\"type\"", &format!("\"id\":\"{}\",\"type\"", hash(digit)), 1);
    let fake = Fake::new(vec![answer(200, &about(2)), answer(200, &about(3))]);
    let mut inquirer = world.inquirer(fake.clone());
    assert_eq!(settle(&mut inquirer, START), [Outcome::Failed("an answer about another file".to_owned(), 1)]);
    assert!(inquirer.book().results(&hash(3)).unwrap().is_empty());
    assert_eq!(settle(&mut inquirer, later(DAY)), [Outcome::Known]);
    assert_eq!(fake.urls(), [url(3), url(3)]);
}

#[test]
fn samples_of_one_core_cost_one_question() {
    let world = World::new();
    for raw in 10..60 {
        world.triaged(raw, 2, 3);
    }
    let fake = Fake::new(vec![answer(200, FOUND)]);
    assert_eq!(settle(&mut world.inquirer(fake.clone()), START), [Outcome::Known]);
    assert_eq!(fake.urls(), [url(3)]);
}

#[test]
fn the_most_novel_sample_is_first_whenever_it_came() {
    let world = World::new();
    // Ten captures of two samples, and one of another core in the middle.
    for (number, name) in [1, 1, 2, 2, 1, 3, 2, 1, 2, 1, 2u8].into_iter().enumerate() {
        let id = world.captured(number, &[b"a sample of no meaning", &[name][..]].concat());
        world.triaged_as(id, &report(name, name + 0x40, if name == 3 { 0x13 } else { 0x11 }));
    }
    let fake = Fake::new(vec![answer(200, FOUND), answer(200, FOUND)]);
    let mut inquirer = world.inquirer(fake.clone());
    inquirer.step(START).unwrap();
    inquirer.step(START).unwrap();
    assert_eq!(fake.urls(), [url(0x13), url(0x11)]);
}

#[test]
fn the_bucket_survives_a_restart() {
    let mut world = World::new();
    world.settings.virustotal.per_day = 6;
    for core in 0x10..0x20 {
        world.triaged(core + 0x20, core + 0x40, core);
    }
    let fake = Fake::new((0..20).map(|_| answer(200, FOUND)).collect());
    assert_eq!(settle(&mut world.inquirer(fake.clone()), START).len(), 4);
    // Another process knows of the four; a minute later there are new tokens, of which the day allows two.
    assert_eq!(settle(&mut world.inquirer(fake.clone()), later(59 * SECOND)).len(), 0);
    let mut inquirer = world.inquirer(fake.clone());
    assert_eq!(settle(&mut inquirer, later(60 * SECOND)).len(), 2);
    assert_eq!(settle(&mut inquirer, later(DAY - 1)).len(), 0);
    let status = inquirer.status(Service::VirusTotal, later(DAY - 1)).unwrap();
    assert_eq!((status.left_day, status.known, status.queue), (0, 6, 10));
    assert_eq!(settle(&mut inquirer, later(DAY)).len(), 4);
}

#[test]
fn unknown_hashes_are_asked_again_later_and_later() {
    let mut world = World::new();
    world.settings.virustotal.per_minute = 100;
    world.triaged(1, 2, 3);
    let fake = Fake::default();
    let mut at = START;
    for days in [7, 14, 28, 56, 56] {
        let mut inquirer = world.inquirer(fake.clone());
        assert_eq!(settle(&mut inquirer, at), vec![Outcome::Unknown; 3]);
        assert_eq!(settle(&mut inquirer, WallClock(at.0 + days * DAY - 1)), []);
        at = WallClock(at.0 + days * DAY);
    }
    // What is known is taken as told for 30 days.
    *fake.answers.lock().unwrap() = vec![answer(200, FOUND), answer(200, FOUND)].into();
    let mut inquirer = world.inquirer(fake.clone());
    assert_eq!(settle(&mut inquirer, at), [Outcome::Known]);
    assert_eq!(settle(&mut inquirer, WallClock(at.0 + 30 * DAY - 1)), []);
    assert_eq!(settle(&mut inquirer, WallClock(at.0 + 30 * DAY)), [Outcome::Known]);
}

#[test]
fn failures_wait_longer_each_time_and_retry_after_is_kept() {
    let world = World::new();
    world.triaged(1, 2, 3);
    world.triaged(4, 5, 6);
    let busy = Response { status: 429, retry_after_secs: Some(7200), body: QUOTA.as_bytes().to_vec() };
    let fake = Fake::new(vec![answer(500, "oops"), answer(200, "{\"data\":"), Ok(busy), answer(200, FOUND)]);
    let mut inquirer = world.inquirer(fake.clone());
    let mut at = START.0;
    for (wait, what) in
        [(30, "HTTP 500"), (60, "an answer that is not VirusTotal's"), (7200, "HTTP 429: too many requests")]
    {
        let failures = settle(&mut inquirer, WallClock(at));
        assert!(matches!(&failures[..], [Outcome::Failed(told, _)] if told == what), "{failures:?}");
        // A restart forgets nothing.
        inquirer = world.inquirer(fake.clone());
        assert_eq!(settle(&mut inquirer, WallClock(at + wait * SECOND - 1)), []);
        at += wait * SECOND;
        // The sample that it stumbled over is put aside for an hour; there may be another.
        if wait == 60 {
            at = START.0 + 3700 * SECOND;
        }
    }
    let status = inquirer.status(Service::VirusTotal, WallClock(at)).unwrap();
    assert!(status.wait_until.is_none() && status.error.contains("429"), "{status:?}");
    assert_eq!(inquirer.step(WallClock(at)).unwrap(), Step::Asked(Service::VirusTotal, Outcome::Known));
    assert_eq!(inquirer.status(Service::VirusTotal, WallClock(at)).unwrap().error, "");
}

#[test]
fn what_never_reached_the_service_costs_nothing_and_what_may_have_does() {
    let world = World::new();
    world.triaged(1, 2, 3);
    let lost = |reached| Err(TransportError { what: "lost".to_owned(), reached });
    let mut inquirer = world.inquirer(Fake::new(vec![lost(false), lost(true)]));
    settle(&mut inquirer, START);
    assert_eq!(inquirer.status(Service::VirusTotal, START).unwrap().left_day, 500);
    let second = later(2 * 3600 * SECOND);
    settle(&mut inquirer, second);
    assert_eq!(inquirer.status(Service::VirusTotal, second).unwrap().left_day, 499);
}

#[test]
fn a_refused_key_stops_it_until_the_key_changes() {
    let mut world = World::new();
    world.triaged(1, 2, 3);
    let fake = Fake::new(vec![answer(401, WRONG_KEY), answer(200, FOUND)]);
    let mut inquirer = world.inquirer(fake.clone());
    assert!(
        matches!(&settle(&mut inquirer, START)[..], [Outcome::Refused(what)] if what.contains("WrongCredentialsError"))
    );
    assert_eq!(settle(&mut world.inquirer(fake.clone()), later(300 * DAY)), []);
    assert!(inquirer.status(Service::VirusTotal, START).unwrap().key_refused);
    world.environment.insert("RORIDULA_VIRUSTOTAL_KEY".to_owned(), "another".to_owned());
    assert_eq!(settle(&mut world.inquirer(fake.clone()), later(301 * DAY)), [Outcome::Known]);
}

#[test]
fn malwarebazaar_is_asked_in_its_own_way() {
    let mut world = World::new();
    world.settings.virustotal.enabled = false;
    world.settings.malwarebazaar.enabled = true;
    world.triaged(1, 2, 3);
    let fake = Fake::new(vec![answer(200, BAZAAR_UNKNOWN), answer(200, BAZAAR_FOUND)]);
    let mut inquirer = world.inquirer(fake.clone());
    assert_eq!(settle(&mut inquirer, START), [Outcome::Unknown, Outcome::Known]);
    let asked = fake.asked.lock().unwrap();
    assert_eq!((asked[0].url.as_str(), asked[0].header), ("https://mb-api.abuse.ch/api/v1/", "Auth-Key"));
    let body = String::from_utf8(asked[0].body.clone().unwrap().1).unwrap();
    assert_eq!(body, format!("query=get_info&hash={}", hash(3)));
    let found = &inquirer.book().results(&hash(2)).unwrap()[0];
    assert_eq!((found.summary.label.as_str(), found.summary.reporter.as_str()), ("WannaCry", "somebody"));
    assert_eq!(found.summary.name, "bad?[31m.exe", "a terminal's codes are not passed on");
    assert_eq!(found.link, format!("https://bazaar.abuse.ch/sample/{}/", hash(2)));
}

/// A sample on disk and on record, its report with one hash.
fn kept(world: &World, bytes: &[u8]) -> SampleId {
    let digest = <sha2::Sha256 as sha2::Digest>::digest(bytes);
    let id = SampleId(digest.into());
    let path = id.path(world.path());
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
    let report =
        Report { layers: vec![layer(None, Kind::Data, id.to_string())], core: None, ..report(1, 2, 3) };
    world.triaged_as(id, &report);
    id
}

fn posts(fake: &Fake) -> usize {
    fake.asked.lock().unwrap().iter().filter(|request| request.body.is_some()).count()
}

#[test]
fn files_are_handed_over_only_where_that_is_asked_for_and_at_most_twice() {
    let mut world = World::new();
    let bytes = b"nothing of meaning";
    kept(&world, bytes);
    let fake = Fake::default();
    assert_eq!(settle(&mut world.inquirer(fake.clone()), START), [Outcome::Unknown]);
    assert_eq!(posts(&fake), 0, "not unless it is asked for");

    world.settings.virustotal.upload = true;
    let fake = Fake::new(vec![answer(404, UNKNOWN), answer(500, "oops"), answer(500, "oops")]);
    for hours in [0, 2, 4, 6, 8] {
        settle(&mut world.inquirer(fake.clone()), later(7 * DAY + hours * 3600 * SECOND));
    }
    assert_eq!(posts(&fake), 2, "once, and once more");
    let asked = fake.asked.lock().unwrap();
    let (media_type, body) = asked[1].body.clone().unwrap();
    assert_eq!(asked[1].url, "https://www.virustotal.com/api/v3/files");
    let (kind, boundary) = media_type.split_once("; boundary=").unwrap();
    assert_eq!(kind, "multipart/form-data");
    assert!(body.windows(bytes.len()).any(|part| part == bytes));
    assert!(body.starts_with(format!("--{boundary}\r\n").as_bytes()));
    assert!(body.ends_with(format!("\r\n--{boundary}--\r\n").as_bytes()));
}

#[test]
fn after_an_upload_its_hash_is_asked_for_again_soon() {
    let mut world = World::new();
    world.settings.virustotal.upload = true;
    let id = kept(&world, b"nothing of meaning");
    let fake = Fake::new(vec![answer(404, UNKNOWN), answer(200, TAKEN), answer(200, FOUND)]);
    let mut inquirer = world.inquirer(fake.clone());
    assert_eq!(settle(&mut inquirer, START), [Outcome::Unknown, Outcome::Uploaded]);
    assert_eq!(settle(&mut inquirer, later(3599 * SECOND)), []);
    assert_eq!(settle(&mut inquirer, later(3600 * SECOND)), [Outcome::Known]);
    assert!(inquirer.book().results(&id.to_string()).unwrap()[0].known);
    assert_eq!(posts(&fake), 1);
}

#[test]
fn without_a_key_it_says_what_to_do() {
    let mut world = World::new();
    world.environment.clear();
    let opened = Inquirer::open(world.path(), &world.settings, &|_| None, Box::new(Fake::default()));
    let error = opened.unwrap_err().to_string();
    assert!(
        error.contains("lookup.virustotal.enabled") && error.contains("RORIDULA_VIRUSTOTAL_KEY"),
        "{error}"
    );
    assert!(!LookupSettings::default().enabled(), "off by default");
}

/// Answers connections one after the other with these bytes, and gives back what was asked. `None`: says nothing until
/// the visitor goes.
fn server(answers: Vec<Option<String>>) -> (SocketAddr, thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = move || {
        let mut asked = Vec::new();
        for answer in answers {
            let (mut visitor, _) = listener.accept().unwrap();
            asked.push(head(&mut visitor));
            match answer {
                Some(answer) => {
                    // A visitor that has seen enough may be gone.
                    let _ = visitor.write_all(answer.as_bytes());
                }
                None => drop(visitor.read(&mut [0; 1])),
            }
        }
        asked
    };
    (address, thread::spawn(serve))
}

fn head(visitor: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && visitor.read(&mut byte).unwrap() == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

fn http(status: &str, more: &str, body: &str) -> Option<String> {
    Some(format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{more}\r\n{body}",
        body.len()
    ))
}

/// One question to a server that answers so.
fn one_question(answer: Option<String>) -> (Outcome, String, World) {
    let mut world = World::new();
    let (address, served) = server(vec![answer]);
    world.settings.virustotal.base_url = format!("http://{address}/");
    world.settings.timeout_secs = 1;
    let mut inquirer = world.inquirer(world.http());
    let wanted = [Wanted { sha256: hash(9), part: Part::Raw }];
    let outcome = inquirer.ask_now(Service::VirusTotal, &wanted, START).unwrap().unwrap();
    (outcome, served.join().unwrap().remove(0), world)
}

#[test]
fn over_http_answers_mean_the_same() {
    let (outcome, head, world) = one_question(http("200 OK", "", FOUND));
    assert_eq!(outcome, Outcome::Known);
    assert!(head.starts_with(&format!("GET /api/v3/files/{} HTTP/1.1\r\n", hash(9))), "{head}");
    let head = head.to_ascii_lowercase();
    assert!(head.contains(&format!("x-apikey: {KEY}\r\n")), "{head}");
    assert!(head.contains(&format!("user-agent: roridula/{}\r\n", env!("CARGO_PKG_VERSION"))), "{head}");
    assert_eq!(
        Lookups::open(world.path()).unwrap().results(&hash(9)).unwrap()[0].summary.malicious,
        Some(65)
    );

    assert_eq!(one_question(http("404 Not Found", "", UNKNOWN)).0, Outcome::Unknown);
    let failed = |answer: Option<String>, what: &str| match one_question(answer).0 {
        Outcome::Failed(told, 1) => assert!(told.contains(what), "{told}"),
        other => panic!("{what}: {other:?}"),
    };
    failed(http("404 Not Found", "", "<html>"), "HTTP 404");
    failed(http("500 Internal Server Error", "", "{}"), "HTTP 500");
    failed(http("200 OK", "", "{garbage"), "not VirusTotal's");
    failed(http("200 OK", "", &"[".repeat(300_000)), "not VirusTotal's");
    failed(http("200 OK", "", &"x".repeat(1024 * 1024 + 1)), "more than 1048576 bytes");
    failed(Some("SSH-2.0-x\r\n\r\n".to_owned()), "");
    failed(http("302 Found", "Location: http://127.0.0.1:1/\r\n", ""), "redirect");
    failed(None, "within the time");
    let (outcome, _, world) = one_question(http("429 Too Many Requests", "Retry-After: 5000\r\n", QUOTA));
    assert!(matches!(outcome, Outcome::Failed(..)));
    let waits = world.inquirer(Fake::default()).status(Service::VirusTotal, START).unwrap().wait_until;
    assert_eq!(waits, Some(later(5000 * SECOND)));
    assert!(matches!(one_question(http("401 Unauthorized", "", WRONG_KEY)).0, Outcome::Refused(_)));
}

#[test]
fn the_key_is_in_no_error_and_in_no_file() {
    let echo = format!(r#"{{"error":{{"code":"X","message":"{KEY}"}}}}"#);
    let (outcome, _, world) = one_question(http("401 Unauthorized", "", &echo));
    let inquirer = world.inquirer(Fake::default());
    let status = inquirer.status(Service::VirusTotal, START).unwrap();
    assert!(!format!("{outcome:?} {status:?} {inquirer:?}").contains(KEY));
    drop(inquirer);
    for entry in std::fs::read_dir(world.path().join("desk")).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(KEY.len()).any(|part| part == KEY.as_bytes()));
    }
}

#[test]
fn the_proxy_of_the_environment_is_used_and_never_sees_the_key() {
    let refusal = Some("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n".to_owned());
    let (address, served) = server(vec![refusal]);
    let mut world = World::new();
    world.environment.insert("HTTPS_PROXY".to_owned(), format!("http://user:pa55@{address}"));
    world.environment.insert("ALL_PROXY".to_owned(), "http://127.0.0.1:1".to_owned());
    let mut inquirer = world.inquirer(world.http());
    let wanted = [Wanted { sha256: hash(9), part: Part::Raw }];
    let outcome = inquirer.ask_now(Service::VirusTotal, &wanted, START).unwrap().unwrap();
    let seen = served.join().unwrap().remove(0);
    assert!(seen.starts_with("CONNECT www.virustotal.com:443 "), "{seen}");
    assert!(seen.to_ascii_lowercase().contains("proxy-authorization: basic"), "{seen}");
    assert!(!seen.contains(KEY) && !seen.contains(&hash(9)), "{seen}");
    assert!(matches!(&outcome, Outcome::Failed(what, 1) if !what.contains("pa55")), "{outcome:?}");
    assert_eq!(inquirer.status(Service::VirusTotal, START).unwrap().left_day, 500, "it reached nobody");

    // What NO_PROXY names goes straight.
    let (address, served) = server(vec![http("404 Not Found", "", UNKNOWN)]);
    world.settings.virustotal.base_url = format!("http://{address}");
    world.environment.insert("HTTPS_PROXY".to_owned(), "http://127.0.0.1:1".to_owned());
    world.environment.insert("NO_PROXY".to_owned(), "example.com, 127.0.0.1".to_owned());
    let mut direct = world.inquirer(world.http());
    let later = later(DAY);
    assert_eq!(direct.ask_now(Service::VirusTotal, &wanted, later).unwrap(), Some(Outcome::Unknown));
    assert!(served.join().unwrap().remove(0).starts_with("GET /api/v3/files/"));

    let wrong =
        Http::new(Duration::from_secs(1), &|name| (name == "HTTPS_PROXY").then(|| "pa55://x y".to_owned()));
    let error = wrong.unwrap_err().to_string();
    assert!(error.contains("HTTPS_PROXY") && !error.contains("pa55"), "{error}");
}

#[test]
fn in_the_background_it_asks_complains_once_and_stops() {
    let world = World::new();
    world.triaged(1, 2, 3);
    world.triaged(4, 5, 6);
    let (tell, told) = std::sync::mpsc::channel();
    let fake = Fake::new(vec![answer(403, r#"{"error":{"code":"ForbiddenError"}}"#)]);
    let handle = spawn(world.inquirer(fake.clone()), move |text| tell.send(text.to_owned()).unwrap());
    let text = told.recv_timeout(Duration::from_secs(60)).unwrap();
    assert!(text.contains("VirusTotal refuses the key") && !text.contains(KEY), "{text}");
    assert!(handle.stop(Duration::from_secs(60)));
    assert_eq!((fake.urls().len(), told.try_recv().is_err()), (1, true));
}

#[test]
fn hashes_stand_in_order_and_once() {
    let parts: Vec<_> =
        wanted(&report(1, 2, 2)).into_iter().map(|wanted| (wanted.part, wanted.sha256)).collect();
    assert_eq!(parts, [(Part::Core, hash(2)), (Part::Raw, hash(1))]);
}
