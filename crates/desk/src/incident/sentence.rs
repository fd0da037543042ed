//! An incident in one sentence.

use super::facts::Caught;
use super::record::Record;
use super::stage::{Role, Stage};
use super::tool;
use roridula_proto::event::{Text, UploadState};

/// The sentence: who, from where, and what it did in order.
pub(super) fn of(record: &Record) -> String {
    let name = record.tool();
    let who = match &name {
        Some(tool) => capitalised(tool::label(tool).unwrap_or(tool)),
        None => "A visitor".to_owned(),
    };
    let mut did = Vec::new();
    probe(record, &mut did);
    first_ping(record, &mut did);
    exploit(record, &mut did);
    upload(record, &mut did);
    if let Some((_, true)) = record.facts.last_act {
        did.push("removed the implant".to_owned());
    } else if record.facts.count(Stage::Kill) > 0 {
        did.push("asked for the implant's removal".to_owned());
    }
    if did.is_empty() {
        did.push(idle(record));
    }
    format!("{} from {} {}", Text(who), record.source, did.join(", "))
}

fn probe(record: &Record, did: &mut Vec<String>) {
    let facts = &record.facts;
    match (facts.vulnerable, facts.patched) {
        (0, 0) => {}
        (_, 0) => did.push("checked for MS17-010".to_owned()),
        (0, _) => did.push("checked for MS17-010 and was told that it is patched".to_owned()),
        (..) => did.push("checked for MS17-010 and was told both".to_owned()),
    }
}

fn first_ping(record: &Record, did: &mut Vec<String>) {
    match record.facts.first_ping {
        Some((_, true)) => did.push("found the implant".to_owned()),
        Some((_, false)) => did.push("found no implant".to_owned()),
        None => {}
    }
}

fn exploit(record: &Record, did: &mut Vec<String>) {
    let facts = &record.facts;
    if facts.count(Stage::Exploit) == 0 {
        return;
    }
    let names: Vec<String> = facts.exploits.iter().map(|name| exploit_label(name)).collect();
    let connections = [Role::Exploit, Role::Groom, Role::Hole].map(|role| record.role(role)).iter().sum();
    let times = record.role(Role::Exploit);
    let often = if times > 1 { format!(" {times} times") } else { String::new() };
    did.push(format!("ran {}{often} over {}", names.join(" and "), counted(connections, "connection")));
    let exploited = facts.stages.get(&Stage::Exploit).map(|tally| tally.first);
    match (facts.first_ping, facts.last_ping) {
        (Some((_, false)), Some((_, true))) => did.push("was answered as implanted".to_owned()),
        (_, Some((at, false))) if Some(at) > exploited => {
            did.push("was answered as not implanted".to_owned());
        }
        _ => {}
    }
}

fn upload(record: &Record, did: &mut Vec<String>) {
    let facts = &record.facts;
    if facts.count(Stage::Upload) == 0 {
        return;
    }
    let best = |sample: &&Caught| (sample.state == UploadState::Complete, sample.size);
    match facts.payloads().max_by_key(best) {
        Some(sample) => {
            let again = if sample.first_seen { "first seen" } else { "seen before" };
            if sample.state == UploadState::Complete {
                did.push(format!("uploaded {} bytes, captured whole; {again}", thousands(sample.size)));
            } else {
                let of = sample.total.map_or(String::new(), |total| format!(" of {}", thousands(total)));
                let bytes = thousands(sample.size);
                did.push(format!("uploaded {bytes}{of} bytes, captured as far as they came; {again}"));
            }
        }
        None => {
            let total =
                facts.announced.map_or(String::new(), |total| format!(" of {} bytes", thousands(total)));
            did.push(format!("began an upload{total}, of which nothing is kept yet"));
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

/// `1 connection`, `23 connections`.
fn counted(count: u64, what: &str) -> String {
    format!("{} {what}{}", thousands(count), if count == 1 { "" } else { "s" })
}

/// `5,304,320`.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
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
