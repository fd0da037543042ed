//! Builds small PE files with nothing in them but the tables that a test asks for.

/// One section at address 0x1000, file offset 0x400, flags read and write: body, resources, imports.
#[derive(Default)]
pub(crate) struct Builder {
    pub(crate) wide: bool,
    /// Whether its section holds code.
    pub(crate) code: bool,
    /// Libraries and functions; `#7` by ordinal.
    pub(crate) imports: Vec<(&'static str, Vec<&'static str>)>,
    /// Words behind the DOS stub, before encoding; empty for no Rich header.
    pub(crate) rich: Vec<u32>,
    pub(crate) rich_key: u32,
    /// The resource directory, with addresses counted from itself.
    pub(crate) resources: Vec<u8>,
    pub(crate) body: Vec<u8>,
}

pub(crate) const ADDRESS: u32 = 0x1000;
/// Where 32-bit files want to lie in memory.
pub(crate) const BASE: u32 = 0x1000_0000;
pub(crate) const PLACE: usize = 0x400;
const PE_AT: usize = 0x100;

impl Builder {
    pub(crate) fn build(&self) -> Vec<u8> {
        let mut section = self.body.clone();
        let mut directories = [(0u32, 0u32); 16];
        if !self.resources.is_empty() {
            section.resize(section.len().next_multiple_of(16), 0);
            directories[2] = (ADDRESS + section.len() as u32, self.resources.len() as u32);
            section.extend(&self.resources);
        }
        if !self.imports.is_empty() {
            section.resize(section.len().next_multiple_of(16), 0);
            let at = section.len();
            section.extend(self.import_table(ADDRESS + at as u32));
            directories[1] = (ADDRESS + at as u32, (self.imports.len() as u32 + 1) * 20);
        }
        section.resize(section.len().max(1).next_multiple_of(0x200), 0);
        let mut file = vec![0u8; PLACE];
        let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, b"MZ");
        put(0x3c, &(PE_AT as u32).to_le_bytes());
        if !self.rich.is_empty() {
            let encoded = self.rich.iter().flat_map(|word| (word ^ self.rich_key).to_le_bytes());
            let mut header: Vec<u8> = encoded.collect();
            header.extend(b"Rich");
            header.extend(self.rich_key.to_le_bytes());
            put(0x80, &header);
        }
        put(PE_AT, b"PE\0\0");
        let (machine, magic, optional, table) = match self.wide {
            false => (0x014cu16, 0x010bu16, 224usize, 96),
            true => (0x8664, 0x020b, 240, 112),
        };
        put(PE_AT + 4, &machine.to_le_bytes());
        put(PE_AT + 6, &1u16.to_le_bytes());
        put(PE_AT + 8, &0x5911_9b55u32.to_le_bytes());
        put(PE_AT + 20, &(optional as u16).to_le_bytes());
        put(PE_AT + 22, &0x2102u16.to_le_bytes());
        let at = PE_AT + 24;
        put(at, &magic.to_le_bytes());
        put(at + 16, &0x1010u32.to_le_bytes());
        if !self.wide {
            put(at + 28, &BASE.to_le_bytes());
        }
        put(at + 32, &0x1000u32.to_le_bytes());
        put(at + 36, &0x200u32.to_le_bytes());
        put(at + 56, &0x10_0000u32.to_le_bytes());
        put(at + 60, &(PLACE as u32).to_le_bytes());
        put(at + 68, &2u16.to_le_bytes());
        put(at + table - 4, &16u32.to_le_bytes());
        for (number, (address, size)) in directories.iter().enumerate() {
            put(at + table + 8 * number, &address.to_le_bytes());
            put(at + table + 8 * number + 4, &size.to_le_bytes());
        }
        let row = at + optional;
        put(row, b".data\0\0\0");
        for (field, value) in
            [(8, section.len() as u32), (12, ADDRESS), (16, section.len() as u32), (20, PLACE as u32)]
        {
            put(row + field, &value.to_le_bytes());
        }
        let flags = if self.code { 0x6000_0020u32 } else { 0xc000_0040 };
        put(row + 36, &flags.to_le_bytes());
        file.extend(section);
        file
    }

    /// Descriptors, then for each library its thunks twice, then all names.
    fn import_table(&self, address: u32) -> Vec<u8> {
        let size = if self.wide { 8 } else { 4 };
        let thunks: usize = self.imports.iter().map(|(_, functions)| (functions.len() + 1) * size).sum();
        let names_at = (self.imports.len() + 1) * 20 + 2 * thunks;
        let mut names: Vec<u8> = Vec::new();
        let mut descriptors: Vec<u8> = Vec::new();
        let mut tables: Vec<u8> = Vec::new();
        let tables_at = (self.imports.len() + 1) * 20;
        for (library, functions) in &self.imports {
            let place = |names: &Vec<u8>| address + (names_at + names.len()) as u32;
            let mut table: Vec<u8> = Vec::new();
            for function in functions {
                let value = match function.strip_prefix('#') {
                    Some(number) => {
                        let high = if self.wide { 1u64 << 63 } else { 1 << 31 };
                        high | number.parse::<u64>().unwrap()
                    }
                    None => {
                        let at = place(&names);
                        names.extend([0, 0]);
                        names.extend(function.bytes());
                        names.push(0);
                        u64::from(at)
                    }
                };
                table.extend(&value.to_le_bytes()[..size]);
            }
            table.extend(&[0; 8][..size]);
            let first = address + (tables_at + tables.len()) as u32;
            let second = first + table.len() as u32;
            for field in [first, 0, 0, place(&names), second] {
                descriptors.extend(field.to_le_bytes());
            }
            names.extend(library.bytes());
            names.push(0);
            tables.extend(&table);
            tables.extend(&table);
        }
        descriptors.resize(tables_at, 0);
        [descriptors, tables, names].concat()
    }
}

/// A resource directory at `address` with one leaf for each (type, name) and its bytes.
pub(crate) fn resources(address: u32, leaves: &[(&str, u32, &[u8])]) -> Vec<u8> {
    // Root, then per leaf: a table of names, a table of languages, the data entry; then strings and bytes.
    let root = 16 + 8 * leaves.len();
    let each = 24 + 24 + 16;
    let strings_at = root + each * leaves.len();
    let mut tail: Vec<u8> = Vec::new();
    let mut out = vec![0u8; strings_at];
    let put =
        |out: &mut Vec<u8>, at: usize, value: u32| out[at..at + 4].copy_from_slice(&value.to_le_bytes());
    out[14] = leaves.len() as u8;
    for (number, (kind, id, bytes)) in leaves.iter().enumerate() {
        let names = root + each * number;
        let kind = kind.parse::<u32>().unwrap_or_else(|_| {
            let at = strings_at + tail.len();
            tail.extend((kind.len() as u16).to_le_bytes());
            tail.extend(kind.encode_utf16().flat_map(u16::to_le_bytes));
            at as u32 | (1 << 31)
        });
        put(&mut out, 16 + 8 * number, kind);
        put(&mut out, 20 + 8 * number, names as u32 | (1 << 31));
        out[names + 14] = 1;
        put(&mut out, names + 16, *id);
        put(&mut out, names + 20, (names as u32 + 24) | (1 << 31));
        out[names + 24 + 14] = 1;
        put(&mut out, names + 40, 1033);
        put(&mut out, names + 44, names as u32 + 48);
        tail.resize(tail.len().next_multiple_of(4), 0);
        put(&mut out, names + 48, address + (strings_at + tail.len()) as u32);
        put(&mut out, names + 52, bytes.len() as u32);
        tail.extend(*bytes);
    }
    out.extend(tail);
    out
}

/// A version resource with these strings.
pub(crate) fn version(strings: &[(&str, &str)]) -> Vec<u8> {
    let node = |key: &str, value: &[u8], units: usize, text: u16, children: Vec<u8>| {
        let mut out = vec![0; 2];
        out.extend((units as u16).to_le_bytes());
        out.extend(text.to_le_bytes());
        out.extend(key.encode_utf16().chain([0]).flat_map(u16::to_le_bytes));
        out.resize(out.len().next_multiple_of(4), 0);
        out.extend(value);
        out.resize(out.len().next_multiple_of(4), 0);
        out.extend(children);
        let len = out.len() as u16;
        out[..2].copy_from_slice(&len.to_le_bytes());
        out
    };
    let strings = strings.iter().flat_map(|(key, value)| {
        let units: Vec<u8> = value.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
        node(key, &units, units.len() / 2, 1, vec![])
    });
    let table = node("040904b0", &[], 0, 1, strings.collect());
    let info = node("StringFileInfo", &[], 0, 1, table);
    node("VS_VERSION_INFO", &[0; 52], 52, 0, info)
}
