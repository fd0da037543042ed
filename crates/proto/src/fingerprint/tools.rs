//! Known tools, and what proves each.
//!
//! Data, not logic: a tool is named where every one of its features was observed. A tool that is another one in a
//! special shape (the worm's check is the public checkers', with a stale tail) takes that one's place.

/// A tool, and the features by which it is known.
#[derive(Clone, Copy, Debug)]
pub struct Tool {
    /// Its id.
    pub id: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// Features that all must have been observed; a value that ends in `*` fits whatever begins so.
    pub needs: &'static [&'static str],
    /// Tools that are not named besides this one.
    pub instead_of: &'static [&'static str],
    /// Where that is known from.
    pub source: &'static str,
}

/// The public checkers' preliminaries are one recorded Metasploit scan.
const FOUR_DIALECTS: &str = "dialects=LANMAN1.0|LM1.2X002|NT LANMAN 1.0|NT LM 0.12";
/// A Windows 2000 client's, which FuzzBunch replays.
const SIX_DIALECTS: &str =
    "dialects=PC NETWORK PROGRAM 1.0|LANMAN1.0|Windows for Workgroups 3.1a|LM1.2X002|LANMAN2.1|NT LM 0.12";
const SIX_DIALECTS_AND_MORE: &str =
    "dialects=PC NETWORK PROGRAM 1.0|LANMAN1.0|Windows for Workgroups 3.1a|LM1.2X002|LANMAN2.1|NT LM 0.12*";
const WINDOWS_2000: &str = "native_os=Windows 2000 2195";
const CAPTURES: &str = "public packet captures";

/// All of them. One tool may stand here more than once, with each of its kinds of connection.
pub const TOOLS: &[Tool] = &[
    Tool {
        id: "wannacry",
        title: "WannaCry, its check for MS17-010",
        needs: &["negotiate.pid=4b2f", "negotiate.mid=5ec5", "tree.count=28", "tree.behind=*"],
        instead_of: &["checker"],
        source: CAPTURES,
    },
    Tool {
        id: "wannacry",
        title: "WannaCry, its ping of the implant",
        needs: &["tree.host=192.168.56.20", "ping.timeout=00ee3401"],
        instead_of: &["fuzzbunch"],
        source: CAPTURES,
    },
    Tool {
        id: "wannacry",
        title: "WannaCry, its upload",
        needs: &["tree.host=192.168.56.20", "exec.timeout=001a8925"],
        instead_of: &["fuzzbunch"],
        source: CAPTURES,
    },
    Tool {
        id: "wannacry",
        title: "WannaCry, its EternalBlue",
        needs: &["tree.host=172.16.99.5", "nt_transact.total=30+66512"],
        instead_of: &["fuzzbunch"],
        source: CAPTURES,
    },
    Tool {
        id: "fuzzbunch",
        title: "FuzzBunch (EternalBlue and DoublePulsar of the leaked toolkit)",
        needs: &[
            SIX_DIALECTS,
            "negotiate.flags2=c053",
            "negotiate.pid=feff",
            WINDOWS_2000,
            "tree.flags=0008",
        ],
        instead_of: &[],
        source: CAPTURES,
    },
    Tool {
        id: "metasploit-eternalblue",
        title: "Metasploit, ms17_010_eternalblue",
        needs: &["dialects=NT LM 0.12", "negotiate.flags2=6801", WINDOWS_2000, "nt_transact.total=30+66512"],
        instead_of: &["metasploit-scanner"],
        source: CAPTURES,
    },
    Tool {
        id: "metasploit-doublepulsar-rce",
        title: "Metasploit, smb_doublepulsar_rce",
        needs: &[FOUR_DIALECTS, "negotiate.flags2=2801", WINDOWS_2000, "exec.timeout=own", "exec.data=4096"],
        instead_of: &["metasploit-scanner", "checker"],
        source: "Metasploit's module, its Rex SMB client",
    },
    Tool {
        id: "metasploit-scanner",
        title: "Metasploit, smb_ms17_010",
        needs: &[FOUR_DIALECTS, "negotiate.pid=own", "negotiate.mid=own", WINDOWS_2000],
        instead_of: &[],
        source: "Metasploit's Rex SMB client: process and multiplex id by chance, Windows 2000's names",
    },
    Tool {
        id: "checker",
        title: "a public MS17-010 or DoublePulsar checker (Countercept, NetExec, goMS17 and kin)",
        needs: &[FOUR_DIALECTS, "negotiate.pid=4b2f", "negotiate.mid=5ec5"],
        instead_of: &[],
        source: "the checkers' sources: all replay the same recorded scan",
    },
    Tool {
        id: "checker",
        title: "a public DoublePulsar checker, on a Windows 2000 client's recorded logon",
        needs: &[SIX_DIALECTS, "ping.timeout=00a4d9a6"],
        instead_of: &["fuzzbunch"],
        source: "Countercept's detection script",
    },
    Tool {
        id: "nmap",
        title: "nmap's SMB scripts",
        needs: &["native_os=Nmap", "native_lm=Native Lanman"],
        instead_of: &[],
        source: "recorded here from nmap",
    },
    Tool {
        id: "nmap",
        title: "nmap's version probe for SMB",
        needs: &[
            "dialects=PC NETWORK PROGRAM 1.0|MICROSOFT NETWORKS 1.03|MICROSOFT NETWORKS 3.0|LANMAN1.0|LM1.2X002|Samba|NT LANMAN 1.0|NT LM 0.12",
            "flags=08",
            "negotiate.flags2=4001",
        ],
        instead_of: &[],
        source: "recorded here from nmap",
    },
    Tool {
        id: "worawit",
        title: "worawit's MS17-010 scripts (zzz_exploit, AutoBlue and kin)",
        needs: &["native_os=Unix", "native_lm=Samba", "peek.max=ffff/0800"],
        instead_of: &["impacket"],
        source: "the scripts' own check, an extension of impacket",
    },
    Tool {
        id: "impacket",
        title: "impacket",
        needs: &["dialects=NT LM 0.12", "negotiate.flags2=4801", "native_os=Unix", "native_lm=Samba"],
        instead_of: &[],
        source: "recorded here from impacket",
    },
    Tool {
        id: "smbclient",
        title: "Samba's smbclient",
        needs: &["dialects=*", "negotiate.flags2=c843", "native_os=Unix", "native_lm=Samba"],
        instead_of: &[],
        source: "recorded here from smbclient",
    },
    Tool {
        id: "eternalromance",
        title: "FuzzBunch's EternalRomance",
        needs: &["native_os=Windows 2002 Service Pack 2 2600", "native_lm=Windows 2002 5.1"],
        instead_of: &["windows"],
        source: CAPTURES,
    },
    Tool {
        id: "windows",
        title: "Windows' own client",
        needs: &[
            SIX_DIALECTS_AND_MORE,
            "negotiate.flags2=c853",
            "negotiate.pid=feff",
            "setup.security=spnego",
        ],
        instead_of: &[],
        source: "[MS-SMB] 3.2.4.2.2, public packet captures",
    },
    Tool {
        id: "notpetya",
        title: "NotPetya's changed DoublePulsar knock",
        needs: &["knock.timeout=000000f2"],
        instead_of: &["fuzzbunch", "checker"],
        source: "Emerging Threats rule 2024430",
    },
];

/// The tools whose every need is among `features`, as the fingerprint wrote them.
pub fn named(features: &str) -> Vec<&'static Tool> {
    let features = split(features);
    let fits: Vec<&Tool> = TOOLS
        .iter()
        .filter(|tool| tool.needs.iter().rev().all(|need| find(&features, need).is_some()))
        .collect();
    let replaced =
        |tool: &Tool| fits.iter().any(|other| other.id != tool.id && other.instead_of.contains(&tool.id));
    let mut named: Vec<&Tool> = Vec::new();
    for tool in &fits {
        if !replaced(tool) && !named.iter().any(|held| held.id == tool.id) {
            named.push(tool);
        }
    }
    named
}

/// The observed features that prove `tools`, each once.
pub fn grounds(tools: &[&Tool], features: &str) -> Vec<String> {
    let mut grounds: Vec<String> = Vec::new();
    if tools.is_empty() {
        return grounds;
    }
    let features = split(features);
    for need in tools.iter().flat_map(|tool| tool.needs) {
        if let Some(found) = find(&features, need)
            && !grounds.iter().any(|held| held == found)
        {
            grounds.push(found.to_owned());
        }
    }
    grounds
}

/// Features that a connection leaves which gets as far as a share.
const FEATURES_TYPICAL: usize = 32;

/// The single features.
fn split(features: &str) -> Vec<&str> {
    let mut single = Vec::with_capacity(FEATURES_TYPICAL);
    single.extend(features.split(';').map(str::trim_start));
    single
}

/// The feature that fits a need.
fn find<'f>(features: &[&'f str], need: &str) -> Option<&'f str> {
    features.iter().copied().find(|feature| match need.strip_suffix('*') {
        Some(start) => feature.starts_with(start),
        None => *feature == need,
    })
}
