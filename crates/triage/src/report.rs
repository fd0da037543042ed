//! What triage may spend and what it answers.

use crate::facts::Facts;
use crate::family::Verdict;
use crate::rules::Hit;
use serde::{Deserialize, Serialize};

/// The report's layout; another number means that it has to be made again.
pub const FORMAT: u32 = 8;

/// What one sample may cost, whatever is in it. All numbers are for the whole sample, not for a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Places that look like a PE and are looked into. Finding the next such place is one pass of `memchr`
    /// speed over the sample and is not counted.
    pub candidates_max: u32,
    /// Layers that are reported.
    pub layers_max: usize,
    /// How many layers may lie in each other.
    pub depth_max: u32,
    /// Bytes of layers that are looked into, all together, the sample's own included.
    pub layer_bytes_max: u64,
    /// Bytes that decoding (inflating, decrypting, XOR) may produce.
    pub decoded_bytes_max: u64,
    /// By how much one decoding may grow its input.
    pub ratio_max: u64,
    /// Entries of one table (resources, imports, sections, members of an archive) that are looked at.
    pub entries_max: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            candidates_max: 4096,
            layers_max: 64,
            depth_max: 12,
            layer_bytes_max: 256 * 1024 * 1024,
            decoded_bytes_max: 64 * 1024 * 1024,
            ratio_max: 200,
            entries_max: 1024,
        }
    }
}

/// By which road a sample came: what it may be expected to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Road {
    /// A payload, or a file at hand.
    #[default]
    Payload,
    /// The buffer of an exploit: filler, and code somewhere in it.
    ExploitBuffer,
}

/// Makes an enum of words: the same in JSON, in events and on the screen.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$doc])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// Every one of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word in reports and events.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}
pub(crate) use words;

words! {
    /// How much of a report there is.
    #[derive(Default)]
    Depth {
        /// Layers with their SHA-256, structural facts, strings and rules: what tells a sample from others. Archives are
        /// listed and not unpacked, and each layer's rules look only at what no layer in it takes.
        First = "first",
        /// All of it.
        #[default]
        Full = "full",
    }
}

words! {
    /// What a layer is.
    Kind {
        /// An upload of stub and file, or of anything that is no file of its own.
        Payload = "payload",
        /// DoublePulsar's loader in front of what it carries.
        Stub = "stub",
        /// Code without a file around it.
        Shellcode = "shellcode",
        /// A PE file.
        Pe = "pe",
        /// A resource of a PE file that is none of the other kinds.
        Resource = "resource",
        /// A ZIP archive.
        Zip = "zip",
        /// A cabinet.
        Cab = "cab",
        /// A gzip stream.
        Gzip = "gzip",
        /// What stands in a file behind its end.
        Overlay = "overlay",
        /// Bytes that carry nothing: zeros, or what filled an alignment.
        Padding = "padding",
        /// Readable text.
        Text = "text",
        /// Anything else.
        Data = "data",
    }
}

words! {
    /// How a layer was found; in this order of trust.
    FoundBy {
        /// It is the sample.
        WholeSample = "whole-sample",
        /// By the size that the stub itself carries.
        StubSizeField = "stub-size-field",
        /// By the PE file's resource directory.
        Resource = "resource",
        /// By a length that stands in front of it.
        LengthField = "length-field",
        /// By the archive's own directory.
        Directory = "directory",
        /// By what its container says is its end: an overlay, a tail.
        BehindTheEnd = "behind-the-end",
        /// By undoing an encoding and checking what came out.
        Decoded = "decoded",
        /// By looking for a header and checking all of it.
        ValidatedSearch = "validated-search",
        /// By leaving out what is filler.
        BetweenFiller = "between-filler",
    }
}

words! {
    /// Whether a layer is all there.
    State {
        /// As its own structures say that it should be.
        Intact = "intact",
        /// Its end is missing.
        Truncated = "truncated",
        /// It contradicts itself: a wrong checksum, a directory that leads nowhere.
        Damaged = "damaged",
    }
}

impl Depth {
    /// Whether nothing is left to be worked out.
    pub fn is_full(&self) -> bool {
        *self == Self::Full
    }
}

/// The hashes of a layer, in hexadecimal; those but SHA-256 are empty in a first report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hashes {
    /// SHA-256.
    pub sha256: String,
    /// SHA-1.
    pub sha1: String,
    /// MD5.
    pub md5: String,
    /// Context-triggered piecewise hash, as `ssdeep` writes it; empty where a layer is too small to have one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub ssdeep: String,
    /// TLSH with its version prefix; empty where a layer is too small or too uniform to have one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tlsh: String,
}

/// A sample, or a layer inside of a layer.
///
/// A layer lies at `offset..offset + stored_size` of its parent. Layers of one parent do not overlap; they and the
/// gaps between them are the parent, byte for byte.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    /// The number of the layer that it lies in; `None` for the sample itself, which is number 0.
    pub parent: Option<u32>,
    /// What it is.
    pub kind: Kind,
    /// What its container calls it (`W/101`, a member's name), or what it calls itself; may be empty. Attacker's text.
    pub name: String,
    /// Whether it is all there.
    pub state: State,
    /// How it was found.
    pub found_by: FoundBy,
    /// Where it starts in its parent, in bytes.
    pub offset: u64,
    /// How many bytes of its parent it takes.
    pub stored_size: u64,
    /// Its own size in bytes: differs from `stored_size` where something had to be decoded.
    pub size: u64,
    /// What had to be undone, as `xor 5a`, `deflate`, `zipcrypto`; empty where the bytes stand there as they are.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub encoding: String,
    /// What is wrong with it, in words; empty where it is intact.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
    /// Its hashes.
    pub hashes: Hashes,
    /// What is known of it.
    #[serde(default)]
    pub facts: Facts,
    /// Which rules fit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hits: Vec<Hit>,
}

/// What triage found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`FORMAT`] of the build that made it.
    pub format: u32,
    /// How much of it there is.
    #[serde(default, skip_serializing_if = "Depth::is_full")]
    pub depth: Depth,
    /// [`Rules::digest`](crate::rules::Rules::digest) of the rules that were used.
    pub rules: String,
    /// The sample first, then each layer behind its parent, in the order of their offsets.
    pub layers: Vec<Layer>,
    /// The number of the core: the innermost layer that stays the same while what is around it changes.
    pub core: Option<u32>,
    /// Which family it is of, with the grounds; `None` where nothing says so.
    pub verdict: Option<Verdict>,
    /// What was left out, in words: which bound of the [`Budget`] was met, which rules were not asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
    /// Whether a bound of the [`Budget`] was met, so that part of the sample was not looked into.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_bounded: bool,
}

impl Report {
    /// The layer of this number.
    pub fn layer(&self, number: u32) -> Option<&Layer> {
        self.layers.get(usize::try_from(number).ok()?)
    }

    /// The core, where there is one.
    pub fn core_layer(&self) -> Option<&Layer> {
        self.layer(self.core?)
    }

    /// The layers that lie directly in `number`, with their own numbers.
    pub fn children(&self, number: u32) -> impl Iterator<Item = (u32, &Layer)> {
        let layers = self.layers.iter().enumerate();
        layers
            .filter(move |(_, layer)| layer.parent == Some(number))
            .filter_map(|(at, layer)| Some((u32::try_from(at).ok()?, layer)))
    }

    /// Where layer `number` starts in the sample, where nothing had to be decoded to come to it.
    pub fn place(&self, number: u32) -> Option<u64> {
        let mut at = 0u64;
        let mut layer = self.layer(number)?;
        for _ in 0..self.layers.len() {
            let Some(parent) = layer.parent else { return Some(at) };
            if !layer.encoding.is_empty() {
                return None;
            }
            at = at.checked_add(layer.offset)?;
            layer = self.layer(parent)?;
        }
        None
    }
}
