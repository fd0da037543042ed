//! Who is let in: bounds on how many, from where, how fast, and on what all of them own together.

use crate::SensorOptions;
use roridula_proto::event::Event;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Prefixes whose rate is counted at once; a visitor from yet another one is let in uncounted.
const RATES_MAX: usize = 65_536;
/// Prefixes whose refusals are counted at once; those of more are counted together with the first.
const REFUSALS_MAX: usize = 4096;
/// How often refusals from one prefix are told.
const TOLD_EVERY: Duration = Duration::from_secs(60);
/// Over which time new connections are counted.
const RATE_OVER: Duration = Duration::from_secs(60);

/// The gate.
#[derive(Debug)]
pub(crate) struct Gate {
    options: SensorOptions,
    memory: AtomicUsize,
    accepted: AtomicU64,
    refused: AtomicU64,
    tables: Mutex<Tables>,
}

#[derive(Debug)]
struct Tables {
    open: usize,
    by_source: HashMap<IpAddr, usize>,
    by_network: HashMap<IpAddr, usize>,
    rates: HashMap<IpAddr, u32>,
    rates_since: Instant,
    refusals: HashMap<(IpAddr, &'static str), Refusals>,
}

#[derive(Debug)]
struct Refusals {
    count: u64,
    told: Option<Instant>,
    source: SocketAddr,
    destination: SocketAddr,
}

/// Visitors turned away, to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
    pub(crate) limit: &'static str,
    pub(crate) count: u64,
}

impl Refused {
    pub(crate) fn event(&self) -> Event {
        Event::ConnectionRefused { limit: self.limit.to_owned(), count: self.count }
    }
}

/// A connection's right to be here. Dropping it gives the place back.
#[derive(Debug)]
pub(crate) struct Permit {
    gate: Arc<Gate>,
    source: IpAddr,
    network: IpAddr,
    memory: usize,
}

impl Gate {
    pub(crate) fn new(options: &SensorOptions) -> Arc<Self> {
        Arc::new(Self {
            options: options.clone(),
            memory: AtomicUsize::new(0),
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            tables: Mutex::new(Tables {
                open: 0,
                by_source: HashMap::new(),
                by_network: HashMap::new(),
                rates: HashMap::new(),
                rates_since: Instant::now(),
                refusals: HashMap::new(),
            }),
        })
    }

    /// Lets a visitor in, or says which bound stands against it.
    pub(crate) fn admit(self: &Arc<Self>, from: SocketAddr, now: Instant) -> Result<Permit, &'static str> {
        let (source, network) = prefixes(from.ip());
        let options = &self.options;
        let mut tables = self.lock();
        if tables.open >= options.connections_max {
            return Err("connections_max");
        }
        if self.memory.load(Ordering::Relaxed) >= options.memory_bytes_max {
            return Err("memory_bytes_max");
        }
        let count = |table: &HashMap<IpAddr, usize>, key| table.get(key).copied().unwrap_or(0);
        if count(&tables.by_source, &source) >= options.connections_per_source_max {
            return Err("connections_per_source_max");
        }
        if count(&tables.by_network, &network) >= options.connections_per_network_max {
            return Err("connections_per_network_max");
        }
        if now.duration_since(tables.rates_since) >= RATE_OVER {
            tables.rates.clear();
            tables.rates_since = now;
        }
        if tables.rates.len() < RATES_MAX || tables.rates.contains_key(&source) {
            let rate = tables.rates.entry(source).or_default();
            if *rate >= options.connections_per_minute_max {
                return Err("connections_per_minute_max");
            }
            *rate += 1;
        }
        tables.open += 1;
        *tables.by_source.entry(source).or_default() += 1;
        *tables.by_network.entry(network).or_default() += 1;
        drop(tables);
        self.accepted.fetch_add(1, Ordering::Relaxed);
        Ok(Permit { gate: Arc::clone(self), source, network, memory: 0 })
    }

    /// Counts a visitor who was turned away; gives what is to be told now, if it is time for it.
    pub(crate) fn refuse(
        &self,
        source: SocketAddr,
        destination: SocketAddr,
        limit: &'static str,
        now: Instant,
    ) -> Option<Refused> {
        self.refused.fetch_add(1, Ordering::Relaxed);
        let mut tables = self.lock();
        let mut key = (prefixes(source.ip()).0, limit);
        if tables.refusals.len() >= REFUSALS_MAX && !tables.refusals.contains_key(&key) {
            key = *tables.refusals.keys().next()?;
        }
        let refusals =
            tables.refusals.entry(key).or_insert(Refusals { count: 0, told: None, source, destination });
        refusals.count += 1;
        refusals.tell(key.1, now)
    }

    /// What has been counted and is due to be told; all of it when `all`.
    pub(crate) fn due(&self, now: Instant, all: bool) -> Vec<Refused> {
        let mut due = Vec::new();
        self.lock().refusals.retain(|key, refusals| {
            if all {
                refusals.told = None;
            }
            // Nothing new for a whole period: forgotten.
            if refusals.count == 0 {
                return refusals.told.is_some_and(|told| now.duration_since(told) < TOLD_EVERY);
            }
            due.extend(refusals.tell(key.1, now));
            true
        });
        due
    }

    /// Counts again what could not be told.
    pub(crate) fn untold(&self, refused: &Refused) {
        let key = (prefixes(refused.source.ip()).0, refused.limit);
        if let Some(refusals) = self.lock().refusals.get_mut(&key) {
            refusals.count += refused.count;
            refusals.told = None;
        }
    }

    /// How many were let in, and how many were not.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.accepted.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed))
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Refusals {
    fn tell(&mut self, limit: &'static str, now: Instant) -> Option<Refused> {
        if self.told.is_some_and(|told| now.duration_since(told) < TOLD_EVERY) {
            return None;
        }
        self.told = Some(now);
        let count = std::mem::take(&mut self.count);
        Some(Refused { source: self.source, destination: self.destination, limit, count })
    }
}

impl Permit {
    /// Notes what the connection owns now, in bytes; says whether all of them together own more than they may.
    pub(crate) fn set_memory(&mut self, bytes: usize) -> bool {
        let all = &self.gate.memory;
        if bytes >= self.memory {
            all.fetch_add(bytes - self.memory, Ordering::Relaxed);
        } else {
            all.fetch_sub(self.memory - bytes, Ordering::Relaxed);
        }
        self.memory = bytes;
        all.load(Ordering::Relaxed) > self.gate.options.memory_bytes_max
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.set_memory(0);
        let mut tables = self.gate.lock();
        tables.open -= 1;
        leave(&mut tables.by_source, self.source);
        leave(&mut tables.by_network, self.network);
    }
}

fn leave(table: &mut HashMap<IpAddr, usize>, key: IpAddr) {
    if let Some(count) = table.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            table.remove(&key);
        }
    }
}

/// What counts as one source, and as one network: an IPv4 address and its /24, an IPv6 /64 and its /48.
fn prefixes(address: IpAddr) -> (IpAddr, IpAddr) {
    match address.to_canonical() {
        IpAddr::V4(v4) => (v4.into(), Ipv4Addr::from_bits(v4.to_bits() & !0xff).into()),
        IpAddr::V6(v6) => {
            let cut = |bits: u32| IpAddr::from(Ipv6Addr::from_bits(v6.to_bits() >> bits << bits));
            (cut(64), cut(80))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> SensorOptions {
        SensorOptions {
            connections_max: 5,
            connections_per_source_max: 2,
            connections_per_network_max: 3,
            connections_per_minute_max: 4,
            memory_bytes_max: 1000,
            ..SensorOptions::default()
        }
    }

    fn from(text: &str) -> SocketAddr {
        SocketAddr::new(text.parse().unwrap(), 1)
    }

    #[test]
    fn every_bound_holds_and_a_place_comes_back() {
        let gate = Gate::new(&options());
        let now = Instant::now();
        let admit = |text: &str| gate.admit(from(text), now).map_err(str::to_owned);
        let (a, b) = (admit("192.0.2.1").unwrap(), admit("::ffff:192.0.2.1").unwrap());
        assert_eq!(admit("192.0.2.1").unwrap_err(), "connections_per_source_max");
        let c = admit("192.0.2.2").unwrap();
        assert_eq!(admit("192.0.2.3").unwrap_err(), "connections_per_network_max");
        let (_d, _e) = (admit("2001:db8::1").unwrap(), admit("2001:db8::2").unwrap());
        assert_eq!(admit("198.51.100.1").unwrap_err(), "connections_max");
        drop((a, b, c));
        drop((admit("192.0.2.1").unwrap(), admit("192.0.2.1").unwrap()));
        assert_eq!(admit("192.0.2.1").unwrap_err(), "connections_per_minute_max");
        assert!(gate.admit(from("192.0.2.1"), now + RATE_OVER).is_ok());
    }

    #[test]
    fn memory_is_counted_together_and_given_back() {
        let gate = Gate::new(&options());
        let now = Instant::now();
        let mut a = gate.admit(from("192.0.2.1"), now).unwrap();
        let mut b = gate.admit(from("198.51.100.1"), now).unwrap();
        assert!(!a.set_memory(600) && !b.set_memory(400));
        assert!(b.set_memory(401));
        assert_eq!(gate.admit(from("203.0.113.1"), now).unwrap_err(), "memory_bytes_max");
        drop(a);
        assert!(gate.admit(from("203.0.113.1"), now).is_ok());
        drop(b);
        assert_eq!(gate.memory.load(Ordering::Relaxed), 0);
        assert!(gate.lock().by_source.is_empty() && gate.lock().by_network.is_empty());
    }

    #[test]
    fn refusals_are_told_once_a_minute_with_their_number() {
        let gate = Gate::new(&options());
        let now = Instant::now();
        let refuse = |text: &str, now| gate.refuse(from(text), from("192.0.2.9"), "connections_max", now);
        assert_eq!(refuse("192.0.2.1", now).unwrap().count, 1);
        assert!(refuse("192.0.2.1", now).is_none() && refuse("192.0.2.1", now).is_none());
        assert_eq!(refuse("192.0.2.2", now).unwrap().count, 1);
        assert!(gate.due(now, false).is_empty());
        let told = gate.due(now + TOLD_EVERY, false);
        assert_eq!((told.len(), told[0].count, told[0].source), (1, 2, from("192.0.2.1")));
        gate.untold(&told[0]);
        assert_eq!(gate.due(now + TOLD_EVERY, true)[0].count, 2);
        assert_eq!(gate.counts(), (0, 4));
    }

    #[test]
    fn refusals_from_everywhere_stay_bounded() {
        let gate = Gate::new(&options());
        let now = Instant::now();
        for n in 0..(REFUSALS_MAX as u32 + 500) {
            let source = SocketAddr::new(Ipv4Addr::from_bits(n).into(), 1);
            gate.refuse(source, from("192.0.2.9"), "connections_max", now);
        }
        assert_eq!(gate.lock().refusals.len(), REFUSALS_MAX);
        let told: u64 = gate.due(now, true).iter().map(|refused| refused.count).sum();
        assert_eq!(told, 500);
    }
}
