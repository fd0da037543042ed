//! SMB_COM_NEGOTIATE ([MS-CIFS] 2.2.4.52, [MS-SMB] 2.2.4.5).

use super::Block;
use crate::wire::filetime;
use crate::wire::reader::Reader;
use crate::wire::writer::{Writer, len16};

/// How a dialect's reply is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dialect {
    /// The core protocol: only the index.
    Core,
    /// LAN Manager 1.0 to 2.1: 13 words.
    LanManager,
    /// NT LM 0.12: 17 words.
    NtLm012,
}

/// A dialect's rank by its name, the later one the higher; `None` for names that Windows does not speak.
fn rank(name: &[u8]) -> Option<(u8, Dialect)> {
    // Windows constants, [MS-CIFS] 1.7 table of dialects.
    match name {
        b"PC NETWORK PROGRAM 1.0" => Some((1, Dialect::Core)),
        b"MICROSOFT NETWORKS 1.03" => Some((2, Dialect::Core)),
        b"MICROSOFT NETWORKS 3.0" => Some((3, Dialect::LanManager)),
        b"LANMAN1.0" => Some((4, Dialect::LanManager)),
        b"Windows for Workgroups 3.1a" => Some((5, Dialect::LanManager)),
        b"LM1.2X002" => Some((6, Dialect::LanManager)),
        b"DOS LANMAN2.1" | b"LANMAN2.1" => Some((7, Dialect::LanManager)),
        b"NT LM 0.12" => Some((8, Dialect::NtLm012)),
        _ => None,
    }
}

/// The names offered, in order.
pub fn dialects<'a>(block: &Block<'a>) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let mut reader = Reader::new(block.bytes);
    std::iter::from_fn(move || {
        // Each is a buffer format byte 0x02 and a string; anything else ends the list.
        reader.u8("BufferFormat").ok().filter(|&format| format == 0x02).map(|_| reader.until(0))
    })
}

/// The dialect that Windows selects: the latest one that it knows, and its index.
pub fn select(block: &Block<'_>) -> Option<(u16, Dialect)> {
    let known = (0..=u16::MAX).zip(dialects(block)).filter_map(|(index, name)| Some((rank(name)?, index)));
    known
        .max_by_key(|&((rank, _), index)| (rank, std::cmp::Reverse(index)))
        .map(|((_, dialect), index)| (index, dialect))
}

/// What the server says of itself in the reply.
#[derive(Clone, Copy, Debug)]
pub struct Server<'a> {
    /// SecurityMode.
    pub security_mode: u8,
    /// MaxBufferSize.
    pub max_buffer: u32,
    /// Capabilities without CAP_EXTENDED_SECURITY.
    pub capabilities: u32,
    /// SystemTime as FILETIME.
    pub system_time: u64,
    /// ServerTimeZone, minutes west of UTC.
    pub time_zone: i16,
    /// The logon challenge.
    pub challenge: [u8; 8],
    /// The server's GUID.
    pub guid: [u8; 16],
    /// The first security blob of extended security.
    pub security_blob: &'a [u8],
    /// Domain or workgroup.
    pub domain: &'a str,
    /// Computer name.
    pub computer: &'a str,
}

/// Windows 7's MaxMpxCount.
const MAX_MPX: u16 = 50;
/// MaxRawSize.
const MAX_RAW: u32 = 65_536;
/// CAP_EXTENDED_SECURITY.
const CAP_EXTENDED_SECURITY: u32 = 0x8000_0000;

/// Writes words and bytes of the reply that selects no dialect.
pub fn write_none(writer: &mut Writer<'_>) {
    writer.u8(1).u16(0xffff).u16(0);
}

/// Writes words and bytes of the reply that selects dialect number `index`.
pub fn write_reply(
    writer: &mut Writer<'_>,
    index: u16,
    dialect: Dialect,
    extended: bool,
    server: &Server<'_>,
) {
    match dialect {
        Dialect::Core => {
            writer.u8(1).u16(index).u16(0);
        }
        Dialect::LanManager => write_lan_manager(writer, index, server),
        Dialect::NtLm012 => write_nt_lm(writer, index, extended, server),
    }
}

fn write_nt_lm(writer: &mut Writer<'_>, index: u16, extended: bool, server: &Server<'_>) {
    let capabilities = server.capabilities | if extended { CAP_EXTENDED_SECURITY } else { 0 };
    writer.u8(17).u16(index).u8(server.security_mode).u16(MAX_MPX).u16(1);
    writer.u32(server.max_buffer).u32(MAX_RAW).u32(0).u32(capabilities);
    writer.u64(server.system_time).bytes(&server.time_zone.to_le_bytes());
    if extended {
        writer.u8(0).u16(len16(server.guid.len().saturating_add(server.security_blob.len())));
        writer.bytes(&server.guid).bytes(server.security_blob);
        return;
    }
    writer.u8(8);
    let count_at = writer.len();
    // Always UTF-16 and unaligned, whatever the request's Flags2: the capability announces it.
    writer.u16(0).bytes(&server.challenge).utf16(server.domain).u16(0).utf16(server.computer).u16(0);
    let count = writer.len().saturating_sub(count_at).saturating_sub(2);
    writer.patch(count_at, &len16(count).to_le_bytes());
}

fn write_lan_manager(writer: &mut Writer<'_>, index: u16, server: &Server<'_>) {
    let max_buffer = u16::try_from(server.max_buffer).unwrap_or(u16::MAX);
    let (date, time) = dos_date_time(server.system_time, server.time_zone);
    writer.u8(13).u16(index).u16(u16::from(server.security_mode)).u16(max_buffer).u16(MAX_MPX).u16(1);
    writer.u16(0).u32(0).u16(time).u16(date).bytes(&server.time_zone.to_le_bytes()).u16(8).u16(0);
    writer.u16(len16(server.domain.len().saturating_add(9)));
    writer.bytes(&server.challenge).bytes(server.domain.as_bytes()).u8(0);
}

/// SMB_DATE and SMB_TIME ([MS-CIFS] 2.2.1.4) of a FILETIME in a zone given in minutes west of UTC.
fn dos_date_time(file_time: u64, minutes_west: i16) -> (u16, u16) {
    let secs = file_time.checked_div(10_000_000).unwrap_or(0);
    let west = i64::from(minutes_west).saturating_mul(60);
    let local = i64::try_from(secs).unwrap_or(0).saturating_sub(west);
    let (days, second) = (local.div_euclid(86_400), local.rem_euclid(86_400));
    let (year, month, day) = filetime::civil(days);
    let pack = |high: i64, mid: i64, low: i64| {
        let packed = high.saturating_mul(64).saturating_add(mid).saturating_mul(32).saturating_add(low);
        u16::try_from(packed).unwrap_or(0)
    };
    let date = u16::try_from(
        year.saturating_sub(1980)
            .saturating_mul(512)
            .saturating_add(month.saturating_mul(32))
            .saturating_add(day),
    );
    let (hour, rest) = (second.div_euclid(3600), second.rem_euclid(3600));
    (date.unwrap_or(0), pack(hour, rest.div_euclid(60), rest.rem_euclid(60).div_euclid(2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(names: &[&str]) -> Option<(u16, Dialect)> {
        let bytes: Vec<u8> = names.iter().flat_map(|name| [&[2], name.as_bytes(), &[0]].concat()).collect();
        select(&Block { words: &[], bytes: &bytes, bytes_at: 35, byte_count: 0 })
    }

    #[test]
    fn the_latest_dialect_wins() {
        assert_eq!(
            selected(&["LANMAN1.0", "LM1.2X002", "NT LANMAN 1.0", "NT LM 0.12"]),
            Some((3, Dialect::NtLm012))
        );
        assert_eq!(selected(&["NT LM 0.12", "SMB 2.002"]), Some((0, Dialect::NtLm012)));
        assert_eq!(selected(&["PC NETWORK PROGRAM 1.0", "LANMAN2.1"]), Some((1, Dialect::LanManager)));
        assert_eq!(selected(&["SMB 2.???"]), None);
        assert_eq!(selected(&[]), None);
    }

    #[test]
    fn dos_dates_are_right() {
        // 2017-05-12 15:24:06 UTC, seen two hours east.
        let at = filetime::from_unix_micros(1_494_602_646_000_000);
        let (date, time) = dos_date_time(at, -120);
        assert_eq!((date >> 9, (date >> 5) & 15, date & 31), (37, 5, 12));
        assert_eq!((time >> 11, (time >> 5) & 63, (time & 31) * 2), (17, 24, 6));
    }
}
