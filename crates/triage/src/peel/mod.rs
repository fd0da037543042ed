//! Which layers a sample has: the peeler.
//!
//! It finds and checks, and leaves describing to [`crate::facts`].

mod filler;
pub mod stub;

use crate::pe::Pe;
use crate::report::{Budget, FoundBy, Kind, Road, State};
use std::borrow::Cow;

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
    pub(crate) bytes: Cow<'a, [u8]>,
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
    let mut peeler = Peeler { sample, budget, layers: Vec::new(), remarks: Vec::new() };
    match Pe::parse(sample) {
        Some(pe) => {
            let state = if pe.end > size(sample) { State::Truncated } else { State::Intact };
            peeler.root(Kind::Pe, state);
        }
        None => {
            peeler.root(Kind::Payload, State::Intact);
            if !peeler.by_stub() {
                peeler.by_header();
            }
            if road == Road::ExploitBuffer && peeler.layers.len() == 1 {
                peeler.by_filler();
            }
        }
    }
    let core = peeler.layers.iter().rposition(|layer| layer.kind == Kind::Pe);
    let core = core.and_then(|at| u32::try_from(at).ok());
    Peeled { layers: peeler.layers, core, remarks: peeler.remarks }
}

struct Peeler<'a, 'b> {
    sample: &'a [u8],
    budget: &'b Budget,
    layers: Vec<Peel<'a>>,
    remarks: Vec<String>,
}

impl Peeler<'_, '_> {
    fn root(&mut self, kind: Kind, state: State) {
        self.layers.push(Peel {
            parent: None,
            kind,
            name: String::new(),
            state,
            found_by: FoundBy::WholeSample,
            offset: 0,
            stored_size: size(self.sample),
            encoding: String::new(),
            remarks: Vec::new(),
            bytes: Cow::Borrowed(self.sample),
        });
    }

    /// By the stub's size field; says whether that led to a file.
    fn by_stub(&mut self) -> bool {
        for layout in stub::ALL {
            let Some(claimed) = layout.file_size(self.sample).filter(|&n| n > 0) else { continue };
            let Some(rest) = self.sample.get(layout.file_at..) else { continue };
            let file = rest.get(..claimed).unwrap_or(rest);
            let Some(pe) = Pe::parse(file).filter(|pe| pe.machine == layout.machine) else { continue };
            let whole = claimed <= rest.len() && pe.end <= size(file);
            let state = if whole { State::Intact } else { State::Truncated };
            let len = file.len();
            self.push(Kind::Stub, State::Intact, FoundBy::StubSizeField, 0, layout.file_at);
            self.push(Kind::Pe, state, FoundBy::StubSizeField, layout.file_at, len);
            return true;
        }
        false
    }

    /// By headers, anywhere. A found file is skipped over: what is inside it is its own affair.
    fn by_header(&mut self) {
        let mut at = 0;
        let mut looked = 0u32;
        while let Some(rest) = self.sample.get(at..) {
            let Some(found) = rest.windows(2).position(|pair| pair == b"MZ") else { return };
            let Some(start) = at.checked_add(found) else { return };
            if looked >= self.budget.candidates_max {
                self.remarks
                    .push(format!("only the first {looked} places that look like a PE were looked into"));
                return;
            }
            looked = looked.saturating_add(1);
            let file = self.sample.get(start..).unwrap_or_default();
            let mut taken = 2;
            if let Some(pe) = Pe::parse(file) {
                let end = usize::try_from(pe.end).unwrap_or(usize::MAX);
                let len = end.min(file.len());
                let state = if end > file.len() { State::Truncated } else { State::Intact };
                if !self.push(Kind::Pe, state, FoundBy::ValidatedSearch, start, len) {
                    return;
                }
                taken = len.max(2);
            }
            let Some(next) = start.checked_add(taken) else { return };
            at = next;
        }
    }

    /// What stands between an exploit's filler.
    fn by_filler(&mut self) {
        for region in filler::regions(self.sample, self.budget.layers_max) {
            if !self.push(Kind::Shellcode, State::Intact, FoundBy::BetweenFiller, region.start, region.len())
            {
                return;
            }
        }
    }

    /// One layer of the sample; `false` when the budget forbids it.
    fn push(&mut self, kind: Kind, state: State, found_by: FoundBy, offset: usize, len: usize) -> bool {
        let bytes = offset.checked_add(len).and_then(|end| self.sample.get(offset..end)).unwrap_or_default();
        if self.layers.len() >= self.budget.layers_max {
            self.remarks.push(format!("only the first {} layers were looked into", self.budget.layers_max));
            return false;
        }
        self.layers.push(Peel {
            parent: Some(0),
            kind,
            name: String::new(),
            state,
            found_by,
            offset: u64::try_from(offset).unwrap_or(u64::MAX),
            stored_size: size(bytes),
            encoding: String::new(),
            remarks: Vec::new(),
            bytes: Cow::Borrowed(bytes),
        });
        true
    }
}

fn size(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::Rules;
    use crate::{Layer, Report};

    fn look(sample: &[u8], budget: &Budget) -> Report {
        crate::triage(sample, Road::Payload, &Rules::default(), budget)
    }
    use crate::pe::Machine;
    use crate::pe::tests::look_alike;
    use crate::stub::Layout;

    /// A decoded upload: a stub with its size field, a file, padding.
    fn blob(layout: Layout, file: &[u8], claimed: usize, padding: usize) -> Vec<u8> {
        let mut blob = vec![0x90; layout.file_at];
        // The naive hits of the real 64-bit stub.
        for at in [0x6f4, 0xcc8, 0x1584, 0x1703] {
            if let Some(place) = blob.get_mut(at..at + 2) {
                place.copy_from_slice(b"MZ");
            }
        }
        blob[layout.size_at..layout.size_at + 4].copy_from_slice(&(claimed as u32).to_le_bytes());
        blob.extend_from_slice(file);
        blob.extend(std::iter::repeat_n(0, padding));
        blob
    }

    #[test]
    fn the_stubs_size_field_gives_the_exact_file() {
        for layout in stub::ALL {
            let file = look_alike(layout.machine, 0x3000, 5);
            let report = look(&blob(layout, &file, file.len(), 3), &Budget::default());
            let [_, stub, pe] = report.layers.as_slice() else { panic!("{report:?}") };
            assert_eq!((stub.kind, stub.offset, stub.size), (Kind::Stub, 0, layout.file_at as u64));
            assert_eq!((pe.kind, pe.found_by), (Kind::Pe, FoundBy::StubSizeField));
            assert_eq!((pe.offset, pe.size), (layout.file_at as u64, 0x3000));
            assert_eq!(pe.hashes, crate::facts::hashes(&file));
        }
    }

    #[test]
    fn the_size_field_wins_over_the_sections_zero_fill_and_all() {
        let mut file = look_alike(Machine::X86, 0x1000, 5);
        file.resize(0x5000, 0);
        let report = look(&blob(stub::X86, &file, file.len(), 3), &Budget::default());
        assert_eq!(report.layers[2].size, 0x5000);
    }

    #[test]
    fn a_lying_size_field_falls_back_to_the_search() {
        let file = look_alike(Machine::X64, 0x2000, 9);
        for claimed in [0, 12] {
            let report = look(&blob(stub::X64, &file, claimed, 100), &Budget::default());
            let [_, pe] = report.layers.as_slice() else { panic!("{report:?}") };
            assert_eq!((pe.found_by, pe.offset, pe.size), (FoundBy::ValidatedSearch, 0x1800, 0x2000));
            assert_eq!(pe.hashes, crate::facts::hashes(&file));
        }
    }

    #[test]
    fn naive_marks_are_no_files_and_shellcode_has_no_layer() {
        assert_eq!(look(&blob(stub::X64, &[], 5_298_176, 4096), &Budget::default()).layers.len(), 1);
        assert_eq!(look(&[], &Budget::default()).layers.len(), 1);
    }

    #[test]
    fn a_file_of_the_wrong_machine_is_not_taken_for_the_stubs() {
        let file = look_alike(Machine::X64, 0x2000, 9);
        let report = look(&blob(stub::X86, &file, file.len(), 0), &Budget::default());
        assert_eq!(report.layers[1].found_by, FoundBy::ValidatedSearch);
    }

    #[test]
    fn an_upload_cut_off_has_a_truncated_file() {
        let file = look_alike(Machine::X64, 0x4000, 9);
        let whole = blob(stub::X64, &file, file.len(), 0);
        let report = look(&whole[..0x3000], &Budget::default());
        let pe: &Layer = &report.layers[2];
        assert_eq!((pe.kind, pe.state, pe.size), (Kind::Pe, State::Truncated, 0x1800));
    }

    #[test]
    fn a_pe_alone_is_the_whole_sample() {
        let file = look_alike(Machine::X86, 0x1000, 2);
        let report = look(&file, &Budget::default());
        assert_eq!(report.layers[0].found_by, FoundBy::WholeSample);
        assert_eq!(report.layers[0].size, 0x1000);
    }

    #[test]
    fn truncation_at_any_byte_is_answered() {
        let file = look_alike(Machine::X86, 0x600, 3);
        let whole = blob(stub::X86, &file, file.len(), 3);
        for cut in 0..=whole.len() {
            let report = look(&whole[..cut], &Budget::default());
            let inside = report.layers.iter().all(|layer| layer.offset + layer.size <= cut as u64);
            assert!(inside, "cut at {cut}: {report:?}");
        }
    }

    #[test]
    fn the_budget_ends_every_search() {
        let marks = b"MZ".repeat(10_000);
        let report = look(&marks, &Budget { candidates_max: 100, ..Budget::default() });
        assert_eq!((report.remarks.len(), report.layers.len()), (1, 1));
        let mut many = vec![0x90; 8];
        for seed in 0..5 {
            many.extend(look_alike(Machine::X86, 0x400, seed));
        }
        let report = look(&many, &Budget { layers_max: 3, ..Budget::default() });
        assert_eq!((report.remarks.len(), report.layers.len()), (1, 3));
    }

    #[test]
    fn only_an_exploits_buffer_is_searched_for_code_between_filler() {
        let code: Vec<u8> = (0..300u32).map(|n| (n.wrapping_mul(97) >> 1).to_le_bytes()[0]).collect();
        let sample = [&b"A1b2C3d4".repeat(64)[..], &code, &b"A1b2C3d4".repeat(64)].concat();
        let report = crate::triage(&sample, Road::ExploitBuffer, &Rules::default(), &Budget::default());
        let [_, layer] = report.layers.as_slice() else { panic!("{report:?}") };
        assert_eq!((layer.kind, layer.found_by), (Kind::Shellcode, FoundBy::BetweenFiller));
        assert!(layer.offset.abs_diff(512) < 16 && layer.size.abs_diff(300) < 32, "{layer:?}");
        assert_eq!(look(&sample, &Budget::default()).layers.len(), 1);
    }
}
