//! One look at a readable text, before anything is looked for in it: most are chance and hold nothing.

use super::{wallet, words};

/// What a text may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Glance {
    /// `.`, `:` or `@`: without them it has no address, domain, URL or e-mail address.
    pub(super) marks: bool,
    /// Long enough for a wallet.
    pub(super) long: bool,
    /// A known name of a file, a service, a mutex or a name space.
    pub(super) names: bool,
    /// What a command starts with.
    pub(super) commands: bool,
    /// A word that makes it worth reading.
    pub(super) telling: bool,
    /// Letters and blanks as in a sentence.
    pub(super) sentence: bool,
}

/// Shorter texts are no sentence and worth nothing by a word.
const TELLING_LEN_MIN: usize = 8;
const LETTER: u8 = 1;
const BLANK: u8 = 2;
const MARK: u8 = 4;

/// What each character counts as.
const CLASSES: [u8; 256] = classes();

#[expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "computed when compiled")]
#[expect(clippy::as_conversions, reason = "computed when compiled, from numbers below 256")]
const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut number = 0;
    while number < 256 {
        classes[number] = match number as u8 {
            b'a'..=b'z' | b'A'..=b'Z' => LETTER,
            b' ' => BLANK,
            b'.' | b':' | b'@' => MARK,
            _ => 0,
        };
        number += 1;
    }
    classes
}

impl Glance {
    /// At a text of ASCII characters.
    pub(super) fn at(text: &str) -> Self {
        let (mut letters, mut blanks, mut seen) = (0usize, 0usize, 0u8);
        for byte in text.bytes() {
            let class = CLASSES.get(usize::from(byte)).copied().unwrap_or(0);
            seen |= class;
            letters = letters.wrapping_add(usize::from(class & LETTER));
            blanks = blanks.wrapping_add(usize::from(class & BLANK) >> 1);
        }
        let readable = letters.saturating_add(blanks).saturating_mul(10) >= text.len().saturating_mul(8);
        let worth = text.len() >= TELLING_LEN_MIN;
        let words = words::ANY.any_in(text);
        Self {
            marks: seen & MARK != 0,
            long: text.len() >= wallet::LEN_MIN,
            names: words && words::NAMES.any_in(text),
            commands: words && words::COMMANDS.any_in(text),
            telling: words && worth && words::TELLING.any_in(text),
            sentence: worth && readable && (1..=letters.checked_div(3).unwrap_or(0)).contains(&blanks),
        }
    }

    /// Whether there is nothing to look for.
    pub(super) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_holds_nothing_is_nothing() {
        for text in ["nothing", "7Gq#x!", "Hk3;ff", "abcdefgh", "a b c d e f"] {
            assert!(Glance::at(text).is_nothing(), "{text}");
        }
        assert!(Glance::at("10.0.0.1").marks && Glance::at("a@b").marks && Glance::at("ab:cd").marks);
        assert!(Glance::at("a sentence of some words").sentence);
        assert!(Glance::at("x perfc.dat").names && Glance::at("CMD /C x").commands);
        assert!(Glance::at("\\\\.\\x2345").telling && !Glance::at("%s").telling);
        assert!(Glance::at(&"x".repeat(26)).long);
    }
}
