//! Bodies of the fuzz targets, as library functions, so that they always compile and any input that was ever
//! found runs again as a plain test. Each takes bytes and panics where an invariant breaks.

use crate::difference::{BYTES_MAX, HEADER_LEN, Header, apply, make};
use crate::samples::SampleId;

/// A target: its name and its body.
pub type Target = (&'static str, fn(&[u8]));

/// All targets, by the names of their files in `fuzz/fuzz_targets`.
pub const TARGETS: &[Target] = &[("difference", difference)];

const BASE: SampleId = SampleId([7; 32]);

/// Takes two bytes for the base's length, then the base; reads what follows as a difference file, as the frame of
/// one whose header is right, and as a sample whose difference is made and undone.
pub fn difference(data: &[u8]) {
    let Some((len, rest)) = data.split_first_chunk::<2>() else { return };
    let (base, file) = rest.split_at(usize::from(u16::from_le_bytes(*len)).min(rest.len()));
    undo(file, base);
    // A mutated header is seldom right: the frame is looked into all the same.
    let header = Header { base: BASE, size: file.len() as u64 };
    if let Ok(bytes) = apply(&header, file, base) {
        assert_eq!(bytes.len(), file.len(), "other than the size it claims");
    }
    let made = make(file, BASE, base).expect("memory takes any difference");
    assert!(made.len() >= HEADER_LEN, "a difference without a header");
    assert!(undo(&made, base).as_deref() == Some(file), "a difference does not give its sample back");
}

/// The sample of a difference file, where it is one.
fn undo(mut file: &[u8], base: &[u8]) -> Option<Vec<u8>> {
    let header = Header::read(&mut file).ok()?;
    assert!(header.size <= BYTES_MAX, "a header that claims {} bytes is believed", header.size);
    let bytes = apply(&header, file, base).ok()?;
    assert_eq!(bytes.len() as u64, header.size, "other than the size it claims");
    Some(bytes)
}
