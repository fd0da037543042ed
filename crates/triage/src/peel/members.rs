//! Members of a ZIP archive: unpacked, checked, and where they are damaged.

use super::found::{Found, Inside, Purse};
use super::inflate::{Ending, Inflated, inflate};
use super::zip::{self, Archive, Entry};
use super::{identify, overlay, zipcrypto};
use crate::bytes::slice;
use crate::facts::{Member, ZipFacts};
use crate::report::{Depth, FoundBy, State};
use crate::text;
use flate2::Crc;
use std::io::{Cursor, Read};
use std::ops::Range;

/// Passwords that were published with the malware that uses them: WannaCry's (Symantec, SecureWorks and others, 2017).
const PASSWORDS: [&str; 1] = ["WNcry@2ol7"];
/// Neither deflate nor a cipher makes so many equal bytes in a row: there the data were overwritten.
const RUN_MIN: usize = 32;
const STORED: u16 = 0;
const DEFLATED: u16 = 8;

/// What reading one member gave.
#[derive(Debug, Default)]
struct Reading {
    /// As far as it could be unpacked; `None` where the archive's own bytes are the member.
    decoded: Option<Vec<u8>>,
    encoding: &'static str,
    /// `None`: it cannot be said.
    state: Option<State>,
    /// As in [`Member::damaged_at`].
    damaged_at: Option<u64>,
    what: String,
    /// Whether it was not unpacked because of a bound.
    too_large: bool,
}

impl Reading {
    fn too_large() -> Self {
        Self { what: "it grows beyond the bounds".to_owned(), too_large: true, ..Self::default() }
    }
}

/// What is inside an archive; its table of members besides.
pub(crate) fn inside(bytes: &[u8], purse: &mut Purse<'_>) -> Inside {
    let Some(archive) = zip::open(bytes, purse.budget.entries_max) else { return Inside::default() };
    if archive.cut {
        let (read, all) = (text::length(archive.entries.len()), text::length(archive.members));
        purse.remark(format!("only the first {read} of {all} members of an archive were read"));
    }
    let mut inside = Inside { wrong: archive.wrong.clone(), ..Inside::default() };
    let mut facts = ZipFacts {
        count: u64::try_from(archive.members).unwrap_or(u64::MAX),
        without_directory: archive.without_directory,
        ..ZipFacts::default()
    };
    let password = password(bytes, &archive);
    facts.password = password.unwrap_or_default().to_owned();
    let mut aes = None;
    let (mut left, mut too_large) = (bytes.len(), 0u64);
    for (number, entry) in archive.entries.iter().enumerate() {
        let stored = entry.data_at.and_then(|at| stored(bytes, &archive, entry, at));
        let data = stored.clone().and_then(|range| slice(bytes, range));
        // Members that follow each other cannot be more than their archive: those that lie in each other cost time.
        let room = left.checked_sub(data.map_or(0, <[u8]>::len));
        left = room.unwrap_or(left);
        let read = match data {
            Some(_) if room.is_none() => {
                Reading { what: "it lies in other members".to_owned(), ..Reading::default() }
            }
            None => Reading {
                state: Some(if archive.without_directory { State::Truncated } else { State::Damaged }),
                what: "its own header is not where the directory says".to_owned(),
                ..Reading::default()
            },
            // What has to be decoded is left to the full report.
            Some(_) if purse.depth == Depth::First && (entry.encrypted() || entry.method != STORED) => {
                Reading::default()
            }
            Some(_) if entry.encrypted() && entry.aes() => {
                by_crate(bytes, number, entry, &mut aes, &mut facts, purse)
            }
            Some(data) => read(data, entry, password, purse),
        };
        facts.members.push(member(entry, &read));
        // What cannot be read is not wrong.
        let state = read.state.unwrap_or(State::Intact);
        if !read.what.is_empty() && !read.too_large {
            inside.wrong.push((state, format!("member `{}`: {}", entry.name, read.what)));
        }
        too_large = too_large.saturating_add(u64::from(read.too_large));
        inside.found.extend(stored.and_then(|range| layer(bytes, entry, read, range)));
    }
    if too_large > 0 {
        let (members, grow) =
            (text::counted(too_large, "member"), if too_large == 1 { "it grows" } else { "they grow" });
        let remark = format!("{members} not unpacked: {grow} beyond the bounds");
        inside.wrong.push((State::Intact, remark));
    }
    inside.found.extend(overlay::tail(bytes, archive.end..bytes.len()));
    inside.zip = Some(facts);
    inside
}

/// Where the stored bytes of a member are that start at `at`. One that lies about its size would have the others and
/// the directory in it; one that has lost some bytes, the beginning of the next.
fn stored(bytes: &[u8], archive: &Archive, entry: &Entry, at: usize) -> Option<Range<usize>> {
    let end = at.checked_add(entry.stored)?;
    let in_front = at < archive.directory_at;
    let room = if in_front && (archive.moved || end > archive.directory_at) {
        archive.room_ends(entry)
    } else {
        bytes.len()
    };
    Some(at..end.min(room.max(at)))
}

fn member(entry: &Entry, read: &Reading) -> Member {
    Member {
        name: entry.name.clone(),
        offset: entry.data_at.and_then(|at| u64::try_from(at).ok()).unwrap_or(0),
        stored_size: u64::try_from(entry.stored).unwrap_or(u64::MAX),
        size: entry.size,
        crc32: entry.crc32,
        encrypted: entry.encrypted(),
        state: read.state.map_or("unknown", State::as_str).to_owned(),
        damaged_at: read.damaged_at,
    }
}

/// The layer that a member is, if anything of it could be read.
fn layer(archive: &[u8], entry: &Entry, read: Reading, range: Range<usize>) -> Option<Found> {
    let state = read.state?;
    let bytes = match &read.decoded {
        Some(decoded) => decoded.as_slice(),
        None => slice(archive, range.clone())?,
    };
    if bytes.is_empty() {
        return None;
    }
    let identity = overlay::whole_file(bytes);
    let kind = identity.as_ref().map_or_else(|| identify::plain(bytes), |identity| identity.kind);
    let mut found = Found::new(kind, FoundBy::Directory, range).named(entry.name.as_str());
    if let Some(identity) = identity {
        (found.state, found.remarks) = (identity.state, identity.remarks);
    }
    found.encoding = read.encoding.to_owned();
    found.decoded = read.decoded;
    Some(if state == State::Intact { found } else { found.wrong(state, read.what) })
}

/// The password that opens any member, by the check byte and, for those few that pass by chance, by what comes out.
fn password(bytes: &[u8], archive: &Archive) -> Option<&'static str> {
    const LOOKED_AT: usize = 4096;
    let encrypted = archive.entries.iter().filter(|entry| entry.encrypted() && !entry.aes());
    let opens = |entry: &Entry, password: &str| {
        let at = entry.data_at?;
        let end = at.checked_add(entry.stored.min(LOOKED_AT))?.min(bytes.len());
        let (checked, plain) = decrypt(slice(bytes, at..end)?, entry, password)?;
        let plausible = match entry.method {
            DEFLATED => inflate(&plain, LOOKED_AT).ending != Ending::Broken,
            _ => true,
        };
        Some(checked && plausible)
    };
    // A damaged member does not speak for the others: the first that opens decides.
    let mut members = encrypted.take(64);
    members.find_map(|entry| PASSWORDS.into_iter().find(|password| opens(entry, password).unwrap_or(false)))
}

/// A member in clear, and whether the check byte fits: the checksum's highest, or the time's where the checksum was
/// not known yet.
fn decrypt(data: &[u8], entry: &Entry, password: &str) -> Option<(bool, Vec<u8>)> {
    let mut keys = zipcrypto::Keys::new(password.as_bytes());
    let (salt, data) = data.split_at_checked(zipcrypto::HEADER)?;
    let check = salt.iter().fold(0, |_, &byte| keys.decrypt(byte));
    let [.., by_checksum] = entry.crc32.to_le_bytes();
    let [_, by_time] = entry.time.to_le_bytes();
    let fits = check == by_checksum || (entry.flags & 8 != 0 && check == by_time);
    Some((fits, data.iter().map(|&byte| keys.decrypt(byte)).collect()))
}

/// Unpacks a member and checks it.
fn read(data: &[u8], entry: &Entry, password: Option<&str>, purse: &mut Purse<'_>) -> Reading {
    let unreadable = |what: &str| Reading { what: what.to_owned(), ..Reading::default() };
    let short = data.len() < entry.stored;
    let (clear, salt) = if entry.encrypted() {
        let Some(password) = password else { return unreadable("it wants a password") };
        let Some((_, clear)) = decrypt(data, entry, password) else {
            return Reading { state: Some(State::Truncated), ..unreadable("nothing of it is there") };
        };
        purse.pay(clear.len());
        (Some(clear), zipcrypto::HEADER)
    } else {
        (None, 0)
    };
    let input = clear.as_deref().unwrap_or(data);
    let inflated = match entry.method {
        STORED => None,
        DEFLATED => {
            let limit = purse.decodable(input.len());
            let inflated = inflate(input, limit);
            purse.pay(inflated.bytes.len());
            if inflated.ending == Ending::TooMuch {
                purse.too_much("a member of an archive");
                return Reading::too_large();
            }
            Some(inflated)
        }
        _ => return unreadable("its compression is not one that can be undone here"),
    };
    let encoding = match (salt, entry.method) {
        (0, STORED) => "",
        (0, _) => "deflate",
        (_, STORED) => "zipcrypto",
        _ => "zipcrypto+deflate",
    };
    let mut read = judge(data, entry, inflated.as_ref(), clear.as_deref(), salt, short);
    read.encoding = encoding;
    read.decoded = inflated.map(|inflated| inflated.bytes).or(clear);
    read
}

/// Whether a member is whole, and if not, from where on.
fn judge(
    data: &[u8],
    entry: &Entry,
    inflated: Option<&Inflated>,
    clear: Option<&[u8]>,
    salt: usize,
    short: bool,
) -> Reading {
    let bytes = inflated.map(|inflated| inflated.bytes.as_slice()).or(clear).unwrap_or(data);
    let mut crc = Crc::new();
    crc.update(bytes);
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let ended = inflated.is_none_or(|inflated| inflated.ending == Ending::Whole);
    if ended && !short && crc.sum() == entry.crc32 && size == entry.size {
        return Reading { state: Some(State::Intact), ..Reading::default() };
    }
    let broken = inflated.filter(|inflated| inflated.ending == Ending::Broken);
    let run = (inflated.is_some() || salt > 0).then(|| equal_bytes(data)).flatten();
    let contradiction = broken.map(|inflated| inflated.read.saturating_add(salt));
    let damaged_at = match (run, contradiction) {
        (Some(run), Some(contradiction)) => Some(run.min(contradiction)),
        (run, contradiction) => run.or(contradiction),
    };
    let stored_at = damaged_at;
    let damaged_at =
        stored_at.map(|at| unpacked(clear.unwrap_or(data), at.saturating_sub(salt), entry.method));
    let (state, what) = if let (Some(at), Some(stored)) = (damaged_at, stored_at) {
        let (at, stored) = (text::length(at), text::length(stored));
        (State::Damaged, format!("damaged from its byte {at} (stored byte {stored})"))
    } else if short {
        let gone = text::missing(entry.stored.saturating_sub(data.len()));
        (State::Truncated, format!("its end is not there: {gone} as stored"))
    } else if ended {
        (State::Damaged, format!("its CRC-32 is {:08x} and should be {:08x}", crc.sum(), entry.crc32))
    } else {
        (State::Damaged, "its compressed data do not end".to_owned())
    };
    let damaged_at = damaged_at.and_then(|at| u64::try_from(at).ok());
    Reading { state: Some(state), damaged_at, what, ..Reading::default() }
}

/// How many bytes of a member come out of the first `at` of its stored ones in clear.
fn unpacked(clear: &[u8], at: usize, method: u16) -> usize {
    match method {
        DEFLATED => inflate(clear.get(..at).unwrap_or(clear), usize::MAX).bytes.len(),
        _ => at,
    }
}

/// Where the first long run of one value starts.
fn equal_bytes(data: &[u8]) -> Option<usize> {
    let mut start = 0usize;
    let mut last = None;
    for (at, &byte) in data.iter().enumerate() {
        if last != Some(byte) {
            (start, last) = (at, Some(byte));
        } else if at.saturating_sub(start) >= RUN_MIN {
            return Some(start);
        }
    }
    None
}

/// What crate `zip` opens of an archive, opened once.
type Opened<'a> = Option<Option<::zip::ZipArchive<Cursor<&'a [u8]>>>>;

/// AES members: by crate `zip`, which knows the cipher. Its list may differ from ours: the name has to agree.
fn by_crate<'a>(
    bytes: &'a [u8],
    number: usize,
    entry: &Entry,
    opened: &mut Opened<'a>,
    facts: &mut ZipFacts,
    purse: &mut Purse<'_>,
) -> Reading {
    let unknown = |what: &str| Reading { what: what.to_owned(), ..Reading::default() };
    let archive = opened.get_or_insert_with(|| ::zip::ZipArchive::new(Cursor::new(bytes)).ok());
    let Some(archive) = archive else {
        return unknown("it is encrypted with AES, and its archive is damaged");
    };
    let limit = purse.decodable(entry.stored);
    for password in PASSWORDS {
        let Ok(file) = archive.by_index_decrypt(number, password.as_bytes()) else { continue };
        if file.name().is_ok_and(|name| name != entry.name) {
            continue;
        }
        let mut decoded = Vec::new();
        let bound = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        let outcome = file.take(bound).read_to_end(&mut decoded);
        purse.pay(decoded.len());
        if decoded.len() > limit {
            purse.too_much("a member of an archive");
            return Reading::too_large();
        }
        facts.password = password.to_owned();
        let (state, what) = match outcome {
            Ok(_) => (State::Intact, String::new()),
            Err(_) => (State::Damaged, "its checksum is wrong".to_owned()),
        };
        return Reading {
            decoded: Some(decoded),
            encoding: "aes",
            state: Some(state),
            what,
            ..Reading::default()
        };
    }
    unknown("it wants a password")
}
