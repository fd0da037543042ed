//! Which family a sample is of, and on what grounds.

use crate::reference;
use crate::report::{FoundBy, Kind, Layer, words};
use crate::rules::Hit;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

words! {
    /// How sure a verdict is.
    Confidence {
        /// A published hash of one of its parts.
        Certain = "certain",
        /// Several independent grounds: structure and rules.
        High = "high",
        /// One ground that fits no other family.
        Medium = "medium",
        /// A shape that others have too.
        Low = "low",
    }
}

/// A family, with the grounds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Its name.
    pub family: String,
    /// How sure that is.
    pub confidence: Confidence,
    /// Why: the strongest first, of equals the innermost.
    pub grounds: Vec<Ground>,
    /// What else it is by more than a shape: a worm may carry another family's file. The surest first.
    #[serde(default)]
    pub also: Vec<Also>,
}

/// Another family that a sample shows too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Also {
    /// Its name.
    pub family: String,
    /// How sure that is.
    pub confidence: Confidence,
}

/// One reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ground {
    /// The number of the layer that gives it.
    pub layer: u32,
    /// What it is: `rule WannaCry_Launcher_DLL`, `sha256 of the published worm EXE`.
    pub what: String,
}

/// Families that say by which road a file came, not what it is.
pub const ROADS: [&str; 2] = ["DoublePulsar", "EternalBlue"];
/// The family of what this program sends to itself.
pub const OWN: &str = "Roridula self-test";

/// Of how many grounds a verdict tells; the strongest come first.
const GROUNDS_MAX: usize = 16;
/// How many other families a verdict names.
const ALSO_MAX: usize = 4;

/// How much one ground alone says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// A shape that others have too.
    Shape,
    /// Fits no other family.
    Specific,
    /// A published hash.
    Hash,
}

/// A ground, and for which family it speaks.
#[derive(Debug)]
struct Said {
    family: String,
    weight: Weight,
    /// What is independent of what: the layer, and whether a rule or the structure says it.
    by: (u32, bool),
    /// What it is wherever it stands: the same twice says nothing more.
    name: String,
    what: String,
}

/// All families that a rule of ours or a published hash can name.
pub fn known() -> BTreeSet<&'static str> {
    let published = reference::files().iter().map(|file| file.family.as_str());
    published.chain(crate::rules::families()).collect()
}

/// What the layers say together: of the family with the surest verdict, then the most grounds.
pub(crate) fn verdict(layers: &[Layer]) -> Option<Verdict> {
    let mut families: BTreeMap<String, Vec<Said>> = BTreeMap::new();
    let (inside, beside) = (inside(layers), beside(layers));
    for (number, layer) in layers.iter().enumerate() {
        let Ok(number) = u32::try_from(number) else { break };
        for said in hash(number, layer)
            .into_iter()
            .chain(rules(number, layer, &inside, beside.contains(&number)))
            .chain(structure(number, layer))
        {
            families.entry(said.family.clone()).or_default().push(said);
        }
    }
    let mut ranked: Vec<_> =
        families.into_iter().map(|(family, said)| (confidence(&said), said.len(), family, said)).collect();
    // Confidence is ordered from certain to low; names decide what nothing else does.
    ranked.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)).then_with(|| a.2.cmp(&b.2)));
    let mut ranked = ranked.into_iter();
    let (confidence, _, family, mut said) = ranked.next()?;
    let also = ranked.filter(|other| other.0 != Confidence::Low).take(ALSO_MAX);
    let also = also.map(|(confidence, _, family, _)| Also { family, confidence }).collect();
    // The strongest first; of equals the innermost, which stays the same when what is around it changes.
    let depths = depths(layers);
    let depth = |said: &Said| usize::try_from(said.by.0).ok().and_then(|at| depths.get(at)).copied();
    said.sort_by_key(|said| Reverse((said.weight, depth(said))));
    said.truncate(GROUNDS_MAX);
    let grounds = said.into_iter().map(|said| Ground { layer: said.by.0, what: said.what }).collect();
    Some(Verdict { family, confidence, grounds, also })
}

/// How deep each layer lies; layers stand behind what they lie in.
fn depths(layers: &[Layer]) -> Vec<u32> {
    let mut depths: Vec<u32> = Vec::with_capacity(layers.len());
    for layer in layers {
        let around = layer.parent.and_then(|parent| depths.get(usize::try_from(parent).ok()?));
        depths.push(around.map_or(0, |depth| depth.saturating_add(1)));
    }
    depths
}

/// Which rule, of file and name, fits in which layer something that lies deeper: the bytes are the inner layer's.
type Inside<'l> = BTreeSet<(u32, &'l str, &'l str)>;

/// The rules that fit a layer inside of each layer.
fn inside(layers: &[Layer]) -> Inside<'_> {
    let mut inside = Inside::new();
    for layer in layers.iter().filter(|layer| !layer.hits.is_empty()) {
        let parent = |at: u32| layers.get(usize::try_from(at).ok()?)?.parent;
        // A report's parents stand in front; the bound holds whatever they say.
        for around in std::iter::successors(layer.parent, |&at| parent(at)).take(layers.len()) {
            inside.extend(layer.hits.iter().map(|hit| (around, hit.file.as_str(), hit.rule.as_str())));
        }
    }
    inside
}

/// The layers that a program and something else stand beside each other in: a rule that fits none of the two has the
/// program's shape from one and the words from the other.
fn beside(layers: &[Layer]) -> BTreeSet<u32> {
    let holders = layers.iter().filter(|layer| layer.kind == Kind::Pe).filter_map(|layer| layer.parent);
    let kind = |at: u32| Some(layers.get(usize::try_from(at).ok()?)?.kind);
    holders.filter(|&at| matches!(kind(at), Some(Kind::Payload | Kind::Data | Kind::Overlay))).collect()
}

fn confidence(said: &[Said]) -> Confidence {
    let strongest = said.iter().map(|said| said.weight).max();
    let specific = || said.iter().filter(|said| said.weight >= Weight::Specific);
    // Two rules in one layer may look at the same bytes: they count once. So does one rule in two layers.
    let places: BTreeSet<_> = specific().map(|said| said.by).collect();
    let names: BTreeSet<_> = specific().map(|said| said.name.as_str()).collect();
    match strongest {
        Some(Weight::Hash) => Confidence::Certain,
        Some(Weight::Specific) if places.len() >= 2 && names.len() >= 2 => Confidence::High,
        Some(Weight::Specific) => Confidence::Medium,
        _ => Confidence::Low,
    }
}

/// A published hash.
fn hash(number: u32, layer: &Layer) -> Option<Said> {
    let known = reference::published(&layer.hashes.sha256)?;
    Some(Said {
        family: known.family.clone(),
        weight: Weight::Hash,
        by: (number, false),
        name: known.name.clone(),
        what: format!("sha256 of the published {} ({}), layer {number}", known.part, known.name),
    })
}

/// Rules that name a family, where they fit nothing that lies deeper.
fn rules<'l>(
    number: u32,
    layer: &'l Layer,
    inside: &'l Inside<'l>,
    is_beside: bool,
) -> impl Iterator<Item = Said> {
    let own = move |hit: &&Hit| !inside.contains(&(number, hit.file.as_str(), hit.rule.as_str()));
    layer.hits.iter().filter(|hit| !hit.family.is_empty()).filter(own).map(move |hit| {
        // What is no program names what a family has, and may be anybody's.
        let is_named = (!is_program(layer.kind) || is_beside) && is_of_program(&hit.family);
        let is_named = is_named && hit.file == "builtin";
        let shape = is_named || hit.confidence.eq_ignore_ascii_case("low");
        let whose = if hit.file == "builtin" { String::new() } else { format!(" of {}", hit.file) };
        Said {
            family: hit.family.clone(),
            weight: if shape { Weight::Shape } else { Weight::Specific },
            by: (number, true),
            name: format!("{}{whose}", hit.rule),
            what: format!("rule {}{whose}, layer {number}", hit.rule),
        }
    })
}

/// Whether bytes of this kind run, or are an archive that is known by its members: strings in them are its own.
fn is_program(kind: Kind) -> bool {
    matches!(kind, Kind::Pe | Kind::Stub | Kind::Shellcode | Kind::Zip)
}

/// Whether a family is one of programs, and no road that bytes come by, nor our own text.
fn is_of_program(family: &str) -> bool {
    family != OWN && !ROADS.contains(&family)
}

/// What a layer is by its place: published resources and sizes, with what has to be there besides.
fn structure(number: u32, layer: &Layer) -> Vec<Said> {
    let mut found = Vec::new();
    let mut say = |family: &str, weight, what: String| {
        let told = format!("{what}, layer {number}");
        found.push(Said { family: family.to_owned(), weight, by: (number, false), name: what, what: told });
    };
    let carrier = reference::carriers().iter().find(|carrier| {
        let path = layer.name.strip_prefix(&carrier.path);
        // What is there has to be something.
        layer.found_by == FoundBy::Resource
            && layer.kind != Kind::Resource
            && path.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    if let Some(carrier) = carrier {
        say(
            &carrier.family,
            Weight::Specific,
            format!("resource {} of the published {}", carrier.path, carrier.part),
        );
    }
    if let Some(pe) = layer.facts.pe.as_ref().filter(|pe| pe.dll) {
        let size =
            reference::launchers().iter().find(|one| one.size == layer.size && one.machine == pe.machine);
        match size {
            Some(one) if pe.exports.contains(&one.export) => say(
                &one.family,
                Weight::Specific,
                format!("library of the published launcher's {} bytes that exports {}", one.size, one.export),
            ),
            Some(one) => {
                say(
                    &one.family,
                    Weight::Shape,
                    format!("library of the published launcher's {} bytes", one.size),
                );
            }
            None => {}
        }
    }
    if let Some(zip) = &layer.facts.zip
        && let Some(archive) = reference::archives().iter().find(|one| one.password == zip.password)
    {
        say(&archive.family, Weight::Specific, "archive that the published password opens".to_owned());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Facts, PeFacts};
    use crate::report::{Hashes, State};

    #[test]
    fn families_are_known_from_rules_and_from_published_hashes() {
        let known = known();
        assert!(
            ["WannaCry", "NotPetya", "Conficker", "DoublePulsar"].iter().all(|name| known.contains(name))
        );
        assert!(!known.contains(""), "{known:?}");
    }

    fn layer() -> Layer {
        Layer {
            parent: None,
            kind: Kind::Pe,
            name: String::new(),
            state: State::Intact,
            found_by: FoundBy::WholeSample,
            offset: 0,
            stored_size: 0,
            size: 0,
            encoding: String::new(),
            remarks: Vec::new(),
            hashes: Hashes::default(),
            facts: Facts::default(),
            hits: Vec::new(),
        }
    }

    fn hit(family: &str, rule: &str, confidence: &str) -> Layer {
        let hit = Hit {
            rule: rule.to_owned(),
            file: "builtin".to_owned(),
            family: family.to_owned(),
            confidence: confidence.to_owned(),
            ..Hit::default()
        };
        Layer { hits: vec![hit], ..layer() }
    }

    fn told(layers: &[Layer]) -> (String, Confidence, Vec<String>) {
        let verdict = verdict(layers).unwrap();
        let grounds = verdict.grounds.into_iter().map(|ground| ground.what).collect();
        (verdict.family, verdict.confidence, grounds)
    }

    #[test]
    fn nothing_said_is_no_verdict() {
        assert_eq!(verdict(&[]), None);
        assert_eq!(verdict(&[layer(), hit("", "Packed_UPX", "high")]), None);
    }

    #[test]
    fn a_published_hash_is_certain_and_stands_first() {
        let mut worm = hit("WannaCry", "WannaCry_Worm_EXE", "high");
        worm.hashes.sha256 = "24d004a104d4d54034dbcffc2a4b19a11f39008a575aa614ea04703480b1022c".to_owned();
        worm.parent = Some(0);
        let said = told(&[hit("WannaCry", "WannaCry_Launcher_DLL", "high"), worm]);
        assert_eq!(said.1, Confidence::Certain);
        assert_eq!(
            said.2,
            [
                "sha256 of the published worm EXE (mssecsvc.exe), layer 1",
                "rule WannaCry_Worm_EXE, layer 1",
                "rule WannaCry_Launcher_DLL, layer 0"
            ]
        );
    }

    #[test]
    fn independent_grounds_make_it_high_and_one_alone_medium() {
        let one = hit("WannaCry", "A", "high");
        assert_eq!(told(std::slice::from_ref(&one)).1, Confidence::Medium);
        let mut twice = one.clone();
        twice.hits.extend(hit("WannaCry", "B", "medium").hits);
        assert_eq!(told(&[twice]).1, Confidence::Medium, "two rules on the same bytes");
        assert_eq!(told(&[one.clone(), hit("WannaCry", "B", "high")]).1, Confidence::High);
        let carried = Layer { found_by: FoundBy::Resource, name: "R/1831/1033".to_owned(), ..one };
        let said = told(&[carried]);
        assert_eq!(said.1, Confidence::High, "rule and structure");
        assert!(
            said.2.contains(&"resource R/1831 of the published worm EXE, layer 0".to_owned()),
            "{said:?}"
        );
        let other = Layer { found_by: FoundBy::Resource, name: "R/18311".to_owned(), ..layer() };
        assert_eq!(verdict(&[other]), None);
    }

    #[test]
    fn the_same_rule_again_around_its_bytes_or_beside_them_is_no_second_ground() {
        let one = hit("WannaCry", "Kill_Switch", "high");
        let inner = Layer { parent: Some(0), ..one.clone() };
        let said = told(&[one.clone(), inner]);
        assert_eq!((said.1, said.2), (Confidence::Medium, vec!["rule Kill_Switch, layer 1".to_owned()]));
        // Two places that do not lie in each other are two grounds, and one rule.
        let said = told(&[one.clone(), one.clone()]);
        assert_eq!((said.1, said.2.len()), (Confidence::Medium, 2));
        // Parents that lead in a circle end.
        let round = Layer { parent: Some(0), ..one };
        assert_eq!(verdict(&[round]), None);
    }

    #[test]
    fn a_shape_is_low_however_often_it_is_seen_and_a_specific_rule_wins_over_it() {
        let shapes = vec![hit("DoublePulsar", "S", "low"); 5];
        assert_eq!(told(&shapes).1, Confidence::Low);
        let with_rule = [&shapes[..], &[hit("Miner", "M", "high")]].concat();
        assert_eq!(told(&with_rule).0, "Miner");
        // What is only shaped alike is not told beside it.
        assert_eq!(verdict(&with_rule).unwrap().also, []);
    }

    #[test]
    fn what_is_no_program_and_names_a_family_is_a_shape_but_for_the_users_own_rule() {
        for kind in [Kind::Text, Kind::Data, Kind::Overlay, Kind::Payload] {
            let named = Layer { kind, ..hit("Conficker", "Markers", "high") };
            assert_eq!(told(&[named]).1, Confidence::Low, "{kind}");
            let by_road = Layer { kind, ..hit("EternalBlue", "Filler", "medium") };
            assert_eq!(told(&[by_road]).1, Confidence::Medium, "{kind}");
        }
        let mut own = Layer { kind: Kind::Text, ..hit("WannaCry", "Wallet", "high") };
        own.hits[0].file = "/rules/own.yar".to_owned();
        assert_eq!(told(&[own]).1, Confidence::Medium);
    }

    #[test]
    fn what_only_a_program_and_the_words_behind_it_are_together_is_a_shape() {
        let whole = Layer { kind: Kind::Payload, ..hit("WannaCry", "Worm", "high") };
        let inner = |kind| Layer { parent: Some(0), kind, ..layer() };
        let layers = [whole.clone(), inner(Kind::Pe), inner(Kind::Overlay)];
        assert_eq!(told(&layers).1, Confidence::Low);
        // The program's own are its own.
        let own = Layer { parent: Some(0), kind: Kind::Pe, ..hit("WannaCry", "Worm", "high") };
        assert_eq!(told(&[whole, own, inner(Kind::Overlay)]).1, Confidence::Medium);
    }

    #[test]
    fn other_families_are_told_the_surest_first() {
        let twice = |family: &str| [hit(family, "1", "high"), hit(family, "2", "high")];
        let layers = [&twice("Worm")[..], &[hit("Bot", "b", "high")], &twice("Miner")].concat();
        let verdict = verdict(&layers).unwrap();
        assert_eq!((verdict.family.as_str(), verdict.grounds.len()), ("Miner", 2));
        let also: Vec<_> = verdict.also.iter().map(|also| (also.family.as_str(), also.confidence)).collect();
        assert_eq!(also, [("Worm", Confidence::High), ("Bot", Confidence::Medium)]);
    }

    #[test]
    fn of_equals_the_one_with_more_grounds_wins_then_the_first_name() {
        let (a, b) = (hit("A", "a", "low"), hit("B", "b", "low"));
        assert_eq!(told(&[b.clone(), a.clone()]).0, "A");
        assert_eq!(told(&[a, b.clone(), b]).0, "B");
    }

    #[test]
    fn a_launchers_size_alone_is_a_shape() {
        let mut dll = Layer { size: 5_267_456, ..layer() };
        let pe = PeFacts { dll: true, machine: "x86".to_owned(), ..PeFacts::default() };
        dll.facts.pe = Some(pe.clone());
        assert_eq!(told(&[dll.clone()]).1, Confidence::Low);
        dll.facts.pe = Some(PeFacts { exports: vec!["PlayGame".to_owned()], ..pe });
        assert_eq!(told(&[dll]).1, Confidence::Medium);
    }

    #[test]
    fn a_verdict_tells_a_bounded_number_of_grounds() {
        assert_eq!(told(&vec![hit("A", "a", "high"); 1000]).2.len(), GROUNDS_MAX);
    }
}
