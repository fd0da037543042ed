//! Which layer of one sample is compared with which of the other.

use crate::peel::stub;
use crate::report::{FoundBy, Kind, Layer, Report};
use std::collections::{BTreeMap, BTreeSet};

/// The road of a sample that is no file.
const WHOLE: &str = "";

/// Two layers that are compared, by their numbers; or one that the other sample does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) a: Option<u32>,
    pub(super) b: Option<u32>,
}

/// The one that a layer of A is compared with.
pub(super) fn of_a(pairs: &[Pair], number: u32) -> Option<u32> {
    pairs.iter().find(|pair| pair.a == Some(number))?.b
}

/// The one that a layer of B is compared with.
pub(super) fn of_b(pairs: &[Pair], number: u32) -> Option<u32> {
    pairs.iter().find(|pair| pair.b == Some(number))?.a
}

/// All layers of both, in the order of A's, then those that B alone has.
pub(super) fn all(ra: &Report, rb: &Report) -> Vec<Pair> {
    let (at_a, at_b) = elsewhere(ra, rb).unzip();
    let root_of_b = if are_apart(ra, rb, at_a.is_some()) { "another whole" } else { WHOLE };
    let of_b = roads(rb, at_b, root_of_b);
    let mut others: BTreeMap<String, u32> = of_b.into_iter().map(|(number, road)| (road, number)).collect();
    let of_a = roads(ra, at_a, WHOLE);
    let mut moved = moved(ra, &of_a, rb, &mut others);
    let mut pairs: Vec<Pair> = Vec::with_capacity(of_a.len());
    let mut only_b = Vec::new();
    for (number, road) in of_a {
        let b = others.remove(&road).or_else(|| moved.remove(&number));
        let (b, apart) = match b {
            Some(other) if are_two_loaders(ra.layer(number), rb.layer(other)) => (None, b),
            _ => (b, None),
        };
        only_b.extend(apart);
        pairs.push(Pair { a: Some(number), b });
    }
    only_b.extend(others.into_values());
    only_b.sort_unstable();
    pairs.extend(only_b.into_iter().map(|number| Pair { a: None, b: Some(number) }));
    pairs
}

/// What both have in something else here than there: a sample that is a part of the other; else the outermost file, by
/// its bytes or as the core; else the outermost archive, where one of the two is one and the other is not.
fn elsewhere(ra: &Report, rb: &Report) -> Option<(u32, u32)> {
    let whole = |root: &Report, other: &Report| {
        let root = root.layer(0).filter(|root| !root.hashes.sha256.is_empty())?;
        part(other, |layer| layer.kind == root.kind && layer.hashes.sha256 == root.hashes.sha256)
    };
    let within = || whole(rb, ra).map(|at| (at, 0)).or_else(|| Some((0, whole(ra, rb)?)));
    let archive = |root: &Report, other: &Report| {
        let root = root.layer(0).filter(|root| is_archive(root))?;
        other.layer(0).filter(|other| other.kind != root.kind)?;
        part(other, |layer| layer.kind == root.kind)
    };
    let archives = || archive(rb, ra).map(|at| (at, 0)).or_else(|| Some((0, archive(ra, rb)?)));
    within().or_else(|| file(ra, rb)).or_else(archives)
}

/// The first layer of this kind inside of a sample.
fn part(report: &Report, is_it: impl Fn(&Layer) -> bool) -> Option<u32> {
    let (number, _) = (0u32..).zip(&report.layers).skip(1).find(|(_, layer)| is_it(layer))?;
    Some(number)
}

/// Whether two samples are other things: not two states of one, but what something of both was packed into.
fn are_apart(ra: &Report, rb: &Report, elsewhere: bool) -> bool {
    let Some((one, other)) = ra.layer(0).zip(rb.layer(0)) else { return false };
    one.kind != other.kind && (elsewhere || (is_archive(one) && is_archive(other)))
}

/// Whether these are loaders for two machines: nothing of one is the other's.
fn are_two_loaders(a: Option<&Layer>, b: Option<&Layer>) -> bool {
    let is_known = |layer: &Layer| stub::ALL.iter().any(|layout| layout.name() == layer.name);
    a.zip(b).is_some_and(|(a, b)| {
        let are_known = a.kind == Kind::Stub && b.kind == Kind::Stub && is_known(a) && is_known(b);
        are_known && a.name != b.name
    })
}

fn is_archive(layer: &Layer) -> bool {
    matches!(layer.kind, Kind::Zip | Kind::Cab | Kind::Gzip)
}

/// The outermost file of both that lies in something else here than there: the same bytes, or else the cores.
fn file(ra: &Report, rb: &Report) -> Option<(u32, u32)> {
    let (of_a, of_b) = (files(ra), files(rb));
    let by_hash: BTreeMap<&str, _> = of_b.iter().rev().map(|file| (file.sha256, file)).collect();
    let same = of_a.iter().find_map(|file| Some((file, *by_hash.get(file.sha256)?)));
    let core_of_a = of_a.iter().find(|file| Some(file.number) == ra.core);
    let core_of_b = of_b.iter().find(|file| Some(file.number) == rb.core);
    let cores = core_of_a.zip(core_of_b).filter(|(one, other)| one.is_dll == other.is_dll);
    // What is equal in two cores lies where it does because of them.
    let is_core =
        |(one, other): &(&File<'_>, &File<'_>)| Some(one.number) == ra.core || Some(other.number) == rb.core;
    let (one, other) = same.filter(is_core).or(cores).or(same)?;
    (one.road != other.road).then_some((one.number, other.number))
}

/// A file of a report, and its road.
struct File<'a> {
    number: u32,
    road: String,
    sha256: &'a str,
    is_dll: bool,
}

fn files(report: &Report) -> Vec<File<'_>> {
    let file = |(number, road): (u32, String)| {
        let layer = report.layer(number).filter(|layer| layer.kind == Kind::Pe)?;
        let is_dll = layer.facts.pe.as_ref().is_some_and(|pe| pe.dll);
        Some(File { number, road, sha256: &layer.hashes.sha256, is_dll })
    };
    roads(report, None, WHOLE).into_iter().filter_map(file).collect()
}

/// Each layer's road; layers with the same road are counted. A file is the same file whatever is around it: roads start
/// at the first PE, by its name only where an archive gave it one, and again at the one that lies elsewhere. The sample's
/// own is `root`.
fn roads(report: &Report, elsewhere: Option<u32>, root: &str) -> Vec<(u32, String)> {
    let mut roads: Vec<(u32, String)> = Vec::new();
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let mut in_pe: Vec<bool> = Vec::new();
    for (number, layer) in (0u32..).zip(&report.layers) {
        let at = layer.parent.and_then(|at| usize::try_from(at).ok());
        let parent = at.and_then(|at| roads.get(at));
        let around = at.and_then(|at| in_pe.get(at)).copied().unwrap_or(false);
        // A file that has lost its mark is data, and still the one that the stub carries.
        let is_carried = layer.found_by == FoundBy::StubSizeField && layer.kind == Kind::Data;
        let is_first = (layer.kind == Kind::Pe || is_carried) && !around;
        in_pe.push(around || is_first);
        let mut road = match parent {
            _ if elsewhere == Some(number) => "the same".to_owned(),
            _ if is_first && layer.found_by != FoundBy::Directory => "file".to_owned(),
            // What stands behind an end is that, whatever its bytes are.
            Some((_, road)) if is_tail(layer) => format!("{road}\ntail"),
            // What a loader is called hangs on what is wrong with it.
            Some((_, road)) if layer.kind == Kind::Stub => format!("{road}\nstub"),
            // Damage makes data of a text: an archive's member is the same by its name.
            Some((_, road)) if layer.found_by == FoundBy::Directory => {
                format!("{road}\nmember {}", layer.name)
            }
            // So is a resource, whatever its bytes have become.
            Some((_, road)) if is_resource(layer) => format!("{road}\nresource {}", layer.name),
            // A depth instead of the parent's whole road would be shorter, but members of two archives would mix.
            // What a file says of itself may change: its kind and the name that its container gives stay.
            Some((_, road)) => format!("{road}\n{} {}", layer.kind, layer.name),
            None => root.to_owned(),
        };
        let count = seen.entry(road.clone()).or_default();
        *count = count.saturating_add(1);
        if *count > 1 {
            road = format!("{road}\t{count}");
        }
        roads.push((number, road));
    }
    roads
}

/// Layers of A that have no counterpart on their road, with the one of B that has the same bytes and none either: what
/// is around it has changed. Taken from `others`.
fn moved(
    ra: &Report,
    of_a: &[(u32, String)],
    rb: &Report,
    others: &mut BTreeMap<String, u32>,
) -> BTreeMap<u32, u32> {
    let roads_of_a: BTreeSet<&str> = of_a.iter().map(|(_, road)| road.as_str()).collect();
    let mut free: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let roads_of_b: Vec<(String, u32)> =
        others.iter().map(|(road, number)| (road.clone(), *number)).collect();
    for (road, number) in roads_of_b.iter().rev().filter(|(road, _)| !roads_of_a.contains(road.as_str())) {
        if let Some(layer) = rb.layer(*number).filter(|layer| !layer.hashes.sha256.is_empty()) {
            free.entry(&layer.hashes.sha256).or_default().push(road);
        }
    }
    let mut moved = BTreeMap::new();
    for (number, road) in of_a {
        let same = || ra.layer(*number).and_then(|layer| free.get_mut(layer.hashes.sha256.as_str())?.pop());
        let Some(there) = (!others.contains_key(road)).then(same).flatten() else { continue };
        moved.extend(others.remove(there).map(|other| (*number, other)));
    }
    moved
}

/// Whether a layer is a resource that has a name, or what stands in it behind its length.
fn is_resource(layer: &Layer) -> bool {
    matches!(layer.found_by, FoundBy::Resource | FoundBy::LengthField) && !layer.name.is_empty()
}

/// Whether a layer is what stands behind a file's end, and no file itself.
pub(super) fn is_tail(layer: &Layer) -> bool {
    layer.found_by == FoundBy::BehindTheEnd && matches!(layer.kind, Kind::Padding | Kind::Overlay)
}
