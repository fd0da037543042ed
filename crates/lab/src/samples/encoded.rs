//! A PE file that is hidden by a simple encoding, as some senders do it.

use super::filler::Filler;
use super::kin;
use super::ledger::Specimen;
use super::{X86, behind_stub};
use roridula_triage::Kind;

/// How bytes are hidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// XOR with one byte.
    Xor(u8),
    /// XOR with four, over and over.
    Xor4([u8; 4]),
    /// A byte is added to each.
    Add(u8),
    /// Each byte is rotated left by so many bits.
    Rol(u32),
}

impl Encoding {
    /// The word for it in a report.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Xor(_) | Self::Xor4(_) => "xor",
            // What has to be undone, not what undoes it.
            Self::Add(_) => "add",
            Self::Rol(_) => "rol",
        }
    }

    /// Hides these bytes.
    pub fn encode(self, bytes: &[u8]) -> Vec<u8> {
        let place = bytes.iter().enumerate();
        match self {
            Self::Xor(key) => bytes.iter().map(|byte| byte ^ key).collect(),
            Self::Xor4(key) => place.map(|(at, byte)| byte ^ key[at % 4]).collect(),
            Self::Add(key) => bytes.iter().map(|byte| byte.wrapping_add(key)).collect(),
            Self::Rol(bits) => bytes.iter().map(|byte| byte.rotate_left(bits)).collect(),
        }
    }
}

/// Each encoding, alone and behind bytes that look like a stub.
pub fn specimens(seed: u64) -> Vec<Specimen> {
    let encodings = [
        ("xor-1", Encoding::Xor(0x5a)),
        ("xor-4", Encoding::Xor4([0x3c, 0x7e, 0x19, 0xc5])),
        ("add", Encoding::Add(0x31)),
        ("rol", Encoding::Rol(3)),
    ];
    let behind_loader = {
        // DoublePulsar's stub tells the size of a DLL that is no DLL as it stands there.
        let (plain, encoding) = (kin::plain_dll(0x9000, seed ^ 0xe), Encoding::Xor(0x99));
        let payload = behind_stub(&X86, &encoding.encode(&plain));
        let place = (X86.stub_len, plain.len());
        Specimen::new("encoded-xor-1-in-doublepulsar", "an encoded DLL", Kind::Payload, payload)
            .oddity(encoding.word())
            .decoded(0, Kind::Pe, place, &plain, (encoding.word(), ""))
            .core(1)
    };
    encodings
        .into_iter()
        .zip(seed..)
        .flat_map(|((name, encoding), seed)| {
            let plain = kin::plain_dll(0x9000, seed);
            [("alone", 0), ("behind-stub", 1536)].map(|(place, front)| {
                specimen(&format!("encoded-{name}-{place}"), &plain, encoding, front, seed)
            })
        })
        .chain([behind_loader])
        .collect()
}

/// One hidden file behind so many bytes of filler.
pub fn specimen(file: &str, plain: &[u8], encoding: Encoding, front: usize, seed: u64) -> Specimen {
    let mut bytes = vec![0; front];
    Filler::new(seed).letters(&mut bytes);
    bytes.extend_from_slice(&encoding.encode(plain));
    Specimen::new(file, "an encoded DLL", Kind::Payload, bytes)
        .oddity(encoding.word())
        .decoded(0, Kind::Pe, (front, plain.len()), plain, (encoding.word(), ""))
        .core(1)
}
