//! Rules as the tools print them, read for what they say of one port. These are hints: a firewall can say the
//! same thing in ways that nobody foresees.

/// What a tool's rules say of a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// This rule lets it in.
    Opens(String),
    /// This rule shuts it.
    Shuts(String),
    /// No rule names it, and what is not named is dropped.
    DropsTheRest,
    /// Nothing about it.
    Nothing,
}

/// Bytes of a rule that are shown.
const SHOWN_MAX: usize = 100;

fn shown(rule: &str) -> String {
    rule.trim().escape_debug().take(SHOWN_MAX).collect()
}

/// Whether a list of ports as `445`, `139,445`, `1-1024`, `400:500`, `microsoft-ds` contains `port`.
fn lists(list: &str, port: u16) -> bool {
    list.split([',', ' ']).map(str::trim).any(|item| {
        let number = |text: &str| match text {
            "microsoft-ds" => Some(445),
            "netbios-ssn" => Some(139),
            _ => text.parse::<u16>().ok(),
        };
        let (from, to) = item.split_once(['-', ':']).unwrap_or((item, item));
        match (number(item), number(from), number(to)) {
            (Some(one), ..) => one == port,
            (_, Some(from), Some(to)) => (from..=to).contains(&port),
            _ => false,
        }
    })
}

/// The text after `word` up to the next blank.
fn after<'t>(rule: &'t str, word: &str) -> Option<&'t str> {
    rule.split_once(word)?.1.split_ascii_whitespace().next()
}

/// The last word on a port: the first rule that names it, else what happens to the rest.
fn conclude(named: Option<(bool, &str)>, drops_the_rest: bool) -> Says {
    match named {
        Some((true, rule)) => Says::Opens(shown(rule)),
        Some((false, rule)) => Says::Shuts(shown(rule)),
        None if drops_the_rest => Says::DropsTheRest,
        None => Says::Nothing,
    }
}

/// `iptables-save`: what the filter table says of `port`.
pub(super) fn iptables(text: &str, port: u16) -> Says {
    let (mut table, mut named, mut drops) = ("", None, false);
    for rule in text.lines() {
        if let Some(name) = rule.strip_prefix('*') {
            table = name.trim();
        } else if table == "filter" {
            let chain = after(rule, "-A ").unwrap_or_default();
            let aside = chain.starts_with("DOCKER") || matches!(chain, "FORWARD" | "OUTPUT" | "");
            let refuses = rule.contains("-j DROP") || rule.contains("-j REJECT");
            let ports = after(rule, "--dport ").or_else(|| after(rule, "--dports "));
            if rule.starts_with(":INPUT DROP")
                || (chain == "INPUT" && rule.starts_with("-A INPUT -j ") && refuses)
            {
                drops = true;
            } else if !aside
                && named.is_none()
                && !rule.contains("-p udp")
                && ports.is_some_and(|list| lists(list, port))
                && (refuses || rule.contains("-j ACCEPT"))
            {
                named = Some((!refuses, rule));
            }
        }
    }
    conclude(named, drops)
}

/// `iptables-save`: where the nat table sends visitors of `port`.
pub(super) fn iptables_redirect(text: &str, port: u16) -> Option<u16> {
    let mut rules = text.lines().filter(|rule| {
        rule.starts_with("-A PREROUTING") && after(rule, "--dport ").is_some_and(|list| lists(list, port))
    });
    rules.find_map(|rule| after(rule, "--to-ports ")?.parse().ok())
}

/// `nft list ruleset`: what the chains say of `port`.
pub(super) fn nft(text: &str, port: u16) -> Says {
    let (mut aside, mut input, mut named, mut drops) = (false, false, None, false);
    for rule in text.lines().map(str::trim) {
        if let Some(name) = rule.strip_prefix("chain ") {
            let name = name.to_ascii_lowercase();
            aside = ["forward", "output", "docker", "postrouting"].iter().any(|word| name.contains(word));
            input = false;
        } else if rule.contains("hook ") {
            input = rule.contains("hook input");
            aside = !input;
            drops |= input && rule.contains("policy drop");
        } else if !aside {
            let refuses =
                ["drop", "reject"].iter().any(|word| rule.split_ascii_whitespace().any(|w| w == *word));
            let first = rule.split_ascii_whitespace().next().unwrap_or_default();
            if input && refuses && matches!(first, "drop" | "reject" | "counter") {
                drops = true;
            } else if named.is_none()
                && nft_names(rule, port)
                && (refuses || rule.split_ascii_whitespace().any(|word| word == "accept"))
            {
                named = Some((!refuses, rule));
            }
        }
    }
    conclude(named, drops)
}

fn nft_names(rule: &str, port: u16) -> bool {
    let Some((before, list)) = rule.split_once("dport ") else { return false };
    let list = match list.strip_prefix('{') {
        Some(set) => set.split('}').next().unwrap_or_default(),
        None => list.split_ascii_whitespace().next().unwrap_or_default(),
    };
    !before.trim_end().ends_with("udp") && lists(list, port)
}

/// `nft list ruleset`: where visitors of `port` are sent.
pub(super) fn nft_redirect(text: &str, port: u16) -> Option<u16> {
    let mut rules = text.lines().filter(|rule| nft_names(rule, port));
    rules.find_map(|rule| after(rule, "redirect to ")?.trim_start_matches(':').parse().ok())
}

/// `ufw status verbose`.
pub(super) fn ufw(text: &str, port: u16) -> Says {
    if !text.contains("Status: active") {
        return Says::Nothing;
    }
    let names = |line: &&str| {
        let target = line.split_ascii_whitespace().next().unwrap_or_default();
        let (list, protocol) = target.split_once('/').unwrap_or((target, "tcp"));
        protocol == "tcp" && lists(list, port) || target == "Samba" && matches!(port, 139 | 445)
    };
    let rule = text.lines().find(names).map(|rule| (rule.contains("ALLOW") || rule.contains("LIMIT"), rule));
    let drops = text.lines().any(|line| {
        line.starts_with("Default:")
            && (line.contains("deny (incoming)") || line.contains("reject (incoming)"))
    });
    conclude(rule, drops)
}

/// `firewall-cmd --list-all`: what is neither a port nor a service of the zone is refused, unless its target
/// says otherwise.
pub(super) fn firewalld(text: &str, port: u16) -> Says {
    let value = |key: &str| text.lines().find_map(|line| line.trim().strip_prefix(key)).map(str::trim);
    let Some(target) = value("target:") else { return Says::Nothing };
    let ports = value("ports:").unwrap_or_default();
    let opened = ports.split_ascii_whitespace().any(|entry| {
        entry.split_once('/').is_some_and(|(list, protocol)| protocol == "tcp" && lists(list, port))
    });
    let samba = matches!(port, 139 | 445)
        && value("services:").unwrap_or_default().split_ascii_whitespace().any(|service| service == "samba");
    match target {
        _ if opened => Says::Opens(format!("ports: {}", shown(ports))),
        _ if samba => Says::Opens("services: samba".to_owned()),
        "ACCEPT" => Says::Nothing,
        _ => Says::DropsTheRest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IPTABLES: &str = "*nat\n:PREROUTING ACCEPT [0:0]\n\
        -A PREROUTING -p tcp -m tcp --dport 445 -j REDIRECT --to-ports 4445\nCOMMIT\n\
        *filter\n:INPUT DROP [12:720]\n:FORWARD ACCEPT [0:0]\n-A INPUT -i lo -j ACCEPT\n\
        -A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n-A INPUT -p tcp -m multiport --dports 139,445 -j ACCEPT\n\
        -A FORWARD -p tcp -m tcp --dport 80 -j DROP\nCOMMIT\n";
    const NFT: &str = "table inet filter {\n\tchain input {\n\t\ttype filter hook input priority filter; policy drop;\n\
        \t\tct state established,related accept\n\t\ttcp dport { 22, 139-140, microsoft-ds } accept\n\
        \t\ttcp dport 3389 drop\n\t}\n\tchain forward {\n\t\ttype filter hook forward priority filter; policy drop;\n\
        \t\ttcp dport 80 accept\n\t}\n}\ntable ip nat {\n\tchain prerouting {\n\
        \t\ttype nat hook prerouting priority dstnat; policy accept;\n\t\ttcp dport 445 redirect to :4445\n\t}\n}\n";

    #[test]
    fn iptables_rules_are_read() {
        assert!(matches!(iptables(IPTABLES, 445), Says::Opens(rule) if rule.contains("139,445")));
        assert_eq!(iptables(IPTABLES, 80), Says::DropsTheRest);
        assert_eq!(iptables_redirect(IPTABLES, 445), Some(4445));
        assert_eq!(iptables_redirect(IPTABLES, 139), None);
        let shut = "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp -m tcp --dport 400:500 -j REJECT\n";
        assert!(matches!(iptables(shut, 445), Says::Shuts(_)));
        assert_eq!(iptables(shut, 139), Says::Nothing);
        let rest = "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j REJECT --reject-with icmp-host-prohibited\n";
        assert_eq!(iptables(rest, 445), Says::DropsTheRest);
        assert_eq!(iptables("", 445), Says::Nothing);
    }

    #[test]
    fn nft_rules_are_read() {
        assert!(matches!(nft(NFT, 445), Says::Opens(_)));
        assert!(matches!(nft(NFT, 140), Says::Opens(_)));
        assert!(matches!(nft(NFT, 3389), Says::Shuts(rule) if rule == "tcp dport 3389 drop"));
        assert_eq!(nft(NFT, 80), Says::DropsTheRest);
        assert_eq!((nft_redirect(NFT, 445), nft_redirect(NFT, 139)), (Some(4445), None));
        assert_eq!(nft("table ip x {\n\tchain y {\n\t}\n}\n", 445), Says::Nothing);
    }

    #[test]
    fn ufw_and_firewalld_are_read() {
        let ufw_text = "Status: active\nDefault: deny (incoming), allow (outgoing)\n\nTo  Action  From\n\
                        22/tcp   ALLOW IN    Anywhere\n445/tcp  DENY IN  Anywhere\n";
        assert!(matches!(ufw(ufw_text, 22), Says::Opens(_)));
        assert!(matches!(ufw(ufw_text, 445), Says::Shuts(_)));
        assert_eq!(ufw(ufw_text, 139), Says::DropsTheRest);
        assert_eq!(ufw("Status: inactive\n", 445), Says::Nothing);
        let zone = "public (active)\n  target: default\n  services: dhcpv6-client ssh\n  ports: 445/tcp 8000-8010/tcp\n";
        assert!(matches!(firewalld(zone, 445), Says::Opens(_)));
        assert!(matches!(firewalld(zone, 8005), Says::Opens(_)));
        assert_eq!(firewalld(zone, 139), Says::DropsTheRest);
    }
}
