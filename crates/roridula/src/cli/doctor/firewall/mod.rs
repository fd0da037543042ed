//! The firewall of this machine, as far as its tools are here and tell: read, never changed.

mod rules;

use super::finding::Finding;
use nix::unistd::Uid;
use rules::Says;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const CHECK: &str = "firewall";
/// The port that worms knock on.
const SMB_PORT: u16 = 445;
/// How long a tool may take.
const TOOL_WAIT: Duration = Duration::from_secs(5);
/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(10);
/// Bytes of a tool's answer that are read.
const ANSWER_MAX: u64 = 4 * 1024 * 1024;
/// Where tools are; the caller's PATH decides nothing.
const FOLDERS: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];

/// A tool that prints rules and changes none: its name, its arguments, how its answer is read.
struct Tool {
    name: &'static str,
    args: &'static [&'static str],
    says: fn(&str, u16) -> Says,
    redirect: fn(&str, u16) -> Option<u16>,
}

// The `-save` form: listing by `iptables -S` would load tables that are not there yet.
const TOOLS: &[Tool] = &[
    Tool { name: "ufw", args: &["status", "verbose"], says: rules::ufw, redirect: |_, _| None },
    Tool { name: "firewall-cmd", args: &["--list-all"], says: rules::firewalld, redirect: |_, _| None },
    Tool { name: "nft", args: &["list", "ruleset"], says: rules::nft, redirect: rules::nft_redirect },
    Tool { name: "iptables-save", args: &[], says: rules::iptables, redirect: rules::iptables_redirect },
];

/// What the tools' rules say of the honeypot's `port`, and of redirects from 445 to it.
pub(super) fn check(port: u16) -> Vec<Finding> {
    let (mut findings, mut seen, mut unseen) = (Vec::new(), Vec::new(), Vec::new());
    for tool in TOOLS {
        let Some(path) = find(tool.name) else { continue };
        match answer(&path, tool.args) {
            None => unseen.push(tool.name),
            Some(text) => {
                seen.push(tool.name);
                findings.extend(told(tool, &text, port));
            }
        }
    }
    if !unseen.is_empty() {
        let what = format!("{} would not tell its rules", unseen.join(", "));
        let fix = if Uid::effective().is_root() { "run it yourself to see why" } else { "run with sudo" };
        findings.push(Finding::note(CHECK, what).with_fix(fix));
    } else if seen.is_empty() {
        let what = "no firewall tool is here (ufw, firewall-cmd, nft, iptables-save): nothing can be said";
        findings.push(Finding::note(CHECK, what));
    } else if findings.is_empty() {
        let what = format!("{}: nothing about port {port}, nothing dropped by default", seen.join(", "));
        findings.push(Finding::ok(CHECK, what));
    }
    findings
}

fn told(tool: &Tool, text: &str, port: u16) -> Vec<Finding> {
    let name = tool.name;
    let mut findings = Vec::new();
    let open = format!("let TCP port {port} in, for example: {}", opening(port));
    match (tool.says)(text, port) {
        Says::Opens(rule) => findings.push(Finding::ok(CHECK, format!("{name} lets port {port} in: {rule}"))),
        Says::Shuts(rule) => {
            findings.push(Finding::note(CHECK, format!("{name} shuts port {port}: {rule}")).with_fix(open));
        }
        Says::DropsTheRest => {
            let what = format!("{name} drops what no rule lets in, and none names port {port}");
            findings.push(Finding::note(CHECK, what).with_fix(open));
        }
        Says::Nothing => {}
    }
    match (tool.redirect)(text, SMB_PORT) {
        Some(to) if to == port => {
            findings.push(Finding::ok(CHECK, format!("{name} leads port {SMB_PORT} to {port}")));
        }
        Some(to) => {
            let what = format!("{name} leads port {SMB_PORT} to {to}, where the honeypot does not listen");
            findings
                .push(Finding::note(CHECK, what).with_fix(format!("lead it to {port}, or listen on {to}")));
        }
        None => {}
    }
    findings
}

/// A command that opens the port, for the first tool that is here.
fn opening(port: u16) -> String {
    let ufw = find("ufw").map(|_| format!("ufw allow {port}/tcp"));
    let firewalld = find("firewall-cmd").map(|_| format!("firewall-cmd --add-port={port}/tcp"));
    ufw.or(firewalld).unwrap_or_else(|| format!("iptables -I INPUT -p tcp --dport {port} -j ACCEPT"))
}

fn find(name: &str) -> Option<PathBuf> {
    FOLDERS.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.is_file())
}

/// What a tool prints, if it ends well and in time.
fn answer(path: &Path, args: &[&str]) -> Option<String> {
    let mut child = Command::new(path)
        .args(args)
        .env_clear()
        .envs([("LC_ALL", "C"), ("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let stdout = child.stdout.take()?;
    let reader = thread::spawn(move || {
        let mut text = Vec::new();
        // A tool that dies meanwhile is noticed by its exit status.
        let _ = stdout.take(ANSWER_MAX).read_to_end(&mut text);
        text
    });
    let deadline = Instant::now() + TOOL_WAIT;
    let status = loop {
        match child.try_wait().ok()? {
            Some(status) => break status,
            None if Instant::now() >= deadline => {
                // It may have ended just now; then there is nothing to kill.
                let _ = child.kill();
                break child.wait().ok()?;
            }
            None => thread::park_timeout(LOOK),
        }
    };
    let text = reader.join().ok()?;
    status.success().then(|| String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_that_fails_says_nothing() {
        let shell = find("sh").unwrap();
        assert_eq!(answer(&shell, &["-c", "echo yes"]).as_deref(), Some("yes\n"));
        assert_eq!(answer(&shell, &["-c", "echo no; exit 1"]), None);
    }

    #[test]
    fn a_redirect_to_another_port_is_told() {
        let tool = TOOLS.iter().find(|tool| tool.name == "iptables-save").unwrap();
        let text = "*nat\n-A PREROUTING -p tcp -m tcp --dport 445 -j REDIRECT --to-ports 4445\n";
        assert!(told(tool, text, 4445)[0].what.contains("leads port 445 to 4445"));
        assert!(told(tool, text, 5445)[0].what.contains("does not listen"));
    }
}
