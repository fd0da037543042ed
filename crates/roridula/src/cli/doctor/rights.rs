//! Rights: may the ports be had, and who is the honeypot then?

use super::finding::Finding;
use super::listening;
use super::system::{self, Process, Socket};
use crate::cli::{Failure, run};
use crate::sandbox::{self, Plan};
use caps::{CapSet, Capability};
use nix::unistd::{Gid, Uid, User};
use roridula_sensor::BindError;
use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// The first port that anybody may bind, where the system does not say.
const UNPRIVILEGED_FROM: u16 = 1024;

/// Whether the ports that nobody has yet could be bound. It is worked out, never tried: a port that is held
/// for a moment is one that a honeypot cannot have at that moment.
pub(super) fn ports(addresses: &[SocketAddr], sockets: &[Socket], own: &[IpAddr]) -> Vec<Finding> {
    const CHECK: &str = "rights";
    let free = addresses.iter().copied().filter(|&at| system::taker(sockets, at).is_none());
    let free: Vec<SocketAddr> = free.collect();
    if free.is_empty() {
        return vec![Finding::ok(CHECK, "every configured port is bound")];
    }
    let from = unprivileged_from();
    let bind_low = caps::has_cap(None, CapSet::Effective, Capability::CAP_NET_BIND_SERVICE).unwrap_or(false);
    let low = |at: &SocketAddr| at.port() != 0 && at.port() < from && !bind_low;
    let absent = |at: &SocketAddr| {
        let ip = at.ip().to_canonical();
        !ip.is_unspecified() && !ip.is_loopback() && !own.contains(&ip)
    };
    let all_low: Vec<SocketAddr> = free.iter().copied().filter(low).collect();
    let all_absent = free.iter().filter(|at| absent(at));
    let mut problems: Vec<_> = all_absent
        .map(|&address| {
            let fix = run::bind_help(&BindError { address, source: ErrorKind::AddrNotAvailable.into() });
            Finding::problem(CHECK, format!("{address}: this machine has no such address"), fix)
        })
        .collect();
    if let Some(&address) = all_low.first() {
        let fix = run::bind_help(&BindError { address, source: ErrorKind::PermissionDenied.into() });
        let what = format!("{}: this user may not bind ports below {from}", listening::list(&all_low));
        problems.push(Finding::problem(CHECK, what, fix));
    }
    if problems.is_empty() {
        vec![Finding::ok(CHECK, "the ports may be bound by this user")]
    } else {
        problems
    }
}

fn unprivileged_from() -> u16 {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    text.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(UNPRIVILEGED_FROM)
}

/// Who the honeypot is, or would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Who {
    /// User id.
    pub(super) uid: u32,
    /// Group id.
    pub(super) gid: u32,
    /// Whether the data directory is given to this user at the start.
    pub(super) is_given: bool,
}

/// As whom the honeypot runs, or would run; `None` where that user cannot be had.
pub(super) fn user(data: &Path, run_as: Option<&str>, running: Option<&Process>) -> (Finding, Option<Who>) {
    const CHECK: &str = "user";
    if let Some((process, ids)) = running.and_then(|process| Some((process, process.ids()?))) {
        let user = User::from_uid(Uid::from_raw(ids.0)).ok().flatten();
        let name = user.map_or(format!("user id {}", ids.0), |user| user.name);
        let what = format!("the honeypot (pid {}) runs as {name}", process.pid);
        let finding = if ids.0 == 0 { still_root(what) } else { Finding::ok(CHECK, what) };
        return (finding, Some(Who { uid: ids.0, gid: ids.1, is_given: false }));
    }
    let mine = Who { uid: Uid::effective().as_raw(), gid: Gid::effective().as_raw(), is_given: false };
    match sandbox::plan(data, run_as) {
        Ok(plan @ Plan::Myself) => (Finding::ok(CHECK, format!("the honeypot {plan}")), Some(mine)),
        Ok(plan @ Plan::Become { uid, gid, .. }) => {
            (Finding::ok(CHECK, format!("the honeypot {plan}")), Some(Who { uid, gid, is_given: true }))
        }
        Ok(Plan::StayRoot(why)) => (still_root(format!("the honeypot would stay root: {why}")), Some(mine)),
        Err(Failure(what)) => {
            (Finding::problem(CHECK, what, "correct run_as, or leave it out: a user is then chosen"), None)
        }
    }
}

fn still_root(what: String) -> Finding {
    Finding::note("user", what).with_fix(
        "useradd --system roridula, and a data directory that this user can reach: /var/lib/roridula",
    )
}
