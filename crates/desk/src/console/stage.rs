//! How far something came, as an address says it: `stage=`, with one meaning in all views.
//!
//! A word lets through what took that step at least once, whatever it did besides. Whose step it is depends on what a view is
//! of: an incident's, a connection's, a visitor's, or that of who brought a sample; of samples `complete` and `new` say
//! something of the captures themselves. `docs/console.md` has the table.

use crate::incident::Stage;
use crate::index::Step;

/// What must have been reached at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reached {
    /// A step of the funnel: all views know it.
    Step(Step),
    /// A stage that is no step of the funnel: incidents alone have it.
    Stage(Stage),
}

impl Reached {
    /// Words that only incidents have.
    pub(crate) const OF_INCIDENTS: [Stage; 4] = [Stage::Logon, Stage::Implant, Stage::Capture, Stage::Kill];
    /// Outcomes, which mean that something came at least so far.
    pub(crate) const ALIASES: [(&str, Self); 6] = [
        ("connected", Self::Step(Step::Connect)),
        ("probed", Self::Step(Step::Probe)),
        ("exploited", Self::Step(Step::Exploit)),
        ("uploaded", Self::Step(Step::Upload)),
        ("captured", Self::Step(Step::Complete)),
        ("killed", Self::Stage(Stage::Kill)),
    ];

    /// What a word of an address means, in letters of any case; `None`: nothing.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        let word = word.to_ascii_lowercase();
        let of_incidents = Self::OF_INCIDENTS.into_iter().find(|stage| stage.as_str() == word);
        let alias = Self::ALIASES.into_iter().find(|(alias, _)| *alias == word);
        Step::from_word(&word)
            .map(Self::Step)
            .or(of_incidents.map(Self::Stage))
            .or(alias.map(|(_, reached)| reached))
    }

    /// Its own word.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Step(step) => step.as_str(),
            Self::Stage(stage) => stage.as_str(),
        }
    }

    /// The step of the funnel that it is, if it is one.
    pub(crate) const fn step(self) -> Option<Step> {
        match self {
            Self::Step(step) => Some(step),
            Self::Stage(_) => None,
        }
    }

    /// All words that an address may say, those first that all views know.
    pub(crate) fn words() -> Vec<&'static str> {
        let stages = Self::OF_INCIDENTS.map(Stage::as_str);
        let aliases = Self::ALIASES.map(|(alias, _)| alias);
        Step::ALL.map(Step::as_str).into_iter().chain(stages).chain(aliases).collect()
    }

    /// What people call it.
    pub(crate) const fn told(self) -> &'static str {
        match self {
            Self::Step(step) => told(step),
            Self::Stage(Stage::Logon) => "logged on",
            Self::Stage(Stage::Implant) => "implant shown",
            Self::Stage(Stage::Capture) => "upload captured",
            Self::Stage(Stage::Kill) => "implant killed",
            Self::Stage(stage) => stage.as_str(),
        }
    }
}

/// What people call a step of the funnel.
pub(crate) const fn told(step: Step) -> &'static str {
    step.told()
}

/// As [`told`], of a step's own word.
pub(crate) fn told_word(word: &str) -> &str {
    match Step::from_word(word) {
        Some(step) => told(step),
        None => word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incident::Outcome;

    #[test]
    fn every_word_means_one_thing_and_every_stage_and_outcome_has_one() {
        for word in Reached::words() {
            assert!(Reached::from_word(&word.to_ascii_uppercase()).is_some(), "{word}");
        }
        for stage in Stage::ALL {
            assert_eq!(Reached::from_word(stage.as_str()).map(Reached::as_str), Some(stage.as_str()));
        }
        assert!(Outcome::ALL.iter().all(|outcome| Reached::from_word(outcome.as_str()).is_some()));
        assert_eq!(Reached::from_word("captured"), Some(Reached::Step(Step::Complete)));
        assert_eq!(
            (Reached::from_word("capture").and_then(Reached::step), Reached::from_word("x")),
            (None, None)
        );
    }
}
