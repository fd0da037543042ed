use super::super::asked::tests::ask;
use super::sensor::Loss;
use super::*;
use crate::console::geo::Place;

const HOSTILE: &str = "x|y <script>`a`[b](http://evil.example) ![i](//e) www.evil.example # =1 \u{202e}";

fn model() -> Model {
    let text = roridula_proto::event::Text::from(HOSTILE).to_string();
    Model {
        period: "week",
        name: "2025-11-17 to 2025-11-23".to_owned(),
        only: vec![format!("family {HOSTILE}")],
        since: "2025-11-17T00:00:00Z".to_owned(),
        until: "2025-11-23T02:50:00Z".to_owned(),
        so_far: true,
        previous: Some("/report?period=week&on=2025-11-10".to_owned()),
        next: None,
        totals: vec![
            Total { name: load::CAPTURES, now: 2312, before: 280 },
            Total { name: load::VISITORS, now: 41, before: 0 },
            Total { name: load::CORES, now: 3, before: 6 },
        ],
        cores: vec![Core {
            core: "ab".repeat(32),
            family: HOSTILE.to_owned(),
            novelty: 70,
            captures: 1,
            hosts: 1,
            first_seen: "2025-11-18T00:00:00Z".to_owned(),
            sentence: text,
        }],
        cores_more: 0,
        hosts: vec![sources::Row {
            source: "192.0.2.7".to_owned(),
            place: Place { country: "NL".to_owned(), asn: 64496, organisation: HOSTILE.to_owned() },
            first: String::new(),
            last: String::new(),
            new: true,
            days: 1,
            connections: 9,
            uploads: 4,
            furthest: "new".to_owned(),
        }],
        families: vec![Family { family: HOSTILE.to_owned(), captures: 3, before: 1, hosts: 1 }],
        tools: Vec::new(),
        novel: Vec::new(),
        unknown: vec![Shape {
            shape: HOSTILE.to_owned(),
            connections: 1,
            hosts: 1,
            new: true,
            last: "2025-11-18T00:00:00Z".to_owned(),
        }],
        sensor: Sensor {
            seconds: 7200,
            up: 5400,
            starts: 2,
            crashes: 1,
            losses: vec![Loss { kind: "limit", name: HOSTILE.to_owned(), count: 5 }],
        },
    }
}

#[test]
fn the_page_says_what_is_new_and_how_it_changed() {
    let ask = ask("/report", &[("source", "192.0.2.7")]);
    let page = Report::page(&model(), &ask).html(&ask);
    assert!(
        page.contains("3 new cores of 2,312 captured uploads from 41 visitors (before: 6 of 280 from 0)"),
        "{page}"
    );
    assert!(page.contains(">+726 %<") && page.contains(">-50 %<") && page.contains(">new<"));
    let up = |seconds, up| {
        super::page::up(&Model { sensor: Sensor { seconds, up, crashes: 0, ..model().sensor }, ..model() })
    };
    assert_eq!(up(550_400, 550_300), "It ran all of 152.8 h but 100 s", "no 152.8 h of 152.8 h (99.9 %)");
    assert_eq!(up(7200, 7200), "It ran all of 2.0 h");
    assert!(page.contains("It ran at most 1.5 h of 2.0 h (75.0 %)") && page.contains("so far"));
    assert!(page.contains("AS64496") && page.contains("who fit the filter (family x|y"));
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script>") && !page.contains('\u{202e}'));
}

#[test]
fn a_change_is_told_in_percent_until_it_is_tenfold() {
    let told = [(0, 0), (5, 0), (112, 100), (97, 100), (0, 3), (29, 3), (30, 3), (4617, 3), (u64::MAX, 1)];
    let told: Vec<String> = told.into_iter().map(|(now, before)| page::change(now, before)).collect();
    let huge = format!("×{}", text::number(u64::MAX));
    assert_eq!(told, ["", "new", "+12 %", "-3 %", "-100 %", "+867 %", "×10", "×1,539", huge.as_str()]);
}

#[test]
fn nothing_of_a_visitor_means_anything_in_markdown() {
    let text = markdown::text(&model());
    assert!(text.starts_with("# Roridula: 2025-11-17 to 2025-11-23\n"), "{text}");
    assert!(text.contains("\nOnly of visitors who fit the filter (family x\\|y"));
    assert!(!text.contains('\u{202e}') && text.contains("(novelty 70): x\\|y \\<script\\>"));
    for line in text.lines().filter(|line| line.contains("evil")) {
        // What stands between grave accents means nothing; what is left of the line must be escaped.
        let outside: String = line.replace("\\`", "").split('`').step_by(2).collect();
        let bare =
            ["\\<", "\\!", "\\[", "\\]", "\\#"].iter().fold(outside, |line, escape| line.replace(escape, ""));
        for live in ["<", "http://", "www.", "![", "](", " #"] {
            assert!(!bare.contains(live), "{live}: {line}");
        }
        // As many cells as the table's head has.
        if line.starts_with('|') {
            let cells = line.replace("\\|", "").matches('|').count();
            assert!([4, 5, 6].contains(&cells), "{cells}: {line}");
        }
    }
}

#[test]
fn every_table_is_exported_and_no_formula_is() {
    let ask = ask("/report", &[]);
    for table in Report::tables(&model(), &ask) {
        assert!(!table.csv().contains(",\"=") && !table.csv().contains('\u{202e}'), "{}", table.name);
    }
}

#[test]
fn an_empty_report_is_a_report() {
    let ask = ask("/report", &[]);
    let empty = Model {
        totals: Vec::new(),
        cores: Vec::new(),
        hosts: Vec::new(),
        families: Vec::new(),
        unknown: Vec::new(),
        sensor: Sensor { seconds: 0, up: 0, starts: 0, crashes: 0, losses: Vec::new() },
        ..model()
    };
    let page = Report::page(&empty, &ask).html(&ask);
    assert!(page.contains("0 new cores of 0 captured uploads") && page.contains("None in this time."));
    assert!(page.contains("href=\"/health#doctor\""));
    let text = markdown::text(&empty);
    let none = "None in this time: New cores; Infected hosts with the most captured uploads; Families; Tools; Novel samples; \
                What was not understood.\n";
    assert!(
        text.contains(none) && text.matches("None in").count() == 1 && !text.contains("## Tools"),
        "{text}"
    );
}
