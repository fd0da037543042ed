//! Which layers a sample has.

use crate::pe::Pe;
use crate::report::{Budget, FoundBy, Kind, Layer, Report, Road};
use crate::{shellcode, stub};
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// Looks into the bytes of one sample.
///
/// In this order, the first that fits: the sample is a PE file; it is a DoublePulsar stub whose own size field
/// leads to a PE file of the stub's machine; a search for PE headers that check out. An upload without any
/// (shellcode only) gives no layer; in an exploit's buffer what is no filler is told instead. Never fails: what cannot
/// be understood is not in the report.
pub fn triage(sample: &[u8], road: Road, budget: &Budget) -> Report {
    let mut search = Search { sample, budget, hashed: 0, report: Report::default() };
    if let Some(pe) = Pe::parse(sample) {
        search.whole(&pe);
    } else if !search.by_stub() {
        search.by_header();
    }
    if road == Road::ExploitBuffer && search.report.layers.is_empty() {
        search.by_filler();
    }
    search.report
}

struct Search<'a> {
    sample: &'a [u8],
    budget: &'a Budget,
    hashed: u64,
    report: Report,
}

impl Search<'_> {
    /// The sample is the file; what is appended to a file (an overlay) belongs to it.
    fn whole(&mut self, pe: &Pe) {
        let kind = if pe.end > size(self.sample) { Kind::PeTruncated } else { Kind::Pe };
        self.push(kind, FoundBy::WholeSample, 0, self.sample.len());
    }

    /// By the stub's size field; says whether that led to a file.
    fn by_stub(&mut self) -> bool {
        for layout in stub::ALL {
            let Some(claimed) = layout.file_size(self.sample).filter(|&n| n > 0) else { continue };
            let Some(rest) = self.sample.get(layout.file_at..) else { continue };
            let file = rest.get(..claimed).unwrap_or(rest);
            let Some(pe) = Pe::parse(file).filter(|pe| pe.machine == layout.machine) else { continue };
            let whole = claimed <= rest.len() && pe.end <= size(file);
            let kind = if whole { Kind::Pe } else { Kind::PeTruncated };
            let len = file.len();
            self.push(Kind::Stub, FoundBy::StubSizeField, 0, layout.file_at);
            self.push(kind, FoundBy::StubSizeField, layout.file_at, len);
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
                self.report.budget_exhausted = true;
                return;
            }
            looked = looked.saturating_add(1);
            let file = self.sample.get(start..).unwrap_or_default();
            let mut taken = 2;
            if let Some(pe) = Pe::parse(file) {
                let end = usize::try_from(pe.end).unwrap_or(usize::MAX);
                let len = end.min(file.len());
                let kind = if end > file.len() { Kind::PeTruncated } else { Kind::Pe };
                if !self.push(kind, FoundBy::ValidatedSearch, start, len) {
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
        for region in shellcode::regions(self.sample, self.budget.layers_max) {
            if !self.push(Kind::Shellcode, FoundBy::BetweenFiller, region.start, region.len()) {
                return;
            }
        }
    }

    /// Hashes and reports one layer; `false` when the budget forbids it.
    fn push(&mut self, kind: Kind, found_by: FoundBy, offset: usize, len: usize) -> bool {
        let bytes = offset.checked_add(len).and_then(|end| self.sample.get(offset..end)).unwrap_or_default();
        let hashed = self.hashed.saturating_add(size(bytes));
        if hashed > self.budget.hashed_bytes_max || self.report.layers.len() >= self.budget.layers_max {
            self.report.budget_exhausted = true;
            return false;
        }
        self.hashed = hashed;
        let offset = u64::try_from(offset).unwrap_or(u64::MAX);
        self.report.layers.push(Layer { kind, found_by, offset, size: size(bytes), sha256: sha256(bytes) });
        true
    }
}

fn size(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(sample: &[u8], budget: &Budget) -> Report {
        triage(sample, Road::Payload, budget)
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
            let [stub, pe] = report.layers.as_slice() else { panic!("{report:?}") };
            assert_eq!((stub.kind, stub.offset, stub.size), (Kind::Stub, 0, layout.file_at as u64));
            assert_eq!((pe.kind, pe.found_by), (Kind::Pe, FoundBy::StubSizeField));
            assert_eq!((pe.offset, pe.size), (layout.file_at as u64, 0x3000));
            assert_eq!(pe.sha256, sha256(&file));
        }
    }

    #[test]
    fn the_size_field_wins_over_the_sections_zero_fill_and_all() {
        let mut file = look_alike(Machine::X86, 0x1000, 5);
        file.resize(0x5000, 0);
        let report = look(&blob(stub::X86, &file, file.len(), 3), &Budget::default());
        assert_eq!(report.layers[1].size, 0x5000);
    }

    #[test]
    fn a_lying_size_field_falls_back_to_the_search() {
        let file = look_alike(Machine::X64, 0x2000, 9);
        for claimed in [0, 12] {
            let report = look(&blob(stub::X64, &file, claimed, 100), &Budget::default());
            let [pe] = report.layers.as_slice() else { panic!("{report:?}") };
            assert_eq!((pe.found_by, pe.offset, pe.size), (FoundBy::ValidatedSearch, 0x1800, 0x2000));
            assert_eq!(pe.sha256, sha256(&file));
        }
    }

    #[test]
    fn naive_marks_are_no_files_and_shellcode_has_no_layer() {
        assert_eq!(look(&blob(stub::X64, &[], 5_298_176, 4096), &Budget::default()), Report::default());
        assert_eq!(look(&[], &Budget::default()), Report::default());
    }

    #[test]
    fn a_file_of_the_wrong_machine_is_not_taken_for_the_stubs() {
        let file = look_alike(Machine::X64, 0x2000, 9);
        let report = look(&blob(stub::X86, &file, file.len(), 0), &Budget::default());
        assert_eq!(report.layers[0].found_by, FoundBy::ValidatedSearch);
    }

    #[test]
    fn an_upload_cut_off_has_a_truncated_file() {
        let file = look_alike(Machine::X64, 0x4000, 9);
        let whole = blob(stub::X64, &file, file.len(), 0);
        let report = look(&whole[..0x3000], &Budget::default());
        assert_eq!((report.layers[1].kind, report.layers[1].size), (Kind::PeTruncated, 0x1800));
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
        assert!(report.budget_exhausted && report.layers.is_empty());
        let mut many = vec![0x90; 8];
        for seed in 0..5 {
            many.extend(look_alike(Machine::X86, 0x400, seed));
        }
        let report = look(&many, &Budget { layers_max: 3, ..Budget::default() });
        assert!(report.budget_exhausted);
        assert_eq!(report.layers.len(), 3);
        let report = look(&many, &Budget { hashed_bytes_max: 0x400, ..Budget::default() });
        assert_eq!((report.layers.len(), report.budget_exhausted), (1, true));
    }

    #[test]
    fn only_an_exploits_buffer_is_searched_for_code_between_filler() {
        let code: Vec<u8> = (0..300u32).map(|n| (n.wrapping_mul(97) >> 1).to_le_bytes()[0]).collect();
        let sample = [&b"A1b2C3d4".repeat(64)[..], &code, &b"A1b2C3d4".repeat(64)].concat();
        let report = triage(&sample, Road::ExploitBuffer, &Budget::default());
        let [layer] = report.layers.as_slice() else { panic!("{report:?}") };
        assert_eq!((layer.kind, layer.found_by), (Kind::Shellcode, FoundBy::BetweenFiller));
        assert!(layer.offset.abs_diff(512) < 16 && layer.size.abs_diff(300) < 32, "{layer:?}");
        assert_eq!(look(&sample, &Budget::default()).layers, []);
    }
}
