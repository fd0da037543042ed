//! Indicators and strings.

use crate::build::{ADDRESS, BASE, Builder};
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

/// The worm's strings around a URL area of 61 bytes.
fn worm(url: &str) -> Vec<u8> {
    let mut bytes = b"\x01mssecsvc2.0\0tasksche.exe\0".to_vec();
    let mut area = url.as_bytes().to_vec();
    area.resize(61, 0);
    bytes.extend(area);
    bytes
}

/// A PE file with these strings and code of ours that asks for the URL: `branch` stands behind the comparison.
fn asking(url: &str, branch: &[u8], wide: bool) -> Vec<u8> {
    doing(url, None, &[&[0x89, 0xc6, 0x85, 0xf6], branch].concat(), wide)
}

/// The same with this code behind the call, and something else of its six bytes instead of the call.
fn doing(url: &str, call: Option<[u8; 6]>, behind: &[u8], wide: bool) -> Vec<u8> {
    let strings = worm(url);
    let url_address = ADDRESS + (strings.len() - 61) as u32;
    let mut body = strings;
    body.resize(128, 0);
    let code = body.len() as u32;
    // The table of one library with one function, behind 64 bytes of code: its rows, then the first list.
    let slot = ADDRESS + code + 64 + 40 + if wide { 16 } else { 8 };
    if wide {
        body.extend([0x48, 0x8d, 0x15]);
        body.extend(url_address.wrapping_sub(ADDRESS + code + 7).to_le_bytes());
        body.extend([0xff, 0x15]);
        body.extend(slot.wrapping_sub(ADDRESS + code + 13).to_le_bytes());
    } else {
        body.push(0x68);
        body.extend((BASE + url_address).to_le_bytes());
        body.extend([0xff, 0x15]);
        body.extend((BASE + slot).to_le_bytes());
    }
    if let Some(other) = call {
        body.truncate(body.len() - other.len());
        body.extend(other);
    }
    body.extend(behind);
    body.push(0xc3);
    body.resize(code as usize + 64, 0xcc);
    let imports = vec![("WININET.dll", vec!["InternetOpenUrlA"])];
    Builder { wide, code: true, imports, body, ..Builder::default() }.build()
}

fn switches(bytes: &[u8]) -> Vec<(String, String)> {
    let switches = found(bytes).into_iter().filter(|indicator| indicator.kind == Kind::KillSwitch);
    switches.map(|indicator| (indicator.value, indicator.note)).collect()
}

#[test]
fn a_kill_switch_is_told_with_what_became_of_it() {
    let url = format!("http://{ORIGINAL}");
    let told = |value: &str, note: &str| vec![(value.to_owned(), note.to_owned())];
    assert_eq!(switches(&worm(&url)), told(ORIGINAL, "the 2017 original's"));
    assert_eq!(switches(&worm("")), [], "no code asks for anything");
    let near = ORIGINAL.replace("iuqerf", "iuqerx");
    let note = "1 character differs from the 2017 original's";
    assert_eq!(switches(&worm(&format!("http://{near}"))), told(&near, note));
    let other = "http://www.ifferfsodp9ifjaposdfjhgosurijfaewrwergwea.com";
    assert_eq!(switches(&worm(other))[0].1, "the variant's of 2017-05-14");
    assert_eq!(switches(b"http://www.example.com/ mssecsvc2.0"), []);
}

#[test]
fn a_check_without_its_branch_and_an_url_of_zeros_are_told() {
    let url = format!("http://{ORIGINAL}");
    for (wide, at) in [(false, 0x48f), (true, 0x491)] {
        let told = |url: &str, branch: &[u8]| switches(&asking(url, branch, wide)).remove(0);
        let note = |more: String| (ORIGINAL.to_owned(), format!("the 2017 original's{more}"));
        // Short and near.
        for branch in [&[0x75, 5][..], &[0x0f, 0x85, 5, 0, 0, 0]] {
            assert_eq!(told(&url, branch), note(String::new()), "{branch:x?}");
        }
        let jump = format!("; its check was patched out: the jump at {at:#x} is always taken");
        assert_eq!(told(&url, &[0xeb, 5]), note(jump.clone()));
        assert_eq!(told(&url, &[0xe9, 5, 0, 0, 0]), note(jump));
        let nothing = format!("; its check was patched out: nothing is done at {at:#x}");
        assert_eq!(told(&url, &[0x90, 0x90]), note(nothing.clone()));
        let zeroed = "zeroed: the original has its URL here";
        assert_eq!(told("", &[0x75, 5]), (String::new(), zeroed.to_owned()));
        assert_eq!(told("", &[0x90, 0x90]), (String::new(), format!("{zeroed}{nothing}")));
    }
}

#[test]
fn a_check_that_was_undone_in_another_way_is_told() {
    let url = format!("http://{ORIGINAL}");
    let note = |call, behind: &[u8], wide| switches(&doing(&url, call, behind, wide)).remove(0).1;
    for (wide, start) in [(false, 0x48b), (true, 0x48d)] {
        let done = |what: &str| format!("the 2017 original's; its check was patched out: {what}");
        let jump = |at: usize, what: &str| done(&format!("the jump at {:#x} {what}", start + at));
        let rows: [(&[u8], String); 10] = [
            // test eax, eax: je; jne to the next instruction.
            (
                &[0x85, 0xc0, 0x74, 5],
                jump(2, "is the opposite of the original's").replace("patched out", "turned round"),
            ),
            (&[0x85, 0xc0, 0x75, 0], jump(2, "leads to the next instruction")),
            // xor eax, eax; sub eax, eax; cmp eax, eax, and je behind one.
            (&[0x31, 0xc0, 0x75, 5], jump(2, "is never taken")),
            (&[0x29, 0xc0, 0x75, 5], jump(2, "is never taken")),
            (&[0x39, 0xc0, 0x75, 5], jump(2, "is never taken")),
            (&[0x39, 0xc0, 0x74, 5], jump(2, "is always taken")),
            // mov eax, eax instead of the comparison.
            (&[0x89, 0xc0, 0x75, 5], jump(2, "does not ask for the answer")),
            // Whole: cmp eax, 0; a copy in another register after eax was written again; another comparison.
            (&[0x83, 0xf8, 0, 0x75, 5], "the 2017 original's".to_owned()),
            (&[0x89, 0xc7, 0x31, 0xc0, 0x85, 0xff, 0x75, 5], "the 2017 original's".to_owned()),
            (&[0x85, 0xdb, 0x75, 5], "the 2017 original's".to_owned()),
        ];
        for (behind, wanted) in rows {
            assert_eq!(note(None, behind, wide), wanted, "{behind:x?}");
        }
        let gone = done("InternetOpenUrlA is never called");
        for call in [[0x90; 6], [0xb8, 0, 0, 0, 0, 0x90]] {
            assert_eq!(note(Some(call), &[0x85, 0xc0, 0x75, 5], wide), gone);
        }
    }
}

#[test]
fn what_is_no_url_any_more_where_the_worm_asks_is_told() {
    let broken = "what is asked for is no URL any more";
    for wide in [false, true] {
        let told = |url: &str| switches(&asking(url, &[0x75, 5], wide)).remove(0);
        let cut = format!("\0ttp://{ORIGINAL}");
        assert_eq!(told(&cut), (ORIGINAL.to_owned(), format!("the 2017 original's; {broken}")));
        let text = "A".repeat(60);
        assert_eq!(told(&text), (text[..48].to_owned(), broken.to_owned()));
        assert_eq!(told(&" ".repeat(60)), (String::new(), broken.to_owned()));
        assert_eq!(told("http://localhost/"), ("localhost".to_owned(), "none that was published".to_owned()));
        // Not of a file that is nobody's worm.
        let mut other = asking(&text, &[0x75, 5], wide);
        for name in ["mssecsvc2.0", "tasksche.exe"] {
            let at = other.windows(name.len()).position(|text| text == name.as_bytes()).unwrap();
            other[at] = b'x';
        }
        assert_eq!(switches(&other), []);
    }
}

#[test]
fn a_text_of_any_length_holds_what_stands_in_it_and_nothing_else() {
    for (count, behind) in [(100, "x"), (200, "\n"), (3000, " ")] {
        for front in 0..40 {
            let row =
                format!("see https://lib.cdn.example-static.com/lib.js port=203.0.113.77:4444;{behind}");
            let text = format!("{}{}", "-".repeat(front), row.repeat(count));
            for bytes in [text.clone().into_bytes(), text.encode_utf16().flat_map(u16::to_le_bytes).collect()]
            {
                assert_eq!(values(&bytes, Kind::Url), ["https://lib.cdn.example-static.com/lib.js"]);
                assert_eq!(values(&bytes, Kind::Domain), [""; 0]);
                assert_eq!(values(&bytes, Kind::Port), ["4444"]);
            }
        }
    }
}

#[test]
fn an_indicator_says_where_it_stands() {
    let bytes = worm(&format!("http://{ORIGINAL}"));
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
fn an_address_in_brackets_is_part_of_its_url() {
    let text = b"get (http://[2001:db8::7]:8080/a.exe) or tftp://[2001:db8::8]/b, not http://[2001:db8] or x://[::1]/";
    assert_eq!(
        values(text, IndicatorKind::Url),
        ["http://[2001:db8::7]:8080/a.exe", "tftp://[2001:db8::8]/b"]
    );
    assert_eq!(values(text, IndicatorKind::Ip), ["2001:db8::7", "2001:db8::8"]);
    let ports = found(text).into_iter().filter(|one| one.kind == IndicatorKind::Port);
    assert!(
        ports.map(|one| (one.value, &text[one.at as usize..][..4])).eq([("8080".to_owned(), &b"8080"[..])])
    );
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
