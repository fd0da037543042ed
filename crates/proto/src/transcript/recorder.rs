//! Recording while a connection runs.

use super::{Entry, Head, ReplyTally, Run, Transcript};
use crate::connection::{Decoy, Input, Opening, Output, PayloadSpan};
use crate::time::Timestamp;
use crate::wire::doublepulsar::PARAMETERS;
use std::sync::Arc;

/// Places in which the messages of one run may differ.
const VARYING_MAX: usize = 16;
/// Entries that are written after the bound was met: what changed outside, and the end.
const LATE_MAX: usize = 64;
/// What an entry costs besides its bytes.
const ENTRY_BYTES: usize = size_of::<Entry>();

/// Records one connection while it runs.
#[derive(Debug)]
pub struct Recorder {
    /// Shared with the connection: what a replay needs of it is copied when the transcript is made.
    decoy: Arc<Decoy>,
    opening: Opening,
    entries: Vec<Entry>,
    /// Bytes that came and are in no entry yet: at most one unfinished frame between two inputs.
    tail: Vec<u8>,
    /// Position of the tail's first byte in the inbound stream.
    tail_at: u64,
    /// When which part of the tail came: the time, and one past its last byte.
    reads: Vec<(Timestamp, u64)>,
    kept_bytes: usize,
    /// What came after `limits.transcript_bytes_max` was met, once it was.
    rest: Option<Box<Rest>>,
    truncated: bool,
    replies: ReplyTally,
}

/// What the transcript has no room for.
#[derive(Debug, Default)]
struct Rest {
    /// Not yet taken by the holder.
    bytes: Vec<u8>,
    /// How many there were in all.
    total: u64,
    /// Entries that were written since it began.
    late: usize,
}

fn size(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

impl Recorder {
    /// A recorder for a connection that was just accepted.
    pub fn new(decoy: Arc<Decoy>, opening: Opening) -> Self {
        Self {
            decoy,
            opening,
            entries: Vec::new(),
            tail: Vec::new(),
            tail_at: 0,
            reads: Vec::new(),
            kept_bytes: 0,
            rest: None,
            truncated: false,
            replies: ReplyTally::default(),
        }
    }

    /// Takes what [`Connection::handle`](crate::connection::Connection::handle) was given and what it put out.
    pub fn record(&mut self, now: Timestamp, input: Input<'_>, output: &Output) {
        self.replies.add(output);
        if self.truncated {
            return;
        }
        match input {
            Input::Bytes(bytes) if self.rest.is_some() => self.add_rest(now, bytes),
            Input::Bytes(bytes) => {
                self.tail.extend_from_slice(bytes);
                let end = self.tail_at.saturating_add(u64::try_from(self.tail.len()).unwrap_or(0));
                self.reads.push((now, end));
                output.spans.iter().for_each(|span| self.refer(now, span));
                // Before the unfinished frame nothing can be referred to any more; after the end, nowhere.
                self.flush(if output.close.is_some() { u64::MAX } else { output.consumed });
            }
            Input::Shared(state) => {
                // An unfinished frame does nothing before it is whole: it may as well have come after this.
                self.reads.iter_mut().for_each(|(at, _)| *at = now.max(*at));
                self.push(Entry::Shared { at: now, state }, 0);
            }
            Input::Tick => {
                self.flush(u64::MAX);
                // A tick that changed nothing is not worth an entry.
                if output.close.is_some() {
                    self.push(Entry::Tick { at: now }, 0);
                }
            }
            Input::Ended(ending) => {
                output.spans.iter().for_each(|span| self.refer(now, span));
                self.flush(u64::MAX);
                self.push(Entry::Ended { at: now, ending }, 0);
            }
        }
        if self.tail.is_empty() {
            // An idle connection holds no buffer.
            self.tail = Vec::new();
        }
    }

    /// Whether more came than `limits.transcript_bytes_max` and `limits.rest_bytes_max` allow.
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// Bytes that no entry holds, to be kept by the holder as upload [`REST_UPLOAD`]: where they go in it, and they.
    pub fn take_rest(&mut self) -> Option<(u64, Vec<u8>)> {
        let rest = self.rest.as_mut()?;
        let bytes = std::mem::take(&mut rest.bytes);
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        (len > 0).then(|| (rest.total.saturating_sub(len), bytes))
    }

    /// Bytes owned.
    pub fn memory_used(&self) -> usize {
        let entries = self.entries.capacity().saturating_mul(ENTRY_BYTES);
        let reads = self.reads.capacity().saturating_mul(size_of::<(Timestamp, u64)>());
        let rest =
            self.rest.as_ref().map_or(0, |rest| size_of::<Rest>().saturating_add(rest.bytes.capacity()));
        [entries, reads, self.tail.capacity(), rest].into_iter().fold(self.kept_bytes, usize::saturating_add)
    }

    /// The transcript as it stands.
    pub fn transcript(&self) -> Transcript {
        Transcript {
            head: Head {
                opening: self.opening,
                persona: self.decoy.persona.clone(),
                ms17_010: self.decoy.ms17_010,
                implant: self.decoy.implant.clone(),
                limits: self.decoy.limits.clone(),
            },
            entries: self.entries.clone(),
            replies: Some(self.replies.replies()),
        }
    }

    fn push(&mut self, entry: Entry, bytes: usize) {
        if self.rest.is_none() && !self.fits(bytes) {
            self.begin_rest();
        }
        if let Some(rest) = &mut self.rest {
            if rest.late >= LATE_MAX {
                return self.truncate();
            }
            rest.late = rest.late.saturating_add(1);
        }
        self.kept_bytes = self.kept_bytes.saturating_add(bytes);
        self.entries.push(entry);
    }

    /// Whether an entry of so many bytes is within the bound.
    fn fits(&self, bytes: usize) -> bool {
        let max = usize::try_from(self.decoy.limits.transcript_bytes_max).unwrap_or(usize::MAX);
        self.kept_bytes.saturating_add(bytes).saturating_add(ENTRY_BYTES) <= max
    }

    /// From here on bytes are handed out as they come, without their times.
    fn begin_rest(&mut self) {
        self.rest = Some(Box::default());
        let at = self.reads.first().map_or(Timestamp::default(), |&(at, _)| at);
        let tail = std::mem::take(&mut self.tail);
        self.reads = Vec::new();
        self.add_rest(at, &tail);
    }

    fn add_rest(&mut self, now: Timestamp, bytes: &[u8]) {
        let rest = self.rest.get_or_insert_default();
        let offset = rest.total;
        let room = size(self.decoy.limits.rest_bytes_max.saturating_sub(offset));
        let kept = bytes.get(..room).unwrap_or(bytes);
        let added = u64::try_from(kept.len()).unwrap_or(0);
        rest.bytes.extend_from_slice(kept);
        rest.total = offset.saturating_add(added);
        match self.entries.last_mut() {
            Some(Entry::Rest { len, .. }) => *len = len.saturating_add(added),
            _ if added > 0 => self.push(Entry::Rest { at: now, offset, len: added }, 0),
            _ => {}
        }
        if kept.len() < bytes.len() {
            self.truncate();
        }
    }

    fn truncate(&mut self) {
        self.truncated = true;
        self.entries.push(Entry::Truncated);
        (self.tail, self.reads) = (Vec::new(), Vec::new());
    }

    /// Moves what came before `position` into entries, read by read.
    fn flush(&mut self, position: u64) {
        while let Some(&(at, end)) = self.reads.first() {
            let upto = end.min(position);
            let len = size(upto.saturating_sub(self.tail_at)).min(self.tail.len());
            if len > 0 {
                if !self.fits(len) {
                    return self.begin_rest();
                }
                let bytes: Vec<u8> = self.tail.drain(..len).collect();
                self.tail_at = self.tail_at.saturating_add(u64::try_from(len).unwrap_or(0));
                self.push(Entry::Bytes { at, bytes }, len);
            }
            if upto < end || self.truncated {
                return;
            }
            self.reads.remove(0);
        }
    }

    /// Turns a chunk in the tail, and what precedes it, into an entry that refers to the sample.
    fn refer(&mut self, now: Timestamp, span: &PayloadSpan) {
        let before = size(span.stream_at.saturating_sub(self.tail_at));
        let end = before.saturating_add(size(u64::from(span.len)));
        let lost = self.truncated || self.rest.is_some();
        if lost || span.stream_at < self.tail_at || end > self.tail.len() {
            return;
        }
        if !self.fits(before) {
            return self.begin_rest();
        }
        let mut template: Vec<u8> = self.tail.drain(..end).take(before).collect();
        let params = span.params_at.and_then(|at| at.checked_sub(self.tail_at)).map(size);
        let params = params.filter(|&at| at.saturating_add(PARAMETERS) <= before);
        if let Some(place) = params.and_then(|at| template.get_mut(at..at.saturating_add(PARAMETERS))) {
            place.fill(0);
        }
        self.tail_at = self.tail_at.saturating_add(u64::try_from(end).unwrap_or(0));
        let tail_at = self.tail_at;
        self.reads.retain(|&(_, read_end)| read_end > tail_at);
        let (Ok(offset), params) = (u32::try_from(span.offset), params.and_then(|at| u32::try_from(at).ok()))
        else {
            return;
        };
        let run = Run {
            at: now,
            until: now,
            upload: span.upload,
            key: span.key,
            total: span.total,
            len: span.len,
            count: 1,
            template,
            params,
            offset,
            offsets: Vec::new(),
            varying: Vec::new(),
            values: Vec::new(),
        };
        let grown = match self.entries.last_mut() {
            Some(Entry::Run(last)) => last.take_in(&run),
            _ => None,
        };
        match grown {
            Some(bytes) => self.kept_bytes = self.kept_bytes.saturating_add(bytes),
            None => {
                let bytes = run.template.len();
                self.push(Entry::Run(run), bytes);
            }
        }
        if !self.fits(0) {
            self.begin_rest();
        }
    }
}

impl Run {
    /// Makes `next`, a run of one, part of this one; gives the bytes that it cost, or `None` where it does not fit.
    fn take_in(&mut self, next: &Run) -> Option<usize> {
        let same = |run: &Run| (run.upload, run.key, run.total, run.len, run.params, run.template.len());
        if same(self) != same(next) {
            return None;
        }
        let differs = |&(_, (mine, theirs)): &(u32, (&u8, &u8))| mine != theirs;
        let places =
            (0u32..).zip(self.template.iter().zip(&next.template)).filter(differs).map(|(place, _)| place);
        let new: Vec<u32> = places.filter(|place| !self.varying.contains(place)).collect();
        if self.varying.len().saturating_add(new.len()) > VARYING_MAX {
            return None;
        }
        let before = self.owned();
        self.vary(&new);
        let byte = |template: &[u8], place: u32| {
            usize::try_from(place).ok().and_then(|at| template.get(at)).copied()
        };
        self.values.extend(self.varying.iter().map(|&place| byte(&next.template, place).unwrap_or(0)));
        if self.offset_of(self.count) != next.offset || !self.offsets.is_empty() {
            if self.offsets.is_empty() {
                self.offsets = (0..self.count).map(|index| self.offset_of(index)).collect();
            }
            self.offsets.push(next.offset);
        }
        self.count = self.count.saturating_add(1);
        self.until = next.until;
        Some(self.owned().saturating_sub(before))
    }

    fn owned(&self) -> usize {
        let listed = self.offsets.len().saturating_add(self.varying.len()).saturating_mul(4);
        listed.saturating_add(self.values.len())
    }

    /// Adds places that vary; the messages so far have the template's bytes there.
    fn vary(&mut self, new: &[u32]) {
        if new.is_empty() {
            return;
        }
        let byte = |place: u32| {
            usize::try_from(place).ok().and_then(|at| self.template.get(at)).copied().unwrap_or(0)
        };
        let defaults: Vec<u8> = new.iter().map(|&place| byte(place)).collect();
        let old = self.varying.len();
        let mut values = Vec::new();
        for index in 0..usize::try_from(self.count).unwrap_or(0) {
            let from = index.saturating_mul(old);
            values.extend_from_slice(self.values.get(from..from.saturating_add(old)).unwrap_or_default());
            values.extend_from_slice(&defaults);
        }
        self.varying.extend_from_slice(new);
        self.values = values;
    }
}
