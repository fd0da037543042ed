//! The worm's whole chain: stub, launcher DLL, worm EXE, ransomware, archive; and what damaged copies make of it.

use super::cli::sha256_hex;
use super::filler::Filler;
use super::ledger::{MemberState, Specimen};
use super::pe::{Branch, Export, Image, Machine, Resource, ResourceName, version};
use super::ransomware::{DAMAGED_MEMBER, WALLETS, ZIP_AT, ZipState, tasksche, whole_zip};
use super::{EXE_LEN, Layout, TASKSCHE_LEN, X86, pad, stub, u32_of};
use roridula_triage::facts::IndicatorKind;
use roridula_triage::{Kind, State};

/// Where in the EXE resource R/1831 starts.
pub const RANSOMWARE_AT: usize = 0x3_2080;
/// The 2017 original's.
pub const KILL_SWITCH: &str = "http://www.iuqerfsodp9ifjaposdfjhgosurijfaewrwergwea.com";

/// What became of the kill switch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KillSwitch {
    /// Nothing.
    #[default]
    Original,
    /// Another domain.
    Url(&'static str),
    /// Zeros where the domain stood.
    Zeroed,
    /// The branch behind the question is another.
    PatchedOut(Branch),
}

/// What became of the EXE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cut {
    /// Nothing.
    #[default]
    None,
    /// It ends so many bytes early, and the length in front of it says so.
    Exe(usize),
    /// The length in front of it is larger than all that follows.
    LengthTooLarge,
    /// Its resource R/1831 is told so many bytes shorter than the ransomware is.
    Ransomware(usize),
}

/// Bytes where zeros were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dirt {
    /// How far behind the EXE.
    pub at: usize,
    /// How many.
    pub len: usize,
    /// Which.
    pub seed: u64,
}

/// A variant of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// For which machine.
    pub layout: Layout,
    /// Which EXE.
    pub seed: u64,
    /// Its kill switch.
    pub kill_switch: KillSwitch,
    /// Its ransomware's archive.
    pub zip: ZipState,
    /// What is missing.
    pub cut: Cut,
    /// What the zeros behind the EXE hold.
    pub dirt: Option<Dirt>,
    /// Bytes of zeros behind the DLL, more than alignment needs.
    pub zeros: usize,
    /// Bytes of garbage behind that.
    pub tail: usize,
}

impl Chain {
    /// As the 2017 original is built.
    pub fn new(layout: Layout, seed: u64) -> Self {
        Self {
            layout,
            seed,
            kill_switch: KillSwitch::Original,
            zip: ZipState::Whole,
            cut: Cut::None,
            dirt: None,
            zeros: 0,
            tail: 0,
        }
    }

    /// The EXE, as it is carried.
    pub fn exe(&self) -> Vec<u8> {
        let ransomware = tasksche(self.zip);
        let mut data = b"mssecsvc2.0\0Microsoft Security Center (2.0) Service\0%s -m security\0\
            C:\\%s\\qeriuwjhrf\0C:\\%s\\%s\0WINDOWS\0tasksche.exe\0mssecsvc.exe\0"
            .to_vec();
        let mut url = match self.kill_switch {
            KillSwitch::Original | KillSwitch::PatchedOut(_) => KILL_SWITCH.into(),
            KillSwitch::Url(url) => url.as_bytes().to_vec(),
            KillSwitch::Zeroed => Vec::new(),
        };
        url.resize(KILL_SWITCH.len() + 4, 0);
        let url_at = data.len();
        data.extend_from_slice(&url);
        let branch = match self.kill_switch {
            KillSwitch::PatchedOut(branch) => branch,
            _ => Branch::Conditional,
        };
        data.extend_from_slice(b"\0INERT LOOK-ALIKE\0");
        let version =
            version(&[("FileDescription", "INERT LOOK-ALIKE"), ("OriginalFilename", "lhdfrgui.exe")]);
        let mut resource = Resource::new(ResourceName::Text("R"), 1831, &ransomware).at(RANSOMWARE_AT);
        if let Cut::Ransomware(missing) = self.cut {
            resource.told_len = Some(u32_of(TASKSCHE_LEN - missing));
        }
        let mut exe = Image {
            timestamp: 0x4ce7_8ecc,
            code_len: 0x2_0000,
            code_seed: self.seed,
            imports: &[
                ("WS2_32.dll", &["socket", "connect", "send", "recv"]),
                ("WININET.dll", &["InternetOpenA", "InternetOpenUrlA", "InternetCloseHandle"]),
                ("KERNEL32.dll", &["FindResourceA", "LockResource", "CreateFileA", "MoveFileExA"]),
                ("ADVAPI32.dll", &["StartServiceCtrlDispatcherA", "CreateServiceA"]),
            ],
            data: &data,
            question: Some((url_at, branch)),
            resources: vec![resource, Resource::new(ResourceName::Id(16), 1, &version)],
            ..Image::default()
        }
        .build(EXE_LEN);
        if let Cut::Exe(missing) = self.cut {
            exe.truncate(EXE_LEN - missing);
        }
        exe
    }

    /// The DLL around this EXE.
    fn dll(&self, exe: &[u8]) -> Vec<u8> {
        let Layout { machine, worm_dll_len, worm_resource_at, .. } = self.layout;
        let told = match self.cut {
            Cut::LengthTooLarge => worm_dll_len,
            _ => exe.len(),
        };
        let mut resource = u32_of(told).to_le_bytes().to_vec();
        resource.extend_from_slice(exe);
        resource.resize(worm_dll_len - worm_resource_at, 0);
        if let Some(dirt) = self.dirt {
            let at = 4 + exe.len() + dirt.at;
            Filler::new(dirt.seed).letters(&mut resource[at..at + dirt.len]);
        }
        Image {
            machine,
            dll: true,
            timestamp: 0x5911_9b55,
            code_len: 0x2000,
            code_seed: 0x0d11,
            imports: &[("KERNEL32.dll", &["FindResourceA", "LoadResource", "CreateProcessA", "WriteFile"])],
            export: Some(Export { library: "launcher.dll", function: "PlayGame" }),
            data: b"C:\\%s\\%s\0WINDOWS\0mssecsvc.exe\0INERT LOOK-ALIKE\0",
            resources: vec![Resource::new(ResourceName::Text("W"), 101, &resource).at(worm_resource_at)],
            ..Image::default()
        }
        .build(worm_dll_len)
    }

    /// The payload, before encoding.
    pub fn payload(&self) -> Vec<u8> {
        self.around(&self.exe())
    }

    /// The payload around an EXE that is at hand.
    pub fn around(&self, exe: &[u8]) -> Vec<u8> {
        let dll_len = self.layout.worm_dll_len;
        let mut payload = stub(&self.layout, dll_len);
        payload.extend_from_slice(&self.dll(exe));
        pad(&mut payload);
        payload.resize(payload.len() + self.zeros, 0);
        let end = payload.len();
        payload.resize(end + self.tail, 0);
        Filler::new(0x7a11 ^ self.seed).letters(&mut payload[end..]);
        payload
    }

    /// The payload with its truth.
    pub fn specimen(&self, file: &str, oddity: &str) -> Specimen {
        let exe = self.exe();
        let Layout { stub_len, worm_dll_len, worm_resource_at, machine, .. } = self.layout;
        let payload = self.around(&exe);
        let dll = payload[stub_len..stub_len + worm_dll_len].to_vec();
        let stub = payload[..stub_len].to_vec();
        let (exe_at, exe_state) = (worm_resource_at + 4, self.exe_state());
        let carried = &dll[exe_at..exe_at + exe.len()];
        let padded = payload.len() - self.tail - stub_len - worm_dll_len;
        let (arch, size) = match machine {
            Machine::I386 => ("x86", "5,267,456"),
            Machine::Amd64 => ("x64", "5,298,176"),
        };
        let mut specimen = Specimen::new(file, "WannaCry launcher DLL", Kind::Payload, payload)
            .family("WannaCry")
            .oddity(oddity)
            .words(&["WannaCry", arch, size, &sha256_hex(carried)[..4]])
            .part(0, Kind::Stub, 0, &stub, "")
            .part(0, Kind::Pe, stub_len, &dll, "")
            .part(2, Kind::Pe, exe_at, carried, "W/101")
            .state(exe_state)
            .core(3);
        if padded > 0 && self.tail == 0 {
            let zeros = vec![0; padded];
            specimen = specimen.part(0, Kind::Padding, stub_len + worm_dll_len, &zeros, "");
        }
        self.inner_layers(self.kill_switch_of(specimen), carried)
    }

    /// What the EXE would ask for, and for whom it works.
    fn kill_switch_of(&self, specimen: Specimen) -> Specimen {
        let specimen = specimen.indicators(IndicatorKind::Service, &["mssecsvc2.0"]);
        let domain = |url: &'static str| url.trim_start_matches("http://");
        match self.kill_switch {
            KillSwitch::Original => specimen.indicators(IndicatorKind::KillSwitch, &[domain(KILL_SWITCH)]),
            KillSwitch::Url(url) => specimen.indicators(IndicatorKind::KillSwitch, &[domain(url)]),
            KillSwitch::PatchedOut(_) => specimen
                .indicators(IndicatorKind::KillSwitch, &[domain(KILL_SWITCH)])
                .note("patched out")
                .words(&["patched out"]),
            KillSwitch::Zeroed => {
                specimen.indicators(IndicatorKind::KillSwitch, &[""]).note("zero").words(&["zeroed"])
            }
        }
    }

    const fn exe_state(&self) -> State {
        match self.cut {
            Cut::Exe(_) => State::Truncated,
            Cut::LengthTooLarge => State::Damaged,
            Cut::None | Cut::Ransomware(_) => State::Intact,
        }
    }

    /// The ransomware and its archive, where they are whole enough to say exactly what has to be found.
    fn inner_layers(&self, mut specimen: Specimen, exe: &[u8]) -> Specimen {
        let missing = match self.cut {
            Cut::Exe(_) => return specimen.words(&["cut off"]),
            Cut::Ransomware(missing) => missing,
            Cut::None | Cut::LengthTooLarge => 0,
        };
        let ransomware = &exe[RANSOMWARE_AT..RANSOMWARE_AT + TASKSCHE_LEN - missing];
        let place = specimen.entry.parts.len();
        specimen = specimen.part(3, Kind::Pe, RANSOMWARE_AT, ransomware, "R/1831");
        specimen = specimen
            .indicators(IndicatorKind::Mutex, &["MsWinZonesCacheCounterMutexA"])
            .indicators(IndicatorKind::Wallet, &WALLETS);
        if missing > 0 {
            return specimen.state(State::Truncated);
        }
        let (zip, members) = whole_zip();
        let bytes = &ransomware[ZIP_AT..ZIP_AT + zip.len()];
        specimen = specimen.part(place, Kind::Zip, ZIP_AT, bytes, "XIA/2058");
        let damaged = match self.zip {
            ZipState::Whole => None,
            ZipState::DamagedFrom(_) => {
                specimen = specimen.state(State::Damaged).words(&[DAMAGED_MEMBER]);
                Some(DAMAGED_MEMBER)
            }
            // Whether this is called damaged or truncated is the reader's choice.
            ZipState::ZeroFrom(_) => {
                specimen.entry.parts.pop();
                return specimen;
            }
        };
        specimen.entry.members.extend(members.iter().map(|member| MemberState {
            name: member.name.clone(),
            state: if Some(member.name.as_str()) == damaged { State::Damaged } else { State::Intact },
        }));
        specimen
    }
}

/// The variants of the published reports, one of each. All have one filler: what else differs is what was changed.
pub fn variants(seed: u64) -> Vec<(&'static str, &'static str, Chain)> {
    use super::X64;
    let base = |layout| Chain::new(layout, seed.wrapping_mul(100).wrapping_add(1));
    let (x86, x64) = (|| base(X86), || base(X64));
    vec![
        ("wannacry-x86", "", x86()),
        ("wannacry-x64", "", x64()),
        (
            "wannacry-x86-another-domain",
            "another kill-switch domain",
            Chain {
                kill_switch: KillSwitch::Url("http://www.ifferfsodp9ifjaposdfjhgosurijfaewrwergwea.com"),
                ..x86()
            },
        ),
        (
            "wannacry-x64-domain-zeroed",
            "the kill-switch domain is zeroed",
            Chain { kill_switch: KillSwitch::Zeroed, ..x64() },
        ),
        (
            "wannacry-x86-check-patched-out",
            "the kill-switch check is patched out",
            Chain { kill_switch: KillSwitch::PatchedOut(Branch::Always), ..x86() },
        ),
        (
            "wannacry-x86-aftershock",
            "the kill-switch check is patched out; t.wnry is damaged from stored byte 20000",
            Chain {
                kill_switch: KillSwitch::PatchedOut(Branch::Nothing),
                zip: ZipState::DamagedFrom(20_000),
                ..x86()
            },
        ),
        (
            "wannacry-x64-zip-without-end",
            "the archive is zero from byte 3000000",
            Chain { zip: ZipState::ZeroFrom(3_000_000), ..x64() },
        ),
        (
            "wannacry-x86-exe-cut",
            "the EXE lacks its last 100000 bytes",
            Chain { cut: Cut::Exe(100_000), ..x86() },
        ),
        (
            "wannacry-x64-length-too-large",
            "the EXE's length is larger than what is there",
            Chain { cut: Cut::LengthTooLarge, ..x64() },
        ),
        (
            "wannacry-x86-ransomware-cut",
            "R/1831 is 50000 bytes short",
            Chain { cut: Cut::Ransomware(50_000), ..x86() },
        ),
        ("wannacry-x86-garbage-tail", "4096 bytes of garbage behind the DLL", Chain { tail: 4096, ..x86() }),
        ("wannacry-x86-zeros-behind", "4099 zeros behind the DLL", Chain { zeros: 4096, ..x86() }),
        ("wannacry-x64-zeros-behind", "2048 zeros behind the DLL", Chain { zeros: 2048, ..x64() }),
        (
            "wannacry-x86-garbage-behind-exe",
            "20000 bytes of garbage behind the EXE",
            Chain { dirt: Some(Dirt { at: 0, len: 20_000, seed }), ..x86() },
        ),
        (
            "wannacry-x64-garbage-in-zeros",
            "500 bytes of garbage in the zeros behind the EXE",
            Chain { dirt: Some(Dirt { at: 70_000, len: 500, seed }), ..x64() },
        ),
    ]
}
