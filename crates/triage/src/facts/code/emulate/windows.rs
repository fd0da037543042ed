//! As much of Windows as code without a file looks for: the process's block, the list of loaded modules with their
//! export tables, and functions that note who calls them and with what. Nothing behind them exists.
//!
//! Offsets of the structures: Microsoft's public symbols; of the export directory: Microsoft's PE format.

use super::super::apis::NAMES;
use super::machine::{BASE, CALLER, Cpu, ENVIRONMENT_AT, HEAP_AT, HEAP_END, Stop, THREAD_BLOCK, bytes};
use iced_x86::Register;

/// What functions take and answer, a line.
const FUNCTIONS: &str = include_str!("functions.txt");
/// Where functions are: outside of memory, so that running one is noticed.
const FUNCTIONS_AT: u64 = 0x7000_0000;
/// Bytes between two of them.
const FUNCTION_STEP: u64 = 16;
/// Characters of an argument that are told.
const TEXT_MAX: usize = 256;

/// A loaded library.
struct Module {
    name: &'static str,
    base: u64,
}

/// The fake Windows.
pub(super) struct Windows {
    modules: Vec<Module>,
    /// Library and function, by number.
    functions: Vec<(&'static str, &'static str)>,
    heap: u64,
}

/// One call that the code made.
pub(super) struct Call {
    /// Library and function.
    pub(super) name: String,
    /// Its arguments, those that are text in quotes.
    pub(super) arguments: Vec<String>,
    /// Addresses, URLs, commands among them.
    pub(super) texts: Vec<String>,
}

impl Windows {
    /// Lays all structures into the machine's memory.
    pub(super) fn load(cpu: &mut Cpu) -> Self {
        let start = BASE.wrapping_add(bytes(ENVIRONMENT_AT));
        let mut windows =
            Self { modules: Vec::new(), functions: Vec::new(), heap: BASE.wrapping_add(bytes(HEAP_AT)) };
        // The thread's and the process's block and the loader's data share the first page, modules follow.
        let mut at = start.wrapping_add(0x4000);
        let mut lines: Vec<_> = NAMES.lines().filter_map(|line| line.split_once(' ')).collect();
        // Code that counts instead of comparing names finds ntdll.dll first and kernel32.dll second.
        lines.sort_by_key(|(library, _)| match *library {
            "ntdll.dll" => 0,
            "kernel32.dll" => 1,
            _ => 2,
        });
        lines.retain(|(library, _)| !library.ends_with(".exe") && *library != "hal.dll");
        for (library, functions) in lines {
            let end = windows.module(cpu, at, library, functions);
            windows.modules.push(Module { name: library, base: at });
            at = end.wrapping_add(0xfff) & !0xfff;
        }
        windows.lists(cpu);
        windows
    }

    /// A PE header and an export table at `base`; answers with its end.
    fn module(&mut self, cpu: &mut Cpu, base: u64, library: &'static str, functions: &'static str) -> u64 {
        let pointer = |cpu: &mut Cpu, at: u64, to: u64| {
            let relative = u32::try_from(to.wrapping_sub(base)).unwrap_or(0);
            cpu.put(at, &relative.to_le_bytes());
        };
        let mut names: Vec<&str> = functions.split(' ').collect();
        names.sort_unstable();
        let count = u32::try_from(names.len()).unwrap_or(0);
        let (header, exports) = (base.wrapping_add(0x80), base.wrapping_add(0x200));
        cpu.put(base, b"MZ");
        cpu.put(base.wrapping_add(0x3c), &0x80u32.to_le_bytes());
        cpu.put(header, b"PE\0\0");
        let wide = cpu.bits == 64;
        cpu.put(header.wrapping_add(0x18), &if wide { 0x20bu16 } else { 0x10b }.to_le_bytes());
        pointer(cpu, header.wrapping_add(if wide { 0x88 } else { 0x78 }), exports);
        cpu.put(header.wrapping_add(if wide { 0x8c } else { 0x7c }), &0x1000u32.to_le_bytes());
        let addresses = exports.wrapping_add(40);
        let places = addresses.wrapping_add(u64::from(count).wrapping_mul(4));
        let ordinals = places.wrapping_add(u64::from(count).wrapping_mul(4));
        let mut text = ordinals.wrapping_add(u64::from(count).wrapping_mul(2));
        for at in [0x14u64, 0x18] {
            cpu.put(exports.wrapping_add(at), &count.to_le_bytes());
        }
        for (at, table) in [(0x1cu64, addresses), (0x20, places), (0x24, ordinals)] {
            pointer(cpu, exports.wrapping_add(at), table);
        }
        for (number, name) in (0u16..).zip(names) {
            let number4 = u64::from(number).wrapping_mul(4);
            let function = FUNCTIONS_AT.wrapping_add(bytes(self.functions.len()).wrapping_mul(FUNCTION_STEP));
            pointer(cpu, addresses.wrapping_add(number4), function);
            pointer(cpu, places.wrapping_add(number4), text);
            cpu.put(ordinals.wrapping_add(u64::from(number).wrapping_mul(2)), &number.to_le_bytes());
            cpu.put(text, name.as_bytes());
            text = text.wrapping_add(bytes(name.len())).wrapping_add(1);
            self.functions.push((library, name));
        }
        text
    }

    /// The blocks and the three lists of modules, each a ring through the loader's data.
    fn lists(&self, cpu: &mut Cpu) {
        let wide = cpu.bits == 64;
        let word = bytes(cpu.word());
        let process = THREAD_BLOCK.wrapping_add(0x400);
        let loader = THREAD_BLOCK.wrapping_add(0x800);
        let entry =
            |number: usize| THREAD_BLOCK.wrapping_add(0x1000).wrapping_add(bytes(number).wrapping_mul(0x100));
        let put = |cpu: &mut Cpu, at: u64, value: u64| {
            cpu.put(at, value.to_le_bytes().get(..cpu.word()).unwrap_or_default());
        };
        put(cpu, THREAD_BLOCK.wrapping_add(word.wrapping_mul(6)), THREAD_BLOCK);
        put(cpu, THREAD_BLOCK.wrapping_add(word.wrapping_mul(12)), process);
        put(cpu, process.wrapping_add(if wide { 0x18 } else { 0xc }), loader);
        // The program itself comes first, but not in the order of initialisation.
        let programs = [("program.exe", BASE)];
        let modules =
            programs.into_iter().chain(self.modules.iter().map(|module| (module.name, module.base)));
        let modules: Vec<_> = modules.collect();
        for (number, (name, base)) in modules.iter().enumerate() {
            let at = entry(number);
            put(cpu, at.wrapping_add(word.wrapping_mul(6)), *base);
            let text = at.wrapping_add(0x80);
            let wide_name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
            cpu.put(text, &wide_name);
            let size = u16::try_from(wide_name.len()).unwrap_or(0);
            // FullDllName and BaseDllName: length, room, text.
            for place in if wide { [0x48u64, 0x58] } else { [0x24, 0x2c] } {
                cpu.put(at.wrapping_add(place), &size.to_le_bytes());
                cpu.put(at.wrapping_add(place).wrapping_add(2), &size.wrapping_add(2).to_le_bytes());
                put(cpu, at.wrapping_add(place).wrapping_add(word), text);
            }
        }
        for list in 0..3u64 {
            let links = list.wrapping_mul(word).wrapping_mul(2);
            let head = loader.wrapping_add(if wide { 0x10 } else { 0xc }).wrapping_add(links);
            let first = usize::from(list == 2);
            let mut ring = vec![head];
            ring.extend((first..modules.len()).map(|number| entry(number).wrapping_add(links)));
            let next = ring.iter().cycle().skip(1);
            for (from, to) in ring.iter().zip(next) {
                put(cpu, *from, *to);
                put(cpu, to.wrapping_add(word), *from);
            }
        }
    }

    /// The function at an address.
    fn function(&self, address: u64) -> Option<(&'static str, &'static str)> {
        let number = address.checked_sub(FUNCTIONS_AT)?.wrapping_div(FUNCTION_STEP);
        self.functions.get(usize::try_from(number).ok()?).copied()
    }

    /// Answers the call that the machine is at, where it is at one.
    pub(super) fn call(&mut self, cpu: &mut Cpu) -> Result<Option<Call>, Stop> {
        if cpu.ip == CALLER {
            return Err(Stop::End("it returns"));
        }
        let Some((library, function)) = self.function(cpu.ip) else { return Ok(None) };
        let known = FUNCTIONS.lines().map(|line| line.split(' ')).find_map(|mut words| {
            (words.next() == Some(function))
                .then(|| (words.next().unwrap_or(""), words.next().unwrap_or("1")))
        });
        let (shapes, answer) = known.unwrap_or(("", "1"));
        let shapes = if shapes == "-" { "" } else { shapes };
        let values = arguments(cpu, shapes.len())?;
        let mut call =
            Call { name: format!("{library}!{function}"), arguments: Vec::new(), texts: Vec::new() };
        for (shape, value) in shapes.chars().zip(&values) {
            describe(cpu, shape, *value, &mut call);
        }
        let result = self.answer(cpu, function, &values, u64::from_str_radix(answer, 16).unwrap_or(1));
        let back = cpu.pop(cpu.word())?;
        if cpu.bits == 32 {
            // The called function takes its arguments from the stack; msvcrt's leave them.
            let own = if library == "msvcrt.dll" { 0 } else { bytes(values.len()).wrapping_mul(4) };
            cpu.set(Register::ESP, cpu.get(Register::ESP).wrapping_add(own));
        }
        cpu.set(Register::RAX, result);
        // Without its number of arguments the stack is lost; these end the program.
        cpu.ip = if known.is_none() && cpu.bits == 32 || answer == "end" { CALLER } else { back };
        Ok(Some(call))
    }

    fn answer(&mut self, cpu: &mut Cpu, function: &str, values: &[u64], usual: u64) -> u64 {
        let argument = |number: usize| values.get(number).copied().unwrap_or(0);
        match function {
            "LoadLibraryA" | "GetModuleHandleA" => {
                let wanted = String::from_utf8_lossy(&cpu.text(argument(0), 1, TEXT_MAX)).to_lowercase();
                let wanted = wanted.trim_end_matches(".dll");
                let held = self.modules.iter().find(|module| module.name.trim_end_matches(".dll") == wanted);
                held.map_or(0x1000_0000, |module| module.base)
            }
            "GetProcAddress" => {
                let wanted = cpu.text(argument(1), 1, TEXT_MAX);
                let number = self.functions.iter().position(|(_, name)| name.as_bytes() == wanted);
                number
                    .map_or(0, |number| FUNCTIONS_AT.wrapping_add(bytes(number).wrapping_mul(FUNCTION_STEP)))
            }
            "VirtualAlloc" | "HeapAlloc" | "LocalAlloc" | "GlobalAlloc" | "malloc" => {
                let number = match function {
                    "HeapAlloc" => 2,
                    "malloc" => 0,
                    _ => 1,
                };
                let at = self.heap;
                let end = at.checked_add(argument(number)).map(|end| end.wrapping_add(15) & !15);
                let end = end.filter(|end| *end <= BASE.wrapping_add(bytes(HEAP_END)));
                self.heap = end.unwrap_or(at);
                if end.is_some() { at } else { 0 }
            }
            _ => usual,
        }
    }
}

/// The first arguments: on the stack, or on x64 the first four in registers.
fn arguments(cpu: &Cpu, count: usize) -> Result<Vec<u64>, Stop> {
    let registers = [Register::RCX, Register::RDX, Register::R8, Register::R9];
    let stack = cpu.get(cpu.stack_register());
    let one = |number: usize| match registers.get(number) {
        Some(register) if cpu.bits == 64 => Ok(cpu.get(*register)),
        _ => {
            let place = bytes(number).wrapping_add(1).wrapping_mul(bytes(cpu.word()));
            cpu.load(stack.wrapping_add(place), cpu.word())
        }
    };
    (0..count).map(one).collect()
}

/// One argument as it is told: `s` text, `w` wide text, `a` a socket's address, `n` a number.
fn describe(cpu: &Cpu, shape: char, value: u64, call: &mut Call) {
    let text = match shape {
        _ if value == 0 => None,
        's' => Some(cpu.text(value, 1, TEXT_MAX)),
        'w' => Some(cpu.text(value, 2, TEXT_MAX)),
        'a' => {
            // sockaddr_in: the port and the address in the network's order.
            let port = cpu.load(value.wrapping_add(2), 2).unwrap_or(0);
            let port = u16::try_from(port).unwrap_or(0).swap_bytes();
            let address = cpu.load(value.wrapping_add(4), 4).unwrap_or(0);
            let [a, b, c, d, ..] = address.to_le_bytes();
            Some(format!("{a}.{b}.{c}.{d}:{port}").into_bytes())
        }
        _ => None,
    };
    match text {
        Some(text) => {
            let text: String = String::from_utf8_lossy(&text).escape_debug().collect();
            call.arguments.push(format!("\"{text}\""));
            call.texts.push(text);
        }
        None => call.arguments.push(format!("{value:#x}")),
    }
}
