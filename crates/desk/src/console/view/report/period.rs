//! What a report is of: a day, a week or a month, UTC, or the time that the filter chooses.

use crate::console::ask::{self, Ask, Problem};
use crate::console::view::asked;
use crate::index::Span;
use crate::moment;
use roridula_evidence::rfc3339;
use roridula_proto::time::WallClock;

/// Microseconds of a day.
const DAY: u64 = 24 * 3600 * 1_000_000;
/// 1970-01-01 was a Thursday: so many days after a Monday.
const EPOCH_WEEKDAY: u64 = 3;
const WEEK_DAYS: u64 = 7;
/// Days after a month's first that lie in the next one, whichever month it is.
const NEXT_MONTH: u64 = 31;
/// The shortest month's days: also what follows the last month that has a date.
const MONTH_MIN: u64 = 28;

/// What a report can be filtered by, besides its time.
pub(super) const FILTERS: [&str; 4] = ["source", "family", "stage", "tool"];

/// How long a report's time is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Day,
    Week,
    Month,
    /// As the filter says.
    Chosen,
}

impl Unit {
    /// Those that can be asked for by name.
    pub(super) const NAMED: [Self; 3] = [Self::Day, Self::Week, Self::Month];

    /// Its word.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Chosen => "chosen",
        }
    }
}

/// A report's time, and the one before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Period {
    pub(super) unit: Unit,
    pub(super) span: Span,
    /// As much of it as there is of `span` so far.
    pub(super) before: Span,
    /// Whether its end lies in the future.
    pub(super) so_far: bool,
    /// Its name: `2026-11-24`, `2026-11-23 to 2026-11-29`, `2026-11`.
    pub(super) name: String,
}

impl Period {
    /// What is asked for: `period` with a day `on` it, the week of today where nothing is said.
    pub(super) fn of(ask: &Ask) -> Result<Self, Problem> {
        let unit = match ask.value("period") {
            Some(word) => {
                let unit = Unit::NAMED.into_iter().find(|unit| unit.as_str() == word);
                Some(unit.ok_or_else(|| Problem::Bad("`period` is day, week or month".to_owned()))?)
            }
            None => None,
        };
        let on = ask.value("on").map(|day| {
            let bad = || Problem::Bad("`on` is a day in UTC, as in 2026-11-23".to_owned());
            moment::parse_time(day).ok_or_else(bad)
        });
        let on = on.transpose()?.unwrap_or(ask.now);
        if on > ask.now {
            let today = date(ask.now);
            return Err(Problem::Bad(format!(
                "`on` lies in the future: nothing came after {today}, which is today"
            )));
        }
        let is_chosen =
            ask.filter.since.is_some() || ask.filter.until.is_some() || !ask.filter.range.is_empty();
        if let Some(word) = ["period", "on"].into_iter().find(|word| is_chosen && ask.value(word).is_some()) {
            return Err(Problem::Bad(format!(
                "`{word}` and a time (`range`, `since`, `until`) exclude each other: leave one of them out"
            )));
        }
        Ok(match unit {
            Some(unit) => Self::around(unit, on, ask.now),
            None if is_chosen && ask.filter.since.is_some_and(|since| since > ask.now) => {
                let now = moment(ask.now);
                return Err(Problem::Bad(format!(
                    "`since` lies in the future: nothing came after {now}, which is now"
                )));
            }
            None if is_chosen => Self::chosen(ask),
            None => Self::around(Unit::Week, on, ask.now),
        })
    }

    fn around(unit: Unit, on: WallClock, now: WallClock) -> Self {
        let day = on.0 / DAY;
        let monday = day.saturating_sub((day + EPOCH_WEEKDAY) % WEEK_DAYS);
        let (before, since, until) = match unit {
            Unit::Day | Unit::Chosen => (day.saturating_sub(1), day, day + 1),
            Unit::Week => (monday.saturating_sub(WEEK_DAYS), monday, monday + WEEK_DAYS),
            Unit::Month => {
                let first = month(day);
                (month(first.saturating_sub(1)), first, month(first + NEXT_MONTH).max(first + MONTH_MIN))
            }
        };
        let span =
            |since: u64, until: u64| Span { since: WallClock(since * DAY), until: WallClock(until * DAY) };
        let date = |day: u64| date(WallClock(day * DAY));
        let name = match unit {
            Unit::Day | Unit::Chosen => date(since),
            Unit::Week => format!("{} to {}", date(since), date(until - 1)),
            Unit::Month => date(since).get(..7).unwrap_or_default().to_owned(),
        };
        let (span, mut before) = (span(since, until), span(before, since));
        let so_far = span.until > now;
        if so_far {
            // A part is compared with a part.
            let end = before.since.0.saturating_add(now.0.saturating_sub(span.since.0));
            before.until = before.until.min(WallClock(end));
        }
        Self { unit, span, before, so_far, name }
    }

    fn chosen(ask: &Ask) -> Self {
        let span = asked::span(ask);
        let before = Span { since: WallClock(span.since.0.saturating_sub(span.len())), until: span.since };
        let name = match (span.since.0, ask.filter.range) {
            (0, _) => "all of it".to_owned(),
            (_, "") => format!("{} to {}", moment(span.since), moment(span.until)),
            (_, range) => format!("the last {range}"),
        };
        Self { unit: Unit::Chosen, span, before, so_far: false, name }
    }

    /// The address of the report before or after this one.
    pub(super) fn neighbour(&self, ask: &Ask, later: bool) -> Option<String> {
        let on = if later { self.span.until } else { self.before.since };
        let is_there = self.unit != Unit::Chosen && !(later && self.so_far) && self.span.since.0 > 0;
        is_there.then(|| Self::address(ask, self.unit, Some(&date(on))))
    }

    /// The address of the report of such a time, of a day in it or of now, with the filter that is asked for.
    pub(super) fn address(ask: &Ask, unit: Unit, on: Option<&str>) -> String {
        let mut pairs = vec![("period", unit.as_str())];
        pairs.extend(on.map(|on| ("on", on)));
        pairs.extend(FILTERS.iter().filter_map(|name| Some((*name, ask.value(name)?))));
        ask::address("/report", pairs.into_iter())
    }
}

/// The first day of the month in which a day lies.
fn month(day: u64) -> u64 {
    let text = date(WallClock(day.saturating_mul(DAY)));
    let first = text.get(..7).and_then(|month| moment::parse_time(&format!("{month}-01")));
    first.map_or(day, |first| first.0 / DAY)
}

/// `2026-11-24`
pub(super) fn date(at: WallClock) -> String {
    rfc3339(at).get(..10).unwrap_or_default().to_owned()
}

fn moment(at: WallClock) -> String {
    rfc3339(at).get(..16).unwrap_or_default().replace('T', " ")
}

#[cfg(test)]
mod tests {
    use super::super::super::asked::tests::ask;
    use super::*;

    fn told(query: &[(&str, &str)]) -> (String, String, String, String) {
        let period = Period::of(&ask("/report", query)).unwrap();
        let span = (date(period.span.since), date(period.span.until));
        (period.name, span.0, span.1, date(period.before.since))
    }

    fn texts(name: &str, since: &str, until: &str, before: &str) -> (String, String, String, String) {
        (name.to_owned(), since.to_owned(), until.to_owned(), before.to_owned())
    }

    #[test]
    fn days_weeks_and_months_are_the_calendars() {
        let week = texts("2025-11-17 to 2025-11-23", "2025-11-17", "2025-11-24", "2025-11-10");
        assert_eq!(told(&[]), week, "the week of the day that is asked on, a Sunday");
        assert_eq!(told(&[("period", "week"), ("on", "2025-11-17")]), week);
        let day = told(&[("period", "day"), ("on", "2024-03-01")]);
        assert_eq!(day, texts("2024-03-01", "2024-03-01", "2024-03-02", "2024-02-29"));
        let month = told(&[("period", "month"), ("on", "2024-02-29")]);
        assert_eq!(month, texts("2024-02", "2024-02-01", "2024-03-01", "2024-01-01"));
        let year = told(&[("period", "month"), ("on", "2025-01-31")]);
        assert_eq!(year, texts("2025-01", "2025-01-01", "2025-02-01", "2024-12-01"));
        assert_eq!(told(&[("period", "week"), ("on", "1970-01-01")]).1, "1970-01-01");
    }

    #[test]
    fn the_filter_chooses_and_the_time_before_is_as_long() {
        let day = ask("/report", &[("range", "24h")]);
        let period = Period::of(&day).unwrap();
        assert_eq!((period.name.as_str(), period.before.len()), ("the last 24h", period.span.len()));
        assert_eq!(period.neighbour(&day, true), None);
        let all = Period::of(&ask("/report", &[("range", "all")])).unwrap();
        assert!(all.before.is_empty() && all.name == "all of it");
        assert!(Period::of(&ask("/report", &[("period", "year")])).is_err());
        assert!(Period::of(&ask("/report", &[("on", "yesterday")])).is_err());
        let future = Period::of(&ask("/report", &[("since", "2025-11-24")])).unwrap_err().to_string();
        assert!(future.contains("`since` lies in the future"), "{future}");
    }

    #[test]
    fn a_part_is_compared_with_a_part() {
        let week = Period::of(&ask("/report", &[])).unwrap();
        let now = 1_763_866_200_000_000;
        assert!(week.so_far && week.before.len() == now - week.span.since.0);
        let past = Period::of(&ask("/report", &[("on", "2025-11-03")])).unwrap();
        assert!(!past.so_far && past.before.until == past.span.since);
        for period in ["day", "week", "month"] {
            let edge = Period::of(&ask("/report", &[("period", period), ("on", "1970-01-01")])).unwrap();
            assert!(!edge.span.is_empty(), "{period}");
            assert!(Period::of(&ask("/report", &[("period", period), ("on", "2025-11-23")])).is_ok());
            for future in ["2025-11-24", "9999-12-31"] {
                let problem = Period::of(&ask("/report", &[("period", period), ("on", future)])).unwrap_err();
                assert!(problem.to_string().contains("`on` lies in the future"), "{problem}");
            }
        }
    }

    #[test]
    fn reports_lead_to_their_neighbours() {
        let asked = ask("/report", &[("period", "month"), ("on", "2025-01-31"), ("source", "192.0.2.7")]);
        let month = Period::of(&asked).unwrap();
        assert_eq!(
            month.neighbour(&asked, false).as_deref(),
            Some("/report?period=month&on=2024-12-01&source=192.0.2.7")
        );
        assert_eq!(
            month.neighbour(&asked, true).as_deref(),
            Some("/report?period=month&on=2025-02-01&source=192.0.2.7")
        );
    }
}
