//! All samples, put together with who brought them: grouped by core, ranked by novelty, each with its sentence.

use super::novelty::{self, CORES_MAX, Counts, Subject};
use super::outline::{Outline, maker};
use super::sentence::{Piece, Said, Sightings, sentence};
use super::{ReportError, Reports};
use crate::index::{Index, IndexError, SampleRow};
use roridula_evidence::{SampleId, rfc3339};
use roridula_proto::event::{ByteRange, Layer, Origin, UploadState};
use roridula_proto::time::WallClock;
use roridula_triage::family::OWN;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, HashSet};
use thiserror::Error;

/// A TLSH distance up to which two cores are near: copies of one program with other data.
const NEAR: u32 = 40;
/// Whole samples of one size that a piece is compared with, the most frequent ones.
const KIN_MAX: usize = 64;

/// The catalog cannot be made.
#[derive(Debug, Error)]
pub enum CatalogError {
    /// The index could not be read.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The reports could not be read.
    #[error(transparent)]
    Reports(#[from] ReportError),
}

/// One sample.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Its SHA-256.
    pub sha256: SampleId,
    /// MD5, hexadecimal.
    pub md5: String,
    /// SHA-1, hexadecimal.
    pub sha1: String,
    /// Its size in bytes.
    pub size: u64,
    /// The size that its sender announced.
    pub total: Option<u64>,
    /// Which bytes of the upload the sample's bytes are, in order.
    pub ranges: Vec<ByteRange>,
    /// What there is of the upload.
    pub state: String,
    /// By which road it came.
    pub origin: String,
    /// Its family; empty where none is known.
    pub family: String,
    /// How sure that is.
    pub confidence: String,
    /// SHA-256 of its core; empty where it was not looked into.
    pub core: String,
    /// From 0 to 100.
    pub novelty: u8,
    /// What it is, in one sentence.
    pub sentence: String,
    /// How often it was captured.
    pub captures: u64,
    /// From how many addresses.
    pub sources: u64,
    /// First capture, UTC.
    pub first_seen: String,
    /// Latest capture, UTC.
    pub last_seen: String,
    /// The tool that brought it first; empty where none is known.
    pub tool: String,
    /// Whether triage has looked at it.
    pub triaged: bool,
    /// What triage found inside.
    pub layers: Vec<Layer>,
    /// What went wrong in triage, or empty.
    pub triage_error: String,
    /// Of a piece of an upload: SHA-256 of a whole sample that is as large as its sender announced, and has the same
    /// stub and family as far as the piece shows any. Else empty.
    pub piece_of: String,
}

impl Entry {
    /// Whether it was looked into, and its report is not kept any more.
    fn is_gone(&self, outlines: &HashMap<SampleId, Outline>) -> bool {
        self.triaged && self.triage_error.is_empty() && !outlines.contains_key(&self.sha256)
    }
}

/// Samples with one core.
#[derive(Clone, Debug, Serialize)]
pub struct Group {
    /// The core's SHA-256.
    pub core: String,
    /// Its family.
    pub family: String,
    /// What the core is, and its size.
    pub kind: String,
    /// The core's size in bytes.
    pub size: u64,
    /// How many different samples.
    pub samples: u64,
    /// Captures of all of them.
    pub captures: u64,
    /// Different addresses that brought one.
    pub sources: u64,
    /// First capture, UTC.
    pub first_seen: String,
    /// Latest capture, UTC.
    pub last_seen: String,
    /// The highest among its samples.
    pub novelty: u8,
    /// Cores that are alike: SHA-256 and TLSH distance (0: the same sections).
    pub near: Vec<(String, u32)>,
    /// The first sample.
    pub first: SampleId,
}

/// All samples of a data directory.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// The most novel first; of equals, the latest first.
    pub entries: Vec<Entry>,
    /// The most novel first.
    pub groups: Vec<Group>,
    /// Samples that were looked into and whose reports are gone, so that nobody knows their cores.
    pub gone: u64,
}

/// What is counted for a core.
#[derive(Default)]
struct Seen {
    /// Its place among the cores.
    number: usize,
    samples: u64,
    captures: u64,
    sources: u64,
    first: Option<WallClock>,
    last: WallClock,
    first_sample: Option<SampleId>,
}

impl Entry {
    /// Whether it came as an implant's upload, and not as a buffer or as what nobody claims; nor from our own doctor.
    fn is_upload(&self) -> bool {
        let uploads = [Origin::DoublePulsar, Origin::DoublePulsarRaw, Origin::DoublePulsarConflict];
        self.family != OWN && uploads.iter().any(|origin| origin.as_str() == self.origin)
    }
}

impl Seen {
    fn sightings(&self) -> Sightings {
        Sightings { captures: self.captures, sources: self.sources, first: self.first.unwrap_or_default() }
    }
}

impl Catalog {
    /// The groups of cores that came for the first time at or after `since`, and before `until`, as uploads: a piece of
    /// what is known is none, nor is a buffer or whatever else anybody can send in a logon.
    pub fn new_cores(&self, since: WallClock, until: WallClock) -> impl Iterator<Item = &Group> {
        // RFC 3339 in UTC sorts as time does.
        let (since, until) = (rfc3339(since), rfc3339(until));
        let own = self.entries.iter().filter(|entry| entry.piece_of.is_empty() && entry.is_upload());
        let own: HashSet<&str> = own.map(|entry| entry.core.as_str()).collect();
        self.groups.iter().filter(move |group| {
            group.first_seen >= since && group.first_seen < until && own.contains(group.core.as_str())
        })
    }

    /// The sample to look at first, and which one that is: the newest with a core that is one of [`Self::new_cores`] of
    /// the last day; else of the last week; of equals, the most novel. Where no core is new, the most novel that was
    /// ever uploaded and looked into.
    pub fn novel(&self, now: WallClock) -> Option<(&Entry, &'static str)> {
        const DAY: u64 = 24 * 3600 * 1_000_000;
        // The most novel come first.
        let uploads = || self.entries.iter().filter(|entry| entry.is_upload() && !entry.core.is_empty());
        let newest = |micros: u64| {
            let cores = self.new_cores(WallClock(now.0.saturating_sub(micros)), now);
            let cores: HashSet<&str> = cores.map(|group| group.core.as_str()).collect();
            let new = uploads().filter(|entry| cores.contains(entry.core.as_str()));
            new.rev().max_by(|one, other| one.first_seen.cmp(&other.first_seen))
        };
        let spans = [
            (DAY, "the newest novel sample of the last 24 hours"),
            (7 * DAY, "the newest novel sample of the last 7 days"),
        ];
        let newest = spans.into_iter().find_map(|(micros, which)| Some((newest(micros)?, which)));
        newest.or_else(|| Some((uploads().next()?, "the most novel sample ever")))
    }

    /// Reads index and reports, as far as the index is.
    pub fn load(index: &mut Index, reports: &Reports) -> Result<Self, CatalogError> {
        let samples = index.samples()?;
        let outlines = outlines(reports)?;
        let nothing = Outline::default();
        let outline = |sample: &SampleRow| outlines.get(&sample.sha256).unwrap_or(&nothing);
        let tool = |sample: &SampleRow| sample.tools.join("+");

        let seen = seen(index, &samples, &outlines)?;
        let kin = kin(&samples, &outlines);
        let subject_of = |sample: &SampleRow| {
            kin.get(&sample.sha256).and_then(|whole| outlines.get(&whole.sha256)).unwrap_or(outline(sample))
        };
        let mut counts = Counts::default();
        for sample in &samples {
            let (outline, is_piece) = (subject_of(sample), is_piece(sample));
            counts.add(&Subject { outline, tool: &tool(sample), is_piece }, sample.captures);
        }
        let near = near(&samples, &outlines, &seen);
        let mut entries: Vec<Entry> = samples
            .iter()
            .map(|sample| {
                let (outline, tool) = (outline(sample), tool(sample));
                let whole = kin.get(&sample.sha256).copied();
                let distance = match whole {
                    Some(_) => Some(0),
                    None => near.get(&outline.core.sha256).and_then(|near| near.distance),
                };
                let (known, is_piece) = (subject_of(sample), is_piece(sample));
                let novelty = counts.score(&Subject { outline: known, tool: &tool, is_piece }, distance);
                let sightings = seen.get(&outline.core.sha256).map_or_else(Default::default, Seen::sightings);
                let whole = whole.map(|whole| (whole.sha256.to_string(), known.family.as_str()));
                Entry { tool, novelty, ..entry(sample, outline, whole, sightings) }
            })
            .collect();
        entries.sort_by(|a, b| {
            b.novelty
                .cmp(&a.novelty)
                .then_with(|| b.last_seen.cmp(&a.last_seen))
                .then(a.sha256.0.cmp(&b.sha256.0))
        });
        let groups = groups(&entries, &outlines, &seen, &near);
        let is_gone = |entry: &&Entry| entry.is_gone(&outlines);
        let gone = entries.iter().filter(is_gone).count() as u64;
        Ok(Self { entries, groups, gone })
    }
}

/// Whether it is no more than a piece of what its sender announced.
fn is_piece(sample: &SampleRow) -> bool {
    sample.state == UploadState::Partial.as_str()
}

/// For each piece of an upload, the whole sample that it is probably a piece of: as large as was announced, with the
/// same stub and of the same family, as far as the piece shows them, and it shows one; of several, the one that came most
/// often. A size alone proves nothing: whoever announces a known one would never be new.
fn kin<'s>(
    samples: &'s [SampleRow],
    outlines: &HashMap<SampleId, Outline>,
) -> HashMap<SampleId, &'s SampleRow> {
    let mut whole: HashMap<u64, Vec<&SampleRow>> = HashMap::new();
    for sample in samples.iter().filter(|sample| !is_piece(sample) && outlines.contains_key(&sample.sha256)) {
        whole.entry(sample.size).or_default().push(sample);
    }
    for same_size in whole.values_mut() {
        same_size.sort_by_key(|sample| std::cmp::Reverse(sample.captures));
        same_size.truncate(KIN_MAX);
    }
    let nothing = Outline::default();
    let of = |piece: &SampleRow| {
        let shown = outlines.get(&piece.sha256).unwrap_or(&nothing);
        let fits = |sample: &&&SampleRow| {
            let known = outlines.get(&sample.sha256).unwrap_or(&nothing);
            let same = |shown: &str, known: &str| shown.is_empty() || shown == known;
            let shows = !shown.stub_skeleton.is_empty() || !shown.family.is_empty();
            shows && same(&shown.stub_skeleton, &known.stub_skeleton) && same(&shown.family, &known.family)
        };
        whole.get(&piece.total?)?.iter().find(fits).copied()
    };
    let pieces = samples.iter().filter(|sample| is_piece(sample));
    pieces.filter_map(|piece| Some((piece.sha256, of(piece)?))).collect()
}

/// All but tool and novelty; `whole` is the name and the family of what it is a piece of.
fn entry(
    sample: &SampleRow,
    outline: &Outline,
    whole: Option<(String, &str)>,
    sightings: Sightings,
) -> Entry {
    let is_buffer = sample.origin == Origin::ExploitBuffer.as_str();
    let lead = match (outline.lead.as_str(), sample.triaged) {
        ("", true) if !sample.triage_error.is_empty() => format!("Not explained ({})", sample.triage_error),
        ("", true) => "Looked into, but its report is gone (`roridula triage --all`)".to_owned(),
        ("", false) => format!("Not looked into yet ({} bytes)", super::thousands(sample.size)),
        // Text or data tells nothing by itself; of a piece it is said already.
        (lead, _) if is_buffer && !(is_piece(sample) && sample.total.is_none()) => {
            format!("{lead}, the buffer of an exploit")
        }
        (lead, _) => lead.to_owned(),
    };
    let own = Sightings { captures: sample.captures, sources: sample.sources, first: sample.first };
    let sightings = if outline.core.sha256.is_empty() { own } else { sightings };
    let piece = is_piece(sample).then(|| Piece {
        size: sample.size,
        total: sample.total,
        of: if is_buffer { "exploit's buffer" } else { "upload" },
        is_beginning: matches!(sample.ranges.as_slice(), [only] if only.start == 0),
        kin: whole.as_ref().map(|(sha256, family)| (sha256.as_str(), *family)),
    });
    let is_left = sample.triaged && !sample.triage_error.is_empty() && outline.is_first;
    let said = Said {
        lead: &lead,
        cut: &outline.cut,
        differs: &outline.differs,
        piece,
        is_of_core: sightings != own && outline.carrier.is_empty(),
        is_left,
        is_bounded: outline.is_bounded,
    };
    Entry {
        sha256: sample.sha256,
        md5: sample.md5.clone(),
        sha1: sample.sha1.clone(),
        size: sample.size,
        total: sample.total,
        ranges: sample.ranges.clone(),
        state: sample.state.clone(),
        origin: sample.origin.clone(),
        family: outline.family.clone(),
        confidence: outline.confidence.clone(),
        core: outline.core.sha256.clone(),
        novelty: 0,
        sentence: sentence(&said, sightings),
        captures: sample.captures,
        sources: sample.sources,
        first_seen: rfc3339(sample.first),
        last_seen: rfc3339(sample.last),
        tool: String::new(),
        triaged: sample.triaged,
        layers: sample.layers.clone(),
        triage_error: sample.triage_error.clone(),
        piece_of: whole.map_or(String::new(), |(sha256, _)| sha256),
    }
}

/// All outlines; those that another build made, with other words or other published facts, are made again and kept.
fn outlines(reports: &Reports) -> Result<HashMap<SampleId, Outline>, CatalogError> {
    let mut outlines = reports.outlines()?;
    for (sample, outline) in outlines.iter_mut().filter(|(_, outline)| outline.maker != maker()) {
        let Some(report) = reports.get(*sample)? else { continue };
        *outline = Outline::of(&report);
        // Who may only read makes them again the next time.
        let _ = reports.put(*sample, &report);
    }
    Ok(outlines)
}

/// How often each core came, and from where.
fn seen(
    index: &mut Index,
    samples: &[SampleRow],
    outlines: &HashMap<SampleId, Outline>,
) -> Result<HashMap<String, Seen>, CatalogError> {
    let mut seen: HashMap<String, Seen> = HashMap::new();
    // The cores in the order in which they came first, and which of them is whose.
    let mut cores: Vec<String> = Vec::new();
    let mut set_of: HashMap<SampleId, usize> = HashMap::new();
    for sample in samples {
        let Some(outline) = outlines.get(&sample.sha256) else { continue };
        let core = &outline.core.sha256;
        let seen = seen.entry(core.clone()).or_insert_with(|| {
            cores.push(core.clone());
            Seen { number: cores.len() - 1, ..Seen::default() }
        });
        set_of.insert(sample.sha256, seen.number);
        seen.samples += 1;
        seen.captures += sample.captures;
        if seen.first.is_none_or(|first| sample.first < first) {
            (seen.first, seen.first_sample) = (Some(sample.first), Some(sample.sha256));
        }
        seen.last = seen.last.max(sample.last);
    }
    for (number, sources) in index.hosts(&set_of)? {
        if let Some(seen) = cores.get(number).and_then(|core| seen.get_mut(core)) {
            seen.sources = sources;
        }
    }
    Ok(seen)
}

/// How a core lies among the others.
#[derive(Default)]
struct Nearness {
    /// The distance from the nearest core that came no less often.
    distance: Option<u32>,
    /// Cores that are near.
    near: Vec<(String, u32)>,
}

/// Compares the most frequent cores with each other.
fn near(
    samples: &[SampleRow],
    outlines: &HashMap<SampleId, Outline>,
    seen: &HashMap<String, Seen>,
) -> HashMap<String, Nearness> {
    let mut cores: BTreeMap<&str, &Outline> = BTreeMap::new();
    for outline in samples.iter().filter_map(|sample| outlines.get(&sample.sha256)) {
        cores.entry(&outline.core.sha256).or_insert(outline);
    }
    let captures = |core: &str| seen.get(core).map_or(0, |seen| seen.captures);
    let mut cores: Vec<(&str, &Outline)> = cores.into_iter().collect();
    cores.sort_by_key(|(core, _)| std::cmp::Reverse(captures(core)));
    let frequent = cores.len().min(CORES_MAX);
    let mut found: HashMap<String, Nearness> = HashMap::new();
    for (at, (core, outline)) in cores.iter().enumerate() {
        // A rare core is compared with the frequent ones, however many rare ones there are.
        for (other, known) in cores.iter().take(frequent.min(at)) {
            let same = !outline.core.skeleton.is_empty() && outline.core.skeleton == known.core.skeleton;
            let distance =
                if same { Some(0) } else { novelty::distance(&outline.core.tlsh, &known.core.tlsh) };
            let Some(distance) = distance else { continue };
            let this = found.entry((*core).to_owned()).or_default();
            this.distance = Some(this.distance.map_or(distance, |least| least.min(distance)));
            if distance <= NEAR {
                this.near.push(((*other).to_owned(), distance));
                found.entry((*other).to_owned()).or_default().near.push(((*core).to_owned(), distance));
            }
        }
    }
    found
}

fn groups(
    entries: &[Entry],
    outlines: &HashMap<SampleId, Outline>,
    seen: &HashMap<String, Seen>,
    near: &HashMap<String, Nearness>,
) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut told = HashSet::new();
    // The entries are in the order of their novelty: the first of a group has its highest.
    for entry in entries.iter().filter(|entry| !entry.core.is_empty()) {
        let (Some(seen), Some(outline)) = (seen.get(&entry.core), outlines.get(&entry.sha256)) else {
            continue;
        };
        if !told.insert(entry.core.as_str()) {
            continue;
        }
        let mut near = near.get(&entry.core).map_or_else(Vec::new, |nearness| nearness.near.clone());
        near.sort_by_key(|(_, distance)| *distance);
        groups.push(Group {
            core: entry.core.clone(),
            family: entry.family.clone(),
            kind: outline.core.kind.clone(),
            size: outline.core.size,
            samples: seen.samples,
            captures: seen.captures,
            sources: seen.sources,
            first_seen: rfc3339(seen.first.unwrap_or_default()),
            last_seen: rfc3339(seen.last),
            novelty: entry.novelty,
            near,
            first: seen.first_sample.unwrap_or(entry.sha256),
        });
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(number: u8, size: u64, state: UploadState) -> SampleRow {
        SampleRow {
            sha256: SampleId([number; 32]),
            md5: String::new(),
            sha1: String::new(),
            size,
            state: state.as_str().to_owned(),
            origin: Origin::DoublePulsar.as_str().to_owned(),
            total: Some(10_000),
            ranges: Vec::new(),
            captures: 1,
            sources: 1,
            first: WallClock(1),
            last: WallClock(1),
            tools: Vec::new(),
            triaged: true,
            layers: Vec::new(),
            core: String::new(),
            family: String::new(),
            triage_error: String::new(),
        }
    }

    #[test]
    fn a_piece_belongs_to_a_sample_of_its_size_only_with_its_stub_or_family() {
        let samples = [
            row(1, 10_000, UploadState::Complete),
            row(2, 5000, UploadState::Partial),
            row(3, 3000, UploadState::Partial),
            row(4, 3000, UploadState::Partial),
        ];
        let outline = |stub: &str, family: &str| Outline {
            stub_skeleton: stub.to_owned(),
            family: family.to_owned(),
            ..Outline::default()
        };
        let outlines = HashMap::from([
            (samples[0].sha256, outline("stub", "WannaCry")),
            (samples[1].sha256, outline("stub", "")),
            (samples[2].sha256, outline("", "")),
            (samples[3].sha256, outline("another", "")),
        ]);
        let kin = kin(&samples, &outlines);
        let of: Vec<_> =
            samples.iter().map(|sample| kin.get(&sample.sha256).map(|whole| whole.sha256)).collect();
        assert_eq!(of, [None, Some(samples[0].sha256), None, None]);
    }
}
