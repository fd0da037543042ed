//! Whether the style's colours can be told apart by everybody: the ratios of [WCAG 2.2] for all pairs in use, light and dark.
//!
//! Text needs 4.5 to 1 against what it stands on (1.4.3), what is drawn and what shows the focus 3 to 1 (1.4.11).
//!
//! [WCAG 2.2]: https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio

use std::collections::BTreeMap;

const STYLE: &str = include_str!("assets/console.css");

/// Text, and what it stands on.
const TEXT: &[(&str, &[&str])] = &[
    ("ink", &["page", "card", "lit"]),
    ("quiet", &["page", "card", "lit"]),
    ("link", &["page", "card", "lit"]),
    ("good", &["card"]),
    ("warn", &["card"]),
    ("bad", &["page", "card"]),
    ("accent-ink", &["accent"]),
];

/// What is drawn, and what is beside it.
const DRAWN: &[(&str, &[&str])] = &[
    ("focus", &["page", "card", "lit"]),
    ("quiet", &["card"]),
    ("good", &["card"]),
    ("bad", &["card"]),
    ("bar", &["card"]),
    ("c0", &["card"]),
    ("c1", &["card"]),
    ("c2", &["card"]),
    ("c3", &["card"]),
    ("c4", &["card"]),
    ("c5", &["card"]),
    ("c6", &["card"]),
    // The ring in the header is as white as its letters.
    ("accent-ink", &["accent"]),
];

type Colours = BTreeMap<String, [f64; 3]>;

/// The variables of the style's `at`th `:root`, over those of `before`.
fn colours(at: usize, before: &Colours) -> Colours {
    let block = STYLE.split(":root {").nth(at + 1).and_then(|rest| rest.split('}').next()).unwrap();
    let mut found = before.clone();
    for line in block.split(';') {
        let Some((name, value)) = line.trim().strip_prefix("--").and_then(|line| line.split_once(": #"))
        else {
            continue;
        };
        let byte = |at: usize| f64::from(u8::from_str_radix(&value[at..at + 2], 16).unwrap());
        found.insert(name.to_owned(), [byte(0), byte(2), byte(4)]);
    }
    found
}

fn luminance(colour: [f64; 3]) -> f64 {
    let [r, g, b] = colour.map(|byte| {
        let share = byte / 255.0;
        if share <= 0.04045 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
    });
    0.2126 * r + 0.7152 * g + 0.0722 * b
}

fn ratio(one: [f64; 3], other: [f64; 3]) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[test]
fn ratios_are_those_of_the_recommendation() {
    assert!((ratio([0.0; 3], [255.0; 3]) - 21.0).abs() < 1e-9);
    assert!((ratio([255.0, 0.0, 0.0], [255.0; 3]) - 3.998).abs() < 1e-3);
}

#[test]
fn every_pair_of_colours_can_be_told_apart() {
    let light = colours(0, &Colours::new());
    let dark = colours(1, &light);
    assert_ne!(light["page"], dark["page"]);
    let mut weak = Vec::new();
    for (look, colours) in [("light", &light), ("dark", &dark)] {
        for (pairs, least) in [(TEXT, 4.5), (DRAWN, 3.0)] {
            for (front, behind) in pairs.iter().flat_map(|(front, all)| all.iter().map(move |b| (front, b))) {
                let ratio = ratio(colours[*front], colours[*behind]);
                if ratio < least {
                    weak.push(format!("{look}: {front} on {behind} {ratio:.2}"));
                }
            }
        }
    }
    assert_eq!(weak, [""; 0]);
}

#[test]
fn the_header_has_a_ring_of_its_own_and_placeholders_a_colour() {
    assert!(STYLE.contains("header.top :focus-visible { outline-color: var(--accent-ink); }"));
    assert!(STYLE.contains("::placeholder { color: var(--quiet); opacity: 1; }"));
}
