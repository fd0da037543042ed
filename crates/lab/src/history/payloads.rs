//! What the visitors of the past bring: look-alikes of a few families, many variants, no two bytes for bytes alike.

use crate::samples::chain::{Chain, Dirt, KillSwitch};
use crate::samples::cli::Arch;
use crate::samples::pe::Branch;
use crate::samples::ransomware::ZipState;
use crate::samples::{base64_like, kin, metasploit, small_dll};
use roridula_proto::client::chance::Chance;
use std::collections::HashMap;
use std::sync::Arc;

/// One sample's recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Recipe {
    /// The worm as large as in life: which of its cores, and which dirt behind its EXE (0: none).
    Worm(u8, u32),
    /// A small DLL behind a stub: which core, and which garbage behind it (0: none).
    Dll(u32, u32),
    /// One of the kin of the samples' world.
    Kin(u8, u32),
    /// Metasploit's one packet.
    Packet(u32),
}

/// Different worm cores.
const WORMS: u8 = 5;
/// The whole worm is 5 MB: of a large past it has no more than these.
const WORMS_MAX: usize = 24;
/// Kin are up to some hundred KB.
const KIN_MAX: usize = 12;
/// Kinds of kin.
const KINDS: u8 = 3;

impl Recipe {
    /// So many different ones, in the order in which they first come.
    pub(super) fn list(count: usize, seed: u64) -> Vec<Self> {
        let mut chance = Chance::new(seed ^ 0x5a3b);
        let worms = (count / 3).clamp(1, WORMS_MAX);
        let kin = (count / 10).clamp(1, KIN_MAX);
        let packets = count / 12;
        let mut list: Vec<Self> = Vec::new();
        for number in 0..worms {
            // The first of each core is clean.
            let core = number % usize::from(WORMS);
            list.push(Self::Worm(core as u8, (number / usize::from(WORMS)) as u32));
        }
        list.extend(
            (0..kin).map(|number| Self::Kin(number as u8 % KINDS, (number / usize::from(KINDS)) as u32)),
        );
        list.extend((0..packets).map(|number| Self::Packet(number as u32)));
        let rest = count.saturating_sub(list.len());
        // Few cores have many variants, many have few, as in life.
        let mut core = 0;
        let mut left = 0;
        let mut variant = 0;
        for _ in 0..rest {
            if left == 0 {
                (core, variant) = (core + 1, 0);
                left = 1 + chance.below(1 + chance_of(core, rest));
            }
            list.push(Self::Dll(core, variant));
            (left, variant) = (left - 1, variant + 1);
        }
        // By chance, but every core's clean one first.
        let mut order: Vec<(u64, Self)> =
            list.into_iter().map(|recipe| (chance.next_u64() >> 8, recipe)).collect();
        order.sort_by_key(|(place, _)| *place);
        let mut list: Vec<Self> = order.into_iter().map(|(_, recipe)| recipe).collect();
        // What is new at the end of a past is what an analyst looks for: an oddity.
        if let Some(oddity) = list.iter().position(|recipe| matches!(recipe, Self::Kin(0, 0))) {
            let oddity = list.remove(oddity);
            list.push(oddity);
        }
        list
    }

    /// For which machine; the implant says it.
    pub(super) const fn arch(self) -> Arch {
        match self {
            Self::Worm(core, _) if core.is_multiple_of(2) => Arch::X86,
            Self::Kin(kind, _) if kind != 0 => Arch::X86,
            Self::Dll(core, _) if !core.is_multiple_of(2) => Arch::X86,
            _ => Arch::X64,
        }
    }
}

fn chance_of(core: u32, rest: usize) -> usize {
    if core.is_multiple_of(9) { rest / 12 } else { 6 }
}

/// Makes payloads, and keeps what costs time: the worm's EXEs, and the last one made.
#[derive(Debug)]
pub(super) struct Kitchen {
    seed: u64,
    exes: HashMap<u8, Arc<[u8]>>,
    last: Option<(Recipe, Arc<[u8]>)>,
}

impl Kitchen {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, exes: HashMap::new(), last: None }
    }

    /// The bytes of a recipe.
    pub(super) fn make(&mut self, recipe: Recipe) -> Arc<[u8]> {
        if let Some((_, bytes)) = self.last.as_ref().filter(|(last, _)| *last == recipe) {
            return Arc::clone(bytes);
        }
        let seed = self.seed.wrapping_mul(1_000_003);
        let bytes: Arc<[u8]> = match recipe {
            Recipe::Worm(core, variant) => self.worm(core, variant).into(),
            Recipe::Dll(core, variant) => {
                let number = seed.wrapping_add(u64::from(core));
                let layout = recipe.arch().layout();
                let size = 4096 + 512 * (core as usize % 5);
                with_tail(small_dll(layout, size, number), variant, number)
            }
            Recipe::Kin(kind, variant) => {
                let number = seed.wrapping_add(u64::from(variant));
                let specimen = match kind {
                    0 => kin::miner(number),
                    1 => kin::notpetya(number),
                    _ => kin::conficker(number),
                };
                specimen.bytes.into()
            }
            Recipe::Packet(number) => metasploit(seed.wrapping_add(u64::from(number))).into(),
        };
        self.last = Some((recipe, Arc::clone(&bytes)));
        bytes
    }

    fn worm(&mut self, core: u8, variant: u32) -> Vec<u8> {
        let seed = self.seed.wrapping_mul(100).wrapping_add(u64::from(core));
        let mut chain = Chain::new(*Recipe::Worm(core, variant).arch().layout(), seed);
        match core {
            1 => chain.kill_switch = KillSwitch::Zeroed,
            2 => chain.kill_switch = KillSwitch::PatchedOut(Branch::Always),
            3 => {
                chain.kill_switch = KillSwitch::PatchedOut(Branch::Always);
                chain.zip = ZipState::DamagedFrom(20_000);
            }
            4 => {
                chain.kill_switch =
                    KillSwitch::Url("http://www.ifferfsodp9ifjaposdfjhgosurijfaewrwergwea.com");
            }
            _ => {}
        }
        if variant > 0 {
            let at = 4096 * (variant as usize % 200);
            chain.dirt = Some(Dirt { at, len: 600 + variant as usize % 1000, seed: u64::from(variant) });
        }
        let exe = self.exes.entry(core).or_insert_with(|| chain.exe().into());
        chain.around(exe)
    }
}

/// The payload with garbage behind it; 0 is without.
fn with_tail(mut payload: Vec<u8>, variant: u32, number: u64) -> Arc<[u8]> {
    if variant > 0 {
        let len = 32 + (variant as usize % 480);
        payload.extend(base64_like(len, number ^ u64::from(variant) << 32));
    }
    payload.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::cli::sha256_hex;
    use std::collections::BTreeSet;

    #[test]
    fn recipes_are_as_many_as_asked_for_and_all_different() {
        for count in [12, 60, 900] {
            let list = Recipe::list(count, 1);
            assert_eq!(list.len(), count);
            assert_eq!(list.iter().map(|recipe| format!("{recipe:?}")).collect::<BTreeSet<_>>().len(), count);
            assert_eq!(list, Recipe::list(count, 1));
        }
        let small = Recipe::list(200, 1).into_iter().filter(|recipe| !matches!(recipe, Recipe::Worm(..)));
        let mut kitchen = Kitchen::new(1);
        let hashes: BTreeSet<String> =
            small.clone().map(|recipe| sha256_hex(&kitchen.make(recipe))).collect();
        assert_eq!(hashes.len(), small.count());
    }
}
