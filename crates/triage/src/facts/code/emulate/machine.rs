//! Registers, flags and memory of the machine that code is interpreted on: one flat piece of memory and nothing else.

use iced_x86::{Decoder, DecoderOptions, Instruction, OpKind, Register};

/// Where memory starts; code lies at its front.
pub(super) const BASE: u64 = 0x40_0000;
/// All memory there is, in bytes.
pub(super) const MEMORY_BYTES: usize = 0x10_0000;
/// Where, from the front of memory, Windows' structures stand; code and what it writes behind itself come before.
pub(super) const ENVIRONMENT_AT: usize = 0x2_0000;
/// Where, from the front of memory, allocations start.
pub(super) const HEAP_AT: usize = 0x6_0000;
/// Where, from the front of memory, allocations end and the stack begins.
pub(super) const HEAP_END: usize = 0xa_0000;
/// The stack's first place: it grows down, and what lies above belongs to the caller.
const STACK_AT: u64 = BASE + 0xf_0000;
/// Where the thread's block stands.
pub(super) const THREAD_BLOCK: u64 = BASE + 0x2_0000;
/// Returning to here ends the program.
pub(super) const CALLER: u64 = 0x6000_0000;

/// Why code goes no further.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It reads, writes or runs what is not there.
    Memory(u64),
    /// An instruction that is not interpreted.
    Instruction(String),
    /// An arithmetic trap.
    Trap,
    /// The number of steps is used up.
    Steps,
    /// It came to its end, as it says.
    End(&'static str),
}

/// The flags that branches read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flags {
    pub(super) carry: bool,
    pub(super) parity: bool,
    pub(super) zero: bool,
    pub(super) sign: bool,
    pub(super) overflow: bool,
    pub(super) direction: bool,
}

/// The machine.
pub(super) struct Cpu {
    pub(super) bits: u32,
    pub(super) ip: u64,
    pub(super) flags: Flags,
    /// The place of the last instruction for the floating-point unit, which `fnstenv` tells.
    pub(super) last_float: u64,
    registers: [u64; 16],
    memory: Vec<u8>,
    /// Which bytes the code itself wrote.
    written: Vec<bool>,
}

impl Cpu {
    /// A machine with `code` at [`BASE`] and the stack ready.
    pub(super) fn new(bits: u32, code: &[u8], entry: u64) -> Self {
        let mut memory = vec![0; MEMORY_BYTES];
        memory.iter_mut().zip(code).for_each(|(place, byte)| *place = *byte);
        let ip = BASE.wrapping_add(entry);
        let mut cpu = Self {
            bits,
            ip,
            flags: Flags::default(),
            last_float: ip,
            registers: [0; 16],
            memory,
            written: vec![false; MEMORY_BYTES],
        };
        cpu.set(cpu.stack_register(), STACK_AT);
        cpu.put(STACK_AT, &CALLER.to_le_bytes());
        cpu
    }

    pub(super) fn word(&self) -> usize {
        if self.bits == 64 { 8 } else { 4 }
    }

    pub(super) fn stack_register(&self) -> Register {
        if self.bits == 64 { Register::RSP } else { Register::ESP }
    }

    /// The instruction at the instruction pointer, read anew each time: code changes itself.
    pub(super) fn fetch(&self) -> Result<Instruction, Stop> {
        let at = self.offset(self.ip, 1)?;
        let bytes = self.memory.get(at..).unwrap_or_default();
        let bytes = bytes.get(..15).unwrap_or(bytes);
        Ok(Decoder::with_ip(self.bits, bytes, self.ip, DecoderOptions::NONE).decode())
    }

    pub(super) fn get(&self, register: Register) -> u64 {
        let full = self.registers.get(register.full_register().number()).copied().unwrap_or(0);
        match register {
            Register::AH | Register::CH | Register::DH | Register::BH => full.wrapping_shr(8) & 0xff,
            _ => full & mask(register.size()),
        }
    }

    pub(super) fn set(&mut self, register: Register, value: u64) {
        let Some(full) = self.registers.get_mut(register.full_register().number()) else { return };
        *full = match (register, register.size()) {
            (Register::AH | Register::CH | Register::DH | Register::BH, _) => {
                (*full & !0xff00) | (value & 0xff).wrapping_shl(8)
            }
            // A 32-bit result clears the upper half.
            (_, 4) => value & mask(4),
            (_, size) => (*full & !mask(size)) | (value & mask(size)),
        };
    }

    fn offset(&self, address: u64, size: usize) -> Result<usize, Stop> {
        let at = address.checked_sub(BASE).and_then(|at| usize::try_from(at).ok());
        at.filter(|at| at.saturating_add(size) <= MEMORY_BYTES).ok_or(Stop::Memory(address))
    }

    pub(super) fn load(&self, address: u64, size: usize) -> Result<u64, Stop> {
        let at = self.offset(address, size)?;
        let bytes = self.memory.get(at..at.saturating_add(size)).unwrap_or_default();
        Ok(bytes.iter().rev().fold(0, |value: u64, byte| value.wrapping_shl(8) | u64::from(*byte)))
    }

    /// Writes for the code: remembered as its doing.
    pub(super) fn store(&mut self, address: u64, size: usize, value: u64) -> Result<(), Stop> {
        let at = self.offset(address, size)?;
        let places = self.memory.iter_mut().zip(&mut self.written).skip(at).take(size);
        for ((place, written), byte) in places.zip(value.to_le_bytes()) {
            *place = byte;
            *written = true;
        }
        Ok(())
    }

    /// Writes for Windows: what does not fit is left out.
    pub(super) fn put(&mut self, address: u64, bytes: &[u8]) {
        let Ok(at) = self.offset(address, bytes.len()) else { return };
        self.memory.iter_mut().skip(at).zip(bytes).for_each(|(place, byte)| *place = *byte);
    }

    /// Bytes up to a zero of `width` bytes, at most `max`, without the zeros between.
    pub(super) fn text(&self, address: u64, width: usize, max: usize) -> Vec<u8> {
        let at = self.offset(address, 1).unwrap_or(MEMORY_BYTES);
        let units = self.memory.get(at..).unwrap_or_default().chunks_exact(width);
        let units = units.take(max).take_while(|unit| unit.iter().any(|byte| *byte != 0));
        units.filter_map(|unit| unit.first().copied()).collect()
    }

    /// The longest piece outside of the stack that the code wrote, with where it starts.
    pub(super) fn longest_written(&self) -> (usize, &[u8]) {
        let (mut best, mut start) = (0..0, 0usize);
        for piece in self.written.get(..HEAP_END).unwrap_or_default().split(|written| !written) {
            let end = start.saturating_add(piece.len());
            if piece.len() > best.len() {
                best = start..end;
            }
            start = end.saturating_add(1);
        }
        (best.start, self.memory.get(best).unwrap_or_default())
    }

    pub(super) fn push(&mut self, value: u64, size: usize) -> Result<(), Stop> {
        let stack = self.stack_register();
        let top = self.get(stack).wrapping_sub(bytes(size)) & mask(self.word());
        self.store(top, size, value)?;
        self.set(stack, top);
        Ok(())
    }

    pub(super) fn pop(&mut self, size: usize) -> Result<u64, Stop> {
        let stack = self.stack_register();
        let value = self.load(self.get(stack), size)?;
        self.set(stack, self.get(stack).wrapping_add(bytes(size)));
        Ok(value)
    }

    /// How many bytes an operand has.
    pub(super) fn size(&self, instruction: &Instruction, operand: u32) -> usize {
        match instruction.op_kind(operand) {
            OpKind::Register => instruction.op_register(operand).size(),
            kind if is_memory(kind) => instruction.memory_size().size(),
            _ => self.word(),
        }
    }

    /// The address of a memory operand; only the segment of the thread's block has a base of its own.
    pub(super) fn address(&self, instruction: &Instruction, operand: u32) -> Result<u64, Stop> {
        let block = if self.bits == 64 { Register::GS } else { Register::FS };
        let address = instruction.virtual_address(operand, 0, |register, _, _| {
            Some(match register {
                register if register == block => THREAD_BLOCK,
                register if register.is_segment_register() => 0,
                register => self.get(register),
            })
        });
        address.map(|address| address & mask(self.word())).ok_or_else(|| refused(instruction))
    }

    pub(super) fn read(&self, instruction: &Instruction, operand: u32) -> Result<u64, Stop> {
        match instruction.op_kind(operand) {
            OpKind::Register if instruction.op_register(operand).is_gpr() => {
                Ok(self.get(instruction.op_register(operand)))
            }
            kind if is_memory(kind) => {
                let size = self.size(instruction, operand);
                let known = matches!(size, 1 | 2 | 4 | 8).then_some(size);
                self.load(self.address(instruction, operand)?, known.ok_or_else(|| refused(instruction))?)
            }
            _ => instruction.try_immediate(operand).map_err(|_| refused(instruction)),
        }
    }

    pub(super) fn write(&mut self, instruction: &Instruction, operand: u32, value: u64) -> Result<(), Stop> {
        match instruction.op_kind(operand) {
            OpKind::Register if instruction.op_register(operand).is_gpr() => {
                self.set(instruction.op_register(operand), value);
                Ok(())
            }
            kind if is_memory(kind) => {
                let size = self.size(instruction, operand);
                let known = matches!(size, 1 | 2 | 4 | 8).then_some(size);
                let address = self.address(instruction, operand)?;
                self.store(address, known.ok_or_else(|| refused(instruction))?, value)
            }
            _ => Err(refused(instruction)),
        }
    }
}

/// The instruction is none of those that are interpreted.
pub(super) fn refused(instruction: &Instruction) -> Stop {
    Stop::Instruction(format!("{:?}", instruction.mnemonic()).to_lowercase())
}

/// All bits of so many bytes.
pub(super) fn mask(size: usize) -> u64 {
    let bits = u32::try_from(size.clamp(1, 8)).unwrap_or(8).saturating_mul(8);
    u64::MAX.wrapping_shr(64u32.saturating_sub(bits))
}

/// A size as an address counts.
pub(super) fn bytes(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(0)
}

fn is_memory(kind: OpKind) -> bool {
    use OpKind::{Memory, MemoryESDI, MemoryESEDI, MemoryESRDI, MemorySegESI, MemorySegRSI, MemorySegSI};
    matches!(
        kind,
        Memory | MemoryESDI | MemoryESEDI | MemoryESRDI | MemorySegSI | MemorySegESI | MemorySegRSI
    )
}
