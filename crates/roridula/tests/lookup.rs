//! `roridula lookup` and what `run` and `check` say of its settings. Everything stays on loopback.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use roridula_evidence::{Options, Store};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;

const KEY: &str = "k3y-of-nobody";
const SHA256: &str = "24d004a104d4d54034dbcffc2a4b19a11f39008a575aa614ea04703480b1022c";

/// Runs it without any proxy or key of the machine that tests.
fn roridula(data: &Path, environment: &[(&str, &str)], args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roridula"));
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"] {
        command.env_remove(name);
    }
    command.env_remove("RORIDULA_VIRUSTOTAL_KEY").envs(environment.iter().copied());
    command.args(args).arg("--data").arg(data).output().unwrap()
}

fn data() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    Store::open(dir.path(), "s", Options::default()).unwrap();
    dir
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Answers one connection with these bytes and gives back the head of what was asked.
fn server(answer: String) -> (String, thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serve = move || {
        let (mut visitor, _) = listener.accept().unwrap();
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") && visitor.read(&mut byte).unwrap() == 1 {
            head.push(byte[0]);
        }
        visitor.write_all(answer.as_bytes()).unwrap();
        String::from_utf8(head).unwrap()
    };
    (address, thread::spawn(serve))
}

#[test]
fn it_is_off_until_it_is_switched_on() {
    let data = data();
    let output = roridula(data.path(), &[("RORIDULA_VIRUSTOTAL_KEY", KEY)], &["lookup", SHA256]);
    assert!(!output.status.success() && stderr(&output).contains("look-ups are off"), "{output:?}");
    let output = roridula(data.path(), &[], &["lookup", "status", "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&status[0]["service"], &status[0]["enabled"]), (&"virustotal".into(), &false.into()));
}

#[test]
fn what_is_missing_is_named_with_the_setting_and_what_to_do() {
    let data = data();
    let on = ["--set", "lookup.virustotal.enabled=true", "--listen", "127.0.0.1:0"];
    for command in ["check", "run"] {
        let args = [&[command], &on[..]].concat();
        let told = stderr(&roridula(data.path(), &[], &args));
        assert!(
            told.contains("lookup.virustotal.enabled") && told.contains("RORIDULA_VIRUSTOTAL_KEY"),
            "{told}"
        );
    }
    let args = ["check", "--listen", "127.0.0.1:0", "--set", "lookup.virustotal.base_url=http://example.com"];
    let told = stderr(&roridula(data.path(), &[], &args));
    assert!(told.contains("lookup.virustotal.base_url: an address as https://"), "{told}");
}

#[test]
fn a_hash_is_asked_for_once_and_the_answer_is_kept() {
    let data = data();
    let body = r#"{"data":{"type":"file","attributes":{"last_analysis_stats":{"malicious":65,"undetected":7},
        "popular_threat_classification":{"suggested_threat_label":"trojan.wannacry"}}}}"#;
    let (address, served) = server(format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    ));
    let base = format!("lookup.virustotal.base_url=http://{address}");
    let args = ["lookup", SHA256, "--set", "lookup.virustotal.enabled=true", "--set", &base];
    let environment = [("RORIDULA_VIRUSTOTAL_KEY", KEY)];
    let first = roridula(data.path(), &environment, &args);
    assert!(served.join().unwrap().starts_with(&format!("GET /api/v3/files/{SHA256} ")));
    let told = String::from_utf8(first.stdout.clone()).unwrap();
    assert!(told.contains("65 of 72 engines call it malicious, as trojan.wannacry"), "{told}");
    assert!(told.contains(&format!("https://www.virustotal.com/gui/file/{SHA256}")), "{told}");
    // The server is gone: this is the answer that was kept.
    assert_eq!(roridula(data.path(), &environment, &args).stdout, first.stdout);
    assert_eq!(roridula(data.path(), &[], &["lookup", "--cached", SHA256]).stdout, first.stdout);
    let status = [&["lookup", "status", "--json"], &args[2..]].concat();
    let status = roridula(data.path(), &environment, &status);
    let shown: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!((&shown[0]["left_day"], &shown[0]["known"]), (&499.into(), &1.into()));
    assert!(!format!("{first:?}{status:?}").contains(KEY));
}

#[test]
fn the_proxy_of_the_environment_is_used() {
    let data = data();
    let (address, served) = server("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n".to_owned());
    let proxy = format!("http://{address}");
    let environment = [("RORIDULA_VIRUSTOTAL_KEY", KEY), ("HTTPS_PROXY", proxy.as_str())];
    let args = ["lookup", SHA256, "--set", "lookup.virustotal.enabled=true"];
    let output = roridula(data.path(), &environment, &args);
    assert!(served.join().unwrap().starts_with("CONNECT www.virustotal.com:443 "));
    assert!(String::from_utf8_lossy(&output.stdout).contains("the proxy made no connection"), "{output:?}");
    // Nobody answered, and that is a failure.
    assert!(!output.status.success() && stderr(&output).contains("no answer (VirusTotal: "), "{output:?}");
}
