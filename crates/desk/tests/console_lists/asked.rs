//! What is asked and means nothing is refused by name; what is left out, and how exactly a time is counted, is said.

use super::*;

#[tokio::test]
async fn a_wrong_value_is_refused_with_the_word_and_the_fix() {
    let dir = tempfile::tempdir().unwrap();
    let (router, _) = console(dir.path()).await;
    for (address, fix) in [
        ("/samples?state=zz", "`state` is one of complete, partial, oversize"),
        ("/samples?range=1h&range=24h", "`range` is said more than once: say it once"),
        ("/api/v1/samples?range=1h&since=2026-01-01", "leave it out where `since`"),
        ("/api/v1/incidents?outcome=zz", "`outcome` is one of connected, probed"),
        ("/api/v1/incidents?stage=zz", "`stage` is one of connect, negotiate"),
        ("/api/v1/health?family=x", "`family` means nothing here; what may be said is range, since, until"),
        ("/groups?order=zz", "`order` is one of novelty, captures"),
        ("/groups?new=no", "`new` is one of yes"),
        ("/sources?order=zz", "`order` is one of last, first"),
        ("/credentials?accounts=zz", "`accounts` is one of yes, no"),
        ("/unknown?known=zz", "`known` is one of yes, no"),
        ("/report?period=year", "`period` is one of day, week, month"),
        ("/report?period=week&range=1h", "`period` and a time"),
        ("/samples?limit=1001", "`limit` is a number from 1 to 1000"),
        ("/live?range=1h&range=1h", "`range` is said more than once"),
    ] {
        let answer = get(&router, address).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{address}");
        assert!(answer.body.contains(fix), "{address}: {}", answer.body);
    }
}

#[tokio::test]
async fn what_a_page_leaves_out_it_says_and_how_exactly_it_counts() {
    let dir = tempfile::tempdir().unwrap();
    let (router, _) = console(dir.path()).await;
    for (address, said) in [
        (
            "/health?source=192.0.2.1&stage=probe",
            "Not filtered by source and stage: that means nothing here.",
        ),
        ("/groups?range=1h&since=2020-01-01", "The range is left out: from and to say which time."),
        ("/health?range=1h", "Counted by whole hours: from "),
        ("/sources?range=1h", "Counted by whole hours: from "),
        ("/sources", "the table is of all time"),
        ("/sources", "Visitors of all time"),
        ("/samples?range=1h", "to the moment"),
        ("/groups?range=1h", "strips are by whole days"),
        ("/incidents?range=1h", "began in it, to the moment"),
        ("/report?range=1h", "the other numbers are counted by whole hours"),
        ("/sources/192.0.2.1?range=1h", "credentials are counted by whole hours"),
    ] {
        let page = get(&router, address).await;
        assert_eq!(page.status, StatusCode::OK, "{address}: {}", page.body);
        assert!(page.body.contains(said), "{address} lacks {said}: {}", page.body);
    }
    let described = json(&router, "/openapi.json").await;
    let of = |view: &str| described["paths"][format!("/api/v1{view}")]["get"]["description"].to_string();
    assert!(of("/tools").contains("by whole hours") && of("/incidents").contains("to the moment"));
}

/// A row counts what it is asked for, and everybody's beside it.
#[tokio::test]
async fn rows_count_those_visitors_who_are_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let (router, past) = console(dir.path()).await;
    let first = past.samples[0].to_string();
    for query in ["source=192.0.2.1", "stage=probe", "source=192.0.2.1&range=1h"] {
        for (view, all) in [("samples", "sources"), ("groups", "hosts")] {
            let answer = json(&router, &format!("/{view}?{query}")).await;
            let row = &answer[view][0];
            let counts =
                ["captures_then", "hosts_then", "captures", all].map(|name| row[name].as_u64().unwrap());
            let ever = if view == "samples" { 2 } else { 3 };
            assert_eq!(counts, [1, 1, ever, 2], "{view}?{query}");
            assert_eq!(row["first_then"], row["last_then"], "{view}?{query}");
            let page = get(&router, &format!("/{view}?{query}")).await.body;
            assert!(
                page.contains("of visitors who fit (") && page.contains("Captures ever"),
                "{query}: {page}"
            );
        }
        let strip = json(&router, &format!("/groups?{query}")).await["groups"][0]["strip"].clone();
        assert_eq!(strip, serde_json::json!([1]), "{query}");
        let report = json(&router, &format!("/report?range=1h&{}", query.replace("&range=1h", ""))).await;
        let novel = report["novel"].as_array().unwrap();
        assert!(novel.iter().any(|row| row["sha256"] == first && row["captures"] == 1), "{query}: {report}");
        assert_eq!((&report["cores"][0]["captures"], &report["cores"][0]["hosts"]), (&1.into(), &1.into()));
    }
    let page = get(&router, "/samples").await.body;
    assert!(!page.contains("Captures ever") && !page.contains("of visitors who fit"), "{page}");
}

/// The last hour is the last hour, whether Home shows it beside others or alone.
#[tokio::test]
async fn a_column_is_what_its_range_shows_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (router, _) = console(dir.path()).await;
    let all = json(&router, "/home").await["funnels"].as_array().unwrap().clone();
    assert_eq!(all.len(), 4);
    for funnel in all {
        let range = funnel["range"].as_str().unwrap();
        let alone = json(&router, &format!("/home?range={range}")).await;
        assert_eq!(alone["funnels"][0], funnel, "{range}");
        assert_eq!((&funnel["connections"], &funnel["uploads"]), (&3.into(), &3.into()), "{range}");
    }
}

/// By the number that a row shows, and by no other: buffers are no uploads.
#[tokio::test]
async fn visitors_come_by_the_uploads_that_they_show() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    for (source, origin, count) in [
        ("192.0.2.1", Origin::DoublePulsar, 1),
        ("192.0.2.2", Origin::ExploitBuffer, 3),
        ("192.0.2.3", Origin::DoublePulsar, 2),
    ] {
        let whose = world.accept(source);
        for upload in 1..=count {
            world.capture_by(&whose, upload, format!("{source} brings {upload}").as_bytes(), origin);
        }
        world.close(&whose, "0011223344556677", "72 73 75", &[]);
    }
    world.store.flush();
    drop(world);
    let router = console::router(dir.path(), &ConsoleSettings::default()).unwrap();
    let begun = Instant::now();
    while json(&router, "/samples").await["count"] != 6 {
        assert!(begun.elapsed() < PATIENCE, "the keeper reads nothing");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for query in ["order=uploads", "order=uploads&range=1h", "order=captures"] {
        let answer = json(&router, &format!("/sources?{query}")).await;
        let rows = answer["sources"].as_array().unwrap();
        let shown: Vec<_> = rows
            .iter()
            .map(|row| (row["source"].as_str().unwrap(), row["uploads"].as_u64().unwrap()))
            .collect();
        assert_eq!(shown, [("192.0.2.3", 2), ("192.0.2.1", 1), ("192.0.2.2", 0)], "{query}");
    }
    let one = json(&router, "/sources/192.0.2.2").await;
    assert_eq!((&one["captures_ever"], &one["uploads_ever"]), (&3.into(), &0.into()));
    let health = json(&router, "/health").await;
    assert_eq!((&health["counts"]["uploads"], &health["counts"]["uploads_begun"]), (&3.into(), &0.into()));
}
