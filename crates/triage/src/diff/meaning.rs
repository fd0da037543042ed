//! What stands where two layers differ.

use super::parts::Side;
use super::texts::{self, About};
use super::{RangeDiff, SMALL, resources};
use crate::text::{counted, number};

/// Letters on each side of a difference that are told, and that make a text.
const TEXT_MAX: usize = 64;
pub(super) const TEXT_MIN: usize = 6;

/// What stands in a PE between its sections.
const GAP: &str = "between sections";
/// What stands in a PE in front of its sections.
pub(super) const HEADER: &str = "PE header";
/// IMAGE_SCN_MEM_EXECUTE (Microsoft's PE format, section flags).
pub(super) const EXECUTABLE: u32 = 0x2000_0000;

/// What stands where two layers differ, by the first of them.
pub(super) fn meaning(a: &Side<'_>, b: &Side<'_>, range: &RangeDiff) -> String {
    // In a range as large as a section, one string is not what the difference is about.
    let is_small = (1..=SMALL).contains(&range.a_size);
    match is_small.then(|| texts::about(a, b, range)).flatten() {
        Some(About::Became(what)) => what,
        Some(About::Holds(what)) => format!("{}, with {what}", place(a, b, range, false)),
        None => place(a, b, range, is_small),
    }
}

/// The part of the layer that it is; texts that are told are those of the data.
fn place(a: &Side<'_>, b: &Side<'_>, range: &RangeDiff, tells_texts: bool) -> String {
    let (at, end) = (range.a_at, range.a_at.saturating_add(range.a_size));
    let members = a.layer.facts.zip.iter().chain(&b.layer.facts.zip).flat_map(|zip| &zip.members);
    for member in members {
        let member_end = member.offset.saturating_add(member.stored_size);
        if member.offset < end && at < member_end {
            let from = number(at.saturating_sub(member.offset));
            return format!("ZIP member {} from its stored byte {from}", member.name);
        }
    }
    let Some(pe) = &a.layer.facts.pe else { return a.layer.kind.to_string() };
    let resource =
        pe.resources.iter().find(|one| one.offset <= at && at < one.offset.saturating_add(one.size));
    if let Some(resource) = resource {
        return format!("resource {}", resource.path);
    }
    let section = pe.sections.iter().find(|one| {
        let start = u64::from(one.offset);
        start <= at && at < start.saturating_add(u64::from(one.size))
    });
    if let Some(renamed) = resources::at(a, b, range).filter(|_| section.is_some()) {
        return renamed;
    }
    match section {
        Some(section) if range.a_size <= 2 && section.flags & EXECUTABLE != 0 => {
            let what = jump(range, a.bytes, b.bytes).unwrap_or("code patched");
            format!("{what}, section {}", section.name)
        }
        Some(section) => {
            let is_data = tells_texts && section.flags & EXECUTABLE == 0;
            let here = text(a.bytes, range.a_at, range.a_size).filter(|_| is_data);
            match here.zip(text(b.bytes, range.b_at, range.b_size)) {
                Some((here, there)) => {
                    format!("text `{here}` changed to `{there}`, section {}", section.name)
                }
                None => format!("section {}", section.name),
            }
        }
        None if pe.end > 0 && at >= pe.end => "overlay".to_owned(),
        None if pe.sections.iter().any(|one| one.size > 0 && u64::from(one.offset) <= at) => GAP.to_owned(),
        None => HEADER.to_owned(),
    }
}

/// How far something stands from where it stood; `None` where it stands there.
pub(super) fn shift(here: u64, there: u64) -> Option<String> {
    match there.checked_sub(here) {
        Some(0) => None,
        Some(further) => Some(format!("stands {} further on", counted(further, "byte"))),
        None => Some(format!("stands {} further in front", counted(here.saturating_sub(there), "byte"))),
    }
}

/// The readable text that these bytes stand in, with zeros behind it; `None` where they are no text.
fn text(bytes: &[u8], at: u64, size: u64) -> Option<String> {
    let (at, size) = usize::try_from(at).ok().zip(usize::try_from(size).ok())?;
    let (before, from) = (bytes.get(..at)?, bytes.get(at..)?);
    let front = before.iter().rev().take(TEXT_MAX).take_while(|byte| is_letter(byte)).count();
    let letters = from.iter().take(TEXT_MAX).take_while(|byte| is_letter(byte)).count();
    let rest = from.get(letters..size).unwrap_or_default();
    let text = bytes.get(at.checked_sub(front)?..at.checked_add(letters)?)?;
    let is_text = text.len() >= TEXT_MIN && rest.iter().all(|&byte| byte == 0);
    is_text.then(|| String::from_utf8_lossy(text).trim().to_owned()).filter(|text| !text.is_empty())
}

pub(super) fn is_letter(byte: &u8) -> bool {
    byte.is_ascii_graphic() || *byte == b' '
}

/// What became of a conditional jump, by the first byte of its instruction (Intel SDM volume 2: Jcc, JMP, NOP).
fn jump(range: &RangeDiff, a: &[u8], b: &[u8]) -> Option<&'static str> {
    let byte = |bytes: &[u8], at: u64| bytes.get(usize::try_from(at).ok()?).copied();
    match (byte(a, range.a_at)?, byte(b, range.b_at)?) {
        (one @ 0x70..=0x7f, other) if one ^ 1 == other => Some("1 jump patched: turned round"),
        (0x70..=0x7f, 0xeb) => Some("1 jump patched: conditional → always taken"),
        (0xeb, 0x70..=0x7f) => Some("1 jump patched: always taken → conditional"),
        (0x70..=0x7f, 0x90) => Some("1 jump patched: conditional → nothing"),
        (0x90, 0x70..=0x7f) => Some("1 jump patched: nothing → conditional"),
        _ => None,
    }
}
