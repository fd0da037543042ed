//! Who listens where the honeypot should.

use super::finding::Finding;
use super::system::{self, Process, Socket};
use nix::unistd::Uid;
use std::net::SocketAddr;
use std::path::Path;

const CHECK: &str = "listening";

/// Whom to expect.
pub(super) struct Expected<'a> {
    /// The honeypot's addresses.
    pub(super) addresses: &'a [SocketAddr],
    /// Its data directory.
    pub(super) data: &'a Path,
    /// The process that has the data directory's lock.
    pub(super) running: Option<&'a Process>,
    /// How it is started.
    pub(super) start: &'a str,
}

/// One line for each address that is taken, and one for those that are not.
pub(super) fn check(expected: &Expected<'_>, sockets: &[Socket]) -> Vec<Finding> {
    let (mut findings, mut free) = (Vec::new(), Vec::new());
    for &address in expected.addresses {
        match system::taker(sockets, address) {
            _ if address.port() == 0 => {
                let what = format!("{address}: the system chooses a port when the honeypot starts");
                findings.push(Finding::note(CHECK, what));
            }
            Some(socket) => findings.push(taken(expected, address, &socket, system::holder(&socket))),
            None => free.push(address),
        }
    }
    if !free.is_empty() {
        findings.push(nobody(expected, &list(&free)));
    }
    findings
}

/// Addresses in one line.
pub(super) fn list(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(", ")
}

fn nobody(expected: &Expected<'_>, addresses: &str) -> Finding {
    let (why, fix) = match expected.running {
        Some(Process { pid, .. }) => (
            format!("the honeypot (pid {pid}) was started with other addresses"),
            format!("stop it and start it again: {}", expected.start),
        ),
        None => ("the honeypot does not run".to_owned(), expected.start.to_owned()),
    };
    Finding::problem(CHECK, format!("{addresses}: nothing listens; {why}"), fix)
}

fn taken(expected: &Expected<'_>, address: SocketAddr, socket: &Socket, holder: Option<Process>) -> Finding {
    let Some(holder) = holder else {
        let what =
            format!("{address}: a program of user id {} listens; which one cannot be seen", socket.uid);
        let from_here =
            if Uid::effective().is_root() { "look from the container that has it" } else { "run with sudo" };
        return Finding::note(CHECK, what).with_fix(from_here);
    };
    let (data, ours) = (expected.data.display(), holder.is_ours());
    let Process { pid, name } = holder;
    match (name.as_str(), expected.running) {
        (_, Some(running)) if running.pid == pid => {
            Finding::ok(CHECK, format!("{address}: {name} (pid {pid}), the honeypot of {data}"))
        }
        (_, None) if ours => Finding::ok(CHECK, format!("{address}: {name} (pid {pid})")),
        (_, Some(_)) if ours => {
            let what = format!("{address}: a honeypot (pid {pid}), but not the one of {data}");
            Finding::note(CHECK, what).with_fix("give its directory with --data")
        }
        ("docker-proxy", _) => Finding::note(
            CHECK,
            format!(
                "{address}: docker-proxy (pid {pid}) hands visitors to a container; the visit shows to whom"
            ),
        ),
        _ => Finding::problem(CHECK, format!("{address}: {name} (pid {pid}) has the port"), make_room(&name)),
    }
}

/// How the port becomes free.
fn make_room(program: &str) -> &'static str {
    match program {
        "smbd" => "systemctl disable --now smbd nmbd, then start the honeypot",
        "systemd" => {
            "systemctl list-sockets shows which unit has the port; disable it, then start the honeypot"
        }
        _ => "stop that program, or let the honeypot listen on another address of this machine (--listen)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::finding::Verdict;

    fn who(name: &str, running: Option<u32>) -> Finding {
        let process = |pid: u32| Process { pid, name: "roridula".to_owned() };
        let running = running.map(process);
        let address = "127.0.0.1:445".parse().unwrap();
        let expected =
            Expected { addresses: &[address], data: Path::new("d"), running: running.as_ref(), start: "" };
        let socket = Socket { address, uid: 0, inode: 1 };
        taken(&expected, address, &socket, Some(Process { pid: 7, name: name.to_owned() }))
    }

    #[test]
    fn the_honeypot_is_told_from_its_rivals() {
        assert_eq!(who("roridula", Some(7)).verdict, Verdict::Ok);
        assert_eq!(who("roridula", None).verdict, Verdict::Ok);
        assert_eq!(who("roridula", Some(8)).verdict, Verdict::Note);
        assert_eq!(who("docker-proxy", None).verdict, Verdict::Note);
        let smbd = who("smbd", None);
        assert_eq!(smbd.verdict, Verdict::Problem);
        assert!(smbd.what.contains("smbd (pid 7)") && smbd.fix.unwrap().contains("disable --now smbd"));
    }
}
