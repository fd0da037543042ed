//! Clients that we did not write, against the real binary.

use roridula_lab::honeypot::{Honeypot, Start};
use roridula_lab::tidy::root;
use std::net::TcpListener;
use std::process::{Command, Stdio};

/// Runs a tool to its end; fails by its name if it is not installed. Its stdout and stderr together.
fn tool(name: &str, args: &[&str]) -> String {
    let output = Command::new(name).args(args).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{name}: {error}; scripts/setup-tests.sh installs it"));
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(output.status.success(), "{name} {args:?}: {}\n{text}", output.status);
    text
}

/// Set in a test that runs in a network namespace of its own.
const INSIDE: &str = "RORIDULA_LAB_INSIDE";

/// Runs the rest of a test where port 445 of loopback may be had: here, or as root of a network namespace of
/// our own. Returns false where the rest has run elsewhere.
fn may_bind_445(test: &str) -> bool {
    // No right, or somebody else's server there: a namespace has a loopback of its own.
    if TcpListener::bind("127.77.0.2:445").is_ok() {
        return true;
    }
    assert!(std::env::var_os(INSIDE).is_none(), "no port 445 even in a namespace of our own");
    let me = std::env::current_exe().expect("the test's own path");
    let inside = Command::new("unshare")
        .args(["-rn", "sh", "-c", "ip link set lo up && exec \"$0\" \"$@\""])
        .arg(me)
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .stdin(Stdio::null())
        .output()
        .expect("unshare");
    let text = String::from_utf8_lossy(&[inside.stdout, inside.stderr].concat()).into_owned();
    assert!(
        inside.status.success() && text.contains("1 passed"),
        "port 445 of loopback needs root, or user namespaces (unshare -rn):\n{text}"
    );
    false
}

#[test]
fn nmap_sees_a_vulnerable_and_implanted_windows_7() {
    if !may_bind_445("nmap_sees_a_vulnerable_and_implanted_windows_7") {
        return;
    }
    let mut start = Start::default().listen("127.77.0.2:445");
    if std::env::var_os(INSIDE).is_some() {
        // The namespace's root is its only user: there is nobody else to become.
        start = start.set("run_as=root");
    }
    let mut honeypot = start.run().expect("a honeypot on port 445");
    let scripts = "smb-vuln-ms17-010,smb-double-pulsar-backdoor,smb-os-discovery";
    let report = tool("nmap", &["-Pn", "-p445", "--script", scripts, "127.77.0.2"]);
    let verdicts = report.matches("State: VULNERABLE").count();
    assert_eq!(verdicts, 2, "{report}");
    for wanted in ["smb-vuln-ms17-010:", "smb-double-pulsar-backdoor:"] {
        assert!(report.contains(wanted), "{wanted}\n{report}");
    }
    assert!(report.contains("OS: Windows 7 Professional 7601 Service Pack 1"), "{report}");
    for id in ["ms17_010.probe", "implant.ping"] {
        honeypot.wait_for(|event| event["eventid"] == id).expect(id);
    }
}

#[test]
fn nmap_takes_it_for_windows_and_never_for_a_honeypot() {
    let honeypot = Honeypot::start().expect("a honeypot");
    let port = honeypot.address.port().to_string();
    let report = tool("nmap", &["-Pn", "-sT", "-sV", "--version-all", "-p", &port, "127.0.0.1"]);
    assert!(report.contains("Microsoft Windows 7"), "{report}");
    let lower = report.to_lowercase();
    for name in ["dionaea", "honeypot", "roridula", "unrecognized"] {
        assert!(!lower.contains(name), "{name}:\n{report}");
    }
}

#[test]
fn smbclient_lists_shares_without_complaint() {
    let mut honeypot = Honeypot::start().expect("a honeypot");
    let port = honeypot.address.port().to_string();
    let nt1 = ["--option=client min protocol=NT1", "--option=client max protocol=NT1"];
    let text = tool("smbclient", &["-N", "-L", "//127.0.0.1", "-p", &port, nt1[0], nt1[1]]);
    assert!(text.contains("Anonymous login successful"), "{text}");
    assert!(text.contains("Sharename"), "{text}");
    let logon = honeypot.wait_for(|event| event["eventid"] == "smb1.session").expect("a logon");
    assert_eq!(logon["src_ip"], "127.0.0.1");
    for name in ["ERRbad", "INVALID_NETWORK_RESPONSE", "protocol negotiation failed", "NT_STATUS_IO_TIMEOUT"]
    {
        assert!(!text.contains(name), "{name}: {text}");
    }
}

#[test]
fn impacket_logs_on_and_opens_pipes() {
    let mut honeypot = Honeypot::start().expect("a honeypot");
    let python = root().join(".venv/bin/python");
    let script = root().join("scripts/impacket_visit.py");
    let (python, script) = (python.to_string_lossy(), script.to_string_lossy());
    let text = tool(&python, &[&script, &honeypot.address.port().to_string()]);
    assert!(text.trim_end().ends_with("all as on Windows 7"), "{text}");
    let opened = honeypot.wait_for(|event| event["eventid"] == "smb1.open" && event["status"] == 0);
    assert_eq!(opened.expect("an opened pipe")["name"], "\\lsarpc");
    let password = honeypot.wait_for(|event| event["eventid"] == "smb1.session" && event["account"] == "bob");
    let response = password.expect("a refused logon")["response"].as_str().unwrap_or_default().to_owned();
    assert!(response.starts_with("bob::WORKGROUP:"), "an answer that password auditors read: {response}");
}
