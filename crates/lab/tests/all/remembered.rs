//! What a memory of earlier samples changes: nothing but the time. And what a first report says of the world.

use roridula_lab::samples::ledger::Specimen;
use roridula_lab::samples::world;
use roridula_triage::facts::IndicatorKind;
use roridula_triage::rules::Rules;
use roridula_triage::{Budget, Depth, Look, MEMORY_BYTES, Memory, Report, Road, triage};

fn specimens() -> Vec<Specimen> {
    let mut all = Vec::new();
    world::each(1, |specimen| {
        all.push(specimen);
        Ok(())
    })
    .expect("a world");
    all
}

fn kill_switches(report: &Report) -> Vec<(&str, &str)> {
    let indicators = report.layers.iter().flat_map(|layer| &layer.facts.indicators);
    let switches = indicators.filter(|found| found.kind == IndicatorKind::KillSwitch);
    switches.map(|found| (found.value.as_str(), found.note.as_str())).collect()
}

fn family(report: &Report) -> Option<&str> {
    report.verdict.as_ref().map(|verdict| verdict.family.as_str())
}

/// What groups samples and tells of them is in the first report already.
fn complaints(first: &Report, full: &Report) -> Vec<String> {
    let mut wrong = Vec::new();
    let core = |report: &Report| report.core_layer().map(|core| core.hashes.sha256.clone());
    if (first.depth, full.depth) != (Depth::First, Depth::Full) {
        wrong.push("depths".to_owned());
    }
    if core(first) != core(full) {
        wrong.push(format!("core {:?}, then {:?}", core(first), core(full)));
    }
    if family(first) != family(full) {
        wrong.push(format!("family {:?}, then {:?}", family(first), family(full)));
    }
    if kill_switches(first) != kill_switches(full) {
        wrong.push(format!("kill switch {:?}, then {:?}", kill_switches(first), kill_switches(full)));
    }
    for layer in &first.layers {
        let same = |other: &&roridula_triage::Layer| {
            other.hashes.sha256 == layer.hashes.sha256
                && (other.kind, &other.name) == (layer.kind, &layer.name)
        };
        if !full.layers.iter().any(|other| same(&other)) {
            wrong.push(format!("{} {} is in the first report alone", layer.kind, layer.name));
        }
    }
    wrong
}

#[test]
fn reports_are_the_same_with_and_without_a_memory_in_any_order_and_the_first_tells_what_groups_need() {
    let (rules, budget) = (Rules::compile(&[]).0, Budget::default());
    let specimens = specimens();
    assert_eq!(specimens.len(), 71);
    let mut memory = Memory::new(MEMORY_BYTES);
    let mut known = 0;
    let mut wrong = Vec::new();
    let mut plain: Vec<Report> = Vec::new();
    for specimen in &specimens {
        let (bytes, file) = (&specimen.bytes, &specimen.entry.file);
        let report = triage(bytes, Road::Payload, &rules, &budget);
        let mut look = Look::new(bytes, Road::Payload, &rules, &budget);
        let complaints = complaints(&look.first(), &report);
        wrong.extend(complaints.iter().map(|complaint| format!("{file}: {complaint}")));
        known += u32::from(look.is_known(&mut memory));
        assert!(look.full(&mut memory) == report, "{file}: another report with a memory");
        plain.push(report);
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(known >= 4, "{known} cores were known");
    let (layers, bytes) = memory.size();
    assert!(layers > 50 && bytes <= MEMORY_BYTES, "{layers} layers, {bytes} bytes");
    // Again, from the last to the first, and with a memory that is too small for all of it.
    let mut small = Memory::new(MEMORY_BYTES / 64);
    for (specimen, report) in specimens.iter().zip(&plain).rev() {
        for memory in [&mut memory, &mut small] {
            let mut look = Look::new(&specimen.bytes, Road::Payload, &rules, &budget).with_hashes(
                &report.layers[0].hashes.sha256,
                "",
                "",
            );
            assert!(look.full(memory) == *report, "{}: another report the second time", specimen.entry.file);
        }
        assert!(small.size().1 <= MEMORY_BYTES / 64);
    }
}
