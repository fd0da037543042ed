//! Transcripts at rest: zstd with a dictionary of what transcripts have in common.
//!
//! A transcript of a worm's visit is a few hundred bytes of text that a thousand others have nearly word for
//! word; against a typical one it shrinks to what is new in it.

use std::cell::RefCell;
use std::sync::LazyLock;
use zstd::bulk::{Compressor, Decompressor};
use zstd::dict::{DecoderDictionary, EncoderDictionary};

/// The dictionary in use. Its number is stored with each transcript; once released, the file of a number never
/// changes (a better dictionary gets a new number and the old one stays to read with).
const DICTIONARY: i64 = 2;
/// Typical transcripts as they are.
const DICTIONARY_1: &[u8] = include_bytes!("transcript.dict.1.txt");
/// By `scripts/train-dictionary.sh`. It brings the tables of how often which byte comes, which took as long to make
/// for each short transcript as all the rest.
const DICTIONARY_2: &[u8] = include_bytes!("transcript.dict.2.bin");

/// With a dictionary that nearly says it all, level 6 saves a sixth of what level 1 leaves and takes seven times
/// as long; every connection pays for it, scanners most of all. Below 1 digits are not packed, which costs a third.
const LEVEL: i32 = 1;

/// Largest text that is read back; a transcript is bounded by `limits.transcript_bytes_max`, this guards
/// against a damaged row.
const TEXT_BYTES_MAX: usize = 64 * 1024 * 1024;

static TO_WRITE: LazyLock<EncoderDictionary<'static>> =
    LazyLock::new(|| EncoderDictionary::copy(DICTIONARY_2, LEVEL));
static TO_READ_1: LazyLock<DecoderDictionary<'static>> =
    LazyLock::new(|| DecoderDictionary::copy(DICTIONARY_1));
static TO_READ_2: LazyLock<DecoderDictionary<'static>> =
    LazyLock::new(|| DecoderDictionary::copy(DICTIONARY_2));

thread_local! {
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
}

/// A transcript as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packed {
    /// Which dictionary it needs to be read: 0 for none and no compression.
    pub dictionary: i64,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Compresses a transcript's text. Stored as it is should zstd fail, which only a lack of memory could cause.
pub(crate) fn pack(text: &str) -> Packed {
    COMPRESSOR.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = Compressor::with_prepared_dictionary(&TO_WRITE).ok();
        }
        let bytes = slot.as_mut().and_then(|compressor| compressor.compress(text.as_bytes()).ok());
        match bytes {
            Some(bytes) => Packed { dictionary: DICTIONARY, bytes },
            None => Packed { dictionary: 0, bytes: text.as_bytes().to_vec() },
        }
    })
}

/// The text again; `None` where it is damaged or needs a dictionary of a later version.
pub(crate) fn unpack(dictionary: i64, bytes: &[u8]) -> Option<String> {
    let dictionary = match dictionary {
        0 => return String::from_utf8(bytes.to_vec()).ok(),
        1 => &TO_READ_1,
        2 => &TO_READ_2,
        _ => return None,
    };
    let claimed = zstd::zstd_safe::get_frame_content_size(bytes).ok().flatten()?;
    let size = usize::try_from(claimed).ok().filter(|&size| size <= TEXT_BYTES_MAX)?;
    let text = Decompressor::with_prepared_dictionary(dictionary).ok()?.decompress(bytes, size).ok()?;
    String::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_comes_back_and_a_typical_one_costs_next_to_nothing() {
        let typical = include_str!("../../../transcripts/wannacry-ping/session.txt");
        for text in ["", "x", typical, &typical.replace('1', "2")] {
            let packed = pack(text);
            assert_eq!(unpack(packed.dictionary, &packed.bytes).as_deref(), Some(text));
        }
        assert!(pack(typical).bytes.len() < 128);
    }

    #[test]
    fn what_an_earlier_version_kept_is_read() {
        let text = "roridula-transcript 1\nconnection 028t5cy4tqkff\n";
        let mut earlier = Compressor::with_dictionary(LEVEL, DICTIONARY_1).unwrap();
        let bytes = earlier.compress(text.as_bytes()).unwrap();
        assert_eq!(unpack(1, &bytes).as_deref(), Some(text));
    }

    #[test]
    fn damage_is_no_text() {
        let packed = pack("roridula-transcript");
        assert_eq!(unpack(DICTIONARY, &packed.bytes[..packed.bytes.len() - 2]), None);
        assert_eq!(unpack(99, &packed.bytes), None);
        assert_eq!(unpack(DICTIONARY, b"nonsense"), None);
    }
}
