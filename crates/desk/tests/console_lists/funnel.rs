//! Home's funnel: every number is the length of the list behind it.

use super::*;
use roridula_proto::event::{Answer, KeySource, Reason};

/// What people call the steps, in order, as an address says them.
const STEPS: [&str; 8] = ["connect", "negotiate", "probe", "exploit", "ping", "upload", "complete", "new"];

impl World {
    /// Somebody who does the acts so far as `steps` says, and ends.
    fn come(&self, source: &str, steps: &[&str], bytes: &[u8]) {
        let whose = self.accept(source);
        steps.iter().for_each(|step| self.act(&whose, step, bytes));
        let features = if steps.contains(&"negotiate") { "dialects=NT LM 0.12" } else { "none" };
        self.tell(
            &whose,
            Event::ClientFingerprint {
                fingerprint: "0011223344556677".to_owned(),
                features: features.to_owned(),
                shape: "72".to_owned(),
                tools: Vec::new(),
                grounds: Vec::new(),
                recognised: Vec::new(),
            },
        );
        let (reason, events_dropped) = (CloseReason::PeerClosed, 0);
        let closed =
            Event::ConnectionClosed { reason, duration_us: 9, bytes_in: 4, bytes_out: 3, events_dropped };
        self.tell(&whose, closed);
    }

    fn act(&self, whose: &Attribution, step: &str, bytes: &[u8]) {
        let (answer, reason, stream_at) = (Answer::Present, Reason::PolicyPresent, 9);
        let step_of = |step: &str| Event::ExploitStep {
            exploit: "eternalblue".to_owned(),
            step: step.to_owned(),
            grounds: String::new(),
            stream_at,
            size: 9,
        };
        match step {
            "negotiate" => self.tell(
                whose,
                Event::Smb1Negotiate {
                    dialects: vec![Text::from("NT LM 0.12")],
                    selected: Some(0),
                    extended_security: false,
                    flags: 0,
                    flags2: 0,
                    pid: 1,
                    mid: 1,
                },
            ),
            "probe" => self.tell(
                whose,
                Event::Ms17010Probe { verdict: Verdict::Vulnerable, pid: 1, mid: 1, status: 1, stream_at },
            ),
            "groom" => self.tell(whose, step_of("groom")),
            "exploit" => self.tell(whose, step_of("shellcode")),
            "ping" => self.tell(
                whose,
                Event::ImplantPing {
                    answer,
                    reason,
                    timeout: 1,
                    mid: 1,
                    seed: 1,
                    arch: String::new(),
                    stream_at,
                },
            ),
            "upload" => self.tell(
                whose,
                Event::UploadStarted {
                    upload: 1,
                    answer,
                    reason,
                    total: None,
                    key: None,
                    key_source: KeySource::Unknown,
                    timeout: 1,
                    mid: 1,
                    stream_at,
                },
            ),
            "complete" => {
                let size = bytes.len() as u64;
                let finished = Event::UploadFinished {
                    upload: 1,
                    state: UploadState::Complete,
                    total: Some(size),
                    received: size,
                    ranges: Vec::new(),
                    chunks: 1,
                    repeats: 0,
                };
                self.tell(whose, finished);
                self.capture(whose, 1, bytes);
            }
            other => panic!("nobody does {other}"),
        }
    }

    /// A different number comes to each step, and no further.
    fn funnel(&self) {
        let acts = ["negotiate", "probe", "exploit", "ping", "upload", "complete"];
        for so_far in 0..=acts.len() {
            self.come(&format!("192.0.2.{so_far}"), &acts[..so_far], b"what everybody brings");
        }
        // Somebody else brings the same, which is new no more; and one only makes room, which is no step of an exploit.
        self.come("192.0.2.90", &acts, b"what everybody brings");
        self.come("198.51.100.7", &["groom"], b"");
        self.store.flush();
    }
}

/// A console that has read those who came so far and no further.
async fn funnel(dir: &Path) -> Router {
    let world = World::open(dir);
    world.funnel();
    drop(world);
    let router = console::router(dir, &ConsoleSettings::default()).unwrap();
    let begun = Instant::now();
    while json(&router, "/incidents").await["count"] != 9
        || json(&router, "/samples").await["count"] != 1
        || json(&router, "/health").await["pulse"]["lag"] != 0
    {
        assert!(begun.elapsed() < PATIENCE, "the keeper reads nothing");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    router
}

/// The numbers of a funnel's column in the page, with where each leads.
fn numbers(page: &str) -> Vec<(String, u64)> {
    let funnel = page.split("id=\"funnel\"").nth(1).unwrap().split("</section>").next().unwrap();
    let links = funnel.split("<a href=\"").skip(1);
    links
        .map(|link| {
            let (address, rest) = link.split_once("\">").unwrap();
            let number = rest.split('<').next().unwrap().replace(',', "");
            (address.replace("&amp;", "&"), number.parse().unwrap())
        })
        .collect()
}

#[tokio::test]
async fn every_number_of_the_funnel_is_the_length_of_the_list_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let router = funnel(dir.path()).await;
    for (query, expected) in [
        ("", [9, 7, 6, 5, 4, 3, 2, 1]),
        ("?range=1h", [9, 7, 6, 5, 4, 3, 2, 1]),
        ("?range=all&source=192.0.2.0/24", [8, 7, 6, 5, 4, 3, 2, 1]),
        ("?range=24h&stage=ping", [9, 7, 6, 5, 4, 3, 2, 1]),
        ("?since=2020-01-01&source=192.0.2.4", [1, 1, 1, 1, 1, 0, 0, 0]),
        ("?until=2020-01-01", [0; 8]),
    ] {
        let home = json(&router, &format!("/home{query}")).await;
        for funnel in home["funnels"].as_array().unwrap() {
            let counts = STEPS.map(|step| funnel["incidents"][step].as_u64().unwrap());
            assert_eq!(counts, expected, "{query}: {funnel}");
            assert_eq!(funnel["connections"], expected[0], "{query}: each came once");
            assert_eq!(funnel["uploads"], expected[6], "{query}");
        }
        let page = get(&router, &format!("/{query}")).await.body;
        let numbers = numbers(&page);
        let columns = home["funnels"].as_array().unwrap().len();
        let shown = expected.iter().filter(|count| **count > 0).count();
        assert_eq!(numbers.len(), columns * shown, "{query}: {page}");
        for (address, number) in numbers {
            let list = json(&router, &address).await;
            assert_eq!(list["count"], number, "{address}");
            assert_eq!(list["incidents"].as_array().unwrap().len() as u64, number, "{address}");
        }
    }
}

#[tokio::test]
async fn a_stage_means_the_same_in_every_view() {
    let dir = tempfile::tempdir().unwrap();
    let router = funnel(dir.path()).await;
    for step in STEPS {
        let mut of = values(&router, &format!("/incidents?stage={step}"), "incidents", "source").await;
        let mut came = values(&router, &format!("/sources?stage={step}"), "sources", "source").await;
        of.sort();
        came.sort();
        assert_eq!(of, came, "{step}");
        assert_eq!(json(&router, &format!("/samples?stage={step}")).await["count"], 1, "{step}");
    }
    for (word, means) in
        [("connected", "connect"), ("probed", "probe"), ("uploaded", "upload"), ("CAPTURED", "complete")]
    {
        let of = async |word: &str| json(&router, &format!("/incidents?stage={word}")).await["count"].clone();
        assert_eq!(of(word).await, of(means).await, "{word}");
    }
    // What came so far and no further is asked for by another word.
    assert_eq!(json(&router, "/incidents?outcome=captured").await["count"], 2);
    assert_eq!(json(&router, "/incidents?outcome=probed&stage=ping").await["count"], 1);
    assert_eq!(json(&router, "/incidents?stage=capture").await["count"], 2);
    // A stage that only incidents have is told to a page and refused to a program.
    let page = get(&router, "/sources?stage=implant").await.body;
    assert!(page.contains("Not filtered by stage: implant is a stage of incidents alone"), "{page}");
    for address in ["/api/v1/sources?stage=implant", "/sources?stage=implant&as=csv", "/incidents?outcome=x"]
    {
        let bad = get(&router, address).await;
        assert_eq!(bad.status, StatusCode::BAD_REQUEST, "{address}");
    }
}
