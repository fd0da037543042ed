//! What code does with the answer to its question for a kill switch's domain.
//!
//! The published worm compares the handle that InternetOpenUrlA gave with zero and leaves by a `jne` where there is one
//! (Sophos, "WannaCry Aftershock", 2019, shows it with and without the jump). Whoever wants the worm to run everywhere
//! takes the jump away, turns it round, makes its two ways one, or takes away the answer.

use super::super::strings::known;
use iced_x86::{
    ConditionCode, Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic,
    OpAccess, OpKind, Register, RflagsBits,
};

/// Instructions behind the call that are looked at.
const BEHIND: usize = 16;

/// What stands where the answer should decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Undone {
    Nothing,
    Always,
    Never,
    TurnedRound,
    OneWay,
    NotAsked,
}

impl Undone {
    /// In words, of a jump at this place of the file.
    pub(super) fn words(self, at: usize) -> String {
        let how = match self {
            Self::TurnedRound => known::TURNED_ROUND,
            _ => known::PATCHED,
        };
        format!("{how}: {}", self.place(at))
    }

    fn place(self, at: usize) -> String {
        match self {
            Self::Nothing => format!("nothing is done at {at:#x}"),
            Self::Always => format!("the jump at {at:#x} is always taken"),
            Self::Never => format!("the jump at {at:#x} is never taken"),
            Self::TurnedRound => format!("the jump at {at:#x} is the opposite of the original's"),
            Self::OneWay => format!("the jump at {at:#x} leads to the next instruction"),
            Self::NotAsked => format!("the jump at {at:#x} does not ask for the answer"),
        }
    }
}

/// What the flags say that a jump asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flags {
    /// What the call left there: nothing that a compiler would ask.
    Left,
    /// Whether there is an answer.
    Answer,
    /// The same always: something was compared with itself.
    Fixed,
    Other,
}

/// What stands where the answer should decide, and at which address; `None` where it decides, or where that is not
/// clear. `code` starts behind the call.
pub(super) fn undone(code: Decoder<'_>) -> Option<(Undone, u64)> {
    let mut answer = Answer::new();
    let mut idle = None;
    for instruction in code.into_iter().take(BEHIND) {
        let at = instruction.ip();
        let is_asked = matches!(answer.flags, Flags::Answer | Flags::Fixed);
        match (instruction.mnemonic(), instruction.flow_control()) {
            (Mnemonic::Nop, _) if is_asked || idle.is_some() => {
                return Some((Undone::Nothing, idle.unwrap_or(at)));
            }
            (Mnemonic::Nop, _) => idle = Some(at),
            (_, FlowControl::UnconditionalBranch) if is_asked => return Some((Undone::Always, at)),
            (_, FlowControl::ConditionalBranch) => return answer.jump(&instruction).map(|what| (what, at)),
            (_, FlowControl::Next) => {
                answer.follow(&instruction);
                idle = None;
            }
            _ => return None,
        }
    }
    None
}

/// Reads `bytes` as code for either machine, for fuzzing: what is told stands in them.
pub(crate) fn read_answers(bytes: &[u8]) {
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    for bits in [32, 64] {
        let told = undone(Decoder::with_ip(bits, bytes, 0, DecoderOptions::NONE));
        assert!(told.is_none_or(|(_, at)| at < length), "told of a place outside");
    }
}

/// Where the answer is so far.
struct Answer {
    /// Registers that hold it, in full width.
    registers: Vec<Register>,
    flags: Flags,
    factory: InstructionInfoFactory,
}

impl Answer {
    fn new() -> Self {
        Self { registers: vec![Register::RAX], flags: Flags::Left, factory: InstructionInfoFactory::new() }
    }

    fn is_in(&self, register: Register) -> bool {
        self.registers.contains(&register.full_register())
    }

    /// What an instruction that does not branch makes of it.
    fn follow(&mut self, instruction: &Instruction) {
        let first = instruction.op0_register();
        let is_twice = instruction.op0_kind() == OpKind::Register
            && instruction.op1_kind() == OpKind::Register
            && first == instruction.op1_register();
        let mnemonic = instruction.mnemonic();
        if instruction.rflags_modified() & RflagsBits::ZF != 0 {
            let is_zero = instruction.op0_kind() == OpKind::Register
                && instruction.try_immediate(1).is_ok_and(|value| value == 0);
            self.flags = match mnemonic {
                Mnemonic::Test | Mnemonic::Or | Mnemonic::And if is_twice && self.is_in(first) => {
                    Flags::Answer
                }
                Mnemonic::Cmp if is_zero && self.is_in(first) => Flags::Answer,
                Mnemonic::Cmp | Mnemonic::Xor | Mnemonic::Sub if is_twice => Flags::Fixed,
                _ => Flags::Other,
            };
        }
        if is_twice && matches!(mnemonic, Mnemonic::Or | Mnemonic::And | Mnemonic::Mov) {
            return;
        }
        let is_copied = mnemonic == Mnemonic::Mov
            && instruction.op0_kind() == OpKind::Register
            && instruction.op1_kind() == OpKind::Register
            && self.is_in(instruction.op1_register());
        for used in self.factory.info(instruction).used_registers() {
            if matches!(used.access(), OpAccess::Write | OpAccess::ReadWrite | OpAccess::CondWrite) {
                self.registers.retain(|held| *held != used.register().full_register());
            }
        }
        if is_copied {
            self.registers.push(first.full_register());
        }
    }

    /// What is wrong with a jump that should ask for it.
    fn jump(&self, jump: &Instruction) -> Option<Undone> {
        if jump.near_branch_target() == jump.next_ip() {
            return Some(Undone::OneWay);
        }
        match (self.flags, jump.condition_code()) {
            (Flags::Answer, ConditionCode::e) => Some(Undone::TurnedRound),
            (Flags::Fixed, ConditionCode::e) => Some(Undone::Always),
            (Flags::Fixed, ConditionCode::ne) => Some(Undone::Never),
            (Flags::Left, ConditionCode::e | ConditionCode::ne) => Some(Undone::NotAsked),
            _ => None,
        }
    }
}
