//! What is missing, what is damaged, and what differs from the published original.

use super::place::{is_inside, own};
use super::words::{
    counted, escaped, family, is_known_launcher, is_launcher_of_another, joined, name, part, thousands,
    title, what,
};
use crate::sample::outline::carrier;
use roridula_triage::facts::{INDICATORS_MAX, IndicatorKind, ZipFacts};
use roridula_triage::{FoundBy, Kind, Layer, Report, State, reference};

/// How a note says that a kill switch's domain is the published one.
const ORIGINAL: &str = "the 2017 original's";
/// How a note says that a published domain stands there, and that another one is asked for.
const UNASKED: &str = "nothing asks for it";
/// Differences that are named; more are counted.
const DIFFERENCES_MAX: usize = 6;
/// Wallets that are named; more are counted.
const WALLETS_MAX: usize = 2;
/// Layers that are named; more are counted.
const LAYERS_MAX: usize = 3;

/// Which part ends before its own structures say that it does, the outermost; empty where all are whole.
pub(crate) fn cut(report: &Report) -> String {
    let Some((layer, _)) = first_cut(report) else { return String::new() };
    let missing = layer.facts.pe.as_ref().map_or(0, |pe| pe.end.saturating_sub(layer.size));
    let told = match missing {
        0 => "its end is missing".to_owned(),
        1 => "1 byte is missing".to_owned(),
        bytes => format!("{} are missing", counted(bytes, "byte")),
    };
    let subject = carrier(report).or_else(|| report.core_layer());
    if subject.is_some_and(|subject| std::ptr::eq(subject, layer)) {
        return format!("the {} is cut off: {told}", what(layer));
    }
    let title = title(report, layer);
    if missing > 0 && goes_on(report, layer) {
        let missing = counted(missing, "byte");
        return format!("its {title} is cut off {missing} before its end, by the length in front of it");
    }
    format!("its {title} is cut off: {told}")
}

/// Whether what stands behind a file that ends too early by the length in front of it is more than zeros: what is missing
/// of it may be there.
fn goes_on(report: &Report, layer: &Layer) -> bool {
    let Some(around) = layer.parent.filter(|_| layer.found_by == FoundBy::LengthField) else { return false };
    let end = layer.offset.saturating_add(layer.stored_size);
    report.children(around).any(|(_, next)| next.offset == end && next.kind == Kind::Overlay)
}

/// The first truncated file that the sentence speaks of: what carries the core, the core, a part that was published.
fn first_cut(report: &Report) -> Option<(&Layer, usize)> {
    let is_core = |at: usize| report.core.is_some_and(|core| core as usize == at);
    let is_known = known_part(report).is_some();
    let speaks = |at: usize, layer: &Layer| {
        let carries = carrier(report).is_some_and(|carrier| std::ptr::eq(carrier, layer));
        is_core(at) || carries || (is_known && layer.name.contains('/'))
    };
    let mut layers = report.layers.iter().enumerate();
    let found = layers
        .find(|(at, layer)| layer.state == State::Truncated && layer.kind == Kind::Pe && speaks(*at, layer));
    found.map(|(at, layer)| (layer, at))
}

/// The published part that the core is.
fn known_part(report: &Report) -> Option<&'static str> {
    if is_known_launcher(report) { Some("worm EXE") } else { part(report, report.core?) }
}

/// What is known to differ from the published original, or that it is the original; empty where nothing was published.
pub(crate) fn differs(report: &Report) -> String {
    let Some(core) = report.core_layer() else { return String::new() };
    let filling = filling(report);
    if let Some(known) = reference::published(&core.hashes.sha256) {
        let around = filling.map_or(String::new(), |filling| format!("; around it differs {filling}"));
        return match core.parent {
            None => format!("it is the published original's {}", known.part),
            Some(_) => format!("its {} is the published original's{around}", known.part),
        };
    }
    if is_launcher_of_another(report) {
        return "differs from the 2017 original in the file that it carries".to_owned();
    }
    let Some(part) = known_part(report) else { return damage(report) };
    let original =
        reference::files().iter().find(|file| Some(&*file.family) == family(report) && file.part == part);
    let Some(original) = original else { return damage(report) };
    let mut found = Vec::new();
    // What is cut off is told as that.
    if core.size != original.size && first_cut(report).is_none() {
        let sizes = (thousands(core.size), thousands(original.size));
        found.push(format!("the size of its {part} ({} bytes instead of {})", sizes.0, sizes.1));
    }
    found.extend(export(report));
    found.extend(kill_switch(report));
    found.extend(name_of(report, "worm EXE", IndicatorKind::Service));
    found.extend(moved(report));
    let worm_is_told = !found.is_empty();
    let in_ransomware: Vec<String> = name_of(report, "ransomware EXE", IndicatorKind::Mutex)
        .into_iter()
        .chain(wallets(report))
        .chain(password(report))
        .chain(members_gone(report))
        .chain(broken(report))
        .collect();
    let ransomware_is_told = !in_ransomware.is_empty();
    found.extend(in_ransomware);
    // Of what is told why it is another one, bytes tell nothing more; nor of what is cut off.
    if first_cut(report).is_none() {
        let mut parts = other_parts(report);
        parts.retain(|part| match part.as_str() {
            "worm EXE" => !worm_is_told,
            "ransomware EXE" => !ransomware_is_told,
            _ => true,
        });
        found.extend(match parts.len() {
            0 => None,
            // Beside what is told by name, that there are more is enough.
            count @ 2.. if !found.is_empty() => {
                Some(format!("the bytes of {} of its parts", thousands(count as u64)))
            }
            _ => Some(format!("the bytes of its {}", joined(parts, LAYERS_MAX))),
        });
    }
    found.extend(filling);
    match found.is_empty() {
        true => String::new(),
        false => format!("differs from the 2017 original in {}", joined(found, DIFFERENCES_MAX)),
    }
}

fn damage(report: &Report) -> String {
    let broken = broken(report);
    let broken: Vec<String> =
        broken.iter().map(|what| what.trim_end_matches(" (damaged)").to_owned()).collect();
    if broken.is_empty() { String::new() } else { format!("damaged in {}", joined(broken, LAYERS_MAX)) }
}

/// What fills a launcher up, where it is something else than zeros.
fn filling(report: &Report) -> Option<String> {
    let around = report.core_layer()?.parent?;
    let (_, filling) = report
        .children(around)
        .find(|(_, layer)| layer.kind == Kind::Overlay && layer.found_by == FoundBy::BehindTheEnd)?;
    is_known_launcher(report)
        .then(|| format!("its filling ({}, which are not all zero)", counted(filling.size, "byte")))
}

/// The innermost parts with other bytes than the published ones at their place; the core, where none is known to be
/// there.
fn other_parts(report: &Report) -> Vec<String> {
    let published = |layer: &Layer| {
        let title = title(report, layer);
        reference::files().iter().find(|file| {
            let here =
                file.part == title || (!file.name.is_empty() && file.name.eq_ignore_ascii_case(&layer.name));
            here && Some(&*file.family) == family(report)
        })
    };
    let mut other: Vec<(u32, &Layer, &reference::Published)> = Vec::new();
    for (number, layer) in own(report) {
        let Some(part) = published(layer) else { continue };
        if !part.sha256.eq_ignore_ascii_case(&layer.hashes.sha256) {
            other.push((number, layer, part));
        }
    }
    let holds_other = |number: u32| other.iter().any(|(inner, ..)| is_inside(report, *inner, number));
    // What is not whole is told as that.
    other
        .iter()
        .filter(|(number, layer, _)| layer.state == State::Intact && !holds_other(*number))
        .map(|(_, layer, part)| match layer.found_by {
            FoundBy::Directory => format!("{} {}", part.part, name(&layer.name)),
            _ => part.part.clone(),
        })
        .collect()
}

/// What became of the domain whose answer stops the worm.
fn kill_switch(report: &Report) -> Vec<String> {
    let indicators = own(report).flat_map(|(_, layer)| &layer.facts.indicators);
    let switches = indicators.filter(|found| found.kind == IndicatorKind::KillSwitch);
    let original = reference::kill_switches().first();
    let is_original =
        |value: &str| original.is_some_and(|known| value.trim_start_matches("www.") == known.domain);
    // A domain beside the one that is asked for stops nothing.
    let told = switches.filter(|found| !found.note.ends_with(UNASKED)).filter_map(|found| {
        // The domain itself is no difference where it is the original's: what was done to it is.
        let done = found
            .note
            .strip_prefix(ORIGINAL)
            .map_or(found.note.as_str(), |rest| rest.trim_start_matches("; "));
        match (is_original(&found.value) || found.value.is_empty(), done) {
            (true, "") => None,
            (true, done) => Some(format!("its kill switch ({done})")),
            (false, "") => Some(format!("its kill switch ({})", escaped(&found.value))),
            (false, done) => Some(format!("its kill switch ({}: {done})", escaped(&found.value))),
        }
    });
    told.collect()
}

/// The published name that a whole part of the worm does not have: of its service, of its mutex. Told only of a part that
/// one of its family's rules fits, and where the name stands in no other layer either: it may have moved.
fn name_of(report: &Report, part: &str, kind: IndicatorKind) -> Option<String> {
    let is_of_family = |layer: &Layer| layer.hits.iter().any(|hit| Some(&*hit.family) == family(report));
    let is_part = |layer: &&Layer| {
        layer.state == State::Intact && layer.kind == Kind::Pe && title(report, layer) == part
    };
    let part = own(report).map(|(_, layer)| layer).find(is_part).filter(|part| is_of_family(part))?;
    if !is_all_told(part) {
        return None;
    }
    let mut everywhere = report.layers.iter().flat_map(|layer| &layer.facts.indicators);
    let is_published = everywhere.any(|found| found.kind == kind && Some(&*found.note) == family(report));
    let here = part.facts.indicators.iter().find(|found| found.kind == kind);
    let value = here.map_or(String::new(), |found| format!(" ({})", escaped(&found.value)));
    (!is_published).then(|| format!("the name of its {kind}{value}"))
}

/// A launcher whose export has another name than the one that its loader calls.
fn export(report: &Report) -> Option<String> {
    let launcher =
        carrier(report).filter(|layer| layer.state == State::Intact && is_known_launcher(report))?;
    let exports = &launcher.facts.pe.as_ref()?.exports;
    let mut published = reference::launchers().iter().filter(|one| Some(&*one.family) == family(report));
    if published.any(|one| exports.contains(&one.export)) {
        return None;
    }
    let name = exports.first().map_or(String::new(), |export| format!(" ({})", name(export)));
    Some(format!("the name of its export{name}"))
}

/// Whether a layer holds no more indicators than its facts tell: else what they do not tell may be there all the same.
fn is_all_told(layer: &Layer) -> bool {
    layer.facts.indicators.len() < INDICATORS_MAX
}

/// Accounts to be paid to that nobody has published; where there are none, published ones that are gone.
fn wallets(report: &Report) -> Option<String> {
    let indicators = own(report).flat_map(|(_, layer)| &layer.facts.indicators);
    // The note of one that was published names whose it is.
    let is_published = |note: &str| family(report).is_some_and(|family| note.contains(family));
    let own = indicators.filter(|found| found.kind == IndicatorKind::Wallet && !is_published(&found.note));
    let mut own: Vec<String> = own.map(|found| escaped(&found.value)).collect();
    own.sort_unstable();
    own.dedup();
    if own.is_empty() {
        wallets_gone(report)
    } else {
        Some(format!("its wallets ({})", joined(own, WALLETS_MAX)))
    }
}

/// How many of the wallets that were published of a whole ransomware are not in it.
fn wallets_gone(report: &Report) -> Option<String> {
    let is_whole = |layer: &&Layer| layer.state == State::Intact && layer.kind == Kind::Pe;
    let mut whole = own(report).map(|(_, layer)| layer).filter(is_whole);
    let part =
        whole.find(|layer| title(report, layer) == "ransomware EXE").filter(|part| is_all_told(part))?;
    let published: Vec<_> =
        reference::wallets().iter().filter(|one| Some(&*one.family) == family(report)).collect();
    let is_gone = |one: &&&reference::Known| {
        !part
            .facts
            .indicators
            .iter()
            .any(|found| found.kind == IndicatorKind::Wallet && found.value == one.value)
    };
    let gone = published.iter().filter(is_gone).count();
    (gone > 0).then(|| format!("its wallets ({gone} of the {} published ones not there)", published.len()))
}

/// A published part that lies in another resource than the published one, where nothing else can be meant.
fn moved(report: &Report) -> Vec<String> {
    let own: Vec<(u32, &Layer)> = own(report).collect();
    let of_family = reference::carriers().iter().filter(|known| Some(&*known.family) == family(report));
    let moved = of_family.filter_map(|known| {
        let around = own.iter().find(|(_, layer)| title(report, layer) == known.part)?;
        let inside = || report.children(around.0).filter(|(_, layer)| layer.found_by == FoundBy::Resource);
        if inside().any(|(_, layer)| layer.name == known.path) {
            return None;
        }
        let mut files = inside().filter(|(_, layer)| matches!(layer.kind, Kind::Pe | Kind::Zip));
        let (Some((_, only)), None) = (files.next(), files.next()) else { return None };
        let carries = known.carries.trim_start_matches("the ");
        Some(format!("the resource of its {carries} ({} instead of {})", name(&only.name), known.path))
    });
    moved.collect()
}

/// Published members of a part's whole archive that are not in it.
fn members_gone(report: &Report) -> Vec<String> {
    let archives = own(report).filter_map(|(_, layer)| {
        let is_whole = layer.facts.zip.as_ref().is_some_and(|zip| zip.count == zip.members.len() as u64);
        layer.facts.zip.as_ref().filter(|_| is_whole && layer.state != State::Truncated)
    });
    let mut of_family = reference::archives().iter().filter(|known| Some(&*known.family) == family(report));
    let Some(known) = of_family.next() else { return Vec::new() };
    let has = |zip: &ZipFacts, name: &String| {
        zip.members.iter().any(|member| member.name.eq_ignore_ascii_case(name))
    };
    // One that has none of them is another archive.
    let mut ours = archives.filter(|zip| known.members.iter().any(|name| has(zip, name)));
    let Some(zip) = ours.next() else { return Vec::new() };
    let gone: Vec<String> = known.members.iter().filter(|name| !has(zip, name)).cloned().collect();
    let told = |gone| format!("its archive (without {})", joined(gone, LAYERS_MAX));
    if gone.is_empty() { Vec::new() } else { vec![told(gone)] }
}

/// An archive in it that no published password opens.
fn password(report: &Report) -> Option<String> {
    // Of one that is not whole, what would have opened it may be what is missing.
    let whole = own(report).map(|(_, layer)| layer).filter(|layer| layer.state == State::Intact);
    let mut archives = whole.filter_map(|layer| layer.facts.zip.as_ref());
    let is_locked =
        archives.any(|zip| zip.password.is_empty() && zip.members.iter().any(|one| one.encrypted));
    is_locked.then(|| "the password of its archive".to_owned())
}

/// What is wrong with a layer as a whole; an archive's members are told by themselves.
fn found_wrong(report: &Report, layer: &Layer, is_cut: bool) -> Option<String> {
    let members = || layer.facts.zip.iter().flat_map(|zip| &zip.members);
    let is_destroyed = |carrier: &reference::Carrier| {
        layer.kind == Kind::Resource && carrier.path == layer.name && Some(&*carrier.family) == family(report)
    };
    match (layer.state, &layer.facts.pe) {
        (State::Intact, _) => {
            let carrier = reference::carriers().iter().find(|carrier| is_destroyed(carrier))?;
            Some(format!("its {} (destroyed)", carrier.carries.trim_start_matches("the ")))
        }
        // All that is wrong with a whole file is what stands in front of it.
        (State::Damaged, Some(pe)) if layer.found_by == FoundBy::LengthField && pe.end == layer.size => {
            Some(format!("the length in front of its {}", title(report, layer)))
        }
        _ if layer.parent.is_none() => {
            let is_stream = matches!(layer.kind, Kind::Gzip | Kind::Cab) && !is_cut;
            is_stream.then(|| format!("its {} ({})", what(layer), layer.state))
        }
        _ if members().any(|member| matches!(member.state.as_str(), "damaged" | "truncated")) => None,
        _ => Some(format!("its {} ({})", title(report, layer), layer.state)),
    }
}

/// Members and layers that are not whole. What lies in something truncated is so because of that, and is not told again.
fn broken(report: &Report) -> Vec<String> {
    let told = first_cut(report).map(|(_, at)| at);
    let mut is_cut: Vec<bool> = Vec::with_capacity(report.layers.len());
    let mut found: Vec<(String, u64)> = Vec::new();
    let mut put = |what: String| match found.iter_mut().find(|(known, _)| *known == what) {
        Some((_, count)) => *count += 1,
        None => found.push((what, 1)),
    };
    for (at, layer) in report.layers.iter().enumerate() {
        let around_is_cut =
            layer.parent.is_some_and(|parent| is_cut.get(parent as usize).copied().unwrap_or(false));
        is_cut.push(around_is_cut || layer.state == State::Truncated);
        let members = layer.facts.zip.iter().flat_map(|zip| &zip.members);
        for member in members.filter(|member| matches!(member.state.as_str(), "damaged" | "truncated")) {
            if around_is_cut && member.state == "truncated" {
                continue;
            }
            let from = member.damaged_at.map_or(String::new(), |at| format!(" from byte {}", thousands(at)));
            put(format!("ZIP member {} ({}{from})", name(&member.name), member.state));
        }
        let is_member = layer.found_by == FoundBy::Directory;
        let is_told = told == Some(at) || (around_is_cut && layer.state == State::Truncated);
        if !is_member && !is_told {
            found_wrong(report, layer, told.is_some()).into_iter().for_each(&mut put);
        }
    }
    let once = |(what, count): (String, u64)| match count {
        1 => what,
        count => format!("{} × {}", thousands(count), what.trim_start_matches("its ")),
    };
    found.into_iter().map(once).collect()
}
