//! An incident in one sentence.

use super::facts::Caught;
use super::record::Record;
use super::stage::{Role, Stage};
use super::tool;
use crate::sample::{counted, thousands};
use roridula_proto::event::{Text, UploadState};
use roridula_proto::time::WallClock;

/// The sentence: who, from where, and what it did in order.
pub(super) fn of(record: &Record) -> String {
    let name = record.tool();
    let who = match &name {
        Some(tool) => capitalised(tool::label(tool).unwrap_or(tool)),
        None => "A visitor".to_owned(),
    };
    let mut did = Vec::new();
    probe(record, &mut did);
    pings(record, &mut did);
    exploit(record, &mut did);
    upload(record, &mut did);
    kill(record, &mut did);
    // In the order in which it happened; what is of one moment, in the order of the kill chain.
    did.sort_by_key(|(time, _)| *time);
    let mut did: Vec<String> = did.into_iter().map(|(_, what)| what).collect();
    if did.is_empty() {
        did.push(idle(record));
    }
    format!("{} from {} {}", Text(who), record.source, did.join(", "))
}

/// What was done, and when first.
type Did = Vec<(WallClock, String)>;

/// When a stage was reached first.
fn first(record: &Record, stage: Stage) -> Option<WallClock> {
    record.facts.stages.get(&stage).filter(|tally| tally.count > 0).map(|tally| tally.first)
}

fn probe(record: &Record, did: &mut Did) {
    let Some(at) = first(record, Stage::Probe) else { return };
    let what = match (record.facts.vulnerable, record.facts.patched) {
        (_, 0) => "checked for MS17-010",
        (0, _) => "checked for MS17-010 and was told that it is patched",
        (..) => "checked for MS17-010 and was told both",
    };
    did.push((at, what.to_owned()));
}

/// The first ping, and the last one where an exploit or a removal came between.
fn pings(record: &Record, did: &mut Did) {
    let facts = &record.facts;
    let acted = [Stage::Exploit, Stage::Kill].map(|stage| first(record, stage));
    let is_after = |at: WallClock| acted.into_iter().flatten().any(|acted| at > acted);
    let (Some((at, present)), Some((last, still))) = (facts.first_ping, facts.last_ping) else { return };
    if !is_after(at) {
        did.push((at, if present { "found the implant" } else { "found no implant" }.to_owned()));
    }
    if is_after(last) {
        let what = if still { "was answered as implanted" } else { "was answered as not implanted" };
        // The last one decides how it went on, the first one after the exploit when that was.
        did.push((if is_after(at) { at } else { exploited_or(record, last) }, what.to_owned()));
    }
}

/// The moment right behind the exploit, else `at`.
fn exploited_or(record: &Record, at: WallClock) -> WallClock {
    let uploaded = first(record, Stage::Upload).filter(|upload| *upload < at);
    uploaded.map_or(at, |upload| WallClock(upload.0.saturating_sub(1)))
}

fn exploit(record: &Record, did: &mut Did) {
    let facts = &record.facts;
    let Some(at) = first(record, Stage::Exploit) else { return };
    let names: Vec<String> = facts.exploits.iter().map(|name| exploit_label(name)).collect();
    let names = names.join(" and ");
    let connections: u64 =
        [Role::Exploit, Role::Groom, Role::Hole].map(|role| record.role(role)).iter().sum();
    let over = match connections {
        0 => String::new(),
        count => format!(" over {}", counted(count, "connection")),
    };
    let times = record.role(Role::Exploit).max(facts.completed);
    let often = if times > 1 { format!(" {times} times") } else { String::new() };
    did.push((
        at,
        match (facts.completed, facts.begun) {
            (0, 0) => format!("made room for {names}{over}"),
            (0, _) => format!("began {names}{often}{over} and did not finish it"),
            _ => format!("ran {names}{often}{over}"),
        },
    ));
}

fn kill(record: &Record, did: &mut Did) {
    let Some(at) = first(record, Stage::Kill) else { return };
    let what =
        if record.facts.removed > 0 { "removed the implant" } else { "asked for the implant's removal" };
    did.push((at, what.to_owned()));
}

fn upload(record: &Record, did: &mut Did) {
    let facts = &record.facts;
    let Some(at) = first(record, Stage::Upload) else { return };
    let best = |sample: &&Caught| (sample.state == UploadState::Complete, sample.size);
    match facts.payloads().max_by_key(best) {
        Some(sample) => {
            let again = if sample.first_seen { "first seen" } else { "seen before" };
            if sample.state == UploadState::Complete {
                did.push((at, format!("uploaded {} bytes, captured whole; {again}", thousands(sample.size))));
            } else {
                let of = sample.total.map_or(String::new(), |total| format!(" of {}", thousands(total)));
                let bytes = thousands(sample.size);
                did.push((at, format!("uploaded {bytes}{of} bytes, captured as far as they came; {again}")));
            }
        }
        None => {
            let total =
                facts.announced.map_or(String::new(), |total| format!(" of {} bytes", thousands(total)));
            did.push((at, format!("began an upload{total}, of which nothing is kept yet")));
        }
    }
}

fn idle(record: &Record) -> String {
    let facts = &record.facts;
    match () {
        () if facts.refused_logons > 0 => {
            format!("tried {} with an account, in vain", counted(facts.refused_logons, "logon"))
        }
        () if facts.disk_shares > 0 => "logged on and asked for a share of files".to_owned(),
        () if facts.count(Stage::Logon) > 0 => "logged on and did nothing known".to_owned(),
        () if record.role(Role::Unknown) > 0 => "said what no recogniser knows".to_owned(),
        () if record.role(Role::Logon) > 0 => "offered dialects and did nothing more".to_owned(),
        () => format!("opened {} and said nothing", counted(record.connections, "connection")),
    }
}

fn exploit_label(name: &str) -> String {
    match name {
        "eternalblue" => "EternalBlue".to_owned(),
        other => Text::from(other).to_string(),
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!([0, 999, 1000, 5_304_320].map(thousands), ["0", "999", "1,000", "5,304,320"]);
        assert_eq!([counted(1, "logon"), counted(1234, "logon")], ["1 logon", "1,234 logons"]);
        assert_eq!(capitalised("a public checker"), "A public checker");
    }
}
