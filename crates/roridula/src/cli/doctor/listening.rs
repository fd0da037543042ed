//! Who listens where the honeypot should.

use super::finding::Finding;
use super::system::{self, Process, Socket};
use std::net::SocketAddr;
use std::path::Path;

const CHECK: &str = "listening";
/// The command name of a running honeypot.
const OURS: &str = "roridula";

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

/// One line for each address.
pub(super) fn check(expected: &Expected<'_>, sockets: &[Socket]) -> Vec<Finding> {
    let line = |&address: &SocketAddr| match system::taker(sockets, address) {
        _ if address.port() == 0 => {
            Finding::note(CHECK, format!("{address}: the system chooses a port when the honeypot starts"))
        }
        Some(socket) => taken(expected, address, &socket, system::holder(&socket)),
        None => nobody(expected, address),
    };
    expected.addresses.iter().map(line).collect()
}

fn nobody(expected: &Expected<'_>, address: SocketAddr) -> Finding {
    match expected.running {
        Some(Process { pid, .. }) => Finding::problem(
            CHECK,
            format!("{address}: nothing listens; the honeypot (pid {pid}) was started with other addresses"),
            format!("stop it and start it again: {}", expected.start),
        ),
        None => Finding::problem(
            CHECK,
            format!("{address}: nothing listens; the honeypot does not run"),
            expected.start.to_owned(),
        ),
    }
}

fn taken(expected: &Expected<'_>, address: SocketAddr, socket: &Socket, holder: Option<Process>) -> Finding {
    let Some(Process { pid, name }) = holder else {
        let what =
            format!("{address}: a program of user id {} listens; this user may not see which", socket.uid);
        return Finding::note(CHECK, what).with_fix("run with sudo to know it");
    };
    let data = expected.data.display();
    match (name.as_str(), expected.running) {
        (_, Some(running)) if running.pid == pid => {
            Finding::ok(CHECK, format!("{address}: {name} (pid {pid}), the honeypot of {data}"))
        }
        (OURS, None) => Finding::ok(CHECK, format!("{address}: {name} (pid {pid})")),
        (OURS, Some(_)) => {
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
        let process = |pid: u32| Process { pid, name: OURS.to_owned() };
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
