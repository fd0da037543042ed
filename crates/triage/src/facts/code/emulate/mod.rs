//! Interprets code, instruction by instruction, to see what it would do: a subset of x86 on one mebibyte of memory of
//! its own, with a Windows that is made of names. Nothing is executed by the processor, no file is read and nothing
//! is connected to. `docs/emulation.md` says why it is our own.

mod machine;
mod step;
mod windows;

use super::CodeFacts;
use super::sweep::Sweep;
use crate::facts::indicators::Indicator;
use machine::{Cpu, Stop};
use sha2::{Digest, Sha256};
use windows::{Call, Windows};

/// Instructions that one piece of code may take. Fewer where each is watched: a fuzzer learns nothing from the rest.
const STEPS_MAX: u32 = if cfg!(fuzzing) { 20_000 } else { 1_000_000 };
/// Calls that are told; more end the run.
const CALLS_MAX: usize = 64;
/// Indicators that are told.
const INDICATORS_MAX: usize = 64;
/// Fewer bytes than these are variables, no payload.
const UNWRAPPED_MIN: usize = 16;

/// Runs the swept code and notes what it did.
pub(super) fn run(sweep: &Sweep, bytes: &[u8], facts: &mut CodeFacts) {
    let bits = if sweep.machine.is_wide() { 64 } else { 32 };
    let bytes = bytes.get(..super::BYTES_MAX).unwrap_or(bytes);
    let mut cpu = Cpu::new(bits, bytes, sweep.entry);
    let mut windows = Windows::load(&mut cpu);
    let (stop, steps) = go(&mut cpu, &mut windows, facts);
    let place = cpu.ip.wrapping_sub(machine::BASE);
    facts.emulated.push(match stop {
        Stop::Memory(at) => format!("stopped after {steps} steps: nothing is at {at:#x}"),
        Stop::Instruction(name) => {
            format!("stopped after {steps} steps before {place:04x}: {name} is not emulated")
        }
        Stop::Trap => format!("stopped after {steps} steps: it divides by nothing"),
        Stop::Steps => format!("stopped after {steps} steps, which is the limit"),
        Stop::End(how) => format!("ended after {steps} steps: {how}"),
    });
    let (at, written) = cpu.longest_written();
    let differs = bytes.get(at..at.saturating_add(written.len())) != Some(written);
    let varied = written.iter().any(|byte| Some(byte) != written.first());
    if written.len() >= UNWRAPPED_MIN && differs && varied {
        let digest = crate::facts::hashes::hex(&Sha256::digest(written));
        facts.unwrapped = format!("{} bytes at {at:#x}, sha256 {digest}", written.len());
        add_indicators(written, "in what its decoder wrote", sweep.entry, facts);
    }
}

/// Runs to the end, whichever it is.
fn go(cpu: &mut Cpu, windows: &mut Windows, facts: &mut CodeFacts) -> (Stop, u32) {
    for steps in 0..STEPS_MAX {
        match windows.call(cpu) {
            Ok(Some(call)) => {
                note(&call, facts);
                if facts.emulated.len() >= CALLS_MAX {
                    return (Stop::End("enough calls are noted"), steps);
                }
                continue;
            }
            Ok(None) => {}
            Err(stop) => return (stop, steps),
        }
        if let Err(stop) = step::step(cpu) {
            return (stop, steps);
        }
    }
    (Stop::Steps, STEPS_MAX)
}

fn note(call: &Call, facts: &mut CodeFacts) {
    facts.emulated.push(format!("{}({})", call.name, call.arguments.join(", ")));
    let entry = facts.entry;
    for text in &call.texts {
        add_indicators(text.as_bytes(), &format!("argument of {}", call.name), entry, facts);
    }
}

/// What in `bytes` is an address, a URL, a command: found as in any layer, with where it comes from as its note.
fn add_indicators(bytes: &[u8], from: &str, entry: u64, facts: &mut CodeFacts) {
    for indicator in crate::facts::strings::read(bytes, &[]).indicators {
        let known =
            facts.indicators.iter().any(|held| held.kind == indicator.kind && held.value == indicator.value);
        if known || facts.indicators.len() >= INDICATORS_MAX {
            continue;
        }
        let note =
            [indicator.note.as_str(), from].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>();
        facts.indicators.push(Indicator { at: entry, note: note.join("; "), ..indicator });
    }
}

#[cfg(test)]
mod tests;
