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
    crate::sample::counted(n, thing)
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

/// As [`time`], of a text that [`rfc3339`] wrote.
pub(crate) fn time_text(at: &str) -> Markup {
    match crate::moment::parse_time(at) {
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
    html! { code.hash title=(shown(text)) data-copy=[copied(text)] { (shown(short)) } }
}

/// What a click copies: nothing where it holds what nobody sees, for it may go into a terminal.
pub(crate) fn copied(text: &str) -> Option<&str> {
    text.chars().all(Text::shows).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attackers_text_is_cut_and_made_visible() {
        assert_eq!(shown("a\u{202e}b\x1b"), "a\\u{202e}b\\u{1b}");
        assert_eq!((copied("a:b"), copied("a\nb"), copied("a\u{feff}b")), (Some("a:b"), None, None));
        assert_eq!(shown_to(&"ä".repeat(9), 3), "äää… (18 bytes)");
    }
}
