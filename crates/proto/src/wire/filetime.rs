//! FILETIME: 100 ns since 1601-01-01 UTC ([MS-DTYP] 2.3.3).

/// Seconds from 1601 to 1970.
const EPOCH_SECS: u64 = 11_644_473_600;
/// How often the system clock of Windows 7 advances, in 100 ns: 15.6 ms (64 Hz).
const TICK: u64 = 156_250;

/// The FILETIME of a moment given in microseconds since 1970, in the steps in which Windows' clock advances.
pub fn from_unix_micros(now: u64) -> u64 {
    let exact = EPOCH_SECS.saturating_mul(10_000_000).saturating_add(now.saturating_mul(10));
    exact.saturating_sub(exact.checked_rem(TICK).unwrap_or(0))
}

/// Year, month and day of a number of days since 1601-01-01.
pub fn civil(days: i64) -> (i64, i64, i64) {
    // (The era of 400 years begins 2000-03-01 less 1600 years.)
    let shifted = days.saturating_add(306).saturating_add(584_388);
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let leap = day_of_era.div_euclid(1460);
    let century = day_of_era.div_euclid(36_524);
    let last = day_of_era.div_euclid(146_096);
    let year_of_era =
        day_of_era.saturating_sub(leap).saturating_add(century).saturating_sub(last).div_euclid(365);
    let before = year_of_era
        .saturating_mul(365)
        .saturating_add(year_of_era.div_euclid(4))
        .saturating_sub(year_of_era.div_euclid(100));
    let day_of_year = day_of_era.saturating_sub(before);
    let month_index = day_of_year.saturating_mul(5).saturating_add(2).div_euclid(153);
    let day = day_of_year
        .saturating_sub(month_index.saturating_mul(153).saturating_add(2).div_euclid(5))
        .saturating_add(1);
    let month = if month_index < 10 { month_index.saturating_add(3) } else { month_index.saturating_sub(9) };
    let year = year_of_era.saturating_add(era.saturating_mul(400)).saturating_add(i64::from(month <= 2));
    (year, month, day)
}

/// A FILETIME as people write it, in UTC and without its parts of a second.
pub fn shown(file_time: u64) -> String {
    let secs = i64::try_from(file_time.checked_div(10_000_000).unwrap_or(0)).unwrap_or(0);
    let (days, second) = (secs.div_euclid(86_400), secs.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (hour, rest) = (second.div_euclid(3600), second.rem_euclid(3600));
    let (minute, second) = (rest.div_euclid(60), rest.rem_euclid(60));
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unix_epoch_is_known() {
        assert_eq!(from_unix_micros(0), 116_444_736_000_000_000);
    }

    #[test]
    fn any_moment_is_shown() {
        assert_eq!(shown(from_unix_micros(0)), "1970-01-01 00:00:00 UTC");
        assert_eq!(shown(from_unix_micros(1_709_251_199_000_000)), "2024-02-29 23:59:59 UTC");
        assert_eq!((shown(0).as_str(), shown(u64::MAX).len()), ("1601-01-01 00:00:00 UTC", 24));
    }
}
