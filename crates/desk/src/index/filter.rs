//! What is asked for: spans, filters, and where a page goes on.

use super::fold::address_bytes;
use super::view::Step;
use crate::derived::DerivedError;
use roridula_evidence::SampleId;
use roridula_proto::time::WallClock;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Rows of a page, at most.
pub(super) const LIMIT_MAX: usize = 1000;

/// From a moment on, up to another and without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first moment.
    pub since: WallClock,
    /// The first moment that is no more of it.
    pub until: WallClock,
}

impl Span {
    /// All of time.
    pub const ALL: Self = Self { since: WallClock(0), until: WallClock(i64::MAX as u64) };

    /// The last `micros` microseconds before `until`.
    pub const fn last(micros: u64, until: WallClock) -> Self {
        Self { since: WallClock(until.0.saturating_sub(micros)), until }
    }

    /// Its length in microseconds.
    pub const fn len(self) -> u64 {
        self.until.0.saturating_sub(self.since.0)
    }

    /// Whether nothing can lie in it.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The first and the last interval of `width` microseconds that it touches; the last may lie before the first.
    pub(super) fn intervals(self, width: u64) -> (i64, i64) {
        let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        if self.is_empty() {
            return (1, 0);
        }
        (signed(self.since.0 / width), signed((self.until.0 - 1) / width))
    }

    /// Its first and its last moment for a statement.
    pub(crate) fn moments(self) -> (i64, i64) {
        self.intervals(1)
    }
}

impl Default for Span {
    fn default() -> Self {
        Self::ALL
    }
}

/// An address, or all that begin with the same bits: `192.0.2.7`, `192.0.2.0/24`, `2001:db8::/32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// The text is no address and no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no address and no network")]
pub struct BadNetwork(pub String);

impl Network {
    /// Whether it is one address.
    pub const fn is_single(self) -> bool {
        self.bits == 128
    }

    /// Whether an address lies in it.
    pub(crate) fn holds(self, address: IpAddr) -> bool {
        let (least, most) = self.range();
        (least..=most).contains(&address_bytes(address.to_canonical()))
    }

    /// Its first and its last address as 16 bytes.
    pub(crate) fn range(self) -> ([u8; 16], [u8; 16]) {
        let address = u128::from_be_bytes(address_bytes(self.address));
        let rest = u128::MAX.checked_shr(u32::from(self.bits)).unwrap_or(0);
        ((address & !rest).to_be_bytes(), (address | rest).to_be_bytes())
    }
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        Self { address: address.to_canonical(), bits: 128 }
    }
}

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || BadNetwork(text.chars().take(80).collect());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| bad())?)),
            None => (text, None),
        };
        let address = address.parse::<IpAddr>().map_err(|_| bad())?.to_canonical();
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(width);
        if bits > width {
            return Err(bad());
        }
        Ok(Self { address, bits: bits + (128 - width) })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let before = if self.address.is_ipv4() { 96 } else { 0 };
        match self.is_single() {
            true => write!(f, "{}", self.address),
            false => write!(f, "{}/{}", self.address, self.bits - before),
        }
    }
}

/// Which rows are asked for; an empty filter is all of them. What a row does not have does not count for it.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only what began in it.
    pub span: Span,
    /// Only from there.
    pub source: Option<Network>,
    /// Only connections that took this step.
    pub step: Option<Step>,
    /// Only connections that this tool was named for.
    pub tool: Option<String>,
    /// Only connections with this fingerprint, 16 hexadecimal digits.
    pub fingerprint: Option<String>,
    /// Only captures of one of these; empty: of all.
    pub samples: Vec<SampleId>,
    /// Only what visitors did that brought one of these; `None`: all visitors.
    pub brought: Option<Vec<SampleId>>,
    /// Only captures that came through the implant: no buffers.
    pub payloads: bool,
}

impl From<Span> for Filter {
    /// All of a time.
    fn from(span: Span) -> Self {
        Self { span, ..Self::default() }
    }
}

/// Which shapes of what is unknown are asked for, and in which order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shapes<'a> {
    /// Without connections that a known tool was named for.
    pub strangers: bool,
    /// Only this shape.
    pub only: Option<&'a str>,
    /// Those that came last first, instead of the most frequent of all time.
    pub latest: bool,
}

/// In which order sources come; each from the most to the least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SourceOrder {
    /// By when they were last heard of.
    #[default]
    Last,
    /// By when they came first.
    First,
    /// By their connections: of the span, or of all time for [`Span::ALL`].
    Connections,
    /// By captured uploads from them, likewise.
    Uploads,
}

/// Where a page goes on: behind the row with this key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor(pub(crate) i64, pub(crate) i64);

impl Cursor {
    /// Before all rows: they come from the largest key to the smallest.
    pub(crate) const START: Self = Self(i64::MAX, i64::MAX);

    /// What a page was left with, or the start.
    pub(crate) fn read(text: Option<&str>) -> Result<Self, DerivedError> {
        let Some(text) = text else { return Ok(Self::START) };
        let (one, other) = text.split_once('-').ok_or(DerivedError::Cursor)?;
        let number = |text: &str| {
            u64::from_str_radix(text, 16).map(u64::cast_signed).map_err(|_| DerivedError::Cursor)
        };
        Ok(Self(number(one)?, number(other)?))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.0, self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_ranges_of_addresses() {
        let range = |text: &str| text.parse::<Network>().unwrap().range();
        let bytes = |ip: &str| address_bytes(ip.parse().unwrap());
        assert_eq!(range("192.0.2.7"), (bytes("192.0.2.7"), bytes("192.0.2.7")));
        assert_eq!(range("192.0.2.7/24"), (bytes("192.0.2.0"), bytes("192.0.2.255")));
        assert_eq!(range("0.0.0.0/0"), (bytes("0.0.0.0"), bytes("255.255.255.255")));
        assert_eq!(range("::ffff:192.0.2.7/32"), (bytes("192.0.2.7"), bytes("192.0.2.7")));
        assert_eq!(
            range("2001:db8::/32"),
            (bytes("2001:db8::"), bytes("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"))
        );
        assert_eq!(range("::/0"), ([0; 16], [255; 16]));
        for bad in ["", "192.0.2", "192.0.2.7/33", "::/129", "192.0.2.7/", "192.0.2.7/-1", "a/8"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
        for text in ["192.0.2.7", "10.0.0.0/8", "2001:db8::/32"] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_cursor_comes_back_and_no_other_text_is_one() {
        for (one, other) in [(0, 1), (-1, i64::MIN), (i64::MAX, 7)] {
            let text = Cursor(one, other).to_string();
            let Cursor(back, too) = Cursor::read(Some(&text)).unwrap();
            assert_eq!((back, too), (one, other));
        }
        for bad in ["", "1", "-", "1-", "g-1", "1-2-3", "11111111111111111-1"] {
            assert!(Cursor::read(Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_span_touches_whole_intervals() {
        let span = |since, until| Span { since: WallClock(since), until: WallClock(until) };
        assert_eq!(span(59, 61).intervals(60), (0, 1));
        assert_eq!(span(60, 120).intervals(60), (1, 1));
        assert_eq!(span(5, 5).intervals(60), (1, 0));
        assert_eq!(span(7, 5).intervals(60), (1, 0));
        assert_eq!(Span::last(60, WallClock(90)), span(30, 90));
    }
}
