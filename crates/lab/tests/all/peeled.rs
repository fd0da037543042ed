//! Every look-alike of the lab's world, peeled: layers, cores and families against the ledger.

use roridula_lab::samples::ledger::{Entry, Part, Specimen};
use roridula_lab::samples::world;
use roridula_triage::facts::{Indicator, Member};
use roridula_triage::rules::Rules;
use roridula_triage::{Budget, Layer, Report, Road, triage};

/// A layer of the report that is this part, in the same kind of place.
fn is_told(entry: &Entry, part: &Part, report: &Report) -> bool {
    let parent = part.parent.map(|parent| entry.parts[parent].sha256.as_str());
    let fits = |layer: &Layer| {
        let lies_in =
            layer.parent.and_then(|parent| report.layer(parent)).map(|layer| layer.hashes.sha256.as_str());
        lies_in == parent
            && layer.kind == part.kind
            && layer.name.starts_with(&part.name)
            && (layer.offset, layer.stored_size, layer.size) == (part.offset, part.stored_size, part.size)
            && layer.hashes.sha256 == part.sha256
            && layer.state == part.state
            && layer.encoding.starts_with(&part.encoding)
            && layer.encoding.is_empty() == part.encoding.is_empty()
    };
    report.layers.iter().any(fits)
}

fn layer_complaints(entry: &Entry, report: &Report) -> Vec<String> {
    let mut complaints = Vec::new();
    for part in entry.parts.iter().filter(|part| !is_told(entry, part, report)) {
        complaints.push(format!(
            "no {} {:?} at {} of {:?}, {} of {} bytes, {}, {:?}, {}",
            part.kind,
            part.name,
            part.offset,
            part.parent,
            part.stored_size,
            part.size,
            part.state,
            part.encoding,
            &part.sha256[..8]
        ));
    }
    let core = report.core_layer().map(|layer| layer.hashes.sha256.clone());
    if entry.core.is_some() && core != entry.core {
        complaints.push(format!("core {core:?}, not {:?}", entry.core));
    }
    for member in &entry.members {
        let told =
            report.layers.iter().filter_map(|layer| layer.facts.zip.as_ref()).flat_map(|zip| &zip.members);
        let fits = |told: &Member| told.name == member.name && told.state == member.state.as_str();
        if !told.into_iter().any(fits) {
            complaints.push(format!("no member {} that is {}", member.name, member.state));
        }
    }
    complaints
}

fn meaning_complaints(entry: &Entry, report: &Report) -> Vec<String> {
    let mut complaints = Vec::new();
    let family = report.verdict.as_ref().map(|verdict| verdict.family.clone());
    if entry.family.is_some() && family != entry.family {
        complaints.push(format!("family {family:?}, not {:?}", entry.family));
    }
    let told = || report.layers.iter().flat_map(|layer| &layer.facts.indicators);
    for known in &entry.indicators {
        let fits = |told: &Indicator| {
            told.kind == known.kind && told.value.contains(&known.value) && told.note.contains(&known.note)
        };
        if !told().any(fits) {
            let of_kind: Vec<_> = told().filter(|told| told.kind == known.kind).collect();
            complaints.push(format!("no {} {:?} ({}) in {of_kind:?}", known.kind, known.value, known.note));
        }
    }
    complaints
}

/// The report in a few lines, for whoever has to find out what went wrong.
fn outline(report: &Report) -> Vec<String> {
    let layer = |layer: &Layer| {
        format!(
            "  told: in {:?} {} {:?} at {}, {} of {} bytes, {}, {:?}, {}",
            layer.parent,
            layer.kind,
            layer.name,
            layer.offset,
            layer.stored_size,
            layer.size,
            layer.state,
            layer.encoding,
            &layer.hashes.sha256[..8]
        )
    };
    report.layers.iter().map(layer).chain([format!("  remarks: {:?}", report.remarks)]).collect()
}

/// What holds for every report, whatever the file.
fn is_within_bounds(bytes: &[u8], report: &Report, budget: &Budget) -> bool {
    let sizes: u64 = report.layers.iter().map(|layer| layer.size).sum();
    let inside = report.layers.iter().all(|layer| match layer.parent.map(|parent| report.layer(parent)) {
        None => layer.size == bytes.len() as u64,
        Some(parent) => parent.is_some_and(|parent| layer.offset + layer.stored_size <= parent.size),
    });
    inside && report.layers.len() <= budget.layers_max && sizes <= budget.layer_bytes_max
}

/// Peels every file of the world that is wanted, and fails with what `check` has to say.
fn peel_all(wanted: impl Fn(&Entry) -> bool, check: impl Fn(&Entry, &Report) -> Vec<String>) {
    let (rules, budget) = (Rules::compile(&[]).0, Budget::default());
    let mut wrong = Vec::new();
    let visit = |specimen: Specimen| {
        let entry = &specimen.entry;
        if wanted(entry) {
            let report = triage(&specimen.bytes, Road::Payload, &rules, &budget);
            assert!(is_within_bounds(&specimen.bytes, &report, &budget), "{}: out of bounds", entry.file);
            let complaints = check(entry, &report);
            if !complaints.is_empty() {
                wrong.push(format!("{}: {}", entry.file, complaints.join("\n  ")));
                wrong.extend(outline(&report));
            }
        }
        Ok(())
    };
    world::each(1, visit).expect("a world");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_layer_of_the_ledger_is_found_where_it_is() {
    peel_all(|entry| !entry.hostile, layer_complaints);
}

#[test]
fn every_family_and_every_indicator_of_the_ledger_is_told() {
    peel_all(|entry| entry.family.is_some() || !entry.indicators.is_empty(), meaning_complaints);
}

#[test]
fn hostile_files_stay_within_the_budget() {
    peel_all(|entry| entry.hostile, |_, _| Vec::new());
}
