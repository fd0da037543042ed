//! Who takes part in a swarm: a mix by chance, the same for the same seed.

use crate::attack::cli::nth_source;
use crate::attack::{Attack, Body, Kind, Shape};
use roridula_proto::client::chance::Chance;
use std::net::{IpAddr, SocketAddr};

/// Payload variants that the small uploads are taken from: some attackers send the same one.
const VARIANTS: usize = 12;
/// Bytes of an exploit's main connection after which a cut never comes: its transaction is whole soon after.
const CUT_MAX: usize = 60_000;
/// Bytes of a check or a ping, at most.
const VISIT_MAX: usize = 440;

/// One attacker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attacker {
    /// Its address.
    pub source: IpAddr,
    /// Whether another one has the same.
    pub shared: bool,
    /// What it does.
    pub act: Act,
}

/// What an attacker does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// It connects, says nothing and closes.
    Connect,
    /// It attacks.
    Attack(Box<Attack>),
}

/// The attackers of `sources` addresses, in the order in which they begin.
pub fn cast(target: SocketAddr, sources: u32, seed: u64) -> Vec<Attacker> {
    let mut chance = Chance::new(seed);
    let mut cast = Vec::new();
    let mut worm_sent = false;
    for number in 0..sources {
        let source = nth_source(number);
        let mut act = first_act(target, &mut chance);
        if let Act::Attack(attack) = &mut act
            && attack.kind == Kind::Wannacry
            && !worm_sent
        {
            // One worm as large as in life; the rest would only burn time.
            (attack.body, attack.drop_at, worm_sent) = (Body::OfKind, None, true);
        }
        let partner = partner_of(&act, target, &mut chance);
        let shared = partner.is_some();
        let acts = [Some(act), partner].into_iter().flatten();
        cast.extend(acts.map(|act| Attacker { source, shared, act: from(act, source) }));
    }
    cast
}

/// The same, from this address.
fn from(mut act: Act, source: IpAddr) -> Act {
    if let Act::Attack(attack) = &mut act {
        attack.source = Some(source);
    }
    act
}

/// What the first attacker of an address does.
fn first_act(target: SocketAddr, chance: &mut Chance) -> Act {
    let (kind, shape) = match chance.below(100) {
        0..=24 => (Kind::Wannacry, Shape::Fuzzbunch),
        25..=36 => (Kind::Eternalblue, Shape::Fuzzbunch),
        37..=48 => (Kind::Eternalblue, Shape::Metasploit),
        49..=60 => (Kind::Check, Shape::Fuzzbunch),
        61..=70 => (Kind::Ping, Shape::Fuzzbunch),
        71..=77 => (Kind::Kill, Shape::Fuzzbunch),
        78..=87 => (Kind::Metasploit, Shape::Fuzzbunch),
        88..=93 => (Kind::Logon, Shape::Fuzzbunch),
        _ => return Act::Connect,
    };
    let mut attack = Attack { shape, ..attack(kind, target, chance) };
    let drops = chance.below(100);
    let size = match attack.body {
        Body::Dll(size) => size,
        Body::OfKind | Body::Raw(_) => 0,
    };
    match kind {
        Kind::Wannacry | Kind::Eternalblue if drops < 15 => {
            attack.drop_at = Some(1 + chance.below(size) as u64);
        }
        Kind::Wannacry | Kind::Eternalblue if drops < 25 => {
            attack.cut_at = Some(chance.below(CUT_MAX) as u64);
        }
        Kind::Check | Kind::Ping if drops < 20 => attack.cut_at = Some(chance.below(VISIT_MAX) as u64),
        _ => {}
    }
    Act::Attack(Box::new(attack))
}

/// For one in eight of the addresses where that can be, a second attacker: one whose connections cannot be
/// taken for the first one's, and who does not take the implant away from it.
fn partner_of(act: &Act, target: SocketAddr, chance: &mut Chance) -> Option<Act> {
    let Act::Attack(first) = act else { return None };
    let kind = match (first.kind, first.shape) {
        (Kind::Wannacry, _) | (Kind::Eternalblue, Shape::Fuzzbunch) if chance.below(2) == 0 => {
            Kind::Metasploit
        }
        (Kind::Wannacry | Kind::Eternalblue | Kind::Metasploit, ..) => Kind::Logon,
        _ => return None,
    };
    (chance.below(8) == 0 && first.cut_at.is_none())
        .then(|| Act::Attack(Box::new(attack(kind, target, chance))))
}

/// An attack of this kind with a small payload: a few variants in all, so that some are sent twice.
fn attack(kind: Kind, target: SocketAddr, chance: &mut Chance) -> Attack {
    let variant = chance.below(VARIANTS);
    let body = match kind {
        Kind::Wannacry | Kind::Eternalblue => Body::Dll(8_000 + 2_000 * variant),
        _ => Body::OfKind,
    };
    Attack { body, first_target: chance.below(4) == 0, ..Attack::new(kind, target, 1 + variant as u64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_has_everything_and_is_the_same_for_the_same_seed() {
        let target = "127.0.0.1:445".parse().unwrap();
        let mix = cast(target, 300, 1);
        assert_eq!(mix, cast(target, 300, 1));
        assert_ne!(mix, cast(target, 300, 2));
        let attacks: Vec<&Attack> = mix
            .iter()
            .filter_map(|attacker| match &attacker.act {
                Act::Attack(attack) => Some(attack.as_ref()),
                Act::Connect => None,
            })
            .collect();
        for kind in [
            Kind::Wannacry,
            Kind::Eternalblue,
            Kind::Metasploit,
            Kind::Check,
            Kind::Ping,
            Kind::Kill,
            Kind::Logon,
        ] {
            assert!(attacks.iter().any(|attack| attack.kind == kind), "{kind:?}");
        }
        assert!(attacks.len() < mix.len(), "nobody just connects");
        assert!(attacks.iter().any(|attack| attack.shape == Shape::Metasploit));
        assert!(attacks.iter().any(|attack| attack.drop_at.is_some()));
        assert!(attacks.iter().any(|attack| attack.cut_at.is_some()));
        let large = |attack: &&&Attack| attack.kind == Kind::Wannacry && attack.body == Body::OfKind;
        assert_eq!(attacks.iter().filter(large).count(), 1);
        let shared: Vec<&Attacker> = mix.iter().filter(|attacker| attacker.shared).collect();
        assert!(shared.len() >= 10 && shared.len().is_multiple_of(2), "{} share an address", shared.len());
        assert!(shared.chunks(2).all(|pair| pair[0].source == pair[1].source));
    }
}
