//! Whom the doctor may visit: this machine, or a sensor that proves to be the one that is meant.
//!
//! A visit ends in an upload through the implant. A machine that really is infected would run what it is
//! sent, so two bars stand before it. Whoever is visited must first show the server GUID that is asked for,
//! in its answer to one ordinary NEGOTIATE. And an upload that leaves this machine is never finished: its
//! last chunk stays here, and an implant runs nothing before it has everything.

use super::system;
use crate::cli::Failure;
use roridula_evidence::Install;
use roridula_proto::identity::Identity;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

/// What an install is known by: the server GUID of its extended-security NEGOTIATE, as 32 hexadecimal digits.
/// Every visitor can see it; it grants nothing and only tells this sensor from every other machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Proof(pub(super) [u8; 16]);

impl Proof {
    /// This install's own.
    pub(super) fn of(install: &Install) -> Self {
        Self(Identity::derive(install.secret.clone(), install.installed_at).guid)
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::cli::out::hex(&self.0))
    }
}

impl FromStr for Proof {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number =
            Some(text).filter(|text| text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit()));
        let number = number.and_then(|text| u128::from_str_radix(text, 16).ok());
        number.map(|number| Self(number.to_be_bytes())).ok_or(
            "a proof is 32 hexadecimal digits: run `roridula doctor --proof` on the sensor, as its user",
        )
    }
}

/// An address that may be visited, and how far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Where.
    pub(super) address: SocketAddr,
    /// Whether it is an address of this machine: only there an upload is finished.
    pub(super) is_here: bool,
}

impl Target {
    /// An address that the honeypot listens on, as a visitor from this machine reaches it.
    pub(super) fn listener(listening: SocketAddr) -> Self {
        Self {
            address: SocketAddr::new(reachable(listening.ip().to_canonical()), listening.port()),
            is_here: true,
        }
    }

    /// An address that is to be visited without a proof: one of this machine, and written as numbers, so that
    /// not even a name is looked up elsewhere.
    pub(super) fn here(text: &str) -> Result<Self, Failure> {
        let address: SocketAddr = text.parse().map_err(|_| {
            Failure(format!(
                "--target {text}: write ADDR:PORT in numbers, as 127.0.0.1:445; a name needs --from PROOF"
            ))
        })?;
        if !is_here(address.ip()) {
            return Err(Failure(format!(
                "--target {text} is no address of this machine; nothing was sent. For a sensor elsewhere: run \
                 `roridula doctor --proof` there, then here `roridula doctor --from PROOF --target {text}`"
            )));
        }
        Ok(Self::listener(address))
    }

    /// An address that will have to show a proof, wherever it is; a name is looked up once.
    pub(super) fn elsewhere(text: &str) -> Result<Self, Failure> {
        let mut found = text
            .to_socket_addrs()
            .map_err(|error| Failure(format!("--target {text}: {error}; write HOST:PORT, as sensor:445")))?;
        let address = found.next().ok_or_else(|| Failure(format!("--target {text}: has no address")))?;
        Ok(Self { is_here: is_here(address.ip()), ..Self::listener(address) })
    }
}

/// Whether packets to `ip` stay on this machine.
fn is_here(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    ip.is_loopback() || ip.is_unspecified() || system::own_addresses().contains(&ip)
}

/// "Every address" is reached by the loopback.
fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_read_as_it_is_written_and_nothing_else_is() {
        let proof = Proof(std::array::from_fn(|at| at as u8));
        assert_eq!(proof.to_string().parse(), Ok(proof));
        for bad in ["", "0", "+0112233445566778899aabbccddeeff", &"0".repeat(33), &"g".repeat(32)] {
            assert!(bad.parse::<Proof>().is_err(), "{bad}");
        }
    }

    #[test]
    fn without_a_proof_only_this_machine_is_visited() {
        for here in ["127.0.0.1:445", "127.9.8.7:1", "[::1]:445", "[::ffff:127.0.0.1]:445", "0.0.0.0:445"] {
            let target = Target::here(here).unwrap();
            assert!(target.is_here && !target.address.ip().is_unspecified(), "{here}");
        }
        for elsewhere in ["198.51.100.1:445", "[2001:db8::1]:445", "10.255.255.254:445", "localhost:445"] {
            assert!(Target::here(elsewhere).is_err(), "{elsewhere}");
        }
        let remote = Target::elsewhere("198.51.100.1:445").unwrap();
        assert!(!remote.is_here);
    }
}
