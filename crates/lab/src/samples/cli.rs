//! `roridula-lab sample`.

use super::{X64, X86, base64_like, metasploit, raw, small_dll, worm};
use anyhow::Context;
use clap::ValueEnum;
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use std::process::ExitCode;

/// Architectures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Arch {
    /// 32 bit.
    X86,
    /// 64 bit.
    X64,
}

impl Arch {
    /// The layout of its payloads.
    pub const fn layout(self) -> &'static super::Layout {
        match self {
            Self::X86 => &X86,
            Self::X64 => &X64,
        }
    }
}

/// Kinds of payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Stub, DLL, EXE, tasksche: WannaCry's layout and sizes.
    Worm,
    /// Stub and a small DLL.
    Dll,
    /// Filler only.
    Raw,
    /// One 4096-byte packet without a PE.
    Metasploit,
    /// Base64 letters by chance and nothing else: what fills the look-alike of an exploit.
    Filler,
}

/// Options of `sample`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Which payload.
    #[arg(value_enum, default_value_t = Kind::Worm)]
    pub kind: Kind,
    /// For which machine.
    #[arg(long, value_enum, default_value_t = Arch::X86)]
    pub arch: Arch,
    /// Which variant.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Size of the DLL, or of the filler, in bytes.
    #[arg(long, default_value_t = 70_000)]
    pub size: usize,
    /// Where to write it.
    #[arg(long, short)]
    pub out: PathBuf,
}

/// The payload of these options.
pub fn payload(kind: Kind, arch: Arch, seed: u64, size: usize) -> Vec<u8> {
    match kind {
        Kind::Worm => worm(arch.layout(), seed),
        Kind::Dll => small_dll(arch.layout(), size, seed),
        Kind::Raw => raw(size, seed),
        Kind::Metasploit => metasploit(seed),
        Kind::Filler => base64_like(size, seed),
    }
}

/// SHA-256 in hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes the file and prints its hash and size.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let bytes = payload(args.kind, args.arch, args.seed, args.size);
    std::fs::write(&args.out, &bytes).with_context(|| format!("cannot write {}", args.out.display()))?;
    println!("{}  {} bytes  {}", sha256_hex(&bytes), bytes.len(), args.out.display());
    Ok(ExitCode::SUCCESS)
}
