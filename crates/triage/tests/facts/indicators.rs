//! Indicators and strings.

use crate::look;
use roridula_triage::facts::{Indicator, IndicatorKind, IndicatorKind as Kind};

fn found(bytes: &[u8]) -> Vec<Indicator> {
    look(bytes).1.indicators
}

/// Values of one kind.
fn values(bytes: &[u8], kind: IndicatorKind) -> Vec<String> {
    let of_kind = found(bytes).into_iter().filter(|indicator| indicator.kind == kind);
    of_kind.map(|indicator| indicator.value).collect()
}

const ORIGINAL: &str = "www.iuqerfsodp9ifjaposdfjhgosurijfaewrwergwea.com";

/// The worm's strings around a URL area of 61 bytes and the stand-in for the branch.
fn worm(url: &str, branch: u8) -> Vec<u8> {
    let mut bytes = b"\x01mssecsvc2.0\0tasksche.exe\0".to_vec();
    let mut area = url.as_bytes().to_vec();
    area.resize(61, 0);
    bytes.extend(area);
    bytes.extend(b"KILLSWITCH-CHECK:");
    bytes.extend([branch, 0]);
    bytes
}

fn switches(bytes: &[u8]) -> Vec<(String, String)> {
    let switches = found(bytes).into_iter().filter(|indicator| indicator.kind == Kind::KillSwitch);
    switches.map(|indicator| (indicator.value, indicator.note)).collect()
}

#[test]
fn a_kill_switch_is_told_with_what_became_of_it() {
    let url = format!("http://{ORIGINAL}");
    let told = |value: &str, note: &str| vec![(value.to_owned(), note.to_owned())];
    assert_eq!(switches(&worm(&url, 0x75)), told(ORIGINAL, "the 2017 original's"));
    for branch in [0xeb, 0x90] {
        let note = "the 2017 original's; its check was patched out";
        assert_eq!(switches(&worm(&url, branch)), told(ORIGINAL, note));
    }
    assert_eq!(switches(&worm("", 0x75)), told("", "zeroed: the original has its URL here"));
    let near = ORIGINAL.replace("iuqerf", "iuqerx");
    let note = "1 character differs from the 2017 original's";
    assert_eq!(switches(&worm(&format!("http://{near}"), 0x75)), told(&near, note));
    let other = "http://www.ifferfsodp9ifjaposdfjhgosurijfaewrwergwea.com";
    assert_eq!(switches(&worm(other, 0x75))[0].1, "the variant's of 2017-05-14");
    assert_eq!(switches(b"http://www.example.com/ mssecsvc2.0"), []);
}

#[test]
fn an_indicator_says_where_it_stands() {
    let bytes = worm(&format!("http://{ORIGINAL}"), 0x75);
    for indicator in found(&bytes) {
        let at = indicator.at as usize;
        assert!(bytes[at..].starts_with(indicator.value.as_bytes()), "{indicator:?}");
    }
    let mut wide = vec![1, 2, 3];
    wide.extend("  Global\\MsWinZonesCacheCounterMutexA0".encode_utf16().flat_map(u16::to_le_bytes));
    let [mutex] = &found(&wide)[..] else { panic!("{:?}", found(&wide)) };
    assert_eq!((mutex.kind, mutex.value.as_str()), (Kind::Mutex, "Global\\MsWinZonesCacheCounterMutexA0"));
    assert_eq!((mutex.at, mutex.note.as_str()), (7, "WannaCry"));
}

#[test]
fn addresses_are_told_apart_from_versions() {
    let text =
        b"v1.2.3.4 6.0.0.0 1.0.0.1 10.20.30.256 203.0.113.77:445 198.51.100.9 0.0.0.0 01.2.3.44 5.1.2600.1";
    assert_eq!(values(text, Kind::Ip), ["203.0.113.77", "198.51.100.9"]);
    assert_eq!(values(text, Kind::Port), ["445"]);
}

#[test]
fn urls_pools_mail_wallets_and_commands_are_told() {
    let text = b"-o stratum+tcp://pool.example.invalid:45560 -u x\0http://checkip.dyndns.org/ip\0\
        wowsmith123456@posteo.net\x001Mz7153HMuxXTuR2R1t78mGSdzaAtNbBWX\x001Mz7153HMuxXTuR2R1t78mGSdzaAtNbBWY\0\
        cmd.exe /c \"C:\\Windows\\perfc.dat\"\0getmyip.example.com\0System.Net.Info\0xperfc.datx\0";
    let urls = ["stratum+tcp://pool.example.invalid:45560", "http://checkip.dyndns.org/ip"];
    assert_eq!(values(text, Kind::Url), urls);
    assert_eq!(values(text, Kind::Port), ["45560"]);
    assert_eq!(values(text, Kind::Email), ["wowsmith123456@posteo.net"]);
    assert_eq!(values(text, Kind::Wallet), ["1Mz7153HMuxXTuR2R1t78mGSdzaAtNbBWX"]);
    assert_eq!(values(text, Kind::Command), ["cmd.exe /c \"C:\\Windows\\perfc.dat\""]);
    assert_eq!(values(text, Kind::File), ["perfc.dat"]);
    assert_eq!(values(text, Kind::Domain), ["getmyip.example.com"]);
}

#[test]
fn indicators_and_strings_are_bounded_and_the_telling_ones_first() {
    let mut bytes: Vec<u8> =
        (0..500).flat_map(|n| format!("http://a{n}.example.com/\0").into_bytes()).collect();
    bytes.extend((0..500).flat_map(|n| format!("This is a sentence of number {n}\0").into_bytes()));
    bytes.extend(format!("{}xmrig{}\0", "A".repeat(9000), "B".repeat(500)).into_bytes());
    let (_, facts) = look(&bytes);
    assert_eq!((facts.indicators.len(), facts.strings.len()), (64, 40));
    assert!(facts.strings.iter().all(|string| string.len() <= 200));
    assert!(facts.strings[0].starts_with("http://"), "{:?}", facts.strings[0]);
}
