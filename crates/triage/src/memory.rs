//! What is known of layers from earlier samples: a worm comes back with the same inner files in another wrapping.
//!
//! Everything that is said of a layer depends on its bytes and its kind alone (and on rules and budget), so it is said
//! again where SHA-256 and kind are the same. A report is the same with and without a memory; tests hold that.

use crate::facts::{Facts, Trace, hex};
use crate::peel::{Found, Lookup, Peel, Peeled, Spent};
use crate::report::{Budget, Hashes, Kind, Layer, State};
use crate::rules::Hit;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Write};
use std::ops::Range;
use std::sync::Arc;

/// Bytes that a memory may have, as it counts them (generously).
pub const MEMORY_BYTES: usize = 32 * 1024 * 1024;
/// Smaller layers are worked out faster than they are looked up.
const LAYER_BYTES_MIN: u64 = 1024;
/// Walking over smaller layers costs little.
const TRACED_BYTES_MIN: u64 = 64 * 1024;
/// What a node costs besides its texts.
const NODE_BYTES: usize = 1024;
/// Bytes in memory for each character in which a fact is written out: numbers, texts with what manages them.
const BYTES_PER_CHARACTER: usize = 4;

/// SHA-256 and kind of a layer.
type Key = (String, Kind);

/// A layer that was worked out, with all that lies in it.
#[derive(Debug)]
pub(crate) struct Node {
    /// Hashes, facts, hits and size are its own; what else stands in it is its container's affair.
    pub(crate) layer: Layer,
    /// What looking into it said of itself, and cost.
    pub(crate) wrong: Vec<(State, String)>,
    pub(crate) spent: Spent,
    /// Where each of its children lies, and what is known of that.
    pub(crate) children: Vec<(Found, Arc<Node>)>,
    /// What walking over it told; only of larger ones.
    pub(crate) trace: Option<Trace>,
    /// Bytes of it and of all that lies in it.
    weight: usize,
}

#[derive(Debug)]
struct Held {
    node: Arc<Node>,
    /// When it was used last.
    used: u64,
}

/// Layers of earlier samples, at most so many bytes of them; the longest unused go first.
#[derive(Debug)]
pub struct Memory {
    bytes_max: usize,
    bytes: usize,
    /// With which rules and budget they were worked out.
    by: (String, Budget),
    nodes: HashMap<Key, Held>,
    /// Their keys, by when they were used.
    order: BTreeMap<u64, Key>,
    clock: u64,
}

impl Memory {
    /// An empty one of at most so many bytes; with none it remembers nothing.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            bytes: 0,
            by: (String::new(), Budget::default()),
            nodes: HashMap::new(),
            order: BTreeMap::new(),
            clock: 0,
        }
    }

    /// How many layers it knows, and how many bytes that costs at most.
    pub fn size(&self) -> (usize, usize) {
        (self.nodes.len(), self.bytes)
    }

    /// Whether it can know anything.
    pub(crate) fn is_used(&self) -> bool {
        self.bytes_max > 0
    }

    /// Forgets everything if it was worked out with other rules or another budget.
    pub(crate) fn begin(&mut self, rules: &str, budget: &Budget) {
        if self.by.0 != rules || self.by.1 != *budget {
            *self = Self { by: (rules.to_owned(), *budget), ..Self::new(self.bytes_max) };
        }
    }

    /// What is known of a layer with this SHA-256.
    fn get(&mut self, sha256: &str, kind: Kind) -> Option<Arc<Node>> {
        let key = (sha256.to_owned(), kind);
        let held = self.nodes.get_mut(&key)?;
        self.order.remove(&held.used);
        self.clock = self.clock.saturating_add(1);
        held.used = self.clock;
        self.order.insert(self.clock, key);
        Some(Arc::clone(&held.node))
    }

    /// Whether something is known of a layer of this size at all.
    pub(crate) fn is_worth(&self, size: u64) -> bool {
        self.is_used() && size >= LAYER_BYTES_MIN
    }

    fn put(&mut self, key: Key, node: Arc<Node>) {
        if self.nodes.contains_key(&key) || node.weight > self.bytes_max {
            return;
        }
        self.clock = self.clock.saturating_add(1);
        self.bytes = self.bytes.saturating_add(node.weight);
        self.order.insert(self.clock, key.clone());
        self.nodes.insert(key, Held { node, used: self.clock });
        while self.bytes > self.bytes_max {
            let Some((_, oldest)) = self.order.pop_first() else { return };
            let gone = self.nodes.remove(&oldest);
            self.bytes = self.bytes.saturating_sub(gone.map_or(0, |held| held.node.weight));
        }
    }

    /// Remembers the layers of a sample. A sample that met a bound is none to learn from, and the sample itself is
    /// known only as the file that it is: by which road it came does not matter then.
    pub(crate) fn learn(&mut self, peeled: &Peeled<'_>, layers: &[Layer]) {
        if !self.is_used() || !peeled.remarks.is_empty() {
            return;
        }
        let mut children: HashMap<u32, Vec<(Found, Arc<Node>)>> = HashMap::new();
        // Children stand behind their parents.
        for (number, (peel, layer)) in peeled.layers.iter().zip(layers).enumerate().rev() {
            let inside = u32::try_from(number).ok().and_then(|number| children.remove(&number));
            let node = match &peel.known {
                Some(known) => Arc::clone(known),
                None => Arc::new(node(peel, layer, inside.unwrap_or_default())),
            };
            let is_file = number > 0 || !matches!(peel.kind, Kind::Payload | Kind::Text | Kind::Data);
            if is_file && self.is_worth(peel.size) {
                self.put((layer.hashes.sha256.clone(), peel.kind), Arc::clone(&node));
            }
            if let Some(parent) = peel.parent {
                // From the last to the first.
                children.entry(parent).or_default().insert(0, (place(peel), node));
            }
        }
    }
}

fn node(peel: &Peel<'_>, layer: &Layer, children: Vec<(Found, Arc<Node>)>) -> Node {
    let layer = Layer {
        parent: None,
        name: String::new(),
        encoding: String::new(),
        remarks: Vec::new(),
        ..layer.clone()
    };
    let trace = peel.trace.as_ref().filter(|_| peel.size >= TRACED_BYTES_MIN).cloned();
    let own = written(&(&layer, &peel.wrong, &trace)).saturating_mul(BYTES_PER_CHARACTER);
    let places = children.iter().map(|(place, child)| {
        written(place).saturating_mul(BYTES_PER_CHARACTER).saturating_add(child.weight)
    });
    // What several hold counts for each of them: more is counted than there is.
    let weight = places.fold(own.saturating_add(NODE_BYTES), usize::saturating_add);
    Node { layer, wrong: peel.wrong.clone(), spent: peel.spent, children, trace, weight }
}

/// A layer as its container gave it.
fn place(peel: &Peel<'_>) -> Found {
    let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
    let (state, remarks) = peel.given;
    Found {
        name: peel.name.clone(),
        state,
        encoding: peel.encoding.clone(),
        remarks: peel.remarks.iter().take(remarks).cloned().collect(),
        ..Found::new(
            peel.kind,
            peel.found_by,
            at(peel.offset)..at(peel.offset.saturating_add(peel.stored_size)),
        )
    }
}

/// In how many characters something is written out.
fn written(what: &impl fmt::Debug) -> usize {
    struct Counter(usize);
    impl Write for Counter {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0 = self.0.saturating_add(text.len());
            Ok(())
        }
    }
    let mut counter = Counter(0);
    // The counter never fails.
    let _ = write!(counter, "{what:?}");
    counter.0
}

impl Node {
    /// What is said of it wherever it lies.
    pub(crate) fn said(&self) -> (Hashes, Facts, Vec<Hit>) {
        (self.layer.hashes.clone(), self.layer.facts.clone(), self.layer.hits.clone())
    }
}

/// Asks a memory while a sample is peeled.
pub(crate) struct Asked<'m> {
    pub(crate) memory: &'m mut Memory,
    pub(crate) digests: &'m mut Digests,
}

impl Lookup for Asked<'_> {
    fn look_up(&mut self, layer: &mut Peel<'_>) {
        if self.memory.is_worth(layer.size) {
            let kind = layer.kind;
            layer.known = self.memory.get(self.digests.of(layer), kind);
        }
    }
}

/// SHA-256 of what stands in the sample as it is, each worked out once.
#[derive(Debug, Default)]
pub(crate) struct Digests(BTreeMap<(usize, usize), String>);

impl Digests {
    /// Takes one that is known.
    pub(crate) fn take(&mut self, place: Range<usize>, sha256: String) {
        self.0.insert((place.start, place.end), sha256);
    }

    /// That of a layer, whose bytes are there; it holds it from then on.
    pub(crate) fn of<'p>(&mut self, layer: &'p mut Peel<'_>) -> &'p str {
        if layer.sha256.is_empty() {
            let digest = || hex(&Sha256::digest(&layer.bytes));
            layer.sha256 = match &layer.home {
                Some(home) => self.0.entry((home.start, home.end)).or_insert_with(digest).clone(),
                None => digest(),
            };
        }
        &layer.sha256
    }
}
