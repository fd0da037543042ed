//! Cabinets: their folders are unpacked, their files are layers.
//!
//! Layout by Microsoft's "Cabinet File Format" and "MSZIP Compression and Decompression". Own code, because crate `cab`
//! trusts a file's place in its folder. LZX and Quantum are listed as what cannot be undone.

use super::archive::decoded;
use super::found::{Found, Inside, Purse};
use super::inflate::{Ending, inflate};
use super::{overlay, search};
use crate::bytes::{array, le_size, le_u16, slice};
use crate::report::{FoundBy, State};
use crate::text;

const HEADER: usize = 36;
/// A block makes so many bytes at most, and may refer to as many before it.
const BLOCK_MAX: usize = 32 * 1024;
const NAME_MAX: usize = 256;

/// A cabinet's header.
struct Header {
    folders_at: usize,
    folders: usize,
    folder_size: usize,
    files_at: usize,
    files: usize,
    /// Reserved bytes in front of each block's data.
    reserved: usize,
}

impl Header {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let flags = le_u16(bytes, 30)?;
        let mut header = Self {
            folders_at: HEADER,
            folders: usize::from(le_u16(bytes, 26)?),
            folder_size: 8,
            files_at: le_size(bytes, 16)?,
            files: usize::from(le_u16(bytes, 28)?),
            reserved: 0,
        };
        if flags & 4 != 0 {
            let [low, high, folder, data] = array::<4>(bytes, HEADER)?;
            let reserved = usize::from(u16::from_le_bytes([low, high]));
            header.folders_at = HEADER.checked_add(4)?.checked_add(reserved)?;
            header.folder_size = header.folder_size.checked_add(usize::from(folder))?;
            header.reserved = usize::from(data);
        }
        // The cabinet before, the one after: two texts each, its name and its disk's.
        for flag in [1, 2] {
            for _ in 0..if flags & flag == 0 { 0 } else { 2 } {
                header.folders_at = text(bytes, header.folders_at)?.1;
            }
        }
        Some(header)
    }
}

/// A text that ends with zero, and where it ends.
fn text(bytes: &[u8], at: usize) -> Option<(String, usize)> {
    let text = bytes.get(at..)?;
    let length = text.iter().take(NAME_MAX).position(|&byte| byte == 0)?;
    let end = at.checked_add(length)?.checked_add(1)?;
    Some((String::from_utf8_lossy(text.get(..length)?).into_owned(), end))
}

/// A folder, unpacked.
struct Folder {
    at: usize,
    bytes: Vec<u8>,
    wrong: Option<String>,
}

/// The files of a cabinet. Files of one folder share its compressed blocks, so that no file has bytes of the cabinet
/// for itself: each child takes none of them, at the place where its folder's blocks start.
pub(crate) fn inside(bytes: &[u8], purse: &mut Purse<'_>) -> Inside {
    let mut inside = Inside::default();
    let end = search::cabinet_size(bytes).unwrap_or(bytes.len()).min(bytes.len());
    let own = slice(bytes, 0..end).unwrap_or_default();
    inside.found.extend(overlay::tail(bytes, end..bytes.len()));
    let Some(header) = Header::parse(own) else {
        inside.wrong.push((State::Damaged, "its directory cannot be read".to_owned()));
        return inside;
    };
    let folders: Vec<Folder> = (0..header.folders.min(purse.budget.entries_max))
        .map_while(|number| folder(own, &header, number, purse))
        .collect();
    let mut at = header.files_at;
    for _ in 0..header.files.min(purse.budget.entries_max).min(purse.budget.layers_max) {
        // Files may claim the same bytes of a folder: each copy is paid for.
        let limit = purse.decodable(own.len());
        let Some((child, next)) = file(own, at, &folders, limit) else {
            inside
                .wrong
                .push((State::Damaged, format!("its directory breaks off at byte {}", text::length(at))));
            break;
        };
        purse.pay(child.as_ref().and_then(|child| child.decoded.as_ref()).map_or(0, Vec::len));
        inside.found.extend(child);
        at = next;
    }
    for (number, folder) in folders.into_iter().enumerate() {
        inside.wrong.extend(folder.wrong.map(|wrong| (State::Damaged, format!("folder {number}: {wrong}"))));
    }
    inside
}

/// Unpacks a folder, block by block.
fn folder(own: &[u8], header: &Header, number: usize, purse: &mut Purse<'_>) -> Option<Folder> {
    let entry = header.folders_at.checked_add(number.checked_mul(header.folder_size)?)?;
    let start = le_size(own, entry)?;
    let blocks = le_u16(own, entry.checked_add(4)?)?;
    let method = le_u16(own, entry.checked_add(6)?)? & 0x000f;
    let mut folder = Folder { at: start.min(own.len()), bytes: Vec::new(), wrong: None };
    if method > 1 {
        folder.wrong = Some("its compression is not one that can be undone here".to_owned());
        return Some(folder);
    }
    let limit = purse.decodable(own.len());
    let mut at = start;
    for block in 0..blocks {
        let step = unpack(own, at, header.reserved, method, &folder.bytes);
        let Some((data, next)) = step else {
            folder.wrong = Some(format!("damaged from byte {}, its block {block}", text::length(at)));
            break;
        };
        folder.bytes.extend_from_slice(&data);
        if folder.bytes.len() > limit {
            purse.too_much("a folder of a cabinet");
            folder =
                Folder { bytes: Vec::new(), wrong: Some("it grows beyond the bounds".to_owned()), ..folder };
            break;
        }
        at = next;
    }
    purse.pay(folder.bytes.len());
    Some(folder)
}

/// One block (CFDATA: checksum, stored size, size), and where the next one is.
fn unpack(own: &[u8], at: usize, reserved: usize, method: u16, before: &[u8]) -> Option<(Vec<u8>, usize)> {
    let stored = usize::from(le_u16(own, at.checked_add(4)?)?);
    let size = usize::from(le_u16(own, at.checked_add(6)?)?);
    let start = at.checked_add(8)?.checked_add(reserved)?;
    let end = start.checked_add(stored)?;
    let data = slice(own, start..end).filter(|_| size <= BLOCK_MAX)?;
    if method == 0 {
        return (stored == size).then(|| (data.to_vec(), end));
    }
    let data = data.strip_prefix(b"CK")?;
    // The block refers to the bytes before it. Deflate can be told them: as a stored block in front.
    let history = before.get(before.len().saturating_sub(BLOCK_MAX)..).unwrap_or_default();
    let length = u16::try_from(history.len()).ok()?;
    let stream = [&[0][..], &length.to_le_bytes(), &(!length).to_le_bytes(), history, data].concat();
    let mut inflated = inflate(&stream, history.len().checked_add(size)?);
    let whole =
        inflated.ending == Ending::Whole && inflated.bytes.len() == history.len().checked_add(size)?;
    whole.then(|| (inflated.bytes.split_off(history.len()), end))
}

/// A file (CFFILE: size, place in its folder, folder, date, time, attributes, name), and where the next one is.
fn file(own: &[u8], at: usize, folders: &[Folder], limit: usize) -> Option<(Option<Found>, usize)> {
    let size = le_size(own, at)?;
    let start = le_size(own, at.checked_add(4)?)?;
    let number = usize::from(le_u16(own, at.checked_add(8)?)?);
    let (name, next) = text(own, at.checked_add(16)?)?;
    // Numbers above 0xFFFC: it goes on in another cabinet.
    let Some(folder) = folders.get(number) else { return Some((None, next)) };
    let rest = folder.bytes.get(start..).unwrap_or_default();
    let there = rest.get(..size).unwrap_or(rest);
    if there.is_empty() || there.len() > limit {
        return Some((None, next));
    }
    let mut child = decoded(there.to_vec(), FoundBy::Directory, folder.at..folder.at).named(name);
    child.encoding = "cab".to_owned();
    let gone = size.saturating_sub(there.len());
    if gone > 0 {
        child = child.wrong(State::Truncated, format!("its end cannot be unpacked: {}", text::missing(gone)));
    }
    Some((Some(child), next))
}
