//! `roridula top` as a user has it: once as text, and in a real pseudo-terminal.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn made(dir: &Path) {
    // A honeypot that was started and stopped once.
    let store = roridula_evidence::Store::open(dir, "porch", Default::default()).unwrap();
    let visitor = store.accept("192.0.2.7:4711".parse().unwrap(), "192.0.2.1:445".parse().unwrap());
    let opened = roridula_proto::event::Event::ConnectionOpened {
        transport: roridula_proto::event::Transport::DirectTcp,
    };
    store.append_blocking(roridula_evidence::Batch {
        attribution: visitor,
        events: vec![(visitor.at, opened)],
        changes: Default::default(),
        closing: None,
    });
    store.flush();
}

#[test]
fn once_prints_a_frame_without_colour_and_ends() {
    let dir = tempfile::tempdir().unwrap();
    let missing = Command::new(Path::new(env!("CARGO_BIN_EXE_roridula")))
        .args(["top", "--once", "--data"])
        .arg(dir.path())
        .output()
        .unwrap();
    assert!(!missing.status.success() && missing.stdout.is_empty(), "no night is quiet that nobody watched");
    assert!(String::from_utf8(missing.stderr).unwrap().contains("no journal in"));
    made(dir.path());
    let output = Command::new(Path::new(env!("CARGO_BIN_EXE_roridula")))
        .args(["top", "--once", "--data"])
        .arg(dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!text.contains('\u{1b}') && text.contains("○ not running"), "{text}");
    assert!(text.contains("last visitor") && text.contains("192.0.2.7"), "{text}");
    assert!(text.contains("Nothing was caught yet.") && text.contains("upload complete"), "{text}");
    assert!(!text.contains("q quit"), "nobody presses a key on paper: {text}");
    // No terminal, and not told to do without: it says what to do.
    let refused = Command::new(Path::new(env!("CARGO_BIN_EXE_roridula")))
        .args(["top", "--data"])
        .arg(dir.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(!refused.status.success());
    assert!(String::from_utf8(refused.stderr).unwrap().contains("--once"));
}

#[test]
fn in_a_terminal_it_draws_helps_quits_and_leaves_the_screen_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    made(dir.path());
    let inside = format!(
        "stty cols 80 rows 24; exec {} top --data {}",
        env!("CARGO_BIN_EXE_roridula"),
        dir.path().display()
    );
    let mut child = Command::new("script")
        .args(["-qec", &inside, "/dev/null"])
        .env("TERM", "xterm-256color")
        .env("NO_COLOR", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script is in util-linux; scripts/setup-tests.sh installs it");
    let mut keys = child.stdin.take().unwrap();
    let mut shown = child.stdout.take().unwrap();
    let (sender, pieces) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(len @ 1..) = shown.read(&mut piece) {
            if sender.send(String::from_utf8_lossy(&piece[..len]).into_owned()).is_err() {
                return;
            }
        }
    });
    let mut all = String::new();
    let mut wait_for = |word: &str| {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !all.contains(word) {
            let left = deadline.saturating_duration_since(Instant::now());
            match pieces.recv_timeout(left) {
                Ok(piece) => all.push_str(&piece),
                Err(error) => {
                    // Nobody is left behind.
                    let _ = child.kill();
                    panic!("never {word} ({error}):\n{all:?}");
                }
            }
        }
    };
    wait_for("192.0.2.7");
    keys.write_all(b"?").unwrap();
    // One word: blanks that were there before are not drawn again.
    wait_for("funnel's");
    keys.write_all(b"q").unwrap();
    // The other screen is left, and the cursor is back.
    wait_for("\u{1b}[?1049l");
    wait_for("\u{1b}[?25h");
    // script waits for the end of its input.
    drop(keys);
    assert!(child.wait().unwrap().success());
    // SGR 30 to 38, 40 to 48 and 90 on are colours.
    let sets =
        all.split("\u{1b}[").filter_map(|rest| rest.split_once('m').map(|(codes, _)| codes.to_owned()));
    let colours = |codes: &String| codes.split(';').filter_map(|code| code.parse().ok()).any(is_colour);
    let colour = sets.into_iter().any(|codes| colours(&codes));
    assert!(!colour, "{all:?}");
}

const fn is_colour(code: u16) -> bool {
    matches!(code, 30..=38 | 40..=48 | 90..)
}
