//! A recorded connection as described values: each message of either side, field by field, with the bytes it stands in.
//!
//! This is what a console shows, so that nobody outside needs to know a layout. Pure and bounded: the inputs are
//! replayed, frames are cut as the connection cuts them, and only a page of messages is described at once.
//!
//! - [`field`]: the tree · `walk`: reading that leaves fields · `smb1`: frame, header, chain
//! - `requests`, `transactions`, `replies`, `security`: one command's words and bytes
//! - `title`: what a message is called · `names`: names of numbers

pub mod field;
mod names;
mod replies;
mod requests;
mod security;
mod smb1;
mod title;
mod transactions;
mod walk;

pub use field::{Field, NOT_UNDERSTOOD, PADDING};

use crate::connection::{Decoy, Input, Output, PayloadSpan};
use crate::time::{Timestamp, WallClock};
use crate::transcript::{PayloadGone, Payloads, Player, Transcript};
use crate::wire::nbss::{self, Deframed, Deframer};
use crate::wire::ntlmssp::hex;
use serde::{Serialize, Serializer};
use smb1::Around;
use std::collections::VecDeque;
use title::Asked;

/// Messages that one page may have.
pub const MESSAGES_MAX: usize = 64;
/// Bytes of messages after which a page ends.
pub const PAGE_BYTES_MAX: usize = 256 * 1024;
/// Bytes of one message that are described; the largest frame that a connection reads by default is smaller.
pub const MESSAGE_BYTES_MAX: usize = 128 * 1024;
/// Lines of an outline.
pub const OUTLINE_MAX: usize = 256;

/// Who sent a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The visitor.
    Visitor,
    /// The honeypot.
    Decoy,
}

/// Which messages are wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Page {
    /// A place in the visitor's stream, in bytes: the page begins with the message that holds it.
    pub at: u64,
    /// How many messages of both sides, at most [`MESSAGES_MAX`]; the replies to the last one may be more.
    pub messages: usize,
}

/// One message with its frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DescribedMessage {
    /// Its number in the conversation, both sides counted together from 0.
    pub number: u64,
    /// When it was whole.
    pub at: WallClock,
    /// Who sent it.
    pub from: Side,
    /// Where its frame begins in all bytes of that side.
    pub stream_at: u64,
    /// Bytes of its frame.
    pub len: usize,
    /// What it is called.
    pub title: String,
    /// Its frame, as far as it is described.
    #[serde(serialize_with = "as_hex")]
    pub bytes: Vec<u8>,
    /// Its fields: every byte of `bytes` is in one.
    pub fields: Vec<Field>,
    /// What is odd about it.
    pub notes: Vec<String>,
}

/// Messages of the visitor that are called the same and follow each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Heading {
    /// When the first was whole.
    pub at: WallClock,
    /// Where its frame begins in the visitor's stream.
    pub stream_at: u64,
    /// What they are called.
    pub title: String,
    /// How many.
    pub count: u64,
}

/// A page of a described connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Described {
    /// The messages of the page.
    pub messages: Vec<DescribedMessage>,
    /// Messages of the whole connection.
    pub total: u64,
    /// All that the visitor sent, in headings; at most [`OUTLINE_MAX`], the last of which counts the rest.
    pub outline: Vec<Heading>,
    /// Where the page before this one begins, if there is one.
    pub earlier: Option<u64>,
    /// Where the page after this one begins, if there is one.
    pub later: Option<u64>,
    /// Payload that the record refers to and that is gone: nothing after it could be described.
    pub gone: Option<String>,
}

fn as_hex<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex(bytes))
}

/// Describes a page of `transcript`, replayed under its settings and `base`'s identity; `payloads` gives the bytes
/// that it refers to. What was recorded is described as far as it is there.
pub fn describe(transcript: &Transcript, base: &Decoy, payloads: &dyn Payloads, page: Page) -> Described {
    let mut player = Player::new(transcript, base);
    let mut scribe = Scribe::new(transcript, page);
    let gone: Option<PayloadGone> = loop {
        match player.step(payloads, &mut |now, input, output| scribe.step(now, input, output)) {
            Ok(true) => {}
            Ok(false) => break None,
            Err(gone) => break Some(gone),
        }
    };
    let mut described = scribe.described;
    described.gone = gone.map(|gone| gone.to_string());
    described
}

/// Where the visitor's last message begins that was whole by `time`, in bytes of its stream; 0 where none was. Replayed as
/// by [`describe`], as far as it goes.
pub fn place_at(transcript: &Transcript, base: &Decoy, payloads: &dyn Payloads, time: WallClock) -> u64 {
    let mut player = Player::new(transcript, base);
    // No message is on this page, so that none is described.
    let mut scribe = Scribe::new(transcript, Page { at: u64::MAX, messages: 1 });
    scribe.sought = Some(time);
    while let Ok(true) = player.step(payloads, &mut |now, input, output| scribe.step(now, input, output)) {}
    scribe.place
}

/// The fields of one frame, and what is odd about it, where nothing is known of what went before.
pub fn describe_frame(frame: &[u8], from: Side) -> (Vec<Field>, Vec<String>) {
    let frame = frame.get(..MESSAGE_BYTES_MAX).unwrap_or(frame);
    smb1::frame(frame, Around { from, asked: &Asked::default(), chunk: None })
}

/// Puts a conversation together, message by message.
struct Scribe {
    opened: WallClock,
    page: Page,
    inbound: Deframer,
    /// Bytes of the decoy's stream.
    sent: u64,
    asked: Asked,
    described: Described,
    page_bytes: usize,
    /// Beginnings of the visitor's messages before the page, as many as make up a page.
    before: VecDeque<u64>,
    /// The time whose message is sought, and where the last one by then begins.
    sought: Option<WallClock>,
    place: u64,
    over: bool,
}

impl Scribe {
    fn new(transcript: &Transcript, page: Page) -> Self {
        let opening = transcript.opening();
        let page = Page { messages: page.messages.clamp(1, MESSAGES_MAX), ..page };
        Self {
            opened: opening.at,
            page,
            inbound: Deframer::new(opening.transport, transcript.frame_bytes_max()),
            sent: 0,
            asked: Asked::default(),
            described: Described::default(),
            page_bytes: 0,
            before: VecDeque::new(),
            sought: None,
            place: 0,
            over: false,
        }
    }

    /// One input and what it gave.
    fn step(&mut self, now: Timestamp, input: &Input<'_>, output: &Output) {
        if self.over {
            return;
        }
        let at = self.opened.at(now);
        if let Input::Bytes(bytes) = input {
            self.bytes(at, bytes, output);
        }
        for reply in output.replies() {
            self.message(at, Side::Decoy, self.sent, reply, &[]);
            self.sent = self.sent.saturating_add(len64(reply.len()));
        }
        if output.close.is_some() {
            self.over = true;
            // What the connection ended in is evidence too.
            let last = self.inbound.unfinished().map(|(_, claimed, body, stream_at)| {
                (self.inbound.held().to_vec(), stream_at, claimed, body.len())
            });
            if let Some((frame, stream_at, claimed, arrived)) = last {
                self.message(at, Side::Visitor, stream_at, &frame, &output.spans);
                self.note(stream_at, format!("unfinished: {arrived} of {claimed} bytes came"));
            }
        }
    }

    fn bytes(&mut self, at: WallClock, mut bytes: &[u8], output: &Output) {
        let mut inbound = std::mem::replace(&mut self.inbound, Deframer::new(nbss::Transport::DirectTcp, 0));
        loop {
            match inbound.next(&mut bytes) {
                Deframed::Incomplete => break,
                Deframed::TooLong { claimed } => {
                    let stream_at = inbound.consumed();
                    let frame = [inbound.held(), bytes].concat();
                    self.message(at, Side::Visitor, stream_at, &frame, &[]);
                    self.note(stream_at, format!("{claimed} bytes announced: more than the honeypot reads"));
                    break;
                }
                Deframed::Frame { kind, body, stream_at } => {
                    let claimed = u32::try_from(body.len()).unwrap_or(u32::MAX);
                    let frame = frame_of(kind, claimed, body);
                    self.message(at, Side::Visitor, stream_at, &frame, &output.spans);
                }
            }
        }
        self.inbound = inbound;
    }

    fn message(&mut self, at: WallClock, from: Side, stream_at: u64, frame: &[u8], spans: &[PayloadSpan]) {
        let number = self.described.total;
        self.described.total = number.saturating_add(1);
        let title = title::of(frame, from, &self.asked);
        let end = stream_at.saturating_add(len64(frame.len()));
        if from == Side::Visitor {
            self.outline(at, stream_at, &title);
            if self.sought.is_some_and(|sought| at <= sought) {
                self.place = stream_at;
            }
        }
        if self.belongs(from, stream_at, end) {
            let shown = frame.get(..MESSAGE_BYTES_MAX).unwrap_or(frame);
            let chunk = spans.iter().find(|span| (stream_at..end).contains(&span.stream_at));
            let (fields, notes) = smb1::frame(shown, Around { from, asked: &self.asked, chunk });
            self.page_bytes = self.page_bytes.saturating_add(shown.len());
            self.described.messages.push(DescribedMessage {
                number,
                at,
                from,
                stream_at,
                len: frame.len(),
                title,
                bytes: shown.to_vec(),
                fields,
                notes,
            });
        }
        if from == Side::Visitor {
            self.asked.remember(frame);
        }
    }

    /// Whether a message is on the page; keeps where the pages around it begin.
    fn belongs(&mut self, from: Side, stream_at: u64, end: u64) -> bool {
        let held = self.described.messages.len();
        if held == 0 && (from == Side::Decoy || end <= self.page.at) {
            if from == Side::Visitor {
                self.before.push_back(stream_at);
                // About half of the messages are replies.
                if self.before.len() > self.page.messages.div_ceil(2) {
                    self.before.pop_front();
                }
                self.described.earlier = self.before.front().copied();
            }
            return false;
        }
        if self.described.later.is_some() {
            return false;
        }
        let full = held >= self.page.messages || self.page_bytes >= PAGE_BYTES_MAX;
        if from == Side::Visitor && full {
            self.described.later = Some(stream_at);
            return false;
        }
        held < MESSAGES_MAX.saturating_mul(2)
    }

    fn outline(&mut self, at: WallClock, stream_at: u64, title: &str) {
        let outline = &mut self.described.outline;
        let is_full = outline.len() >= OUTLINE_MAX;
        if let Some(last) = outline.last_mut()
            && (is_full || last.title == title)
        {
            last.count = last.count.saturating_add(1);
            if last.title != title {
                last.title = "and more".into();
            }
            return;
        }
        outline.push(Heading { at, stream_at, title: title.to_owned(), count: 1 });
    }

    /// Adds a note to the visitor's message at `stream_at`, if it was the last one and is on the page.
    fn note(&mut self, stream_at: u64, note: String) {
        let last = self.described.messages.last_mut();
        let last = last.filter(|last| last.from == Side::Visitor && last.stream_at == stream_at);
        last.into_iter().for_each(|last| last.notes.push(note.clone()));
    }
}

fn len64(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

/// A frame as it came: its header and its body. (On port 139, seven reserved bits of the header are shown as 0.)
fn frame_of(kind: u8, claimed: u32, body: &[u8]) -> Vec<u8> {
    let [_, high, mid, low] = claimed.to_be_bytes();
    let mut frame = vec![kind, high, mid, low];
    frame.extend_from_slice(body);
    frame
}
