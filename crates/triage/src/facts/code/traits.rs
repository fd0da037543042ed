//! Structures that say what code is: read from its instructions, not from anybody's bytes.

use super::sweep::Sweep;
use iced_x86::{Code, FlowControl, Instruction, Mnemonic, OpKind, Register};
use std::collections::BTreeSet;

/// It undoes an encoding.
pub(super) const DECODER: &str = "decoder loop";
/// It undoes one that begins within itself.
pub(super) const SELF_DECODING: &str = "self-decoding";
/// It asks the kernel directly.
pub(super) const SYSTEM_CALL: &str = "system call";
/// Bytes between a loop's branch and its start.
const LOOP_BYTES_MAX: u64 = 96;
/// The system call's entry point (IA32_LSTAR), which a kernel loader replaces (Intel SDM volume 4, 2.1).
const IA32_LSTAR: u64 = 0xc000_0082;

/// The traits of what was swept, sorted.
pub(super) fn of(sweep: &Sweep) -> Vec<String> {
    let mut found = BTreeSet::new();
    for (at, instruction) in sweep.instructions.iter().enumerate() {
        let next = at.checked_add(1).and_then(|next| sweep.instructions.get(next));
        found.extend(place(sweep, instruction, next));
        found.extend(environment(instruction));
        found.extend(hashing(sweep, at, instruction));
        found.extend(privileged(instruction));
        found.extend(decoder(sweep, instruction));
        found.extend(decodes_itself(sweep, at).then_some(SELF_DECODING));
    }
    found.into_iter().map(str::to_owned).collect()
}

/// It finds out where it is.
fn place(sweep: &Sweep, instruction: &Instruction, next: Option<&Instruction>) -> Option<&'static str> {
    let pops = |instruction: &Instruction| instruction.mnemonic() == Mnemonic::Pop;
    let calls = instruction.flow_control() == FlowControl::Call && instruction.is_call_near();
    let own = calls
        && (instruction.near_branch_target() == instruction.next_ip() && next.is_some_and(pops)
            || sweep.at(instruction.near_branch_target()).is_some_and(pops));
    let relative = instruction.mnemonic() == Mnemonic::Lea && instruction.is_ip_rel_memory_operand();
    (own || stores_place(instruction) || relative).then_some("getpc")
}

/// It looks for the loaded modules: the thread's block leads to the process's.
fn environment(instruction: &Instruction) -> Option<&'static str> {
    let at = instruction.memory_displacement64();
    let (segment, reads) = (instruction.segment_prefix(), has_memory(instruction));
    let block = (segment == Register::FS && at == 0x30) || (segment == Register::GS && at == 0x60);
    (reads && block).then_some("peb walk")
}

/// It computes names' hashes: the step of a known algorithm beside an addition or an exclusive or.
fn hashing(sweep: &Sweep, at: usize, instruction: &Instruction) -> Option<&'static str> {
    let rotates = |mnemonic: Mnemonic, by: u64| {
        instruction.mnemonic() == mnemonic && !has_memory(instruction) && immediate(instruction) == Some(by)
    };
    let near = |wanted: &[Mnemonic]| {
        let around = sweep.instructions.get(at.saturating_sub(4)..).unwrap_or_default();
        around.iter().take(9).any(|near| wanted.contains(&near.mnemonic()))
    };
    if rotates(Mnemonic::Ror, 13) && near(&[Mnemonic::Add]) {
        return Some("ror13 hashes");
    }
    if rotates(Mnemonic::Rol, 7) && near(&[Mnemonic::Xor, Mnemonic::Add]) {
        return Some("rol7 hashes");
    }
    let multiplies = instruction.mnemonic() == Mnemonic::Imul;
    match immediate(instruction) {
        Some(0x0100_0193) if multiplies => Some("fnv1a hashes"),
        Some(0x21) if multiplies => Some("djb2 hashes"),
        _ => None,
    }
}

/// It is for the kernel, or asks it directly.
fn privileged(instruction: &Instruction) -> Option<&'static str> {
    match instruction.mnemonic() {
        Mnemonic::Rdmsr
        | Mnemonic::Wrmsr
        | Mnemonic::Swapgs
        | Mnemonic::Sidt
        | Mnemonic::Sysexit
        | Mnemonic::Sysret => Some("kernel code"),
        Mnemonic::Syscall | Mnemonic::Sysenter => Some(SYSTEM_CALL),
        Mnemonic::Int if immediate(instruction) == Some(0x2e) => Some(SYSTEM_CALL),
        _ if immediate(instruction) == Some(IA32_LSTAR) => Some("system call's entry point"),
        _ => None,
    }
}

/// A short loop that changes memory with one arithmetic step: it undoes an encoding.
fn decoder(sweep: &Sweep, instruction: &Instruction) -> Option<&'static str> {
    let branches = matches!(instruction.flow_control(), FlowControl::ConditionalBranch)
        || matches!(instruction.code(), Code::Loop_rel8_32_ECX | Code::Loop_rel8_64_RCX);
    let start = instruction.near_branch_target();
    let length = instruction.ip().checked_sub(start)?;
    if !branches || length > LOOP_BYTES_MAX {
        return None;
    }
    let first = sweep.instructions.partition_point(|held| held.ip() < start);
    let body = sweep.instructions.get(first..).unwrap_or_default();
    let body = body.iter().take_while(|held| held.ip() < instruction.ip());
    let changes = |held: &Instruction| {
        use Mnemonic::{Add, Not, Rol, Ror, Sub, Xor};
        held.op0_kind() == OpKind::Memory && matches!(held.mnemonic(), Xor | Add | Sub | Rol | Ror | Not)
    };
    body.into_iter().any(changes).then_some(DECODER)
}

/// It changes bytes near the place that it has just asked the FPU for: the rest of such a loop is encoded itself.
pub(super) fn decodes_itself(sweep: &Sweep, at: usize) -> bool {
    let ahead = sweep.instructions.get(at..).unwrap_or_default();
    let mut ahead = ahead.iter().take(8).skip_while(|held| held.mnemonic() != Mnemonic::Pop);
    let asks = sweep.instructions.get(at).is_some_and(stores_place);
    let Some(own) = ahead.next().filter(|_| asks).map(Instruction::op0_register) else { return false };
    let changes = |held: &Instruction| {
        matches!(held.mnemonic(), Mnemonic::Xor | Mnemonic::Add | Mnemonic::Sub)
            && held.op0_kind() == OpKind::Memory
            && held.memory_base() == own
    };
    ahead.any(changes)
}

/// `fnstenv [esp-12]` puts the place of the last FPU instruction on top of the stack (Intel SDM volume 1, 8.1.10).
fn stores_place(instruction: &Instruction) -> bool {
    matches!(instruction.mnemonic(), Mnemonic::Fnstenv | Mnemonic::Fstenv)
        && matches!(instruction.memory_base(), Register::ESP | Register::RSP)
}

fn has_memory(instruction: &Instruction) -> bool {
    (0..instruction.op_count()).any(|at| instruction.op_kind(at) == OpKind::Memory)
}

/// The constant among the operands.
pub(super) fn immediate(instruction: &Instruction) -> Option<u64> {
    let at = (0..instruction.op_count()).find(|&at| {
        use OpKind::{
            Immediate8, Immediate8to16, Immediate8to32, Immediate8to64, Immediate16, Immediate32,
            Immediate32to64, Immediate64,
        };
        matches!(
            instruction.op_kind(at),
            Immediate8
                | Immediate16
                | Immediate32
                | Immediate64
                | Immediate8to16
                | Immediate8to32
                | Immediate8to64
                | Immediate32to64
        )
    })?;
    Some(instruction.immediate(at))
}
