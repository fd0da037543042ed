//! What an analyst does: sees something come, follows it to its bytes, takes it away; logs in.

use super::rig::Rig;
use roridula_lab::attack::campaign::{play, upload_payload};
use roridula_lab::attack::{Attack, Body, Kind};
use roridula_lab::browser::Browser;
use roridula_lab::honeypot::{Start, binary};
use roridula_lab::samples::cli::sha256_hex;
use roridula_lab::samples::world;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use zip::ZipArchive;

const PASSWORD: &str = "a long enough word for a test";

#[test]
fn a_visit_appears_on_home_without_reload() {
    let rig = Rig::empty();
    let page = &rig.page;
    rig.open("/");
    assert!(page.text("main").unwrap().contains("roridula doctor"), "an empty console says what to do");
    page.wait_for("document.querySelector('#live')?.dataset.state === 'open'").unwrap();
    // Gone if the page were loaded anew.
    page.eval("window.same = true").unwrap();
    let attack = Attack {
        source: Some("127.64.0.9".parse().unwrap()),
        body: Body::Dll(9_000),
        ..Attack::new(Kind::Wannacry, rig.honeypot.address, 1)
    };
    assert!(play(&attack).unwrap().succeeded);
    page.wait_for(
        "[...document.querySelectorAll('#live li')].some(row => row.textContent.includes('127.64.0.9') \
         && row.textContent.includes('captured'))",
    )
    .unwrap();
    // All that Home says of it is renewed.
    page.wait_for("document.querySelector('#funnel a[href*=\"stage=complete\"]') !== null").unwrap();
    page.wait_for("document.querySelector('#headline').textContent.includes('1 new core in 24 hours')")
        .unwrap();
    page.wait_for("document.querySelector('#novel a[href^=\"/samples/\"]') !== null").unwrap();
    assert_eq!(page.eval("window.same").unwrap(), true);
    page.follow("#live li a").unwrap();
    assert!(page.text("main").unwrap().contains("127.64.0.9"));
    rig.assert_clean();
}

#[test]
fn an_incident_leads_to_its_evidence_its_sample_a_difference_and_the_archive() {
    let rig = Rig::empty();
    let page = &rig.page;
    // Two copies of one worm, one with garbage behind it, from two hosts.
    for (file, source) in [("wannacry-x86", "127.64.0.1"), ("wannacry-x86-garbage-tail", "127.64.0.2")] {
        let payload = world::file(file, 1).unwrap();
        let attack = Attack {
            source: Some(source.parse().unwrap()),
            ..Attack::new(Kind::Upload, rig.honeypot.address, 1)
        };
        assert!(upload_payload(&attack, &payload).unwrap().succeeded);
    }
    let payload = world::file("wannacry-x86", 1).unwrap();
    rig.open("/samples");
    rig.wait_for("/samples", |answer| {
        let all = answer["samples"].as_array()?;
        let explained = |row: &&serde_json::Value| row["family"] == "WannaCry";
        (all.iter().filter(explained).count() == 2).then_some(())
    });
    rig.open("/incidents");
    page.follow("#incidents td a[href^='/incidents/']").unwrap();
    assert!(page.text(".sentence").unwrap().contains("WannaCry"));
    assert_eq!(page.count("ol.chain > li.reached#stage-upload").unwrap(), 1);
    // A stage's evidence: fields on one side, bytes on the other, linked both ways.
    let incident = page.url().unwrap();
    page.follow("#stage-upload a").unwrap();
    // Only what has no parts has bytes of its own.
    page.click("#at .fields li:not(:has(ul)) > span > a[href^='#b']").unwrap();
    let there = "document.querySelector(location.hash)?.dataset.field";
    let field = page.wait_for(&format!("location.hash.startsWith('#b') && {there}")).unwrap();
    page.click(&format!("a[data-field='{}']", field.as_str().unwrap())).unwrap();
    page.wait_for("location.hash.startsWith('#f') && document.querySelector(location.hash)").unwrap();
    page.goto(&incident).unwrap();
    let (name, packets) = page.download("a[href$='.pcapng']").unwrap();
    assert!(name.ends_with(".pcapng"));
    assert_eq!(std::fs::read(packets).unwrap()[..4], [0x0a, 0x0d, 0x0d, 0x0a]);
    // Its sample: the sentence, the picture, the layers.
    page.follow("main a[href^='/samples/']").unwrap();
    let text = page.text("main").unwrap();
    for word in ["WannaCry launcher DLL", "What is inside, to scale", "Layers", "W/101"] {
        assert!(text.contains(word), "no {word} in {text}");
    }
    assert!(page.count("main svg rect").unwrap() >= 4);
    // The difference to the other one of its group.
    let hash = |file| sha256_hex(&world::file(file, 1).unwrap());
    let (one, other) = (hash("wannacry-x86"), hash("wannacry-x86-garbage-tail"));
    rig.open(&format!("/samples/{one}"));
    page.follow("a[href*='/diff/']").unwrap();
    assert!(page.url().unwrap().contains(&other));
    assert!(page.text("main").unwrap().contains("identical"), "{}", page.text("main").unwrap());
    assert!(page.count("main svg").unwrap() >= 1);
    // The export asks first, and gives an encrypted archive of the very bytes.
    rig.open(&format!("/samples/{one}"));
    page.follow("a[href$='/export']").unwrap();
    let (name, archive) = page.download("form[action$='/export'] button").unwrap();
    assert!(name.ends_with(".zip"), "{name}");
    let mut archive = ZipArchive::new(std::fs::File::open(archive).unwrap()).unwrap();
    let whole = (0..archive.len()).any(|at| {
        let mut bytes = Vec::new();
        let mut member = archive.by_index_decrypt(at, b"infected").unwrap();
        member.read_to_end(&mut bytes).unwrap();
        bytes == payload
    });
    assert!(whole, "the archive has no member that is the sample");
    assert!(archive.by_index(0).is_err(), "it opens without the password");
    rig.assert_clean();
}

#[test]
fn filters_stay_in_the_address_and_lists_are_exported() {
    let rig = Rig::start();
    let page = &rig.page;
    rig.open("/incidents?stage=capture");
    let captured = page.count("#incidents tbody tr").unwrap();
    assert!(captured > 0);
    rig.open("/incidents");
    let all = page.count("#incidents tbody tr").unwrap();
    assert!(all > captured, "{all} with and {captured} without filter");
    let source = page.eval("document.querySelector('#incidents tbody tr').innerText.match(/[0-9a-f.:]{7,}\\.[0-9]+|2001:[0-9a-f:]+/)[0]").unwrap();
    page.click("details.filter summary").unwrap();
    page.fill("input[name=source]", source.as_str().unwrap()).unwrap();
    page.press_and_follow("Enter").unwrap();
    let url = page.url().unwrap();
    assert!(url.contains("source=") && !url.contains("family="), "what is not asked is not said: {url}");
    let rows =
        page.eval("[...document.querySelectorAll('#incidents tbody tr')].map(row => row.innerText)").unwrap();
    let rows = rows.as_array().unwrap();
    assert!(!rows.is_empty());
    assert!(rows.iter().all(|row| row.as_str().unwrap().contains(source.as_str().unwrap())), "{rows:?}");
    let (name, csv) = page.download("#incidents .exports a[download]").unwrap();
    assert!(name.ends_with(".csv"));
    assert_eq!(std::fs::read_to_string(csv).unwrap().trim_end().lines().count(), rows.len() + 1);
    // A key leads to another view.
    rig.open("/");
    page.press_and_follow("s").unwrap();
    assert!(page.url().unwrap().contains("/samples"));
    page.press("/").unwrap();
    page.wait_for("document.activeElement.id === 'q'").unwrap();
    rig.assert_clean();
}

#[test]
fn keys_are_told_move_through_rows_and_can_be_turned_off() {
    let rig = Rig::start();
    let page = &rig.page;
    rig.open("/incidents");
    assert_eq!(page.count("header.top nav a[aria-keyshortcuts]").unwrap(), 10);
    page.press("?").unwrap();
    page.wait_for("document.getElementById('keys').open").unwrap();
    assert!(page.text("#keys").unwrap().contains("The next row of a list"));
    page.press("Escape").unwrap();
    page.wait_for("!document.getElementById('keys').open").unwrap();
    let row = "[...document.querySelectorAll('#incidents tbody tr')].findIndex(row => row.contains(document.activeElement))";
    for (key, at) in [("j", 0), ("j", 1), ("j", 2), ("k", 1)] {
        page.press(key).unwrap();
        assert_eq!(page.eval(row).unwrap(), at, "{key}");
    }
    page.press_and_follow("Enter").unwrap();
    assert!(page.url().unwrap().contains("/incidents/i"));
    // Off, they stay off on the next page, and the list is still there for who wants them back.
    page.click("#keys-open").unwrap();
    page.click("#letters").unwrap();
    page.press("Escape").unwrap();
    rig.open("/incidents");
    assert_eq!(page.count("[aria-keyshortcuts]").unwrap(), 0);
    for key in ["j", "?", "/"] {
        page.press(key).unwrap();
    }
    assert_eq!(
        page.eval("document.activeElement === document.body && !document.getElementById('keys').open")
            .unwrap(),
        true
    );
    page.click("#keys-open").unwrap();
    page.click("#letters").unwrap();
    assert_eq!(page.count("header.top nav a[aria-keyshortcuts]").unwrap(), 10);
    rig.assert_clean();
}

#[test]
fn who_has_no_password_stays_outside() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut set = Command::new(binary())
        .args(["console", "password", "--stdin", "--data"])
        .arg(&data)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    set.stdin.take().unwrap().write_all(PASSWORD.as_bytes()).unwrap();
    assert!(set.wait().unwrap().success());
    // A name of its own means that others may come: it asks on loopback too.
    let honeypot = Start::default().data(&data).set("console.hosts=console.example").console().run().unwrap();
    log_in(&honeypot.console().unwrap());
}

fn log_in(origin: &str) {
    let browser = Browser::start().unwrap();
    let page = browser.page().unwrap();
    page.goto(&format!("{origin}/samples")).unwrap();
    page.wait_for("document.querySelector('input[type=password]')").unwrap();
    assert!(!page.text("body").unwrap().contains("Novelty"));
    assert_eq!(page.take_complaints(), [], "also of no icon");
    page.fill("input[type=password]", "a wrong one, but long enough").unwrap();
    page.press_and_follow("Enter").unwrap();
    assert!(page.text("body").unwrap().contains("neither the password"));
    // The browser tells of the refusal itself.
    page.take_complaints();
    page.fill("input[type=password]", PASSWORD).unwrap();
    page.press_and_follow("Enter").unwrap();
    page.wait_for("location.pathname === '/samples' && document.querySelector('main h1')").unwrap();
    let cookie = page.eval("document.cookie").unwrap();
    assert_eq!(cookie, "", "no script reads the session");
    page.follow("footer a[href='/logout']").unwrap();
    assert_eq!(page.complaints(), []);
    page.follow("form[action='/logout'] button").unwrap();
    page.goto(&format!("{origin}/samples")).unwrap();
    page.wait_for("document.querySelector('input[type=password]')").unwrap();
    assert_eq!(page.requests_off(origin), [""; 0]);
}
