//! Derived files that somebody deletes under the running console: what is made again is what it shows.

use super::*;
use std::fs;

/// Looks again until `told` says so.
async fn until(what: &str, mut told: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !told().await {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn delete(dir: &Path, name: &str) {
    fs::remove_file(dir.join("desk").join(name)).unwrap();
}

#[tokio::test]
async fn incidents_and_index_may_be_deleted_under_the_console() {
    let dir = tempfile::tempdir().unwrap();
    let (router, _) = console(dir.path()).await;
    let world = World::open(dir.path());
    for (round, file) in ["incidents.sqlite", "index.sqlite", "incidents.sqlite"].into_iter().enumerate() {
        let source = format!("192.0.2.{}", 100 + round);
        delete(dir.path(), file);
        let visitor = world.accept(&source);
        world.close(&visitor, "0011223344556677", "72", &[]);
        world.store.flush();
        until(&format!("{source} after {file} was deleted"), async || {
            let incidents = values(&router, "/incidents", "incidents", "source").await;
            let sources = values(&router, "/sources", "sources", "source").await;
            let all = 4 + round;
            incidents.contains(&source)
                && sources.contains(&source)
                && (incidents.len(), sources.len()) == (all, all)
        })
        .await;
    }
}

#[tokio::test]
async fn reports_that_are_gone_are_told_and_shown_again_when_they_are_made() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let past = world.play();
    for sample in &past.samples {
        world.store.publish(Event::SampleTriaged {
            sha256: sample.to_string(),
            layers: Vec::new(),
            core: String::new(),
            family: String::new(),
            confidence: String::new(),
            rules: String::new(),
            error: String::new(),
        });
    }
    world.store.flush();
    let report = |dirt: &[u8]| triage(&upload(dirt), Road::Payload, &world.rules, &Budget::default());
    let reports = [report(b"abc"), report(b"xyz")];
    let router = console::router(dir.path(), &ConsoleSettings::default()).unwrap();
    let cores = async || json(&router, "/home").await["new_cores"].as_u64();
    until("a new core", async || cores().await == Some(1)).await;
    assert!(!get(&router, "/").await.body.contains("triage --all"));

    delete(dir.path(), "reports.sqlite");
    until("gone", async || json(&router, "/home").await["reports_gone"] == 2).await;
    let page = get(&router, "/").await.body;
    assert!(
        page.contains("The reports of 2 samples are gone") && page.contains("roridula triage --all"),
        "{page}"
    );
    assert_eq!(cores().await, Some(0));

    // As `roridula triage --all` makes them, without an event for the journal where the honeypot runs.
    let another = Reports::open(dir.path()).unwrap();
    for (sample, report) in past.samples.iter().zip(&reports) {
        another.put(*sample, report).unwrap();
    }
    until("the core again", async || cores().await == Some(1)).await;
    assert_eq!(json(&router, "/home").await["reports_gone"], 0);
    let page = get(&router, &format!("/samples/{}", past.samples[0])).await.body;
    assert!(!page.contains("report is gone") && page.contains("look-alike-host"), "{page}");
}
