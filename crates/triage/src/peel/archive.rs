//! Gzip streams, and what decoded bytes are.

use super::found::{Found, Inside, Purse};
use super::inflate::{Ending, inflate};
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

/// The one member of a gzip stream and what follows it.
pub(crate) fn gzip(bytes: &[u8], purse: &mut Purse<'_>) -> Inside {
    let mut inside = Inside::default();
    let Some((at, name)) = gzip_data(bytes) else { return inside };
    let data = bytes.get(at..).unwrap_or_default();
    let inflated = inflate(data, purse.decodable(data.len()));
    purse.pay(inflated.bytes.len());
    let end = at.saturating_add(inflated.read);
    let mut crc = Crc::new();
    crc.update(&inflated.bytes);
    let wrong = match inflated.ending {
        Ending::TooMuch => {
            purse.too_much("a gzip stream");
            return inside;
        }
        Ending::Short => Some((State::Truncated, "its compressed data do not end".to_owned())),
        Ending::Broken => Some((State::Damaged, format!("damaged from byte {}", text::length(end)))),
        Ending::Whole => match le_u32(bytes, end) {
            None => Some((State::Truncated, "its checksum is missing".to_owned())),
            Some(sum) if sum == crc.sum() => None,
            Some(_) => Some((State::Damaged, "its CRC-32 is wrong".to_owned())),
        },
    };
    let end = end.min(bytes.len());
    inside.wrong.extend(wrong.clone());
    let mut child = decoded(inflated.bytes, FoundBy::Directory, at..end).named(name);
    child.encoding = "deflate".to_owned();
    inside.found.push(match wrong {
        Some((state, what)) => child.wrong(state, what),
        None => child,
    });
    // Behind the data: checksum and size.
    inside.found.extend(overlay::tail(bytes, end.saturating_add(8)..bytes.len()));
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
