//! What a sample is, in one plain sentence: what it is and carries; how often it came; what differs.
//!
//! Attacker's text goes through [`Text`](roridula_proto::event::Text), which escapes it.

mod differs;
mod place;
mod words;

pub(super) use differs::{cut, differs};
use place::{is_inside, subject};
pub(super) use words::family;
use words::{also, joined, named_family, title};
pub use words::{counted, thousands};

use super::outline::{Outline, carrier};
use roridula_proto::time::WallClock;
use roridula_triage::facts::CodeFacts;
use roridula_triage::{FoundBy, Kind, Layer, Report, State};
use std::fmt::Write;
use words::{escaped, is_known_launcher, is_launcher, what};

/// Other families that are named.
const FAMILIES_MAX: usize = 2;
/// Functions that code asks for that are named.
const APIS_MAX: usize = 3;
/// Files in a file that are named.
const FILES_MAX: usize = 3;

/// How often something came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sightings {
    /// Captures.
    pub captures: u64,
    /// Different sources.
    pub sources: u64,
    /// The first.
    pub first: WallClock,
}

/// What arrived of an upload that ended too early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    /// Bytes that are here.
    pub(super) size: u64,
    /// Bytes that its sender announced.
    pub(super) total: Option<u64>,
    /// What they are of: `upload`, `exploit's buffer`.
    pub(super) of: &'static str,
    /// Whether they are the first ones.
    pub(super) is_beginning: bool,
    /// A whole sample that is as large as was announced, and its family.
    pub(super) kin: Option<(&'a str, &'a str)>,
}

/// What is said of a sample, before how often it came.
pub(super) struct Said<'a> {
    /// As in [`Outline::lead`].
    pub(super) lead: &'a str,
    /// As in [`Outline::cut`].
    pub(super) cut: &'a str,
    /// As in [`Outline::differs`].
    pub(super) differs: &'a str,
    /// Where it is a piece of an upload.
    pub(super) piece: Option<Piece<'a>>,
    /// Whether how often it came is said of its core, and the words before it do not name that.
    pub(super) is_of_core: bool,
    /// Whether triage ended before it had looked into all of it, and will not try again by itself.
    pub(super) is_left: bool,
    /// As in [`Outline::is_bounded`].
    pub(super) is_bounded: bool,
}

/// The whole sentence.
pub(super) fn sentence(said: &Said<'_>, seen: Sightings) -> String {
    let mut text = match said.piece {
        Some(piece) => piece.of(said.lead),
        None => join(&[said.lead, said.cut]),
    };
    let day = roridula_evidence::rfc3339(seen.first);
    let day = day.get(..10).unwrap_or_default();
    let (captures, sources) = (counted(seen.captures, "capture"), counted(seen.sources, "host"));
    let what = if said.is_of_core { "its core " } else { "" };
    let _ = write!(text, ", {what}seen in {captures} from {sources} since {day}");
    // What a piece lacks is no difference.
    let differs = if said.piece.is_some() { "" } else { said.differs };
    let left = if said.is_left { "the rest could not be worked out" } else { "" };
    join(&[&text, differs, bounded(said.is_bounded), left])
}

impl Outline {
    /// The sentence of a file at hand, which nobody brought.
    pub fn sentence(&self) -> String {
        join(&[&self.lead, &self.cut, &self.differs, bounded(self.is_bounded)])
    }
}

/// Which bound, the report says.
fn bounded(is_bounded: bool) -> &'static str {
    if is_bounded { "a bound was met before all of it was looked into" } else { "" }
}

/// Clauses of one sentence; those that are empty are left out.
fn join(clauses: &[&str]) -> String {
    clauses.iter().filter(|clause| !clause.is_empty()).copied().collect::<Vec<_>>().join("; ")
}

impl Piece<'_> {
    /// The beginning of a sentence about it.
    fn of(&self, lead: &str) -> String {
        let lead = match lead.split_once(' ') {
            // Families keep their capital letter.
            Some((first @ ("Unknown" | "Possible" | "Not" | "Looked" | "The"), rest)) => {
                format!("{} {rest}", first.to_lowercase())
            }
            _ => lead.to_owned(),
        };
        let size = thousands(self.size);
        let first = if self.is_beginning { "The first " } else { "" };
        let mut text = match self.total {
            Some(total) => format!("{first}{size} of {} announced bytes: {lead}", thousands(total)),
            None => format!("{first}{} of an {}: {lead}", counted(self.size, "byte"), self.of),
        };
        if let Some((sha256, family)) = self.kin {
            let family = if family.is_empty() { String::new() } else { format!("{} ", escaped(family)) };
            let short = sha256.get(..12).unwrap_or(sha256);
            let _ = write!(text, "; the announced size is that of {family}sample {short}…");
        }
        text
    }
}

/// What it is and what it carries.
pub(super) fn lead(report: &Report) -> String {
    let also = also(report).map(escaped).collect();
    let also = joined(also, FAMILIES_MAX);
    let text = first_family(report);
    if also.is_empty() { text } else { format!("{text}; there is {also} in it too") }
}

/// The same, of the surest family alone.
fn first_family(report: &Report) -> String {
    let Some(root) = report.layers.first() else { return "Nothing".to_owned() };
    let family = named_family(report).map(|family| match family.strip_prefix("possible ") {
        Some(name) => format!("Possible {name}"),
        None => family,
    });
    // A file beside another one, or behind its end, does not make that one what it is.
    let family = family.as_deref().filter(|_| family_apart(report).is_none());
    match (carrier(report), report.core_layer()) {
        (Some(carrier), Some(core)) => {
            let is_launcher = is_launcher(report);
            let named = named(family, carrier, if is_launcher { "launcher " } else { "" });
            let around = around(report, carrier, is_launcher);
            let inner = if is_known_launcher(report) { "worm EXE" } else { what(core) };
            format!("{named}{around}; carries {inner} sha256 {}{}", short(core), hidden(core))
        }
        (None, Some(core)) if core.kind == Kind::Pe => {
            let part = report.core.and_then(|core| words::part(report, core)).unwrap_or_default();
            let (named, packed) = (named(family, core, part.trim_end_matches(what(core))), packed(core));
            format!("{named}{packed}{}{}{}", around(report, core, false), cargo(report), beside(report))
        }
        (None, Some(core)) if core.kind == Kind::Shellcode => shellcode(family, report, root, core),
        _ => other(family, report, root),
    }
}

/// `WannaCry launcher DLL (x86, 5,267,456 bytes)`.
fn named(family: Option<&str>, layer: &Layer, role: &str) -> String {
    let machine = layer.facts.pe.as_ref().map_or("", |pe| pe.machine.as_str());
    format!(
        "{} {role}{} ({machine}, {} bytes)",
        family.unwrap_or("Unknown"),
        what(layer),
        thousands(size_of(layer))
    )
}

/// The bytes of a file without what stands behind its end.
fn size_of(layer: &Layer) -> u64 {
    layer.facts.pe.as_ref().map_or(layer.size, |pe| pe.end.min(layer.size))
}

fn packed(layer: &Layer) -> String {
    let packer = layer.facts.pe.as_ref().map_or("", |pe| pe.packer.as_str());
    if packer.is_empty() { String::new() } else { format!(", packed with {packer}") }
}

/// What stands around the file that the sentence is about; a known launcher's own stub goes without saying.
fn around(report: &Report, file: &Layer, is_launcher: bool) -> String {
    let mut text = hidden(file);
    // From the inside out: an archive behind a stub, or a stub in an archive.
    let (holder, is_outermost) = holder(report);
    if !is_outermost {
        text.push_str(&holder);
    }
    text.push_str(&behind_stub(report, is_launcher));
    text.push_str(&padding(report));
    text.push_str(&in_front(report));
    text.push_str(&behind(report, is_launcher));
    if is_outermost {
        text.push_str(&holder);
    }
    text
}

/// The stub that the file came behind; a known launcher's own goes without saying.
fn behind_stub(report: &Report, is_launcher: bool) -> String {
    let Some(stub) = report.layers.iter().find(|layer| layer.facts.stub.is_some()) else {
        return String::new();
    };
    let file = subject(report).and_then(|subject| report.layer(subject));
    let around = file.and_then(|file| report.layer(file.parent?));
    let carried = around.filter(|layer| layer.kind == Kind::Data && layer.found_by == FoundBy::StubSizeField);
    match (stub.name.as_str(), carried) {
        ("unknown" | "", _) => " behind an unknown stub".to_owned(),
        (name, Some(carried)) => {
            format!(" in what the stub {name} carries ({}, no file)", counted(carried.size, "byte"))
        }
        _ if is_launcher => String::new(),
        (name, None) => format!(" behind the stub {name}"),
    }
}

/// What stands in front of the file that the sentence is about, where that is no stub: another file, whose end it stands
/// behind, or other bytes.
fn in_front(report: &Report) -> String {
    let Some(file) = subject(report).and_then(|subject| report.layer(subject)) else { return String::new() };
    let Some(around) = file.parent.and_then(|at| report.layer(at)) else { return String::new() };
    if file.found_by == FoundBy::BehindTheEnd && around.kind == Kind::Pe {
        let what = what(around);
        return format!(", behind the end of {} {what} of {}", article(what), counted(file.offset, "byte"));
    }
    let mut beside = report.layers.iter().filter(|layer| layer.parent == file.parent);
    let is_front =
        |layer: &&Layer| matches!(layer.kind, Kind::Text | Kind::Data | Kind::Padding) && layer.offset == 0;
    let front = beside.find(is_front).filter(|front| {
        around.kind == Kind::Payload
            && (front.found_by == FoundBy::ValidatedSearch || front.kind == Kind::Padding)
            && front.size <= file.offset
    });
    front.map_or(String::new(), |front| {
        let plain = match front.kind {
            Kind::Text => "text",
            Kind::Padding => "filling",
            _ => "data",
        };
        format!(", behind {} of {}", counted(front.size, "byte"), looks_like(front, plain))
    })
}

/// What stands behind the end of the file that the sentence is about, and is no filling.
fn behind(report: &Report, is_launcher: bool) -> String {
    let mut text = String::new();
    let behind = (0u32..).zip(&report.layers).find(|(number, layer)| {
        let is_filling = is_launcher && layer.parent != Some(0);
        // What an archive ends with is the archive's, and what the file itself lies in is told as that.
        let is_in_archive = layer.parent.and_then(|at| report.layer(at)).is_some_and(is_archive);
        let is_around =
            subject(report).is_some_and(|subject| subject == *number || is_inside(report, subject, *number));
        layer.found_by == FoundBy::BehindTheEnd
            && layer.kind != Kind::Padding
            && !(is_filling || is_in_archive || is_around)
    });
    match behind {
        None => {}
        Some((number, layer)) if matches!(layer.kind, Kind::Overlay | Kind::Data | Kind::Text) => {
            let _ = write!(text, ", with {} of {} behind its end", counted(layer.size, "byte"), what(layer));
            if let Some((_, inner)) = report.children(number).find(|(_, inner)| inner.kind == Kind::Pe) {
                let _ = write!(text, ", which hold {} {}", article(what(inner)), what(inner));
            }
        }
        Some((_, layer)) => {
            let is_of_family = family_apart(report).is_some_and(|(_, apart)| std::ptr::eq(apart, layer));
            let family = named_family(report).filter(|_| is_of_family);
            let what = family.map_or(String::new(), |family| format!("{family} ")) + what(layer);
            let _ = write!(
                text,
                ", with {} {what} of {} behind its end",
                article(&what),
                counted(size_of(layer), "byte")
            );
        }
    }
    text
}

/// The file that all grounds of the family are of, where that is not the one that the sentence is about, nor lies in it:
/// one that stands beside it, or behind its end. An archive behind a program's end is what that unpacks: its own.
fn family_apart(report: &Report) -> Option<(u32, &Layer)> {
    let grounds = &report.verdict.as_ref()?.grounds;
    let subject = subject(report)?;
    // What a loader shows is of its upload.
    let is_file = |layer: &Layer| !matches!(layer.kind, Kind::Stub | Kind::Shellcode);
    let is_apart = |number: u32, layer: &Layer| match is_inside(report, number, subject) {
        true => layer.found_by == FoundBy::BehindTheEnd && layer.kind == Kind::Pe,
        false => number != subject && !is_inside(report, subject, number) && is_file(layer),
    };
    let all = |number: u32| {
        grounds.iter().all(|ground| ground.layer == number || is_inside(report, ground.layer, number))
    };
    let mut apart = (0u32..).zip(&report.layers).filter(|(number, layer)| is_apart(*number, layer));
    apart.find(|(number, _)| !grounds.is_empty() && all(*number))
}

/// The file that came with the one that the sentence is about, beside it: that of the family, or else the first.
fn beside(report: &Report) -> String {
    let apart = family_apart(report).filter(|(_, layer)| layer.found_by != FoundBy::BehindTheEnd);
    let Some(layer) = apart.map(|(_, layer)| layer).or_else(|| first_beside(report)) else {
        return String::new();
    };
    let family = named_family(report).filter(|_| apart.is_some());
    let family = family.map_or(String::new(), |family| format!("{family} "));
    let file = format!("{family}{} of {}", what(layer), counted(layer.size, "byte"));
    format!("; beside it {} {file}{}", article(&file), hidden(layer))
}

/// The first file that lies in the same bytes as the one that the sentence is about, which are no archive.
fn first_beside(report: &Report) -> Option<&Layer> {
    let subject = subject(report)?;
    let around = report.layer(subject)?.parent?;
    report.layer(around).filter(|around| !is_archive(around) && around.kind != Kind::Pe)?;
    let is_file = |layer: &Layer| layer.kind == Kind::Pe || is_archive(layer);
    let mut others = report.children(around).filter(|(number, _)| *number != subject);
    others
        .find(|(_, layer)| is_file(layer) && layer.found_by != FoundBy::BehindTheEnd)
        .map(|(_, layer)| layer)
}

/// What had to be undone to come to it; how an archive packs its members is no hiding.
fn hidden(layer: &Layer) -> String {
    match layer.encoding.as_str() {
        "" => String::new(),
        _ if layer.found_by == FoundBy::Directory => String::new(),
        encoding => format!(", hidden by {encoding}"),
    }
}

fn article(what: &str) -> &'static str {
    if what.starts_with(['A', 'E', 'I', 'O', 'U']) { "an" } else { "a" }
}

/// The archive that the core came in, the outermost, and whether nothing is around that.
fn holder(report: &Report) -> (String, bool) {
    let up = |number: u32| report.layer(number).and_then(|layer| layer.parent);
    let inwards = std::iter::successors(report.core, |&number| up(number)).take(report.layers.len());
    let layers = inwards.filter_map(|inner| {
        let number = up(inner)?;
        // What stands behind its end is in none.
        let is_in_it = report.layer(inner)?.found_by != FoundBy::BehindTheEnd;
        Some((number, report.layer(number).filter(|layer| is_in_it && is_archive(layer))?))
    });
    let Some((number, archive)) = layers.last() else { return (String::new(), true) };
    let tail = report.children(number).find(|(number, layer)| {
        let is_around = report.core.is_some_and(|core| is_inside(report, core, *number));
        layer.found_by == FoundBy::BehindTheEnd && !is_around
    });
    let tail = tail.map_or(String::new(), |(_, tail)| {
        format!(" with {} of {} behind its end", counted(tail.size, "byte"), what(tail))
    });
    let text = match archive.kind {
        Kind::Gzip => format!(" in a {}{tail}", what(archive)),
        _ => format!(" in a {} of {}{tail}", what(archive), members(report, number, archive)),
    };
    (text, archive.parent.is_none())
}

fn is_archive(layer: &Layer) -> bool {
    matches!(layer.kind, Kind::Zip | Kind::Cab | Kind::Gzip)
}

/// The files that the core has in it, without those in them, and without what only stands behind its end.
fn cargo(report: &Report) -> String {
    let is_file = |layer: &Layer| matches!(layer.kind, Kind::Pe | Kind::Zip | Kind::Cab | Kind::Gzip);
    let Some(core) = report.core else { return String::new() };
    let mut found = Vec::new();
    // A resource may hold a file behind something else.
    let mut ahead: Vec<u32> = vec![core];
    while let Some(number) = ahead.pop() {
        for (child, layer) in report.children(number).filter(|child| child.0 > number) {
            match is_file(layer) {
                true if layer.found_by == FoundBy::BehindTheEnd => {}
                true => found.push((child, layer)),
                false => ahead.push(child),
            }
        }
    }
    found.sort_by_key(|(number, _)| *number);
    let files = found.iter().map(|(_, layer)| {
        let machine = layer.facts.pe.as_ref().map_or(String::new(), |pe| format!("{}, ", pe.machine));
        format!("{} ({machine}{})", title(report, layer), counted(layer.size, "byte"))
    });
    let files = joined(files.collect(), FILES_MAX);
    if files.is_empty() { files } else { format!("; carries {files}") }
}

/// What filled up the upload.
fn padding(report: &Report) -> String {
    let is_upload = report.layers.first().is_some_and(|root| root.kind == Kind::Payload);
    let is_tail = |layer: &&Layer| {
        let is_filling = layer.kind == Kind::Padding && layer.found_by != FoundBy::Directory;
        is_upload && is_filling && layer.offset > 0
    };
    let tail = report.layers.iter().filter(is_tail).find(|layer| layer.parent == Some(0));
    tail.map_or(String::new(), |tail| format!(" with {} of upload padding", counted(tail.size, "byte")))
}

fn shellcode(family: Option<&str>, report: &Report, root: &Layer, core: &Layer) -> String {
    let code = core.facts.code.as_ref();
    let machine = code.map_or(String::new(), |code| format!("{} ", code.machine));
    let sender = root_stub(report);
    let who = family.or(sender).unwrap_or("Unknown");
    let stub = report.layers.iter().find_map(|layer| layer.facts.stub.as_ref());
    let around = match stub {
        _ if core.parent.is_none() => String::new(),
        Some(stub) if sender.is_none() && stub.name != "unknown" => {
            format!(" behind the stub {}", escaped(&stub.name))
        }
        _ => format!(" in {}", counted(root.size, "byte")),
    };
    let mut text = format!("{who} {machine}shellcode ({}){around}", counted(core.size, "byte"));
    if let Some(code) = code {
        if code.entry > 0 {
            let _ = write!(text, ", starts at its byte {}", thousands(code.entry));
        }
        text.push_str(&does(code));
    }
    if let Some(found) = core.facts.indicators.first() {
        let _ = write!(text, ", names {} {}", found.kind, escaped(&found.value));
    }
    text
}

/// What code does, the most telling of it.
fn does(code: &CodeFacts) -> String {
    let shows = |wanted: &str| code.traits.iter().any(|shown| shown.contains(wanted));
    let names = code.apis.iter().take(APIS_MAX).filter_map(|name| name.rsplit('!').next());
    let names = names.collect::<Vec<_>>().join(", ");
    if !names.is_empty() {
        format!(", which asks for {names}")
    } else if shows("decod") {
        ", which undoes an encoding".to_owned()
    } else if shows("kernel") {
        ", which is for the kernel".to_owned()
    } else if shows("hashes") || shows("peb walk") {
        ", which looks for functions by itself".to_owned()
    } else {
        String::new()
    }
}

/// Whose packet it is, by the loader in front.
fn root_stub(report: &Report) -> Option<&'static str> {
    let stub = report.layers.iter().find_map(|layer| layer.facts.stub.as_ref())?;
    stub.name.starts_with("metasploit").then_some("Metasploit DoublePulsar")
}

fn other(family: Option<&str>, report: &Report, root: &Layer) -> String {
    let size = thousands(root.size);
    let inside = report.children(0).count();
    let family = family.map_or(String::new(), |family| format!("{family} "));
    match root.kind {
        Kind::Zip | Kind::Cab | Kind::Gzip => {
            let what = match root.kind {
                Kind::Zip => "ZIP archive",
                Kind::Cab => "CAB archive",
                _ => "GZIP archive",
            };
            format!(
                "{family}{what} ({size} bytes{}) with {}{}",
                cut_off(root),
                members(report, 0, root),
                unread(root)
            )
        }
        Kind::Text => {
            let first = root.facts.indicators.first();
            let tells = first
                .map_or(String::new(), |found| format!(", names {} {}", found.kind, escaped(&found.value)));
            format!(
                "{}{} ({}){tells}",
                unknown(&family),
                looks_like(root, "text"),
                counted(root.size, "byte")
            )
        }
        _ if carried(report).is_some() => carried(report).unwrap_or_default(),
        _ if inside > 0 => {
            let what = looks_like(root, "data");
            let inside = counted(inside as u64, "layer");
            format!("{}{what} ({}) with {inside} inside", unknown(&family), counted(root.size, "byte"))
        }
        _ => {
            let (what, bits) = (looks_like(root, "data"), root.facts.entropy);
            format!(
                "{}{what} ({}, {bits:.1} bits of entropy a byte)",
                unknown(&family),
                counted(root.size, "byte")
            )
        }
    }
}

/// A stub of which nothing is here but what it carries, where that is no file, or not yet one.
fn carried(report: &Report) -> Option<String> {
    let stub = report.children(0).find_map(|(_, layer)| {
        let stub = layer.facts.stub.as_ref()?;
        (layer.found_by == FoundBy::StubSizeField && stub.file_size > 0).then_some(stub)
    })?;
    let is_cargo = |layer: &Layer| layer.kind != Kind::Stub && layer.found_by == FoundBy::StubSizeField;
    let cargo = report.children(0).find(|(_, layer)| is_cargo(layer)).map(|(_, layer)| layer);
    let claimed = u64::from(stub.file_size);
    let what = match cargo.map_or(0, |cargo| cargo.size) {
        0 => format!("nothing of the {} that it carries", counted(claimed, "byte")),
        here if here < claimed => {
            format!("the first {} of the {} that it carries", thousands(here), counted(claimed, "byte"))
        }
        here => match cargo.filter(|cargo| is_archive(cargo)) {
            Some(archive) => format!("the {} of {} that it carries", what(archive), counted(here, "byte")),
            None => format!("the {} that it carries, which are no file", counted(here, "byte")),
        },
    };
    Some(format!("The stub {} and {what}", escaped(&stub.name)))
}

fn cut_off(archive: &Layer) -> &'static str {
    if archive.state == State::Truncated { ", cut off" } else { "" }
}

/// Why not all of an archive was looked into, where that is not its own fault.
fn unread(archive: &Layer) -> String {
    let why = archive.remarks.last().filter(|_| archive.state == State::Intact);
    why.map_or(String::new(), |why| format!("; {}", escaped(why)))
}

/// How many members an archive has, as far as they were counted.
fn members(report: &Report, number: u32, root: &Layer) -> String {
    let listed = root.facts.zip.as_ref().map_or(0, |zip| zip.members.len());
    let peeled = report.children(number).filter(|(_, layer)| layer.found_by == FoundBy::Directory).count();
    // A bound that was met leaves members out, where not the directory itself was read.
    let is_cut = root.facts.zip.as_ref().is_some_and(|zip| zip.count > listed as u64);
    let is_cut = is_cut || listed == 0 && !report.remarks.is_empty();
    match listed.max(peeled) {
        0 if is_cut => "members that were not unpacked".to_owned(),
        0 => "no member that could be read".to_owned(),
        count => format!("{}{}", if is_cut { "at least " } else { "" }, counted(count as u64, "member")),
    }
}

/// What an upload calls itself, or else what it is.
fn looks_like<'a>(root: &'a Layer, plain: &'a str) -> &'a str {
    if root.facts.looks_like.is_empty() { plain } else { &root.facts.looks_like }
}

fn unknown(family: &str) -> &str {
    if family.is_empty() { "Unknown " } else { family }
}

fn short(layer: &Layer) -> String {
    format!("{}…", layer.hashes.sha256.get(..12).unwrap_or(&layer.hashes.sha256))
}
