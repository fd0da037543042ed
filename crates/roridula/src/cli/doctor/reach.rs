//! From where the honeypot can be reached at all.

use super::finding::Finding;
use super::target::Proof;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const CHECK: &str = "reach";
/// The port that worms knock on.
const SMB_PORT: u16 = 445;
/// Addresses that are named in one line.
const SHOWN_MAX: usize = 4;

/// Who can send packets to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// The internet.
    Public,
    /// The provider's other customers at best: [RFC 6598].
    Shared,
    /// The local network: [RFC 1918], [RFC 4193].
    Private,
    /// The same cable: [RFC 3927], fe80::/10.
    LinkLocal,
    /// Nobody in a network that keeps to the rules: documentation, benchmarks, [RFC 6890].
    Reserved,
    /// This machine.
    Loopback,
}

fn kind(ip: IpAddr) -> Kind {
    match ip.to_canonical() {
        ip if ip.is_loopback() => Kind::Loopback,
        IpAddr::V4(ip) if ip.is_link_local() => Kind::LinkLocal,
        IpAddr::V4(ip) if ip.is_private() => Kind::Private,
        IpAddr::V4(ip) if ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64 => Kind::Shared,
        IpAddr::V4(ip) if ip.is_documentation() || ip.octets()[0] >= 224 => Kind::Reserved,
        IpAddr::V4(ip) if ip.octets()[0] == 198 && ip.octets()[1] & 0xfe == 18 => Kind::Reserved,
        IpAddr::V6(ip) if ip.segments()[..2] == [0x2001, 0xdb8] => Kind::Reserved,
        IpAddr::V6(ip) if ip.is_unicast_link_local() => Kind::LinkLocal,
        IpAddr::V6(ip) if ip.is_unique_local() => Kind::Private,
        _ => Kind::Public,
    }
}

/// What the addresses mean for who can come; `own` are those of this machine.
pub(super) fn check(addresses: &[SocketAddr], own: &[IpAddr], proof: Option<Proof>) -> Vec<Finding> {
    let mut reached: Vec<(Kind, IpAddr)> =
        addresses.iter().flat_map(|at| meant(at.ip(), own)).map(|ip| (kind(ip), ip)).collect();
    reached.sort_unstable();
    reached.dedup();
    let mut findings = Vec::new();
    if reached.iter().all(|(kind, _)| *kind == Kind::Loopback) {
        let what = "only this machine reaches a loopback address: no worm comes";
        findings.push(Finding::note(CHECK, what).with_fix("to catch: sudo roridula run (all addresses)"));
    } else {
        findings.extend(by_kind(&reached));
        findings.push(from_outside(&reached, proof));
    }
    let ports: Vec<_> = addresses.iter().map(SocketAddr::port).collect();
    if !ports.contains(&SMB_PORT) {
        let what = format!("worms knock on port {SMB_PORT}, and it is not among the configured ones");
        let fix =
            "listen on 445, or redirect 445 to the honeypot's port: docs/operate.md, `Ports and rights`";
        findings.push(Finding::note(CHECK, what).with_fix(fix));
    }
    findings
}

/// The addresses that a listener at `ip` answers on.
fn meant(ip: IpAddr, own: &[IpAddr]) -> Vec<IpAddr> {
    match ip {
        _ if !ip.is_unspecified() => vec![ip],
        IpAddr::V4(_) => {
            own.iter().copied().filter(IpAddr::is_ipv4).chain([Ipv4Addr::LOCALHOST.into()]).collect()
        }
        IpAddr::V6(_) => {
            own.iter().copied().filter(IpAddr::is_ipv6).chain([Ipv6Addr::LOCALHOST.into()]).collect()
        }
    }
}

/// One line for the widest kind that there is.
fn by_kind(reached: &[(Kind, IpAddr)]) -> Option<Finding> {
    let widest = reached.first()?.0;
    let of_kind: Vec<_> =
        reached.iter().filter(|(kind, _)| *kind == widest).map(|(_, ip)| ip.to_string()).collect();
    let more = if of_kind.len() > SHOWN_MAX { " …" } else { "" };
    let shown = format!("{}{more}", of_kind[..of_kind.len().min(SHOWN_MAX)].join(", "));
    Some(match widest {
        Kind::Public => Finding::ok(CHECK, format!("public: {shown}")),
        Kind::Shared => {
            let what = format!("{shown}: the provider shares one public address among many (CGNAT)");
            Finding::note(CHECK, what)
                .with_fix("nothing can be forwarded through it: ask for an address of your own")
        }
        Kind::Private => {
            let what = format!(
                "{shown}: private, so the internet comes only through a forwarding of port {SMB_PORT}"
            );
            Finding::note(CHECK, what)
                .with_fix("forward TCP 445 on the router (in a cloud: allow it in the security group)")
        }
        Kind::Reserved => Finding::note(
            CHECK,
            format!("{shown}: reserved for examples and tests, no address of the internet"),
        ),
        Kind::LinkLocal | Kind::Loopback => Finding::note(
            CHECK,
            format!("{shown}: reached from the same cable only; the network is not set up"),
        ),
    })
}

/// What cannot be seen from here.
fn from_outside(reached: &[(Kind, IpAddr)], proof: Option<Proof>) -> Finding {
    let at = match reached.first() {
        Some((Kind::Public, IpAddr::V6(ip))) => format!("[{ip}]"),
        Some((Kind::Public, IpAddr::V4(ip))) => ip.to_string(),
        _ => "YOUR.PUBLIC.ADDRESS".to_owned(),
    };
    let proof = proof.map_or("PROOF".to_owned(), |proof| proof.to_string());
    let what = "providers and clouds drop port 445 without a word, which cannot be seen from here";
    Finding::note("outside", what)
        .with_fix(format!("on another machine: roridula doctor --from {proof} --target {at}:{SMB_PORT}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::finding::Verdict;

    #[test]
    fn addresses_are_told_apart() {
        let kinds = [
            ("127.0.0.1", Kind::Loopback),
            ("::ffff:127.0.0.1", Kind::Loopback),
            ("10.1.2.3", Kind::Private),
            ("172.31.0.1", Kind::Private),
            ("100.64.0.1", Kind::Shared),
            ("100.127.255.255", Kind::Shared),
            ("100.128.0.1", Kind::Public),
            ("169.254.1.1", Kind::LinkLocal),
            ("fd00::2", Kind::Private),
            ("fe80::1", Kind::LinkLocal),
            ("203.0.113.5", Kind::Reserved),
            ("198.19.0.1", Kind::Reserved),
            ("2001:db8::1", Kind::Reserved),
            ("9.9.9.9", Kind::Public),
            ("2620:fe::9", Kind::Public),
        ];
        for (ip, expected) in kinds {
            assert_eq!(kind(ip.parse().unwrap()), expected, "{ip}");
        }
    }

    #[test]
    fn the_widest_reach_is_told_and_how_to_test_it() {
        let own: Vec<IpAddr> = ["192.168.1.5", "9.9.9.9", "fe80::1"].map(|ip| ip.parse().unwrap()).to_vec();
        let any = ["0.0.0.0:445".parse().unwrap()];
        let found = check(&any, &own, Some(Proof([0xab; 16])));
        assert_eq!((found[0].verdict, found[0].what.as_str()), (Verdict::Ok, "public: 9.9.9.9"));
        let fix = found[1].fix.clone().unwrap();
        assert!(fix.contains(&"ab".repeat(16)) && fix.contains("9.9.9.9:445"), "{fix}");
        let private = check(&any, &own[..1], None);
        assert!(private[0].what.contains("192.168.1.5: private"), "{private:?}");
        let loopback = check(&["127.0.0.1:4445".parse().unwrap()], &own, None);
        assert!(loopback[0].what.contains("only this machine"), "{loopback:?}");
        assert!(loopback[1].what.contains("445"), "{loopback:?}");
    }
}
