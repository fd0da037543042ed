//! Disassembly along the branches, from the likeliest start.

use super::{apis, traits};
use crate::pe::Machine;
use iced_x86::{
    Code, Decoder, DecoderOptions, FlowControl, Formatter, Instruction, IntelFormatter, Mnemonic,
};
use std::collections::BTreeMap;

/// Instructions that one sweep decodes.
const INSTRUCTIONS_MAX: usize = 8_000;
/// So many bytes of one value fill the front; fewer are code.
const FILLED_MIN: usize = 4;
/// Shorter texts are what code may look like.
const TEXT_MIN: usize = 32;
/// Places of one mark that are tried.
const MARKS_MAX: usize = 6;
/// Places that read the process's block, and how many bytes in front of one the code may start.
const BLOCKS_MAX: usize = 2;
const BEFORE_BLOCK: usize = 16;
/// Functions that a start is judged by.
const TOLD_MAX: usize = 16;
/// Instructions that a start is judged by.
const TRIAL_MAX: usize = 400;

/// What is reached from one start.
#[derive(Debug)]
pub(super) struct Sweep {
    pub(super) machine: Machine,
    /// Where it starts, in bytes.
    pub(super) entry: u64,
    /// In the order of their places.
    pub(super) instructions: Vec<Instruction>,
    /// Roads that led into bytes that are no instruction, or one that no program has.
    pub(super) bad: u32,
}

impl Sweep {
    /// The start from which most is told, then most is reached with the fewest wrong turns; `None` for bytes that are
    /// mostly text, which decode well and mean nothing.
    pub(super) fn likeliest(hint: Option<Machine>, bytes: &[u8]) -> Option<Self> {
        let front = filled(bytes);
        if is_text(bytes.get(front..)?) {
            return None;
        }
        let machines = match hint {
            Some(Machine::X86) => &[Machine::X86][..],
            Some(Machine::X64) => &[Machine::X64],
            _ => &[Machine::X86, Machine::X64],
        };
        let starts = starts(bytes, front);
        let trials = machines.iter().flat_map(|&machine| starts.iter().map(move |&start| (machine, start)));
        let trials = trials.map(|(machine, start)| Self::from(machine, bytes, start, TRIAL_MAX));
        // The first of equals: the earlier start, and 32 bits.
        let best = trials.map(|sweep| (sweep.score(), sweep)).reduce(|best, next| match next.0 > best.0 {
            true => next,
            false => best,
        });
        let (_, best) = best?;
        Some(Self::from(best.machine, bytes, best.entry, INSTRUCTIONS_MAX))
    }

    /// How much it tells, and how well it decodes. What chance makes out of anything tells nothing.
    fn score(&self) -> (usize, i64) {
        let good = i64::try_from(self.instructions.len()).unwrap_or(0);
        let told = traits::of(self).iter().filter(|told| traits::tells(told)).count();
        let decodes = usize::from((0..self.instructions.len()).any(|at| traits::decodes_itself(self, at)));
        let told = told.saturating_add(decodes.saturating_mul(4));
        (
            told.saturating_add(apis::named(self, TOLD_MAX).len()),
            good.saturating_sub(i64::from(self.bad).saturating_mul(24)),
        )
    }

    /// Decodes from `entry` along the branches, at most `max` instructions.
    fn from(machine: Machine, bytes: &[u8], entry: u64, max: usize) -> Self {
        let bits = if machine.is_wide() { 64 } else { 32 };
        let mut seen: BTreeMap<u64, Instruction> = BTreeMap::new();
        let mut roads = vec![entry];
        let mut bad = 0u32;
        let mut decoder = Decoder::new(bits, bytes, DecoderOptions::NONE);
        while let Some(road) = roads.pop() {
            let Ok(place) = usize::try_from(road) else { continue };
            if decoder.set_position(place).is_err() {
                continue;
            }
            decoder.set_ip(road);
            while decoder.can_decode() && seen.len() < max && !seen.contains_key(&decoder.ip()) {
                let instruction = decoder.decode();
                if !is_plausible(&instruction) {
                    bad = bad.saturating_add(1);
                    break;
                }
                let goes_on = follow(&instruction, bytes.len(), &mut roads);
                seen.insert(instruction.ip(), instruction);
                if !goes_on {
                    break;
                }
            }
        }
        Self { machine, entry, instructions: seen.into_values().collect(), bad }
    }

    /// The instruction at a place.
    pub(super) fn at(&self, place: u64) -> Option<&Instruction> {
        let found = self.instructions.binary_search_by_key(&place, Instruction::ip).ok()?;
        self.instructions.get(found)
    }

    /// The first instructions as text, each with its place.
    pub(super) fn listing(&self, max: usize) -> Vec<String> {
        let mut formatter = IntelFormatter::new();
        let mut text = String::new();
        let from_entry = self.instructions.iter().filter(|instruction| instruction.ip() >= self.entry);
        let line = |instruction: &Instruction| {
            text.clear();
            formatter.format(instruction, &mut text);
            format!("{:04x}  {text}", instruction.ip())
        };
        from_entry.take(max).map(line).collect()
    }
}

/// Notes where an instruction branches to; says whether the next one in the row follows.
fn follow(instruction: &Instruction, len: usize, roads: &mut Vec<u64>) -> bool {
    let flow = instruction.flow_control();
    let branches =
        matches!(flow, FlowControl::Call | FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch);
    if branches {
        let target = instruction.near_branch_target();
        if usize::try_from(target).is_ok_and(|target| target < len) && roads.len() < INSTRUCTIONS_MAX {
            roads.push(target);
        }
    }
    // `int3` and `ud2` end a road too.
    !matches!(
        flow,
        FlowControl::UnconditionalBranch
            | FlowControl::IndirectBranch
            | FlowControl::Return
            | FlowControl::Interrupt
            | FlowControl::Exception
    ) || instruction.code() == Code::Int_imm8
}

/// No program of today has these; noise has one of them soon.
fn is_plausible(instruction: &Instruction) -> bool {
    use Mnemonic::*;
    !instruction.is_invalid()
        && !matches!(
            instruction.mnemonic(),
            INVALID
                | In
                | Out
                | Insb
                | Insd
                | Insw
                | Outsb
                | Outsd
                | Outsw
                | Hlt
                | Arpl
                | Bound
                | Daa
                | Das
                | Aaa
                | Aas
                | Aam
                | Aad
                | Into
                | Les
                | Lds
                | Iret
                | Iretd
                | Salc
                | Retf
        )
}

/// How many bytes of one value fill the front.
fn filled(bytes: &[u8]) -> usize {
    let first = bytes.first().copied().unwrap_or(0);
    let filled = bytes.iter().take_while(|byte| **byte == first).count();
    if filled < FILLED_MIN { 0 } else { filled }
}

/// Where code may start: at the front, behind what fills it, and where it looks for its own place or for its process.
fn starts(bytes: &[u8], front: usize) -> Vec<u64> {
    let mut starts = vec![front];
    // E8 00000000: call the next instruction. D9 74 24: fnstenv [esp-..]. FC: cld, with which many begin.
    let marks: [&[u8]; 4] =
        [&[0xe8, 0, 0, 0, 0], &[0xd9, 0x74, 0x24], &[0xfc, 0xe8], &[0xfc, 0x48, 0x83, 0xe4]];
    for mark in marks {
        let found = bytes.windows(mark.len()).enumerate().filter(|(_, part)| *part == mark);
        starts.extend(found.map(|(at, _)| at).take(MARKS_MAX));
    }
    // A text in front decodes, too, and runs on into the code.
    let mark = starts.iter().copied().skip(1).min().unwrap_or(front);
    let between = bytes.get(front..mark).unwrap_or_default();
    let is_led = between.len() >= TEXT_MIN && is_text(between);
    let first = if is_led { mark } else { front };
    starts.retain(|&start| start >= first);
    // Some instructions stand in front of the one that reads FS:[30h] or GS:[60h], where the process's block is.
    let reads_block = |part: &[u8]| {
        matches!(
            part,
            [0x64, 0xa1, 0x30, ..]
                | [0x64, 0x8b, _, 0x30, ..]
                | [0x65, 0x48 | 0x4c, 0x8b, _, 0x60, ..]
                | [0x65, 0x48 | 0x4c, 0x8b, _, 0x25, 0x60]
        )
    };
    let blocks = bytes.windows(6).enumerate().filter(|(_, part)| reads_block(part)).take(BLOCKS_MAX);
    starts.extend(blocks.flat_map(|(at, _)| at.saturating_sub(BEFORE_BLOCK).max(first)..=at));
    starts.sort_unstable();
    starts.dedup();
    starts
        .into_iter()
        .filter(|start| *start < bytes.len())
        .filter_map(|start| u64::try_from(start).ok())
        .collect()
}

/// Text is printable in nine bytes of ten.
fn is_text(bytes: &[u8]) -> bool {
    let printable = bytes.iter().filter(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()).count();
    printable.saturating_mul(10) >= bytes.len().saturating_mul(9)
}
