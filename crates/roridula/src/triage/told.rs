//! A report as the journal tells it: the outline. The whole is in the desk's reports.

use roridula_evidence::SampleId;
use roridula_proto::event::{Event, Layer, Text};
use roridula_triage::{Kind, Report};

/// The event about a sample that was looked into.
pub(crate) fn triaged(id: SampleId, report: &Report) -> Event {
    let mut layers = Vec::new();
    let mut depths: Vec<u32> = Vec::new();
    for layer in &report.layers {
        let depth = layer.parent.map_or(0, |parent| depths.get(parent as usize).map_or(0, |depth| depth + 1));
        depths.push(depth);
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
