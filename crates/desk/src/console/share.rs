//! How many of the console's places one visitor may hold, so that nobody keeps all others out.

use super::guard::visitor;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Which part of all places one visitor may hold: a quarter.
const PART: usize = 4;
/// Places that a visitor may hold at least, where there are as many: a browser opens six connections.
const SHARE_MIN: usize = 8;

/// Who holds how many places. What there is in all bounds how many visitors it knows.
#[derive(Debug)]
pub(super) struct Shares {
    each: usize,
    held: Mutex<HashMap<IpAddr, usize>>,
}

/// One place of a visitor's share; dropped, it is free again.
#[derive(Debug)]
pub(super) struct Share {
    of: Arc<Shares>,
    visitor: IpAddr,
}

impl Shares {
    /// Of so many places in all.
    pub(super) fn of(places: usize) -> Arc<Self> {
        let each = (places / PART).max(SHARE_MIN).min(places);
        Arc::new(Self { each, held: Mutex::default() })
    }

    /// A place for who comes from this address, or from its /64; `None` where he holds his share already. This machine is
    /// no exception: any user of it may connect.
    pub(super) fn take(self: &Arc<Self>, from: IpAddr) -> Option<Share> {
        let visitor = visitor(from);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.get(&visitor).copied().unwrap_or(0);
        if count >= self.each {
            return None;
        }
        held.insert(visitor, count + 1);
        Some(Share { of: Arc::clone(self), visitor })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = self.of.held.lock().unwrap_or_else(PoisonError::into_inner);
        match held.get_mut(&self.visitor) {
            Some(count) if *count > 1 => *count -= 1,
            // Nobody is remembered who holds nothing.
            _ => drop(held.remove(&self.visitor)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_holds_more_than_a_quarter() {
        let shares = Shares::of(256);
        let take = |from: &str| shares.take(from.parse().unwrap());
        for (one, alike, other) in [
            ("127.0.0.1", "::ffff:127.0.0.1", "127.0.0.2"),
            ("2001:db8::1", "2001:db8::2:0:0:7", "2001:db8:0:1::1"),
        ] {
            let mut held: Vec<_> = (0..64).map(|_| take(one).expect("his share")).collect();
            assert!(take(one).is_none() && take(alike).is_none());
            assert!(take(other).is_some());
            held.pop();
            assert!(take(alike).is_some());
        }
        assert!(shares.held.lock().unwrap().is_empty());
    }

    #[test]
    fn few_places_are_enough_for_a_browser() {
        assert_eq!([4, 16, 32, 1024].map(|places| Shares::of(places).each), [4, 8, 8, 256]);
    }
}
