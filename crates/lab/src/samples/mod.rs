//! Look-alikes: payloads with the worm's layout and sizes, whose code bytes mean nothing.
//!
//! A WannaCry payload is stub ‖ DLL ‖ padding. The DLL carries in resource W/101 a length and the sender's own
//! EXE, then zeros up to a fixed size; the EXE carries tasksche.exe in resource R/1831. So payloads of one
//! size and many hashes come from one template: here too, a seed changes only the EXE's bytes.

pub mod chain;
pub mod cli;
pub mod encoded;
pub mod filler;
pub mod hostile;
pub mod kin;
pub mod ledger;
pub mod pe;
pub mod ransomware;
pub mod world;
pub mod zip;

use filler::Filler;
use pe::{Export, Image, Machine};
use roridula_proto::client::chance::Chance;

/// What can be read in every look-alike.
pub const MARKER: &[u8] = b"INERT LOOK-ALIKE by roridula-lab: filler, no code. ";

/// Size of the mssecsvc.exe look-alike.
pub const EXE_LEN: usize = 0x38_d000;

/// Size of the tasksche.exe look-alike.
pub const TASKSCHE_LEN: usize = 0x35_a000;

/// What one architecture's payload looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The machine that stub and DLL are for.
    pub machine: Machine,
    /// Bytes of the stub; the DLL follows.
    pub stub_len: usize,
    /// Where the stub holds the size copied to user mode, and what that is above the DLL's.
    pub copy_size_at: usize,
    /// See `copy_size_at`.
    pub copy_size_above: u32,
    /// Where the stub holds the DLL's size; the export ordinal (1) follows.
    pub dll_size_at: usize,
    /// Size of WannaCry's DLL.
    pub worm_dll_len: usize,
    /// Where in the DLL resource W/101 begins.
    pub worm_resource_at: usize,
    /// Places in the stub where `MZ` stands by chance and begins nothing.
    pub false_mz: &'static [usize],
}

/// The 32-bit payload: 4869 + 5,267,456 + 3 bytes.
pub const X86: Layout = Layout {
    machine: Machine::I386,
    stub_len: 4869,
    copy_size_at: 0x591,
    copy_size_above: 3440,
    dll_size_at: 0x12fd,
    worm_dll_len: 0x50_6000,
    worm_resource_at: 0x4060,
    false_mz: &[],
};

/// The 64-bit payload: 6144 + 5,298,176 bytes.
pub const X64: Layout = Layout {
    machine: Machine::Amd64,
    stub_len: 6144,
    copy_size_at: 0x86e,
    copy_size_above: 3978,
    dll_size_at: 0x17f8,
    worm_dll_len: 0x50_d800,
    worm_resource_at: 0xc8a4,
    false_mz: &[0x6f4, 0xcc8, 0x1584, 0x1703],
};

/// A whole WannaCry look-alike as it goes into the upload, before encoding.
pub fn worm(layout: &Layout, seed: u64) -> Vec<u8> {
    chain::Chain::new(*layout, seed).payload()
}

/// The EXE inside: another one for each seed.
pub fn worm_exe(seed: u64) -> Vec<u8> {
    chain::Chain::new(X86, seed).exe()
}

/// Stub and a small DLL of `dll_len` bytes (at least 4096), as repackaged senders deliver.
pub fn small_dll(layout: &Layout, dll_len: usize, seed: u64) -> Vec<u8> {
    let dll_len = dll_len.max(0x1000);
    let image = Image {
        machine: layout.machine,
        dll: true,
        code_len: dll_len / pe::ALIGN * pe::ALIGN - pe::HEADERS_LEN - pe::ALIGN,
        code_seed: seed,
        export: Some(Export { library: "inert.dll", function: "Nothing" }),
        ..Image::default()
    };
    behind_stub(layout, &image.build(dll_len))
}

/// A DLL as DoublePulsar carries it.
pub fn behind_stub(layout: &Layout, dll: &[u8]) -> Vec<u8> {
    let mut payload = stub(layout, dll.len());
    payload.extend_from_slice(dll);
    pad(&mut payload);
    payload
}

/// `len` bytes of filler: no stub, no PE.
pub fn raw(len: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; len];
    Filler::new(seed).fill(&mut bytes);
    bytes
}

/// `len` bytes that look like base64 and decode to nothing: what an exploit's look-alike is filled with.
pub fn base64_like(len: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; len];
    Filler::new(seed).letters(&mut bytes);
    bytes
}

/// What Metasploit's module sends: 780 bytes of stub, a length, user code, random filler; 4096 in all.
pub fn metasploit(seed: u64) -> Vec<u8> {
    let mut payload = raw(4096, seed);
    // So that nobody takes it for a text.
    payload[MARKER.len()..].iter_mut().step_by(5).for_each(|byte| *byte = 0);
    let user_len = 200 + Chance::new(seed).below(400);
    payload[780..782].copy_from_slice(&u16::try_from(user_len).unwrap_or(200).to_le_bytes());
    payload
}

/// The kernel and user loader's place: filler with the size fields where the real one has them.
fn stub(layout: &Layout, dll_len: usize) -> Vec<u8> {
    let mut stub = raw(layout.stub_len, 0x57ab);
    for &at in layout.false_mz {
        stub[at..at + 2].copy_from_slice(b"MZ");
    }
    let dll_len = u32_of(dll_len);
    for (at, value) in [
        (layout.copy_size_at, dll_len + layout.copy_size_above),
        (layout.dll_size_at, dll_len),
        (layout.dll_size_at + 4, 1),
    ] {
        stub[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    stub
}

fn pad(payload: &mut Vec<u8>) {
    payload.resize(payload.len().next_multiple_of(4), 0);
}

fn u32_of(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(bytes: &[u8], at: usize) -> usize {
        u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
    }

    #[test]
    fn worm_look_alikes_have_the_measured_layout() {
        for (layout, total) in [(X86, 5_272_328), (X64, 5_304_320)] {
            let payload = worm(&layout, 7);
            assert_eq!(payload.len(), total);
            assert_eq!(field(&payload, layout.dll_size_at), layout.worm_dll_len);
            assert_eq!(field(&payload, layout.dll_size_at + 4), 1);
            let above = layout.copy_size_above as usize;
            assert_eq!(field(&payload, layout.copy_size_at), layout.worm_dll_len + above);
            let dll = &payload[layout.stub_len..];
            assert_eq!(&dll[..2], b"MZ");
            assert_eq!(field(dll, layout.worm_resource_at), EXE_LEN);
            let exe = &dll[layout.worm_resource_at + 4..][..EXE_LEN];
            assert_eq!(exe, worm_exe(7));
            assert!(dll[layout.worm_resource_at + 4 + EXE_LEN..].iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn seeds_change_the_exe_and_nothing_else() {
        let (one, other) = (worm(&X64, 1), worm(&X64, 2));
        let start = X64.stub_len + X64.worm_resource_at + 4;
        assert_eq!(one[..start], other[..start]);
        assert_ne!(one[start..start + EXE_LEN], other[start..start + EXE_LEN]);
        assert_eq!(one[start + EXE_LEN..], other[start + EXE_LEN..]);
        assert_eq!(one, worm(&X64, 1));
    }

    #[test]
    fn small_payloads_are_what_they_say() {
        let payload = small_dll(&X64, 5120, 3);
        assert_eq!(field(&payload, 0x86e), 9098);
        assert_eq!(payload.len(), 6144 + 5120);
        assert_eq!(metasploit(1).len(), 4096);
        assert_ne!(raw(100, 1), raw(100, 2));
        assert!(raw(5000, 1).starts_with(MARKER));
        let filler = base64_like(66_512, 1);
        assert!(filler.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')));
        assert_ne!(filler, base64_like(66_512, 2));
    }
}
