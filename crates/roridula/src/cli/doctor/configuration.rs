//! The configuration: does it load, and does it ask for anything that catches less?

use super::finding::Finding;
use crate::cli::check::word;
use crate::settings::{Settings, SettingsError};
use roridula_proto::connection::{Ms17010, Policy};

const CHECK: &str = "configuration";

/// Everything that is wrong with it, one line each, as `check` tells it.
pub(super) fn wrong(SettingsError(lines): &SettingsError) -> Vec<Finding> {
    const FIX: &str = "correct it: `roridula config` prints every setting with its meaning";
    lines.iter().map(|line| Finding::problem(CHECK, line, FIX)).collect()
}

/// What it plays, and each choice that catches less than could be caught.
pub(super) fn check(settings: &Settings) -> Vec<Finding> {
    let implant = &settings.implant;
    let plays = format!(
        "in order: {}, MS17-010 {}, DoublePulsar {} ({})",
        settings.persona,
        word(&settings.ms17_010),
        word(&implant.policy),
        word(&implant.arch)
    );
    let less: &[(bool, &str, &str)] = &[
        (
            implant.policy == Policy::Absent,
            "implant.policy = \"absent\": nobody is answered as implanted, so nothing is uploaded",
            "present",
        ),
        (
            implant.policy == Policy::AfterExploit,
            "implant.policy = \"after-exploit\": only who has exploited this honeypot to the end can upload",
            "present",
        ),
        (
            settings.ms17_010 == Ms17010::Patched,
            "ms17_010 = \"patched\": many worms go away after their check",
            "unpatched",
        ),
        (!settings.capture.transcripts, "capture.transcripts = false: visits cannot be replayed", "true"),
    ];
    let notes = less.iter().filter(|(is_so, ..)| *is_so).map(|(_, what, better)| {
        Finding::note(CHECK, *what).with_fix(format!("if it is not meant, set it to {better}"))
    });
    std::iter::once(Finding::ok(CHECK, plays)).chain(notes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::finding::Verdict;

    #[test]
    fn choices_that_catch_less_are_told() {
        assert_eq!(check(&Settings::default()).len(), 1);
        let mut settings = Settings { ms17_010: Ms17010::Patched, ..Settings::default() };
        settings.implant.policy = Policy::Absent;
        settings.capture.transcripts = false;
        let found = check(&settings);
        let notes: Vec<_> = found.iter().filter(|finding| finding.verdict == Verdict::Note).collect();
        assert_eq!(notes.len(), 3);
        assert!(notes[0].what.contains("absent") && notes[1].what.contains("patched"), "{notes:?}");
    }
}
