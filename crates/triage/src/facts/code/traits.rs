//! Structures that say what code is: read from its instructions, not from anybody's bytes.

use super::sweep::Sweep;
use crate::pe::Machine;
use iced_x86::{Code, FlowControl, Instruction, Mnemonic, OpKind, Register};
use std::collections::BTreeSet;

/// It undoes an encoding.
pub(super) const DECODER: &str = "decoder loop";
/// It walks to the loaded modules.
pub(super) const PEB_WALK: &str = "peb walk";
/// It walks along their list.
pub(super) const MODULE_LIST: &str = "module list";
/// It undoes one that begins within itself.
pub(super) const SELF_DECODING: &str = "self-decoding";
/// It asks the kernel directly.
pub(super) const SYSTEM_CALL: &str = "system call";
/// Bytes between a loop's branch and its start.
const LOOP_BYTES_MAX: u64 = 96;
/// Bytes between code and what it asks for its own place by.
const NEAR: u64 = 64;
/// Bytes between such a call and what it calls: a payload may lie between.
const CALL_NEAR: u64 = 1024;
/// Instructions behind one that something may be done with what it brought.
const AHEAD: usize = 8;
/// The system call's entry point (IA32_LSTAR), which a kernel loader replaces (Intel SDM volume 4, 2.1).
const IA32_LSTAR: u64 = 0xc000_0082;

/// Whether a trait is more than a loop or an instruction that chance makes out of anything.
pub(super) fn tells(told: &str) -> bool {
    !matches!(told, DECODER | SYSTEM_CALL)
}

/// The traits of what was swept, sorted.
pub(super) fn of(sweep: &Sweep) -> Vec<String> {
    let mut found = BTreeSet::new();
    for (at, instruction) in sweep.instructions.iter().enumerate() {
        found.extend(place(sweep, at));
        found.extend(environment(sweep.machine, instruction));
        found.extend(lists_modules(sweep, at).then_some(MODULE_LIST));
        found.extend(hashing(sweep, at, instruction));
        found.extend(privileged(instruction));
        found.extend(decoder(sweep, instruction));
        found.extend(decodes_itself(sweep, at).then_some(SELF_DECODING));
    }
    found.into_iter().map(str::to_owned).collect()
}

/// It finds out where it is.
fn place(sweep: &Sweep, at: usize) -> Option<&'static str> {
    taken(sweep, at).is_some().then_some("getpc")
}

/// The register that an instruction puts the code's own place in, with those behind it, and where that is done.
fn taken(sweep: &Sweep, at: usize) -> Option<(Register, u64)> {
    let instruction = sweep.instructions.get(at)?;
    let calls = instruction.flow_control() == FlowControl::Call && instruction.is_call_near();
    if instruction.mnemonic() == Mnemonic::Lea && instruction.is_ip_rel_memory_operand() {
        let near = instruction.ip_rel_memory_address().abs_diff(instruction.ip()) <= NEAR;
        return near.then_some((instruction.op0_register(), instruction.next_ip()));
    }
    let popped = if calls && instruction.near_branch_target().abs_diff(instruction.ip()) <= CALL_NEAR {
        let mut next = instruction.near_branch_target();
        let road = std::iter::from_fn(|| {
            let held = sweep.at(next)?;
            next = held.next_ip();
            Some(held)
        });
        road.take(3).find(|held| held.mnemonic() == Mnemonic::Pop)
    } else if stores_place(instruction) {
        let ahead = sweep.instructions.get(at..)?;
        ahead.iter().take(AHEAD).find(|held| held.mnemonic() == Mnemonic::Pop)
    } else {
        None
    }?;
    Some((popped.op0_register(), popped.next_ip()))
}

/// It looks for the loaded modules: the thread's block leads to the process's.
fn environment(machine: Machine, instruction: &Instruction) -> Option<&'static str> {
    let (segment, at) = if machine.is_wide() { (Register::GS, 0x60) } else { (Register::FS, 0x30) };
    let is_block = instruction.segment_prefix() == segment && instruction.memory_displacement64() == at;
    (has_memory(instruction) && is_block).then_some(PEB_WALK)
}

/// It takes the loader's data from the process's block, and one of the three lists of modules from those (Windows
/// Internals, "PEB_LDR_DATA"). Chance does not load three times in a row from where it has just loaded from.
fn lists_modules(sweep: &Sweep, at: usize) -> bool {
    let (data, lists) =
        if sweep.machine.is_wide() { (0x18, [0x10, 0x20, 0x30]) } else { (0x0c, [0x0c, 0x14, 0x1c]) };
    let loaded = |from: usize, base: Register, wanted: &[u64]| {
        let ahead = sweep.instructions.iter().enumerate().skip(from.saturating_add(1)).take(AHEAD);
        let mut loads = ahead.filter(|(_, next)| {
            next.mnemonic() == Mnemonic::Mov
                && next.op1_kind() == OpKind::Memory
                && next.memory_base().full_register() == base
                && wanted.contains(&next.memory_displacement64())
        });
        loads.next().map(|(at, next)| (at, next.op0_register().full_register()))
    };
    let Some(block) = sweep.instructions.get(at) else { return false };
    let is_block = block.mnemonic() == Mnemonic::Mov && environment(sweep.machine, block).is_some();
    let base = block.op0_register().full_register();
    let loader = loaded(at, base, &[data]).filter(|_| is_block && base != Register::None);
    loader.is_some_and(|(at, base)| loaded(at, base, &lists).is_some())
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

/// It changes bytes near its own place as soon as it knows that: what follows is encoded, perhaps the loop's own end.
pub(super) fn decodes_itself(sweep: &Sweep, at: usize) -> bool {
    let Some((own, from)) = taken(sweep, at) else { return false };
    let changes = |held: &Instruction| {
        matches!(held.mnemonic(), Mnemonic::Xor | Mnemonic::Add | Mnemonic::Sub)
            && held.op0_kind() == OpKind::Memory
            && held.memory_base() == own
            && held.memory_displacement64().cast_signed().unsigned_abs() <= NEAR
    };
    sweep.instructions.iter().skip_while(|held| held.ip() < from).take(AHEAD).any(changes)
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
