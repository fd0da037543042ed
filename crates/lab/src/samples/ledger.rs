//! What there is to be told of a look-alike: the truth that its maker knows.

use super::cli::sha256_hex;
use roridula_triage::facts::IndicatorKind;
use roridula_triage::{Kind, State};
use serde::{Deserialize, Serialize};

/// A look-alike with its truth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Specimen {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What is in them.
    pub entry: Entry,
}

/// A line of the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The file's name.
    pub file: String,
    /// What it plays.
    pub what: String,
    /// Whether it is made to hurt whoever reads it: its layers are nobody's promise.
    pub hostile: bool,
    /// Bytes.
    pub size: u64,
    /// SHA-256.
    pub sha256: String,
    /// The family that it looks like; `None` where nothing is expected.
    pub family: Option<String>,
    /// SHA-256 of the core; `None` where nothing is expected.
    pub core: Option<String>,
    /// Layers that have to be found, the sample first; there may be more.
    pub parts: Vec<Part>,
    /// Members of archives that have to be listed.
    pub members: Vec<MemberState>,
    /// Indicators that have to be read from it.
    pub indicators: Vec<Known>,
    /// In what it differs from the others of its kind; may be empty.
    pub oddity: String,
    /// Words that a sentence about it must have.
    pub words: Vec<String>,
}

/// A layer, as in a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The place in `parts` of what it lies in.
    pub parent: Option<usize>,
    /// What it is.
    pub kind: Kind,
    /// The beginning of its name; empty where the name says nothing.
    pub name: String,
    /// Where it starts in its parent.
    pub offset: u64,
    /// How many bytes of its parent it takes.
    pub stored_size: u64,
    /// Its own size.
    pub size: u64,
    /// SHA-256.
    pub sha256: String,
    /// Whether it is all there.
    pub state: State,
    /// The first word of what had to be undone; empty where nothing had to be.
    pub encoding: String,
}

/// A member of an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberState {
    /// Its name.
    pub name: String,
    /// Whether it is all there.
    pub state: State,
}

/// An indicator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// What it is.
    pub kind: IndicatorKind,
    /// A part of its value that has to be told.
    pub value: String,
    /// A part of its note that has to be told; may be empty.
    pub note: String,
}

impl Specimen {
    /// One without layers yet but itself.
    pub fn new(file: &str, what: &str, kind: Kind, bytes: Vec<u8>) -> Self {
        let (size, sha256) = (bytes.len() as u64, sha256_hex(&bytes));
        let whole = Part {
            parent: None,
            kind,
            name: String::new(),
            offset: 0,
            stored_size: size,
            size,
            sha256: sha256.clone(),
            state: State::Intact,
            encoding: String::new(),
        };
        let (file, what) = (file.to_owned(), what.to_owned());
        Self { bytes, entry: Entry { file, what, size, sha256, parts: vec![whole], ..Default::default() } }
    }

    /// Made to hurt its reader.
    #[must_use]
    pub fn hostile(mut self) -> Self {
        self.entry.hostile = true;
        self.entry.parts.clear();
        self
    }

    /// Of this family.
    #[must_use]
    pub fn family(mut self, family: &str) -> Self {
        self.entry.family = Some(family.to_owned());
        self
    }

    /// In what it differs.
    #[must_use]
    pub fn oddity(mut self, oddity: &str) -> Self {
        self.entry.oddity = oddity.to_owned();
        self
    }

    /// Words that its sentence must have.
    #[must_use]
    pub fn words(mut self, words: &[&str]) -> Self {
        self.entry.words.extend(words.iter().map(|&word| word.to_owned()));
        self
    }

    /// Indicators of this kind.
    #[must_use]
    pub fn indicators(mut self, kind: IndicatorKind, values: &[&str]) -> Self {
        let known = values.iter().map(|&value| Known { kind, value: value.to_owned(), note: String::new() });
        self.entry.indicators.extend(known);
        self
    }

    /// What is known about the last indicator.
    #[must_use]
    pub fn note(mut self, note: &str) -> Self {
        if let Some(known) = self.entry.indicators.last_mut() {
            known.note = note.to_owned();
        }
        self
    }

    /// The layer of this number is the core.
    #[must_use]
    pub fn core(mut self, part: usize) -> Self {
        self.entry.core = Some(self.entry.parts[part].sha256.clone());
        self
    }

    /// A layer whose bytes stand in their parent as they are.
    #[must_use]
    pub fn part(self, parent: usize, kind: Kind, offset: usize, bytes: &[u8], name: &str) -> Self {
        self.decoded(parent, kind, (offset, bytes.len()), bytes, ("", name))
    }

    /// A layer that had to be decoded from this place and length; `told` is the encoding and the name.
    #[must_use]
    pub fn decoded(
        mut self,
        parent: usize,
        kind: Kind,
        (offset, stored): (usize, usize),
        bytes: &[u8],
        (encoding, name): (&str, &str),
    ) -> Self {
        self.entry.parts.push(Part {
            parent: Some(parent),
            kind,
            name: name.to_owned(),
            offset: offset as u64,
            stored_size: stored as u64,
            size: bytes.len() as u64,
            sha256: sha256_hex(bytes),
            state: State::Intact,
            encoding: encoding.to_owned(),
        });
        self
    }

    /// The last layer is in this state.
    #[must_use]
    pub fn state(mut self, state: State) -> Self {
        if let Some(part) = self.entry.parts.last_mut() {
            part.state = state;
        }
        self
    }
}
