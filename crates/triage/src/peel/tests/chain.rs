//! WannaCry's layers, and resources in general.

use super::build::{self, How, behind_length, noise};
use super::{blob, look};
use crate::report::{Budget, FoundBy, Kind, Layer, State};
use crate::stub;

const PASSWORD: &str = "WNcry@2ol7";

pub(crate) struct Chain {
    pub(crate) upload: Vec<u8>,
    pub(crate) worm: Vec<u8>,
    pub(crate) ransomware: Vec<u8>,
    pub(crate) archive: Vec<u8>,
}

pub(crate) fn members() -> [(&'static str, Vec<u8>); 3] {
    let note = b"This is a meaningless note. ".repeat(60);
    [("b.wnry", noise(5000, 1)), ("r.wnry", note), ("t.wnry", noise(3000, 2))]
}

pub(crate) fn archive() -> Vec<u8> {
    let members = members();
    let how = How::Locked(PASSWORD);
    build::zip(&members.each_ref().map(|(name, bytes)| (*name, bytes.as_slice(), how)))
}

/// Upload → stub → DLL → W/101 → EXE → R/1831 → EXE → XIA/2058 → ZIP.
pub(crate) fn chain(archive: Vec<u8>, claim_more: usize) -> Chain {
    let ransomware = build::pe(&[("XIA", 2058, archive.clone()), ("16", 1, vec![3; 50])]);
    let worm = build::pe(&[("R", 1831, ransomware.clone())]);
    let carried = behind_length(&worm, worm.len() + claim_more, 1000);
    let dll = build::pe(&[("W", 101, carried)]);
    let upload = blob(stub::X86, &dll, dll.len(), 3);
    Chain { upload, worm, ransomware, archive }
}

pub(crate) fn named<'r>(report: &'r crate::Report, name: &str) -> (u32, &'r Layer) {
    let at = report.layers.iter().position(|layer| layer.name == name);
    let at = at.unwrap_or_else(|| panic!("no layer {name}: {:#?}", report.layers));
    (at as u32, &report.layers[at])
}

#[test]
fn every_layer_of_the_chain_is_there_by_its_own_structure() {
    let chain = chain(archive(), 0);
    let report = look(&chain.upload, &Budget::default());
    let expected = [
        ("W/101", Kind::Pe, FoundBy::LengthField, chain.worm.as_slice()),
        ("R/1831", Kind::Pe, FoundBy::Resource, &chain.ransomware),
        ("XIA/2058", Kind::Zip, FoundBy::Resource, &chain.archive),
        ("b.wnry", Kind::Data, FoundBy::Directory, &members()[0].1),
        ("r.wnry", Kind::Text, FoundBy::Directory, &members()[1].1),
        ("t.wnry", Kind::Data, FoundBy::Directory, &members()[2].1),
    ];
    let mut parent = 2;
    for (name, kind, found_by, bytes) in expected {
        let (number, layer) = named(&report, name);
        assert_eq!((layer.kind, layer.found_by, layer.state), (kind, found_by, State::Intact), "{name}");
        assert_eq!(layer.hashes, crate::facts::hashes(bytes), "{name}");
        assert_eq!(layer.parent, Some(parent), "{name}");
        if found_by == FoundBy::Directory {
            assert_eq!(layer.encoding, "zipcrypto+deflate");
        } else {
            let place = report.place(number).unwrap() as usize;
            assert_eq!(&chain.upload[place..][..bytes.len()], bytes, "{name}");
            parent = number;
        }
    }
    let (worm, _) = named(&report, "W/101");
    assert_eq!(report.core, Some(worm));
    assert!(report.children(2).any(|(_, layer)| layer.kind == Kind::Padding && layer.size >= 1000));
    assert_eq!(report.remarks, Vec::<String>::new());
    let zip = named(&report, "XIA/2058").1.facts.zip.as_ref().unwrap();
    assert_eq!(zip.password, PASSWORD);
    assert!(zip.members.iter().all(|member| member.encrypted && member.state == "intact"), "{zip:?}");
}

#[test]
fn a_length_field_that_lies_does_not_move_the_core() {
    let whole = chain(archive(), 0).worm;
    for claimed in [0, 10, 100, 0x300, whole.len() / 3 * 2, whole.len() + 5000, u32::MAX as usize] {
        let carried = behind_length(&whole, claimed, 1000);
        let report = look(&build::pe(&[("W", 101, carried)]), &Budget::default());
        let (number, worm) = named(&report, "W/101");
        assert_eq!((worm.state, report.core), (State::Damaged, Some(number)), "{claimed}");
        assert_eq!((worm.found_by, &worm.hashes), (FoundBy::LengthField, &crate::facts::hashes(&whole)));
        let (claimed, has) = (crate::text::length(claimed), crate::text::length(whole.len()));
        let told = format!("the length field in front says {claimed}, and the PE behind it has {has} bytes");
        assert_eq!(worm.remarks, [told]);
    }
}

#[test]
fn a_file_that_is_cut_is_truncated_as_its_length_field_says() {
    let chain = chain(archive(), 0);
    let whole = chain.worm.len();
    // Packed when it was cut already: zeros stand where it would go on.
    let short = behind_length(&chain.worm[..whole / 2], whole / 2, whole);
    let report = look(&build::pe(&[("W", 101, short)]), &Budget::default());
    let (number, worm) = named(&report, "W/101");
    assert_eq!((worm.state, worm.size, report.core), (State::Truncated, whole as u64 / 2, Some(number)));
    let core = worm.hashes.sha256.clone();
    assert!(worm.remarks[0].starts_with("the sections end at byte "), "{:?}", worm.remarks);
    // Whatever the host's memory left in those zeros, it is the same core.
    for dirt in [0, 7, whole / 4 - 1] {
        let mut short = behind_length(&chain.worm[..whole / 2], whole / 2, whole);
        let at = 4 + whole / 2 + dirt;
        short[at..at + whole / 5].fill(0x41);
        let report = look(&build::pe(&[("W", 101, short)]), &Budget::default());
        let (number, worm) = named(&report, "W/101");
        assert_eq!((worm.state, worm.size, report.core), (State::Truncated, whole as u64 / 2, Some(number)));
        assert_eq!(worm.hashes.sha256, core, "{dirt}");
    }
    let cut = &chain.upload[..stub::X86.file_at + whole / 2];
    let report = look(cut, &Budget::default());
    let (_, worm) = named(&report, "W/101");
    assert_eq!(worm.state, State::Truncated);
    assert_eq!(report.layers[2].state, State::Truncated);
}

#[test]
fn a_damaged_member_is_named_with_its_place() {
    let mut archive = archive();
    let report = look(&archive, &Budget::default());
    let zip = report.layers[0].facts.zip.clone().unwrap();
    let member = &zip.members[0];
    let from = member.offset as usize + 2000;
    archive[from..from + 400].fill(0);
    let chain = chain(archive, 0);
    let report = look(&chain.upload, &Budget::default());
    let zip = named(&report, "XIA/2058").1;
    assert_eq!(zip.state, State::Damaged);
    let at = zip.facts.zip.as_ref().unwrap().members[0].damaged_at.unwrap();
    let place = format!("its byte {} (stored byte 2,000)", crate::text::number(at));
    assert_eq!(zip.remarks, [format!("member `b.wnry`: damaged from {place}")]);
    let states: Vec<_> = zip.facts.zip.as_ref().unwrap().members.iter().map(|m| m.state.as_str()).collect();
    assert_eq!(states, ["damaged", "intact", "intact"]);
    assert_eq!(named(&report, "b.wnry").1.state, State::Damaged);
    assert_eq!(named(&report, "t.wnry").1.state, State::Intact);
}

#[test]
fn the_place_of_damage_is_that_in_the_member_however_it_is_packed() {
    let plain: Vec<u8> = noise(40_000, 9).iter().map(|byte| byte & 7).collect();
    for how in [How::Deflated, How::Locked(PASSWORD)] {
        let mut archive = build::zip(&[("a", &plain, how)]);
        let whole = look(&archive, &Budget::default());
        let from = whole.layers[0].facts.zip.as_ref().unwrap().members[0].offset as usize + 5000;
        archive[from..from + 300].fill(0);
        let peeled = crate::peel::peel(&archive, crate::Road::Payload, &Budget::default());
        let member = &peeled.layers.iter().find(|layer| layer.name == "a").unwrap().bytes;
        let differs = member.iter().zip(&plain).position(|(one, other)| one != other);
        let first = differs.unwrap_or(member.len());
        let told =
            look(&archive, &Budget::default()).layers[0].facts.zip.as_ref().unwrap().members[0].damaged_at;
        // The code that the damage starts in may come out right by chance, and the bytes behind it.
        assert!(
            (first.saturating_sub(8)..=first).contains(&(told.unwrap() as usize)),
            "{told:?}, not {first}"
        );
        assert!(first > 6000, "{first}");
    }
}

#[test]
fn only_files_and_large_resources_are_layers() {
    let inner = build::pe(&[]);
    let file = build::pe(&[
        ("2", 1, noise(65_535, 1)),
        ("2", 2, noise(65_536, 2)),
        ("BIN", 3, build::gzip(b"gzip in a resource, and some more of it")),
        ("BIN", 4, behind_length(&build::zip(&[("a", b"abc", How::Stored)]), 1, 0)),
        ("BIN", 5, [b"MZ".to_vec(), vec![0; 200]].concat()),
        ("BIN", 6, inner.clone()),
    ]);
    let report = look(&file, &Budget::default());
    let children: Vec<_> = report.children(0).map(|(_, layer)| (layer.name.as_str(), layer.kind)).collect();
    let large = ("2/2", Kind::Resource);
    // BIN/4 has a length that cannot be: its archive is found for itself.
    let archive = ("", Kind::Zip);
    assert_eq!(children, [large, ("BIN/3", Kind::Gzip), archive, ("BIN/6", Kind::Pe)]);
    assert_eq!(report.core, Some(0));
}

#[test]
fn hostile_resource_directories_end() {
    let good = build::pe(&[("W", 101, noise(70_000, 1))]);
    let root = 0x200;
    // The root's only entry leads back to the root; then huge counts; then an entry beyond the file.
    let spoil: [(usize, [u8; 4]); 4] = [
        (root + 20, [0, 0, 0, 0x80]),
        (root + 12, [0xff, 0xff, 0xff, 0xff]),
        (root + 20, [0xff, 0xff, 0xff, 0x7f]),
        (root + 16, [0xff, 0xff, 0xff, 0xff]),
    ];
    for (at, bytes) in spoil {
        let mut file = good.clone();
        file[at..at + 4].copy_from_slice(&bytes);
        let report = look(&file, &Budget::default());
        assert!(report.layers.len() <= 2, "{report:?}");
    }
    let many: Vec<_> = (0..10_000).map(|n| ("BIN", n, build::pe(&[]))).collect();
    let report = look(&build::pe(&many), &Budget::default());
    assert_eq!(report.layers.len(), Budget::default().layers_max);
    let told = "only the first 1,024 entries of a resource directory were read";
    assert!(report.remarks.iter().any(|remark| remark == told), "{:?}", report.remarks);
}

#[test]
fn resources_that_overlap_are_layers_once() {
    let mut file = build::pe(&[("A", 1, noise(70_000, 1)), ("B", 2, noise(70_000, 2))]);
    // The second data entry claims the first one's place, a little later.
    let leaves = 0x200 + 16 + 16 + 96;
    let at = u32::from_le_bytes(file[leaves..leaves + 4].try_into().unwrap()) + 100;
    file[leaves + 16..leaves + 20].copy_from_slice(&at.to_le_bytes());
    let report = look(&file, &Budget::default());
    assert_eq!(report.children(0).count(), 1, "{report:?}");
}

#[test]
fn a_worm_without_its_first_bytes_is_still_the_core() {
    let ransomware = build::pe(&[("XIA", 2058, noise(0x1_0000, 1))]);
    let mut worm = build::pe(&[("R", 1831, ransomware)]);
    for wiped in [2, 0x200] {
        worm[..wiped].fill(0);
        let dll = build::pe(&[("W", 101, behind_length(&worm, worm.len(), 1000))]);
        let report = look(&dll, &Budget::default());
        let (number, broken) = named(&report, "W/101");
        assert_eq!((broken.kind, broken.found_by), (Kind::Data, FoundBy::LengthField), "{wiped}");
        assert_eq!((broken.state, report.core), (State::Damaged, Some(number)));
        assert_eq!(broken.hashes, crate::facts::hashes(&worm));
        assert!(report.children(number).any(|(_, layer)| layer.kind == Kind::Pe), "{:#?}", report.layers);
        assert!(report.children(0).any(|(_, layer)| layer.kind == Kind::Padding && layer.size >= 1000));
    }
    // One that is hidden is no damaged one, and the same core.
    let worm = build::pe(&[("9", 9, noise(0x1_0000, 1))]);
    let hidden: Vec<u8> = worm.iter().map(|byte| byte ^ 0x5a).collect();
    let dll = build::pe(&[("W", 101, behind_length(&hidden, hidden.len(), 1000))]);
    let report = look(&dll, &Budget::default());
    let (number, hidden) = named(&report, "W/101");
    assert_eq!((hidden.encoding.as_str(), hidden.state), ("xor 5a", State::Intact));
    assert_eq!((&hidden.hashes, report.core), (&crate::facts::hashes(&worm), Some(number)));
}

#[test]
fn a_library_without_its_first_bytes_is_what_its_stub_carries() {
    let worm = build::pe(&[("9", 9, noise(500, 1))]);
    let mut dll = build::pe(&[("W", 101, behind_length(&worm, worm.len(), 1000))]);
    dll[..2].fill(0);
    let report = look(&blob(stub::X86, &dll, dll.len(), 3), &Budget::default());
    let kinds: Vec<_> = report.layers.iter().map(|layer| (layer.kind, layer.parent)).collect();
    let wanted = [
        (Kind::Payload, None),
        (Kind::Stub, Some(0)),
        (Kind::Data, Some(0)),
        (Kind::Padding, Some(0)),
        (Kind::Pe, Some(2)),
    ];
    assert_eq!(kinds[..5], wanted, "{:#?}", report.layers);
    assert_eq!((report.layers[1].state, report.layers[2].state), (State::Intact, State::Damaged));
    assert_eq!(report.core_layer().unwrap().hashes, crate::facts::hashes(&worm));
}
