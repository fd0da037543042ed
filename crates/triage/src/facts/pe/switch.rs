//! The question for a kill switch's domain in a worm's code, and what became of it.
//!
//! WannaCry's worm hands the domain's URL to InternetOpenUrlA and stops where that gives a handle (M. Hutchins,
//! "How to Accidentally Stop a Global Cyber Attacks", 2017). Of its published variants some have zeros where the URL
//! was, some have no conditional jump behind the call any more (Sophos, "WannaCry Aftershock", 2019). Both are read
//! from the instructions around the call, whatever registers and places they use; so is a call that is gone.

use super::super::strings::{INDICATORS_MAX, known};
use super::super::{Indicator, IndicatorKind};
use super::image::{Image, Section};
use super::{EXECUTABLE, answer, imports};
use crate::bytes::le_u32;
use iced_x86::{Code, Decoder, DecoderOptions};
use std::collections::BTreeSet;
use std::ops::Range;

/// The function that is asked.
const ASKED: &str = "InternetOpenUrlA";
/// What makes ready for it, of the same library.
const BEFORE_IT: &str = "InternetOpenA";
/// Bytes of code that are looked through: the worm's has a tenth of it.
const CODE_MAX: usize = 1024 * 1024;
/// Calls of the function that are looked at.
const CALLS_MAX: usize = 16;
/// Bytes in front of a call in which its arguments are made ready.
const BEFORE: usize = 160;
/// Bytes of a scheme, which stand in front of a domain.
const SCHEME_MAX: u64 = 8;
/// What the function opens (WinINet, "InternetOpenUrlA"): it answers anything else as it answers an unknown domain.
const SCHEMES: [&[u8]; 3] = [b"http", b"https", b"ftp"];
/// Zeros that are an URL that was taken out; the original's has 56 characters.
const ZEROS: usize = 48;

/// Code that can be read, and where it would lie in memory.
#[derive(Clone, Copy)]
struct Text<'a> {
    bytes: &'a [u8],
    /// Where it starts in the file.
    at: usize,
    /// Where it starts in memory.
    address: u64,
    bits: u32,
}

impl<'a> Text<'a> {
    /// Reads from here on.
    fn decoder(&self, from: usize) -> Decoder<'a> {
        let bytes = self.bytes.get(from..).unwrap_or_default();
        let ip = u64::try_from(from).map_or(u64::MAX, |from| self.address.wrapping_add(from));
        Decoder::with_ip(self.bits, bytes, ip, DecoderOptions::NONE)
    }

    /// Where in the file the byte at an address in memory stands.
    fn place(&self, address: u64) -> usize {
        let inside = usize::try_from(address.wrapping_sub(self.address)).unwrap_or(usize::MAX);
        self.at.saturating_add(inside)
    }

    /// Whether anything here, instruction or not, leads to one of these addresses: as it is, or from where it stands.
    fn names(&self, addresses: &[u64]) -> bool {
        (0u64..).zip(self.bytes.windows(4)).any(|(at, four)| {
            let value = le_u32(four, 0).unwrap_or(0);
            let next = self.address.wrapping_add(at).wrapping_add(4);
            let far = next.wrapping_add_signed(i64::from(value.cast_signed()));
            // Zeros in front of a place lead to it, and are no instruction's.
            value != 0 && addresses.contains(&if self.bits == 64 { far } else { value.into() })
        })
    }
}

/// Notes what the code of `bytes` says of the kill switches among `indicators`. `is_worm` says that the rest of the
/// file is the worm's: only there a question for nothing is one for a domain that was taken out.
pub(crate) fn note(bytes: &[u8], is_worm: bool, indicators: &mut Vec<Indicator>) {
    let is_switch = |found: &Indicator| found.kind == IndicatorKind::KillSwitch;
    if !is_worm && !indicators.iter().any(is_switch) {
        return;
    }
    let Some(image) = Image::read(bytes) else { return };
    let slots = slots(&image, ASKED);
    let never = match slots.as_slice() {
        // The function that has to be called before it says that the table can be read.
        [] if is_worm && !self::slots(&image, BEFORE_IT).is_empty() => "is not imported",
        [_, ..] if !texts(&image).any(|text| text.names(&slots)) => "is never called",
        _ => "",
    };
    for switch in indicators.iter_mut().filter(|found| !never.is_empty() && is_switch(found)) {
        add(&mut switch.note, &format!("{}: {ASKED} {never}", known::PATCHED));
    }
    let (mut lost, mut is_asked_for) = (None, false);
    let mut asked_for = BTreeSet::new();
    for (text, call) in calls(&image, &slots) {
        let asked = arguments(&image, &text, call.start);
        let done = answer::undone(text.decoder(call.end)).map(|(what, at)| what.words(text.place(at)));
        let done = done.unwrap_or_default();
        let mut is_known = false;
        for switch in indicators.iter_mut().filter(|found| is_switch(found)) {
            let mut about = asked.iter().filter(|&&at| is_about(switch, at)).peekable();
            if about.peek().is_none() {
                continue;
            }
            is_known = true;
            asked_for.insert(switch.at);
            if !about.any(|&at| has_scheme(bytes, at, switch.at)) {
                add(&mut switch.note, known::BROKEN);
            }
            add(&mut switch.note, &done);
        }
        is_asked_for |= is_known;
        if is_known || !is_worm {
            continue;
        }
        if let Some(url) = indicators.iter_mut().find(|found| is_asked(found, &asked)) {
            make_switch(url, &done);
            is_asked_for = true;
            break;
        }
        lost = lost.or_else(|| gone(&image, &asked, &done));
    }
    // Another domain beside the one that it asks for stops nothing.
    for switch in indicators.iter_mut().filter(|found| !asked_for.is_empty() && is_switch(found)) {
        if !asked_for.contains(&switch.at) {
            add(&mut switch.note, known::UNASKED);
        }
    }
    // What else it asks for is no kill switch where there is one.
    let lost = lost.filter(|_| !is_asked_for && indicators.len() < INDICATORS_MAX);
    indicators.extend(lost);
    indicators.sort_by_key(|indicator| (indicator.kind, indicator.at));
}

/// The kill switch of a worm that asks for something that is no URL that can be read: what stands there instead.
fn gone(image: &Image<'_>, asked: &[usize], done: &str) -> Option<Indicator> {
    let at = asked.iter().copied().find(|&at| is_zeroed(image.bytes, at));
    let (at, value, mut note) = match at {
        Some(at) => (at, String::new(), known::ZEROED.to_owned()),
        None => {
            let data = asked.iter().copied().find(|&at| is_data(image, at));
            let at = data.or(asked.first().copied())?;
            let text =
                image.bytes.get(at..)?.iter().take(ZEROS).take_while(|byte| (b' '..=b'~').contains(byte));
            let text: String = text.copied().map(char::from).collect();
            match host(&text) {
                "" => (at, text.trim().to_owned(), known::BROKEN.to_owned()),
                host => (at, host.to_owned(), known::UNPUBLISHED.to_owned()),
            }
        }
    };
    add(&mut note, done);
    let at = u64::try_from(at).unwrap_or(u64::MAX);
    Some(Indicator { kind: IndicatorKind::KillSwitch, value, at, note })
}

/// Whether a place of the file is a section's that is no code.
fn is_data(image: &Image<'_>, at: usize) -> bool {
    let mut data = image.sections.iter().filter(|section| section.flags & EXECUTABLE == 0);
    data.any(|section| section.range(image.bytes.len()).contains(&at))
}

/// Whether nothing but a scheme stands between what is asked for and the domain.
fn has_scheme(bytes: &[u8], asked: usize, domain: u64) -> bool {
    let domain = usize::try_from(domain).unwrap_or(usize::MAX);
    let front = bytes.get(asked..domain).unwrap_or_default();
    front.is_empty()
        || front
            .strip_suffix(b"://")
            .is_some_and(|scheme| SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known)))
}

/// Whether it is an URL that an argument points to.
fn is_asked(found: &Indicator, asked: &[usize]) -> bool {
    let points = |argument: &usize| u64::try_from(*argument).is_ok_and(|argument| argument == found.at);
    found.kind == IndicatorKind::Url && asked.iter().any(points)
}

/// Makes a kill switch of an URL that a worm asks for and nobody has published.
fn make_switch(url: &mut Indicator, done: &str) {
    let scheme = url.value.find("://").map_or(0, |at| at.saturating_add(3));
    let domain = host(&url.value).to_owned();
    url.kind = IndicatorKind::KillSwitch;
    url.at = url.at.saturating_add(u64::try_from(scheme).unwrap_or(0));
    url.value = domain;
    url.note = known::UNPUBLISHED.to_owned();
    add(&mut url.note, done);
}

/// The host of an URL; empty of what is none.
fn host(url: &str) -> &str {
    let behind = url.split_once("://").map_or("", |(_, behind)| behind);
    behind.split(['/', '?', '#']).next().unwrap_or_default()
}

/// Adds to what a note says already.
fn add(note: &mut String, more: &str) {
    if more.is_empty() || note.ends_with(more) {
        return;
    }
    if !note.is_empty() {
        note.push_str("; ");
    }
    note.push_str(more);
}

/// Whether an argument points to this domain or to its URL.
fn is_about(switch: &Indicator, argument: usize) -> bool {
    let distance = u64::try_from(argument).ok().and_then(|argument| switch.at.checked_sub(argument));
    distance.is_some_and(|distance| distance <= SCHEME_MAX)
}

fn is_zeroed(bytes: &[u8], at: usize) -> bool {
    let end = at.saturating_add(ZEROS);
    bytes.get(at..end).is_some_and(|area| area.iter().all(|&byte| byte == 0))
}

/// Addresses in memory of the places where the loader puts the address of a function.
fn slots(image: &Image<'_>, function: &str) -> Vec<u64> {
    imports::slots(image, function).into_iter().map(|slot| image.base().wrapping_add(slot.into())).collect()
}

/// The code of a file, at most so much as is looked through.
fn texts<'a>(image: &'a Image<'a>) -> impl Iterator<Item = Text<'a>> {
    let mut left = CODE_MAX;
    let is_read = |section: &&Section| section.flags & EXECUTABLE != 0 && image.pe.machine.is_intel();
    image.sections.iter().filter(is_read).map(move |section| {
        let range = section.range(image.bytes.len());
        let at = range.start;
        let bytes = image.bytes.get(range).unwrap_or_default();
        let bytes = bytes.get(..left).unwrap_or(bytes);
        left = left.saturating_sub(bytes.len());
        let bits = if image.pe.machine.is_wide() { 64 } else { 32 };
        Text { bytes, at, address: image.base().wrapping_add(section.address.into()), bits }
    })
}

/// Calls of the function through the import table: the code, and where in it each call stands.
fn calls<'a>(image: &'a Image<'a>, slots: &[u64]) -> Vec<(Text<'a>, Range<usize>)> {
    let mut found = Vec::new();
    for text in texts(image).filter(|_| !slots.is_empty()) {
        // FF /2 with a bare address: Intel SDM volume 2, CALL.
        let places = text.bytes.windows(2).enumerate().filter(|(_, pair)| pair == b"\xff\x15");
        for (at, _) in places {
            let call = text.decoder(at).decode();
            let is_call = matches!(call.code(), Code::Call_rm32 | Code::Call_rm64);
            if is_call && slots.contains(&call.memory_displacement64()) && found.len() < CALLS_MAX {
                found.push((text, at..at.saturating_add(call.len())));
            }
        }
    }
    found
}

/// Where in the file constants point to that are made ready in front of a call.
fn arguments(image: &Image<'_>, text: &Text<'_>, call: usize) -> Vec<usize> {
    // Where an instruction starts is not known: what is none points to nothing that is looked for.
    let starts = call.saturating_sub(BEFORE)..call;
    let constant = |start: usize| {
        let instruction = text.decoder(start).decode();
        let address = match instruction.code() {
            Code::Pushd_imm32 | Code::Mov_r32_imm32 => u64::from(instruction.immediate32()),
            Code::Lea_r64_m if instruction.is_ip_rel_memory_operand() => instruction.memory_displacement64(),
            _ => return None,
        };
        image.place(u32::try_from(address.checked_sub(image.base())?).ok()?)
    };
    starts.filter_map(constant).collect()
}
