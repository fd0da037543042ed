//! Attacks by chance, many at a time: whatever was sent is there, byte for byte, in the right state.

use roridula_lab::attack::campaign::play;
use roridula_lab::attack::cli::nth_source;
use roridula_lab::attack::report::PayloadReport;
use roridula_lab::attack::{Attack, Body, Kind, Order};
use roridula_lab::honeypot::Honeypot;
use roridula_lab::samples::cli::{Arch, sha256_hex};
use roridula_proto::client::chance::Chance;
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::thread;

/// Attackers at a time, and attacks of each.
const ATTACKERS: u32 = 6;
const EACH: u64 = 14;

fn one_of<T: Copy>(chance: &mut Chance, choices: &[T]) -> T {
    choices[chance.below(choices.len())]
}

/// Any upload that an honest tool or its broken line could make.
fn attack_by_chance(target: SocketAddr, number: u32, turn: u64) -> Attack {
    let mut chance = Chance::new(u64::from(number) << 32 | turn);
    let size = match chance.below(4) {
        0 => chance.below(20) + 1,
        1 => 4096 * (chance.below(20) + 1),
        2 => 4096 * (chance.below(20) + 1) + chance.below(9) - 4,
        _ => chance.below(400_000) + 1,
    };
    let kind = one_of(&mut chance, &[Kind::Upload, Kind::Fuzzbunch, Kind::Metasploit]);
    let mut attack = Attack::new(kind, target, u64::from(number) * 1000 + turn);
    attack.source = Some(nth_source(number));
    attack.arch = Some(one_of(&mut chance, &[Arch::X86, Arch::X64]));
    attack.body = Body::Raw(size);
    attack.chunk = one_of(&mut chance, &[4096, 4096, 4096, 1024, 1000, 60_000, 8192]);
    attack.order = one_of(&mut chance, &[Order::InOrder, Order::InOrder, Order::Reversed, Order::Shuffled]);
    attack.duplicate = chance.below(3) == 0;
    attack.uploads = one_of(&mut chance, &[1, 1, 1, 3]);
    if chance.below(3) == 0 {
        attack.drop_at = Some(chance.below(size) as u64);
    }
    attack
}

#[test]
fn whatever_is_sent_is_kept() {
    let honeypot = Honeypot::start().expect("a honeypot");
    let address = honeypot.address;
    let sent: Vec<(Attack, PayloadReport)> = thread::scope(|scope| {
        let attacker = |number: u32| {
            scope.spawn(move || {
                let mut sent = Vec::new();
                for turn in 0..EACH {
                    let attack = attack_by_chance(address, number, turn);
                    let report = play(&attack).unwrap_or_else(|error| panic!("{attack:?}: {error:#}"));
                    assert!(report.succeeded, "{attack:?}\n{}", report.to_text());
                    sent.extend(report.payloads.into_iter().map(|payload| (attack.clone(), payload)));
                }
                sent
            })
        };
        let attackers: Vec<_> = (0..ATTACKERS).map(attacker).collect();
        attackers.into_iter().flat_map(|attacker| attacker.join().expect("an attacker")).collect()
    });
    assert!(sent.len() > 60, "{} payloads", sent.len());
    let names = &sent.iter().map(|(_, payload)| payload.sha256.as_str()).collect::<BTreeSet<_>>();
    let held = |samples: &[Value]| samples.iter().filter(|sample| names.contains(name(sample))).count();
    let samples = honeypot.wait_for_samples(|samples| held(samples) == names.len()).expect("all samples");
    for (attack, payload) in &sent {
        let sample = samples.iter().find(|sample| name(sample) == payload.sha256).expect("it is there");
        assert_eq!(sample["size"], payload.size, "{attack:?}");
        // Cut exactly behind the last byte is whole; the reply may be missing, the payload is not.
        let state = if payload.whole { "complete" } else { "partial" };
        assert_eq!(sample["state"], state, "{attack:?}\n{sample:#}");
        let bytes = honeypot.sample_bytes(&payload.sha256).expect("the sample's file");
        assert_eq!(sha256_hex(&bytes), payload.sha256);
    }
}

fn name(sample: &Value) -> &str {
    sample["sha256"].as_str().unwrap_or_default()
}
