//! What a sample is, in one plain sentence: what it is and carries; how often it came; what differs.
//!
//! Attacker's text goes through [`Text`], which escapes it.

use super::outline::carrier;
use roridula_proto::event::Text;
use roridula_proto::time::WallClock;
use roridula_triage::facts::{IndicatorKind, PeFacts};
use roridula_triage::{FoundBy, Kind, Layer, Report, State, reference};
use std::fmt::Write;

/// How a note says that a kill switch's domain is the published one.
const ORIGINAL: &str = "the 2017 original's";
/// Families that say by which road a file came, not what it is.
const ROADS: [&str; 2] = ["DoublePulsar", "EternalBlue"];
/// Differences that are named; more are counted.
const DIFFERENCES_MAX: usize = 6;

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

/// The whole sentence.
pub fn sentence(lead: &str, differs: &str, seen: Sightings) -> String {
    let mut text = lead.to_owned();
    let day = roridula_evidence::rfc3339(seen.first);
    let day = day.get(..10).unwrap_or_default();
    let (captures, sources) = (counted(seen.captures, "capture"), counted(seen.sources, "host"));
    let _ = write!(text, ", seen in {captures} from {sources} since {day}");
    if !differs.is_empty() {
        let _ = write!(text, "; {differs}");
    }
    text
}

/// What it is and what it carries.
pub(super) fn lead(report: &Report) -> String {
    let Some(root) = report.layers.first() else { return "Nothing".to_owned() };
    let family = report.verdict.as_ref().map(|verdict| verdict.family.as_str());
    let family = family.filter(|family| !ROADS.contains(family));
    let mut text = match (carrier(report), report.core_layer()) {
        (Some(carrier), Some(core)) => {
            let what = if is_known_launcher(report) { "launcher " } else { "" };
            let named = named(family, carrier, what);
            let inner = if is_known_launcher(report) { "worm EXE" } else { file(core) };
            format!("{named}{}; carries {inner} sha256 {}", padding(report), short(core))
        }
        (None, Some(core)) if core.kind == Kind::Pe => {
            format!("{}{}{}", named(family, core, ""), packed(core), around(report, core))
        }
        (None, Some(core)) if core.kind == Kind::Shellcode => shellcode(family, report, root, core),
        _ => other(family, report, root),
    };
    for layer in
        report.layers.iter().filter(|layer| layer.state == State::Truncated && layer.kind == Kind::Pe).take(1)
    {
        let _ =
            write!(text, "; cut off: {}", layer.remarks.first().map_or("its end is missing", String::as_str));
    }
    text
}

/// What is known to differ from the published original, or that it is the original; empty where nothing was published.
pub(super) fn differs(report: &Report) -> String {
    let Some(core) = report.core_layer() else { return String::new() };
    if let Some(known) = reference::published(&core.hashes.sha256) {
        return format!("its {} is the published original's", known.part);
    }
    let family = report.verdict.as_ref().map_or("", |verdict| verdict.family.as_str());
    let original = reference::files().iter().find(|file| file.family == family && file.part == "worm EXE");
    let (Some(original), true) = (original, is_known_launcher(report)) else { return damage(report) };
    let mut found = Vec::new();
    if core.size != original.size {
        found.push(format!(
            "the size of its EXE ({} bytes instead of {})",
            thousands(core.size),
            thousands(original.size)
        ));
    }
    found.extend(kill_switch(report));
    found.extend(broken(report));
    match found.is_empty() {
        true => "differs from the 2017 original in bytes that nothing is known about".to_owned(),
        false => format!("differs from the 2017 original in {}", joined(found)),
    }
}

fn damage(report: &Report) -> String {
    let broken = broken(report);
    if broken.is_empty() { String::new() } else { format!("damaged in {}", joined(broken)) }
}

/// What became of the domain whose answer stops the worm.
fn kill_switch(report: &Report) -> Vec<String> {
    let indicators = report.layers.iter().flat_map(|layer| &layer.facts.indicators);
    let switches = indicators.filter(|found| found.kind == IndicatorKind::KillSwitch);
    let original = reference::kill_switches().first();
    let is_original =
        |value: &str| original.is_some_and(|known| value.trim_start_matches("www.") == known.domain);
    let told = switches.filter_map(|found| {
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

/// Members and layers that are not whole.
fn broken(report: &Report) -> Vec<String> {
    let mut found = Vec::new();
    for layer in &report.layers {
        let members = layer.facts.zip.iter().flat_map(|zip| &zip.members);
        for member in members.filter(|member| matches!(member.state.as_str(), "damaged" | "truncated")) {
            let from = member.damaged_at.map_or(String::new(), |at| format!(" from byte {}", thousands(at)));
            found.push(format!("ZIP member {} ({}{from})", escaped(&member.name), member.state));
        }
        let is_member = layer.found_by == FoundBy::Directory;
        if layer.state != State::Intact && !is_member && layer.parent.is_some() && layer.facts.zip.is_none() {
            let name = if layer.name.is_empty() { layer.kind.to_string() } else { escaped(&layer.name) };
            found.push(format!("{name} ({})", layer.state));
        }
    }
    found
}

/// Whether a published worm's launcher is laid out like this.
fn is_known_launcher(report: &Report) -> bool {
    report.core_layer().is_some_and(|core| {
        reference::carriers().iter().any(|known| known.path == core.name)
            && core.found_by == FoundBy::LengthField
    })
}

/// `WannaCry launcher DLL (x86, 5,267,456 bytes)`.
fn named(family: Option<&str>, layer: &Layer, what: &str) -> String {
    let machine = layer.facts.pe.as_ref().map_or("", |pe| pe.machine.as_str());
    format!(
        "{} {what}{} ({machine}, {} bytes)",
        family.unwrap_or("Unknown"),
        file(layer),
        thousands(layer.size)
    )
}

fn file(layer: &Layer) -> &'static str {
    match &layer.facts.pe {
        Some(PeFacts { dll: true, .. }) => "DLL",
        Some(_) => "EXE",
        None => "file",
    }
}

fn packed(layer: &Layer) -> String {
    let packer = layer.facts.pe.as_ref().map_or("", |pe| pe.packer.as_str());
    if packer.is_empty() { String::new() } else { format!(", packed with {packer}") }
}

/// What stands around a file that is the core.
fn around(report: &Report, core: &Layer) -> String {
    let mut text = String::new();
    if !core.encoding.is_empty() {
        let _ = write!(text, ", hidden by {}", core.encoding);
    }
    let stub = report.layers.iter().find_map(|layer| layer.facts.stub.as_ref());
    if let Some(stub) = stub {
        match stub.name.as_str() {
            "unknown" | "" => text.push_str(" behind an unknown stub"),
            name => drop(write!(text, " behind the stub {name}")),
        }
    }
    text.push_str(&padding(report));
    let overlay = report
        .layers
        .iter()
        .find(|layer| layer.found_by == FoundBy::BehindTheEnd && layer.kind != Kind::Padding);
    if let Some(overlay) = overlay {
        let _ = write!(text, ", with {} bytes of {} behind its end", thousands(overlay.size), overlay.kind);
    }
    text
}

/// What filled up the upload.
fn padding(report: &Report) -> String {
    let tail = report.layers.iter().find(|layer| layer.kind == Kind::Padding && layer.parent == Some(0));
    tail.map_or(String::new(), |tail| format!(" with {} of upload padding", counted(tail.size, "byte")))
}

fn shellcode(family: Option<&str>, report: &Report, root: &Layer, core: &Layer) -> String {
    let code = core.facts.code.as_ref();
    let machine = code.map_or(String::new(), |code| format!("{} ", code.machine));
    let stub = root_stub(report);
    let who = family.or(stub).unwrap_or("Unknown");
    let mut text = format!(
        "{who} {machine}shellcode ({} bytes) in {} bytes",
        thousands(core.size),
        thousands(root.size)
    );
    if let Some(code) = code.filter(|code| !code.apis.is_empty()) {
        let names: Vec<&str> = code.apis.iter().take(3).filter_map(|name| name.rsplit('!').next()).collect();
        let _ = write!(text, ", which asks for {}", names.join(", "));
    }
    text
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
            format!(
                "{family}{} archive ({size} bytes) with {}",
                root.kind.as_str().to_uppercase(),
                counted(inside as u64, "part")
            )
        }
        Kind::Text => {
            let first = root.facts.indicators.first();
            let tells = first
                .map_or(String::new(), |found| format!(", names {} {}", found.kind, escaped(&found.value)));
            format!(
                "{}text ({size} bytes){tells}",
                if family.is_empty() { "Unknown ".to_owned() } else { family }
            )
        }
        _ if inside > 0 => {
            format!("{}data ({size} bytes) with {} inside", unknown(&family), counted(inside as u64, "layer"))
        }
        _ => format!(
            "{}data ({size} bytes, {:.1} bits of entropy a byte)",
            unknown(&family),
            root.facts.entropy
        ),
    }
}

fn unknown(family: &str) -> &str {
    if family.is_empty() { "Unknown " } else { family }
}

fn short(layer: &Layer) -> String {
    format!("{}…", layer.hashes.sha256.get(..12).unwrap_or(&layer.hashes.sha256))
}

fn escaped(text: &str) -> String {
    Text(text.to_owned()).to_string()
}

fn joined(mut parts: Vec<String>) -> String {
    let more = parts.len().saturating_sub(DIFFERENCES_MAX);
    parts.truncate(DIFFERENCES_MAX);
    if more > 0 {
        parts.push(format!("{more} more"));
    }
    match parts.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => parts.concat(),
    }
}

fn counted(count: u64, what: &str) -> String {
    format!("{} {what}{}", thousands(count), if count == 1 { "" } else { "s" })
}

/// `5,267,456`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
