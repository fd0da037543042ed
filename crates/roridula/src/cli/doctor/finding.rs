//! What a check found, and how it is shown.

use crate::cli::out::{self, Paint};
use roridula_desk::story::Weight;
use serde::Serialize;
use std::io::{self, Write};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// As it should be.
    Ok,
    /// Good to know: it may be meant, or it could not be seen.
    Note,
    /// Nothing, or less, is caught because of it.
    Problem,
}

impl Verdict {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Problem => "problem",
        }
    }
}

/// One line of the doctor's list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// The check's name.
    pub(super) check: &'static str,
    /// What it comes to.
    pub(super) verdict: Verdict,
    /// What was seen.
    pub(super) what: String,
    /// What to do about it; null where nothing need be done.
    pub(super) fix: Option<String>,
}

impl Finding {
    /// As it should be.
    pub(super) fn ok(check: &'static str, what: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Ok, what: what.into(), fix: None }
    }

    /// Good to know.
    pub(super) fn note(check: &'static str, what: impl Into<String>) -> Self {
        Self { verdict: Verdict::Note, ..Self::ok(check, what) }
    }

    /// Why nothing is caught, and the way out.
    pub(super) fn problem(check: &'static str, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { verdict: Verdict::Problem, ..Self::ok(check, what) }.with_fix(fix)
    }

    /// As the console tells it.
    pub(super) fn told(&self) -> roridula_desk::pulse::Finding {
        roridula_desk::pulse::Finding {
            check: self.check.to_owned(),
            verdict: self.verdict.as_str().to_owned(),
            what: self.what.clone(),
            fix: self.fix.clone(),
        }
    }

    /// The same with something to do about it.
    pub(super) fn with_fix(self, fix: impl Into<String>) -> Self {
        Self { fix: Some(fix.into()), ..self }
    }
}

/// Width of the check's name in a line.
const NAME_WIDTH: usize = 20;

/// Writes one line for each, and under it what to do.
pub(super) fn print(out: &mut impl Write, findings: &[Finding]) -> io::Result<()> {
    let paint = Paint::detect();
    for Finding { check, verdict, what, fix } in findings {
        let (word, weight) = match verdict {
            Verdict::Ok => ("ok", Weight::Catch),
            Verdict::Note => ("note", Weight::Attack),
            Verdict::Problem => ("PROBLEM", Weight::Trouble),
        };
        writeln!(out, "{}  {check:<NAME_WIDTH$}  {what}", paint.weight(weight, &format!("{word:<7}")))?;
        for (number, line) in fix.iter().flat_map(|fix| fix.lines()).enumerate() {
            let sign = if number == 0 { "->" } else { "  " };
            writeln!(out, "{:7}  {:NAME_WIDTH$}  {sign} {line}", "", "")?;
        }
    }
    Ok(())
}

/// Writes all of them as one JSON array.
pub(super) fn print_json(findings: &[Finding]) -> io::Result<()> {
    out::json(&findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fix_stands_under_its_problem() {
        let mut out = Vec::new();
        let found =
            [Finding::ok("disk", "4 GB free"), Finding::problem("clock", "1970", "set it\nand keep it")];
        print(&mut out, &found).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<_> = text.lines().map(str::trim_end).collect();
        assert_eq!(lines[0], "ok       disk                  4 GB free");
        assert_eq!(lines[1], "PROBLEM  clock                 1970");
        assert!(lines[2].trim_start() == "-> set it" && lines[3].trim_start() == "and keep it", "{text}");
    }
}
