//! What a query may say: one declaration for who checks it and for who describes it.

use crate::console::ask::{Ask, Problem};

/// A word of a view's query.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Word {
    /// Its name in an address.
    pub(crate) name: &'static str,
    /// What it does.
    pub(crate) about: &'static str,
    /// What it may be.
    pub(crate) is: Is,
}

/// What a word may be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Is {
    /// Any text; the view itself says what makes no sense.
    Text,
    /// One of these.
    One(&'static [&'static str]),
    /// A whole number from the first to the last of these.
    Whole(u64, u64),
}

impl Word {
    /// Any text.
    pub(crate) const fn text(name: &'static str, about: &'static str) -> Self {
        Self { name, about, is: Is::Text }
    }

    /// One of a few words.
    pub(crate) const fn one(name: &'static str, about: &'static str, of: &'static [&'static str]) -> Self {
        Self { name, about, is: Is::One(of) }
    }

    /// A whole number.
    pub(crate) const fn whole(name: &'static str, about: &'static str, least: u64, most: u64) -> Self {
        Self { name, about, is: Is::Whole(least, most) }
    }

    /// That what is asked is something that it may be.
    pub(super) fn check(&self, ask: &Ask) -> Result<(), Problem> {
        let name = self.name;
        let Some(value) = ask.value(name) else { return Ok(()) };
        match self.is {
            Is::Text => Ok(()),
            Is::One(of) if of.contains(&value) => Ok(()),
            Is::One(of) => Err(Problem::Bad(format!("`{name}` is one of {}", of.join(", ")))),
            Is::Whole(least, most) => match value.parse::<u64>() {
                Ok(number) if (least..=most).contains(&number) => Ok(()),
                _ if most == u64::MAX => Err(Problem::Bad(format!("`{name}` is a whole number"))),
                _ => Err(Problem::Bad(format!("`{name}` is a whole number from {least} to {most}"))),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::asked::tests::ask;
    use super::*;

    #[test]
    fn a_wrong_value_is_told_with_what_may_be_said() {
        let told = |word: Word, value: &str| {
            word.check(&ask("/x", &[(word.name, value)])).err().map(|problem| problem.to_string())
        };
        let state = Word::one("state", "", &["complete", "partial"]);
        assert_eq!(told(state, "zz").as_deref(), Some("`state` is one of complete, partial"));
        assert_eq!((told(state, "partial"), told(Word::text("q", ""), "zz")), (None, None));
        let messages = Word::whole("messages", "", 1, 64);
        for value in ["0", "65", "-1", "x", "99999999999999999999"] {
            let expected = "`messages` is a whole number from 1 to 64";
            assert_eq!(told(messages, value).as_deref(), Some(expected), "{value}");
        }
        assert_eq!(told(messages, "64"), None);
    }
}
