//! Whether any of many known words stands in a text: asked once for all of them, before each is looked for. Most
//! readable runs are chance and hold none.

use super::known;
use aho_corasick::AhoCorasick;
use std::sync::LazyLock;

/// Words that are looked for together.
pub(super) struct Words(LazyLock<Option<AhoCorasick>>);

/// Names of files, services and mutexes.
pub(super) static NAMES: Words = Words(LazyLock::new(|| {
    let noted = known::FILES.iter().chain(known::SERVICES).chain(known::MUTEXES).map(|(name, _)| *name);
    automaton(noted.chain(known::NAME_SPACES.iter().copied()), false)
}));

/// What commands start with, in any case.
pub(super) static COMMANDS: Words = Words(LazyLock::new(|| automaton(known::COMMANDS.iter().copied(), true)));

/// What makes a string worth reading.
pub(super) static TELLING: Words =
    Words(LazyLock::new(|| automaton(known::TELLING.iter().map(|(word, _)| *word), false)));

/// Any of all these words, in any case: asked first.
pub(super) static ANY: Words = Words(LazyLock::new(|| {
    let noted = known::FILES.iter().chain(known::SERVICES).chain(known::MUTEXES).map(|(name, _)| *name);
    let telling = known::TELLING.iter().map(|(word, _)| *word);
    let all = noted.chain(known::NAME_SPACES.iter().copied()).chain(known::COMMANDS.iter().copied());
    automaton(all.chain(telling), true)
}));

fn automaton(words: impl Iterator<Item = &'static str>, any_case: bool) -> Option<AhoCorasick> {
    AhoCorasick::builder().ascii_case_insensitive(any_case).build(words).ok()
}

impl Words {
    /// Whether one of them stands in `text`. Without an automaton everything has to be looked for.
    pub(super) fn any_in(&self, text: &str) -> bool {
        self.0.as_ref().is_none_or(|automaton| automaton.is_match(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_word_is_seen_wherever_it_stands() {
        let around = |word: &str| [format!("{word} x"), format!("xx.{word}"), format!("a{word}b{word}")];
        let names = known::FILES.iter().chain(known::SERVICES).chain(known::MUTEXES).map(|(name, _)| *name);
        assert!(names.clone().flat_map(around).all(|text| NAMES.any_in(&text)));
        assert!(NAMES.any_in("Global\\x") && NAMES.any_in("Local\\x"));
        let commands = known::COMMANDS.iter().map(|word| word.to_ascii_uppercase());
        let any = |words: &Words, text: &str| words.any_in(text) && ANY.any_in(text);
        assert!(commands.flat_map(|word| around(&word)).all(|text| any(&COMMANDS, &text)));
        assert!(known::TELLING.iter().flat_map(|(word, _)| around(word)).all(|text| any(&TELLING, &text)));
        assert!(names.flat_map(around).all(|text| ANY.any_in(&text)));
        assert!(![&ANY, &NAMES, &COMMANDS, &TELLING].iter().any(|words| words.any_in("nothing to tell")));
    }
}
