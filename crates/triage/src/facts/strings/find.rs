//! What is looked for in one readable text.

use super::super::IndicatorKind;
use super::glance::Glance;
use super::{known, wallet, words};

/// What ends a word: blanks, quotes, brackets and separators that no URL or address has.
fn ends_word(character: char) -> bool {
    const SEPARATORS: [char; 15] =
        ['"', '\'', '<', '>', '(', ')', '[', ']', '{', '}', '|', ';', ',', '`', '^'];
    character.is_ascii_whitespace() || SEPARATORS.contains(&character)
}

/// Tells every indicator: kind, place in characters, value, note.
pub(super) fn all(text: &str, glance: &Glance, mut tell: impl FnMut(IndicatorKind, usize, &str, String)) {
    let Glance { marks, long, names, .. } = *glance;
    if long && !(marks || names) {
        wallets(0, text, &mut tell);
    }
    let words = if marks || names { text } else { "" };
    for (at, word) in pieces(words, ends_word) {
        if word.len() < 5 {
            continue;
        }
        if marks && (url(at, word, &mut tell) || email(at, word, &mut tell)) {
            continue;
        }
        if word.contains('.') {
            address(at, word, &mut tell);
            domain(at, word, &mut tell);
        }
        if long {
            wallets(at, word, &mut tell);
        }
        if names && words::NAMES.any_in(word) {
            named(at, word, known::FILES, IndicatorKind::File, &mut tell);
            named(at, word, known::SERVICES, IndicatorKind::Service, &mut tell);
            mutex(at, word, &mut tell);
        }
    }
    if marks {
        bracketed_urls(text, &mut tell);
    }
    if glance.commands {
        command(text, &mut tell);
    }
}

/// How much a text tells that holds no indicator; 0 for nothing.
pub(super) fn rank(text: &str, glance: &Glance) -> u32 {
    let telling = if glance.telling { known::TELLING } else { &[] };
    let best = telling.iter().filter(|(word, _)| text.contains(word)).map(|(_, rank)| *rank).max();
    best.unwrap_or(0).max(if glance.sentence { 8 } else { 0 })
}

/// The parts between characters that `splits`, with their places.
fn pieces(text: &str, splits: impl Fn(char) -> bool) -> impl Iterator<Item = (usize, &str)> {
    let mut from = 0usize;
    text.split(splits).map(move |part| {
        let at = from;
        from = from.saturating_add(part.len()).saturating_add(1);
        (at, part)
    })
}

fn wallets(at: usize, text: &str, tell: Tell<'_>) {
    let mut from = 0usize;
    // Readable is ASCII.
    for part in text.as_bytes().split(|byte| !byte.is_ascii_alphanumeric()) {
        let word = std::str::from_utf8(part).ok().filter(|word| word.len() >= wallet::LEN_MIN);
        if let Some((word, note)) = word.and_then(|word| Some((word, wallet::note(word)?))) {
            tell(IndicatorKind::Wallet, at.saturating_add(from), word, note);
        }
        from = from.saturating_add(part.len()).saturating_add(1);
    }
}

type Tell<'a> = &'a mut dyn FnMut(IndicatorKind, usize, &str, String);

fn url(at: usize, word: &str, tell: Tell<'_>) -> bool {
    // One character is found much faster than three.
    let colon = word.contains(':');
    let Some((before, rest)) = colon.then(|| word.split_once("://")).flatten() else { return false };
    let scheme_len = before.chars().rev().take_while(|c| c.is_ascii_alphabetic() || *c == '+').count();
    let scheme_at = before.len().saturating_sub(scheme_len);
    let host = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default();
    let (name, port) = host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port)));
    let plausible = name.contains('.') && name.len() >= 4 && name.chars().all(in_name);
    if scheme_len < 3 || !plausible {
        return false;
    }
    let value = word.get(scheme_at..).unwrap_or(word);
    let scheme = before.get(scheme_at..).unwrap_or_default();
    let note = if scheme.to_ascii_lowercase().starts_with("stratum") { "a mining pool" } else { "" };
    tell(IndicatorKind::Url, at.saturating_add(scheme_at), value, note.to_owned());
    let name_at = at.saturating_add(before.len()).saturating_add(3);
    switch(name_at, name, tell);
    if octets(name).is_some_and(worth_telling) {
        tell(IndicatorKind::Ip, name_at, name, String::new());
    }
    tell_port(name_at, name, port, tell);
    true
}

/// URLs whose host is an IPv6 address, which stands in brackets (RFC 3986, section 3.2.2): words end at those.
fn bracketed_urls(text: &str, tell: Tell<'_>) {
    for (opening, _) in text.match_indices("://[") {
        let (before, host_at) = (text.get(..opening).unwrap_or_default(), opening.saturating_add(4));
        let scheme = before.chars().rev().take_while(char::is_ascii_alphabetic).count();
        let rest = text.get(host_at..).unwrap_or_default();
        let Some((host, behind)) = rest.split_once(']').filter(|_| scheme >= 3) else { continue };
        if host.parse::<std::net::Ipv6Addr>().is_err() {
            continue;
        }
        let behind = behind.split(ends_word).next().unwrap_or_default();
        let scheme_at = opening.saturating_sub(scheme);
        let end = host_at.saturating_add(host.len()).saturating_add(1).saturating_add(behind.len());
        tell(IndicatorKind::Url, scheme_at, text.get(scheme_at..end).unwrap_or_default(), String::new());
        tell(IndicatorKind::Ip, host_at, host, String::new());
        let port = behind.strip_prefix(':').map(|port| port.split('/').next().unwrap_or_default());
        // The bracket stands between the host and the colon.
        tell_port(host_at.saturating_add(1), host, port, tell);
    }
}

fn in_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '.' | '_')
}

fn tell_port(at: usize, host: &str, port: Option<&str>, tell: Tell<'_>) {
    let Some(port) = port else { return };
    let digits = port.len().saturating_sub(port.trim_start_matches(|c: char| c.is_ascii_digit()).len());
    let port = port.get(..digits).unwrap_or_default();
    if port.parse::<u16>().is_ok_and(|port| port > 0) {
        let port_at = at.saturating_add(host.len()).saturating_add(1);
        tell(IndicatorKind::Port, port_at, port, format!("of {host}"));
    }
}

/// A kill switch that is known, or nearly.
fn switch(at: usize, host: &str, tell: Tell<'_>) {
    let host = host.to_ascii_lowercase();
    let full = if host.starts_with("www.") { host.clone() } else { format!("www.{host}") };
    if let Some((_, note)) = known::KILL_SWITCHES.iter().find(|(name, _)| *name == full) {
        tell(IndicatorKind::KillSwitch, at, &host, (*note).to_owned());
        return;
    }
    let differ = full.chars().zip(known::ORIGINAL.chars()).filter(|(one, other)| one != other).count();
    let differ = differ.saturating_add(full.len().abs_diff(known::ORIGINAL.len()));
    if differ <= known::RELATIVE_MAX {
        let plural = if differ == 1 { "character differs" } else { "characters differ" };
        tell(IndicatorKind::KillSwitch, at, &host, format!("{differ} {plural} from the 2017 original's"));
    }
}

fn email(at: usize, word: &str, tell: Tell<'_>) -> bool {
    let Some((left, right)) = word.split_once('@') else { return false };
    let name_len = left.chars().rev().take_while(|c| in_name(*c) || "%+".contains(*c)).count();
    let name_at = left.len().saturating_sub(name_len);
    let host_len = right.chars().take_while(|c| c.is_ascii_alphanumeric() || "-.".contains(*c)).count();
    let host = right.get(..host_len).unwrap_or_default().trim_end_matches('.');
    let Some((domain, top)) = host.rsplit_once('.') else { return false };
    let is_top = (2..=24).contains(&top.len()) && top.chars().all(|c| c.is_ascii_lowercase());
    if name_len < 2 || domain.len() < 2 || !is_top {
        return false;
    }
    let end = left.len().saturating_add(1).saturating_add(host.len());
    tell(
        IndicatorKind::Email,
        at.saturating_add(name_at),
        word.get(name_at..end).unwrap_or(word),
        String::new(),
    );
    true
}

/// An IPv4 address, perhaps with a port. Four numbers are a version far more often.
fn address(at: usize, word: &str, tell: Tell<'_>) {
    for (offset, part) in pieces(word, |c| !(c.is_ascii_alphanumeric() || c == '.' || c == ':')) {
        let (host, port) = part.split_once(':').map_or((part, None), |(host, port)| (host, Some(port)));
        let at = at.saturating_add(offset);
        let Some(octets) = octets(host) else { continue };
        if port.is_none() && !worth_telling(octets) {
            continue;
        }
        tell(IndicatorKind::Ip, at, host, String::new());
        tell_port(at, host, port, tell);
    }
}

fn octets(host: &str) -> Option<[u8; 4]> {
    let mut octets = [0; 4];
    let mut parts = host.split('.');
    for octet in &mut octets {
        let part = parts.next().filter(|part| !part.starts_with('0') || *part == "0")?;
        let digits = part.bytes().all(|byte| byte.is_ascii_digit());
        *octet = part.parse().ok().filter(|_| digits)?;
    }
    parts.next().is_none().then_some(octets)
}

fn worth_telling([a, b, c, d]: [u8; 4]) -> bool {
    let small = [a, b, c, d].iter().all(|&octet| octet < 16);
    !(a == 0 || a >= 224 || small || (c == 0 && d == 0) || a == 127)
}

fn domain(at: usize, word: &str, tell: Tell<'_>) {
    for (offset, part) in pieces(word, |c| !in_name(c)) {
        let Some((name, top)) = part.rsplit_once('.') else { continue };
        let lower = !part.chars().any(|c| c.is_ascii_uppercase() || c == '_');
        let ok = name.len() >= 4 && name.chars().any(|c| c.is_ascii_alphabetic()) && !name.contains("..");
        if lower && ok && known::TOP_DOMAINS.contains(&top) && !name.starts_with(['.', '-']) {
            let at = at.saturating_add(offset);
            tell(IndicatorKind::Domain, at, part, String::new());
            switch(at, part, tell);
        }
    }
}

/// Names that are known, as words of their own inside of paths and command lines.
fn named(at: usize, word: &str, names: &[(&str, &str)], kind: IndicatorKind, tell: Tell<'_>) {
    for (name, whose) in names {
        let Some(found) = word.find(name) else { continue };
        let before = word.get(..found).and_then(|before| before.chars().next_back());
        let after = found
            .checked_add(name.len())
            .and_then(|end| word.get(end..))
            .and_then(|rest| rest.chars().next());
        let free =
            |neighbour: Option<char>| !neighbour.is_some_and(|c| c.is_ascii_alphanumeric() || c == '.');
        if free(before) && free(after) {
            tell(kind, at.saturating_add(found), name, (*whose).to_owned());
        }
    }
}

fn mutex(at: usize, word: &str, tell: Tell<'_>) {
    let spaced = known::NAME_SPACES.iter().find_map(|space| word.find(space));
    let known = known::MUTEXES.iter().find(|(name, _)| word.contains(name));
    let found = spaced.or_else(|| known.and_then(|(name, _)| word.find(name)));
    if let Some(found) = found {
        let value = word.get(found..).unwrap_or(word);
        if value.len() > "Global\\".len() {
            let note = known.map_or_else(String::new, |(_, whose)| (*whose).to_owned());
            tell(IndicatorKind::Mutex, at.saturating_add(found), value, note);
        }
    }
}

fn command(text: &str, tell: Tell<'_>) {
    let lower = text.to_ascii_lowercase();
    let found = known::COMMANDS.iter().filter_map(|start| lower.find(start)).min();
    let Some(found) = found else { return };
    // A name alone is no command.
    if text.trim().contains(' ') {
        // The path in front of its name is its own; a long line in front is not.
        const PATH_MAX: usize = 60;
        let nearest = found.saturating_sub(PATH_MAX);
        let from = text
            .get(nearest..found)
            .and_then(|before| before.rfind(['"', '\t']))
            .map_or(if nearest == 0 { 0 } else { found }, |at| nearest.saturating_add(at).saturating_add(1));
        tell(IndicatorKind::Command, from, text.get(from..).unwrap_or(text), String::new());
    }
}
