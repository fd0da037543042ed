//! What an analyst asks of many: the search box, cores and who brought them, visitors over time, the report.

use super::rig::Rig;

/// Types into the search box of the page that is open, and goes where that leads.
fn search(rig: &Rig, text: &str) -> String {
    rig.page.fill("#q", text).unwrap();
    rig.page.click("#q").unwrap();
    rig.page.press_and_follow("Enter").unwrap();
    rig.page.eval("location.pathname").unwrap().as_str().unwrap().to_owned()
}

#[test]
fn the_search_box_leads_to_whatever_has_the_name() {
    let rig = Rig::start();
    let page = &rig.page;
    rig.open("/");
    let sample = rig.wait_for("/samples", |answer| {
        let novel = answer["samples"].as_array()?.iter().find(|row| row["core"] != "")?;
        Some((novel["sha256"].as_str()?.to_owned(), novel["core"].as_str()?.to_owned()))
    });
    let source = rig.wait_for("/sources", |answer| Some(answer["sources"][0]["source"].as_str()?.to_owned()));
    let print =
        rig.wait_for("/tools", |answer| Some(answer["fingerprints"][0]["fingerprint"].as_str()?.to_owned()));
    assert_eq!(search(&rig, &sample.0), format!("/samples/{}", sample.0));
    assert_eq!(search(&rig, &source), format!("/sources/{source}"));
    assert!(page.count("#connections tbody tr").unwrap() > 0);
    assert_eq!(search(&rig, &print), format!("/tools/{print}"));
    let core = search(&rig, &sample.1);
    // A file that is its own core has both names.
    assert!(core == format!("/groups/{}", sample.1) || core == "/search", "{core}");
    assert_eq!(search(&rig, "T1595"), "/search");
    page.follow("#hits td a[href^='/incidents/']").unwrap();
    assert_eq!(search(&rig, "nothing of the kind"), "/search");
    assert!(page.text("main").unwrap().contains("What can be searched"));
    page.follow("main dl a").unwrap();
    rig.assert_clean();
}

#[test]
fn a_core_leads_to_its_samples_and_to_who_brought_them() {
    let rig = Rig::start();
    let page = &rig.page;
    rig.open("/");
    rig.wait_for("/groups", |answer| (answer["count"].as_u64()? > 1).then_some(()));
    rig.open("/groups?order=captures");
    assert!(page.count("#groups td svg.strip rect").unwrap() > 0, "each row is drawn over time");
    page.follow("#groups td a[href^='/groups/']").unwrap();
    assert!(page.count("figure svg rect.bar").unwrap() > 0);
    let senders = page.count("#senders tbody tr").unwrap();
    assert!(senders > 0 && page.count("#members tbody tr").unwrap() > 0);
    let core = page.url().unwrap();
    page.follow("a[href^='/sources?core=']").unwrap();
    assert_eq!(page.count("#sources tbody tr").unwrap(), senders, "the same hosts");
    page.goto(&core).unwrap();
    page.follow("#senders td a").unwrap();
    for table in ["incidents", "samples", "fingerprints", "credentials", "connections"] {
        assert!(page.count(&format!("#{table} tbody tr")).unwrap() > 0, "no {table} of who sent a sample");
    }
    page.follow("#connections td a[href*='/connections/']").unwrap();
    rig.assert_clean();
}

#[test]
fn a_report_is_read_and_taken_away() {
    let rig = Rig::start();
    let page = &rig.page;
    rig.open("/");
    rig.wait_for("/groups", |answer| (answer["count"].as_u64()? > 1).then_some(()));
    rig.open("/report?range=7d");
    assert!(page.text(".headline").unwrap().contains("new cores of"));
    for table in ["totals", "hosts", "tools", "novel", "losses"] {
        assert_eq!(page.count(&format!("section.table#{table}")).unwrap(), 1, "no {table}");
    }
    page.on_paper(true).unwrap();
    let breaks = "['section', 'tbody tr', 'h2'].map(css => getComputedStyle(document.querySelector(`main ${css}`))) \
        .map(style => `${style.breakInside} ${style.breakAfter}`)";
    assert_eq!(page.eval(breaks).unwrap(), serde_json::json!(["auto auto", "avoid auto", "auto avoid"]));
    assert!(!page.text("footer").unwrap().trim().ends_with('·'), "nothing is left of what is not printed");
    page.on_paper(false).unwrap();
    let (name, text) = page.download("nav.ranges a[download]").unwrap();
    let text = std::fs::read_to_string(text).unwrap();
    assert!(name == "roridula-report.md" && text.starts_with("# Roridula: the last 7d"), "{name}: {text}");
    page.follow("nav.ranges a[href='/report?period=day']").unwrap();
    page.follow("nav.ranges a[rel=prev]").unwrap();
    page.follow("nav.ranges a[rel=next]").unwrap();
    rig.assert_clean();
}
