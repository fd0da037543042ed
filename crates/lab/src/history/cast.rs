//! Who came, when, and did what: a week by chance, with the rhythm of days, hosts that return, and one that
//! cannot stop.

use super::acts::Act;
use super::payloads::Recipe;
use super::{Args, Phase};
use crate::samples::cli::Arch;
use roridula_proto::client::chance::Chance;
use roridula_proto::client::sender::Sender;
use roridula_proto::time::WallClock;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Of a hundred incidents, so many bring a sample, where that is enough for all samples.
const DELIVERIES_PERCENT: usize = 45;
/// What the rest do, by weight.
const OTHERS: &[(usize, Kind)] = &[
    (27, Kind::Connect),
    (16, Kind::Client),
    (10, Kind::Stranger),
    (14, Kind::Check),
    (12, Kind::Ping),
    (12, Kind::Logon),
    (5, Kind::Kill),
    (4, Kind::Exploit),
];
/// Of a hundred visits that no incident needs, so many are of the one source that cannot stop.
const SPIKE_PERCENT: usize = 45;
/// How long that one is at it.
const SPIKE_US: u64 = 3 * HOUR_US;
/// Incidents of one source are so far apart, or they are one.
const APART_US: u64 = 2 * HOUR_US;
/// The last incident begins so long before the end.
const LAST_US: u64 = 900_000_000;
/// Between two visits of an incident; at most twice that, and less than what parts incidents.
const REPEAT_US: u64 = 4_000_000;
const HOUR_US: u64 = 3_600_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Connect,
    Client,
    Stranger,
    Check,
    Ping,
    Logon,
    Kill,
    Exploit,
}

/// One act of one visitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// When it begins.
    pub(super) at: WallClock,
    /// From where.
    pub(super) source: SocketAddr,
    /// What.
    pub(super) act: Act,
    /// Its visitor's, with the number of the repeat in the low 16 bits.
    pub(super) seed: u64,
}

/// A source that was here.
#[derive(Clone, Copy, Debug)]
struct Known {
    ip: IpAddr,
    last: u64,
    delivered: Option<Act>,
}

/// Everything that happens, in the order of its beginning, and when the one that cannot stop is at it.
pub(super) struct Cast {
    pub(super) entries: Vec<Entry>,
    pub(super) spike: (SocketAddr, WallClock, WallClock),
}

/// Makes a cast.
pub(super) fn cast(args: &Args, phases: &[Phase], until: WallClock, strangers: (usize, usize)) -> Cast {
    let mut caster = Caster {
        chance: Chance::new(args.seed ^ 0x0ca5_7000),
        phases,
        from: phases.first().map_or(until.0, |phase| phase.from.0),
        until: until.0,
        strangers,
        known: Vec::new(),
        taken: 0,
    };
    let mut entries = caster.incidents(args);
    let spike = caster.fill(&mut entries, args.connections as usize);
    entries.sort_by_key(|entry| entry.at);
    Cast { entries, spike }
}

struct Caster<'a> {
    chance: Chance,
    phases: &'a [Phase],
    from: u64,
    until: u64,
    /// How many recordings there are of clients and of strangers.
    strangers: (usize, usize),
    known: Vec<Known>,
    /// Source addresses given out.
    taken: u32,
}

impl Caster<'_> {
    fn incidents(&mut self, args: &Args) -> Vec<Entry> {
        let count = args.incidents as usize;
        let samples = args.samples as usize;
        let deliveries = (count * DELIVERIES_PERCENT / 100).max(samples + samples / 4).min(count);
        let mut starts: Vec<u64> = (0..count).map(|_| self.moment()).collect();
        starts.sort_unstable();
        let mut brings: Vec<bool> = (0..count).map(|number| number < deliveries).collect();
        for last in (1..count).rev() {
            brings.swap(last, self.chance.below(last + 1));
        }
        let mut plans = self.deliveries(args, &starts, &brings);
        let mut entries = Vec::with_capacity(args.connections as usize);
        for (at, brings) in starts.into_iter().zip(brings) {
            let act = if brings { plans.remove(&at) } else { None };
            let (act, is_new) = act.unwrap_or_else(|| (self.other(), false));
            let (ip, act) = self.source(at, act, is_new);
            let source = self.socket(ip);
            entries.push(Entry { at: WallClock(at), source, act, seed: self.chance.next_u64() << 16 });
        }
        entries
    }

    /// What each delivery brings, by its time, and whether it is the first of its sample.
    fn deliveries(&mut self, args: &Args, starts: &[u64], brings: &[bool]) -> HashMap<u64, (Act, bool)> {
        let mut plans = HashMap::new();
        let recipes = Recipe::list(args.samples as usize, args.seed);
        let mut times: HashMap<bool, Vec<u64>> = HashMap::new();
        for (at, _) in starts.iter().zip(brings).filter(|(_, brings)| **brings) {
            times.entry(self.phase(*at).arch == Arch::X86).or_default().push(*at);
        }
        for (is_x86, times) in times {
            let fits = |recipe: &&Recipe| (recipe.arch() == Arch::X86) == is_x86;
            let mine: Vec<Recipe> = recipes.iter().filter(fits).copied().collect();
            let mut introduced = 0;
            for (number, &at) in times.iter().enumerate() {
                // Spread over the time; the last delivery brings the last one.
                let due = ((number + 1) * mine.len()).div_ceil(times.len());
                let is_new = introduced < due;
                let recipe = if is_new {
                    introduced += 1;
                    mine.get(introduced - 1)
                } else {
                    // The early ones come most often.
                    let below = self.chance.below(introduced) + 1;
                    mine.get(self.chance.below(below))
                };
                let Some(&recipe) = recipe else { continue };
                plans.insert(at, (self.delivery(at, recipe, is_new), is_new));
            }
        }
        plans
    }

    fn delivery(&mut self, at: u64, recipe: Recipe, is_new: bool) -> Act {
        let sender = match recipe {
            Recipe::Worm(..) => Sender::WannaCry,
            Recipe::Packet(_) => Sender::Metasploit,
            Recipe::Dll(core, _) if core % 3 == 0 => Sender::WannaCry,
            _ => Sender::FuzzBunch,
        };
        let is_cut = !is_new && !matches!(recipe, Recipe::Packet(_)) && self.chance.below(100) < 25;
        let percent = if is_cut { 20 + self.chance.below(70) as u8 } else { 100 };
        Act::Deliver { sender, recipe, exploit: self.phase(at).exploit, percent }
    }

    fn other(&mut self) -> Act {
        let all: usize = OTHERS.iter().map(|(weight, _)| weight).sum();
        let mut place = self.chance.below(all);
        let kind = OTHERS.iter().find(|(weight, _)| {
            let here = place < *weight;
            place = place.saturating_sub(*weight);
            here
        });
        match kind.map_or(Kind::Connect, |(_, kind)| *kind) {
            Kind::Connect => Act::Connect,
            Kind::Client => Act::Client(self.chance.below(self.strangers.0) as u8),
            Kind::Stranger => Act::Stranger(self.chance.below(self.strangers.1) as u8),
            Kind::Check => Act::Check,
            Kind::Ping => Act::Ping,
            Kind::Logon => Act::Logon,
            Kind::Kill => Act::Kill,
            Kind::Exploit => {
                let senders = [Sender::FuzzBunch, Sender::Metasploit, Sender::WannaCry];
                let sender = senders[self.chance.below(senders.len())];
                Act::Exploit { sender, cut: self.chance.below(2) == 0 }
            }
        }
    }

    /// A source for what begins at `at`: a known one for two in five, which then brings what it brought before.
    fn source(&mut self, at: u64, act: Act, is_new: bool) -> (IpAddr, Act) {
        let returns = !is_new && self.chance.below(5) < 2;
        for _ in 0..8 * usize::from(returns && !self.known.is_empty()) {
            let place = self.chance.below(self.known.len());
            let same_phase = self.phase(self.known[place].last).from == self.phase(at).from;
            let known = &mut self.known[place];
            let fits = match act {
                Act::Deliver { .. } => known.delivered.is_some() && same_phase,
                _ => known.delivered.is_none(),
            };
            if fits && known.last + APART_US < at {
                known.last = at;
                return (known.ip, known.delivered.unwrap_or(act));
            }
        }
        let ip = self.address();
        let delivered = matches!(act, Act::Deliver { percent: 100, .. }).then_some(act);
        self.known.push(Known { ip, last: at, delivered });
        (ip, act)
    }

    /// Documentation addresses first (RFC 5737, RFC 3849), then 10.0.0.0/8, each once.
    fn address(&mut self) -> IpAddr {
        self.taken += 1;
        let n = self.taken;
        // Every tenth is of the new world.
        if n.is_multiple_of(10) {
            let low = u16::try_from(n & 0xffff).unwrap_or(0);
            return Ipv6Addr::new(0x2001, 0xdb8, 0x17, (n >> 16) as u16, 0, 0, 0, low).into();
        }
        // 37 is prime to 253: neighbours in time are none in the net. 0, 1 and 255 are left out.
        let last = 2 + (n / 3 * 37 % 253) as u8;
        match (n / 3 < 253, n % 3) {
            (true, 0) => Ipv4Addr::new(192, 0, 2, last).into(),
            (true, 1) => Ipv4Addr::new(198, 51, 100, last).into(),
            (true, _) => Ipv4Addr::new(203, 0, 113, last).into(),
            _ => Ipv4Addr::from_bits(0x0a00_0000 | (n.wrapping_mul(0x9e37_79b1) & 0x00ff_ffff)).into(),
        }
    }

    fn socket(&mut self, ip: IpAddr) -> SocketAddr {
        SocketAddr::new(ip, 1_024 + (self.chance.next_u16() % 60_000))
    }

    fn phase(&self, at: u64) -> &Phase {
        let place = self.phases.partition_point(|phase| phase.from.0 <= at);
        &self.phases[place.saturating_sub(1)]
    }

    /// A moment by chance: there are more in the evening than in the morning.
    fn moment(&mut self) -> u64 {
        let span = (self.until - self.from).saturating_sub(LAST_US).max(1);
        loop {
            let at = self.from + self.chance.next_u64() % span;
            let hour = (at / HOUR_US % 24) as f64;
            let weight = 0.6 + 0.4 * ((hour - 13.0) / 24.0 * std::f64::consts::TAU).sin();
            if (self.chance.below(1000) as f64) < 1000.0 * weight {
                return at;
            }
        }
    }

    /// Adds visits until there are `connections`: of those who come again and again, and of one source that cannot
    /// stop.
    fn fill(&mut self, entries: &mut Vec<Entry>, connections: usize) -> (SocketAddr, WallClock, WallClock) {
        let there: usize = entries.iter().map(|entry| entry.act.connections()).sum();
        let left = connections.saturating_sub(there);
        let repeating: Vec<Entry> = entries.iter().filter(|entry| entry.act.repeats()).copied().collect();
        let spike = if repeating.is_empty() { left } else { left * SPIKE_PERCENT / 100 };
        let mut counts = vec![0_u64; repeating.len()];
        for _ in spike..left {
            // Guessers come most.
            let mut place = self.chance.below(counts.len());
            if self.chance.below(3) > 0 && repeating[place].act != Act::Logon {
                place = self.chance.below(counts.len());
            }
            counts[place] += 1;
        }
        for (entry, count) in repeating.into_iter().zip(counts) {
            let mut again = entry;
            for number in 1..=count {
                again.at = WallClock(again.at.0 + REPEAT_US + self.chance.next_u64() % REPEAT_US);
                again.seed = entry.seed | (number & 0xffff);
                again.source = self.socket(entry.source.ip());
                entries.push(again);
            }
        }
        // In the last third, so that it is in every view's time.
        let span = self.until - self.from;
        let begin = self.from + span / 3 * 2;
        let lasts = SPIKE_US.min(span / 6).max(1);
        let ip = self.address();
        for _ in 0..spike {
            let at = WallClock(begin + self.chance.next_u64() % lasts);
            let act = if self.chance.below(20) == 0 { Act::Check } else { Act::Connect };
            let source = self.socket(ip);
            entries.push(Entry { at, source, act, seed: self.chance.next_u64() });
        }
        (SocketAddr::new(ip, 0), WallClock(begin), WallClock(begin + lasts))
    }
}
