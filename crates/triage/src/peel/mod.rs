//! Which layers a sample has: the peeler.
//!
//! It finds and checks, and leaves describing to [`crate::facts`]. A worklist, no recursion: the next layer is taken,
//! the finders that suit its kind say what is inside, and [`Peeler::push`] checks every child and the budget in one
//! place. Children of a layer are disjoint and lie inside it; what no child takes is a gap.

mod archive;
mod cabinet;
mod encoded;
mod filler;
mod found;
mod identify;
mod inflate;
mod members;
mod overlay;
mod resources;
mod search;
pub mod stub;
#[cfg(test)]
mod tests;
mod zip;
mod zipcrypto;

use crate::bytes::slice;
use crate::facts::{Trace, ZipFacts};
use crate::memory::Node;
use crate::pe::Pe;
use crate::report::{Budget, Depth, FoundBy, Kind, Road, State};
use crate::text;
pub(crate) use found::{Found, Spent};
use found::{Inside, Purse};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

/// What is wrong with a layer is told in so many sentences: an archive has many members.
const REMARKS_MAX: usize = 16;

/// A layer with its bytes; fields as in [`Layer`](crate::Layer).
#[derive(Clone, Debug)]
pub(crate) struct Peel<'a> {
    pub(crate) parent: Option<u32>,
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) state: State,
    pub(crate) found_by: FoundBy,
    pub(crate) offset: u64,
    pub(crate) stored_size: u64,
    pub(crate) encoding: String,
    pub(crate) remarks: Vec<String>,
    /// Empty where it had to be decoded and is known.
    pub(crate) bytes: Cow<'a, [u8]>,
    /// Its own size in bytes.
    pub(crate) size: u64,
    /// Where its bytes stand in the sample, where nothing had to be decoded to come to them.
    pub(crate) home: Option<Range<usize>>,
    /// Its SHA-256, hexadecimal; empty until somebody wanted it.
    pub(crate) sha256: String,
    /// What walking over it told.
    pub(crate) trace: Option<Trace>,
    /// A ZIP archive's members: checking them is peeling them, so it is done once, here.
    pub(crate) zip: Option<ZipFacts>,
    /// What is known of it, so that it was not looked into.
    pub(crate) known: Option<Arc<Node>>,
    /// State and number of remarks that its container gave it, before it was looked into.
    pub(crate) given: (State, usize),
    /// What looking into it said of itself, and cost.
    pub(crate) wrong: Vec<(State, String)>,
    pub(crate) spent: Spent,
}

/// Knows layers from earlier samples.
pub(crate) trait Lookup {
    /// Says in the layer itself, whose bytes are there, what is known of it.
    fn look_up(&mut self, layer: &mut Peel<'_>);
}

/// Knows nothing.
pub(crate) struct Unknown;

impl Lookup for Unknown {
    fn look_up(&mut self, _: &mut Peel<'_>) {}
}

/// All layers of a sample.
#[derive(Clone, Debug)]
pub(crate) struct Peeled<'a> {
    /// The sample first, then each layer behind its parent.
    pub(crate) layers: Vec<Peel<'a>>,
    /// The number of the core.
    pub(crate) core: Option<u32>,
    /// Bounds of the budget that were met.
    pub(crate) remarks: Vec<String>,
}

/// Finds the layers of one sample. Never fails: what cannot be understood is no layer.
pub(crate) fn peel<'a>(sample: &'a [u8], road: Road, budget: &Budget) -> Peeled<'a> {
    peel_with(sample, road, budget, Depth::Full, &mut Unknown)
}

/// The same to this depth. What `memory` knows is not looked into. That changes nothing, unless a bound was met (there
/// are remarks then): what is behind a bound is for a peeler to say that remembers nothing.
pub(crate) fn peel_with<'a>(
    sample: &'a [u8],
    road: Road,
    budget: &Budget,
    depth: Depth,
    memory: &mut dyn Lookup,
) -> Peeled<'a> {
    let mut peeler = Peeler::new(sample, budget, depth);
    let mut at = 0;
    while let Some(layer) = peeler.layers.get_mut(at) {
        let as_payload = at == 0 && layer.kind == Kind::Payload;
        if layer.known.is_none() && !as_payload {
            memory.look_up(layer);
        }
        match layer.known.clone() {
            Some(node) => peeler.recall(at, &node),
            None => peeler.look(at, as_payload.then_some(road)),
        }
        at = at.saturating_add(1);
    }
    let alone = peeler.layers.len() == 1;
    if let Some(root) = peeler.layers.first_mut().filter(|root| alone && root.kind == Kind::Payload) {
        // One value over and over fills nothing here.
        root.kind = match identify::code_or_plain(sample) {
            Kind::Padding if identify::is_text(sample) => Kind::Text,
            Kind::Padding => Kind::Data,
            kind => kind,
        };
    }
    let core = core(&peeler.layers);
    Peeled { layers: peeler.layers, core, remarks: peeler.purse.remarks }
}

/// The members of an archive, checked.
pub(crate) fn zip_facts(bytes: &[u8], budget: &Budget) -> Option<ZipFacts> {
    members::inside(bytes, &mut Purse::new(budget, Depth::Full)).zip
}

/// The resources of a PE file: name, place, claimed size.
pub(crate) fn resources(file: &[u8], pe: &Pe, max: usize) -> (Vec<(String, usize, usize)>, bool) {
    let (list, cut) = resources::list(file, pe, max);
    (list.into_iter().map(|resource| (resource.name, resource.at, resource.size)).collect(), cut)
}

/// The number of the core: the innermost layer that stays the same while what is around it changes. By this rule:
/// 1. the PE that its carrier holds behind a length field (WannaCry's launcher carries its sender's own EXE so), or
///    what is left of it;
/// 2. the PE behind a stub;
/// 3. the sample, where it is a PE that is not looked into: for another machine, or with broken headers;
/// 4. the outermost PE that had not to be decoded: the sample itself if it is one;
/// 5. the code that a stub carries (Metasploit's user code);
/// 6. the outermost PE that had to be decoded: hidden by an encoding, or packed in an archive;
/// 7. the sample.
///
/// Of several PEs in one archive, 4 and 6 take none: which of them matters, nothing tells.
fn core(layers: &[Peel<'_>]) -> Option<u32> {
    let parent = |layer: &Peel<'_>| layer.parent.and_then(|at| layers.get(usize::try_from(at).ok()?));
    let carried = |layer: &Peel<'_>| {
        let in_pe = parent(layer).is_some_and(|parent| parent.kind == Kind::Pe);
        layer.found_by == FoundBy::LengthField && in_pe
    };
    let is_pe = |layer: &Peel<'_>| layer.kind == Kind::Pe;
    // A member may be a PE with something behind its end.
    let holds_pe = |at: usize| {
        let inside = |layer: &Peel<'_>| layer.parent.is_some_and(|parent| usize::try_from(parent) == Ok(at));
        layers.iter().any(|layer| inside(layer) && is_pe(layer))
    };
    let members = |at: u32| {
        let in_it = layers.iter().enumerate().filter(|(_, layer)| layer.parent == Some(at));
        let in_it = in_it.filter(|(_, layer)| layer.found_by == FoundBy::Directory);
        in_it.filter(|(at, layer)| is_pe(layer) || (layer.kind == Kind::Data && holds_pe(*at))).count()
    };
    // Parents stand in front of their children, so this ends.
    let is_alone = |layer: &Peel<'_>| {
        let mut around =
            std::iter::successors(layer.parent, |&at| layers.get(usize::try_from(at).ok()?)?.parent);
        around.all(|at| members(at) < 2)
    };
    let rules: [&dyn Fn(&Peel<'_>) -> bool; 7] = [
        &carried,
        &|layer| is_pe(layer) && layer.found_by == FoundBy::StubSizeField,
        &|layer| layer.parent.is_none() && !is_pe(layer) && !Pe::foreign(&layer.bytes).is_empty(),
        &|layer| is_pe(layer) && layer.home.is_some() && is_alone(layer),
        &|layer| {
            let is_carried = matches!(layer.found_by, FoundBy::LengthField | FoundBy::StubSizeField);
            layer.kind == Kind::Shellcode && is_carried
        },
        &|layer| is_pe(layer) && is_alone(layer),
        &|layer| layer.parent.is_none(),
    ];
    let number = rules.iter().find_map(|rule| layers.iter().position(rule))?;
    u32::try_from(number).ok()
}

/// What is inside a layer of this kind.
fn inside(kind: Kind, bytes: &[u8], purse: &mut Purse<'_>) -> Inside {
    match kind {
        Kind::Pe => executable(bytes, purse),
        Kind::Zip => members::inside(bytes, purse),
        Kind::Gzip | Kind::Cab if purse.depth == Depth::First => Inside::default(),
        Kind::Gzip => archive::gzip(bytes, purse),
        Kind::Cab => cabinet::inside(bytes, purse),
        Kind::Data => {
            // Somebody's archive may hold an upload, or a file with something behind its end.
            let found = stub::find(bytes).unwrap_or_else(|| {
                let mut found = anywhere(bytes, 0..bytes.len(), purse);
                let first = found.first().filter(|first| first.kind == Kind::Pe && first.range.start == 0);
                let end = first.and(found.last()).map_or(bytes.len(), |last| last.range.end);
                found.extend(overlay::tail(bytes, end..bytes.len()));
                found
            });
            Inside { found, ..Inside::default() }
        }
        Kind::Resource | Kind::Overlay | Kind::Payload => {
            Inside { found: anywhere(bytes, 0..bytes.len(), purse), ..Inside::default() }
        }
        Kind::Stub | Kind::Shellcode | Kind::Padding | Kind::Text => Inside::default(),
    }
}

/// What is inside a sample that is no file by itself.
fn payload(bytes: &[u8], road: Road, purse: &mut Purse<'_>) -> Inside {
    let mut found = stub::find(bytes).or_else(|| stub::single_packet(bytes)).unwrap_or_default();
    if found.is_empty() {
        found = anywhere(bytes, 0..bytes.len(), purse);
        if let Some(broken) = stub::before_no_file(bytes, &found) {
            return Inside { found: broken, ..Inside::default() };
        }
        let first = found.first().filter(|first| first.kind == Kind::Pe);
        let pe = first.and_then(|first| {
            let decoded = first.decoded.as_deref();
            Pe::parse(decoded.or_else(|| slice(bytes, first.range.clone()))?)
        });
        // A program that we do not look into is no stub of what it carries.
        let is_code = Pe::foreign(bytes).is_empty();
        let front = first.zip(pe).filter(|_| is_code);
        let front = front.and_then(|(first, pe)| stub::in_front(bytes, first, pe.machine));
        let end = found.last().map_or(bytes.len(), |last| last.range.end);
        found.extend(overlay::tail(bytes, end..bytes.len()));
        match front {
            Some(front) => found.push(front),
            None => {
                let alone = stub::alone(bytes, found.is_empty()).unwrap_or_default();
                found.splice(0..0, alone);
            }
        }
    }
    if road == Road::ExploitBuffer && found.is_empty() {
        let regions = filler::regions(bytes, purse.budget.layers_max);
        found.extend(
            regions.into_iter().map(|region| Found::new(Kind::Shellcode, FoundBy::BetweenFiller, region)),
        );
    }
    Inside { found, ..Inside::default() }
}

/// Resources, what is appended, and files that stand anywhere else.
fn executable(bytes: &[u8], purse: &mut Purse<'_>) -> Inside {
    let Some(pe) = Pe::parse(bytes) else { return Inside::default() };
    let mut found = resources::find(bytes, &pe, purse);
    let end = usize::try_from(pe.end).unwrap_or(usize::MAX);
    found.extend(overlay::tail(bytes, end..bytes.len()));
    found = found::disjoint(found, bytes.len());
    for gap in found::gaps(&found, bytes.len()) {
        // The file's own header is no file inside it.
        found.extend(anywhere(bytes, gap.start.max(2)..gap.end, purse));
    }
    Inside { found, ..Inside::default() }
}

/// Files by their headers; hidden ones where there is none.
fn anywhere(bytes: &[u8], range: Range<usize>, purse: &mut Purse<'_>) -> Vec<Found> {
    let found = search::find(bytes, range.clone(), purse);
    if found.is_empty() { encoded::find(bytes, range, purse) } else { found }
}

/// The layers so far, and what may still be spent.
struct Peeler<'a, 'b> {
    layers: Vec<Peel<'a>>,
    /// How many layers each lies in.
    depths: Vec<u32>,
    bytes: u64,
    /// How far archives in executables are looked into.
    depth: Depth,
    purse: Purse<'b>,
}

impl<'a, 'b> Peeler<'a, 'b> {
    fn new(sample: &'a [u8], budget: &'b Budget, depth: Depth) -> Self {
        // A tail is a sample's own, and no part of the file that others send too.
        let identity = overlay::whole_file(sample);
        let kind = identity.as_ref().map_or(Kind::Payload, |identity| identity.kind);
        let mut root = Found::new(kind, FoundBy::WholeSample, 0..sample.len());
        if let Some(identity) = identity {
            (root.state, root.remarks) = (identity.state, identity.remarks);
        }
        let root = layer(None, Cow::Borrowed(sample), Some(0..sample.len()), root);
        let bytes = root.stored_size;
        Self { layers: vec![root], depths: vec![0], bytes, depth, purse: Purse::new(budget, depth) }
    }

    /// Looks into layer `at`; `road` is that of the sample, where it is no file.
    fn look(&mut self, at: usize, road: Option<Road>) {
        let before = self.purse.spent;
        let Some(layer) = self.layers.get_mut(at) else { return };
        // Lent out while it is looked into: a decoded layer's bytes are not copied for that.
        let (kind, bytes) = (layer.kind, std::mem::take(&mut layer.bytes));
        // Outside of executables the core may lie in an archive, and a first report has to know it.
        self.purse.depth = if self.is_in_pe(at) { self.depth } else { Depth::Full };
        let inside = match road {
            Some(road) => payload(&bytes, road, &mut self.purse),
            None => inside(kind, &bytes, &mut self.purse),
        };
        if let Some(layer) = self.layers.get_mut(at) {
            layer.bytes = bytes;
            layer.spent = self.purse.spent.since(before);
        }
        self.take(at, inside);
    }

    /// Takes from memory what is inside of layer `at`.
    fn recall(&mut self, at: usize, node: &Node) {
        self.purse.charge(node.spent);
        let found = node.children.iter().map(|(place, child)| {
            let mut found = place.clone();
            found.known = Some(Arc::clone(child));
            found
        });
        let inside =
            Inside { found: found.collect(), wrong: node.wrong.clone(), zip: node.layer.facts.zip.clone() };
        self.take(at, inside);
    }

    /// Takes what was found in layer `at`.
    fn take(&mut self, at: usize, inside: Inside) {
        let Some(parent) = self.layers.get_mut(at) else { return };
        for (state, remark) in &inside.wrong {
            parent.state = parent.state.max(*state);
            if parent.remarks.len() < REMARKS_MAX {
                parent.remarks.push(remark.clone());
            }
        }
        parent.wrong = inside.wrong;
        parent.zip = inside.zip;
        let length = usize::try_from(parent.size).unwrap_or(usize::MAX);
        let room = self.purse.budget.layers_max.saturating_sub(self.layers.len());
        let (children, is_cut) = found::worthiest(found::disjoint(inside.found, length), room);
        if is_cut {
            self.remark_layers();
        }
        for child in children {
            if !self.push(at, child) {
                return;
            }
        }
    }

    fn remark_layers(&mut self) {
        let max = text::counted(size(self.purse.budget.layers_max), "layer");
        self.purse.remark(format!("only the first {max} were looked into"));
    }

    /// Whether the layer lies in an executable.
    fn is_in_pe(&self, at: usize) -> bool {
        let around = |at: usize| usize::try_from(self.layers.get(at)?.parent?).ok();
        let mut outer = std::iter::successors(around(at), |&at| around(at));
        outer.any(|at| self.layers.get(at).is_some_and(|layer| layer.kind == Kind::Pe))
    }

    /// One layer more; `false` when the budget forbids it.
    fn push(&mut self, at: usize, mut child: Found) -> bool {
        let budget = self.purse.budget;
        let Some(parent) = self.layers.get(at) else { return false };
        let depth = self.depths.get(at).copied().unwrap_or(0).saturating_add(1);
        let bytes = self.bytes.saturating_add(child.size());
        if self.layers.len() >= budget.layers_max {
            self.remark_layers();
            return false;
        }
        let met = if depth > budget.depth_max {
            format!("only layers up to {} deep were looked into", budget.depth_max)
        } else if bytes > budget.layer_bytes_max {
            format!("only {} of layers were looked into", text::counted(budget.layer_bytes_max, "byte"))
        } else {
            String::new()
        };
        if !met.is_empty() {
            self.purse.remark(met);
            return false;
        }
        let home = parent.home.as_ref().filter(|_| child.encoding.is_empty()).and_then(|home| {
            let place = |at: usize| home.start.checked_add(at);
            Some(place(child.range.start)?..place(child.range.end)?)
        });
        let bytes_of_child = match (child.decoded.take(), &parent.bytes) {
            (Some(decoded), _) => Cow::Owned(decoded),
            (None, _) if !child.encoding.is_empty() => Cow::Owned(Vec::new()),
            (None, Cow::Borrowed(bytes)) => {
                Cow::Borrowed(slice(bytes, child.range.clone()).unwrap_or_default())
            }
            (None, Cow::Owned(bytes)) => {
                Cow::Owned(slice(bytes, child.range.clone()).unwrap_or_default().to_vec())
            }
        };
        self.bytes = bytes;
        self.depths.push(depth);
        self.layers.push(layer(u32::try_from(at).ok(), bytes_of_child, home, child));
        true
    }
}

/// A layer that was found, before it is looked into.
fn layer<'a>(
    parent: Option<u32>,
    bytes: Cow<'a, [u8]>,
    home: Option<Range<usize>>,
    found: Found,
) -> Peel<'a> {
    Peel {
        parent,
        kind: found.kind,
        name: found.name,
        state: found.state,
        found_by: found.found_by,
        offset: size(found.range.start),
        stored_size: size(found.range.len()),
        encoding: found.encoding,
        size: found.known.as_ref().map_or_else(|| size(bytes.len()), |known| known.layer.size),
        given: (found.state, found.remarks.len()),
        remarks: found.remarks,
        bytes,
        home,
        sha256: String::new(),
        trace: None,
        zip: None,
        known: found.known,
        wrong: Vec::new(),
        spent: Spent::default(),
    }
}

fn size(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
