//! What became of a text that something hangs on: a kill switch, a wallet, a mutex.

use super::meaning::{TEXT_MIN, is_letter, shift};
use super::parts::Side;
use super::{GAP_MAX, RangeDiff, size};
use crate::facts::{Indicator, IndicatorKind};
use crate::report::{Kind, Layer};

/// What a difference has to do with such a text.
pub(super) enum About {
    /// This is what became of it.
    Became(String),
    /// It stands there, and the difference is of more than that.
    Holds(String),
}

/// What a small range of A has to do with the first text in it that is not the same in B.
pub(super) fn about(a: &Side<'_>, b: &Side<'_>, range: &RangeDiff) -> Option<About> {
    let end = range.a_at.saturating_add(range.a_size);
    let of_a = a.layer.facts.indicators.iter().filter(|found| !found.value.is_empty());
    let mut touched =
        of_a.filter(|found| found.at < end && range.a_at < found.at.saturating_add(length(a, found)));
    touched.find_map(|found| one(a, b, range, found))
}

/// The same for one of them; `None` where nothing became of it.
fn one(a: &Side<'_>, b: &Side<'_>, range: &RangeDiff, found: &Indicator) -> Option<About> {
    let name = format!("{} {}", label(found, a.layer), found.value);
    let gone = || (!b.has(found)).then_some(name.as_str());
    if range.b_size == 0 {
        return gone().map(|name| About::Holds(name.to_owned()));
    }
    if let Some(shift) = moved(a, b, found) {
        return Some(About::Became(format!("{name} {shift} in B")));
    }
    if range.a_size != range.b_size {
        let end = range.b_at.saturating_add(range.b_size);
        let mut of_b = b.layer.facts.indicators.iter().filter(|other| !other.value.is_empty());
        let other = of_b.find(|other| other.kind == found.kind && (range.b_at..end).contains(&other.at));
        return match other.filter(|other| other.value != found.value) {
            Some(other) => Some(About::Became(format!("{name} in A, {} in B", other.value))),
            None => gone().map(|name| About::Holds(format!("{name} in A"))),
        };
    }
    match became(a, b, range, found)? {
        Some(what) => Some(About::Became(format!("{name} {what}"))),
        None => gone().map(|name| About::Holds(format!("{name} in A"))),
    }
}

/// Whether nothing in a layer of this kind asks for the names in it.
pub(super) fn is_inert(layer: &Layer) -> bool {
    matches!(
        layer.kind,
        Kind::Padding | Kind::Overlay | Kind::Text | Kind::Zip | Kind::Cab | Kind::Gzip | Kind::Stub
    )
}

fn label(found: &Indicator, layer: &Layer) -> String {
    match found.kind {
        IndicatorKind::KillSwitch if is_inert(layer) => "the name of a kill switch,".to_owned(),
        kind => kind.to_string(),
    }
}

/// Bytes that a character of it takes: UTF-16 has a zero behind each.
fn width(side: &Side<'_>, found: &Indicator) -> usize {
    let second = usize::try_from(found.at).ok().and_then(|at| side.bytes.get(at.checked_add(1)?));
    if found.value.len() > 1 && second == Some(&0) { 2 } else { 1 }
}

/// Bytes that all of it takes.
fn length(side: &Side<'_>, found: &Indicator) -> u64 {
    size(found.value.len().saturating_mul(width(side, found)))
}

/// Where it stands in B, if it stands elsewhere and A has it there not, too.
fn moved(a: &Side<'_>, b: &Side<'_>, found: &Indicator) -> Option<String> {
    let same = |other: &&Indicator| other.kind == found.kind && other.value == found.value;
    let there = b.layer.facts.indicators.iter().find(same)?;
    let len = length(b, there);
    let is_new = part(a.bytes, there.at, len) != part(b.bytes, there.at, len);
    shift(found.at, there.at).filter(|_| is_new)
}

/// What stands in B at its place, where the range has the same size in both: `None` if it stands there as it is,
/// `Some(None)` if it is gone and what is there is about something else.
fn became(a: &Side<'_>, b: &Side<'_>, range: &RangeDiff, found: &Indicator) -> Option<Option<String>> {
    let len = length(a, found);
    let at = found.at.saturating_add(range.b_at).checked_sub(range.a_at)?;
    let (here, there) = (part(a.bytes, found.at, len)?, part(b.bytes, at, len));
    if there == Some(here) {
        return None;
    }
    let is_name = matches!(found.kind, IndicatorKind::KillSwitch | IndicatorKind::Domain);
    if let Some(there) = there.filter(|there| is_name && there.eq_ignore_ascii_case(here)) {
        let there = String::from_utf8_lossy(there).replace('\0', "");
        return Some(Some(format!("written {there} in B, which is the same name")));
    }
    let same_place =
        |other: &&Indicator| other.kind == found.kind && other.at == at && !other.value.is_empty();
    let other = b.layer.facts.indicators.iter().find(same_place);
    if let Some(other) = other.filter(|other| other.value != found.value) {
        return Some(Some(told(&found.value, &other.value)));
    }
    // In a file of another size, or in the middle of much else, what is there need not be in its stead.
    let room = len.saturating_add(GAP_MAX.saturating_mul(2));
    let is_about = a.bytes.len() == b.bytes.len() || range.a_size <= room;
    let Some(there) = there.filter(|_| is_about) else { return Some(None) };
    Some(Some(match there {
        [0, ..] if there.iter().all(|&byte| byte == 0) => "zeroed".to_owned(),
        [b' ', ..] if there.iter().all(|&byte| byte == b' ') => "overwritten with blanks".to_owned(),
        [0, ..] => "begins with a zero in B".to_owned(),
        _ => match read(b.bytes, at, found.value.len(), width(a, found)) {
            Some(text) => told(&found.value, &text),
            None => "overwritten".to_owned(),
        },
    }))
}

fn told(value: &str, text: &str) -> String {
    match value.starts_with(text) {
        true => format!("cut short to {text}"),
        false => format!("changed to {text}"),
    }
}

/// The text that stands at a place, of about so many characters.
fn read(bytes: &[u8], at: u64, len: usize, width: usize) -> Option<String> {
    let from = bytes.get(usize::try_from(at).ok()?..)?;
    // Behind as many characters as there were, it goes on to the end of the word.
    let goes_on = |(number, byte): &(usize, &u8)| is_letter(byte) && (*number < len || **byte != b' ');
    let letters = from.iter().step_by(width).take(len.saturating_mul(2)).enumerate().take_while(goes_on);
    let text: String = letters.map(|(_, &byte)| char::from(byte)).collect();
    let ends = from.get(text.len().saturating_mul(width)) == Some(&0);
    let text = text.trim().to_owned();
    (!text.is_empty() && (ends || text.len() >= TEXT_MIN)).then_some(text)
}

fn part(bytes: &[u8], at: u64, len: u64) -> Option<&[u8]> {
    let at = usize::try_from(at).ok()?;
    bytes.get(at..at.checked_add(usize::try_from(len).ok()?)?)
}
