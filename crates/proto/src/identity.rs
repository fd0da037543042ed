//! This install's own values: nothing that an attacker sees is a constant of our source but what is a
//! constant of Windows. All of them derive from one secret, so that they are unpredictable outside and
//! reproducible inside.

use crate::time::WallClock;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;

/// The install's secret: 32 random bytes, made once by the binary and kept in the data directory.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub [u8; 32]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Secret {
    /// HMAC-SHA-256(secret, label ‖ 0 ‖ context): 32 bytes that only this install can make.
    pub fn derive(&self, label: &str, context: &[u8]) -> [u8; 32] {
        // A key of any length is valid for HMAC; the impossible error costs unpredictability, not a panic.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return [0; 32] };
        mac.update(label.as_bytes());
        mac.update(&[0]);
        mac.update(context);
        mac.finalize().into_bytes().into()
    }

    fn word(&self, label: &str, context: &[u8]) -> u64 {
        let bytes = self.derive(label, context);
        bytes.first_chunk::<8>().map_or(0, |head| u64::from_le_bytes(*head))
    }
}

/// Who this install is: a workgroup machine with a name, a GUID, a clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    secret: Secret,
    /// NetBIOS computer name, at most 15 characters.
    pub computer: String,
    /// Workgroup.
    pub workgroup: String,
    /// The server GUID of the extended-security negotiate; stable per machine.
    pub guid: [u8; 16],
    /// Minutes west of UTC, as [MS-CIFS] 2.2.4.52.2 ServerTimeZone.
    pub time_zone: i16,
    /// When this Windows was last started: stable, days or weeks before the install.
    pub booted_at: WallClock,
}

impl Identity {
    /// The identity that `secret` gives to an install made at `installed_at`.
    pub fn derive(secret: Secret, installed_at: WallClock) -> Self {
        const LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
        const ZONES: [i16; 7] = [-120, -60, 0, 300, 360, 420, 480];
        const DAY_US: u64 = 86_400_000_000;
        let pick = |label: &str, from: u64| secret.word(label, b"").checked_rem(from).unwrap_or(0);
        let letter = |byte: &u8| {
            let at = usize::from(*byte & 31);
            LETTERS.get(at).map_or('A', |&b| char::from(b))
        };
        // What Windows' set-up proposes: WIN- and eleven characters ([MS-ADA3] shows the pattern).
        let tail: String = secret.derive("computer", b"").iter().take(11).map(letter).collect();
        let guid = secret.derive("server-guid", b"").first_chunk::<16>().copied().unwrap_or_default();
        let zone = usize::try_from(pick("time-zone", 7)).unwrap_or(0);
        let up_us = DAY_US.saturating_mul(3).saturating_add(pick("boot-time", DAY_US.saturating_mul(40)));
        Self {
            computer: format!("WIN-{tail}"),
            workgroup: "WORKGROUP".to_owned(),
            guid,
            time_zone: ZONES.get(zone).copied().unwrap_or(0),
            booted_at: WallClock(installed_at.0.saturating_sub(up_us)),
            secret,
        }
    }

    /// The 8-byte logon challenge of one connection.
    pub fn challenge(&self, connection: u64) -> [u8; 8] {
        self.secret.word("challenge", &connection.to_le_bytes()).to_le_bytes()
    }

    /// The implant's key seed in its `generation`-th life; never 0.
    pub fn implant_seed(&self, generation: u64) -> u32 {
        let word = self.secret.word("implant-seed", &generation.to_le_bytes());
        u32::try_from(word & 0xffff_ffff).unwrap_or(1).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_installs_share_nothing_and_one_is_stable() {
        let at = WallClock(1_700_000_000_000_000);
        let a = Identity::derive(Secret([1; 32]), at);
        let b = Identity::derive(Secret([2; 32]), at);
        assert_eq!(a, Identity::derive(Secret([1; 32]), at));
        assert_ne!(a.computer, b.computer);
        assert_ne!(a.guid, b.guid);
        assert_ne!(a.booted_at, b.booted_at);
        assert_ne!(a.challenge(1), b.challenge(1));
        assert_ne!(a.challenge(1), a.challenge(2));
        assert_ne!(a.implant_seed(0), b.implant_seed(0));
        assert_ne!(a.implant_seed(0), a.implant_seed(1));
        assert!(a.booted_at < at && a.computer.len() == 15);
    }
}
