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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unix_epoch_is_known() {
        assert_eq!(from_unix_micros(0), 116_444_736_000_000_000);
    }
}
