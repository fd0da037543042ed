//! This install's own secret: made once, kept for ever.

use crate::StoreError;
use crate::samples::{hex, unhex};
use roridula_proto::identity::Secret;
use roridula_proto::time::WallClock;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// What makes this install different from every other: the file `secret` of the data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Install {
    /// 32 random bytes, from which all that a visitor may see is derived.
    pub secret: Secret,
    /// When they were made.
    pub installed_at: WallClock,
}

impl Install {
    /// Reads `dir/secret`, for one who replays what this install answered; makes nothing.
    pub fn load(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join("secret");
        let text = fs::read_to_string(&path).map_err(StoreError::io("read", &path))?;
        Self::parse(&text).ok_or_else(|| StoreError::Damaged {
            path: path.clone(),
            what: "not 64 hexadecimal digits and a time; remove it to become another machine".to_owned(),
        })
    }

    /// Reads `dir/secret`, or makes it. The text is `<64 hexadecimal digits> <microseconds since 1970>`.
    pub(crate) fn load_or_make(dir: &Path, clock: &Clock) -> Result<Self, StoreError> {
        match Self::load(dir) {
            Err(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                Self::make(dir, &dir.join("secret"), clock.now())
            }
            other => other,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (secret, at) = text.trim_end().split_once(' ')?;
        let secret: [u8; 32] = unhex(secret)?.try_into().ok()?;
        Some(Self { secret: Secret(secret), installed_at: WallClock(at.parse().ok()?) })
    }

    fn make(dir: &Path, path: &Path, now: WallClock) -> Result<Self, StoreError> {
        let random = Path::new("/dev/urandom");
        let mut secret = [0; 32];
        File::open(random)
            .and_then(|mut file| file.read_exact(&mut secret))
            .map_err(StoreError::io("read", random))?;
        let install = Self { secret: Secret(secret), installed_at: now };
        // Written beside and renamed: a kill in between must not leave half a secret.
        let fresh = dir.join("secret.new");
        let text = format!("{} {}\n", hex(&secret), install.installed_at.0);
        let _ = fs::remove_file(&fresh);
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&fresh)
            .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
            .map_err(StoreError::io("write", &fresh))?;
        fs::rename(&fresh, path).map_err(StoreError::io("write", path))?;
        Ok(install)
    }
}

/// Which clock the store stamps with what it writes by itself.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The system's.
    #[default]
    System,
    /// Hands that whoever writes a past moves: microseconds since 1970.
    Hands(Arc<AtomicU64>),
}

impl Clock {
    pub(crate) fn now(&self) -> WallClock {
        match self {
            Self::System => wall_clock(),
            Self::Hands(hands) => WallClock(hands.load(Ordering::Relaxed)),
        }
    }
}

/// Now, as the journal writes it.
pub fn wall_clock() -> WallClock {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallClock(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn it_is_made_once_and_only_its_owner_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let first = Install::load_or_make(dir.path(), &Clock::System).unwrap();
        assert_eq!(first, Install::load_or_make(dir.path(), &Clock::System).unwrap());
        let mode = fs::metadata(dir.path().join("secret")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(first.secret, Install::load_or_make(other.path(), &Clock::System).unwrap().secret);
    }

    #[test]
    fn a_damaged_one_is_never_replaced_silently() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("secret"), "nonsense").unwrap();
        assert!(matches!(Install::load_or_make(dir.path(), &Clock::System), Err(StoreError::Damaged { .. })));
    }
}
