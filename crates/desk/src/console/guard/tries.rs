//! How often a log-in may be tried.

use crate::console::settings::LOGINS_FACTOR;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(60);

/// Tries in the present minute, of each address and in all. What all may try bounds how many addresses there
/// can be.
#[derive(Debug)]
pub(crate) struct Tries {
    each: u32,
    begun: Instant,
    all: u32,
    of: HashMap<IpAddr, u32>,
}

impl Tries {
    /// None yet; so many a minute from `each` address.
    pub(crate) fn new(each: u32, now: Instant) -> Self {
        Self { each: each.max(1), begun: now, all: 0, of: HashMap::new() }
    }

    /// Counts a try; where it is one too many, says how long to wait.
    pub(crate) fn take(&mut self, from: IpAddr, now: Instant) -> Result<(), Duration> {
        let since = now.saturating_duration_since(self.begun);
        if since >= WINDOW {
            *self = Self::new(self.each, now);
        }
        let wait = WINDOW.saturating_sub(now.saturating_duration_since(self.begun));
        if self.all >= self.each.saturating_mul(LOGINS_FACTOR) {
            return Err(wait);
        }
        let of = self.of.entry(visitor(from)).or_default();
        if *of >= self.each {
            return Err(wait);
        }
        *of = of.saturating_add(1);
        self.all = self.all.saturating_add(1);
        Ok(())
    }

    /// A try that was right costs nothing.
    pub(crate) fn give_back(&mut self, from: IpAddr) {
        if let Some(of) = self.of.get_mut(&visitor(from)) {
            *of = of.saturating_sub(1);
            self.all = self.all.saturating_sub(1);
        }
    }
}

/// One visitor: an IPv4 address, or the /64 that an IPv6 visitor chooses addresses from.
pub(in crate::console) fn visitor(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_its_share_and_all_together_have_theirs() {
        let start = Instant::now();
        let mut tries = Tries::new(2, start);
        let one = address("192.0.2.1");
        assert!(tries.take(one, start).is_ok() && tries.take(one, start).is_ok());
        let wait = tries.take(address("::ffff:192.0.2.1"), start + Duration::from_secs(20)).unwrap_err();
        assert_eq!(wait, Duration::from_secs(40));
        tries.give_back(one);
        assert!(tries.take(one, start).is_ok() && tries.take(one, start).is_err());
        // A /64 is one visitor.
        assert!(
            tries.take(address("2001:db8::1"), start).is_ok()
                && tries.take(address("2001:db8::2"), start).is_ok()
        );
        assert!(tries.take(address("2001:db8::3"), start).is_err());
        let passed = (0..100_000u32).filter(|n| tries.take(IpAddr::V4((*n).into()), start).is_ok()).count();
        assert_eq!((passed, tries.of.len()), (8, 10), "bounded, whoever comes");
        assert!(tries.take(one, start + WINDOW).is_ok(), "a new minute");
    }
}
