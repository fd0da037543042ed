//! DoublePulsar's stub: the loader that stands in front of the file in a decoded upload.

use super::found::Found;
use super::{identify, overlay};
use crate::bytes::{le_size, le_u16, le_u32, slice};
use crate::facts;
use crate::pe::{Machine, Pe};
use crate::report::{FoundBy, Kind, State};
use crate::text;
use std::ops::Range;

/// One kind of stub: where it carries the size of its file, and where the file starts.
///
/// Offsets from the published dissections of the WannaCry and the Metasploit payloads: kernel and user loader
/// are 4869 bytes (x86) or 6144 bytes (x64), the file's size and export ordinal are their last eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The machine that the stub runs on, hence the machine of its file.
    pub machine: Machine,
    /// Where the 32-bit size of the file stands.
    pub size_at: usize,
    /// Where the file starts; also the stub's own length.
    pub file_at: usize,
    /// Where the 32-bit number of bytes stands that go to user mode: the file and the user loader in front of it.
    pub copied_at: usize,
    /// The user loader's bytes.
    pub loader: u32,
}

/// The 32-bit stub.
pub const X86: Layout =
    Layout { machine: Machine::X86, size_at: 0x12fd, file_at: 0x1305, copied_at: 0x591, loader: 3440 };

/// The 64-bit stub.
pub const X64: Layout =
    Layout { machine: Machine::X64, size_at: 0x17f8, file_at: 0x1800, copied_at: 0x86e, loader: 3978 };

/// What is said of a PE file whose first bytes are others.
pub(crate) const NO_MARK: &str = "the headers of a PE file, without the `MZ` in front";

/// All stubs that we know.
pub const ALL: [Layout; 2] = [X86, X64];

impl Layout {
    /// The size that the stub gives for its file, in bytes; `None` where the sample ends before it.
    /// Nothing says yet that this is a stub at all: check the file.
    pub fn file_size(&self, sample: &[u8]) -> Option<usize> {
        le_size(sample, self.size_at)
    }

    /// Its name in the reference data.
    pub const fn name(&self) -> &'static str {
        if self.machine.is_wide() { "doublepulsar-x64" } else { "doublepulsar-x86" }
    }

    /// What its fields say, if they contradict each other.
    fn contradiction(&self, sample: &[u8]) -> Option<String> {
        let file = le_u32(sample, self.size_at)?;
        let copied = le_u32(sample, self.copied_at)?;
        let expected = file.wrapping_add(self.loader);
        (copied != expected).then(|| {
            let (copied, expected) = (text::number(copied.into()), text::number(expected.into()));
            format!("it copies {copied} bytes to user mode, for its file it should be {expected}")
        })
    }

    fn found(&self, sample: &[u8], found_by: FoundBy) -> Found {
        let stub = Found::new(Kind::Stub, found_by, 0..self.file_at).named(self.name());
        match self.contradiction(sample) {
            Some(remark) => stub.wrong(State::Damaged, remark),
            None => stub,
        }
    }
}

/// The stub, the file that its size field leads to, and what stands behind that.
pub(crate) fn find(sample: &[u8]) -> Option<Vec<Found>> {
    ALL.iter().find_map(|layout| {
        let claimed = layout.file_size(sample).filter(|&n| n > 0)?;
        let rest = sample.get(layout.file_at..)?;
        // The other size is right, and so is the file's own: this one lies.
        if layout.contradiction(sample).is_some() && claimed < rest.len() {
            let copied = le_u32(sample, layout.copied_at)?.wrapping_sub(layout.loader);
            let end = Pe::parse(rest)?.end;
            let is_right = u64::from(copied) >= end && usize::try_from(copied).is_ok_and(|n| n <= rest.len());
            if is_right && u64::try_from(claimed).is_ok_and(|claimed| claimed < end) {
                return None;
            }
        }
        let there = claimed.min(rest.len());
        // What stands there may be no stub and no size: one that leads beyond the end has to be told twice.
        if claimed > there && layout.contradiction(sample).is_some() {
            return None;
        }
        let end = layout.file_at.checked_add(there)?;
        let mut file = match Pe::parse(rest.get(..there)?).filter(|pe| pe.machine == layout.machine) {
            Some(pe) => Found::pe(sample, &pe, FoundBy::StubSizeField, layout.file_at..end),
            // An archive's few bytes prove less: both sizes have to say the same.
            None if layout.contradiction(sample).is_none() => {
                archive(rest.get(..there)?, layout.file_at..end)?
            }
            None => return None,
        };
        let gone = claimed.saturating_sub(there);
        if gone > 0 {
            file = file.wrong(State::Truncated, cut(claimed, gone));
        }
        let mut found = vec![layout.found(sample, FoundBy::StubSizeField), file];
        found.extend(overlay::tail(sample, end..sample.len()));
        Some(found)
    })
}

/// The archive that these bytes are, at its place.
fn archive(bytes: &[u8], place: Range<usize>) -> Option<Found> {
    let identity = identify::file(bytes).filter(|identity| identity.kind != Kind::Pe)?;
    let mut file = Found::new(identity.kind, FoundBy::StubSizeField, place);
    (file.state, file.remarks) = (identity.state, identity.remarks);
    Some(file)
}

fn cut(claimed: usize, gone: usize) -> String {
    format!("the stub in front says {} bytes: {}", text::length(claimed), text::missing(gone))
}

/// A stub whose fields agree, and what it carries where that is no file: one that is cut off before its headers end,
/// or hidden in a way that nobody knows. `None` without such fields; `carries` says whether what it carries is wanted.
pub(crate) fn alone(sample: &[u8], carries: bool) -> Option<Vec<Found>> {
    // By chance the two sizes agree once in four billion uploads.
    let agrees = |layout: &&Layout| {
        let claimed = layout.file_size(sample).is_some_and(|claimed| claimed > 0);
        claimed && le_u32(sample, layout.copied_at).is_some() && layout.contradiction(sample).is_none()
    };
    let layout = ALL.iter().find(agrees)?;
    let rest = sample.get(layout.file_at..)?;
    let mut found = vec![layout.found(sample, FoundBy::StubSizeField)];
    if carries && !rest.is_empty() {
        let claimed = layout.file_size(sample)?;
        let there = claimed.min(rest.len());
        let (start, gone) = (layout.file_at, claimed.saturating_sub(there));
        let end = start.checked_add(there)?;
        let kind = identify::code_or_plain(rest.get(..there)?);
        let file = Found::new(kind, FoundBy::StubSizeField, start..end);
        found.push(if gone > 0 { file.wrong(State::Truncated, cut(claimed, gone)) } else { file });
        found.extend(overlay::tail(sample, end..sample.len()));
    }
    Some(found)
}

/// A stub whose fields agree, and what it carries, where that is all there and is no file (any more, where its mark is
/// gone), but has the first of these files in it. `None` for all else.
pub(crate) fn before_no_file(sample: &[u8], files: &[Found]) -> Option<Vec<Found>> {
    let mut found = alone(sample, true)?;
    let carried = found.get_mut(1).filter(|carried| carried.state == State::Intact)?;
    let first = files.first()?;
    if carried.range.start >= first.range.start || first.range.end > carried.range.end {
        return None;
    }
    carried.kind = Kind::Data;
    if slice(sample, carried.range.clone()).is_some_and(Pe::is_without_mark) {
        carried.state = State::Damaged;
        carried.remarks.push(NO_MARK.to_owned());
    }
    Some(found)
}

/// What stands in front of the first file that a search found: a stub that we know (whose size field may lie), one
/// that we do not know, or nothing of interest.
pub(crate) fn in_front(sample: &[u8], file: &Found, pe: Machine) -> Option<Found> {
    let front = slice(sample, 0..file.range.start).filter(|front| !front.is_empty())?;
    if let Some(layout) = ALL.iter().find(|layout| layout.file_at == front.len() && layout.machine == pe) {
        let claimed = layout.file_size(sample).unwrap_or(0);
        // What was appended to an encoded file is encoded with it.
        let room = sample.len().saturating_sub(layout.file_at);
        if !file.encoding.is_empty() && (file.range.len()..=room).contains(&claimed) {
            return Some(layout.found(sample, FoundBy::StubSizeField));
        }
        // One of its two sizes is right, or both say the same: else only its length is a stub's.
        let copied = le_u32(sample, layout.copied_at).map(|copied| copied.wrapping_sub(layout.loader));
        let is_right = copied.and_then(|copied| usize::try_from(copied).ok()) == Some(file.range.len());
        if !is_right && layout.contradiction(sample).is_some() {
            return Some(unknown(front));
        }
        let (claimed, has) = (text::length(claimed), text::length(file.range.len()));
        let remark = format!("its size field says {claimed} bytes, and its file has {has}");
        let stub = Found::new(Kind::Stub, FoundBy::ValidatedSearch, 0..layout.file_at);
        return Some(stub.named(layout.name()).wrong(State::Damaged, remark));
    }
    let as_it_is = |kind| Some(Found::new(kind, FoundBy::ValidatedSearch, 0..front.len()));
    match identify::plain(front) {
        // A picture or a program of another system is no loader.
        Kind::Data if facts::looks_like(front).is_empty() => Some(unknown(front)),
        kind => as_it_is(kind),
    }
}

/// A stub that is none of those that we know.
fn unknown(front: &[u8]) -> Found {
    Found::new(Kind::Stub, FoundBy::ValidatedSearch, 0..front.len()).named("unknown")
}

/// Metasploit's `smb_doublepulsar_rce` sends one packet: its kernel stub, the length of the user's code, that code,
/// random bytes up to a page (module source, `SHELLCODE_SIZE` and `MAX_SHELLCODE_SIZE`).
pub(crate) mod metasploit {
    /// All of it.
    pub(crate) const TOTAL: usize = 4096;
    /// The kernel stub, for 64-bit systems.
    pub(crate) const STUB: usize = 780;
    /// Its name in the reference data.
    pub(crate) const NAME: &str = "metasploit-x64";
}

/// The parts of Metasploit's single packet.
pub(crate) fn single_packet(sample: &[u8]) -> Option<Vec<Found>> {
    use metasploit::{NAME, STUB, TOTAL};
    let stub = slice(sample, 0..STUB).filter(|_| sample.len() == TOTAL)?;
    let length = usize::from(le_u16(sample, STUB)?);
    let start = STUB.checked_add(2)?;
    let end = start.checked_add(length)?;
    let code = slice(sample, start..end).filter(|code| !code.is_empty())?;
    // Two letters of a text make a length that does not fit: text needs no check of its own.
    if identify::is_uniform(stub) || identify::is_uniform(code) {
        return None;
    }
    let mut found = vec![
        Found::new(Kind::Stub, FoundBy::LengthField, 0..STUB).named(NAME),
        Found::new(Kind::Shellcode, FoundBy::LengthField, start..end),
    ];
    if end < TOTAL {
        found.push(Found::new(Kind::Padding, FoundBy::BehindTheEnd, end..TOTAL));
    }
    Some(found)
}
