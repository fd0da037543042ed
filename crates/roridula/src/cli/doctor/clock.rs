//! The clock: evidence with a wrong time is half worth.

use super::finding::Finding;
use roridula_evidence::{rfc3339, wall_clock};
use roridula_proto::time::WallClock;
use std::path::Path;

/// The year of this version, which no right clock is before: 2026-01-01, in microseconds since 1970.
const RELEASED: WallClock = WallClock(1_767_225_600_000_000);
/// How far the journal may be ahead, in microseconds: a clock that is set in small steps is no fault.
const AHEAD_MAX_US: u64 = 60_000_000;

/// Signs of a service that sets the clock, and what each tells.
const SETTERS: &[(&str, &str)] = &[
    ("/run/systemd/timesync/synchronized", "set by systemd-timesyncd"),
    ("/run/chrony/chronyd.pid", "chrony runs (`chronyc tracking` says whether it is in step)"),
    ("/run/chronyd.pid", "chrony runs (`chronyc tracking` says whether it is in step)"),
    ("/run/ntpd.pid", "ntpd runs (`ntpq -p` says whether it is in step)"),
];

/// Whether the clock can be right; `latest` is when the newest event of the journal happened.
pub(super) fn check(latest: Option<WallClock>) -> Finding {
    const FIX: &str = "set the clock: timedatectl set-ntp true";
    let now = wall_clock();
    if let Some(wrong) = implausible(now, latest) {
        return Finding::problem("clock", wrong, FIX);
    }
    let now = &rfc3339(now)[..19];
    match SETTERS.iter().find(|(sign, _)| Path::new(sign).exists()) {
        Some((_, how)) => Finding::ok("clock", format!("{now}Z, {how}")),
        None => Finding::ok("clock", format!("{now}Z, plausible; whether it is set by NTP is unknown")),
    }
}

fn implausible(now: WallClock, latest: Option<WallClock>) -> Option<String> {
    let today = &rfc3339(now)[..10];
    if now < RELEASED {
        return Some(format!("{today} is before this version was made"));
    }
    let ahead = latest.filter(|latest| latest.0 > now.0.saturating_add(AHEAD_MAX_US))?;
    Some(format!("{today} is before the journal's newest event ({}): it was set back", rfc3339(ahead)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_before_the_release_or_the_journal_is_wrong() {
        let now = WallClock(RELEASED.0 + 1_000_000_000);
        assert_eq!(implausible(now, None), None);
        assert_eq!(implausible(now, Some(WallClock(now.0 + 1_000_000))), None);
        assert!(implausible(now, Some(WallClock(now.0 + 3_600_000_000))).unwrap().contains("set back"));
        assert!(implausible(WallClock(0), None).unwrap().contains("1970-01-01"));
    }
}
