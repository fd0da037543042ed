//! What attackers type reaches a real browser as text and as nothing else.

use super::rig::Rig;
use roridula_lab::attack::socket::connect;
use roridula_lab::history::spray::{Claim, HOSTILE, logon};
use std::io::{Read, Write};

/// Pages on which names of visitors stand.
const PAGES: [&str; 9] =
    ["/", "/incidents", "/credentials", "/unknown", "/tools", "/sources", "/health", "/samples", "/groups"];

#[test]
fn nothing_that_was_typed_runs_or_breaks_a_page() {
    let rig = Rig::empty();
    let page = &rig.page;
    let long = format!("<b id=broken>{}", "x".repeat(32_000));
    // Half of a surrogate pair cannot be typed as text; what stands for it comes from the wire's reader.
    let names: Vec<&str> = HOSTILE.iter().copied().chain([long.as_str(), "a\u{fffd}\u{0}b"]).collect();
    for (number, name) in names.iter().enumerate() {
        let source = format!("127.64.1.{}", number + 1).parse().unwrap();
        let mut stream = connect(rig.honeypot.address, Some(source)).unwrap();
        let claim = Claim { account: name, domain: name, workstation: name, native: [name, name] };
        let mut say = |bytes: &[u8]| {
            // It may hang up on what is too long; that is told too.
            let _ = stream.write_all(bytes);
            let mut answer = vec![0; 4096];
            let len = stream.read(&mut answer).unwrap_or(0);
            answer.truncate(len);
            answer
        };
        logon(&mut say, claim, number as u64);
    }
    rig.open("/credentials");
    rig.wait_for("/credentials", |answer| {
        let text = answer.to_string();
        (text.contains("<script>alert") && text.contains("HYPERLINK")).then_some(())
    });
    for path in PAGES {
        rig.open(path);
        let foreign =
            "main img, main b#broken, main script, main [onerror], main iframe, main form[action^='http']";
        assert_eq!(page.count(foreign).unwrap(), 0, "{path} has an element that a visitor made");
        let text = page.text("main").unwrap();
        let bad =
            |c: char| matches!(c, '\u{1b}' | '\u{7}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        assert!(!text.contains(bad), "{path} shows a character that lies to its reader");
        assert!(text.len() < 200_000, "{path} shows {} bytes", text.len());
    }
    rig.open("/credentials");
    let text = page.text("main").unwrap();
    assert!(text.contains("<script>alert(document.domain)</script>"), "as it was typed, as text: {text}");
    let (_, csv) = page.download("section.table .exports a[download]").unwrap();
    let csv = std::fs::read_to_string(csv).unwrap();
    let formula =
        csv.lines().flat_map(|line| line.split(',')).any(|cell| cell.trim_matches('"').starts_with('='));
    assert!(csv.contains("HYPERLINK") && !formula, "{csv}");
    // Typed by somebody who was sent a link.
    for path in [
        "/search?q=%3Cscript%3Ealert(1)%3C/script%3E",
        "/incidents?source=%22%3E%3Cimg%20src=x%3E",
        "/%3Cb%3E",
    ] {
        let _ = page.goto(&format!("{}{path}", rig.origin));
        assert_eq!(page.count("main img, main script, main b").unwrap(), 0, "{path}");
    }
    let ran: Vec<String> = page
        .complaints()
        .iter()
        .filter(|complaint| !matches!(complaint, roridula_lab::browser::Complaint::Console(_)))
        .map(ToString::to_string)
        .collect();
    assert_eq!(ran, [""; 0]);
    assert_eq!(page.requests_off(&rig.origin), [""; 0]);
}
