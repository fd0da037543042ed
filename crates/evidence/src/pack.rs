//! Small things as few bytes: numbers, addresses, ranges, words.

use roridula_proto::event::{ByteRange, Origin, UploadState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Appends `value` as LEB128: seven bits a byte, low ones first.
pub(crate) fn put_number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Takes a LEB128 number from the front.
pub(crate) fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// An address as 4 or 16 bytes; a mapped IPv4 address is an IPv4 address.
pub(crate) fn put_ip(address: IpAddr) -> Vec<u8> {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// An address and its port as 6 or 18 bytes.
pub(crate) fn put_address(address: SocketAddr) -> Vec<u8> {
    let mut out = put_ip(address.ip());
    out.extend(address.port().to_be_bytes());
    out
}

/// What [`put_ip`] made.
pub(crate) fn take_ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => bytes.first_chunk::<4>().map(|octets| Ipv4Addr::from(*octets).into()),
        16 => bytes.first_chunk::<16>().map(|octets| Ipv6Addr::from(*octets).into()),
        _ => None,
    }
}

/// What [`put_address`] made.
pub(crate) fn take_address(bytes: &[u8]) -> Option<SocketAddr> {
    let (ip, port) = bytes.split_last_chunk::<2>()?;
    Some(SocketAddr::new(take_ip(ip)?, u16::from_be_bytes(*port)))
}

/// Ranges as pairs (gap before, length); `None` for the plain case of one range that starts at 0.
pub(crate) fn put_ranges(ranges: &[ByteRange]) -> Option<Vec<u8>> {
    if matches!(ranges, [only] if only.start == 0) {
        return None;
    }
    let mut out = Vec::new();
    let mut at = 0;
    for range in ranges {
        put_number(&mut out, range.start.saturating_sub(at));
        put_number(&mut out, range.len());
        at = range.end;
    }
    Some(out)
}

/// What [`put_ranges`] made of the ranges of a sample of `size` bytes.
pub(crate) fn take_ranges(bytes: Option<&[u8]>, size: u64) -> Vec<ByteRange> {
    let Some(mut bytes) = bytes else { return vec![ByteRange { start: 0, end: size }] };
    let mut ranges = Vec::new();
    let mut at = 0u64;
    while let (Some(gap), Some(len)) = (take_number(&mut bytes), take_number(&mut bytes)) {
        let start = at.saturating_add(gap);
        at = start.saturating_add(len);
        ranges.push(ByteRange { start, end: at });
    }
    ranges
}

const STATES: [UploadState; 3] = [UploadState::Complete, UploadState::Partial, UploadState::Oversize];
const ORIGINS: [Origin; 6] = [
    Origin::DoublePulsar,
    Origin::DoublePulsarRaw,
    Origin::DoublePulsarConflict,
    Origin::ExploitBuffer,
    Origin::UnknownBuffer,
    Origin::StreamRest,
];

/// A state's number in the journal; numbers are never given again.
pub(crate) fn put_state(state: UploadState) -> i64 {
    STATES.iter().position(|&each| each == state).unwrap_or(1) as i64
}

/// What [`put_state`] made.
pub(crate) fn take_state(number: i64) -> UploadState {
    usize::try_from(number).ok().and_then(|at| STATES.get(at)).copied().unwrap_or(UploadState::Partial)
}

/// An origin's number in the journal; numbers are never given again.
pub(crate) fn put_origin(origin: Origin) -> i64 {
    ORIGINS.iter().position(|&each| each == origin).unwrap_or(0) as i64
}

/// What [`put_origin`] made.
pub(crate) fn take_origin(number: i64) -> Origin {
    usize::try_from(number).ok().and_then(|at| ORIGINS.get(at)).copied().unwrap_or(Origin::DoublePulsar)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_addresses_and_ranges_come_back() {
        let mut out = Vec::new();
        for value in [0, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            put_number(&mut out, value);
        }
        let mut bytes = out.as_slice();
        for value in [0, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            assert_eq!(take_number(&mut bytes), Some(value));
        }
        assert_eq!(take_number(&mut bytes), None);
        for text in ["192.0.2.1:445", "[2001:db8::7]:139"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(take_address(&put_address(address)), Some(address));
        }
        assert_eq!(put_address("[::ffff:192.0.2.1]:445".parse().unwrap()).len(), 6);
        let ranges = [[0, 4096], [8192, 9000], [1 << 33, 1 << 34]].map(ByteRange::from);
        assert_eq!(take_ranges(put_ranges(&ranges).as_deref(), 0), ranges);
        assert_eq!(put_ranges(&ranges[..1]), None);
        assert_eq!(take_ranges(None, 4096), ranges[..1]);
    }

    #[test]
    fn words_come_back() {
        assert!(STATES.into_iter().all(|state| take_state(put_state(state)) == state));
        assert!(ORIGINS.into_iter().all(|origin| take_origin(put_origin(origin)) == origin));
    }
}
