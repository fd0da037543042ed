//! What stands on the screen, cell by cell.

use super::Time;
use super::draw::{Drawn, Palette, lines};
use super::read::{Funnel, Novel, Row, Snapshot, Source};
use super::screen::Screen;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::Color;
use roridula_desk::index::Started;
use roridula_desk::pulse::{News, Pulse};
use roridula_proto::time::WallClock;

const NOW: WallClock = WallClock(1_795_000_000_000_000);

fn ago(secs: u64) -> WallClock {
    WallClock(NOW.0 - secs * 1_000_000)
}

fn row(number: u64) -> Row {
    Row {
        id: format!("inc-{number}"),
        last: ago(60 * number),
        source: format!("192.0.2.{number}"),
        outcome: if number.is_multiple_of(3) { "captured" } else { "probed" },
        tool: "WannaCry".into(),
        size: number.is_multiple_of(3).then_some(5_272_328),
        summary: format!("Story number {number}."),
    }
}

fn busy() -> Snapshot {
    Snapshot {
        dir: "/var/lib/roridula".into(),
        now: NOW,
        trouble: None,
        pulse: Pulse {
            running: true,
            started: Some(Started {
                version: "1".into(),
                listen: vec!["0.0.0.0:445".into()],
                persona: "windows-7-sp1".into(),
                policy: "present".into(),
            }),
            since: Some(ago(7200)),
            last_visitor: Some("198.51.100.7".into()),
            last_visit: Some(ago(12)),
            disk_free: Some(50 << 30),
            disk_all: Some(100 << 30),
            ..Pulse::default()
        },
        journal: 3 << 20,
        funnels: [[0; 8], [3000, 900, 300, 60, 200, 40, 30, 3], [9000, 0, 0, 0, 0, 0, 0, 0], [1_234_567; 8]]
            .map(Funnel),
        news: News { new_cores: Some(3), uploads: 312, reports_gone: 0 },
        novel: Some(Novel {
            sha256: "24d0".repeat(16),
            sentence: "WannaCry launcher DLL (x86, 5,267,456 bytes); seen in 37 captures from 21 hosts."
                .into(),
            novelty: 87,
            first_seen: "2026-11-17T20:26:40.000000Z".into(),
        }),
        samples: 37,
        incidents: (1..=50).map(row).collect(),
    }
}

fn drawn(screen: &Screen, width: u16, height: u16) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let palette = Palette::PLAIN;
    terminal.draw(|frame| frame.render_widget(Drawn { screen, palette, keys: true }, frame.area())).unwrap();
    terminal
}

fn text(screen: &Screen, width: u16, height: u16) -> String {
    lines(drawn(screen, width, height).backend().buffer()).join("\n")
}

fn screen(snapshot: Snapshot) -> Screen {
    let mut screen = Screen::new(Time::Day);
    screen.show(snapshot);
    screen
}

fn press(screen: &mut Screen, code: KeyCode) -> bool {
    screen.key(KeyEvent::new(code, KeyModifiers::NONE))
}

#[test]
fn ten_seconds_fit_on_eighty_by_twenty_four() {
    let text = text(&screen(busy()), 80, 24);
    for word in [
        "● listening 0.0.0.0:445 for 2 h · last visitor 12 s ago, 198.51.100.7",
        "disk 50.0 GiB free · journal 3.0 MiB, up to date",
        "3 new cores in 24 hours, of 312 captured uploads",
        "24d024d024d0 · novelty 87 · since 2026-11-17 20:26 UTC",
        "37 captures from 21 hosts.",
        "[24 h]",
        "3,000",
        "MS17-010 checked",
        "bars logarithmic",
        "192.0.2.1",
        "q quit",
    ] {
        assert!(text.contains(word), "no {word} in\n{text}");
    }
    assert_eq!(text.lines().count(), 24);
    assert!(
        text.contains("probed    192.0.2.1 ") && text.contains("5.0 MiB WannaCry Story number 3."),
        "{text}"
    );
}

#[test]
fn a_catch_whose_reports_are_gone_is_no_empty_night() {
    let news = |samples, reports_gone| {
        let news = News { new_cores: Some(0), uploads: 23, reports_gone };
        text(&screen(Snapshot { news, samples, novel: None, ..busy() }), 100, 24)
    };
    let gone = news(23, 23);
    assert!(gone.contains("The reports of 23 samples are gone"), "{gone}");
    assert!(gone.contains("`roridula triage --all`") && !gone.contains("Nothing was caught"), "{gone}");
    assert!(news(0, 0).contains("Nothing was caught yet."));
    assert!(!news(23, 0).contains("Nothing was caught"));
}

#[test]
fn every_size_is_drawn_without_a_fault() {
    for (width, height) in [(1, 1), (3, 2), (20, 10), (40, 12), (79, 23), (120, 40), (300, 100)] {
        let mut screen = screen(busy());
        text(&screen, width, height);
        press(&mut screen, KeyCode::Char('?'));
        text(&screen, width, height);
        text(&Screen::new(Time::Hour), width, height);
    }
    let narrow = text(&screen(busy()), 40, 24);
    assert!(narrow.contains("3 new cores in 24 hours") && narrow.contains("captured  192.0.2.3"), "{narrow}");
}

#[test]
fn keys_switch_the_time_scroll_help_and_quit() {
    let mut screen = screen(busy());
    press(&mut screen, KeyCode::Char('4'));
    assert!(text(&screen, 80, 24).contains("1,234,567"));
    press(&mut screen, KeyCode::Right);
    assert_eq!(screen.time, Time::Hour);
    press(&mut screen, KeyCode::Left);
    press(&mut screen, KeyCode::Left);
    assert_eq!(screen.time, Time::Week);
    press(&mut screen, KeyCode::Down);
    press(&mut screen, KeyCode::PageDown);
    let scrolled = text(&screen, 80, 24);
    assert!(scrolled.contains("incidents from the 12. on") && scrolled.contains("192.0.2.12"), "{scrolled}");
    // Something new came: the same ones are still shown.
    let mut newer = busy();
    newer.incidents.insert(0, row(99));
    screen.show(newer);
    assert_eq!(screen.first, 12);
    press(&mut screen, KeyCode::End);
    assert_eq!(screen.first, 50);
    press(&mut screen, KeyCode::Home);
    assert_eq!(screen.first, 0);
    press(&mut screen, KeyCode::Char('?'));
    assert!(text(&screen, 80, 24).contains("the funnel's time"));
    assert!(!press(&mut screen, KeyCode::Esc) && !screen.help);
    assert!(press(&mut screen, KeyCode::Char('q')));
    assert!(screen.key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)));
}

#[test]
fn what_a_visitor_typed_drives_no_terminal() {
    let mut snapshot = busy();
    let evil = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{202e}gnp.exe\r\n";
    snapshot.incidents[0].summary = format!("{evil}{}", "x".repeat(65_536));
    snapshot.novel.as_mut().unwrap().sentence = evil.into();
    snapshot.trouble = Some(evil.into());
    let screen = screen(snapshot);
    let terminal = drawn(&screen, 200, 40);
    for cell in terminal.backend().buffer().content() {
        assert!(cell.symbol().chars().all(|c| !c.is_control() && c != '\u{202e}'), "{:?}", cell.symbol());
    }
    assert!(lines(terminal.backend().buffer()).join("\n").contains("\\u{1b}]0;owned\\u{7}"));
}

#[test]
fn without_colour_there_is_none_and_with_it_the_catch_is_green() {
    let screen = screen(busy());
    let colours = |terminal: &Terminal<TestBackend>| {
        let cells = terminal.backend().buffer().content();
        cells.iter().filter(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset).count()
    };
    assert_eq!(colours(&drawn(&screen, 80, 24)), 0);
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    let palette = Palette::COLOURED;
    terminal
        .draw(|frame| frame.render_widget(Drawn { screen: &screen, palette, keys: true }, frame.area()))
        .unwrap();
    assert!(terminal.backend().buffer().content().iter().any(|cell| cell.fg == Color::Green));
}

#[test]
fn a_missing_directory_is_told_and_looked_for_again() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut source = Source::new(&data);
    let missing = text(&screen(source.read(&mut |_| true)), 120, 24);
    assert!(missing.contains("no journal in") && missing.contains("○ not running"), "{missing}");
    let store = roridula_evidence::Store::open(&data, "t", Default::default()).unwrap();
    store.publish(roridula_proto::event::Event::SensorStarted {
        version: "0".into(),
        listen: vec!["127.0.0.1:4445".into()],
        persona: "windows-7-sp1".into(),
        policy: "present".into(),
    });
    store.flush();
    let there = text(&screen(source.read(&mut |_| true)), 120, 24);
    assert!(there.contains("● listening 127.0.0.1:4445 for 0 s · no visitor yet"), "{there}");
    drop(store);
    // Removed, and another one made in its place.
    std::fs::remove_dir_all(&data).unwrap();
    assert!(source.read(&mut |_| true).trouble.is_some());
    let store = roridula_evidence::Store::open(&data, "t", Default::default()).unwrap();
    store.flush();
    let again = source.read(&mut |_| true);
    let listen = again.pulse.started.map(|started| started.listen);
    assert_eq!((again.trouble, listen), (None, None));
}
