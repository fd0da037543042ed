//! The bytes of a sample's layers, also of those that something has to be decoded for.

use crate::report::{Layer, Report};
use std::collections::BTreeMap;
use std::ops::Range;

/// Layers of one sample that are decoded for a comparison.
const DECODED_MAX: usize = 16;
/// Bytes of them, all together.
const DECODED_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Gives the bytes of the layer with this SHA-256 (hexadecimal), which have to be decoded: [`layer_bytes`] of the sample,
/// or whoever asks a process that may do that. `None` where they cannot be had.
///
/// [`layer_bytes`]: crate::layer_bytes
pub type Decode<'a> = dyn FnMut(&str) -> Option<Vec<u8>> + 'a;

/// One of two samples that are compared.
#[allow(missing_debug_implementations)]
pub struct Compared<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
    /// What triage found.
    pub report: &'a Report,
    /// Who decodes.
    pub decode: &'a mut Decode<'a>,
}

/// A sample with what was decoded of it.
pub(super) struct Opened<'a> {
    sample: Compared<'a>,
    /// By the numbers of layers that were asked for.
    decoded: BTreeMap<u32, Option<Vec<u8>>>,
    /// Bytes that may still be decoded.
    left: u64,
}

impl<'a> Opened<'a> {
    pub(super) fn new(sample: Compared<'a>) -> Self {
        Self { sample, decoded: BTreeMap::new(), left: DECODED_BYTES_MAX }
    }

    /// A layer's bytes: out of the sample, or out of the innermost decoded layer that it lies in.
    pub(super) fn layer(&mut self, number: u32) -> Option<&[u8]> {
        let report = self.sample.report;
        if let Some(start) = report.place(number) {
            return part(self.sample.bytes, start, report.layer(number)?.stored_size);
        }
        let (number, place) = around(report, number)?;
        self.decode(number, report.layer(number)?);
        let bytes = self.decoded.get(&number)?.as_deref()?;
        part(bytes, place.start, place.end.checked_sub(place.start)?)
    }

    fn decode(&mut self, number: u32, layer: &Layer) {
        if self.decoded.contains_key(&number) {
            return;
        }
        let is_allowed = self.decoded.len() < DECODED_MAX && layer.size <= self.left;
        let bytes = if is_allowed { (self.sample.decode)(&layer.hashes.sha256) } else { None };
        let bytes = bytes.filter(|bytes| super::size(bytes.len()) == layer.size);
        if bytes.is_some() {
            self.left = self.left.saturating_sub(layer.size);
        }
        if is_allowed {
            self.decoded.insert(number, bytes);
        }
    }
}

/// The innermost decoded layer that this one is or lies in, and where in it.
fn around(report: &Report, number: u32) -> Option<(u32, Range<u64>)> {
    let (mut at, mut outer) = (0u64, number);
    let own = report.layer(number)?;
    for _ in 0..report.layers.len() {
        let layer = report.layer(outer)?;
        if !layer.encoding.is_empty() {
            return Some((outer, at..at.checked_add(own.size)?));
        }
        at = at.checked_add(layer.offset)?;
        outer = layer.parent?;
    }
    None
}

fn part(bytes: &[u8], start: u64, size: u64) -> Option<&[u8]> {
    let start = usize::try_from(start).ok()?;
    bytes.get(start..start.checked_add(usize::try_from(size).ok()?)?)
}
