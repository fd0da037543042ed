//! Which chunks of a payload are sent, in which order, and what is said of them.

use super::chance::Chance;

/// One exec request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Where its bytes stand in the payload.
    pub offset: u32,
    /// How many.
    pub len: u32,
    /// The total announced with it.
    pub total: u32,
    /// The length announced in the parameters, where it is not `len`.
    pub claimed_len: Option<u32>,
    /// The offset announced, where it is not `offset`.
    pub claimed_offset: Option<u32>,
}

/// The key of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyChoice {
    /// What the ping's seed gives.
    FromPing,
    /// This one, whatever the implant said.
    Fixed(u32),
}

/// A payload and how it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload<'p> {
    /// The bytes.
    pub payload: &'p [u8],
    /// The requests, in order.
    pub chunks: Vec<Chunk>,
    /// With which key.
    pub key: KeyChoice,
}

/// `total` bytes in chunks of `chunk_len`, in order, honestly announced.
pub fn in_order(total: usize, chunk_len: u32) -> Vec<Chunk> {
    let total = u32::try_from(total).unwrap_or(u32::MAX);
    let step = usize::try_from(chunk_len.max(1)).unwrap_or(usize::MAX);
    let chunk = |offset: u32| {
        let len = total.saturating_sub(offset).min(chunk_len.max(1));
        Chunk { offset, len, total, claimed_len: None, claimed_offset: None }
    };
    (0..total).step_by(step).map(chunk).collect()
}

/// Another order of the same chunks: by chance, the first chunk anywhere.
pub fn shuffle(chunks: &mut [Chunk], chance: &mut Chance) {
    for last in (1..chunks.len()).rev() {
        chunks.swap(last, chance.below(last.saturating_add(1)));
    }
}

/// Every third chunk but the last a second time: at once, or (each second of those) after the next one.
/// The last is not repeated: once an upload is whole, what follows is another upload.
pub fn with_repeats(chunks: &[Chunk]) -> Vec<Chunk> {
    let mut out = Vec::new();
    let mut later = None;
    let last = chunks.len().saturating_sub(1);
    for (number, chunk) in chunks.iter().enumerate() {
        if number == last {
            out.extend(later.take());
        }
        out.push(*chunk);
        out.extend(later.take());
        if number < last && number % 3 == 0 {
            if number % 2 == 0 {
                out.push(*chunk);
            } else {
                later = Some(*chunk);
            }
        }
    }
    out
}

/// The bytes that `sent` chunks brought, by their place, each once: the first ones for a place stay.
/// `until` is how many bytes of the last chunk were sent. This is what a perfect catcher would keep.
pub fn received(payload: &[u8], sent: &[Chunk], until: Option<u32>) -> Vec<u8> {
    let mut kept: Vec<(u32, u32)> = Vec::new();
    let last = sent.len().saturating_sub(1);
    for (number, chunk) in sent.iter().enumerate() {
        let len = until.filter(|_| number == last).map_or(chunk.len, |until| chunk.len.min(until));
        kept.push((chunk.offset, chunk.offset.saturating_add(len)));
    }
    kept.sort_unstable();
    let mut out = Vec::new();
    let mut at = 0;
    for (start, end) in kept {
        let from = start.max(at);
        if from < end {
            let range = usize::try_from(from).unwrap_or(0)..usize::try_from(end).unwrap_or(0);
            out.extend_from_slice(payload.get(range).unwrap_or_default());
            at = end;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worm_payloads_have_the_measured_number_of_chunks() {
        let x86 = in_order(5_272_328, 4096);
        assert_eq!((x86.len(), x86.last().map(|chunk| chunk.len)), (1288, Some(776)));
        let x64 = in_order(5_304_320, 4096);
        assert_eq!((x64.len(), x64.last().map(|chunk| chunk.len)), (1295, Some(4096)));
    }

    #[test]
    fn repeats_never_follow_the_last_chunk() {
        for count in 1..40usize {
            let chunks = in_order(count, 1);
            let repeated = with_repeats(&chunks);
            assert_eq!(repeated.last(), chunks.last());
            assert_eq!(repeated.iter().filter(|chunk| Some(*chunk) == chunks.last()).count(), 1);
            assert!(count < 2 || repeated.len() > chunks.len());
        }
    }

    #[test]
    fn received_bytes_are_by_place_and_once() {
        let payload: Vec<u8> = (0..100).collect();
        let mut chunks = in_order(100, 7);
        assert_eq!(received(&payload, &with_repeats(&chunks), None), payload);
        shuffle(&mut chunks, &mut Chance::new(3));
        assert_ne!(chunks, in_order(100, 7));
        assert_eq!(received(&payload, &chunks, None), payload);
        let start = in_order(100, 7);
        assert_eq!(received(&payload, &start[..3], Some(2)), payload[..16]);
    }
}
