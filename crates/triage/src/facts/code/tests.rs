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
    assert_eq!(facts.traits, ["decoder loop", "getpc", "peb walk", "ror13 hashes", "self-decoding"]);
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

/// Walks to the process's block without asking for its own place first.
fn walks() -> Vec<u8> {
    built(32, |c| {
        c.xor(edx, edx)?;
        c.mov(edx, dword_ptr(edx + 0x30).fs())?;
        c.mov(edx, dword_ptr(edx + 12))?;
        c.mov(edx, dword_ptr(edx + 20))?;
        c.mov(esi, dword_ptr(edx + 40))?;
        c.movzx(ecx, word_ptr(edx + 38))?;
        c.xor(edi, edi)?;
        c.lodsb()?;
        c.ror(edi, 13)?;
        c.add(edi, eax)?;
        c.ret()
    })
}

#[test]
fn an_upload_is_code_where_it_does_what_only_such_code_does() {
    let sled = [&vec![0x90; 300][..], &asks_by_hash()].concat();
    for bytes in [asks_by_hash(), walks(), sled] {
        assert!(is_code(&bytes), "{:?}", bytes.get(..8));
    }
    // The same instructions in a file of another system are that file's.
    let elf = [&b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0"[..], &asks_by_hash()].concat();
    assert!(!is_code(&elf));
    // A loop that changes memory is made by chance out of much that is none.
    let mut tables = noise(900, 7);
    tables[..4].copy_from_slice(&[0x80, 0x30, 0x5a, 0x40]);
    tables[4..6].copy_from_slice(&[0x75, 0xfa]);
    assert!(!is_code(&tables));
    for seed in 0..600u32 {
        let bytes = noise(40 + seed as usize * 13, seed.wrapping_mul(77));
        assert!(!is_code(&bytes), "seed {seed}");
    }
}

#[test]
fn code_is_found_behind_bytes_that_are_none() {
    let junk = [0x06u8, 0xff, 0xff, 0xd4, 0x62, 0x63, 0xf4, 0xce].repeat(9);
    let facts = code(None, &[&junk[..], &walks()].concat()).unwrap();
    assert!(facts.entry >= 71 && facts.entry <= 74, "{facts:?}");
    assert_eq!(facts.traits, ["module list", "peb walk", "ror13 hashes"]);
}

#[test]
fn a_decoder_whose_own_end_is_encoded_is_seen() {
    let head = built(32, |c| {
        c.mov(eax, 0x1122_3344u32)?;
        c.fldpi()?;
        c.fnstenv(ptr(esp - 12))?;
        c.pop(edx)?;
        c.xor(ecx, ecx)?;
        c.mov(cl, 0x31u32)?;
        c.xor(dword_ptr(edx + 0x13), eax)?;
        c.add(edx, 4)?;
        c.add(eax, dword_ptr(edx + 0x13))
    });
    let bytes = [head, noise(200, 5)].concat();
    let facts = code(None, &bytes).unwrap();
    assert_eq!((facts.entry, facts.traits.join(" and ")), (0, "getpc and self-decoding".to_owned()));
    assert!(is_code(&bytes));
}

#[test]
fn the_address_that_code_makes_for_a_socket_is_told() {
    let pushed = built(32, |c| {
        c.mov(eax, dword_ptr(0x30).fs())?;
        c.push(0x4d02_00c0u32)?;
        c.push(0x5c11_0002u32)?;
        c.mov(esi, esp)?;
        c.ror(edi, 13)?;
        c.add(edi, eax)?;
        c.xor(ecx, ecx)?;
        c.inc(ecx)?;
        c.ret()
    });
    let wide = built(64, |c| {
        c.mov(rax, qword_ptr(0x60).gs())?;
        c.mov(r12, 0x4d02_00c0_5c11_0002u64)?;
        c.push(r12)?;
        c.mov(r12, rsp)?;
        c.ror(r9d, 13)?;
        c.add(r9d, eax)?;
        c.xor(ecx, ecx)?;
        c.inc(ecx)?;
        c.ret()
    });
    for bytes in [pushed, wide] {
        let facts = code(None, &bytes).unwrap();
        let told: Vec<_> =
            facts.indicators.iter().map(|found| (found.kind.as_str(), &*found.value)).collect();
        assert_eq!(told, [("ip", "192.0.2.77"), ("port", "4444")], "{facts:?}");
    }
}

#[test]
fn a_walk_along_the_list_of_modules_is_seen_without_any_hash() {
    let narrow = built(32, |c| {
        c.xor(ecx, ecx)?;
        c.mov(eax, dword_ptr(ecx + 0x30).fs())?;
        c.mov(eax, dword_ptr(eax + 12))?;
        c.mov(esi, dword_ptr(eax + 20))?;
        c.lodsd()?;
        c.ret()
    });
    let wide = built(64, |c| {
        c.mov(rax, qword_ptr(0x60).gs())?;
        c.mov(rax, qword_ptr(rax + 24))?;
        c.mov(rsi, qword_ptr(rax + 32))?;
        c.mov(rsi, qword_ptr(rsi))?;
        c.ret()
    });
    for (machine, walk) in [("x86", &narrow), ("x64", &wide)] {
        let slide = [&[0x90; 200][..], walk, &[0x90; 40]].concat();
        for bytes in [walk, &slide] {
            let facts = code(None, bytes).unwrap();
            assert_eq!(
                (facts.machine.as_str(), facts.traits.clone()),
                (machine, vec!["module list".to_owned(), "peb walk".to_owned()])
            );
            assert!(is_code(bytes));
        }
    }
    // From another place than where it has just loaded from, it is none.
    let mut other = narrow;
    *other.iter_mut().rev().find(|byte| **byte == 20).unwrap() = 24;
    assert!(!is_code(&other));
}

#[test]
fn a_text_in_front_of_code_is_no_part_of_it() {
    let text = b"MEANINGLESS TEXT IN FRONT ".repeat(4);
    let facts = code(None, &[&text[..], &[0xfc, 0xe8, 0, 0, 0, 0], &asks_by_hash()].concat());
    assert_eq!(facts.unwrap().entry, text.len() as u64);
}
