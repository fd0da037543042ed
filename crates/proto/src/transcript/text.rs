//! The text form, made to be read in a diff. One line an entry; bytes follow in hexadecimal, indented.
//!
//! `>` bytes came · `x` a run of chunks · `!` the shared state · `t` time passed · `=` the end · `~` cut short: with
//! numbers, where the bytes are that followed.
//! Times are microseconds since the connection opened. `#` begins a comment.

use super::{Entry, Head, Replies, Run, Transcript};
use crate::connection::{Arch, ConnectionId, Ending, Implant, Ms17010, Opening, Policy, SharedState};
use crate::event::Transport;
use crate::limits::Limits;
use crate::persona::Persona;
use crate::time::{Timestamp, WallClock};
use std::fmt::Write as _;

/// First words of every transcript: the form's name and version.
const MAGIC: &str = "roridula-transcript 1";
/// Bytes of hexadecimal in one line.
const LINE: usize = 48;
/// Messages that one run may have; more than the largest upload in the smallest useful chunks.
const COUNT_MAX: u32 = 1 << 25;

/// A transcript that cannot be read: which line, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct TranscriptError {
    /// From 1.
    pub line: usize,
    /// What is wrong there.
    pub what: String,
}

macro_rules! named {
    ($name:ident, $all:ident, $ty:ty, [$($value:path => $text:literal),* $(,)?]) => {
        const fn $name(value: $ty) -> &'static str { match value { $($value => $text),* } }
        const $all: &[$ty] = &[$($value),*];
    };
}
named!(policy, POLICIES, Policy, [Policy::Present => "present", Policy::Absent => "absent", Policy::AfterExploit => "after-exploit"]);
named!(arch, ARCHS, Arch, [Arch::X86 => "x86", Arch::X64 => "x64"]);
named!(ms17_010, MS17_010S, Ms17010, [Ms17010::Unpatched => "unpatched", Ms17010::Patched => "patched"]);
named!(ending, ENDINGS, Ending, [Ending::Closed => "closed", Ending::Reset => "reset", Ending::Shutdown => "shutdown", Ending::Limit => "limit"]);

/// The limits that replay depends on, by name.
macro_rules! limit_fields {
    ($($field:ident),* $(,)?) => {
        fn write_limits(text: &mut String, limits: &Limits) {
            let usual = Limits::default();
            $(if limits.$field != usual.$field { let _ = writeln!(text, concat!("limits.", stringify!($field), " {}"), limits.$field); })*
        }
        fn set_limit(limits: &mut Limits, name: &str, value: &str) -> Option<()> {
            match name { $(stringify!($field) => limits.$field = value.parse().ok()?,)* _ => return None }
            Some(())
        }
    };
}
limit_fields!(
    frame_bytes_max,
    reassembly_bytes_max,
    transactions_max,
    transcript_bytes_max,
    connection_bytes_max,
    stream_bytes_max,
    upload_bytes_max,
    uploads_max,
    buffers_max,
    buffer_bytes_max,
    rest_bytes_max,
    ranges_max,
    sessions_max,
    trees_max,
    opens_max,
    chain_max,
    events_max,
    text_bytes_max,
    idle_secs,
    lifetime_secs,
);

fn write_hex(text: &mut String, bytes: &[u8]) {
    for line in bytes.chunks(LINE) {
        text.push_str("  ");
        // Every connection's end comes through here: no formatter for each byte.
        for byte in line {
            for digit in [byte >> 4, byte & 15] {
                text.push(char::from_digit(digit.into(), 16).unwrap_or('0'));
            }
        }
        text.push('\n');
    }
}

fn list(values: &[u32]) -> String {
    values.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

impl Transcript {
    /// The text form.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let head = &self.head;
        let _ = writeln!(text, "{MAGIC}\nconnection {}\nopened {}", head.opening.id, head.opening.at.0);
        let _ = writeln!(text, "transport {}\npersona {}", head.opening.transport, head.persona.name);
        let _ = writeln!(
            text,
            "ms17_010 {}\nimplant.policy {}",
            ms17_010(head.ms17_010),
            policy(head.implant.policy)
        );
        let _ = writeln!(text, "implant.arch {}", arch(head.implant.arch));
        if let Some(seed) = head.implant.key_seed {
            let _ = writeln!(text, "implant.key_seed 0x{seed:08x}");
        }
        write_limits(&mut text, &head.limits);
        for entry in &self.entries {
            write_entry(&mut text, entry);
        }
        if let Some(replies) = &self.replies {
            let _ =
                writeln!(text, "replies {} {}", replies.count, crate::wire::ntlmssp::hex(&replies.sha256));
        }
        text
    }

    /// Reads the text form.
    pub fn parse(text: &str) -> Result<Self, TranscriptError> {
        let mut lines = text.lines().enumerate().map(|(at, line)| (at.saturating_add(1), line));
        match lines.next() {
            Some((_, line)) if line.trim_end() == MAGIC => {}
            _ => {
                return Err(TranscriptError { line: 1, what: format!("a transcript begins with `{MAGIC}`") });
            }
        }
        let mut parser = Parser::default();
        for (line, content) in lines {
            let content = content.trim_end();
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            parser.line(content).map_err(|what| TranscriptError { line, what })?;
        }
        parser.finish().map_err(|what| TranscriptError { line: text.lines().count(), what })
    }
}

fn write_entry(text: &mut String, entry: &Entry) {
    match entry {
        Entry::Bytes { at, bytes } => {
            let _ = writeln!(text, "> {}", at.0);
            write_hex(text, bytes);
        }
        Entry::Run(run) => write_run(text, run),
        Entry::Shared { at, state } => {
            let (dormant, exploited) = (u8::from(state.dormant), u8::from(state.exploited));
            let _ = writeln!(
                text,
                "! {} generation={} dormant={dormant} exploited={exploited}",
                at.0, state.generation
            );
        }
        Entry::Tick { at } => {
            let _ = writeln!(text, "t {}", at.0);
        }
        Entry::Ended { at, ending: how } => {
            let _ = writeln!(text, "= {} {}", at.0, ending(*how));
        }
        Entry::Rest { at, offset, len } => {
            let _ = writeln!(text, "~ {} offset={offset} len={len}", at.0);
        }
        Entry::Truncated => text.push_str("~\n"),
    }
}

fn write_run(text: &mut String, run: &Run) {
    let _ = write!(
        text,
        "x {} until={} upload={} offset={} len={}",
        run.at.0, run.until.0, run.upload, run.offset, run.len
    );
    let _ = write!(text, " count={} total={} key=0x{:08x}", run.count, run.total, run.key);
    if let Some(params) = run.params {
        let _ = write!(text, " params={params}");
    }
    if !run.offsets.is_empty() {
        let _ = write!(text, " offsets={}", list(&run.offsets));
    }
    if !run.varying.is_empty() {
        let _ =
            write!(text, " varying={} values={}", list(&run.varying), crate::wire::ntlmssp::hex(&run.values));
    }
    text.push('\n');
    write_hex(text, &run.template);
}

#[derive(Default)]
struct Parser {
    id: Option<ConnectionId>,
    opened: Option<WallClock>,
    transport: Option<Transport>,
    persona: Option<Persona>,
    ms17_010: Ms17010,
    implant: Implant,
    limits: Limits,
    entries: Vec<Entry>,
    replies: Option<Replies>,
}

type Parsed<T> = Result<T, String>;

fn number<T: std::str::FromStr>(text: &str) -> Parsed<T> {
    text.parse().map_err(|_| format!("`{text}` is no number that fits here"))
}

fn hex_number(text: &str) -> Parsed<u32> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    u32::from_str_radix(digits, 16).map_err(|_| format!("`{text}` is no 32-bit hexadecimal number"))
}

fn unhex(text: &str) -> Parsed<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, odd) = text.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|&[high, low]| Some(digit(high)?.wrapping_shl(4) | digit(low)?));
    bytes
        .collect::<Option<Vec<u8>>>()
        .filter(|_| odd.is_empty())
        .ok_or_else(|| "no hexadecimal bytes".to_owned())
}

fn numbers(text: &str) -> Parsed<Vec<u32>> {
    text.split(',').map(number).collect()
}

fn word<T: Copy>(all: &[T], name: fn(T) -> &'static str, text: &str) -> Parsed<T> {
    let known = || all.iter().map(|&value| name(value)).collect::<Vec<_>>().join(", ");
    all.iter()
        .copied()
        .find(|&value| name(value) == text)
        .ok_or_else(|| format!("`{text}` is none of {}", known()))
}

impl Parser {
    fn line(&mut self, line: &str) -> Parsed<()> {
        if let Some(hex) = line.strip_prefix("  ") {
            let more = unhex(hex.trim())?;
            match self.entries.last_mut() {
                Some(Entry::Bytes { bytes, .. }) => bytes.extend_from_slice(&more),
                Some(Entry::Run(run)) => run.template.extend_from_slice(&more),
                _ => return Err("bytes that belong to no entry".to_owned()),
            }
            return Ok(());
        }
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        match key {
            ">" => self.entries.push(Entry::Bytes { at: Timestamp(number(value)?), bytes: Vec::new() }),
            "t" => self.entries.push(Entry::Tick { at: Timestamp(number(value)?) }),
            "~" if value.is_empty() => self.entries.push(Entry::Truncated),
            "~" => self.entries.push(rest(value)?),
            "x" => self.entries.push(Entry::Run(run(value)?)),
            "!" => self.entries.push(shared(value)?),
            "=" => {
                let (at, how) = value.split_once(' ').ok_or("a time and how it ended")?;
                let ending = word(ENDINGS, ending, how)?;
                self.entries.push(Entry::Ended { at: Timestamp(number(at)?), ending });
            }
            _ => return self.head(key, value),
        }
        Ok(())
    }

    fn head(&mut self, key: &str, value: &str) -> Parsed<()> {
        match key {
            "connection" => self.id = Some(value.parse().map_err(|error| format!("{error}"))?),
            "opened" => self.opened = Some(WallClock(number(value)?)),
            "transport" => {
                self.transport = Some(word(
                    &[Transport::DirectTcp, Transport::NetBios],
                    |transport| transport.as_str(),
                    value,
                )?);
            }
            "persona" => {
                self.persona = Some(Persona::named(value).ok_or_else(|| format!("no persona `{value}`"))?)
            }
            "ms17_010" => self.ms17_010 = word(MS17_010S, ms17_010, value)?,
            "implant.policy" => self.implant.policy = word(POLICIES, policy, value)?,
            "implant.arch" => self.implant.arch = word(ARCHS, arch, value)?,
            "implant.key_seed" => self.implant.key_seed = Some(hex_number(value)?),
            "replies" => {
                let (count, digest) = value.split_once(' ').ok_or("a number and a digest")?;
                let sha256 = unhex(digest)?.try_into().map_err(|_| "a SHA-256 is 32 bytes".to_owned())?;
                self.replies = Some(Replies { count: number(count)?, sha256 });
            }
            _ => {
                let limit =
                    key.strip_prefix("limits.").and_then(|name| set_limit(&mut self.limits, name, value));
                limit.ok_or_else(|| format!("`{key}` is not known here"))?;
            }
        }
        Ok(())
    }

    fn finish(self) -> Parsed<Transcript> {
        let missing = |what: &str| format!("`{what}` is missing");
        let opening = Opening {
            id: self.id.ok_or_else(|| missing("connection"))?,
            at: self.opened.ok_or_else(|| missing("opened"))?,
            transport: self.transport.ok_or_else(|| missing("transport"))?,
        };
        let head = Head {
            opening,
            persona: self.persona.ok_or_else(|| missing("persona"))?,
            ms17_010: self.ms17_010,
            implant: self.implant,
            limits: self.limits,
        };
        Ok(Transcript { head, entries: self.entries, replies: self.replies })
    }
}

fn fields(text: &str) -> impl Iterator<Item = Parsed<(&str, &str)>> {
    text.split_whitespace()
        .map(|field| field.split_once('=').ok_or_else(|| format!("`{field}` is not name=value")))
}

fn shared(text: &str) -> Parsed<Entry> {
    let (at, rest) = text.split_once(' ').ok_or("a time and the state")?;
    let mut state = SharedState::default();
    for field in fields(rest) {
        match field? {
            ("generation", value) => state.generation = number(value)?,
            ("dormant", value) => state.dormant = value == "1",
            ("exploited", value) => state.exploited = value == "1",
            (name, _) => return Err(format!("`{name}` is no shared state")),
        }
    }
    Ok(Entry::Shared { at: Timestamp(number(at)?), state })
}

fn rest(text: &str) -> Parsed<Entry> {
    let (at, rest) = text.split_once(' ').ok_or("a time and where the bytes are")?;
    let (mut offset, mut len) = (0, 0);
    for field in fields(rest) {
        match field? {
            ("offset", value) => offset = number(value)?,
            ("len", value) => len = number(value)?,
            (name, _) => return Err(format!("`{name}` is no part of a rest")),
        }
    }
    Ok(Entry::Rest { at: Timestamp(number(at)?), offset, len })
}

fn run(text: &str) -> Parsed<Run> {
    let (at, rest) = text.split_once(' ').ok_or("a time and what was repeated")?;
    let at = Timestamp(number(at)?);
    let mut run = Run {
        at,
        until: at,
        upload: 1,
        key: 0,
        total: 0,
        len: 0,
        count: 1,
        template: Vec::new(),
        params: None,
        offset: 0,
        offsets: Vec::new(),
        varying: Vec::new(),
        values: Vec::new(),
    };
    for field in fields(rest) {
        match field? {
            ("until", value) => run.until = Timestamp(number(value)?),
            ("upload", value) => run.upload = number(value)?,
            ("offset", value) => run.offset = number(value)?,
            ("len", value) => run.len = number(value)?,
            ("count", value) => run.count = number(value)?,
            ("total", value) => run.total = number(value)?,
            ("key", value) => run.key = hex_number(value)?,
            ("params", value) => run.params = Some(number(value)?),
            ("offsets", value) => run.offsets = numbers(value)?,
            ("varying", value) => run.varying = numbers(value)?,
            ("values", value) => run.values = unhex(value)?,
            (name, _) => return Err(format!("`{name}` is no part of a run")),
        }
    }
    let (count, listed) = (crate::wire::reader::size(run.count), run.offsets.len());
    if (listed != 0 && listed != count) || run.values.len() != run.varying.len().saturating_mul(count) {
        return Err("a run lists offsets and values for each of its messages, or none".to_owned());
    }
    if run.count > COUNT_MAX {
        return Err(format!("count={} is over {COUNT_MAX}", run.count));
    }
    Ok(run)
}
