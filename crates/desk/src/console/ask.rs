//! What is asked for: the address of a request, understood.
//!
//! Every view filters by the same names, so that a filter stays when a reader goes from view to view, and an address can be
//! sent to somebody else.

use super::stage::Reached;
use crate::incident::IncidentId;
use crate::index::Network;
use roridula_evidence::wall_clock;
use roridula_proto::time::WallClock;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Characters of one value; longer ones are refused.
const VALUE_CHARS_MAX: usize = 512;
/// Rows of a page of a list.
pub(crate) const ROWS: usize = 50;
/// Rows that may be asked for at once, as a page or as CSV.
pub(crate) const ROWS_MAX: usize = 1000;

/// The words of the filter: they stay from view to view.
pub(crate) const FILTERS: [&str; 7] = ["range", "since", "until", "source", "family", "stage", "tool"];
/// Characters of a word that means nothing, as far as it is told.
const WORD_CHARS_MAX: usize = 64;

/// How an answer is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Form {
    /// A page for people.
    #[default]
    Page,
    /// The model, for programs.
    Json,
    /// One of the model's tables.
    Csv,
    /// The page as text, where a view has one.
    Markdown,
}

/// A stretch of time that can be chosen by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    /// Its name in an address.
    pub(crate) name: &'static str,
    /// Its length in seconds; 0: since the beginning.
    pub(crate) secs: u64,
}

/// All of them.
pub(crate) const RANGES: [Range; 5] = [
    Range { name: "1h", secs: 3600 },
    Range { name: "24h", secs: 24 * 3600 },
    Range { name: "7d", secs: 7 * 24 * 3600 },
    Range { name: "30d", secs: 30 * 24 * 3600 },
    Range { name: "all", secs: 0 },
];

/// Their names.
pub(crate) const RANGE_NAMES: &[&str] = &["1h", "24h", "7d", "30d", "all"];

/// What a view shows of all that there is. `None`: all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// The range's name; empty where `since` and `until` were given, or nothing.
    pub(crate) range: &'static str,
    /// Nothing before it.
    pub(crate) since: Option<WallClock>,
    /// Nothing at or after it.
    pub(crate) until: Option<WallClock>,
    /// Only of this visitor, or of this network.
    pub(crate) source: Option<Network>,
    /// Only of this family.
    pub(crate) family: Option<String>,
    /// Only what came at least so far.
    pub(crate) stage: Option<Reached>,
    /// Only of this tool.
    pub(crate) tool: Option<String>,
}

/// A request, understood.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ask {
    /// When it was asked.
    pub(crate) now: WallClock,
    /// The path as it came.
    pub(crate) path: String,
    /// What stands in the path's places, by their names.
    pub(crate) places: BTreeMap<String, String>,
    /// The query, by name.
    pub(crate) query: BTreeMap<String, String>,
    /// Words of the filter that the view has no use for: they only stay for the other views.
    pub(crate) carried: BTreeMap<String, String>,
    /// The words of every list that the view heeds.
    pub(crate) heeds: &'static [&'static str],
    /// The filter of the query.
    pub(crate) filter: Filter,
    /// How to answer.
    pub(crate) form: Form,
    /// A token that a form of the page must send back.
    pub(crate) csrf: String,
    /// Whether somebody logged in to ask it, and may log out.
    pub(crate) logged_in: bool,
    /// What the page says of the question itself.
    pub(crate) notes: Vec<String>,
}

/// What cannot be understood, or not be answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    /// The address says something that makes no sense.
    #[error("{0}")]
    Bad(String),
    /// There is no such thing.
    #[error("{0}")]
    Missing(String),
    /// It is at another address of ours.
    #[error("it is at {0}")]
    Elsewhere(String),
    /// Too many ask for it at the same time.
    #[error("{0}")]
    Busy(String),
    /// What the samples are is not known yet.
    #[error("the samples are still being read since the console's start: ask again in a few seconds")]
    Reading,
    /// Something of ours failed.
    #[error("{0}")]
    Failed(String),
}

impl Problem {
    /// For `map_err`: a failure told in its own words.
    pub(crate) fn failed(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }
}

impl Ask {
    /// Understands a path with its places and a query; `now` is when it was asked.
    pub(crate) fn new(
        now: WallClock,
        path: &str,
        places: BTreeMap<String, String>,
        pairs: Vec<(String, String)>,
    ) -> Result<Self, Problem> {
        let mut query = BTreeMap::new();
        for (name, value) in pairs {
            if value.chars().nth(VALUE_CHARS_MAX).is_some() {
                return Err(Problem::Bad(format!("`{name}` is longer than {VALUE_CHARS_MAX} characters")));
            }
            // A form sends the fields that nobody filled in as well.
            if value.is_empty() {
                continue;
            }
            if query.contains_key(&name) {
                return Err(twice(&name));
            }
            query.insert(name, value);
        }
        let form = match query.get("as").map(String::as_str) {
            None | Some("page") => Form::Page,
            Some("json") => Form::Json,
            Some("csv") => Form::Csv,
            Some("markdown") => Form::Markdown,
            Some(_) => return Err(Problem::Bad("`as` is one of page, json, csv, markdown".to_owned())),
        };
        let notes = one_time(&mut query, form == Form::Page && !path.starts_with("/api/"))?;
        let filter = Filter::of(&query, now)?;
        Ok(Self {
            now,
            path: path.to_owned(),
            places,
            query,
            carried: BTreeMap::new(),
            heeds: &[],
            filter,
            form,
            csrf: String::new(),
            logged_in: false,
            notes,
        })
    }

    /// Takes a word of the filter out, for which the view has no use. It stays for the other views.
    pub(crate) fn set_aside(&mut self, word: &str) {
        if let Some(value) = self.query.remove(word) {
            self.carried.insert(word.to_owned(), value);
        }
        let filter = &mut self.filter;
        match word {
            "source" => filter.source = None,
            "family" => filter.family = None,
            "stage" => filter.stage = None,
            "tool" => filter.tool = None,
            // The time, in which word it may stand.
            _ => (filter.range, filter.since, filter.until) = ("", None, None),
        }
    }

    /// Whether the filter leaves something out, other than by a range of time.
    pub(crate) fn is_filtered(&self) -> bool {
        let Filter { source, family, stage, tool, .. } = &self.filter;
        source.is_some()
            || stage.is_some()
            || [family, tool].iter().any(|text| text.is_some())
            || self.value("since").or(self.value("until")).is_some()
    }

    /// What stands in the path's place of this name.
    pub(crate) fn place(&self, name: &str) -> &str {
        self.places.get(name).map_or("", String::as_str)
    }

    /// The value of this name in the query.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// How many rows are asked for.
    pub(crate) fn limit(&self) -> Result<usize, Problem> {
        let default = if self.form == Form::Page { ROWS } else { ROWS_MAX };
        let Some(text) = self.value("limit") else { return Ok(default) };
        match text.parse() {
            Ok(limit) if (1..=ROWS_MAX).contains(&limit) => Ok(limit),
            _ => Err(Problem::Bad(format!("`limit` is a number from 1 to {ROWS_MAX}"))),
        }
    }

    /// Where the page begins: what an earlier answer gave as `next`.
    pub(crate) fn cursor(&self) -> Option<&str> {
        self.value("cursor")
    }

    /// An incident's name in the path.
    pub(crate) fn incident(&self, place: &str) -> Result<IncidentId, Problem> {
        let text = self.place(place);
        text.parse().map_err(|_| Problem::Missing("this is no incident's name".to_owned()))
    }

    /// The address of `path` with this filter, so that it stays from view to view.
    pub(crate) fn to(&self, path: &str) -> String {
        let pairs = self.query.iter().chain(&self.carried);
        let pairs = pairs.filter(|(name, _)| FILTERS.contains(&name.as_str()));
        address(path, pairs.map(|(name, value)| (name.as_str(), value.as_str())))
    }

    /// This address with `name` set to `value`, or without it where that is empty. The page begins anew.
    pub(crate) fn with(&self, name: &str, value: &str) -> String {
        let mut query = self.query.clone();
        query.remove("cursor");
        query.remove(name);
        // A time is said in one way.
        let other: &[&str] = match name {
            "range" => &["since", "until"],
            "since" | "until" => &["range"],
            _ => &[],
        };
        other.iter().for_each(|word| drop(query.remove(*word)));
        if !value.is_empty() {
            query.insert(name.to_owned(), value.to_owned());
        }
        address(&self.path, query.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }
}

impl Filter {
    fn of(query: &BTreeMap<String, String>, now: WallClock) -> Result<Self, Problem> {
        let text = |name: &str| query.get(name).cloned();
        let mut filter = Self { family: text("family"), tool: text("tool"), ..Self::default() };
        filter.stage = text("stage").map(|word| stage(&word)).transpose()?;
        filter.since = text("since").map(|value| time("since", &value)).transpose()?;
        filter.until = text("until").map(|value| time("until", &value)).transpose()?;
        if filter.since.zip(filter.until).is_some_and(|(since, until)| since > until) {
            return Err(Problem::Bad("`until` is before `since`: nothing lies between them".to_owned()));
        }
        if let Some(name) = text("range") {
            let range = RANGES
                .iter()
                .find(|range| range.name == name)
                .ok_or_else(|| Problem::Bad(format!("`range` is one of {}", RANGE_NAMES.join(", "))))?;
            filter.range = range.name;
            if range.secs > 0 && filter.since.is_none() {
                filter.since = Some(WallClock(now.0.saturating_sub(range.secs.saturating_mul(1_000_000))));
            }
        }
        if let Some(source) = text("source") {
            let network = source.parse().map_err(|_| {
                let form = "192.0.2.7, 192.0.2.0/24 or 2001:db8::/32";
                Problem::Bad(format!("`source` is an IP address or a network, as in {form}"))
            })?;
            filter.source = Some(network);
        }
        Ok(filter)
    }
}

/// A word for how far something came.
fn stage(word: &str) -> Result<Reached, Problem> {
    let told = || Problem::Bad(format!("`stage` is one of {}", Reached::words().join(", ")));
    Reached::from_word(word).ok_or_else(told)
}

/// That a word stands in the query more than once.
fn twice(name: &str) -> Problem {
    let name: String = name.chars().take(WORD_CHARS_MAX).collect();
    Problem::Bad(format!("`{name}` is said more than once: say it once"))
}

/// Sees to it that a time is said in one way: `range` ends now, and `since` and `until` say when. A page, whose links and forms
/// may have brought both, leaves the range out and says so.
fn one_time(query: &mut BTreeMap<String, String>, is_page: bool) -> Result<Vec<String>, Problem> {
    let is_told = query.contains_key("since") || query.contains_key("until");
    match query.get("range") {
        Some(_) if is_told && is_page => {
            query.remove("range");
            Ok(vec!["The range is left out: from and to say which time.".to_owned()])
        }
        Some(_) if is_told => {
            let fix =
                "`range` ends now: leave it out where `since` or `until` says the time, or leave these out";
            Err(Problem::Bad(fix.to_owned()))
        }
        _ => Ok(Vec::new()),
    }
}

/// A point in time: `2026-11-23`, `2026-11-23T02:50`, or with seconds, fraction and `Z`; UTC.
fn time(name: &str, text: &str) -> Result<WallClock, Problem> {
    let bad = || Problem::Bad(format!("`{name}` is a time in UTC, as in 2026-11-23 or 2026-11-23T02:50:00Z"));
    crate::moment::parse_time(text).ok_or_else(bad)
}

/// That a word of a query means nothing there, and what does.
pub(crate) fn unknown_word(word: &str, known: &[&str]) -> Problem {
    let word: String = word.chars().take(WORD_CHARS_MAX).collect();
    let known = if known.is_empty() { "nothing".to_owned() } else { known.join(", ") };
    Problem::Bad(format!("`{word}` means nothing here; what may be said is {known}"))
}

/// The time of the request.
pub(crate) fn now() -> WallClock {
    wall_clock()
}

/// `path?name=value&…`, every byte that may not stand there escaped.
pub(crate) fn address<'a>(path: &str, pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = path.to_owned();
    for (at, (name, value)) in pairs.enumerate() {
        text.push(if at == 0 { '?' } else { '&' });
        escape(name, &mut text);
        text.push('=');
        escape(value, &mut text);
    }
    text
}

fn escape(value: &str, text: &mut String) {
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b':' => {
                text.push(char::from(byte))
            }
            // Writing to a String cannot fail.
            _ => drop(write!(text, "%{byte:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(query: &[(&str, &str)]) -> Result<Ask, Problem> {
        let pairs = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Ask::new(WallClock(10_000_000_000_000), "/samples", BTreeMap::new(), pairs)
    }

    #[test]
    fn a_filter_stays_from_view_to_view_and_a_cursor_does_not() {
        let ask =
            ask(&[("range", "24h"), ("source", "192.0.2.7"), ("cursor", "x"), ("family", "a&b c")]).unwrap();
        assert_eq!(ask.to("/groups"), "/groups?family=a%26b%20c&range=24h&source=192.0.2.7");
        assert_eq!(ask.with("source", ""), "/samples?family=a%26b%20c&range=24h");
        assert_eq!(ask.filter.since, Some(WallClock(10_000_000_000_000 - 86_400_000_000)));
    }

    #[test]
    fn a_time_is_said_in_one_way() {
        assert!(RANGES.iter().map(|range| range.name).eq(RANGE_NAMES.iter().copied()));
        let both = [("range", "1h"), ("since", "1970-03-01")];
        let page = ask(&both).unwrap();
        assert!(page.filter.range.is_empty() && page.notes.len() == 1 && page.value("range").is_none());
        assert_eq!(page.with("range", "7d"), "/samples?range=7d");
        assert_eq!(ask(&[("range", "7d")]).unwrap().with("until", "2026-01-01"), "/samples?until=2026-01-01");
        for other in ["since", "until"] {
            let problem = ask(&[("range", "1h"), (other, "1970-03-01"), ("as", "json")]).unwrap_err();
            assert!(problem.to_string().contains("`range`") && problem.to_string().contains(other));
        }
    }

    #[test]
    fn what_a_view_has_no_use_for_stays_for_the_others() {
        let mut ask = ask(&[("source", "192.0.2.7"), ("stage", "probe"), ("range", "1h")]).unwrap();
        ["source", "stage", "range"].iter().for_each(|word| ask.set_aside(word));
        assert_eq!(ask.filter, Filter::default());
        assert_eq!(ask.with("limit", "5"), "/samples?limit=5");
        assert_eq!(ask.to("/groups"), "/groups?range=1h&source=192.0.2.7&stage=probe");
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        for (name, value) in [
            ("range", "2y"),
            ("source", "<b>"),
            ("stage", "bogus"),
            ("since", "yesterday"),
            ("as", "xml"),
            ("family", &"x".repeat(600)),
        ] {
            let problem = ask(&[(name, value)]).unwrap_err().to_string();
            assert!(problem.contains(&format!("`{name}`")), "{problem}");
        }
        for limit in ["0", "1001", "-1", "many"] {
            assert!(ask(&[("limit", limit)]).unwrap().limit().is_err());
        }
        for both in [[("range", "1h"), ("range", "24h")], [("tool", "x"), ("tool", "x")]] {
            assert!(ask(&both).unwrap_err().to_string().contains("more than once"));
        }
        assert_eq!(ask(&[("source", "")]).unwrap().filter, Filter::default());
    }
}
