//! Which look-alikes are captured, from whom, and what has to be told of them.

use crate::attack::cli::nth_source;
use crate::samples::chain::{Chain, Cut, Dirt, KillSwitch};
use crate::samples::cli::sha256_hex;
use crate::samples::pe::Branch;
use crate::samples::ransomware::{DAMAGED_MEMBER, ZipState};
use crate::samples::{X64, X86, kin};
use roridula_proto::client::chance::Chance;
use std::net::IpAddr;

/// Every capture's zeros are dirty in another place; this many bytes at most.
const DIRT_MAX: usize = 2048;

/// One capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// Of which core.
    pub core: usize,
    /// From where.
    pub source: IpAddr,
    /// What is special to it.
    pub seed: u64,
    /// What the zeros behind the EXE hold; the first capture of a core is clean.
    pub dirt: Option<Dirt>,
}

/// What a group of captures has in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Core {
    /// SHA-256.
    pub sha256: String,
    /// Words of each sentence.
    pub words: Vec<String>,
    /// Whether it comes once only and is unlike all others.
    pub oddity: bool,
    body: Body,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Body {
    /// The worm with this EXE.
    Worm(Box<Chain>, Vec<u8>),
    /// This payload.
    Whole(Vec<u8>),
}

/// All captures, in the order in which they are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cast {
    /// The worm's cores, then the oddities.
    pub cores: Vec<Core>,
    /// The captures.
    pub captures: Vec<Capture>,
}

impl Cast {
    /// So many captures of so many of the worm's cores, three oddities among them.
    pub fn new(captures: u32, cores: u32, seed: u64) -> Self {
        let mut chance = Chance::new(seed ^ 0xca57);
        let mut all: Vec<Core> = (0..cores).map(|number| worm(seed, number)).collect();
        all.extend([kin::miner(seed), kin::notpetya(seed), kin::metasploit_packet(seed)].map(|specimen| {
            Core {
                sha256: specimen.entry.core.clone().unwrap_or_default(),
                words: specimen.entry.words,
                oddity: true,
                body: Body::Whole(specimen.bytes),
            }
        }));
        let (worms, sources) = (cores as usize, (captures / 4).max(2) as usize);
        let ordinary = captures as usize - 3;
        let mut cast: Vec<Capture> = (0..ordinary)
            .map(|number| Capture {
                // Each core at least once; then some come far more often than others, as in life.
                core: if number < worms { number } else { chance.below(chance_bound(number, worms)) },
                source: nth_source(u32::try_from(chance.below(sources)).unwrap_or(0)),
                seed: seed.wrapping_mul(1_000_003).wrapping_add(number as u64),
                dirt: (number >= worms).then(|| {
                    let len = 64 + chance.below(DIRT_MAX - 64);
                    Dirt { at: 4096 * (number % 256) + chance.below(1024), len, seed: number as u64 }
                }),
            })
            .collect();
        for oddity in 0..3 {
            let source = nth_source(u32::try_from(sources).unwrap_or(0) + oddity);
            let capture = Capture { core: worms + oddity as usize, source, seed, dirt: None };
            cast.insert(cast.len() * (oddity as usize + 1) / 4, capture);
        }
        Self { cores: all, captures: cast }
    }

    /// The bytes of a capture.
    pub fn payload(&self, capture: &Capture) -> Vec<u8> {
        match &self.cores[capture.core].body {
            Body::Whole(bytes) => bytes.clone(),
            Body::Worm(chain, exe) => Chain { dirt: capture.dirt, ..chain.as_ref().clone() }.around(exe),
        }
    }
}

/// The first cores come more often than the last.
const fn chance_bound(number: usize, worms: usize) -> usize {
    match number % 3 {
        0 => worms,
        1 => worms.div_ceil(2),
        _ => worms.div_ceil(4),
    }
}

/// One of the worm's cores: each EXE another one, with whatever became of it.
fn worm(seed: u64, number: u32) -> Core {
    let layout = if number.is_multiple_of(2) { X86 } else { X64 };
    let mut chain = Chain::new(layout, seed.wrapping_mul(1000).wrapping_add(u64::from(number)));
    let mut words = Vec::new();
    // A cut one first: among few cores, too, there has to be one that is hard to keep together.
    match (number + 4) % 5 {
        1 => {
            chain.kill_switch = KillSwitch::Zeroed;
            words.push("kill switch (zeroed".to_owned());
        }
        2 => {
            chain.kill_switch = KillSwitch::PatchedOut(Branch::Always);
            words.push("is always taken".to_owned());
        }
        3 => {
            chain.kill_switch = KillSwitch::PatchedOut(Branch::Nothing);
            chain.zip = ZipState::DamagedFrom(20_000);
            words.extend([DAMAGED_MEMBER, "nothing is done at"].map(str::to_owned));
        }
        4 => {
            chain.cut = Cut::Exe(100_000 + 1000 * number as usize);
            words.push("cut off".to_owned());
        }
        _ => {}
    }
    let exe = chain.exe();
    let sha256 = sha256_hex(&exe);
    let size = if layout == X86 { ["x86", "5,267,456"] } else { ["x64", "5,298,176"] };
    words.extend(["WannaCry", size[0], size[1], &sha256[..4]].map(str::to_owned));
    Core { sha256, words, oddity: false, body: Body::Worm(Box::new(chain), exe) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_captures_are_the_same_file_and_cores_repeat() {
        let cast = Cast::new(60, 4, 1);
        assert_eq!(cast.captures.len(), 60);
        assert_eq!(cast.cores.len(), 7);
        let hashes: BTreeSet<String> =
            cast.captures.iter().map(|capture| sha256_hex(&cast.payload(capture))).collect();
        assert_eq!(hashes.len(), 60);
        for (number, core) in cast.cores.iter().enumerate() {
            let count = cast.captures.iter().filter(|capture| capture.core == number).count();
            assert!(if core.oddity { count == 1 } else { count > 2 }, "core {number}: {count}");
        }
    }
}
