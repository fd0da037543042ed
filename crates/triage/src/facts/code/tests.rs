use super::*;
use iced_x86::code_asm::*;

pub(super) fn built(
    bits: u32,
    write: impl FnOnce(&mut CodeAssembler) -> Result<(), iced_x86::IcedError>,
) -> Vec<u8> {
    let mut code = CodeAssembler::new(bits).unwrap();
    write(&mut code).unwrap();
    code.assemble(0).unwrap()
}

/// Asks for a function by its hash, with an argument that means nothing.
fn asks_by_hash() -> Vec<u8> {
    built(32, |c| {
        let (mut behind, mut own) = (c.create_label(), c.create_label());
        c.cld()?;
        c.jmp(behind)?;
        c.set_label(&mut own)?;
        c.pop(ebp)?;
        c.mov(eax, dword_ptr(0x30).fs())?;
        c.mov(eax, dword_ptr(eax + 12))?;
        c.push(0x876f_8b31u32)?;
        c.call(ebp)?;
        c.push(0x0726_774cu32)?;
        c.call(ebp)?;
        c.ret()?;
        c.set_label(&mut behind)?;
        c.call(own)
    })
}

fn noise(len: usize, seed: u32) -> Vec<u8> {
    let mut state = seed;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_le_bytes()[3]
        })
        .collect()
}

#[test]
fn what_it_asks_for_is_named() {
    let facts = code(None, &asks_by_hash()).unwrap();
    assert_eq!((facts.machine.as_str(), facts.entry), ("x86", 0));
    assert_eq!(facts.traits, ["getpc", "peb walk"]);
    assert_eq!(facts.apis, ["block_api kernel32.dll!WinExec", "block_api kernel32.dll!LoadLibraryA"]);
    assert!(facts.listing[0].ends_with("cld"), "{:?}", facts.listing);
}

#[test]
fn code_is_found_behind_what_fills_the_front() {
    let mut bytes = vec![0x90; 200];
    bytes.extend(asks_by_hash());
    bytes.extend(b"C:\\WINDOWS\\system32\\SPOOLSV.EXE\0");
    let facts = code(None, &bytes).unwrap();
    assert!(facts.apis.len() == 2 && facts.process == "spoolsv.exe", "{facts:?}");
}

#[test]
fn a_loop_that_undoes_an_encoding_is_seen() {
    let bytes = built(64, |c| {
        let (mut again, mut behind) = (c.create_label(), c.create_label());
        c.lea(rsi, ptr(behind))?;
        c.mov(ecx, 64)?;
        c.set_label(&mut again)?;
        c.xor(byte_ptr(rsi), 0x5a)?;
        c.inc(rsi)?;
        c.dec(ecx)?;
        c.jne(again)?;
        c.mov(rax, qword_ptr(0x60).gs())?;
        c.ror(r9d, 13)?;
        c.add(r9d, eax)?;
        c.ret()?;
        c.set_label(&mut behind)?;
        c.db(&[0; 64])
    });
    let facts = code(Some(Machine::X64), &bytes).unwrap();
    assert_eq!(facts.traits, ["decoder loop", "getpc", "peb walk", "ror13 hashes"]);
    assert_eq!(facts.machine, "x64");
}

#[test]
fn kernel_loaders_are_told_apart() {
    let bytes = built(64, |c| {
        c.mov(ecx, 0xc000_0082u32)?;
        c.rdmsr()?;
        c.wrmsr()?;
        c.swapgs()?;
        for _ in 0..12 {
            c.inc(rax)?;
        }
        c.ret()
    });
    let facts = code(None, &bytes).unwrap();
    assert_eq!(facts.traits, ["kernel code", "system call's entry point"]);
    assert_eq!(facts.machine, "x64");
}

#[test]
fn what_is_no_code_is_not_taken_for_it() {
    let base64 = b"h6agLCqPqVyXi2VSQ8O6Yb9ijBX54jYVdm2g9N40xbG2c1Kd".repeat(40);
    let text = b"This is a sentence, and not a program. ".repeat(50);
    for bytes in [base64, text, vec![0; 5000], vec![0x90; 30], vec![0xff; 4096], Vec::new()] {
        assert_eq!(code(None, &bytes), None, "{:?}", bytes.get(..8));
    }
    for seed in 0..200 {
        assert_eq!(code(None, &noise(4096, seed)), None, "seed {seed}");
    }
}

#[test]
fn any_bytes_are_read_within_bounds() {
    for seed in 0..300u32 {
        let mut bytes = noise(3000, seed);
        let good = asks_by_hash();
        let at = seed as usize * 7 % 2000;
        bytes[at..at + good.len()].copy_from_slice(&good);
        let facts = code(None, &bytes).unwrap_or_default();
        assert!(facts.instructions <= 8_000 && facts.listing.len() <= LISTING_MAX);
    }
    // One long road of two-byte jumps, and a loop to itself.
    let jumps = [0xeb, 0x00].repeat(40_000);
    assert!(code(None, &jumps).is_none_or(|facts| facts.instructions <= 8_000));
    assert_eq!(code(None, &[0xeb, 0xfe].repeat(500)), None);
}
