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
    /// Four bytes are added, over and over, each to one.
    Add4([u8; 4]),
    /// A number is added to each little-endian word of 32 bits.
    Add32(u32),
    /// Each byte is rotated left by so many bits.
    Rol(u32),
    /// Each little-endian word of 32 bits is.
    Rol32(u32),
}

impl Encoding {
    /// How the word for it in a report begins.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Xor(_) | Self::Xor4(_) => "xor ",
            // What has to be undone, not what undoes it.
            Self::Add(_) | Self::Add4(_) => "add ",
            Self::Add32(_) => "add32 ",
            Self::Rol(_) => "rol ",
            Self::Rol32(_) => "rol32 ",
        }
    }

    /// Hides these bytes.
    pub fn encode(self, bytes: &[u8]) -> Vec<u8> {
        let place = bytes.iter().enumerate();
        match self {
            Self::Xor(key) => bytes.iter().map(|byte| byte ^ key).collect(),
            Self::Xor4(key) => place.map(|(at, byte)| byte ^ key[at % 4]).collect(),
            Self::Add(key) => bytes.iter().map(|byte| byte.wrapping_add(key)).collect(),
            Self::Add4(key) => place.map(|(at, byte)| byte.wrapping_add(key[at % 4])).collect(),
            Self::Add32(key) => words(bytes, |word| word.wrapping_add(key)),
            Self::Rol(bits) => bytes.iter().map(|byte| byte.rotate_left(bits)).collect(),
            Self::Rol32(bits) => words(bytes, |word| word.rotate_left(bits)),
        }
    }
}

/// Whole words only: files are so long.
fn words(bytes: &[u8], hide: impl Fn(u32) -> u32) -> Vec<u8> {
    let (words, rest) = bytes.as_chunks::<4>();
    let hidden = words.iter().flat_map(|word| hide(u32::from_le_bytes(*word)).to_le_bytes());
    hidden.chain(rest.iter().copied()).collect()
}

/// Each encoding, alone and behind bytes that look like a stub.
pub fn specimens(seed: u64) -> Vec<Specimen> {
    let encodings = [
        ("xor-1", Encoding::Xor(0x5a)),
        ("xor-4", Encoding::Xor4([0x3c, 0x7e, 0x19, 0xc5])),
        ("add", Encoding::Add(0x31)),
        ("rol", Encoding::Rol(3)),
        ("add-4", Encoding::Add4([0x3c, 0x7e, 0x19, 0xc5])),
        ("add-32", Encoding::Add32(0xc519_7e3c)),
        ("rol-32", Encoding::Rol32(13)),
    ];
    let behind_loader = {
        // DoublePulsar's stub tells the size of a DLL that is no DLL as it stands there.
        let (plain, encoding) = (kin::plain_dll(0x9000, seed ^ 0xe), Encoding::Xor(0x99));
        let payload = behind_stub(&X86, &encoding.encode(&plain));
        let stub = payload[..X86.stub_len].to_vec();
        let place = (X86.stub_len, plain.len());
        Specimen::new("encoded-xor-1-in-doublepulsar", "an encoded DLL", Kind::Payload, payload)
            .oddity(encoding.word().trim_end())
            .part(0, Kind::Stub, 0, &stub, "doublepulsar-x86")
            .decoded(0, Kind::Pe, place, &plain, (encoding.word(), ""))
            .core(2)
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
        .oddity(encoding.word().trim_end())
        .decoded(0, Kind::Pe, (front, plain.len()), plain, (encoding.word(), ""))
        .core(1)
}
