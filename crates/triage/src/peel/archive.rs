//! Gzip streams, and what decoded bytes are.

use super::found::{Found, Inside, Purse};
use super::inflate::{Ending, Inflated, inflate};
use super::{identify, overlay};
use crate::bytes::{array, le_u16, le_u32};
use crate::report::{FoundBy, State};
use crate::text;
use flate2::Crc;

/// Whether a gzip stream starts here: its header, and data that begin as deflate does.
pub(crate) fn gzip_starts(bytes: &[u8]) -> bool {
    const LOOKED_AT: usize = 512;
    let data = gzip_data(bytes).and_then(|(at, _)| bytes.get(at..));
    data.is_some_and(|data| {
        let inflated = inflate(data.get(..LOOKED_AT).unwrap_or(data), LOOKED_AT);
        inflated.ending != Ending::Broken && !inflated.bytes.is_empty()
    })
}

/// Where the data of a gzip member start, and its name (RFC 1952, 2.3).
fn gzip_data(bytes: &[u8]) -> Option<(usize, String)> {
    let [0x1f, 0x8b, 8, flags, _, _, _, _, extra, _] = array::<10>(bytes, 0)? else { return None };
    // Three bits are reserved; the extra flags of deflate are 0, 2 or 4.
    if flags & 0xe0 != 0 || !matches!(extra, 0 | 2 | 4) {
        return None;
    }
    let mut at = 10usize;
    if flags & 4 != 0 {
        at = at.checked_add(2)?.checked_add(usize::from(le_u16(bytes, at)?))?;
    }
    let mut name = String::new();
    for flag in [8, 16] {
        if flags & flag != 0 {
            const TEXT_MAX: usize = 1024;
            let text = bytes.get(at..)?;
            let length = text.iter().take(TEXT_MAX).position(|&byte| byte == 0)?;
            if flag == 8 {
                name = String::from_utf8_lossy(text.get(..length)?).into_owned();
            }
            at = at.checked_add(length)?.checked_add(1)?;
        }
    }
    if flags & 2 != 0 {
        at = at.checked_add(2)?;
    }
    Some((at, name))
}

/// Where a gzip stream ends that starts here, as far as its data are there and not contradicted: `None` where nothing
/// but the header speaks for one.
pub(crate) fn gzip_extent(bytes: &[u8], purse: &mut Purse<'_>) -> Option<usize> {
    gzip_data(bytes)?;
    if !purse.candidate() || !gzip_starts(bytes) {
        return None;
    }
    let stream = stream(bytes, purse);
    // What goes on to the last byte may be cut; what breaks off before was no stream, or another file's inside.
    let is_one = match stream.ending {
        Ending::Whole => stream.wrong.as_ref().is_none_or(|(state, _)| *state == State::Truncated),
        Ending::Short | Ending::TooMuch => true,
        Ending::Broken => false,
    };
    is_one.then_some(stream.end)
}

/// A stream's members, joined.
struct Stream {
    name: String,
    bytes: Vec<u8>,
    members: u64,
    /// Where the compressed data of the first member start, and of the last one end.
    data: std::ops::Range<usize>,
    /// Where all of it ends.
    end: usize,
    /// How the last member ended.
    ending: Ending,
    wrong: Option<(State, String)>,
}

/// Reads the members that follow each other from the first byte on: together they are one file (RFC 1952, 2.2).
fn stream(bytes: &[u8], purse: &mut Purse<'_>) -> Stream {
    // More than any tool writes that compresses block by block.
    const MEMBERS_MAX: u64 = 65_536;
    let mut stream = Stream {
        name: String::new(),
        bytes: Vec::new(),
        members: 0,
        data: 0..0,
        end: 0,
        ending: Ending::Whole,
        wrong: None,
    };
    while stream.members < MEMBERS_MAX && stream.wrong.is_none() && stream.ending == Ending::Whole {
        let member = bytes.get(stream.end..).unwrap_or_default();
        let Some((at, name)) = gzip_data(member) else { break };
        let data = member.get(at..).unwrap_or_default();
        let inflated = inflate(data, purse.decodable(data.len()));
        purse.pay(inflated.bytes.len());
        let at = stream.end.saturating_add(at);
        let data_end = at.saturating_add(inflated.read).min(bytes.len());
        if stream.members == 0 {
            (stream.name, stream.data.start) = (name, at);
        } else if inflated.ending == Ending::Broken && inflated.bytes.is_empty() {
            // Something that looks like one more header.
            break;
        }
        (stream.wrong, stream.ending) = (wrong(bytes, data_end, &inflated), inflated.ending);
        stream.bytes.extend_from_slice(&inflated.bytes);
        stream.data.end = data_end;
        // Behind the data: checksum and size.
        stream.end = data_end.saturating_add(8).min(bytes.len());
        stream.members = stream.members.saturating_add(1);
    }
    stream
}

/// What is wrong with a member whose data end here.
fn wrong(bytes: &[u8], data_end: usize, inflated: &Inflated) -> Option<(State, String)> {
    let mut crc = Crc::new();
    crc.update(&inflated.bytes);
    match inflated.ending {
        Ending::TooMuch => None,
        Ending::Short => Some((State::Truncated, "its compressed data do not end".to_owned())),
        Ending::Broken => Some((State::Damaged, format!("damaged from byte {}", text::length(data_end)))),
        Ending::Whole => match le_u32(bytes, data_end) {
            None => Some((State::Truncated, "its checksum is missing".to_owned())),
            Some(sum) if sum == crc.sum() => None,
            Some(_) => Some((State::Damaged, "its CRC-32 is wrong".to_owned())),
        },
    }
}

/// The file in a gzip stream and what follows it.
pub(crate) fn gzip(bytes: &[u8], purse: &mut Purse<'_>) -> Inside {
    let mut inside = Inside::default();
    let stream = stream(bytes, purse);
    if stream.ending == Ending::TooMuch {
        purse.too_much("a gzip stream");
        return inside;
    }
    inside.wrong.extend(stream.wrong.clone());
    let mut child = decoded(stream.bytes, FoundBy::Directory, stream.data).named(stream.name);
    child.encoding = "deflate".to_owned();
    if stream.members > 1 {
        child.remarks.push(format!("joined from {}", text::counted(stream.members, "gzip member")));
    }
    inside.found.push(match stream.wrong {
        Some((state, what)) => child.wrong(state, what),
        None => child,
    });
    inside.found.extend(overlay::tail(bytes, stream.end..bytes.len()));
    inside.found.retain(|child| child.decoded.as_ref().is_none_or(|bytes| !bytes.is_empty()));
    inside
}

/// A child of these bytes, of whatever kind they are.
pub(crate) fn decoded(bytes: Vec<u8>, found_by: FoundBy, range: std::ops::Range<usize>) -> Found {
    let identity = overlay::whole_file(&bytes);
    let kind = identity.as_ref().map_or_else(|| identify::plain(&bytes), |identity| identity.kind);
    let mut child = Found::new(kind, found_by, range);
    if let Some(identity) = identity {
        (child.state, child.remarks) = (identity.state, identity.remarks);
    }
    child.decoded = Some(bytes);
    child
}
