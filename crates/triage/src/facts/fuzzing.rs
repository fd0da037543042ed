//! Entry points for fuzzing: hostile bytes in, nothing may panic or grow.

use super::{Place, describe};
use crate::pe::Machine;
use crate::report::{Depth, Kind};

/// Facts of bytes that are said to be a PE file, and of a range in them as a layer of its own.
pub fn pe_facts(bytes: &[u8]) {
    let half = bytes.len() / 2;
    let inner = bytes.get(half..).unwrap_or_default();
    let outer =
        Place { children: std::iter::once(half..bytes.len()).collect(), ..Place::alone(Kind::Pe, bytes) };
    let inner = Place { inside: Some((0, half..bytes.len())), ..Place::alone(Kind::Pe, inner) };
    for depth in [Depth::First, Depth::Full] {
        assert_eq!(describe(&[outer.clone(), inner.clone()], depth).len(), 2);
    }
}

/// Strings and indicators of bytes of any kind.
pub fn strings(bytes: &[u8]) {
    let found = super::strings::read(bytes, &[]);
    assert!(found.strings.len() <= super::strings::STRINGS_MAX);
    assert!(found.indicators.len() <= super::strings::INDICATORS_MAX);
    let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    assert!(found.indicators.iter().all(|indicator| indicator.at < len));
}

/// Bytes as code, for either machine: bounded lists, and (with the feature `emulate`) bounded steps.
pub fn code(bytes: &[u8]) {
    for machine in [None, Some(Machine::X86), Some(Machine::X64)] {
        let Some(facts) = super::code::code(machine, bytes) else { continue };
        assert!(facts.listing.len() <= 24 && facts.apis.len() <= 64, "a list has no bound");
        assert!(facts.emulated.len() <= 65 && facts.indicators.len() <= 64, "a profile has no bound");
    }
}

/// Bytes as what stands behind a question for a kill switch, for either machine.
pub fn answers(bytes: &[u8]) {
    super::pe::read_answers(bytes);
}
