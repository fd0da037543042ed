//! What each instruction does: the subset that decoders and code that looks for functions are made of.

use super::machine::{Cpu, Stop, bytes, mask, refused};
use iced_x86::{ConditionCode, CpuidFeature, Instruction, Mnemonic, OpKind, Register};

/// Runs one instruction (of a repeated one, one turn).
pub(super) fn step(cpu: &mut Cpu) -> Result<(), Stop> {
    let instruction = cpu.fetch()?;
    if instruction.is_invalid() || instruction.has_lock_prefix() {
        return Err(refused(&instruction));
    }
    cpu.ip = instruction.next_ip();
    let done = moves(cpu, &instruction)?
        || arithmetic(cpu, &instruction)?
        || shifts(cpu, &instruction)?
        || products(cpu, &instruction)?
        || stack(cpu, &instruction)?
        || flow(cpu, &instruction)?
        || strings(cpu, &instruction)?
        || others(cpu, &instruction)?;
    done.then_some(()).ok_or_else(|| refused(&instruction))
}

fn moves(cpu: &mut Cpu, i: &Instruction) -> Result<bool, Stop> {
    match i.mnemonic() {
        Mnemonic::Mov | Mnemonic::Movzx => {
            let value = cpu.read(i, 1)?;
            cpu.write(i, 0, value)?;
        }
        Mnemonic::Movsx | Mnemonic::Movsxd => {
            let value = signed(cpu.read(i, 1)?, cpu.size(i, 1));
            cpu.write(i, 0, value.cast_unsigned())?;
        }
        Mnemonic::Lea => {
            let address = cpu.address(i, 1)?;
            cpu.write(i, 0, address)?;
        }
        Mnemonic::Xchg => {
            let (first, second) = (cpu.read(i, 0)?, cpu.read(i, 1)?);
            cpu.write(i, 0, second)?;
            cpu.write(i, 1, first)?;
        }
        Mnemonic::Bswap => {
            let size = cpu.size(i, 0);
            let turned = cpu.read(i, 0)?.swap_bytes();
            cpu.write(i, 0, if size == 4 { turned.wrapping_shr(32) } else { turned })?;
        }
        Mnemonic::Cdq | Mnemonic::Cqo => {
            let (low, high) = if i.mnemonic() == Mnemonic::Cqo {
                (Register::RAX, Register::RDX)
            } else {
                (Register::EAX, Register::EDX)
            };
            let negative = signed(cpu.get(low), low.size()) < 0;
            cpu.set(high, if negative { u64::MAX } else { 0 });
        }
        Mnemonic::Cbw => extend(cpu, Register::AL, Register::AX),
        Mnemonic::Cwde => extend(cpu, Register::AX, Register::EAX),
        Mnemonic::Cdqe => extend(cpu, Register::EAX, Register::RAX),
        _ => return Ok(false),
    }
    Ok(true)
}

fn extend(cpu: &mut Cpu, from: Register, to: Register) {
    let value = signed(cpu.get(from), from.size());
    cpu.set(to, value.cast_unsigned());
}

fn arithmetic(cpu: &mut Cpu, i: &Instruction) -> Result<bool, Stop> {
    use Mnemonic::{Adc, Add, And, Cmp, Dec, Inc, Neg, Not, Or, Sbb, Sub, Test, Xor};
    let mnemonic = i.mnemonic();
    if !matches!(mnemonic, Adc | Add | And | Cmp | Dec | Inc | Neg | Not | Or | Sbb | Sub | Test | Xor) {
        return Ok(false);
    }
    let size = cpu.size(i, 0);
    let first = cpu.read(i, 0)? & mask(size);
    let second = if i.op_count() > 1 { cpu.read(i, 1)? & mask(size) } else { 1 };
    let (carry, before) = (cpu.flags.carry, cpu.flags.carry);
    let result = match mnemonic {
        Add => add(cpu, first, second, false, size),
        Adc => add(cpu, first, second, carry, size),
        Inc => add(cpu, first, 1, false, size),
        Sub | Cmp => subtract(cpu, first, second, false, size),
        Sbb => subtract(cpu, first, second, carry, size),
        Dec => subtract(cpu, first, 1, false, size),
        Neg => subtract(cpu, 0, first, false, size),
        Not => !first,
        And | Test => logic(cpu, first & second, size),
        Or => logic(cpu, first | second, size),
        _ => logic(cpu, first ^ second, size),
    };
    if matches!(mnemonic, Inc | Dec) {
        cpu.flags.carry = before;
    }
    if !matches!(mnemonic, Cmp | Test) {
        cpu.write(i, 0, result)?;
    }
    Ok(true)
}

/// Sets the flags that follow from a result.
fn result(cpu: &mut Cpu, value: u64, size: usize) -> u64 {
    let value = value & mask(size);
    cpu.flags.zero = value == 0;
    cpu.flags.sign = signed(value, size) < 0;
    cpu.flags.parity = (value & 0xff).count_ones() & 1 == 0;
    value
}

fn add(cpu: &mut Cpu, first: u64, second: u64, carry: bool, size: usize) -> u64 {
    let sum = u128::from(first).wrapping_add(second.into()).wrapping_add(carry.into());
    let value = result(cpu, first.wrapping_add(second).wrapping_add(carry.into()), size);
    cpu.flags.carry = sum > u128::from(mask(size));
    cpu.flags.overflow = signed((first ^ value) & (second ^ value), size) < 0;
    value
}

fn subtract(cpu: &mut Cpu, first: u64, second: u64, carry: bool, size: usize) -> u64 {
    let value = result(cpu, first.wrapping_sub(second).wrapping_sub(carry.into()), size);
    cpu.flags.carry = u128::from(first) < u128::from(second).wrapping_add(carry.into());
    cpu.flags.overflow = signed((first ^ second) & (first ^ value), size) < 0;
    value
}

fn logic(cpu: &mut Cpu, value: u64, size: usize) -> u64 {
    cpu.flags.carry = false;
    cpu.flags.overflow = false;
    result(cpu, value, size)
}

fn shifts(cpu: &mut Cpu, i: &Instruction) -> Result<bool, Stop> {
    use Mnemonic::{Rol, Ror, Sal, Sar, Shl, Shr};
    let mnemonic = i.mnemonic();
    if !matches!(mnemonic, Rol | Ror | Sal | Sar | Shl | Shr) {
        return Ok(false);
    }
    let size = cpu.size(i, 0);
    let width = u32::try_from(size).unwrap_or(8).saturating_mul(8);
    let value = cpu.read(i, 0)? & mask(size);
    let count = cpu.read(i, 1)? & if size == 8 { 0x3f } else { 0x1f };
    let count = u32::try_from(count).unwrap_or(0);
    if count == 0 {
        return Ok(true);
    }
    // Widths are powers of two.
    let turn = count & width.wrapping_sub(1);
    let rotated = |left: u32| {
        let wide = u128::from(value);
        let both = wide | wide.wrapping_shl(width);
        u64::try_from(both.wrapping_shr(width.wrapping_sub(left)) & u128::from(mask(size))).unwrap_or(0)
    };
    let top = width.wrapping_sub(1);
    let value = match mnemonic {
        Rol => {
            let value = rotated(turn);
            cpu.flags.carry = value & 1 != 0;
            value
        }
        Ror => {
            let value = rotated(width.wrapping_sub(turn) & top);
            cpu.flags.carry = bit(value, top);
            value
        }
        Shl | Sal => {
            cpu.flags.carry = count <= width && bit(value, width.wrapping_sub(count));
            result(cpu, value.checked_shl(count).unwrap_or(0), size)
        }
        Shr => {
            cpu.flags.carry = bit(value, count.wrapping_sub(1));
            result(cpu, value.checked_shr(count).unwrap_or(0), size)
        }
        _ => {
            let wide = signed(value, size);
            cpu.flags.carry = bit(wide.cast_unsigned(), count.wrapping_sub(1));
            result(cpu, wide.wrapping_shr(count).cast_unsigned(), size)
        }
    };
    cpu.write(i, 0, value)?;
    Ok(true)
}

fn bit(value: u64, number: u32) -> bool {
    value.checked_shr(number).unwrap_or(0) & 1 != 0
}

fn products(cpu: &mut Cpu, i: &Instruction) -> Result<bool, Stop> {
    let mnemonic = i.mnemonic();
    if mnemonic == Mnemonic::Imul && i.op_count() > 1 {
        let left = if i.op_count() == 3 { 1 } else { 0 };
        let right = if i.op_count() == 3 { 2 } else { 1 };
        let size = cpu.size(i, 0);
        let left = i128::from(signed(cpu.read(i, left)?, size));
        let product = left.wrapping_mul(signed(cpu.read(i, right)?, size).into());
        let value = u64::try_from(product.cast_unsigned() & u128::from(mask(size))).unwrap_or(0);
        cpu.flags.carry = i128::from(signed(value, size)) != product;
        cpu.flags.overflow = cpu.flags.carry;
        cpu.write(i, 0, value)?;
        return Ok(true);
    }
    if !matches!(mnemonic, Mnemonic::Mul | Mnemonic::Imul | Mnemonic::Div) {
        return Ok(false);
    }
    let (low, high) = match cpu.size(i, 0) {
        8 => (Register::RAX, Register::RDX),
        4 => (Register::EAX, Register::EDX),
        2 => (Register::AX, Register::DX),
        _ => (Register::AL, Register::AH),
    };
    let size = low.size();
    let width = u32::try_from(size).unwrap_or(8).saturating_mul(8);
    let by = cpu.read(i, 0)? & mask(size);
    let half = |value: u128| u64::try_from(value & u128::from(mask(size))).unwrap_or(0);
    if mnemonic == Mnemonic::Div {
        let whole = u128::from(cpu.get(high)).wrapping_shl(width) | u128::from(cpu.get(low));
        let quotient = whole.checked_div(by.into()).ok_or(Stop::Trap)?;
        let rest = whole.checked_rem(by.into()).ok_or(Stop::Trap)?;
        if quotient > u128::from(mask(size)) {
            return Err(Stop::Trap);
        }
        cpu.set(low, half(quotient));
        cpu.set(high, half(rest));
        return Ok(true);
    }
    let product = if mnemonic == Mnemonic::Mul {
        u128::from(cpu.get(low)).wrapping_mul(by.into())
    } else {
        i128::from(signed(cpu.get(low), size)).wrapping_mul(signed(by, size).into()).cast_unsigned()
    };
    cpu.set(low, half(product));
    cpu.set(high, half(product.wrapping_shr(width)));
    cpu.flags.carry = half(product.wrapping_shr(width)) != 0;
    cpu.flags.overflow = cpu.flags.carry;
    Ok(true)
}

/// The registers of `pushad`, in the order that it pushes them.
const ALL: [Register; 8] = [
    Register::EAX,
    Register::ECX,
    Register::EDX,
    Register::EBX,
    Register::ESP,
    Register::EBP,
    Register::ESI,
    Register::EDI,
];

fn stack(cpu: &mut Cpu, i: &Instruction) -> Result<bool, Stop> {
    let word = cpu.word();
    match i.mnemonic() {
        Mnemonic::Push => {
            let size =
                if i.op_kind(0) == OpKind::Register || cpu.size(i, 0) == 2 { cpu.size(i, 0) } else { word };
            let value = cpu.read(i, 0)?;
            cpu.push(value, size)?;
        }
        Mnemonic::Pop => {
            let value = cpu.pop(cpu.size(i, 0))?;
            cpu.write(i, 0, value)?;
        }
        Mnemonic::Pushad => {
            let stack = cpu.get(Register::ESP);
            for register in ALL {
                let value = if register == Register::ESP { stack } else { cpu.get(register) };
                cpu.push(value, 4)?;
            }
        }
        Mnemonic::Popad => {
            for register in ALL.iter().rev() {
                let value = cpu.pop(4)?;
                if *register != Register::ESP {
                    cpu.set(*register, value);
                }
            }
        }
        Mnemonic::Leave => {
            let frame = if word == 8 { Register::RBP } else { Register::EBP };
            cpu.set(cpu.stack_register(), cpu.get(frame));
            let value = cpu.pop(word)?;
            cpu.set(frame, value);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn flow(cpu: &mut Cpu, i: &Instruction) -> Result<bool, Stop> {
    let near = matches!(i.op0_kind(), OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64);
    let target = |cpu: &Cpu| if near { Ok(i.near_branch_target()) } else { cpu.read(i, 0) };
    let counter =
        if i.mnemonic() == Mnemonic::Jrcxz || cpu.bits == 64 { Register::RCX } else { Register::ECX };
    match i.mnemonic() {
        Mnemonic::Jmp if !i.is_jmp_far() && !i.is_jmp_far_indirect() => cpu.ip = target(cpu)?,
        Mnemonic::Call if !i.is_call_far() && !i.is_call_far_indirect() => {
            let target = target(cpu)?;
            cpu.push(i.next_ip(), cpu.word())?;
            cpu.ip = target;
        }
        Mnemonic::Ret => {
            cpu.ip = cpu.pop(cpu.word())?;
            let more = if i.op_count() > 0 { i.immediate(0) & 0xffff } else { 0 };
            let stack = cpu.stack_register();
            cpu.set(stack, cpu.get(stack).wrapping_add(more));
        }
        Mnemonic::Loop | Mnemonic::Loope | Mnemonic::Loopne => {
            let left = cpu.get(counter).wrapping_sub(1) & mask(counter.size());
            cpu.set(counter, left);
            let goes = match i.mnemonic() {
                Mnemonic::Loope => cpu.flags.zero,
                Mnemonic::Loopne => !cpu.flags.zero,
                _ => true,
            };
            if left != 0 && goes {
                cpu.ip = i.near_branch_target();
            }
        }
        Mnemonic::Jecxz | Mnemonic::Jrcxz => {
            let counter = if i.mnemonic() == Mnemonic::Jecxz { Register::ECX } else { counter };
            if cpu.get(counter) == 0 {
                cpu.ip = i.near_branch_target();
            }
        }
        _ if i.is_jcc_short_or_near() => {
            if holds(cpu, i.condition_code()) {
                cpu.ip = i.near_branch_target();
            }
        }
        // SETcc and CMOVcc.
        _ if i.condition_code() != ConditionCode::None && i.op_count() == 1 => {
            let value = holds(cpu, i.condition_code()).into();
            cpu.write(i, 0, value)?;
        }
        _ if i.condition_code() != ConditionCode::None && i.op_count() == 2 => {
            let value = cpu.read(i, if holds(cpu, i.condition_code()) { 1 } else { 0 })?;
            cpu.write(i, 0, value)?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn holds(cpu: &Cpu, condition: ConditionCode) -> bool {
    let flags = cpu.flags;
    let less = flags.sign != flags.overflow;
    match condition {
        ConditionCode::None => true,
        ConditionCode::o => flags.overflow,
        ConditionCode::no => !flags.overflow,
        ConditionCode::b => flags.carry,
        ConditionCode::ae => !flags.carry,
        ConditionCode::e => flags.zero,
        ConditionCode::ne => !flags.zero,
        ConditionCode::be => flags.carry || flags.zero,
        ConditionCode::a => !flags.carry && !flags.zero,
        ConditionCode::s => flags.sign,
        ConditionCode::ns => !flags.sign,
        ConditionCode::p => flags.parity,
        ConditionCode::np => !flags.parity,
        ConditionCode::l => less,
        ConditionCode::ge => !less,
        ConditionCode::le => less || flags.zero,
        ConditionCode::g => !less && !flags.zero,
    }
}

fn strings(cpu: &mut Cpu, i: &Instruction) -> Result<bool, Stop> {
    use Mnemonic::{
        Cmpsb, Cmpsd, Lodsb, Lodsd, Lodsq, Lodsw, Movsb, Movsd, Movsq, Movsw, Scasb, Scasd, Stosb, Stosd,
        Stosq, Stosw,
    };
    // `movsd` and `cmpsd` are names of vector instructions too.
    if !i.is_string_instruction() {
        return Ok(false);
    }
    let wide = cpu.bits == 64;
    let pick = |long, short| if wide { long } else { short };
    let counter = pick(Register::RCX, Register::ECX);
    let repeated = i.has_rep_prefix() || i.has_repne_prefix();
    if repeated && cpu.get(counter) == 0 {
        return Ok(true);
    }
    let (from, to) = (pick(Register::RSI, Register::ESI), pick(Register::RDI, Register::EDI));
    let mnemonic = i.mnemonic();
    let size = i.memory_size().size();
    let (moves_from, moves_to) = match mnemonic {
        Lodsb | Lodsw | Lodsd | Lodsq => (true, false),
        Stosb | Stosw | Stosd | Stosq | Scasb | Scasd => (false, true),
        Movsb | Movsw | Movsd | Movsq | Cmpsb | Cmpsd => (true, true),
        _ => return Ok(false),
    };
    let compares = matches!(mnemonic, Scasb | Scasd | Cmpsb | Cmpsd);
    if compares {
        let (first, second) = (cpu.read(i, 0)?, cpu.read(i, 1)?);
        subtract(cpu, first, second, false, size);
    } else {
        let value = cpu.read(i, 1)?;
        cpu.write(i, 0, value)?;
    }
    let advance = if cpu.flags.direction { bytes(size).wrapping_neg() } else { bytes(size) };
    for (register, moved) in [(from, moves_from), (to, moves_to)] {
        if moved {
            cpu.set(register, cpu.get(register).wrapping_add(advance));
        }
    }
    if repeated {
        let left = cpu.get(counter).wrapping_sub(1) & mask(counter.size());
        cpu.set(counter, left);
        let differs = compares && cpu.flags.zero == i.has_repne_prefix();
        if left != 0 && !differs {
            cpu.ip = i.ip();
        }
    }
    Ok(true)
}

fn others(cpu: &mut Cpu, i: &Instruction) -> Result<bool, Stop> {
    match i.mnemonic() {
        Mnemonic::Nop | Mnemonic::Pause | Mnemonic::Endbr32 | Mnemonic::Endbr64 | Mnemonic::Wait => {}
        Mnemonic::Cld => cpu.flags.direction = false,
        Mnemonic::Std => cpu.flags.direction = true,
        Mnemonic::Clc => cpu.flags.carry = false,
        Mnemonic::Stc => cpu.flags.carry = true,
        Mnemonic::Cmc => cpu.flags.carry = !cpu.flags.carry,
        Mnemonic::Fnstenv => {
            // The fourth word is the place of the last floating-point instruction (Intel SDM volume 1, 8.1.10).
            let at = cpu.address(i, 0)?;
            cpu.store(at.wrapping_add(12), 4, cpu.last_float)?;
        }
        _ if i.cpuid_features().contains(&CpuidFeature::FPU) => cpu.last_float = i.ip(),
        _ => return Ok(false),
    }
    Ok(true)
}

/// A value of `size` bytes with its sign.
fn signed(value: u64, size: usize) -> i64 {
    let unused = 64u32.saturating_sub(mask(size).count_ones());
    value.wrapping_shl(unused).cast_signed().wrapping_shr(unused)
}
