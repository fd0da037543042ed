//! A report as the journal tells it: the outline. The whole is in the desk's reports.

use roridula_evidence::SampleId;
use roridula_proto::event::{Event, Layer, Text};
use roridula_triage::{Kind, Report};

/// The event about a sample that was looked into.
pub(crate) fn triaged(id: SampleId, report: &Report) -> Event {
    let mut layers = Vec::new();
    for (number, depth) in in_order(report) {
        let Some(layer) = report.layer(number) else { continue };
        // The upload is no layer of itself, where it is no file.
        if depth > 0 || !matches!(layer.kind, Kind::Payload | Kind::Data) {
            layers.push(outline(depth, layer));
        }
    }
    let verdict = report.verdict.as_ref();
    Event::SampleTriaged {
        sha256: id.to_string(),
        layers,
        core: report.core_layer().map_or(String::new(), |core| core.hashes.sha256.clone()),
        family: verdict.map_or(String::new(), |verdict| verdict.family.clone()),
        confidence: verdict.map_or(String::new(), |verdict| verdict.confidence.to_string()),
        rules: report.rules.clone(),
        error: report.remarks.join("; "),
    }
}

/// The numbers of all layers as a tree is read, each in front of those inside of it, and how deep each lies.
pub(crate) fn in_order(report: &Report) -> Vec<(u32, u32)> {
    let mut inside: Vec<Vec<u32>> = vec![Vec::new(); report.layers.len()];
    let mut waiting = Vec::new();
    // From the last to the first: what is taken from an end of a list comes out in order.
    for (at, layer) in report.layers.iter().enumerate().rev() {
        let Ok(number) = u32::try_from(at) else { continue };
        match layer.parent.and_then(|parent| inside.get_mut(parent as usize)) {
            Some(parent) => parent.push(number),
            None => waiting.push((number, 0)),
        }
    }
    let mut order = Vec::new();
    while let Some((number, depth)) = waiting.pop() {
        order.push((number, depth));
        let children = inside.get_mut(number as usize).map(std::mem::take).unwrap_or_default();
        waiting.extend(children.into_iter().map(|child| (child, depth + 1)));
    }
    order
}

/// The event about a sample of which there is no report; why.
pub(crate) fn left_alone(id: SampleId, why: String) -> Event {
    Event::SampleTriaged {
        sha256: id.to_string(),
        layers: Vec::new(),
        core: String::new(),
        family: String::new(),
        confidence: String::new(),
        rules: String::new(),
        error: why,
    }
}

fn outline(depth: u32, layer: &roridula_triage::Layer) -> Layer {
    Layer {
        depth,
        kind: layer.kind.to_string(),
        name: Text(layer.name.clone()),
        state: layer.state.to_string(),
        found_by: layer.found_by.to_string(),
        offset: layer.offset,
        size: layer.size,
        sha256: layer.hashes.sha256.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use roridula_triage::rules::Rules;
    use roridula_triage::{Budget, Road, triage};

    #[test]
    fn what_lies_in_a_layer_follows_it() {
        let mut report = triage(b"text", Road::Payload, &Rules::default(), &Budget::default());
        let layer = report.layers[0].clone();
        // As reports are: level by level. The last one lies, and is in nothing.
        let parents = [None, Some(0), Some(0), Some(1), Some(1), Some(3), Some(99)];
        report.layers = parents.map(|parent| roridula_triage::Layer { parent, ..layer.clone() }).to_vec();
        assert_eq!(in_order(&report), [(0, 0), (1, 1), (3, 2), (5, 3), (4, 2), (2, 1), (6, 0)]);
        let Event::SampleTriaged { layers, .. } = triaged(SampleId([0; 32]), &report) else { panic!() };
        let depths: Vec<u32> = layers.iter().map(|layer| layer.depth).collect();
        assert_eq!(depths, [0, 1, 2, 3, 2, 1, 0]);
    }
}
