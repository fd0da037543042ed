//! Which members a ZIP archive has, by its own directory; by the members' own headers where that is missing.
//!
//! Layout by PKWARE's "APPNOTE.TXT", 4.3. Only what stands there is read: nothing is unpacked.

use crate::bytes::{array, le_size, le_u16, le_u32, slice};
use crate::report::State;
use crate::text;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

const LOCAL: usize = 30;
const CENTRAL: usize = 46;
const END: usize = 22;
/// Longer names are believed only where a directory leads to them, and are kept so far.
const NAME_MAX: usize = 512;
/// Behind the end record stands a comment of at most so many bytes.
const COMMENT_MAX: usize = 65_535;
/// "Extra field" of an AES member (WinZip's "AES Encryption Information").
const AES_EXTRA: u16 = 0x9901;

/// A member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    /// Where its own header should stand.
    local_at: usize,
    /// Where its stored bytes start; `None` where its local header is not at its place.
    pub(crate) data_at: Option<usize>,
    /// Stored bytes, as claimed.
    pub(crate) stored: usize,
    pub(crate) size: u64,
    pub(crate) crc32: u32,
    pub(crate) flags: u16,
    pub(crate) method: u16,
    pub(crate) time: u16,
}

impl Entry {
    pub(crate) fn encrypted(&self) -> bool {
        self.flags & 1 != 0
    }

    /// AES stands in place of the method, which is then in the extra field.
    pub(crate) fn aes(&self) -> bool {
        self.method == 99
    }

    /// Checksum and sizes stand behind the data.
    fn descriptor(&self) -> bool {
        self.flags & 8 != 0
    }
}

/// An archive's members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Archive {
    pub(crate) entries: Vec<Entry>,
    pub(crate) without_directory: bool,
    /// Where the archive ends.
    pub(crate) end: usize,
    /// Where its directory starts, or the archive ends where that is missing: no member's bytes go on there.
    pub(crate) directory_at: usize,
    /// Members that it says it has.
    pub(crate) members: usize,
    /// What is wrong with it as a whole.
    pub(crate) wrong: Vec<(State, String)>,
    /// Whether members stand elsewhere than the directory says.
    pub(crate) moved: bool,
    /// Whether there are more members than were listed.
    pub(crate) cut: bool,
}

impl Archive {
    /// Where the stored bytes of `entry` end at the latest, if they claim more than there is room for: where another
    /// member's header or the directory stands.
    pub(crate) fn room_ends(&self, entry: &Entry) -> usize {
        let next = self.entries.iter().map(|other| other.local_at).filter(|&at| at > entry.local_at).min();
        next.map_or(self.directory_at, |next| next.min(self.directory_at))
    }

    /// Looks for members whose own headers are not where the directory says: where bytes are gone or came in between,
    /// what stands behind has moved and is whole.
    fn find_moved(&mut self, bytes: &[u8]) {
        let mut sought: BTreeMap<String, VecDeque<usize>> = BTreeMap::new();
        let lost = self.entries.iter().enumerate().filter(|(_, entry)| entry.data_at.is_none());
        for (number, entry) in lost {
            sought.entry(entry.name.clone()).or_default().push_back(number);
        }
        let (mut at, mut moved) = (0, Vec::new());
        while let Some(found) =
            (!sought.is_empty()).then(|| next_local(bytes, at..self.directory_at)).flatten()
        {
            at = found.saturating_add(4);
            let Some((there, _)) = any_local(bytes, found) else { continue };
            let Some(numbers) = sought.get_mut(&there.name) else { continue };
            let Some(entry) = numbers.front().and_then(|&number| self.entries.get_mut(number)) else {
                continue;
            };
            if there.crc32 == entry.crc32 || there.descriptor() {
                (entry.local_at, entry.data_at) = (there.local_at, there.data_at);
                moved.push(entry.name.clone());
                numbers.pop_front();
                if numbers.is_empty() {
                    sought.remove(&there.name);
                }
            }
        }
        if let Some(first) = moved.first() {
            let count = text::counted(u64::try_from(moved.len()).unwrap_or(u64::MAX), "member");
            let stand = if moved.len() == 1 { "stands" } else { "stand" };
            let remark = format!("{count} {stand} elsewhere than its directory says, first `{first}`");
            self.wrong.push((State::Damaged, remark));
            self.moved = true;
        }
    }
}

/// Whether an archive starts here: with a member's header, or empty with its end record.
pub(crate) fn starts(bytes: &[u8]) -> bool {
    local(bytes, 0).is_some() || end_at(bytes, 0).is_some()
}

/// Whether bytes that end where an archive would are one: also such an archive whose first member has a header that no
/// tool writes, where end record and directory lead to it.
pub(crate) fn is_whole(bytes: &[u8]) -> bool {
    let led_to = || {
        let end = last_end(bytes).filter(|_| bytes.starts_with(b"PK\x03\x04"))?;
        let (first, _) = central(bytes, end.directory_at, &end)?;
        Some(first.local_at == 0 && first.data_at.is_some())
    };
    starts(bytes) || led_to().unwrap_or(false)
}

/// A member's own header, and where its data end as far as it says; only such a one as tools write.
fn local(bytes: &[u8], at: usize) -> Option<(Entry, usize)> {
    let (entry, next) = any_local(bytes, at)?;
    // Version 6.3 is the newest; no tool writes an empty name, a name with zeros, or one as long as a page.
    let version = le_u16(bytes, at.checked_add(4)?)? & 0xff;
    let name_size = usize::from(le_u16(bytes, at.checked_add(26)?)?);
    let name_at = at.checked_add(LOCAL)?;
    let name = slice(bytes, name_at..name_at.checked_add(name_size)?)?;
    let sane = version <= 63 && (1..=NAME_MAX).contains(&name_size) && !name.contains(&0);
    let method = matches!(entry.method, 0..=19 | 93..=99);
    (sane && method).then_some((entry, next))
}

/// The same, whatever it says of its name: where something else leads to it.
fn any_local(bytes: &[u8], at: usize) -> Option<(Entry, usize)> {
    let header = slice(bytes, at..at.checked_add(LOCAL)?)?;
    if slice(header, 0..4)? != b"PK\x03\x04" {
        return None;
    }
    let name_size = usize::from(le_u16(header, 26)?);
    let extra_size = usize::from(le_u16(header, 28)?);
    let name_at = at.checked_add(LOCAL)?;
    let name = slice(bytes, name_at..name_at.checked_add(name_size)?)?;
    let data_at = name_at.checked_add(name_size)?.checked_add(extra_size)?;
    let entry = Entry {
        name: shown(name),
        local_at: at,
        data_at: Some(data_at),
        stored: le_size(header, 18)?,
        size: u64::from(le_u32(header, 22)?),
        crc32: le_u32(header, 14)?,
        flags: le_u16(header, 6)?,
        method: le_u16(header, 8)?,
        time: le_u16(header, 10)?,
    };
    let next = data_at.checked_add(entry.stored)?;
    Some((entry, next))
}

fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name.get(..NAME_MAX).unwrap_or(name)).into_owned()
}

/// The end record at `at`: where the central directory starts, its size, the claimed number of members, where the
/// archive ends.
#[derive(Clone, Copy, Debug)]
struct End {
    directory_at: usize,
    directory_size: usize,
    members: usize,
    claimed_at: usize,
    end: usize,
}

impl End {
    /// Where in the archive what its offsets call `at` stands; `None` where that is in front of its first byte, since
    /// the member that it began with was not found.
    fn place(&self, at: usize) -> Option<usize> {
        at.checked_add(self.directory_at)?.checked_sub(self.claimed_at)
    }
}

/// Checked by what it leads to.
fn end_at(bytes: &[u8], at: usize) -> Option<End> {
    let record = slice(bytes, at..at.checked_add(END)?)?;
    if slice(record, 0..4)? != b"PK\x05\x06" {
        return None;
    }
    let directory_size = le_size(record, 12)?;
    let directory_at = at.checked_sub(directory_size)?;
    let members = usize::from(le_u16(record, 10)?);
    let comment = usize::from(le_u16(record, 20)?);
    let end = at.checked_add(END)?.checked_add(comment)?.min(bytes.len());
    let leads =
        if members == 0 { directory_size == 0 } else { array(bytes, directory_at) == Some(*b"PK\x01\x02") };
    let claimed_at = le_size(record, 16)?;
    leads.then_some(End { directory_at, directory_size, members, claimed_at, end })
}

/// The last end record, where an archive that ends with the bytes has it.
fn last_end(bytes: &[u8]) -> Option<End> {
    let last = bytes.len().checked_sub(END)?;
    let first = last.saturating_sub(COMMENT_MAX);
    (first..=last).rev().find_map(|at| end_at(bytes, at))
}

/// The first end record from `from` on.
fn first_end(bytes: &[u8], from: usize) -> Option<End> {
    let mut at = from;
    loop {
        let found = bytes.get(at..)?.windows(4).position(|four| four == b"PK\x05\x06")?;
        let place = at.checked_add(found)?;
        match end_at(bytes, place) {
            Some(end) => return Some(end),
            None => at = place.checked_add(4)?,
        }
    }
}

/// Where the members end that follow each other from the start on.
fn chain(bytes: &[u8], max: usize) -> usize {
    let mut at = 0;
    for _ in 0..max {
        match local(bytes, at) {
            Some((entry, next)) if next <= bytes.len() && !(entry.descriptor() && entry.stored == 0) => {
                at = next
            }
            Some((entry, _)) => return entry.data_at.unwrap_or(at).min(bytes.len()),
            None => break,
        }
    }
    at
}

/// What is known of end records in bytes that are searched: keeps a search for many archives linear.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ends {
    none_from: Option<usize>,
}

/// How long the archive is that starts at the first of `bytes`, which stand at `start` of what is searched.
pub(crate) fn extent(bytes: &[u8], start: usize, max: usize, ends: &mut Ends) -> usize {
    let after = chain(bytes, max);
    let place = start.saturating_add(after);
    if ends.none_from.is_none_or(|none| place < none) {
        if let Some(end) = first_end(bytes, after) {
            return end.end;
        }
        ends.none_from = Some(place);
    }
    after
}

/// The next place in `range` where a member's own header may stand.
fn next_local(bytes: &[u8], range: Range<usize>) -> Option<usize> {
    let start = range.start;
    let found = slice(bytes, range)?.windows(4).position(|four| four == b"PK\x03\x04")?;
    start.checked_add(found)
}

/// Lists an archive's members, at most `max`.
pub(crate) fn open(bytes: &[u8], max: usize) -> Option<Archive> {
    if !is_whole(bytes) {
        return None;
    }
    let end = last_end(bytes).or_else(|| first_end(bytes, chain(bytes, max)));
    Some(match end {
        Some(end) => by_directory(bytes, &end, max),
        None => by_local_headers(bytes, max),
    })
}

fn by_directory(bytes: &[u8], end: &End, max: usize) -> Archive {
    let mut archive = Archive { end: end.end, directory_at: end.directory_at, ..Archive::default() };
    let directory_end = end.directory_at.saturating_add(end.directory_size);
    let mut at = end.directory_at;
    while at < directory_end {
        if archive.entries.len() >= max {
            archive.cut = true;
            break;
        }
        let Some((entry, next)) = central(bytes, at, end) else {
            let remark = format!("its directory breaks off at byte {}", text::length(at));
            archive.wrong.push((State::Damaged, remark));
            break;
        };
        archive.entries.push(entry);
        at = next;
    }
    archive.find_moved(bytes);
    let listed = archive.entries.len();
    if !archive.cut && listed != end.members {
        let members = text::counted(u64::try_from(listed).unwrap_or(u64::MAX), "member");
        let remark = format!("its directory lists {members} and says {}", text::length(end.members));
        archive.wrong.push((State::Damaged, remark));
    }
    // A number is believed only of what was not counted.
    archive.members = if archive.cut { listed.max(end.members) } else { listed };
    archive
}

/// An entry of the central directory, and where the next one is. Something may stand in front of an archive, or its
/// front may be gone: offsets count from where it began.
fn central(bytes: &[u8], at: usize, end: &End) -> Option<(Entry, usize)> {
    let header = slice(bytes, at..at.checked_add(CENTRAL)?)?;
    if slice(header, 0..4)? != b"PK\x01\x02" {
        return None;
    }
    let length = |field: usize| le_u16(header, field).map(usize::from);
    let name_at = at.checked_add(CENTRAL)?;
    let name_end = name_at.checked_add(length(28)?)?;
    let next = name_end.checked_add(length(30)?)?.checked_add(length(32)?)?;
    let local_at = end.place(le_size(header, 42)?);
    let mut entry = Entry {
        name: shown(slice(bytes, name_at..name_end)?),
        local_at: local_at.unwrap_or(0),
        data_at: local_at.and_then(|at| any_local(bytes, at)?.0.data_at),
        stored: le_size(header, 20)?,
        size: u64::from(le_u32(header, 24)?),
        crc32: le_u32(header, 16)?,
        flags: le_u16(header, 8)?,
        method: le_u16(header, 10)?,
        time: le_u16(header, 12)?,
    };
    if entry.aes() && le_u16(bytes, name_end) != Some(AES_EXTRA) {
        // Said to be AES, without what AES needs: leave it to be unreadable.
        entry.flags |= 1;
    }
    Some((entry, next))
}

/// For an archive whose end is missing: each member says where it is itself.
fn by_local_headers(bytes: &[u8], max: usize) -> Archive {
    // What is left of a directory says that the end is there.
    let (what, state) = match bytes.windows(4).any(|four| four == b"PK\x01\x02") {
        true => ("damaged", State::Damaged),
        false => ("missing", State::Truncated),
    };
    let remark = format!("its directory is {what}: members were found by their own headers");
    let wrong = vec![(state, remark)];
    let mut archive = Archive { without_directory: true, wrong, ..Archive::default() };
    let mut at = 0;
    while let Some(rest) = bytes.get(at..) {
        if archive.entries.len() >= max {
            archive.cut = true;
            break;
        }
        let Some((mut entry, mut next)) = local(bytes, at) else {
            // Damage in between: on to the next header.
            let found = rest.windows(4).skip(1).position(|four| four == b"PK\x03\x04");
            let Some(found) = found.and_then(|found| at.checked_add(found)?.checked_add(1)) else { break };
            at = found;
            continue;
        };
        if entry.descriptor() && entry.stored == 0 {
            let data_at = entry.data_at.unwrap_or(at);
            let data = bytes.get(data_at..).unwrap_or_default();
            let mark = data
                .windows(4)
                .position(|four| matches!(four, b"PK\x03\x04" | b"PK\x07\x08" | b"PK\x01\x02"));
            entry.stored = mark.unwrap_or(data.len());
            next = data_at.saturating_add(entry.stored);
            if data.get(entry.stored..).is_some_and(|mark| mark.starts_with(b"PK\x07\x08")) {
                // Checksum, stored size, size.
                entry.crc32 = le_u32(bytes, next.saturating_add(4)).unwrap_or(0);
                entry.size = le_u32(bytes, next.saturating_add(12)).map_or(0, u64::from);
                next = next.saturating_add(16);
            }
        }
        archive.entries.push(entry);
        at = next;
    }
    (archive.end, archive.directory_at) = (bytes.len(), bytes.len());
    archive.members = archive.entries.len();
    archive
}
