//! The tasksche.exe look-alike with its archive.
//!
//! Published: 3,514,368 bytes, the archive in resource XIA/2058 under the password below, members `b.wnry` to
//! `u.wnry` and `msg/m_*.wnry` (SecureWorks "WCry Ransomware Analysis", Endgame "WCry/WanaCry Ransomware
//! Technical Analysis", both May 2017).

use super::filler::Filler;
use super::pe::{Image, Resource, ResourceName, version};
use super::zip::{Member, Place, archive};
use super::{MARKER, TASKSCHE_LEN};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// The published password of the archive.
pub const PASSWORD: &[u8] = b"WNcry@2ol7";
/// The published wallets.
pub const WALLETS: [&str; 3] = [
    "13AM4VW2dhxYgXeQepoHkHSQuy6NgaEb94",
    "12t9YDPgwueZ9NyMgw519p7AA8isjr6SMw",
    "115p7UMMngoj1pMvkpHijcRdfJNXj6LrLn",
];
/// Bytes of the archive.
pub const ZIP_LEN: usize = 0x34_9635;
/// Where in tasksche.exe it starts.
pub const ZIP_AT: usize = 0x1_00f0;
/// The member whose damage is told: the ransomware's own encrypted DLL.
pub const DAMAGED_MEMBER: &str = "t.wnry";

/// How much of the archive is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ZipState {
    /// All.
    #[default]
    Whole,
    /// `t.wnry` is zero from this stored byte on.
    DamagedFrom(usize),
    /// It is zero from this byte on, the directory with it.
    ZeroFrom(usize),
}

/// The archive, whole.
pub fn whole_zip() -> &'static (Vec<u8>, Vec<Place>) {
    static ZIP: OnceLock<(Vec<u8>, Vec<Place>)> = OnceLock::new();
    ZIP.get_or_init(|| {
        let empty = build_zip(0);
        build_zip(ZIP_LEN - empty.0.len())
    })
}

/// Everything but `s.wnry` has its size; that one makes the archive as large as it has to be.
fn build_zip(large_len: usize) -> (Vec<u8>, Vec<Place>) {
    const LEN: [(&str, usize, bool); 10] = [
        ("c.wnry", 780, false),
        ("msg/m_bulgarian.wnry", 47_879, true),
        ("msg/m_english.wnry", 37_180, true),
        ("msg/m_german.wnry", 37_196, true),
        ("msg/m_spanish.wnry", 37_381, true),
        ("r.wnry", 864, true),
        ("t.wnry", 65_816, false),
        ("taskdl.exe", 20_480, true),
        ("taskse.exe", 20_480, true),
        ("u.wnry", 245_760, true),
    ];
    let picture = MARKER.repeat(1_440_054 / MARKER.len() + 1);
    let large = filler(large_len, 0x5);
    let others: Vec<Vec<u8>> = LEN.iter().zip(0x10..).map(|((_, len, _), seed)| filler(*len, seed)).collect();
    let mut members = vec![Member::new("b.wnry", &picture[..1_440_054], true)];
    for ((name, _, deflate), bytes) in LEN.iter().zip(&others) {
        if *name == DAMAGED_MEMBER {
            members.push(Member::new("s.wnry", &large, false));
        }
        members.push(Member::new(name, bytes, *deflate));
    }
    archive(&members, Some(PASSWORD))
}

fn filler(len: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; len];
    Filler::new(seed).fill(&mut bytes);
    bytes
}

/// The archive in this state.
pub fn zip(state: ZipState) -> Vec<u8> {
    let (whole, places) = whole_zip();
    let mut bytes = whole.clone();
    match state {
        ZipState::Whole => {}
        ZipState::DamagedFrom(from) => {
            for place in places.iter().filter(|place| place.name == DAMAGED_MEMBER) {
                bytes[place.at + from.min(place.len)..place.at + place.len].fill(0);
            }
        }
        ZipState::ZeroFrom(from) => bytes[from..].fill(0),
    }
    bytes
}

/// tasksche.exe with the archive in this state; each made once.
pub fn tasksche(state: ZipState) -> Arc<[u8]> {
    static MADE: Mutex<BTreeMap<ZipState, Arc<[u8]>>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    made.entry(state).or_insert_with(|| build(state).into()).clone()
}

fn build(state: ZipState) -> Vec<u8> {
    let zip = zip(state);
    let version = version(&[
        ("CompanyName", "INERT LOOK-ALIKE by roridula-lab"),
        ("FileDescription", "DiskPart"),
        ("InternalName", "diskpart.exe"),
        ("OriginalFilename", "diskpart.exe"),
    ]);
    let mut data = b"tasksche.exe\0TaskStart\0t.wnry\0icacls . /grant Everyone:F /T /C /Q\0attrib +h .\0\
        WNcry@2ol7\0Global\\MsWinZonesCacheCounterMutexA\0cmd.exe /c \"%s\"\0WanaCrypt0r\0"
        .to_vec();
    for text in WALLETS.into_iter().chain(["INERT LOOK-ALIKE"]) {
        data.extend_from_slice(text.as_bytes());
        data.push(0);
    }
    Image {
        timestamp: 0x4ce7_8f41,
        code_len: 0x7000,
        code_seed: 0x7a5c,
        imports: &[
            ("KERNEL32.dll", &["FindResourceA", "LoadResource", "CreateMutexA", "GetComputerNameW"]),
            ("ADVAPI32.dll", &["CreateServiceA", "OpenSCManagerA", "RegCreateKeyW"]),
            ("MSVCRT.dll", &["sprintf", "swprintf", "rand", "srand"]),
        ],
        data: &data,
        resources: vec![
            Resource::new(ResourceName::Text("XIA"), 2058, &zip).at(ZIP_AT),
            Resource::new(ResourceName::Id(16), 1, &version),
        ],
        ..Image::default()
    }
    .build(TASKSCHE_LEN)
}
