//! How values read.

use maud::{Markup, html};
use roridula_evidence::rfc3339;
use roridula_proto::event::Text;
use roridula_proto::time::WallClock;

/// Characters of an attacker's text that a page shows; all of it is in the JSON.
pub(crate) const SHOWN_MAX: usize = 160;

/// An attacker's text for a page: cut, control and bidirectional characters made visible. `maud` escapes it for HTML.
pub(crate) fn shown(text: &str) -> String {
    shown_to(text, SHOWN_MAX)
}

/// As [`shown`], of at most `max` characters.
pub(crate) fn shown_to(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((at, _)) => {
            format!("{}… ({} bytes)", Text::from(text.get(..at).unwrap_or_default()), text.len())
        }
        None => Text::from(text).to_string(),
    }
}

/// A number with its thousands parted.
pub(crate) fn number(n: u64) -> String {
    crate::sample::thousands(n)
}

/// A number of things: `1 capture`, `2,000 captures`.
pub(crate) fn count(n: u64, thing: &str) -> String {
    format!("{} {thing}{}", number(n), if n == 1 { "" } else { "s" })
}

/// A number of bytes in the largest unit that fits.
pub(crate) fn size(bytes: u64) -> String {
    crate::story::size(bytes)
}

/// A point in time: UTC, and by the script in the reader's zone as well.
pub(crate) fn time(at: WallClock) -> Markup {
    let text = rfc3339(at);
    html! { time datetime=(text) { (plain(&text)) " UTC" } }
}

/// As [`time`], where the head of its column says that it is UTC.
pub(crate) fn bare_time(at: WallClock) -> Markup {
    let text = rfc3339(at);
    html! { time datetime=(text) { (plain(&text)) } }
}

fn plain(rfc3339: &str) -> String {
    rfc3339.get(..19).unwrap_or(rfc3339).replace('T', " ")
}

/// What a core is, of its kind's word.
pub(crate) fn kind(word: &str) -> String {
    match word {
        "pe" => "PE file".to_owned(),
        "zip" => "ZIP".to_owned(),
        other => shown(other),
    }
}

/// How far something came, in the words of the funnel: of a step's, a stage's or an outcome's word.
pub(crate) fn stage(word: &str) -> &str {
    match word {
        "connect" => "connected",
        "negotiate" => "negotiated",
        "logon" => "logged on",
        "probe" | "probed" => "MS17-010 checked",
        "exploit" => "exploited",
        "ping" | "pinged" => "implant pinged",
        "implant" => "implant shown",
        "upload" | "uploaded" => "upload begun",
        "complete" | "capture" | "captured" => "upload complete",
        "new" => "new sample",
        "kill" | "killed" => "implant killed",
        other => other,
    }
}

/// As [`time`], of a text that [`rfc3339`] wrote.
pub(crate) fn time_text(at: &str) -> Markup {
    match parse_time(at) {
        Some(at) => time(at),
        None => html! { (shown(at)) },
    }
}

/// How long ago, in the largest unit that fits.
pub(crate) fn ago(at: WallClock, now: WallClock) -> String {
    let secs = now.0.saturating_sub(at.0) / 1_000_000;
    match secs {
        0..60 => format!("{secs} s ago"),
        60..3600 => format!("{} min ago", secs / 60),
        3600..86_400 => format!("{} h ago", secs / 3600),
        _ => format!("{} d ago", secs / 86_400),
    }
}

/// A hash or name: its beginning, the whole of it to copy.
pub(crate) fn hash(text: &str) -> Markup {
    let short = text.get(..12).unwrap_or(text);
    html! { code.hash title=(shown(text)) data-copy=(text) { (shown(short)) } }
}

/// `2026-11-23`, `2026-11-23T02:50[:SS[.ffffff]][Z]` as a point in time; `None` for anything else.
pub(crate) fn parse_time(text: &str) -> Option<WallClock> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, clock) = text.split_once(['T', ' ']).unwrap_or((text, "00:00"));
    let mut parts = date.splitn(3, '-');
    let (year, month, day) =
        (digits(parts.next()?, 4)?, digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut parts = clock.splitn(3, ':');
    let (hour, minute) = (digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    let second = parts.next().map_or(Some(0), |text| digits(text, 2))?;
    let micros = match fraction.len() {
        0 => 0,
        1..=6 => digits(fraction, fraction.len())?
            .checked_mul(10u64.pow(6 - u32::try_from(fraction.len()).ok()?))?,
        _ => return None,
    };
    let fits = (1970..=9999).contains(&year) && hour < 24 && minute < 60 && second < 60;
    let days = fits.then(|| days(year, month, day)).flatten()?;
    Some(WallClock((((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000 + micros))
}

fn digits(text: &str, count: usize) -> Option<u64> {
    (text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// Days since 1970 of a date in the Gregorian calendar.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let february = if leap(year) { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let length = *lengths.get(usize::try_from(month.checked_sub(1)?).ok()?)?;
    let before: u64 = lengths.iter().take(usize::try_from(month - 1).ok()?).sum();
    let years: u64 = (1970..year).map(|year| if leap(year) { 366 } else { 365 }).sum();
    (1..=length).contains(&day).then(|| years + before + day - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        for at in [0, 1, 86_399_999_999, 1_763_866_200_123_456, 951_782_400_000_000, 4_107_542_399_000_000] {
            assert_eq!(parse_time(&rfc3339(WallClock(at))), Some(WallClock(at)));
        }
        assert_eq!(parse_time("2026-11-23"), parse_time("2026-11-23T00:00:00Z"));
        for wrong in
            ["", "2026", "2026-13-01", "2026-02-29", "2026-1-1", "2026-01-01T25:00", "2026-01-01T1:1", "x"]
        {
            assert_eq!(parse_time(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_attackers_text_is_cut_and_made_visible() {
        assert_eq!(shown("a\u{202e}b\x1b"), "a\\u{202e}b\\u{1b}");
        assert_eq!(shown_to(&"ä".repeat(9), 3), "äää… (18 bytes)");
    }
}
