//! Points in time as people type them.

use roridula_proto::time::WallClock;

/// `2026-11-23`, `2026-11-23T02:50[:SS[.ffffff]][Z]` as a point in time; `None` for anything else.
pub fn parse_time(text: &str) -> Option<WallClock> {
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
    use roridula_evidence::rfc3339;

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
}
